# shellcheck shell=bash disable=SC2154 # scripts/bench sets what is used
# The part of scripts/bench in which people ask what others have asked: three in five of the questions are among 200, the n-th
# of which is asked 1 / n as often as the first (Zipf). A worker in Python that keeps answers in Redis does the same beside Parley.
# Source it after rag.sh.

run_repeats() {
    local round who repeated count before rate=300
    local settings=(PARLEY_WORKER_PREFETCH=4096 PARLEY_MODEL_MAX_CONCURRENCY=4096)
    count=$((rate * seconds))
    local asked=("${workers[@]}")
    if build_python_peer; then
        asked+=(python)
        [[ " ${everybody[*]} " == *" python "* ]] || everybody+=(python)
    fi
    for ((round = 1; round <= rounds; round++)); do
        for who in "${asked[@]}"; do
            for repeated in 0 60; do
                progress_on "repeats: round $round of $rounds, $repeated % repeated, $who"
                start_backend --slots 8192
                start_consumer "$who" rag "${rag_settings[@]}" "${settings[@]}"
                questions "$rate" "$rate" 99
                before=$(cpu_seconds "$consumer")
                questions "$count" "$rate" "$round" --repeats "$repeated"
                note "repeats.$repeated.cpu" "$who" "$(calc "($(cpu_seconds "$consumer") - $before) * 1000 / $count" 4)"
                note "repeats.$repeated.p99" "$who" "$(calc "$(field "$work/out" p99_ms) - $backend_ms")"
                note "repeats.$repeated.calls" "$who" "$(calc "$(field "$work/out" made) / $(field "$work/out" distinct)" 4)"
                if [ "$repeated" -gt 0 ]; then
                    note repeats.hit_p50 "$who" "$(field "$work/out" hit_p50_ms)"
                    note repeats.share "$who" "$(calc "100 * $(field "$work/out" hits) / $count")"
                    note repeats.ratio "$who" "$(calc "$(median repeats.60.cpu "$who") / $(median repeats.0.cpu "$who")" 4)"
                fi
                stop_consumer "$who"
                stop_backend
                clear_away
                progress_off
            done
        done
    done
    row "60 % repeated, model calls over distinct questions" repeats.60.calls 3 "at most 1.02"
    row "60 % repeated, answered from memory or Redis, %" repeats.share 0 ""
    row "60 % repeated, p50 ms of those" repeats.hit_p50 1 "under 3"
    row "60 % repeated, CPU over that of unique questions" repeats.ratio 2 "at most 0.5"
    row "60 % repeated, p99 ms above the back-end's" repeats.60.p99 1 "as without"
    row "  the same without repeats" repeats.0.p99 1 ""
}
