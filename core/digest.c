#include "core/digest.h"

#include <openssl/evp.h>

#include <stdlib.h>

void
digest_hex(struct text bytes, char out[DIGEST_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    if (EVP_Digest(bytes.at, bytes.size, sum, &size, EVP_sha256(), NULL) != 1)
        abort(); /* only for want of memory */
    for (size_t i = 0; i < 32; i++) {
        out[2 * i] = digits[sum[i] >> 4];
        out[2 * i + 1] = digits[sum[i] & 15];
    }
    out[64] = '\0';
}
