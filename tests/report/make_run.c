/* Makes a run directory with the files of a run that never was, for tests of what reads them.
 *
 *   make_run DIR STEPS EVERY SEED [rewards] [samples] [one-set]
 *
 * Numbers come from the project's counter-based generator: equal arguments give equal files. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ft/io.h"

typedef struct made {
  int64_t steps, every;
  uint64_t seed;
  bool rewards, samples, one_set;
} made;

static double uniform(const made *m, int64_t step, uint64_t what) {
  return ft_random_uniform(m->seed, FT_RANDOM_BENCH, (uint64_t)step, what);
}

static double part_of(const made *m, int64_t step) {
  return (double)step / (double)m->steps;
}

static double loss_at(const made *m, int64_t step) {
  return 1.1 + 1.2 * exp(-6 * part_of(m, step)) + 0.02 * (double)(m->seed % 5);
}

static void write_evaluation(FILE *f, const made *m, int64_t step) {
  double p = part_of(m, step), domain = loss_at(m, step) + 0.25 * p * p;
  double general = 2.1 + 0.18 * (1 - exp(-4 * p)) + 0.002 * uniform(m, step, 9);
  fprintf(f,
          "{\"step\":%lld,\"validation\":{\"domain\":{\"loss\":%.17g,\"perplexity\":%.17g,"
          "\"targets\":4096",
          (long long)step, domain, exp(domain));
  if (m->rewards) fprintf(f, ",\"accuracy\":%.17g", 0.5 + 0.4 * p);
  fputc('}', f);
  if (!m->one_set)
    fprintf(f, ",\"general\":{\"loss\":%.17g,\"perplexity\":%.17g,\"targets\":2048}", general,
            exp(general));
  fputc('}', f);
  if (m->samples)
    fprintf(f,
            ",\"samples\":[{\"prompt\":\"Who <lives> in the mill?\",\"text\":\"The miller & "
            "his cat, step %lld.\"}]",
            (long long)step);
  fputs("}\n", f);
}

static void write_step(FILE *f, const made *m, int64_t step) {
  double loss = loss_at(m, step) + 0.25 * (uniform(m, step, 1) - 0.5);
  double norm = exp(1.2 * uniform(m, step, 2)) * (uniform(m, step, 3) > 0.998 ? 30 : 1);
  double seconds = 2.0 + 0.3 * uniform(m, step, 4) + (uniform(m, step, 5) > 0.995 ? 2.5 : 0);
  double warm = fmin(1, (double)step / (0.05 * (double)m->steps + 1));
  double rate = 1e-5 * warm * (0.55 + 0.45 * cos(M_PI * part_of(m, step)));
  fprintf(f,
          "{\"step\":%lld,\"loss\":%.17g,\"grad_norm\":%.17g,\"lr\":%.9g,\"targets\":30100,"
          "\"tokens\":32768,\"seconds\":%.6f,\"tokens_per_second\":%.1f,\"mfu\":%.4f,"
          "\"rss_bytes\":%lld",
          (long long)step, loss, norm, rate, seconds, 32768 / seconds, 1.6 / seconds,
          (long long)(3.1e9 + 2e8 * part_of(m, step)));
  if (m->rewards) {
    double margin = 2 * part_of(m, step) + 0.5 * (uniform(m, step, 6) - 0.5);
    fprintf(
        f,
        ",\"rewards\":{\"chosen\":%.17g,\"rejected\":%.17g,\"margin\":%.17g,\"accuracy\":%.17g},"
        "\"logps\":{\"chosen\":%.17g,\"rejected\":%.17g}",
        margin * 0.4, -margin * 0.6, margin, fmin(1, 0.5 + 0.2 * margin), -120 + margin,
        -130 - margin);
  }
  fputs("}\n", f);
}

static void write_start(FILE *f, const made *m, int64_t step, const char *time) {
  fprintf(f,
          "{\"step\":%lld,\"user\":\"anna\",\"version\":\"0.1.0 (abc)\",\"command\":\"ftrun train "
          "a.json\",\"hosts\":[{\"host\":\"n01\",\"ranks\":2},{\"host\":\"n02\",\"ranks\":1}],"
          "\"environment\":{\"OMP_NUM_THREADS\":\"8\"},\"changes\":[],\"time\":\"%s\"}\n",
          (long long)(m->steps < 4 ? 0 : step), time);
}

static ft_err open_in(const char *dir, const char *name, FILE **out) {
  ft_err err = FT_OK;
  char *path = NULL;
  FT_TRY(ft_path_join(dir, name, &path));
  *out = fopen(path, "w");
  FT_CHECK(*out, FT_ERR_CREATE, "%s: cannot create", path);
out:
  ft_free(path);
  return err;
}

static ft_err write_files(const char *dir, const made *m) {
  ft_err err = FT_OK;
  FILE *f = NULL;
  FT_TRY(ft_make_dirs(dir));
  FT_TRY(open_in(dir, "metrics.jsonl", &f));
  write_evaluation(f, m, 0);
  for (int64_t step = 1; step <= m->steps; step++) {
    write_step(f, m, step);
    if (step % m->every == 0 || step == m->steps) write_evaluation(f, m, step);
  }
  fclose(f);
  FT_TRY(open_in(dir, "config.json", &f));
  fprintf(f,
          "{\"model\":{\"path\":\"models/tiny\"},\"data\":{\"train\":[{\"path\":\"data/train\"}],"
          "\"validation\":[{\"name\":\"domain\",\"path\":\"data/domain\"}%s],\"seq_len\":512},"
          "\"train\":{\"global_batch\":64,\"steps\":%lld},\"optimizer\":{\"lr\":1e-5},"
          "\"run\":{\"dir\":\"%s\",\"seed\":%lld}}\n",
          m->one_set ? "" : ",{\"name\":\"general\",\"path\":\"data/general\"}",
          (long long)m->steps, dir, (long long)m->seed);
  fclose(f);
  FT_TRY(open_in(dir, "history.jsonl", &f));
  write_start(f, m, 0, "2026-01-02T03:04:05Z");
  write_start(f, m, m->steps / 3, "2026-01-02T09:04:05Z");
  write_start(f, m, m->steps / 4, "2026-01-03T09:04:05Z"); /* which overtakes the one before */
  fclose(f);
  FT_TRY(open_in(dir, "usage.json", &f));
  fprintf(f,
          "{\"step\":%lld,\"memory\":{\"master\":3221225472,\"state\":6442450944,\"io\":0},"
          "\"seconds\":{\"matmul_forward\":25,\"attention\":75}}\n",
          (long long)m->steps);
  fclose(f);
  FT_TRY(open_in(dir, "best", &f));
  fprintf(f, "%lld\n", (long long)(m->steps / 2 / m->every * m->every));
  fclose(f);
out:
  return err;
}

int main(int argc, char **argv) {
  if (argc < 5) {
    fprintf(stderr, "usage: make_run DIR STEPS EVERY SEED [rewards] [samples] [one-set]\n");
    return 64;
  }
  made m = {.steps = atoll(argv[2]), .every = atoll(argv[3]), .seed = (uint64_t)atoll(argv[4])};
  for (int i = 5; i < argc; i++) {
    m.rewards |= strcmp(argv[i], "rewards") == 0;
    m.samples |= strcmp(argv[i], "samples") == 0;
    m.one_set |= strcmp(argv[i], "one-set") == 0;
  }
  ft_err err = write_files(argv[1], &m);
  if (err != FT_OK) fprintf(stderr, "make_run: %s\n", ft_error_message());
  return (int)err;
}
