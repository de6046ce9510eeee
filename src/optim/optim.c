/* AdamW (Loshchilov & Hutter 2019) on the slices this rank keeps, with clipping by global norm. */
#include <math.h>

#include "internal.h"

int ft_optim_states(const ft_optim_options *options, ft_state_info *out) {
  bool coded = options->state == FT_MOMENTS_INT8;
  const size_t bytes = coded ? 1 : sizeof(float);
  const char *const names[][2] = {{"m", "m.scale"}, {"v", "v.scale"}};
  int num = 0;
  for (int i = 0; i < 2; i++) {
    out[num++] = (ft_state_info){.name = names[i][0], .group_elements = 1, .group_bytes = bytes};
    if (coded)
      out[num++] = (ft_state_info){
          .name = names[i][1], .group_elements = FT_QUANTUM, .group_bytes = sizeof(float)};
  }
  if (options->average > 0)
    out[num++] = (ft_state_info){
        .name = FT_OPTIM_AVERAGE, .group_elements = 1, .group_bytes = sizeof(float)};
  return num;
}

static ft_err add_states(ft_optim *o) {
  ft_err err = FT_OK;
  bool coded = o->options.state == FT_MOMENTS_INT8;
  ft_state_info states[FT_OPTIM_MAX_STATES];
  int *const coded_ids[] = {&o->m, &o->m_scale, &o->v, &o->v_scale, &o->average};
  int *const ids[] = {&o->m, &o->v, &o->average};
  int num = ft_optim_states(&o->options, states);
  for (int i = 0; i < num; i++)
    FT_TRY(ft_shard_add_state(o->shard, &states[i], coded ? coded_ids[i] : ids[i]));
out:
  return err;
}

ft_err ft_optim_new(ft_shard *shard, const ft_optim_options *options, ft_optim **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_comm_agree(ft_shard_comm(shard), ft_alloc(FT_MEM_OTHER, sizeof(ft_optim), &memory)));
  ft_optim *o = memory;
  *o = (ft_optim){.shard = shard, .options = *options};
  FT_TRY(add_states(o));
  *out = o;
out:
  if (err != FT_OK) ft_free(memory);
  return err;
}

void ft_optim_free(ft_optim *o) {
  ft_free(o);
}

/* min(1, clip / (norm + 1e-6)) as torch.nn.utils.clip_grad_norm_ computes it: in f32, the quotient
 * as a product with the reciprocal. */
static float clip_coefficient(double clip, double norm) {
  if (clip <= 0) return 1.0f;
  float inverse = 1.0f / ((float)norm + 1e-6f);
  return fminf(1.0f, inverse * (float)clip);
}

/* A block's arrays from element `local` on, a multiple of FT_QUANTUM. */
static ft_adamw_arrays arrays_at(const ft_optim *o, int64_t block, int64_t local) {
  const ft_shard_options *shard = ft_shard_options_of(o->shard);
  bool coded = o->options.state == FT_MOMENTS_INT8;
  size_t moment_bytes = coded ? 1 : sizeof(float);
  ft_adamw_arrays x = {
      .master = shard->master, .moments = o->options.state, .gradient = shard->gradient};
  void *w;
  ft_shard_master_arrays(o->shard, block, &w, &x.w_low);
  x.w = (char *)w + (size_t)local * ft_master_bytes(shard->master);
  if (x.w_low) x.w_low += local;
  x.m = (char *)ft_shard_state(o->shard, o->m, block) + (size_t)local * moment_bytes;
  x.v = (char *)ft_shard_state(o->shard, o->v, block) + (size_t)local * moment_bytes;
  if (coded) {
    x.m_scale = (float *)ft_shard_state(o->shard, o->m_scale, block) + local / FT_QUANTUM;
    x.v_scale = (float *)ft_shard_state(o->shard, o->v_scale, block) + local / FT_QUANTUM;
  }
  x.g = (const char *)ft_shard_gradient_array(o->shard, block) +
        (size_t)local * ft_dtype_bytes(shard->gradient);
  return x;
}

static bool nothing_packed(const ft_adamw_arrays *x) {
  return x->master == FT_MASTER_F32 && x->moments == FT_MOMENTS_F32 && x->gradient == FT_F32;
}

/* Updates what the kept range has of each tensor; padding stays zero. */
static void update_range(ft_optim *o, int64_t t, int64_t block, const ft_range *r,
                         const ft_rate *rate, const ft_adamw *common) {
  const ft_layout *layout = ft_shard_layout(o->shard);
  const ft_block *b = &layout->blocks[block];
  for (int i = 0; i < b->num_tensors; i++) {
    const ft_tensor *tensor = &b->tensors[i];
    int64_t from = FT_MAX(tensor->offset, r->start);
    int64_t end = FT_MIN(tensor->offset + ft_tensor_elements(tensor), r->start + r->count);
    if (from >= end) continue;
    ft_adamw a = *common;
    a.lr = (float)ft_layout_lr(layout, b, tensor, rate);
    a.weight_decay = (float)ft_layout_weight_decay(layout, tensor, o->options.weight_decay);
    ft_adamw_arrays x = arrays_at(o, block, r->local + (from - r->start));
    if (nothing_packed(&x))
      ft_adamw_update(&a, end - from, x.w, x.m, x.v, x.g);
    else
      ft_adamw_update_packed(&a, &x, ft_shard_options_of(o->shard)->seed, (uint64_t)t,
                             ft_element_number(block, from), end - from);
  }
}

void ft_optim_step(ft_optim *o, int64_t t, const ft_rate *rate, double norm) {
  FT_ASSERT(t >= 1 && isfinite(norm));
  const ft_optim_options *p = &o->options;
  /* β₁ᵗ in double: in f32 1-β₂ᵗ would lose half its digits in the first updates. */
  const ft_adamw common = {.beta1 = (float)p->beta1,
                           .beta2 = (float)p->beta2,
                           .eps = (float)p->eps,
                           .correction1 = (float)(1.0 - pow(p->beta1, (double)t)),
                           .correction2 = (float)(1.0 - pow(p->beta2, (double)t)),
                           .gradient_scale = clip_coefficient(p->grad_clip, norm)};
  for (int64_t block = 0; block < ft_shard_num_blocks(o->shard); block++) {
    int64_t num;
    const ft_range *ranges = ft_shard_kept_ranges(o->shard, block, &num);
    if (!ft_shard_is_trained(o->shard, block)) continue;
    for (int64_t i = 0; i < num; i++)
      update_range(o, t, block, &ranges[i], rate, &common);
  }
  if (p->average > 0) ft_average_weights(o, p->average);
}
