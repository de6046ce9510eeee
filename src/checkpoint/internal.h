/* What the files of checkpoint share: names, and the tables of an opened checkpoint.
 * path.c names and lists, prune.c thins them out; save.c writes, amend.c changes a manifest;
 * manifest.c reads the manifest; read.c reads and verifies slices; weights.c reads weights in any
 * form; restore.c fills a shard. Format: docs/formats.md. */
#ifndef FT_CHECKPOINT_INTERNAL_H
#define FT_CHECKPOINT_INTERNAL_H

#include "ft/checkpoint.h"

/* A manifest that claims to be larger is not read. */
enum { MAX_MANIFEST_BYTES = 1 << 30 };

#define FT_CHECKPOINT_FORMAT "ftrun-checkpoint"
#define FT_CHECKPOINT_MANIFEST "manifest.json"
enum { FT_CHECKPOINT_VERSION = 1, FT_CHECKPOINT_MAX_STATES = 64 };

/* What ends a manifest: the hash of all bytes before it. */
#define FT_CHECKPOINT_TAIL ",\n\"xxh3\": \"%016llx\"}\n"
enum { FT_CHECKPOINT_TAIL_BYTES = 30 };

/* RUN/checkpoints, and RUN/checkpoints/step-…/NAME. Free with ft_free. */
ft_err ft_checkpoint_file(const char *run_dir, int64_t step, const char *name, char **out);
/* "rank-00003-of-00008.h5" */
enum { CHECKPOINT_NAME_BYTES = 48 };
void ft_checkpoint_rank_name(int rank, int size, char out[CHECKPOINT_NAME_BYTES]);
/* The steps of all directories, ascending; committed: only those with a manifest. Free with
 * ft_free.
 */
ft_err ft_checkpoint_list_steps(const char *run_dir, bool committed, int64_t **steps,
                                int64_t *num_steps);
/* Removes a checkpoint or what was to become one, the manifest first: what is left of it when this
 * is interrupted is no checkpoint. */
ft_err ft_checkpoint_remove(const char *run_dir, int64_t step);

/* ---------------------------------------------------------------- an opened checkpoint */

typedef struct slice_file {
  char *path;
  int64_t bytes;
  uint64_t metadata_hash;
  int fd; /* -1: not open */
} slice_file;

typedef struct saved_state {
  char *name;
  int64_t group_elements; /* flat elements that an entry covers */
  size_t group_bytes;     /* of an entry */
} saved_state;

/* A dataset of a file: one state of one block. */
typedef struct saved_slice {
  int64_t offset, hashes_offset; /* in the file */
  uint64_t checksum;             /* XXH3 of the hashes */
} saved_slice;

/* What one file has of one block. */
typedef struct part {
  int32_t file, block;
  int64_t elements, num_hashes;
  int64_t first_range, num_ranges; /* in the list of ranges as the manifest gives them */
} part;

/* A range of a block's flat array, and where it lies. */
typedef struct saved_range {
  int64_t start, count;
  int64_t position; /* elements before it in the datasets of its part */
  int64_t hash;     /* hashes before it there */
  int64_t part;
} saved_range;

/* The hashes of the dataset of a state that was read last. */
typedef struct hash_cache {
  uint64_t *hashes; /* NULL: none */
  int64_t part;
} hash_cache;

typedef struct saved_block {
  char *name;
  int64_t elements;
  const int64_t *ranges; /* [num_ranges] numbers of ranges, ascending, covering the block */
  int64_t num_ranges;
} saved_block;

struct ft_checkpoint {
  char *dir, *manifest; /* paths */
  ft_checkpoint_meta meta;
  cJSON *config; /* meta.config, owned */
  int world_size;
  int64_t chunk_elements;

  saved_state *states;
  int num_states;
  saved_block *blocks;
  int64_t num_blocks;
  slice_file *files;
  int64_t num_files;
  part *parts;
  saved_slice *slices; /* [num_parts][num_states] */
  int64_t num_parts, parts_capacity, slices_capacity;
  saved_range *ranges; /* by part, in the order of its datasets */
  int64_t num_ranges, ranges_capacity;
  int64_t *sorted; /* numbers of ranges by block and start; blocks point into it */

  int64_t num_open;   /* files */
  hash_cache *caches; /* [num_states] */
  void *scratch;      /* [one chunk] */
};

/* The form in which the master weights were saved. Errors: FT_ERR_DATA. */
ft_err ft_checkpoint_master(const ft_checkpoint *c, ft_master *kind);
/* Bytes of entries that cover elements. */
static inline int64_t entry_bytes(const saved_state *s, int64_t elements) {
  return elements / s->group_elements * (int64_t)s->group_bytes;
}

#endif
