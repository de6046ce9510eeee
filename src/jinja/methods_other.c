/* Methods of objects, lists and loops. */
#include "state.h"

/* ---------------------------------------------------------------- objects */

static ft_err get(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                  ft_jinja_value *out) {
  (void)s;
  if (g->at[0].type == JINJA_LIST || g->at[0].type == JINJA_DICT)
    return ft_fail(FT_ERR_DATA, "a %s cannot be a key", ft_jinja_type_name(g->at[0]));
  const ft_jinja_value *found = ft_jinja_dict_find(v.dict, g->at[0]);
  *out = found ? *found : g->has[1] ? g->at[1] : ft_jinja_none();
  return FT_OK;
}

typedef enum part { KEYS, VALUES, ITEMS } part;

/* The variant is the part. */
static ft_err view(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                   ft_jinja_value *out) {
  const ft_jinja_dict *dict = v.dict;
  part which = (part)g->variant;
  static const char *const names[] = {"dict_keys", "dict_values", "dict_items"};
  ft_err err = ft_jinja_list_new(s->arena, JINJA_VIEW, dict->count, out);
  if (err != FT_OK) return err;
  out->list->view = names[which];
  for (int64_t i = 0; i < dict->count && err == FT_OK; i++) {
    const ft_jinja_entry *entry = &dict->entries[i];
    ft_jinja_value *item = &out->list->items[i];
    *item = which == KEYS ? entry->key : entry->value;
    if (which != ITEMS) continue;
    const ft_jinja_value both[] = {entry->key, entry->value};
    err = ft_jinja_list_of(s->arena, JINJA_TUPLE, both, 2, item);
  }
  return err;
}

static ft_err copy_dict(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                        ft_jinja_value *out) {
  (void)g;
  ft_err err = FT_OK;
  ft_jinja_dict *copy;
  FT_TRY(ft_jinja_dict_new(s->arena, v.dict->count, &copy));
  for (int64_t i = 0; i < v.dict->count; i++)
    copy->entries[copy->count++] = v.dict->entries[i];
  *out = (ft_jinja_value){.type = JINJA_DICT, .dict = copy};
out:
  return err;
}

const ft_jinja_builtin ft_jinja_dict_methods[] = {
    {"copy", "", 0, copy_dict, 0},   {"get", "/key,default", 1, get, 0},
    {"items", "", 0, view, ITEMS},   {"keys", "", 0, view, KEYS},
    {"values", "", 0, view, VALUES}, {0}};

/* ---------------------------------------------------------------- lists */

static ft_err copy_list(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                        ft_jinja_value *out) {
  (void)g;
  return ft_jinja_copy_list(s, v.list, JINJA_LIST, out);
}

static ft_err count(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                    ft_jinja_value *out) {
  int64_t found = 0;
  for (int64_t i = 0; i < v.list->count; i++)
    found += ft_jinja_equal(v.list->items[i], g->at[0]);
  *out = ft_jinja_int(found);
  return ft_jinja_work(s, v.list->count);
}

static ft_err index_of(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                       ft_jinja_value *out) {
  ft_err err = ft_jinja_work(s, v.list->count);
  if (err != FT_OK) return err;
  for (int64_t i = 0; i < v.list->count; i++)
    if (ft_jinja_equal(v.list->items[i], g->at[0])) {
      *out = ft_jinja_int(i);
      return FT_OK;
    }
  return ft_fail(FT_ERR_DATA, "the value is not in the list");
}

const ft_jinja_builtin ft_jinja_list_methods[] = {{"copy", "", 0, copy_list, 0},
                                                  {"count", "/value", 1, count, 0},
                                                  {"index", "/value", 1, index_of, 0},
                                                  {0}};

/* ---------------------------------------------------------------- loops */

static ft_err cycle(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                    ft_jinja_value *out) {
  (void)s;
  if (g->all->count == 0 || g->all->num_named > 0)
    return ft_fail(FT_ERR_DATA, "no items for cycling given");
  *out = g->all->positional[v.loop->index0 % g->all->count];
  return FT_OK;
}

static ft_err changed(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                      ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_value now;
  FT_CHECK(g->all->num_named == 0, FT_ERR_DATA, "loop.changed takes no keyword arguments");
  FT_TRY(ft_jinja_list_of(s->arena, JINJA_TUPLE, g->all->positional, g->all->count, &now));
  *out = ft_jinja_bool(!ft_jinja_equal(v.loop->changed, now));
  v.loop->changed = now;
out:
  return err;
}

const ft_jinja_builtin ft_jinja_loop_methods[] = {
    {"changed", NULL, 0, changed, 0}, {"cycle", NULL, 0, cycle, 0}, {0}};
