/* Sorting of any number of pairs in bounded memory: what outgrows it goes to a file as sorted runs,
 * which are merged when read (Knuth, TAOCP 5.4). */
#ifndef FT_PREP_SORTER_H
#define FT_PREP_SORTER_H

#include "ft/base.h"

typedef struct ft_pair {
  uint64_t key, value;
} ft_pair;

typedef struct ft_sorter ft_sorter;
/* path: of the file of runs, made when needed and removed at the end; copied. Errors:
 * FT_ERR_MEMORY. */
ft_err ft_sorter_new(const char *path, size_t bytes, ft_sorter **out);
void ft_sorter_free(ft_sorter *sorter);
/* Errors: FT_ERR_CREATE, FT_ERR_IO. */
ft_err ft_sorter_add(ft_sorter *sorter, uint64_t key, uint64_t value);
/* After the last one; then ft_sorter_next gives all in order of key, then value. */
ft_err ft_sorter_sort(ft_sorter *sorter);
/* *found false: there are no more. Errors: FT_ERR_IO. */
ft_err ft_sorter_next(ft_sorter *sorter, ft_pair *pair, bool *found);

#endif
