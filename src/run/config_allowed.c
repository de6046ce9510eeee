/* What a key allows, in words: for mistakes and for help texts. */
#include "config_table.h"

static void choices(const ft_key *key, char *out, size_t size) {
  size_t used = 0;
  for (size_t i = 0; i < FT_ARRAY_SIZE(key->choices) && key->choices[i] && used < size; i++)
    used += (size_t)snprintf(out + used, size - used, "%s\"%s\"", i ? " or " : "", key->choices[i]);
  if (key->nullable && used < size) snprintf(out + used, size - used, ", or null");
}

void ft_config_allowed(const ft_key *key, char *out, size_t size) {
  const char *or_null = key->nullable ? ", or null" : "";
  switch (key->type) {
  case KEY_STRING:
    snprintf(out, size, "a string that is not empty");
    break;
  case KEY_INT:
  case KEY_NUMBER:
    snprintf(out, size, "%s between %.16g and %.16g%s",
             key->type == KEY_INT ? "a whole number" : "a number", key->min, key->max, or_null);
    break;
  case KEY_BOOL:
    snprintf(out, size, "true or false%s", or_null);
    break;
  case KEY_EVERY:
    snprintf(out, size, "true, false or a whole number between %.16g and %.16g", key->min,
             key->max);
    break;
  case KEY_CHOICE:
    choices(key, out, size);
    break;
  case KEY_PAIR:
    snprintf(out, size, "two numbers in [%g, 1)", key->min);
    break;
  case KEY_TIME:
    snprintf(out, size,
             "seconds as a number between %.16g and %.16g, or a text such as \"24h\", \"1h30m\", "
             "\"12:30:00\" or \"1-12:00:00\"%s",
             key->min, key->max, or_null);
    break;
  case KEY_MONITOR:
    snprintf(out, size, "the name of a validation set, {name: weight}, or null");
    break;
  case KEY_REPLAY:
    snprintf(out, size,
             "{path: shard or folder, share: a number between 0.01 and 0.99, validation: shard, "
             "folder or null}, or null");
    break;
  case KEY_STRINGS:
    snprintf(out, size, "a list of texts that are not empty");
    break;
  case KEY_NAMES:
    snprintf(out, size, "a list of texts that are not empty, or one of them");
    break;
  case KEY_NUMBERS:
    snprintf(out, size, "{name: number between %.16g and %.16g}", key->min, key->max);
    break;
  case KEY_GROUPS:
    snprintf(out, size,
             "a list of {pattern: text, lr: number, weight_decay: number}, one of the two numbers "
             "or both");
    break;
  case KEY_SOURCES:
  case KEY_SETS:
    snprintf(out, size, "a list of objects");
    break;
  }
}
