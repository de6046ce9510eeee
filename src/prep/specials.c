/* Special tokens that are spelled out in texts: which are control tokens, and finding them. */
#include "specials.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 64 << 20 };

/* Members of tokenizer_config.json and special_tokens_map.json that name control tokens. */
static const char *const roles[] = {"bos_token", "eos_token", "pad_token", "unk_token",
                                    "cls_token", "sep_token", "mask_token"};

static const char *text_of(const cJSON *item) {
  if (cJSON_IsObject(item)) item = ft_json_get(item, "content");
  return cJSON_IsString(item) ? item->valuestring : NULL;
}

/* What decides: the directory's files that were found. */
typedef struct evidence {
  cJSON *config, *map;
  char *jinja;
} evidence;

static ft_err read_optional(const char *dir, const char *name, cJSON **json, char **text) {
  ft_err err = FT_OK;
  char *path = NULL;
  size_t bytes;
  FT_TRY(ft_path_join(dir, name, &path));
  if (!ft_path_exists(path)) goto out;
  if (json)
    FT_TRY(ft_json_read(path, json));
  else
    FT_TRY(ft_read_file(path, MAX_FILE_BYTES, text, &bytes));
out:
  ft_free(path);
  return err;
}

/* Whether a string that stands anywhere in the JSON names the token. */
static bool mentions(const cJSON *json, const char *token) {
  if (cJSON_IsString(json) && strstr(json->valuestring, token)) return true;
  const cJSON *item;
  cJSON_ArrayForEach(item, json) if (mentions(item, token)) return true;
  return false;
}

static bool is_control(const evidence *e, const char *token) {
  for (size_t i = 0; i < FT_ARRAY_SIZE(roles); i++) {
    const char *a = text_of(ft_json_get(e->config, roles[i]));
    const char *b = text_of(ft_json_get(e->map, roles[i]));
    if ((a && strcmp(a, token) == 0) || (b && strcmp(b, token) == 0)) return true;
  }
  const cJSON *template = ft_json_get(e->config, "chat_template");
  return (template && mentions(template, token)) || (e->jinja && strstr(e->jinja, token));
}

/* The layouts' own, whichever is used: they are turns in most models that have them. */
static bool is_layouts(const char *token) {
  static const char *const known[] = {"<|im_start|>",
                                      "<|im_end|>",
                                      "<s>",
                                      "</s>",
                                      "<|begin_of_text|>",
                                      "<|start_header_id|>",
                                      "<|end_header_id|>",
                                      "<|eot_id|>",
                                      "<|endoftext|>",
                                      "<|end_of_text|>",
                                      "<|eom_id|>"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(known); i++)
    if (strcmp(known[i], token) == 0) return true;
  return false;
}

static bool begins_with(const ft_special *s, const ft_special *beginning) {
  return s->bytes > beginning->bytes && memcmp(s->text, beginning->text, beginning->bytes) == 0;
}

/* Of two of one text the lower id comes last, which is the one that is found. */
static int by_text(const void *a, const void *b) {
  const ft_special *x = a, *y = b;
  int order = strcmp(x->text, y->text);
  return order ? order : x->id < y->id ? 1 : x->id > y->id ? -1 : 0;
}

/* Sorts them and finds out how they begin: of those before one, the nearest that it begins with is
 * the longest, and the ones between begin with that, too. */
static void sort(ft_specials *s) {
  if (s->count > 0) qsort(s->list, (size_t)s->count, sizeof *s->list, by_text);
  for (int64_t i = 0; i < s->count; i++) {
    int64_t k = i - 1;
    while (k >= 0 && !begins_with(&s->list[i], &s->list[k]))
      k = s->list[k].beginning;
    s->list[i].beginning = k;
  }
}

/* What the search for a special token looks at first. */
static void note_bytes(ft_specials *s, const unsigned char *text) {
  if (text[0] != s->only) s->only = -1;
  for (int second = 0; second < 256; second++)
    s->goes_on[second] = s->goes_on[second] || text[1] == 0 || text[1] == second;
}

static ft_err collect(const ft_tokenizer *t, const evidence *e, ft_specials *s) {
  ft_err err = FT_OK;
  int64_t capacity = 0;
  for (int64_t id = 0; id < ft_tokenizer_vocab_size(t); id++) {
    const char *text = ft_tokenizer_is_special(t, id) ? ft_tokenizer_token(t, id) : NULL;
    if (!text || !text[0]) continue;
    FT_TRY(ft_grow(FT_MEM_PREP, s->count + 1, sizeof *s->list, &capacity, (void **)&s->list));
    s->list[s->count++] = (ft_special){.text = text,
                                       .bytes = strlen(text),
                                       .id = (uint32_t)id,
                                       .is_control = is_control(e, text) || is_layouts(text)};
  }
  sort(s);
  int64_t at = 0;
  s->only = s->count > 0 ? (unsigned char)s->list[0].text[0] : -1;
  for (int first = 0; first < 256; first++) {
    s->firsts[first] = at;
    while (at < s->count && (unsigned char)s->list[at].text[0] == first)
      at++;
    s->begins[first] = at > s->firsts[first];
  }
  s->firsts[256] = at;
  for (int64_t i = 0; i < s->count; i++)
    note_bytes(s, (const unsigned char *)s->list[i].text);
out:
  return err;
}

ft_err ft_specials_new(const char *model_dir, const ft_tokenizer *t, ft_specials **out) {
  ft_err err = FT_OK;
  evidence e = {0};
  void *memory = NULL;
  *out = NULL;
  FT_TRY(read_optional(model_dir, "tokenizer_config.json", &e.config, NULL));
  FT_TRY(read_optional(model_dir, "special_tokens_map.json", &e.map, NULL));
  FT_TRY(read_optional(model_dir, "chat_template.jinja", NULL, &e.jinja));
  FT_TRY(ft_alloc(FT_MEM_PREP, sizeof **out, &memory));
  FT_TRY(collect(t, &e, memory));
  *out = memory;
  memory = NULL;
out:
  ft_specials_free(memory);
  cJSON_Delete(e.config);
  cJSON_Delete(e.map);
  ft_free(e.jinja);
  return err;
}

void ft_specials_free(ft_specials *s) {
  if (!s) return;
  ft_free(s->list);
  ft_free(s);
}

/* The longest one that is written at `text`, or NULL: the last one in order that is not behind the
 * text, or one that it begins with. */
static const ft_special *special_at(const ft_specials *s, const char *text, size_t bytes) {
  unsigned char first = (unsigned char)text[0];
  if (bytes > 1 && !s->goes_on[(unsigned char)text[1]]) return NULL;
  int64_t low = s->firsts[first],
          high = s->firsts[first + 1]; /* the last one is in [low - 1, high) */
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    const ft_special *one = &s->list[middle];
    int order = memcmp(one->text, text, FT_MIN(one->bytes, bytes));
    if (order < 0 || (order == 0 && one->bytes <= bytes))
      low = middle + 1;
    else
      high = middle;
  }
  for (int64_t k = low - 1; k >= s->firsts[first]; k = s->list[k].beginning)
    if (s->list[k].bytes <= bytes && memcmp(text, s->list[k].text, s->list[k].bytes) == 0)
      return &s->list[k];
  return NULL;
}

/* The next byte at or behind `at` that one begins with, or `bytes`. */
static size_t next_first(const ft_specials *s, const char *text, size_t bytes, size_t at) {
  if (s->only >= 0) {
    const char *found = at < bytes ? memchr(text + at, s->only, bytes - at) : NULL;
    return found ? (size_t)(found - text) : bytes;
  }
  while (at < bytes && !s->begins[(unsigned char)text[at]])
    at++;
  return at;
}

const ft_special *ft_specials_next(const ft_specials *s, const char *text, size_t bytes,
                                   size_t *at) {
  for (size_t i = *at; (i = next_first(s, text, bytes, i)) < bytes; i++) {
    const ft_special *found = special_at(s, text + i, bytes - i);
    if (!found) continue;
    *at = i;
    return found;
  }
  return NULL;
}

void ft_spelled_add(ft_spelled *spelled, uint32_t id) {
  int64_t i = 0;
  while (i < spelled->count && spelled->ids[i] != id)
    i++;
  if (i == FT_MAX_SPELLED) return;
  if (i == spelled->count) spelled->ids[spelled->count++] = id;
  spelled->times[i]++;
}
