/* Two simulated links with a little traffic, and the firewall between them. */
#ifndef FIREWALL_SIM_H
#define FIREWALL_SIM_H

#include <arpa/inet.h>
#include <fluxcap.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "program.h"

enum { SIDES = 2, TIMES = 1000, DATAGRAM_LENGTH = 60 };

/* Makes two simulated links, and sets them in the configs. */
static inline bool simulate_links(struct fluxcap_config *configs, struct fluxcap_sim **sim, struct fluxcap_link **links)
{
    static const char *const names[SIDES] = {"in0", "out0"};
    bool good = fluxcap_sim_create(0, sim) == 0;

    for (int side = 0; side < SIDES && good; side++) {
        struct fluxcap_sim_nic_config card = {.struct_size = sizeof(card), .name = names[side], .zero_copy = 1};

        good = fluxcap_sim_add_nic(*sim, &card, &links[side]) == 0;
        configs[side].link = links[side];
    }
    if (!good)
        print_error();
    return good;
}

/* A UDP datagram without a checksum, which is allowed, from one address and port to another. */
static inline void datagram(uint8_t *frame, const char *from, uint16_t from_port, const char *to, uint16_t to_port)
{
    uint8_t *ip = frame + 14, *udp = ip + 20;
    const uint16_t ports[] = {htons(from_port), htons(to_port), htons(8 + 18)};

    memset(frame, 0, DATAGRAM_LENGTH);
    memcpy(frame, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0", 14);
    memcpy(ip, "\x45\0\0\x2e\0\0\0\0\x40\x11", 10);
    inet_pton(AF_INET, from, ip + 12);
    inet_pton(AF_INET, to, ip + 16);
    uint16_t checksum = htons(fluxcap_checksum(ip, 20));
    memcpy(ip + 10, &checksum, sizeof(checksum));
    memcpy(udp, ports, sizeof(ports));
}

/*
 * Sends four streams of packets, and prints how many packets of each passed. Returns how many passed in all, or UINT64_MAX if anything else
 * came out.
 */
static inline uint64_t simulate(struct fluxcap_sim *sim, struct fluxcap_link *const links[SIDES], struct fluxcap_engine *engine,
                                fluxcap_callback filter, void *user)
{
    static const struct {
        int side;
        const char *from, *to;
        uint16_t from_port, to_port;
    } streams[] = {
        {0, "10.0.0.1", "9.9.9.9", 5000, 53},
        {1, "9.9.9.9", "10.0.0.1", 53, 5000},
        {0, "192.0.2.66", "9.9.9.9", 5000, 53},
        {0, "10.0.0.1", "9.9.9.9", 5000, 54},
    };
    enum { STREAMS = sizeof(streams) / sizeof(streams[0]) };
    uint64_t through[STREAMS] = {0}, passed = 0, arrived = 0;
    uint8_t frames[STREAMS][64], frame[64];
    int result = 0;

    for (int i = 0; i < STREAMS; i++)
        datagram(frames[i], streams[i].from, streams[i].from_port, streams[i].to, streams[i].to_port);
    for (int turn = 0; turn <= TIMES && result >= 0; turn++) {
        for (int i = 0; i < STREAMS && turn < TIMES && result >= 0; i++)
            result = fluxcap_sim_nic_inject(links[streams[i].side], 0, frames[i], DATAGRAM_LENGTH);
        fluxcap_sim_settle(sim);
        if (result >= 0)
            result = fluxcap_engine_run_once(engine, filter, user);
        fluxcap_sim_settle(sim);
        for (int side = 0; side < SIDES; side++) {
            while (fluxcap_sim_nic_take_sent(links[side], frame, sizeof(frame)) == DATAGRAM_LENGTH) {
                arrived++;
                for (int i = 0; i < STREAMS; i++)
                    through[i] += streams[i].side != side && memcmp(frame, frames[i], DATAGRAM_LENGTH) == 0;
            }
        }
    }
    if (result < 0)
        print_error();
    for (int i = 0; i < STREAMS; i++) {
        printf("let through: %4" PRIu64 " of %d  UDP %s:%u > %s:%u\n", through[i], TIMES, streams[i].from, streams[i].from_port,
               streams[i].to, streams[i].to_port);
        passed += through[i];
    }
    return result >= 0 && passed == arrived ? passed : UINT64_MAX;
}

#endif
