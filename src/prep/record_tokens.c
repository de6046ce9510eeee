/* Records of tokens: ids that are there already, and what is learnt of them, as trainers keep
 * them. */
#include "record_internal.h"

/* The i-th number of a list of the same length as the ids; `missing` where there is no list. */
static ft_err number_at(const cJSON *list, const cJSON **item, int64_t missing, int64_t *out) {
  *out = missing;
  if (!list) return FT_OK;
  if (cJSON_IsBool(*item))
    *out = cJSON_IsTrue(*item);
  else if (!ft_json_i64(*item, out))
    return ft_fail(FT_ERR_DATA, "\"%s\" has fewer numbers than \"input_ids\", or something else",
                   list->string);
  *item = (*item)->next;
  return FT_OK;
}

static ft_err list_of(const ft_record_rules *rules, const cJSON *json, const char *name,
                      const cJSON **list, const cJSON **first) {
  *list = ft_member(rules, json, name);
  if (ft_is_absent(*list)) *list = NULL;
  *first = *list ? (*list)->child : NULL;
  if (!*list || cJSON_IsArray(*list)) return FT_OK;
  return ft_fail(FT_ERR_DATA, "\"%s\" is %s, a list of numbers was expected", name,
                 ft_type_name(*list));
}

ft_err ft_read_tokens(const ft_record_rules *rules, const cJSON *json, ft_record *r) {
  ft_err err = FT_OK;
  const cJSON *lists[4], *items[4];
  static const char *const names[] = {"input_ids", "attention_mask", "labels", "loss_mask"};
  for (int i = 0; i < 4; i++)
    FT_TRY(list_of(rules, json, names[i], &lists[i], &items[i]));
  bool has_mask = lists[2] || lists[3];
  r->kind = has_mask ? FT_TOKENS_SFT : FT_TOKENS_TEXT;
  while (items[0]) {
    int64_t id, attended, label, learnt;
    FT_TRY(number_at(lists[0], &items[0], 0, &id));
    FT_TRY(number_at(lists[1], &items[1], 1, &attended));
    FT_TRY(number_at(lists[2], &items[2], id, &label));
    FT_TRY(number_at(lists[3], &items[3], 1, &learnt));
    if (attended == 0) continue;
    FT_CHECK(id >= 0 && id <= UINT32_MAX, FT_ERR_DATA, "\"input_ids\" has the id %lld",
             (long long)id);
    FT_CHECK(
        label == id || label == FT_TOKENS_NO_LABEL, FT_ERR_DATA,
        "a label is %lld where the id is %lld: labels that repeat the ids (not shifted by one) "
        "or are -100 were expected",
        (long long)label, (long long)id);
    uint32_t value = (uint32_t)id;
    FT_TRY(ft_ids_append(&r->ids, &value, 1, label == id && learnt != 0));
  }
  if (r->ids.count > 0) r->ids.mask[0] = 0;
out:
  return err;
}
