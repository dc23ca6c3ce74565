#!/bin/bash
# Install the inspector's broker (mosquitto, chrony) on Debian, or bring it up to a newer build.
#
#   sudo deploy/office/install.sh OUT/office            OUT is what `mahalla site build` wrote
#   deploy/office/install.sh OUT/office --into FOLDER   a trial below FOLDER; touches nothing else
#
# Rights and passwords are read anew without a break. A newer list of the revoked restarts the
# broker: that ends every session within a second, and only who is not revoked comes back. What
# waits is kept. Does the broker not start with the new files, it gets the old ones back.
set -euo pipefail

fail() { echo "install: $*" >&2; exit 1; }

here=$(cd "$(dirname "$0")" && pwd)
root= from=
while [ $# -gt 0 ]; do
    case "$1" in
        --into) root=${2:?"--into needs a folder"}; mkdir -p "$root"; root=$(cd "$root" && pwd); shift ;;
        -h|--help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) fail "unknown argument $1; see deploy/office/install.sh --help" ;;
        *) from=$1 ;;
    esac
    shift
done
[ -n "$from" ] || fail "name the folder that \`mahalla site build\` wrote: OUT/office"
for file in acl passwords ca.pem crl.pem; do
    [ -f "$from/$file" ] || fail "$from/$file is not there; \`mahalla site build\` writes it"
done
[ -f "$from/broker.pem" ] ||
    fail "$from/broker.pem is not there: the office has no certificate yet. Here: mahalla site request --site SITE --broker office --key /etc/mahalla-office/broker.key --out STICK"
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "needs root; run: sudo deploy/office/install.sh $from"

etc=$root/etc/mahalla-office
[ -f "$etc/broker.key" ] || fail "$etc/broker.key is not there: mahalla site request makes it"

if [ -z "$root" ] && ! dpkg -s mosquitto chrony openssl >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mosquitto chrony openssl >/dev/null
fi

number() { # of a list of the revoked: it only grows
    [ ! -e "$1" ] || echo $((16#$(openssl crl -in "$1" -noout -crlnumber | sed 's/.*=\(0x\)\{0,1\}//')))
}
new=$(number "$from/crl.pem") old=$(number "$etc/crl.pem")
[ "$new" -ge "${old:-0}" ] || fail "$from/crl.pem is older than the list that is here; build anew"

restart= changed=
put() { # put MODE FROM TO [restart]
    cmp -s "$2" "$3" && return
    mkdir -p "$(dirname "$3")"
    install -m "$1" "$2" "$3.part"
    [ -n "$root" ] || [ "$1" != 0600 ] || chown mosquitto:mosquitto "$3.part"
    mv -f "$3.part" "$3"
    changed=1
    [ "${4:-}" != restart ] || restart=1
}

before=$etc.before
rm -rf "$before"
cp -a "$etc" "$before"
put 0644 "$here/mosquitto.conf" "$etc/mosquitto.conf" restart
put 0644 "$from/ca.pem" "$etc/ca.pem" restart
put 0644 "$from/broker.pem" "$etc/broker.pem" restart
put 0644 "$from/crl.pem" "$etc/crl.pem" restart
put 0600 "$from/acl" "$etc/acl"
put 0600 "$from/passwords" "$etc/passwords"
put 0644 "$here/mahalla-office.service" "$root/etc/systemd/system/mahalla-office.service" restart
put 0644 "$here/chrony.conf" "$root/etc/chrony/conf.d/mahalla.conf"

what=nothing
[ -z "$changed" ] || what=reload
[ -z "$restart" ] || what=restart
[ -z "$root" ] || { echo "installed below $root; the broker needs: $what"; exit 0; }

chown mosquitto:mosquitto "$etc/broker.key"
chmod 0600 "$etc/broker.key"
systemctl daemon-reload
systemctl disable --quiet --now mosquitto 2>/dev/null || true # Debian's own, on other settings
systemctl enable --quiet mahalla-office
systemctl restart chrony
case $what in
    nothing) systemctl start mahalla-office ;;
    reload) systemctl reload-or-restart mahalla-office ;;
    restart)
        if ! systemctl restart mahalla-office; then
            rm -rf "$etc" && cp -a "$before" "$etc"
            systemctl restart mahalla-office || true
            fail "the broker does not start with these files; the ones before are back. See: journalctl -u mahalla-office"
        fi ;;
esac
echo "the office's broker runs ($what); see: systemctl status mahalla-office, journalctl -u mahalla-office"
