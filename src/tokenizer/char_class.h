/* Inside tokenizer: what splitters ask about a character, in one look. */
#ifndef FT_TOKENIZER_CHAR_CLASS_H
#define FT_TOKENIZER_CHAR_CLASS_H

#include "ft/base_utf8.h"

typedef enum ft_char_class {
  FT_LETTER = 1,     /* \p{L} */
  FT_MARK = 2,       /* \p{M} */
  FT_NUMBER = 4,     /* \p{N} */
  FT_SPACE = 8,      /* \s */
  FT_NEWLINE = 16,   /* \r and \n */
  FT_UPPER = 32,     /* \p{Lu} and \p{Lt} */
  FT_LOWER = 64,     /* \p{Ll} */
  FT_SIGN = 128,     /* \p{P} and \p{S} */
  FT_DIGIT = 256,    /* Rust's char::is_numeric */
  FT_HAN_KANA = 512, /* 一 to 龥 and the blocks of Hiragana and Katakana */
} ft_char_class;

typedef struct ft_char_classes {
  uint16_t ascii[128];
  uint16_t *pages[0x110000 >> 8]; /* [256]; equal pages are one */
} ft_char_classes;

/* Made once a process (it takes some milliseconds), constant then; NULL without memory. */
const ft_char_classes *ft_char_classes_get(void);

/* Classes of the character at text; *length is its bytes. */
static inline unsigned ft_char_class_at(const ft_char_classes *classes, const char *text,
                                        size_t *length) {
  unsigned char first = (unsigned char)text[0];
  if (first < 0x80) {
    *length = 1;
    return classes->ascii[first];
  }
  uint32_t code = ft_utf8_decode(text, length);
  return classes->pages[code >> 8][code & 255];
}

#endif
