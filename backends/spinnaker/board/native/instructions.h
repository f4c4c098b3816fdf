/* What an instruction is, and the instructions that are executed most.
 *
 * The functions here are inlined where they are called with constants for the kind of the
 * instruction, so that the compiler makes a piece of code for each kind. */
#ifndef INSTRUCTIONS_H
#define INSTRUCTIONS_H
#include "machine.h"
#define INLINE static inline __attribute__((always_inline))

/* The kinds of instruction, found from bits 27-20 and 7-4 (A3.1) but for the first and the last. */
enum {
    NEW,          /* not looked at yet */
    WORD = 32,    /* register offset << 3 | byte << 2 | load << 1 | without write-back */
    HALF = 48,    /* bits 6-5 << 1 | load */
    BLOCK = 56, BRANCH, BRANCH_WITH_LINK, MULTIPLY, LONG_MULTIPLY, ENHANCED_MULTIPLY, SWAP,
    MISCELLANEOUS, SET_STATUS, COPROCESSOR, SOFTWARE_INTERRUPT, UNDEFINED_INSTRUCTION,
    DATA = 80,    /* form << 5 | operation << 1 | whether it sets the flags */
    CONDITIONAL = 224, CONDITIONAL_BRANCH, UNCONDITIONAL, THUMB_BRANCH,
    DATA_TO_PC, LITERAL, ADDRESS_OF, /* of what is found from the program counter on */
    N_KINDS
};
/* forms of the last operand of data processing: shifted by an immediate value if not said */
enum { IMMEDIATE, SHIFTED_LEFT, SHIFTED, SHIFTED_BY_REGISTER };
enum { DONE, ABORTED, REGISTER }; /* how a transfer went; a register may raise an interrupt */

static int kind_of_bits(uint32_t high, uint32_t low) /* bits 27-20 and 7-4 */
{
    switch (high >> 5) {
    case 0:
        if ((low & 9) == 9) {
            if (low != 9) return HALF + ((low >> 1 & 3) << 1 | (high & 1));
            if (high < 4) return MULTIPLY;
            if (high >> 3 == 1) return LONG_MULTIPLY;
            return (high & 0xfb) == 0x10 ? SWAP : UNDEFINED_INSTRUCTION;
        }
        if ((high & 0x19) == 0x10) return (low & 9) == 8 ? ENHANCED_MULTIPLY : MISCELLANEOUS;
        return DATA + ((low & 1 ? SHIFTED_BY_REGISTER : low & 6 ? SHIFTED : SHIFTED_LEFT) << 5 |
                       (high & 31));
    case 1:
        if ((high & 0x19) == 0x10) return high & 2 ? SET_STATUS : UNDEFINED_INSTRUCTION;
        return DATA + (IMMEDIATE << 5 | (high & 31));
    case 3:
        if (low & 1) return UNDEFINED_INSTRUCTION; /* fall through */
    case 2:
        return WORD + ((high >> 5 & 1) << 3 | (high >> 2 & 1) << 2 | (high & 1) << 1 |
                       ((high & 0x12) == 0x10));
    case 4: return BLOCK;
    case 5: return BRANCH + (high >> 4 & 1);
    case 7: return high & 0x10 ? SOFTWARE_INTERRUPT : COPROCESSOR;
    default: return UNDEFINED_INSTRUCTION;
    }
}

/* Kind of an instruction that is executed if its condition holds. */
static int kind_of(uint32_t w)
{
    int kind = kind_of_bits(w >> 20 & 255, w >> 4 & 15);
    bool compares = (w >> 23 & 3) == 2;
    if (kind >= DATA && kind < CONDITIONAL) {
        if ((w & 0x0fff0f00) == 0x028f0f00) return ADDRESS_OF;
        return (w >> 12 & 15) == 15 && !compares ? DATA_TO_PC : kind;
    }
    return (w & 0x0f7f0000) == 0x051f0000 ? LITERAL : kind;
}

static Decoded decode(uint32_t w, bool thumb)
{
    int kind = kind_of(w);
    if (w >> 28 == 15) return (Decoded){w, thumb ? THUMB_BRANCH : UNCONDITIONAL, 0};
    if (w >> 28 == 14) return (Decoded){w, kind, 0};
    return (Decoded){w, kind == BRANCH ? CONDITIONAL_BRANCH : CONDITIONAL, kind};
}

INLINE uint32_t ror(uint32_t x, unsigned n) { return x >> n | x << (-n & 31); }
INLINE uint32_t nz(uint32_t x) { return (x >> 31) << 3 | (x == 0) << 2; }

/* The last operand of data processing (A5.1), and the carry out of the shifter. */
INLINE uint32_t operand(const uint32_t *r, uint32_t w, int form, uint32_t *carry)
{
    if (form == IMMEDIATE) {
        unsigned turn = w >> 7 & 30;
        uint32_t y = ror(w & 255, turn);
        if (turn) *carry = y >> 31;
        return y;
    }
    uint32_t y = r[w & 15];
    unsigned how = w >> 5 & 3, n = w >> 7 & 31;
    if (form == SHIFTED_LEFT) {
        if (n) *carry = y >> (32 - n) & 1;
        return y << n;
    }
    if (form == SHIFTED_BY_REGISTER) {
        n = r[w >> 8 & 15] & 255;
        if ((w & 15) == 15) y += 4;
        if (!n) return y;
    } else if (n == 0) {
        if (how == 3) { /* RRX */
            uint32_t low = y & 1;
            y = *carry << 31 | y >> 1;
            *carry = low;
            return y;
        }
        n = 32;
    }
    switch (how) {
    case 0:
        *carry = n > 32 ? 0 : y >> (32 - n) & 1;
        return n > 31 ? 0 : y << n;
    case 1:
        *carry = n > 32 ? 0 : y >> (n - 1) & 1;
        return n > 31 ? 0 : y >> n;
    case 2:
        *carry = (int32_t)y >> (n > 31 ? 31 : n - 1) & 1;
        return (int32_t)y >> (n > 31 ? 31 : n);
    default:
        y = ror(y, n & 31);
        *carry = y >> 31;
        return y;
    }
}

/* Data processing (A4.1.2 ff.): the result; and the flags (NZCV), where they are set. */
INLINE uint32_t data_processing(const uint32_t *r, uint32_t w, int form, int op, bool set, uint32_t *f)
{
    uint32_t x = r[w >> 16 & 15], before = *f >> 1 & 1, carry = before, over = *f & 1, result;
    uint32_t y = operand(r, w, form, &carry);
    uint64_t sum;
    if (form == SHIFTED_BY_REGISTER && (w >> 16 & 15) == 15) x += 4;
    if (op == 3 || op == 7) { /* subtraction the other way round */
        uint32_t t = x;
        x = y;
        y = t;
    }
    switch (op) {
    case 0: case 8: result = x & y; break;
    case 1: case 9: result = x ^ y; break;
    case 12: result = x | y; break;
    case 13: result = y; break;
    case 14: result = x & ~y; break;
    case 15: result = ~y; break;
    case 2: case 3: case 10: y = ~y; sum = (uint64_t)x + y + 1; goto added;
    case 4: case 11: sum = (uint64_t)x + y; goto added;
    case 5: sum = (uint64_t)x + y + before; goto added;
    default: y = ~y; sum = (uint64_t)x + y + before;
    added:
        result = sum;
        carry = sum >> 32;
        over = (~(x ^ y) & (x ^ result)) >> 31;
    }
    if (set) *f = nz(result) | carry << 1 | over;
    return result;
}

/* LDR, STR, LDRB, STRB (A5.2) */
INLINE int word_transfer(Core *c, uint32_t w, int kind, uint32_t f, uint64_t time)
{
    bool byte = kind & 4, load = kind & 2, plain = kind & 1;
    uint32_t *r = c->r, rn = w >> 16 & 15, rd = w >> 12 & 15, base = r[rn], offset = w & 0xfff;
    if (kind & 8) {
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
    uint32_t address = plain || w >> 24 & 1 ? moved : base;
    uint32_t value = load ? 0 : rd == 15 ? r[15] + 4 : r[rd];
    uint8_t *at = load ? locate(c, address) : locate_to_write(c, address, 4);
    int how = DONE;
    if (at && load) value = byte ? *at : ror(*(uint32_t *)(at - (address & 3)), (address & 3) * 8);
    else if (at && byte) *at = value;
    else if (at) *(uint32_t *)(at - (address & 3)) = value;
    else {
        how = REGISTER;
        c->time = time;
        if (load) {
            if (!load_register(c, address & ~3u, &value)) return ABORTED;
            if (byte) value = value >> (address & 3) * 8 & 255;
        } else if (!store_register(c, address & ~3u, byte ? value & 255 : value))
            return ABORTED;
    }
    if (!plain) r[rn] = moved;
    if (load) r[rd] = value;
    return how;
}

/* LDRH, STRH, LDRSB, LDRSH, LDRD, STRD (A5.3) */
INLINE int half_transfer(Core *c, uint32_t w, int kind, uint64_t time)
{
    int which = kind >> 1;
    bool load = kind & 1, two = !load && which >= 2;
    uint32_t rn = w >> 16 & 15, rd = w >> 12 & 15, *r = c->r, base = r[rn], value = 0, high = 0;
    uint32_t offset = w >> 22 & 1 ? (w >> 4 & 0xf0) | (w & 15) : r[w & 15];
    uint32_t moved = w >> 23 & 1 ? base + offset : base - offset;
    uint32_t address = w >> 24 & 1 ? moved : base;
    uint8_t *at = load || which == 2 ? locate(c, address) : locate_to_write(c, address, 8);
    if (at && two && locate(c, address + 4) != at + 4) return ABORTED;
    int how = DONE;
    if (!at) { /* registers of peripherals are words; narrower accesses see their low bits */
        how = REGISTER;
        c->time = time;
        if (two || !(load ? load_register(c, address & ~3u, &value)
                          : store_register(c, address & ~3u, r[rd] & 0xffff)))
            return ABORTED;
    } else if (two) {
        uint32_t *pair = (uint32_t *)(at - (address & 3));
        if (which == 2) value = pair[0], high = pair[1];
        else pair[0] = r[rd], pair[1] = r[rd | 1];
    } else if (load)
        value = which == 2 ? *at : *(uint16_t *)(at - (address & 1));
    else
        *(uint16_t *)(at - (address & 1)) = r[rd];
    if (!(w >> 24 & 1) || w >> 21 & 1) r[rn] = moved;
    if (two && which == 2) r[rd] = value, r[rd | 1] = high;
    else if (load) r[rd] = which == 1 ? value : which == 2 ? (uint32_t)(int8_t)value : (uint32_t)(int16_t)value;
    return how;
}

/* MUL, MLA (A4.1.34, A4.1.40) */
INLINE void multiply(uint32_t *r, uint32_t w, uint32_t *f)
{
    uint32_t x = r[w & 15] * r[w >> 8 & 15] + (w >> 21 & 1 ? r[w >> 12 & 15] : 0);
    r[w >> 16 & 15] = x;
    if (w >> 20 & 1) *f = (*f & 3) | nz(x);
}

/* UMULL, UMLAL, SMULL, SMLAL */
INLINE void long_multiply(uint32_t *r, uint32_t w, uint32_t *f)
{
    uint32_t *low = &r[w >> 12 & 15], *high = &r[w >> 16 & 15];
    uint64_t x = w >> 22 & 1 ? (uint64_t)((int64_t)(int32_t)r[w & 15] * (int32_t)r[w >> 8 & 15])
                             : (uint64_t)r[w & 15] * r[w >> 8 & 15];
    if (w >> 21 & 1) x += (uint64_t)*high << 32 | *low;
    *low = x;
    *high = x >> 32;
    if (w >> 20 & 1) *f = (*f & 3) | (x >> 63) << 3 | (x == 0) << 2;
}
#endif
