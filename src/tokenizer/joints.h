/* Inside tokenizer: where a text may be cut although the model takes it as one word. Models of
 * SentencePiece's kind have no pre-tokenizer; most words of a text have been seen before all the
 * same, once they are cut out. */
#ifndef FT_TOKENIZER_JOINTS_H
#define FT_TOKENIZER_JOINTS_H

#include "bpe.h"

/* Which characters stand side by side in a token that a merge makes, by the last byte of the first
 * and the first byte of the second; "▁" counts as a byte of its own. A merge across two characters
 * makes a token that has them side by side, so where there is none, what is before and what is
 * behind merge each by itself. */
typedef struct ft_joints {
  bool usable;
  uint32_t joined[256][8]; /* bits */
} ft_joints;

/* What the model's merges join. Not usable where a word is more than its characters: where marks
 * are written into words, whole words are looked up, or a character may have no token and no
 * bytes. */
void ft_joints_init(const ft_bpe *bpe, ft_joints *out);

/* Cuts text at joints that no merge crosses, from *at on: ends[0 … returned) is where each word
 * ends, and *at the last of them. 0: nothing is left. */
int64_t ft_joints_cut(const ft_joints *j, const char *text, size_t bytes, size_t *at, size_t *ends,
                      int64_t room);

#endif
