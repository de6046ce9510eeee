/* Inside jinja: values as Python has them, and the memory that a rendering takes them from. */
#ifndef FT_JINJA_VALUE_H
#define FT_JINJA_VALUE_H

#include <string.h>

#include "ft/base_utf8.h"

/* ---------------------------------------------------------------- memory
 * Everything that a template or a rendering makes is freed at once. */

typedef struct ft_jinja_arena {
  struct ft_jinja_block {
    struct ft_jinja_block *next;
    size_t used, capacity;
    _Alignas(16) char data[];
  } * blocks;                      /* the one in use first */
  size_t total_bytes, limit_bytes; /* 0: no limit */
  ft_err failed;                   /* the first failure; every later call fails as well */
} ft_jinja_arena;

/* Zeroed, 16-byte aligned; NULL when there is no memory left or the limit is reached, which is then
 * the calling thread's error. */
void *ft_jinja_alloc(ft_jinja_arena *a, size_t bytes);
/* Room for one more of `count` elements: `items` itself, or a copy with more room, with `first`
 * elements when it has none yet. NULL as ft_jinja_alloc. */
void *ft_jinja_grow(ft_jinja_arena *a, void *items, int64_t count, size_t size, int64_t first,
                    int64_t *capacity);
/* Forgets all content, keeps one block. */
void ft_jinja_arena_reset(ft_jinja_arena *a);
void ft_jinja_arena_fini(ft_jinja_arena *a);

/* ---------------------------------------------------------------- values */

typedef enum ft_jinja_type {
  JINJA_UNDEFINED,
  JINJA_NONE,
  JINJA_BOOL,
  JINJA_INT,
  JINJA_BIG, /* an integer of more than 64 bits: printed, not computed with */
  JINJA_FLOAT,
  JINJA_STRING,
  JINJA_LIST,
  JINJA_TUPLE,
  JINJA_RANGE,
  JINJA_VIEW,     /* dict.keys(), .values(), .items() */
  JINJA_ITERATOR, /* what map, select … give: looked through once */
  JINJA_DICT,
  JINJA_NAMESPACE,
  JINJA_MACRO,
  JINJA_LOOP,
  JINJA_FUNCTION, /* range, namespace, raise_exception … */
  JINJA_METHOD    /* "abc".upper, bound to its object */
} ft_jinja_type;

/* Bytes of a string that come from the same place. */
typedef struct ft_jinja_run {
  uint32_t bytes;
  uint32_t origin; /* 0: the template; n: input string n - 1; and perhaps JINJA_GENERATION */
} ft_jinja_run;
#define JINJA_GENERATION 0x80000000u

typedef struct ft_jinja_string {
  const char *text; /* [bytes] UTF-8, not terminated */
  size_t bytes;
  const ft_jinja_run *runs; /* [num_runs]; none: all of it comes from `origin` */
  int64_t num_runs;
  uint32_t origin;
  bool markup; /* the filter `safe` was applied: sums with it escape the other part */
} ft_jinja_string;

typedef struct ft_jinja_value {
  ft_jinja_type type;
  union {
    bool boolean;
    int64_t integer;
    double real;
    const ft_jinja_string *string; /* JINJA_STRING, JINJA_BIG */
    struct ft_jinja_list *list;    /* JINJA_LIST … JINJA_ITERATOR */
    struct ft_jinja_dict *dict;    /* JINJA_DICT, JINJA_NAMESPACE */
    struct ft_jinja_macro *macro;
    struct ft_jinja_loop *loop;
    const struct ft_jinja_function *function;
    struct ft_jinja_method *method;
    const char *why; /* JINJA_UNDEFINED: what was looked for, or NULL */
  };
  bool unsafe; /* JINJA_UNDEFINED: forbidden by the sandbox; any use is an error */
} ft_jinja_value;

/* How large a value is with all that is inside of it, counted each time that it is met; 0: not
 * counted yet. Lists that hold a list twice, which holds another twice … take little memory and
 * no end of time. */
typedef struct ft_jinja_size {
  int64_t parts, levels;
} ft_jinja_size;
enum { JINJA_MAX_PARTS = 4000000, JINJA_NEST_MAX = 200 };

typedef struct ft_jinja_list {
  ft_jinja_size size;
  ft_jinja_value *items; /* [count] */
  int64_t count;
  int64_t taken;             /* JINJA_ITERATOR: members that were looked at */
  const char *view;          /* JINJA_VIEW: "dict_keys" … */
  int64_t start, stop, step; /* JINJA_RANGE, as it is printed */
} ft_jinja_list;

typedef struct ft_jinja_entry {
  ft_jinja_value key, value;
} ft_jinja_entry;

typedef struct ft_jinja_dict {
  ft_jinja_size size;
  ft_jinja_entry *entries; /* [count] in order of insertion */
  int64_t count, capacity;
  int32_t turn; /* number of the turn that it is, or -1 */
} ft_jinja_dict;

typedef struct ft_jinja_method {
  ft_jinja_value object;
  const struct ft_jinja_builtin *builtin;
} ft_jinja_method;

static inline ft_jinja_value ft_jinja_none(void) {
  return (ft_jinja_value){.type = JINJA_NONE};
}
static inline ft_jinja_value ft_jinja_bool(bool b) {
  return (ft_jinja_value){.type = JINJA_BOOL, .boolean = b};
}
static inline ft_jinja_value ft_jinja_int(int64_t i) {
  return (ft_jinja_value){.type = JINJA_INT, .integer = i};
}
static inline ft_jinja_value ft_jinja_float(double f) {
  return (ft_jinja_value){.type = JINJA_FLOAT, .real = f};
}
static inline ft_jinja_value ft_jinja_of_string(const ft_jinja_string *s) {
  return (ft_jinja_value){.type = JINJA_STRING, .string = s};
}
static inline ft_jinja_value ft_jinja_undefined(const char *why) {
  return (ft_jinja_value){.type = JINJA_UNDEFINED, .why = why};
}
static inline bool ft_jinja_is_sequence(ft_jinja_type t) {
  return t == JINJA_LIST || t == JINJA_TUPLE || t == JINJA_RANGE;
}
static inline bool ft_jinja_is_listed(ft_jinja_type t) { /* has a ft_jinja_list */
  return ft_jinja_is_sequence(t) || t == JINJA_VIEW || t == JINJA_ITERATOR;
}
static inline bool ft_jinja_is_whole(ft_jinja_type t) { /* bool counts as a number, as in Python */
  return t == JINJA_BOOL || t == JINJA_INT;
}
static inline bool ft_jinja_is_number(ft_jinja_type t) {
  return ft_jinja_is_whole(t) || t == JINJA_FLOAT;
}
static inline int64_t ft_jinja_whole(ft_jinja_value v) {
  return v.type == JINJA_BOOL ? v.boolean : v.integer;
}
static inline double ft_jinja_real(ft_jinja_value v) {
  return v.type == JINJA_FLOAT ? v.real : (double)ft_jinja_whole(v);
}
static inline bool ft_jinja_string_is(const ft_jinja_string *s, const char *text) {
  return s->bytes == strlen(text) && memcmp(s->text, text, s->bytes) == 0;
}

/* Python's name of the type, for messages. */
const char *ft_jinja_type_name(ft_jinja_value v);
bool ft_jinja_truth(ft_jinja_value v);
/* Counts what is in a value that will not change any more. Errors: FT_ERR_DATA for more than
 * JINJA_MAX_PARTS, or more than JINJA_NEST_MAX levels. */
ft_err ft_jinja_measure(ft_jinja_value v);
/* Python's ==. Both were measured. */
bool ft_jinja_equal(ft_jinja_value a, ft_jinja_value b);

/* The value of a key, or NULL. A hash table is not worth it: objects of a chat are small. */
const ft_jinja_value *ft_jinja_dict_find(const ft_jinja_dict *d, ft_jinja_value key);
const ft_jinja_value *ft_jinja_dict_find_text(const ft_jinja_dict *d, const char *key);
ft_err ft_jinja_dict_set(ft_jinja_arena *a, ft_jinja_dict *d, ft_jinja_value key,
                         ft_jinja_value value);
ft_err ft_jinja_dict_new(ft_jinja_arena *a, int64_t capacity, ft_jinja_dict **out);
/* A list of `count` members to be filled, of any type that has a ft_jinja_list. */
ft_err ft_jinja_list_new(ft_jinja_arena *a, ft_jinja_type type, int64_t count, ft_jinja_value *out);

/* A list of copies of these. */
ft_err ft_jinja_list_of(ft_jinja_arena *a, ft_jinja_type type, const ft_jinja_value *items,
                        int64_t count, ft_jinja_value *out);

/* ---------------------------------------------------------------- strings */

/* Copies nothing: `text` has to last. */
ft_err ft_jinja_string_new(ft_jinja_arena *a, const char *text, size_t bytes, uint32_t origin,
                           ft_jinja_value *out);
/* A literal of C. */
ft_err ft_jinja_string_literal(ft_jinja_arena *a, const char *text, ft_jinja_value *out);
/* Bytes [begin, end) of s, with their origins; shares the text. */
ft_err ft_jinja_string_part(ft_jinja_arena *a, const ft_jinja_string *s, size_t begin, size_t end,
                            ft_jinja_value *out);
/* <0, 0, >0 by code points. */
int ft_jinja_string_compare(const ft_jinja_string *a, const ft_jinja_string *b);
/* Code points. */
int64_t ft_jinja_string_length(const ft_jinja_string *s);
/* Byte of code point number i (its end, if i is its length). */
size_t ft_jinja_string_at(const ft_jinja_string *s, int64_t i);
/* First byte in [from, to - part) where `part` stands, or -1. */
int64_t ft_jinja_string_find(const ft_jinja_string *s, size_t from, size_t to,
                             const ft_jinja_string *part);
/* The last one. */
int64_t ft_jinja_string_find_last(const ft_jinja_string *s, size_t from, size_t to,
                                  const ft_jinja_string *part);

/* A string that grows. */
typedef struct ft_jinja_builder {
  ft_jinja_arena *arena;
  char *text;
  size_t bytes, capacity;
  ft_jinja_run *runs;
  int64_t num_runs, run_capacity;
  uint32_t mark; /* JINJA_GENERATION: added to all origins */
  ft_err err;    /* the first error; later calls do nothing */
} ft_jinja_builder;

static inline ft_jinja_builder ft_jinja_builder_on(ft_jinja_arena *a) {
  return (ft_jinja_builder){.arena = a};
}
void ft_jinja_put(ft_jinja_builder *b, const char *text, size_t bytes, uint32_t origin);
void ft_jinja_put_text(ft_jinja_builder *b, const char *text); /* of C, the template's own */
void ft_jinja_put_part(ft_jinja_builder *b, const ft_jinja_string *s, size_t begin, size_t end);
static inline void ft_jinja_put_string(ft_jinja_builder *b, const ft_jinja_string *s) {
  ft_jinja_put_part(b, s, 0, s->bytes);
}
/* The string that was built. */
ft_err ft_jinja_built(ft_jinja_builder *b, ft_jinja_value *out);
/* Origin of byte `at` of s; *left: bytes from there that share it. */
uint32_t ft_jinja_origin_at(const ft_jinja_string *s, size_t at, size_t *left);

/* ---------------------------------------------------------------- printing */

/* str(v): appended to b. Errors: FT_ERR_DATA for what has no fixed text (functions, iterators). */
ft_err ft_jinja_print(ft_jinja_builder *b, ft_jinja_value v);
/* repr(v). */
ft_err ft_jinja_print_repr(ft_jinja_builder *b, ft_jinja_value v, int depth);
/* str(v) as a string; strings are returned as they are. */
ft_err ft_jinja_to_string(ft_jinja_arena *a, ft_jinja_value v, const ft_jinja_string **out);
/* As Python writes a float; returns the bytes. */
enum { JINJA_FLOAT_BYTES = 40 };
size_t ft_jinja_float_text(double value, char out[JINJA_FLOAT_BYTES]);

/* How json.dumps writes. */
typedef struct ft_jinja_json_style {
  bool ascii, sort;
  const ft_jinja_string *indent;                         /* NULL: on one line */
  const ft_jinja_string *item_separator, *key_separator; /* NULL: json.dumps's own */
} ft_jinja_json_style;
ft_err ft_jinja_print_json(ft_jinja_builder *b, ft_jinja_value v, const ft_jinja_json_style *style,
                           int depth);

/* a < b (-1), a == b (0), a > b (1) as Python orders them. Errors: FT_ERR_DATA for types that have
 * no order. NaN: *order is 2. */
ft_err ft_jinja_order(ft_jinja_value a, ft_jinja_value b, int depth, int *order);
/* A stable sort by keys[i]; items may be NULL. Both are reordered. */
ft_err ft_jinja_sort(ft_jinja_arena *a, ft_jinja_value *keys, ft_jinja_value *items, int64_t count,
                     bool reverse);

/* ---------------------------------------------------------------- characters */

/* Whether Python's str.splitlines ends a line here (CR and LF beside each other are one end). */
bool ft_jinja_ends_line(uint32_t code);
/* Python's str.isprintable of one code point. */
bool ft_jinja_is_printable(uint32_t code);
/* isalpha, isdigit and so on of one code point. */
typedef enum ft_jinja_class {
  JINJA_ALPHA,
  JINJA_DECIMAL,
  JINJA_DIGIT,
  JINJA_NUMERIC,
  JINJA_UPPER,
  JINJA_LOWER,
  JINJA_TITLE
} ft_jinja_class;
bool ft_jinja_is_class(uint32_t code, ft_jinja_class c);
/* Upper, lower or title case of a character, where it is one character. Errors: FT_ERR_DATA for
 * those few whose case depends on others or becomes several. */
typedef enum ft_jinja_case { JINJA_TO_UPPER, JINJA_TO_LOWER, JINJA_TO_TITLE } ft_jinja_case;
ft_err ft_jinja_change_case(uint32_t code, ft_jinja_case to, uint32_t *out);

#endif
