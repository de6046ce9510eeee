/* optim: AdamW on owned slices, gradient clipping, learning-rate schedules, and the moving average
 * of the weights. */
#ifndef FT_OPTIM_H
#define FT_OPTIM_H

#include "ft/shard.h"

typedef enum ft_schedule_name {
  FT_SCHEDULE_CONSTANT,
  FT_SCHEDULE_LINEAR,
  FT_SCHEDULE_COSINE,
  FT_SCHEDULE_WSD /* warm-up, stable, decay: Hu et al. 2024 (MiniCPM), arXiv 2404.06395 */
} ft_schedule_name;

typedef struct ft_schedule {
  ft_schedule_name name;
  int64_t warmup_steps;
  int64_t decay_steps; /* FT_SCHEDULE_WSD: the last so many steps */
  double min_lr_ratio;
} ft_schedule;

/* Learning rate of update t (from 1) of `steps`: warm-up lr·t/warmup while t ≤ warmup, then
 * constant, or linear or cosine from lr to lr·min_lr_ratio at t = steps; or constant up to
 * t = steps − decay_steps, and then linear to that (decay_steps at most steps − warmup). A pure
 * function. */
double ft_schedule_lr(const ft_schedule *schedule, double lr, int64_t t, int64_t steps);

typedef struct ft_optim_options {
  double beta1, beta2, eps;
  double weight_decay; /* of tensors with two dimensions in no group that has its own */
  double grad_clip;    /* 0: no clipping */
  ft_moments state;    /* how the moments are kept */
  double average;      /* decay of the moving average of the weights; 0: none */
} ft_optim_options;

/* The state of shard that is the average of the weights, in f32. */
#define FT_OPTIM_AVERAGE "ema"

typedef struct ft_optim ft_optim;

enum { FT_OPTIM_MAX_STATES = 5 };
/* The states that ft_optim_new registers, in this order; out [FT_OPTIM_MAX_STATES]. Returns how
 * many. Not collective. */
int ft_optim_states(const ft_optim_options *options, ft_state_info *out);

/* Registers states "m" and "v" in shard, in int8 their scales, "m.scale" and "v.scale", and with an
 * average FT_OPTIM_AVERAGE. Collective over all ranks. shard is borrowed. */
ft_err ft_optim_new(ft_shard *shard, const ft_optim_options *options, ft_optim **out);
void ft_optim_free(ft_optim *optim);

/* The weights have been set, and no update was made yet: the average, if there is one, begins as
 * they are. Not collective. */
void ft_optim_begin_average(ft_optim *optim);

/* Update t (from 1; it names the random numbers of weights that are kept in fewer bits), with the
 * rates and decays that the layout gives its tensors at `rate`, of gradients whose global norm is
 * `norm`. Changes master weights and states of
 * everything kept; then average += (1 − options.average) · (weight − average), in f32. Touches no
 * collective (call ft_shard_weights_changed after). Not collective. */
void ft_optim_step(ft_optim *optim, int64_t t, const ft_rate *rate, double norm);

#endif
