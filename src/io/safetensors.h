/* Inside io: what the reader and the writer of safetensors share. */
#ifndef FT_IO_SAFETENSORS_H
#define FT_IO_SAFETENSORS_H

#include <assert.h>

#include "ft/io.h"

enum { FT_SAFETENSORS_MAX_HEADER = 100000000 };

/* The member of __metadata__ that holds the file's checksum: "xxh3:" and sixteen hexadecimal
 * digits, the XXH3 of the whole file with zeros in their place. */
#define FT_SAFETENSORS_CHECKSUM "checksum"
#define FT_SAFETENSORS_HASH "xxh3:"
enum { FT_SAFETENSORS_DIGITS = 16 };
#define FT_SAFETENSORS_NO_DIGITS "0000000000000000"

#endif
