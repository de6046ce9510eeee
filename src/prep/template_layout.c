/* The layouts: what stands where in ChatML, Llama 2, Llama 3, Alpaca and plain conversations.
 * docs/data.md has them as tables. */
#include <string.h>

#include "space.h"
#include "template.h"

/* ---------------------------------------------------------------- parts */

static bool begins_with_system(const ft_record *r) {
  return r->num_messages > 0 && r->messages[0].role == FT_SPEAKER_SYSTEM;
}

static bool is_said(const char *text) {
  return text && text[0];
}

static void content(ft_canvas *c, const char *text, bool target) {
  ft_canvas_content(c, text, strlen(text), target);
}

/* Content and, where an instruction has a second part, that on the next line. */
static void content_of(ft_canvas *c, const ft_message *m) {
  content(c, m->content, m->target);
  if (!m->input) return;
  ft_canvas_text(c, "\n", m->target);
  content(c, m->input, m->target);
}

/* As content_of, without the white space before and after it all. */
static void trimmed(ft_canvas *c, const ft_message *m, bool left, bool target) {
  size_t bytes = strlen(m->content), begin = left ? ft_space_before(m->content, bytes) : 0;
  size_t input_bytes = m->input ? strlen(m->input) : 0;
  size_t input_end = input_bytes - (m->input ? ft_space_after(m->input, input_bytes) : 0);
  if (input_end == 0) {
    size_t rest = bytes - begin;
    ft_canvas_content(c, m->content + begin, rest - ft_space_after(m->content + begin, rest),
                      target);
    return;
  }
  ft_canvas_content(c, m->content + begin, bytes - begin, target);
  ft_canvas_text(c, "\n", target);
  ft_canvas_content(c, m->input, input_end, target);
}

static void bos_by_post_processor(ft_canvas *c) {
  const uint32_t *before, *after;
  int64_t num_before, num_after;
  ft_tokenizer_post_processor(c->tokenizer, &before, &num_before, &after, &num_after);
  for (int64_t i = 0; i < num_before; i++)
    ft_canvas_token(c, before[i], false);
}

/* Llama 2 and Alpaca have no place for a system message but the first turn, and none for two users
 * in a row. */
static ft_err check_turns(const ft_render_options *options, const ft_record *r) {
  ft_speaker expected = FT_SPEAKER_USER;
  int64_t first = begins_with_system(r) ? 1 : 0;
  for (int64_t i = first; i < r->num_messages; i++) {
    if (r->messages[i].role != expected)
      return ft_fail(FT_ERR_DATA,
                     "message %lld is the %s's where the %s's was expected: template %s takes a "
                     "system message (or none) and then user and assistant in turn",
                     (long long)i + 1, ft_speaker_name(r->messages[i].role),
                     ft_speaker_name(expected), ft_template_name(options->template));
    expected = expected == FT_SPEAKER_USER ? FT_SPEAKER_ASSISTANT : FT_SPEAKER_USER;
  }
  if (first == r->num_messages) return ft_fail(FT_ERR_DATA, "has a system message only");
  return FT_OK;
}

/* ---------------------------------------------------------------- ChatML */

static ft_err chatml(ft_canvas *c, const ft_render_options *options, const ft_record *r,
                     bool open) {
  int64_t start = ft_tokenizer_id(c->tokenizer, "<|im_start|>");
  int64_t end = ft_tokenizer_id(c->tokenizer, "<|im_end|>");
  if (!begins_with_system(r) && is_said(options->system)) {
    ft_canvas_token(c, start, false);
    ft_canvas_text(c, "system\n", false);
    ft_canvas_text(c, options->system, false);
    ft_canvas_token(c, end, false);
    ft_canvas_text(c, "\n", false);
  }
  for (int64_t i = 0; i < r->num_messages; i++) {
    const ft_message *m = &r->messages[i];
    ft_canvas_token(c, start, false);
    ft_canvas_text(c, ft_speaker_name(m->role), false);
    ft_canvas_text(c, "\n", false);
    content_of(c, m);
    ft_canvas_token(c, end, m->target);
    ft_canvas_text(c, "\n", false);
  }
  if (open) {
    ft_canvas_token(c, start, false);
    ft_canvas_text(c, "assistant\n", false);
  }
  return FT_OK;
}

/* ---------------------------------------------------------------- Llama 3 */

static void llama3_header(ft_canvas *c, const char *role) {
  ft_canvas_token(c, ft_tokenizer_id(c->tokenizer, "<|start_header_id|>"), false);
  ft_canvas_text(c, role, false);
  ft_canvas_token(c, ft_tokenizer_id(c->tokenizer, "<|end_header_id|>"), false);
  ft_canvas_text(c, "\n\n", false);
}

static ft_err llama3(ft_canvas *c, const ft_render_options *options, const ft_record *r,
                     bool open) {
  int64_t end = ft_tokenizer_id(c->tokenizer, "<|eot_id|>");
  ft_canvas_token(c, ft_tokenizer_id(c->tokenizer, "<|begin_of_text|>"), false);
  if (!begins_with_system(r) && is_said(options->system)) {
    llama3_header(c, "system");
    ft_canvas_text(c, options->system, false);
    ft_canvas_token(c, end, false);
  }
  for (int64_t i = 0; i < r->num_messages; i++) {
    const ft_message *m = &r->messages[i];
    llama3_header(c, ft_speaker_name(m->role));
    trimmed(c, m, true, m->target);
    ft_canvas_token(c, end, m->target);
  }
  if (open) llama3_header(c, "assistant");
  return FT_OK;
}

/* ---------------------------------------------------------------- Llama 2 */

static ft_err llama2(ft_canvas *c, const ft_render_options *options, const ft_record *r) {
  ft_err err = check_turns(options, r);
  if (err != FT_OK) return err;
  int64_t bos = ft_tokenizer_id(c->tokenizer, "<s>"), eos = ft_tokenizer_id(c->tokenizer, "</s>");
  const char *system = begins_with_system(r)      ? r->messages[0].content
                       : is_said(options->system) ? options->system
                                                  : NULL;
  for (int64_t i = begins_with_system(r) ? 1 : 0; i < r->num_messages; i++) {
    const ft_message *m = &r->messages[i];
    if (m->role == FT_SPEAKER_ASSISTANT) {
      ft_canvas_text(c, " ", m->target);
      trimmed(c, m, true, m->target);
      ft_canvas_text(c, " ", m->target);
      ft_canvas_token(c, eos, m->target);
      continue;
    }
    ft_canvas_token(c, bos, false);
    ft_canvas_text(c, "[INST] ", false);
    if (system) {
      ft_canvas_text(c, "<<SYS>>\n", false);
      ft_canvas_text(c, system, false);
      ft_canvas_text(c, "\n<</SYS>>\n\n", false);
    }
    trimmed(c, m, !system, false);
    ft_canvas_text(c, " [/INST]", false);
    system = NULL;
  }
  return FT_OK;
}

/* ---------------------------------------------------------------- Alpaca and plain */

static ft_err need_eos(const ft_render_options *options) {
  if (options->eos >= 0) return FT_OK;
  return ft_fail(FT_ERR_DATA,
                 "template %s ends a turn with the model's end-of-text token, and none is named by "
                 "config.json, generation_config.json or tokenizer_config.json",
                 ft_template_name(options->template));
}

static const char *alpaca_system(const ft_render_options *options, const ft_record *r) {
  bool has_input = false;
  for (int64_t i = 0; i < r->num_messages; i++)
    has_input = has_input || r->messages[i].input;
  if (begins_with_system(r)) return r->messages[0].content;
  if (options->system) return options->system;
  return has_input ? "Below is an instruction that describes a task, paired with an input that "
                     "provides further context. Write a response that appropriately completes the "
                     "request."
                   : "Below is an instruction that describes a task. Write a response that "
                     "appropriately completes the request.";
}

static ft_err alpaca(ft_canvas *c, const ft_render_options *options, const ft_record *r) {
  ft_err err = need_eos(options);
  if (err == FT_OK) err = check_turns(options, r);
  if (err != FT_OK) return err;
  bos_by_post_processor(c);
  const char *system = alpaca_system(options, r);
  ft_canvas_text(c, system, false);
  bool first = !is_said(system);
  for (int64_t i = begins_with_system(r) ? 1 : 0; i < r->num_messages; i++) {
    const ft_message *m = &r->messages[i];
    if (m->role == FT_SPEAKER_ASSISTANT) {
      content(c, m->content, m->target);
      ft_canvas_token(c, options->eos, m->target);
      continue;
    }
    if (!first) ft_canvas_text(c, "\n\n", false);
    first = false;
    ft_canvas_text(c, "### Instruction:\n", false);
    content(c, m->content, false);
    if (m->input) ft_canvas_text(c, "\n\n### Input:\n", false);
    if (m->input) content(c, m->input, false);
    ft_canvas_text(c, "\n\n### Response:\n", false);
  }
  return FT_OK;
}

static ft_err plain(ft_canvas *c, const ft_render_options *options, const ft_record *r) {
  ft_err err = need_eos(options);
  if (err != FT_OK) return err;
  bos_by_post_processor(c);
  if (!begins_with_system(r) && is_said(options->system)) {
    ft_canvas_text(c, options->system, false);
    ft_canvas_text(c, "\n", false);
  }
  for (int64_t i = 0; i < r->num_messages; i++) {
    const ft_message *m = &r->messages[i];
    content_of(c, m);
    if (m->role == FT_SPEAKER_ASSISTANT)
      ft_canvas_token(c, options->eos, m->target);
    else if (!r->is_continuation)
      ft_canvas_text(c, "\n", false);
  }
  return FT_OK;
}

/* What the layouts have no place for. A name changes nothing in them. */
static ft_err check_expressible(const ft_render_options *options, const ft_record *r) {
  const char *layout = ft_template_name(options->template), *what = NULL;
  if (r->tools) what = "\"tools\": tool use";
  if (r->documents) what = "\"documents\"";
  if (r->template_kwargs) what = "\"chat_template_kwargs\"";
  if (what) return ft_fail(FT_ERR_DATA, "%s is not supported by the layout %s", what, layout);
  for (int64_t i = 0; i < r->num_messages; i++) {
    const ft_message *m = &r->messages[i];
    if (m->role == FT_SPEAKER_TOOL) what = "role \"tool\": tool use";
    if (m->role == FT_SPEAKER_DEVELOPER) what = "role \"developer\"";
    if (m->tool_calls) what = "\"tool_calls\": tool use";
    if (m->reasoning) what = "\"reasoning_content\" (or \"thinking\")";
    if (what)
      return ft_fail(FT_ERR_DATA, "message %lld: %s is not supported by the layout %s",
                     (long long)i + 1, what, layout);
  }
  return FT_OK;
}

ft_err ft_layout_chat(ft_canvas *c, const ft_render_options *options, const ft_record *record,
                      bool open) {
  ft_err err = check_expressible(options, record);
  if (err != FT_OK) return err;
  switch (options->template) {
  case FT_TEMPLATE_CHATML:
    return chatml(c, options, record, open);
  case FT_TEMPLATE_LLAMA3:
    return llama3(c, options, record, open);
  case FT_TEMPLATE_LLAMA2:
    return llama2(c, options, record);
  case FT_TEMPLATE_ALPACA:
    return alpaca(c, options, record);
  case FT_TEMPLATE_PLAIN:
    return plain(c, options, record);
  case FT_TEMPLATE_MODEL: /* has no layout */
  case FT_TEMPLATE_AUTO:
    break;
  }
  return ft_fail(FT_ERR_INTERNAL, "template auto was not resolved");
}
