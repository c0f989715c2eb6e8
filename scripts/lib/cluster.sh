# shellcheck shell=bash disable=SC2034,SC2154 # other files use what is set here, and set what is used
# A RabbitMQ cluster of several nodes on loopback. Source it after common.sh and servers.sh and call `begin` first.
# Nodes are numbered from 1. All ends with the script; `kill_node`, `stop_node` and `start_node` are for what comes before.

cluster_url=
cluster_size=
cluster_dir=
cluster_epmd_port=
cluster_ports=()
cluster_pids=()
cluster_dist_ports=()

# start_cluster [SIZE]: SIZE nodes (3), joined. Sets cluster_url, which names them all.
start_cluster() {
    local node index
    cluster_size=${1:-3}
    cluster_dir=$work/cluster
    rm -rf "$cluster_dir"
    mkdir -p "$cluster_dir"
    free_port cluster_epmd_port
    spawn "$cluster_dir/epmd.log" env epmd -address 127.0.0.1 -port "$cluster_epmd_port"
    wait_for 5 epmd port_taken "$cluster_epmd_port" || die "epmd did not start"
    for ((node = 1; node <= cluster_size; node++)); do
        index=$((node - 1))
        free_port "cluster_ports[$index]"
        free_port "cluster_dist_ports[$index]"
        cluster_configure "$node"
    done
    # All at once: they find each other, and whoever is first is joined by the rest.
    for ((node = 1; node <= cluster_size; node++)); do spawn_node "$node"; done
    for ((node = 1; node <= cluster_size; node++)); do wait_node "$node"; done
    cluster_together || die "the nodes did not join: see $cluster_dir"
    cluster_url=$(cluster_url_for guest guest)
}

# cluster_url_for USER PASSWORD: a URL that names every node.
cluster_url_for() {
    local port hosts=
    for port in "${cluster_ports[@]}"; do hosts+=${hosts:+,}127.0.0.1:$port; done
    printf 'amqp://%s:%s@%s/' "$1" "$2" "$hosts"
}

# node_name NODE: as Erlang knows it.
node_name() { printf 'parley-%d-%d@localhost' "$$" "$1"; }

cluster_configure() {
    local node=$1 other dir=$cluster_dir/$1
    mkdir -p "$dir/home" "$dir/data" "$dir/log"
    : >"$dir/env.conf"
    printf '[].\n' >"$dir/plugins"
    # The same secret for all; Erlang wants it for its owner alone.
    printf 'parley-%d' "$$" >"$dir/home/.erlang.cookie"
    chmod 600 "$dir/home/.erlang.cookie"
    {
        printf 'listeners.tcp.1 = 127.0.0.1:%d\n' "${cluster_ports[node - 1]}"
        printf 'log.console = true\nlog.console.level = warning\nlog.file = false\n'
        printf 'disk_free_limit.absolute = 64MB\n'
        printf 'cluster_formation.peer_discovery_backend = classic_config\n'
        for ((other = 1; other <= cluster_size; other++)); do
            printf 'cluster_formation.classic_config.nodes.%d = %s\n' "$other" "$(node_name "$other")"
        done
        # What is lost with a minority is told at once; the majority goes on.
        printf 'cluster_partition_handling = pause_minority\n'
        # A killed node is noticed in seconds, not after a minute.
        printf 'net_ticktime = 10\n'
    } >"$dir/rabbitmq.conf"
}

# Sets the variable named by NAME to the environment of NODE's server and its tools.
node_environment() {
    local -n node_environment_wanted=$1
    local dir=$cluster_dir/$2
    node_environment_wanted=(
        HOME="$dir/home"
        RABBITMQ_NODENAME="$(node_name "$2")"
        RABBITMQ_NODE_IP_ADDRESS=127.0.0.1
        RABBITMQ_NODE_PORT="${cluster_ports[$2 - 1]}"
        RABBITMQ_DIST_PORT="${cluster_dist_ports[$2 - 1]}"
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
        # Schedulers that wait busily would take the processor from the other nodes.
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
        ERL_EPMD_ADDRESS=127.0.0.1
        ERL_EPMD_PORT="$cluster_epmd_port"
        ERL_CRASH_DUMP="$dir/log/erl_crash.dump"
        LC_ALL=C.UTF-8
    )
}

spawn_node() {
    local -a environment
    node_environment environment "$1"
    spawn "$cluster_dir/$1/server.log" env "${environment[@]}" "$(rabbitmq_command rabbitmq-server)"
    cluster_pids[$1 - 1]=$spawned
}

# wait_node NODE: until it answers clients.
wait_node() {
    local deadline=$((SECONDS + 120))
    until amqp_answers "${cluster_ports[$1 - 1]}"; do
        if ! alive "${cluster_pids[$1 - 1]}" || [ "$SECONDS" -ge "$deadline" ]; then
            tail -n 30 "$cluster_dir/$1/server.log" >&2 || true
            die "node $1 of the cluster did not start"
        fi
        sleep 0.1
    done
}

# node_control NODE ARGUMENT...: rabbitmqctl.
node_control() {
    local -a environment
    local node=$1
    shift
    node_environment environment "$node"
    env "${environment[@]}" "$(rabbitmq_command rabbitmqctl)" --node "$(node_name "$node")" --quiet "$@"
}

# The first node counts those that run with it.
cluster_together() {
    local running deadline=$((SECONDS + 60))
    until
        running=$(node_control 1 eval 'length(rabbit_nodes:all_running()).' 2>/dev/null) && [ "$running" = "$cluster_size" ]
    do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.5
    done
}

# cluster_leader QUEUE: the number of the node that leads a queue of the default virtual host; nothing when there is none.
cluster_leader() {
    local node
    for ((node = 1; node <= cluster_size; node++)); do
        alive "${cluster_pids[node - 1]}" || continue
        node_control "$node" list_queues name leader 2>/dev/null |
            awk -F '\t' -v queue="$1" '$1 == queue { sub(/@.*/, "", $2); sub(/.*-/, "", $2); print $2 }'
        return 0
    done
}

# start_node NODE: a node that was stopped or killed, with the data it had. Returns when it answers.
start_node() {
    spawn_node "$1"
    wait_node "$1"
}

# stop_node NODE: orderly.
stop_node() { stop_child "${cluster_pids[$1 - 1]}" 60 || true; }

# kill_node NODE: as a power cut would.
kill_node() {
    local pid=${cluster_pids[$1 - 1]}
    kill -KILL -- "-$pid" 2>/dev/null || true
    forget_child "$pid"
    wait "$pid" 2>/dev/null || true
}
