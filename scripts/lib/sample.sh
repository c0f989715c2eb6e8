# shellcheck shell=bash disable=SC2034 # other files use what is set here
# The sample knowledge base and its questions, put through a private set-up. Source it after parley.sh and servers.sh.

sample=$root/config/sample
replies_queue=chat.replies

# sample_servers: RabbitMQ with the development definitions, and Redis; the worker is `parley`, we are `producer`.
sample_servers() {
    progress_on "starting RabbitMQ and Redis"
    start_rabbitmq "$root/config/rabbitmq/definitions.json"
    start_redis
    progress_off
    PARLEY_RABBITMQ_URL=$(rabbitmq_url_for producer producer)
    # The producer may publish to this exchange and to no other.
    export PARLEY_QUEUE_EXCHANGE=chat
    export PARLEY_RABBITMQ_URL PARLEY_REDIS_URL=$redis_url PARLEY_VECTORS_URL=file:$work/knowledge.index
}

sample_ingest() {
    say "reading $(find "$sample/knowledge" -name '*.md' | wc -l) articles into an index"
    "$parley" ingest "$sample/knowledge" >"$work/ingest.out" || die "parley ingest failed"
}

# Three agents, who answer from the same index: an article in a folder of the agent's name comes before others. An agent is there
# as soon as it has a setting; this one is the default's.
sample_agents() {
    local agent
    for agent in PRESALE AFTERSALE LOGISTICS; do export "PARLEY_AGENTS_${agent}_RETRIEVAL_MODE=auto"; done
}

sample_worker() { start_worker "$work/worker.log" PARLEY_RABBITMQ_URL="$(rabbitmq_url_for parley parley)"; }

# sample_jobs EVERY OPTIONS [AGENT]: every EVERYth question as a job that wants its reply on our queue and carries the names of
# the article and the agent that it is for in its metadata. Who answers is the router's choice; AGENT answers the Chinese ones.
sample_jobs() {
    jq -c --argjson every "$1" --argjson options "$2" --arg queue "$replies_queue" --arg chinese "${3-}" \
        'select((input_line_number - 1) % $every == 0)
         | {id, query, reply_to: $queue, options: $options, metadata: {article, lang, agent}}
           + (if .lang == "zh" and $chinese != "" then {agent: $chinese} else {} end)' \
        "$sample/questions.jsonl" >"$work/jobs.jsonl"
    jobs_count=$(wc -l <"$work/jobs.jsonl")
}

# sample_run LIMIT: publishes the jobs and collects one reply for each in $work/replies.jsonl.
sample_run() {
    say "publishing $jobs_count questions"
    "$parley" publish "$work/jobs.jsonl" >"$work/publish.out" || die "parley publish failed"
    progress_on "waiting for $jobs_count replies"
    "$parley" replies "$replies_queue" --count "$jobs_count" --timeout "$1" \
        >"$work/replies.jsonl" 2>"$work/replies.log" || {
        progress_off
        tail -n 20 "$work/replies.log" "$work/worker.log" >&2
        die "only $(wc -l <"$work/replies.jsonl") of $jobs_count replies came within $1"
    }
    progress_off
    jq -es --argjson n "$jobs_count" 'map(.id) | unique | length == $n' "$work/replies.jsonl" >/dev/null ||
        die "the replies are not one for each of the $jobs_count questions"
}
