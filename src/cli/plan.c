/* ftrun plan CONFIG.json [KEY=VALUE …] --ranks N --ranks-per-node M --node-memory GIB */
#include "ft/train.h"

#include <string.h>

#include "commands.h"
#include "run_arguments.h"

#define GIB 1073741824.0

/* What scripts look for. */
enum { PLAN_FITS = 0, PLAN_DOES_NOT_FIT = 1 };

typedef struct arguments {
  run_arguments run;
  ft_plan_cluster cluster;
  const char *calibration;
  bool json;
} arguments;

typedef struct planned {
  ft_plan plan;
  ft_plan_proposal proposals[FT_PLAN_PROPOSALS];
  int num_proposals;
} planned;

static const struct argp_option options[] = {
    {"ranks", 'n', "N", 0, "Ranks of the job, as of mpirun -np", 0},
    {"ranks-per-node", 'm', "M", 0, "Ranks of a node", 0},
    {"node-memory", 'g', "GIB", 0, "Memory of a node that the job may take, in GiB", 0},
    {"calibration", 'c', "FILE", 0,
     "What ftrun bench CONFIG --calibrate FILE has measured on such a node: time, too", 0},
    {"json", 'j', NULL, 0, "Print one JSON object", 0},
    {0}};

static error_t take(int key, char *argument, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
  case 'n':
    a->cluster.ranks = (int)ft_cli_int(state, "--ranks", argument, 1, 1 << 20);
    return 0;
  case 'm':
    a->cluster.ranks_per_node = (int)ft_cli_int(state, "--ranks-per-node", argument, 1, 1024);
    return 0;
  case 'g':
    a->cluster.node_memory =
        (int64_t)(ft_cli_number(state, "--node-memory", argument, 1e-3, 1e6) * GIB);
    return 0;
  case 'c':
    a->calibration = argument;
    return 0;
  case 'j':
    a->json = true;
    return 0;
  case ARGP_KEY_ARG:
    ft_cli_take_run_argument(&a->run, state, argument);
    return 0;
  case ARGP_KEY_END:
    if (!a->run.config) argp_error(state, "the configuration is missing");
    if (a->cluster.ranks == 0 || a->cluster.ranks_per_node == 0 || a->cluster.node_memory == 0)
      argp_error(state, "--ranks, --ranks-per-node and --node-memory are all needed");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

const struct argp ft_cli_plan_argp = {
    .options = options,
    .parser = take,
    .args_doc = "CONFIG.json [KEY=VALUE …] --ranks N --ranks-per-node M --node-memory GIB",
    .doc =
        "Says what a run will take: memory of the fullest node by owner, shared memory, disk, "
        "bytes between nodes, work, and with a calibration time; and with which settings and on "
        "how many nodes it fits. Needs no MPI and no weights: of the model config.json is read, "
        "of the data what is there.\v"
        "Exit status: 0 it fits as configured, 1 it does not. docs/plan.md explains each number.",
    .help_filter = ft_cli_config_help};

/* ---------------------------------------------------------------- as JSON */

static void add_time(cJSON *json, const char *name, double seconds) {
  if (seconds > 0)
    cJSON_AddNumberToObject(json, name, seconds);
  else
    cJSON_AddNullToObject(json, name);
}

static void add_memory(cJSON *json, const ft_plan *p) {
  cJSON_AddNumberToObject(json, "node_bytes", (double)p->node_bytes);
  cJSON_AddStringToObject(json, "peak_moment", ft_plan_moment_name(p->peak));
  cJSON_AddNumberToObject(json, "rank_bytes", (double)p->rank_bytes);
  cJSON *bytes = cJSON_AddObjectToObject(json, "bytes");
  for (int owner = 0; owner < FT_MEM_NUM_OWNERS; owner++)
    if (p->bytes[owner] > 0)
      cJSON_AddNumberToObject(bytes, ft_owner_name((ft_owner)owner), (double)p->bytes[owner]);
  cJSON_AddNumberToObject(bytes, "program and MPI", (double)p->process_bytes);
  cJSON_AddNumberToObject(json, "shared_bytes", (double)p->shared_bytes);
}

static void add_proposals(cJSON *json, const planned *all) {
  cJSON *list = cJSON_AddArrayToObject(json, "proposals");
  for (int i = 0; i < all->num_proposals; i++) {
    const ft_plan_proposal *p = &all->proposals[i];
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "settings", p->settings);
    cJSON_AddBoolToObject(item, "fits", p->fits);
    if (p->nodes > 0)
      cJSON_AddNumberToObject(item, "fewest_nodes", p->nodes);
    else
      cJSON_AddNullToObject(item, "fewest_nodes");
    cJSON_AddItemToArray(list, item);
  }
}

static ft_err print_json(const planned *all) {
  const ft_plan *p = &all->plan;
  char *text = NULL;
  cJSON *json = cJSON_CreateObject();
  add_memory(json, p);
  cJSON_AddNumberToObject(json, "nodes", p->nodes);
  cJSON_AddNumberToObject(json, "checkpoint_bytes", (double)p->checkpoint_bytes);
  cJSON_AddNumberToObject(json, "disk_bytes", (double)p->disk_bytes);
  cJSON_AddNumberToObject(json, "reference_documents", (double)p->reference_documents);
  cJSON_AddNumberToObject(json, "network_bytes_per_step", p->network_bytes);
  cJSON_AddNumberToObject(json, "step_flops", p->step_flops);
  cJSON_AddNumberToObject(json, "steps", (double)p->steps);
  add_time(json, "step_seconds", p->step_s);
  add_time(json, "checkpoint_seconds", p->save_s);
  cJSON_AddBoolToObject(json, "fits", p->fits);
  add_proposals(json, all);
  ft_err err = ft_json_print(json, true, &text);
  if (err == FT_OK) printf("%s\n", text);
  ft_free(text);
  cJSON_Delete(json);
  return err;
}

/* ---------------------------------------------------------------- for people */

static void print_memory(const arguments *a, const ft_plan *p) {
  printf("memory of the fullest of %d nodes (%d ranks each), GiB\n", p->nodes,
         FT_MIN(a->cluster.ranks, a->cluster.ranks_per_node));
  for (int owner = 0; owner < FT_MEM_NUM_OWNERS; owner++)
    if (p->bytes[owner] > 0)
      printf("  %-22s %10.3f\n", ft_owner_name((ft_owner)owner), (double)p->bytes[owner] / GIB);
  printf("  %-22s %10.3f\n", "program and MPI", (double)p->process_bytes / GIB);
  printf("  %-22s %10.3f  in %s; there are %.3f\n", "peak", (double)p->node_bytes / GIB,
         ft_plan_moment_name(p->peak), (double)a->cluster.node_memory / GIB);
  printf("  %-22s %10.3f\n", "peak of a rank", (double)p->rank_bytes / GIB);
  printf("  %-22s %10.3f\n\n", "of it in /dev/shm", (double)p->shared_bytes / GIB);
}

static void print_run(const arguments *a, const ft_plan *p) {
  const double tokens = (double)p->max_tokens;
  printf("%.3f billion parameters, %.3f trained; micro-batches of at most %.0f tokens%s\n",
         (double)p->parameters / 1e9, (double)p->trained / 1e9, tokens,
         p->data_is_there ? "" : " (there is no data yet: rows count as full)");
  printf("%lld rounds of micro-batches a step, %.4g FLOPs, %.3f GiB between nodes\n",
         (long long)p->rounds, p->step_flops, p->network_bytes / GIB);
  printf("disk: a checkpoint is %.3f GiB, all that lie there at once %.3f GiB\n",
         (double)p->checkpoint_bytes / GIB, (double)p->disk_bytes / GIB);
  if (p->reference_documents > 0)
    printf("the reference model is asked about %lld documents, kept in reference.h5\n",
           (long long)p->reference_documents);
  if (p->save_s > 0) printf("a checkpoint is written in %.1f s\n", p->save_s);
  if (p->step_s > 0) printf("a step takes %.4g s", p->step_s);
  if (p->step_s > 0 && p->steps > 0) {
    double hours = p->step_s * (double)p->steps / 3600;
    printf(", all %lld steps %.2f hours, %.1f node-hours", (long long)p->steps, hours,
           hours * p->nodes);
  }
  if (p->step_s > 0) printf("\n");
  if (!a->calibration) printf("time: not known without --calibration\n");
}

static void print_proposals(const planned *all) {
  printf("\n%-10s %-14s settings\n", "fits here", "fewest nodes");
  for (int i = 0; i < all->num_proposals; i++) {
    const ft_plan_proposal *p = &all->proposals[i];
    char nodes[16] = "none";
    if (p->nodes > 0) snprintf(nodes, sizeof nodes, "%d", p->nodes);
    printf("%-10s %-14s %s\n", p->fits ? "yes" : "no", nodes,
           *p->settings ? p->settings : "as configured");
  }
}

/* ---------------------------------------------------------------- the command */

static ft_err work_out(arguments *a, ft_config *config, planned *all) {
  ft_err err = FT_OK;
  ft_plan_input input = {0};
  FT_TRY(ft_cli_alone("plan"));
  FT_TRY(ft_kernels_init());
  FT_TRY(ft_config_load(a->run.config, a->run.overrides, a->run.num_overrides, config));
  if (a->calibration) FT_TRY(ft_calibration_read(a->calibration, &a->cluster.calibration));
  FT_TRY(ft_plan_open(config, ft_train_lay_out, &input));
  err = ft_plan_make(&input, &a->cluster, &all->plan);
  if (err == FT_OK) err = ft_plan_propose(&input, &a->cluster, all->proposals, &all->num_proposals);
  ft_plan_close(&input);
out:
  return err;
}

static void say_missing(const arguments *a, const ft_plan *p) {
  double missing = (double)(p->node_bytes - a->cluster.node_memory) / GIB;
  ft_log(
      FT_LOG_ERROR,
      "it does not fit: a node needs %.3f GiB and has %.3f, %.3f are missing; the settings above "
      "need less, more nodes have more",
      (double)p->node_bytes / GIB, (double)a->cluster.node_memory / GIB, missing);
}

int ft_cli_plan(int argc, char **argv) {
  arguments a = {0};
  ft_config config = {0};
  planned all = {0};
  ft_cli_parse(&ft_cli_plan_argp, argc, argv, &a);
  ft_err err = work_out(&a, &config, &all);
  if (err == FT_OK && a.json) err = print_json(&all);
  if (err == FT_OK && !a.json) {
    print_memory(&a, &all.plan);
    print_run(&a, &all.plan);
    print_proposals(&all);
  }
  if (err == FT_OK && !all.plan.fits) say_missing(&a, &all.plan);
  ft_config_fini(&config);
  ft_free(a.run.overrides);
  ft_kernels_fini();
  int status = ft_cli_end(err);
  return err != FT_OK ? status : all.plan.fits ? PLAN_FITS : PLAN_DOES_NOT_FIT;
}
