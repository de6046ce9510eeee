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

typedef struct jinja_scope {
  struct jinja_scope *parent; /* NULL: the root */
  struct jinja_binding {
    const char *name; /* interned */
    jinja_value value;
  } * bindings; /* [count] */
  int64_t count, capacity;
} jinja_scope;

typedef struct jinja_macro {
  const jinja_node *node;
  jinja_scope *scope; /* where it was defined */
} jinja_macro;

typedef struct jinja_loop {
  const jinja_node *node;
  jinja_scope *scope; /* of the loop's statement */
  jinja_list *items;
  int64_t index0, depth0;
  jinja_value changed; /* what loop.changed was told last; undefined at first */
} jinja_loop;

typedef struct jinja_state {
  const ft_jinja *t;
  const ft_jinja_options *options;
  jinja_arena *arena;
  jinja_scope *root, *scope;
  jinja_builder *out;   /* what is written now: `text`, or what a macro or block collects */
  jinja_builder text;   /* the output */
  ft_jinja_span *spans; /* of the output */
  int64_t num_spans, span_capacity;
  ft_jinja_origin *origins;
  int64_t num_origins, origin_capacity;
  int32_t turn;   /* -1: none */
  int generation; /* depth of {% generation %} */
  int64_t steps;
  int depth, line;
} jinja_state;

/* Counts work. Errors: FT_ERR_DATA when it is too much. */
ft_err jinja_work(jinja_state *s, int64_t steps);

/* ---------------------------------------------------------------- evaluation */

ft_err jinja_evaluate(jinja_state *s, const jinja_node *node, jinja_value *out);
/* How the statements ended. */
typedef enum jinja_flow { JINJA_GOES_ON, JINJA_BREAKS, JINJA_CONTINUES } jinja_flow;
ft_err jinja_execute(jinja_state *s, const jinja_nodes *body, jinja_flow *flow);
/* Executes statements in a new scope and collects what they write. */
ft_err jinja_collect(jinja_state *s, const jinja_nodes *body, jinja_value *out);
/* A loop's statements over a list; depth0 counts recursive loops. *flow is changed by a break in
 * its `else`, which ends the loop outside. */
ft_err jinja_run_loop(jinja_state *s, const jinja_node *node, jinja_value over, int64_t depth0,
                      jinja_flow *flow);
/* Writes a value's text. */
ft_err jinja_write(jinja_state *s, jinja_value v);

ft_err jinja_scope_enter(jinja_state *s, jinja_scope *parent);
ft_err jinja_bind_name(jinja_state *s, jinja_scope *scope, const char *name, jinja_value value);
/* A variable; undefined if there is none. */
ft_err jinja_look_up(jinja_state *s, const char *name, jinja_value *out);
/* Assigns to a name, a tuple of names or a member of a namespace. */
ft_err jinja_assign(jinja_state *s, const jinja_node *target, jinja_value value);

/* The input of this name as a value, or undefined. */
ft_err jinja_input(jinja_state *s, const char *name, jinja_value *out);

/* ---------------------------------------------------------------- operations */

ft_err jinja_binary(jinja_state *s, jinja_kind kind, jinja_value a, jinja_value b,
                    jinja_value *out);
ft_err jinja_add(jinja_state *s, jinja_value a, jinja_value b, jinja_value *out);
/* text % arguments, as Python formats. */
ft_err jinja_format_percent(jinja_state *s, const jinja_string *format, jinja_value arguments,
                            jinja_value *out);
/* a.name, a[b], a[b:c:d] as the sandbox has them: undefined where there is nothing. */
ft_err jinja_attribute(jinja_state *s, jinja_value a, const char *name, jinja_value key,
                       jinja_value *out);
ft_err jinja_item(jinja_state *s, jinja_value a, jinja_value key, jinja_value *out);
ft_err jinja_slice(jinja_state *s, jinja_value a, const jinja_value bounds[3], jinja_value *out);
/* `a in b`. */
ft_err jinja_contains(jinja_state *s, jinja_value a, jinja_value b, bool *out);
/* Whether a value of some type has an attribute of this name that is no supported method. */
bool jinja_is_other_attribute(const char *name);
/* The members of anything that can be looped over, as a list. An iterator is used up. */
ft_err jinja_members(jinja_state *s, jinja_value v, jinja_list **out);
/* len(v). */
ft_err jinja_length(jinja_state *s, jinja_value v, int64_t *out);
/* Error unless the value is usable: undefined values say what was undefined. */
ft_err jinja_check_defined(jinja_value v);

/* ---------------------------------------------------------------- calls */

typedef struct jinja_arguments {
  jinja_value *positional; /* [count] */
  int64_t count;
  const char **names; /* [num_named] */
  jinja_value *named;
  int64_t num_named;
} jinja_arguments;

/* Evaluates what is written; call: NULL for none. */
ft_err jinja_arguments_of(jinja_state *s, const jinja_call *call, jinja_arguments *out);
ft_err jinja_call_value(jinja_state *s, jinja_value callee, const jinja_arguments *arguments,
                        jinja_value *out);

/* Binds the parameters of a macro, or of what is one to Jinja, in the scope just entered. */
ft_err jinja_bind_macro(jinja_state *s, const jinja_node *node, const jinja_arguments *all);

/* Arguments matched with a builtin's parameters. */
typedef struct jinja_given {
  jinja_value at[JINJA_MAX_ARGUMENTS];
  bool has[JINJA_MAX_ARGUMENTS];
  const jinja_arguments *all;
} jinja_given;

/* A filter, test, method or function. */
typedef struct jinja_builtin {
  const char *name;
  /* Names with commas between them, "" for none; a leading slash: by position only. NULL: it looks
   * at all arguments itself. */
  const char *parameters;
  int required; /* how many of them must be given */
  /* self: what is filtered or tested, the method's object. */
  ft_err (*run)(jinja_state *s, jinja_value self, const jinja_given *given, jinja_value *out);
} jinja_builtin;

ft_err jinja_run_builtin(jinja_state *s, const jinja_builtin *builtin, jinja_value self,
                         const jinja_arguments *arguments, jinja_value *out);

typedef struct jinja_function {
  jinja_builtin builtin;
} jinja_function;

/* NULL: there is none of this name. */
const jinja_builtin *jinja_find_method(jinja_value object, const char *name);
const jinja_function *jinja_find_function(const char *name);
/* Jinja's, Python's or transformers' own, and not supported here. */
bool jinja_is_known_filter(const char *name);

/* filter: NULL if there is none of this name. */
ft_err jinja_filter(jinja_state *s, const jinja_builtin *filter, const char *name, jinja_value v,
                    const jinja_arguments *with, jinja_value *out);
ft_err jinja_test(jinja_state *s, const char *name, jinja_value v, const jinja_arguments *with,
                  bool *out);

/* Tables of builtins, NULL-terminated by name. */
extern const jinja_builtin jinja_text_filters[], jinja_list_filters[], jinja_choosing_filters[],
    jinja_number_filters[], jinja_string_methods[], jinja_string_split_methods[],
    jinja_dict_methods[], jinja_list_methods[], jinja_loop_methods[];

/* Arguments of builtins. Errors: FT_ERR_DATA naming `what`. */
ft_err jinja_want_string(jinja_value v, const char *what, const jinja_string **out);
ft_err jinja_want_whole(jinja_value v, const char *what, int64_t *out);
/* A new list of a list's members. */
ft_err jinja_copy_list(jinja_state *s, const jinja_list *list, jinja_type type, jinja_value *out);

#endif
