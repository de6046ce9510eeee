/* Manual pages, from the tables of the commands' arguments. */
#include <ctype.h>
#include <string.h>

#include "ft/train.h"
#include "generated.h"
#include "run_arguments.h"

bool ft_command_takes_config(const ft_command *command) {
  return command->argp->help_filter == ft_cli_config_help;
}

/* Text in roff: what roff would take for its own is escaped. Stops at `length` bytes. */
static void put_text(FILE *out, const char *text, size_t length) {
  bool line_begins = true;
  for (size_t i = 0; i < length && text[i]; i++) {
    char c = text[i];
    if (line_begins && (c == '.' || c == '\'')) fputs("\\&", out);
    line_begins = c == '\n';
    if (c == '\\')
      fputs("\\e", out);
    else if (c == '-')
      fputs("\\-", out);
    else if (c == '\'')
      fputs("\\(aq", out);
    else
      fputc(c, out);
  }
}

static void put_all(FILE *out, const char *text) {
  put_text(out, text, strlen(text));
}

static void put_head(FILE *out, const char *name, const char *summary) {
  fputs(".TH \"", out);
  for (const char *c = name; *c; c++)
    fputc(toupper((unsigned char)*c), out);
  fprintf(out, "\" 1 \"\" \"ftrun %s\" \"User commands\"\n.SH NAME\n", FT_VERSION);
  put_all(out, name);
  fputs(" \\- ", out);
  put_all(out, summary);
  fputc('\n', out);
}

static void put_option(FILE *out, const struct argp_option *o) {
  fputs(".TP\n", out);
  if (ft_option_has_letter(o)) fprintf(out, "\\fB\\-%c\\fR, ", o->key);
  fputs("\\fB\\-\\-", out);
  put_all(out, o->name);
  fputs("\\fR", out);
  if (o->arg) {
    fputs(o->flags & OPTION_ARG_OPTIONAL ? "[=\\fI" : "=\\fI", out);
    put_all(out, o->arg);
    fputs(o->flags & OPTION_ARG_OPTIONAL ? "\\fR]" : "\\fR", out);
  }
  fputc('\n', out);
  put_all(out, o->doc ? o->doc : "");
  fputc('\n', out);
}

static void put_options(FILE *out, const struct argp *argp) {
  fputs(".SH OPTIONS\n", out);
  for (const struct argp_option *o = argp->options; o && !ft_option_is_end(o); o++)
    if (ft_option_is_public(o)) put_option(out, o);
  fputs(".TP\n\\fB\\-?\\fR, \\fB\\-\\-help\\fR\nGive a help list.\n"
        ".TP\n\\fB\\-\\-usage\\fR\nGive a short usage message.\n",
        out);
}

static void put_keys(FILE *out) {
  int64_t count;
  const ft_config_key *keys = ft_config_keys(&count);
  fputs(".SH KEYS OF THE CONFIGURATION\n"
        "An override has the form KEY=VALUE; the value is JSON, or else taken as a string.\n",
        out);
  for (int64_t i = 0; i < count; i++) {
    fputs(".TP\n\\fB", out);
    put_all(out, keys[i].path);
    fputs("\\fR (", out);
    put_all(out, keys[i].type);
    fputs("; default ", out);
    put_all(out, keys[i].initial);
    fputs(")\n", out);
    put_all(out, keys[i].meaning);
    fputs(". Allowed: ", out);
    put_all(out, keys[i].allowed);
    fputs(".\n", out);
  }
}

static void put_exit_status(FILE *out) {
  fputs(".SH EXIT STATUS\n"
        "0 finished; 64 the command line is wrong; 65 a model directory or data file, or numbers "
        "that went wrong; 66 a path that does not exist; 70 a bug; 71 memory; 73, 74 an output "
        "cannot be created, reading or writing failed; 75 stopped early, run again to go on; 78 "
        "the configuration is wrong.\n",
        out);
}

static void put_command(FILE *out, const ft_command *c) {
  const char *doc = c->argp->doc ? c->argp->doc : "", *rest = strchr(doc, '\v');
  char name[64];
  snprintf(name, sizeof name, "ftrun-%s", c->name);
  put_head(out, name, c->summary);
  fprintf(out, ".SH SYNOPSIS\n\\fBftrun %s\\fR [OPTION...] ", c->name);
  put_all(out, c->argp->args_doc ? c->argp->args_doc : "");
  fputs("\n.SH DESCRIPTION\n", out);
  put_text(out, doc, rest ? (size_t)(rest - doc) : strlen(doc));
  fputc('\n', out);
  put_options(out, c->argp);
  if (ft_command_takes_config(c)) put_keys(out);
  if (rest) {
    fputs(".SH NOTES\n", out);
    put_all(out, rest + 1);
    fputc('\n', out);
  }
  put_exit_status(out);
  fputs(".SH SEE ALSO\n.BR ftrun (1)\n", out);
}

static void put_program(FILE *out) {
  put_head(out, "ftrun", "fine-tunes language models on CPU clusters");
  fputs(".SH SYNOPSIS\n\\fBftrun\\fR COMMAND [ARGUMENTS]\n.SH DESCRIPTION\n"
        "Fine\\-tunes decoder language models on CPU clusters; runs under mpirun or srun, or "
        "alone. Results go to standard output, everything else to standard error.\n"
        ".SH COMMANDS\n",
        out);
  for (int64_t i = 0; i < ft_num_commands; i++) {
    fprintf(out, ".TP\n\\fBftrun %s\\fR\n", ft_commands[i].name);
    put_all(out, ft_commands[i].summary);
    fputc('\n', out);
  }
  put_exit_status(out);
  fputs(".SH SEE ALSO\n", out);
  for (int64_t i = 0; i < ft_num_commands; i++)
    fprintf(out, ".BR ftrun\\-%s (1)%s\n", ft_commands[i].name, i + 1 < ft_num_commands ? "," : "");
}

void ft_print_manual(FILE *out, const ft_command *command) {
  if (command)
    put_command(out, command);
  else
    put_program(out);
}
