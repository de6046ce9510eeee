/* What ranks on several hosts know of a preparation by themselves, and must share: otherwise the
 * shards would be put together of two. */
#include <fcntl.h>
#include <unistd.h>

#include "run.h"

enum { VALUE_BYTES = 256, CHUNK_BYTES = 1 << 20 };

static const char same_model[] =
    "give all ranks the same options, and copy the same model directory to all hosts";
static const char same_input[] = "copy the same file to all hosts";

/* Every byte of a file. */
static ft_err digest_of(const char *path, uint64_t *digest) {
  ft_err err = FT_OK;
  void *chunk = NULL;
  ssize_t got = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  *digest = 0;
  FT_CHECK(fd >= 0, FT_ERR_NOINPUT, "%s: cannot be opened", path);
  FT_TRY(ft_alloc(FT_MEM_PREP, CHUNK_BYTES, &chunk));
  while ((got = read(fd, chunk, CHUNK_BYTES)) > 0)
    *digest = ft_hash64(chunk, (size_t)got, *digest);
  FT_CHECK(got == 0, FT_ERR_IO, "%s: cannot be read", path);
out:
  if (fd >= 0) close(fd);
  ft_free(chunk);
  return err;
}

/* A fact of each input but pipes, which only rank 0 reads: its size, and when it changed, or what
 * it holds. */
static ft_err describe(const ft_prep_run *p, bool contents, ft_prep_fact *facts,
                       char (*values)[VALUE_BYTES], int64_t *count) {
  ft_err err = FT_OK;
  for (int64_t i = 0; i < p->inputs.num_files; i++) {
    const ft_prep_file *f = &p->inputs.files[i];
    char *value = values[*count];
    uint64_t mark = f->change;
    if (f->kind == FT_KIND_STREAM) continue;
    if (contents) FT_TRY(digest_of(f->path, &mark));
    snprintf(value, VALUE_BYTES, "%lld bytes, %s %016llx", (long long)f->bytes,
             contents ? "content" : "time", (unsigned long long)mark);
    facts[(*count)++] = (ft_prep_fact){f->path, value, same_input};
  }
out:
  return err;
}

static void describe_options(const ft_prep_run *p, ft_prep_fact *fact, char value[VALUE_BYTES]) {
  snprintf(value, VALUE_BYTES, "tokenizer %.12s, template %s %.12s, options %016llx",
           p->output.tokenizer, ft_template_name(p->render.template),
           p->output.preparation.template_sha256,
           (unsigned long long)ft_hash64(p->plan, p->plan_options, 0));
  *fact = (ft_prep_fact){"what documents are made with", value, same_model};
}

ft_err ft_prep_compare(ft_prep_run *p) {
  ft_err err = FT_OK;
  const ft_prep_options *o = p->options;
  void *facts = NULL, *values = NULL;
  int64_t room = p->inputs.num_files + 1, count = 1;
  bool same;
  if (!o->compare) return FT_OK;
  FT_TRY(ft_alloc_array(FT_MEM_PREP, room, sizeof(ft_prep_fact), &facts));
  FT_TRY(ft_alloc_array(FT_MEM_PREP, room, VALUE_BYTES, &values));
  describe_options(p, facts, values);
  FT_TRY(describe(p, false, facts, values, &count));
  FT_TRY(o->compare(o->agree_arg, facts, count, &same));
  if (same) goto out;
  count = 1;
  err = describe(p, true, facts, values, &count);
  if (o->agree) FT_TRY(o->agree(o->agree_arg, err));
  FT_TRY(o->compare(o->agree_arg, facts, count, NULL));
out:
  ft_free(facts);
  ft_free(values);
  return err;
}
