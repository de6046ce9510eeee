/* Documents that are left out because of others: the same ones, nearly the same ones, and those of
 * train that share words with what is measured on. Whoever comes first in the order of documents
 * stays, so the result depends on neither ranks nor memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ft/io_kind.h"
#include "run.h"
#include "scratch.h"
#include "sorter.h"
#include "store.h"

typedef struct court {
  ft_prep_run *run;
  int64_t *firsts; /* [num_pieces + 1] number of each piece's first document */
  int64_t num_documents;
  ft_scratch verdicts;
  uint8_t *decisions; /* [num_documents] in verdicts; 0: kept, else 1 + the rule */
  ft_sorter *sorter;
} court;

static const ft_clean_options *rules_of(const court *c) {
  return &c->run->options->clean;
}

static bool is_on(const court *c, ft_rule rule) {
  return rules_of(c)->actions[rule] != FT_ACTION_OFF;
}

/* ---------------------------------------------------------------- places and examples */

static int64_t piece_of(const court *c, int64_t document) {
  int64_t low = 0, high = c->run->inputs.num_pieces - 1;
  while (low < high) {
    int64_t middle = (low + high + 1) / 2;
    if (c->firsts[middle] <= document)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

/* File and line of a document. */
static ft_err place_of(const court *c, int64_t document, const char **file, int64_t *line) {
  ft_err err = FT_OK;
  int64_t piece = piece_of(c, document);
  ft_entry entry;
  ft_store_reader reader = {.piece = -1};
  FT_TRY(ft_store_reader_open(&reader, c->run->output.work, piece));
  FT_TRY(ft_store_read_entry(&reader, document - c->firsts[piece], &entry));
  *file = c->run->inputs.files[c->run->inputs.pieces[piece].file].path;
  *line = entry.line + c->run->line_bases[piece];
out:
  ft_store_reader_close(&reader);
  return err;
}

/* Counts a document that tripped a rule because of another one (-1: nobody in particular), and
 * leaves it out if the rule drops. */
static ft_err judge(court *c, ft_rule rule, int64_t document, int64_t other) {
  ft_err err = FT_OK;
  char text[600] = "";
  const char *file, *other_file;
  int64_t line, other_line;
  cJSON *rules = ft_json_get(c->run->tree, "rules");
  if (!rules) rules = cJSON_AddObjectToObject(c->run->tree, "rules");
  cJSON *node = rules ? ft_json_get(rules, ft_rule_name(rule)) : NULL;
  if (!node && rules) node = cJSON_AddObjectToObject(rules, ft_rule_name(rule));
  FT_CHECK(node, FT_ERR_MEMORY, "no memory for the report");
  bool drops = rules_of(c)->actions[rule] == FT_ACTION_DROP;
  FT_TRY(ft_tally_count(node, NULL, "found", 1));
  if (drops) FT_TRY(ft_tally_count(node, NULL, "dropped", 1));
  if (drops) c->decisions[document] = (uint8_t)(1 + rule);
  const cJSON *examples = ft_json_get(node, "examples");
  if (examples && cJSON_GetArraySize(examples) >= FT_TALLY_EXAMPLES) goto out;
  FT_TRY(place_of(c, document, &file, &line));
  if (other < 0) snprintf(text, sizeof text, "as a file of --against");
  if (other >= 0) {
    FT_TRY(place_of(c, other, &other_file, &other_line));
    snprintf(text, sizeof text, "as %s:%lld", other_file, (long long)other_line);
  }
  FT_TRY(ft_tally_example(node, NULL, "examples", FT_TALLY_EXAMPLES, file, line, text));
out:
  return err;
}

/* An array of elements of this size, one for every document. */
static ft_err new_scratch(const court *c, const char *name, size_t size, ft_scratch *out) {
  char *path = NULL;
  ft_err err = ft_path_join(c->run->output.work, name, &path);
  if (err == FT_OK) err = ft_scratch_new(path, c->num_documents, size, out);
  ft_free(path);
  return err;
}

static ft_err begin_sort(court *c, const char *name) {
  char *path = NULL;
  ft_err err = ft_path_join(c->run->output.work, name, &path);
  ft_sorter_free(c->sorter);
  c->sorter = NULL;
  if (err == FT_OK) err = ft_sorter_new(path, rules_of(c)->sort_bytes, &c->sorter);
  ft_free(path);
  return err;
}

/* Calls `visit` with every document that is still there. */
static ft_err each_document(court *c,
                            ft_err (*visit)(court *c, ft_store_reader *reader, int64_t document,
                                            const ft_entry *entry, void *arg),
                            void *arg) {
  ft_err err = FT_OK;
  ft_entry entry;
  ft_store_reader reader = {.piece = -1};
  for (int64_t p = 0; p < c->run->inputs.num_pieces; p++) {
    FT_TRY(ft_store_reader_open(&reader, c->run->output.work, p));
    for (int64_t document = c->firsts[p]; document < c->firsts[p + 1]; document++) {
      if (c->decisions[document] != 0) continue;
      FT_TRY(ft_store_read_entry(&reader, document - c->firsts[p], &entry));
      FT_TRY(visit(c, &reader, document, &entry, arg));
    }
  }
out:
  ft_store_reader_close(&reader);
  return err;
}

/* ---------------------------------------------------------------- duplicates */

static ft_err add_content(court *c, ft_store_reader *reader, int64_t document,
                          const ft_entry *entry, void *arg) {
  (void)reader;
  (void)arg;
  return ft_sorter_add(c->sorter, entry->content_hash, (uint64_t)document);
}

static ft_err find_duplicates(court *c) {
  ft_err err = FT_OK;
  ft_pair pair, first = {0};
  bool found, any = false;
  FT_TRY(begin_sort(c, "contents"));
  FT_TRY(each_document(c, add_content, NULL));
  FT_TRY(ft_sorter_sort(c->sorter));
  for (;;) {
    FT_TRY(ft_sorter_next(c->sorter, &pair, &found));
    if (!found) break;
    if (any && pair.key == first.key)
      FT_TRY(judge(c, FT_RULE_DUPLICATES, (int64_t)pair.value, (int64_t)first.value));
    else
      first = pair;
    any = true;
  }
out:
  return err;
}

/* ---------------------------------------------------------------- near duplicates */

static ft_err add_bands(court *c, ft_store_reader *reader, int64_t document, const ft_entry *entry,
                        void *arg) {
  (void)arg;
  ft_signature signature;
  if (entry->signature < 0) return FT_OK;
  ft_err err = ft_store_read_signature(reader, entry->signature, &signature);
  for (int b = 0; b < FT_SIGNATURE_BANDS && err == FT_OK; b++)
    err = ft_sorter_add(c->sorter, ft_signature_band(&signature, b), (uint64_t)document);
  return err;
}

/* Candidates: of documents with an equal band, each with the first and with the one before it. They
 * go to another sorter, since a pair meets in many bands. */
static ft_err find_candidates(court *c, ft_sorter **out) {
  ft_err err = FT_OK;
  ft_sorter *pairs = NULL;
  char *path = NULL;
  ft_pair pair, first = {0}, before = {0};
  bool found, any = false;
  FT_TRY(ft_path_join(c->run->output.work, "pairs", &path));
  FT_TRY(ft_sorter_new(path, rules_of(c)->sort_bytes, &pairs));
  FT_TRY(begin_sort(c, "bands"));
  FT_TRY(each_document(c, add_bands, NULL));
  FT_TRY(ft_sorter_sort(c->sorter));
  for (;;) {
    FT_TRY(ft_sorter_next(c->sorter, &pair, &found));
    if (!found) break;
    if (any && pair.key == first.key && pair.value != before.value) {
      FT_TRY(ft_sorter_add(pairs, first.value, pair.value));
      if (before.value != first.value) FT_TRY(ft_sorter_add(pairs, before.value, pair.value));
    }
    if (!any || pair.key != first.key) first = pair;
    before = pair;
    any = true;
  }
  FT_TRY(ft_sorter_sort(pairs));
  *out = pairs;
  pairs = NULL;
out:
  ft_sorter_free(pairs);
  ft_free(path);
  return err;
}

/* Pieces whose signatures were asked for last stay open. */
enum { SHELVES = 64 };

static ft_err fetch(const court *c, ft_store_reader shelves[SHELVES], int64_t document,
                    ft_signature *signature) {
  ft_err err = FT_OK;
  int64_t piece = piece_of(c, document);
  ft_store_reader *reader = &shelves[piece % SHELVES];
  ft_entry entry;
  FT_TRY(ft_store_reader_open(reader, c->run->output.work, piece));
  FT_TRY(ft_store_read_entry(reader, document - c->firsts[piece], &entry));
  FT_TRY(ft_store_read_signature(reader, entry.signature, signature));
out:
  return err;
}

/* The first document of a group; parents come before their children. */
static int64_t root_of(int64_t *parents, int64_t document) {
  while (parents[document] != document) {
    parents[document] = parents[parents[document]];
    document = parents[document];
  }
  return document;
}

static ft_err join_near(const court *c, ft_sorter *pairs, int64_t *parents) {
  ft_err err = FT_OK;
  ft_store_reader shelves[SHELVES] = {{.piece = 0}};
  ft_signature a, b;
  ft_pair pair, before = {UINT64_MAX, UINT64_MAX};
  bool found;
  for (;;) {
    FT_TRY(ft_sorter_next(pairs, &pair, &found));
    if (!found) break;
    if (pair.key == before.key && pair.value == before.value) continue;
    before = pair;
    int64_t x = root_of(parents, (int64_t)pair.key), y = root_of(parents, (int64_t)pair.value);
    if (x == y) continue;
    FT_TRY(fetch(c, shelves, (int64_t)pair.key, &a));
    FT_TRY(fetch(c, shelves, (int64_t)pair.value, &b));
    if (ft_signature_similarity(&a, &b) >= rules_of(c)->near_threshold)
      parents[FT_MAX(x, y)] = FT_MIN(x, y);
  }
out:
  for (int i = 0; i < SHELVES; i++)
    ft_store_reader_close(&shelves[i]);
  return err;
}

static ft_err find_near_duplicates(court *c) {
  ft_err err = FT_OK;
  ft_sorter *pairs = NULL;
  ft_scratch groups = {0};
  FT_TRY(find_candidates(c, &pairs));
  FT_TRY(new_scratch(c, "groups", sizeof(int64_t), &groups));
  int64_t *parents = groups.data;
  for (int64_t i = 0; i < c->num_documents; i++)
    parents[i] = i;
  FT_TRY(join_near(c, pairs, parents));
  for (int64_t i = 0; i < c->num_documents; i++)
    if (root_of(parents, i) != i) FT_TRY(judge(c, FT_RULE_NEAR_DUPLICATES, i, root_of(parents, i)));
out:
  ft_sorter_free(pairs);
  ft_scratch_free(&groups);
  return err;
}

/* ---------------------------------------------------------------- contamination */

static ft_err add_measured(court *c, ft_store_reader *reader, int64_t document,
                           const ft_entry *entry, void *arg) {
  ft_err err = FT_OK;
  ft_grams *grams = arg;
  if (entry->set == FT_SPLIT_TRAIN) return FT_OK;
  FT_TRY(ft_store_read_grams(reader, entry, grams));
  for (int64_t i = 0; i < grams->count; i++)
    FT_TRY(ft_sorter_add(c->sorter, grams->hashes[i], (uint64_t)document));
out:
  return err;
}

/* Words of a file that nothing of train may share. */
static ft_err add_against(court *c, const char *path, ft_grams *grams) {
  ft_err err = FT_OK;
  ft_words words = {0};
  ft_lines *lines = NULL;
  const char *text;
  size_t bytes;
  bool too_long;
  FT_TRY(ft_kind_check(path, FT_WANT_RECORDS));
  FT_TRY(ft_lines_open(path, &lines));
  for (;;) {
    cJSON *json = NULL;
    ft_record record = {0};
    FT_TRY(ft_lines_next(lines, &text, &bytes, &too_long));
    if (!text) break;
    if (too_long || ft_line_is_blank(text, bytes)) continue;
    err = ft_line_parse(text, bytes, &json);
    if (err == FT_OK) err = ft_record_read(c->run->rules.records, json, &record);
    grams->count = 0;
    if (err == FT_OK) err = ft_grams_of(rules_of(c), &record, &words, grams);
    ft_record_fini(&record);
    cJSON_Delete(json);
    if (err != FT_OK) {
      err = ft_fail_prefix(err, "%s:%lld", path, (long long)ft_lines_number(lines));
      goto out;
    }
    for (int64_t i = 0; i < grams->count; i++)
      FT_TRY(ft_sorter_add(c->sorter, grams->hashes[i], UINT64_MAX));
  }
out:
  ft_words_fini(&words);
  ft_lines_close(lines);
  return err;
}

/* Hashes of what is measured on, as many as memory allows at a time: an open table of a power of
 * two. */
typedef struct table {
  ft_pair *slots; /* value 0: empty; else 1 + the document, or UINT64_MAX for a file */
  uint64_t size, count, mask;
} table;

static void insert(table *t, ft_pair pair) {
  uint64_t i = pair.key & t->mask;
  while (t->slots[i].value && t->slots[i].key != pair.key)
    i = (i + 1) & t->mask;
  if (t->slots[i].value) return; /* the first document that has it */
  uint64_t value = pair.value == UINT64_MAX ? UINT64_MAX : pair.value + 1;
  t->slots[i] = (ft_pair){pair.key, value};
  t->count++;
}

static const ft_pair *look_up(const table *t, uint64_t key) {
  uint64_t i = key & t->mask;
  while (t->slots[i].value && t->slots[i].key != key)
    i = (i + 1) & t->mask;
  return t->slots[i].value ? &t->slots[i] : NULL;
}

typedef struct search {
  table table;
  ft_grams grams;
  ft_scratch shared;
  uint64_t *found; /* [num_documents] in shared; 0: nothing shared; else the least value of a slot
                      it hit */
} search;

static ft_err check_train(court *c, ft_store_reader *reader, int64_t document,
                          const ft_entry *entry, void *arg) {
  (void)c;
  search *s = arg;
  if (entry->set != FT_SPLIT_TRAIN) return FT_OK;
  ft_err err = ft_store_read_grams(reader, entry, &s->grams);
  for (int64_t i = 0; i < s->grams.count && err == FT_OK; i++) {
    const ft_pair *hit = look_up(&s->table, s->grams.hashes[i]);
    uint64_t *found = &s->found[document];
    if (hit && (*found == 0 || hit->value < *found)) *found = hit->value;
  }
  return err;
}

static ft_err make_search(court *c, search *s) {
  ft_err err = FT_OK;
  s->table.size = 1024;
  while (s->table.size * 2 * sizeof(ft_pair) <= rules_of(c)->sort_bytes)
    s->table.size *= 2;
  s->table.mask = s->table.size - 1;
  FT_TRY(ft_alloc_array(FT_MEM_PREP, (int64_t)s->table.size, sizeof(ft_pair),
                        (void **)&s->table.slots));
  FT_TRY(new_scratch(c, "shared", sizeof *s->found, &s->shared));
  s->found = s->shared.data;
out:
  return err;
}

static ft_err find_contamination(court *c) {
  ft_err err = FT_OK;
  search s = {0};
  ft_pair pair;
  bool found = true;
  FT_TRY(make_search(c, &s));
  FT_TRY(begin_sort(c, "measured"));
  FT_TRY(each_document(c, add_measured, &s.grams));
  for (int64_t i = 0; i < rules_of(c)->num_against; i++)
    FT_TRY(add_against(c, rules_of(c)->against[i], &s.grams));
  FT_TRY(ft_sorter_sort(c->sorter));
  while (found) {
    memset(s.table.slots, 0, s.table.size * sizeof(ft_pair));
    s.table.count = 0;
    while (s.table.count < s.table.size / 2) {
      FT_TRY(ft_sorter_next(c->sorter, &pair, &found));
      if (!found) break;
      insert(&s.table, pair);
    }
    if (s.table.count > 0) FT_TRY(each_document(c, check_train, &s));
  }
  for (int64_t i = 0; i < c->num_documents; i++)
    if (s.found[i])
      FT_TRY(judge(c, FT_RULE_CONTAMINATION, i,
                   s.found[i] == UINT64_MAX ? -1 : (int64_t)s.found[i] - 1));
out:
  ft_grams_fini(&s.grams);
  ft_free(s.table.slots);
  ft_scratch_free(&s.shared);
  return err;
}

/* ---------------------------------------------------------------- all of it */

static ft_err count_documents(court *c) {
  ft_err err = FT_OK;
  int64_t pieces = c->run->inputs.num_pieces;
  FT_TRY(ft_alloc_array(FT_MEM_PREP, pieces + 1, sizeof *c->firsts, (void **)&c->firsts));
  for (int64_t p = 0; p < pieces; p++) {
    int64_t count;
    FT_TRY(ft_store_count(c->run->output.work, p, &count));
    c->firsts[p + 1] = c->firsts[p] + count;
  }
  c->num_documents = c->firsts[pieces];
  FT_TRY(new_scratch(c, "verdicts", 1, &c->verdicts));
  c->decisions = c->verdicts.data;
out:
  return err;
}

ft_err ft_prep_decide(ft_prep_run *run) {
  ft_err err = FT_OK;
  court c = {.run = run};
  char *path = NULL;
  FT_TRY(count_documents(&c));
  if (is_on(&c, FT_RULE_DUPLICATES)) FT_TRY(find_duplicates(&c));
  if (is_on(&c, FT_RULE_NEAR_DUPLICATES)) FT_TRY(find_near_duplicates(&c));
  if (is_on(&c, FT_RULE_CONTAMINATION)) FT_TRY(find_contamination(&c));
  FT_TRY(ft_path_join(run->output.work, "decisions", &path));
  FT_TRY(ft_write_file(path, c.decisions, (size_t)c.num_documents));
out:
  ft_sorter_free(c.sorter);
  ft_free(c.firsts);
  ft_scratch_free(&c.verdicts);
  ft_free(path);
  return err;
}
