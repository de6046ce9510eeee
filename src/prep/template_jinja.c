/* What a tokenizer's own chat template does, as far as it can be told from its text: Jinja is not
 * run. Facts are taken only from what the template writes as it stands (string literals and text
 * outside of braces), so a message that is found is one the template does write. */
#include <string.h>

#include "template.h"

/* A piece of fixed output. */
typedef struct chunk {
  char *text; /* unescaped, with a terminating zero; owned by the reader's buffer */
  size_t bytes;
} chunk;

typedef struct reader {
  const char *at; /* the next byte of the source */
  bool in_braces; /* inside {{ … }} or {% … %} */
  char *buffer;   /* [source bytes + 1] */
} reader;

static size_t unescape(char escaped, char *out) {
  switch (escaped) {
  case 'n':
    out[0] = '\n';
    return 1;
  case 't':
    out[0] = '\t';
    return 1;
  case 'r':
    out[0] = '\r';
    return 1;
  case '\\':
  case '\'':
  case '"':
    out[0] = escaped;
    return 1;
  default:
    out[0] = '\\';
    out[1] = escaped;
    return 2;
  }
}

/* A literal; r->at is on its quote. */
static void read_literal(reader *r, chunk *out) {
  char quote = *r->at++;
  while (*r->at && *r->at != quote) {
    if (*r->at == '\\' && r->at[1]) {
      out->bytes += unescape(r->at[1], out->text + out->bytes);
      r->at += 2;
    } else {
      out->text[out->bytes++] = *r->at++;
    }
  }
  if (*r->at) r->at++;
}

static void skip_comment(reader *r) {
  const char *end = strstr(r->at, "#}");
  r->at = end ? end + 2 : r->at + strlen(r->at);
}

/* The next literal, or text outside of braces; false at the end. */
static bool next_chunk(reader *r, chunk *out) {
  *out = (chunk){.text = r->buffer};
  while (*r->at) {
    if (r->in_braces) {
      if ((r->at[0] == '}' || r->at[0] == '%') && r->at[1] == '}') {
        r->in_braces = false;
        r->at += 2;
      } else if (*r->at == '\'' || *r->at == '"') {
        read_literal(r, out);
        break;
      } else {
        r->at++;
      }
    } else if (r->at[0] == '{' && (r->at[1] == '{' || r->at[1] == '%' || r->at[1] == '#')) {
      if (out->bytes > 0) break;
      r->in_braces = r->at[1] != '#';
      r->at += 2;
      if (!r->in_braces) skip_comment(r);
    } else {
      out->text[out->bytes++] = *r->at++;
    }
  }
  out->text[out->bytes] = 0;
  return out->bytes > 0 || *r->at;
}

/* A whole system turn in one chunk is a fixed message: the user's could not stand in it. Two
 * different ones leave it open which is meant. */
static ft_err find_system(const chunk *c, char **system, bool *ambiguous) {
  static const char begin[] = "<|im_start|>system\n", end[] = "<|im_end|>";
  const char *found = strstr(c->text, begin);
  const char *stop = found ? strstr(found, end) : NULL;
  if (!stop) return FT_OK;
  found += sizeof begin - 1;
  size_t bytes = (size_t)(stop - found);
  if (*system) {
    if (strlen(*system) != bytes || memcmp(*system, found, bytes) != 0) *ambiguous = true;
    return FT_OK;
  }
  return ft_format(system, "%.*s", (int)bytes, found);
}

/* Llama 3.1 and later write "Cutting Knowledge Date: …\nToday Date: DATE\n\n" before the system
 * message, whose DATE is by default a literal (a template may put the current day instead: data
 * must not change from day to day, so it is not followed in that). */
static ft_err find_preamble(const chunk *c, const char *source, char **preamble) {
  static const char mark[] = "Cutting Knowledge Date:", assignment[] = "date_string = \"";
  if (*preamble || strncmp(c->text, mark, sizeof mark - 1) != 0) return FT_OK;
  const char *date = strstr(source, assignment);
  if (!strstr(source, "\"Today Date: \"") || !date) return FT_OK;
  date += sizeof assignment - 1;
  return ft_format(preamble, "%sToday Date: %.*s\n\n", c->text, (int)strcspn(date, "\""), date);
}

ft_err ft_jinja_read(const char *source, ft_jinja_facts *out) {
  ft_err err = FT_OK;
  bool ambiguous = false;
  void *buffer = NULL;
  chunk c;
  *out = (ft_jinja_facts){.mentions_bos = strstr(source, "bos_token") != NULL,
                          .has_chatml = strstr(source, "<|im_start|>") != NULL,
                          .has_llama2 = strstr(source, "[INST]") && strstr(source, "<<SYS>>"),
                          .has_llama3 = strstr(source, "<|start_header_id|>") != NULL};
  FT_TRY(ft_alloc(FT_MEM_PREP, strlen(source) + 3, &buffer));
  reader r = {.at = source, .buffer = buffer};
  while (next_chunk(&r, &c)) {
    FT_TRY(find_system(&c, &out->system, &ambiguous));
    FT_TRY(find_preamble(&c, source, &out->preamble));
  }
  if (ambiguous) {
    ft_free(out->system);
    out->system = NULL;
  }
out:
  ft_free(buffer);
  if (err != FT_OK) ft_jinja_facts_fini(out);
  return err;
}

void ft_jinja_facts_fini(ft_jinja_facts *facts) {
  ft_free(facts->system);
  ft_free(facts->preamble);
  *facts = (ft_jinja_facts){0};
}
