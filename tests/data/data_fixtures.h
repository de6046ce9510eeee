/* What the tests of data share: a folder of their own, and token shards whose tokens tell where
 * they come from. */
#ifndef DATA_FIXTURES_H
#define DATA_FIXTURES_H

#include "ft_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ft/data.h"

enum { VOCAB = 1 << 30, STRIDE = 64, MAX_PATH = 256 };

static char root[] = "/tmp/ft-data-XXXXXX";

static inline int make_root(void **state) {
  (void)state;
  return mkdtemp(root) ? 0 : -1;
}

static inline int remove_root(void **state) {
  (void)state;
  return ft_remove_tree(root) == FT_OK ? 0 : -1;
}

static inline const char *in_root(const char *name) {
  static char path[4][MAX_PATH];
  static int next;
  char *p = path[next++ % 4];
  snprintf(p, MAX_PATH, "%s/%s", root, name);
  return p;
}

/* A shard of documents of these lengths; token i of document d is (first + d) * STRIDE + i. All
 * masks are 1. */
static inline void write_shard(const char *name, ft_tokens_kind kind, int first, const int *lengths,
                               int num_documents) {
  ft_tokens_writer *w;
  uint32_t tokens[STRIDE];
  uint8_t mask[STRIDE];
  assert_ok(ft_tokens_writer_new(in_root(name), kind, VOCAB, "", &w));
  for (int d = 0; d < num_documents; d++) {
    for (int i = 0; i < lengths[d]; i++) {
      tokens[i] = (uint32_t)((first + d) * STRIDE + i);
      mask[i] = 1;
    }
    assert_ok(ft_tokens_write(w, tokens, mask, lengths[d]));
  }
  assert_ok(ft_tokens_writer_close(w, true));
}

/* num_documents documents of lengths that look random: 1 … longest. */
static inline void write_many(const char *name, int first, int num_documents, int longest) {
  int *lengths = calloc((size_t)num_documents, sizeof *lengths);
  for (int d = 0; d < num_documents; d++)
    lengths[d] = 1 + (int)(ft_random_u64(7, FT_RANDOM_BENCH, (uint64_t)first, (uint64_t)d) %
                           (uint64_t)longest);
  write_shard(name, FT_TOKENS_SFT, first, lengths, num_documents);
  free(lengths);
}

static inline ft_data_options options_of(const ft_data_source *sources, int64_t num_sources) {
  return (ft_data_options){.sources = sources,
                           .num_sources = num_sources,
                           .seq_len = 32,
                           .seed = 1,
                           .model_vocab = VOCAB,
                           .tokenizer_sha256 = "",
                           .model_path = "the-model"};
}

static inline int64_t targets_of(ft_data *data, int64_t first, int64_t num_rows) {
  ft_data_counts counts;
  assert_ok(ft_data_count(data, first, num_rows, &counts));
  return counts.targets;
}

static inline uint32_t document_of(const ft_batch *b, int64_t d) {
  return b->tokens[b->offsets[d]] / STRIDE;
}

#endif
