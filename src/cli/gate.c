/* ftrun gate RUN --max NAME=VALUE … --min NAME=VALUE … [--step N|best|latest] */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "ft/io_kind.h"
#include "ft/report.h"
#include "ft/run.h"

/* What scripts look for. */
enum { GATE_HOLDS = 0, GATE_FAILS = 1, GATE_CANNOT_SAY = 2 };

typedef struct limit {
  char name[256];
  double value;
  bool at_most;
} limit;

typedef struct arguments {
  const char *run, *step;
  limit limits[32];
  int64_t num_limits;
} arguments;

static const struct argp_option options[] = {
    {"max", 'M', "NAME=VALUE", 0, "The number NAME may be VALUE at most; repeat for more", 0},
    {"min", 'm', "NAME=VALUE", 0, "The number NAME must be VALUE at least; repeat for more", 0},
    {"step", 's', "N|best|latest", 0, "At which step; best: of the best checkpoint (latest)", 0},
    {0}};

static void take_limit(arguments *a, struct argp_state *state, const char *text, bool at_most) {
  const char *equals = strrchr(text, '='), *option = at_most ? "--max" : "--min";
  if (a->num_limits == (int64_t)FT_ARRAY_SIZE(a->limits))
    argp_error(state, "more than %zu limits", FT_ARRAY_SIZE(a->limits));
  limit *l = &a->limits[a->num_limits];
  if (!equals || equals == text || equals - text >= (ptrdiff_t)sizeof l->name)
    argp_error(state, "%s: found \"%s\", expected NAME=VALUE (forgetting=0.05)", option, text);
  snprintf(l->name, sizeof l->name, "%.*s", (int)(equals - text), text);
  l->value = ft_cli_number(state, option, equals + 1, -1e300, 1e300);
  l->at_most = at_most;
  a->num_limits++;
}

static error_t take(int key, char *argument, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
  case 'M':
  case 'm':
    take_limit(a, state, argument, key == 'M');
    return 0;
  case 's':
    a->step = argument;
    return 0;
  case ARGP_KEY_ARG:
    if (a->run) argp_error(state, "one run is expected; \"%s\" is a second", argument);
    a->run = argument;
    return 0;
  case ARGP_KEY_END:
    if (!a->run) argp_error(state, "the run directory is missing");
    if (a->num_limits == 0) argp_error(state, "no --max and no --min is given");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

const struct argp ft_cli_gate_argp = {
    .options = options,
    .parser = take,
    .args_doc = "RUN --max NAME=VALUE … --min NAME=VALUE …",
    .doc = "Says whether a run's numbers are good enough, for scripts. Names: forgetting (the "
           "largest rise of a validation set's loss since step 0, in nats), SET.loss, "
           "SET.perplexity, SET.forgetting and whatever else was measured on a validation set, and "
           "the columns of training (loss, grad_norm, …).\v"
           "Exit status: 0 all limits hold, 1 one does not, 2 it cannot be said (there is no such "
           "number, no such run, or the command line is wrong)."};

/* -1: latest. */
static ft_err find_step(const arguments *a, int64_t *step) {
  ft_err err = FT_OK;
  char *end;
  *step = -1;
  if (!a->step || strcmp(a->step, "latest") == 0) return FT_OK;
  if (strcmp(a->step, "best") == 0) return ft_run_read_best(a->run, step);
  *step = strtoll(a->step, &end, 10);
  FT_CHECK(*a->step && !*end && *step >= 0, FT_ERR_USAGE,
           "--step: found \"%s\", expected a step, best or latest", a->step);
out:
  return err;
}

static ft_err judge(const arguments *a, bool *holds) {
  ft_err err = FT_OK;
  int64_t wanted;
  ft_history history = {0};
  *holds = true;
  FT_CHECK(ft_path_exists(a->run), FT_ERR_NOINPUT, "%s: there is no such run directory", a->run);
  FT_TRY(ft_kind_check(a->run, FT_WANT_RUN));
  FT_TRY(find_step(a, &wanted));
  FT_TRY(ft_history_read(a->run, &history));
  for (int64_t i = 0; i < a->num_limits; i++) {
    const limit *l = &a->limits[i];
    int64_t step = wanted;
    double value;
    FT_TRY(ft_gate_value(&history, l->name, &step, &value));
    bool good = l->at_most ? value <= l->value : value >= l->value;
    printf("%s  %s is %.6g at step %lld; at %s %.6g is asked for\n", good ? "holds" : "FAILS",
           l->name, value, (long long)step, l->at_most ? "most" : "least", l->value);
    *holds &= good;
  }
out:
  ft_history_fini(&history);
  return err;
}

int ft_cli_gate(int argc, char **argv) {
  arguments a = {0};
  bool holds = false;
  argp_err_exit_status = GATE_CANNOT_SAY;
  ft_cli_parse(&ft_cli_gate_argp, argc, argv, &a);
  ft_err err = ft_cli_alone("gate");
  if (err == FT_OK) err = judge(&a, &holds);
  ft_cli_end(err);
  return err != FT_OK ? GATE_CANNOT_SAY : holds ? GATE_HOLDS : GATE_FAILS;
}
