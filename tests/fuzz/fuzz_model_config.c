/* A model's config.json and, behind a zero, its generation_config.json. */
#include "fuzz.h"
#include "ft/hf.h"

#define DIR MEMORY_ROOT "model"

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  return 0;
}

/* What others take for granted of an accepted config. */
static void check(const ft_hf_config *config) {
  const ft_arch *a = &config->arch;
  fuzz_demand(a->hidden > 0 && a->heads > 0 && a->kv_heads > 0 && a->heads % a->kv_heads == 0 &&
                  a->head_dim > 0 && (a->head_dim % 2 == 0 || a->num_ropes == 0) && a->vocab > 0 &&
                  a->layers > 0,
              "dimensions are possible");
  fuzz_demand(ft_arch_num_parameters(a) > 0, "parameters can be counted");
  for (int64_t i = 0; i < config->num_eos_tokens; i++)
    fuzz_demand(config->eos_tokens[i] >= 0 && config->eos_tokens[i] < a->vocab, "eos is a token");
  fuzz_demand(config->bos_token >= -1 && config->bos_token < a->vocab, "bos is a token");
  for (int64_t block = 0; block < FT_MIN(3, config->layout->num_blocks); block++)
    fuzz_demand(config->layout->blocks[block].num_elements > 0, "a block has elements");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  ft_hf_config config;
  fuzz_file_of_part(DIR "/config.json", data, bytes, 0);
  fuzz_file_of_part(DIR "/generation_config.json", data, bytes, 1);
  fuzz_begin();
  ft_err err = ft_hf_config_read(DIR, &config);
  if (err == FT_OK) {
    check(&config);
    ft_hf_config_fini(&config);
  }
  fuzz_end(err, FT_ERR_DATA);
  return 0;
}
