/* Regular expressions by PCRE2's just-in-time compiler. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "regex.h"

#include <pcre2.h>
#include <string.h>

#include "unicode.h"

enum { JIT_STACK_START = 32 << 10, JIT_STACK_MAX = 64 << 20 };
enum { FEWEST_TRIES = 10000000, TRIES_A_BYTE = 64 };

struct ft_regex {
  char *pattern; /* as it stands in tokenizer.json */
  pcre2_code *quick;
  pcre2_code *exact; /* NULL: the same as quick */
};

struct ft_regex_scratch {
  pcre2_match_data *data;
  pcre2_match_context *context;
  pcre2_jit_stack *stack;
};

static ft_err compile(const char *pattern, const ft_regex_text *translated, pcre2_code **out) {
  ft_err err = FT_OK;
  int code;
  size_t at;
  pcre2_compile_context *context = pcre2_compile_context_create(NULL);
  FT_CHECK(context, FT_ERR_MEMORY, "no memory to compile a regular expression");
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  *out = pcre2_compile((PCRE2_SPTR)translated->text, translated->length,
                       PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NO_AUTO_CAPTURE |
                           PCRE2_NEVER_BACKSLASH_C,
                       &code, &at, context);
  if (!*out) {
    unsigned char message[160];
    pcre2_get_error_message(code, message, sizeof message);
    FT_TRY(ft_fail(FT_ERR_DATA, "the regular expression \"%.500s\": %s", pattern, message));
  }
  /* without the just-in-time compiler the same matches are found, more slowly */
  pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE);
out:
  pcre2_compile_context_free(context);
  return err;
}

ft_err ft_regex_compile(const char *pattern, ft_regex **out) {
  ft_err err = FT_OK;
  ft_regex_text quick = {0}, exact = {0};
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_TOKENIZER, sizeof **out, &memory));
  ft_regex *regex = memory;
  FT_TRY(ft_strdup(pattern, &regex->pattern));
  FT_TRY(ft_regex_translate(pattern, &quick, &exact));
  FT_TRY(compile(pattern, &quick, &regex->quick));
  if (strcmp(quick.text, exact.text) != 0) FT_TRY(compile(pattern, &exact, &regex->exact));
  *out = regex;
  memory = NULL;
out:
  ft_regex_free(memory);
  ft_regex_text_fini(&quick);
  ft_regex_text_fini(&exact);
  return err;
}

void ft_regex_free(ft_regex *regex) {
  if (!regex) return;
  pcre2_code_free(regex->quick);
  pcre2_code_free(regex->exact);
  ft_free(regex->pattern);
  ft_free(regex);
}

const char *ft_regex_pattern(const ft_regex *regex) {
  return regex->pattern;
}

ft_err ft_regex_scratch_new(ft_regex_scratch **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_TOKENIZER, sizeof **out, &memory));
  ft_regex_scratch *s = memory;
  s->data = pcre2_match_data_create(1, NULL);
  s->context = pcre2_match_context_create(NULL);
  s->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, NULL);
  FT_CHECK(s->data && s->context, FT_ERR_MEMORY, "no memory for regular expressions");
  if (s->stack) pcre2_jit_stack_assign(s->context, NULL, s->stack);
  pcre2_set_depth_limit(s->context, UINT32_MAX); /* the match limit bounds it, too */
  *out = s;
  memory = NULL;
out:
  ft_regex_scratch_free(memory);
  return err;
}

void ft_regex_scratch_free(ft_regex_scratch *s) {
  if (!s) return;
  pcre2_match_data_free(s->data);
  pcre2_match_context_free(s->context);
  pcre2_jit_stack_free(s->stack);
  ft_free(s);
}

/* One search from m->from on. */
static ft_err search(const ft_regex_matches *m, size_t *start, size_t *end, bool *found) {
  const ft_regex *regex = m->regex;
  pcre2_code *code = m->unusual && regex->exact ? regex->exact : regex->quick;
  /* what a tokenizer's pattern needs grows with the text (a long run of spaces is legal); what a
     stranger's may need grows without bounds */
  size_t limit = FEWEST_TRIES + TRIES_A_BYTE * m->bytes;
  pcre2_set_match_limit(m->scratch->context, (uint32_t)FT_MIN(limit, UINT32_MAX));
  int rc = pcre2_match(code, (PCRE2_SPTR)m->text, m->bytes, m->from, PCRE2_NO_UTF_CHECK,
                       m->scratch->data, m->scratch->context);
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter keeps its state on the heap */
    rc = pcre2_match(code, (PCRE2_SPTR)m->text, m->bytes, m->from,
                     PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m->scratch->data, m->scratch->context);
  *found = rc >= 0;
  if (rc == PCRE2_ERROR_NOMATCH) return FT_OK;
  if (rc < 0) {
    unsigned char message[160];
    pcre2_get_error_message(rc, message, sizeof message);
    return ft_fail(FT_ERR_DATA, "matching a regular expression of the tokenizer: %s", message);
  }
  const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m->scratch->data);
  *start = at[0];
  *end = at[1];
  return FT_OK;
}

ft_err ft_regex_next(ft_regex_matches *m, size_t *start, size_t *end, bool *found) {
  for (;;) {
    *found = false;
    if (m->from > m->bytes) return FT_OK;
    ft_err err = search(m, start, end, found);
    if (err != FT_OK || !*found) return err;
    if (*start != *end || m->last_end != *end) break;
    /* an empty match right behind the last one does not count: try one character on */
    m->from += m->from < m->bytes ? ft_utf8_length(m->text[m->from]) : 1;
  }
  m->from = m->last_end = *end;
  return FT_OK;
}
