/* The peripherals of a core and of its chip, as a core sees them through their registers.
 *
 * SpiNNaker datasheet 2.02: vectored interrupt controller (4), counter/timers (5), DMA controller
 * (6), communications controller (7), router (10), system controller (13). The SDRAM controller
 * and the watchdog read as zero. */
#include "machine.h"
#include <string.h>

enum { QUIET_CYCLES = 100 }; /* a tick of a timer on which a core does no more than look around */
enum { POLL = 60 }; /* cycles that looking at a timer is taken to cost */
enum { MULTICAST = 0, FIXED_ROUTE = 3 }; /* types of packet */
enum { ENABLED = 0x80, INTERRUPTS = 0x20, ONE_SHOT = 1 }; /* timer control */

static uint32_t prescale(uint32_t control)
{
    uint32_t which = control >> 2 & 3;
    return which == 1 ? 16 : which == 2 ? 256 : 1;
}

uint64_t timer_period(const Timer *t) { return (uint64_t)t->background * prescale(t->control); }

/* Timers that have come to an end since they were last looked at. */
static void timers_end(Core *c)
{
    for (int i = 0; i < 2; i++) {
        Timer *t = &c->timer[i];
        if (t->next > c->time) continue;
        uint64_t period = timer_period(t);
        if (i == 0) {
            int64_t worked = c->tick_cycles - c->tick_polled;
            bool missed = t->raised && t->control & INTERRUPTS;
            if (missed || worked + CYCLES_PER_US >= (int64_t)period) c->overruns++;
            if (worked > c->busiest) c->busiest = worked;
            c->quiet = c->tick_cycles > QUIET_CYCLES ? 0 : c->quiet + 1;
            c->tick_cycles = c->tick_polled = 0;
        }
        t->raised = 1;
        if (t->control & ONE_SHOT) t->next = NEVER;
        else t->next += ((c->time - t->next) / (period ? period : 1) + 1) * (period ? period : 1);
    }
}

void update_timers(Core *c)
{
    if (c->timer[0].next <= c->time || c->timer[1].next <= c->time) timers_end(c);
}

/* The interrupt lines that are up, enabled or not. Sending never has to wait. */
uint32_t raised(Core *c)
{
    uint32_t lines = c->soft | 1u << I_CC_NOT_BUSY | 1u << I_CC_TX_EMPTY;
    update_timers(c);
    if (c->inbox.head != c->inbox.tail)
        lines |= 1u << I_CC_READY |
                 1u << (c->inbox.packets[c->inbox.head].fixed ? I_FIXED_ROUTE : I_MULTICAST);
    for (int i = 0; i < 2; i++)
        if (c->timer[i].raised && c->timer[i].control & INTERRUPTS) lines |= 1u << (I_TIMER1 + i);
    if (c->dma_done && c->dma_control & 0x400) lines |= 1u << I_DMA_DONE;
    if (c->chip->irq >> c->number & 1) lines |= 1u << I_CPU;
    return lines;
}

/* The slot of highest priority among `lines`, above what interrupts now; 16: the default; or -1. */
static int slot_of(const Core *c, uint32_t lines)
{
    for (int slot = 0; slot < 16; slot++) {
        if (slot >= c->level) return -1;
        if (c->vector_control[slot] & 0x20 && lines >> (c->vector_control[slot] & 31) & 1) return slot;
    }
    return c->level > 16 ? 16 : -1;
}

/* 2 if a fast interrupt gets through to the processor, 1 if an interrupt does, else 0. */
int interrupting(Core *c)
{
    if ((c->cpsr & 0xc0) == 0xc0) return 0;
    uint32_t lines = raised(c) & c->enable;
    if (!lines) return 0;
    if (lines & c->select && !(c->cpsr & 0x40)) return 2;
    lines &= ~c->select;
    return lines && !(c->cpsr & 0x80) && slot_of(c, lines) >= 0;
}

void wake(Core *c, uint64_t now)
{
    if (c->state != ASLEEP || !(raised(c) & c->enable)) return;
    c->state = READY;
    c->quiet = 0;
    if (c->time < now) c->time = now;
    c->chip->due[c->number] = c->time;
}

/* Core 0 is the monitor, which is not a program here: its interrupt is left for the host. */
void interrupt_cores(Chip *chip, uint32_t mask, uint64_t now)
{
    if (mask & 1) chip->mailbox = 1;
    chip->irq |= mask & ~1u;
    for (int p = 1; p < N_CORES; p++)
        if (mask >> p & 1) wake(&chip->core[p], now);
}

/* Reading the vector masks interrupts of lower priority until the end is announced. */
static uint32_t take_vector(Core *c)
{
    uint32_t lines = raised(c) & c->enable & ~c->select;
    int slot = lines ? slot_of(c, lines) : -1;
    if (slot < 0) return c->default_vector;
    c->levels[c->depth++ & 31] = c->level;
    c->level = slot;
    return slot < 16 ? c->vector[slot] : c->default_vector;
}

static uint32_t load_vic(Core *c, uint32_t offset)
{
    switch (offset) {
    case 0x00: return raised(c) & c->enable & ~c->select;
    case 0x04: return raised(c) & c->enable & c->select;
    case 0x08: return raised(c);
    case 0x0c: return c->select;
    case 0x10: return c->enable;
    case 0x18: return c->soft;
    case 0x30: return take_vector(c);
    case 0x34: return c->default_vector;
    }
    if (offset >= 0x100 && offset < 0x140) return c->vector[(offset - 0x100) / 4];
    if (offset >= 0x200 && offset < 0x240) return c->vector_control[(offset - 0x200) / 4];
    return 0;
}

static void store_vic(Core *c, uint32_t offset, uint32_t value)
{
    switch (offset) {
    case 0x0c: c->select = value; break;
    case 0x10: c->enable |= value; break;
    case 0x14: c->enable &= ~value; break;
    case 0x18: c->soft |= value; break;
    case 0x1c: c->soft &= ~value; break;
    case 0x30: if (c->depth > 0) c->level = c->levels[--c->depth & 31]; break;
    case 0x34: c->default_vector = value; break;
    default:
        if (offset >= 0x100 && offset < 0x140) c->vector[(offset - 0x100) / 4] = value;
        if (offset >= 0x200 && offset < 0x240) c->vector_control[(offset - 0x200) / 4] = value;
    }
}

static uint32_t load_timer(Core *c, uint32_t offset)
{
    Timer *t = &c->timer[offset >> 5 & 1];
    uint32_t which = offset & 0x1f;
    if (which == 0x04 || which == 0x10) {
        c->time += POLL;
        c->tick_polled += POLL;
    }
    update_timers(c);
    switch (which) {
    case 0x00: return t->load;
    case 0x04:
        if (!(t->control & ENABLED)) return t->load;
        return t->next == NEVER ? 0 : (t->next - c->time) / prescale(t->control);
    case 0x08: return t->control;
    case 0x10: return t->raised;
    case 0x14: return t->raised && t->control & INTERRUPTS;
    case 0x18: return t->background;
    }
    return 0;
}

static void store_timer(Core *c, uint32_t offset, uint32_t value)
{
    Timer *t = &c->timer[offset >> 5 & 1];
    switch (offset & 0x1f) {
    case 0x00:
        t->load = t->background = value;
        if (t->control & ENABLED) t->next = c->time + (uint64_t)value * prescale(t->control);
        break;
    case 0x08:
        if (!(value & ENABLED)) t->next = NEVER;
        else if (!(t->control & ENABLED)) {
            t->next = c->time + (uint64_t)t->load * prescale(value);
            if (t == c->timer) { /* what was done before does not count */
                c->tick_cycles = -(int64_t)(c->time - c->started);
                c->tick_polled = 0;
            }
        }
        t->control = value;
        break;
    case 0x0c: t->raised = 0; break;
    case 0x18: t->background = value; break;
    }
}

static uint32_t load_cc(Core *c, uint32_t offset)
{
    if (offset == 0x00) return c->cc_control | 0x90000000u; /* transmitter empty, not full */
    if (c->inbox.head == c->inbox.tail) return 0;
    Packet *p = &c->inbox.packets[c->inbox.head];
    switch (offset) {
    case 0x0c: return 0x80000000u | (p->payload ? 0x20000 : 0) | (p->fixed ? 0xc00000 : 0);
    case 0x10: return p->data;
    case 0x14: c->inbox.head++; return p->key;
    }
    return 0;
}

static void store_cc(Core *c, uint32_t offset, uint32_t value)
{
    if (offset == 0x00) c->cc_control = value & 0xff0000;
    else if (offset == 0x04) {
        c->cc_data = value;
        c->cc_payload = 1;
    } else if (offset == 0x08) {
        uint32_t type = c->cc_control >> 22 & 3;
        if (type == MULTICAST || type == FIXED_ROUTE) send_packet(c, value, type == FIXED_ROUTE);
        c->cc_payload = 0;
    }
}

static uint32_t load_dma(Core *c, uint32_t offset)
{
    switch (offset) {
    case 0x04: return c->dma_system;
    case 0x08: return c->dma_tcm;
    case 0x14: return c->number << 24 | (c->dma_done ? 0x400 : 0);
    case 0x18: return c->dma_control;
    }
    return 0;
}

/* A transfer, finished at once: false if an end of it lies where there is no memory. */
static bool transfer(Core *c, uint32_t description)
{
    uint32_t n = description & 0x1ffff;
    c->transfers++;
    c->dma_done = 1;
    if (!n) return true;
    uint8_t *near = locate(c, c->dma_tcm), *far = locate(c, c->dma_system);
    if (!near || !far || locate(c, c->dma_tcm + n - 1) != near + n - 1 ||
        locate(c, c->dma_system + n - 1) != far + n - 1)
        return false;
    if (description >> 19 & 1) memmove(far, near, n);
    else memmove(locate_to_write(c, c->dma_tcm, n), far, n);
    return true;
}

static bool store_dma(Core *c, uint32_t offset, uint32_t value)
{
    switch (offset) {
    case 0x04: c->dma_system = value; break;
    case 0x08: c->dma_tcm = value; break;
    case 0x0c: return transfer(c, value);
    case 0x10: if (value & 0x18) c->dma_done = 0; break;
    case 0x18: c->dma_control = value; break;
    }
    return true;
}

/* System controller: chip ID, interrupts to the cores, flags, test-and-set and -clear locks. */
uint32_t load_system(Chip *chip, uint32_t offset)
{
    if (offset == 0x00) return 0x59111012;
    if (offset == 0x08 || offset == 0x0c) return chip->irq;
    if (offset == 0x58 || offset == 0x5c) return chip->flags;
    if (offset < 0x100 || offset >= 0x200) return 0;
    uint32_t bit = 1u << (offset / 4 & 31), held = chip->locks & bit ? 0x80000000u : 0;
    if (offset < 0x180) chip->locks |= bit;
    else chip->locks &= ~bit;
    return held;
}

void store_system(Chip *chip, uint32_t offset, uint32_t value, uint64_t now)
{
    value &= 0x3ffff;
    switch (offset) {
    case 0x08: interrupt_cores(chip, value, now); break;
    case 0x0c:
        chip->irq &= ~value;
        chip->mailbox = 1; /* a mailbox was emptied: the monitor may have more for it */
        break;
    case 0x58: chip->flags |= value; break;
    case 0x5c: chip->flags &= ~value; break;
    }
}

/* Router: control, diagnostic counters (0x300), multicast table, point-to-point table. */
uint32_t load_router(Chip *chip, uint32_t offset)
{
    uint32_t i = offset / 4 & (N_ROUTES - 1);
    if (offset == 0x84) return chip->fixed_route;
    if (offset < 0x1000) return chip->router[offset / 4];
    switch (offset >> 12) {
    case 0x4: return chip->route[i];
    case 0x8: return chip->key[i];
    case 0xc: return chip->mask[i];
    }
    return offset >= 0x10000 && offset < 0x18000 ? chip->p2p[(offset - 0x10000) / 4] : 0;
}

void store_router(Chip *chip, uint32_t offset, uint32_t value)
{
    uint32_t i = offset / 4 & (N_ROUTES - 1);
    if (offset == 0x84) chip->fixed_route = value;
    else if (offset == 0x2c) { /* counters: enabled by the low half, cleared by the high one */
        chip->router[offset / 4] = value & 0xffff;
        for (int n = 0; n < 16; n++)
            if (value >> (16 + n) & 1) chip->router[0x300 / 4 + n] = 0;
    } else if (offset < 0x1000)
        chip->router[offset / 4] = value;
    else if (offset >> 12 == 0x4) {
        chip->route[i] = value;
        for (chip->n_routes = N_ROUTES; chip->n_routes; chip->n_routes--)
            if (chip->route[chip->n_routes - 1] < 0xff000000u) break;
    } else if (offset >> 12 == 0x8) chip->key[i] = value;
    else if (offset >> 12 == 0xc) chip->mask[i] = value;
    else if (offset >= 0x10000 && offset < 0x18000) chip->p2p[(offset - 0x10000) / 4] = value;
}

bool load_register(Core *c, uint32_t address, uint32_t *value)
{
    uint32_t block = address >> 24, offset = address & 0xfff;
    switch (block) {
    case 0x10: case 0x20: *value = load_cc(c, offset); return true;
    case 0x11: case 0x21: *value = load_timer(c, offset & 0x3f); return true;
    case 0x1f: case 0x2f: *value = load_vic(c, offset); return true;
    case 0x30: case 0x40: *value = load_dma(c, offset); return true;
    case 0xe1: case 0xf1: *value = load_router(c->chip, address & 0x1ffff); return true;
    case 0xe2: case 0xf2: *value = load_system(c->chip, offset); return true;
    case 0xe0: case 0xf0: case 0xe3: case 0xf3: *value = 0; return true;
    case 0xff: if (address >> 12 == 0xfffff) { *value = load_vic(c, offset); return true; }
    }
    return false;
}

bool store_register(Core *c, uint32_t address, uint32_t value)
{
    uint32_t block = address >> 24, offset = address & 0xfff;
    switch (block) {
    case 0x10: case 0x20: store_cc(c, offset, value); return true;
    case 0x11: case 0x21: store_timer(c, offset & 0x3f, value); return true;
    case 0x1f: case 0x2f: store_vic(c, offset, value); return true;
    case 0x30: case 0x40: return store_dma(c, offset, value);
    case 0xe1: case 0xf1: store_router(c->chip, address & 0x1ffff, value); return true;
    case 0xe2: case 0xf2: store_system(c->chip, offset, value, c->time); return true;
    case 0xe0: case 0xf0: case 0xe3: case 0xf3: return true;
    case 0xff: if (address >> 12 == 0xfffff) { store_vic(c, offset, value); return true; }
    }
    return false;
}
