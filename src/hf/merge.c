/* What a method has added, worked into the model's own weights: for a map y = W x + b
 *   low-rank part   W + s B A; the embedding's rows E + s A Bᵀ (its A is kept [V, r])
 *   magnitude       the same, each row to the norm m
 *   output scale    l ⊙ W and l ⊙ b by rows; input scale: W ⊙ l by columns
 * in f32, in the order of PEFT's merge. */
#include <math.h>
#include <string.h>

#include "export.h"
#include "ft/kernels.h"

enum { PIECE_ELEMENTS = 1 << 18, MAX_PARTS = 3 };

/* Beside one map of the file's tensor: its rows are the file's from `first` on, or its columns. */
typedef struct beside {
  int64_t first, rows;
  float *outer;     /* [rows, rank] what a row takes of `inner` */
  float *magnitude; /* [rows] or NULL, as the next three */
  float *norms;     /* of W + s B A, where rows are columns of the file's */
  float *output_scale;
} beside;

struct ft_hf_merger {
  int64_t columns; /* of the file's tensor */
  int64_t length;  /* of a row of ours: the file's columns, or where it is turned its rows */
  bool turned;
  int64_t rank;
  float scale;
  float *inner;       /* [rank, length] */
  float *input_scale; /* [length] or NULL */
  int num_parts;
  beside parts[MAX_PARTS];
};

/* ---------------------------------------------------------------- what there is */

/* The map that a bias belongs to, or the map itself. */
static ft_role map_of(ft_role role) {
  ft_map_slot slot = ft_map_of(role);
  return slot == FT_MAP_NONE ? role : ft_maps[slot].weight;
}

static int64_t find(const ft_layout *l, const ft_hf_part *of, ft_part_kind kind,
                    const ft_tensor **part) {
  return ft_layout_find_part(l, of->block, map_of(of->tensor.role), kind, part);
}

bool ft_hf_is_merged(const ft_hf_config *config, const ft_hf_file_tensor *t) {
  const ft_tensor *part;
  for (int i = 0; i < t->num_parts; i++)
    for (int kind = 0; kind < FT_PART_NUM; kind++)
      if ((t->num_dims == 2 || kind == FT_PART_OUTPUT_SCALE) &&
          find(config->layout, &t->parts[i], (ft_part_kind)kind, &part) >= 0)
        return true;
  return false;
}

ft_err ft_hf_check_merge(const ft_hf_config *config, const ft_hf_method *m) {
  static const char *const names[FT_METHOD_NUM] = {[FT_METHOD_PREFIX] = "a prefix",
                                                   [FT_METHOD_PROMPT] = "a prompt",
                                                   [FT_METHOD_BOTTLENECK] = "a bottleneck"};
  const ft_tensor *part;
  FT_ASSERT(m->kind != FT_METHOD_FULL);
  if (names[m->kind])
    return ft_fail(FT_ERR_CONFIG,
                   "%s cannot be merged: no weights of the model do what it does; export without "
                   "--merge, and use the adapter's directory",
                   names[m->kind]);
  if (ft_layout_find(config->layout, &config->layout->embedding,
                     ft_role_part(FT_ROLE_EMBEDDING, FT_PART_MAGNITUDE), &part) >= 0)
    return ft_fail(FT_ERR_CONFIG, "DoRA of the embedding cannot be merged: export without --merge");
  return FT_OK;
}

void ft_hf_find_head(const ft_hf_config *config, ft_hf_weights *out) {
  const ft_tensor *part;
  const ft_layout *l = config->layout;
  bool changed =
      ft_layout_find(l, &l->embedding, ft_role_part(FT_ROLE_EMBEDDING, FT_PART_A), &part) >= 0;
  out->adds_head = config->arch.tied && changed && !l->method.both_ends;
  out->untied = out->adds_head || config->naming->untied;
}

/* ---------------------------------------------------------------- reading */

static ft_err read_part(const ft_hf_source *source, int64_t block, const ft_tensor *t,
                        float **out) {
  ft_err err = FT_OK;
  void *p;
  int64_t elements = ft_tensor_elements(t);
  FT_TRY(ft_alloc_array(FT_MEM_IO, elements, sizeof(float), &p));
  *out = p;
  for (int64_t at = 0; at < elements; at += PIECE_ELEMENTS)
    FT_TRY(source->read(source->arg, block, t->offset + at,
                        FT_MIN((int64_t)PIECE_ELEMENTS, elements - at), *out + at));
out:
  return err;
}

/* Reads a part if there is one; *tensor NULL otherwise. */
static ft_err read_kind(const ft_layout *l, const ft_hf_source *source, const ft_hf_part *of,
                        ft_part_kind kind, const ft_tensor **tensor, float **out) {
  int64_t block = find(l, of, kind, tensor);
  return block < 0 ? FT_OK : read_part(source, block, *tensor, out);
}

static void turn(const float *in, int64_t rows, int64_t cols, float *out) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t k = 0; k < cols; k++)
      out[k * rows + i] = in[i * cols + k];
}

/* The embedding's A [V, r] goes by rows, its B [D, r] stands turned. */
static ft_err read_look_up(ft_hf_merger *m, const ft_layout *l, const ft_hf_source *source,
                           const ft_hf_part *of) {
  ft_err err = FT_OK;
  const ft_tensor *a, *b;
  float *columns = NULL;
  void *p;
  FT_TRY(read_kind(l, source, of, FT_PART_A, &a, &m->parts[0].outer));
  FT_TRY(read_kind(l, source, of, FT_PART_B, &b, &columns));
  FT_ASSERT(a && b);
  m->rank = a->cols;
  m->scale = a->scale;
  FT_TRY(ft_alloc_array(FT_MEM_IO, ft_tensor_elements(b), sizeof(float), &p));
  m->inner = p;
  turn(columns, b->rows, b->cols, m->inner);
out:
  ft_free(columns);
  return err;
}

static ft_err read_map(ft_hf_merger *m, const ft_layout *l, const ft_hf_source *source,
                       const ft_hf_file_tensor *t) {
  ft_err err = FT_OK;
  const ft_tensor *part = NULL;
  FT_TRY(read_kind(l, source, &t->parts[0], FT_PART_A, &part, &m->inner));
  if (part) {
    m->rank = part->rows;
    m->scale = part->scale;
  }
  FT_TRY(read_kind(l, source, &t->parts[0], FT_PART_INPUT_SCALE, &part, &m->input_scale));
  for (int i = 0; i < t->num_parts; i++) {
    FT_TRY(read_kind(l, source, &t->parts[i], FT_PART_B, &part, &m->parts[i].outer));
    FT_TRY(read_kind(l, source, &t->parts[i], FT_PART_MAGNITUDE, &part, &m->parts[i].magnitude));
  }
out:
  return err;
}

/* ---------------------------------------------------------------- rows as they lie */

/* v[c] += s · Σ outer[k] · inner[k, c], a few columns at a time. */
static void add_row(const ft_hf_merger *m, const float *outer, float *v) {
  enum { AT_ONCE = 256 };
  for (int64_t c = 0; c < m->columns; c += AT_ONCE) {
    double sums[AT_ONCE] = {0};
    int64_t n = FT_MIN((int64_t)AT_ONCE, m->columns - c);
    for (int64_t k = 0; k < m->rank; k++)
      for (int64_t i = 0; i < n; i++)
        sums[i] += (double)outer[k] * (double)m->inner[k * m->columns + c + i];
    for (int64_t i = 0; i < n; i++)
      v[c + i] += m->scale * (float)sums[i];
  }
}

/* `row` of the part. */
static void merge_row(const ft_hf_merger *m, const beside *p, int64_t row, float *v) {
  if (p->outer) add_row(m, p->outer + row * m->rank, v);
  float factor = p->output_scale ? p->output_scale[row] : 1;
  if (p->magnitude) factor = p->magnitude[row] / (float)sqrt(ft_sum_of_squares(v, m->columns));
  for (int64_t c = 0; c < m->columns; c++)
    v[c] *= m->input_scale ? factor * m->input_scale[c] : factor;
}

static const beside *part_at(const ft_hf_merger *m, int64_t row) {
  int i = 0;
  while (i + 1 < m->num_parts && row >= m->parts[i + 1].first)
    i++;
  return &m->parts[i];
}

/* ---------------------------------------------------------------- rows that are columns */

/* Row `at` of the file's has element `at` of each row of ours. */
static void add_turned(const ft_hf_merger *m, const beside *p, int64_t at, float *v) {
  for (int64_t r = 0; p->outer && r < p->rows; r++) {
    double sum = 0;
    for (int64_t k = 0; k < m->rank; k++)
      sum += (double)p->outer[r * m->rank + k] * (double)m->inner[k * m->length + at];
    v[p->first + r] += m->scale * (float)sum;
  }
}

static void merge_turned(const ft_hf_merger *m, int64_t at, float *v) {
  for (int i = 0; i < m->num_parts; i++) {
    const beside *p = &m->parts[i];
    add_turned(m, p, at, v);
    for (int64_t r = 0; r < p->rows; r++) {
      float factor = m->input_scale ? m->input_scale[at] : 1;
      if (p->output_scale) factor *= p->output_scale[r];
      if (p->magnitude) factor *= p->magnitude[r] / p->norms[r];
      v[p->first + r] *= factor;
    }
  }
}

/* Norms of rows of ours, which take a pass over the whole tensor. */
static ft_err find_norms(ft_hf_merger *m, ft_safetensors *input, const ft_safetensor *base) {
  ft_err err = FT_OK;
  void *p, *squares = NULL, *raw = NULL, *row = NULL;
  FT_TRY(ft_alloc_array(FT_MEM_IO, m->columns, sizeof(double), &squares));
  FT_TRY(ft_alloc_array(FT_MEM_IO, m->columns, sizeof(float), &raw));
  FT_TRY(ft_alloc_array(FT_MEM_IO, m->columns, sizeof(float), &row));
  float *v = row;
  double *sums = squares;
  for (int64_t at = 0; at < m->length; at++) {
    FT_TRY(ft_safetensors_read(input, base, at * m->columns, m->columns, raw));
    ft_convert(FT_F32, v, base->dtype, raw, m->columns);
    for (int i = 0; i < m->num_parts; i++)
      add_turned(m, &m->parts[i], at, v);
    for (int64_t c = 0; c < m->columns; c++)
      sums[c] += (double)v[c] * (double)v[c];
  }
  for (int i = 0; i < m->num_parts; i++) {
    beside *b = &m->parts[i];
    FT_TRY(ft_alloc_array(FT_MEM_IO, b->rows, sizeof(float), &p));
    b->norms = p;
    for (int64_t r = 0; r < b->rows; r++)
      b->norms[r] = (float)sqrt(sums[b->first + r]);
  }
out:
  ft_free(squares);
  ft_free(raw);
  ft_free(row);
  return err;
}

/* ---------------------------------------------------------------- a tensor */

void ft_hf_merge_rows(const ft_hf_merger *m, int64_t row, int64_t count, float *values) {
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; i++) {
    float *v = values + i * m->columns;
    if (m->turned) {
      merge_turned(m, row + i, v);
      continue;
    }
    const beside *p = part_at(m, row + i);
    merge_row(m, p, row + i - p->first, v);
  }
}

static void lay_out(ft_hf_merger *m, const ft_hf_file_tensor *t) {
  m->turned = t->transposed;
  m->columns = t->num_dims == 2 ? t->dims[1] : 1;
  m->length = t->transposed ? t->dims[0] : m->columns;
  m->num_parts = t->num_parts;
  for (int i = 0; i < t->num_parts; i++) {
    const ft_tensor *part = &t->parts[i].tensor;
    m->parts[i].first = t->parts[i].first;
    m->parts[i].rows = part->num_dims == 2 ? part->rows : part->cols;
  }
}

ft_err ft_hf_merger_new(const ft_hf_config *config, const ft_hf_source *source,
                        const ft_hf_file_tensor *t, ft_safetensors *input,
                        const ft_safetensor *base, ft_hf_merger **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  const ft_layout *l = config->layout;
  const ft_tensor *part;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_IO, sizeof(ft_hf_merger), &memory));
  ft_hf_merger *m = memory;
  lay_out(m, t);
  if (t->parts[0].tensor.role == FT_ROLE_EMBEDDING)
    FT_TRY(read_look_up(m, l, source, &t->parts[0]));
  else if (t->num_dims == 2)
    FT_TRY(read_map(m, l, source, t));
  for (int i = 0; i < t->num_parts; i++)
    FT_TRY(
        read_kind(l, source, &t->parts[i], FT_PART_OUTPUT_SCALE, &part, &m->parts[i].output_scale));
  if (m->turned && m->parts[0].magnitude) FT_TRY(find_norms(m, input, base));
  *out = m;
out:
  if (err != FT_OK) ft_hf_merger_free(memory);
  return err;
}

void ft_hf_merger_free(ft_hf_merger *m) {
  if (!m) return;
  for (int i = 0; i < MAX_PARTS; i++) {
    ft_free(m->parts[i].outer);
    ft_free(m->parts[i].magnitude);
    ft_free(m->parts[i].norms);
    ft_free(m->parts[i].output_scale);
  }
  ft_free(m->inner);
  ft_free(m->input_scale);
  ft_free(m);
}
