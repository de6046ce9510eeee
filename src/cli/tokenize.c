/* ftrun tokenize --model DIR [FILE.jsonl] [--chat] [--show]: ids of each line. */
#include <string.h>

#include "commands.h"
#include "check_template.h"
#include "common.h"
#include "ft/hf.h"
#include "ft/io_kind.h"
#include "ft/prep.h"
#include "show_tokens.h"

typedef struct arguments {
  const char *model, *input, *system;
  ft_template template;
  ft_train_on train_on;
  struct tm date;
  bool has_date, check;
  bool chat, show, color;
} arguments;

enum {
  OPTION_TEMPLATE = 256,
  OPTION_SYSTEM,
  OPTION_CHECK,
  OPTION_TRAIN_ON,
  OPTION_DATE,
  OPTION_COLOR
};

static const struct argp_option options[] = {
    {"model", 'm', "DIR", 0, "A directory with tokenizer files", 0},
    {"chat", 'c', NULL, 0, "Lines are training records, as prep reads them: print masks, too", 0},
    {"show", 's', NULL, 0, "Print tokens for people instead of JSON", 0},
    {"template", OPTION_TEMPLATE, "NAME", 0,
     "model (its own), or a layout: chatml, llama2, llama3, alpaca, plain (auto: the model's own, "
     "or a layout by its special tokens if it has none)",
     0},
    {"system", OPTION_SYSTEM, "TEXT", 0, "System message of chats that have none", 0},
    {"check-template", OPTION_CHECK, NULL, 0,
     "Tell what the model's own chat template does with roles, tools, reasoning and history", 0},
    {"train-on", OPTION_TRAIN_ON, "WHICH", 0,
     "Learn all messages of the assistant, the last, or those marked by a member (all)", 0},
    {"date", OPTION_DATE, "DATE", 0, "What chat templates take for today, YYYY-MM-DD (today)", 0},
    {"color", OPTION_COLOR, "WHEN", 0, "With --show: auto, always or never (auto)", 0},
    {0}};

static error_t take(int key, char *argument, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
  case 'm':
    a->model = argument;
    return 0;
  case 'c':
    a->chat = true;
    return 0;
  case 's':
    a->show = true;
    return 0;
  case OPTION_TEMPLATE:
    if (ft_template_by_name(argument, &a->template) != FT_OK)
      argp_error(state, "--template: %s", ft_error_message());
    return 0;
  case OPTION_SYSTEM:
    a->system = argument;
    return 0;
  case OPTION_CHECK:
    a->check = true;
    return 0;
  case OPTION_TRAIN_ON:
    if (ft_train_on_by_name(argument, &a->train_on) != FT_OK)
      argp_error(state, "--train-on: %s", ft_error_message());
    return 0;
  case OPTION_DATE:
    if (ft_date_by_name(argument, &a->date) != FT_OK)
      argp_error(state, "--date: %s", ft_error_message());
    a->has_date = true;
    return 0;
  case OPTION_COLOR:
    a->color = ft_cli_color(state, argument);
    return 0;
  case ARGP_KEY_ARG:
    if (a->input) argp_error(state, "\"%s\" was not expected: one file at a time", argument);
    a->input = argument;
    return 0;
  case ARGP_KEY_END:
    if (!a->model) argp_error(state, "--model is missing");
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

typedef struct job {
  const arguments *arguments;
  const char *input;
  ft_tokenizer *tokenizer;
  ft_render_options render;
  ft_record_rules rules;
  ft_document document;
} job;

static ft_err encode_text(job *j, const cJSON *json) {
  const cJSON *text = cJSON_IsObject(json) ? ft_json_get(json, "text") : NULL;
  if (!cJSON_IsString(text))
    return ft_fail(FT_ERR_DATA,
                   "{\"text\": \"…\"} was expected; training records of other forms are "
                   "read with --chat");
  return ft_encode_string(j->tokenizer, text->valuestring, true, 0, &j->document.ids);
}

static ft_err encode_line(job *j, const char *text, size_t bytes) {
  ft_err err = FT_OK;
  cJSON *json = NULL;
  FT_TRY(ft_line_parse(text, bytes, &json));
  if (j->arguments->chat)
    FT_TRY(ft_render_record(j->tokenizer, &j->render, &j->rules, json, &j->document));
  else
    FT_TRY(encode_text(j, json));
out:
  cJSON_Delete(json);
  return err;
}

/* 0000 to 9999, one behind the other; four bytes more can be read. */
static const char *four_digits(void) {
  static char digits[4 * 10000 + 4];
  static bool made;
  for (int i = 0; !made && i < 10000; i++)
    for (int k = 3, rest = i; k >= 0; k--, rest /= 10)
      digits[4 * i + k] = (char)('0' + rest % 10);
  made = true;
  return digits;
}

/* Writes a number in up to 10 digits; 3 bytes behind it may be overwritten. Returns its end. */
static char *put_number(char *to, uint32_t number, const char *digits) {
  if (number >= 10000) {
    to = put_number(to, number / 10000, digits);
    memcpy(to, digits + 4 * (number % 10000), 4);
    return to + 4;
  }
  int zeros = 3 - (number > 9) - (number > 99) - (number > 999);
  memcpy(to, digits + 4 * number + zeros, 4);
  return to + 4 - zeros;
}

/* Numbers with commas between them. */
static void print_numbers(const uint32_t *numbers, int64_t count) {
  enum { ROOM = 1 << 14, MOST = 16 };
  char text[ROOM + MOST], *to = text;
  const char *digits = four_digits();
  for (int64_t i = 0; i < count; i++) {
    if (i > 0) *to++ = ',';
    to = put_number(to, numbers[i], digits);
    if (to < text + ROOM) continue;
    fwrite(text, 1, (size_t)(to - text), stdout);
    to = text;
  }
  fwrite(text, 1, (size_t)(to - text), stdout);
}

static void print_ids(const ft_ids *ids, bool with_mask, const char *prefix) {
  printf("\"%sids\":[", prefix);
  print_numbers(ids->ids, ids->count);
  if (with_mask) {
    printf("],\"%sloss_mask\":[", prefix);
    for (int64_t i = 0; i < ids->count; i++)
      fputs(i == 0 ? (ids->mask[i] ? "1" : "0") : ids->mask[i] ? ",1" : ",0", stdout);
  }
  putchar(']');
}

static void show_line(const job *j, int64_t number) {
  const ft_document *d = &j->document;
  char heading[64];
  bool color = j->arguments->color, is_pair = d->rejected.count > 0;
  snprintf(heading, sizeof heading, "line %lld%s: ", (long long)number, is_pair ? ", chosen" : "");
  ft_show_tokens(stdout, heading, j->tokenizer, &d->ids, color);
  if (!is_pair) return;
  snprintf(heading, sizeof heading, "line %lld, rejected: ", (long long)number);
  ft_show_tokens(stdout, heading, j->tokenizer, &d->rejected, color);
}

static void print_line(const job *j, int64_t number) {
  const ft_document *d = &j->document;
  if (j->arguments->show) {
    show_line(j, number);
    return;
  }
  putchar('{');
  print_ids(&d->ids, j->arguments->chat, "");
  if (d->rejected.count > 0) {
    putchar(',');
    print_ids(&d->rejected, true, "rejected_");
  }
  if (d->kind == FT_TOKENS_UNPAIRED) printf(",\"label\":%s", d->value ? "true" : "false");
  if (d->kind == FT_TOKENS_CLASSES) printf(",\"label\":%d", (int)d->value);
  fputs("}\n", stdout);
}

static ft_err run_lines(job *j) {
  ft_err err = FT_OK;
  ft_lines *lines = NULL;
  const char *text;
  size_t bytes;
  bool too_long;
  if (strcmp(j->input, "-") != 0) FT_TRY(ft_kind_check(j->input, FT_WANT_RECORDS));
  FT_TRY(ft_lines_open(j->input, &lines));
  for (;;) {
    FT_TRY(ft_lines_next(lines, &text, &bytes, &too_long));
    if (!text) break;
    int64_t number = ft_lines_number(lines);
    FT_CHECK(!too_long, FT_ERR_DATA, "%s:%lld: is longer than %d MiB", ft_lines_path(lines),
             (long long)number, FT_LINE_MAX >> 20);
    j->document.ids.count = j->document.rejected.count = 0;
    j->document.kind = FT_TOKENS_TEXT;
    if (!ft_line_is_blank(text, bytes)) {
      err = encode_line(j, text, bytes);
      if (err != FT_OK) {
        ft_fail_prefix(err, "%s:%lld", ft_lines_path(lines), (long long)number);
        goto out;
      }
    }
    print_line(j, number);
    FT_CHECK(!ferror(stdout), FT_ERR_IO, "standard output cannot be written to");
  }
out:
  ft_lines_close(lines);
  return err;
}

static ft_err tokenize(const arguments *a) {
  ft_err err = FT_OK;
  job j = {.arguments = a, .input = a->input ? a->input : "-", .render = {.bos = -1, .eos = -1}};
  FT_TRY(ft_cli_alone("tokenize"));
  FT_TRY(ft_hf_check_sums(a->model));
  FT_TRY(ft_tokenizer_open(a->model, &j.tokenizer));
  if (a->chat || a->check) {
    ft_template wanted = a->check ? FT_TEMPLATE_MODEL : a->template;
    FT_TRY(ft_render_options_init(a->model, j.tokenizer, wanted, a->system, &j.render));
    j.render.train_on = a->train_on;
    if (a->has_date) j.render.date = a->date;
  }
  FT_TRY(a->check ? ft_cli_check_template(j.tokenizer, &j.render) : run_lines(&j));
out:
  ft_document_fini(&j.document);
  ft_render_options_fini(&j.render);
  ft_tokenizer_close(j.tokenizer);
  return err;
}

const struct argp ft_cli_tokenize_argp = {
    .options = options,
    .parser = take,
    .args_doc = "--model DIR [FILE.jsonl]",
    .doc = "Prints {\"ids\":[…]} of each {\"text\": …} line of FILE (or standard input): special "
           "tokens written in the text are recognised, none are added. With --chat: "
           "{\"ids\":[…],\"loss_mask\":[…]} of each training record."};

int ft_cli_tokenize(int argc, char **argv) {
  arguments a = {.color = ft_cli_color_auto()};
  ft_cli_parse(&ft_cli_tokenize_argp, argc, argv, &a);
  return ft_cli_end(tokenize(&a));
}
