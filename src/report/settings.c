/* Tables of the page: configurations and what differs between them, and where the runs ran. */
#include <string.h>

#include "internal.h"
#include "text.h"

/* One value of a tree of settings, by its dotted path. */
typedef struct setting {
  char path[160];
  char *values[FT_REPORT_MAX_RUNS]; /* as text; NULL: this run has none */
} setting;

typedef struct settings {
  setting *list;
  int64_t count;
} settings;

/* ---------------------------------------------------------------- collecting */

static ft_err find_or_add(settings *s, const char *path, setting **out) {
  for (int64_t i = 0; i < s->count; i++)
    if (strcmp(s->list[i].path, path) == 0) {
      *out = &s->list[i];
      return FT_OK;
    }
  ft_err err = ft_grow_one(FT_MEM_OTHER, s->count, sizeof *s->list, (void **)&s->list);
  if (err != FT_OK) return err;
  *out = &s->list[s->count++];
  snprintf((*out)->path, sizeof(*out)->path, "%s", path);
  return FT_OK;
}

/* Adds what a tree holds, below `prefix`: objects by their members, anything else as it is. */
static ft_err collect(settings *s, int64_t run, const cJSON *tree, const char *prefix) {
  ft_err err = FT_OK;
  for (const cJSON *item = tree ? tree->child : NULL; item; item = item->next) {
    char path[160];
    setting *at;
    snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", item->string);
    if (cJSON_IsObject(item)) {
      FT_TRY(collect(s, run, item, path));
      continue;
    }
    FT_TRY(find_or_add(s, path, &at));
    if (at->values[run]) continue;
    if (cJSON_IsString(item))
      FT_TRY(ft_strdup(item->valuestring, &at->values[run]));
    else
      FT_TRY(ft_json_print(item, false, &at->values[run]));
  }
out:
  return err;
}

static void free_settings(settings *s) {
  for (int64_t i = 0; i < s->count; i++)
    for (int k = 0; k < FT_REPORT_MAX_RUNS; k++)
      ft_free(s->list[i].values[k]);
  ft_free(s->list);
}

/* ---------------------------------------------------------------- the tables */

static bool differs(const ft_report *r, const setting *s) {
  for (int64_t i = 1; i < r->num_runs; i++) {
    const char *a = s->values[0], *b = s->values[i];
    if ((a == NULL) != (b == NULL) || (a && strcmp(a, b) != 0)) return true;
  }
  return false;
}

static void put_setting(FILE *out, const ft_report *r, const setting *s, const char *absent) {
  fputs("<tr><th scope=\"row\">", out);
  ft_text_escaped(out, s->path);
  fputs("</th>", out);
  for (int64_t i = 0; i < r->num_runs; i++) {
    fputs("<td>", out);
    ft_text_escaped(out, s->values[i] ? s->values[i] : absent);
    fputs("</td>", out);
  }
  fputs("</tr>\n", out);
}

static void put_all(FILE *out, const ft_report *r, const settings *s, bool only_different) {
  ft_report_put_runs_head(out, r, "Key");
  for (int64_t i = 0; i < s->count; i++)
    if (!only_different || differs(r, &s->list[i])) put_setting(out, r, &s->list[i], "–");
  fputs("</tbody></table></div>\n", out);
}

static void put_differences(FILE *out, const ft_report *r, const settings *s) {
  int64_t count = 0;
  for (int64_t i = 0; i < s->count; i++)
    count += differs(r, &s->list[i]);
  if (count == 0) {
    fputs("<p>The runs have the same configuration.</p>\n", out);
    return;
  }
  fputs("<h3>What differs</h3>\n", out);
  put_all(out, r, s, true);
}

void ft_report_put_configurations(FILE *out, const ft_report *r) {
  settings s = {0};
  fputs("<section><h2 id=\"configuration\">Configuration</h2>\n", out);
  ft_err err = FT_OK;
  for (int64_t i = 0; i < r->num_runs && err == FT_OK; i++)
    err = collect(&s, i, r->runs[i].config, "");
  if (r->num_runs > 1) put_differences(out, r, &s);
  fprintf(out, "<details%s><summary>All keys</summary>\n", r->num_runs == 1 ? " open" : "");
  put_all(out, r, &s, false);
  fputs("</details></section>\n", out);
  free_settings(&s);
}

/* ---------------------------------------------------------------- environments */

static void put_text(FILE *out, const cJSON *object, const char *name) {
  const cJSON *item = ft_json_get(object, name);
  bool there = cJSON_IsString(item) && *item->valuestring;
  ft_text_escaped(out, there ? item->valuestring : "not recorded");
}

/* "n01 (4 ranks), n02 (4 ranks)". */
static void put_hosts(FILE *out, const cJSON *start) {
  const cJSON *hosts = ft_json_get(start, "hosts");
  if (!hosts || !hosts->child) fputs("not recorded", out);
  for (const cJSON *host = hosts ? hosts->child : NULL; host; host = host->next) {
    int64_t ranks = 0;
    (void)ft_json_i64(ft_json_get(host, "ranks"), &ranks);
    if (host != hosts->child) fputs(", ", out);
    put_text(out, host, "host");
    fprintf(out, " (%lld rank%s)", (long long)ranks, ranks == 1 ? "" : "s");
  }
}

/* NAME=VALUE of each variable. */
static void put_variables(FILE *out, const cJSON *start) {
  const cJSON *variables = ft_json_get(start, "environment");
  if (!variables) fputs("not recorded", out);
  if (variables && !variables->child) fputs("none set", out);
  for (const cJSON *v = variables ? variables->child : NULL; v; v = v->next) {
    fputs(v == variables->child ? "<code>" : "<br><code>", out);
    ft_text_escaped(out, v->string);
    fputc('=', out);
    ft_text_escaped(out, cJSON_IsString(v) ? v->valuestring : "");
    fputs("</code>", out);
  }
}

/* What was changed with --allow when this part began. */
static void put_changes(FILE *out, const cJSON *start) {
  const cJSON *changes = ft_json_get(start, "changes");
  if (!changes || !changes->child) {
    fputs(changes ? "none" : "not recorded", out);
    return;
  }
  for (const cJSON *change = changes->child; change; change = change->next) {
    char *text = NULL;
    if (ft_json_print(change, false, &text) != FT_OK) continue;
    fputs(change == changes->child ? "<code>" : "<br><code>", out);
    ft_text_escaped(out, text);
    fputs("</code>", out);
    ft_free(text);
  }
}

static void put_start(FILE *out, const report_run *run, const cJSON *start) {
  int64_t step = 0;
  (void)ft_json_i64(ft_json_get(start, "step"), &step);
  fputs("<tr><th scope=\"row\">", out);
  ft_text_escaped(out, run->name);
  fprintf(out, "<br>from step %lld</th><td>", (long long)step);
  put_text(out, start, "time");
  fputs("<br>", out);
  put_text(out, start, "user");
  fputs("</td><td>", out);
  put_text(out, start, "version");
  fputs("<br>", out);
  put_text(out, start, "libraries");
  fputs("<br>", out);
  put_text(out, start, "computes");
  fputs("</td><td>", out);
  put_hosts(out, start);
  fputs("</td><td><code>", out);
  put_text(out, start, "command");
  fputs("</code></td><td>", out);
  put_variables(out, start);
  fputs("</td><td>", out);
  put_changes(out, start);
  fputs("</td></tr>\n", out);
}

void ft_report_put_environments(FILE *out, const ft_report *r) {
  fputs("<section><h2 id=\"environment\">Environment</h2>\n"
        "<div class=\"scroll\"><table class=\"parts\"><thead><tr><th scope=\"col\">Part</th>"
        "<th scope=\"col\">Began</th><th scope=\"col\">Program, libraries, CPU</th>"
        "<th scope=\"col\">Hosts</th><th scope=\"col\">Command</th>"
        "<th scope=\"col\">Variables</th><th scope=\"col\">Changed since the part before</th>"
        "</tr></thead>\n<tbody>",
        out);
  for (int64_t i = 0; i < r->num_runs; i++) {
    const report_run *run = &r->runs[i];
    for (const cJSON *start = run->starts->child; start; start = start->next)
      put_start(out, run, start);
    if (run->starts->child) continue;
    fputs("<tr><th scope=\"row\">", out);
    ft_text_escaped(out, run->name);
    fputs("</th><td colspan=\"6\">not recorded</td></tr>\n", out);
  }
  fputs("</tbody></table></div></section>\n", out);
}
