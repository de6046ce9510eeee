/* Tokens for people. */
#include "show_tokens.h"

#include "ft/base_utf8.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_ROOM = 4096 };

bool ft_cli_color_auto(void) {
  const char *no_color = getenv("NO_COLOR");
  return isatty(STDOUT_FILENO) && !(no_color && *no_color);
}

bool ft_cli_color(const struct argp_state *state, const char *text) {
  if (strcmp(text, "always") == 0) return true;
  if (strcmp(text, "auto") == 0) return ft_cli_color_auto();
  if (strcmp(text, "never") != 0)
    argp_error(state, "--color: found \"%s\", expected auto, always or never", text);
  return false;
}

/* A byte that is no whole character, or would move the cursor. */
static void print_byte(FILE *to, unsigned char c) {
  if (c == '\n')
    fputs("⏎", to); /* the line itself is broken after the token */
  else if (c == '\t')
    fputs("⇥", to);
  else
    fprintf(to, "<%02X>", c);
}

static void print_piece(FILE *to, const char *piece, size_t bytes) {
  const unsigned char *s = (const unsigned char *)piece;
  for (size_t i = 0, valid; i < bytes;) {
    size_t length = ft_utf8_next(piece + i, bytes - i, &valid);
    if (length == 0 || s[i] < 0x20 || s[i] == 0x7F) {
      print_byte(to, s[i]);
      i++;
    } else {
      fwrite(s + i, 1, length, to);
      i += length;
    }
  }
}

static void print_token(FILE *to, const ft_tokenizer *t, uint32_t id, bool *breaks) {
  char piece[PIECE_ROOM];
  *breaks = false;
  const char *content = ft_tokenizer_is_special(t, id) ? ft_tokenizer_token(t, id) : NULL;
  size_t bytes = content ? strlen(content) : ft_tokenizer_piece(t, id, false, piece, sizeof piece);
  if (!content) content = piece;
  bytes = content == piece ? FT_MIN(bytes, sizeof piece) : bytes;
  print_piece(to, content, bytes);
  *breaks = bytes > 0 && content[bytes - 1] == '\n';
}

void ft_show_tokens(FILE *to, const char *heading, const ft_tokenizer *t, const ft_ids *ids,
                    bool color) {
  const char *begin = color ? "\033[4;32m" : "«", *end = color ? "\033[0m" : "»";
  const char *bar = color ? "\033[2m│\033[0m" : "│";
  int64_t targets = 0;
  bool was_target = false, breaks = true;
  for (int64_t i = 0; i < ids->count; i++)
    targets += ids->mask[i];
  fprintf(to, "%s%lld tokens, %lld targets\n", heading, (long long)ids->count, (long long)targets);
  for (int64_t i = 0; i < ids->count; i++) {
    bool target = ids->mask[i];
    if (was_target && (color || !target)) fputs(end, to);
    if (i > 0) fputs(bar, to);
    if (i > 0 && breaks) fputc('\n', to);
    if (target && (color || !was_target)) fputs(begin, to);
    print_token(to, t, ids->ids[i], &breaks);
    was_target = target;
  }
  if (was_target) fputs(end, to);
  fputs("\n\n", to);
}
