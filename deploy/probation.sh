#!/bin/bash
# A new release of the agent on probation: kept once it has run for ten minutes, left when it crashes.
#
#   probation begin NEW OLD    install.sh, before the switch to NEW
#   probation started          systemd, before each start of the agent (mahalla.service)
#   probation stopped          systemd, after each end of it, with $SERVICE_RESULT
#   probation look             systemd, each minute (mahalla-probation.timer)
#   probation status           for people
#
# It lies beside the releases, so that none of them can spoil it: /opt/mahalla/probation. `current`
# is switched by one rename, what is kept is on the disk before it, and at every moment a power cut
# leaves a release that has run before, or one that is on probation.
set -euo pipefail

CRASHES=3       # ends of the agent that nobody asked for
STARTS=10       # whatever ended them: reboots, power cuts, an agent that leaves at once
RUNS_S=600      # so long without a restart, and it is kept

home=${MAHALLA_HOME:-/opt/mahalla}
file=$home/on-probation
refused=$home/refused

fail() { echo "probation: $*" >&2; exit 1; }
usage() { sed -n '2,9s/^# \{0,1\}//p' "$0"; }

# What is kept, one word a line: NEW OLD CRASHES STARTS.
read_file() {
    { read -r new && read -r old && read -r crashes && read -r starts; } 2>/dev/null <"$file" || return 1
    [[ $new =~ ^[A-Za-z0-9][A-Za-z0-9.+-]*$ && $old =~ ^[A-Za-z0-9][A-Za-z0-9.+-]*$ ]] || return 1
    [[ $crashes =~ ^[0-9]{1,4}$ && $starts =~ ^[0-9]{1,4}$ ]]
}

write_file() {
    printf '%s\n' "$new" "$old" "$crashes" "$starts" >"$file.part"
    sync "$file.part"
    mv -f "$file.part" "$file"
    sync "$home"
}

switch_to() {
    ln -sfn "$1" "$home/current.new"
    mv -fT "$home/current.new" "$home/current"
    sync "$home"
}

end() { rm -f "$file"; sync "$home"; }

# Nothing is on probation, or what was switched to by hand is not what is.
on_probation() {
    [ -e "$file" ] || return 1
    if ! read_file; then
        echo "probation: $file is damaged; $(readlink "$home/current") stays" >&2
        end
        return 1
    fi
    [ "$(readlink "$home/current")" = "$new" ] || { end; return 1; }
}

go_back() {
    if [ ! -x "$home/$old/bin/mahalla" ]; then
        echo "probation: $new failed ($1), and $old is not here any more: nothing to go back to" >&2
        return
    fi
    echo "probation: $new failed ($1); back to $old" >&2
    printf '%s %s\n' "$new" "$1" >>"$refused"
    switch_to "$old"
    end
}

case "${1:-}" in
    begin)
        new=${2:?"begin needs NEW OLD"} old=${3:?"begin needs NEW OLD"} crashes=0 starts=0
        [ -x "$home/$new/bin/mahalla" ] || fail "$home/$new is no release"
        # One on probation has not been kept: what was before it is what works.
        if [ -e "$file" ] && read -r before <"$file" && [ "$before" = "$old" ]; then
            old=$(sed -n 2p "$file")
        fi
        write_file ;;
    started)
        on_probation || exit 0
        starts=$((starts + 1))
        if ((starts > STARTS)); then go_back "started $STARTS times and never ran for long"; else write_file; fi ;;
    stopped)
        on_probation || exit 0
        [ "${SERVICE_RESULT:-success}" != success ] || exit 0
        crashes=$((crashes + 1))
        if ((crashes >= CRASHES)); then go_back "$crashes crashes, the last: $SERVICE_RESULT"; else write_file; fi ;;
    look)
        on_probation || exit 0
        state=$(systemctl show mahalla -p ActiveState --value)
        if [ "$state" = failed ]; then # not restarted: its configuration does not please it (exit code 78)
            go_back "does not start"
            systemctl reset-failed mahalla
            systemctl start mahalla
        elif [ "$state" = active ]; then
            since_us=$(systemctl show mahalla -p ActiveEnterTimestampMonotonic --value)
            now_s=${PROBATION_NOW_S:-$(cut -d. -f1 /proc/uptime)}
            if ((now_s - since_us / 1000000 >= RUNS_S)); then
                echo "probation: $new is kept"
                end
            fi
        fi ;;
    status)
        if on_probation; then
            echo "$new is on probation: $crashes of $CRASHES crashes, $starts of $STARTS starts; $old is what it would go back to"
        else
            echo "$(readlink "$home/current") is kept"
        fi
        [ ! -s "$refused" ] || sed 's/^/failed: /' "$refused" ;;
    -h|--help) usage ;;
    *) usage >&2; exit 2 ;;
esac
