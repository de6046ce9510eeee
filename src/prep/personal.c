/* Personal data in texts: e-mail and IP addresses, phone, card and account numbers. A number counts
 * only if its check digits fit (Luhn's, ISO 7064's) or its form leaves little doubt. */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "clean.h"
#include "ft/base_bytes.h"

enum { MAX_DIGITS = 40, MAX_LOCAL = 64 };

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_word(char c) {
  return is_digit(c) || is_letter(c) || (unsigned char)c >= 128;
}

/* The text from `begin` on. */
typedef struct place {
  const char *text;
  size_t begin, length;
  char before; /* the character before it, a space where there is none: for borders */
} place;

static char at(const place *p, size_t i) {
  return i < p->length ? p->text[i] : 0;
}

/* Nothing that belongs to a word or number stands right before. */
static bool is_border(const place *p) {
  return !is_word(p->before);
}

/* ---------------------------------------------------------------- e-mail */

static bool is_local(char c) {
  return is_digit(c) || is_letter(c) || (c && strchr("._%+-", c));
}

/* Labels with dots between them, the last of letters. Returns the bytes, or 0. */
static size_t domain(const place *p, size_t from) {
  size_t i = from, label = from, dots = 0;
  while (is_digit(at(p, i)) || is_letter(at(p, i)) || at(p, i) == '-' || at(p, i) == '.') {
    if (at(p, i) == '.') {
      if (i == label || !(is_digit(at(p, i + 1)) || is_letter(at(p, i + 1)))) break;
      dots++;
      label = i + 1;
    }
    i++;
  }
  bool letters = i >= label + 2;
  for (size_t k = label; k < i; k++)
    letters = letters && is_letter(p->text[k]);
  return dots > 0 && letters ? i - from : 0;
}

static size_t email(const place *p) {
  size_t i = p->begin;
  if (is_local(p->before)) return 0;
  while (is_local(at(p, i)))
    i++;
  if (i == p->begin || i - p->begin > MAX_LOCAL || at(p, i) != '@' || !is_word(at(p, p->begin)))
    return 0;
  size_t after = domain(p, i + 1);
  return after ? i + 1 + after - p->begin : 0;
}

/* ---------------------------------------------------------------- numbers */

/* Digits, one separator at most between them. Returns bytes up to the last digit. */
static size_t digits(const place *p, size_t from, const char *separators, char *out, int *count) {
  size_t i = from, end = from;
  *count = 0;
  for (;;) {
    if (is_digit(at(p, i))) {
      if (*count == MAX_DIGITS) return 0;
      out[(*count)++] = at(p, i++);
      end = i;
    } else if (end == i && i > from && at(p, i) && strchr(separators, at(p, i)) &&
               is_digit(at(p, i + 1))) {
      i++;
    } else {
      break;
    }
  }
  return is_word(at(p, end)) ? 0 : end - from;
}

/* ISO/IEC 7812-1, annex B. */
static bool luhn(const char *digits, int count) {
  int sum = 0;
  for (int i = 0; i < count; i++) {
    int d = digits[count - 1 - i] - '0';
    if (i % 2) d = d * 2 > 9 ? d * 2 - 9 : d * 2;
    sum += d;
  }
  return sum % 10 == 0;
}

static size_t card(const place *p) {
  char number[MAX_DIGITS];
  int count;
  if (!is_border(p) || at(p, p->begin) < '2' || at(p, p->begin) > '6') return 0;
  size_t bytes = digits(p, p->begin, " -", number, &count);
  /* ISO/IEC 7812: only the ranges of 5 and 6 have numbers of more than 16 digits */
  int most = number[0] >= '5' ? 19 : 16;
  if (bytes == 0 || count < 13 || count > most || !luhn(number, count)) return 0;
  bool varied = false;
  for (int i = 1; i < count; i++)
    varied = varied || number[i] != number[0];
  return varied ? bytes : 0;
}

/* ISO 13616: the rest of the number with letters as 10 … 35, the first four characters moved to its
 * end, is 1 modulo 97. */
static bool mod97(const char *iban, int count) {
  int rest = 0;
  for (int i = 0; i < count; i++) {
    char c = iban[(i + 4) % count];
    rest = is_digit(c) ? (rest * 10 + c - '0') % 97 : (rest * 100 + c - 'A' + 10) % 97;
  }
  return rest == 1;
}

static size_t iban(const place *p) {
  char number[MAX_DIGITS];
  int count = 0;
  size_t i = p->begin, end = p->begin;
  if (!is_border(p) || !isupper((unsigned char)at(p, i)) || !isupper((unsigned char)at(p, i + 1)) ||
      !is_digit(at(p, i + 2)) || !is_digit(at(p, i + 3)))
    return 0;
  for (; count < 34; i++) {
    char c = at(p, i);
    if (is_digit(c) || isupper((unsigned char)c)) {
      number[count++] = c;
      end = i + 1;
      if (count >= 15 && !is_word(at(p, end)) && mod97(number, count)) return end - p->begin;
    } else if (!(c == ' ' && count % 4 == 0 && is_word(at(p, i + 1)))) {
      break;
    }
  }
  return 0;
}

/* ---------------------------------------------------------------- phone */

static bool is_date(const char *number, int count) {
  return count == 8 && (memcmp(number, "19", 2) == 0 || memcmp(number, "20", 2) == 0);
}

/* "+49 (0)30 123456": the country's code and 8 to 15 digits in all. */
static size_t international(const place *p) {
  char number[MAX_DIGITS];
  size_t i = p->begin + 1, end = i;
  int count = 0;
  if (!is_digit(at(p, i))) return 0;
  for (; count < 16; i++) {
    char c = at(p, i);
    if (is_digit(c)) {
      number[count++] = c;
      end = i + 1;
    } else if (!(c && strchr(" -./()", c) && i - end < 3)) {
      break;
    }
  }
  return count >= 8 && count <= 15 && !is_word(at(p, end)) && number[0] != '0' ? end - p->begin : 0;
}

/* Digits in groups as `form` says ('d' a digit, others themselves). */
static size_t shaped(const place *p, const char *form) {
  size_t i = 0;
  for (; form[i]; i++)
    if (form[i] == 'd' ? !is_digit(at(p, p->begin + i)) : at(p, p->begin + i) != form[i]) return 0;
  return is_word(at(p, p->begin + i)) || at(p, p->begin + i) == '-' ? 0 : i;
}

/* "030 1234567", "0171/1234567": an area code with its 0, one separator, and the number. */
static size_t national(const place *p) {
  char number[MAX_DIGITS];
  int count;
  size_t i = p->begin;
  if (at(p, i) != '0' || at(p, i + 1) == '0') return 0;
  while (is_digit(at(p, i)))
    i++;
  size_t area = i - p->begin;
  if (area < 3 || area > 5 || !at(p, i) || !strchr(" -/", at(p, i))) return 0;
  size_t bytes = digits(p, p->begin, " -/", number, &count);
  return bytes > 0 && count >= 9 && count <= 12 && !is_date(number, count) ? bytes : 0;
}

static size_t phone(const place *p) {
  static const char *const forms[] = {"(ddd) ddd-dddd", "(ddd)ddd-dddd", "ddd-ddd-dddd",
                                      "ddd.ddd.dddd"};
  if (!is_border(p)) return 0;
  if (at(p, p->begin) == '+') return international(p);
  if (p->before == '-' || p->before == '.') return 0;
  for (size_t i = 0; i < FT_ARRAY_SIZE(forms); i++) {
    size_t bytes = shaped(p, forms[i]);
    if (bytes) return bytes;
  }
  return national(p);
}

/* ---------------------------------------------------------------- IP addresses */

static size_t ipv4(const place *p) {
  char text[16];
  struct in_addr address;
  size_t bytes = 0;
  while (bytes < 16 && (is_digit(at(p, p->begin + bytes)) || at(p, p->begin + bytes) == '.'))
    bytes++;
  while (bytes > 0 && at(p, p->begin + bytes - 1) == '.')
    bytes--;
  if (bytes < 7 || bytes > 15 || is_word(at(p, p->begin + bytes))) return 0;
  memcpy(text, p->text + p->begin, bytes);
  text[bytes] = 0;
  if (inet_pton(AF_INET, text, &address) != 1) return 0;
  uint32_t value = ntohl(address.s_addr), first = value >> 24;
  /* nobody's: this network, this host, broadcast; 1.2.3.4 is a version more often than a host */
  return first == 0 || first == 127 || first == 255 || first < 4 ? 0 : bytes;
}

static size_t ipv6(const place *p) {
  char text[46];
  struct in6_addr address;
  size_t bytes = 0;
  int groups = 0;
  bool has_digit = false;
  while (bytes < 45 &&
         (isxdigit((unsigned char)at(p, p->begin + bytes)) || at(p, p->begin + bytes) == ':')) {
    bool starts = at(p, p->begin + bytes) != ':' && (bytes == 0 || text[bytes - 1] == ':');
    groups += starts;
    text[bytes] = at(p, p->begin + bytes);
    has_digit = has_digit || is_digit(text[bytes]);
    bytes++;
  }
  text[bytes] = 0;
  bool plausible = groups >= 4 && has_digit && !is_word(at(p, p->begin + bytes));
  return plausible && inet_pton(AF_INET6, text, &address) == 1 ? bytes : 0;
}

static size_t ip(const place *p) {
  if (!is_border(p) || strchr(".:/-", p->before)) return 0;
  size_t bytes = ipv4(p);
  return bytes ? bytes : ipv6(p);
}

/* ---------------------------------------------------------------- all of them */

static const struct {
  ft_rule rule;
  size_t (*find)(const place *p);
} finders[] = {{FT_RULE_EMAIL, email},
               {FT_RULE_IBAN, iban},
               {FT_RULE_CARD, card},
               {FT_RULE_IP, ip},
               {FT_RULE_PHONE, phone}};

/* An address needs a '@', the others a digit: where there is neither, there is nothing to find. */
static bool may_have_any(const char *text, size_t length) {
  static const char wanted[] = "0123456789@";
  for (const char *c = wanted; *c; c++)
    if (memchr(text, *c, length)) return true;
  return false;
}

void ft_personal_begin(ft_personal *search, uint32_t rules, const char *text) {
  *search = (ft_personal){.rules = rules, .text = text, .length = strlen(text)};
  if (!may_have_any(text, search->length)) search->at = search->length;
  const char *address = strchr(text + search->at, '@');
  search->address = address ? (size_t)(address - text) : search->length;
}

/* Whether an e-mail address may begin before `end`: there is a '@' not far behind. */
static bool near_address(ft_personal *s, size_t begin, size_t end) {
  if (s->address < begin) {
    const char *address = strchr(s->text + begin, '@');
    s->address = address ? (size_t)(address - s->text) : s->length;
  }
  return s->address < s->length && s->address < end + MAX_LOCAL;
}

/* Bits of 64 bytes. */
typedef struct signs {
  uint64_t letter, digit, high, opening, colon;
} signs;

static void look_at(const char *text, signs *out) {
  *out = (signs){0};
  for (int i = 0; i < 64; i += 16) {
    ft_bytes16 v = *(const ft_bytes16 *)(text + i);
    ft_bytes16 letter = (ft_bytes16)(((v | 0x20) - 'a') < 26), digit = (ft_bytes16)((v - '0') < 10);
    ft_bytes16 opening = (ft_bytes16)(v == '+') | (ft_bytes16)(v == '(');
    out->letter |= (uint64_t)ft_top_bits(letter) << i;
    out->digit |= (uint64_t)ft_top_bits(digit) << i;
    out->high |= (uint64_t)ft_top_bits(v) << i;
    out->opening |= (uint64_t)ft_top_bits(opening) << i;
    out->colon |= (uint64_t)ft_top_bits((ft_bytes16)(v == ':')) << i;
  }
}

/* Where, of the WINDOW bytes from `begin` on, something may begin, as bits: at a digit that is not
 * inside of a word, at a sign before a digit, at a word that a digit (of an IBAN) or a colon (of an
 * IPv6 address) follows soon, at any word with a '@' behind. The bytes after the window are known.
 */
enum { WINDOW = 56 };
static uint64_t candidates(ft_personal *s, size_t begin, char before) {
  char last[64] = {0};
  const char *text = s->text + begin;
  signs at;
  if (s->length - begin < sizeof last) text = memcpy(last, text, s->length - begin);
  look_at(text, &at);
  uint64_t word = at.letter | at.digit | at.high;
  uint64_t starts = (at.letter | at.digit) & ~(word << 1 | is_word(before));
  uint64_t followed = at.digit >> 2 | at.colon >> 1 | at.colon >> 2 | at.colon >> 3 | at.colon >> 4;
  if (near_address(s, begin, begin + WINDOW)) followed = ~(uint64_t)0;
  uint64_t found = (starts & (at.digit | followed)) | (at.opening & at.digit >> 1);
  return found & (((uint64_t)1 << WINDOW) - 1);
}

/* What begins at a place. */
static ft_rule find_at(uint32_t rules, const place *p, size_t *bytes) {
  for (size_t i = 0; i < FT_ARRAY_SIZE(finders); i++) {
    if (!(rules & 1u << finders[i].rule)) continue;
    *bytes = finders[i].find(p);
    if (*bytes > 0) return finders[i].rule;
  }
  return FT_NUM_RULES;
}

ft_rule ft_personal_next(ft_personal *s, size_t *begin, size_t *bytes) {
  place p = {.text = s->text, .length = s->length};
  for (; s->at < s->length; s->at += WINDOW) {
    char before = s->at > s->start ? s->text[s->at - 1] : ' ';
    uint64_t left = candidates(s, s->at, before);
    for (; left; left &= left - 1) {
      p.begin = s->at + (size_t)__builtin_ctzll(left);
      p.before = p.begin > s->at ? s->text[p.begin - 1] : before;
      ft_rule rule = find_at(s->rules, &p, bytes);
      if (rule == FT_NUM_RULES) continue;
      *begin = p.begin;
      s->at = p.begin + *bytes;
      return rule;
    }
  }
  return FT_NUM_RULES;
}
