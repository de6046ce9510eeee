/* Documents of token ids in HDF5 files as people have them: chunked, compressed, of any integer
 * type. HDF5's own library reads them, in a process of its own whose memory is bounded, so that
 * whatever goes wrong there is an error here. Layouts, by the names of datasets (in the root, or in
 * a group "train" or "data"):
 *   two dimensions: "input_ids" (or "tokens", "ids"), a row a document, with "attention_mask", or
 *     filled up with the padding id or negative numbers at either end;
 *   one dimension: the same names, with "offsets" (or "cu_seqlens", "indptr") where documents
 * begin, with or without the end, or "lengths"; without either all of it is one document. What is
 * learnt: "labels" (-100: not), or "loss_mask" (or "assistant_masks"); without them everything. Not
 * collective. */
#ifndef FT_IO_PRETOKENIZED_H
#define FT_IO_PRETOKENIZED_H

#include "ft/io.h"

typedef struct ft_pretokenized ft_pretokenized;
/* pad: the id that rows are filled up with; -1: none. Errors: FT_ERR_MEMORY, FT_ERR_IO. */
ft_err ft_pretokenized_open(const char *path, int64_t pad, ft_pretokenized **out);
void ft_pretokenized_close(ft_pretokenized *p);
/* The next document; *count is -1 at the end. Ids are those of the file, up to 2^32 - 1. *has_mask:
 * the file says what is learnt; otherwise the mask is 1 everywhere. Both arrays are the reader's
 * until the next call. Errors: FT_ERR_DATA with what HDF5 or the file's layout has to complain of,
 * also where the other process ended early; FT_ERR_IO, FT_ERR_MEMORY. */
ft_err ft_pretokenized_next(ft_pretokenized *p, const uint32_t **ids, const uint8_t **mask,
                            int64_t *count, bool *has_mask);

#endif
