/* Documents between their making and their shards: of every piece of the input, files in the work
 * folder. A piece is there when its report is, which is written last; a preparation that was
 * interrupted goes on with the pieces that are missing. Private to one version of the program. */
#ifndef FT_PREP_STORE_H
#define FT_PREP_STORE_H

#include "batch.h"

/* A document, in "piece-N.index". */
typedef struct ft_entry {
  uint64_t content_hash; /* of ids, masks and value: equal documents */
  int64_t at;            /* byte of its ids in "piece-N.ids" */
  int64_t line;          /* in the piece, from 1 */
  int64_t signature;     /* number of its signature in "piece-N.signatures"; -1: it has none */
  int64_t grams_at, num_grams; /* in "piece-N.grams" */
  int64_t num_ids, num_rejected, num_targets;
  int32_t value;
  uint8_t kind, set, form, truncated;
} ft_entry;

typedef struct ft_store ft_store;
/* Begins a piece. Errors: FT_ERR_CREATE. */
ft_err ft_store_new(const char *folder, int64_t piece, ft_store **out);
/* Errors: FT_ERR_IO. */
ft_err ft_store_add(ft_store *store, const ft_entry *facts, const ft_document *document,
                    const ft_signature *signature, const ft_grams *grams);
/* Closes the files and frees; with a report the piece is complete. */
ft_err ft_store_close(ft_store *store, const cJSON *report);

bool ft_store_is_complete(const char *folder, int64_t piece);
ft_err ft_store_report(const char *folder, int64_t piece, cJSON **out);
/* Entries of a piece. Errors: FT_ERR_IO, FT_ERR_DATA. */
ft_err ft_store_count(const char *folder, int64_t piece, int64_t *count);

/* Reads what belongs to entries of one piece. */
typedef struct ft_store_reader {
  int64_t piece;
  FILE *ids, *index, *signatures, *grams;
} ft_store_reader;
/* Opens another piece, unless it is the one already open. Starts zeroed. */
ft_err ft_store_reader_open(ft_store_reader *reader, const char *folder, int64_t piece);
void ft_store_reader_close(ft_store_reader *reader);
/* Errors: FT_ERR_IO, FT_ERR_MEMORY. */
ft_err ft_store_read_entry(ft_store_reader *reader, int64_t number, ft_entry *out);
ft_err ft_store_read_document(ft_store_reader *reader, const ft_entry *entry, ft_document *out);
ft_err ft_store_read_signature(ft_store_reader *reader, int64_t number, ft_signature *out);
ft_err ft_store_read_grams(ft_store_reader *reader, const ft_entry *entry, ft_grams *out);

#endif
