# shellcheck shell=bash disable=SC2034 # other files use what is set here
# A private PostgreSQL with the extension vector (pgvector) on loopback, from PyPI. Source it after common.sh, install.sh and
# python.sh. start_postgres sets postgres_url, of a database; the server ends with the script, or by stop_child on postgres_pid.

postgres_url=
postgres_pid=
pgserver_version=0.1.4

# prepare_postgres: a virtual environment in the cache; fails, with the reason said, when it cannot be had.
prepare_postgres() { python_environment postgres "pgserver==$pgserver_version"; }

start_postgres() {
    local try port deadline dir=$work/postgres programs=$work/postgres/pgserver/pginstall/bin as=()
    mkdir -p "$dir/run"
    # The server refuses to run as root; another user sees neither the cache nor, without the first line, this folder.
    if [ "$(id -u)" -eq 0 ]; then
        chmod 711 "$work"
        as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    fi
    # Its programs look for their libraries beside the package.
    cp -R "$cache"/venv/postgres/lib/python3*/site-packages/pgserver{,.libs} "$dir/" || return 1
    [ ${#as[@]} -eq 0 ] || chown -R 65534:65534 "$dir"
    (
        cd "$dir"
        ${as[@]+"${as[@]}"} env LC_ALL=C "$programs/initdb" --pgdata="$dir/data" --username=postgres --auth=trust \
            --encoding=UTF8 --no-sync
    ) >"$dir.log" 2>&1 || {
        tail -n 20 "$dir.log" >&2
        return 1
    }
    for ((try = 1; try <= 3; try++)); do
        free_port port
        spawn "$dir.log" ${as[@]+"${as[@]}"} env LC_ALL=C "$programs/postgres" -D "$dir/data" -p "$port" \
            -c listen_addresses=127.0.0.1 -c unix_socket_directories="$dir/run" -c fsync=off -c max_connections=60
        postgres_pid=$spawned
        deadline=$((SECONDS + 60))
        until "$programs/pg_isready" -q -h 127.0.0.1 -p "$port"; do
            if ! alive "$postgres_pid" || [ "$SECONDS" -ge "$deadline" ]; then
                stop_child "$postgres_pid" || true
                continue 2
            fi
            sleep 0.1
        done
        postgres_url=postgresql://postgres@127.0.0.1:$port/postgres
        return 0
    done
    tail -n 20 "$dir.log" >&2 || true
    return 1
}
