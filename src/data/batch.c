/* Micro-batches: documents of consecutive rows laid end to end, with targets and positions. */
#include "data_internal.h"

/* The last file that begins at or before the token; empty files before it begin there too. */
static int64_t file_of(const ft_data_shards *shards, int64_t token) {
  int64_t low = 0, high = shards->num_files;
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    if (shards->bases[middle] <= token)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/* Document number `document` of a source, as it is read in epoch `epoch`. */
static ft_data_place place_of(const ft_data *data, const ft_data_shards *shards, int64_t document,
                              int64_t epoch) {
  int64_t start = shards->starts[document], f = file_of(shards, start);
  return (ft_data_place){.file = shards->files[f],
                         .start = start - shards->bases[f],
                         .length = shards->starts[document + 1] - start,
                         .number = document - shards->first_documents[f],
                         .axis = start,
                         .draw = epoch * data->num_sources + shards->index};
}

/* Calls visit for each document of rows first … first+num_rows-1 of the stream. */
static ft_err visit_rows(ft_data *data, int64_t first, int64_t num_rows,
                         ft_err (*visit)(ft_data *data, const ft_data_place *document, void *arg),
                         void *arg) {
  ft_err err = FT_OK;
  FT_ASSERT(first >= 0 && num_rows >= 0 && first <= INT64_MAX - num_rows);
  for (int64_t p = first; p < first + num_rows; p++) {
    int64_t source, n, row;
    ft_data_mix_at(&data->mix, p, &source, &n);
    ft_data_shards *shards = &data->sources[source];
    FT_TRY(ft_data_row_at(shards, data->shuffle, data->seed, n, &row));
    int64_t begin = shards->row_starts ? shards->row_starts[row] : row;
    int64_t end = shards->row_starts ? shards->row_starts[row + 1] : row + 1;
    for (int64_t i = begin; i < end; i++) {
      int64_t document = shards->packing_order ? shards->packing_order[i] : i;
      ft_data_place place = place_of(data, shards, document, n / shards->num_rows);
      FT_TRY(visit(data, &place, arg));
    }
  }
out:
  return err;
}

/* ---------------------------------------------------------------- batches */

void ft_batch_fini(ft_batch *batch) {
  ft_free(batch->tokens);
  ft_free(batch->targets);
  ft_free(batch->positions);
  ft_free(batch->offsets);
  ft_free(batch->classes);
  *batch = (ft_batch){0};
}

static ft_err grow(int64_t count, size_t size, void **array) {
  return ft_realloc(FT_MEM_DATA, (size_t)count * size, array);
}

/* Room for one more document of `length` tokens. */
static ft_err reserve(ft_batch *batch, int64_t length) {
  ft_err err = FT_OK;
  int64_t tokens = batch->num_tokens + length, documents = batch->num_documents + 1;
  if (tokens > batch->capacity_tokens) {
    tokens = FT_MAX(tokens, 2 * batch->capacity_tokens);
    FT_TRY(grow(tokens, sizeof *batch->tokens, (void **)&batch->tokens));
    FT_TRY(grow(tokens, sizeof *batch->targets, (void **)&batch->targets));
    FT_TRY(grow(tokens, sizeof *batch->positions, (void **)&batch->positions));
    batch->capacity_tokens = tokens;
  }
  if (documents > batch->capacity_documents) {
    documents = FT_MAX(documents, 2 * batch->capacity_documents);
    FT_TRY(grow(documents + 1, sizeof *batch->offsets, (void **)&batch->offsets));
    FT_TRY(grow(documents, sizeof *batch->classes, (void **)&batch->classes));
    batch->capacity_documents = documents;
  }
out:
  return err;
}

static ft_err append_document(ft_data *data, const ft_data_place *document, void *arg) {
  ft_err err = FT_OK;
  ft_batch *batch = arg;
  int64_t length = document->length, at = batch->num_tokens, num;
  FT_TRY(reserve(batch, length));
  FT_TRY(ft_data_read_document(data, document, batch->tokens + at, batch->targets + at,
                               &batch->classes[batch->num_documents], &num));
  for (int64_t i = 0; i < length; i++)
    batch->positions[at + i] = (int32_t)i;
  batch->num_tokens += length;
  batch->num_targets += num;
  batch->num_documents++;
  batch->offsets[batch->num_documents] = batch->num_tokens;
out:
  return err;
}

ft_err ft_data_rows(ft_data *data, int64_t first, int64_t num_rows, ft_batch *batch) {
  batch->num_tokens = batch->num_documents = batch->num_targets = 0;
  ft_err err = reserve(batch, 1);
  if (err != FT_OK) return err;
  batch->offsets[0] = 0;
  return visit_rows(data, first, num_rows, append_document, batch);
}

/* ---------------------------------------------------------------- counting */

static ft_err count_document(ft_data *data, const ft_data_place *document, void *arg) {
  int64_t *sum = arg, num = 0;
  ft_err err = ft_data_count_document(data, document, &num);
  *sum += num;
  return err;
}

ft_err ft_data_count_targets(ft_data *data, int64_t first, int64_t num_rows, int64_t *num_targets) {
  *num_targets = 0;
  return visit_rows(data, first, num_rows, count_document, num_targets);
}
