/* The reference model of objectives that compare with one: which it is, and how its weights are
 * kept while it is asked. */
#include "ft/objective.h"
#include "ft/plan.h"

const char *ft_plan_reference_path(const ft_config *c) {
  if (!ft_objective_form_of((ft_objective_kind)c->objective)->reference) return NULL;
  return c->reference ? c->reference : c->model_path;
}

/* What the run keeps in codes is kept so here: answers are compared with the weights that the run
 * computes with, so that before its first step nothing differs. */
static void copy_storage(const ft_layout *run, ft_layout *reference) {
  for (int64_t b = 0; b < reference->num_blocks; b++)
    for (int i = 0; i < reference->blocks[b].num_tensors; i++) {
      ft_tensor *t = &reference->blocks[b].tensors[i];
      const ft_tensor *own;
      (void)ft_layout_find(run, ft_layout_unit(run, &reference->blocks[b]), t->role, &own);
      if (own) t->storage = own->storage;
    }
}

ft_err ft_plan_open_reference(const ft_config *c, const ft_layout *run, ft_hf_config *out) {
  ft_err err = ft_hf_config_read(ft_plan_reference_path(c), out);
  if (err == FT_OK && !c->reference) copy_storage(run, out->layout);
  return err;
}
