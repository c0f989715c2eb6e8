#ifndef PARLEY_CCRYPTO_H
#define PARLEY_CCRYPTO_H
/* librabbitmq is linked with OpenSSL's libcrypto, and librabbitmq-dev brings its headers. */
#include <openssl/evp.h>
#endif
