/* comm on any number of ranks and any layout of nodes: who is where, exchanges, collectives,
 * agreement, windows, threads.
 * Alone: mpirun -np 3 build/tests/comm/test_comm; FT_FAKE_NODE_SIZE=2 makes nodes of two ranks. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <omp.h>

#include "ft/comm.h"
#include "comm_test.h"

/* ---------------------------------------------------------------- who is where */

static void nodes_are_consistent(void **state) {
  (void)state;
  int nodes = ft_comm_num_nodes(comm), total = 0;
  assert_in_range(rank, 0, size - 1);
  for (int n = 0; n < nodes; n++) {
    int lowest = ft_comm_node_member(comm, n, 0);
    if (n > 0) assert_true(lowest > ft_comm_node_member(comm, n - 1, 0));
    for (int i = 0; i < ft_comm_node_size(comm, n); i++) {
      int member = ft_comm_node_member(comm, n, i);
      assert_int_equal(ft_comm_node_of(comm, member), n);
      if (i > 0) assert_true(member > ft_comm_node_member(comm, n, i - 1));
      if (member == rank) {
        assert_int_equal(ft_comm_node(comm), n);
        assert_int_equal(ft_comm_node_rank(comm), i);
      }
      total++;
    }
  }
  assert_int_equal(total, size);
  assert_true(strlen(ft_comm_host(comm)) > 0);
  const char *fake = getenv("FT_FAKE_NODE_SIZE");
  if (fake && *fake) assert_int_equal(nodes, ft_ceil_div(size, labs(strtol(fake, NULL, 10))));
}

/* ---------------------------------------------------------------- exchanges */

/* The bytes that `from` sends to `to` as its message number `which` of exchange `seed`. */
static uint8_t expected_byte(int seed, int from, int to, int which, size_t at) {
  uint64_t key =
      (uint64_t)seed * 1000003u + (uint64_t)from * 10007u + (uint64_t)to * 101u + (uint64_t)which;
  return (uint8_t)(key * 2654435761u + at * 131u + (at >> 8));
}

static size_t message_bytes(int seed, int from, int to, int which) {
  uint64_t random =
      ft_random_u64((uint64_t)seed, FT_RANDOM_BENCH, (uint64_t)(from * 4096 + to), (uint64_t)which);
  static const size_t limits[] = {1, 2, 100, 5000, 70000, 1 << 20};
  return (size_t)(random >> 8) % limits[random % (size > 8 ? 4 : 6)]; /* many ranks: smaller */
}

enum { MESSAGES = 3 }; /* a pair and exchange */

typedef struct traffic {
  int seed;
  ft_message *sends, *receives;
  int64_t num;
  ft_request *request;
} traffic;

static void traffic_init(traffic *t, int seed) {
  int64_t peers = size - 1;
  t->seed = seed;
  t->num = 0;
  assert_ok(ft_alloc_array(FT_MEM_OTHER, peers * MESSAGES, sizeof(ft_message), (void **)&t->sends));
  assert_ok(
      ft_alloc_array(FT_MEM_OTHER, peers * MESSAGES, sizeof(ft_message), (void **)&t->receives));
  for (int which = 0; which < MESSAGES; which++)
    for (int peer = 0; peer < size; peer++) {
      if (peer == rank) continue;
      ft_message *s = &t->sends[t->num], *r = &t->receives[t->num++];
      *s = (ft_message){.peer = peer, .bytes = message_bytes(seed, rank, peer, which)};
      *r = (ft_message){.peer = peer, .bytes = message_bytes(seed, peer, rank, which)};
      assert_ok(ft_alloc(FT_MEM_OTHER, s->bytes, &s->data));
      assert_ok(ft_alloc(FT_MEM_OTHER, r->bytes, &r->data));
      for (size_t i = 0; i < s->bytes; i++)
        ((uint8_t *)s->data)[i] = expected_byte(seed, rank, peer, which, i);
    }
}

static void traffic_check_and_free(traffic *t) {
  int64_t n = 0, wrong = 0;
  for (int which = 0; which < MESSAGES; which++)
    for (int peer = 0; peer < size; peer++) {
      if (peer == rank) continue;
      const ft_message *r = &t->receives[n++];
      for (size_t i = 0; i < r->bytes; i++)
        wrong += ((uint8_t *)r->data)[i] != expected_byte(t->seed, peer, rank, which, i);
    }
  assert_int_equal(wrong, 0);
  for (int64_t i = 0; i < t->num; i++) {
    ft_free(t->sends[i].data);
    ft_free(t->receives[i].data);
  }
  ft_free(t->sends);
  ft_free(t->receives);
}

static ft_request *post(traffic *t) {
  ft_exchange e = {.name = "traffic",
                   .block = t->seed,
                   .barrier_before = t->seed % 2 == 0,
                   .barrier_after = t->seed % 3 == 0,
                   .sends = t->sends,
                   .num_sends = t->num,
                   .receives = t->receives,
                   .num_receives = t->num};
  return ft_comm_exchange(comm, &e);
}

static void all_to_all_of_random_sizes(void **state) {
  (void)state;
  enum { IN_FLIGHT = 8, ROUNDS = 4 };
  for (int round = 0; round < ROUNDS; round++) {
    traffic t[IN_FLIGHT];
    for (int i = 0; i < IN_FLIGHT; i++) {
      traffic_init(&t[i], 100 * round + i);
      t[i].request = post(&t[i]);
    }
    if (rank == round % size) usleep(3000);  /* somebody is late */
    for (int i = IN_FLIGHT - 1; i >= 0; i--) /* any order of waiting will do */
      assert_int_equal(ft_comm_wait(comm, t[i].request), FT_OK);
    for (int i = 0; i < IN_FLIGHT; i++)
      traffic_check_and_free(&t[i]);
  }
}

/* One message larger than a piece (and no multiple of one) around the ring. */
static void larger_than_a_piece(void **state) {
  (void)state;
  if (size == 1 || size > 8) return;
  size_t bytes = ((size_t)65 << 20) + 13;
  uint8_t *out, *in;
  assert_ok(ft_alloc(FT_MEM_OTHER, bytes, (void **)&out));
  assert_ok(ft_alloc(FT_MEM_OTHER, bytes, (void **)&in));
  for (size_t i = 0; i < bytes; i++)
    out[i] = expected_byte(7, rank, (rank + 1) % size, 0, i);
  ft_message send = {.peer = (rank + 1) % size, .data = out, .bytes = bytes};
  ft_message receive = {.peer = (rank + size - 1) % size, .data = in, .bytes = bytes};
  ft_exchange e = {.name = "ring",
                   .block = -1,
                   .sends = &send,
                   .num_sends = 1,
                   .receives = &receive,
                   .num_receives = 1};
  assert_ok(ft_comm_wait(comm, ft_comm_exchange(comm, &e)));
  size_t wrong = 0;
  for (size_t i = 0; i < bytes; i++)
    wrong += in[i] != expected_byte(7, (rank + size - 1) % size, rank, 0, i);
  assert_int_equal(wrong, 0);
  ft_free(out);
  ft_free(in);
}

/* Steps of exchanges: prepare before the sends leave, complete after the receives came, in order.
 */
typedef struct step {
  int number, *clock, value, received, *prepared_at, *completed_at;
} step;

static void prepare_step(void *arg) {
  step *s = arg;
  *s->prepared_at = (*s->clock)++;
  s->value = 1000 * s->number + rank;
}

static void complete_step(void *arg) {
  step *s = arg;
  *s->completed_at = (*s->clock)++;
}

static void steps_run_in_order(void **state) {
  (void)state;
  enum { STEPS = 50 };
  int clock = 0, prepared[STEPS], completed[STEPS];
  step steps[STEPS];
  ft_message sends[STEPS], receives[STEPS];
  ft_request *requests[STEPS];
  for (int i = 0; i < STEPS; i++) {
    steps[i] = (step){.number = i,
                      .clock = &clock,
                      .received = -1,
                      .prepared_at = &prepared[i],
                      .completed_at = &completed[i]};
    sends[i] = (ft_message){(rank + 1) % size, &steps[i].value, sizeof(int)};
    receives[i] = (ft_message){(rank + size - 1) % size, &steps[i].received, sizeof(int)};
    ft_exchange e = {.name = "step",
                     .block = i,
                     .prepare = prepare_step,
                     .complete = complete_step,
                     .arg = &steps[i],
                     .sends = &sends[i],
                     .num_sends = size > 1,
                     .receives = &receives[i],
                     .num_receives = size > 1};
    requests[i] = ft_comm_exchange(comm, &e);
  }
  for (int i = 0; i < STEPS; i++)
    assert_ok(ft_comm_wait(comm, requests[i]));
  for (int i = 0; i < STEPS; i++) {
    assert_int_equal(prepared[i], 2 * i);
    assert_int_equal(completed[i], 2 * i + 1);
    if (size > 1) assert_int_equal(steps[i].received, 1000 * i + (rank + size - 1) % size);
  }
}

/* ---------------------------------------------------------------- collectives */

static void broadcasts(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 17, 65536, 3000001};
  for (size_t s = 0; s < FT_ARRAY_SIZE(sizes); s++)
    for (int root = 0; root < size; root++) {
      uint8_t *data;
      assert_ok(ft_alloc(FT_MEM_OTHER, sizes[s], (void **)&data));
      for (size_t i = 0; rank == root && i < sizes[s]; i++)
        data[i] = expected_byte(1, root, 0, 0, i);
      assert_ok(ft_comm_broadcast(comm, root, data, sizes[s]));
      size_t wrong = 0;
      for (size_t i = 0; i < sizes[s]; i++)
        wrong += data[i] != expected_byte(1, root, 0, 0, i);
      assert_int_equal(wrong, 0);
      ft_free(data);
    }
}

static void sums_and_maxima(void **state) {
  (void)state;
  enum { MOST = 1100 }; /* few values go another way than many */
  static const int64_t counts[] = {0, 1, 17, 1023, 1024, 1025, MOST};
  int64_t sum[MOST], max[MOST];
  uint64_t wrapped[MOST];
  for (size_t c = 0; c < FT_ARRAY_SIZE(counts); c++) {
    for (int64_t i = 0; i < counts[c]; i++) {
      sum[i] = ((int64_t)1 << 53) + i * (rank + 1); /* a double would lose it */
      max[i] = i % size == rank ? INT64_MAX - i : -i - rank;
      wrapped[i] = UINT64_MAX - (uint64_t)(i * (rank + 1)); /* goes round from two ranks on */
    }
    assert_ok(ft_comm_sum_i64(comm, sum, counts[c]));
    assert_ok(ft_comm_max_i64(comm, max, counts[c]));
    assert_ok(ft_comm_sum_u64(comm, wrapped, counts[c]));
    for (int64_t i = 0; i < counts[c]; i++) {
      assert_int_equal(sum[i], size * ((int64_t)1 << 53) + i * size * (size + 1) / 2);
      assert_int_equal(max[i], INT64_MAX - i);
      uint64_t expected = (uint64_t)size * UINT64_MAX - (uint64_t)(i * size * (size + 1) / 2);
      assert_true(wrapped[i] == expected);
    }
  }
}

static void gathers_of_unequal_sizes(void **state) {
  (void)state;
  for (int root = 0; root < size; root++)
    for (int variant = 0; variant < 3; variant++) {
      /* variant 0: nobody has anything; 1: odd ranks have; 2: all have */
      size_t bytes = variant == 0 || (variant == 1 && rank % 2 == 0) ? 0 : (size_t)rank * 30011 + 1;
      uint8_t *mine;
      void *all = &all;
      size_t sizes[64];
      assert_ok(ft_alloc(FT_MEM_OTHER, bytes, (void **)&mine));
      for (size_t i = 0; i < bytes; i++)
        mine[i] = expected_byte(variant, rank, root, 0, i);
      assert_ok(ft_comm_gather(comm, root, mine, bytes, &all, rank == root ? sizes : NULL));
      if (rank != root) assert_null(all);
      const uint8_t *at = all;
      for (int r = 0; rank == root && r < size; r++) {
        size_t expected = variant == 0 || (variant == 1 && r % 2 == 0) ? 0 : (size_t)r * 30011 + 1;
        assert_int_equal(sizes[r], expected);
        for (size_t i = 0; i < expected; i++)
          if (*at++ != expected_byte(variant, r, root, 0, i)) fail_msg("byte %zu of %d", i, r);
      }
      ft_free(mine);
      ft_free(all);
    }
}

static void agreement_names_the_lowest_failing_rank(void **state) {
  (void)state;
  assert_int_equal(ft_comm_agree(comm, FT_OK), FT_OK);
  for (int failing = 0; failing < size; failing++) {
    ft_err mine = FT_OK;
    ft_fail(FT_ERR_USAGE, "an old message");
    if (rank == failing) mine = ft_fail(FT_ERR_IO, "rank %d cannot read its file", rank);
    if (rank > failing) mine = ft_fail(FT_ERR_DATA, "rank %d fails too", rank);
    /* where others did not fail, it says who did */
    bool named = failing > 0;
    char expected[256];
    snprintf(expected, sizeof expected, "rank %d (host %s): rank %d cannot read its file", failing,
             ft_comm_host(comm), failing);
    assert_int_equal(ft_comm_agree(comm, mine), FT_ERR_IO);
    assert_string_equal(ft_error_message(), named ? expected : strstr(expected, ": ") + 2);
  }
  char longest[9000];
  memset(longest, 'x', sizeof longest - 1);
  longest[sizeof longest - 1] = 0;
  ft_err mine = rank == size - 1 ? ft_fail(FT_ERR_CONFIG, "%s", longest) : FT_OK;
  assert_int_equal(ft_comm_agree(comm, mine), FT_ERR_CONFIG);
  assert_int_equal(strlen(ft_error_message()), 8191);
}

/* ---------------------------------------------------------------- windows */

static void windows_are_seen_by_node_peers(void **state) {
  (void)state;
  int node = ft_comm_node(comm), node_size = ft_comm_node_size(comm, node);
  int me = ft_comm_node_rank(comm);
  static const size_t sizes[] = {1, 63, 4096, 3000001};
  int64_t before = (int64_t)ft_mem_of(FT_MEM_WEIGHTS).current_bytes;
  for (size_t s = 0; s < FT_ARRAY_SIZE(sizes); s++) {
    ft_window *w;
    /* the node's largest wish counts */
    assert_ok(ft_comm_window_new(comm, FT_MEM_WEIGHTS, me == 0 ? sizes[s] : 0, &w));
    uint8_t *data = ft_comm_window_data(w);
    assert_int_equal((uintptr_t)data % 64, 0);
    size_t wrong = 0;
    for (size_t i = 0; i < sizes[s]; i++)
      wrong += data[i] != 0;
    assert_int_equal(wrong, 0);
    if (me == 0)
      assert_int_equal((int64_t)ft_mem_of(FT_MEM_WEIGHTS).current_bytes - before, sizes[s]);
    else
      assert_int_equal((int64_t)ft_mem_of(FT_MEM_WEIGHTS).current_bytes - before, 0);
    assert_ok(ft_comm_barrier(comm)); /* all have seen zeros */
    for (size_t i = 0; i < sizes[s]; i++)
      if (i % (size_t)node_size == (size_t)me) data[i] = expected_byte(5, node, 0, 0, i);
    ft_exchange e = {.name = "publish", .block = -1, .barrier_after = true};
    assert_ok(ft_comm_wait(comm, ft_comm_exchange(comm, &e)));
    for (size_t i = 0; i < sizes[s]; i++)
      wrong += data[i] != expected_byte(5, node, 0, 0, i);
    assert_int_equal(wrong, 0);
    assert_ok(ft_comm_barrier(comm));
    ft_comm_window_free(comm, w);
  }
  assert_int_equal((int64_t)ft_mem_of(FT_MEM_WEIGHTS).current_bytes, before);
  ft_comm_window_free(comm, NULL);
}

/* More than any machine has: refused on every rank, and windows go on working. */
static void a_window_without_room_is_refused(void **state) {
  (void)state;
  bool shared = false;
  for (int n = 0; n < ft_comm_num_nodes(comm); n++)
    shared |= ft_comm_node_size(comm, n) > 1;
  ft_window *w;
  ft_err err = ft_comm_window_new(comm, FT_MEM_WEIGHTS, (size_t)1 << 50, &w);
  assert_int_equal(err, FT_ERR_MEMORY);
  assert_null(w);
  if (shared) assert_non_null(strstr(ft_error_message(), "node-shared memory needs"));
  assert_ok(ft_comm_window_new(comm, FT_MEM_WEIGHTS, 100, &w));
  ft_comm_window_free(comm, w);
}

/* ---------------------------------------------------------------- threads and stopping */

static void threads_follow_the_environment(void **state) {
  (void)state;
  const char *wanted = getenv("OMP_NUM_THREADS");
  int threads = ft_comm_setup_threads(comm);
  if (wanted)
    assert_int_equal(threads, atoi(wanted));
  else /* ranks on one machine share its cores */
    assert_in_range(threads, 1, FT_MAX(sysconf(_SC_NPROCESSORS_ONLN) / size, 1));
  assert_true(threads >= 1);
  int team = 0;
#pragma omp parallel
  {
#pragma omp single
    team = omp_get_num_threads();
  }
  assert_int_equal(team, threads);
  ft_comm_float_thread(comm);
  assert_ok(ft_comm_barrier(comm));
}

static void stop_requests_are_remembered(void **state) {
  (void)state;
  assert_false(ft_comm_stop_requested());
  ft_comm_request_stop(10);
  assert_true(ft_comm_stop_requested());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nodes_are_consistent),
      cmocka_unit_test(all_to_all_of_random_sizes),
      cmocka_unit_test(larger_than_a_piece),
      cmocka_unit_test(steps_run_in_order),
      cmocka_unit_test(broadcasts),
      cmocka_unit_test(sums_and_maxima),
      cmocka_unit_test(gathers_of_unequal_sizes),
      cmocka_unit_test(agreement_names_the_lowest_failing_rank),
      cmocka_unit_test(windows_are_seen_by_node_peers),
      cmocka_unit_test(a_window_without_room_is_refused),
      cmocka_unit_test(threads_follow_the_environment),
      cmocka_unit_test(stop_requests_are_remembered),
  };
  return run_comm_tests(tests, FT_ARRAY_SIZE(tests));
}
