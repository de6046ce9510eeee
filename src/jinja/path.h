/* Inside jinja: the argument `attribute` of many filters, "a.b.0", or a number. */
#ifndef FT_JINJA_PATH_H
#define FT_JINJA_PATH_H

#include "state.h"

typedef struct jinja_path {
  jinja_value keys[16];
  int count;
  bool ignores_case;
  const jinja_value *missing; /* instead of undefined; NULL: none */
} jinja_path;

/* attribute: none makes the empty path, the value itself. */
ft_err jinja_path_of(jinja_state *s, jinja_value attribute, jinja_path *out);
/* The value at the end of the path; strings in lower case if it ignores case. */
ft_err jinja_path_follow(jinja_state *s, const jinja_path *p, jinja_value v, jinja_value *out);
/* A string in lower case, anything else as it is. */
ft_err jinja_path_lower(jinja_state *s, jinja_value v, jinja_value *out);

#endif
