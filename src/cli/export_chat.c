#include "export_chat.h"

#include <string.h>

#include "ft/hf.h"
#include "ft/io.h"
#include "ft/prep.h"

/* The first shard of a source, which is a file or a folder of files; NULL: there is none. */
static ft_err first_shard(const char *source, char **path) {
  ft_err err = FT_OK;
  char **names = NULL;
  int64_t count = 0;
  *path = NULL;
  if (!ft_path_is_dir(source)) return ft_strdup(source, path);
  FT_TRY(ft_list_dir(source, &names, &count));
  for (int64_t i = 0; i < count && !*path; i++) {
    const char *end = strrchr(names[i], '.');
    if (end && strcmp(end, ".h5") == 0) FT_TRY(ft_path_join(source, names[i], path));
  }
out:
  ft_free_names(names, count);
  return err;
}

/* Opens the first shard that knows what it was prepared with; *out NULL: none does, or none is
 * there any more (*gone). */
static ft_err open_prepared(const ft_config *config, ft_tokens_file **out, bool *gone) {
  ft_err err = FT_OK;
  char *path = NULL;
  *out = NULL;
  *gone = false;
  for (int64_t i = 0; i < config->num_train && !*out; i++) {
    ft_free(path);
    path = NULL;
    if (ft_path_exists(config->train[i].path)) FT_TRY(first_shard(config->train[i].path, &path));
    if (!path || ft_tokens_open(path, out) != FT_OK) {
      *gone = true;
      *out = NULL;
    } else if (!(*out)->preparation.template_name[0]) {
      ft_tokens_close(*out);
      *out = NULL;
    }
  }
out:
  ft_free(path);
  return err;
}

static void say(const ft_tokens_preparation *p, const ft_tokenizer *t,
                const ft_hf_chat_report *report, const char *out) {
  const char *end =
      p->num_end_of_turn > 0 ? ft_tokenizer_token(t, (int64_t)p->end_of_turn[0]) : NULL;
  if (report->added_ends)
    ft_log(
        FT_LOG_INFO,
        "answers end with %s: eos_token_id of %s/generation_config.json has it now; eos_token of "
        "tokenizer_config.json stays as it was",
        end ? end : "the end of a turn", out);
  if (report->added_template)
    ft_log(FT_LOG_INFO, "%s/chat_template.jinja writes conversations as the run learnt them (%s)",
           out, p->template_name);
  if (report->had_template && strcmp(p->template_name, "model") != 0)
    ft_log(
        FT_LOG_WARNING,
        "%s has a chat template of the model it began with, but the run learnt the layout %s: use "
        "generate --chat --template %s, or replace the template",
        out, p->template_name, p->template_name);
}

static ft_err add_chat(const ft_tokens_preparation *p, const ft_tokenizer *t, const char *out) {
  ft_err err = FT_OK;
  char *jinja = NULL;
  ft_hf_chat_report report;
  ft_render_options options = {.system = p->system && p->system[0] ? p->system : NULL,
                               .eos = p->num_end_of_turn > 0 ? (int64_t)p->end_of_turn[0] : -1};
  FT_TRY(ft_template_by_name(p->template_name, &options.template));
  FT_TRY(ft_layout_jinja(t, &options, &jinja));
  ft_hf_chat chat = {.template = jinja, .ends = p->end_of_turn, .num_ends = p->num_end_of_turn};
  FT_TRY(ft_hf_add_chat(out, &chat, &report));
  say(p, t, &report, out);
out:
  ft_free(jinja);
  return err;
}

ft_err ft_export_chat(const ft_config *config, const char *out) {
  ft_err err = FT_OK;
  ft_tokens_file *shard = NULL;
  ft_tokenizer *t = NULL;
  char *path = NULL;
  bool gone;
  FT_TRY(open_prepared(config, &shard, &gone));
  if (!shard) {
    if (gone)
      ft_log(
          FT_LOG_WARNING,
          "the run's training data are not there any more: whether they were chats, and how "
          "these end, is not known, and %s has the end tokens and template of the model it began "
          "with",
          out);
    goto out;
  }
  FT_TRY(ft_path_join(out, "tokenizer.json", &path));
  if (!ft_path_exists(path)) goto out; /* train has said so */
  FT_TRY(ft_tokenizer_open(out, &t));
  FT_TRY(add_chat(&shard->preparation, t, out));
out:
  ft_free(path);
  ft_tokenizer_close(t);
  ft_tokens_close(shard);
  return err;
}
