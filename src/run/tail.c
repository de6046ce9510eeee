/* The newest rows of metrics.jsonl, and the row of a step, without reading all of the file. */
#define _GNU_SOURCE /* memrchr */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ft/run_read.h"

/* Blocks that the end is read in, and those in which one row is looked for. */
enum { BLOCK_BYTES = 1 << 16, ROW_BYTES = 1 << 12 };

/* metrics.jsonl and a part of it that is in memory. */
typedef struct rows {
  char *path;
  int fd; /* -1: there is no file */
  int64_t bytes;
  char *text; /* [text_bytes], of the file from `start` on */
  int64_t start, text_bytes;
} rows;

static ft_err open_rows(const char *run_dir, rows *r) {
  ft_err err = FT_OK;
  struct stat s;
  *r = (rows){.fd = -1};
  FT_TRY(ft_path_join(run_dir, "metrics.jsonl", &r->path));
  r->fd = open(r->path, O_RDONLY | O_CLOEXEC);
  if (r->fd < 0 && errno == ENOENT) goto out;
  FT_CHECK(r->fd >= 0 && fstat(r->fd, &s) == 0, FT_ERR_IO, "%s: cannot read: %s", r->path,
           strerror(errno));
  FT_CHECK(S_ISREG(s.st_mode), FT_ERR_DATA, "%s: is no regular file", r->path);
  r->bytes = s.st_size;
out:
  return err;
}

static void close_rows(rows *r) {
  if (r->fd >= 0) close(r->fd);
  ft_free(r->text);
  ft_free(r->path);
}

/* Puts the file's bytes [start, end) into memory. */
static ft_err load(rows *r, int64_t start, int64_t end) {
  ft_err err = FT_OK;
  void *p = r->text;
  FT_TRY(ft_realloc(FT_MEM_IO, (size_t)(end - start), &p));
  r->text = p;
  FT_TRY(ft_pread_all(r->fd, r->path, r->text, (size_t)(end - start), start));
  r->start = start;
  r->text_bytes = end - start;
out:
  return err;
}

/* The step of a row, which is its first member: {"step":12,…. -1: the line is none. */
static int64_t step_of(const char *line, int64_t length) {
  static const char begin[] = "{\"step\":";
  int64_t at = (int64_t)sizeof begin - 1, step = 0;
  if (length <= at || memcmp(line, begin, sizeof begin - 1) != 0) return -1;
  int64_t first = at;
  for (; at < length && line[at] >= '0' && line[at] <= '9' && step < INT64_MAX / 100; at++)
    step = step * 10 + (line[at] - '0');
  return at > first ? step : -1;
}

static bool is_evaluation(const char *line, int64_t length) {
  static const char member[] = ",\"validation\":";
  const char *comma = memchr(line, ',', (size_t)length);
  return comma && line + length - comma >= (ptrdiff_t)sizeof member - 1 &&
         memcmp(comma, member, sizeof member - 1) == 0;
}

static ft_err parse(const rows *r, const char *line, int64_t length, cJSON **out) {
  ft_err err = ft_json_parse(line, (size_t)length, "a row", out);
  if (err == FT_OK) return FT_OK;
  return ft_fail_prefix(err, "%s, at byte %lld", r->path, (long long)(r->start + (line - r->text)));
}

/* ---------------------------------------------------------------- from the end */

/* Takes what is wanted of a line; the newest come first. */
static ft_err take(const rows *r, ft_tail *t, const char *line, int64_t length) {
  bool evaluation = is_evaluation(line, length);
  if (!evaluation && t->num_steps < FT_TAIL_STEPS && step_of(line, length) >= 0)
    return parse(r, line, length, &t->steps[t->num_steps++]);
  if (evaluation && !t->evaluation) return parse(r, line, length, &t->evaluation);
  return FT_OK;
}

static bool is_enough(const ft_tail *t) {
  return t->num_steps == FT_TAIL_STEPS && t->evaluation;
}

/* Goes backwards over the whole lines of what is in memory; *first is where the first of them
 * begins, or, with none, where the memory ends. The line that the memory begins in is left out,
 * unless it is the file's first. */
static ft_err take_backwards(const rows *r, ft_tail *t, int64_t *first) {
  const char *end = memrchr(r->text, '\n', (size_t)r->text_bytes);
  *first = r->text_bytes;
  while (end && !is_enough(t)) {
    const char *before = memrchr(r->text, '\n', (size_t)(end - r->text));
    const char *line = before ? before + 1 : r->text;
    if (!before && r->start > 0) break;
    ft_err err = take(r, t, line, end - line);
    if (err != FT_OK) return err;
    *first = line - r->text;
    end = before;
  }
  return FT_OK;
}

ft_err ft_tail_read(const char *run_dir, ft_tail *t) {
  ft_err err = FT_OK;
  rows r;
  *t = (ft_tail){0};
  FT_TRY(open_rows(run_dir, &r));
  int64_t block = BLOCK_BYTES;
  for (int64_t end = r.bytes; end > 0 && !is_enough(t);) {
    int64_t start = FT_MAX(0, end - block), first;
    FT_TRY(load(&r, start, end));
    FT_TRY(take_backwards(&r, t, &first));
    if (start == 0) break;
    if (first == end - start) block *= 2; /* a line longer than the block */
    end = start + first;
  }
out:
  close_rows(&r);
  return err;
}

void ft_tail_fini(ft_tail *t) {
  for (int64_t i = 0; i < t->num_steps; i++)
    cJSON_Delete(t->steps[i]);
  cJSON_Delete(t->evaluation);
  *t = (ft_tail){0};
}

/* ---------------------------------------------------------------- the row of a step */

/* Loads from `at` on until there is a whole line that begins at or after it. *line: where it
 * begins in the text, *length of it; -1: there is none. */
static ft_err line_after(rows *r, int64_t at, const char **line, int64_t *length) {
  ft_err err = FT_OK;
  *length = -1;
  for (int64_t size = ROW_BYTES; *length < 0; size *= 2) {
    int64_t end = FT_MIN(at + size, r->bytes);
    FT_TRY(load(r, at, end));
    const char *begin = at == 0 ? r->text : memchr(r->text, '\n', (size_t)r->text_bytes);
    if (begin && at > 0) begin++;
    const char *stop =
        begin ? memchr(begin, '\n', (size_t)(r->text + r->text_bytes - begin)) : NULL;
    if (stop) {
      *line = begin;
      *length = stop - begin;
    }
    if (end == r->bytes) break;
  }
out:
  return err;
}

/* The file offset of a line at or before the first row of `step`: steps ascend, so halves do. */
static ft_err bisect(rows *r, int64_t step, int64_t *out) {
  ft_err err = FT_OK;
  int64_t low = 0, high = r->bytes;
  while (high - low > ROW_BYTES) {
    const char *line;
    int64_t length, middle = low + (high - low) / 2;
    FT_TRY(line_after(r, middle, &line, &length));
    int64_t begin = length < 0 ? r->bytes : r->start + (line - r->text);
    if (length >= 0 && begin < high && step_of(line, length) < step)
      low = begin;
    else
      high = middle;
  }
  *out = low;
out:
  return err;
}

ft_err ft_run_read_evaluation(const char *run_dir, int64_t step, cJSON **out) {
  ft_err err = FT_OK;
  rows r;
  const char *line;
  int64_t at, length;
  *out = NULL;
  FT_TRY(open_rows(run_dir, &r));
  if (r.bytes == 0) goto out;
  FT_TRY(bisect(&r, step, &at));
  for (;; at = r.start + (line - r.text) + length) { /* the line break before the next line */
    FT_TRY(line_after(&r, at, &line, &length));
    if (length < 0 || step_of(line, length) > step) break;
    if (step_of(line, length) != step || !is_evaluation(line, length)) continue;
    FT_TRY(parse(&r, line, length, out));
    break;
  }
out:
  close_rows(&r);
  return err;
}

/* ---------------------------------------------------------------- checkpoints */

ft_err ft_run_newest_checkpoint(const char *run_dir, int64_t *step) {
  ft_err err = FT_OK;
  char *dir = NULL, *manifest = NULL, **names = NULL, name[512];
  int64_t num_names = 0;
  *step = -1;
  FT_TRY(ft_path_join(run_dir, "checkpoints", &dir));
  if (!ft_path_is_dir(dir)) goto out;
  FT_TRY(ft_list_dir(dir, &names, &num_names));
  for (int64_t i = 0; i < num_names; i++) {
    char *end;
    if (strncmp(names[i], "step-", 5) != 0) continue;
    int64_t found = strtoll(names[i] + 5, &end, 10);
    if (*end || found <= *step) continue;
    snprintf(name, sizeof name, "%.255s/manifest.json", names[i]);
    ft_free(manifest);
    FT_TRY(ft_path_join(dir, name, &manifest));
    if (ft_path_exists(manifest)) *step = found;
  }
out:
  ft_free_names(names, num_names);
  ft_free(manifest);
  ft_free(dir);
  return err;
}
