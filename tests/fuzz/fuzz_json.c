/* Any JSON text: parsed, printed, and what was printed read again as the same. */
#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  return 0;
}

static void print_and_read(const cJSON *json, bool pretty) {
  char *text = NULL, *again = NULL;
  cJSON *read = NULL;
  fuzz_demand(ft_json_print(json, pretty, &text) == FT_OK, "what was read can be printed");
  fuzz_demand(ft_json_parse(text, strlen(text), "printed", &read) == FT_OK, "and read again");
  fuzz_demand(ft_json_print(read, pretty, &again) == FT_OK && strcmp(text, again) == 0,
              "and is the same");
  cJSON_Delete(read);
  ft_free(text);
  ft_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  cJSON *json = NULL, *record = NULL;
  fuzz_begin();
  ft_err err = ft_json_parse((const char *)data, bytes, "input", &json);
  if (err == FT_OK) {
    print_and_read(json, false);
    print_and_read(json, true);
  }
  ft_err second = ft_json_parse_data((const char *)data, bytes, "input", &record);
  fuzz_demand(err != FT_OK || second == FT_OK, "what is JSON is JSON for records, too");
  cJSON_Delete(json);
  cJSON_Delete(record);
  fuzz_end(second, FT_ERR_DATA);
  return 0;
}
