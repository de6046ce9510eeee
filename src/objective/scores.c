/* Figures of an evaluation, from counts that sum over ranks. */
#include "ft/objective.h"

ft_err ft_scores_init(ft_scores *s, ft_objective_kind kind, int64_t labels) {
  void *counts = NULL;
  int64_t num = kind == FT_OBJECTIVE_CLASSES         ? 3 * labels
                : kind == FT_OBJECTIVE_MASKED_TOKENS ? 2
                                                     : 0;
  ft_err err = num > 0 ? ft_alloc_array(FT_MEM_OTHER, num, sizeof(int64_t), &counts) : FT_OK;
  *s = (ft_scores){.kind = kind, .num_counts = num, .counts = counts};
  return err;
}

void ft_scores_fini(ft_scores *s) {
  ft_free(s->counts);
  *s = (ft_scores){0};
}

void ft_scores_add(ft_scores *s, int64_t rows, const int32_t *targets, const int32_t *predicted) {
  for (int64_t i = 0; i < rows && s->num_counts > 0; i++) {
    bool right = targets[i] == predicted[i];
    if (s->kind == FT_OBJECTIVE_MASKED_TOKENS) {
      s->counts[0] += right;
      s->counts[1]++;
      continue;
    }
    s->counts[3 * targets[i]] += right;
    s->counts[3 * predicted[i] + 1]++;
    s->counts[3 * targets[i] + 2]++;
  }
}

static double f1_of(const int64_t counts[3]) {
  return 2.0 * (double)counts[0] / (double)(counts[1] + counts[2]);
}

static int read_classes(const ft_scores *s, ft_score *out) {
  int64_t right = 0, all = 0, classes = 0;
  double sum = 0;
  for (int64_t c = 0; c < s->num_counts; c += 3) {
    right += s->counts[c];
    all += s->counts[c + 2];
    if (s->counts[c + 1] + s->counts[c + 2] == 0) continue;
    classes++;
    sum += f1_of(s->counts + c);
  }
  if (all == 0) return 0;
  out[0] = (ft_score){"accuracy", (double)right / (double)all};
  out[1] = (ft_score){"macro_f1", sum / (double)classes};
  return 2;
}

int ft_scores_read(const ft_scores *s, ft_score *out) {
  if (s->kind == FT_OBJECTIVE_CLASSES) return read_classes(s, out);
  if (s->num_counts == 0 || s->counts[1] == 0) return 0;
  out[0] = (ft_score){"accuracy", (double)s->counts[0] / (double)s->counts[1]};
  return 1;
}
