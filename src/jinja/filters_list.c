/* Filters of lists and objects. */
#include "state.h"

/* ---------------------------------------------------------------- attributes by path
 * The argument `attribute` of many filters: "a.b.0", or a number. */

typedef struct path {
  jinja_value keys[16];
  int count;
  bool ignores_case;
  const jinja_value *missing; /* instead of undefined; NULL: none */
} path;

static bool is_digits(const jinja_string *text) {
  for (size_t i = 0; i < text->bytes; i++)
    if (text->text[i] < '0' || text->text[i] > '9') return false;
  return text->bytes > 0 && text->bytes < 10;
}

/* attribute: none makes the empty path, the value itself. */
static ft_err path_of(jinja_state *s, jinja_value attribute, path *out) {
  ft_err err = FT_OK;
  const jinja_string *text;
  out->count = 0;
  if (attribute.type == JINJA_NONE) return FT_OK;
  if (attribute.type == JINJA_INT) {
    out->keys[out->count++] = attribute;
    return FT_OK;
  }
  FT_TRY(jinja_want_string(attribute, "the attribute", &text));
  for (size_t at = 0; at <= text->bytes;) {
    int64_t dot =
        jinja_string_find(text, at, text->bytes, &(jinja_string){.text = ".", .bytes = 1});
    size_t end = dot < 0 ? text->bytes : (size_t)dot;
    jinja_value key;
    FT_CHECK(out->count < 16, FT_ERR_DATA, "an attribute of more than 16 parts");
    FT_TRY(jinja_string_part(s->arena, text, at, end, &key));
    if (is_digits(key.string)) {
      int64_t index = 0;
      for (size_t i = 0; i < key.string->bytes; i++)
        index = index * 10 + (key.string->text[i] - '0');
      key = jinja_int(index);
    }
    out->keys[out->count++] = key;
    at = end + 1;
  }
out:
  return err;
}

static ft_err lower_of(jinja_state *s, jinja_value v, jinja_value *out) {
  static const jinja_arguments none = {0};
  *out = v;
  if (v.type != JINJA_STRING) return FT_OK;
  return jinja_run_builtin(s, jinja_find_method(v, "lower"), v, &none, out);
}

static ft_err follow(jinja_state *s, const path *p, jinja_value v, jinja_value *out) {
  ft_err err = FT_OK;
  *out = v;
  for (int i = 0; i < p->count; i++) {
    jinja_value inside = *out;
    FT_TRY(jinja_item(s, inside, p->keys[i], out));
    if (p->missing && out->type == JINJA_UNDEFINED) *out = *p->missing;
  }
  if (p->ignores_case) FT_TRY(lower_of(s, *out, out));
out:
  return err;
}

/* ---------------------------------------------------------------- one member, or a number */

static ft_err length(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)g;
  int64_t count;
  ft_err err = jinja_length(s, v, &count);
  *out = jinja_int(count);
  return err;
}

static ft_err first(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)g;
  jinja_list *members;
  if (v.type == JINJA_ITERATOR) {
    bool left = v.list->taken < v.list->count;
    *out = left ? v.list->items[v.list->taken++] : jinja_undefined("the first of no items");
    return FT_OK;
  }
  ft_err err = jinja_members(s, v, &members);
  if (err != FT_OK) return err;
  *out = members->count > 0 ? members->items[0] : jinja_undefined("the first of no items");
  return FT_OK;
}

static ft_err last(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)g;
  jinja_list *members;
  if (v.type == JINJA_ITERATOR || v.type == JINJA_UNDEFINED)
    return ft_fail(FT_ERR_DATA, "a %s cannot be reversed", jinja_type_name(v));
  ft_err err = jinja_members(s, v, &members);
  if (err != FT_OK) return err;
  *out = members->count > 0 ? members->items[members->count - 1]
                            : jinja_undefined("the last of no items");
  return FT_OK;
}

static ft_err extreme(jinja_state *s, jinja_value v, const jinja_given *g, int wanted,
                      jinja_value *out) {
  ft_err err = FT_OK;
  jinja_list *members;
  path p = {.ignores_case = !(g->has[0] && jinja_truth(g->at[0]))};
  jinja_value best, key;
  FT_TRY(path_of(s, g->has[1] ? g->at[1] : jinja_none(), &p));
  FT_TRY(jinja_members(s, v, &members));
  FT_TRY(jinja_work(s, members->count));
  *out = jinja_undefined("an extreme of no items");
  for (int64_t i = 0; i < members->count; i++) {
    int order = wanted;
    FT_TRY(follow(s, &p, members->items[i], &key));
    if (i > 0) FT_TRY(jinja_order(key, best, 0, &order));
    if (order != wanted) continue;
    best = key;
    *out = members->items[i];
  }
out:
  return err;
}

static ft_err min(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return extreme(s, v, g, -1, out);
}

static ft_err max(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  return extreme(s, v, g, 1, out);
}

static ft_err sum(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  ft_err err = FT_OK;
  jinja_list *members;
  path p = {0};
  FT_TRY(path_of(s, g->has[0] ? g->at[0] : jinja_none(), &p));
  FT_TRY(jinja_members(s, v, &members));
  *out = g->has[1] ? g->at[1] : jinja_int(0);
  FT_CHECK(out->type != JINJA_STRING, FT_ERR_DATA, "strings cannot be summed");
  for (int64_t i = 0; i < members->count; i++) {
    jinja_value item, before = *out;
    FT_TRY(follow(s, &p, members->items[i], &item));
    FT_TRY(jinja_binary(s, JINJA_ADD, before, item, out));
  }
out:
  return err;
}

static ft_err join(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  ft_err err = FT_OK;
  jinja_list *members;
  const jinja_string *between = NULL;
  path p = {0};
  jinja_builder b = jinja_builder_on(s->arena);
  FT_TRY(path_of(s, g->has[1] ? g->at[1] : jinja_none(), &p));
  if (g->has[0]) FT_TRY(jinja_to_string(s->arena, g->at[0], &between));
  FT_TRY(jinja_members(s, v, &members));
  for (int64_t i = 0; i < members->count; i++) {
    jinja_value item;
    FT_TRY(follow(s, &p, members->items[i], &item));
    if (i > 0 && between) jinja_put_string(&b, between);
    FT_TRY(jinja_print(&b, item));
  }
  FT_TRY(jinja_work(s, members->count + (int64_t)b.bytes / 16));
  FT_TRY(jinja_built(&b, out));
out:
  return err;
}

/* ---------------------------------------------------------------- other lists */

static ft_err list(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)g;
  jinja_list *members;
  ft_err err = jinja_members(s, v, &members);
  return err == FT_OK ? jinja_copy_list(s, members, JINJA_LIST, out) : err;
}

static ft_err reverse(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)g;
  ft_err err = FT_OK;
  jinja_list *members;
  if (v.type == JINJA_STRING) {
    const jinja_value bounds[] = {jinja_none(), jinja_none(), jinja_int(-1)};
    return jinja_slice(s, v, bounds, out);
  }
  FT_TRY(jinja_members(s, v, &members));
  FT_TRY(jinja_copy_list(s, members, v.type == JINJA_ITERATOR ? JINJA_LIST : JINJA_ITERATOR, out));
  for (int64_t i = 0; i < members->count; i++)
    out->list->items[i] = members->items[members->count - 1 - i];
out:
  return err;
}

static ft_err sort(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  ft_err err = FT_OK;
  jinja_list *members;
  path p = {.ignores_case = !(g->has[1] && jinja_truth(g->at[1]))};
  bool by_list = g->has[2] && g->at[2].type == JINJA_STRING &&
                 memchr(g->at[2].string->text, ',', g->at[2].string->bytes);
  FT_CHECK(!by_list, FT_ERR_DATA, "several attributes at once are not supported");
  FT_TRY(path_of(s, g->has[2] ? g->at[2] : jinja_none(), &p));
  FT_TRY(jinja_members(s, v, &members));
  FT_TRY(jinja_copy_list(s, members, JINJA_LIST, out));
  jinja_value *keys = jinja_alloc(s->arena, (size_t)members->count * sizeof *keys);
  if (!keys) return s->arena->failed;
  for (int64_t i = 0; i < members->count; i++) { /* lists of one: equal keys need no order */
    FT_TRY(jinja_list_new(s->arena, JINJA_LIST, 1, &keys[i]));
    FT_TRY(follow(s, &p, members->items[i], &keys[i].list->items[0]));
  }
  FT_TRY(jinja_work(s, members->count * 8));
  FT_TRY(jinja_sort(s->arena, keys, out->list->items, members->count,
                    g->has[0] && jinja_truth(g->at[0])));
out:
  return err;
}

static ft_err unique(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  ft_err err = FT_OK;
  jinja_list *members;
  path p = {.ignores_case = !(g->has[0] && jinja_truth(g->at[0]))};
  int64_t kept = 0;
  FT_TRY(path_of(s, g->has[1] ? g->at[1] : jinja_none(), &p));
  FT_TRY(jinja_members(s, v, &members));
  FT_TRY(jinja_copy_list(s, members, JINJA_ITERATOR, out));
  jinja_value *keys = jinja_alloc(s->arena, (size_t)members->count * sizeof *keys);
  if (!keys) return s->arena->failed;
  for (int64_t i = 0; i < members->count; i++) {
    bool seen = false;
    FT_TRY(follow(s, &p, members->items[i], &keys[kept]));
    FT_TRY(jinja_work(s, kept));
    for (int64_t k = 0; k < kept && !seen; k++)
      seen = jinja_equal(keys[k], keys[kept]);
    if (!seen) out->list->items[kept++] = members->items[i];
  }
  out->list->count = kept;
out:
  return err;
}

static ft_err batch(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  ft_err err = FT_OK;
  jinja_list *members;
  int64_t size;
  bool fills = g->has[1] && g->at[1].type != JINJA_NONE;
  FT_TRY(jinja_want_whole(g->at[0], "the size of a batch", &size));
  FT_CHECK(size > 0 && size <= JINJA_MAX_RANGE, FT_ERR_DATA, "a batch of %lld", (long long)size);
  FT_TRY(jinja_members(s, v, &members));
  FT_TRY(jinja_work(s, members->count));
  FT_TRY(jinja_list_new(s->arena, JINJA_ITERATOR, ft_ceil_div(members->count, size), out));
  for (int64_t i = 0; i < out->list->count; i++) {
    int64_t left = members->count - i * size, count = fills ? size : FT_MIN(size, left);
    FT_TRY(jinja_list_new(s->arena, JINJA_LIST, count, &out->list->items[i]));
    for (int64_t k = 0; k < count; k++)
      out->list->items[i].list->items[k] = k < left ? members->items[i * size + k] : g->at[1];
  }
out:
  return err;
}

static ft_err slice(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  ft_err err = FT_OK;
  jinja_list *members;
  int64_t slices, at = 0;
  bool fills = g->has[1] && g->at[1].type != JINJA_NONE;
  FT_TRY(jinja_want_whole(g->at[0], "the number of slices", &slices));
  FT_CHECK(slices > 0 && slices <= JINJA_MAX_RANGE, FT_ERR_DATA, "%lld slices", (long long)slices);
  FT_TRY(jinja_members(s, v, &members));
  FT_TRY(jinja_work(s, members->count + slices));
  FT_TRY(jinja_list_new(s->arena, JINJA_ITERATOR, slices, out));
  for (int64_t i = 0; i < slices; i++) {
    bool longer = i < members->count % slices;
    int64_t count = members->count / slices + longer;
    jinja_value *part = &out->list->items[i];
    FT_TRY(jinja_list_new(s->arena, JINJA_LIST, count + (fills && !longer), part));
    for (int64_t k = 0; k < count; k++)
      part->list->items[k] = members->items[at++];
    if (fills && !longer) part->list->items[count] = g->at[1];
  }
out:
  return err;
}

/* ---------------------------------------------------------------- objects */

/* A tuple of two. */
static ft_err pair(jinja_state *s, jinja_value a, jinja_value b, jinja_value *out) {
  ft_err err = jinja_list_new(s->arena, JINJA_TUPLE, 2, out);
  if (err != FT_OK) return err;
  out->list->items[0] = a;
  out->list->items[1] = b;
  return FT_OK;
}

static ft_err items(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  (void)g;
  ft_err err = FT_OK;
  if (v.type == JINJA_UNDEFINED) return jinja_list_new(s->arena, JINJA_ITERATOR, 0, out);
  FT_CHECK(v.type == JINJA_DICT, FT_ERR_DATA, "a %s has no items", jinja_type_name(v));
  FT_TRY(jinja_list_new(s->arena, JINJA_ITERATOR, v.dict->count, out));
  for (int64_t i = 0; i < v.dict->count; i++)
    FT_TRY(pair(s, v.dict->entries[i].key, v.dict->entries[i].value, &out->list->items[i]));
out:
  return err;
}

static ft_err dictsort(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  ft_err err = FT_OK;
  bool ignores_case = !(g->has[0] && jinja_truth(g->at[0])), by_value = false;
  FT_CHECK(v.type == JINJA_DICT, FT_ERR_DATA, "a %s has no items", jinja_type_name(v));
  if (g->has[1]) {
    const jinja_string *by;
    FT_TRY(jinja_want_string(g->at[1], "\"by\"", &by));
    by_value = jinja_string_is(by, "value");
    FT_CHECK(by_value || jinja_string_is(by, "key"), FT_ERR_DATA,
             "You can only sort by either \"key\" or \"value\"");
  }
  FT_TRY(items(s, v, g, out));
  out->type = JINJA_LIST;
  jinja_value *keys = jinja_alloc(s->arena, (size_t)v.dict->count * sizeof *keys);
  if (!keys) return s->arena->failed;
  for (int64_t i = 0; i < v.dict->count; i++) {
    keys[i] = out->list->items[i].list->items[by_value];
    if (ignores_case) FT_TRY(lower_of(s, keys[i], &keys[i]));
  }
  FT_TRY(jinja_work(s, v.dict->count * 8));
  FT_TRY(jinja_sort(s->arena, keys, out->list->items, v.dict->count,
                    g->has[2] && jinja_truth(g->at[2])));
out:
  return err;
}

/* Groups of (key, members), sorted by the key. */
static ft_err groupby(jinja_state *s, jinja_value v, const jinja_given *g, jinja_value *out) {
  ft_err err = FT_OK;
  jinja_value sorted, key, previous = jinja_none(), shown, members;
  path p = {.missing = g->has[1] && g->at[1].type != JINJA_NONE ? &g->at[1] : NULL};
  FT_TRY(path_of(s, g->at[0], &p));
  path compared = p;
  compared.ignores_case = !(g->has[2] && jinja_truth(g->at[2]));
  FT_TRY(list(s, v, g, &sorted));
  int64_t count = sorted.list->count, groups = 0;
  jinja_value *keys = jinja_alloc(s->arena, (size_t)count * sizeof *keys);
  if (!keys) return s->arena->failed;
  for (int64_t i = 0; i < count; i++)
    FT_TRY(follow(s, &compared, sorted.list->items[i], &keys[i]));
  FT_TRY(jinja_sort(s->arena, keys, sorted.list->items, count, false));
  FT_TRY(jinja_list_new(s->arena, JINJA_LIST, count, out));
  for (int64_t i = 0; i < count; i++) {
    jinja_value item = sorted.list->items[i];
    key = keys[i];
    if (i == 0 || !jinja_equal(key, previous)) {
      FT_TRY(follow(s, &p, item, &shown));
      FT_TRY(jinja_list_new(s->arena, JINJA_LIST, count - i, &members));
      members.list->count = 0;
      FT_TRY(pair(s, shown, members, &out->list->items[groups++]));
    }
    members.list->items[members.list->count++] = item;
    previous = key;
  }
  out->list->count = groups;
  FT_TRY(jinja_work(s, count * 8));
out:
  return err;
}

/* ---------------------------------------------------------------- map, select, reject */

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
  path p = {.missing = missing && missing->type != JINJA_NONE ? missing : NULL};
  FT_CHECK(attribute && g->all->num_named == 1 + (missing != NULL), FT_ERR_DATA,
           "a filter's name or attribute=… was expected");
  FT_TRY(path_of(s, *attribute, &p));
  for (int64_t i = 0; i < members->count; i++) {
    jinja_value item = members->items[i];
    FT_TRY(follow(s, &p, item, &members->items[i]));
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
  path p = {0};
  int64_t used = by_attribute, kept = 0;
  if (!jinja_truth(v)) return jinja_list_new(s->arena, JINJA_ITERATOR, 0, out);
  FT_CHECK(g->all->count >= used, FT_ERR_DATA, "the attribute's name is missing");
  if (by_attribute) FT_TRY(path_of(s, g->all->positional[0], &p));
  if (g->all->count > used) FT_TRY(name_of(s, g->all->positional[used++], &name));
  jinja_arguments rest = without_first(g->all, used);
  FT_TRY(jinja_members(s, v, &members));
  FT_TRY(jinja_copy_list(s, members, JINJA_ITERATOR, out));
  for (int64_t i = 0; i < members->count; i++) {
    jinja_value tested;
    bool is;
    FT_TRY(jinja_work(s, 1));
    FT_TRY(follow(s, &p, members->items[i], &tested));
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

const jinja_builtin jinja_list_filters[] = {
    {"batch", "linecount,fill_with", 1, batch},
    {"count", "", 0, length},
    {"dictsort", "case_sensitive,by,reverse", 0, dictsort},
    {"first", "", 0, first},
    {"groupby", "attribute,default,case_sensitive", 1, groupby},
    {"items", "", 0, items},
    {"join", "d,attribute", 0, join},
    {"last", "", 0, last},
    {"length", "", 0, length},
    {"list", "", 0, list},
    {"map", NULL, 0, map},
    {"max", "case_sensitive,attribute", 0, max},
    {"min", "case_sensitive,attribute", 0, min},
    {"reject", NULL, 0, reject},
    {"rejectattr", NULL, 0, rejectattr},
    {"reverse", "", 0, reverse},
    {"select", NULL, 0, select_members},
    {"selectattr", NULL, 0, selectattr},
    {"slice", "slices,fill_with", 1, slice},
    {"sort", "reverse,case_sensitive,attribute", 0, sort},
    {"sum", "attribute,start", 0, sum},
    {"unique", "case_sensitive,attribute", 0, unique},
    {0}};
