/* What a file or directory is, found out by its first bytes or by the names in it, so that a reader
 * that is given something else can say what it was given and what to do with it. One table knows
 * all of them (src/io/kind_table.c): a new kind is a row there. Not collective, all of it. */
#ifndef FT_IO_KIND_H
#define FT_IO_KIND_H

#include "ft/io.h"

typedef enum ft_kind {
  FT_KIND_ABSENT,
  FT_KIND_UNREADABLE,
  FT_KIND_STREAM, /* a pipe, a terminal, a device: not looked into */
  FT_KIND_EMPTY,
  FT_KIND_ZEROS, /* what a copy leaves that was never written */
  /* files, by their first bytes */
  FT_KIND_LFS_POINTER,
  FT_KIND_ANNEX_POINTER,
  FT_KIND_GZIP,
  FT_KIND_ZSTD,
  FT_KIND_BZIP2,
  FT_KIND_XZ,
  FT_KIND_LZ4,
  FT_KIND_ZIP,
  FT_KIND_7ZIP,
  FT_KIND_TAR,
  FT_KIND_PICKLE, /* by itself, or in the archive that torch.save writes */
  FT_KIND_NUMPY,  /* an array, or the archive that numpy.savez writes */
  FT_KIND_OFFICE, /* a document or table of an office program */
  FT_KIND_GGUF,
  FT_KIND_SAFETENSORS,
  FT_KIND_HDF5,
  FT_KIND_PARQUET,
  FT_KIND_ARROW,
  FT_KIND_AVRO,
  FT_KIND_ORC,
  FT_KIND_SQLITE,
  FT_KIND_PDF,
  FT_KIND_UTF16,
  FT_KIND_UTF32,
  FT_KIND_HTML,
  FT_KIND_XML,
  FT_KIND_JSON_ARRAY,
  FT_KIND_JSON_OBJECT, /* one object that takes more than a line */
  FT_KIND_JSON_LINES,
  FT_KIND_TABLE,      /* comma-separated values */
  FT_KIND_TABLE_TABS, /* tab-separated ones */
  FT_KIND_CR_LINES,   /* JSON lines that end in carriage returns alone */
  FT_KIND_TEXT,
  FT_KIND_BINARY, /* none of these, and no text */
  /* directories, by the names in them */
  FT_KIND_RUN,
  FT_KIND_CHECKPOINTS, /* the folder of a run that holds them */
  FT_KIND_CHECKPOINT,
  FT_KIND_CHECKPOINT_UNFINISHED,
  FT_KIND_ADAPTER,
  FT_KIND_MODEL,          /* a config.json, a tokenizer.json or weights with their index */
  FT_KIND_MODEL_NO_INDEX, /* model-*-of-*.safetensors without the index that lists them */
  FT_KIND_MODEL_PICKLES,  /* weights as pytorch_model*.bin, none as safetensors */
  FT_KIND_MODEL_GGUF,
  FT_KIND_SHARDS,
  FT_KIND_PREPARED, /* what prep leaves: folders train, validation, test */
  FT_KIND_DIRECTORY,
  FT_NUM_KINDS
} ft_kind;

/* What a reader can use. */
typedef enum ft_want {
  FT_WANT_RECORDS,     /* records for prep: JSONL, also compressed, or pre-tokenized HDF5 */
  FT_WANT_JSON,        /* one JSON object, however it is laid out */
  FT_WANT_SAFETENSORS, /* a file */
  FT_WANT_TOKENS,      /* a token shard, or a folder of them */
  FT_WANT_MODEL,       /* a model directory, for its config or tokenizer */
  FT_WANT_WEIGHTS,     /* a model directory, for its weights */
  FT_WANT_RUN,         /* a run directory */
  FT_NUM_WANTS
} ft_want;

/* Looks at a path; reads at most 4 KiB of a file. What cannot be read is FT_KIND_UNREADABLE or
 * FT_KIND_DIRECTORY: whoever reads it will say why. */
ft_kind ft_kind_of(const char *path);
/* The kind of what a file that is compressed with gzip or zstd holds; FT_KIND_UNREADABLE where it
 * is damaged. */
ft_kind ft_kind_of_packed(const char *path);
/* "a Git LFS pointer, not the file itself" … Never NULL. */
const char *ft_kind_name(ft_kind kind);
/* FT_OK where the path may be what is wanted (the reader then finds out whether it is whole).
 * Errors: FT_ERR_NOINPUT if there is nothing; FT_ERR_DATA with the path, what it is, what was
 * expected and what to do. */
ft_err ft_kind_check(const char *path, ft_want want);

#endif
