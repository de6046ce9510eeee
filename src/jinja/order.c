/* Python's order of values, and stable sorting. */
#include <math.h>

#include "value.h"

static int sign(bool less, bool greater) {
  return greater - less;
}

/* Exactly: a float of 2^53 and more is compared as the whole number it is. */
static int order_whole_and_real(int64_t a, double b) {
  if (isnan(b)) return 2;
  if (b >= 9223372036854775808.0) return -1;
  if (b < -9223372036854775808.0) return 1;
  double floored = floor(b);
  int64_t whole = (int64_t)floored;
  if (a != whole) return sign(a<whole, a> whole);
  return sign(b > floored, false);
}

static int order_numbers(ft_jinja_value a, ft_jinja_value b) {
  if (a.type != JINJA_FLOAT && b.type != JINJA_FLOAT) {
    int64_t x = ft_jinja_whole(a), y = ft_jinja_whole(b);
    return sign(x<y, x> y);
  }
  if (a.type != JINJA_FLOAT) return order_whole_and_real(ft_jinja_whole(a), b.real);
  if (b.type != JINJA_FLOAT) {
    int order = order_whole_and_real(ft_jinja_whole(b), a.real);
    return order == 2 ? 2 : -order;
  }
  if (isnan(a.real) || isnan(b.real)) return 2;
  return sign(a.real<b.real, a.real> b.real);
}

static ft_err order_lists(const ft_jinja_list *a, const ft_jinja_list *b, int depth, int *order) {
  for (int64_t i = 0; i < a->count && i < b->count; i++)
    if (!ft_jinja_equal(a->items[i], b->items[i]))
      return ft_jinja_order(a->items[i], b->items[i], depth + 1, order);
  *order = sign(a->count<b->count, a->count> b->count);
  return FT_OK;
}

ft_err ft_jinja_order(ft_jinja_value a, ft_jinja_value b, int depth, int *order) {
  if (ft_jinja_is_number(a.type) && ft_jinja_is_number(b.type)) {
    *order = order_numbers(a, b);
    return FT_OK;
  }
  if (a.type == JINJA_STRING && b.type == JINJA_STRING) {
    int o = ft_jinja_string_compare(a.string, b.string);
    *order = sign(o<0, o> 0);
    return FT_OK;
  }
  bool lists = a.type == b.type && (a.type == JINJA_LIST || a.type == JINJA_TUPLE);
  if (lists && depth < JINJA_NEST_MAX) return order_lists(a.list, b.list, depth, order);
  if (a.type == JINJA_BIG || b.type == JINJA_BIG)
    return ft_fail(FT_ERR_DATA, "an integer of more than 64 bits is compared, which is not "
                                "supported");
  return ft_fail(FT_ERR_DATA, "%s and %s have no order", ft_jinja_type_name(a),
                 ft_jinja_type_name(b));
}

/* ---------------------------------------------------------------- sorting */

typedef struct sorting {
  const ft_jinja_value *keys;
  int64_t *at, *spare; /* [count] */
  bool reverse;
} sorting;

/* Merges at[begin, middle) and at[middle, end). Reversed, equal ones keep their order, too. */
static ft_err merge(const sorting *s, int64_t begin, int64_t middle, int64_t end) {
  int64_t i = begin, k = middle;
  for (int64_t out = begin; out < end; out++) {
    bool right = i == middle;
    if (!right && k < end) {
      int order;
      ft_err err = ft_jinja_order(s->keys[s->at[k]], s->keys[s->at[i]], 0, &order);
      if (err != FT_OK) return err;
      right = s->reverse ? order == 1 : order == -1;
    }
    s->spare[out] = s->at[right ? k++ : i++];
  }
  memcpy(s->at + begin, s->spare + begin, (size_t)(end - begin) * sizeof *s->at);
  return FT_OK;
}

static ft_err permute(ft_jinja_arena *a, ft_jinja_value *values, const int64_t *at, int64_t count) {
  ft_jinja_value *copy = ft_jinja_alloc(a, (size_t)count * sizeof *copy);
  if (!copy) return a->failed;
  for (int64_t i = 0; i < count; i++)
    copy[i] = values[at[i]];
  memcpy(values, copy, (size_t)count * sizeof *copy);
  return FT_OK;
}

ft_err ft_jinja_sort(ft_jinja_arena *a, ft_jinja_value *keys, ft_jinja_value *items, int64_t count,
                     bool reverse) {
  ft_err err = FT_OK;
  sorting s = {.keys = keys, .reverse = reverse};
  s.at = ft_jinja_alloc(a, (size_t)count * sizeof *s.at);
  s.spare = ft_jinja_alloc(a, (size_t)count * sizeof *s.spare);
  if (!s.spare) return a->failed;
  for (int64_t i = 0; i < count; i++)
    s.at[i] = i;
  for (int64_t width = 1; width < count; width *= 2)
    for (int64_t begin = 0; begin + width < count; begin += 2 * width)
      FT_TRY(merge(&s, begin, begin + width, FT_MIN(begin + 2 * width, count)));
  if (items) FT_TRY(permute(a, items, s.at, count));
  FT_TRY(permute(a, keys, s.at, count));
out:
  return err;
}
