#!/bin/bash
# Install or upgrade the agent on Raspberry Pi OS or Ubuntu, from a checkout of this project.
#
#   sudo deploy/install.sh              install, or upgrade what is installed
#   deploy/install.sh --into FOLDER     a trial below FOLDER; touches nothing else
#
# Each release lies in a folder of its own and becomes `current` by one atomic rename, so a power
# cut leaves the old one working. A new one is on probation for ten minutes and is left when it
# crashes (deploy/probation.sh). The service starts once /etc/mahalla/agent.yaml is there and right.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "install: $*" >&2; exit 1; }

root=
case "${1:-}" in
    "") ;;
    --into) root=${2:?"--into needs a folder"}; mkdir -p "$root"; root=$(cd "$root" && pwd) ;;
    -h|--help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) fail "unknown argument $1; see deploy/install.sh --help" ;;
esac
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "needs root; run: sudo deploy/install.sh"

# The system's own Python: one in somebody's home folder is closed to the service.
python=${PYTHON:-$([ -x /usr/bin/python3 ] && echo /usr/bin/python3 || echo python3)}
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' agent/__init__.py)
home=$root/opt/mahalla
# A second install of the same version must not write into the one that runs.
release=$version
for ((n = 2; ; n++)); do [ -e "$home/$release" ] || break; release=$version-$n; done

if [ -z "$root" ]; then
    free_kb=$(df -Pk /opt | awk 'NR==2{print $4}')
    [ "$free_kb" -gt 700000 ] || fail "/opt has $((free_kb / 1000)) MB free, 700 are needed"
fi
mkdir -p "$home"
# Whatever ends this before the switch, Ctrl-C too, leaves nothing half behind.
trap 'rm -rf "${home:?}/${release:?}"' EXIT

echo "installing $release into $home/$release"
deploy/make-venv.sh "$python" "$home/$release" deploy/locks/run.lock
built() { [ ! -d dist ] || find dist -name "mahalla_agent-$version-*.whl" -print -quit; }
wheel=$(built)
if [ -z "$wheel" ] || [ -n "$(find agent pyproject.toml -newer "$wheel" -name '*.*' -print -quit)" ]; then
    echo "building the wheel"
    make --silent wheel PYTHON="$python"
    wheel=$(built)
fi
"$home/$release/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$wheel"

echo "fetching the models"
"$home/$release/bin/python" models/fetch.py
mkdir -p "$home/$release/share/mahalla"
cp -r models "$home/$release/share/mahalla/"
rm -r "$home/$release/share/mahalla/models/recipes"   # they train; a box only runs
cp README.md "$home/$release/"
"$home/$release/bin/mahalla" models selftest

unit=$root/etc/systemd/system/mahalla.service
mkdir -p "$(dirname "$unit")" "$root/etc/mahalla"
install -m 0644 systemd/mahalla.service "$unit"
install -m 0644 systemd/mahalla-{ota,probation}.{service,timer} systemd/mahalla-ota.path "$(dirname "$unit")"

if [ -z "$root" ]; then
    getent passwd mahalla >/dev/null ||
        useradd --system --home-dir /var/lib/mahalla --shell /usr/sbin/nologin mahalla
    chgrp mahalla /etc/mahalla && chmod 0750 /etc/mahalla
fi

# Before the switch: a release that refuses the configuration would never start by itself.
if [ -z "$root" ] && [ -e /etc/mahalla/agent.yaml ]; then
    runuser -u mahalla -- "$home/$release/bin/mahalla" check /etc/mahalla/agent.yaml ||
        fail "/etc/mahalla/agent.yaml has problems (above); nothing was changed"
fi

# Beside the releases, so that none of them can spoil it.
install -m 0755 deploy/probation.sh "$home/probation.new"
mv "$home/probation.new" "$home/probation"
before=$(readlink "$home/current" || true)
if [ -x "$home/$before/bin/mahalla" ]; then
    # What is on probation now has not been kept: the one before it is the one to go back to.
    MAHALLA_HOME=$home "$home/probation" begin "$release" "$before"
    before=$(sed -n 2p "$home/on-probation")
fi

ln -sfn "$release" "$home/current.new"
mv -T "$home/current.new" "$home/current"
sync -f "$home"
trap - EXIT

# Keep the release before this one to go back to; drop the others.
find "$home" -mindepth 1 -maxdepth 1 -type d ! -name "$release" ! -name "${before:-$release}" -exec rm -rf {} +

[ -z "$root" ] || { echo "installed below $root"; exit 0; }

systemctl daemon-reload
systemctl enable --quiet mahalla
systemctl enable --quiet --now mahalla-ota.timer mahalla-ota.path mahalla-probation.timer
if [ ! -e /etc/mahalla/agent.yaml ]; then
    echo "next: write /etc/mahalla/agent.yaml, then"
    echo "  sudo -u mahalla /opt/mahalla/current/bin/mahalla check /etc/mahalla/agent.yaml && sudo systemctl start mahalla"
else
    systemctl restart mahalla
    echo "running; see: systemctl status mahalla, journalctl -u mahalla"
fi
