/* What a stream's shards were made with, and what they are known by. */
#include "data_internal.h"

static const ft_tokens_file *next_file(const ft_data *data, int64_t *source, int64_t *index) {
  while (*source < data->num_sources && *index == data->sources[*source].num_files) {
    ++*source;
    *index = 0;
  }
  return *source < data->num_sources ? data->sources[*source].files[(*index)++] : NULL;
}

/* The first shard that knows what it was made with, or NULL. */
static const ft_tokens_file *first_known(const ft_data *data) {
  int64_t source = 0, index = 0;
  const ft_tokens_file *file;
  while ((file = next_file(data, &source, &index)) && !file->preparation.template_name[0])
    ;
  return file;
}

const ft_tokens_preparation *ft_data_preparation(const ft_data *data) {
  const ft_tokens_file *file = first_known(data);
  return file ? &file->preparation : NULL;
}

void ft_data_compare_preparations(const ft_data *data, ft_mistakes *mistakes) {
  const ft_tokens_file *first = first_known(data), *file;
  int64_t source = 0, index = 0;
  bool warned = false;
  const char *what;
  while (first && (file = next_file(data, &source, &index))) {
    if (ft_tokens_same_preparation(&first->preparation, &file->preparation, &what)) continue;
    if (what[0] == 't') {
      const ft_tokens_preparation *a = &file->preparation, *b = &first->preparation;
      ft_mistakes_add(mistakes, FT_ERR_DATA,
                      "%s was prepared with the template %s%s%.12s, %s with %s%s%.12s: one model "
                      "learns one template; prepare both with the same",
                      file->path, a->template_name, a->template_sha256[0] ? " " : "",
                      a->template_sha256, first->path, b->template_name,
                      b->template_sha256[0] ? " " : "", b->template_sha256);
    } else if (!warned) {
      ft_log(FT_LOG_WARNING, "%s and %s were prepared with different system messages", first->path,
             file->path);
      warned = true;
    }
  }
}

ft_err ft_data_identity(ft_data *data, int64_t source, uint64_t *out) {
  const ft_data_shards *shards = &data->sources[source];
  *out = 0;
  for (int64_t i = 0; i < shards->num_files; i++) {
    uint64_t one;
    ft_err err = ft_tokens_identity(shards->files[i], &one);
    if (err != FT_OK) return err;
    *out = ft_hash64(&one, sizeof one, *out);
  }
  return FT_OK;
}
