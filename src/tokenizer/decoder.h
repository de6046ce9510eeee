/* Inside tokenizer: the "decoder" of tokenizer.json, which turns tokens' contents back to text. */
#ifndef FT_TOKENIZER_DECODER_H
#define FT_TOKENIZER_DECODER_H

#include "normalizer.h"
#include "string_list.h"

typedef struct ft_decoder ft_decoder;

/* json NULL: contents are joined with spaces. Errors: FT_ERR_DATA, naming what is not supported. */
ft_err ft_decoder_load(const cJSON *json, ft_decoder **out);
void ft_decoder_free(ft_decoder *d);

/* Appends the text of the tokens to out; the list is used up. */
ft_err ft_decoder_apply(const ft_decoder *d, ft_string_list *tokens, ft_buffer *out);

/* Whether it turns a token into bytes by the byte alphabet, and does nothing else. */
bool ft_decoder_is_bytes(const ft_decoder *d);
/* Appends what one token alone adds: bytes that may be part of a character. first: nothing precedes
 * it. */
ft_err ft_decoder_piece(const ft_decoder *d, const char *content, size_t bytes, bool first,
                        ft_buffer *out);

#endif
