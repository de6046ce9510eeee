/* Lines for people, on rank 0's stderr. */
#include <math.h>
#include <string.h>

#include "ft/run_read.h"
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

double ft_time_left(ft_progress *p, double now_s, int64_t step, int64_t steps, double step_s) {
  p->ended_s[step % FT_WINDOW] = now_s;
  if (p->first == 0) p->first = step;
  int64_t from = FT_MAX(p->first, step - FT_WINDOW + 1);
  double since_s = p->ended_s[step % FT_WINDOW] - p->ended_s[from % FT_WINDOW];
  double each_s = step > from ? since_s / (double)(step - from) : step_s;
  return each_s * (double)(steps - step);
}

/* One line that is updated, on a terminal: what is wanted most stands within 80 columns. */
static bool show_status(const trainer *t, int64_t step, const step_result *r, const char *left) {
  double share = ft_share_of_peak(r, t->peak_flops);
  return ft_log_status(
      "step %lld/%lld  loss %.4f  %.0f tokens/s  %.0f %% of peak  %s left  %.1f GiB  lr %.3g",
      (long long)step, (long long)t->steps, r->loss, (double)r->tokens / r->seconds,
      isfinite(share) ? 100 * share : 0, left, (double)ft_rss_bytes() / 1073741824.0, r->lr);
}

void ft_progress_step(trainer *t, int64_t step, const step_result *r) {
  double now = ft_now_s(), left_s = ft_time_left(&t->progress, now, step, t->steps, r->seconds);
  bool last = step == t->steps;
  char left[32];
  duration(left_s, left, sizeof left);
  bool shown = !last && r->seconds > 0 && show_status(t, step, r, left);
  if (now - t->progress.last_line_s < 2.0 && !last && step != 1) return;
  t->progress.last_line_s = now;
  ft_log(shown ? FT_LOG_DEBUG : FT_LOG_INFO,
         "step %lld/%lld  loss %.4f  grad norm %.3g  lr %.3g  %.0f tokens/s%s%s", (long long)step,
         (long long)t->steps, r->loss, r->grad_norm, r->lr,
         r->seconds > 0 ? (double)r->tokens / r->seconds : 0.0, last ? "" : "  about ",
         last ? "" : strcat(left, " left"));
}

void ft_progress_validation(int64_t step, const cJSON *validation) {
  char line[1024] = "";
  for (const cJSON *set = validation->child; set; set = set->next) {
    const cJSON *loss = ft_json_get(set, "loss"), *accuracy = ft_json_get(set, "accuracy");
    if (!accuracy) accuracy = ft_json_get(ft_json_get(set, "rewards"), "accuracy");
    size_t used = strlen(line);
    if (cJSON_IsNumber(loss))
      snprintf(line + used, sizeof line - used, "  %s %.4f", set->string, loss->valuedouble);
    if (cJSON_IsNumber(loss) && ft_json_get(set, "perplexity")) {
      used = strlen(line);
      snprintf(line + used, sizeof line - used, " (perplexity %.4g)", exp(loss->valuedouble));
    }
    if (cJSON_IsNumber(loss) && cJSON_IsNumber(accuracy)) {
      used = strlen(line);
      snprintf(line + used, sizeof line - used, " accuracy %.4f", accuracy->valuedouble);
    }
    const cJSON *change = ft_json_get(set, "change");
    if (cJSON_IsNumber(change)) {
      used = strlen(line);
      snprintf(line + used, sizeof line - used, " %+.4f nats since step 0", change->valuedouble);
    }
    if (!cJSON_IsNumber(loss))
      snprintf(line + used, sizeof line - used, "  %s: %s", set->string,
               ft_json_get(set, "targets")->valuedouble > 0 ? "not finite" : "no targets");
  }
  if (*line) ft_log(FT_LOG_INFO, "validation after step %lld:%s", (long long)step, line);
}

/* What the ranks of a node have accounted, and what they take. */
typedef struct node_memory {
  int64_t accounted, resident, ranks;
} node_memory;

/* Of the node that has most. Collective over all ranks. */
static ft_err say_fullest_node(trainer *t) {
  ft_err err = FT_OK;
  int num = ft_comm_num_nodes(t->comm), mine = ft_comm_node(t->comm), fullest = 0;
  void *memory = NULL;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, num, sizeof(node_memory), &memory));
  node_memory *nodes = memory;
  nodes[mine] = (node_memory){(int64_t)ft_mem_total().current_bytes, ft_pss_bytes(), 1};
  FT_TRY(ft_comm_sum_i64(t->comm, &nodes->accounted, 3 * (int64_t)num));
  for (int n = 1; n < num; n++)
    if (nodes[n].accounted > nodes[fullest].accounted) fullest = n;
  const node_memory *n = &nodes[fullest];
  if (t->rank == 0 && n->resident > 0)
    ft_log(FT_LOG_INFO, "memory of the %lld ranks of %s node, MiB: accounted %.1f, resident %.1f",
           (long long)n->ranks, num > 1 ? "the fullest" : "this", (double)n->accounted / 1048576.0,
           (double)n->resident / 1048576.0);
out:
  ft_free(memory);
  return err;
}

void ft_progress_memory(trainer *t) {
  char line[512] = "";
  for (int owner = 0; owner < FT_MEM_NUM_OWNERS; owner++) {
    double peak = (double)ft_mem_of((ft_owner)owner).peak_bytes / 1048576.0;
    size_t used = strlen(line);
    if (peak >= 0.05)
      snprintf(line + used, sizeof line - used, "%s%s %.1f", used ? ", " : "",
               ft_owner_name((ft_owner)owner), peak);
  }
  ft_log(FT_LOG_INFO, "peak memory of rank %d, MiB: %s", t->rank, line);
  (void)say_fullest_node(t); /* a run that is finished does not fail for it */
}

/* ---------------------------------------------------------------- the end */

/* A set's loss at the first and last evaluation, and the lowest one. */
static void say_set(const ft_table *rows, const ft_column *loss, char *out, size_t size) {
  int64_t first = -1, last = -1, lowest = -1;
  for (int64_t i = 0; i < rows->num_rows; i++) {
    if (!isfinite(loss->values[i])) continue;
    if (first < 0) first = i;
    if (lowest < 0 || loss->values[i] < loss->values[lowest]) lowest = i;
    last = i;
  }
  if (first < 0)
    snprintf(out, size, "%s: no finite loss", loss->group);
  else
    snprintf(out, size, "%s: %.4f at step %lld, %.4f at step %lld, lowest %.4f at step %lld",
             loss->group, loss->values[first], (long long)rows->steps[first], loss->values[last],
             (long long)rows->steps[last], loss->values[lowest], (long long)rows->steps[lowest]);
}

/* What the run cost on what it should not forget. */
static void say_forgetting(const ft_table *rows) {
  const ft_column *change = ft_table_find(rows, FT_REPLAY_SET, "change");
  int64_t last = rows->num_rows - 1;
  while (change && last >= 0 && !isfinite(change->values[last]))
    last--;
  if (change && last >= 0)
    ft_log(FT_LOG_INFO,
           "forgetting: the loss of the replayed set's validation changed by %+.4f "
           "nats from step 0 to step %lld",
           change->values[last], (long long)rows->steps[last]);
}

static void say_losses(const trainer *t) {
  ft_history history;
  char line[2048] = "";
  bool read = ft_history_read(t->config->run_dir, &history) == FT_OK;
  const ft_table *rows = &history.evaluations;
  for (int64_t i = 0; read && i < rows->num_columns; i++) {
    size_t used = strlen(line);
    if (strcmp(rows->columns[i].name, "loss") != 0 || used + 200 > sizeof line) continue;
    if (used) used += (size_t)snprintf(line + used, sizeof line - used, "; ");
    say_set(rows, &rows->columns[i], line + used, sizeof line - used);
  }
  const ft_column *loss = read ? ft_table_find(&history.steps, "", "loss") : NULL;
  if (*line)
    ft_log(FT_LOG_INFO, "validation loss of %s", line);
  else if (loss && history.steps.num_rows > 0)
    ft_log(FT_LOG_INFO,
           "training loss: %.4f at step %lld, %.4f at step %lld; nothing was evaluated",
           loss->values[0], (long long)history.steps.steps[0],
           loss->values[history.steps.num_rows - 1],
           (long long)history.steps.steps[history.steps.num_rows - 1]);
  if (read) say_forgetting(rows);
  ft_history_fini(&history);
}

void ft_progress_end(const trainer *t) {
  const char *dir = t->config->run_dir;
  const ft_scored *best = &t->saving.noted;
  char took[32];
  if (t->rank != 0) return;
  duration(ft_now_s() - t->stopping.started_s, took, sizeof took);
  ft_log(FT_LOG_INFO, "finished after step %lld of %lld: %lld tokens trained on, %s this time",
         (long long)t->step, (long long)t->steps, (long long)t->tokens, took);
  say_losses(t);
  if (best->exists && best->step != t->step)
    ft_log(FT_LOG_INFO, "checkpoints: step %lld is the last, step %lld the best (loss %.4f)",
           (long long)t->step, (long long)best->step, best->loss);
  else
    ft_log(FT_LOG_INFO, "checkpoints: step %lld is the last%s", (long long)t->step,
           best->exists ? " and the best" : "");
  ft_log(FT_LOG_INFO, "%s has metrics.jsonl, tensorboard/, checkpoints/ and log/", dir);
  ft_log(FT_LOG_INFO,
         "next: ftrun export %s --out MODEL%s, then ftrun generate --model MODEL --prompt TEXT",
         dir, best->exists && best->step != t->step ? " --step best" : "");
}
