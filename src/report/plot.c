/* One picture of curves as SVG: axes, curves, what happened on the way, and words for those who do
 * not see it. */
#include "plot.h"

#include <math.h>
#include <string.h>

#include "scale.h"
#include "text.h"

enum { BOTTOM = 38, MAX_MARKERS = 40, HEAD = 30, LEGEND_LINE = 20 };

typedef struct axes {
  scale x, y;
} axes;

/* ---------------------------------------------------------------- colours
 * Okabe and Ito's set (Color Universal Design, 2008), which the usual kinds of colour blindness
 * tell apart, darkened for thin lines on white and lightened for dark pages. Lines differ by their
 * dashes, too, for those who print in grey. */

static const struct {
  const char *light, *dark, *dashes;
} colours[PLOT_NUM_COLOURS] = {
    {"#0068a8", "#58b4ec", "none"},    {"#c65200", "#f08a3c", "7 3"},
    {"#00805d", "#2fc298", "2.5 2.5"}, {"#a8487f", "#e39bc6", "9 3 2.5 3"},
    {"#8a6a00", "#e6c229", "14 4"},    {"#5a4fcf", "#a99ff5", "4 2 4 6"},
    {"#5f5f5f", "#b9b9b9", "1.5 3.5"}, {"#a33a2c", "#f2887a", "12 3 2.5 3 2.5 3"}};

static void put_colours(FILE *out, bool dark) {
  for (int i = 0; i < PLOT_NUM_COLOURS; i++)
    fprintf(out, "--c%d:%s;", i, dark ? colours[i].dark : colours[i].light);
  fputs(dark ? "--ink:#e6e6e6;--faint:#a2a7ad;--grid:#33383e;--paper:#16191c;"
             : "--ink:#1b1f23;--faint:#5b636b;--grid:#dfe3e7;--paper:#ffffff;",
        out);
}

void ft_plot_colours(FILE *out) {
  fputs(":root{color-scheme:light dark;", out);
  put_colours(out, false);
  fputs("}\n@media screen and (prefers-color-scheme:dark){:root{", out);
  put_colours(out, true);
  fputs("}}\n"
        ".plot text{font:13px system-ui,sans-serif;fill:var(--faint)}\n"
        ".plot .grid{stroke:var(--grid);stroke-width:1}\n"
        ".plot .axis{stroke:var(--faint);stroke-width:1}\n"
        ".plot .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:butt}\n"
        ".plot .pale{fill:none;stroke-width:1;opacity:.38}\n"
        ".plot .range{stroke:none;opacity:.24}\n"
        ".plot .event{stroke-width:1.2;stroke-dasharray:2 3}\n"
        ".plot .dot{stroke:var(--paper);stroke-width:1}\n"
        ".plot .best{fill:var(--paper);stroke-width:2.2}\n",
        out);
}

void ft_plot_symbol(FILE *out, int colour) {
  fprintf(out,
          "<svg class=\"symbol\" width=\"30\" height=\"10\" aria-hidden=\"true\"><line x1=\"0\" "
          "y1=\"5\" x2=\"30\" y2=\"5\" stroke=\"var(--c%d)\" stroke-width=\"3\" "
          "stroke-dasharray=\"%s\"/></svg>",
          colour, colours[colour].dashes);
}

/* ---------------------------------------------------------------- axes */

static void make_x(const plot *p, scale *x) {
  double low = INFINITY, high = -INFINITY;
  for (int64_t i = 0; i < p->num_series; i++) {
    const curve *c = &p->series[i].curve;
    if (c->count == 0) continue;
    low = FT_MIN(low, c->x[0]);
    high = FT_MAX(high, c->x[c->count - 1]);
  }
  if (!(low <= high)) low = high = 0;
  high = FT_MAX(high, p->last_x);
  if (low >= 0 && low <= 0.05 * high) low = 0;
  ft_scale_linear(x, low, high, 6, false);
  ft_scale_place(x, PLOT_LEFT, PLOT_WIDTH - PLOT_RIGHT);
}

static void make_y(const plot *p, scale *y) {
  double low = INFINITY, high = -INFINITY;
  for (int64_t i = 0; i < p->num_series; i++) {
    double l, h;
    if (!ft_curve_range(&p->series[i].curve, &l, &h)) continue;
    low = FT_MIN(low, l);
    high = FT_MAX(high, h);
  }
  if (!(low <= high)) low = high = 0;
  if (p->logarithmic && low > 0) {
    ft_scale_logarithmic(y, low / 1.1, high * 1.1, 5);
  } else {
    double room = 0.05 * (high - low);
    bool from_zero = p->zero && low >= 0, to_zero = p->zero && high <= 0;
    ft_scale_linear(y, from_zero ? 0 : low - room, to_zero ? 0 : high + room, 5, true);
  }
  ft_scale_place(y, PLOT_HEIGHT - BOTTOM, PLOT_TOP);
}

/* "×10⁻⁶ " of labels that are divided by it. */
static void put_power(FILE *out, int exponent) {
  static const char *const digits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  char text[16];
  if (exponent == 0) return;
  snprintf(text, sizeof text, "%d", exponent);
  fputs(", ×10", out);
  for (const char *c = text; *c; c++)
    fputs(*c == '-' ? "⁻" : digits[*c - '0'], out);
}

static void put_axes(FILE *out, const plot *p, const axes *a) {
  const int bottom = PLOT_HEIGHT - BOTTOM, right = PLOT_WIDTH - PLOT_RIGHT;
  for (int i = 0; i < a->y.num_ticks; i++) {
    double y = ft_scale_pixel(&a->y, a->y.ticks[i]);
    fprintf(out,
            "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
            "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
            PLOT_LEFT, right, y, y, PLOT_LEFT - 6, y + 4.5, a->y.labels[i]);
  }
  for (int i = 0; i < a->x.num_ticks; i++) {
    double x = ft_scale_pixel(&a->x, a->x.ticks[i]);
    const char *anchor = x > right - 12 ? "end" : "middle";
    fprintf(out,
            "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
            "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%s</text>\n",
            x, x, bottom, bottom + 4, FT_MIN(x, right), bottom + 18, anchor, a->x.labels[i]);
  }
  fprintf(out,
          "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>"
          "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">step</text>"
          "<text x=\"0\" y=\"12\">",
          PLOT_LEFT, right, bottom, bottom, (PLOT_LEFT + right) / 2, PLOT_HEIGHT - 4);
  ft_text_escaped(out, p->unit);
  put_power(out, a->y.exponent);
  fputs(a->y.logarithmic ? ", logarithmic</text>\n" : "</text>\n", out);
}

/* ---------------------------------------------------------------- curves */

/* Points of one line. A number that is missing interrupts it. */
typedef struct pen {
  FILE *out;
  const axes *axes;
  bool down;
} pen;

static void draw_to(pen *p, double x, double y) {
  if (!isfinite(y)) {
    p->down = false;
    return;
  }
  fprintf(p->out, "%c%.1f %.1f", p->down ? 'L' : 'M', ft_scale_pixel(&p->axes->x, x),
          ft_scale_pixel(&p->axes->y, y));
  p->down = true;
}

static void begin_line(FILE *out, const char *class, const plot_series *s) {
  fprintf(out, "<path class=\"%s\" stroke=\"var(--c%d)\" stroke-dasharray=\"%s\" d=\"", class,
          s->colour, strcmp(class, "line") == 0 ? colours[s->colour].dashes : "none");
}

/* Every value. */
static void put_whole(FILE *out, const axes *a, const plot_series *s, const char *class) {
  pen p = {.out = out, .axes = a};
  begin_line(out, class, s);
  for (int64_t i = 0; i < s->curve.count; i++)
    draw_to(&p, s->curve.x[i], s->curve.y[i]);
  fputs("\"/>\n", out);
}

/* The lowest and the highest value of each column, as a line. */
static void put_extremes(FILE *out, const axes *a, const plot_series *s,
                         const curve_column columns[PLOT_COLUMNS]) {
  pen p = {.out = out, .axes = a};
  begin_line(out, "line", s);
  for (int k = 0; k < PLOT_COLUMNS; k++) {
    const curve_column *c = &columns[k];
    if (c->count == 0) continue;
    bool low_first = c->low_x <= c->high_x;
    draw_to(&p, low_first ? c->low_x : c->high_x, low_first ? c->low : c->high);
    if (c->low_x != c->high_x)
      draw_to(&p, low_first ? c->high_x : c->low_x, low_first ? c->high : c->low);
  }
  fputs("\"/>\n", out);
}

/* The lowest and the highest value of each column, as an area. */
static void put_range(FILE *out, const axes *a, const plot_series *s,
                      const curve_column columns[PLOT_COLUMNS]) {
  pen p = {.out = out, .axes = a};
  fprintf(out, "<path class=\"range\" fill=\"var(--c%d)\" d=\"", s->colour);
  for (int k = 0; k < PLOT_COLUMNS; k++)
    if (columns[k].count) draw_to(&p, columns[k].mean_x, columns[k].high);
  for (int k = PLOT_COLUMNS - 1; k >= 0; k--)
    if (columns[k].count) draw_to(&p, columns[k].mean_x, columns[k].low);
  fputs("Z\"/>\n", out);
}

static void put_mean(FILE *out, const axes *a, const plot_series *s,
                     const curve_column columns[PLOT_COLUMNS]) {
  pen p = {.out = out, .axes = a};
  begin_line(out, "line", s);
  for (int k = 0; k < PLOT_COLUMNS; k++)
    if (columns[k].count) draw_to(&p, columns[k].mean_x, columns[k].mean);
  fputs("\"/>\n", out);
}

static void put_markers(FILE *out, const axes *a, const plot_series *s) {
  if (s->curve.count > MAX_MARKERS) return;
  for (int64_t i = 0; i < s->curve.count; i++)
    if (isfinite(s->curve.y[i]))
      fprintf(out, "<circle class=\"dot\" fill=\"var(--c%d)\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>",
              s->colour, ft_scale_pixel(&a->x, s->curve.x[i]),
              ft_scale_pixel(&a->y, s->curve.y[i]));
  fputc('\n', out);
}

/* Whether the picture has not the room for each value of a series. */
static bool is_thinned(const plot *p, const plot_series *s) {
  return s->curve.count > (p->noisy ? 1 : 2) * PLOT_COLUMNS;
}

static void put_series(FILE *out, const plot *p, const axes *a, const plot_series *s) {
  curve_column columns[PLOT_COLUMNS];
  int64_t window = p->noisy ? ft_curve_window(s->curve.count) : 1;
  ft_curve_columns(&s->curve, a->x.low, a->x.high, window, PLOT_COLUMNS, columns);
  if (!is_thinned(p, s) && window == 1) {
    put_whole(out, a, s, "line");
    if (!p->noisy) put_markers(out, a, s);
  } else if (!p->noisy) {
    put_extremes(out, a, s, columns);
  } else {
    if (is_thinned(p, s))
      put_range(out, a, s, columns);
    else
      put_whole(out, a, s, "pale");
    put_mean(out, a, s, columns);
  }
}

static void put_best(FILE *out, const axes *a, const plot_series *s) {
  if (s->best < 0) return;
  fprintf(out, "<circle class=\"best\" stroke=\"var(--c%d)\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>\n",
          s->colour, ft_scale_pixel(&a->x, s->curve.x[s->best]),
          ft_scale_pixel(&a->y, s->curve.y[s->best]));
}

static void put_curves(FILE *out, const plot *p, const axes *a) {
  for (int64_t i = 0; i < p->num_events; i++) {
    double x = ft_scale_pixel(&a->x, p->events[i].x);
    fprintf(out,
            "<line class=\"event\" stroke=\"var(--c%d)\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" "
            "y2=\"%d\"/>\n",
            p->events[i].colour, x, x, PLOT_TOP, PLOT_HEIGHT - BOTTOM);
  }
  for (int64_t i = 0; i < p->num_series; i++)
    put_series(out, p, a, &p->series[i]);
  for (int64_t i = 0; i < p->num_series; i++)
    put_best(out, a, &p->series[i]);
}

/* ---------------------------------------------------------------- in words */

/* The first, lowest, highest and last value of each series. */
static void put_description(FILE *out, const plot *p) {
  for (int64_t i = 0; i < p->num_series; i++) {
    const plot_series *s = &p->series[i];
    char a[TEXT_NUMBER_BYTES], b[TEXT_NUMBER_BYTES], c[TEXT_NUMBER_BYTES], d[TEXT_NUMBER_BYTES];
    double low, high;
    ft_text_escaped(out, s->name);
    if (!ft_curve_range(&s->curve, &low, &high)) {
      fputs(": no values. ", out);
      continue;
    }
    fprintf(out, ": %lld values, first %s, lowest %s, highest %s, last %s. ",
            (long long)s->curve.count, ft_text_number(s->curve.y[0], a), ft_text_number(low, b),
            ft_text_number(high, c), ft_text_number(s->curve.y[s->curve.count - 1], d));
  }
}

static void put_words(FILE *out, const plot *p) {
  fprintf(out, "<title id=\"%s-title\">", p->id);
  ft_text_escaped(out, p->title);
  fprintf(out, "</title><desc id=\"%s-text\">", p->id);
  put_description(out, p);
  fputs("</desc>\n", out);
}

int64_t ft_plot_window(const plot *p) {
  int64_t window = 1;
  for (int64_t i = 0; p->noisy && i < p->num_series; i++)
    window = FT_MAX(window, ft_curve_window(p->series[i].curve.count));
  return window;
}

bool ft_plot_is_thinned(const plot *p) {
  for (int64_t i = 0; i < p->num_series; i++)
    if (is_thinned(p, &p->series[i])) return true;
  return false;
}

/* ---------------------------------------------------------------- whole pictures */

/* What a page's script needs to turn a place in the picture into a step and values. */
static void put_scale(FILE *out, const char *name, const scale *s) {
  fprintf(out, " data-%s=\"%.17g %.17g %.6g %.6g %d\"", name, s->low, s->high, s->low_pixel,
          s->low_pixel + s->pixels, s->logarithmic);
}

void ft_plot_inline(FILE *out, const plot *p) {
  axes a;
  make_x(p, &a.x);
  make_y(p, &a.y);
  fprintf(out,
          "<svg class=\"plot\" viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"%s-title\" "
          "aria-describedby=\"%s-text\"",
          PLOT_WIDTH, PLOT_HEIGHT, p->id, p->id);
  put_scale(out, "x", &a.x);
  put_scale(out, "y", &a.y);
  fputs(">\n", out);
  put_words(out, p);
  put_axes(out, p, &a);
  put_curves(out, p, &a);
  fputs("</svg>\n", out);
}

static void put_legend(FILE *out, const plot *p) {
  for (int64_t i = 0; i < p->num_series; i++) {
    int y = HEAD + (int)i * LEGEND_LINE;
    const plot_series *s = &p->series[i];
    fprintf(out,
            "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" stroke=\"var(--c%d)\" "
            "stroke-width=\"3\" stroke-dasharray=\"%s\"/><text x=\"%d\" y=\"%d\">",
            PLOT_LEFT, PLOT_LEFT + 30, y + 8, y + 8, s->colour, colours[s->colour].dashes,
            PLOT_LEFT + 38, y + 12);
    ft_text_escaped(out, s->name);
    fputs("</text>\n", out);
  }
}

void ft_plot_file(FILE *out, const plot *p) {
  axes a;
  int above = HEAD + (int)p->num_series * LEGEND_LINE;
  int width = PLOT_WIDTH + 16, height = PLOT_HEIGHT + above + 16;
  make_x(p, &a.x);
  make_y(p, &a.y);
  fprintf(out,
          "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
          "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" width=\"%d\" height=\"%d\" "
          "viewBox=\"-8 -8 %d %d\" role=\"img\" aria-labelledby=\"%s-title\" "
          "aria-describedby=\"%s-text\">\n",
          2 * width, 2 * height, width, height, p->id, p->id);
  put_words(out, p);
  fputs("<style>\n", out);
  ft_plot_colours(out);
  fprintf(out,
          "</style>\n<rect x=\"-8\" y=\"-8\" width=\"%d\" height=\"%d\" fill=\"var(--paper)\"/>\n"
          "<text x=\"0\" y=\"14\" style=\"font-weight:600;font-size:15px;fill:var(--ink)\">",
          width, height);
  ft_text_escaped(out, p->title);
  fputs("</text>\n", out);
  put_legend(out, p);
  fprintf(out, "<g transform=\"translate(0 %d)\">\n", above);
  put_axes(out, p, &a);
  put_curves(out, p, &a);
  fputs("</g>\n</svg>\n", out);
}
