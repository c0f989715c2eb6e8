#ifndef PARLEY_HANGING_RESOLVER_H
#define PARLEY_HANGING_RESOLVER_H

/* The test program has a getaddrinfo of its own, before the C library's: names that end in ".hangs.invalid" are not
 * resolved before parley_release_resolver() is called, like those of a name server that does not answer. All others are
 * the C library's business. */

/* How many threads hang in it. */
int parley_hanging_lookups(void);

/* Lets those that hang go, and later ones not hang. */
void parley_release_resolver(void);

/* Later ones hang again. */
void parley_hold_resolver(void);

#endif
