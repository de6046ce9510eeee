/* hf: Hugging Face model directories. config.json to ft_arch and back, tensor names to blocks,
 * sharded import and export. A Hugging Face tensor name appears in this module only. */
#ifndef FT_HF_H
#define FT_HF_H

#include "ft/io.h"
#include "ft/shard.h"

typedef struct ft_hf_config {
  ft_arch arch;
  ft_layout *layout;   /* of arch, everything trained unless ft_hf_freeze was called; owned */
  char model_type[32]; /* "llama", "mistral" …; of a composite directory its text part's */
  struct ft_hf_naming *naming; /* how the directory names its tensors; owned */
  ft_dtype dtype;      /* dtype or torch_dtype of config.json; else of the weights; else FT_BF16 */
  int64_t bos_token;   /* -1: none */
  int64_t *eos_tokens; /* [num_eos_tokens] of config.json, then generation_config.json; owned */
  int64_t num_eos_tokens;
  char *remarks; /* what is odd but changes nothing that is computed: NULL or a sentence; owned */
  cJSON *json;   /* config.json whole; owned */
} ft_hf_config;

/* Reads DIR/config.json in both forms (keys of transformers 4 and 5). What is not supported is
 * refused by name (model_type, rope type, activation, quantization, layer types …) with the list of
 * what is. Where the directory has weights, they have the last word, as in transformers: their type
 * is the dtype that config.json does not name, and a lm_head.weight that differs from the embedding
 * makes two matrices of what config.json calls tied. Not collective. Errors: FT_ERR_NOINPUT,
 * FT_ERR_DATA, FT_ERR_IO. */
ft_err ft_hf_config_read(const char *dir, ft_hf_config *out);
void ft_hf_config_fini(ft_hf_config *config);
/* The first token that ends a text; -1: there is none. */
int64_t ft_hf_eos(const ft_hf_config *config);
/* Whether it is one of them. */
bool ft_hf_ends_text(const ft_hf_config *config, int64_t token);
/* As above from a config.json path alone (for `init`). */
ft_err ft_hf_config_read_file(const char *path, ft_hf_config *out);

/* "model.layers.3.self_attn.q_proj.weight": the tensor of the files that a block's tensor is, or is
 * a part of. Returns characters written, as snprintf. */
int ft_hf_tensor_name(const ft_hf_config *config, const ft_block *block, ft_role role, char *out,
                      size_t size);

/* Makes config->layout again, with the tensors frozen whose names (ft_hf_tensor_name) match one of
 * the shell patterns. Not collective. Errors: FT_ERR_CONFIG for a pattern that matches nothing, or
 * if nothing is left to train; FT_ERR_MEMORY. */
ft_err ft_hf_freeze(ft_hf_config *config, const char *const *patterns, int64_t num_patterns);

/* Turns a decoder with a head of tokens into one whose head gives a score: config->arch, layout and
 * json are those of a …ForSequenceClassification directory with one label, whose "score.weight" no
 * file has: ft_hf_import fills it with random numbers of the seed, as ft_hf_random_source has them.
 * Before anything else is done to the layout. Not collective. Errors: FT_ERR_CONFIG, FT_ERR_MEMORY.
 */
ft_err ft_hf_add_score(ft_hf_config *config, uint64_t seed);

/* Checks that DIR's safetensors hold every tensor with its shape and a supported dtype; lists all
 * that are missing or wrong in one message with the expected shape. Tensors that are not part of
 * the model are refused too, but for those known to take no part in what is computed
 * (docs/models.md lists them), which are named in a warning, as is what else is odd about the
 * directory. Not collective. Errors: FT_ERR_NOINPUT, FT_ERR_DATA, FT_ERR_IO. */
ft_err ft_hf_check_weights(const char *dir, const ft_hf_config *config);

/* Fills this shard's owned (stage 0: kept) weights from DIR, whose config this is, every rank
 * reading its own slices. Collective over all ranks; errors are agreed. Ends with
 * ft_shard_weights_changed. */
ft_err ft_hf_import(const char *dir, const ft_hf_config *config, ft_shard *shard, ft_comm *comm);

/* Where an export's elements come from: fills out[count] (f32) with elements start… of a block's
 * flat array. */
typedef struct ft_hf_source {
  ft_err (*read)(void *arg, int64_t block, int64_t start, int64_t count, float *out);
  void *arg;
} ft_hf_source;

/* Writes model directory OUT: config.json of MODEL_DIR (every field kept; dtype fields set),
 * tokenizer and generation files copied, weights streamed in bounded memory to model.safetensors
 * or, above max_shard_bytes (0: 5e9), to shards and an index. A tied head is left out; what is
 * frozen is copied from MODEL_DIR. Not
 * collective: one rank writes. */
ft_err ft_hf_export(const char *model_dir, const ft_hf_config *config, const ft_hf_source *source,
                    ft_dtype dtype, int64_t max_shard_bytes, const char *out_dir);

/* What a model was trained to chat with. */
typedef struct ft_hf_chat {
  const char *template; /* in Jinja; NULL: the directory's own */
  const uint32_t *ends; /* [num_ends] ids that end an answer */
  int64_t num_ends;
} ft_hf_chat;
typedef struct ft_hf_chat_report {
  bool added_ends;     /* to eos_token_id of generation_config.json, which lacked some */
  bool added_template; /* as chat_template.jinja */
  bool had_template;   /* of its own, which stays */
} ft_hf_chat_report;
/* Adds what an export's directory lacks of it: to eos_token_id of generation_config.json, and
 * chat_template.jinja where there is no template. Not collective. Errors: FT_ERR_DATA, FT_ERR_IO,
 * FT_ERR_CREATE. */
ft_err ft_hf_add_chat(const char *dir, const ft_hf_chat *chat, ft_hf_chat_report *report);

/* Writes DIR/ftrun.sha256: the SHA-256 of every file but the weights, which carry checksums of
 * their own. An export has it; who adds files to one calls this again. Not collective. Errors: as
 * ft_read_file and ft_write_file. */
ft_err ft_hf_write_sums(const char *dir);
/* Compares the files that DIR/ftrun.sha256 lists with it. *num_files: how many; -1: there is no
 * such list, as in a directory of another program. Errors: FT_ERR_DATA naming the file, FT_ERR_IO.
 */
ft_err ft_hf_verify_sums(const char *dir, int64_t *num_files);
/* The same for who is about to use the directory: a listed file that is missing is no mistake here,
 * whoever needs it says so. */
ft_err ft_hf_check_sums(const char *dir);

/* `init`: source of random weights: normal, std = initializer_range (0.02; residual projections
 * like Hugging Face: the same), norms 1, biases 0; a function of (seed, tensor, element) only. */
ft_err ft_hf_random_source(const ft_hf_config *config, uint64_t seed, ft_hf_source *out);
void ft_hf_random_source_free(ft_hf_source *source);

/* A digest of all .safetensors files of a directory: names, sizes, and some pages of each. Copies
 * of the same revision have the same one; others have another, unless they differ in few tensors
 * only. Not collective. Errors: FT_ERR_NOINPUT, FT_ERR_IO. */
ft_err ft_hf_weights_digest(const char *dir, uint64_t *digest);
/* The same of names, sizes and times: what is equal here is one directory that all hosts see, or
 * was copied with its times, and need not be read. Not collective. Errors: FT_ERR_NOINPUT. */
ft_err ft_hf_weights_stamp(const char *dir, uint64_t *stamp);
/* The part `part` of `parts` of a digest of every byte: the sum of all parts, modulo 2^64, is it.
 * Not collective. Errors: FT_ERR_NOINPUT, FT_ERR_IO, FT_ERR_MEMORY. */
ft_err ft_hf_weights_content(const char *dir, int part, int parts, uint64_t *digest);

#endif
