/* Inside tokenizer: the character classes that Hugging Face's tokenizers use. Categories are
 * those of Unicode 16, whatever version PCRE2 and utf8proc have (unicode_tables.h has the
 * differences). */
#ifndef FT_TOKENIZER_UNICODE_H
#define FT_TOKENIZER_UNICODE_H

#include <utf8proc.h>

#include "ft/base_utf8.h"

enum { FT_CODE_POINTS = 0x110000 };

/* True if text is well-formed UTF-8; else *at is the first offending byte. *unusual: it holds code
 * points about which versions of Unicode disagree (ft_unicode_is_unusual). */
bool ft_unicode_check(const char *text, size_t bytes, size_t *at, bool *unusual);

/* Unassigned, or classed differently since Unicode 14, or a space to PCRE2 only. */
bool ft_unicode_is_unusual(uint32_t code);
/* Code points that follow each other and are of one kind. */
typedef struct ft_code_run {
  uint32_t first, last;
  utf8proc_category_t category; /* general category */
  bool is_space;                /* White_Space */
  bool is_word;                 /* \w of Oniguruma */
  bool is_numeric;              /* char::is_numeric of Rust */
} ft_code_run;
/* All code points, in order. Found once a process (it takes some milliseconds), constant then. */
const ft_code_run *ft_unicode_runs(int64_t *count);
/* White_Space. */
bool ft_unicode_is_space(uint32_t code);
/* \w of Rust's regular expressions. */
bool ft_unicode_is_rust_word(uint32_t code);
/* Rust's char::is_numeric. */
bool ft_unicode_is_numeric(uint32_t code);
/* What BertNormalizer removes: control and format characters that its tables know, and others. */
bool ft_unicode_is_bert_control(uint32_t code);
/* Nonspacing marks as BertNormalizer knows them. */
bool ft_unicode_is_bert_mark(uint32_t code);
/* What BertPreTokenizer and Punctuation cut at: punctuation, and all of ASCII's signs. */
bool ft_unicode_is_bert_punctuation(uint32_t code);
/* What StripAccents removes. */
bool ft_unicode_is_accent(uint32_t code);
/* Lower case: one code point, or two (returned: how many). */
size_t ft_unicode_lower(uint32_t code, uint32_t out[2]);
/* Normalization neither decomposes nor reorders it, though newer versions of Unicode may. */
bool ft_unicode_is_opaque(uint32_t code);

#endif
