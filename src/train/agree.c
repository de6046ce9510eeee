/* What each rank finds out by itself, and all must share, before anything is begun: one program,
 * one model, the same data, one run directory. The configuration is rank 0's on every rank. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

/* ---------------------------------------------------------------- facts */

/* The executable's own bytes: a version number does not tell two builds apart. */
ft_err ft_train_add_program(ft_facts *facts) {
  ft_err err = FT_OK;
  char *text = NULL;
  size_t bytes;
  FT_TRY(ft_read_file("/proc/self/exe", (size_t)1 << 30, &text, &bytes));
  FT_TRY(ft_facts_add(facts, FT_ERR_USAGE, "the program",
                      "install the same build of ftrun on all hosts", "ftrun %s, build %016llx",
                      ft_version(), (unsigned long long)ft_hash64(text, bytes, 0)));
out:
  ft_free(text);
  return err;
}

/* Variables that change bits. */
static ft_err add_environment(ft_facts *facts) {
  static const char *const names[] = {"FTRUN_CPU", "FTRUN_MATMUL", "FTRUN_LOGITS_BYTES"};
  ft_err err = FT_OK;
  for (size_t i = 0; i < FT_ARRAY_SIZE(names) && err == FT_OK; i++) {
    const char *value = getenv(names[i]);
    err = ft_facts_add(facts, FT_ERR_USAGE, names[i], "set it on all hosts or on none (mpirun -x)",
                       "%s", value ? value : "unset");
  }
  return err;
}

static const char same_revision[] = "copy the same revision of the model to all hosts";

static ft_err add_model(const trainer *t, const char *model_dir, ft_facts *facts) {
  ft_err err = FT_OK;
  char *text = NULL, *name = NULL;
  uint64_t weights;
  FT_TRY(ft_json_print(t->hf.json, false, &text));
  FT_TRY(ft_format(&name, "the model %s", model_dir));
  FT_TRY(ft_hf_weights_digest(model_dir, &weights));
  FT_TRY(ft_facts_add(
      facts, FT_ERR_DATA, name, same_revision, "config.json %016llx, weights %016llx",
      (unsigned long long)ft_hash64(text, strlen(text), 0), (unsigned long long)weights));
out:
  ft_free(text);
  ft_free(name);
  return err;
}

static ft_err add_source(ft_data *data, int64_t source, const char *key, int64_t index,
                         const char *path, ft_facts *facts) {
  ft_err err = FT_OK;
  char *name = NULL;
  uint64_t identity;
  FT_TRY(ft_data_identity(data, source, &identity));
  FT_TRY(ft_format(&name, "%s[%lld] %s", key, (long long)index, path));
  FT_TRY(ft_facts_add(facts, FT_ERR_DATA, name, "copy the same shards to all hosts",
                      "%lld documents, %lld tokens, identity %016llx",
                      (long long)ft_data_source_documents(data, source),
                      (long long)ft_data_source_tokens(data, source),
                      (unsigned long long)identity));
out:
  ft_free(name);
  return err;
}

static ft_err collect(const trainer *t, const char *model_dir, ft_facts *facts) {
  ft_err err = FT_OK;
  const ft_config *c = t->config;
  FT_TRY(ft_train_add_program(facts));
  FT_TRY(add_environment(facts));
  FT_TRY(add_model(t, model_dir, facts));
  for (int64_t i = 0; t->train && i < c->num_train; i++)
    FT_TRY(add_source(t->train, i, "data.train", i, c->train[i].path, facts));
  for (int64_t i = 0; i < c->num_validation; i++)
    FT_TRY(add_source(t->validation[i], 0, "data.validation", i, c->validation[i].path, facts));
out:
  return err;
}

/* Ranks whose files have the same names, sizes and times have the same model. */
typedef struct alike {
  int first, mine, count; /* the lowest of them, this one's place among them, how many they are */
} alike;

static ft_err find_alike(const trainer *t, const char *model_dir, uint64_t *stamps, alike *out) {
  ft_err err = FT_OK;
  *out = (alike){.first = t->rank};
  err = ft_hf_weights_stamp(model_dir, &stamps[t->rank]);
  FT_TRY(ft_comm_agree(t->comm, err));
  FT_TRY(ft_comm_sum_u64(t->comm, stamps, t->size));
  for (int r = t->size - 1; r >= 0; r--) {
    if (stamps[r] != stamps[t->rank]) continue;
    out->first = r;
    out->mine += r < t->rank;
    out->count++;
  }
out:
  return err;
}

/* *digest: of all bytes of this rank's model. Ranks that are alike read a part each; *whole: all
 * are alike, and nothing was read. */
static ft_err read_content(const trainer *t, const char *model_dir, bool *whole, uint64_t *digest) {
  ft_err err = FT_OK;
  void *memory = NULL;
  alike a;
  FT_TRY(ft_alloc_array(FT_MEM_OTHER, t->size, sizeof(uint64_t), &memory));
  uint64_t *sums = memory;
  FT_TRY(find_alike(t, model_dir, sums, &a));
  *whole = a.count == t->size;
  if (*whole) goto out;
  if (t->rank == 0)
    ft_log(FT_LOG_INFO, "hosts have copies of %s with other times: all bytes are compared",
           model_dir);
  memset(sums, 0, (size_t)t->size * sizeof *sums);
  err = ft_hf_weights_content(model_dir, a.mine, a.count, &sums[a.first]);
  FT_TRY(ft_comm_agree(t->comm, err));
  FT_TRY(ft_comm_sum_u64(t->comm, sums, t->size));
  *digest = sums[a.first];
out:
  ft_free(memory);
  return err;
}

/* Copies of the model of which some pages are equal: revisions may differ in one tensor only. */
static ft_err compare_copies(trainer *t, const char *model_dir) {
  ft_err err = FT_OK;
  ft_facts *facts = NULL;
  char *name = NULL;
  uint64_t digest = 0;
  bool whole;
  FT_TRY(read_content(t, model_dir, &whole, &digest));
  if (whole) goto out;
  FT_TRY(ft_facts_new(&facts));
  FT_TRY(ft_format(&name, "the model %s", model_dir));
  FT_TRY(ft_facts_add(facts, FT_ERR_DATA, name, same_revision, "weights %016llx",
                      (unsigned long long)digest));
  FT_TRY(ft_comm_compare(t->comm, facts));
out:
  ft_facts_free(facts);
  ft_free(name);
  return err;
}

ft_err ft_trainer_agree(trainer *t, const char *model_dir) {
  ft_err err = FT_OK;
  ft_facts *facts = NULL;
  if (t->size == 1) return FT_OK;
  err = ft_facts_new(&facts);
  if (err == FT_OK) err = collect(t, model_dir, facts);
  FT_TRY(ft_comm_agree(t->comm, err));
  FT_TRY(ft_comm_compare(t->comm, facts));
  FT_TRY(compare_copies(t, model_dir));
out:
  ft_facts_free(facts);
  return err;
}

/* ---------------------------------------------------------------- the run directory */

/* Seconds for which what rank 0 has just made may not be seen elsewhere. FT_PATIENCE: a test aid.
 */
double ft_trainer_patience_s(void) {
  const char *text = getenv("FT_PATIENCE");
  return text && *text ? strtod(text, NULL) : FT_PATH_PATIENCE_S;
}

static ft_err look_for(const trainer *t, const char *path, const char *first_host) {
  double patience_s = ft_trainer_patience_s();
  if (ft_path_await(path, patience_s) == FT_OK) return FT_OK;
  return ft_fail(
      FT_ERR_CONFIG,
      "run.dir %s: this host does not see what rank 0 (host %s) wrote there %.0f s ago: it "
      "must be on a file system that all hosts share",
      t->config->run_dir, first_host, patience_s);
}

/* A file whose name nobody else uses. */
static ft_err name_probe(const trainer *t, char **path) {
  uint64_t number = ft_hash64(&(double){ft_now_s()}, sizeof(double), (uint64_t)getpid());
  return ft_format(path, "%s/seen-by-all-%016llx", t->config->run_dir, (unsigned long long)number);
}

ft_err ft_trainer_share_run_dir(trainer *t) {
  ft_err err = FT_OK;
  char path[4096] = "", host[64] = "", *mine = NULL;
  if (t->size == 1) return FT_OK;
  if (t->rank == 0) {
    snprintf(host, sizeof host, "%.63s", ft_comm_host(t->comm));
    err = name_probe(t, &mine);
    if (err == FT_OK) snprintf(path, sizeof path, "%s", mine);
    if (err == FT_OK) err = ft_write_file(path, "", 0);
  }
  FT_TRY(ft_comm_agree(t->comm, err));
  FT_TRY(ft_comm_broadcast(t->comm, 0, path, sizeof path));
  FT_TRY(ft_comm_broadcast(t->comm, 0, host, sizeof host));
  err = ft_comm_agree(t->comm, look_for(t, path, host));
  if (t->rank == 0 && err != FT_ERR_STOPPED) {
    char *message = NULL;
    (void)ft_strdup(ft_error_message(), &message);
    (void)ft_remove_tree(path);
    if (err != FT_OK) (void)ft_fail(err, "%s", message ? message : "out of memory");
    ft_free(message);
  }
out:
  ft_free(mine);
  return err;
}
