/* Attributes by path, as filters take them. */
#include "path.h"

static bool is_digits(const jinja_string *text) {
  for (size_t i = 0; i < text->bytes; i++)
    if (text->text[i] < '0' || text->text[i] > '9') return false;
  return text->bytes > 0 && text->bytes < 10;
}

/* attribute: none makes the empty path, the value itself. */
ft_err jinja_path_of(jinja_state *s, jinja_value attribute, jinja_path *out) {
  ft_err err = FT_OK;
  const jinja_string *text;
  out->count = 0;
  if (attribute.type == JINJA_NONE) return FT_OK;
  if (attribute.type == JINJA_INT) {
    out->keys[out->count++] = attribute;
    return FT_OK;
  }
  FT_TRY(jinja_want_string(attribute, "the attribute", &text));
  for (size_t at = 0; at <= text->bytes;) {
    int64_t dot =
        jinja_string_find(text, at, text->bytes, &(jinja_string){.text = ".", .bytes = 1});
    size_t end = dot < 0 ? text->bytes : (size_t)dot;
    jinja_value key;
    FT_CHECK(out->count < 16, FT_ERR_DATA, "an attribute of more than 16 parts");
    FT_TRY(jinja_string_part(s->arena, text, at, end, &key));
    if (is_digits(key.string)) {
      int64_t index = 0;
      for (size_t i = 0; i < key.string->bytes; i++)
        index = index * 10 + (key.string->text[i] - '0');
      key = jinja_int(index);
    }
    out->keys[out->count++] = key;
    at = end + 1;
  }
out:
  return err;
}

ft_err jinja_path_lower(jinja_state *s, jinja_value v, jinja_value *out) {
  static const jinja_arguments none = {0};
  *out = v;
  if (v.type != JINJA_STRING) return FT_OK;
  return jinja_run_builtin(s, jinja_find_method(v, "lower"), v, &none, out);
}

ft_err jinja_path_follow(jinja_state *s, const jinja_path *p, jinja_value v, jinja_value *out) {
  ft_err err = FT_OK;
  *out = v;
  for (int i = 0; i < p->count; i++) {
    jinja_value inside = *out;
    FT_TRY(jinja_item(s, inside, p->keys[i], out));
    if (p->missing && out->type == JINJA_UNDEFINED) *out = *p->missing;
  }
  if (p->ignores_case) FT_TRY(jinja_path_lower(s, *out, out));
out:
  return err;
}
