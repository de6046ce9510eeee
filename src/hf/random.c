/* Weights of a model that has learnt nothing yet: normal numbers from the counter-based generator,
 * the same on every machine. Logarithm, sine and cosine are sums of their own here, because a math
 * library's last bit depends on the processor it runs on. */
#include <math.h>

#include "hf_internal.h"

typedef struct random_weights {
  const ft_layout *layout; /* borrowed */
  uint64_t seed;
  double std;
} random_weights;

/* Natural logarithm of x in (0, 1], to 1e-13: x = 2^e · m, ln m = 2 artanh((m-1)/(m+1)). */
static double logarithm(double x) {
  union {
    double d;
    uint64_t u;
  } bits = {.d = x};
  double exponent = (double)((int64_t)(bits.u >> 52) - 1023);
  bits.u = (bits.u & 0xfffffffffffffu) | 0x3ff0000000000000u;
  double m = bits.d; /* in [1, 2) */
  bool high = m > 1.4142135623730951;
  m = high ? 0.5 * m : m;
  exponent = high ? exponent + 1 : exponent;
  double s = (m - 1) / (m + 1), q = s * s;
  double series = 1.0 / 13 + q * (1.0 / 15);
  series = 1.0 / 9 + q * (1.0 / 11 + q * series);
  series = 1.0 / 5 + q * (1.0 / 7 + q * series);
  series = 1 + q * (1.0 / 3 + q * series);
  return exponent * 0.6931471805599453 + 2 * s * series;
}

/* Sine and cosine of a in [0, π/2] by their power series, to 1e-14. */
static void sine_cosine(double a, double *sine, double *cosine) {
  double q = a * a;
  double s = 1 - q * (1.0 / 272) * (1 - q * (1.0 / 342)); /* 16·17, 18·19 */
  s = 1 - q * (1.0 / 156) * (1 - q * (1.0 / 210) * s);    /* 12·13, 14·15 */
  s = 1 - q * (1.0 / 72) * (1 - q * (1.0 / 110) * s);     /* 8·9, 10·11 */
  s = 1 - q * (1.0 / 20) * (1 - q * (1.0 / 42) * s);      /* 4·5, 6·7 */
  double c = 1 - q * (1.0 / 240) * (1 - q * (1.0 / 306)); /* 15·16, 17·18 */
  c = 1 - q * (1.0 / 132) * (1 - q * (1.0 / 182) * c);    /* 11·12, 13·14 */
  c = 1 - q * (1.0 / 56) * (1 - q * (1.0 / 90) * c);      /* 7·8, 9·10 */
  c = 1 - q * (1.0 / 12) * (1 - q * (1.0 / 30) * c);      /* 3·4, 5·6 */
  *sine = a * (1 - q * (1.0 / 6) * s);
  *cosine = 1 - q * (1.0 / 2) * c;
}

/* Two standard normal numbers from two words (Box and Muller 1958). */
static void normal_pair(uint32_t w0, uint32_t w1, double std, float *out) {
  double radius = std * sqrt(-2 * logarithm(((double)w0 + 0.5) * 0x1p-32));
  double sine, cosine;
  sine_cosine((double)(w1 & 0x3fffffffu) * 0x1p-30 * 1.5707963267948966, &sine, &cosine);
  unsigned quadrant = w1 >> 30;
  double x = quadrant & 1 ? -sine : cosine, y = quadrant & 1 ? cosine : sine;
  double sign = quadrant & 2 ? -radius : radius;
  out[0] = (float)(sign * x);
  out[1] = (float)(sign * y);
}

/* Elements first … first+count-1 of a tensor, whose number keys them: one counter, four elements.
 */
static void fill_normal(const random_weights *w, uint64_t tensor, int64_t first, int64_t count,
                        float *out) {
  float quad[4];
  for (int64_t i = first / 4; i <= (first + count - 1) / 4; i++) {
    uint32_t words[4];
    ft_random_words(w->seed, FT_RANDOM_INIT, tensor, (uint64_t)i, words);
    normal_pair(words[0], words[1], w->std, quad);
    normal_pair(words[2], words[3], w->std, quad + 2);
    int64_t begin = FT_MAX(first - 4 * i, 0), end = FT_MIN(first + count - 4 * i, 4);
    for (int64_t k = begin; k < end; k++)
      out[4 * i + k - first] = quad[k];
  }
}

/* What all elements of a tensor begin with that is no matrix. A norm's weight changes nothing at
 * first; xIELU's slopes are both softplus⁻¹ of what makes them 0.8 (Huang & Schlag 2025). */
static float constant(const ft_arch *arch, ft_role role) {
  switch (role) {
  case FT_ROLE_MLP_NORM:
  case FT_ROLE_ATTN_NORM:
  case FT_ROLE_FINAL_NORM:
  case FT_ROLE_Q_NORM:
  case FT_ROLE_K_NORM:
  case FT_ROLE_MLP_POST_NORM:
  case FT_ROLE_ATTN_POST_NORM:
  case FT_ROLE_EMBEDDING_NORM:
  case FT_ROLE_HEAD_NORM:
    return arch->norm.plus_one ? 0 : 1;
  case FT_ROLE_ALPHA_P:
    return 0.203382321f; /* of 0.8 */
  case FT_ROLE_ALPHA_N:
    return -1.05022561f; /* of 0.8 - 0.5 */
  case FT_ROLE_XIELU_BETA:
    return 0.5f;
  case FT_ROLE_XIELU_EPS:
    return -1e-6f;
  default:
    return 0; /* biases */
  }
}

/* Keys the random numbers of a tensor. */
static uint64_t tensor_number(int64_t block, ft_role role) {
  const uint64_t first_roles = FT_ROLE_FINAL_NORM + 1; /* all that there were once */
  if (role <= FT_ROLE_FINAL_NORM) return (uint64_t)block * first_roles + (uint64_t)role;
  return (uint64_t)1 << 32 | (uint64_t)block << 8 | (uint64_t)role;
}

static ft_err read_random(void *arg, int64_t block, int64_t start, int64_t count, float *out) {
  const random_weights *w = arg;
  const ft_block *b = &w->layout->blocks[block];
  for (int64_t i = 0; i < count; i++)
    out[i] = 0; /* what lies between tensors */
  for (int i = 0; i < b->num_tensors; i++) {
    const ft_tensor *t = &b->tensors[i];
    int64_t first = FT_MAX(start, t->offset);
    int64_t end = FT_MIN(start + count, t->offset + ft_tensor_elements(t));
    if (first >= end) continue;
    if (t->num_dims == 2)
      fill_normal(w, tensor_number(block, t->role), first - t->offset, end - first,
                  out + first - start);
    for (int64_t k = first; t->num_dims < 2 && k < end; k++)
      out[k - start] = constant(&w->layout->arch, t->role);
  }
  return FT_OK;
}

ft_err ft_hf_random_source(const ft_hf_config *config, uint64_t seed, ft_hf_source *out) {
  random_weights *w;
  ft_mistakes none = {0};
  const cJSON *text = ft_json_get(config->json, "text_config");
  ft_hf_object json = {
      .json = cJSON_IsObject(text) ? text : config->json, .prefix = "", .mistakes = &none};
  *out = (ft_hf_source){.read = read_random};
  ft_err err = ft_alloc(FT_MEM_OTHER, sizeof *w, (void **)&w);
  if (err != FT_OK) return err;
  *w = (random_weights){.layout = config->layout,
                        .seed = seed,
                        .std = ft_hf_number(&json, "initializer_range", 0.02, 0, 1)};
  out->arg = w;
  return FT_OK;
}

void ft_hf_random_source_free(ft_hf_source *source) {
  ft_free(source->arg);
  *source = (ft_hf_source){0};
}
