/* What a record asks, as one number: records of one prompt fall into one set. */
#include <string.h>

#include "normalise.h"
#include "record.h"

int64_t ft_ids_prompt_length(const ft_ids *ids) {
  int64_t count = 0;
  while (count < ids->count && !ids->mask[count])
    count++;
  return count;
}

uint64_t ft_ids_prompt_hash(const ft_ids *ids) {
  int64_t count = ft_ids_prompt_length(ids);
  /* of what is learnt as a whole, the first token never is a target */
  if (count <= 1 || count == ids->count) count = ids->count;
  return ft_hash64(ids->ids, (size_t)count * sizeof *ids->ids, 2);
}

ft_err ft_record_prompt_hash(const ft_record *record, ft_words *words, uint64_t *out) {
  ft_err err = FT_OK;
  ft_words_clear(words);
  *out = ft_ids_prompt_hash(&record->ids);
  if (record->form == FT_FORM_TOKENS) return FT_OK;
  if (record->text) FT_TRY(ft_words_add(words, record->text, strlen(record->text)));
  for (int64_t i = 0; i < record->num_messages && words->bytes == 0; i++) {
    const ft_message *m = &record->messages[i];
    /* without a user, whatever comes first */
    if (m->role == FT_SPEAKER_USER || i + 1 == record->num_messages) {
      FT_TRY(ft_words_add(words, m->content, strlen(m->content)));
      if (m->input) FT_TRY(ft_words_add(words, m->input, strlen(m->input)));
    }
  }
  /* what has no letter or digit counts as it stands */
  const char *plain = record->text               ? record->text
                      : record->num_messages > 0 ? record->messages[0].content
                                                 : "";
  *out = words->bytes > 0 ? ft_hash64(words->text, words->bytes, 0)
                          : ft_hash64(plain, strlen(plain), 1);
out:
  return err;
}
