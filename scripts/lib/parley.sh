# shellcheck shell=bash disable=SC2034 # other files use what is set here
# The built program, and workers run from it. Source it after common.sh.

parley=

# build_release: sets `parley` to the release binary; PARLEY_BINARY names one that is there already.
build_release() {
    if [ -n "${PARLEY_BINARY-}" ]; then
        [ -x "$PARLEY_BINARY" ] || die "PARLEY_BINARY names no program: $PARLEY_BINARY"
        parley=$PARLEY_BINARY
        return 0
    fi
    # One binary without the symbols: it starts sooner and calls the runtime directly, which a tenth of its CPU was spent on.
    local flags=(-c release --static-swift-stdlib -Xlinker -s --package-path "$root")
    step "building (release; minutes the first time)" swift build --product parley "${flags[@]}"
    parley=$(swift build "${flags[@]}" --show-bin-path)/parley
    [ -x "$parley" ] || die "the build left no $parley"
}

# forget_settings: what the caller's shell sets must not leak into private runs; from here on the settings are the
# annotated defaults of config/parley.yaml, read as a file so that they are tried too.
forget_settings() {
    local name
    for name in ${!PARLEY_RABBITMQ_*} ${!PARLEY_REDIS_*} ${!PARLEY_QUEUE_*} ${!PARLEY_WORKER_*} ${!PARLEY_ADMIN_*} \
        ${!PARLEY_MODEL_*} ${!PARLEY_EMBEDDINGS_*} ${!PARLEY_VECTORS_*} ${!PARLEY_RETRIEVAL_*} ${!PARLEY_RESULTS_*} \
        ${!PARLEY_RETRY_*} ${!PARLEY_PRIORITY_*} ${!PARLEY_LIMITS_*} ${!PARLEY_REPLY_*} ${!PARLEY_MODELS_*} \
        ${!PARLEY_TENANTS_*} ${!PARLEY_PROMPT_*} ${!PARLEY_LOG_*} ${!PARLEY_CACHE_*} ${!PARLEY_RERANK_*} \
        ${!PARLEY_ROUTING_*} ${!PARLEY_AGENTS_*} ${!PARLEY_OBJECTS_*} ${!PARLEY_STREAM_*} ${!PARLEY_SECRETS_*} \
        ${!PARLEY_ANALYTICS_*} ${!PARLEY_DEAD_*} ${!PARLEY_DELAYS_*} ${!PARLEY_AUDIT_*} OPENAI_API_KEY; do
        unset "$name"
    done
    sed 's/^#//' "$root/config/parley.yaml" >"$work/parley.yaml"
    export PARLEY_CONFIG=$work/parley.yaml
}

worker_pid=
worker_admin=
# What the worker is run under: a command and its arguments.
under=()

# start_worker LOG [NAME=VALUE...]: a worker with these settings over the exported ones, ready when this returns.
# Sets worker_pid and worker_admin (its http://host:port).
start_worker() {
    local log=$1 port deadline
    shift
    free_port port
    worker_admin=http://127.0.0.1:$port
    spawn "$log" env PARLEY_ADMIN_LISTEN="127.0.0.1:$port" "$@" "${under[@]}" "$parley" worker
    worker_pid=$spawned
    deadline=$((SECONDS + 60))
    until curl -sf -m 2 -o /dev/null "$worker_admin/readyz"; do
        if ! alive "$worker_pid" || [ "$SECONDS" -ge "$deadline" ]; then
            tail -n 30 "$log" >&2
            say "the worker did not become ready within 60 s"
            return 1
        fi
        sleep 0.02
    done
}

# stop_worker LOG: SIGTERM must end it with status 0.
stop_worker() {
    local status=0
    stop_child "$worker_pid" 40 || status=$?
    [ "$status" -eq 0 ] || {
        tail -n 30 "$1" >&2
        say "the worker ended with status $status"
        return 1
    }
}

# window_sizes METRICS: "18 windows, 2.2 jobs on average, 16 at most" from Prometheus text; the last figure is the
# bound of the highest bucket that holds a window.
window_sizes() {
    awk '
        /^parley_window_size_sum/ { sum += $NF }
        /^parley_window_size_count/ { count += $NF }
        /^parley_window_size_bucket/ {
            bound = $0; sub(/.*le="/, "", bound); sub(/".*/, "", bound)
            if (bound != "+Inf") { if (!(bound in held)) order[++n] = bound; held[bound] += $NF }
        }
        END {
            if (!count) { print "none"; exit 1 }
            most = ""
            for (i = 1; i <= n; i++) if (held[order[i]] > (i > 1 ? held[order[i - 1]] : 0)) most = order[i]
            printf "%d windows, %.1f jobs on average", count, sum / count
            if (most != "") printf ", at most %d", most
            print ""
        }' "$1"
}
