/* The two pages of `status`: one tenant, or the whole engine. */
#ifndef CLI_STATUS_H
#define CLI_STATUS_H

#include "cli/session.h"

enum answer status_tenant(struct session *session, const char *name, bool json, struct err *why);
enum answer status_overview(struct session *session, bool json, struct err *why);

#endif
