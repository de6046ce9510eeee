/* Counts and examples as a JSON tree. */
#include "tally.h"

#include <stdlib.h>
#include <string.h>

static ft_err no_memory(void) {
  return ft_fail(FT_ERR_MEMORY, "no memory for the report");
}

static cJSON *group_of(cJSON *tree, const char *group) {
  if (!group) return tree;
  cJSON *item = ft_json_get(tree, group);
  return item ? item : cJSON_AddObjectToObject(tree, group);
}

ft_err ft_tally_count(cJSON *tree, const char *group, const char *name, int64_t count) {
  cJSON *parent = group_of(tree, group);
  cJSON *item = parent ? ft_json_get(parent, name) : NULL;
  if (item) {
    cJSON_SetNumberValue(item, item->valuedouble + (double)count);
    return FT_OK;
  }
  return parent && cJSON_AddNumberToObject(parent, name, (double)count) ? FT_OK : no_memory();
}

int64_t ft_tally_get(const cJSON *tree, const char *group, const char *name) {
  const cJSON *parent = group ? ft_json_get(tree, group) : tree;
  const cJSON *item = parent ? ft_json_get(parent, name) : NULL;
  return cJSON_IsNumber(item) ? (int64_t)item->valuedouble : 0;
}

static cJSON *list_of(cJSON *parent, const char *name) {
  cJSON *list = parent ? ft_json_get(parent, name) : NULL;
  return list || !parent ? list : cJSON_AddArrayToObject(parent, name);
}

ft_err ft_tally_example(cJSON *tree, const char *group, const char *name, int64_t bound,
                        const char *file, int64_t line, const char *text) {
  cJSON *list = list_of(group_of(tree, group), name);
  if (!list) return no_memory();
  if (cJSON_GetArraySize(list) >= bound) return FT_OK;
  cJSON *example = cJSON_CreateObject();
  if (!example || !cJSON_AddItemToArray(list, example) ||
      !cJSON_AddStringToObject(example, "file", file) ||
      !cJSON_AddNumberToObject(example, "line", (double)line) ||
      !cJSON_AddStringToObject(example, "text", text))
    return no_memory();
  return FT_OK;
}

/* ---------------------------------------------------------------- samples */

static const char *key_of(const cJSON *sample) {
  return ft_json_get(sample, "key")->valuestring;
}

/* The sample of greatest (least) key. */
static cJSON *extreme(const cJSON *list, bool greatest) {
  cJSON *found = list->child;
  for (cJSON *s = found ? found->next : NULL; s; s = s->next)
    if ((strcmp(key_of(s), key_of(found)) > 0) == greatest) found = s;
  return found;
}

bool ft_tally_wants(const cJSON *tree, const char *key) {
  const cJSON *list = ft_json_get(tree, "samples");
  return !list || cJSON_GetArraySize(list) < FT_TALLY_SAMPLES ||
         strcmp(key, key_of(extreme(list, true))) < 0;
}

ft_err ft_tally_sample(cJSON *tree, cJSON *sample) {
  cJSON *list = list_of(tree, "samples");
  if (!list || !sample || !cJSON_AddItemToArray(list, sample)) {
    cJSON_Delete(sample);
    return no_memory();
  }
  if (cJSON_GetArraySize(list) > FT_TALLY_SAMPLES)
    cJSON_Delete(cJSON_DetachItemViaPointer(list, extreme(list, true)));
  return FT_OK;
}

ft_err ft_tally_sort_samples(cJSON *tree) {
  cJSON *list = list_of(tree, "samples"), *sorted = cJSON_CreateArray();
  if (!list || !sorted) return no_memory();
  while (list->child)
    cJSON_AddItemToArray(sorted, cJSON_DetachItemViaPointer(list, extreme(list, false)));
  cJSON_ReplaceItemInObjectCaseSensitive(tree, "samples", sorted);
  return FT_OK;
}

/* ---------------------------------------------------------------- merging */

static void shift_line(cJSON *example, int64_t base) {
  cJSON *line = ft_json_get(example, "line");
  if (line) cJSON_SetNumberValue(line, line->valuedouble + (double)base);
}

static ft_err merge_list(cJSON *tree, const cJSON *piece, int64_t base) {
  bool samples = strcmp(piece->string, "samples") == 0;
  int bound = strcmp(piece->string, "bad_lines") == 0 ? FT_TALLY_BAD_LINES : FT_TALLY_EXAMPLES;
  cJSON *list = list_of(tree, piece->string);
  if (!list) return no_memory();
  const cJSON *item;
  cJSON_ArrayForEach(item, piece) {
    if (!samples && cJSON_GetArraySize(list) >= bound) break;
    cJSON *copy = cJSON_Duplicate(item, true);
    if (!copy) return no_memory();
    shift_line(copy, base);
    ft_err err = FT_OK;
    if (samples)
      err = ft_tally_sample(tree, copy);
    else if (!cJSON_AddItemToArray(list, copy))
      err = no_memory();
    if (err != FT_OK) return err;
  }
  return FT_OK;
}

ft_err ft_tally_merge(cJSON *tree, const cJSON *piece, int64_t base) {
  const cJSON *item;
  cJSON_ArrayForEach(item, piece) {
    ft_err err = FT_OK;
    if (cJSON_IsNumber(item)) {
      err = ft_tally_count(tree, NULL, item->string, (int64_t)item->valuedouble);
    } else if (cJSON_IsArray(item)) {
      err = merge_list(tree, item, base);
    } else if (cJSON_IsObject(item)) {
      cJSON *group = group_of(tree, item->string);
      err = group ? ft_tally_merge(group, item, base) : no_memory();
    }
    if (err != FT_OK) return err;
  }
  return FT_OK;
}
