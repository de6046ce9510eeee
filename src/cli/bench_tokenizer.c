/* Encoding alone. */
#include "bench_tokenizer.h"

#include <string.h>

#include "common.h"
#include "ft/prep.h"

/* All texts, in memory before the clock starts. */
typedef struct texts {
  char *text; /* one behind the other */
  size_t bytes, capacity;
  size_t *ends; /* [count] */
  int64_t count, ends_capacity;
} texts;

static void texts_fini(texts *t) {
  ft_free(t->text);
  ft_free(t->ends);
}

static ft_err add_text(texts *t, const char *text, size_t bytes) {
  ft_err err = FT_OK;
  FT_TRY(ft_grow_bytes(FT_MEM_PREP, t->bytes + bytes, &t->capacity, (void **)&t->text));
  memcpy(t->text + t->bytes, text, bytes);
  t->bytes += bytes;
  FT_TRY(ft_grow(FT_MEM_PREP, t->count + 1, sizeof *t->ends, &t->ends_capacity, (void **)&t->ends));
  t->ends[t->count++] = t->bytes;
out:
  return err;
}

static ft_err add_line(texts *t, const char *line, size_t bytes) {
  ft_err err = FT_OK;
  cJSON *json = NULL;
  FT_TRY(ft_line_parse(line, bytes, &json));
  const cJSON *text = cJSON_IsObject(json) ? ft_json_get(json, "text") : NULL;
  FT_CHECK(cJSON_IsString(text), FT_ERR_DATA, "{\"text\": \"…\"} was expected");
  FT_TRY(add_text(t, text->valuestring, strlen(text->valuestring)));
out:
  cJSON_Delete(json);
  return err;
}

/* Lines of {"text": …} if the first one begins like that, else the whole file as one text. */
static ft_err read_texts(const char *file, texts *t) {
  ft_err err = FT_OK;
  ft_lines *lines = NULL;
  const char *line;
  size_t bytes;
  bool too_long, is_plain = false;
  FT_TRY(ft_lines_open(file, &lines));
  for (;;) {
    FT_TRY(ft_lines_next(lines, &line, &bytes, &too_long));
    FT_CHECK(!too_long, FT_ERR_DATA, "%s:%lld: is longer than %d MiB", file,
             (long long)ft_lines_number(lines), FT_LINE_MAX >> 20);
    if (!line || is_plain) break;
    if (ft_line_is_blank(line, bytes)) continue;
    is_plain = t->count == 0 && line[0] != '{';
    if (is_plain) break;
    err = add_line(t, line, bytes);
    if (err != FT_OK)
      FT_TRY(ft_fail_prefix(err, "%s:%lld", file, (long long)ft_lines_number(lines)));
  }
  if (is_plain) {
    char *whole;
    FT_TRY(ft_read_file(file, SIZE_MAX, &whole, &bytes));
    err = add_text(t, whole, bytes);
    ft_free(whole);
  }
out:
  ft_lines_close(lines);
  return err;
}

static void print_result(const texts *t, int64_t tokens, double seconds, double cpu, bool json) {
  double rate = seconds > 0 ? (double)t->bytes / seconds : 0;
  if (json)
    printf("{\"texts\":%lld,\"bytes\":%zu,\"tokens\":%lld,\"seconds\":%.6f,"
           "\"cpu_seconds\":%.6f,\"bytes_per_second\":%.0f}\n",
           (long long)t->count, t->bytes, (long long)tokens, seconds, cpu, rate);
  else
    printf("%lld texts, %.1f MB to %lld tokens in %.3f s (%.3f s of the processor): "
           "%.1f MB/s on one thread\n",
           (long long)t->count, (double)t->bytes / 1e6, (long long)tokens, seconds, cpu,
           rate / 1e6);
}

ft_err ft_cli_bench_tokenizer(const char *model_dir, const char *file, bool json) {
  ft_err err = FT_OK;
  ft_tokenizer *tokenizer = NULL;
  texts t = {0};
  ft_ids ids = {0};
  int64_t tokens = 0;
  FT_TRY(ft_cli_alone("bench --tokenizer"));
  FT_TRY(ft_tokenizer_open(model_dir, &tokenizer));
  FT_TRY(read_texts(file, &t));
  double start = ft_now_s(), cpu_start = ft_thread_cpu_s();
  for (int64_t i = 0; i < t.count; i++) {
    size_t from = i > 0 ? t.ends[i - 1] : 0;
    ids.count = 0;
    FT_TRY(ft_tokenizer_encode(tokenizer, t.text + from, t.ends[i] - from, true, 0, &ids));
    tokens += ids.count;
  }
  print_result(&t, tokens, ft_now_s() - start, ft_thread_cpu_s() - cpu_start, json);
out:
  ft_ids_fini(&ids);
  texts_fini(&t);
  ft_tokenizer_close(tokenizer);
  return err;
}
