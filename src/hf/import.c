/* Weights from safetensors into this rank's slices: each rank reads what it owns, in pieces of
 * bounded size, and looks at every number once. What the ranks have read of a tensor is compared
 * with its checksum, if it has one, together. */
#include <assert.h>

#include "ft/kernels.h"
#include "hf_internal.h"

enum { PIECE_ELEMENTS = 1 << 20 };

typedef struct importer {
  ft_safetensors *st;
  ft_shard *shard;
  void *raw;      /* [PIECE_ELEMENTS] of any dtype */
  float *values;  /* [PIECE_ELEMENTS] */
  uint64_t *sums; /* [blocks][FT_MAX_BLOCK_TENSORS] of what this rank has read of each tensor */
} importer;

/* Ranks' parts of a tensor meet between units. */
static_assert(FT_TENSOR_ALIGN % FT_SAFETENSORS_UNIT == 0 && PIECE_ELEMENTS % FT_TENSOR_ALIGN == 0,
              "parts of a tensor are not whole units");

/* Elements first … first+count-1 of a tensor. */
static ft_err import_elements(importer *in, int64_t block, const ft_tensor *t,
                              const ft_safetensor *source, int64_t first, int64_t count,
                              uint64_t *sum) {
  ft_err err = FT_OK;
  while (count > 0) {
    int64_t n = FT_MIN(count, (int64_t)PIECE_ELEMENTS);
    FT_TRY(ft_shard_check(in->shard)); /* reading a model takes long */
    FT_TRY(ft_safetensors_read(in->st, source, first, n, in->raw));
    if (source->has_sum) *sum += ft_safetensors_part_sum(source, first, n, in->raw);
    ft_convert(FT_F32, in->values, source->dtype, in->raw, n);
    int64_t bad = ft_hf_first_not_finite(in->values, n);
    FT_CHECK(bad < 0, FT_ERR_DATA, "%s: element %lld of %s is %g: the weights are damaged",
             ft_safetensors_file(in->st, source), (long long)(first + bad), source->name,
             (double)in->values[bad]);
    ft_shard_set_weights(in->shard, block, t->offset + first, n, in->values);
    first += n;
    count -= n;
  }
out:
  return err;
}

static const ft_safetensor *find_source(const importer *in, int64_t block, const ft_tensor *t) {
  char name[FT_HF_NAME_BYTES];
  ft_hf_tensor_name(ft_shard_block(in->shard, block), t->role, name, sizeof name);
  const ft_safetensor *source = ft_safetensors_find(in->st, name);
  FT_ASSERT(source != NULL); /* ft_hf_check_tensors has looked */
  return source;
}

/* What a range shares with each tensor of its block. */
static ft_err import_range(importer *in, int64_t block, const ft_range *range) {
  ft_err err = FT_OK;
  const ft_block *b = ft_shard_block(in->shard, block);
  for (int i = 0; i < b->num_tensors; i++) {
    const ft_tensor *t = &b->tensors[i];
    int64_t first = FT_MAX(range->start, t->offset);
    int64_t end = FT_MIN(range->start + range->count, t->offset + ft_tensor_elements(t));
    if (first >= end) continue;
    FT_TRY(import_elements(in, block, t, find_source(in, block, t), first - t->offset, end - first,
                           &in->sums[block * FT_MAX_BLOCK_TENSORS + i]));
  }
out:
  return err;
}

static ft_err import_all(importer *in, const char *dir) {
  ft_err err = FT_OK;
  int64_t num_blocks = ft_shard_num_blocks(in->shard);
  FT_TRY(ft_safetensors_open(dir, &in->st));
  FT_TRY(ft_hf_check_tensors(in->st, dir, ft_shard_layout(in->shard), NULL));
  FT_TRY(ft_alloc_array(FT_MEM_IO, PIECE_ELEMENTS, sizeof(float), &in->raw));
  FT_TRY(ft_alloc_array(FT_MEM_IO, PIECE_ELEMENTS, sizeof(float), (void **)&in->values));
  FT_TRY(ft_alloc_array(FT_MEM_IO, num_blocks, FT_MAX_BLOCK_TENSORS * sizeof(uint64_t),
                        (void **)&in->sums));
  for (int64_t block = 0; block < num_blocks; block++) {
    int64_t num_ranges;
    const ft_range *ranges = ft_shard_ranges(in->shard, block, &num_ranges);
    for (int64_t i = 0; i < num_ranges; i++)
      FT_TRY(import_range(in, block, &ranges[i]));
  }
out:
  ft_free(in->raw);
  ft_free(in->values);
  return err;
}

/* Compares the tensors of a block with its sums over all ranks. */
static ft_err check_block(const importer *in, int64_t block) {
  ft_err err = FT_OK;
  const ft_block *b = ft_shard_block(in->shard, block);
  for (int i = 0; i < b->num_tensors; i++) {
    const ft_safetensor *source = find_source(in, block, &b->tensors[i]);
    FT_CHECK(
        !source->has_sum || in->sums[block * FT_MAX_BLOCK_TENSORS + i] == source->sum, FT_ERR_DATA,
        "%s: the checksum of tensor %s (bytes %lld to %lld) does not fit: the file is damaged; "
        "make or get it again",
        ft_safetensors_file(in->st, source), source->name, (long long)source->begin,
        (long long)source->begin + source->elements * (int64_t)ft_dtype_bytes(source->dtype) - 1);
  }
out:
  return err;
}

/* Adds up what the ranks have read. Every rank comes to the same verdict. */
static ft_err check_sums(importer *in, ft_comm *comm) {
  ft_err err = FT_OK;
  int64_t num_blocks = ft_shard_num_blocks(in->shard);
  FT_TRY(ft_comm_sum_u64(comm, in->sums, num_blocks * FT_MAX_BLOCK_TENSORS));
  for (int64_t block = 0; block < num_blocks; block++)
    FT_TRY(check_block(in, block));
out:
  return err;
}

ft_err ft_hf_import(const char *dir, ft_shard *shard, ft_comm *comm) {
  ft_err err = FT_OK;
  importer in = {.shard = shard};
  FT_TRY(ft_comm_agree(comm, import_all(&in, dir)));
  FT_TRY(check_sums(&in, comm));
  FT_TRY(ft_shard_spread(shard));
  FT_TRY(ft_shard_weights_changed(shard));
out:
  ft_free(in.sums);
  ft_safetensors_close(in.st);
  return err;
}
