/* What rank 0 takes, for those who look at the run later: RUN/usage.json. */
#include "internal.h"

static cJSON *memory_by_owner(void) {
  cJSON *memory = cJSON_CreateObject();
  for (int owner = 0; owner < FT_MEM_NUM_OWNERS; owner++)
    cJSON_AddNumberToObject(memory, ft_owner_name((ft_owner)owner),
                            (double)ft_mem_of((ft_owner)owner).peak_bytes);
  return memory;
}

static cJSON *seconds_by_part(void) {
  double seconds[FT_TIME_NUM_PARTS];
  cJSON *parts = cJSON_CreateObject();
  ft_time_spent(seconds);
  for (int part = 0; part < FT_TIME_NUM_PARTS; part++)
    cJSON_AddNumberToObject(parts, ft_part_name((ft_part)part), seconds[part]);
  return parts;
}

void ft_trainer_note_usage(const trainer *t) {
  char *path = NULL;
  if (t->rank != 0) return;
  cJSON *usage = cJSON_CreateObject();
  cJSON_AddNumberToObject(usage, "step", (double)t->step);
  cJSON_AddItemToObject(usage, "memory", memory_by_owner());
  cJSON_AddItemToObject(usage, "seconds", seconds_by_part());
  ft_err err = ft_path_join(t->config->run_dir, "usage.json", &path);
  if (err == FT_OK) err = ft_json_write(path, usage);
  if (err != FT_OK)
    ft_log(FT_LOG_WARNING, "what rank 0 takes is not noted: %s", ft_error_message());
  cJSON_Delete(usage);
  ft_free(path);
}
