#ifndef PARLEY_CEPOLL_H
#define PARLEY_CEPOLL_H
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <linux/sockios.h>

/* The C macro is an enum-typed expression that Swift does not import as a plain number. */
static const unsigned int parley_epoll_in = EPOLLIN;
static const unsigned int parley_epoll_out = EPOLLOUT;
static const unsigned int parley_epoll_err = EPOLLERR;
static const unsigned int parley_epoll_hup = EPOLLHUP;
static const unsigned int parley_epoll_rdhup = EPOLLRDHUP;

/* epoll_data is a union: one accessor each way keeps Swift out of it. */
static inline int parley_epoll_control(int epfd, int op, int fd, unsigned int events, unsigned long long token) {
  struct epoll_event event = {.events = events, .data = {.u64 = token}};
  return epoll_ctl(epfd, op, fd, &event);
}
static inline unsigned long long parley_epoll_token(const struct epoll_event *event) { return event->data.u64; }

/* Names the calling thread; the kernel keeps 15 bytes (prctl(2), PR_SET_NAME). */
static inline void parley_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

/* Bytes written to the socket and not yet acknowledged by the peer's kernel (tcp(7), SIOCOUTQ); -1 on error. */
static inline int parley_unsent_bytes(int fd) {
  int value = 0;
  return ioctl(fd, SIOCOUTQ, &value) == 0 ? value : -1;
}
#endif
