/* metrics.jsonl as columns of numbers. */
#include "ft/run_read.h"

#include <math.h>
#include <string.h>

/* Larger than any run's files. */
#define FILE_MAX_BYTES ((size_t)1 << 34)

/* ---------------------------------------------------------------- tables */

const ft_column *ft_table_find(const ft_table *t, const char *group, const char *name) {
  for (int64_t i = 0; i < t->num_columns; i++)
    if (strcmp(t->columns[i].name, name) == 0 && strcmp(t->columns[i].group, group) == 0)
      return &t->columns[i];
  return NULL;
}

int64_t ft_table_row_at(const ft_table *t, int64_t step) {
  int64_t low = 0, high = t->num_rows; /* rows before low are at or before step, from high on not */
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (t->steps[middle] <= step)
      low = middle + 1;
    else
      high = middle;
  }
  return low - 1;
}

/* Room for the values of `rows` rows; new ones are NaN. */
static ft_err grow_values(ft_column *c, int64_t rows) {
  int64_t before = c->room;
  ft_err err = ft_grow(FT_MEM_OTHER, rows, sizeof *c->values, &c->room, (void **)&c->values);
  for (int64_t i = before; i < c->room; i++)
    c->values[i] = NAN;
  return err;
}

static ft_err add_column(ft_table *t, const char *group, const char *name, ft_column **out) {
  ft_err err = FT_OK;
  FT_TRY(ft_grow_one(FT_MEM_OTHER, t->num_columns, sizeof *t->columns, (void **)&t->columns));
  ft_column *c = &t->columns[t->num_columns];
  *c = (ft_column){0};
  FT_TRY(ft_strdup(group, &c->group));
  t->num_columns++; /* from here on the table frees it */
  FT_TRY(ft_strdup(name, &c->name));
  FT_TRY(grow_values(c, t->num_rows));
  *out = c;
out:
  return err;
}

/* Rows have their members in one order: the column is nearly always the one after the last. */
static ft_err column_of(ft_table *t, const char *group, const char *name, int64_t *next,
                        ft_column **out) {
  ft_err err = FT_OK;
  ft_column *guess = *next < t->num_columns ? &t->columns[*next] : NULL;
  if (guess && strcmp(guess->name, name) == 0 && strcmp(guess->group, group) == 0)
    *out = guess;
  else
    *out = (ft_column *)(uintptr_t)ft_table_find(t, group, name);
  if (!*out) FT_TRY(add_column(t, group, name, out));
  *next = *out - t->columns + 1;
out:
  return err;
}

static ft_err add_row(ft_table *t, int64_t step) {
  ft_err err =
      ft_grow(FT_MEM_OTHER, t->num_rows + 1, sizeof *t->steps, &t->room, (void **)&t->steps);
  if (err == FT_OK) t->steps[t->num_rows++] = step;
  return err;
}

static void free_table(ft_table *t) {
  for (int64_t i = 0; i < t->num_columns; i++) {
    ft_free(t->columns[i].group);
    ft_free(t->columns[i].name);
    ft_free(t->columns[i].values);
  }
  ft_free(t->columns);
  ft_free(t->steps);
}

/* ---------------------------------------------------------------- rows */

/* Puts the numbers of an object into the table's last row; objects in it are groups of their own,
 * one level deep. null is a number that does not exist, but whose column does. */
static ft_err take_numbers(ft_table *t, const cJSON *object, const char *group, const char *prefix,
                           int64_t *next) {
  ft_err err = FT_OK;
  for (const cJSON *item = object->child; item; item = item->next) {
    bool number = cJSON_IsNumber(item), absent = cJSON_IsNull(item);
    if (number || absent) {
      if (!*group && strcmp(item->string, "step") == 0) continue;
      ft_column *c;
      char name[128];
      snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "_" : "", item->string);
      FT_TRY(column_of(t, group, name, next, &c));
      FT_TRY(grow_values(c, t->num_rows));
      c->values[t->num_rows - 1] = number ? item->valuedouble : NAN;
    } else if (cJSON_IsObject(item) && !*group) {
      FT_TRY(take_numbers(t, item, item->string, "", next));
    }
  }
out:
  return err;
}

/* The sets of an evaluation: {"NAME":{"loss":…, "rewards":{…}, "logps":{…}}}; what lies deeper
 * belongs to the set as well: rewards by their own names, others as "logps_chosen". */
static ft_err take_set(ft_table *t, const cJSON *object, const char *set, const char *prefix,
                       int64_t *next) {
  ft_err err = FT_OK;
  for (const cJSON *item = object->child; item; item = item->next) {
    bool rewards = item->string && strcmp(item->string, "rewards") == 0;
    if (cJSON_IsObject(item)) FT_TRY(take_set(t, item, set, rewards ? "" : item->string, next));
  }
  FT_TRY(take_numbers(t, object, set, prefix, next));
out:
  return err;
}

static const char *text_of(const cJSON *object, const char *name) {
  const cJSON *item = ft_json_get(object, name);
  return cJSON_IsString(item) ? item->valuestring : "";
}

static ft_err take_samples(ft_history *h, int64_t step, const cJSON *samples) {
  ft_err err = FT_OK;
  for (const cJSON *item = cJSON_IsArray(samples) ? samples->child : NULL; item;
       item = item->next) {
    FT_TRY(ft_grow_one(FT_MEM_OTHER, h->num_samples, sizeof *h->samples, (void **)&h->samples));
    ft_sample *s = &h->samples[h->num_samples++];
    *s = (ft_sample){.step = step};
    FT_TRY(ft_strdup(text_of(item, "prompt"), &s->prompt));
    FT_TRY(ft_strdup(text_of(item, "text"), &s->text));
  }
out:
  return err;
}

static ft_err take_row(ft_history *h, const cJSON *row) {
  ft_err err = FT_OK;
  int64_t step, next = 0;
  const cJSON *validation = ft_json_get(row, "validation");
  FT_CHECK(cJSON_IsObject(row) && ft_json_i64(ft_json_get(row, "step"), &step), FT_ERR_DATA,
           "is no row of metrics: an object with a whole number \"step\" was expected");
  ft_table *t = validation ? &h->evaluations : &h->steps;
  FT_CHECK(t->num_rows == 0 || step > t->steps[t->num_rows - 1], FT_ERR_DATA,
           "step %lld follows step %lld: rows are expected in order of steps", (long long)step,
           (long long)t->steps[t->num_rows - 1]);
  FT_TRY(add_row(t, step));
  if (validation) {
    for (const cJSON *set = validation->child; set; set = set->next)
      if (cJSON_IsObject(set)) FT_TRY(take_set(t, set, set->string, "", &next));
    FT_TRY(take_samples(h, step, ft_json_get(row, "samples")));
  } else {
    FT_TRY(take_numbers(t, row, "", "", &next));
  }
out:
  return err;
}

/* ---------------------------------------------------------------- the file */

/* Calls `take` with each row of a file of JSON lines. */
static ft_err take_lines(const char *path, ft_err (*take)(void *arg, cJSON *row), void *arg) {
  ft_err err = FT_OK;
  char *data = NULL;
  size_t bytes = 0;
  int64_t number = 1;
  FT_TRY(ft_read_file(path, FILE_MAX_BYTES, &data, &bytes));
  for (size_t at = 0; at < bytes; number++) {
    const char *line = data + at, *end = memchr(line, '\n', bytes - at);
    cJSON *row = NULL;
    if (!end) break; /* still being written */
    at += (size_t)(end - line) + 1;
    err = ft_json_parse(line, (size_t)(end - line), "the row", &row);
    if (err == FT_OK) err = take(arg, row);
    if (err == FT_OK) continue;
    ft_fail_prefix(err, "%s:%lld", path, (long long)number);
    goto out;
  }
out:
  ft_free(data);
  return err;
}

static ft_err take_metrics(void *arg, cJSON *row) {
  ft_err err = take_row(arg, row);
  cJSON_Delete(row);
  return err;
}

static ft_err take_start(void *arg, cJSON *row) {
  ft_err err = FT_OK;
  int64_t step;
  FT_CHECK(ft_json_i64(ft_json_get(row, "step"), &step), FT_ERR_DATA,
           "is no start of a run: an object with a whole number \"step\" was expected");
  cJSON_AddItemToArray(arg, row);
  row = NULL;
out:
  cJSON_Delete(row);
  return err;
}

/* Every column has a value for every row. */
static ft_err fill_up(ft_table *t) {
  for (int64_t i = 0; i < t->num_columns; i++) {
    ft_err err = grow_values(&t->columns[i], t->num_rows);
    if (err != FT_OK) return err;
  }
  return FT_OK;
}

ft_err ft_history_read(const char *run_dir, ft_history *h) {
  ft_err err = FT_OK;
  char *path = NULL;
  *h = (ft_history){0};
  FT_TRY(ft_path_join(run_dir, "metrics.jsonl", &path));
  if (ft_path_exists(path)) FT_TRY(take_lines(path, take_metrics, h));
  FT_TRY(fill_up(&h->steps));
  FT_TRY(fill_up(&h->evaluations));
out:
  ft_free(path);
  return err;
}

ft_err ft_run_read_starts(const char *run_dir, cJSON **out) {
  ft_err err = FT_OK;
  char *path = NULL;
  *out = cJSON_CreateArray();
  FT_TRY(ft_path_join(run_dir, "history.jsonl", &path));
  if (ft_path_exists(path)) FT_TRY(take_lines(path, take_start, *out));
out:
  if (err != FT_OK) {
    cJSON_Delete(*out);
    *out = NULL;
  }
  ft_free(path);
  return err;
}

void ft_history_fini(ft_history *h) {
  free_table(&h->steps);
  free_table(&h->evaluations);
  for (int64_t i = 0; i < h->num_samples; i++) {
    ft_free(h->samples[i].prompt);
    ft_free(h->samples[i].text);
  }
  ft_free(h->samples);
  *h = (ft_history){0};
}
