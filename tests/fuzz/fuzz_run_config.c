/* A run's configuration and, behind zeros, up to four overrides of its keys. */
#include <stdlib.h>

#include "fuzz.h"
#include "ft/run_config.h"

#define FILE_PATH MEMORY_ROOT "run.json"
enum { MAX_OVERRIDES = 4 };

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  ft_log_set_rank(1); /* silent */
  memory_files_missing(
      "config.json"); /* of run.dir, which says how a run that goes on fills rows */
  return 0;
}

/* An accepted configuration, written out and read again, is itself. */
static void read_again(const ft_config *config) {
  ft_config again;
  fuzz_demand(ft_config_from_json(config->json, "resolved", &again) == FT_OK,
              "what was resolved is a configuration");
  ft_mistakes m = {0};
  ft_config_compare(config->json, &again, &(ft_resume_rules){0}, &m, NULL);
  fuzz_demand(m.count == 0, "and the same");
  fuzz_demand(config->steps > 0 || config->epochs > 0, "a run has a length");
  fuzz_demand(config->micro_batch > 0 && config->global_batch % config->micro_batch == 0,
              "micro-batches divide the batch");
  ft_config_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  char *text = fuzz_copy(data, bytes), *overrides[MAX_OVERRIDES];
  int64_t num = 0;
  ft_config config;
  size_t at = strlen(text);
  memory_file(FILE_PATH, text, at);
  for (; at < bytes && num < MAX_OVERRIDES; at += strlen(text + at))
    overrides[num++] = text + ++at;
  fuzz_begin();
  ft_err err = ft_config_load(FILE_PATH, overrides, num, &config);
  if (err == FT_OK) {
    read_again(&config);
    ft_config_fini(&config);
  }
  fuzz_end(err, FT_ERR_CONFIG);
  free(text);
  return 0;
}
