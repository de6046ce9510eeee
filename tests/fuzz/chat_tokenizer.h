/* A tokenizer with the control tokens of every template, in the memory file
 * MEMORY_ROOT "chat/tokenizer.json". */
#ifndef CHAT_TOKENIZER_H
#define CHAT_TOKENIZER_H

#include "ft/prep.h"

#define CHAT_DIR MEMORY_ROOT "chat"

/* Ends the process where that fails. */
ft_tokenizer *chat_tokenizer(void);
/* The template that a number stands for, AUTO among them. */
ft_template chat_template(unsigned number);

#endif
