/* Inside io: what the reader and the writer of safetensors share. */
#ifndef FT_IO_SAFETENSORS_H
#define FT_IO_SAFETENSORS_H

#include <assert.h>

#include "ft/io.h"

enum { FT_SAFETENSORS_MAX_HEADER = 100000000 };

#endif
