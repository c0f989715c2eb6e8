#include "CHNSW.h"

// hnswlib 0.6 defines functions (cpuid, xgetbv, AVXCapable…) in its header that are not inline. Inside an unnamed
// namespace they stay private to this file; what it includes itself must have been included before.
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <algorithm>
#include <atomic>
#include <cassert>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <functional>
#include <iostream>
#include <list>
#include <memory>
#include <mutex>
#include <new>
#include <queue>
#include <random>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>
#if defined(__SSE__)
#include <cpuid.h>
#include <immintrin.h>
#include <x86intrin.h>
#endif

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Weverything"
// hnswlib reads the neighbour behind the last one of a list, only to prefetch what it names: harmless, but an overflow
// to Address Sanitizer.
#pragma clang attribute push(__attribute__((no_sanitize("address"))), apply_to = function)
namespace {
#include <hnswlib/hnswlib.h>
}
#pragma clang attribute pop
#pragma clang diagnostic pop

struct chnsw_index {
  hnswlib::InnerProductSpace space;
  hnswlib::HierarchicalNSW<float> graph;

  chnsw_index(size_t dimension, size_t count, size_t m, size_t ef_construction)
      : space(dimension), graph(&space, count, m, ef_construction) {}
};

chnsw_index *chnsw_build(const float *vectors, size_t count, size_t dimension, size_t m, size_t ef_construction,
                         size_t ef_search) {
  if (count == 0 || dimension == 0) return nullptr;
  try {
    auto index = std::make_unique<chnsw_index>(dimension, count, m, ef_construction);
    for (size_t i = 0; i < count; i++) index->graph.addPoint(vectors + i * dimension, i);
    index->graph.setEf(ef_search);
    return index.release();
  } catch (...) {
    return nullptr;
  }
}

size_t chnsw_search(const chnsw_index *index, const float *query, size_t k, uint32_t *labels, float *similarities) {
  try {
    auto found = index->graph.searchKnn(query, k);  // the farthest is on top
    size_t count = found.size();
    for (size_t i = count; i > 0; i--) {
      labels[i - 1] = static_cast<uint32_t>(found.top().second);
      similarities[i - 1] = 1 - found.top().first;
      found.pop();
    }
    return count;
  } catch (...) {
    return 0;
  }
}

void chnsw_free(chnsw_index *index) { delete index; }
