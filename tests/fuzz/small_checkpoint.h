/* A checkpoint of two ranks, two blocks and two states, small enough to be an input. */
#ifndef SMALL_CHECKPOINT_H
#define SMALL_CHECKPOINT_H

#include "ft/io.h"

#define SMALL_CHECKPOINT_FILES 2
extern const char *const small_checkpoint_names[SMALL_CHECKPOINT_FILES];

/* Writes the slice files into a directory. *manifest: the manifest without its checksum; free with
 * free. Ends the process where that fails. */
void small_checkpoint(const char *dir, char **manifest);

#endif
