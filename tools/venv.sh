#!/bin/sh
# Makes or updates a virtual environment with this package and some of its extras.
# usage: PYTHON=python3 tools/venv.sh DIRECTORY EXTRAS    for example  tools/venv.sh .venv-3.11 demo,redis
set -eu

python=${PYTHON:-python3}
venv=$1
extras=$2

fail() {
    echo >&2
    echo "Cannot set up $venv:" "$@" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 || fail "there is no '$python' here. Install Python 3.11 or newer, or name yours: make … PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "'$python' is $("$python" --version 2>&1), and 3.11 or newer is needed. Name another one: make … PYTHON=/path/to/python3.11"

if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "'$python' comes without its venv module. On Debian and Ubuntu: apt-get install python3-venv"
    echo "Making $venv with $("$python" --version) …"
    "$python" -m venv --clear "$venv" || fail "'$python -m venv $venv' failed (see above)."
fi

echo "Installing the package with [$extras] into $venv …"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --upgrade --upgrade-strategy only-if-needed \
    --editable ".[$extras]" ||
    fail "pip could not install what is needed (see above). Is this machine online, or is its package index set up in pip's configuration?"
