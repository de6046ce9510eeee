/* Files of a fuzz target: they lie in memory, and the readers under test open them by path as any
 * other. A target is linked with --wrap for the calls that open, look at and read files
 * (meson.build), so nothing of the readers is changed. Paths begin with MEMORY_ROOT; while an input
 * is being read (fuzz.h), opening any other path ends the process: a reader that follows a name
 * out of its directory is found that way. */
#ifndef MEMORY_FILES_H
#define MEMORY_FILES_H

#include <stddef.h>

#define MEMORY_ROOT "/memory/"

/* Makes or replaces a file. Path and data are borrowed. data NULL: there is none. */
void memory_file(const char *path, const void *data, size_t bytes);
/* Files that are open now. */
int memory_files_open(void);
/* Whether other paths are forbidden. */
void memory_files_only(int only);
/* But for files of this name, which a reader may look for where its input says: there is none. */
void memory_files_missing(const char *name);

#endif
