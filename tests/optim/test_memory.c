/* Proves by arithmetic what a run takes of memory. The formulas below are those of
 * docs/architecture.md and docs/memory.md; on small models they give, owner by owner, exactly what
 * is accounted, and then say that models of 7, 13 and 70 billion parameters fit where
 * docs/memory.md says, and that buffers of gradients stay within 512 MiB a rank on 64 to 1024
 * ranks. Alone: FT_FAKE_NODE_SIZE=1 mpirun -np 3 build/tests/optim/test_memory */
#include <stdlib.h>

#include "ft/model.h"
#include "ft/optim.h"
#include "ft_test.h"
#include "layouts.h"

static ft_comm *comm;

enum { GB = 1000000000, MIB = 1 << 20 };

typedef struct layout {
  ft_arch arch;
  int ranks; /* each on a node of its own */
  int64_t tokens, every;
  ft_master master;
  ft_moments state;
  ft_dtype gradient, compute;
  int64_t piece, logits_bytes; /* 0: the default */
} layout;

/* Bytes of one rank, by owner. */
typedef struct bytes {
  double master, state, gradient, weights, exchange, activations, workspace;
} bytes;

static double sum(const bytes *b) {
  return b->master + b->state + b->gradient + b->weights + b->exchange + b->activations +
         b->workspace;
}

/* What rank `place` keeps and moves. */
static void add_shard(const layout *l, int place, bytes *b) {
  int64_t width = (int64_t)ft_dtype_bytes(l->compute);
  int64_t piece = l->piece ? l->piece : ((int64_t)128 << 20) / width;
  int64_t largest_block = 0, largest_piece = 0, largest_slice = 0;
  double kept = 0, chunks = 0;
  for (int64_t i = 0; i < layout_of(&l->arch)->num_blocks; i++) {
    ft_block block = layout_of(&l->arch)->blocks[i];
    int64_t room = ft_partition_num_pieces(&block, piece);
    ft_range *r = malloc((size_t)room * sizeof *r);
    int64_t num = ft_partition(&block, piece, 0, 1, r); /* one rank's slices are the pieces */
    for (int64_t k = 0; k < num; k++)
      largest_piece = FT_MAX(largest_piece, r[k].count);
    num = ft_partition(&block, piece, place, l->ranks, r);
    for (int64_t k = 0; k < num; k++) {
      kept += (double)r[k].count;
      chunks += (double)ft_ceil_div(r[k].count, FT_CHUNK);
      largest_slice = FT_MAX(largest_slice, r[k].count);
    }
    free(r);
    largest_block = FT_MAX(largest_block, block.num_elements);
  }
  static const double master[FT_MASTER_NUM] = {4, 3, 2};
  b->master = master[l->master] * kept;
  b->state = (l->state == FT_MOMENTS_F32 ? 8 : 2 + 8.0 / FT_QUANTUM) * kept;
  b->gradient = (double)ft_dtype_bytes(l->gradient) * kept + 8 * chunks;
  b->weights = (l->arch.tied ? 3.0 : 2.0) * (double)(largest_block * width);
  b->exchange =
      2.0 * (double)(largest_piece * width) + (double)((l->ranks - 1) * largest_slice * width);
}

/* What the output head takes: logits and their gradients, and what the head's gradient is summed in
 * over pieces of tokens; or, where that would be large, the same in pieces of the vocabulary. */
static double head_workspace(const layout *l) {
  const ft_arch *a = &l->arch;
  int64_t t = l->tokens, bound = l->logits_bytes ? l->logits_bytes : 256 * (int64_t)MIB;
  int64_t rows = FT_MAX(bound / (4 * a->vocab), 1), half = l->compute == FT_BF16 ? 2 : 0;
  bool sums = a->tied || rows < t;
  rows = FT_MIN(rows, t);
  if (!sums || l->gradient == FT_F32 || 4 * a->vocab * a->hidden <= 4 * bound)
    return (double)rows * (4 + (double)a->vocab * (double)(4 + half)) +
           (sums ? 4 * (double)a->vocab * (double)a->hidden : 0);
  int64_t whole = FT_MAX((bound / (4 * t) - 16) / 64 * 64, 64);
  int64_t columns =
      FT_MIN(ft_round_up(ft_ceil_div(a->vocab, ft_ceil_div(a->vocab, whole)), 64), a->vocab);
  int64_t pieces = ft_ceil_div(a->vocab, columns), elements = t * (columns + 16);
  double summed = a->tied ? (double)FT_MAX(bound / 16 / a->hidden, 1) : 0;
  return (double)t * (4 + 4 + 8 * (double)pieces) + 4 * (double)FT_MAX(elements, rows * a->vocab) +
         (double)(half * elements) + 4 * FT_MIN(summed, (double)a->vocab) * (double)a->hidden;
}

/* What a micro-batch of `tokens` takes; without the scratch of kernels. */
static void add_model(const layout *l, bytes *b) {
  const ft_arch *a = &l->arch;
  double t = (double)l->tokens, w = (double)ft_dtype_bytes(l->compute), d = (double)a->hidden;
  double f = (double)a->ffn, q = (double)(a->heads * a->head_dim);
  double qkv = q + 2.0 * (double)(a->kv_heads * a->head_dim), layers = (double)a->layers;
  double layer = t * (w * (3 * d + qkv + q + 2 * f) + 4 * (2 + (double)a->heads));
  double again = l->every ? (double)ft_ceil_div(a->layers, l->every) : 0;
  b->activations = (layers + 1) * t * d * w + layer * (layers - again + (again > 0));
  b->workspace = t * (w * (5 * d + f + qkv + q - d) + 4 * 2 * d + 8 + 4 + 4 + 4) +
                 head_workspace(l) +
                 4 * (d + qkv - (double)(a->kv_heads * a->head_dim) + (double)(a->head_dim / 2));
}

static bytes predict(const layout *l, int place) {
  bytes b = {0};
  add_shard(l, place, &b);
  add_model(l, &b);
  return b;
}

/* ---------------------------------------------------------------- against what is accounted */

/* Attention's scratch is not there before it is used. */
static int64_t attention_scratch(const layout *l) {
  const int64_t whole[] = {0, l->tokens};
  const ft_arch *a = &l->arch;
  return ft_attention_scratch(&(ft_attention){.type = l->compute,
                                              .heads = a->heads,
                                              .kv_heads = a->kv_heads,
                                              .head_dim = a->head_dim,
                                              .num_documents = 1,
                                              .offsets = whole});
}

static void assert_bytes(const char *what, double predicted, ft_owner owner) {
  double found = (double)ft_mem_of(owner).current_bytes;
  if (found != predicted) fail_msg("%s: %.0f bytes, predicted were %.0f", what, found, predicted);
}

/* What shard, optim and model say without MPI is what they have allocated. */
static void footprint_is_what_is_accounted(const layout *l, const ft_shard_options *options,
                                           const ft_optim_options *o, const ft_model_options *m) {
  ft_footprint shard, model;
  ft_state_info states[FT_OPTIM_MAX_STATES];
  int num = ft_optim_states(o, states), rank = ft_comm_rank(comm), node = ft_comm_node(comm);
  const ft_placement at =
      ft_placement_regular(ft_comm_size(comm), ft_comm_node_size(comm, 0), rank);
  assert_int_equal(at.node_size, ft_comm_node_size(comm, node));
  assert_ok(ft_shard_footprint(layout_of(&l->arch), options, &at, states, num, &shard));
  assert_ok(ft_model_footprint(layout_of(&l->arch), m, &model));
  ft_footprint_add(&shard, &model);
  for (int owner = FT_MEM_MASTER; owner <= FT_MEM_WORKSPACE; owner++) {
    double found = (double)ft_mem_of((ft_owner)owner).current_bytes;
    double said = (double)shard.rank[owner] + (at.node_rank ? 0 : (double)shard.node[owner]);
    if (owner == FT_MEM_WORKSPACE) found += (double)attention_scratch(l);
    if (found != said)
      fail_msg("%s: %.0f bytes, its footprint is %.0f", ft_owner_name((ft_owner)owner), found,
               said);
  }
}

static void check(const layout *l) {
  ft_shard *shard;
  ft_optim *optim;
  ft_model *model;
  const ft_shard_options options = {.stage = 3,
                                    .training = true,
                                    .compute = l->compute,
                                    .master = l->master,
                                    .gradient = l->gradient,
                                    .piece_elements = l->piece};
  const ft_optim_options o = {.state = l->state};
  const ft_model_options m = {.compute = l->compute,
                              .max_tokens = l->tokens,
                              .training = true,
                              .activation_checkpointing = l->every,
                              .logits_bytes = l->logits_bytes,
                              .bounded_head = l->gradient == FT_BF16};
  assert_ok(ft_shard_new(comm, layout_of(&l->arch), &options, &shard));
  assert_ok(ft_optim_new(shard, &o, &optim));
  assert_ok(ft_model_new(shard, &m, &model));
  footprint_is_what_is_accounted(l, &options, &o, &m);
  bytes b = predict(l, ft_comm_rank(comm));
  assert_bytes("master", b.master, FT_MEM_MASTER);
  assert_bytes("state", b.state, FT_MEM_STATE);
  assert_bytes("gradient", b.gradient, FT_MEM_GRADIENT);
  assert_bytes("weights", b.weights, FT_MEM_WEIGHTS);
  assert_bytes("activations", b.activations, FT_MEM_ACTIVATIONS);
  assert_bytes("workspace", b.workspace, FT_MEM_WORKSPACE);
  /* beside the buffers: lists of messages, 32 bytes or so a piece and rank */
  double lists = (double)ft_mem_of(FT_MEM_EXCHANGE).current_bytes - b.exchange;
  assert_true(lists >= 0 && lists < 65536);
  ft_model_free(model);
  ft_optim_free(optim);
  ft_shard_free(shard);
}

static void formulas_are_what_is_accounted(void **state) {
  (void)state;
  layout l = {.arch = FT_ARCH_LLAMA(.vocab = 700, .hidden = 96, .ffn = 250, .layers = 5, .heads = 6,
                                    .kv_heads = 2, .head_dim = 16, .max_positions = 64,
                                    .norm.eps = 1e-5f, .ropes[0].theta = 10000),
              .ranks = ft_comm_size(comm),
              .tokens = 37,
              .compute = FT_BF16,
              .piece = 30000};
  ft_arch_complete(&l.arch);
  check(&l);
  l.every = 1;
  l.master = FT_MASTER_BF16_8;
  l.state = FT_MOMENTS_INT8;
  l.gradient = FT_BF16;
  l.arch.tied = true;
  check(&l);
  l.logits_bytes = 20000; /* eleven pieces of the vocabulary, sums of 13 rows */
  check(&l);
  l.every = 2;
  l.master = FT_MASTER_BF16;
  l.compute = FT_F32;
  check(&l);
  l.arch.tied = false;
  check(&l);
  l.logits_bytes = 0;
  check(&l);
}

/* ---------------------------------------------------------------- large models */

static ft_arch shape(int64_t d, int64_t f, int64_t layers, int64_t heads, int64_t kv,
                     int64_t vocab) {
  ft_arch arch = FT_ARCH_LLAMA(.vocab = vocab, .hidden = d, .ffn = f, .layers = layers,
                               .heads = heads, .kv_heads = kv, .head_dim = d / heads,
                               .max_positions = 4096, .norm.eps = 1e-5f, .ropes[0].theta = 10000);
  ft_arch_complete(&arch);
  return arch;
}

/* All ranks together, and for each the process itself and the scratch of kernels: with 70B's shapes
 * and 4096 tokens, attention's sums of 128 MiB and 3.5 MiB a thread. */
static double total(const layout *l) {
  double all = 0;
  for (int place = 0; place < l->ranks; place++) {
    bytes b = predict(l, place);
    all += sum(&b) + 512.0 * MIB;
  }
  return all;
}

static void large_models_fit(void **state) {
  (void)state;
  const struct {
    const char *name;
    ft_arch arch;
    int ranks;
    double at_most;
  } cases[] = {{"Llama 2 7B", shape(4096, 11008, 32, 32, 32, 32000), 1, 60.0 * GB},
               {"Llama 2 7B", shape(4096, 11008, 32, 32, 32, 32000), 2, 60.0 * GB},
               {"Llama 2 13B", shape(5120, 13824, 40, 40, 40, 32000), 2, 120.0 * GB},
               {"Llama 2 70B", shape(8192, 28672, 80, 64, 8, 32000), 8, 600.0 * GB},
               {"Llama 3 8B", shape(4096, 14336, 32, 32, 8, 128256), 1, 62.0 * GB},
               {"Llama 3 70B", shape(8192, 28672, 80, 64, 8, 128256), 8, 600.0 * GB}};
  for (size_t i = 0; i < FT_ARRAY_SIZE(cases); i++) {
    layout l = {.arch = cases[i].arch,
                .ranks = cases[i].ranks,
                .tokens = 4096,
                .every = 1,
                .master = FT_MASTER_BF16_8,
                .state = FT_MOMENTS_INT8,
                .gradient = FT_BF16,
                .compute = FT_BF16};
    double needed = total(&l);
    printf("%s, %d ranks, 4096 tokens each: %.1f GB\n", cases[i].name, l.ranks, needed / GB);
    assert_true(needed <= cases[i].at_most);
  }
}

/* Master weights, moments and gradients of 1.1 billion parameters over 4 ranks. */
static void state_of_a_parameter(void **state) {
  (void)state;
  for (int low = 0; low < 2; low++) {
    layout l = {.arch = shape(2048, 5632, 22, 32, 4, 32000),
                .ranks = 4,
                .tokens = 1,
                .master = low ? FT_MASTER_BF16_8 : FT_MASTER_F32,
                .state = low ? FT_MOMENTS_INT8 : FT_MOMENTS_F32,
                .gradient = low ? FT_BF16 : FT_F32,
                .compute = FT_BF16};
    double kept = 0;
    for (int place = 0; place < l.ranks; place++) {
      bytes b = predict(&l, place);
      kept += b.master + b.state + b.gradient;
    }
    double each = kept / (double)ft_arch_num_parameters(&l.arch);
    printf("1.1B, 4 ranks: %.3f bytes a parameter\n", each);
    assert_true(each <= (low ? 7.3 : 16.5));
  }
}

/* Send and receive buffers of every rank, of the largest and of a narrow model, in both types. */
static void gradient_buffers_are_bounded(void **state) {
  (void)state;
  const ft_arch archs[] = {shape(8192, 28672, 80, 64, 8, 128256),
                           shape(16384, 53248, 126, 128, 8, 128256),
                           shape(2048, 5632, 22, 32, 4, 32000)};
  static const int ranks[] = {64, 100, 128, 256, 512, 777, 1024};
  for (size_t a = 0; a < FT_ARRAY_SIZE(archs); a++)
    for (size_t r = 0; r < FT_ARRAY_SIZE(ranks); r++)
      for (int type = FT_F32; type <= FT_BF16; type++)
        for (int place = 0; place < ranks[r]; place += ranks[r] / 4 - 1) {
          layout l = {.arch = archs[a], .ranks = ranks[r], .compute = (ft_dtype)type};
          l.arch.layers = 1; /* all layers are cut alike */
          bytes b = {0};
          add_shard(&l, place, &b);
          assert_true(b.exchange <= 512.0 * MIB);
        }
}

int main(void) {
  /* A rank that fails must not leave the others waiting for it. */
  setenv("CMOCKA_TEST_ABORT", "1", 1);
  if (ft_comm_new(&comm) != FT_OK) {
    fprintf(stderr, "%s\n", ft_error_message());
    return 1;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(formulas_are_what_is_accounted),
      cmocka_unit_test(large_models_fit),
      cmocka_unit_test(state_of_a_parameter),
      cmocka_unit_test(gradient_buffers_are_bounded),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  ft_comm_free(comm);
  return failed;
}
