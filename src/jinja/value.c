/* Values: truth, equality, objects and lists. */
#include "value.h"

const char *ft_jinja_type_name(ft_jinja_value v) {
  static const char *const names[] = {[JINJA_UNDEFINED] = "undefined",
                                      [JINJA_NONE] = "none",
                                      [JINJA_BOOL] = "bool",
                                      [JINJA_INT] = "int",
                                      [JINJA_BIG] = "int",
                                      [JINJA_FLOAT] = "float",
                                      [JINJA_STRING] = "string",
                                      [JINJA_LIST] = "list",
                                      [JINJA_TUPLE] = "tuple",
                                      [JINJA_RANGE] = "range",
                                      [JINJA_VIEW] = "view of a dict",
                                      [JINJA_ITERATOR] = "iterator",
                                      [JINJA_DICT] = "dict",
                                      [JINJA_NAMESPACE] = "namespace",
                                      [JINJA_MACRO] = "macro",
                                      [JINJA_LOOP] = "loop",
                                      [JINJA_FUNCTION] = "function",
                                      [JINJA_METHOD] = "method"};
  return names[v.type];
}

bool ft_jinja_truth(ft_jinja_value v) {
  switch (v.type) {
  case JINJA_UNDEFINED:
  case JINJA_NONE:
    return false;
  case JINJA_BOOL:
    return v.boolean;
  case JINJA_INT:
    return v.integer != 0;
  case JINJA_FLOAT:
    return v.real != 0;
  case JINJA_STRING:
    return v.string->bytes > 0;
  case JINJA_LIST:
  case JINJA_TUPLE:
  case JINJA_RANGE:
  case JINJA_VIEW:
    return v.list->count > 0;
  case JINJA_DICT:
    return v.dict->count > 0;
  default:
    return true;
  }
}

static bool equal_lists(const ft_jinja_list *a, const ft_jinja_list *b) {
  if (a->count != b->count) return false;
  for (int64_t i = 0; i < a->count; i++)
    if (!ft_jinja_equal(a->items[i], b->items[i])) return false;
  return true;
}

static bool equal_dicts(const ft_jinja_dict *a, const ft_jinja_dict *b) {
  if (a->count != b->count) return false;
  for (int64_t i = 0; i < a->count; i++) {
    const ft_jinja_value *other = ft_jinja_dict_find(b, a->entries[i].key);
    if (!other || !ft_jinja_equal(a->entries[i].value, *other)) return false;
  }
  return true;
}

static bool equal_texts(const ft_jinja_string *a, const ft_jinja_string *b) {
  return a->bytes == b->bytes && memcmp(a->text, b->text, a->bytes) == 0;
}

/* An int and a float are compared exactly, not as two floats. */
static bool equal_numbers(ft_jinja_value a, ft_jinja_value b) {
  if (ft_jinja_is_whole(a.type) && ft_jinja_is_whole(b.type))
    return ft_jinja_whole(a) == ft_jinja_whole(b);
  int order;
  return ft_jinja_order(a, b, 0, &order) == FT_OK && order == 0;
}

bool ft_jinja_equal(ft_jinja_value a, ft_jinja_value b) {
  if (ft_jinja_is_number(a.type) && ft_jinja_is_number(b.type)) return equal_numbers(a, b);
  if (a.type != b.type) return false;
  switch (a.type) {
  case JINJA_UNDEFINED:
  case JINJA_NONE:
    return true;
  case JINJA_BIG:
  case JINJA_STRING:
    return equal_texts(a.string, b.string);
  case JINJA_LIST:
  case JINJA_TUPLE:
  case JINJA_RANGE:
    return equal_lists(a.list, b.list);
  case JINJA_DICT:
    return equal_dicts(a.dict, b.dict);
  case JINJA_METHOD:
    return a.method->builtin == b.method->builtin &&
           ft_jinja_equal(a.method->object, b.method->object);
  default: /* these are themselves only; all are pointers */
    return a.list == b.list;
  }
}

/* ---------------------------------------------------------------- sizes */

static ft_jinja_size size_of(ft_jinja_value v);

static void add_size(ft_jinja_size *all, ft_jinja_value member) {
  ft_jinja_size size = size_of(member);
  all->parts = FT_MIN(all->parts + size.parts, JINJA_MAX_PARTS + 1);
  all->levels = FT_MAX(all->levels, size.levels + 1);
}

static ft_jinja_size size_of(ft_jinja_value v) {
  ft_jinja_size *known = ft_jinja_is_listed(v.type) ? &v.list->size
                         : v.type == JINJA_DICT     ? &v.dict->size
                                                    : NULL;
  if (!known) return (ft_jinja_size){1, 0};
  if (known->parts > 0) return *known;
  ft_jinja_size size = {1, 1};
  for (int64_t i = 0; v.type != JINJA_DICT && i < v.list->count; i++)
    add_size(&size, v.list->items[i]);
  for (int64_t i = 0; v.type == JINJA_DICT && i < v.dict->count; i++) {
    add_size(&size, v.dict->entries[i].key);
    add_size(&size, v.dict->entries[i].value);
  }
  *known = size;
  return size;
}

ft_err ft_jinja_measure(ft_jinja_value v) {
  ft_jinja_size size = size_of(v);
  if (size.parts <= JINJA_MAX_PARTS && size.levels <= JINJA_NEST_MAX) return FT_OK;
  return ft_fail(FT_ERR_DATA, "a %s of more than %d parts or %d levels", ft_jinja_type_name(v),
                 JINJA_MAX_PARTS, JINJA_NEST_MAX);
}

/* ---------------------------------------------------------------- objects and lists */

const ft_jinja_value *ft_jinja_dict_find(const ft_jinja_dict *d, ft_jinja_value key) {
  for (int64_t i = 0; key.type == JINJA_STRING && i < d->count; i++) {
    const ft_jinja_value *k = &d->entries[i].key;
    if (k->type == JINJA_STRING && equal_texts(k->string, key.string)) return &d->entries[i].value;
  }
  if (key.type == JINJA_STRING) return NULL;
  for (int64_t i = 0; i < d->count; i++)
    if (ft_jinja_equal(d->entries[i].key, key)) return &d->entries[i].value;
  return NULL;
}

const ft_jinja_value *ft_jinja_dict_find_text(const ft_jinja_dict *d, const char *key) {
  for (int64_t i = 0; i < d->count; i++) {
    const ft_jinja_value *k = &d->entries[i].key;
    if (k->type == JINJA_STRING && ft_jinja_string_is(k->string, key)) return &d->entries[i].value;
  }
  return NULL;
}

ft_err ft_jinja_dict_new(ft_jinja_arena *a, int64_t capacity, ft_jinja_dict **out) {
  *out = ft_jinja_alloc(a, sizeof **out);
  if (!*out) return a->failed;
  (*out)->turn = -1;
  (*out)->capacity = capacity;
  (*out)->entries = ft_jinja_alloc(a, (size_t)capacity * sizeof(ft_jinja_entry));
  return a->failed;
}

ft_err ft_jinja_dict_set(ft_jinja_arena *a, ft_jinja_dict *d, ft_jinja_value key,
                         ft_jinja_value value) {
  ft_jinja_value *found = (ft_jinja_value *)ft_jinja_dict_find(d, key);
  if (found) {
    *found = value;
    return FT_OK;
  }
  ft_jinja_entry *entries =
      ft_jinja_grow(a, d->entries, d->count, sizeof *entries, 4, &d->capacity);
  if (!entries) return a->failed;
  d->entries = entries;
  d->entries[d->count++] = (ft_jinja_entry){key, value};
  return FT_OK;
}

ft_err ft_jinja_list_new(ft_jinja_arena *a, ft_jinja_type type, int64_t count,
                         ft_jinja_value *out) {
  ft_jinja_list *list = ft_jinja_alloc(a, sizeof *list);
  ft_jinja_value *items = ft_jinja_alloc(a, (size_t)count * sizeof *items);
  if (!items) return a->failed;
  list->items = items;
  list->count = count;
  *out = (ft_jinja_value){.type = type, .list = list};
  return FT_OK;
}

ft_err ft_jinja_list_of(ft_jinja_arena *a, ft_jinja_type type, const ft_jinja_value *items,
                        int64_t count, ft_jinja_value *out) {
  ft_err err = ft_jinja_list_new(a, type, count, out);
  if (err == FT_OK && count > 0) memcpy(out->list->items, items, (size_t)count * sizeof *items);
  return err;
}
