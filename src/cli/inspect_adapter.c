/* ftrun inspect: adapter directories, by themselves or over a model. */
#include <string.h>

#include "ft/hf_adapter.h"
#include "inspect.h"

static void describe(const ft_hf_adapter *adapter) {
  const ft_hf_method *m = ft_hf_adapter_method(adapter);
  const cJSON *base = ft_json_get(m->as_read, "base_model_name_or_path");
  if (!cJSON_IsString(base)) base = ft_json_get(m->as_read, "model_name");
  ft_inspect_line("type", "%s%s", ft_hf_adapter_type(adapter),
                  m->dora     ? " (DoRA)"
                  : m->rslora ? " (rsLoRA)"
                              : "");
  if (cJSON_IsString(base)) ft_inspect_line("base", "%s", base->valuestring);
  if (m->kind == FT_METHOD_LORA)
    ft_inspect_line("rank", "%lld, alpha %g", (long long)m->rank, m->alpha);
  if (m->kind == FT_METHOD_PREFIX || m->kind == FT_METHOD_PROMPT)
    ft_inspect_line("tokens", "%lld", (long long)m->virtual_tokens);
  if (m->kind == FT_METHOD_BOTTLENECK)
    ft_inspect_line("reduction", "%lld, %s", (long long)m->reduction,
                    m->after_attention ? "Houlsby" : "Pfeiffer");
}

static ft_err check_fit(ft_hf_adapter *adapter, const char *model_dir) {
  ft_err err = FT_OK;
  ft_hf_config config = {0};
  FT_TRY(ft_hf_config_read(model_dir, &config));
  FT_TRY(ft_hf_adapter_put(adapter, model_dir, &config));
  ft_inspect_line("fits", "%s", model_dir);
out:
  ft_hf_config_fini(&config);
  return err;
}

ft_err ft_inspect_adapter(const char *dir, const char *model_dir) {
  ft_err err = FT_OK;
  ft_hf_adapter *adapter = NULL;
  char *path = NULL;
  printf("%s: adapter directory\n", dir);
  FT_TRY(ft_inspect_texts(dir));
  FT_TRY(ft_hf_adapter_open(dir, &adapter));
  describe(adapter);
  FT_TRY(ft_path_join(dir, ft_hf_adapter_file(ft_hf_adapter_method(adapter)), &path));
  FT_TRY(ft_inspect_weights(path, NULL));
  if (model_dir) FT_TRY(check_fit(adapter, model_dir));
out:
  ft_hf_adapter_close(adapter);
  ft_free(path);
  return err;
}
