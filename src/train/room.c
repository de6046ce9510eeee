/* Whether what the run takes is there: memory, shared memory, disk. What it takes is what was
 * allocated: large memory is there before the first step, and is touched only when it is used. */
#include <string.h>
#include <sys/statvfs.h>

#include "ft/base_machine.h"
#include "preference.h"

#define GIB 1073741824.0
#define MOST_ROOMS_TOLD 8

/* ---------------------------------------------------------------- memory */

static int64_t free_shared_memory(void) {
  struct statvfs info;
  if (statvfs("/dev/shm", &info) != 0) return -1;
  return (int64_t)(info.f_bavail * info.f_frsize);
}

void ft_before_note(ft_before *before) {
  *before = (ft_before){.accounted_bytes = (int64_t)ft_mem_total().current_bytes,
                        .resident_bytes = ft_machine_resident(""),
                        .shm_bytes = free_shared_memory()};
}

/* Of a large job, the fullest machines are told. Rank 0. */
static void say_rooms(const ft_room *rooms, int64_t count) {
  int64_t told = FT_MIN(count, MOST_ROOMS_TOLD);
  for (int64_t i = 0; i < told; i++)
    ft_log(FT_LOG_INFO, "memory: the %d ranks of %s will take %.2f GiB of %.2f GiB there (%s)",
           rooms[i].num_ranks, rooms[i].host, (double)rooms[i].needed_bytes / GIB,
           (double)rooms[i].available_bytes / GIB, rooms[i].name);
  if (told < count)
    ft_log(FT_LOG_INFO, "memory: the other %lld machines are less full", (long long)(count - told));
}

/* Beside what is accounted, this rank has what it had before: program, libraries, MPI. */
static ft_err check_memory(trainer *t, ft_mistakes *m) {
  ft_room *rooms = NULL;
  int64_t accounted = (int64_t)ft_mem_total().current_bytes - t->before.accounted_bytes, count;
  ft_err err = ft_comm_memory_rooms(t->comm, t->before.resident_bytes + accounted, &rooms, &count);
  if (err != FT_OK) return err;
  say_rooms(rooms, count);
  for (int64_t i = 0; i < FT_MIN(count, MOST_ROOMS_TOLD); i++)
    ft_mistakes_note(m, ft_room_check(&rooms[i]));
  ft_free(rooms);
  return FT_OK;
}

/* It is taken already: who has too little of it was refused. */
static ft_err say_shared_memory(trainer *t) {
  int64_t taken = t->before.shm_bytes - free_shared_memory(), before = -t->before.shm_bytes;
  bool shared = ft_comm_num_nodes(t->comm) < t->size;
  ft_err err = ft_comm_max_i64(t->comm, &taken, 1);
  if (err == FT_OK) err = ft_comm_max_i64(t->comm, &before, 1);
  if (err == FT_OK && t->rank == 0 && shared && before < 0)
    ft_log(FT_LOG_INFO,
           "/dev/shm: a node takes at most %.2f GiB; %.2f GiB were free where least was",
           (double)FT_MAX(taken, 0) / GIB, (double)-before / GIB);
  return err;
}

/* ---------------------------------------------------------------- disk */

int64_t ft_trainer_checkpoint_bytes(const trainer *t) {
  return ft_plan_checkpoint_bytes(t->config, t->hf.layout);
}

/* Checkpoints that lie there at once, beside those that do already: the newest ones, the best, and
 * the one that is being written. */
static int64_t more_checkpoints(const trainer *t, int64_t existing) {
  const ft_config *c = t->config;
  int64_t done = t->checkpoint ? ft_checkpoint_meta_of(t->checkpoint)->step : 0;
  int64_t left = t->steps - done, best = c->num_validation > 0;
  int64_t written = ft_ceil_div(left, c->checkpoint_every);
  if (best) written += left / c->validation_every;
  return FT_MAX(FT_MIN(c->keep + 1 + best, existing + written) - existing, 0);
}

/* Rank 0. */
static ft_err check_disk(const trainer *t) {
  ft_err err = FT_OK;
  int64_t *steps = NULL, existing = 0, bytes = ft_trainer_checkpoint_bytes(t), documents;
  FT_TRY(ft_reference_documents(t, &documents));
  FT_TRY(ft_checkpoint_list(t->config->run_dir, &steps, &existing));
  int64_t more = more_checkpoints(t, existing);
  FT_TRY(ft_run_check_room(t->run, more * bytes + FT_PLAN_REFERENCE_ROW_BYTES * documents));
  ft_log(FT_LOG_INFO,
         "disk: %s has room for the %lld checkpoints of %.3f GiB that are still to come "
         "at once",
         t->config->run_dir, (long long)more, (double)bytes / GIB);
out:
  ft_free(steps);
  return err;
}

ft_err ft_trainer_check_room(trainer *t, ft_mistakes *m) {
  bool planned = m->count == 0;
  ft_err err = check_memory(t, m);
  if (err == FT_OK) err = say_shared_memory(t);
  if (err != FT_OK) return err;
  if (t->rank == 0 && planned) ft_mistakes_note(m, check_disk(t));
  return ft_comm_agree(t->comm, ft_mistakes_fail(m, NULL));
}
