/* The page: headings, pictures with their legends, tables. */
#include <string.h>
#include <time.h>

#include "internal.h"
#include "style.h"
#include "text.h"

/* ---------------------------------------------------------------- pictures */

/* A single line that is what the heading says needs no name. */
static bool says_nothing(const plot *p) {
  const plot_series *s = p->series;
  return p->num_series == 1 && s->best < 0 && strcmp(s->name, p->title) == 0;
}

static void put_legend(FILE *out, const plot *p) {
  char value[TEXT_NUMBER_BYTES], step[TEXT_NUMBER_BYTES];
  fputs(says_nothing(p) ? "<ul class=\"legend\" hidden>" : "<ul class=\"legend\">", out);
  for (int64_t i = 0; i < p->num_series; i++) {
    const plot_series *s = &p->series[i];
    fputs("<li>", out);
    ft_plot_symbol(out, s->colour);
    fputs("<span><span class=\"name\">", out);
    ft_text_escaped(out, s->name);
    fputs("</span>", out);
    if (s->best >= 0)
      fprintf(out, " <span class=\"note\">○ best: %s at step %s</span>",
              ft_text_number(s->curve.y[s->best], value),
              ft_text_count((int64_t)s->curve.x[s->best], step));
    fputs("</span></li>", out);
  }
  fputs("</ul>\n", out);
}

/* What the lines are, where they are not simply the values. */
static void put_reading(FILE *out, const plot *p) {
  int64_t window = ft_plot_window(p);
  bool thinned = ft_plot_is_thinned(p);
  if (window == 1 && !thinned) return;
  fputs("<figcaption class=\"note\">", out);
  if (window > 1)
    fprintf(out, "Line: mean of the %lld steps around. Pale: %s.", (long long)window,
            thinned ? "from the lowest to the highest value in each of the picture's columns"
                    : "every value");
  else
    fputs("There are more values than the picture has columns: it shows the lowest and the "
          "highest of each.",
          out);
  fputs("</figcaption>\n", out);
}

static void put_figures(FILE *out, const ft_report *r) {
  const char *section = "";
  for (int64_t i = 0; i < r->num_figures; i++) {
    const report_figure *f = &r->figures[i];
    if (strcmp(section, f->section) != 0) {
      if (*section) fputs("</div></section>\n", out);
      section = f->section;
      fprintf(out, "<section><h2 id=\"%s\">%s</h2>\n<div class=\"figures\">\n", f->id + 7, section);
    }
    fputs("<figure><h3>", out);
    ft_text_escaped(out, f->title);
    fputs("</h3>\n", out);
    put_legend(out, &f->plot);
    ft_plot_inline(out, &f->plot);
    put_reading(out, &f->plot);
    fputs("</figure>\n", out);
  }
  if (*section) fputs("</div></section>\n", out);
}

/* ---------------------------------------------------------------- head */

static void put_names(FILE *out, const ft_report *r) {
  for (int64_t i = 0; i < r->num_runs; i++) {
    if (i) fputs(i + 1 < r->num_runs ? ", " : " and ", out);
    ft_text_escaped(out, r->runs[i].name);
  }
}

static void put_links(FILE *out, const ft_report *r) {
  const char *section = "";
  fputs("<nav aria-label=\"Sections\">", out);
  for (int64_t i = 0; i < r->num_figures; i++) {
    if (strcmp(section, r->figures[i].section) == 0) continue;
    section = r->figures[i].section;
    fprintf(out, "<a href=\"#%s\">%s</a>", r->figures[i].id + 7, section);
  }
  fputs("<a href=\"#usage\">Memory and time</a><a href=\"#numbers\">Numbers</a><a "
        "href=\"#configuration\">Configuration</a>"
        "<a href=\"#environment\">Environment</a></nav>\n",
        out);
}

static void put_head(FILE *out, const ft_report *r) {
  char day[64];
  time_t now = time(NULL);
  struct tm parts;
  strftime(day, sizeof day, "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &parts));
  fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';"
        "style-src 'unsafe-inline';script-src 'unsafe-inline'\">\n<title>",
        out);
  put_names(out, r);
  fputs(" – ftrun report</title>\n<style>\n", out);
  ft_plot_colours(out);
  fprintf(out, "%s</style></head>\n<body>\n<header><h1>", ft_report_style);
  put_names(out, r);
  fprintf(out, "</h1>\n<p class=\"note\">Report of %lld training run%s, made %s by ftrun</p>\n",
          (long long)r->num_runs, r->num_runs == 1 ? "" : "s", day);
  put_links(out, r);
  fputs("</header>\n<main>\n", out);
}

static void put_page(FILE *out, const void *arg) {
  const ft_report *r = arg;
  put_head(out, r);
  ft_report_put_overview(out, r);
  put_figures(out, r);
  if (r->num_events)
    fputs("<p class=\"note\">Dotted lines from top to bottom: a run was resumed there.</p>\n", out);
  ft_report_put_usage(out, r);
  ft_report_put_numbers(out, r);
  ft_report_put_samples(out, r);
  ft_report_put_configurations(out, r);
  ft_report_put_environments(out, r);
  fprintf(out, "</main>\n<script>\n%s</script>\n</body></html>\n", ft_report_script);
}

ft_err ft_report_write_page(const ft_report *r, const char *path) {
  return ft_report_write(path, put_page, r);
}
