/* Small model directories for tests. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ft_test.h"
#include "tiny_tokenizer.h"

char *tiny_folder(void) {
  char name[] = "/tmp/ft-text-XXXXXX", *out;
  assert_non_null(mkdtemp(name));
  assert_ok(ft_strdup(name, &out));
  return out;
}

void tiny_remove(char *folder) {
  assert_ok(ft_remove_tree(folder));
  ft_free(folder);
}

void tiny_write(const char *folder, const char *name, const char *text) {
  char *path;
  assert_ok(ft_path_join(folder, name, &path));
  assert_ok(ft_write_file(path, text, strlen(text)));
  ft_free(path);
}

/* The character that stands for a byte in byte-level vocabularies, as UTF-8: printable Latin-1
 * bytes stand for themselves, the others follow from U+0100 on. */
static void byte_character(int byte, char out[3]) {
  int code = 0x100;
  for (int b = 0; b <= byte; b++) {
    bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
    if (b == byte && printable) code = b;
    if (b < byte && !printable) code++;
  }
  memset(out, 0, 3);
  if (code < 0x80) {
    out[0] = (char)code;
  } else {
    out[0] = (char)(0xC0 | (code >> 6));
    out[1] = (char)(0x80 | (code & 0x3F));
  }
}

static void add_piece(cJSON *vocab, const char *piece) {
  if (!ft_json_get(vocab, piece)) cJSON_AddNumberToObject(vocab, piece, cJSON_GetArraySize(vocab));
}

static cJSON *vocabulary(const tiny_spec *spec) {
  cJSON *vocab = cJSON_CreateObject();
  char piece[16];
  if (spec->byte_fallback) {
    add_piece(vocab, "<unk>");
    add_piece(vocab, "<s>");
    add_piece(vocab, "</s>");
    add_piece(vocab, "▁");
    for (char c = 'a'; c <= 'z'; c++)
      add_piece(vocab, (char[]){c, 0});
  }
  for (int b = 0; b < 256; b++) {
    if (spec->byte_fallback)
      snprintf(piece, sizeof piece, "<0x%02X>", b);
    else
      byte_character(b, piece);
    add_piece(vocab, piece);
  }
  for (const char *const *m = spec->merges; m && *m; m += 2) {
    snprintf(piece, sizeof piece, "%s%s", m[0], m[1]);
    add_piece(vocab, piece);
  }
  return vocab;
}

static cJSON *added_token(int64_t id, const char *content) {
  cJSON *token = cJSON_CreateObject();
  cJSON_AddNumberToObject(token, "id", (double)id);
  cJSON_AddStringToObject(token, "content", content);
  static const char *const no[] = {"single_word", "lstrip", "rstrip", "normalized"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(no); i++)
    cJSON_AddBoolToObject(token, no[i], false);
  cJSON_AddBoolToObject(token, "special", true);
  return token;
}

static cJSON *parsed(const char *text) {
  cJSON *json;
  assert_ok(ft_json_parse(text, strlen(text), "test", &json));
  return json;
}

static cJSON *post_processor(const char *bos, int64_t id) {
  char text[512];
  snprintf(text, sizeof text,
           "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"%s\","
           "\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],"
           "\"special_tokens\":{\"%s\":{\"id\":\"%s\",\"ids\":[%lld],\"tokens\":[\"%s\"]}}}",
           bos, bos, bos, (long long)id, bos);
  return parsed(text);
}

static void add_family(const tiny_spec *spec, cJSON *json) {
  static const char prepend[] =
      "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"▁\"},"
      "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"▁\"}]}";
  static const char spaces[] =
      "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"▁\"},"
      "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\","
      "\"content\":\" \",\"start\":1,\"stop\":0}]}";
  static const char words[] =
      "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
      "\" ?\\\\p{L}+|\\\\p{N}| "
      "?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},"
      "\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\",\"add_prefix_space\":"
      "false,\"trim_offsets\":true,\"use_regex\":false}]}";
  static const char byte_level[] = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_"
                                   "offsets\":true,\"use_regex\":true}";
  static const char metaspace[] = "{\"type\":\"Metaspace\",\"replacement\":\"▁\","
                                  "\"prepend_scheme\":\"first\",\"split\":false}";
  const char *normalizer = "null", *pre_tokenizer = words;
  if (spec->byte_fallback) {
    normalizer = spec->metaspace_first ? "null" : prepend;
    pre_tokenizer = spec->metaspace_first ? metaspace : "null";
  } else if (spec->nfc) {
    normalizer = "{\"type\":\"NFC\"}";
  }
  cJSON_AddItemToObject(json, "normalizer", parsed(normalizer));
  cJSON_AddItemToObject(json, "pre_tokenizer", parsed(pre_tokenizer));
  cJSON_AddItemToObject(json, "decoder", parsed(spec->byte_fallback ? spaces : byte_level));
}

ft_tokenizer *tiny_tokenizer(const char *folder, const tiny_spec *spec) {
  cJSON *json = cJSON_CreateObject(), *vocab = vocabulary(spec), *merges = cJSON_CreateArray();
  cJSON *added = cJSON_AddArrayToObject(json, "added_tokens");
  int64_t next = cJSON_GetArraySize(vocab), bos_id = -1;
  if (spec->byte_fallback)
    for (int i = 0; i < 3; i++)
      cJSON_AddItemToArray(added, added_token(i, (const char *const[]){"<unk>", "<s>", "</s>"}[i]));
  for (const char *const *s = spec->specials; s && *s; s++)
    cJSON_AddItemToArray(added, added_token(next++, *s));
  const cJSON *token;
  cJSON_ArrayForEach(token, added) {
    if (spec->bos && strcmp(ft_json_get(token, "content")->valuestring, spec->bos) == 0)
      bos_id = (int64_t)ft_json_get(token, "id")->valuedouble;
  }
  for (const char *const *m = spec->merges; m && *m; m += 2)
    cJSON_AddItemToArray(merges, cJSON_CreateStringArray(m, 2));
  add_family(spec, json);
  if (spec->bos) cJSON_AddItemToObject(json, "post_processor", post_processor(spec->bos, bos_id));
  cJSON *model = cJSON_AddObjectToObject(json, "model");
  cJSON_AddStringToObject(model, "type", "BPE");
  cJSON_AddBoolToObject(model, "byte_fallback", spec->byte_fallback);
  cJSON_AddBoolToObject(model, "fuse_unk", spec->byte_fallback);
  if (spec->byte_fallback) cJSON_AddStringToObject(model, "unk_token", "<unk>");
  cJSON_AddItemToObject(model, "vocab", vocab);
  cJSON_AddItemToObject(model, "merges", merges);
  char *path;
  assert_ok(ft_path_join(folder, "tokenizer.json", &path));
  assert_ok(ft_json_write(path, json));
  ft_free(path);
  cJSON_Delete(json);
  if (spec->config) tiny_write(folder, "tokenizer_config.json", spec->config);
  ft_tokenizer *t;
  assert_ok(ft_tokenizer_open(folder, &t));
  return t;
}
