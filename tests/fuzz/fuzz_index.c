/* model.safetensors.index.json beside two files that it may name, which have the tensors a, b and
 * b, c. */
#include "fuzz.h"

#define DIR MEMORY_ROOT "model/"

/* Header length (filled in), header, and the buffer. */
static char first[] = "\0\0\0\0\0\0\0\0"
                      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                      "\"b\":{\"dtype\":\"F16\",\"shape\":[2,2],\"data_offsets\":[8,16]}}"
                      "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
static char second[] = "\0\0\0\0\0\0\0\0"
                       "{\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]},"
                       "\"c\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[4,12]}}"
                       "\0\0\0\0\0\0\0\0\0\0\0";

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  first[0] = (char)(sizeof first - 8 - 16);
  second[0] = (char)(sizeof second - 8 - 12);
  memory_file(DIR "one.safetensors", first, sizeof first);
  memory_file(DIR "two.safetensors", second, sizeof second);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  ft_safetensors *st = NULL;
  char element[4];
  memory_file(DIR "model.safetensors.index.json", data, bytes);
  fuzz_begin();
  ft_err err = ft_safetensors_open(MEMORY_ROOT "model", &st);
  for (int64_t i = 0; err == FT_OK && i < ft_safetensors_count(st); i++) {
    const ft_safetensor *t = ft_safetensors_at(st, i);
    fuzz_demand(ft_safetensors_find(st, t->name) == t, "a tensor is there once");
    if (t->supported) err = ft_safetensors_read(st, t, t->elements - 1, 1, element);
  }
  ft_safetensors_close(st);
  fuzz_end(err, FT_ERR_DATA);
  return 0;
}
