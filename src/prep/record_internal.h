/* Inside the reading of records: members by name, messages, and what becomes of every member. */
#ifndef FT_PREP_RECORD_INTERNAL_H
#define FT_PREP_RECORD_INTERNAL_H

#include "record.h"

/* Names of a system message beside messages. */
#define FT_SYSTEM_NAMES "system", "system_prompt", "system_message"

/* The member that stands for `name`, under the name that the rules give it. NULL: there is none. */
const cJSON *ft_member(const ft_record_rules *rules, const cJSON *object, const char *name);
/* Missing or null. */
bool ft_is_absent(const cJSON *item);
/* Absent, false, or nothing inside: "", [], {}, and the same written in a string. */
bool ft_is_empty(const cJSON *item);
const char *ft_type_name(const cJSON *item); /* "missing", "a string" … */
/* The member's string, which must be there. Borrowed. Errors: FT_ERR_DATA. */
ft_err ft_string_of(const ft_record_rules *rules, const cJSON *object, const char *name,
                    const char **out);
/* As ft_string_of; NULL if absent. */
ft_err ft_optional_string(const ft_record_rules *rules, const cJSON *object, const char *name,
                          const char **out);

/* The system message that stands beside a record's messages, under any of the names in use; NULL:
 * there is none. Errors: FT_ERR_DATA if two names say different things. */
ft_err ft_system_of(const ft_record_rules *rules, const cJSON *object, const char **out);

/* Appends a message, whose content is copied. */
ft_err ft_add_message(ft_record *r, ft_speaker role, const char *content);
/* Reads one message or a list of them. The names are OpenAI's or ShareGPT's (sharegpt). */
ft_err ft_read_message(const ft_record_rules *rules, const cJSON *json, bool sharegpt,
                       ft_record *r);
ft_err ft_read_messages(const ft_record_rules *rules, const cJSON *list, const char *list_name,
                        bool sharegpt, ft_record *r);
/* A system message that stands beside the messages that begin at `first`. Errors: FT_ERR_DATA if
 * those begin with another one. */
ft_err ft_add_system(ft_record *r, const char *system);
ft_err ft_check_system(const ft_record *r, bool added);

/* Readers of forms (record_forms.c): fill a record. Errors: FT_ERR_DATA, FT_ERR_MEMORY. */
ft_err ft_read_text(const ft_record_rules *rules, const cJSON *json, ft_record *r);
ft_err ft_read_classes(const ft_record_rules *rules, const cJSON *json, ft_record *r);
ft_err ft_read_openai(const ft_record_rules *rules, const cJSON *json, ft_record *r);
ft_err ft_read_sharegpt(const ft_record_rules *rules, const cJSON *json, ft_record *r);
ft_err ft_read_alpaca(const ft_record_rules *rules, const cJSON *json, ft_record *r);
ft_err ft_read_completion(const ft_record_rules *rules, const cJSON *json, ft_record *r);
/* Makes a rated answer of a chat that has a label. */
ft_err ft_read_rating(const ft_record_rules *rules, const cJSON *json, ft_record *r);
/* Fills a preference record. */
ft_err ft_read_preference(const ft_record_rules *rules, const cJSON *json, ft_record *r);
/* Fills a record of tokens: "input_ids" with the lists beside it. */
ft_err ft_read_tokens(const ft_record_rules *rules, const cJSON *json, ft_record *r);
/* Parses JSON that stands in a string; the record keeps it. */
ft_err ft_record_own(ft_record *r, const char *text, const char *name, const cJSON **out);

/* Looks at every member of an object that a reader is done with. `read`: names that the form reads,
 * ended by NULL. What is refused by name fails; what is neither read nor harmless is noted as
 * unread. */
typedef enum ft_scope { FT_SCOPE_RECORD, FT_SCOPE_MESSAGE } ft_scope;
ft_err ft_check_members(const ft_record_rules *rules, const cJSON *object, ft_scope scope,
                        const char *const *read, ft_unread *unread);

/* Adds the names of `from`. */
void ft_unread_merge(ft_unread *to, const ft_unread *from);

#endif
