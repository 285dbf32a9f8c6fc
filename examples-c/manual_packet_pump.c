/* cc -O2 manual_packet_pump.c -o manual_packet_pump $(pkg-config --cflags --libs fluxcap) */

/*
 * Receives and drops packets (rxdrop), sends packets (txonly), or sends back what it receives (l2fwd), as fast as possible, and prints the
 * rates once a second. Mode C: the program works on the rings itself.
 *
 * To receive it opens a socket on each queue of the interface, or on the one that -q names; one thread serves all queues.
 *
 * --sim needs no root and no network: a simulated link brings packets without end, and takes what is sent.
 */
#define _GNU_SOURCE
#include <fluxcap.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <time.h>

#include "program.h"
#include "simulate.h"

enum { MAX_BATCH = 1024, ETHERNET_LENGTH = 14, MIN_SIZE = 60 };

struct pump;

/* Handles up to `max` packets of a queue. Returns how many there were, or a negative errno. */
typedef int turn(struct pump *pump, uint32_t max);

struct pump {
    struct fluxcap_raw *raws[MAX_QUEUES];
    uint32_t count;
    uint32_t now;            /* the index of the current socket */
    struct fluxcap_raw *raw; /* its socket */
    struct simulation simulation;
    bool once; /* the loop ends after one replay of the capture file */
    uint32_t batch;
    bool busy_poll;
    uint64_t bytes;

    /* rxdrop and l2fwd */
    uint32_t swapped[MAX_QUEUES]; /* packets at the front of the RX ring whose addresses are swapped already */

    /* txonly */
    uint32_t size;
    uint8_t frame[65536]; /* what to send */
    uint64_t sequence;
    struct fluxcap_packet packets[MAX_BATCH]; /* made, but not taken by the TX ring yet */
    uint32_t held;
};

/* Ignores that the link is down: packets stay in the TX ring until it is up again. */
static int ignore_down(int result)
{
    const struct timespec moment = {.tv_nsec = 10000000};

    if (result != -ENETDOWN)
        return result;
    nanosleep(&moment, NULL);
    return 0;
}

/* Reads packets in place, and recycles their frames. */
static int rxdrop(struct pump *pump, uint32_t max)
{
    const struct fluxcap_desc *descs;
    int count = fluxcap_raw_peek(pump->raw, max, &descs);

    for (int i = 0; i < count; i++)
        pump->bytes += descs[i].len;
    return count <= 0 ? count : fluxcap_raw_recycle_front(pump->raw, (uint32_t)count);
}

/* Sends packets back to their senders, in place. */
static int l2fwd(struct pump *pump, uint32_t max)
{
    const struct fluxcap_desc *descs;
    uint8_t *memory = fluxcap_raw_data(pump->raw);
    uint32_t *swapped = &pump->swapped[pump->now];

    fluxcap_raw_refill(pump->raw);
    int count = fluxcap_raw_peek(pump->raw, max, &descs);
    for (int i = (int)*swapped; i < count; i++)
        fluxcap_ethernet_header_swap(memory + descs[i].addr, descs[i].len);
    int done = count <= 0 ? count : fluxcap_raw_forward_front(pump->raw, (uint32_t)count);
    if (done < 0)
        return done;
    /* Packets that the TX ring had no room for come again, and must not be swapped back. */
    if ((uint32_t)count > *swapped)
        *swapped = (uint32_t)count;
    *swapped -= (uint32_t)done;
    int result = ignore_down(fluxcap_raw_wake_tx(pump->raw));
    return result < 0 ? result : done;
}

/* Makes packets and sends them. */
static int txonly(struct pump *pump, uint32_t max)
{
    struct fluxcap_packet *packets = pump->packets;

    if (pump->held < max) {
        int made = fluxcap_raw_alloc(pump->raw, packets + pump->held, max - pump->held);
        if (made < 0)
            return made;
        for (int i = 0; i < made; i++) {
            struct fluxcap_packet *packet = &packets[pump->held++];

            memcpy(pump->frame + ETHERNET_LENGTH, &pump->sequence, sizeof(pump->sequence));
            pump->sequence++;
            memcpy(packet->data, pump->frame, pump->size);
            packet->len = pump->size;
        }
    }
    int sent = fluxcap_raw_send(pump->raw, packets, pump->held < max ? pump->held : max);
    if (sent < 0)
        return sent;
    /* The others stay for the next turn. */
    pump->held -= (uint32_t)sent;
    memmove(packets, packets + sent, pump->held * sizeof(*packets));
    int result = ignore_down(fluxcap_raw_wake_tx(pump->raw));
    if (result < 0)
        return result;
    fluxcap_raw_reap(pump->raw);
    return sent;
}

static const struct {
    const char *name;
    turn *turn;
    uint32_t interest; /* what to wait for when there is nothing to do */
    uint32_t program;
} modes[] = {
    {"rxdrop", rxdrop, FLUXCAP_WAIT_RECEIVE, FLUXCAP_PROGRAM_BUNDLED},
    {"txonly", txonly, FLUXCAP_WAIT_SEND, FLUXCAP_PROGRAM_SEND_ONLY},
    {"l2fwd", l2fwd, FLUXCAP_WAIT_RECEIVE, FLUXCAP_PROGRAM_BUNDLED},
};

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Sums up the statistics of all sockets. */
static bool count_packets(const struct pump *pump, struct fluxcap_statistics *sum)
{
    memset(sum, 0, sizeof(*sum));
    for (uint32_t i = 0; i < pump->count; i++) {
        struct fluxcap_statistics one = {.struct_size = sizeof(one)};

        if (fluxcap_raw_get_statistics(pump->raws[i], &one) < 0) {
            print_error();
            return false;
        }
        sum->received += one.received;
        sum->sent += one.sent;
        sum->rx_dropped += one.rx_dropped;
        sum->rx_ring_full += one.rx_ring_full;
        sum->rx_fill_ring_empty_descs += one.rx_fill_ring_empty_descs;
    }
    return true;
}

static void print_rates(const char *name, const struct fluxcap_statistics *from, const struct fluxcap_statistics *to,
                        double seconds)
{
    printf("%-8s rx %12.0f packets/s   tx %12.0f packets/s\n", name, (double)(to->received - from->received) / seconds,
           (double)(to->sent - from->sent) / seconds);
    fflush(stdout);
}

/* Handles a batch of each socket, at most `max` packets in all. Returns how many there were, or a negative errno. */
static int turn_all(struct pump *pump, size_t mode, uint64_t max)
{
    uint32_t handled = 0;

    for (uint32_t i = 0; i < pump->count && handled < max; i++) {
        pump->now = i;
        pump->raw = pump->raws[i];
        int count = modes[mode].turn(pump, max - handled < pump->batch ? (uint32_t)(max - handled) : pump->batch);
        if (count < 0)
            return count;
        handled += (uint32_t)count;
    }
    return (int)handled;
}

/* Waits until there is something to do at any socket. */
static int wait_for_packets(const struct pump *pump, size_t mode)
{
    int result = 0, timeout = pump->count == 1 ? 100 : 0;
    struct pollfd entries[MAX_QUEUES];

    if (pump->count > 1) {
        for (uint32_t i = 0; i < pump->count; i++)
            entries[i] = (struct pollfd){.fd = fluxcap_raw_fd(pump->raws[i]), .events = POLLIN};
        poll(entries, pump->count, 100);
    }
    /* This fails when the interface is gone. */
    for (uint32_t i = 0; i < pump->count && result >= 0; i++)
        result = ignore_down(fluxcap_raw_wait(pump->raws[i], modes[mode].interest, timeout));
    return result;
}

/* Needed when the fill ring was empty; with busy polling, this polls the driver. */
static int wake_all(const struct pump *pump)
{
    int result = 0;

    for (uint32_t i = 0; i < pump->count && result >= 0; i++)
        result = ignore_down(fluxcap_raw_wake_rx(pump->raws[i]));
    return result;
}

/* Runs until a signal comes, the time is over, or enough packets have passed (0: no limit). */
static int run(struct pump *pump, size_t mode, double duration, uint64_t limit)
{
    struct fluxcap_statistics first, last, current;
    double start = now(), printed = start, end = start;
    uint64_t handled = 0;
    bool over = false;

    if (!count_packets(pump, &first))
        return -EIO;
    last = first;
    while (!stop_wanted && (duration == 0 || end - start < duration) && (limit == 0 || handled < limit)) {
        int result = turn_all(pump, mode, limit == 0 ? UINT64_MAX : limit - handled);

        if (result > 0)
            handled += (uint32_t)result;
        else if (result == 0 && over)
            break;
        else if (result == 0 && pump->once && !is_playing(&pump->simulation))
            over = true; /* after one more turn, for packets that came meanwhile */
        else if (result == 0 && !pump->busy_poll)
            result = wait_for_packets(pump, mode);
        if (result >= 0 && modes[mode].interest == FLUXCAP_WAIT_RECEIVE)
            result = wake_all(pump);
        if (result < 0) {
            print_error();
            return result;
        }
        end = now();
        if (end - printed >= 1) {
            if (!count_packets(pump, &current))
                return -EIO;
            print_rates(modes[mode].name, &last, &current, end - printed);
            last = current;
            printed = end;
        }
    }

    for (uint32_t i = 0; i < pump->count; i++) {
        if (ignore_down(fluxcap_raw_flush(pump->raws[i], 1000)) < 0) {
            print_error();
            return -EIO;
        }
    }
    if (!count_packets(pump, &current))
        return -EIO;
    print_rates("average", &first, &current, end > start ? end - start : 1);
    printf("received %" PRIu64 ", sent %" PRIu64 " in %.2f s; looked at %" PRIu64 " bytes\n", current.received,
           current.sent, end - start, pump->bytes);
    printf("kernel: dropped %" PRIu64 ", RX ring full %" PRIu64 ", fill ring empty %" PRIu64 "\n", current.rx_dropped,
           current.rx_ring_full, current.rx_fill_ring_empty_descs);
    return 0;
}

static void usage(FILE *file, const char *program)
{
    fprintf(file,
            "usage: %s -m MODE -i INTERFACE [OPTION...]\n"
            "       %s -m MODE --sim [--pcap FILE] [--record FILE] [OPTION...]\n"
            "Receives, sends or forwards packets as fast as possible.\n\n"
            "  -m, --mode MODE        rxdrop: receive and drop; txonly: send; l2fwd: send back what is received\n"
            "  -i, --interface NAME   the interface\n"
            "  -q, --queue NUMBER     receive on this queue only (default: all), or send from it (default: 0)\n"
            "  -b, --batch NUMBER     packets handled together, 1 to %d (64)\n"
            "  -s, --size BYTES       size of the packets to send, from %d (64)\n"
            "  -D, --destination MAC  where to send them (ff:ff:ff:ff:ff:ff)\n"
            "  -d, --duration SECONDS stop after this time (run until a signal comes)\n"
            "  -n, --packets NUMBER   how many packets (no limit)\n"
            "  -B, --busy-poll        poll the driver instead of waiting for interrupts\n"
            "      --copy             use copy mode\n"
            "      --zero-copy        require zero-copy\n"
            "      --native           require the XDP program in the driver\n"
            "      --generic          run the XDP program in the network stack\n"
            "      --sim              use a simulated link, which brings the packets that txonly sends; needs no root\n"
            "      --pcap FILE        replay a capture file into the simulated link: once, or with -d or -n without end\n"
            "      --record FILE      write what the simulated link carries into a capture file; with -d, -n or --pcap\n"
            "      --mac MAC          the Ethernet address of the simulated link (02:00:00:00:00:01)\n"
            "  -h, --help             this text\n\n"
            "It takes every packet of its queues: do not use an interface that you are logged in through.\n",
            program, program, MAX_BATCH, MIN_SIZE);
}

/* Writes the frame to send: EtherType for local experiments, a sequence number, and filler. */
static bool fill_frame(struct pump *pump)
{
    struct fluxcap_info info = {.struct_size = sizeof(info)};

    if (fluxcap_raw_get_info(pump->raw, &info) < 0) {
        print_error();
        return false;
    }
    uint32_t most = info.mtu + ETHERNET_LENGTH < info.packet_capacity ? info.mtu + ETHERNET_LENGTH : info.packet_capacity;
    if (pump->size > most) {
        fprintf(stderr, "packets of %u bytes are too long here: %u at most\n", pump->size, most);
        return false;
    }
    memcpy(pump->frame + 6, info.mac, sizeof(info.mac));
    pump->frame[12] = 0x88;
    pump->frame[13] = 0xb5;
    for (uint32_t i = ETHERNET_LENGTH; i < pump->size; i++)
        pump->frame[i] = (uint8_t)i;
    return true;
}

/* Starts the traffic of the simulated link: a capture file, or the frame of txonly at full speed. */
static bool simulate_traffic(struct pump *pump, uint32_t queue)
{
    struct simulation *simulation = &pump->simulation;
    struct fluxcap_sim_packet packet = {.data = pump->frame, .len = pump->size};

    if (simulation->pcap != NULL)
        return simulate_capture(simulation, queue, pump->once ? 1 : 0);
    if (fluxcap_sim_nic_play(simulation->link, queue, &packet, 1, FLUXCAP_SIM_SPEED_FULL, 0) < 0) {
        print_error();
        return false;
    }
    return true;
}

/* Opens the sockets, runs, and closes them. Returns whether all went well. */
static bool open_and_run(struct pump *pump, struct fluxcap_config *config, bool all, size_t mode, double duration,
                         uint64_t limit)
{
    struct simulation *simulation = &pump->simulation;

    if (simulation->wanted && !simulate_link(simulation, config, FLUXCAP_SIM_KEEP_NOTHING))
        return false;
    int opened = open_sockets(config, all, MAX_QUEUES, pump->raws);
    if (opened < 0) {
        print_error();
        return false;
    }
    pump->count = (uint32_t)opened;
    pump->raw = pump->raws[0];
    print_text(pump->raw, fluxcap_raw_format_report);
    bool good = fill_frame(pump);
    if (good && simulation->wanted) {
        good = modes[mode].interest != FLUXCAP_WAIT_RECEIVE || simulate_traffic(pump, config->queue);
        /* A thread moves the packets, as the kernel would. */
        if (good && fluxcap_sim_start_thread(simulation->sim) < 0) {
            print_error();
            good = false;
        }
    }
    fflush(stdout);
    good = good && run(pump, mode, duration, limit) == 0;
    fluxcap_packets_free(pump->packets, pump->held);
    for (uint32_t i = 0; i < pump->count; i++) {
        good = frames_are_conserved(pump->raws[i]) && good;
        fluxcap_raw_free(pump->raws[i]);
    }
    return good;
}

int main(int argc, char **argv)
{
    enum { COPY = 256, ZERO_COPY, NATIVE, GENERIC };
    static const struct option options[] = {
        {"mode", required_argument, NULL, 'm'},
        {"interface", required_argument, NULL, 'i'},
        {"queue", required_argument, NULL, 'q'},
        {"batch", required_argument, NULL, 'b'},
        {"size", required_argument, NULL, 's'},
        {"destination", required_argument, NULL, 'D'},
        {"duration", required_argument, NULL, 'd'},
        {"packets", required_argument, NULL, 'n'},
        {"busy-poll", no_argument, NULL, 'B'},
        {"copy", no_argument, NULL, COPY},
        {"zero-copy", no_argument, NULL, ZERO_COPY},
        {"native", no_argument, NULL, NATIVE},
        {"generic", no_argument, NULL, GENERIC},
        SIMULATION_OPTIONS,
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    enum { MODES = sizeof(modes) / sizeof(modes[0]) };
    static struct pump pump = {.batch = 64, .size = 64, .frame = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    struct fluxcap_config config = {.struct_size = sizeof(config)};
    struct simulation *simulation = &pump.simulation;
    uint32_t duration = 0, limit = 0;
    bool all = true;
    size_t mode = MODES;
    int option;

    while ((option = getopt_long(argc, argv, "m:i:q:b:s:D:d:n:Bh", options, NULL)) != -1) {
        switch (option) {
        case 'm':
            for (mode = 0; mode < MODES && strcmp(optarg, modes[mode].name) != 0;)
                mode++;
            break;
        case 'i': config.ifname = optarg; break;
        case 'q':
            config.queue = number("a queue", optarg, 0, UINT16_MAX);
            all = false;
            break;
        case 'b': pump.batch = number("a batch", optarg, 1, MAX_BATCH); break;
        case 's': pump.size = number("a size", optarg, MIN_SIZE, sizeof(pump.frame)); break;
        case 'D': mac_address(optarg, pump.frame); break;
        case 'd': duration = number("a duration", optarg, 0, UINT32_MAX); break;
        case 'n': limit = number("a number of packets", optarg, 0, UINT32_MAX); break;
        case 'B': pump.busy_poll = true; break;
        case COPY: config.bind_mode = FLUXCAP_BIND_COPY; break;
        case ZERO_COPY: config.bind_mode = FLUXCAP_BIND_ZERO_COPY; break;
        case NATIVE: config.xdp_mode = FLUXCAP_XDP_NATIVE; break;
        case GENERIC: config.xdp_mode = FLUXCAP_XDP_GENERIC; break;
        case OPTION_SIM:
        case OPTION_PCAP:
        case OPTION_RECORD:
        case OPTION_MAC: simulation_option(simulation, option, optarg); break;
        case 'h': usage(stdout, argv[0]); return 0;
        default: usage(stderr, argv[0]); return 2;
        }
    }
    bool ends = duration != 0 || limit != 0;
    if ((config.ifname == NULL) != simulation->wanted || mode == MODES || optind != argc) {
        usage(stderr, argv[0]);
        return 2;
    }
    if (simulation->record != NULL && simulation->pcap == NULL && !ends) {
        fprintf(stderr, "--record without an end would fill the disk: add -d, -n or --pcap\n");
        return 2;
    }
    if (simulation->pcap != NULL && modes[mode].interest != FLUXCAP_WAIT_RECEIVE) {
        fprintf(stderr, "%s receives nothing, so there is no use for --pcap\n", modes[mode].name);
        return 2;
    }
    pump.once = simulation->pcap != NULL && !ends;
    config.program = modes[mode].program;
    all = all && !simulation->wanted && modes[mode].interest == FLUXCAP_WAIT_RECEIVE;
    if (pump.busy_poll) {
        config.busy_poll_us = 20;
        config.busy_poll_budget = pump.batch;
        config.wakeup = FLUXCAP_WAKEUP_ALWAYS; /* every wake-up polls the driver */
    }

    catch_signals();
    bool good = open_and_run(&pump, &config, all, mode, duration, limit);
    if (simulation->wanted)
        good = simulation_end(simulation) && good;
    return good ? 0 : 1;
}
