/* Unicode normalization forms (Unicode Standard Annex 15) by utf8proc's data. Most characters are
 * left alone whatever is around them; only stretches with others are decomposed, put in canonical
 * order and composed again. */
#include "normalizer.h"

#include <pthread.h>

#include "unicode.h"

struct ft_form_table {
  ft_form form;
  uint64_t changing[FT_CODE_POINTS / 64]; /* bit set: may change, move or join the one before it */
};

enum { MAX_DECOMPOSED = 32, SYLLABLES = 0xAC00, LAST_SYLLABLE = 0xD7A3 };

static bool is_compatibility(ft_form form) {
  return form == FT_FORM_NFKC || form == FT_FORM_NFKD;
}

static bool composes(ft_form form) {
  return form == FT_FORM_NFC || form == FT_FORM_NFKC;
}

static bool is_changing(const ft_form_table *table, uint32_t code) {
  return table->changing[code / 64] >> (code % 64) & 1;
}

static void set_changing(ft_form_table *table, uint32_t code) {
  table->changing[code / 64] |= (uint64_t)1 << (code % 64);
}

static int combining_class(int32_t code) {
  return utf8proc_get_property(code)->combining_class;
}

static utf8proc_option_t options(ft_form form) {
  return UTF8PROC_STABLE | (composes(form) ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
         (is_compatibility(form) ? UTF8PROC_COMPAT : 0);
}

/* Code points of one code point's full decomposition. */
static int64_t decompose(ft_form form, uint32_t code, int32_t out[MAX_DECOMPOSED]) {
  int boundary = 0;
  utf8proc_option_t how =
      UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (is_compatibility(form) ? UTF8PROC_COMPAT : 0);
  if (ft_unicode_is_opaque(code)) {
    out[0] = (int32_t)code;
    return 1;
  }
  return utf8proc_decompose_char((int32_t)code, out, MAX_DECOMPOSED, how, &boundary);
}

static void look_at(ft_form_table *table, uint32_t code) {
  int32_t parts[MAX_DECOMPOSED];
  if (ft_unicode_is_opaque(code)) return;
  if (combining_class((int32_t)code) != 0) set_changing(table, code);
  int64_t count = decompose(table->form, code, parts);
  if (count == 1 && parts[0] == (int32_t)code) return;
  for (int64_t i = 1; i < count; i++) /* these may join the one before them */
    if (!ft_unicode_is_opaque((uint32_t)parts[i])) set_changing(table, (uint32_t)parts[i]);
  if (composes(table->form) && count > 0)
    count = utf8proc_normalize_utf32(parts, count, options(table->form));
  if (count != 1 || parts[0] != (int32_t)code) set_changing(table, code);
}

static void fill_table(ft_form_table *table, ft_form form) {
  /* nothing decomposes or combines in between or behind */
  static const uint32_t ranges[][2] = {
      {0xA0, 0x3400},    {0xA000, SYLLABLES}, {LAST_SYLLABLE + 1, 0xD800},
      {0xE000, 0x17000}, {0x18D00, 0x20000},  {0x2F000, 0x30000}};
  table->form = form;
  for (size_t i = 0; i < FT_ARRAY_SIZE(ranges); i++)
    for (uint32_t code = ranges[i][0]; code < ranges[i][1]; code++)
      look_at(table, code);
  for (uint32_t code = SYLLABLES; code <= LAST_SYLLABLE && !composes(form); code++)
    set_changing(table, code);
  for (uint32_t code = 0x1161; code <= 0x11C2; code++) /* vowels and finals join a syllable */
    if (code <= 0x1175 || code >= 0x11A8) set_changing(table, code);
}

const ft_form_table *ft_form_table_of(ft_form form) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static ft_form_table tables[FT_NUM_FORMS];
  static bool filled[FT_NUM_FORMS];
  pthread_mutex_lock(&lock);
  if (!filled[form]) fill_table(&tables[form], form);
  filled[form] = true;
  pthread_mutex_unlock(&lock);
  return &tables[form];
}

bool ft_form_keeps(const ft_form_table *table, const char *text, size_t bytes) {
  for (size_t i = 0, length; i < bytes; i += length) {
    if ((unsigned char)text[i] < 0x80) {
      length = 1;
      continue;
    }
    if (is_changing(table, ft_utf8_decode(text + i, &length))) return false;
  }
  return true;
}

/* ---------------------------------------------------------------- one stretch */

/* Stable order by combining class of codes[0..count), none of which has class 0. */
static ft_err sort_marks(int32_t *codes, int64_t count) {
  enum { FEW = 24 };
  if (count <= FEW) {
    for (int64_t i = 1; i < count; i++) {
      int32_t moved = codes[i];
      int class = combining_class(moved);
      int64_t at = i;
      for (; at > 0 && combining_class(codes[at - 1]) > class; at--)
        codes[at] = codes[at - 1];
      codes[at] = moved;
    }
    return FT_OK;
  }
  void *memory;
  ft_err err = ft_alloc_array(FT_MEM_TOKENIZER, count, sizeof *codes, &memory);
  if (err != FT_OK) return err;
  int32_t *sorted = memory;
  int64_t starts[257] = {0};
  for (int64_t i = 0; i < count; i++)
    starts[combining_class(codes[i]) + 1]++;
  for (int class = 0; class < 256; class ++)
    starts[class + 1] += starts[class];
  for (int64_t i = 0; i < count; i++)
    sorted[starts[combining_class(codes[i])]++] = codes[i];
  memcpy(codes, sorted, (size_t)count * sizeof *codes);
  ft_free(sorted);
  return FT_OK;
}

static ft_err sort_all_marks(int32_t *codes, int64_t count) {
  for (int64_t i = 0, end; i < count; i = end + 1) {
    for (end = i; end < count && combining_class(codes[end]) != 0;)
      end++;
    ft_err err = sort_marks(codes + i, end - i);
    if (err != FT_OK) return err;
  }
  return FT_OK;
}

static ft_err apply_to_stretch(ft_form form, ft_normalizer_scratch *s, const char *text,
                               size_t bytes, ft_buffer *out) {
  ft_err err = FT_OK;
  int64_t count = 0;
  for (size_t i = 0, length; i < bytes; i += length) {
    FT_TRY(ft_grow(FT_MEM_TOKENIZER, count + MAX_DECOMPOSED, sizeof *s->codes, &s->codes_capacity,
                   (void **)&s->codes));
    int64_t parts = decompose(form, ft_utf8_decode(text + i, &length), s->codes + count);
    FT_CHECK(parts > 0 && parts <= MAX_DECOMPOSED, FT_ERR_INTERNAL,
             "a character that does not decompose");
    count += parts;
  }
  FT_TRY(sort_all_marks(s->codes, count));
  if (composes(form)) count = utf8proc_normalize_utf32(s->codes, count, options(form));
  FT_CHECK(count >= 0, FT_ERR_INTERNAL, "characters that do not compose");
  FT_TRY(ft_buffer_reserve(out, 4 * (size_t)count));
  for (int64_t i = 0; i < count; i++)
    out->bytes += ft_utf8_encode((uint32_t)s->codes[i], out->data + out->bytes);
out:
  return err;
}

/* Cuts text before every character that stays what and where it is; only parts of more than that
 * one character, or whose one character changes, need work. An opaque character never joins
 * another: it is a part of its own. */
ft_err ft_form_apply(const ft_form_table *table, ft_normalizer_scratch *s, const char *text,
                     size_t bytes, ft_buffer *out) {
  ft_err err = FT_OK;
  size_t kept = 0,
         start = 0; /* text up to kept is done; the last stable character begins at start */
  for (size_t i = 0, length; i < bytes;) {
    uint32_t code = ft_utf8_decode(text + i, &length);
    if (!is_changing(table, code)) {
      start = ft_unicode_is_opaque(code) ? i + length : i;
      i += length;
      continue;
    }
    while (i < bytes && is_changing(table, ft_utf8_decode(text + i, &length)))
      i += length;
    FT_TRY(ft_buffer_put(out, text + kept, start - kept));
    FT_TRY(apply_to_stretch(table->form, s, text + start, i - start, out));
    kept = start = i;
  }
  FT_TRY(ft_buffer_put(out, text + kept, bytes - kept));
out:
  return err;
}
