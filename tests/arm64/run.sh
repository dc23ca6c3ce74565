#!/bin/bash
# The unit tests and one replay on 64-bit ARM, without an ARM board: Debian's arm64 userland under
# qemu-user. Takes about half an hour the first time; nothing outside .cache/arm64 is changed.
#
#   sudo apt install debootstrap qemu-user-static
#   sudo tests/arm64/run.sh [CPU]      CPU: cortex-a72 (Pi 4, the default), cortex-a76 (Pi 5), max
#
# It shows that everything works there, and nothing about speed: qemu translates instructions.
set -euo pipefail
cd "$(dirname "$0")/../.."
export QEMU_CPU=${1:-cortex-a72}
home=.cache/arm64 root=.cache/arm64/root
# Rooms whose tests need no broker, no other process and no clock.
rooms=(config detect evaluate geometry hotlist infer plates privacy rules track)

fail() { echo "arm64: $*" >&2; exit 1; }
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/root LANG=C.UTF-8 QEMU_CPU="$QEMU_CPU" "$@"; }

[ "$(id -u)" = 0 ] || fail "chroot needs root; run: sudo tests/arm64/run.sh"
command -v debootstrap >/dev/null || fail "debootstrap not found; run: sudo apt install debootstrap"
[ "$(uname -m)" = aarch64 ] || [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] ||
    fail "this kernel does not start ARM programs; run: sudo apt install qemu-user-static"
[ -x .venv/bin/python ] || fail "no .venv here; run: make setup"

if [ ! -e "$root/ready" ]; then
    rm -rf "$root"
    mkdir -p "$home"
    debootstrap --arch=arm64 --variant=minbase --include=python3,python3-venv bookworm "$root" \
        "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
    touch "$root/ready"
fi

wanted=$(mktemp)
leave() { rm -f "$wanted"; mountpoint -q "$root/proc" && umount "$root/proc"; }
trap leave EXIT
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"

# Wheels are fetched out here, where the package index is known, and installed in there without.
python=$(inside python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
lock=deploy/locks/dev.lock
if ! cmp -s "$lock" "$root/venv/lock"; then
    .venv/bin/python tests/arm64/pins.py "$lock" "$python" >"$wanted"
    platforms=()
    for glibc in 17 24 26 27 28 31 34 36; do platforms+=(--platform "manylinux_2_${glibc}_aarch64"); done
    .venv/bin/python -m pip download --quiet --no-deps --only-binary :all: --python-version "$python" \
        "${platforms[@]}" --platform manylinux2014_aarch64 --dest "$root/wheels" -r "$wanted"
    inside python3 -m venv --clear /venv
    inside /venv/bin/python -m pip install --quiet --no-index --no-deps --disable-pip-version-check \
        $(cd "$root" && find wheels -name '*.whl' -printf '/%p ')
    cp "$lock" "$root/venv/lock"
fi

rm -rf "$root/agent"
mkdir -p "$root/agent"
tar --create --exclude=./.venv --exclude=./.git --exclude=./.cache --exclude=./dist . |
    tar --extract --no-same-owner -C "$root/agent"
mkdir -p "$root/agent/.cache"
cp -r .cache/clips "$root/agent/.cache/"

run() { inside sh -c 'cd /agent && exec "$@"' sh "$@"; }
echo "Python $python on $(inside uname -m), $QEMU_CPU"
run /venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    --no-index --editable .
run /venv/bin/mahalla models selftest
run /venv/bin/mahalla replay .cache/clips/bikes.mp4 --role traffic --start 2026-01-01T00:00:00Z --seed 1 \
    --out /agent/arm64.jsonl
.venv/bin/mahalla replay .cache/clips/bikes.mp4 --role traffic --start 2026-01-01T00:00:00Z --seed 1 \
    --out "$home/here.jsonl"
.venv/bin/python tests/arm64/same.py "$home/here.jsonl" "$root/agent/arm64.jsonl"
# The drive-by is a minute of video, which is a quarter of an hour in here.
run /venv/bin/python -m pytest -p no:cacheprovider "${rooms[@]/#/tests/}" \
    --deselect tests/evaluate/test_evaluate_drive_by.py
