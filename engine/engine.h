/* The daemon: configuration in, exit status out. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "config/config.h"

/* The seed of this process for core/identity.h: before anything is read, for the policy has tables. */
void engine_seed(void);
/* `force`: prices ten thousand times those in force are taken. Runs until SIGTERM or an error that waiting cannot help. Takes both over. */
int engine_run(struct config *config, struct policy *policy, bool activate, bool force);

#endif
