/* Inside export: what a run was trained to chat with goes to its export. */
#ifndef FT_CLI_EXPORT_CHAT_H
#define FT_CLI_EXPORT_CHAT_H

#include "ft/run_config.h"

/* Reads from the run's training shards which layout, system message and ends of turns they were
 * prepared with, adds to the export OUT what it lacks of them, and says so. Data that are gone
 * leave the export as it is, with a word. Errors: those of ft_hf_add_chat. */
ft_err ft_export_chat(const ft_config *config, const char *out);

#endif
