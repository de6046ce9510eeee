/* Proves that what ranks find out by themselves is compared, and that the memory they will take is
 * held against what there is. Run alone: mpirun -np 3 build/tests/comm/test_ranks */
#include "comm_test.h"

#include <string.h>
#include <unistd.h>

#include "ft/comm.h"

/* Facts of a rank: a step that all share, and `mine`. */
static ft_facts *facts_with(const char *mine) {
  ft_facts *facts;
  assert_ok(ft_facts_new(&facts));
  assert_ok(ft_facts_add(facts, FT_ERR_INTERNAL, "the year", "ask an astronomer", "%d", 2026));
  if (mine)
    assert_ok(ft_facts_add(facts, FT_ERR_DATA, "data d/train", "copy it again", "digest %s", mine));
  return facts;
}

static void equal_facts_pass(void **state) {
  (void)state;
  ft_facts *facts = facts_with("abc");
  assert_ok(ft_comm_compare(comm, facts));
  assert_ok(ft_comm_compare(comm, facts)); /* as often as one likes */
  ft_facts_free(facts);
}

static void whoever_differs_is_named_with_both_values(void **state) {
  (void)state;
  if (size == 1) return;
  ft_facts *facts = facts_with(rank == size - 1 ? "xyz" : "abc");
  char others[256];
  snprintf(others, sizeof others, "host %s (rank %d): digest xyz: copy it again",
           ft_comm_host(comm), size - 1);
  assert_fails(ft_comm_compare(comm, facts), FT_ERR_DATA, others);
  assert_non_null(strstr(ft_error_message(), "data d/train is not the same on all ranks"));
  assert_non_null(strstr(ft_error_message(), "(rank 0): digest abc"));
  assert_null(strstr(ft_error_message(), "the year"));
  ft_facts_free(facts);
}

static void many_that_differ_alike_are_one(void **state) {
  (void)state;
  if (size < 3) return;
  ft_facts *facts = facts_with(rank == 0 ? "abc" : "xyz");
  char others[64];
  snprintf(others, sizeof others, "(rank 1 and %d more): digest xyz", size - 2);
  assert_fails(ft_comm_compare(comm, facts), FT_ERR_DATA, others);
  ft_facts_free(facts);
}

static void a_fact_that_some_lack_differs(void **state) {
  (void)state;
  if (size == 1) return;
  for (int lacking = 0; lacking < 2; lacking++) {
    ft_facts *facts = facts_with(rank == lacking ? NULL : "abc");
    assert_fails(ft_comm_compare(comm, facts), FT_ERR_DATA, "): none");
    ft_facts_free(facts);
  }
}

/* One machine here, of which rank 0 is told. */
static void room_is_told_and_checked(void **state) {
  (void)state;
  ft_room *rooms;
  int64_t count;
  assert_ok(ft_comm_memory_rooms(comm, 1 << 20, &rooms, &count));
  assert_int_equal(count, rank == 0);
  if (rank == 0) {
    assert_true(rooms->num_ranks > 0 && rooms->num_ranks <= size);
    assert_int_equal(rooms->needed_bytes, (int64_t)rooms->num_ranks << 20);
    assert_true(rooms->available_bytes > 0 && rooms->available_bytes <= rooms->limit_bytes);
    assert_ok(ft_room_check(rooms));
  }
  ft_free(rooms);

  assert_ok(ft_comm_memory_rooms(comm, rank == size - 1 ? (int64_t)1 << 50 : 0, &rooms, &count));
  if (rank == 0) {
    assert_true(rooms->needed_bytes == (int64_t)1 << 50);
    assert_fails(ft_room_check(rooms), FT_ERR_MEMORY, ft_comm_host(comm));
  }
  ft_free(rooms);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equal_facts_pass),
      cmocka_unit_test(whoever_differs_is_named_with_both_values),
      cmocka_unit_test(many_that_differ_alike_are_one),
      cmocka_unit_test(a_fact_that_some_lack_differs),
      cmocka_unit_test(room_is_told_and_checked),
  };
  return run_comm_tests(tests, FT_ARRAY_SIZE(tests));
}
