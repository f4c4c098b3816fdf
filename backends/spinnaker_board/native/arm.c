/* The ARM968 processor: an interpreter of the ARMv5TE instruction set (ARM DDI 0100I).
 *
 * Thumb instructions are executed as the ARM instructions that they are equal to (thumb.c). Every
 * instruction takes one cycle. The tests compare it with QEMU's translator (unicorn). */
#include "instructions.h"

enum { FIQ = 0x11, IRQ = 0x12, SVC = 0x13, ABT = 0x17, UND = 0x1b };
enum { V_UNDEFINED = 0x04, V_SWI = 0x08, V_PREFETCH = 0x0c, V_DATA = 0x10, V_IRQ = 0x18, V_FIQ = 0x1c };
#define STICKY (1u << 27)
#define T 0x20u /* Thumb state */

static uint8_t kinds[1 << 12]; /* of instructions, by bits 27-20 and 7-4 */

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

/* LDM and STM (A4.1.20): false at a data abort */
static bool block_transfer(Core *c, uint32_t w)
{
    uint32_t *r = c->r, n = __builtin_popcount(w & 0xffff), rn = w >> 16 & 15, base = r[rn];
    bool up = w >> 23 & 1, pre = w >> 24 & 1, write_back = w >> 21 & 1, load = w >> 20 & 1;
    uint32_t start = (up ? base : base - 4 * n) + (pre == up ? 4 : 0);
    uint32_t final = up ? base + 4 * n : base - 4 * n;
    bool user = (w >> 22 & 1) && !(load && w >> 15 & 1);
    int bank = BANK[c->cpsr & 15];
    start &= ~3u;
    uint32_t *at = (uint32_t *)locate(c, start);
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

/* Run until the core's clock reaches `limit`, it sleeps, or an interrupt wants in. */
static void execute(Core *c, uint64_t limit)
{
    uint32_t *r = c->r, pc = c->pc, f = c->cpsr >> 28, target;
    uint8_t *itcm = c->itcm;
    uint64_t time = c->time;
    bool thumb = c->cpsr & T;

#define PUT_FLAGS() (c->cpsr = (c->cpsr & 0x0fffffffu) | f << 28)
#define GET_FLAGS() (f = c->cpsr >> 28, thumb = c->cpsr & T)
#define EXCEPTION(mode, vector, link) \
    do { PUT_FLAGS(); enter_exception(c, mode, vector, link); pc = c->pc; thumb = false; } while (0)
#define STOP() (limit = 0)
#define CHECK() \
    do { if (interrupting(c)) STOP(); } while (0)
#define WRITE_PSR(value) \
    do { PUT_FLAGS(); write_psr(c, w, value); GET_FLAGS(); c->time = time; CHECK(); } while (0)
#define TRANSFER(how, loads) \
    do { int went = how; \
         if (went == ABORTED) goto data_abort; \
         if (went == REGISTER) { time = c->time; CHECK(); } \
         if ((loads) && (w >> 12 & 15) == 15) { target = r[15]; goto exchange; } } while (0)
#define CASE_DATA(form, op, set) \
    case DATA + ((form) << 5 | (op) << 1 | (set)): { \
        uint32_t flags = f, rd = w >> 12 & 15; \
        uint32_t result = data_processing(r, w, form, op, set, &flags); \
        if ((op) < 8 || (op) > 11) { \
            if (rd == 15) { target = result; if (set) goto exception_return; goto jump; } \
            r[rd] = result; \
        } \
        f = flags; \
        break; }
#define CASES_DATA(form) \
    CASE_DATA(form, 0, 0) CASE_DATA(form, 0, 1) CASE_DATA(form, 1, 0) CASE_DATA(form, 1, 1) \
    CASE_DATA(form, 2, 0) CASE_DATA(form, 2, 1) CASE_DATA(form, 3, 0) CASE_DATA(form, 3, 1) \
    CASE_DATA(form, 4, 0) CASE_DATA(form, 4, 1) CASE_DATA(form, 5, 0) CASE_DATA(form, 5, 1) \
    CASE_DATA(form, 6, 0) CASE_DATA(form, 6, 1) CASE_DATA(form, 7, 0) CASE_DATA(form, 7, 1) \
    CASE_DATA(form, 8, 1) CASE_DATA(form, 9, 1) CASE_DATA(form, 10, 1) CASE_DATA(form, 11, 1) \
    CASE_DATA(form, 12, 0) CASE_DATA(form, 12, 1) CASE_DATA(form, 13, 0) CASE_DATA(form, 13, 1) \
    CASE_DATA(form, 14, 0) CASE_DATA(form, 14, 1) CASE_DATA(form, 15, 0) CASE_DATA(form, 15, 1)
#define CASE_WORD(k) \
    case WORD + (k): TRANSFER(word_transfer(c, w, k, f, time), (k) & 2); break;
#define CASE_HALF(k) \
    case HALF + (k): TRANSFER(half_transfer(c, w, k, time), (k) & 1); break;

    while (time < limit) {
        uint32_t w, here = pc;
        time++;
        uint8_t *code = pc < ITCM_SIZE ? itcm + pc : locate(c, pc);
        if (!code) {
            EXCEPTION(ABT, V_PREFETCH, here + 4);
            continue;
        }
        if (thumb) {
            w = thumb_to_arm[*(uint16_t *)code];
            pc = here + 2;
            /* literals are found from a whole word on */
            r[15] = (w & 0x0f7f0000) == 0x051f0000 || (w & 0x0fff0f00) == 0x028f0f00
                ? (here + 4) & ~3u : here + 4;
        } else {
            w = *(uint32_t *)code;
            pc = here + 4;
            r[15] = here + 8;
        }
        if (w >> 28 != 14) {
            if (w >> 28 != 15) {
                if (!(HOLDS[w >> 28] >> f & 1)) continue;
            } else if (thumb) {
                pc = thumb_branch(c, w & 0xffff, here, f);
                thumb = c->cpsr & T;
                continue;
            } else if (w >> 25 == 0x7d) { /* BLX to Thumb code */
                r[14] = pc;
                target = (here + 8 + ((uint32_t)((int32_t)(w << 8) >> 6)) + (w >> 23 & 2)) | 1;
                goto exchange;
            } else {
                if ((w & 0x0d70f000) != 0x0550f000) goto undefined; /* not PLD */
                continue;
            }
        }
        switch (kinds[(w >> 16 & 0xff0) | (w >> 4 & 15)]) {
        CASES_DATA(IMMEDIATE)
        CASES_DATA(SHIFTED_LEFT)
        CASES_DATA(SHIFTED)
        CASES_DATA(SHIFTED_BY_REGISTER)
        CASE_WORD(0) CASE_WORD(1) CASE_WORD(2) CASE_WORD(3) CASE_WORD(4) CASE_WORD(5) CASE_WORD(6)
        CASE_WORD(7) CASE_WORD(8) CASE_WORD(9) CASE_WORD(10) CASE_WORD(11) CASE_WORD(12)
        CASE_WORD(13) CASE_WORD(14) CASE_WORD(15)
        CASE_HALF(2) CASE_HALF(3) CASE_HALF(4) CASE_HALF(5) CASE_HALF(6) CASE_HALF(7)
        case BLOCK: case BLOCK + 1:
            if (!block_transfer(c, w)) goto data_abort;
            if (w >> 20 & 1 && w >> 15 & 1) {
                target = r[15];
                if (w >> 22 & 1) goto exception_return;
                goto exchange;
            }
            break;
        case BRANCH + 1: r[14] = pc; /* fall through */
        case BRANCH: pc = here + 8 + ((uint32_t)((int32_t)(w << 8) >> 6)); break;
        case MULTIPLY: multiply(r, w, &f); break;
        case LONG_MULTIPLY: long_multiply(r, w, &f); break;
        case ENHANCED_MULTIPLY: enhanced_multiply(c, w); break;
        case SWAP: { /* SWP, SWPB */
            uint32_t address = r[w >> 16 & 15], new = r[w & 15];
            uint8_t *at = locate(c, address);
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
            break;
        }
        case SET_STATUS: WRITE_PSR(ror(w & 255, w >> 7 & 30)); break;
        case MISCELLANEOUS: {
            uint32_t which = w >> 21 & 3;
            switch (w >> 4 & 15) {
            case 0:
                if (!(which & 1)) { /* MRS */
                    PUT_FLAGS();
                    r[w >> 12 & 15] = which & 2 ? c->spsr[BANK[c->cpsr & 15]] : c->cpsr;
                } else
                    WRITE_PSR(r[w & 15]);
                break;
            case 1: /* BX, CLZ */
                if (which == 1) {
                    target = r[w & 15];
                    goto exchange;
                }
                if (which != 3) goto undefined;
                r[w >> 12 & 15] = r[w & 15] ? __builtin_clz(r[w & 15]) : 32;
                break;
            case 3: /* BLX */
                if (which != 1) goto undefined;
                target = r[w & 15];
                r[14] = pc;
                goto exchange;
            case 5: saturating_add(c, w); break;
            case 7:
                if (which != 1) goto undefined;
                EXCEPTION(ABT, V_PREFETCH, here + 4); /* BKPT */
                break;
            default: goto undefined;
            }
            break;
        }
        case SOFTWARE_INTERRUPT: EXCEPTION(SVC, V_SWI, pc); break;
        case COPROCESSOR:
            if ((w & 0x0fff0fff) == 0x0e070f90) { /* wait for interrupt */
                c->state = ASLEEP;
                STOP();
            } else if ((w & 0x10) && (w >> 8 & 15) == 15) { /* the system control coprocessor */
                if (!(w >> 20 & 1)) {
                    if ((w >> 16 & 15) == 1) c->control_register = r[w >> 12 & 15];
                } else {
                    uint32_t which = w >> 16 & 15, rd = w >> 12 & 15;
                    uint32_t value = which == 0 ? 0x41059461 : which == 1 ? c->control_register : 0;
                    if (rd == 15) f = value >> 28;
                    else r[rd] = value;
                }
            } else
                goto undefined;
            break;
        default:
        undefined:
            EXCEPTION(UND, V_UNDEFINED, pc);
        }
        continue;

    jump: /* in the state that the processor is in */
        r[15] = target;
        pc = target & (thumb ? ~1u : ~3u);
        continue;
    exchange: /* to the state that the target's last bit says */
        thumb = target & 1;
        c->cpsr = (c->cpsr & ~T) | (thumb ? T : 0);
        pc = target & (thumb ? ~1u : ~3u);
        continue;
    exception_return:
        set_cpsr(c, c->spsr[BANK[c->cpsr & 15]]);
        GET_FLAGS();
        pc = target & (thumb ? ~1u : ~3u);
        c->time = time;
        CHECK();
        continue;
    data_abort:
        EXCEPTION(ABT, V_DATA, here + 8);
    }
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

void arm_prepare(void)
{
    thumb_prepare();
    for (uint32_t i = 0; i < 1 << 12; i++) kinds[i] = kind_of(i >> 4, i & 15);
}
