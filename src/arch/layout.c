/* The list of a run's blocks, from the description of its model. */
#include "ft/arch_layout.h"

#include <stdio.h>
#include <string.h>

const ft_tensor *ft_block_tensor(const ft_block *b, ft_role role) {
  for (int i = 0; i < b->num_tensors; i++)
    if (b->tensors[i].role == role) return &b->tensors[i];
  return NULL;
}

static void add_tensor(ft_block *b, const ft_tensor *t) {
  ft_tensor *to = &b->tensors[b->num_tensors++];
  *to = *t;
  to->offset = b->num_elements;
  b->num_elements += ft_round_up(ft_tensor_elements(t), FT_TENSOR_ALIGN);
}

/* ending: NULL for the whole of a place, else what tells its second block. */
static void name_block(ft_block *b, const char *ending) {
  static const char *const names[] = {"embedding", "layer", "head"};
  int used = snprintf(b->name, sizeof b->name, "%s", names[b->place]);
  if (b->place == FT_PLACE_LAYER)
    used += snprintf(b->name + used, sizeof b->name - (size_t)used, ".%lld", (long long)b->layer);
  if (ending) snprintf(b->name + used, sizeof b->name - (size_t)used, "%s", ending);
}

typedef struct maker {
  ft_layout *layout;
  const ft_choice *choice; /* or NULL */
  const char *ending;      /* of the names of second blocks */
} maker;

/* What is added is trained, whatever it is added to. */
static bool is_frozen(const maker *m, ft_place place, int64_t layer, ft_role role) {
  return ft_role_is_own(role) && m->choice && m->choice->frozen &&
         m->choice->frozen(m->choice->arg, place, layer, role);
}

/* Fills a place's block, and where a part of it is frozen, `rest` with what is trained. Both get
 * their names; one without tensors is not there. */
static void fill_place(const maker *m, ft_place place, int64_t layer, ft_block *block,
                       ft_block *rest) {
  ft_tensor tensors[FT_MAX_BLOCK_TENSORS];
  const ft_layout *l = m->layout;
  int num = ft_method_tensors(&l->arch, &l->method, m->choice, place, layer, tensors);
  int num_frozen = 0;
  for (int i = 0; i < num; i++)
    num_frozen += is_frozen(m, place, layer, tensors[i].role);
  *block = (ft_block){.place = place, .layer = layer, .trained = num_frozen == 0};
  *rest = (ft_block){.place = place, .layer = layer, .trained = true};
  for (int i = 0; i < num; i++) {
    bool apart = num_frozen > 0 && !is_frozen(m, place, layer, tensors[i].role);
    add_tensor(apart ? rest : block, &tensors[i]);
  }
  name_block(block, NULL);
  name_block(rest, m->ending);
}

int64_t ft_layout_max_tokens(const ft_layout *l) {
  return l->arch.max_positions - ft_method_virtual_rows(&l->method);
}

const ft_unit *ft_layout_unit(const ft_layout *l, const ft_block *b) {
  if (b->place == FT_PLACE_LAYER) return &l->layers[b->layer];
  return b->place == FT_PLACE_EMBEDDING ? &l->embedding : &l->head;
}

static void add_block(ft_layout *l, const ft_block *block) {
  ft_unit *unit = (ft_unit *)(uintptr_t)ft_layout_unit(l, block);
  unit->blocks[unit->num_blocks++] = l->num_blocks;
  l->blocks[l->num_blocks++] = *block;
}

/* Whole blocks first, so that their numbers do not depend on what is frozen. */
static void fill(const maker *m, ft_block *rests) {
  ft_layout *l = m->layout;
  int64_t places = l->arch.layers + 2;
  for (int64_t i = 0; i < places; i++) {
    ft_block block;
    bool is_layer = i > 0 && i < places - 1;
    ft_place place = i == 0 ? FT_PLACE_EMBEDDING : is_layer ? FT_PLACE_LAYER : FT_PLACE_HEAD;
    fill_place(m, place, is_layer ? i - 1 : -1, &block, &rests[i]);
    add_block(l, &block);
  }
  for (int64_t i = 0; i < places; i++)
    if (rests[i].num_tensors > 0) add_block(l, &rests[i]);
}

ft_err ft_layout_new(const ft_arch *arch, const ft_method *method, const ft_choice *choice,
                     ft_layout **out) {
  ft_err err = FT_OK;
  ft_layout *l = NULL;
  void *p, *rests = NULL;
  int64_t places = arch->layers + 2;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_OTHER, sizeof *l, &p));
  l = p;
  l->arch = *arch;
  if (method) l->method = *method;
  l->layer_decay = 1;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, 2 * places, sizeof(ft_block), &p));
  l->blocks = p;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, arch->layers, sizeof(ft_unit), &p));
  l->layers = p;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, places, sizeof(ft_block), &rests));
  const maker m = {.layout = l, .choice = choice, .ending = method ? ".adapter" : ".trained"};
  fill(&m, rests);
  *out = l;
  l = NULL;
out:
  ft_free(rests);
  ft_layout_free(l);
  return err;
}

void ft_layout_free(ft_layout *l) {
  if (!l) return;
  ft_free(l->blocks);
  ft_free(l->layers);
  ft_free(l->groups);
  ft_free(l);
}

static bool makes_logits(const ft_layout *l, const ft_tensor *t) {
  return t->role == (l->arch.tied ? FT_ROLE_EMBEDDING : FT_ROLE_HEAD);
}

ft_err ft_layout_set_storage(ft_layout *l, ft_code storage) {
  if (storage != FT_CODE_NONE && !ft_layout_has_frozen(l))
    return ft_fail(FT_ERR_CONFIG,
                   "model.storage is \"%s\", but every weight is trained: it is for frozen ones "
                   "(train.freeze, or a method that leaves the model as it is)",
                   ft_code_name(storage));
  for (int64_t b = 0; b < l->num_blocks; b++)
    for (int i = 0; !l->blocks[b].trained && i < l->blocks[b].num_tensors; i++) {
      ft_tensor *t = &l->blocks[b].tensors[i];
      bool finer = storage == FT_CODE_NF4 && makes_logits(l, t);
      t->storage = t->num_dims < 2 ? FT_CODE_NONE : finer ? FT_CODE_INT8 : storage;
    }
  return FT_OK;
}

int64_t ft_layout_find(const ft_layout *l, const ft_unit *unit, ft_role role,
                       const ft_tensor **tensor) {
  for (int i = 0; i < unit->num_blocks; i++) {
    *tensor = ft_block_tensor(&l->blocks[unit->blocks[i]], role);
    if (*tensor) return unit->blocks[i];
  }
  *tensor = NULL;
  return -1;
}

int64_t ft_layout_find_part(const ft_layout *l, int64_t block, ft_role map, ft_part_kind part,
                            const ft_tensor **tensor) {
  return ft_layout_find(l, ft_layout_unit(l, &l->blocks[block]), ft_role_part(map, part), tensor);
}

int64_t ft_layout_num_trained(const ft_layout *l) {
  int64_t sum = 0;
  for (int64_t b = 0; b < l->num_blocks; b++)
    for (int i = 0; l->blocks[b].trained && i < l->blocks[b].num_tensors; i++)
      sum += ft_tensor_elements(&l->blocks[b].tensors[i]);
  return sum;
}

bool ft_layout_has_frozen(const ft_layout *l) {
  for (int64_t b = 0; b < l->num_blocks; b++)
    if (!l->blocks[b].trained) return true;
  return false;
}

int64_t ft_layout_lowest_trained(const ft_layout *l) {
  int64_t lowest = l->arch.layers;
  for (int64_t b = 0; b < l->num_blocks; b++) {
    const ft_block *block = &l->blocks[b];
    int64_t depth = block->place == FT_PLACE_EMBEDDING ? -1
                    : block->place == FT_PLACE_LAYER   ? block->layer
                                                       : l->arch.layers;
    if (block->trained) lowest = FT_MIN(lowest, depth);
  }
  return lowest;
}

/* FLOPs a token for the matrices of a layer or the head. */
static double block_flops(const ft_block *b, bool passed) {
  double sum = 0;
  for (int i = 0; i < b->num_tensors; i++)
    if (b->tensors[i].num_dims == 2 && (int)b->tensors[i].role != FT_ROLE_PREFIX)
      sum += (double)ft_tensor_elements(&b->tensors[i]);
  return sum * (b->trained ? 6 : passed ? 4 : 2);
}

/* Of the head's matrix, where it is the embedding's. */
static double tied_flops(const ft_layout *l) {
  const ft_tensor *t;
  int64_t block = ft_layout_find(l, &l->embedding, FT_ROLE_EMBEDDING, &t);
  if (!l->arch.tied) return 0;
  return (double)ft_tensor_elements(t) * (l->blocks[block].trained ? 6 : 4);
}

double ft_layout_training_flops(const ft_layout *l, const int64_t *lengths, int64_t num_documents) {
  double tokens = 0, pairs = 0, a_token = tied_flops(l);
  int64_t lowest = ft_layout_lowest_trained(l);
  for (int64_t b = 0; b < l->num_blocks; b++)
    if (l->blocks[b].place != FT_PLACE_EMBEDDING)
      a_token += block_flops(&l->blocks[b],
                             l->blocks[b].place == FT_PLACE_HEAD || l->blocks[b].layer >= lowest);
  for (int64_t d = 0; d < num_documents; d++) {
    tokens += (double)lengths[d];
    for (int64_t layer = 0; layer < l->arch.layers; layer++)
      pairs += (double)ft_arch_visible_pairs(&l->arch, layer, lengths[d]) *
               (layer >= lowest ? 1 : 1.0 / 3);
  }
  return a_token * tokens + 12.0 * (double)(l->arch.heads * l->arch.head_dim) * pairs;
}
