/* Inside jinja: what the two halves of the parser share. */
#ifndef FT_JINJA_PARSER_H
#define FT_JINJA_PARSER_H

#include "syntax.h"

enum { JINJA_DEPTH_MAX = 150 }; /* expressions and blocks inside each other */

typedef struct jinja_parser {
  ft_jinja *t;
  const jinja_token *now; /* the token that is looked at */
  int depth;
  bool in_loop;      /* a break would end a loop of this function */
  jinja_node *macro; /* the innermost macro or call block, or NULL */
} jinja_parser;

/* Whether the current token is this operator or name. */
bool jinja_is_operator(const jinja_parser *p, const char *text);
bool jinja_is_word(const jinja_parser *p, const char *text);
/* If it is, goes on and returns true. */
bool jinja_skip_operator(jinja_parser *p, const char *text);
bool jinja_skip_word(jinja_parser *p, const char *text);
/* As these, but an error if it is not. */
ft_err jinja_expect_operator(jinja_parser *p, const char *text);
ft_err jinja_expect_word(jinja_parser *p, const char *text);
ft_err jinja_expect_type(jinja_parser *p, jinja_token_type type, const char *what);
/* FT_ERR_DATA with the current line. */
ft_err jinja_syntax_error(const jinja_parser *p, const char *what);
/* The current token is not what was expected. */
ft_err jinja_unexpected(const jinja_parser *p, const char *expected);

ft_err jinja_node_new(jinja_parser *p, jinja_kind kind, jinja_node **out);
ft_err jinja_nodes_add(jinja_parser *p, jinja_nodes *list, jinja_node *node);

/* A node with two parts; either may be NULL. */
ft_err jinja_binary_node(jinja_parser *p, jinja_kind kind, jinja_node *left, jinja_node *right,
                         jinja_node **out);
/* A name or literal (with_namespace: or name.member); then what may follow it: attributes, items
 * and calls; filters, tests and calls. */
ft_err jinja_parse_primary(jinja_parser *p, bool with_namespace, jinja_node **out);
ft_err jinja_parse_postfix(jinja_parser *p, jinja_node **node);
ft_err jinja_parse_filters_and_tests(jinja_parser *p, jinja_node **node);

ft_err jinja_parse_expression(jinja_parser *p, bool conditional, jinja_node **out);
/* Expressions with commas between them make a tuple, which ends before the word `end` (or NULL).
 * simple: only names and literals, and with_namespace: name.member. */
typedef struct jinja_tuple_style {
  bool conditional, parentheses, simple, with_namespace;
  const char *end;
} jinja_tuple_style;
ft_err jinja_parse_tuple(jinja_parser *p, jinja_tuple_style style, jinja_node **out);
/* |name(…)|name …; `inside` is what is filtered (NULL in a filter block, whose first filter has no
 * bar before it: starts_inline). */
ft_err jinja_parse_filters(jinja_parser *p, jinja_node *inside, bool starts_inline,
                           jinja_node **out);

#endif
