/* Rotary positions in config.json: version 4 of transformers wrote rope_theta beside a rope_scaling
 * object (or null), version 5 writes both into rope_parameters: one table, or one for each type of
 * layers. Either may come with either name of the type, "rope_type" or "type". */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "family.h"

enum { MAX_POSITIONS = 1 << 24 };

static const char *const supported =
    "supported are \"default\", \"linear\", \"llama3\", \"yarn\" and \"longrope\"";
/* Which of its lengths longrope takes there, transformers itself does not say twice alike. */
static const char *const supported_by_layers =
    "supported are \"default\", \"linear\", \"llama3\" and \"yarn\"";

/* ---------------------------------------------------------------- one table */

static double required(const ft_hf_object *table, const char *name, double min, double max) {
  if (!ft_hf_has(table, name))
    ft_mistakes_add(table->mistakes, FT_ERR_DATA, "%s%s is missing", table->prefix, name);
  return ft_hf_number(table, name, min, min, max);
}

static const char *type_name(const ft_hf_object *table) {
  const char *type = ft_hf_string(table, "rope_type", NULL);
  const char *alias = ft_hf_string(table, "type", NULL);
  if (type && alias && strcmp(type, alias) != 0)
    ft_mistakes_add(table->mistakes, FT_ERR_DATA, "%srope_type is \"%s\" but %stype is \"%s\"",
                    table->prefix, type, table->prefix, alias);
  if (!type) type = alias ? alias : "default";
  return type;
}

/* "dynamic" is a way to stretch the base (Hunyuan), where the family has it. */
static ft_rope_type read_type(const ft_hf_reader *r, const ft_hf_rope_rule *rule,
                              const ft_hf_object *table) {
  const ft_hf_family *f = r->family;
  const char *type = type_name(table);
  bool as_long = f->only_longrope && (strcmp(type, "su") == 0 || strcmp(type, "yarn") == 0);
  bool by_alpha = f->dynamic_alpha && strcmp(type, "dynamic") == 0 && ft_hf_has(table, "alpha");
  if (strcmp(type, "default") == 0 || by_alpha) return FT_ROPE_DEFAULT;
  if ((strcmp(type, "longrope") == 0 || as_long) && !rule->layers) return FT_ROPE_LONG;
  if (strcmp(type, "linear") == 0 && !f->only_longrope) return FT_ROPE_LINEAR;
  if (strcmp(type, "llama3") == 0 && !f->only_longrope) return FT_ROPE_LLAMA3;
  if (strcmp(type, "yarn") == 0 && !f->only_longrope) return FT_ROPE_YARN;
  ft_mistakes_add(table->mistakes, FT_ERR_DATA, "%srope_type \"%.40s\" is not supported%s; %s",
                  table->prefix, type, rule->layers ? " for one type of layers" : "",
                  f->only_longrope ? "supported are \"default\" and \"longrope\""
                  : rule->layers   ? supported_by_layers
                                   : supported);
  return FT_ROPE_DEFAULT;
}

/* 0 counts as missing, as in transformers. */
static double number_or(const ft_hf_object *table, const char *name, double missing) {
  double number = ft_hf_number(table, name, 0, -1e9, 1e9);
  return number > 0 || number < 0 ? number : missing;
}

static double yarn_factor(double scale, double mscale) {
  return scale > 1 ? 0.1 * mscale * log(scale) + 1 : 1;
}

/* YaRN: what cosine and sine are multiplied by (Peng et al. 2023, and DeepSeek's mscale). */
static double read_yarn_attention(const ft_hf_object *table, double factor) {
  double mscale = ft_hf_number(table, "mscale", 0, 0, 1e6);
  double all_dim = ft_hf_number(table, "mscale_all_dim", 0, 0, 1e6);
  double missing = mscale > 0 && all_dim > 0
                       ? yarn_factor(factor, mscale) / yarn_factor(factor, all_dim)
                       : yarn_factor(factor, 1);
  return ft_hf_number(table, "attention_factor", missing, 1e-6, 1e6);
}

static void read_yarn(const ft_hf_object *table, bool by_layers, ft_rope_form *to) {
  to->beta_fast = number_or(table, "beta_fast", 32);
  to->beta_slow = number_or(table, "beta_slow", 1);
  /* in a table of one type of layers transformers does not look for it */
  to->truncate = by_layers || ft_hf_bool(table, "truncate", true);
  to->attention_factor = read_yarn_attention(table, to->factor);
}

static void read_llama3(const ft_hf_object *table, ft_rope_form *to) {
  to->low_freq = required(table, "low_freq_factor", 1e-6, 1e6);
  to->high_freq = required(table, "high_freq_factor", 1e-6, 1e6);
  if (to->high_freq <= to->low_freq)
    ft_mistakes_add(table->mistakes, FT_ERR_DATA,
                    "%shigh_freq_factor (%g) must exceed low_freq_factor (%g)", table->prefix,
                    to->high_freq, to->low_freq);
}

static void read_factors(const ft_hf_object *table, const char *name, int64_t pairs, double *out) {
  const cJSON *list = ft_json_get(table->json, name), *item;
  int64_t count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : -1, i = 0;
  if (count != pairs || pairs > FT_MAX_ROPE_PAIRS) {
    ft_mistakes_add(table->mistakes, FT_ERR_DATA,
                    "%s%s must be a list of %lld numbers, one for each pair that is "
                    "rotated (at most %d)",
                    table->prefix, name, (long long)pairs, FT_MAX_ROPE_PAIRS);
    return;
  }
  cJSON_ArrayForEach(item, list) {
    if (!cJSON_IsNumber(item) || !(item->valuedouble > 0) || item->valuedouble > 1e9)
      ft_mistakes_add(table->mistakes, FT_ERR_DATA, "%s%s[%lld] must be a positive number",
                      table->prefix, name, (long long)i);
    out[i++] = item->valuedouble;
  }
}

static void read_long(const ft_hf_reader *r, const ft_hf_object *table, ft_rope_form *to) {
  double original = (double)to->original_positions;
  if (original < 2) {
    ft_mistakes_add(table->mistakes, FT_ERR_DATA,
                    "original_max_position_embeddings must be at least 2");
    return;
  }
  double factor =
      ft_hf_number(table, "factor", (double)r->arch->max_positions / original, 1e-6, 1e6);
  double missing = factor > 1 ? sqrt(1 + log(factor) / log(original)) : 1;
  to->attention_factor = ft_hf_number(table, "attention_factor", missing, 1e-6, 1e6);
  read_factors(table, "short_factor", to->width / 2, to->short_factors);
  read_factors(table, "long_factor", to->width / 2, to->long_factors);
}

/* Rotated elements of a head: beside the table, if the table does not say. */
static int64_t read_width(const ft_hf_reader *r, const ft_hf_object *table) {
  const ft_hf_family *f = r->family;
  double missing =
      ft_hf_number(&r->file, "partial_rotary_factor", f->partial > 0 ? f->partial : 1, 0, 1);
  double part = ft_hf_number(table, "partial_rotary_factor", missing, 0, 1);
  if (part < 1 && !f->partial_rotation)
    ft_mistakes_add(table->mistakes, FT_ERR_DATA,
                    "%spartial_rotary_factor %g is not supported: a %s model rotates whole heads",
                    table->prefix, part, f->model_type);
  return (int64_t)((double)r->arch->head_dim * part);
}

/* The length before scaling; beside the table it wins. */
static int64_t read_original(const ft_hf_reader *r, const ft_hf_object *table) {
  int64_t inner = ft_hf_int(table, "original_max_position_embeddings", r->arch->max_positions, 1,
                            MAX_POSITIONS);
  return ft_hf_int(&r->all, "original_max_position_embeddings", inner, 1, MAX_POSITIONS);
}

static void read_table(const ft_hf_reader *r, const ft_hf_rope_rule *rule,
                       const ft_hf_object *table, ft_rope_form *to) {
  to->type = read_type(r, rule, table);
  to->theta = ft_hf_number(table, "rope_theta", rule->theta, 1e-3, 1e15);
  to->width = read_width(r, table);
  to->attention_factor = 1;
  to->original_positions = 0;
  if (to->type == FT_ROPE_LINEAR || to->type == FT_ROPE_LLAMA3 || to->type == FT_ROPE_YARN)
    to->factor = required(table, "factor", 1, 1e6);
  if (to->type == FT_ROPE_LLAMA3 || to->type == FT_ROPE_YARN || to->type == FT_ROPE_LONG)
    to->original_positions = read_original(r, table);
  if (to->type == FT_ROPE_LLAMA3) read_llama3(table, to);
  if (to->type == FT_ROPE_YARN) read_yarn(table, rule->layers != NULL, to);
  if (to->type == FT_ROPE_LONG) read_long(r, table, to);
  if (r->family->query_scaling) {
    to->query_beta = ft_hf_number(table, "llama_4_scaling_beta", 0, 0, 1e6);
    to->original_positions = read_original(r, table);
  }
  if (to->type == FT_ROPE_DEFAULT && r->family->dynamic_alpha && ft_hf_has(table, "alpha")) {
    double width = (double)to->width;
    to->theta *= pow(ft_hf_number(table, "alpha", 1, 1e-6, 1e9), width / (width - 2));
  }
}

/* ---------------------------------------------------------------- which table */

/* An object of the file that says anything, or NULL. */
static const cJSON *named_object(const ft_hf_reader *r, const char *name) {
  const cJSON *json = ft_json_get(r->file.json, name);
  if (!json || cJSON_IsNull(json)) return NULL;
  if (!cJSON_IsObject(json)) {
    char found[80];
    ft_hf_show(json, found, sizeof found);
    ft_mistakes_add(r->file.mistakes, FT_ERR_DATA, "%s is %s; expected is an object or null", name,
                    found);
    return NULL;
  }
  return json->child ? json : NULL;
}

static bool is_by_layers(const cJSON *json) {
  return cJSON_IsObject(ft_json_get(json, "full_attention")) ||
         cJSON_IsObject(ft_json_get(json, "sliding_attention"));
}

/* rope_parameters for this rule, or NULL. */
static const cJSON *find_parameters(const ft_hf_reader *r, const ft_hf_rope_rule *rule) {
  const cJSON *json = named_object(r, "rope_parameters");
  if (!json) return NULL;
  if (is_by_layers(json) != (rule->layers != NULL)) {
    ft_mistakes_add(r->file.mistakes, FT_ERR_DATA, "rope_parameters %s; %s",
                    rule->layers ? "is one table" : "differs between layer types",
                    rule->layers ? "this family has one for each type of layers"
                                 : "this family has one for all layers");
    return NULL;
  }
  if (!rule->layers) return json;
  json = ft_json_get(json, rule->layers);
  if (!json || cJSON_IsObject(json)) return json;
  ft_mistakes_add(r->file.mistakes, FT_ERR_DATA, "rope_parameters.%s must be an object",
                  rule->layers);
  return NULL;
}

/* Whether two tables agree where both say anything: transformers 4 would take the one, 5 the other.
 */
static bool agree(const cJSON *a, const cJSON *b) {
  for (const cJSON *item = a->child; item; item = item->next) {
    const char *alias = strcmp(item->string, "type") == 0 ? "rope_type" : item->string;
    const cJSON *other = ft_json_get(b, alias);
    if (!other) other = ft_json_get(b, item->string);
    if (other && !cJSON_Compare(item, other, true)) return false;
  }
  return true;
}

/* rope_theta beside the table counts where the table has none. */
static void check_theta(const ft_hf_reader *r, const ft_hf_rope_rule *rule, const cJSON *table) {
  const cJSON *inner = ft_json_get(table, "rope_theta");
  double beside = ft_hf_number(&r->file, rule->theta_key, 0, 1e-3, 1e15);
  if (!cJSON_IsNumber(inner) || !(beside > 0)) return;
  if (inner->valuedouble < beside || inner->valuedouble > beside)
    ft_mistakes_add(r->file.mistakes, FT_ERR_DATA, "%s is %g, but %g inside the rotary parameters",
                    rule->theta_key, beside, inner->valuedouble);
}

/* The table of rule number i as an object of its own (cJSON_Delete), made of what the file says in
 * all its places and of what the family takes for granted. */
static cJSON *gather(const ft_hf_reader *r, int i, const char **prefix) {
  const ft_hf_rope_rule *rule = &r->family->ropes[i];
  const cJSON *scaling = rule->scaled ? named_object(r, "rope_scaling") : NULL;
  const cJSON *parameters = find_parameters(r, rule);
  const cJSON *table = scaling ? scaling : parameters;
  *prefix = scaling ? "rope_scaling." : "rope_parameters.";
  if (scaling && is_by_layers(scaling))
    ft_mistakes_add(r->file.mistakes, FT_ERR_DATA, "rope_scaling differs between layer types");
  if (scaling && parameters && !agree(scaling, parameters))
    ft_mistakes_add(r->file.mistakes, FT_ERR_DATA,
                    "rope_scaling and rope_parameters contradict each other");
  if (table && rule->theta_key) check_theta(r, rule, table);
  bool absent = !table && i == 0 && r->family->rope_table;
  cJSON *own = absent  ? cJSON_Parse(r->family->rope_table)
               : table ? cJSON_Duplicate(table, true)
                       : cJSON_CreateObject();
  const cJSON *theta = parameters ? ft_json_get(parameters, "rope_theta") : NULL;
  if (!theta && rule->theta_key) theta = ft_json_get(r->file.json, rule->theta_key);
  if (own && theta && !cJSON_IsNull(theta) && (absent || !ft_json_get(own, "rope_theta"))) {
    cJSON_DeleteItemFromObjectCaseSensitive(own, "rope_theta");
    cJSON_AddItemToObject(own, "rope_theta", cJSON_Duplicate(theta, true));
  }
  return own;
}

/* Longest document of the stretched model: with linear scaling max_position_embeddings is that of
 * the model before it; with yarn it may be either. */
static int64_t stretched_positions(const ft_rope_form *rope, int64_t max_positions) {
  double stretched = (double)max_positions;
  if (rope->type == FT_ROPE_LINEAR) stretched *= rope->factor;
  if (rope->type == FT_ROPE_YARN)
    stretched = FT_MAX(stretched, rope->factor * (double)rope->original_positions);
  return (int64_t)FT_MIN(stretched, (double)MAX_POSITIONS);
}

/* rope_scaling where none of the family's rotary embeddings takes it. */
static void refuse_scaling(const ft_hf_reader *r) {
  for (int i = 0; i < r->arch->num_ropes; i++)
    if (r->family->ropes[i].scaled) return;
  if (named_object(r, "rope_scaling"))
    ft_mistakes_add(r->file.mistakes, FT_ERR_DATA,
                    "rope_scaling is not supported in a %s model; rope_parameters has a table for "
                    "each type of layers",
                    r->family->model_type);
}

void ft_hf_read_ropes(const ft_hf_reader *r) {
  ft_arch *a = r->arch;
  int64_t positions = a->max_positions;
  if (a->num_ropes > 0) refuse_scaling(r);
  for (int i = 0; i < a->num_ropes; i++) {
    const char *prefix;
    cJSON *table = gather(r, i, &prefix);
    ft_hf_object object = {.json = table, .prefix = prefix, .mistakes = r->file.mistakes};
    read_table(r, &r->family->ropes[i], &object, &a->ropes[i]);
    cJSON_Delete(table);
    if (r->family->ropes[i].layers) continue; /* only some layers are stretched */
    positions = FT_MAX(positions, stretched_positions(&a->ropes[i], a->max_positions));
  }
  a->max_positions = positions;
}
