/* What of a rendered conversation the model itself has to produce: in each assistant's turn, from
 * the end of what add_generation_prompt would have written before it, up to and with the token that
 * ends the turn. The turn's place is known from the execution of the template; where its prompt
 * ends, from rendering the messages before it with add_generation_prompt. */
#include <string.h>

#include "chat.h"

/* ---------------------------------------------------------------- places */

/* Where the last text of any turn ends. */
static size_t last_turn_end(const ft_jinja_text *text) {
  size_t end = 0;
  for (int64_t i = 0; i < text->num_spans; i++)
    if (text->spans[i].turn >= 0) end = text->spans[i].end;
  return end;
}

/* End of the template's own text that begins at `at`. */
static size_t own_until(const ft_jinja_text *text, size_t at) {
  for (int64_t i = 0; i < text->num_spans; i++) {
    const ft_jinja_span *span = &text->spans[i];
    if (span->end > at && !ft_chat_is_own(text, span))
      return FT_MAX(at, i > 0 ? text->spans[i - 1].end : 0);
  }
  return text->bytes;
}

static size_t common_bytes(const char *a, size_t a_bytes, const char *b, size_t b_bytes) {
  size_t common = 0;
  while (common < a_bytes && common < b_bytes && a[common] == b[common])
    common++;
  return common;
}

/* Whether an added token is written at s. */
static bool begins_token(const ft_tokenizer *t, const char *s, size_t bytes) {
  for (int64_t i = 0; i < ft_tokenizer_num_added(t); i++) {
    const char *token = ft_tokenizer_token(t, ft_tokenizer_added_id(t, i));
    size_t length = strlen(token);
    if (length <= bytes && memcmp(s, token, length) == 0) return true;
  }
  return false;
}

/* Bytes of a prompt's first line with the line ends behind it. */
static size_t first_line(const char *prompt, size_t bytes) {
  const char *end = memchr(prompt, '\n', bytes);
  size_t at = end ? (size_t)(end - prompt) : bytes;
  while (at < bytes && prompt[at] == '\n')
    at++;
  return at;
}

/* How much of a prompt the turn begins with. If not with all of it, then with whole parts: the
 * first line, and what begins with an added token each. Of "<|im_start|>assistant\n<think>\n", a
 * turn that goes on with "<think></think>" begins with the first. */
static size_t matching_prompt(const ft_chat_run *run, const char *turn, size_t turn_bytes,
                              const char *prompt, size_t prompt_bytes) {
  size_t common = common_bytes(turn, turn_bytes, prompt, prompt_bytes);
  size_t line = first_line(prompt, prompt_bytes);
  while (common > 0 && common < prompt_bytes && common != line &&
         !begins_token(run->chat->tokenizer, prompt + common, prompt_bytes - common))
    common--;
  return common;
}

/* Where the prompt ends in what the template itself writes before a turn's first word: at its end,
 * if all of the prompt stands there (a first turn may have a beginning of the text before it, or a
 * system message that nobody gave), else behind as much of it as the turn begins with. */
static size_t prompt_in_turn(const ft_chat_run *run, const char *turn, size_t turn_bytes,
                             const char *prompt, size_t prompt_bytes) {
  bool last = prompt_bytes > 0 && prompt_bytes <= turn_bytes &&
              memcmp(turn + turn_bytes - prompt_bytes, prompt, prompt_bytes) == 0;
  return last ? turn_bytes : matching_prompt(run, turn, turn_bytes, prompt, prompt_bytes);
}

/* `at`, or the begin of the control token that it lies in. */
static size_t outside_of_tokens(const ft_chat_run *run, const ft_jinja_text *text, size_t begin,
                                size_t at) {
  size_t end;
  for (size_t place = begin;
       ft_chat_next_control(run->options->specials, text, &place, text->bytes, &end) && place < at;
       place = end)
    if (end > at) return place;
  return at;
}

/* ---------------------------------------------------------------- one turn */

/* Where the turn's prompt ends in the whole text. */
static ft_err find_start(ft_chat_run *run, int32_t turn, size_t begin, size_t end, size_t *start) {
  const ft_jinja_text *whole = run->whole, *part = run->part;
  ft_err err = ft_chat_run_render(run, turn, true, run->part);
  bool refused = err == FT_ERR_DATA; /* a conversation that ends there, but not the whole */
  if (refused) err = ft_chat_run_render(run, -1, true, run->part);
  if (err != FT_OK) return err;
  size_t from = last_turn_end(part), bytes = part->bytes - from;
  const char *prompt = part->text + from;
  bool prefix = !refused && part->bytes >= begin && part->bytes <= end &&
                memcmp(whole->text, part->text, part->bytes) == 0;
  if (prefix && (part->bytes > begin || bytes > 0 || !run->chat->prompt)) {
    *start = part->bytes;
    return FT_OK;
  }
  if (bytes == 0 && run->chat->prompt) {
    /* behind results of tools some templates prompt for nothing, and begin the turn as they begin
     * any other when it is there */
    prompt = run->chat->prompt;
    bytes = strlen(prompt);
  }
  /* history is written in another way: the prompt alone is what follows the last turn */
  size_t own = FT_MIN(own_until(whole, begin), end);
  *start = begin + prompt_in_turn(run, whole->text + begin, own - begin, prompt, bytes);
  return FT_OK;
}

/* Whether somebody else's words may stand in the turn: results of tools, which have no place of
 * their own (an empty one leaves no words). */
static bool has_others(const ft_chat_run *run, int32_t turn, size_t begin, size_t end) {
  const ft_jinja_text *text = run->whole;
  size_t at = 0, from, to;
  int64_t next = turn + 1 - run->first;
  if (next < run->record->num_messages && run->record->messages[next].role == FT_SPEAKER_TOOL &&
      !ft_chat_region(text, turn + 1, &from, &to))
    return true;
  for (int64_t i = 0; i < text->num_spans && at < end; i++) {
    const ft_jinja_span *span = &text->spans[i];
    const ft_jinja_origin *o = span->origin >= 0 ? &text->origins[span->origin] : NULL;
    if (span->end > begin && o && strcmp(o->variable, "messages") == 0 && o->index > turn)
      return true;
    at = span->end;
  }
  return false;
}

/* A control token at the end of [begin, end) that opens what others say: none that ends the
 * model's own turn. */
static size_t without_opening(const ft_chat_run *run, size_t begin, size_t end) {
  size_t stop;
  const ft_special *found;
  for (size_t at = begin;
       (found = ft_chat_next_control(run->options->specials, run->whole, &at, end, &stop));
       at = stop) {
    bool ends = ft_chat_is_stop(run->chat, found->id) || run->chat->end_of_turn == found->id;
    if (stop == end && !ends) return at;
  }
  return end;
}

/* Renders the conversation without the results of tools that follow a turn, or, where the template
 * refuses that, only up to the turn. */
static ft_err render_without_results(ft_chat_run *run, int32_t turn) {
  cJSON *all = run->messages, *some = cJSON_CreateArray(), *item;
  int32_t i = 0;
  bool added = some != NULL, follows = true;
  cJSON_ArrayForEach(item, all) {
    const cJSON *role = ft_json_get(item, "role");
    bool result = cJSON_IsString(role) && strcmp(role->valuestring, "tool") == 0;
    if (i > turn) follows = follows && result;
    if (i <= turn || !follows) added = added && cJSON_AddItemReferenceToArray(some, item);
    i++;
  }
  run->messages = some;
  ft_err err = added ? ft_chat_run_render(run, -1, false, run->part)
                     : ft_fail(FT_ERR_MEMORY, "no memory for a conversation");
  run->messages = all;
  cJSON_Delete(some);
  return err == FT_ERR_DATA ? ft_chat_run_render(run, turn + 1, false, run->part) : err;
}

/* Where the message's own words go on behind those of others, or `end`. */
static size_t own_words_behind(const ft_chat_run *run, int32_t turn, size_t begin, size_t end) {
  const ft_jinja_text *text = run->whole;
  size_t at = 0, found = end;
  bool others = false;
  for (int64_t i = 0; i < text->num_spans && at < end; i++) {
    const ft_jinja_span *span = &text->spans[i];
    const ft_jinja_origin *o = span->origin >= 0 ? &text->origins[span->origin] : NULL;
    bool of_messages = span->end > begin && o && strcmp(o->variable, "messages") == 0;
    if (of_messages && o->index > turn) {
      others = true;
      found = end;
    } else if (of_messages && o->index == turn && others && found == end &&
               !ft_chat_is_own(text, span)) {
      found = at;
    }
    at = span->end;
  }
  return found;
}

/* The turn without what others say in it: what is left when nobody says that, which is the turn's
 * begin up to *end, and perhaps its end from *rest on; else its own words behind theirs. */
static ft_err cut_others(ft_chat_run *run, int32_t turn, size_t begin, size_t *end, size_t *rest) {
  size_t from, to, whole_end = *end;
  const char *whole = run->whole->text;
  *rest = *end;
  if (!has_others(run, turn, begin, *end)) return FT_OK;
  ft_err err = render_without_results(run, turn);
  if (err != FT_OK) return err;
  if (!ft_chat_region(run->part, turn, &from, &to)) from = to = 0;
  size_t common = common_bytes(whole + begin, *end - begin, run->part->text + from, to - from);
  size_t alone = outside_of_tokens(run, run->part, from, from + common) - from;
  *end = outside_of_tokens(run, run->whole, begin, begin + alone);
  size_t left = to - from - (*end - begin); /* what else the turn has of its own */
  if (common == to - from && *end < whole_end)
    *end = without_opening(run, begin, *end);
  else if (left <= whole_end - *end &&
           memcmp(whole + whole_end - left, run->part->text + to - left, left) == 0)
    *rest = whole_end - left;
  else
    *rest = own_words_behind(run, turn, begin, whole_end);
  return FT_OK;
}

static size_t without_space(const char *text, size_t begin, size_t end) {
  while (end > begin && strchr(" \t\r\n", text[end - 1]) && text[end - 1])
    end--;
  return end;
}

/* The control token that stands at `at`, white space before it aside; NULL: none. */
static const ft_special *control_at(const ft_chat_run *run, size_t at, size_t *end) {
  const ft_jinja_text *text = run->whole;
  while (at < text->bytes && text->text[at] && strchr(" \t\r\n", text->text[at]))
    at++;
  size_t place = at;
  const ft_special *found =
      ft_chat_next_control(run->options->specials, text, &place, text->bytes, end);
  return found && place == at ? found : NULL;
}

/* Ends the turn with its last control token, or else with the one behind it that stops the model.
 * Line ends that a template writes between turns are nobody's to learn. */
static size_t find_end(const ft_chat_run *run, size_t start, size_t end) {
  size_t last = start, stop, bare = without_space(run->whole->text, start, end);
  const ft_special *found;
  for (size_t at = start;
       (found = ft_chat_next_control(run->options->specials, run->whole, &at, end, &stop));
       at = stop)
    last = stop;
  if (last == bare && last > start) return bare;
  found = control_at(run, end, &stop);
  return found && ft_chat_is_stop(run->chat, found->id) ? stop : end;
}

/* ---------------------------------------------------------------- all turns */

static ft_err add_target(ft_chat_run *run, size_t begin, size_t end) {
  if (begin >= end) return FT_OK;
  ft_span *last = run->num_targets ? &run->targets[run->num_targets - 1] : NULL;
  if (last && begin <= last->end) {
    last->end = FT_MAX(last->end, end);
    return FT_OK;
  }
  ft_err err = ft_grow(FT_MEM_PREP, run->num_targets + 1, sizeof *run->targets,
                       &run->target_capacity, (void **)&run->targets);
  if (err != FT_OK) return err;
  run->targets[run->num_targets++] = (ft_span){begin, end};
  return FT_OK;
}

/* Number of the record's message that is learnt last, or -1. */
static int64_t last_assistant(const ft_record *r) {
  int64_t last = -1;
  for (int64_t i = 0; i < r->num_messages; i++)
    if (r->messages[i].role == FT_SPEAKER_ASSISTANT) last = i;
  return last;
}

static bool is_learnt(const ft_chat_run *run, int32_t turn) {
  const ft_record *r = run->record;
  int64_t i = turn - run->first;
  return i >= 0 && i < r->num_messages && ft_message_is_learnt(run->options, r, i);
}

/* {% generation %}: the template says itself what the model writes. What is marked outside of all
 * turns belongs to the last one. */
static ft_err marked_targets(ft_chat_run *run) {
  ft_err err = FT_OK;
  size_t begin = 0;
  int32_t turn = (int32_t)last_assistant(run->record) + run->first;
  for (int64_t i = 0; i < run->whole->num_spans; i++) {
    const ft_jinja_span *span = &run->whole->spans[i];
    bool learnt = is_learnt(run, span->turn >= 0 ? span->turn : turn);
    if (span->generation && learnt) FT_TRY(add_target(run, begin, span->end));
    begin = span->end;
  }
out:
  return err;
}

/* The turn's place when the template gives no sign of it: between what is written without and with
 * the message. */
static ft_err find_by_prefixes(ft_chat_run *run, int32_t turn, size_t *begin, size_t *end) {
  ft_err err = FT_OK;
  size_t places[2];
  for (int i = 0; i < 2; i++) {
    FT_TRY(ft_chat_run_render(run, turn + i, false, run->part));
    places[i] = run->part->bytes;
    FT_CHECK(places[i] <= run->whole->bytes &&
                 memcmp(run->part->text, run->whole->text, places[i]) == 0,
             FT_ERR_DATA,
             "what the chat template writes of message %d cannot be told apart: it looks at "
             "messages in no loop, and writes earlier ones differently when others follow",
             (int)turn - run->first + 1);
  }
  *begin = places[0];
  *end = places[1];
out:
  return err;
}

/* What stands in the text because of this message, or nothing if the template drops it. */
static ft_err find_region(ft_chat_run *run, int32_t turn, size_t *begin, size_t *end) {
  *begin = *end = 0;
  if (ft_chat_region(run->whole, turn, begin, end)) return FT_OK;
  for (int64_t i = 0; i < run->whole->num_spans; i++) {
    const ft_jinja_span *span = &run->whole->spans[i];
    const ft_jinja_origin *o = span->origin >= 0 ? &run->whole->origins[span->origin] : NULL;
    if (o && strcmp(o->variable, "messages") == 0 && o->index == turn)
      return find_by_prefixes(run, turn, begin, end);
  }
  return FT_OK;
}

static ft_err add_turn(ft_chat_run *run, int32_t turn) {
  ft_err err = FT_OK;
  size_t begin, end, start, stop;
  FT_TRY(find_region(run, turn, &begin, &end));
  if (begin == end) return FT_OK;
  FT_TRY(find_start(run, turn, begin, end, &start));
  size_t whole_end = end, rest;
  FT_TRY(cut_others(run, turn, begin, &end, &rest));
  FT_TRY(add_target(run, start, find_end(run, start, end)));
  if (rest < whole_end) FT_TRY(add_target(run, rest, find_end(run, rest, whole_end)));
  /* an end of text that is written once, behind the last turn */
  const ft_special *found = control_at(run, whole_end, &stop);
  if (whole_end == last_turn_end(run->whole) && !run->open && found &&
      ft_chat_is_stop(run->chat, found->id))
    FT_TRY(add_target(run, stop - found->bytes, stop));
out:
  return err;
}

ft_err ft_chat_find_targets(ft_chat_run *run) {
  if (ft_jinja_has_generation(run->template)) return marked_targets(run);
  for (int64_t i = 0; i < run->record->num_messages; i++) {
    int32_t turn = (int32_t)i + run->first;
    if (!is_learnt(run, turn)) continue;
    ft_err err = add_turn(run, turn);
    if (err != FT_OK) return err;
  }
  return FT_OK;
}

bool ft_message_is_learnt(const ft_render_options *options, const ft_record *r, int64_t i) {
  const ft_message *m = &r->messages[i];
  if (!m->target) return false;
  return options->train_on == FT_TRAIN_ON_ALL ||
         (options->train_on == FT_TRAIN_ON_LAST && i == last_assistant(r)) ||
         (options->train_on == FT_TRAIN_ON_MARKED && m->marked);
}
