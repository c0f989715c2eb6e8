# shellcheck shell=bash disable=SC2154 # scripts/bench sets what is used
# The part of scripts/bench that asks a model with several prompts in a call. Source it after echo.sh and rag.sh.

# A model takes so many calls at once, and prompts in a call.
feed_calls=8 feed_batch=16

# feed_settings FEED: how the model is asked.
feed_settings() {
    feed_with=(
        PARLEY_MODEL_FEED="$1" PARLEY_MODEL_MAX_BATCH="$feed_batch" PARLEY_MODEL_MAX_CONCURRENCY="$feed_calls"
        PARLEY_WORKER_PREFETCH=1024
    )
}

# saturate WHO FEED COUNT: COUNT jobs wait in the queue; jobs a second.
saturate() {
    local run drain
    run=$(new_run)
    loadgen fill --queue "$queue" --reply "$reply" --n "$3" --run "$run" >"$work/fill.out"
    spawn "$work/out" "$work/bin/loadgen" drain --reply "$reply" --n "$3" --run "$run" --timeout 60
    drain=$spawned
    wait_for 10 "the reply counter" grep -q '^READY' "$work/out"
    feed_settings "$2"
    start_consumer "$1" rag "${rag_settings[@]}" "${feed_with[@]}"
    wait_child "$drain"
    complete "$work/out"
    stop_consumer "$1"
}

run_feed() {
    local round who feed slope
    for ((round = 1; round <= rounds; round++)); do
        for who in "${workers[@]}"; do
            for slope in 0.032 0.1; do
                for feed in requests prompts; do
                    progress_on "feed: round $round of $rounds, $feed, each further prompt costs $slope, $who"
                    start_backend --llm_ms 200 --slots "$feed_calls" --batch_slope "$slope"
                    saturate "$who" "$feed" "$([ "$feed" = prompts ] && echo 4000 || echo 400)"
                    note "feed.$slope.$feed" "$who" "$(field "$work/out" rate_marked)"
                    stop_backend
                    clear_away
                    progress_off
                done
                note "feed.$slope" "$who" \
                    "$(calc "$(median "feed.$slope.prompts" "$who") / $(median "feed.$slope.requests" "$who")" 4)"
            done
            for feed in requests prompts; do
                progress_on "feed: round $round of $rounds, $feed, 5 questions/s, $who"
                start_backend --llm_ms 200 --slots "$feed_calls"
                feed_settings "$feed"
                start_consumer "$who" rag "${rag_settings[@]}" "${feed_with[@]}"
                questions 10 5 99
                questions 50 5 "$round"
                note "feed.calm.$feed" "$who" "$(field "$work/out" p50_ms)"
                stop_consumer "$who"
                stop_backend
                clear_away
                progress_off
            done
        done
    done
    for slope in 0.032 0.1; do
        row "$feed_calls calls of $feed_batch prompts (+ $slope for each further), × single ones" "feed.$slope" 1 \
            "at least $([ "$slope" = 0.1 ] && echo 5 || echo 9)"
    done
    row "5 questions/s in prompts, p50 ms" feed.calm.prompts 1 "2 more than in requests"
    row "  the same in requests" feed.calm.requests 1 ""
}
