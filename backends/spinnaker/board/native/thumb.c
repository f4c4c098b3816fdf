/* The Thumb instruction set, as the ARM instruction that each instruction is equal to (ARM DDI
 * 0100I, chapter A7). Branches have no equal: they stay as they are, under condition 15. */
#include "machine.h"

uint32_t thumb_to_arm[1 << 16];

#define AL 0xe0000000u
#define STAYS(t) (0xf0000000u | (t))
#define UNDEFINED (AL | 0x07f000f0u)

static uint32_t expand(uint32_t t)
{
    uint32_t d = t & 7, n = t >> 3 & 7, m = t >> 6 & 7, imm5 = t >> 6 & 31, imm8 = t & 255;
    uint32_t d8 = t >> 8 & 7; /* register of the formats with 8 bits of immediate value */
    switch (t >> 11) {
    case 0: case 1: case 2: /* shift by an immediate value */
        return AL | 0x01b00000 | d << 12 | imm5 << 7 | (t >> 11) << 5 | n;
    case 3: { /* add, subtract: a register, a value of 3 bits */
        uint32_t op = t >> 9 & 1 ? 0x00500000 : 0x00900000;
        return AL | op | (t >> 10 & 1) << 25 | n << 16 | d << 12 | m;
    }
    case 4: return AL | 0x03b00000 | d8 << 12 | imm8;
    case 5: return AL | 0x03500000 | d8 << 16 | imm8;
    case 6: return AL | 0x02900000 | d8 << 16 | d8 << 12 | imm8;
    case 7: return AL | 0x02500000 | d8 << 16 | d8 << 12 | imm8;
    case 8:
        if (t >> 10 & 1) { /* high registers */
            uint32_t high = (t >> 4 & 8) | d, from = t >> 3 & 15;
            switch (t >> 8 & 3) {
            case 0: return AL | 0x00800000 | high << 16 | high << 12 | from;
            case 1: return AL | 0x01500000 | high << 16 | from;
            case 2: return AL | 0x01a00000 | high << 12 | from;
            default: return STAYS(t); /* BX, BLX */
            }
        }
        switch (t >> 6 & 15) {
        case 2: case 3: case 4: /* LSL, LSR, ASR by a register */
            return AL | 0x01b00010 | d << 12 | n << 8 | ((t >> 6 & 15) - 2) << 5 | d;
        case 7: return AL | 0x01b00070 | d << 12 | n << 8 | d; /* ROR */
        case 8: return AL | 0x01100000 | d << 16 | n;          /* TST */
        case 9: return AL | 0x02700000 | n << 16 | d << 12;    /* NEG: RSBS #0 */
        case 10: return AL | 0x01500000 | d << 16 | n;         /* CMP */
        case 11: return AL | 0x01700000 | d << 16 | n;         /* CMN */
        case 13: return AL | 0x00100090 | d << 16 | d << 8 | n; /* MUL */
        case 15: return AL | 0x01f00000 | d << 12 | n;         /* MVN */
        default: { /* AND EOR ADC SBC ORR BIC are numbered as in ARM */
            uint32_t op = t >> 6 & 15;
            return AL | op << 21 | 1 << 20 | d << 16 | d << 12 | n;
        }
        }
    case 9: return AL | 0x059f0000 | d8 << 12 | imm8 << 2; /* LDR from the literal pool */
    case 10: case 11: { /* load, store: register offset */
        static const uint32_t op[8] = {0x07800000, 0x018000b0, 0x07c00000, 0x019000d0,
                                       0x07900000, 0x019000b0, 0x07d00000, 0x019000f0};
        return AL | op[t >> 9 & 7] | n << 16 | d << 12 | m;
    }
    case 12: return AL | 0x05800000 | n << 16 | d << 12 | imm5 << 2;
    case 13: return AL | 0x05900000 | n << 16 | d << 12 | imm5 << 2;
    case 14: return AL | 0x05c00000 | n << 16 | d << 12 | imm5;
    case 15: return AL | 0x05d00000 | n << 16 | d << 12 | imm5;
    case 16: case 17: { /* STRH, LDRH */
        uint32_t offset = imm5 << 1;
        return AL | 0x01c000b0 | (t >> 11 & 1) << 20 | n << 16 | d << 12 | (offset & 0xf0) << 4 |
               (offset & 15);
    }
    case 18: return AL | 0x058d0000 | d8 << 12 | imm8 << 2; /* STR, LDR relative to r13 */
    case 19: return AL | 0x059d0000 | d8 << 12 | imm8 << 2;
    case 20: return AL | 0x028f0f00 | d8 << 12 | imm8; /* ADD to r15, r13 */
    case 21: return AL | 0x028d0f00 | d8 << 12 | imm8;
    case 22: case 23:
        switch (t >> 8 & 15) {
        case 0: return AL | (t & 0x80 ? 0x024dd000 : 0x028dd000) | 0xf00 | (t & 0x7f);
        case 4: case 5: return AL | 0x092d0000 | imm8 | (t & 0x100 ? 1 << 14 : 0);
        case 12: case 13: return AL | 0x08bd0000 | imm8 | (t & 0x100 ? 1 << 15 : 0);
        case 14: return AL | 0x01200070; /* BKPT */
        default: return UNDEFINED;
        }
    case 24: return AL | 0x08a00000 | d8 << 16 | imm8; /* STMIA, LDMIA */
    case 25: return AL | 0x08b00000 | d8 << 16 | imm8;
    case 26: case 27:
        if ((t >> 8 & 15) == 15) return AL | 0x0f000000 | imm8; /* SWI */
        return (t >> 8 & 15) == 14 ? UNDEFINED : STAYS(t);
    default: return STAYS(t); /* B, BL, BLX */
    }
}

void thumb_prepare(void)
{
    for (uint32_t t = 0; t < 1 << 16; t++) thumb_to_arm[t] = expand(t);
}
