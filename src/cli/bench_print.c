/* What ftrun bench has measured, as text and as JSON. docs/bench.md says what each number means. */
#include "bench_print.h"

#include <math.h>
#include <string.h>

/* Order of the table. */
static const ft_part parts[] = {FT_TIME_FORWARD, FT_TIME_BACKWARD_INPUT, FT_TIME_BACKWARD_WEIGHT,
                                FT_TIME_HEAD,    FT_TIME_ATTENTION,      FT_TIME_ELEMENTWISE,
                                FT_TIME_LOSS,    FT_TIME_OPTIMIZER,      FT_TIME_COMMUNICATION,
                                FT_TIME_DATA,    FT_TIME_OTHER};

static const char *words_for(ft_part part) {
  static const char *const words[FT_TIME_NUM_PARTS] = {
      [FT_TIME_OTHER] = "other",
      [FT_TIME_FORWARD] = "matmul, forward",
      [FT_TIME_BACKWARD_INPUT] = "matmul, backward, inputs",
      [FT_TIME_BACKWARD_WEIGHT] = "matmul, backward, weights",
      [FT_TIME_HEAD] = "matmul, head",
      [FT_TIME_ATTENTION] = "attention",
      [FT_TIME_ELEMENTWISE] = "elementwise",
      [FT_TIME_LOSS] = "loss",
      [FT_TIME_OPTIMIZER] = "optimizer",
      [FT_TIME_COMMUNICATION] = "waiting for communication",
      [FT_TIME_DATA] = "waiting for data"};
  return words[part];
}

void ft_cli_bench_text(const ft_comm *comm, const ft_bench_options *o, const ft_bench_result *r) {
  const ft_arch *s = &o->layout->arch;
  char every[32] = "no layer";
  if (o->activation_checkpointing == 1) snprintf(every, sizeof every, "every layer");
  if (o->activation_checkpointing > 1)
    snprintf(every, sizeof every, "1 layer in %lld", (long long)o->activation_checkpointing);
  printf("machine   bf16 peak %.1f GFLOP/s, fp32 peak %.1f GFLOP/s, memory %.1f GB/s",
         r->peak_bf16_flops * 1e-9, r->peak_fp32_flops * 1e-9, r->memory_bandwidth * 1e-9);
  if (isnan(r->disk_write_rate))
    printf(", disk not measured\n");
  else
    printf(", disk writes %.0f MB/s (%s)\n", r->disk_write_rate * 1e-6, o->disk);
  printf("shape     d %lld, ffn %lld, %lld layers, %lld/%lld heads of %lld, vocabulary %lld: "
         "%.2f M parameters\n",
         (long long)s->hidden, (long long)s->ffn, (long long)s->layers, (long long)s->heads,
         (long long)s->kv_heads, (long long)s->head_dim, (long long)s->vocab,
         (double)ft_arch_num_parameters(s) * 1e-6);
  if (ft_layout_has_frozen(o->layout))
    printf("          %.2f M of them or beside them are trained, the others frozen\n",
           (double)ft_layout_num_trained(o->layout) * 1e-6);
  printf("step      %lld x %lld tokens, micro-batch %lld, %s, stage %d, activation checkpointing "
         "of %s, ranks %d\n",
         (long long)o->rows, (long long)o->seq_len, (long long)o->micro_batch,
         o->precision == FT_BF16 ? "bf16" : "fp32", o->stage, every, ft_comm_size(comm));
  printf("          master weights %s, moments %s, gradient sums %s\n", ft_master_name(o->master),
         ft_moments_name(o->state), o->gradient == FT_BF16 ? "bf16" : "fp32");
  printf("speed     %.4g s a step, %.0f tokens/s, %.1f GFLOP/s of model: %.3f of the %s peak\n",
         r->step_seconds, r->tokens_per_second, r->model_flops * 1e-9, r->share_of_peak,
         o->precision == FT_BF16 ? "bf16" : "fp32");
  printf("          %.3f of its matmuls alone, which run at %.1f GFLOP/s\n", r->matmuls_alone_share,
         r->matmuls_alone_flops * 1e-9);
  printf("memory    %.1f MiB on the rank that has most; all ranks: %.1f MiB accounted, %.1f MiB "
         "resident\n",
         (double)r->memory_bytes / 1048576.0, (double)r->memory_total / 1048576.0,
         (double)r->resident_bytes / 1048576.0);
  for (int owner = 0, n = 0; owner < FT_MEM_NUM_OWNERS; owner++)
    if (r->memory[owner] >= 1 << 16)
      printf("%s%s %.1f", n++ ? ", " : "          ", ft_owner_name((ft_owner)owner),
             (double)r->memory[owner] / 1048576.0);
  printf("\n\n");
  printf("%-28s %10s %7s\n", "where the time goes", "seconds", "share");
  for (size_t i = 0; i < FT_ARRAY_SIZE(parts); i++)
    printf("%-28s %10.5f %6.1f%%\n", words_for(parts[i]), r->time[parts[i]],
           100 * r->time[parts[i]] / r->step_seconds);
}

ft_err ft_cli_bench_json(const ft_comm *comm, const ft_bench_options *o, const ft_bench_result *r) {
  const struct {
    const char *key;
    double value;
  } numbers[] = {{"ranks", ft_comm_size(comm)},
                 {"peak_bf16_flops", r->peak_bf16_flops},
                 {"peak_fp32_flops", r->peak_fp32_flops},
                 {"memory_bandwidth", r->memory_bandwidth},
                 {"disk_write_rate", r->disk_write_rate},
                 {"parameters", (double)ft_arch_num_parameters(&o->layout->arch)},
                 {"trained", (double)ft_layout_num_trained(o->layout)},
                 {"tokens", (double)(o->rows * o->seq_len)},
                 {"step_flops", r->step_flops},
                 {"step_seconds", r->step_seconds},
                 {"tokens_per_second", r->tokens_per_second},
                 {"model_flops", r->model_flops},
                 {"share_of_peak", r->share_of_peak},
                 {"matmuls_alone_flops", r->matmuls_alone_flops},
                 {"matmuls_alone_share", r->matmuls_alone_share},
                 {"exposed_communication", r->exposed_communication},
                 {"memory_bytes", (double)r->memory_bytes},
                 {"memory_total", (double)r->memory_total},
                 {"resident_bytes", (double)r->resident_bytes}};
  char *text = NULL;
  cJSON *json = cJSON_CreateObject();
  for (size_t i = 0; i < FT_ARRAY_SIZE(numbers); i++)
    cJSON_AddNumberToObject(json, numbers[i].key, numbers[i].value);
  cJSON *time = cJSON_AddObjectToObject(json, "time");
  for (size_t i = 0; i < FT_ARRAY_SIZE(parts); i++)
    cJSON_AddNumberToObject(time, ft_part_name(parts[i]), r->time[parts[i]]);
  cJSON *memory = cJSON_AddObjectToObject(json, "memory");
  for (int owner = 0; owner < FT_MEM_NUM_OWNERS; owner++) {
    char key[64];
    snprintf(key, sizeof key, "%s_bytes", ft_owner_name((ft_owner)owner));
    for (char *at = key; (at = strchr(at, ' ')) != NULL;)
      *at = '_';
    cJSON_AddNumberToObject(memory, key, (double)r->memory[owner]);
  }
  ft_err err = ft_json_print(json, true, &text);
  if (err == FT_OK) printf("%s\n", text);
  ft_free(text);
  cJSON_Delete(json);
  return err;
}
