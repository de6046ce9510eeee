/* Inside tokenizer: members of tokenizer.json with their types checked. `where` names the object in
 * errors ("normalizer"); a member that is null counts as absent. Errors: FT_ERR_DATA. */
#ifndef FT_TOKENIZER_MEMBERS_H
#define FT_TOKENIZER_MEMBERS_H

#include "ft/io.h"

/* A string; borrowed. */
ft_err ft_member_string(const cJSON *object, const char *where, const char *name, const char **out);
/* NULL if absent. */
ft_err ft_member_optional_string(const cJSON *object, const char *where, const char *name,
                                 const char **out);
ft_err ft_member_bool(const cJSON *object, const char *where, const char *name, bool *out);
ft_err ft_member_optional_bool(const cJSON *object, const char *where, const char *name,
                               bool fallback, bool *out);
/* A whole number from 0 to max. */
ft_err ft_member_count(const cJSON *object, const char *where, const char *name, int64_t max,
                       int64_t *out);
/* NULL if absent. */
ft_err ft_member_optional_object(const cJSON *object, const char *where, const char *name,
                                 cJSON **out);
ft_err ft_member_object(const cJSON *object, const char *where, const char *name, cJSON **out);
ft_err ft_member_array(const cJSON *object, const char *where, const char *name, cJSON **out);
/* What an object with "pattern": {"String": …} or {"Regex": …} searches for; borrowed. */
ft_err ft_member_pattern(const cJSON *object, const char *where, const char **text, bool *is_regex);

#endif
