/* Counter-based random numbers: Philox4x32-10. J. K. Salmon et al., "Parallel random numbers: as
 * easy as 1, 2, 3", SC'11. */
#include <math.h>

#include "ft/base.h"

static const double pi = 3.14159265358979323846;

static void philox_round(uint32_t counter[4], const uint32_t key[2]) {
  uint64_t a = (uint64_t)0xD2511F53u * counter[0], b = (uint64_t)0xCD9E8D57u * counter[2];
  uint32_t next[4] = {(uint32_t)(b >> 32) ^ counter[1] ^ key[0], (uint32_t)b,
                      (uint32_t)(a >> 32) ^ counter[3] ^ key[1], (uint32_t)a};
  for (int i = 0; i < 4; i++)
    counter[i] = next[i];
}

/* The purpose goes into the key through one round of mixing, so that (seed, purpose) pairs do not
 * collide in any pattern that seeds of users have. */
uint64_t ft_random_key(uint64_t seed, ft_purpose purpose) {
  uint64_t x = seed + 0x9E3779B97F4A7C15u * ((uint64_t)purpose + 1);
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

static void philox4x32(uint32_t counter[4], uint32_t key[2]) {
  for (int round = 0; round < 10; round++) {
    philox_round(counter, key);
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
}

void ft_random_words(uint64_t seed, ft_purpose purpose, uint64_t step, uint64_t index,
                     uint32_t out[4]) {
  uint64_t k = ft_random_key(seed, purpose);
  uint32_t key[2] = {(uint32_t)k, (uint32_t)(k >> 32)};
  out[0] = (uint32_t)index;
  out[1] = (uint32_t)(index >> 32);
  out[2] = (uint32_t)step;
  out[3] = (uint32_t)(step >> 32);
  philox4x32(out, key);
}

uint64_t ft_random_u64(uint64_t seed, ft_purpose purpose, uint64_t step, uint64_t index) {
  uint32_t w[4];
  ft_random_words(seed, purpose, step, index, w);
  return (uint64_t)w[1] << 32 | w[0];
}

static double unit(uint64_t bits) {
  return (double)(bits >> 11) * 0x1p-53;
}

double ft_random_uniform(uint64_t seed, ft_purpose purpose, uint64_t step, uint64_t index) {
  return unit(ft_random_u64(seed, purpose, step, index));
}

double ft_random_normal(uint64_t seed, ft_purpose purpose, uint64_t step, uint64_t index) {
  uint32_t w[4];
  ft_random_words(seed, purpose, step, index, w);
  double u = 1.0 - unit((uint64_t)w[1] << 32 | w[0]); /* in (0, 1] */
  double v = unit((uint64_t)w[3] << 32 | w[2]);
  return sqrt(-2.0 * log(u)) * cos(2.0 * pi * v);
}

void ft_random_permutation(uint64_t seed, ft_purpose purpose, uint64_t step, int64_t count,
                           int64_t *order) {
  for (int64_t i = 0; i < count; i++)
    order[i] = i;
  for (int64_t i = count - 1; i > 0; i--) {
    /* 128-bit multiplication maps 64 random bits to 0 … i with a bias below 2^-40 for any real
     * count */
    uint64_t r = ft_random_u64(seed, purpose, step, (uint64_t)i);
    __extension__ typedef unsigned __int128 wide;
    int64_t j = (int64_t)(((wide)r * (uint64_t)(i + 1)) >> 64);
    int64_t t = order[i];
    order[i] = order[j];
    order[j] = t;
  }
}
