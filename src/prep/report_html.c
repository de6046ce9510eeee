/* report.html: what report.json says, for people, in one page that needs nothing else. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

typedef struct page {
  char *text;
  size_t used, capacity;
  ft_err err;
} page;

static void put(page *p, const char *text, size_t bytes) {
  if (p->err != FT_OK) return;
  p->err = ft_grow_bytes(FT_MEM_PREP, p->used + bytes + 1, &p->capacity, (void **)&p->text);
  if (p->err != FT_OK) return;
  memcpy(p->text + p->used, text, bytes);
  p->used += bytes;
  p->text[p->used] = 0;
}

static void raw(page *p, const char *text) {
  put(p, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void print(page *p, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  int length = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  put(p, text, FT_MIN((size_t)FT_MAX(length, 0), sizeof text - 1));
}

/* People's text: nothing in it is HTML; line feeds are shown. */
static void escaped(page *p, const char *text) {
  for (; *text; text++) {
    if (*text == '<')
      raw(p, "&lt;");
    else if (*text == '&')
      raw(p, "&amp;");
    else if (*text == '"')
      raw(p, "&quot;");
    else
      put(p, text, 1);
  }
}

static int64_t number(const cJSON *parent, const char *name) {
  return ft_tally_get(parent, NULL, name);
}

/* ---------------------------------------------------------------- parts */

static void head(page *p) {
  raw(p,
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>ftrun prep</title>"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<style>\n"
      "body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;"
      "color:#222;background:#fff}\n"
      "table{border-collapse:collapse;margin:.5em 0}th,td{padding:.2em .8em;text-align:right;"
      "border-bottom:1px solid #ddd}th:first-child,td:first-child{text-align:left}\n"
      "td.t{text-align:left;font-size:13px;color:#555;max-width:30em;overflow-wrap:anywhere}\n"
      "pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f6f6f6;padding:.7em;"
      "border-radius:4px}\nmark{background:#b9ecc3;color:inherit}\n"
      ".bar{fill:#4a7fb5}text{font:11px sans-serif;fill:#444}\n"
      "@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}pre{background:#222}"
      "mark{background:#245c31}text{fill:#aaa}td.t{color:#aaa}}\n"
      "</style></head><body>\n<h1>Data preparation</h1>\n");
}

static void sets(page *p, const cJSON *tree) {
  raw(p, "<h2>Sets</h2>\n<table><tr><th>set</th><th>documents</th><th>tokens</th><th>targets</th>"
         "<th>share learnt</th></tr>\n");
  for (int s = 0; s < FT_NUM_SPLITS; s++) {
    const char *name = ft_split_name((ft_split)s);
    int64_t tokens = ft_tally_get(tree, "tokens", name);
    int64_t targets = ft_tally_get(tree, "targets", name);
    print(p, "<tr><td>%s</td><td>%lld</td><td>%lld</td><td>%lld</td><td>%.1f %%</td></tr>\n", name,
          (long long)ft_tally_get(tree, "documents", name), (long long)tokens, (long long)targets,
          tokens > 0 ? 100.0 * (double)targets / (double)tokens : 0);
  }
  print(p,
        "</table>\n<p>%lld records read: %lld bad, %lld without a target, %lld left out by rules "
        "of one document, %lld cut.</p>\n",
        (long long)number(tree, "lines"), (long long)number(tree, "bad"),
        (long long)number(tree, "all_masked"), (long long)number(tree, "dropped"),
        (long long)number(tree, "truncated"));
}

static void settings(page *p, const cJSON *tree) {
  const cJSON *item;
  raw(p, "<h2>Made with</h2>\n<table>\n");
  cJSON_ArrayForEach(item, ft_json_get(tree, "settings")) {
    if (cJSON_IsObject(item) || cJSON_IsArray(item)) continue;
    print(p, "<tr><td>%.60s</td><td class=\"t\">", item->string);
    if (cJSON_IsString(item)) escaped(p, item->valuestring);
    if (cJSON_IsNumber(item)) print(p, "%.10g", item->valuedouble);
    if (cJSON_IsBool(item)) raw(p, cJSON_IsTrue(item) ? "yes" : "no");
    raw(p, "</td></tr>\n");
  }
  raw(p, "</table>\n");
}

static void names(page *p, const cJSON *group, const char *title, const char *unit) {
  const cJSON *item;
  if (!group || !group->child) return;
  print(p, "<h2>%s</h2>\n<table><tr><th>name</th><th>%s</th></tr>\n", title, unit);
  cJSON_ArrayForEach(item, group) {
    raw(p, "<tr><td>");
    escaped(p, item->string);
    print(p, "</td><td>%.0f</td></tr>\n", item->valuedouble);
  }
  raw(p, "</table>\n");
}

static void files(page *p, const cJSON *tree) {
  const cJSON *file, *form;
  raw(p, "<h2>Files</h2>\n<table><tr><th>file</th><th>records by form</th></tr>\n");
  cJSON_ArrayForEach(file, ft_json_get(tree, "files")) {
    raw(p, "<tr><td>");
    escaped(p, file->string);
    raw(p, "</td><td>");
    cJSON_ArrayForEach(form, file)
        print(p, "%s%s %.0f", form == file->child ? "" : ", ", form->string, form->valuedouble);
    raw(p, "</td></tr>\n");
  }
  raw(p, "</table>\n");
}

static void examples(page *p, const cJSON *list) {
  const cJSON *example;
  cJSON_ArrayForEach(example, list) {
    escaped(p, ft_json_get(example, "file")->valuestring);
    print(p, ":%lld ", (long long)number(example, "line"));
    escaped(p, ft_json_get(example, "text")->valuestring);
    raw(p, "<br>");
  }
}

static void rules(page *p, const cJSON *tree) {
  const cJSON *actions =
      ft_json_get(ft_json_get(ft_json_get(tree, "settings"), "clean"), "actions");
  raw(p, "<h2>Rules</h2>\n<table><tr><th>rule</th><th>action</th><th>found</th><th>dropped</th>"
         "<th>fixed</th><th>examples</th></tr>\n");
  for (int r = 0; r < FT_NUM_RULES; r++) {
    const char *name = ft_rule_name((ft_rule)r);
    const cJSON *rule = ft_json_get(ft_json_get(tree, "rules"), name);
    const cJSON *action = ft_json_get(actions, name);
    print(p, "<tr><td>%s</td><td>%s</td><td>%lld</td><td>%lld</td><td>%lld</td><td class=\"t\">",
          name, cJSON_IsString(action) ? action->valuestring : "", (long long)number(rule, "found"),
          (long long)number(rule, "dropped"), (long long)number(rule, "fixed"));
    examples(p, ft_json_get(rule, "examples"));
    raw(p, "</td></tr>\n");
  }
  raw(p, "</table>\n");
}

/* ---------------------------------------------------------------- lengths */

static int by_bound(const void *a, const void *b) {
  double x = strtod((*(const cJSON *const *)a)->string, NULL);
  double y = strtod((*(const cJSON *const *)b)->string, NULL);
  return x < y ? -1 : x > y;
}

/* Bars for powers of two. */
static void lengths(page *p, const cJSON *tree) {
  enum { MAX_BARS = 48, WIDTH = 46, HEIGHT = 160 };
  const cJSON *bars[MAX_BARS], *item;
  int count = 0;
  double most = 1;
  cJSON_ArrayForEach(item, ft_json_get(tree, "lengths")) {
    if (count == MAX_BARS) break;
    bars[count++] = item;
    most = FT_MAX(most, item->valuedouble);
  }
  if (count > 0) qsort(bars, (size_t)count, sizeof *bars, by_bound);
  print(p, "<h2>Tokens a document</h2>\n<svg width=\"%d\" height=\"%d\" role=\"img\">\n",
        count * WIDTH + 10, HEIGHT + 40);
  for (int i = 0; i < count; i++) {
    double height = bars[i]->valuedouble / most * HEIGHT;
    print(p,
          "<rect class=\"bar\" x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\"/><text x=\"%d\" "
          "y=\"%.1f\">%.0f</text><text x=\"%d\" y=\"%d\">&#8804;%s</text>\n",
          i * WIDTH + 5, HEIGHT + 18 - height, WIDTH - 6, height, i * WIDTH + 5,
          HEIGHT + 14 - height, bars[i]->valuedouble, i * WIDTH + 5, HEIGHT + 34, bars[i]->string);
  }
  raw(p, "</svg>\n");
}

/* ---------------------------------------------------------------- samples */

static void runs(page *p, const cJSON *list) {
  const cJSON *run;
  raw(p, "<pre>");
  cJSON_ArrayForEach(run, list) {
    bool target = cJSON_GetArrayItem(run, 1)->valuedouble != 0;
    if (target) raw(p, "<mark>");
    escaped(p, cJSON_GetArrayItem(run, 0)->valuestring);
    if (target) raw(p, "</mark>");
  }
  raw(p, "</pre>\n");
}

static void samples(page *p, const cJSON *tree) {
  const cJSON *sample;
  raw(p, "<h2>Samples</h2>\n<p>What is learnt is <mark>marked</mark>. Long ones are cut.</p>\n");
  cJSON_ArrayForEach(sample, ft_json_get(tree, "samples")) {
    raw(p, "<p>");
    escaped(p, ft_json_get(sample, "file")->valuestring);
    print(p, ":%lld, %s</p>\n", (long long)number(sample, "line"),
          ft_json_get(sample, "kind")->valuestring);
    runs(p, ft_json_get(sample, "runs"));
    if (!ft_json_get(sample, "rejected")) continue;
    raw(p, "<p>rejected:</p>\n");
    runs(p, ft_json_get(sample, "rejected"));
  }
}

static void bad_lines(page *p, const cJSON *tree) {
  const cJSON *list = ft_json_get(tree, "bad_lines");
  if (!list || !list->child) return;
  raw(p, "<h2>Lines that could not be used</h2>\n<p class=\"t\">");
  examples(p, list);
  raw(p, "</p>\n");
}

ft_err ft_prep_html(const cJSON *tree, char **out) {
  page p = {0};
  head(&p);
  sets(&p, tree);
  lengths(&p, tree);
  rules(&p, tree);
  bad_lines(&p, tree);
  names(&p, ft_json_get(tree, "spelled"), "Control tokens spelled out in texts", "times");
  names(&p, ft_json_get(tree, "unread"), "Members that were not read", "records");
  files(&p, tree);
  settings(&p, tree);
  samples(&p, tree);
  raw(&p, "</body></html>\n");
  *out = p.text;
  if (p.err != FT_OK) {
    ft_free(p.text);
    *out = NULL;
  }
  return p.err;
}
