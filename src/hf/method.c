/* What a method means for a model: its targets by name become maps of the layout. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <math.h>
#include <pcre2.h>
#include <string.h>

#include "adapter.h"
#include "family.h"

typedef struct expression {
  pcre2_code *code;
  double value;
} expression;

/* A method with its expressions compiled. */
typedef struct chooser {
  const ft_hf_config *config;
  const ft_hf_method *method;
  expression *ranks, *alphas; /* [num_rank_patterns], [num_alpha_patterns] */
  pcre2_code *targets;        /* where they are one expression */
} chooser;

const char *ft_hf_bias_name(ft_hf_bias bias) {
  static const char *const names[FT_BIAS_NUM] = {"none", "all", "lora_only"};
  FT_ASSERT(bias < FT_BIAS_NUM);
  return names[bias];
}

/* ---------------------------------------------------------------- regular expressions */

/* Compiles `pattern` as what fits the whole of a name, or its end. */
static ft_err compile(const char *what, const char *pattern, bool end_only, pcre2_code **out) {
  ft_err err = FT_OK;
  void *text = NULL;
  int number;
  size_t offset, room = strlen(pattern) + 32;
  FT_TRY(ft_alloc(FT_MEM_OTHER, room, &text));
  snprintf(text, room, "^%s(?:%s)$", end_only ? "(?:.*\\.)?" : "", pattern);
  *out = pcre2_compile(text, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &number, &offset, NULL);
  FT_CHECK(*out != NULL, FT_ERR_CONFIG, "%s: \"%s\" is not a regular expression", what, pattern);
out:
  ft_free(text);
  return err;
}

static bool fits(const pcre2_code *code, const char *name) {
  pcre2_match_data *data = pcre2_match_data_create_from_pattern(code, NULL);
  bool found = data && pcre2_match(code, (PCRE2_SPTR)name, strlen(name), 0, 0, data, NULL) >= 0;
  pcre2_match_data_free(data);
  return found;
}

static ft_err compile_patterns(const char *what, const ft_hf_pattern *patterns, int64_t num,
                               expression **out) {
  ft_err err = FT_OK;
  void *p;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, num, sizeof **out, &p));
  *out = p;
  for (int64_t i = 0; i < num; i++) {
    FT_TRY(compile(what, patterns[i].pattern, true, &(*out)[i].code));
    (*out)[i].value = patterns[i].value;
  }
out:
  return err;
}

static double first_that_fits(const expression *e, int64_t num, const char *name, double other) {
  for (int64_t i = 0; i < num; i++)
    if (fits(e[i].code, name)) return e[i].value;
  return other;
}

static void free_expressions(expression *e, int64_t num) {
  for (int64_t i = 0; e && i < num; i++)
    pcre2_code_free(e[i].code);
  ft_free(e);
}

/* ---------------------------------------------------------------- names */

/* Whether a module has one of these names. */
static bool is_named(const ft_hf_modules *modules, const char *name) {
  for (int64_t i = 0; i < modules->num; i++) {
    size_t length = strlen(name), entry = strlen(modules->names[i]);
    if (!ft_ends_with(name, modules->names[i])) continue;
    if (length == entry || name[length - entry - 1] == '.') return true;
  }
  return false;
}

static bool is_listed(const ft_hf_method *m, int64_t layer) {
  for (int64_t i = 0; i < m->num_layers; i++)
    if (m->layers[i] == layer) return true;
  return m->num_layers == 0;
}

/* The embedding and the head: targets of a low-rank part only where they are named. */
static bool is_end(ft_role role) {
  return role == FT_ROLE_EMBEDDING || role == FT_ROLE_HEAD;
}

static bool can_be_target(const ft_hf_method *m, ft_role role) {
  return ft_role_is_layer_map(role) || (m->kind == FT_METHOD_LORA && is_end(role));
}

static bool scales_queries(const ft_hf_config *config) {
  for (int i = 0; i < ft_hf_num_families; i++)
    if (strcmp(ft_hf_families[i].model_type, config->model_type) == 0)
      return ft_hf_families[i].ia3_queries;
  return false;
}

/* What IA3 is put beside where nothing is named, as in PEFT: keys (of some families queries),
 * values and the feed-forward part's last map; of maps that are one tensor in the files, all. */
static bool is_scaled_by_default(const chooser *c, int64_t layer, const char *name) {
  const ft_role roles[] = {scales_queries(c->config) ? FT_ROLE_Q : FT_ROLE_K, FT_ROLE_V,
                           FT_ROLE_DOWN};
  char other[FT_HF_NAME_BYTES];
  for (size_t i = 0; i < FT_ARRAY_SIZE(roles); i++) {
    ft_hf_module_name(c->config, layer, roles[i], other, sizeof other);
    if (strcmp(name, other) == 0) return true;
  }
  return false;
}

/* Whether the method is put beside the map of that name. */
static bool is_target(const chooser *c, int64_t layer, ft_role role, const char *name) {
  const ft_hf_method *m = c->method;
  if (m->kind != FT_METHOD_LORA && m->kind != FT_METHOD_IA3) return false;
  if (!can_be_target(m, role) || !is_listed(m, layer)) return false;
  if (c->targets) return fits(c->targets, name);
  if (is_end(role)) return is_named(&m->targets, name);
  if (m->targets.num > 0) return is_named(&m->targets, name);
  return m->kind == FT_METHOD_LORA || is_scaled_by_default(c, layer, name);
}

static bool is_saved(const chooser *c, const char *name) {
  return is_named(&c->method->save, name);
}

static bool end_is_target(const chooser *c, ft_role role) {
  char name[FT_HF_NAME_BYTES];
  ft_hf_module_name(c->config, -1, role, name, sizeof name);
  return is_target(c, -1, role, name);
}

/* One low-rank part stands for both ends of a tied matrix, whichever of them is named. */
static bool has_one_for_both(const chooser *c) {
  return c->config->arch.tied && c->method->ensure_weight_tying &&
         (end_is_target(c, FT_ROLE_EMBEDDING) || end_is_target(c, FT_ROLE_HEAD));
}

/* ---------------------------------------------------------------- the choice */

static bool is_layer_bias(ft_role role) {
  return ft_role_is_layer_map(ft_maps[ft_map_of(role)].weight) && !ft_role_is_layer_map(role);
}

static bool is_frozen(const void *arg, ft_place place, int64_t layer, ft_role role) {
  const chooser *c = arg;
  char name[FT_HF_NAME_BYTES], tensor[FT_HF_NAME_BYTES];
  (void)place;
  ft_hf_module_name(c->config, layer, role, name, sizeof name);
  ft_hf_role_name(c->config->naming, layer, role, tensor, sizeof tensor);
  if (is_saved(c, name)) return false;
  if (c->method->bias == FT_BIAS_ALL) return !ft_ends_with(tensor, ".bias");
  if (c->method->bias == FT_BIAS_NONE || !is_layer_bias(role)) return true;
  return !is_target(c, layer, ft_maps[ft_map_of(role)].weight, name);
}

/* Whether it is one tensor with the leader of its group in the files, and not that one itself. */
static bool is_later_part(const ft_hf_config *config, int64_t layer, ft_role role) {
  char own[FT_HF_NAME_BYTES], other[FT_HF_NAME_BYTES];
  ft_role leader = ft_maps[ft_maps[ft_map_of(role)].leader].weight;
  if (leader == role || (role == FT_ROLE_UP && !config->arch.gated)) return false;
  ft_hf_role_name(config->naming, layer, role, own, sizeof own);
  ft_hf_role_name(config->naming, layer, leader, other, sizeof other);
  return strcmp(own, other) == 0;
}

static ft_beside low_rank(const chooser *c, int64_t layer, ft_role role, const char *name) {
  const ft_hf_method *m = c->method;
  double rank = first_that_fits(c->ranks, m->num_rank_patterns, name, (double)m->rank);
  double alpha = first_that_fits(c->alphas, m->num_alpha_patterns, name, m->alpha);
  return (ft_beside){.rank = (int64_t)rank,
                     .scale = (float)(alpha / (m->rslora ? sqrt(rank) : rank)),
                     .shares_a = is_later_part(c->config, layer, role),
                     .magnitude = m->dora};
}

static ft_beside beside(const void *arg, ft_place place, int64_t layer, ft_role role) {
  const chooser *c = arg;
  char name[FT_HF_NAME_BYTES];
  (void)place;
  if (!can_be_target(c->method, role)) return (ft_beside){.rank = 0};
  ft_hf_module_name(c->config, layer, role, name, sizeof name);
  bool target =
      is_target(c, layer, role, name) || (role == FT_ROLE_EMBEDDING && has_one_for_both(c));
  if (!target) return (ft_beside){.rank = 0};
  if (c->method->kind == FT_METHOD_LORA) return low_rank(c, layer, role, name);
  bool input = c->method->feed_forward.num > 0 ? is_named(&c->method->feed_forward, name)
                                               : role == FT_ROLE_DOWN;
  return (ft_beside){.input_scale = input, .output_scale = !input};
}

/* ---------------------------------------------------------------- checks */

/* For modules that an entry of a list names. */
typedef struct search {
  const chooser *chooser;
  const char *entry;
  bool found;
  char example[FT_HF_NAME_BYTES]; /* a name that could have been meant */
} search;

static void look(search *s, const ft_block *b, const ft_tensor *t, bool maps_only) {
  char name[FT_HF_NAME_BYTES];
  const ft_hf_modules one = {.names = &s->entry, .num = 1};
  if (!ft_role_is_own(t->role) || t->num_dims != 2) return;
  if (maps_only && !can_be_target(s->chooser->method, t->role)) return;
  ft_hf_module_name(s->chooser->config, b->layer, t->role, name, sizeof name);
  if (!s->example[0] && (!maps_only || ft_role_is_layer_map(t->role)))
    snprintf(s->example, sizeof s->example, "%s", name);
  s->found = s->found || is_named(&one, name);
}

/* A tied head has no tensor of its own, but a name. */
static void look_at_tied_head(search *s) {
  char name[FT_HF_NAME_BYTES];
  const ft_hf_modules one = {.names = &s->entry, .num = 1};
  ft_hf_module_name(s->chooser->config, -1, FT_ROLE_HEAD, name, sizeof name);
  s->found = s->found || (s->chooser->config->arch.tied && is_named(&one, name));
}

/* An entry that names nothing is a slip of the pen. */
static ft_err check_entries(const chooser *c, const char *key, const ft_hf_modules *modules,
                            bool maps_only) {
  const ft_layout *l = c->config->layout;
  for (int64_t i = 0; i < modules->num && !modules->is_pattern; i++) {
    search s = {.chooser = c, .entry = modules->names[i]};
    for (int64_t b = 0; b < l->num_blocks; b++)
      for (int k = 0; k < l->blocks[b].num_tensors; k++)
        look(&s, &l->blocks[b], &l->blocks[b].tensors[k], maps_only);
    if (maps_only && c->method->kind == FT_METHOD_LORA) look_at_tied_head(&s);
    if (!s.found)
      return ft_fail(FT_ERR_CONFIG, "%s: \"%s\" names no %s of this model; one is \"%s\"", key,
                     s.entry, maps_only ? "map that the method can stand beside" : "module",
                     s.example);
  }
  return FT_OK;
}

/* A bottleneck is defined for layers whose branches are normed before and joined as they are. */
static ft_err check_model(const ft_hf_config *config, const ft_hf_method *m) {
  const ft_arch *a = &config->arch;
  bool bottleneck = m->kind == FT_METHOD_BOTTLENECK;
  if (bottleneck && a->norm_places != FT_NORM_BEFORE)
    return ft_fail(
        FT_ERR_CONFIG,
        "method.name \"adapter\": bottlenecks are supported for models whose norms stand "
        "before a layer's branches only; those of a %s model stand elsewhere too",
        config->model_type);
  if (bottleneck && (a->residual_scale < 1 || a->residual_scale > 1))
    return ft_fail(FT_ERR_CONFIG,
                   "method.name \"adapter\": bottlenecks are supported for models that add a "
                   "layer's branches as they are; this %s model multiplies them by %g",
                   config->model_type, (double)a->residual_scale);
  bool virtual = m->kind == FT_METHOD_PREFIX || m->kind == FT_METHOD_PROMPT;
  if (virtual && (a->two_way || a->head != FT_HEAD_TOKENS))
    return ft_fail(FT_ERR_CONFIG,
                   "method.name: prefixes and prompts are supported for models that predict the "
                   "next token; this is a %s model%s",
                   config->model_type, a->two_way ? ", whose tokens see each other both ways" : "");
  return FT_OK;
}

/* ---------------------------------------------------------------- the layout */

static ft_method values_of(const ft_hf_config *config, const ft_hf_method *m) {
  ft_method v = {.dropout = (float)m->dropout};
  if (m->kind == FT_METHOD_PREFIX) v.prefix_tokens = m->virtual_tokens;
  if (m->kind == FT_METHOD_PROMPT) v.prompt_tokens = m->virtual_tokens;
  if (m->kind == FT_METHOD_BOTTLENECK) {
    v.bottleneck = FT_MAX(config->arch.hidden / m->reduction, (int64_t)1);
    v.bottleneck_activation = m->activation;
    v.bottleneck_after_attention = m->after_attention;
    v.bottleneck_reads_sum = !m->after_attention;
  }
  return v;
}

static ft_err open_chooser(chooser *c) {
  ft_err err = FT_OK;
  const ft_hf_method *m = c->method;
  FT_TRY(compile_patterns("method.rank_pattern", m->rank_pattern, m->num_rank_patterns, &c->ranks));
  FT_TRY(compile_patterns("method.alpha_pattern", m->alpha_pattern, m->num_alpha_patterns,
                          &c->alphas));
  if (m->targets.is_pattern)
    FT_TRY(compile("method.targets", m->targets.names[0], false, &c->targets));
out:
  return err;
}

static void close_chooser(chooser *c) {
  free_expressions(c->ranks, c->method->num_rank_patterns);
  free_expressions(c->alphas, c->method->num_alpha_patterns);
  pcre2_code_free(c->targets);
}

/* Inputs are scaled where nobody else reads them, and of maps that are frozen: the gradient of a
 * weight is made from the input as it came. */
static ft_err check_input_scale(const ft_hf_config *config, const ft_layout *l, int64_t layer,
                                ft_role map) {
  const ft_tensor *weight;
  char name[FT_HF_NAME_BYTES];
  int64_t block = ft_layout_find(l, &l->layers[layer], map, &weight);
  ft_hf_module_name(config, layer, map, name, sizeof name);
  if (map != FT_ROLE_O && map != FT_ROLE_DOWN)
    return ft_fail(FT_ERR_CONFIG,
                   "method.name \"ia3\": the input of %s is that of other maps too; only the "
                   "inputs of attention's output map and of the feed-forward part's last one can "
                   "be scaled",
                   name);
  if (l->blocks[block].trained)
    return ft_fail(FT_ERR_CONFIG,
                   "method.save_modules: %s is trained whole, and method.name \"ia3\" scales its "
                   "input: only one of the two is possible",
                   name);
  return FT_OK;
}

static ft_err check_inputs(const ft_hf_config *config, const ft_layout *l) {
  ft_err err = FT_OK;
  for (int64_t b = 0; b < l->num_blocks; b++)
    for (int i = 0; i < l->blocks[b].num_tensors; i++) {
      ft_role map;
      ft_part_kind part;
      if (!ft_role_is_part(l->blocks[b].tensors[i].role, &map, &part)) continue;
      if (part == FT_PART_INPUT_SCALE)
        FT_TRY(check_input_scale(config, l, l->blocks[b].layer, map));
    }
out:
  return err;
}

/* What is put beside the ends of a model, or what is done with a tied matrix, has limits. */
static ft_err check_ends(const chooser *c) {
  static const ft_role ends[] = {FT_ROLE_EMBEDDING, FT_ROLE_HEAD};
  const ft_hf_method *m = c->method;
  char name[FT_HF_NAME_BYTES];
  for (size_t i = 0; i < FT_ARRAY_SIZE(ends); i++) {
    ft_hf_module_name(c->config, -1, ends[i], name, sizeof name);
    bool saved = is_saved(c, name);
    if (m->ensure_weight_tying && c->config->arch.tied && ends[i] == FT_ROLE_HEAD && saved)
      return ft_fail(FT_ERR_CONFIG,
                     "method.save_modules: %s of this model is its embedding, and "
                     "method.ensure_weight_tying keeps them one: name the embedding instead",
                     name);
    if (!end_is_target(c, ends[i])) continue;
    if (m->dora)
      return ft_fail(
          FT_ERR_CONFIG,
          "method.dora: %s is a target, and magnitudes are supported for the linear maps "
          "of layers only: leave one of the two out",
          name);
    if (saved)
      return ft_fail(FT_ERR_CONFIG,
                     "method.targets: %s is in method.save_modules, too: it is trained whole, or "
                     "something beside it is",
                     name);
  }
  return FT_OK;
}

/* A tied head that is trained apart from the embedding becomes a matrix of its own. */
static void untie(const chooser *c, ft_hf_config *config) {
  char head[FT_HF_NAME_BYTES];
  ft_hf_module_name(config, -1, FT_ROLE_HEAD, head, sizeof head);
  bool apart = end_is_target(c, FT_ROLE_HEAD) && !has_one_for_both(c);
  if (!config->arch.tied || !(apart || is_saved(c, head))) return;
  config->arch.tied = false;
  config->naming->untied = true;
}

ft_err ft_hf_put_method(ft_hf_config *config, const ft_hf_method *m) {
  ft_err err = FT_OK;
  ft_layout *layout = NULL;
  chooser c = {.config = config, .method = m};
  const ft_choice choice = {.frozen = is_frozen, .beside = beside, .arg = &c};
  ft_method values = values_of(config, m);
  FT_TRY(open_chooser(&c));
  FT_TRY(check_model(config, m));
  FT_TRY(check_entries(&c, "method.targets", &m->targets, true));
  FT_TRY(check_ends(&c));
  values.both_ends = has_one_for_both(&c);
  untie(&c, config);
  FT_TRY(ft_layout_new(&config->arch, &values, &choice, &layout));
  FT_CHECK(ft_layout_num_trained(layout) > 0, FT_ERR_CONFIG,
           "method.targets: nothing of this model fits \"%s\"; nothing is left to train",
           m->targets.num > 0 ? m->targets.names[0] : "all-linear");
  FT_TRY(check_inputs(config, layout));
  ft_layout_free(config->layout);
  config->layout = layout;
  layout = NULL;
  FT_TRY(check_entries(&c, "method.save_modules", &m->save, false));
out:
  ft_layout_free(layout);
  close_chooser(&c);
  return err;
}
