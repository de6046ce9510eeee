/* CONFIG.json [KEY=VALUE …], and the table of keys in --help. */
#include "run_arguments.h"

#include <stdlib.h>
#include <string.h>

void ft_cli_take_run_argument(run_arguments *r, struct argp_state *state, char *argument) {
  if (!r->config) {
    r->config = argument;
    return;
  }
  if (!strchr(argument, '='))
    argp_error(state, "\"%s\": after the configuration, overrides section.key=value are expected",
               argument);
  if (ft_grow_one(FT_MEM_OTHER, r->num_overrides, sizeof *r->overrides, (void **)&r->overrides) !=
      FT_OK)
    argp_failure(state, FT_ERR_MEMORY, 0, "%s", ft_error_message());
  r->overrides[r->num_overrides++] = argument;
}

ft_err ft_cli_share_config(ft_comm *comm, ft_config *config) {
  ft_err err = FT_OK;
  char *text = NULL;
  cJSON *json = NULL;
  bool first = ft_comm_rank(comm) == 0;
  if (ft_comm_size(comm) == 1) return FT_OK;
  if (first) err = ft_json_print(config->json, false, &text);
  FT_TRY(ft_comm_agree(comm, err));
  int64_t bytes = first ? (int64_t)strlen(text) + 1 : 0;
  FT_TRY(ft_comm_broadcast(comm, 0, &bytes, sizeof bytes));
  if (!first) err = ft_alloc(FT_MEM_OTHER, (size_t)bytes, (void **)&text);
  FT_TRY(ft_comm_agree(comm, err));
  FT_TRY(ft_comm_broadcast(comm, 0, text, (size_t)bytes));
  if (!first) {
    err = ft_json_parse(text, (size_t)bytes - 1, "the configuration of rank 0", &json);
    if (err == FT_OK) err = ft_config_from_json(json, "the configuration of rank 0", config);
  }
  err = ft_comm_agree(comm, err);
out:
  cJSON_Delete(json);
  ft_free(text);
  return err;
}

ft_err ft_cli_load_config(ft_comm *comm, const run_arguments *r, ft_config *out) {
  ft_err err = FT_OK;
  if (ft_comm_rank(comm) == 0) err = ft_config_load(r->config, r->overrides, r->num_overrides, out);
  err = ft_comm_agree(comm, err);
  return err == FT_OK ? ft_cli_share_config(comm, out) : err;
}

char *ft_cli_config_help(int key, const char *text, void *input) {
  (void)input;
  if (key != ARGP_KEY_HELP_POST_DOC) return (char *)(uintptr_t)text;
  int64_t count;
  const ft_config_key *keys = ft_config_keys(&count);
  char *help = NULL;
  size_t size = 0;
  FILE *f = open_memstream(&help, &size);
  if (!f) return NULL;
  fprintf(f,
          "Keys of the configuration, with their defaults (docs/configuration.md tells more):\n");
  for (int64_t i = 0; i < count; i++)
    fprintf(f, "  %-32s %s\n", keys[i].path, keys[i].initial);
  fclose(f);
  return help;
}
