/* The tallies of all pieces become one, with lines counted from the start of their files. */
#include <string.h>

#include "run.h"
#include "store.h"

ft_err ft_prep_gather(ft_prep_run *run) {
  ft_err err = FT_OK;
  cJSON *piece = NULL;
  const ft_prep_inputs *in = &run->inputs;
  int64_t base = 0;
  run->tree = cJSON_CreateObject();
  FT_CHECK(run->tree, FT_ERR_MEMORY, "no memory for the report");
  FT_TRY(ft_alloc_array(FT_MEM_PREP, in->num_pieces, sizeof *run->line_bases,
                        (void **)&run->line_bases));
  for (int64_t i = 0; i < in->num_pieces; i++) {
    if (i == 0 || in->pieces[i].file != in->pieces[i - 1].file) base = 0;
    run->line_bases[i] = base;
    FT_TRY(ft_store_report(run->output.work, i, &piece));
    FT_TRY(ft_tally_merge(run->tree, piece, base));
    /* the form of a file is said file by file */
    const cJSON *forms = ft_json_get(piece, "forms"), *form;
    cJSON *files = ft_json_get(run->tree, "files");
    if (!files) files = cJSON_AddObjectToObject(run->tree, "files");
    cJSON_ArrayForEach(form, forms) FT_TRY(ft_tally_count(
        files, in->files[in->pieces[i].file].path, form->string, (int64_t)form->valuedouble));
    base += ft_tally_get(piece, NULL, "raw_lines");
    cJSON_Delete(piece);
    piece = NULL;
  }
out:
  cJSON_Delete(piece);
  return err;
}
