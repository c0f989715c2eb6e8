// The limit of what a job can cost that is answered with its own question: consumed, its result stored in Redis (SET …
// EX, pipelined), its reply published and confirmed, then acknowledged. One thread that blocks; it works on what has
// arrived together.
//
// Environment: AMQP_URL, REDIS_URL, QUEUE, PREFETCH.
#include "wire.h"
#include <hiredis/hiredis.h>
#include <signal.h>

enum { batch = 256, confirms = 1 << 16 };

typedef struct {
    uint64_t tag;
    char id[64], reply_to[128];
    size_t id_n, reply_to_n;
    size_t at, n; // its result in `results`
} Job;

static volatile sig_atomic_t stopping;
static void on_signal(int number) { stopping = number; }

static Wire *wire;
static redisContext *redis;
static Job jobs[batch];
static int waiting;
static Buffer results;
static uint64_t published, tag_of[confirms], acknowledged; // by number of the publication

static void take(const amqp_envelope_t *envelope) {
    const amqp_basic_properties_t *with = &envelope->message.properties;
    const char *body = envelope->message.body.bytes, *id = "", *query = "";
    size_t n = envelope->message.body.len, id_n = 0, query_n = 0;
    Job *job = &jobs[waiting++];
    job->tag = envelope->delivery_tag;
    job->id_n = job->reply_to_n = 0;
    if (with->_flags & AMQP_BASIC_CORRELATION_ID_FLAG && with->correlation_id.len < sizeof job->id)
        memcpy(job->id, with->correlation_id.bytes, job->id_n = with->correlation_id.len);
    if (with->_flags & AMQP_BASIC_REPLY_TO_FLAG && with->reply_to.len < sizeof job->reply_to)
        memcpy(job->reply_to, with->reply_to.bytes, job->reply_to_n = with->reply_to.len);
    FIND_STRING(body, n, "\"id\":\"", &id, &id_n);
    FIND_STRING(body, n, "\"query\":\"", &query, &query_n);
    job->at = results.n;
    job->n = sprintf(room(&results, id_n + query_n + 128),
        "{\"id\":\"%.*s\",\"status\":\"succeeded\",\"answer\":\"%.*s\"}", (int)id_n, id, (int)query_n, query);
    results.n += job->n;
}

static void store(void) {
    for (Job *job = jobs; job < jobs + waiting; job++) {
        char key[96];
        size_t key_n = sprintf(key, "chat:result:%.*s", (int)job->id_n, job->id);
        const char *words[] = {"SET", key, results.p + job->at, "EX", "86400"};
        redisAppendCommandArgv(redis, 5, words, (size_t[]){3, key_n, job->n, 2, 5});
    }
    for (int i = 0; i < waiting; i++) {
        redisReply *reply;
        if (redisGetReply(redis, (void **)&reply) != REDIS_OK || reply->type == REDIS_REPLY_ERROR) die("Redis");
        freeReplyObject(reply);
    }
}

static void reply(void) {
    for (Job *job = jobs; job < jobs + waiting; job++) {
        if (!job->reply_to_n) {
            wire_ack(wire, job->tag, 0);
            continue;
        }
        tag_of[++published % confirms] = job->tag;
        Properties with = {.correlation = job->id, .correlation_n = job->id_n, .priority = -1};
        wire_publish(wire, 2, job->reply_to, job->reply_to_n, &with, results.p + job->at, job->n);
    }
    wire_flush(wire);
}

// Something else than a delivery: a confirm, upon which its job is acknowledged.
static void read_frame(void) {
    amqp_frame_t frame;
    if (amqp_simple_wait_frame(wire->state, &frame) != AMQP_STATUS_OK) die("the broker is gone");
    if (frame.frame_type != AMQP_FRAME_METHOD) return;
    if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
        const amqp_basic_ack_t *confirm = frame.payload.method.decoded;
        uint64_t tag = tag_of[confirm->delivery_tag % confirms];
        if (!confirm->multiple)
            wire_ack(wire, tag, 0);
        else if (tag > acknowledged)
            wire_ack(wire, acknowledged = tag, 1);
        if (!waiting || wire->out.n > 4096) wire_flush(wire);
    } else if (frame.payload.method.id == AMQP_CHANNEL_CLOSE_METHOD ||
               frame.payload.method.id == AMQP_CONNECTION_CLOSE_METHOD) {
        die("closed by the broker");
    }
}

int main(void) {
    char host[64];
    int port = 0;
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    if (sscanf(environment("REDIS_URL"), "redis://%63[^:]:%d", host, &port) != 2)
        die("REDIS_URL is not redis://host:port");
    redis = redisConnect(host, port);
    if (!redis || redis->err) die("Redis does not accept");
    wire = wire_open();
    wire_open_confirmed_channel(wire, 2);
    wire_consume(wire, environment("QUEUE"), atoi(environment("PREFETCH")), 0);

    while (!stopping) {
        // What has arrived is taken first; only then what was taken is worked on.
        struct timeval limit = {0, waiting ? 0 : 200000};
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(wire->state);
        amqp_rpc_reply_t got = amqp_consume_message(wire->state, &envelope, &limit, 0);
        if (got.reply_type == AMQP_RESPONSE_NORMAL) {
            take(&envelope);
            amqp_destroy_envelope(&envelope);
            if (waiting < batch) continue;
        } else if (got.library_error == AMQP_STATUS_UNEXPECTED_STATE) {
            read_frame();
            continue;
        } else if (got.library_error != AMQP_STATUS_TIMEOUT) {
            die("the broker is gone");
        }
        if (!waiting) continue;
        store();
        reply();
        waiting = 0;
        results.n = 0;
    }
    return 0;
}
