/* What was measured of a node, in a file. */
#include "ft/plan.h"

#include <string.h>

#define FORMAT "ftrun-calibration"

typedef struct member {
  const char *name;
  double *value;
} member;

enum { NUM_NUMBERS = 4 };

static void list_numbers(ft_calibration *c, member out[NUM_NUMBERS]) {
  out[0] = (member){"rank_flops", &c->rank_flops};
  out[1] = (member){"optimizer_element_seconds", &c->optimizer_element_s};
  out[2] = (member){"disk_bytes_per_second", &c->disk_bytes_per_s};
  out[3] = (member){"network_bytes_per_second", &c->network_bytes_per_s};
}

static double number_of(const cJSON *json, const char *name) {
  const cJSON *value = ft_json_get(json, name);
  return cJSON_IsNumber(value) && value->valuedouble > 0 ? value->valuedouble : 0;
}

ft_err ft_calibration_read(const char *path, ft_calibration *out) {
  ft_err err = FT_OK;
  cJSON *json = NULL;
  member numbers[NUM_NUMBERS];
  *out = (ft_calibration){0};
  FT_TRY(ft_json_read(path, &json));
  const cJSON *format = ft_json_get(json, "format");
  FT_CHECK(cJSON_IsString(format) && strcmp(format->valuestring, FORMAT) == 0, FT_ERR_DATA,
           "%s: \"format\" is not \"" FORMAT "\": make it by ftrun bench CONFIG --calibrate %s",
           path, path);
  list_numbers(out, numbers);
  for (int i = 0; i < NUM_NUMBERS; i++)
    *numbers[i].value = number_of(json, numbers[i].name);
  out->process_bytes = (int64_t)number_of(json, "process_bytes");
  FT_CHECK(out->rank_flops > 0, FT_ERR_DATA, "%s: \"rank_flops\" is not a positive number", path);
out:
  cJSON_Delete(json);
  return err;
}

ft_err ft_calibration_write(const char *path, const ft_calibration *calibration) {
  ft_err err;
  ft_calibration copy = *calibration;
  member numbers[NUM_NUMBERS];
  cJSON *json = cJSON_CreateObject();
  cJSON_AddStringToObject(json, "format", FORMAT);
  list_numbers(&copy, numbers);
  for (int i = 0; i < NUM_NUMBERS; i++)
    if (*numbers[i].value > 0)
      cJSON_AddNumberToObject(json, numbers[i].name, *numbers[i].value);
    else
      cJSON_AddNullToObject(json, numbers[i].name);
  cJSON_AddNumberToObject(json, "process_bytes", (double)copy.process_bytes);
  err = ft_json_write(path, json);
  cJSON_Delete(json);
  return err;
}
