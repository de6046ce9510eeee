/* A training stream: its sources opened, checked, packed and mixed; counts. */
#include "data_internal.h"

static ft_err check_options(const ft_data_options *options) {
  if (options->num_sources < 1) return ft_fail(FT_ERR_CONFIG, "no data sources are given");
  if (options->seq_len < 1 || options->seq_len > INT32_MAX)
    return ft_fail(FT_ERR_CONFIG, "data.seq_len is %lld; it must be 1 to %d",
                   (long long)options->seq_len, INT32_MAX);
  if (options->model_vocab > INT32_MAX)
    return ft_fail(FT_ERR_DATA, "%s has a vocabulary of %u tokens; at most %d are supported",
                   options->model_path, options->model_vocab, INT32_MAX);
  return FT_OK;
}

static ft_err init_mix(ft_data *data, const ft_data_options *options) {
  int64_t *rows = NULL;
  ft_err err = ft_alloc_array(FT_MEM_DATA, data->num_sources, sizeof *rows, (void **)&rows);
  if (err != FT_OK) return err;
  for (int64_t i = 0; i < data->num_sources; i++)
    rows[i] = data->sources[i].num_rows;
  err = ft_data_mix_init(&data->mix, options, rows);
  ft_free(rows);
  return err;
}

static ft_err open_sources(ft_data *data, const ft_data_options *options) {
  ft_err err = FT_OK;
  ft_mistakes mistakes = {0};
  FT_TRY(ft_alloc_array(FT_MEM_DATA, options->num_sources, sizeof *data->sources,
                        (void **)&data->sources));
  data->num_sources = options->num_sources;
  for (int64_t i = 0; i < data->num_sources; i++)
    FT_TRY(ft_data_shards_open(&data->sources[i], options, i, &mistakes));
  ft_data_compare_preparations(data, &mistakes);
  err = ft_mistakes_fail(&mistakes, NULL);
  if (err != FT_OK) goto out;
  for (int64_t i = 0; i < data->num_sources; i++)
    FT_TRY(ft_data_pack(&data->sources[i], options));
  FT_TRY(init_mix(data, options));
out:
  return err;
}

ft_err ft_data_open(const ft_data_options *options, ft_data **out) {
  ft_err err = FT_OK;
  ft_data *data = NULL;
  *out = NULL;
  FT_TRY(check_options(options));
  FT_TRY(ft_alloc(FT_MEM_DATA, sizeof *data, (void **)&data));
  data->seq_len = options->seq_len;
  data->virtual_rows = options->virtual_rows;
  data->packing = options->packing;
  data->shuffle = options->shuffle;
  data->target = options->target;
  data->prompt_targets = options->prompt_targets;
  data->vocab = options->model_vocab;
  data->seed = options->seed;
  FT_TRY(open_sources(data, options));
  *out = data;
  data = NULL;
out:
  ft_data_close(data);
  return err;
}

void ft_data_close(ft_data *data) {
  if (!data) return;
  for (int64_t i = 0; i < data->num_sources; i++)
    ft_data_shards_fini(&data->sources[i]);
  ft_free(data->sources);
  ft_data_mix_fini(&data->mix);
  ft_free(data->mask);
  ft_free(data);
}

/* ---------------------------------------------------------------- counts */

int64_t ft_data_num_rows(const ft_data *data) {
  int64_t sum = 0;
  for (int64_t i = 0; i < data->mix.num_sources; i++)
    sum += data->sources[i].num_rows;
  return ft_data_mix_length(&data->mix, sum);
}

int64_t ft_data_source_rows(const ft_data *data, int64_t source) {
  FT_ASSERT(source >= 0 && source < data->num_sources);
  return data->sources[source].num_rows;
}

int64_t ft_data_source_documents(const ft_data *data, int64_t source) {
  FT_ASSERT(source >= 0 && source < data->num_sources);
  return data->sources[source].num_documents;
}

int64_t ft_data_source_tokens(const ft_data *data, int64_t source) {
  FT_ASSERT(source >= 0 && source < data->num_sources);
  return data->sources[source].bases[data->sources[source].num_files];
}

/* Of an amount that source i has, what comes in one epoch of all. */
static int64_t in_epoch(const ft_data *data, int64_t i, int64_t amount) {
  if (i < data->mix.num_sources) return amount;
  int64_t rows = ft_data_num_rows(data);
  for (int64_t k = 0; k < data->mix.num_sources; k++)
    rows -= data->sources[k].num_rows;
  return (int64_t)((double)amount * (double)rows / (double)data->sources[i].num_rows);
}

int64_t ft_data_num_documents(const ft_data *data) {
  int64_t sum = 0;
  for (int64_t i = 0; i < data->num_sources; i++)
    sum += in_epoch(data, i, data->sources[i].num_documents);
  return sum;
}

int64_t ft_data_num_tokens(const ft_data *data) {
  int64_t sum = 0;
  for (int64_t i = 0; i < data->num_sources; i++)
    sum += in_epoch(data, i, ft_data_source_tokens(data, i));
  return sum;
}

int64_t ft_data_longest_row(const ft_data *data) {
  int64_t longest = 0;
  for (int64_t i = 0; i < data->num_sources; i++)
    longest = FT_MAX(longest, data->sources[i].longest_row);
  return longest;
}

int64_t ft_data_batch_tokens(const ft_data_shape *shape, int64_t num_rows) {
  int64_t most = num_rows * shape->longest_row;
  if (shape->target != FT_TARGET_RATED) return most;
  /* its prompts, and its answers but for the first one's; where a row is one document, each is cut
   * by itself */
  int64_t document = shape->seq_len + shape->virtual_rows, mismatched = most + document;
  return shape->packing ? mismatched : FT_MIN(mismatched, num_rows * document);
}

int64_t ft_data_max_tokens(const ft_data *data, int64_t num_rows) {
  const ft_data_shape shape = {.target = data->target,
                               .packing = data->packing,
                               .seq_len = data->seq_len,
                               .virtual_rows = data->virtual_rows,
                               .longest_row = ft_data_longest_row(data)};
  return ft_data_batch_tokens(&shape, num_rows);
}
