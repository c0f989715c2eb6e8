# shellcheck shell=bash disable=SC2034,SC2154 # root, work, cache and the servers' addresses are set by what is sourced before
# Clients that others wrote, on a worker. Source it after install.sh, python.sh, servers.sh and parley.sh.

known_clients=(pika aio-pika kombu bunny php-amqplib amqp091-go java perl amqp-tools)
clients_from_pypi=(pika==1.4.4 aio-pika==10.2.1 kombu==5.7.0)
# Where Debian's Go and Java libraries lie.
go_libraries=/usr/share/gocode
java_libraries=/usr/share/java/amqp-client.jar:/usr/share/java/slf4j-api.jar:/usr/share/java/slf4j-nop.jar

# client_packages CLIENT: the Debian packages that it comes with.
client_packages() {
    case $1 in
        bunny) echo ruby-bunny ;;
        php-amqplib) echo php-cli php-amqplib ;;
        amqp091-go) echo golang-go golang-github-rabbitmq-amqp091-go-dev ;;
        java) echo default-jdk-headless librabbitmq-client-java ;;
        perl) echo libanyevent-rabbitmq-perl ;;
        amqp-tools) echo amqp-tools ;;
    esac
}

# prepare_client CLIENT: false when it cannot be had.
prepare_client() {
    local packages
    case $1 in
        pika | aio-pika | kombu) python_environment clients "${clients_from_pypi[@]}" && return ;;
    esac
    read -ra packages <<<"$(client_packages "$1")"
    # In a shell of its own, which it ends when a package cannot be had.
    (ensure_packages "${packages[@]}") || return 1
    [ "$1" != amqp091-go ] || step "building the Go client" env GO111MODULE=off GOPATH="$go_libraries" GOCACHE="$work/go" \
        go build -o "$work/asker" "$root/scripts/lib/clients/go/main.go"
}

# ask_with CLIENT: jobs on the running worker; says `ok` or why not.
ask_with() {
    # A slash at the end is a virtual host without a name to some.
    local client=$1 here=$root/scripts/lib/clients broker=${rabbitmq_url%/}/%2F
    set -- "$broker" chat.jobs
    case $client in
        bunny) ruby "$here/bunny.rb" "$@" ;;
        php-amqplib) php "$here/amqplib.php" "$@" ;;
        amqp091-go) "$work/asker" "$@" ;;
        java) java -Dfile.encoding=UTF-8 -cp "$java_libraries" "$here/java/Asker.java" "$@" ;;
        perl) perl "$here/anyevent.pl" "$@" ;;
        amqp-tools) ask_with_amqp_tools ;;
        *) "$cache/venv/clients/bin/python" "$here/python.py" "$client" "$@" ;;
    esac
}

# ask_with_amqp_tools: one job from a shell, as Debian's amqp-tools do it; they know no message_id, the body has the id.
ask_with_amqp_tools() {
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
    local client passed=0 failed=0 missing=() words
    parley=$1
    start_worker "$work/worker.log" PARLEY_RABBITMQ_URL="$rabbitmq_url" PARLEY_REDIS_URL="$redis_url" \
        PARLEY_MODEL_URL=builtin:echo PARLEY_RETRIEVAL_MODE=never
    for client in "${known_clients[@]}"; do
        prepare_client "$client" || {
            missing+=("$client")
            continue
        }
        if words=$(ask_with "$client" 2>&1); then passed=$((passed + 1)); else failed=$((failed + 1)); fi
        say "$client: $words"
    done
    if [ ${#missing[@]} -gt 0 ]; then
        say "cannot be had (reason above), and skipped: ${missing[*]}"
        [ -z "${CI-}" ] || die "${#missing[@]} clients cannot be had, and CI must not skip them"
    fi
    echo "$passed passed, $failed failed, ${#missing[@]} skipped"
    [ "$failed" -eq 0 ] && stop_worker "$work/worker.log"
}
