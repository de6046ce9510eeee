/* jinja: renders chat templates as transformers sets Jinja up (an immutable sandbox; trim_blocks,
 * lstrip_blocks, loop controls, {% generation %}, raise_exception, strftime_now, tojson), and knows
 * of every byte of the output where it came from: the template itself, or a string of the input.
 * What a template uses and this interpreter cannot do is refused by name, with the line. Time,
 * memory and depth of a rendering are bounded. No MPI. Not collective, all of it. */
#ifndef FT_JINJA_H
#define FT_JINJA_H

#include <time.h>

#include "ft/io.h"

/* A template that was read: constant, any number of threads may render it at once. */
typedef struct ft_jinja ft_jinja;

/* `where` names the template in errors. The source must be valid UTF-8. Errors: FT_ERR_DATA with
 * the line of the mistake, FT_ERR_MEMORY. */
ft_err ft_jinja_parse(const char *source, size_t bytes, const char *where, ft_jinja **out);
void ft_jinja_free(ft_jinja *t);

/* Whether the template has {% generation %}: it marks itself what the model has to produce. */
bool ft_jinja_has_generation(const ft_jinja *t);
/* Whether the template mentions a variable of this name anywhere. */
bool ft_jinja_uses(const ft_jinja *t, const char *name);

/* A variable that the template sees. */
typedef struct ft_jinja_input {
  const char *name;
  const cJSON *value; /* not owned; strings as ft_json_parse_data leaves them */
  bool own;           /* strings of it count as the template's own: bos_token and the like */
} ft_jinja_input;

typedef struct ft_jinja_options {
  const ft_jinja_input *inputs; /* [num_inputs] later ones hide earlier ones of the same name */
  int64_t num_inputs;
  /* The input whose members are turns, "messages" (NULL: none): output written while a loop of
   * the template looks at member i is of turn i. Only the first num_turns members are shown to
   * the template (-1: all). */
  const char *turns;
  int64_t num_turns;
  struct tm date; /* what strftime_now tells */
  /* What a rendering may take; 0: 512 MiB, and 10^8 steps, which are some seconds. */
  size_t max_bytes;
  int64_t max_steps;
} ft_jinja_options;

/* Where a string of the input stood. */
typedef struct ft_jinja_origin {
  const char *variable; /* the input's name */
  int64_t index;        /* member of the list that the input is, or -1 */
  const char *member;   /* member of that object (or of the input itself), or NULL */
} ft_jinja_origin;

/* A stretch of the output; the first begins at 0, each where the one before ends. */
typedef struct ft_jinja_span {
  size_t end;
  int32_t origin;  /* index into origins; -1: the template's own text */
  int32_t turn;    /* the turn being written, or -1 */
  bool generation; /* inside {% generation %} */
} ft_jinja_span;

/* A rendered text. Starts zeroed; may be rendered into again and again, which reuses its memory.
 * Everything in it is valid until the next rendering. */
typedef struct ft_jinja_text {
  const char *text; /* [bytes], valid UTF-8, may hold zeros, not terminated */
  size_t bytes;
  const ft_jinja_span *spans; /* [num_spans] */
  int64_t num_spans;
  const ft_jinja_origin *origins; /* [num_origins] names are borrowed from the inputs */
  int64_t num_origins;
  struct ft_jinja_arena *arena; /* its memory */
} ft_jinja_text;

/* Errors: FT_ERR_DATA with the line: what raise_exception said, what went wrong, or what is not
 * supported; FT_ERR_MEMORY. */
ft_err ft_jinja_render(const ft_jinja *t, const ft_jinja_options *options, ft_jinja_text *out);
void ft_jinja_text_fini(ft_jinja_text *text);

#endif
