# shellcheck shell=bash disable=SC2154 # scripts/bench sets what is used
# The parts of scripts/bench that ask no model. Source it after tools.sh.

echo_settings=(PARLEY_MODEL_URL=builtin:echo PARLEY_RETRIEVAL_MODE=never PARLEY_WORKER_PREFETCH=1000)

# drain_jobs WHO COUNT OUT: COUNT jobs fill the queue, then WHO works them off. A consumer that runs already is the
# caller's, and named by `consumer_runs`.
drain_jobs() {
    local who=$1 count=$2 out=$3 run drain
    run=$(new_run)
    loadgen fill --queue "$queue" --reply "$reply" --n "$count" --run "$run" >"$work/fill.out"
    spawn "$out" "$work/bin/loadgen" drain --reply "$reply" --n "$count" --run "$run" --timeout 60
    drain=$spawned
    wait_for 10 "the reply counter" grep -q '^READY' "$out"
    [ -n "${consumer_runs-}" ] || start_consumer "$who" echo "${echo_settings[@]}"
    wait_child "$drain"
    complete "$out"
}

run_echo() {
    local round who
    for ((round = 1; round <= rounds; round++)); do
        for who in "${everybody[@]}"; do
            progress_on "echo: round $round of $rounds, $who"
            drain_jobs "$who" "$jobs" "$work/out"
            note echo.rate "$who" "$(field "$work/out" rate_marked)"
            note echo.cpu "$who" "$(calc "$(cpu_seconds "$consumer") * 1000 / $jobs" 4)"
            stop_consumer "$who"
            clear_away
            progress_off
        done
    done
    row "echo, jobs/s" echo.rate 0 "at least 0.9 of the floor"
    row "echo, CPU s per 1,000 jobs (with start-up)" echo.cpu 3 "at most 0.025"
}

run_pingpong() {
    local round who
    for ((round = 1; round <= rounds; round++)); do
        for who in "${everybody[@]}"; do
            progress_on "pingpong: round $round of $rounds, $who"
            start_consumer "$who" echo "${echo_settings[@]}"
            loadgen pingpong --queue "$queue" --reply "$reply" --n 2200 --warm 200 --timeout 20 >"$work/out"
            complete "$work/out"
            note pingpong.p50 "$who" "$(field "$work/out" p50_ms)"
            note pingpong.p99 "$who" "$(field "$work/out" p99_ms)"
            stop_consumer "$who"
            clear_away
            progress_off
        done
    done
    row "one at a time, p50 ms" pingpong.p50 3 "at most 1.2 of the floor"
    row "one at a time, p99 ms" pingpong.p99 3 "at most 1.3 of the floor"
}

run_start() {
    local round who run drain before after
    for ((round = 1; round <= rounds + 2; round++)); do
        for who in "${everybody[@]}"; do
            progress_on "start: round $round, $who"
            run=$(new_run)
            loadgen fill --queue "$queue" --reply "$reply" --n 1 --run "$run" >"$work/fill.out"
            spawn "$work/out" "$work/bin/loadgen" drain --reply "$reply" --n 1 --run "$run" --timeout 30 --mark 0
            drain=$spawned
            wait_for 10 "the reply counter" grep -q '^READY' "$work/out"
            before=$EPOCHREALTIME
            # Not through start_worker, which waits until it is ready.
            case $who in
                worker) spawn "$work/worker.log" env PARLEY_ADMIN_LISTEN=off "${echo_settings[@]}" "$parley" worker ;;
                against) spawn "$work/worker.log" env PARLEY_ADMIN_LISTEN=off "${echo_settings[@]}" "$BENCH_AGAINST" worker ;;
                *) start_consumer "$who" echo ;;
            esac
            consumer=$spawned worker_pid=$spawned
            wait_child "$drain"
            after=$EPOCHREALTIME
            complete "$work/out"
            note start "$who" "$(calc "($after - $before) * 1000" 1)"
            stop_consumer "$who"
            clear_away
            progress_off
        done
    done
    row "start to first reply, ms" start 1 "at most 30"
}

run_memory() {
    local who chunk model_ms
    for who in "${workers[@]}"; do
        # 335 jobs a second: the load generator does not become what is measured.
        for model_ms in 6000 30000; do
            progress_on "memory: $((model_ms / 3)) in flight, $who"
            start_backend --llm_ms "$model_ms" --slots 16384
            start_consumer "$who" rag "${rag_settings[@]}" PARLEY_WORKER_PREFETCH=16384 PARLEY_MODEL_MAX_CONCURRENCY=16384
            loadgen openloop --queue "$queue" --reply "$reply" --n "$((model_ms / 2))" --rate 335 --check "$check" \
                --timeout 120 >"$work/out"
            complete "$work/out"
            note "memory.in_flight.$model_ms" "$who" "$(memory_of "$consumer" VmHWM)"
            note "memory.calls.$model_ms" "$who" "$(backend_figure .chat.max_inflight)"
            stop_consumer "$who"
            stop_backend
            clear_away
            progress_off
        done

        start_consumer "$who" echo "${echo_settings[@]}"
        local consumer_runs=yes
        for chunk in 1 2 3 4 5; do
            progress_on "memory: jobs $(((chunk - 1) * 20000 + 1)) to $((chunk * 20000)), $who"
            drain_jobs "$who" 20000 "$work/out"
            [ "$chunk" -gt 1 ] || note memory.early "$who" "$(memory_of "$consumer" VmRSS)"
            [ "$chunk" -lt 5 ] || note memory.late "$who" "$(memory_of "$consumer" VmRSS)"
            clear_redis
            progress_off
        done
        stop_consumer "$who"
        consumer_runs=
        clear_away
    done
    row "memory MB, 2,000 jobs in flight" memory.in_flight.6000 1 "under 100"
    row "  calls in flight at the model" memory.calls.6000 0 "about 2,000"
    row "memory MB, 10,000 jobs in flight" memory.in_flight.30000 1 "at most 150, and the answers"
    row "  calls in flight at the model" memory.calls.30000 0 "about 10,000"
    # Each has an answer of its own, which is kept for a while.
    row "memory MB after 20,000 jobs" memory.early 1 ""
    row "memory MB after 100,000 jobs" memory.late 1 "cache.memory and 60 MB: 124"
}
