/* What a text is: JSON of some form, a table, a page, or nothing of these. */
#include <string.h>

#include "ft/base_utf8.h"
#include "kind.h"

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool begins(const char *text, const char *word) {
  size_t length = strlen(word);
  for (size_t i = 0; i < length; i++)
    if ((text[i] | 0x20) != (word[i] | 0x20)) return false;
  return true;
}

/* ---------------------------------------------------------------- text or not */

/* A control character that no text has. */
static bool is_control(unsigned char c) {
  return c < 0x20 && !(c >= '\b' && c <= '\r') && c != 0x1b;
}

/* Text in UTF-8, of which the last character may be cut off. */
static bool is_text(const ft_kind_head *h) {
  size_t valid;
  for (size_t at = 0; at < h->bytes;) {
    if (is_control(h->data[at])) return false;
    size_t length = ft_utf8_next((const char *)h->data + at, h->bytes - at, &valid);
    if (length == 0) return !h->whole && at + valid == h->bytes;
    at += length;
  }
  return true;
}

/* ---------------------------------------------------------------- JSON */

/* Where the object, list or string that the text begins with ends within its line, or NULL. */
static const char *end_in_line(const char *text) {
  int depth = 0;
  bool quoted = false;
  for (const char *c = text; *c && *c != '\n'; c++) {
    if (quoted && *c == '\\' && c[1])
      c++;
    else if (*c == '"')
      quoted = !quoted;
    else if (!quoted && (*c == '{' || *c == '['))
      depth++;
    else if (!quoted && (*c == '}' || *c == ']'))
      depth--;
    if (!quoted && depth == 0) return c + 1;
  }
  return NULL;
}

/* A list, and not the title of a section, as in TOML. */
static bool begins_list(const char *text) {
  for (text++; is_space(*text);)
    text++;
  return !*text || strchr("[]{\"-0123456789", *text) || begins(text, "null,") ||
         begins(text, "true,") || begins(text, "false,");
}

/* A string by itself in its line. */
static bool is_string_line(const char *text) {
  const char *end = end_in_line(text);
  while (end && (*end == ' ' || *end == '\r'))
    end++;
  return end && (!*end || *end == '\n');
}

static bool has_object_line(const char *text) {
  for (; text; text = strchr(text, '\n')) {
    while (is_space(*text))
      text++;
    if (*text == '{') return true;
  }
  return false;
}

/* One value over several lines, or a line that is a value by itself. Where the next line begins a
 * value, these are lines, and the first is a bad one or not. */
static ft_kind kind_of_json(const char *text, bool whole) {
  const char *next = strchr(text, '\n'), *end = end_in_line(text);
  if (end && *end == '\r' && end[1] == '{') return FT_KIND_CR_LINES;
  /* a line that is longer than what was looked at may be one of many */
  if (!next && !whole) return FT_KIND_JSON_LINES;
  while (next && is_space(*next))
    next++;
  if (next && *next == '{' && (*text == '{' || end)) return FT_KIND_JSON_LINES;
  if (next && *next == '[' && *text == '[' && end) return FT_KIND_JSON_LINES;
  if (*text == '[') return FT_KIND_JSON_ARRAY;
  return end || !next ? FT_KIND_JSON_LINES : FT_KIND_JSON_OBJECT;
}

/* ---------------------------------------------------------------- tables */

static size_t count_in_line(const char *line, char separator) {
  size_t count = 0;
  for (; *line && *line != '\n'; line++)
    count += *line == separator;
  return count;
}

/* Two lines with the same number of separators. */
static bool is_separated_by(const char *text, char separator) {
  const char *second = strchr(text, '\n');
  size_t count = count_in_line(text, separator);
  return count > 0 && second && second[1] && count_in_line(second + 1, separator) == count;
}

ft_kind ft_kind_of_text(const ft_kind_head *h) {
  const char *text = (const char *)h->data;
  if (memcmp(text, "\xEF\xBB\xBF", 3) == 0) text += 3;
  while (is_space(*text))
    text++;
  if (!*text && strlen((const char *)h->data) == h->bytes)
    return h->whole ? FT_KIND_EMPTY : FT_KIND_TEXT;
  /* before the question whether it is text: one bad byte makes a bad line, not another kind */
  if (*text == '{' || (*text == '[' && begins_list(text))) return kind_of_json(text, h->whole);
  if (ft_ends_with(h->path, ".csv")) return FT_KIND_TABLE;
  if (ft_ends_with(h->path, ".tsv")) return FT_KIND_TABLE_TABS;
  if (has_object_line(text)) return FT_KIND_JSON_LINES;
  if (!is_text(h)) return FT_KIND_BINARY;
  if (begins(text, "<!doctype html") || begins(text, "<html") || begins(text, "<head") ||
      begins(text, "<error>"))
    return FT_KIND_HTML;
  if (begins(text, "<?xml")) return FT_KIND_XML;
  if (*text == '"' && is_string_line(text)) return FT_KIND_JSON_LINES;
  if (is_separated_by(text, '\t')) return FT_KIND_TABLE_TABS;
  return is_separated_by(text, ',') ? FT_KIND_TABLE : FT_KIND_TEXT;
}
