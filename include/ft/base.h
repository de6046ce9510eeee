/* base: errors and checks, accounted memory, logging, clock, counter-based random numbers, hashes
 * and number formats. Everything else stands on it; it stands on nothing.
 *
 * No function here is collective. All are safe to call from any thread unless the text says not. */
#ifndef FT_BASE_H
#define FT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---------------------------------------------------------------- versions */

/* The program's version and revision, "0.1.0 (3f2c…)": what runs record of who made them. main says
 * which, so that a new revision is no reason to build anything else anew. */
void ft_set_version(const char *text); /* text is kept, not copied */
const char *ft_version(void);          /* "unknown" until then */
/* The libraries of this module with their versions, "xxHash 0.8.1"; each module that has libraries
 * has such a function. */
const char *ft_base_libraries(void);

/* ---------------------------------------------------------------- errors */

/* What a function returns. The values are the program's exit statuses (sysexits.h). */
typedef enum ft_err {
  FT_OK = 0,
  FT_ERR_USAGE = 64,    /* command line */
  FT_ERR_DATA = 65,     /* anything wrong inside a model directory or data file, or in numbers */
  FT_ERR_NOINPUT = 66,  /* a path that does not exist */
  FT_ERR_INTERNAL = 70, /* a bug */
  FT_ERR_MEMORY = 71,   /* memory or /dev/shm */
  FT_ERR_CREATE = 73,   /* an output cannot be created */
  FT_ERR_IO = 74,       /* reading or writing failed */
  FT_ERR_STOPPED = 75,  /* stopped early on request; run again to go on */
  FT_ERR_CONFIG = 78    /* the run's config */
} ft_err;

/* Records the calling thread's error (code and formatted message) and returns `code`. The message
 * says what was found, what was expected, where, and what to do. */
ft_err ft_fail(ft_err code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "PREFIX: " before the calling thread's message and returns `code` unchanged. */
ft_err ft_fail_prefix(ft_err code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The calling thread's last message; never NULL; valid until the thread's next ft_fail. */
const char *ft_error_message(void);

/* Call inside a function that has `ft_err err = FT_OK;` and an `out:` label. */
#define FT_TRY(call)                                                                               \
  do {                                                                                             \
    err = (call);                                                                                  \
    if (err != FT_OK) goto out;                                                                    \
  } while (0)

/* What files, configs and users get wrong: always on. FT_CHECK(ok, code, "what was found …"). */
#define FT_CHECK(ok, ...)                                                                          \
  do {                                                                                             \
    if (!(ok)) {                                                                                   \
      err = ft_fail(__VA_ARGS__);                                                                  \
      goto out;                                                                                    \
    }                                                                                              \
  } while (0)

/* What a programmer got wrong: prints file and line and aborts. No side effects inside. */
#define FT_ASSERT(ok) ((ok) ? (void)0 : ft_assert_failed(#ok, __FILE__, __LINE__))
_Noreturn void ft_assert_failed(const char *what, const char *file, int line);

/* A list of a user's mistakes, reported all at once. Begins zeroed. */
typedef struct ft_mistakes {
  ft_err first;          /* code of the first one */
  int64_t count, listed; /* what does not fit is only counted */
  size_t used;
  char text[6500]; /* one line each */
} ft_mistakes;

/* Adds one with its code. */
void ft_mistakes_add(ft_mistakes *m, ft_err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds what a call has returned, with its message; FT_OK is none. */
void ft_mistakes_note(ft_mistakes *m, ft_err err);
/* FT_OK if there are none; otherwise the first one's code with all of them, after what they were
 * found in (NULL: not said). */
ft_err ft_mistakes_fail(const ft_mistakes *m, const char *where);

/* How many letters have to be changed, put in or left out to make b of a (Levenshtein), for "did
 * you mean"; 1000 where b has more than 127. */
size_t ft_edit_distance(const char *a, const char *b);
bool ft_ends_with(const char *text, const char *end);
/* What a hexadecimal digit of either case stands for, or -1. */
int ft_hex_digit(char c);

#define FT_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define FT_MIN(a, b) ((a) < (b) ? (a) : (b))
#define FT_MAX(a, b) ((a) > (b) ? (a) : (b))

static inline int64_t ft_ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
static inline int64_t ft_round_up(int64_t a, int64_t multiple) {
  return ft_ceil_div(a, multiple) * multiple;
}

/* ---------------------------------------------------------------- memory */

/* Whose memory it is; peaks are reported by owner at the end of a run. */
typedef enum ft_owner {
  FT_MEM_OTHER = 0,
  FT_MEM_MASTER,   /* owned slices of master weights */
  FT_MEM_STATE,    /* owned slices of optimizer state */
  FT_MEM_GRADIENT, /* owned slices of gradient accumulators */
  FT_MEM_FROZEN,   /* weights that nobody trains, as they are kept */
  FT_MEM_WEIGHTS,  /* gathered compute weights (node-shared windows count on the allocating rank) */
  FT_MEM_EXCHANGE, /* send and receive buffers of gradients */
  FT_MEM_ACTIVATIONS, /* activations kept for the backward pass, and key/value caches */
  FT_MEM_WORKSPACE,   /* scratch of kernels and of one block's forward and backward pass */
  FT_MEM_DATA,        /* token shards' indices and batches */
  FT_MEM_TOKENIZER,   /* tokenizers, and ids of text */
  FT_MEM_PREP,        /* documents in preparation, and templates */
  FT_MEM_IO,          /* file buffers and parsed headers */
  FT_MEM_NUM_OWNERS
} ft_owner;

const char *ft_owner_name(ft_owner owner);

/* *out = `bytes` of zeroed memory, 64-byte aligned, huge pages asked for when large. bytes == 0
 * gives a valid pointer. Errors: FT_ERR_MEMORY, naming the owner and the size. Free with ft_free.
 */
ft_err ft_alloc(ft_owner owner, size_t bytes, void **out);

/* As ft_alloc for count × size bytes, refusing negative counts and overflow. */
ft_err ft_alloc_array(ft_owner owner, int64_t count, size_t size, void **out);

/* Grows (or shrinks) an ft_alloc'd array, keeping its content; new bytes are zero. *p may be NULL.
 */
ft_err ft_realloc(ft_owner owner, size_t bytes, void **p);

/* Makes room for `needed` elements of `size` bytes in an ft_alloc'd array that has *capacity of
 * them: does nothing where there is room, otherwise at least doubles it, so that adding one element
 * after another copies each a bounded number of times. New bytes are zero; *p may be NULL with
 * *capacity 0. Errors: FT_ERR_MEMORY; *p and *capacity stay as they were. */
ft_err ft_grow(ft_owner owner, int64_t needed, size_t size, int64_t *capacity, void **p);
/* The same for one element after `count`, in a short list that grows by nothing else: there is room
 * up to the next power of two, so nobody has to keep a capacity. */
ft_err ft_grow_one(ft_owner owner, int64_t count, size_t size, void **p);
/* As ft_grow for arrays that have one capacity together. */
typedef struct ft_array {
  void **at;
  size_t size; /* of an element, in bytes */
} ft_array;
ft_err ft_grow_all(ft_owner owner, int64_t needed, int64_t *capacity, const ft_array *arrays,
                   size_t count);
/* As ft_grow for text and other bytes. */
ft_err ft_grow_bytes(ft_owner owner, size_t needed, size_t *capacity, void **p);

/* Frees what ft_alloc gave; ft_free(NULL) does nothing. */
void ft_free(void *p);
/* From now on ft_free does nothing. For a process that ends soon while somebody may still write to
 * what it has given up: communication that was abandoned in the middle. */
void ft_mem_keep(void);

/* Account for memory that was not allocated here (shared windows); bytes may be negative. */
void ft_mem_account(ft_owner owner, int64_t bytes);

typedef struct ft_mem_usage {
  size_t current_bytes, peak_bytes;
} ft_mem_usage;
ft_mem_usage ft_mem_of(ft_owner owner);
ft_mem_usage ft_mem_total(void);

/* Copies a string (owner FT_MEM_OTHER); free with ft_free. */
ft_err ft_strdup(const char *s, char **out);
/* Formats into a new string; free with ft_free. */
ft_err ft_format(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---------------------------------------------------------------- logging */

typedef enum ft_log_level { FT_LOG_DEBUG, FT_LOG_INFO, FT_LOG_WARNING, FT_LOG_ERROR } ft_log_level;

/* Messages go to stderr (from INFO up, on the rank that ft_log_set_rank made the speaker; errors
 * and warnings too) and, when a file is open, to it from every rank, with time. */
void ft_log(ft_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One line that the next one replaces, on the speaker's stderr where that is a terminal, cut to its
 * width. Returns false, and says nothing, where it is none, or none that can do so (TERM=dumb). */
bool ft_log_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says who this process is: only rank 0 writes to stderr. Before the call, rank 0 is assumed. */
void ft_log_set_rank(int rank);
int ft_log_rank(void);
/* Appends to this process's log file, first what was said so far. Errors: FT_ERR_CREATE. */
ft_err ft_log_open(const char *path);
void ft_log_close(void);

/* ---------------------------------------------------------------- clock */

/* Seconds since some fixed moment; monotonic. */
double ft_now_s(void);
/* Processor time that the calling thread has used. */
double ft_thread_cpu_s(void);
void ft_sleep_s(double seconds);

/* ---------------------------------------------------------------- faults made on purpose */

/* Test aid. Marks a named point of the program; does there what FT_FAULT in the environment asks
 * for, a list of POINT[@N][/RANK]=ACTION separated by commas: at the Nth time (from 1; without @N
 * each time) that RANK (without /RANK every rank) comes to POINT, do ACTION:
 *   kill      SIGKILL to this process       freeze   SIGSTOP to this process
 *   usr1, usr2, term, int, hup, xcpu   that signal to this process
 *   exit      leave at once, with status 1  fail     make the point fail, where it can
 *   nan       make the point's number NaN, where it has one
 *   sleep:S   sleep S seconds               slow:S   take S seconds longer, as a slow processor
 * sleep and slow differ in that `slow` is the caller's to do: it looks for a stop meanwhile, as
 * between kernels; `sleep` is deaf. docs/reliability.md lists the points. */
typedef struct ft_fault_effect {
  double slow_s;
  bool fail, nan;
} ft_fault_effect;
ft_fault_effect ft_fault(const char *point);

/* ---------------------------------------------------------------- where the time goes
 * Every moment of a thread counts for one part of the work, the one entered last: the parts add up
 * to the time that passed. Entering costs one reading of the clock (some 25 ns). Each thread has an
 * account of its own; the thread that runs the steps is the one to ask. */

typedef enum ft_part {
  FT_TIME_OTHER = 0,
  FT_TIME_FORWARD,         /* matmuls of the layers: forward, */
  FT_TIME_BACKWARD_INPUT,  /* gradients of their inputs, */
  FT_TIME_BACKWARD_WEIGHT, /* gradients of their weights */
  FT_TIME_HEAD,            /* matmuls of the output head, all three */
  FT_TIME_ATTENTION,
  FT_TIME_ELEMENTWISE, /* norms, rotary embedding, SwiGLU, sums, embedding, biases' gradients */
  FT_TIME_LOSS,        /* cross-entropy and its gradient */
  FT_TIME_OPTIMIZER,   /* gradient norm, update, derived weights; of a rank alone, gradient sums */
  FT_TIME_COMMUNICATION, /* waiting for other ranks or for this one's communication thread */
  FT_TIME_DATA,          /* waiting for data */
  FT_TIME_NUM_PARTS
} ft_part;

/* "matmul_forward" … : keys of JSON objects. */
const char *ft_part_name(ft_part part);
/* From now on the calling thread works on `part`. Returns what it worked on until now, for those
 * who go back to it. */
ft_part ft_time_enter(ft_part part);
/* Seconds that the calling thread has spent on each part, up to now. */
void ft_time_spent(double seconds[FT_TIME_NUM_PARTS]);

/* ---------------------------------------------------------------- random numbers */

/* What a random number is for. Part of the key, so no two uses ever share numbers.
 * The values are part of the arithmetic contract: append, never renumber. */
typedef enum ft_purpose {
  FT_RANDOM_INIT = 1,     /* weights of `ftrun init`: step = tensor number, index = element */
  FT_RANDOM_SHUFFLE = 2,  /* order of documents and rows: step = epoch */
  FT_RANDOM_SAMPLE = 3,   /* generated tokens: step = 0, index = position */
  FT_RANDOM_ROUND = 4,    /* stochastic rounding */
  FT_RANDOM_SPLIT = 5,    /* train/validation/test */
  FT_RANDOM_BENCH = 6,    /* benchmark inputs */
  FT_RANDOM_MASTER = 7,   /* master weights that are kept in fewer bits: step = update */
  FT_RANDOM_GRADIENT = 8, /* gradient sums in bf16: step = update and micro-batch */
  FT_RANDOM_MASK = 9,     /* which tokens are masked: step = epoch and source, index = token */
  FT_RANDOM_NOISE = 10,   /* noise on embeddings: step = update, index = micro-batch and element */
  FT_RANDOM_DROPOUT = 11, /* elements left out: step = update and micro-batch */
  FT_RANDOM_ADAPTER = 12  /* first values of what a method adds: step = tensor, index = element */
} ft_purpose;

/* Philox4x32-10 (Salmon et al., SC'11) keyed by (seed, purpose), at counter (step, index):
 * four uniform 32-bit words. A pure function. */
void ft_random_words(uint64_t seed, ft_purpose purpose, uint64_t step, uint64_t index,
                     uint32_t out[4]);
/* Philox's key of a seed and purpose, for vectorised copies of ft_random_words. */
uint64_t ft_random_key(uint64_t seed, ft_purpose purpose);
/* The first two words as one 64-bit number. */
uint64_t ft_random_u64(uint64_t seed, ft_purpose purpose, uint64_t step, uint64_t index);
/* Uniform in [0, 1), 53 bits. */
double ft_random_uniform(uint64_t seed, ft_purpose purpose, uint64_t step, uint64_t index);
/* Standard normal (Box-Muller). */
double ft_random_normal(uint64_t seed, ft_purpose purpose, uint64_t step, uint64_t index);
/* Fills order[0..count) with a permutation of 0..count-1 (Fisher-Yates); step is the epoch. */
void ft_random_permutation(uint64_t seed, ft_purpose purpose, uint64_t step, int64_t count,
                           int64_t *order);

/* ---------------------------------------------------------------- hashes */

/* XXH3, 64 bits. */
uint64_t ft_hash64(const void *data, size_t bytes, uint64_t seed);
/* A bijection in which every bit of h reaches every bit (the finalizer of MurmurHash3, Appleby). */
static inline uint64_t ft_mix64(uint64_t h) {
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdull;
  h ^= h >> 33;
  h *= 0xc4ceb9fe1a85ec53ull;
  return h ^ h >> 33;
}
/* ft_hash64 with seed 0, of bytes that come in pieces of any size. */
typedef struct ft_hash ft_hash;
ft_err ft_hash_new(ft_hash **out);
void ft_hash_free(ft_hash *hash);
void ft_hash_add(ft_hash *hash, const void *data, size_t bytes);
uint64_t ft_hash_value(const ft_hash *hash); /* of all bytes so far */
/* SHA-256 as 64 lower-case hexadecimal digits and a terminating zero. */
void ft_sha256_hex(const void *data, size_t bytes, char out[65]);

/* ---------------------------------------------------------------- number formats */

typedef enum ft_dtype { FT_F32, FT_BF16, FT_F16 } ft_dtype;

static inline size_t ft_dtype_bytes(ft_dtype t) {
  return t == FT_F32 ? 4 : 2;
}
const char *ft_dtype_name(ft_dtype t); /* "F32", "BF16", "F16" */

/* How a master weight is kept (kernels_packed.h). Every one of them has a value that f32 holds
 * exactly. */
typedef enum ft_master {
  FT_MASTER_F32,    /* 4 bytes */
  FT_MASTER_BF16_8, /* the upper 24 bits of an f32: 2 bytes in one array, 1 in another */
  FT_MASTER_BF16,   /* the upper 16 bits */
  FT_MASTER_NUM
} ft_master;

/* How a frozen weight is kept (kernels_packed.h): as it is computed with, or in codes. */
typedef enum ft_code { FT_CODE_NONE, FT_CODE_INT8, FT_CODE_NF4, FT_CODE_NUM } ft_code;
const char *ft_code_name(ft_code code); /* "bf16", "int8", "nf4": as model.storage names it */

/* How AdamW's moments are kept (kernels_packed.h). */
typedef enum ft_moments { FT_MOMENTS_F32, FT_MOMENTS_INT8, FT_MOMENTS_NUM } ft_moments;

static inline float ft_f32_from_bits(uint32_t bits) {
  union {
    uint32_t u;
    float f;
  } x = {.u = bits};
  return x.f;
}
static inline uint32_t ft_f32_bits(float value) {
  union {
    float f;
    uint32_t u;
  } x = {.f = value};
  return x.u;
}
static inline float ft_f32_from_bf16(uint16_t b) {
  return ft_f32_from_bits((uint32_t)b << 16);
}
/* Round to nearest, ties to even; NaN stays NaN (quiet). */
static inline uint16_t ft_bf16_from_f32(float value) {
  uint32_t u = ft_f32_bits(value);
  uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : rounded);
}
float ft_f32_from_f16(uint16_t h);
uint16_t ft_f16_from_f32(float value); /* nearest even; overflow gives infinity */

#endif
