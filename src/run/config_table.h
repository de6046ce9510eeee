/* The table of configuration keys: paths, types, defaults, limits, meanings. */
#ifndef FT_RUN_CONFIG_TABLE_H
#define FT_RUN_CONFIG_TABLE_H

#include "ft/run_config.h"

typedef enum ft_key_type {
  KEY_STRING,
  KEY_INT,
  KEY_NUMBER,
  KEY_BOOL,
  KEY_EVERY,   /* false: 0, true: 1, or a whole number */
  KEY_CHOICE,  /* a string of a list; stored as its index in an int (an enum) */
  KEY_PAIR,    /* two numbers */
  KEY_TIME,    /* seconds, or a text such as "24h" or "1-12:00:00" */
  KEY_MONITOR, /* null, a set's name, or {name: weight} */
  KEY_STRINGS, /* list of texts that are not empty */
  KEY_NAMES,   /* … or one of them */
  KEY_NUMBERS, /* {name: positive number} */
  KEY_GROUPS,  /* list of {pattern, lr, weight_decay} */
  KEY_SOURCES, /* list of {path, weight} */
  KEY_SETS,    /* list of {name, path} */
  KEY_REPLAY   /* null, or {path, share, validation} */
} ft_key_type;

enum { FT_CHOICES_MOST = 12 };
#define FT_KEY_NOWHERE ((size_t)-1) /* offset of a key that is only checked */

typedef struct ft_key {
  const char *path, *initial, *meaning; /* initial: as JSON; "required" where there is none */
  ft_key_type type;
  size_t offset;                        /* in ft_config */
  double min, max;                      /* of numbers */
  bool nullable;                        /* null stores 0 */
  bool resumable;                       /* may change between the parts of a resumed run */
  const char *choices[FT_CHOICES_MOST]; /* KEY_CHOICE; the rest is NULL */
} ft_key;

extern const ft_key ft_config_table[];
extern const int64_t ft_config_table_size;

/* ---- config_allowed.c */
enum { FT_ALLOWED_BYTES = 256 };
/* "a whole number between 1 and 64, or null". */
void ft_config_allowed(const ft_key *key, char *out, size_t size);

/* ---- config_members.c */
/* The value at a dotted path; NULL: there is none. Borrowed. */
const cJSON *ft_config_find(const cJSON *root, const char *path);
/* Sets it (value is taken over), making sections where they are missing. */
void ft_config_put(cJSON *root, const char *path, cJSON *value);
/* The value is null: left to the program. */
bool ft_config_is_open(const ft_config *c, const char *path);
/* A value as text, shortened; cJSON_free. */
char *ft_config_print(const cJSON *value);
/* ---- config_value.c */
/* Fills *c from c->json; what is wrong stays NULL or 0. Errors: FT_ERR_MEMORY. */
ft_err ft_config_extract(ft_config *c, ft_mistakes *m);

/* ---- config_groups.c */
/* Takes the list of a key of KEY_GROUPS. Errors: FT_ERR_MEMORY. */
ft_err ft_config_take_groups(ft_mistakes *m, const ft_key *key, const cJSON *value, ft_config *c);

/* ---- config_resume.c */
/* Decides how rows are filled, where that was left to the program, as `earlier`, the resolved
 * configuration of the run that goes on, has it; one that lacks the keys is of the time before
 * them. NULL: a new run. */
void ft_config_settle_filling(ft_config *c, const cJSON *earlier);

/* ---- config_replay.c */
/* Adds what data.replay says to the sets that were read, and writes out its default. Errors:
 * FT_ERR_MEMORY. */
ft_err ft_config_add_replay(ft_config *c, ft_mistakes *m);

/* ---- duration.c: "24h", "1h30m", "45s", "2d", "12:30:00", "1-12", "1-12:00:00" as seconds */
bool ft_duration_read(const char *text, double *seconds);

/* ---- config_names.c */
bool ft_config_is_key(const char *path);
/* A mistake where there is no such key. */
void ft_config_check_key(const char *path, ft_mistakes *m);

#endif
