/* Joints that no merge crosses. */
#include "joints.h"

#include <string.h>

enum { MARK = 0xFF }; /* stands for "▁", which is E2 96 81; no byte of UTF-8 is FF */

static bool is_mark(const char *text, size_t bytes) {
  return bytes >= 3 && memcmp(text, "▁", 3) == 0;
}

static void join(ft_joints *j, uint8_t left, uint8_t right) {
  j->joined[left][right >> 5] |= 1u << (right & 31);
}

static bool is_joined(const ft_joints *j, uint8_t left, uint8_t right) {
  return j->joined[left][right >> 5] >> (right & 31) & 1;
}

/* The character at text: its first and last byte. Returns its length. */
static size_t ends_of(const char *text, size_t bytes, uint8_t *first, uint8_t *last) {
  size_t length = ft_utf8_length(text[0]);
  *first = *last = (uint8_t)text[0];
  if (length == 1) return 1;
  *last = (uint8_t)text[length - 1];
  if (is_mark(text, bytes)) *first = *last = MARK;
  return length;
}

static void join_characters(ft_joints *j, const char *content) {
  size_t bytes = strlen(content);
  uint8_t before = 0, first, last;
  for (size_t i = 0, length; i < bytes; i += length, before = last) {
    length = ends_of(content + i, bytes - i, &first, &last);
    if (i > 0) join(j, before, first);
  }
}

/* Whether each byte of UTF-8 has a token, none of which merges. */
static bool has_plain_bytes(const ft_bpe *bpe) {
  for (int byte = 0; byte < 256; byte++) {
    bool occurs = byte < 0xC0 || (byte > 0xC1 && byte < 0xF5);
    if (occurs && (bpe->byte_tokens[byte] < 0 || bpe->byte_merges)) return false;
  }
  return bpe->byte_fallback;
}

void ft_joints_init(const ft_bpe *bpe, ft_joints *out) {
  *out = (ft_joints){0};
  out->usable = !bpe->prefix && !bpe->suffix && !bpe->ignore_merges && has_plain_bytes(bpe);
  if (!out->usable) return;
  for (uint64_t i = 0; i < bpe->merge_slots; i++)
    if (bpe->merges[i].key) join_characters(out, bpe->vocabulary->contents[bpe->merges[i].id]);
}

int64_t ft_joints_cut(const ft_joints *j, const char *text, size_t bytes, size_t *at, size_t *ends,
                      int64_t room) {
  int64_t count = 0;
  size_t i = *at;
  uint8_t before, first, last;
  if (i < bytes) i += ends_of(text + i, bytes - i, &first, &before);
  for (; i < bytes && count < room; before = last) {
    size_t length = ends_of(text + i, bytes - i, &first, &last);
    if (!is_joined(j, before, first)) ends[count++] = *at = i;
    i += length;
  }
  if (i >= bytes && *at < bytes && count < room) ends[count++] = *at = bytes;
  return count;
}
