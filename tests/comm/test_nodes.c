/* Which rank is on which node, for layouts that one machine cannot make. No MPI runs. */
#include "comm_internal.h"

#include "ft_test.h"

static void check(const int *leaders, int size, int num_nodes, const int *members) {
  ft_nodes nodes;
  assert_ok(ft_nodes_init(&nodes, size, leaders));
  assert_int_equal(nodes.num_nodes, num_nodes);
  assert_int_equal(nodes.first[num_nodes], size);
  for (int i = 0; i < size; i++)
    assert_int_equal(nodes.members[i], members[i]);
  for (int n = 0; n < num_nodes; n++)
    for (int i = nodes.first[n]; i < nodes.first[n + 1]; i++) {
      assert_int_equal(nodes.node_of[nodes.members[i]], n);
      assert_int_equal(nodes.index_of[nodes.members[i]], i - nodes.first[n]);
    }
  ft_nodes_fini(&nodes);
}

static void one_rank(void **state) {
  (void)state;
  check((int[]){0}, 1, 1, (int[]){0});
}

static void node_by_node(void **state) {
  (void)state;
  check((int[]){0, 0, 0, 3, 3, 5}, 6, 3, (int[]){0, 1, 2, 3, 4, 5});
}

static void dealt_in_turn(void **state) {
  (void)state;
  check((int[]){0, 1, 2, 0, 1, 2, 0}, 7, 3, (int[]){0, 3, 6, 1, 4, 2, 5});
}

static void scattered(void **state) {
  (void)state;
  check((int[]){0, 1, 1, 0, 4, 1, 0}, 7, 3, (int[]){0, 3, 6, 1, 2, 5, 4});
}

static void faked_nodes(void **state) {
  (void)state;
  static const int blocks[] = {0, 0, 0, 1, 1, 1, 2}, turns[] = {0, 1, 2, 0, 1, 2, 0};
  for (int r = 0; r < 7; r++) {
    assert_int_equal(ft_fake_node(r, 7, 3), blocks[r]);
    assert_int_equal(ft_fake_node(r, 7, -3), turns[r]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_rank),  cmocka_unit_test(node_by_node), cmocka_unit_test(dealt_in_turn),
      cmocka_unit_test(scattered), cmocka_unit_test(faked_nodes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
