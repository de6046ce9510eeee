/* Strings one behind the other. */
#include "string_list.h"

void ft_string_list_fini(ft_string_list *list) {
  ft_buffer_fini(&list->text);
  ft_free(list->ends);
  *list = (ft_string_list){0};
}

ft_err ft_string_list_end(ft_string_list *list) {
  ft_err err = ft_grow(FT_MEM_TOKENIZER, list->count + 1, sizeof *list->ends, &list->capacity,
                       (void **)&list->ends);
  if (err != FT_OK) return err;
  list->ends[list->count++] = list->text.bytes;
  return FT_OK;
}

ft_err ft_string_list_add(ft_string_list *list, const char *text, size_t bytes) {
  ft_err err = ft_buffer_put(&list->text, text, bytes);
  return err == FT_OK ? ft_string_list_end(list) : err;
}

const char *ft_string_list_at(const ft_string_list *list, int64_t i, size_t *bytes) {
  size_t start = i > 0 ? list->ends[i - 1] : 0;
  *bytes = list->ends[i] - start;
  return *bytes > 0 ? list->text.data + start : "";
}
