/* Attributes by path, as filters take them. */
#include "path.h"

static bool is_digits(const ft_jinja_string *text) {
  for (size_t i = 0; i < text->bytes; i++)
    if (text->text[i] < '0' || text->text[i] > '9') return false;
  return text->bytes > 0 && text->bytes < 10;
}

/* attribute: none makes the empty path, the value itself. */
ft_err ft_jinja_path_of(ft_jinja_state *s, ft_jinja_value attribute, ft_jinja_path *out) {
  ft_err err = FT_OK;
  const ft_jinja_string *text;
  out->count = 0;
  if (attribute.type == JINJA_NONE) return FT_OK;
  if (attribute.type == JINJA_INT) {
    out->keys[out->count++] = attribute;
    return FT_OK;
  }
  FT_TRY(ft_jinja_want_string(attribute, "the attribute", &text));
  for (size_t at = 0; at <= text->bytes;) {
    int64_t dot =
        ft_jinja_string_find(text, at, text->bytes, &(ft_jinja_string){.text = ".", .bytes = 1});
    size_t end = dot < 0 ? text->bytes : (size_t)dot;
    ft_jinja_value key;
    FT_CHECK(out->count < 16, FT_ERR_DATA, "an attribute of more than 16 parts");
    FT_TRY(ft_jinja_string_part(s->arena, text, at, end, &key));
    if (is_digits(key.string)) {
      int64_t index = 0;
      for (size_t i = 0; i < key.string->bytes; i++)
        index = index * 10 + (key.string->text[i] - '0');
      key = ft_jinja_int(index);
    }
    out->keys[out->count++] = key;
    at = end + 1;
  }
out:
  return err;
}

ft_err ft_jinja_path_lower(ft_jinja_state *s, ft_jinja_value v, ft_jinja_value *out) {
  static const ft_jinja_arguments none = {0};
  *out = v;
  if (v.type != JINJA_STRING) return FT_OK;
  return ft_jinja_run_builtin(s, ft_jinja_find_method(v, "lower"), v, &none, out);
}

ft_err ft_jinja_path_follow(ft_jinja_state *s, const ft_jinja_path *p, ft_jinja_value v,
                            ft_jinja_value *out) {
  ft_err err = FT_OK;
  *out = v;
  for (int i = 0; i < p->count; i++) {
    ft_jinja_value inside = *out;
    FT_TRY(ft_jinja_item(s, inside, p->keys[i], out));
    if (p->missing && out->type == JINJA_UNDEFINED) *out = *p->missing;
  }
  if (p->ignores_case) FT_TRY(ft_jinja_path_lower(s, *out, out));
out:
  return err;
}
