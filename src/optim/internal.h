/* What the files of optim share. */
#ifndef FT_OPTIM_INTERNAL_H
#define FT_OPTIM_INTERNAL_H

#include "ft/kernels_packed.h"
#include "ft/optim.h"

struct ft_optim {
  ft_shard *shard; /* borrowed */
  ft_optim_options options;
  int m, v, m_scale, v_scale; /* states of shard: first and second moment */
  int average;                /* … and the average of the weights, if options.average says so */
};

/* ---- average.c */
/* average += (1 − decay) · (weight − average), of all that is kept. Not collective. */
void ft_average_weights(ft_optim *o, double decay);

#endif
