/* What this CPU has: its instruction set, its name. */
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* From the least to the most able. */
typedef struct level {
  const char *name;
  const ft_vector *vector;
} level;
static const level levels[] = {{"plain", &ft_vector_plain},
                               {"avx2", &ft_vector_avx2},
                               {"avx512", &ft_vector_avx512},
                               {"avx512bf16", &ft_vector_avx512bf16}};

/* Index of the best level that this CPU (and its operating system) has. */
static size_t best_level(void) {
  unsigned eax, ebx, ecx = 0, edx;
  __builtin_cpu_init();
  __get_cpuid(1, &eax, &ebx, &ecx, &edx); /* not every compiler's list of features has F16C */
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && (ecx & bit_F16C);
  bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512 && __builtin_cpu_supports("avx512bf16")) return 3;
  return avx512 ? 2 : avx2 ? 1 : 0;
}

ft_err ft_cpu_choose(const ft_vector **chosen) {
  size_t best = best_level();
  const char *wanted = getenv("FTRUN_CPU");
  *chosen = levels[best].vector;
  if (!wanted || !*wanted) return FT_OK;
  for (size_t i = 0; i < FT_ARRAY_SIZE(levels); i++) {
    if (strcmp(levels[i].name, wanted) != 0) continue;
    if (i > best)
      return ft_fail(FT_ERR_CONFIG, "FTRUN_CPU=%s, but this CPU has no more than %s", wanted,
                     levels[best].name);
    *chosen = levels[i].vector;
    return FT_OK;
  }
  return ft_fail(FT_ERR_CONFIG,
                 "FTRUN_CPU=%s is none of plain, avx2, avx512, avx512bf16: unset it to use what "
                 "this CPU has",
                 wanted);
}

void ft_cpu_model(char *out, size_t size) {
  snprintf(out, size, "unknown CPU");
  FILE *f = fopen("/proc/cpuinfo", "r");
  if (!f) return;
  char line[256];
  while (fgets(line, sizeof line, f)) {
    const char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) != 0 || !colon) continue;
    snprintf(out, size, "%s", colon + 1 + strspn(colon + 1, " "));
    out[strcspn(out, "\n")] = 0;
    break;
  }
  fclose(f);
}
