/* One training record, read from JSON and brought to a single form: a text, or messages. */
#ifndef FT_PREP_RECORD_H
#define FT_PREP_RECORD_H

#include "ft/prep.h"
#include "normalise.h"

typedef enum ft_speaker {
  FT_SPEAKER_SYSTEM,
  FT_SPEAKER_USER,
  FT_SPEAKER_ASSISTANT,
  FT_SPEAKER_TOOL,
  FT_SPEAKER_DEVELOPER
} ft_speaker;
const char *ft_speaker_name(ft_speaker speaker); /* "system" … */

typedef struct ft_message {
  ft_speaker role;
  bool target;           /* an assistant's message that is trained on */
  bool marked;           /* the record itself says whether it is */
  char *content;         /* owned; "" beside tool calls where there is none */
  char *input;           /* owned; alpaca's second part of an instruction, or NULL */
  const char *reasoning; /* what the assistant thought, or NULL; borrowed from the JSON, as are: */
  const char *name;      /* of the speaker or the tool, or NULL */
  const char *call_id;   /* the tool call that this answers, or NULL */
  const cJSON *tool_calls; /* list as OpenAI has it, or NULL */
  const cJSON *json;       /* the message as it stands in OpenAI's form, or NULL */
} ft_message;

/* Members that were found and not read, by name: each once, ended by a zero, then another zero.
 * Those of messages begin with "messages: ". */
typedef struct ft_unread {
  char names[256];
  size_t used;
} ft_unread;

typedef struct ft_record {
  ft_form form;
  ft_tokens_kind kind;  /* text, sft, preference, unpaired or classes */
  char *text;           /* owned; a text record, or NULL */
  ft_ids ids;           /* of a record of tokens */
  bool is_continuation; /* {prompt, completion} as strings: a text and how it goes on */
  ft_message *messages;
  int64_t num_messages, capacity;
  const cJSON *tools, *documents, *template_kwargs; /* not empty, or NULL; borrowed */
  bool open;                                        /* "add_generation_prompt" */
  struct ft_record *rejected; /* kind preference: the other conversation; owned */
  bool prompts_differ;        /* kind preference: they answer different things */
  int32_t value;              /* kinds unpaired and classes */
  cJSON *owned;               /* list of what stood as JSON in strings; the above may point in */
  ft_unread unread;
} ft_record;

/* Reads a record; `json` must outlive it. Errors: FT_ERR_DATA with the reason, without a place;
 * FT_ERR_MEMORY. */
ft_err ft_record_read(const ft_record_rules *rules, const cJSON *json, ft_record *out);
void ft_record_fini(ft_record *record);
/* Of what was asked: the first user's words (of a text, all of it), in lower case, without
 * punctuation and differences of white space. Records of one prompt fall into one set. `words`
 * lends memory. */
ft_err ft_record_prompt_hash(const ft_record *record, ft_words *words, uint64_t *out);
/* Ids before the first target, or all. */
int64_t ft_ids_prompt_length(const ft_ids *ids);
/* As ft_record_prompt_hash, of ids that are there already. */
uint64_t ft_ids_prompt_hash(const ft_ids *ids);
/* Whether message i is a target: an assistant's that the record and --train-on say. */
bool ft_message_is_learnt(const ft_render_options *options, const ft_record *r, int64_t i);
/* All of it. */
ft_err ft_document_render(const ft_tokenizer *t, const ft_render_options *options,
                          const ft_record *record, ft_document *out);

#endif
