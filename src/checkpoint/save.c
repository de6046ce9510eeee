/* Writing a checkpoint: each rank's slices by its I/O thread, then the manifest by rank 0. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "internal.h"

struct ft_checkpoint_writer {
  ft_comm *comm;                 /* borrowed */
  ft_shard *shard;               /* borrowed */
  char *run_dir, *path, *header; /* header: rank 0's beginning of the manifest */
  int64_t step;
  int num_states;
  ft_slice_dataset *datasets; /* [num_datasets] by block, then state */
  int64_t num_datasets, bytes;
  int64_t *blocks; /* [num_datasets] block of a dataset */
  int64_t *ranges; /* of all blocks: starts, counts and locals, that the datasets point into */
  ft_slice_file file;
  ft_io_job *job;              /* NULL once it was waited for; then: */
  ft_err written;              /* its result, */
  char *message;               /* of an error, */
  double seconds, cpu_seconds; /* the time it took */
};

/* ---------------------------------------------------------------- what is written */

/* Appends to text; open_memstream's errors come out when it is closed. */
static ft_err end_text(FILE *stream, char **text) {
  bool good = stream && !ferror(stream);
  if (stream && fclose(stream) != 0) good = false;
  if (good) return FT_OK;
  free(*text);
  *text = NULL;
  return ft_fail(FT_ERR_MEMORY, "no memory for a checkpoint's manifest");
}

/* Copies a block's owned ranges, joining those that adjoin. Returns their number. */
static int64_t join_ranges(const ft_range *own, int64_t num_own, int64_t *starts, int64_t *counts,
                           int64_t *locals) {
  int64_t num = 0;
  for (int64_t i = 0; i < num_own; i++) {
    bool adjoins = num > 0 && starts[num - 1] + counts[num - 1] == own[i].start &&
                   locals[num - 1] + counts[num - 1] == own[i].local;
    if (adjoins) {
      counts[num - 1] += own[i].count;
      continue;
    }
    starts[num] = own[i].start;
    counts[num] = own[i].count;
    locals[num++] = own[i].local;
  }
  return num;
}

/* Adds the datasets of a block; its ranges go to w->ranges + at. */
static ft_err add_block(ft_checkpoint_writer *w, int64_t block, int64_t at) {
  ft_err err = FT_OK;
  int64_t num_own, elements = 0;
  const ft_range *own = ft_shard_ranges(w->shard, block, &num_own);
  int64_t *starts = w->ranges + at, *counts = starts + num_own, *locals = counts + num_own;
  int64_t num = join_ranges(own, num_own, starts, counts, locals);
  for (int64_t r = 0; r < num; r++)
    elements += counts[r];
  for (int s = 0; s < w->num_states && num > 0; s++) {
    const ft_state_info *info = ft_shard_state_info(w->shard, s);
    ft_slice_dataset *d = &w->datasets[w->num_datasets];
    *d = (ft_slice_dataset){.data = ft_shard_state(w->shard, s, block),
                            .bytes = (size_t)(elements / info->group_elements) * info->group_bytes,
                            .element_bytes = info->group_bytes,
                            .group_elements = info->group_elements,
                            .chunk_elements = FT_CHUNK,
                            .starts = starts,
                            .counts = counts,
                            .locals = locals,
                            .num_ranges = num};
    FT_TRY(ft_format(&d->name, "/%s/%s", ft_shard_block(w->shard, block)->name, info->name));
    w->blocks[w->num_datasets++] = block;
    w->bytes += (int64_t)d->bytes + 8 * ft_slices_num_hashes(counts, num, FT_CHUNK);
  }
out:
  return err;
}

static ft_err make_table(ft_checkpoint_writer *w) {
  ft_err err = FT_OK;
  int64_t num_blocks = ft_shard_num_blocks(w->shard), num_ranges = 0, num, at = 0;
  void *datasets, *blocks, *ranges;
  w->num_states = ft_shard_num_states(w->shard);
  for (int64_t b = 0; b < num_blocks; b++) {
    (void)ft_shard_ranges(w->shard, b, &num);
    num_ranges += ft_shard_is_trained(w->shard, b) ? num : 0;
  }
  FT_TRY(
      ft_alloc_array(FT_MEM_IO, num_blocks * w->num_states, sizeof(ft_slice_dataset), &datasets));
  w->datasets = datasets;
  FT_TRY(ft_alloc_array(FT_MEM_IO, num_blocks * w->num_states, sizeof(int64_t), &blocks));
  w->blocks = blocks;
  FT_TRY(ft_alloc_array(FT_MEM_IO, 3 * num_ranges, sizeof(int64_t), &ranges));
  w->ranges = ranges;
  for (int64_t b = 0; b < num_blocks; b++) {
    if (!ft_shard_is_trained(w->shard, b)) continue;
    FT_TRY(add_block(w, b, at));
    (void)ft_shard_ranges(w->shard, b, &num);
    at += 3 * num;
  }
out:
  return err;
}

/* ---------------------------------------------------------------- beginning */

/* The manifest up to its list of files. */
static ft_err make_header(ft_checkpoint_writer *w, const ft_checkpoint_meta *meta) {
  ft_err err = FT_OK;
  char *config = NULL, *extra = NULL, *text = NULL;
  size_t bytes;
  FT_TRY(ft_json_print(meta->config, true, &config));
  FT_TRY(ft_json_print(meta->extra, true, &extra));
  FILE *f = open_memstream(&text, &bytes);
  if (f) {
    fprintf(f, "{\"format\": \"%s\",\n\"version\": %d,\n", FT_CHECKPOINT_FORMAT,
            FT_CHECKPOINT_VERSION);
    fprintf(f, "\"step\": %lld,\n\"updates\": %lld,\n\"tokens\": %lld,\n", (long long)meta->step,
            (long long)meta->updates, (long long)meta->tokens);
    fprintf(f, "\"world_size\": %d,\n\"chunk_elements\": %d,\n", ft_comm_size(w->comm), FT_CHUNK);
    fprintf(f, "\"config\": %s,\n\"extra\": %s,\n\"states\": [", config, extra);
    for (int s = 0; s < w->num_states; s++) {
      const ft_state_info *info = ft_shard_state_info(w->shard, s);
      fprintf(f, "%s\n{\"name\": \"%s\", \"entry_elements\": %lld, \"entry_bytes\": %zu}",
              s ? "," : "", info->name, (long long)info->group_elements, info->group_bytes);
    }
    fprintf(f, "],\n\"blocks\": [");
    const char *comma = "";
    for (int64_t b = 0; b < ft_shard_num_blocks(w->shard); b++) {
      const ft_block *block = ft_shard_block(w->shard, b);
      if (!ft_shard_is_trained(w->shard, b)) continue;
      fprintf(f, "%s\n{\"name\": \"%s\", \"elements\": %lld}", comma, block->name,
              (long long)block->num_elements);
      comma = ",";
    }
    fprintf(f, "],\n\"files\": [\n");
  }
  FT_TRY(end_text(f, &text));
  FT_TRY(ft_strdup(text, &w->header));
out:
  free(text);
  ft_free(config);
  ft_free(extra);
  return err;
}

/* Rank 0: makes room for the directory, and sees that the disk has room for all files. */
static ft_err prepare_directory(const ft_checkpoint_writer *w, int64_t total_bytes) {
  ft_err err = FT_OK;
  char *dir = NULL;
  struct statvfs info;
  FT_TRY(ft_checkpoint_remove(w->run_dir, w->step)); /* what an interrupted run has left */
  FT_TRY(ft_checkpoint_path(w->run_dir, w->step, &dir));
  FT_TRY(ft_make_dirs(dir));
  if (statvfs(dir, &info) != 0) goto out; /* a filesystem that cannot say: writing will show */
  double room = (double)info.f_bavail * (double)info.f_frsize;
  if ((double)total_bytes > room) {
    (void)ft_checkpoint_remove(w->run_dir, w->step);
    FT_TRY(ft_fail(FT_ERR_IO,
                   "%s: the checkpoint of step %lld needs %.3f GiB and %.3f GiB are free: make "
                   "room, or keep fewer checkpoints (checkpoint.keep)",
                   dir, (long long)w->step, (double)total_bytes / 1073741824.0,
                   room / 1073741824.0));
  }
out:
  ft_free(dir);
  return err;
}

static ft_err write_slices(void *arg) {
  ft_checkpoint_writer *w = arg;
  double begin_s = ft_now_s(), begin_cpu_s = ft_thread_cpu_s();
  ft_fault_effect fault = ft_fault("checkpoint.write");
  ft_comm_float_thread(w->comm); /* not on the one core of the thread that computes */
  ft_err err = ft_slices_write(w->path, w->datasets, w->num_datasets, &w->file);
  if (fault.slow_s > 0) ft_sleep_s(fault.slow_s);
  w->seconds = ft_now_s() - begin_s;
  w->cpu_seconds = ft_thread_cpu_s() - begin_cpu_s;
  return err;
}

/* Every rank: the directory may not be visible here yet on a network filesystem, so it is made
 * again. */
static ft_err start_writing(ft_checkpoint_writer *w) {
  ft_err err = FT_OK;
  char *dir = NULL;
  FT_TRY(ft_checkpoint_path(w->run_dir, w->step, &dir));
  FT_TRY(ft_make_dirs(dir));
  FT_TRY(ft_io_submit(write_slices, w, &w->job));
out:
  ft_free(dir);
  return err;
}

static void free_writer(ft_checkpoint_writer *w) {
  if (!w) return;
  for (int64_t i = 0; i < w->num_datasets; i++)
    ft_free(w->datasets[i].name);
  ft_free(w->datasets);
  ft_free(w->blocks);
  ft_free(w->ranges);
  ft_free(w->message);
  ft_free(w->header);
  ft_free(w->path);
  ft_free(w->run_dir);
  ft_free(w);
}

/* What a rank does alone before the first agreement. */
static ft_err new_writer(ft_comm *comm, ft_shard *shard, const char *run_dir,
                         const ft_checkpoint_meta *meta, ft_checkpoint_writer **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  char name[CHECKPOINT_NAME_BYTES];
  FT_TRY(ft_alloc(FT_MEM_IO, sizeof(ft_checkpoint_writer), &memory));
  ft_checkpoint_writer *w = memory;
  *out = w;
  w->comm = comm;
  w->shard = shard;
  w->step = meta->step;
  ft_checkpoint_rank_name(ft_comm_rank(comm), ft_comm_size(comm), name);
  FT_TRY(ft_strdup(run_dir, &w->run_dir));
  FT_TRY(ft_checkpoint_file(run_dir, meta->step, name, &w->path));
  FT_TRY(make_table(w));
  if (ft_comm_rank(comm) == 0) FT_TRY(make_header(w, meta));
out:
  return err;
}

/* Some rank could not begin: the others' files go again once nobody writes any more. */
static ft_err give_up_writing(ft_checkpoint_writer *w, ft_err err) {
  char *message = NULL;
  (void)ft_strdup(ft_error_message(), &message);
  if (w->job) (void)ft_io_wait(w->job);
  w->job = NULL;
  if (ft_comm_agree(w->comm, FT_OK) == FT_OK && ft_comm_rank(w->comm) == 0)
    (void)ft_checkpoint_remove(w->run_dir, w->step);
  err = ft_fail(err, "%s", message ? message : "the checkpoint could not be begun");
  ft_free(message);
  return err;
}

ft_err ft_checkpoint_begin(ft_comm *comm, ft_shard *shard, const char *run_dir,
                           const ft_checkpoint_meta *meta, ft_checkpoint_writer **out) {
  ft_err err = FT_OK;
  ft_checkpoint_writer *w = NULL;
  *out = NULL;
  FT_TRY(ft_comm_agree(comm, new_writer(comm, shard, run_dir, meta, &w)));
  int64_t total_bytes = w->bytes + 65536 * (1 + w->num_datasets / 64); /* and metadata */
  FT_TRY(ft_comm_sum_i64(comm, &total_bytes, 1));
  bool speaker = ft_comm_rank(comm) == 0;
  FT_TRY(ft_comm_agree(comm, speaker ? prepare_directory(w, total_bytes) : FT_OK));
  err = ft_comm_agree(comm, start_writing(w));
  if (err != FT_OK) {
    err = give_up_writing(w, err);
    goto out;
  }
  *out = w;
  w = NULL;
out:
  free_writer(w);
  return err;
}

bool ft_checkpoint_written(const ft_checkpoint_writer *writer) {
  return !writer->job || ft_io_done(writer->job);
}

/* ---------------------------------------------------------------- finishing */

/* This rank's entry of the manifest's list of files. */
static ft_err describe_file(const ft_checkpoint_writer *w, char **text, size_t *bytes) {
  char name[CHECKPOINT_NAME_BYTES];
  FILE *f = open_memstream(text, bytes);
  if (!f) return end_text(f, text);
  ft_checkpoint_rank_name(ft_comm_rank(w->comm), ft_comm_size(w->comm), name);
  fprintf(f, "{\"name\": \"%s\", \"bytes\": %lld, \"metadata_xxh3\": \"%016llx\", \"slices\": [",
          name, (long long)w->file.bytes, (unsigned long long)w->file.metadata_hash);
  for (int64_t i = 0; i < w->num_datasets; i += w->num_states) {
    const ft_slice_dataset *d = &w->datasets[i];
    fprintf(f, "%s\n\"%s ", i ? "," : "", ft_shard_block(w->shard, w->blocks[i])->name);
    for (int64_t r = 0; r < d->num_ranges; r++)
      fprintf(f, "%s%lld+%lld", r ? "," : "", (long long)d->starts[r], (long long)d->counts[r]);
    for (int s = 0; s < w->num_states; s++)
      fprintf(f, " %lld/%lld/%016llx", (long long)d[s].file_offset, (long long)d[s].hashes_offset,
              (unsigned long long)d[s].checksum);
    fprintf(f, "\"");
  }
  fprintf(f, "]}");
  return end_text(f, text);
}

/* Rank 0: the manifest from its header and every rank's entry (end to end in `entries`). */
static ft_err write_manifest(const ft_checkpoint_writer *w, const char *entries,
                             const size_t *sizes) {
  ft_err err = FT_OK;
  char *text = NULL, *path = NULL;
  size_t bytes;
  FILE *f = open_memstream(&text, &bytes);
  if (f) {
    fputs(w->header, f);
    for (int r = 0; r < ft_comm_size(w->comm); entries += sizes[r], r++) {
      if (r > 0) fputs(",\n", f);
      fwrite(entries, 1, sizes[r], f);
    }
    fputs("]", f);
    fflush(f);
    if (!ferror(f)) fprintf(f, FT_CHECKPOINT_TAIL, (unsigned long long)ft_hash64(text, bytes, 0));
  }
  FT_TRY(end_text(f, &text));
  FT_TRY(ft_checkpoint_file(w->run_dir, w->step, FT_CHECKPOINT_MANIFEST, &path));
  FT_TRY(ft_write_file(path, text, bytes));
out:
  free(text);
  ft_free(path);
  return err;
}

/* Rank 0 sees a rank's file as that rank wrote it. Elsewhere written and not shared, it would be
 * missing when the run is to go on; on a network file system it may be seen a little late. */
static ft_err look_for_slice(const ft_checkpoint_writer *w, int rank, int64_t bytes) {
  ft_err err = FT_OK;
  char name[CHECKPOINT_NAME_BYTES], *path = NULL;
  struct stat s = {0};
  ft_checkpoint_rank_name(rank, ft_comm_size(w->comm), name);
  FT_TRY(ft_checkpoint_file(w->run_dir, w->step, name, &path));
  for (double end_s = ft_now_s() + FT_PATH_PATIENCE_S;;) {
    bool there = ft_path_await(path, FT_MAX(end_s - ft_now_s(), 0)) == FT_OK;
    if (there && stat(path, &s) == 0 && s.st_size == bytes) break;
    FT_CHECK(
        ft_now_s() < end_s, FT_ERR_IO,
        "%s: rank %d wrote %lld bytes, rank 0 sees %lld: the run directory is not the same one "
        "for all hosts",
        path, rank, (long long)bytes, (long long)s.st_size);
    ft_sleep_s(0.05);
  }
out:
  ft_free(path);
  return err;
}

static ft_err look_for_slices(const ft_checkpoint_writer *w) {
  ft_err err = FT_OK;
  void *all = NULL;
  FT_TRY(ft_comm_gather(w->comm, 0, &w->file.bytes, sizeof w->file.bytes, &all, NULL));
  if (ft_comm_rank(w->comm) == 0)
    for (int r = 1; r < ft_comm_size(w->comm) && err == FT_OK; r++)
      err = look_for_slice(w, r, ((const int64_t *)all)[r]);
out:
  ft_free(all);
  return err;
}

/* Gathers the entries and writes the manifest. */
static ft_err commit(ft_checkpoint_writer *w) {
  ft_err err = FT_OK;
  char *entry = NULL;
  size_t bytes = 0;
  void *entries = NULL, *sizes = NULL;
  ft_err mine = describe_file(w, &entry, &bytes);
  if (mine == FT_OK)
    mine = ft_alloc_array(FT_MEM_IO, ft_comm_size(w->comm), sizeof(size_t), &sizes);
  FT_TRY(ft_comm_agree(w->comm, mine));
  FT_TRY(ft_comm_gather(w->comm, 0, entry, bytes, &entries, sizes));
  mine = look_for_slices(w);
  if (mine == FT_OK && ft_comm_rank(w->comm) == 0) mine = write_manifest(w, entries, sizes);
  FT_TRY(ft_comm_agree(w->comm, mine));
out:
  free(entry);
  ft_free(entries);
  ft_free(sizes);
  return err;
}

/* This rank's part; may be asked for again. */
static ft_err wait_written(ft_checkpoint_writer *w) {
  if (w->job) {
    w->written = ft_io_wait(w->job);
    w->job = NULL;
    if (w->written != FT_OK) (void)ft_strdup(ft_error_message(), &w->message);
  }
  if (w->written == FT_OK) return FT_OK;
  return ft_fail(w->written, "%s", w->message ? w->message : "out of memory");
}

void ft_checkpoint_wait(ft_checkpoint_writer *w) {
  (void)wait_written(w);
}

/* All ranks' numbers together. */
static ft_err add_up(const ft_checkpoint_writer *w, ft_checkpoint_report *report) {
  ft_err err = FT_OK;
  int64_t sums[2] = {w->file.bytes, (int64_t)(w->cpu_seconds * 1e6)};
  int64_t slowest = (int64_t)(w->seconds * 1e6);
  FT_TRY(ft_comm_sum_i64(w->comm, sums, FT_ARRAY_SIZE(sums)));
  FT_TRY(ft_comm_max_i64(w->comm, &slowest, 1));
  *report = (ft_checkpoint_report){
      .bytes = sums[0], .seconds = (double)slowest * 1e-6, .cpu_seconds = (double)sums[1] * 1e-6};
out:
  return err;
}

/* The manifest makes it a checkpoint on all ranks or on none. */
static ft_err commit_together(ft_checkpoint_writer *w, ft_checkpoint_report *report) {
  ft_err err = ft_comm_section_begin(w->comm);
  if (err != FT_OK) return err;
  (void)ft_fault("checkpoint.commit");
  if (report) err = add_up(w, report);
  if (err == FT_OK) err = commit(w);
  ft_comm_section_end(w->comm);
  return err;
}

ft_err ft_checkpoint_finish(ft_checkpoint_writer *w, ft_checkpoint_report *report) {
  if (!w) return FT_OK;
  ft_err err = ft_comm_agree(w->comm, wait_written(w));
  if (err == FT_OK) err = commit_together(w, report);
  if (err == FT_ERR_STOPPED) return err;
  if (err != FT_OK && ft_comm_rank(w->comm) == 0) {
    char *message = NULL; /* removing may fail too; what counts is why */
    (void)ft_strdup(ft_error_message(), &message);
    (void)ft_checkpoint_remove(w->run_dir, w->step);
    (void)ft_fail(err, "%s", message ? message : "the checkpoint was not written");
    ft_free(message);
  }
  free_writer(w);
  return err;
}
