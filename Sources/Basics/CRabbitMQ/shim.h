#ifndef PARLEY_CRABBITMQ_H
#define PARLEY_CRABBITMQ_H
/* Newer versions of librabbitmq have their headers in a folder of their own, and set OpenSSL up with the first socket;
   the old names and the call that did it warn there. */
#if __has_include(<rabbitmq-c/amqp.h>)
#define PARLEY_SET_UP_TLS 0
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#include <rabbitmq-c/ssl_socket.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#define PARLEY_SET_UP_TLS 1
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#endif
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

/* Once in a process, before the first TLS socket. */
static inline void parley_amqp_set_up_tls(void) {
#if PARLEY_SET_UP_TLS
  amqp_initialize_ssl_library();
#endif
}
#undef PARLEY_SET_UP_TLS

/* Swift does not call variadic functions. */
static inline amqp_rpc_reply_t parley_amqp_login(amqp_connection_state_t state, const char *vhost, int frame_max,
                                                 int heartbeat, const amqp_table_t *properties, const char *user,
                                                 const char *password) {
  return amqp_login_with_properties(state, vhost, 0, frame_max, heartbeat, properties, AMQP_SASL_METHOD_PLAIN, user,
                                    password);
}

/* Next whole frame that is there already, without waiting. */
static inline int parley_amqp_next_frame(amqp_connection_state_t state, amqp_frame_t *frame) {
  struct timeval zero = {0, 0};
  return amqp_simple_wait_frame_noblock(state, frame, &zero);
}

/* tcp(7), socket(7). Best effort: an option the kernel lacks is no reason to fail. Returns the send buffer's size. */
static inline int parley_tune_socket(int fd, unsigned int user_timeout_ms, int send_buffer) {
  int one = 1, size = 0;
  socklen_t length = sizeof(size);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
  if (user_timeout_ms > 0)
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
  return getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &length) == 0 ? size : 0;
}

/* Holds small segments back (1) or pushes them out (0): tcp(7), TCP_CORK. */
static inline void parley_cork(int fd, int on) { setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on)); }

/* Whether the kernel has a third of the send buffer or more left (what POLLOUT means for TCP on Linux). */
static inline int parley_has_room(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}
#endif
