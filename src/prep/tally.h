/* Counts and examples as a JSON tree, so that the tallies of pieces add up to that of all, whoever
 * made them: numbers add, lists of examples go on up to their bound. */
#ifndef FT_PREP_TALLY_H
#define FT_PREP_TALLY_H

#include "ft/io.h"

enum { FT_TALLY_EXAMPLES = 5, FT_TALLY_BAD_LINES = 20, FT_TALLY_SAMPLES = 10 };

/* tree[group][name] += count; the group is made when needed. Without a group, tree[name]. */
ft_err ft_tally_count(cJSON *tree, const char *group, const char *name, int64_t count);
int64_t ft_tally_get(const cJSON *tree, const char *group, const char *name);
/* Appends {"file", "line", "text"} to the list tree[group][name], up to `bound` of them. */
ft_err ft_tally_example(cJSON *tree, const char *group, const char *name, int64_t bound,
                        const char *file, int64_t line, const char *text);
/* Keeps the FT_TALLY_SAMPLES samples of least "key". Takes the sample over. */
ft_err ft_tally_sample(cJSON *tree, cJSON *sample);
/* Whether one of this key would be kept. */
bool ft_tally_wants(const cJSON *tree, const char *key);
/* Puts them in order of their keys. */
ft_err ft_tally_sort_samples(cJSON *tree);
/* Adds a piece's tree, whose "line"s are counted from `base`. */
ft_err ft_tally_merge(cJSON *tree, const cJSON *piece, int64_t base);

#endif
