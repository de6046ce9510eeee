/* Statements of a template to trees. What Jinja has and chat templates have no use for (include,
 * import, block inheritance, autoescape) is refused by name. */
#include "parser.h"

static ft_err parse_body(ft_jinja_parser *p, const char *const ends[], ft_jinja_nodes *out);

/* ---------------------------------------------------------------- tokens */

bool ft_jinja_is_operator(const ft_jinja_parser *p, const char *text) {
  return p->now->type == JINJA_T_OPERATOR && strcmp(p->now->text, text) == 0;
}

bool ft_jinja_is_word(const ft_jinja_parser *p, const char *text) {
  return p->now->type == JINJA_T_NAME && strcmp(p->now->text, text) == 0;
}

bool ft_jinja_skip_operator(ft_jinja_parser *p, const char *text) {
  bool is = ft_jinja_is_operator(p, text);
  p->now += is;
  return is;
}

bool ft_jinja_skip_word(ft_jinja_parser *p, const char *text) {
  bool is = ft_jinja_is_word(p, text);
  p->now += is;
  return is;
}

ft_err ft_jinja_syntax_error(const ft_jinja_parser *p, const char *what) {
  return ft_fail(FT_ERR_DATA, "line %d: %s", p->now->line, what);
}

ft_err ft_jinja_deeper(ft_jinja_parser *p) {
  if (++p->depth <= JINJA_DEPTH_MAX) return FT_OK;
  return ft_jinja_syntax_error(p, "expressions and blocks nested more than 150 deep");
}

ft_err ft_jinja_unexpected(const ft_jinja_parser *p, const char *expected) {
  static const char *const kinds[] = {[JINJA_T_END] = "the end of the template",
                                      [JINJA_T_DATA] = "text",
                                      [JINJA_T_VARIABLE_BEGIN] = "{{",
                                      [JINJA_T_VARIABLE_END] = "}}",
                                      [JINJA_T_BLOCK_BEGIN] = "{%",
                                      [JINJA_T_BLOCK_END] = "%}",
                                      [JINJA_T_STRING] = "a string",
                                      [JINJA_T_INTEGER] = "a number",
                                      [JINJA_T_FLOAT] = "a number"};
  bool named = p->now->type == JINJA_T_NAME || p->now->type == JINJA_T_OPERATOR;
  return ft_fail(FT_ERR_DATA, "line %d: found %.40s, expected %s", p->now->line,
                 named ? p->now->text : kinds[p->now->type], expected);
}

ft_err ft_jinja_expect_operator(ft_jinja_parser *p, const char *text) {
  return ft_jinja_skip_operator(p, text) ? FT_OK : ft_jinja_unexpected(p, text);
}

static ft_err expect_word(ft_jinja_parser *p, const char *text) {
  return ft_jinja_skip_word(p, text) ? FT_OK : ft_jinja_unexpected(p, text);
}

static ft_err expect_type(ft_jinja_parser *p, ft_jinja_token_type type, const char *what) {
  if (p->now->type != type) return ft_jinja_unexpected(p, what);
  p->now++;
  return FT_OK;
}

/* ---------------------------------------------------------------- nodes */

ft_err ft_jinja_node_new(ft_jinja_parser *p, ft_jinja_kind kind, ft_jinja_node **out) {
  *out = ft_jinja_alloc(&p->t->arena, sizeof **out);
  if (!*out) return p->t->arena.failed;
  (*out)->kind = kind;
  (*out)->line = p->now->line;
  return FT_OK;
}

ft_err ft_jinja_nodes_add(ft_jinja_parser *p, ft_jinja_nodes *list, ft_jinja_node *node) {
  ft_jinja_node **at =
      ft_jinja_grow(&p->t->arena, list->at, list->count, sizeof *at, 4, &list->capacity);
  if (!at) return p->t->arena.failed;
  list->at = at;
  list->at[list->count++] = node;
  return FT_OK;
}

const char *ft_jinja_interned(const ft_jinja *t, const char *name) {
  for (int64_t i = 0; i < t->num_names; i++)
    if (strcmp(t->names[i], name) == 0) return t->names[i];
  return NULL;
}

ft_err ft_jinja_intern(ft_jinja *t, const char *name, const char **out) {
  *out = ft_jinja_interned(t, name);
  if (*out) return FT_OK;
  const char **names =
      ft_jinja_grow(&t->arena, t->names, t->num_names, sizeof *names, 32, &t->name_capacity);
  if (!names) return t->arena.failed;
  t->names = names;
  char *copy = ft_jinja_alloc(&t->arena, strlen(name) + 1);
  if (!copy) return t->arena.failed;
  memcpy(copy, name, strlen(name));
  *out = t->names[t->num_names++] = copy;
  return FT_OK;
}

/* ---------------------------------------------------------------- statements */

static ft_err check_target(const ft_jinja_parser *p, const ft_jinja_node *target) {
  if (target->kind == JINJA_NAME && strcmp(target->name, "loop") == 0)
    return ft_jinja_syntax_error(p, "can't assign to the special variable loop");
  if (target->kind == JINJA_NAME || target->kind == JINJA_NAMESPACE_MEMBER) return FT_OK;
  if (target->kind != JINJA_MAKE_TUPLE) return ft_jinja_syntax_error(p, "can't assign to this");
  for (int64_t i = 0; i < target->of.count; i++) {
    ft_err err = check_target(p, target->of.at[i]);
    if (err != FT_OK) return err;
  }
  return FT_OK;
}

static ft_err parse_target(ft_jinja_parser *p, bool with_namespace, const char *end,
                           ft_jinja_node **out) {
  ft_err err = ft_jinja_parse_tuple(
      p, (ft_jinja_tuple_style){.simple = true, .with_namespace = with_namespace, .end = end}, out);
  return err == FT_OK ? check_target(p, *out) : err;
}

static ft_err parse_set(ft_jinja_parser *p, ft_jinja_node *node) {
  static const char *const ends[] = {"endset", NULL};
  ft_err err = FT_OK;
  FT_TRY(parse_target(p, true, NULL, &node->a));
  node->kind = JINJA_SET;
  if (ft_jinja_skip_operator(p, "="))
    return ft_jinja_parse_tuple(p, (ft_jinja_tuple_style){.conditional = true}, &node->b);
  node->kind = JINJA_SET_BLOCK;
  FT_TRY(ft_jinja_parse_filters(p, NULL, false, &node->b));
  FT_TRY(parse_body(p, ends, &node->body));
  p->now++;
out:
  return err;
}

static ft_err parse_for(ft_jinja_parser *p, ft_jinja_node *node) {
  static const char *const ends[] = {"endfor", "else", NULL}, *const last[] = {"endfor", NULL};
  ft_err err = FT_OK;
  bool in_loop = p->in_loop;
  FT_TRY(parse_target(p, false, "in", &node->a));
  FT_TRY(expect_word(p, "in"));
  FT_TRY(ft_jinja_parse_tuple(p, (ft_jinja_tuple_style){.end = "recursive"}, &node->b));
  if (ft_jinja_skip_word(p, "if")) FT_TRY(ft_jinja_parse_expression(p, true, &node->c));
  node->recursive = ft_jinja_skip_word(p, "recursive");
  p->in_loop = true;
  FT_TRY(parse_body(p, ends, &node->body));
  p->in_loop = in_loop && !node->recursive; /* a recursive loop is a function of its own */
  if (ft_jinja_skip_word(p, "endfor")) goto out;
  p->now++;
  FT_TRY(parse_body(p, last, &node->otherwise));
  p->now++;
out:
  p->in_loop = in_loop;
  return err;
}

static ft_err parse_if(ft_jinja_parser *p, ft_jinja_node *node) {
  static const char *const ends[] = {"elif", "else", "endif", NULL}, *const last[] = {"endif",
                                                                                      NULL};
  ft_err err = FT_OK;
  for (;;) {
    FT_TRY(ft_jinja_parse_tuple(p, (ft_jinja_tuple_style){0}, &node->a));
    FT_TRY(parse_body(p, ends, &node->body));
    if (!ft_jinja_skip_word(p, "elif")) break;
    ft_jinja_node *next;
    FT_TRY(ft_jinja_node_new(p, JINJA_IF, &next));
    FT_TRY(ft_jinja_nodes_add(p, &node->otherwise, next));
    node = next;
  }
  if (ft_jinja_skip_word(p, "else")) FT_TRY(parse_body(p, last, &node->otherwise));
  p->now++;
out:
  return err;
}

static ft_err parse_parameters(ft_jinja_parser *p, ft_jinja_node *macro) {
  ft_err err = FT_OK;
  int64_t capacity = 0;
  FT_TRY(ft_jinja_expect_operator(p, "("));
  while (!ft_jinja_is_operator(p, ")")) {
    if (macro->num_parameters > 0) FT_TRY(ft_jinja_expect_operator(p, ","));
    if (p->now->type != JINJA_T_NAME) FT_TRY(ft_jinja_unexpected(p, "a parameter's name"));
    const char **names = ft_jinja_grow(&p->t->arena, macro->parameters, macro->num_parameters,
                                       sizeof *names, 8, &capacity);
    if (!names) return p->t->arena.failed;
    macro->parameters = names;
    FT_TRY(ft_jinja_intern(p->t, p->now->text, &macro->parameters[macro->num_parameters++]));
    p->now++;
    ft_jinja_node *value;
    if (ft_jinja_skip_operator(p, "=")) {
      FT_TRY(ft_jinja_parse_expression(p, true, &value));
      FT_TRY(ft_jinja_nodes_add(p, &macro->defaults, value));
    } else if (macro->defaults.count > 0) {
      FT_TRY(ft_jinja_syntax_error(p, "non-default argument follows default argument"));
    }
  }
  p->now++;
out:
  return err;
}

/* A body that is a function of its own: breaks do not leave it. */
static ft_err parse_function_body(ft_jinja_parser *p, const char *const ends[],
                                  ft_jinja_node *node) {
  bool in_loop = p->in_loop;
  ft_jinja_node *macro = p->macro;
  p->in_loop = false;
  p->macro = node;
  ft_err err = parse_body(p, ends, &node->body);
  p->in_loop = in_loop;
  p->macro = macro;
  if (err == FT_OK) p->now++;
  return err;
}

static ft_err parse_macro(ft_jinja_parser *p, ft_jinja_node *node) {
  static const char *const ends[] = {"endmacro", NULL};
  ft_err err = FT_OK;
  if (p->now->type != JINJA_T_NAME) return ft_jinja_unexpected(p, "the macro's name");
  FT_TRY(ft_jinja_intern(p->t, p->now->text, &node->name));
  p->now++;
  FT_TRY(parse_parameters(p, node));
  FT_TRY(parse_function_body(p, ends, node));
out:
  return err;
}

static ft_err parse_call_block(ft_jinja_parser *p, ft_jinja_node *node) {
  static const char *const ends[] = {"endcall", NULL};
  ft_err err = FT_OK;
  if (ft_jinja_is_operator(p, "(")) FT_TRY(parse_parameters(p, node));
  FT_TRY(ft_jinja_parse_expression(p, true, &node->a));
  if (node->a->kind != JINJA_CALL) return ft_jinja_syntax_error(p, "expected call");
  FT_TRY(ft_jinja_intern(p->t, "caller", &node->name));
  FT_TRY(parse_function_body(p, ends, node));
out:
  return err;
}

static ft_err parse_filter_block(ft_jinja_parser *p, ft_jinja_node *node) {
  static const char *const ends[] = {"endfilter", NULL};
  ft_err err = ft_jinja_parse_filters(p, NULL, true, &node->a);
  if (err == FT_OK) err = parse_body(p, ends, &node->body);
  if (err == FT_OK) p->now++;
  return err;
}

static ft_err parse_with(ft_jinja_parser *p, ft_jinja_node *node) {
  static const char *const ends[] = {"endwith", NULL};
  ft_err err = FT_OK;
  while (p->now->type != JINJA_T_BLOCK_END) {
    ft_jinja_node *target, *value;
    if (node->of.count > 0) FT_TRY(ft_jinja_expect_operator(p, ","));
    FT_TRY(parse_target(p, false, NULL, &target));
    FT_TRY(ft_jinja_expect_operator(p, "="));
    FT_TRY(ft_jinja_parse_expression(p, true, &value));
    FT_TRY(ft_jinja_nodes_add(p, &node->of, target));
    FT_TRY(ft_jinja_nodes_add(p, &node->of, value));
  }
  FT_TRY(parse_body(p, ends, &node->body));
  p->now++;
out:
  return err;
}

static ft_err parse_generation(ft_jinja_parser *p, ft_jinja_node *node) {
  static const char *const ends[] = {"endgeneration", NULL};
  p->t->has_generation = true;
  return parse_function_body(p, ends, node);
}

static ft_err parse_loop_control(ft_jinja_parser *p, ft_jinja_node *node) {
  if (p->in_loop) return FT_OK;
  return ft_fail(FT_ERR_DATA, "line %d: %s outside of a loop", node->line,
                 node->kind == JINJA_BREAK ? "break" : "continue");
}

static ft_err parse_statement(ft_jinja_parser *p, ft_jinja_node **out) {
  static const struct {
    const char *word;
    ft_jinja_kind kind;
    ft_err (*parse)(ft_jinja_parser *p, ft_jinja_node *node);
  } statements[] = {{"set", JINJA_SET, parse_set},
                    {"if", JINJA_IF, parse_if},
                    {"for", JINJA_FOR, parse_for},
                    {"macro", JINJA_MACRO_BLOCK, parse_macro},
                    {"call", JINJA_CALL_BLOCK, parse_call_block},
                    {"filter", JINJA_FILTER_BLOCK, parse_filter_block},
                    {"with", JINJA_WITH, parse_with},
                    {"generation", JINJA_GENERATION_BLOCK, parse_generation},
                    {"break", JINJA_BREAK, parse_loop_control},
                    {"continue", JINJA_CONTINUE, parse_loop_control}};
  static const char *const others[] = {"block", "extends", "include",   "import",
                                       "from",  "print",   "autoescape"};
  if (p->now->type != JINJA_T_NAME) return ft_jinja_unexpected(p, "a statement");
  for (size_t i = 0; i < FT_ARRAY_SIZE(statements); i++) {
    if (strcmp(p->now->text, statements[i].word) != 0) continue;
    ft_err err = ft_jinja_node_new(p, statements[i].kind, out);
    p->now++;
    return err == FT_OK ? statements[i].parse(p, *out) : err;
  }
  for (size_t i = 0; i < FT_ARRAY_SIZE(others); i++)
    if (strcmp(p->now->text, others[i]) == 0)
      return ft_fail(FT_ERR_DATA, "line %d: the statement \"%s\" is not supported", p->now->line,
                     others[i]);
  return ft_fail(FT_ERR_DATA, "line %d: unknown statement \"%.40s\"", p->now->line, p->now->text);
}

/* Text, {{ … }} and statements. */
static ft_err parse_piece(ft_jinja_parser *p, ft_jinja_nodes *out) {
  ft_err err = FT_OK;
  ft_jinja_node *node;
  if (p->now->type == JINJA_T_DATA) {
    FT_TRY(ft_jinja_node_new(p, JINJA_DATA, &node));
    FT_TRY(ft_jinja_string_new(&p->t->arena, p->now->text, p->now->bytes, 0, &node->constant));
    p->now++;
  } else if (p->now->type == JINJA_T_VARIABLE_BEGIN) {
    p->now++;
    FT_TRY(ft_jinja_node_new(p, JINJA_OUTPUT, &node));
    FT_TRY(ft_jinja_parse_tuple(p, (ft_jinja_tuple_style){.conditional = true}, &node->a));
    FT_TRY(expect_type(p, JINJA_T_VARIABLE_END, "}}"));
  } else {
    FT_TRY(expect_type(p, JINJA_T_BLOCK_BEGIN, "text or a tag"));
    FT_TRY(parse_statement(p, &node));
    FT_TRY(expect_type(p, JINJA_T_BLOCK_END, "%}"));
  }
  FT_TRY(ft_jinja_nodes_add(p, out, node));
out:
  return err;
}

static bool is_end(const ft_jinja_parser *p, const char *const ends[]) {
  if (p->now->type != JINJA_T_BLOCK_BEGIN || p->now[1].type != JINJA_T_NAME) return false;
  for (int i = 0; ends[i]; i++)
    if (strcmp(p->now[1].text, ends[i]) == 0) return true;
  return false;
}

/* From the statement's "%}" to the tag that ends its body; the word in it is then looked at. */
static ft_err parse_body(ft_jinja_parser *p, const char *const ends[], ft_jinja_nodes *out) {
  ft_err err = FT_OK;
  int line = p->now->line;
  FT_TRY(ft_jinja_deeper(p));
  ft_jinja_skip_operator(p, ":");
  FT_TRY(expect_type(p, JINJA_T_BLOCK_END, "%}"));
  while (!is_end(p, ends)) {
    FT_CHECK(p->now->type != JINJA_T_END, FT_ERR_DATA,
             "line %d: the block that begins here has no {%% %s %%}", line, ends[0]);
    FT_TRY(parse_piece(p, out));
  }
  p->now++;
out:
  p->depth--;
  return err;
}

ft_err ft_jinja_parse_template(ft_jinja *t) {
  ft_jinja_parser p = {.t = t, .now = t->tokens};
  while (p.now->type != JINJA_T_END) {
    ft_err err = parse_piece(&p, &t->body);
    if (err != FT_OK) return err;
  }
  return FT_OK;
}
