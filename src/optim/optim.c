/* AdamW (Loshchilov & Hutter 2019) on the slices this rank keeps, with clipping by global norm. */
#include "ft/optim.h"

#include <math.h>

#include "ft/kernels.h"

struct ft_optim {
  ft_shard *shard; /* borrowed */
  ft_optim_options options;
  int m, v; /* states of shard: first and second moment */
};

ft_err ft_optim_new(ft_shard *shard, const ft_optim_options *options, ft_optim **out) {
  ft_err err = FT_OK;
  static const ft_state_info m = {.name = "m", .group_elements = 1, .group_bytes = sizeof(float)};
  static const ft_state_info v = {.name = "v", .group_elements = 1, .group_bytes = sizeof(float)};
  void *memory = NULL;
  int m_index = 0, v_index = 0;
  *out = NULL;
  FT_TRY(ft_comm_agree(ft_shard_comm(shard), ft_alloc(FT_MEM_OTHER, sizeof(ft_optim), &memory)));
  FT_TRY(ft_shard_add_state(shard, &m, &m_index));
  FT_TRY(ft_shard_add_state(shard, &v, &v_index));
  ft_optim *o = memory;
  *o = (ft_optim){.shard = shard, .options = *options, .m = m_index, .v = v_index};
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

/* Updates what the kept range has of each tensor; padding stays zero. */
static void update_range(ft_optim *o, int64_t block, const ft_range *r, const ft_adamw *common) {
  const ft_block *b = ft_shard_block(o->shard, block);
  float *w = ft_shard_master(o->shard, block), *g = ft_shard_gradient(o->shard, block);
  float *m = ft_shard_state(o->shard, o->m, block), *v = ft_shard_state(o->shard, o->v, block);
  for (int i = 0; i < b->num_tensors; i++) {
    const ft_tensor *t = &b->tensors[i];
    int64_t from = FT_MAX(t->offset, r->start);
    int64_t end = FT_MIN(t->offset + ft_tensor_elements(t), r->start + r->count);
    if (from >= end) continue;
    ft_adamw a = *common;
    if (t->num_dims < 2) a.weight_decay = 0;
    int64_t local = r->local + (from - r->start);
    ft_adamw_update(&a, end - from, w + local, m + local, v + local, g + local);
  }
}

void ft_optim_step(ft_optim *o, int64_t t, double lr, double norm) {
  FT_ASSERT(t >= 1 && isfinite(norm));
  const ft_optim_options *p = &o->options;
  /* β₁ᵗ in double: in f32 1-β₂ᵗ would lose half its digits in the first updates. */
  const ft_adamw common = {.lr = (float)lr,
                           .beta1 = (float)p->beta1,
                           .beta2 = (float)p->beta2,
                           .eps = (float)p->eps,
                           .weight_decay = (float)p->weight_decay,
                           .correction1 = (float)(1.0 - pow(p->beta1, (double)t)),
                           .correction2 = (float)(1.0 - pow(p->beta2, (double)t)),
                           .gradient_scale = clip_coefficient(p->grad_clip, norm)};
  for (int64_t block = 0; block < ft_shard_num_blocks(o->shard); block++) {
    int64_t num;
    const ft_range *ranges = ft_shard_kept_ranges(o->shard, block, &num);
    for (int64_t i = 0; i < num; i++)
      update_range(o, block, &ranges[i], &common);
  }
}
