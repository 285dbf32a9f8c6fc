/*
 * A load balancer: gives the flows of clients to backends, and their answers back, all through one interface. Mode B: what is received is
 * the program's own; rewritten in place it is sent by the other half, from the frame that it came in, and what goes nowhere is recycled.
 *
 *     cc -O2 load_balancer_system.c -o load_balancer_system $(pkg-config --cflags --libs fluxcap)
 *
 * It has an address of its own, which the kernel must not have, and answers ARP requests for it. A packet of a client gets a backend's
 * address and the balancer's own, with a port that stands for the flow (full NAT). So the answer comes back here, whatever the backend's
 * routes are, and gets the client's address and the service's. The price is that backends do not see who asks.
 *
 * A backend is down when it has not been heard of for a while. Each second it is asked for by ARP, so that a machine that is gone is
 * noticed, but not a program on it that has ended. IPv4, TCP and UDP, without VLANs and fragments.
 *
 * With --sim it needs no root and no network: clients and backends are simulated, one of which falls silent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fluxcap.h>
#include <getopt.h>
#include <time.h>

#include "balancer.h"
#include "balancer_sim.h"
#include "program.h"
#include "simulate.h"

enum { BATCH = 64, SLICE_MS = 100, OPTION_DOWN_AFTER = 2000 };

struct program {
    struct fluxcap_rx *rx;
    struct fluxcap_tx *tx;
    struct balancer balancer;
    struct neighbours *neighbours; /* of --sim, or NULL */
    /* Packets on their way out: nothing is received before they have left. */
    struct fluxcap_packet outgoing[BATCH];
    uint32_t count;
};

static uint64_t milliseconds(const struct program *program)
{
    struct timespec time;

    if (program->neighbours != NULL)
        return simulated_ms(program->neighbours);
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

/* Asks for each backend, in packets of our own. Without a free frame or room there is another question in a second. */
static int probe(struct program *program)
{
    uint8_t frame[PROBE_LENGTH];
    struct fluxcap_packet packet;

    for (uint8_t i = 0; i < program->balancer.count; i++) {
        write_probe(&program->balancer, &program->balancer.backends[i], frame);
        int result = fluxcap_tx_copy(program->tx, frame, sizeof(frame), &packet);
        if (result == 1) {
            result = fluxcap_tx_send(program->tx, &packet, 1);
            fluxcap_packets_free(&packet, 1); /* does nothing when it was sent */
        }
        if (result < 0 && result != -ENETDOWN)
            return result;
    }
    return 0;
}

/* Sends what waits; what there is no room for stays. */
static int send_outgoing(struct program *program)
{
    if (program->count == 0)
        return 0;
    int sent = fluxcap_tx_send(program->tx, program->outgoing, program->count);
    if (sent < 0)
        return sent;
    program->count -= (uint32_t)sent;
    memmove(program->outgoing, program->outgoing + sent, program->count * sizeof(program->outgoing[0]));
    return 0;
}

/* Waits for packets, and passes them on. Returns how many there were, or a negative errno. */
static int turn(struct program *program)
{
    struct fluxcap_packet packets[BATCH], others[BATCH];
    uint32_t left = 0;
    int result = 0;

    if (look_after(&program->balancer, milliseconds(program)))
        result = probe(program);
    if (result == 0)
        result = send_outgoing(program);
    if (result == 0 && program->count > 0)
        return fluxcap_tx_wait(program->tx, SLICE_MS);
    if (result == 0)
        result = fluxcap_rx_recv(program->rx, packets, BATCH, SLICE_MS);
    if (result <= 0)
        return result;
    uint64_t now = milliseconds(program);
    for (int i = 0; i < result; i++) {
        if (balance(&program->balancer, packets[i].data, packets[i].len, now))
            program->outgoing[program->count++] = packets[i];
        else
            others[left++] = packets[i];
    }
    int recycled = fluxcap_rx_recycle(program->rx, others, left);
    int sent = send_outgoing(program);
    return recycled < 0 ? recycled : sent < 0 ? sent : result;
}

static void print_statistics(const struct program *program)
{
    struct fluxcap_statistics kernel = {.struct_size = sizeof(kernel)};

    print_balancer(&program->balancer, milliseconds(program));
    if (fluxcap_rx_get_statistics(program->rx, &kernel) == 0)
        printf("kernel: dropped %" PRIu64 ", RX ring full %" PRIu64 ", fill ring empty %" PRIu64 "\n", kernel.rx_dropped,
               kernel.rx_ring_full, kernel.rx_fill_ring_empty_descs);
    fflush(stdout);
}

/* Balances until a signal comes, or a simulation is over. Returns 0, or a negative errno. */
static int run(struct program *program)
{
    while (!stop_wanted) {
        if (report_wanted) {
            report_wanted = 0;
            print_statistics(program);
        }
        if (program->neighbours != NULL && !meet(program->neighbours))
            break;
        int result = turn(program);
        if (result == -ENETDOWN) {
            /* What waits leaves when the line is up again. */
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        } else if (result < 0) {
            complain();
            return result;
        }
        fflush(stdout);
    }
    return 0;
}

/* Reads ADDRESS:PORT; ends the program when it is none. */
static void read_address(const char *text, uint32_t most_port, uint8_t ip[4], uint16_t *port)
{
    char address[32] = "";
    const char *colon = strchr(text, ':');

    if (colon != NULL && colon - text < (long)sizeof(address))
        memcpy(address, text, (size_t)(colon - text));
    if (inet_pton(AF_INET, address, ip) != 1) {
        fprintf(stderr, "'%s' is no IPv4 address with a port, as 10.0.0.2:80 is\n", text);
        exit(2);
    }
    *port = (uint16_t)number("a port", colon + 1, 1, most_port);
}

static void add_backend(struct balancer *balancer, const char *text)
{
    struct backend *backend = &balancer->backends[balancer->count];

    if (balancer->count == MOST_BACKENDS) {
        fprintf(stderr, "more than %d backends\n", MOST_BACKENDS);
        exit(2);
    }
    read_address(text, UINT16_MAX, backend->ip, &backend->port);
    for (uint8_t i = 0; i < balancer->count; i++) {
        if (memcmp(balancer->backends[i].ip, backend->ip, 4) == 0) {
            fprintf(stderr, "two backends have the address of %s\n", text);
            exit(2);
        }
    }
    balancer->count++;
}

/* Opens a socket, and splits it. */
static bool open_halves(struct program *program, const struct fluxcap_config *config)
{
    struct fluxcap_info info = {.struct_size = sizeof(info)};
    struct fluxcap_raw *raw = NULL;

    program->balancer.sessions = (struct session *)calloc(SESSIONS, sizeof(struct session));
    if (program->balancer.sessions == NULL) {
        perror("sessions");
        return false;
    }
    if (fluxcap_open(config, &raw) < 0 || fluxcap_raw_get_info(raw, &info) < 0) {
        complain();
        fluxcap_raw_free(raw);
        return false;
    }
    print_text(raw, fluxcap_raw_format_report);
    if (fluxcap_raw_split(raw, &program->rx, &program->tx) < 0) {
        complain();
        fluxcap_raw_free(raw);
        return false;
    }
    memcpy(program->balancer.mac, info.mac, sizeof(info.mac));
    deal(&program->balancer);
    return true;
}

static void usage(FILE *file, const char *name)
{
    fprintf(file,
            "usage: %s -i INTERFACE -s SERVICE -b BACKEND [-b BACKEND...] [OPTION...]\n"
            "       %s --sim [--record FILE] [OPTION...]\n"
            "Gives the flows of clients, TCP and UDP over IPv4, to backends in the same network, and their answers back.\n\n"
            "  -i, --interface NAME   the interface, towards clients and backends\n"
            "  -s, --service ADDRESS  where the clients find the service: an address that the kernel does not have, and a\n"
            "                         port below %d\n"
            "  -b, --backend ADDRESS  address and port of a backend; give it for each\n"
            "      --down-after SECS  seconds of silence after which a backend is down, its flows going to others (3)\n"
            "  -q, --queue NUMBER     the queue to bind to (0)\n"
            "      --sim              no interface and no root: clients and backends on a simulated link\n"
            "      --record FILE      write what the simulated link carries into a capture file\n"
            "      --mac MAC          the Ethernet address of the simulated link (02:00:00:00:00:01)\n"
            "  -h, --help             this text\n\n"
            "It takes every packet of its queue: do not use an interface that you are logged in through.\n"
            "SIGUSR1 prints the statistics, SIGINT and SIGTERM end the program.\n",
            name, name, FIRST_PORT);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"interface", required_argument, NULL, 'i'},
        {"service", required_argument, NULL, 's'},
        {"backend", required_argument, NULL, 'b'},
        {"down-after", required_argument, NULL, OPTION_DOWN_AFTER},
        {"queue", required_argument, NULL, 'q'},
        SIMULATION_OPTIONS,
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static struct program program = {.balancer.down_after = 3000};
    static struct neighbours neighbours;
    struct balancer *balancer = &program.balancer;
    struct fluxcap_config config = {.struct_size = sizeof(config)};
    struct simulation simulation = {.wanted = false};
    struct fluxcap_umem *umem = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "i:s:b:q:h", options, NULL)) != -1) {
        switch (option) {
        case 'i': config.ifname = optarg; break;
        case 's': read_address(optarg, FIRST_PORT - 1, balancer->ip, &balancer->port); break;
        case 'b': add_backend(balancer, optarg); break;
        case OPTION_DOWN_AFTER: balancer->down_after = number("a time", optarg, 1, 86400) * UINT64_C(1000); break;
        case 'q': config.queue = number("a queue", optarg, 0, UINT16_MAX); break;
        case OPTION_SIM:
        case OPTION_RECORD:
        case OPTION_MAC: simulation_option(&simulation, option, optarg); break;
        case 'h': usage(stdout, argv[0]); return 0;
        default: usage(stderr, argv[0]); return 2;
        }
    }
    if (simulation.wanted && balancer->port == 0)
        read_address("10.0.0.2:80", FIRST_PORT - 1, balancer->ip, &balancer->port);
    if (simulation.wanted && balancer->count == 0) {
        add_backend(balancer, "10.0.0.11:8080");
        add_backend(balancer, "10.0.0.12:8080");
        add_backend(balancer, "10.0.0.13:8080");
    }
    if ((config.ifname == NULL) != simulation.wanted || balancer->port == 0 || balancer->count == 0 || optind != argc) {
        usage(stderr, argv[0]);
        return 2;
    }

    catch_signals();
    bool good = (!simulation.wanted || simulate_link(&simulation, &config, 0)) && open_halves(&program, &config);
    if (good) {
        printf("%u backends, queue %u\n", balancer->count, config.queue);
        fflush(stdout);
        if (simulation.wanted) {
            begin(&neighbours, &simulation, config.queue, balancer);
            program.neighbours = &neighbours;
        }
        good = run(&program) == 0;
        int flushed = fluxcap_tx_flush(program.tx, 1000);
        good = (flushed >= 0 || flushed == -ENETDOWN) && good;
        print_statistics(&program);
        fluxcap_packets_free(program.outgoing, program.count);
        good = fluxcap_rx_get_umem(program.rx, &umem) == 0 && umem_adds_up(umem) && good;
        if (simulation.wanted)
            good = finish(&neighbours) && good;
    }
    fluxcap_umem_free(umem);
    fluxcap_rx_free(program.rx);
    fluxcap_tx_free(program.tx);
    free(balancer->sessions);
    if (simulation.wanted)
        good = simulation_end(&simulation) && good;
    return good ? 0 : 1;
}
