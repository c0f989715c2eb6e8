# shellcheck shell=bash disable=SC2154 # scripts/bench sets what is used
# The part of scripts/bench that looks at urgent jobs among many others. Source it after tools.sh.

backlog=20000

# urgent QUEUE COUNT SECONDS OUT: jobs of priority 9, 5 a second; SECONDS after the last one it waits no longer.
urgent() {
    loadgen openloop --queue "$1" --reply "$reply" --n "$2" --rate 5 --priority 9 --check q --timeout "$3" >"$4"
}

# press QUEUE: bulk jobs keep the model busy, and the rest of them waits in QUEUE. All come at once, so the first round of
# calls begins at once, too.
press() {
    loadgen fill --queue "$1" --reply "" --n "$backlog" --priority 0 >"$work/fill.out"
    sleep 2
}

run_priority() {
    local who limit=30 settings=(PARLEY_RETRIEVAL_MODE=never PARLEY_WORKER_PREFETCH=128 PARLEY_MODEL_MAX_CONCURRENCY=64)
    for who in "${workers[@]}"; do
        priority_in bench.priority
        priority_in bench.fifo
    done
    row "priority 9, nothing else to do, p50 ms" priority.alone_p50 0 ""
    row "priority 9, nothing else to do, p99 ms" priority.alone_p99 0 ""
    row "priority 9, $backlog bulk jobs wait, p50 ms" priority.behind_p50 0 ""
    row "priority 9, $backlog bulk jobs wait, p99 ms" priority.behind_p99 0 ""
    row "  the latter over p50 with nothing else to do" priority.ratio 2 "at most 1.5"
    row "  in a FIFO queue: of 20, answered within $limit s" priority.fifo_got 0 ""
    row "  in a FIFO queue: p99 ms of those" priority.fifo_p99 0 ""
}

priority_in() {
    local queue=$1 saturated
    start_backend --llm_ms 800 --slots 64
    start_consumer "$who" rag "${rag_settings[@]}" "${settings[@]}" PARLEY_QUEUE_NAME="$queue"
    if [ "$queue" = bench.priority ]; then
        progress_on "priority: nothing else to do, $who"
        urgent "$queue" 200 30 "$work/alone"
        complete "$work/alone"
        note priority.alone_p50 "$who" "$(field "$work/alone" p50_ms)"
        note priority.alone_p99 "$who" "$(field "$work/alone" p99_ms)"
        progress_off
    fi
    progress_on "priority: $backlog bulk jobs in $queue, $who"
    press "$queue"
    if [ "$queue" = bench.priority ]; then
        urgent "$queue" 200 60 "$work/out"
        complete "$work/out"
        note priority.behind_p50 "$who" "$(field "$work/out" p50_ms)"
        note priority.behind_p99 "$who" "$(field "$work/out" p99_ms)"
        note priority.ratio "$who" "$(calc "$(field "$work/out" p99_ms) / $(field "$work/alone" p50_ms)")"
    else
        urgent "$queue" 20 "$limit" "$work/out" || [ $? -eq 3 ]
        note priority.fifo_got "$who" "$(field "$work/out" got)"
        note priority.fifo_p99 "$who" "$(field "$work/out" p99_ms)"
    fi
    saturated=$(backend_figure .chat.inflight)
    rabbitmq_control -q purge_queue "$queue" >/dev/null
    stop_consumer "$who"
    stop_backend
    clear_away
    progress_off
    [ "$saturated" -ge 50 ] || {
        say "the model was not busy: $saturated of 64 calls"
        return 1
    }
}
