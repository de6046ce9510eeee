/* Lines to documents: parse, render, check. Each line is a pure function of its text and the rules;
 * threads take lines from a common counter. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "batch.h"

enum { MAX_THREADS = 256 };

ft_err ft_prep_batch_init(ft_prep_batch *batch) {
  *batch = (ft_prep_batch){0};
  void *p;
  ft_err err = ft_alloc_array(FT_MEM_PREP, FT_BATCH_LINES, sizeof(ft_prep_line), &p);
  batch->lines = p;
  return err;
}

void ft_prep_line_fini(ft_prep_line *line) {
  ft_document_fini(&line->document);
  ft_grams_fini(&line->grams);
}

void ft_prep_batch_fini(ft_prep_batch *batch) {
  for (int64_t i = 0; batch->lines && i < FT_BATCH_LINES; i++)
    ft_prep_line_fini(&batch->lines[i]);
  ft_free(batch->lines);
  ft_free(batch->text);
  *batch = (ft_prep_batch){0};
}

bool ft_prep_batch_is_full(const ft_prep_batch *batch) {
  return batch->num_lines == FT_BATCH_LINES || batch->used >= FT_BATCH_BYTES;
}

ft_err ft_prep_batch_add(ft_prep_batch *batch, const char *path, int64_t number, const char *text,
                         size_t bytes, bool too_long) {
  ft_err err =
      ft_grow_bytes(FT_MEM_PREP, batch->used + bytes + 1, &batch->capacity, (void **)&batch->text);
  if (err != FT_OK) return err;
  ft_prep_line *line = &batch->lines[batch->num_lines++];
  ft_document document = line->document;
  ft_grams grams = line->grams;
  *line = (ft_prep_line){.path = path, .number = number, .bytes = bytes, .too_long = too_long};
  line->begin = batch->used;
  line->document = document;
  line->grams = grams;
  line->grams.count = 0;
  memcpy(batch->text + batch->used, text, bytes);
  batch->text[batch->used + bytes] = 0;
  batch->used += bytes + 1;
  return FT_OK;
}

/* ---------------------------------------------------------------- one line */

static ft_err check_length(const ft_prep_rules *rules, ft_prep_line *line, ft_ids *ids) {
  if (line->document.kind == FT_TOKENS_TEXT || ids->count <= rules->seq_len) return FT_OK;
  if (!rules->truncate)
    return ft_fail(FT_ERR_DATA,
                   "has %lld tokens, more than --seq-len %lld: cut such documents with --truncate",
                   (long long)ids->count, (long long)rules->seq_len);
  ids->count = rules->seq_len;
  line->truncated = true;
  return FT_OK;
}

static ft_err check_targets(ft_prep_line *line, const ft_ids *ids) {
  if (ids->count > 0 && memchr(ids->mask, 1, (size_t)ids->count)) return FT_OK;
  line->outcome = FT_ALL_MASKED;
  return ft_fail(FT_ERR_DATA, "has nothing to learn from: no target among its %lld tokens%s",
                 (long long)ids->count, line->truncated ? " after it was cut" : "");
}

/* What other documents are compared with, before anything is made of the record. */
static ft_err take_fingerprints(const ft_prep_rules *rules, const ft_record *record,
                                ft_words *words, ft_prep_line *line) {
  ft_err err = FT_OK;
  uint64_t prompt;
  FT_TRY(ft_record_prompt_hash(record, words, &prompt));
  line->set = ft_split_of(prompt, rules->seed, rules->validation, rules->test);
  if (rules->clean->actions[FT_RULE_NEAR_DUPLICATES] != FT_ACTION_OFF)
    FT_TRY(ft_signature_of(rules->clean, record, words, &line->signature, &line->has_signature));
  if (rules->clean->actions[FT_RULE_CONTAMINATION] != FT_ACTION_OFF)
    FT_TRY(ft_grams_of(rules->clean, record, words, &line->grams));
out:
  return err;
}

/* Ids that were there already may be another model's. */
static ft_err check_ids(const ft_prep_rules *rules, const ft_document *d) {
  for (int64_t i = 0; d->form == FT_FORM_TOKENS && i < d->ids.count; i++)
    if (d->ids.ids[i] >= rules->vocab_size)
      return ft_fail(FT_ERR_DATA, "token %lld has the id %u, the model's vocabulary has %lld",
                     (long long)i, d->ids.ids[i], (long long)rules->vocab_size);
  return FT_OK;
}

static ft_err check_document(const ft_prep_rules *rules, ft_prep_line *line) {
  ft_err err = FT_OK;
  ft_document *d = &line->document;
  FT_TRY(check_ids(rules, d));
  bool is_pair = d->kind == FT_TOKENS_PREFERENCE;
  ft_clean_length(rules->clean, FT_MAX(d->ids.count, d->rejected.count), &line->findings);
  FT_TRY(ft_findings_check(&line->findings));
  if (line->findings.drop != FT_NUM_RULES)
    goto out; /* a document that is left out may be anything */
  FT_TRY(check_length(rules, line, &d->ids));
  if (is_pair) FT_TRY(check_length(rules, line, &d->rejected));
  if (d->kind == FT_TOKENS_CLASSES) goto out; /* what is learnt is its class */
  FT_TRY(check_targets(line, &d->ids));
  if (!is_pair) goto out;
  FT_TRY(check_targets(line, &d->rejected));
  FT_TRY(ft_clean_pair(rules->clean, rules->tokenizer, d, &line->findings));
  FT_TRY(ft_findings_check(&line->findings));
out:
  return err;
}

static ft_err read_line(const ft_prep_rules *rules, ft_workroom *room, const char *text,
                        ft_prep_line *line) {
  ft_err err = FT_OK;
  cJSON *json = NULL;
  ft_record record = {0};
  FT_CHECK(!line->too_long, FT_ERR_DATA, "is longer than %d MiB", FT_LINE_MAX >> 20);
  FT_TRY(ft_line_parse(text, line->bytes, &json));
  FT_TRY(ft_record_read(rules->records, json, &record));
  line->unread = record.unread;
  FT_TRY(ft_clean_record(rules->clean, room, &record, &line->findings));
  FT_TRY(take_fingerprints(rules, &record, &room->words, line));
  FT_TRY(ft_document_render(rules->tokenizer, rules->render, &record, &line->document));
  FT_TRY(check_document(rules, line));
  if (line->findings.drop != FT_NUM_RULES) line->outcome = FT_DROPPED;
out:
  cJSON_Delete(json);
  ft_record_fini(&record);
  return err;
}

/* What an error means for the line. */
static void note_error(ft_prep_line *line, ft_err err) {
  if (err == FT_OK) return;
  snprintf(line->reason, sizeof line->reason, "%s", ft_error_message());
  if (err != FT_ERR_DATA)
    line->err = err;
  else if (line->outcome == FT_DOCUMENT)
    line->outcome = FT_BAD_LINE;
}

void ft_prep_judge_document(const ft_prep_rules *rules, ft_prep_line *line) {
  ft_findings_init(&line->findings);
  ft_err err = check_document(rules, line);
  if (err == FT_OK && line->findings.drop != FT_NUM_RULES) line->outcome = FT_DROPPED;
  note_error(line, err);
}

/* ---------------------------------------------------------------- threads */

typedef struct crew {
  const ft_prep_rules *rules;
  ft_prep_batch *batch;
  atomic_int_fast64_t next;
} crew;

static void *work(void *arg) {
  crew *c = arg;
  ft_workroom room = {0};
  int64_t i;
  while ((i = atomic_fetch_add(&c->next, 1)) < c->batch->num_lines) {
    ft_prep_line *line = &c->batch->lines[i];
    note_error(line, read_line(c->rules, &room, c->batch->text + line->begin, line));
  }
  ft_workroom_fini(&room);
  return NULL;
}

void ft_prep_batch_run(ft_prep_batch *batch, const ft_prep_rules *rules, int num_threads) {
  crew c = {.rules = rules, .batch = batch};
  pthread_t threads[MAX_THREADS];
  int started = 0;
  num_threads = FT_MIN(num_threads, MAX_THREADS);
  while (started < num_threads - 1 && started + 1 < batch->num_lines) {
    /* fewer threads are slower, not wrong */
    if (pthread_create(&threads[started], NULL, work, &c) != 0) break;
    started++;
  }
  work(&c);
  for (int i = 0; i < started; i++)
    pthread_join(threads[i], NULL);
}
