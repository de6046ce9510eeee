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

/* What stands for a character of ASCII: digits and letters in lower case, and the signs that make a
 * formula another one; 0: it separates words. */
static const unsigned char ascii_kept[128] = {
    ['0'] = '0', ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6',
    ['7'] = '7', ['8'] = '8', ['9'] = '9', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd',
    ['e'] = 'e', ['f'] = 'f', ['g'] = 'g', ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k',
    ['l'] = 'l', ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p', ['q'] = 'q', ['r'] = 'r',
    ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w', ['x'] = 'x', ['y'] = 'y',
    ['z'] = 'z', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e', ['F'] = 'f',
    ['G'] = 'g', ['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm',
    ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't',
    ['U'] = 'u', ['V'] = 'v', ['W'] = 'w', ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z', ['+'] = '+',
    ['*'] = '*', ['/'] = '/', ['='] = '=', ['<'] = '<', ['>'] = '>', ['%'] = '%', ['$'] = '$',
    ['^'] = '^', ['|'] = '|', ['~'] = '~', ['&'] = '&', ['@'] = '@', ['#'] = '#', ['\\'] = '\\'};

static void begin_word(ft_words *w) {
  if (w->bytes > 0) w->text[w->bytes++] = ' ';
  w->starts[w->num_words++] = (int64_t)w->bytes;
}

/* Room for what a text of so many bytes comes to. A character has a byte for its word's space: it
 * is one of two bytes, follows a separator, or has three bytes and stands alone; lower case of two
 * bytes has three at most. */
static ft_err make_room(ft_words *w, size_t bytes) {
  ft_err err =
      ft_grow_bytes(FT_MEM_PREP, w->bytes + 2 * bytes + 8, &w->capacity, (void **)&w->text);
  if (err != FT_OK) return err;
  return ft_grow(FT_MEM_PREP, w->num_words + (int64_t)(bytes / 2) + 2, sizeof *w->starts,
                 &w->words_capacity, (void **)&w->starts);
}

/* Takes the character of several bytes at text. Returns its bytes. */
static size_t add_character(ft_words *w, const char *text, size_t bytes, bool *inside) {
  utf8proc_int32_t code;
  utf8proc_ssize_t length =
      utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)bytes, &code);
  effect e = length < 1 ? SEPARATES : effect_of(code);
  if (e != BELONGS) *inside = false;
  if (e == SEPARATES) return length < 1 ? 1 : (size_t)length;
  if (!*inside) begin_word(w);
  *inside = e == BELONGS;
  w->bytes +=
      (size_t)utf8proc_encode_char(utf8proc_tolower(code), (utf8proc_uint8_t *)w->text + w->bytes);
  return (size_t)length;
}

/* Takes the ASCII that the text begins with. Returns its bytes. There are no branches but the
 * loop's: where words end cannot be predicted. What does not count is written over. */
static size_t add_ascii(ft_words *w, const char *text, size_t bytes, bool *inside) {
  char *to = w->text + w->bytes;
  int64_t *start = w->starts + w->num_words;
  unsigned char before = *inside, kept = 0;
  bool any = w->bytes > 0;
  size_t i = 0;
  for (; i < bytes && (unsigned char)text[i] < 128; i++, before = kept) {
    kept = ascii_kept[(unsigned char)text[i]];
    bool begins = kept && !before;
    *to = ' ';
    to += begins && any;
    *start = to - w->text;
    start += begins;
    any = any || begins;
    *to = (char)kept;
    to += kept != 0;
  }
  *inside = before != 0;
  w->bytes = (size_t)(to - w->text);
  w->num_words = start - w->starts;
  return i;
}

ft_err ft_words_add(ft_words *w, const char *text, size_t bytes) {
  bool inside = false;
  ft_err err = make_room(w, bytes);
  if (err != FT_OK) return err;
  for (size_t i = 0; i < bytes;) {
    i += add_ascii(w, text + i, bytes - i, &inside);
    if (i < bytes) i += add_character(w, text + i, bytes - i, &inside);
  }
  return FT_OK;
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
