/* Inside tokenizer: the "added_tokens" of tokenizer.json, found in text before anything else. */
#ifndef FT_TOKENIZER_ADDED_TOKENS_H
#define FT_TOKENIZER_ADDED_TOKENS_H

#include "normalizer.h"
#include "vocabulary.h"

typedef struct ft_added_token {
  char *content;
  char *pattern; /* what is searched for: the normalized content, if it is to be normalized */
  uint32_t id;
  bool single_word, lstrip, rstrip, normalized, special;
  bool changed; /* has properties of another file than tokenizer.json */
} ft_added_token;

/* Strings as a tree of bytes. */
typedef struct ft_trie {
  struct ft_trie_node {
    int32_t child, sibling; /* -1: none */
    int32_t token;          /* index of the token that ends here, or -1 */
    uint8_t byte;
  } * nodes; /* [count] */
  int64_t count;
  int32_t roots[256]; /* nodes of first bytes, or -1 */
  int only_first;     /* all begin with this byte; -1: several */
} ft_trie;

typedef struct ft_added_tokens {
  ft_added_token *tokens;    /* [count] */
  int64_t count, num_listed; /* in tokenizer.json's list are the first ones */
  ft_string_map by_content;  /* content to index */
  ft_trie plain, normalized; /* searched in the text as it is, and as the normalizer leaves it */
  bool any_strips;           /* one of them swallows white space */
} ft_added_tokens;

/* list: the JSON array of tokenizer.json, or NULL. more: what ft_more_tokens_read gives, of which
 * those that are not in the list are added; or NULL. Tokens get ids as in Hugging Face's
 * tokenizers: the model's if it has the content, else the next behind its vocabulary; the file must
 * agree. Errors: FT_ERR_DATA.
 */
ft_err ft_added_tokens_load(const cJSON *list, const cJSON *more, const ft_vocabulary *vocabulary,
                            const ft_normalizer *normalizer, ft_added_tokens *out);
void ft_added_tokens_fini(ft_added_tokens *a);

/* Widens a match by the white space that the token swallows, on the left not beyond `from`. */
void ft_added_widen(const ft_added_token *t, const char *text, size_t bytes, size_t from,
                    size_t *start, size_t *end);

/* Walks over text, cut at its added tokens. Start with at = covered = 0. */
typedef struct ft_added_matches {
  const ft_added_tokens *added;
  const ft_trie *trie;
  const char *text; /* [bytes] */
  size_t bytes;
  bool specials; /* special ones count, too */
  size_t at, covered;
  const ft_added_token
      *pending; /* found behind the text just returned, at pending_start … covered */
  size_t pending_start;
} ft_added_matches;

/* The next part: an added token, or text between (*token NULL). False at the end. */
bool ft_added_next(ft_added_matches *m, size_t *start, size_t *end, const ft_added_token **token);

#endif
