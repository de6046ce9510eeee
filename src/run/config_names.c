/* Names of keys: whether there is one, and which was meant. */
#include <string.h>

#include "config_table.h"

bool ft_config_is_key(const char *path) {
  for (int64_t i = 0; i < ft_config_table_size; i++)
    if (strcmp(ft_config_table[i].path, path) == 0) return true;
  return false;
}

const char *ft_config_nearest_key(const char *path) {
  const char *best = NULL, *dot = strrchr(path, '.'), *name = dot ? dot + 1 : path;
  /* of a short name nothing would be left */
  size_t least = FT_MIN(strlen(name), 4);
  for (int64_t i = 0; i < ft_config_table_size; i++) {
    const char *known = ft_config_table[i].path;
    /* the right name in the wrong section, or without one, is nearly as near */
    size_t d =
        FT_MIN(ft_edit_distance(path, known), ft_edit_distance(name, strrchr(known, '.') + 1) + 1);
    if (d < least) {
      least = d;
      best = known;
    }
  }
  return best;
}

static void unknown_key(ft_mistakes *m, const char *path) {
  const char *best = ft_config_nearest_key(path);
  if (best)
    ft_mistakes_add(m, FT_ERR_CONFIG, "%s: there is no such key; did you mean %s?", path, best);
  else
    ft_mistakes_add(m, FT_ERR_CONFIG, "%s: there is no such key (ftrun train --help lists them)",
                    path);
}

void ft_config_check_key(const char *path, ft_mistakes *m) {
  if (!ft_config_is_key(path)) unknown_key(m, path);
}
