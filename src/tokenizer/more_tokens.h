/* Inside tokenizer: added tokens that stand beside tokenizer.json in its directory. */
#ifndef FT_TOKENIZER_MORE_TOKENS_H
#define FT_TOKENIZER_MORE_TOKENS_H

#include "ft/io.h"

/* What tokenizer_config.json, special_tokens_map.json and added_tokens.json of DIR name, in the
 * order in which transformers adds those that tokenizer.json lacks: "added_tokens_decoder" by id
 * (without it added_tokens.json by id), then the named special tokens, then further ones.
 * Each is an object as in tokenizer.json's "added_tokens"; "id" is there where a file states it. A
 * "pad_token" is left out: nothing is padded here. *out is an array to be freed. Errors:
 * FT_ERR_DATA, FT_ERR_IO, FT_ERR_MEMORY. */
ft_err ft_more_tokens_read(const char *dir, cJSON **out);

#endif
