/* The exponential moving average of the weights (Polyak & Juditsky 1992), in f32 beside the master
 * weights, after every update. It begins with the weights that the run begins with, as the averages
 * of timm (ModelEmaV3) and diffusers do, so that its first steps need no correction. */
#include "internal.h"

/* The kept elements of a block lie in one array, tensors and padding, and padding is zero. */
void ft_average_weights(ft_optim *o, double decay) {
  for (int64_t block = 0; block < ft_shard_num_blocks(o->shard); block++) {
    void *w;
    uint8_t *low;
    if (!ft_shard_is_trained(o->shard, block)) continue;
    ft_shard_master_arrays(o->shard, block, &w, &low);
    ft_average_update(decay, ft_shard_options_of(o->shard)->master, w, low,
                      ft_shard_kept(o->shard, block), ft_shard_state(o->shard, o->average, block));
  }
}

/* From zeros, with nothing kept of them. */
void ft_optim_begin_average(ft_optim *o) {
  if (o->options.average > 0) ft_average_weights(o, 0);
}
