/* Arithmetic and sums of values, as Python computes them. */
#include <math.h>

#include "state.h"

/* ---------------------------------------------------------------- numbers */

static ft_err too_large(void) {
  return ft_fail(FT_ERR_DATA, "an integer of more than 64 bits is not supported");
}

static int64_t floor_divide(int64_t a, int64_t b) {
  int64_t quotient = a / b;
  return quotient - (a % b != 0 && (a < 0) != (b < 0));
}

static double floor_modulo(double a, double b) {
  double rest = fmod(a, b);
  if (rest == 0) return copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

static ft_err power_whole(int64_t base, int64_t exponent, ft_jinja_value *out) {
  int64_t result = 1;
  if (base == 0 || base == 1 || base == -1) exponent = exponent > 2 ? 2 + exponent % 2 : exponent;
  for (; exponent > 0; exponent--)
    if (__builtin_mul_overflow(result, base, &result)) return too_large();
  *out = ft_jinja_int(result);
  return FT_OK;
}

static ft_err whole(ft_jinja_kind kind, int64_t a, int64_t b, ft_jinja_value *out) {
  int64_t result = 0;
  bool over = false;
  switch (kind) {
  case JINJA_ADD:
    over = __builtin_add_overflow(a, b, &result);
    break;
  case JINJA_SUBTRACT:
    over = __builtin_sub_overflow(a, b, &result);
    break;
  case JINJA_MULTIPLY:
    over = __builtin_mul_overflow(a, b, &result);
    break;
  default: /* the divisions; b is not 0 */
    over = a == INT64_MIN && b == -1;
    if (over) break;
    result = floor_divide(a, b);
    if (kind == JINJA_MODULO) result = a - result * b;
  }
  if (over) return too_large();
  *out = ft_jinja_int(result);
  return FT_OK;
}

static ft_err real(ft_jinja_kind kind, double a, double b, ft_jinja_value *out) {
  double result = 0;
  switch (kind) {
  case JINJA_ADD:
    result = a + b;
    break;
  case JINJA_SUBTRACT:
    result = a - b;
    break;
  case JINJA_MULTIPLY:
    result = a * b;
    break;
  case JINJA_DIVIDE:
    result = a / b;
    break;
  case JINJA_MODULO:
    result = floor_modulo(a, b);
    break;
  case JINJA_FLOOR_DIVIDE:
    result = (a - floor_modulo(a, b)) / b;
    result = result == 0 ? copysign(0.0, a / b) : floor(result + 0.5);
    break;
  default: /* power */
    if (a < 0 && b != floor(b)) return ft_fail(FT_ERR_DATA, "a complex number is not supported");
    result = pow(a, b);
    if (isinf(result) && isfinite(a) && isfinite(b))
      return ft_fail(FT_ERR_DATA, "a power that is too large");
  }
  *out = ft_jinja_float(result);
  return FT_OK;
}

static ft_err numbers(ft_jinja_kind kind, ft_jinja_value a, ft_jinja_value b, ft_jinja_value *out) {
  bool wholes = ft_jinja_is_whole(a.type) && ft_jinja_is_whole(b.type);
  bool divides = kind == JINJA_DIVIDE || kind == JINJA_FLOOR_DIVIDE || kind == JINJA_MODULO;
  if (divides && ft_jinja_real(b) == 0) return ft_fail(FT_ERR_DATA, "division by zero");
  if (kind == JINJA_POWER && ft_jinja_real(a) == 0 && ft_jinja_real(b) < 0)
    return ft_fail(FT_ERR_DATA, "0 to a negative power");
  if (wholes && kind == JINJA_POWER && ft_jinja_whole(b) >= 0)
    return power_whole(ft_jinja_whole(a), ft_jinja_whole(b), out);
  if (wholes && kind != JINJA_DIVIDE && kind != JINJA_POWER)
    return whole(kind, ft_jinja_whole(a), ft_jinja_whole(b), out);
  return real(kind, ft_jinja_real(a), ft_jinja_real(b), out);
}

/* ---------------------------------------------------------------- strings and lists */

/* What a string marked safe does to the other part of a sum. */
static void put_escaped(ft_jinja_builder *b, const ft_jinja_string *s) {
  static const char special[] = "&<>'\"";
  static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
  size_t start = 0;
  for (size_t at = 0; at < s->bytes; at++) {
    const char *found = s->text[at] ? strchr(special, s->text[at]) : NULL;
    if (!found) continue;
    size_t left;
    const char *entity = entities[found - special];
    ft_jinja_put_part(b, s, start, at);
    ft_jinja_put(b, entity, strlen(entity), ft_jinja_origin_at(s, at, &left));
    start = at + 1;
  }
  ft_jinja_put_part(b, s, start, s->bytes);
}

static ft_err add_strings(ft_jinja_state *s, const ft_jinja_string *x, const ft_jinja_string *y,
                          ft_jinja_value *out) {
  ft_jinja_builder b = ft_jinja_builder_on(s->arena);
  bool markup = x->markup || y->markup;
  ft_err err = ft_jinja_work(s, (int64_t)(x->bytes + y->bytes) / 16);
  if (err != FT_OK) return err;
  if (markup && !x->markup)
    put_escaped(&b, x);
  else
    ft_jinja_put_string(&b, x);
  if (markup && !y->markup)
    put_escaped(&b, y);
  else
    ft_jinja_put_string(&b, y);
  err = ft_jinja_built(&b, out);
  if (err == FT_OK && markup) ((ft_jinja_string *)out->string)->markup = true;
  return err;
}

static ft_err add_lists(ft_jinja_state *s, ft_jinja_value a, ft_jinja_value b,
                        ft_jinja_value *out) {
  ft_err err = ft_jinja_work(s, a.list->count + b.list->count);
  if (err == FT_OK) err = ft_jinja_list_new(s->arena, a.type, a.list->count + b.list->count, out);
  if (err != FT_OK) return err;
  for (int64_t i = 0; i < a.list->count; i++)
    out->list->items[i] = a.list->items[i];
  for (int64_t i = 0; i < b.list->count; i++)
    out->list->items[a.list->count + i] = b.list->items[i];
  return FT_OK;
}

ft_err ft_jinja_add(ft_jinja_state *s, ft_jinja_value a, ft_jinja_value b, ft_jinja_value *out) {
  if (a.type == JINJA_STRING && b.type == JINJA_STRING)
    return add_strings(s, a.string, b.string, out);
  if (a.type == b.type && (a.type == JINJA_LIST || a.type == JINJA_TUPLE))
    return add_lists(s, a, b, out);
  return ft_fail(FT_ERR_DATA, "%s and %s cannot be added", ft_jinja_type_name(a),
                 ft_jinja_type_name(b));
}

static ft_err repeat(ft_jinja_state *s, ft_jinja_value a, int64_t times, ft_jinja_value *out) {
  ft_err err = FT_OK;
  int64_t size = a.type == JINJA_STRING ? (int64_t)a.string->bytes : a.list->count, total;
  if (times < 0) times = 0;
  FT_CHECK(!__builtin_mul_overflow(size, times, &total) && total < INT32_MAX, FT_ERR_DATA,
           "a repetition that is too long");
  FT_TRY(ft_jinja_work(s, total / 16 + times));
  if (a.type == JINJA_STRING) {
    ft_jinja_builder b = ft_jinja_builder_on(s->arena);
    for (int64_t i = 0; i < times; i++)
      ft_jinja_put_string(&b, a.string);
    FT_TRY(ft_jinja_built(&b, out));
    ((ft_jinja_string *)out->string)->markup = a.string->markup;
    return FT_OK;
  }
  FT_TRY(ft_jinja_list_new(s->arena, a.type, total, out));
  for (int64_t i = 0; i < total; i++)
    out->list->items[i] = a.list->items[i % size];
out:
  return err;
}

static bool repeats(ft_jinja_value v) {
  return v.type == JINJA_STRING || v.type == JINJA_LIST || v.type == JINJA_TUPLE;
}

ft_err ft_jinja_binary(ft_jinja_state *s, ft_jinja_kind kind, ft_jinja_value a, ft_jinja_value b,
                       ft_jinja_value *out) {
  static const char *const names[] = {"+", "-", "*", "/", "//", "%", "**"};
  if (ft_jinja_is_number(a.type) && ft_jinja_is_number(b.type)) return numbers(kind, a, b, out);
  ft_err err = ft_jinja_check_defined(a);
  if (err == FT_OK) err = ft_jinja_check_defined(b);
  if (err != FT_OK) return err;
  if (kind == JINJA_ADD) return ft_jinja_add(s, a, b, out);
  if (kind == JINJA_MODULO && a.type == JINJA_STRING)
    return ft_jinja_format_percent(s, a.string, b, out);
  if (kind == JINJA_MULTIPLY && repeats(a) && ft_jinja_is_whole(b.type))
    return repeat(s, a, ft_jinja_whole(b), out);
  if (kind == JINJA_MULTIPLY && repeats(b) && ft_jinja_is_whole(a.type))
    return repeat(s, b, ft_jinja_whole(a), out);
  return ft_fail(FT_ERR_DATA, "%s %s %s is not possible", ft_jinja_type_name(a),
                 names[kind - JINJA_ADD], ft_jinja_type_name(b));
}
