# shellcheck shell=bash disable=SC2154 # scripts/bench sets what is used
# The part of scripts/bench that asks an embedder, a vector store and a model. Source it after tools.sh.

# What the simulated services take for a job that is alone in its window, with no worker around: 5.5 + 122 + 800 ms.
backend_ms=927.5

# questions COUNT RATE SEED [OPTION VALUE]...: all of them answered, and rightly.
questions() {
    loadgen openloop --queue "$queue" --reply "$reply" --n "$1" --rate "$2" --seed "$3" --check "$check" \
        --timeout 60 "${@:4}" >"$work/out"
    complete "$work/out"
}

# count_system_calls WHO RATE: of one job, over three seconds of them. What counts them slows the consumer a little: they
# are jobs of their own.
count_system_calls() {
    local count=$(($2 * 3)) counter
    perf_can_count || return 0
    spawn "$work/perf.out" perf stat -x , -e raw_syscalls:sys_enter -p "$consumer"
    counter=$spawned
    questions "$count" "$2" 77
    kill -INT "$counter"
    wait_child "$counter" || true
    note "rag.$2.calls" "$1" "$(calc "$(sed -n 's/^\([0-9]*\),.*sys_enter.*/\1/p' "$work/perf.out") / $count" 1)"
}
perf_can_count() { perf stat -e raw_syscalls:sys_enter true >/dev/null 2>&1; }

run_rag() {
    local round rate who count before
    # Room for all that can be in flight at the highest rate.
    local -x PREFETCH=4096
    local settings=(PARLEY_WORKER_PREFETCH=4096 PARLEY_MODEL_MAX_CONCURRENCY=4096)
    local asked=("${everybody[@]}")
    if build_python_peer; then
        everybody+=(agent)
        # It falls behind above that.
        local agents_rate=300
    fi
    for ((round = 1; round <= rounds; round++)); do
        for rate in "${rates[@]}"; do
            for who in "${asked[@]}" $([ "$rate" -gt "${agents_rate-0}" ] || echo agent); do
                progress_on "rag: round $round of $rounds, $rate questions/s, $who"
                start_backend --slots 8192
                start_consumer "$who" rag "${rag_settings[@]}" "${settings[@]}"
                # The first jobs open connections and fill caches of the system: they are not what is measured.
                questions "$rate" "$rate" 99
                count=$((rate * seconds))
                before=$(cpu_seconds "$consumer")
                questions "$count" "$rate" "$round"
                note "rag.$rate.cpu" "$who" "$(calc "($(cpu_seconds "$consumer") - $before) * 1000 / $count" 4)"
                note "rag.$rate.p50" "$who" "$(calc "$(field "$work/out" p50_ms) - $backend_ms")"
                note "rag.$rate.p99" "$who" "$(calc "$(field "$work/out" p99_ms) - $backend_ms")"
                note "rag.$rate.memory" "$who" "$(memory_of "$consumer" VmHWM)"
                [ "$round" -gt 1 ] || count_system_calls "$who" "$rate"
                stop_consumer "$who"
                stop_backend
                clear_away
                progress_off
            done
        done
    done
    for rate in "${rates[@]}"; do
        local above=3
        [ "$rate" -le 300 ] || above=5
        [ "$rate" -le 600 ] || above=10
        row "$rate questions/s, p50 ms above the back-end's" "rag.$rate.p50" 1 ""
        row "$rate questions/s, p99 ms above the back-end's" "rag.$rate.p99" 1 "below Go's; $above ms above the floor's"
        row "$rate questions/s, CPU s per 1,000 jobs" "rag.$rate.cpu" 3 "at most 1.5 of the floor"
        row "$rate questions/s, system calls a job" "rag.$rate.calls" 1 ""
        row "$rate questions/s, memory MB" "rag.$rate.memory" 1 "$([ "$rate" -ne 300 ] || echo "below Go's")"
    done
}
