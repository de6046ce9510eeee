/* Prompts of generation. */
#include "ft/prep_prompts.h"

#include <string.h>

static void text_fini(ft_prompt_text *t) {
  ft_free(t->text);
  ft_ids_fini(&t->ids);
}

void ft_prompt_list_fini(ft_prompt_list *l) {
  for (int64_t i = 0; i < l->num; i++)
    text_fini(&l->items[i]);
  ft_free(l->items);
  *l = (ft_prompt_list){0};
}

/* What the post-processor adds in front, unless the prompt begins with it. */
static ft_err add_prefix(const ft_tokenizer *tokenizer, ft_ids *ids) {
  ft_err err = FT_OK;
  const uint32_t *before, *after;
  int64_t num_before, num_after;
  ft_ids whole = {0};
  ft_tokenizer_post_processor(tokenizer, &before, &num_before, &after, &num_after);
  if (num_before == 0 || (ids->count >= num_before &&
                          memcmp(ids->ids, before, (size_t)num_before * sizeof *before) == 0))
    return FT_OK;
  FT_TRY(ft_ids_append(&whole, before, num_before, 0));
  FT_TRY(ft_ids_append(&whole, ids->ids, ids->count, 0));
  ft_ids_fini(ids);
  *ids = whole;
  whole = (ft_ids){0};
out:
  ft_ids_fini(&whole);
  return err;
}

static ft_err encode(const ft_prompt_rules *r, const char *text, ft_ids *ids) {
  ft_err err = FT_OK;
  if (r->render)
    FT_TRY(ft_render_prompt(r->tokenizer, r->render, text, ids));
  else {
    FT_TRY(ft_encode_string(r->tokenizer, text, true, 0, ids));
    FT_TRY(add_prefix(r->tokenizer, ids));
  }
  FT_CHECK(ids->count > 0, FT_ERR_USAGE,
           "the prompt is empty, and this tokenizer adds no first token");
  FT_CHECK(ids->count <= r->max_tokens, FT_ERR_DATA,
           "the prompt has %lld tokens; %s allows %lld positions%s", (long long)ids->count,
           r->model_dir, (long long)r->max_tokens,
           r->has_virtual_rows ? " behind the adapter's" : "");
  for (int64_t i = 0; i < ids->count; i++)
    FT_CHECK(ids->ids[i] < r->vocab, FT_ERR_DATA,
             "token %u of %s/tokenizer.json is beyond the vocabulary of %s/config.json (%lld)",
             ids->ids[i], r->model_dir, r->model_dir, (long long)r->vocab);
out:
  return err;
}

ft_err ft_prompt_list_add(ft_prompt_list *l, const ft_prompt_rules *rules, const char *text,
                          uint64_t stream) {
  ft_err err = FT_OK;
  ft_prompt_text made = {.stream = stream};
  void *p = l->items;
  FT_TRY(ft_grow(FT_MEM_OTHER, l->num + 1, sizeof *l->items, &l->capacity, &p));
  l->items = p;
  FT_TRY(ft_strdup(text, &made.text));
  FT_TRY(encode(rules, text, &made.ids));
  l->items[l->num++] = made;
  made = (ft_prompt_text){0};
out:
  text_fini(&made);
  return err;
}

static ft_err add_record(ft_prompt_list *l, const ft_prompt_rules *rules, const char *line,
                         size_t bytes) {
  ft_err err = FT_OK;
  cJSON *record = NULL;
  FT_TRY(ft_line_parse(line, bytes, &record));
  const cJSON *prompt = ft_json_get(record, "prompt"), *stream = ft_json_get(record, "stream");
  FT_CHECK(
      cJSON_IsString(prompt), FT_ERR_DATA,
      "has no \"prompt\" that is a text: each line is {\"prompt\": TEXT}, or with \"stream\": N "
      "beside it");
  FT_CHECK(!stream || (cJSON_IsNumber(stream) && stream->valuedouble >= 0 &&
                       stream->valuedouble < 0x1p53 &&
                       stream->valuedouble == (double)(int64_t)stream->valuedouble),
           FT_ERR_DATA, "\"stream\" is not a whole number from 0 on");
  FT_TRY(ft_prompt_list_add(l, rules, prompt->valuestring,
                            stream ? (uint64_t)stream->valuedouble : 0));
out:
  cJSON_Delete(record);
  return err == FT_ERR_USAGE ? FT_ERR_DATA : err;
}

ft_err ft_prompt_list_read(ft_prompt_list *l, const ft_prompt_rules *rules, const char *path) {
  ft_err err = FT_OK;
  ft_lines *lines = NULL;
  FT_TRY(ft_lines_open(path, &lines));
  for (;;) {
    const char *text;
    size_t bytes;
    bool too_long;
    FT_TRY(ft_lines_next(lines, &text, &bytes, &too_long));
    if (!text) break;
    if (ft_line_is_blank(text, bytes) && !too_long) continue;
    err = too_long ? ft_fail(FT_ERR_DATA, "is longer than %d MiB", FT_LINE_MAX >> 20)
                   : add_record(l, rules, text, bytes);
    if (err != FT_OK) {
      ft_fail_prefix(err, "%s:%lld", ft_lines_path(lines), (long long)ft_lines_number(lines));
      goto out;
    }
  }
  FT_CHECK(l->num > 0, FT_ERR_DATA, "%s: has no prompt: each line is {\"prompt\": TEXT}", path);
out:
  ft_lines_close(lines);
  return err;
}
