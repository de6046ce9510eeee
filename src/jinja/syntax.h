/* Inside jinja: tokens and syntax trees. */
#ifndef FT_JINJA_SYNTAX_H
#define FT_JINJA_SYNTAX_H

#include "ft/jinja.h"
#include "value.h"

/* ---------------------------------------------------------------- tokens */

typedef enum ft_jinja_token_type {
  JINJA_T_END,
  JINJA_T_DATA,           /* text outside of braces */
  JINJA_T_VARIABLE_BEGIN, /* {{ */
  JINJA_T_VARIABLE_END,
  JINJA_T_BLOCK_BEGIN, /* {% */
  JINJA_T_BLOCK_END,
  JINJA_T_NAME,
  JINJA_T_STRING,
  JINJA_T_INTEGER,
  JINJA_T_FLOAT,
  JINJA_T_OPERATOR
} ft_jinja_token_type;

typedef struct ft_jinja_token {
  ft_jinja_token_type type;
  int line;
  const char *text; /* name, operator or data; a string's value. Terminated. */
  size_t bytes;
  ft_jinja_value number;
} ft_jinja_token;

/* Cuts a source to tokens; the last is JINJA_T_END. Errors: FT_ERR_DATA with the line. */
ft_err ft_jinja_lex(ft_jinja_arena *a, const char *source, size_t bytes, ft_jinja_token **tokens,
                    int64_t *count);

/* ---------------------------------------------------------------- trees */

typedef enum ft_jinja_kind {
  /* expressions */
  JINJA_CONSTANT,
  JINJA_NAME,
  JINJA_MAKE_LIST,  /* of: members */
  JINJA_MAKE_TUPLE, /* of: members */
  JINJA_MAKE_DICT,  /* of: key, value, key, value … */
  JINJA_ATTRIBUTE,  /* a.name */
  JINJA_ITEM,       /* a[b] */
  JINJA_SLICE,      /* inside an item: a:b:c, each perhaps NULL */
  JINJA_CALL,       /* a(call) */
  JINJA_FILTER,     /* a|name(call); a is NULL in a filter block */
  JINJA_TEST,       /* a is name(call) */
  JINJA_AND,
  JINJA_OR,
  JINJA_NOT,
  JINJA_NEGATIVE,
  JINJA_POSITIVE,
  JINJA_ADD,
  JINJA_SUBTRACT,
  JINJA_MULTIPLY,
  JINJA_DIVIDE,
  JINJA_FLOOR_DIVIDE,
  JINJA_MODULO,
  JINJA_POWER,
  JINJA_CONCAT,           /* of: parts */
  JINJA_COMPARE,          /* a, then of: operands with operators in their `comparison` */
  JINJA_CONDITIONAL,      /* a if b else c; c perhaps NULL */
  JINJA_NAMESPACE_MEMBER, /* target only: name.member */
  /* statements */
  JINJA_DATA,      /* constant */
  JINJA_OUTPUT,    /* a */
  JINJA_SET,       /* a = b */
  JINJA_SET_BLOCK, /* a, perhaps with filter b; body */
  JINJA_IF,        /* a: body, else otherwise */
  JINJA_FOR,       /* a in b if c: body, else otherwise */
  JINJA_BREAK,
  JINJA_CONTINUE,
  JINJA_MACRO_BLOCK,  /* name, parameters, body */
  JINJA_CALL_BLOCK,   /* a: the call; parameters, body */
  JINJA_FILTER_BLOCK, /* a: the filters; body */
  JINJA_WITH,         /* of: target, value, target, value …; body */
  JINJA_GENERATION_BLOCK
} ft_jinja_kind;

typedef enum ft_jinja_comparison {
  JINJA_EQ,
  JINJA_NE,
  JINJA_LT,
  JINJA_LE,
  JINJA_GT,
  JINJA_GE,
  JINJA_IN,
  JINJA_NOT_IN
} ft_jinja_comparison;

typedef struct ft_jinja_node ft_jinja_node;

/* Some nodes in order. */
typedef struct ft_jinja_nodes {
  ft_jinja_node **at;
  int64_t count, capacity;
} ft_jinja_nodes;

/* Arguments as they are written. */
typedef struct ft_jinja_call {
  ft_jinja_nodes positional, named;
  const char **names;               /* [named.count] */
  ft_jinja_node *rest, *rest_named; /* *rest, **rest_named, or NULL */
} ft_jinja_call;

struct ft_jinja_node {
  ft_jinja_kind kind;
  int line;
  const char *name; /* interned: equal names are equal pointers */
  const char *member;
  ft_jinja_comparison comparison;
  bool recursive;                              /* JINJA_FOR */
  bool uses_caller, uses_varargs, uses_kwargs; /* macros, as their bodies mention these */
  ft_jinja_value constant;
  const struct ft_jinja_builtin *builtin; /* JINJA_FILTER: what it runs, or NULL */
  bool may_be_python; /* JINJA_ATTRIBUTE: some value may have an attribute of this name */
  ft_jinja_node *a, *b, *c;
  ft_jinja_nodes of, body, otherwise;
  ft_jinja_call *call;
  /* Macros and call blocks. defaults belong to the last parameters. */
  const char **parameters;
  int64_t num_parameters;
  ft_jinja_nodes defaults;
};

struct ft_jinja {
  ft_jinja_arena arena;
  char *where;        /* owned by the arena */
  const char **names; /* [num_names] interned */
  int64_t num_names, name_capacity;
  const char *loop_name;  /* "loop", interned */
  ft_jinja_token *tokens; /* [num_tokens] */
  int64_t num_tokens;
  ft_jinja_nodes body;
  bool has_generation;
};

/* NULL: there is no filter of this name. */
const struct ft_jinja_builtin *ft_jinja_find_filter(const char *name);
/* Whether Python's own attributes of any type have this name: otherwise it is a key. */
bool ft_jinja_may_be_python(const char *name);
/* The one copy of a name that all of the template shares. */
ft_err ft_jinja_intern(ft_jinja *t, const char *name, const char **out);
/* The same if the template has it, or NULL. */
const char *ft_jinja_interned(const ft_jinja *t, const char *name);
/* Fills t->body from t->tokens. Errors: FT_ERR_DATA with the line, FT_ERR_MEMORY. */
ft_err ft_jinja_parse_template(ft_jinja *t);

#endif
