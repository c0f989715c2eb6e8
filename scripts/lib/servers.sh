# shellcheck shell=bash disable=SC2034 # other files use what is set here
# Private servers on loopback: RabbitMQ and Redis. Source it after common.sh and call `begin` first.
# Each start_X sets X_url; each ends with the script, or by stop_child on X_pid.

attempts=3

# --- RabbitMQ ---------------------------------------------------------------------------------------------------

rabbitmq_url=
rabbitmq_pid=
rabbitmq_port=
rabbitmq_node=
rabbitmq_environment=()

# Debian's commands in /usr/sbin change user and folder; the server's own scripts do not. PARLEY_TEST_RABBITMQ_SBIN names
# a folder with others (use_rabbitmq in debian.sh sets it).
rabbitmq_command() {
    local found
    for found in "${PARLEY_TEST_RABBITMQ_SBIN:-/usr/lib/rabbitmq/bin}/$1" "$(command -v "$1" || true)"; do
        [ -x "$found" ] && { printf '%s' "$found"; return 0; }
    done
    die "found no $1: is rabbitmq-server installed?"
}

# start_rabbitmq DEFINITIONS: one node with no plugins, known to no other node. With a definitions file the users are
# that file's and rabbitmq_url names none; with '' it is the server's own `guest`.
start_rabbitmq() {
    local definitions=$1 try
    for ((try = 1; try <= attempts; try++)); do
        if rabbitmq_try "$definitions"; then return 0; fi
    done
    tail -n 30 "$work/rabbitmq/server.log" >&2 || true
    die "RabbitMQ did not start"
}

rabbitmq_try() {
    local definitions=$1 dir=$work/rabbitmq dist_port epmd_port epmd_pid
    free_port rabbitmq_port
    free_port dist_port
    free_port epmd_port
    rm -rf "$dir"
    mkdir -p "$dir/home" "$dir/data" "$dir/log"
    : >"$dir/env.conf"
    printf '[].\n' >"$dir/plugins"
    {
        printf 'listeners.tcp.1 = 127.0.0.1:%d\n' "$rabbitmq_port"
        printf 'log.console = true\nlog.console.level = warning\nlog.file = false\n'
        printf 'disk_free_limit.absolute = 64MB\n'
        [ -z "$definitions" ] || printf 'load_definitions = %s\n' "$definitions"
    } >"$dir/rabbitmq.conf"
    rabbitmq_node=parley-$$-$rabbitmq_port@localhost
    rabbitmq_environment=(
        HOME="$dir/home"
        RABBITMQ_NODENAME="$rabbitmq_node"
        RABBITMQ_NODE_IP_ADDRESS=127.0.0.1
        RABBITMQ_NODE_PORT="$rabbitmq_port"
        RABBITMQ_DIST_PORT="$dist_port"
        RABBITMQ_CONF_ENV_FILE="$dir/env.conf"
        RABBITMQ_CONFIG_FILE="$dir/rabbitmq.conf"
        RABBITMQ_CONFIG_FILES="$dir/conf.d"
        RABBITMQ_ADVANCED_CONFIG_FILE="$root/config/rabbitmq/advanced.config"
        RABBITMQ_ENABLED_PLUGINS_FILE="$dir/plugins"
        RABBITMQ_BASE="$dir"
        RABBITMQ_MNESIA_BASE="$dir/data"
        RABBITMQ_GENERATED_CONFIG_DIR="$dir/generated"
        RABBITMQ_SCHEMA_DIR="$dir/schema"
        RABBITMQ_LOG_BASE="$dir/log"
        RABBITMQ_PID_FILE="$dir/pid"
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
        # Without these the node would be found, and found out about, through a daemon shared by the whole machine.
        ERL_EPMD_ADDRESS=127.0.0.1
        ERL_EPMD_PORT="$epmd_port"
        ERL_CRASH_DUMP="$dir/log/erl_crash.dump"
        LC_ALL=C.UTF-8
    )
    spawn "$dir/log/epmd.log" env "${rabbitmq_environment[@]}" epmd -address 127.0.0.1 -port "$epmd_port"
    epmd_pid=$spawned
    wait_for 5 epmd port_taken "$epmd_port" || return 1
    spawn "$dir/server.log" env "${rabbitmq_environment[@]}" "$(rabbitmq_command rabbitmq-server)"
    rabbitmq_pid=$spawned
    local deadline=$((SECONDS + 60))
    until amqp_answers "$rabbitmq_port"; do
        if ! alive "$rabbitmq_pid" || [ "$SECONDS" -ge "$deadline" ]; then
            stop_child "$rabbitmq_pid" || true
            stop_child "$epmd_pid" || true
            return 1
        fi
        sleep 0.1
    done
    if [ -n "$definitions" ]; then
        rabbitmq_url=amqp://127.0.0.1:$rabbitmq_port/
    else
        rabbitmq_url=amqp://guest:guest@127.0.0.1:$rabbitmq_port/
    fi
}

# The broker's first frame after the protocol header is a method frame: a single byte 1.
amqp_answers() {
    local byte
    byte=$( (
        exec 3<>"/dev/tcp/127.0.0.1/$1"
        printf 'AMQP\x00\x00\x09\x01' >&3
        timeout 2 head -c 1 <&3 | od -An -tu1
    ) 2>/dev/null) || return 1
    [ "${byte// /}" = 1 ]
}

# rabbitmq_url_for USER PASSWORD
rabbitmq_url_for() { printf 'amqp://%s:%s@127.0.0.1:%s/' "$1" "$2" "$rabbitmq_port"; }

rabbitmq_control() { env "${rabbitmq_environment[@]}" "$(rabbitmq_command rabbitmqctl)" --node "$rabbitmq_node" "$@"; }

# --- Redis ------------------------------------------------------------------------------------------------------

redis_url=
redis_pid=
redis_port=

# start_redis: in memory only.
start_redis() {
    local try deadline
    mkdir -p "$work/redis"
    for ((try = 1; try <= attempts; try++)); do
        free_port redis_port
        spawn "$work/redis/server.log" "${PARLEY_TEST_REDIS_SERVER:-redis-server}" --bind 127.0.0.1 --port "$redis_port" --dir "$work/redis" \
            --save '' --appendonly no --daemonize no
        redis_pid=$spawned
        deadline=$((SECONDS + 15))
        until redis_answers "$redis_port"; do
            if ! alive "$redis_pid" || [ "$SECONDS" -ge "$deadline" ]; then
                stop_child "$redis_pid" || true
                continue 2
            fi
            sleep 0.02
        done
        # Another script's server may have been quicker on the same port.
        if alive "$redis_pid"; then
            redis_url=redis://127.0.0.1:$redis_port/0
            return 0
        fi
    done
    tail -n 20 "$work/redis/server.log" >&2 || true
    die "Redis did not start"
}

redis_answers() {
    local line
    line=$( (
        exec 3<>"/dev/tcp/127.0.0.1/$1"
        printf 'PING\r\n' >&3
        timeout 2 head -c 5 <&3
    ) 2>/dev/null) || return 1
    [ "$line" = +PONG ]
}
