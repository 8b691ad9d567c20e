# make help          what there is
# Every target keeps to one virtual environment per Python version, which it makes and updates by itself.

PYTHON ?= python3
DJANGO ?=
HOST ?= 127.0.0.1
PORT ?= 8000
WORKERS ?= 2
ARGS ?=
RUNS ?= 10
TAG ?=
SEED ?= $(shell date +%s)
comma := ,
# With COVERAGE=1 the branches of the package that tests take are counted, in servers too: make coverage prints them.
COVERAGE ?=
# For two processors: tests wait, and Chromium computes. Of more, some become too slow for their bounds.
# Files are kept together, in the order of tests/order.py.
JOBS ?= 3

PYTHON_VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
# Real djust needs Django < 6, so that where there is a newer one it has an environment of its own.
HOST_FRAMEWORK ?=
REAL_DJUST := $(filter djust,$(HOST_FRAMEWORK))
DEMO_EXTRAS := redis$(if $(REAL_DJUST),$(comma)djust)
OWN := $(if $(DJANGO),-django$(DJANGO))$(if $(and $(REAL_DJUST),$(filter-out 3.11,$(PYTHON_VERSION))),-djust)
VENV ?= .venv$(if $(PYTHON_VERSION),-$(PYTHON_VERSION))$(OWN)
BIN = $(VENV)/bin
# Real djust views need Django < 6, which is all that Python 3.11 can have. Newer Pythons test the newest Django, or DJANGO.
TESTS_DJUST := $(filter 3.11,$(PYTHON_VERSION))
TEST_EXTRAS ?= redis$(if $(TESTS_DJUST),$(comma)djust)

NPM := $(shell command -v npm)

SETUP = PYTHON="$(PYTHON)" DJANGO="$(DJANGO)" tools/venv.sh "$(VENV)"
# An environment is made anew when pyproject.toml changes: one stamp per set of extras and dependency group.
stamp = $(VENV)/.installed-$(subst $(comma),-,$(1))@$(2)

export HOST PORT REDIS_URL
ifneq ($(REAL_DJUST),)
export DJUST := 1
endif

.DEFAULT_GOAL := help
.PHONY: help demo serve test coverage soak soak-outages bench bench-full compare lint format docs dist release-check screenshot browser clean

help:
	@echo 'make demo      the example site at http://$(HOST):$(PORT)/     HOST= PORT= REDIS_URL= PYTHON='
	@echo '               HOST_FRAMEWORK=djust: as views of real djust, not of our own host'
	@echo 'make serve     the same as in production, several processes    WORKERS= and the above'
	@echo 'make test      the test suite                                  ARGS="-k name" JOBS= SKIP_BROWSER=1 PYTHON= DJANGO=6.0'
	@echo 'make soak      the long exploration, for minutes'
	@echo 'make soak-outages   real servers lose the store, the layer, their sockets   RUNS= SEED='
	@echo 'make bench     what it costs, beside peers, in minutes         ARGS="--only join --match counter"'
	@echo 'make bench-full     all sizes and scenarios, in hours'
	@echo 'make compare   what becomes of a killed client, a second tab, a flushed Redis: here and at peers'
	@echo 'make lint      ruff, mypy and other checks; biome and tsc for JavaScript, if there is npm'
	@echo 'make format    what these can put right by themselves'
	@echo 'make docs      the documentation, into docs/_build/html'
	@echo 'make dist      wheel and sdist, into dist; make release-check TAG=v0.1.0 says whether they can be published'
	@echo 'make screenshot   the picture in the README, anew'
	@echo 'make clean     remove what the above made'

demo: $(call stamp,$(DEMO_EXTRAS),demo)
	@$(BIN)/python example_project/manage.py migrate --verbosity 0
	@echo
	@echo '  The demo:  http://$(if $(filter 0.0.0.0,$(HOST)),localhost,$(HOST)):$(PORT)/   (Ctrl-C ends it)'
	@echo
	@$(BIN)/python $(if $(REAL_DJUST),example_project/manage.py runserver $(HOST):$(PORT),example_project/both.py --host $(HOST) --port $(PORT))

serve: $(call stamp,$(DEMO_EXTRAS),demo)
	@$(BIN)/python example_project/serve.py --host $(HOST) --port $(PORT) --workers $(WORKERS)

test: $(call stamp,$(TEST_EXTRAS),test) $(if $(SKIP_BROWSER),,browser)
	$(if $(COVERAGE),rm -rf .coverage)
	$(BIN)/python $(if $(COVERAGE),-m coverage run) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(if $(SKIP_BROWSER),-m 'not soak and not browser') \
	  $(if $(TESTS_DJUST),,--ignore-glob='*/test_djust*') $(ARGS)

coverage: $(call stamp,$(TEST_EXTRAS),test)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

soak: $(call stamp,$(TEST_EXTRAS),test)
	$(BIN)/python -m pytest -m soak --timeout 0 $(ARGS)

soak-outages: $(call stamp,$(TEST_EXTRAS),test)
	OUTAGE_RUNS=$(RUNS) OUTAGE_SEED=$(SEED) $(BIN)/python -m pytest -m soak -v tests/outages $(ARGS)

bench: $(call stamp,redis,bench)
	$(BIN)/python -m benchmarks $(ARGS)

bench-full: $(call stamp,redis,bench)
	$(BIN)/python -m benchmarks --full $(ARGS)

compare: $(call stamp,redis,bench)
	$(BIN)/python -m benchmarks.compare $(ARGS)

# Headers are read where they come in: request.headers makes a copy of all. Some templates stand within a line of others.
UPGRADE = --target-version 5.2 --skip request_headers
TEMPLATES = $(shell git ls-files '*/templates/*.html' | grep -v -e '_part\.html$$' -e '/face\.html$$')

lint: $(call stamp,$(TEST_EXTRAS),lint) $(if $(NPM),node_modules/.installed)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/typos
	$(BIN)/pyproject-fmt --check pyproject.toml
	@git ls-files -z '*.py' | xargs -0 $(BIN)/django-upgrade $(UPGRADE) --check
	@$(BIN)/djade --target-version 5.2 --check $(TEMPLATES)
	$(BIN)/zizmor --quiet --offline --persona pedantic .github
	$(BIN)/mypy
	$(if $(NPM),npm run --silent lint,@echo 'There is no npm on PATH: the JavaScript is left out.')

format: $(call stamp,$(TEST_EXTRAS),lint) $(if $(NPM),node_modules/.installed)
	@git ls-files -z '*.py' | xargs -0 $(BIN)/django-upgrade $(UPGRADE) --exit-zero-even-if-changed
	-$(BIN)/pyproject-fmt pyproject.toml
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@-$(BIN)/djade --target-version 5.2 $(TEMPLATES)
	$(if $(NPM),npm run --silent format)

node_modules/.installed: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

docs: $(call stamp,redis,docs)
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo 'The documentation is in docs/_build/html/index.html'

dist: $(call stamp,redis,package)
	rm -rf dist
	$(BIN)/python -m hatchling build
	$(BIN)/python -m twine check --strict dist/*

release-check: dist
	$(BIN)/python tools/release_check.py "$(TAG)" dist

screenshot: $(call stamp,$(TEST_EXTRAS),test) browser
	$(BIN)/python docs/screenshot.py

browser: $(call stamp,$(TEST_EXTRAS),test)
	@command -v chromium chromium-browser google-chrome >/dev/null || $(BIN)/playwright install chromium || { echo; \
	  echo 'This needs Chromium, and there is none on PATH and none could be downloaded (see above).' >&2; \
	  echo 'Install it (Debian: apt-get install chromium chromium-headless-shell), or leave its tests out: make test SKIP_BROWSER=1' >&2; \
	  exit 1; }
	@command -v npm >/dev/null || { echo; \
	  echo 'The tests of pages with scripts of others need npm, which gets these, and there is none on PATH.' >&2; \
	  echo 'Install it (Debian, Ubuntu: apt-get install npm), or leave them out: make test SKIP_BROWSER=1' >&2; \
	  exit 1; }

$(VENV)/.installed-%: pyproject.toml tools/venv.sh
	@$(SETUP) $(subst -,$(comma),$(subst @, ,$*))
	@touch $@

clean:
	rm -rf .venv .venv-* node_modules build dist docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis benchmarks/npm/node_modules tests/browser/npm/node_modules example_project/db.sqlite3*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
