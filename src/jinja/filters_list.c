/* Filters of lists and objects. */
#include "path.h"

/* ---------------------------------------------------------------- one member, or a number */

static ft_err length(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                     ft_jinja_value *out) {
  (void)g;
  int64_t count;
  ft_err err = ft_jinja_length(s, v, &count);
  *out = ft_jinja_int(count);
  return err;
}

static ft_err first(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                    ft_jinja_value *out) {
  (void)g;
  ft_jinja_list *members;
  if (v.type == JINJA_ITERATOR) {
    bool left = v.list->taken < v.list->count;
    *out = left ? v.list->items[v.list->taken++] : ft_jinja_undefined("the first of no items");
    return FT_OK;
  }
  ft_err err = ft_jinja_members(s, v, &members);
  if (err != FT_OK) return err;
  *out = members->count > 0 ? members->items[0] : ft_jinja_undefined("the first of no items");
  return FT_OK;
}

static ft_err last(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                   ft_jinja_value *out) {
  (void)g;
  ft_jinja_list *members;
  if (v.type == JINJA_ITERATOR || v.type == JINJA_UNDEFINED)
    return ft_fail(FT_ERR_DATA, "a %s cannot be reversed", ft_jinja_type_name(v));
  ft_err err = ft_jinja_members(s, v, &members);
  if (err != FT_OK) return err;
  *out = members->count > 0 ? members->items[members->count - 1]
                            : ft_jinja_undefined("the last of no items");
  return FT_OK;
}

/* The members, and the path that argument `attribute` names: of the values to compare or add. */
static ft_err members_by(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                         int attribute, ft_jinja_path *p, ft_jinja_list **members) {
  ft_jinja_value path = g->has[attribute] ? g->at[attribute] : ft_jinja_none();
  ft_err err = ft_jinja_path_of(s, path, p);
  return err == FT_OK ? ft_jinja_members(s, v, members) : err;
}

/* The variant is the order, to the best so far, of one that is better. */
static ft_err extreme(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                      ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_list *members;
  ft_jinja_path p = {.ignores_case = !ft_jinja_is_on(g, 0)};
  ft_jinja_value best, key;
  FT_TRY(members_by(s, v, g, 1, &p, &members));
  FT_TRY(ft_jinja_work(s, members->count));
  *out = ft_jinja_undefined("an extreme of no items");
  for (int64_t i = 0; i < members->count; i++) {
    int order = g->variant;
    FT_TRY(ft_jinja_path_follow(s, &p, members->items[i], &key));
    if (i > 0) FT_TRY(ft_jinja_order(key, best, 0, &order));
    if (order != g->variant) continue;
    best = key;
    *out = members->items[i];
  }
out:
  return err;
}

static ft_err sum(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                  ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_list *members;
  ft_jinja_path p = {0};
  FT_TRY(members_by(s, v, g, 0, &p, &members));
  *out = g->has[1] ? g->at[1] : ft_jinja_int(0);
  FT_CHECK(out->type != JINJA_STRING, FT_ERR_DATA, "strings cannot be summed");
  for (int64_t i = 0; i < members->count; i++) {
    ft_jinja_value item, before = *out;
    FT_TRY(ft_jinja_path_follow(s, &p, members->items[i], &item));
    FT_TRY(ft_jinja_binary(s, JINJA_ADD, before, item, out));
  }
out:
  return err;
}

static ft_err join(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                   ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_list *members;
  const ft_jinja_string *between = NULL;
  ft_jinja_path p = {0};
  ft_jinja_builder b = ft_jinja_builder_on(s->arena);
  FT_TRY(ft_jinja_path_of(s, g->has[1] ? g->at[1] : ft_jinja_none(), &p));
  if (g->has[0]) FT_TRY(ft_jinja_to_string(s->arena, g->at[0], &between));
  FT_TRY(ft_jinja_members(s, v, &members));
  for (int64_t i = 0; i < members->count; i++) {
    ft_jinja_value item;
    FT_TRY(ft_jinja_path_follow(s, &p, members->items[i], &item));
    if (i > 0 && between) ft_jinja_put_string(&b, between);
    FT_TRY(ft_jinja_print(&b, item));
  }
  FT_TRY(ft_jinja_work(s, members->count + (int64_t)b.bytes / 16));
  FT_TRY(ft_jinja_built(&b, out));
out:
  return err;
}

/* ---------------------------------------------------------------- other lists */

static ft_err list(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                   ft_jinja_value *out) {
  (void)g;
  ft_jinja_list *members;
  ft_err err = ft_jinja_members(s, v, &members);
  return err == FT_OK ? ft_jinja_copy_list(s, members, JINJA_LIST, out) : err;
}

static ft_err reverse(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                      ft_jinja_value *out) {
  (void)g;
  ft_err err = FT_OK;
  ft_jinja_list *members;
  if (v.type == JINJA_STRING) {
    const ft_jinja_value bounds[] = {ft_jinja_none(), ft_jinja_none(), ft_jinja_int(-1)};
    return ft_jinja_slice(s, v, bounds, out);
  }
  FT_TRY(ft_jinja_members(s, v, &members));
  FT_TRY(
      ft_jinja_copy_list(s, members, v.type == JINJA_ITERATOR ? JINJA_LIST : JINJA_ITERATOR, out));
  for (int64_t i = 0; i < members->count; i++)
    out->list->items[i] = members->items[members->count - 1 - i];
out:
  return err;
}

static ft_err sort(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                   ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_list *members;
  ft_jinja_path p = {.ignores_case = !ft_jinja_is_on(g, 1)};
  bool by_list = g->has[2] && g->at[2].type == JINJA_STRING &&
                 memchr(g->at[2].string->text, ',', g->at[2].string->bytes);
  FT_CHECK(!by_list, FT_ERR_DATA, "several attributes at once are not supported");
  FT_TRY(members_by(s, v, g, 2, &p, &members));
  FT_TRY(ft_jinja_copy_list(s, members, JINJA_LIST, out));
  ft_jinja_value *keys = ft_jinja_alloc(s->arena, (size_t)members->count * sizeof *keys);
  if (!keys) return s->arena->failed;
  for (int64_t i = 0; i < members->count; i++) { /* lists of one: equal keys need no order */
    FT_TRY(ft_jinja_list_new(s->arena, JINJA_LIST, 1, &keys[i]));
    FT_TRY(ft_jinja_path_follow(s, &p, members->items[i], &keys[i].list->items[0]));
  }
  FT_TRY(ft_jinja_work(s, members->count * 8));
  FT_TRY(ft_jinja_sort(s->arena, keys, out->list->items, members->count, ft_jinja_is_on(g, 0)));
out:
  return err;
}

static ft_err unique(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                     ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_list *members;
  ft_jinja_path p = {.ignores_case = !ft_jinja_is_on(g, 0)};
  int64_t kept = 0;
  FT_TRY(members_by(s, v, g, 1, &p, &members));
  FT_TRY(ft_jinja_copy_list(s, members, JINJA_ITERATOR, out));
  ft_jinja_value *keys = ft_jinja_alloc(s->arena, (size_t)members->count * sizeof *keys);
  if (!keys) return s->arena->failed;
  for (int64_t i = 0; i < members->count; i++) {
    bool seen = false;
    FT_TRY(ft_jinja_path_follow(s, &p, members->items[i], &keys[kept]));
    FT_CHECK(keys[kept].type != JINJA_LIST && keys[kept].type != JINJA_DICT, FT_ERR_DATA,
             "a %s cannot be told apart", ft_jinja_type_name(keys[kept]));
    FT_TRY(ft_jinja_work(s, kept));
    for (int64_t k = 0; k < kept && !seen; k++)
      seen = ft_jinja_equal(keys[k], keys[kept]);
    if (!seen) out->list->items[kept++] = members->items[i];
  }
  out->list->count = kept;
out:
  return err;
}

static ft_err batch(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                    ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_list *members;
  int64_t size;
  bool fills = g->has[1] && g->at[1].type != JINJA_NONE;
  FT_TRY(ft_jinja_want_whole(g->at[0], "the size of a batch", &size));
  FT_CHECK(size > 0 && size <= JINJA_MAX_RANGE, FT_ERR_DATA, "a batch of %lld", (long long)size);
  FT_TRY(ft_jinja_members(s, v, &members));
  FT_TRY(ft_jinja_work(s, members->count));
  FT_TRY(ft_jinja_list_new(s->arena, JINJA_ITERATOR, ft_ceil_div(members->count, size), out));
  for (int64_t i = 0; i < out->list->count; i++) {
    int64_t left = members->count - i * size, count = fills ? size : FT_MIN(size, left);
    FT_TRY(ft_jinja_list_new(s->arena, JINJA_LIST, count, &out->list->items[i]));
    for (int64_t k = 0; k < count; k++)
      out->list->items[i].list->items[k] = k < left ? members->items[i * size + k] : g->at[1];
  }
out:
  return err;
}

static ft_err slice(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                    ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_list *members;
  int64_t slices, at = 0;
  bool fills = g->has[1] && g->at[1].type != JINJA_NONE;
  FT_TRY(ft_jinja_want_whole(g->at[0], "the number of slices", &slices));
  FT_CHECK(slices > 0 && slices <= JINJA_MAX_RANGE, FT_ERR_DATA, "%lld slices", (long long)slices);
  FT_TRY(ft_jinja_members(s, v, &members));
  FT_TRY(ft_jinja_work(s, members->count + slices));
  FT_TRY(ft_jinja_list_new(s->arena, JINJA_ITERATOR, slices, out));
  for (int64_t i = 0; i < slices; i++) {
    bool longer = i < members->count % slices;
    int64_t count = members->count / slices + longer;
    ft_jinja_value *part = &out->list->items[i];
    FT_TRY(ft_jinja_list_new(s->arena, JINJA_LIST, count + (fills && !longer), part));
    for (int64_t k = 0; k < count; k++)
      part->list->items[k] = members->items[at++];
    if (fills && !longer) part->list->items[count] = g->at[1];
  }
out:
  return err;
}

/* ---------------------------------------------------------------- objects */

/* A tuple of two. */
static ft_err pair(ft_jinja_state *s, ft_jinja_value a, ft_jinja_value b, ft_jinja_value *out) {
  return ft_jinja_list_of(s->arena, JINJA_TUPLE, (const ft_jinja_value[]){a, b}, 2, out);
}

static ft_err items(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                    ft_jinja_value *out) {
  (void)g;
  ft_err err = FT_OK;
  if (v.type == JINJA_UNDEFINED) return ft_jinja_list_new(s->arena, JINJA_ITERATOR, 0, out);
  FT_CHECK(v.type == JINJA_DICT, FT_ERR_DATA, "a %s has no items", ft_jinja_type_name(v));
  FT_TRY(ft_jinja_list_new(s->arena, JINJA_ITERATOR, v.dict->count, out));
  for (int64_t i = 0; i < v.dict->count; i++)
    FT_TRY(pair(s, v.dict->entries[i].key, v.dict->entries[i].value, &out->list->items[i]));
out:
  return err;
}

static ft_err dictsort(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                       ft_jinja_value *out) {
  ft_err err = FT_OK;
  bool ignores_case = !ft_jinja_is_on(g, 0), by_value = false;
  FT_CHECK(v.type == JINJA_DICT, FT_ERR_DATA, "a %s has no items", ft_jinja_type_name(v));
  if (g->has[1]) {
    const ft_jinja_string *by;
    FT_TRY(ft_jinja_want_string(g->at[1], "\"by\"", &by));
    by_value = ft_jinja_string_is(by, "value");
    FT_CHECK(by_value || ft_jinja_string_is(by, "key"), FT_ERR_DATA,
             "You can only sort by either \"key\" or \"value\"");
  }
  FT_TRY(items(s, v, g, out));
  out->type = JINJA_LIST;
  ft_jinja_value *keys = ft_jinja_alloc(s->arena, (size_t)v.dict->count * sizeof *keys);
  if (!keys) return s->arena->failed;
  for (int64_t i = 0; i < v.dict->count; i++) {
    keys[i] = out->list->items[i].list->items[by_value];
    if (ignores_case) FT_TRY(ft_jinja_path_lower(s, keys[i], &keys[i]));
  }
  FT_TRY(ft_jinja_work(s, v.dict->count * 8));
  FT_TRY(ft_jinja_sort(s->arena, keys, out->list->items, v.dict->count, ft_jinja_is_on(g, 2)));
out:
  return err;
}

/* Groups of (key, members), sorted by the key. */
static ft_err groupby(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                      ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_value sorted, key, previous = ft_jinja_none(), shown, members;
  ft_jinja_path p = {.missing = g->has[1] && g->at[1].type != JINJA_NONE ? &g->at[1] : NULL};
  FT_TRY(ft_jinja_path_of(s, g->at[0], &p));
  ft_jinja_path compared = p;
  compared.ignores_case = !ft_jinja_is_on(g, 2);
  FT_TRY(list(s, v, g, &sorted));
  int64_t count = sorted.list->count, groups = 0;
  ft_jinja_value *keys = ft_jinja_alloc(s->arena, (size_t)count * sizeof *keys);
  if (!keys) return s->arena->failed;
  for (int64_t i = 0; i < count; i++)
    FT_TRY(ft_jinja_path_follow(s, &compared, sorted.list->items[i], &keys[i]));
  FT_TRY(ft_jinja_sort(s->arena, keys, sorted.list->items, count, false));
  FT_TRY(ft_jinja_list_new(s->arena, JINJA_LIST, count, out));
  for (int64_t i = 0; i < count; i++) {
    ft_jinja_value item = sorted.list->items[i];
    key = keys[i];
    if (i == 0 || !ft_jinja_equal(key, previous)) {
      FT_TRY(ft_jinja_path_follow(s, &p, item, &shown));
      FT_TRY(ft_jinja_list_new(s->arena, JINJA_LIST, count - i, &members));
      members.list->count = 0;
      FT_TRY(pair(s, shown, members, &out->list->items[groups++]));
    }
    members.list->items[members.list->count++] = item;
    previous = key;
  }
  out->list->count = groups;
  FT_TRY(ft_jinja_work(s, count * 8));
out:
  return err;
}

const ft_jinja_builtin ft_jinja_list_filters[] = {
    {"batch", "linecount,fill_with", 1, batch, 0},
    {"count", "", 0, length, 0},
    {"dictsort", "case_sensitive,by,reverse", 0, dictsort, 0},
    {"first", "", 0, first, 0},
    {"groupby", "attribute,default,case_sensitive", 1, groupby, 0},
    {"items", "", 0, items, 0},
    {"join", "d,attribute", 0, join, 0},
    {"last", "", 0, last, 0},
    {"length", "", 0, length, 0},
    {"list", "", 0, list, 0},
    {"max", "case_sensitive,attribute", 0, extreme, 1},
    {"min", "case_sensitive,attribute", 0, extreme, -1},
    {"reverse", "", 0, reverse, 0},
    {"slice", "slices,fill_with", 1, slice, 0},
    {"sort", "reverse,case_sensitive,attribute", 0, sort, 0},
    {"sum", "attribute,start", 0, sum, 0},
    {"unique", "case_sensitive,attribute", 0, unique, 0},
    {0}};
