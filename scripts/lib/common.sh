# shellcheck shell=bash disable=SC2034
# What every script here shares: messages, progress, a private folder, child processes, free ports.
# Source it; it starts nothing. It defines `root`, the checkout's folder.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
program=$(basename "$0")

say() { printf '%s: %s\n' "$program" "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# usage_error MESSAGE: what was asked is wrong.
usage_error() {
    say "$*"
    say "see $program --help"
    exit 2
}

# help_wanted ARGUMENT...: prints the comment at the top of the running script and exits, if the first argument asks for it.
help_wanted() {
    case ${1-} in
        -h | --help)
            sed -n '2,${/^# shellcheck/d;/^#/!q;s/^# \{0,1\}//;p}' "$0"
            exit 0
            ;;
    esac
}

# --- the private folder and the processes of this run -----------------------------------------------------------

work=
children=()

# begin: makes `work`, a folder of this run's own. It and every child are gone when the script ends, however it ends.
begin() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/parley-$program.XXXXXX")
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
}

finish() {
    local status=$? child
    trap - EXIT
    trap '' INT TERM HUP
    progress_off
    for child in ${children[@]+"${children[@]}"}; do
        stop_child "$child" || true
    done
    if [ -n "$work" ]; then
        if [ -n "${PARLEY_KEEP-}" ]; then
            say "kept $work"
        else
            rm -rf -- "$work" || say "could not remove $work"
        fi
    fi
    exit "$status"
}

# spawn LOG COMMAND...: starts COMMAND in a process group of its own; its pid is in `spawned`.
spawned=
spawn() {
    local log=$1
    shift
    setsid "$@" >"$log" 2>&1 </dev/null 8>&- &
    spawned=$!
    children+=("$spawned")
}

alive() { kill -0 "$1" 2>/dev/null; }

# stop_child PID [SECONDS]: TERM to the process group, KILL after SECONDS (10); prints nothing. Its exit status is the
# child's own.
stop_child() {
    local pid=$1 left=$((${2:-10} * 20)) status=0
    forget_child "$pid"
    kill -TERM -- "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null || true
    while alive "$pid" && [ "$left" -gt 0 ]; do
        sleep 0.05
        left=$((left - 1))
    done
    # What is left in the group goes too: a server's helpers, or the server itself if it did not heed TERM.
    kill -KILL -- "-$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || status=$?
    end_session "$pid"
    return "$status"
}

# end_session PID: what the child has started in other groups (swift test does that with the tests, and they with servers).
end_session() {
    local left=100 members
    members=$(session_members "$1")
    # shellcheck disable=SC2086
    [ -z "$members" ] || kill -TERM $members 2>/dev/null || true
    while [ -n "$members" ] && [ "$left" -gt 0 ]; do
        sleep 0.05
        left=$((left - 1))
        members=$(session_members "$1")
    done
    # shellcheck disable=SC2086
    [ -z "$members" ] || kill -KILL $members 2>/dev/null || true
}

# session_members PID: the processes of the session that PID leads or led (proc(5): after the name in parentheses state, parent,
# group, session); not those that have ended and wait for their parent.
session_members() {
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v session="$1" '
        { pid = $1; sub(/^.*[)] /, ""); if ($4 == session && $1 != "Z") printf "%s ", pid }' || true
}

forget_child() {
    local child kept=()
    for child in ${children[@]+"${children[@]}"}; do
        [ "$child" = "$1" ] || kept+=("$child")
    done
    children=(${kept[@]+"${kept[@]}"})
}

# --- progress ---------------------------------------------------------------------------------------------------

ticker=
# A moving line on a terminal, nothing in a pipe.
progress_on() {
    [ -t 2 ] || return 0
    local what=$1
    (
        trap 'exit 0' TERM
        marks='-=+=' start=$SECONDS i=0
        while :; do
            printf '\r\033[K%s %s (%d s)' "${marks:i++%4:1}" "$what" $((SECONDS - start)) >&2
            sleep 0.2
        done
    ) &
    ticker=$!
}

progress_off() {
    [ -n "$ticker" ] || return 0
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    ticker=
    printf '\r\033[K' >&2
}

# step WHAT COMMAND...: runs a long COMMAND; its output goes to a log, of which the end is shown if it fails.
step() {
    local what=$1 start=$SECONDS status=0 log pid
    shift
    log=$(mktemp "$work/step.XXXXXX")
    [ -t 2 ] || say "$what"
    progress_on "$what"
    # Waited for rather than run, so that a signal ends it at once, and all that it started. (sudo must stay on its
    # terminal, where it was given the password. Descriptor 8 is the lock on the cache.)
    if [ "$1" = sudo ]; then
        "$@" >"$log" 2>&1 </dev/null 8>&- &
    else
        setsid "$@" >"$log" 2>&1 </dev/null 8>&- &
    fi
    pid=$!
    children+=("$pid")
    wait "$pid" || status=$?
    forget_child "$pid"
    progress_off
    if [ "$status" -ne 0 ]; then
        # A compiler's errors can stand far above the end of its output.
        { grep -E '(error|warning): ' "$log" | sort -u | head -n 40 || true; } >&2
        tail -n 30 "$log" >&2
        say "failed ($status): $what"
        return "$status"
    fi
    [ ! -t 2 ] || say "$what: done in $((SECONDS - start)) s"
}

# wait_for SECONDS WHAT COMMAND...: waits until COMMAND succeeds.
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || {
            say "waited too long for $what"
            return 1
        }
        sleep 0.05
    done
}

# --- ports ------------------------------------------------------------------------------------------------------

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port NAME: sets the variable NAME to a port nobody listens on, below the range the kernel gives to clients. Two
# scripts could still draw the same one: whoever starts a server tries again with another when it does not come up.
ports_given=" "
free_port() {
    # Names of its own: a caller's variable of the same name would be hidden.
    local -n free_port_wanted=$1
    local free_port_i free_port_drawn
    for ((free_port_i = 0; free_port_i < 200; free_port_i++)); do
        free_port_drawn=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        case $ports_given in *" $free_port_drawn "*) continue ;; esac
        if ! port_taken "$free_port_drawn"; then
            ports_given+="$free_port_drawn "
            free_port_wanted=$free_port_drawn
            return 0
        fi
    done
    die "found no free port between 20000 and 31999"
}
