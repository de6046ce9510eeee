/* A template: reading it, asking about it, rendering it. */
#include "ft/jinja.h"

#include "state.h"

enum { MAX_SOURCE_BYTES = 16 << 20 };
static const size_t max_template_bytes = (size_t)256 << 20;
static const size_t max_rendering_bytes = (size_t)512 << 20;

/* ---------------------------------------------------------------- reading */

/* Well-formed UTF-8, as the lexer takes for granted. */
static bool is_utf8(const char *s, size_t bytes) {
  for (size_t at = 0, same, length; at < bytes; at += length)
    if ((length = ft_utf8_next(s + at, bytes - at, &same)) == 0) return false;
  return true;
}

static ft_err parse(ft_jinja *t, const char *source, size_t bytes, const char *where) {
  ft_err err = FT_OK;
  t->arena.limit_bytes = max_template_bytes;
  t->where = ft_jinja_alloc(&t->arena, strlen(where) + 1);
  if (!t->where) return t->arena.failed;
  memcpy(t->where, where, strlen(where));
  FT_CHECK(bytes <= MAX_SOURCE_BYTES, FT_ERR_DATA, "a template of more than 16 MiB");
  FT_CHECK(is_utf8(source, bytes), FT_ERR_DATA, "the template is not valid UTF-8");
  FT_TRY(ft_jinja_intern(t, "loop", &t->loop_name));
  FT_TRY(ft_jinja_lex(&t->arena, source, bytes, &t->tokens, &t->num_tokens));
  FT_TRY(ft_jinja_parse_template(t));
out:
  return err;
}

ft_err ft_jinja_parse(const char *source, size_t bytes, const char *where, ft_jinja **out) {
  void *memory;
  *out = NULL;
  ft_err err = ft_alloc(FT_MEM_PREP, sizeof **out, &memory);
  if (err != FT_OK) return err;
  err = parse(memory, source, bytes, where);
  if (err != FT_OK) {
    ft_jinja_free(memory);
    return ft_fail_prefix(err, "%s", where);
  }
  *out = memory;
  return FT_OK;
}

void ft_jinja_free(ft_jinja *t) {
  if (!t) return;
  ft_jinja_arena_fini(&t->arena);
  ft_free(t);
}

/* ---------------------------------------------------------------- asking */

bool ft_jinja_has_generation(const ft_jinja *t) {
  return t->has_generation;
}

bool ft_jinja_uses(const ft_jinja *t, const char *name) {
  for (int64_t i = 0; i < t->num_tokens; i++)
    if (t->tokens[i].type == JINJA_T_NAME && strcmp(t->tokens[i].text, name) == 0) return true;
  return false;
}

/* ---------------------------------------------------------------- rendering */

static ft_err render(ft_jinja_state *s, ft_jinja_text *out) {
  ft_err err = FT_OK;
  ft_jinja_flow flow;
  FT_TRY(ft_jinja_scope_enter(s, NULL));
  s->root = s->scope;
  s->out = &s->text;
  FT_TRY(ft_jinja_execute(s, &s->t->body, &flow));
  FT_TRY(s->text.err);
  out->text = s->text.text ? s->text.text : "";
  out->bytes = s->text.bytes;
  out->spans = s->spans;
  out->num_spans = s->num_spans;
  out->origins = s->origins;
  out->num_origins = s->num_origins;
out:
  return err;
}

ft_err ft_jinja_render(const ft_jinja *t, const ft_jinja_options *options, ft_jinja_text *out) {
  if (!out->arena) {
    void *arena;
    ft_err err = ft_alloc(FT_MEM_PREP, sizeof(ft_jinja_arena), &arena);
    if (err != FT_OK) return err;
    out->arena = arena;
  }
  out->arena->limit_bytes = options->max_bytes ? options->max_bytes : max_rendering_bytes;
  ft_jinja_arena_reset(out->arena);
  *out = (ft_jinja_text){.arena = out->arena};
  ft_jinja_state s = {.t = t, .options = options, .arena = out->arena, .turn = -1};
  s.text = ft_jinja_builder_on(out->arena);
  ft_err err = render(&s, out);
  return err == FT_ERR_DATA ? ft_fail_prefix(err, "%s: line %d", t->where, s.line) : err;
}

void ft_jinja_text_fini(ft_jinja_text *text) {
  if (text->arena) {
    ft_jinja_arena_fini(text->arena);
    ft_free(text->arena);
  }
  *text = (ft_jinja_text){0};
}
