/* ftrun status RUN [RUN …] [--json] */
#include <math.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "ft/report.h"

typedef struct arguments {
  char **runs; /* of the command line */
  int64_t num_runs;
  bool json;
} arguments;

static const struct argp_option options[] = {
    {"json", 'j', NULL, 0, "Print one JSON object a line and run instead", 0}, {0}};

static error_t take(int key, char *argument, struct argp_state *state) {
  arguments *a = state->input;
  (void)argument;
  switch (key) {
  case 'j':
    a->json = true;
    return 0;
  case ARGP_KEY_ARGS:
    a->runs = state->argv + state->next;
    a->num_runs = state->argc - state->next;
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_error(state, "the run directory is missing");
    return EINVAL;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

const struct argp ft_cli_status_argp = {
    .options = options,
    .parser = take,
    .args_doc = "RUN [RUN …]",
    .doc =
        "Says where runs are: state, step, loss, speed, time left, newest checkpoint, evaluation "
        "and best, and who holds them. Reads files only, on any machine that sees them, whether "
        "the runs go on or not, and disturbs nothing."};

/* ---------------------------------------------------------------- for people */

enum { CELL_BYTES = 160, NUM_CELLS = 10 };
typedef struct cells {
  char text[NUM_CELLS][CELL_BYTES];
} cells;

static const cells headings = {{"RUN", "STATE", "STEP", "LOSS", "TOKENS/S", "PEAK", "LEFT",
                                "CHECKPOINT", "EVALUATED", "BEST"}};

/* "domain 1.2345, general 2.3456" of {"domain":{"loss":…}, …}. */
static void put_losses(char out[CELL_BYTES], int64_t step, const cJSON *sets) {
  size_t used = (size_t)snprintf(out, CELL_BYTES, "%lld:", (long long)step);
  for (const cJSON *set = sets->child; set && used < CELL_BYTES; set = set->next) {
    const cJSON *loss = ft_json_get(set, "loss");
    used += (size_t)snprintf(out + used, CELL_BYTES - used, "%s %.40s %.4f",
                             set == sets->child ? "" : ",", set->string,
                             cJSON_IsNumber(loss) ? loss->valuedouble : NAN);
  }
}

static void put_left(char out[CELL_BYTES], double seconds) {
  long long s = (long long)seconds;
  if (!isfinite(seconds))
    return;
  else if (s < 120)
    snprintf(out, CELL_BYTES, "%lld s", s);
  else if (s < 7200)
    snprintf(out, CELL_BYTES, "%lld min", (s + 30) / 60);
  else
    snprintf(out, CELL_BYTES, "%lld h %02lld min", s / 3600, s % 3600 / 60);
}

static void put_number(char out[CELL_BYTES], const char *format, double value)
    __attribute__((format(printf, 2, 0)));
static void put_number(char out[CELL_BYTES], const char *format, double value) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  if (isfinite(value)) snprintf(out, CELL_BYTES, format, value);
#pragma GCC diagnostic pop
}

static void fill(cells *c, const char *run, const ft_status *s) {
  for (int i = 0; i < NUM_CELLS; i++)
    strcpy(c->text[i], "-");
  snprintf(c->text[0], CELL_BYTES, "%s", run);
  snprintf(c->text[1], CELL_BYTES, "%s", ft_run_state_name(s->state));
  if (s->num_steps >= 0)
    snprintf(c->text[2], CELL_BYTES, "%lld/%lld", (long long)s->step, (long long)s->num_steps);
  else
    snprintf(c->text[2], CELL_BYTES, "%lld", (long long)s->step);
  put_number(c->text[3], "%.4f", s->loss);
  put_number(c->text[4], "%.0f", s->tokens_per_second);
  put_number(c->text[5], "%.0f %%", 100 * s->share_of_peak);
  put_left(c->text[6], s->left_s);
  if (s->checkpoint_step >= 0)
    snprintf(c->text[7], CELL_BYTES, "%lld", (long long)s->checkpoint_step);
  if (s->evaluated) put_losses(c->text[8], s->evaluated_step, s->evaluated);
  if (s->best) put_losses(c->text[9], s->best_step, s->best);
}

static void print_table(const cells *rows, int64_t num_rows) {
  int width[NUM_CELLS] = {0};
  for (int64_t i = 0; i < num_rows; i++)
    for (int k = 0; k < NUM_CELLS; k++)
      width[k] = FT_MAX(width[k], (int)strlen(rows[i].text[k]));
  for (int64_t i = 0; i < num_rows; i++) {
    for (int k = 0; k < NUM_CELLS; k++)
      printf("%-*s%s", k + 1 < NUM_CELLS ? width[k] : 0, rows[i].text[k],
             k + 1 < NUM_CELLS ? "  " : "\n");
  }
}

/* Who holds a run, or did: a line below the table. */
static void print_holder(const char *run, const ft_status *s) {
  const ft_run_holder *h = &s->holder;
  if (!h->found) return;
  printf("%s: %s process %lld on %s%s%s, last sign of life %.0f s ago\n", run,
         h->alive ? "held by" : "left behind by", (long long)h->pid,
         *h->host ? h->host : "an unknown host", *h->job ? ", job " : "", h->job, h->silence_s);
}

/* ---------------------------------------------------------------- all runs */

static ft_err print_json(const char *run, const ft_status *s) {
  ft_err err = FT_OK;
  cJSON *json = NULL;
  char *text = NULL;
  FT_TRY(ft_status_json(run, s, &json));
  FT_TRY(ft_json_print(json, false, &text));
  puts(text);
out:
  ft_free(text);
  cJSON_Delete(json);
  return err;
}

/* A run that cannot be read is said, and the others are shown all the same; the first error counts.
 */
static ft_err show(const arguments *a) {
  ft_err err = FT_OK, first = FT_OK;
  cells *rows = NULL;
  ft_status *statuses = NULL;
  void *p;
  int64_t num_rows = 1;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, a->num_runs + 1, sizeof *rows, &p));
  rows = p;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, a->num_runs, sizeof *statuses, &p));
  statuses = p;
  rows[0] = headings;
  for (int64_t i = 0; i < a->num_runs; i++) {
    err = ft_status_read(a->runs[i], &statuses[i]);
    if (err == FT_OK && a->json) err = print_json(a->runs[i], &statuses[i]);
    if (err == FT_OK) fill(&rows[num_rows++], a->runs[i], &statuses[i]);
    if (err != FT_OK) ft_log(FT_LOG_ERROR, "%s", ft_error_message());
    if (first == FT_OK) first = err;
  }
  if (!a->json && num_rows > 1) print_table(rows, num_rows);
  for (int64_t i = 0; i < a->num_runs && !a->json; i++)
    print_holder(a->runs[i], &statuses[i]);
  err = first;
out:
  for (int64_t i = 0; statuses && i < a->num_runs; i++)
    ft_status_fini(&statuses[i]);
  ft_free(statuses);
  ft_free(rows);
  return err;
}

int ft_cli_status(int argc, char **argv) {
  arguments a = {0};
  ft_cli_parse(&ft_cli_status_argp, argc, argv, &a);
  ft_err err = ft_cli_alone("status");
  if (err != FT_OK) return ft_cli_end(err);
  return (int)show(&a); /* each error has been said */
}
