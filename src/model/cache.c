/* Generation: keys and values of earlier tokens are kept, so that a new token costs one row. */
#include <string.h>

#include "internal.h"

struct ft_cache {
  int64_t length; /* rows whose keys and values are here */
  int64_t given;  /* … that are to be: the method's virtual ones, and then tokens */
  int64_t max_positions;
  uint32_t *tokens;   /* [max_positions] */
  int32_t *positions; /* [max_positions] 0, 1, 2 … */
  void *kv;           /* [layers, max_positions, 2 kv]: keys, then values, of the compute type */
};

ft_err ft_cache_new(ft_model *m, int64_t max_tokens, ft_cache **out) {
  ft_err err = FT_OK;
  const int64_t virtual_rows = ft_method_virtual_rows(&m->layout->method);
  const int64_t max_positions = virtual_rows + max_tokens;
  void *p;
  ft_cache *cache = NULL;
  *out = NULL;
  FT_CHECK(!m->arch.two_way && m->arch.head == FT_HEAD_TOKENS, FT_ERR_DATA,
           "this model does not generate text: %s",
           m->arch.two_way ? "each of its tokens sees those that come later"
                           : "its head gives labels, not tokens");
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof *cache, &p));
  cache = p;
  cache->max_positions = max_positions;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, max_positions, sizeof *cache->tokens, &p));
  cache->tokens = p;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, max_positions, sizeof *cache->positions, &p));
  cache->positions = p;
  for (int64_t i = 0; i < max_positions; i++)
    cache->positions[i] = (int32_t)i;
  for (int64_t i = 0; i < virtual_rows; i++)
    cache->tokens[i] = FT_NO_TOKEN;
  cache->given = virtual_rows;
  FT_TRY(ft_alloc_array(FT_MEM_ACTIVATIONS, m->arch.layers * max_positions * 2 * m->kv,
                        ft_dtype_bytes(m->type), &cache->kv));
  *out = cache;
  cache = NULL;
out:
  ft_cache_free(cache);
  return err;
}

void ft_cache_free(ft_cache *cache) {
  if (!cache) return;
  ft_free(cache->kv);
  ft_free(cache->tokens);
  ft_free(cache->positions);
  ft_free(cache);
}

/* Keys of a position of a layer; its values follow. */
static void *entry(ft_model *m, ft_cache *cache, int64_t layer, int64_t position) {
  return ft_model_at_mut(m, cache->kv, (layer * cache->max_positions + position) * 2 * m->kv);
}

static void remember(ft_model *m, ft_cache *cache, int64_t layer, int64_t tokens,
                     const layer_activations *a) {
  for (int64_t i = 0; i < tokens; i++)
    memcpy(entry(m, cache, layer, cache->length + i), ft_model_at(m, a->qkv, i * m->qkv + m->q),
           (size_t)(2 * m->kv) * ft_dtype_bytes(m->type));
}

/* Attention of a batch of new rows: among themselves where nothing came before, else each against
 * the cache. */
static ft_err attend(ft_model *m, ft_cache *cache, int64_t layer, const ft_model_batch *batch,
                     layer_activations *a) {
  if (cache->length == 0) return ft_attention_attend(m, layer, batch, a);
  ft_attention attention = ft_layer_attention(m, layer, batch->num_documents, batch->offsets);
  for (int64_t i = 0; i < batch->num_tokens; i++) {
    const void *keys = entry(m, cache, layer, 0);
    ft_attention_query(&attention, ft_model_at_mut(m, a->attended, i * m->q),
                       ft_model_at(m, a->qkv, i * m->qkv), keys, ft_model_at(m, keys, m->kv),
                       2 * m->kv, cache->length + i + 1);
  }
  return FT_OK;
}

/* Appends at most max_tokens of the cache's tokens; the last layer's output is in
 * m->x[layers % 2]. */
static ft_err extend_piece(ft_model *m, ft_cache *cache, int64_t count) {
  ft_err err = FT_OK;
  unit_weights w;
  layer_activations *a = &m->activations[0];
  const uint32_t *tokens = cache->tokens + cache->length;
  const int32_t *positions = cache->positions + cache->length;
  const int64_t offsets[] = {0, count};
  const ft_model_batch batch = {.num_tokens = count,
                                .num_documents = 1,
                                .tokens = tokens,
                                .positions = positions,
                                .offsets = offsets};
  ft_shard_begin_pass(m->shard, m->forward_order, m->num_forward_order);
  FT_TRY(ft_unit_acquire(m, &m->layout->embedding, &w));
  FT_TRY(ft_embed(m, &w, &batch, false, m->x[0]));
  ft_unit_release(m, &m->layout->embedding);
  for (int64_t layer = 0; layer < m->arch.layers; layer++) {
    const void *x = m->x[layer % 2];
    FT_TRY(ft_unit_acquire(m, &m->layout->layers[layer], &w));
    FT_TRY(ft_layer_before_attention(m, layer, &w, &batch, x, a));
    remember(m, cache, layer, count, a);
    FT_TRY(attend(m, cache, layer, &batch, a));
    FT_TRY(ft_layer_after_attention(m, &w, count, x, a, m->x[(layer + 1) % 2]));
    ft_unit_release(m, &m->layout->layers[layer]);
  }
out:
  return err;
}

/* Where frequencies depend on the document's length, they are those of the document as it is now:
 * what was computed with others is computed again. */
static void choose_frequencies(ft_model *m, ft_cache *cache, int64_t length) {
  if (!m->rope_table) return;
  int64_t limit = m->arch.ropes[0].original_positions;
  if ((cache->length > limit) != (length > limit)) cache->length = 0;
  memset(m->rope_table, length > limit, (size_t)m->options.max_tokens);
}

ft_err ft_model_extend(ft_model *m, ft_cache *cache, const uint32_t *tokens, int64_t count,
                       float *logits) {
  ft_err err = FT_OK;
  int64_t length = cache->given + count;
  FT_ASSERT(!m->options.training && count > 0);
  FT_CHECK(length <= cache->max_positions, FT_ERR_DATA,
           "%lld tokens do not fit the %lld positions there is room for", (long long)length,
           (long long)cache->max_positions);
  memcpy(cache->tokens + cache->given, tokens, (size_t)count * sizeof *tokens);
  cache->given = length;
  choose_frequencies(m, cache, length);
  while (cache->length < length) {
    int64_t n = FT_MIN(length - cache->length, m->options.max_tokens), last = n - 1;
    FT_TRY(extend_piece(m, cache, n));
    cache->length += n;
    /* in the middle, the block that was announced is taken and given back */
    FT_TRY(ft_head_logits(m, m->x[m->arch.layers % 2], &last, cache->length == length, logits));
  }
out:
  return err;
}
