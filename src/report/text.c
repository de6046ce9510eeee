/* Texts of people in HTML and SVG, and numbers for people. */
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "ft/base_utf8.h"

/* Whether XML has the character: of those that control, only line breaks and tabs. */
static bool is_text(const char *c, size_t length) {
  bool control = length == 1 && (unsigned char)*c < 0x20 && *c != '\n' && *c != '\t';
  bool none =
      length == 3 && (memcmp(c, "\xEF\xBF\xBE", 3) == 0 || memcmp(c, "\xEF\xBF\xBF", 3) == 0);
  return length > 0 && !control && !none;
}

void ft_text_escaped(FILE *out, const char *text) {
  size_t room = strlen(text), valid;
  for (const char *c = text; room > 0; room -= valid, c += valid) {
    size_t length = ft_utf8_next(c, room, &valid);
    if (length > 0) valid = length;
    if (!is_text(c, length))
      fputs("\xEF\xBF\xBD", out);
    else if (*c == '<')
      fputs("&lt;", out);
    else if (*c == '>')
      fputs("&gt;", out);
    else if (*c == '&')
      fputs("&amp;", out);
    else if (*c == '"')
      fputs("&quot;", out);
    else
      fwrite(c, 1, length, out);
  }
}

const char *ft_text_count(int64_t value, char out[TEXT_NUMBER_BYTES]) {
  char digits[24];
  int n = snprintf(digits, sizeof digits, "%" PRId64, value), at = 0;
  for (int i = 0; i < n; i++) {
    out[at++] = digits[i];
    int left = n - 1 - i;
    if (left > 0 && left % 3 == 0 && digits[i] != '-') out[at++] = ',';
  }
  out[at] = 0;
  return out;
}

const char *ft_text_number(double value, char out[TEXT_NUMBER_BYTES]) {
  if (!isfinite(value))
    snprintf(out, TEXT_NUMBER_BYTES, "–");
  else if (fabs(value) >= 1000 && fabs(value) < 1e15)
    ft_text_count((int64_t)llround(value), out);
  else if (fabs(value) >= 100)
    snprintf(out, TEXT_NUMBER_BYTES, "%.1f", value);
  else if (fabs(value) >= 10)
    snprintf(out, TEXT_NUMBER_BYTES, "%.2f", value);
  else if (fabs(value) >= 0.1)
    snprintf(out, TEXT_NUMBER_BYTES, "%.4f", value);
  else
    snprintf(out, TEXT_NUMBER_BYTES, "%.4g", value);
  return out;
}

const char *ft_text_duration(double seconds, char out[TEXT_NUMBER_BYTES]) {
  if (!(seconds >= 0 && seconds < 1e15)) return ft_text_number(NAN, out);
  int64_t s = (int64_t)(seconds + 0.5);
  if (seconds < 10)
    snprintf(out, TEXT_NUMBER_BYTES, "%.2g s", seconds);
  else if (s < 120)
    snprintf(out, TEXT_NUMBER_BYTES, "%" PRId64 " s", s);
  else if (s < 7200)
    snprintf(out, TEXT_NUMBER_BYTES, "%" PRId64 " min", (s + 30) / 60);
  else if (s < 172800)
    snprintf(out, TEXT_NUMBER_BYTES, "%" PRId64 " h %02" PRId64 " min", s / 3600, s % 3600 / 60);
  else
    snprintf(out, TEXT_NUMBER_BYTES, "%" PRId64 " d %" PRId64 " h", s / 86400, s % 86400 / 3600);
  return out;
}

const char *ft_text_bytes(double bytes, char out[TEXT_NUMBER_BYTES]) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  if (!isfinite(bytes)) return ft_text_number(NAN, out);
  for (; fabs(bytes) >= 1024 && unit + 1 < FT_ARRAY_SIZE(units); unit++)
    bytes /= 1024;
  snprintf(out, TEXT_NUMBER_BYTES, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
  return out;
}
