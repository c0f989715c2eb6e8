# shellcheck shell=bash disable=SC2154 # root, work, cache and the servers' addresses are set by what is sourced before
# Clients that others wrote, on a worker. Source it after python.sh, servers.sh and parley.sh.

clients_from_pypi=(pika==1.4.4 aio-pika==10.2.1 kombu==5.7.0)

# ask_with_amqp_tools: one job from a shell, as Debian's amqp-tools do it; they know no message_id, the body has the id.
ask_with_amqp_tools() {
    # To these tools a slash at the end is a virtual host without a name.
    local queue=clients.$RANDOM$RANDOM deadline=$((SECONDS + 30)) url=${rabbitmq_url%/} reply
    amqp-declare-queue -u "$url" -q "$queue" >/dev/null || return 1
    amqp-publish -u "$url" -r chat.jobs -p -C application/json -t "$queue" \
        -b "{\"id\":\"$queue\",\"query\":\"from a shell\"}" || return 1
    until reply=$(amqp-get -u "$url" -q "$queue"); do
        [ "$SECONDS" -lt "$deadline" ] || break
        sleep 0.1
    done
    amqp-delete-queue -u "$url" -q "$queue" >/dev/null || true
    case $reply in
        *'"answer":"from a shell"'*) echo ok ;;
        *) echo "amqp-tools: the reply is '$reply'" && return 1 ;;
    esac
}

# test_clients BINARY: prints a line for each and what came of them; status 1 when one failed.
test_clients() {
    local client passed=0 failed=0 skipped=0 words
    parley=$1
    start_worker "$work/worker.log" PARLEY_RABBITMQ_URL="$rabbitmq_url" PARLEY_REDIS_URL="$redis_url" \
        PARLEY_MODEL_URL=builtin:echo PARLEY_RETRIEVAL_MODE=never
    for client in pika aio-pika kombu amqp-tools; do
        if [ "$client" = amqp-tools ]; then
            command -v amqp-publish >/dev/null 2>&1 || ensure_packages amqp-tools || {
                skipped=$((skipped + 1))
                continue
            }
            set -- ask_with_amqp_tools
        elif python_environment clients "${clients_from_pypi[@]}"; then
            set -- "$cache/venv/clients/bin/python" "$root/scripts/lib/clients.py" "$client" "$rabbitmq_url" chat.jobs
        else
            skipped=$((skipped + 1))
            continue
        fi
        if words=$("$@" 2>&1); then passed=$((passed + 1)); else failed=$((failed + 1)); fi
        say "$client: $words"
    done
    [ "$skipped" -eq 0 ] || [ -z "${CI-}" ] || die "$skipped clients cannot be had (reason above), and CI must not skip them"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ] && stop_worker "$work/worker.log"
}
