/* Inside tokenizer: regular expressions in the dialect of tokenizer.json (Oniguruma's Ruby syntax),
 * matched by PCRE2. A pattern is translated to PCRE2's dialect; what means something else there and
 * cannot be said is refused by name. */
#ifndef FT_TOKENIZER_REGEX_H
#define FT_TOKENIZER_REGEX_H

#include "ft/base.h"

typedef struct ft_regex ft_regex;

/* Errors: FT_ERR_DATA with what is wrong or not supported; FT_ERR_MEMORY. */
ft_err ft_regex_compile(const char *pattern, ft_regex **out);
void ft_regex_free(ft_regex *regex);
/* The pattern as it was given. Borrowed. */
const char *ft_regex_pattern(const ft_regex *regex);

/* What matching needs besides the regex: one for each thread at a time. */
typedef struct ft_regex_scratch ft_regex_scratch;
ft_err ft_regex_scratch_new(ft_regex_scratch **out);
void ft_regex_scratch_free(ft_regex_scratch *scratch);

/* The matches of a regex in a text, from left to right, not overlapping. */
typedef struct ft_regex_matches {
  const ft_regex *regex;
  ft_regex_scratch *scratch;
  const char *text; /* [bytes] valid UTF-8 */
  size_t bytes;
  bool unusual;          /* the text may hold code points that ft_unicode_is_unusual */
  size_t from, last_end; /* progress: start as 0 and SIZE_MAX */
} ft_regex_matches;

/* The next match (it may be empty); *found is false after the last. */
ft_err ft_regex_next(ft_regex_matches *m, size_t *start, size_t *end, bool *found);

/* ---------------------------------------------------------------- inside regex*.c */

/* A set of code points: sorted ranges that do not touch. Starts zeroed. */
typedef struct ft_code_set {
  struct ft_code_span {
    uint32_t first, last;
  } * spans;
  int64_t count, capacity;
} ft_code_set;
void ft_code_set_fini(ft_code_set *set);
/* Sets in a pattern are built by these. Errors: FT_ERR_MEMORY. */
ft_err ft_code_set_add(ft_code_set *set, uint32_t first, uint32_t last);
ft_err ft_code_set_unite(ft_code_set *set, const ft_code_set *other);
ft_err ft_code_set_intersect(ft_code_set *set, const ft_code_set *other);
ft_err ft_code_set_invert(ft_code_set *set);

/* Adds what \s, \w, \d, \h (kind 's' 'w' 'd' 'h') stand for. */
ft_err ft_code_set_add_kind(ft_code_set *set, char kind);
/* Adds a \p{NAME}: a general category by short or long name, or a common POSIX name. *pcre2 is how
 * PCRE2 names the same as of its version of Unicode, or NULL. Errors: FT_ERR_DATA for other names.
 */
ft_err ft_code_set_add_property(ft_code_set *set, const char *name, const char **pcre2);

/* A growing string (regex_text.c). */
typedef struct ft_regex_text {
  char *text; /* [length + 1] */
  size_t length, capacity;
} ft_regex_text;
ft_err ft_regex_put(ft_regex_text *t, const char *s, size_t bytes);
void ft_regex_text_fini(ft_regex_text *t);
/* Puts a code point as PCRE2 reads it literally, inside a class or not. */
ft_err ft_regex_put_code(ft_regex_text *t, uint32_t code);
/* Puts [ranges] or, negated, [^ranges]. */
ft_err ft_regex_put_set(ft_regex_text *t, const ft_code_set *set, bool negated);

/* The pattern in PCRE2's dialect, twice: `quick` uses PCRE2's own properties (right for text
 * without unusual code points), `exact` spells every set out; equal strings where nothing differs.
 */
ft_err ft_regex_translate(const char *pattern, ft_regex_text *quick, ft_regex_text *exact);

/* What the translation of a pattern (regex_translate.c) and of its bracketed classes
 * (regex_class.c) share. */
typedef struct ft_regex_parser {
  const char *pattern, *at; /* valid UTF-8, ends with a zero */
  bool caseless;            /* inside (?i) */
} ft_regex_parser;
/* Reads an escape that stands for one code point; at the backslash. *code is -1 if it does not. */
ft_err ft_regex_escape_code(ft_regex_parser *p, int64_t *code);
/* Reads \p{…} or \P{…} into set; at the backslash. *negated as written; *pcre2 as above. */
ft_err ft_regex_property(ft_regex_parser *p, ft_code_set *set, bool *negated, const char **pcre2);
/* Reads a bracketed class; at '['. */
ft_err ft_regex_class(ft_regex_parser *p, ft_regex_text *quick, ft_regex_text *exact);
/* A refusal that shows the pattern and where in it. */
ft_err ft_regex_refuse(const ft_regex_parser *p, const char *what);

#endif
