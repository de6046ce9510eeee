/* From what a template writes to ids and mask. Text between two control tokens is tokenized in one
 * piece, whoever wrote its parts, so ids are those of the whole rendered string; which of the
 * tokens are targets is then found by their bytes: a token is one if any of its bytes is to be
 * learnt. */
#define _GNU_SOURCE /* memmem */
#include <string.h>

#include "canvas.h"

enum { PIECE_ROOM = 4096 };

void ft_canvas_init(ft_canvas *c, const ft_tokenizer *t, ft_ids *out) {
  *c = (ft_canvas){.tokenizer = t, .out = out, .first = out->count};
}

/* Notes that the last `bytes` of the text are to be learnt. */
static ft_err mark(ft_canvas *c, size_t bytes) {
  ft_span *last = c->num_spans ? &c->spans[c->num_spans - 1] : NULL;
  if (last && last->end == c->length - bytes) {
    last->end = c->length;
    return FT_OK;
  }
  ft_err err = ft_grow(FT_MEM_PREP, c->num_spans + 1, sizeof *c->spans, &c->span_capacity,
                       (void **)&c->spans);
  if (err != FT_OK) return err;
  c->spans[c->num_spans++] = (ft_span){c->length - bytes, c->length};
  return FT_OK;
}

size_t ft_restore_zeros(char *text, size_t bytes) {
  size_t used = 0;
  for (size_t i = 0; i < bytes; used++) {
    bool zero = bytes - i >= 2 && memcmp(text + i, FT_JSON_ZERO, 2) == 0;
    text[used] = zero ? 0 : text[i];
    i += zero ? 2 : 1;
  }
  return used;
}

void ft_canvas_bytes(ft_canvas *c, const char *text, size_t bytes, bool target) {
  if (c->err != FT_OK || bytes == 0) return;
  c->err = ft_grow_bytes(FT_MEM_PREP, c->length + bytes, &c->capacity, (void **)&c->text);
  if (c->err != FT_OK) return;
  memcpy(c->text + c->length, text, bytes);
  if (memmem(text, bytes, FT_JSON_ZERO, 2)) bytes = ft_restore_zeros(c->text + c->length, bytes);
  c->length += bytes;
  if (target) c->err = mark(c, bytes);
}

void ft_canvas_text(ft_canvas *c, const char *text, bool target) {
  ft_canvas_bytes(c, text, strlen(text), target);
}

/* ---------------------------------------------------------------- where tokens end */

/* ends[i] = bytes of the pieces of ids 0 … i, for tokens that begin at or before byte `until`; what
 * is behind does not matter. `text` (NULL: not compared) must be what these pieces make when put
 * together. Returns how many tokens these are, or -1 if the pieces are not the text. */
static int64_t piece_ends(const ft_tokenizer *t, const uint32_t *ids, int64_t count, bool first,
                          const char *text, size_t length, size_t until, size_t *ends) {
  char piece[PIECE_ROOM];
  size_t at = 0;
  int64_t i = 0;
  for (; i < count && at <= until; i++) {
    size_t bytes = ft_tokenizer_piece(t, ids[i], first && i == 0, piece, sizeof piece);
    if (bytes > sizeof piece) return -1;
    if (text && (bytes > length - at || memcmp(text + at, piece, bytes) != 0)) return -1;
    at += bytes;
    ends[i] = at;
  }
  return text && i == count && at != length ? -1 : i;
}

/* Where byte `at` of the text falls in its pieces, when normalization made them differ from the
 * text: what the text before it comes to on its own. */
static ft_err normalized_place(ft_canvas *c, size_t at, bool behind, size_t *place) {
  ft_err err = FT_OK;
  ft_ids ids = {0};
  void *ends = NULL;
  *place = 0;
  if (at == 0) return FT_OK;
  FT_TRY(ft_tokenizer_encode_part(c->tokenizer, c->text, at, false, behind, 0, &ids));
  if (ids.count == 0) goto out;
  FT_TRY(ft_alloc_array(FT_MEM_PREP, ids.count, sizeof(size_t), &ends));
  FT_CHECK(piece_ends(c->tokenizer, ids.ids, ids.count, false, NULL, 0, SIZE_MAX, ends) >= 0,
           FT_ERR_DATA, "a token of more than %d bytes", PIECE_ROOM);
  *place = ((size_t *)ends)[ids.count - 1];
out:
  ft_free(ends);
  ft_ids_fini(&ids);
  return err;
}

/* Moves spans from bytes of the text to bytes of the pieces. */
static ft_err normalize_spans(ft_canvas *c, bool behind) {
  for (int64_t i = 0; i < c->num_spans; i++) {
    ft_span moved;
    ft_err err = normalized_place(c, c->spans[i].begin, behind, &moved.begin);
    if (err == FT_OK) err = normalized_place(c, c->spans[i].end, behind, &moved.end);
    if (err != FT_OK) return err;
    c->spans[i] = moved;
  }
  return FT_OK;
}

/* Sets the mask of the tokens that have a byte in a span, given where the first `known` of them
 * end; the others begin behind the last border of a span. */
static void mask_tokens(const ft_canvas *c, const size_t *ends, int64_t known, bool rest,
                        uint8_t *mask, int64_t count) {
  size_t begin = 0;
  int64_t s = 0;
  for (int64_t i = 0; i < known; i++) {
    while (s < c->num_spans && c->spans[s].end <= begin)
      s++;
    mask[i] = s < c->num_spans && ends[i] > c->spans[s].begin;
    begin = ends[i];
  }
  memset(mask + known, rest, (size_t)(count - known));
}

/* Tokenizes the text since the last control token. `before` is the number of tokens then. Pieces
 * are put together only up to the last border inside of the text. */
static ft_err mask_run(ft_canvas *c, int64_t before) {
  ft_err err = FT_OK;
  const ft_tokenizer *t = c->tokenizer;
  const uint32_t *ids = c->out->ids + before;
  uint8_t *mask = c->out->mask + before;
  int64_t count = c->out->count - before;
  const ft_span *last = &c->spans[c->num_spans - 1];
  bool to_end = last->end == c->length;
  size_t until = to_end ? last->begin : last->end;
  void *ends = NULL;
  if (until == 0) { /* all of it: where tokens end does not matter */
    memset(mask, 1, (size_t)count);
    return FT_OK;
  }
  FT_TRY(ft_alloc_array(FT_MEM_PREP, count, sizeof(size_t), &ends));
  int64_t known = piece_ends(t, ids, count, true, c->text, c->length, until, ends);
  if (known < 0) known = piece_ends(t, ids, count, false, c->text, c->length, until, ends);
  if (known < 0) {
    known = piece_ends(t, ids, count, false, NULL, 0, SIZE_MAX, ends);
    FT_CHECK(known >= 0, FT_ERR_DATA, "a token of more than %d bytes", PIECE_ROOM);
    FT_TRY(normalize_spans(c, before > c->first));
  }
  mask_tokens(c, ends, known, to_end, mask, count);
out:
  ft_free(ends);
  return err;
}

static void flush(ft_canvas *c) {
  if (c->err != FT_OK || c->length == 0) return;
  int64_t before = c->out->count;
  c->err = ft_tokenizer_encode_part(c->tokenizer, c->text, c->length, false, before > c->first, 0,
                                    c->out);
  bool made = c->err == FT_OK && c->out->count > before; /* a text may have no token at all */
  if (made && c->num_spans > 0) c->err = mask_run(c, before);
  c->length = 0;
  c->num_spans = 0;
}

void ft_canvas_break(ft_canvas *c) {
  flush(c);
}

void ft_canvas_token(ft_canvas *c, int64_t id, bool target) {
  flush(c);
  if (c->err != FT_OK) return;
  uint32_t value = (uint32_t)id;
  c->err = ft_ids_append(c->out, &value, 1, target);
}

ft_err ft_canvas_finish(ft_canvas *c) {
  flush(c);
  if (c->err == FT_OK && c->out->count > c->first) c->out->mask[c->first] = 0;
  ft_free(c->text);
  ft_free(c->spans);
  return c->err;
}

void ft_canvas_content(ft_canvas *c, const char *text, size_t bytes, bool target) {
  size_t begin = 0, at = 0;
  const ft_special *found;
  while (c->specials && (found = ft_specials_next(c->specials, text, bytes, &at))) {
    if (found->is_control && c->spelled) ft_spelled_add(c->spelled, found->id);
    size_t end = at + found->bytes;
    if (!found->is_control || c->takes_control) {
      ft_canvas_bytes(c, text + begin, at - begin, target);
      ft_canvas_token(c, found->id, target);
      begin = end;
    }
    at = end;
  }
  ft_canvas_bytes(c, text + begin, bytes - begin, target);
}
