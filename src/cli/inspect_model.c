/* ftrun inspect: model directories and safetensors files. */
#include <string.h>

#include "ft/tokenizer.h"
#include "inspect.h"

enum { PIECE_ELEMENTS = 1 << 20 };

/* ---------------------------------------------------------------- values */

/* Index of the first of `count` elements that is infinite or not a number, or -1. */
static int64_t first_not_finite(ft_dtype dtype, const void *values, int64_t count) {
  const uint32_t *wide = values;
  const uint16_t *narrow = values;
  const uint16_t exponent = dtype == FT_BF16 ? 0x7f80 : 0x7c00;
  for (int64_t i = 0; dtype == FT_F32 && i < count; i++)
    if ((wide[i] & 0x7f800000u) == 0x7f800000u) return i;
  for (int64_t i = 0; dtype != FT_F32 && i < count; i++)
    if ((narrow[i] & exponent) == exponent) return i;
  return -1;
}

/* Reads a tensor; its numbers have to be finite, which is all that can be told of them. */
static ft_err read_tensor(ft_safetensors *st, const ft_safetensor *t, void *buffer) {
  ft_err err = FT_OK;
  for (int64_t at = 0; at < t->elements; at += PIECE_ELEMENTS) {
    int64_t count = FT_MIN((int64_t)PIECE_ELEMENTS, t->elements - at);
    FT_TRY(ft_safetensors_read(st, t, at, count, buffer));
    int64_t bad = first_not_finite(t->dtype, buffer, count);
    FT_CHECK(bad < 0, FT_ERR_DATA, "%s: element %lld of %s is not finite: the weights are damaged",
             ft_safetensors_file(st, t), (long long)(at + bad), t->name);
  }
out:
  return err;
}

static ft_err read_values(ft_safetensors *st) {
  ft_err err = FT_OK;
  void *buffer = NULL;
  FT_TRY(ft_alloc(FT_MEM_IO, PIECE_ELEMENTS * sizeof(float), &buffer));
  for (int64_t i = 0; i < ft_safetensors_count(st); i++) {
    const ft_safetensor *t = ft_safetensors_at(st, i);
    if (t->supported) FT_TRY(read_tensor(st, t, buffer));
  }
  ft_inspect_line("values", "all finite");
out:
  ft_free(buffer);
  return err;
}

/* ---------------------------------------------------------------- safetensors */

/* "BF16 (290), F32 (3)": the types and how many tensors have them. */
static void list_types(const ft_safetensors *st, char *out, size_t size) {
  char seen[16][12];
  int64_t counts[16] = {0}, num = 0;
  for (int64_t i = 0; i < ft_safetensors_count(st); i++) {
    const char *name = ft_safetensors_at(st, i)->dtype_name;
    int64_t k = 0;
    while (k < num && strcmp(seen[k], name) != 0)
      k++;
    if (k == (int64_t)FT_ARRAY_SIZE(counts)) continue;
    if (k == num) snprintf(seen[num++], sizeof seen[0], "%s", name);
    counts[k]++;
  }
  size_t used = 0;
  out[0] = 0;
  for (int64_t k = 0; k < num && used < size; k++)
    used += (size_t)snprintf(out + used, size - used, "%s%s (%lld)", k ? ", " : "", seen[k],
                             (long long)counts[k]);
}

ft_err ft_inspect_weights(const char *path, const ft_hf_config *config) {
  ft_err err = FT_OK;
  ft_safetensors *st = NULL;
  char types[256];
  int64_t elements = 0;
  FT_TRY(ft_safetensors_open(path, &st));
  for (int64_t i = 0; i < ft_safetensors_count(st); i++)
    elements += ft_safetensors_at(st, i)->elements;
  list_types(st, types, sizeof types);
  ft_inspect_line("tensors", "%lld, %lld elements", (long long)ft_safetensors_count(st),
                  (long long)elements);
  ft_inspect_line("types", "%s", types);
  int64_t num_files = ft_safetensors_num_files(st), verified = 0;
  for (int64_t i = 0; i < num_files; i++) {
    bool found;
    FT_TRY(ft_safetensors_verify(st, i, &found));
    verified += found;
  }
  ft_inspect_line("checksums", "%lld of %lld files have them%s", (long long)verified,
                  (long long)num_files, verified ? ": verified" : ": made by another program");
  if (config) FT_TRY(ft_hf_check_weights(path, config));
  if (verified < num_files) FT_TRY(read_values(st)); /* else nothing more could be found */
out:
  ft_safetensors_close(st);
  return err;
}

ft_err ft_inspect_safetensors(const char *path) {
  printf("%s: safetensors file\n", path);
  return ft_inspect_weights(path, NULL);
}

/* ---------------------------------------------------------------- a model directory */

static ft_err inspect_tokenizer(const char *dir, int64_t vocab) {
  ft_err err = FT_OK;
  ft_tokenizer *t = NULL;
  if (!ft_path_has(dir, "tokenizer.json")) {
    ft_inspect_line("tokenizer", "none");
    return FT_OK;
  }
  FT_TRY(ft_tokenizer_open(dir, &t));
  int64_t size = ft_tokenizer_vocab_size(t);
  ft_inspect_line("tokenizer", "%lld tokens, sha256 %s", (long long)size, ft_tokenizer_sha256(t));
  FT_CHECK(vocab == 0 || size <= vocab, FT_ERR_DATA,
           "%s/tokenizer.json has %lld tokens, the vocab_size of %s/config.json is %lld: they do "
           "not fit",
           dir, (long long)size, dir, (long long)vocab);
out:
  ft_tokenizer_close(t);
  return err;
}

/* Everything but weights: first, since what is damaged there may look like another mistake. */
ft_err ft_inspect_texts(const char *dir) {
  int64_t num_files;
  ft_err err = ft_hf_verify_sums(dir, &num_files);
  if (err != FT_OK) return err;
  if (num_files < 0)
    ft_inspect_line("texts", "no checksums (ftrun.sha256)");
  else
    ft_inspect_line("texts", "%lld files verified", (long long)num_files);
  return FT_OK;
}

static void describe(const ft_hf_config *config) {
  const ft_arch *a = &config->arch;
  ft_inspect_line("architecture", "%s", config->model_type);
  ft_inspect_line("layers", "%lld, hidden %lld, ffn %lld", (long long)a->layers,
                  (long long)a->hidden, (long long)a->ffn);
  ft_inspect_line("heads", "%lld, key-value %lld, of %lld", (long long)a->heads,
                  (long long)a->kv_heads, (long long)a->head_dim);
  ft_inspect_line("vocabulary", "%lld%s", (long long)a->vocab, a->tied ? ", tied" : "");
  ft_inspect_line("positions", "%lld", (long long)a->max_positions);
  ft_inspect_line("parameters", "%lld", (long long)ft_arch_num_parameters(a));
}

ft_err ft_inspect_model(const char *dir) {
  ft_err err = FT_OK;
  ft_hf_config config = {0};
  bool has_config = ft_path_has(dir, "config.json");
  bool has_weights =
      ft_path_has(dir, "model.safetensors") || ft_path_has(dir, "model.safetensors.index.json");
  printf("%s: model directory\n", dir);
  FT_TRY(ft_inspect_texts(dir));
  if (has_config) {
    FT_TRY(ft_hf_config_read(dir, &config));
    describe(&config);
  } else {
    ft_inspect_line("architecture", "unknown: no config.json");
  }
  FT_TRY(inspect_tokenizer(dir, config.arch.vocab));
  if (!has_weights) {
    ft_inspect_line("weights", "none");
    goto out;
  }
  FT_TRY(ft_inspect_weights(dir, has_config ? &config : NULL));
out:
  ft_hf_config_fini(&config);
  return err;
}
