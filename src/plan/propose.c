/* Settings that need less memory, tried one after the other, and the fewest nodes for each. */
#include "ft/hf_method.h"
#include "ft/objective.h"
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

/* Only where all weights learn, and no head is new: what else is trained is somebody's choice. */
static bool train_beside(ft_config *c) {
  bool new_head = c->objective == FT_OBJECTIVE_CLASSES || c->objective == FT_OBJECTIVE_REWARD;
  bool changes = c->method.name == FT_METHOD_FULL && !c->adapter && c->freeze.num == 0 &&
                 c->num_groups == 0 && !new_head;
  if (changes) c->method.name = FT_METHOD_LORA;
  return changes;
}

static bool keep_codes(ft_config *c) {
  bool changes = c->method.name != FT_METHOD_FULL && c->storage != FT_CODE_NF4;
  if (changes) c->storage = FT_CODE_NF4;
  return changes;
}

/* From what costs nothing to what costs bits of the result (docs/memory.md), then to what learns
 * something else (docs/methods.md). Each has what the ones before it have. */
static const struct {
  const char *settings;
  bool (*apply)(ft_config *c); /* NULL: as configured */
  bool lays_out;               /* other blocks, or kept otherwise */
} lowerings[FT_PLAN_PROPOSALS] = {
    {"", NULL, false},
    {"train.activation_checkpointing=true", recompute, false},
    {"train.micro_batch=1 sharding.stage=3", spread, false},
    {"optimizer.master=bf16+8 optimizer.state=int8 train.gradient=bf16", keep_fewer_bytes, false},
    {"method.name=lora", train_beside, true},
    {"model.storage=nf4", keep_codes, true}};

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

/* Whether a lowering's configuration fits, and on how many nodes. */
static ft_err try_out(const ft_plan_input *in, const ft_plan_cluster *cluster, bool lays_out,
                      ft_plan_proposal *p) {
  ft_err err = FT_OK;
  ft_plan_input again = {0};
  if (lays_out) FT_TRY(ft_plan_open(in->config, in->lay_out, &again));
  FT_TRY(ft_plan_fits(lays_out ? &again : in, cluster, &p->fits));
  FT_TRY(find_fewest(lays_out ? &again : in, cluster, &p->nodes));
out:
  ft_plan_close(&again);
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
    FT_TRY(try_out(in, cluster, lowerings[i].lays_out, p));
  }
out:
  *in->config = before;
  return err;
}
