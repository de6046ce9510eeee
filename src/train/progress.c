/* Lines for people, on rank 0's stderr. */
#include <math.h>
#include <string.h>

#include "internal.h"

int64_t ft_rss_bytes(void) {
  long long pages = 0, resident = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (!f) return 0;
  if (fscanf(f, "%lld %lld", &pages, &resident) != 2) resident = 0;
  fclose(f);
  return resident * 4096;
}

int64_t ft_read_bytes(void) {
  long long bytes = 0;
  FILE *f = fopen("/proc/self/io", "r");
  if (!f) return 0;
  if (fscanf(f, "rchar: %lld", &bytes) != 1) bytes = 0;
  fclose(f);
  return bytes;
}

int64_t ft_pss_bytes(void) {
  char line[256];
  long long kib = 0;
  FILE *f = fopen("/proc/self/smaps_rollup", "r");
  if (!f) return 0;
  while (kib == 0 && fgets(line, sizeof line, f))
    if (sscanf(line, "Pss: %lld kB", &kib) != 1) kib = 0;
  fclose(f);
  return kib * 1024;
}

static void duration(double s, char *out, size_t size) {
  int64_t whole = (int64_t)(s + 0.5);
  if (whole < 120)
    snprintf(out, size, "%lld s", (long long)whole);
  else if (whole < 7200)
    snprintf(out, size, "%lld min", (long long)((whole + 30) / 60));
  else
    snprintf(out, size, "%lld h %02lld min", (long long)(whole / 3600),
             (long long)(whole % 3600 / 60));
}

void ft_progress_step(trainer *t, int64_t step, const step_result *r) {
  double now = ft_now_s();
  bool last = step == t->steps;
  if (now - t->last_line_s < 2.0 && !last && step != 1) return;
  t->last_line_s = now;
  char left[32];
  duration((double)(t->steps - step) * r->seconds, left, sizeof left);
  ft_log(FT_LOG_INFO, "step %lld/%lld  loss %.4f  grad norm %.3g  lr %.3g  %.0f tokens/s%s%s",
         (long long)step, (long long)t->steps, r->loss, r->grad_norm, r->lr,
         r->seconds > 0 ? (double)r->tokens / r->seconds : 0.0, last ? "" : "  about ",
         last ? "" : strcat(left, " left"));
}

void ft_progress_validation(int64_t step, const cJSON *validation) {
  char line[1024] = "";
  for (const cJSON *set = validation->child; set; set = set->next) {
    const cJSON *loss = ft_json_get(set, "loss"), *accuracy = ft_json_get(set, "accuracy");
    size_t used = strlen(line);
    if (cJSON_IsNumber(loss))
      snprintf(line + used, sizeof line - used, "  %s %.4f (perplexity %.4g)", set->string,
               loss->valuedouble, exp(loss->valuedouble));
    if (cJSON_IsNumber(loss) && cJSON_IsNumber(accuracy)) {
      used = strlen(line);
      snprintf(line + used, sizeof line - used, " accuracy %.4f", accuracy->valuedouble);
    }
    if (!cJSON_IsNumber(loss))
      snprintf(line + used, sizeof line - used, "  %s: %s", set->string,
               ft_json_get(set, "targets")->valuedouble > 0 ? "not finite" : "no targets");
  }
  if (*line) ft_log(FT_LOG_INFO, "validation after step %lld:%s", (long long)step, line);
}

/* What the ranks of rank 0's node have accounted, and what they take. Collective over all ranks. */
static ft_err say_node(trainer *t) {
  bool here = ft_comm_node_of(t->comm, t->rank) == ft_comm_node_of(t->comm, 0);
  int64_t mine[3] = {here ? (int64_t)ft_mem_total().current_bytes : 0, here ? ft_pss_bytes() : 0,
                     here};
  ft_err err = ft_comm_sum_i64(t->comm, mine, 3);
  if (err == FT_OK && t->rank == 0 && mine[1] > 0)
    ft_log(FT_LOG_INFO, "memory of the %lld ranks of this node, MiB: accounted %.1f, resident %.1f",
           (long long)mine[2], (double)mine[0] / 1048576.0, (double)mine[1] / 1048576.0);
  return err;
}

void ft_progress_end(trainer *t) {
  char line[512] = "";
  for (int owner = 0; owner < FT_MEM_NUM_OWNERS; owner++) {
    double peak = (double)ft_mem_of((ft_owner)owner).peak_bytes / 1048576.0;
    size_t used = strlen(line);
    if (peak >= 0.05)
      snprintf(line + used, sizeof line - used, "%s%s %.1f", used ? ", " : "",
               ft_owner_name((ft_owner)owner), peak);
  }
  ft_log(FT_LOG_INFO, "peak memory of rank %d, MiB: %s", t->rank, line);
  (void)say_node(t); /* a run that is finished does not fail for it */
}
