# make help          what there is
# Every target keeps to one virtual environment per Python version, which it makes and updates by itself.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
WORKERS ?= 2
ARGS ?=
RUNS ?= 10
SEED ?= $(shell date +%s)
comma := ,
# Tests mostly wait, so two at a time take half as long; files are kept together, in the order of tests/order.py.
JOBS ?= 2

TAG := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
# Real djust needs Django < 6, so that where there is a newer one it has an environment of its own.
HOST_FRAMEWORK ?=
REAL_DJUST := $(filter djust,$(HOST_FRAMEWORK))
DEMO_EXTRAS := demo,redis$(if $(REAL_DJUST),$(comma)djust)
OWN := $(if $(and $(REAL_DJUST),$(filter-out 3.11,$(TAG))),-djust)
VENV ?= .venv$(if $(TAG),-$(TAG))$(OWN)
BIN = $(VENV)/bin
# Real djust views need Django < 6, which is all that Python 3.11 can have. Newer Pythons test the newest Django.
TEST_EXTRAS ?= test$(if $(filter 3.11,$(TAG)),$(comma)djust)

NPM := $(shell command -v npm)

SETUP = PYTHON="$(PYTHON)" tools/venv.sh "$(VENV)"
# An environment is made anew when pyproject.toml changes: one stamp per set of extras.
stamp = $(VENV)/.installed-$(subst $(comma),-,$(1))

export HOST PORT REDIS_URL
ifneq ($(REAL_DJUST),)
export DJUST := 1
endif

.DEFAULT_GOAL := help
.PHONY: help demo serve test soak soak-outages bench bench-full compare lint format docs screenshot browser clean

help:
	@echo 'make demo      the example site at http://$(HOST):$(PORT)/     HOST= PORT= REDIS_URL= PYTHON='
	@echo '               HOST_FRAMEWORK=djust: as views of real djust, not of our own host'
	@echo 'make serve     the same as in production, several processes    WORKERS= and the above'
	@echo 'make test      the test suite                                  ARGS="-k name" JOBS= SKIP_BROWSER=1 PYTHON='
	@echo 'make soak      the long exploration, for minutes'
	@echo 'make soak-outages   real servers lose the store, the layer, their sockets   RUNS= SEED='
	@echo 'make bench     what it costs, beside peers, in minutes         ARGS="--only join --match counter"'
	@echo 'make bench-full     all sizes and scenarios, in hours'
	@echo 'make compare   what becomes of a killed client, a second tab, a flushed Redis: here and at peers'
	@echo 'make lint      ruff and mypy; biome and tsc for JavaScript, if there is npm'
	@echo 'make format    what ruff and biome can put right by themselves'
	@echo 'make docs      the documentation, into docs/_build/html'
	@echo 'make screenshot   the picture in the README, anew'
	@echo 'make clean     remove what the above made'

demo: $(call stamp,$(DEMO_EXTRAS))
	@$(BIN)/python example_project/manage.py migrate --verbosity 0
	@echo
	@echo '  The demo:  http://$(if $(filter 0.0.0.0,$(HOST)),localhost,$(HOST)):$(PORT)/   (Ctrl-C ends it)'
	@echo
	@$(BIN)/python $(if $(REAL_DJUST),example_project/manage.py runserver $(HOST):$(PORT),example_project/both.py --host $(HOST) --port $(PORT))

serve: $(call stamp,$(DEMO_EXTRAS))
	@$(BIN)/python example_project/serve.py --host $(HOST) --port $(PORT) --workers $(WORKERS)

test: $(call stamp,$(TEST_EXTRAS)) $(if $(SKIP_BROWSER),,browser)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(if $(SKIP_BROWSER),-m 'not soak and not browser') $(ARGS)

soak: $(call stamp,$(TEST_EXTRAS))
	$(BIN)/python -m pytest -m soak --timeout 0 $(ARGS)

soak-outages: $(call stamp,$(TEST_EXTRAS))
	OUTAGE_RUNS=$(RUNS) OUTAGE_SEED=$(SEED) $(BIN)/python -m pytest -m soak -v tests/outages $(ARGS)

bench: $(call stamp,bench)
	$(BIN)/python -m benchmarks $(ARGS)

bench-full: $(call stamp,bench)
	$(BIN)/python -m benchmarks --full $(ARGS)

compare: $(call stamp,bench)
	$(BIN)/python -m benchmarks.compare $(ARGS)

lint: $(call stamp,$(TEST_EXTRAS)) $(if $(NPM),node_modules/.installed)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(if $(NPM),npm run --silent lint,@echo 'There is no npm on PATH: the JavaScript is left out.')

format: $(call stamp,$(TEST_EXTRAS)) $(if $(NPM),node_modules/.installed)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(if $(NPM),npm run --silent format)

node_modules/.installed: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

docs: $(call stamp,docs)
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo 'The documentation is in docs/_build/html/index.html'

screenshot: $(call stamp,$(TEST_EXTRAS)) browser
	$(BIN)/python docs/screenshot.py

browser: $(call stamp,$(TEST_EXTRAS))
	@command -v chromium chromium-browser google-chrome >/dev/null || $(BIN)/playwright install chromium || { echo; \
	  echo 'This needs Chromium, and there is none on PATH and none could be downloaded (see above).' >&2; \
	  echo 'Install it (Debian, Ubuntu: apt-get install chromium), or leave its tests out: make test SKIP_BROWSER=1' >&2; \
	  exit 1; }
	@command -v npm >/dev/null || { echo; \
	  echo 'The tests of pages with scripts of others need npm, which gets these, and there is none on PATH.' >&2; \
	  echo 'Install it (Debian, Ubuntu: apt-get install npm), or leave them out: make test SKIP_BROWSER=1' >&2; \
	  exit 1; }

$(VENV)/.installed-%: pyproject.toml tools/venv.sh
	@$(SETUP) $(subst -,$(comma),$*)
	@touch $@

clean:
	rm -rf .venv .venv-* node_modules build dist docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis benchmarks/npm/node_modules tests/browser/npm/node_modules example_project/db.sqlite3*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
