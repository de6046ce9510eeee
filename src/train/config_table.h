/* The table of configuration keys: paths, types, defaults, limits, meanings. */
#ifndef FT_TRAIN_CONFIG_TABLE_H
#define FT_TRAIN_CONFIG_TABLE_H

#include "ft/train.h"

typedef enum ft_key_type {
  KEY_STRING,
  KEY_INT,
  KEY_NUMBER,
  KEY_BOOL,
  KEY_EVERY,   /* false: 0, true: 1, or a whole number */
  KEY_CHOICE,  /* a string of a list; stored as its index in an int (an enum) */
  KEY_PAIR,    /* two numbers */
  KEY_SOURCES, /* list of {path, weight} */
  KEY_SETS     /* list of {name, path} */
} ft_key_type;

typedef struct ft_key {
  ft_config_key public;
  ft_key_type type;
  size_t offset;          /* in ft_config */
  double min, max;        /* of numbers */
  bool nullable;          /* null stores 0 */
  const char *choices[4]; /* KEY_CHOICE */
} ft_key;

extern const ft_key ft_config_table[];
extern const int64_t ft_config_table_size;

#endif
