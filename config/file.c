#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
system_error(int number, struct err *why)
{
    char text[128];

    if (strerror_r(number, text, sizeof text) != 0)
        return err_set(why, ERR_INPUT, "error %d", number);
    return err_set(why, ERR_INPUT, "%s", text);
}

static bool
read_all(int fd, size_t limit, struct arena *arena, struct text *out, struct err *why)
{
    struct stat stat;
    char *at;
    size_t size = 0;

    if (fstat(fd, &stat) != 0)
        return system_error(errno, why);
    if (!S_ISREG(stat.st_mode))
        return err_set(why, ERR_INPUT, "it is no regular file");
    if ((size_t)stat.st_size > limit)
        return err_set(why, ERR_INPUT, "it is larger than %zu bytes", limit);
    at = arena_take(arena, (size_t)stat.st_size + 1);
    if (at == NULL)
        return err_set(why, ERR_INPUT, "out of memory");
    while (size < (size_t)stat.st_size) {
        const ssize_t got = read(fd, at + size, (size_t)stat.st_size - size);

        if (got < 0 && errno != EINTR)
            return system_error(errno, why);
        if (got == 0) /* it became shorter meanwhile */
            break;
        size += got > 0 ? (size_t)got : 0;
    }
    *out = (struct text){at, size};
    return true;
}

bool
file_read(const char *path, size_t limit, struct arena *arena, struct text *out, struct err *why)
{
    /* Opening a pipe that nobody writes would wait for ever. */
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    bool good;

    if (fd < 0)
        return system_error(errno, why);
    good = read_all(fd, limit, arena, out, why);
    (void)close(fd);
    return good;
}

const char *
file_beside(const char *file, struct text path, struct arena *arena)
{
    const char *slash = strrchr(file, '/');
    const size_t folder = slash == NULL ? 0 : (size_t)(slash - file) + 1;
    char *at;

    if (folder == 0 || (path.size > 0 && path.at[0] == '/'))
        return arena_text(arena, path).at;
    at = arena_take(arena, folder + path.size + 1);
    if (at == NULL)
        return NULL;
    memcpy(at, file, folder);
    memcpy(at + folder, path.at, path.size);
    return at;
}
