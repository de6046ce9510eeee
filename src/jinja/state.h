/* Inside jinja: the state of a rendering, and how calls are made. */
#ifndef FT_JINJA_STATE_H
#define FT_JINJA_STATE_H

#include "syntax.h"

enum {
  JINJA_MAX_STEPS = 100000000, /* nodes evaluated and bytes looked at */
  JINJA_MAX_DEPTH = 2000,      /* nodes evaluated inside each other: macros that call themselves */
  JINJA_MAX_RANGE = 100000,    /* the sandbox's own bound */
  JINJA_MAX_ARGUMENTS = 6      /* of a builtin with named parameters */
};

typedef struct ft_jinja_scope {
  struct ft_jinja_scope *parent; /* NULL: the root */
  struct ft_jinja_binding {
    const char *name; /* interned */
    ft_jinja_value value;
  } * bindings; /* [count] */
  int64_t count, capacity;
} ft_jinja_scope;

typedef struct ft_jinja_macro {
  const ft_jinja_node *node;
  ft_jinja_scope *scope; /* where it was defined */
} ft_jinja_macro;

typedef struct ft_jinja_loop {
  const ft_jinja_node *node;
  ft_jinja_scope *scope; /* of the loop's statement */
  ft_jinja_list *items;
  int64_t index0, depth0;
  ft_jinja_value changed; /* what loop.changed was told last; undefined at first */
} ft_jinja_loop;

typedef struct ft_jinja_state {
  const ft_jinja *t;
  const ft_jinja_options *options;
  ft_jinja_arena *arena;
  ft_jinja_scope *root, *scope;
  ft_jinja_builder *out; /* what is written now: `text`, or what a macro or block collects */
  ft_jinja_builder text; /* the output */
  ft_jinja_span *spans;  /* of the output */
  int64_t num_spans, span_capacity;
  ft_jinja_origin *origins;
  int64_t num_origins, origin_capacity;
  int32_t turn;   /* -1: none */
  int generation; /* depth of {% generation %} */
  int64_t steps;
  int depth, line;
} ft_jinja_state;

/* Counts work. Errors: FT_ERR_DATA when it is too much. */
ft_err ft_jinja_work(ft_jinja_state *s, int64_t steps);

/* ---------------------------------------------------------------- evaluation */

ft_err ft_jinja_evaluate(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *out);
/* How the statements ended. */
typedef enum ft_jinja_flow { JINJA_GOES_ON, JINJA_BREAKS, JINJA_CONTINUES } ft_jinja_flow;
ft_err ft_jinja_execute(ft_jinja_state *s, const ft_jinja_nodes *body, ft_jinja_flow *flow);
/* Executes statements in a new scope and collects what they write. */
ft_err ft_jinja_collect(ft_jinja_state *s, const ft_jinja_nodes *body, ft_jinja_value *out);
/* A loop's statements over a list; depth0 counts recursive loops. *flow is changed by a break in
 * its `else`, which ends the loop outside. */
ft_err ft_jinja_run_loop(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value over,
                         int64_t depth0, ft_jinja_flow *flow);

ft_err ft_jinja_scope_enter(ft_jinja_state *s, ft_jinja_scope *parent);
ft_err ft_jinja_bind_name(ft_jinja_state *s, ft_jinja_scope *scope, const char *name,
                          ft_jinja_value value);
/* A variable; undefined if there is none. */
ft_err ft_jinja_look_up(ft_jinja_state *s, const char *name, ft_jinja_value *out);

/* The input of this name as a value, or undefined. */
ft_err ft_jinja_variable(ft_jinja_state *s, const char *name, ft_jinja_value *out);

/* ---------------------------------------------------------------- operations */

ft_err ft_jinja_binary(ft_jinja_state *s, ft_jinja_kind kind, ft_jinja_value a, ft_jinja_value b,
                       ft_jinja_value *out);
ft_err ft_jinja_add(ft_jinja_state *s, ft_jinja_value a, ft_jinja_value b, ft_jinja_value *out);
/* text % arguments, as Python formats. */
ft_err ft_jinja_format_percent(ft_jinja_state *s, const ft_jinja_string *format,
                               ft_jinja_value arguments, ft_jinja_value *out);
/* a.name, a[b], a[b:c:d] as the sandbox has them: undefined where there is nothing. */
ft_err ft_jinja_attribute(ft_jinja_state *s, ft_jinja_value a, const char *name, ft_jinja_value key,
                          ft_jinja_value *out);
ft_err ft_jinja_item(ft_jinja_state *s, ft_jinja_value a, ft_jinja_value key, ft_jinja_value *out);
ft_err ft_jinja_slice(ft_jinja_state *s, ft_jinja_value a, const ft_jinja_value bounds[3],
                      ft_jinja_value *out);
/* `a in b`. */
ft_err ft_jinja_contains(ft_jinja_state *s, ft_jinja_value a, ft_jinja_value b, bool *out);
/* a == b, a < b, a in b … */
ft_err ft_jinja_compare(ft_jinja_state *s, ft_jinja_comparison comparison, ft_jinja_value a,
                        ft_jinja_value b, bool *out);
/* Whether a value of some type has an attribute of this name that is no supported method. */
bool ft_jinja_is_other_attribute(const char *name);
/* The members of anything that can be looped over, as a list. An iterator is used up. */
ft_err ft_jinja_members(ft_jinja_state *s, ft_jinja_value v, ft_jinja_list **out);
/* len(v). */
ft_err ft_jinja_length(ft_jinja_state *s, ft_jinja_value v, int64_t *out);
/* Error unless the value is usable: undefined values say what was undefined. */
ft_err ft_jinja_check_defined(ft_jinja_value v);

/* ---------------------------------------------------------------- calls */

typedef struct ft_jinja_arguments {
  ft_jinja_value *positional; /* [count] */
  int64_t count;
  const char **names; /* [num_named] */
  ft_jinja_value *named;
  int64_t num_named;
} ft_jinja_arguments;

/* Evaluates what is written; call: NULL for none. */
ft_err ft_jinja_arguments_of(ft_jinja_state *s, const ft_jinja_call *call, ft_jinja_arguments *out);
ft_err ft_jinja_call_value(ft_jinja_state *s, ft_jinja_value callee,
                           const ft_jinja_arguments *arguments, ft_jinja_value *out);

/* Binds the parameters of a macro, or of what is one to Jinja, in the scope just entered. */
ft_err ft_jinja_bind_macro(ft_jinja_state *s, const ft_jinja_node *node,
                           const ft_jinja_arguments *all);

/* Arguments matched with a builtin's parameters. */
typedef struct ft_jinja_given {
  ft_jinja_value at[JINJA_MAX_ARGUMENTS];
  bool has[JINJA_MAX_ARGUMENTS];
  const ft_jinja_arguments *all;
  int variant; /* of the builtin */
} ft_jinja_given;
/* Whether argument i is given and true. */
static inline bool ft_jinja_is_on(const ft_jinja_given *given, int i) {
  return given->has[i] && ft_jinja_truth(given->at[i]);
}

/* A filter, test, method or function. */
typedef struct ft_jinja_builtin {
  const char *name;
  /* Names with commas between them, "" for none; a leading slash: by position only. NULL: it looks
   * at all arguments itself. */
  const char *parameters;
  int required; /* how many of them must be given */
  /* self: what is filtered or tested, the method's object. */
  ft_err (*run)(ft_jinja_state *s, ft_jinja_value self, const ft_jinja_given *given,
                ft_jinja_value *out);
  int variant; /* tells apart those that share `run`: its file says how */
} ft_jinja_builtin;

ft_err ft_jinja_run_builtin(ft_jinja_state *s, const ft_jinja_builtin *builtin, ft_jinja_value self,
                            const ft_jinja_arguments *arguments, ft_jinja_value *out);

typedef struct ft_jinja_function {
  ft_jinja_builtin builtin;
} ft_jinja_function;

/* NULL: there is none of this name. */
const ft_jinja_builtin *ft_jinja_find_method(ft_jinja_value object, const char *name);
const ft_jinja_function *ft_jinja_find_function(const char *name);

/* filter: NULL if there is none of this name. */
ft_err ft_jinja_filter(ft_jinja_state *s, const ft_jinja_builtin *filter, const char *name,
                       ft_jinja_value v, const ft_jinja_arguments *with, ft_jinja_value *out);
ft_err ft_jinja_test(ft_jinja_state *s, const char *name, ft_jinja_value v,
                     const ft_jinja_arguments *with, bool *out);

/* Tables of builtins, NULL-terminated by name. */
extern const ft_jinja_builtin ft_jinja_text_filters[], ft_jinja_list_filters[],
    ft_jinja_choosing_filters[], ft_jinja_number_filters[], ft_jinja_string_methods[],
    ft_jinja_string_split_methods[], ft_jinja_dict_methods[], ft_jinja_list_methods[],
    ft_jinja_loop_methods[];

/* Arguments of builtins. Errors: FT_ERR_DATA naming `what`. */
ft_err ft_jinja_want_string(ft_jinja_value v, const char *what, const ft_jinja_string **out);
ft_err ft_jinja_want_whole(ft_jinja_value v, const char *what, int64_t *out);
/* A new list of a list's members. */
ft_err ft_jinja_copy_list(ft_jinja_state *s, const ft_jinja_list *list, ft_jinja_type type,
                          ft_jinja_value *out);

#endif
