/* text: from JSONL to token shards. Tokenizers (tokenizer.json, BPE), chat templates with loss
 * masks, cleaning and splitting. No MPI. Not collective, all of it. */
#ifndef FT_TEXT_H
#define FT_TEXT_H

#include "ft/io.h"

/* ---------------------------------------------------------------- tokenizer */

typedef struct ft_tokenizer ft_tokenizer;

/* A growing array of token ids and, where used, their loss mask. Starts zeroed. */
typedef struct ft_ids {
  uint32_t *ids; /* [count] */
  uint8_t *mask; /* [count] 1: a target */
  int64_t count, capacity;
} ft_ids;
/* Appends ids with one mask value. Errors: FT_ERR_MEMORY. */
ft_err ft_ids_append(ft_ids *ids, const uint32_t *values, int64_t count, uint8_t mask);
void ft_ids_fini(ft_ids *ids);

/* Reads DIR/tokenizer.json (and tokenizer_config.json if there). What is not supported is refused
 * by name. Errors: FT_ERR_NOINPUT, FT_ERR_DATA. The result is immutable: any number of threads may
 * use it. */
ft_err ft_tokenizer_open(const char *dir, ft_tokenizer **out);
void ft_tokenizer_close(ft_tokenizer *t);

/* Largest id + 1, added tokens included. */
int64_t ft_tokenizer_vocab_size(const ft_tokenizer *t);
/* SHA-256 of tokenizer.json. */
const char *ft_tokenizer_sha256(const ft_tokenizer *t);
/* Id of a token by its exact content ("<|im_end|>"), or -1. */
int64_t ft_tokenizer_id(const ft_tokenizer *t, const char *content);
/* Content of an id as it stands in tokenizer.json, or NULL. */
const char *ft_tokenizer_token(const ft_tokenizer *t, int64_t id);
bool ft_tokenizer_is_special(const ft_tokenizer *t, int64_t id);

/* Appends the ids of UTF-8 text exactly as Hugging Face's tokenizers with add_special_tokens=False.
 * specials: added tokens written in the text are recognised; otherwise special ones are ordinary
 * text (user content in a chat must not forge a turn). Invalid UTF-8 is refused, naming the byte
 * offset. mask: for all. */
ft_err ft_tokenizer_encode(const ft_tokenizer *t, const char *text, size_t bytes, bool specials,
                           uint8_t mask, ft_ids *out);
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

/* ---------------------------------------------------------------- records and templates */

typedef enum ft_template {
  FT_TEMPLATE_AUTO, /* by the tokenizer's special tokens */
  FT_TEMPLATE_CHATML,
  FT_TEMPLATE_LLAMA2,
  FT_TEMPLATE_LLAMA3,
  FT_TEMPLATE_ALPACA,
  FT_TEMPLATE_PLAIN
} ft_template;
/* "auto", "chatml", "llama2", "llama3", "alpaca", "plain". Errors: FT_ERR_USAGE listing them. */
ft_err ft_template_by_name(const char *name, ft_template *out);
const char *ft_template_name(ft_template t);
/* What AUTO stands for with this tokenizer. Errors: FT_ERR_DATA if a template's special tokens are
 * missing. */
ft_err ft_template_resolve(ft_template wanted, const ft_tokenizer *t, ft_template *out);

/* What a record may be turned to. bos -1 / eos -1: the model has none. */
typedef struct ft_render_options {
  ft_template template; /* resolved */
  int64_t bos, eos;     /* model's tokens around `text` documents */
} ft_render_options;

/* Turns one training record ({text}, alpaca, {messages}, {prompt, completion}) to ids and mask:
 * targets are the assistant's words and its end-of-turn token, everything of a text except its
 * first token. Content is tokenized with specials off. *is_text: it was a text record. Errors:
 * FT_ERR_DATA with the reason. */
ft_err ft_render_record(const ft_tokenizer *t, const ft_render_options *options,
                        const cJSON *record, ft_ids *out, bool *is_text);
/* One user message and the start of the assistant's turn: what `generate --chat` feeds. */
ft_err ft_render_prompt(const ft_tokenizer *t, const ft_render_options *options, const char *user,
                        ft_ids *out);
/* Id of the token that ends an assistant's turn in this template, or -1. */
int64_t ft_template_end_of_turn(const ft_tokenizer *t, const ft_render_options *options);

/* ---------------------------------------------------------------- prep */

typedef struct ft_prep_options {
  const char *model_dir;
  const char *const *inputs; /* JSONL files */
  int64_t num_inputs;
  const char *out_dir;
  ft_template template;
  int64_t seq_len;         /* 0: the model's longest position, at most 4096 */
  bool truncate;           /* sft documents longer than seq_len are cut instead of refused */
  bool skip_bad_lines;     /* otherwise any bad line refuses the whole run, after all were listed */
  double validation, test; /* shares of documents, by content hash */
  uint64_t seed;           /* salts the split */
  int64_t max_positions, model_vocab, bos, eos; /* of the model's config (cli reads it with hf) */
} ft_prep_options;

typedef struct ft_prep_report {
  int64_t lines, bad_lines, documents[3], tokens[3], targets[3]; /* train, validation, test */
  int64_t truncated, skipped_all_masked;
} ft_prep_report;

/* Cleans, tokenizes and splits; writes OUT/train, OUT/validation and OUT/test (folders of shards,
 * in place only when complete). Errors: FT_ERR_DATA, FT_ERR_NOINPUT, FT_ERR_CREATE, FT_ERR_IO. */
ft_err ft_prep(const ft_prep_options *options, ft_prep_report *report);

#endif
