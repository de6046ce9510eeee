/* What a model's chat template does, for people. */
#include "check_template.h"

#include <stdio.h>

static void print_part(const ft_chat_check *check, ft_chat_part part) {
  static const char *const words[] = {
      [FT_CHAT_WRITTEN] = "written", [FT_CHAT_DROPPED] = "left out", [FT_CHAT_REFUSED] = "refused"};
  ft_chat_support support = check->parts[part];
  printf("%-29s %s", ft_chat_part_name(part), words[support]);
  if (support == FT_CHAT_REFUSED) printf(": %s", check->reasons[part]);
  putchar('\n');
}

ft_err ft_cli_check_template(const ft_tokenizer *t, const ft_render_options *options) {
  ft_chat_check check;
  ft_err err = ft_chat_check_template(t, options, &check);
  if (err != FT_OK) return err;
  printf("%-29s the model's own, SHA-256 %.12s\n", "template", ft_chat_sha256(options->chat));
  if (check.refuses_chats)
    return ft_fail(FT_ERR_DATA, "a question and its answer are refused: %s", check.reason);
  for (int i = 0; i < FT_NUM_CHAT_PARTS; i++)
    print_part(&check, (ft_chat_part)i);
  printf("%-29s %s\n", "earlier answers",
         check.keeps_history ? "written as when they were the last (prefixes are kept)"
                             : "written differently once more follows (prefixes are not kept)");
  printf("%-29s ", "end of the turn");
  if (check.end_of_turn >= 0)
    printf("%s, learnt\n", ft_tokenizer_token(t, check.end_of_turn));
  else
    printf("not learnt: the last answer ends without a token that stops the model\n");
  printf("%-29s %s (%lld control tokens tried)\n", "contents",
         check.can_be_forged ? "can write control tokens" : "cannot forge a turn",
         (long long)check.num_control);
  printf("%-29s %s\n", "what is learnt",
         check.marks_generation ? "what the template marks ({% generation %})"
                                : "from the generation prompt's end to the end of the turn");
  if (check.reads_date) printf("%-29s today's, unless --date fixes it\n", "date");
  return FT_OK;
}
