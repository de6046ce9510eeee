/* Rotary positions in config.json: version 4 of transformers wrote rope_theta beside a rope_scaling
 * object (or null), version 5 writes both into rope_parameters. Either may come with either name of
 * the type, "rope_type" or "type". */
#include <string.h>

#include "hf_internal.h"

/* What one object says; fields of other types than its own are 0. */
typedef struct rope {
  ft_rope_type type;
  double theta; /* 0: the object does not say */
  double factor, low_freq, high_freq;
  int64_t original_positions; /* 0: the object does not say */
} rope;

static const char *const supported = "supported are \"default\", \"linear\" and \"llama3\"";

/* Objects by layer type ({"full_attention": {…}, …}) are how models with two kinds of rotary
 * positions write them. */
static bool is_by_layer_type(const ft_hf_object *object) {
  return cJSON_IsObject(ft_json_get(object->json, "full_attention")) ||
         cJSON_IsObject(ft_json_get(object->json, "sliding_attention"));
}

static ft_rope_type read_type(const ft_hf_object *object) {
  const char *type = ft_hf_string(object, "rope_type", NULL);
  const char *alias = ft_hf_string(object, "type", NULL);
  if (type && alias && strcmp(type, alias) != 0) {
    ft_hf_mistake(object->mistakes, "%srope_type is \"%s\" but %stype is \"%s\"", object->prefix,
                  type, object->prefix, alias);
    return FT_ROPE_DEFAULT;
  }
  if (!type) type = alias ? alias : "default";
  if (strcmp(type, "default") == 0) return FT_ROPE_DEFAULT;
  if (strcmp(type, "linear") == 0) return FT_ROPE_LINEAR;
  if (strcmp(type, "llama3") == 0) return FT_ROPE_LLAMA3;
  ft_hf_mistake(object->mistakes, "%srope_type \"%.40s\" is not supported; %s", object->prefix,
                type, supported);
  return FT_ROPE_DEFAULT;
}

static double required(const ft_hf_object *object, const char *name, double min, double max) {
  if (!ft_hf_has(object, name))
    ft_hf_mistake(object->mistakes, "%s%s is missing", object->prefix, name);
  return ft_hf_number(object, name, min, min, max);
}

static void check_whole_head(const ft_hf_object *object) {
  double part = ft_hf_number(object, "partial_rotary_factor", 1, 0, 1);
  if (part < 1)
    ft_hf_mistake(object->mistakes, "%spartial_rotary_factor %g is not supported, only 1",
                  object->prefix, part);
}

static rope read_object(const ft_hf_object *object) {
  rope r = {0};
  if (is_by_layer_type(object)) {
    ft_hf_mistake(object->mistakes,
                  "%.*s differs between layer types, which is not supported; %s for all layers",
                  (int)strlen(object->prefix) - 1, object->prefix, supported);
    return r;
  }
  r.type = read_type(object);
  r.theta = ft_hf_number(object, "rope_theta", 0, 1e-3, 1e15);
  check_whole_head(object);
  if (r.type != FT_ROPE_DEFAULT) r.factor = required(object, "factor", 1, 1e6);
  if (r.type == FT_ROPE_LLAMA3) {
    r.low_freq = required(object, "low_freq_factor", 1e-6, 1e6);
    r.high_freq = required(object, "high_freq_factor", 1e-6, 1e6);
    if (r.high_freq <= r.low_freq)
      ft_hf_mistake(object->mistakes, "%shigh_freq_factor (%g) must exceed low_freq_factor (%g)",
                    object->prefix, r.high_freq, r.low_freq);
    r.original_positions =
        ft_hf_int(object, "original_max_position_embeddings", 0, 1, (int64_t)1 << 24);
  }
  return r;
}

static bool same(const rope *a, const rope *b) {
  return a->type == b->type && a->factor == b->factor && a->low_freq == b->low_freq &&
         a->high_freq == b->high_freq && a->original_positions == b->original_positions &&
         (a->theta <= 0 || b->theta <= 0 || a->theta == b->theta);
}

/* Reads the object of that name if there is one that says anything. */
static bool read_named(const ft_hf_object *config, const char *name, const char *prefix,
                       rope *out) {
  const cJSON *json = ft_json_get(config->json, name);
  if (!json || cJSON_IsNull(json)) return false;
  if (!cJSON_IsObject(json)) {
    char found[80];
    ft_hf_show(json, found, sizeof found);
    ft_hf_mistake(config->mistakes, "%s is %s; expected is an object or null", name, found);
    return false;
  }
  if (!json->child) return false;
  *out = read_object(&(ft_hf_object){.json = json, .prefix = prefix, .mistakes = config->mistakes});
  return true;
}

/* rope_theta of both places; transformers 4 would take the one, 5 the other. */
static double choose_theta(const ft_hf_object *config, double inner) {
  double outer = ft_hf_number(config, "rope_theta", 0, 1e-3, 1e15);
  if (outer > 0 && inner > 0 && (outer < inner || outer > inner))
    ft_hf_mistake(config->mistakes, "rope_theta is %g, but %g inside the rotary parameters", outer,
                  inner);
  if (inner > 0) return inner;
  return outer > 0 ? outer : 10000.0;
}

/* Longest document of the stretched model: with linear scaling max_position_embeddings is that of
 * the model before it, with llama3 already the whole. */
static int64_t stretched_positions(const rope *r, int64_t max_positions) {
  const int64_t limit = (int64_t)1 << 24;
  if (r->type != FT_ROPE_LINEAR) return max_positions;
  return (int64_t)FT_MIN(r->factor * (double)max_positions, (double)limit);
}

void ft_hf_read_rope(const ft_hf_object *config, ft_arch *arch) {
  rope scaling = {0}, parameters = {0};
  bool has_scaling = read_named(config, "rope_scaling", "rope_scaling.", &scaling);
  bool has_parameters = read_named(config, "rope_parameters", "rope_parameters.", &parameters);
  if (has_scaling && has_parameters && !same(&scaling, &parameters))
    ft_hf_mistake(config->mistakes, "rope_scaling and rope_parameters contradict each other");
  check_whole_head(config);
  rope r = has_scaling ? scaling : parameters;
  if (r.theta <= 0) r.theta = parameters.theta;
  ft_rope_form *to = &arch->ropes[0];
  to->theta = choose_theta(config, r.theta);
  to->type = r.type;
  to->factor = r.factor;
  to->low_freq = r.low_freq;
  to->high_freq = r.high_freq;
  if (r.type == FT_ROPE_LLAMA3) {
    int64_t outer = ft_hf_int(config, "original_max_position_embeddings", 0, 1, (int64_t)1 << 24);
    if (outer > 0 && r.original_positions > 0 && outer != r.original_positions)
      ft_hf_mistake(config->mistakes,
                    "original_max_position_embeddings is %lld, but %lld inside the rotary "
                    "parameters",
                    (long long)outer, (long long)r.original_positions);
    if (r.original_positions == 0) r.original_positions = outer ? outer : arch->max_positions;
  }
  to->original_positions = r.original_positions;
  arch->max_positions = stretched_positions(&r, arch->max_positions);
}
