/* Which source each row of the training stream comes from: a pure function of the row's number, so
 * that a resumed run need not walk through the rows before it.
 *
 * Two sources of weights a and b share n rows as round(n·a/(a+b)) and the rest, in integers: both
 * are within half a row of their share at every n. More sources are split in two again and again;
 * joining the two lightest groups first (Huffman 1952) keeps a source's share at least halving over
 * every second level above it, so that the halves of all levels add up to less than two rows.
 *
 * A source that is replayed gets its share of all rows by the same formula; what is left is dealt
 * as if it were alone.
 *
 * Concatenated sources have the numbers of their rows as weights: at the end of every pass the
 * shares are whole numbers, so that each row came once. Without shuffling they follow each other.
 */
#include <math.h>

#include "data_internal.h"

__extension__ typedef unsigned __int128 wide;

/* Weights become integers that add up to about this. One row in 2^40 is off by it. */
static const uint64_t weight_scale = (uint64_t)1 << 40;

static bool lighter(const ft_data_mix_node *nodes, int64_t a, int64_t b) {
  return b < 0 || nodes[a].weight < nodes[b].weight;
}

/* The lightest node without a parent (the first of equals), taken out of `free_nodes`. */
static int64_t take_lightest(const ft_data_mix *mix, bool *free_nodes) {
  int64_t best = -1;
  for (int64_t i = 0; i < mix->num_nodes; i++)
    if (free_nodes[i] && lighter(mix->nodes, i, best)) best = i;
  free_nodes[best] = false;
  return best;
}

static ft_err check_weights(const ft_data_source *sources, int64_t num_sources, double *largest) {
  *largest = 0;
  for (int64_t i = 0; i < num_sources; i++) {
    if (!isfinite(sources[i].weight) || sources[i].weight <= 0)
      return ft_fail(FT_ERR_CONFIG,
                     "data source %s has weight %g: weights are numbers above 0; leave out a "
                     "source that is not to be used",
                     sources[i].path, sources[i].weight);
    *largest = FT_MAX(*largest, sources[i].weight);
  }
  return FT_OK;
}

static void add_leaf(ft_data_mix *mix, uint64_t weight) {
  mix->nodes[mix->num_nodes++] =
      (ft_data_mix_node){.weight = FT_MAX(weight, (uint64_t)1), .left = -1, .right = -1};
}

/* The weights given, as integers. */
static ft_err add_weights(ft_data_mix *mix, const ft_data_source *sources) {
  double largest, total = 0;
  ft_err err = check_weights(sources, mix->num_sources, &largest);
  if (err != FT_OK) return err;
  for (int64_t i = 0; i < mix->num_sources; i++)
    total += sources[i].weight / largest;
  for (int64_t i = 0; i < mix->num_sources; i++)
    add_leaf(mix, (uint64_t)rint(sources[i].weight / largest / total * (double)weight_scale));
  return FT_OK;
}

static ft_err make_tree(ft_data_mix *mix, const ft_data_options *options, const int64_t *rows) {
  ft_err err = FT_OK;
  bool *free_nodes = NULL;
  int64_t most = 2 * mix->num_sources - 1;
  FT_TRY(ft_alloc_array(FT_MEM_DATA, most, sizeof *mix->nodes, (void **)&mix->nodes));
  FT_TRY(ft_alloc_array(FT_MEM_DATA, most, sizeof *free_nodes, (void **)&free_nodes));
  for (int64_t i = 0; i < mix->num_sources && options->concatenate; i++)
    add_leaf(mix, (uint64_t)rows[i]); /* of a pass */
  if (!options->concatenate) FT_TRY(add_weights(mix, options->sources));
  for (int64_t i = 0; i < mix->num_sources; i++)
    free_nodes[i] = true;
  while (mix->num_nodes < most) {
    int64_t a = take_lightest(mix, free_nodes), b = take_lightest(mix, free_nodes);
    uint64_t wa = mix->nodes[a].weight, wb = mix->nodes[b].weight;
    free_nodes[mix->num_nodes] = true;
    mix->nodes[mix->num_nodes++] =
        (ft_data_mix_node){.weight = wa + wb, .left = wa >= wb ? a : b, .right = wa >= wb ? b : a};
  }
out:
  ft_free(free_nodes);
  return err;
}

static ft_err take_replay(ft_data_mix *mix, const ft_data_options *options) {
  double share = options->replay_share;
  mix->num_sources = options->num_sources - (share != 0);
  mix->replay = share > 0 ? (uint64_t)rint(share * (double)weight_scale) : 0;
  if (share == 0 || (share > 0 && share < 1 && mix->num_sources > 0)) return FT_OK;
  return ft_fail(FT_ERR_CONFIG,
                 "data.replay has the share %g of the rows of %lld sets: a number "
                 "between 0 and 1 and a set beside it are expected",
                 share, (long long)mix->num_sources);
}

ft_err ft_data_mix_init(ft_data_mix *mix, const ft_data_options *options, const int64_t *rows) {
  ft_err err = FT_OK;
  FT_TRY(take_replay(mix, options));
  if (!options->concatenate || options->shuffle) return make_tree(mix, options, rows);
  FT_TRY(ft_alloc_array(FT_MEM_DATA, mix->num_sources, sizeof *mix->ends, (void **)&mix->ends));
  for (int64_t i = 0; i < mix->num_sources; i++)
    mix->ends[i] = (i > 0 ? mix->ends[i - 1] : 0) + rows[i];
out:
  return err;
}

void ft_data_mix_fini(ft_data_mix *mix) {
  ft_free(mix->nodes);
  ft_free(mix->ends);
}

/* Of sources that follow each other, pass after pass. */
static void find_in_pass(const ft_data_mix *mix, int64_t p, int64_t *source, int64_t *row) {
  int64_t total = mix->ends[mix->num_sources - 1], at = p % total, i = 0;
  while (at >= mix->ends[i])
    i++;
  int64_t begin = i > 0 ? mix->ends[i - 1] : 0;
  *source = i;
  *row = p / total * (mix->ends[i] - begin) + at - begin;
}

/* How many of the first n rows are replayed ones. */
static int64_t replayed_rows(const ft_data_mix *mix, int64_t n) {
  return (int64_t)(((wide)(uint64_t)n * mix->replay + weight_scale / 2) / weight_scale);
}

int64_t ft_data_mix_length(const ft_data_mix *mix, int64_t rows) {
  double others = 1 - (double)mix->replay / (double)weight_scale;
  int64_t length = (int64_t)((double)rows / others);
  while (length - replayed_rows(mix, length) < rows)
    length++;
  return length;
}

/* How many of a node's first n rows its left child gets. */
static int64_t left_rows(const ft_data_mix *mix, const ft_data_mix_node *node, int64_t n) {
  wide share = (wide)(uint64_t)n * mix->nodes[node->left].weight + node->weight / 2;
  return (int64_t)(share / node->weight);
}

void ft_data_mix_at(const ft_data_mix *mix, int64_t p, int64_t *source, int64_t *row) {
  int64_t replayed = replayed_rows(mix, p);
  if (replayed_rows(mix, p + 1) > replayed) {
    *source = mix->num_sources;
    *row = replayed;
    return;
  }
  p -= replayed;
  if (mix->ends) {
    find_in_pass(mix, p, source, row);
    return;
  }
  int64_t i = mix->num_nodes - 1, n = p;
  while (mix->nodes[i].left >= 0) {
    const ft_data_mix_node *node = &mix->nodes[i];
    int64_t before = left_rows(mix, node, n);
    bool left = left_rows(mix, node, n + 1) > before;
    n = left ? before : n - before;
    i = left ? node->left : node->right;
  }
  *source = i;
  *row = n;
}
