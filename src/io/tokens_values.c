/* What shards of other kinds than text and sft hold beside tokens and mask, and what a shard is
 * known by. */
#include <string.h>
#include <sys/stat.h>

#include "tokens.h"

ft_err ft_tokens_values(ft_tokens_file *f, int64_t first, int64_t count, int32_t *values) {
  ft_err err = FT_OK;
  int set = ft_tokens_extra_set(f->kind);
  FT_CHECK(set == FT_SET_LABEL || set == FT_SET_CLASSES, FT_ERR_INTERNAL,
           "%s: documents of kind %s have no values", f->path, ft_tokens_kind_name(f->kind));
  FT_TRY(ft_tokens_read_set(f, set, first, count, values));
  /* bytes widen in place, from the last on */
  for (int64_t i = count; set == FT_SET_LABEL && i-- > 0;)
    values[i] = ((const uint8_t *)values)[i];
  int32_t largest = set == FT_SET_LABEL ? 1 : INT32_MAX;
  for (int64_t i = 0; i < count; i++)
    FT_CHECK(values[i] >= 0 && values[i] <= largest, FT_ERR_DATA,
             "%s: %s of document %lld is %d; %s was expected", f->path, ft_tokens_sets[set].name,
             (long long)(first + i), (int)values[i],
             set == FT_SET_LABEL ? "0 or 1" : "a number of at least 0");
out:
  return err;
}

ft_err ft_tokens_labels(ft_tokens_file *f, int64_t start, int64_t count, int32_t *labels) {
  ft_err err = FT_OK;
  FT_CHECK(f->has_labels, FT_ERR_INTERNAL, "%s: has no labels", f->path);
  FT_TRY(ft_tokens_read_set(f, FT_SET_LABELS, start, count, labels));
  for (int64_t i = 0; i < count; i++)
    FT_CHECK(labels[i] == FT_TOKENS_NO_LABEL ||
                 (labels[i] >= 0 && (uint32_t)labels[i] < f->vocab_size),
             FT_ERR_DATA, "%s: the label of token %lld is %d; an id below %u or %d was expected",
             f->path, (long long)(start + i), (int)labels[i], f->vocab_size, FT_TOKENS_NO_LABEL);
out:
  return err;
}

ft_err ft_tokens_identity(ft_tokens_file *f, uint64_t *out) {
  if (f->checksum_at > 0) return ft_pread_all(f->fd, f->path, out, sizeof *out, f->checksum_at);
  ft_err err = FT_OK;
  struct stat info;
  FT_CHECK(fstat(f->fd, &info) == 0, FT_ERR_IO, "%s: cannot stat", f->path);
  FT_TRY(ft_tokens_hash(f->fd, f->path, info.st_size, out));
out:
  return err;
}

bool ft_tokens_same_preparation(const ft_tokens_preparation *a, const ft_tokens_preparation *b,
                                const char **what) {
  const char *system_a = a->system ? a->system : "", *system_b = b->system ? b->system : "";
  *what = NULL;
  if (!a->template_name[0] || !b->template_name[0]) return true;
  if (strcmp(a->template_name, b->template_name) != 0 ||
      strcmp(a->template_sha256, b->template_sha256) != 0)
    *what = "template";
  else if (strcmp(system_a, system_b) != 0)
    *what = "system message";
  return !*what;
}
