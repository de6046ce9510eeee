/* What no model's description may hold. */
#include "ft/arch.h"

/* No dimension of any real model comes near this; products of three stay within 63 bits. */
static const int64_t max_dimension = (int64_t)1 << 24;

typedef struct named_value {
  const char *name;
  int64_t value;
} named_value;

static ft_err check_dimensions(const ft_arch *a) {
  ft_err err = FT_OK;
  const named_value values[] = {
      {"vocab_size", a->vocab},          {"hidden_size", a->hidden},
      {"intermediate_size", a->ffn},     {"num_hidden_layers", a->layers},
      {"num_attention_heads", a->heads}, {"num_key_value_heads", a->kv_heads},
      {"head_dim", a->head_dim},         {"max_position_embeddings", a->max_positions}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(values); i++)
    FT_CHECK(values[i].value >= 1 && values[i].value <= max_dimension, FT_ERR_DATA,
             "%s is %lld; it must be between 1 and %lld", values[i].name,
             (long long)values[i].value, (long long)max_dimension);
  FT_CHECK(a->layers <= FT_MAX_LAYERS, FT_ERR_DATA,
           "num_hidden_layers is %lld; at most %d are supported", (long long)a->layers,
           FT_MAX_LAYERS);
  FT_CHECK(a->head_dim <= 1024, FT_ERR_DATA, "head_dim is %lld; at most 1024 is supported",
           (long long)a->head_dim);
  FT_CHECK(a->heads % a->kv_heads == 0, FT_ERR_DATA,
           "num_attention_heads (%lld) must be a multiple of num_key_value_heads (%lld)",
           (long long)a->heads, (long long)a->kv_heads);
  FT_CHECK(a->head_dim % 2 == 0 || a->num_ropes == 0, FT_ERR_DATA,
           "head_dim is %lld; the rotary embedding needs an even one", (long long)a->head_dim);
out:
  return err;
}

static ft_err check_scaling(const ft_rope_form *r) {
  ft_err err = FT_OK;
  if (r->type == FT_ROPE_DEFAULT) return FT_OK;
  FT_CHECK(r->type == FT_ROPE_LONG || (r->factor > 0 && r->factor < 1e9), FT_ERR_DATA,
           "the rotary scaling factor is %g; it must be positive", r->factor);
  FT_CHECK(r->type == FT_ROPE_LINEAR || r->original_positions > 0, FT_ERR_DATA,
           "original_max_position_embeddings is %lld; this rotary scaling needs a positive one",
           (long long)r->original_positions);
  if (r->type == FT_ROPE_LLAMA3)
    FT_CHECK(r->low_freq > 0 && r->high_freq > r->low_freq, FT_ERR_DATA,
             "llama3 rotary scaling needs 0 < low_freq_factor (%g) < high_freq_factor (%g) and a "
             "positive original_max_position_embeddings (%lld)",
             r->low_freq, r->high_freq, (long long)r->original_positions);
  if (r->type == FT_ROPE_YARN)
    FT_CHECK(r->beta_slow > 0 && r->beta_fast >= r->beta_slow, FT_ERR_DATA,
             "yarn rotary scaling needs 0 < beta_slow (%g) <= beta_fast (%g)", r->beta_slow,
             r->beta_fast);
  for (int64_t i = 0; r->type == FT_ROPE_LONG && i < r->width / 2; i++)
    FT_CHECK(r->short_factors[i] > 0 && r->long_factors[i] > 0, FT_ERR_DATA,
             "entry %lld of short_factor or long_factor is not positive", (long long)i);
out:
  return err;
}

static ft_err check_rope(const ft_arch *a, const ft_rope_form *r) {
  ft_err err = FT_OK;
  FT_CHECK(r->theta > 0 && r->theta < 1e30, FT_ERR_DATA,
           "rope_theta is %g; it must be positive and finite", r->theta);
  FT_CHECK(r->width > 0 && r->width % 2 == 0 && r->width <= a->head_dim &&
               r->width <= 2 * FT_MAX_ROPE_PAIRS,
           FT_ERR_DATA,
           "%lld elements of a head would be rotated; it must be an even number up to head_dim "
           "(%lld) and %d",
           (long long)r->width, (long long)a->head_dim, 2 * FT_MAX_ROPE_PAIRS);
  FT_CHECK(!(r->query_beta > 0) || r->original_positions > 0, FT_ERR_DATA,
           "scaling queries by position needs a positive original_max_position_embeddings");
  FT_TRY(check_scaling(r));
out:
  return err;
}

static ft_err check_kinds(const ft_arch *a) {
  ft_err err = FT_OK;
  FT_CHECK(a->num_kinds >= 1 && a->num_kinds <= FT_MAX_LAYER_KINDS, FT_ERR_DATA,
           "the layers are of %d kinds; supported are 1 to %d", a->num_kinds, FT_MAX_LAYER_KINDS);
  for (int i = 0; i < a->num_kinds; i++) {
    const ft_layer_kind *k = &a->kinds[i];
    FT_CHECK(k->window >= 0, FT_ERR_DATA, "sliding_window is %lld; it must be positive",
             (long long)k->window);
    FT_ASSERT(k->rope >= -1 && k->rope < a->num_ropes);
  }
  for (int64_t i = 0; i < a->layers; i++)
    FT_ASSERT(a->kind_of[i] < a->num_kinds);
out:
  return err;
}

static bool is_positive(float x) {
  return x > 0 && x < 1e30f;
}

static ft_err check_scalars(const ft_arch *a) {
  ft_err err = FT_OK;
  FT_CHECK(a->norm.eps >= 0 && a->norm.eps < 1, FT_ERR_DATA,
           "rms_norm_eps is %g; it must be in [0, 1)", (double)a->norm.eps);
  FT_CHECK(is_positive(a->attention_scale) && is_positive(a->residual_scale) &&
               is_positive(a->embedding_scale) && is_positive(a->logits_scale),
           FT_ERR_DATA,
           "the scales of attention (%g), branches (%g), embedding (%g) and logits (%g) must be "
           "positive",
           (double)a->attention_scale, (double)a->residual_scale, (double)a->embedding_scale,
           (double)a->logits_scale);
  FT_CHECK(a->attention_softcap >= 0 && a->logits_softcap >= 0, FT_ERR_DATA,
           "soft caps (%g, %g) must not be negative", (double)a->attention_softcap,
           (double)a->logits_softcap);
  FT_CHECK(a->padding_token < a->vocab, FT_ERR_DATA,
           "pad_token_id is %lld; the vocabulary has %lld tokens", (long long)a->padding_token,
           (long long)a->vocab);
  FT_CHECK(a->head == FT_HEAD_TOKENS || (a->num_labels >= 1 && !a->tied), FT_ERR_DATA,
           "a head of labels needs at least one (num_labels is %lld) and a matrix of its own",
           (long long)a->num_labels);
out:
  return err;
}

ft_err ft_arch_check(const ft_arch *a) {
  ft_err err = FT_OK;
  FT_TRY(check_dimensions(a));
  FT_TRY(check_kinds(a));
  for (int i = 0; i < a->num_ropes; i++)
    FT_TRY(check_rope(a, &a->ropes[i]));
  FT_TRY(check_scalars(a));
out:
  return err;
}
