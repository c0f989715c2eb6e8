// Publishes jobs, takes their replies, and checks them. Prints its result as one line, "RESULT {JSON}".
//
//   loadgen fill      --queue Q --n N                       publishes N jobs, many confirms in flight
//   loadgen drain     --reply R --n N                       counts the replies of a fill (give both the same --run)
//   loadgen openloop  --queue Q --reply R --n N --rate R    jobs arrive at random (Poisson), R a second; the time of
//                                                           each counts from when it was due, not from when it left
//   loadgen pingpong  --queue Q --reply R --n N             one job at a time
//   loadgen clear     --queue Q --reply R                   empties both, once nobody consumes from Q any more
//
// drain says READY when it consumes. Exit status 3: not all replies came; 0: all of them. See `options` for the rest.
//
// Environment: AMQP_URL.
#include "model.h"
#include "wire.h"
#include <math.h>

static const char *queue = "chat.jobs", *reply_to = "chat.replies", *check = "none";
static int jobs_n = 1000, window = 1000, priority = -1, size = 300, seed = 1, dimension = 384, top_k = 4, warm_up, repeats;
static double rate = 300, mark = 0.1, timeout = 120;
static uint32_t run; // in every id and question, so that a run's replies are known from another's

static const struct {
    const char *name;
    const char **text;
    int *number;
    double *fraction;
} options[] = {
    {"queue", .text = &queue},
    {"reply", .text = &reply_to}, // where replies go; "": nowhere
    {"n", .number = &jobs_n},
    {"confirm", .number = &window}, // fill: most publications without a confirm
    {"priority", .number = &priority},
    {"size", .number = &size}, // bytes of a job
    {"seed", .number = &seed}, // of the arrivals
    {"rate", .fraction = &rate},
    {"check", .text = &check}, // q: an answer belongs to its question; qd: it rests on the right documents, too
    {"dim", .number = &dimension},
    {"topk", .number = &top_k},
    {"repeats", .number = &repeats}, // so many of 100 jobs ask one of 200 questions, the n-th 1 / n as often (Zipf)
    {"warm", .number = &warm_up},      // so many jobs at first are not counted
    {"mark", .fraction = &mark},       // rate_marked is counted from this part of the jobs on
    {"timeout", .fraction = &timeout}, // seconds without a reply (openloop: after the last job)
};

static char **questions;
static int *asked; // the number of the job that asked it first
static uint8_t *was_reused;
static int distinct;
static double *sent, *came;
static uint8_t *has_come;
static int got, twice, wrong, unknown, errors, made, most_in_flight;
static double first_came, marked, last_came;

// --- jobs ---------------------------------------------------------------------------------------------------------

enum { popular_n = 200 };

static void make_questions(void) {
    static const char *topics[] = {"refund policy", "vector index", "delivery delay", "password reset",
        "invoice totals", "model latency", "queue depth", "account limits"};
    static int first[popular_n];
    uint64_t state = seed * 7919 + 1;
    double sum = 0;
    for (int i = 0; i < popular_n; i++) sum += 1.0 / (i + 1);
    questions = malloc(jobs_n * sizeof *questions);
    asked = malloc(jobs_n * sizeof *asked);
    was_reused = calloc(jobs_n, 1);
    for (int i = 0; i < jobs_n; i++) {
        asked[i] = i;
        if ((int)(next_random(&state) % 100) < repeats) {
            double left = (next_random(&state) >> 11) * (1.0 / 9007199254740992.0) * sum;
            int item = 0;
            while (item < popular_n - 1 && (left -= 1.0 / (item + 1)) > 0) item++;
            if (!first[item]) first[item] = i + 1;
            asked[i] = first[item] - 1;
        }
        distinct += asked[i] == i;
        if (asprintf(&questions[i], "In run %08x, what should I know about %s, item one-%07d, please?", run,
                topics[asked[i] % 8], asked[i]) < 0)
            die("out of memory");
    }
}

enum { id_n = 36 };
static void make_id(char *to, int i) { sprintf(to, "%08x-0000-4000-8000-%012x", run, i); }

// The number of the job with this id; -1 when it is not of this run.
static int number_of(amqp_bytes_t id) {
    char text[id_n + 1] = "";
    unsigned of;
    unsigned long i;
    if (id.len < id_n) return -1;
    memcpy(text, id.bytes, id_n);
    if (sscanf(text, "%8x-0000-4000-8000-%12lx", &of, &i) != 2 || of != run || i >= (unsigned long)jobs_n) return -1;
    return (int)i;
}

static void publish(Wire *wire, int i) {
    static char body[65536];
    char id[id_n + 1];
    make_id(id, i);
    int n = sprintf(body,
        "{\"id\":\"%s\",\"query\":\"%s\",\"user_id\":\"u-%06d\",\"options\":{\"top_k\":%d},"
        "\"metadata\":{\"lang\":\"en\",\"pad\":\"",
        id, questions[i], i % 997, top_k);
    while (n < size - 3) {
        body[n] = 'a' + n % 26;
        n++;
    }
    memcpy(body + n, "\"}}", 3);
    Properties with = {.correlation = id,
        .correlation_n = id_n,
        .message = id,
        .message_n = id_n,
        .reply_to = *reply_to ? reply_to : NULL,
        .reply_to_n = strlen(reply_to),
        .priority = priority};
    wire_publish(wire, 1, queue, strlen(queue), &with, body, n + 3);
}

// --- replies ------------------------------------------------------------------------------------------------------

static int contains(amqp_bytes_t text, const char *part) {
    return memmem(text.bytes, text.len, part, strlen(part)) != 0;
}

static int is_right(int i, amqp_bytes_t reply) {
    char expected[64];
    if (*check != 'q') return 1;
    size_t question_n = strlen(questions[i]);
    int n = sprintf(expected, "q:%016llx", (unsigned long long)hash64(questions[i], question_n));
    if (check[1] == 'd') {
        static int8_t vector[8192];
        uint32_t documents[64], all = 0;
        embed(questions[i], question_n, dimension, vector);
        nearest(vector, dimension, top_k, documents);
        for (int k = 0; k < top_k; k++) all ^= documents[k];
        sprintf(expected + n, " d:%08x", all);
    }
    return contains(reply, expected);
}

static void take_reply(int i, amqp_bytes_t reply) {
    double now = now_seconds();
    if (i < 0) {
        unknown++;
        return;
    }
    if (has_come[i]) {
        twice++;
        return;
    }
    has_come[i] = 1;
    came[i] = last_came = now;
    if (!got++) first_came = now;
    if (contains(reply, "\"error\"")) errors++;
    if (contains(reply, "\"cached\":\"none\"")) made++;
    was_reused[i] = contains(reply, "\"cached\":\"memory\"") || contains(reply, "\"cached\":\"redis\"");
    if (is_right(i, reply)) return;
    if (!wrong++) fprintf(stderr, "wrong reply %d: %.*s\n", i, (int)fmin(reply.len, 300), (char *)reply.bytes);
}

// Waits so many seconds at most; 1 when something came.
static int read_reply(Wire *wire, double wait) {
    struct timeval limit = {(long)wait, (long)((wait - (long)wait) * 1e6)};
    amqp_envelope_t envelope;
    amqp_maybe_release_buffers(wire->state);
    amqp_rpc_reply_t result = amqp_consume_message(wire->state, &envelope, &limit, 0);
    if (result.reply_type == AMQP_RESPONSE_NORMAL) {
        const amqp_basic_properties_t *with = &envelope.message.properties;
        int known = with->_flags & AMQP_BASIC_CORRELATION_ID_FLAG;
        take_reply(known ? number_of(with->correlation_id) : -1, envelope.message.body);
        amqp_destroy_envelope(&envelope);
        return 1;
    }
    if (result.library_error != AMQP_STATUS_TIMEOUT) die("the broker is gone");
    return 0;
}

// --- results ------------------------------------------------------------------------------------------------------

static void announce(const char *what) {
    printf("%s\n", what);
    fflush(stdout);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Nearest rank of sorted values.
static double quantile(const double *values, int n, double q) { return n ? values[(int)fmin(n - 1, floor(q * n))] : 0; }

static int finish(const char *mode) {
    double *times = malloc(jobs_n * sizeof *times), *hits = malloc(jobs_n * sizeof *hits);
    int n = 0, hits_n = 0;
    for (int i = warm_up; i < jobs_n; i++) {
        if (!has_come[i] || sent[i] <= 0) continue;
        times[n++] = (came[i] - sent[i]) * 1e3;
        if (was_reused[i]) hits[hits_n++] = times[n - 1];
    }
    qsort(times, n, sizeof *times, by_value);
    qsort(hits, hits_n, sizeof *hits, by_value);
    double span = last_came - first_came, after_mark = last_came - marked;
    printf("RESULT {\"mode\":\"%s\",\"n\":%d,\"got\":%d,\"dup\":%d,\"wrong\":%d,\"unknown\":%d,\"errors\":%d,"
           "\"span_s\":%.4f,\"rate\":%.1f,\"rate_marked\":%.1f,\"max_in_flight\":%d,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
           "\"max_ms\":%.3f,\"distinct\":%d,\"made\":%d,\"hits\":%d,\"hit_p50_ms\":%.3f,\"hit_p99_ms\":%.3f}\n",
        mode, jobs_n, got, twice, wrong, unknown, errors, span, span > 0 ? got / span : 0,
        marked > 0 && after_mark > 0 ? (got - (int)(mark * jobs_n)) / after_mark : 0, most_in_flight,
        quantile(times, n, 0.5), quantile(times, n, 0.99), n ? times[n - 1] : 0, distinct, made, hits_n,
        quantile(hits, hits_n, 0.5), quantile(hits, hits_n, 0.99));
    fflush(stdout);
    return got == jobs_n ? 0 : 3;
}

// --- modes --------------------------------------------------------------------------------------------------------

// How many publications a frame confirms that were not confirmed before.
static int confirms_in(const amqp_frame_t *frame) {
    static uint8_t *confirmed;
    static uint64_t all_below = 1;
    if (!confirmed) confirmed = calloc(jobs_n + 1, sizeof *confirmed);
    if (frame->frame_type != AMQP_FRAME_METHOD) return 0;
    if (frame->payload.method.id != AMQP_BASIC_ACK_METHOD) die("the broker refuses a job");
    const amqp_basic_ack_t *confirm = frame->payload.method.decoded;
    int n = 0;
    for (uint64_t i = confirm->multiple ? all_below : confirm->delivery_tag; i <= confirm->delivery_tag; i++) {
        n += !confirmed[i];
        confirmed[i] = 1;
    }
    if (confirm->multiple) all_below = confirm->delivery_tag + 1;
    return n;
}

static int fill(Wire *wire) {
    wire_open_confirmed_channel(wire, 1);
    int published = 0, confirmed = 0;
    while (confirmed < jobs_n) {
        for (int burst = 0; burst < 64 && published < jobs_n && published - confirmed < window; burst++)
            publish(wire, published++);
        wire_flush(wire);
        // When nothing can be published a confirm is waited for; else those that are there are enough.
        for (;;) {
            int full = published == jobs_n || published - confirmed >= window;
            if (confirmed == jobs_n) break;
            amqp_frame_t frame;
            amqp_maybe_release_buffers(wire->state);
            int status = amqp_simple_wait_frame_noblock(wire->state, &frame, &(struct timeval){full ? 20 : 0, 0});
            if (status == AMQP_STATUS_TIMEOUT) {
                if (full) die("no confirm within 20 s");
                break;
            }
            if (status != AMQP_STATUS_OK) die("the broker is gone");
            confirmed += confirms_in(&frame);
        }
    }
    printf("RESULT {\"mode\":\"fill\",\"n\":%d,\"run\":\"%08x\"}\n", jobs_n, run);
    return 0;
}

static int drain(Wire *replies) {
    double last = now_seconds();
    announce("READY");
    while (got < jobs_n) {
        if (read_reply(replies, 0.25))
            last = now_seconds();
        else if (now_seconds() - last > timeout)
            break;
        if (!marked && got && got >= (int)(mark * jobs_n)) marked = now_seconds();
    }
    return finish("drain");
}

static int pingpong(Wire *jobs, Wire *replies) {
    most_in_flight = 1;
    for (int i = 0; i < jobs_n; i++) {
        sent[i] = now_seconds();
        publish(jobs, i);
        wire_flush(jobs);
        while (!has_come[i] && now_seconds() < sent[i] + timeout) read_reply(replies, 1);
        if (!has_come[i]) break;
    }
    return finish("pingpong");
}

static int open_loop(Wire *jobs, Wire *replies) {
    uint64_t state = seed * 104729 + 7;
    double due = now_seconds() + 0.05, end = INFINITY;
    int i = 0;
    while (got < jobs_n && now_seconds() < end) {
        double now = now_seconds();
        int before = i;
        for (; i < jobs_n && due <= now; i++) {
            sent[i] = due;
            publish(jobs, i);
            double uniform = (next_random(&state) >> 11) * (1.0 / 9007199254740992.0);
            due += -log(1 - uniform) / rate;
        }
        if (i > before) wire_flush(jobs);
        if (i - got > most_in_flight) most_in_flight = i - got;
        if (!marked && got && got >= (int)(mark * jobs_n)) marked = now;
        if (i == jobs_n && end == INFINITY) end = now + timeout;
        // Whatever has come is read, until the next job is due.
        double wait = i < jobs_n ? fmin(fmax(due - now_seconds(), 0), 0.1) : 0.1;
        while (read_reply(replies, wait) && (i == jobs_n || due > now_seconds())) wait = 0;
    }
    return finish("openloop");
}

static int clear(Wire *wire) {
    // What a consumer had not acknowledged is back in the queue when the consumer is gone.
    for (int consumers = 1; consumers; usleep(10000)) {
        amqp_queue_declare_ok_t *found =
            amqp_queue_declare(wire->state, 1, amqp_cstring_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
        answered(wire->state, "queue");
        consumers = found->consumer_count;
    }
    amqp_queue_purge(wire->state, 1, amqp_cstring_bytes(queue));
    amqp_queue_purge(wire->state, 1, amqp_cstring_bytes(reply_to));
    answered(wire->state, "purge");
    return 0;
}

static void set_option(const char *name, const char *value) {
    if (!strcmp(name, "--run")) {
        run = strtoul(value, NULL, 16);
        return;
    }
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (strncmp(name, "--", 2) || strcmp(name + 2, options[i].name)) continue;
        if (options[i].text)
            *options[i].text = value;
        else if (options[i].number)
            *options[i].number = atoi(value);
        else
            *options[i].fraction = atof(value);
        return;
    }
    fprintf(stderr, "unknown option %s\n", name);
    exit(2);
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    run = (uint32_t)time(NULL) * 2654435761u ^ getpid();
    for (int i = 2; i + 1 < argc; i += 2) set_option(argv[i], argv[i + 1]);
    if (size > 60000) die("--size is 60000 at most");
    make_questions();
    sent = calloc(jobs_n, sizeof *sent);
    came = calloc(jobs_n, sizeof *came);
    has_come = calloc(jobs_n, sizeof *has_come);

    if (!strcmp(mode, "fill")) return fill(wire_open());
    if (!strcmp(mode, "clear")) return clear(wire_open());
    Wire *replies = wire_open();
    wire_consume(replies, reply_to, 0, 1);
    if (!strcmp(mode, "drain")) return drain(replies);
    if (!strcmp(mode, "pingpong")) return pingpong(wire_open(), replies);
    if (!strcmp(mode, "openloop")) return open_loop(wire_open(), replies);
    fprintf(stderr, "usage: loadgen fill|drain|openloop|pingpong|clear --OPTION VALUE...\n");
    return 2;
}
