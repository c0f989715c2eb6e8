#ifndef PARLEY_CCURL_H
#define PARLEY_CCURL_H
#include <curl/curl.h>

/* libcurl's option calls are variadic, which Swift cannot call: one setter per type of argument. */

static inline CURLcode parley_easy_set_long(CURL *easy, CURLoption option, long value) {
  return curl_easy_setopt(easy, option, value);
}
static inline CURLcode parley_easy_set_size(CURL *easy, CURLoption option, curl_off_t value) {
  return curl_easy_setopt(easy, option, value);
}
static inline CURLcode parley_easy_set_string(CURL *easy, CURLoption option, const char *value) {
  return curl_easy_setopt(easy, option, value);
}
static inline CURLcode parley_easy_set_pointer(CURL *easy, CURLoption option, void *value) {
  return curl_easy_setopt(easy, option, value);
}
static inline CURLcode parley_easy_set_bytes(CURL *easy, CURLoption option, const void *value) {
  return curl_easy_setopt(easy, option, value);
}
static inline CURLcode parley_easy_set_headers(CURL *easy, struct curl_slist *headers) {
  return curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
}

/* Callbacks, each with the pointer it is given. */

static inline void parley_easy_on_header(CURL *easy, curl_write_callback function, void *context) {
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, function);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, context);
}
static inline void parley_easy_on_body(CURL *easy, curl_write_callback function, void *context) {
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, function);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, context);
}
static inline void parley_easy_on_resolve(CURL *easy, curl_resolver_start_callback function, void *context) {
  curl_easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION, function);
  curl_easy_setopt(easy, CURLOPT_RESOLVER_START_DATA, context);
}
static inline void parley_easy_on_sending(CURL *easy, curl_prereq_callback function, void *context) {
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, function);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, context);
}
static inline void parley_easy_on_open(CURL *easy, curl_opensocket_callback function, void *context) {
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, function);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, context);
}
static inline void parley_easy_on_close(CURL *easy, curl_closesocket_callback function, void *context) {
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, function);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, context);
}

static inline long parley_easy_long(CURL *easy, CURLINFO info) {
  long value = 0;
  curl_easy_getinfo(easy, info, &value);
  return value;
}
static inline curl_off_t parley_easy_size(CURL *easy, CURLINFO info) {
  curl_off_t value = -1;
  curl_easy_getinfo(easy, info, &value);
  return value;
}
static inline void *parley_easy_context(CURL *easy) {
  char *value = NULL;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &value);
  return value;
}

static inline CURLMcode parley_multi_set_long(CURLM *multi, CURLMoption option, long value) {
  return curl_multi_setopt(multi, option, value);
}
static inline void parley_multi_on_socket(CURLM *multi, curl_socket_callback function, void *context) {
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, function);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, context);
}
static inline void parley_multi_on_timer(CURLM *multi, curl_multi_timer_callback function, void *context) {
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, function);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, context);
}

/* Takes the next finished transfer out of `multi`: its handle and how it ended; NULL when there is none. */
static inline CURL *parley_multi_next_finished(CURLM *multi, CURLcode *result) {
  int left = 0;
  CURLMsg *message;
  while ((message = curl_multi_info_read(multi, &left))) {
    if (message->msg == CURLMSG_DONE) {
      *result = message->data.result;
      return message->easy_handle;
    }
  }
  return NULL;
}

static const curl_socket_t parley_socket_timeout = CURL_SOCKET_TIMEOUT;
static const size_t parley_write_pause = CURL_WRITEFUNC_PAUSE;
static const long parley_http_2_tls = CURL_HTTP_VERSION_2TLS;
static const long parley_http_1_1 = CURL_HTTP_VERSION_1_1;
static const long parley_http_2_prior = CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
static const long parley_seen_http_1_0 = CURL_HTTP_VERSION_1_0;
static const long parley_seen_http_2 = CURL_HTTP_VERSION_2_0;
#endif
