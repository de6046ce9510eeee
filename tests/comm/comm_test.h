/* The main of tests of comm alone, on several ranks. */
#ifndef COMM_TEST_H
#define COMM_TEST_H

#include "ft/comm.h"
#include "ft_test.h"

static ft_comm *comm;
static int rank, size;

/* Runs the tests on all ranks; a failure of one ends all. Returns main's status. */
static inline int run_comm_tests(const struct CMUnitTest *tests, size_t num_tests) {
  if (ft_comm_new(&comm) != FT_OK) {
    fprintf(stderr, "%s\n", ft_error_message());
    return 1;
  }
  rank = ft_comm_rank(comm);
  size = ft_comm_size(comm);
  int failures = _cmocka_run_group_tests("comm", tests, num_tests, NULL, NULL);
  if (failures > 0)
    ft_comm_abort(comm, ft_fail(FT_ERR_INTERNAL, "%d tests failed", failures), "tests");
  ft_comm_free(comm);
  return 0;
}

#endif
