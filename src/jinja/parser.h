/* Inside jinja: what the two halves of the parser share. */
#ifndef FT_JINJA_PARSER_H
#define FT_JINJA_PARSER_H

#include "syntax.h"

enum { JINJA_DEPTH_MAX = 150 }; /* expressions and blocks inside each other */

typedef struct ft_jinja_parser {
  ft_jinja *t;
  const ft_jinja_token *now; /* the token that is looked at */
  int depth;
  bool in_loop;         /* a break would end a loop of this function */
  ft_jinja_node *macro; /* the innermost macro or call block, or NULL */
} ft_jinja_parser;

/* Whether the current token is this operator or name. */
bool ft_jinja_is_operator(const ft_jinja_parser *p, const char *text);
bool ft_jinja_is_word(const ft_jinja_parser *p, const char *text);
/* If it is, goes on and returns true. */
bool ft_jinja_skip_operator(ft_jinja_parser *p, const char *text);
bool ft_jinja_skip_word(ft_jinja_parser *p, const char *text);
/* As these, but an error if it is not. */
ft_err ft_jinja_expect_operator(ft_jinja_parser *p, const char *text);
/* FT_ERR_DATA with the current line. */
ft_err ft_jinja_syntax_error(const ft_jinja_parser *p, const char *what);
/* One level more of what is inside of something else, which the caller takes back (--p->depth),
 * also after an error: too many are one. */
ft_err ft_jinja_deeper(ft_jinja_parser *p);
/* The current token is not what was expected. */
ft_err ft_jinja_unexpected(const ft_jinja_parser *p, const char *expected);

ft_err ft_jinja_node_new(ft_jinja_parser *p, ft_jinja_kind kind, ft_jinja_node **out);
ft_err ft_jinja_nodes_add(ft_jinja_parser *p, ft_jinja_nodes *list, ft_jinja_node *node);

/* A node with two parts; either may be NULL. */
ft_err ft_jinja_binary_node(ft_jinja_parser *p, ft_jinja_kind kind, ft_jinja_node *left,
                            ft_jinja_node *right, ft_jinja_node **out);
/* A name or literal (with_namespace: or name.member); then what may follow it: attributes, items
 * and calls; filters, tests and calls. */
ft_err ft_jinja_parse_primary(ft_jinja_parser *p, bool with_namespace, ft_jinja_node **out);
ft_err ft_jinja_parse_postfix(ft_jinja_parser *p, ft_jinja_node **node);
ft_err ft_jinja_parse_filters_and_tests(ft_jinja_parser *p, ft_jinja_node **node);

ft_err ft_jinja_parse_expression(ft_jinja_parser *p, bool conditional, ft_jinja_node **out);
/* Expressions with commas between them make a tuple, which ends before the word `end` (or NULL).
 * simple: only names and literals, and with_namespace: name.member. */
typedef struct ft_jinja_tuple_style {
  bool conditional, parentheses, simple, with_namespace;
  const char *end;
} ft_jinja_tuple_style;
ft_err ft_jinja_parse_tuple(ft_jinja_parser *p, ft_jinja_tuple_style style, ft_jinja_node **out);
/* |name(…)|name …; `inside` is what is filtered (NULL in a filter block, whose first filter has no
 * bar before it: starts_inline). */
ft_err ft_jinja_parse_filters(ft_jinja_parser *p, ft_jinja_node *inside, bool starts_inline,
                              ft_jinja_node **out);

#endif
