/* Lines of a text file, streamed: memory is bounded by the longest line that is accepted. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ft/io_input.h"
#include "ft/prep.h"

enum { READ_BYTES = 64 << 10 };

struct ft_lines {
  char *path;
  ft_input *input;
  char *buffer; /* bytes begin … end have been read and not been given out */
  size_t begin, end, capacity;
  bool at_end;  /* of the file */
  bool is_part; /* the file's first line is not the first here */
  int64_t stop; /* lines that begin at or after this byte belong to the next part */
  int64_t base; /* byte of the file where reading began */
  int64_t read; /* bytes read since then, unpacked */
  int64_t number;
  char saved; /* what stood where the terminating zero was put */
  size_t saved_at;
  bool has_saved;
};

/* Opens a file for reading from byte `at`. */
static ft_err open_at(const char *path, const char *name, int64_t at, int *fd) {
  ft_err err = FT_OK;
  struct stat info;
  bool is_stdin = strcmp(path, "-") == 0;
  *fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
  if (*fd < 0)
    return ft_fail(errno == ENOENT || errno == ENOTDIR ? FT_ERR_NOINPUT : FT_ERR_IO,
                   "%s: cannot be opened: %s", name, strerror(errno));
  FT_CHECK(fstat(*fd, &info) == 0, FT_ERR_IO, "%s: %s", name, strerror(errno));
  FT_CHECK(!S_ISDIR(info.st_mode), FT_ERR_DATA, "%s: is a directory, a JSONL file was expected",
           name);
  FT_CHECK(at == 0 || lseek(*fd, at, SEEK_SET) == at, FT_ERR_IO, "%s: cannot go to byte %lld: %s",
           name, (long long)at, strerror(errno));
out:
  if (err != FT_OK) close(*fd);
  return err;
}

void ft_lines_close(ft_lines *l) {
  if (!l) return;
  ft_input_free(l->input);
  ft_free(l->buffer);
  ft_free(l->path);
  ft_free(l);
}

/* Reads more behind what is there, which is moved to the front first. One byte is kept free for a
 * terminating zero. */
static ft_err read_more(ft_lines *l) {
  size_t held = l->end - l->begin;
  if (l->begin > 0 && held > 0) memmove(l->buffer, l->buffer + l->begin, held);
  l->begin = 0;
  l->end = held;
  ft_err err = ft_grow_bytes(FT_MEM_PREP, held + READ_BYTES + 1, &l->capacity, (void **)&l->buffer);
  if (err != FT_OK) return err;
  size_t got;
  err = ft_input_read(l->input, l->buffer + l->end, READ_BYTES, &got);
  if (err != FT_OK) return err;
  l->end += got;
  l->read += (int64_t)got;
  l->at_end = got == 0;
  return FT_OK;
}

/* Finds the end of the line that starts at l->begin, reading as needed. *length: bytes before the
 * line feed (or the end of the file), or FT_LINE_MAX + 1 where there is none within FT_LINE_MAX. */
static ft_err find_line(ft_lines *l, size_t *length, bool *has_feed) {
  size_t searched = 0;
  *has_feed = false;
  for (;;) {
    size_t held = l->end - l->begin;
    char *feed =
        held > searched ? memchr(l->buffer + l->begin + searched, '\n', held - searched) : NULL;
    if (feed || held > FT_LINE_MAX || l->at_end) {
      *has_feed = feed != NULL;
      *length = feed ? (size_t)(feed - l->buffer) - l->begin : held;
      if (*length > FT_LINE_MAX) *has_feed = false;
      return FT_OK;
    }
    searched = held;
    ft_err err = read_more(l);
    if (err != FT_OK) return err;
  }
}

/* Drops the rest of a line that is too long. */
static ft_err skip_line(ft_lines *l) {
  for (;;) {
    char *feed = l->end > l->begin ? memchr(l->buffer + l->begin, '\n', l->end - l->begin) : NULL;
    if (feed) {
      l->begin = (size_t)(feed - l->buffer) + 1;
      return FT_OK;
    }
    l->begin = l->end;
    if (l->at_end) return FT_OK;
    ft_err err = read_more(l);
    if (err != FT_OK) return err;
  }
}

/* Lines of a part of a file are those that begin in it: what goes on from before is left out. */
ft_err ft_lines_open_part(const char *path, int64_t begin, int64_t end, ft_lines **out) {
  ft_err err = FT_OK;
  void *p = NULL;
  ft_lines *l = NULL;
  int fd = -1;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_PREP, sizeof *l, &p));
  l = p;
  l->stop = end;
  FT_TRY(ft_strdup(strcmp(path, "-") == 0 ? "standard input" : path, &l->path));
  FT_TRY(open_at(path, l->path, begin > 0 ? begin - 1 : 0, &fd));
  FT_TRY(ft_input_new(fd, l->path, &l->input));
  fd = -1;
  l->is_part = begin > 0;
  if (begin > 0) FT_TRY(skip_line(l));
  l->base = begin > 0 ? begin - 1 : 0;
  *out = l;
  l = NULL;
out:
  if (fd >= 0) close(fd);
  ft_lines_close(l);
  return err;
}

ft_err ft_lines_open(const char *path, ft_lines **out) {
  return ft_lines_open_part(path, 0, INT64_MAX, out);
}

static ft_err too_long_line(ft_lines *l, const char **text, size_t *bytes, bool *too_long) {
  ft_err err = skip_line(l);
  if (err != FT_OK) return err;
  *text = "";
  *bytes = 0;
  *too_long = true;
  return FT_OK;
}

/* Byte of the (unpacked) file where the next line begins. */
static int64_t next_at(const ft_lines *l) {
  return l->base + l->read - (int64_t)(l->end - l->begin);
}

ft_err ft_lines_next(ft_lines *l, const char **text, size_t *bytes, bool *too_long) {
  size_t length;
  bool has_feed;
  *text = NULL;
  *bytes = 0;
  *too_long = false;
  if (l->has_saved) l->buffer[l->saved_at] = l->saved;
  l->has_saved = false;
  if (next_at(l) >= l->stop) return FT_OK;
  ft_err err = find_line(l, &length, &has_feed);
  if (err != FT_OK) return err;
  if (length == 0 && !has_feed) return FT_OK;
  l->number++;
  if (length > FT_LINE_MAX) return too_long_line(l, text, bytes, too_long);
  char *start = l->buffer + l->begin;
  l->begin += length + (has_feed ? 1 : 0);
  if (length > 0 && start[length - 1] == '\r') length--;
  if (l->number == 1 && !l->is_part && length >= 3 && memcmp(start, "\xEF\xBB\xBF", 3) == 0) {
    start += 3;
    length -= 3;
  }
  l->saved_at = (size_t)(start - l->buffer) + length;
  l->saved = l->buffer[l->saved_at];
  l->has_saved = true;
  start[length] = 0;
  *text = start;
  *bytes = length;
  return FT_OK;
}

int64_t ft_lines_taken(const ft_lines *l) {
  return ft_input_taken(l->input);
}

const char *ft_lines_path(const ft_lines *l) {
  return l->path;
}

int64_t ft_lines_number(const ft_lines *l) {
  return l->number;
}

bool ft_line_is_blank(const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r') return false;
  return true;
}

ft_err ft_line_parse(const char *text, size_t bytes, cJSON **out) {
  static const char where[] = "is no JSON", place[] = "is no JSON: line 1, ";
  ft_err err = ft_json_parse_data(text, bytes, where, out);
  const char *message = ft_error_message();
  if (err != FT_ERR_DATA || strncmp(message, place, sizeof place - 1) != 0) return err;
  /* the line's number is told by who knows it */
  return ft_fail(err, "%s: %s", where, message + sizeof place - 1);
}
