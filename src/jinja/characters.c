/* Characters as Python's str sees them. */
#include <utf8proc.h>

#include "value.h"

bool ft_jinja_ends_line(uint32_t code) {
  return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 ||
         code == 0x2028 || code == 0x2029;
}

bool ft_jinja_is_printable(uint32_t code) {
  if (code == ' ') return true;
  switch (utf8proc_category((utf8proc_int32_t)code)) {
  case UTF8PROC_CATEGORY_CN:
  case UTF8PROC_CATEGORY_CC:
  case UTF8PROC_CATEGORY_CF:
  case UTF8PROC_CATEGORY_CS:
  case UTF8PROC_CATEGORY_CO:
  case UTF8PROC_CATEGORY_ZS:
  case UTF8PROC_CATEGORY_ZL:
  case UTF8PROC_CATEGORY_ZP:
    return false;
  default:
    return true;
  }
}

/* Digits that are no decimal digits: superscripts, subscripts, circled and parenthesised ones. */
static bool is_other_digit(uint32_t code) {
  return code == 0xB2 || code == 0xB3 || code == 0xB9 || code == 0x2070 ||
         (code >= 0x2074 && code <= 0x2079) || (code >= 0x2080 && code <= 0x2089) ||
         (code >= 0x2460 && code <= 0x2468) || (code >= 0x2474 && code <= 0x247C) ||
         (code >= 0x2488 && code <= 0x2490);
}

bool ft_jinja_is_class(uint32_t code, ft_jinja_class c) {
  utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code);
  bool decimal = category == UTF8PROC_CATEGORY_ND;
  switch (c) {
  case JINJA_ALPHA:
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
           category == UTF8PROC_CATEGORY_LT || category == UTF8PROC_CATEGORY_LM ||
           category == UTF8PROC_CATEGORY_LO;
  case JINJA_DECIMAL:
    return decimal;
  case JINJA_DIGIT:
    return decimal || is_other_digit(code);
  case JINJA_NUMERIC:
    return decimal || category == UTF8PROC_CATEGORY_NL || category == UTF8PROC_CATEGORY_NO;
  case JINJA_UPPER:
    return category == UTF8PROC_CATEGORY_LU;
  case JINJA_LOWER:
    return category == UTF8PROC_CATEGORY_LL;
  case JINJA_TITLE:
    return category == UTF8PROC_CATEGORY_LT;
  }
  return false;
}

/* Unicode's SpecialCasing: characters that become several, or depend on what stands around. */
static bool is_special_case(uint32_t code) {
  return code == 0xDF || code == 0x130 || code == 0x149 || code == 0x1F0 || code == 0x390 ||
         code == 0x3B0 || code == 0x3A3 || code == 0x587 || (code >= 0x1E96 && code <= 0x1E9A) ||
         code == 0x1E9E || (code >= 0x1F50 && code <= 0x1F56) ||
         (code >= 0x1F80 && code <= 0x1FFC) || (code >= 0xFB00 && code <= 0xFB17);
}

ft_err ft_jinja_change_case(uint32_t code, ft_jinja_case to, uint32_t *out) {
  if (code < 0x80) {
    bool upper = code >= 'A' && code <= 'Z', lower = code >= 'a' && code <= 'z';
    *out = upper && to == JINJA_TO_LOWER   ? code + 32
           : lower && to != JINJA_TO_LOWER ? code - 32
                                           : code;
    return FT_OK;
  }
  if (is_special_case(code))
    return ft_fail(FT_ERR_DATA, "the case of U+%04X is changed, which is not supported", code);
  utf8proc_int32_t c = (utf8proc_int32_t)code;
  *out = (uint32_t)(to == JINJA_TO_UPPER   ? utf8proc_toupper(c)
                    : to == JINJA_TO_LOWER ? utf8proc_tolower(c)
                                           : utf8proc_totitle(c));
  return FT_OK;
}
