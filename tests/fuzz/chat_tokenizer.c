#include "fuzz.h"

#include "chat_tokenizer.h"

#include <stdlib.h>

static const char json[] =
    "{\"added_tokens\":[{\"id\":4,\"content\":\"<s>\",\"special\":true},"
    "{\"id\":5,\"content\":\"</s>\",\"special\":true},"
    "{\"id\":6,\"content\":\"<|im_start|>\",\"special\":true},"
    "{\"id\":7,\"content\":\"<|im_end|>\",\"special\":true},"
    "{\"id\":8,\"content\":\"<|begin_of_text|>\",\"special\":true},"
    "{\"id\":9,\"content\":\"<|start_header_id|>\",\"special\":true},"
    "{\"id\":10,\"content\":\"<|end_header_id|>\",\"special\":true},"
    "{\"id\":11,\"content\":\"<|eot_id|>\",\"special\":true}],"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\" \":3},"
    "\"merges\":[\"a b\"]}}";

ft_tokenizer *chat_tokenizer(void) {
  ft_tokenizer *t;
  memory_file(CHAT_DIR "/tokenizer.json", json, sizeof json - 1);
  if (ft_tokenizer_open(CHAT_DIR, &t) == FT_OK) return t;
  fprintf(stderr, "%s\n", ft_error_message());
  abort();
}

ft_template chat_template(unsigned number) {
  static const ft_template all[] = {FT_TEMPLATE_AUTO,   FT_TEMPLATE_CHATML, FT_TEMPLATE_LLAMA2,
                                    FT_TEMPLATE_LLAMA3, FT_TEMPLATE_ALPACA, FT_TEMPLATE_PLAIN};
  return all[number % FT_ARRAY_SIZE(all)];
}
