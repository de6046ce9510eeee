/* Inside prep: the model's own chat template. A conversation is rendered by it as it stands; what
 * is to be learnt is found from where the output came from, never by searching text. */
#ifndef FT_PREP_CHAT_H
#define FT_PREP_CHAT_H

#include <pthread.h>

#include "canvas.h"
#include "ft/jinja.h"
#include "record.h"

enum { FT_MAX_STOPS = 32 };

/* Texts that are rendered, with their memory. */
typedef struct ft_chat_texts {
  ft_jinja_text whole, part; /* all of a conversation, and what of it is looked at apart */
  struct ft_chat_texts *next;
} ft_chat_texts;

/* Those that nobody uses now, for whoever renders next. */
typedef struct ft_chat_pool {
  pthread_mutex_t lock;
  ft_chat_texts *free;
} ft_chat_pool;

struct ft_chat {
  const ft_tokenizer *tokenizer; /* not owned */
  ft_jinja *template;            /* owned */
  ft_jinja *tools_template;      /* owned; for records with tools; NULL: the same */
  char sha256[65];               /* of the template's text (of both, if there are two) */
  cJSON *tokens;                /* owned; object of the special tokens that templates see by name */
  uint32_t stops[FT_MAX_STOPS]; /* [num_stops] ids that end what the model writes */
  int64_t num_stops;
  int64_t end_of_turn; /* ends the assistant's turns; -1: none was found */
  /* Added tokens that are not special by tokenizer.json, and begin turns all the same: contents
   * cannot write them either. Borrowed from the tokenizer. */
  const char *marks[FT_MAX_STOPS];
  int64_t num_marks;
  char *prompt; /* owned; what add_generation_prompt writes behind a user's turn; NULL: nothing */
  ft_chat_pool *pool; /* owned */
};

/* *out is NULL if the directory has no template. tokenizer_config may be NULL. Errors: FT_ERR_DATA
 * with the line, for templates that cannot be read; FT_ERR_IO, FT_ERR_MEMORY. */
ft_err ft_chat_open(const char *dir, const ft_tokenizer *t, const cJSON *tokenizer_config,
                    ft_chat **out);
void ft_chat_free(ft_chat *chat);
ft_err ft_chat_pool_new(ft_chat_pool **out);
void ft_chat_pool_free(ft_chat_pool *pool);
/* Lends texts of the pool, which go back when they are no longer used. NULL may go back. */
ft_err ft_chat_take_texts(const ft_chat *chat, ft_chat_texts **out);
void ft_chat_put_back(const ft_chat *chat, ft_chat_texts *texts);

/* A conversation as a template sees it. */
typedef struct ft_chat_run {
  const ft_chat *chat;
  const ft_render_options *options;
  const ft_record *record;
  const ft_jinja *template;
  cJSON *messages;        /* owned; the list that the template sees */
  int32_t first;          /* where the record's messages begin in it: 1 behind an added system */
  ft_jinja_input *inputs; /* owned [num_inputs] */
  int64_t num_inputs;
  cJSON *yes, *no, *none;      /* owned */
  ft_chat_texts *texts;        /* of the chat's pool */
  ft_jinja_text *whole, *part; /* in texts */
  bool open;                   /* `whole` was rendered with add_generation_prompt */
  ft_span *targets;            /* owned [num_targets], in order: bytes of whole to be learnt */
  int64_t num_targets, target_capacity;
} ft_chat_run;

/* Makes the inputs. record and options must outlive the run. */
ft_err ft_chat_run_init(ft_chat_run *run, const ft_render_options *options,
                        const ft_record *record);
void ft_chat_run_fini(ft_chat_run *run);
/* Renders the first num_turns messages (-1: all) into out. */
ft_err ft_chat_run_render(ft_chat_run *run, int64_t num_turns, bool open, ft_jinja_text *out);
/* Finds the targets of `whole`. Errors: FT_ERR_DATA, where a turn cannot be told apart. */
ft_err ft_chat_find_targets(ft_chat_run *run);

/* Warns, once in a process, if `whole` has nothing of what a user's or an assistant's content says.
 */
void ft_chat_tell_lost(const ft_chat_run *run);

/* The bytes [begin, end) that were written for a turn; false if there are none. */
bool ft_chat_region(const ft_jinja_text *text, int32_t turn, size_t *begin, size_t *end);
/* Whether a span is the template's own text, which control tokens may come from: a literal, or
 * the role that a record gives (records know a few roles only). */
bool ft_chat_is_own(const ft_jinja_text *text, const ft_jinja_span *span);
/* The first special token that the template itself writes at or after *at: [*at, *end) of text.
 * NULL: none before `to`. */
const ft_special *ft_chat_next_control(const ft_specials *specials, const ft_jinja_text *text,
                                       size_t *at, size_t to, size_t *end);
bool ft_chat_is_stop(const ft_chat *chat, uint32_t id);

/* As ft_layout_chat, by the model's own template. */
ft_err ft_chat_render(ft_canvas *canvas, const ft_render_options *options, const ft_record *record,
                      bool open);

#endif
