/* Weights from safetensors into this rank's slices: each rank reads what it owns, in pieces of
 * bounded size, and looks at every number once. What the ranks have read of a tensor is compared
 * with its checksum, if it has one, together. */
#include <assert.h>

#include "ft/kernels.h"
#include "names.h"

enum { PIECE_ELEMENTS = 1 << 20 };

typedef struct importer {
  ft_safetensors *st;
  const ft_hf_naming *naming;
  ft_shard *shard;
  ft_hf_file_tensor *tensors; /* [num_tensors] */
  int64_t num_tensors;
  void *raw;           /* [PIECE_ELEMENTS] of any dtype */
  float *values;       /* [PIECE_ELEMENTS] */
  float *turned;       /* [PIECE_ELEMENTS] of transposed tensors */
  uint64_t *sums;      /* [num_tensors] of what this rank has read of each */
  ft_hf_source random; /* of a head that no file has */
} importer;

/* Ranks' parts of a tensor meet between units. */
static_assert(FT_TENSOR_ALIGN % FT_SAFETENSORS_UNIT == 0 && PIECE_ELEMENTS % FT_TENSOR_ALIGN == 0,
              "parts of a tensor are not whole units");

/* One tensor of the files at a time. */
typedef struct reading {
  const ft_hf_file_tensor *t;
  const ft_safetensor *source;
  uint64_t *sum; /* what this rank reads goes there; NULL: not, as ranks' parts meet within units */
} reading;

static const ft_safetensor *find_source(const importer *in, const ft_hf_file_tensor *t) {
  const ft_safetensor *source = ft_hf_find_source(in->st, in->naming, t);
  FT_ASSERT(source != NULL); /* ft_hf_check_tensors has looked */
  return source;
}

static ft_err check_values(const importer *in, const reading *r, const float *values, int64_t first,
                           int64_t count) {
  int64_t bad = ft_hf_first_not_finite(values, count);
  if (bad < 0) return FT_OK;
  return ft_fail(FT_ERR_DATA, "%s: element %lld of %s is %g: the weights are damaged",
                 ft_safetensors_file(in->st, r->source), (long long)(first + bad), r->source->name,
                 (double)values[bad]);
}

/* ---------------------------------------------------------------- rows as they lie */

/* Elements first … first+count-1 of the file's tensor to the block's from `at` on. */
static ft_err import_elements(importer *in, const reading *r, int64_t first, int64_t count,
                              int64_t block, int64_t at) {
  ft_err err = FT_OK;
  while (count > 0) {
    int64_t n = FT_MIN(count, (int64_t)PIECE_ELEMENTS);
    FT_TRY(ft_shard_check(in->shard)); /* reading a model takes long */
    FT_TRY(ft_safetensors_read(in->st, r->source, first, n, in->raw));
    if (r->sum) *r->sum += ft_safetensors_part_sum(r->source, first, n, in->raw);
    ft_convert(FT_F32, in->values, r->source->dtype, in->raw, n);
    FT_TRY(check_values(in, r, in->values, first, n));
    ft_shard_set_weights(in->shard, block, at, n, in->values);
    first += n;
    at += n;
    count -= n;
  }
out:
  return err;
}

/* ---------------------------------------------------------------- columns as rows */

/* Columns column … column+count-1 of the file's tensor, each a row of ours, to in->turned. */
static ft_err read_columns(importer *in, const reading *r, int64_t column, int64_t count) {
  ft_err err = FT_OK;
  int64_t rows = r->t->dims[0], width = r->t->dims[1];
  for (int64_t i = 0; i < rows; i++) {
    FT_TRY(ft_safetensors_read(in->st, r->source, i * width + column, count, in->raw));
    ft_convert(FT_F32, in->values, r->source->dtype, in->raw, count);
    FT_TRY(check_values(in, r, in->values, i * width + column, count));
    for (int64_t c = 0; c < count; c++)
      in->turned[c * rows + i] = in->values[c];
  }
out:
  return err;
}

/* How many rows of a part are set at least at once: where it is kept in codes, whole packets. */
static int64_t fewest_rows(const ft_hf_part *part, int64_t row_elements) {
  int64_t rows = 1;
  while (part->tensor.storage != FT_CODE_NONE && rows * row_elements % FT_CODE_ELEMENTS != 0)
    rows *= 2;
  return rows;
}

/* Elements first … end-1 of a part, whose rows are columns of the file's tensor. */
static ft_err import_turned(importer *in, const reading *r, const ft_hf_part *part, int64_t first,
                            int64_t end) {
  ft_err err = FT_OK;
  int64_t rows = r->t->dims[0], fewest = fewest_rows(part, rows);
  int64_t at_once = PIECE_ELEMENTS / rows / fewest * fewest;
  FT_CHECK(at_once > 0, FT_ERR_DATA, "%s: %s has %lld rows; at most %lld are supported",
           ft_safetensors_file(in->st, r->source), r->source->name, (long long)rows,
           (long long)(PIECE_ELEMENTS / fewest));
  for (int64_t row = first / rows / fewest * fewest; row * rows < end; row += at_once) {
    int64_t count = FT_MIN(at_once, ft_round_up(end, rows) / rows - row);
    int64_t from = FT_MAX(first, row * rows), to = FT_MIN(end, (row + count) * rows);
    FT_TRY(ft_shard_check(in->shard));
    FT_TRY(read_columns(in, r, part->first + row, count));
    ft_shard_set_weights(in->shard, part->block, part->tensor.offset + from, to - from,
                         in->turned + (from - row * rows));
  }
out:
  return err;
}

/* ---------------------------------------------------------------- all of a tensor */

static bool is_mine(const ft_range *ranges, int64_t num_ranges, int64_t element) {
  for (int64_t i = 0; i < num_ranges; i++)
    if (element >= ranges[i].start && element < ranges[i].start + ranges[i].count) return true;
  return false;
}

/* Where ranks' parts do not meet between units, who owns the first element reads all of it once
 * more for its sum. */
static ft_err sum_whole(importer *in, const reading *r, uint64_t *sum) {
  ft_err err = FT_OK;
  for (int64_t first = 0; first < r->source->elements; first += PIECE_ELEMENTS) {
    int64_t n = FT_MIN((int64_t)PIECE_ELEMENTS, r->source->elements - first);
    FT_TRY(ft_safetensors_read(in->st, r->source, first, n, in->raw));
    *sum += ft_safetensors_part_sum(r->source, first, n, in->raw);
  }
out:
  return err;
}

/* Elements of a row of the file's tensor, of which a part has so many rows. */
static int64_t row_elements(const ft_hf_file_tensor *t) {
  return t->num_dims == 2 ? t->dims[1] : 1;
}

static bool parts_meet_between_units(const ft_hf_file_tensor *t) {
  for (int i = 1; i < t->num_parts; i++)
    if (t->parts[i].first * row_elements(t) % FT_SAFETENSORS_UNIT != 0) return false;
  return !t->transposed;
}

/* What this rank owns of a part. */
static ft_err import_part(importer *in, const reading *r, const ft_hf_part *part) {
  ft_err err = FT_OK;
  int64_t num_ranges, begin = part->tensor.offset;
  const ft_range *ranges = ft_shard_ranges(in->shard, part->block, &num_ranges);
  for (int64_t i = 0; i < num_ranges; i++) {
    int64_t first = FT_MAX(ranges[i].start, begin);
    int64_t end =
        FT_MIN(ranges[i].start + ranges[i].count, begin + ft_tensor_elements(&part->tensor));
    if (first >= end) continue;
    if (r->t->transposed)
      FT_TRY(import_turned(in, r, part, first - begin, end - begin));
    else
      FT_TRY(import_elements(in, r, part->first * row_elements(r->t) + first - begin, end - first,
                             part->block, first));
  }
out:
  return err;
}

/* A head that no file has. */
static bool is_new(const importer *in, const ft_hf_file_tensor *t) {
  return in->naming->new_head && t->parts[0].tensor.role == FT_ROLE_HEAD;
}

/* What this rank owns of it. */
static ft_err begin_head(importer *in, const ft_hf_part *part) {
  ft_err err = FT_OK;
  int64_t num_ranges, begin = part->tensor.offset, end = begin + ft_tensor_elements(&part->tensor);
  const ft_range *ranges = ft_shard_ranges(in->shard, part->block, &num_ranges);
  for (int64_t i = 0; i < num_ranges; i++) {
    int64_t last = FT_MIN(ranges[i].start + ranges[i].count, end);
    for (int64_t at = FT_MAX(ranges[i].start, begin); at < last; at += PIECE_ELEMENTS) {
      int64_t n = FT_MIN((int64_t)PIECE_ELEMENTS, last - at);
      FT_TRY(in->random.read(in->random.arg, part->block, at, n, in->values));
      ft_shard_set_weights(in->shard, part->block, at, n, in->values);
    }
  }
out:
  return err;
}

static ft_err import_tensor(importer *in, int64_t number) {
  ft_err err = FT_OK;
  const ft_hf_file_tensor *t = &in->tensors[number];
  if (is_new(in, t)) return begin_head(in, &t->parts[0]);
  reading r = {.t = t, .source = find_source(in, t)};
  bool summed = r.source->has_sum, whole = summed && !parts_meet_between_units(t);
  int64_t num_ranges;
  const ft_range *ranges = ft_shard_ranges(in->shard, t->parts[0].block, &num_ranges);
  if (summed && !whole) r.sum = &in->sums[number];
  for (int i = 0; i < t->num_parts; i++)
    FT_TRY(import_part(in, &r, &t->parts[i]));
  if (whole && is_mine(ranges, num_ranges, t->parts[0].tensor.offset))
    FT_TRY(sum_whole(in, &r, &in->sums[number]));
out:
  return err;
}

static ft_err import_all(importer *in, const char *dir, const ft_hf_config *config) {
  ft_err err = FT_OK;
  const ft_layout *layout = ft_shard_layout(in->shard);
  FT_TRY(ft_safetensors_open(dir, &in->st));
  if (in->naming->new_head) FT_TRY(ft_hf_random_source(config, in->naming->seed, &in->random));
  FT_TRY(ft_hf_list_tensors(config->naming, layout, &in->tensors, &in->num_tensors));
  FT_TRY(ft_hf_check_tensors(in->st, dir, config->naming, &layout->arch, in->tensors,
                             in->num_tensors, NULL));
  FT_TRY(ft_alloc_array(FT_MEM_IO, PIECE_ELEMENTS, sizeof(float), &in->raw));
  FT_TRY(ft_alloc_array(FT_MEM_IO, PIECE_ELEMENTS, sizeof(float), (void **)&in->values));
  FT_TRY(ft_alloc_array(FT_MEM_IO, PIECE_ELEMENTS, sizeof(float), (void **)&in->turned));
  FT_TRY(ft_alloc_array(FT_MEM_IO, in->num_tensors, sizeof(uint64_t), (void **)&in->sums));
  for (int64_t i = 0; i < in->num_tensors; i++)
    FT_TRY(import_tensor(in, i));
out:
  ft_free(in->raw);
  ft_free(in->values);
  ft_free(in->turned);
  ft_hf_random_source_free(&in->random);
  return err;
}

static ft_err check_sum(const importer *in, int64_t number) {
  if (is_new(in, &in->tensors[number])) return FT_OK;
  const ft_safetensor *source = find_source(in, &in->tensors[number]);
  if (!source->has_sum || in->sums[number] == source->sum) return FT_OK;
  return ft_fail(
      FT_ERR_DATA,
      "%s: the checksum of tensor %s (bytes %lld to %lld) does not fit: the file is damaged; "
      "make or get it again",
      ft_safetensors_file(in->st, source), source->name, (long long)source->begin,
      (long long)source->begin + source->elements * (int64_t)ft_dtype_bytes(source->dtype) - 1);
}

/* Adds up what the ranks have read. Every rank comes to the same verdict. */
static ft_err check_sums(importer *in, ft_comm *comm) {
  ft_err err = FT_OK;
  FT_TRY(ft_comm_sum_u64(comm, in->sums, in->num_tensors));
  for (int64_t i = 0; i < in->num_tensors; i++)
    FT_TRY(check_sum(in, i));
out:
  return err;
}

ft_err ft_hf_import(const char *dir, const ft_hf_config *config, ft_shard *shard, ft_comm *comm) {
  ft_err err = FT_OK;
  importer in = {.shard = shard, .naming = config->naming};
  FT_TRY(ft_comm_agree(comm, import_all(&in, dir, config)));
  FT_TRY(check_sums(&in, comm));
  FT_TRY(ft_shard_spread(shard));
  FT_TRY(ft_shard_weights_changed(shard));
out:
  ft_free(in.sums);
  ft_free(in.tensors);
  ft_safetensors_close(in.st);
  return err;
}
