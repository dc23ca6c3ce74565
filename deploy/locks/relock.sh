#!/bin/sh
# Resolve the locks anew: one file for every supported Python and processor, hashes of every wheel, no index address.
set -eu
cd "$(dirname "$0")/../.."
compile="uv pip compile --universal --python-version 3.10 --generate-hashes --no-annotate --no-header --quiet pyproject.toml"
$compile -o deploy/locks/run.lock
$compile --extra demo --group dev -o deploy/locks/dev.lock
