/*
 * The keys of the configuration file: one row each (config/keys.def).
 */
#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H

#include "config/loader.h"

#include <stdio.h>

/* Reads every key of the tree into the configuration, defaults where it is silent; reports what is
 * missing, wrong or unknown. */
void keys_load(struct loader *loader);
/* `tripmeter check --keys`: every key with its form, default and help. */
void keys_print(FILE *out);
/* For tests and tools: paths in the order of keys.def; NULL behind the last. */
const char *keys_path(size_t index);

#endif
