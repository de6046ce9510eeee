/* A conversation that the model's own template rendered, as tokens: the template's control tokens
 * as such, everything else as text, each with its mark in the loss mask. */
#include <string.h>

#include "chat.h"

/* Walks over the text; its borders are those of spans and of targets. */
typedef struct writer {
  const ft_chat_run *run;
  ft_canvas *canvas;
  int64_t span, target; /* the ones at or behind the place that is written */
} writer;

/* End of the stretch at `at` that is of one kind. */
static size_t stretch(writer *w, size_t at, size_t to, bool *own, bool *is_target) {
  const ft_chat_run *run = w->run;
  while (run->whole->spans[w->span].end <= at)
    w->span++;
  while (w->target < run->num_targets && run->targets[w->target].end <= at)
    w->target++;
  const ft_span *target = w->target < run->num_targets ? &run->targets[w->target] : NULL;
  *own = ft_chat_is_own(run->whole, &run->whole->spans[w->span]);
  *is_target = target && target->begin <= at;
  size_t border = !target ? to : *is_target ? target->end : target->begin;
  return FT_MIN(FT_MIN(border, run->whole->spans[w->span].end), to);
}

/* The first mark of a turn in content, or NULL. */
static const char *next_mark(const ft_chat *chat, const char *text, size_t bytes) {
  const char *first = NULL;
  for (int64_t i = 0; i < chat->num_marks; i++) {
    size_t length = strlen(chat->marks[i]);
    for (size_t at = 0; at + length <= bytes && (!first || text + at < first); at++)
      if (memcmp(text + at, chat->marks[i], length) == 0) first = text + at;
  }
  return first;
}

/* Content: marks of turns are cut, so that they stay letters. */
static void write_content(writer *w, const char *text, size_t bytes, bool is_target) {
  const char *mark;
  while ((mark = next_mark(w->run->chat, text, bytes))) {
    size_t before = (size_t)(mark - text) + 1;
    ft_canvas_content(w->canvas, text, before, is_target);
    ft_canvas_break(w->canvas);
    text += before;
    bytes -= before;
  }
  ft_canvas_content(w->canvas, text, bytes, is_target);
}

/* Text between control tokens. */
static void write_text(writer *w, size_t begin, size_t end) {
  for (size_t at = begin; at < end;) {
    bool own, is_target;
    size_t stop = stretch(w, at, end, &own, &is_target);
    if (own)
      ft_canvas_bytes(w->canvas, w->run->whole->text + at, stop - at, is_target);
    else
      write_content(w, w->run->whole->text + at, stop - at, is_target);
    at = stop;
  }
}

static bool overlaps_target(const ft_chat_run *run, size_t begin, size_t end) {
  for (int64_t i = 0; i < run->num_targets && run->targets[i].begin < end; i++)
    if (run->targets[i].end > begin) return true;
  return false;
}

/* Writes rendered text to the canvas, with targets as the run has them. */
static void write_run(const ft_chat_run *run, ft_canvas *canvas) {
  writer w = {.run = run, .canvas = canvas};
  const ft_jinja_text *text = run->whole;
  const ft_special *found;
  size_t written = 0, at = 0, end;
  while ((found = ft_chat_next_control(canvas->specials, text, &at, text->bytes, &end))) {
    size_t begin = at;
    ft_tokenizer_widen(canvas->tokenizer, found->id, text->text, text->bytes, written, &begin,
                       &end);
    write_text(&w, written, begin);
    ft_canvas_token(canvas, found->id, overlaps_target(run, begin, end));
    written = at = end;
  }
  write_text(&w, written, text->bytes);
}

ft_err ft_chat_render(ft_canvas *canvas, const ft_render_options *options, const ft_record *record,
                      bool open) {
  ft_err err = FT_OK;
  ft_chat_run run = {0};
  FT_TRY(ft_chat_run_init(&run, options, record));
  run.open = open || record->open;
  FT_TRY(ft_chat_run_render(&run, -1, run.open, run.whole));
  ft_chat_tell_lost(&run);
  if (!open) FT_TRY(ft_chat_find_targets(&run));
  write_run(&run, canvas);
out:
  ft_chat_run_fini(&run);
  return err;
}
