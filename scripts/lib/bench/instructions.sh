# shellcheck shell=bash disable=SC2154 # scripts/bench sets what is used
# The part of scripts/bench that counts: instructions (callgrind) and allocations of a job. Unlike times they are nearly the
# same on any machine, so those of the last change are kept in instructions.tsv, and a change that costs 5 % is seen.
# What starting costs is taken off: each figure is the difference of two runs, by the jobs that one has more.

counted_few=100 counted_many=500
recorded=$tools/instructions.tsv

# answer_counted WHO KIND COUNT: COUNT jobs, answered by WHO under what `counting` says.
answer_counted() {
    local who=$1 kind=$2 count=$3
    case $kind in
        echo) drain_jobs "$who" "$count" "$work/out" ;;
        rag)
            start_backend --slots 8192
            start_consumer "$who" rag "${rag_settings[@]}" PARLEY_WORKER_WINDOW=1
            # Slowly: under callgrind a job takes fifty times as long, and each shall be alone in its window.
            loadgen openloop --queue "$queue" --reply "$reply" --n "$count" --rate 15 --check "$check" \
                --timeout 120 >"$work/out"
            complete "$work/out"
            ;;
    esac
    stop_consumer "$who"
    [ "$kind" = echo ] || stop_backend
    clear_away
}

# count_instructions WHO KIND COUNT: prints those of a whole run.
count_instructions() {
    local file=$work/callgrind.out
    rm -f "$file"
    under=(valgrind -q --tool=callgrind --callgrind-out-file="$file")
    answer_counted "$@" >&2
    under=()
    awk '/^(totals|summary):/ { print $2; exit }' "$file"
}

# count_allocations WHO KIND COUNT: likewise.
count_allocations() {
    local file=$work/allocations.out
    rm -f "$file"
    under=(env LD_PRELOAD="$work/bin/allocations.so" ALLOCATIONS_FILE="$file")
    answer_counted "$@" >&2
    under=()
    cat "$file"
}

# per_job COUNTER WHO KIND: the difference of two runs, by job.
per_job() {
    local counter=$1 few many
    shift
    few=$("$counter" "$@" "$counted_few")
    many=$("$counter" "$@" "$counted_many")
    calc "($many - $few) / ($counted_many - $counted_few)" 0
}

run_instructions() {
    local who kind what value
    ensure_packages valgrind
    gcc -O2 -fno-builtin-malloc -shared -fPIC -o "$work/bin/allocations.so" "$tools/allocations.c"
    for kind in echo rag; do
        for who in "${counted[@]}"; do
            for what in instructions allocations; do
                progress_on "counting: $what of a job, $kind, $who"
                value=$(per_job "count_$what" "$who" "$kind")
                note "$kind.$what" "$who" "$value"
                progress_off
            done
        done
        for what in instructions allocations; do
            row "$kind, $what a job" "$kind.$what" 0 "recorded: $(recorded_figure "$kind" "$what")"
        done
    done
    [ -z "${BENCH_RECORD-}" ] || record_figures
}

recorded_figure() {
    [ ! -f "$recorded" ] || awk -F '\t' -v kind="$1" -v what="$2" '$1 == kind && $2 == what { print $3 }' "$recorded"
}

record_figures() {
    local kind what
    {
        printf '# What a job costs the worker, as scripts/bench instructions counted it last (BENCH_RECORD=1).\n'
        for kind in echo rag; do
            for what in instructions allocations; do
                printf '%s\t%s\t%s\n' "$kind" "$what" "$(calc "$(median "$kind.$what" worker)" 0)"
            done
        done
    } >"$recorded"
}
