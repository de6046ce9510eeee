/* Operators of expressions, by recursive descent. The order of precedence is Jinja's: if, or, and,
 * not, comparisons, + -, ~, * / // %, **, signs, then names with what follows them. */
#include "parser.h"

static ft_err parse_or(ft_jinja_parser *p, ft_jinja_node **out);

static ft_err parse_unary(ft_jinja_parser *p, bool with_filters, ft_jinja_node **out) {
  ft_err err = FT_OK;
  ft_jinja_node *inside;
  bool minus = ft_jinja_is_operator(p, "-");
  FT_TRY(ft_jinja_deeper(p));
  if (minus || ft_jinja_is_operator(p, "+")) {
    p->now++;
    FT_TRY(parse_unary(p, false, &inside));
    FT_TRY(ft_jinja_binary_node(p, minus ? JINJA_NEGATIVE : JINJA_POSITIVE, inside, NULL, out));
  } else {
    FT_TRY(ft_jinja_parse_primary(p, false, out));
  }
  FT_TRY(ft_jinja_parse_postfix(p, out));
  if (with_filters) FT_TRY(ft_jinja_parse_filters_and_tests(p, out));
out:
  p->depth--;
  return err;
}

static ft_err parse_power(ft_jinja_parser *p, ft_jinja_node **out) {
  ft_err err = parse_unary(p, true, out);
  while (err == FT_OK && ft_jinja_skip_operator(p, "**")) {
    ft_jinja_node *right;
    err = parse_unary(p, true, &right);
    if (err == FT_OK) err = ft_jinja_binary_node(p, JINJA_POWER, *out, right, out);
  }
  return err;
}

static ft_err parse_product(ft_jinja_parser *p, ft_jinja_node **out) {
  ft_err err = parse_power(p, out);
  while (err == FT_OK) {
    ft_jinja_kind kind = ft_jinja_is_operator(p, "*")    ? JINJA_MULTIPLY
                         : ft_jinja_is_operator(p, "/")  ? JINJA_DIVIDE
                         : ft_jinja_is_operator(p, "//") ? JINJA_FLOOR_DIVIDE
                         : ft_jinja_is_operator(p, "%")  ? JINJA_MODULO
                                                         : JINJA_CONSTANT;
    if (kind == JINJA_CONSTANT) break;
    p->now++;
    ft_jinja_node *right;
    err = parse_power(p, &right);
    if (err == FT_OK) err = ft_jinja_binary_node(p, kind, *out, right, out);
  }
  return err;
}

static ft_err parse_concat(ft_jinja_parser *p, ft_jinja_node **out) {
  ft_err err = FT_OK;
  ft_jinja_node *part;
  FT_TRY(parse_product(p, out));
  if (!ft_jinja_is_operator(p, "~")) return FT_OK;
  part = *out;
  FT_TRY(ft_jinja_node_new(p, JINJA_CONCAT, out));
  FT_TRY(ft_jinja_nodes_add(p, &(*out)->of, part));
  while (ft_jinja_skip_operator(p, "~")) {
    FT_TRY(parse_product(p, &part));
    FT_TRY(ft_jinja_nodes_add(p, &(*out)->of, part));
  }
out:
  return err;
}

static ft_err parse_sum(ft_jinja_parser *p, ft_jinja_node **out) {
  ft_err err = parse_concat(p, out);
  while (err == FT_OK && (ft_jinja_is_operator(p, "+") || ft_jinja_is_operator(p, "-"))) {
    ft_jinja_kind kind = ft_jinja_is_operator(p, "+") ? JINJA_ADD : JINJA_SUBTRACT;
    p->now++;
    ft_jinja_node *right;
    err = parse_concat(p, &right);
    if (err == FT_OK) err = ft_jinja_binary_node(p, kind, *out, right, out);
  }
  return err;
}

/* The comparison that stands here; it is passed over. False: none. */
static bool parse_comparison(ft_jinja_parser *p, ft_jinja_comparison *out) {
  static const char *const operators[] = {"==", "!=", "<", "<=", ">", ">="};
  for (size_t i = 0; i < FT_ARRAY_SIZE(operators); i++)
    if (ft_jinja_skip_operator(p, operators[i])) {
      *out = (ft_jinja_comparison)i;
      return true;
    }
  *out = JINJA_IN;
  if (ft_jinja_skip_word(p, "in")) return true;
  bool not_in = ft_jinja_is_word(p, "not") && p->now[1].type == JINJA_T_NAME &&
                strcmp(p->now[1].text, "in") == 0;
  if (not_in) p->now += 2;
  *out = JINJA_NOT_IN;
  return not_in;
}

static ft_err parse_compare(ft_jinja_parser *p, ft_jinja_node **out) {
  ft_err err = FT_OK;
  ft_jinja_node *chain = NULL, *right, *link;
  ft_jinja_comparison comparison;
  FT_TRY(parse_sum(p, out));
  while (parse_comparison(p, &comparison)) {
    FT_TRY(parse_sum(p, &right));
    if (!chain) FT_TRY(ft_jinja_binary_node(p, JINJA_COMPARE, *out, NULL, &chain));
    FT_TRY(ft_jinja_binary_node(p, JINJA_COMPARE, right, NULL, &link));
    link->comparison = comparison;
    FT_TRY(ft_jinja_nodes_add(p, &chain->of, link));
    *out = chain;
  }
out:
  return err;
}

static ft_err parse_not(ft_jinja_parser *p, ft_jinja_node **out) {
  ft_err err = FT_OK;
  ft_jinja_node *inside;
  if (!ft_jinja_is_word(p, "not")) return parse_compare(p, out);
  FT_TRY(ft_jinja_deeper(p));
  p->now++;
  FT_TRY(parse_not(p, &inside));
  FT_TRY(ft_jinja_binary_node(p, JINJA_NOT, inside, NULL, out));
out:
  p->depth--;
  return err;
}

static ft_err parse_and(ft_jinja_parser *p, ft_jinja_node **out) {
  ft_err err = parse_not(p, out);
  while (err == FT_OK && ft_jinja_skip_word(p, "and")) {
    ft_jinja_node *right;
    err = parse_not(p, &right);
    if (err == FT_OK) err = ft_jinja_binary_node(p, JINJA_AND, *out, right, out);
  }
  return err;
}

static ft_err parse_or(ft_jinja_parser *p, ft_jinja_node **out) {
  ft_err err = parse_and(p, out);
  while (err == FT_OK && ft_jinja_skip_word(p, "or")) {
    ft_jinja_node *right;
    err = parse_and(p, &right);
    if (err == FT_OK) err = ft_jinja_binary_node(p, JINJA_OR, *out, right, out);
  }
  return err;
}

ft_err ft_jinja_parse_expression(ft_jinja_parser *p, bool conditional, ft_jinja_node **out) {
  ft_err err = FT_OK;
  ft_jinja_node *test, *otherwise, *result;
  FT_TRY(ft_jinja_deeper(p));
  FT_TRY(parse_or(p, out));
  while (conditional && ft_jinja_skip_word(p, "if")) {
    FT_TRY(parse_or(p, &test));
    otherwise = NULL;
    if (ft_jinja_skip_word(p, "else")) FT_TRY(ft_jinja_parse_expression(p, true, &otherwise));
    FT_TRY(ft_jinja_binary_node(p, JINJA_CONDITIONAL, *out, test, &result));
    result->c = otherwise;
    *out = result;
  }
out:
  p->depth--;
  return err;
}
