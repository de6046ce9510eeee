/* report.json: the tallies, and what they were made with. */
#include <string.h>

#include "run.h"

static bool add_rules(cJSON *to, const ft_clean_options *clean) {
  cJSON *rules = cJSON_AddObjectToObject(to, "actions");
  for (int r = 0; rules && r < FT_NUM_RULES; r++)
    cJSON_AddStringToObject(rules, ft_rule_name((ft_rule)r), ft_action_name(clean->actions[r]));
  return rules && cJSON_AddNumberToObject(to, "min_tokens", (double)clean->min_tokens) &&
         cJSON_AddNumberToObject(to, "max_tokens", (double)clean->max_tokens) &&
         cJSON_AddNumberToObject(to, "near_threshold", clean->near_threshold) &&
         cJSON_AddNumberToObject(to, "near_shingle", (double)clean->near_shingle) &&
         cJSON_AddStringToObject(to, "near_unit",
                                 clean->near_characters ? "characters" : "words") &&
         cJSON_AddNumberToObject(to, "ngram", (double)clean->ngram);
}

static bool add_settings(const ft_prep_run *run, cJSON *tree) {
  const ft_prep_options *o = run->options;
  cJSON *s = cJSON_AddObjectToObject(tree, "settings");
  cJSON *clean = s ? cJSON_AddObjectToObject(s, "clean") : NULL;
  char date[48];
  const struct tm *day = &run->render.date;
  snprintf(date, sizeof date, "%04d-%02d-%02d", day->tm_year + 1900, day->tm_mon + 1, day->tm_mday);
  cJSON *ends = s ? cJSON_AddArrayToObject(s, "end_of_turn") : NULL;
  const ft_tokens_preparation *made = &run->output.preparation;
  for (int64_t i = 0; ends && i < made->num_end_of_turn; i++)
    cJSON_AddItemToArray(ends, cJSON_CreateNumber(made->end_of_turn[i]));
  return clean && ends && add_rules(clean, &o->clean) &&
         cJSON_AddStringToObject(s, "tokenizer_sha256", run->output.tokenizer) &&
         cJSON_AddStringToObject(s, "template", made->template_name) &&
         cJSON_AddStringToObject(s, "template_sha256", made->template_sha256) &&
         cJSON_AddStringToObject(s, "system", made->system ? made->system : "") &&
         cJSON_AddStringToObject(s, "date", date) &&
         cJSON_AddNumberToObject(s, "seq_len", (double)run->rules.seq_len) &&
         cJSON_AddNumberToObject(s, "validation", o->validation) &&
         cJSON_AddNumberToObject(s, "test", o->test) &&
         cJSON_AddNumberToObject(s, "seed", (double)o->seed) &&
         cJSON_AddBoolToObject(s, "control_tokens", o->control_tokens);
}

/* Members stood in the order in which pieces met them, which is not that of the whole; files, which
 * may be many, already stand in order. */
static void sort_names(cJSON *tree) {
  cJSON *item, *sorted = NULL;
  cJSON_ArrayForEach(item, tree) sort_names(item);
  if (!cJSON_IsObject(tree) || (tree->string && strcmp(tree->string, "files") == 0)) return;
  while (tree->child) {
    cJSON *last = tree->child;
    for (item = last->next; item; item = item->next)
      if (strcmp(item->string, last->string) > 0) last = item;
    cJSON_DetachItemViaPointer(tree, last);
    last->next = sorted;
    if (sorted) sorted->prev = last;
    sorted = last;
  }
  tree->child = sorted;
  for (item = sorted; item && item->next; item = item->next)
    ;
  if (sorted) sorted->prev = item;
}

/* Members that every report has, whatever was found. */
static ft_err complete(ft_prep_run *run) {
  ft_err err = FT_OK;
  static const char *const numbers[] = {"lines", "bad", "all_masked", "dropped", "truncated"};
  static const char *const groups[] = {"documents", "tokens", "targets"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(numbers); i++)
    FT_TRY(ft_tally_count(run->tree, NULL, numbers[i], 0));
  for (size_t i = 0; i < FT_ARRAY_SIZE(groups); i++)
    for (int set = 0; set < FT_NUM_SPLITS; set++)
      FT_TRY(ft_tally_count(run->tree, groups[i], ft_split_name((ft_split)set), 0));
  FT_TRY(ft_tally_sort_samples(run->tree));
  cJSON_DeleteItemFromObjectCaseSensitive(run->tree, "raw_lines");
  sort_names(run->tree);
  FT_CHECK(add_settings(run, run->tree), FT_ERR_MEMORY, "no memory for the report");
out:
  return err;
}

ft_err ft_prep_write_report(ft_prep_run *run) {
  ft_err err = FT_OK;
  char *path = NULL, *html = NULL;
  FT_TRY(complete(run));
  FT_TRY(ft_path_join(run->output.result, "report.json", &path));
  FT_TRY(ft_json_write(path, run->tree));
  FT_TRY(ft_prep_html(run->tree, &html));
  ft_free(path);
  path = NULL;
  FT_TRY(ft_path_join(run->output.result, "report.html", &path));
  FT_TRY(ft_write_file(path, html, strlen(html)));
out:
  ft_free(path);
  ft_free(html);
  return err;
}
