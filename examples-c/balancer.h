/* The load balancer: sessions, backends, and what it does with each packet. load_balancer_system.c explains its full NAT. */
#ifndef BALANCER_H
#define BALANCER_H

#include <arpa/inet.h>
#include <fluxcap.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_BACKENDS = 64,
    BUCKETS = 4096, /* of flows; each belongs to a backend */
    NO_BACKEND = 0xff,
    FIRST_PORT = 32768, /* of the ports that stand for flows */
    SETS = 7168,
    WAYS = 4,
    SESSIONS = SETS * WAYS,
    IDLE_MS = 60000,       /* a session without packets for so long may be replaced */
    PROBE_INTERVAL = 1000, /* milliseconds between two ARP requests to a backend */
    PROBE_LENGTH = 60,
};

struct backend {
    uint8_t ip[4], mac[6];
    uint16_t port;
    bool found, up;
    uint64_t seen; /* time of the last packet from it, in milliseconds */
    uint64_t flows, to, from;
};

/* A flow of a client. Its index in the array gives the port under which a backend knows it. */
struct session {
    bool used;
    uint8_t ip[4], mac[6], protocol, backend;
    uint16_t port;
    uint64_t seen;
};

struct balancer {
    uint8_t ip[4], mac[6];
    uint16_t port;
    struct backend backends[MAX_BACKENDS];
    uint8_t count;
    uint8_t buckets[BUCKETS];
    struct session *sessions;
    uint64_t down_after, probed;
    bool has_probed;
    uint64_t moved, arp_answered, no_backend, no_room, ignored;
};

/* Numbers that look random (SplitMix64). */
static inline uint64_t mix(uint64_t number)
{
    number += 0x9e3779b97f4a7c15;
    number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
    number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
    return number ^ (number >> 31);
}

/*
 * Rendezvous hashing: each backend has a score for each bucket, which depends on the two alone; the backend with the highest score of those
 * that are up gets the bucket. When a backend goes down, only its own buckets move.
 */
static inline void assign_buckets(struct balancer *balancer)
{
    for (uint64_t bucket = 0; bucket < BUCKETS; bucket++) {
        uint64_t best = 0;

        balancer->buckets[bucket] = NO_BACKEND;
        for (uint8_t i = 0; i < balancer->count; i++) {
            const struct backend *backend = &balancer->backends[i];
            uint64_t name = (uint64_t)backend->ip[0] << 40 | (uint64_t)backend->ip[1] << 32 | (uint64_t)backend->ip[2] << 24 |
                            (uint64_t)backend->ip[3] << 16 | backend->port;
            uint64_t bid = mix(mix(name) ^ mix(bucket));

            if (backend->up && (balancer->buckets[bucket] == NO_BACKEND || bid > best)) {
                balancer->buckets[bucket] = i;
                best = bid;
            }
        }
    }
}

/* Finds or makes the session of a flow. Returns NULL if all entries of its set are in use. */
static inline struct session *find_session(struct balancer *balancer, const uint8_t *ip, uint16_t port, uint8_t protocol,
                                           uint64_t hash, uint64_t now)
{
    struct session *set = balancer->sessions + (hash >> 32) % SETS * WAYS, *free_place = NULL;

    for (int way = 0; way < WAYS; way++) {
        struct session *session = &set[way];

        if (session->used && session->port == port && session->protocol == protocol && memcmp(session->ip, ip, 4) == 0)
            return session;
        if (free_place == NULL && (!session->used || now - session->seen >= IDLE_MS))
            free_place = session;
    }
    if (free_place != NULL) {
        *free_place = (struct session){.used = true, .protocol = protocol, .backend = NO_BACKEND, .port = port};
        memcpy(free_place->ip, ip, 4);
    }
    return free_place;
}

/* Rewrites MAC and IP addresses and ports, and adjusts the checksums. */
static inline bool rewrite_addresses(struct balancer *balancer, uint8_t *data, uint32_t length, uint16_t from_port, const uint8_t *to_mac,
                             const uint8_t *to_ip, uint16_t to_port)
{
    struct fluxcap_rewrite rewrite = {
        .struct_size = sizeof(rewrite),
        .change = FLUXCAP_REWRITE_SOURCE_MAC | FLUXCAP_REWRITE_DESTINATION_MAC | FLUXCAP_REWRITE_SOURCE_IP |
                  FLUXCAP_REWRITE_DESTINATION_IP | FLUXCAP_REWRITE_SOURCE_PORT | FLUXCAP_REWRITE_DESTINATION_PORT,
        .ip_version = 4,
        .source_port = from_port,
        .destination_port = to_port,
    };

    memcpy(rewrite.source_mac, balancer->mac, 6);
    memcpy(rewrite.destination_mac, to_mac, 6);
    memcpy(rewrite.source_ip, balancer->ip, 4);
    memcpy(rewrite.destination_ip, to_ip, 4);
    return fluxcap_rewrite_apply(&rewrite, data, length) == 0;
}

/* Turns a packet of a client into one for its backend. Returns false if it has none. */
static inline bool pass_to_backend(struct balancer *balancer, uint8_t *data, uint32_t length, const uint8_t *client_ip,
                                   uint16_t client_port, uint8_t protocol, uint64_t now)
{
    uint64_t hash = mix((uint64_t)client_ip[0] << 48 | (uint64_t)client_ip[1] << 40 | (uint64_t)client_ip[2] << 32 |
                        (uint64_t)client_ip[3] << 24 | (uint64_t)client_port << 8 | protocol);
    struct session *session = find_session(balancer, client_ip, client_port, protocol, hash, now);

    if (session == NULL) {
        balancer->no_room++;
        return false;
    }
    session->seen = now;
    memcpy(session->mac, data + 6, 6);
    if (session->backend == NO_BACKEND || !balancer->backends[session->backend].up) {
        uint8_t chosen = balancer->buckets[hash % BUCKETS];

        if (chosen == NO_BACKEND) {
            balancer->no_backend++;
            return false;
        }
        balancer->moved += session->backend != NO_BACKEND;
        balancer->backends[chosen].flows++;
        session->backend = chosen;
    }
    struct backend *backend = &balancer->backends[session->backend];
    uint16_t port = (uint16_t)(FIRST_PORT + (session - balancer->sessions));
    if (!rewrite_addresses(balancer, data, length, port, backend->mac, backend->ip, backend->port)) {
        balancer->ignored++;
        return false;
    }
    backend->to++;
    return true;
}

/* Turns a packet of a backend, to one of our ports, into one for the client. Returns false if it belongs to no session. */
static inline bool pass_to_client(struct balancer *balancer, uint8_t *data, uint32_t length, const uint8_t *backend_ip,
                                  uint16_t backend_port, uint16_t our_port, uint8_t protocol, uint64_t now)
{
    struct session *session = &balancer->sessions[our_port - FIRST_PORT];
    struct backend *backend = balancer->backends;

    if (!session->used || session->backend == NO_BACKEND) {
        balancer->ignored++;
        return false;
    }
    backend += session->backend;
    if (session->protocol != protocol || backend->port != backend_port ||
        memcmp(backend->ip, backend_ip, 4) != 0 ||
        !rewrite_addresses(balancer, data, length, balancer->port, session->mac, session->ip, session->port)) {
        balancer->ignored++;
        return false;
    }
    session->seen = backend->seen = now;
    backend->from++;
    return true;
}

/* Answers ARP requests for the service, and learns the addresses of backends. Returns whether there is an answer to send. */
static inline bool handle_arp(struct balancer *balancer, uint8_t *data, uint32_t length, uint64_t now)
{
    struct fluxcap_arp_header arp;

    if (fluxcap_arp_header_parse(data + 14, length - 14, &arp) < 0 || memcmp(arp.target_ip, balancer->ip, 4) != 0) {
        balancer->ignored++;
        return false;
    }
    for (uint8_t i = 0; i < balancer->count; i++) {
        struct backend *backend = &balancer->backends[i];

        if (memcmp(backend->ip, arp.sender_ip, 4) == 0) {
            memcpy(backend->mac, arp.sender_mac, 6);
            backend->found = true;
            backend->seen = now;
        }
    }
    bool good = arp.operation == 1 && fluxcap_arp_reply(data, length, balancer->mac) >= 0;
    balancer->arp_answered += good;
    return good;
}

/* Turns a packet into the one to send in its place. Returns false if there is none. */
static inline bool balance(struct balancer *balancer, uint8_t *data, uint32_t length, uint64_t now)
{
    struct fluxcap_ethernet_header ethernet;
    struct fluxcap_ipv4_header ipv4;
    int header;

    if (fluxcap_ethernet_header_parse(data, length, &ethernet) < 0) {
        balancer->ignored++;
        return false;
    }
    if (ethernet.ether_type == 0x0806)
        return handle_arp(balancer, data, length, now);
    if (ethernet.ether_type != 0x0800 || memcmp(ethernet.destination, balancer->mac, 6) != 0 ||
        (header = fluxcap_ipv4_header_parse(data + 14, length - 14, &ipv4)) < 0 ||
        memcmp(ipv4.destination, balancer->ip, 4) != 0 || (ipv4.protocol != 6 && ipv4.protocol != 17) ||
        ipv4.more_fragments || ipv4.fragment_offset != 0 || ipv4.total_length < header + 4) {
        balancer->ignored++;
        return false;
    }
    /* TCP and UDP headers both begin with the ports. */
    const uint8_t *ports = data + 14 + header;
    uint16_t from = (uint16_t)(ports[0] << 8 | ports[1]), to = (uint16_t)(ports[2] << 8 | ports[3]);
    /* A sender on the same machine leaves the checksum to its device. */
    fluxcap_checksum_complete(data, length);
    if (to == balancer->port)
        return pass_to_backend(balancer, data, length, ipv4.source, from, ipv4.protocol, now);
    if (to >= FIRST_PORT && to < FIRST_PORT + SESSIONS)
        return pass_to_client(balancer, data, length, ipv4.source, from, to, ipv4.protocol, now);
    balancer->ignored++;
    return false;
}

/* Updates which backends are up, and which flows they get. Returns whether it is time for the next ARP requests. */
static inline bool update_backends(struct balancer *balancer, uint64_t now)
{
    bool changed = false;

    for (uint8_t i = 0; i < balancer->count; i++) {
        struct backend *backend = &balancer->backends[i];
        bool up = backend->found && now - backend->seen < balancer->down_after;

        if (up != backend->up)
            printf("%u.%u.%u.%u:%u is %s\n", backend->ip[0], backend->ip[1], backend->ip[2], backend->ip[3], backend->port,
                   up ? "up" : "down");
        changed |= up != backend->up;
        backend->up = up;
    }
    if (changed)
        assign_buckets(balancer);
    bool due = !balancer->has_probed || now - balancer->probed >= PROBE_INTERVAL;
    if (due) {
        balancer->probed = now;
        balancer->has_probed = true;
    }
    return due;
}

/* An ARP request for a backend. */
static inline void write_probe(const struct balancer *balancer, const struct backend *backend, uint8_t frame[PROBE_LENGTH])
{
    memset(frame, 0, PROBE_LENGTH);
    memset(frame, 0xff, 6);
    memcpy(frame + 6, balancer->mac, 6);
    memcpy(frame + 12, "\x08\x06\0\x01\x08\0\x06\x04\0\x01", 10);
    memcpy(frame + 22, balancer->mac, 6);
    memcpy(frame + 28, balancer->ip, 4);
    memcpy(frame + 38, backend->ip, 4);
}

static inline void print_balancer(const struct balancer *balancer, uint64_t now)
{
    printf("%-22s %-5s %8s %12s %12s  last seen\n", "backend", "state", "flows", "packets to", "from");
    for (uint8_t i = 0; i < balancer->count; i++) {
        const struct backend *backend = &balancer->backends[i];
        char name[32];

        snprintf(name, sizeof(name), "%u.%u.%u.%u:%u", backend->ip[0], backend->ip[1], backend->ip[2], backend->ip[3],
                 backend->port);
        printf("%-22s %-5s %8" PRIu64 " %12" PRIu64 " %12" PRIu64 "  ", name, backend->up ? "up" : "down", backend->flows,
               backend->to, backend->from);
        if (backend->found)
            printf("%.1f s ago\n", (double)(now - backend->seen) / 1000);
        else
            printf("never\n");
    }
    printf("flows moved %" PRIu64 ", ARP answered %" PRIu64 "\ndropped: no backend %" PRIu64 ", no room for a session %" PRIu64
           ", ignored %" PRIu64 "\n",
           balancer->moved, balancer->arp_answered, balancer->no_backend, balancer->no_room, balancer->ignored);
}

#endif
