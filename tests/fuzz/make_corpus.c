/* Writes the inputs that fuzzing starts from: small good files of every kind, one folder a target.
 *
 *   make_corpus OUT TESTS      TESTS: the source tree's folder tests, which has tokenizers and
 *                              model configs
 */
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>

#include "ft/tokenizer.h"
#include "small_checkpoint.h"

static const char *out;

static void must(ft_err err) {
  if (err == FT_OK) return;
  fprintf(stderr, "make_corpus: %s\n", ft_error_message());
  exit(1);
}

/* OUT/TARGET/NAME, whose folder exists. Kept until the next call. */
static const char *seed_path(const char *target, const char *name) {
  static char *path, *dir;
  ft_free(path);
  ft_free(dir);
  must(ft_path_join(out, target, &dir));
  must(ft_make_dirs(dir));
  must(ft_path_join(dir, name, &path));
  return path;
}

static void seed(const char *target, const void *data, size_t bytes) {
  static int number;
  char name[32];
  snprintf(name, sizeof name, "seed-%03d", number++);
  must(ft_write_file(seed_path(target, name), data, bytes));
}

/* Texts without zeros, given as one list that ends with NULL. */
static void seed_texts(const char *target, const char *const *texts) {
  for (; *texts; texts++)
    seed(target, *texts, strlen(*texts));
}

/* ---------------------------------------------------------------- texts */

static void json(void) {
  static const char *const texts[] = {
      "{\"a\": [1, -2.5e-3, true, null, {\"b\": \"\\u00e4\\ud83d\\ude00 \xc3\xa4\"}], \"c\": {}}",
      "[[[[]]], \"\\u0000\\n\\\"\", 12345678901234567890, 0.1, 1e-05, 10000.0, -0]",
      "\xef\xbb\xbf{\"k\": false}", NULL};
  seed_texts("json", texts);
}

static void indexes(void) {
  static const char *const texts[] = {
      "{\"metadata\":{\"total_size\":28},\"weight_map\":{\"a\":\"one.safetensors\","
      "\"b\":\"two.safetensors\",\"c\":\"two.safetensors\"}}",
      "{\"weight_map\":{\"b\":\"one.safetensors\",\"c\":\"two.safetensors\"}}",
      "{\"weight_map\":{\"a\":\"../model/one.safetensors\"}}", NULL};
  seed_texts("index", texts);
}

static void run_configs(void) {
  static const char whole[] =
      "{\"model\":{\"path\":\"m\"},\"data\":{\"train\":[{\"path\":\"t\",\"weight\":0.5}],"
      "\"validation\":[{\"name\":\"v\",\"path\":\"w\"}],\"seq_len\":64,\"packing\":false,"
      "\"shuffle\":true},\"train\":{\"global_batch\":4,\"micro_batch\":2,\"steps\":10,"
      "\"epochs\":null,\"precision\":\"bf16\",\"grad_clip\":1.0,\"activation_checkpointing\":true},"
      "\"optimizer\":{\"name\":\"adamw\",\"lr\":1e-5,\"betas\":[0.9,0.95],\"eps\":1e-8,"
      "\"weight_decay\":0.1},\"schedule\":{\"name\":\"cosine\",\"warmup_steps\":1,"
      "\"min_lr_ratio\":0.1},\"sharding\":{\"stage\":3},\"validation\":{\"every\":5,"
      "\"patience\":null},\"checkpoint\":{\"every\":5,\"keep\":2},\"run\":{\"dir\":\"r\","
      "\"seed\":1,\"resume\":\"auto\",\"time_limit\":null}}";
  static const char overridden[] =
      "{\"model\":{\"path\":\"m\"},\"data\":{\"train\":[{\"path\":\"t\"}]},\"optimizer\":{\"lr\":1}"
      ",\"run\":{\"dir\":\"r\"}}\0train.epochs=0.5\0data.seq_len=7\0run.dir=else\0schedule.name=x";
  seed("run_config", whole, sizeof whole - 1);
  seed("run_config", overridden, sizeof overridden - 1);
}

static void records(void) {
  static const char *const lines[] = {
      "{\"text\":\"ab b\"}\n{\"text\":\"\\u0000\"}\n\n",
      "{\"instruction\":\"a\",\"input\":\"b\",\"output\":\" ab\",\"system\":\"s\","
      "\"history\":[[\"a\",\"b\"]]}\r\n",
      "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":"
      "[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},"
      "{\"role\":\"assistant\",\"content\":\"<s>\",\"weight\":0}]}",
      "{\"conversations\":[{\"from\":\"human\",\"value\":\"a\"},{\"from\":\"gpt\",\"value\":\"b\"}]"
      ","
      "\"tools\":[]}",
      "{\"prompt\":\"a\",\"completion\":\"b\"}\n{\"prompt\":[{\"role\":\"user\",\"content\":\"a\"}]"
      ","
      "\"completion\":[{\"role\":\"assistant\",\"content\":\"b\"}]}"};
  for (int template = 0; template <6; template ++) {
    const char *line = lines[template % 5];
    char text[1024];
    int length = snprintf(text, sizeof text, "%c%s", template, line);
    seed("records", text, (size_t)length);
  }
}

static void templates(void) {
  static const char chatml[] =
      "\1{\"eos_token\":\"</s>\",\"bos_token\":{\"content\":\"<s>\"},\"chat_template\":\"x\"}\0"
      "{{ bos_token }}{# no #}{% if a %}{{ '<|im_start|>system\\nBe a b.<|im_end|>\\n' }}"
      "{% endif %}{{'<|im_start|>' + r + '\\n' + c + '<|im_end|>'}}\0{\"eos_token_id\":[5,7]}";
  static const char llama3[] =
      "\3{\"chat_template\":[{\"name\":\"default\",\"template\":\"{% set date_string = \\\"26 Jul "
      "2024\\\" %}{{ '<|start_header_id|>' }}{{ \\\"Cutting Knowledge Date: December 2023\\\\n\\\" "
      "}}{{ \\\"Today Date: \\\" + date_string }}\"}]}";
  static const char llama2[] =
      "\2{\"chat_template\":\"{{ bos_token + '[INST] <<SYS>>' }}\",\"eos_token\":\"</s>\"}";
  static const char alpaca[] = "\4{}\0\0{\"eos_token_id\":5}";
  seed("template", chatml, sizeof chatml - 1);
  seed("template", llama3, sizeof llama3 - 1);
  seed("template", llama2, sizeof llama2 - 1);
  seed("template", alpaca, sizeof alpaca - 1);
}

/* Lines of the tests' cases are templates with all that the interpreter knows. */
static void jinja(const char *tests) {
  static const char *const files[] = {"statements", "expressions", "strings", "lists", "space"};
  static char line[8192];
  for (size_t i = 0; i < FT_ARRAY_SIZE(files); i++) {
    char *path;
    must(ft_format(&path, "%s/jinja/cases/%s.jsonl", tests, files[i]));
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
      cJSON *json;
      must(ft_json_parse(line, strlen(line), path, &json));
      const char *source = ft_json_get(json, "template")->valuestring;
      seed("jinja", source, strlen(source));
      cJSON_Delete(json);
    }
    if (f) fclose(f);
    ft_free(path);
  }
}

/* ---------------------------------------------------------------- from the tests' own files */

static cJSON *read_json(const char *dir, const char *name, const char *file) {
  char *path = NULL;
  cJSON *read = NULL;
  must(ft_format(&path, "%s/%s/%s", dir, name, file));
  must(ft_json_read(path, &read));
  ft_free(path);
  return read;
}

static void seed_json(const char *target, const cJSON *value) {
  char *text;
  must(ft_json_print(value, false, &text));
  seed(target, text, strlen(text));
  ft_free(text);
}

/* A tokenizer's parts around a model of few tokens: what is slow to read is not worth fuzzing. */
static void tokenizer(const char *dir, const char *name) {
  static const char vocab[] = "{\"a\":0,\"b\":1,\"ab\":2,\"<unk>\":3,\"\xe2\x96\x81\":4,"
                              "\"<0x0A>\":5,\"\xc4\xa0\":6}";
  cJSON *t = read_json(dir, name, "tokenizer.json"), *model = ft_json_get(t, "model");
  cJSON *added = ft_json_get(t, "added_tokens");
  cJSON_ReplaceItemInObjectCaseSensitive(model, "vocab", cJSON_Parse(vocab));
  cJSON_ReplaceItemInObjectCaseSensitive(model, "merges", cJSON_Parse("[\"a b\"]"));
  while (cJSON_GetArraySize(added) > 2)
    cJSON_DeleteItemFromArray(added, 2);
  int next = 7;
  for (cJSON *token = added->child; token; token = token->next) {
    bool is_unknown = strcmp(ft_json_get(token, "content")->valuestring, "<unk>") == 0;
    double id = is_unknown ? 3 : next++;
    (void)cJSON_SetNumberHelper(ft_json_get(token, "id"), id);
  }
  cJSON_DeleteItemFromObjectCaseSensitive(t, "padding");
  cJSON_DeleteItemFromObjectCaseSensitive(t, "truncation");
  seed_json("tokenizer", t);
  cJSON_Delete(t);
}

static void model_config(const char *dir, const char *name) {
  cJSON *config = read_json(dir, name, "config.json");
  seed_json("model_config", config);
  cJSON_Delete(config);
}

/* Calls `make` with each folder in TESTS/WHERE. */
static void each(const char *tests, const char *where,
                 void (*make)(const char *dir, const char *name)) {
  char *dir, **names;
  int64_t num;
  must(ft_path_join(tests, where, &dir));
  must(ft_list_dir(dir, &names, &num));
  for (int64_t i = 0; i < num; i++)
    make(dir, names[i]);
  ft_free_names(names, num);
  ft_free(dir);
}

/* ---------------------------------------------------------------- files of tensors */

static void safetensors(void) {
  static char plain[] =
      "\0\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
      "\"b\":{\"dtype\":\"I8\",\"shape\":[2,2,1,1,1],\"data_offsets\":[4,8]}}\0\0\0\0\0\0\0";
  ft_safetensor tensors[] = {{.name = "a", .dtype = FT_BF16, .num_dims = 2, .dims = {3, 5}},
                             {.name = "b", .dtype = FT_F32, .num_dims = 1, .dims = {5}},
                             {.name = "c", .dtype = FT_F16, .num_dims = 4, .dims = {1, 2, 1, 3}}};
  ft_safetensors_writer *w;
  char zeros[64] = {0};
  plain[0] = (char)(sizeof plain - 16); /* the header's bytes; eight of data follow */
  seed("safetensors", plain, sizeof plain);
  must(ft_safetensors_writer_new(seed_path("safetensors", "written"), tensors, 3, &w));
  must(ft_safetensors_write(w, zeros, 62));
  must(ft_safetensors_writer_close(w, true));
}

static void shards(void) {
  static const ft_tokens_kind kinds[] = {FT_TOKENS_TEXT, FT_TOKENS_SFT};
  for (int i = 0; i < 2; i++) {
    char hash[65] = "";
    ft_tokens_writer *w;
    if (i == 0) ft_sha256_hex("", 0, hash);
    must(ft_tokens_writer_new(seed_path("tokens", i ? "sft" : "text"), kinds[i], 100, hash, &w));
    for (int d = 0; d < 3; d++)
      must(ft_tokens_write(w, (uint32_t[]){7, 8, 9}, (uint8_t[]){0, 1, 1}, 3 - d));
    must(ft_tokens_writer_close(w, true));
  }
}

static void put_text(hid_t file, const char *name, const char *text, size_t bytes) {
  hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
  H5Tset_size(type, bytes ? bytes : H5T_VARIABLE);
  hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, type, bytes ? (const void *)text : (const void *)&text);
  H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
}

static void put_number(hid_t file, const char *name, uint32_t number) {
  hid_t space = H5Screate(H5S_SCALAR);
  hid_t attribute = H5Acreate2(file, name, H5T_STD_U32LE, space, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, H5T_NATIVE_UINT32, &number);
  H5Aclose(attribute);
  H5Sclose(space);
}

static void put_values(hid_t file, const char *name, hid_t type, const void *values,
                       hsize_t count) {
  hid_t space = H5Screate_simple(1, &count, NULL);
  hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  H5Dclose(set);
  H5Sclose(space);
}

/* By HDF5's library, in its older and its newest structures. */
static void shards_of_library(void) {
  static const uint32_t zeros[8] = {0};
  for (int newest = 0; newest < 2; newest++) {
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (newest) H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    const char *path = seed_path("tokens", newest ? "newest" : "older");
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    put_text(file, "format", "ftrun-tokens", 0);
    put_text(file, "kind", "text", newest ? 4 : 0);
    put_number(file, "version", 1);
    put_number(file, "vocab_size", 9);
    put_values(file, "tokens", H5T_STD_U32LE, zeros, 8);
    put_values(file, "loss_mask", H5T_STD_U8LE, zeros, 8);
    put_values(file, "offsets", H5T_STD_U64LE, (uint64_t[]){0, 3, 8}, 3);
    H5Fclose(file);
    H5Pclose(access);
  }
}

/* The slice files stand in the folder of their target, the manifest in its own. */
static void checkpoint(void) {
  char *dir, *manifest;
  (void)seed_path("slices", "");
  must(ft_path_join(out, "slices", &dir));
  small_checkpoint(dir, &manifest);
  seed("manifest", manifest, strlen(manifest));
  free(manifest);
  ft_free(dir);
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "make_corpus OUT TESTS\n");
    return 64;
  }
  out = argv[1];
  json();
  indexes();
  run_configs();
  records();
  templates();
  jinja(argv[2]);
  each(argv[2], "tokenizer/tokenizers", tokenizer);
  each(argv[2], "reference/trajectories", model_config);
  safetensors();
  shards();
  shards_of_library();
  checkpoint();
  return 0;
}
