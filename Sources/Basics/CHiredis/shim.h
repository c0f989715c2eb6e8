#ifndef PARLEY_CHIREDIS_H
#define PARLEY_CHIREDIS_H
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <hiredis/hiredis.h>

/* Arrays inside a struct arrive in Swift as tuples: hand out pointers. */
static inline const char *parley_redis_error(const redisContext *c) { return c->errstr; }

/* Bytes in the reader's buffer, consumed ones that it has not yet dropped included. */
static inline size_t parley_redis_buffered(const redisContext *c) { return c->reader->len; }
static inline size_t parley_redis_unparsed(const redisContext *c) { return c->reader->len - c->reader->pos; }

/* The length of the string that the reader waits for the rest of; -1 when it waits for something else, such as the end
   of a line. A length that does not fit is LLONG_MAX. */
static inline long long parley_redis_announced(const redisContext *c) {
  const redisReader *r = c->reader;
  if (r->ridx < 0) return -1;
#if HIREDIS_MAJOR >= 1
  int type = r->task[r->ridx]->type;
#else
  int type = r->rstack[r->ridx].type;
#endif
  if (type != REDIS_REPLY_STRING) return -1;
  long long length = 0;
  for (size_t at = r->pos; at < r->len; at++) {
    if (r->buf[at] < '0' || r->buf[at] > '9') return at > r->pos && r->buf[at] == '\r' ? length : -1;
    length = length > (LLONG_MAX - 9) / 10 ? LLONG_MAX : length * 10 + (r->buf[at] - '0');
  }
  return -1;
}

/* hiredis makes room for an array when it is announced, recurses when it frees one, and newer ones nest without end:
   bounded here before anything is allocated, in elements of a whole reply and in levels. RESP3's maps, sets and pushes,
   which nobody asked for, are refused, too. hiredis reports a refusal as REDIS_ERR_OOM. */
enum { parley_redis_most_elements = 1 << 20, parley_redis_most_levels = 128 };

typedef struct {
  redisReplyObjectFunctions functions;
  redisReplyObjectFunctions *original;
  long long elements; /* of the reply that is being read */
} parley_redis_limits;

#if HIREDIS_MAJOR >= 1
typedef size_t parley_redis_count;
#else
typedef int parley_redis_count;
#endif

static void *parley_redis_create_array(const redisReadTask *task, parley_redis_count count) {
  parley_redis_limits *limits = (parley_redis_limits *)task->privdata;
  int levels = 1;
  for (const redisReadTask *up = task->parent; up; up = up->parent) levels++;
  if (levels == 1) limits->elements = 0;
  if (task->type != REDIS_REPLY_ARRAY || levels > parley_redis_most_levels ||
      (long long)count > parley_redis_most_elements - limits->elements)
    return NULL;
  limits->elements += (long long)count;
  return limits->original->createArray(task, count);
}

/* 0, or ENOMEM. To be called before the first reply is read. */
static inline int parley_redis_limit(redisContext *c) {
  parley_redis_limits *limits = (parley_redis_limits *)calloc(1, sizeof *limits);
  if (!limits) return ENOMEM;
  limits->functions = *c->reader->fn;
  limits->original = c->reader->fn;
  limits->functions.createArray = parley_redis_create_array;
  c->reader->fn = &limits->functions;
  c->reader->privdata = limits;
  return 0;
}

/* Frees the context, limited or not. */
static inline void parley_redis_free(redisContext *c) {
  void *limits = c->reader ? c->reader->privdata : NULL; /* in use until the reader is freed */
  redisFree(c);
  free(limits);
}

/* hiredis writes with write(2), which raises SIGPIPE in the writing thread when the peer has gone. Blocked in that
   thread alone the signal does nothing, and the call fails with EPIPE; the rest of the process is left as it is. */
static inline void parley_redis_block_sigpipe(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* Makes a connected blocking context non-blocking and sets the socket up: close-on-exec, no Nagle delay, keep-alive
   after 15 s of silence, and an end when data stays unacknowledged for `unacknowledged_ms` (tcp(7)).
   0, or the errno of what failed; the keep-alive settings are best effort. */
static inline int parley_redis_prepare(redisContext *c, unsigned int unacknowledged_ms) {
  int on = 1, idle = 15, interval = 5, count = 3;
  int flags = fcntl(c->fd, F_GETFL);
  if (flags < 0 || fcntl(c->fd, F_SETFL, flags | O_NONBLOCK) < 0) return errno;
  if (fcntl(c->fd, F_SETFD, FD_CLOEXEC) < 0) return errno;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  setsockopt(c->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof unacknowledged_ms);
  c->flags &= ~REDIS_BLOCK;
  return 0;
}

/* TLS lives in hiredis_ssl, a library of its own beside hiredis 1.0 and later. It is loaded when a rediss:// URL asks
   for it, so that one binary builds and links alike with either hiredis. OpenSSL comes with it as its dependency; it
   is called directly for what hiredis leaves out: checking that the certificate names the host. */
#if HIREDIS_MAJOR >= 1 && __has_include(<hiredis/hiredis_ssl.h>)
#define PARLEY_TEXT_OF(x) #x
#define PARLEY_TEXT(x) PARLEY_TEXT_OF(x)
static inline int parley_redis_has_tls(void) { return 1; }

/* A key with a passphrase is refused: OpenSSL would ask for it on the terminal. */
static int parley_redis_no_passphrase(char *text, int size, int writing, void *data) {
  (void)text, (void)size, (void)writing, (void)data;
  return 0;
}

/* Completes a TLS handshake on a connected, still blocking context, bounded by redisSetTimeout. 0, or -1 with `why`.
   NULL for `ca_file` trusts the system's authorities, NULL for `cert_file` shows no certificate. */
static inline int parley_redis_start_tls(redisContext *c, const char *host, const char *ca_file, const char *cert_file,
                                         const char *key_file, char *why, size_t size) {
  static const char library[] = "libhiredis_ssl.so." PARLEY_TEXT(HIREDIS_SONAME);
  void *lib = dlopen(library, RTLD_NOW | RTLD_LOCAL); /* counted, and never closed: it may serve other connections */
  if (!lib) return snprintf(why, size, "%s cannot be loaded: install the hiredis TLS library", library), -1;
#define PARLEY_SYMBOL(result, name, ...) \
  result (*name)(__VA_ARGS__) = (result (*)(__VA_ARGS__))dlsym(lib, #name); \
  if (!name) return snprintf(why, size, "%s lacks %s", library, #name), -1
  PARLEY_SYMBOL(int, redisInitiateSSL, redisContext *, void *);
  PARLEY_SYMBOL(const void *, TLS_client_method, void);
  PARLEY_SYMBOL(void *, SSL_CTX_new, const void *);
  PARLEY_SYMBOL(void, SSL_CTX_free, void *);
  PARLEY_SYMBOL(long, SSL_CTX_ctrl, void *, int, long, void *);
  PARLEY_SYMBOL(void, SSL_CTX_set_verify, void *, int, void *);
  PARLEY_SYMBOL(int, SSL_CTX_set_default_verify_paths, void *);
  PARLEY_SYMBOL(int, SSL_CTX_load_verify_locations, void *, const char *, const char *);
  PARLEY_SYMBOL(int, SSL_CTX_use_certificate_chain_file, void *, const char *);
  PARLEY_SYMBOL(int, SSL_CTX_use_PrivateKey_file, void *, const char *, int);
  PARLEY_SYMBOL(void, SSL_CTX_set_default_passwd_cb, void *, int (*)(char *, int, int, void *));
  PARLEY_SYMBOL(unsigned long, ERR_peek_last_error, void);
  PARLEY_SYMBOL(const char *, ERR_reason_error_string, unsigned long);
  PARLEY_SYMBOL(void, ERR_clear_error, void);
  PARLEY_SYMBOL(void *, SSL_new, void *);
  PARLEY_SYMBOL(void, SSL_free, void *);
  PARLEY_SYMBOL(long, SSL_ctrl, void *, int, long, void *);
  PARLEY_SYMBOL(void *, SSL_get0_param, void *);
  PARLEY_SYMBOL(long, SSL_get_verify_result, const void *);
  PARLEY_SYMBOL(const char *, X509_verify_cert_error_string, long);
  PARLEY_SYMBOL(int, X509_VERIFY_PARAM_set1_host, void *, const char *, size_t);
  PARLEY_SYMBOL(int, X509_VERIFY_PARAM_set1_ip_asc, void *, const char *);
#undef PARLEY_SYMBOL
  enum { verify_peer = 1, pem = 1, set_server_name = 55, set_minimum_version = 123, tls_1_2 = 0x0303 }; /* openssl/ssl.h */
  ERR_clear_error();
  void *settings = SSL_CTX_new(TLS_client_method());
  if (!settings) return snprintf(why, size, "OpenSSL refuses a client context"), -1;
  SSL_CTX_set_verify(settings, verify_peer, NULL);
  SSL_CTX_ctrl(settings, set_minimum_version, tls_1_2, NULL);
  int loaded = ca_file ? SSL_CTX_load_verify_locations(settings, ca_file, NULL)
                       : SSL_CTX_set_default_verify_paths(settings);
  const char *unread = loaded == 1 ? NULL : ca_file ? ca_file : "the system's certificate authorities";
  SSL_CTX_set_default_passwd_cb(settings, parley_redis_no_passphrase);
  if (!unread && cert_file && SSL_CTX_use_certificate_chain_file(settings, cert_file) != 1) unread = cert_file;
  if (!unread && cert_file && SSL_CTX_use_PrivateKey_file(settings, key_file ? key_file : cert_file, pem) != 1)
    unread = key_file ? key_file : cert_file;
  void *ssl = unread ? NULL : SSL_new(settings);
  SSL_CTX_free(settings); /* counted: `ssl` keeps it */
  if (!ssl) {
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    snprintf(why, size, "%s cannot be used: %s (PEM files are needed, the key without a passphrase)",
             unread ? unread : "OpenSSL", reason ? reason : "out of memory");
    return -1;
  }
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) != 1) {
    SSL_ctrl(ssl, set_server_name, 0, (void *)host);
    if (X509_VERIFY_PARAM_set1_host(SSL_get0_param(ssl), host, 0) != 1) {
      SSL_free(ssl);
      return snprintf(why, size, "OpenSSL refuses the host name"), -1;
    }
  }
  if (redisInitiateSSL(c, ssl) != REDIS_OK) {
    long verdict = SSL_get_verify_result(ssl);
    if (verdict != 0) snprintf(why, size, "%s", X509_verify_cert_error_string(verdict));
    else snprintf(why, size, "%s", c->errstr);
    SSL_free(ssl);
    return -1;
  }
  return 0;
}
#else
static inline int parley_redis_has_tls(void) { return 0; }
static inline int parley_redis_start_tls(redisContext *c, const char *host, const char *ca_file, const char *cert_file,
                                         const char *key_file, char *why, size_t size) {
  (void)c, (void)host, (void)ca_file, (void)cert_file, (void)key_file;
  return snprintf(why, size, "built with a hiredis that has no TLS"), -1;
}
#endif
#endif
