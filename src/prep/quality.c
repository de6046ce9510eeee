/* Quality of a text by numbers that hold in any language: how much of it is repeated, how much is
 * neither letter, digit nor space, and what its lines look like. */
#include <string.h>

#include "clean.h"

/* Bounds. The first three follow the rules of Rae et al. (2021), "Scaling Language Models", table
 * A1, with room for code and lists. */
enum { MIN_LINES = 8, MIN_WORDS = 50, GRAM_WORDS = 5, MAX_SAME_WORD = 12, MAX_SAME_BYTE = 200 };
static const double max_repeated_lines = 0.3, max_repeated_grams = 0.3, max_symbols = 0.45,
                    max_line_bytes = 2000, max_ellipses = 0.3;

/* An empty table of at least twice so many places; *mask: of the last one's number. */
static ft_err clear_table(ft_workroom *room, int64_t count, uint64_t *mask) {
  int64_t size = 16;
  while (size < 2 * count)
    size *= 2;
  ft_err err =
      ft_grow(FT_MEM_PREP, size, sizeof *room->table, &room->table_capacity, (void **)&room->table);
  if (err != FT_OK) return err;
  memset(room->table, 0, (size_t)size * sizeof *room->table);
  *mask = (uint64_t)size - 1;
  return FT_OK;
}

/* Share of the first `count` hashes of the room that have occurred before. */
static ft_err share_repeated(ft_workroom *room, int64_t count, double *out) {
  int64_t again = 0;
  uint64_t mask;
  *out = 0;
  if (count <= 0) return FT_OK;
  ft_err err = clear_table(room, count, &mask);
  if (err != FT_OK) return err;
  for (int64_t i = 0; i < count; i++) {
    uint64_t hash = room->hashes[i] ? room->hashes[i] : 1; /* zero: an empty place */
    uint64_t at = hash & mask;
    while (room->table[at] && room->table[at] != hash)
      at = (at + 1) & mask;
    again += room->table[at] == hash;
    room->table[at] = hash;
  }
  *out = (double)again / (double)count;
  return FT_OK;
}

static ft_err room_for_hashes(ft_workroom *room, int64_t count) {
  return ft_grow(FT_MEM_PREP, count, sizeof *room->hashes, &room->hash_capacity,
                 (void **)&room->hashes);
}

void ft_workroom_fini(ft_workroom *room) {
  ft_words_fini(&room->words);
  ft_free(room->hashes);
  ft_free(room->table);
  *room = (ft_workroom){0};
}

typedef struct line_facts {
  int64_t count, ellipses; /* of lines that are not blank */
  size_t bytes;
  double repeated;
} line_facts;

static bool ends_open(const char *line, size_t bytes) {
  return bytes >= 3 && (memcmp(line + bytes - 3, "...", 3) == 0 ||
                        memcmp(line + bytes - 3, "\xE2\x80\xA6", 3) == 0);
}

static ft_err look_at_lines(ft_workroom *room, const char *text, size_t bytes, line_facts *facts) {
  ft_err err = FT_OK;
  for (size_t begin = 0, end; begin < bytes; begin = end + 1) {
    const char *feed = memchr(text + begin, '\n', bytes - begin);
    end = feed ? (size_t)(feed - text) : bytes;
    if (ft_line_is_blank(text + begin, end - begin)) continue;
    FT_TRY(room_for_hashes(room, facts->count + 1));
    room->hashes[facts->count++] = ft_hash64(text + begin, end - begin, 0);
    facts->ellipses += ends_open(text + begin, end - begin);
    facts->bytes += end - begin;
  }
  FT_TRY(share_repeated(room, facts->count, &facts->repeated));
out:
  return err;
}

static uint64_t word_hash(const ft_words *words, int64_t i) {
  int64_t begin = words->starts[i];
  int64_t end = i + 1 < words->num_words ? words->starts[i + 1] - 1 : (int64_t)words->bytes;
  return ft_hash64(words->text + begin, (size_t)(end - begin), 0);
}

/* From hashes of words to hashes of the runs of GRAM_WORDS that begin at each: polynomials of the
 * words' hashes modulo 2^64, from one to the next by what comes and what goes. */
static void hash_runs(uint64_t *hashes, int64_t count) {
  const uint64_t factor = 0x9e3779b97f4a7c15ull; /* odd: no bit is lost */
  uint64_t run = 0, leaving = 1;
  for (int k = 0; k < GRAM_WORDS; k++) {
    run = run * factor + hashes[k];
    leaving *= factor;
  }
  for (int64_t i = 0; i + GRAM_WORDS <= count; i++) {
    uint64_t first = hashes[i];
    hashes[i] = ft_mix64(run);
    if (i + GRAM_WORDS < count) run = run * factor + hashes[i + GRAM_WORDS] - first * leaving;
  }
}

/* Whether words repeat themselves, in a row or as runs of GRAM_WORDS. */
static ft_err repeats_words(ft_workroom *room, bool *tripped) {
  ft_err err = FT_OK;
  const ft_words *words = &room->words;
  int64_t count = words->num_words, run = 1;
  double repeated;
  *tripped = false;
  if (count < MIN_WORDS) goto out;
  FT_TRY(room_for_hashes(room, count));
  for (int64_t i = 0; i < count; i++) {
    room->hashes[i] = word_hash(words, i);
    run = i > 0 && room->hashes[i] == room->hashes[i - 1] ? run + 1 : 1;
    *tripped = *tripped || run > MAX_SAME_WORD;
  }
  if (*tripped) goto out;
  hash_runs(room->hashes, count);
  FT_TRY(share_repeated(room, count - GRAM_WORDS + 1, &repeated));
  *tripped = repeated > max_repeated_grams;
out:
  return err;
}

/* Letters and digits at or behind `from` in a row that are all the same. */
static bool repeats_bytes_from(const char *text, size_t from, size_t bytes) {
  size_t run = 1;
  for (size_t i = from + 1; i < bytes; i++) {
    bool word = (text[i] >= '0' && text[i] <= '9') || (text[i] | 0x20) >= 'a';
    run = text[i] == text[i - 1] && word && (unsigned char)text[i] < 128 ? run + 1 : 1;
    if (run > MAX_SAME_BYTE) return true;
  }
  return false;
}

/* A run that is too long has bytes that are alike at every half of its length. */
static bool repeats_bytes(const char *text, size_t bytes) {
  enum { ALIKE = 16, STEP = MAX_SAME_BYTE / 2 };
  for (size_t i = 0; i + ALIKE < bytes; i += STEP)
    if (memcmp(text + i, text + i + 1, ALIKE) == 0)
      return repeats_bytes_from(text, i > MAX_SAME_BYTE ? i - MAX_SAME_BYTE : 0, bytes);
  return false;
}

/* What a byte counts for: 1 for a character that is no white space, SIGN + 1 for an ASCII sign or
 * a control character; nothing for white space and for the rest of a character. */
enum { SIGN = 1 << 8 };
static uint16_t weight_of(unsigned char c) {
  bool word = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c >= 0xC0;
  if (c == ' ' || (c >= 9 && c <= 13) || (c & 0xC0) == 0x80) return 0;
  return word ? 1 : SIGN + 1;
}

/* Share of ASCII signs, controls and replacement characters among what is no white space. */
static double symbols(const char *text, size_t bytes) {
  size_t signs = 0, all = 0;
  uint16_t weights[256];
  for (int c = 0; c < 256; c++)
    weights[c] = weight_of((unsigned char)c);
  for (size_t i = 0, end; i < bytes; i = end) {
    uint32_t sum = 0;
    for (end = FT_MIN(i + SIGN - 1, bytes); i < end; i++)
      sum += weights[(unsigned char)text[i]];
    all += sum % SIGN;
    signs += sum / SIGN;
  }
  for (const char *at = text; (at = memchr(at, 0xEF, bytes - (size_t)(at - text))); at++)
    signs += bytes - (size_t)(at - text) > 2 && memcmp(at, "\xEF\xBF\xBD", 3) == 0;
  return all > 0 ? (double)signs / (double)all : 0;
}

ft_err ft_quality(ft_workroom *room, const char *text, size_t bytes, uint32_t *tripped) {
  ft_err err = FT_OK;
  ft_words *words = &room->words;
  line_facts lines = {0};
  bool repeats = false;
  *tripped = 0;
  FT_TRY(look_at_lines(room, text, bytes, &lines));
  ft_words_clear(words);
  FT_TRY(ft_words_add(words, text, bytes));
  FT_TRY(repeats_words(room, &repeats));
  if (repeats || repeats_bytes(text, bytes) ||
      (lines.count >= MIN_LINES && lines.repeated > max_repeated_lines))
    *tripped |= 1u << FT_RULE_REPETITION;
  if (bytes >= 64 && symbols(text, bytes) > max_symbols) *tripped |= 1u << FT_RULE_SYMBOLS;
  bool open =
      lines.count >= MIN_LINES && (double)lines.ellipses > max_ellipses * (double)lines.count;
  bool unbroken = words->num_words < (int64_t)lines.bytes / 40 && lines.bytes > 4 * 2000 &&
                  (double)lines.bytes > max_line_bytes * (double)lines.count;
  if (open || unbroken) *tripped |= 1u << FT_RULE_LINES;
out:
  return err;
}
