/* Text as it is compared. ASCII, which is most of it, goes by a table. */
#include "normalise.h"

#include <string.h>
#include <utf8proc.h>

/* What a character does to the word it stands in. */
typedef enum effect { SEPARATES, BELONGS, STANDS_ALONE } effect;

static effect effect_of(utf8proc_int32_t c) {
  switch (utf8proc_category(c)) {
  case UTF8PROC_CATEGORY_LO:
    /* scripts written without spaces: Han, kana; Thai and its kin stay whole runs */
    return (c >= 0x3040 && c <= 0x30ff) || (c >= 0x3400 && c <= 0x9fff) ||
                   (c >= 0xf900 && c <= 0xfaff) || (c >= 0x20000 && c <= 0x3ffff)
               ? STANDS_ALONE
               : BELONGS;
  case UTF8PROC_CATEGORY_LU:
  case UTF8PROC_CATEGORY_LL:
  case UTF8PROC_CATEGORY_LT:
  case UTF8PROC_CATEGORY_LM:
  case UTF8PROC_CATEGORY_MN:
  case UTF8PROC_CATEGORY_MC:
  case UTF8PROC_CATEGORY_ME:
  case UTF8PROC_CATEGORY_ND:
  case UTF8PROC_CATEGORY_NL:
  case UTF8PROC_CATEGORY_NO:
  case UTF8PROC_CATEGORY_SM:
  case UTF8PROC_CATEGORY_SC:
  case UTF8PROC_CATEGORY_SO:
    return BELONGS;
  default:
    return SEPARATES;
  }
}

/* ASCII: digits and letters, and the signs that make a formula another one. */
static const char ascii_kept[] =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+*/=<>%$^|~&@#\\";

static void make_table(unsigned char table[128]) {
  memset(table, 0, 128);
  for (const char *c = ascii_kept; *c; c++)
    table[(unsigned char)*c] = (unsigned char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
}

static ft_err begin_word(ft_words *w) {
  ft_err err = ft_grow(FT_MEM_PREP, w->num_words + 1, sizeof *w->starts, &w->words_capacity,
                       (void **)&w->starts);
  if (err != FT_OK) return err;
  if (w->bytes > 0) w->text[w->bytes++] = ' ';
  w->starts[w->num_words++] = (int64_t)w->bytes;
  return FT_OK;
}

ft_err ft_words_add(ft_words *w, const char *text, size_t bytes) {
  ft_err err = FT_OK;
  unsigned char table[128];
  bool inside = false;
  make_table(table);
  /* a character may grow to four bytes, and every word has a space */
  FT_TRY(ft_grow_bytes(FT_MEM_PREP, w->bytes + 4 * bytes + 8, &w->capacity, (void **)&w->text));
  for (size_t i = 0; i < bytes;) {
    unsigned char c = (unsigned char)text[i];
    utf8proc_int32_t code = c;
    utf8proc_ssize_t length = 1;
    effect e = c < 128 && table[c] ? BELONGS : SEPARATES;
    if (c >= 128) {
      length = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(bytes - i),
                                &code);
      if (length < 1) length = 1, code = -1;
      e = code < 0 ? SEPARATES : effect_of(code);
    }
    i += (size_t)length;
    if (e != BELONGS) inside = false;
    if (e == SEPARATES) continue;
    if (!inside) FT_TRY(begin_word(w));
    inside = e == BELONGS;
    if (c < 128)
      w->text[w->bytes++] = (char)table[c];
    else
      w->bytes += (size_t)utf8proc_encode_char(utf8proc_tolower(code),
                                               (utf8proc_uint8_t *)w->text + w->bytes);
  }
out:
  return err;
}

void ft_words_clear(ft_words *w) {
  w->bytes = 0;
  w->num_words = 0;
}

void ft_words_fini(ft_words *w) {
  ft_free(w->text);
  ft_free(w->starts);
  *w = (ft_words){0};
}
