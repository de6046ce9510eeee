/* What the tests of whole preparations share: a model, an input, and runs on any number of ranks.
 */
#ifndef FT_TEST_PREP_BENCH_H
#define FT_TEST_PREP_BENCH_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ft/prep.h"
#include "ft_test.h"
#include "../tokenizer/tiny_tokenizer.h"

enum { MAX_INPUTS = 8, MAX_RANKS = 4 };

typedef struct workbench {
  char *folder, *out;
  const char *inputs[MAX_INPUTS];
  ft_prep_options options;
  ft_prep_report report;
} workbench;

static inline workbench *open_bench(void) {
  static const char *const tokens[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", NULL};
  workbench *b = calloc(1, sizeof *b);
  assert_non_null(b);
  b->folder = tiny_folder();
  ft_tokenizer_close(tiny_tokenizer(b->folder, &(tiny_spec){.specials = tokens}));
  tiny_write(b->folder, "config.json", "{\"eos_token_id\":256}");
  assert_ok(ft_path_join(b->folder, "out", &b->out));
  b->options = (ft_prep_options){.model_dir = b->folder,
                                 .inputs = b->inputs,
                                 .out_dir = b->out,
                                 .seed = 1,
                                 .max_positions = 4096,
                                 .model_vocab = 300,
                                 .bos = -1,
                                 .pad = -1,
                                 .eos = -1,
                                 .num_threads = 1,
                                 .num_ranks = 1,
                                 .overwrite = true};
  ft_clean_defaults(&b->options.clean);
  return b;
}

/* Another input of this content. */
static inline void add_lines(workbench *b, const char *name, const char *lines) {
  char *path;
  tiny_write(b->folder, name, lines);
  assert_ok(ft_path_join(b->folder, name, &path));
  b->inputs[b->options.num_inputs++] = path;
}

static inline void close_bench(workbench *b) {
  for (int64_t i = 0; i < b->options.num_inputs; i++)
    ft_free((void *)(uintptr_t)b->inputs[i]);
  ft_prep_report_fini(&b->report);
  tiny_remove(b->folder);
  ft_free(b->out);
  free(b);
}

static inline ft_err run_alone(workbench *b) {
  ft_prep_report_fini(&b->report);
  return ft_prep(&b->options, &b->report);
}

/* ---------------------------------------------------------------- ranks as threads */

typedef struct meeting {
  pthread_barrier_t barrier;
  ft_err errors[MAX_RANKS];
  char messages[MAX_RANKS][1024];
  int size;
} meeting;

typedef struct member {
  meeting *meeting;
  ft_prep_options options;
  ft_prep_report report;
  ft_err err;
} member;

static inline ft_err meet(void *arg, ft_err mine) {
  member *m = arg;
  int rank = m->options.rank, first = 0;
  m->meeting->errors[rank] = mine;
  snprintf(m->meeting->messages[rank], 1024, "%s", ft_error_message());
  pthread_barrier_wait(&m->meeting->barrier);
  while (first < m->meeting->size && m->meeting->errors[first] == FT_OK)
    first++;
  ft_err err = FT_OK;
  if (first < m->meeting->size)
    err = ft_fail(m->meeting->errors[first], "%s", m->meeting->messages[first]);
  pthread_barrier_wait(&m->meeting->barrier);
  return err;
}

static inline void *be_member(void *arg) {
  member *m = arg;
  m->err = ft_prep(&m->options, &m->report);
  if (m->err != FT_OK && m->options.rank == 0) /* the message is this thread's */
    snprintf(m->meeting->messages[0], 1024, "%s", ft_error_message());
  return NULL;
}

static inline ft_err run_ranks(workbench *b, int ranks) {
  meeting all = {.size = ranks};
  member members[MAX_RANKS];
  pthread_t threads[MAX_RANKS];
  pthread_barrier_init(&all.barrier, NULL, (unsigned)ranks);
  for (int r = 0; r < ranks; r++) {
    members[r] = (member){.meeting = &all, .options = b->options};
    members[r].options.rank = r;
    members[r].options.num_ranks = ranks;
    members[r].options.agree = meet;
    members[r].options.agree_arg = &members[r];
    assert_int_equal(pthread_create(&threads[r], NULL, be_member, &members[r]), 0);
  }
  for (int r = 0; r < ranks; r++)
    pthread_join(threads[r], NULL);
  pthread_barrier_destroy(&all.barrier);
  ft_prep_report_fini(&b->report);
  b->report = members[0].report;
  for (int r = 1; r < ranks; r++) {
    assert_int_equal(members[r].err, members[0].err);
    ft_prep_report_fini(&members[r].report);
  }
  if (members[0].err != FT_OK) return ft_fail(members[0].err, "%s", all.messages[0]);
  return FT_OK;
}

/* ---------------------------------------------------------------- what came out */

/* A hash of every file below OUT, with its name. */
static inline uint64_t hash_tree(const char *path, uint64_t seed) {
  char **names, *data;
  int64_t count;
  size_t bytes;
  if (!ft_path_is_dir(path)) {
    assert_ok(ft_read_file(path, (size_t)1 << 30, &data, &bytes));
    seed = ft_hash64(data, bytes, seed);
    ft_free(data);
    return seed;
  }
  assert_ok(ft_list_dir(path, &names, &count));
  for (int64_t i = 0; i < count; i++) {
    char *child;
    assert_ok(ft_path_join(path, names[i], &child));
    seed = hash_tree(child, ft_hash64(names[i], strlen(names[i]), seed));
    ft_free(child);
  }
  ft_free_names(names, count);
  return seed;
}

static inline uint64_t hash_out(const workbench *b) {
  return hash_tree(b->out, 1);
}

/* rules[rule][what] of the report. */
static inline int64_t rule_count(const workbench *b, ft_rule rule, const char *what) {
  const cJSON *node = ft_json_get(ft_json_get(b->report.tree, "rules"), ft_rule_name(rule));
  const cJSON *item = node ? ft_json_get(node, what) : NULL;
  return cJSON_IsNumber(item) ? (int64_t)item->valuedouble : 0;
}

#endif
