/* What a method adds to a model's tensors, each where the backward pass finishes its gradient. */
#include "ft/arch_method.h"

const ft_map ft_maps[FT_MAP_NUM] = {
    [FT_MAP_NONE] = {FT_ROLE_NUM, FT_ROLE_NUM, FT_MAP_NONE},
    [FT_MAP_Q] = {FT_ROLE_Q, FT_ROLE_Q_BIAS, FT_MAP_Q},
    [FT_MAP_K] = {FT_ROLE_K, FT_ROLE_K_BIAS, FT_MAP_Q},
    [FT_MAP_V] = {FT_ROLE_V, FT_ROLE_V_BIAS, FT_MAP_Q},
    [FT_MAP_O] = {FT_ROLE_O, FT_ROLE_O_BIAS, FT_MAP_O},
    [FT_MAP_GATE] = {FT_ROLE_GATE, FT_ROLE_GATE_BIAS, FT_MAP_GATE},
    [FT_MAP_UP] = {FT_ROLE_UP, FT_ROLE_UP_BIAS, FT_MAP_GATE},
    [FT_MAP_DOWN] = {FT_ROLE_DOWN, FT_ROLE_DOWN_BIAS, FT_MAP_DOWN},
    [FT_MAP_HEAD] = {FT_ROLE_HEAD, FT_ROLE_HEAD_BIAS, FT_MAP_HEAD},
    [FT_MAP_EMBEDDING] = {FT_ROLE_EMBEDDING, FT_ROLE_NUM, FT_MAP_EMBEDDING}};

ft_map_slot ft_map_of(ft_role role) {
  if (!ft_role_is_own(role)) return FT_MAP_NONE;
  for (int i = FT_MAP_Q; i < FT_MAP_NUM; i++)
    if (ft_maps[i].weight == role || ft_maps[i].bias == role) return (ft_map_slot)i;
  return FT_MAP_NONE;
}

bool ft_role_is_layer_map(ft_role role) {
  ft_map_slot slot = ft_map_of(role);
  return slot != FT_MAP_NONE && slot <= FT_MAP_DOWN && ft_maps[slot].weight == role;
}

bool ft_role_is_part(ft_role role, ft_role *map, ft_part_kind *part) {
  int number = (int)role - FT_ROLE_PARTS;
  if (number < 0) return false;
  if (map) *map = (ft_role)(number / FT_PART_NUM);
  if (part) *part = (ft_part_kind)(number % FT_PART_NUM);
  return true;
}

typedef struct lister {
  const ft_arch *arch;
  const ft_method *method;
  const ft_choice *choice;
  ft_place place;
  int64_t layer;
  ft_tensor *out; /* [FT_MAX_BLOCK_TENSORS] */
  int num;
} lister;

static void add(lister *l, ft_tensor t) {
  FT_ASSERT(l->num < FT_MAX_BLOCK_TENSORS);
  l->out[l->num++] = t;
}

static void add_matrix(lister *l, int role, int64_t rows, int64_t cols) {
  add(l, (ft_tensor){.role = (ft_role)role, .rows = rows, .cols = cols, .num_dims = 2});
}

static void add_vector(lister *l, bool there, int role, int64_t length) {
  if (there) add(l, (ft_tensor){.role = (ft_role)role, .rows = 1, .cols = length, .num_dims = 1});
}

/* ---------------------------------------------------------------- beside maps */

static ft_beside beside(const lister *l, ft_role map) {
  if (!l->choice || !l->choice->beside) return (ft_beside){.rank = 0};
  return l->choice->beside(l->choice->arg, l->place, l->layer, map);
}

/* All of a map but its A. */
static void add_parts(lister *l, const ft_tensor *map) {
  const ft_beside b = beside(l, map->role);
  bool look_up = map->role == FT_ROLE_EMBEDDING;
  int64_t out = look_up ? map->cols : map->rows, in = look_up ? map->rows : map->cols;
  add_vector(l, b.magnitude, ft_role_part(map->role, FT_PART_MAGNITUDE), out);
  add_vector(l, b.output_scale, ft_role_part(map->role, FT_PART_OUTPUT_SCALE), out);
  add_vector(l, b.input_scale, ft_role_part(map->role, FT_PART_INPUT_SCALE), in);
  if (b.rank > 0) add_matrix(l, ft_role_part(map->role, FT_PART_B), out, b.rank);
}

static void add_a(lister *l, const ft_tensor *map) {
  const ft_beside b = beside(l, map->role);
  bool look_up = map->role == FT_ROLE_EMBEDDING;
  if (b.rank == 0 || b.shares_a) return;
  add_matrix(l, ft_role_part(map->role, FT_PART_A), look_up ? map->rows : b.rank,
             look_up ? b.rank : map->cols);
  l->out[l->num - 1].scale = b.scale;
}

/* Maps whose gradients leave together with their biases': what is beside them follows. */
static ft_map_slot group_of(ft_role role) {
  return ft_maps[ft_map_of(role)].leader;
}

static void add_group(lister *l, const ft_tensor *own, int num, ft_map_slot group) {
  for (int i = 0; group != FT_MAP_NONE && i < num; i++)
    if (own[i].num_dims == 2 && group_of(own[i].role) == group) add_parts(l, &own[i]);
  for (int i = 0; group != FT_MAP_NONE && i < num; i++)
    if (own[i].num_dims == 2 && group_of(own[i].role) == group) add_a(l, &own[i]);
}

/* ---------------------------------------------------------------- of no map */

/* The four tensors of a bottleneck; down: the role of the first. */
static void add_bottleneck(lister *l, int down) {
  int64_t width = l->method->bottleneck, d = l->arch->hidden;
  add_matrix(l, down + 2, d, width);
  add_vector(l, true, down + 3, d);
  add_matrix(l, down, width, d);
  add_vector(l, true, down + 1, width);
}

static void add_before(lister *l, ft_map_slot group) {
  const ft_method *m = l->method;
  if (group == FT_MAP_O && m->bottleneck > 0 && m->bottleneck_after_attention)
    add_bottleneck(l, FT_ROLE_ATTN_BOTTLENECK_DOWN);
  if (group == FT_MAP_Q && m->prefix_tokens > 0)
    add_matrix(l, FT_ROLE_PREFIX, m->prefix_tokens, 2 * l->arch->kv_heads * l->arch->head_dim);
}

int ft_method_tensors(const ft_arch *arch, const ft_method *method, const ft_choice *choice,
                      ft_place place, int64_t layer, ft_tensor *out) {
  ft_tensor own[FT_MAX_BLOCK_TENSORS];
  lister l = {arch, method, choice, place, layer, out, 0};
  int num = ft_arch_tensors(arch, place, layer, own);
  ft_map_slot group = FT_MAP_NONE;
  if (place == FT_PLACE_LAYER && method->bottleneck > 0)
    add_bottleneck(&l, FT_ROLE_MLP_BOTTLENECK_DOWN);
  for (int i = 0; i < num; i++) {
    if (group_of(own[i].role) != group) {
      add_group(&l, own, num, group);
      group = group_of(own[i].role);
      add_before(&l, group);
    }
    add(&l, own[i]);
  }
  add_group(&l, own, num, group);
  if (place == FT_PLACE_EMBEDDING && method->prompt_tokens > 0)
    add_matrix(&l, FT_ROLE_PROMPT, method->prompt_tokens, arch->hidden);
  return l.num;
}
