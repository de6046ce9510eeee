/* The "post_processor" of tokenizer.json: which ids it puts before and after one text. */
#include "internal.h"

#include "members.h"

static const char where[] = "\"post_processor\"";

void ft_surroundings_fini(ft_surroundings *s) {
  ft_free(s->before);
  ft_free(s->after);
  *s = (ft_surroundings){0};
}

static ft_err append(uint32_t **ids, int64_t *count, uint32_t id) {
  ft_err err = ft_grow_one(FT_MEM_TOKENIZER, *count, sizeof **ids, (void **)ids);
  if (err == FT_OK) (*ids)[(*count)++] = id;
  return err;
}

static ft_err check_id(const cJSON *item, int64_t vocab_size, uint32_t *out) {
  int64_t id;
  if (!ft_json_i64(item, &id) || id < 0 || id >= vocab_size)
    return ft_fail(FT_ERR_DATA, "%s: an id that is not in the vocabulary of %lld", where,
                   (long long)vocab_size);
  *out = (uint32_t)id;
  return FT_OK;
}

/* The ids that a template's special token stands for, appended. */
static ft_err add_special(const cJSON *json, const char *name, int64_t vocab_size, uint32_t **ids,
                          int64_t *count) {
  ft_err err = FT_OK;
  cJSON *table, *entry, *list;
  FT_TRY(ft_member_object(json, where, "special_tokens", &table));
  FT_TRY(ft_member_optional_object(table, where, name, &entry));
  FT_CHECK(entry, FT_ERR_DATA, "%s: \"special_tokens\" lacks \"%s\"", where, name);
  FT_TRY(ft_member_array(entry, where, "ids", &list));
  for (const cJSON *item = list->child; item; item = item->next) {
    uint32_t id = 0;
    FT_TRY(check_id(item, vocab_size, &id));
    FT_TRY(append(ids, count, id));
  }
out:
  return err;
}

/* {"SpecialToken": {"id": …}} or {"Sequence": {"id": "A"}}, for one text. */
static ft_err load_template(const cJSON *json, int64_t vocab_size, ft_surroundings *out) {
  ft_err err = FT_OK;
  cJSON *pieces, *special, *sequence;
  bool behind = false;
  const char *name;
  FT_TRY(ft_member_array(json, where, "single", &pieces));
  for (const cJSON *item = pieces->child; item; item = item->next) {
    FT_TRY(ft_member_optional_object(item, where, "SpecialToken", &special));
    FT_TRY(ft_member_optional_object(item, where, "Sequence", &sequence));
    FT_CHECK((special != NULL) != (sequence != NULL), FT_ERR_DATA,
             "%s: \"single\" has a part that is neither a SpecialToken nor a Sequence", where);
    FT_TRY(ft_member_string(special ? special : sequence, where, "id", &name));
    if (special) {
      FT_TRY(add_special(json, name, vocab_size, behind ? &out->after : &out->before,
                         behind ? &out->num_after : &out->num_before));
      continue;
    }
    FT_CHECK(strcmp(name, "A") == 0 && !behind, FT_ERR_DATA,
             "%s: \"single\" does not hold the sequence A exactly once", where);
    behind = true;
  }
  FT_CHECK(behind, FT_ERR_DATA, "%s: \"single\" does not hold the sequence A exactly once", where);
out:
  return err;
}

/* "cls": ["<s>", 0], "sep": ["</s>", 2]. */
static ft_err load_pair(const cJSON *json, int64_t vocab_size, ft_surroundings *out) {
  ft_err err = FT_OK;
  static const char *const names[] = {"cls", "sep"};
  for (int i = 0; i < 2; i++) {
    cJSON *pair;
    uint32_t id = 0;
    FT_TRY(ft_member_array(json, where, names[i], &pair));
    FT_CHECK(pair->child && cJSON_IsString(pair->child) && pair->child->next, FT_ERR_DATA,
             "%s: \"%s\" is not [\"TOKEN\", ID]", where, names[i]);
    FT_TRY(check_id(pair->child->next, vocab_size, &id));
    FT_TRY(append(i == 0 ? &out->before : &out->after, i == 0 ? &out->num_before : &out->num_after,
                  id));
  }
out:
  return err;
}

static ft_err load_step(const cJSON *json, int64_t vocab_size, ft_surroundings *out) {
  ft_err err = FT_OK;
  const char *type;
  FT_TRY(ft_member_string(json, where, "type", &type));
  if (strcmp(type, "Sequence") == 0) {
    cJSON *list;
    FT_TRY(ft_member_array(json, where, "processors", &list));
    for (const cJSON *item = list->child; item; item = item->next)
      FT_TRY(load_step(item, vocab_size, out));
    goto out;
  }
  if (strcmp(type, "ByteLevel") == 0) goto out; /* moves offsets only */
  bool is_template = strcmp(type, "TemplateProcessing") == 0;
  bool is_pair = strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0;
  FT_CHECK(is_template || is_pair, FT_ERR_DATA,
           "%s: type %s is not supported; supported are Sequence, TemplateProcessing, ByteLevel, "
           "BertProcessing and RobertaProcessing",
           where, type);
  /* a second one would take what the first added for another text */
  FT_CHECK(out->num_before == 0 && out->num_after == 0, FT_ERR_DATA,
           "%s: a Sequence in which more than one step adds tokens is not supported", where);
  FT_TRY(is_template ? load_template(json, vocab_size, out) : load_pair(json, vocab_size, out));
out:
  return err;
}

ft_err ft_surroundings_load(const cJSON *json, int64_t vocab_size, ft_surroundings *out) {
  return json ? load_step(json, vocab_size, out) : FT_OK;
}
