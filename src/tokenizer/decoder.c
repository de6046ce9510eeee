/* The "decoder" of tokenizer.json as a list of steps over a list of strings. */
#include "decoder.h"

#include "byte_level.h"
#include "members.h"
#include "unicode.h"

typedef enum step_kind {
  BYTES,
  BYTE_FALLBACK,
  FUSE,
  STRIP,
  REPLACE,
  METASPACE,
  WORD_SUFFIX,
  WORD_PREFIX
} step_kind;

typedef struct step {
  step_kind kind;
  ft_pattern pattern;  /* REPLACE */
  char *content;       /* REPLACE: instead; STRIP, METASPACE: one character; WORD_SUFFIX, _PREFIX */
  int64_t start, stop; /* STRIP: at most so many */
  bool drops_first;    /* METASPACE: not a space in the first token */
  bool cleans_up;      /* WORD_PREFIX: English punctuation joins the word before */
} step;

struct ft_decoder {
  step *steps; /* [count] */
  int64_t count, capacity;
  bool joins_with_spaces;
  bool has_regex;
};

static const char where[] = "\"decoder\"";
static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD, for bytes that are no text */

/* ---------------------------------------------------------------- loading */

static ft_err load_step(ft_decoder *d, const cJSON *json);

static ft_err load_sequence(ft_decoder *d, const cJSON *json) {
  ft_err err = FT_OK;
  cJSON *list;
  FT_TRY(ft_member_array(json, where, "decoders", &list));
  for (const cJSON *item = list->child; item; item = item->next)
    FT_TRY(load_step(d, item));
out:
  return err;
}

static ft_err load_character(const cJSON *json, const char *name, step *s) {
  ft_err err = FT_OK;
  const char *text;
  FT_TRY(ft_member_string(json, where, name, &text));
  FT_CHECK(*text && strlen(text) == ft_utf8_length(*text), FT_ERR_DATA,
           "%s: \"%s\" is \"%s\", expected one character", where, name, text);
  FT_TRY(ft_strdup(text, &s->content));
out:
  return err;
}

static ft_err load_metaspace(const cJSON *json, step *s) {
  ft_err err = FT_OK;
  const char *scheme;
  bool prefix_space;
  FT_TRY(load_character(json, "replacement", s));
  FT_TRY(ft_member_optional_string(json, where, "prepend_scheme", &scheme));
  FT_TRY(ft_member_optional_bool(json, where, "add_prefix_space", true, &prefix_space));
  s->drops_first = scheme ? strcmp(scheme, "never") != 0 : prefix_space;
out:
  return err;
}

static ft_err load_members(const cJSON *json, step *s) {
  ft_err err = FT_OK;
  const char *text;
  switch (s->kind) {
  case STRIP:
    FT_TRY(load_character(json, "content", s));
    FT_TRY(ft_member_count(json, where, "start", INT32_MAX, &s->start));
    FT_TRY(ft_member_count(json, where, "stop", INT32_MAX, &s->stop));
    break;
  case REPLACE:
    FT_TRY(ft_pattern_load(json, where, &s->pattern));
    FT_TRY(ft_member_string(json, where, "content", &text));
    FT_TRY(ft_strdup(text, &s->content));
    break;
  case METASPACE:
    FT_TRY(load_metaspace(json, s));
    break;
  case WORD_SUFFIX:
    FT_TRY(ft_member_string(json, where, "suffix", &text));
    FT_CHECK(*text, FT_ERR_DATA, "%s: \"suffix\" is empty", where);
    FT_TRY(ft_strdup(text, &s->content));
    break;
  case WORD_PREFIX:
    FT_TRY(ft_member_string(json, where, "prefix", &text));
    FT_TRY(ft_strdup(text, &s->content));
    FT_TRY(ft_member_bool(json, where, "cleanup", &s->cleans_up));
    break;
  default:
    break;
  }
out:
  return err;
}

static ft_err load_step(ft_decoder *d, const cJSON *json) {
  static const struct {
    const char *name;
    step_kind kind;
  } kinds[] = {{"ByteLevel", BYTES},
               {"ByteFallback", BYTE_FALLBACK},
               {"Fuse", FUSE},
               {"Strip", STRIP},
               {"Replace", REPLACE},
               {"Metaspace", METASPACE},
               {"BPEDecoder", WORD_SUFFIX},
               {"WordPiece", WORD_PREFIX}};
  ft_err err = FT_OK;
  const char *type;
  FT_TRY(ft_member_string(json, where, "type", &type));
  if (strcmp(type, "Sequence") == 0) return load_sequence(d, json);
  size_t k = 0;
  while (k < FT_ARRAY_SIZE(kinds) && strcmp(type, kinds[k].name) != 0)
    k++;
  FT_CHECK(k < FT_ARRAY_SIZE(kinds), FT_ERR_DATA,
           "%s: type %s is not supported; supported are Sequence, ByteLevel, ByteFallback, Fuse, "
           "Strip, Replace, Metaspace, BPEDecoder and WordPiece",
           where, type);
  FT_TRY(
      ft_grow(FT_MEM_TOKENIZER, d->count + 1, sizeof *d->steps, &d->capacity, (void **)&d->steps));
  step *s = &d->steps[d->count++];
  s->kind = kinds[k].kind;
  FT_TRY(load_members(json, s));
  d->has_regex = d->has_regex || s->pattern.regex;
out:
  return err;
}

ft_err ft_decoder_load(const cJSON *json, ft_decoder **out) {
  ft_err err = FT_OK;
  void *memory = NULL;
  *out = NULL;
  FT_TRY(ft_alloc(FT_MEM_TOKENIZER, sizeof **out, &memory));
  ft_decoder *d = memory;
  d->joins_with_spaces = !json;
  if (json) FT_TRY(load_step(d, json));
  *out = d;
  memory = NULL;
out:
  ft_decoder_free(memory);
  return err;
}

void ft_decoder_free(ft_decoder *d) {
  if (!d) return;
  for (int64_t i = 0; i < d->count; i++) {
    ft_pattern_fini(&d->steps[i].pattern);
    ft_free(d->steps[i].content);
  }
  ft_free(d->steps);
  ft_free(d);
}

/* ---------------------------------------------------------------- steps on one string
 * Each appends the result to out. */

static ft_err replace(const step *s, ft_regex_scratch *scratch, const char *text, size_t bytes,
                      ft_buffer *out) {
  ft_err err = FT_OK;
  size_t done = 0, start, end;
  bool found;
  ft_regex_matches m = {.regex = s->pattern.regex,
                        .scratch = scratch,
                        .text = text,
                        .bytes = bytes,
                        .unusual = true,
                        .last_end = SIZE_MAX};
  for (;;) {
    if (bytes == 0) break; /* patterns are not tried on nothing */
    FT_TRY(ft_pattern_next(&s->pattern, &m, &start, &end, &found));
    if (!found) break;
    FT_TRY(ft_buffer_put(out, text + done, start - done));
    FT_TRY(ft_buffer_put(out, s->content, strlen(s->content)));
    done = end;
  }
  FT_TRY(ft_buffer_put(out, text + done, bytes - done));
out:
  return err;
}

/* Replaces every `what` by `with`. */
static ft_err substitute(const char *what, const char *with, const char *text, size_t bytes,
                         ft_buffer *out) {
  size_t length = strlen(what);
  for (size_t i = 0; i < bytes;) {
    bool is_here = bytes - i >= length && memcmp(text + i, what, length) == 0;
    ft_err err = is_here ? ft_buffer_put(out, with, strlen(with)) : ft_buffer_put(out, text + i, 1);
    if (err != FT_OK) return err;
    i += is_here ? length : 1;
  }
  return FT_OK;
}

static ft_err strip(const step *s, const char *text, size_t bytes, bool front, bool back,
                    ft_buffer *out) {
  size_t from = 0, to = bytes, length = strlen(s->content);
  for (int64_t i = 0; front && i < s->start && to - from >= length; i++) {
    if (memcmp(text + from, s->content, length) != 0) break;
    from += length;
  }
  for (int64_t i = 0; back && i < s->stop && to - from >= length; i++) {
    if (memcmp(text + to - length, s->content, length) != 0) break;
    to -= length;
  }
  return ft_buffer_put(out, text + from, to - from);
}

/* What WordPiece's decoder puts right in English text, in this order. */
static ft_err clean_up(ft_buffer *text) {
  static const char *const pairs[][2] = {{" .", "."},     {" ?", "?"},           {" !", "!"},
                                         {" ,", ","},     {" ' ", "'"},          {" n't", "n't"},
                                         {" 'm", "'m"},   {" do not", " don't"}, {" 's", "'s"},
                                         {" 've", "'ve"}, {" 're", "'re"}};
  ft_buffer result = {0}, swap;
  ft_err err = FT_OK;
  for (size_t i = 0; i < FT_ARRAY_SIZE(pairs); i++) {
    result.bytes = 0;
    FT_TRY(substitute(pairs[i][0], pairs[i][1], text->data, text->bytes, &result));
    swap = *text;
    *text = result;
    result = swap;
  }
out:
  ft_buffer_fini(&result);
  return err;
}

/* A token that goes on with a word loses its prefix, another one begins with a space. */
static ft_err join_word(const step *s, const char *text, size_t bytes, bool first, ft_buffer *out) {
  ft_err err = FT_OK;
  ft_buffer word = {0};
  size_t prefix = strlen(s->content);
  bool goes_on = bytes >= prefix && memcmp(text, s->content, prefix) == 0;
  FT_TRY(ft_buffer_reserve(&word, 1)); /* never NULL */
  if (!first && !goes_on) FT_TRY(ft_buffer_put(&word, " ", 1));
  size_t cut = !first && goes_on ? prefix : 0;
  FT_TRY(ft_buffer_put(&word, text + cut, bytes - cut));
  if (s->cleans_up) FT_TRY(clean_up(&word));
  FT_TRY(ft_buffer_put(out, word.data, word.bytes));
out:
  ft_buffer_fini(&word);
  return err;
}

/* The byte that "<0xXX>" stands for, or -1. */
static int fallback_byte(const char *text, size_t bytes) {
  if (bytes != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
  int high = text[3] == '+' ? 0 : ft_hex_digit(text[3]), low = ft_hex_digit(text[4]);
  return high >= 0 && low >= 0 ? high * 16 + low : -1;
}

/* Well-formed UTF-8, U+FFFD for each part that is not. */
static ft_err put_lossy(ft_buffer *out, const char *text, size_t bytes) {
  for (size_t i = 0, skipped; i < bytes;) {
    size_t length = ft_utf8_next(text + i, bytes - i, &skipped);
    ft_err err =
        length > 0 ? ft_buffer_put(out, text + i, length) : ft_buffer_put(out, replacement, 3);
    if (err != FT_OK) return err;
    i += length > 0 ? length : skipped;
  }
  return FT_OK;
}

/* The bytes of a token in the byte alphabet; one with other characters stands for itself. */
static ft_err put_bytes(ft_buffer *out, const char *text, size_t bytes) {
  size_t length;
  ft_err err = ft_buffer_reserve(out, bytes);
  if (err != FT_OK) return err;
  if (!ft_byte_level_decode(text, bytes, out->data + out->bytes, &length))
    return ft_buffer_put(out, text, bytes);
  out->bytes += length;
  return FT_OK;
}

/* ---------------------------------------------------------------- steps on all strings */

/* Ends a run of byte tokens: text if it is some, else U+FFFD for each byte. */
static ft_err put_byte_run(ft_string_list *out, const ft_buffer *run) {
  size_t at;
  bool unusual;
  if (run->bytes == 0) return FT_OK;
  if (ft_unicode_check(run->data, run->bytes, &at, &unusual))
    return ft_string_list_add(out, run->data, run->bytes);
  for (size_t i = 0; i < run->bytes; i++) {
    ft_err err = ft_string_list_add(out, replacement, 3);
    if (err != FT_OK) return err;
  }
  return FT_OK;
}

static ft_err byte_fallback(const ft_string_list *in, ft_string_list *out) {
  ft_err err = FT_OK;
  ft_buffer run = {0};
  for (int64_t i = 0; i < in->count; i++) {
    size_t bytes;
    const char *text = ft_string_list_at(in, i, &bytes);
    int byte = fallback_byte(text, bytes);
    if (byte >= 0) {
      char value = (char)byte;
      FT_TRY(ft_buffer_put(&run, &value, 1));
      continue;
    }
    FT_TRY(put_byte_run(out, &run));
    run.bytes = 0;
    FT_TRY(ft_string_list_add(out, text, bytes));
  }
  FT_TRY(put_byte_run(out, &run));
out:
  ft_buffer_fini(&run);
  return err;
}

static ft_err byte_level(const ft_string_list *in, ft_string_list *out) {
  ft_err err = FT_OK;
  ft_buffer joined = {0};
  for (int64_t i = 0; i < in->count; i++) {
    size_t bytes;
    const char *text = ft_string_list_at(in, i, &bytes);
    FT_TRY(put_bytes(&joined, text, bytes));
  }
  FT_TRY(put_lossy(&out->text, joined.data, joined.bytes));
  FT_TRY(ft_string_list_end(out));
out:
  ft_buffer_fini(&joined);
  return err;
}

/* Steps that turn each string to one other. */
static ft_err each_string(const step *s, ft_regex_scratch *scratch, const ft_string_list *in,
                          ft_string_list *out) {
  ft_err err = FT_OK;
  for (int64_t i = 0; i < in->count; i++) {
    size_t bytes;
    const char *text = ft_string_list_at(in, i, &bytes);
    if (s->kind == REPLACE) {
      FT_TRY(replace(s, scratch, text, bytes, &out->text));
    } else if (s->kind == STRIP) {
      FT_TRY(strip(s, text, bytes, true, true, &out->text));
    } else if (s->kind == WORD_PREFIX) {
      FT_TRY(join_word(s, text, bytes, i == 0, &out->text));
    } else {
      bool drops = s->kind == METASPACE ? i == 0 && s->drops_first : i + 1 == in->count;
      FT_TRY(substitute(s->content, drops ? "" : " ", text, bytes, &out->text));
    }
    FT_TRY(ft_string_list_end(out));
  }
out:
  return err;
}

static ft_err apply_step(const step *s, ft_regex_scratch *scratch, const ft_string_list *in,
                         ft_string_list *out) {
  switch (s->kind) {
  case BYTES:
    return byte_level(in, out);
  case BYTE_FALLBACK:
    return byte_fallback(in, out);
  case FUSE:
    return ft_string_list_add(out, in->text.data, in->text.bytes);
  default:
    return each_string(s, scratch, in, out);
  }
}

ft_err ft_decoder_apply(const ft_decoder *d, ft_string_list *tokens, ft_buffer *out) {
  ft_err err = FT_OK;
  ft_string_list other = {0}, swap;
  ft_regex_scratch *scratch = NULL;
  if (d->has_regex) FT_TRY(ft_regex_scratch_new(&scratch));
  for (int64_t i = 0; i < d->count; i++) {
    other.count = 0;
    other.text.bytes = 0;
    FT_TRY(apply_step(&d->steps[i], scratch, tokens, &other));
    swap = *tokens;
    *tokens = other;
    other = swap;
  }
  for (int64_t i = 0; i < tokens->count; i++) {
    size_t bytes;
    const char *text = ft_string_list_at(tokens, i, &bytes);
    if (i > 0 && d->joins_with_spaces) FT_TRY(ft_buffer_put(out, " ", 1));
    FT_TRY(ft_buffer_put(out, text, bytes));
  }
out:
  ft_string_list_fini(&other);
  ft_regex_scratch_free(scratch);
  return err;
}

/* ---------------------------------------------------------------- one token of a stream */

/* The step's effect on a token of its own. *is_bytes: text may be part of a character; *fused: the
 * steps before made one string of all tokens. */
static ft_err piece_step(const step *s, ft_regex_scratch *scratch, const ft_buffer *in, bool first,
                         bool *is_bytes, bool *fused, ft_buffer *out) {
  int byte = s->kind == BYTE_FALLBACK ? fallback_byte(in->data, in->bytes) : -1;
  char value = (char)byte;
  bool front = first || !*fused;
  switch (s->kind) {
  case BYTES:
    *is_bytes = *fused = true;
    return put_bytes(out, in->data, in->bytes);
  case BYTE_FALLBACK:
    if (byte < 0) break;
    *is_bytes = true;
    return ft_buffer_put(out, &value, 1);
  case FUSE:
    *fused = true;
    break;
  case STRIP:
    return strip(s, in->data, in->bytes, front, !*fused, out);
  case METASPACE:
    return substitute(s->content, first && s->drops_first ? "" : " ", in->data, in->bytes, out);
  case WORD_SUFFIX:
    return substitute(s->content, " ", in->data, in->bytes, out);
  case WORD_PREFIX:
    return join_word(s, in->data, in->bytes, first, out);
  case REPLACE:
    if (*is_bytes) break;
    return replace(s, scratch, in->data, in->bytes, out);
  }
  return ft_buffer_put(out, in->data, in->bytes);
}

bool ft_decoder_is_bytes(const ft_decoder *d) {
  return d->count == 1 && d->steps[0].kind == BYTES && !d->joins_with_spaces;
}

ft_err ft_decoder_piece(const ft_decoder *d, const char *content, size_t bytes, bool first,
                        ft_buffer *out) {
  ft_err err = FT_OK;
  ft_buffer text[2] = {{0}, {0}};
  ft_regex_scratch *scratch = NULL;
  bool is_bytes = false, fused = false;
  int now = 0;
  if (d->has_regex) FT_TRY(ft_regex_scratch_new(&scratch));
  FT_TRY(ft_buffer_reserve(&text[0], bytes + 1));
  if (d->joins_with_spaces && !first) FT_TRY(ft_buffer_put(&text[0], " ", 1));
  FT_TRY(ft_buffer_put(&text[0], content, bytes));
  for (int64_t i = 0; i < d->count; i++, now = !now) {
    text[!now].bytes = 0;
    FT_TRY(ft_buffer_reserve(&text[!now], 1)); /* never NULL */
    FT_TRY(piece_step(&d->steps[i], scratch, &text[now], first, &is_bytes, &fused, &text[!now]));
  }
  FT_TRY(ft_buffer_put(out, text[now].data, text[now].bytes));
out:
  ft_buffer_fini(&text[0]);
  ft_buffer_fini(&text[1]);
  ft_regex_scratch_free(scratch);
  return err;
}
