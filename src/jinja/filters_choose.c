/* Filters that apply a filter or a test to every member: map, select, reject. */
#include "path.h"

static const jinja_value *named(const jinja_arguments *all, const char *name) {
  for (int64_t i = 0; i < all->num_named; i++)
    if (strcmp(all->names[i], name) == 0) return &all->named[i];
  return NULL;
}

/* A filter's or test's name, given as a string. */
static ft_err name_of(jinja_state *s, jinja_value v, char **out) {
  const jinja_string *text;
  ft_err err = jinja_want_string(v, "the name of a filter or test", &text);
  if (err != FT_OK) return err;
  *out = jinja_alloc(s->arena, text->bytes + 1);
  if (!*out) return s->arena->failed;
  memcpy(*out, text->text, text->bytes);
  return FT_OK;
}

static jinja_arguments without_first(const jinja_arguments *all, int64_t count) {
  jinja_arguments rest = *all;
  if (count > 0) rest.positional += count;
  rest.count -= count;
  return rest;
}

static ft_err map_attribute(jinja_state *s, jinja_list *members, const jinja_given *g) {
  ft_err err = FT_OK;
  const jinja_value *attribute = named(g->all, "attribute"), *missing = named(g->all, "default");
  jinja_path p = {.missing = missing && missing->type != JINJA_NONE ? missing : NULL};
  FT_CHECK(attribute && g->all->num_named == 1 + (missing != NULL), FT_ERR_DATA,
           "a filter's name or attribute=… was expected");
  FT_TRY(jinja_path_of(s, *attribute, &p));
  for (int64_t i = 0; i < members->count; i++) {
    jinja_value item = members->items[i];
    FT_TRY(jinja_path_follow(s, &p, item, &members->items[i]));
  }
out:
  return err;
}

static ft_err map(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  ft_err err = FT_OK;
  char *name;
  jinja_list *members;
  if (!jinja_truth(v)) return jinja_list_new(s->arena, JINJA_ITERATOR, 0, out);
  FT_TRY(jinja_members(s, v, &members));
  FT_TRY(jinja_copy_list(s, members, JINJA_ITERATOR, out));
  if (g->all->count == 0) return map_attribute(s, out->list, g);
  jinja_arguments rest = without_first(g->all, 1);
  FT_TRY(name_of(s, g->all->positional[0], &name));
  for (int64_t i = 0; i < members->count; i++) {
    FT_TRY(jinja_work(s, 1));
    FT_TRY(jinja_filter(s, jinja_find_filter(name), name, members->items[i], &rest,
                        &out->list->items[i]));
  }
out:
  return err;
}

/* Members for which a test (or their truth) is as wanted; of an attribute if by_attribute. */
static ft_err choose(jinja_state *s, jinja_value v, const jinja_given *g, bool by_attribute,
                     bool wanted, jinja_value *out) {
  ft_err err = FT_OK;
  char *name = NULL;
  jinja_list *members;
  jinja_path p = {0};
  int64_t used = by_attribute, kept = 0;
  if (!jinja_truth(v)) return jinja_list_new(s->arena, JINJA_ITERATOR, 0, out);
  FT_CHECK(g->all->count >= used, FT_ERR_DATA, "the attribute's name is missing");
  if (by_attribute) FT_TRY(jinja_path_of(s, g->all->positional[0], &p));
  if (g->all->count > used) FT_TRY(name_of(s, g->all->positional[used++], &name));
  jinja_arguments rest = without_first(g->all, used);
  FT_TRY(jinja_members(s, v, &members));
  FT_TRY(jinja_copy_list(s, members, JINJA_ITERATOR, out));
  for (int64_t i = 0; i < members->count; i++) {
    jinja_value tested;
    bool is;
    FT_TRY(jinja_work(s, 1));
    FT_TRY(jinja_path_follow(s, &p, members->items[i], &tested));
    is = jinja_truth(tested);
    if (name) FT_TRY(jinja_test(s, name, tested, &rest, &is));
    if (is == wanted) out->list->items[kept++] = members->items[i];
  }
  out->list->count = kept;
out:
  return err;
}

static ft_err select_members(jinja_state *s, jinja_value v, const jinja_given *g,
                             jinja_value *out) {
  return choose(s, v, g, false, true, out);
}

static ft_err reject(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return choose(s, v, g, false, false, out);
}

static ft_err selectattr(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return choose(s, v, g, true, true, out);
}

static ft_err rejectattr(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return choose(s, v, g, true, false, out);
}

const jinja_builtin jinja_choosing_filters[] = {{"map", NULL, 0, map},
                                                {"reject", NULL, 0, reject},
                                                {"rejectattr", NULL, 0, rejectattr},
                                                {"select", NULL, 0, select_members},
                                                {"selectattr", NULL, 0, selectattr},
                                                {0}};
