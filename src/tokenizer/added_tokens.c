/* Added tokens: read from tokenizer.json, and found in text, the leftmost first and of those that
 * begin together the longest. */
#include "added_tokens.h"

#include <string.h>

#include "members.h"
#include "unicode.h"

/* ---------------------------------------------------------------- tree of bytes */

static ft_err trie_init(ft_trie *trie, const ft_added_tokens *a, bool normalized) {
  int64_t most = 1;
  for (int64_t i = 0; i < a->count; i++)
    if (a->tokens[i].normalized == normalized) most += (int64_t)strlen(a->tokens[i].pattern);
  memset(trie->roots, -1, sizeof trie->roots);
  trie->only_first = -1;
  if (most > INT32_MAX) return ft_fail(FT_ERR_DATA, "\"added_tokens\" are too long");
  void *nodes;
  ft_err err = ft_alloc_array(FT_MEM_TOKENIZER, most, sizeof *trie->nodes, &nodes);
  if (err == FT_OK) trie->nodes = nodes;
  return err;
}

/* The node for `byte` in the list at *link, made if it is not there. */
static int32_t trie_step(ft_trie *trie, int32_t first, int32_t parent, uint8_t byte) {
  for (int32_t n = first; n >= 0; n = trie->nodes[n].sibling)
    if (trie->nodes[n].byte == byte) return n;
  int32_t fresh = (int32_t)trie->count++;
  trie->nodes[fresh] = (struct ft_trie_node){-1, first, -1, byte};
  if (parent >= 0)
    trie->nodes[parent].child = fresh;
  else {
    trie->nodes[fresh].sibling = -1;
    trie->roots[byte] = fresh;
  }
  return fresh;
}

static ft_err trie_add(ft_trie *trie, const ft_added_tokens *a, int64_t token) {
  const ft_added_token *t = &a->tokens[token];
  FT_ASSERT(*t->pattern);
  uint8_t first = (uint8_t)t->pattern[0];
  int32_t at = trie_step(trie, trie->roots[first], -1, first);
  for (const char *s = t->pattern + 1; *s; s++)
    at = trie_step(trie, trie->nodes[at].child, at, (uint8_t)*s);
  if (trie->nodes[at].token >= 0)
    return ft_fail(FT_ERR_DATA, "\"added_tokens\": \"%s\" and \"%s\" are the same to search for",
                   a->tokens[trie->nodes[at].token].content, t->content);
  trie->nodes[at].token = (int32_t)token;
  return FT_OK;
}

static ft_err build_tries(ft_added_tokens *a) {
  ft_err err = FT_OK;
  FT_TRY(trie_init(&a->plain, a, false));
  FT_TRY(trie_init(&a->normalized, a, true));
  for (int64_t i = 0; i < a->count; i++)
    FT_TRY(trie_add(a->tokens[i].normalized ? &a->normalized : &a->plain, a, i));
  ft_trie *tries[] = {&a->plain, &a->normalized};
  for (int k = 0; k < 2; k++) {
    int num_first = 0;
    for (int byte = 0; byte < 256; byte++)
      if (tries[k]->roots[byte] >= 0) {
        num_first++;
        tries[k]->only_first = byte;
      }
    if (num_first != 1) tries[k]->only_first = -1;
  }
out:
  return err;
}

/* Index of the longest token that begins at text[at], or -1; *end is where it ends. */
static int32_t trie_longest(const ft_trie *trie, const char *text, size_t bytes, size_t at,
                            size_t *end) {
  int32_t found = -1, node = trie->roots[(uint8_t)text[at]];
  for (size_t i = at + 1; node >= 0; i++) {
    if (trie->nodes[node].token >= 0) {
      found = trie->nodes[node].token;
      *end = i;
    }
    if (i == bytes) break;
    uint8_t byte = (uint8_t)text[i];
    for (node = trie->nodes[node].child; node >= 0 && trie->nodes[node].byte != byte;)
      node = trie->nodes[node].sibling;
  }
  return found;
}

/* The next token at or behind `from`, or -1. */
static int32_t trie_search(const ft_trie *trie, const char *text, size_t bytes, size_t from,
                           size_t *start, size_t *end) {
  if (trie->count == 0) return -1;
  for (size_t at = from; at < bytes; at++) {
    if (trie->only_first >= 0) {
      const char *first = memchr(text + at, trie->only_first, bytes - at);
      if (!first) return -1;
      at = (size_t)(first - text);
    }
    if (trie->roots[(uint8_t)text[at]] < 0) continue;
    int32_t found = trie_longest(trie, text, bytes, at, end);
    if (found >= 0) {
      *start = at;
      return found;
    }
  }
  return -1;
}

/* ---------------------------------------------------------------- loading */

static ft_err normalized_content(const ft_normalizer *normalizer, const char *content, char **out) {
  ft_err err = FT_OK;
  ft_normalizer_scratch scratch = {0};
  ft_regex_scratch *regex = NULL;
  ft_piece in = {.text = content, .bytes = strlen(content)}, result;
  FT_TRY(ft_regex_scratch_new(&regex));
  in.unusual = true;
  FT_TRY(ft_normalizer_apply(normalizer, &scratch, regex, &in, &result));
  FT_CHECK(result.bytes > 0, FT_ERR_DATA,
           "\"added_tokens\": nothing is left of \"%s\" after the normalizer", content);
  FT_TRY(ft_format(out, "%.*s", (int)result.bytes, result.text));
out:
  ft_normalizer_scratch_fini(&scratch);
  ft_regex_scratch_free(regex);
  return err;
}

/* Where the tokens of a list stand, and what they are. */
typedef struct loader {
  const char *where;
  const ft_vocabulary *vocabulary;
  const ft_normalizer *normalizer;
  uint32_t next_id; /* of the next token that the vocabulary lacks */
} loader;

/* The id a token gets is the one that its file states, if it does. */
static ft_err check_id(const loader *l, const cJSON *item, const char *content, bool known,
                       uint32_t given) {
  ft_err err = FT_OK;
  const ft_vocabulary *v = l->vocabulary;
  int64_t id;
  if (!ft_json_get(item, "id")) return FT_OK;
  FT_TRY(ft_member_count(item, l->where, "id", INT32_MAX - 1, &id));
  FT_CHECK((int64_t)given == id, FT_ERR_DATA,
           "%s: \"%s\" has id %lld, but %s %lld; ids must follow the vocabulary without a gap",
           l->where, content, (long long)id, known ? "\"vocab\" gives it" : "the next free id is",
           (long long)given);
  FT_CHECK(known || id >= v->num_ids || !v->contents[id], FT_ERR_DATA,
           "%s: the id %lld of \"%s\" is taken by \"%s\" in \"vocab\"", l->where, (long long)id,
           content, v->contents[id]);
out:
  return err;
}

/* How a token is found in a text: its properties, and the pattern that follows from them. */
static ft_err load_properties(const loader *l, const cJSON *item, ft_added_token *t) {
  ft_err err = FT_OK;
  FT_TRY(ft_member_optional_bool(item, l->where, "single_word", false, &t->single_word));
  FT_TRY(ft_member_optional_bool(item, l->where, "lstrip", false, &t->lstrip));
  FT_TRY(ft_member_optional_bool(item, l->where, "rstrip", false, &t->rstrip));
  FT_TRY(ft_member_optional_bool(item, l->where, "special", false, &t->special));
  FT_TRY(ft_member_optional_bool(item, l->where, "normalized", !t->special, &t->normalized));
  ft_free(t->pattern);
  t->pattern = NULL;
  if (t->normalized)
    FT_TRY(normalized_content(l->normalizer, t->content, &t->pattern));
  else
    FT_TRY(ft_strdup(t->content, &t->pattern));
out:
  return err;
}

static ft_err load_token(loader *l, const cJSON *item, ft_added_tokens *a) {
  ft_err err = FT_OK;
  const char *content;
  ft_added_token *t = &a->tokens[a->count];
  FT_TRY(ft_member_string(item, l->where, "content", &content));
  int64_t known = ft_vocabulary_id(l->vocabulary, content, strlen(content));
  t->id = known >= 0 ? (uint32_t)known : l->next_id++;
  FT_TRY(check_id(l, item, content, known >= 0, t->id));
  FT_TRY(ft_strdup(content, &t->content));
  a->count++;
  ft_string_map_add(&a->by_content, t->content, strlen(content), (uint32_t)(a->count - 1));
  FT_TRY(load_properties(l, item, t));
out:
  return err;
}

/* Tokens of tokenizer.json, which has each once and with its id. */
static ft_err load_listed(loader *l, const cJSON *list, ft_added_tokens *a) {
  ft_err err = FT_OK;
  for (const cJSON *item = list ? list->child : NULL; item; item = item->next) {
    const char *content;
    int64_t id;
    FT_TRY(ft_member_string(item, l->where, "content", &content));
    FT_TRY(ft_member_count(item, l->where, "id", INT32_MAX - 1, &id));
    if (!*content) continue; /* an empty one matches nothing */
    FT_CHECK(ft_string_map_get(&a->by_content, content, strlen(content)) < 0, FT_ERR_DATA,
             "%s: \"%s\" appears twice", l->where, content);
    FT_TRY(load_token(l, item, a));
  }
  a->num_listed = a->count;
out:
  return err;
}

/* A token of tokenizer.json has the properties of the other file, where that states its id. */
static ft_err change_token(const loader *l, const cJSON *item, ft_added_token *t) {
  const ft_added_token was = *t;
  ft_err err = load_properties(l, item, t);
  t->changed |= t->single_word != was.single_word || t->lstrip != was.lstrip ||
                t->rstrip != was.rstrip || t->normalized != was.normalized ||
                t->special != was.special;
  return err;
}

static ft_err load_more(loader *l, const cJSON *list, ft_added_tokens *a) {
  ft_err err = FT_OK;
  for (const cJSON *item = list ? list->child : NULL; item; item = item->next) {
    const cJSON *content = ft_json_get(item, "content");
    int64_t known =
        ft_string_map_get(&a->by_content, content->valuestring, strlen(content->valuestring));
    if (known < 0)
      FT_TRY(load_token(l, item, a));
    else if (ft_json_get(item, "id"))
      FT_TRY(change_token(l, item, &a->tokens[known]));
  }
out:
  return err;
}

static int64_t length_of(const cJSON *list) {
  return list ? cJSON_GetArraySize(list) : 0;
}

ft_err ft_added_tokens_load(const cJSON *list, const cJSON *more, const ft_vocabulary *vocabulary,
                            const ft_normalizer *normalizer, ft_added_tokens *out) {
  ft_err err = FT_OK;
  void *memory;
  int64_t most = length_of(list) + length_of(more);
  loader l = {.where = "\"added_tokens\"",
              .vocabulary = vocabulary,
              .normalizer = normalizer,
              .next_id = (uint32_t)vocabulary->map.count};
  FT_TRY(ft_alloc_array(FT_MEM_TOKENIZER, most, sizeof *out->tokens, &memory));
  out->tokens = memory;
  FT_TRY(ft_string_map_init(&out->by_content, most));
  FT_TRY(load_listed(&l, list, out));
  l.where = "an added token of the other files";
  FT_TRY(load_more(&l, more, out));
  for (int64_t i = 0; i < out->count; i++)
    out->any_strips = out->any_strips || out->tokens[i].lstrip || out->tokens[i].rstrip;
  FT_TRY(build_tries(out));
out:
  return err;
}

void ft_added_tokens_fini(ft_added_tokens *a) {
  for (int64_t i = 0; i < a->count; i++) {
    ft_free(a->tokens[i].content);
    ft_free(a->tokens[i].pattern);
  }
  ft_free(a->tokens);
  ft_string_map_fini(&a->by_content);
  ft_free(a->plain.nodes);
  ft_free(a->normalized.nodes);
  *a = (ft_added_tokens){0};
}

/* ---------------------------------------------------------------- searching text */

static bool is_single_word(const ft_added_matches *m, size_t start, size_t end) {
  size_t length;
  if (start > 0 &&
      ft_unicode_is_rust_word(ft_utf8_decode(m->text + ft_utf8_before(m->text, start), &length)))
    return false;
  return end == m->bytes || !ft_unicode_is_rust_word(ft_utf8_decode(m->text + end, &length));
}

void ft_added_widen(const ft_added_token *t, const char *text, size_t bytes, size_t from,
                    size_t *start, size_t *end) {
  size_t length;
  while (t->lstrip && *start > from) {
    size_t before = ft_utf8_before(text, *start);
    if (!ft_unicode_is_space(ft_utf8_decode(text + before, &length))) break;
    *start = before;
  }
  while (t->rstrip && *end < bytes) {
    if (!ft_unicode_is_space(ft_utf8_decode(text + *end, &length))) break;
    *end += length;
  }
}

bool ft_added_next(ft_added_matches *m, size_t *start, size_t *end, const ft_added_token **token) {
  *token = m->pending;
  if (m->pending) {
    *start = m->pending_start;
    *end = m->covered;
    m->pending = NULL;
    return true;
  }
  size_t from, to;
  int32_t found;
  while ((found = trie_search(m->trie, m->text, m->bytes, m->at, &from, &to)) >= 0) {
    const ft_added_token *t = &m->added->tokens[found];
    m->at = to; /* a match that does not count is passed over all the same */
    if ((t->special && !m->specials) || (t->single_word && !is_single_word(m, from, to))) continue;
    size_t before = m->covered;
    ft_added_widen(t, m->text, m->bytes, m->covered, &from, &to);
    m->covered = to;
    *start = before;
    *end = from;
    if (before < from) { /* the text before it comes first */
      m->pending = t;
      m->pending_start = from;
    } else {
      *start = from;
      *end = to;
      *token = t;
    }
    return true;
  }
  *start = m->covered;
  *end = m->bytes;
  m->covered = m->at = m->bytes;
  return *start < *end;
}
