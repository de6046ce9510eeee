/* Names of keys: whether there is one, and which was meant. */
#include <string.h>

#include "config_table.h"

bool ft_config_is_key(const char *path) {
  for (int64_t i = 0; i < ft_config_table_size; i++)
    if (strcmp(ft_config_table[i].path, path) == 0) return true;
  return false;
}

/* Levenshtein distance, for "did you mean". */
static size_t distance(const char *a, const char *b) {
  size_t row[128], n = strlen(b);
  if (n >= FT_ARRAY_SIZE(row)) return 1000;
  for (size_t j = 0; j <= n; j++)
    row[j] = j;
  for (size_t i = 1; a[i - 1]; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= n; j++) {
      size_t above = row[j], change = diagonal + (a[i - 1] != b[j - 1]);
      row[j] = FT_MIN(FT_MIN(above, row[j - 1]) + 1, change);
      diagonal = above;
    }
  }
  return row[n];
}

static void unknown_key(ft_mistakes *m, const char *path) {
  const char *best = NULL, *dot = strrchr(path, '.'), *name = dot ? dot + 1 : path;
  size_t least = 4;
  for (int64_t i = 0; i < ft_config_table_size; i++) {
    const char *known = ft_config_table[i].path;
    /* the right name in the wrong section, or without one, is nearly as near */
    size_t d = FT_MIN(distance(path, known), distance(name, strrchr(known, '.') + 1) + 1);
    if (d < least) {
      least = d;
      best = known;
    }
  }
  if (best)
    ft_mistakes_add(m, FT_ERR_CONFIG, "%s: there is no such key; did you mean %s?", path, best);
  else
    ft_mistakes_add(m, FT_ERR_CONFIG, "%s: there is no such key (ftrun train --help lists them)",
                    path);
}

void ft_config_check_key(const char *path, ft_mistakes *m) {
  if (!ft_config_is_key(path)) unknown_key(m, path);
}
