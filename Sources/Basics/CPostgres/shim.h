#ifndef PARLEY_CPOSTGRES_H
#define PARLEY_CPOSTGRES_H
/* Debian puts it into a folder of its own, others do not. */
#if __has_include(<libpq-fe.h>)
#include <libpq-fe.h>
#else
#include <postgresql/libpq-fe.h>
#endif

static inline void parley_pq_say_nothing(void *context, const PGresult *result) {
  (void)context, (void)result;
}
/* libpq writes notices to standard error otherwise. */
static inline void parley_pq_drop_notices(PGconn *connection) {
  PQsetNoticeReceiver(connection, parley_pq_say_nothing, NULL);
}

static const int parley_pq_sql_state = PG_DIAG_SQLSTATE;
static const int parley_pq_primary_message = PG_DIAG_MESSAGE_PRIMARY;
#endif
