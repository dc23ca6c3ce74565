#!/bin/bash
# Make a virtual environment from a lock: make-venv.sh PYTHON FOLDER LOCK
# Says in one line what is missing, and installs Debian's python3-venv by itself where it may.
set -euo pipefail
python=$1 folder=$2 lock=$3

fail() { echo "make-venv: $*" >&2; exit 1; }

command -v "$python" >/dev/null || fail "$python not found; install Python 3.10-3.13 or name one: make PYTHON=python3.11"
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' ||
    fail "$("$python" --version) will not do; name a Python 3.10-3.13: make PYTHON=python3.11"

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" = 0 ]; then as_root=(); else as_root=(sudo -n); fi
    echo "make-venv: $python lacks venv, installing python3-venv" >&2
    { "${as_root[@]}" apt-get update -qq && "${as_root[@]}" apt-get install -y -qq python3-venv; } >/dev/null 2>&1 ||
        fail "$python lacks venv; run: sudo apt install python3-venv"
fi

# The one that is active may be the very one that goes.
if [ "$("$python" -c 'import sys; print(sys.prefix)')" = "$(realpath -m "$folder")" ]; then
    python=$("$python" -c 'import sys; print(sys._base_executable)')
fi
echo "setting up $folder (once, about a minute)" >&2
rm -rf "$folder"
"$python" -m venv "$folder"
# The lock names hashes, never addresses: the index is the machine's own affair.
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
