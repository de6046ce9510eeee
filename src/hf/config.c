/* config.json to ft_arch. A key that is missing means what the model's configuration class in
 * transformers says; what would change the computation and is not supported is refused by name. */
#include <string.h>
#include <strings.h>

#include "family.h"
#include "ft/io_kind.h"
#include "names.h"

/* ---------------------------------------------------------------- which family */

/* "llama (Llama 2 and 3), mistral (Mistral), …" */
static void list_families(char *out, size_t size) {
  size_t used = 0;
  for (int i = 0; i < ft_hf_num_families && used < size; i++)
    used += (size_t)snprintf(out + used, size - used, "%s%s (%s)", i ? ", " : "",
                             ft_hf_families[i].model_type, ft_hf_families[i].models);
}

static const char *architecture_of(const ft_hf_family *f) {
  return f->architecture ? f->architecture : "ForCausalLM";
}

/* The end of an architecture's name, whatever its letters' case. */
static bool has_end(const char *name, const char *end) {
  size_t length = strlen(name), tail = strlen(end);
  return length >= tail && strcasecmp(name + length - tail, end) == 0;
}

/* Every decoder may have a head of labels in place of its head of tokens. */
static bool may_be_scored(const ft_hf_family *f, const char *architecture) {
  const ft_arch *form = ft_arch_form(f->form ? f->form : f->model_type);
  return has_end(architecture, FT_HF_SCORED) && form->head == FT_HEAD_TOKENS && !form->two_way;
}

/* A family may have several rows, one for each kind of head: `architectures` says which. */
static const ft_hf_family *choose(const ft_hf_object *config, const char *type,
                                  const char *architecture) {
  const ft_hf_family *first = NULL;
  char ends[200] = "";
  for (int i = 0; i < ft_hf_num_families; i++) {
    const ft_hf_family *f = &ft_hf_families[i];
    size_t used = strlen(ends);
    if (strcmp(type, f->model_type) != 0) continue;
    if (!architecture || has_end(architecture, architecture_of(f))) return f;
    if (may_be_scored(f, architecture)) return f;
    snprintf(ends + used, sizeof ends - used, "%s\"%s\"", first ? " or " : "", architecture_of(f));
    if (!first) first = f;
  }
  if (first)
    ft_mistakes_add(config->mistakes, FT_ERR_DATA,
                    "architecture \"%.60s\" is not supported; expected is one that ends in %s",
                    architecture, ends);
  return first;
}

/* NULL: there is none, which was noted. `architecture` NULL: the config names none. */
static const ft_hf_family *find_family(const ft_hf_object *config, const char *missing,
                                       const char *architecture) {
  char list[1600];
  const char *type = ft_hf_string(config, "model_type", missing);
  const ft_hf_family *f = type ? choose(config, type, architecture) : NULL;
  if (f) return f;
  list_families(list, sizeof list);
  if (!type && cJSON_IsObject(ft_json_get(config->json, "run")))
    ft_mistakes_add(config->mistakes, FT_ERR_DATA,
                    "this is a run's configuration; expected is a model's: ftrun "
                    "export makes a model directory of a run");
  else if (!type)
    ft_mistakes_add(config->mistakes, FT_ERR_DATA, "model_type is missing; supported are %s", list);
  else
    ft_mistakes_add(config->mistakes, FT_ERR_DATA,
                    "model_type \"%.60s\" is not supported; supported are %s", type, list);
  return NULL;
}

/* ---------------------------------------------------------------- tokens and number format */

static void add_eos(const ft_hf_object *config, const cJSON *value, ft_hf_config *out) {
  bool valid = cJSON_IsNumber(value) && value->valuedouble >= -1 &&
               value->valuedouble < (double)out->arch.vocab &&
               value->valuedouble == (double)(int64_t)value->valuedouble;
  if (!valid) {
    char found[80];
    ft_hf_show(value, found, sizeof found);
    ft_mistakes_add(config->mistakes, FT_ERR_DATA, "%seos_token_id %s is not a token (0 to %lld)",
                    config->prefix, found, (long long)out->arch.vocab - 1);
    return;
  }
  int64_t id = (int64_t)value->valuedouble;
  if (id >= 0 && !ft_hf_ends_text(out, id)) out->eos_tokens[out->num_eos_tokens++] = id;
}

/* Tokens that an eos_token_id may name. */
static int64_t count_eos(const cJSON *json) {
  const cJSON *value = ft_json_get(json, "eos_token_id");
  return cJSON_IsArray(value) ? cJSON_GetArraySize(value) : 1;
}

/* One id, a list of ids, or null. */
static void read_eos(const ft_hf_object *config, const cJSON *value, ft_hf_config *out) {
  const cJSON *item;
  if (!value || cJSON_IsNull(value)) return;
  if (!cJSON_IsArray(value)) {
    add_eos(config, value, out);
    return;
  }
  cJSON_ArrayForEach(item, value) add_eos(config, item, out);
}

/* Those that the family takes for granted, as far as the vocabulary has them. */
static void read_default_eos(const ft_hf_reader *r, ft_hf_config *out) {
  const cJSON *value = ft_json_get(r->defaults, "eos_token_id"), *item;
  if (cJSON_IsNumber(value) && value->valuedouble < (double)out->arch.vocab)
    add_eos(&r->file, value, out);
  cJSON_ArrayForEach(item, value) if (item->valuedouble < (double)out->arch.vocab)
      add_eos(&r->file, item, out);
}

static void read_bos(const ft_hf_reader *r, ft_hf_config *out) {
  bool given = ft_hf_has(&r->file, "bos_token_id");
  int64_t last = out->arch.vocab - 1;
  int64_t token = ft_hf_int(&r->all, "bos_token_id", -1, -1, given ? last : INT32_MAX);
  out->bos_token = token > last ? -1 : token;
}

static ft_err read_tokens(const ft_hf_reader *r, const cJSON *generation, ft_hf_config *out) {
  const cJSON *outer = out->json, *inner = r->file.json;
  ft_err err = ft_alloc_array(FT_MEM_OTHER,
                              count_eos(outer) + count_eos(inner) + count_eos(r->defaults) +
                                  count_eos(generation),
                              sizeof(int64_t), (void **)&out->eos_tokens);
  if (err != FT_OK) return err;
  read_bos(r, out);
  if (!ft_json_get(inner, "eos_token_id") && !ft_json_get(outer, "eos_token_id"))
    read_default_eos(r, out);
  read_eos(&r->file, ft_json_get(inner, "eos_token_id"), out);
  if (outer != inner) read_eos(&r->file, ft_json_get(outer, "eos_token_id"), out);
  ft_hf_object more = {.prefix = "generation_config.json: ", .mistakes = r->file.mistakes};
  if (cJSON_IsObject(generation)) read_eos(&more, ft_json_get(generation, "eos_token_id"), out);
  return FT_OK;
}

static void read_dtype(const ft_hf_object *config, ft_hf_config *out) {
  const char *name =
      ft_hf_string(config, ft_hf_has(config, "dtype") ? "dtype" : "torch_dtype", "bfloat16");
  if (strncmp(name, "torch.", 6) == 0) name += 6;
  if (strcmp(name, "bfloat16") == 0)
    out->dtype = FT_BF16;
  else if (strcmp(name, "float32") == 0)
    out->dtype = FT_F32;
  else if (strcmp(name, "float16") == 0)
    out->dtype = FT_F16;
  else
    ft_mistakes_add(config->mistakes, FT_ERR_DATA,
                    "dtype \"%.40s\" is not supported; supported are float32, bfloat16 and float16",
                    name);
}

/* ---------------------------------------------------------------- remarks */

static void refuse_quantization(const ft_hf_object *config) {
  if (!ft_hf_has(config, "quantization_config")) return;
  const cJSON *method =
      ft_json_get(ft_json_get(config->json, "quantization_config"), "quant_method");
  ft_mistakes_add(config->mistakes, FT_ERR_DATA,
                  "quantization_config (quant_method \"%.40s\") is not supported; supported are "
                  "weights in float32, bfloat16 and float16",
                  cJSON_IsString(method) ? method->valuestring : "unknown");
}

/* Dropouts of the model's own training, which no run here has. */
static ft_err remark_dropout(const ft_hf_reader *r, ft_hf_config *out) {
  char text[300] = "";
  size_t used = 0;
  for (const cJSON *item = r->all.json->child; item && used < sizeof text; item = item->next) {
    bool named = strstr(item->string, "dropout") || strstr(item->string, "_pdrop");
    if (!named || !cJSON_IsNumber(item) || !(item->valuedouble > 0)) continue;
    if (strncmp(item->string, "summary_", 8) == 0) continue;
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%.60s %g", used ? ", " : "",
                             item->string, item->valuedouble);
  }
  if (used == 0) return FT_OK;
  char *remark;
  ft_err err = ft_format(&remark, "trained without dropout (%s)", text);
  if (err == FT_OK) err = ft_hf_add_remark(out, remark);
  ft_free(remark);
  return err;
}

static ft_err remark_unknown(const char *unknown, ft_hf_config *out) {
  char *remark;
  if (!unknown) return FT_OK;
  ft_err err = ft_format(&remark,
                         "keys of config.json that are not known, and might change what is "
                         "computed: %.400s",
                         unknown);
  if (err == FT_OK) err = ft_hf_add_remark(out, remark);
  ft_free(remark);
  return err;
}

/* What is of no effect here, whatever was meant by it. */
static ft_err add_remarks(const ft_hf_reader *r, const char *unknown, ft_hf_config *out) {
  ft_err err = FT_OK;
  /* how Llama 2 was cut for its training: the product of the pieces is that of the whole */
  if (ft_hf_int(&r->file, "pretraining_tp", 1, 1, INT32_MAX) > 1)
    FT_TRY(
        ft_hf_add_remark(out, "pretraining_tp is of no effect: products are not cut into pieces"));
  FT_TRY(remark_dropout(r, out));
  FT_TRY(remark_unknown(unknown, out));
out:
  return err;
}

/* ---------------------------------------------------------------- the whole */

/* The family's defaults under what the file has; both are the caller's to delete. */
static ft_err merge(ft_hf_reader *r, cJSON **defaults, cJSON **all) {
  *defaults = cJSON_Parse(r->family->defaults);
  *all = cJSON_Duplicate(*defaults, true);
  for (const cJSON *item = r->file.json->child; *all && item; item = item->next) {
    cJSON *copy = cJSON_Duplicate(item, true);
    if (!copy) return ft_fail(FT_ERR_MEMORY, "no memory for a config");
    if (ft_json_get(*all, item->string))
      cJSON_ReplaceItemInObjectCaseSensitive(*all, item->string, copy);
    else
      cJSON_AddItemToObject(*all, item->string, copy);
  }
  if (!*defaults || !*all) return ft_fail(FT_ERR_MEMORY, "no memory for a config");
  r->defaults = *defaults;
  r->all = (ft_hf_object){.json = *all, .prefix = r->file.prefix, .mistakes = r->file.mistakes};
  return FT_OK;
}

/* The outer level of a composite decides whether its text part is tied, and is by default. */
static void read_tied(const ft_hf_object *outer, ft_arch *a) {
  a->tied = ft_hf_bool(outer, "tie_word_embeddings", true);
}

static ft_err read_family(ft_hf_reader *r, const ft_hf_object *outer, const cJSON *generation,
                          ft_hf_config *out) {
  ft_err err = FT_OK;
  cJSON *defaults = NULL, *all = NULL;
  char *unknown = NULL;
  const ft_hf_family *f = r->family;
  bool composite = outer->json != r->file.json;
  const ft_hf_object *typed =
      ft_hf_has(outer, "dtype") || ft_hf_has(outer, "torch_dtype") ? outer : &r->file;
  snprintf(out->model_type, sizeof out->model_type, "%s", f->model_type);
  FT_TRY(merge(r, &defaults, &all));
  out->arch = *ft_arch_form(f->form ? f->form : f->model_type);
  if (r->scored) ft_hf_put_labels(&out->arch);
  ft_hf_read_keys(r);
  ft_hf_read_ropes(r);
  f->layers(r);
  if (composite) read_tied(outer, &out->arch);
  refuse_quantization(&r->file);
  if (composite) refuse_quantization(outer);
  FT_TRY(ft_hf_check_keys(r, &unknown));
  FT_TRY(read_tokens(r, generation, out));
  read_dtype(typed, out);
  ft_hf_number(&r->file, "initializer_range", 0.02, 0, 1);
  FT_TRY(add_remarks(r, unknown, out));
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof *out->naming, (void **)&out->naming));
  ft_hf_default_naming(f, composite, out->naming);
  if (r->scored) ft_hf_put_labels(&out->arch); /* what a head of tokens does to its logits */
  out->naming->scored = r->scored;
out:
  ft_free(unknown);
  cJSON_Delete(defaults);
  cJSON_Delete(all);
  return err;
}

/* The object that describes the text part, and what `architectures` names. */
static const ft_hf_composite *find_text(const ft_hf_object *outer, const cJSON **text,
                                        const char **architecture) {
  const cJSON *name = cJSON_GetArrayItem(ft_json_get(outer->json, "architectures"), 0);
  const cJSON *type = ft_json_get(outer->json, "model_type");
  const ft_hf_composite *composite =
      cJSON_IsString(type) ? ft_hf_find_composite(type->valuestring) : NULL;
  *architecture = cJSON_IsString(name) ? name->valuestring : NULL;
  *text = outer->json;
  if (!composite) return NULL;
  *text = ft_json_get(outer->json, "text_config");
  if (!cJSON_IsObject(*text)) {
    ft_mistakes_add(outer->mistakes, FT_ERR_DATA,
                    "text_config is missing; a %s model has its text part there",
                    composite->model_type);
    *text = outer->json;
    return NULL;
  }
  if (*architecture && !has_end(*architecture, "ForConditionalGeneration"))
    ft_mistakes_add(outer->mistakes, FT_ERR_DATA,
                    "architecture \"%.60s\" is not supported; expected is one that ends in "
                    "\"ForConditionalGeneration\"",
                    *architecture);
  *architecture = NULL; /* the part's own is of one kind */
  return composite;
}

/* generation: of generation_config.json, or NULL. */
static ft_err read_config(ft_hf_config *out, const char *path, const cJSON *generation) {
  ft_err err = FT_OK;
  ft_mistakes mistakes = {0};
  ft_hf_object outer = {.json = out->json, .prefix = "", .mistakes = &mistakes};
  ft_hf_reader r = {.file = outer, .arch = &out->arch};
  const char *architecture;
  out->bos_token = -1;
  FT_CHECK(cJSON_IsObject(out->json), FT_ERR_DATA,
           "%s: expected is a JSON object, a model's config", path);
  const ft_hf_composite *composite = find_text(&outer, &r.file.json, &architecture);
  if (composite) r.file.prefix = "text_config.";
  if (mistakes.count == 0)
    r.family = find_family(&r.file, composite ? composite->text_type : NULL, architecture);
  r.scored = r.family && architecture && !has_end(architecture, architecture_of(r.family));
  if (r.family) FT_TRY(read_family(&r, &outer, generation, out));
  FT_TRY(ft_mistakes_fail(&mistakes, path));
  ft_arch_complete(&out->arch);
  err = ft_arch_check(&out->arch);
  if (err != FT_OK) err = ft_fail_prefix(err, "%s", path);
out:
  return err;
}

ft_err ft_hf_config_read_file(const char *path, ft_hf_config *out) {
  ft_err err = FT_OK;
  *out = (ft_hf_config){0};
  FT_TRY(ft_json_read(path, &out->json));
  FT_TRY(read_config(out, path, NULL));
  FT_TRY(ft_layout_new(&out->arch, NULL, NULL, &out->layout));
out:
  if (err != FT_OK) ft_hf_config_fini(out);
  return err;
}

static bool has_dtype(const cJSON *json) {
  const ft_hf_object outer = {.json = json};
  const ft_hf_object inner = {.json = ft_json_get(json, "text_config")};
  return ft_hf_has(&outer, "dtype") || ft_hf_has(&outer, "torch_dtype") ||
         ft_hf_has(&inner, "dtype") || ft_hf_has(&inner, "torch_dtype");
}

ft_err ft_hf_config_read(const char *dir, ft_hf_config *out) {
  ft_err err = FT_OK;
  char *path = NULL, *generation_path = NULL;
  cJSON *generation = NULL;
  *out = (ft_hf_config){0};
  FT_CHECK(ft_path_exists(dir), FT_ERR_NOINPUT,
           "the model directory %s does not exist; nothing is downloaded: put it there, with "
           "`hf download NAME --local-dir DIR` for instance, and give its path",
           dir);
  FT_TRY(ft_kind_check(dir, FT_WANT_MODEL));
  FT_TRY(ft_path_join(dir, "config.json", &path));
  FT_TRY(ft_path_join(dir, "generation_config.json", &generation_path));
  FT_CHECK(ft_path_exists(path), FT_ERR_NOINPUT,
           "%s holds no config.json: expected is a Hugging Face model directory", dir);
  FT_TRY(ft_json_read(path, &out->json));
  if (ft_path_exists(generation_path)) FT_TRY(ft_json_read(generation_path, &generation));
  FT_TRY(read_config(out, path, generation));
  FT_TRY(ft_hf_follow_weights(dir, has_dtype(out->json), out));
  FT_TRY(ft_layout_new(&out->arch, NULL, NULL, &out->layout));
out:
  if (err != FT_OK) ft_hf_config_fini(out);
  cJSON_Delete(generation);
  ft_free(path);
  ft_free(generation_path);
  return err;
}

int64_t ft_hf_eos(const ft_hf_config *config) {
  return config->num_eos_tokens > 0 ? config->eos_tokens[0] : -1;
}

bool ft_hf_ends_text(const ft_hf_config *config, int64_t token) {
  for (int64_t i = 0; i < config->num_eos_tokens; i++)
    if (config->eos_tokens[i] == token) return true;
  return false;
}

void ft_hf_config_fini(ft_hf_config *config) {
  ft_free(config->eos_tokens);
  ft_free(config->remarks);
  cJSON_Delete(config->json);
  ft_layout_free(config->layout);
  ft_free(config->naming);
  *config = (ft_hf_config){0};
}
