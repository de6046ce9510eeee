/* Expressions of a template to trees: literals, names, and what follows them. */
#include "parser.h"

ft_err ft_jinja_binary_node(ft_jinja_parser *p, ft_jinja_kind kind, ft_jinja_node *left,
                            ft_jinja_node *right, ft_jinja_node **out) {
  ft_err err = ft_jinja_node_new(p, kind, out);
  if (err != FT_OK) return err;
  (*out)->a = left;
  (*out)->b = right;
  return FT_OK;
}

static ft_err constant(ft_jinja_parser *p, ft_jinja_value value, ft_jinja_node **out) {
  ft_err err = ft_jinja_node_new(p, JINJA_CONSTANT, out);
  if (err == FT_OK) (*out)->constant = value;
  return err;
}

/* ---------------------------------------------------------------- literals and names */

static ft_err parse_list(ft_jinja_parser *p, ft_jinja_node **out) {
  ft_err err = FT_OK;
  FT_TRY(ft_jinja_node_new(p, JINJA_MAKE_LIST, out));
  FT_TRY(ft_jinja_expect_operator(p, "["));
  while (!ft_jinja_is_operator(p, "]")) {
    ft_jinja_node *item;
    if ((*out)->of.count > 0) FT_TRY(ft_jinja_expect_operator(p, ","));
    if (ft_jinja_is_operator(p, "]")) break;
    FT_TRY(ft_jinja_parse_expression(p, true, &item));
    FT_TRY(ft_jinja_nodes_add(p, &(*out)->of, item));
  }
  FT_TRY(ft_jinja_expect_operator(p, "]"));
out:
  return err;
}

static ft_err parse_dict(ft_jinja_parser *p, ft_jinja_node **out) {
  ft_err err = FT_OK;
  FT_TRY(ft_jinja_node_new(p, JINJA_MAKE_DICT, out));
  FT_TRY(ft_jinja_expect_operator(p, "{"));
  while (!ft_jinja_is_operator(p, "}")) {
    ft_jinja_node *key, *value;
    if ((*out)->of.count > 0) FT_TRY(ft_jinja_expect_operator(p, ","));
    if (ft_jinja_is_operator(p, "}")) break;
    FT_TRY(ft_jinja_parse_expression(p, true, &key));
    FT_TRY(ft_jinja_expect_operator(p, ":"));
    FT_TRY(ft_jinja_parse_expression(p, true, &value));
    FT_TRY(ft_jinja_nodes_add(p, &(*out)->of, key));
    FT_TRY(ft_jinja_nodes_add(p, &(*out)->of, value));
  }
  FT_TRY(ft_jinja_expect_operator(p, "}"));
out:
  return err;
}

/* Literals beside each other are one. */
static ft_err parse_string(ft_jinja_parser *p, ft_jinja_node **out) {
  size_t bytes = 0;
  const ft_jinja_token *first = p->now;
  for (; p->now->type == JINJA_T_STRING; p->now++)
    bytes += p->now->bytes;
  char *text = ft_jinja_alloc(&p->t->arena, bytes + 1);
  if (!text) return p->t->arena.failed;
  size_t used = 0;
  for (const ft_jinja_token *token = first; token < p->now; token++) {
    memcpy(text + used, token->text, token->bytes);
    used += token->bytes;
  }
  ft_jinja_value value;
  ft_err err = ft_jinja_string_new(&p->t->arena, text, bytes, 0, &value);
  return err == FT_OK ? constant(p, value, out) : err;
}

/* A macro that mentions these gets them; one that mentions `caller` may be called by a block. */
static void note_special(ft_jinja_parser *p, const char *name) {
  ft_jinja_node *macro = p->macro;
  if (!macro) return;
  macro->uses_caller |= strcmp(name, "caller") == 0;
  macro->uses_varargs |= strcmp(name, "varargs") == 0;
  macro->uses_kwargs |= strcmp(name, "kwargs") == 0;
}

static ft_err parse_name(ft_jinja_parser *p, bool with_namespace, ft_jinja_node **out) {
  ft_err err = FT_OK;
  const char *name = p->now->text;
  bool is_true = strcmp(name, "true") == 0 || strcmp(name, "True") == 0;
  bool is_false = strcmp(name, "false") == 0 || strcmp(name, "False") == 0;
  bool is_none = strcmp(name, "none") == 0 || strcmp(name, "None") == 0;
  if (is_true || is_false || is_none) {
    FT_TRY(constant(p, is_none ? ft_jinja_none() : ft_jinja_bool(is_true), out));
    p->now++;
    return FT_OK;
  }
  FT_TRY(ft_jinja_node_new(p, JINJA_NAME, out));
  FT_TRY(ft_jinja_intern(p->t, name, &(*out)->name));
  p->now++;
  if (!with_namespace || !ft_jinja_is_operator(p, ".")) {
    note_special(p, name);
    return FT_OK;
  }
  p->now++;
  (*out)->kind = JINJA_NAMESPACE_MEMBER;
  if (p->now->type != JINJA_T_NAME) FT_TRY(ft_jinja_unexpected(p, "a name"));
  FT_TRY(ft_jinja_intern(p->t, p->now->text, &(*out)->member));
  p->now++;
out:
  return err;
}

ft_err ft_jinja_parse_primary(ft_jinja_parser *p, bool with_namespace, ft_jinja_node **out) {
  ft_err err = FT_OK;
  switch (p->now->type) {
  case JINJA_T_NAME:
    return parse_name(p, with_namespace, out);
  case JINJA_T_STRING:
    return parse_string(p, out);
  case JINJA_T_INTEGER:
  case JINJA_T_FLOAT:
    FT_TRY(constant(p, p->now->number, out));
    p->now++;
    return FT_OK;
  default:
    break;
  }
  if (ft_jinja_is_operator(p, "[")) return parse_list(p, out);
  if (ft_jinja_is_operator(p, "{")) return parse_dict(p, out);
  if (!ft_jinja_skip_operator(p, "(")) return ft_jinja_unexpected(p, "an expression");
  FT_TRY(ft_jinja_parse_tuple(p, (ft_jinja_tuple_style){.conditional = true, .parentheses = true},
                              out));
  FT_TRY(ft_jinja_expect_operator(p, ")"));
out:
  return err;
}

static bool tuple_ends(const ft_jinja_parser *p, const char *end) {
  return p->now->type == JINJA_T_VARIABLE_END || p->now->type == JINJA_T_BLOCK_END ||
         ft_jinja_is_operator(p, ")") || (end && ft_jinja_is_word(p, end));
}

ft_err ft_jinja_parse_tuple(ft_jinja_parser *p, ft_jinja_tuple_style style, ft_jinja_node **out) {
  ft_err err = FT_OK;
  ft_jinja_nodes items = {0};
  bool is_tuple = false;
  for (;;) {
    ft_jinja_node *item;
    if (items.count > 0) FT_TRY(ft_jinja_expect_operator(p, ","));
    if (tuple_ends(p, style.end)) break;
    if (style.simple)
      FT_TRY(ft_jinja_parse_primary(p, style.with_namespace, &item));
    else
      FT_TRY(ft_jinja_parse_expression(p, style.conditional, &item));
    FT_TRY(ft_jinja_nodes_add(p, &items, item));
    if (!ft_jinja_is_operator(p, ",")) break;
    is_tuple = true;
  }
  if (!is_tuple && items.count > 0) {
    *out = items.at[0];
    return FT_OK;
  }
  if (!is_tuple && !style.parentheses) return ft_jinja_unexpected(p, "an expression");
  FT_TRY(ft_jinja_node_new(p, JINJA_MAKE_TUPLE, out));
  (*out)->of = items;
out:
  return err;
}

/* ---------------------------------------------------------------- what follows a name */

static ft_err add_named(ft_jinja_parser *p, ft_jinja_call *call) {
  ft_err err = FT_OK;
  ft_jinja_node *value;
  int64_t count = call->named.count;
  const char **names = ft_jinja_alloc(&p->t->arena, (size_t)(count + 1) * sizeof *names);
  if (!names) return p->t->arena.failed;
  if (count > 0) memcpy(names, call->names, (size_t)count * sizeof *names);
  FT_TRY(ft_jinja_intern(p->t, p->now->text, &names[count]));
  for (int64_t i = 0; i < count; i++)
    if (names[i] == names[count]) return ft_jinja_syntax_error(p, "an argument is given twice");
  call->names = names;
  p->now += 2;
  FT_TRY(ft_jinja_parse_expression(p, true, &value));
  FT_TRY(ft_jinja_nodes_add(p, &call->named, value));
out:
  return err;
}

static ft_err parse_argument(ft_jinja_parser *p, ft_jinja_call *call) {
  static const char invalid[] = "invalid syntax for function call expression";
  ft_jinja_node *value;
  if (ft_jinja_is_operator(p, "*")) {
    if (call->rest || call->rest_named) return ft_jinja_syntax_error(p, invalid);
    p->now++;
    return ft_jinja_parse_expression(p, true, &call->rest);
  }
  if (call->rest_named) return ft_jinja_syntax_error(p, invalid);
  if (ft_jinja_skip_operator(p, "**")) return ft_jinja_parse_expression(p, true, &call->rest_named);
  if (p->now->type == JINJA_T_NAME && p->now[1].type == JINJA_T_OPERATOR &&
      strcmp(p->now[1].text, "=") == 0)
    return add_named(p, call);
  if (call->rest || call->named.count > 0) return ft_jinja_syntax_error(p, invalid);
  ft_err err = ft_jinja_parse_expression(p, true, &value);
  return err == FT_OK ? ft_jinja_nodes_add(p, &call->positional, value) : err;
}

static ft_err parse_call(ft_jinja_parser *p, ft_jinja_call **out) {
  ft_err err = FT_OK;
  bool first = true;
  ft_jinja_call *call = ft_jinja_alloc(&p->t->arena, sizeof *call);
  if (!call) return p->t->arena.failed;
  FT_TRY(ft_jinja_expect_operator(p, "("));
  for (; !ft_jinja_is_operator(p, ")"); first = false) {
    if (!first) FT_TRY(ft_jinja_expect_operator(p, ","));
    if (!first && ft_jinja_is_operator(p, ")")) break;
    FT_TRY(parse_argument(p, call));
  }
  FT_TRY(ft_jinja_expect_operator(p, ")"));
  *out = call;
out:
  return err;
}

/* One index of […]: an expression or begin:end:step. */
static ft_err parse_index(ft_jinja_parser *p, ft_jinja_node **out) {
  ft_err err = FT_OK;
  ft_jinja_node *parts[3] = {NULL, NULL, NULL};
  if (!ft_jinja_is_operator(p, ":")) {
    FT_TRY(ft_jinja_parse_expression(p, true, &parts[0]));
    if (!ft_jinja_is_operator(p, ":")) {
      *out = parts[0];
      return FT_OK;
    }
  }
  for (int i = 1; i < 3 && ft_jinja_skip_operator(p, ":"); i++)
    if (!ft_jinja_is_operator(p, ":") && !ft_jinja_is_operator(p, "]") &&
        !ft_jinja_is_operator(p, ","))
      FT_TRY(ft_jinja_parse_expression(p, true, &parts[i]));
  FT_TRY(ft_jinja_node_new(p, JINJA_SLICE, out));
  (*out)->a = parts[0];
  (*out)->b = parts[1];
  (*out)->c = parts[2];
out:
  return err;
}

static ft_err parse_item(ft_jinja_parser *p, ft_jinja_node *of, ft_jinja_node **out) {
  ft_err err = FT_OK;
  ft_jinja_node *index = NULL;
  ft_jinja_nodes all = {0};
  while (!ft_jinja_is_operator(p, "]")) {
    if (all.count > 0) FT_TRY(ft_jinja_expect_operator(p, ","));
    FT_TRY(parse_index(p, &index));
    FT_TRY(ft_jinja_nodes_add(p, &all, index));
  }
  p->now++;
  if (all.count != 1) {
    FT_TRY(ft_jinja_node_new(p, JINJA_MAKE_TUPLE, &index));
    index->of = all;
  }
  FT_TRY(ft_jinja_binary_node(p, JINJA_ITEM, of, index, out));
out:
  return err;
}

static ft_err parse_attribute(ft_jinja_parser *p, ft_jinja_node *of, ft_jinja_node **out) {
  ft_err err = FT_OK;
  ft_jinja_node *index;
  if (p->now->type == JINJA_T_INTEGER) {
    FT_TRY(constant(p, p->now->number, &index));
    p->now++;
    return ft_jinja_binary_node(p, JINJA_ITEM, of, index, out);
  }
  if (p->now->type != JINJA_T_NAME) return ft_jinja_unexpected(p, "a name or number");
  FT_TRY(ft_jinja_binary_node(p, JINJA_ATTRIBUTE, of, NULL, out));
  FT_TRY(ft_jinja_intern(p->t, p->now->text, &(*out)->name));
  FT_TRY(ft_jinja_string_literal(&p->t->arena, (*out)->name, &(*out)->constant));
  (*out)->may_be_python = ft_jinja_may_be_python((*out)->name);
  p->now++;
out:
  return err;
}

static ft_err call_of(ft_jinja_parser *p, ft_jinja_node *what, ft_jinja_node **out) {
  ft_err err = ft_jinja_binary_node(p, JINJA_CALL, what, NULL, out);
  return err == FT_OK ? parse_call(p, &(*out)->call) : err;
}

ft_err ft_jinja_parse_postfix(ft_jinja_parser *p, ft_jinja_node **node) {
  ft_err err = FT_OK;
  for (;;) {
    ft_jinja_node *inside = *node;
    if (ft_jinja_skip_operator(p, ".")) {
      FT_TRY(parse_attribute(p, inside, node));
    } else if (ft_jinja_skip_operator(p, "[")) {
      FT_TRY(parse_item(p, inside, node));
    } else if (ft_jinja_is_operator(p, "(")) {
      FT_TRY(call_of(p, inside, node));
    } else {
      return FT_OK;
    }
  }
out:
  return err;
}

/* A name that may have dots. */
static ft_err parse_dotted(ft_jinja_parser *p, const char **out) {
  if (p->now->type != JINJA_T_NAME) return ft_jinja_unexpected(p, "a name");
  ft_err err = ft_jinja_intern(p->t, p->now->text, out);
  p->now++;
  if (err == FT_OK && ft_jinja_is_operator(p, "."))
    return ft_jinja_syntax_error(p, "a filter or test whose name has a dot does not exist");
  return err;
}

ft_err ft_jinja_parse_filters(ft_jinja_parser *p, ft_jinja_node *inside, bool starts_inline,
                              ft_jinja_node **out) {
  ft_err err = FT_OK;
  *out = inside;
  while (starts_inline || ft_jinja_is_operator(p, "|")) {
    if (!starts_inline) p->now++;
    starts_inline = false;
    ft_jinja_node *filter;
    FT_TRY(ft_jinja_binary_node(p, JINJA_FILTER, *out, NULL, &filter));
    FT_TRY(parse_dotted(p, &filter->name));
    filter->builtin = ft_jinja_find_filter(filter->name);
    if (ft_jinja_is_operator(p, "(")) FT_TRY(parse_call(p, &filter->call));
    *out = filter;
  }
out:
  return err;
}

/* Whether a test's only argument may stand here without parentheses. */
static bool starts_argument(const ft_jinja_parser *p) {
  switch (p->now->type) {
  case JINJA_T_NAME:
    return !ft_jinja_is_word(p, "else") && !ft_jinja_is_word(p, "or") &&
           !ft_jinja_is_word(p, "and");
  case JINJA_T_STRING:
  case JINJA_T_INTEGER:
  case JINJA_T_FLOAT:
    return true;
  default:
    return ft_jinja_is_operator(p, "[") || ft_jinja_is_operator(p, "{");
  }
}

static ft_err parse_test(ft_jinja_parser *p, ft_jinja_node *of, ft_jinja_node **out) {
  ft_err err = FT_OK;
  bool negated = ft_jinja_skip_word(p, "not");
  ft_jinja_node *test, *argument;
  FT_TRY(ft_jinja_binary_node(p, JINJA_TEST, of, NULL, &test));
  FT_TRY(parse_dotted(p, &test->name));
  if (ft_jinja_is_operator(p, "(")) {
    FT_TRY(parse_call(p, &test->call));
  } else if (starts_argument(p)) {
    if (ft_jinja_is_word(p, "is"))
      return ft_jinja_syntax_error(p, "You cannot chain multiple tests with is");
    test->call = ft_jinja_alloc(&p->t->arena, sizeof *test->call);
    if (!test->call) return p->t->arena.failed;
    FT_TRY(ft_jinja_parse_primary(p, false, &argument));
    FT_TRY(ft_jinja_parse_postfix(p, &argument));
    FT_TRY(ft_jinja_nodes_add(p, &test->call->positional, argument));
  }
  *out = test;
  if (negated) FT_TRY(ft_jinja_binary_node(p, JINJA_NOT, test, NULL, out));
out:
  return err;
}

ft_err ft_jinja_parse_filters_and_tests(ft_jinja_parser *p, ft_jinja_node **node) {
  ft_err err = FT_OK;
  for (;;) {
    ft_jinja_node *inside = *node;
    if (ft_jinja_is_operator(p, "|")) {
      FT_TRY(ft_jinja_parse_filters(p, inside, false, node));
    } else if (ft_jinja_skip_word(p, "is")) {
      FT_TRY(parse_test(p, inside, node));
    } else if (ft_jinja_is_operator(p, "(")) {
      FT_TRY(call_of(p, inside, node));
    } else {
      return FT_OK;
    }
  }
out:
  return err;
}
