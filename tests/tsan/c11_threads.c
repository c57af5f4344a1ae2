/*
 * C11's threads on top of POSIX's, for MODE=tsan only.
 *
 * librdkafka, as Debian builds it, starts its threads with thrd_create of the C library, which
 * ThreadSanitizer does not intercept: it crashes at the first access of such a thread, and misses
 * what locks and conditions order. These take the C library's place and call what it does intercept.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(thrd_t) == sizeof(pthread_t) && sizeof(mtx_t) >= sizeof(pthread_mutex_t) &&
                   sizeof(cnd_t) >= sizeof(pthread_cond_t),
               "C11's types must hold those of POSIX");

struct start {
    thrd_start_t run;
    void *context;
};

static void *
started(void *opaque)
{
    const struct start start = *(struct start *)opaque;

    free(opaque);
    return (void *)(intptr_t)start.run(start.context); /* NOLINT(performance-no-int-to-ptr) */
}

/* The C library's own names begin with underscores.
 * NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
int
thrd_create(thrd_t *thread, thrd_start_t run, void *context)
{
    struct start *start = malloc(sizeof *start);

    if (start == NULL)
        return thrd_nomem;
    *start = (struct start){run, context};
    if (pthread_create((pthread_t *)thread, NULL, started, start) == 0)
        return thrd_success;
    free(start);
    return thrd_error;
}

int
thrd_join(thrd_t thread, int *result)
{
    void *answer;

    if (pthread_join((pthread_t)thread, &answer) != 0)
        return thrd_error;
    if (result != NULL)
        *result = (int)(intptr_t)answer;
    return thrd_success;
}

int
mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attributes;
    int failed;

    (void)pthread_mutexattr_init(&attributes);
    if ((type & mtx_recursive) != 0)
        (void)pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    failed = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
    (void)pthread_mutexattr_destroy(&attributes);
    return failed == 0 ? thrd_success : thrd_error;
}

void
mtx_destroy(mtx_t *mutex)
{
    (void)pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

int
mtx_lock(mtx_t *mutex)
{
    return pthread_mutex_lock((pthread_mutex_t *)mutex) == 0 ? thrd_success : thrd_error;
}

int
mtx_unlock(mtx_t *mutex)
{
    return pthread_mutex_unlock((pthread_mutex_t *)mutex) == 0 ? thrd_success : thrd_error;
}

int
cnd_init(cnd_t *condition)
{
    return pthread_cond_init((pthread_cond_t *)condition, NULL) == 0 ? thrd_success : thrd_error;
}

void
cnd_destroy(cnd_t *condition)
{
    (void)pthread_cond_destroy((pthread_cond_t *)condition);
}

int
cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex) == 0
               ? thrd_success
               : thrd_error;
}

int
cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until)
{
    switch (pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until)) {
    case 0:
        return thrd_success;
    case ETIMEDOUT:
        return thrd_timedout;
    default:
        return thrd_error;
    }
}

int
cnd_signal(cnd_t *condition)
{
    return pthread_cond_signal((pthread_cond_t *)condition) == 0 ? thrd_success : thrd_error;
}

int
cnd_broadcast(cnd_t *condition)
{
    return pthread_cond_broadcast((pthread_cond_t *)condition) == 0 ? thrd_success : thrd_error;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
