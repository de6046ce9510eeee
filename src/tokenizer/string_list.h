/* Inside tokenizer: a list of strings, on their way through a decoder. */
#ifndef FT_TOKENIZER_STRING_LIST_H
#define FT_TOKENIZER_STRING_LIST_H

#include "buffer.h"

/* Starts zeroed. */
typedef struct ft_string_list {
  ft_buffer text;
  size_t *ends; /* [count] where each string ends in text */
  int64_t count, capacity;
} ft_string_list;
void ft_string_list_fini(ft_string_list *list);
/* Errors of both: FT_ERR_MEMORY. */
ft_err ft_string_list_add(ft_string_list *list, const char *text, size_t bytes);
/* Ends a string whose text was put into list->text. */
ft_err ft_string_list_end(ft_string_list *list);
/* String i; *bytes is its length. Borrowed. */
const char *ft_string_list_at(const ft_string_list *list, int64_t i, size_t *bytes);

#endif
