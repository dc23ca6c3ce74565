#!/bin/bash
# A Debian 13 with its RabbitMQ in a folder, for `make test-city`: 600 MB, a minute or a few.
#
#   sudo tests/city/root.sh FOLDER
set -euo pipefail
root=${1:?"name the folder"}
[ -x "$root/usr/sbin/rabbitmqctl" ] && exit 0
[ "$(id -u)" = 0 ] || { echo "root.sh: needs root" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "root.sh: apt install debootstrap" >&2; exit 1; }
echo "making a Debian 13 with RabbitMQ in $root"
mkdir -p "$root"
debootstrap --variant=minbase --include=rabbitmq-server,openssl trixie "$root" >"$root.log" 2>&1 ||
    { tail -3 "$root.log" >&2; exit 1; }
