/* ftrun COMMAND …: finds the command and runs it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common.h"

typedef struct command {
  const char *name, *summary;
  int (*run)(int argc, char **argv);
  bool brief_waits; /* someone sits in front of it, on a machine that others may use */
} command;

static const command commands[] = {
    {"train", "train a model, or go on where a run stopped", ft_cli_train, false},
    {"eval", "validation losses of a checkpoint or a model directory", ft_cli_eval, false},
    {"prep", "turn JSONL into token shards", ft_cli_prep, false},
    {"tokenize", "print token ids, and what would be trained on", ft_cli_tokenize, false},
    {"generate", "print a model's continuation of a prompt", ft_cli_generate, true},
    {"export", "turn a checkpoint into a Hugging Face model directory", ft_cli_export, false},
    {"init", "make a model directory with random weights", ft_cli_init, false},
    {"inspect", "say what a file or directory is, and verify its checksums", ft_cli_inspect, false},
    {"bench", "measure this machine, and training on it", ft_cli_bench, false},
};

static void print_help(FILE *to) {
  fprintf(to, "Usage: ftrun COMMAND [ARGUMENTS]\n"
              "Fine-tunes decoder language models on CPU clusters; runs under mpirun or srun, or "
              "alone.\n\n");
  for (size_t i = 0; i < FT_ARRAY_SIZE(commands); i++)
    fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
  fprintf(to, "\nftrun COMMAND --help tells more. ftrun --version prints the version.\n");
}

/* argv: all of the program's. */
static int run(const command *c, int argc, char **argv) {
  char name[64];
  if (c->brief_waits) ft_cli_wait_briefly(argv);
  snprintf(name, sizeof name, "ftrun %s", c->name);
  argv[1] = name; /* what usage messages begin with */
  return c->run(argc - 1, argv + 1);
}

int main(int argc, char **argv) {
  ft_log_set_rank(ft_cli_launch_rank());
  bool speaks = ft_cli_launch_rank() == 0;
  const char *name = argc > 1 ? argv[1] : "";
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
    if (speaks) print_help(stdout);
    return FT_OK;
  }
  if (strcmp(name, "--version") == 0) {
    if (speaks) printf("ftrun %s\n", FT_VERSION);
    return FT_OK;
  }
  for (size_t i = 0; i < FT_ARRAY_SIZE(commands); i++)
    if (strcmp(name, commands[i].name) == 0) return run(&commands[i], argc, argv);
  if (speaks) {
    if (*name) fprintf(stderr, "ftrun: there is no command \"%s\"\n\n", name);
    print_help(stderr);
  }
  return FT_ERR_USAGE;
}
