/* Checksums of a safetensors file's tensors: of each the sum, modulo 2^64, of its units' hashes, so
 * that readers of parts can add up what each of them has read. */
#include <string.h>

#include "safetensors.h"

/* The same of elements of this width. */
static uint64_t sum_units(int64_t width, int64_t start, int64_t count, const void *raw) {
  int64_t unit = start / FT_SAFETENSORS_UNIT;
  const char *data = raw;
  uint64_t sum = 0;
  for (int64_t now; count > 0; count -= now, data += now * width) {
    now = FT_MIN(count, (int64_t)FT_SAFETENSORS_UNIT);
    sum += ft_hash64(data, (size_t)(now * width), (uint64_t)unit++);
  }
  return sum;
}

uint64_t ft_safetensors_part_sum(const ft_safetensor *t, int64_t start, int64_t count,
                                 const void *raw) {
  FT_ASSERT(start % FT_SAFETENSORS_UNIT == 0 &&
            (count % FT_SAFETENSORS_UNIT == 0 || start + count == t->elements));
  return sum_units((int64_t)ft_dtype_bytes(t->dtype), start, count, raw);
}

/* ---------------------------------------------------------------- reading */

ft_err ft_safetensors_sums(const ft_safetensors_source *f, const cJSON *header,
                           const char **digits) {
  ft_err err = FT_OK;
  const cJSON *metadata = ft_json_get(header, "__metadata__");
  const cJSON *sums = f->hashes && metadata ? ft_json_get(metadata, FT_SAFETENSORS_SUMS) : NULL;
  size_t num_tensors = (size_t)cJSON_GetArraySize(header) - 1; /* without __metadata__ */
  *digits = NULL;
  if (!sums) goto out;
  FT_CHECK(cJSON_IsString(sums) && strlen(sums->valuestring) == FT_SAFETENSORS_DIGITS * num_tensors,
           FT_ERR_DATA, "%s: " FT_SAFETENSORS_SUMS " is not 16 digits for each of its %zu tensors",
           f->path, num_tensors);
  *digits = sums->valuestring;
out:
  return err;
}

ft_err ft_safetensors_take_sum(const ft_safetensors_source *f, const char **digits,
                               ft_safetensor *t) {
  if (!*digits) return FT_OK;
  t->has_sum = ft_safetensors_read_hash(*digits, &t->sum);
  *digits += FT_SAFETENSORS_DIGITS;
  if (t->has_sum) return FT_OK;
  return ft_fail(FT_ERR_DATA, "%s: the checksum of tensor %s is not written in hexadecimal digits",
                 f->path, t->name);
}

/* ---------------------------------------------------------------- writing */

ft_err ft_sum_stream_init(ft_sum_stream *s, const ft_safetensor *tensors, int64_t count) {
  void *memory;
  *s = (ft_sum_stream){0};
  ft_err err = ft_alloc_array(FT_MEM_IO, count, sizeof *s->tensors, &memory);
  if (err != FT_OK) return err;
  s->tensors = memory;
  s->count = count;
  for (int64_t i = 0; i < count; i++) {
    const ft_safetensor *t = &tensors[i];
    int64_t elements = 1;
    for (int d = 0; d < t->num_dims; d++)
      elements *= t->dims[d];
    bool as_bytes = t->dtype_name[0] && !t->supported;
    s->tensors[i] = (ft_summed){.elements = as_bytes ? t->bytes : elements,
                                .width = as_bytes ? 1 : (int64_t)ft_dtype_bytes(t->dtype)};
  }
  return FT_OK;
}

void ft_sum_stream_fini(ft_sum_stream *s) {
  ft_free(s->tensors);
  s->tensors = NULL;
}

/* Takes what the unit at hand lacks. False: that is not there yet. */
static bool fill_unit(ft_sum_stream *s, const ft_summed *t, const void **data, size_t *bytes) {
  int64_t elements = FT_MIN((int64_t)FT_SAFETENSORS_UNIT, t->elements - s->done);
  size_t room = (size_t)(elements * t->width) - s->used;
  size_t now = FT_MIN(*bytes, room);
  if (now > 0) memcpy(s->unit + s->used, *data, now);
  s->used += now;
  *data = (const char *)*data + now;
  *bytes -= now;
  if (now < room) return false;
  s->sum += sum_units(t->width, s->done, elements, s->unit);
  s->done += elements;
  s->used = 0;
  return true;
}

bool ft_sum_stream_add(ft_sum_stream *s, const void **data, size_t *bytes, uint64_t *sum) {
  if (s->at == s->count) return false;
  const ft_summed *t = &s->tensors[s->at];
  while (s->done < t->elements)
    if (!fill_unit(s, t, data, bytes)) return false;
  *sum = s->sum;
  s->at++;
  s->done = 0;
  s->sum = 0;
  return true;
}
