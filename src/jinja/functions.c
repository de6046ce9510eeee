/* The functions that a template finds: those of Jinja's sandbox, and what transformers adds. */
#include <stdlib.h>

#include "state.h"

static ft_err raise_exception(ft_jinja_state *s, ft_jinja_value self, const ft_jinja_given *g,
                              ft_jinja_value *out) {
  (void)self;
  (void)out;
  const ft_jinja_string *message;
  ft_err err = ft_jinja_to_string(s->arena, g->at[0], &message);
  if (err != FT_OK) return err;
  return ft_fail(FT_ERR_DATA, "the template refuses this: %.*s", (int)FT_MIN(message->bytes, 400),
                 message->text);
}

static ft_err strftime_now(ft_jinja_state *s, ft_jinja_value self, const ft_jinja_given *g,
                           ft_jinja_value *out) {
  (void)self;
  ft_err err = FT_OK;
  const ft_jinja_string *format;
  char *pattern, *text;
  enum { ROOM = 1000 };
  FT_TRY(ft_jinja_want_string(g->at[0], "the format of a date", &format));
  FT_CHECK(format->bytes < ROOM / 10 && !memchr(format->text, 0, format->bytes), FT_ERR_DATA,
           "the format of a date is too long");
  pattern = ft_jinja_alloc(s->arena, format->bytes + 2);
  text = ft_jinja_alloc(s->arena, ROOM);
  if (!text) return s->arena->failed;
  memcpy(pattern, format->text, format->bytes);
  pattern[format->bytes] = ' '; /* so that an empty result is not taken for a failure */
  size_t bytes = strftime(text, ROOM, pattern, &s->options->date);
  FT_CHECK(bytes > 0, FT_ERR_DATA, "a date in this format is too long");
  FT_TRY(ft_jinja_string_new(s->arena, text, bytes - 1, 0, out));
out:
  return err;
}

static ft_err range(ft_jinja_state *s, ft_jinja_value self, const ft_jinja_given *g,
                    ft_jinja_value *out) {
  (void)self;
  ft_err err = FT_OK;
  int64_t bounds[3] = {0, 0, 1}, count;
  for (int i = 0; i < 3; i++)
    if (g->has[i]) FT_TRY(ft_jinja_want_whole(g->at[i], "a bound of range", &bounds[i]));
  if (!g->has[1]) {
    bounds[1] = bounds[0];
    bounds[0] = 0;
  }
  FT_CHECK(bounds[2] != 0, FT_ERR_DATA, "range() arg 3 must not be zero");
  int64_t step = bounds[2], distance;
  FT_CHECK(step != INT64_MIN && !__builtin_sub_overflow(bounds[1], bounds[0], &distance) &&
               distance != INT64_MIN,
           FT_ERR_DATA, "a range that is too large");
  bool none = step > 0 ? distance <= 0 : distance >= 0;
  count = none ? 0 : (llabs(distance) - 1) / llabs(step) + 1;
  FT_CHECK(count <= JINJA_MAX_RANGE, FT_ERR_DATA, "the sandbox blocks ranges larger than %d",
           JINJA_MAX_RANGE);
  FT_TRY(ft_jinja_work(s, count));
  FT_TRY(ft_jinja_list_new(s->arena, JINJA_RANGE, count, out));
  out->list->start = bounds[0];
  out->list->stop = bounds[1];
  out->list->step = step;
  for (int64_t i = 0; i < count; i++)
    out->list->items[i] = ft_jinja_int(bounds[0] + i * step);
out:
  return err;
}

/* Adds what dict(…) is made from: an object, or pairs. */
static ft_err add_members(ft_jinja_state *s, ft_jinja_dict *dict, ft_jinja_value from) {
  ft_err err = FT_OK;
  ft_jinja_list *pairs, *two;
  if (from.type == JINJA_DICT) {
    for (int64_t i = 0; i < from.dict->count; i++)
      FT_TRY(ft_jinja_dict_set(s->arena, dict, from.dict->entries[i].key,
                               from.dict->entries[i].value));
    return FT_OK;
  }
  FT_TRY(ft_jinja_members(s, from, &pairs));
  for (int64_t i = 0; i < pairs->count; i++) {
    FT_TRY(ft_jinja_members(s, pairs->items[i], &two));
    FT_CHECK(two->count == 2, FT_ERR_DATA, "a member of a dict is not a pair");
    FT_TRY(ft_jinja_dict_set(s->arena, dict, two->items[0], two->items[1]));
  }
out:
  return err;
}

static ft_err make_dict(ft_jinja_state *s, const ft_jinja_given *g, ft_jinja_dict **out) {
  ft_err err = FT_OK;
  FT_CHECK(g->all->count <= 1, FT_ERR_DATA, "a dict is made from %lld values",
           (long long)g->all->count);
  FT_TRY(ft_jinja_dict_new(s->arena, g->all->num_named, out));
  if (g->all->count == 1) FT_TRY(add_members(s, *out, g->all->positional[0]));
  for (int64_t i = 0; i < g->all->num_named; i++) {
    ft_jinja_value key;
    FT_TRY(ft_jinja_string_literal(s->arena, g->all->names[i], &key));
    FT_TRY(ft_jinja_dict_set(s->arena, *out, key, g->all->named[i]));
  }
out:
  return err;
}

static ft_err dict(ft_jinja_state *s, ft_jinja_value self, const ft_jinja_given *g,
                   ft_jinja_value *out) {
  (void)self;
  ft_jinja_dict *made;
  ft_err err = make_dict(s, g, &made);
  if (err == FT_OK) *out = (ft_jinja_value){.type = JINJA_DICT, .dict = made};
  return err;
}

static ft_err namespace(ft_jinja_state *s, ft_jinja_value self, const ft_jinja_given *g,
                        ft_jinja_value *out) {
  (void)self;
  ft_err err = FT_OK;
  ft_jinja_dict *made;
  FT_TRY(make_dict(s, g, &made));
  for (int64_t i = 0; i < made->count; i++) {
    ft_jinja_value key = made->entries[i].key;
    bool private = key.type == JINJA_STRING && key.string->bytes > 0 && key.string->text[0] == '_';
    FT_CHECK(!private, FT_ERR_DATA, "a namespace has no members that begin with an underscore");
  }
  *out = (ft_jinja_value){.type = JINJA_NAMESPACE, .dict = made};
out:
  return err;
}

static ft_err unsupported(ft_jinja_state *s, ft_jinja_value self, const ft_jinja_given *g,
                          ft_jinja_value *out) {
  (void)s;
  (void)self;
  (void)g;
  (void)out;
  return ft_fail(FT_ERR_DATA, "the functions cycler, joiner and lipsum are not supported");
}

const ft_jinja_function *ft_jinja_find_function(const char *name) {
  static const ft_jinja_function functions[] = {
      {{"range", "/start,stop,step", 1, range, 0}},
      {{"dict", NULL, 0, dict, 0}},
      {{"namespace", NULL, 0, namespace, 0}},
      {{"raise_exception", "message", 1, raise_exception, 0}},
      {{"strftime_now", "format", 1, strftime_now, 0}},
      {{"cycler", NULL, 0, unsupported, 0}},
      {{"joiner", NULL, 0, unsupported, 0}},
      {{"lipsum", NULL, 0, unsupported, 0}}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(functions); i++)
    if (strcmp(functions[i].builtin.name, name) == 0) return &functions[i];
  return NULL;
}
