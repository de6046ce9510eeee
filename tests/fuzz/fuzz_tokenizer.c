/* tokenizer.json: opened; a text is encoded, with and without special tokens, and decoded. */
#include "fuzz.h"
#include "tokenizer/char_class.h"
#include "ft/tokenizer.h"

static const char text[] = "Ab ab\t  a12 \xc3\xa4\xe2\x80\x8b <s>ab's\r\n x";

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  ft_log_set_rank(1); /* silent */
  /* a table that is made once and kept: before memory is counted */
  return ft_char_classes_get() ? 0 : 1;
}

static ft_err use(const ft_tokenizer *t) {
  ft_err err = FT_OK;
  ft_ids ids = {0};
  char *decoded = NULL, piece[80];
  size_t bytes;
  for (int specials = 0; specials < 2; specials++) {
    ids.count = 0;
    FT_TRY(ft_tokenizer_encode(t, text, sizeof text - 1, specials, 1, &ids));
    for (int64_t i = 0; i < ids.count; i++)
      fuzz_demand(ids.ids[i] < ft_tokenizer_vocab_size(t) && ft_tokenizer_token(t, ids.ids[i]),
                  "an id is a token's");
  }
  FT_TRY(ft_tokenizer_decode(t, ids.ids, ids.count, true, &decoded, &bytes));
  for (int64_t i = 0; i < ids.count; i++)
    fuzz_demand(ft_tokenizer_piece(t, ids.ids[i], i == 0, piece, sizeof piece) <= sizeof piece,
                "a piece fits its room");
out:
  ft_free(decoded);
  ft_ids_fini(&ids);
  return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  ft_tokenizer *t = NULL;
  memory_file(MEMORY_ROOT "model/tokenizer.json", data, bytes);
  fuzz_begin();
  ft_err err = ft_tokenizer_open(MEMORY_ROOT "model", &t);
  if (err == FT_OK) err = use(t);
  ft_tokenizer_close(t);
  fuzz_end(err, FT_ERR_DATA);
  return 0;
}
