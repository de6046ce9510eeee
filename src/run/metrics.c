/* metrics.jsonl: one object a line. Numbers that describe the training have 17 significant digits,
 * so equal text means equal bits. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "internal.h"

/* ---------------------------------------------------------------- text */

typedef struct text {
  char *data;
  size_t length, room;
} text;

static ft_err append_bytes(text *t, const char *bytes, size_t count) {
  ft_err err = ft_grow_bytes(FT_MEM_OTHER, t->length + count + 1, &t->room, (void **)&t->data);
  if (err != FT_OK) return err;
  memcpy(t->data + t->length, bytes, count);
  t->length += count;
  t->data[t->length] = 0;
  return FT_OK;
}

static ft_err append(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static ft_err append(text *t, const char *format, ...) {
  char piece[1024];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(piece, sizeof piece, format, args);
  va_end(args);
  FT_ASSERT(n >= 0 && (size_t)n < sizeof piece);
  return append_bytes(t, piece, (size_t)n);
}

static ft_err append_number(text *t, const char *name, const cJSON *value) {
  if (cJSON_IsNumber(value)) return append(t, "\"%s\":%.17g", name, value->valuedouble);
  return append(t, "\"%s\":null", name);
}

/* Numbers, and objects of them. */
static ft_err append_figures(text *t, const cJSON *object) {
  ft_err err = FT_OK;
  for (const cJSON *figure = object->child; figure; figure = figure->next) {
    if (figure != object->child) FT_TRY(append(t, ","));
    if (!cJSON_IsObject(figure)) {
      FT_TRY(append_number(t, figure->string, figure));
      continue;
    }
    FT_TRY(append(t, "\"%s\":{", figure->string));
    FT_TRY(append_figures(t, figure));
    FT_TRY(append(t, "}"));
  }
out:
  return err;
}

/* Texts of any length. */
static ft_err append_samples(text *t, const cJSON *samples) {
  char *printed = cJSON_PrintUnformatted(samples);
  if (!printed) return ft_fail(FT_ERR_MEMORY, "no memory for the samples of an evaluation");
  ft_err err = append(t, ",\"samples\":");
  if (err == FT_OK) err = append_bytes(t, printed, strlen(printed));
  cJSON_free(printed);
  return err;
}

ft_err ft_metrics_text(int64_t step, const cJSON *validation, const cJSON *samples, char **out) {
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
    FT_TRY(append_figures(&t, set));
    FT_TRY(append(&t, "}"));
  }
  FT_TRY(append(&t, "}"));
  if (samples) FT_TRY(append_samples(&t, samples));
  FT_TRY(append(&t, "}"));
  *out = t.data;
  t.data = NULL;
out:
  ft_free(t.data);
  return err;
}

/* ---------------------------------------------------------------- writing */

static ft_err open_curves(ft_run *run, int64_t step) {
  char *path = NULL;
  ft_err err = ft_path_join(run->dir, "tensorboard", &path);
  if (err == FT_OK) err = ft_tensorboard_open(path, step, &run->curves);
  ft_free(path);
  return err;
}

ft_err ft_run_begin_rows(ft_run *run, int64_t step) {
  ft_err err = FT_OK;
  char *path = NULL;
  FT_TRY(ft_path_join(run->dir, "metrics.jsonl", &path));
  FT_TRY(ft_rows_open(path, &run->rows));
  ft_free(path);
  path = NULL;
  FT_TRY(open_curves(run, step));
out:
  ft_free(path);
  return err;
}

ft_err ft_run_sync(ft_run *run) {
  return ft_rows_sync(run->rows);
}

/* The curves are a copy of the rows: what they cannot hold ends no run. Where a file cannot be
 * written any more (a stale handle), another is tried once. */
static void draw(ft_run *run, const char *curve, int64_t step, double value) {
  if (!curve || !isfinite(value)) return;
  if (ft_tensorboard_scalar(run->curves, curve, step, value) == FT_OK) return;
  ft_tensorboard_close(run->curves);
  run->curves = NULL;
  if (open_curves(run, FT_MAX(step - 1, 0)) == FT_OK &&
      ft_tensorboard_scalar(run->curves, curve, step, value) == FT_OK)
    return;
  ft_log(FT_LOG_ERROR, "%s; this part of the run gets no more of them", ft_error_message());
  ft_tensorboard_close(run->curves);
  run->curves = NULL;
}

static ft_err append_value(text *t, const ft_metric *m) {
  double x = m->value;
  if (!isfinite(x)) return append(t, "\"%s\":null", m->name);
  switch (m->form) {
  case FT_METRIC_EXACT:
    return append(t, "\"%s\":%.17g", m->name, x);
  case FT_METRIC_RATE:
    return append(t, "\"%s\":%.9g", m->name, x);
  case FT_METRIC_COUNT:
    return append(t, "\"%s\":%.0f", m->name, x);
  case FT_METRIC_MICRO:
    return append(t, "\"%s\":%.6f", m->name, x);
  case FT_METRIC_SHARE:
    return append(t, "\"%s\":%.4f", m->name, x);
  case FT_METRIC_DECIMAL:
    return append(t, "\"%s\":%.1f", m->name, x);
  }
  return ft_fail(FT_ERR_INTERNAL, "%s has no form", m->name);
}

static bool same_group(const ft_metric *a, const ft_metric *b) {
  return a->group && b->group && strcmp(a->group, b->group) == 0;
}

/* Metric i behind what comes before it, with the beginning and the end of its group. */
static ft_err append_metric(text *t, const ft_metric *metrics, int64_t i, int64_t num) {
  ft_err err = FT_OK;
  const ft_metric *m = &metrics[i];
  bool first = m->group && !(i > 0 && same_group(m, m - 1));
  bool last = m->group && !(i + 1 < num && same_group(m, m + 1));
  FT_TRY(append(t, ","));
  if (first) FT_TRY(append(t, "\"%s\":{", m->group));
  FT_TRY(append_value(t, m));
  if (last) FT_TRY(append(t, "}"));
out:
  return err;
}

ft_err ft_run_write_step(ft_run *run, int64_t step, const ft_metric *metrics, int64_t num_metrics) {
  ft_err err = FT_OK;
  text t = {0};
  FT_TRY(append(&t, "{\"step\":%lld", (long long)step));
  for (int64_t i = 0; i < num_metrics; i++)
    FT_TRY(append_metric(&t, metrics, i, num_metrics));
  FT_TRY(append(&t, "}"));
  FT_TRY(ft_rows_add(run->rows, t.data));
  for (int64_t i = 0; i < num_metrics; i++)
    draw(run, metrics[i].curve, step, metrics[i].value);
out:
  ft_free(t.data);
  return err;
}

/* What lies in objects of a set: "rewards/validation/SET/margin". */
static void draw_figures(ft_run *run, int64_t step, const char *set, const cJSON *object,
                         const char *group) {
  char curve[256];
  for (const cJSON *item = object->child; item; item = item->next) {
    if (cJSON_IsObject(item)) draw_figures(run, step, set, item, item->string);
    if (!*group || !cJSON_IsNumber(item)) continue;
    snprintf(curve, sizeof curve, "%s/validation/%s/%s", group, set, item->string);
    draw(run, curve, step, item->valuedouble);
  }
}

ft_err ft_run_write_validation(ft_run *run, int64_t step, const cJSON *validation,
                               const cJSON *samples) {
  ft_err err = FT_OK;
  char *line = NULL, curve[256];
  FT_TRY(ft_metrics_text(step, validation, samples, &line));
  FT_TRY(ft_rows_add(run->rows, line));
  for (const cJSON *set = validation->child; set; set = set->next) {
    const cJSON *loss = ft_json_get(set, "loss");
    snprintf(curve, sizeof curve, "loss/validation/%s", set->string);
    draw(run, curve, step, cJSON_IsNumber(loss) ? loss->valuedouble : NAN);
    const cJSON *change = ft_json_get(set, "change");
    snprintf(curve, sizeof curve, "change/validation/%s", set->string);
    if (change) draw(run, curve, step, change->valuedouble);
    draw_figures(run, step, set->string, set, "");
  }
out:
  ft_free(line);
  return err;
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

cJSON *ft_run_unwritten(const ft_run *run) {
  size_t bytes = 0;
  const char *at = run->rows ? ft_rows_kept(run->rows, &bytes) : NULL;
  cJSON *rows = bytes > 0 ? cJSON_CreateArray() : NULL;
  for (const char *end; bytes > 0 && (end = memchr(at, '\n', bytes)) != NULL;) {
    char *row = NULL;
    if (ft_format(&row, "%.*s", (int)(end - at), at) == FT_OK)
      cJSON_AddItemToArray(rows, cJSON_CreateString(row));
    ft_free(row);
    bytes -= (size_t)(end + 1 - at);
    at = end + 1;
  }
  return rows;
}

ft_err ft_run_add_missing(const char *dir, const cJSON *rows) {
  ft_err err = FT_OK;
  char *path = NULL, *data = NULL;
  size_t bytes = 0;
  text t = {0};
  if (!cJSON_IsArray(rows)) return FT_OK;
  FT_TRY(ft_path_join(dir, "metrics.jsonl", &path));
  if (ft_path_exists(path)) FT_TRY(ft_read_file(path, (size_t)1 << 34, &data, &bytes));
  while (bytes > 0 && data[bytes - 1] != '\n')
    data[--bytes] = 0; /* a torn last row */
  FT_TRY(append(&t, "%s", ""));
  for (const cJSON *row = rows->child; row; row = row->next)
    if (cJSON_IsString(row) && !(data && strstr(data, row->valuestring)))
      FT_TRY(append(&t, "%s\n", row->valuestring));
  if (t.length == 0) goto out;
  char *whole = NULL;
  FT_TRY(ft_format(&whole, "%s%s", data ? data : "", t.data));
  err = ft_write_file(path, whole, strlen(whole));
  ft_free(whole);
out:
  ft_free(t.data);
  ft_free(path);
  ft_free(data);
  return err;
}

ft_err ft_run_rewind(const char *dir, int64_t step, bool keep_evaluation, bool *has_evaluation) {
  ft_err err = FT_OK;
  char *path = NULL, *data = NULL;
  size_t bytes = 0, kept = 0;
  *has_evaluation = false;
  FT_TRY(ft_path_join(dir, "metrics.jsonl", &path));
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
