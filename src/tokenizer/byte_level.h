/* Inside tokenizer: GPT-2's alphabet, in which each byte is a printable character. */
#ifndef FT_TOKENIZER_BYTE_LEVEL_H
#define FT_TOKENIZER_BYTE_LEVEL_H

#include "buffer.h"

/* The character (below U+0144) that stands for a byte. */
uint32_t ft_byte_level_code(uint8_t byte);
/* Appends text in the alphabet. */
ft_err ft_byte_level_put(ft_buffer *out, const char *text, size_t bytes);
/* Writes the bytes that a string in the alphabet stands for to out (at least `bytes` large) and
 * returns true; false if it holds another character. */
bool ft_byte_level_decode(const char *text, size_t bytes, char *out, size_t *length);

#endif
