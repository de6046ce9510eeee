/* What the tests of kernels share: arrays of either type with random content, comparison with a
 * tolerance, and running a check for each instruction set this CPU has and several thread counts.
 */
#ifndef FT_TEST_KERNELS_SUPPORT_H
#define FT_TEST_KERNELS_SUPPORT_H

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "ft/kernels.h"
#include "ft/kernels_ref.h"
#include "ft_test.h"

typedef struct array {
  ft_dtype type;
  int64_t count;
  void *data;
} array;

static inline double get(const array *a, int64_t i) {
  return a->type == FT_F32 ? (double)((float *)a->data)[i]
                           : (double)ft_f32_from_bf16(((uint16_t *)a->data)[i]);
}
static inline void set(array *a, int64_t i, double value) {
  if (a->type == FT_F32)
    ((float *)a->data)[i] = (float)value;
  else
    ((uint16_t *)a->data)[i] = ft_bf16_from_f32((float)value);
}

static inline array array_new(ft_dtype type, int64_t count) {
  array a = {.type = type, .count = count};
  a.data = calloc((size_t)count + 1, ft_dtype_bytes(type)); /* malloc, so that sanitizers watch */
  assert_non_null(a.data);
  return a;
}
/* Number `i` of a row of nearly normal ones, of variance 1: the sum of four uniform ones, of 16 bits
 * each of splitmix64. Tests make so many that ft_random_normal took half of their time. */
static inline double nearly_normal(uint64_t seed, int64_t i) {
  uint64_t bits = (seed << 40) + ((uint64_t)i + 1) * 0x9e3779b97f4a7c15u;
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
  bits ^= bits >> 31;
  uint64_t sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
  return ((double)sum - 2.0 * 0xffff) * (sqrt(3.0) / 0xffff);
}
/* Nearly normal numbers times `scale`; the same for the same seed, whatever the type. */
static inline array array_random(ft_dtype type, int64_t count, uint64_t seed, double scale) {
  array a = array_new(type, count);
  for (int64_t i = 0; i < count; i++)
    set(&a, i, scale * nearly_normal(seed, i));
  return a;
}
static inline array array_copy(const array *a) {
  array b = array_new(a->type, a->count);
  memcpy(b.data, a->data, (size_t)a->count * ft_dtype_bytes(a->type));
  return b;
}
static inline void array_free(array *a) {
  free(a->data);
  a->data = NULL;
}
/* array_free of each of these arrays. */
#define ARRAYS_FREE(...)                                                                           \
  do {                                                                                             \
    array *arrays[] = {__VA_ARGS__};                                                               \
    for (size_t freed = 0; freed < FT_ARRAY_SIZE(arrays); freed++)                                 \
      array_free(arrays[freed]);                                                                   \
  } while (0)
static inline bool array_equal(const array *a, const array *b) {
  return a->count == b->count && a->type == b->type &&
         memcmp(a->data, b->data, (size_t)a->count * ft_dtype_bytes(a->type)) == 0;
}

/* |found − expected| ≤ absolute + relative · |expected| for every element (so gaps between rows are
 * compared too: both arrays hold the same there). */
static inline void assert_near(const char *what, const array *found, const array *expected,
                               double relative, double absolute) {
  assert_int_equal(found->count, expected->count);
  for (int64_t i = 0; i < found->count; i++) {
    double f = get(found, i), e = get(expected, i);
    if (!(fabs(f - e) <= absolute + relative * fabs(e)))
      fail_msg("%s [%s]: element %lld of %lld is %.9g, expected %.9g", what, ft_kernels_describe(),
               (long long)i, (long long)found->count, f, e);
  }
}

/* A result in `type` may be off by a rounding of it and by the order of f32 sums. */
static inline double relative_of(ft_dtype type) {
  return type == FT_F32 ? 2e-5 : 8e-3;
}

static const ft_dtype both_types[] = {FT_F32, FT_BF16};

/* Runs what follows with 1 to 3 threads (omp_set_num_threads is left to it). */
#define FOR_THREADS for (int threads = 1; threads <= 3; threads++)

/* Remembers `found` of the first thread count, and expects its bits of the others. */
static inline void assert_same_for_threads(int threads, array *first, const array *found) {
  if (threads == 1) *first = array_copy(found);
  assert_true(array_equal(first, found));
  if (threads == 3) array_free(first);
}

/* Runs check once for each instruction set that this CPU has. */
static inline void for_each_level(void (*check)(void)) {
  static const char *const levels[] = {"plain", "avx2", "avx512", "avx512bf16"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(levels); i++) {
    ft_kernels_fini();
    setenv("FTRUN_CPU", levels[i], 1);
    if (ft_kernels_init() != FT_OK) {
      assert_non_null(strstr(ft_error_message(), "no more than"));
      continue;
    }
    check();
  }
  ft_kernels_fini();
  unsetenv("FTRUN_CPU");
  assert_ok(ft_kernels_init());
}

/* Before and after the tests of a program: at the end no scratch memory is left. */
static inline int kernels_start(void **state) {
  (void)state;
  return ft_kernels_init() == FT_OK ? 0 : -1;
}
static inline int kernels_end(void **state) {
  (void)state;
  ft_kernels_fini();
  return ft_mem_of(FT_MEM_WORKSPACE).current_bytes == 0 ? 0 : -1;
}

#endif
