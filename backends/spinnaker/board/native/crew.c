/* Threads that share pieces of work, of some microseconds each: whoever is free takes the next.
 *
 * The thread that hands out the work takes part, so that it gets done even where the host has no
 * processor for the others, who spin for a while before they sleep. */
#include "crew.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

enum { SPINS = 2000 }; /* some ten microseconds, before a thread that waits gives way */

struct Crew {
    Task *task;
    void *what;
    uint32_t n_threads, n_started; /* the first is the one that hands out the work */
    pthread_t *thread;
    pthread_mutex_t lock;   /* of those who go to sleep and who wake them */
    pthread_cond_t changed; /* `round` */
    atomic_bool over;
    _Alignas(128) _Atomic uint64_t turns; /* how many items there are << 32 | the next */
    _Alignas(128) atomic_uint finished;   /* items */
    _Alignas(128) atomic_uint round;      /* changes when there is something to do */
    atomic_uint asleep;                   /* threads that wait for that without spinning */
};

typedef struct {
    Crew *crew;
    uint32_t thread;
} Member;

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void take_turns(Crew *crew, uint32_t thread)
{
    uint64_t turns = crew->turns;
    while ((uint32_t)turns < turns >> 32) {
        turns = atomic_fetch_add(&crew->turns, 1); /* of the same work, or of that which follows */
        if ((uint32_t)turns >= turns >> 32) return;
        crew->task(crew->what, (uint32_t)turns, thread);
        crew->finished++;
        turns = crew->turns;
    }
}

/* Wait until `round` is no longer what was seen. */
static void await(Crew *crew, uint32_t seen)
{
    for (int spins = 0; spins < SPINS; spins++) {
        if (crew->round != seen) return;
        relax();
    }
    crew->asleep++;
    pthread_mutex_lock(&crew->lock);
    while (crew->round == seen) pthread_cond_wait(&crew->changed, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
    crew->asleep--;
}

/* Who is about to sleep either sees the new round, or has the lock until it sleeps. */
static void announce(Crew *crew, uint32_t n_wanted)
{
    crew->round++;
    if (!crew->asleep) return;
    pthread_mutex_lock(&crew->lock);
    pthread_mutex_unlock(&crew->lock);
    if (n_wanted >= crew->n_threads) pthread_cond_broadcast(&crew->changed);
    else while (n_wanted--) pthread_cond_signal(&crew->changed);
}

static void *help(void *argument)
{
    Member member = *(Member *)argument;
    Crew *crew = member.crew;
    free(argument);
    for (;;) {
        uint32_t seen = crew->round;
        if (crew->over) return NULL;
        take_turns(crew, member.thread);
        await(crew, seen);
    }
}

/* Threads are started when there is work; where that fails, those that there are do it. */
static void start(Crew *crew)
{
    while (crew->n_started < crew->n_threads) {
        Member *member = malloc(sizeof *member);
        if (!member) return;
        *member = (Member){crew, crew->n_started};
        if (pthread_create(&crew->thread[crew->n_started], NULL, help, member)) {
            free(member);
            crew->n_threads = crew->n_started;
            return;
        }
        crew->n_started++;
    }
}

/* `task` is called for each item from one of the threads, which it is told. NULL: no memory. */
Crew *crew_new(uint32_t n_threads, Task *task, void *what)
{
    Crew *crew = aligned_alloc(128, sizeof *crew);
    if (!crew) return NULL;
    *crew = (Crew){.task = task, .what = what, .n_threads = n_threads, .n_started = 1};
    crew->thread = calloc(n_threads, sizeof *crew->thread);
    if (!crew->thread) return free(crew), NULL;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_cond_init(&crew->changed, NULL);
    return crew;
}

void crew_free(Crew *crew)
{
    if (!crew) return;
    crew->over = true;
    announce(crew, UINT32_MAX);
    for (uint32_t t = 1; t < crew->n_started; t++) pthread_join(crew->thread[t], NULL);
    pthread_cond_destroy(&crew->changed);
    pthread_mutex_destroy(&crew->lock);
    free(crew->thread);
    free(crew);
}

/* Do items 0 to n - 1, in any order; returns when all are done. */
void crew_work(Crew *crew, uint32_t n_items)
{
    start(crew);
    crew->finished = 0;
    crew->turns = (uint64_t)n_items << 32;
    announce(crew, n_items - 1);
    take_turns(crew, 0);
    for (int spins = 0; crew->finished < n_items; spins++)
        if (spins < SPINS) relax();
        else sched_yield();
}
