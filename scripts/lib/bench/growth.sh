# shellcheck shell=bash disable=SC2034,SC2154 # scripts/bench sets what is used, tools.sh uses what is set
# What a long backlog, and a second worker, change. Source it after echo.sh.

run_growth() {
    local round who count
    for ((round = 1; round <= rounds; round++)); do
        for count in 10 "$jobs" "$backlog"; do
            for who in "${everybody[@]}"; do
                progress_on "growth: round $round of $rounds, $count jobs, $who"
                drain_jobs "$who" "$count" "$work/out"
                if [ "$count" = 10 ]; then
                    note growth.few "$who" "$(calc "$(field "$work/out" span_s) * 1000" 2)"
                else
                    note "growth.rate.$count" "$who" "$(field "$work/out" rate_marked)"
                fi
                note "growth.memory.$count" "$who" "$(memory_of "$consumer" VmHWM)"
                stop_consumer "$who"
                clear_away
                progress_off
            done
        done
        for who in "${everybody[@]}"; do
            progress_on "growth: round $round of $rounds, two at once, $who"
            drain_by_two "$who"
            clear_away
            progress_off
        done
    done
    row "backlog of 10, ms from first to last reply" growth.few 2 ""
    for count in "$jobs" "$backlog"; do row "backlog of $count, jobs/s" "growth.rate.$count" 0 "the same, +- 10 %"; done
    for count in 10 "$jobs" "$backlog"; do row "  memory MB" "growth.memory.$count" 1 "flat"; done
    row "two at once, jobs/s" growth.two 0 "at least 0.9 of the floors"
}

# drain_by_two WHO: a backlog, by two consumers. What the first one does alone is before the mark of the counter.
drain_by_two() {
    local who=$1 run drain first first_worker
    run=$(new_run)
    loadgen fill --queue "$queue" --reply "$reply" --n "$((jobs * 2))" --run "$run" >"$work/fill.out"
    spawn "$work/out" "$work/bin/loadgen" drain --reply "$reply" --n "$((jobs * 2))" --run "$run" --timeout 60
    drain=$spawned
    wait_for 10 "the reply counter" grep -q '^READY' "$work/out"
    start_consumer "$who" echo "${echo_settings[@]}"
    first=$consumer first_worker=${worker_pid-}
    start_consumer "$who" echo "${echo_settings[@]}"
    wait_child "$drain"
    complete "$work/out"
    note growth.two "$who" "$(field "$work/out" rate_marked)"
    stop_consumer "$who"
    consumer=$first worker_pid=$first_worker
    stop_consumer "$who"
}
