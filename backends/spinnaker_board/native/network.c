/* Multicast and fixed-route packets: from a core through the routers to cores. */
#include "machine.h"
#include <stdlib.h>
#include <string.h>

enum { COUNT_MULTICAST = 0, COUNT_FIXED_ROUTE = 6, COUNT_DROPPED = 8 }; /* diagnostic counters */
enum { MAX_TREE = 4096, STACK = 64 }; /* chips that a packet may visit: more is a loop of routes */

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

/* Insert by arrival, then sender, so that the order does not depend on that of the calls. */
void insert(Queue *q, const Packet *packet)
{
    if (q->head == q->tail) q->head = q->tail = 0;
    Packet *at = make_room(q), *first = q->packets + q->head;
    while (at > first && (at[-1].arrival > packet->arrival ||
                          (at[-1].arrival == packet->arrival && at[-1].order > packet->order))) {
        *at = at[-1];
        at--;
    }
    *at = *packet;
}

/* The route of the first entry that matches (links in bits 0-5, cores above), or -1. */
static int32_t route_of(const Chip *chip, uint32_t key)
{
    for (uint32_t i = 0; i < chip->n_routes; i++)
        if ((key & chip->mask[i]) == chip->key[i] && chip->route[i] < 0xff000000u)
            return chip->route[i] & 0xffffff;
    return -1;
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
    int n = 1, visited = 0;
    c->sent++;
    source->router[0x300 / 4 + (fixed ? COUNT_FIXED_ROUTE : COUNT_MULTICAST)]++;
    while (n && visited++ < MAX_TREE) {
        const Chip *chip = stack[--n].chip;
        int from = stack[n].from;
        int32_t route = fixed ? (int32_t)(chip->fixed_route & 0xffffff) : route_of(chip, key);
        if (route < 0) {
            if (from < 0) { /* no entry at the source: dropped */
                source->router[0x300 / 4 + COUNT_DROPPED]++;
                return;
            }
            route = 1 << (from + 3) % N_LINKS; /* default route: straight on */
        }
        for (int link = 0; link < N_LINKS; link++)
            if (route >> link & 1 && chip->neighbour[link] >= 0 && n < STACK) {
                stack[n].chip = &m->chip[chip->neighbour[link]];
                stack[n++].from = (link + 3) % N_LINKS;
            }
        for (int p = 0; route >> N_LINKS >> p; p++)
            if (route >> N_LINKS >> p & 1) {
                packet.target = chip->index * N_CORES + p;
                if (chip == source) insert(&source->queue, &packet);
                else {
                    Packet far = packet;
                    far.arrival = c->time + WINDOW;
                    push(source->out, &far);
                }
            }
    }
}
