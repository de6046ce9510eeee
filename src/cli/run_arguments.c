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
  void *p = r->overrides;
  if (ft_realloc(FT_MEM_OTHER, (size_t)(r->num_overrides + 1) * sizeof *r->overrides, &p) != FT_OK)
    argp_failure(state, FT_ERR_MEMORY, 0, "%s", ft_error_message());
  r->overrides = p;
  r->overrides[r->num_overrides++] = argument;
}

ft_err ft_cli_load_config(ft_comm *comm, const run_arguments *r, ft_config *out) {
  return ft_comm_agree(comm, ft_config_load(r->config, r->overrides, r->num_overrides, out));
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
