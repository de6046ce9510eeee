/* prep: files of records to token shards. The input is cut into pieces; ranks make documents of
 * them, which wait in a work folder; then it is decided which stay, and the shards are written. All
 * ranks go through the same steps and agree after each. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "run.h"
#include "store.h"

enum { DEFAULT_SEQ_LEN = 4096, VERSION = 2 };

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
  FT_CHECK(o->clean.actions[FT_RULE_TOO_SHORT] != FT_ACTION_DROP || o->clean.min_tokens >= 0,
           FT_ERR_USAGE, "min_tokens must not be negative");
out:
  return err;
}

static ft_err check_vocabulary(const ft_prep_run *p) {
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

/* What the documents are made with, for the shards. */
static void note_preparation(ft_prep_run *p) {
  ft_tokens_preparation *made = &p->output.preparation;
  int64_t end = ft_template_end_of_turn(p->tokenizer, &p->render);
  snprintf(made->template_name, sizeof made->template_name, "%s",
           ft_template_name(p->render.template));
  if (p->render.template == FT_TEMPLATE_MODEL)
    snprintf(made->template_sha256, sizeof made->template_sha256, "%s",
             ft_chat_sha256(p->render.chat));
  if (p->render.chat && p->render.template == FT_TEMPLATE_MODEL) {
    snprintf(made->template_sha256, sizeof made->template_sha256, "%s",
             ft_chat_sha256(p->render.chat));
    if (ft_chat_reads_date(p->render.chat))
      strftime(made->template_date, sizeof made->template_date, "%Y-%m-%dT%H:%M:%S",
               &p->render.date);
  }
  made->system = p->render.system;
  if (end >= 0) made->end_of_turn[made->num_end_of_turn++] = (uint32_t)end;
}

static ft_err begin(ft_prep_run *p) {
  ft_err err = FT_OK;
  const ft_prep_options *o = p->options;
  FT_TRY(check_options(o));
  FT_TRY(ft_prep_inputs_init(o->inputs, o->num_inputs, o->piece_bytes, &p->inputs));
  FT_TRY(ft_tokenizer_open(o->model_dir, &p->tokenizer));
  FT_TRY(ft_render_options_init(o->model_dir, p->tokenizer, o->template, o->system, &p->render));
  p->render.control_tokens = o->control_tokens;
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
      .clean = &o->clean,
      .vocab_size = o->model_vocab,
      .seq_len = o->seq_len ? o->seq_len : FT_MIN(longest, DEFAULT_SEQ_LEN),
      .truncate = o->truncate,
      .seed = o->seed,
      .validation = o->validation,
      .test = o->test,
  };
  p->report->template = p->render.template;
  p->report->seq_len = p->rules.seq_len;
  snprintf(p->report->system, sizeof p->report->system, "%s",
           p->render.system ? p->render.system : "");
  p->output.vocab_size = (uint32_t)o->model_vocab;
  p->output.tokenizer = ft_tokenizer_sha256(p->tokenizer);
  p->output.rank = o->rank;
  p->output.num_ranks = o->num_ranks;
  note_preparation(p);
  FT_TRY(ft_prep_batch_init(&p->batch));
  FT_TRY(ft_prep_output_init(&p->output, o->out_dir));
  FT_TRY(ft_prep_output_check(&p->output, o->overwrite));
out:
  return err;
}

/* ---------------------------------------------------------------- the work folder */

static ft_err append(char **text, const char *more) {
  char *joined;
  ft_err err = ft_format(&joined, "%s%s", *text ? *text : "", more);
  if (err != FT_OK) return err;
  ft_free(*text);
  *text = joined;
  return FT_OK;
}

/* Everything that pieces depend on. */
static ft_err make_plan(ft_prep_run *p) {
  ft_err err = FT_OK;
  const ft_prep_options *o = p->options;
  const ft_clean_options *clean = &o->clean;
  const struct tm *day = &p->render.date; /* templates may write it */
  char line[1024];
  snprintf(
      line, sizeof line,
      "version %d pad %lld tokenizer %s template %s %s date %d-%d-%d train on %d bos %lld eos %lld "
      "control %d form %d seq_len %lld truncate %d split %.17g %.17g seed %llu near %lld %d "
      "ngram %lld tokens %lld %lld\n",
      VERSION, (long long)o->pad, p->output.tokenizer, ft_template_name(p->render.template),
      p->output.preparation.template_sha256, day->tm_year, day->tm_mon, day->tm_mday,
      (int)o->train_on, (long long)p->render.bos, (long long)p->render.eos, o->control_tokens,
      (int)o->records.form, (long long)p->rules.seq_len, o->truncate, o->validation, o->test,
      (unsigned long long)o->seed, (long long)clean->near_shingle, clean->near_characters,
      (long long)clean->ngram, (long long)clean->min_tokens, (long long)clean->max_tokens);
  FT_TRY(append(&p->plan, line));
  for (int r = 0; r < FT_NUM_RULES; r++) {
    snprintf(line, sizeof line, "%s=%s ", ft_rule_name((ft_rule)r),
             ft_action_name(clean->actions[r]));
    FT_TRY(append(&p->plan, line));
  }
  for (int64_t i = 0; i < o->records.num_fields; i++) {
    snprintf(line, sizeof line, "%.200s=%.200s ", o->records.fields[i].name,
             o->records.fields[i].file_name);
    FT_TRY(append(&p->plan, line));
  }
  FT_TRY(append(&p->plan, p->render.system ? p->render.system : ""));
  p->plan_options = strlen(p->plan);
  for (int64_t i = 0; i < p->inputs.num_files; i++) {
    const ft_prep_file *f = &p->inputs.files[i];
    FT_TRY(append(&p->plan, "\n"));
    FT_TRY(append(&p->plan, f->path));
    snprintf(line, sizeof line, " %lld %llu", (long long)f->bytes, (unsigned long long)f->change);
    FT_TRY(append(&p->plan, line));
  }
out:
  return err;
}

/* Two preparations of one OUT would tread on each other. */
static ft_err take_lock(ft_prep_run *p) {
  ft_err err = FT_OK;
  char *path = NULL;
  FT_TRY(ft_make_dirs(p->output.work));
  FT_TRY(ft_path_join(p->output.work, "lock", &path));
  p->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  FT_CHECK(p->lock >= 0, FT_ERR_CREATE, "%s: cannot be made: %s", path, strerror(errno));
  FT_CHECK(flock(p->lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK, FT_ERR_CREATE,
           "%s: another ftrun prep is at work there", p->output.work);
out:
  ft_free(path);
  return err;
}

/* Removes what the folder holds, but for the lock. */
static ft_err empty_work(const ft_prep_run *p) {
  ft_err err = FT_OK;
  char **names = NULL, *path = NULL;
  int64_t num_names = 0;
  FT_TRY(ft_list_dir(p->output.work, &names, &num_names));
  for (int64_t i = 0; i < num_names; i++) {
    if (strcmp(names[i], "lock") == 0) continue;
    ft_free(path);
    FT_TRY(ft_path_join(p->output.work, names[i], &path));
    FT_TRY(ft_remove_tree(path));
  }
out:
  ft_free(path);
  ft_free_names(names, num_names);
  return err;
}

static int64_t count_complete(const ft_prep_run *p) {
  int64_t complete = 0;
  for (int64_t i = 0; i < p->inputs.num_pieces; i++)
    complete += ft_store_is_complete(p->output.work, i);
  return complete;
}

/* Goes on with what an interrupted preparation of the same plan left, or begins anew. */
static ft_err open_work(ft_prep_run *p) {
  ft_err err = FT_OK;
  char *path = NULL, *plan = NULL;
  size_t bytes;
  FT_TRY(take_lock(p));
  FT_TRY(ft_path_join(p->output.work, "plan", &path));
  if (ft_path_exists(path)) FT_TRY(ft_read_file(path, (size_t)1 << 30, &plan, &bytes));
  if (plan && strcmp(plan, p->plan) == 0) {
    ft_log(FT_LOG_INFO, "going on with an interrupted preparation: %lld of %lld pieces are there",
           (long long)count_complete(p), (long long)p->inputs.num_pieces);
  } else {
    if (plan)
      ft_log(FT_LOG_INFO, "%s was left by a preparation with other options or files: begun anew",
             p->output.work);
    FT_TRY(empty_work(p));
    FT_TRY(ft_write_file(path, p->plan, strlen(p->plan)));
  }
out:
  ft_free(path);
  ft_free(plan);
  return err;
}

/* ---------------------------------------------------------------- pieces */

/* Pieces are dealt in turn; a pipe is read by rank 0, which has it. */
static bool is_mine(const ft_prep_run *p, int64_t piece) {
  const ft_prep_options *o = p->options;
  if (p->inputs.files[p->inputs.pieces[piece].file].kind == FT_KIND_STREAM) return o->rank == 0;
  return piece % o->num_ranks == o->rank;
}

/* What a pipe said is gone, so its piece is made again. */
static bool is_to_do(const ft_prep_run *p, int64_t piece) {
  bool stream = p->inputs.files[p->inputs.pieces[piece].file].kind == FT_KIND_STREAM;
  return is_mine(p, piece) && (stream || !ft_store_is_complete(p->output.work, piece));
}

static int64_t piece_bytes(const ft_prep_run *p, int64_t piece) {
  const ft_prep_piece *q = &p->inputs.pieces[piece];
  return FT_MIN(q->end, p->inputs.files[q->file].bytes) - q->begin;
}

static ft_err work(ft_prep_run *p) {
  ft_err err = FT_OK;
  p->begun_s = ft_now_s();
  for (int64_t i = 0; i < p->inputs.num_pieces; i++)
    if (is_to_do(p, i)) p->bytes_mine += piece_bytes(p, i);
  for (int64_t i = 0; i < p->inputs.num_pieces; i++) {
    if (!is_to_do(p, i)) continue;
    FT_TRY(ft_prep_work(p, i));
    FT_CHECK(!ft_fault("prep.piece").fail, FT_ERR_IO, "made to fail after a piece");
    p->bytes_done += piece_bytes(p, i);
    ft_prep_progress(p, 0);
  }
out:
  return err;
}

/* ---------------------------------------------------------------- verdict */

static void show_bad_lines(const ft_prep_run *p) {
  const cJSON *list = ft_json_get(p->tree, "bad_lines"), *bad;
  cJSON_ArrayForEach(bad, list) ft_log(
      FT_LOG_WARNING, "%s:%lld: %s", ft_json_get(bad, "file")->valuestring,
      (long long)ft_json_get(bad, "line")->valuedouble, ft_json_get(bad, "text")->valuestring);
  if (p->report->bad_lines + p->report->all_masked > FT_TALLY_BAD_LINES)
    ft_log(FT_LOG_WARNING, "further lines like these are counted, not shown");
}

/* What texts spell out is worth a word: it may have been meant. */
static void warn_of_names(const ft_prep_run *p) {
  const cJSON *item;
  cJSON_ArrayForEach(item, ft_json_get(p->tree, "spelled")) ft_log(
      FT_LOG_WARNING, "the control token %s is spelled out %lld times in texts: it is %s",
      item->string, (long long)item->valuedouble,
      p->options->control_tokens ? "taken as such in text, prompt and completion"
                                 : "learnt letter by letter (--control-tokens takes it as such)");
  cJSON_ArrayForEach(item, ft_json_get(p->tree, "unread"))
      ft_log(FT_LOG_WARNING, "the member \"%s\" is not read (%lld records have it)", item->string,
             (long long)item->valuedouble);
}

static ft_err judge_lines(const ft_prep_run *p) {
  const ft_prep_report *r = p->report;
  ft_err err = FT_OK;
  show_bad_lines(p);
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
out:
  return err;
}

static ft_err judge_sets(const ft_prep_run *p) {
  const ft_prep_report *r = p->report;
  double shares[FT_NUM_SPLITS] = {1, p->options->validation, p->options->test};
  if (r->documents[FT_SPLIT_TRAIN] == 0)
    return ft_fail(FT_ERR_DATA,
                   "no document is left for train (%lld lines, %lld bad, %lld without a target; "
                   "%lld documents went to validation, %lld to test): nothing was written",
                   (long long)r->lines, (long long)r->bad_lines, (long long)r->all_masked,
                   (long long)r->documents[FT_SPLIT_VALIDATION],
                   (long long)r->documents[FT_SPLIT_TEST]);
  for (int set = 0; set < FT_NUM_SPLITS; set++)
    if (shares[set] > 0 && r->documents[set] == 0)
      ft_log(FT_LOG_WARNING,
             "no document fell into %s: its share of %g is small for %lld documents",
             ft_split_name((ft_split)set), shares[set], (long long)r->documents[FT_SPLIT_TRAIN]);
  return FT_OK;
}

/* ---------------------------------------------------------------- steps of rank 0 */

/* After all pieces: which documents stay. */
static ft_err decide(ft_prep_run *p) {
  ft_err err = FT_OK;
  ft_prep_report *r = p->report;
  FT_TRY(ft_prep_gather(p));
  r->lines = ft_tally_get(p->tree, NULL, "lines");
  r->bad_lines = ft_tally_get(p->tree, NULL, "bad");
  r->all_masked = ft_tally_get(p->tree, NULL, "all_masked");
  r->truncated = ft_tally_get(p->tree, NULL, "truncated");
  FT_TRY(judge_lines(p));
  warn_of_names(p);
  FT_TRY(ft_prep_decide(p));
  FT_TRY(ft_prep_output_begin(&p->output));
out:
  return err;
}

static ft_err finish(ft_prep_run *p) {
  static const char *const reports[] = {"report.json", "report.html", "dropped.jsonl"};
  ft_err err = FT_OK;
  FT_TRY(judge_sets(p));
  FT_TRY(ft_prep_write_report(p));
  FT_TRY(ft_prep_output_commit(&p->output, reports, FT_ARRAY_SIZE(reports)));
out:
  return err;
}

/* A rank's error becomes everybody's. */
static ft_err agree(const ft_prep_run *p, ft_err err) {
  return p->options->agree ? p->options->agree(p->options->agree_arg, err) : err;
}

/* Leaves the work folder where another attempt can use it. */
static ft_err tidy_up(ft_prep_run *p, ft_err err) {
  char *message = NULL;
  int64_t complete = err == FT_ERR_STOPPED || err == FT_ERR_IO ? count_complete(p) : 0;
  if (err == FT_ERR_STOPPED)
    ft_fail(err,
            complete > 0 ? "stopped with %lld of %lld pieces made: the same command goes on"
                         : "stopped: nothing was written",
            (long long)complete, (long long)p->inputs.num_pieces);
  /* a failure to tidy up must not hide the error that led here */
  (void)ft_strdup(ft_error_message(), &message);
  if (p->lock >= 0 && complete == 0 && ft_remove_tree(p->output.work) != FT_OK)
    ft_log(FT_LOG_WARNING, "%s is left behind and may be removed", p->output.work);
  if (err != FT_OK && message) (void)ft_fail(err, "%s", message);
  if (p->lock >= 0) close(p->lock);
  ft_free(message);
  return err;
}

static ft_err run_steps(ft_prep_run *p) {
  ft_err err = FT_OK;
  bool first = p->options->rank == 0;
  FT_TRY(agree(p, begin(p)));
  FT_TRY(make_plan(p));
  FT_TRY(ft_prep_compare(p));
  FT_TRY(agree(p, first ? open_work(p) : FT_OK));
  FT_TRY(agree(p, work(p)));
  FT_TRY(agree(p, first ? decide(p) : FT_OK));
  FT_TRY(agree(p, ft_prep_write(p)));
  FT_TRY(agree(p, first ? finish(p) : FT_OK));
out:
  return err;
}

ft_err ft_prep(const ft_prep_options *options, ft_prep_report *report) {
  ft_prep_run p = {
      .options = options, .report = report, .render = {.bos = -1, .eos = -1}, .lock = -1};
  *report = (ft_prep_report){0};
  ft_err err = run_steps(&p);
  err = tidy_up(&p, err);
  report->tree = p.tree;
  ft_prep_output_fini(&p.output);
  ft_prep_inputs_fini(&p.inputs);
  ft_prep_batch_fini(&p.batch);
  ft_render_options_fini(&p.render);
  ft_tokenizer_close(p.tokenizer);
  ft_free(p.plan);
  ft_free(p.line_bases);
  return err;
}

void ft_prep_report_fini(ft_prep_report *report) {
  cJSON_Delete(report->tree);
  report->tree = NULL;
}
