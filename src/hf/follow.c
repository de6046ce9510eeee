/* What a model directory's weights say of what its config.json leaves open. transformers loads the
 * tensors first and then ties those that are equal, and takes a type that is not named from the
 * first tensor that has one. */
#include <string.h>

#include "ft/kernels.h"
#include "names.h"

enum { PIECE_ELEMENTS = 1 << 18 };

/* ---------------------------------------------------------------- type */

/* Of the first file's first tensor, in order of name, that has a type weights may have. */
static void follow_dtype(const ft_safetensors *st, ft_hf_config *config) {
  for (int64_t i = 0; i < ft_safetensors_count(st); i++) {
    const ft_safetensor *t = ft_safetensors_at(st, i);
    bool first_file = ft_safetensors_file(st, t) == ft_safetensors_file_at(st, 0);
    if (!first_file || !t->supported) continue;
    config->dtype = t->dtype;
    return;
  }
}

/* ---------------------------------------------------------------- tied or not */

typedef struct comparison {
  ft_safetensors *st;
  ft_dtype dtype;                       /* in which values are compared */
  void *raw, *values, *rounded, *other; /* [PIECE_ELEMENTS] of any type */
} comparison;

static ft_err read_as(comparison *c, const ft_safetensor *t, int64_t first, int64_t count,
                      void *out) {
  ft_err err = ft_safetensors_read(c->st, t, first, count, c->raw);
  if (err != FT_OK) return err;
  ft_convert(FT_F32, c->values, t->dtype, c->raw, count);
  ft_convert(c->dtype, out, FT_F32, c->values, count);
  return FT_OK;
}

static ft_err compare_values(comparison *c, const ft_safetensor *a, const ft_safetensor *b,
                             bool *same) {
  ft_err err = FT_OK;
  FT_TRY(ft_alloc(FT_MEM_IO, 4 * PIECE_ELEMENTS * sizeof(float), &c->raw));
  c->values = (float *)c->raw + PIECE_ELEMENTS;
  c->rounded = (float *)c->raw + 2 * PIECE_ELEMENTS;
  c->other = (float *)c->raw + 3 * PIECE_ELEMENTS;
  *same = true;
  for (int64_t first = 0; *same && first < a->elements; first += PIECE_ELEMENTS) {
    int64_t count = FT_MIN((int64_t)PIECE_ELEMENTS, a->elements - first);
    FT_TRY(read_as(c, a, first, count, c->rounded));
    FT_TRY(read_as(c, b, first, count, c->other));
    *same = memcmp(c->rounded, c->other, (size_t)count * ft_dtype_bytes(c->dtype)) == 0;
  }
out:
  ft_free(c->raw);
  return err;
}

static bool same_shape(const ft_safetensor *a, const ft_safetensor *b) {
  return a->num_dims == b->num_dims && memcmp(a->dims, b->dims, sizeof a->dims) == 0;
}

/* A head beside the embedding of a model that config.json calls tied. Tensors of wrong shapes or
 * types are left to the check of all tensors. */
static ft_err follow_head(ft_safetensors *st, ft_hf_config *config) {
  char embedding[FT_HF_NAME_BYTES], head[FT_HF_NAME_BYTES];
  ft_hf_role_name(config->naming, -1, FT_ROLE_EMBEDDING, embedding, sizeof embedding);
  ft_hf_role_name(config->naming, -1, FT_ROLE_HEAD, head, sizeof head);
  const ft_safetensor *a = ft_safetensors_find(st, embedding), *b = ft_safetensors_find(st, head);
  if (!a || !b || a == b || !a->supported || !b->supported || !same_shape(a, b)) return FT_OK;
  bool same = a->has_sum && b->has_sum && a->dtype == b->dtype && a->sum == b->sum;
  comparison c = {.st = st, .dtype = config->dtype};
  ft_err err = same ? FT_OK : compare_values(&c, a, b, &same);
  if (err == FT_OK) config->arch.tied = same;
  return err;
}

ft_err ft_hf_follow_weights(const char *dir, bool has_dtype, ft_hf_config *config) {
  ft_err err = FT_OK;
  ft_safetensors *st = NULL;
  bool flagged = config->arch.tied;
  /* without weights, or with damaged ones, of which who needs them will hear */
  if (ft_safetensors_open(dir, &st) != FT_OK) return FT_OK;
  ft_hf_find_naming(st, config->naming);
  if (!flagged) config->naming->head_only = false;
  if (!has_dtype) follow_dtype(st, config);
  if (flagged) FT_TRY(follow_head(st, config));
  if (flagged && !config->arch.tied)
    FT_TRY(ft_hf_add_remark(config, "config.json has tie_word_embeddings true, but the head's "
                                    "matrix differs from the embedding: they are two, as in "
                                    "transformers, and both are exported"));
out:
  ft_safetensors_close(st);
  return err;
}
