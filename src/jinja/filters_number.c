/* Filters that make numbers. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "state.h"

enum { MAX_NUMBER_BYTES = 400 };

static ft_err absolute(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                       ft_jinja_value *out) {
  (void)s;
  (void)g;
  if (v.type == JINJA_FLOAT) {
    *out = ft_jinja_float(fabs(v.real));
    return FT_OK;
  }
  if (!ft_jinja_is_whole(v.type) || ft_jinja_whole(v) == INT64_MIN)
    return ft_fail(FT_ERR_DATA, "abs of a %s", ft_jinja_type_name(v));
  *out = ft_jinja_int(llabs(ft_jinja_whole(v)));
  return FT_OK;
}

/* A string as Python's int and float take it: without space around and without the underscores
 * between digits. False: it is none. */
static bool number_text(const ft_jinja_string *string, char text[MAX_NUMBER_BYTES]) {
  size_t begin = 0, end = string->bytes, used = 0, space;
  while ((space = ft_utf8_space(string->text + begin, end - begin)) > 0)
    begin += space;
  while (end > begin && ft_utf8_space(string->text + end - 1, 1))
    end--;
  if (begin == end || end - begin >= MAX_NUMBER_BYTES) return false;
  for (size_t i = begin; i < end; i++) {
    char c = string->text[i];
    bool digit_before = used > 0 && text[used - 1] >= '0' && text[used - 1] <= '9';
    bool digit_behind = i + 1 < end && string->text[i + 1] >= '0' && string->text[i + 1] <= '9';
    if (c == '_' && digit_before && digit_behind) continue;
    if (c == '_' || c == 0 || (unsigned char)c >= 0x80) return false;
    text[used++] = c;
  }
  text[used] = 0;
  return true;
}

static bool parse_float(const ft_jinja_string *string, double *out) {
  char text[MAX_NUMBER_BYTES], *end;
  if (!number_text(string, text) || strchr(text, 'x') || strchr(text, 'X') || strchr(text, '('))
    return false; /* C alone knows hexadecimal floats and nan(…) */
  *out = strtod(text, &end);
  return *end == 0;
}

/* *too_large: an integer, but not of 64 bits. */
static bool parse_whole(const ft_jinja_string *string, int base, int64_t *out, bool *too_large) {
  char text[MAX_NUMBER_BYTES], *end;
  *too_large = false;
  if (!number_text(string, text)) return false;
  const char *digits = text + (text[0] == '+' || text[0] == '-');
  if (*digits == '+' || *digits == '-' || *digits == ' ') return false;
  errno = 0;
  *out = strtoll(text, &end, base);
  *too_large = errno == ERANGE;
  return *end == 0 && end != text;
}

static ft_err whole_of_real(double real, ft_jinja_value *out) {
  if (!(fabs(real) < 9223372036854775808.0))
    return ft_fail(FT_ERR_DATA, "an integer of more than 64 bits is not supported");
  *out = ft_jinja_int((int64_t)real);
  return FT_OK;
}

static ft_err to_int(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                     ft_jinja_value *out) {
  (void)s;
  int64_t value, base = 10;
  double real;
  bool too_large;
  *out = g->has[0] ? g->at[0] : ft_jinja_int(0);
  if (g->has[1]) {
    ft_err err = ft_jinja_want_whole(g->at[1], "the base", &base);
    if (err != FT_OK) return err;
    if (base != 10 && base != 2 && base != 8 && base != 16)
      return ft_fail(FT_ERR_DATA, "base %lld is not supported", (long long)base);
  }
  if (ft_jinja_is_whole(v.type)) {
    *out = ft_jinja_int(ft_jinja_whole(v));
  } else if (v.type == JINJA_BIG) {
    *out = v;
  } else if (v.type == JINJA_FLOAT) {
    if (!isnan(v.real) && !isinf(v.real)) return whole_of_real(v.real, out);
    if (isinf(v.real)) return ft_fail(FT_ERR_DATA, "int of infinity");
  } else if (v.type == JINJA_STRING) {
    bool is = parse_whole(v.string, (int)base, &value, &too_large);
    if (is && too_large)
      return ft_fail(FT_ERR_DATA, "an integer of more than 64 bits is not supported");
    if (is)
      *out = ft_jinja_int(value);
    else if (parse_float(v.string, &real) && isfinite(real))
      return whole_of_real(real, out);
  } else if (v.type == JINJA_UNDEFINED) {
    return ft_jinja_check_defined(v);
  }
  return FT_OK;
}

static ft_err to_float(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                       ft_jinja_value *out) {
  (void)s;
  double value;
  *out = g->has[0] ? g->at[0] : ft_jinja_float(0);
  if (ft_jinja_is_number(v.type))
    *out = ft_jinja_float(ft_jinja_real(v));
  else if (v.type == JINJA_STRING && parse_float(v.string, &value))
    *out = ft_jinja_float(value);
  else if (v.type == JINJA_UNDEFINED)
    return ft_jinja_check_defined(v);
  return FT_OK;
}

/* round() of Python: to the nearest number of so many decimal digits, halves to even. */
static double round_common(double value, int64_t precision) {
  char text[400];
  if (!isfinite(value) || precision > 300) return value;
  if (precision >= 0) {
    snprintf(text, sizeof text, "%.*f", (int)precision, value);
    return strtod(text, NULL);
  }
  double unit = pow(10, (double)-precision);
  return rint(value / unit) * unit;
}

static ft_err round_number(ft_jinja_state *s, ft_jinja_value v, const ft_jinja_given *g,
                           ft_jinja_value *out) {
  (void)s;
  ft_err err = FT_OK;
  int64_t precision = 0;
  const ft_jinja_string *method = NULL;
  FT_CHECK(ft_jinja_is_number(v.type), FT_ERR_DATA, "round of a %s", ft_jinja_type_name(v));
  if (g->has[0]) FT_TRY(ft_jinja_want_whole(g->at[0], "the precision", &precision));
  if (g->has[1]) FT_TRY(ft_jinja_want_string(g->at[1], "the method", &method));
  bool up = method && ft_jinja_string_is(method, "ceil");
  bool down = method && ft_jinja_string_is(method, "floor");
  FT_CHECK(!method || up || down || ft_jinja_string_is(method, "common"), FT_ERR_DATA,
           "method must be common, ceil or floor");
  if (up || down) {
    FT_CHECK(precision >= 0 && precision <= 22, FT_ERR_DATA, "a precision of %lld",
             (long long)precision);
    double unit = pow(10, (double)precision), scaled = ft_jinja_real(v) * unit;
    *out = ft_jinja_float((up ? ceil(scaled) : floor(scaled)) / unit);
    return FT_OK;
  }
  FT_CHECK(precision >= 0 || v.type == JINJA_FLOAT, FT_ERR_DATA,
           "rounding an int to tens is not supported");
  *out = v.type == JINJA_FLOAT ? ft_jinja_float(round_common(v.real, precision))
                               : ft_jinja_int(ft_jinja_whole(v));
out:
  return err;
}

const ft_jinja_builtin ft_jinja_number_filters[] = {
    {"abs", "", 0, absolute, 0},
    {"float", "default", 0, to_float, 0},
    {"int", "default,base", 0, to_int, 0},
    {"round", "precision,method", 0, round_number, 0},
    {0}};
