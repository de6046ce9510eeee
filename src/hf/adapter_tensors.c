/* The tensors of an adapter file: how others name and shape what a method has added to a model. */
#include <stdlib.h>
#include <string.h>

#include "adapter.h"
#include "hf_internal.h"

void ft_hf_adapter_list_fini(ft_hf_adapter_list *list) {
  ft_free(list->tensors);
  ft_free(list->parts);
  *list = (ft_hf_adapter_list){.num = 0};
}

/* ---------------------------------------------------------------- building */

typedef struct builder {
  const ft_hf_config *config;
  const ft_layout *layout;
  ft_hf_adapter_list *list; /* with room for all */
} builder;

static ft_hf_adapter_tensor *add(builder *b, ft_hf_lay lay, const char *before, const char *module,
                                 const char *after) {
  ft_hf_adapter_tensor *t = &b->list->tensors[b->list->num++];
  *t = (ft_hf_adapter_tensor){
      .dtype = FT_F32, .lay = lay, .num_dims = 2, .first_part = b->list->num_parts};
  snprintf(t->name, sizeof t->name, "%s%s%s", before, module, after);
  return t;
}

static void add_part(builder *b, ft_hf_adapter_tensor *t, int64_t block, const ft_tensor *part,
                     int64_t first) {
  b->list->parts[b->list->num_parts++] =
      (ft_hf_part){.block = block, .tensor = *part, .first = first};
  t->num_parts++;
}

/* ---------------------------------------------------------------- beside a map */

static const char peft[] = "base_model.model.";

/* What stands beside the maps that a tensor of the model's files is made of, stacked as they are:
 * [n] and then `width` columns, or none. */
static void list_stacked(builder *b, const ft_hf_file_tensor *of, ft_part_kind kind, ft_hf_lay lay,
                         const char *module, const char *ending) {
  ft_hf_adapter_tensor *t = NULL;
  int64_t first = 0;
  for (int i = 0; i < of->num_parts; i++) {
    const ft_tensor *part;
    int64_t block =
        ft_layout_find_part(b->layout, of->parts[i].block, of->parts[i].tensor.role, kind, &part);
    if (block < 0) continue;
    if (!t) t = add(b, lay, peft, module, ending);
    add_part(b, t, block, part, first);
    first += lay == FT_LAY_FLAT ? part->cols : part->rows;
    t->dims[0] = first;
    t->dims[1] = lay == FT_LAY_FLAT ? 1 : part->cols;
  }
}

/* A part of the first map that lies turned, or as it is, under another name. */
static ft_hf_adapter_tensor *list_one(builder *b, const ft_hf_part *map, ft_part_kind kind,
                                      ft_hf_lay lay, const char *module, const char *ending) {
  const ft_tensor *part;
  int64_t block = ft_layout_find_part(b->layout, map->block, map->tensor.role, kind, &part);
  if (block < 0) return NULL;
  ft_hf_adapter_tensor *t = add(b, lay, peft, module, ending);
  add_part(b, t, block, part, 0);
  bool turned = lay == FT_LAY_TURNED;
  t->dims[0] = turned ? part->cols : part->rows;
  t->dims[1] = turned ? part->rows : part->cols;
  return t;
}

static void list_base(builder *b, const ft_hf_file_tensor *of, const char *module) {
  ft_hf_adapter_tensor *t = add(b, FT_LAY_ROWS, peft, module, ".base_layer.weight");
  t->dtype = b->config->dtype;
  t->dims[0] = of->dims[0];
  t->dims[1] = of->dims[1];
  snprintf(t->base_name, sizeof t->base_name, "%s", of->name);
  t->is_copy = true;
}

/* PEFT keeps the embedding with its adapter, and where that stands for the head too, writes both
 * twice: the head's A is the embedding's B, and the other way round. */
static void list_look_up(builder *b, const ft_hf_file_tensor *of) {
  char module[FT_HF_NAME_BYTES], head[FT_HF_NAME_BYTES];
  const ft_hf_part *map = &of->parts[0];
  ft_hf_module_name(b->config, -1, FT_ROLE_EMBEDDING, module, sizeof module);
  ft_hf_module_name(b->config, -1, FT_ROLE_HEAD, head, sizeof head);
  if (!list_one(b, map, FT_PART_A, FT_LAY_TURNED, module, ".lora_embedding_A")) return;
  (void)list_one(b, map, FT_PART_B, FT_LAY_ROWS, module, ".lora_embedding_B");
  list_stacked(b, of, FT_PART_MAGNITUDE, FT_LAY_FLAT, module, ".lora_magnitude_vector");
  list_base(b, of, module);
  if (!b->layout->method.both_ends) return;
  list_one(b, map, FT_PART_B, FT_LAY_TURNED, head, ".lora_A.weight")->is_copy = true;
  list_one(b, map, FT_PART_A, FT_LAY_ROWS, head, ".lora_B.weight")->is_copy = true;
  list_base(b, of, head);
}

/* What the model's file has of the head: the embedding, where a method has made two of a tied one.
 */
static const ft_hf_file_tensor *base_of_head(const builder *b, const ft_hf_file_tensor *own,
                                             int64_t num) {
  ft_role role = b->config->naming->untied ? FT_ROLE_EMBEDDING : FT_ROLE_HEAD;
  for (int64_t i = 0; i < num; i++)
    if (own[i].parts[0].tensor.role == role) return &own[i];
  return NULL;
}

/* The head goes along with its adapter, too. */
static void list_head(builder *b, const ft_hf_file_tensor *own, int64_t num) {
  const ft_tensor *part;
  const ft_hf_file_tensor *base = base_of_head(b, own, num);
  char module[FT_HF_NAME_BYTES];
  ft_role a = ft_role_part(FT_ROLE_HEAD, FT_PART_A);
  if (!base || ft_layout_find(b->layout, &b->layout->head, a, &part) < 0) return;
  ft_hf_module_name(b->config, -1, FT_ROLE_HEAD, module, sizeof module);
  list_base(b, base, module);
}

static void list_beside(builder *b, const ft_hf_file_tensor *of) {
  char module[FT_HF_NAME_BYTES];
  const ft_block *block = &b->layout->blocks[of->parts[0].block];
  int64_t before = b->list->num;
  ft_hf_module_name(b->config, block->layer, of->parts[0].tensor.role, module, sizeof module);
  (void)list_one(b, &of->parts[0], FT_PART_A, FT_LAY_ROWS, module, ".lora_A.weight");
  list_stacked(b, of, FT_PART_B, FT_LAY_ROWS, module, ".lora_B.weight");
  list_stacked(b, of, FT_PART_MAGNITUDE, FT_LAY_FLAT, module, ".lora_magnitude_vector");
  list_stacked(b, of, FT_PART_OUTPUT_SCALE, FT_LAY_FLAT, module, ".ia3_l");
  list_stacked(b, of, FT_PART_INPUT_SCALE, FT_LAY_FLAT, module, ".ia3_l");
  for (int64_t i = before; i < b->list->num; i++) { /* a vector is [n], [n, 1] or [1, n] */
    ft_hf_adapter_tensor *t = &b->list->tensors[i];
    ft_part_kind kind;
    (void)ft_role_is_part(b->list->parts[t->first_part].tensor.role, NULL, &kind);
    if (kind == FT_PART_MAGNITUDE) t->num_dims = 1;
    if (kind != FT_PART_INPUT_SCALE) continue;
    t->dims[1] = t->dims[0];
    t->dims[0] = 1;
  }
}

/* ---------------------------------------------------------------- the model's own */

static bool has_parts(const builder *b, const char *module) {
  char start[FT_HF_NAME_BYTES + 32];
  int length = snprintf(start, sizeof start, "%s%s.", peft, module);
  for (int64_t i = 0; i < b->list->num; i++)
    if (strncmp(b->list->tensors[i].name, start, (size_t)length) == 0) return true;
  return false;
}

/* A tensor that is trained whole. That of a module that has parts is its base layer's. */
static void list_own(builder *b, const ft_hf_file_tensor *of) {
  char module[FT_HF_NAME_BYTES];
  const ft_block *block = &b->layout->blocks[of->parts[0].block];
  if (!block->trained) return;
  ft_hf_module_name(b->config, block->layer, of->parts[0].tensor.role, module, sizeof module);
  bool base_layer = has_parts(b, module);
  const char *rest = of->name + strlen(module);
  ft_hf_adapter_tensor *t = add(b,
                                of->num_dims < 2 ? FT_LAY_FLAT
                                : of->transposed ? FT_LAY_TURNED
                                                 : FT_LAY_ROWS,
                                peft, module, base_layer ? ".base_layer" : "");
  size_t used = strlen(t->name);
  snprintf(t->name + used, sizeof t->name - used, "%s", rest);
  t->dtype = b->config->dtype;
  t->num_dims = of->num_dims;
  t->dims[0] = of->dims[0];
  t->dims[1] = of->num_dims == 2 ? of->dims[1] : 1;
  for (int i = 0; i < of->num_parts; i++)
    add_part(b, t, of->parts[i].block, &of->parts[i].tensor, of->parts[i].first);
}

/* ---------------------------------------------------------------- of no map */

/* One tensor over all layers, or the embedding's. */
static void list_virtual(builder *b) {
  const ft_layout *l = b->layout;
  const ft_tensor *part;
  int64_t block = ft_layout_find(l, &l->embedding, (ft_role)FT_ROLE_PROMPT, &part);
  if (block >= 0) {
    ft_hf_adapter_tensor *t = add(b, FT_LAY_ROWS, "", "", "prompt_embeddings");
    add_part(b, t, block, part, 0);
    t->dims[0] = part->rows;
    t->dims[1] = part->cols;
  }
  ft_hf_adapter_tensor *t = NULL;
  for (int64_t i = 0; i < l->arch.layers; i++) {
    block = ft_layout_find(l, &l->layers[i], (ft_role)FT_ROLE_PREFIX, &part);
    if (block < 0) continue;
    if (!t) t = add(b, FT_LAY_COLUMNS, "", "", "prompt_embeddings");
    add_part(b, t, block, part, t->dims[1]);
    t->dims[0] = part->rows;
    t->dims[1] += part->cols;
  }
}

/* What stands before the name of a layer's parts: "model.layers.3.". */
static void layer_name(const builder *b, int64_t layer, char *out, size_t size) {
  char number[24];
  ft_hf_role_name(b->config->naming, layer, FT_ROLE_DOWN, out, size);
  int length = snprintf(number, sizeof number, ".%lld.", (long long)layer);
  char *at = strstr(out, number);
  FT_ASSERT(at != NULL);
  at[length] = '\0';
}

static const char *adapter_name(const ft_hf_method *m) {
  const cJSON *name = ft_json_get(m->as_read, "name");
  return cJSON_IsString(name) ? name->valuestring : "default";
}

static void list_bottlenecks(builder *b, const ft_hf_method *m) {
  static const struct {
    int role;
    const char *where, *what;
  } tensors[] = {
      {FT_ROLE_ATTN_BOTTLENECK_DOWN, "attention", "adapter_down.0.weight"},
      {FT_ROLE_ATTN_BOTTLENECK_DOWN_BIAS, "attention", "adapter_down.0.bias"},
      {FT_ROLE_ATTN_BOTTLENECK_UP, "attention", "adapter_up.weight"},
      {FT_ROLE_ATTN_BOTTLENECK_UP_BIAS, "attention", "adapter_up.bias"},
      {FT_ROLE_MLP_BOTTLENECK_DOWN, "output", "adapter_down.0.weight"},
      {FT_ROLE_MLP_BOTTLENECK_DOWN_BIAS, "output", "adapter_down.0.bias"},
      {FT_ROLE_MLP_BOTTLENECK_UP, "output", "adapter_up.weight"},
      {FT_ROLE_MLP_BOTTLENECK_UP_BIAS, "output", "adapter_up.bias"},
  };
  char layer[FT_HF_NAME_BYTES], rest[160];
  for (int64_t i = 0; i < b->layout->arch.layers; i++)
    for (size_t k = 0; k < FT_ARRAY_SIZE(tensors); k++) {
      const ft_tensor *part;
      int64_t block =
          ft_layout_find(b->layout, &b->layout->layers[i], (ft_role)tensors[k].role, &part);
      if (block < 0) continue;
      layer_name(b, i, layer, sizeof layer);
      snprintf(rest, sizeof rest, "%s_adapters.adapters.%.64s.%s", tensors[k].where,
               adapter_name(m), tensors[k].what);
      bool vector = part->num_dims < 2;
      ft_hf_adapter_tensor *t = add(b, vector ? FT_LAY_FLAT : FT_LAY_ROWS, layer, rest, "");
      t->num_dims = part->num_dims;
      t->dims[0] = vector ? part->cols : part->rows;
      t->dims[1] = vector ? 1 : part->cols;
      add_part(b, t, block, part, 0);
    }
}

/* ---------------------------------------------------------------- the list */

/* As safetensors' own writer has them: wider types first, then by name. */
static int in_file_order(const void *a, const void *b) {
  const ft_hf_adapter_tensor *x = a, *y = b;
  size_t wide = ft_dtype_bytes(x->dtype), other = ft_dtype_bytes(y->dtype);
  if (wide != other) return wide > other ? -1 : 1;
  return strcmp(x->name, y->name);
}

ft_err ft_hf_list_adapter(const ft_hf_config *config, const ft_hf_method *method,
                          ft_hf_adapter_list *out) {
  ft_err err = FT_OK;
  ft_hf_file_tensor *own = NULL;
  void *p;
  int64_t num_own, room = 8; /* copies of the embedding's */
  builder b = {.config = config, .layout = config->layout, .list = out};
  *out = (ft_hf_adapter_list){.num = 0};
  for (int64_t i = 0; i < config->layout->num_blocks; i++)
    room += config->layout->blocks[i].num_tensors;
  FT_TRY(ft_hf_list_tensors(config->naming, config->layout, &own, &num_own));
  FT_TRY(ft_alloc_array(FT_MEM_IO, room, sizeof *out->tensors, &p));
  out->tensors = p;
  FT_TRY(ft_alloc_array(FT_MEM_IO, room, sizeof *out->parts, &p));
  out->parts = p;
  list_virtual(&b);
  list_bottlenecks(&b, method);
  for (int64_t i = 0; i < num_own; i++) {
    if (own[i].parts[0].tensor.role == FT_ROLE_EMBEDDING)
      list_look_up(&b, &own[i]);
    else if (own[i].num_dims == 2)
      list_beside(&b, &own[i]);
  }
  list_head(&b, own, num_own);
  for (int64_t i = 0; i < num_own; i++)
    list_own(&b, &own[i]);
  qsort(out->tensors, (size_t)out->num, sizeof *out->tensors, in_file_order);
out:
  ft_free(own);
  if (err != FT_OK) ft_hf_adapter_list_fini(out);
  return err;
}

/* ---------------------------------------------------------------- against a file */

typedef struct differences {
  int64_t count;
  char first[1024];
} differences;

static void compare(differences *d, const ft_safetensor *found, const ft_hf_adapter_tensor *t) {
  char expected[64], other[128];
  ft_hf_show_dims(t->num_dims, t->dims, expected, sizeof expected);
  bool same = found && found->supported && ft_hf_has_shape(found, t->num_dims, t->dims);
  if (same || d->count++ > 0) return;
  if (!found) {
    snprintf(d->first, sizeof d->first, "%s is missing; expected shape %s", t->name, expected);
    return;
  }
  ft_hf_show_dims(FT_MIN(found->num_dims, FT_SAFETENSORS_DIMS), found->dims, other, sizeof other);
  snprintf(d->first, sizeof d->first, "%s is %s %s; expected is F32, BF16 or F16 %s", t->name,
           found->dtype_name, other, expected);
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static ft_err find_extra(differences *d, const ft_safetensors *st, const ft_hf_adapter_list *list) {
  const char **names = NULL;
  void *p;
  ft_err err = ft_alloc_array(FT_MEM_IO, list->num, sizeof *names, &p);
  if (err != FT_OK) return err;
  names = p;
  for (int64_t i = 0; i < list->num; i++)
    names[i] = list->tensors[i].name;
  qsort(names, (size_t)list->num, sizeof *names, by_name);
  for (int64_t i = 0; i < ft_safetensors_count(st); i++) {
    const char *name = ft_safetensors_at(st, i)->name;
    if (bsearch(&name, names, (size_t)list->num, sizeof *names, by_name)) continue;
    if (d->count++ == 0)
      snprintf(d->first, sizeof d->first, "%.300s has no place in this model", name);
  }
  ft_free(names);
  return FT_OK;
}

ft_err ft_hf_check_adapter(const ft_safetensors *st, const char *dir, const char *base_dir,
                           const ft_hf_adapter_list *list) {
  differences d = {0};
  char more[64] = "";
  for (int64_t i = 0; i < list->num; i++) {
    const ft_safetensor *found = ft_safetensors_find(st, list->tensors[i].name);
    if (found || !list->tensors[i].is_copy) compare(&d, found, &list->tensors[i]);
  }
  ft_err err = find_extra(&d, st, list);
  if (err != FT_OK || d.count == 0) return err;
  if (d.count > 1)
    snprintf(more, sizeof more, " (%lld more tensors differ)", (long long)d.count - 1);
  return ft_fail(FT_ERR_DATA, "%s is an adapter of another model than %s: %s%s", dir, base_dir,
                 d.first, more);
}
