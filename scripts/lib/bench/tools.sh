# shellcheck shell=bash disable=SC2034,SC2154 # other files use what is set here, and set what is used
# What the parts of scripts/bench share: its instruments, whom it measures, and its figures. Source it after common.sh,
# servers.sh and parley.sh, call `begin` first.

# --- instruments --------------------------------------------------------------------------------------------------

tools=$root/scripts/lib/bench

build_tools() {
    local name
    mkdir -p "$work/bin"
    for name in loadgen floor ragfloor backend; do
        step "building the instruments: $name" gcc -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror \
            -o "$work/bin/$name" "$tools/$name.c" -lrabbitmq -lhiredis -lcurl -lm
    done
}

# build_go_peer: fails, with the reason said, when it cannot be built.
build_go_peer() {
    local libraries=/usr/share/gocode
    command -v go >/dev/null 2>&1 || return 1
    if [ ! -d "$libraries/src/github.com/rabbitmq/amqp091-go" ] || [ ! -d "$libraries/src/github.com/gomodule/redigo" ]; then
        say "without the Go peer: install golang-github-rabbitmq-amqp091-go-dev golang-github-gomodule-redigo-dev"
        return 1
    fi
    step "building the Go peer" env GO111MODULE=off GOPATH="$libraries" GOCACHE="$work/go" \
        go build -o "$work/bin/gopeer" "$tools/gopeer/main.go" || {
        say "without the Go peer"
        return 1
    }
}

# build_python_peer: fails, with the reason said, when it cannot be had.
build_python_peer() {
    python_environment bench aio-pika==9.5.5 redis==5.2.1 aiohttp==3.11.18 uvloop==0.21.0 || {
        say "without the Python peer"
        return 1
    }
}

loadgen() { "$work/bin/loadgen" "$@"; }

# field FILE NAME: of the RESULT line that loadgen prints.
field() { sed -n 's/^RESULT //p' "$1" | jq -r --arg name "$2" '.[$name]'; }

# complete FILE: every reply came, once, and was right.
complete() {
    sed -n 's/^RESULT //p' "$1" | jq -e '.got == .n and .wrong == 0 and .errors == 0 and .unknown == 0' >/dev/null || {
        cat "$1" >&2
        say "replies are missing or wrong"
        return 1
    }
}

new_run() { printf '%08x' $((RANDOM * 32768 * 2 + RANDOM + 1)); }

# clear_away: what a round leaves behind must not be in the next one's way.
clear_away() {
    loadgen clear --queue "$queue" --reply "$reply"
    clear_redis
}
clear_redis() { redis-cli -h 127.0.0.1 -p "$redis_port" flushall >/dev/null; }

backend_port=
backend_pid=
# start_backend OPTION...: sets rag_settings.
start_backend() {
    free_port backend_port
    spawn "$work/backend.log" "$work/bin/backend" --port "$backend_port" "$@"
    backend_pid=$spawned
    wait_for 10 "the simulated back-end" curl -sf -m 2 "http://127.0.0.1:$backend_port/healthz"
    rag_settings=(
        PARLEY_MODEL_URL="http://127.0.0.1:$backend_port/v1" PARLEY_MODEL_NAME=fake
        PARLEY_EMBEDDINGS_URL="http://127.0.0.1:$backend_port/v1" PARLEY_EMBEDDINGS_MODEL=fake-embed
        PARLEY_VECTORS_URL="chroma+http://127.0.0.1:$backend_port/docs" PARLEY_RETRIEVAL_MODE=always
    )
}
stop_backend() { stop_child "$backend_pid" || true; }
# backend_figure NAME: of GET /stats, as jq names it.
backend_figure() { curl -sf "http://127.0.0.1:$backend_port/stats" | jq -r "$1"; }

# --- whom it measures ---------------------------------------------------------------------------------------------

# floor: the C program; worker: Parley; go, python, agent (batches of 8 or 50 ms, in Python): the peers; against: another Parley (BENCH_AGAINST).
everybody=(floor worker)
workers=(worker)
# Those whose instructions are counted.
counted=(floor worker)

consumer=
# start_consumer WHO echo|rag SETTING...: its pid is in `consumer`. What is no Parley gets its settings from BACKEND_URL
# and the environment.
start_consumer() {
    local who=$1 kind=$2 parley=$parley
    shift 2
    local backend=BACKEND_URL=http://127.0.0.1:$backend_port
    case $who.$kind in
        floor.echo) spawn "$work/floor.log" "${under[@]}" "$work/bin/floor" ;;
        floor.rag) spawn "$work/floor.log" env "$backend" "${under[@]}" "$work/bin/ragfloor" ;;
        go.echo) spawn "$work/go.log" env ECHO=1 "$work/bin/gopeer" ;;
        go.rag) spawn "$work/go.log" env "$backend" "$work/bin/gopeer" ;;
        agent.rag) spawn "$work/python.log" env "$backend" BATCH=8 BATCH_MS=50 "$cache/venv/bench/bin/python" "$tools/pypeer.py" ;;
        python.rag) spawn "$work/python.log" env "$backend" "$cache/venv/bench/bin/python" "$tools/pypeer.py" ;;
        *)
            local settings=("$@")
            if [ "$who" = against ]; then
                parley=$BENCH_AGAINST
                # An older program does not know all keys of today's file, whose defaults are the program's own.
                settings+=(PARLEY_CONFIG=/dev/null)
            fi
            start_worker "$work/worker.log" "${settings[@]}"
            spawned=$worker_pid
            ;;
    esac
    consumer=$spawned
}

stop_consumer() {
    case $1 in
        floor | go | python | agent) stop_child "$consumer" || true ;;
        *) stop_worker "$work/worker.log" ;;
    esac
}

# wait_child PID: its own status; it is no longer ours to stop.
wait_child() {
    local status=0
    wait "$1" || status=$?
    forget_child "$1"
    return "$status"
}

# --- figures ------------------------------------------------------------------------------------------------------

ticks=$(getconf CLK_TCK)
# cpu_seconds PID: user and system time so far. The name in the second field may hold spaces: cut it off first.
cpu_seconds() { sed 's/.*) //' "/proc/$1/stat" | awk -v hz="$ticks" '{ printf "%.3f", ($12 + $13) / hz }'; }
# memory_of PID FIELD: MB; VmRSS now, VmHWM at most so far.
memory_of() { awk -v field="$2:" '$1 == field { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
# calc EXPRESSION [DIGITS]
calc() { awk "BEGIN { printf \"%.${2:-2}f\", $1 }"; }

# note SERIES WHO VALUE: one figure of one round.
note() { printf '%s\n' "$3" >>"$work/series.$1.$2"; }

# median SERIES WHO: nothing when there is no figure.
median() {
    [ ! -f "$work/series.$1.$2" ] || sort -g "$work/series.$1.$2" | awk '{ v[NR] = $1 } END {
        print (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# row LABEL SERIES DIGITS TARGET: the medians of everybody, and the worker's ratio to the floor and to the other Parley.
row() {
    local who value worker line=$1
    worker=$(median "$2" worker)
    for who in "${everybody[@]}"; do
        value=$(median "$2" "$who")
        line+=$'\t'${value:+$(calc "$value" "$3")}
    done
    for who in floor against; do
        [[ " ${everybody[*]} " = *" $who "* ]] || continue
        value=$(median "$2" "$who")
        line+=$'\t'
        # A floor of nothing has no ratio.
        [ -z "$value" ] || [ "$(calc "$value" 6)" = 0.000000 ] || line+=$(calc "$worker / $value")
    done
    printf '%s\t%s\n' "$line" "${4-}" >>"$work/table"
}

# The table as a person reads it.
print_table() {
    local head="medians of $rounds rounds, interleaved" who
    for who in "${everybody[@]}"; do head+=$'\t'$who; done
    head+=$'\t/floor'
    [[ " ${everybody[*]} " != *" against "* ]] || head+=$'\t/against'
    { printf '%s\ttarget\n' "$head"; cat "$work/table"; } | awk -F '\t' '
        { printf "%-50s", $1; for (i = 2; i < NF; i++) printf " %10s", $i; printf "   %s\n", $NF }
        NR == 1 { line = sprintf("%*s", 61 + 11 * (NF - 2), ""); gsub(/ /, "-", line); print line }'
}
