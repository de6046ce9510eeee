/* What optimizer.groups means for a model: shell patterns over the names of what is trained, as the
 * model's files have them, and those of the adapter's. */
#include <fnmatch.h>
#include <string.h>

#include "adapter.h"

typedef struct matcher {
  ft_layout *layout;
  const ft_hf_group *groups; /* [num] */
  int64_t num;
  bool *matched;                           /* [num] */
  char example[2 * FT_HF_NAME_BYTES + 64]; /* a name that could have been meant */
} matcher;

/* The trained tensor that a part stands for, or NULL. */
static ft_tensor *tensor_of(const matcher *m, const ft_hf_part *part) {
  const ft_block *b = &m->layout->blocks[part->block];
  const ft_tensor *t = b->trained ? ft_block_tensor(b, part->tensor.role) : NULL;
  return (ft_tensor *)(uintptr_t)t;
}

/* Notes the first group whose pattern fits; a tensor that has two names belongs to the first group
 * that fits one of them. */
static void match(matcher *m, const char *name, const ft_hf_part *parts, int64_t num_parts) {
  for (int64_t k = 0; k < num_parts; k++) {
    ft_tensor *t = tensor_of(m, &parts[k]);
    if (!t) continue;
    if (!m->example[0]) snprintf(m->example, sizeof m->example, "%s", name);
    for (int64_t i = m->num - 1; i >= 0; i--) {
      if (fnmatch(m->groups[i].pattern, name, 0) != 0) continue;
      m->matched[i] = true;
      if (t->group == 0 || t->group > i + 1) t->group = (int)i + 1;
    }
  }
}

static int64_t num_tensors(const ft_layout *l, int64_t group) {
  int64_t num = 0;
  for (int64_t b = 0; b < l->num_blocks; b++)
    for (int i = 0; l->blocks[b].trained && i < l->blocks[b].num_tensors; i++)
      num += l->blocks[b].tensors[i].group == group + 1;
  return num;
}

/* A pattern that matches nothing is a slip of the pen. */
static ft_err check(const matcher *m) {
  for (int64_t i = 0; i < m->num; i++) {
    if (!m->matched[i])
      return ft_fail(FT_ERR_CONFIG,
                     "optimizer.groups[%lld]: \"%s\" matches no tensor that is trained; one is "
                     "named \"%s\"",
                     (long long)i, m->groups[i].pattern, m->example);
    if (num_tensors(m->layout, i) == 0)
      return ft_fail(FT_ERR_CONFIG,
                     "optimizer.groups[%lld]: all that \"%s\" matches is in groups before it, and "
                     "the first that matches holds: put it before them",
                     (long long)i, m->groups[i].pattern);
  }
  return FT_OK;
}

static ft_err match_own(matcher *m, const ft_hf_config *config) {
  ft_hf_file_tensor *own = NULL;
  int64_t num;
  ft_err err = ft_hf_list_tensors(config->naming, config->layout, &own, &num);
  for (int64_t i = 0; err == FT_OK && i < num; i++)
    match(m, own[i].name, own[i].parts, own[i].num_parts);
  ft_free(own);
  return err;
}

static ft_err match_added(matcher *m, const ft_hf_config *config, const ft_hf_method *method) {
  ft_hf_adapter_list list;
  ft_err err = ft_hf_list_adapter(config, method, &list);
  if (err != FT_OK) return err;
  for (int64_t i = 0; i < list.num; i++)
    match(m, list.tensors[i].name, list.parts + list.tensors[i].first_part,
          list.tensors[i].num_parts);
  ft_hf_adapter_list_fini(&list);
  return FT_OK;
}

static ft_err set_rates(ft_layout *l, double layer_decay, const ft_hf_group *groups, int64_t num) {
  void *rates = NULL;
  ft_err err = ft_alloc_array(FT_MEM_OTHER, FT_MAX(num, (int64_t)1), sizeof(ft_rate_group), &rates);
  if (err != FT_OK) return err;
  for (int64_t i = 0; i < num; i++)
    ((ft_rate_group *)rates)[i] = groups[i].rates;
  err = ft_layout_set_rates(l, layer_decay, rates, num);
  ft_free(rates);
  return err;
}

ft_err ft_hf_put_rates(ft_hf_config *config, const ft_hf_method *method, double layer_decay,
                       const ft_hf_group *groups, int64_t num) {
  ft_err err = FT_OK;
  void *matched = NULL;
  matcher m = {.layout = config->layout, .groups = groups, .num = num};
  FT_TRY(set_rates(config->layout, layer_decay, groups, num));
  if (num == 0) goto out;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, num, sizeof *m.matched, &matched));
  m.matched = matched;
  if (method) FT_TRY(match_added(&m, config, method));
  FT_TRY(match_own(&m, config));
  FT_TRY(check(&m));
out:
  ft_free(matched);
  return err;
}
