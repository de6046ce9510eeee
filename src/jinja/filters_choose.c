/* Filters that apply a filter or a test to every member: map, select, reject. */
#include "path.h"

static const ft_jinja_value *named(const ft_jinja_arguments *all, const char *name) {
  for (int64_t i = 0; i < all->num_named; i++)
    if (strcmp(all->names[i], name) == 0) return &all->named[i];
  return NULL;
}

/* A filter's or test's name, given as a string. */
static ft_err name_of(ft_jinja_state *s, ft_jinja_value v, char **out) {
  const ft_jinja_string *text;
  ft_err err = ft_jinja_want_string(v, "the name of a filter or test", &text);
  if (err != FT_OK) return err;
  *out = ft_jinja_alloc(s->arena, text->bytes + 1);
  if (!*out) return s->arena->failed;
  memcpy(*out, text->text, text->bytes);
  return FT_OK;
}

static ft_jinja_arguments without_first(const ft_jinja_arguments *all, int64_t count) {
  ft_jinja_arguments rest = *all;
  if (count > 0) rest.positional += count;
  rest.count -= count;
  return rest;
}

static ft_err map_attribute(ft_jinja_state *s, ft_jinja_list *members, const ft_jinja_given *g) {
  ft_err err = FT_OK;
  const ft_jinja_value *attribute = named(g->all, "attribute"), *missing = named(g->all, "default");
  ft_jinja_path p = {.missing = missing && missing->type != JINJA_NONE ? missing : NULL};
  FT_CHECK(attribute && g->all->num_named == 1 + (missing != NULL), FT_ERR_DATA,
           "a filter's name or attribute=… was expected");
  FT_TRY(ft_jinja_path_of(s, *attribute, &p));
  for (int64_t i = 0; i < members->count; i++) {
    ft_jinja_value item = members->items[i];
    FT_TRY(ft_jinja_path_follow(s, &p, item, &members->items[i]));
  }
out:
  return err;
}

static ft_err map(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                  ft_jinja_value *out) {
  ft_err err = FT_OK;
  char *name;
  ft_jinja_list *members;
  if (!ft_jinja_truth(v)) return ft_jinja_list_new(s->arena, JINJA_ITERATOR, 0, out);
  FT_TRY(ft_jinja_members(s, v, &members));
  FT_TRY(ft_jinja_copy_list(s, members, JINJA_ITERATOR, out));
  if (g->all->count == 0) return map_attribute(s, out->list, g);
  ft_jinja_arguments rest = without_first(g->all, 1);
  FT_TRY(name_of(s, g->all->positional[0], &name));
  for (int64_t i = 0; i < members->count; i++) {
    FT_TRY(ft_jinja_work(s, 1));
    FT_TRY(ft_jinja_filter(s, ft_jinja_find_filter(name), name, members->items[i], &rest,
                           &out->list->items[i]));
  }
out:
  return err;
}

/* Members for which a test (or their truth) is as wanted. */
enum { BY_ATTRIBUTE = 1, REJECTED = 2 };
static ft_err choose(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                     ft_jinja_value *out) {
  ft_err err = FT_OK;
  bool by_attribute = g->variant & BY_ATTRIBUTE, wanted = !(g->variant & REJECTED);
  char *name = NULL;
  ft_jinja_list *members;
  ft_jinja_path p = {0};
  int64_t used = by_attribute, kept = 0;
  if (!ft_jinja_truth(v)) return ft_jinja_list_new(s->arena, JINJA_ITERATOR, 0, out);
  FT_CHECK(g->all->count >= used, FT_ERR_DATA, "the attribute's name is missing");
  if (by_attribute) FT_TRY(ft_jinja_path_of(s, g->all->positional[0], &p));
  if (g->all->count > used) FT_TRY(name_of(s, g->all->positional[used++], &name));
  ft_jinja_arguments rest = without_first(g->all, used);
  FT_TRY(ft_jinja_members(s, v, &members));
  FT_TRY(ft_jinja_copy_list(s, members, JINJA_ITERATOR, out));
  for (int64_t i = 0; i < members->count; i++) {
    ft_jinja_value tested;
    bool is;
    FT_TRY(ft_jinja_work(s, 1));
    FT_TRY(ft_jinja_path_follow(s, &p, members->items[i], &tested));
    is = ft_jinja_truth(tested);
    if (name) FT_TRY(ft_jinja_test(s, name, tested, &rest, &is));
    if (is == wanted) out->list->items[kept++] = members->items[i];
  }
  out->list->count = kept;
out:
  return err;
}

const ft_jinja_builtin ft_jinja_choosing_filters[] = {
    {"map", NULL, 0, map, 0},
    {"reject", NULL, 0, choose, REJECTED},
    {"rejectattr", NULL, 0, choose, BY_ATTRIBUTE | REJECTED},
    {"select", NULL, 0, choose, 0},
    {"selectattr", NULL, 0, choose, BY_ATTRIBUTE},
    {0}};
