/*
 * What this engine calls itself in the consumer group: the configured name, or a random one kept in
 * the state directory.  The directory is locked while the engine runs, so that two engines on one
 * host never share a name (Kafka would throw one of them out).
 */
#ifndef ENGINE_INSTANCE_H
#define ENGINE_INSTANCE_H

#include "config/config.h"

#define INSTANCE_SIZE 128

struct instance {
    char name[INSTANCE_SIZE];
    int lock; /* file descriptor, -1: none */
};

/* FATAL when the directory cannot be used or is another engine's. */
bool instance_open(struct instance *instance, const struct config *config, struct err *why);
void instance_close(struct instance *instance);

#endif
