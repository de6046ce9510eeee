/* Rows of text that are appended to a file and survive a full disk: what cannot be written is kept
 * and written later. A file that was replaced, or whose handle is stale, is opened again by name.
 * One thread at a time. */
#ifndef FT_RUN_ROWS_H
#define FT_RUN_ROWS_H

#include "ft/base.h"

typedef struct ft_rows ft_rows;

/* Errors: FT_ERR_CREATE. */
ft_err ft_rows_open(const char *path, ft_rows **out);
/* Appends a row; a line end is added. Where the file cannot be written, this is said once, and the
 * row is kept in memory. Errors: FT_ERR_MEMORY, FT_ERR_IO (64 MiB are kept already). */
ft_err ft_rows_add(ft_rows *rows, const char *row);
/* All rows so far are on the disk when this returns. Errors: FT_ERR_IO. */
ft_err ft_rows_sync(ft_rows *rows);
/* Rows that could not be written yet, each with its line end. Borrowed until the next call. */
const char *ft_rows_kept(const ft_rows *rows, size_t *bytes);
/* Writes what is kept, or says what is lost. NULL is legal. */
void ft_rows_close(ft_rows *rows);

#endif
