#include "engine/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* strerror() may share its answer between threads. */
static const char *
reason(char text[128])
{
    if (strerror_r(errno, text, 128) != 0)
        text[0] = '\0';
    return text;
}

static bool
lock_directory(struct instance *instance, const char *directory, struct err *why)
{
    char path[4096];
    char text[128];
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (mkdir(directory, 0700) != 0 && errno != EEXIST)
        return err_set(why, ERR_FATAL, "state_dir %s: %s", directory, reason(text));
    (void)snprintf(path, sizeof path, "%s/instance", directory);
    instance->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (instance->lock < 0)
        return err_set(why, ERR_FATAL, "%s: %s", path, reason(text));
    if (fcntl(instance->lock, F_SETLK, &whole) != 0)
        return err_set(why, ERR_FATAL,
                       "state_dir %s belongs to an engine that is running: give this one a "
                       "state_dir of its own",
                       directory);
    return true;
}

static bool
random_name(struct instance *instance, struct err *why)
{
    char text[INSTANCE_SIZE] = "";
    const ssize_t size = read(instance->lock, text, sizeof text - 1);
    uint64_t number;

    if (size > 0) {
        text[strcspn(text, "\n")] = '\0';
        (void)text_copy(instance->name, sizeof instance->name, text_of(text));
        return true;
    }
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return err_set(why, ERR_FATAL, "no random number for a name: %s", reason(text));
    const int length = snprintf(instance->name, sizeof instance->name, "tm-%016" PRIx64, number);

    return write(instance->lock, instance->name, (size_t)length) == length ||
           err_set(why, ERR_FATAL, "state_dir: %s", reason(text));
}

bool
instance_open(struct instance *instance, const struct config *config, struct err *why)
{
    instance->lock = -1;
    if (!lock_directory(instance, config->state_dir, why)) {
        instance_close(instance);
        return false;
    }
    if (config->instance != NULL) {
        (void)text_copy(instance->name, sizeof instance->name, text_of(config->instance));
        return true;
    }
    return random_name(instance, why);
}

void
instance_close(struct instance *instance)
{
    if (instance->lock >= 0)
        (void)close(instance->lock);
    instance->lock = -1;
}
