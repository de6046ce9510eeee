/* What becomes of a configuration when the data are known, and when a run goes on. */
#include <math.h>
#include <string.h>

#include "config_table.h"

/* ---------------------------------------------------------------- what was left to the program */

enum { USUAL_BATCH = 64, LEAST_STEPS_A_PASS = 16, USUAL_WARMUP = 100, WARMUP_PART = 10 };

int64_t ft_config_num_steps(const ft_config *c, int64_t rows) {
  if (c->steps > 0) return c->steps;
  return (int64_t)ceil(c->epochs * (double)rows / (double)c->global_batch);
}

/* A batch that a pass over `rows` fills LEAST_STEPS_A_PASS times, if it can. */
static int64_t batch_for(int64_t rows, int64_t micro_batch) {
  int64_t batch = USUAL_BATCH;
  while (rows >= 0 && batch > 1 && batch * LEAST_STEPS_A_PASS > rows)
    batch /= 2;
  return FT_MAX(batch / micro_batch, 1) * micro_batch;
}

static bool take_earlier(const cJSON *earlier, const char *path, int64_t *value) {
  const cJSON *was = ft_config_find(earlier, path);
  return cJSON_IsNumber(was) && ft_json_i64(was, value);
}

static void decide(ft_config *c, const cJSON *earlier, const char *path, int64_t own,
                   int64_t *value) {
  *value = own;
  (void)take_earlier(earlier, path, value);
  ft_config_put(c->json, path, cJSON_CreateNumber((double)*value));
}

void ft_config_settle(ft_config *c, int64_t rows, const cJSON *earlier) {
  if (ft_config_is_open(c, "train.global_batch"))
    decide(c, earlier, "train.global_batch", batch_for(rows, c->micro_batch), &c->global_batch);
  if (ft_config_is_open(c, "schedule.warmup_steps")) {
    int64_t steps =
        rows < 0 && c->steps == 0 ? WARMUP_PART * USUAL_WARMUP : ft_config_num_steps(c, rows);
    if (c->schedule.steps > 0) steps = c->schedule.steps;
    decide(c, earlier, "schedule.warmup_steps", FT_MIN((int64_t)USUAL_WARMUP, steps / WARMUP_PART),
           &c->schedule.warmup_steps);
  }
}

/* Objectives of which a row may hold many items without anybody counting them. */
static bool counts_rows(const ft_config *c) {
  static const char *const names[] = {"tokens", "masked-tokens", "classes"};
  const cJSON *name = ft_config_find(c->json, "objective.name");
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++)
    if (cJSON_IsString(name) && strcmp(name->valuestring, names[i]) == 0) return true;
  return false;
}

void ft_config_settle_filling(ft_config *c, const cJSON *earlier) {
  static const char *const names[] = {[FT_FIT_NEXT] = "next", [FT_FIT_BEST] = "best"};
  if (ft_config_is_open(c, "data.packing")) {
    const cJSON *was = ft_config_find(earlier, "data.packing");
    c->packing = cJSON_IsBool(was) ? cJSON_IsTrue(was) : counts_rows(c);
    ft_config_put(c->json, "data.packing", cJSON_CreateBool(c->packing));
  }
  if (ft_config_is_open(c, "data.fit")) {
    const cJSON *was = ft_config_find(earlier, "data.fit");
    bool best = cJSON_IsString(was) ? strcmp(was->valuestring, names[FT_FIT_BEST]) == 0
                                    : !earlier && c->shuffle;
    c->fit = best ? FT_FIT_BEST : FT_FIT_NEXT;
    ft_config_put(c->json, "data.fit", cJSON_CreateString(names[c->fit]));
  }
}

/* ---------------------------------------------------------------- comparing */

static bool allowed(const char *path, const ft_resume_rules *rules) {
  for (int64_t i = 0; i < rules->num_allow; i++)
    if (strcmp(path, rules->allow[i]) == 0) return true;
  return false;
}

/* What a checkpoint holds in this form only. */
static bool is_stored(const char *path) {
  return strcmp(path, "optimizer.master") == 0 || strcmp(path, "optimizer.state") == 0;
}

/* Runs from before there was a choice had equal weights where none were given. */
static cJSON *earlier_mix(const cJSON *earlier) {
  const cJSON *sets = ft_config_find(earlier, "data.train");
  return cJSON_GetArraySize(sets) > 1 ? cJSON_CreateString("weights") : NULL;
}

/* Training sets without their paths: those whose content is known to be the same. */
static bool same_weights(const cJSON *a, const cJSON *b) {
  cJSON *x = cJSON_Duplicate(a, true), *y = cJSON_Duplicate(b, true), *item;
  cJSON_ArrayForEach(item, x) cJSON_DeleteItemFromObjectCaseSensitive(item, "path");
  cJSON_ArrayForEach(item, y) cJSON_DeleteItemFromObjectCaseSensitive(item, "path");
  bool same = cJSON_Compare(x, y, true);
  cJSON_Delete(x);
  cJSON_Delete(y);
  return same;
}

static bool same_content(const ft_key *key, const cJSON *a, const cJSON *b,
                         const ft_resume_rules *rules) {
  if (rules->same_model && strcmp(key->path, "model.path") == 0) return true;
  if (rules->same_data && strcmp(key->path, "data.replay") == 0)
    return cJSON_Compare(ft_json_get(a, "share"), ft_json_get(b, "share"), true);
  return rules->same_data && strcmp(key->path, "data.train") == 0 && same_weights(a, b);
}

static void refuse(ft_mistakes *m, const ft_key *key, const cJSON *a, const cJSON *b) {
  char *was = ft_config_print(a), *is = ft_config_print(b);
  if (is_stored(key->path))
    ft_mistakes_add(m, FT_ERR_CONFIG,
                    "%s: the run had %s so far and its checkpoint holds that, now it is %s; put it "
                    "back, or export the run and begin another from there",
                    key->path, was ? was : "?", is ? is : "?");
  else
    ft_mistakes_add(m, FT_ERR_CONFIG,
                    "%s: the run had %s so far, now it is %s; put it back, choose another run.dir, "
                    "or accept another result with --allow %s",
                    key->path, was ? was : "?", is ? is : "?", key->path);
  cJSON_free(was);
  cJSON_free(is);
}

static void note_change(cJSON *changes, const ft_key *key, const cJSON *a, const cJSON *b,
                        bool by_allow) {
  if (!changes) return;
  cJSON *change = cJSON_CreateObject();
  cJSON_AddStringToObject(change, "key", key->path);
  cJSON_AddItemToObject(change, "from", cJSON_Duplicate(a, true));
  cJSON_AddItemToObject(change, "to", cJSON_Duplicate(b, true));
  cJSON_AddBoolToObject(change, "allowed", by_allow);
  cJSON_AddItemToArray(changes, change);
}

/* What a run did before there was a key; NULL: not known. Borrowed. */
static const cJSON *before_the_key(const char *path) {
  static const cJSON nothing = {.type = cJSON_NULL}, none = {.type = cJSON_Array},
                     one = {.type = cJSON_Number, .valueint = 1, .valuedouble = 1};
  if (strcmp(path, "data.replay") == 0) return &nothing;
  if (strcmp(path, "optimizer.groups") == 0) return &none;
  return strcmp(path, "optimizer.layer_decay") == 0 ? &one : NULL;
}

void ft_config_compare(const cJSON *earlier, const ft_config *now, const ft_resume_rules *rules,
                       ft_mistakes *m, cJSON *changes) {
  cJSON *mix = ft_config_find(earlier, "data.mix") ? NULL : earlier_mix(earlier);
  for (int64_t i = 0; i < rules->num_allow; i++)
    ft_config_check_key(rules->allow[i], m);
  for (int64_t i = 0; i < ft_config_table_size; i++) {
    const ft_key *key = &ft_config_table[i];
    const cJSON *a = ft_config_find(earlier, key->path), *b = ft_config_find(now->json, key->path);
    if (!a && strcmp(key->path, "data.mix") == 0) a = mix;
    if (!a) a = before_the_key(key->path);
    bool is_name = strcmp(key->path, "run.attempt") == 0; /* each attempt has another */
    if (!a || is_name || cJSON_Compare(a, b, true)) continue;
    bool by_allow = !key->resumable && !is_stored(key->path) && allowed(key->path, rules);
    if (key->resumable || by_allow || same_content(key, a, b, rules))
      note_change(changes, key, a, b, by_allow);
    else
      refuse(m, key, a, b);
  }
  cJSON_Delete(mix);
}
