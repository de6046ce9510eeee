/* What a checkpoint carries of a run, as members of JSON. */
#include "internal.h"

void ft_print_checksum(uint64_t checksum, char out[FT_CHECKSUM_BYTES]) {
  snprintf(out, FT_CHECKSUM_BYTES, "%016llx", (unsigned long long)checksum);
}

double ft_extra_number(const cJSON *extra, const char *name, double otherwise) {
  const cJSON *value = ft_json_get(extra, name);
  return cJSON_IsNumber(value) ? value->valuedouble : otherwise;
}
