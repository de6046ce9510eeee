/* Writing a byte-level tokenizer without merges: what a model without a tokenizer of its own gets.
 * An id below 256 is that byte; special tokens follow. */
#include <string.h>

#include "byte_level.h"
#include "ft/tokenizer.h"
#include "unicode.h"

enum { NUM_BYTES = 256, MAX_VOCAB = 1 << 24 };

static const char *const special_names[] = {"<|bos|>", "<|eos|>", "<|pad|>", "<|im_start|>",
                                            "<|im_end|>"};
enum { NUM_NAMED = FT_ARRAY_SIZE(special_names) };

/* ChatML. A turn ends with <|im_end|>, which is therefore the tokenizer's end-of-sequence token. */
static const char chat_template[] =
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/* A file that is being put together: the first failure is kept, and is always lack of memory. */
typedef struct builder {
  bool failed;
} builder;

/* Adds item to an object, or to an array (name NULL); the item, or NULL. */
static cJSON *add(builder *b, cJSON *parent, const char *name, cJSON *item) {
  bool added = item && (name ? cJSON_AddItemToObject(parent, name, item)
                             : cJSON_AddItemToArray(parent, item));
  if (!added) {
    cJSON_Delete(item);
    b->failed = true;
    return NULL;
  }
  return item;
}

static void add_string(builder *b, cJSON *object, const char *name, const char *value) {
  add(b, object, name, cJSON_CreateString(value));
}

static void add_number(builder *b, cJSON *object, const char *name, int64_t value) {
  add(b, object, name, cJSON_CreateNumber((double)value));
}

static void add_bool(builder *b, cJSON *object, const char *name, bool value) {
  add(b, object, name, cJSON_CreateBool(value));
}

static void add_null(builder *b, cJSON *object, const char *name) {
  add(b, object, name, cJSON_CreateNull());
}

static void add_specials(builder *b, cJSON *root, int64_t vocab_size) {
  cJSON *list = add(b, root, "added_tokens", cJSON_CreateArray());
  for (int64_t id = NUM_BYTES; id < vocab_size && !b->failed; id++) {
    char name[48];
    if (id - NUM_BYTES < NUM_NAMED)
      snprintf(name, sizeof name, "%s", special_names[id - NUM_BYTES]);
    else
      snprintf(name, sizeof name, "<|reserved_%lld|>", (long long)(id - NUM_BYTES - NUM_NAMED));
    cJSON *token = add(b, list, NULL, cJSON_CreateObject());
    if (!token) break;
    add_number(b, token, "id", id);
    add_string(b, token, "content", name);
    add_bool(b, token, "single_word", false);
    add_bool(b, token, "lstrip", false);
    add_bool(b, token, "rstrip", false);
    add_bool(b, token, "normalized", false);
    add_bool(b, token, "special", true);
  }
}

static void add_byte_level(builder *b, cJSON *root, const char *name) {
  cJSON *step = add(b, root, name, cJSON_CreateObject());
  if (!step) return;
  add_string(b, step, "type", "ByteLevel");
  add_bool(b, step, "add_prefix_space", false);
  add_bool(b, step, "trim_offsets", false);
  add_bool(b, step, "use_regex", false);
}

/* {"SpecialToken" or "Sequence": {"id": ID, "type_id": TYPE}}, added to a template. */
static void add_part(builder *b, cJSON *list, const char *kind, const char *id, int type) {
  cJSON *part = add(b, list, NULL, cJSON_CreateObject());
  cJSON *inner = part ? add(b, part, kind, cJSON_CreateObject()) : NULL;
  if (!inner) return;
  add_string(b, inner, "id", id);
  add_number(b, inner, "type_id", type);
}

/* Text begins with <|bos|>, so that its first byte is predicted from something, too. */
static void add_post_processor(builder *b, cJSON *root) {
  cJSON *post = add(b, root, "post_processor", cJSON_CreateObject());
  if (!post) return;
  add_string(b, post, "type", "TemplateProcessing");
  cJSON *single = add(b, post, "single", cJSON_CreateArray());
  cJSON *pair = add(b, post, "pair", cJSON_CreateArray());
  cJSON *table = add(b, post, "special_tokens", cJSON_CreateObject());
  cJSON *entry = table ? add(b, table, special_names[0], cJSON_CreateObject()) : NULL;
  cJSON *ids = entry ? add(b, entry, "ids", cJSON_CreateArray()) : NULL;
  cJSON *tokens = entry ? add(b, entry, "tokens", cJSON_CreateArray()) : NULL;
  if (b->failed) return;
  add_part(b, single, "SpecialToken", special_names[0], 0);
  add_part(b, single, "Sequence", "A", 0);
  add_part(b, pair, "SpecialToken", special_names[0], 0);
  add_part(b, pair, "Sequence", "A", 0);
  add_part(b, pair, "Sequence", "B", 1);
  add_string(b, entry, "id", special_names[0]);
  add(b, ids, NULL, cJSON_CreateNumber(NUM_BYTES));
  add(b, tokens, NULL, cJSON_CreateString(special_names[0]));
}

static void add_model(builder *b, cJSON *root) {
  cJSON *model = add(b, root, "model", cJSON_CreateObject());
  if (!model) return;
  add_string(b, model, "type", "BPE");
  add_null(b, model, "dropout");
  add_null(b, model, "unk_token");
  add_null(b, model, "continuing_subword_prefix");
  add_null(b, model, "end_of_word_suffix");
  add_bool(b, model, "fuse_unk", false);
  add_bool(b, model, "byte_fallback", false);
  add_bool(b, model, "ignore_merges", false);
  cJSON *vocab = add(b, model, "vocab", cJSON_CreateObject());
  for (int byte = 0; byte < NUM_BYTES && vocab && !b->failed; byte++) {
    char character[8] = "";
    ft_utf8_encode(ft_byte_level_code((uint8_t)byte), character);
    add_number(b, vocab, character, byte);
  }
  add(b, model, "merges", cJSON_CreateArray());
}

static ft_err write_tokenizer(const char *dir, int64_t vocab_size) {
  ft_err err = FT_OK;
  builder b = {0};
  char *path = NULL;
  cJSON *root = cJSON_CreateObject();
  FT_CHECK(root, FT_ERR_MEMORY, "no memory for tokenizer.json");
  add_string(&b, root, "version", "1.0");
  add_null(&b, root, "truncation");
  add_null(&b, root, "padding");
  add_specials(&b, root, vocab_size);
  add_null(&b, root, "normalizer");
  add_byte_level(&b, root, "pre_tokenizer");
  add_post_processor(&b, root);
  add_byte_level(&b, root, "decoder");
  add_model(&b, root);
  FT_CHECK(!b.failed, FT_ERR_MEMORY, "no memory for tokenizer.json");
  FT_TRY(ft_path_join(dir, "tokenizer.json", &path));
  FT_TRY(ft_json_write(path, root));
out:
  ft_free(path);
  cJSON_Delete(root);
  return err;
}

static ft_err write_config(const char *dir) {
  ft_err err = FT_OK;
  builder b = {0};
  char *path = NULL;
  cJSON *root = cJSON_CreateObject();
  FT_CHECK(root, FT_ERR_MEMORY, "no memory for tokenizer_config.json");
  add_bool(&b, root, "add_prefix_space", false);
  add_string(&b, root, "bos_token", "<|bos|>");
  add_string(&b, root, "eos_token", "<|im_end|>");
  add_string(&b, root, "pad_token", "<|pad|>");
  add_string(&b, root, "chat_template", chat_template);
  add_bool(&b, root, "clean_up_tokenization_spaces", false);
  add_string(&b, root, "tokenizer_class", "PreTrainedTokenizerFast");
  FT_CHECK(!b.failed, FT_ERR_MEMORY, "no memory for tokenizer_config.json");
  FT_TRY(ft_path_join(dir, "tokenizer_config.json", &path));
  FT_TRY(ft_json_write(path, root));
out:
  ft_free(path);
  cJSON_Delete(root);
  return err;
}

ft_err ft_tokenizer_check_bytes(int64_t vocab_size) {
  if (vocab_size >= NUM_BYTES + NUM_NAMED && vocab_size <= MAX_VOCAB) return FT_OK;
  return ft_fail(FT_ERR_DATA,
                 "a byte-level tokenizer for a vocabulary of %lld: expected %d (256 bytes and 5 "
                 "special tokens) to %d",
                 (long long)vocab_size, NUM_BYTES + NUM_NAMED, MAX_VOCAB);
}

ft_err ft_tokenizer_write_bytes(const char *dir, int64_t vocab_size) {
  ft_err err = FT_OK;
  FT_TRY(ft_tokenizer_check_bytes(vocab_size));
  FT_TRY(write_tokenizer(dir, vocab_size));
  FT_TRY(write_config(dir));
out:
  return err;
}
