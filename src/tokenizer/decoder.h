/* Inside tokenizer: the "decoder" of tokenizer.json, which turns tokens' contents back to text. */
#ifndef FT_TOKENIZER_DECODER_H
#define FT_TOKENIZER_DECODER_H

#include "normalizer.h"

typedef struct ft_decoder ft_decoder;

/* json NULL: contents are joined with spaces. Errors: FT_ERR_DATA, naming what is not supported. */
ft_err ft_decoder_load(const cJSON *json, ft_decoder **out);
void ft_decoder_free(ft_decoder *d);

/* Strings one behind the other. Starts zeroed. */
typedef struct ft_string_list {
  ft_buffer text;
  size_t *ends; /* [count] where each string ends in text */
  int64_t count, capacity;
} ft_string_list;
void ft_string_list_fini(ft_string_list *list);
ft_err ft_string_list_add(ft_string_list *list, const char *text, size_t bytes);

/* Appends the text of the tokens to out; the list is used up. */
ft_err ft_decoder_apply(const ft_decoder *d, ft_string_list *tokens, ft_buffer *out);

/* Appends what one token alone adds: bytes that may be part of a character. first: nothing precedes
 * it. */
ft_err ft_decoder_piece(const ft_decoder *d, const char *content, size_t bytes, bool first,
                        ft_buffer *out);

#endif
