/* Scopes as operators type them. */
#ifndef CLI_SCOPE_H
#define CLI_SCOPE_H

#include "core/decision.h"

#define SCOPE_FORMS \
    "tenant/T, project/T/P, key/T/K, feature/T/F, model/T/M or ip/T/ADDRESS (T: the tenant)"

/*
 * The scope that a word means, with percent-encoded parts as on the control topic.  A part may be
 * typed as it is ("model/acme/openai/gpt-x": what follows the tenant is one part) or already
 * encoded ("model/acme/openai%2Fgpt-x").  INPUT error that says which forms there are.
 */
bool scope_of_word(const char *word, char out[SCOPE_SIZE], struct err *why);

#endif
