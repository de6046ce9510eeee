/* Names of a model's tensors in the file, and which tensors of ours each is made of. */
#include <assert.h>
#include <string.h>

#include "family.h"
#include "names.h"

/* Roles in the order in which transformers lists a model's tensors. */
static const ft_role order[] = {
    FT_ROLE_EMBEDDING, FT_ROLE_POSITIONS, FT_ROLE_TOKEN_TYPES, FT_ROLE_EMBEDDING_NORM,
    FT_ROLE_EMBEDDING_NORM_BIAS,
    /* of a layer */
    FT_ROLE_Q, FT_ROLE_Q_BIAS, FT_ROLE_K, FT_ROLE_K_BIAS, FT_ROLE_V, FT_ROLE_V_BIAS, FT_ROLE_O,
    FT_ROLE_O_BIAS, FT_ROLE_Q_NORM, FT_ROLE_K_NORM, FT_ROLE_GATE, FT_ROLE_GATE_BIAS, FT_ROLE_UP,
    FT_ROLE_UP_BIAS, FT_ROLE_DOWN, FT_ROLE_DOWN_BIAS, FT_ROLE_ALPHA_P, FT_ROLE_ALPHA_N,
    FT_ROLE_XIELU_BETA, FT_ROLE_XIELU_EPS, FT_ROLE_ATTN_NORM, FT_ROLE_ATTN_NORM_BIAS,
    FT_ROLE_ATTN_POST_NORM, FT_ROLE_ATTN_POST_NORM_BIAS, FT_ROLE_MLP_NORM, FT_ROLE_MLP_NORM_BIAS,
    FT_ROLE_MLP_POST_NORM, FT_ROLE_MLP_POST_NORM_BIAS,
    /* of the head */
    FT_ROLE_FINAL_NORM, FT_ROLE_FINAL_NORM_BIAS, FT_ROLE_HEAD_DENSE, FT_ROLE_HEAD_DENSE_BIAS,
    FT_ROLE_HEAD_NORM, FT_ROLE_HEAD_NORM_BIAS, FT_ROLE_HEAD, FT_ROLE_HEAD_BIAS};
static_assert(FT_ARRAY_SIZE(order) == FT_ROLE_NUM, "a role has no place among the others");

/* ---------------------------------------------------------------- rows of the name tables */

static bool has_role(const ft_hf_name *row, ft_role role) {
  for (int i = 0; i < row->num_roles; i++)
    if (row->roles[i] == role) return true;
  return false;
}

/* The family's own row, or that of Llama. */
static const ft_hf_name *find_row(const ft_hf_family *f, ft_role role) {
  for (const ft_hf_name *row = f->names; row && row->name; row++)
    if (has_role(row, role)) return row;
  for (const ft_hf_name *row = ft_hf_llama_names; row->name; row++)
    if (has_role(row, role)) return row;
  return NULL;
}

/* Writes a name of the table with this prefix and number, and the older words of BERT's norms where
 * the files have those. */
static int write_name(const ft_hf_naming *n, const char *pattern, int64_t layer, char *out,
                      size_t size) {
  const char *prefix = pattern[0] == '~' ? n->body : n->head;
  const char *rest = pattern[0] == '~' ? pattern + 1 : pattern, *star = strchr(rest, '*');
  int used = star ? snprintf(out, size, "%s%.*s%lld%s", prefix, (int)(star - rest), rest,
                             (long long)layer, star + 1)
                  : snprintf(out, size, "%s%s", prefix, rest);
  static const char *const old[][2] = {{"LayerNorm.weight", "LayerNorm.gamma"},
                                       {"LayerNorm.bias", "LayerNorm.beta"}};
  for (size_t i = 0; n->old_norms && i < FT_ARRAY_SIZE(old) && used < (int)size; i++)
    if (ft_ends_with(out, old[i][0])) {
      used -= (int)strlen(old[i][0]);
      used += snprintf(out + used, size - (size_t)used, "%s", old[i][1]);
    }
  return used;
}

int ft_hf_role_name(const ft_hf_naming *n, int64_t layer, ft_role role, char *out, size_t size) {
  bool swapped = role == FT_ROLE_EMBEDDING && n->head_only;
  const ft_hf_name *row = find_row(n->family, swapped ? FT_ROLE_HEAD : role);
  FT_ASSERT(row != NULL);
  if (role == FT_ROLE_HEAD && n->scored) return write_name(n, "score.weight", layer, out, size);
  return write_name(n, row->name, layer, out, size);
}

int ft_hf_tensor_name(const ft_hf_config *config, const ft_block *block, ft_role role, char *out,
                      size_t size) {
  return ft_hf_role_name(config->naming, block->layer, role, out, size);
}

void ft_hf_module_name(const ft_hf_config *config, int64_t layer, ft_role role, char *out,
                       size_t size) {
  ft_hf_role_name(config->naming, layer, role, out, size);
  static const char *const endings[] = {".weight", ".bias"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(endings); i++)
    if (ft_ends_with(out, endings[i])) out[strlen(out) - strlen(endings[i])] = '\0';
}

const ft_safetensor *ft_hf_find_source(const ft_safetensors *st, const ft_hf_naming *n,
                                       const ft_hf_file_tensor *t) {
  char embedding[FT_HF_NAME_BYTES];
  if (!n->untied || t->parts[0].tensor.role != FT_ROLE_HEAD)
    return ft_safetensors_find(st, t->name);
  ft_hf_role_name(n, -1, FT_ROLE_EMBEDDING, embedding, sizeof embedding);
  return ft_safetensors_find(st, embedding);
}

/* ---------------------------------------------------------------- the list */

/* Adds a part of the file's tensor. */
static void add_part(ft_hf_file_tensor *t, int64_t block, const ft_tensor *part) {
  int64_t across = part->num_dims == 2 ? part->cols : 1;
  int64_t length = part->num_dims == 2 ? part->rows : part->cols;
  int along = t->transposed ? 1 : 0;
  t->parts[t->num_parts++] = (ft_hf_part){.block = block, .tensor = *part, .first = t->dims[along]};
  t->num_dims = part->num_dims;
  t->dims[along] += length;
  t->dims[1 - along] = across;
  t->elements += ft_tensor_elements(part);
}

/* The tensor that begins with this role, if the unit has one. */
static void list_role(const ft_hf_naming *n, const ft_layout *l, const ft_unit *unit, int64_t layer,
                      ft_role role, ft_hf_file_tensor *list, int64_t *count) {
  const ft_tensor *part;
  int64_t block = ft_layout_find(l, unit, role, &part);
  const ft_hf_name *row = block >= 0 ? find_row(n->family, role) : NULL;
  if (!row || row->roles[0] != role) return;
  ft_hf_file_tensor *t = &list[(*count)++];
  *t = (ft_hf_file_tensor){.transposed = row->transposed};
  ft_hf_role_name(n, layer, role, t->name, sizeof t->name);
  for (int i = 0; i < row->num_roles; i++) {
    block = ft_layout_find(l, unit, row->roles[i], &part);
    FT_ASSERT(block >= 0);
    add_part(t, block, part);
  }
}

ft_err ft_hf_list_tensors(const ft_hf_naming *naming, const ft_layout *layout,
                          ft_hf_file_tensor **out, int64_t *count) {
  int64_t room = 0, layers = layout->arch.layers;
  for (int64_t b = 0; b < layout->num_blocks; b++)
    room += layout->blocks[b].num_tensors;
  *count = 0;
  ft_err err = ft_alloc_array(FT_MEM_IO, room, sizeof **out, (void **)out);
  if (err != FT_OK) return err;
  for (int64_t place = 0; place < layers + 2; place++) {
    const ft_unit *unit = place == 0            ? &layout->embedding
                          : place == layers + 1 ? &layout->head
                                                : &layout->layers[place - 1];
    for (size_t i = 0; i < FT_ARRAY_SIZE(order); i++)
      list_role(naming, layout, unit, place - 1, order[i], *out, count);
  }
  return FT_OK;
}

/* ---------------------------------------------------------------- what a directory's names are */

static const char *body_of(const ft_hf_family *f) {
  return f->body ? f->body : "model.";
}

void ft_hf_default_naming(const ft_hf_family *family, bool composite, ft_hf_naming *out) {
  *out = (ft_hf_naming){.family = family, .composite = composite};
  snprintf(out->body, sizeof out->body, "%s",
           composite ? "language_model.model." : body_of(family));
  snprintf(out->head, sizeof out->head, "%s", composite ? "language_model." : "");
}

static bool has_name(const ft_safetensors *st, const ft_hf_naming *n, ft_role role) {
  char name[FT_HF_NAME_BYTES];
  ft_hf_role_name(n, 0, role, name, sizeof name);
  return ft_safetensors_find(st, name) != NULL;
}

static bool has_old_norms(const ft_safetensors *st) {
  for (int64_t i = 0; i < ft_safetensors_count(st); i++)
    if (ft_ends_with(ft_safetensors_at(st, i)->name, "LayerNorm.gamma")) return true;
  return false;
}

void ft_hf_find_naming(const ft_safetensors *st, ft_hf_naming *n) {
  static const char *const plain[] = {"", "model.language_model."};
  static const char *const nested[] = {"model.language_model.", "model.language_model.model.",
                                       "language_model.model.model."};
  static const char *const heads[] = {"", "language_model.", "model.language_model."};
  const char *const *bodies = n->composite ? nested : plain;
  size_t num = n->composite ? FT_ARRAY_SIZE(nested) : FT_ARRAY_SIZE(plain);
  n->found = true;
  n->old_norms = has_old_norms(st);
  for (size_t i = 0; i < num && !has_name(st, n, FT_ROLE_EMBEDDING); i++) {
    ft_hf_naming other = *n;
    snprintf(other.body, sizeof other.body, "%s", bodies[i]);
    if (has_name(st, &other, FT_ROLE_EMBEDDING)) *n = other;
  }
  for (size_t i = 0; i < FT_ARRAY_SIZE(heads) && !has_name(st, n, FT_ROLE_HEAD); i++) {
    ft_hf_naming other = *n;
    snprintf(other.head, sizeof other.head, "%s", n->composite ? heads[i] : "");
    if (has_name(st, &other, FT_ROLE_HEAD)) *n = other;
  }
  n->head_only = !has_name(st, n, FT_ROLE_EMBEDDING) && has_name(st, n, FT_ROLE_HEAD);
}
