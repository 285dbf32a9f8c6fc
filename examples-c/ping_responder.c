/*
 * Answers ARP requests and pings for an address that the kernel does not know, with packets that the program owns:
 * they are received, changed in place and sent, or freed. Prints its counters on SIGUSR1 and at the end.
 *
 *     cc -O2 ping_responder.c -o ping_responder $(pkg-config --cflags --libs fluxcap)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fluxcap.h>
#include <getopt.h>
#include <inttypes.h>

#include "program.h"

enum {
    BATCH = 64,
    ETHER_TYPE_IPV4 = 0x0800,
    ETHER_TYPE_ARP = 0x0806,
    ARP_REQUEST = 1,
    PROTOCOL_ICMP = 1,
    ICMP_ECHO_REQUEST = 8,
};

/* What became of a received packet. */
enum verdict { ANSWERED_ARP, ANSWERED_ECHO, IGNORED, BAD_CHECKSUM, VERDICTS };

struct responder {
    struct fluxcap_raw *raw;
    uint8_t mac[6];
    uint8_t address[4];
    uint64_t received;
    uint64_t verdicts[VERDICTS];
    uint64_t no_room; /* answers that the TX ring had no room for, for too long */
};

static bool is_ours(const struct responder *responder, const struct fluxcap_ethernet_header *ethernet)
{
    return memcmp(ethernet->destination, responder->mac, sizeof(responder->mac)) == 0;
}

static bool is_broadcast(const struct fluxcap_ethernet_header *ethernet)
{
    static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    return memcmp(ethernet->destination, all, sizeof(all)) == 0;
}

/* Turns an ARP request for our address into the reply. */
static enum verdict answer_arp(const struct responder *responder, const struct fluxcap_packet *packet)
{
    struct fluxcap_arp_header arp;
    int offset = fluxcap_ethernet_header_parse(packet->data, packet->len, &(struct fluxcap_ethernet_header){{0}, {0}, 0});

    if (fluxcap_arp_header_parse(packet->data + offset, packet->len - (uint32_t)offset, &arp) < 0 ||
        arp.operation != ARP_REQUEST || memcmp(arp.target_ip, responder->address, sizeof(arp.target_ip)) != 0)
        return IGNORED;
    return fluxcap_arp_reply(packet->data, packet->len, responder->mac) < 0 ? IGNORED : ANSWERED_ARP;
}
