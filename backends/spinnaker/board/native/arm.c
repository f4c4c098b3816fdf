/* The ARM968 processor: an interpreter of the ARMv5TE instruction set (ARM DDI 0100I).
 *
 * Thumb instructions are executed as the ARM instructions that they are equal to (thumb.c). Every
 * instruction takes one cycle. What an instruction is, is looked at once and kept until something
 * writes to it. The tests compare it all with QEMU's translator (unicorn). */
#define _GNU_SOURCE
#include "instructions.h"
#include <sys/mman.h>

enum { FIQ = 0x11, IRQ = 0x12, SVC = 0x13, ABT = 0x17, UND = 0x1b };
enum { V_UNDEFINED = 0x04, V_SWI = 0x08, V_PREFETCH = 0x0c, V_DATA = 0x10, V_IRQ = 0x18, V_FIQ = 0x1c };
#define STICKY (1u << 27)
#define T 0x20u /* Thumb state */

/* bank of each mode, by its low four bits: user and system, FIQ, IRQ, SVC, abort, undefined */
static const uint8_t BANK[16] = {0, 1, 2, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 0};

/* bit f of word c: whether condition c holds with flags f (NZCV) */
static const uint16_t HOLDS[16] = {0xf0f0, 0x0f0f, 0xcccc, 0x3333, 0xff00, 0x00ff, 0xaaaa, 0x5555,
                                   0x0c0c, 0xf3f3, 0xaa55, 0x55aa, 0x0a05, 0xf5fa, 0xffff, 0x0000};

static void switch_bank(Core *c, int old, int new)
{
    if (old == new) return;
    for (int i = 0; i < 2; i++) {
        c->bank[old][i] = c->r[13 + i];
        c->r[13 + i] = c->bank[new][i];
    }
    for (int i = 0; i < 5; i++)
        if (old == 1) {
            c->fiq_r8[i] = c->r[8 + i];
            c->r[8 + i] = c->user_r8[i];
        } else if (new == 1) {
            c->user_r8[i] = c->r[8 + i];
            c->r[8 + i] = c->fiq_r8[i];
        }
}

static void set_cpsr(Core *c, uint32_t value)
{
    switch_bank(c, BANK[c->cpsr & 15], BANK[value & 15]);
    c->cpsr = value;
}

/* A2.6: `link` goes to the new mode's r14 */
static void enter_exception(Core *c, uint32_t mode, uint32_t vector, uint32_t link)
{
    uint32_t old = c->cpsr;
    set_cpsr(c, (old & ~(T | 0x1fu)) | 0x80 | (mode == FIQ || old & 0x40 ? 0x40 : 0) | mode);
    c->spsr[BANK[mode & 15]] = old;
    c->r[14] = link;
    c->pc = vector;
}

void core_reset(Core *c, uint32_t entry, uint32_t r0)
{
    for (int i = 0; i < 16; i++) c->r[i] = 0;
    c->cpsr = 0xc0 | SVC;
    c->r[0] = r0;
    c->pc = entry;
}

/* MSR (A4.1.39) */
static void write_psr(Core *c, uint32_t w, uint32_t value)
{
    uint32_t mask = (w >> 16 & 1 ? 0xff : 0) | (w >> 19 & 1 ? 0xf8000000u : 0);
    uint32_t *spsr = &c->spsr[BANK[c->cpsr & 15]];
    if (w >> 22 & 1) {
        *spsr = (*spsr & ~mask) | (value & mask);
        return;
    }
    if (!(c->cpsr & 15)) mask &= 0xf8000000u; /* user mode: flags only */
    set_cpsr(c, (c->cpsr & ~mask) | (value & mask & ~T) | 0x10);
}

static uint32_t count_bits(uint32_t x) /* of 16 */
{
    x -= x >> 1 & 0x5555;
    x = (x & 0x3333) + (x >> 2 & 0x3333);
    x = (x + (x >> 4)) & 0x0f0f;
    return (x + (x >> 8)) & 31;
}

/* LDM and STM (A4.1.20): false at a data abort */
static bool block_transfer(Core *c, uint32_t w)
{
    uint32_t *r = c->r, n = count_bits(w & 0xffff), rn = w >> 16 & 15, base = r[rn];
    bool up = w >> 23 & 1, pre = w >> 24 & 1, write_back = w >> 21 & 1, load = w >> 20 & 1;
    uint32_t start = (up ? base : base - 4 * n) + (pre == up ? 4 : 0);
    uint32_t final = up ? base + 4 * n : base - 4 * n;
    bool user = (w >> 22 & 1) && !(load && w >> 15 & 1);
    int bank = BANK[c->cpsr & 15];
    start &= ~3u;
    uint32_t *at = (uint32_t *)(load ? locate(c, start) : locate_to_write(c, start, 4 * n));
    if (!at || (n && locate(c, start + 4 * n - 4) != (uint8_t *)(at + n - 1))) return false;
    if (user) switch_bank(c, bank, 0);
    if (write_back && load) r[rn] = final;
    for (uint32_t left = w & 0xffff; left; left &= left - 1) {
        int i = __builtin_ctz(left);
        if (load) r[i] = *at++;
        else {
            *at++ = i == 15 ? r[15] + 4 : r[i];
            if (write_back) r[rn] = final; /* of the base, stored first or new */
        }
    }
    if (user) switch_bank(c, 0, bank);
    return true;
}

static inline int64_t half(uint32_t x, bool top) { return (int16_t)(top ? x >> 16 : x); }

/* SMLAxy, SMLAWy, SMULWy, SMLALxy, SMULxy (A4.1.74 ff.) */
static void enhanced_multiply(Core *c, uint32_t w)
{
    uint32_t which = w >> 21 & 3, *rd = &c->r[w >> 16 & 15], *rn = &c->r[w >> 12 & 15];
    uint32_t rm = c->r[w & 15];
    int64_t y = half(c->r[w >> 8 & 15], w >> 6 & 1), product;
    bool add = which == 0;
    if (which == 1) {
        product = ((int32_t)rm * y) >> 16;
        add = !(w >> 5 & 1);
    } else
        product = half(rm, w >> 5 & 1) * y;
    if (which == 2) {
        uint64_t total = ((uint64_t)*rd << 32 | *rn) + (uint64_t)product;
        *rn = total;
        *rd = total >> 32;
        return;
    }
    int64_t total = add ? (int32_t)product + (int64_t)(int32_t)*rn : product;
    if (add && total != (int32_t)total) c->cpsr |= STICKY;
    *rd = total;
}

static int64_t saturate(Core *c, int64_t x)
{
    if (x == (int32_t)x) return x;
    c->cpsr |= STICKY;
    return x > 0 ? INT32_MAX : INT32_MIN;
}

/* QADD, QSUB, QDADD, QDSUB (A4.1.45 ff.) */
static void saturating_add(Core *c, uint32_t w)
{
    int64_t a = (int32_t)c->r[w & 15], b = (int32_t)c->r[w >> 16 & 15];
    if (w >> 22 & 1) b = saturate(c, 2 * b);
    c->r[w >> 12 & 15] = saturate(c, w >> 21 & 1 ? a - b : a + b);
}

/* Branches in Thumb state (A7): gives where to go on. */
static uint32_t thumb_branch(Core *c, uint32_t t, uint32_t here, uint32_t f)
{
    uint32_t next = here + 2, to;
    int32_t far = (int32_t)(t << 21) >> 20;
    switch (t >> 11) {
    case 8: /* BX, BLX */
        to = (t >> 3 & 15) == 15 ? here + 4 : c->r[t >> 3 & 15];
        if (t & 0x80) c->r[14] = next | 1;
        if (to & 1) return to & ~1u;
        c->cpsr &= ~T;
        return to & ~3u;
    case 26: case 27: return HOLDS[t >> 8 & 15] >> f & 1 ? here + 4 + 2 * (int8_t)t : next;
    case 28: return here + 4 + far;
    case 30: /* first half of BL, BLX: upper bits of the target */
        c->r[14] = here + 4 + (uint32_t)(far << 11);
        return next;
    default: /* second half: to Thumb code or, without bit 12, to ARM code */
        to = c->r[14] + (t & 0x7ff) * 2;
        c->r[14] = next | 1;
        if (t >> 11 == 31) return to & ~1u;
        c->cpsr &= ~T;
        return to & ~3u;
    }
}

/* Instructions may have changed: look at them again. */
void forget(Core *c, uint32_t address, uint32_t size)
{
    uint32_t end = address + size < ITCM_SIZE ? address + size : ITCM_SIZE;
    address &= ~3u;
    if (address == 0 && end == ITCM_SIZE) { /* gives the memory back, and is zero */
        madvise(c->decoded, N_DECODED * sizeof(Decoded), MADV_DONTNEED);
        return;
    }
    for (uint32_t i = address / 4; i < (end + 3) / 4; i++) c->decoded[i].kind = NEW;
    for (uint32_t i = address / 2; i < (end + 3) / 4 * 2; i++) c->decoded[ITCM_SIZE / 4 + i].kind = NEW;
}

/* X of each form of operand, operation and whether it sets the flags (comparisons: always) */
#define OPERATION(X, form, op) X(form, op, 0) X(form, op, 1)
#define OPERATIONS(X, form) \
    OPERATION(X, form, 0) OPERATION(X, form, 1) OPERATION(X, form, 2) OPERATION(X, form, 3) \
    OPERATION(X, form, 4) OPERATION(X, form, 5) OPERATION(X, form, 6) OPERATION(X, form, 7) \
    X(form, 8, 1) X(form, 9, 1) X(form, 10, 1) X(form, 11, 1) OPERATION(X, form, 12) \
    OPERATION(X, form, 13) OPERATION(X, form, 14) OPERATION(X, form, 15)
#define ALL_DATA(X) \
    OPERATIONS(X, IMMEDIATE) OPERATIONS(X, SHIFTED_LEFT) OPERATIONS(X, SHIFTED) \
    OPERATIONS(X, SHIFTED_BY_REGISTER)
#define ALL_WORD(X) \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define ALL_HALF(X) X(2) X(3) X(4) X(5) X(6) X(7)

/* Run until the core's clock reaches `limit`, it sleeps, or an interrupt wants in.
 *
 * Each piece of code jumps to the next itself: the host's processor then foresees where to. */
static void execute(Core *c, uint64_t limit)
{
#define DATA_LABEL(form, op, set) [DATA + (form << 5 | op << 1 | set)] = &&data_##form##_##op##_##set,
#define WORD_LABEL(k) [WORD + k] = &&word_##k,
#define HALF_LABEL(k) [HALF + k] = &&half_##k,
    static const void *const pieces[N_KINDS] = {
        [0 ... N_KINDS - 1] = &&undefined, [NEW] = &&new, ALL_DATA(DATA_LABEL) ALL_WORD(WORD_LABEL)
        ALL_HALF(HALF_LABEL) [BLOCK] = &&block, [BRANCH] = &&branch,
        [BRANCH_WITH_LINK] = &&branch_with_link, [MULTIPLY] = &&multiply,
        [LONG_MULTIPLY] = &&long_multiply, [ENHANCED_MULTIPLY] = &&enhanced_multiply,
        [SWAP] = &&swap, [MISCELLANEOUS] = &&miscellaneous, [SET_STATUS] = &&set_status,
        [COPROCESSOR] = &&coprocessor, [SOFTWARE_INTERRUPT] = &&software_interrupt,
        [CONDITIONAL] = &&conditional, [CONDITIONAL_BRANCH] = &&conditional_branch,
        [UNCONDITIONAL] = &&unconditional, [THUMB_BRANCH] = &&thumb_branch,
        [DATA_TO_PC] = &&data_to_pc, [LITERAL] = &&literal, [ADDRESS_OF] = &&address_of,
    };
    uint32_t *r = c->r, pc = c->pc, f = c->cpsr >> 28, w, target;
    uint32_t size, shift; /* of an instruction, and of its address to its place in `table` */
    uint64_t time = c->time;
    Decoded *table, *d, elsewhere;

#define PUT_FLAGS() (c->cpsr = (c->cpsr & 0x0fffffffu) | f << 28)
#define SET_STATE(to) \
    (shift = (to) ? 1 : 2, size = 1 << shift, table = c->decoded + (IN_THUMB ? ITCM_SIZE / 4 : 0))
#define IN_THUMB (shift == 1)
#define AT(target) ((target) & ~(size - 1))
#define GET_FLAGS() (f = c->cpsr >> 28, SET_STATE(c->cpsr & T))
#define EXCEPTION(mode, vector, link) \
    do { uint32_t back = (link); \
         PUT_FLAGS(); \
         enter_exception(c, mode, vector, back); \
         pc = c->pc; \
         SET_STATE(false); } while (0)
#define STOP() (limit = 0)
#define CHECK() \
    do { if (interrupting(c)) STOP(); } while (0)
#define NEXT() \
    do { if (time >= limit) goto stop; \
         if (pc >= ITCM_SIZE) goto outside; \
         d = &table[pc >> shift]; \
         GO(); } while (0)
#define GO() /* the program counter reads two instructions ahead */ \
    do { time++; \
         w = d->word; \
         pc += size; \
         r[15] = pc + size; \
         goto *pieces[d->kind]; } while (0)
#define TRANSFER(how, loads) \
    do { int went = how; \
         if (went == ABORTED) goto data_abort; \
         if (went == REGISTER) { time = c->time; CHECK(); } \
         if ((loads) && (w >> 12 & 15) == 15) { target = r[15]; goto exchange; } \
         NEXT(); } while (0)
#define DATA_PIECE(form, op, set) \
    data_##form##_##op##_##set: { \
        uint32_t flags = f, result = data_processing(r, w, form, op, set, &flags); \
        if (op < 8 || op > 11) r[w >> 12 & 15] = result; \
        f = flags; \
        NEXT(); }
#define WORD_PIECE(k) word_##k: TRANSFER(word_transfer(c, w, k, f, time), k & 2);
#define HALF_PIECE(k) half_##k: TRANSFER(half_transfer(c, w, k, time), k & 1);

    SET_STATE(c->cpsr & T);
    NEXT();

new: /* its program counter and time have been set */
    *d = decode(IN_THUMB ? thumb_to_arm[*(uint16_t *)(c->itcm + pc - size)]
                      : *(uint32_t *)(c->itcm + pc - size), IN_THUMB);
    w = d->word;
    goto *pieces[d->kind];

outside: { /* the instruction memory: seldom */
    uint8_t *code = locate(c, pc);
    if (!code) {
        time++;
        EXCEPTION(ABT, V_PREFETCH, pc + 4);
        NEXT();
    }
    elsewhere = decode(IN_THUMB ? thumb_to_arm[*(uint16_t *)code] : *(uint32_t *)code, IN_THUMB);
    d = &elsewhere;
    GO();
}

    ALL_DATA(DATA_PIECE)
    ALL_WORD(WORD_PIECE)
    ALL_HALF(HALF_PIECE)

literal: /* from a whole word on, in Thumb state as well */
    r[15] &= ~3u;
    goto word_3;
address_of:
    r[15] &= ~3u;
    goto data_IMMEDIATE_4_0;
data_to_pc: {
    int kind = kind_of_bits(w >> 20 & 255, w >> 4 & 15) - DATA;
    target = data_processing(r, w, kind >> 5, kind >> 1 & 15, false, &f);
    if (kind & 1) goto exception_return;
    pc = AT(target);
    NEXT();
}
conditional:
    if (HOLDS[w >> 28] >> f & 1) goto *pieces[d->if_true];
    NEXT();
conditional_branch:
    if (HOLDS[w >> 28] >> f & 1) pc = r[15] + ((uint32_t)((int32_t)(w << 8) >> 6));
    NEXT();
branch_with_link:
    r[14] = pc;
branch:
    pc = r[15] + ((uint32_t)((int32_t)(w << 8) >> 6));
    NEXT();
thumb_branch:
    pc = thumb_branch(c, w & 0xffff, pc - 2, f);
    SET_STATE(c->cpsr & T);
    NEXT();
unconditional:
    if (w >> 25 == 0x7d) { /* BLX to Thumb code */
        r[14] = pc;
        target = (r[15] + ((uint32_t)((int32_t)(w << 8) >> 6)) + (w >> 23 & 2)) | 1;
        goto exchange;
    }
    if ((w & 0x0d70f000) != 0x0550f000) goto undefined; /* not PLD */
    NEXT();
block:
    if (!block_transfer(c, w)) goto data_abort;
    if ((w & 0x108000) == 0x108000) {
        target = r[15];
        if (w >> 22 & 1) goto exception_return;
        goto exchange;
    }
    NEXT();
multiply:
    multiply(r, w, &f);
    NEXT();
long_multiply:
    long_multiply(r, w, &f);
    NEXT();
enhanced_multiply:
    enhanced_multiply(c, w);
    NEXT();
swap: { /* SWP, SWPB */
    uint32_t address = r[w >> 16 & 15], new = r[w & 15];
    uint8_t *at = locate_to_write(c, address, 4);
    if (w & 0xf00) goto undefined;
    if (!at) goto data_abort;
    if (w >> 22 & 1) {
        r[w >> 12 & 15] = *at;
        *at = new;
    } else {
        uint32_t *word = (uint32_t *)(at - (address & 3));
        r[w >> 12 & 15] = ror(*word, (address & 3) * 8);
        *word = new;
    }
    NEXT();
}
miscellaneous: {
    uint32_t which = w >> 21 & 3;
    switch (w >> 4 & 15) {
    case 0:
        if (which & 1) { /* MSR */
            target = r[w & 15];
            goto write_status;
        }
        PUT_FLAGS(); /* MRS */
        r[w >> 12 & 15] = which & 2 ? c->spsr[BANK[c->cpsr & 15]] : c->cpsr;
        NEXT();
    case 1: /* BX, CLZ */
        if (which == 1) {
            target = r[w & 15];
            goto exchange;
        }
        if (which != 3) goto undefined;
        r[w >> 12 & 15] = r[w & 15] ? __builtin_clz(r[w & 15]) : 32;
        NEXT();
    case 3: /* BLX */
        if (which != 1) goto undefined;
        target = r[w & 15];
        r[14] = pc;
        goto exchange;
    case 5:
        saturating_add(c, w);
        NEXT();
    case 7: /* BKPT */
        if (which != 1) goto undefined;
        EXCEPTION(ABT, V_PREFETCH, pc - size + 4);
        NEXT();
    default: goto undefined;
    }
}
set_status:
    target = ror(w & 255, w >> 7 & 30);
write_status:
    PUT_FLAGS();
    write_psr(c, w, target);
    GET_FLAGS();
    c->time = time;
    CHECK();
    NEXT();
coprocessor:
    if ((w & 0x0fff0fff) == 0x0e070f90) { /* wait for interrupt */
        c->state = ASLEEP;
        STOP();
    } else if ((w & 0x10) && (w >> 8 & 15) == 15) { /* the system control coprocessor */
        uint32_t which = w >> 16 & 15, rd = w >> 12 & 15;
        if (!(w >> 20 & 1)) {
            if (which == 1) c->control_register = r[rd];
        } else {
            uint32_t value = which == 0 ? 0x41059461 : which == 1 ? c->control_register : 0;
            if (rd == 15) f = value >> 28;
            else r[rd] = value;
        }
    } else
        goto undefined;
    NEXT();
software_interrupt:
    EXCEPTION(SVC, V_SWI, pc);
    NEXT();
undefined:
    EXCEPTION(UND, V_UNDEFINED, pc);
    NEXT();
data_abort:
    EXCEPTION(ABT, V_DATA, pc - size + 8);
    NEXT();

exchange: /* to the state that the target's last bit says */
    c->cpsr = (c->cpsr & ~T) | (target & 1 ? T : 0);
    SET_STATE(target & 1);
    pc = AT(target);
    NEXT();
exception_return:
    set_cpsr(c, c->spsr[BANK[c->cpsr & 15]]);
    GET_FLAGS();
    pc = AT(target);
    c->time = time;
    CHECK();
    NEXT();
stop:
    c->pc = pc;
    c->time = time;
    PUT_FLAGS();
}

void core_run(Core *c, uint64_t limit)
{
    c->started = c->time;
    while (c->time < limit && c->state == READY) {
        int which = interrupting(c);
        if (which) {
            enter_exception(c, which == 2 ? FIQ : IRQ, which == 2 ? V_FIQ : V_IRQ, c->pc + 4);
            c->interrupts++;
        }
        execute(c, limit);
        if (c->state == ASLEEP && raised(c) & c->enable) c->state = READY;
    }
    c->cycles += c->time - c->started;
    c->tick_cycles += c->time - c->started;
}
