/* Cleaning rules of one document: names, actions, and what they look at. */
#include "clean.h"

#include <string.h>

/* ---------------------------------------------------------------- names */

static const char *const rules[FT_NUM_RULES] = {[FT_RULE_CONTROL_CHARACTERS] = "control_characters",
                                                [FT_RULE_EMPTY_ANSWER] = "empty_answer",
                                                [FT_RULE_TOO_SHORT] = "too_short",
                                                [FT_RULE_TOO_LONG] = "too_long",
                                                [FT_RULE_REPETITION] = "repetition",
                                                [FT_RULE_SYMBOLS] = "symbols",
                                                [FT_RULE_LINES] = "lines",
                                                [FT_RULE_EMAIL] = "email",
                                                [FT_RULE_PHONE] = "phone",
                                                [FT_RULE_CARD] = "card",
                                                [FT_RULE_IBAN] = "iban",
                                                [FT_RULE_IP] = "ip",
                                                [FT_RULE_EQUAL_ANSWERS] = "equal_answers",
                                                [FT_RULE_PROMPTS_DIFFER] = "prompts_differ",
                                                [FT_RULE_DUPLICATES] = "duplicates",
                                                [FT_RULE_NEAR_DUPLICATES] = "near_duplicates",
                                                [FT_RULE_CONTAMINATION] = "contamination"};

static const char *const actions[FT_NUM_ACTIONS] = {[FT_ACTION_OFF] = "off",
                                                    [FT_ACTION_FLAG] = "flag",
                                                    [FT_ACTION_DROP] = "drop",
                                                    [FT_ACTION_FIX] = "fix",
                                                    [FT_ACTION_REFUSE] = "refuse"};

enum {
  FIXABLE = 1u << FT_RULE_CONTROL_CHARACTERS | 1u << FT_RULE_EMAIL | 1u << FT_RULE_PHONE |
            1u << FT_RULE_CARD | 1u << FT_RULE_IBAN | 1u << FT_RULE_IP,
  PERSONAL = 1u << FT_RULE_EMAIL | 1u << FT_RULE_PHONE | 1u << FT_RULE_CARD | 1u << FT_RULE_IBAN |
             1u << FT_RULE_IP,
  QUALITY = 1u << FT_RULE_REPETITION | 1u << FT_RULE_SYMBOLS | 1u << FT_RULE_LINES,
  PAIRS = 1u << FT_RULE_EQUAL_ANSWERS | 1u << FT_RULE_PROMPTS_DIFFER,
  /* what one document trips alone */
  REFUSABLE = (1u << FT_RULE_DUPLICATES) - 1
};

const char *ft_rule_name(ft_rule rule) {
  FT_ASSERT(rule < FT_NUM_RULES);
  return rules[rule];
}

const char *ft_action_name(ft_action action) {
  FT_ASSERT(action < FT_NUM_ACTIONS);
  return actions[action];
}

ft_err ft_clean_set(ft_clean_options *options, const char *name, const char *action) {
  int r = 0, a = 0;
  while (r < FT_NUM_RULES && strcmp(rules[r], name) != 0)
    r++;
  if (r == FT_NUM_RULES)
    return ft_fail(
        FT_ERR_USAGE,
        "rule \"%.40s\" is unknown: control_characters, empty_answer, too_short, "
        "too_long, repetition, symbols, lines, email, phone, card, iban, ip, equal_answers, "
        "prompts_differ, duplicates, near_duplicates or contamination was expected",
        name);
  while (a < FT_NUM_ACTIONS && strcmp(actions[a], action) != 0)
    a++;
  if (a == FT_NUM_ACTIONS || (a == FT_ACTION_FIX && !(FIXABLE & 1u << r)) ||
      (a == FT_ACTION_REFUSE && !(REFUSABLE & 1u << r)))
    return ft_fail(FT_ERR_USAGE, "rule %s: action \"%.40s\": off, flag%s was expected", name,
                   action,
                   FIXABLE & 1u << r     ? ", drop, fix or refuse"
                   : REFUSABLE & 1u << r ? ", drop or refuse"
                                         : " or drop");
  options->actions[r] = (ft_action)a;
  return FT_OK;
}

void ft_clean_defaults(ft_clean_options *options) {
  *options = (ft_clean_options){
      .near_threshold = 0.7, .near_shingle = 3, .ngram = 13, .sort_bytes = (size_t)256 << 20};
  for (int r = 0; r <= FT_RULE_DUPLICATES; r++)
    options->actions[r] = PAIRS & 1u << r ? FT_ACTION_DROP : FT_ACTION_FLAG;
}

void ft_clean_all(ft_clean_options *options) {
  for (int r = 0; r < FT_NUM_RULES; r++)
    if (!(PERSONAL & 1u << r))
      options->actions[r] = FIXABLE & 1u << r ? FT_ACTION_FIX : FT_ACTION_DROP;
}

/* ---------------------------------------------------------------- findings */

void ft_finding(const ft_clean_options *options, ft_findings *f, ft_rule rule, const char *text,
                size_t bytes) {
  if (options->actions[rule] == FT_ACTION_OFF) return;
  if (!(f->hits & 1u << rule)) {
    size_t room = sizeof f->excerpt[0] - 1, length = FT_MIN(bytes, room);
    while (length > 0 && length < bytes && ((unsigned char)text[length] & 0xC0) == 0x80)
      length--; /* no half character */
    memcpy(f->excerpt[rule], text, length);
    f->excerpt[rule][length] = 0;
  }
  f->hits |= 1u << rule;
  if (options->actions[rule] == FT_ACTION_FIX) f->fixed |= 1u << rule;
  if (options->actions[rule] == FT_ACTION_DROP && f->drop == FT_NUM_RULES) f->drop = rule;
  if (options->actions[rule] == FT_ACTION_REFUSE && f->refuse == FT_NUM_RULES) f->refuse = rule;
}

void ft_findings_init(ft_findings *f) {
  *f = (ft_findings){.drop = FT_NUM_RULES, .refuse = FT_NUM_RULES};
}

ft_err ft_findings_check(const ft_findings *f) {
  if (f->refuse == FT_NUM_RULES) return FT_OK;
  return ft_fail(FT_ERR_DATA, "%s, which is to be refused: \"%s\"", rules[f->refuse],
                 f->excerpt[f->refuse]);
}

static uint32_t rules_on(const ft_clean_options *options, uint32_t among) {
  uint32_t on = 0;
  for (int r = 0; r < FT_NUM_RULES; r++)
    if (options->actions[r] != FT_ACTION_OFF) on |= among & 1u << r;
  return on;
}

/* ---------------------------------------------------------------- texts */

/* Bytes of the control character at the start: those of ASCII but tab and line ends, U+0080 to
 * U+009F, and a zero as JSON strings hold it. */
static size_t control_length(const char *text) {
  unsigned char c = (unsigned char)text[0], d = c ? (unsigned char)text[1] : 0;
  if (c == 0xC0 && d == 0x80) return 2;
  if (c == 0xC2 && d >= 0x80 && d < 0xA0) return 2;
  return (c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f') || c == 0x7F ? 1 : 0;
}

/* Whether one may begin among these bytes; compilers look at many at once. */
static bool may_have_control(const unsigned char *text, size_t bytes) {
  unsigned char found = 0;
  for (size_t i = 0; i < bytes; i++) {
    unsigned char c = text[i];
    unsigned char low = (unsigned char)((c < 0x20) & (c != '\t') & (c != '\n'));
    found |= (unsigned char)(low | (c == 0x7F) | (c == 0xC0) | (c == 0xC2));
  }
  return found;
}

/* The first control character at or behind `at`, or the end. */
static size_t next_control(const char *text, size_t bytes, size_t at) {
  enum { BLOCK = 64 };
  while (at < bytes) {
    size_t end = FT_MIN(at + BLOCK, bytes);
    if (may_have_control((const unsigned char *)text + at, end - at))
      for (size_t i = at; i < end; i++)
        if (control_length(text + i)) return i;
    at = end;
  }
  return bytes;
}

static void control_characters(const ft_clean_options *o, char *text, ft_findings *f) {
  bool fix = o->actions[FT_RULE_CONTROL_CHARACTERS] == FT_ACTION_FIX;
  size_t bytes = strlen(text), used = 0, done = 0, at = 0;
  while ((at = next_control(text, bytes, at)) < bytes) {
    size_t length = control_length(text + at);
    char code[16];
    int digits = snprintf(code, sizeof code, "0x%02x", (unsigned char)text[at + length - 1]);
    ft_finding(o, f, FT_RULE_CONTROL_CHARACTERS, code, (size_t)digits);
    if (fix) {
      memmove(text + used, text + done, at - done);
      used += at - done;
      done = at + length;
    }
    at += fix ? length : 1;
  }
  if (done == 0) return;
  memmove(text + used, text + done, bytes - done + 1);
}

/* A text that is put together anew. */
typedef struct rewriting {
  void *text;
  size_t used, capacity;
} rewriting;

static ft_err put(rewriting *w, const char *text, size_t bytes) {
  ft_err err = ft_grow_bytes(FT_MEM_OTHER, w->used + bytes + 1, &w->capacity, &w->text);
  if (err != FT_OK) return err;
  memcpy((char *)w->text + w->used, text, bytes);
  w->used += bytes;
  return FT_OK;
}

/* The rule's name, which stands in place of what it found: "[EMAIL]". */
static ft_err put_mark(rewriting *w, ft_rule rule) {
  char mark[24];
  int length = snprintf(mark, sizeof mark, "[%s]", rules[rule]);
  for (int i = 1; i < length - 1; i++)
    mark[i] = (char)(mark[i] - 32);
  return put(w, mark, (size_t)length);
}

static ft_err personal(const ft_clean_options *o, char **text, ft_findings *f) {
  ft_err err = FT_OK;
  ft_personal search;
  rewriting fresh = {0};
  ft_rule rule;
  size_t at, bytes;
  uint32_t on = rules_on(o, PERSONAL);
  if (!on) return FT_OK;
  ft_personal_begin(&search, on, *text);
  while ((rule = ft_personal_next(&search, &at, &bytes)) != FT_NUM_RULES) {
    ft_finding(o, f, rule, *text + at, bytes);
    if (o->actions[rule] != FT_ACTION_FIX) continue;
    FT_TRY(put(&fresh, *text + search.start, at - search.start));
    FT_TRY(put_mark(&fresh, rule));
    search.start = search.at;
  }
  if (!fresh.text) goto out;
  FT_TRY(put(&fresh, *text + search.start, search.length - search.start + 1));
  char *before = *text;
  *text = fresh.text;
  fresh.text = before;
out:
  ft_free(fresh.text);
  return err;
}

static ft_err quality(const ft_clean_options *o, ft_workroom *room, const char *text,
                      ft_findings *f) {
  uint32_t tripped = 0;
  size_t bytes = strlen(text);
  if (!rules_on(o, QUALITY)) return FT_OK;
  ft_err err = ft_quality(room, text, bytes, &tripped);
  for (int r = 0; r < FT_NUM_RULES; r++)
    if (tripped & 1u << r) ft_finding(o, f, (ft_rule)r, text, bytes);
  return err;
}

static bool is_blank(const char *text) {
  for (; *text; text++)
    if (*text != ' ' && *text != '\t' && *text != '\n' && *text != '\r') return false;
  return true;
}

/* One text; judged: what is to be learnt has to be good as well. */
static ft_err clean_text(const ft_clean_options *o, ft_workroom *room, char **text, bool judged,
                         ft_findings *f) {
  ft_err err = FT_OK;
  if (!*text) goto out;
  if (o->actions[FT_RULE_CONTROL_CHARACTERS]) control_characters(o, *text, f);
  FT_TRY(personal(o, text, f));
  if (judged) FT_TRY(quality(o, room, *text, f));
out:
  return err;
}

ft_err ft_clean_record(const ft_clean_options *o, ft_workroom *room, ft_record *r, ft_findings *f) {
  ft_err err = FT_OK;
  ft_findings_init(f);
  FT_TRY(clean_text(o, room, &r->text, true, f));
  for (ft_record *side = r; side; side = side->rejected)
    for (int64_t i = 0; i < side->num_messages; i++) {
      ft_message *m = &side->messages[i];
      FT_TRY(clean_text(o, room, &m->content, m->target, f));
      FT_TRY(clean_text(o, room, &m->input, false, f));
      if (m->target && !m->tool_calls && is_blank(m->content))
        ft_finding(o, f, FT_RULE_EMPTY_ANSWER, m->content, strlen(m->content));
    }
  if (r->prompts_differ)
    ft_finding(o, f, FT_RULE_PROMPTS_DIFFER, r->messages[0].content,
               strlen(r->messages[0].content));
out:
  return err;
}

void ft_clean_length(const ft_clean_options *o, int64_t tokens, ft_findings *f) {
  char text[32];
  int bytes = snprintf(text, sizeof text, "%lld tokens", (long long)tokens);
  if (o->min_tokens > 0 && tokens < o->min_tokens)
    ft_finding(o, f, FT_RULE_TOO_SHORT, text, (size_t)bytes);
  if (o->max_tokens > 0 && tokens > o->max_tokens)
    ft_finding(o, f, FT_RULE_TOO_LONG, text, (size_t)bytes);
}
