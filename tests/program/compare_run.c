/* compare_run: holds a run of ftrun against a reference trajectory (tests/reference).
 *
 *     compare_run config TRAJECTORY RUN [MODEL]
 *         prints the config that makes ftrun repeat the trajectory in run directory RUN
 *     compare_run check TRAJECTORY RUN EXPORT|- [loss=1e-4] [norm=1e-3] [validation=1e-4]
 *         compares RUN/metrics.jsonl with expected.json: losses, gradient norms and validation
 *         losses relative to the expected value, numbers of targets exactly; and, unless "-", the
 *         exported weights with final.safetensors: within 2e-3, but for one weight in 10,000
 *         (Adam makes a full step of a gradient of rounding size)
 *     compare_run gradients TRAJECTORY RUN EXPORT
 *         compares each tensor's first gradient, by its norm, with expected.json: within 1e-3 of
 *         it, to which 1e-4 of the largest norm is added where it is smaller than that. RUN made
 *         one step from the trajectory's start with lr 100, eps 1, betas 0 and no weight decay,
 *         which takes 100 u from every weight, u = g / (|g| + 1): so g = u / (1 - |u|), which is
 *         the gradient but for the clipping
 *     compare_run untargeted SHARD.h5 VOCAB
 *         writes a token shard whose documents have no target token
 *
 * A trajectory is a model directory with train.h5, validation.h5 (or val.h5), perhaps text.h5 as a
 * second validation set, expected.json and perhaps final.safetensors. Exit status 0: equal. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ft/io.h"

/* Validation sets of a trajectory: name, file (the first that exists), prefix in expected.json. */
static const struct {
  const char *name, *files[2], *expected;
} sets[] = {{"validation", {"validation.h5", "val.h5"}, "val_loss"},
            {"text", {"text.h5", "text.h5"}, "text_loss"}};

/* The set's file in the trajectory, or NULL. Free with ft_free. */
static ft_err find_set(const char *trajectory, size_t set, char **path) {
  ft_err err = FT_OK;
  for (int i = 0; i < 2; i++) {
    FT_TRY(ft_path_join(trajectory, sets[set].files[i], path));
    if (ft_path_exists(*path)) return FT_OK;
    ft_free(*path);
    *path = NULL;
  }
out:
  return err;
}

static ft_err read_expected(const char *trajectory, cJSON **expected) {
  ft_err err = FT_OK;
  char *path = NULL;
  FT_TRY(ft_path_join(trajectory, "expected.json", &path));
  FT_TRY(ft_json_read(path, expected));
out:
  ft_free(path);
  return err;
}

/* ---------------------------------------------------------------- config */

/* Copies a hyper-parameter to the config under its name there, if the trajectory has it. */
static void take(cJSON *to, const char *name, const cJSON *parameters, const char *from) {
  const cJSON *value = ft_json_get(parameters, from);
  if (value) cJSON_AddItemToObject(to, name, cJSON_Duplicate(value, true));
}

static ft_err add_data(cJSON *config, const cJSON *parameters, const char *trajectory) {
  ft_err err = FT_OK;
  char *path = NULL;
  cJSON *data = cJSON_AddObjectToObject(config, "data");
  cJSON *source = cJSON_CreateObject(), *train = cJSON_AddArrayToObject(data, "train");
  cJSON_AddItemToArray(train, source);
  FT_TRY(ft_path_join(trajectory, "train.h5", &path));
  cJSON_AddStringToObject(source, "path", path);
  cJSON *validation = cJSON_AddArrayToObject(data, "validation");
  for (size_t i = 0; i < FT_ARRAY_SIZE(sets); i++) {
    ft_free(path);
    path = NULL;
    FT_TRY(find_set(trajectory, i, &path));
    if (!path) continue;
    cJSON *set = cJSON_CreateObject();
    cJSON_AddStringToObject(set, "name", sets[i].name);
    cJSON_AddStringToObject(set, "path", path);
    cJSON_AddItemToArray(validation, set);
  }
  take(data, "seq_len", parameters, "seq_len");
  take(data, "packing", parameters, "packing");
  take(data, "shuffle", parameters, "shuffle");
out:
  ft_free(path);
  return err;
}

static ft_err print_config(const char *trajectory, const char *run, const char *model) {
  ft_err err = FT_OK;
  cJSON *expected = NULL, *config = cJSON_CreateObject();
  char *text = NULL;
  FT_TRY(read_expected(trajectory, &expected));
  const cJSON *parameters = ft_json_get(expected, "hyperparameters");
  cJSON_AddStringToObject(cJSON_AddObjectToObject(config, "model"), "path", model);
  FT_TRY(add_data(config, parameters, trajectory));
  cJSON *train = cJSON_AddObjectToObject(config, "train");
  take(train, "global_batch", parameters, "global_batch");
  take(train, "micro_batch", parameters, "micro_batch");
  take(train, "steps", parameters, "steps");
  take(train, "precision", parameters, "precision");
  take(train, "grad_clip", parameters, "grad_clip");
  cJSON *optimizer = cJSON_AddObjectToObject(config, "optimizer");
  take(optimizer, "lr", parameters, "lr");
  take(optimizer, "betas", parameters, "betas");
  take(optimizer, "eps", parameters, "eps");
  take(optimizer, "weight_decay", parameters, "weight_decay");
  cJSON *schedule = cJSON_AddObjectToObject(config, "schedule");
  take(schedule, "name", parameters, "schedule");
  take(schedule, "warmup_steps", parameters, "warmup_steps");
  take(schedule, "min_lr_ratio", parameters, "min_lr_ratio");
  cJSON_AddStringToObject(cJSON_AddObjectToObject(config, "run"), "dir", run);
  text = cJSON_Print(config);
  FT_CHECK(text, FT_ERR_MEMORY, "no memory for the config");
  puts(text);
out:
  free(text);
  cJSON_Delete(config);
  cJSON_Delete(expected);
  return err;
}

/* ---------------------------------------------------------------- check */

/* What the comparison found; every mistake is printed as it is met. */
typedef struct findings {
  int mistakes;
  double loss, norm, validation, weights; /* largest difference of each kind */
  int64_t far, total;                     /* weights beyond 2e-3, and all */
} findings;

/* Relative comparison; *worst keeps the largest difference seen. */
static void compare(findings *f, const char *what, int step, double found, double wanted,
                    double tolerance, double *worst) {
  double difference = fabs(found - wanted) / fmax(fabs(wanted), 1e-30);
  if (!(difference <= tolerance)) { /* not a number is a mistake too */
    printf("step %d: %s %.9g, expected %.9g: relative difference %.2g, allowed %.2g\n", step, what,
           found, wanted, difference, tolerance);
    f->mistakes++;
  }
  if (!(difference <= *worst)) *worst = difference;
}

/* The row of metrics.jsonl of that step that holds `member`, or NULL. */
static const cJSON *find_row(const cJSON *rows, int step, const char *member) {
  const cJSON *row;
  cJSON_ArrayForEach(row, rows) {
    const cJSON *number = ft_json_get(row, "step");
    if (cJSON_IsNumber(number) && number->valueint == step && ft_json_get(row, member)) return row;
  }
  return NULL;
}

/* metrics.jsonl as an array of its rows. */
static ft_err read_metrics(const char *run, cJSON **rows) {
  ft_err err = FT_OK;
  char *path = NULL, *text = NULL;
  size_t bytes = 0;
  *rows = cJSON_CreateArray();
  FT_TRY(ft_path_join(run, "metrics.jsonl", &path));
  FT_TRY(ft_read_file(path, (size_t)64 << 20, &text, &bytes));
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
    cJSON *row = NULL;
    FT_TRY(ft_json_parse(line, strlen(line), path, &row));
    cJSON_AddItemToArray(*rows, row);
  }
out:
  ft_free(text);
  ft_free(path);
  return err;
}

static double number_of(const cJSON *object, const char *name) {
  const cJSON *value = object ? ft_json_get(object, name) : NULL;
  return cJSON_IsNumber(value) ? value->valuedouble : (double)NAN;
}

static void check_steps(findings *f, const cJSON *rows, const cJSON *expected, double loss,
                        double norm) {
  const cJSON *wanted;
  cJSON_ArrayForEach(wanted, ft_json_get(expected, "steps")) {
    int step = (int)number_of(wanted, "step");
    const cJSON *row = find_row(rows, step, "loss");
    compare(f, "loss", step, number_of(row, "loss"), number_of(wanted, "loss"), loss, &f->loss);
    compare(f, "grad_norm", step, number_of(row, "grad_norm"), number_of(wanted, "grad_norm"), norm,
            &f->norm);
    compare(f, "targets", step, number_of(row, "targets"), number_of(wanted, "targets"), 0,
            &(double){0});
  }
}

static void check_validation(findings *f, const cJSON *rows, const cJSON *expected,
                             double tolerance) {
  static const char *const when[] = {"before", "after"};
  int last = cJSON_GetArraySize(ft_json_get(expected, "steps"));
  for (size_t i = 0; i < FT_ARRAY_SIZE(sets); i++) {
    for (int w = 0; w < 2; w++) {
      char name[64];
      snprintf(name, sizeof name, "%s_%s", sets[i].expected, when[w]);
      if (!ft_json_get(expected, name)) continue;
      int step = w ? last : 0;
      const cJSON *row = find_row(rows, step, "validation");
      const cJSON *set = row ? ft_json_get(ft_json_get(row, "validation"), sets[i].name) : NULL;
      compare(f, name, step, number_of(set, "loss"), number_of(expected, name), tolerance,
              &f->validation);
    }
  }
}

/* All elements of a tensor as f32; free with ft_free. */
static ft_err read_f32(ft_safetensors *file, const ft_safetensor *t, float **out) {
  ft_err err = FT_OK;
  void *raw = NULL;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, t->elements, ft_dtype_bytes(t->dtype), &raw));
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, t->elements, sizeof(float), (void **)out));
  FT_TRY(ft_safetensors_read(file, t, 0, t->elements, raw));
  for (int64_t i = 0; i < t->elements; i++)
    (*out)[i] = t->dtype == FT_F32    ? ((const float *)raw)[i]
                : t->dtype == FT_BF16 ? ft_f32_from_bf16(((const uint16_t *)raw)[i])
                                      : ft_f32_from_f16(((const uint16_t *)raw)[i]);
out:
  ft_free(raw);
  return err;
}

/* Counts weights further than 2e-3 from what is expected. */
static ft_err check_tensor(ft_safetensors *wanted, const ft_safetensor *t, ft_safetensors *found,
                           findings *f) {
  ft_err err = FT_OK;
  float *a = NULL, *b = NULL;
  const ft_safetensor *other = ft_safetensors_find(found, t->name);
  FT_CHECK(other, FT_ERR_DATA, "the export lacks %s", t->name);
  FT_CHECK(other->num_dims == t->num_dims && other->elements == t->elements &&
               memcmp(other->dims, t->dims, sizeof *t->dims * (size_t)t->num_dims) == 0,
           FT_ERR_DATA, "%s has another shape in the export", t->name);
  FT_TRY(read_f32(wanted, t, &a));
  FT_TRY(read_f32(found, other, &b));
  for (int64_t i = 0; i < t->elements; i++) {
    double difference = fabs((double)a[i] - (double)b[i]);
    if (!(difference <= 2e-3)) f->far++;
    if (!(difference <= f->weights)) f->weights = difference;
  }
  f->total += t->elements;
out:
  ft_free(a);
  ft_free(b);
  return err;
}

static ft_err check_weights(findings *f, const char *trajectory, const char *export_dir) {
  ft_err err = FT_OK;
  char *path = NULL;
  ft_safetensors *wanted = NULL, *found = NULL;
  FT_TRY(ft_path_join(trajectory, "final.safetensors", &path));
  FT_TRY(ft_safetensors_open(path, &wanted));
  FT_TRY(ft_safetensors_open(export_dir, &found));
  for (int64_t i = 0; i < ft_safetensors_count(wanted); i++) {
    const ft_safetensor *t = ft_safetensors_at(wanted, i);
    FT_TRY(check_tensor(wanted, t, found, f));
  }
  if (ft_safetensors_count(found) != ft_safetensors_count(wanted)) {
    printf("the export has %lld tensors, expected %lld\n", (long long)ft_safetensors_count(found),
           (long long)ft_safetensors_count(wanted));
    f->mistakes++;
  }
  if (f->far > f->total / 10000) {
    printf("%lld of %lld weights are further than 2e-3 from what is expected, at most %.1e\n",
           (long long)f->far, (long long)f->total, f->weights);
    f->mistakes++;
  }
out:
  ft_safetensors_close(wanted);
  ft_safetensors_close(found);
  ft_free(path);
  return err;
}

/* "name=1e-3" among the arguments, or the value given. */
static double tolerance(int argc, char **argv, const char *name, double otherwise) {
  size_t length = strlen(name);
  for (int i = 5; i < argc; i++)
    if (strncmp(argv[i], name, length) == 0 && argv[i][length] == '=')
      return strtod(argv[i] + length + 1, NULL);
  return otherwise;
}

static ft_err check(int argc, char **argv) {
  ft_err err = FT_OK;
  findings f = {0};
  cJSON *expected = NULL, *rows = NULL;
  FT_TRY(read_expected(argv[2], &expected));
  FT_TRY(read_metrics(argv[3], &rows));
  FT_CHECK(cJSON_GetArraySize(ft_json_get(expected, "steps")) > 0, FT_ERR_DATA,
           "expected.json of %s has no steps", argv[2]);
  check_steps(&f, rows, expected, tolerance(argc, argv, "loss", 1e-4),
              tolerance(argc, argv, "norm", 1e-3));
  check_validation(&f, rows, expected, tolerance(argc, argv, "validation", 1e-4));
  if (strcmp(argv[4], "-") != 0) FT_TRY(check_weights(&f, argv[2], argv[4]));
  printf("losses within %.1e, gradient norms %.1e, validation %.1e, weights %.1e "
         "(%lld of %lld beyond 2e-3)\n",
         f.loss, f.norm, f.validation, f.weights, (long long)f.far, (long long)f.total);
  FT_CHECK(f.mistakes == 0, FT_ERR_DATA, "%d differences from %s", f.mistakes, argv[2]);
out:
  cJSON_Delete(expected);
  cJSON_Delete(rows);
  return err;
}

/* ---------------------------------------------------------------- gradients */

/* The norm of what the step of `gradients` followed. */
static ft_err read_gradient_norm(ft_safetensors *before, ft_safetensors *after, const char *name,
                                 double *norm) {
  ft_err err = FT_OK;
  float *a = NULL, *b = NULL;
  double sum = 0;
  const ft_safetensor *from = ft_safetensors_find(before, name);
  const ft_safetensor *to = ft_safetensors_find(after, name);
  FT_CHECK(from && to && from->elements == to->elements, FT_ERR_DATA, "no tensor %s", name);
  FT_TRY(read_f32(before, from, &a));
  FT_TRY(read_f32(after, to, &b));
  for (int64_t i = 0; i < from->elements; i++) {
    double u = ((double)a[i] - (double)b[i]) / 100, g = u / (1 - fabs(u));
    sum += g * g;
  }
  *norm = sqrt(sum);
out:
  ft_free(a);
  ft_free(b);
  return err;
}

static ft_err check_gradients(const char *trajectory, const char *run, const char *export_dir) {
  ft_err err = FT_OK;
  findings f = {0};
  cJSON *expected = NULL, *rows = NULL;
  const cJSON *norm;
  ft_safetensors *before = NULL, *after = NULL;
  double largest = 0, worst = 0;
  FT_TRY(read_expected(trajectory, &expected));
  FT_TRY(read_metrics(run, &rows));
  FT_TRY(ft_safetensors_open(trajectory, &before));
  FT_TRY(ft_safetensors_open(export_dir, &after));
  const cJSON *norms = ft_json_get(expected, "first_step_gradient_norms");
  double clip = number_of(ft_json_get(expected, "hyperparameters"), "grad_clip");
  double scale = fmax(number_of(find_row(rows, 1, "loss"), "grad_norm") / clip, 1);
  cJSON_ArrayForEach(norm, norms) largest = fmax(largest, norm->valuedouble);
  FT_CHECK(largest > 0, FT_ERR_DATA, "expected.json of %s has no gradients", trajectory);
  cJSON_ArrayForEach(norm, norms) {
    double found = 0, wanted = norm->valuedouble;
    double added = wanted < 1e-4 * largest ? 1e-4 * largest : 0;
    FT_TRY(read_gradient_norm(before, after, norm->string, &found));
    compare(&f, norm->string, 1, scale * found + added, wanted + added, 1e-3, &worst);
  }
  printf("gradients of %d tensors within %.1e\n", cJSON_GetArraySize(norms), worst);
  FT_CHECK(f.mistakes == 0, FT_ERR_DATA, "%d gradients differ from %s", f.mistakes, trajectory);
out:
  cJSON_Delete(expected);
  cJSON_Delete(rows);
  ft_safetensors_close(before);
  ft_safetensors_close(after);
  return err;
}

/* ---------------------------------------------------------------- untargeted */

static ft_err write_untargeted(const char *path, uint32_t vocab) {
  ft_err err = FT_OK;
  ft_tokens_writer *writer = NULL;
  uint32_t tokens[20];
  uint8_t mask[FT_ARRAY_SIZE(tokens)] = {0};
  for (size_t i = 0; i < FT_ARRAY_SIZE(tokens); i++)
    tokens[i] = (uint32_t)i;
  FT_TRY(ft_tokens_writer_new(path, FT_TOKENS_SFT, vocab, "", &writer));
  for (int document = 0; document < 3; document++)
    FT_TRY(ft_tokens_write(writer, tokens, mask, FT_ARRAY_SIZE(tokens)));
out:
  if (!writer) return err;
  ft_err closed = ft_tokens_writer_close(writer, err == FT_OK);
  return err == FT_OK ? closed : err;
}

int main(int argc, char **argv) {
  ft_err err;
  if (argc >= 4 && argc <= 5 && strcmp(argv[1], "config") == 0) {
    err = print_config(argv[2], argv[3], argc == 5 ? argv[4] : argv[2]);
  } else if (argc >= 5 && strcmp(argv[1], "check") == 0) {
    err = check(argc, argv);
  } else if (argc == 5 && strcmp(argv[1], "gradients") == 0) {
    err = check_gradients(argv[2], argv[3], argv[4]);
  } else if (argc == 4 && strcmp(argv[1], "untargeted") == 0) {
    err = write_untargeted(argv[2], (uint32_t)strtoul(argv[3], NULL, 10));
  } else {
    err = ft_fail(FT_ERR_USAGE, "usage: compare_run config TRAJECTORY RUN [MODEL]\n"
                                "       compare_run check TRAJECTORY RUN EXPORT|- "
                                "[loss=1e-4] [norm=1e-3] [validation=1e-4]\n"
                                "       compare_run gradients TRAJECTORY RUN EXPORT\n"
                                "       compare_run untargeted SHARD.h5 VOCAB");
  }
  if (err != FT_OK) fprintf(stderr, "%s\n", ft_error_message());
  return (int)err;
}
