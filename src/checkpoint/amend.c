/* Changing what a committed checkpoint carries beside the state: only its manifest is written anew,
 * and replaces the one before as a whole. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* Members of what train keeps take the place of those of the same name. */
static ft_err put_members(const ft_checkpoint *c, const cJSON *members) {
  for (const cJSON *item = members->child; item; item = item->next) {
    cJSON *copy = cJSON_Duplicate(item, true);
    if (!copy) return ft_fail(FT_ERR_MEMORY, "%s: no memory to change it", c->manifest);
    if (!ft_json_get(c->meta.extra, item->string))
      cJSON_AddItemToObject(c->meta.extra, item->string, copy);
    else
      cJSON_ReplaceItemInObjectCaseSensitive(c->meta.extra, item->string, copy);
  }
  return FT_OK;
}

/* *text = the manifest with this in place of its "extra", whose line nothing else can look like:
 * the texts around it are as save.c prints them. */
static ft_err replace_extra(const ft_checkpoint *c, char *manifest, const char *extra, char **text,
                            size_t *bytes) {
  static const char before[] = "\n\"extra\": ", after[] = ",\n\"states\": [";
  char *begin = strstr(manifest, before), *end = begin ? strstr(begin, after) : NULL;
  if (!end) return ft_fail(FT_ERR_DATA, "%s: is not as it is written", c->manifest);
  begin[strlen(before)] = 0;
  FILE *f = open_memstream(text, bytes);
  if (f) {
    fprintf(f, "%s%s%s", manifest, extra, end);
    fflush(f);
    if (!ferror(f)) fprintf(f, FT_CHECKPOINT_TAIL, (unsigned long long)ft_hash64(*text, *bytes, 0));
  }
  bool good = f && !ferror(f);
  if (f && fclose(f) != 0) good = false;
  return good ? FT_OK : ft_fail(FT_ERR_MEMORY, "%s: no memory to change it", c->manifest);
}

/* What rank 0 does. Opening verifies what is copied. */
static ft_err amend(const char *run_dir, int64_t step, const cJSON *members) {
  ft_err err = FT_OK;
  ft_checkpoint *c = NULL;
  char *manifest = NULL, *extra = NULL, *text = NULL;
  size_t length, bytes;
  FT_TRY(ft_checkpoint_open(run_dir, step, &c));
  FT_CHECK(cJSON_IsObject(c->meta.extra), FT_ERR_DATA, "%s: has no \"extra\"", c->manifest);
  FT_TRY(put_members(c, members));
  FT_TRY(ft_json_print(c->meta.extra, true, &extra));
  FT_TRY(ft_read_file(c->manifest, MAX_MANIFEST_BYTES, &manifest, &length));
  manifest[length - FT_CHECKPOINT_TAIL_BYTES] = 0;
  FT_TRY(replace_extra(c, manifest, extra, &text, &bytes));
  FT_TRY(ft_write_file(c->manifest, text, bytes));
out:
  free(text);
  ft_free(manifest);
  ft_free(extra);
  ft_checkpoint_close(c);
  return err;
}

ft_err ft_checkpoint_amend(ft_comm *comm, const char *run_dir, int64_t step, const cJSON *members) {
  return ft_comm_agree(comm, ft_comm_rank(comm) == 0 ? amend(run_dir, step, members) : FT_OK);
}
