/* A piece of the input: its lines to documents, counts and examples. */
#include <string.h>

#include "ft/io_pretokenized.h"
#include "run.h"
#include "store.h"

enum { KEPT_IDS = 1 << 16, MAX_SAMPLE_TOKENS = 400, PROGRESS_AFTER_S = 10, PROGRESS_EVERY_S = 10 };

/* ---------------------------------------------------------------- progress */

void ft_prep_progress(ft_prep_run *run, int64_t bytes_done) {
  double now = ft_now_s(), passed = now - run->begun_s;
  int64_t done = run->bytes_done + bytes_done, all = run->bytes_mine;
  if (run->options->rank != 0 || passed < PROGRESS_AFTER_S ||
      now - run->shown_s < PROGRESS_EVERY_S || all == 0)
    return;
  run->shown_s = now;
  /* ranks have like shares */
  double rate = (double)done / passed * run->options->num_ranks;
  ft_log(FT_LOG_INFO, "%.0f %% of %.1f MB, %.1f MB/s, %.0f s left",
         100.0 * (double)done / (double)all, 1e-6 * (double)all * run->options->num_ranks,
         1e-6 * rate, (double)(all - done) / (double)FT_MAX(done, 1) * passed);
}

/* ---------------------------------------------------------------- counts */

static uint64_t hash_ids(const ft_ids *ids, uint64_t seed) {
  uint64_t h = ft_hash64(ids->ids, (size_t)ids->count * sizeof *ids->ids, seed);
  return ft_hash64(ids->mask, (size_t)ids->count, h);
}

static uint64_t content_hash(const ft_document *d) {
  uint64_t h = hash_ids(&d->ids, (uint64_t)d->kind + 1);
  if (d->rejected.count > 0) h = hash_ids(&d->rejected, h);
  return ft_hash64(&d->value, sizeof d->value, h);
}

static int64_t count_targets(const ft_ids *ids) {
  int64_t targets = 0;
  for (int64_t i = 0; i < ids->count; i++)
    targets += ids->mask[i];
  return targets;
}

static cJSON *rule_node(cJSON *tree, ft_rule rule) {
  cJSON *rules = ft_json_get(tree, "rules");
  if (!rules) rules = cJSON_AddObjectToObject(tree, "rules");
  cJSON *node = rules ? ft_json_get(rules, ft_rule_name(rule)) : NULL;
  return node || !rules ? node : cJSON_AddObjectToObject(rules, ft_rule_name(rule));
}

static ft_err count_findings(cJSON *tree, const ft_prep_line *line) {
  ft_err err = FT_OK;
  const ft_findings *f = &line->findings;
  for (int r = 0; r < FT_NUM_RULES; r++) {
    if (!(f->hits & 1u << r)) continue;
    cJSON *node = rule_node(tree, (ft_rule)r);
    FT_CHECK(node, FT_ERR_MEMORY, "no memory for the report");
    FT_TRY(ft_tally_count(node, NULL, "found", 1));
    if (f->fixed & 1u << r) FT_TRY(ft_tally_count(node, NULL, "fixed", 1));
    if (f->drop == (ft_rule)r) FT_TRY(ft_tally_count(node, NULL, "dropped", 1));
    if (f->refuse == (ft_rule)r) FT_TRY(ft_tally_count(node, NULL, "refused", 1));
    FT_TRY(ft_tally_example(node, NULL, "examples", FT_TALLY_EXAMPLES, line->path, line->number,
                            f->excerpt[r]));
  }
out:
  return err;
}

static ft_err count_names(const ft_prep_run *run, cJSON *tree, const ft_prep_line *line) {
  ft_err err = FT_OK;
  const ft_spelled *spelled = &line->document.spelled;
  for (size_t at = 0; at < line->unread.used; at += strlen(line->unread.names + at) + 1)
    FT_TRY(ft_tally_count(tree, "unread", line->unread.names + at, 1));
  for (int64_t i = 0; i < spelled->count; i++)
    FT_TRY(ft_tally_count(tree, "spelled", ft_tokenizer_token(run->tokenizer, spelled->ids[i]),
                          spelled->times[i]));
out:
  return err;
}

/* ---------------------------------------------------------------- samples */

/* Pieces of text with one mask each: [["text", 1], …]. */
static ft_err add_runs(const ft_tokenizer *t, const ft_ids *ids, cJSON *list) {
  int64_t count = FT_MIN(ids->count, MAX_SAMPLE_TOKENS);
  for (int64_t i = 0, end; i < count; i = end) {
    char *text;
    size_t bytes;
    end = i + 1;
    while (end < count && ids->mask[end] == ids->mask[i])
      end++;
    ft_err err = ft_tokenizer_decode(t, ids->ids + i, end - i, false, &text, &bytes);
    if (err != FT_OK) return err;
    cJSON *run = cJSON_CreateArray();
    bool added = run && cJSON_AddItemToArray(list, run) &&
                 cJSON_AddItemToArray(run, cJSON_CreateString(text)) &&
                 cJSON_AddItemToArray(run, cJSON_CreateNumber(ids->mask[i]));
    ft_free(text);
    if (!added) return ft_fail(FT_ERR_MEMORY, "no memory for the report");
  }
  return FT_OK;
}

/* The documents of least content hash are as good as drawn, whoever draws. */
static ft_err add_sample(const ft_prep_run *run, cJSON *tree, const ft_prep_line *line,
                         uint64_t hash) {
  ft_err err = FT_OK;
  char key[20];
  cJSON *sample = NULL;
  snprintf(key, sizeof key, "%016llx", (unsigned long long)hash);
  if (!ft_tally_wants(tree, key)) return FT_OK;
  sample = cJSON_CreateObject();
  cJSON *runs = sample ? cJSON_AddArrayToObject(sample, "runs") : NULL;
  FT_CHECK(runs && cJSON_AddStringToObject(sample, "key", key) &&
               cJSON_AddStringToObject(sample, "file", line->path) &&
               cJSON_AddNumberToObject(sample, "line", (double)line->number) &&
               cJSON_AddStringToObject(sample, "kind", ft_tokens_kind_name(line->document.kind)),
           FT_ERR_MEMORY, "no memory for the report");
  FT_TRY(add_runs(run->tokenizer, &line->document.ids, runs));
  if (line->document.rejected.count > 0) {
    cJSON *rejected = cJSON_AddArrayToObject(sample, "rejected");
    FT_CHECK(rejected, FT_ERR_MEMORY, "no memory for the report");
    FT_TRY(add_runs(run->tokenizer, &line->document.rejected, rejected));
  }
  err = ft_tally_sample(tree, sample);
  sample = NULL;
out:
  cJSON_Delete(sample);
  return err;
}

/* ---------------------------------------------------------------- lines */

static ft_err add_document(ft_prep_run *run, ft_store *store, cJSON *tree,
                           const ft_prep_line *line) {
  ft_err err = FT_OK;
  const ft_document *d = &line->document;
  ft_entry entry = {.content_hash = content_hash(d),
                    .line = line->number,
                    .num_targets = count_targets(&d->ids) + count_targets(&d->rejected),
                    .set = (uint8_t)line->set,
                    .truncated = line->truncated};
  FT_TRY(
      ft_store_add(store, &entry, d, line->has_signature ? &line->signature : NULL, &line->grams));
  FT_TRY(ft_tally_count(tree, "forms", ft_form_name(d->form), 1));
  FT_TRY(ft_tally_count(tree, NULL, "truncated", line->truncated));
  FT_TRY(add_sample(run, tree, line, entry.content_hash));
out:
  return err;
}

static ft_err add_line(ft_prep_run *run, ft_store *store, cJSON *tree, const ft_prep_line *line) {
  static const char *const outcomes[] = {
      [FT_BAD_LINE] = "bad", [FT_ALL_MASKED] = "all_masked", [FT_DROPPED] = "dropped"};
  ft_err err = FT_OK;
  if (line->err != FT_OK)
    return ft_fail(line->err, "%s:%lld: %s", line->path, (long long)line->number, line->reason);
  FT_TRY(count_findings(tree, line));
  if (line->outcome == FT_BAD_LINE || line->outcome == FT_ALL_MASKED)
    FT_TRY(ft_tally_example(tree, NULL, "bad_lines", FT_TALLY_BAD_LINES, line->path, line->number,
                            line->reason));
  else
    FT_TRY(count_names(run, tree, line));
  if (line->outcome == FT_DOCUMENT)
    FT_TRY(add_document(run, store, tree, line));
  else
    FT_TRY(ft_tally_count(tree, NULL, outcomes[line->outcome], 1));
out:
  return err;
}

/* Turns the batch to documents and empties it. */
static ft_err run_batch(ft_prep_run *run, ft_store *store, cJSON *tree) {
  ft_prep_batch_run(&run->batch, &run->rules, run->options->num_threads);
  for (int64_t i = 0; i < run->batch.num_lines; i++) {
    ft_prep_line *line = &run->batch.lines[i];
    ft_err err = add_line(run, store, tree, line);
    if (err != FT_OK) return err;
    if (line->document.ids.capacity > KEPT_IDS || line->grams.capacity > KEPT_IDS)
      ft_prep_line_fini(line);
  }
  run->batch.num_lines = 0;
  run->batch.used = 0;
  return FT_OK;
}

static ft_err run_lines(ft_prep_run *run, const ft_prep_piece *piece, ft_store *store,
                        cJSON *tree) {
  ft_err err = FT_OK;
  ft_lines *lines = NULL;
  const char *text;
  size_t bytes;
  bool too_long;
  int64_t count = 0;
  const char *path = run->inputs.files[piece->file].path;
  run->batch.num_lines = 0;
  run->batch.used = 0;
  FT_TRY(ft_lines_open_part(path, piece->begin, piece->end, &lines));
  for (;;) {
    FT_CHECK(!run->options->stop || !atomic_load(run->options->stop), FT_ERR_STOPPED, "stopped");
    FT_TRY(ft_lines_next(lines, &text, &bytes, &too_long));
    if (!text) break;
    if (!too_long && ft_line_is_blank(text, bytes)) continue;
    count++;
    FT_TRY(ft_prep_batch_add(&run->batch, ft_lines_path(lines), ft_lines_number(lines), text, bytes,
                             too_long));
    if (!ft_prep_batch_is_full(&run->batch)) continue;
    FT_TRY(run_batch(run, store, tree));
    ft_prep_progress(run, ft_lines_taken(lines));
  }
  FT_TRY(run_batch(run, store, tree));
  FT_TRY(ft_tally_count(tree, NULL, "lines", count));
  FT_TRY(ft_tally_count(tree, NULL, "raw_lines", ft_lines_number(lines)));
out:
  ft_lines_close(lines);
  return err;
}

/* ---------------------------------------------------------------- tokens that are there already */

/* A document of the file as a line that was read. */
static ft_err take_tokens(const ft_prep_run *run, const uint32_t *ids, const uint8_t *mask,
                          int64_t count, bool has_mask, ft_prep_line *line) {
  ft_document *d = &line->document;
  d->kind = has_mask ? FT_TOKENS_SFT : FT_TOKENS_TEXT;
  d->form = FT_FORM_TOKENS;
  d->ids.count = d->rejected.count = 0;
  ft_err err = ft_ids_append(&d->ids, ids, count, 0);
  if (err != FT_OK) return err;
  if (count > 0) memcpy(d->ids.mask, mask, (size_t)count);
  if (count > 0) d->ids.mask[0] = 0;
  line->set = ft_split_of(ft_ids_prompt_hash(&d->ids), run->rules.seed, run->rules.validation,
                          run->rules.test);
  ft_prep_judge_document(&run->rules, line);
  return FT_OK;
}

static ft_err run_tokens(ft_prep_run *run, const ft_prep_piece *piece, ft_store *store,
                         cJSON *tree) {
  ft_err err = FT_OK;
  const char *path = run->inputs.files[piece->file].path;
  ft_pretokenized *tokens = NULL;
  ft_prep_line line = {.path = path};
  const uint32_t *ids;
  const uint8_t *mask;
  int64_t count, number = 0;
  bool has_mask;
  FT_TRY(ft_pretokenized_open(path, run->options->pad, &tokens));
  for (;;) {
    FT_CHECK(!run->options->stop || !atomic_load(run->options->stop), FT_ERR_STOPPED, "stopped");
    FT_TRY(ft_pretokenized_next(tokens, &ids, &mask, &count, &has_mask));
    if (count < 0) break;
    ft_document kept = line.document;
    line = (ft_prep_line){.path = path, .number = ++number, .document = kept};
    FT_TRY(take_tokens(run, ids, mask, count, has_mask, &line));
    FT_TRY(add_line(run, store, tree, &line));
  }
  FT_TRY(ft_tally_count(tree, NULL, "lines", number));
  FT_TRY(ft_tally_count(tree, NULL, "raw_lines", number));
out:
  ft_pretokenized_close(tokens);
  ft_prep_line_fini(&line);
  return err;
}

ft_err ft_prep_work(ft_prep_run *run, int64_t index) {
  ft_err err = FT_OK;
  const ft_prep_piece *piece = &run->inputs.pieces[index];
  ft_store *store = NULL;
  cJSON *tree = cJSON_CreateObject();
  FT_CHECK(tree, FT_ERR_MEMORY, "no memory for the report");
  FT_TRY(ft_store_new(run->output.work, index, &store));
  bool is_hdf5 = run->inputs.files[piece->file].kind == FT_KIND_HDF5;
  FT_TRY(is_hdf5 ? run_tokens(run, piece, store, tree) : run_lines(run, piece, store, tree));
  err = ft_store_close(store, tree);
  store = NULL;
out:
  (void)ft_store_close(store, NULL);
  cJSON_Delete(tree);
  return err;
}
