#include "small_checkpoint.h"

#include <stdlib.h>

enum { NUM_STATES = 2, NUM_BLOCKS = 2, CHUNK = 16 };

const char *const small_checkpoint_names[] = {"rank-00000-of-00002.h5", "rank-00001-of-00002.h5"};

static const char *const blocks[] = {"embedding", "head"}, *const states[] = {"master", "v"};
static const int64_t elements[] = {96, 32}, group_elements[] = {1, 8};
static const size_t group_bytes[] = {4, 3};

/* What a rank has of a block: one range, or two for rank 0 of the first block. */
typedef struct ranges {
  int64_t num, starts[2], counts[2];
} ranges;
static const ranges owned[SMALL_CHECKPOINT_FILES][NUM_BLOCKS] = {
    {{2, {0, 64}, {32, 32}}, {1, {0}, {16}}}, {{1, {32}, {32}}, {1, {16}, {16}}}};

static void must(ft_err err) {
  if (err == FT_OK) return;
  fprintf(stderr, "%s\n", ft_error_message());
  abort();
}

static void fill(int rank, char names[][40], ft_slice_dataset *datasets) {
  static float values[64];
  for (int i = 0; i < 64; i++)
    values[i] = (float)i;
  for (int i = 0; i < NUM_BLOCKS * NUM_STATES; i++) {
    const ranges *r = &owned[rank][i / NUM_STATES];
    int s = i % NUM_STATES;
    int64_t total = r->counts[0] + r->counts[1];
    snprintf(names[i], sizeof names[i], "/%s/%s", blocks[i / NUM_STATES], states[s]);
    datasets[i] = (ft_slice_dataset){.name = names[i],
                                     .data = values,
                                     .bytes = (size_t)(total / group_elements[s]) * group_bytes[s],
                                     .element_bytes = group_bytes[s],
                                     .group_elements = group_elements[s],
                                     .chunk_elements = CHUNK,
                                     .starts = r->starts,
                                     .counts = r->counts,
                                     .num_ranges = r->num};
  }
}

static void print_file(FILE *f, int rank, const ft_slice_file *file, const ft_slice_dataset *d) {
  fprintf(f, "%s{\"name\": \"%s\", \"bytes\": %lld, \"metadata_xxh3\": \"%016llx\", \"slices\": [",
          rank ? ",\n" : "", small_checkpoint_names[rank], (long long)file->bytes,
          (unsigned long long)file->metadata_hash);
  for (int b = 0; b < NUM_BLOCKS; b++) {
    fprintf(f, "%s\"%s ", b ? "," : "", blocks[b]);
    for (int64_t r = 0; r < d->num_ranges; r++)
      fprintf(f, "%s%lld+%lld", r ? "," : "", (long long)d->starts[r], (long long)d->counts[r]);
    for (int s = 0; s < NUM_STATES; s++, d++)
      fprintf(f, " %lld/%lld/%016llx", (long long)d->file_offset, (long long)d->hashes_offset,
              (unsigned long long)d->checksum);
    fprintf(f, "\"");
  }
  fprintf(f, "]}");
}

void small_checkpoint(const char *dir, char **manifest) {
  size_t bytes;
  FILE *f = open_memstream(manifest, &bytes);
  if (!f) abort();
  fprintf(f,
          "{\"format\": \"ftrun-checkpoint\",\n\"version\": 1,\n\"step\": 3,\n\"tokens\": 99,\n"
          "\"world_size\": 2,\n\"chunk_elements\": %d,\n\"config\": {},\n\"extra\": null,\n"
          "\"states\": [",
          CHUNK);
  for (int s = 0; s < NUM_STATES; s++)
    fprintf(f, "%s{\"name\": \"%s\", \"entry_elements\": %lld, \"entry_bytes\": %zu}", s ? "," : "",
            states[s], (long long)group_elements[s], group_bytes[s]);
  fprintf(f, "],\n\"blocks\": [");
  for (int b = 0; b < NUM_BLOCKS; b++)
    fprintf(f, "%s{\"name\": \"%s\", \"elements\": %lld}", b ? "," : "", blocks[b],
            (long long)elements[b]);
  fprintf(f, "],\n\"files\": [\n");
  for (int rank = 0; rank < SMALL_CHECKPOINT_FILES; rank++) {
    char names[NUM_BLOCKS * NUM_STATES][40], *path;
    ft_slice_dataset datasets[NUM_BLOCKS * NUM_STATES];
    ft_slice_file file;
    fill(rank, names, datasets);
    must(ft_path_join(dir, small_checkpoint_names[rank], &path));
    must(ft_slices_write(path, datasets, NUM_BLOCKS * NUM_STATES, &file));
    print_file(f, rank, &file, datasets);
    ft_free(path);
  }
  fprintf(f, "]");
  fclose(f);
}
