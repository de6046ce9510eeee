/* The main of tests that run on several ranks. */
#ifndef RANKS_TEST_H
#define RANKS_TEST_H

#include <stdlib.h>

#include "ft/comm.h"
#include "ft/kernels.h"
#include "ft_test.h"

/* Starts MPI and the kernels, runs the tests on all ranks, and ends both. Returns main's status. */
static inline int run_on_ranks(ft_comm **comm, const struct CMUnitTest *tests, size_t num_tests,
                               CMFixtureFunction setup, CMFixtureFunction teardown) {
  /* A rank that fails must not leave the others waiting for it. */
  setenv("CMOCKA_TEST_ABORT", "1", 1);
  if (ft_comm_new(comm) != FT_OK || ft_kernels_init() != FT_OK) {
    fprintf(stderr, "%s\n", ft_error_message());
    return 1;
  }
  int failed = _cmocka_run_group_tests("on ranks", tests, num_tests, setup, teardown);
  ft_kernels_fini();
  ft_comm_free(*comm);
  return failed;
}

#endif
