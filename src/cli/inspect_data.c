/* ftrun inspect: token shards. */
#include <string.h>

#include "ft/io.h"
#include "inspect.h"

enum { PIECE_TOKENS = 1 << 18 };

typedef struct scan {
  uint32_t *tokens; /* [PIECE_TOKENS] */
  uint8_t *mask;    /* [PIECE_TOKENS] */
  int64_t targets;  /* of the shard at hand */
} scan;

/* Reads every token and mask of a shard: ids, masks and first tokens are checked. */
static ft_err read_all(ft_tokens_file *file, const int64_t *offsets, scan *s) {
  ft_err err = FT_OK;
  int64_t document = 0;
  s->targets = 0;
  for (int64_t at = 0; at < file->num_tokens; at += PIECE_TOKENS) {
    int64_t count = FT_MIN((int64_t)PIECE_TOKENS, file->num_tokens - at);
    FT_TRY(ft_tokens_read(file, at, count, s->tokens, s->mask));
    for (int64_t i = 0; i < count; i++)
      s->targets += s->mask[i];
    for (; document < file->num_documents && offsets[document] < at + count; document++)
      s->targets -= offsets[document + 1] > offsets[document] && s->mask[offsets[document] - at];
  }
out:
  return err;
}

static ft_err inspect_shard(const char *path, scan *s) {
  ft_err err = FT_OK;
  ft_tokens_file *file = NULL;
  int64_t *offsets = NULL;
  bool verified = false;
  FT_TRY(ft_tokens_open(path, &file));
  FT_TRY(ft_tokens_offsets(file, &offsets));
  FT_TRY(read_all(file, offsets, s));
  FT_TRY(ft_tokens_verify(file, &verified));
  printf("%s: token shard\n", path);
  ft_inspect_line("kind", "%s", ft_tokens_kind_name(file->kind));
  ft_inspect_line("documents", "%lld", (long long)file->num_documents);
  ft_inspect_line("tokens", "%lld", (long long)file->num_tokens);
  ft_inspect_line("targets", "%lld", (long long)s->targets);
  ft_inspect_line("vocabulary", "%u", file->vocab_size);
  ft_inspect_line("tokenizer", "%s",
                  file->tokenizer_sha256[0] ? file->tokenizer_sha256 : "unknown");
  const ft_tokens_preparation *p = &file->preparation;
  if (p->template_name[0])
    ft_inspect_line("template", "%s%s%.12s", p->template_name, p->template_sha256[0] ? " " : "",
                    p->template_sha256);
  if (p->template_date[0]) ft_inspect_line("today was", "%s", p->template_date);
  if (p->system && p->system[0]) ft_inspect_line("system", "\"%.80s\"", p->system);
  for (int64_t i = 0; i < p->num_end_of_turn; i++)
    ft_inspect_line("end of turn", "%u", p->end_of_turn[i]);
  ft_inspect_line("checksum", "%s", verified ? "verified" : "none in the file");
out:
  ft_free(offsets);
  ft_tokens_close(file);
  return err;
}

static ft_err scan_init(scan *s) {
  ft_err err = FT_OK;
  FT_TRY(ft_alloc_array(FT_MEM_DATA, PIECE_TOKENS, sizeof *s->tokens, (void **)&s->tokens));
  FT_TRY(ft_alloc_array(FT_MEM_DATA, PIECE_TOKENS, sizeof *s->mask, (void **)&s->mask));
out:
  return err;
}

static void scan_fini(scan *s) {
  ft_free(s->tokens);
  ft_free(s->mask);
}

ft_err ft_inspect_shard(const char *path) {
  scan s = {0};
  ft_err err = scan_init(&s);
  if (err == FT_OK) err = inspect_shard(path, &s);
  scan_fini(&s);
  return err;
}

ft_err ft_inspect_shards(const char *dir) {
  ft_err err = FT_OK;
  char **names = NULL, *path = NULL;
  int64_t num_names = 0;
  scan s = {0};
  FT_TRY(scan_init(&s));
  FT_TRY(ft_list_dir(dir, &names, &num_names));
  for (int64_t i = 0; i < num_names; i++) {
    if (!ft_tokens_is_shard_name(names[i])) continue;
    ft_free(path);
    FT_TRY(ft_path_join(dir, names[i], &path));
    FT_TRY(inspect_shard(path, &s));
  }
out:
  scan_fini(&s);
  ft_free(path);
  ft_free_names(names, num_names);
  return err;
}
