/* The options --sim, --pcap and --record of the example programs: a simulated link in place of an interface. Needs no root. */
#ifndef SIMULATE_H
#define SIMULATE_H

#include <fluxcap.h>
#include <getopt.h>
#include <stdbool.h>
#include <string.h>

#include "program.h"

enum { OPTION_SIM = 1000, OPTION_PCAP, OPTION_RECORD, OPTION_MAC };

#define SIMULATION_OPTIONS                             \
    {"sim", no_argument, NULL, OPTION_SIM},            \
    {"pcap", required_argument, NULL, OPTION_PCAP},    \
    {"record", required_argument, NULL, OPTION_RECORD}, \
    {"mac", required_argument, NULL, OPTION_MAC}

struct simulation {
    bool wanted;
    const char *pcap;   /* the capture file to replay, or NULL */
    const char *record; /* the capture file to write, or NULL */
    uint8_t mac[6];     /* the card's Ethernet address, or 0 */
    struct fluxcap_sim *sim;
    struct fluxcap_link *link;
};

/* Takes one of the SIMULATION_OPTIONS. */
static inline void simulation_option(struct simulation *simulation, int option, const char *value)
{
    simulation->wanted = true;
    if (option == OPTION_PCAP)
        simulation->pcap = value;
    else if (option == OPTION_RECORD)
        simulation->record = value;
    else if (option == OPTION_MAC)
        mac_address(value, simulation->mac);
}

/* Makes a network with one card, `sim0`, and sets it in the config. `keep` is as in struct fluxcap_sim_nic_config. */
static inline bool simulate_link(struct simulation *simulation, struct fluxcap_config *config, uint32_t keep)
{
    struct fluxcap_sim_nic_config card = {
        .struct_size = sizeof(card),
        .name = "sim0",
        .queues = config->queue + 1,
        .keep = keep,
        .zero_copy = 1,
    };

    memcpy(card.mac, simulation->mac, sizeof(card.mac));
    if (fluxcap_sim_create(0, &simulation->sim) < 0 || fluxcap_sim_add_nic(simulation->sim, &card, &simulation->link) < 0 ||
        (simulation->record != NULL && fluxcap_sim_nic_record(simulation->link, simulation->record) < 0)) {
        print_error();
        return false;
    }
    config->link = simulation->link;
    return true;
}

/* Replays the capture file without loss; `times` 0: for ever. */
static inline bool simulate_capture(struct simulation *simulation, uint32_t queue, uint64_t times)
{
    int count = fluxcap_sim_nic_replay(simulation->link, queue, simulation->pcap, FLUXCAP_SIM_SPEED_PACED, times);

    if (count < 0) {
        print_error();
        return false;
    }
    printf("replaying %s: %d packets\n", simulation->pcap, count);
    return true;
}

static inline bool is_playing(const struct simulation *simulation)
{
    struct fluxcap_sim_nic_counters counters = {.struct_size = sizeof(counters)};

    return fluxcap_sim_nic_get_counters(simulation->link, &counters) == 0 && counters.playing;
}

/* Ends the recording and frees the network; false when the recording failed. */
static inline bool simulation_end(struct simulation *simulation)
{
    bool good = simulation->link == NULL || fluxcap_sim_nic_record_end(simulation->link) == 0;

    if (!good)
        print_error();
    fluxcap_link_free(simulation->link);
    fluxcap_sim_free(simulation->sim);
    return good;
}

#endif
