/* The files that are read, and the pieces that they are cut into. Pieces do not depend on who works
 * on them, nor on the order in which files were named. */
#ifndef FT_PREP_INPUTS_H
#define FT_PREP_INPUTS_H

#include "ft/io_kind.h"
#include "ft/prep.h"

typedef struct ft_prep_file {
  char *path;
  ft_kind kind;    /* FT_KIND_STREAM: a pipe, which can be read once */
  int64_t bytes;   /* 0 of a stream */
  uint64_t change; /* when it was changed last */
} ft_prep_file;

typedef struct ft_prep_piece {
  int64_t file;       /* index */
  int64_t begin, end; /* bytes; of what is packed or a stream, all of it */
} ft_prep_piece;

typedef struct ft_prep_inputs {
  ft_prep_file *files; /* in order of their paths; streams last, as they were named */
  int64_t num_files;
  ft_prep_piece *pieces;
  int64_t num_pieces;
} ft_prep_inputs;

/* Expands folders (the *.jsonl and *.ndjson, also .gz and .zst, and *.h5 in them) and patterns,
 * looks at every file, and cuts plain ones at every `piece_bytes` (0: chosen by their size).
 * Errors: FT_ERR_NOINPUT, FT_ERR_DATA (a file of another kind, and what to do), FT_ERR_USAGE. */
ft_err ft_prep_inputs_init(const char *const *paths, int64_t num_paths, int64_t piece_bytes,
                           ft_prep_inputs *out);
void ft_prep_inputs_fini(ft_prep_inputs *inputs);

#endif
