/* Which set a document belongs to: a pure function of its content and the seed. */
#include "ft/prep.h"

const char *ft_split_name(ft_split split) {
  static const char *const names[FT_NUM_SPLITS] = {"train", "validation", "test"};
  FT_ASSERT(split < FT_NUM_SPLITS);
  return names[split];
}

ft_split ft_split_of(uint64_t content_hash, uint64_t seed, double validation, double test) {
  double place = ft_random_uniform(seed, FT_RANDOM_SPLIT, 0, content_hash);
  return place < test                ? FT_SPLIT_TEST
         : place < test + validation ? FT_SPLIT_VALIDATION
                                     : FT_SPLIT_TRAIN;
}
