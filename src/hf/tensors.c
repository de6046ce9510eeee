/* Whether a model directory's safetensors hold the tensors that its config promises, and whether
 * their values are numbers. */
#include <stdlib.h>
#include <string.h>

#include "family.h"
#include "names.h"

enum { MAX_LISTED = 10, MAX_NAMED = 3 };

/* ---------------------------------------------------------------- expected tensors */

void ft_hf_show_dims(int num_dims, const int64_t *dims, char *out, size_t size) {
  size_t used = (size_t)snprintf(out, size, "[");
  for (int i = 0; i < num_dims && used < size; i++)
    used += (size_t)snprintf(out + used, size - used, "%s%lld", i ? ", " : "", (long long)dims[i]);
  if (used < size) snprintf(out + used, size - used, "]");
}

bool ft_hf_has_shape(const ft_safetensor *found, int num_dims, const int64_t *dims) {
  if (found->num_dims != num_dims) return false;
  for (int i = 0; i < num_dims; i++)
    if (found->dims[i] != dims[i]) return false;
  return true;
}

typedef struct census {
  ft_mistakes mistakes;
  int64_t missing, misshapen, unreadable, extra; /* each lists its first MAX_LISTED */
  const ft_safetensor **known;                   /* [num_known] those that were expected */
  int64_t num_known;
  int64_t passed_over; /* the first of them by name: */
  char passed_names[MAX_NAMED][96];
} census;

static void note_missing(census *c, const ft_hf_naming *naming, const ft_hf_file_tensor *t) {
  char shape[64];
  ft_hf_show_dims(t->num_dims, t->dims, shape, sizeof shape);
  if (c->missing++ >= MAX_LISTED) return;
  ft_mistakes_add(&c->mistakes, FT_ERR_DATA, "%s is missing; expected shape %s%s", t->name, shape,
                  t->parts[0].tensor.role == FT_ROLE_HEAD && !naming->scored
                      ? " (config.json has tie_word_embeddings false; without this tensor it must "
                        "be true)"
                      : "");
}

static void note_misshapen(census *c, const ft_safetensor *found, const ft_hf_file_tensor *t) {
  char shape[64], other[128];
  ft_hf_show_dims(t->num_dims, t->dims, shape, sizeof shape);
  ft_hf_show_dims(FT_MIN(found->num_dims, FT_SAFETENSORS_DIMS), found->dims, other, sizeof other);
  if (c->misshapen++ >= MAX_LISTED) return;
  ft_mistakes_add(&c->mistakes, FT_ERR_DATA, "%s has shape %s; expected %s", found->name, other,
                  shape);
}

static void note_unreadable(census *c, const ft_safetensor *found) {
  if (c->unreadable++ >= MAX_LISTED) return;
  ft_mistakes_add(&c->mistakes, FT_ERR_DATA, "%s has dtype %s; supported are F32, BF16 and F16",
                  found->name, found->dtype_name);
}

static void look_for(census *c, const ft_safetensors *st, const ft_hf_naming *naming,
                     const ft_hf_file_tensor *t) {
  const ft_safetensor *found = ft_hf_find_source(st, naming, t);
  if (!found && naming->new_head && t->parts[0].tensor.role == FT_ROLE_HEAD) return;
  if (!found) {
    note_missing(c, naming, t);
    return;
  }
  c->known[c->num_known++] = found;
  if (!ft_hf_has_shape(found, t->num_dims, t->dims)) note_misshapen(c, found, t);
  if (!found->supported) note_unreadable(c, found);
}

/* ---------------------------------------------------------------- other tensors */

static int compare_pointers(const void *a, const void *b) {
  const ft_safetensor *const *x = a, *const *y = b;
  return *x < *y ? -1 : *x > *y;
}

/* Whether a name ends as the pattern, or begins as it does before its '*'. */
static bool fits(const char *name, const char *pattern) {
  const char *star = strchr(pattern, '*');
  return star ? strncmp(name, pattern, (size_t)(star - pattern)) == 0 : ft_ends_with(name, pattern);
}

bool ft_hf_is_of_no_use(const ft_hf_naming *naming, const char *name) {
  static const char *const all[] = {
      /* the rotary embedding's tables, which follow from the config */
      "rotary_emb.inv_freq", "rotary_emb.original_inv_freq", "rotary_emb.cos_cached",
      "rotary_emb.sin_cached",
      /* scales for queries, keys and values that others keep in 8 bits */
      ".q_scale", ".k_scale", ".v_scale", ".kv_scale", ".prob_scale",
      /* causal masks; heads that foresee further tokens, or value what was written */
      ".masked_bias", "mtp.*", "model.mtp.*", "v_head.*", "value_head.*"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(all); i++)
    if (fits(name, all[i])) return true;
  if (naming->new_head && strcmp(name, "lm_head.weight") == 0) return true;
  for (const char *const *unused = naming->family->unused; unused && *unused; unused++)
    if (fits(name, *unused)) return true;
  return false;
}

/* The head of a tied model: a copy, or ft_hf_follow_weights would have untied it. */
static bool is_copy(const ft_safetensors *st, const ft_hf_naming *n, const ft_safetensor *t) {
  char head[FT_HF_NAME_BYTES], embedding[FT_HF_NAME_BYTES];
  ft_hf_role_name(n, -1, FT_ROLE_HEAD, head, sizeof head);
  if (strcmp(t->name, head) != 0) return false;
  ft_hf_role_name(n, -1, FT_ROLE_EMBEDDING, embedding, sizeof embedding);
  const ft_safetensor *e = ft_safetensors_find(st, embedding);
  return e && t->supported && t->num_dims == e->num_dims &&
         memcmp(t->dims, e->dims, sizeof t->dims) == 0;
}

static void look_for_extra(census *c, const ft_safetensors *st, const ft_hf_naming *n, bool tied) {
  qsort(c->known, (size_t)c->num_known, sizeof(const ft_safetensor *), compare_pointers);
  for (int64_t i = 0; i < ft_safetensors_count(st); i++) {
    const ft_safetensor *t = ft_safetensors_at(st, i);
    if (tied && is_copy(st, n, t)) continue;
    if (bsearch(&t, c->known, (size_t)c->num_known, sizeof(const ft_safetensor *),
                compare_pointers))
      continue;
    if (ft_hf_is_of_no_use(n, t->name)) {
      if (c->passed_over < MAX_NAMED)
        snprintf(c->passed_names[c->passed_over], sizeof c->passed_names[0], "%s", t->name);
      c->passed_over++;
    } else if (!n->composite && c->extra++ < MAX_LISTED) {
      ft_mistakes_add(&c->mistakes, FT_ERR_DATA, "%.120s is not part of this model", t->name);
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
static ft_err check_prefix(const ft_safetensors *st, const char *dir, const ft_hf_naming *n,
                           bool tied) {
  char embedding[FT_HF_NAME_BYTES], head[FT_HF_NAME_BYTES];
  ft_hf_role_name(n, -1, FT_ROLE_EMBEDDING, embedding, sizeof embedding);
  ft_hf_role_name(n, -1, FT_ROLE_HEAD, head, sizeof head);
  const char *plain = embedding + strlen(n->body);
  bool found = ft_safetensors_find(st, embedding) != NULL;
  if (found && (n->body[0] || tied || ft_safetensors_find(st, head))) return FT_OK;
  if (ft_safetensors_find(st, plain) && !ft_safetensors_find(st, head))
    return ft_fail(FT_ERR_DATA,
                   "%s: tensor names lack the prefix \"model.\" (%s), and there is no %s: this is "
                   "the base model without its output head; expected is a whole model",
                   dir, plain, head);
  for (int64_t i = 0; !found && i < ft_safetensors_count(st); i++) {
    const char *name = ft_safetensors_at(st, i)->name;
    if (ft_ends_with(name, plain))
      return ft_fail(FT_ERR_DATA,
                     "%s: tensor names have another prefix than expected (%.120s instead of %s)",
                     dir, name, embedding);
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
      ft_mistakes_add(&c->mistakes, FT_ERR_DATA, "… %lld tensors are %s in all",
                      (long long)kinds[i].count, kinds[i].what);
}

ft_err ft_hf_check_tensors(const ft_safetensors *st, const char *dir, const ft_hf_naming *naming,
                           const ft_arch *arch, const ft_hf_file_tensor *tensors, int64_t count,
                           char **passed_over) {
  ft_err err = FT_OK;
  census *c = NULL;
  FT_TRY(check_prefix(st, dir, naming, arch->tied || naming->untied));
  FT_TRY(ft_alloc(FT_MEM_IO, sizeof *c, (void **)&c));
  FT_TRY(ft_alloc_array(FT_MEM_IO, count, sizeof *c->known, (void **)&c->known));
  for (int64_t i = 0; i < count; i++)
    look_for(c, st, naming, &tensors[i]);
  look_for_extra(c, st, naming, arch->tied || naming->untied);
  summarize(c);
  FT_TRY(ft_mistakes_fail(&c->mistakes, dir));
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
  ft_hf_file_tensor *tensors = NULL;
  char *passed_over = NULL;
  int64_t count;
  FT_TRY(ft_safetensors_open(dir, &st));
  FT_TRY(ft_hf_list_tensors(config->naming, config->layout, &tensors, &count));
  FT_TRY(ft_hf_check_tensors(st, dir, config->naming, &config->arch, tensors, count, &passed_over));
  warn(dir, config->remarks);
  warn(dir, ft_safetensors_remarks(st));
  warn(dir, passed_over);
out:
  ft_free(passed_over);
  ft_free(tensors);
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
