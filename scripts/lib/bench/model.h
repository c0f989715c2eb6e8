// What the simulated services answer, so that whoever knows a question can check its answer: the vector of a question
// is drawn from its hash, the documents of a vector from the vector's hash, and an answer begins with
// "q:<hash of the question> d:<all documents' numbers, xored>".
#ifndef PARLEY_BENCH_MODEL_H
#define PARLEY_BENCH_MODEL_H
#include <stddef.h>
#include <stdint.h>

// FNV-1a.
static inline uint64_t hash64(const void *bytes, size_t n) {
    const uint8_t *p = bytes;
    uint64_t h = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < n; i++) {
        h ^= p[i];
        h *= 0x100000001b3ULL;
    }
    return h;
}

// splitmix64.
static inline uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

// A vector's elements are these divided by 128: exact as binary and as decimal fractions.
static inline void embed(const char *text, size_t n, int dimension, int8_t *out) {
    uint64_t state = hash64(text, n), bits = 0;
    for (int i = 0; i < dimension; i++) {
        if (i % 8 == 0) bits = next_random(&state);
        out[i] = (int8_t)(bits & 0xff);
        bits >>= 8;
    }
}

static inline void nearest(const int8_t *vector, int dimension, int count, uint32_t *documents) {
    uint64_t state = hash64(vector, dimension);
    for (int i = 0; i < count; i++) documents[i] = (uint32_t)next_random(&state);
}
#endif
