/* Reading the BPE model of tokenizer.json into tables. */
#include "bpe.h"

#include <stdlib.h>
#include <string.h>

#include "byte_level.h"
#include "members.h"

/* ---------------------------------------------------------------- merges */

/* The two sides of a merge, as strings or as one string with a space between; buffer keeps the
 * latter. */
static ft_err sides(const cJSON *item, int64_t rank, ft_buffer *buffer, const char **left,
                    const char **right) {
  ft_err err = FT_OK;
  if (cJSON_IsArray(item)) {
    const cJSON *first = item->child, *second = first ? first->next : NULL;
    FT_CHECK(second && !second->next && cJSON_IsString(first) && cJSON_IsString(second),
             FT_ERR_DATA, "\"merges\": number %lld is not a pair of strings", (long long)rank);
    *left = first->valuestring;
    *right = second->valuestring;
  } else {
    const char *text = cJSON_IsString(item) ? item->valuestring : "";
    const char *space = strchr(text, ' ');
    FT_CHECK(space && !strchr(space + 1, ' '), FT_ERR_DATA,
             "\"merges\": number %lld is not \"LEFT RIGHT\"", (long long)rank);
    buffer->bytes = 0;
    FT_TRY(ft_buffer_put(buffer, text, strlen(text) + 1));
    buffer->data[space - text] = 0;
    *left = buffer->data;
    *right = buffer->data + (space - text) + 1;
  }
out:
  return err;
}

static void put_merge(ft_bpe *bpe, uint32_t left, uint32_t right, uint32_t rank, uint32_t id) {
  uint64_t key = ((uint64_t)left << 32 | right) + 1;
  uint64_t i = key * 0x9E3779B97F4A7C15u >> bpe->merge_shift;
  while (bpe->merges[i].key && bpe->merges[i].key != key) /* of equal pairs the last one counts */
    i = (i + 1) & (bpe->merge_slots - 1);
  bpe->merges[i] = (ft_bpe_merge){.key = key, .rank = rank, .id = id};
}

static ft_err missing(const char *token, int64_t rank) {
  return ft_fail(FT_ERR_DATA, "\"merges\": number %lld has \"%s\", which is not in \"vocab\"",
                 (long long)rank, token);
}

/* A token of byte fallback by its form. */
static bool is_byte_token(const char *content) {
  return strlen(content) == 6 && memcmp(content, "<0x", 3) == 0 && content[5] == '>';
}

/* Adds one merge; buffer holds what it makes. Memory is asked for all three tokens before the first
 * is looked up. */
static ft_err add_merge(ft_bpe *bpe, const char *left, const char *right, int64_t rank,
                        ft_buffer *made) {
  ft_err err = FT_OK;
  const ft_string_map *map = &bpe->vocabulary->map;
  size_t left_bytes = strlen(left), right_bytes = strlen(right);
  size_t prefix_bytes = bpe->prefix ? strlen(bpe->prefix) : 0;
  size_t cut = FT_MIN(prefix_bytes, right_bytes);
  made->bytes = 0;
  FT_TRY(ft_buffer_put(made, left, left_bytes));
  FT_TRY(ft_buffer_put(made, right + cut, right_bytes - cut));
  FT_TRY(ft_buffer_put(made, "", 1));
  uint64_t left_hash = ft_string_map_look_ahead(map, left, left_bytes);
  uint64_t right_hash = ft_string_map_look_ahead(map, right, right_bytes);
  uint64_t hash = ft_string_map_look_ahead(map, made->data, made->bytes - 1);
  int64_t left_id = ft_string_map_get_hashed(map, left, left_bytes, left_hash);
  int64_t right_id = ft_string_map_get_hashed(map, right, right_bytes, right_hash);
  int64_t id = ft_string_map_get_hashed(map, made->data, made->bytes - 1, hash);
  if (left_id < 0) FT_TRY(missing(left, rank));
  if (right_id < 0 || right_bytes < prefix_bytes) FT_TRY(missing(right, rank));
  if (id < 0) FT_TRY(missing(made->data, rank));
  bpe->byte_merges = bpe->byte_merges || is_byte_token(left) || is_byte_token(right);
  put_merge(bpe, (uint32_t)left_id, (uint32_t)right_id, (uint32_t)rank, (uint32_t)id);
out:
  return err;
}

static ft_err load_merges(ft_bpe *bpe, const cJSON *model) {
  ft_err err = FT_OK;
  cJSON *list;
  ft_buffer split = {0}, made = {0};
  void *slots;
  FT_TRY(ft_member_array(model, "model", "merges", &list));
  int64_t count = 0;
  for (const cJSON *item = list->child; item; item = item->next)
    count++;
  FT_CHECK(count < FT_BPE_MAX_MERGES, FT_ERR_DATA,
           "\"merges\" has %lld entries, fewer than %d can be", (long long)count,
           FT_BPE_MAX_MERGES);
  bpe->merge_slots = 16;
  bpe->merge_shift = 60;
  for (; bpe->merge_slots < 2 * (uint64_t)count; bpe->merge_shift--)
    bpe->merge_slots *= 2;
  FT_TRY(ft_alloc_array(FT_MEM_TOKENIZER, (int64_t)bpe->merge_slots, sizeof *bpe->merges, &slots));
  bpe->merges = slots;
  for (const cJSON *item = list->child; item; item = item->next) {
    const char *left = "", *right = "";
    /* a heading that old files keep from merges.txt */
    if (cJSON_IsString(item) && strncmp(item->valuestring, "#version", 8) == 0) continue;
    FT_TRY(sides(item, bpe->num_merges, &split, &left, &right));
    FT_TRY(add_merge(bpe, left, right, bpe->num_merges, &made));
    bpe->num_merges++;
  }
out:
  ft_buffer_fini(&split);
  ft_buffer_fini(&made);
  return err;
}

ft_err ft_bpe_check_merges(const ft_bpe *bpe, const ft_string_map *added) {
  if (bpe->num_merges > 0) return FT_OK;
  for (int64_t i = 0; i < bpe->vocabulary->map.count; i++) {
    const ft_string_entry *e = &bpe->vocabulary->map.entries[i];
    bool is_byte = false;
    for (int byte = 0; bpe->byte_fallback && byte < 256; byte++)
      is_byte = is_byte || bpe->byte_tokens[byte] == e->value;
    bool is_unknown = bpe->unk_id >= 0 && (uint32_t)bpe->unk_id == e->value;
    if (e->bytes == 0 || e->bytes == ft_utf8_length(e->text[0]) || is_byte || is_unknown) continue;
    if (bpe->prefix || bpe->suffix || ft_string_map_get(added, e->text, e->bytes) >= 0) continue;
    return ft_fail(FT_ERR_DATA,
                   "\"merges\" is empty, but \"vocab\" has tokens of more than one character "
                   "(\"%s\"): the merges were lost when the file was converted; convert it again",
                   e->text);
  }
  return FT_OK;
}

/* ---------------------------------------------------------------- tables made of the vocabulary */

static ft_err index_characters(ft_bpe *bpe) {
  for (int64_t i = 0; i < bpe->vocabulary->map.count; i++) {
    const ft_string_entry *e = &bpe->vocabulary->map.entries[i];
    if (e->bytes == 0 || e->bytes != ft_utf8_length(e->text[0])) continue;
    size_t length;
    uint32_t code = ft_utf8_decode(e->text, &length), **page = &bpe->pages[code >> 8];
    if (!*page) {
      void *memory;
      ft_err err = ft_alloc(FT_MEM_TOKENIZER, 256 * sizeof **page, &memory);
      if (err != FT_OK) return err;
      *page = memory;
      memset(*page, 0xFF, 256 * sizeof **page);
    }
    (*page)[code & 255] = e->value;
  }
  return FT_OK;
}

static void index_bytes(ft_bpe *bpe) {
  bpe->takes_bytes = !bpe->prefix && !bpe->suffix;
  for (int byte = 0; byte < 256; byte++) {
    char content[8];
    snprintf(content, sizeof content, "<0x%02X>", (unsigned)byte);
    bpe->byte_tokens[byte] = ft_vocabulary_id(bpe->vocabulary, content, 6);
    size_t length = ft_utf8_encode(ft_byte_level_code((uint8_t)byte), content);
    int64_t id = ft_vocabulary_id(bpe->vocabulary, content, length);
    bool occurs = byte < 0xC0 || (byte > 0xC1 && byte < 0xF5); /* in UTF-8 */
    if (id < 0 && occurs) bpe->takes_bytes = false;
    bpe->byte_ids[byte] = id < 0 ? FT_BPE_NO_ID : (uint32_t)id;
  }
}

static ft_err index_byte_pairs(ft_bpe *bpe) {
  void *memory;
  ft_err err = ft_alloc_array(FT_MEM_TOKENIZER, 1 << 16, sizeof *bpe->byte_pairs, &memory);
  if (err != FT_OK) return err;
  bpe->byte_pairs = memory;
  for (uint32_t i = 0; i < 1 << 16; i++) {
    const ft_bpe_merge *m = ft_bpe_find(bpe, bpe->byte_ids[i >> 8], bpe->byte_ids[i & 255]);
    bpe->byte_pairs[i] = (struct ft_bpe_byte_pair){m ? m->rank : 0, m ? m->id : FT_BPE_NO_ID};
  }
  return FT_OK;
}

/* Whole words by their bytes, for a byte-level model that looks them up first. */
static ft_err index_words(ft_bpe *bpe) {
  ft_err err = FT_OK;
  void *memory;
  size_t bytes = 0;
  for (int64_t i = 0; i < bpe->vocabulary->map.count; i++)
    bytes += bpe->vocabulary->map.entries[i].bytes;
  FT_TRY(ft_alloc(FT_MEM_TOKENIZER, bytes, &memory));
  bpe->byte_arena = memory;
  FT_TRY(ft_string_map_init(&bpe->byte_words, bpe->vocabulary->map.count));
  char *at = bpe->byte_arena;
  for (int64_t i = 0; i < bpe->vocabulary->map.count; i++) {
    const ft_string_entry *e = &bpe->vocabulary->map.entries[i];
    size_t length;
    if (!ft_byte_level_decode(e->text, e->bytes, at, &length)) continue;
    ft_string_map_add(&bpe->byte_words, at, length, e->value);
    at += length;
  }
out:
  return err;
}

/* ---------------------------------------------------------------- the model */

static ft_err load_options(ft_bpe *bpe, const cJSON *model) {
  ft_err err = FT_OK;
  const char *prefix, *suffix, *unk_token;
  const cJSON *dropout = ft_json_get(model, "dropout");
  bool drops = dropout && !cJSON_IsNull(dropout);
  FT_CHECK(!drops || (cJSON_IsNumber(dropout) && dropout->valuedouble == 0), FT_ERR_DATA,
           "\"model\" has a \"dropout\", which makes tokens random; set it to null");
  FT_TRY(ft_member_optional_string(model, "model", "continuing_subword_prefix", &prefix));
  FT_TRY(ft_member_optional_string(model, "model", "end_of_word_suffix", &suffix));
  FT_TRY(ft_member_optional_string(model, "model", "unk_token", &unk_token));
  if (prefix && *prefix) FT_TRY(ft_strdup(prefix, &bpe->prefix));
  if (suffix && *suffix) FT_TRY(ft_strdup(suffix, &bpe->suffix));
  if (unk_token) FT_TRY(ft_strdup(unk_token, &bpe->unk_token));
  FT_TRY(ft_member_optional_bool(model, "model", "fuse_unk", false, &bpe->fuse_unk));
  FT_TRY(ft_member_optional_bool(model, "model", "byte_fallback", false, &bpe->byte_fallback));
  FT_TRY(ft_member_optional_bool(model, "model", "ignore_merges", false, &bpe->ignore_merges));
out:
  return err;
}

ft_err ft_bpe_load(const cJSON *model, const ft_vocabulary *vocabulary, ft_bpe **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_TOKENIZER, sizeof **out, &memory));
  ft_bpe *bpe = memory;
  bpe->vocabulary = vocabulary;
  FT_TRY(load_options(bpe, model));
  FT_TRY(load_merges(bpe, model));
  bpe->unk_id = bpe->unk_token
                    ? ft_vocabulary_id(bpe->vocabulary, bpe->unk_token, strlen(bpe->unk_token))
                    : -1;
  FT_TRY(index_characters(bpe));
  index_bytes(bpe);
  if (bpe->takes_bytes) FT_TRY(index_byte_pairs(bpe));
  if (bpe->takes_bytes && bpe->ignore_merges) FT_TRY(index_words(bpe));
  *out = bpe;
  memory = NULL;
out:
  ft_bpe_free(memory);
  return err;
}

void ft_bpe_free(ft_bpe *bpe) {
  if (!bpe) return;
  for (size_t i = 0; i < FT_ARRAY_SIZE(bpe->pages); i++)
    ft_free(bpe->pages[i]);
  ft_string_map_fini(&bpe->byte_words);
  ft_free(bpe->byte_arena);
  ft_free(bpe->merges);
  ft_free(bpe->byte_pairs);
  ft_free(bpe->prefix);
  ft_free(bpe->suffix);
  ft_free(bpe->unk_token);
  ft_free(bpe);
}
