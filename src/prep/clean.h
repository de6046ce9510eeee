/* Cleaning rules that look at one document: what trips them, and what is done about it. */
#ifndef FT_PREP_CLEAN_H
#define FT_PREP_CLEAN_H

#include "normalise.h"
#include "record.h"

/* What the rules found in one document. */
typedef struct ft_findings {
  uint32_t hits;                  /* bit of each rule that was tripped */
  uint32_t fixed;                 /* bit of each rule whose findings were taken out */
  ft_rule drop;                   /* the first rule that drops the document; FT_NUM_RULES: none */
  ft_rule refuse;                 /* the first that refuses it, likewise */
  char excerpt[FT_NUM_RULES][48]; /* what tripped it */
} ft_findings;

/* Memory that a thread keeps from record to record. Starts zeroed. */
typedef struct ft_workroom {
  ft_words words;
  uint64_t *hashes, *table; /* of lines and of words; the ones that were seen */
  int64_t hash_capacity, table_capacity;
} ft_workroom;
void ft_workroom_fini(ft_workroom *room);

/* Applies the rules that look at texts, which may change them. Errors: FT_ERR_MEMORY. */
ft_err ft_clean_record(const ft_clean_options *options, ft_workroom *room, ft_record *record,
                       ft_findings *findings);
/* And those that count tokens (of a pair the longer side). */
void ft_clean_length(const ft_clean_options *options, int64_t tokens, ft_findings *findings);
/* And those that compare the two documents of a pair, as they are after cutting. */
ft_err ft_clean_pair(const ft_clean_options *options, const ft_tokenizer *tokenizer,
                     const ft_document *pair, ft_findings *findings);
/* Nothing was found so far. */
void ft_findings_init(ft_findings *findings);
/* Errors: FT_ERR_DATA naming the rule and what tripped it, if one refuses the document. */
ft_err ft_findings_check(const ft_findings *findings);
/* Notes that a rule was tripped, by what. */
void ft_finding(const ft_clean_options *options, ft_findings *findings, ft_rule rule,
                const char *text, size_t bytes);

/* A search for personal data in a text. */
typedef struct ft_personal {
  uint32_t rules;   /* bits of those that are looked for */
  const char *text; /* ended by a zero */
  size_t length;
  size_t at;      /* where the search goes on */
  size_t start;   /* what lies before is not there any more */
  size_t address; /* the next '@' at or behind `at`, or `length` */
} ft_personal;

void ft_personal_begin(ft_personal *search, uint32_t rules, const char *text);
/* The next stretch that a rule knows: *begin and *bytes. FT_NUM_RULES: there is none. */
ft_rule ft_personal_next(ft_personal *search, size_t *begin, size_t *bytes);
/* Quality of a text: the rules that it trips of repetition, symbols and lines (bits). */
ft_err ft_quality(ft_workroom *room, const char *text, size_t bytes, uint32_t *tripped);

#endif
