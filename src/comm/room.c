/* Whether the memory that the ranks are going to take is there: on each machine, and in each
 * control group that bounds some of its ranks. */
#include "comm_internal.h"

#include <stdlib.h>
#include <string.h>

#include "ft/base_machine.h"

/* What a rank knows of itself. */
typedef struct rank_memory {
  int64_t needed_bytes, resident_bytes;
  int64_t machine; /* lowest rank of its machine */
  char host[64];
  ft_memory_bounds memory;
} rank_memory;

static const ft_memory_bound *find_bound(const rank_memory *rank, uint64_t group) {
  for (int64_t i = 0; i < rank->memory.count; i++)
    if (rank->memory.bounds[i].group == group) return &rank->memory.bounds[i];
  return NULL;
}

/* All ranks that one bound holds for. What they have already counts as there for them. */
static ft_room room_of(const rank_memory *ranks, int size, int rank, const ft_memory_bound *bound) {
  ft_room room = {.limit_bytes = bound->limit_bytes, .available_bytes = bound->available_bytes};
  snprintf(room.host, sizeof room.host, "%s", ranks[rank].host);
  snprintf(room.name, sizeof room.name, "%s", bound->name);
  for (int r = 0; r < size; r++) {
    if (ranks[r].machine != ranks[rank].machine || !find_bound(&ranks[r], bound->group)) continue;
    room.num_ranks++;
    room.needed_bytes += ranks[r].needed_bytes;
    room.available_bytes += ranks[r].resident_bytes;
  }
  room.available_bytes = FT_MIN(room.available_bytes, room.limit_bytes);
  return room;
}

static double fullness(const ft_room *room) {
  return (double)room->needed_bytes / (double)FT_MAX(room->available_bytes, 1);
}

/* Whether a rank before this one is in the group too: then it was looked at. */
static bool seen_before(const rank_memory *ranks, int rank, uint64_t group) {
  for (int r = 0; r < rank; r++)
    if (ranks[r].machine == ranks[rank].machine && find_bound(&ranks[r], group)) return true;
  return false;
}

/* Of the bounds that hold for ranks of a machine. */
static ft_room find_tightest(const rank_memory *ranks, int size, int machine) {
  ft_room tightest = {0};
  for (int r = 0; r < size; r++) {
    const ft_memory_bounds *memory = &ranks[r].memory;
    for (int64_t i = 0; i < memory->count && ranks[r].machine == machine; i++) {
      const ft_memory_bound *bound = &memory->bounds[i];
      if (seen_before(ranks, r, bound->group)) continue;
      ft_room room = room_of(ranks, size, r, bound);
      if (tightest.num_ranks == 0 || fullness(&room) > fullness(&tightest)) tightest = room;
    }
  }
  return tightest;
}

static int compare_fullness(const void *a, const void *b) {
  double x = fullness(a), y = fullness(b);
  return x > y ? -1 : x < y;
}

static ft_err list_rooms(const rank_memory *ranks, int size, ft_room **out, int64_t *count) {
  void *memory = NULL;
  ft_err err = ft_alloc_array(FT_MEM_OTHER, size, sizeof(ft_room), &memory);
  if (err != FT_OK) return err;
  ft_room *rooms = memory;
  for (int r = 0; r < size; r++) {
    if (ranks[r].machine != r) continue;
    rooms[*count] = find_tightest(ranks, size, r);
    if (rooms[*count].num_ranks > 0) ++*count;
  }
  qsort(rooms, (size_t)*count, sizeof *rooms, compare_fullness);
  *out = rooms;
  return FT_OK;
}

ft_err ft_comm_memory_rooms(ft_comm *comm, int64_t needed_bytes, ft_room **rooms, int64_t *count) {
  ft_err err = FT_OK;
  void *mine = NULL, *all = NULL;
  *rooms = NULL;
  *count = 0;
  err = ft_alloc(FT_MEM_OTHER, sizeof(rank_memory), &mine);
  FT_TRY(ft_comm_agree(comm, err));
  rank_memory *self = mine;
  self->needed_bytes = needed_bytes;
  self->machine = comm->machine_leader;
  self->resident_bytes = ft_machine_resident("");
  ft_machine_memory("", &self->memory);
  snprintf(self->host, sizeof self->host, "%.63s", comm->host);
  FT_TRY(ft_comm_gather(comm, 0, self, sizeof *self, &all, NULL));
  err = comm->rank == 0 ? list_rooms(all, comm->size, rooms, count) : FT_OK;
  FT_TRY(ft_comm_agree(comm, err));
out:
  ft_free(mine);
  ft_free(all);
  return err;
}

ft_err ft_room_check(const ft_room *room) {
  if (room->num_ranks == 0 || room->needed_bytes <= room->available_bytes) return FT_OK;
  return ft_fail(FT_ERR_MEMORY,
                 "host %s: its %d ranks need %.1f MiB of memory, %.1f MiB are there (%s, of %.1f "
                 "MiB): use more nodes or fewer ranks a node, ask for more memory, or train with "
                 "less (docs/memory.md)",
                 room->host, room->num_ranks, (double)room->needed_bytes / 1048576.0,
                 (double)room->available_bytes / 1048576.0, room->name,
                 (double)room->limit_bytes / 1048576.0);
}
