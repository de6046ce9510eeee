/* Faults made on purpose, so that tests meet them at the same place every time. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ft/base.h"

enum { MAX_RULES = 32, POINT_BYTES = 48 };

typedef struct rule {
  char point[POINT_BYTES];
  long at;   /* 0: each time */
  long rank; /* -1: every rank */
  char action[POINT_BYTES];
  double seconds;
  long seen; /* times this process has come to the point */
} rule;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static rule rules[MAX_RULES];
static int num_rules;

_Noreturn static void refuse(const char *text) {
  fprintf(stderr, "ftrun: FT_FAULT: found \"%s\", expected POINT[@N][/RANK]=ACTION[:SECONDS]\n",
          text);
  _exit(FT_ERR_USAGE);
}

static bool is_action(const char *name) {
  static const char *const names[] = {"kill", "freeze", "usr1", "usr2", "term",  "int", "hup",
                                      "xcpu", "exit",   "fail", "nan",  "sleep", "slow"};
  for (size_t i = 0; i < FT_ARRAY_SIZE(names); i++)
    if (strcmp(name, names[i]) == 0) return true;
  return false;
}

/* Takes "MARKnumber" off the end of text; `otherwise` where there is no MARK. */
static long take_number(char *text, char mark, long otherwise, const char *whole) {
  char *at = strrchr(text, mark), *end;
  if (!at) return otherwise;
  long value = strtol(at + 1, &end, 10);
  if (end == at + 1 || *end || value < 0) refuse(whole);
  *at = 0;
  return value;
}

static void parse_rule(const char *text) {
  char left[2 * POINT_BYTES];
  rule *r = &rules[num_rules];
  if (num_rules == MAX_RULES || strlen(text) >= sizeof left) refuse(text);
  strcpy(left, text);
  char *action = strchr(left, '=');
  if (!action) refuse(text);
  *action++ = 0;
  char *seconds = strchr(action, ':');
  if (seconds) *seconds++ = 0;
  r->rank = take_number(left, '/', -1, text);
  r->at = take_number(left, '@', 0, text);
  r->seconds = seconds ? strtod(seconds, NULL) : 0;
  if (!*left || strlen(left) >= POINT_BYTES || !is_action(action) || !(r->seconds >= 0))
    refuse(text);
  strcpy(r->point, left);
  strcpy(r->action, action);
  num_rules++;
}

static void parse(void) {
  const char *text = getenv("FT_FAULT");
  if (!text || !*text) return;
  char *copy = strdup(text), *rest = NULL;
  for (char *part = copy ? strtok_r(copy, ",", &rest) : NULL; part;
       part = strtok_r(NULL, ",", &rest))
    parse_rule(part);
  free(copy);
}

static void act(const rule *r, ft_fault_effect *effect) {
  static const struct {
    const char *name;
    int number;
  } signals[] = {{"kill", SIGKILL}, {"freeze", SIGSTOP}, {"usr1", SIGUSR1}, {"usr2", SIGUSR2},
                 {"term", SIGTERM}, {"int", SIGINT},     {"hup", SIGHUP},   {"xcpu", SIGXCPU}};
  ft_log(FT_LOG_INFO, "fault made on purpose at %s: %s", r->point, r->action);
  for (size_t i = 0; i < FT_ARRAY_SIZE(signals); i++)
    if (strcmp(r->action, signals[i].name) == 0) kill(getpid(), signals[i].number);
  if (strcmp(r->action, "exit") == 0) _exit(1);
  if (strcmp(r->action, "sleep") == 0) ft_sleep_s(r->seconds);
  if (strcmp(r->action, "slow") == 0) effect->slow_s += r->seconds;
  if (strcmp(r->action, "fail") == 0) effect->fail = true;
  if (strcmp(r->action, "nan") == 0) effect->nan = true;
}

ft_fault_effect ft_fault(const char *point) {
  ft_fault_effect effect = {0};
  pthread_once(&once, parse);
  for (int i = 0; i < num_rules; i++) {
    rule *r = &rules[i];
    if (strcmp(r->point, point) != 0 || (r->rank >= 0 && r->rank != ft_log_rank())) continue;
    pthread_mutex_lock(&lock);
    long seen = ++r->seen;
    pthread_mutex_unlock(&lock);
    if (r->at == 0 || r->at == seen) act(r, &effect);
  }
  return effect;
}
