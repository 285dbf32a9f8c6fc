/*
 * Sends UDP datagrams back to those who sent them, with plain epoll: the two halves of a socket beside other descriptors, as in a program
 * that has an event loop of its own (libuv and libevent wait in the same way). Answers ARP requests, too. Mode B.
 *
 *     cc -O2 epoll_echo.c -o epoll_echo $(pkg-config --cflags --libs fluxcap)
 *
 * Three rules for such loops. Wake-ups may be spurious: receive without waiting, and be content with nothing. Wait for EPOLLOUT only while
 * packets wait to be sent: a socket is writable nearly always. And go back to epoll only when there is nothing left to receive.
 *
 * With --sim it needs no root and no network: a neighbour on a simulated link sends datagrams and counts what comes back.
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
#include "simulate.h"

enum {
    BATCH = 64,
    ETHERNET_LENGTH = 14,
    PROTOCOL_UDP = 17,
    DATAGRAMS = 20000, /* of --sim */
    UNDER_WAY = 256,
    DATAGRAM_LENGTH = 60,
};

struct echo {
    struct fluxcap_rx *rx;
    struct fluxcap_tx *tx;
    uint8_t mac[6], address[4];
    uint16_t port;
    int epoll, timer;
    bool waits_to_send;
    /* Packets that found no room in the TX ring: nothing is received before they have left. */
    struct fluxcap_packet unsent[BATCH];
    uint32_t unsent_count;
    uint64_t received, arp_answered, echoed, ignored;
};

/* Turns a datagram for us into its echo. */
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
    /* A stack on the same machine leaves the checksum to its card. */
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

/* Turns a packet into its answer. False: there is none. */
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

/* Sends what waits. Returns 0, or a negative errno. */
static int send_unsent(struct echo *echo)
{
    if (echo->unsent_count == 0)
        return 0;
    int sent = fluxcap_tx_send(echo->tx, echo->unsent, echo->unsent_count);
    if (sent == -ENETDOWN)
        return 0; /* they leave when the line is up again */
    if (sent < 0)
        return sent;
    echo->unsent_count -= (uint32_t)sent;
    /* A packet may be moved like this: only the copy is used from now on. */
    memmove(echo->unsent, echo->unsent + sent, echo->unsent_count * sizeof(echo->unsent[0]));
    return 0;
}

/* Answers until nothing is left to receive, or no more can be sent. Returns 0, or a negative errno. */
static int answer_all(struct echo *echo)
{
    struct fluxcap_packet packets[BATCH], others[BATCH];

    for (;;) {
        int result = send_unsent(echo);
        if (result < 0 || echo->unsent_count > 0)
            return result;
        result = fluxcap_rx_recv(echo->rx, packets, BATCH, 0);
        if (result <= 0)
            return result == -ENETDOWN ? 0 : result;
        echo->received += (uint32_t)result;
        uint32_t left = 0;
        for (int i = 0; i < result; i++) {
            if (answer(echo, &packets[i]))
                echo->unsent[echo->unsent_count++] = packets[i];
            else
                others[left++] = packets[i];
        }
        /* What nobody wants goes straight back to the kernel. */
        result = fluxcap_rx_recycle(echo->rx, others, left);
        if (result < 0)
            return result;
    }
}

/* Waits for packets to receive, or for room to send, whichever is missing. Each half has a descriptor of its own. */
static int update_epoll(struct echo *echo)
{
    bool waits_to_send = echo->unsent_count > 0;
    struct epoll_event receive = {.events = waits_to_send ? 0 : EPOLLIN, .data.ptr = echo};
    struct epoll_event send = {.events = waits_to_send ? EPOLLOUT : 0, .data.ptr = echo};

    if (waits_to_send == echo->waits_to_send)
        return 0;
    echo->waits_to_send = waits_to_send;
    if (epoll_ctl(echo->epoll, EPOLL_CTL_MOD, fluxcap_rx_fd(echo->rx), &receive) < 0 ||
        epoll_ctl(echo->epoll, EPOLL_CTL_MOD, fluxcap_tx_fd(echo->tx), &send) < 0)
        return -errno;
    return 0;
}

static void print_counters(const struct echo *echo)
{
    struct fluxcap_statistics kernel = {.struct_size = sizeof(kernel)};

    printf("received %" PRIu64 ": echoed %" PRIu64 ", ARP answered %" PRIu64 ", ignored %" PRIu64 "\n", echo->received,
           echo->echoed, echo->arp_answered, echo->ignored);
    if (fluxcap_rx_get_statistics(echo->rx, &kernel) == 0)
        printf("kernel: dropped %" PRIu64 ", RX ring full %" PRIu64 ", fill ring empty %" PRIu64 "\n", kernel.rx_dropped,
               kernel.rx_ring_full, kernel.rx_fill_ring_empty_descs);
    fflush(stdout);
}

/* What --sim has at the other end of the link. */
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

static void greet(struct neighbour *neighbour, const struct echo *echo)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0x99, 1}, address[4] = {10, 111, 0, 1};

    write_datagram(neighbour->datagram, echo->mac, mac, address, 40000, echo->address, echo->port);
    write_datagram(neighbour->expected, mac, echo->mac, echo->address, echo->port, address, 40000);
}

/* Takes what came back, and sends more. False when it is over, for better or for worse. */
static bool chat(struct neighbour *neighbour)
{
    uint8_t frame[2048];
    int length, result = 0;

    while ((length = fluxcap_sim_nic_take_sent(neighbour->link, frame, sizeof(frame))) > 0) {
        bool good = length == DATAGRAM_LENGTH && memcmp(frame, neighbour->expected, DATAGRAM_LENGTH) == 0;

        neighbour->back += good;
        neighbour->wrong += !good;
    }
    while (result == 0 && neighbour->sent < DATAGRAMS && neighbour->sent - neighbour->back < UNDER_WAY) {
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
        if (neighbour != NULL && (!chat(neighbour) || idle == 1000))
            return 0;
        /* A signal may come just before the wait: so it is short. */
        int count = epoll_wait(echo->epoll, events, 8, neighbour != NULL ? 10 : 200);
        if (count < 0 && errno != EINTR)
            return -errno;
        uint64_t before = echo->received;
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &echo->timer) {
                if (read(echo->timer, &ticks, sizeof(ticks)) == sizeof(ticks))
                    print_counters(echo);
                continue;
            }
            int result = answer_all(echo);
            if (result == 0)
                result = update_epoll(echo);
            if (result < 0) {
                complain();
                return result;
            }
        }
        /* Wake-ups may be spurious: only waits that ended with nothing count. */
        if (echo->received != before)
            idle = 0;
        else if (count == 0)
            idle++;
        /* Frames that were sent come home, also while nothing is sent; the receiving half hears of it by its descriptor. And while it waits
         * to send, this tells whether the interface is still there. */
        int result = fluxcap_tx_kick(echo->tx);
        if (result < 0 && result != -ENETDOWN) {
            complain();
            return result;
        }
    }
    return 0;
}

/* The two halves and a timer in one epoll. */
static bool watch(struct echo *echo, uint32_t interval)
{
    struct epoll_event receive = {.events = EPOLLIN, .data.ptr = echo}, send = {.events = 0, .data.ptr = echo};
    struct epoll_event timer = {.events = EPOLLIN, .data.ptr = &echo->timer};
    struct itimerspec every = {.it_interval.tv_sec = interval, .it_value.tv_sec = interval};

    echo->epoll = epoll_create1(EPOLL_CLOEXEC);
    echo->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (echo->epoll >= 0 && echo->timer >= 0 && timerfd_settime(echo->timer, 0, &every, NULL) == 0 &&
        epoll_ctl(echo->epoll, EPOLL_CTL_ADD, fluxcap_rx_fd(echo->rx), &receive) == 0 &&
        epoll_ctl(echo->epoll, EPOLL_CTL_ADD, fluxcap_tx_fd(echo->tx), &send) == 0 &&
        epoll_ctl(echo->epoll, EPOLL_CTL_ADD, echo->timer, &timer) == 0)
        return true;
    perror("epoll");
    return false;
}

/* Opens a socket, and splits it. */
static bool open_halves(struct echo *echo, const struct fluxcap_config *config)
{
    struct fluxcap_info info = {.struct_size = sizeof(info)};
    struct fluxcap_raw *raw = NULL;

    if (fluxcap_open(config, &raw) < 0 || fluxcap_raw_get_info(raw, &info) < 0) {
        complain();
        fluxcap_raw_free(raw);
        return false;
    }
    print_text(raw, fluxcap_raw_format_report);
    if (fluxcap_raw_split(raw, &echo->rx, &echo->tx) < 0) {
        complain();
        fluxcap_raw_free(raw);
        return false;
    }
    memcpy(echo->mac, info.mac, sizeof(echo->mac));
    return true;
}

static void usage(FILE *file, const char *program)
{
    fprintf(file,
            "usage: %s -i INTERFACE -a ADDRESS [-u PORT] [-q QUEUE] [-I SECONDS]\n"
            "       %s --sim [--record FILE] [OPTION...]\n"
            "Sends UDP datagrams back to those who sent them, and answers ARP requests.\n\n"
            "  -i, --interface NAME   the interface to receive on\n"
            "  -a, --address ADDRESS  the address to answer for, one that the kernel does not have\n"
            "  -u, --port PORT        the UDP port (7)\n"
            "  -q, --queue NUMBER     the queue to bind to (0)\n"
            "  -I, --interval SECONDS print the counters this often\n"
            "      --sim              no interface and no root: echo %d datagrams on a simulated link, and end\n"
            "      --record FILE      write what the simulated link carries into a capture file\n"
            "      --mac MAC          the Ethernet address of the simulated link (02:00:00:00:00:01)\n"
            "  -h, --help             this text\n\n"
            "It takes every packet of its queue: do not use an interface that you are logged in through.\n"
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
    struct echo echo = {.port = 7, .epoll = -1, .timer = -1};
    const char *address = NULL;
    uint32_t interval = 0;
    int option;

    while ((option = getopt_long(argc, argv, "i:a:u:q:I:h", options, NULL)) != -1) {
        switch (option) {
        case 'i': config.ifname = optarg; break;
        case 'a': address = optarg; break;
        case 'u': echo.port = (uint16_t)number("a port", optarg, 1, UINT16_MAX); break;
        case 'q': config.queue = number("a queue", optarg, 0, UINT16_MAX); break;
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

    catch_signals();
    bool good = (!simulation.wanted || simulate_link(&simulation, &config, 0)) && open_halves(&echo, &config) &&
                watch(&echo, interval);
    if (good && simulation.wanted) {
        /* A thread moves the packets, as a kernel would. */
        good = fluxcap_sim_start_thread(simulation.sim) == 0;
        neighbour.link = simulation.link;
        neighbour.queue = config.queue;
        greet(&neighbour, &echo);
    }
    if (good) {
        printf("echoing UDP datagrams to %s port %u\n", address, echo.port);
        fflush(stdout);
        good = run(&echo, simulation.wanted ? &neighbour : NULL) == 0;
        good = fluxcap_tx_flush(echo.tx, 1000) >= 0 && good;
        print_counters(&echo);
    }
    if (good && simulation.wanted) {
        printf("sent %u datagrams, %u came back, %u wrong\n", neighbour.sent, neighbour.back, neighbour.wrong);
        good = neighbour.back == DATAGRAMS && neighbour.wrong == 0;
    }
    fluxcap_packets_free(echo.unsent, echo.unsent_count);
    struct fluxcap_umem *umem = NULL;
    if (echo.rx != NULL && fluxcap_rx_get_umem(echo.rx, &umem) == 0)
        good = umem_adds_up(umem) && good;
    fluxcap_umem_free(umem);
    fluxcap_rx_free(echo.rx);
    fluxcap_tx_free(echo.tx);
    close(echo.timer);
    close(echo.epoll);
    if (simulation.wanted)
        good = simulation_end(&simulation) && good;
    return good ? 0 : 1;
}
