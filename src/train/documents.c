/* From rows of the head to documents and back: a document's value is the sum of its answer's
 * log-probabilities, and each of these targets gets its weight. Other tokens of a chosen document,
 * which only some objectives have as targets, are apart. */
#include "preference.h"

void ft_documents_fini(ft_documents *d) {
  ft_free(d->value);
  ft_free(d->reference);
  ft_free(d->rest);
  ft_free(d->weight);
  ft_free(d->rest_weight);
  ft_free(d->targets);
  ft_free(d->rest_targets);
  ft_free(d->desirable);
  *d = (ft_documents){0};
}

static ft_err reserve(ft_documents *d, int64_t num) {
  const ft_array arrays[] = {{(void **)&d->value, sizeof *d->value},
                             {(void **)&d->reference, sizeof *d->reference},
                             {(void **)&d->rest, sizeof *d->rest},
                             {(void **)&d->weight, sizeof *d->weight},
                             {(void **)&d->rest_weight, sizeof *d->rest_weight},
                             {(void **)&d->targets, sizeof *d->targets},
                             {(void **)&d->rest_targets, sizeof *d->rest_targets},
                             {(void **)&d->desirable, sizeof *d->desirable}};
  return ft_grow_all(FT_MEM_DATA, num, &d->capacity, arrays, FT_ARRAY_SIZE(arrays));
}

static void count(ft_documents *d, const ft_batch *b, int64_t document) {
  int64_t *counts[] = {&d->targets[document], &d->rest_targets[document]};
  *counts[0] = *counts[1] = 0;
  for (int64_t i = b->offsets[document]; i < b->offsets[document + 1]; i++)
    if (b->targets[i] >= 0) (*counts[!b->of_answer[i]])++;
}

static ft_err look_up(const ft_batch *b, int64_t document, const ft_reference *reference,
                      int64_t targets, double *out) {
  const ft_reference_row *row = ft_reference_find(reference, b->documents[document].hash);
  if (!row || row->targets != targets)
    return ft_fail(FT_ERR_INTERNAL,
                   "the reference model has %s document %lld of the micro-batch (hash %016llx)",
                   row ? "other targets for" : "nothing for", (long long)document,
                   (unsigned long long)b->documents[document].hash);
  *out = row->logp;
  return FT_OK;
}

ft_err ft_documents_prepare(ft_documents *d, const ft_batch *b, const ft_reference *reference) {
  ft_err err = FT_OK;
  FT_TRY(reserve(d, b->num_documents));
  d->view = (ft_preference_batch){.num = b->num_documents,
                                  .value = d->value,
                                  .targets = d->targets,
                                  .reference = reference ? d->reference : NULL,
                                  .rest = d->rest,
                                  .rest_targets = d->rest_targets,
                                  .desirable = d->desirable};
  for (int64_t i = 0; i < b->num_documents; i++) {
    count(d, b, i);
    d->desirable[i] = b->documents[i].part == FT_PART_DESIRABLE;
    if (reference) FT_TRY(look_up(b, i, reference, d->targets[i], &d->reference[i]));
  }
out:
  return err;
}

void ft_documents_take(ft_documents *d, const ft_batch *b, bool scores, const float *values) {
  int64_t row = 0;
  for (int64_t document = 0; document < b->num_documents; document++) {
    double sums[2] = {0, 0};
    if (scores) sums[0] = (double)values[document];
    for (int64_t i = b->offsets[document]; !scores && i < b->offsets[document + 1]; i++)
      if (b->targets[i] >= 0) sums[!b->of_answer[i]] += (double)values[row++];
    d->value[document] = sums[0];
    d->rest[document] = sums[1];
  }
}

void ft_documents_spread(const ft_documents *d, const ft_batch *b, bool scores, double factor,
                         float *weights) {
  int64_t row = 0;
  for (int64_t document = 0; document < b->num_documents; document++) {
    const float both[2] = {(float)(factor * d->weight[document]),
                           (float)(factor * d->rest_weight[document])};
    if (scores) weights[document] = both[0];
    for (int64_t i = b->offsets[document]; !scores && i < b->offsets[document + 1]; i++)
      if (b->targets[i] >= 0) weights[row++] = both[!b->of_answer[i]];
  }
}
