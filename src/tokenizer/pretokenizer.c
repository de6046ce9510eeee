/* The "pre_tokenizer" of tokenizer.json as a list of steps. Each step cuts a piece into smaller
 * ones and hands them to the next, the last one to the run's function: nothing is collected. */
#define _GNU_SOURCE /* memmem */
#include "pretokenizer.h"

#include "byte_level.h"
#include "members.h"
#include "unicode.h"

/* GPT-2's words. */
static const char byte_level_words[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

typedef enum step_kind { SPLIT, BYTES, CHARACTERS, METASPACE } step_kind;
typedef enum behavior {
  REMOVED,
  ISOLATED,
  MERGED_WITH_PREVIOUS,
  MERGED_WITH_NEXT,
  CONTIGUOUS
} behavior;
typedef enum prepend_scheme { ALWAYS, FIRST, NEVER } prepend_scheme;

typedef struct step {
  step_kind kind;
  ft_pattern pattern;             /* SPLIT; BYTES where it splits */
  behavior behavior;              /* what becomes of matches */
  bool invert;                    /* what is between matches is the match */
  bool (*matches)(uint32_t code); /* CHARACTERS: those that match */
  bool prefix_space;              /* BYTES */
  char mark[8];                   /* METASPACE: written instead of spaces */
  prepend_scheme prepend;
  bool split; /* METASPACE: cut before marks */
} step;

struct ft_pretokenizer {
  step *steps; /* [count] */
  int64_t count, capacity;
  const ft_splitter *splitter; /* does what all steps do; NULL: there is none */
};

/* ---------------------------------------------------------------- loading */

static const char where[] = "\"pre_tokenizer\"";

static ft_err load_step(ft_pretokenizer *p, const cJSON *json);

static ft_err load_sequence(ft_pretokenizer *p, const cJSON *json) {
  ft_err err = FT_OK;
  cJSON *list;
  FT_TRY(ft_member_array(json, where, "pretokenizers", &list));
  for (const cJSON *item = list->child; item; item = item->next)
    FT_TRY(load_step(p, item));
out:
  return err;
}

static ft_err load_behavior(const cJSON *json, behavior *out) {
  static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext",
                                      "Contiguous"};
  ft_err err = FT_OK;
  const char *name;
  FT_TRY(ft_member_string(json, where, "behavior", &name));
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++)
    if (strcmp(name, names[i]) == 0) {
      *out = (behavior)i;
      return FT_OK;
    }
  err = ft_fail(FT_ERR_DATA,
                "%s: \"behavior\" is \"%s\"; known are Removed, Isolated, MergedWithPrevious, "
                "MergedWithNext and Contiguous",
                where, name);
out:
  return err;
}

static ft_err load_split(const cJSON *json, step *s) {
  ft_err err = FT_OK;
  FT_TRY(ft_pattern_load(json, where, &s->pattern));
  FT_TRY(load_behavior(json, &s->behavior));
  FT_TRY(ft_member_bool(json, where, "invert", &s->invert));
out:
  return err;
}

static ft_err load_punctuation(const cJSON *json, step *s) {
  s->behavior = ISOLATED;
  s->matches = ft_unicode_is_bert_punctuation;
  return ft_json_get(json, "behavior") ? load_behavior(json, &s->behavior) : FT_OK;
}

static ft_err load_bytes(const cJSON *json, step *s) {
  ft_err err = FT_OK;
  bool split;
  FT_TRY(ft_member_optional_bool(json, where, "add_prefix_space", true, &s->prefix_space));
  FT_TRY(ft_member_optional_bool(json, where, "use_regex", true, &split));
  s->behavior = ISOLATED;
  if (split) FT_TRY(ft_regex_compile(byte_level_words, &s->pattern.regex));
out:
  return err;
}

static ft_err load_digits(const cJSON *json, step *s) {
  bool individual;
  ft_err err = ft_member_optional_bool(json, where, "individual_digits", false, &individual);
  s->behavior = individual ? ISOLATED : CONTIGUOUS;
  s->matches = ft_unicode_is_numeric;
  return err;
}

static ft_err load_white_space(const cJSON *json, step *s) {
  (void)json;
  s->behavior = REMOVED;
  s->matches = ft_unicode_is_space;
  return FT_OK;
}

/* The old form has add_prefix_space, the new one prepend_scheme. */
static ft_err load_metaspace(const cJSON *json, step *s) {
  static const char *const schemes[] = {"always", "first", "never"};
  ft_err err = FT_OK;
  const char *mark, *scheme;
  bool prefix_space;
  FT_TRY(ft_member_string(json, where, "replacement", &mark));
  FT_CHECK(*mark && strlen(mark) == ft_utf8_length(*mark), FT_ERR_DATA,
           "%s: \"replacement\" is \"%s\", expected one character", where, mark);
  memcpy(s->mark, mark, strlen(mark) + 1);
  FT_TRY(ft_member_optional_string(json, where, "prepend_scheme", &scheme));
  FT_TRY(ft_member_optional_bool(json, where, "add_prefix_space", true, &prefix_space));
  FT_TRY(ft_member_optional_bool(json, where, "split", true, &s->split));
  size_t i = 0;
  while (scheme && i < FT_ARRAY_SIZE(schemes) && strcmp(scheme, schemes[i]) != 0)
    i++;
  FT_CHECK(i < FT_ARRAY_SIZE(schemes), FT_ERR_DATA,
           "%s: \"prepend_scheme\" is \"%s\"; known are always, first and never", where, scheme);
  s->prepend = scheme ? (prepend_scheme)i : prefix_space ? ALWAYS : NEVER;
  FT_CHECK(prefix_space || s->prepend == NEVER || !scheme, FT_ERR_DATA,
           "%s: \"add_prefix_space\" is false, but \"prepend_scheme\" is \"%s\"", where, scheme);
out:
  return err;
}

static ft_err load_char_delimiter(const cJSON *json, step *s) {
  ft_err err = FT_OK;
  const char *delimiter;
  FT_TRY(ft_member_string(json, where, "delimiter", &delimiter));
  FT_CHECK(*delimiter, FT_ERR_DATA, "%s: \"delimiter\" is empty", where);
  FT_TRY(ft_strdup(delimiter, &s->pattern.literal));
  s->behavior = REMOVED;
out:
  return err;
}

static ft_err add_step(ft_pretokenizer *p, step_kind kind, step **out) {
  ft_err err = FT_OK;
  FT_TRY(
      ft_grow(FT_MEM_TOKENIZER, p->count + 1, sizeof *p->steps, &p->capacity, (void **)&p->steps));
  *out = &p->steps[p->count++];
  (*out)->kind = kind;
out:
  return err;
}

/* White space, then punctuation. */
static ft_err load_bert(ft_pretokenizer *p) {
  ft_err err = FT_OK;
  step *s;
  FT_TRY(add_step(p, CHARACTERS, &s));
  FT_TRY(load_white_space(NULL, s));
  FT_TRY(add_step(p, CHARACTERS, &s));
  s->behavior = ISOLATED;
  s->matches = ft_unicode_is_bert_punctuation;
out:
  return err;
}

static ft_err load_step(ft_pretokenizer *p, const cJSON *json) {
  static const struct {
    const char *name;
    step_kind kind;
    ft_err (*load)(const cJSON *json, step *s);
  } kinds[] = {{"Split", SPLIT, load_split},
               {"ByteLevel", BYTES, load_bytes},
               {"Digits", CHARACTERS, load_digits},
               {"Punctuation", CHARACTERS, load_punctuation},
               {"Metaspace", METASPACE, load_metaspace},
               {"CharDelimiterSplit", SPLIT, load_char_delimiter},
               {"WhitespaceSplit", CHARACTERS, load_white_space}};
  ft_err err = FT_OK;
  const char *type;
  step *s;
  FT_TRY(ft_member_string(json, where, "type", &type));
  if (strcmp(type, "Sequence") == 0) return load_sequence(p, json);
  if (strcmp(type, "BertPreTokenizer") == 0) return load_bert(p);
  size_t k = 0;
  while (k < FT_ARRAY_SIZE(kinds) && strcmp(type, kinds[k].name) != 0)
    k++;
  FT_CHECK(k < FT_ARRAY_SIZE(kinds), FT_ERR_DATA,
           "%s: type %s is not supported; supported are Sequence, Split, ByteLevel, Digits, "
           "Punctuation, Metaspace, CharDelimiterSplit, WhitespaceSplit and BertPreTokenizer",
           where, type);
  FT_TRY(add_step(p, kinds[k].kind, &s));
  FT_TRY(kinds[k].load(json, s));
out:
  return err;
}

/* Steps that keep matches and what is between them, and then turn text to bytes, may be those of a
 * splitter. */
static const ft_splitter *find_splitter(const ft_pretokenizer *p) {
  enum { MOST = 4 };
  const char *patterns[MOST];
  int64_t count = 0;
  for (int64_t i = 0; i < p->count; i++) {
    const step *s = &p->steps[i];
    bool is_last = i + 1 == p->count;
    if (count == MOST || s->invert || s->prefix_space || (s->kind == BYTES) != is_last) return NULL;
    if (s->kind == BYTES && !s->pattern.regex) continue;
    if (s->behavior != ISOLATED) return NULL;
    if (s->kind == CHARACTERS && s->matches == ft_unicode_is_numeric)
      patterns[count++] = FT_SPLITTER_DIGITS;
    else if (s->pattern.regex)
      patterns[count++] = ft_regex_pattern(s->pattern.regex);
    else
      return NULL;
  }
  return ft_splitter_find(patterns, count);
}

ft_err ft_pretokenizer_load(const cJSON *json, ft_pretokenizer **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_TOKENIZER, sizeof **out, &memory));
  ft_pretokenizer *p = memory;
  if (json) FT_TRY(load_step(p, json));
  p->splitter = find_splitter(p);
  *out = p;
  memory = NULL;
out:
  ft_pretokenizer_free(memory);
  return err;
}

void ft_pretokenizer_free(ft_pretokenizer *p) {
  if (!p) return;
  for (int64_t i = 0; i < p->count; i++)
    ft_pattern_fini(&p->steps[i].pattern);
  ft_free(p->steps);
  ft_free(p);
}

const ft_splitter *ft_pretokenizer_splitter(const ft_pretokenizer *p) {
  return p->splitter;
}

bool ft_pretokenizer_keeps_text(const ft_pretokenizer *p) {
  for (int64_t i = 0; i < p->count; i++)
    if (p->steps[i].kind == METASPACE || p->steps[i].prefix_space) return false;
  return p->count > 0 && p->steps[p->count - 1].kind == BYTES;
}

bool ft_pretokenizer_is_empty(const ft_pretokenizer *p) {
  return p->count == 0;
}

bool ft_pretokenizer_ends_in_bytes(const ft_pretokenizer *p) {
  for (int64_t i = 0; i < p->count; i++)
    if (p->steps[i].kind == BYTES) return i + 1 == p->count;
  return false;
}

ft_err ft_pretokenizer_run_init(const ft_pretokenizer *p, ft_pretokenizer_run *run) {
  void *buffers;
  *run = (ft_pretokenizer_run){.pretokenizer = p};
  ft_err err = ft_alloc_array(FT_MEM_TOKENIZER, p->count, sizeof *run->buffers, &buffers);
  if (err == FT_OK) run->buffers = buffers;
  return err;
}

void ft_pretokenizer_run_fini(ft_pretokenizer_run *run) {
  for (int64_t i = 0; run->buffers && i < run->pretokenizer->count; i++)
    ft_buffer_fini(&run->buffers[i]);
  ft_free(run->buffers);
  run->buffers = NULL;
}

/* ---------------------------------------------------------------- cutting */

static ft_err run_step(ft_pretokenizer_run *run, int64_t at, const ft_piece *piece);

/* Joins matches and what is between them as a step's behavior says. Parts come from left to right
 * and cover the text. */
typedef struct joiner {
  ft_pretokenizer_run *run;
  int64_t next; /* the step that gets the pieces */
  const ft_piece *in;
  behavior behavior;
  bool has_held, held_is_match; /* a part that may yet grow */
  size_t held_start, held_end;
} joiner;

static ft_err emit(joiner *j, size_t start, size_t end) {
  if (start == end) return FT_OK;
  ft_piece piece = ft_piece_part(j->in, start, end);
  return run_step(j->run, j->next, &piece);
}

static ft_err flush(joiner *j) {
  bool held = j->has_held;
  j->has_held = false;
  return held ? emit(j, j->held_start, j->held_end) : FT_OK;
}

static ft_err add_part(joiner *j, size_t start, size_t end, bool is_match) {
  bool grows = false;
  switch (j->behavior) {
  case REMOVED:
    return is_match ? FT_OK : emit(j, start, end);
  case ISOLATED:
    return emit(j, start, end);
  case CONTIGUOUS:
    grows = j->has_held && is_match == j->held_is_match;
    break;
  case MERGED_WITH_PREVIOUS:
    grows = j->has_held && is_match && !j->held_is_match;
    break;
  case MERGED_WITH_NEXT:
    grows = j->has_held && j->held_is_match && !is_match;
    break;
  }
  ft_err err = grows ? FT_OK : flush(j);
  if (!grows) j->held_start = start;
  j->held_end = end;
  j->has_held = true;
  j->held_is_match = is_match;
  return err;
}

static ft_err split(ft_pretokenizer_run *run, int64_t at, const ft_piece *in) {
  ft_err err = FT_OK;
  const step *s = &run->pretokenizer->steps[at];
  joiner j = {.run = run, .next = at + 1, .in = in, .behavior = s->behavior};
  ft_regex_matches m = {.regex = s->pattern.regex,
                        .scratch = run->regex,
                        .text = in->text,
                        .bytes = in->bytes,
                        .unusual = in->unusual,
                        .last_end = SIZE_MAX};
  size_t done = 0, start, end;
  bool found;
  for (;;) {
    FT_TRY(ft_pattern_next(&s->pattern, &m, &start, &end, &found));
    if (!found) break;
    if (done < start) FT_TRY(add_part(&j, done, start, s->invert));
    FT_TRY(add_part(&j, start, end, !s->invert));
    done = end;
  }
  if (done < in->bytes) FT_TRY(add_part(&j, done, in->bytes, s->invert));
  FT_TRY(flush(&j));
out:
  return err;
}

static ft_err characters(ft_pretokenizer_run *run, int64_t at, const ft_piece *in) {
  ft_err err = FT_OK;
  const step *s = &run->pretokenizer->steps[at];
  joiner j = {.run = run, .next = at + 1, .in = in, .behavior = s->behavior};
  size_t done = 0;
  for (size_t i = 0, length; i < in->bytes; i += length) {
    if (!s->matches(ft_utf8_decode(in->text + i, &length))) continue;
    if (done < i) FT_TRY(add_part(&j, done, i, false));
    FT_TRY(add_part(&j, i, i + length, true));
    done = i + length;
  }
  if (done < in->bytes) FT_TRY(add_part(&j, done, in->bytes, false));
  FT_TRY(flush(&j));
out:
  return err;
}

/* A word in the byte alphabet, for the steps behind. */
static ft_err put_bytes(ft_pretokenizer_run *run, int64_t at, const ft_piece *in) {
  ft_buffer *buffer = &run->buffers[at];
  buffer->bytes = 0;
  ft_err err = ft_byte_level_put(buffer, in->text, in->origin);
  size_t origin = buffer->bytes;
  if (err == FT_OK) err = ft_byte_level_put(buffer, in->text + in->origin, in->bytes - in->origin);
  if (err != FT_OK) return err;
  ft_piece piece = {buffer->data, buffer->bytes, origin, in->unusual};
  return run_step(run, at + 1, &piece);
}

/* Words by GPT-2's pattern, or text as one word. */
static ft_err byte_level_word(ft_pretokenizer_run *run, int64_t at, const ft_piece *in) {
  if (in->bytes == 0) return FT_OK;
  return run->keep_bytes ? run_step(run, at + 1, in) : put_bytes(run, at, in);
}

static ft_err byte_level(ft_pretokenizer_run *run, int64_t at, const ft_piece *in) {
  ft_err err = FT_OK;
  const step *s = &run->pretokenizer->steps[at];
  ft_buffer spaced = {0}; /* the step's own buffer is put_bytes' */
  ft_piece text = *in;
  if (s->prefix_space && in->text[0] != ' ') {
    FT_TRY(ft_buffer_put(&spaced, " ", 1));
    FT_TRY(ft_buffer_put(&spaced, in->text, in->bytes));
    text = (ft_piece){spaced.data, spaced.bytes, in->origin ? in->origin + 1 : 0, in->unusual};
  }
  if (!s->pattern.regex) {
    err = byte_level_word(run, at, &text);
    goto out;
  }
  ft_regex_matches m = {.regex = s->pattern.regex,
                        .scratch = run->regex,
                        .text = text.text,
                        .bytes = text.bytes,
                        .unusual = text.unusual,
                        .last_end = SIZE_MAX};
  size_t done = 0, start, end;
  bool found;
  for (;;) {
    FT_TRY(ft_regex_next(&m, &start, &end, &found));
    if (!found) start = end = text.bytes;
    ft_piece between = ft_piece_part(&text, done, start), word = ft_piece_part(&text, start, end);
    FT_TRY(byte_level_word(run, at, &between));
    FT_TRY(byte_level_word(run, at, &word));
    done = end;
    if (!found) break;
  }
out:
  ft_buffer_fini(&spaced);
  return err;
}

/* Spaces become marks, one is put before the text where the scheme says so, and words begin with
 * marks. */
static ft_err metaspace(ft_pretokenizer_run *run, int64_t at, const ft_piece *in) {
  ft_err err = FT_OK;
  const step *s = &run->pretokenizer->steps[at];
  ft_buffer *out = &run->buffers[at];
  size_t length = strlen(s->mark), origin = 0;
  out->bytes = 0;
  FT_TRY(ft_buffer_reserve(out, length + length * in->bytes));
  bool has_mark = in->text[0] == ' ' || strncmp(in->text, s->mark, FT_MIN(length, in->bytes)) == 0;
  bool prepends = s->prepend == ALWAYS || (s->prepend == FIRST && in->origin > 0);
  if (!has_mark && prepends) FT_TRY(ft_buffer_put(out, s->mark, length));
  for (size_t i = 0; i < in->bytes; i++) {
    FT_TRY(in->text[i] == ' ' ? ft_buffer_put(out, s->mark, length)
                              : ft_buffer_put(out, in->text + i, 1));
    if (i < in->origin) origin = out->bytes;
  }
  ft_piece text = {out->data, out->bytes, origin, in->unusual};
  if (!s->split) {
    err = run_step(run, at + 1, &text);
    goto out;
  }
  joiner j = {.run = run, .next = at + 1, .in = &text, .behavior = MERGED_WITH_NEXT};
  for (size_t done = 0; done < text.bytes;) {
    const char *mark = memmem(text.text + done, text.bytes - done, s->mark, length);
    size_t start = mark ? (size_t)(mark - text.text) : text.bytes;
    if (done < start) FT_TRY(add_part(&j, done, start, false));
    if (mark) FT_TRY(add_part(&j, start, start + length, true));
    done = start + (mark ? length : 0);
  }
  FT_TRY(flush(&j));
out:
  return err;
}

static ft_err run_step(ft_pretokenizer_run *run, int64_t at, const ft_piece *piece) {
  if (at == run->pretokenizer->count) return run->word(run->arg, piece);
  switch (run->pretokenizer->steps[at].kind) {
  case SPLIT:
    return split(run, at, piece);
  case BYTES:
    return byte_level(run, at, piece);
  case CHARACTERS:
    return characters(run, at, piece);
  case METASPACE:
    return metaspace(run, at, piece);
  }
  return FT_OK;
}

ft_err ft_pretokenizer_apply(ft_pretokenizer_run *run, const ft_piece *text) {
  return text->bytes > 0 ? run_step(run, 0, text) : FT_OK;
}
