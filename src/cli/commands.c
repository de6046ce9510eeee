/* The table of commands. */
#include "commands.h"

#include <string.h>

const ft_command ft_commands[] = {
    {.name = "train",
     .summary = "train a model, or go on where a run stopped",
     .argp = &ft_cli_train_argp,
     .run = ft_cli_train,
     .prints_result = true},
    {.name = "eval",
     .summary = "validation losses of a checkpoint or a model directory",
     .argp = &ft_cli_eval_argp,
     .run = ft_cli_eval,
     .prints_result = true},
    {.name = "prep",
     .summary = "turn JSONL into token shards",
     .argp = &ft_cli_prep_argp,
     .run = ft_cli_prep},
    {.name = "tokenize",
     .summary = "print token ids, and what would be trained on",
     .argp = &ft_cli_tokenize_argp,
     .run = ft_cli_tokenize,
     .prints_result = true},
    {.name = "generate",
     .summary = "print a model's continuation of a prompt",
     .argp = &ft_cli_generate_argp,
     .run = ft_cli_generate,
     .brief_waits = true,
     .prints_result = true},
    {.name = "export",
     .summary = "turn a checkpoint into a Hugging Face model directory",
     .argp = &ft_cli_export_argp,
     .run = ft_cli_export},
    {.name = "init",
     .summary = "make a model directory with random weights",
     .argp = &ft_cli_init_argp,
     .run = ft_cli_init},
    {.name = "inspect",
     .summary = "say what a file or directory is, and verify its checksums",
     .argp = &ft_cli_inspect_argp,
     .run = ft_cli_inspect,
     .prints_result = true},
    {.name = "status",
     .summary = "say where runs are, and who holds them",
     .argp = &ft_cli_status_argp,
     .run = ft_cli_status,
     .prints_result = true},
    {.name = "report",
     .summary = "write a page of curves and facts of runs",
     .argp = &ft_cli_report_argp,
     .run = ft_cli_report},
    {.name = "gate",
     .summary = "say whether a run is good enough, for scripts",
     .argp = &ft_cli_gate_argp,
     .run = ft_cli_gate},
    {.name = "plan",
     .summary = "say what a run will take, and whether it fits",
     .argp = &ft_cli_plan_argp,
     .run = ft_cli_plan,
     .prints_result = true},
    {.name = "bench",
     .summary = "measure this machine, and training on it",
     .argp = &ft_cli_bench_argp,
     .run = ft_cli_bench,
     .prints_result = true},
    {.name = "help",
     .summary = "explain a command, or a key of the configuration",
     .argp = &ft_cli_help_argp,
     .run = ft_cli_help,
     .prints_result = true},
};

const int64_t ft_num_commands = FT_ARRAY_SIZE(ft_commands);

const ft_command *ft_command_find(const char *name) {
  for (int64_t i = 0; i < ft_num_commands; i++)
    if (strcmp(ft_commands[i].name, name) == 0) return &ft_commands[i];
  return NULL;
}

const ft_command *ft_command_nearest(const char *name) {
  const ft_command *best = NULL;
  size_t least = 3;
  for (int64_t i = 0; i < ft_num_commands; i++) {
    size_t distance = ft_edit_distance(name, ft_commands[i].name);
    if (distance >= least) continue;
    least = distance;
    best = &ft_commands[i];
  }
  return best;
}
