/* Inside model: rows before the tokens of a document (virtual.c). All of it does nothing where the
 * method has none. */
#ifndef FT_MODEL_VIRTUAL_H
#define FT_MODEL_VIRTUAL_H

#include "internal.h"

ft_err ft_virtual_alloc(ft_model *m, int64_t tokens);
/* Notes in m->prompt_ids which row of the prompt stands at each row of a batch. */
void ft_prompt_find(ft_model *m, const ft_model_batch *batch);
/* Keys and values of a layer's prefix into the virtual rows of qkv [T, H·W + 2 K·W]. */
void ft_prefix_put(ft_model *m, const unit_weights *w, const ft_model_batch *batch, void *qkv);
/* Sends the prefix' gradient, and takes it out of m->d_qkv, which is that of what attention read.
 */
ft_err ft_prefix_backward(ft_model *m, const ft_model_batch *batch);

#endif
