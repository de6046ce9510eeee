/* Expressions to values. */
#include "state.h"

ft_err ft_jinja_work(ft_jinja_state *s, int64_t steps) {
  int64_t most = s->options->max_steps ? s->options->max_steps : JINJA_MAX_STEPS;
  s->steps += steps;
  if (s->steps <= most) return FT_OK;
  return ft_fail(FT_ERR_DATA, "the template does not come to an end within %lld steps",
                 (long long)most);
}

/* ---------------------------------------------------------------- making values */

static ft_err make_list(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *out) {
  ft_jinja_type type = node->kind == JINJA_MAKE_LIST ? JINJA_LIST : JINJA_TUPLE;
  ft_err err = ft_jinja_list_new(s->arena, type, node->of.count, out);
  for (int64_t i = 0; i < node->of.count && err == FT_OK; i++)
    err = ft_jinja_evaluate(s, node->of.at[i], &out->list->items[i]);
  return err;
}

static ft_err make_dict(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_dict *dict;
  FT_TRY(ft_jinja_dict_new(s->arena, node->of.count / 2, &dict));
  for (int64_t i = 0; i < node->of.count; i += 2) {
    ft_jinja_value key, value;
    FT_TRY(ft_jinja_evaluate(s, node->of.at[i], &key));
    FT_TRY(ft_jinja_evaluate(s, node->of.at[i + 1], &value));
    FT_CHECK(key.type != JINJA_LIST && key.type != JINJA_DICT, FT_ERR_DATA, "a %s cannot be a key",
             ft_jinja_type_name(key));
    FT_TRY(ft_jinja_dict_set(s->arena, dict, key, value));
  }
  *out = (ft_jinja_value){.type = JINJA_DICT, .dict = dict};
out:
  return err;
}

static ft_err concat(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_builder b = ft_jinja_builder_on(s->arena);
  for (int64_t i = 0; i < node->of.count; i++) {
    ft_jinja_value part;
    FT_TRY(ft_jinja_evaluate(s, node->of.at[i], &part));
    FT_TRY(ft_jinja_print(&b, part));
  }
  FT_TRY(ft_jinja_work(s, (int64_t)b.bytes / 16));
  FT_TRY(ft_jinja_built(&b, out));
out:
  return err;
}

/* ---------------------------------------------------------------- inside of values */

static ft_err attribute(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *out) {
  ft_jinja_value object;
  ft_err err = ft_jinja_evaluate(s, node->a, &object);
  if (err != FT_OK) return err;
  if (object.type == JINJA_DICT && !node->may_be_python) {
    const ft_jinja_value *found = ft_jinja_dict_find(object.dict, node->constant);
    *out = found ? *found : ft_jinja_undefined(node->name);
    return FT_OK;
  }
  return ft_jinja_attribute(s, object, node->name, node->constant, out);
}

static ft_err item(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_value object, key;
  FT_TRY(ft_jinja_evaluate(s, node->a, &object));
  if (node->b->kind == JINJA_SLICE) {
    const ft_jinja_node *parts[] = {node->b->a, node->b->b, node->b->c};
    ft_jinja_value bounds[3] = {ft_jinja_none(), ft_jinja_none(), ft_jinja_none()};
    for (int i = 0; i < 3; i++)
      if (parts[i]) FT_TRY(ft_jinja_evaluate(s, parts[i], &bounds[i]));
    return ft_jinja_slice(s, object, bounds, out);
  }
  FT_TRY(ft_jinja_evaluate(s, node->b, &key));
  FT_TRY(ft_jinja_item(s, object, key, out));
out:
  return err;
}

/* ---------------------------------------------------------------- operators */

ft_err ft_jinja_compare(ft_jinja_state *s, ft_jinja_comparison comparison, ft_jinja_value a,
                        ft_jinja_value b, bool *out) {
  int order;
  ft_err err;
  switch (comparison) {
  case JINJA_EQ:
  case JINJA_NE:
    *out = ft_jinja_equal(a, b) == (comparison == JINJA_EQ);
    return FT_OK;
  case JINJA_IN:
  case JINJA_NOT_IN:
    err = ft_jinja_contains(s, a, b, out);
    if (comparison == JINJA_NOT_IN) *out = !*out;
    return err;
  default:
    break;
  }
  err = ft_jinja_check_defined(a);
  if (err == FT_OK) err = ft_jinja_check_defined(b);
  if (err == FT_OK) err = ft_jinja_order(a, b, 0, &order);
  if (err != FT_OK) return err;
  *out = (comparison == JINJA_LT && order == -1) || (comparison == JINJA_GT && order == 1) ||
         (comparison == JINJA_LE && (order == -1 || order == 0)) ||
         (comparison == JINJA_GE && (order == 1 || order == 0));
  return FT_OK;
}

/* a < b < c: each pair, until one is false. */
static ft_err compare_chain(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_value left, right;
  bool holds = true;
  FT_TRY(ft_jinja_evaluate(s, node->a, &left));
  for (int64_t i = 0; i < node->of.count && holds; i++) {
    const ft_jinja_node *link = node->of.at[i];
    FT_TRY(ft_jinja_evaluate(s, link->a, &right));
    FT_TRY(ft_jinja_compare(s, link->comparison, left, right, &holds));
    left = right;
  }
  *out = ft_jinja_bool(holds);
out:
  return err;
}

static ft_err sign(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *out) {
  ft_jinja_value v;
  ft_err err = ft_jinja_evaluate(s, node->a, &v);
  if (err == FT_OK) err = ft_jinja_check_defined(v);
  if (err != FT_OK) return err;
  if (!ft_jinja_is_number(v.type))
    return ft_fail(FT_ERR_DATA, "a %s has no sign", ft_jinja_type_name(v));
  if (v.type == JINJA_FLOAT) {
    *out = ft_jinja_float(node->kind == JINJA_NEGATIVE ? -v.real : v.real);
    return FT_OK;
  }
  return ft_jinja_binary(s, node->kind == JINJA_NEGATIVE ? JINJA_SUBTRACT : JINJA_ADD,
                         ft_jinja_int(0), v, out);
}

static ft_err arithmetic(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *out) {
  ft_jinja_value a, b;
  ft_err err = ft_jinja_evaluate(s, node->a, &a);
  if (err == FT_OK) err = ft_jinja_evaluate(s, node->b, &b);
  s->line = node->line;
  return err == FT_OK ? ft_jinja_binary(s, node->kind, a, b, out) : err;
}

/* An unsafe value is not even asked whether it is true. */
static ft_err truth(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *v, bool *out) {
  ft_err err = ft_jinja_evaluate(s, node, v);
  if (err == FT_OK && v->type == JINJA_UNDEFINED && v->unsafe) err = ft_jinja_check_defined(*v);
  *out = err == FT_OK && ft_jinja_truth(*v);
  return err;
}

static ft_err logic(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *out) {
  bool is;
  ft_err err = truth(s, node->a, out, &is);
  if (err != FT_OK) return err;
  if (node->kind == JINJA_NOT) {
    *out = ft_jinja_bool(!is);
    return FT_OK;
  }
  return is == (node->kind == JINJA_OR) ? FT_OK : ft_jinja_evaluate(s, node->b, out);
}

static ft_err conditional(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *out) {
  ft_jinja_value test;
  bool is;
  ft_err err = truth(s, node->b, &test, &is);
  if (err != FT_OK) return err;
  if (is) return ft_jinja_evaluate(s, node->a, out);
  *out = ft_jinja_undefined("an inline if without else");
  return node->c ? ft_jinja_evaluate(s, node->c, out) : FT_OK;
}

/* ---------------------------------------------------------------- calls */

static ft_err call(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_value callee;
  ft_jinja_arguments arguments;
  FT_TRY(ft_jinja_evaluate(s, node->a, &callee));
  FT_TRY(ft_jinja_arguments_of(s, node->call, &arguments));
  s->line = node->line;
  FT_TRY(ft_jinja_call_value(s, callee, &arguments, out));
out:
  return err;
}

static ft_err filter_or_test(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *out) {
  ft_err err = FT_OK;
  ft_jinja_value v;
  ft_jinja_arguments arguments;
  FT_TRY(ft_jinja_evaluate(s, node->a, &v));
  FT_TRY(ft_jinja_arguments_of(s, node->call, &arguments));
  s->line = node->line;
  if (node->kind == JINJA_FILTER) {
    return ft_jinja_filter(s, node->builtin, node->name, v, &arguments, out);
  }
  bool is;
  FT_TRY(ft_jinja_test(s, node->name, v, &arguments, &is));
  *out = ft_jinja_bool(is);
out:
  return err;
}

static ft_err evaluate(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *out) {
  switch (node->kind) {
  case JINJA_CONSTANT:
    *out = node->constant;
    return FT_OK;
  case JINJA_NAME:
    return ft_jinja_look_up(s, node->name, out);
  case JINJA_MAKE_LIST:
  case JINJA_MAKE_TUPLE:
    return make_list(s, node, out);
  case JINJA_MAKE_DICT:
    return make_dict(s, node, out);
  case JINJA_ATTRIBUTE:
    return attribute(s, node, out);
  case JINJA_ITEM:
    return item(s, node, out);
  case JINJA_CALL:
    return call(s, node, out);
  case JINJA_FILTER:
  case JINJA_TEST:
    return filter_or_test(s, node, out);
  case JINJA_AND:
  case JINJA_OR:
  case JINJA_NOT:
    return logic(s, node, out);
  case JINJA_NEGATIVE:
  case JINJA_POSITIVE:
    return sign(s, node, out);
  case JINJA_CONCAT:
    return concat(s, node, out);
  case JINJA_COMPARE:
    return compare_chain(s, node, out);
  case JINJA_CONDITIONAL:
    return conditional(s, node, out);
  case JINJA_SLICE:
    return ft_fail(FT_ERR_DATA, "several slices at once are not supported");
  default:
    return arithmetic(s, node, out);
  }
}

ft_err ft_jinja_evaluate(ft_jinja_state *s, const ft_jinja_node *node, ft_jinja_value *out) {
  s->line = node->line;
  if (++s->depth > JINJA_MAX_DEPTH)
    return ft_fail(FT_ERR_DATA, "macros or expressions nested more than %d deep", JINJA_MAX_DEPTH);
  ft_err err = ft_jinja_work(s, 1);
  if (err == FT_OK) err = evaluate(s, node, out);
  if (err == FT_OK) err = ft_jinja_measure(*out);
  s->depth--;
  return err;
}
