/* ftrun report RUN [RUN …] [--out FILE] [--svg DIR] [--csv FILE] */
#include "ft/report.h"

#include <string.h>

#include "commands.h"
#include "common.h"

typedef struct arguments {
  char *runs[FT_REPORT_MAX_RUNS + 1]; /* one more than there may be: that is refused by name */
  int64_t num_runs;
  const char *out, *svg, *csv;
} arguments;

static const struct argp_option options[] = {
    {"out", 'o', "FILE", 0, "Where the page is written; - is standard output (report.html)", 0},
    {"svg", 's', "DIR", 0, "Also write each picture to DIR as an SVG file", 0},
    {"csv", 'c', "FILE", 0, "Also write all numbers to FILE; - is standard output", 0},
    {0}};

static error_t take(int key, char *argument, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
  case 'o':
    a->out = argument;
    return 0;
  case 's':
    a->svg = argument;
    return 0;
  case 'c':
    a->csv = argument;
    return 0;
  case ARGP_KEY_ARG:
    if (a->num_runs <= FT_REPORT_MAX_RUNS) a->runs[a->num_runs++] = argument;
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_error(state, "the run directory is missing");
    return EINVAL;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

const struct argp ft_cli_report_argp = {
    .options = options,
    .parser = take,
    .args_doc = "RUN [RUN …]",
    .doc =
        "Writes one HTML page of a run: curves of loss, validation, forgetting, rates, speed and "
        "memory, every evaluation, the configuration and where it ran. Several runs are laid "
        "over each other, with what differs between them. The page needs no network."};

static ft_err write_report(const arguments *a) {
  ft_err err = FT_OK;
  ft_report *report = NULL;
  FT_CHECK(!a->csv || strcmp(a->csv, "-") != 0 || strcmp(a->out, "-") != 0, FT_ERR_USAGE,
           "report: --out - and --csv - would write the page and the numbers into each other");
  FT_TRY(ft_report_open(a->runs, a->num_runs, &report));
  FT_TRY(ft_report_write_page(report, a->out));
  if (a->svg) FT_TRY(ft_report_write_pictures(report, a->svg));
  if (a->csv) FT_TRY(ft_report_write_csv(report, a->csv));
  if (strcmp(a->out, "-") != 0) ft_log(FT_LOG_INFO, "the report is in %s", a->out);
out:
  ft_report_free(report);
  return err;
}

int ft_cli_report(int argc, char **argv) {
  arguments a = {.out = "report.html"};
  ft_cli_parse(&ft_cli_report_argp, argc, argv, &a);
  ft_err err = ft_cli_alone("report");
  return ft_cli_end(err == FT_OK ? write_report(&a) : err);
}
