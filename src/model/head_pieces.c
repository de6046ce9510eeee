/* The head's gradient in pieces of the vocabulary: its sum in f32 over pieces of tokens, which a
 * large vocabulary makes the largest buffer of a rank, does not exist then. The loss comes first,
 * as always, over pieces of tokens; with it, of each token, the logarithm of the sum of
 * exponentials of each piece of the vocabulary. Then each piece's logits are computed again for all
 * tokens, and what the softmax has to know of all other pieces stands beside them in columns of its
 * own. */
#include <math.h>
#include <stdlib.h>

#include "internal.h"

/* Logits that stand for the rest of the vocabulary. Several, so that rows begin on 64 bytes. */
enum { REST_COLUMNS = 16 };

/* The sum over pieces of tokens may take so many times what a piece of logits may. */
enum { LOGITS_OF_SUM = 4 };

/* ---------------------------------------------------------------- shapes */

/* What logits of one piece may take. */
static ft_err logits_bytes(int64_t *out) {
  const char *text = getenv("FTRUN_LOGITS_BYTES");
  *out = (int64_t)256 << 20;
  if (!text || !*text) return FT_OK;
  char *end;
  *out = strtoll(text, &end, 10);
  if (*end || *out < 1 || *out > (int64_t)1 << 40)
    return ft_fail(FT_ERR_USAGE,
                   "FTRUN_LOGITS_BYTES is \"%s\", expected a number of bytes from 1 on", text);
  return FT_OK;
}

/* As many pieces as are needed, all alike but the last, of whole vectors. */
static void cut_vocabulary(ft_model *m, int64_t columns_at_most) {
  int64_t vocab = m->arch.vocab, whole = (columns_at_most - REST_COLUMNS) / 64 * 64;
  int64_t pieces = ft_ceil_div(vocab, FT_MAX(whole, 64));
  m->vocab_columns = FT_MIN(ft_round_up(ft_ceil_div(vocab, pieces), 64), vocab);
  m->num_vocab_pieces = ft_ceil_div(vocab, m->vocab_columns);
}

ft_err ft_head_plan(ft_model *m) {
  const int64_t f32 = sizeof(float), tokens = m->options.max_tokens,
                vocab = ft_arch_head_rows(&m->arch);
  int64_t bytes = m->options.logits_bytes;
  ft_err err = bytes > 0 ? FT_OK : logits_bytes(&bytes);
  if (err != FT_OK) return err;
  int64_t rows = FT_MAX(bytes / (vocab * f32), 1), sum_bytes = vocab * m->d * f32;
  bool summed = m->options.training && m->head_trained && (m->arch.tied || rows < tokens);
  m->columns = vocab;
  m->logit_rows = FT_MIN(rows, tokens);
  m->num_logits = m->logit_rows * vocab;
  m->num_d_logits = m->options.training ? m->num_logits : 0;
  m->d_head_rows = summed ? vocab : 0;
  if (!summed || !m->options.bounded_head || sum_bytes <= LOGITS_OF_SUM * bytes) return FT_OK;
  if (m->arch.head_bias) return FT_OK; /* no large vocabulary has one */
  cut_vocabulary(m, bytes / (tokens * f32));
  m->num_d_logits = tokens * (m->vocab_columns + REST_COLUMNS);
  m->num_logits = FT_MAX(m->num_logits, m->num_d_logits);
  m->d_head_rows = m->arch.tied ? FT_MIN(FT_MAX(bytes / 4 / (m->d * f32), 1), vocab) : 0;
  return FT_OK;
}

/* ---------------------------------------------------------------- sums of exponentials */

void ft_head_log_sums(ft_model *m, int64_t first, int64_t rows) {
  int64_t vocab = m->arch.vocab, pieces = m->num_vocab_pieces;
  const ft_loss loss = {.logits = ft_head_logits_form(m), .applied = true};
  ft_time_enter(FT_TIME_LOSS);
#pragma omp parallel for schedule(static)
  for (int64_t r = 0; r < rows; r++)
    for (int64_t p = 0; p < pieces; p++) {
      const int32_t target = 0;
      int64_t column = p * m->vocab_columns, n = FT_MIN(m->vocab_columns, vocab - column);
      float *logits = m->logits + r * vocab + column;
      float nll; /* log of the sum, less the first logit */
      const ft_loss_out out = {.nll = &nll};
      ft_loss_rows(&loss, m->type, &out, logits, &target, NULL, 1, n);
      m->log_sums[(first + r) * pieces + p] = (double)nll + (double)logits[0];
    }
}

/* Log of the sum of exponentials outside of a piece; -∞ if there is nothing. */
static double log_sum_of_rest(const double *log_sums, int64_t pieces, int64_t without) {
  double top = -INFINITY, sum = 0;
  for (int64_t p = 0; p < pieces; p++)
    if (p != without && !(log_sums[p] <= top)) top = log_sums[p];
  for (int64_t p = 0; p < pieces; p++)
    if (p != without) sum += exp(log_sums[p] - top);
  return pieces > 1 ? top + log(sum) : -INFINITY;
}

/* ---------------------------------------------------------------- one piece */

static int64_t columns_of(const ft_model *m, int64_t piece) {
  return FT_MIN(m->vocab_columns, m->arch.vocab - piece * m->vocab_columns);
}

/* The columns of the rest of the vocabulary, which also takes targets that lie there. */
static void fill_rest(ft_model *m, const head_rest *rest, int64_t piece) {
  int64_t first = piece * m->vocab_columns, n = columns_of(m, piece), width = n + REST_COLUMNS;
  const double share = log(REST_COLUMNS);
#pragma omp parallel for schedule(static)
  for (int64_t r = 0; r < rest->rows; r++) {
    int64_t id = m->target_ids[r] - first;
    double others =
        log_sum_of_rest(m->log_sums + r * m->num_vocab_pieces, m->num_vocab_pieces, piece);
    m->piece_ids[r] = (int32_t)(id >= 0 && id < n ? id : n);
    for (int64_t c = n; c < width; c++)
      m->logits[r * width + c] = (float)(others - share);
  }
}

/* m->d_logits [head_rows, columns of the piece + REST_COLUMNS] of a piece. */
static ft_err make_piece(ft_model *m, const void *head, const head_rest *rest, int64_t piece) {
  ft_err err = FT_OK;
  int64_t first = piece * m->vocab_columns, n = columns_of(m, piece), width = n + REST_COLUMNS;
  ft_loss loss = rest->loss;
  const ft_loss_out out = {.dlogits = m->d_logits};
  loss.logits = ft_head_logits_form(m);
  loss.applied = true;
  loss.vocab = m->arch.vocab;
  FT_TRY(ft_shard_check(m->shard));
  ft_time_enter(FT_TIME_HEAD);
  FT_TRY(ft_matmul_forward(&(ft_matmul){.type = m->type,
                                        .out_type = FT_F32,
                                        .m = rest->rows,
                                        .n = n,
                                        .k = m->d,
                                        .x = m->head_h,
                                        .x_stride = m->d,
                                        .w = ft_model_at(m, head, first * m->d),
                                        .out = m->logits,
                                        .out_stride = width}));
  ft_time_enter(FT_TIME_LOSS);
  ft_logits_apply(&loss.logits, m->logits, rest->rows, n, width);
  fill_rest(m, rest, piece);
  ft_loss_rows(&loss, m->type, &out, m->logits, m->piece_ids, rest->weights, rest->rows, width);
  ft_time_enter(FT_TIME_HEAD);
out:
  return err;
}

/* Adds what a piece gives to the gradient of head_h, in m->dx, which is free here. */
static ft_err piece_backward_input(ft_model *m, const void *head, const head_rest *rest,
                                   int64_t piece) {
  int64_t n = columns_of(m, piece);
  const void *weights = ft_model_at(m, head, piece * m->vocab_columns * m->d);
  return ft_matmul_backward_input(&(ft_matmul){.type = m->type,
                                               .out_type = FT_F32,
                                               .m = rest->rows,
                                               .n = n,
                                               .k = m->d,
                                               .dy = m->d_logits,
                                               .dy_stride = n + REST_COLUMNS,
                                               .w = weights,
                                               .out = m->dx,
                                               .out_stride = m->d,
                                               .accumulate = piece > 0});
}

/* Rows row … row+n-1 of the head's gradient, all of one piece, from its m->d_logits. */
static ft_err piece_backward_weight(ft_model *m, const head_rest *rest, int64_t row, int64_t n,
                                    ft_dtype type, void *out) {
  int64_t piece = row / m->vocab_columns, column = row % m->vocab_columns;
  return ft_matmul_backward_weight(&(ft_matmul){.type = m->type,
                                                .out_type = type,
                                                .m = rest->rows,
                                                .n = n,
                                                .k = m->d,
                                                .dy = ft_model_at(m, m->d_logits, column),
                                                .dy_stride = columns_of(m, piece) + REST_COLUMNS,
                                                .x = m->head_h,
                                                .x_stride = m->d,
                                                .out = out});
}

/* Rows from `row` to the end of its piece. */
static int64_t rows_left(const ft_model *m, int64_t row) {
  return columns_of(m, row / m->vocab_columns) - row % m->vocab_columns;
}

/* ---------------------------------------------------------------- the whole */

/* Every piece in turn: fills the rows that shard lends, and adds to the gradient of head_h. */
static ft_err send_pieces(ft_model *m, const void *head, int tensor, const head_rest *rest) {
  ft_err err = FT_OK;
  for (int64_t row = 0, lent; row < m->arch.vocab; row += lent) {
    void *out;
    FT_TRY(ft_shard_gradient_rows(m->shard, tensor, row, &lent, &out));
    for (int64_t r = row, n; r < row + lent; r += n) {
      n = FT_MIN(rows_left(m, r), row + lent - r);
      if (r % m->vocab_columns == 0) {
        FT_TRY(make_piece(m, head, rest, r / m->vocab_columns));
        FT_TRY(piece_backward_input(m, head, rest, r / m->vocab_columns));
      }
      FT_TRY(
          piece_backward_weight(m, rest, r, n, m->type, ft_model_at_mut(m, out, (r - row) * m->d)));
    }
  }
out:
  return err;
}

ft_err ft_head_pieces_backward(ft_model *m, const void *head, int tensor, const head_rest *rest) {
  ft_err err = FT_OK;
  if (tensor >= 0) {
    FT_TRY(send_pieces(m, head, tensor, rest));
  } else {
    for (int64_t piece = 0; piece < m->num_vocab_pieces; piece++) {
      FT_TRY(make_piece(m, head, rest, piece));
      FT_TRY(piece_backward_input(m, head, rest, piece));
    }
  }
  ft_convert(m->type, m->branch, FT_F32, m->dx, rest->rows * m->d);
out:
  return err;
}

ft_err ft_head_tied_rows(ft_model *m, const void *head, const head_rest *rest, int64_t row,
                         int64_t *num_rows, const float **gradient) {
  ft_err err = FT_OK;
  *gradient = NULL;
  if (!m->arch.tied || rest->rows == 0) return FT_OK;
  *gradient = m->d_head + row * m->d;
  if (m->num_vocab_pieces == 0) return FT_OK;
  *gradient = m->d_head;
  *num_rows = FT_MIN(FT_MIN(*num_rows, m->d_head_rows), rows_left(m, row));
  if (row % m->vocab_columns == 0) FT_TRY(make_piece(m, head, rest, row / m->vocab_columns));
  FT_TRY(piece_backward_weight(m, rest, row, *num_rows, FT_F32, m->d_head));
out:
  return err;
}
