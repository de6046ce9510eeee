/* Inside model: bottlenecks (bottleneck.c). All of it does nothing where the method has none there.
 */
#ifndef FT_MODEL_BOTTLENECK_H
#define FT_MODEL_BOTTLENECK_H

#include "internal.h"

ft_err ft_bottleneck_alloc(ft_model *m, int64_t tokens);
ft_err ft_bottleneck_alloc_layer(ft_model *m, int64_t tokens, layer_activations *a);

/* m->branch h becomes h + A(h); output_too false: only what the backward pass needs. */
ft_err ft_bottleneck_branch(ft_model *m, bottleneck_site site, const unit_weights *w,
                            int64_t tokens, const layer_activations *a, bool output_too);
/* From *d_branch, gradient of h + A(h): sends those of A's tensors; *d_branch is that of h. */
ft_err ft_bottleneck_branch_backward(ft_model *m, bottleneck_site site, const unit_weights *w,
                                     int64_t tokens, const layer_activations *a,
                                     const void **d_branch);

/* Whether one reads the stream s at the end of a layer: it is then to be left in
 * bottleneck_input[AFTER_FEED_FORWARD]. */
bool ft_bottleneck_on_stream(const ft_model *m);
/* output [T, D] = s + A(s); NULL: only what the backward pass needs. */
ft_err ft_bottleneck_stream(ft_model *m, const unit_weights *w, int64_t tokens,
                            const layer_activations *a, void *output);
/* From m->dx and m->dx16, gradient of s + A(s), to the same of s. */
ft_err ft_bottleneck_stream_backward(ft_model *m, const unit_weights *w, int64_t tokens,
                                     const layer_activations *a);

#endif
