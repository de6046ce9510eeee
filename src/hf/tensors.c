/* Whether a model directory's safetensors hold the tensors that its config promises, and whether
 * their values are numbers. */
#include <stdlib.h>
#include <string.h>

#include "hf_internal.h"

enum { MAX_LISTED = 10, MAX_NAMED = 3 };

/* ---------------------------------------------------------------- expected tensors */

static void show_dims(int num_dims, const int64_t *dims, char *out, size_t size) {
  size_t used = (size_t)snprintf(out, size, "[");
  for (int i = 0; i < num_dims && used < size; i++)
    used += (size_t)snprintf(out + used, size - used, "%s%lld", i ? ", " : "", (long long)dims[i]);
  if (used < size) snprintf(out + used, size - used, "]");
}

static void expected_dims(const ft_tensor *t, int64_t dims[2]) {
  dims[0] = t->num_dims == 2 ? t->rows : t->cols;
  dims[1] = t->cols;
}

static bool has_shape(const ft_safetensor *found, const ft_tensor *t) {
  int64_t dims[2];
  expected_dims(t, dims);
  if (found->num_dims != t->num_dims) return false;
  for (int i = 0; i < t->num_dims; i++)
    if (found->dims[i] != dims[i]) return false;
  return true;
}

typedef struct census {
  ft_hf_mistakes mistakes;
  int64_t missing, misshapen, unreadable, extra; /* each lists its first MAX_LISTED */
  const ft_safetensor **known;                   /* [num_known] those that were expected */
  int64_t num_known;
  int64_t passed_over; /* the first of them by name: */
  char passed_names[MAX_NAMED][96];
} census;

static void note_missing(census *c, const char *name, const ft_tensor *t) {
  char shape[64];
  int64_t dims[2];
  expected_dims(t, dims);
  show_dims(t->num_dims, dims, shape, sizeof shape);
  if (c->missing++ >= MAX_LISTED) return;
  ft_hf_mistake(&c->mistakes, "%s is missing; expected shape %s%s", name, shape,
                t->role == FT_ROLE_HEAD
                    ? " (config.json has tie_word_embeddings false; without this tensor it must "
                      "be true)"
                    : "");
}

static void note_misshapen(census *c, const ft_safetensor *found, const ft_tensor *t) {
  char shape[64], other[128];
  int64_t dims[2];
  expected_dims(t, dims);
  show_dims(t->num_dims, dims, shape, sizeof shape);
  show_dims(FT_MIN(found->num_dims, 4), found->dims, other, sizeof other);
  if (c->misshapen++ >= MAX_LISTED) return;
  ft_hf_mistake(&c->mistakes, "%s has shape %s; expected %s", found->name, other, shape);
}

static void note_unreadable(census *c, const ft_safetensor *found) {
  if (c->unreadable++ >= MAX_LISTED) return;
  ft_hf_mistake(&c->mistakes, "%s has dtype %s; supported are F32, BF16 and F16", found->name,
                found->dtype_name);
}

static void look_for_block(census *c, const ft_safetensors *st, const ft_block *b) {
  for (int i = 0; i < FT_HF_NUM_ROLES; i++) {
    const ft_tensor *t = ft_block_tensor(b, ft_hf_state_order[i]);
    char name[FT_HF_NAME_BYTES];
    if (!t) continue;
    ft_hf_tensor_name(b, t->role, name, sizeof name);
    const ft_safetensor *found = ft_safetensors_find(st, name);
    if (!found) {
      note_missing(c, name, t);
      continue;
    }
    c->known[c->num_known++] = found;
    if (!has_shape(found, t)) note_misshapen(c, found, t);
    if (!found->supported) note_unreadable(c, found);
  }
}

/* ---------------------------------------------------------------- other tensors */

static int compare_pointers(const void *a, const void *b) {
  const ft_safetensor *const *x = a, *const *y = b;
  return *x < *y ? -1 : *x > *y;
}

static bool ends_with(const char *name, const char *end) {
  size_t length = strlen(name), tail = strlen(end);
  return length >= tail && strcmp(name + length - tail, end) == 0;
}

/* Takes no part in what is computed: the rotary embedding's frequencies, which follow from the
 * config, and scales for keys and values that others keep in 8 bits. */
static bool is_of_no_use(const char *name) {
  static const char *const ends[] = {"rotary_emb.inv_freq", ".k_scale", ".v_scale", ".kv_scale"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(ends); i++)
    if (ends_with(name, ends[i])) return true;
  return false;
}

/* The head of a tied model: a copy, or ft_hf_follow_weights would have untied it. */
static bool is_copy(const ft_safetensors *st, const ft_safetensor *t) {
  const ft_safetensor *embedding = ft_safetensors_find(st, "model.embed_tokens.weight");
  return strcmp(t->name, "lm_head.weight") == 0 && embedding && t->supported &&
         t->num_dims == embedding->num_dims &&
         memcmp(t->dims, embedding->dims, sizeof t->dims) == 0;
}

static void look_for_extra(census *c, const ft_safetensors *st, bool tied) {
  qsort(c->known, (size_t)c->num_known, sizeof(const ft_safetensor *), compare_pointers);
  for (int64_t i = 0; i < ft_safetensors_count(st); i++) {
    const ft_safetensor *t = ft_safetensors_at(st, i);
    if (tied && is_copy(st, t)) continue;
    if (bsearch(&t, c->known, (size_t)c->num_known, sizeof(const ft_safetensor *),
                compare_pointers))
      continue;
    if (is_of_no_use(t->name)) {
      if (c->passed_over < MAX_NAMED)
        snprintf(c->passed_names[c->passed_over], sizeof c->passed_names[0], "%s", t->name);
      c->passed_over++;
    } else if (c->extra++ < MAX_LISTED) {
      ft_hf_mistake(&c->mistakes, "%.120s is not part of this model", t->name);
    }
  }
}

static ft_err tell_passed_over(const census *c, char **out) {
  char more[32] = "";
  *out = NULL;
  if (c->passed_over == 0) return FT_OK;
  if (c->passed_over > MAX_NAMED)
    snprintf(more, sizeof more, " and %lld more", (long long)c->passed_over - MAX_NAMED);
  return ft_format(out, "tensors that take no part are passed over, and not exported: %s%s%s%s%s%s",
                   c->passed_names[0], c->passed_over > 1 ? ", " : "", c->passed_names[1],
                   c->passed_over > 2 ? ", " : "", c->passed_names[2], more);
}

/* Names that all carry another prefix than expected are one mistake, not hundreds. */
static ft_err check_prefix(const ft_safetensors *st, const char *dir) {
  static const char embedding[] = "embed_tokens.weight";
  if (ft_safetensors_find(st, "model.embed_tokens.weight")) return FT_OK;
  for (int64_t i = 0; i < ft_safetensors_count(st); i++) {
    const char *name = ft_safetensors_at(st, i)->name;
    if (!ends_with(name, embedding)) continue;
    if (strcmp(name, embedding) == 0)
      return ft_fail(FT_ERR_DATA,
                     "%s: tensor names lack the prefix \"model.\" (%s): this is the base model "
                     "without its output head; expected is a …ForCausalLM model",
                     dir, name);
    return ft_fail(FT_ERR_DATA,
                   "%s: tensor names have another prefix than expected (%.120s instead of "
                   "model.embed_tokens.weight): expected is a plain …ForCausalLM model",
                   dir, name);
  }
  return FT_OK;
}

/* ---------------------------------------------------------------- the check */

static void summarize(census *c) {
  const struct {
    const char *what;
    int64_t count;
  } kinds[] = {{"missing", c->missing},
               {"of another shape", c->misshapen},
               {"of an unsupported dtype", c->unreadable},
               {"not part of this model", c->extra}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(kinds); i++)
    if (kinds[i].count > MAX_LISTED)
      ft_hf_mistake(&c->mistakes, "… %lld tensors are %s in all", (long long)kinds[i].count,
                    kinds[i].what);
}

ft_err ft_hf_check_tensors(const ft_safetensors *st, const char *dir, const ft_layout *layout,
                           char **passed_over) {
  ft_err err = FT_OK;
  census *c = NULL;
  FT_TRY(check_prefix(st, dir));
  FT_TRY(ft_alloc(FT_MEM_IO, sizeof *c, (void **)&c));
  FT_TRY(ft_alloc_array(FT_MEM_IO, ft_safetensors_count(st), sizeof *c->known, (void **)&c->known));
  for (int64_t b = 0; b < layout->num_blocks; b++)
    look_for_block(c, st, &layout->blocks[b]);
  look_for_extra(c, st, layout->arch.tied);
  summarize(c);
  FT_TRY(ft_hf_mistakes_end(&c->mistakes, dir));
  if (passed_over) FT_TRY(tell_passed_over(c, passed_over));
out:
  if (c) ft_free(c->known);
  ft_free(c);
  return err;
}

static void warn(const char *dir, const char *remark) {
  if (remark && *remark) ft_log(FT_LOG_WARNING, "%s: %s", dir, remark);
}

ft_err ft_hf_check_weights(const char *dir, const ft_hf_config *config) {
  ft_err err = FT_OK;
  ft_safetensors *st = NULL;
  char *passed_over = NULL;
  FT_TRY(ft_safetensors_open(dir, &st));
  FT_TRY(ft_hf_check_tensors(st, dir, config->layout, &passed_over));
  warn(dir, config->remarks);
  warn(dir, ft_safetensors_remarks(st));
  warn(dir, passed_over);
out:
  ft_free(passed_over);
  ft_safetensors_close(st);
  return err;
}

/* ---------------------------------------------------------------- values */

int64_t ft_hf_first_not_finite(const float *values, int64_t count) {
  const uint32_t exponent = 0x7f800000u;
  uint32_t any = 0;
  for (int64_t i = 0; i < count; i++)
    any |= (uint32_t)((ft_f32_bits(values[i]) & exponent) == exponent);
  if (!any) return -1;
  for (int64_t i = 0; i < count; i++)
    if ((ft_f32_bits(values[i]) & exponent) == exponent) return i;
  return -1;
}
