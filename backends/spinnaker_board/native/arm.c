/* The ARM968 processor: an interpreter of the ARMv5TE instruction set (ARM DDI 0100I).
 *
 * Thumb instructions are executed as the ARM instructions that they are equal to (thumb.c). Every
 * instruction takes one cycle. The tests compare it with QEMU's translator (unicorn). */
#include "machine.h"

enum { FIQ = 0x11, IRQ = 0x12, SVC = 0x13, ABT = 0x17, UND = 0x1b };
enum { V_UNDEFINED = 0x04, V_SWI = 0x08, V_PREFETCH = 0x0c, V_DATA = 0x10, V_IRQ = 0x18, V_FIQ = 0x1c };
enum { N = 8, Z = 4, C = 2, V = 1 };
#define STICKY (1u << 27)
#define T 0x20u /* Thumb state */

/* bank of each mode, by its low four bits: user and system, FIQ, IRQ, SVC, abort, undefined */
static const uint8_t BANK[16] = {0, 1, 2, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 0};

/* bit f of word c: whether condition c holds with flags f (NZCV) */
static const uint16_t HOLDS[16] = {0xf0f0, 0x0f0f, 0xcccc, 0x3333, 0xff00, 0x00ff, 0xaaaa, 0x5555,
                                   0x0c0c, 0xf3f3, 0xaa55, 0x55aa, 0x0a05, 0xf5fa, 0xffff, 0x0000};

static inline uint32_t ror(uint32_t x, unsigned n) { return n ? x >> n | x << (32 - n) : x; }
static inline uint32_t nz(uint32_t x) { return (x >> 31) << 3 | (x == 0) << 2; }

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
    uint32_t n = __builtin_popcount(w & 0xffff), rn = w >> 16 & 15, base = c->r[rn];
    bool up = w >> 23 & 1, pre = w >> 24 & 1, write_back = w >> 21 & 1, load = w >> 20 & 1;
    uint32_t start = (up ? base : base - 4 * n) + (pre == up ? 4 : 0);
    uint32_t final = up ? base + 4 * n : base - 4 * n;
    bool user = (w >> 22 & 1) && !(load && w >> 15 & 1);
    int bank = BANK[c->cpsr & 15];
    start &= ~3u;
    uint32_t *at = (uint32_t *)locate(c, start);
    if (!at || (n && locate(c, start + 4 * n - 4) != (uint8_t *)(at + n - 1))) return false;
    bool first = true;
    if (user) switch_bank(c, bank, 0);
    if (write_back && load) c->r[rn] = final;
    for (int i = 0; i < 16; i++)
        if (w >> i & 1) {
            if (load) c->r[i] = *at++;
            else if (i == 15) *at++ = c->r[15] + 4;
            else *at++ = (uint32_t)i == rn && !first && write_back ? final : c->r[i];
            first = false;
        }
    if (write_back && !load) c->r[rn] = final;
    if (user) switch_bank(c, 0, bank);
    return true;
}

/* LDRH, STRH, LDRSB, LDRSH, LDRD, STRD (A5.3): false at a data abort */
static bool half_transfer(Core *c, uint32_t w)
{
    uint32_t rn = w >> 16 & 15, rd = w >> 12 & 15, *r = c->r, base = r[rn], value = 0;
    uint32_t offset = w >> 22 & 1 ? (w >> 4 & 0xf0) | (w & 15) : r[w & 15];
    uint32_t moved = w >> 23 & 1 ? base + offset : base - offset;
    uint32_t address = w >> 24 & 1 ? moved : base, which = w >> 5 & 3, high = 0;
    bool load = w >> 20 & 1, two = !load && which >= 2;
    uint8_t *at = locate(c, address);
    if (!at) { /* registers of peripherals are words; narrower accesses see their low bits */
        if (two) return false;
        if (!(load ? load_register(c, address & ~3u, &value)
                   : store_register(c, address & ~3u, r[rd] & 0xffff)))
            return false;
    } else if (two) {
        uint32_t *pair = (uint32_t *)((uintptr_t)at & ~(uintptr_t)3);
        if (which == 2) value = pair[0], high = pair[1];
        else pair[0] = r[rd], pair[1] = r[rd | 1];
    } else if (load)
        value = which == 2 ? *at : *(uint16_t *)((uintptr_t)at & ~(uintptr_t)1);
    else
        *(uint16_t *)((uintptr_t)at & ~(uintptr_t)1) = r[rd];
    if (!(w >> 24 & 1) || w >> 21 & 1) r[rn] = moved;
    if (two && which == 2) r[rd] = value, r[rd | 1] = high;
    else if (load) r[rd] = which == 1 ? value : which == 2 ? (uint32_t)(int8_t)value : (uint32_t)(int16_t)value;
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
    uint32_t *r = c->r, pc = c->pc, f = c->cpsr >> 28;
    uint64_t time = c->time;
    bool go = true, thumb = c->cpsr & T;

#define PUT_FLAGS() (c->cpsr = (c->cpsr & 0x0fffffffu) | f << 28)
#define GET_FLAGS() (f = c->cpsr >> 28, thumb = c->cpsr & T)
#define EXCEPTION(mode, vector, link) \
    do { PUT_FLAGS(); enter_exception(c, mode, vector, link); pc = c->pc; thumb = false; } while (0)
#define BRANCH(target) \
    do { uint32_t to = (target); \
         thumb = to & 1; \
         c->cpsr = (c->cpsr & ~T) | (thumb ? T : 0); \
         pc = thumb ? to & ~1u : to & ~3u; } while (0)
#define GET_THUMB() (thumb = c->cpsr & T)
#define RETURN(target) /* from an exception */ \
    do { uint32_t to = (target); \
         set_cpsr(c, c->spsr[BANK[c->cpsr & 15]]); \
         GET_FLAGS(); \
         pc = thumb ? to & ~1u : to & ~3u; \
         c->time = time; \
         CHECK(); } while (0)
#define CHECK() (go = !interrupting(c))
#define WRITE_PSR(value) \
    do { PUT_FLAGS(); write_psr(c, w, value); GET_FLAGS(); c->time = time; CHECK(); } while (0)

    while (go && time < limit) {
        uint32_t w, here = pc, next;
        time++;
        uint8_t *code = pc < ITCM_SIZE ? c->itcm + pc : locate(c, pc);
        if (!code) {
            EXCEPTION(ABT, V_PREFETCH, here + 4);
            continue;
        }
        if (thumb) {
            w = thumb_to_arm[*(uint16_t *)code];
            pc = next = here + 2;
            /* literals are found from a whole word on */
            r[15] = (w & 0x0f7f0000) == 0x051f0000 || (w & 0x0fff0f00) == 0x028f0f00
                ? (here + 4) & ~3u : here + 4;
        } else {
            w = *(uint32_t *)code;
            pc = next = here + 4;
            r[15] = here + 8;
        }
        if (w >> 28 != 14) {
            if (w >> 28 != 15) {
                if (!(HOLDS[w >> 28] >> f & 1)) continue;
            } else if (thumb) {
                pc = thumb_branch(c, w & 0xffff, here, f);
                GET_THUMB();
                continue;
            } else if (w >> 25 == 0x7d) { /* BLX to Thumb code */
                r[14] = next;
                BRANCH((here + 8 + ((uint32_t)((int32_t)(w << 8) >> 6)) + (w >> 23 & 2)) | 1);
                continue;
            } else {
                if ((w & 0x0d70f000) != 0x0550f000) EXCEPTION(UND, V_UNDEFINED, next); /* not PLD */
                continue;
            }
        }
        switch (w >> 25 & 7) {
        case 0:
            if ((w & 0x90) == 0x90) {
                if ((w & 0xf0) != 0x90) {
                    c->time = time;
                    if (!half_transfer(c, w)) { EXCEPTION(ABT, V_DATA, here + 8); break; }
                    time = c->time;
                    if ((w >> 12 & 15) == 15 && w >> 20 & 1) BRANCH(r[15]);
                    PUT_FLAGS();
                    CHECK();
                } else if (!(w >> 22 & 63)) { /* MUL, MLA */
                    uint32_t x = r[w & 15] * r[w >> 8 & 15] + (w >> 21 & 1 ? r[w >> 12 & 15] : 0);
                    r[w >> 16 & 15] = x;
                    if (w >> 20 & 1) f = (f & 3) | nz(x);
                } else if ((w >> 23 & 31) == 1) {
                    uint32_t *low = &r[w >> 12 & 15], *high = &r[w >> 16 & 15];
                    uint64_t x = w >> 22 & 1
                        ? (uint64_t)((int64_t)(int32_t)r[w & 15] * (int32_t)r[w >> 8 & 15])
                        : (uint64_t)r[w & 15] * r[w >> 8 & 15];
                    if (w >> 21 & 1) x += (uint64_t)*high << 32 | *low;
                    *low = x;
                    *high = x >> 32;
                    if (w >> 20 & 1) f = (f & 3) | (x >> 63) << 3 | (x == 0) << 2;
                } else if ((w & 0x0fb00ff0) == 0x01000090) { /* SWP, SWPB */
                    uint32_t address = r[w >> 16 & 15], new = r[w & 15];
                    uint8_t *at = locate(c, address);
                    if (!at) { EXCEPTION(ABT, V_DATA, here + 8); break; }
                    if (w >> 22 & 1) {
                        r[w >> 12 & 15] = *at;
                        *at = new;
                    } else {
                        uint32_t *word = (uint32_t *)(at - (address & 3));
                        r[w >> 12 & 15] = ror(*word, (address & 3) * 8);
                        *word = new;
                    }
                } else
                    EXCEPTION(UND, V_UNDEFINED, next);
                break;
            }
            if ((w & 0x01900000) == 0x01000000) { /* miscellaneous */
                uint32_t which = w >> 21 & 3;
                if ((w & 0x90) == 0x80) enhanced_multiply(c, w);
                else switch (w >> 4 & 15) {
                case 0:
                    if (!(which & 1)) { /* MRS */
                        PUT_FLAGS();
                        r[w >> 12 & 15] = which & 2 ? c->spsr[BANK[c->cpsr & 15]] : c->cpsr;
                    } else
                        WRITE_PSR(r[w & 15]);
                    break;
                case 1:
                    if (which == 1) BRANCH(r[w & 15]);
                    else if (which == 3) r[w >> 12 & 15] = r[w & 15] ? __builtin_clz(r[w & 15]) : 32;
                    else EXCEPTION(UND, V_UNDEFINED, next);
                    break;
                case 3:
                    if (which == 1) {
                        uint32_t target = r[w & 15];
                        r[14] = next;
                        BRANCH(target);
                    } else
                        EXCEPTION(UND, V_UNDEFINED, next);
                    break;
                case 5: saturating_add(c, w); break;
                case 7:
                    if (which == 1) EXCEPTION(ABT, V_PREFETCH, here + 4);
                    else EXCEPTION(UND, V_UNDEFINED, next);
                    break;
                default: EXCEPTION(UND, V_UNDEFINED, next);
                }
                break;
            } /* fall through */
        case 1: { /* data processing */
            uint32_t x = r[w >> 16 & 15], y, carry = f >> 1 & 1, result, over = f & 1;
            if (w >> 25 & 1) {
                if ((w & 0x01900000) == 0x01000000) {
                    if (w >> 21 & 1) WRITE_PSR(ror(w & 255, w >> 7 & 30));
                    else EXCEPTION(UND, V_UNDEFINED, next);
                    break;
                }
                unsigned turn = w >> 7 & 30;
                y = ror(w & 255, turn);
                if (turn) carry = y >> 31;
            } else if (!(w & 0xff0))
                y = r[w & 15];
            else {
                unsigned how = w >> 5 & 3, n = w >> 7 & 31;
                y = r[w & 15];
                if (w & 0x10) {
                    n = r[w >> 8 & 15] & 255;
                    if ((w >> 16 & 15) == 15) x += 4;
                    if ((w & 15) == 15) y += 4;
                } else if (n == 0) {
                    if (how == 3) { /* RRX */
                        uint32_t low = y & 1;
                        y = carry << 31 | y >> 1;
                        carry = low;
                        goto shifted;
                    }
                    n = 32;
                }
                if (n) switch (how) {
                case 0:
                    carry = n > 32 ? 0 : y >> (32 - n) & 1;
                    y = n > 31 ? 0 : y << n;
                    break;
                case 1:
                    carry = n > 32 ? 0 : y >> (n - 1) & 1;
                    y = n > 31 ? 0 : y >> n;
                    break;
                case 2:
                    carry = (int32_t)y >> (n > 31 ? 31 : n - 1) & 1;
                    y = (int32_t)y >> (n > 31 ? 31 : n);
                    break;
                case 3:
                    y = ror(y, n & 31);
                    carry = y >> 31;
                }
            }
        shifted:;
            uint32_t op = w >> 21 & 15;
            uint64_t sum;
            switch (op) {
            case 0: case 8: result = x & y; break;
            case 1: case 9: result = x ^ y; break;
            case 12: result = x | y; break;
            case 13: result = y; break;
            case 14: result = x & ~y; break;
            case 15: result = ~y; break;
            case 2: case 10: y = ~y; sum = (uint64_t)x + y + 1; goto added;
            case 3: { uint32_t t = x; x = y; y = ~t; sum = (uint64_t)x + y + 1; goto added; }
            case 4: case 11: sum = (uint64_t)x + y; goto added;
            case 5: sum = (uint64_t)x + y + (f >> 1 & 1); goto added;
            case 6: y = ~y; sum = (uint64_t)x + y + (f >> 1 & 1); goto added;
            default: { uint32_t t = x; x = y; y = ~t; sum = (uint64_t)x + y + (f >> 1 & 1); }
            added:
                result = sum;
                carry = sum >> 32;
                over = (~(x ^ y) & (x ^ result)) >> 31;
            }
            uint32_t rd = w >> 12 & 15;
            bool compare = (op & 12) == 8;
            if (w >> 20 & 1) {
                if (rd == 15 && !compare) { /* return from an exception */
                    RETURN(result);
                    break;
                }
                f = nz(result) | carry << 1 | over;
            }
            if (!compare) {
                r[rd] = result;
                if (rd == 15) pc = result & (thumb ? ~1u : ~3u);
            }
            break;
        }
        case 3:
            if (w & 0x10) { EXCEPTION(UND, V_UNDEFINED, next); break; } /* fall through */
        case 2: {
            uint32_t offset = w & 0xfff, rn = w >> 16 & 15, rd = w >> 12 & 15, base = r[rn];
            if (w >> 25 & 1) {
                unsigned n = w >> 7 & 31;
                offset = r[w & 15];
                switch (w >> 5 & 3) {
                case 0: offset <<= n; break;
                case 1: offset = n ? offset >> n : 0; break;
                case 2: offset = (int32_t)offset >> (n ? n : 31); break;
                case 3: offset = n ? ror(offset, n) : (f >> 1 & 1) << 31 | offset >> 1;
                }
            }
            uint32_t moved = w >> 23 & 1 ? base + offset : base - offset;
            uint32_t address = w >> 24 & 1 ? moved : base, value;
            bool byte = w >> 22 & 1, write_back = !(w >> 24 & 1) || w >> 21 & 1;
            uint8_t *at = locate(c, address);
            if (w >> 20 & 1) {
                if (at)
                    value = byte ? *at : ror(*(uint32_t *)(at - (address & 3)), (address & 3) * 8);
                else {
                    c->time = time;
                    if (!load_register(c, address & ~3u, &value)) {
                        EXCEPTION(ABT, V_DATA, here + 8);
                        break;
                    }
                    time = c->time;
                    if (byte) value = value >> (address & 3) * 8 & 255;
                    CHECK();
                }
                if (write_back) r[rn] = moved;
                r[rd] = value;
                if (rd == 15) BRANCH(value);
            } else {
                value = rd == 15 ? here + 12 : r[rd];
                if (at) {
                    if (byte) *at = value;
                    else *(uint32_t *)(at - (address & 3)) = value;
                    if (write_back) r[rn] = moved;
                } else {
                    c->time = time;
                    if (!store_register(c, address & ~3u, byte ? value & 255 : value)) {
                        EXCEPTION(ABT, V_DATA, here + 8);
                        break;
                    }
                    time = c->time;
                    if (write_back) r[rn] = moved;
                    CHECK();
                }
            }
            break;
        }
        case 4:
            if (!block_transfer(c, w)) { EXCEPTION(ABT, V_DATA, here + 8); break; }
            if (w >> 20 & 1 && w >> 15 & 1) {
                uint32_t target = r[15];
                if (w >> 22 & 1) RETURN(target);
                else BRANCH(target);
            }
            break;
        case 5:
            if (w >> 24 & 1) r[14] = pc;
            pc = here + 8 + ((uint32_t)((int32_t)(w << 8) >> 6));
            break;
        case 7:
            if (w >> 24 & 1) EXCEPTION(SVC, V_SWI, next);
            else if ((w & 0x0fff0fff) == 0x0e070f90) { /* wait for interrupt */
                c->state = ASLEEP;
                go = false;
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
                EXCEPTION(UND, V_UNDEFINED, next);
            break;
        default: EXCEPTION(UND, V_UNDEFINED, next);
        }
    }
    c->pc = pc;
    c->time = time;
    PUT_FLAGS();
}

void core_run(Core *c, uint64_t limit)
{
    uint64_t start = c->time;
    while (c->time < limit && c->state == READY) {
        int which = interrupting(c);
        if (which) {
            enter_exception(c, which == 2 ? FIQ : IRQ, which == 2 ? V_FIQ : V_IRQ, c->pc + 4);
            c->interrupts++;
        }
        execute(c, limit);
        if (c->state == ASLEEP && raised(c) & c->enable) c->state = READY;
    }
    c->cycles += c->time - start;
    c->tick_cycles += c->time - start;
}
