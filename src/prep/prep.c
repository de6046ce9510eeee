/* prep: JSONL files to token shards, split by content. Reads batches of lines, has threads turn
 * them to documents, and hands these to the shards in the order of the lines. */
#include <string.h>
#include <sys/stat.h>

#include "batch.h"
#include "output.h"

/* A line slot's ids are kept for the next batch up to this many, so that slots which met a huge
 * document once do not hold its memory. */
enum { DEFAULT_SEQ_LEN = 4096, MAX_SHOWN = 20, KEPT_IDS = 1 << 16 };

typedef struct prep {
  const ft_prep_options *options;
  ft_prep_report *report;
  ft_tokenizer *tokenizer;
  ft_render_options render;
  ft_prep_rules rules;
  ft_prep_batch batch;
  ft_prep_output output;
  int64_t shown;
} prep;

/* ---------------------------------------------------------------- beforehand */

static ft_err check_options(const ft_prep_options *o) {
  ft_err err = FT_OK;
  FT_CHECK(o->num_inputs > 0, FT_ERR_USAGE, "no --input was given");
  FT_CHECK(o->validation >= 0 && o->test >= 0 && o->validation + o->test < 1, FT_ERR_USAGE,
           "--validation %g and --test %g: shares of at least 0 and together less than 1 were "
           "expected",
           o->validation, o->test);
  FT_CHECK(o->seq_len == 0 || o->seq_len >= 2, FT_ERR_USAGE, "--seq-len %lld: must be at least 2",
           (long long)o->seq_len);
  FT_CHECK(o->max_positions <= 0 || o->seq_len <= o->max_positions, FT_ERR_USAGE,
           "--seq-len %lld: %s/config.json knows %lld positions at most", (long long)o->seq_len,
           o->model_dir, (long long)o->max_positions);
out:
  return err;
}

static bool is_regular(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* Opens every input once, so that a wrong name is not found after hours. A pipe is opened when its
 * turn comes: what is opened and closed is gone. */
static ft_err check_inputs(const ft_prep_options *o) {
  for (int64_t i = 0; i < o->num_inputs; i++) {
    ft_lines *lines;
    if (strcmp(o->inputs[i], "-") == 0) continue;
    if (ft_path_exists(o->inputs[i]) && !ft_path_is_dir(o->inputs[i]) && !is_regular(o->inputs[i]))
      continue;
    ft_err err = ft_lines_open(o->inputs[i], &lines);
    if (err != FT_OK) return err;
    ft_lines_close(lines);
  }
  return FT_OK;
}

static ft_err check_vocabulary(const prep *p) {
  const ft_prep_options *o = p->options;
  int64_t tokens = ft_tokenizer_vocab_size(p->tokenizer);
  if (tokens > o->model_vocab)
    return ft_fail(FT_ERR_DATA,
                   "%s/tokenizer.json has ids up to %lld, but %s/config.json has a vocab_size of "
                   "%lld: the tokenizer does not fit the model",
                   o->model_dir, (long long)tokens - 1, o->model_dir, (long long)o->model_vocab);
  if (p->render.eos >= o->model_vocab)
    return ft_fail(FT_ERR_DATA,
                   "%s: the eos_token_id %lld is not below config.json's vocab_size of %lld",
                   o->model_dir, (long long)p->render.eos, (long long)o->model_vocab);
  return FT_OK;
}

static ft_err begin(prep *p) {
  ft_err err = FT_OK;
  const ft_prep_options *o = p->options;
  FT_TRY(check_options(o));
  FT_TRY(check_inputs(o));
  FT_TRY(ft_tokenizer_open(o->model_dir, &p->tokenizer));
  FT_TRY(ft_render_options_init(o->model_dir, p->tokenizer, o->template, o->system, &p->render));
  p->render.train_on = o->train_on;
  if (o->date) p->render.date = *o->date;
  if (o->bos >= 0) p->render.bos = o->bos;
  if (o->eos >= 0) p->render.eos = o->eos;
  FT_TRY(check_vocabulary(p));
  int64_t longest = o->max_positions > 0 ? o->max_positions : DEFAULT_SEQ_LEN;
  p->rules = (ft_prep_rules){
      .tokenizer = p->tokenizer,
      .render = &p->render,
      .records = &o->records,
      .seq_len = o->seq_len ? o->seq_len : FT_MIN(longest, DEFAULT_SEQ_LEN),
      .truncate = o->truncate,
  };
  p->report->template = p->render.template;
  p->report->seq_len = p->rules.seq_len;
  snprintf(p->report->system, sizeof p->report->system, "%s",
           p->render.system ? p->render.system : "");
  p->output.vocab_size = (uint32_t)o->model_vocab;
  p->output.tokenizer = ft_tokenizer_sha256(p->tokenizer);
  FT_TRY(ft_prep_batch_init(&p->batch));
  FT_TRY(ft_prep_output_begin(&p->output, o->out_dir, o->overwrite));
out:
  return err;
}

/* ---------------------------------------------------------------- documents */

static void show_bad_line(prep *p, const ft_prep_line *line) {
  if (p->shown < MAX_SHOWN)
    ft_log(FT_LOG_WARNING, "%s:%lld: %s", line->path, (long long)line->number, line->reason);
  else if (p->shown == MAX_SHOWN)
    ft_log(FT_LOG_WARNING, "further lines like these are counted, not shown");
  p->shown++;
}

/* True once it is certain that nothing will be written. */
static bool is_refused(const prep *p) {
  return (p->report->bad_lines > 0 && !p->options->skip_bad_lines) ||
         (p->report->all_masked > 0 && !p->options->skip_all_masked);
}

static ft_err add_document(prep *p, const ft_prep_line *line) {
  ft_prep_report *r = p->report;
  ft_split set =
      ft_split_of(line->prompt_hash, p->options->seed, p->options->validation, p->options->test);
  bool is_first = r->documents[0] + r->documents[1] + r->documents[2] == 0;
  if (is_first && p->options->show_first) {
    ft_err err = p->options->show_first(p->options->show_arg, p->tokenizer, &line->document.ids);
    if (err != FT_OK) return err;
  }
  r->documents[set]++;
  r->tokens[set] += line->document.ids.count;
  for (int64_t i = 0; i < line->document.ids.count; i++)
    r->targets[set] += line->document.ids.mask[i];
  r->text_documents += line->document.kind == FT_TOKENS_TEXT;
  r->truncated += line->truncated;
  if (is_refused(p)) return FT_OK;
  return ft_prep_output_add(&p->output, set, line->document.kind, &line->document.ids);
}

/* Turns the batch to documents and empties it. */
static ft_err run_batch(prep *p) {
  ft_prep_batch_run(&p->batch, &p->rules, p->options->num_threads);
  for (int64_t i = 0; i < p->batch.num_lines; i++) {
    const ft_prep_line *line = &p->batch.lines[i];
    ft_err err = FT_OK;
    if (line->err != FT_OK)
      return ft_fail(line->err, "%s:%lld: %s", line->path, (long long)line->number, line->reason);
    if (line->outcome == FT_DOCUMENT)
      err = add_document(p, line);
    else
      show_bad_line(p, line);
    p->report->bad_lines += line->outcome == FT_BAD_LINE;
    p->report->all_masked += line->outcome == FT_ALL_MASKED;
    if (err != FT_OK) return err;
    if (line->document.ids.capacity > KEPT_IDS) ft_ids_fini(&p->batch.lines[i].document.ids);
  }
  p->batch.num_lines = 0;
  p->batch.used = 0;
  return FT_OK;
}

static ft_err read_input(prep *p, const char *path) {
  ft_err err = FT_OK;
  ft_lines *lines;
  const char *text;
  size_t bytes;
  bool too_long;
  FT_TRY(ft_lines_open(path, &lines));
  for (;;) {
    FT_CHECK(!p->options->stop || !atomic_load(p->options->stop), FT_ERR_STOPPED,
             "stopped: nothing was written");
    FT_TRY(ft_lines_next(lines, &text, &bytes, &too_long));
    if (!text) break;
    if (!too_long && ft_line_is_blank(text, bytes)) continue;
    p->report->lines++;
    FT_TRY(ft_prep_batch_add(&p->batch, ft_lines_path(lines), ft_lines_number(lines), text, bytes,
                             too_long));
    if (ft_prep_batch_is_full(&p->batch)) FT_TRY(run_batch(p));
  }
  FT_TRY(run_batch(p));
out:
  ft_lines_close(lines);
  return err;
}

/* ---------------------------------------------------------------- the end */

static ft_err verdict(const prep *p) {
  const ft_prep_report *r = p->report;
  ft_err err = FT_OK;
  FT_CHECK(r->bad_lines == 0 || p->options->skip_bad_lines, FT_ERR_DATA,
           "%lld of %lld lines cannot be used (see above): correct them, or leave them out with "
           "--skip-bad-lines; nothing was written",
           (long long)r->bad_lines, (long long)r->lines);
  FT_CHECK(r->all_masked == 0 || p->options->skip_all_masked, FT_ERR_DATA,
           "%lld of %lld documents have no target (see above), so nothing can be learnt from them: "
           "correct them, or leave them out with --skip-all-masked; nothing was written",
           (long long)r->all_masked, (long long)r->lines);
  FT_CHECK(r->lines > 0, FT_ERR_DATA, "%s%s: no record was found, nothing was written",
           p->options->inputs[0], p->options->num_inputs > 1 ? " and the other inputs" : "");
  FT_CHECK(r->documents[FT_SPLIT_TRAIN] > 0, FT_ERR_DATA,
           "no document is left for train (%lld lines, %lld bad, %lld without a target; %lld "
           "documents went to validation, %lld to test): nothing was written",
           (long long)r->lines, (long long)r->bad_lines, (long long)r->all_masked,
           (long long)r->documents[FT_SPLIT_VALIDATION], (long long)r->documents[FT_SPLIT_TEST]);
out:
  return err;
}

static void warn_of_empty_sets(const prep *p) {
  double shares[FT_NUM_SPLITS] = {1, p->options->validation, p->options->test};
  for (int set = 0; set < FT_NUM_SPLITS; set++)
    if (shares[set] > 0 && p->report->documents[set] == 0)
      ft_log(FT_LOG_WARNING,
             "no document fell into %s: its share of %g is small for %lld documents",
             ft_split_name((ft_split)set), shares[set],
             (long long)p->report->documents[FT_SPLIT_TRAIN]);
}

ft_err ft_prep(const ft_prep_options *options, ft_prep_report *report) {
  ft_err err = FT_OK;
  prep p = {.options = options, .report = report, .render = {.bos = -1, .eos = -1}};
  *report = (ft_prep_report){0};
  FT_TRY(begin(&p));
  for (int64_t i = 0; i < options->num_inputs; i++)
    FT_TRY(read_input(&p, options->inputs[i]));
  FT_TRY(verdict(&p));
  FT_TRY(ft_prep_output_commit(&p.output));
  warn_of_empty_sets(&p);
out:
  ft_prep_output_fini(&p.output);
  ft_prep_batch_fini(&p.batch);
  ft_render_options_fini(&p.render);
  ft_tokenizer_close(p.tokenizer);
  return err;
}
