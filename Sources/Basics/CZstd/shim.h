#ifndef PARLEY_CZSTD_H
#define PARLEY_CZSTD_H
#include <zstd.h>
#endif
