#define _GNU_SOURCE
#include "CHangingResolver.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int hanging = 0;
static int held = 1;

int parley_hanging_lookups(void) {
  pthread_mutex_lock(&lock);
  int count = hanging;
  pthread_mutex_unlock(&lock);
  return count;
}

static void set_held(int value) {
  pthread_mutex_lock(&lock);
  held = value;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

void parley_release_resolver(void) { set_held(0); }
void parley_hold_resolver(void) { set_held(1); }

static int hangs(const char *name) {
  static const char suffix[] = ".hangs.invalid";
  size_t length = name ? strlen(name) : 0;
  return length >= sizeof suffix - 1 && strcmp(name + length - (sizeof suffix - 1), suffix) == 0;
}

int getaddrinfo(const char *restrict name, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict result) {
  if (hangs(name)) {
    pthread_mutex_lock(&lock);
    hanging++;
    while (held) pthread_cond_wait(&changed, &lock);
    hanging--;
    pthread_mutex_unlock(&lock);
    return EAI_AGAIN;
  }
  typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  resolver *next = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
  return next ? next(name, service, hints, result) : EAI_FAIL;
}
