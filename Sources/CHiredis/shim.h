#ifndef PARLEY_CHIREDIS_H
#define PARLEY_CHIREDIS_H
#include <hiredis/hiredis.h>
#endif
