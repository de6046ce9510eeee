/* Generation: keys and values of earlier tokens are kept, so that a new token costs one row, and a
 * pass computes a row of every sequence. */
#include <string.h>

#include "ft/model_generate.h"
#include "internal.h"

/* Tokens that a pass takes of one sequence: pieces begin where only its own length says. */
enum { MOST_PIECE = 2048 };

typedef struct sequence {
  int64_t length; /* rows whose keys and values are kept */
  int64_t known; /* … and those that are to be computed: the method's virtual ones, then tokens */
} sequence;

/* A row of a pass: a token of a sequence. */
typedef struct row {
  int64_t sequence, position;
} row;

struct ft_cache {
  ft_model *model; /* borrowed */
  int64_t num_sequences, max_positions;
  int64_t virtual_rows;  /* of a sequence that has tokens, counted in its positions */
  int64_t switch_length; /* above it a sequence has other frequencies; 0: it never has */
  sequence *sequences;   /* [num_sequences] */
  uint32_t *tokens;      /* [num_sequences, max_positions] */
  void *kv; /* [layers, num_sequences, kv_heads, 2, max_positions, head_dim]: keys, then values of a
             * head, in the order in which a query reads them; of the compute type */
  /* of a pass: */
  bool is_step; /* its rows are of different sequences */
  int64_t num_rows;
  row *rows; /* [max_tokens of the model], as the next three */
  uint32_t *ids;
  int32_t *positions;
  ft_attention_row *queries;
};

/* ---------------------------------------------------------------- life */

/* The pointers of a cache, and what they point to. */
typedef struct array {
  size_t offset;
  ft_owner owner;
  int64_t count;
  size_t size;
} array;
enum { NUM_ARRAYS = 7 };

/* max_positions: with virtual rows. */
static void list_arrays(const ft_arch *arch, const ft_model_options *model, int64_t num_sequences,
                        int64_t max_positions, array out[NUM_ARRAYS]) {
  const int64_t rows = model->max_tokens, tokens = num_sequences * max_positions;
  const int64_t kept = arch->layers * tokens * 2 * arch->kv_heads * arch->head_dim;
  const array arrays[NUM_ARRAYS] = {
      {offsetof(ft_cache, sequences), FT_MEM_OTHER, num_sequences, sizeof(sequence)},
      {offsetof(ft_cache, tokens), FT_MEM_OTHER, tokens, sizeof(uint32_t)},
      {offsetof(ft_cache, kv), FT_MEM_ACTIVATIONS, kept, ft_dtype_bytes(model->compute)},
      {offsetof(ft_cache, rows), FT_MEM_OTHER, rows, sizeof(row)},
      {offsetof(ft_cache, ids), FT_MEM_OTHER, rows, sizeof(uint32_t)},
      {offsetof(ft_cache, positions), FT_MEM_OTHER, rows, sizeof(int32_t)},
      {offsetof(ft_cache, queries), FT_MEM_OTHER, rows, sizeof(ft_attention_row)}};
  memcpy(out, arrays, sizeof arrays);
}

static ft_err allocate(ft_cache *c) {
  ft_err err = FT_OK;
  array arrays[NUM_ARRAYS];
  list_arrays(&c->model->arch, &c->model->options, c->num_sequences, c->max_positions, arrays);
  for (int i = 0; i < NUM_ARRAYS; i++) {
    void *p;
    FT_TRY(ft_alloc_array(arrays[i].owner, arrays[i].count, arrays[i].size, &p));
    memcpy((char *)c + arrays[i].offset, &p, sizeof p);
  }
out:
  return err;
}

void ft_cache_footprint(const ft_layout *layout, const ft_model_options *model,
                        int64_t num_sequences, int64_t max_tokens, ft_footprint *out) {
  array arrays[NUM_ARRAYS];
  const int64_t max_positions = ft_method_virtual_rows(&layout->method) + max_tokens;
  list_arrays(&layout->arch, model, num_sequences, max_positions, arrays);
  for (int i = 0; i < NUM_ARRAYS; i++)
    out->rank[arrays[i].owner] += arrays[i].count * (int64_t)arrays[i].size;
}

ft_err ft_model_generates(const ft_arch *arch) {
  if (!arch->two_way && arch->head == FT_HEAD_TOKENS) return FT_OK;
  return ft_fail(FT_ERR_DATA, "this model does not generate text: %s",
                 arch->two_way ? "each of its tokens sees those that come later"
                               : "its head gives labels, not tokens");
}

ft_err ft_cache_new(ft_model *m, int64_t num_sequences, int64_t max_tokens, ft_cache **out) {
  ft_err err = FT_OK;
  const int64_t virtual_rows = ft_method_virtual_rows(&m->layout->method);
  void *p;
  ft_cache *cache = NULL;
  *out = NULL;
  FT_ASSERT(num_sequences >= 1 && num_sequences <= m->options.max_tokens);
  FT_TRY(ft_model_generates(&m->arch));
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof *cache, &p));
  cache = p;
  *cache = (ft_cache){.model = m,
                      .num_sequences = num_sequences,
                      .virtual_rows = virtual_rows,
                      .max_positions = virtual_rows + max_tokens};
  if (m->rope_table) cache->switch_length = m->arch.ropes[0].original_positions;
  FT_TRY(allocate(cache));
  *out = cache;
  cache = NULL;
out:
  ft_cache_free(cache);
  return err;
}

void ft_cache_free(ft_cache *c) {
  if (!c) return;
  ft_free(c->sequences);
  ft_free(c->tokens);
  ft_free(c->kv);
  ft_free(c->rows);
  ft_free(c->ids);
  ft_free(c->positions);
  ft_free(c->queries);
  ft_free(c);
}

/* ---------------------------------------------------------------- sequences */

void ft_cache_clear(ft_cache *c, int64_t s) {
  FT_ASSERT(s >= 0 && s < c->num_sequences);
  c->sequences[s] = (sequence){.length = 0};
}

/* Where frequencies depend on the sequence's length, they are those of the sequence as it is now:
 * what was computed with others is computed again. */
ft_err ft_cache_put(ft_cache *c, int64_t s, const uint32_t *tokens, int64_t count) {
  ft_err err = FT_OK;
  FT_ASSERT(s >= 0 && s < c->num_sequences && count > 0);
  sequence *q = &c->sequences[s];
  uint32_t *all = c->tokens + s * c->max_positions;
  int64_t before = q->known > 0 ? q->known : c->virtual_rows, known = before + count;
  int64_t limit = c->switch_length;
  FT_CHECK(known <= c->max_positions, FT_ERR_DATA,
           "%lld tokens do not fit the %lld positions there is room for", (long long)known,
           (long long)c->max_positions);
  for (int64_t i = q->known; i < before; i++)
    all[i] = FT_NO_TOKEN;
  memcpy(all + before, tokens, (size_t)count * sizeof *tokens);
  if (limit > 0 && q->known <= limit && known > limit) q->length = 0;
  q->known = known;
out:
  return err;
}

bool ft_cache_waits(const ft_cache *c) {
  for (int64_t s = 0; s < c->num_sequences; s++)
    if (c->sequences[s].known > c->sequences[s].length) return true;
  return false;
}

/* ---------------------------------------------------------------- what a pass computes */

static void add_row(ft_cache *c, int64_t s, int64_t position) {
  int64_t i = c->num_rows++;
  c->rows[i] = (row){.sequence = s, .position = position};
  c->ids[i] = c->tokens[s * c->max_positions + position];
  c->positions[i] = (int32_t)position;
  if (c->switch_length > 0) c->model->rope_table[i] = c->sequences[s].known > c->switch_length;
}

/* A sequence's rows are cut the same way whatever else there is. */
static void choose_rows(ft_cache *c) {
  const int64_t most = FT_MIN((int64_t)MOST_PIECE, c->model->options.max_tokens);
  c->num_rows = 0;
  c->is_step = false;
  for (int64_t s = 0; s < c->num_sequences && c->num_rows == 0; s++) {
    const sequence *q = &c->sequences[s];
    int64_t waiting = q->known - q->length;
    for (int64_t i = 0; waiting > 1 && i < FT_MIN(waiting, most); i++)
      add_row(c, s, q->length + i);
  }
  if (c->num_rows > 0) return;
  c->is_step = true;
  for (int64_t s = 0; s < c->num_sequences; s++)
    if (c->sequences[s].known > c->sequences[s].length) add_row(c, s, c->sequences[s].length);
}

/* ---------------------------------------------------------------- a pass */

/* Keys of the first head of a sequence in a layer; its values and other heads follow. */
static void *keys_of(const ft_cache *c, int64_t layer, int64_t s) {
  const ft_model *m = c->model;
  return ft_model_at_mut(m, c->kv, (layer * c->num_sequences + s) * c->max_positions * 2 * m->kv);
}

static void remember(const ft_cache *c, int64_t layer, const layer_activations *a) {
  const ft_model *m = c->model;
  const int64_t dim = m->arch.head_dim, apart = c->max_positions * dim;
  const size_t bytes = (size_t)dim * ft_dtype_bytes(m->type);
  for (int64_t i = 0; i < c->num_rows; i++) {
    void *keys = keys_of(c, layer, c->rows[i].sequence);
    for (int64_t h = 0; h < m->arch.kv_heads; h++) {
      int64_t from = i * m->qkv + m->q + h * dim, to = 2 * h * apart + c->rows[i].position * dim;
      memcpy(ft_model_at_mut(m, keys, to), ft_model_at(m, a->qkv, from), bytes);
      memcpy(ft_model_at_mut(m, keys, to + apart), ft_model_at(m, a->qkv, from + m->kv), bytes);
    }
  }
}

/* New rows among themselves where nothing came before, else each against the cache. */
static ft_err attend(ft_cache *c, int64_t layer, const ft_model_batch *batch,
                     layer_activations *a) {
  ft_model *m = c->model;
  if (!c->is_step && c->rows[0].position == 0) return ft_attention_attend(m, layer, batch, a);
  ft_attention attention = ft_layer_attention(m, layer, batch->num_documents, batch->offsets);
  const int64_t dim = m->arch.head_dim, apart = c->max_positions * dim;
  ft_time_enter(FT_TIME_ATTENTION);
  for (int64_t i = 0; i < c->num_rows; i++) {
    const void *keys = keys_of(c, layer, c->rows[i].sequence);
    c->queries[i] = (ft_attention_row){.o = ft_model_at_mut(m, a->attended, i * m->q),
                                       .q = ft_model_at(m, a->qkv, i * m->qkv),
                                       .k = keys,
                                       .v = ft_model_at(m, keys, apart),
                                       .num_keys = c->rows[i].position + 1};
  }
  return ft_attention_rows(&attention, c->queries, c->num_rows, dim, 2 * apart);
}

static ft_err run_layer(ft_cache *c, int64_t layer, const unit_weights *w,
                        const ft_model_batch *batch) {
  ft_err err = FT_OK;
  ft_model *m = c->model;
  layer_activations *a = &m->activations[0];
  const void *x = m->x[layer % 2];
  FT_TRY(ft_layer_before_attention(m, layer, w, batch, x, a));
  remember(c, layer, a);
  FT_TRY(attend(c, layer, batch, a));
  FT_TRY(ft_layer_after_attention(m, w, batch->num_tokens, x, a, m->x[(layer + 1) % 2]));
out:
  return err;
}

/* The chosen rows up to the last layer's output, in m->x[layers % 2]. */
static ft_err run_layers(ft_cache *c) {
  ft_err err = FT_OK;
  ft_model *m = c->model;
  unit_weights w;
  const int64_t offsets[] = {0, c->num_rows};
  const ft_model_batch batch = {.num_tokens = c->num_rows,
                                .num_documents = 1,
                                .tokens = c->ids,
                                .positions = c->positions,
                                .offsets = offsets};
  ft_shard_begin_pass(m->shard, m->forward_order, m->num_forward_order);
  FT_TRY(ft_unit_acquire(m, &m->layout->embedding, &w));
  if (c->num_rows > 0) FT_TRY(ft_embed(m, &w, &batch, false, m->x[0]));
  ft_unit_release(m, &m->layout->embedding);
  for (int64_t layer = 0; layer < m->arch.layers; layer++) {
    FT_TRY(ft_unit_acquire(m, &m->layout->layers[layer], &w));
    if (c->num_rows > 0) FT_TRY(run_layer(c, layer, &w, &batch));
    ft_unit_release(m, &m->layout->layers[layer]);
  }
out:
  return err;
}

/* Counts the rows as computed; lists the sequences that are complete, and their last rows. */
static int64_t note_computed(ft_cache *c, int64_t *ready, int64_t *last_rows) {
  int64_t num = 0;
  for (int64_t i = 0; i < c->num_rows; i++) {
    int64_t s = c->rows[i].sequence;
    sequence *q = &c->sequences[s];
    q->length = c->rows[i].position + 1;
    if (q->length < q->known) continue;
    last_rows[num] = i;
    ready[num++] = s;
  }
  return num;
}

ft_err ft_model_advance(ft_model *m, ft_cache *c, int64_t *ready, int64_t *num, float *logits) {
  ft_err err = FT_OK;
  choose_rows(c);
  *num = 0;
  m->rows_alone = c->is_step;
  m->dropout = 0;
  FT_TRY(run_layers(c));
  /* without a complete sequence the head, which was announced, is taken and given back */
  *num = note_computed(c, ready, m->target_rows);
  FT_TRY(ft_head_logits(m, m->x[m->arch.layers % 2], m->target_rows, *num, logits));
out:
  m->rows_alone = false;
  ft_time_enter(FT_TIME_OTHER);
  return err;
}
