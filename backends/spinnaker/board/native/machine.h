/* The state of an emulated SpiNNaker machine: chips, cores, packets under way.
 * Times are cycles of the 200 MHz processor clock. */
#ifndef MACHINE_H
#define MACHINE_H
#if defined(__GNUC__) && !defined(__clang__)
/* each piece of code of the interpreter is to keep its own jump to the next: gcc would unite them */
#pragma GCC optimize("no-gcse", "no-crossjumping")
#endif
#include "crew.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define N_CORES 18 /* of a chip, the monitor (0) included */
#define N_LINKS 6
#define N_ROUTES 1024
#define SDRAM_SIZE (1u << 27)
#define SYSRAM_SIZE (1u << 15)
#define ITCM_SIZE (1u << 15)
#define DTCM_SIZE (1u << 16)
#define CYCLES_PER_US 200u
#define CYCLES_PER_MS (1000u * CYCLES_PER_US)
#define NEVER (1ull << 62)
#define WINDOW (10 * CYCLES_PER_US) /* the shortest time from chip to chip */
#define MOST_COPIES (1u << 18) /* of packets that a core sends in a window */
#define MOST_WAITING (1u << 24) /* packets that a core leaves untaken: memories are read by packets */
#define QUANTUM (5 * CYCLES_PER_US) /* for which a core runs before another of its chip */

enum { OFF, READY, ASLEEP };

/* lines of the interrupt controller */
enum { I_TIMER1 = 4, I_TIMER2 = 5, I_CC_READY = 6, I_CC_NOT_BUSY = 11, I_DMA_DONE = 12,
       I_CPU = 18, I_CC_TX_EMPTY = 23, I_MULTICAST = 24, I_FIXED_ROUTE = 27 };

typedef struct {
    uint64_t arrival, order; /* order: sending core, then its count of packets */
    uint32_t target, key, data;
    uint8_t payload, fixed;
} Packet;

typedef struct { /* grows; `head` is the first packet still here; or a heap (network.c) */
    Packet *packets;
    uint32_t head, tail, capacity;
} Queue;

typedef struct {
    uint32_t load, background, control, raised;
    uint64_t next;
} Timer;

/* what is reported of a core; the same in Python (native.py) */
typedef struct {
    uint64_t state, time, pc, cycles, interrupts, transfers, packets_sent, packets_lost,
        overruns, busiest, period;
} Report;

typedef struct { /* an instruction that was looked at (instructions.h) */
    uint32_t word;
    uint8_t kind, if_true; /* the second of one with a condition */
} Decoded;

typedef struct Core {
    /* processor */
    uint32_t r[16], pc, cpsr, bank[6][2], spsr[6], user_r8[5], fiq_r8[5], control_register;
    uint64_t time;
    int state;
    uint8_t *itcm, *dtcm;
    Decoded *decoded; /* of the instruction memory: ARM, then Thumb; all zero: nothing yet */
    struct Chip *chip;
    struct Machine *machine;
    uint32_t number, index; /* in its chip, in the machine */
    /* vectored interrupt controller */
    uint32_t enable, select, soft, default_vector, vector[16], vector_control[16];
    int level, levels[32], depth;
    Timer timer[2];
    /* DMA controller */
    uint32_t dma_system, dma_tcm, dma_control, dma_done;
    /* communications controller */
    uint32_t cc_control, cc_data, cc_payload;
    Queue inbox;
    uint64_t window; /* in which it last sent a packet, and copies of packets since that began */
    uint32_t copies;
    /* counts */
    uint64_t cycles, interrupts, transfers, sent, lost, overruns;
    uint64_t started; /* when the core was last given the host's processor */
    int64_t tick_cycles, tick_polled; /* in this tick of timer 1: all, looking at the timers */
    int64_t busiest; /* the most in a tick, without looking at the timers */
    uint64_t quiet; /* ticks of timer 1 in a row on which next to nothing was done */
} Core;

typedef struct Chip {
    struct Machine *machine;
    uint32_t index;
    uint8_t *sdram, *sysram;
    uint32_t locks, flags, irq, mailbox, fixed_route;
    uint32_t route[N_ROUTES], key[N_ROUTES], mask[N_ROUTES], n_routes;
    uint32_t router[0x400], p2p[0x2000];
    int32_t neighbour[N_LINKS];
    uint64_t clock_ms;
    uint32_t load; /* cycles that its cores work in a window, lately */
    uint64_t due[N_CORES]; /* when each core has something to do, or NEVER */
    Queue queue;
    Queue *out; /* for packets to other chips: that of the thread which runs it */
    Core core[N_CORES];
} Chip;

typedef struct Machine {
    uint32_t n_chips, n_threads;
    Chip *chip;
    Crew *crew;
    Queue *out; /* of each thread: packets to other chips, sent within a window */
    uint64_t *next_event; /* of each chip */
    uint32_t *active; /* the chips that have something to do in a window */
    uint64_t now;
} Machine;

void forget(Core *core, uint32_t address, uint32_t size); /* arm.c */

/* Where the memories of a chip stand in the address space of its cores; NULL: none there. */
static inline uint8_t *locate(Core *c, uint32_t address)
{
    if ((address & ~(DTCM_SIZE - 1)) == 0x400000) return c->dtcm + (address & (DTCM_SIZE - 1));
    if (address < ITCM_SIZE) return c->itcm + address;
    if (address >> 29 == 3) return c->chip->sdram + (address & (SDRAM_SIZE - 1));
    if ((address >> 24 & 0xef) == 0xe5 && (address & 0xffffff) < SYSRAM_SIZE)
        return c->chip->sysram + (address & (SYSRAM_SIZE - 1));
    return NULL;
}

#define N_DECODED (ITCM_SIZE / 4 + ITCM_SIZE / 2)

/* The same for n bytes that are going to change: they may have been instructions. */
static inline uint8_t *locate_to_write(Core *c, uint32_t address, uint32_t n)
{
    if (address < ITCM_SIZE) forget(c, address, n);
    return locate(c, address);
}

/* thumb.c */
extern uint32_t thumb_to_arm[1 << 16];
void thumb_prepare(void);
/* arm.c */
void core_reset(Core *core, uint32_t entry, uint32_t r0);
void core_run(Core *core, uint64_t limit);
/* peripherals.c */
bool load_register(Core *core, uint32_t address, uint32_t *value);
bool store_register(Core *core, uint32_t address, uint32_t value);
uint32_t load_system(Chip *chip, uint32_t offset);
void store_system(Chip *chip, uint32_t offset, uint32_t value, uint64_t now);
uint32_t load_router(Chip *chip, uint32_t offset);
void store_router(Chip *chip, uint32_t offset, uint32_t value);
void interrupt_cores(Chip *chip, uint32_t mask, uint64_t now);
uint64_t timer_period(const Timer *timer);
void update_timers(Core *core);
uint32_t raised(Core *core);
int interrupting(Core *core);
uint32_t enter_vector(Core *core);
void wake(Core *core, uint64_t now);
/* network.c */
void push(Queue *queue, const Packet *packet);
void insert(Queue *queue, const Packet *packet);
Packet take_first(Queue *queue);
void send_packet(Core *core, uint32_t key, bool fixed);
void drop(Chip *chip, Core *core);
#endif
