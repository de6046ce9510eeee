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

typedef ft_err visitor(ft_data *data, const ft_data_place *document, void *arg);

/* Calls visit for each document of rows first … first+num_rows-1 of the stream. */
static ft_err visit_rows(ft_data *data, int64_t first, int64_t num_rows, visitor *visit,
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
    for (int64_t i = begin * shards->per_item; i < end * shards->per_item; i++) {
      int64_t item = i / shards->per_item, within = i % shards->per_item;
      if (shards->packing_order) item = shards->packing_order[item];
      ft_data_place place =
          place_of(data, shards, item * shards->per_item + within, n / shards->num_rows);
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
  ft_free(batch->of_answer);
  ft_free(batch->positions);
  ft_free(batch->offsets);
  ft_free(batch->classes);
  ft_free(batch->documents);
  *batch = (ft_batch){0};
}

/* Room for one more document that takes `length` rows. */
static ft_err reserve(ft_batch *batch, int64_t length) {
  const ft_array of_tokens[] = {{(void **)&batch->tokens, sizeof *batch->tokens},
                                {(void **)&batch->targets, sizeof *batch->targets},
                                {(void **)&batch->of_answer, sizeof *batch->of_answer},
                                {(void **)&batch->positions, sizeof *batch->positions}};
  const ft_array of_documents[] = {{(void **)&batch->offsets, sizeof *batch->offsets},
                                   {(void **)&batch->classes, sizeof *batch->classes},
                                   {(void **)&batch->documents, sizeof *batch->documents}};
  ft_err err = ft_grow_all(FT_MEM_DATA, batch->num_tokens + length, &batch->capacity_tokens,
                           of_tokens, FT_ARRAY_SIZE(of_tokens));
  if (err != FT_OK) return err;
  return ft_grow_all(FT_MEM_DATA, batch->num_documents + 2, /* offsets has one more */
                     &batch->capacity_documents, of_documents, FT_ARRAY_SIZE(of_documents));
}

/* Where the next document of the batch goes, of `length` tokens: room for it, with the rows before
 * it. */
static ft_err open_slot(const ft_data *data, ft_batch *batch, int64_t length, ft_data_slot *slot) {
  int64_t at = batch->num_tokens, virtual_rows = data->virtual_rows;
  ft_err err = reserve(batch, virtual_rows + length);
  if (err != FT_OK) return err;
  for (int64_t i = at; i < at + virtual_rows; i++) {
    batch->tokens[i] = FT_NO_TOKEN;
    batch->targets[i] = -1;
    batch->of_answer[i] = false;
  }
  *slot = (ft_data_slot){.tokens = batch->tokens + at + virtual_rows,
                         .targets = batch->targets + at + virtual_rows,
                         .of_answer = batch->of_answer + at + virtual_rows};
  return FT_OK;
}

/* The slot has been filled with `length` tokens. */
static void take_slot(const ft_data *data, ft_batch *batch, const ft_data_slot *slot,
                      int64_t length, int64_t item) {
  int64_t d = batch->num_documents++, rows = data->virtual_rows + length;
  for (int64_t i = 0; i < rows; i++)
    batch->positions[batch->num_tokens + i] = (int32_t)i;
  batch->classes[d] = slot->class_of;
  batch->documents[d] = slot->about;
  batch->documents[d].item = item;
  batch->num_tokens += rows;
  batch->num_targets += slot->num;
  batch->offsets[d + 1] = batch->num_tokens;
}

static ft_err append_document(ft_data *data, const ft_data_place *document, void *arg) {
  ft_err err = FT_OK;
  ft_batch *batch = arg;
  ft_data_slot slot;
  FT_TRY(open_slot(data, batch, document->length, &slot));
  FT_TRY(ft_data_read_document(data, document, &slot));
  bool rejected = slot.about.part == FT_PART_REJECTED;
  int64_t item = rejected ? batch->num_items - 1 : batch->num_items;
  take_slot(data, batch, &slot, document->length, item);
  batch->num_items += !rejected;
out:
  return err;
}

ft_err ft_data_rows(ft_data *data, int64_t first, int64_t num_rows, ft_batch *batch) {
  batch->num_tokens = batch->num_documents = batch->num_targets = batch->num_items = 0;
  batch->virtual_rows = data->virtual_rows;
  ft_err err = reserve(batch, 1);
  if (err != FT_OK) return err;
  batch->offsets[0] = 0;
  return visit_rows(data, first, num_rows, append_document, batch);
}

void ft_batch_drop_virtual(ft_batch *batch) {
  int64_t to = 0, from = 0;
  for (int64_t d = 0; d < batch->num_documents; d++) {
    int64_t end = batch->offsets[d + 1];
    for (from += batch->virtual_rows; from < end; from++, to++) {
      batch->tokens[to] = batch->tokens[from];
      batch->targets[to] = batch->targets[from];
      batch->of_answer[to] = batch->of_answer[from];
      batch->positions[to] = batch->positions[from] - (int32_t)batch->virtual_rows;
    }
    batch->offsets[d + 1] = to;
  }
  batch->num_tokens = to;
  batch->virtual_rows = 0;
}

/* ---------------------------------------------------------------- mismatched documents */

typedef struct mismatching {
  ft_batch *batch;
  int64_t item;
  ft_data_place previous; /* the document before the one that comes next */
  int64_t answer_at;      /* where the answer begins in it */
} mismatching;

static ft_err note_document(ft_data *data, const ft_data_place *document, void *arg) {
  (void)data;
  *(ft_data_place *)arg = *document;
  return FT_OK;
}

static ft_err append_mismatched(ft_data *data, const ft_data_place *document, void *arg) {
  ft_err err = FT_OK;
  mismatching *m = arg;
  int64_t prompt;
  FT_TRY(ft_data_prompt_length(data, document, &prompt));
  int64_t length = FT_MIN(prompt + m->previous.length - m->answer_at, data->seq_len);
  ft_data_slot slot;
  FT_TRY(open_slot(data, m->batch, length, &slot));
  FT_TRY(
      ft_data_read_mismatched(data, document, prompt, &m->previous, m->answer_at, length, &slot));
  take_slot(data, m->batch, &slot, length, m->item++);
  m->previous = *document;
  m->answer_at = prompt;
out:
  return err;
}

ft_err ft_data_add_mismatched(ft_data *data, int64_t first, int64_t num_rows, int64_t batch_first,
                              int64_t batch_rows, ft_batch *batch) {
  mismatching m = {.batch = batch};
  FT_ASSERT(data->target == FT_TARGET_RATED && first >= batch_first &&
            first + num_rows <= batch_first + batch_rows);
  int64_t before = first > batch_first ? first - 1 : batch_first + batch_rows - 1;
  ft_err err = visit_rows(data, before, 1, note_document, &m.previous);
  if (err == FT_OK) err = ft_data_prompt_length(data, &m.previous, &m.answer_at);
  return err == FT_OK ? visit_rows(data, first, num_rows, append_mismatched, &m) : err;
}

/* ---------------------------------------------------------------- counting */

static ft_err count_document(ft_data *data, const ft_data_place *document, void *arg) {
  return ft_data_count_document(data, document, arg);
}

ft_err ft_data_count(ft_data *data, int64_t first, int64_t num_rows, ft_data_counts *counts) {
  *counts = (ft_data_counts){0};
  return visit_rows(data, first, num_rows, count_document, counts);
}
