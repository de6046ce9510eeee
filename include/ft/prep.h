/* prep: from JSONL to token shards. Records, chat templates with loss masks, cleaning and
 * splitting. No MPI. Not collective, all of it. */
#ifndef FT_PREP_H
#define FT_PREP_H

#include <stdatomic.h>
#include <time.h>

#include "ft/tokenizer.h"

/* ---------------------------------------------------------------- records and templates */

/* What a JSON object has to have to be a record, and how it is read. */
typedef enum ft_form {
  FT_FORM_AUTO,          /* found out for each record */
  FT_FORM_TEXT,          /* {text} */
  FT_FORM_CLASSES,       /* {text, label} */
  FT_FORM_MESSAGES,      /* {messages}: OpenAI's */
  FT_FORM_CONVERSATIONS, /* {conversations}: ShareGPT's */
  FT_FORM_ALPACA,        /* {instruction, output} */
  FT_FORM_COMPLETION,    /* {prompt, completion} */
  FT_FORM_PREFERENCE,    /* {prompt, chosen, rejected} */
  FT_FORM_TOKENS,        /* ids that are there already: HDF5, or {input_ids, labels?} */
  FT_NUM_FORMS
} ft_form;
/* "auto", "text" … Errors: FT_ERR_USAGE listing them. */
ft_err ft_form_by_name(const char *name, ft_form *out);
const char *ft_form_name(ft_form form);

/* A member that a file has under another name. */
typedef struct ft_field {
  const char *name;      /* ours */
  const char *file_name; /* the file's */
} ft_field;

/* How records are read. All zeros is a good start. */
typedef struct ft_record_rules {
  ft_form form;
  const ft_field *fields; /* [num_fields] */
  int64_t num_fields;
  const char *const *classes; /* [num_classes] names of classes, by number */
  int64_t num_classes;
} ft_record_rules;

/* How conversations are written: by the model's own chat template, or by a layout of ours for
 * directories that have none. */
typedef enum ft_template {
  FT_TEMPLATE_AUTO,  /* the model's own; if it has none, a layout by its special tokens */
  FT_TEMPLATE_MODEL, /* the model's own */
  FT_TEMPLATE_CHATML,
  FT_TEMPLATE_LLAMA2,
  FT_TEMPLATE_LLAMA3,
  FT_TEMPLATE_ALPACA,
  FT_TEMPLATE_PLAIN
} ft_template;
/* "auto", "model", "chatml" … Errors: FT_ERR_USAGE listing them. */
ft_err ft_template_by_name(const char *name, ft_template *out);
const char *ft_template_name(ft_template t);
/* The layout that AUTO stands for with this tokenizer. Errors: FT_ERR_DATA if a layout's special
 * tokens are missing. */
ft_err ft_template_resolve(ft_template wanted, const ft_tokenizer *t, ft_template *out);

/* Special tokens of a tokenizer that may be spelled out in texts (src/prep/specials.h). Any number
 * of threads may use it. The tokenizer must outlive it. Errors: FT_ERR_DATA, FT_ERR_IO. */
typedef struct ft_specials ft_specials;
ft_err ft_specials_new(const char *model_dir, const ft_tokenizer *t, ft_specials **out);
void ft_specials_free(ft_specials *specials);

/* Control tokens that a record spells out, and how often. Starts zeroed. */
enum { FT_MAX_SPELLED = 8 };
typedef struct ft_spelled {
  uint32_t ids[FT_MAX_SPELLED];
  int64_t times[FT_MAX_SPELLED], count;
} ft_spelled;
void ft_spelled_add(ft_spelled *spelled, uint32_t id);

/* The model's own chat template (src/prep/chat.h). */
typedef struct ft_chat ft_chat;
/* SHA-256 of its text. */
const char *ft_chat_sha256(const ft_chat *chat);
/* Whether it asks for today's date. */
bool ft_chat_reads_date(const ft_chat *chat);

/* Which of the assistant's messages are learnt. A message that says itself that it is not learnt
 * never is. */
typedef enum ft_train_on {
  FT_TRAIN_ON_ALL,
  FT_TRAIN_ON_LAST,  /* the last of a conversation */
  FT_TRAIN_ON_MARKED /* those that say themselves that they are ("train": true and the like) */
} ft_train_on;
/* "all", "last", "marked". Errors: FT_ERR_USAGE listing them. */
ft_err ft_train_on_by_name(const char *name, ft_train_on *out);
/* "YYYY-MM-DD", or with "THH:MM:SS". Errors: FT_ERR_USAGE. */
ft_err ft_date_by_name(const char *text, struct tm *out);

/* How records become ids. Fill it with ft_render_options_init, or by hand: only the first three
 * are needed. */
typedef struct ft_render_options {
  ft_template template; /* resolved */
  int64_t bos;          /* of layouts that begin with one; -1: none */
  int64_t eos;          /* the model's: ends `text` documents, and turns of layouts without a token
                           of their own; -1: none */
  char *system;         /* what a chat without a system message gets; NULL or "": nothing */
  ft_chat *chat;        /* owned; the model's own template, or NULL */
  ft_train_on train_on;
  struct tm date;        /* what templates take for today: this day, unless it is set */
  ft_specials *specials; /* owned; NULL: special tokens that texts spell out are letters */
  bool control_tokens;   /* those of texts, prompts and completions are tokens, also control ones */
} ft_render_options;

/* Resolves the template and finds what else a model directory says of it: its chat template, and
 * the end-of-text token (config.json, else generation_config.json, else tokenizer_config.json).
 * Only the tokenizer's files are required. A layout that is asked for by name though the directory
 * has a template of its own is warned of. system: for chats that have no system message. Errors:
 * FT_ERR_DATA, FT_ERR_IO, FT_ERR_MEMORY. */
ft_err ft_render_options_init(const char *model_dir, const ft_tokenizer *t, ft_template wanted,
                              const char *system, ft_render_options *out);
void ft_render_options_fini(ft_render_options *options);

/* As ft_tokenizer_encode, of a string as ft_json_parse_data leaves it (which may hold zeros). */
ft_err ft_encode_string(const ft_tokenizer *t, const char *string, bool specials, uint8_t mask,
                        ft_ids *out);

/* ---------------------------------------------------------------- what a template does */

/* What a conversation may hold. */
typedef enum ft_chat_part {
  FT_CHAT_SYSTEM,
  FT_CHAT_LATER_SYSTEM,
  FT_CHAT_DEVELOPER,
  FT_CHAT_PARTS,
  FT_CHAT_TOOLS,
  FT_CHAT_CALLS,
  FT_CHAT_RESULTS,
  FT_CHAT_REASONING,
  FT_CHAT_EARLIER_REASONING,
  FT_CHAT_DOCUMENTS,
  FT_NUM_CHAT_PARTS
} ft_chat_part;
const char *ft_chat_part_name(ft_chat_part part); /* "system message" … */

typedef enum ft_chat_support { FT_CHAT_WRITTEN, FT_CHAT_DROPPED, FT_CHAT_REFUSED } ft_chat_support;

typedef struct ft_chat_check {
  bool refuses_chats; /* even a question and its answer; then nothing but `reason` is known */
  char reason[400];
  ft_chat_support parts[FT_NUM_CHAT_PARTS];
  char reasons[FT_NUM_CHAT_PARTS][400]; /* what the template says where it refuses */
  bool keeps_history;  /* an answer is written in the same way whatever follows it */
  int64_t end_of_turn; /* the token that ends an answer and is learnt; -1: none is */
  int64_t num_control; /* control tokens that contents were tried with */
  bool can_be_forged;  /* a content made one of them */
  bool reads_date, marks_generation;
} ft_chat_check;
/* Finds out what the model's own template (options->chat) does, by rendering small conversations.
 * Errors: FT_ERR_DATA, FT_ERR_MEMORY. */
ft_err ft_chat_check_template(const ft_tokenizer *t, const ft_render_options *options,
                              ft_chat_check *out);

/* ---------------------------------------------------------------- records to ids */

/* What one record becomes. Starts zeroed, and is used again from record to record. */
typedef struct ft_document {
  ft_tokens_kind kind; /* text, sft, preference, unpaired or classes */
  ft_form form;
  ft_ids ids;      /* kind preference: the chosen conversation */
  ft_ids rejected; /* kind preference, otherwise empty */
  int32_t value;   /* kinds unpaired and classes */
  ft_spelled spelled;
} ft_document;
void ft_document_fini(ft_document *document);

/* Turns one training record to ids and mask: targets are the assistant's words and its end-of-turn
 * token, everything of a text except its first token. Content is tokenized with specials off. Parse
 * it with ft_json_parse_data. A record may come out without any target. Errors: FT_ERR_DATA with
 * the reason; FT_ERR_MEMORY. */
ft_err ft_render_record(const ft_tokenizer *t, const ft_render_options *options,
                        const ft_record_rules *rules, const cJSON *record, ft_document *out);
/* One user message and the start of the assistant's turn: what `generate --chat` feeds. */
ft_err ft_render_prompt(const ft_tokenizer *t, const ft_render_options *options, const char *user,
                        ft_ids *out);
/* The resolved layout as a chat template in Jinja that writes the same, for other programs; NULL
 * for the model's own. Free with ft_free. Errors: FT_ERR_MEMORY. */
ft_err ft_layout_jinja(const ft_tokenizer *t, const ft_render_options *options, char **out);
/* Id of the token that ends an assistant's turn in this template, or -1. */
int64_t ft_template_end_of_turn(const ft_tokenizer *t, const ft_render_options *options);

/* ---------------------------------------------------------------- lines of a file */

enum { FT_LINE_MAX = 64 << 20 }; /* bytes; a longer line is reported as such and skipped */

typedef struct ft_lines ft_lines;
/* Opens a text file of any size (a FIFO will do; "-" is standard input) to be read line by line in
 * bounded memory, unpacked if it is compressed with gzip or zstd. Errors: FT_ERR_NOINPUT,
 * FT_ERR_IO, FT_ERR_DATA (a directory, a file of another kind). */
ft_err ft_lines_open(const char *path, ft_lines **out);
/* As ft_lines_open, of the lines that begin at bytes begin … end - 1 of a plain file: parts of a
 * file have each of its lines once. Numbers are counted from 1 in each part. */
ft_err ft_lines_open_part(const char *path, int64_t begin, int64_t end, ft_lines **out);
void ft_lines_close(ft_lines *lines);
/* The next line without its end (LF or CR LF) and without the file's byte order mark; *text is NULL
 * at the end, and is followed by a zero otherwise. Borrowed until the next call. *too_long: the
 * line has more than FT_LINE_MAX bytes, *text is "". Errors: FT_ERR_IO, FT_ERR_MEMORY. */
ft_err ft_lines_next(ft_lines *lines, const char **text, size_t *bytes, bool *too_long);
/* Bytes of the file itself that were taken so far. */
int64_t ft_lines_taken(const ft_lines *lines);
/* The path for messages. Borrowed. */
const char *ft_lines_path(const ft_lines *lines);
/* Number of the line last read, from 1. */
int64_t ft_lines_number(const ft_lines *lines);
/* A line as JSON (ft_json_parse_data). Errors: FT_ERR_DATA with the column, FT_ERR_MEMORY. */
ft_err ft_line_parse(const char *text, size_t bytes, cJSON **out);
/* Nothing but spaces and tabs. */
bool ft_line_is_blank(const char *text, size_t bytes);

/* ---------------------------------------------------------------- cleaning */

/* What is looked for in every document (docs/data.md). The order is that of the report. */
typedef enum ft_rule {
  FT_RULE_CONTROL_CHARACTERS,
  FT_RULE_EMPTY_ANSWER,
  FT_RULE_TOO_SHORT, /* min_tokens */
  FT_RULE_TOO_LONG,  /* max_tokens */
  FT_RULE_REPETITION,
  FT_RULE_SYMBOLS,
  FT_RULE_LINES,
  FT_RULE_EMAIL,
  FT_RULE_PHONE,
  FT_RULE_CARD,
  FT_RULE_IBAN,
  FT_RULE_IP,
  FT_RULE_EQUAL_ANSWERS,   /* of a pair: the chosen one is the rejected one */
  FT_RULE_PROMPTS_DIFFER,  /* of a pair: they answer different things */
  FT_RULE_DUPLICATES,      /* the same tokens and targets as an earlier document */
  FT_RULE_NEAR_DUPLICATES, /* nearly the same words */
  FT_RULE_CONTAMINATION,   /* of train: words of validation, test or given files */
  FT_NUM_RULES
} ft_rule;
const char *ft_rule_name(ft_rule rule); /* "control_characters" … */

typedef enum ft_action {
  FT_ACTION_OFF,
  FT_ACTION_FLAG,   /* counted, with examples */
  FT_ACTION_DROP,   /* and the document is left out */
  FT_ACTION_FIX,    /* and what was found is taken out of it */
  FT_ACTION_REFUSE, /* and the line is a bad one */
  FT_NUM_ACTIONS
} ft_action;
const char *ft_action_name(ft_action action);

typedef struct ft_clean_options {
  ft_action actions[FT_NUM_RULES];
  int64_t min_tokens, max_tokens; /* 0: no bound */
  double near_threshold;          /* Jaccard similarity from which two documents are near */
  int64_t near_shingle;           /* words, or characters, that are compared as one */
  bool near_characters;
  int64_t ngram;              /* words in a row that contaminate */
  const char *const *against; /* [num_against] further files that train may not share words with */
  int64_t num_against;
  size_t sort_bytes; /* memory of sorting, beyond which it goes to the disk */
} ft_clean_options;
/* Everything that is found out on the way is flagged; only pairs that say nothing are left out. */
void ft_clean_defaults(ft_clean_options *options);
/* Every rule drops, or fixes what can be fixed; personal data are still only flagged. */
void ft_clean_all(ft_clean_options *options);
/* Sets one rule's action by name. Errors: FT_ERR_USAGE listing what there is. */
ft_err ft_clean_set(ft_clean_options *options, const char *rule, const char *action);

/* ---------------------------------------------------------------- prep */

typedef enum ft_split {
  FT_SPLIT_TRAIN,
  FT_SPLIT_VALIDATION,
  FT_SPLIT_TEST,
  FT_NUM_SPLITS
} ft_split;
const char *ft_split_name(ft_split split); /* the folder's name */
/* The set of a document, by the hash of its content alone: equal documents share a set, whatever
 * file, line and order they come in. Growing `test` moves documents to it from the others, growing
 * `validation` only from train. */
ft_split ft_split_of(uint64_t content_hash, uint64_t seed, double validation, double test);

/* What a rank finds out by itself, and all must share. Texts are borrowed. */
typedef struct ft_prep_fact {
  const char *name, *value, *advice;
} ft_prep_fact;

typedef struct ft_prep_options {
  const char *model_dir;
  const char *const *inputs; /* files of records, folders of them, patterns; "-": standard input */
  int64_t num_inputs;
  ft_record_rules records;
  ft_clean_options clean;
  bool control_tokens; /* those that texts, prompts and completions spell out are tokens */
  const char *out_dir;
  ft_template template;
  const char *system; /* as of ft_render_options_init */
  ft_train_on train_on;
  const struct tm *date;   /* as of ft_render_options; NULL: today */
  int64_t seq_len;         /* 0: the model's longest position, at most 4096 */
  bool truncate;           /* sft documents longer than seq_len are cut instead of refused */
  bool skip_bad_lines;     /* otherwise any bad line refuses the whole run, after all were listed */
  bool skip_all_masked;    /* otherwise a document without a target does, even with the above */
  bool overwrite;          /* replaces the shards that OUT holds */
  double validation, test; /* shares of documents, by content hash */
  uint64_t seed;           /* salts the split */
  int64_t max_positions, model_vocab; /* of the model's config.json (cli reads it with hf) */
  int64_t bos, eos;                   /* instead of what the directory's files say; -1: theirs */
  int64_t pad;                        /* id that rows of tokens are filled up with; -1: none */
  int num_threads;                    /* at least 1; the result does not depend on it */
  int rank, num_ranks; /* who works here, and on how many ranks; nor on these (1: alone) */
  /* Brings together what ranks came to: all return the error of the lowest that failed, with its
   * message. NULL: alone. */
  ft_err (*agree)(void *arg, ft_err mine);
  /* Compares what ranks know, of which there is at least one fact. `same` NULL: what differs is an
   * error, named with its rank; otherwise only whether it does. NULL: alone. */
  ft_err (*compare)(void *arg, const ft_prep_fact *facts, int64_t count, bool *same);
  void *agree_arg;         /* of both */
  int64_t piece_bytes;     /* of what is made at once; nor on this. 0: by the input's size */
  const atomic_bool *stop; /* looked at between lines; NULL: never stops */
  /* Called with the first document that goes to a shard; NULL: not. */
  ft_err (*show_first)(void *arg, const ft_tokenizer *t, const ft_ids *ids);
  void *show_arg;
} ft_prep_options;

typedef struct ft_prep_report {
  int64_t lines;      /* blank ones not counted */
  int64_t bad_lines;  /* records that could not be used, documents too long included */
  int64_t all_masked; /* documents without a target */
  int64_t truncated;
  int64_t documents[FT_NUM_SPLITS], tokens[FT_NUM_SPLITS], targets[FT_NUM_SPLITS];
  int64_t text_documents, seq_len;
  ft_template template;
  char system[96]; /* start of the system message given to chats without one; "": none */
  cJSON *tree;     /* what report.json holds; NULL on ranks other than 0. Free with _fini */
} ft_prep_report;
void ft_prep_report_fini(ft_prep_report *report);

/* Cleans, tokenizes and splits; writes OUT/train, OUT/validation and OUT/test (folders of shards),
 * OUT/report.json and OUT/report.html, in place only when complete. Until then work lies in
 * OUT.prep (OUT/.prep if OUT exists); where it was interrupted, the same call goes on. Every rank
 * calls it with the same options but its rank; they share OUT's file system. Bytes depend neither
 * on ranks, threads and pieces nor on the order in which files are named: they are taken in order
 * of their paths (pipes last). The report is filled as far as it went on failure, too. Errors:
 * FT_ERR_USAGE (impossible options), FT_ERR_DATA, FT_ERR_NOINPUT, FT_ERR_CREATE, FT_ERR_IO,
 * FT_ERR_STOPPED. */
ft_err ft_prep(const ft_prep_options *options, ft_prep_report *report);

#endif
