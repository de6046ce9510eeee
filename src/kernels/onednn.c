/* bf16 products by oneDNN (2.x or 3.x), one tile a call.
 *
 * A primitive is code generated for one shape; it is made once and kept. oneDNN would divide its
 * work by the number of threads that it sees when a primitive is made: it is shown one, so neither
 * the code nor the result depends on the team. Several threads run one primitive at once, each with
 * its own scratchpad (with the primitive's own, results are wrong). */
#include <dnnl.h>
#include <pthread.h>
#include <string.h>

#include "internal.h"

/* Rows and columns of a tile, at most. */
enum { TILE_M = 512, TILE_N = 1024 };

/* Where the two versions of the interface differ: a description of memory is a structure in 2.x, a
 * handle in 3.x. */
#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t description_pointer;
static description_pointer pointer_to(const dnnl_memory_desc_t *d) {
  return *d;
}
static void forget(dnnl_memory_desc_t *d) {
  if (*d) dnnl_memory_desc_destroy(*d);
  *d = NULL;
}
#else
typedef const dnnl_memory_desc_t *description_pointer;
static description_pointer pointer_to(const dnnl_memory_desc_t *d) {
  return d;
}
static void forget(dnnl_memory_desc_t *d) {
  (void)d;
}
#endif

typedef struct shape {
  int64_t m, n, k, a_row, a_column, b_row, b_column, c_row;
  int64_t out_type, bias, accumulate; /* as wide as the rest: no gaps, so bytes can be compared */
} shape;

typedef struct primitive {
  shape shape;
  dnnl_primitive_t handle;
  dnnl_memory_desc_t a, b, c, bias, scratchpad;
  size_t scratchpad_bytes;
  int64_t users;    /* calls that run it now */
  uint64_t used_at; /* to find what has not been used for longest */
  bool kept;        /* in the cache; else its only user frees it */
} primitive;

/* A cache of bounded size: a shape may lie in one of the WAYS places of its set. */
enum { SETS = 256, WAYS = 8 };
static primitive *cache[SETS][WAYS];
static uint64_t cache_clock;
static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;

static dnnl_engine_t engine;
static char version[64];

static ft_err refused(dnnl_status_t status, const char *what, const shape *s) {
  return ft_fail(status == dnnl_out_of_memory ? FT_ERR_MEMORY : FT_ERR_INTERNAL,
                 "oneDNN cannot %s (status %d) a bf16 product of %lld x %lld x %lld", what,
                 (int)status, (long long)s->m, (long long)s->n, (long long)s->k);
}

ft_err ft_onednn_init(void) {
  if (engine) return FT_OK;
  const dnnl_version_t *v = dnnl_version();
  snprintf(version, sizeof version, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
  dnnl_status_t status = dnnl_engine_create(&engine, dnnl_cpu, 0);
  if (status != dnnl_success)
    return ft_fail(FT_ERR_INTERNAL, "oneDNN finds no CPU engine (status %d)", (int)status);
  return FT_OK;
}

const char *ft_onednn_version(void) {
  return version;
}

/* ---------------------------------------------------------------- primitives */

static void primitive_free(primitive *p) {
  if (!p) return;
  if (p->handle) dnnl_primitive_destroy(p->handle);
  forget(&p->a);
  forget(&p->b);
  forget(&p->c);
  forget(&p->bias);
  forget(&p->scratchpad);
  ft_free(p);
}

void ft_onednn_fini(void) {
  for (int set = 0; set < SETS; set++)
    for (int way = 0; way < WAYS; way++) {
      primitive_free(cache[set][way]);
      cache[set][way] = NULL;
    }
  if (engine) dnnl_engine_destroy(engine);
  engine = NULL;
}

static dnnl_status_t describe_matrix(dnnl_memory_desc_t *out, dnnl_data_type_t type, int64_t rows,
                                     int64_t columns, int64_t row, int64_t column) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_create_with_strides(out, 2, (dnnl_dims_t){rows, columns}, type,
                                              (dnnl_dims_t){row, column});
#else
  return dnnl_memory_desc_init_by_strides(out, 2, (dnnl_dims_t){rows, columns}, type,
                                          (dnnl_dims_t){row, column});
#endif
}

/* Adds what is in the result already. */
static dnnl_status_t append_sum(dnnl_post_ops_t post_ops) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_post_ops_append_sum(post_ops, 1.0f, 0, dnnl_data_type_undef);
#else
  return dnnl_post_ops_append_sum(post_ops, 1.0f);
#endif
}

static dnnl_status_t make_descriptor(const primitive *p, dnnl_primitive_attr_t attributes,
                                     dnnl_primitive_desc_t *out) {
  const dnnl_memory_desc_t *bias = p->shape.bias ? &p->bias : NULL;
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_matmul_primitive_desc_create(out, engine, p->a, p->b, bias ? *bias : NULL, p->c,
                                           attributes);
#else
  dnnl_matmul_desc_t matmul;
  dnnl_status_t status = dnnl_matmul_desc_init(&matmul, &p->a, &p->b, bias, &p->c);
  if (status != dnnl_success) return status;
  return dnnl_primitive_desc_create(out, &matmul, attributes, engine, NULL);
#endif
}

/* What the primitive wants for scratchpad; the descriptor owns what it tells. */
static dnnl_status_t keep_scratchpad(primitive *p, const_dnnl_primitive_desc_t descriptor) {
  description_pointer wanted =
      dnnl_primitive_desc_query_md(descriptor, dnnl_query_scratchpad_md, 0);
  p->scratchpad_bytes = dnnl_memory_desc_get_size(wanted);
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_memory_desc_clone(&p->scratchpad, wanted);
#else
  p->scratchpad = *wanted;
  return dnnl_success;
#endif
}

static dnnl_status_t make_attributes(const shape *s, dnnl_primitive_attr_t *out) {
  dnnl_post_ops_t sum = NULL;
  dnnl_status_t status = dnnl_primitive_attr_create(out);
  if (status == dnnl_success)
    status = dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user);
  if (status != dnnl_success || !s->accumulate) return status;
  status = dnnl_post_ops_create(&sum);
  if (status == dnnl_success) status = append_sum(sum);
  if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(*out, sum);
  if (sum) dnnl_post_ops_destroy(sum);
  return status;
}

static dnnl_status_t make_handle(primitive *p) {
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_primitive_desc_t descriptor = NULL;
  dnnl_status_t status = make_attributes(&p->shape, &attributes);
  if (status == dnnl_success) status = make_descriptor(p, attributes, &descriptor);
  if (status == dnnl_success) status = keep_scratchpad(p, descriptor);
  if (status == dnnl_success) status = dnnl_primitive_create(&p->handle, descriptor);
  if (descriptor) dnnl_primitive_desc_destroy(descriptor);
  if (attributes) dnnl_primitive_attr_destroy(attributes);
  return status;
}

static ft_err primitive_new(const shape *s, primitive **out) {
  ft_err err = FT_OK;
  primitive *p = NULL;
  dnnl_data_type_t out_type = s->out_type == FT_F32 ? dnnl_f32 : dnnl_bf16;
  FT_TRY(ft_alloc(FT_MEM_WORKSPACE, sizeof *p, (void **)&p));
  p->shape = *s;
  dnnl_status_t status = describe_matrix(&p->a, dnnl_bf16, s->m, s->k, s->a_row, s->a_column);
  if (status == dnnl_success)
    status = describe_matrix(&p->b, dnnl_bf16, s->k, s->n, s->b_row, s->b_column);
  if (status == dnnl_success) status = describe_matrix(&p->c, out_type, s->m, s->n, s->c_row, 1);
  if (status == dnnl_success) status = describe_matrix(&p->bias, dnnl_bf16, 1, s->n, s->n, 1);
  int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  if (status == dnnl_success) status = make_handle(p);
  omp_set_num_threads(threads);
  if (status != dnnl_success) FT_TRY(refused(status, "prepare", s));
out:
  if (err != FT_OK) {
    primitive_free(p);
    p = NULL;
  }
  *out = p;
  return err;
}

/* ---------------------------------------------------------------- cache */

/* Puts p in its set's first free place, or in that of the one unused for longest; where all are
 * running it stays outside. With the lock held. */
static void cache_put(primitive **set, primitive *p) {
  primitive **place = NULL;
  for (int way = 0; way < WAYS; way++) {
    if (!set[way]) {
      place = &set[way];
      break;
    }
    if (set[way]->users == 0 && (!place || set[way]->used_at < (*place)->used_at))
      place = &set[way];
  }
  if (!place) return;
  primitive_free(*place);
  *place = p;
  p->kept = true;
}

static ft_err primitive_acquire(const shape *s, primitive **out) {
  ft_err err = FT_OK;
  primitive **set = cache[ft_hash64(s, sizeof *s, 0) % SETS], *p = NULL;
  pthread_mutex_lock(&cache_lock);
  for (int way = 0; way < WAYS && !p; way++)
    if (set[way] && memcmp(&set[way]->shape, s, sizeof *s) == 0) p = set[way];
  if (!p) {
    err = primitive_new(s, &p);
    if (err == FT_OK) cache_put(set, p);
  }
  if (err == FT_OK) {
    p->users++;
    p->used_at = ++cache_clock;
  }
  pthread_mutex_unlock(&cache_lock);
  *out = p;
  return err;
}

static void primitive_release(primitive *p) {
  if (!p) return;
  pthread_mutex_lock(&cache_lock);
  p->users--;
  bool unwanted = p->users == 0 && !p->kept;
  pthread_mutex_unlock(&cache_lock);
  if (unwanted) primitive_free(p);
}

/* ---------------------------------------------------------------- running */

static dnnl_status_t run_tile(const primitive *p, const ft_product *x, const ft_tile *t,
                              void *scratchpad) {
  const struct {
    int argument;
    const dnnl_memory_desc_t *descriptor;
    const void *data;
  } operands[] = {
      {DNNL_ARG_SRC, &p->a, ft_at(x->type, x->a, t->m0 * x->a_row)},
      {DNNL_ARG_WEIGHTS, &p->b, ft_at(x->type, x->b, t->n0 * x->b_column)},
      {DNNL_ARG_DST, &p->c, ft_at(x->out_type, x->c, t->m0 * x->c_row + t->n0)},
      {DNNL_ARG_SCRATCHPAD, &p->scratchpad, scratchpad},
      {DNNL_ARG_BIAS, &p->bias, x->bias ? ft_at(x->type, x->bias, t->n0) : NULL},
  };
  enum { MOST = FT_ARRAY_SIZE(operands) };
  int count = x->bias ? MOST : MOST - 1, made = 0;
  dnnl_exec_arg_t arguments[MOST];
  dnnl_stream_t stream = NULL;
  dnnl_status_t status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
  for (; made < count && status == dnnl_success; made++) {
    void *data = (void *)(uintptr_t)operands[made].data;
    arguments[made].arg = operands[made].argument;
    arguments[made].memory = NULL;
    status = dnnl_memory_create(&arguments[made].memory, pointer_to(operands[made].descriptor),
                                engine, data);
  }
  if (status == dnnl_success) status = dnnl_primitive_execute(p->handle, stream, count, arguments);
  if (status == dnnl_success) status = dnnl_stream_wait(stream);
  for (int i = 0; i < made; i++)
    if (arguments[i].memory) dnnl_memory_destroy(arguments[i].memory);
  if (stream) dnnl_stream_destroy(stream);
  return status;
}

/* The primitives of a grid: tiles of full and of remaining size in both dimensions. */
static ft_err acquire_sizes(const ft_product *x, const ft_grid *grid, primitive *sizes[2][2]) {
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++) {
      int64_t m = i ? grid->m - (grid->num_m - 1) * grid->tile_m : grid->tile_m;
      int64_t n = j ? grid->n - (grid->num_n - 1) * grid->tile_n : grid->tile_n;
      shape s = {.m = m,
                 .n = n,
                 .k = x->k,
                 .a_row = x->a_row,
                 .a_column = x->a_column,
                 .b_row = x->b_row,
                 .b_column = x->b_column,
                 .c_row = x->c_row,
                 .out_type = x->out_type,
                 .bias = x->bias != NULL,
                 .accumulate = x->accumulate};
      ft_err err = primitive_acquire(&s, &sizes[i][j]);
      if (err != FT_OK) return err;
    }
  return FT_OK;
}

ft_err ft_onednn_product(const ft_product *x) {
  ft_err err = FT_OK;
  ft_grid grid = ft_grid_of(x->m, x->n, TILE_M, TILE_N);
  primitive *sizes[2][2] = {{NULL}};
  size_t scratch_bytes = 64;
  int failed = dnnl_success;
  FT_TRY(acquire_sizes(x, &grid, sizes));
  for (int i = 0; i < 4; i++)
    scratch_bytes = FT_MAX(scratch_bytes, sizes[i / 2][i % 2]->scratchpad_bytes);
  FT_TRY(ft_scratch_reserve(scratch_bytes));
#pragma omp parallel if (grid.num_m * grid.num_n > 1)
  {
    omp_set_num_threads(1); /* for what the library may start within this thread */
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < grid.num_m * grid.num_n; i++) {
      if (ft_kernels_stopping()) continue;
      ft_tile t = ft_grid_tile(&grid, i);
      const primitive *p = sizes[t.m != grid.tile_m][t.n != grid.tile_n];
      dnnl_status_t status = run_tile(p, x, &t, ft_scratch());
      if (status != dnnl_success) {
#pragma omp atomic write
        failed = (int)status;
      }
    }
  }
  if (failed != dnnl_success)
    FT_TRY(refused((dnnl_status_t)failed, "compute", &sizes[0][0]->shape));
out:
  for (int i = 0; i < 4; i++)
    primitive_release(sizes[i / 2][i % 2]);
  return err;
}
