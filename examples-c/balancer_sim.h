/* Clients and backends on a simulated link: all flows ask once, the last backend falls silent, and all flows ask again. */
#ifndef BALANCER_SIM_H
#define BALANCER_SIM_H

#include <fluxcap.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "balancer.h"
#include "simulate.h"

enum {
    FLOWS = 1000,
    ROUNDS = 2,
    FLOWS_IN_FLIGHT = 32,
    QUESTION_LENGTH = 60,
    ANSWER_LENGTH = 100, /* plus the number of the backend, so that the length tells it */
    START_MS = 3000,     /* by then the backends have answered */
    REST_MS = 6000,      /* long enough to notice that one is silent */
    STEP_MS = 500,
    MAX_IDLE_TURNS = 100,
};

struct neighbours {
    const struct fluxcap_sim *sim;
    const struct fluxcap_link *link;
    const struct balancer *balancer; /* for its addresses, and those of its backends */
    uint32_t queue, round, asked, answered, wrong, patience;
    uint64_t begin_ms;
    uint8_t served[ROUNDS][FLOWS];
};

static inline uint64_t simulated_ms(const struct neighbours *neighbours)
{
    uint64_t nanoseconds = 0;

    fluxcap_sim_get_time(neighbours->sim, &nanoseconds);
    return nanoseconds / 1000000;
}

static inline void init_neighbours(struct neighbours *neighbours, const struct simulation *simulation, uint32_t queue,
                         const struct balancer *balancer)
{
    *neighbours = (struct neighbours){
        .sim = simulation->sim,
        .link = simulation->link,
        .balancer = balancer,
        .queue = queue,
        .begin_ms = START_MS,
    };
    memset(neighbours->served, NO_BACKEND, sizeof(neighbours->served));
}

/* Writes a datagram with a checksum. */
static inline void write_udp(uint8_t *frame, uint32_t length, const uint8_t *from_mac, const uint8_t *from, uint32_t from_port,
                             const uint8_t *to_mac, const uint8_t *to, uint32_t to_port)
{
    uint8_t *ip = frame + 14, *udp = ip + 20;
    const uint16_t words[] = {htons((uint16_t)from_port), htons((uint16_t)to_port), htons((uint16_t)(length - 34))};
    const uint16_t total = htons((uint16_t)(length - 14));

    memset(frame, 0, length);
    memcpy(frame, to_mac, 6);
    memcpy(frame + 6, from_mac, 6);
    memcpy(frame + 12, "\x08\0\x45\0\0\0\0\0\0\0\x40\x11", 12);
    memcpy(ip + 2, &total, sizeof(total));
    memcpy(ip + 12, from, 4);
    memcpy(ip + 16, to, 4);
    uint16_t checksum = htons(fluxcap_checksum(ip, 20));
    memcpy(ip + 10, &checksum, sizeof(checksum));
    memcpy(udp, words, sizeof(words));
    /* The sum of the pseudo header: an unfinished checksum, as a stack leaves it to its device. */
    uint32_t sum = 17 + (length - 34);
    for (int i = 0; i < 8; i += 2)
        sum += (uint32_t)(ip[12 + i] << 8 | ip[13 + i]);
    sum = (sum & 0xffff) + (sum >> 16);
    checksum = htons((uint16_t)((sum & 0xffff) + (sum >> 16)));
    memcpy(udp + 6, &checksum, sizeof(checksum));
    fluxcap_checksum_complete(frame, length);
}

static const uint8_t client_mac[6] = {2, 0, 0, 0, 0x99, 1};

static inline void client(uint32_t flow, uint8_t ip[4])
{
    memcpy(ip, (uint8_t[]){198, 18, (uint8_t)(flow >> 8), (uint8_t)flow}, 4);
}

static inline void backend_mac(uint32_t backend, uint8_t mac[6])
{
    memcpy(mac, (uint8_t[]){2, 0, 0, 0, 0xbb, (uint8_t)backend}, 6);
}

static inline bool is_silent(const struct neighbours *neighbours, uint32_t backend)
{
    return neighbours->round == 1 && backend + 1u == neighbours->balancer->count;
}

/* A backend answers an ARP or UDP request. Returns false if the request is wrong. */
static inline bool backend_takes(struct neighbours *neighbours, uint32_t number, const uint8_t *frame, uint32_t length, bool is_arp)
{
    const struct balancer *balancer = neighbours->balancer;
    const struct backend *backend = &balancer->backends[number];
    uint8_t mac[6], reply[ANSWER_LENGTH + MAX_BACKENDS], expected[QUESTION_LENGTH];

    backend_mac(number, mac);
    if (is_silent(neighbours, number))
        return is_arp;
    if (is_arp) {
        memcpy(reply, frame, length);
        return fluxcap_arp_reply(reply, length, mac) >= 0 &&
               fluxcap_sim_nic_inject(neighbours->link, neighbours->queue, reply, length) == 0;
    }
    uint32_t port = (uint32_t)(frame[34] << 8 | frame[35]);
    write_udp(expected, QUESTION_LENGTH, balancer->mac, balancer->ip, port, mac, backend->ip, backend->port);
    if (length != QUESTION_LENGTH || memcmp(frame, expected, length) != 0)
        return false;
    length = ANSWER_LENGTH + number;
    write_udp(reply, length, mac, backend->ip, backend->port, balancer->mac, balancer->ip, port);
    return fluxcap_sim_nic_inject(neighbours->link, neighbours->queue, reply, length) == 0;
}

/* A client takes an answer. Its length tells the backend. */
static inline bool client_takes(struct neighbours *neighbours, const uint8_t *frame, uint32_t length)
{
    const struct balancer *balancer = neighbours->balancer;
    uint32_t flow = (uint32_t)(frame[32] << 8 | frame[33]), number = length - ANSWER_LENGTH;
    uint8_t ip[4], expected[ANSWER_LENGTH + MAX_BACKENDS];

    if (length < ANSWER_LENGTH || number >= balancer->count || flow >= FLOWS)
        return false;
    client(flow, ip);
    write_udp(expected, length, balancer->mac, balancer->ip, balancer->port, client_mac, ip, 40000);
    if (memcmp(frame, expected, length) != 0 || neighbours->served[neighbours->round][flow] != NO_BACKEND)
        return false;
    neighbours->served[neighbours->round][flow] = (uint8_t)number;
    neighbours->answered++;
    neighbours->patience = 0;
    return true;
}

static inline bool neighbours_take(struct neighbours *neighbours, const uint8_t *frame, uint32_t length)
{
    bool is_arp = frame[12] == 0x08 && frame[13] == 0x06;
    const uint8_t *to = frame + (is_arp ? 38 : 30);

    for (uint32_t i = 0; i < neighbours->balancer->count; i++) {
        if (memcmp(neighbours->balancer->backends[i].ip, to, 4) == 0)
            return backend_takes(neighbours, i, frame, length, is_arp);
    }
    return !is_arp && client_takes(neighbours, frame, length);
}

/* Takes what the balancer sent, and sends more requests. Returns false at the end, good or bad. */
static inline bool step_neighbours(struct neighbours *neighbours)
{
    const struct balancer *balancer = neighbours->balancer;
    uint8_t frame[2048], ip[4];
    int length, result = 0;

    fluxcap_sim_settle(neighbours->sim);
    neighbours->patience++;
    while ((length = fluxcap_sim_nic_take_sent(neighbours->link, frame, sizeof(frame))) > 0)
        neighbours->wrong += !neighbours_take(neighbours, frame, (uint32_t)length);
    if (neighbours->answered == FLOWS && neighbours->round == 0) {
        neighbours->round = 1;
        neighbours->asked = neighbours->answered = 0;
        neighbours->begin_ms = simulated_ms(neighbours) + REST_MS;
    }
    if (simulated_ms(neighbours) < neighbours->begin_ms)
        fluxcap_sim_advance(neighbours->sim, STEP_MS * UINT64_C(1000000));
    else
        while (result == 0 && neighbours->asked < FLOWS && neighbours->asked - neighbours->answered < FLOWS_IN_FLIGHT) {
            client(neighbours->asked++, ip);
            write_udp(frame, QUESTION_LENGTH, client_mac, ip, 40000, balancer->mac, balancer->ip, balancer->port);
            result = fluxcap_sim_nic_inject(neighbours->link, neighbours->queue, frame, QUESTION_LENGTH);
        }
    fluxcap_sim_settle(neighbours->sim);
    return result == 0 && neighbours->answered < FLOWS && neighbours->wrong == 0 &&
           neighbours->patience < MAX_IDLE_TURNS;
}

/* Prints the result. Returns whether every flow was answered, and no flow moved without need. */
static inline bool finish(const struct neighbours *neighbours)
{
    uint32_t last = neighbours->balancer->count - 1u, moved = 0, astray = 0, lost = 0;

    for (uint32_t flow = 0; flow < FLOWS; flow++) {
        uint8_t first = neighbours->served[0][flow], second = neighbours->served[1][flow];

        lost += second == NO_BACKEND;
        moved += first != second && first == last;
        astray += first != second && first != last;
    }
    printf("%d flows: %u of a backend that fell silent moved, %u others moved, %u were lost, %u packets wrong\n", FLOWS, moved,
           astray, lost, neighbours->wrong);
    return astray == 0 && lost == 0 && neighbours->wrong == 0;
}

#endif
