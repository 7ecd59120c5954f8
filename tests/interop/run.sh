#!/bin/sh
# Runs check_interop.py with a virtual environment made for it: run.sh PARE_PROGRAM PROJECT_DIR [--only PART[,PART]]
# Parts are those of check_interop.py and server_checks.py. PARE_INTEROP_WORK is where files are written (out/interop).
# PARE_PYTHON names another interpreter that already has the packages of requirements.txt.
set -eu
pare=$1
project=$2
parts=
if [ "${3:-}" = --only ]; then
    parts=$(echo "${4:?--only: expected parts}" | tr , ' ')
elif [ -n "${3:-}" ]; then
    echo "run.sh: expected --only PART[,PART], found $3" >&2
    exit 64
fi
work=${PARE_INTEROP_WORK:-$project/out/interop}
here=$(dirname "$0")
python=${PARE_PYTHON:-}

if [ -z "$python" ]; then
    venv=$project/.venv
    python=$venv/bin/python
    stamp=$venv/interop-requirements.txt
    if ! cmp -s "$here/requirements.txt" "$stamp"; then
        python3 -m venv "$venv"
        "$python" -m pip install --quiet --upgrade pip
        "$python" -m pip install --quiet -r "$here/requirements.txt"
        cp "$here/requirements.txt" "$stamp"
    fi
fi
mkdir -p "$work"
# shellcheck disable=SC2086 # parts are words
exec "$python" "$here/check_interop.py" "$pare" "$project" "$work" $parts
