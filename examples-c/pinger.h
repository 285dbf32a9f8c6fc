/* A neighbour on a simulated link: resolves an address by ARP, pings it, and checks every answer. */
#ifndef PINGER_H
#define PINGER_H

#include <fluxcap.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "program.h"

enum {
    PINGS = 10000,
    PINGS_IN_FLIGHT = 64,
    MAX_IDLE_TURNS = 1000, /* turns without an answer */
    PING_HEADERS = 14 + 20 + 8,
    PING_SHORT = 56,  /* bytes behind the headers, as ping sends */
    PING_LONG = 1400, /* every hundredth */
};

struct pinger {
    const struct fluxcap_link *link;
    uint32_t queue;
    uint8_t address[4]; /* whom to ping */
    uint8_t mac[6];     /* learned by ARP */
    bool asked, resolved;
    uint32_t sent, answered, wrong;
    uint32_t patience;
};

static const uint8_t pinger_mac[6] = {0x02, 0, 0, 0, 0x99, 0x01};
static const uint8_t pinger_address[4] = {10, 111, 0, 1};

static inline uint8_t *put(uint8_t *at, const void *bytes, size_t length)
{
    memcpy(at, bytes, length);
    return at + length;
}

static inline uint8_t *put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static inline uint32_t arp_request(const struct pinger *pinger, uint8_t *frame)
{
    static const uint8_t unknown[6] = {0}, ethernet_and_ipv4[6] = {0, 1, 0x08, 0x00, 6, 4};
    uint8_t *at = frame;

    memset(frame, 0xff, 6);
    at = put16(put(at + 6, pinger_mac, 6), 0x0806);
    at = put16(put(at, ethernet_and_ipv4, 6), 1);
    at = put(put(at, pinger_mac, 6), pinger_address, 4);
    at = put(put(at, unknown, 6), pinger->address, 4);
    memset(at, 0, (size_t)(frame + 60 - at));
    return 60;
}

static inline uint32_t echo_request(const struct pinger *pinger, uint32_t number, uint8_t *frame)
{
    uint32_t payload = number % 100 == 99 ? PING_LONG : PING_SHORT;
    uint8_t *ip = put16(put(put(frame, pinger->mac, 6), pinger_mac, 6), 0x0800);
    uint8_t *icmp = ip + 20;

    memset(ip, 0, PING_HEADERS - 14);
    ip[0] = 0x45;
    put16(ip + 2, PING_HEADERS - 14 + payload);
    put16(ip + 4, number);
    ip[8] = 64; /* TTL */
    ip[9] = 1;  /* ICMP */
    put(put(ip + 12, pinger_address, 4), pinger->address, 4);
    put16(ip + 10, fluxcap_checksum(ip, 20));
    icmp[0] = 8; /* echo request */
    put16(icmp + 4, 0x5050);
    put16(icmp + 6, number);
    for (uint32_t i = 0; i < payload; i++)
        icmp[8 + i] = (uint8_t)(number + i);
    put16(icmp + 2, fluxcap_checksum(icmp, 8 + payload));
    return PING_HEADERS + payload;
}

static inline void take_arp_reply(struct pinger *pinger, const uint8_t *frame, uint32_t length)
{
    struct fluxcap_arp_header arp;

    if (length < 60 || fluxcap_arp_header_parse(frame + 14, length - 14, &arp) < 0 || arp.operation != 2 ||
        memcmp(frame, pinger_mac, 6) != 0 || memcmp(arp.sender_ip, pinger->address, 4) != 0 ||
        memcmp(arp.target_mac, pinger_mac, 6) != 0 || memcmp(arp.target_ip, pinger_address, 4) != 0) {
        pinger->wrong++;
        return;
    }
    memcpy(pinger->mac, arp.sender_mac, 6);
    pinger->resolved = true;
}

/* Answers come in the order of the requests. */
static inline void take_echo_reply(struct pinger *pinger, const uint8_t *frame, uint32_t length)
{
    uint8_t request[PING_HEADERS + PING_LONG];
    struct fluxcap_ethernet_header ethernet;
    struct fluxcap_ipv4_header ipv4;
    struct fluxcap_icmp_echo_header echo;
    uint32_t wanted = echo_request(pinger, pinger->answered, request);

    if (length != wanted || fluxcap_ethernet_header_parse(frame, length, &ethernet) < 0 ||
        memcmp(ethernet.destination, pinger_mac, 6) != 0 || memcmp(ethernet.source, pinger->mac, 6) != 0 ||
        fluxcap_ipv4_header_parse(frame + 14, length - 14, &ipv4) < 0 || !ipv4.checksum_ok ||
        memcmp(ipv4.source, pinger->address, 4) != 0 || memcmp(ipv4.destination, pinger_address, 4) != 0 ||
        fluxcap_icmp_echo_header_parse(frame + 34, length - 34, &echo) < 0 || !echo.checksum_ok ||
        echo.icmp_type != 0 || echo.identifier != 0x5050 || echo.sequence != pinger->answered ||
        memcmp(frame + PING_HEADERS, request + PING_HEADERS, length - PING_HEADERS) != 0)
        pinger->wrong++;
    else
        pinger->answered++;
}

/* Takes the answers, and sends more pings. Returns false at the end, good or bad. */
static inline bool ping(struct pinger *pinger)
{
    uint8_t frame[2048];
    int length;

    pinger->patience++;
    while ((length = fluxcap_sim_nic_take_sent(pinger->link, frame, sizeof(frame))) > 0) {
        if (pinger->resolved)
            take_echo_reply(pinger, frame, (uint32_t)length);
        else
            take_arp_reply(pinger, frame, (uint32_t)length);
        pinger->patience = 0;
    }
    int result = length;
    if (!pinger->asked) {
        result = fluxcap_sim_nic_inject(pinger->link, pinger->queue, frame, arp_request(pinger, frame));
        pinger->asked = true;
    }
    while (result == 0 && pinger->resolved && pinger->sent < PINGS &&
           pinger->sent - pinger->answered < PINGS_IN_FLIGHT) {
        result = fluxcap_sim_nic_inject(pinger->link, pinger->queue, frame, echo_request(pinger, pinger->sent, frame));
        pinger->sent++;
    }
    if (result < 0)
        print_error();
    return result == 0 && pinger->answered < PINGS && pinger->wrong == 0 && pinger->patience < MAX_IDLE_TURNS;
}

/* Prints the result. Returns whether every ping was answered. */
static inline bool pinged(const struct pinger *pinger)
{
    printf("pinged %u times, %u answered, %u answers wrong\n", pinger->sent, pinger->answered, pinger->wrong);
    return pinger->answered == PINGS && pinger->wrong == 0;
}

#endif
