/* What each kind is called, who can use it, and what those do who cannot. */
#include <string.h>

#include "ft/io_kind.h"

#define W(want) (1u << FT_WANT_##want)
#define ANY ~0u /* the reader says what is wrong */

/* What to do differs: data can be converted, and what stands in a model's place has to be
 * exchanged. FILE stands for the path. */
typedef struct kind_row {
  const char *name;
  unsigned usable;       /* by whom: W(…) */
  const char *for_data;  /* where records or token shards are wanted */
  const char *for_model; /* elsewhere; NULL: the same */
} kind_row;

static const char unpack[] = "unpack it first";
static const char to_lines[] = "convert it to JSON lines";
static const char not_weights[] =
    "weights are read from *.safetensors: in Python, "
    "AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(OUT) writes them";
#define WITH_PYTHON(type, options)                                                                 \
  "convert it: python3 -c \"from datasets import load_dataset as load; load('" type                \
  "', data_files='FILE', split='train'" options ").to_json('FILE.jsonl')\""
static const char made_from[] =
    "ftrun reads the Hugging Face model directory that it was made from";
static const char again[] = "get the file again";

static const kind_row rows[FT_NUM_KINDS] = {
    [FT_KIND_ABSENT] = {"nothing", 0, "", NULL},
    [FT_KIND_UNREADABLE] = {"a file that cannot be read", ANY, "", NULL},
    [FT_KIND_STREAM] = {"a pipe or a device", W(RECORDS), "give a file", NULL},
    [FT_KIND_EMPTY] = {"empty", W(RECORDS), again, NULL},
    [FT_KIND_ZEROS] = {"nothing but zeros, as a copy is that was never written", 0, again, NULL},
    [FT_KIND_LFS_POINTER] = {"a Git LFS pointer, not the file itself", 0,
                             "fetch the file with `git lfs pull`, or download it with `hf "
                             "download`",
                             NULL},
    [FT_KIND_ANNEX_POINTER] = {"a git-annex pointer, not the file itself", 0,
                               "fetch the file with `git annex get`", NULL},
    [FT_KIND_GZIP] = {"compressed with gzip", W(RECORDS), "unpack it with gunzip", NULL},
    [FT_KIND_ZSTD] = {"compressed with zstd", W(RECORDS), "unpack it with unzstd", NULL},
    [FT_KIND_BZIP2] = {"compressed with bzip2", 0, "unpack it with bunzip2", NULL},
    [FT_KIND_XZ] = {"compressed with xz", 0, "unpack it with unxz", NULL},
    [FT_KIND_LZ4] = {"compressed with lz4", 0, "unpack it with unlz4", NULL},
    [FT_KIND_ZIP] = {"a ZIP archive", 0, unpack, NULL},
    [FT_KIND_7ZIP] = {"a 7-Zip archive", 0, unpack, NULL},
    [FT_KIND_TAR] = {"a tar archive", 0, unpack, NULL},
    [FT_KIND_PICKLE] = {"a Python pickle, such as torch.save writes", 0,
                        "load it in Python, and write its records as JSON lines", not_weights},
    [FT_KIND_NUMPY] = {"a file of NumPy arrays", 0,
                       "write its rows as JSON lines, or its tokens as HDF5 (docs/data.md)", ""},
    [FT_KIND_OFFICE] = {"a file of an office program", 0,
                        "save it as CSV there, and convert that to JSON lines", ""},
    [FT_KIND_GGUF] = {"a GGUF file, which holds a model", 0, "data were expected here", made_from},
    [FT_KIND_SAFETENSORS] = {"a safetensors file", W(SAFETENSORS),
                             "give the model directory that it belongs to", NULL},
    [FT_KIND_HDF5] = {"an HDF5 file", W(TOKENS) | W(RECORDS), NULL, NULL},
    [FT_KIND_PARQUET] = {"a Parquet file", 0, WITH_PYTHON("parquet", ""), ""},
    [FT_KIND_ARROW] = {"an Arrow file", 0, WITH_PYTHON("arrow", ""), ""},
    [FT_KIND_AVRO] = {"an Avro file", 0, to_lines, ""},
    [FT_KIND_ORC] = {"an ORC file", 0, to_lines, ""},
    [FT_KIND_SQLITE] = {"an SQLite database", 0,
                        "write its rows as JSON lines: sqlite3 FILE \"select json_object('text', "
                        "COLUMN) from TABLE\"",
                        ""},
    [FT_KIND_PDF] = {"a PDF document", 0, "extract its text first", ""},
    [FT_KIND_UTF16] = {"text in UTF-16", 0,
                       "UTF-8 is read: iconv -f UTF-16 -t UTF-8 FILE > FILE.utf8", NULL},
    [FT_KIND_UTF32] = {"text in UTF-32", 0,
                       "UTF-8 is read: iconv -f UTF-32 -t UTF-8 FILE > FILE.utf8", NULL},
    [FT_KIND_HTML] = {"a page of HTML, such as a server's error message", 0,
                      "download the file again", NULL},
    [FT_KIND_XML] = {"an XML file", 0, to_lines, ""},
    [FT_KIND_JSON_ARRAY] = {"one JSON array", W(JSON),
                            "make a line of each of its members: jq -c '.[]' FILE > FILE.jsonl",
                            ""},
    [FT_KIND_JSON_OBJECT] = {"one JSON object over several lines", W(JSON),
                             "write one record a line: jq -c . FILE > FILE.jsonl", ""},
    [FT_KIND_JSON_LINES] = {"JSON lines", W(RECORDS) | W(JSON),
                            "make token shards of it: ftrun prep --model DIR --input FILE --out "
                            "OUT",
                            ""},
    [FT_KIND_TABLE] = {"a table of comma-separated values (CSV)", 0, WITH_PYTHON("csv", ""), ""},
    [FT_KIND_TABLE_TABS] = {"a table of tab-separated values (TSV)", 0,
                            WITH_PYTHON("csv", ", delimiter='\\t'"), ""},
    [FT_KIND_CR_LINES] = {"JSON lines that end in carriage returns alone", 0,
                          "write line feeds: tr '\\r' '\\n' < FILE > FILE.lf", ""},
    [FT_KIND_TEXT] = {"plain text", W(JSON),
                      "make a record of each line: jq -Rc '{text: .}' FILE > FILE.jsonl, or one of "
                      "the whole, with jq -Rsc",
                      ""},
    [FT_KIND_BINARY] = {"neither text in UTF-8 nor a kind of file that ftrun knows", 0, to_lines,
                        again},
    [FT_KIND_RUN] = {"a run directory", W(RUN), "its config.json names the data it learns from",
                     NULL},
    [FT_KIND_CHECKPOINTS] = {"the folder of a run's checkpoints", 0,
                             "give the run directory, one level up", NULL},
    [FT_KIND_CHECKPOINT] = {"a checkpoint of a run", 0, "a run is no data", NULL},
    [FT_KIND_CHECKPOINT_UNFINISHED] = {"a checkpoint that was never finished", 0,
                                       "give the run directory, two levels up", NULL},
    [FT_KIND_ADAPTER] = {"an adapter without the model that it belongs to", 0,
                         "give the model's directory (adapter_config.json names it as "
                         "base_model_name_or_path), and this one as model.adapter or --adapter",
                         NULL},
    [FT_KIND_MODEL] = {"a model directory", W(MODEL) | W(WEIGHTS),
                       "name FILE in model.path or --model, and data in its place", NULL},
    [FT_KIND_MODEL_NO_INDEX] = {"a model directory without model.safetensors.index.json", W(MODEL),
                                "name FILE in model.path or --model, and data in its place", NULL},
    [FT_KIND_MODEL_PICKLES] = {"a model directory whose weights are pytorch_model*.bin", W(MODEL),
                               not_weights, NULL},
    [FT_KIND_MODEL_GGUF] = {"a directory of GGUF files", 0, made_from, NULL},
    [FT_KIND_SHARDS] = {"a folder of token shards", W(TOKENS), NULL, NULL},
    [FT_KIND_PREPARED] = {"what ftrun prep leaves", 0, "give one of its sets: FILE/train",
                          "token shards are data: name one of its sets in data.train, and the "
                          "model's directory in model.path"},
    [FT_KIND_DIRECTORY] = {"a directory", ANY, "", NULL},
};

static const char shards_wanted[] =
    "a token shard (*.h5) or a folder of them was expected, as ftrun prep makes them of JSON lines";

static const char *const wanted[FT_NUM_WANTS] = {
    [FT_WANT_RECORDS] = "JSON lines (plain, .gz or .zst) were expected",
    [FT_WANT_JSON] = "a JSON object was expected",
    [FT_WANT_SAFETENSORS] = "a safetensors file was expected",
    [FT_WANT_TOKENS] = shards_wanted,
    [FT_WANT_MODEL] = "a Hugging Face model directory was expected",
    [FT_WANT_WEIGHTS] = "a Hugging Face model directory with weights in safetensors was expected",
    [FT_WANT_RUN] = "a run directory was expected",
};

const char *ft_kind_name(ft_kind kind) {
  FT_ASSERT(kind < FT_NUM_KINDS);
  return rows[kind].name;
}

/* ---------------------------------------------------------------- advice */

/* Copies `pattern` with each FILE replaced by the path. */
static ft_err fill_in(const char *pattern, const char *path, char **out) {
  ft_err err = FT_OK;
  size_t count = 0, used = 0;
  void *memory = NULL;
  for (const char *at = pattern; (at = strstr(at, "FILE")); at += 4)
    count++;
  FT_TRY(ft_alloc(FT_MEM_OTHER, strlen(pattern) + count * strlen(path) + 1, &memory));
  char *text = memory;
  for (const char *at = pattern; *at;) {
    bool here = strncmp(at, "FILE", 4) == 0;
    size_t bytes = here ? strlen(path) : 1;
    memcpy(text + used, here ? path : at, bytes);
    used += bytes;
    at += here ? 4 : 1;
  }
  *out = text;
out:
  return err;
}

/* The names of weights that an index should list, for the message. */
static ft_err list_weights(const char *dir, char **out) {
  ft_err err = FT_OK;
  char **names = NULL, list[400] = "";
  int64_t num_names = 0;
  size_t used = 0;
  FT_TRY(ft_list_dir(dir, &names, &num_names));
  for (int64_t i = 0; i < num_names && used < sizeof list; i++) {
    if (!ft_ends_with(names[i], ".safetensors")) continue;
    used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", names[i]);
  }
  FT_TRY(ft_format(out,
                   "it has %s; copy the index from where these came from, which says what each "
                   "holds",
                   list));
out:
  ft_free_names(names, num_names);
  return err;
}

/* "runs/x" of "runs/x/checkpoints/step-00000200", or "RUN". */
static ft_err checkpoint_advice(const char *path, ft_want want, char **out) {
  const char *at = strstr(path, "/checkpoints/");
  int length = at ? (int)(at - path) : 3;
  const char *run = at ? path : "RUN";
  if (want == FT_WANT_RUN) return ft_format(out, "give the run %.*s, with --step N", length, run);
  return ft_format(out, "make a model of it: ftrun export %.*s --step N --out OUT; then give OUT",
                   length, run);
}

static ft_err pretokenized_advice(ft_want want, const char *path, char **out) {
  if (want == FT_WANT_MODEL || want == FT_WANT_WEIGHTS)
    return ft_format(out, "token shards are data: name them in data.train, and the model's "
                          "directory in model.path");
  return ft_format(out, "name %s in data.train, or give it to ftrun prep as --input", path);
}

/* The directory of a file that lies in a model directory, else what the table says. */
static ft_err file_advice(const char *path, const char *pattern, ft_want want, char **out) {
  char *dir = NULL;
  ft_err err = ft_strdup(path, &dir);
  char *slash = err == FT_OK ? strrchr(dir, '/') : NULL;
  if (slash) *slash = 0;
  if (slash && (want == FT_WANT_MODEL || want == FT_WANT_WEIGHTS) && !ft_path_is_dir(path) &&
      ft_kind_of(dir) == FT_KIND_MODEL)
    err = ft_format(out, "give the directory, %s", dir);
  else if (err == FT_OK)
    err = fill_in(pattern, path, out);
  ft_free(dir);
  return err;
}

static bool wants_data(ft_want want) {
  return want == FT_WANT_RECORDS || want == FT_WANT_TOKENS;
}

/* What to do with this kind where something else than data is wanted. */
static ft_err advice_elsewhere(const char *path, ft_kind kind, ft_want want, char **out) {
  const kind_row *row = &rows[kind];
  switch (kind) {
  case FT_KIND_RUN:
    return fill_in(want == FT_WANT_JSON
                       ? "give FILE/config.json"
                       : "make a model of it: ftrun export FILE --out OUT; then give OUT",
                   path, out);
  case FT_KIND_CHECKPOINT:
    return checkpoint_advice(path, want, out);
  case FT_KIND_MODEL_NO_INDEX:
    return list_weights(path, out);
  case FT_KIND_MODEL:
    return fill_in(want == FT_WANT_RUN
                       ? "FILE is what a run starts from or exports to; give the directory that "
                         "run.dir names"
                       : "name it in model.path",
                   path, out);
  default:
    return file_advice(path, row->for_model ? row->for_model : row->for_data, want, out);
  }
}

static ft_err advice_for(const char *path, ft_kind kind, ft_want want, char **out) {
  if (kind == FT_KIND_HDF5 || kind == FT_KIND_SHARDS) return pretokenized_advice(want, path, out);
  if (!wants_data(want)) return advice_elsewhere(path, kind, want, out);
  return fill_in(rows[kind].for_data, path, out);
}

/* Compressed data are what they hold. */
static ft_err check_packed(const char *path, ft_kind packing, ft_want want) {
  ft_kind held = ft_kind_of_packed(path);
  char *advice = NULL;
  if (want == FT_WANT_RECORDS && held != FT_KIND_HDF5 && rows[held].usable & W(RECORDS))
    return FT_OK;
  ft_err err = fill_in(rows[held == FT_KIND_JSON_LINES ? held : packing].for_data, path, &advice);
  if (err == FT_OK)
    err = ft_fail(FT_ERR_DATA, "%s: is %s, and what it holds is %s; %s: %s", path,
                  rows[packing].name, rows[held].name, wanted[want], advice);
  ft_free(advice);
  return err;
}

ft_err ft_kind_check(const char *path, ft_want want) {
  ft_kind kind = ft_kind_of(path);
  char *advice = NULL;
  if ((kind == FT_KIND_GZIP || kind == FT_KIND_ZSTD) && wants_data(want))
    return check_packed(path, kind, want);
  if (rows[kind].usable & 1u << want) return FT_OK;
  if (kind == FT_KIND_ABSENT)
    return ft_fail(FT_ERR_NOINPUT, "%s: no such file or directory; %s", path, wanted[want]);
  ft_err err = advice_for(path, kind, want, &advice);
  if (err == FT_OK)
    err = ft_fail(FT_ERR_DATA, "%s: is %s; %s%s%s", path, rows[kind].name, wanted[want],
                  advice[0] ? ": " : "", advice);
  ft_free(advice);
  return err;
}
