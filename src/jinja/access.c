/* What is inside a value: attributes, items, slices, members, `in`. As in the sandbox, what is not
 * there is undefined, and what would change a list or object is forbidden. */
#include "state.h"

ft_err ft_jinja_check_defined(ft_jinja_value v) {
  if (v.type != JINJA_UNDEFINED) return FT_OK;
  if (v.unsafe) return ft_fail(FT_ERR_DATA, "access to %s is unsafe", v.why);
  return ft_fail(FT_ERR_DATA, "%s is undefined", v.why ? v.why : "a value");
}

static ft_jinja_value missing(const char *name) {
  return ft_jinja_undefined(name);
}

static bool is_one_of(const char *name, const char *const names[]) {
  for (int i = 0; names[i]; i++)
    if (strcmp(name, names[i]) == 0) return true;
  return false;
}

/* ---------------------------------------------------------------- attributes */

/* Python's own attribute of a value: methods, a loop's numbers, a namespace's members. False: the
 * value has none of this name. */
static ft_err own_attribute(ft_jinja_state *s, ft_jinja_value a, const char *name, bool *found,
                            ft_jinja_value *out);

static ft_err loop_attribute(const ft_jinja_loop *loop, const char *name, bool *found,
                             ft_jinja_value *out) {
  int64_t count = loop->items->count, i = loop->index0;
  *found = true;
  if (strcmp(name, "index0") == 0)
    *out = ft_jinja_int(i);
  else if (strcmp(name, "index") == 0)
    *out = ft_jinja_int(i + 1);
  else if (strcmp(name, "first") == 0)
    *out = ft_jinja_bool(i == 0);
  else if (strcmp(name, "last") == 0)
    *out = ft_jinja_bool(i == count - 1);
  else if (strcmp(name, "length") == 0)
    *out = ft_jinja_int(count);
  else if (strcmp(name, "revindex") == 0)
    *out = ft_jinja_int(count - i);
  else if (strcmp(name, "revindex0") == 0)
    *out = ft_jinja_int(count - i - 1);
  else if (strcmp(name, "depth") == 0)
    *out = ft_jinja_int(loop->depth0 + 1);
  else if (strcmp(name, "depth0") == 0)
    *out = ft_jinja_int(loop->depth0);
  else if (strcmp(name, "previtem") == 0)
    *out = i > 0 ? loop->items->items[i - 1] : missing("loop.previtem of the first item");
  else if (strcmp(name, "nextitem") == 0)
    *out = i < count - 1 ? loop->items->items[i + 1] : missing("loop.nextitem of the last item");
  else
    *found = false;
  return FT_OK;
}

static ft_err range_attribute(const ft_jinja_list *range, const char *name, bool *found,
                              ft_jinja_value *out) {
  *found = true;
  if (strcmp(name, "start") == 0)
    *out = ft_jinja_int(range->start);
  else if (strcmp(name, "stop") == 0)
    *out = ft_jinja_int(range->stop);
  else if (strcmp(name, "step") == 0)
    *out = ft_jinja_int(range->step);
  else
    *found = false;
  return FT_OK;
}

static ft_err macro_attribute(ft_jinja_state *s, const ft_jinja_macro *macro, const char *name,
                              bool *found, ft_jinja_value *out) {
  *found = strcmp(name, "name") == 0;
  return *found ? ft_jinja_string_literal(s->arena, macro->node->name, out) : FT_OK;
}

/* Methods that the sandbox forbids, as they would change the value. */
static const char *const list_changes[] = {"append", "clear",  "pop",    "reverse", "insert",
                                           "sort",   "extend", "remove", NULL};
static const char *const dict_changes[] = {"clear", "pop", "popitem", "setdefault", "update", NULL};

static bool is_forbidden(ft_jinja_value a, const char *name) {
  return (a.type == JINJA_LIST && is_one_of(name, list_changes)) ||
         (a.type == JINJA_DICT && is_one_of(name, dict_changes));
}

/* Attributes that Python has and that are not supported here. */
static const char *const number_others[] = {
    "real",      "imag",     "numerator",  "denominator", "bit_length",       "bit_count",
    "conjugate", "to_bytes", "from_bytes", "hex",         "as_integer_ratio", "is_integer",
    "fromhex",   NULL};
static const char *const string_others[] = {
    "encode",    "expandtabs", "isidentifier", "isprintable", "maketrans",
    "translate", "format_map", "istitle",      "casefold",    NULL};
static const char *const dict_others[] = {"fromkeys", NULL};
static const char *const view_others[] = {"isdisjoint", "mapping", NULL};

static bool is_unsupported(ft_jinja_value a, const char *name) {
  return (ft_jinja_is_number(a.type) && is_one_of(name, number_others)) ||
         (a.type == JINJA_STRING && is_one_of(name, string_others)) ||
         (a.type == JINJA_DICT && is_one_of(name, dict_others)) ||
         (a.type == JINJA_VIEW && is_one_of(name, view_others));
}

bool ft_jinja_is_other_attribute(const char *name) {
  const char *const *const lists[] = {list_changes,  dict_changes, number_others,
                                      string_others, dict_others,  view_others};
  for (size_t i = 0; i < FT_ARRAY_SIZE(lists); i++)
    if (is_one_of(name, lists[i])) return true;
  return name[0] == '_';
}

static ft_err own_attribute(ft_jinja_state *s, ft_jinja_value a, const char *name, bool *found,
                            ft_jinja_value *out) {
  *found = false;
  if (a.type == JINJA_NAMESPACE) {
    const ft_jinja_value *member = ft_jinja_dict_find_text(a.dict, name);
    *found = member != NULL;
    if (member) *out = *member;
    return FT_OK;
  }
  if (is_forbidden(a, name)) {
    *found = true;
    *out = missing(name);
    out->unsafe = true;
    return FT_OK;
  }
  if (is_unsupported(a, name))
    return ft_fail(FT_ERR_DATA, "\"%s\" of a %s is not supported", name, ft_jinja_type_name(a));
  const ft_jinja_builtin *method = ft_jinja_find_method(a, name);
  if (method) {
    ft_jinja_method *bound = ft_jinja_alloc(s->arena, sizeof *bound);
    if (!bound) return s->arena->failed;
    *bound = (ft_jinja_method){.object = a, .builtin = method};
    *found = true;
    *out = (ft_jinja_value){.type = JINJA_METHOD, .method = bound};
    return FT_OK;
  }
  if (a.type == JINJA_LOOP) return loop_attribute(a.loop, name, found, out);
  if (a.type == JINJA_RANGE) return range_attribute(a.list, name, found, out);
  if (a.type == JINJA_MACRO) return macro_attribute(s, a.macro, name, found, out);
  return FT_OK;
}

/* Names that begin with an underscore: every Python object has such, and none may be looked at. */
static bool is_private(const char *name) {
  static const char *const everywhere[] = {"__class__", "__doc__",  "__init__", "__str__",
                                           "__repr__",  "__dict__", "__eq__",   "__len__",
                                           "__iter__",  "__hash__", NULL};
  return name[0] == '_' && is_one_of(name, everywhere);
}

ft_err ft_jinja_attribute(ft_jinja_state *s, ft_jinja_value a, const char *name, ft_jinja_value key,
                          ft_jinja_value *out) {
  bool found;
  ft_err err = ft_jinja_check_defined(a);
  if (err != FT_OK) return ft_fail_prefix(err, "\"%s\" is asked of it", name);
  if (is_private(name)) {
    *out = missing(name);
    out->unsafe = true;
    return FT_OK;
  }
  err = own_attribute(s, a, name, &found, out);
  if (err != FT_OK || found) return err;
  const ft_jinja_value *item = a.type == JINJA_DICT ? ft_jinja_dict_find(a.dict, key) : NULL;
  *out = item ? *item : missing(name);
  return FT_OK;
}

/* ---------------------------------------------------------------- items */

/* The index of Python's [] in a sequence of this length, or -1. */
static int64_t index_in(int64_t length, ft_jinja_value key) {
  int64_t i = ft_jinja_whole(key);
  if (i < 0) i += length;
  return i >= 0 && i < length ? i : -1;
}

static ft_err character_at(ft_jinja_state *s, const ft_jinja_string *string, ft_jinja_value key,
                           ft_jinja_value *out) {
  int64_t i = index_in(ft_jinja_string_length(string), key);
  *out = missing("a character behind the end");
  if (i < 0) return FT_OK;
  size_t begin = ft_jinja_string_at(string, i);
  return ft_jinja_string_part(s->arena, string, begin, begin + ft_utf8_length(string->text[begin]),
                              out);
}

/* Text of a key that is a string, terminated, for error messages and names. */
static ft_err key_text(ft_jinja_state *s, const ft_jinja_string *key, char **out) {
  *out = ft_jinja_alloc(s->arena, key->bytes + 1);
  if (!*out) return s->arena->failed;
  if (key->bytes > 0) memcpy(*out, key->text, key->bytes);
  return FT_OK;
}

ft_err ft_jinja_item(ft_jinja_state *s, ft_jinja_value a, ft_jinja_value key, ft_jinja_value *out) {
  ft_err err = ft_jinja_check_defined(a);
  if (err != FT_OK) return ft_fail_prefix(err, "an item is asked of it");
  *out = missing("an item");
  if (a.type == JINJA_DICT) {
    const ft_jinja_value *item = ft_jinja_dict_find(a.dict, key);
    if (item) {
      *out = *item;
      return FT_OK;
    }
  }
  if (ft_jinja_is_whole(key.type) && ft_jinja_is_sequence(a.type)) {
    int64_t i = index_in(a.list->count, key);
    if (i >= 0) *out = a.list->items[i];
    return FT_OK;
  }
  if (ft_jinja_is_whole(key.type) && a.type == JINJA_STRING)
    return character_at(s, a.string, key, out);
  if (key.type != JINJA_STRING) return FT_OK;
  char *name;
  bool found;
  err = key_text(s, key.string, &name);
  if (err != FT_OK) return err;
  *out = missing(name);
  if (is_private(name)) {
    out->unsafe = true;
    return FT_OK;
  }
  return own_attribute(s, a, name, &found, out);
}

/* ---------------------------------------------------------------- slices */

/* Python's slice.indices. Errors: FT_ERR_DATA. */
static ft_err slice_bounds(const ft_jinja_value bounds[3], int64_t length, int64_t *start,
                           int64_t *stop, int64_t *step) {
  for (int i = 0; i < 3; i++)
    if (bounds[i].type != JINJA_NONE && !ft_jinja_is_whole(bounds[i].type))
      return ft_fail(FT_ERR_DATA, "a slice's bound is %s, an int was expected",
                     ft_jinja_type_name(bounds[i]));
  *step = bounds[2].type == JINJA_NONE ? 1 : ft_jinja_whole(bounds[2]);
  if (*step == 0) return ft_fail(FT_ERR_DATA, "a slice's step is 0");
  int64_t low = *step < 0 ? -1 : 0, high = *step < 0 ? length - 1 : length;
  int64_t *targets[] = {start, stop};
  for (int i = 0; i < 2; i++) {
    bool first = i == 0;
    if (bounds[i].type == JINJA_NONE) {
      *targets[i] = (*step < 0) == first ? high : low;
      continue;
    }
    int64_t at = ft_jinja_whole(bounds[i]);
    if (at < 0) at = at < -length ? low : at + length;
    *targets[i] = FT_MAX(low, FT_MIN(high, at));
  }
  return FT_OK;
}

static ft_err slice_string(ft_jinja_state *s, const ft_jinja_string *string, int64_t start,
                           int64_t stop, int64_t step, ft_jinja_value *out) {
  if (step == 1) {
    size_t begin = ft_jinja_string_at(string, start);
    size_t end = stop > start ? ft_jinja_string_at(string, stop) : begin;
    return ft_jinja_string_part(s->arena, string, begin, end, out);
  }
  int64_t length = ft_jinja_string_length(string);
  size_t *at = ft_jinja_alloc(s->arena, (size_t)(length + 1) * sizeof *at);
  if (!at) return s->arena->failed;
  for (int64_t i = 0; i < length; i++)
    at[i + 1] = at[i] + ft_utf8_length(string->text[at[i]]);
  ft_jinja_builder b = ft_jinja_builder_on(s->arena);
  for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step)
    ft_jinja_put_part(&b, string, at[i], at[i + 1]);
  ft_err err = ft_jinja_built(&b, out);
  if (err == FT_OK) ((ft_jinja_string *)out->string)->markup = string->markup;
  return err;
}

ft_err ft_jinja_slice(ft_jinja_state *s, ft_jinja_value a, const ft_jinja_value bounds[3],
                      ft_jinja_value *out) {
  ft_err err = FT_OK;
  int64_t length, start = 0, stop = 0, step = 1, count = 0;
  FT_TRY(ft_jinja_check_defined(a));
  bool sliced = ft_jinja_is_sequence(a.type) || a.type == JINJA_STRING;
  FT_CHECK(sliced, FT_ERR_DATA, "a %s cannot be sliced", ft_jinja_type_name(a));
  FT_CHECK(a.type != JINJA_RANGE, FT_ERR_DATA, "a slice of a range is not supported");
  FT_TRY(ft_jinja_length(s, a, &length));
  FT_TRY(ft_jinja_work(s, length / 16));
  FT_TRY(slice_bounds(bounds, length, &start, &stop, &step));
  if (step > INT32_MAX) step = INT32_MAX; /* beyond any length, and no overflow below */
  if (step < -INT32_MAX) step = -INT32_MAX;
  if (a.type == JINJA_STRING) return slice_string(s, a.string, start, stop, step, out);
  for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step)
    count++;
  FT_TRY(ft_jinja_list_new(s->arena, a.type, count, out));
  for (int64_t i = 0; i < count; i++)
    out->list->items[i] = a.list->items[start + i * step];
out:
  return err;
}

/* ---------------------------------------------------------------- members */

static ft_err characters(ft_jinja_state *s, const ft_jinja_string *string, ft_jinja_value *out) {
  ft_err err = FT_OK;
  FT_TRY(ft_jinja_work(s, (int64_t)string->bytes));
  FT_TRY(ft_jinja_list_new(s->arena, JINJA_LIST, ft_jinja_string_length(string), out));
  size_t at = 0;
  for (int64_t i = 0; i < out->list->count; i++) {
    size_t end = at + ft_utf8_length(string->text[at]);
    FT_TRY(ft_jinja_string_part(s->arena, string, at, end, &out->list->items[i]));
    at = end;
  }
out:
  return err;
}

ft_err ft_jinja_members(ft_jinja_state *s, ft_jinja_value v, ft_jinja_list **out) {
  ft_err err = FT_OK;
  ft_jinja_value list;
  switch (v.type) {
  case JINJA_UNDEFINED:
    if (v.unsafe) return ft_jinja_check_defined(v);
    FT_TRY(ft_jinja_list_new(s->arena, JINJA_LIST, 0, &list));
    break;
  case JINJA_STRING:
    FT_TRY(characters(s, v.string, &list));
    break;
  case JINJA_DICT:
    FT_TRY(ft_jinja_list_new(s->arena, JINJA_LIST, v.dict->count, &list));
    for (int64_t i = 0; i < v.dict->count; i++)
      list.list->items[i] = v.dict->entries[i].key;
    break;
  case JINJA_ITERATOR:
    FT_TRY(ft_jinja_list_new(s->arena, JINJA_LIST, v.list->count - v.list->taken, &list));
    for (int64_t i = 0; i < list.list->count; i++)
      list.list->items[i] = v.list->items[v.list->taken + i];
    v.list->taken = v.list->count;
    break;
  default:
    FT_CHECK(ft_jinja_is_listed(v.type), FT_ERR_DATA, "a %s cannot be looped over",
             ft_jinja_type_name(v));
    list = v;
  }
  *out = list.list;
out:
  return err;
}

ft_err ft_jinja_length(ft_jinja_state *s, ft_jinja_value v, int64_t *out) {
  *out = 0;
  if (v.type == JINJA_UNDEFINED && !v.unsafe) return FT_OK;
  if (v.type == JINJA_STRING) {
    *out = ft_jinja_string_length(v.string);
    return ft_jinja_work(s, (int64_t)v.string->bytes / 64);
  }
  if (v.type == JINJA_DICT)
    *out = v.dict->count;
  else if (ft_jinja_is_sequence(v.type) || v.type == JINJA_VIEW)
    *out = v.list->count;
  else if (v.type == JINJA_LOOP)
    *out = v.loop->items->count;
  else
    return ft_fail(FT_ERR_DATA, "a %s has no length", ft_jinja_type_name(v));
  return FT_OK;
}

ft_err ft_jinja_contains(ft_jinja_state *s, ft_jinja_value a, ft_jinja_value b, bool *out) {
  ft_err err = FT_OK;
  ft_jinja_list *members;
  *out = false;
  if (b.type == JINJA_STRING) {
    FT_TRY(ft_jinja_check_defined(a));
    FT_CHECK(a.type == JINJA_STRING, FT_ERR_DATA, "a %s is looked for in a string",
             ft_jinja_type_name(a));
    FT_TRY(ft_jinja_work(s, (int64_t)b.string->bytes / 16));
    *out = ft_jinja_string_find(b.string, 0, b.string->bytes, a.string) >= 0;
    return FT_OK;
  }
  if (b.type == JINJA_DICT) {
    bool hashable = a.type != JINJA_LIST && a.type != JINJA_DICT;
    FT_CHECK(hashable, FT_ERR_DATA, "a %s cannot be a key", ft_jinja_type_name(a));
    *out = ft_jinja_dict_find(b.dict, a) != NULL;
    return FT_OK;
  }
  FT_TRY(ft_jinja_members(s, b, &members));
  FT_TRY(ft_jinja_work(s, members->count));
  for (int64_t i = 0; i < members->count && !*out; i++)
    *out = ft_jinja_equal(members->items[i], a);
out:
  return err;
}
