/* TensorBoard event files: scalars by step. */
#ifndef FT_RUN_TENSORBOARD_H
#define FT_RUN_TENSORBOARD_H

#include "ft/base.h"

typedef struct ft_tensorboard ft_tensorboard;

/* Starts a new event file in DIR, and tells readers to forget what older files say after `step` (0:
 * all of it). Errors: FT_ERR_CREATE, FT_ERR_MEMORY. */
ft_err ft_tensorboard_open(const char *dir, int64_t step, ft_tensorboard **out);
/* Errors: FT_ERR_IO. NULL is legal. */
ft_err ft_tensorboard_scalar(ft_tensorboard *tb, const char *tag, int64_t step, double value);
void ft_tensorboard_close(ft_tensorboard *tb);

#endif
