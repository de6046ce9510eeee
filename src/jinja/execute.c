/* Statements: what they write, with where it comes from. */
#include "state.h"

/* ---------------------------------------------------------------- writing */

/* Notes where the output's next `bytes`, which end at `end`, come from. */
static ft_err add_span(ft_jinja_state *s, size_t end, uint32_t origin) {
  ft_jinja_span span = {.end = end,
                        .origin = (int32_t)(origin & ~JINJA_GENERATION) - 1,
                        .turn = s->turn,
                        .generation = s->generation > 0 || (origin & JINJA_GENERATION)};
  ft_jinja_span *last = s->num_spans ? &s->spans[s->num_spans - 1] : NULL;
  if (last && last->origin == span.origin && last->turn == span.turn &&
      last->generation == span.generation) {
    last->end = end;
    return FT_OK;
  }
  ft_jinja_span *spans =
      ft_jinja_grow(s->arena, s->spans, s->num_spans, sizeof *spans, 32, &s->span_capacity);
  if (!spans) return s->arena->failed;
  s->spans = spans;
  s->spans[s->num_spans++] = span;
  return FT_OK;
}

static ft_err write_string(ft_jinja_state *s, const ft_jinja_string *string) {
  if (string->bytes == 0) return FT_OK;
  ft_err err = ft_jinja_work(s, (int64_t)string->bytes / 16);
  size_t end = s->text.bytes;
  s->out->mark = s->generation > 0 ? JINJA_GENERATION : 0;
  ft_jinja_put_string(s->out, string);
  if (err != FT_OK || s->out->err != FT_OK || s->out != &s->text)
    return err != FT_OK ? err : s->out->err;
  if (string->num_runs == 0) return add_span(s, end + string->bytes, string->origin);
  for (int64_t i = 0; i < string->num_runs && err == FT_OK; i++) {
    end += string->runs[i].bytes;
    err = add_span(s, end, string->runs[i].origin);
  }
  return err;
}

/* Writes a value's text. */
static ft_err write_value(ft_jinja_state *s, ft_jinja_value v) {
  const ft_jinja_string *text;
  ft_err err = ft_jinja_to_string(s->arena, v, &text);
  if (v.type == JINJA_UNDEFINED && err == FT_OK) return FT_OK;
  return err == FT_OK ? write_string(s, text) : err;
}

ft_err ft_jinja_collect(ft_jinja_state *s, const ft_jinja_nodes *body, ft_jinja_value *out) {
  ft_jinja_builder collected = ft_jinja_builder_on(s->arena), *outside = s->out;
  ft_jinja_scope *scope = s->scope;
  int32_t turn = s->turn;
  ft_jinja_flow flow;
  ft_err err = ft_jinja_scope_enter(s, scope);
  s->out = &collected;
  if (err == FT_OK) err = ft_jinja_execute(s, body, &flow);
  s->out = outside;
  s->scope = scope;
  s->turn = turn;
  return err == FT_OK ? ft_jinja_built(&collected, out) : err;
}

/* ---------------------------------------------------------------- names */

ft_err ft_jinja_scope_enter(ft_jinja_state *s, ft_jinja_scope *parent) {
  ft_jinja_scope *scope = ft_jinja_alloc(s->arena, sizeof *scope);
  if (!scope) return s->arena->failed;
  scope->parent = parent;
  s->scope = scope;
  return FT_OK;
}

ft_err ft_jinja_bind_name(ft_jinja_state *s, ft_jinja_scope *scope, const char *name,
                          ft_jinja_value value) {
  for (int64_t i = 0; i < scope->count; i++)
    if (scope->bindings[i].name == name) {
      scope->bindings[i].value = value;
      return FT_OK;
    }
  struct ft_jinja_binding *bindings =
      ft_jinja_grow(s->arena, scope->bindings, scope->count, sizeof *bindings, 4, &scope->capacity);
  if (!bindings) return s->arena->failed;
  scope->bindings = bindings;
  scope->bindings[scope->count++] = (struct ft_jinja_binding){name, value};
  return FT_OK;
}

/* Inputs become values when they are first looked at. */
static ft_err look_outside(ft_jinja_state *s, const char *name, ft_jinja_value *out) {
  ft_err err = ft_jinja_variable(s, name, out);
  if (err != FT_OK) return err;
  if (out->type == JINJA_UNDEFINED) {
    const ft_jinja_function *function = ft_jinja_find_function(name);
    if (function) *out = (ft_jinja_value){.type = JINJA_FUNCTION, .function = function};
  }
  return ft_jinja_bind_name(s, s->root, name, *out);
}

ft_err ft_jinja_look_up(ft_jinja_state *s, const char *name, ft_jinja_value *out) {
  for (const ft_jinja_scope *scope = s->scope; scope; scope = scope->parent)
    for (int64_t i = 0; i < scope->count; i++)
      if (scope->bindings[i].name == name) {
        *out = scope->bindings[i].value;
        return FT_OK;
      }
  return look_outside(s, name, out);
}

static ft_err set_member(ft_jinja_state *s, const ft_jinja_node *target, ft_jinja_value value) {
  ft_jinja_value object, key;
  ft_err err = ft_jinja_look_up(s, target->name, &object);
  if (err != FT_OK) return err;
  if (object.type != JINJA_NAMESPACE)
    return ft_fail(FT_ERR_DATA, "\"%s\" is %s: only members of a namespace can be set",
                   target->name, ft_jinja_type_name(object));
  if (target->member[0] == '_')
    return ft_fail(FT_ERR_DATA, "\"%s\": a namespace has no members that begin with an underscore",
                   target->member);
  err = ft_jinja_string_literal(s->arena, target->member, &key);
  return err == FT_OK ? ft_jinja_dict_set(s->arena, object.dict, key, value) : err;
}

/* Assigns to a name, a tuple of names or a member of a namespace. */
static ft_err assign(ft_jinja_state *s, const ft_jinja_node *target, ft_jinja_value value) {
  ft_err err = FT_OK;
  ft_jinja_list *members;
  if (target->kind == JINJA_NAME) return ft_jinja_bind_name(s, s->scope, target->name, value);
  if (target->kind == JINJA_NAMESPACE_MEMBER) return set_member(s, target, value);
  FT_TRY(ft_jinja_check_defined(value));
  FT_TRY(ft_jinja_members(s, value, &members));
  FT_CHECK(members->count == target->of.count, FT_ERR_DATA, "%lld values are given to %lld names",
           (long long)members->count, (long long)target->of.count);
  for (int64_t i = 0; i < members->count; i++)
    FT_TRY(assign(s, target->of.at[i], members->items[i]));
out:
  return err;
}

/* ---------------------------------------------------------------- loops */

/* Members that pass the loop's own condition. */
static ft_err filter_members(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_list *members,
                             ft_jinja_list **out) {
  ft_err err = FT_OK;
  ft_jinja_value kept, test;
  ft_jinja_scope *scope = s->scope;
  FT_TRY(ft_jinja_list_new(s->arena, JINJA_LIST, members->count, &kept));
  kept.list->count = 0;
  FT_TRY(ft_jinja_scope_enter(s, scope));
  for (int64_t i = 0; i < members->count; i++) {
    s->scope->count = 0;
    FT_TRY(assign(s, node->a, members->items[i]));
    FT_TRY(ft_jinja_evaluate(s, node->c, &test));
    if (ft_jinja_truth(test)) kept.list->items[kept.list->count++] = members->items[i];
  }
  *out = kept.list;
out:
  s->scope = scope;
  return err;
}

/* Output is of turn i while the outermost loop that looks at turns looks at turn i. */
static void follow_turn(ft_jinja_state *s, ft_jinja_value item, int32_t outside) {
  if (outside < 0 && item.type == JINJA_DICT && item.dict->turn >= 0) s->turn = item.dict->turn;
}

/* *completed: some member's statements came to their end; Jinja runs `else` if none's did, also
 * when all were cut short by `continue`. */
static ft_err run_members(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_loop *loop,
                          bool *completed) {
  ft_err err = FT_OK;
  ft_jinja_scope *outside = s->scope;
  int32_t turn = s->turn;
  ft_jinja_value self = {.type = JINJA_LOOP, .loop = loop};
  for (loop->index0 = 0; loop->index0 < loop->items->count; loop->index0++) {
    ft_jinja_flow flow;
    ft_jinja_value item = loop->items->items[loop->index0];
    FT_TRY(ft_jinja_scope_enter(s, outside));
    FT_TRY(ft_jinja_bind_name(s, s->scope, s->t->loop_name, self));
    FT_TRY(assign(s, node->a, item));
    follow_turn(s, item, turn);
    FT_TRY(ft_jinja_execute(s, &node->body, &flow));
    s->turn = turn;
    *completed = *completed || flow == JINJA_GOES_ON;
    if (flow == JINJA_BREAKS) break;
  }
out:
  s->turn = turn;
  s->scope = outside;
  return err;
}

ft_err ft_jinja_run_loop(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value over,
                         int64_t depth0, ft_jinja_flow *flow) {
  ft_err err = FT_OK;
  bool completed = false;
  ft_jinja_scope *scope = s->scope;
  ft_jinja_list *members;
  ft_jinja_loop *loop = ft_jinja_alloc(s->arena, sizeof *loop);
  if (!loop) return s->arena->failed;
  FT_TRY(ft_jinja_members(s, over, &members));
  if (node->c) FT_TRY(filter_members(s, node, members, &members));
  *loop = (ft_jinja_loop){.node = node, .scope = scope, .items = members, .depth0 = depth0};
  FT_TRY(run_members(s, node, loop, &completed));
  if (!completed && node->otherwise.count > 0) {
    FT_TRY(ft_jinja_scope_enter(s, scope));
    FT_TRY(ft_jinja_execute(s, &node->otherwise, flow));
  }
out:
  s->scope = scope;
  return err;
}

/* ---------------------------------------------------------------- statements */

static ft_err run_if(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_flow *flow) {
  for (;;) {
    ft_jinja_value test;
    ft_err err = ft_jinja_evaluate(s, node->a, &test);
    if (err == FT_OK && test.type == JINJA_UNDEFINED && test.unsafe)
      err = ft_jinja_check_defined(test);
    if (err != FT_OK) return err;
    if (ft_jinja_truth(test)) return ft_jinja_execute(s, &node->body, flow);
    bool chained = node->otherwise.count == 1 && node->otherwise.at[0]->kind == JINJA_IF;
    if (!chained) return ft_jinja_execute(s, &node->otherwise, flow);
    node = node->otherwise.at[0];
  }
}

/* A message that is picked by its number inside a loop begins a turn, too. */
static ft_err run_set(ft_jinja_state *s, const ft_jinja_node *node) {
  ft_jinja_value value;
  ft_err err = ft_jinja_evaluate(s, node->b, &value);
  if (err != FT_OK) return err;
  bool picked = node->a->kind == JINJA_NAME && s->scope != s->root && s->turn < 0;
  if (picked) follow_turn(s, value, s->turn);
  return assign(s, node->a, value);
}

/* A filter block's or set block's text through its filters. */
static ft_err filter_text(ft_jinja_state *s, const ft_jinja_node *filter, ft_jinja_value text,
                          ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_arguments arguments;
  *out = text;
  if (!filter) return FT_OK;
  FT_TRY(filter_text(s, filter->a, text, out));
  FT_TRY(ft_jinja_arguments_of(s, filter->call, &arguments));
  FT_TRY(ft_jinja_filter(s, filter->builtin, filter->name, *out, &arguments, out));
out:
  return err;
}

static ft_err run_block(ft_jinja_state *s, const ft_jinja_node *node) {
  ft_err err = FT_OK;
  ft_jinja_value text, filtered;
  FT_TRY(ft_jinja_collect(s, &node->body, &text));
  if (node->kind == JINJA_SET_BLOCK) {
    FT_TRY(filter_text(s, node->b, text, &filtered));
    return assign(s, node->a, filtered);
  }
  FT_TRY(filter_text(s, node->a, text, &filtered));
  FT_CHECK(filtered.type == JINJA_STRING, FT_ERR_DATA, "a filter block gives a %s, not a text",
           ft_jinja_type_name(filtered));
  FT_TRY(write_value(s, filtered));
out:
  return err;
}

static ft_err run_with(ft_jinja_state *s, const ft_jinja_node *node) {
  ft_err err = FT_OK;
  ft_jinja_flow flow;
  ft_jinja_scope *outside = s->scope, *inside;
  FT_TRY(ft_jinja_scope_enter(s, outside));
  inside = s->scope;
  for (int64_t i = 0; i < node->of.count; i += 2) {
    ft_jinja_value value;
    s->scope = outside; /* values do not see each other */
    FT_TRY(ft_jinja_evaluate(s, node->of.at[i + 1], &value));
    s->scope = inside;
    FT_TRY(assign(s, node->of.at[i], value));
  }
  FT_TRY(ft_jinja_execute(s, &node->body, &flow));
out:
  s->scope = outside;
  return err;
}

static ft_err run_generation(ft_jinja_state *s, const ft_jinja_node *node) {
  static const ft_jinja_arguments none = {0};
  ft_jinja_flow flow;
  ft_jinja_scope *outside = s->scope;
  ft_err err = ft_jinja_scope_enter(s, outside);
  if (err == FT_OK) err = ft_jinja_bind_macro(s, node, &none);
  s->generation++;
  if (err == FT_OK) err = ft_jinja_execute(s, &node->body, &flow);
  s->generation--;
  s->scope = outside;
  return err;
}

static ft_err new_macro(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *out) {
  ft_jinja_macro *macro = ft_jinja_alloc(s->arena, sizeof *macro);
  if (!macro) return s->arena->failed;
  *macro = (ft_jinja_macro){.node = node, .scope = s->scope};
  *out = (ft_jinja_value){.type = JINJA_MACRO, .macro = macro};
  return FT_OK;
}

/* {% call %}: its body is the macro `caller` of what is called. */
static ft_err run_call_block(ft_jinja_state *s, const ft_jinja_node *node) {
  ft_err err = FT_OK;
  ft_jinja_value callee, result;
  ft_jinja_arguments given, with;
  FT_TRY(ft_jinja_evaluate(s, node->a->a, &callee));
  FT_TRY(ft_jinja_arguments_of(s, node->a->call, &given));
  with = given;
  with.num_named++;
  with.names = ft_jinja_alloc(s->arena, (size_t)with.num_named * sizeof *with.names);
  with.named = ft_jinja_alloc(s->arena, (size_t)with.num_named * sizeof *with.named);
  if (!with.named) return s->arena->failed;
  for (int64_t i = 0; i < given.num_named; i++) {
    with.names[i] = given.names[i];
    with.named[i] = given.named[i];
  }
  with.names[given.num_named] = node->name;
  FT_TRY(new_macro(s, node, &with.named[given.num_named]));
  FT_TRY(ft_jinja_call_value(s, callee, &with, &result));
  FT_TRY(write_value(s, result));
out:
  return err;
}

static ft_err run_loop_statement(ft_jinja_state *s, const ft_jinja_node *node,
                                 ft_jinja_flow *flow) {
  ft_jinja_value over;
  ft_err err = ft_jinja_evaluate(s, node->b, &over);
  return err == FT_OK ? ft_jinja_run_loop(s, node, over, 0, flow) : err;
}

static ft_err run_statement(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_flow *flow) {
  ft_jinja_value value;
  ft_err err;
  switch (node->kind) {
  case JINJA_DATA:
    return write_value(s, node->constant);
  case JINJA_OUTPUT:
    err = ft_jinja_evaluate(s, node->a, &value);
    return err == FT_OK ? write_value(s, value) : err;
  case JINJA_SET:
    return run_set(s, node);
  case JINJA_IF:
    return run_if(s, node, flow);
  case JINJA_FOR:
    return run_loop_statement(s, node, flow);
  case JINJA_BREAK:
  case JINJA_CONTINUE:
    *flow = node->kind == JINJA_BREAK ? JINJA_BREAKS : JINJA_CONTINUES;
    return FT_OK;
  case JINJA_MACRO_BLOCK:
    err = new_macro(s, node, &value);
    return err == FT_OK ? ft_jinja_bind_name(s, s->scope, node->name, value) : err;
  case JINJA_CALL_BLOCK:
    return run_call_block(s, node);
  case JINJA_SET_BLOCK:
  case JINJA_FILTER_BLOCK:
    return run_block(s, node);
  case JINJA_WITH:
    return run_with(s, node);
  case JINJA_GENERATION_BLOCK:
    return run_generation(s, node);
  default:
    return ft_fail(FT_ERR_INTERNAL, "a statement of kind %d", (int)node->kind);
  }
}

ft_err ft_jinja_execute(ft_jinja_state *s, const ft_jinja_nodes *body, ft_jinja_flow *flow) {
  *flow = JINJA_GOES_ON;
  if (++s->depth > JINJA_MAX_DEPTH)
    return ft_fail(FT_ERR_DATA, "macros or blocks nested more than %d deep", JINJA_MAX_DEPTH);
  for (int64_t i = 0; i < body->count && *flow == JINJA_GOES_ON; i++) {
    s->line = body->at[i]->line;
    ft_err err = ft_jinja_work(s, 1);
    if (err == FT_OK) err = run_statement(s, body->at[i], flow);
    if (err != FT_OK) return err;
  }
  s->depth--;
  return FT_OK;
}
