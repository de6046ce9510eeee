/* HDF5 files read without trust: the links of a group, from link messages or from the older symbol
 * tables (a B-tree of nodes whose names lie in a local heap). */
#include "h5_read.h"

enum { MAX_LEVEL = 16, MAX_NAME = 1024 };

typedef struct collected {
  ft_h5_reader *reader;
  ft_h5_link *list;
  int64_t count, capacity;
  const uint8_t *heap; /* of a symbol table: names end with a zero */
  size_t heap_bytes;
} collected;

static ft_err add_link(collected *l, const uint8_t *name, size_t length, uint64_t address) {
  ft_err err = FT_OK;
  char *copy = NULL;
  if (length > MAX_NAME) return ft_h5_damaged(l->reader, "a name of more than 1024 bytes");
  /* many links may share one long name in the file, and not here */
  l->reader->budget_bytes -= (int64_t)(length + sizeof(ft_h5_link));
  if (l->reader->budget_bytes < 0) return ft_h5_damaged(l->reader, "more than 64 MiB of metadata");
  if (memchr(name, 0, length)) return ft_h5_damaged(l->reader, "a name with a zero in it");
  FT_TRY(ft_grow(FT_MEM_IO, l->count + 1, sizeof *l->list, &l->capacity, (void **)&l->list));
  FT_TRY(ft_format(&copy, "%.*s", (int)length, (const char *)name));
  l->list[l->count++] = (ft_h5_link){.name = copy, .address = address};
out:
  return err;
}

/* ---------------------------------------------------------------- link messages */

static ft_err read_link(collected *l, ft_span s) {
  uint64_t version = ft_span_number(&s, 1), flags = ft_span_number(&s, 1);
  uint64_t type = flags & 8 ? ft_span_number(&s, 1) : 0;
  ft_span_take(&s, (flags & 4 ? 8u : 0u) + (flags & 16 ? 1u : 0u));
  uint64_t length = ft_span_number(&s, (size_t)1 << (flags & 3));
  const uint8_t *name = length <= 65535 ? ft_span_take(&s, (size_t)length) : NULL;
  uint64_t address = type == 0 ? ft_span_number(&s, 8) : FT_H5_UNDEFINED;
  if (version != 1 || !name || s.bad) return ft_h5_damaged(l->reader, "a link");
  return add_link(l, name, (size_t)length, address);
}

/* ---------------------------------------------------------------- symbol tables */

static ft_err read_symbols(collected *l, uint64_t address) {
  ft_err err = FT_OK;
  uint8_t *head = NULL, *block = NULL;
  FT_TRY(ft_h5_block(l->reader, address, 8, &head));
  ft_span h = {.at = head, .left = 8};
  bool good = ft_span_matches(&h, "SNOD") && ft_span_number(&h, 1) == 1;
  ft_span_take(&h, 1);
  uint64_t count = ft_span_number(&h, 2);
  if (!good) FT_TRY(ft_h5_damaged(l->reader, "a symbol table node"));
  FT_TRY(ft_h5_block(l->reader, address + 8, count * 40, &block));
  ft_span s = {.at = block, .left = (size_t)count * 40};
  for (uint64_t i = 0; i < count; i++) {
    uint64_t name = ft_span_number(&s, 8), object = ft_span_number(&s, 8);
    uint64_t cached = ft_span_number(&s, 4);
    ft_span_take(&s, 20);
    const uint8_t *end =
        name < l->heap_bytes ? memchr(l->heap + name, 0, l->heap_bytes - name) : NULL;
    if (!end) FT_TRY(ft_h5_damaged(l->reader, "a name outside its heap"));
    FT_TRY(add_link(l, l->heap + name, (size_t)(end - (l->heap + name)),
                    cached == 2 ? FT_H5_UNDEFINED : object));
  }
out:
  ft_free(head);
  ft_free(block);
  return err;
}

/* Walks a B-tree node; level < 0: the root, whose level is its own. */
static ft_err read_tree(collected *l, uint64_t address, int level) {
  ft_err err = FT_OK;
  uint8_t *head = NULL, *block = NULL;
  FT_TRY(ft_h5_block(l->reader, address, 24, &head));
  ft_span h = {.at = head, .left = 24};
  bool good = ft_span_matches(&h, "TREE") && ft_span_number(&h, 1) == 0;
  int found = (int)ft_span_number(&h, 1);
  uint64_t count = ft_span_number(&h, 2);
  if (!good || (level < 0 ? found > MAX_LEVEL : found != level))
    FT_TRY(ft_h5_damaged(l->reader, "a B-tree node"));
  FT_TRY(ft_h5_block(l->reader, address + 24, count * 16, &block));
  ft_span s = {.at = block, .left = (size_t)count * 16};
  for (uint64_t i = 0; i < count; i++) {
    ft_span_take(&s, 8); /* the key */
    uint64_t child = ft_span_number(&s, 8);
    FT_TRY(found > 0 ? read_tree(l, child, found - 1) : read_symbols(l, child));
  }
out:
  ft_free(head);
  ft_free(block);
  return err;
}

static ft_err read_symbol_table(collected *l, ft_span s) {
  ft_err err = FT_OK;
  uint8_t *head = NULL, *names = NULL;
  uint64_t tree = ft_span_number(&s, 8), heap = ft_span_number(&s, 8);
  if (s.bad) FT_TRY(ft_h5_damaged(l->reader, "a symbol table"));
  FT_TRY(ft_h5_block(l->reader, heap, 32, &head));
  ft_span h = {.at = head, .left = 32};
  bool good = ft_span_matches(&h, "HEAP");
  ft_span_take(&h, 4);
  uint64_t bytes = ft_span_number(&h, 8);
  ft_span_take(&h, 8);
  uint64_t address = ft_span_number(&h, 8);
  if (!good) FT_TRY(ft_h5_damaged(l->reader, "a local heap"));
  FT_TRY(ft_h5_block(l->reader, address, bytes, &names));
  l->heap = names;
  l->heap_bytes = (size_t)bytes;
  FT_TRY(read_tree(l, tree, -1));
out:
  ft_free(head);
  ft_free(names);
  return err;
}

/* ---------------------------------------------------------------- groups */

/* Many links are kept in a fractal heap, which is not read here. */
static ft_err check_link_info(collected *l, ft_span s) {
  uint64_t version = ft_span_number(&s, 1), flags = ft_span_number(&s, 1);
  ft_span_take(&s, flags & 1 ? 8 : 0);
  uint64_t heap = ft_span_number(&s, 8);
  if (version != 0 || s.bad) return ft_h5_damaged(l->reader, "a group");
  if (heap != FT_H5_UNDEFINED) return ft_h5_heap(l->reader, "links");
  return FT_OK;
}

ft_err ft_h5_links(ft_h5_reader *reader, const ft_h5_object *group, ft_h5_link **list,
                   int64_t *num_links) {
  ft_err err = FT_OK;
  collected l = {.reader = reader};
  bool is_group = false;
  for (int64_t i = 0; i < group->num_messages; i++) {
    const ft_h5_message *m = &group->messages[i];
    bool used =
        m->type == FT_H5_LINK || m->type == FT_H5_LINK_INFO || m->type == FT_H5_SYMBOL_TABLE;
    if (!used) continue;
    is_group = true;
    if (m->shared) FT_TRY(ft_h5_damaged(reader, "a shared message"));
    if (m->type == FT_H5_LINK) FT_TRY(read_link(&l, m->content));
    if (m->type == FT_H5_LINK_INFO) FT_TRY(check_link_info(&l, m->content));
    if (m->type == FT_H5_SYMBOL_TABLE) FT_TRY(read_symbol_table(&l, m->content));
  }
  if (!is_group) FT_TRY(ft_h5_damaged(reader, "a group was expected where there is none"));
  *list = l.list;
  *num_links = l.count;
  l.list = NULL;
out:
  ft_h5_links_free(l.list, l.count);
  return err;
}

void ft_h5_links_free(ft_h5_link *links, int64_t num_links) {
  for (int64_t i = 0; links && i < num_links; i++)
    ft_free(links[i].name);
  ft_free(links);
}
