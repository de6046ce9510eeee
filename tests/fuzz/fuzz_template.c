/* What a model directory says of its chats: the template that the first byte stands for, then, cut
 * at zeros, tokenizer_config.json, chat_template.jinja and generation_config.json. */
#include "fuzz.h"

#include "chat_tokenizer.h"

static ft_tokenizer *tokenizer;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  ft_log_set_rank(1); /* silent */
  tokenizer = chat_tokenizer();
  fuzz_keeps_memory();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  static const char *const files[] = {CHAT_DIR "/tokenizer_config.json",
                                      CHAT_DIR "/chat_template.jinja",
                                      CHAT_DIR "/generation_config.json"};
  ft_render_options options;
  ft_ids ids = {0};
  if (bytes == 0) return 0;
  for (int i = 0; i < 3; i++)
    fuzz_file_of_part(files[i], data + 1, bytes - 1, i);
  fuzz_begin();
  ft_err err = ft_render_options_init(CHAT_DIR, tokenizer, chat_template(data[0]), NULL, &options);
  if (err == FT_OK) {
    err = ft_render_prompt(tokenizer, &options, "ab b", &ids);
    ft_ids_fini(&ids);
    ft_render_options_fini(&options);
  }
  fuzz_end(err, FT_ERR_DATA);
  return 0;
}
