/* Who holds a run directory, as RUN/lock says, and whether that one is gone. */
#ifndef FT_RUN_HOLDER_H
#define FT_RUN_HOLDER_H

#include "ft/io.h"

/* A holder without a sign of life for that long is taken to be gone. */
#define FT_HOLDER_SILENCE_S 120.0
/* A living holder has given another sign after that long. */
#define FT_HOLDER_BEAT_S 15.0

/* What the file says of its holder, and what can be seen of it. */
typedef struct ft_holder {
  char host[256], job[64], restart[32];
  char machine[64];   /* the kernel's boot, which no two machines share; "": not known */
  char processes[64]; /* the name space that pid is of; "": not known */
  long pid;
  double started;   /* seconds since 1970 */
  double stamp_s;   /* the last sign of life, by the filesystem's clock */
  double silence_s; /* since then, at least 0 */
  bool locked;      /* its lock could not be had */
  bool trusted;     /* one that can be had means something here */
} ft_holder;

/* This process. */
void ft_holder_self(ft_holder *out);
/* Reads what an open file says; `now` is what its time is compared with. False: nothing that could
 * be understood. */
bool ft_holder_read(int fd, double now, ft_holder *out);
/* The file's text. *text: ft_free. */
ft_err ft_holder_print(const ft_holder *h, char **text);
/* Whether the same process wrote both. */
bool ft_holder_is(const ft_holder *a, const ft_holder *b);
/* Slurm starts a job again only after it has ended, or when it has given up the node that it ran
 * on: a holder there may live, cut off from all others, and sees when it comes back that it lost
 * the lock. */
bool ft_holder_was_restarted(const ft_holder *h);
/* Whether a lock (flock) that could be had on this file's filesystem proves that nobody holds it,
 * unless there are fresh signs of life: filesystems of one host, and NFS. */
bool ft_holder_trusts_locks(int fd);
/* Whether what the file says of its last holder may be ignored. `locked`: its lock could be had;
 * otherwise there are no locks here. */
bool ft_holder_is_gone(int fd, const ft_holder *h, bool locked);

#endif
