// Simulated services on loopback, one thread: what they answer is known beforehand (model.h) and takes the time it is
// told to take, however many ask.
//
//   backend --port P [--OPTION VALUE]...
//
//   POST /v1/embeddings         OpenAI's: embed_a + embed_b × texts milliseconds
//   POST /v1/chat/completions   OpenAI's: llm_ms; `slots` at once, the others queue; with "stream" as server-sent events
//   POST /v1/completions        with an array of prompts: llm_ms × (1 + batch_slope × (prompts − 1)); as many at once
//   POST …/api/v2/…/query       Chroma's, as far as a reader needs it: search_a + search_b × vectors milliseconds
//   GET  /stats                 requests, calls in flight now and at most; /config?OPTION=VALUE changes options
//   GET  /healthz
#include "model.h"
#include "wire.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>

static struct {
    double embed_a, embed_b, search_a, search_b, llm_ms, first_token;
    double slots, batch_slope, dim, words, chunks;
} with = {5, 0.5, 120, 2, 800, 0.25, 512, 0.1, 384, 48, 24};
static const struct {
    const char *name;
    double *value;
} options[] = {{"embed_a", &with.embed_a}, {"embed_b", &with.embed_b}, {"search_a", &with.search_a},
    {"search_b", &with.search_b}, {"llm_ms", &with.llm_ms}, {"first_token", &with.first_token}, {"slots", &with.slots},
    {"batch_slope", &with.batch_slope}, {"dim", &with.dim}, {"words", &with.words}, {"chunks", &with.chunks}};
enum { options_n = sizeof options / sizeof *options, most_elements = 8192, most_vectors = 1024, most_found = 64 };

static int set_option(const char *name, size_t n, const char *value) {
    for (int i = 0; i < options_n; i++)
        if (strlen(options[i].name) == n && !strncmp(options[i].name, name, n))
            return *options[i].value = atof(value), 1;
    return 0;
}

static void add(Buffer *b, const char *text) { append(b, text, strlen(text)); }
__attribute__((format(printf, 2, 3))) static void addf(Buffer *b, const char *format, ...) {
    va_list list;
    va_start(list, format);
    int n = vsnprintf(room(b, 512), 512, format, list);
    va_end(list);
    b->n += n < 511 ? n : 511;
}

// --- JSON, read where it lies -------------------------------------------------------------------------------------

static const char *skip_space(const char *p, const char *end) {
    while (p < end && isspace((unsigned char)*p)) p++;
    return p;
}

// Behind the string that begins with the quote at `p`; NULL when it does not end.
static const char *skip_string(const char *p, const char *end) {
    const char *quote = string_end(p + 1, end);
    return quote ? quote + 1 : NULL;
}

// Behind the value at `p`; NULL when it does not end.
static const char *skip_value(const char *p, const char *end) {
    int depth = 0;
    for (p = skip_space(p, end); p && p < end;) {
        if (*p == '"') {
            p = skip_string(p, end);
            if (!depth) return p;
            continue;
        }
        if (!depth && (*p == ',' || *p == '}' || *p == ']')) return p;
        if (*p == '{' || *p == '[') depth++;
        if ((*p == '}' || *p == ']') && !--depth) return p + 1;
        p++;
    }
    return depth ? NULL : p;
}

// Behind the comma after a value, if there is one.
static const char *next_element(const char *p, const char *end) {
    p = p ? skip_space(p, end) : end;
    return p < end && *p == ',' ? skip_space(p + 1, end) : p;
}

// The value of `key` in the object at `p`.
static const char *member(const char *p, const char *end, const char *key) {
    size_t key_n = strlen(key);
    p = skip_space(p, end);
    if (p == end || *p != '{') return NULL;
    p = skip_space(p + 1, end);
    while (p < end && *p == '"') {
        const char *name = p + 1, *behind = skip_string(p, end);
        if (!behind) return NULL;
        p = skip_space(behind, end);
        if (p == end || *p != ':') return NULL;
        p = skip_space(p + 1, end);
        if ((size_t)(behind - 1 - name) == key_n && !memcmp(name, key, key_n)) return p;
        p = next_element(skip_value(p, end), end);
    }
    return NULL;
}

static unsigned hexadecimal(const char *p) {
    char digits[5] = {p[0], p[1], p[2], p[3], 0};
    return strtoul(digits, NULL, 16);
}

static void append_character(Buffer *to, unsigned u) {
    char *p = room(to, 4);
    int n = u < 0x80 ? 1 : u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (int i = n - 1; i > 0; i--, u >>= 6) p[i] = 0x80 | (u & 63);
    p[0] = first[n] | u;
    to->n += n;
}

// Appends the string that begins with the quote at `p`, unescaped.
static void append_string(const char *p, const char *end, Buffer *to) {
    const char *quote = string_end(p + 1, end);
    for (p++; quote && p < quote; p++) {
        if (*p != '\\') {
            append(to, p, 1);
            continue;
        }
        static const char from[] = "ntrbf", meant[] = "\n\t\r\b\f";
        const char *known = strchr(from, *++p);
        if (known) {
            append(to, &meant[known - from], 1);
        } else if (*p == 'u' && quote - p > 4) {
            unsigned u = hexadecimal(p + 1);
            p += 4;
            if (u >> 10 == 0xd800 >> 10 && quote - p > 6 && p[1] == '\\' && p[2] == 'u') {
                u = 0x10000 + ((u - 0xd800) << 10) + (hexadecimal(p + 3) - 0xdc00);
                p += 6;
            }
            append_character(to, u);
        } else {
            append(to, p, 1);
        }
    }
}

// --- connections and their calls ----------------------------------------------------------------------------------

enum { embeddings, chat, completions, search, services_n };
static const char *service_names[] = {"embeddings", "chat", "completions", "search"};
struct Connection;
static struct {
    uint64_t requests;
    long inflight, max_inflight, queue, max_queue;
    struct Connection *first, *last; // of those that wait for a slot
} services[services_n];
static uint64_t aborted, refused;

typedef struct Connection {
    int fd, service, busy, running, queued, wants_room, streams, chunk;
    uint32_t generation; // timers of an earlier one are void
    double takes;        // milliseconds
    Buffer in, out, body;
    size_t sent;
    struct Connection *next;
} Connection;

typedef struct {
    uint64_t at;
    Connection *connection;
    uint32_t generation;
} Timer;
static Timer *timers; // a heap, the earliest first
static size_t timers_n, timers_cap;
static int epoll;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void set_timer(double milliseconds, Connection *c) {
    if (timers_n == timers_cap) {
        timers_cap = timers_cap ? timers_cap * 2 : 1024;
        if (!(timers = realloc(timers, timers_cap * sizeof *timers))) die("out of memory");
    }
    Timer timer = {now_ns() + (uint64_t)(milliseconds * 1e6), c, c->generation};
    size_t i = timers_n++;
    for (; i && timers[(i - 1) / 2].at > timer.at; i = (i - 1) / 2) timers[i] = timers[(i - 1) / 2];
    timers[i] = timer;
}

static Timer next_timer(void) {
    Timer first = timers[0], last = timers[--timers_n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= timers_n) break;
        if (child + 1 < timers_n && timers[child + 1].at < timers[child].at) child++;
        if (timers[child].at >= last.at) break;
        timers[i] = timers[child];
        i = child;
    }
    if (timers_n) timers[i] = last;
    return first;
}

static void watch(Connection *c, int operation) {
    struct epoll_event event = {EPOLLIN | EPOLLRDHUP | (c->wants_room ? EPOLLOUT : 0), {.ptr = c}};
    epoll_ctl(epoll, operation, c->fd, &event);
}

static void finish(Connection *c);
static void read_requests(Connection *c);

static void start(Connection *c) {
    c->running = 1;
    c->queued = 0;
    if (++services[c->service].inflight > services[c->service].max_inflight)
        services[c->service].max_inflight = services[c->service].inflight;
    double takes = c->takes * (c->streams ? with.first_token : 1);
    if (takes > 0)
        set_timer(takes, c);
    else
        finish(c);
}

static long slots(int service) {
    return service == chat || service == completions ? (long)with.slots : 1L << 40;
}

static void admit(Connection *c) {
    int service = c->service;
    services[service].requests++;
    c->busy = 1;
    if (services[service].inflight < slots(service)) {
        start(c);
        return;
    }
    c->queued = 1;
    c->next = NULL;
    if (services[service].last)
        services[service].last->next = c;
    else
        services[service].first = c;
    services[service].last = c;
    if (++services[service].queue > services[service].max_queue) services[service].max_queue = services[service].queue;
}

static void free_slot(int service) {
    services[service].inflight--;
    while (services[service].first && services[service].inflight < slots(service)) {
        Connection *c = services[service].first;
        services[service].first = c->next;
        if (!c->next) services[service].last = NULL;
        services[service].queue--;
        start(c);
    }
}

static void leave_queue(Connection *c) {
    Connection *before = NULL;
    for (Connection *other = services[c->service].first; other != c; other = other->next) before = other;
    if (before)
        before->next = c->next;
    else
        services[c->service].first = c->next;
    if (services[c->service].last == c) services[c->service].last = before;
    services[c->service].queue--;
    c->queued = 0;
}

// The structure stays, since timers may hold it: a few hundred bytes for each connection there ever was.
static void hang_up(Connection *c) {
    if (c->fd < 0) return;
    if (c->queued) leave_queue(c);
    c->generation++;
    close(c->fd);
    c->fd = -1;
    if (c->running) {
        c->running = 0;
        aborted++;
        free_slot(c->service);
    }
    free(c->in.p);
    free(c->out.p);
    free(c->body.p);
    c->in = c->out = c->body = (Buffer){0};
}

static void flush(Connection *c) {
    while (c->fd >= 0 && c->sent < c->out.n) {
        ssize_t n = send(c->fd, c->out.p + c->sent, c->out.n - c->sent, MSG_NOSIGNAL);
        if (n >= 0) {
            c->sent += n;
        } else if (errno == EAGAIN) {
            if (c->wants_room) return;
            c->wants_room = 1;
            watch(c, EPOLL_CTL_MOD);
            return;
        } else if (errno != EINTR) {
            hang_up(c);
            return;
        }
    }
    c->out.n = c->sent = 0;
    if (c->fd >= 0 && c->wants_room) {
        c->wants_room = 0;
        watch(c, EPOLL_CTL_MOD);
    }
}

// A negative length: chunks follow.
static void add_head(Connection *c, const char *status, const char *type, long n) {
    addf(&c->out, "HTTP/1.1 %s\r\ncontent-type: %s\r\n", status, type);
    if (n >= 0)
        addf(&c->out, "content-length: %ld\r\n\r\n", n);
    else
        add(&c->out, "transfer-encoding: chunked\r\n\r\n");
}

static void answer(Connection *c, const char *status, const char *body, size_t n) {
    add_head(c, status, "application/json", n);
    append(&c->out, body, n);
    flush(c);
}

// --- what the services say ----------------------------------------------------------------------------------------

static void add_words(Buffer *to, uint64_t seed, int n) {
    static const char *words[] = {"system", "queue", "worker", "latency", "vector", "answer", "context", "model",
        "cache", "broker", "result", "stream", "prompt", "token", "batch", "index"};
    for (int i = 0; i < n; i++) {
        add(to, " ");
        add(to, words[next_random(&seed) & 15]);
    }
}

// The question is what follows the last "Question: ", documents are known by "doc-" and eight digits.
static void add_model_answer(Buffer *to, const char *prompt, size_t n) {
    const char *end = prompt + n, *question = prompt, *p;
    uint32_t documents = 0;
    for (p = prompt; (p = memmem(p, end - p, "Question: ", 10)); question = p) p += 10;
    const char *question_end = question;
    // Also at the end of the turn, as templates write it.
    while (question_end < end && *question_end != '\n' && *question_end != '<') question_end++;
    while (question_end > question && isspace((unsigned char)question_end[-1])) question_end--;
    for (p = prompt; (p = memmem(p, end - p, "doc-", 4)) && end - p >= 12; p += 4) {
        char digits[9] = "";
        memcpy(digits, p + 4, 8);
        documents ^= (uint32_t)strtoul(digits, NULL, 16);
    }
    uint64_t hash = hash64(question, question_end - question);
    addf(to, "q:%016llx d:%08x", (unsigned long long)hash, documents);
    add_words(to, hash, with.words);
}

static Buffer scratch;
static int8_t vector[most_elements];

static int embed_texts(Connection *c, const char *p, const char *end) {
    static char decimal[256][12];
    int dimension = fmin(with.dim, most_elements), n = 0;
    Buffer *to = &c->body;
    if (!decimal[1][0])
        for (int i = 0; i < 256; i++) sprintf(decimal[i], "%.9g", (int8_t)i / 128.0);
    if (!(p = member(p, end, "input"))) return 0;
    int many = *p == '[';
    if (many) p = skip_space(p + 1, end);
    add(to, "{\"object\":\"list\",\"model\":\"fake-embed\",\"data\":[");
    while (p < end && *p == '"') {
        scratch.n = 0;
        append_string(p, end, &scratch);
        embed(scratch.p, scratch.n, dimension, vector);
        addf(to, "%s{\"object\":\"embedding\",\"index\":%d,\"embedding\":[", n ? "," : "", n);
        char *out = room(to, dimension * 12 + 16), *start_of_it = out;
        for (int i = 0; i < dimension; i++) {
            const char *text = decimal[(uint8_t)vector[i]];
            size_t text_n = strlen(text);
            memcpy(out, text, text_n);
            out += text_n;
            *out++ = ',';
        }
        to->n += out - start_of_it - 1;
        add(to, "]}");
        n++;
        if (!many) break;
        p = next_element(skip_string(p, end), end);
    }
    if (!n) return 0;
    addf(to, "],\"usage\":{\"prompt_tokens\":%d,\"total_tokens\":%d}}", n * 16, n * 16);
    c->takes = with.embed_a + with.embed_b * n;
    return 1;
}

// A number as embedders write them; strtod would take as long as all else together. NULL when there is none.
static const char *read_number(const char *p, const char *end, double *value) {
    static const double tenth[] = {1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12};
    const char *begin = p;
    int negative = p < end && *p == '-', decimals = 0;
    uint64_t digits = 0;
    for (p += negative; p < end && isdigit((unsigned char)*p); p++) digits = digits * 10 + (*p - '0');
    if (p < end && *p == '.')
        for (p++; p < end && isdigit((unsigned char)*p) && decimals < 12; p++, decimals++)
            digits = digits * 10 + (*p - '0');
    *value = (negative ? -1.0 : 1.0) * digits * tenth[decimals];
    if (p < end && (isdigit((unsigned char)*p) || *p == 'e' || *p == 'E')) *value = strtod(begin, (char **)&p);
    return p > begin + negative ? p : NULL;
}

// Reads the array of numbers at `p` into `vector`.
static const char *read_vector(const char *p, const char *end, int *n) {
    *n = 0;
    for (p = skip_space(p + 1, end); p < end && *p != ']'; p = next_element(p, end)) {
        double x;
        if (!(p = read_number(p, end, &x))) return NULL;
        if (*n < most_elements) vector[(*n)++] = (int8_t)lrint(x * 128);
    }
    return p < end ? p + 1 : NULL;
}

// Chroma's answer: a row a vector, columns by field.
static int find_documents(Connection *c, const char *body, const char *end) {
    static uint32_t rows[most_vectors][most_found];
    const char *asked = member(body, end, "n_results"), *p = member(body, end, "query_embeddings");
    int found = asked ? atoi(asked) : 4, n = 0;
    Buffer *to = &c->body;
    found = found < 1 ? 1 : found > most_found ? most_found : found;
    if (!p || *p != '[') return 0;
    for (p = skip_space(p + 1, end); p < end && *p == '[' && n < most_vectors; p = next_element(p, end)) {
        int elements;
        if (!(p = read_vector(p, end, &elements))) return 0;
        nearest(vector, elements, found, rows[n++]);
    }
    if (!n) return 0;
    static const char *columns[] = {
        "{\"ids\":[", ",\"embeddings\":null,\"uris\":null,\"documents\":[", ",\"metadatas\":[", ",\"distances\":["};
    for (int column = 0; column < 4; column++) {
        add(to, columns[column]);
        for (int row = 0; row < n; row++) {
            add(to, row ? ",[" : "[");
            for (int i = 0; i < found; i++) {
                uint32_t id = rows[row][i];
                if (i) add(to, ",");
                if (column == 0) addf(to, "\"doc-%08x\"", id);
                if (column == 1) {
                    addf(to, "\"[doc-%08x] Fact:", id);
                    add_words(to, id, 16);
                    add(to, "\"");
                }
                if (column == 2) addf(to, "{\"title\":\"Fact %08x\",\"source\":\"doc-%08x\"}", id, id);
                if (column == 3) addf(to, "%.4f", 0.05 + 0.01 * i);
            }
            add(to, "]");
        }
        add(to, "]");
    }
    add(to, ",\"include\":[\"documents\",\"metadatas\",\"distances\"]}");
    c->takes = with.search_a + with.search_b * n;
    return 1;
}

static int ask_model(Connection *c, const char *body, const char *end) {
    const char *p = member(body, end, "messages"), *stream = member(body, end, "stream");
    if (!p || *p != '[') return 0;
    scratch.n = 0;
    for (p = skip_space(p + 1, end); p < end && *p == '{'; p = next_element(skip_value(p, end), end)) {
        const char *content = member(p, end, "content");
        if (!content || *content != '"') continue;
        append_string(content, end, &scratch);
        append(&scratch, "\n", 1);
    }
    c->takes = with.llm_ms;
    c->streams = stream && *stream == 't';
    if (c->streams) {
        add_model_answer(&c->body, scratch.p, scratch.n);
        return 1;
    }
    add(&c->body, "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"fake\",\"choices\":"
                  "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"");
    add_model_answer(&c->body, scratch.p, scratch.n);
    addf(&c->body,
        "\"},\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%d,\"total_tokens\":%zu}}",
        scratch.n / 4, (int)with.words, scratch.n / 4 + (size_t)with.words);
    return 1;
}

// An answer to each prompt of an array, or to the only one.
static int complete_prompts(Connection *c, const char *body, const char *end) {
    const char *p = member(body, end, "prompt");
    int many = p && *p == '[', n = 0;
    size_t length = 0;
    if (many) p = skip_space(p + 1, end);
    add(&c->body, "{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"fake\",\"choices\":[");
    while (p && p < end && *p == '"') {
        scratch.n = 0;
        append_string(p, end, &scratch);
        length += scratch.n;
        addf(&c->body, "%s{\"index\":%d,\"text\":\"", n ? "," : "", n);
        add_model_answer(&c->body, scratch.p, scratch.n);
        add(&c->body, "\",\"finish_reason\":\"stop\"}");
        n++;
        if (!many) break;
        p = next_element(skip_string(p, end), end);
    }
    if (!n) return 0;
    addf(&c->body, "],\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%d,\"total_tokens\":%zu}}", length / 4,
        n * (int)with.words, length / 4 + n * (size_t)with.words);
    c->takes = with.llm_ms * (1 + with.batch_slope * (n - 1));
    return 1;
}

static void add_event(Connection *c, const char *delta, size_t n, const char *finish_reason) {
    static Buffer event;
    event.n = 0;
    add(&event, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"fake\","
                "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"");
    append(&event, delta, n);
    addf(&event, "\"},\"finish_reason\":%s}]}\n\n", finish_reason);
    if (*finish_reason == '"') add(&event, "data: [DONE]\n\n");
    addf(&c->out, "%zx\r\n", event.n);
    append(&c->out, event.p, event.n);
    add(&c->out, "\r\n");
}

// The time is over: the answer goes out, or the next part of it.
static void finish(Connection *c) {
    if (c->streams) {
        int chunks = fmax(with.chunks, 1);
        double gap = c->takes * (1 - with.first_token) / chunks;
        if (!c->chunk) add_head(c, "200 OK", "text/event-stream", -1);
        do {
            size_t from = c->body.n * c->chunk / chunks, to = c->body.n * (c->chunk + 1) / chunks;
            add_event(c, c->body.p + from, to - from, "null");
            c->chunk++;
        } while (gap <= 0 && c->chunk < chunks);
        if (c->chunk < chunks) {
            set_timer(gap, c);
            flush(c);
            return;
        }
        add_event(c, "", 0, "\"stop\"");
        add(&c->out, "0\r\n\r\n");
    } else {
        add_head(c, "200 OK", "application/json", c->body.n);
        append(&c->out, c->body.p, c->body.n);
    }
    c->running = c->busy = c->streams = 0;
    flush(c);
    free_slot(c->service);
}

// --- HTTP ---------------------------------------------------------------------------------------------------------

static int begins(const char *path, size_t n, const char *with_this) {
    return n >= strlen(with_this) && !strncmp(path, with_this, strlen(with_this));
}
static int ends(const char *path, size_t n, const char *with_this) {
    size_t k = strlen(with_this);
    return n >= k && !strncmp(path + n - k, with_this, k);
}

static void change_options(const char *p, const char *end) {
    while (p && p < end) {
        const char *name = p + 1, *equals = memchr(p, '=', end - p);
        if (!equals) return;
        set_option(name, equals - name, equals + 1);
        p = memchr(equals, '&', end - equals);
    }
}

static void show_figures(Connection *c) {
    Buffer text = {0};
    add(&text, "{");
    for (int i = 0; i < services_n; i++)
        addf(&text, "\"%s\":{\"requests\":%llu,\"inflight\":%ld,\"max_inflight\":%ld,\"queue\":%ld,\"max_queue\":%ld},",
            service_names[i], (unsigned long long)services[i].requests, services[i].inflight, services[i].max_inflight,
            services[i].queue, services[i].max_queue);
    addf(&text, "\"aborted\":%llu,\"refused\":%llu}", (unsigned long long)aborted, (unsigned long long)refused);
    answer(c, "200 OK", text.p, text.n);
    free(text.p);
}

static void show_chroma(Connection *c, const char *path, size_t n) {
    Buffer text = {0};
    if (ends(path, n, "/count"))
        add(&text, "1000000");
    else if (ends(path, n, "/heartbeat"))
        add(&text, "{\"nanosecond heartbeat\":1}");
    else if (ends(path, n, "/version"))
        add(&text, "\"1.0.0\"");
    else if (ends(path, n, "/pre-flight-checks"))
        add(&text, "{\"max_batch_size\":1024,\"supports_base64_encoding\":false}");
    else {
        const char *name = path + n;
        while (name > path && name[-1] != '/') name--;
        int name_n = path + n - name, list = ends(path, n, "/collections");
        addf(&text,
            "%s{\"id\":\"00000000-0000-4000-8000-000000000001\",\"name\":\"%.*s\",\"dimension\":%d,\"metadata\":null,"
            "\"tenant\":\"default_tenant\",\"database\":\"default_database\"}%s",
            list ? "[" : "", list ? 4 : name_n, list ? "docs" : name, (int)with.dim, list ? "]" : "");
    }
    answer(c, "200 OK", text.p, text.n);
    free(text.p);
}

static void handle(Connection *c, const char *path, size_t n, const char *body, const char *end) {
    const char *query = memchr(path, '?', n);
    size_t path_n = query ? (size_t)(query - path) : n;
    int good = 1;
    c->body.n = 0;
    c->streams = c->chunk = 0;
    if (begins(path, path_n, "/v1/embeddings")) {
        c->service = embeddings;
        good = embed_texts(c, body, end);
    } else if (begins(path, path_n, "/v1/chat/completions")) {
        c->service = chat;
        good = ask_model(c, body, end);
    } else if (begins(path, path_n, "/v1/completions")) {
        c->service = completions;
        good = complete_prompts(c, body, end);
    } else if (begins(path, path_n, "/api/v2/") && ends(path, path_n, "/query")) {
        c->service = search;
        good = find_documents(c, body, end);
    } else if (begins(path, path_n, "/api/v2/")) {
        show_chroma(c, path, path_n);
        return;
    } else if (begins(path, path_n, "/stats") || begins(path, path_n, "/config")) {
        if (query) change_options(query, path + n);
        show_figures(c);
        return;
    } else if (begins(path, path_n, "/healthz")) {
        answer(c, "200 OK", "{\"ok\":true}", 11);
        return;
    } else {
        answer(c, "404 Not Found", "{\"error\":{\"message\":\"no such path\"}}", 36);
        return;
    }
    if (good) {
        admit(c);
    } else {
        refused++;
        answer(c, "400 Bad Request", "{\"error\":{\"message\":\"bad request\"}}", 35);
    }
}

// Requests that are there whole, one at a time. Bodies have a length: nobody here sends chunks.
static void read_requests(Connection *c) {
    while (c->fd >= 0 && !c->busy && c->in.n) {
        char *head = c->in.p, *head_end = memmem(head, c->in.n, "\r\n\r\n", 4);
        if (!head_end) return;
        size_t head_n = head_end - head + 4, body_n = 0;
        for (char *line = head; (line = memmem(line, head_end - line, "\r\n", 2)); line += 2) {
            if (!strncasecmp(line + 2, "content-length:", 15)) body_n = strtoul(line + 17, NULL, 10);
            if (!strncasecmp(line + 2, "transfer-encoding:", 18)) {
                hang_up(c);
                return;
            }
        }
        if (c->in.n < head_n + body_n) return;
        char *path = memchr(head, ' ', head_n), *path_end = path ? memchr(path + 1, ' ', head_end - path - 1) : NULL;
        if (!path_end) {
            hang_up(c);
            return;
        }
        handle(c, path + 1, path_end - path - 1, head + head_n, head + head_n + body_n);
        if (c->fd < 0) return;
        memmove(c->in.p, c->in.p + head_n + body_n, c->in.n - head_n - body_n);
        c->in.n -= head_n + body_n;
    }
}

static void accept_all(int listener) {
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        Connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        watch(c, EPOLL_CTL_ADD);
    }
}

static void receive(Connection *c) {
    for (;;) {
        char *to = room(&c->in, 16384);
        size_t space = c->in.cap - c->in.n;
        ssize_t n = recv(c->fd, to, space, 0);
        if (n > 0) {
            c->in.n += n;
            if ((size_t)n < space) break;
        } else if (n < 0 && errno == EAGAIN) {
            break;
        } else if (n == 0 || errno != EINTR) {
            hang_up(c);
            return;
        }
    }
    read_requests(c);
}

static void run_timers(void) {
    uint64_t now = now_ns();
    while (timers_n && timers[0].at <= now) {
        Timer timer = next_timer();
        Connection *c = timer.connection;
        if (timer.generation != c->generation || c->fd < 0 || !c->running) continue;
        finish(c);
        read_requests(c);
    }
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (void *)&at, sizeof at) || listen(fd, 4096)) die(strerror(errno));
    return fd;
}

int main(int argc, char **argv) {
    int port = 0;
    signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i] + strspn(argv[i], "-");
        if (!strcmp(name, "port"))
            port = atoi(argv[i + 1]);
        else if (!set_option(name, strlen(name), argv[i + 1])) {
            fprintf(stderr, "unknown option %s; there are: --port", argv[i]);
            for (int k = 0; k < options_n; k++) fprintf(stderr, " --%s", options[k].name);
            fprintf(stderr, "\n");
            return 2;
        }
    }
    int listener = listen_on(port);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {EPOLLIN, {.ptr = NULL}}, events[512];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        struct timespec limit = {0}, *wait = NULL;
        if (timers_n) {
            uint64_t now = now_ns(), left = timers[0].at > now ? timers[0].at - now : 0;
            limit = (struct timespec){left / 1000000000, left % 1000000000};
            wait = &limit;
        }
        int n = epoll_pwait2(epoll, events, 512, wait, NULL);
        for (int i = 0; i < n; i++) {
            Connection *c = events[i].data.ptr;
            if (!c) {
                accept_all(listener);
                continue;
            }
            if (c->fd >= 0 && events[i].events & EPOLLOUT) flush(c);
            if (c->fd >= 0 && events[i].events & ~EPOLLOUT) receive(c);
        }
        run_timers();
    }
}
