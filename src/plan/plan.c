/* Memory by owner of every node, disk, network, work and time of a run that does not exist yet. */
#include "ft/plan.h"

#include <string.h>

/* Beside what is accounted, measured with 1 to 3 ranks on one machine (docs/plan.md): a rank's own
 * pages of program, libraries and MPI, if no calibration says better. */
enum { PROCESS_BYTES = 12 << 20 };
/* Buffers while weights are read or a checkpoint is written (docs/memory.md). */
enum { FILE_BYTES = 8 << 20 };

const char *ft_plan_moment_name(ft_plan_moment moment) {
  static const char *const names[FT_PLAN_NUM_MOMENTS] = {
      [FT_PLAN_REFERENCE] = "asking the reference model",
      [FT_PLAN_LOAD] = "reading the weights",
      [FT_PLAN_STEP] = "a step",
      [FT_PLAN_SAVE] = "a step during which a checkpoint is written"};
  FT_ASSERT(moment < FT_PLAN_NUM_MOMENTS);
  return names[moment];
}

/* ---------------------------------------------------------------- memory */

/* What every rank of a run has alike, and what its place decides. */
typedef struct sizing {
  const ft_plan_input *input;
  const ft_plan_cluster *cluster;
  ft_plan_modules modules;
  ft_footprint model;                /* of a rank */
  ft_plan_modules reference_modules; /* where there is a reference model, as the next */
  ft_footprint reference_model;
  int64_t data_bytes; /* of a rank */
  ft_state_info states[FT_OPTIM_MAX_STATES];
  int num_states;
  int64_t process_bytes; /* of a rank */
} sizing;

/* A node: bytes by owner of all its ranks, what is shared among it, and its fullest rank. */
typedef struct node_memory {
  int64_t bytes[FT_MEM_NUM_OWNERS], shared, fullest_rank;
  int64_t asking; /* while the reference model is asked; 0: there is none */
  int ranks;
} node_memory;

static ft_err size_rank(const sizing *z, int place, ft_footprint *out, int *node_size) {
  const ft_plan_cluster *c = z->cluster;
  const ft_placement at = ft_placement_regular(c->ranks, c->ranks_per_node, place);
  ft_err err = ft_shard_footprint(z->input->hf.layout, &z->modules.shard, &at, z->states,
                                  z->num_states, out);
  ft_footprint_add(out, &z->model);
  out->rank[FT_MEM_DATA] += z->data_bytes;
  out->rank[FT_MEM_IO] += FILE_BYTES;
  *node_size = at.node_size;
  return err;
}

static bool has_reference(const sizing *z) {
  return z->input->reference.layout != NULL;
}

/* Of a rank while the reference model is asked; what its node has once counts on the first. */
static ft_err size_reference(const sizing *z, int place, bool first, int64_t *bytes) {
  const ft_plan_cluster *c = z->cluster;
  const ft_placement at = ft_placement_regular(c->ranks, c->ranks_per_node, place);
  ft_footprint f;
  ft_err err =
      ft_shard_footprint(z->input->reference.layout, &z->reference_modules.shard, &at, NULL, 0, &f);
  ft_footprint_add(&f, &z->reference_model);
  *bytes += z->data_bytes + FILE_BYTES + z->process_bytes;
  for (int owner = 0; owner < FT_MEM_NUM_OWNERS; owner++)
    *bytes += f.rank[owner] + (first ? f.node[owner] : 0);
  return err;
}

static ft_err size_node(const sizing *z, int node, node_memory *out) {
  ft_err err = FT_OK;
  int first = node * z->cluster->ranks_per_node;
  int end = FT_MIN(first + z->cluster->ranks_per_node, z->cluster->ranks);
  *out = (node_memory){.ranks = end - first};
  for (int place = first; place < end; place++) {
    ft_footprint f;
    int node_size;
    int64_t mine = z->process_bytes;
    FT_TRY(size_rank(z, place, &f, &node_size));
    if (has_reference(z)) FT_TRY(size_reference(z, place, place == first, &out->asking));
    for (int owner = 0; owner < FT_MEM_NUM_OWNERS; owner++) {
      int64_t once = place == first ? f.node[owner] : 0;
      out->bytes[owner] += f.rank[owner] + once;
      mine += f.rank[owner];
      if (node_size > 1) out->shared += once;
      mine += f.node[owner] / node_size;
    }
    out->fullest_rank = FT_MAX(out->fullest_rank, mine);
  }
out:
  return err;
}

/* What is there before the first step: weights as they are kept, what the node shares (its pages
 * are made at once), data and buffers. */
static int64_t bytes_at(const node_memory *n, int64_t process_bytes, ft_plan_moment moment) {
  static const bool loaded[FT_MEM_NUM_OWNERS] = {
      [FT_MEM_MASTER] = true, [FT_MEM_FROZEN] = true,   [FT_MEM_WEIGHTS] = true,
      [FT_MEM_DATA] = true,   [FT_MEM_EXCHANGE] = true, [FT_MEM_IO] = true};
  if (moment == FT_PLAN_REFERENCE) return n->asking;
  int64_t sum = n->ranks * process_bytes;
  for (int owner = 0; owner < FT_MEM_NUM_OWNERS; owner++) {
    bool there =
        moment == FT_PLAN_LOAD ? loaded[owner] : owner != FT_MEM_IO || moment == FT_PLAN_SAVE;
    if (there) sum += n->bytes[owner];
  }
  return sum;
}

static void take_node(const sizing *z, const node_memory *n, ft_plan *p) {
  memcpy(p->bytes, n->bytes, sizeof p->bytes);
  p->process_bytes = n->ranks * z->process_bytes;
  p->shared_bytes = n->shared;
  p->rank_bytes = n->fullest_rank;
  p->node_bytes = 0;
  for (int moment = 0; moment < FT_PLAN_NUM_MOMENTS; moment++) {
    p->moments[moment] = bytes_at(n, z->process_bytes, (ft_plan_moment)moment);
    if (p->moments[moment] <= p->node_bytes) continue;
    p->node_bytes = p->moments[moment];
    p->peak = (ft_plan_moment)moment;
  }
}

static int num_nodes(const ft_plan_cluster *c) {
  return (int)ft_ceil_div(c->ranks, c->ranks_per_node);
}

static int64_t peak_of(const sizing *z, const node_memory *n) {
  return FT_MAX(bytes_at(n, z->process_bytes, FT_PLAN_SAVE), n->asking);
}

static ft_err find_fullest(const sizing *z, ft_plan *p) {
  ft_err err = FT_OK;
  int64_t most = -1;
  for (int node = 0; node < p->nodes; node++) {
    node_memory n;
    FT_TRY(size_node(z, node, &n));
    int64_t all = peak_of(z, &n);
    if (all <= most) continue;
    most = all;
    take_node(z, &n, p);
  }
  p->fits = p->node_bytes <= z->cluster->node_memory;
out:
  return err;
}

/* ---------------------------------------------------------------- disk */

int64_t ft_plan_checkpoint_bytes(const ft_config *c, const ft_layout *layout) {
  const ft_plan_modules m = ft_plan_modules_of(c, 1);
  ft_state_info states[FT_OPTIM_MAX_STATES];
  int num = ft_optim_states(&m.optim, states);
  return ft_shard_saved_bytes(layout, m.shard.master, states, num);
}

static void size_checkpoints(const ft_plan_input *in, ft_plan *p) {
  const ft_config *c = in->config;
  p->checkpoint_bytes = ft_plan_checkpoint_bytes(c, in->hf.layout);
  p->disk_bytes = (c->keep + 1 + (c->num_validation > 0)) * p->checkpoint_bytes +
                  FT_PLAN_REFERENCE_ROW_BYTES * p->reference_documents;
}

/* ---------------------------------------------------------------- network */

static double unit_elements(const ft_layout *l, const ft_unit *unit) {
  double sum = 0;
  for (int i = 0; i < unit->num_blocks; i++)
    sum += (double)l->blocks[unit->blocks[i]].num_elements;
  return sum;
}

/* Elements that a round of stage 3 gathers: every unit forward; backward each layer again down to
 * the lowest that is trained, but for the last one, which is still there. */
static double gathered_elements(const ft_layout *l) {
  double sum = unit_elements(l, &l->embedding) + unit_elements(l, &l->head);
  int64_t lowest = FT_MAX(ft_layout_lowest_trained(l), 0);
  if (l->arch.tied) sum += unit_elements(l, &l->embedding);
  for (int64_t i = 0; i < l->arch.layers; i++) {
    double layer = unit_elements(l, &l->layers[i]);
    sum += layer;
    if (i >= lowest && i + 1 < l->arch.layers) sum += layer;
  }
  return sum;
}

static double network_bytes(const sizing *z, const ft_plan *p) {
  const ft_layout *l = z->input->hf.layout;
  const ft_config *c = z->input->config;
  double width = (double)ft_dtype_bytes(c->precision), trained = 0;
  double others = p->nodes - 1, ranks = z->cluster->ranks;
  double away = (ranks - FT_MIN(ranks, z->cluster->ranks_per_node)) / ranks;
  double micro_batches = (double)(c->global_batch / c->micro_batch);
  for (int64_t b = 0; b < l->num_blocks; b++)
    if (l->blocks[b].trained) trained += (double)l->blocks[b].num_elements;
  double gradients = micro_batches * trained * width * away;
  if (c->stage == 3) return gradients + (double)p->rounds * gathered_elements(l) * width * others;
  if (c->stage > 0) return gradients + trained * width * others;
  return gradients + trained * (double)ft_dtype_bytes(c->gradient) * ranks * away;
}

/* ---------------------------------------------------------------- time */

/* Layers that are computed again take their forward pass once more: a third of 2 + 4. */
static double recomputed(const ft_config *c) {
  double share = c->activation_checkpointing > 0 ? 1.0 / (double)c->activation_checkpointing : 0;
  return 1 + share / 3;
}

/* Rated documents have a forward pass more, over the mismatched ones. */
static double passed_before(const ft_plan_input *in) {
  return in->shape.target == FT_TARGET_RATED ? 1.0 / 3 : 0;
}

static void tell_time(const sizing *z, ft_plan *p) {
  const ft_calibration *m = &z->cluster->calibration;
  const ft_config *c = z->input->config;
  if (m->disk_bytes_per_s > 0)
    p->save_s = (double)p->checkpoint_bytes / p->nodes / m->disk_bytes_per_s;
  if (m->rank_flops <= 0) return;
  double micro_batch = p->step_flops / (double)(c->global_batch / c->micro_batch);
  double kept = (double)p->trained / (c->stage == 0 ? 1 : z->cluster->ranks);
  p->step_s =
      (double)p->rounds * micro_batch * (recomputed(c) + passed_before(z->input)) / m->rank_flops +
      kept * m->optimizer_element_s;
  /* what crosses hides behind compute: the longer of the two is what is waited for */
  if (m->network_bytes_per_s > 0 && p->nodes > 1)
    p->step_s = FT_MAX(p->step_s, p->network_bytes / p->nodes / m->network_bytes_per_s);
}

/* ---------------------------------------------------------------- the whole */

static int64_t max_tokens(const ft_plan_input *in) {
  return ft_data_batch_tokens(&in->shape, in->config->micro_batch);
}

/* Every document once, and of rated ones the mismatched of each step and validation set. */
static int64_t reference_documents(const ft_plan_input *in) {
  if (!in->reference.layout || !in->data_is_there) return 0;
  int64_t seen = in->documents + in->validation_documents;
  if (in->shape.target != FT_TARGET_RATED) return seen;
  double a_row = (double)in->documents / (double)FT_MAX(in->rows, 1);
  double rows = (double)(ft_config_num_steps(in->config, in->rows) * in->config->global_batch);
  return seen + in->validation_documents + (int64_t)(rows * a_row);
}

/* Of a row: every document as long as the longest row lets them be. */
static double row_flops(const ft_plan_input *in) {
  const int64_t row = in->shape.longest_row, pair[2] = {row / 2, row - row / 2};
  if (in->shape.target == FT_TARGET_PAIR) return ft_layout_training_flops(in->hf.layout, pair, 2);
  return ft_layout_training_flops(in->hf.layout, &row, 1);
}

static ft_err begin(const ft_plan_input *in, const ft_plan_cluster *cluster, sizing *z) {
  *z =
      (sizing){.input = in,
               .cluster = cluster,
               .modules = ft_plan_modules_of(in->config, max_tokens(in)),
               .data_bytes = in->data_bytes + FT_PLAN_REFERENCE_ROW_BYTES * reference_documents(in),
               .process_bytes = cluster->calibration.process_bytes};
  if (z->process_bytes == 0) z->process_bytes = PROCESS_BYTES;
  z->num_states = ft_optim_states(&z->modules.optim, z->states);
  if (has_reference(z)) {
    z->reference_modules = ft_plan_reference_modules(in->config, max_tokens(in));
    ft_err err =
        ft_model_footprint(in->reference.layout, &z->reference_modules.model, &z->reference_model);
    if (err != FT_OK) return err;
  }
  ft_err err = ft_model_footprint(in->hf.layout, &z->modules.model, &z->model);
  if (err == FT_OK && z->modules.generator.at_once > 0) {
    ft_footprint samples;
    ft_generator_footprint(in->hf.layout, &z->modules.model, &z->modules.generator, &samples);
    ft_footprint_add(&z->model, &samples);
  }
  return err;
}

ft_err ft_plan_make(const ft_plan_input *in, const ft_plan_cluster *cluster, ft_plan *out) {
  ft_err err = FT_OK;
  const ft_config *c = in->config;
  int64_t micro_batches = c->global_batch / c->micro_batch;
  sizing z;
  *out = (ft_plan){.nodes = num_nodes(cluster),
                   .parameters = ft_arch_num_parameters(&in->hf.arch),
                   .trained = ft_layout_num_trained(in->hf.layout),
                   .max_tokens = max_tokens(in),
                   .data_is_there = in->data_is_there,
                   .reference_documents = reference_documents(in),
                   .rounds = ft_ceil_div(micro_batches, cluster->ranks)};
  if (c->steps > 0 || in->rows >= 0) out->steps = ft_config_num_steps(c, in->rows);
  FT_TRY(begin(in, cluster, &z));
  FT_TRY(find_fullest(&z, out));
  size_checkpoints(in, out);
  out->step_flops = (double)c->global_batch * row_flops(in);
  out->network_bytes = network_bytes(&z, out);
  tell_time(&z, out);
out:
  return err;
}

ft_err ft_plan_fits(const ft_plan_input *in, const ft_plan_cluster *cluster, bool *fits) {
  ft_err err = FT_OK;
  sizing z;
  *fits = true;
  FT_TRY(begin(in, cluster, &z));
  for (int node = 0; node < num_nodes(cluster) && *fits; node++) {
    node_memory n;
    FT_TRY(size_node(&z, node, &n));
    *fits = peak_of(&z, &n) <= cluster->node_memory;
  }
out:
  return err;
}
