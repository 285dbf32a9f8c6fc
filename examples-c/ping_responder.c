/* cc -O2 ping_responder.c -o ping_responder $(pkg-config --cflags --libs fluxcap) */

/*
 * Answers ARP requests and pings for an IP address that the kernel does not have (mode C, with owned packets): each packet is received,
 * and then either changed in place and sent, or freed. Prints its counters on SIGUSR1 and at its end.
 *
 * Opens a socket on each queue of the interface, or on the one that -q names; one thread serves all queues.
 *
 * --sim needs no root and no network: it answers a neighbour on a simulated link.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fluxcap.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>

#include "pinger.h"
#include "program.h"
#include "simulate.h"

enum {
    BATCH = 64,
    ETHERNET_LENGTH = 14,
    ETHER_TYPE_IPV4 = 0x0800,
    ETHER_TYPE_ARP = 0x0806,
    ARP_REQUEST = 1,
    PROTOCOL_ICMP = 1,
    ICMP_ECHO_REQUEST = 8,
};

/* What becomes of a received packet. */
enum verdict { ANSWERED_ARP, ANSWERED_ECHO, IGNORED, BAD_CHECKSUM, VERDICTS };

struct responder {
    struct fluxcap_raw *raws[MAX_QUEUES];
    uint32_t count;
    struct fluxcap_raw *raw; /* the socket whose packets are being answered */
    struct simulation simulation;
    struct pinger pinger;
    uint8_t mac[6];
    uint8_t address[4];
    uint64_t received;
    uint64_t verdicts[VERDICTS];
    uint64_t unsent; /* answers that the TX ring had no room for */
};

/* Turns an ARP request for our address into the reply. */
static enum verdict answer_arp(const struct responder *responder, const struct fluxcap_packet *packet)
{
    struct fluxcap_arp_header arp;

    if (fluxcap_arp_header_parse(packet->data + ETHERNET_LENGTH, packet->len - ETHERNET_LENGTH, &arp) < 0 ||
        arp.operation != ARP_REQUEST || memcmp(arp.target_ip, responder->address, sizeof(arp.target_ip)) != 0)
        return IGNORED;
    return fluxcap_arp_reply(packet->data, packet->len, responder->mac) < 0 ? IGNORED : ANSWERED_ARP;
}

/* Turns an ICMP echo request to our address into the reply. */
static enum verdict answer_ipv4(const struct responder *responder, const struct fluxcap_packet *packet)
{
    const uint8_t *data = packet->data + ETHERNET_LENGTH;
    struct fluxcap_ipv4_header ipv4;
    struct fluxcap_icmp_echo_header echo;

    int header_length = fluxcap_ipv4_header_parse(data, packet->len - ETHERNET_LENGTH, &ipv4);
    if (header_length < 0)
        return IGNORED;
    if (!ipv4.checksum_ok)
        return BAD_CHECKSUM;
    if (memcmp(ipv4.destination, responder->address, sizeof(ipv4.destination)) != 0 ||
        ipv4.protocol != PROTOCOL_ICMP || ipv4.more_fragments || ipv4.fragment_offset != 0)
        return IGNORED;
    /* Bytes behind total_length are padding. */
    if (fluxcap_icmp_echo_header_parse(data + header_length, ipv4.total_length - (size_t)header_length, &echo) < 0 ||
        echo.icmp_type != ICMP_ECHO_REQUEST)
        return IGNORED;
    if (!echo.checksum_ok)
        return BAD_CHECKSUM;
    return fluxcap_icmp_echo_reply(packet->data, packet->len) < 0 ? IGNORED : ANSWERED_ECHO;
}

static enum verdict answer(const struct responder *responder, const struct fluxcap_packet *packet)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct fluxcap_ethernet_header ethernet;

    if (fluxcap_ethernet_header_parse(packet->data, packet->len, &ethernet) < 0)
        return IGNORED;
    bool to_us = memcmp(ethernet.destination, responder->mac, sizeof(responder->mac)) == 0;
    bool to_all = memcmp(ethernet.destination, broadcast, sizeof(broadcast)) == 0;
    if (ethernet.ether_type == ETHER_TYPE_ARP && (to_us || to_all))
        return answer_arp(responder, packet);
    if (ethernet.ether_type == ETHER_TYPE_IPV4 && to_us)
        return answer_ipv4(responder, packet);
    return IGNORED;
}

/* Wakes the kernel to send. While the link is down the packets stay in the ring. */
static int wake_tx(struct responder *responder)
{
    int result = fluxcap_raw_wake_tx(responder->raw);

    return result == -ENETDOWN ? 0 : result;
}

/* Sends the answers. After some retries it drops and counts those that the TX ring has no room for. */
static int send_all(struct responder *responder, struct fluxcap_packet *answers, uint32_t count)
{
    uint32_t done = 0;
    int result = 0;

    for (int tries = 0; done < count && tries < 10; tries++) {
        if (tries > 0)
            fluxcap_raw_wait(responder->raw, FLUXCAP_WAIT_SEND, 1);
        result = fluxcap_raw_send(responder->raw, answers + done, count - done);
        if (result < 0)
            break;
        done += (uint32_t)result;
        result = wake_tx(responder);
        if (result < 0)
            break;
        fluxcap_raw_reap(responder->raw);
    }
    responder->unsent += count - done;
    if (result < 0)
        print_error(); /* before the next call that may fail */
    fluxcap_packets_free(answers + done, count - done);
    return result;
}

/* Answers up to a batch of packets. Returns how many there were. */
static int answer_batch(struct responder *responder)
{
    struct fluxcap_packet received[BATCH], answers[BATCH], others[BATCH];
    uint32_t answered = 0, left = 0;

    int count = fluxcap_raw_recv(responder->raw, received, BATCH);
    if (count < 0) {
        print_error();
        return count;
    }
    for (int i = 0; i < count; i++) {
        enum verdict verdict = answer(responder, &received[i]);

        responder->verdicts[verdict]++;
        /* Packets may be copied as long as only the copy is used from then on. */
        if (verdict == ANSWERED_ARP || verdict == ANSWERED_ECHO)
            answers[answered++] = received[i];
        else
            others[left++] = received[i];
    }
    responder->received += (uint32_t)count;
    fluxcap_packets_free(others, left);
    int result = send_all(responder, answers, answered);
    return result < 0 ? result : count;
}

/* Sums up the statistics of all sockets. */
static bool count_all(const struct responder *responder, struct fluxcap_statistics *sum)
{
    memset(sum, 0, sizeof(*sum));
    for (uint32_t i = 0; i < responder->count; i++) {
        struct fluxcap_statistics one = {.struct_size = sizeof(one)};

        if (fluxcap_raw_get_statistics(responder->raws[i], &one) < 0)
            return false;
        sum->rx_dropped += one.rx_dropped;
        sum->rx_ring_full += one.rx_ring_full;
        sum->rx_fill_ring_empty_descs += one.rx_fill_ring_empty_descs;
        sum->rx_invalid_descs += one.rx_invalid_descs;
        sum->tx_invalid_descs += one.tx_invalid_descs;
    }
    return true;
}

static void print_counters(const struct responder *responder)
{
    struct fluxcap_statistics kernel;
    struct fluxcap_program_counters program = {.struct_size = sizeof(program)};
    const uint64_t *verdicts = responder->verdicts;

    printf("received %" PRIu64 ": ARP answered %" PRIu64 ", echo answered %" PRIu64 ", ignored %" PRIu64
           ", bad checksum %" PRIu64 "; answers not sent %" PRIu64 "\n",
           responder->received, verdicts[ANSWERED_ARP], verdicts[ANSWERED_ECHO], verdicts[IGNORED],
           verdicts[BAD_CHECKSUM], responder->unsent);
    if (count_all(responder, &kernel))
        printf("kernel: dropped %" PRIu64 ", RX ring full %" PRIu64 ", fill ring empty %" PRIu64
               ", invalid descriptors %" PRIu64 "\n",
               kernel.rx_dropped, kernel.rx_ring_full, kernel.rx_fill_ring_empty_descs,
               kernel.rx_invalid_descs + kernel.tx_invalid_descs);
    if (fluxcap_raw_get_program_counters(responder->raws[0], &program) == 0)
        printf("program: redirected %" PRIu64 ", passed on %" PRIu64 ", dropped %" PRIu64 "\n", program.redirect,
               program.pass, program.drop);
    for (uint32_t i = 0; i < responder->count; i++)
        print_text(responder->raws[i], fluxcap_raw_format_rings);
    fflush(stdout);
}

/* Moves the packets of the simulated link, from a capture file or a neighbour. Returns false when no more will come. */
static bool simulate(struct responder *responder)
{
    struct simulation *simulation = &responder->simulation;
    bool more = simulation->pcap != NULL ? is_playing(simulation) : ping(&responder->pinger);

    fluxcap_sim_settle(simulation->sim);
    return more;
}

/* Answers a batch of each socket. Returns how many packets there were, or a negative errno. */
static int answer_all(struct responder *responder)
{
    int handled = 0;

    for (uint32_t i = 0; i < responder->count; i++) {
        responder->raw = responder->raws[i];
        int count = answer_batch(responder);
        if (count < 0)
            return count;
        handled += count;
        /* The frames of sent answers go back to the fill ring. */
        fluxcap_raw_refill(responder->raw);
        int result = fluxcap_raw_wake_rx(responder->raw);
        if (result < 0 && result != -ENETDOWN) {
            print_error();
            return result;
        }
    }
    return handled;
}

/* Waits for packets of any socket, but not for long: a signal may have come just before. Returns a negative errno if that fails. */
static int wait_for_packets(const struct responder *responder)
{
    int result = 0, timeout = responder->count == 1 ? 200 : 0;
    struct pollfd entries[MAX_QUEUES];

    if (responder->count > 1) {
        for (uint32_t i = 0; i < responder->count; i++)
            entries[i] = (struct pollfd){.fd = fluxcap_raw_fd(responder->raws[i]), .events = POLLIN};
        poll(entries, responder->count, 200);
    }
    /* This fails when the interface is gone. */
    for (uint32_t i = 0; i < responder->count && result >= 0; i++)
        result = fluxcap_raw_wait(responder->raws[i], FLUXCAP_WAIT_RECEIVE, timeout);
    if (result < 0)
        print_error();
    return result;
}

/* Runs until a signal comes, or the simulation ends. Returns 0, or a negative errno. */
static int run(struct responder *responder)
{
    while (!stop_wanted) {
        bool over = responder->simulation.wanted && !simulate(responder);
        int result = answer_all(responder);
        if (result == 0 && over)
            break;
        if (result == 0)
            result = wait_for_packets(responder);
        if (result < 0)
            return result;
        if (report_wanted) {
            report_wanted = 0;
            print_counters(responder);
        }
    }
    return 0;
}

/* Makes the simulated link, with a capture file or a neighbour that pings. */
static bool begin_simulation(struct responder *responder, struct fluxcap_config *config)
{
    struct simulation *simulation = &responder->simulation;

    if (!simulate_link(simulation, config, simulation->pcap == NULL ? 0 : FLUXCAP_SIM_KEEP_NOTHING))
        return false;
    responder->pinger.link = simulation->link;
    responder->pinger.queue = config->queue;
    memcpy(responder->pinger.address, responder->address, sizeof(responder->address));
    return true;
}

/* Opens the sockets, runs, and closes them. Returns whether all went well. */
static bool respond(struct responder *responder, struct fluxcap_config *config, const char *address, bool all)
{
    struct simulation *simulation = &responder->simulation;
    struct fluxcap_info info = {.struct_size = sizeof(info)};

    if (simulation->wanted && !begin_simulation(responder, config))
        return false;
    config->frames = all ? FRAMES_PER_QUEUE : 0;
    int opened = open_sockets(config, all, MAX_QUEUES, responder->raws);
    if (opened < 0) {
        print_error();
        return false;
    }
    responder->count = (uint32_t)opened;
    responder->raw = responder->raws[0];
    bool good = fluxcap_raw_get_info(responder->raw, &info) == 0;
    if (!good) {
        print_error();
    } else {
        memcpy(responder->mac, info.mac, sizeof(responder->mac));
        print_text(responder->raw, fluxcap_raw_format_report);
        printf("answering %s on %s ", address, simulation->wanted ? "a simulated link," : config->ifname);
        print_queues(config->queue, responder->count);
        printf(": ARP and ping\n");
        fflush(stdout);
        good = simulation->pcap == NULL || simulate_capture(simulation, config->queue, 1);
    }
    good = good && run(responder) == 0;
    /* Packets in the TX ring leave now, if they can. */
    for (uint32_t i = 0; i < responder->count && good; i++)
        fluxcap_raw_flush(responder->raws[i], 1000);
    print_counters(responder);
    if (simulation->wanted && simulation->pcap == NULL)
        good = pinged(&responder->pinger) && good;
    for (uint32_t i = 0; i < responder->count; i++) {
        good = frames_are_conserved(responder->raws[i]) && good;
        fluxcap_raw_free(responder->raws[i]);
    }
    return good;
}

static void usage(FILE *file, const char *program)
{
    fprintf(file,
            "usage: %s -i INTERFACE -a ADDRESS [-q QUEUE] [--copy] [--generic]\n"
            "       %s --sim [--pcap FILE] [--record FILE] [OPTION...]\n"
            "Answers ARP requests and pings for an IPv4 address.\n\n"
            "  -i, --interface NAME   the interface to receive on\n"
            "  -a, --address ADDRESS  the IPv4 address to answer for; the kernel must not have it\n"
            "  -q, --queue NUMBER     receive on this queue only (default: all queues)\n"
            "      --copy             use copy mode, even where the driver has zero-copy\n"
            "      --generic          run the XDP program in the network stack, not in the driver\n"
            "      --sim              use a simulated link: answer %d pings, then end; needs no root\n"
            "      --pcap FILE        replay a capture file into a simulated link, once\n"
            "      --record FILE      write what the simulated link carries into a capture file\n"
            "      --mac MAC          the Ethernet address of the simulated link (02:00:00:00:00:01)\n"
            "  -h, --help             this text\n\n"
            "It takes every packet of its queues: do not use an interface that you are logged in through.\n"
            "SIGUSR1 prints the counters, SIGINT and SIGTERM end the program.\n",
            program, program, PINGS);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"interface", required_argument, NULL, 'i'},
        {"address", required_argument, NULL, 'a'},
        {"queue", required_argument, NULL, 'q'},
        {"copy", no_argument, NULL, 'c'},
        {"generic", no_argument, NULL, 'g'},
        SIMULATION_OPTIONS,
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct fluxcap_config config = {.struct_size = sizeof(config)};
    static struct responder responder;
    bool all = true;
    struct simulation *simulation = &responder.simulation;
    const char *address = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "i:a:q:h", options, NULL)) != -1) {
        switch (option) {
        case 'i': config.ifname = optarg; break;
        case 'a': address = optarg; break;
        case 'q':
            config.queue = number("a queue", optarg, 0, UINT16_MAX);
            all = false;
            break;
        case 'c': config.bind_mode = FLUXCAP_BIND_COPY; break;
        case 'g': config.xdp_mode = FLUXCAP_XDP_GENERIC; break;
        case OPTION_SIM:
        case OPTION_PCAP:
        case OPTION_RECORD:
        case OPTION_MAC: simulation_option(simulation, option, optarg); break;
        case 'h': usage(stdout, argv[0]); return 0;
        default: usage(stderr, argv[0]); return 2;
        }
    }
    if (address == NULL && simulation->wanted)
        address = "10.111.0.2";
    if ((config.ifname == NULL) != simulation->wanted || address == NULL || optind != argc) {
        usage(stderr, argv[0]);
        return 2;
    }
    if (inet_pton(AF_INET, address, responder.address) != 1) {
        fprintf(stderr, "'%s' is no IPv4 address\n", address);
        return 2;
    }

    catch_signals();
    bool good = respond(&responder, &config, address, all && !simulation->wanted);
    if (responder.simulation.wanted)
        good = simulation_end(&responder.simulation) && good;
    return good ? 0 : 1;
}
