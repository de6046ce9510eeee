/* JSONL records, as prep reads and renders them: the template that the first byte stands for, then
 * the file. */
#include "fuzz.h"

#include "chat_tokenizer.h"

#define FILE_PATH MEMORY_ROOT "records.jsonl"

static ft_tokenizer *tokenizer;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  ft_log_set_rank(1); /* silent */
  tokenizer = chat_tokenizer();
  fuzz_keeps_memory();
  return 0;
}

static ft_err render(const ft_render_options *options, const char *line, size_t bytes) {
  static const ft_record_rules rules = {0};
  cJSON *json = NULL;
  ft_document document = {0};
  ft_err err = ft_line_parse(line, bytes, &json);
  if (err == FT_OK) err = ft_render_record(tokenizer, options, &rules, json, &document);
  ft_document_fini(&document);
  cJSON_Delete(json);
  return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  ft_render_options options = {.bos = 4, .eos = 5};
  ft_lines *lines = NULL;
  const char *line = "";
  size_t length;
  bool too_long;
  if (bytes == 0) return 0;
  memory_file(FILE_PATH, data + 1, bytes - 1);
  fuzz_begin();
  fuzz_demand(ft_template_resolve(chat_template(data[0]), tokenizer, &options.template) == FT_OK,
              "the tokenizer has all templates' tokens");
  ft_err err = ft_lines_open(FILE_PATH, &lines);
  while (err == FT_OK && line) {
    err = ft_lines_next(lines, &line, &length, &too_long);
    if (err != FT_OK || !line) break;
    ft_err refused = render(&options, line, length);
    fuzz_demand(refused == FT_OK || refused == FT_ERR_DATA, "a line is a record or bad");
  }
  ft_lines_close(lines);
  fuzz_end(err, FT_ERR_DATA); /* a file that is no JSON lines, by its first bytes */
  return 0;
}
