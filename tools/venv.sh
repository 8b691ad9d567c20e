#!/bin/sh
# Makes or updates a virtual environment with this package, some of its extras and one dependency group. It installs with
# uv where that is on PATH, and with pip where it is not.
# usage: PYTHON=python3 DJANGO=6.0 tools/venv.sh DIRECTORY EXTRAS GROUP    for example  tools/venv.sh .venv-3.11 redis,djust test
# DJANGO is a series of Django, or main for its development version. Without it the newest that fits is installed.
set -eu

python=${PYTHON:-python3}
venv=$1
extras=$2
group=$3

fail() {
    echo >&2
    echo "Cannot set up $venv:" "$@" >&2
    exit 1
}

case ${DJANGO:-} in
    "") django= ;;
    main) django="django @ git+https://github.com/django/django@main" ;;
    *) django="django~=$DJANGO.0" ;;
esac

command -v "$python" >/dev/null 2>&1 || fail "there is no '$python' here. Install Python 3.11 or newer, or name yours: make … PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "'$python' is $("$python" --version 2>&1), and 3.11 or newer is needed. Name another one: make … PYTHON=/path/to/python3.11"

if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "'$python' comes without its venv module. On Debian and Ubuntu: apt-get install python3-venv"
    echo "Making $venv with $("$python" --version) …"
    "$python" -m venv --clear "$venv" || fail "'$python -m venv $venv' failed (see above)."
fi

set -- --editable ".[$extras]" --group "$group" ${django:+"$django"}
echo "Installing the package with $* into $venv …"
if command -v uv >/dev/null; then
    uv pip install --quiet --python "$venv/bin/python" "$@"
else
    pip() {
        "$venv/bin/python" -m pip install -qq --disable-pip-version-check --upgrade --upgrade-strategy only-if-needed "$@"
    }
    # The first pip that knows dependency groups.
    pip "pip>=25.1" && pip "$@"
fi ||
    fail "what is needed could not be installed (see above). Is this machine online, or is its package index set up?"
