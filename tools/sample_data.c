/* sample_data: makes the sample texts that quickstart trains on.
 *
 *     sample_data stories|questions COUNT SEED > FILE.jsonl
 *
 * Both are about one small village with twelve people, composed from the grammar below. `stories`
 * prints {"text": …} records: portraits, meetings and small sums, in which every fact about the
 * village occurs again and again. `questions` prints {"messages": …} records whose answers can be
 * checked: facts, opposites, sums, counting, spelling, and who is where in a story just told.
 * The same COUNT and SEED give the same bytes anywhere, and no record twice. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

/* ---------------------------------------------------------------- the village */

typedef struct person {
  const char *name, *he; /* "she" or "he" */
  const char *trade, *colour, *place, *animal, *animal_name, *food;
} person;

static const person people[] = {
    {"Mara", "she", "baker", "red", "by the well", "cat", "Pip", "plum cake"},
    {"Tobin", "he", "miller", "white", "beside the stream", "donkey", "Moss", "barley bread"},
    {"Elka", "she", "weaver", "blue", "at the end of the lane", "goat", "Nettle", "onion soup"},
    {"Jory", "he", "smith", "black", "under the old oak", "dog", "Ember", "roast nuts"},
    {"Sanna", "she", "beekeeper", "yellow", "on the hill", "hen", "Dot", "honey toast"},
    {"Osric", "he", "shepherd", "grey", "above the meadow", "dog", "Fern", "sheep cheese"},
    {"Linde", "she", "potter", "brown", "behind the chapel", "duck", "Puddle", "pear pie"},
    {"Hobb", "he", "carpenter", "green", "near the bridge", "mule", "Plank", "pea soup"},
    {"Yara", "she", "fisher", "purple", "at the edge of the lake", "otter", "Ripple",
     "smoked trout"},
    {"Corwin", "he", "gardener", "orange", "inside the old wall", "rabbit", "Clover", "bean stew"},
    {"Wenna", "she", "teacher", "pink", "next to the school", "owl", "Inkpot", "apple tart"},
    {"Bram", "he", "ferryman", "golden", "across the river", "goose", "Admiral", "fried eggs"},
};

static const char *const opposites[][2] = {
    {"hot", "cold"},    {"big", "small"},   {"wet", "dry"},     {"fast", "slow"},
    {"day", "night"},   {"up", "down"},     {"open", "shut"},   {"full", "empty"},
    {"happy", "sad"},   {"hard", "soft"},   {"dark", "bright"}, {"high", "low"},
    {"near", "far"},    {"rich", "poor"},   {"loud", "quiet"},  {"clean", "dirty"},
    {"early", "late"},  {"strong", "weak"}, {"thick", "thin"},  {"left", "right"},
    {"sweet", "sour"},  {"first", "last"},  {"north", "south"}, {"summer", "winter"},
    {"sharp", "blunt"}, {"heavy", "light"}, {"old", "young"},   {"wide", "narrow"},
};

static const char *const spots[] = {"mill",    "well",    "bridge", "market", "school", "chapel",
                                    "orchard", "harbour", "barn",   "forge",  "meadow", "lake"};
static const char *const things[] = {"basket", "rope",  "lamp",   "ladder", "kettle", "blanket",
                                     "bucket", "spade", "letter", "drum",   "jug",    "broom"};
static const char *const goods[] = {"eggs",  "apples", "nuts",  "plums",
                                    "coins", "beans",  "pears", "candles"};
static const char *const words[] = {
    "bread", "mill",  "stone", "river", "honey", "sheep", "cloud",  "bell",   "wheel",  "garden",
    "lamp",  "boat",  "grass", "plum",  "horse", "wood",  "snow",   "cheese", "window", "apple",
    "door",  "chair", "spoon", "frost", "field", "goose", "bridge", "basket", "candle", "feather"};
static const char *const weathers[] = {"The sun was warm",        "Rain fell softly",
                                       "A cold wind blew",        "Snow lay on the roofs",
                                       "Mist hung over the lake", "The sky was clear"};
static const char *const times[] = {"One morning",      "At noon",       "In the evening",
                                    "Before breakfast", "On market day", "After school",
                                    "Late in the day"};
static const char *const endings[] = {
    "Then everyone went home.",      "They laughed and shook hands.",
    "The bell rang six times.",      "Soon the stars came out.",
    "It had been a good day.",       "Nobody in the village forgot it.",
    "The kettle sang on the stove.", "And that was the end of it."};

/* ---------------------------------------------------------------- chance and text */

static uint64_t chance; /* state of splitmix64 (Steele, Lea, Flood 2014) */

static uint64_t next_random(void) {
  uint64_t z = chance += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* 0 … count-1. The modulo's bias is far below what any text could show. */
static size_t pick(size_t count) {
  return (size_t)(next_random() % count);
}
#define ANY(list) ((list)[pick(COUNT_OF(list))])

typedef struct text {
  char bytes[2048];
  size_t length;
} text;

/* Appends; a record longer than the buffer is a mistake in the grammar. */
__attribute__((format(printf, 2, 3))) static void say(text *t, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int n = vsnprintf(t->bytes + t->length, sizeof t->bytes - t->length, format, arguments);
  va_end(arguments);
  if (n < 0 || (size_t)n >= sizeof t->bytes - t->length) {
    fprintf(stderr, "sample_data: a record is longer than %zu bytes\n", sizeof t->bytes);
    exit(70);
  }
  t->length += (size_t)n;
}

/* The same word with a capital letter, for the start of a sentence. Lent until the next call. */
static const char *capital(const char *word) {
  static char copy[64];
  snprintf(copy, sizeof copy, "%s", word);
  if (copy[0] >= 'a' && copy[0] <= 'z') copy[0] = (char)(copy[0] - 'a' + 'A');
  return copy;
}

static const char *article(const char *noun) {
  return strchr("aeiou", noun[0]) ? "an" : "a";
}

/* Two different people. */
static void pick_two(const person **a, const person **b) {
  size_t first = pick(COUNT_OF(people));
  size_t second = (first + 1 + pick(COUNT_OF(people) - 1)) % COUNT_OF(people);
  *a = &people[first];
  *b = &people[second];
}

/* Two different entries of a list. */
static void pick_pair(const char *const *list, size_t count, const char **a, const char **b) {
  size_t first = pick(count), second = (first + 1 + pick(count - 1)) % count;
  *a = list[first];
  *b = list[second];
}

/* ---------------------------------------------------------------- stories */

/* One of the facts about a person, told in one of two ways. */
static void tell_fact(text *t, const person *p, size_t fact) {
  bool plain = pick(2) == 0;
  switch (fact) {
  case 0:
    say(t, plain ? "%s is the %s. " : "In the village %s is known as the %s. ", p->name, p->trade);
    break;
  case 1:
    say(t, plain ? "%s's house is %s. " : "%s lives in a house that is %s. ", p->name, p->colour);
    break;
  case 2:
    say(t, plain ? "%s lives %s. " : "The house of %s stands %s. ", p->name, p->place);
    break;
  case 3:
    say(t, plain ? "%s keeps %s %s named %s. " : "With %s lives %s %s named %s. ", p->name,
        article(p->animal), p->animal, p->animal_name);
    break;
  default:
    say(t, plain ? "%s likes %s. " : "What %s likes best is %s. ", p->name, p->food);
  }
}

/* Three or four facts about one person, starting anywhere in the list. */
static void tell_portrait(text *t) {
  const person *p = &ANY(people);
  size_t first = pick(5), count = 3 + pick(2);
  for (size_t i = 0; i < count; i++)
    tell_fact(t, p, (first + i) % 5);
  say(t, "%s", ANY(endings));
}

/* Who went where with what: names, places and things that return, so copying pays. */
static void tell_meeting(text *t) {
  const person *a, *b;
  const char *here, *there, *thing, *other;
  pick_two(&a, &b);
  pick_pair(spots, COUNT_OF(spots), &here, &there);
  pick_pair(things, COUNT_OF(things), &thing, &other);
  say(t, "%s %s went to the %s with a %s. ", ANY(times), a->name, here, thing);
  say(t, "%s went to the %s with a %s. ", b->name, there, other);
  say(t, "%s. ", ANY(weathers));
  if (pick(2)) {
    say(t, "So %s was at the %s and %s was at the %s. ", a->name, here, b->name, there);
  } else {
    say(t, "%s carried the %s and %s carried the %s. ", a->name, thing, b->name, other);
  }
  say(t, "%s", ANY(endings));
}

static void tell_sum(text *t) {
  const person *p = &ANY(people);
  const char *what = ANY(goods);
  size_t a = 2 + pick(8), b = 2 + pick(8);
  say(t, "%s %s had %zu %s and found %zu more. ", ANY(times), p->name, a, what, b);
  say(t, "%zu plus %zu is %zu. ", a, b, a + b);
  say(t, "Now %s had %zu %s. ", p->he, a + b, what);
  say(t, "%s", ANY(endings));
}

static void say_numbers(text *t, size_t first, size_t last) {
  for (size_t i = first; i <= last; i++)
    say(t, i < last ? "%zu, " : "%zu.", i);
}

static void tell_count(text *t) {
  size_t first = 1 + pick(12), last = first + 3 + pick(6);
  say(t, "%s %s counted the %s from %zu to %zu: ", ANY(times), ANY(people).name, ANY(goods), first,
      last);
  say_numbers(t, first, last);
  say(t, " %s", ANY(endings));
}

static void tell_opposites(text *t) {
  for (size_t i = 0; i < 3; i++) {
    size_t pair = pick(COUNT_OF(opposites)), side = pick(2);
    const char *a = opposites[pair][side], *b = opposites[pair][1 - side];
    if (pick(2)) {
      say(t, "The opposite of %s is %s. ", a, b);
    } else {
      say(t, "%s is not %s, it is the opposite. ", capital(a), b);
    }
  }
  say(t, "So said %s, the %s.", people[10].name, people[10].trade);
}

static void make_story(text *t) {
  static void (*const kinds[])(text *) = {tell_portrait, tell_portrait, tell_portrait,
                                          tell_meeting,  tell_meeting,  tell_sum,
                                          tell_sum,      tell_count,    tell_opposites};
  kinds[pick(COUNT_OF(kinds))](t);
}

/* ---------------------------------------------------------------- questions and answers */

/* Asks for one fact of the village; every fact is asked for in two or three ways. */
static void ask_fact(text *q, text *a) {
  const person *p = &ANY(people);
  static const char *const trade[] = {"What does %s do?", "What is %s's trade?",
                                      "What is %s's work?"};
  static const char *const who[] = {"Who is the %s?", "Who is the village %s?", "Name the %s."};
  static const char *const colour[] = {"What colour is %s's house?",
                                       "Which colour is the house of %s?"};
  static const char *const owner[] = {"Who lives in the %s house?", "Whose house is %s?"};
  static const char *const place[] = {"Where does %s live?", "Where is %s's house?"};
  static const char *const animal[] = {"What animal does %s keep?", "Which animal lives with %s?"};
  static const char *const food[] = {"What does %s like to eat?", "What is %s's favourite food?"};
  const char *form[] = {ANY(trade), ANY(who),    ANY(colour), ANY(owner),
                        ANY(place), ANY(animal), ANY(food)};
  const char *about[] = {p->name, p->trade, p->name, p->colour, p->name, p->name, p->name};
  size_t kind = pick(COUNT_OF(form));
  const char *hole = strchr(form[kind], '%');
  say(q, "%.*s%s%s", (int)(hole - form[kind]), form[kind], about[kind], hole + 2);
  switch (kind) {
  case 0:
    say(a, "%s is the %s.", p->name, p->trade);
    break;
  case 1:
    say(a, "The %s is %s.", p->trade, p->name);
    break;
  case 2:
    say(a, "%s's house is %s.", p->name, p->colour);
    break;
  case 3:
    say(a, "%s lives in the %s house.", p->name, p->colour);
    break;
  case 4:
    say(a, "%s lives %s.", p->name, p->place);
    break;
  case 5:
    say(a, "%s keeps %s %s named %s.", p->name, article(p->animal), p->animal, p->animal_name);
    break;
  default:
    say(a, "%s likes %s.", p->name, p->food);
  }
}

static void ask_opposite(text *q, text *a) {
  size_t pair = pick(COUNT_OF(opposites)), side = pick(2);
  const char *word = opposites[pair][side];
  switch (pick(3)) {
  case 0:
    say(q, "What is the opposite of %s?", word);
    break;
  case 1:
    say(q, "Give me the opposite of %s.", word);
    break;
  default:
    say(q, "Which word is the opposite of %s?", word);
  }
  say(a, "The opposite of %s is %s.", word, opposites[pair][1 - side]);
}

static void ask_sum(text *q, text *a) {
  size_t x = 2 + pick(8), y = 2 + pick(8);
  const person *p = &ANY(people);
  const char *what = ANY(goods);
  switch (pick(4)) {
  case 0:
    say(q, "What is %zu plus %zu?", x, y);
    break;
  case 1:
    say(q, "Add %zu and %zu.", x, y);
    break;
  case 2:
    say(q, "How much is %zu plus %zu?", x, y);
    break;
  default:
    say(q, "%s has %zu %s and finds %zu more. How many %s does %s have?", p->name, x, what, y, what,
        p->he);
    say(a, "%zu plus %zu is %zu. %s has %zu %s.", x, y, x + y, capital(p->he), x + y, what);
    return;
  }
  say(a, "%zu plus %zu is %zu.", x, y, x + y);
}

static void ask_count(text *q, text *a) {
  size_t first = 1 + pick(12), last = first + 3 + pick(6);
  switch (pick(3)) {
  case 0:
    say(q, "Count from %zu to %zu.", first, last);
    break;
  case 1:
    say(q, "Please count up from %zu to %zu.", first, last);
    break;
  default:
    say(q, "Which number comes after %zu?", last);
    say(a, "After %zu comes %zu.", last, last + 1);
    return;
  }
  say_numbers(a, first, last);
}

static void ask_spelling(text *q, text *a) {
  const char *word = ANY(words);
  say(q, pick(2) ? "Spell the word %s." : "How do you spell %s?", word);
  for (const char *c = word; *c; c++)
    say(a, c[1] ? "%c-" : "%c.", *c);
}

/* Answered by reading: where one is, or what the other carries, in a story of two sentences. */
static void ask_story(text *q, text *a) {
  const person *walker, *bearer;
  const char *spot = ANY(spots), *thing = ANY(things);
  pick_two(&walker, &bearer);
  if (pick(2)) {
    say(q, "%s is at the %s. %s carries a %s. ", walker->name, spot, bearer->name, thing);
  } else {
    say(q, "%s carries a %s. %s is at the %s. ", bearer->name, thing, walker->name, spot);
  }
  if (pick(2)) {
    say(q, "Where is %s?", walker->name);
    say(a, "%s is at the %s.", walker->name, spot);
  } else {
    say(q, "What does %s carry?", bearer->name);
    say(a, "%s carries a %s.", bearer->name, thing);
  }
}

static void make_question(text *q, text *a) {
  static void (*const kinds[])(text *, text *) = {ask_fact,  ask_fact,  ask_fact,    ask_opposite,
                                                  ask_sum,   ask_sum,   ask_count,   ask_spelling,
                                                  ask_story, ask_story, ask_opposite};
  static const char *const openings[] = {"", "", "Tell me: ", "A question: ", "Hello! "};
  say(q, "%s", ANY(openings));
  kinds[pick(COUNT_OF(kinds))](q, a);
}

/* ---------------------------------------------------------------- records */

static uint64_t hash_of(const char *bytes) { /* FNV-1a, 64 bits */
  uint64_t hash = 0xcbf29ce484222325u;
  for (; *bytes; bytes++)
    hash = (hash ^ (uint8_t)*bytes) * 0x100000001b3u;
  return hash | 1; /* 0 marks a free place */
}

/* Adds a hash to the open table; false if it was there. */
static bool add_new(uint64_t *table, size_t size, uint64_t hash) {
  size_t at = (size_t)(hash % size);
  while (table[at] && table[at] != hash)
    at = (at + 1) % size;
  bool is_new = table[at] == 0;
  table[at] = hash;
  return is_new;
}

/* Prints `count` different records. The grammar uses no character that JSON would have escaped. */
static int print_records(bool stories, size_t count) {
  size_t size = 2 * count + 1, misses = 0;
  uint64_t *seen = calloc(size, sizeof *seen);
  if (!seen) {
    fprintf(stderr, "sample_data: no memory for %zu records\n", count);
    return 71;
  }
  for (size_t made = 0; made < count && misses < 100000;) {
    text first = {.length = 0}, second = {.length = 0};
    if (stories) {
      make_story(&first);
    } else {
      make_question(&first, &second);
    }
    if (!add_new(seen, size, hash_of(first.bytes))) {
      misses++;
      continue;
    }
    misses = 0;
    made++;
    if (stories) {
      printf("{\"text\": \"%s\"}\n", first.bytes);
    } else {
      printf("{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}, "
             "{\"role\": \"assistant\", \"content\": \"%s\"}]}\n",
             first.bytes, second.bytes);
    }
  }
  free(seen);
  if (misses) {
    fprintf(stderr, "sample_data: the grammar does not give %zu different records\n", count);
    return 64;
  }
  return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 74;
}

int main(int argc, char **argv) {
  char *end_count = NULL, *end_seed = NULL;
  bool stories = argc == 4 && strcmp(argv[1], "stories") == 0;
  bool questions = argc == 4 && strcmp(argv[1], "questions") == 0;
  long long count = argc == 4 ? strtoll(argv[2], &end_count, 10) : 0;
  chance = argc == 4 ? strtoull(argv[3], &end_seed, 10) : 0;
  if ((!stories && !questions) || count < 1 || count > 10000000 || *end_count || *end_seed) {
    fprintf(stderr, "usage: sample_data stories|questions COUNT SEED\n");
    return 64;
  }
  return print_records(stories, (size_t)count);
}
