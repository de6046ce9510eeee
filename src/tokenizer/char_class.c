/* A table of classes for all code points. */
#include "char_class.h"

#include <pthread.h>
#include <string.h>

#include "unicode.h"

static ft_char_classes table;
static bool is_made;

static unsigned of_category(utf8proc_category_t category) {
  switch (category) {
  case UTF8PROC_CATEGORY_LU:
  case UTF8PROC_CATEGORY_LT:
    return FT_LETTER | FT_UPPER;
  case UTF8PROC_CATEGORY_LL:
    return FT_LETTER | FT_LOWER;
  case UTF8PROC_CATEGORY_LM:
  case UTF8PROC_CATEGORY_LO:
    return FT_LETTER;
  case UTF8PROC_CATEGORY_MN:
  case UTF8PROC_CATEGORY_MC:
  case UTF8PROC_CATEGORY_ME:
    return FT_MARK;
  case UTF8PROC_CATEGORY_ND:
  case UTF8PROC_CATEGORY_NL:
  case UTF8PROC_CATEGORY_NO:
    return FT_NUMBER;
  default:
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_SO ? FT_SIGN : 0;
  }
}

static unsigned classes_of(const ft_code_run *run, uint32_t code) {
  bool han_kana = (code >= 0x4E00 && code <= 0x9FA5) || (code >= 0x3040 && code <= 0x30FF);
  return of_category(run->category) | (run->is_space ? FT_SPACE : 0) |
         (code == '\n' || code == '\r' ? FT_NEWLINE : 0) | (han_kana ? FT_HAN_KANA : 0) |
         (run->is_numeric ? FT_DIGIT : 0);
}

/* The page if an earlier one is equal, else a copy; NULL without memory. */
static uint16_t *shared_page(uint32_t number, const uint16_t page[256]) {
  size_t bytes = 256 * sizeof *page;
  void *memory;
  for (uint32_t i = number; i-- > 0;)
    if (memcmp(table.pages[i], page, bytes) == 0) return table.pages[i];
  if (ft_alloc(FT_MEM_TOKENIZER, bytes, &memory) != FT_OK) return NULL;
  return memcpy(memory, page, bytes);
}

static void make(void) {
  int64_t count;
  const ft_code_run *run = ft_unicode_runs(&count);
  uint16_t page[256];
  for (uint32_t code = 0; code < FT_CODE_POINTS; code++) {
    while (code > run->last)
      run++;
    page[code & 255] = (uint16_t)classes_of(run, code);
    if ((code & 255) != 255) continue;
    table.pages[code >> 8] = shared_page(code >> 8, page);
    if (!table.pages[code >> 8]) return;
  }
  memcpy(table.ascii, table.pages[0], sizeof table.ascii);
  is_made = true;
}

const ft_char_classes *ft_char_classes_get(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make);
  return is_made ? &table : NULL;
}
