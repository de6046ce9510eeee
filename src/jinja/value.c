/* Values: truth, equality, objects and lists. */
#include "value.h"

const char *jinja_type_name(jinja_value v) {
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

bool jinja_truth(jinja_value v) {
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

static bool equal_lists(const jinja_list *a, const jinja_list *b) {
  if (a->count != b->count) return false;
  for (int64_t i = 0; i < a->count; i++)
    if (!jinja_equal(a->items[i], b->items[i])) return false;
  return true;
}

static bool equal_dicts(const jinja_dict *a, const jinja_dict *b) {
  if (a->count != b->count) return false;
  for (int64_t i = 0; i < a->count; i++) {
    const jinja_value *other = jinja_dict_find(b, a->entries[i].key);
    if (!other || !jinja_equal(a->entries[i].value, *other)) return false;
  }
  return true;
}

static bool equal_texts(const jinja_string *a, const jinja_string *b) {
  return a->bytes == b->bytes && memcmp(a->text, b->text, a->bytes) == 0;
}

/* An int and a float are compared exactly, not as two floats. */
static bool equal_numbers(jinja_value a, jinja_value b) {
  if (jinja_is_whole(a.type) && jinja_is_whole(b.type)) return jinja_whole(a) == jinja_whole(b);
  int order;
  return jinja_order(a, b, 0, &order) == FT_OK && order == 0;
}

bool jinja_equal(jinja_value a, jinja_value b) {
  if (jinja_is_number(a.type) && jinja_is_number(b.type)) return equal_numbers(a, b);
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
           jinja_equal(a.method->object, b.method->object);
  default: /* these are themselves only; all are pointers */
    return a.list == b.list;
  }
}

/* ---------------------------------------------------------------- sizes */

static jinja_size size_of(jinja_value v);

static void add_size(jinja_size *all, jinja_value member) {
  jinja_size size = size_of(member);
  all->parts = FT_MIN(all->parts + size.parts, JINJA_MAX_PARTS + 1);
  all->levels = FT_MAX(all->levels, size.levels + 1);
}

static jinja_size size_of(jinja_value v) {
  jinja_size *known = jinja_is_listed(v.type) ? &v.list->size
                      : v.type == JINJA_DICT  ? &v.dict->size
                                              : NULL;
  if (!known) return (jinja_size){1, 0};
  if (known->parts > 0) return *known;
  jinja_size size = {1, 1};
  for (int64_t i = 0; v.type != JINJA_DICT && i < v.list->count; i++)
    add_size(&size, v.list->items[i]);
  for (int64_t i = 0; v.type == JINJA_DICT && i < v.dict->count; i++) {
    add_size(&size, v.dict->entries[i].key);
    add_size(&size, v.dict->entries[i].value);
  }
  *known = size;
  return size;
}

ft_err jinja_measure(jinja_value v) {
  jinja_size size = size_of(v);
  if (size.parts <= JINJA_MAX_PARTS && size.levels <= JINJA_NEST_MAX) return FT_OK;
  return ft_fail(FT_ERR_DATA, "a %s of more than %d parts or %d levels", jinja_type_name(v),
                 JINJA_MAX_PARTS, JINJA_NEST_MAX);
}

/* ---------------------------------------------------------------- objects and lists */

const jinja_value *jinja_dict_find(const jinja_dict *d, jinja_value key) {
  for (int64_t i = 0; key.type == JINJA_STRING && i < d->count; i++) {
    const jinja_value *k = &d->entries[i].key;
    if (k->type == JINJA_STRING && equal_texts(k->string, key.string)) return &d->entries[i].value;
  }
  if (key.type == JINJA_STRING) return NULL;
  for (int64_t i = 0; i < d->count; i++)
    if (jinja_equal(d->entries[i].key, key)) return &d->entries[i].value;
  return NULL;
}

const jinja_value *jinja_dict_find_text(const jinja_dict *d, const char *key) {
  size_t bytes = strlen(key);
  for (int64_t i = 0; i < d->count; i++) {
    const jinja_value *k = &d->entries[i].key;
    if (k->type == JINJA_STRING && k->string->bytes == bytes &&
        memcmp(k->string->text, key, bytes) == 0)
      return &d->entries[i].value;
  }
  return NULL;
}

ft_err jinja_dict_new(jinja_arena *a, int64_t capacity, jinja_dict **out) {
  *out = jinja_alloc(a, sizeof **out);
  if (!*out) return a->failed;
  (*out)->turn = -1;
  (*out)->capacity = capacity;
  (*out)->entries = jinja_alloc(a, (size_t)capacity * sizeof(jinja_entry));
  return a->failed;
}

ft_err jinja_dict_set(jinja_arena *a, jinja_dict *d, jinja_value key, jinja_value value) {
  jinja_value *found = (jinja_value *)jinja_dict_find(d, key);
  if (found) {
    *found = value;
    return FT_OK;
  }
  if (d->count == d->capacity) {
    int64_t capacity = 2 * d->capacity + 4;
    jinja_entry *entries = jinja_alloc(a, (size_t)capacity * sizeof *entries);
    if (!entries) return a->failed;
    if (d->count > 0) memcpy(entries, d->entries, (size_t)d->count * sizeof *entries);
    d->entries = entries;
    d->capacity = capacity;
  }
  d->entries[d->count++] = (jinja_entry){key, value};
  return FT_OK;
}

ft_err jinja_list_new(jinja_arena *a, jinja_type type, int64_t count, jinja_value *out) {
  jinja_list *list = jinja_alloc(a, sizeof *list);
  jinja_value *items = jinja_alloc(a, (size_t)count * sizeof *items);
  if (!items) return a->failed;
  list->items = items;
  list->count = count;
  *out = (jinja_value){.type = type, .list = list};
  return FT_OK;
}
