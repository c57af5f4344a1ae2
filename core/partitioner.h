/* Which partition Kafka's default partitioner (murmur2 of the key) sends a key to. */
#ifndef CORE_PARTITIONER_H
#define CORE_PARTITIONER_H

#include "core/text.h"

int32_t partitioner_murmur2(struct text key);
int32_t partitioner_partition(struct text key, int32_t partitions);

#endif
