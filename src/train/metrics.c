/* metrics.jsonl: one object a line. Numbers that describe the training have 17 significant digits,
 * so equal text means equal bits. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "internal.h"
#include "rows.h"
#include "tensorboard.h"

/* ---------------------------------------------------------------- text */

typedef struct text {
  char *data;
  size_t length, room;
} text;

static ft_err append(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static ft_err append(text *t, const char *format, ...) {
  char piece[1024];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(piece, sizeof piece, format, args);
  va_end(args);
  FT_ASSERT(n >= 0 && (size_t)n < sizeof piece);
  if (t->length + (size_t)n + 1 > t->room) {
    void *p = t->data;
    size_t room = t->room * 2 + sizeof piece;
    ft_err err = ft_realloc(FT_MEM_OTHER, room, &p);
    if (err != FT_OK) return err;
    t->data = p;
    t->room = room;
  }
  memcpy(t->data + t->length, piece, (size_t)n + 1);
  t->length += (size_t)n;
  return FT_OK;
}

static ft_err append_number(text *t, const char *name, const cJSON *value) {
  if (cJSON_IsNumber(value)) return append(t, "\"%s\":%.17g", name, value->valuedouble);
  return append(t, "\"%s\":null", name);
}

ft_err ft_metrics_text(int64_t step, const cJSON *validation, char **out) {
  ft_err err = FT_OK;
  text t = {0};
  *out = NULL;
  FT_TRY(append(&t, "{\"step\":%lld,\"validation\":{", (long long)step));
  for (const cJSON *set = validation->child; set; set = set->next) {
    cJSON *name = cJSON_CreateString(set->string); /* escapes what a name may hold */
    char *quoted = cJSON_PrintUnformatted(name);
    cJSON_Delete(name);
    err = append(&t, "%s%.900s:{", set == validation->child ? "" : ",", quoted ? quoted : "\"\"");
    cJSON_free(quoted);
    if (err != FT_OK) goto out;
    FT_TRY(append_number(&t, "loss", ft_json_get(set, "loss")));
    FT_TRY(append(&t, ","));
    FT_TRY(append_number(&t, "perplexity", ft_json_get(set, "perplexity")));
    FT_TRY(append(&t, ","));
    FT_TRY(append_number(&t, "targets", ft_json_get(set, "targets")));
    FT_TRY(append(&t, "}"));
  }
  FT_TRY(append(&t, "}}"));
  *out = t.data;
  t.data = NULL;
out:
  ft_free(t.data);
  return err;
}

/* ---------------------------------------------------------------- writing */

ft_err ft_metrics_open(trainer *t, const char *run_dir) {
  ft_err err = FT_OK;
  char *path = NULL;
  FT_TRY(ft_path_join(run_dir, "metrics.jsonl", &path));
  FT_TRY(ft_rows_open(path, &t->metrics));
  ft_free(path);
  path = NULL;
  FT_TRY(ft_path_join(run_dir, "tensorboard", &path));
  FT_TRY(ft_tensorboard_open(path, t->step, &t->tensorboard));
out:
  ft_free(path);
  return err;
}

ft_err ft_metrics_sync(trainer *t) {
  return ft_rows_sync(t->metrics);
}

/* The curves are a copy of the rows: what they cannot hold ends no run. */
static void give_up_drawing(trainer *t) {
  ft_log(FT_LOG_ERROR, "%s; this part of the run gets no more of them", ft_error_message());
  ft_tensorboard_close(t->tensorboard);
  t->tensorboard = NULL;
}

/* "null" where a number does not exist. */
static const char *number(char *out, size_t size, const char *format, bool exists, double value) {
  if (!exists || !isfinite(value)) return "null";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  snprintf(out, size, format, value);
#pragma GCC diagnostic pop
  return out;
}

/* Scalars of a step that exist. */
static ft_err draw_step(trainer *t, int64_t step, const step_result *r, double rate, double share) {
  ft_err err = FT_OK;
  ft_tensorboard *tb = t->tensorboard;
  if (r->has_targets && isfinite(r->loss))
    FT_TRY(ft_tensorboard_scalar(tb, "train/loss", step, r->loss));
  if (r->has_targets && isfinite(r->grad_norm))
    FT_TRY(ft_tensorboard_scalar(tb, "train/grad_norm", step, r->grad_norm));
  FT_TRY(ft_tensorboard_scalar(tb, "train/lr", step, r->lr));
  FT_TRY(ft_tensorboard_scalar(tb, "speed/tokens_per_second", step, rate));
  if (isfinite(share)) FT_TRY(ft_tensorboard_scalar(tb, "speed/mfu", step, share));
out:
  return err;
}

ft_err ft_metrics_write_step(trainer *t, int64_t step, const step_result *r, int64_t rss_bytes) {
  ft_err err = FT_OK;
  char line[1024], loss[40], norm[40], mfu[40];
  double rate = r->seconds > 0 ? (double)r->tokens / r->seconds : 0;
  double share = t->peak_flops > 0 && r->seconds > 0 ? r->flops / r->seconds / t->peak_flops : NAN;
  snprintf(line, sizeof line,
           "{\"step\":%lld,\"loss\":%s,\"grad_norm\":%s,\"lr\":%.9g,\"targets\":%lld,\"tokens\":%"
           "lld,\"seconds\":%.6f,\"tokens_per_second\":%.1f,\"mfu\":%s,\"rss_bytes\":%lld}",
           (long long)step, number(loss, sizeof loss, "%.17g", r->has_targets, r->loss),
           number(norm, sizeof norm, "%.17g", r->has_targets, r->grad_norm), r->lr,
           (long long)r->targets, (long long)r->tokens, r->seconds, rate,
           number(mfu, sizeof mfu, "%.4f", true, share), (long long)rss_bytes);
  FT_TRY(ft_rows_add(t->metrics, line));
  if (draw_step(t, step, r, rate, share) != FT_OK) give_up_drawing(t);
out:
  return err;
}

ft_err ft_metrics_write_validation(trainer *t, int64_t step, const cJSON *validation) {
  ft_err err = FT_OK;
  char *line = NULL, tag[256];
  FT_TRY(ft_metrics_text(step, validation, &line));
  FT_TRY(ft_rows_add(t->metrics, line));
  for (const cJSON *set = validation->child; set; set = set->next) {
    const cJSON *loss = ft_json_get(set, "loss");
    snprintf(tag, sizeof tag, "validation/%s", set->string);
    if (cJSON_IsNumber(loss) &&
        ft_tensorboard_scalar(t->tensorboard, tag, step, loss->valuedouble) != FT_OK)
      give_up_drawing(t);
  }
out:
  ft_free(line);
  return err;
}

void ft_metrics_close(trainer *t) {
  ft_rows_close(t->metrics);
  t->metrics = NULL;
  ft_tensorboard_close(t->tensorboard);
  t->tensorboard = NULL;
}

/* ---------------------------------------------------------------- resuming */

/* Whether a line stays when the run goes on after `step`. A torn last line does not. */
static bool stays(const char *line, size_t length, int64_t step, bool keep_evaluation,
                  bool *is_evaluation_of_step) {
  cJSON *row = cJSON_ParseWithLength(line, length);
  const cJSON *number = ft_json_get(row, "step");
  bool evaluation = ft_json_get(row, "validation") != NULL;
  bool here = cJSON_IsNumber(number) && (int64_t)number->valuedouble == step;
  *is_evaluation_of_step = evaluation && here;
  bool kept = cJSON_IsNumber(number) && number->valuedouble <= (double)step &&
              !(*is_evaluation_of_step && !keep_evaluation);
  cJSON_Delete(row);
  return kept;
}

ft_err ft_metrics_rewind(const char *run_dir, int64_t step, bool keep_evaluation,
                         bool *has_evaluation) {
  ft_err err = FT_OK;
  char *path = NULL, *data = NULL;
  size_t bytes = 0, kept = 0;
  *has_evaluation = false;
  FT_TRY(ft_path_join(run_dir, "metrics.jsonl", &path));
  if (!ft_path_exists(path)) goto out;
  FT_TRY(ft_read_file(path, (size_t)1 << 34, &data, &bytes));
  for (size_t at = 0; at < bytes;) {
    const char *end = memchr(data + at, '\n', bytes - at);
    if (!end) break;
    size_t length = (size_t)(end - (data + at)) + 1;
    bool evaluation;
    if (stays(data + at, length, step, keep_evaluation, &evaluation)) {
      *has_evaluation |= evaluation;
      memmove(data + kept, data + at, length);
      kept += length;
    }
    at += length;
  }
  if (kept < bytes) FT_TRY(ft_write_file(path, data, kept));
out:
  ft_free(path);
  ft_free(data);
  return err;
}
