/* SHA-256 as lower-case hex: what names bytes that are not kept themselves. */
#ifndef CORE_DIGEST_H
#define CORE_DIGEST_H

#include "core/text.h"

#define DIGEST_HEX_SIZE 65
void digest_hex(struct text bytes, char out[DIGEST_HEX_SIZE]);

#endif
