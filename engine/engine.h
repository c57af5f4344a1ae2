/* The daemon: configuration in, exit status out. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "config/config.h"

/* Runs until SIGTERM or an error that waiting cannot help. Takes both over. */
int engine_run(struct config *config, struct policy *policy, bool activate);

#endif
