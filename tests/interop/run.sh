#!/bin/sh
# Runs check_interop.py and oip_client.py with a virtual environment made for them: run.sh PARE_PROGRAM PROJECT_DIR [WORK_DIR]
# PARE_PYTHON names another interpreter that already has the packages of requirements.txt.
set -eu
pare=$1
project=$2
work=${3:-$project/out/interop}
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
status=0
"$python" "$here/check_interop.py" "$pare" "$project" "$work" || status=1
"$python" "$here/oip_client.py" "$pare" "$project" || status=1
exit $status
