/* Inside report: how the page looks, and its one script. */
#ifndef FT_REPORT_STYLE_H
#define FT_REPORT_STYLE_H

/* Style sheet beside ft_plot_colours. */
extern const char ft_report_style[];
/* Shows the values under the pointer; without it the page lacks nothing else. */
extern const char ft_report_script[];

#endif
