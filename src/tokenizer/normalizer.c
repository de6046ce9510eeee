/* The "normalizer" of tokenizer.json as a list of steps. */
#define _GNU_SOURCE /* memmem */
#include "normalizer.h"

#include <stdlib.h>

#include "byte_level.h"
#include "members.h"
#include "unicode.h"

typedef enum step_kind {
  PREPEND,
  REPLACE,
  FORM,
  LOWERCASE,
  STRIP,
  REMOVE,
  CLEAN,
  SPACE_OUT,
  BYTES
} step_kind;

typedef struct step {
  step_kind kind;
  char *content; /* PREPEND, REPLACE */
  ft_pattern pattern;
  const ft_form_table *form;
  bool left, right;               /* STRIP */
  bool (*matches)(uint32_t code); /* REMOVE: what goes */
  bool unusual;                   /* content may bring ft_unicode_is_unusual code points */
} step;

struct ft_normalizer {
  step *steps; /* [count] */
  int64_t count, capacity;
};

void ft_normalizer_scratch_fini(ft_normalizer_scratch *s) {
  ft_buffer_fini(&s->text[0]);
  ft_buffer_fini(&s->text[1]);
  ft_free(s->codes);
  *s = (ft_normalizer_scratch){0};
}

/* ---------------------------------------------------------------- patterns */

ft_err ft_pattern_load(const cJSON *object, const char *where, ft_pattern *out) {
  const char *text;
  bool is_regex;
  ft_err err = ft_member_pattern(object, where, &text, &is_regex);
  if (err != FT_OK) return err;
  err = is_regex ? ft_regex_compile(text, &out->regex) : ft_strdup(text, &out->literal);
  return err == FT_OK ? err : ft_fail_prefix(err, "%s", where);
}

void ft_pattern_fini(ft_pattern *pattern) {
  ft_free(pattern->literal);
  ft_regex_free(pattern->regex);
  *pattern = (ft_pattern){0};
}

ft_err ft_pattern_next(const ft_pattern *pattern, ft_regex_matches *m, size_t *start, size_t *end,
                       bool *found) {
  if (pattern->regex) return ft_regex_next(m, start, end, found);
  size_t length = strlen(pattern->literal);
  const char *at = m->from < m->bytes
                       ? memmem(m->text + m->from, m->bytes - m->from, pattern->literal, length)
                       : NULL;
  *found = at != NULL;
  if (!at) return FT_OK;
  *start = (size_t)(at - m->text);
  *end = m->from = *start + length;
  return FT_OK;
}

/* ---------------------------------------------------------------- loading */

static const char where[] = "\"normalizer\"";

static ft_err load_step(ft_normalizer *n, const cJSON *json);

static ft_err load_sequence(ft_normalizer *n, const cJSON *json) {
  ft_err err = FT_OK;
  cJSON *list;
  FT_TRY(ft_member_array(json, where, "normalizers", &list));
  for (const cJSON *item = list->child; item; item = item->next)
    FT_TRY(load_step(n, item));
out:
  return err;
}

static ft_err add_step(ft_normalizer *n, step_kind kind, step **out) {
  ft_err err =
      ft_grow(FT_MEM_TOKENIZER, n->count + 1, sizeof *n->steps, &n->capacity, (void **)&n->steps);
  if (err != FT_OK) return err;
  *out = &n->steps[n->count++];
  (*out)->kind = kind;
  return FT_OK;
}

static ft_err load_prepend(const cJSON *json, step *s) {
  const char *content;
  ft_err err = ft_member_string(json, where, "prepend", &content);
  return err == FT_OK ? ft_strdup(content, &s->content) : err;
}

static ft_err load_replace(const cJSON *json, step *s) {
  const char *content;
  ft_err err = ft_member_string(json, where, "content", &content);
  if (err == FT_OK) err = ft_pattern_load(json, where, &s->pattern);
  return err == FT_OK ? ft_strdup(content, &s->content) : err;
}

static ft_err load_strip(const cJSON *json, step *s) {
  ft_err err = ft_member_bool(json, where, "strip_left", &s->left);
  return err == FT_OK ? ft_member_bool(json, where, "strip_right", &s->right) : err;
}

static ft_err load_nothing(const cJSON *json, step *s) {
  (void)json;
  s->matches = ft_unicode_is_accent; /* of REMOVE there is StripAccents */
  return FT_OK;
}

/* BertNormalizer is several steps. */
static ft_err load_bert(ft_normalizer *n, const cJSON *json) {
  ft_err err = FT_OK;
  bool clean, space_out, lowercase, strip;
  step *s;
  FT_TRY(ft_member_bool(json, where, "clean_text", &clean));
  FT_TRY(ft_member_bool(json, where, "handle_chinese_chars", &space_out));
  FT_TRY(ft_member_bool(json, where, "lowercase", &lowercase));
  FT_TRY(ft_member_optional_bool(json, where, "strip_accents", lowercase, &strip));
  if (clean) FT_TRY(add_step(n, CLEAN, &s));
  if (space_out) FT_TRY(add_step(n, SPACE_OUT, &s));
  if (strip) {
    FT_TRY(add_step(n, FORM, &s));
    s->form = ft_form_table_of(FT_FORM_NFD);
    FT_TRY(add_step(n, REMOVE, &s));
    s->matches = ft_unicode_is_bert_mark;
  }
  if (lowercase) FT_TRY(add_step(n, LOWERCASE, &s));
out:
  return err;
}

static ft_err load_step(ft_normalizer *n, const cJSON *json) {
  static const struct {
    const char *name;
    step_kind kind;
    ft_err (*load)(const cJSON *json, step *s);
    ft_form form;
  } kinds[] = {
      {"Prepend", PREPEND, load_prepend, 0},      {"Replace", REPLACE, load_replace, 0},
      {"NFC", FORM, load_nothing, FT_FORM_NFC},   {"NFD", FORM, load_nothing, FT_FORM_NFD},
      {"NFKC", FORM, load_nothing, FT_FORM_NFKC}, {"NFKD", FORM, load_nothing, FT_FORM_NFKD},
      {"Lowercase", LOWERCASE, load_nothing, 0},  {"Strip", STRIP, load_strip, 0},
      {"StripAccents", REMOVE, load_nothing, 0},  {"ByteLevel", BYTES, load_nothing, 0}};
  ft_err err = FT_OK;
  const char *type;
  step *s;
  FT_TRY(ft_member_string(json, where, "type", &type));
  if (strcmp(type, "Sequence") == 0) return load_sequence(n, json);
  if (strcmp(type, "BertNormalizer") == 0) return load_bert(n, json);
  size_t k = 0;
  while (k < FT_ARRAY_SIZE(kinds) && strcmp(type, kinds[k].name) != 0)
    k++;
  FT_CHECK(k < FT_ARRAY_SIZE(kinds), FT_ERR_DATA,
           "%s: type %s is not supported; supported are Sequence, Prepend, Replace, NFC, NFD, "
           "NFKC, NFKD, Lowercase, Strip, StripAccents, ByteLevel and BertNormalizer",
           where, type);
  FT_TRY(add_step(n, kinds[k].kind, &s));
  FT_TRY(kinds[k].load(json, s));
  if (s->kind == FORM) s->form = ft_form_table_of(kinds[k].form);
  if (s->content) {
    size_t unused;
    ft_unicode_check(s->content, strlen(s->content), &unused, &s->unusual);
  }
out:
  return err;
}

ft_err ft_normalizer_load(const cJSON *json, ft_normalizer **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_TOKENIZER, sizeof **out, &memory));
  if (json) FT_TRY(load_step(memory, json));
  *out = memory;
  memory = NULL;
out:
  ft_normalizer_free(memory);
  return err;
}

void ft_normalizer_free(ft_normalizer *n) {
  if (!n) return;
  for (int64_t i = 0; i < n->count; i++) {
    ft_free(n->steps[i].content);
    ft_pattern_fini(&n->steps[i].pattern);
  }
  ft_free(n->steps);
  ft_free(n);
}

/* ---------------------------------------------------------------- steps
 * Each appends the rewritten text to out and says how much of it stems from the text's first
 * character (ft_piece.origin): all that comes of the first in->origin bytes. */

static ft_err prepend(const step *s, const ft_piece *in, ft_buffer *out, size_t *origin) {
  ft_err err = FT_OK;
  size_t added = in->bytes > 0 ? strlen(s->content) : 0; /* nothing before nothing */
  FT_TRY(ft_buffer_put(out, s->content, added));
  FT_TRY(ft_buffer_put(out, in->text, in->bytes));
  *origin = in->origin > 0 ? in->origin + added : 0;
out:
  return err;
}

/* Appends in->text[from … to), which stands for itself. */
static ft_err keep(const ft_piece *in, size_t from, size_t to, ft_buffer *out, size_t *origin) {
  if (from < in->origin) *origin = out->bytes + FT_MIN(to, in->origin) - from;
  return ft_buffer_put(out, in->text + from, to - from);
}

static ft_err replace(const step *s, ft_regex_scratch *regex, const ft_piece *in, ft_buffer *out,
                      size_t *origin) {
  ft_err err = FT_OK;
  size_t kept = 0, start, end, length = strlen(s->content);
  bool found;
  ft_regex_matches m = {.regex = s->pattern.regex,
                        .scratch = regex,
                        .text = in->text,
                        .bytes = in->bytes,
                        .unusual = in->unusual,
                        .last_end = SIZE_MAX};
  for (;;) {
    FT_TRY(ft_pattern_next(&s->pattern, &m, &start, &end, &found));
    if (!found) break;
    FT_TRY(keep(in, kept, start, out, origin));
    FT_TRY(ft_buffer_put(out, s->content, length));
    if (end <= in->origin) *origin = out->bytes;
    kept = end;
  }
  FT_TRY(keep(in, kept, in->bytes, out, origin));
out:
  return err;
}

static ft_err lowercase(const ft_piece *in, ft_buffer *out, size_t *origin) {
  for (size_t i = 0, length; i < in->bytes; i += length) {
    uint32_t lower[2], code = ft_utf8_decode(in->text + i, &length);
    size_t count = ft_unicode_lower(code, lower);
    ft_err err = ft_buffer_reserve(out, 8);
    if (err != FT_OK) return err;
    for (size_t k = 0; k < count; k++)
      out->bytes += ft_utf8_encode(lower[k], out->data + out->bytes);
    if (i < in->origin) *origin = out->bytes;
  }
  return FT_OK;
}

static ft_err strip(const step *s, const ft_piece *in, ft_buffer *out, size_t *origin) {
  size_t from = 0, to = in->bytes, length;
  while (s->left && from < to && ft_unicode_is_space(ft_utf8_decode(in->text + from, &length)))
    from += length;
  while (s->right && to > from) {
    size_t before = ft_utf8_before(in->text, to);
    if (!ft_unicode_is_space(ft_utf8_decode(in->text + before, &length))) break;
    to = before;
  }
  return keep(in, from, to, out, origin);
}

static ft_err remove_matches(const step *s, const ft_piece *in, ft_buffer *out, size_t *origin) {
  size_t kept = 0;
  for (size_t i = 0, length; i < in->bytes; i += length) {
    if (!s->matches(ft_utf8_decode(in->text + i, &length))) continue;
    ft_err err = keep(in, kept, i, out, origin);
    if (err != FT_OK) return err;
    kept = i + length;
  }
  return keep(in, kept, in->bytes, out, origin);
}

/* Control characters go, white space becomes spaces. */
static ft_err clean(const ft_piece *in, ft_buffer *out, size_t *origin) {
  size_t kept = 0;
  for (size_t i = 0, length; i < in->bytes; i += length) {
    uint32_t code = ft_utf8_decode(in->text + i, &length);
    bool goes = ft_unicode_is_bert_control(code), is_space = !goes && ft_unicode_is_space(code);
    if (code == ' ' || (!goes && !is_space)) continue;
    ft_err err = keep(in, kept, i, out, origin);
    if (err == FT_OK && is_space) err = ft_buffer_put(out, " ", 1);
    if (err != FT_OK) return err;
    if (i < in->origin) *origin = out->bytes;
    kept = i + length;
  }
  return keep(in, kept, in->bytes, out, origin);
}

/* As BertNormalizer has it: the last block but one begins 256 too late. */
static bool is_chinese(uint32_t code) {
  return (code >= 0x3400 && code <= 0x4DBF) || (code >= 0x4E00 && code <= 0x9FFF) ||
         (code >= 0xF900 && code <= 0xFAFF) || (code >= 0x20000 && code <= 0x2A6DF) ||
         (code >= 0x2A700 && code <= 0x2B81F) || (code >= 0x2B920 && code <= 0x2CEAF) ||
         (code >= 0x2F800 && code <= 0x2FA1F);
}

/* A space before and behind each Chinese character. */
static ft_err space_out(const ft_piece *in, ft_buffer *out, size_t *origin) {
  ft_err err = FT_OK;
  size_t kept = 0;
  for (size_t i = 0, length; i < in->bytes; i += length) {
    if (!is_chinese(ft_utf8_decode(in->text + i, &length))) continue;
    FT_TRY(keep(in, kept, i, out, origin));
    FT_TRY(ft_buffer_put(out, " ", 1));
    FT_TRY(ft_buffer_put(out, in->text + i, length));
    FT_TRY(ft_buffer_put(out, " ", 1));
    if (i < in->origin) *origin = out->bytes;
    kept = i + length;
  }
  FT_TRY(keep(in, kept, in->bytes, out, origin));
out:
  return err;
}

static ft_err to_form(const step *s, ft_normalizer_scratch *scratch, const ft_piece *in,
                      ft_buffer *out, size_t *origin) {
  ft_err err = FT_OK;
  if (in->origin > 0) { /* what the beginning becomes by itself */
    FT_TRY(ft_form_apply(s->form, scratch, in->text, in->origin, out));
    *origin = out->bytes;
    out->bytes = 0;
  }
  FT_TRY(ft_form_apply(s->form, scratch, in->text, in->bytes, out));
out:
  return err;
}

static ft_err to_bytes(const ft_piece *in, ft_buffer *out, size_t *origin) {
  ft_err err = FT_OK;
  FT_TRY(ft_byte_level_put(out, in->text, in->origin));
  *origin = out->bytes;
  FT_TRY(ft_byte_level_put(out, in->text + in->origin, in->bytes - in->origin));
out:
  return err;
}

static ft_err apply_step(const step *s, ft_normalizer_scratch *scratch, ft_regex_scratch *regex,
                         const ft_piece *in, ft_buffer *out, size_t *origin) {
  switch (s->kind) {
  case PREPEND:
    return prepend(s, in, out, origin);
  case REPLACE:
    return replace(s, regex, in, out, origin);
  case FORM:
    return to_form(s, scratch, in, out, origin);
  case LOWERCASE:
    return lowercase(in, out, origin);
  case STRIP:
    return strip(s, in, out, origin);
  case REMOVE:
    return remove_matches(s, in, out, origin);
  case CLEAN:
    return clean(in, out, origin);
  case SPACE_OUT:
    return space_out(in, out, origin);
  case BYTES:
    return to_bytes(in, out, origin);
  }
  return FT_OK;
}

ft_err ft_normalizer_apply(const ft_normalizer *n, ft_normalizer_scratch *s,
                           ft_regex_scratch *regex, const ft_piece *in, ft_piece *out) {
  *out = *in;
  for (int64_t i = 0; i < n->count; i++) {
    const step *next = &n->steps[i];
    if (next->kind == FORM && ft_form_keeps(next->form, out->text, out->bytes)) continue;
    ft_buffer *buffer = &s->text[out->text == s->text[0].data];
    size_t origin = 0;
    buffer->bytes = 0;
    ft_err err = ft_buffer_reserve(buffer, out->bytes + 1); /* never NULL */
    if (err == FT_OK) err = apply_step(next, s, regex, out, buffer, &origin);
    if (err != FT_OK) return err;
    *out = (ft_piece){.text = buffer->data,
                      .bytes = buffer->bytes,
                      .origin = origin,
                      .unusual = out->unusual || next->unusual};
  }
  return FT_OK;
}
