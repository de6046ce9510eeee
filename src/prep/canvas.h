/* What a template writes on: control tokens by id and text between them, some of it to be learnt.
 */
#ifndef FT_PREP_CANVAS_H
#define FT_PREP_CANVAS_H

#include "specials.h"

/* A stretch of the current text, in bytes, that is to be learnt. */
typedef struct ft_span {
  size_t begin, end;
} ft_span;

typedef struct ft_canvas {
  const ft_tokenizer *tokenizer; /* not owned */
  ft_ids *out;                   /* not owned */
  int64_t first;                 /* out->count when it began */
  char *text;                    /* the text since the last control token */
  size_t length, capacity;
  ft_span *spans;
  int64_t num_spans, span_capacity;
  const ft_specials *specials; /* not owned; NULL: texts spell out letters only */
  ft_spelled *spelled;         /* not owned; where control tokens in texts are counted, or NULL */
  bool takes_control;          /* control tokens in texts are tokens */
  ft_err err;                  /* the first error; later calls do nothing */
} ft_canvas;

void ft_canvas_init(ft_canvas *c, const ft_tokenizer *t, ft_ids *out);
/* Turns FT_JSON_ZERO back into zeros, in place; returns the bytes that are left. */
size_t ft_restore_zeros(char *text, size_t bytes);
/* Text as a JSON string holds it (FT_JSON_ZERO is a zero), tokenized with specials off, together
 * with the text before and after it. */
void ft_canvas_text(ft_canvas *c, const char *text, bool target);
/* As ft_canvas_text, of what somebody else wrote: special tokens that it spells out are tokens
 * where the canvas says so, and counted. */
void ft_canvas_content(ft_canvas *c, const char *text, size_t bytes, bool target);
void ft_canvas_bytes(ft_canvas *c, const char *text, size_t bytes, bool target);
/* What follows is tokenized apart from what was written. */
void ft_canvas_break(ft_canvas *c);
/* One control token. */
void ft_canvas_token(ft_canvas *c, int64_t id, bool target);
/* Tokenizes what is left, makes the first token no target, frees and returns the first error. */
ft_err ft_canvas_finish(ft_canvas *c);

#endif
