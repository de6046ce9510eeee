/* What becomes of the members of records and messages that no form reads: known to say nothing
 * (harmless), known to change the meaning (refused by name), or unknown (counted by name). */
#include <string.h>

#include "record_internal.h"

enum { RECORD = 1 << FT_SCOPE_RECORD, MESSAGE = 1 << FT_SCOPE_MESSAGE, BOTH = RECORD | MESSAGE };

/* Where a record came from, and what others measured of it. */
static const char *const harmless[] = {"id",
                                       "_id",
                                       "ids",
                                       "idx",
                                       "index",
                                       "uid",
                                       "uuid",
                                       "guid",
                                       "key",
                                       "hash",
                                       "sha",
                                       "md5",
                                       "source",
                                       "sources",
                                       "dataset",
                                       "dataset_name",
                                       "subset",
                                       "split",
                                       "origin",
                                       "provenance",
                                       "url",
                                       "uri",
                                       "link",
                                       "file",
                                       "filename",
                                       "file_name",
                                       "filepath",
                                       "path",
                                       "repo",
                                       "title",
                                       "author",
                                       "authors",
                                       "date",
                                       "time",
                                       "timestamp",
                                       "created",
                                       "created_at",
                                       "updated_at",
                                       "added",
                                       "version",
                                       "license",
                                       "lang",
                                       "language",
                                       "languages",
                                       "category",
                                       "categories",
                                       "topic",
                                       "topics",
                                       "domain",
                                       "subject",
                                       "task",
                                       "task_type",
                                       "type",
                                       "tags",
                                       "keywords",
                                       "meta",
                                       "metadata",
                                       "extra",
                                       "info",
                                       "notes",
                                       "comment",
                                       "prompt_id",
                                       "conversation_id",
                                       "conv_id",
                                       "message_id",
                                       "parent_id",
                                       "message_tree_id",
                                       "session_id",
                                       "user_id",
                                       "turn",
                                       "turns",
                                       "num_turns",
                                       "length",
                                       "len",
                                       "n_tokens",
                                       "num_tokens",
                                       "token_count",
                                       "word_count",
                                       "char_count",
                                       "text_length",
                                       "model",
                                       "model_name",
                                       "generator",
                                       "score_chosen",
                                       "score_rejected",
                                       "chosen_score",
                                       "rejected_score",
                                       "chosen_model",
                                       "rejected_model",
                                       "chosen-rating",
                                       "rejected-rating",
                                       "chosen-model",
                                       "rejected-model",
                                       "difficulty",
                                       "quality",
                                       "perplexity",
                                       "language_score",
                                       "toxicity",
                                       "redacted",
                                       "synthesized",
                                       "annotations",
                                       "usage",
                                       "__index_level_0__",
                                       "Unnamed: 0"};

typedef struct refusal {
  const char *name;
  int scopes;
  const char *reason;
} refusal;

static const char media[] = "ftrun trains on text only";
static const char legacy[] = "calls of functions are read as \"tool_calls\"";
static const char partial[] = "parts of a message cannot be weighted; use \"weight\": 0 or 1 for "
                              "all of it";

static const refusal refusals[] = {
    {"images", BOTH, media},
    {"image", BOTH, media},
    {"image_url", BOTH, media},
    {"pixel_values", BOTH, media},
    {"video", BOTH, media},
    {"videos", BOTH, media},
    {"audio", BOTH, media},
    {"audios", BOTH, media},
    {"files", BOTH, "attached files are not read"},
    {"attachments", BOTH, "attached files are not read"},
    {"objects", RECORD, media},
    {"functions", RECORD, "declare them as \"tools\""},
    {"function_call", BOTH, legacy},
    {"available_tools", RECORD, "declare them as \"tools\""},
    {"tool_choice", RECORD, "a choice of tools is not rendered"},
    {"tool_calls", RECORD, "calls belong to a message"},
    {"tools", MESSAGE, "tools are declared for the record, beside its messages"},
    {"refusal", MESSAGE, "write the refusal as \"content\""},
    {"recipient", MESSAGE, "it is not rendered"},
    {"channel", MESSAGE, "it is not rendered"},
    {"train_detail", MESSAGE, partial},
    {"loss_scale", BOTH, partial},
    {"loss_weights", BOTH, partial},
    {"token_weights", BOTH, partial},
    {"completions", RECORD, "several answers of one prompt are records of their own"},
    {"labels", RECORD, "step by step labels are not supported"},
    {"label", RECORD, "this form takes no label"},
    {"kto_tag", RECORD, "this form takes no label"},
    {"weight", RECORD, "records have no weights; messages have"},
    {"sample_weight", RECORD, "records have no weights; mix data sets by weight while training"},
    {"loss", RECORD, "whether something is learnt is said of messages"},
    {"train", RECORD, "whether something is learnt is said of messages"},
    {"mask", RECORD, "whether something is learnt is said of messages"},
    {"chat_template", RECORD, "give the template to prep (--template)"},
    {"input_ids", RECORD, "token ids are read from HDF5 (--input tokens.h5)"},
};

static bool is_among(const char *name, const char *const *names, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(name, names[i]) == 0) return true;
  return false;
}

static const refusal *find_refusal(const char *name, ft_scope scope) {
  for (size_t i = 0; i < FT_ARRAY_SIZE(refusals); i++)
    if (refusals[i].scopes & 1 << scope && strcmp(name, refusals[i].name) == 0) return &refusals[i];
  return NULL;
}

/* Notes a name once. Where there is no more room, it is left out: one record has that many. */
static void note(ft_unread *unread, const char *name) {
  size_t bytes = strlen(name) + 1;
  for (size_t at = 0; at < unread->used; at += strlen(unread->names + at) + 1)
    if (strcmp(unread->names + at, name) == 0) return;
  if (unread->used + bytes + 1 > sizeof unread->names) return;
  memcpy(unread->names + unread->used, name, bytes);
  unread->used += bytes;
  unread->names[unread->used] = 0;
}

void ft_unread_merge(ft_unread *to, const ft_unread *from) {
  for (size_t at = 0; at < from->used; at += strlen(from->names + at) + 1)
    note(to, from->names + at);
}

/* The member is read under the name that the form has for it. */
static bool is_read(const ft_record_rules *rules, const char *const *read, const char *name) {
  for (; *read; read++) {
    const char *file_name = *read;
    for (int64_t i = 0; i < rules->num_fields; i++)
      if (strcmp(rules->fields[i].name, *read) == 0) file_name = rules->fields[i].file_name;
    if (strcmp(file_name, name) == 0) return true;
  }
  return false;
}

/* Of a message: a name that sounds as if it said whether it is learnt. "off" matters as much as
 * "on", so it is refused whatever it says. */
static bool sounds_like_a_switch(const char *name) {
  static const char *const parts[] = {"loss", "mask", "train", "weight", "learn", "superv"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(parts); i++)
    if (strstr(name, parts[i])) return true;
  return false;
}

ft_err ft_check_members(const ft_record_rules *rules, const cJSON *object, ft_scope scope,
                        const char *const *read, ft_unread *unread) {
  const cJSON *item;
  cJSON_ArrayForEach(item, object) {
    if (is_read(rules, read, item->string)) continue;
    const refusal *r = find_refusal(item->string, scope);
    if (!r && scope == FT_SCOPE_MESSAGE && !ft_is_absent(item) &&
        sounds_like_a_switch(item->string))
      return ft_fail(
          FT_ERR_DATA,
          "\"%s\" sounds as if it said whether the message is learnt, and is none of the "
          "names that are known: call it \"train\"",
          item->string);
    if (ft_is_empty(item)) continue;
    if (r) return ft_fail(FT_ERR_DATA, "\"%s\": %s", r->name, r->reason);
    if (is_among(item->string, harmless, FT_ARRAY_SIZE(harmless))) continue;
    char full[96];
    snprintf(full, sizeof full, "%s%s", scope == FT_SCOPE_MESSAGE ? "messages: " : "",
             item->string);
    note(unread, full);
  }
  return FT_OK;
}
