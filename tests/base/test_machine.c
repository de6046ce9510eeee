/* Proves that memory and processor time are bounded as control groups bound them: v1 and v2, on the
 * host and in containers, at every level on the way up. The machines are folders with copies of
 * their files, tests/base/machines. Run alone: meson test "base machine" */
#include "ft_test.h"

#include <math.h>
#include <string.h>

#include "ft/base_machine.h"

static const char *machines;

static const char *machine(const char *name) {
  static char path[4096];
  snprintf(path, sizeof path, "%s/%s", machines, name);
  return path;
}

#define HOST_AVAILABLE (50000000LL * 1024)

static ft_memory_bounds memory_of(const char *name) {
  ft_memory_bounds m;
  ft_machine_memory(machine(name), &m);
  assert_true(m.count > 0);
  assert_int_equal(m.bounds[0].group, 0);
  assert_int_equal(m.bounds[0].available_bytes, HOST_AVAILABLE);
  assert_string_equal(m.bounds[0].name, "MemAvailable");
  return m;
}

static void a_job_of_slurm_is_bounded_above_its_step(void **state) {
  (void)state;
  ft_memory_bounds m = memory_of("v1-slurm");
  assert_int_equal(m.count, 2);
  assert_int_equal(m.bounds[1].limit_bytes, 8LL << 30);
  assert_int_equal(m.bounds[1].available_bytes, 7LL << 30); /* file pages can go */
  assert_string_equal(m.bounds[1].name, "memory.limit_in_bytes of "
                                        "/sys/fs/cgroup/memory/slurm/uid_1000/job_7");
  assert_int_not_equal(m.bounds[1].group, 0);
  uint64_t group;
  assert_true(ft_machine_cpus(machine("v1-slurm"), &group) == 4.0);
  assert_int_equal(ft_machine_resident(machine("v1-slurm")), 120000LL * 1024);
}

static void a_slice_is_bounded_by_the_lower_of_two_limits(void **state) {
  (void)state;
  ft_memory_bounds m = memory_of("v2-systemd");
  assert_int_equal(m.count, 2);
  assert_int_equal(m.bounds[1].limit_bytes, 16LL << 30);
  assert_int_equal(m.bounds[1].available_bytes, (12LL << 30) + 1000048576LL);
  assert_string_equal(m.bounds[1].name, "memory.high of /sys/fs/cgroup/user.slice/user-1000.slice");
  uint64_t group;
  assert_true(ft_machine_cpus(machine("v2-systemd"), &group) == 2.5);
}

static void a_container_is_bounded_at_its_root(void **state) {
  (void)state;
  ft_memory_bounds m = memory_of("v2-container");
  assert_int_equal(m.count, 2);
  assert_int_equal(m.bounds[1].limit_bytes, 256LL << 20);
  assert_int_equal(m.bounds[1].available_bytes, 192LL << 20);
  uint64_t group;
  assert_true(ft_machine_cpus(machine("v2-container"), &group) == 0.5);

  m = memory_of("v1-container");
  assert_int_equal(m.count, 2);
  assert_int_equal(m.bounds[1].limit_bytes, 200LL << 20);
  assert_int_equal(m.bounds[1].available_bytes, 190LL << 20);
}

static void without_groups_the_machine_counts(void **state) {
  (void)state;
  uint64_t group = 1;
  assert_int_equal(memory_of("plain").count, 1);
  assert_true(isinf(ft_machine_cpus(machine("plain"), &group)));
  assert_int_equal(group, 0);
  assert_int_equal(ft_machine_resident(machine("plain")), 0);
  ft_memory_bounds m;
  ft_machine_memory(machine("nothing"), &m);
  assert_int_equal(m.count, 0);
}

static void this_machine_has_memory(void **state) {
  (void)state;
  ft_memory_bounds m;
  ft_machine_memory("", &m);
  assert_true(m.count > 0 && m.bounds[0].available_bytes > 0);
  assert_true(ft_machine_resident("") > 0);
}

int main(int argc, char **argv) {
  assert_int_equal(argc, 2);
  machines = argv[1];
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_job_of_slurm_is_bounded_above_its_step),
      cmocka_unit_test(a_slice_is_bounded_by_the_lower_of_two_limits),
      cmocka_unit_test(a_container_is_bounded_at_its_root),
      cmocka_unit_test(without_groups_the_machine_counts),
      cmocka_unit_test(this_machine_has_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
