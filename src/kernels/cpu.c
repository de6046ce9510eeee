/* Which instruction set is used, and the module's beginning and end. */
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

static const ft_vector *used = &ft_vector_plain;
atomic_bool ft_kernels_stopped;
static char description[512] = "kernels not initialised";

const ft_vector *ft_vector_used(void) {
  return used;
}

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

/* FTRUN_CPU=LEVEL asks for less than the CPU has: to test, or to have the bits of another CPU. */
static ft_err choose_level(size_t *chosen) {
  size_t best = best_level();
  const char *wanted = getenv("FTRUN_CPU");
  *chosen = best;
  if (!wanted || !*wanted) return FT_OK;
  for (size_t i = 0; i < FT_ARRAY_SIZE(levels); i++) {
    if (strcmp(levels[i].name, wanted) != 0) continue;
    if (i > best)
      return ft_fail(FT_ERR_CONFIG, "FTRUN_CPU=%s, but this CPU has no more than %s", wanted,
                     levels[best].name);
    *chosen = i;
    return FT_OK;
  }
  return ft_fail(FT_ERR_CONFIG,
                 "FTRUN_CPU=%s is none of plain, avx2, avx512, avx512bf16: unset it to use what "
                 "this CPU has",
                 wanted);
}

static void cpu_model(char *out, size_t size) {
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

ft_err ft_kernels_init(void) {
  ft_err err = FT_OK;
  size_t chosen;
  FT_TRY(choose_level(&chosen));
  used = levels[chosen].vector;
  FT_TRY(ft_own_init());
  FT_TRY(ft_blas_init());
  FT_TRY(ft_onednn_init());
  char model[128];
  cpu_model(model, sizeof model);
  snprintf(description, sizeof description, "%s, %s, bf16 by %s, f32 by %s", model, used->name,
           ft_own_has(FT_BF16)        ? "own kernels"
           : ft_kernels_native_bf16() ? ft_onednn_version()
                                      : "f32",
           ft_own_has(FT_F32) ? "own kernels" : ft_blas_describe());
out:
  return err;
}

void ft_kernels_fini(void) {
  ft_onednn_fini();
  ft_scratch_fini();
}

void ft_kernels_stop(void) {
  atomic_store(&ft_kernels_stopped, true);
}

bool ft_kernels_native_bf16(void) {
  return used->multiply_bf16 != NULL;
}

const char *ft_kernels_describe(void) {
  return description;
}

double ft_kernels_dot_products(ft_dtype type, int64_t rounds) {
  bool pairs = type == FT_BF16 && ft_kernels_native_bf16();
  double flops = 0;
#pragma omp parallel reduction(+ : flops)
  {
    float out;
    flops += used->dot_products(pairs, rounds, &out);
  }
  return flops;
}
