/* The table of commands. */
#include "commands.h"

#include <string.h>

const ft_command ft_commands[] = {
    {"train", "train a model, or go on where a run stopped", &ft_cli_train_argp, ft_cli_train,
     false},
    {"eval", "validation losses of a checkpoint or a model directory", &ft_cli_eval_argp,
     ft_cli_eval, false},
    {"prep", "turn JSONL into token shards", &ft_cli_prep_argp, ft_cli_prep, false},
    {"tokenize", "print token ids, and what would be trained on", &ft_cli_tokenize_argp,
     ft_cli_tokenize, false},
    {"generate", "print a model's continuation of a prompt", &ft_cli_generate_argp, ft_cli_generate,
     true},
    {"export", "turn a checkpoint into a Hugging Face model directory", &ft_cli_export_argp,
     ft_cli_export, false},
    {"init", "make a model directory with random weights", &ft_cli_init_argp, ft_cli_init, false},
    {"inspect", "say what a file or directory is, and verify its checksums", &ft_cli_inspect_argp,
     ft_cli_inspect, false},
    {"status", "say where runs are, and who holds them", &ft_cli_status_argp, ft_cli_status, false},
    {"report", "write a page of curves and facts of runs", &ft_cli_report_argp, ft_cli_report,
     false},
    {"gate", "say whether a run is good enough, for scripts", &ft_cli_gate_argp, ft_cli_gate,
     false},
    {"bench", "measure this machine, and training on it", &ft_cli_bench_argp, ft_cli_bench, false},
    {"help", "explain a command, or a key of the configuration", &ft_cli_help_argp, ft_cli_help,
     false},
};

const int64_t ft_num_commands = FT_ARRAY_SIZE(ft_commands);

const ft_command *ft_command_find(const char *name) {
  for (int64_t i = 0; i < ft_num_commands; i++)
    if (strcmp(ft_commands[i].name, name) == 0) return &ft_commands[i];
  return NULL;
}
