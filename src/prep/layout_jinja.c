/* The layouts as chat templates in Jinja, which other programs read from a model directory: they
 * write the same texts as template_layout.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ft/prep.h"

/* Conversations of ChatML and Llama 3 differ in their marks only. $1: what begins a conversation,
 * $2: before a role, $3: behind it, $4: the content, $5: behind that, $6: the system message for
 * those without one. */
static const char turns[] = "{%- if messages[0]['role'] != 'system' and $6 %}\n"
                            "{{- $1 + $2 + 'system' + $3 + $6 + $5 }}\n"
                            "{%- else %}\n"
                            "{{- $1 }}\n"
                            "{%- endif %}\n"
                            "{%- for message in messages %}\n"
                            "{{- $2 + message['role'] + $3 + $4 + $5 }}\n"
                            "{%- endfor %}\n"
                            "{%- if add_generation_prompt %}\n"
                            "{{- $2 + 'assistant' + $3 }}\n"
                            "{%- endif %}\n";

/* Llama 2. $6: the system message for conversations without one. */
static const char llama2[] = "{%- set said = namespace(system = $6) %}\n"
                             "{%- for message in messages %}\n"
                             "{%- if message['role'] == 'system' %}\n"
                             "{%- set said.system = message['content'] %}\n"
                             "{%- elif message['role'] == 'user' %}\n"
                             "{%- if said.system %}\n"
                             "{{- '<s>[INST] <<SYS>>\\n' + said.system + '\\n<</SYS>>\\n\\n' + "
                             "message['content'].rstrip() + "
                             "' [/INST]' }}\n"
                             "{%- else %}\n"
                             "{{- '<s>[INST] ' + message['content'].strip() + ' [/INST]' }}\n"
                             "{%- endif %}\n"
                             "{%- set said.system = '' %}\n"
                             "{%- else %}\n"
                             "{{- ' ' + message['content'].strip() + ' </s>' }}\n"
                             "{%- endif %}\n"
                             "{%- endfor %}\n";

/* Alpaca. $1: what begins a text, $5: what ends an answer, $6: the system message for conversations
 * without one. */
static const char alpaca[] =
    "{%- set said = namespace(before = '') %}\n"
    "{{- $1 }}\n"
    "{%- if messages[0]['role'] != 'system' and $6 %}\n"
    "{{- $6 }}\n"
    "{%- set said.before = '\\n\\n' %}\n"
    "{%- endif %}\n"
    "{%- for message in messages %}\n"
    "{%- if message['role'] == 'system' %}\n"
    "{{- message['content'] }}\n"
    "{%- elif message['role'] == 'user' %}\n"
    "{{- said.before + '### Instruction:\\n' + message['content'] + '\\n\\n### Response:\\n' }}\n"
    "{%- else %}\n"
    "{{- message['content'] + $5 }}\n"
    "{%- endif %}\n"
    "{%- if message['content'] %}\n"
    "{%- set said.before = '\\n\\n' %}\n"
    "{%- endif %}\n"
    "{%- endfor %}\n";

/* Plain: as Alpaca. */
static const char plain[] = "{{- $1 }}\n"
                            "{%- if messages[0]['role'] != 'system' and $6 %}\n"
                            "{{- $6 + '\\n' }}\n"
                            "{%- endif %}\n"
                            "{%- for message in messages %}\n"
                            "{%- if message['role'] == 'assistant' %}\n"
                            "{{- message['content'] + $5 }}\n"
                            "{%- else %}\n"
                            "{{- message['content'] + '\\n' }}\n"
                            "{%- endif %}\n"
                            "{%- endfor %}\n";

/* A text as a string of Jinja. */
static void put_literal(FILE *f, const char *text) {
  fputc('\'', f);
  for (; *text; text++) {
    if (*text == '\n')
      fputs("\\n", f);
    else if (*text == '\'' || *text == '\\')
      fprintf(f, "\\%c", *text);
    else
      fputc(*text, f);
  }
  fputc('\'', f);
}

/* What stands for $1 to $6: literals, but for $4, which is an expression. */
typedef struct words {
  const char *begin, *before_role, *after_role, *content, *end, *system;
} words;

static void put_form(FILE *f, const char *form, const words *w) {
  for (; *form; form++) {
    if (*form != '$') {
      fputc(*form, f);
      continue;
    }
    const char *const texts[] = {w->begin, w->before_role, w->after_role, NULL, w->end, w->system};
    const char *text = texts[*++form - '1'];
    if (text)
      put_literal(f, text);
    else
      fputs(w->content, f);
  }
}

/* What a post-processor puts before a text. */
static void get_begin(const ft_tokenizer *t, char *out, size_t size) {
  const uint32_t *before, *after;
  int64_t num_before, num_after;
  size_t used = 0;
  out[0] = 0;
  ft_tokenizer_post_processor(t, &before, &num_before, &after, &num_after);
  for (int64_t i = 0; i < num_before && used < size; i++) {
    const char *token = ft_tokenizer_token(t, before[i]);
    used += (size_t)snprintf(out + used, size - used, "%s", token ? token : "");
  }
}

static bool choose(const ft_tokenizer *t, const ft_render_options *o, const char **form, words *w,
                   char *begin, size_t size) {
  const char *end = o->eos >= 0 ? ft_tokenizer_token(t, o->eos) : NULL;
  w->system = o->system ? o->system : "";
  w->content = "message['content']";
  w->begin = "";
  w->end = end ? end : "";
  *form = turns;
  switch (o->template) {
  case FT_TEMPLATE_CHATML:
    w->before_role = "<|im_start|>";
    w->after_role = "\n";
    w->end = "<|im_end|>\n";
    return true;
  case FT_TEMPLATE_LLAMA3:
    w->begin = "<|begin_of_text|>";
    w->before_role = "<|start_header_id|>";
    w->after_role = "<|end_header_id|>\n\n";
    w->content = "message['content'].strip()";
    w->end = "<|eot_id|>";
    return true;
  case FT_TEMPLATE_LLAMA2:
    *form = llama2;
    return true;
  case FT_TEMPLATE_ALPACA:
    if (!o->system)
      w->system = "Below is an instruction that describes a task. Write a response that "
                  "appropriately completes the request.";
    *form = alpaca;
    break;
  case FT_TEMPLATE_PLAIN:
    *form = plain;
    break;
  default:
    return false;
  }
  get_begin(t, begin, size);
  w->begin = begin;
  return true;
}

ft_err ft_layout_jinja(const ft_tokenizer *t, const ft_render_options *options, char **out) {
  char begin[256], *text = NULL;
  const char *form;
  size_t bytes;
  words w = {0};
  *out = NULL;
  if (!choose(t, options, &form, &w, begin, sizeof begin)) return FT_OK;
  FILE *f = open_memstream(&text, &bytes);
  if (f) put_form(f, form, &w);
  bool good = f && !ferror(f);
  if (f) good = fclose(f) == 0 && good;
  ft_err err = good ? ft_strdup(text, out) : ft_fail(FT_ERR_MEMORY, "no memory for a template");
  free(text);
  return err;
}
