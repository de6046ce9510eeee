/* A head of labels on a decoder, as transformers' …ForSequenceClassification has it: one matrix
 * without a bias over the last token's hidden state after the final norm. */
#include <string.h>

#include "family.h"
#include "names.h"

void ft_hf_put_labels(ft_arch *a) {
  a->head = FT_HEAD_LABELS;
  a->pooling = FT_POOL_LAST;
  a->tied = false;
  a->logits_scale = 1;
  a->logits_softcap = 0;
}

static bool put(cJSON *object, const char *name, cJSON *value) {
  bool there = ft_json_get(object, name) != NULL;
  bool done = value && (there ? cJSON_ReplaceItemInObjectCaseSensitive(object, name, value)
                              : cJSON_AddItemToObject(object, name, value));
  if (!done) cJSON_Delete(value);
  return done;
}

/* "LlamaForCausalLM" becomes "LlamaForSequenceClassification"; where none is named, none is. */
static ft_err rename_architecture(cJSON *json, const char *end) {
  ft_err err = FT_OK;
  char *name = NULL;
  cJSON *list = ft_json_get(json, "architectures");
  const cJSON *first = cJSON_GetArrayItem(list, 0);
  if (!cJSON_IsString(first)) return FT_OK;
  int stem = (int)(strlen(first->valuestring) - strlen(end));
  FT_TRY(ft_format(&name, "%.*s" FT_HF_SCORED, stem, first->valuestring));
  cJSON *string = cJSON_CreateString(name);
  bool done = string && cJSON_ReplaceItemInArray(list, 0, string);
  if (!done) cJSON_Delete(string);
  FT_CHECK(done, FT_ERR_MEMORY, "no memory for a config");
out:
  ft_free(name);
  return err;
}

/* As transformers writes it of one label. */
static ft_err name_label(cJSON *json) {
  cJSON *names = cJSON_CreateObject(), *ids = cJSON_CreateObject();
  bool done = names && ids && cJSON_AddStringToObject(names, "0", "LABEL_0") &&
              cJSON_AddNumberToObject(ids, "LABEL_0", 0);
  if (!done) {
    cJSON_Delete(names);
    cJSON_Delete(ids);
    return ft_fail(FT_ERR_MEMORY, "no memory for a config");
  }
  cJSON_DeleteItemFromObjectCaseSensitive(json, "num_labels");
  done = put(json, "id2label", names); /* both are taken over, whatever comes of the other */
  done = put(json, "label2id", ids) && done;
  return done ? FT_OK : ft_fail(FT_ERR_MEMORY, "no memory for a config");
}

ft_err ft_hf_add_score(ft_hf_config *config, uint64_t seed) {
  ft_err err = FT_OK;
  ft_layout *layout = NULL;
  ft_arch arch = config->arch;
  ft_hf_naming *naming = config->naming;
  FT_CHECK(arch.head == FT_HEAD_TOKENS && !arch.two_way && !naming->composite && !naming->head_only,
           FT_ERR_CONFIG,
           "a %s directory of this kind cannot get a head that scores: expected is a decoder's "
           "…ForCausalLM directory",
           config->model_type);
  ft_hf_put_labels(&arch);
  arch.num_labels = 1;
  FT_TRY(ft_arch_check(&arch));
  FT_TRY(ft_layout_new(&arch, NULL, NULL, &layout));
  FT_TRY(rename_architecture(
      config->json, naming->family->architecture ? naming->family->architecture : "ForCausalLM"));
  FT_TRY(name_label(config->json));
  config->arch = arch;
  ft_layout_free(config->layout);
  config->layout = layout;
  layout = NULL;
  naming->scored = naming->new_head = true;
  naming->seed = seed;
out:
  ft_layout_free(layout);
  return err;
}
