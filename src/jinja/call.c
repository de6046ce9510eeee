/* Calls: of macros, functions, methods, filters and tests. */
#include "state.h"

/* ---------------------------------------------------------------- arguments */

static ft_err evaluate_all(ft_jinja_state *s, const ft_jinja_nodes *nodes, ft_jinja_value *out) {
  for (int64_t i = 0; i < nodes->count; i++) {
    ft_err err = ft_jinja_evaluate(s, nodes->at[i], &out[i]);
    if (err != FT_OK) return err;
  }
  return FT_OK;
}

static ft_err add_rest_named(ft_jinja_state *s, const ft_jinja_dict *rest,
                             ft_jinja_arguments *out) {
  ft_err err = FT_OK;
  for (int64_t i = 0; i < rest->count; i++) {
    const ft_jinja_value *key = &rest->entries[i].key;
    FT_CHECK(key->type == JINJA_STRING, FT_ERR_DATA, "an argument's name is %s",
             ft_jinja_type_name(*key));
    char *name = ft_jinja_alloc(s->arena, key->string->bytes + 1);
    if (!name) return s->arena->failed;
    memcpy(name, key->string->text, key->string->bytes);
    const char *interned = ft_jinja_interned(s->t, name);
    if (!interned) interned = name;
    for (int64_t n = 0; n < out->num_named; n++)
      FT_CHECK(out->names[n] != interned, FT_ERR_DATA, "the argument \"%s\" is given twice", name);
    out->names[out->num_named] = interned;
    out->named[out->num_named++] = rest->entries[i].value;
  }
out:
  return err;
}

ft_err ft_jinja_arguments_of(ft_jinja_state *s, const ft_jinja_call *call,
                             ft_jinja_arguments *out) {
  ft_err err = FT_OK;
  ft_jinja_value rest_named = {0};
  ft_jinja_list empty = {0}, *rest = &empty;
  int64_t more_named = 0;
  *out = (ft_jinja_arguments){0};
  if (!call) return FT_OK;
  if (call->rest) {
    ft_jinja_value v;
    FT_TRY(ft_jinja_evaluate(s, call->rest, &v));
    FT_TRY(ft_jinja_members(s, v, &rest));
  }
  if (call->rest_named) {
    FT_TRY(ft_jinja_evaluate(s, call->rest_named, &rest_named));
    FT_CHECK(rest_named.type == JINJA_DICT, FT_ERR_DATA, "** of a %s",
             ft_jinja_type_name(rest_named));
    more_named = rest_named.dict->count;
  }
  int64_t count = call->positional.count + rest->count, named = call->named.count + more_named;
  out->positional = ft_jinja_alloc(s->arena, (size_t)count * sizeof *out->positional);
  out->named = ft_jinja_alloc(s->arena, (size_t)named * sizeof *out->named);
  out->names = ft_jinja_alloc(s->arena, (size_t)named * sizeof *out->names);
  if (!out->names) return s->arena->failed;
  FT_TRY(evaluate_all(s, &call->positional, out->positional));
  for (int64_t i = 0; i < rest->count; i++)
    out->positional[call->positional.count + i] = rest->items[i];
  out->count = count;
  FT_TRY(evaluate_all(s, &call->named, out->named));
  for (int64_t i = 0; i < call->named.count; i++)
    out->names[i] = call->names[i];
  out->num_named = call->named.count;
  if (more_named > 0) FT_TRY(add_rest_named(s, rest_named.dict, out));
out:
  return err;
}

/* ---------------------------------------------------------------- macros */

/* The named arguments of a macro, as they are used up. */
typedef struct named_arguments {
  const ft_jinja_arguments *all;
  bool *taken; /* [all->num_named] */
} named_arguments;

static const ft_jinja_value *take_named(named_arguments *named, const char *name) {
  for (int64_t i = 0; i < named->all->num_named; i++)
    if (!named->taken[i] && strcmp(named->all->names[i], name) == 0) {
      named->taken[i] = true;
      return &named->all->named[i];
    }
  return NULL;
}

/* Binds parameters in order: given values, else defaults (which see the parameters before them). */
static ft_err bind_parameters(ft_jinja_state *s, const ft_jinja_node *node,
                              named_arguments *named) {
  ft_err err = FT_OK;
  int64_t first_default = node->num_parameters - node->defaults.count;
  for (int64_t i = 0; i < node->num_parameters; i++) {
    const char *name = node->parameters[i];
    const ft_jinja_value *given =
        i < named->all->count ? &named->all->positional[i] : take_named(named, name);
    ft_jinja_value value = ft_jinja_undefined(name);
    if (given)
      value = *given;
    else if (i >= first_default)
      FT_TRY(ft_jinja_evaluate(s, node->defaults.at[i - first_default], &value));
    FT_TRY(ft_jinja_bind_name(s, s->scope, name, value));
  }
out:
  return err;
}

static ft_err intern_and_bind(ft_jinja_state *s, const char *name, ft_jinja_value value) {
  const char *interned = ft_jinja_interned(s->t, name);
  if (!interned) return FT_OK; /* the template does not mention it */
  return ft_jinja_bind_name(s, s->scope, interned, value);
}

static ft_err bind_varargs(ft_jinja_state *s, const ft_jinja_node *node,
                           const ft_jinja_arguments *all) {
  ft_jinja_value rest;
  int64_t more = FT_MAX(all->count - node->num_parameters, 0);
  const ft_jinja_value *first = more > 0 ? all->positional + node->num_parameters : NULL;
  ft_err err = ft_jinja_list_of(s->arena, JINJA_TUPLE, first, more, &rest);
  return err == FT_OK ? intern_and_bind(s, "varargs", rest) : err;
}

static ft_err bind_kwargs(ft_jinja_state *s, named_arguments *named) {
  ft_jinja_dict *rest;
  ft_err err = ft_jinja_dict_new(s->arena, named->all->num_named, &rest);
  for (int64_t i = 0; err == FT_OK && i < named->all->num_named; i++) {
    ft_jinja_value key;
    if (named->taken[i]) continue;
    err = ft_jinja_string_literal(s->arena, named->all->names[i], &key);
    if (err == FT_OK) err = ft_jinja_dict_set(s->arena, rest, key, named->all->named[i]);
  }
  return err == FT_OK
             ? intern_and_bind(s, "kwargs", (ft_jinja_value){.type = JINJA_DICT, .dict = rest})
             : err;
}

ft_err ft_jinja_bind_macro(ft_jinja_state *s, const ft_jinja_node *node,
                           const ft_jinja_arguments *all) {
  ft_err err = FT_OK;
  named_arguments named = {.all = all};
  named.taken = ft_jinja_alloc(s->arena, (size_t)all->num_named + 1);
  if (!named.taken) return s->arena->failed;
  FT_TRY(bind_parameters(s, node, &named));
  if (node->uses_caller) {
    const ft_jinja_value *caller = take_named(&named, "caller");
    FT_TRY(intern_and_bind(s, "caller", caller ? *caller : ft_jinja_undefined("caller")));
  }
  if (node->uses_kwargs) FT_TRY(bind_kwargs(s, &named));
  for (int64_t i = 0; i < all->num_named && !node->uses_kwargs; i++)
    FT_CHECK(named.taken[i], FT_ERR_DATA, "macro \"%s\" takes no keyword argument \"%s\"",
             node->name, all->names[i]);
  if (node->uses_varargs) FT_TRY(bind_varargs(s, node, all));
  FT_CHECK(node->uses_varargs || all->count <= node->num_parameters, FT_ERR_DATA,
           "macro \"%s\" takes not more than %lld arguments", node->name,
           (long long)node->num_parameters);
out:
  return err;
}

static ft_err call_macro(ft_jinja_state *s, const ft_jinja_macro *macro,
                         const ft_jinja_arguments *all, ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_scope *scope = s->scope;
  FT_TRY(ft_jinja_scope_enter(s, macro->scope));
  FT_TRY(ft_jinja_bind_macro(s, macro->node, all));
  FT_TRY(ft_jinja_collect(s, &macro->node->body, out));
out:
  s->scope = scope;
  return err;
}

/* loop(children): the recursive loop's statements over these. */
static ft_err call_loop(ft_jinja_state *s, const ft_jinja_loop *loop, const ft_jinja_arguments *all,
                        ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_builder collected = ft_jinja_builder_on(s->arena), *outside = s->out;
  ft_jinja_scope *scope = s->scope;
  ft_jinja_flow flow = JINJA_GOES_ON;
  FT_CHECK(loop->node->recursive, FT_ERR_DATA,
           "the loop must have the 'recursive' marker to be called recursively");
  FT_CHECK(all->count == 1 && all->num_named == 0, FT_ERR_DATA, "loop(…) takes one argument");
  s->scope = loop->scope;
  s->out = &collected;
  FT_TRY(ft_jinja_run_loop(s, loop->node, all->positional[0], loop->depth0 + 1, &flow));
  FT_TRY(ft_jinja_built(&collected, out));
out:
  s->out = outside;
  s->scope = scope;
  return err;
}

ft_err ft_jinja_call_value(ft_jinja_state *s, ft_jinja_value callee,
                           const ft_jinja_arguments *arguments, ft_jinja_value *out) {
  ft_err err = ft_jinja_check_defined(callee);
  if (err != FT_OK) return ft_fail_prefix(err, "it is called");
  switch (callee.type) {
  case JINJA_MACRO:
    return call_macro(s, callee.macro, arguments, out);
  case JINJA_LOOP:
    return call_loop(s, callee.loop, arguments, out);
  case JINJA_FUNCTION:
    return ft_jinja_run_builtin(s, &callee.function->builtin, ft_jinja_none(), arguments, out);
  case JINJA_METHOD:
    return ft_jinja_run_builtin(s, callee.method->builtin, callee.method->object, arguments, out);
  default:
    return ft_fail(FT_ERR_DATA, "a %s cannot be called", ft_jinja_type_name(callee));
  }
}

/* ---------------------------------------------------------------- builtins */

/* Number of the parameter of this name, or -1. */
static int parameter(const char *list, const char *name) {
  size_t bytes = strlen(name);
  for (int i = 0; *list; i++) {
    size_t end = strcspn(list, ",");
    if (end == bytes && memcmp(list, name, bytes) == 0) return i;
    list += end + (list[end] == ',');
  }
  return -1;
}

static int num_parameters(const char *list) {
  int count = *list != 0;
  for (; *list; list++)
    count += *list == ',';
  return count;
}

static ft_err match(const ft_jinja_builtin *builtin, const ft_jinja_arguments *arguments,
                    ft_jinja_given *given) {
  const char *list = builtin->parameters;
  bool by_name = list[0] != '/';
  if (!by_name) list++;
  if (arguments->count > num_parameters(list))
    return ft_fail(FT_ERR_DATA, "%s: %lld arguments, at most %d were expected", builtin->name,
                   (long long)arguments->count, num_parameters(list));
  for (int64_t i = 0; i < arguments->count; i++) {
    given->at[i] = arguments->positional[i];
    given->has[i] = true;
  }
  for (int64_t i = 0; i < arguments->num_named; i++) {
    int at = by_name ? parameter(list, arguments->names[i]) : -1;
    if (at < 0 || given->has[at])
      return ft_fail(FT_ERR_DATA, "%s: unexpected argument \"%s\"", builtin->name,
                     arguments->names[i]);
    given->at[at] = arguments->named[i];
    given->has[at] = true;
  }
  for (int i = 0; i < builtin->required; i++)
    if (!given->has[i])
      return ft_fail(FT_ERR_DATA, "%s: an argument is missing (%s)", builtin->name, list);
  return FT_OK;
}

ft_err ft_jinja_run_builtin(ft_jinja_state *s, const ft_jinja_builtin *builtin, ft_jinja_value self,
                            const ft_jinja_arguments *arguments, ft_jinja_value *out) {
  ft_jinja_given given = {.all = arguments, .variant = builtin->variant};
  ft_err err = builtin->parameters ? match(builtin, arguments, &given) : FT_OK;
  return err == FT_OK ? builtin->run(s, self, &given, out) : err;
}

static const ft_jinja_builtin *find(const ft_jinja_builtin *table, const char *name) {
  for (; table->name; table++)
    if (strcmp(table->name, name) == 0) return table;
  return NULL;
}

const ft_jinja_builtin *ft_jinja_find_filter(const char *name) {
  const ft_jinja_builtin *found = find(ft_jinja_text_filters, name);
  if (!found) found = find(ft_jinja_list_filters, name);
  if (!found) found = find(ft_jinja_choosing_filters, name);
  return found ? found : find(ft_jinja_number_filters, name);
}

const ft_jinja_builtin *ft_jinja_find_method(ft_jinja_value object, const char *name) {
  const ft_jinja_builtin *found;
  switch (object.type) {
  case JINJA_STRING:
    found = find(ft_jinja_string_methods, name);
    return found ? found : find(ft_jinja_string_split_methods, name);
  case JINJA_DICT:
    return find(ft_jinja_dict_methods, name);
  case JINJA_LIST:
    return find(ft_jinja_list_methods, name);
  case JINJA_TUPLE:
  case JINJA_RANGE:
    return strcmp(name, "copy") == 0 ? NULL : find(ft_jinja_list_methods, name);
  case JINJA_LOOP:
    return find(ft_jinja_loop_methods, name);
  default:
    return NULL;
  }
}

bool ft_jinja_may_be_python(const char *name) {
  static const ft_jinja_builtin *const tables[] = {
      ft_jinja_string_methods, ft_jinja_string_split_methods, ft_jinja_dict_methods,
      ft_jinja_list_methods, ft_jinja_loop_methods};
  for (size_t i = 0; i < FT_ARRAY_SIZE(tables); i++)
    if (find(tables[i], name)) return true;
  return ft_jinja_is_other_attribute(name);
}

/* Jinja's, Python's or transformers' own, and not supported here. */
static bool is_known_filter(const char *name) {
  static const char *const known[] = {"filesizeformat", "pprint",    "random",   "striptags",
                                      "urlize",         "urlencode", "wordwrap", "xmlattr"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(known); i++)
    if (strcmp(known[i], name) == 0) return true;
  return false;
}

ft_err ft_jinja_filter(ft_jinja_state *s, const ft_jinja_builtin *filter, const char *name,
                       ft_jinja_value v, const ft_jinja_arguments *with, ft_jinja_value *out) {
  if (!filter)
    return ft_fail(FT_ERR_DATA, "the filter \"%.40s\" %s", name,
                   is_known_filter(name) ? "is not supported" : "does not exist");
  if (v.type == JINJA_UNDEFINED && v.unsafe) return ft_jinja_check_defined(v);
  ft_err err = ft_jinja_run_builtin(s, filter, v, with, out);
  return err == FT_ERR_DATA ? ft_fail_prefix(err, "the filter %s", name) : err;
}

/* ---------------------------------------------------------------- arguments of builtins */

ft_err ft_jinja_want_string(ft_jinja_value v, const char *what, const ft_jinja_string **out) {
  *out = v.string;
  if (v.type == JINJA_STRING) return FT_OK;
  return ft_fail(FT_ERR_DATA, "%s is %s, a string was expected", what, ft_jinja_type_name(v));
}

ft_err ft_jinja_want_whole(ft_jinja_value v, const char *what, int64_t *out) {
  if (!ft_jinja_is_whole(v.type))
    return ft_fail(FT_ERR_DATA, "%s is %s, an int was expected", what, ft_jinja_type_name(v));
  *out = ft_jinja_whole(v);
  return FT_OK;
}

ft_err ft_jinja_copy_list(ft_jinja_state *s, const ft_jinja_list *list, ft_jinja_type type,
                          ft_jinja_value *out) {
  ft_err err = ft_jinja_work(s, list->count);
  return err == FT_OK ? ft_jinja_list_of(s->arena, type, list->items, list->count, out) : err;
}
