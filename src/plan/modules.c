/* What a configuration asks the modules for. */
#include "ft/objective.h"
#include "ft/plan.h"

/* Answers of a rank that grow together at an evaluation. */
enum { SAMPLES_AT_ONCE = 8 };

ft_plan_modules ft_plan_modules_of(const ft_config *c, int64_t max_tokens) {
  return (ft_plan_modules){
      .shard = {.stage = (int)c->stage,
                .training = true,
                .stochastic_rounding = c->rounding == FT_ROUND_STOCHASTIC,
                .seed = (uint64_t)c->seed,
                .compute = c->precision,
                .master = c->master,
                .gradient = c->gradient},
      .model = {.compute = c->precision,
                .max_tokens = max_tokens,
                .training = true,
                .activation_checkpointing = c->activation_checkpointing,
                .bounded_head = c->gradient == FT_BF16,
                .weighed = ft_objective_is_weighed((ft_objective_kind)c->objective),
                .seed = (uint64_t)c->seed},
      .optim = {.beta1 = c->betas[0],
                .beta2 = c->betas[1],
                .eps = c->eps,
                .weight_decay = c->weight_decay,
                .grad_clip = c->grad_clip,
                .state = c->state,
                .average = c->ema},
      .generator = {.at_once = c->prompts ? FT_MIN((int64_t)SAMPLES_AT_ONCE, max_tokens) : 0,
                    .max_tokens = c->sample_tokens,
                    .draws = c->sample_temperature > 0}};
}

ft_plan_modules ft_plan_reference_modules(const ft_config *c, int64_t max_tokens) {
  ft_plan_modules m = ft_plan_modules_of(c, max_tokens);
  m.shard.training = m.model.training = false;
  m.shard.stochastic_rounding = false;
  return m;
}
