/* Layouts for tests: made from a description, kept until the test program ends. */
#ifndef FT_TESTS_LAYOUTS_H
#define FT_TESTS_LAYOUTS_H

#include <string.h>

#include "ft_test.h"
#include "ft/arch_layout.h"
#include "ft/shard.h"

static inline const ft_layout *layout_of(const ft_arch *arch) {
  static ft_layout *known[64];
  static ft_arch of[64];
  size_t i = 0;
  while (i < FT_ARRAY_SIZE(known) && known[i] && memcmp(&of[i], arch, sizeof *arch) != 0)
    i++;
  assert_true(i < FT_ARRAY_SIZE(known));
  if (!known[i]) {
    of[i] = *arch;
    assert_ok(ft_layout_new(arch, NULL, NULL, &known[i]));
  }
  return known[i];
}

/* Kind `kind` for each layer from `first` on. */
static inline void set_kind(ft_arch *arch, int64_t first, uint8_t kind) {
  for (int64_t i = first; i < arch->layers; i++)
    arch->kind_of[i] = kind;
}

/* A pass that acquires one block. */
static inline ft_err acquire_one(ft_shard *shard, int64_t block, const void **weights) {
  static int64_t order;
  order = block;
  ft_shard_begin_pass(shard, &order, 1);
  return ft_shard_acquire(shard, block, weights);
}

#endif
