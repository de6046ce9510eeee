/* Inside io: what JSON's parser and printer share. */
#ifndef FT_IO_JSON_H
#define FT_IO_JSON_H

#include "ft/io.h"

enum { FT_JSON_NUMBER_BYTES = 40 };

/* The shortest of 15, 16 or 17 digits that reads back as the same double; integers below 2^53 as
 * such. */
void ft_json_number(double value, char out[FT_JSON_NUMBER_BYTES]);

#endif
