/* What a run learns from, known by content: a checkpoint records it, so that a run does not go on
 * with another model or other data under the same path, and may with the same ones under another.
 * Rank 0's, all of it. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* ---------------------------------------------------------------- what it is */

static void add_digest(cJSON *object, const char *name, uint64_t digest) {
  char text[17];
  snprintf(text, sizeof text, "%016llx", (unsigned long long)digest);
  cJSON_AddStringToObject(object, name, text);
}

static ft_err describe_model(const trainer *t, cJSON *inputs) {
  char *text = NULL;
  ft_err err = ft_json_print(t->hf.json, false, &text);
  if (err != FT_OK) return err;
  cJSON *model = cJSON_AddObjectToObject(inputs, "model");
  add_digest(model, "config", ft_hash64(text, strlen(text), 0));
  cJSON_AddStringToObject(model, "tokenizer", t->tokenizer_sha256);
  ft_free(text);
  return FT_OK;
}

/* One source of an opened set. */
static ft_err describe_source(ft_data *data, int64_t source, const char *path, cJSON *list) {
  uint64_t identity;
  ft_err err = ft_data_identity(data, source, &identity);
  if (err != FT_OK) return err;
  cJSON *object = cJSON_CreateObject();
  cJSON_AddStringToObject(object, "path", path);
  add_digest(object, "identity", identity);
  cJSON_AddNumberToObject(object, "documents", (double)ft_data_source_documents(data, source));
  cJSON_AddNumberToObject(object, "tokens", (double)ft_data_source_tokens(data, source));
  cJSON_AddItemToArray(list, object);
  return FT_OK;
}

ft_err ft_inputs_describe(const trainer *t, cJSON **out) {
  ft_err err = FT_OK;
  const ft_config *c = t->config;
  cJSON *inputs = cJSON_CreateObject();
  *out = NULL;
  FT_TRY(describe_model(t, inputs));
  cJSON *train = cJSON_AddArrayToObject(inputs, "train");
  for (int64_t i = 0; i < c->num_train; i++)
    FT_TRY(describe_source(t->train, i, c->train[i].path, train));
  cJSON *validation = cJSON_AddArrayToObject(inputs, "validation");
  for (int64_t i = 0; i < c->num_validation; i++)
    FT_TRY(describe_source(t->validation[i], 0, c->validation[i].path, validation));
  *out = inputs;
  inputs = NULL;
out:
  cJSON_Delete(inputs);
  return err;
}

/* ---------------------------------------------------------------- what has become of it */

static bool same_member(const cJSON *a, const cJSON *b, const char *name) {
  return cJSON_Compare(ft_json_get(a, name), ft_json_get(b, name), true);
}

static bool same_list(const cJSON *a, const cJSON *b) {
  int count = cJSON_GetArraySize(a);
  bool same = count == cJSON_GetArraySize(b);
  for (int i = 0; i < count && same; i++)
    same = same_member(cJSON_GetArrayItem(a, i), cJSON_GetArrayItem(b, i), "identity");
  return same;
}

static bool is_allowed(const ft_resume_rules *rules, const char *key) {
  for (int64_t i = 0; i < rules->num_allow; i++)
    if (strcmp(rules->allow[i], key) == 0) return true;
  return false;
}

static void note_change(cJSON *changes, const char *key, const cJSON *from, const cJSON *to,
                        bool allowed) {
  cJSON *change = cJSON_CreateObject();
  cJSON_AddStringToObject(change, "key", key);
  cJSON_AddItemToObject(change, "from", cJSON_Duplicate(from, true));
  cJSON_AddItemToObject(change, "to", cJSON_Duplicate(to, true));
  cJSON_AddBoolToObject(change, "allowed", allowed);
  cJSON_AddItemToArray(changes, change);
}

static void describe(const cJSON *source, char *out, size_t size) {
  int64_t documents = 0, tokens = 0;
  (void)ft_json_i64(ft_json_get(source, "documents"), &documents);
  (void)ft_json_i64(ft_json_get(source, "tokens"), &tokens);
  const cJSON *identity = ft_json_get(source, "identity");
  snprintf(out, size, "%lld documents, %lld tokens, identity %.16s", (long long)documents,
           (long long)tokens, cJSON_IsString(identity) ? identity->valuestring : "unknown");
}

static const char *path_of(const cJSON *source) {
  const cJSON *path = ft_json_get(source, "path");
  return cJSON_IsString(path) ? path->valuestring : "";
}

/* The model's texts; its weights are the checkpoint's. */
static void compare_model(const cJSON *a, const cJSON *b, bool same_path, ft_resume_rules *rules,
                          ft_mistakes *m, cJSON *changes) {
  bool config = same_member(a, b, "config"), tokenizer = same_member(a, b, "tokenizer");
  rules->same_model = config && tokenizer;
  if (rules->same_model) return;
  if (is_allowed(rules, "model.path"))
    note_change(changes, "model.path", a, b, true);
  else if (same_path)
    ft_mistakes_add(
        m, FT_ERR_CONFIG,
        "model.path: its %s is not the one that the run began with; put it back, choose "
        "another run.dir, or accept another result with --allow model.path",
        config ? "tokenizer.json" : "config.json");
}

static void compare_training(const cJSON *a, const cJSON *b, ft_resume_rules *rules, ft_mistakes *m,
                             cJSON *changes) {
  rules->same_data = same_list(a, b);
  if (rules->same_data) return;
  if (is_allowed(rules, "data.train")) {
    note_change(changes, "data.train", a, b, true);
    return;
  }
  int count = FT_MIN(cJSON_GetArraySize(a), cJSON_GetArraySize(b));
  for (int i = 0; i < count; i++) {
    const cJSON *x = cJSON_GetArrayItem(a, i), *y = cJSON_GetArrayItem(b, i);
    char was[128], is[128];
    if (same_member(x, y, "identity") || strcmp(path_of(x), path_of(y)) != 0) continue;
    describe(x, was, sizeof was);
    describe(y, is, sizeof is);
    ft_mistakes_add(m, FT_ERR_CONFIG,
                    "data.train: %s holds other data, or data prepared in another way: the run had "
                    "%s so far, now there are %s; put it back, choose another run.dir, or accept "
                    "another result with --allow data.train",
                    path_of(y), was, is);
  }
}

/* They may change; but a curve over two texts is worth a word. */
static void compare_validation(const trainer *t, const cJSON *a, const cJSON *b, cJSON *changes) {
  if (same_list(a, b)) return;
  note_change(changes, "data.validation", a, b, false);
  for (int i = 0; i < cJSON_GetArraySize(b) && i < cJSON_GetArraySize(a); i++)
    if (!same_member(cJSON_GetArrayItem(a, i), cJSON_GetArrayItem(b, i), "identity"))
      ft_log(FT_LOG_WARNING,
             "data.validation: \"%s\" (%s) holds other data than before: its losses cannot be "
             "compared with those so far",
             t->config->validation[i].name, t->config->validation[i].path);
}

void ft_inputs_compare(const trainer *t, const ft_checkpoint_meta *meta, const cJSON *now,
                       ft_resume_rules *rules, ft_mistakes *m, cJSON *changes) {
  const cJSON *was = ft_json_get(meta->extra, "inputs");
  if (!was) return; /* an early checkpoint: only paths can be compared */
  const cJSON *path = ft_json_get(ft_json_get(meta->config, "model"), "path");
  bool same_path = cJSON_IsString(path) && strcmp(path->valuestring, t->config->model_path) == 0;
  compare_model(ft_json_get(was, "model"), ft_json_get(now, "model"), same_path, rules, m, changes);
  compare_training(ft_json_get(was, "train"), ft_json_get(now, "train"), rules, m, changes);
  compare_validation(t, ft_json_get(was, "validation"), ft_json_get(now, "validation"), changes);
}
