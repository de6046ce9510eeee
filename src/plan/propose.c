/* Settings that need less memory, tried one after the other, and the fewest nodes for each. */
#include "ft/plan.h"

#include <string.h>

/* Each returns whether it changes anything. */
static bool recompute(ft_config *c) {
  bool changes = c->activation_checkpointing != 1;
  c->activation_checkpointing = 1;
  return changes;
}

static bool spread(ft_config *c) {
  bool changes = c->micro_batch > 1 || c->stage < 3;
  c->micro_batch = 1;
  c->stage = 3;
  return changes;
}

static bool keep_fewer_bytes(ft_config *c) {
  bool changes =
      c->master != FT_MASTER_BF16_8 || c->state != FT_MOMENTS_INT8 || c->gradient != FT_BF16;
  c->master = FT_MASTER_BF16_8;
  c->state = FT_MOMENTS_INT8;
  c->gradient = FT_BF16;
  return changes;
}

/* From what costs nothing to what costs bits of the result (docs/memory.md). Each has what the ones
 * before it have. Methods that train less are not among them: they learn something else. */
static const struct {
  const char *settings;
  bool (*apply)(ft_config *c); /* NULL: as configured */
} lowerings[FT_PLAN_PROPOSALS] = {
    {"", NULL},
    {"train.activation_checkpointing=true", recompute},
    {"train.micro_batch=1 sharding.stage=3", spread},
    {"optimizer.master=bf16+8 optimizer.state=int8 train.gradient=bf16", keep_fewer_bytes}};

static ft_err fits_on(const ft_plan_input *in, const ft_plan_cluster *cluster, int nodes,
                      bool *fits) {
  ft_plan_cluster c = *cluster;
  c.ranks = nodes * c.ranks_per_node;
  return ft_plan_fits(in, &c, fits);
}

/* The need of a node falls with their number: doubled until it fits, then halved between. */
static ft_err find_fewest(const ft_plan_input *in, const ft_plan_cluster *cluster, int *out) {
  ft_err err = FT_OK;
  int too_few = 0, enough = 1;
  bool fits;
  *out = 0;
  FT_TRY(fits_on(in, cluster, enough, &fits));
  while (!fits && enough < FT_PLAN_MOST_NODES) {
    too_few = enough;
    enough *= 2;
    FT_TRY(fits_on(in, cluster, enough, &fits));
  }
  if (!fits) goto out;
  while (enough - too_few > 1) {
    int middle = too_few + (enough - too_few) / 2;
    FT_TRY(fits_on(in, cluster, middle, &fits));
    *(fits ? &enough : &too_few) = middle;
  }
  *out = enough;
out:
  return err;
}

ft_err ft_plan_propose(ft_plan_input *in, const ft_plan_cluster *cluster,
                       ft_plan_proposal proposals[FT_PLAN_PROPOSALS], int *num) {
  ft_err err = FT_OK;
  const ft_config before = *in->config;
  char settings[256] = "";
  *num = 0;
  for (int i = 0; i < FT_PLAN_PROPOSALS; i++) {
    if (lowerings[i].apply && !lowerings[i].apply(in->config)) continue;
    size_t used = strlen(settings);
    snprintf(settings + used, sizeof settings - used, "%s%s", used ? " " : "",
             lowerings[i].settings);
    ft_plan_proposal *p = &proposals[(*num)++];
    *p = (ft_plan_proposal){0};
    memcpy(p->settings, settings, sizeof settings);
    FT_TRY(ft_plan_fits(in, cluster, &p->fits));
    FT_TRY(find_fewest(in, cluster, &p->nodes));
  }
out:
  *in->config = before;
  return err;
}
