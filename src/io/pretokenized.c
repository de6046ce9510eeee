/* Documents from another process, which reads them by HDF5's library. */
#include "ft/io_pretokenized.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "h5_foreign.h"

/* Memory that the process may take beyond what it has when it begins. */
static const rlim_t more_bytes = (rlim_t)3 << 30;

struct ft_pretokenized {
  char *path;
  pid_t child;
  FILE *in;
  uint32_t *ids;
  uint8_t *mask;
  int64_t capacity;
};

static void bound_memory(void) {
  struct rlimit limit;
  long pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (!f) return;
  if (fscanf(f, "%ld", &pages) == 1 && getrlimit(RLIMIT_AS, &limit) == 0) {
    rlim_t wanted = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + more_bytes;
    limit.rlim_cur = FT_MIN(limit.rlim_max, wanted);
    (void)setrlimit(RLIMIT_AS, &limit);
  }
  fclose(f);
}

/* The other process: nothing of it comes back but what it writes. */
_Noreturn static void be_child(const char *path, int64_t pad, int fd) {
  static const int defaults[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGPIPE};
  for (size_t i = 0; i < FT_ARRAY_SIZE(defaults); i++)
    signal(defaults[i], SIG_DFL);
  bound_memory();
  FILE *out = fdopen(fd, "wb");
  if (!out) _exit(1);
  ft_h5_read_foreign(path, pad, out);
  _exit(fflush(out) == 0 ? 0 : 1);
}

ft_err ft_pretokenized_open(const char *path, int64_t pad, ft_pretokenized **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  int ends[2] = {-1, -1};
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_IO, sizeof(ft_pretokenized), &memory));
  ft_pretokenized *p = memory;
  p->child = -1;
  FT_TRY(ft_strdup(path, &p->path));
  FT_CHECK(pipe(ends) == 0, FT_ERR_IO, "%s: no pipe for its reader: %s", path, strerror(errno));
  p->child = fork();
  FT_CHECK(p->child >= 0, FT_ERR_IO, "%s: no process for its reader: %s", path, strerror(errno));
  if (p->child == 0) {
    close(ends[0]);
    be_child(path, pad, ends[1]);
  }
  close(ends[1]);
  ends[1] = -1;
  p->in = fdopen(ends[0], "rb");
  FT_CHECK(p->in, FT_ERR_MEMORY, "%s: no memory for its reader", path);
  ends[0] = -1;
  *out = p;
  memory = NULL;
out:
  for (int i = 0; i < 2; i++)
    if (ends[i] >= 0) close(ends[i]);
  ft_pretokenized_close(memory);
  return err;
}

void ft_pretokenized_close(ft_pretokenized *p) {
  if (!p) return;
  if (p->in) fclose(p->in);
  if (p->child > 0) {
    kill(p->child, SIGKILL); /* it may have more to say than anybody wants */
    while (waitpid(p->child, NULL, 0) < 0 && errno == EINTR)
      ;
  }
  ft_free(p->ids);
  ft_free(p->mask);
  ft_free(p->path);
  ft_free(p);
}

/* What became of the process, where it did not say so itself. */
static ft_err ended_early(ft_pretokenized *p) {
  int status = 0;
  while (p->child > 0 && waitpid(p->child, &status, 0) < 0 && errno == EINTR)
    ;
  p->child = -1;
  if (WIFSIGNALED(status))
    return ft_fail(FT_ERR_DATA, "%s: HDF5's reader was ended by signal %d (%s)", p->path,
                   WTERMSIG(status), strsignal(WTERMSIG(status)));
  return ft_fail(FT_ERR_DATA, "%s: HDF5's reader ended with status %d", p->path,
                 WEXITSTATUS(status));
}

static ft_err its_error(ft_pretokenized *p, int32_t bytes) {
  char message[1024];
  size_t length = FT_MIN((size_t)FT_MAX(bytes, 0), sizeof message - 1);
  if (fread(message, 1, length, p->in) != length) return ended_early(p);
  message[length] = 0;
  return ft_fail(FT_ERR_DATA, "%s", message);
}

ft_err ft_pretokenized_next(ft_pretokenized *p, const uint32_t **ids, const uint8_t **mask,
                            int64_t *count, bool *has_mask) {
  ft_err err = FT_OK;
  ft_h5_frame frame;
  *count = -1;
  if (fread(&frame, sizeof frame, 1, p->in) != 1) return ended_early(p);
  if (frame.count == -2) return its_error(p, frame.bytes);
  if (frame.count == -1) return FT_OK;
  FT_CHECK(frame.count >= 0 && frame.count <= FT_H5_MAX_DOCUMENT, FT_ERR_INTERNAL,
           "%s: a document of %lld tokens", p->path, (long long)frame.count);
  const ft_array arrays[] = {{(void **)&p->ids, sizeof *p->ids}, {(void **)&p->mask, 1}};
  FT_TRY(ft_grow_all(FT_MEM_IO, frame.count, &p->capacity, arrays, FT_ARRAY_SIZE(arrays)));
  size_t tokens = (size_t)frame.count;
  if (tokens > 0 && (fread(p->ids, sizeof *p->ids, tokens, p->in) != tokens ||
                     fread(p->mask, 1, tokens, p->in) != tokens))
    return ended_early(p);
  *ids = p->ids;
  *mask = p->mask;
  *count = frame.count;
  *has_mask = frame.has_mask;
out:
  return err;
}
