/* Strings that know where each of their bytes came from. */
#include <limits.h>

#include "value.h"

static ft_err new_string(ft_jinja_arena *a, ft_jinja_string s, ft_jinja_value *out) {
  ft_jinja_string *copy = ft_jinja_alloc(a, sizeof *copy);
  if (!copy) return a->failed;
  *copy = s;
  *out = ft_jinja_of_string(copy);
  return FT_OK;
}

ft_err ft_jinja_string_new(ft_jinja_arena *a, const char *text, size_t bytes, uint32_t origin,
                           ft_jinja_value *out) {
  return new_string(a, (ft_jinja_string){.text = text, .bytes = bytes, .origin = origin}, out);
}

ft_err ft_jinja_string_literal(ft_jinja_arena *a, const char *text, ft_jinja_value *out) {
  return ft_jinja_string_new(a, text, strlen(text), 0, out);
}

uint32_t ft_jinja_origin_at(const ft_jinja_string *s, size_t at, size_t *left) {
  size_t begin = 0;
  for (int64_t i = 0; i < s->num_runs; i++) {
    size_t end = begin + s->runs[i].bytes;
    if (at < end) {
      *left = end - at;
      return s->runs[i].origin;
    }
    begin = end;
  }
  *left = s->bytes - at;
  return s->origin;
}

ft_err ft_jinja_string_part(ft_jinja_arena *a, const ft_jinja_string *s, size_t begin, size_t end,
                            ft_jinja_value *out) {
  ft_jinja_string part = {.text = s->text + begin, .bytes = end - begin, .markup = s->markup};
  if (s->num_runs == 0 || begin == end) {
    part.origin = s->origin;
    return new_string(a, part, out);
  }
  size_t left;
  part.origin = ft_jinja_origin_at(s, begin, &left);
  if (left >= end - begin) return new_string(a, part, out);
  ft_jinja_builder b = ft_jinja_builder_on(a);
  ft_jinja_put_part(&b, s, begin, end);
  ft_err err = ft_jinja_built(&b, out);
  if (err == FT_OK && s->markup) ((ft_jinja_string *)out->string)->markup = true;
  return err;
}

int ft_jinja_string_compare(const ft_jinja_string *a, const ft_jinja_string *b) {
  size_t common = FT_MIN(a->bytes, b->bytes);
  int order = common ? memcmp(a->text, b->text, common) : 0; /* UTF-8 keeps code points' order */
  return order ? order : (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

int64_t ft_jinja_string_length(const ft_jinja_string *s) {
  int64_t length = 0;
  for (size_t i = 0; i < s->bytes; i++)
    length += ((unsigned char)s->text[i] & 0xC0) != 0x80;
  return length;
}

size_t ft_jinja_string_at(const ft_jinja_string *s, int64_t i) {
  size_t at = 0;
  for (; i > 0 && at < s->bytes; i--)
    at += ft_utf8_length(s->text[at]);
  return at;
}

int64_t ft_jinja_string_find(const ft_jinja_string *s, size_t from, size_t to,
                             const ft_jinja_string *part) {
  if (from > to || part->bytes > to - from) return -1;
  if (part->bytes == 0) return (int64_t)from;
  for (size_t at = from; at <= to - part->bytes;) {
    const char *found = memchr(s->text + at, part->text[0], to - part->bytes - at + 1);
    if (!found) return -1;
    at = (size_t)(found - s->text);
    if (memcmp(found, part->text, part->bytes) == 0) return (int64_t)at;
    at++;
  }
  return -1;
}

int64_t ft_jinja_string_find_last(const ft_jinja_string *s, size_t from, size_t to,
                                  const ft_jinja_string *part) {
  if (from > to || part->bytes > to - from) return -1;
  for (size_t at = to - part->bytes;; at--) {
    if (memcmp(s->text + at, part->text, part->bytes) == 0) return (int64_t)at;
    if (at == from) return -1;
  }
}

/* ---------------------------------------------------------------- building */

static void grow(ft_jinja_builder *b, size_t bytes) {
  if (bytes > (size_t)INT_MAX - b->bytes) {
    b->err = ft_fail(FT_ERR_DATA, "a text of more than 2 GiB");
    return;
  }
  if (b->bytes + bytes <= b->capacity) return;
  size_t capacity = FT_MAX(2 * b->capacity, b->bytes + bytes + 64);
  char *text = ft_jinja_alloc(b->arena, capacity);
  if (!text) {
    b->err = b->arena->failed;
    return;
  }
  if (b->bytes > 0) memcpy(text, b->text, b->bytes);
  b->text = text;
  b->capacity = capacity;
}

static void add_run(ft_jinja_builder *b, size_t bytes, uint32_t origin) {
  ft_jinja_run *last = b->num_runs ? &b->runs[b->num_runs - 1] : NULL;
  if (last && last->origin == origin) {
    last->bytes += (uint32_t)bytes;
    return;
  }
  ft_jinja_run *runs =
      ft_jinja_grow(b->arena, b->runs, b->num_runs, sizeof *runs, 4, &b->run_capacity);
  if (!runs) {
    b->err = b->arena->failed;
    return;
  }
  b->runs = runs;
  b->runs[b->num_runs++] = (ft_jinja_run){(uint32_t)bytes, origin};
}

void ft_jinja_put(ft_jinja_builder *b, const char *text, size_t bytes, uint32_t origin) {
  if (b->err != FT_OK || bytes == 0) return;
  grow(b, bytes);
  if (b->err != FT_OK) return;
  memcpy(b->text + b->bytes, text, bytes);
  b->bytes += bytes;
  add_run(b, bytes, origin | b->mark);
}

void ft_jinja_put_text(ft_jinja_builder *b, const char *text) {
  ft_jinja_put(b, text, strlen(text), 0);
}

void ft_jinja_put_part(ft_jinja_builder *b, const ft_jinja_string *s, size_t begin, size_t end) {
  if (s->num_runs == 0) {
    ft_jinja_put(b, s->text + begin, end - begin, s->origin);
    return;
  }
  size_t at = 0;
  for (int64_t i = 0; i < s->num_runs && at < end; i++) {
    size_t run_end = at + s->runs[i].bytes, from = FT_MAX(at, begin), to = FT_MIN(run_end, end);
    if (from < to) ft_jinja_put(b, s->text + from, to - from, s->runs[i].origin);
    at = run_end;
  }
}

ft_err ft_jinja_built(ft_jinja_builder *b, ft_jinja_value *out) {
  if (b->err != FT_OK) return b->err;
  ft_jinja_string s = {
      .text = b->text, .bytes = b->bytes, .runs = b->runs, .num_runs = b->num_runs};
  if (!s.text) s.text = "";
  if (s.num_runs == 1) {
    s.origin = s.runs[0].origin;
    s.num_runs = 0;
  }
  return new_string(b->arena, s, out);
}
