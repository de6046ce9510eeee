/* Inside report: one picture of curves as SVG. */
#ifndef FT_REPORT_PLOT_H
#define FT_REPORT_PLOT_H

#include "curve.h"

/* Sizes in pixels of the picture's own; a page scales it. */
enum { PLOT_WIDTH = 480, PLOT_HEIGHT = 290, PLOT_LEFT = 52, PLOT_RIGHT = 12, PLOT_TOP = 26 };
enum {
  PLOT_COLUMNS = PLOT_WIDTH - PLOT_LEFT - PLOT_RIGHT,
  PLOT_NUM_COLOURS = 8,
  PLOT_PLAIN_COLOUR = 6
};

typedef struct plot_series {
  char *name; /* owned, as is nothing else */
  int colour; /* a run or a set keeps its colour through all pictures */
  curve curve;
  int64_t best; /* the value to point out; -1: none */
} plot_series;

/* Something that happened at a step: drawn from top to bottom. */
typedef struct plot_event {
  double x;
  int colour;
} plot_event;

typedef struct plot {
  const char *id, *title, *unit; /* unit: of y, in words */
  double last_x; /* the axis of x goes there at least, so that pictures of one page have the same */
  bool logarithmic;
  bool zero;  /* 0 is on the axis: what is compared are sizes */
  bool noisy; /* many values that scatter: their range is drawn pale, their mean strong */
  plot_series *series;
  int64_t num_series;
  const plot_event *events; /* borrowed */
  int64_t num_events;
} plot;

/* The picture alone, for a page whose style sheet has the colours (ft_plot_colours). */
void ft_plot_inline(FILE *out, const plot *p);
/* A file that stands alone: with title, legend and colours. */
void ft_plot_file(FILE *out, const plot *p);
/* The style sheet's part that pictures need: colours of lines and text, light and dark. */
void ft_plot_colours(FILE *out);
/* The symbol of a series in a legend: a short piece of its line. */
void ft_plot_symbol(FILE *out, int colour);
/* The most values that stand in one mean, and whether some picture columns show several values. */
int64_t ft_plot_window(const plot *p);
bool ft_plot_is_thinned(const plot *p);

#endif
