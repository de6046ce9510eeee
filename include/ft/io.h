/* io: files. Durable writes, JSON, safetensors, HDF5, and the one I/O thread. No MPI, so tools run
 * on a login node. Readers trust nothing: every offset and length is range-checked before it is
 * used, and no allocation has the size a file merely claims. Errors name the file, what was found
 * and what was expected.
 *
 * Any thread may call any of it (HDF5's library, used for writing, is behind a lock); an opened
 * file is used by one thread at a time unless the text says otherwise. Not collective, all of it.
 */
#ifndef FT_IO_H
#define FT_IO_H

#include <cjson/cJSON.h>

#include "ft/base.h"

/* The module's libraries with their versions. */
const char *ft_io_libraries(void);

/* ---------------------------------------------------------------- paths and whole files */

/* dir + "/" + name; free with ft_free. */
ft_err ft_path_join(const char *dir, const char *name, char **out);
bool ft_path_exists(const char *path);
bool ft_path_is_dir(const char *path);
/* Whether DIR/NAME is there. */
bool ft_path_has(const char *dir, const char *name);
/* Waits until the path is there, at most that long. What another host has just made is seen late on
 * network file systems, whose directories are looked at again in between. Errors: FT_ERR_NOINPUT.
 */
#define FT_PATH_PATIENCE_S 30.0
ft_err ft_path_await(const char *path, double seconds);
/* Gives a file or directory another name, and makes that last. Errors: FT_ERR_IO. */
ft_err ft_path_rename(const char *from, const char *to);
/* Makes a directory and its parents. Errors: FT_ERR_CREATE. */
ft_err ft_make_dirs(const char *path);
/* Removes a file, or a directory with all in it; absent is fine. Errors: FT_ERR_IO. */
ft_err ft_remove_tree(const char *path);
/* Names in a directory, sorted bytewise, "." and ".." left out: array and names are freed by one
 * ft_free each (ft_free_names). Errors: FT_ERR_NOINPUT, FT_ERR_IO. */
ft_err ft_list_dir(const char *path, char ***names, int64_t *num_names);
void ft_free_names(char **names, int64_t num_names);
/* Whole file with a terminating zero added; refuses more than max_bytes, and what is no regular
 * file (a device may never end, a FIFO never begin). Free with ft_free. Errors: FT_ERR_NOINPUT,
 * FT_ERR_IO, FT_ERR_DATA. */
ft_err ft_read_file(const char *path, size_t max_bytes, char **data, size_t *bytes);
/* Reads exactly bytes at offset, however many calls it takes. Errors: FT_ERR_IO, FT_ERR_DATA (past
 * the end). */
ft_err ft_pread_all(int fd, const char *path, void *data, size_t bytes, int64_t offset);
/* Durable replacement: temporary name, write, flush, fsync, close, rename, fsync of the directory.
 * A failed fsync is an error. Errors: FT_ERR_CREATE, FT_ERR_IO. */
ft_err ft_write_file(const char *path, const void *data, size_t bytes);
/* The last part for files written by others under a temporary name: fsync, rename, fsync of the
 * directory. */
ft_err ft_commit_file(const char *temporary, const char *path);
/* Copies a file durably. */
ft_err ft_copy_file(const char *from, const char *to);

/* ---------------------------------------------------------------- JSON in cJSON trees
 * Parsed strictly (RFC 8259; a byte order mark is skipped): repeated keys, invalid UTF-8, zeros in
 * strings, more than 256 levels are refused. A number remembers how it was written, and is written
 * so again unless its value was changed. Free with cJSON_Delete. Any thread may use these. */

/* Errors: FT_ERR_NOINPUT, FT_ERR_IO, FT_ERR_DATA naming the line and column of the first mistake.
 */
ft_err ft_json_read(const char *path, cJSON **out);
/* Reads DIR/NAME; *out is NULL where there is none. */
ft_err ft_json_read_if_there(const char *dir, const char *name, cJSON **out);
/* Text of `length` bytes; `where` names it in errors. */
ft_err ft_json_parse(const char *text, size_t length, const char *where, cJSON **out);
/* As ft_json_parse for people's texts, which may hold U+0000: \u0000 stands in strings as the two
 * bytes FT_JSON_ZERO, which no valid UTF-8 has. */
ft_err ft_json_parse_data(const char *text, size_t length, const char *where, cJSON **out);
#define FT_JSON_ZERO "\xC0\x80"
/* Text that reads back as the same bits (17 digits where needed); NaN and infinities become null.
 * Pretty: two spaces a level. Free with ft_free. */
ft_err ft_json_print(const cJSON *json, bool pretty, char **text);
/* Pretty, durable. */
ft_err ft_json_write(const char *path, const cJSON *json);
/* Member by name, or NULL; the name is case-sensitive (cJSON_GetObjectItem alone is not). */
cJSON *ft_json_get(const cJSON *object, const char *name);
/* True if the item (NULL: no) is a whole number of less than 2^53 in size, which goes to *out. */
bool ft_json_i64(const cJSON *item, int64_t *out);

/* ---------------------------------------------------------------- safetensors */

enum { FT_SAFETENSORS_DIMS = 8 };

typedef struct ft_safetensor {
  char *name;
  ft_dtype dtype;                    /* when supported */
  int num_dims;                      /* as the file says */
  int64_t dims[FT_SAFETENSORS_DIMS]; /* the first of them */
  int64_t begin;                     /* file offset of its first byte */
  int64_t elements, bytes;
  bool supported;      /* its elements can be read: F32, BF16 or F16, at most 4 dimensions */
  char dtype_name[12]; /* as the file says: "BF16", "I64" … */
  bool has_sum;        /* the file has a checksum of this tensor: */
  uint64_t sum;        /* what ft_safetensors_part_sum gives for all of it */
} ft_safetensor;

typedef struct ft_safetensors ft_safetensors;

/* Opens one .safetensors file, or a model directory (model.safetensors, or else the files that
 * model.safetensors.index.json names; they may not leave the directory), and reads headers only.
 * A model has the tensors that its files have; of several with one name, the one that the index's
 * weight_map means. Where index and files differ, ft_safetensors_remarks says so.
 * Tensors of a dtype other than F32, BF16, F16 are refused when read, not before. Errors:
 * FT_ERR_NOINPUT, FT_ERR_DATA, FT_ERR_IO. */
ft_err ft_safetensors_open(const char *path, ft_safetensors **out);
void ft_safetensors_close(ft_safetensors *st);
int64_t ft_safetensors_count(const ft_safetensors *st);
/* In order of name (bytes). */
const ft_safetensor *ft_safetensors_at(const ft_safetensors *st, int64_t i);
const ft_safetensor *ft_safetensors_find(const ft_safetensors *st,
                                         const char *name); /* NULL: absent */
/* What is odd about the files but wrong in nothing that is read, for a warning: "" or a sentence.
 * Borrowed. */
const char *ft_safetensors_remarks(const ft_safetensors *st);
/* The file a tensor lies in, for error messages. */
const char *ft_safetensors_file(const ft_safetensors *st, const ft_safetensor *t);
/* The files, in order of name. */
int64_t ft_safetensors_num_files(const ft_safetensors *st);
const char *ft_safetensors_file_at(const ft_safetensors *st, int64_t i);
/* Elements start … start+count-1 in flat order, raw (t->dtype), by pread; needs no alignment in the
 * file. Chunks that are read whole are compared with their checksums where the file has them
 * (docs/formats.md), as every one that the writer below makes; the header was when the file was
 * opened. A chunk that is read in part only is not: who reads all of a tensor, alone or together
 * with others, adds up what follows and compares it with the tensor's sum. */
ft_err ft_safetensors_read(ft_safetensors *st, const ft_safetensor *t, int64_t start, int64_t count,
                           void *out);
/* Bytes start … start+count-1 of any tensor's data, whatever its type. Chunks that are read whole
 * are compared with their checksums, as above. */
ft_err ft_safetensors_read_bytes(ft_safetensors *st, const ft_safetensor *t, int64_t start,
                                 int64_t count, void *out);
/* What these elements, raw as they were read, contribute to the tensor's checksum. Contributions
 * of parts add up modulo 2^64, in any order; parts begin and end at multiples of
 * FT_SAFETENSORS_UNIT elements, or at the tensor's end. */
enum { FT_SAFETENSORS_UNIT = 256 };
uint64_t ft_safetensors_part_sum(const ft_safetensor *t, int64_t start, int64_t count,
                                 const void *raw);

/* Reads the whole of file number i and compares it with its checksums. *found: it has them; a file
 * of another program has not, and is not read. Errors: FT_ERR_DATA, FT_ERR_IO. */
ft_err ft_safetensors_verify(ft_safetensors *st, int64_t i, bool *found);

/* Streaming writer of one file: names, shapes and dtypes first, then each tensor's elements in the
 * order given, in pieces of any size. The file appears under its name only when closed. */
typedef struct ft_safetensors_writer ft_safetensors_writer;
/* Of each tensor, name, dtype, num_dims and dims are used; names are copied. A tensor with a
 * dtype_name is written as another file has it, whatever its type: bytes and not elements count. */
ft_err ft_safetensors_writer_new(const char *path, const ft_safetensor *tensors, int64_t count,
                                 ft_safetensors_writer **out);
ft_err ft_safetensors_write(ft_safetensors_writer *w, const void *data, size_t bytes);
/* Finishes and commits; on error, or with commit = false, the file does not appear. Frees the
 * writer. */
ft_err ft_safetensors_writer_close(ft_safetensors_writer *w, bool commit);

/* ---------------------------------------------------------------- token shards */

typedef enum ft_tokens_kind {
  FT_TOKENS_TEXT,
  FT_TOKENS_SFT,
  FT_TOKENS_PREFERENCE, /* documents 2i, chosen, and 2i + 1, rejected, of pair i */
  FT_TOKENS_UNPAIRED,   /* a value a document: 1 = desirable, 0 = not */
  FT_TOKENS_MASKED,     /* loss_mask: what may be masked; or labels, what is to be predicted */
  FT_TOKENS_CLASSES,    /* a value a document: its class */
  FT_TOKENS_NUM_KINDS
} ft_tokens_kind;
const char *ft_tokens_kind_name(ft_tokens_kind kind); /* "text" … */
bool ft_tokens_is_shard_name(const char *name);       /* of a folder's files, those it takes */
enum { FT_TOKENS_NO_LABEL = -100 };

/* What documents were made with, as attributes of the shard. All of it may be unknown ("" and 0),
 * and is for shards of other programs and for texts. */
enum { FT_TOKENS_MAX_END_OF_TURN = 16, FT_TOKENS_MAX_SYSTEM = 32 << 10 };
typedef struct ft_tokens_preparation {
  char template_name[64];   /* "chatml", or "model" for the model's own */
  char template_sha256[65]; /* of the text of the model's own */
  char template_date[24]; /* what it took for today, "2026-01-31T12:00:00"; "": it does not look */
  char *system;           /* what a chat without a system message got; NULL or "": none. Owned */
  uint32_t end_of_turn[FT_TOKENS_MAX_END_OF_TURN]; /* ids that end an assistant's turn */
  int64_t num_end_of_turn;
  int64_t mask_token; /* that stands for a masked token, of kind masked; 0: unknown */
} ft_tokens_preparation;
/* Whether two shards may be trained on together: where both know what they were made with, the
 * template and the system message are the same. *what: "template" or "system message". */
bool ft_tokens_same_preparation(const ft_tokens_preparation *a, const ft_tokens_preparation *b,
                                const char **what);

typedef struct ft_tokens_file {
  char *path;
  ft_tokens_kind kind;
  uint32_t vocab_size;
  char tokenizer_sha256[65]; /* "" : unknown */
  ft_tokens_preparation preparation;
  bool has_mask;   /* loss_mask is there; kinds masked (with labels) and classes can do without */
  bool has_labels; /* kind masked: targets are given (ft_tokens_labels) */
  int64_t num_tokens, num_documents;
  int64_t tokens_at, mask_at,
      offsets_at;      /* file offsets of the contiguous datasets; -1 if they are not */
  int64_t checksum_at; /* file offset of the checksum of all bytes before it; 0: there is none */
  int fd;
  struct ft_tokens_private *private; /* of the reader */
} ft_tokens_file;

/* Opens and checks a token shard through HDF5 and notes where its datasets lie; later reads are
 * preads (or, where a dataset is not contiguous, it is refused by name). Offsets are checked to be
 * non-decreasing from 0 to num_tokens by ft_tokens_offsets. Errors: FT_ERR_NOINPUT, FT_ERR_DATA,
 * FT_ERR_IO. */
ft_err ft_tokens_open(const char *path, ft_tokens_file **out);
void ft_tokens_close(ft_tokens_file *f);
/* All offsets [num_documents + 1], checked; free with ft_free. */
ft_err ft_tokens_offsets(ft_tokens_file *f, int64_t **offsets);
/* tokens / mask of positions start … start+count-1 (zeros where there is no mask). Token ids ≥
 * vocab_size are refused (FT_ERR_DATA). As the offsets, they are compared with the checksums of
 * their chunks where the shard has them (docs/formats.md), as every one that prep writes. */
ft_err ft_tokens_read(ft_tokens_file *f, int64_t start, int64_t count, uint32_t *tokens,
                      uint8_t *mask);
/* Kinds unpaired and classes: the value of documents first … first+count-1. Errors: FT_ERR_DATA
 * where a value cannot be (of unpaired 0 and 1, of classes 0 and above). */
ft_err ft_tokens_values(ft_tokens_file *f, int64_t first, int64_t count, int32_t *values);
/* Kind masked with labels: what is to be predicted at positions start …, FT_TOKENS_NO_LABEL:
 * nothing. Errors: FT_ERR_DATA for an id that is not below vocab_size. */
ft_err ft_tokens_labels(ft_tokens_file *f, int64_t start, int64_t count, int32_t *labels);
/* What the shard is known by, a hash of its content and of what it was made with: its checksum,
 * or, where it has none, the hash of the whole file, which is read. */
ft_err ft_tokens_identity(ft_tokens_file *f, uint64_t *out);
/* Reads the whole file and compares it with its checksum. *found: it has one; a shard of another
 * program may not, and is not read. Errors: FT_ERR_DATA, FT_ERR_IO. */
ft_err ft_tokens_verify(ft_tokens_file *f, bool *found);

typedef struct ft_tokens_writer ft_tokens_writer;
/* Streams documents to a new token shard; it appears under its name when closed with commit. */
ft_err ft_tokens_writer_new(const char *path, ft_tokens_kind kind, uint32_t vocab_size,
                            const char *tokenizer_sha256, ft_tokens_writer **out);
/* What the shard says that its documents were made with; copied. Errors: FT_ERR_DATA if the system
 * message has more than FT_TOKENS_MAX_SYSTEM bytes. */
ft_err ft_tokens_writer_prepared(ft_tokens_writer *w, const ft_tokens_preparation *preparation);
ft_err ft_tokens_write(ft_tokens_writer *w, const uint32_t *tokens, const uint8_t *mask,
                       int64_t count);
/* As ft_tokens_write, with the document's value (kinds unpaired and classes). */
ft_err ft_tokens_write_value(ft_tokens_writer *w, const uint32_t *tokens, const uint8_t *mask,
                             int64_t count, int32_t value);
/* As ft_tokens_write, with labels [count] (kind masked: all documents of a shard or none); the mask
 * is where there is one. */
ft_err ft_tokens_write_labels(ft_tokens_writer *w, const uint32_t *tokens, const int32_t *labels,
                              int64_t count);
/* Finishes and commits; on error, or with commit = false, the file does not appear. Frees the
 * writer. Errors: FT_ERR_DATA for half a pair, or documents of which some lack a value. */
ft_err ft_tokens_writer_close(ft_tokens_writer *w, bool commit);

/* ---------------------------------------------------------------- slice files (checkpoints)
 * One HDF5 file with many one-dimensional datasets "/GROUP/NAME", contiguous, latest format. A
 * dataset holds ranges of a block's flat array, end to end, as entries that cover group_elements
 * elements each. So that any part can be read and verified, each chunk_elements of a range (counted
 * from its start; the last may be shorter) have a hash of their own, XXH3 of the bytes of their
 * entries; all hashes of a dataset, in order, are the u64 dataset "/GROUP/NAME.xxh3", and the XXH3
 * of that is the dataset's checksum. */

typedef struct ft_slice_dataset {
  char *name;             /* "/layer.0/master" */
  const void *data;       /* when writing: borrowed */
  size_t bytes;           /* of all ranges */
  size_t element_bytes;   /* of an entry; stored as u8, u16, f32 or u64, other widths as u8 */
  int64_t group_elements; /* flat elements that an entry covers */
  int64_t chunk_elements; /* a multiple of group_elements */
  const int64_t *starts, *counts; /* attributes start, length: ranges of the block's flat array */
  const int64_t
      *locals; /* when writing: flat elements before each range in `data`; NULL: end to end */
  int64_t num_ranges;
  int64_t num_hashes;
  uint64_t checksum;     /* attribute xxh3, of the hashes; computed by the writer */
  int64_t file_offset;   /* of the data; known after writing and when reading */
  int64_t hashes_offset; /* of the hashes */
} ft_slice_dataset;

/* What a whole slice file is known by. */
typedef struct ft_slice_file {
  int64_t bytes;
  uint64_t metadata_hash; /* of all bytes that belong to no dataset (ft_slices_metadata_hash) */
} ft_slice_file;

/* Hashes that ranges of these lengths have. */
int64_t ft_slices_num_hashes(const int64_t *counts, int64_t num_ranges, int64_t chunk_elements);
/* Writes, fsyncs and commits a slice file; fills num_hashes, checksum and both offsets of each
 * dataset, and *file. Hashes are taken while writing. Errors: FT_ERR_CREATE, FT_ERR_IO. */
ft_err ft_slices_write(const char *path, ft_slice_dataset *datasets, int64_t count,
                       ft_slice_file *file);
/* Reads the table of a slice file, in the order of its data (names, sizes, ranges, checksums, file
 * offsets; data is NULL). Names, starts and counts are owned by *out; free with ft_slices_free.
 * Errors: FT_ERR_DATA, FT_ERR_NOINPUT. */
ft_err ft_slices_open(const char *path, ft_slice_dataset **out, int64_t *count);
void ft_slices_free(ft_slice_dataset *datasets, int64_t count);
/* Hash of what lies outside the data and the hashes of these datasets, in the order of the file:
 * XXH3 of pieces of at most 1 MiB, each seeded with the hash so far. */
ft_err ft_slices_metadata_hash(const char *path, const ft_slice_dataset *datasets, int64_t count,
                               uint64_t *hash);

/* ---------------------------------------------------------------- the I/O thread */

/* Runs job(arg) on the process's I/O thread, in order of submission. The job's error is kept until
 * waited for. Errors: FT_ERR_INTERNAL. */
typedef struct ft_io_job ft_io_job;
ft_err ft_io_submit(ft_err (*job)(void *arg), void *arg, ft_io_job **out);
bool ft_io_done(const ft_io_job *job);
/* Waits, frees, and returns the job's error with its message as this thread's. NULL is FT_OK. */
ft_err ft_io_wait(ft_io_job *job);
/* Ends the thread after what was submitted. */
void ft_io_stop(void);

#endif
