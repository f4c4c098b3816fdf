/* Virtual time: the cores of a chip in the order of their clocks, chips in windows; and the
 * functions that Python calls.
 *
 * Conservative: within a window no chip can influence another (network.c), so that the chips may
 * run on any number of threads with the same result. Windows stand at multiples of their length. */
#define _GNU_SOURCE
#include "machine.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { QUIET_TICKS = 50 };
enum { LOOK = 8 }; /* windows between looks at the watched file */
enum { WORTH = 1000 }; /* cycles for which another thread is wanted */
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
    if (chip->queue.tail) {
        uint64_t time = chip->queue.packets[0].arrival;
        if (time <= best) best = time, *who = NULL;
    }
    return best;
}

static void deliver(Chip *chip)
{
    Packet p = take_first(&chip->queue);
    Core *c = &chip->core[p.target % N_CORES];
    if (c->state == OFF) return;
    if (c->inbox.tail - c->inbox.head >= MOST_WAITING) {
        drop(chip, c);
        return;
    }
    push(&c->inbox, &p);
    wake(c, p.arrival);
}

/* The next event of a chip after those of a window. */
static uint64_t run_chip(Chip *chip, uint64_t end)
{
    Core *c;
    uint64_t next, worked = 0;
    while ((next = earliest(chip, &c)) < end) {
        if (!c) {
            deliver(chip);
            continue;
        }
        if (c->state == ASLEEP) {
            c->state = READY;
            if (c->time < next) c->time = next;
        }
        update_timers(c);
        uint64_t start = c->time, limit = start + QUANTUM < end ? start + QUANTUM : end;
        for (int i = 0; i < 2; i++)
            if (c->timer[i].control & 0x20 && c->timer[i].next < limit) limit = c->timer[i].next;
        if (chip->queue.tail) {
            uint64_t arrival = chip->queue.packets[0].arrival;
            if (arrival < limit) limit = arrival > start ? arrival : start + 1;
        }
        core_run(c, limit);
        worked += c->time - start;
        chip->due[c->number] = due(c);
    }
    chip->load = (3 * (uint64_t)chip->load + worked) / 4;
    return next;
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

/* Run one of the active chips through the window that begins now. */
static void run_active(void *machine, uint32_t which, uint32_t thread)
{
    Machine *m = machine;
    uint32_t i = m->active[which];
    Chip *chip = &m->chip[i];
    chip->out = &m->out[thread];
    set_clock(chip, m->now);
    m->next_event[i] = run_chip(chip, m->now + WINDOW);
}

/* Gives whether a core wants the monitor. */
static bool run_window(Machine *m)
{
    uint32_t n = 0, heaviest = 0;
    uint64_t load = 0;
    bool called = false;
    for (uint32_t i = 0; i < m->n_chips; i++)
        if (m->next_event[i] < m->now + WINDOW) {
            load += m->chip[i].load;
            m->active[n++] = i;
            if (m->chip[i].load > m->chip[m->active[heaviest]].load) heaviest = n - 1;
        }
    uint32_t first = m->active[heaviest]; /* it is what the others may have to wait for */
    m->active[heaviest] = m->active[0];
    m->active[0] = first;
    if (m->n_threads > 1 && load - m->chip[first].load >= WORTH) crew_work(m->crew, n);
    else
        for (uint32_t i = 0; i < n; i++) run_active(m, i, 0);
    for (uint32_t i = 0; i < n; i++) called |= m->chip[m->active[i]].mailbox != 0;
    return called;
}

/* Let chips have what others sent to them. */
static void exchange(Machine *m)
{
    for (uint32_t t = 0; t < m->n_threads; t++) {
        for (uint32_t i = 0; i < m->out[t].tail; i++) {
            Packet *p = &m->out[t].packets[i];
            uint32_t chip = p->target / N_CORES;
            insert(&m->chip[chip].queue, p);
            if (p->arrival < m->next_event[chip]) m->next_event[chip] = p->arrival;
        }
        m->out[t].head = m->out[t].tail = 0;
    }
}

static uint64_t first_event(const Machine *m)
{
    uint64_t first = NEVER;
    for (uint32_t i = 0; i < m->n_chips; i++)
        if (m->next_event[i] < first) first = m->next_event[i];
    return first;
}

/* Advance to `until`, or until a core wants the monitor (ATTENTION), or nothing is left (IDLE), or
 * for so many seconds on the wall, or until the file `watched` (-1: none) can be read, so that the
 * network is not kept waiting. */
int machine_run(Machine *m, uint64_t until, double most, int watched)
{
    double deadline = seconds() + most;
    Core *who;
    for (uint32_t i = 0; i < m->n_chips; i++) {
        Chip *chip = &m->chip[i];
        for (int p = 1; p < N_CORES; p++) chip->due[p] = due(&chip->core[p]);
        m->next_event[i] = earliest(chip, &who);
    }
    for (uint32_t windows = 1;; windows++) {
        uint64_t first = first_event(m);
        if (first >= until) return first == NEVER ? IDLE : USED_UP;
        m->now = first / WINDOW * WINDOW;
        if (seconds() > deadline || (windows % LOOK == 0 && readable(watched))) return INTERRUPTED;
        bool called = run_window(m);
        exchange(m);
        if (called) return ATTENTION;
    }
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
    crew_free(m->crew);
    for (uint32_t t = 0; m->out && t < m->n_threads; t++) free(m->out[t].packets);
    free(m->out);
    free(m->next_event);
    free(m->active);
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
    m->next_event = calloc(n_chips, sizeof *m->next_event);
    m->active = calloc(n_chips, sizeof *m->active);
    m->out = calloc(n_threads, sizeof *m->out);
    m->crew = crew_new(n_threads, run_active, m);
    if (!m->chip || !m->next_event || !m->active || !m->out || !m->crew) return machine_free(m), NULL;
    for (uint32_t i = 0; i < n_chips; i++) {
        Chip *chip = &m->chip[i];
        chip->machine = m;
        chip->index = i;
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
        if (chip->queue.tail) return 1;
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
