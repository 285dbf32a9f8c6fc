/* cc -O2 epoll_echo.c -o epoll_echo $(pkg-config --cflags --libs fluxcap) */

/*
 * Sends UDP datagrams back to their senders, in a plain epoll loop (mode B). Shows how to use the library in a program that has an event
 * loop of its own; libuv and libevent wait in the same way. Answers ARP requests, too.
 *
 * Opens a socket on each queue of the interface, or on the one that -q names. Each socket is split into a receiving and a sending half.
 *
 * Three rules for such loops:
 * - Wake-ups may be spurious: receive without waiting, and accept that there may be nothing.
 * - Wait for EPOLLOUT only while packets wait to be sent: a socket is writable nearly always.
 * - Go back to epoll only when nothing is left to receive.
 *
 * --sim needs no root and no network: a neighbour on a simulated link sends datagrams and counts what comes back.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fluxcap.h>
#include <getopt.h>
#include <inttypes.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "program.h"
#include "queues.h"
#include "simulate.h"

enum {
    ETHERNET_LENGTH = 14,
    PROTOCOL_UDP = 17,
    DATAGRAMS = 20000, /* of --sim */
    IN_FLIGHT = 256,
    DATAGRAM_LENGTH = 60,
};

struct echo {
    struct queue queues[MAX_QUEUES];
    uint32_t count;
    uint8_t mac[6], address[4];
    uint16_t port;
    int epoll, timer;
    uint64_t received, arp_answered, echoed, ignored;
};

/* Turns a datagram to our address and port into its echo. */
static bool echo_datagram(const struct echo *echo, struct fluxcap_packet *packet, const struct fluxcap_ethernet_header *ethernet)
{
    const uint8_t *data = packet->data + ETHERNET_LENGTH;
    struct fluxcap_ipv4_header ipv4;
    struct fluxcap_udp_header udp;

    int header = fluxcap_ipv4_header_parse(data, packet->len - ETHERNET_LENGTH, &ipv4);
    if (header < 0 || ipv4.protocol != PROTOCOL_UDP || ipv4.more_fragments || ipv4.fragment_offset != 0 ||
        memcmp(ipv4.destination, echo->address, sizeof(echo->address)) != 0 ||
        fluxcap_udp_header_parse(data + header, ipv4.total_length - (size_t)header, &udp) < 0 ||
        udp.destination_port != echo->port)
        return false;
    /* A sender on the same machine leaves the checksum to its device. */
    fluxcap_checksum_complete(packet->data, packet->len);

    struct fluxcap_rewrite rewrite = {
        .struct_size = sizeof(rewrite),
        .change = FLUXCAP_REWRITE_SOURCE_MAC | FLUXCAP_REWRITE_DESTINATION_MAC | FLUXCAP_REWRITE_SOURCE_IP |
                  FLUXCAP_REWRITE_DESTINATION_IP | FLUXCAP_REWRITE_SOURCE_PORT | FLUXCAP_REWRITE_DESTINATION_PORT,
        .ip_version = 4,
        .source_port = udp.destination_port,
        .destination_port = udp.source_port,
    };
    memcpy(rewrite.source_ip, ipv4.destination, 4);
    memcpy(rewrite.destination_ip, ipv4.source, 4);
    memcpy(rewrite.source_mac, echo->mac, 6);
    memcpy(rewrite.destination_mac, ethernet->source, 6);
    return fluxcap_rewrite_apply(&rewrite, packet->data, packet->len) == 0;
}

/* Turns a packet into its answer. Returns false if there is none. */
static bool answer(struct echo *echo, struct fluxcap_packet *packet)
{
    struct fluxcap_ethernet_header ethernet;
    struct fluxcap_arp_header arp;
    bool good = false;

    if (fluxcap_ethernet_header_parse(packet->data, packet->len, &ethernet) < 0) {
        good = false;
    } else if (ethernet.ether_type == 0x0806) {
        good = fluxcap_arp_header_parse(packet->data + ETHERNET_LENGTH, packet->len - ETHERNET_LENGTH, &arp) >= 0 &&
               arp.operation == 1 && memcmp(arp.target_ip, echo->address, 4) == 0 &&
               fluxcap_arp_reply(packet->data, packet->len, echo->mac) >= 0;
        echo->arp_answered += good;
    } else if (ethernet.ether_type == 0x0800 && memcmp(ethernet.destination, echo->mac, 6) == 0) {
        good = echo_datagram(echo, packet, &ethernet);
        echo->echoed += good;
    }
    echo->ignored += !good;
    return good;
}

/* Answers until a queue has nothing left to receive, or no more can be sent. Returns 0, or a negative errno. */
static int answer_all(struct echo *echo, struct queue *queue)
{
    struct fluxcap_packet packets[BATCH], others[BATCH];

    for (;;) {
        int result = send_unsent(queue);
        if (result < 0 || queue->unsent_count > 0)
            return result;
        result = fluxcap_rx_recv(queue->rx, packets, BATCH, 0);
        if (result <= 0)
            return result == -ENETDOWN ? 0 : result;
        echo->received += (uint32_t)result;
        uint32_t left = 0;
        for (int i = 0; i < result; i++) {
            if (answer(echo, &packets[i]))
                queue->unsent[queue->unsent_count++] = packets[i];
            else
                others[left++] = packets[i];
        }
        /* The frames of all other packets go back to the fill ring. */
        result = fluxcap_rx_recycle(queue->rx, others, left);
        if (result < 0)
            return result;
    }
}

/* Waits for packets to receive, or for room to send, whichever is missing. Each half has a descriptor of its own. */
static int update_epoll(const struct echo *echo, struct queue *queue)
{
    bool waits_to_send = queue->unsent_count > 0;
    struct epoll_event receive = {.events = waits_to_send ? 0 : EPOLLIN, .data.ptr = queue};
    struct epoll_event send = {.events = waits_to_send ? EPOLLOUT : 0, .data.ptr = queue};

    if (waits_to_send == queue->waits_to_send)
        return 0;
    queue->waits_to_send = waits_to_send;
    if (epoll_ctl(echo->epoll, EPOLL_CTL_MOD, fluxcap_rx_fd(queue->rx), &receive) < 0 ||
        epoll_ctl(echo->epoll, EPOLL_CTL_MOD, fluxcap_tx_fd(queue->tx), &send) < 0)
        return -errno;
    return 0;
}

static void print_counters(const struct echo *echo)
{
    printf("received %" PRIu64 ": echoed %" PRIu64 ", ARP answered %" PRIu64 ", ignored %" PRIu64 "\n", echo->received,
           echo->echoed, echo->arp_answered, echo->ignored);
    print_queue_counters(echo->queues, echo->count);
    fflush(stdout);
}

/* The other end of the simulated link. */
struct neighbour {
    const struct fluxcap_link *link;
    uint32_t queue;
    uint32_t sent, back, wrong;
    uint8_t datagram[DATAGRAM_LENGTH], expected[DATAGRAM_LENGTH];
};

/* A datagram without a checksum, which is allowed. */
static void write_datagram(uint8_t *frame, const uint8_t *to_mac, const uint8_t *from_mac, const uint8_t *from, uint16_t from_port,
                           const uint8_t *to, uint16_t to_port)
{
    uint8_t *ip = frame + ETHERNET_LENGTH;
    const uint16_t udp[] = {htons(from_port), htons(to_port), htons(DATAGRAM_LENGTH - ETHERNET_LENGTH - 20)};

    memset(frame, 0, DATAGRAM_LENGTH);
    memcpy(frame, to_mac, 6);
    memcpy(frame + 6, from_mac, 6);
    memcpy(frame + 12, "\x08\0\x45\0\0\x2e\0\0\0\0\x40\x11", 12);
    memcpy(ip + 12, from, 4);
    memcpy(ip + 16, to, 4);
    uint16_t checksum = htons(fluxcap_checksum(ip, 20));
    memcpy(ip + 10, &checksum, sizeof(checksum));
    memcpy(ip + 20, udp, sizeof(udp));
}

static void write_datagrams(struct neighbour *neighbour, const struct echo *echo)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0x99, 1}, address[4] = {10, 111, 0, 1};

    write_datagram(neighbour->datagram, echo->mac, mac, address, 40000, echo->address, echo->port);
    write_datagram(neighbour->expected, mac, echo->mac, echo->address, echo->port, address, 40000);
}

/* Takes what came back, and sends more. Returns false at the end, good or bad. */
static bool exchange_datagrams(struct neighbour *neighbour)
{
    uint8_t frame[2048];
    int length, result = 0;

    while ((length = fluxcap_sim_nic_take_sent(neighbour->link, frame, sizeof(frame))) > 0) {
        bool good = length == DATAGRAM_LENGTH && memcmp(frame, neighbour->expected, DATAGRAM_LENGTH) == 0;

        neighbour->back += good;
        neighbour->wrong += !good;
    }
    while (result == 0 && neighbour->sent < DATAGRAMS && neighbour->sent - neighbour->back < IN_FLIGHT) {
        result = fluxcap_sim_nic_inject(neighbour->link, neighbour->queue, neighbour->datagram, DATAGRAM_LENGTH);
        neighbour->sent += result == 0;
    }
    return (result == 0 || result == -EBUSY) && neighbour->back < DATAGRAMS && neighbour->wrong == 0;
}

/* The event loop. Returns 0, or a negative errno. */
static int run(struct echo *echo, struct neighbour *neighbour)
{
    struct epoll_event events[8];
    uint64_t ticks;
    unsigned idle = 0;

    while (!stop_wanted) {
        if (report_wanted) {
            report_wanted = 0;
            print_counters(echo);
        }
        if (neighbour != NULL && (!exchange_datagrams(neighbour) || idle == 1000))
            return 0;
        /* A signal may come just before the wait, so the wait is short. */
        int count = epoll_wait(echo->epoll, events, 8, neighbour != NULL ? 10 : 200);
        if (count < 0 && errno != EINTR)
            return -errno;
        uint64_t before = echo->received;
        for (int i = 0; i < count; i++) {
            struct queue *queue = events[i].data.ptr;

            if (queue == NULL) {
                if (read(echo->timer, &ticks, sizeof(ticks)) == sizeof(ticks))
                    print_counters(echo);
                continue;
            }
            int result = answer_all(echo, queue);
            if (result == 0)
                result = update_epoll(echo, queue);
            if (result < 0) {
                print_error();
                return result;
            }
        }
        /* Wake-ups may be spurious: only waits that timed out count. */
        if (echo->received != before)
            idle = 0;
        else if (count == 0)
            idle++;
        /* Frees the frames of sent packets, also while nothing is sent, so that the fill ring does not run dry. And it fails when the
         * interface is gone. */
        for (uint32_t i = 0; i < echo->count; i++) {
            int result = fluxcap_tx_kick(echo->queues[i].tx);
            if (result < 0 && result != -ENETDOWN) {
                print_error();
                return result;
            }
        }
    }
    return 0;
}

/* Adds the halves of all sockets and a timer to one epoll. The event of the timer has no queue. */
static bool watch(struct echo *echo, uint32_t interval)
{
    struct epoll_event timer = {.events = EPOLLIN, .data.ptr = NULL};
    struct itimerspec every = {.it_interval.tv_sec = interval, .it_value.tv_sec = interval};

    echo->epoll = epoll_create1(EPOLL_CLOEXEC);
    echo->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    bool good = echo->epoll >= 0 && echo->timer >= 0 && timerfd_settime(echo->timer, 0, &every, NULL) == 0 &&
                epoll_ctl(echo->epoll, EPOLL_CTL_ADD, echo->timer, &timer) == 0;
    for (uint32_t i = 0; i < echo->count && good; i++) {
        struct queue *queue = &echo->queues[i];
        struct epoll_event receive = {.events = EPOLLIN, .data.ptr = queue}, send = {.events = 0, .data.ptr = queue};

        good = epoll_ctl(echo->epoll, EPOLL_CTL_ADD, fluxcap_rx_fd(queue->rx), &receive) == 0 &&
               epoll_ctl(echo->epoll, EPOLL_CTL_ADD, fluxcap_tx_fd(queue->tx), &send) == 0;
    }
    if (!good)
        perror("epoll");
    return good;
}

static void usage(FILE *file, const char *program)
{
    fprintf(file,
            "usage: %s -i INTERFACE -a ADDRESS [-u PORT] [-q QUEUE] [-I SECONDS]\n"
            "       %s --sim [--record FILE] [OPTION...]\n"
            "Sends UDP datagrams back to their senders, and answers ARP requests.\n\n"
            "  -i, --interface NAME   the interface to receive on\n"
            "  -a, --address ADDRESS  the IPv4 address to answer for; the kernel must not have it\n"
            "  -u, --port PORT        the UDP port (7)\n"
            "  -q, --queue NUMBER     receive on this queue only (default: all queues)\n"
            "  -I, --interval SECONDS print the counters this often\n"
            "      --sim              use a simulated link: echo %d datagrams, then end; needs no root\n"
            "      --record FILE      write what the simulated link carries into a capture file\n"
            "      --mac MAC          the Ethernet address of the simulated link (02:00:00:00:00:01)\n"
            "  -h, --help             this text\n\n"
            "It takes every packet of its queues: do not use an interface that you are logged in through.\n"
            "SIGUSR1 prints the counters, SIGINT and SIGTERM end the program.\n",
            program, program, DATAGRAMS);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"interface", required_argument, NULL, 'i'},
        {"address", required_argument, NULL, 'a'},
        {"port", required_argument, NULL, 'u'},
        {"queue", required_argument, NULL, 'q'},
        {"interval", required_argument, NULL, 'I'},
        SIMULATION_OPTIONS,
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct fluxcap_config config = {.struct_size = sizeof(config)};
    struct simulation simulation = {.wanted = false};
    struct neighbour neighbour = {.sent = 0};
    static struct echo echo = {.port = 7, .epoll = -1, .timer = -1};
    const char *address = NULL;
    bool all = true;
    uint32_t interval = 0;
    int option;

    while ((option = getopt_long(argc, argv, "i:a:u:q:I:h", options, NULL)) != -1) {
        switch (option) {
        case 'i': config.ifname = optarg; break;
        case 'a': address = optarg; break;
        case 'u': echo.port = (uint16_t)number("a port", optarg, 1, UINT16_MAX); break;
        case 'q':
            config.queue = number("a queue", optarg, 0, UINT16_MAX);
            all = false;
            break;
        case 'I': interval = number("an interval", optarg, 1, 86400); break;
        case OPTION_SIM:
        case OPTION_RECORD:
        case OPTION_MAC: simulation_option(&simulation, option, optarg); break;
        case 'h': usage(stdout, argv[0]); return 0;
        default: usage(stderr, argv[0]); return 2;
        }
    }
    if (address == NULL && simulation.wanted)
        address = "10.111.0.2";
    if ((config.ifname == NULL) != simulation.wanted || address == NULL || optind != argc) {
        usage(stderr, argv[0]);
        return 2;
    }
    if (inet_pton(AF_INET, address, echo.address) != 1) {
        fprintf(stderr, "'%s' is no IPv4 address\n", address);
        return 2;
    }

    /* On the simulated link packets arrive on one queue only. */
    all = all && !simulation.wanted;
    config.frames = all ? FRAMES_PER_QUEUE : 0;
    catch_signals();
    bool good = !simulation.wanted || simulate_link(&simulation, &config, 0);
    int opened = good ? open_queues(&config, all, echo.queues, echo.mac) : 0;
    echo.count = opened < 0 ? 0 : (uint32_t)opened;
    good = echo.count > 0 && watch(&echo, interval);
    if (good && simulation.wanted) {
        /* A thread moves the packets, as the kernel would. */
        good = fluxcap_sim_start_thread(simulation.sim) == 0;
        neighbour.link = simulation.link;
        neighbour.queue = config.queue;
        write_datagrams(&neighbour, &echo);
    }
    if (good) {
        printf("echoing UDP datagrams to %s port %u on ", address, echo.port);
        print_queues(config.queue, echo.count);
        printf("\n");
        fflush(stdout);
        good = run(&echo, simulation.wanted ? &neighbour : NULL) == 0;
        good = flush_queues(echo.queues, echo.count) && good;
        print_counters(&echo);
    }
    if (good && simulation.wanted) {
        printf("sent %u datagrams, %u came back, %u wrong\n", neighbour.sent, neighbour.back, neighbour.wrong);
        good = neighbour.back == DATAGRAMS && neighbour.wrong == 0;
    }
    good = close_queues(echo.queues, echo.count) && good;
    close(echo.timer);
    close(echo.epoll);
    if (simulation.wanted)
        good = simulation_end(&simulation) && good;
    return good ? 0 : 1;
}
