/* Multicast and fixed-route packets: from a core through the routers to cores. */
#include "machine.h"
#include <stdlib.h>
#include <string.h>

enum { COUNT_MULTICAST = 0, COUNT_FIXED_ROUTE = 6, COUNT_DROPPED = 8 }; /* diagnostic counters */
enum { STACK = 64 };

/* Room for one more packet at the end. */
static Packet *make_room(Queue *q)
{
    if (q->tail == q->capacity) {
        if (q->head > q->capacity / 2) {
            memmove(q->packets, q->packets + q->head, (q->tail - q->head) * sizeof(Packet));
            q->tail -= q->head;
            q->head = 0;
        } else {
            q->capacity = q->capacity ? 2 * q->capacity : 64;
            q->packets = realloc(q->packets, q->capacity * sizeof(Packet));
            if (!q->packets) abort();
        }
    }
    return &q->packets[q->tail++];
}

void push(Queue *q, const Packet *packet)
{
    if (q->head == q->tail) q->head = q->tail = 0;
    *make_room(q) = *packet;
}

/* By arrival, then sender, so that the order does not depend on that of the calls. */
static bool before(const Packet *a, const Packet *b)
{
    if (a->arrival != b->arrival) return a->arrival < b->arrival;
    return a->order != b->order ? a->order < b->order : a->target < b->target;
}

/* Put a packet into a heap, of which the first comes first. */
void insert(Queue *q, const Packet *packet)
{
    make_room(q);
    uint32_t at = q->tail - 1;
    for (; at && before(packet, &q->packets[(at - 1) / 2]); at = (at - 1) / 2)
        q->packets[at] = q->packets[(at - 1) / 2];
    q->packets[at] = *packet;
}

Packet take_first(Queue *q)
{
    Packet first = q->packets[0], *last = &q->packets[--q->tail];
    uint32_t at = 0, child;
    for (; (child = 2 * at + 1) < q->tail; at = child) {
        if (child + 1 < q->tail && before(&q->packets[child + 1], &q->packets[child])) child++;
        if (!before(&q->packets[child], last)) break;
        q->packets[at] = q->packets[child];
    }
    q->packets[at] = *last;
    return first;
}

/* The route of the first entry that matches (links in bits 0-5, cores above), or -1. */
static int32_t route_of(const Chip *chip, uint32_t key)
{
    for (uint32_t i = 0; i < chip->n_routes; i++)
        if ((key & chip->mask[i]) == chip->key[i] && chip->route[i] < 0xff000000u)
            return chip->route[i] & 0xffffff;
    return -1;
}

/* Whether a core may send on: not without end, as the host's memory has one. */
static bool may_send(Core *c)
{
    if (c->time / WINDOW != c->window) {
        c->window = c->time / WINDOW;
        c->copies = 0;
    }
    return c->copies < MOST_COPIES;
}

/* A packet that gets no farther: counted for the core that sent it or should have taken it. */
void drop(Chip *chip, Core *c)
{
    chip->router[0x300 / 4 + COUNT_DROPPED]++;
    c->lost++;
}

/* To cores of its own chip after a microsecond, to others after a window of virtual time: no chip
 * influences another within a window, so that chips can run on several threads. */
void send_packet(Core *c, uint32_t key, bool fixed)
{
    Chip *source = c->chip;
    Machine *m = c->machine;
    Packet packet = {c->time + CYCLES_PER_US, (uint64_t)c->index << 40 | c->sent, 0, key, c->cc_data,
                     c->cc_payload || c->cc_control & 0x20000, fixed};
    struct { const Chip *chip; int from; } stack[STACK] = {{source, -1}};
    uint8_t seen[m->n_chips]; /* from which links it came to each chip: again, and routes loop */
    int n = 1;
    memset(seen, 0, m->n_chips);
    c->sent++;
    source->router[0x300 / 4 + (fixed ? COUNT_FIXED_ROUTE : COUNT_MULTICAST)]++;
    if (!may_send(c)) {
        drop(source, c);
        return;
    }
    while (n) {
        const Chip *chip = stack[--n].chip;
        int from = stack[n].from;
        int32_t route = fixed ? (int32_t)(chip->fixed_route & 0xffffff) : route_of(chip, key);
        if (route < 0) {
            if (from < 0) { /* no entry at the source: nobody wants it */
                source->router[0x300 / 4 + COUNT_DROPPED]++;
                return;
            }
            route = 1 << (from + 3) % N_LINKS; /* default route: straight on */
        }
        for (int link = 0; link < N_LINKS; link++) {
            if (!(route >> link & 1) || chip->neighbour[link] < 0) continue;
            int back = (link + 3) % N_LINKS;
            uint8_t *known = &seen[chip->neighbour[link]];
            if (n == STACK || *known >> back & 1) {
                drop(source, c);
                continue;
            }
            *known |= 1 << back;
            stack[n].chip = &m->chip[chip->neighbour[link]];
            stack[n++].from = back;
        }
        for (int p = 0; route >> N_LINKS >> p; p++)
            if (route >> N_LINKS >> p & 1) {
                packet.target = chip->index * N_CORES + p;
                c->copies++;
                if (chip == source) insert(&source->queue, &packet);
                else {
                    Packet far = packet;
                    far.arrival = c->time + WINDOW;
                    push(source->out, &far);
                }
            }
    }
}
