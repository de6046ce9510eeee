/* Tests: what stands behind `is`. */
#include "state.h"

/* Python's bool(isinstance(v, Mapping)) and the like need no arguments. */
static bool test_type(const char *name, ft_jinja_value v, bool *known) {
  bool whole = v.type == JINJA_INT || v.type == JINJA_BIG;
  *known = true;
  if (strcmp(name, "defined") == 0) return v.type != JINJA_UNDEFINED;
  if (strcmp(name, "undefined") == 0) return v.type == JINJA_UNDEFINED;
  if (strcmp(name, "none") == 0) return v.type == JINJA_NONE;
  if (strcmp(name, "boolean") == 0) return v.type == JINJA_BOOL;
  if (strcmp(name, "true") == 0) return v.type == JINJA_BOOL && v.boolean;
  if (strcmp(name, "false") == 0) return v.type == JINJA_BOOL && !v.boolean;
  if (strcmp(name, "integer") == 0) return whole;
  if (strcmp(name, "float") == 0) return v.type == JINJA_FLOAT;
  if (strcmp(name, "number") == 0) return whole || ft_jinja_is_number(v.type);
  if (strcmp(name, "string") == 0) return v.type == JINJA_STRING;
  if (strcmp(name, "mapping") == 0) return v.type == JINJA_DICT;
  if (strcmp(name, "iterable") == 0)
    return v.type == JINJA_STRING || v.type == JINJA_DICT || ft_jinja_is_listed(v.type) ||
           v.type == JINJA_UNDEFINED || v.type == JINJA_LOOP;
  if (strcmp(name, "sequence") == 0)
    return v.type == JINJA_STRING || v.type == JINJA_DICT || ft_jinja_is_sequence(v.type) ||
           v.type == JINJA_UNDEFINED;
  if (strcmp(name, "callable") == 0)
    return v.type == JINJA_MACRO || v.type == JINJA_LOOP || v.type == JINJA_FUNCTION ||
           v.type == JINJA_METHOD || v.type == JINJA_UNDEFINED;
  if (strcmp(name, "escaped") == 0) return v.type == JINJA_STRING && v.string->markup;
  *known = false;
  return false;
}

/* Whether v % by is 0. */
static ft_err divisible(ft_jinja_state *s, ft_jinja_value v, ft_jinja_value by, bool *out) {
  ft_jinja_value rest;
  if (!ft_jinja_is_number(v.type) || !ft_jinja_is_number(by.type))
    return ft_fail(FT_ERR_DATA, "a %s is divided by a %s", ft_jinja_type_name(v),
                   ft_jinja_type_name(by));
  ft_err err = ft_jinja_binary(s, JINJA_MODULO, v, by, &rest);
  *out = err == FT_OK && ft_jinja_real(rest) == 0;
  return err;
}

/* odd and even: v % 2 is 1 or 0, which a fraction is neither of. */
static ft_err test_parity(ft_jinja_state *s, ft_jinja_value v, double wanted, bool *out) {
  ft_jinja_value rest;
  if (!ft_jinja_is_number(v.type))
    return ft_fail(FT_ERR_DATA, "a %s is neither odd nor even", ft_jinja_type_name(v));
  ft_err err = ft_jinja_binary(s, JINJA_MODULO, v, ft_jinja_int(2), &rest);
  *out = err == FT_OK && ft_jinja_real(rest) == wanted;
  return err;
}

/* lower and upper: Python's str.islower and str.isupper of the text. */
static ft_err test_case(ft_jinja_state *s, const char *name, ft_jinja_value v, bool *out) {
  static const ft_jinja_arguments none = {0};
  const ft_jinja_string *text;
  ft_jinja_value is;
  ft_err err = ft_jinja_to_string(s->arena, v, &text);
  if (err != FT_OK) return err;
  ft_jinja_value self = ft_jinja_of_string(text);
  const char *method = strcmp(name, "lower") == 0 ? "islower" : "isupper";
  err = ft_jinja_run_builtin(s, ft_jinja_find_method(self, method), self, &none, &is);
  *out = err == FT_OK && is.boolean;
  return err;
}

static bool same(ft_jinja_value a, ft_jinja_value b) {
  bool single = a.type == JINJA_NONE || a.type == JINJA_BOOL;
  if (single) return a.type == b.type && ft_jinja_equal(a, b);
  return a.type == b.type && a.type != JINJA_INT && a.type != JINJA_FLOAT && a.list == b.list;
}

/* Tests with one argument. */
static ft_err test_with(ft_jinja_state *s, const char *name, ft_jinja_value v, ft_jinja_value with,
                        bool *known, bool *out) {
  static const struct {
    const char *names[4];
    ft_jinja_comparison comparison;
  } comparisons[] = {{{"==", "eq", "equalto"}, JINJA_EQ},
                     {{"!=", "ne"}, JINJA_NE},
                     {{"<", "lt", "lessthan"}, JINJA_LT},
                     {{"<=", "le"}, JINJA_LE},
                     {{">", "gt", "greaterthan"}, JINJA_GT},
                     {{">=", "ge"}, JINJA_GE},
                     {{"in"}, JINJA_IN}};
  *known = true;
  if (strcmp(name, "sameas") == 0) {
    bool numbers = v.type == with.type && (v.type == JINJA_INT || v.type == JINJA_FLOAT);
    if (numbers) return ft_fail(FT_ERR_DATA, "sameas of numbers is an accident of Python");
    *out = same(v, with);
    return FT_OK;
  }
  if (strcmp(name, "divisibleby") == 0) return divisible(s, v, with, out);
  for (size_t i = 0; i < FT_ARRAY_SIZE(comparisons); i++)
    for (int n = 0; n < 4 && comparisons[i].names[n]; n++)
      if (strcmp(name, comparisons[i].names[n]) == 0)
        return ft_jinja_compare(s, comparisons[i].comparison, v, with, out);
  *known = false;
  return FT_OK;
}

static ft_err test_without(ft_jinja_state *s, const char *name, ft_jinja_value v, bool *known,
                           bool *out) {
  if (strcmp(name, "odd") == 0) return test_parity(s, v, 1, out);
  if (strcmp(name, "even") == 0) return test_parity(s, v, 0, out);
  if (strcmp(name, "lower") == 0 || strcmp(name, "upper") == 0) return test_case(s, name, v, out);
  if (strcmp(name, "filter") == 0 || strcmp(name, "test") == 0)
    return ft_fail(FT_ERR_DATA, "the test \"%s\" is not supported", name);
  *out = test_type(name, v, known);
  return FT_OK;
}

ft_err ft_jinja_test(ft_jinja_state *s, const char *name, ft_jinja_value v,
                     const ft_jinja_arguments *with, bool *out) {
  ft_err err = FT_OK;
  bool known = true, one = with->count == 1 && with->num_named == 0;
  bool unsafe = v.type == JINJA_UNDEFINED && v.unsafe;
  *out = false;
  if (unsafe && strcmp(name, "defined") != 0 && strcmp(name, "undefined") != 0)
    return ft_jinja_check_defined(v);
  if (one)
    FT_TRY(test_with(s, name, v, with->positional[0], &known, out));
  else if (with->count == 0 && with->num_named == 0)
    FT_TRY(test_without(s, name, v, &known, out));
  else
    known = false;
  FT_CHECK(known, FT_ERR_DATA, "there is no test \"%.40s\" with %lld arguments", name,
           (long long)(with->count + with->num_named));
out:
  return err;
}
