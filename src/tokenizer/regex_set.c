/* Sets of code points, as character classes of regular expressions need them. */
#include "regex.h"

#include <stdlib.h>
#include <string.h>

#include "unicode.h"

void ft_code_set_fini(ft_code_set *set) {
  ft_free(set->spans);
  *set = (ft_code_set){0};
}

static ft_err append(ft_code_set *set, uint32_t first, uint32_t last) {
  if (set->count > 0 && set->spans[set->count - 1].last + 1 >= first &&
      set->spans[set->count - 1].first <= first) { /* grows the last one */
    set->spans[set->count - 1].last = FT_MAX(set->spans[set->count - 1].last, last);
    return FT_OK;
  }
  ft_err err = ft_grow(FT_MEM_TOKENIZER, set->count + 1, sizeof *set->spans, &set->capacity,
                       (void **)&set->spans);
  if (err != FT_OK) return err;
  set->spans[set->count++] = (struct ft_code_span){first, last};
  return FT_OK;
}

static int by_first(const void *a, const void *b) {
  const struct ft_code_span *x = a, *y = b;
  return (x->first > y->first) - (x->first < y->first);
}

/* Sorts and joins spans that overlap or touch. */
static void tidy(ft_code_set *set) {
  if (set->count == 0) return;
  qsort(set->spans, (size_t)set->count, sizeof *set->spans, by_first);
  int64_t kept = 0;
  for (int64_t i = 1; i < set->count; i++) {
    struct ft_code_span *last = &set->spans[kept], next = set->spans[i];
    if (next.first <= last->last + 1)
      last->last = FT_MAX(last->last, next.last);
    else
      set->spans[++kept] = next;
  }
  set->count = kept + 1;
}

ft_err ft_code_set_add(ft_code_set *set, uint32_t first, uint32_t last) {
  bool in_order = set->count == 0 || set->spans[set->count - 1].first <= first;
  ft_err err = append(set, first, last);
  if (err == FT_OK && !in_order) tidy(set);
  return err;
}

ft_err ft_code_set_unite(ft_code_set *set, const ft_code_set *other) {
  for (int64_t i = 0; i < other->count; i++) {
    ft_err err = append(set, other->spans[i].first, other->spans[i].last);
    if (err != FT_OK) return err;
  }
  tidy(set);
  return FT_OK;
}

ft_err ft_code_set_invert(ft_code_set *set) {
  ft_err err = FT_OK;
  ft_code_set inverse = {0};
  uint32_t next = 0;
  for (int64_t i = 0; i < set->count; i++) {
    if (set->spans[i].first > next) FT_TRY(append(&inverse, next, set->spans[i].first - 1));
    next = set->spans[i].last + 1;
  }
  if (next < FT_CODE_POINTS) FT_TRY(append(&inverse, next, FT_CODE_POINTS - 1));
  ft_free(set->spans);
  *set = inverse;
  inverse = (ft_code_set){0};
out:
  ft_code_set_fini(&inverse);
  return err;
}

/* A ∩ B is what neither complement holds. */
ft_err ft_code_set_intersect(ft_code_set *set, const ft_code_set *other) {
  ft_err err = FT_OK;
  ft_code_set complement = {0};
  FT_TRY(ft_code_set_unite(&complement, other));
  FT_TRY(ft_code_set_invert(&complement));
  FT_TRY(ft_code_set_invert(set));
  FT_TRY(ft_code_set_unite(set, &complement));
  FT_TRY(ft_code_set_invert(set));
out:
  ft_code_set_fini(&complement);
  return err;
}

/* ---------------------------------------------------------------- what escapes stand for */

ft_err ft_code_set_add_kind(ft_code_set *set, char kind) {
  ft_err err = FT_OK;
  ft_code_set added = {0};
  if (kind == 'h') { /* a hexadecimal digit */
    FT_TRY(append(&added, '0', '9'));
    FT_TRY(append(&added, 'A', 'F'));
    FT_TRY(append(&added, 'a', 'f'));
  } else {
    int64_t count;
    const ft_code_run *runs = ft_unicode_runs(&count);
    for (int64_t i = 0; i < count; i++) {
      bool is_in = kind == 's'   ? runs[i].is_space
                   : kind == 'w' ? runs[i].is_word
                                 : runs[i].category == UTF8PROC_CATEGORY_ND;
      if (is_in) FT_TRY(append(&added, runs[i].first, runs[i].last));
    }
  }
  FT_TRY(ft_code_set_unite(set, &added));
out:
  ft_code_set_fini(&added);
  return err;
}

/* General categories by their short names, as utf8proc numbers them; a letter alone is all that
 * begin with it. */
static const char short_names[][3] = {
    [UTF8PROC_CATEGORY_CN] = "Cn", [UTF8PROC_CATEGORY_LU] = "Lu", [UTF8PROC_CATEGORY_LL] = "Ll",
    [UTF8PROC_CATEGORY_LT] = "Lt", [UTF8PROC_CATEGORY_LM] = "Lm", [UTF8PROC_CATEGORY_LO] = "Lo",
    [UTF8PROC_CATEGORY_MN] = "Mn", [UTF8PROC_CATEGORY_MC] = "Mc", [UTF8PROC_CATEGORY_ME] = "Me",
    [UTF8PROC_CATEGORY_ND] = "Nd", [UTF8PROC_CATEGORY_NL] = "Nl", [UTF8PROC_CATEGORY_NO] = "No",
    [UTF8PROC_CATEGORY_PC] = "Pc", [UTF8PROC_CATEGORY_PD] = "Pd", [UTF8PROC_CATEGORY_PS] = "Ps",
    [UTF8PROC_CATEGORY_PE] = "Pe", [UTF8PROC_CATEGORY_PI] = "Pi", [UTF8PROC_CATEGORY_PF] = "Pf",
    [UTF8PROC_CATEGORY_PO] = "Po", [UTF8PROC_CATEGORY_SM] = "Sm", [UTF8PROC_CATEGORY_SC] = "Sc",
    [UTF8PROC_CATEGORY_SK] = "Sk", [UTF8PROC_CATEGORY_SO] = "So", [UTF8PROC_CATEGORY_ZS] = "Zs",
    [UTF8PROC_CATEGORY_ZL] = "Zl", [UTF8PROC_CATEGORY_ZP] = "Zp", [UTF8PROC_CATEGORY_CC] = "Cc",
    [UTF8PROC_CATEGORY_CF] = "Cf", [UTF8PROC_CATEGORY_CS] = "Cs", [UTF8PROC_CATEGORY_CO] = "Co",
};

/* Other names: `kind` stands for an escape's set, else `short_name` for categories. */
static const struct {
  const char *name, *short_name;
  char kind;
} long_names[] = {
    {"letter", "L", 0},
    {"mark", "M", 0},
    {"number", "N", 0},
    {"punctuation", "P", 0},
    {"symbol", "S", 0},
    {"separator", "Z", 0},
    {"other", "C", 0},
    {"uppercaseletter", "Lu", 0},
    {"lowercaseletter", "Ll", 0},
    {"titlecaseletter", "Lt", 0},
    {"modifierletter", "Lm", 0},
    {"otherletter", "Lo", 0},
    {"decimalnumber", "Nd", 0},
    {"digit", NULL, 'd'},
    {"space", NULL, 's'},
    {"whitespace", NULL, 's'},
    {"word", NULL, 'w'},
};

/* The name in lower case without spaces, hyphens and underscores. */
static void squeeze(const char *name, char out[32]) {
  size_t used = 0;
  for (; *name && used < 31; name++)
    if (*name != '_' && *name != '-' && *name != ' ')
      out[used++] = (char)(*name >= 'A' && *name <= 'Z' ? *name + 32 : *name);
  out[used] = 0;
}

/* The short name as PCRE2 writes it ("Lu", "L"), or NULL. */
static const char *category_name(const char *squeezed) {
  static const char groups[] = "L\0M\0N\0P\0S\0Z\0C";
  if (squeezed[0] && !squeezed[1]) {
    for (size_t i = 0; i < sizeof groups; i += 2)
      if (groups[i] + 32 == squeezed[0]) return groups + i;
    return NULL;
  }
  for (size_t i = 0; i < FT_ARRAY_SIZE(short_names); i++)
    if (short_names[i][0] + 32 == squeezed[0] && short_names[i][1] == squeezed[1] && !squeezed[2])
      return short_names[i];
  return NULL;
}

ft_err ft_code_set_add_property(ft_code_set *set, const char *name, const char **pcre2) {
  ft_err err = FT_OK;
  int64_t count;
  const ft_code_run *runs = ft_unicode_runs(&count);
  ft_code_set added = {0};
  char squeezed[32];
  squeeze(name, squeezed);
  const char *category = category_name(squeezed);
  *pcre2 = NULL;
  for (size_t i = 0; !category && i < FT_ARRAY_SIZE(long_names); i++) {
    if (strcmp(squeezed, long_names[i].name) != 0) continue;
    if (long_names[i].kind) return ft_code_set_add_kind(set, long_names[i].kind);
    category = long_names[i].short_name;
  }
  FT_CHECK(category, FT_ERR_DATA,
           "\\p{%s} is not supported; supported are general categories (L, Lu, Nd, …) and Digit, "
           "Space and Word",
           name);
  for (int64_t i = 0; i < count; i++) {
    const char *own = short_names[runs[i].category];
    if (own[0] == category[0] && (!category[1] || own[1] == category[1]))
      FT_TRY(append(&added, runs[i].first, runs[i].last));
  }
  FT_TRY(ft_code_set_unite(set, &added));
  *pcre2 = category;
out:
  ft_code_set_fini(&added);
  return err;
}
