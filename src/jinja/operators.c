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

static ft_err power_whole(int64_t base, int64_t exponent, jinja_value *out) {
  int64_t result = 1;
  if (base == 0 || base == 1 || base == -1) exponent = exponent > 2 ? 2 + exponent % 2 : exponent;
  for (; exponent > 0; exponent--)
    if (__builtin_mul_overflow(result, base, &result)) return too_large();
  *out = jinja_int(result);
  return FT_OK;
}

static ft_err whole(jinja_kind kind, int64_t a, int64_t b, jinja_value *out) {
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
  *out = jinja_int(result);
  return FT_OK;
}

static ft_err real(jinja_kind kind, double a, double b, jinja_value *out) {
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
  *out = jinja_float(result);
  return FT_OK;
}

static ft_err numbers(jinja_kind kind, jinja_value a, jinja_value b, jinja_value *out) {
  bool wholes = jinja_is_whole(a.type) && jinja_is_whole(b.type);
  bool divides = kind == JINJA_DIVIDE || kind == JINJA_FLOOR_DIVIDE || kind == JINJA_MODULO;
  if (divides && jinja_real(b) == 0) return ft_fail(FT_ERR_DATA, "division by zero");
  if (kind == JINJA_POWER && jinja_real(a) == 0 && jinja_real(b) < 0)
    return ft_fail(FT_ERR_DATA, "0 to a negative power");
  if (wholes && kind == JINJA_POWER && jinja_whole(b) >= 0)
    return power_whole(jinja_whole(a), jinja_whole(b), out);
  if (wholes && kind != JINJA_DIVIDE && kind != JINJA_POWER)
    return whole(kind, jinja_whole(a), jinja_whole(b), out);
  return real(kind, jinja_real(a), jinja_real(b), out);
}

/* ---------------------------------------------------------------- strings and lists */

/* What a string marked safe does to the other part of a sum. */
static void put_escaped(jinja_builder *b, const jinja_string *s) {
  static const char special[] = "&<>'\"";
  static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
  size_t start = 0;
  for (size_t at = 0; at < s->bytes; at++) {
    const char *found = s->text[at] ? strchr(special, s->text[at]) : NULL;
    if (!found) continue;
    size_t left;
    const char *entity = entities[found - special];
    jinja_put_part(b, s, start, at);
    jinja_put(b, entity, strlen(entity), jinja_origin_at(s, at, &left));
    start = at + 1;
  }
  jinja_put_part(b, s, start, s->bytes);
}

static ft_err add_strings(jinja_state *s, const jinja_string *x, const jinja_string *y,
                          jinja_value *out) {
  jinja_builder b = jinja_builder_on(s->arena);
  bool markup = x->markup || y->markup;
  ft_err err = jinja_work(s, (int64_t)(x->bytes + y->bytes) / 16);
  if (err != FT_OK) return err;
  if (markup && !x->markup)
    put_escaped(&b, x);
  else
    jinja_put_string(&b, x);
  if (markup && !y->markup)
    put_escaped(&b, y);
  else
    jinja_put_string(&b, y);
  err = jinja_built(&b, out);
  if (err == FT_OK && markup) ((jinja_string *)out->string)->markup = true;
  return err;
}

static ft_err add_lists(jinja_state *s, jinja_value a, jinja_value b, jinja_value *out) {
  ft_err err = jinja_work(s, a.list->count + b.list->count);
  if (err == FT_OK) err = jinja_list_new(s->arena, a.type, a.list->count + b.list->count, out);
  if (err != FT_OK) return err;
  for (int64_t i = 0; i < a.list->count; i++)
    out->list->items[i] = a.list->items[i];
  for (int64_t i = 0; i < b.list->count; i++)
    out->list->items[a.list->count + i] = b.list->items[i];
  return FT_OK;
}

ft_err jinja_add(jinja_state *s, jinja_value a, jinja_value b, jinja_value *out) {
  if (a.type == JINJA_STRING && b.type == JINJA_STRING)
    return add_strings(s, a.string, b.string, out);
  if (a.type == b.type && (a.type == JINJA_LIST || a.type == JINJA_TUPLE))
    return add_lists(s, a, b, out);
  return ft_fail(FT_ERR_DATA, "%s and %s cannot be added", jinja_type_name(a), jinja_type_name(b));
}

static ft_err repeat(jinja_state *s, jinja_value a, int64_t times, jinja_value *out) {
  ft_err err = FT_OK;
  int64_t size = a.type == JINJA_STRING ? (int64_t)a.string->bytes : a.list->count, total;
  if (times < 0) times = 0;
  FT_CHECK(!__builtin_mul_overflow(size, times, &total) && total < INT32_MAX, FT_ERR_DATA,
           "a repetition that is too long");
  FT_TRY(jinja_work(s, total / 16 + times));
  if (a.type == JINJA_STRING) {
    jinja_builder b = jinja_builder_on(s->arena);
    for (int64_t i = 0; i < times; i++)
      jinja_put_string(&b, a.string);
    FT_TRY(jinja_built(&b, out));
    ((jinja_string *)out->string)->markup = a.string->markup;
    return FT_OK;
  }
  FT_TRY(jinja_list_new(s->arena, a.type, total, out));
  for (int64_t i = 0; i < total; i++)
    out->list->items[i] = a.list->items[i % size];
out:
  return err;
}

static bool repeats(jinja_value v) {
  return v.type == JINJA_STRING || v.type == JINJA_LIST || v.type == JINJA_TUPLE;
}

ft_err jinja_binary(jinja_state *s, jinja_kind kind, jinja_value a, jinja_value b,
                    jinja_value *out) {
  static const char *const names[] = {"+", "-", "*", "/", "//", "%", "**"};
  if (jinja_is_number(a.type) && jinja_is_number(b.type)) return numbers(kind, a, b, out);
  ft_err err = jinja_check_defined(a);
  if (err == FT_OK) err = jinja_check_defined(b);
  if (err != FT_OK) return err;
  if (kind == JINJA_ADD) return jinja_add(s, a, b, out);
  if (kind == JINJA_MODULO && a.type == JINJA_STRING)
    return jinja_format_percent(s, a.string, b, out);
  if (kind == JINJA_MULTIPLY && repeats(a) && jinja_is_whole(b.type))
    return repeat(s, a, jinja_whole(b), out);
  if (kind == JINJA_MULTIPLY && repeats(b) && jinja_is_whole(a.type))
    return repeat(s, b, jinja_whole(a), out);
  return ft_fail(FT_ERR_DATA, "%s %s %s is not possible", jinja_type_name(a),
                 names[kind - JINJA_ADD], jinja_type_name(b));
}
