/* What the files that tell kinds apart share. Not collective, all of it. */
#ifndef FT_SRC_IO_KIND_H
#define FT_SRC_IO_KIND_H

#include "ft/io_kind.h"

/* What is looked at: a file's first bytes, followed by a zero. */
typedef struct ft_kind_head {
  const unsigned char *data;
  size_t bytes;
  bool whole;       /* the file has no more */
  const char *path; /* whose name may say what bytes do not */
} ft_kind_head;

/* The kind of what has no mark of a binary format. */
ft_kind ft_kind_of_text(const ft_kind_head *head);

#endif
