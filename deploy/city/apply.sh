#!/bin/bash
# Bring the city's broker up to what `mahalla site build` has written for one mahalla.
#
#   sudo deploy/city/apply.sh OUT/city --list-only    on two of the nodes: the list of the revoked
#   sudo deploy/city/apply.sh OUT/city                on the third, last: accounts, rights, sessions
#
# The list lies on each machine, accounts and rights are the cluster's. Who is revoked is cut off
# by the last call; a box in its place of the same name is cut off too, and comes back at once.
# `--etc FOLDER` where it is not /etc/rabbitmq.
set -euo pipefail

fail() { echo "apply: $*" >&2; exit 1; }

etc=/etc/rabbitmq from= list_only=
while [ $# -gt 0 ]; do
    case "$1" in
        --etc) etc=${2:?"--etc needs a folder"}; shift ;;
        --list-only) list_only=1 ;;
        -h|--help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) fail "unknown argument $1; see deploy/city/apply.sh --help" ;;
        *) from=$1 ;;
    esac
    shift
done
[ -n "$from" ] || fail "name the folder that \`mahalla site build\` wrote: OUT/city"
for file in site accounts definitions.json revoked crl; do
    [ -e "$from/$file" ] || fail "$from/$file is not there; \`mahalla site build\` writes it"
done
site=$(cat "$from/site")

number() { # of a list of the revoked: it only grows
    [ ! -e "$1" ] || echo $((16#$(openssl crl -in "$1" -noout -crlnumber | sed 's/.*=\(0x\)\{0,1\}//')))
}

mkdir -p "$etc/crl"
for list in "$from"/crl/*; do
    to=$etc/crl/$(basename "$list")
    cmp -s "$list" "$to" && continue
    new=$(number "$list") old=$(number "$to")
    [ "$new" -ge "${old:-0}" ] || fail "$list is older than the list that is here; build anew"
    install -m 0644 "$list" "$to.part"
    mv -f "$to.part" "$to"
done

[ -z "$list_only" ] || exit 0

# What is connected already was let in by the list before; the latest revoked come first. Written
# down once it is done, a mahalla each: all of them share one list.
present=$(cat "$from"/crl/* "$from/revoked" | sha256sum)
if [ "$present" != "$(cat "$etc/revoked.$site" 2>/dev/null)" ]; then
    while read -r account; do
        rabbitmqctl -q close_all_user_connections "$account" "a certificate was revoked" </dev/null
    done <"$from/revoked"
    echo "$present" >"$etc/revoked.$site"
fi

rabbitmqctl -q import_definitions "$from/definitions.json" >/dev/null
for account in $(rabbitmqctl -q list_users --no-table-headers | cut -f1 | grep "^${site}_" || true); do
    grep -qxF "$account" "$from/accounts" || rabbitmqctl -q delete_user "$account"
done

echo "$site: $(wc -l <"$from/accounts") boxes may come, $(wc -l <"$from/revoked") have had a certificate revoked"
