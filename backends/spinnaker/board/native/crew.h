/* Threads that share pieces of work (crew.c). */
#ifndef CREW_H
#define CREW_H
#include <stdint.h>

typedef void Task(void *what, uint32_t item, uint32_t thread);
typedef struct Crew Crew;

Crew *crew_new(uint32_t n_threads, Task *task, void *what);
void crew_free(Crew *crew);
void crew_work(Crew *crew, uint32_t n_items);
#endif
