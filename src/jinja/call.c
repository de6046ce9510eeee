/* Calls: of macros, functions, methods, filters and tests. */
#include "state.h"

/* ---------------------------------------------------------------- arguments */

static ft_err evaluate_all(jinja_state *s, const jinja_nodes *nodes, jinja_value *out) {
  for (int64_t i = 0; i < nodes->count; i++) {
    ft_err err = jinja_evaluate(s, nodes->at[i], &out[i]);
    if (err != FT_OK) return err;
  }
  return FT_OK;
}

static ft_err add_rest_named(jinja_state *s, const jinja_dict *rest, jinja_arguments *out) {
  ft_err err = FT_OK;
  for (int64_t i = 0; i < rest->count; i++) {
    const jinja_value *key = &rest->entries[i].key;
    FT_CHECK(key->type == JINJA_STRING, FT_ERR_DATA, "an argument's name is %s",
             jinja_type_name(*key));
    char *name = jinja_alloc(s->arena, key->string->bytes + 1);
    if (!name) return s->arena->failed;
    memcpy(name, key->string->text, key->string->bytes);
    const char *interned = name;
    for (int64_t n = 0; n < s->t->num_names; n++)
      if (strcmp(s->t->names[n], name) == 0) interned = s->t->names[n];
    for (int64_t n = 0; n < out->num_named; n++)
      FT_CHECK(out->names[n] != interned, FT_ERR_DATA, "the argument \"%s\" is given twice", name);
    out->names[out->num_named] = interned;
    out->named[out->num_named++] = rest->entries[i].value;
  }
out:
  return err;
}

ft_err jinja_arguments_of(jinja_state *s, const jinja_call *call, jinja_arguments *out) {
  ft_err err = FT_OK;
  jinja_value rest_named = {0};
  jinja_list empty = {0}, *rest = &empty;
  int64_t more_named = 0;
  *out = (jinja_arguments){0};
  if (!call) return FT_OK;
  if (call->rest) {
    jinja_value v;
    FT_TRY(jinja_evaluate(s, call->rest, &v));
    FT_TRY(jinja_members(s, v, &rest));
  }
  if (call->rest_named) {
    FT_TRY(jinja_evaluate(s, call->rest_named, &rest_named));
    FT_CHECK(rest_named.type == JINJA_DICT, FT_ERR_DATA, "** of a %s", jinja_type_name(rest_named));
    more_named = rest_named.dict->count;
  }
  int64_t count = call->positional.count + rest->count, named = call->named.count + more_named;
  out->positional = jinja_alloc(s->arena, (size_t)count * sizeof *out->positional);
  out->named = jinja_alloc(s->arena, (size_t)named * sizeof *out->named);
  out->names = jinja_alloc(s->arena, (size_t)named * sizeof *out->names);
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
  const jinja_arguments *all;
  bool *taken; /* [all->num_named] */
} named_arguments;

static const jinja_value *take_named(named_arguments *named, const char *name) {
  for (int64_t i = 0; i < named->all->num_named; i++)
    if (!named->taken[i] && strcmp(named->all->names[i], name) == 0) {
      named->taken[i] = true;
      return &named->all->named[i];
    }
  return NULL;
}

/* Binds parameters in order: given values, else defaults (which see the parameters before them). */
static ft_err bind_parameters(jinja_state *s, const jinja_node *node, named_arguments *named) {
  ft_err err = FT_OK;
  int64_t first_default = node->num_parameters - node->defaults.count;
  for (int64_t i = 0; i < node->num_parameters; i++) {
    const char *name = node->parameters[i];
    const jinja_value *given =
        i < named->all->count ? &named->all->positional[i] : take_named(named, name);
    jinja_value value = jinja_undefined(name);
    if (given)
      value = *given;
    else if (i >= first_default)
      FT_TRY(jinja_evaluate(s, node->defaults.at[i - first_default], &value));
    FT_TRY(jinja_bind_name(s, s->scope, name, value));
  }
out:
  return err;
}

static ft_err intern_and_bind(jinja_state *s, const char *name, jinja_value value) {
  for (int64_t i = 0; i < s->t->num_names; i++)
    if (strcmp(s->t->names[i], name) == 0)
      return jinja_bind_name(s, s->scope, s->t->names[i], value);
  return FT_OK; /* the template does not mention it */
}

static ft_err bind_varargs(jinja_state *s, const jinja_node *node, const jinja_arguments *all) {
  jinja_value rest;
  int64_t more = FT_MAX(all->count - node->num_parameters, 0);
  ft_err err = jinja_list_new(s->arena, JINJA_TUPLE, more, &rest);
  for (int64_t i = 0; err == FT_OK && i < more; i++)
    rest.list->items[i] = all->positional[node->num_parameters + i];
  return err == FT_OK ? intern_and_bind(s, "varargs", rest) : err;
}

static ft_err bind_kwargs(jinja_state *s, named_arguments *named) {
  jinja_dict *rest;
  ft_err err = jinja_dict_new(s->arena, named->all->num_named, &rest);
  for (int64_t i = 0; err == FT_OK && i < named->all->num_named; i++) {
    jinja_value key;
    if (named->taken[i]) continue;
    err = jinja_string_literal(s->arena, named->all->names[i], &key);
    if (err == FT_OK) err = jinja_dict_set(s->arena, rest, key, named->all->named[i]);
  }
  return err == FT_OK
             ? intern_and_bind(s, "kwargs", (jinja_value){.type = JINJA_DICT, .dict = rest})
             : err;
}

ft_err jinja_bind_macro(jinja_state *s, const jinja_node *node, const jinja_arguments *all) {
  ft_err err = FT_OK;
  named_arguments named = {.all = all};
  named.taken = jinja_alloc(s->arena, (size_t)all->num_named + 1);
  if (!named.taken) return s->arena->failed;
  FT_TRY(bind_parameters(s, node, &named));
  if (node->uses_caller) {
    const jinja_value *caller = take_named(&named, "caller");
    FT_TRY(intern_and_bind(s, "caller", caller ? *caller : jinja_undefined("caller")));
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

static ft_err call_macro(jinja_state *s, const jinja_macro *macro, const jinja_arguments *all,
                         jinja_value *out) {
  ft_err err = FT_OK;
  jinja_scope *scope = s->scope;
  FT_TRY(jinja_scope_enter(s, macro->scope));
  FT_TRY(jinja_bind_macro(s, macro->node, all));
  FT_TRY(jinja_collect(s, &macro->node->body, out));
out:
  s->scope = scope;
  return err;
}

/* loop(children): the recursive loop's statements over these. */
static ft_err call_loop(jinja_state *s, const jinja_loop *loop, const jinja_arguments *all,
                        jinja_value *out) {
  ft_err err = FT_OK;
  jinja_builder collected = jinja_builder_on(s->arena), *outside = s->out;
  jinja_scope *scope = s->scope;
  jinja_flow flow = JINJA_GOES_ON;
  FT_CHECK(loop->node->recursive, FT_ERR_DATA,
           "the loop must have the 'recursive' marker to be called recursively");
  FT_CHECK(all->count == 1 && all->num_named == 0, FT_ERR_DATA, "loop(…) takes one argument");
  s->scope = loop->scope;
  s->out = &collected;
  FT_TRY(jinja_run_loop(s, loop->node, all->positional[0], loop->depth0 + 1, &flow));
  FT_TRY(jinja_built(&collected, out));
out:
  s->out = outside;
  s->scope = scope;
  return err;
}

ft_err jinja_call_value(jinja_state *s, jinja_value callee, const jinja_arguments *arguments,
                        jinja_value *out) {
  ft_err err = jinja_check_defined(callee);
  if (err != FT_OK) return ft_fail_prefix(err, "it is called");
  switch (callee.type) {
  case JINJA_MACRO:
    return call_macro(s, callee.macro, arguments, out);
  case JINJA_LOOP:
    return call_loop(s, callee.loop, arguments, out);
  case JINJA_FUNCTION:
    return jinja_run_builtin(s, &callee.function->builtin, jinja_none(), arguments, out);
  case JINJA_METHOD:
    return jinja_run_builtin(s, callee.method->builtin, callee.method->object, arguments, out);
  default:
    return ft_fail(FT_ERR_DATA, "a %s cannot be called", jinja_type_name(callee));
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

static ft_err match(const jinja_builtin *builtin, const jinja_arguments *arguments,
                    jinja_given *given) {
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

ft_err jinja_run_builtin(jinja_state *s, const jinja_builtin *builtin, jinja_value self,
                         const jinja_arguments *arguments, jinja_value *out) {
  jinja_given given = {.all = arguments};
  ft_err err = builtin->parameters ? match(builtin, arguments, &given) : FT_OK;
  return err == FT_OK ? builtin->run(s, self, &given, out) : err;
}

static const jinja_builtin *find(const jinja_builtin *table, const char *name) {
  for (; table->name; table++)
    if (strcmp(table->name, name) == 0) return table;
  return NULL;
}

const jinja_builtin *jinja_find_filter(const char *name) {
  const jinja_builtin *found = find(jinja_text_filters, name);
  if (!found) found = find(jinja_list_filters, name);
  if (!found) found = find(jinja_choosing_filters, name);
  return found ? found : find(jinja_number_filters, name);
}

const jinja_builtin *jinja_find_method(jinja_value object, const char *name) {
  const jinja_builtin *found;
  switch (object.type) {
  case JINJA_STRING:
    found = find(jinja_string_methods, name);
    return found ? found : find(jinja_string_split_methods, name);
  case JINJA_DICT:
    return find(jinja_dict_methods, name);
  case JINJA_LIST:
    return find(jinja_list_methods, name);
  case JINJA_TUPLE:
  case JINJA_RANGE:
    return strcmp(name, "copy") == 0 ? NULL : find(jinja_list_methods, name);
  case JINJA_LOOP:
    return find(jinja_loop_methods, name);
  default:
    return NULL;
  }
}

bool jinja_may_be_python(const char *name) {
  static const jinja_builtin *const tables[] = {jinja_string_methods, jinja_string_split_methods,
                                                jinja_dict_methods, jinja_list_methods,
                                                jinja_loop_methods};
  for (size_t i = 0; i < FT_ARRAY_SIZE(tables); i++)
    if (find(tables[i], name)) return true;
  return jinja_is_other_attribute(name);
}

bool jinja_is_known_filter(const char *name) {
  static const char *const known[] = {"filesizeformat", "pprint",    "random",   "striptags",
                                      "urlize",         "urlencode", "wordwrap", "xmlattr"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(known); i++)
    if (strcmp(known[i], name) == 0) return true;
  return false;
}

ft_err jinja_filter(jinja_state *s, const jinja_builtin *filter, const char *name, jinja_value v,
                    const jinja_arguments *with, jinja_value *out) {
  if (!filter)
    return ft_fail(FT_ERR_DATA, "the filter \"%.40s\" %s", name,
                   jinja_is_known_filter(name) ? "is not supported" : "does not exist");
  if (v.type == JINJA_UNDEFINED && v.unsafe) return jinja_check_defined(v);
  ft_err err = jinja_run_builtin(s, filter, v, with, out);
  return err == FT_ERR_DATA ? ft_fail_prefix(err, "the filter %s", name) : err;
}

/* ---------------------------------------------------------------- arguments of builtins */

ft_err jinja_want_string(jinja_value v, const char *what, const jinja_string **out) {
  *out = v.string;
  if (v.type == JINJA_STRING) return FT_OK;
  return ft_fail(FT_ERR_DATA, "%s is %s, a string was expected", what, jinja_type_name(v));
}

ft_err jinja_want_whole(jinja_value v, const char *what, int64_t *out) {
  if (!jinja_is_whole(v.type))
    return ft_fail(FT_ERR_DATA, "%s is %s, an int was expected", what, jinja_type_name(v));
  *out = jinja_whole(v);
  return FT_OK;
}

ft_err jinja_copy_list(jinja_state *s, const jinja_list *list, jinja_type type, jinja_value *out) {
  ft_err err = jinja_work(s, list->count);
  if (err == FT_OK) err = jinja_list_new(s->arena, type, list->count, out);
  for (int64_t i = 0; err == FT_OK && i < list->count; i++)
    out->list->items[i] = list->items[i];
  return err;
}
