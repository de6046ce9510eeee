/* tokenizer: Hugging Face's tokenizer.json, from text to ids and back, exactly as their library
 * does it. No MPI. Not collective, all of it. */
#ifndef FT_TOKENIZER_H
#define FT_TOKENIZER_H

#include "ft/io.h"

/* The module's libraries with their versions. */
const char *ft_tokenizer_libraries(void);

typedef struct ft_tokenizer ft_tokenizer;

/* A growing array of token ids and, where used, their loss mask. Starts zeroed. */
typedef struct ft_ids {
  uint32_t *ids; /* [count] */
  uint8_t *mask; /* [count] 1: a target */
  int64_t count, capacity;
} ft_ids;
/* Makes room for `more`. Errors: FT_ERR_MEMORY. */
ft_err ft_ids_reserve(ft_ids *ids, int64_t more);
/* Appends ids with one mask value. Errors: FT_ERR_MEMORY. */
ft_err ft_ids_append(ft_ids *ids, const uint32_t *values, int64_t count, uint8_t mask);
void ft_ids_fini(ft_ids *ids);

/* Reads DIR/tokenizer.json, and the added tokens that DIR/tokenizer_config.json (or the older
 * special_tokens_map.json and added_tokens.json) has beside them. What is not supported is refused
 * by name. Errors: FT_ERR_NOINPUT, FT_ERR_DATA. Any number of threads may use the result at once.
 */
ft_err ft_tokenizer_open(const char *dir, ft_tokenizer **out);
void ft_tokenizer_close(ft_tokenizer *t);

/* Largest id + 1, added tokens included. */
int64_t ft_tokenizer_vocab_size(const ft_tokenizer *t);
/* SHA-256 of tokenizer.json; if other files add tokens, of it and of a line "ID CONTENT" for each.
 */
const char *ft_tokenizer_sha256(const ft_tokenizer *t);
/* Id of a token by its exact content ("<|im_end|>"), or -1. */
int64_t ft_tokenizer_id(const ft_tokenizer *t, const char *content);
/* Content of an id as it stands in tokenizer.json, or NULL. */
const char *ft_tokenizer_token(const ft_tokenizer *t, int64_t id);
bool ft_tokenizer_is_special(const ft_tokenizer *t, int64_t id);
/* The added tokens, special or not: how many, and the id of number i. */
int64_t ft_tokenizer_num_added(const ft_tokenizer *t);
int64_t ft_tokenizer_added_id(const ft_tokenizer *t, int64_t i);
/* An added token is written at [*begin, *end) of text: widens that by the white space which the
 * token swallows (lstrip, rstrip), on the left not beyond `from`. */
void ft_tokenizer_widen(const ft_tokenizer *t, uint32_t id, const char *text, size_t bytes,
                        size_t from, size_t *begin, size_t *end);

/* Appends the ids of UTF-8 text exactly as Hugging Face's tokenizers with add_special_tokens=False.
 * specials: added tokens written in the text are recognised; otherwise special ones are ordinary
 * text (user content in a chat must not forge a turn). Text may hold zeros; invalid UTF-8 is
 * refused, naming the byte offset. mask: for all. On failure nothing is appended. */
ft_err ft_tokenizer_encode(const ft_tokenizer *t, const char *text, size_t bytes, bool specials,
                           uint8_t mask, ft_ids *out);
/* As ft_tokenizer_encode. behind: the text is a part of a longer one, and a control token stands
 * before it, so what the tokenizer does at the start of a text only is not done. */
ft_err ft_tokenizer_encode_part(const ft_tokenizer *t, const char *text, size_t bytes,
                                bool specials, bool behind, uint8_t mask, ft_ids *out);
/* What the post-processor puts before and after a single sequence (BOS …). Borrowed. */
void ft_tokenizer_post_processor(const ft_tokenizer *t, const uint32_t **before,
                                 int64_t *num_before, const uint32_t **after, int64_t *num_after);
/* The text of ids, by the tokenizer's decoder; free with ft_free. skip_special leaves special
 * tokens out. */
ft_err ft_tokenizer_decode(const ft_tokenizer *t, const uint32_t *ids, int64_t count,
                           bool skip_special, char **text, size_t *bytes);
/* The bytes one id adds when printed in a stream (byte-level and byte-fallback pieces are raw
 * bytes, which may be part of a character). `first`: nothing precedes it (a leading space mark is
 * dropped where the decoder says so). Borrowed from scratch of 64 + token length: at most `room`
 * bytes; returns the length. */
size_t ft_tokenizer_piece(const ft_tokenizer *t, uint32_t id, bool first, char *out, size_t room);

/* A byte-level tokenizer without merges: 256 bytes, then special tokens <|bos|> <|eos|> <|pad|>
 * <|im_start|> <|im_end|> and reserved ones up to `vocab_size` ids (at least 261). Writes
 * tokenizer.json, tokenizer_config.json into DIR. Errors: FT_ERR_DATA if vocab_size is too small,
 * FT_ERR_CREATE. */
ft_err ft_tokenizer_write_bytes(const char *dir, int64_t vocab_size);
/* Whether there is such a tokenizer of that size. Errors: FT_ERR_DATA. */
ft_err ft_tokenizer_check_bytes(int64_t vocab_size);

#endif
