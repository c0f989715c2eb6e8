// The limit of what a job can cost that asks services: consumed, its question embedded, passages found (Chroma), the
// model asked, the result stored in Redis (SET … EX), the reply published and confirmed, then acknowledged. One thread,
// one epoll set; librabbitmq decodes frames, hiredis replies, and libcurl speaks HTTP.
//
// Nothing is parsed twice: vector, documents and answer are copied as JSON text out of libcurl's buffer into the next
// request. Handles, jobs and buffers are used again. Connections stay in the epoll set when libcurl stops watching
// them.
//
// Environment: AMQP_URL, REDIS_URL, BACKEND_URL, QUEUE, PREFETCH.
#include "wire.h"
#include <curl/curl.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <math.h>
#include <signal.h>
#include <sys/epoll.h>

enum { embedding, search, chat, steps };
// libcurl walks through all connections of a multi handle for each request: several handles with few jobs each.
enum { jobs_in_group = 32, most_groups = 4096, confirms = 1 << 16 };

typedef struct {
    CURLM *multi;
    int jobs;
    double due; // when libcurl wants to be called
} Group;

typedef struct Job {
    struct Job *next;
    Group *group;
    CURL *easy;
    uint64_t tag;
    int step, answered;
    char id[64], correlation[64], reply_to[128];
    size_t id_n, correlation_n, reply_to_n;
    Buffer question, request, answer;
    size_t result_at, result_n; // in `request`, once that holds the command for Redis
} Job;

typedef struct {
    Group *group;
    uint32_t wanted, watched; // by libcurl; by epoll
} Socket;

static volatile sig_atomic_t stopping;
static void on_signal(int number) { stopping = number; }

static Wire *wire;
static redisContext *redis;
static int epoll, groups_n, redis_has_output;
static Group groups[most_groups];
static Socket *sockets;
static int sockets_n;
static struct curl_slist *headers;
static struct {
    char *text;
    CURLU *url;
    CURL **idle;
    int idle_n, idle_cap;
} services[steps];
static Job *unused, *storing, **storing_end = &storing;
static uint64_t published, confirmed_below = 1, tag_of[confirms]; // by number of the publication

static char *put(char *to, const void *bytes, size_t n) {
    memcpy(to, bytes, n);
    return to + n;
}
#define PUT(to, literal) put(to, literal, sizeof(literal) - 1)

static char *put_number(char *to, size_t value) {
    char digits[24], *p = digits + sizeof digits;
    do *--p = '0' + value % 10;
    while (value /= 10);
    return put(to, p, digits + sizeof digits - p);
}

// --- libcurl's callbacks ------------------------------------------------------------------------------------------

static Socket *socket_at(int fd) {
    if (fd >= sockets_n) {
        int n = sockets_n ? sockets_n : 4096;
        while (n <= fd) n *= 2;
        if (!(sockets = realloc(sockets, n * sizeof *sockets))) die("out of memory");
        memset(sockets + sockets_n, 0, (n - sockets_n) * sizeof *sockets);
        sockets_n = n;
    }
    return &sockets[fd];
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *group, void *unused_pointer) {
    (void)easy, (void)unused_pointer;
    Socket *socket = socket_at(fd);
    socket->group = group;
    // CURL_POLL_REMOVE: it stays in the epoll set for the next request.
    socket->wanted =
        what == CURL_POLL_REMOVE ? 0 : (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    if (!socket->wanted || socket->wanted == socket->watched) return 0;
    struct epoll_event event = {socket->wanted, {.fd = fd}};
    if (epoll_ctl(epoll, socket->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
    socket->watched = socket->wanted;
    return 0;
}

// Closing takes it out of the epoll set.
static int on_close(void *unused_pointer, curl_socket_t fd) {
    (void)unused_pointer;
    *socket_at(fd) = (Socket){0};
    return close(fd);
}

static int on_timer(CURLM *multi, long milliseconds, void *pointer) {
    (void)multi;
    Group *group = pointer;
    group->due = milliseconds < 0 ? INFINITY : milliseconds ? now_seconds() + milliseconds / 1e3 : 0;
    return 0;
}

static void take_answer(Job *job, const char *p, size_t n);

// A body that comes whole is used where libcurl has it.
static size_t on_body(char *p, size_t one, size_t n, void *pointer) {
    (void)one;
    Job *job = pointer;
    if (!job->answer.n) {
        curl_off_t length;
        curl_easy_getinfo(job->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        if (length == (curl_off_t)n) {
            take_answer(job, p, n);
            return n;
        }
    }
    append(&job->answer, p, n);
    return n;
}

// --- requests -----------------------------------------------------------------------------------------------------

static CURL *new_easy(int step) {
    CURL *easy = curl_easy_init();
    if (!easy) die("out of memory");
    curl_easy_setopt(easy, CURLOPT_URL, services[step].text);
    curl_easy_setopt(easy, CURLOPT_CURLU, services[step].url);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L); // else four sigactions a call
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    return easy;
}

// Leaves when libcurl is called at the end of the turn.
static void ask(Job *job) {
    job->easy =
        services[job->step].idle_n ? services[job->step].idle[--services[job->step].idle_n] : new_easy(job->step);
    job->answered = 0;
    curl_easy_setopt(job->easy, CURLOPT_PRIVATE, job);
    curl_easy_setopt(job->easy, CURLOPT_WRITEDATA, job);
    curl_easy_setopt(job->easy, CURLOPT_POSTFIELDS, job->request.p);
    curl_easy_setopt(job->easy, CURLOPT_POSTFIELDSIZE, (long)job->request.n);
    if (curl_multi_add_handle(job->group->multi, job->easy)) die("libcurl refuses a request");
}

static void put_away(int step, CURL *easy) {
    if (services[step].idle_n == services[step].idle_cap) {
        services[step].idle_cap = services[step].idle_cap ? services[step].idle_cap * 2 : 256;
        services[step].idle = realloc(services[step].idle, services[step].idle_cap * sizeof easy);
        if (!services[step].idle) die("out of memory");
    }
    services[step].idle[services[step].idle_n++] = easy;
}

// The first with room: few connections, and the warmest.
static Group *group_with_room(void) {
    for (int i = 0; i < groups_n; i++)
        if (groups[i].jobs < jobs_in_group) return &groups[i];
    if (groups_n == most_groups) die("too many jobs at once");
    Group *group = &groups[groups_n++];
    group->due = INFINITY;
    if (!(group->multi = curl_multi_init())) die("out of memory");
    curl_multi_setopt(group->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(group->multi, CURLMOPT_SOCKETDATA, group);
    curl_multi_setopt(group->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(group->multi, CURLMOPT_TIMERDATA, group);
    curl_multi_setopt(group->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    curl_multi_setopt(group->multi, CURLMOPT_MAXCONNECTS, (long)jobs_in_group * 2);
    return group;
}

// --- a job's way --------------------------------------------------------------------------------------------------

static void search_with(Job *job, const char *p, size_t n) {
    const char *vector = memmem(p, n, "\"embedding\":[", 13);
    const char *end = vector ? memchr(vector, ']', p + n - vector) : NULL;
    if (!end) die("an answer without an embedding");
    vector += 12;
    char *to = room(&job->request, end - vector + 160);
    to = PUT(to, "{\"query_embeddings\":[");
    to = put(to, vector, end + 1 - vector);
    to = PUT(to, "],\"n_results\":4,\"include\":[\"documents\",\"metadatas\",\"distances\"]}");
    job->request.n = to - job->request.p;
}

// Documents are JSON strings, and go into a JSON string.
static void ask_model_with(Job *job, const char *p, size_t n) {
    const char *end = p + n, *document = memmem(p, n, "\"documents\":[[", 14);
    if (!document) die("an answer without documents");
    document += 14;
    char *to = room(&job->request, n + job->question.n + 1024);
    to = PUT(to, "{\"model\":\"fake\",\"temperature\":0.3,\"seed\":42,\"messages\":[{\"role\":\"system\",\"content\":"
                 "\"You are a customer service assistant.\"},{\"role\":\"user\",\"content\":\"");
    for (int i = 1; i <= 4 && document < end && *document == '"'; i++) {
        const char *document_end = string_end(++document, end);
        if (!document_end) die("a document without an end");
        to = PUT(to, "<passage>\\n[");
        to = put_number(to, i);
        to = PUT(to, "]\\n");
        to = put(to, document, document_end - document);
        to = PUT(to, "\\n</passage>\\n");
        document = document_end + 1;
        while (document < end && (*document == ',' || *document == ' ')) document++;
    }
    to = PUT(to, "\\n\\nQuestion: ");
    to = put(to, job->question.p, job->question.n);
    to = PUT(to, "\"}]}");
    job->request.n = to - job->request.p;
}

// Writes the command for Redis, the reply inside.
static void store_with(Job *job, const char *p, size_t n) {
    const char *answer;
    size_t answer_n;
    if (!FIND_STRING(p, n, "\"content\":\"", &answer, &answer_n)) die("an answer without content");
    job->result_n = answer_n + job->id_n + sizeof "{\"id\":\"\",\"status\":\"succeeded\",\"answer\":\"\"}" - 1;
    char *to = room(&job->request, job->result_n + job->id_n + 256);
    to = PUT(to, "*5\r\n$3\r\nSET\r\n$");
    to = put_number(to, sizeof "chat:result:" - 1 + job->id_n);
    to = PUT(to, "\r\nchat:result:");
    to = put(to, job->id, job->id_n);
    to = PUT(to, "\r\n$");
    to = put_number(to, job->result_n);
    to = PUT(to, "\r\n");
    job->result_at = to - job->request.p;
    to = PUT(to, "{\"id\":\"");
    to = put(to, job->id, job->id_n);
    to = PUT(to, "\",\"status\":\"succeeded\",\"answer\":\"");
    to = put(to, answer, answer_n);
    to = PUT(to, "\"}\r\n$2\r\nEX\r\n$5\r\n86400\r\n");
    job->request.n = to - job->request.p;
}

// The answer to a step becomes the next step's request.
static void take_answer(Job *job, const char *p, size_t n) {
    static void (*const next[])(Job *, const char *, size_t) = {search_with, ask_model_with, store_with};
    job->answered = 1;
    job->request.n = 0;
    next[job->step](job, p, n);
}

// Calls libcurl, and goes on with whatever has finished.
static void drive(Group *group, int fd, int mask) {
    int running, left;
    CURLMsg *message;
    curl_multi_socket_action(group->multi, fd, mask, &running);
    while ((message = curl_multi_info_read(group->multi, &left))) {
        CURL *easy = message->easy_handle;
        CURLcode result = message->data.result;
        Job *job;
        long status = 0;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&job);
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        if (result || status != 200) {
            fprintf(stderr, "%s: %s, status %ld\n", services[job->step].text, curl_easy_strerror(result), status);
            die("a service failed");
        }
        if (!job->answered) take_answer(job, job->answer.p, job->answer.n);
        job->answer.n = 0;
        curl_multi_remove_handle(group->multi, easy);
        put_away(job->step, easy);
        if (++job->step < steps) {
            ask(job);
            continue;
        }
        group->jobs--;
        redisAppendFormattedCommand(redis, job->request.p, job->request.n);
        redis_has_output = 1;
        job->next = NULL;
        *storing_end = job;
        storing_end = &job->next;
    }
}

static void begin(Job *job, const char *body, size_t n) {
    const char *id, *query;
    size_t query_n;
    if (!FIND_STRING(body, n, "\"id\":\"", &id, &job->id_n) || job->id_n > sizeof job->id ||
        !FIND_STRING(body, n, "\"query\":\"", &query, &query_n))
        die("a message that is no job");
    memcpy(job->id, id, job->id_n);
    job->question.n = job->request.n = 0;
    append(&job->question, query, query_n);
    char *to = room(&job->request, query_n + 64);
    to = PUT(to, "{\"model\":\"fake-embed\",\"input\":[\"");
    to = put(to, query, query_n);
    to = PUT(to, "\"]}");
    job->request.n = to - job->request.p;
    job->step = embedding;
    job->answer.n = 0;
    job->group = group_with_room();
    job->group->jobs++;
    ask(job);
}

// Redis has answered: the replies go out.
static void take_stored(void) {
    void *reply;
    if (redisBufferRead(redis) != REDIS_OK) die("Redis is gone");
    // The reader makes no objects (its functions are NULL): a reply is its type.
    while (redisReaderGetReply(redis->reader, &reply) == REDIS_OK && reply) {
        if ((size_t)reply != REDIS_REPLY_STATUS) die("Redis refuses");
        Job *job = storing;
        if (!(storing = job->next)) storing_end = &storing;
        if (job->reply_to_n) {
            Properties with = {.correlation = job->correlation_n ? job->correlation : NULL,
                .correlation_n = job->correlation_n,
                .priority = -1};
            tag_of[++published % confirms] = job->tag;
            wire_publish(
                wire, 2, job->reply_to, job->reply_to_n, &with, job->request.p + job->result_at, job->result_n);
        } else {
            wire_ack(wire, job->tag, 0);
        }
        job->next = unused;
        unused = job;
    }
    if (redis->err) die("Redis is gone");
}

// Confirmed replies: their jobs are acknowledged, one by one, since jobs overtake each other.
static void take_confirm(const amqp_basic_ack_t *confirm) {
    uint64_t first = confirm->multiple ? confirmed_below : confirm->delivery_tag;
    for (uint64_t number = first; number <= confirm->delivery_tag; number++) {
        uint64_t *tag = &tag_of[number % confirms];
        if (*tag) wire_ack(wire, *tag, 0);
        *tag = 0;
    }
    if (confirm->multiple && confirmed_below <= confirm->delivery_tag) confirmed_below = confirm->delivery_tag + 1;
}

static void take_frame(const amqp_frame_t *frame) {
    static Job *job;
    static size_t left;
    if (frame->frame_type == AMQP_FRAME_METHOD) {
        const void *method = frame->payload.method.decoded;
        if (frame->payload.method.id == AMQP_BASIC_ACK_METHOD) {
            take_confirm(method);
        } else if (frame->payload.method.id == AMQP_BASIC_DELIVER_METHOD) {
            if ((job = unused))
                unused = job->next;
            else if (!(job = calloc(1, sizeof *job)))
                die("out of memory");
            job->tag = ((const amqp_basic_deliver_t *)method)->delivery_tag;
        } else {
            die("a method that was not expected");
        }
    } else if (frame->frame_type == AMQP_FRAME_HEADER) {
        const amqp_basic_properties_t *with = frame->payload.properties.decoded;
        left = frame->payload.properties.body_size;
        job->correlation_n = job->reply_to_n = job->answer.n = 0;
        if (with->_flags & AMQP_BASIC_CORRELATION_ID_FLAG && with->correlation_id.len < sizeof job->correlation)
            memcpy(job->correlation, with->correlation_id.bytes, job->correlation_n = with->correlation_id.len);
        if (with->_flags & AMQP_BASIC_REPLY_TO_FLAG && with->reply_to.len < sizeof job->reply_to)
            memcpy(job->reply_to, with->reply_to.bytes, job->reply_to_n = with->reply_to.len);
    } else if (frame->frame_type == AMQP_FRAME_BODY) {
        amqp_bytes_t part = frame->payload.body_fragment;
        left -= part.len;
        if (!left && !job->answer.n) {
            begin(job, part.bytes, part.len);
        } else {
            append(&job->answer, part.bytes, part.len);
            if (!left) begin(job, job->answer.p, job->answer.n);
        }
    }
}

// One recv: librabbitmq would add a poll and a second recv.
static void read_broker(void) {
    static char bytes[1 << 18];
    ssize_t n = recv(wire->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) die("the broker is gone");
    for (char *p = bytes; n;) {
        amqp_frame_t frame;
        int used = amqp_handle_input(wire->state, (amqp_bytes_t){n, p}, &frame);
        if (used < 0) die("a frame that cannot be read");
        p += used;
        n -= used;
        if (frame.frame_type) take_frame(&frame);
    }
    amqp_maybe_release_buffers(wire->state);
}

// --- set-up and loop ----------------------------------------------------------------------------------------------

static size_t keep(char *p, size_t one, size_t n, void *buffer) {
    (void)one;
    append(buffer, p, n);
    return n;
}

static void find_services(void) {
    static const char database[] = "/api/v2/tenants/default_tenant/databases/default_database/collections/";
    const char *backend = environment("BACKEND_URL"), *id;
    char text[512];
    size_t id_n;
    Buffer answer = {0};
    CURL *easy = curl_easy_init();
    snprintf(text, sizeof text, "%s%sdocs", backend, database);
    curl_easy_setopt(easy, CURLOPT_URL, text);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
    if (curl_easy_perform(easy) || !FIND_STRING(answer.p, answer.n, "\"id\":\"", &id, &id_n)) die("no collection");
    for (int step = 0; step < steps; step++) {
        if (step == search)
            snprintf(text, sizeof text, "%s%s%.*s/query", backend, database, (int)id_n, id);
        else
            snprintf(text, sizeof text, "%s/v1/%s", backend, step == embedding ? "embeddings" : "chat/completions");
        services[step].text = strdup(text);
        services[step].url = curl_url();
        if (curl_url_set(services[step].url, CURLUPART_URL, text, 0)) die("BACKEND_URL is no URL");
    }
    headers = curl_slist_append(curl_slist_append(NULL, "Content-Type: application/json"), "Accept:");
    curl_easy_cleanup(easy);
    free(answer.p);
}

static void connect_redis(void) {
    char host[64];
    int port = 0;
    if (sscanf(environment("REDIS_URL"), "redis://%63[^:]:%d", host, &port) != 2)
        die("REDIS_URL is not redis://host:port");
    redis = redisConnect(host, port);
    if (!redis || redis->err) die("Redis does not accept");
    redis->flags &= ~REDIS_BLOCK;
    fcntl(redis->fd, F_SETFL, fcntl(redis->fd, F_GETFL) | O_NONBLOCK);
    redis->reader->fn = NULL;
}

static void watch(int fd) {
    struct epoll_event event = {EPOLLIN, {.fd = fd}};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
}

static void flush_redis(void) {
    int done = 0;
    while (redisBufferWrite(redis, &done) == REDIS_OK && !done) {
        struct pollfd ready = {redis->fd, POLLOUT, 0};
        poll(&ready, 1, 1000);
    }
    if (redis->err) die("Redis is gone");
    redis_has_output = 0;
}

static void act_on(const struct epoll_event *event) {
    int fd = event->data.fd;
    if (fd == wire->fd) {
        read_broker();
    } else if (fd == redis->fd) {
        take_stored();
    } else if (sockets[fd].wanted) {
        drive(sockets[fd].group, fd,
            (event->events & EPOLLIN ? CURL_CSELECT_IN : 0) | (event->events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                (event->events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0));
    } else if (sockets[fd].watched) {
        epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
        sockets[fd].watched = 0;
    }
}

int main(void) {
    sigset_t ours, others;
    sigemptyset(&ours);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGINT);
    sigprocmask(SIG_BLOCK, &ours, &others); // let through while it waits
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    signal(SIGPIPE, SIG_IGN);
    curl_global_init(CURL_GLOBAL_ALL);
    find_services();
    connect_redis();
    wire = wire_open();
    wire_open_confirmed_channel(wire, 2);
    wire_consume(wire, environment("QUEUE"), atoi(environment("PREFETCH")), 0);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(wire->fd);
    watch(redis->fd);
    // What came with the answer to consume.
    while (amqp_frames_enqueued(wire->state) || amqp_data_in_buffer(wire->state)) {
        amqp_frame_t frame;
        if (amqp_simple_wait_frame_noblock(wire->state, &frame, &(struct timeval){0, 0})) break;
        take_frame(&frame);
    }

    while (!stopping) {
        // What the turn has queued leaves: requests, then the SETs in one write, replies and acknowledgements in
        // another.
        double now = now_seconds(), due = INFINITY;
        struct epoll_event events[512];
        for (Group *group = groups; group < groups + groups_n; group++) {
            while (group->due <= now) {
                group->due = INFINITY;
                drive(group, CURL_SOCKET_TIMEOUT, 0);
            }
            due = fmin(due, group->due);
        }
        if (redis_has_output) flush_redis();
        if (wire->out.n) wire_flush(wire);
        int wait = due == INFINITY ? -1 : (int)ceil((due - now) * 1e3);
        int n = epoll_pwait(epoll, events, 512, wait, &others);
        for (int i = 0; i < n; i++) act_on(&events[i]);
    }
    wire_flush(wire);
    return 0;
}
