// AMQP for the load generator and the floors: librabbitmq connects and reads, frames are written by hand into one
// buffer that leaves in one send.
#ifndef PARLEY_BENCH_WIRE_H
#define PARLEY_BENCH_WIRE_H
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#endif
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline double now_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static inline void die(const char *what) {
    fprintf(stderr, "fatal: %s\n", what);
    exit(1);
}

static inline const char *environment(const char *name) {
    const char *value = getenv(name);
    if (!value || !*value) {
        fprintf(stderr, "fatal: %s is not set\n", name);
        exit(2);
    }
    return value;
}

// Ends the program unless the last call was answered as wished.
static inline void answered(amqp_connection_state_t connection, const char *what) {
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) return;
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        amqp_channel_close_t *close = reply.reply.decoded;
        fprintf(stderr, "%.*s\n", (int)close->reply_text.len, (char *)close->reply_text.bytes);
    } else {
        fprintf(stderr, "amqp: %s\n", amqp_error_string2(reply.library_error));
    }
    die(what);
}

// --- bytes to be written ------------------------------------------------------------------------------------------

typedef struct {
    char *p;
    size_t n, cap;
} Buffer;

// Room for `add` more bytes; returns where they go.
static inline char *room(Buffer *b, size_t add) {
    if (b->n + add > b->cap) {
        if (!b->cap) b->cap = 4096;
        while (b->cap < b->n + add) b->cap *= 2;
        if (!(b->p = realloc(b->p, b->cap))) die("out of memory");
    }
    return b->p + b->n;
}

static inline void append(Buffer *b, const void *bytes, size_t n) {
    memcpy(room(b, n), bytes, n);
    b->n += n;
}

// --- a connection -------------------------------------------------------------------------------------------------

typedef struct {
    amqp_connection_state_t state;
    int fd;
    Buffer out;
} Wire;

// Connects to AMQP_URL and opens channel 1.
static inline Wire *wire_open(void) {
    Wire *wire = calloc(1, sizeof *wire);
    char *url = strdup(environment("AMQP_URL"));
    size_t length = strlen(url);
    struct amqp_connection_info at;
    amqp_default_connection_info(&at);
    // A slash at the end means the default virtual host, which librabbitmq takes for one without a name.
    if (length && url[length - 1] == '/') url[length - 1] = 0;
    if (amqp_parse_url(url, &at)) die("AMQP_URL is no URL of a broker");
    wire->state = amqp_new_connection();
    if (amqp_socket_open(amqp_tcp_socket_new(wire->state), at.host, at.port)) die("the broker does not accept");
    amqp_rpc_reply_t reply =
        amqp_login(wire->state, at.vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, at.user, at.password);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) die("the broker refuses the login");
    amqp_channel_open(wire->state, 1);
    answered(wire->state, "channel 1");
    wire->fd = amqp_get_sockfd(wire->state);
    int one = 1;
    setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return wire;
}

static inline void wire_open_confirmed_channel(Wire *wire, int channel) {
    if (channel != 1) amqp_channel_open(wire->state, channel);
    answered(wire->state, "a channel for publishing");
    amqp_confirm_select(wire->state, channel);
    answered(wire->state, "confirms");
}

static inline void wire_consume(Wire *wire, const char *queue, int prefetch, int without_acks) {
    amqp_basic_qos(wire->state, 1, 0, prefetch, 0);
    answered(wire->state, "prefetch");
    amqp_basic_consume(
        wire->state, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, without_acks, 0, amqp_empty_table);
    answered(wire->state, "consume");
}

// Sends what was written, waiting for room when the socket is full.
static inline void wire_flush(Wire *wire) {
    for (size_t sent = 0; sent < wire->out.n;) {
        ssize_t n = send(wire->fd, wire->out.p + sent, wire->out.n - sent, MSG_NOSIGNAL);
        if (n > 0) {
            sent += n;
        } else if (errno == EAGAIN) {
            struct pollfd ready = {wire->fd, POLLOUT, 0};
            poll(&ready, 1, 1000);
        } else if (errno != EINTR) {
            die("the broker is gone");
        }
    }
    wire->out.n = 0;
}

// --- frames (AMQP 0-9-1, 4.2.3) -----------------------------------------------------------------------------------

enum { frame_end = 0xce, class_basic = 60, basic_publish = 40, basic_ack = 80 };

static inline uint8_t *put16(uint8_t *p, unsigned v) {
    p[0] = v >> 8;
    p[1] = v;
    return p + 2;
}
static inline uint8_t *put32(uint8_t *p, uint32_t v) { return put16(put16(p, v >> 16), v & 0xffff); }
static inline uint8_t *put64(uint8_t *p, uint64_t v) { return put32(put32(p, v >> 32), (uint32_t)v); }
static inline uint8_t *put_short(uint8_t *p, const char *text, size_t n) {
    *p++ = n;
    memcpy(p, text, n);
    return p + n;
}

// A persistent JSON message; texts may be NULL, `priority` negative: then they are left out.
typedef struct {
    const char *correlation, *reply_to, *message;
    size_t correlation_n, reply_to_n, message_n;
    int priority;
} Properties;

// To the default exchange. The body has to fit into one frame.
static inline void wire_publish(
    Wire *wire, int channel, const char *key, size_t key_n, const Properties *with, const void *body, size_t body_n) {
    enum {
        content_type = 1 << 15,
        delivery_mode = 1 << 12,
        priority = 1 << 11,
        correlation = 1 << 10,
        reply_to = 1 << 9,
        message = 1 << 7
    };
    uint8_t *start = (uint8_t *)room(&wire->out, 1024 + key_n + body_n), *p = start, *size, *flags_at;
    unsigned flags = content_type | delivery_mode;

    *p++ = AMQP_FRAME_METHOD;
    p = put16(p, channel);
    size = p;
    p = put16(put16(put16(p + 4, class_basic), basic_publish), 0);
    p = put_short(p, "", 0);
    p = put_short(p, key, key_n);
    *p++ = 0;
    put32(size, p - size - 4);
    *p++ = frame_end;

    *p++ = AMQP_FRAME_HEADER;
    p = put16(p, channel);
    size = p;
    p = put64(put16(put16(p + 4, class_basic), 0), body_n);
    flags_at = p;
    p = put_short(p + 2, "application/json", 16);
    *p++ = AMQP_DELIVERY_PERSISTENT;
    if (with->priority >= 0) {
        flags |= priority;
        *p++ = with->priority;
    }
    if (with->correlation) {
        flags |= correlation;
        p = put_short(p, with->correlation, with->correlation_n);
    }
    if (with->reply_to) {
        flags |= reply_to;
        p = put_short(p, with->reply_to, with->reply_to_n);
    }
    if (with->message) {
        flags |= message;
        p = put_short(p, with->message, with->message_n);
    }
    put16(flags_at, flags);
    put32(size, p - size - 4);
    *p++ = frame_end;

    *p++ = AMQP_FRAME_BODY;
    p = put32(put16(p, channel), body_n);
    memcpy(p, body, body_n);
    p += body_n;
    *p++ = frame_end;
    wire->out.n += p - start;
}

static inline void wire_ack(Wire *wire, uint64_t tag, int multiple) {
    uint8_t *start = (uint8_t *)room(&wire->out, 32), *p = start;
    *p++ = AMQP_FRAME_METHOD;
    p = put64(put16(put16(put32(put16(p, 1), 13), class_basic), basic_ack), tag);
    *p++ = multiple;
    *p++ = frame_end;
    wire->out.n += p - start;
}

// --- JSON, as far as it is needed ---------------------------------------------------------------------------------

// The quote that ends the string whose first byte is at `p`; NULL when there is none.
static inline const char *string_end(const char *p, const char *end) {
    for (const char *quote = p; (quote = memchr(quote, '"', end - quote)); quote++) {
        const char *slash = quote;
        while (slash > p && slash[-1] == '\\') slash--;
        if ((quote - slash) % 2 == 0) return quote;
    }
    return NULL;
}

// Finds the string after `key`, which includes its quotes and colon; not unescaped, points into the text.
static inline int find_string(
    const char *text, size_t n, const char *key, size_t key_n, const char **value, size_t *value_n) {
    const char *p = memmem(text, n, key, key_n), *end;
    if (!p || !(end = string_end(p + key_n, text + n))) return 0;
    *value = p + key_n;
    *value_n = end - *value;
    return 1;
}
#define FIND_STRING(text, n, key, value, value_n) find_string(text, n, key, sizeof(key) - 1, value, value_n)
#endif
