/* Bytes of a file from its start to its end, unpacked on the way where it is compressed with gzip
 * or zstd (several members or frames one after the other, too). Found out by the first bytes, not
 * by the name, so pipes may be compressed as well. Memory: some 300 KiB, and zstd's window, at most
 * 128 MiB. Not collective. */
#ifndef FT_IO_INPUT_H
#define FT_IO_INPUT_H

#include "ft/io.h"

typedef struct ft_input ft_input;

/* Takes over an open file. `path` is for messages, and is copied. Errors: FT_ERR_MEMORY,
 * FT_ERR_IO. */
ft_err ft_input_new(int fd, const char *path, ft_input **out);
void ft_input_free(ft_input *input);
/* The next bytes, at most `room`; *got 0: the end. Errors: FT_ERR_IO; FT_ERR_DATA where what is
 * compressed is damaged or cut off, naming the byte of the file. */
ft_err ft_input_read(ft_input *input, void *out, size_t room, size_t *got);
/* Bytes of the file that have been taken so far, compressed ones where it is. */
int64_t ft_input_taken(const ft_input *input);

#endif
