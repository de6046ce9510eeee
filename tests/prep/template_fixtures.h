/* What the tests of records and of their templates share: a model directory with a small tokenizer,
 * records rendered by it, and the ids that came out as text. */
#ifndef FT_TEST_TEMPLATE_FIXTURES_H
#define FT_TEST_TEMPLATE_FIXTURES_H

#include <stdlib.h>
#include <string.h>

#include "../../src/prep/record.h"
#include "ft_test.h"
#include "../tokenizer/tiny_tokenizer.h"

static const char *const chatml_tokens[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", NULL};

/* A model directory with its tokenizer and options. */
typedef struct model {
  char *folder;
  ft_tokenizer *t;
  ft_render_options options;
} model;

static inline model open_model(const tiny_spec *spec, ft_template wanted, const char *system) {
  model m = {.folder = tiny_folder()};
  m.t = tiny_tokenizer(m.folder, spec);
  assert_ok(ft_render_options_init(m.folder, m.t, wanted, system, &m.options));
  return m;
}

static inline void close_model(model *m) {
  ft_render_options_fini(&m->options);
  ft_tokenizer_close(m->t);
  tiny_remove(m->folder);
}

static inline void append(char **text, size_t *used, const char *s, size_t bytes) {
  *text = realloc(*text, *used + bytes + 1);
  assert_non_null(*text);
  memcpy(*text + *used, s, bytes);
  *used += bytes;
  (*text)[*used] = 0;
}

/* Ids as text, special tokens by name, runs of targets in [ and ]. */
static inline char *written(const ft_tokenizer *t, const ft_ids *ids, bool marks) {
  char *text = NULL, piece[256];
  size_t used = 0;
  append(&text, &used, "", 0);
  for (int64_t i = 0; i < ids->count; i++) {
    bool before = i > 0 && ids->mask[i - 1];
    if (marks && ids->mask[i] && !before) append(&text, &used, "[", 1);
    if (marks && !ids->mask[i] && before) append(&text, &used, "]", 1);
    bool special = ft_tokenizer_is_special(t, ids->ids[i]);
    bool first = i == 0 || ft_tokenizer_is_special(t, ids->ids[i - 1]);
    const char *name = ft_tokenizer_token(t, ids->ids[i]);
    if (special)
      append(&text, &used, name, strlen(name));
    else
      append(&text, &used, piece, ft_tokenizer_piece(t, ids->ids[i], first, piece, sizeof piece));
  }
  if (marks && ids->count > 0 && ids->mask[ids->count - 1]) append(&text, &used, "]", 1);
  return text;
}

static inline ft_err render(const model *m, const char *record, ft_ids *ids) {
  static const ft_record_rules rules = {0};
  cJSON *json;
  ft_document document = {.ids = *ids};
  assert_ok(ft_json_parse_data(record, strlen(record), "test", &json));
  ft_err err = ft_render_record(m->t, &m->options, &rules, json, &document);
  *ids = document.ids;
  ft_ids_fini(&document.rejected);
  cJSON_Delete(json);
  return err;
}

static inline void check(const model *m, const char *record, const char *expected) {
  ft_ids ids = {0};
  assert_ok(render(m, record, &ids));
  char *found = written(m->t, &ids, true);
  assert_string_equal(found, expected);
  free(found);
  ft_ids_fini(&ids);
}

static inline void refused(const model *m, const char *record, const char *reason) {
  ft_ids ids = {0};
  ft_err err = render(m, record, &ids);
  if (err != FT_ERR_DATA || !strstr(ft_error_message(), reason))
    fail_msg("%s: error %d, \"%s\" lacks \"%s\"", record, (int)err, ft_error_message(), reason);
  assert_int_equal(ids.count, 0);
  ft_ids_fini(&ids);
}

#endif
