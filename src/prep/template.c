/* Templates by what a tokenizer has, and the rendering of records and prompts. */
#include <string.h>

#include "chat.h"
#include "template.h"

/* The Llama 2 family: byte fallback, and no other begin and end than <s> and </s>. */
static bool is_llama2_family(const ft_tokenizer *t) {
  const char *missing;
  return ft_template_fits(FT_TEMPLATE_LLAMA2, t, &missing) && ft_tokenizer_id(t, "<0x00>") >= 0;
}

ft_err ft_template_resolve(ft_template wanted, const ft_tokenizer *t, ft_template *out) {
  const char *missing;
  *out = wanted;
  if (wanted != FT_TEMPLATE_AUTO) {
    if (ft_template_fits(wanted, t, &missing)) return FT_OK;
    return ft_fail(FT_ERR_DATA,
                   "template %s needs the token %s, which the tokenizer does not have; choose "
                   "another template, or auto",
                   ft_template_name(wanted), missing);
  }
  if (ft_template_fits(FT_TEMPLATE_CHATML, t, &missing))
    *out = FT_TEMPLATE_CHATML;
  else if (ft_template_fits(FT_TEMPLATE_LLAMA3, t, &missing))
    *out = FT_TEMPLATE_LLAMA3;
  else if (is_llama2_family(t))
    *out = FT_TEMPLATE_LLAMA2;
  else
    *out = FT_TEMPLATE_ALPACA;
  return FT_OK;
}

int64_t ft_template_end_of_turn(const ft_tokenizer *t, const ft_render_options *options) {
  switch (options->template) {
  case FT_TEMPLATE_MODEL:
    if (options->chat && options->chat->end_of_turn >= 0) return options->chat->end_of_turn;
    break;
  case FT_TEMPLATE_CHATML:
    return ft_tokenizer_id(t, "<|im_end|>");
  case FT_TEMPLATE_LLAMA2:
    return ft_tokenizer_id(t, "</s>");
  case FT_TEMPLATE_LLAMA3:
    return ft_tokenizer_id(t, "<|eot_id|>");
  case FT_TEMPLATE_AUTO:
  case FT_TEMPLATE_ALPACA:
  case FT_TEMPLATE_PLAIN:
    break;
  }
  return options->eos;
}

/* ---------------------------------------------------------------- rendering */

ft_err ft_encode_string(const ft_tokenizer *t, const char *string, bool specials, uint8_t mask,
                        ft_ids *out) {
  if (!strstr(string, FT_JSON_ZERO))
    return ft_tokenizer_encode(t, string, strlen(string), specials, mask, out);
  char *text;
  ft_err err = ft_strdup(string, &text);
  if (err != FT_OK) return err;
  size_t bytes = ft_restore_zeros(text, strlen(text));
  err = ft_tokenizer_encode(t, text, bytes, specials, mask, out);
  ft_free(text);
  return err;
}

/* Who writes a record, and what is counted of it. */
static void begin_canvas(ft_canvas *c, const ft_tokenizer *t, const ft_render_options *options,
                         bool takes_control, ft_spelled *spelled, ft_ids *out) {
  ft_canvas_init(c, t, out);
  c->specials = options->specials;
  c->takes_control = options->control_tokens && takes_control;
  c->spelled = spelled;
}

/* BOS where the post-processor adds one, the text, and the model's EOS. */
static ft_err render_text(const ft_tokenizer *t, const ft_render_options *options, const char *text,
                          ft_spelled *spelled, ft_ids *out) {
  const uint32_t *before, *after;
  int64_t num_before, num_after, first = out->count;
  ft_canvas c;
  ft_err err = FT_OK;
  ft_tokenizer_post_processor(t, &before, &num_before, &after, &num_after);
  FT_TRY(ft_ids_append(out, before, num_before, 1));
  int64_t begin = out->count;
  begin_canvas(&c, t, options, true, spelled, out);
  ft_canvas_content(&c, text, strlen(text), true);
  FT_TRY(ft_canvas_finish(&c));
  if (out->count > begin) out->mask[begin] = 1;
  FT_TRY(ft_ids_append(out, after, num_after, 1));
  uint32_t eos = (uint32_t)options->eos;
  bool has_eos = out->count > first && out->ids[out->count - 1] == eos;
  if (options->eos >= 0 && !has_eos) FT_TRY(ft_ids_append(out, &eos, 1, 1));
  if (out->count > first) out->mask[first] = 0;
out:
  return err;
}

/* A layout's chat. Layouts look at what each message says of itself, so --train-on is said there.
 */
static ft_err render_layout(ft_canvas *canvas, const ft_render_options *options,
                            const ft_record *record, bool open) {
  ft_record shown = *record;
  void *messages = NULL;
  ft_err err = ft_alloc_array(FT_MEM_PREP, record->num_messages, sizeof *shown.messages, &messages);
  if (err != FT_OK) return err;
  shown.messages = messages;
  for (int64_t i = 0; i < record->num_messages; i++) {
    shown.messages[i] = record->messages[i];
    shown.messages[i].target = ft_message_is_learnt(options, record, i);
  }
  err = ft_layout_chat(canvas, options, &shown, open || record->open);
  ft_free(messages);
  return err;
}

/* A chat by the model's own template or a layout; open: up to the begin of the assistant's turn. */
static ft_err render_chat(const ft_tokenizer *t, const ft_render_options *options,
                          const ft_record *record, bool open, ft_spelled *spelled, ft_ids *out) {
  FT_ASSERT(options->template != FT_TEMPLATE_AUTO);
  ft_canvas canvas;
  begin_canvas(&canvas, t, options, record->is_continuation, spelled, out);
  ft_err err = options->template == FT_TEMPLATE_MODEL
                   ? ft_chat_render(&canvas, options, record, open)
                   : render_layout(&canvas, options, record, open);
  ft_err finish = ft_canvas_finish(&canvas);
  return err == FT_OK ? finish : err;
}

/* As ft_render_record, for a record that was read: its only conversation, or of a preference the
 * chosen one (the rejected one is a record itself). */
static ft_err render_record(const ft_tokenizer *t, const ft_render_options *options,
                            const ft_record *record, ft_spelled *spelled, ft_ids *out) {
  int64_t count = out->count;
  ft_err err = record->text ? render_text(t, options, record->text, spelled, out)
                            : render_chat(t, options, record, false, spelled, out);
  if (err != FT_OK) out->count = count;
  return err;
}

ft_err ft_document_render(const ft_tokenizer *t, const ft_render_options *options,
                          const ft_record *record, ft_document *out) {
  out->kind = record->kind;
  out->form = record->form;
  out->value = record->value;
  out->spelled = (ft_spelled){0};
  out->ids.count = out->rejected.count = 0;
  if (record->form == FT_FORM_TOKENS) {
    ft_err copied = ft_ids_append(&out->ids, record->ids.ids, record->ids.count, 0);
    if (copied == FT_OK && record->ids.count > 0)
      memcpy(out->ids.mask, record->ids.mask, (size_t)record->ids.count);
    return copied;
  }
  ft_err err = render_record(t, options, record, &out->spelled, &out->ids);
  if (err == FT_OK && record->rejected)
    err = render_record(t, options, record->rejected, &out->spelled, &out->rejected);
  return err;
}

void ft_document_fini(ft_document *document) {
  ft_ids_fini(&document->ids);
  ft_ids_fini(&document->rejected);
}

ft_err ft_render_record(const ft_tokenizer *t, const ft_render_options *options,
                        const ft_record_rules *rules, const cJSON *json, ft_document *out) {
  ft_record record;
  ft_err err = ft_record_read(rules, json, &record);
  if (err != FT_OK) return err;
  err = ft_document_render(t, options, &record, out);
  ft_record_fini(&record);
  return err;
}

ft_err ft_render_prompt(const ft_tokenizer *t, const ft_render_options *options, const char *user,
                        ft_ids *out) {
  char *content;
  ft_err err = ft_strdup(user, &content);
  if (err != FT_OK) return err;
  int64_t count = out->count;
  ft_message message = {.role = FT_SPEAKER_USER, .content = content};
  ft_record record = {.messages = &message, .num_messages = 1};
  err = render_chat(t, options, &record, true, NULL, out);
  if (err != FT_OK) out->count = count;
  ft_free(content);
  return err;
}
