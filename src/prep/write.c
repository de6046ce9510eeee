/* Documents of all pieces, in order, to their shards, and what the sets hold. */
#include <errno.h>
#include <string.h>

#include "run.h"
#include "store.h"

/* The document that is to be written, brought when it is. */
typedef struct carrier {
  ft_prep_run *run;
  ft_store_reader reader;
  int64_t piece;
  ft_entry entry;
  ft_document document;
  bool any; /* one was kept */
} carrier;

static ft_err bring(void *arg, const ft_document **out) {
  ft_err err = FT_OK;
  carrier *c = arg;
  FT_TRY(ft_store_read_document(&c->reader, &c->entry, &c->document));
  *out = &c->document;
out:
  return err;
}

/* Documents, tokens and targets by set and by kind, and how long documents are. */
static ft_err count(ft_prep_run *run, const ft_entry *e) {
  ft_err err = FT_OK;
  ft_prep_report *r = run->report;
  int64_t tokens = e->num_ids + e->num_rejected, bound = 8;
  const char *set = ft_split_name((ft_split)e->set);
  char name[32];
  r->documents[e->set]++;
  r->tokens[e->set] += tokens;
  r->targets[e->set] += e->num_targets;
  r->text_documents += e->kind == FT_TOKENS_TEXT;
  FT_TRY(ft_tally_count(run->tree, "documents", set, 1));
  FT_TRY(ft_tally_count(run->tree, "tokens", set, tokens));
  FT_TRY(ft_tally_count(run->tree, "targets", set, e->num_targets));
  FT_TRY(ft_tally_count(run->tree, "kinds", ft_tokens_kind_name((ft_tokens_kind)e->kind), 1));
  while (bound < FT_MAX(e->num_ids, e->num_rejected))
    bound *= 2;
  snprintf(name, sizeof name, "%lld", (long long)bound);
  FT_TRY(ft_tally_count(run->tree, "lengths", name, 1));
out:
  return err;
}

/* Everything that was left out because of others is listed. */
static ft_err list_dropped(ft_prep_run *run, const carrier *c, int rule, FILE *list) {
  ft_err err = FT_OK;
  char *text = NULL;
  cJSON *json = cJSON_CreateObject();
  int64_t line = c->entry.line + run->line_bases[c->piece];
  FT_CHECK(json && cJSON_AddStringToObject(json, "rule", ft_rule_name((ft_rule)rule)) &&
               cJSON_AddStringToObject(json, "file",
                                       run->inputs.files[run->inputs.pieces[c->piece].file].path) &&
               cJSON_AddNumberToObject(json, "line", (double)line),
           FT_ERR_MEMORY, "no memory for the list of what was left out");
  FT_TRY(ft_json_print(json, false, &text));
  FT_CHECK(fprintf(list, "%s\n", text) > 0, FT_ERR_IO, "%s: cannot be written to",
           run->output.result);
out:
  ft_free(text);
  cJSON_Delete(json);
  return err;
}

static ft_err open_list(const ft_prep_run *run, FILE **list) {
  char *path = NULL;
  ft_err err = ft_path_join(run->output.result, "dropped.jsonl", &path);
  if (err == FT_OK && !(*list = fopen(path, "wb")))
    err = ft_fail(FT_ERR_CREATE, "%s: cannot be made", path);
  ft_free(path);
  return err;
}

static ft_err show(ft_prep_run *run, carrier *c) {
  const ft_document *document;
  ft_err err = bring(c, &document);
  if (err != FT_OK) return err;
  return run->options->show_first(run->options->show_arg, run->tokenizer, &document->ids);
}

/* One document: 0 decides that it stays. */
static ft_err write_entry(carrier *c, int decision, FILE *list) {
  ft_err err = FT_OK;
  ft_prep_run *run = c->run;
  const ft_entry *e = &c->entry;
  bool counts = run->options->rank == 0;
  if (decision > 0) return counts ? list_dropped(run, c, decision - 1, list) : FT_OK;
  if (counts && !c->any && run->options->show_first) FT_TRY(show(run, c));
  c->any = true;
  if (counts) FT_TRY(count(run, e));
  FT_TRY(ft_prep_output_add(&run->output, (ft_split)e->set, (ft_tokens_kind)e->kind,
                            e->num_ids + e->num_rejected, bring, c));
out:
  return err;
}

static ft_err write_piece(carrier *c, FILE *decisions, FILE *list) {
  ft_err err = FT_OK;
  int64_t num_entries;
  FT_TRY(ft_store_count(c->run->output.work, c->piece, &num_entries));
  FT_TRY(ft_store_reader_open(&c->reader, c->run->output.work, c->piece));
  for (int64_t i = 0; i < num_entries; i++) {
    int decision = getc(decisions);
    FT_CHECK(decision != EOF, FT_ERR_IO, "%s/decisions: ends early", c->run->output.work);
    FT_TRY(ft_store_read_entry(&c->reader, i, &c->entry));
    FT_TRY(write_entry(c, decision, list));
  }
out:
  return err;
}

ft_err ft_prep_write(ft_prep_run *run) {
  ft_err err = FT_OK;
  carrier c = {.run = run};
  char *path = NULL;
  FILE *list = NULL, *decisions = NULL;
  FT_TRY(ft_path_join(run->output.work, "decisions", &path));
  FT_CHECK((decisions = fopen(path, "rb")), FT_ERR_IO, "%s: cannot be opened: %s", path,
           strerror(errno));
  if (run->options->rank == 0) FT_TRY(open_list(run, &list));
  for (c.piece = 0; c.piece < run->inputs.num_pieces; c.piece++) {
    FT_TRY(write_piece(&c, decisions, list));
    FT_CHECK(!run->options->stop || !atomic_load(run->options->stop), FT_ERR_STOPPED, "stopped");
  }
  FT_TRY(ft_prep_output_close(&run->output));
out:
  if (list && fclose(list) != 0 && err == FT_OK)
    err = ft_fail(FT_ERR_IO, "%s: cannot be written to", run->output.result);
  if (decisions) fclose(decisions);
  ft_store_reader_close(&c.reader);
  ft_document_fini(&c.document);
  ft_free(path);
  return err;
}
