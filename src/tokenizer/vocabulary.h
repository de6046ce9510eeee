/* Inside tokenizer: the tokens of a model, by content and by id. */
#ifndef FT_TOKENIZER_VOCABULARY_H
#define FT_TOKENIZER_VOCABULARY_H

#include "ft/io.h"
#include "string_map.h"

/* Ids are below this, so that a pair of them and the pair's rank fit into 64 bits. */
#define FT_MAX_IDS ((int64_t)1 << 21)

/* Immutable once loaded. Starts zeroed. */
typedef struct ft_vocabulary {
  char *arena;           /* all contents, each ends with a zero */
  ft_string_map map;     /* content to id */
  const char **contents; /* [num_ids] of an id, or NULL; in arena */
  int64_t num_ids;       /* largest id + 1 */
} ft_vocabulary;

/* Reads {"CONTENT": ID, …}. Errors: FT_ERR_DATA. */
ft_err ft_vocabulary_load(const cJSON *object, ft_vocabulary *out);
void ft_vocabulary_fini(ft_vocabulary *v);

/* Id of a token, or -1. */
static inline int64_t ft_vocabulary_id(const ft_vocabulary *v, const char *content, size_t bytes) {
  return ft_string_map_get(&v->map, content, bytes);
}

#endif
