/* What the fuzz targets share. A target is libFuzzer's two functions: what it reads an input as,
 * and what has to hold afterwards. docs/reliability.md tells how to run them. */
#ifndef FUZZ_H
#define FUZZ_H

#include <string.h>

#include "ft/io.h"
#include "memory_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Around the reading of one input. Afterwards these must hold, or the process ends: the error is
 * FT_OK or `refusal`, every file is closed, all memory is given back, and at no time was more of it
 * in use than a small file can be worth. With FUZZ_SAY in the environment the error is printed. */
void fuzz_begin(void);
void fuzz_end(ft_err err, ft_err refusal);
/* For readers with memory that outlives an input (a tokenizer's scratch): it has to stay small over
 * all inputs together instead. */
void fuzz_keeps_memory(void);
/* Ends the process: what a reader accepted is not what it promises. */
void fuzz_demand(bool holds, const char *what);

/* A copy of an input that may be changed, followed by a zero; free with free. */
char *fuzz_copy(const uint8_t *data, size_t bytes);
/* Cuts an input at its zeros: part number `i` becomes the file `path`, or there is no such file if
 * there are not so many parts. */
void fuzz_file_of_part(const char *path, const uint8_t *data, size_t bytes, int i);

#endif
