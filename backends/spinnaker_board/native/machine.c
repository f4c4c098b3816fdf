/* Virtual time: the cores of a chip in the order of their clocks, chips in windows; and the
 * functions that Python calls.
 *
 * Conservative: within a window no chip can influence another (network.c), so that the chips may
 * run on any number of threads with the same result. Windows stand at multiples of their length. */
#define _GNU_SOURCE
#include "machine.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { QUIET_TICKS = 50 };
enum { LOOK = 8 }; /* windows between looks at the watched file */
enum { SPINS = 2000 }; /* before a waiting thread gives way */
enum { IDLE, ATTENTION, USED_UP, INTERRUPTED }; /* why machine_run returned */

/* sPyNNaker's extra monitors look every 10 us, on timer 1, whether the router has dropped packets.
 * Here it never does: they need not look, but while they do something else as well. */
static bool only_looks(const Core *c)
{
    const uint8_t *name = c->chip->sysram + 0x7000 + 128 * c->number + 72; /* in SARK's block */
    return c->quiet >= QUIET_TICKS && !memcmp(name, "extra_monitor", 13);
}

static uint64_t timer_event(const Core *c)
{
    uint64_t best = NEVER;
    for (int i = only_looks(c) ? 1 : 0; i < 2; i++) {
        const Timer *t = &c->timer[i];
        if ((t->control & 0xa0) == 0xa0 && c->enable >> (I_TIMER1 + i) & 1 && !t->raised &&
            t->next < best)
            best = t->next;
    }
    return best;
}

/* When a core has something to do next. */
static uint64_t due(const Core *c)
{
    return c->state == OFF ? NEVER : c->state == READY ? c->time : timer_event(c);
}

/* Time of a chip's next event, and the core that has it (NULL: a packet arrives). */
static uint64_t earliest(Chip *chip, Core **who)
{
    uint64_t best = NEVER;
    int which = 0;
    for (int p = 1; p < N_CORES; p++)
        if (chip->due[p] < best) best = chip->due[p], which = p;
    *who = &chip->core[which];
    if (chip->queue.head != chip->queue.tail) {
        uint64_t time = chip->queue.packets[chip->queue.head].arrival;
        if (time <= best) best = time, *who = NULL;
    }
    return best;
}

static void deliver(Machine *m, Chip *chip)
{
    Packet *p = &chip->queue.packets[chip->queue.head++];
    Core *c = &m->chip[p->target / N_CORES].core[p->target % N_CORES];
    if (c->state == OFF) return;
    push(&c->inbox, p);
    wake(c, p->arrival);
}

static void run_chip(Machine *m, Chip *chip, uint64_t end)
{
    Core *c;
    while ((chip->next_event = earliest(chip, &c)) < end) {
        if (!c) {
            deliver(m, chip);
            continue;
        }
        if (c->state == ASLEEP) {
            c->state = READY;
            if (c->time < chip->next_event) c->time = chip->next_event;
        }
        update_timers(c);
        uint64_t limit = c->time + QUANTUM < end ? c->time + QUANTUM : end;
        for (int i = 0; i < 2; i++)
            if (c->timer[i].control & 0x20 && c->timer[i].next < limit) limit = c->timer[i].next;
        if (chip->queue.head != chip->queue.tail) {
            uint64_t arrival = chip->queue.packets[chip->queue.head].arrival;
            if (arrival < limit) limit = arrival > c->time ? arrival : c->time + 1;
        }
        core_run(c, limit);
        chip->due[c->number] = due(c);
    }
}

/* The monitor's clock in system RAM: milliseconds since the start, and within the second. */
static void set_clock(Chip *chip, uint64_t time)
{
    uint64_t ms = time / CYCLES_PER_MS;
    uint16_t within = ms % 1000;
    if (ms == chip->clock_ms) return;
    chip->clock_ms = ms;
    memcpy(chip->sysram + 0x7f10, &ms, 8);
    memcpy(chip->sysram + 0x7f18, &within, 2);
}

static void run_window(Machine *m, uint32_t thread, uint64_t start)
{
    Worker *w = &m->worker[thread];
    w->out.head = w->out.tail = 0;
    for (uint32_t i = 0; i < m->n_chips; i++) {
        Chip *chip = &m->chip[i];
        if (m->owner[i] != thread || chip->next_event >= start + WINDOW) continue;
        set_clock(chip, start);
        run_chip(m, chip, start + WINDOW);
        w->attention |= chip->mailbox != 0;
    }
}

/* Take in what other chips sent to this thread's, and find the next event. */
static void exchange(Machine *m, uint32_t thread)
{
    Worker *w = &m->worker[thread];
    for (uint32_t t = 0; t < m->n_threads; t++)
        for (uint32_t i = 0; i < m->worker[t].out.tail; i++) {
            Packet *p = &m->worker[t].out.packets[i];
            Chip *chip = &m->chip[p->target / N_CORES];
            if (m->owner[chip->index] != thread) continue;
            insert(&chip->queue, p);
            if (p->arrival < chip->next_event) chip->next_event = p->arrival;
        }
    w->first = NEVER;
    for (uint32_t i = 0; i < m->n_chips; i++)
        if (m->owner[i] == thread && m->chip[i].next_event < w->first) w->first = m->chip[i].next_event;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static bool readable(int file)
{
    struct pollfd which = {file, POLLIN, 0};
    return file >= 0 && poll(&which, 1, 0) > 0;
}

typedef struct {
    Machine *m;
    uint32_t thread;
    uint64_t until;
    atomic_uint *arrived;
    int result;
} Job;

/* All threads wait here for each other; spinning, as windows are short, then giving way. */
static void barrier(Job *job, uint32_t *round)
{
    if (job->m->n_threads == 1) return;
    uint32_t goal = ++*round * job->m->n_threads;
    atomic_fetch_add(job->arrived, 1);
    for (uint32_t spins = 0; (int32_t)(atomic_load(job->arrived) - goal) < 0; spins++)
        if (spins > SPINS) sched_yield();
}

static void *work(void *argument)
{
    Job *job = argument;
    Machine *m = job->m;
    uint32_t round = 0, windows = 0;
    for (;;) {
        uint64_t first = NEVER;
        bool attention = false;
        for (uint32_t t = 0; t < m->n_threads; t++) {
            if (m->worker[t].first < first) first = m->worker[t].first;
            attention |= m->worker[t].attention;
        }
        job->result = attention ? ATTENTION : first == NEVER ? IDLE : USED_UP;
        if (attention || first >= job->until) return NULL;
        uint64_t start = first / WINDOW * WINDOW;
        if (job->thread == 0) {
            m->now = start;
            m->late = seconds() > m->deadline || (++windows % LOOK == 0 && readable(m->watched));
        }
        barrier(job, &round);
        if (m->late) {
            job->result = INTERRUPTED;
            return NULL;
        }
        run_window(m, job->thread, start);
        barrier(job, &round);
        exchange(m, job->thread);
        barrier(job, &round);
    }
}

/* Advance to `until`, or until a core wants the monitor (ATTENTION), or nothing is left (IDLE), or
 * for so many seconds on the wall, or until the file `watched` (-1: none) can be read, so that the
 * network is not kept waiting. */
int machine_run(Machine *m, uint64_t until, double most, int watched)
{
    m->watched = watched;
    m->deadline = seconds() + most;
    m->late = false;
    atomic_uint arrived = 0;
    pthread_t threads[64];
    Job job[64];
    Core *who;
    for (uint32_t i = 0; i < m->n_chips; i++) {
        Chip *chip = &m->chip[i];
        for (int p = 1; p < N_CORES; p++) chip->due[p] = due(&chip->core[p]);
        chip->next_event = earliest(chip, &who);
    }
    for (uint32_t t = 0; t < m->n_threads; t++) {
        m->worker[t].out.head = m->worker[t].out.tail = 0;
        m->worker[t].attention = false;
        job[t] = (Job){m, t, until, &arrived, USED_UP};
    }
    for (uint32_t t = 0; t < m->n_threads; t++) exchange(m, t);
    for (uint32_t t = 1; t < m->n_threads; t++)
        if (pthread_create(&threads[t], NULL, work, &job[t])) abort();
    work(&job[0]);
    for (uint32_t t = 1; t < m->n_threads; t++) pthread_join(threads[t], NULL);
    return job[0].result;
}

static void *reserve(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void machine_free(Machine *m)
{
    if (!m) return;
    for (uint32_t i = 0; m->chip && i < m->n_chips; i++) {
        Chip *chip = &m->chip[i];
        if (chip->sdram) munmap(chip->sdram, SDRAM_SIZE);
        if (chip->sysram) munmap(chip->sysram, SYSRAM_SIZE);
        for (int p = 0; p < N_CORES; p++) {
            free(chip->core[p].itcm);
            if (chip->core[p].decoded) munmap(chip->core[p].decoded, N_DECODED * sizeof(Decoded));
            free(chip->core[p].inbox.packets);
        }
        free(chip->queue.packets);
    }
    for (uint32_t t = 0; m->worker && t < m->n_threads; t++) free(m->worker[t].out.packets);
    free(m->worker);
    free(m->owner);
    free(m->chip);
    free(m);
}

/* `neighbours`: for each chip the chip behind each of its six links, or -1. NULL: no memory. */
Machine *machine_new(uint32_t n_chips, const int32_t *neighbours, uint32_t n_threads)
{
    Machine *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    thumb_prepare();
    m->n_chips = n_chips;
    m->n_threads = n_threads;
    m->chip = calloc(n_chips, sizeof *m->chip);
    m->owner = calloc(n_chips, sizeof *m->owner);
    m->worker = aligned_alloc(128, n_threads * sizeof *m->worker);
    if (!m->chip || !m->owner || !m->worker) return machine_free(m), NULL;
    memset(m->worker, 0, n_threads * sizeof *m->worker);
    for (uint32_t i = 0; i < n_chips; i++) {
        Chip *chip = &m->chip[i];
        chip->machine = m;
        chip->index = i;
        m->owner[i] = i % n_threads;
        memcpy(chip->neighbour, neighbours + N_LINKS * i, sizeof chip->neighbour);
        for (int e = 0; e < N_ROUTES; e++) chip->route[e] = 0xff000000u, chip->key[e] = 0xffffffffu;
        chip->sdram = reserve(SDRAM_SIZE);
        chip->sysram = reserve(SYSRAM_SIZE);
        if (!chip->sdram || !chip->sysram) return machine_free(m), NULL;
        for (int p = 0; p < N_CORES; p++) {
            Core *c = &chip->core[p];
            c->machine = m;
            c->chip = chip;
            c->number = p;
            c->index = i * N_CORES + p;
        }
    }
    return m;
}

uint8_t *chip_sdram(Machine *m, uint32_t chip) { return m->chip[chip].sdram; }
uint8_t *chip_sysram(Machine *m, uint32_t chip) { return m->chip[chip].sysram; }
uint32_t *chip_p2p(Machine *m, uint32_t chip) { return m->chip[chip].p2p; }
uint64_t machine_now(Machine *m) { return m->now; }

/* A core's instruction memory, its data memory behind it; as new. NULL: no memory. */
uint8_t *core_prepare(Machine *m, uint32_t chip, uint32_t p)
{
    Core *c = &m->chip[chip].core[p], old = *c;
    memset(c, 0, sizeof *c);
    c->machine = m;
    c->chip = old.chip;
    c->number = old.number;
    c->index = old.index;
    c->inbox = old.inbox;
    c->inbox.head = c->inbox.tail = 0;
    c->level = 17;
    c->timer[0].next = c->timer[1].next = NEVER;
    c->itcm = old.itcm ? old.itcm : malloc(ITCM_SIZE + DTCM_SIZE);
    if (!c->itcm) return NULL;
    c->dtcm = c->itcm + ITCM_SIZE;
    c->decoded = old.decoded ? old.decoded : reserve(N_DECODED * sizeof(Decoded));
    if (!c->decoded) return NULL;
    forget(c, 0, ITCM_SIZE);
    c->chip->irq &= ~(1u << p);
    return memset(c->itcm, 0, ITCM_SIZE + DTCM_SIZE);
}

/* The same as it is, to be read or written before the core runs on. */
uint8_t *core_memory(Machine *m, uint32_t chip, uint32_t p)
{
    Core *c = &m->chip[chip].core[p];
    if (c->decoded) forget(c, 0, ITCM_SIZE);
    return c->itcm;
}

void core_start(Machine *m, uint32_t chip, uint32_t p, uint32_t entry, uint32_t r0, uint64_t now)
{
    Core *c = &m->chip[chip].core[p];
    core_reset(c, entry, r0);
    c->time = now;
    c->state = READY;
}

void core_stop(Machine *m, uint32_t chip, uint32_t p)
{
    m->chip[chip].core[p].state = OFF;
    m->chip[chip].irq &= ~(1u << p);
}

void core_report(Machine *m, uint32_t chip, uint32_t p, Report *report)
{
    Core *c = &m->chip[chip].core[p];
    *report = (Report){c->state, c->time, c->pc, c->cycles, c->interrupts, c->transfers, c->sent,
                       c->lost, c->overruns, c->busiest, timer_period(&c->timer[0])};
}

void chip_interrupt(Machine *m, uint32_t chip, uint32_t mask, uint64_t now)
{
    interrupt_cores(&m->chip[chip], mask, now);
}

/* A chip of which a core has called the monitor since this was last asked, or -1. */
int machine_called(Machine *m)
{
    for (uint32_t i = 0; i < m->n_chips; i++)
        if (m->chip[i].mailbox) {
            m->chip[i].mailbox = 0;
            return i;
        }
    return -1;
}

uint32_t chip_load(Machine *m, uint32_t chip, int router, uint32_t offset)
{
    return router ? load_router(&m->chip[chip], offset) : load_system(&m->chip[chip], offset);
}

void chip_store(Machine *m, uint32_t chip, int router, uint32_t offset, uint32_t value, uint64_t now)
{
    if (router) store_router(&m->chip[chip], offset, value);
    else store_system(&m->chip[chip], offset, value, now);
}

/* Whether anything but waiting goes on: a core that runs, a packet, a timer 1 on which a core works. */
int machine_busy(Machine *m)
{
    for (uint32_t i = 0; i < m->n_chips; i++) {
        Chip *chip = &m->chip[i];
        if (chip->queue.head != chip->queue.tail) return 1;
        for (int p = 1; p < N_CORES; p++) {
            Core *c = &chip->core[p];
            if (c->state == OFF || c->quiet >= QUIET_TICKS) continue;
            if (c->state == READY ||
                ((c->timer[0].control & 0xa0) == 0xa0 && c->enable >> I_TIMER1 & 1))
                return 1;
        }
    }
    return 0;
}

/* Run one core alone for a number of cycles: for tests of the processor. */
void core_step(Machine *m, uint32_t chip, uint32_t p, uint64_t cycles)
{
    Core *c = &m->chip[chip].core[p];
    core_run(c, c->time + cycles);
}

/* r0 to r14, the address of the next instruction, CPSR; read, or written if `set`. */
void core_registers(Machine *m, uint32_t chip, uint32_t p, uint32_t *registers, int set)
{
    Core *c = &m->chip[chip].core[p];
    uint32_t *places[] = {&c->pc, &c->cpsr};
    if (set) memcpy(c->r, registers, 15 * 4);
    else memcpy(registers, c->r, 15 * 4);
    for (int i = 0; i < 2; i++)
        if (set) *places[i] = registers[15 + i];
        else registers[15 + i] = *places[i];
}
