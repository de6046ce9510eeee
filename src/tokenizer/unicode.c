/* Character classes: utf8proc's tables, corrected to the versions of Unicode that Hugging
 * Face's tokenizers were built with. */
#include "unicode.h"

#include <pthread.h>
#include <string.h>

#include "unicode_tables.h"

bool ft_unicode_check(const char *text, size_t bytes, size_t *at, bool *unusual) {
  *unusual = false;
  for (size_t i = 0; i < bytes;) {
    uint64_t word;
    if (bytes - i >= sizeof word) { /* eight ASCII bytes at once */
      memcpy(&word, text + i, sizeof word);
      if (!(word & 0x8080808080808080u)) {
        i += sizeof word;
        continue;
      }
    }
    size_t valid, length = ft_utf8_next(text + i, bytes - i, &valid);
    if (length == 0) {
      *at = i;
      return false;
    }
    if (length > 1 && !*unusual) {
      size_t same;
      *unusual = ft_unicode_is_unusual(ft_utf8_decode(text + i, &same));
    }
    i += length;
  }
  return true;
}

/* Index of the range that holds code, or -1. Every table's elements begin with first, last. */
static int64_t find(const void *table, size_t count, size_t size, uint32_t code) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    ft_code_range range;
    memcpy(&range, (const char *)table + middle * size, sizeof range);
    if (code < range.first)
      high = middle;
    else if (code > range.last)
      low = middle + 1;
    else
      return (int64_t)middle;
  }
  return -1;
}
#define FIND(table, code) find(table, FT_ARRAY_SIZE(table), sizeof(table)[0], code)

static int64_t find_changed(uint32_t code) {
  return code < categories_since_14[0].first ? -1 : FIND(categories_since_14, code);
}

static utf8proc_category_t category_of(uint32_t code) {
  int64_t changed = find_changed(code);
  if (changed >= 0) return categories_since_14[changed].category;
  return utf8proc_category((utf8proc_int32_t)code);
}

bool ft_unicode_is_unusual(uint32_t code) {
  if (code < 0x370) return false;                     /* nothing unassigned below */
  if (code >= 0x3041 && code <= 0x3096) return false; /* the commonest: kana, Chinese, Korean */
  if (code >= 0x4E00 && code <= 0x9FFF) return false;
  if (code >= 0xAC00 && code <= 0xD7A3) return false;
  return code == 0x180E || find_changed(code) >= 0 ||
         utf8proc_category((utf8proc_int32_t)code) == UTF8PROC_CATEGORY_CN;
}

static bool is_space(uint32_t code, utf8proc_category_t category) {
  switch (category) {
  case UTF8PROC_CATEGORY_ZS:
  case UTF8PROC_CATEGORY_ZL:
  case UTF8PROC_CATEGORY_ZP:
    return true;
  default:
    return (code >= '\t' && code <= '\r') || code == 0x85;
  }
}

bool ft_unicode_is_space(uint32_t code) {
  if (code < 0x80) return code == ' ' || (code >= '\t' && code <= '\r');
  return is_space(code, category_of(code));
}

/* Letters, marks, decimal digits, letter-like numbers, connectors, circled and squared letters. */
static bool is_common_word(uint32_t code, utf8proc_category_t category) {
  switch (category) {
  case UTF8PROC_CATEGORY_LU:
  case UTF8PROC_CATEGORY_LL:
  case UTF8PROC_CATEGORY_LT:
  case UTF8PROC_CATEGORY_LM:
  case UTF8PROC_CATEGORY_LO:
  case UTF8PROC_CATEGORY_MN:
  case UTF8PROC_CATEGORY_MC:
  case UTF8PROC_CATEGORY_ME:
  case UTF8PROC_CATEGORY_ND:
  case UTF8PROC_CATEGORY_NL:
  case UTF8PROC_CATEGORY_PC:
    return true;
  default:
    return (code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
           (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189);
  }
}

static bool is_word(uint32_t code, utf8proc_category_t category) {
  bool latin1_number =
      code == 0xB2 || code == 0xB3 || code == 0xB9 || (code >= 0xBC && code <= 0xBE);
  return latin1_number || is_common_word(code, category);
}

static bool is_numeric(uint32_t code, utf8proc_category_t category) {
  switch (category) {
  case UTF8PROC_CATEGORY_ND:
  case UTF8PROC_CATEGORY_NL:
  case UTF8PROC_CATEGORY_NO:
    return true;
  default:
    return code >= numeric_since_16[0].first && FIND(numeric_since_16, code) >= 0;
  }
}

/* ---------------------------------------------------------------- runs */

enum { MAX_RUNS = 8192 };
static ft_code_run all_runs[MAX_RUNS];
static int64_t num_runs;

/* Planes without characters, of which only the first code point is asked for. */
enum { FIRST_EMPTY = 0x40000, BEHIND_EMPTY = 0xE0000 };

static void find_runs(void) {
  for (uint32_t code = 0; code < FT_CODE_POINTS; code++) {
    if (code == FIRST_EMPTY + 1) {
      all_runs[num_runs - 1].last = BEHIND_EMPTY - 1;
      code = BEHIND_EMPTY;
    }
    utf8proc_category_t category = category_of(code);
    ft_code_run now = {.first = code,
                       .last = code,
                       .category = category,
                       .is_space = is_space(code, category),
                       .is_word = is_word(code, category),
                       .is_numeric = is_numeric(code, category)};
    ft_code_run *last = num_runs ? &all_runs[num_runs - 1] : NULL;
    if (last && last->category == category && last->is_space == now.is_space &&
        last->is_word == now.is_word && last->is_numeric == now.is_numeric) {
      last->last = code;
      continue;
    }
    FT_ASSERT(num_runs < MAX_RUNS);
    all_runs[num_runs++] = now;
  }
}

const ft_code_run *ft_unicode_runs(int64_t *count) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, find_runs);
  *count = num_runs;
  return all_runs;
}

/* ---------------------------------------------------------------- other kinds */

bool ft_unicode_is_rust_word(uint32_t code) {
  return code == 0x200C || code == 0x200D || is_common_word(code, category_of(code));
}

bool ft_unicode_is_numeric(uint32_t code) {
  if (code < 0x80) return code >= '0' && code <= '9';
  return is_numeric(code, category_of(code));
}

bool ft_unicode_is_accent(uint32_t code) {
  if (code < 0x300) return false;
  switch (category_of(code)) {
  case UTF8PROC_CATEGORY_MN:
  case UTF8PROC_CATEGORY_MC:
  case UTF8PROC_CATEGORY_ME:
    return FIND(not_stripped, code) < 0;
  default:
    return FIND(also_stripped, code) >= 0;
  }
}

bool ft_unicode_is_bert_control(uint32_t code) {
  if (code < 0x80)
    return (code < 0x20 && code != '\t' && code != '\n' && code != '\r') || code == 0x7F;
  if (code == 0xFFFD) return true;
  switch (category_of(code)) {
  case UTF8PROC_CATEGORY_CC:
  case UTF8PROC_CATEGORY_CF:
  case UTF8PROC_CATEGORY_CO:
    return FIND(bert_keeps, code) < 0;
  default:
    return false;
  }
}

bool ft_unicode_is_bert_mark(uint32_t code) {
  if (code < 0x300) return false;
  bool is_mark = category_of(code) == UTF8PROC_CATEGORY_MN;
  return is_mark ? FIND(bert_unmarked, code) < 0 : FIND(bert_marked, code) >= 0;
}

bool ft_unicode_is_bert_punctuation(uint32_t code) {
  if (code < 0x80)
    return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') ||
           (code >= '[' && code <= '`') || (code >= '{' && code <= '~');
  utf8proc_category_t category = category_of(code);
  bool is_punctuation = category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
  return is_punctuation ? FIND(bert_uncut, code) < 0 : FIND(bert_cuts, code) >= 0;
}

size_t ft_unicode_lower(uint32_t code, uint32_t out[2]) {
  if (code == 0x130) { /* I with a dot above: the only one that becomes two */
    out[0] = 'i';
    out[1] = 0x307;
    return 2;
  }
  int64_t changed = code < 0x80 ? -1 : FIND(lower_since_14, code);
  out[0] = changed < 0 ? (uint32_t)utf8proc_tolower((utf8proc_int32_t)code)
                       : (uint32_t)((int64_t)code + lower_since_14[changed].offset);
  return 1;
}

bool ft_unicode_is_opaque(uint32_t code) {
  if (code < opaque_since_9[0].first) return false;
  return FIND(opaque_since_9, code) >= 0 || find_changed(code) >= 0;
}
