#ifndef CHNSW_H
#define CHNSW_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A graph over unit vectors (hnswlib, inner product). Immutable once built: searches may run on many threads at once.
typedef struct chnsw_index chnsw_index;

/// Copies `count` vectors of `dimension` floats, laid out one after another, into a new index; their positions are
/// their labels. NULL when `count` or `dimension` is 0, or memory runs out.
chnsw_index *chnsw_build(const float *vectors, size_t count, size_t dimension, size_t m, size_t ef_construction,
                         size_t ef_search);

/// Writes the labels and inner products of at most `k` near vectors, nearest first, and returns how many.
size_t chnsw_search(const chnsw_index *index, const float *query, size_t k, uint32_t *labels, float *similarities);

void chnsw_free(chnsw_index *index);

#ifdef __cplusplus
}
#endif
#endif
