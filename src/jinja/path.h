/* Inside jinja: the argument `attribute` of many filters, "a.b.0", or a number. */
#ifndef FT_JINJA_PATH_H
#define FT_JINJA_PATH_H

#include "state.h"

typedef struct ft_jinja_path {
  ft_jinja_value keys[16];
  int count;
  bool ignores_case;
  const ft_jinja_value *missing; /* instead of undefined; NULL: none */
} ft_jinja_path;

/* attribute: none makes the empty path, the value itself. */
ft_err ft_jinja_path_of(ft_jinja_state *s, ft_jinja_value attribute, ft_jinja_path *out);
/* The value at the end of the path; strings in lower case if it ignores case. */
ft_err ft_jinja_path_follow(ft_jinja_state *s, const ft_jinja_path *p, ft_jinja_value v,
                            ft_jinja_value *out);
/* A string in lower case, anything else as it is. */
ft_err ft_jinja_path_lower(ft_jinja_state *s, ft_jinja_value v, ft_jinja_value *out);

#endif
