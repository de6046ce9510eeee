/* Reading members of a JSON object that somebody else wrote: types and ranges are checked, and
 * everything wrong is gathered for one message. */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "hf_internal.h"

ft_err ft_hf_add_remark(ft_hf_config *config, const char *remark) {
  char *longer;
  const char *before = config->remarks ? config->remarks : "";
  ft_err err = ft_format(&longer, "%s%s%s", before, *before ? "; " : "", remark);
  if (err != FT_OK) return err;
  ft_free(config->remarks);
  config->remarks = longer;
  return FT_OK;
}

/* ---------------------------------------------------------------- members */

void ft_hf_show(const cJSON *value, char *out, size_t size) {
  char *text = cJSON_PrintUnformatted(value);
  snprintf(out, size, "%s", text ? text : "something unprintable");
  if (text && strlen(text) >= size) memcpy(out + size - 4, "...", 4);
  cJSON_free(text);
}

static const cJSON *member(const ft_hf_object *object, const char *name) {
  const cJSON *value = ft_json_get(object->json, name);
  return value && !cJSON_IsNull(value) ? value : NULL;
}

bool ft_hf_has(const ft_hf_object *object, const char *name) {
  return member(object, name) != NULL;
}

static void wrong(const ft_hf_object *object, const char *name, const cJSON *value,
                  const char *expected) {
  char found[80];
  ft_hf_show(value, found, sizeof found);
  ft_mistakes_add(object->mistakes, FT_ERR_DATA, "%s%s is %s; expected is %s", object->prefix, name,
                  found, expected);
}

int64_t ft_hf_int(const ft_hf_object *object, const char *name, int64_t missing, int64_t min,
                  int64_t max) {
  const cJSON *value = member(object, name);
  if (!value) return missing;
  double number = value->valuedouble;
  if (cJSON_IsNumber(value) && number >= (double)min && number <= (double)max &&
      number == floor(number))
    return (int64_t)number;
  char expected[80];
  snprintf(expected, sizeof expected, "an integer from %lld to %lld", (long long)min,
           (long long)max);
  wrong(object, name, value, expected);
  return missing;
}

double ft_hf_number(const ft_hf_object *object, const char *name, double missing, double min,
                    double max) {
  const cJSON *value = member(object, name);
  if (!value) return missing;
  if (cJSON_IsNumber(value) && value->valuedouble >= min && value->valuedouble <= max)
    return value->valuedouble;
  char expected[80];
  snprintf(expected, sizeof expected, "a number from %g to %g", min, max);
  wrong(object, name, value, expected);
  return missing;
}

bool ft_hf_bool(const ft_hf_object *object, const char *name, bool missing) {
  const cJSON *value = member(object, name);
  if (!value) return missing;
  if (cJSON_IsBool(value)) return cJSON_IsTrue(value);
  wrong(object, name, value, "true or false");
  return missing;
}

const char *ft_hf_string(const ft_hf_object *object, const char *name, const char *missing) {
  const cJSON *value = member(object, name);
  if (!value) return missing;
  if (cJSON_IsString(value)) return value->valuestring;
  wrong(object, name, value, "a string");
  return missing;
}
