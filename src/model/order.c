/* What a model's passes do, worked out once: which blocks they acquire in which order, and where
 * the backward pass may end because nothing below is trained. */
#include "internal.h"

bool ft_model_needs_embedding_again(const ft_model *m) {
  bool head_in_pieces = m->arch.tied && m->num_vocab_pieces > 0;
  bool low_rank = m->needs[FT_MAP_EMBEDDING].rank > 0;
  return m->embedding_trained && (head_in_pieces || m->arch.embedding_norm || low_rank);
}

void ft_model_find_trained(ft_model *m) {
  const ft_layout *l = m->layout;
  m->embedding_trained = ft_unit_is_trained(m, &l->embedding);
  m->head_trained = m->arch.tied ? ft_unit_trains(m, &l->embedding, FT_ROLE_EMBEDDING)
                                 : ft_unit_trains(m, &l->head, FT_ROLE_HEAD);
  m->lowest_layer = FT_MAX(ft_layout_lowest_trained(l), 0);
}

static void add_unit(int64_t *order, int64_t *num, const ft_unit *unit) {
  for (int i = 0; i < unit->num_blocks; i++)
    order[(*num)++] = unit->blocks[i];
}

static void add_forward(const ft_model *m, int64_t *order, int64_t *num) {
  const ft_layout *l = m->layout;
  add_unit(order, num, &l->embedding);
  for (int64_t layer = 0; layer < m->arch.layers; layer++)
    add_unit(order, num, &l->layers[layer]);
  add_unit(order, num, &l->head);
  if (m->arch.tied) add_unit(order, num, &l->embedding);
}

ft_err ft_model_make_orders(ft_model *m) {
  ft_err err = FT_OK;
  const ft_layout *l = m->layout;
  int64_t most = 2 * l->num_blocks + 4;
  void *p;
  FT_TRY(ft_model_alloc(m, FT_MEM_OTHER, most, sizeof(int64_t), &p));
  m->forward_order = p;
  FT_TRY(ft_model_alloc(m, FT_MEM_OTHER, most, sizeof(int64_t), &p));
  m->train_order = p;
  add_forward(m, m->forward_order, &m->num_forward_order);
  add_forward(m, m->train_order, &m->num_train_order);
  for (int64_t layer = m->arch.layers - 1; layer >= m->lowest_layer; layer--)
    add_unit(m->train_order, &m->num_train_order, &l->layers[layer]);
  if (ft_model_needs_embedding_again(m))
    add_unit(m->train_order, &m->num_train_order, &l->embedding);
out:
  return err;
}
