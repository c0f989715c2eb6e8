# shellcheck shell=bash disable=SC2034 # other files use what is set here
# A private Chroma server on loopback, from PyPI. Source it after common.sh, install.sh and python.sh.
# start_chroma sets chroma_url; the server ends with the script, or by stop_child on chroma_pid.

chroma_url=
chroma_pid=
chroma_version=1.5.9

# prepare_chroma: a virtual environment in the cache; fails, with the reason said, when it cannot be had.
prepare_chroma() { python_environment chroma "chromadb==$chroma_version"; }

start_chroma() {
    local try port deadline
    mkdir -p "$work/chroma"
    for ((try = 1; try <= 3; try++)); do
        free_port port
        spawn "$work/chroma/server.log" env ANONYMIZED_TELEMETRY=False HOME="$work/chroma" \
            "$cache/venv/chroma/bin/chroma" run --host 127.0.0.1 --port "$port" --path "$work/chroma/data"
        chroma_pid=$spawned
        deadline=$((SECONDS + 60))
        until curl -sf -m 2 -o /dev/null "http://127.0.0.1:$port/api/v2/heartbeat"; do
            if ! alive "$chroma_pid" || [ "$SECONDS" -ge "$deadline" ]; then
                stop_child "$chroma_pid" || true
                continue 2
            fi
            sleep 0.1
        done
        chroma_url=http://127.0.0.1:$port
        return 0
    done
    tail -n 20 "$work/chroma/server.log" >&2 || true
    return 1
}
