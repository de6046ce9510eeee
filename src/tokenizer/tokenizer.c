/* Opening a tokenizer and looking at its tokens. */
#include "ft/io_kind.h"
#include "internal.h"

#include "byte_level.h"
#include "members.h"
#include "more_tokens.h"

enum { MAX_FILE_BYTES = 1 << 30 };

/* ---------------------------------------------------------------- opening */

/* Contents, and which are special, of all ids. */
static ft_err index_tokens(ft_tokenizer *t) {
  ft_err err = FT_OK;
  void *memory;
  t->vocab_size = t->model.vocabulary.num_ids;
  for (int64_t i = 0; i < t->added.count; i++)
    t->vocab_size = FT_MAX(t->vocab_size, (int64_t)t->added.tokens[i].id + 1);
  FT_CHECK(t->vocab_size > 0, FT_ERR_DATA, "\"vocab\" is empty");
  FT_TRY(ft_alloc_array(FT_MEM_TOKENIZER, t->vocab_size, sizeof *t->tokens, &memory));
  t->tokens = memory;
  FT_TRY(ft_alloc_array(FT_MEM_TOKENIZER, t->vocab_size, 1, &memory));
  t->special = memory;
  for (int64_t id = 0; id < t->model.vocabulary.num_ids; id++)
    t->tokens[id].content = t->tokens[id].decoded = t->model.vocabulary.contents[id];
  for (int64_t i = 0; i < t->added.count; i++) {
    const ft_added_token *added = &t->added.tokens[i];
    t->tokens[added->id] =
        (ft_token){.content = added->content, .decoded = added->pattern, .special = added->special};
    t->special[added->id] = added->special;
  }
  for (int64_t i = 0; i < t->added.count; i++) { /* as what it is decoded, it may be no token */
    ft_token *token = &t->tokens[t->added.tokens[i].id];
    int64_t same = ft_string_map_get(&t->added.by_content, token->decoded, strlen(token->decoded));
    token->skipped = same >= 0 && t->added.tokens[same].special;
  }
out:
  return err;
}

static ft_err load_steps(ft_tokenizer *t, const cJSON *json) {
  ft_err err = FT_OK;
  cJSON *normalizer, *pretokenizer, *decoder;
  FT_TRY(ft_member_optional_object(json, "the file", "normalizer", &normalizer));
  FT_TRY(ft_member_optional_object(json, "the file", "pre_tokenizer", &pretokenizer));
  FT_TRY(ft_member_optional_object(json, "the file", "decoder", &decoder));
  FT_TRY(ft_normalizer_load(normalizer, &t->normalizer));
  FT_TRY(ft_pretokenizer_load(pretokenizer, &t->pretokenizer));
  FT_TRY(ft_decoder_load(decoder, &t->decoder));
out:
  return err;
}

/* Files may keep settings of whoever saved them for batches of fixed length. */
static void warn_of_lengths(const cJSON *json, const char *path) {
  static const char *const names[] = {"truncation", "padding"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++) {
    const cJSON *item = ft_json_get(json, names[i]);
    if (item && !cJSON_IsNull(item))
      ft_log(FT_LOG_WARNING, "%s: \"%s\" is set, and not applied here", path, names[i]);
  }
}

static ft_err load(ft_tokenizer *t, const cJSON *json, const cJSON *more) {
  ft_err err = FT_OK;
  cJSON *model, *post, *added = NULL;
  const char *version;
  FT_TRY(ft_member_optional_string(json, "the file", "version", &version));
  FT_CHECK(!version || strcmp(version, "1.0") == 0, FT_ERR_DATA,
           "\"version\" is \"%s\", expected \"1.0\"", version);
  FT_TRY(ft_member_object(json, "the file", "model", &model));
  FT_TRY(ft_model_load(model, &t->model));
  FT_TRY(load_steps(t, json));
  const cJSON *list = ft_json_get(json, "added_tokens");
  if (list && !cJSON_IsNull(list))
    FT_TRY(ft_member_array(json, "the file", "added_tokens", &added));
  FT_TRY(ft_added_tokens_load(added, more, &t->model.vocabulary, t->normalizer, &t->added));
  if (t->model.bpe) FT_TRY(ft_bpe_check_merges(t->model.bpe, &t->added.by_content));
  FT_TRY(index_tokens(t));
  FT_TRY(ft_member_optional_object(json, "the file", "post_processor", &post));
  FT_TRY(ft_surroundings_load(post, t->vocab_size, &t->surroundings));
  t->takes_bytes =
      t->model.bpe && t->model.bpe->takes_bytes && ft_pretokenizer_ends_in_bytes(t->pretokenizer);
  if (t->model.bpe && ft_pretokenizer_is_empty(t->pretokenizer))
    ft_joints_init(t->model.bpe, &t->joints);
out:
  return err;
}

static ft_err pool_new(ft_workspace_pool **out) {
  void *memory;
  ft_err err = ft_alloc(FT_MEM_TOKENIZER, sizeof **out, &memory);
  if (err != FT_OK) return err;
  ft_workspace_pool *pool = memory;
  if (pthread_mutex_init(&pool->lock, NULL) != 0) {
    ft_free(pool);
    return ft_fail(FT_ERR_MEMORY, "no memory for a lock");
  }
  *out = pool;
  return FT_OK;
}

static void pool_free(ft_workspace_pool *pool) {
  if (!pool) return;
  for (ft_workspace *w = pool->free, *next; w; w = next) {
    next = w->next;
    ft_workspace_free(w);
  }
  pthread_mutex_destroy(&pool->lock);
  ft_free(pool);
}

/* The SHA-256 of tokenizer.json, and of the tokens that other files add, an "ID CONTENT" line each;
 * a token that they change has its properties behind that. */
static ft_err identify(ft_tokenizer *t, const char *text, size_t bytes) {
  ft_err err = FT_OK;
  ft_buffer all = {0};
  FT_TRY(ft_buffer_put(&all, text, bytes));
  for (int64_t i = 0; i < t->added.count; i++) {
    const ft_added_token *added = &t->added.tokens[i];
    char *line, properties[16] = "";
    if (i < t->added.num_listed && !added->changed) continue;
    if (added->changed)
      snprintf(properties, sizeof properties, " %d%d%d%d%d", added->single_word, added->lstrip,
               added->rstrip, added->normalized, added->special);
    FT_TRY(ft_format(&line, "%u %s%s\n", added->id, added->content, properties));
    err = ft_buffer_put(&all, line, strlen(line));
    ft_free(line);
    FT_TRY(err);
  }
  ft_sha256_hex(all.data, all.bytes, t->sha256);
out:
  ft_buffer_fini(&all);
  return err;
}

/* Why DIR/tokenizer.json is not there. */
static ft_err fail_without_file(const char *dir) {
  char *other = NULL;
  ft_err err = ft_kind_check(dir, FT_WANT_MODEL);
  if (err == FT_OK) err = ft_path_join(dir, "tokenizer.model", &other);
  if (err == FT_OK)
    err = ft_fail(FT_ERR_NOINPUT,
                  "%s has no tokenizer.json%s: in Python, AutoTokenizer.from_pretrained(DIR)"
                  ".save_pretrained(DIR) writes it, where transformers knows the tokenizer",
                  dir, ft_path_exists(other) ? ", and its tokenizer.model is not read" : "");
  ft_free(other);
  return err;
}

ft_err ft_tokenizer_open(const char *dir, ft_tokenizer **out) {
  ft_err err = FT_OK;
  char *path = NULL, *text = NULL;
  size_t bytes;
  cJSON *json = NULL, *more = NULL;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_path_join(dir, "tokenizer.json", &path));
  if (ft_path_exists(path))
    FT_TRY(ft_kind_check(path, FT_WANT_JSON));
  else
    FT_TRY(fail_without_file(dir));
  FT_TRY(ft_read_file(path, MAX_FILE_BYTES, &text, &bytes));
  FT_TRY(ft_json_parse(text, bytes, path, &json));
  FT_TRY(ft_more_tokens_read(dir, &more));
  FT_TRY(ft_alloc(FT_MEM_TOKENIZER, sizeof **out, &memory));
  ft_tokenizer *t = memory;
  FT_TRY(pool_new(&t->pool));
  err = load(t, json, more);
  if (err != FT_OK) {
    ft_fail_prefix(err, "%s", path);
    goto out;
  }
  FT_TRY(identify(t, text, bytes));
  warn_of_lengths(json, path);
  *out = t;
  memory = NULL;
out:
  ft_tokenizer_close(memory);
  cJSON_Delete(json);
  cJSON_Delete(more);
  ft_free(text);
  ft_free(path);
  return err;
}

void ft_tokenizer_close(ft_tokenizer *t) {
  if (!t) return;
  pool_free(t->pool); /* its workspaces know the other parts */
  ft_added_tokens_fini(&t->added);
  ft_surroundings_fini(&t->surroundings);
  ft_model_fini(&t->model);
  ft_normalizer_free(t->normalizer);
  ft_pretokenizer_free(t->pretokenizer);
  ft_decoder_free(t->decoder);
  ft_free(t->tokens);
  ft_free(t->special);
  ft_free(t);
}

/* ---------------------------------------------------------------- tokens */

int64_t ft_tokenizer_vocab_size(const ft_tokenizer *t) {
  return t->vocab_size;
}

const char *ft_tokenizer_sha256(const ft_tokenizer *t) {
  return t->sha256;
}

int64_t ft_tokenizer_id(const ft_tokenizer *t, const char *content) {
  size_t bytes = strlen(content);
  int64_t added = ft_string_map_get(&t->added.by_content, content, bytes);
  return added >= 0 ? t->added.tokens[added].id
                    : ft_vocabulary_id(&t->model.vocabulary, content, bytes);
}

static const ft_token *token_of(const ft_tokenizer *t, int64_t id) {
  static const ft_token none = {0};
  return id >= 0 && id < t->vocab_size ? &t->tokens[id] : &none;
}

const char *ft_tokenizer_token(const ft_tokenizer *t, int64_t id) {
  return token_of(t, id)->content;
}

bool ft_tokenizer_is_special(const ft_tokenizer *t, int64_t id) {
  return token_of(t, id)->special;
}

int64_t ft_tokenizer_num_added(const ft_tokenizer *t) {
  return t->added.count;
}

int64_t ft_tokenizer_added_id(const ft_tokenizer *t, int64_t i) {
  return t->added.tokens[i].id;
}

void ft_tokenizer_widen(const ft_tokenizer *t, uint32_t id, const char *text, size_t bytes,
                        size_t from, size_t *begin, size_t *end) {
  for (int64_t i = 0; t->added.any_strips && i < t->added.count; i++)
    if (t->added.tokens[i].id == id)
      ft_added_widen(&t->added.tokens[i], text, bytes, from, begin, end);
}

void ft_tokenizer_post_processor(const ft_tokenizer *t, const uint32_t **before,
                                 int64_t *num_before, const uint32_t **after, int64_t *num_after) {
  *before = t->surroundings.before;
  *num_before = t->surroundings.num_before;
  *after = t->surroundings.after;
  *num_after = t->surroundings.num_after;
}

/* ---------------------------------------------------------------- from ids to text */

ft_err ft_tokenizer_decode(const ft_tokenizer *t, const uint32_t *ids, int64_t count,
                           bool skip_special, char **text, size_t *bytes) {
  ft_err err = FT_OK;
  ft_string_list tokens = {0};
  ft_buffer out = {0};
  *text = NULL;
  *bytes = 0;
  for (int64_t i = 0; i < count; i++) {
    const ft_token *token = token_of(t, ids[i]);
    if (!token->content || (skip_special && token->skipped)) continue;
    FT_TRY(ft_string_list_add(&tokens, token->decoded, strlen(token->decoded)));
  }
  FT_TRY(ft_decoder_apply(t->decoder, &tokens, &out));
  FT_TRY(ft_buffer_put(&out, "", 1));
  *text = out.data;
  *bytes = out.bytes - 1;
  out = (ft_buffer){0};
out:
  ft_buffer_fini(&out);
  ft_string_list_fini(&tokens);
  return err;
}

size_t ft_tokenizer_piece(const ft_tokenizer *t, uint32_t id, bool first, char *out, size_t room) {
  const ft_token *token = token_of(t, id);
  ft_buffer text = {0};
  size_t length = 0, bytes = token->content ? strlen(token->decoded) : 0;
  /* the most frequent decoder needs no memory */
  if (bytes <= room && ft_decoder_is_bytes(t->decoder) &&
      ft_byte_level_decode(token->decoded, bytes, out, &length))
    return length;
  length = 0;
  if (token->content &&
      ft_decoder_piece(t->decoder, token->decoded, bytes, first, &text) == FT_OK) {
    length = FT_MIN(text.bytes, room);
    if (length > 0) memcpy(out, text.data, length);
  }
  ft_buffer_fini(&text);
  return length;
}
