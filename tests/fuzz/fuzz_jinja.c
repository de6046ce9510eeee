/* A chat template, rendered with a conversation that has a bit of everything. */
#include "fuzz.h"

#include "ft/jinja.h"

static cJSON *inputs;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  static const char text[] =
      "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":"
      "[{\"type\":\"text\",\"text\":\"\\u00e9 x\\n\"}]},{\"role\":\"assistant\",\"content\":\"\","
      "\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"a\":[1,2.5,null]}}}]}],"
      "\"tools\":[{\"n\":123456789012345678901}],\"bos_token\":\"<s>\",\"t\":true}";
  if (ft_json_parse(text, sizeof text - 1, "inputs", &inputs) != FT_OK) return 1;
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  ft_jinja_input list[8];
  int64_t count = 0;
  ft_jinja *t;
  ft_jinja_text out = {0};
  for (const cJSON *item = inputs->child; item; item = item->next)
    list[count++] = (ft_jinja_input){.name = item->string, .value = item};
  ft_jinja_options options = {.inputs = list,
                              .num_inputs = count,
                              .turns = "messages",
                              .num_turns = -1,
                              .max_bytes = 8 << 20,
                              .max_steps = 100000};
  fuzz_begin();
  ft_err err = ft_jinja_parse((const char *)data, bytes, "template", &t);
  if (err == FT_OK) {
    err = ft_jinja_render(t, &options, &out);
    size_t end = 0;
    for (int64_t i = 0; err == FT_OK && i < out.num_spans; i++) {
      fuzz_demand(out.spans[i].end > end, "spans follow each other");
      fuzz_demand(out.spans[i].origin < out.num_origins, "spans have an origin");
      end = out.spans[i].end;
    }
    if (err == FT_OK) fuzz_demand(end == out.bytes, "spans cover the text");
    ft_jinja_free(t);
  }
  ft_jinja_text_fini(&out);
  fuzz_end(err, FT_ERR_DATA);
  return 0;
}
