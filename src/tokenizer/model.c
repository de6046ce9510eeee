/* The kinds of models. */
#include "model.h"

#include "members.h"

static ft_err load_bpe(const cJSON *json, ft_model *m) {
  return ft_bpe_load(json, &m->vocabulary, &m->bpe);
}

static ft_err load_wordpiece(const cJSON *json, ft_model *m) {
  return ft_wordpiece_load(json, &m->vocabulary, &m->wordpiece);
}

ft_err ft_model_load(const cJSON *json, ft_model *m) {
  static const struct {
    const char *name;
    ft_err (*load)(const cJSON *json, ft_model *m);
  } kinds[] = {{"BPE", load_bpe}, {"WordPiece", load_wordpiece}};
  ft_err err = FT_OK;
  const char *type;
  cJSON *vocab;
  FT_TRY(ft_member_optional_string(json, "model", "type", &type));
  if (!type) /* files of GPT-2's time do not say */
    type = ft_json_get(json, "merges") ? "BPE" : "none";
  size_t k = 0;
  while (k < FT_ARRAY_SIZE(kinds) && strcmp(type, kinds[k].name) != 0)
    k++;
  FT_CHECK(k < FT_ARRAY_SIZE(kinds), FT_ERR_DATA,
           "\"model\" is of type %s; supported are BPE (byte-level or with byte fallback) and "
           "WordPiece",
           type);
  FT_TRY(ft_member_object(json, "model", "vocab", &vocab));
  FT_TRY(ft_vocabulary_load(vocab, &m->vocabulary));
  FT_TRY(kinds[k].load(json, m));
out:
  return err;
}

void ft_model_fini(ft_model *m) {
  ft_bpe_free(m->bpe);
  ft_wordpiece_free(m->wordpiece);
  ft_vocabulary_fini(&m->vocabulary);
  *m = (ft_model){0};
}

void ft_model_scratch_fini(ft_model_scratch *s) {
  ft_bpe_scratch_fini(&s->bpe);
  ft_buffer_fini(&s->content);
}

const ft_string_map *ft_model_whole_words(const ft_model *m, bool is_bytes) {
  if (!m->bpe || !m->bpe->ignore_merges) return NULL;
  return is_bytes ? &m->bpe->byte_words : &m->vocabulary.map;
}

ft_err ft_model_encode(const ft_model *m, ft_model_scratch *s, const char *word, size_t bytes,
                       bool is_bytes, ft_ids *out) {
  return m->bpe ? ft_bpe_encode(m->bpe, &s->bpe, word, bytes, is_bytes, out)
                : ft_wordpiece_encode(m->wordpiece, &s->content, word, bytes, out);
}
