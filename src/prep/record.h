/* One training record, read from JSON and brought to a single form: a text, or messages. */
#ifndef FT_PREP_RECORD_H
#define FT_PREP_RECORD_H

#include "ft/prep.h"

typedef enum ft_speaker { FT_SPEAKER_SYSTEM, FT_SPEAKER_USER, FT_SPEAKER_ASSISTANT } ft_speaker;

typedef struct ft_message {
  ft_speaker role;
  bool target;   /* an assistant's message that is trained on */
  char *content; /* owned */
  char *input;   /* owned; alpaca's second part of an instruction, or NULL */
} ft_message;

typedef struct ft_record {
  char *text;           /* owned; a text record, or NULL */
  bool is_continuation; /* {prompt, completion} as strings: a text and how it goes on */
  ft_message *messages;
  int64_t num_messages, capacity;
} ft_record;

/* Errors: FT_ERR_DATA with the reason, without a place; FT_ERR_MEMORY. */
ft_err ft_record_read(const cJSON *json, ft_record *out);
void ft_record_fini(ft_record *record);
/* Of the content alone: neither the form nor the order of members matters. */
uint64_t ft_record_hash(const ft_record *record);
/* As ft_render_record, for a record that was read. */
ft_err ft_record_render(const ft_tokenizer *t, const ft_render_options *options,
                        const ft_record *record, ft_ids *out);

#endif
