/* WordPiece: reading the model, and cutting words. */
#include "wordpiece.h"

#include "ft/base_utf8.h"
#include "members.h"

ft_err ft_wordpiece_load(const cJSON *model, const ft_vocabulary *vocabulary, ft_wordpiece **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  const char *prefix, *unk_token;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_TOKENIZER, sizeof **out, &memory));
  ft_wordpiece *w = memory;
  w->vocabulary = vocabulary;
  FT_TRY(ft_member_string(model, "model", "unk_token", &unk_token));
  FT_TRY(ft_member_string(model, "model", "continuing_subword_prefix", &prefix));
  FT_TRY(
      ft_member_count(model, "model", "max_input_chars_per_word", INT32_MAX, &w->max_characters));
  FT_TRY(ft_strdup(unk_token, &w->unk_token));
  FT_TRY(ft_strdup(prefix, &w->prefix));
  w->unk_id = ft_vocabulary_id(vocabulary, unk_token, strlen(unk_token));
  for (int64_t i = 0; i < vocabulary->map.count; i++)
    w->max_token_bytes = FT_MAX(w->max_token_bytes, vocabulary->map.entries[i].bytes);
  *out = w;
  memory = NULL;
out:
  ft_wordpiece_free(memory);
  return err;
}

void ft_wordpiece_free(ft_wordpiece *w) {
  if (!w) return;
  ft_free(w->prefix);
  ft_free(w->unk_token);
  ft_free(w);
}

static ft_err put_unknown(const ft_wordpiece *w, ft_ids *out) {
  uint32_t id = (uint32_t)w->unk_id;
  if (w->unk_id < 0)
    return ft_fail(FT_ERR_DATA,
                   "the text has a word that no tokens make up, and \"unk_token\" \"%s\" is not in "
                   "\"vocab\"",
                   w->unk_token);
  return ft_ids_append(out, &id, 1, 0);
}

static size_t count_characters(const char *text, size_t bytes) {
  size_t count = 0;
  for (size_t i = 0; i < bytes; i += ft_utf8_length(text[i]))
    count++;
  return count;
}

/* Id of the longest token at the start of the text, or -1; *length is its part of the text. The
 * text stands in content behind the prefix, which counts where the word goes on. */
static int64_t longest(const ft_wordpiece *w, const char *content, size_t prefix, size_t bytes,
                       size_t *length) {
  size_t end = FT_MIN(bytes, w->max_token_bytes);
  while (end < bytes && end > 0 && ((unsigned char)content[prefix + end] & 0xC0) == 0x80)
    end--;
  for (; end > 0; end = ft_utf8_before(content + prefix, end)) {
    int64_t id = ft_vocabulary_id(w->vocabulary, content, prefix + end);
    *length = end;
    if (id >= 0) return id;
  }
  return -1;
}

ft_err ft_wordpiece_encode(const ft_wordpiece *w, ft_buffer *content, const char *word,
                           size_t bytes, ft_ids *out) {
  ft_err err = FT_OK;
  int64_t before = out->count;
  size_t prefix = strlen(w->prefix), length;
  if (count_characters(word, bytes) > (size_t)w->max_characters) return put_unknown(w, out);
  for (size_t at = 0; at < bytes; at += length) {
    content->bytes = 0;
    if (at > 0) FT_TRY(ft_buffer_put(content, w->prefix, prefix));
    FT_TRY(ft_buffer_put(content, word + at, bytes - at));
    int64_t id = longest(w, content->data, at > 0 ? prefix : 0, bytes - at, &length);
    if (id < 0) {
      out->count = before;
      FT_TRY(put_unknown(w, out));
      break;
    }
    uint32_t value = (uint32_t)id;
    FT_TRY(ft_ids_append(out, &value, 1, 0));
  }
out:
  return err;
}
