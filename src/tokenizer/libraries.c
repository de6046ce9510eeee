/* The versions of the libraries that know expressions and characters. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>
#include <utf8proc.h>

#include "ft/tokenizer.h"

const char *ft_tokenizer_libraries(void) {
  static char text[128];
  char pcre2[64] = ""; /* "10.42 2022-12-11" */
  if (pcre2_config(PCRE2_CONFIG_VERSION, NULL) <= (int)sizeof pcre2)
    pcre2_config(PCRE2_CONFIG_VERSION, pcre2);
  pcre2[strcspn(pcre2, " ")] = 0;
  snprintf(text, sizeof text, "PCRE2 %s, utf8proc %s", pcre2, utf8proc_version());
  return text;
}
