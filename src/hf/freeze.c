/* What train.freeze means for a model: shell patterns over the names that tensors have in its
 * files. */
#include <fnmatch.h>

#include "names.h"

typedef struct patterns {
  const ft_hf_config *config;
  const char *const *texts; /* [num] */
  int64_t num;
} patterns;

static bool is_frozen(const void *arg, ft_place place, int64_t layer, ft_role role) {
  const patterns *p = arg;
  char name[FT_HF_NAME_BYTES];
  (void)place;
  ft_hf_role_name(p->config->naming, layer, role, name, sizeof name);
  for (int64_t i = 0; i < p->num; i++)
    if (fnmatch(p->texts[i], name, 0) == 0) return true;
  return false;
}

/* A pattern that matches nothing is a slip of the pen. */
static ft_err check_pattern(const ft_hf_config *config, const char *pattern) {
  char name[FT_HF_NAME_BYTES] = "";
  const ft_layout *l = config->layout;
  for (int64_t b = 0; b < l->num_blocks; b++)
    for (int i = 0; i < l->blocks[b].num_tensors; i++) {
      ft_hf_tensor_name(config, &l->blocks[b], l->blocks[b].tensors[i].role, name, sizeof name);
      if (fnmatch(pattern, name, 0) == 0) return FT_OK;
    }
  return ft_fail(FT_ERR_CONFIG,
                 "train.freeze: \"%s\" matches no tensor of this model; one is named \"%s\"",
                 pattern, name);
}

ft_err ft_hf_freeze(ft_hf_config *config, const char *const *texts, int64_t num) {
  ft_err err = FT_OK;
  ft_layout *layout = NULL;
  const patterns p = {.config = config, .texts = texts, .num = num};
  const ft_choice choice = {.frozen = is_frozen, .arg = &p};
  for (int64_t i = 0; i < num; i++)
    FT_TRY(check_pattern(config, texts[i]));
  FT_TRY(ft_layout_new(&config->arch, NULL, &choice, &layout));
  FT_CHECK(ft_layout_num_trained(layout) > 0, FT_ERR_CONFIG,
           "train.freeze freezes the whole model: nothing is left to train");
  ft_layout_free(config->layout);
  config->layout = layout;
  layout = NULL;
out:
  ft_layout_free(layout);
  return err;
}
