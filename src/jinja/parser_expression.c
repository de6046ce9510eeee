/* Expressions of a template to trees: literals, names, and what follows them. */
#include "parser.h"

ft_err jinja_binary_node(jinja_parser *p, jinja_kind kind, jinja_node *left, jinja_node *right,
                         jinja_node **out) {
  ft_err err = jinja_node_new(p, kind, out);
  if (err != FT_OK) return err;
  (*out)->a = left;
  (*out)->b = right;
  return FT_OK;
}

static ft_err constant(jinja_parser *p, jinja_value value, jinja_node **out) {
  ft_err err = jinja_node_new(p, JINJA_CONSTANT, out);
  if (err == FT_OK) (*out)->constant = value;
  return err;
}

/* ---------------------------------------------------------------- literals and names */

static ft_err parse_list(jinja_parser *p, jinja_node **out) {
  ft_err err = FT_OK;
  FT_TRY(jinja_node_new(p, JINJA_MAKE_LIST, out));
  FT_TRY(jinja_expect_operator(p, "["));
  while (!jinja_is_operator(p, "]")) {
    jinja_node *item;
    if ((*out)->of.count > 0) FT_TRY(jinja_expect_operator(p, ","));
    if (jinja_is_operator(p, "]")) break;
    FT_TRY(jinja_parse_expression(p, true, &item));
    FT_TRY(jinja_nodes_add(p, &(*out)->of, item));
  }
  FT_TRY(jinja_expect_operator(p, "]"));
out:
  return err;
}

static ft_err parse_dict(jinja_parser *p, jinja_node **out) {
  ft_err err = FT_OK;
  FT_TRY(jinja_node_new(p, JINJA_MAKE_DICT, out));
  FT_TRY(jinja_expect_operator(p, "{"));
  while (!jinja_is_operator(p, "}")) {
    jinja_node *key, *value;
    if ((*out)->of.count > 0) FT_TRY(jinja_expect_operator(p, ","));
    if (jinja_is_operator(p, "}")) break;
    FT_TRY(jinja_parse_expression(p, true, &key));
    FT_TRY(jinja_expect_operator(p, ":"));
    FT_TRY(jinja_parse_expression(p, true, &value));
    FT_TRY(jinja_nodes_add(p, &(*out)->of, key));
    FT_TRY(jinja_nodes_add(p, &(*out)->of, value));
  }
  FT_TRY(jinja_expect_operator(p, "}"));
out:
  return err;
}

/* Literals beside each other are one. */
static ft_err parse_string(jinja_parser *p, jinja_node **out) {
  size_t bytes = 0;
  const jinja_token *first = p->now;
  for (; p->now->type == JINJA_T_STRING; p->now++)
    bytes += p->now->bytes;
  char *text = jinja_alloc(&p->t->arena, bytes + 1);
  if (!text) return p->t->arena.failed;
  size_t used = 0;
  for (const jinja_token *token = first; token < p->now; token++) {
    memcpy(text + used, token->text, token->bytes);
    used += token->bytes;
  }
  jinja_value value;
  ft_err err = jinja_string_new(&p->t->arena, text, bytes, 0, &value);
  return err == FT_OK ? constant(p, value, out) : err;
}

/* A macro that mentions these gets them; one that mentions `caller` may be called by a block. */
static void note_special(jinja_parser *p, const char *name) {
  jinja_node *macro = p->macro;
  if (!macro) return;
  macro->uses_caller |= strcmp(name, "caller") == 0;
  macro->uses_varargs |= strcmp(name, "varargs") == 0;
  macro->uses_kwargs |= strcmp(name, "kwargs") == 0;
}

static ft_err parse_name(jinja_parser *p, bool with_namespace, jinja_node **out) {
  ft_err err = FT_OK;
  const char *name = p->now->text;
  bool is_true = strcmp(name, "true") == 0 || strcmp(name, "True") == 0;
  bool is_false = strcmp(name, "false") == 0 || strcmp(name, "False") == 0;
  bool is_none = strcmp(name, "none") == 0 || strcmp(name, "None") == 0;
  if (is_true || is_false || is_none) {
    FT_TRY(constant(p, is_none ? jinja_none() : jinja_bool(is_true), out));
    p->now++;
    return FT_OK;
  }
  FT_TRY(jinja_node_new(p, JINJA_NAME, out));
  FT_TRY(jinja_intern(p->t, name, &(*out)->name));
  p->now++;
  if (!with_namespace || !jinja_is_operator(p, ".")) {
    note_special(p, name);
    return FT_OK;
  }
  p->now++;
  (*out)->kind = JINJA_NAMESPACE_MEMBER;
  if (p->now->type != JINJA_T_NAME) FT_TRY(jinja_unexpected(p, "a name"));
  FT_TRY(jinja_intern(p->t, p->now->text, &(*out)->member));
  p->now++;
out:
  return err;
}

ft_err jinja_parse_primary(jinja_parser *p, bool with_namespace, jinja_node **out) {
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
  if (jinja_is_operator(p, "[")) return parse_list(p, out);
  if (jinja_is_operator(p, "{")) return parse_dict(p, out);
  if (!jinja_skip_operator(p, "(")) return jinja_unexpected(p, "an expression");
  FT_TRY(jinja_parse_tuple(p, (jinja_tuple_style){.conditional = true, .parentheses = true}, out));
  FT_TRY(jinja_expect_operator(p, ")"));
out:
  return err;
}

static bool tuple_ends(const jinja_parser *p, const char *end) {
  return p->now->type == JINJA_T_VARIABLE_END || p->now->type == JINJA_T_BLOCK_END ||
         jinja_is_operator(p, ")") || (end && jinja_is_word(p, end));
}

ft_err jinja_parse_tuple(jinja_parser *p, jinja_tuple_style style, jinja_node **out) {
  ft_err err = FT_OK;
  jinja_nodes items = {0};
  bool is_tuple = false;
  for (;;) {
    jinja_node *item;
    if (items.count > 0) FT_TRY(jinja_expect_operator(p, ","));
    if (tuple_ends(p, style.end)) break;
    if (style.simple)
      FT_TRY(jinja_parse_primary(p, style.with_namespace, &item));
    else
      FT_TRY(jinja_parse_expression(p, style.conditional, &item));
    FT_TRY(jinja_nodes_add(p, &items, item));
    if (!jinja_is_operator(p, ",")) break;
    is_tuple = true;
  }
  if (!is_tuple && items.count > 0) {
    *out = items.at[0];
    return FT_OK;
  }
  if (!is_tuple && !style.parentheses) return jinja_unexpected(p, "an expression");
  FT_TRY(jinja_node_new(p, JINJA_MAKE_TUPLE, out));
  (*out)->of = items;
out:
  return err;
}

/* ---------------------------------------------------------------- what follows a name */

static ft_err add_named(jinja_parser *p, jinja_call *call) {
  ft_err err = FT_OK;
  jinja_node *value;
  int64_t count = call->named.count;
  const char **names = jinja_alloc(&p->t->arena, (size_t)(count + 1) * sizeof *names);
  if (!names) return p->t->arena.failed;
  if (count > 0) memcpy(names, call->names, (size_t)count * sizeof *names);
  FT_TRY(jinja_intern(p->t, p->now->text, &names[count]));
  for (int64_t i = 0; i < count; i++)
    if (names[i] == names[count]) return jinja_syntax_error(p, "an argument is given twice");
  call->names = names;
  p->now += 2;
  FT_TRY(jinja_parse_expression(p, true, &value));
  FT_TRY(jinja_nodes_add(p, &call->named, value));
out:
  return err;
}

static ft_err parse_argument(jinja_parser *p, jinja_call *call) {
  static const char invalid[] = "invalid syntax for function call expression";
  jinja_node *value;
  if (jinja_is_operator(p, "*")) {
    if (call->rest || call->rest_named) return jinja_syntax_error(p, invalid);
    p->now++;
    return jinja_parse_expression(p, true, &call->rest);
  }
  if (call->rest_named) return jinja_syntax_error(p, invalid);
  if (jinja_skip_operator(p, "**")) return jinja_parse_expression(p, true, &call->rest_named);
  if (p->now->type == JINJA_T_NAME && p->now[1].type == JINJA_T_OPERATOR &&
      strcmp(p->now[1].text, "=") == 0)
    return add_named(p, call);
  if (call->rest || call->named.count > 0) return jinja_syntax_error(p, invalid);
  ft_err err = jinja_parse_expression(p, true, &value);
  return err == FT_OK ? jinja_nodes_add(p, &call->positional, value) : err;
}

static ft_err parse_call(jinja_parser *p, jinja_call **out) {
  ft_err err = FT_OK;
  bool first = true;
  jinja_call *call = jinja_alloc(&p->t->arena, sizeof *call);
  if (!call) return p->t->arena.failed;
  FT_TRY(jinja_expect_operator(p, "("));
  for (; !jinja_is_operator(p, ")"); first = false) {
    if (!first) FT_TRY(jinja_expect_operator(p, ","));
    if (!first && jinja_is_operator(p, ")")) break;
    FT_TRY(parse_argument(p, call));
  }
  FT_TRY(jinja_expect_operator(p, ")"));
  *out = call;
out:
  return err;
}

/* One index of […]: an expression or begin:end:step. */
static ft_err parse_index(jinja_parser *p, jinja_node **out) {
  ft_err err = FT_OK;
  jinja_node *parts[3] = {NULL, NULL, NULL};
  if (!jinja_is_operator(p, ":")) {
    FT_TRY(jinja_parse_expression(p, true, &parts[0]));
    if (!jinja_is_operator(p, ":")) {
      *out = parts[0];
      return FT_OK;
    }
  }
  for (int i = 1; i < 3 && jinja_skip_operator(p, ":"); i++)
    if (!jinja_is_operator(p, ":") && !jinja_is_operator(p, "]") && !jinja_is_operator(p, ","))
      FT_TRY(jinja_parse_expression(p, true, &parts[i]));
  FT_TRY(jinja_node_new(p, JINJA_SLICE, out));
  (*out)->a = parts[0];
  (*out)->b = parts[1];
  (*out)->c = parts[2];
out:
  return err;
}

static ft_err parse_item(jinja_parser *p, jinja_node *of, jinja_node **out) {
  ft_err err = FT_OK;
  jinja_node *index = NULL;
  jinja_nodes all = {0};
  while (!jinja_is_operator(p, "]")) {
    if (all.count > 0) FT_TRY(jinja_expect_operator(p, ","));
    FT_TRY(parse_index(p, &index));
    FT_TRY(jinja_nodes_add(p, &all, index));
  }
  p->now++;
  if (all.count != 1) {
    FT_TRY(jinja_node_new(p, JINJA_MAKE_TUPLE, &index));
    index->of = all;
  }
  FT_TRY(jinja_binary_node(p, JINJA_ITEM, of, index, out));
out:
  return err;
}

static ft_err parse_attribute(jinja_parser *p, jinja_node *of, jinja_node **out) {
  ft_err err = FT_OK;
  jinja_node *index;
  if (p->now->type == JINJA_T_INTEGER) {
    FT_TRY(constant(p, p->now->number, &index));
    p->now++;
    return jinja_binary_node(p, JINJA_ITEM, of, index, out);
  }
  if (p->now->type != JINJA_T_NAME) return jinja_unexpected(p, "a name or number");
  FT_TRY(jinja_binary_node(p, JINJA_ATTRIBUTE, of, NULL, out));
  FT_TRY(jinja_intern(p->t, p->now->text, &(*out)->name));
  FT_TRY(jinja_string_literal(&p->t->arena, (*out)->name, &(*out)->constant));
  (*out)->may_be_python = jinja_may_be_python((*out)->name);
  p->now++;
out:
  return err;
}

ft_err jinja_parse_postfix(jinja_parser *p, jinja_node **node) {
  ft_err err = FT_OK;
  for (;;) {
    jinja_node *inside = *node;
    if (jinja_skip_operator(p, ".")) {
      FT_TRY(parse_attribute(p, inside, node));
    } else if (jinja_skip_operator(p, "[")) {
      FT_TRY(parse_item(p, inside, node));
    } else if (jinja_is_operator(p, "(")) {
      FT_TRY(jinja_binary_node(p, JINJA_CALL, inside, NULL, node));
      FT_TRY(parse_call(p, &(*node)->call));
    } else {
      return FT_OK;
    }
  }
out:
  return err;
}

/* A name that may have dots. */
static ft_err parse_dotted(jinja_parser *p, const char **out) {
  if (p->now->type != JINJA_T_NAME) return jinja_unexpected(p, "a name");
  ft_err err = jinja_intern(p->t, p->now->text, out);
  p->now++;
  if (err == FT_OK && jinja_is_operator(p, "."))
    return jinja_syntax_error(p, "a filter or test whose name has a dot does not exist");
  return err;
}

ft_err jinja_parse_filters(jinja_parser *p, jinja_node *inside, bool starts_inline,
                           jinja_node **out) {
  ft_err err = FT_OK;
  *out = inside;
  while (starts_inline || jinja_is_operator(p, "|")) {
    if (!starts_inline) p->now++;
    starts_inline = false;
    jinja_node *filter;
    FT_TRY(jinja_binary_node(p, JINJA_FILTER, *out, NULL, &filter));
    FT_TRY(parse_dotted(p, &filter->name));
    filter->builtin = jinja_find_filter(filter->name);
    if (jinja_is_operator(p, "(")) FT_TRY(parse_call(p, &filter->call));
    *out = filter;
  }
out:
  return err;
}

/* Whether a test's only argument may stand here without parentheses. */
static bool starts_argument(const jinja_parser *p) {
  switch (p->now->type) {
  case JINJA_T_NAME:
    return !jinja_is_word(p, "else") && !jinja_is_word(p, "or") && !jinja_is_word(p, "and");
  case JINJA_T_STRING:
  case JINJA_T_INTEGER:
  case JINJA_T_FLOAT:
    return true;
  default:
    return jinja_is_operator(p, "[") || jinja_is_operator(p, "{");
  }
}

static ft_err parse_test(jinja_parser *p, jinja_node *of, jinja_node **out) {
  ft_err err = FT_OK;
  bool negated = jinja_skip_word(p, "not");
  jinja_node *test, *argument;
  FT_TRY(jinja_binary_node(p, JINJA_TEST, of, NULL, &test));
  FT_TRY(parse_dotted(p, &test->name));
  if (jinja_is_operator(p, "(")) {
    FT_TRY(parse_call(p, &test->call));
  } else if (starts_argument(p)) {
    if (jinja_is_word(p, "is"))
      return jinja_syntax_error(p, "You cannot chain multiple tests with is");
    test->call = jinja_alloc(&p->t->arena, sizeof *test->call);
    if (!test->call) return p->t->arena.failed;
    FT_TRY(jinja_parse_primary(p, false, &argument));
    FT_TRY(jinja_parse_postfix(p, &argument));
    FT_TRY(jinja_nodes_add(p, &test->call->positional, argument));
  }
  *out = test;
  if (negated) FT_TRY(jinja_binary_node(p, JINJA_NOT, test, NULL, out));
out:
  return err;
}

ft_err jinja_parse_filters_and_tests(jinja_parser *p, jinja_node **node) {
  ft_err err = FT_OK;
  for (;;) {
    jinja_node *inside = *node;
    if (jinja_is_operator(p, "|")) {
      FT_TRY(jinja_parse_filters(p, inside, false, node));
    } else if (jinja_skip_word(p, "is")) {
      FT_TRY(parse_test(p, inside, node));
    } else if (jinja_is_operator(p, "(")) {
      FT_TRY(jinja_binary_node(p, JINJA_CALL, inside, NULL, node));
      FT_TRY(parse_call(p, &(*node)->call));
    } else {
      return FT_OK;
    }
  }
out:
  return err;
}
