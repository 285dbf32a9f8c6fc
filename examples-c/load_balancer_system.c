/* cc -O2 load_balancer_system.c -o load_balancer_system $(pkg-config --cflags --libs fluxcap) */

/*
 * A load balancer: spreads the flows of clients over backends, through one interface (mode B). Received packets belong to the program: it
 * rewrites them in place and sends them from the frame they came in, or recycles them.
 *
 * Opens a socket on each queue of the interface, or on the one that -q names. One thread serves all queues: the answers of a flow often
 * arrive on another queue than its requests, so all queues need the same session table.
 *
 * The balancer has an IP address of its own, which the kernel must not have, and answers ARP requests for it. It does full NAT: a request
 * goes to the backend from the balancer's address, and from a port that stands for the flow. So the answer returns to the balancer,
 * whatever the routes of the backend are. The price: backends do not see the address of the client.
 *
 * Once a second the balancer sends an ARP request to each backend. A backend that has sent nothing for a while is down. This notices a
 * machine that is gone, but not a service on it that has ended. IPv4, TCP and UDP; no VLANs, no fragments.
 *
 * --sim needs no root and no network: clients and backends are simulated, and one backend falls silent.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fluxcap.h>
#include <getopt.h>
#include <poll.h>
#include <time.h>

#include "balancer.h"
#include "balancer_sim.h"
#include "program.h"
#include "queues.h"
#include "simulate.h"

enum { SLICE_MS = 100, OPTION_DOWN_AFTER = 2000 };

struct program {
    struct queue queues[MAX_QUEUES];
    uint32_t count;
    struct balancer balancer;
    struct neighbours *neighbours; /* of --sim, or NULL */
};

static uint64_t milliseconds(const struct program *program)
{
    struct timespec time;

    if (program->neighbours != NULL)
        return simulated_ms(program->neighbours);
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

/* Sends an ARP request to each backend. If there is no free frame or room now, the next one follows in a second. */
static int probe(struct program *program)
{
    struct fluxcap_tx *tx = program->queues[0].tx;
    uint8_t frame[PROBE_LENGTH];
    struct fluxcap_packet packet;

    for (uint8_t i = 0; i < program->balancer.count; i++) {
        write_probe(&program->balancer, &program->balancer.backends[i], frame);
        int result = fluxcap_tx_copy(tx, frame, sizeof(frame), &packet);
        if (result == 1) {
            result = fluxcap_tx_send(tx, &packet, 1);
            fluxcap_packets_free(&packet, 1); /* a no-op if it was sent */
        }
        if (result < 0 && result != -ENETDOWN)
            return result;
    }
    return 0;
}

/* Forwards what a queue has received, up to a batch. Returns how many packets there were, or a negative errno. */
static int balance_batch(struct program *program, struct queue *queue)
{
    struct fluxcap_packet packets[BATCH], others[BATCH];
    uint32_t left = 0;

    int result = send_unsent(queue);
    if (result < 0 || queue->unsent_count > 0)
        return result;
    result = fluxcap_rx_recv(queue->rx, packets, BATCH, 0);
    if (result <= 0)
        return result;
    uint64_t now = milliseconds(program);
    for (int i = 0; i < result; i++) {
        if (balance(&program->balancer, packets[i].data, packets[i].len, now))
            queue->unsent[queue->unsent_count++] = packets[i];
        else
            others[left++] = packets[i];
    }
    int recycled = fluxcap_rx_recycle(queue->rx, others, left);
    int sent = send_unsent(queue);
    return recycled < 0 ? recycled : sent < 0 ? sent : result;
}

/* Waits until a queue has packets, or room for the packets that wait to be sent. */
static void wait_for_packets(const struct program *program)
{
    struct pollfd entries[MAX_QUEUES];

    for (uint32_t i = 0; i < program->count; i++) {
        const struct queue *queue = &program->queues[i];

        entries[i] = queue->unsent_count > 0 ? (struct pollfd){.fd = fluxcap_tx_fd(queue->tx), .events = POLLOUT}
                                             : (struct pollfd){.fd = fluxcap_rx_fd(queue->rx), .events = POLLIN};
    }
    poll(entries, program->count, SLICE_MS);
}

/* Handles a batch of each queue, and waits if there was none. Returns 0, or a negative errno. */
static int poll_once(struct program *program)
{
    int handled = 0;

    if (update_backends(&program->balancer, milliseconds(program))) {
        int result = probe(program);
        if (result < 0)
            return result;
    }
    for (uint32_t i = 0; i < program->count; i++) {
        int result = balance_batch(program, &program->queues[i]);
        if (result < 0)
            return result;
        handled += result;
    }
    /* A simulation has its own time, and must not wait for packets. */
    if (handled == 0 && program->neighbours == NULL)
        wait_for_packets(program);
    return 0;
}

static void print_statistics(const struct program *program)
{
    print_balancer(&program->balancer, milliseconds(program));
    print_queue_counters(program->queues, program->count);
    fflush(stdout);
}

/* Runs until a signal comes, or the simulation ends. Returns 0, or a negative errno. */
static int run(struct program *program)
{
    while (!stop_wanted) {
        if (report_wanted) {
            report_wanted = 0;
            print_statistics(program);
        }
        if (program->neighbours != NULL && !step_neighbours(program->neighbours))
            break;
        int result = poll_once(program);
        if (result == -ENETDOWN) {
            /* Packets in the TX ring leave when the link is up again. */
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        } else if (result < 0) {
            print_error();
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

    if (balancer->count == MAX_BACKENDS) {
        fprintf(stderr, "more than %d backends\n", MAX_BACKENDS);
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

/* Allocates the session table, and opens the sockets. */
static bool open_program(struct program *program, const struct fluxcap_config *config, bool all)
{
    program->balancer.sessions = (struct session *)calloc(SESSIONS, sizeof(struct session));
    if (program->balancer.sessions == NULL) {
        perror("sessions");
        return false;
    }
    int opened = open_queues(config, all, program->queues, program->balancer.mac);
    program->count = opened < 0 ? 0 : (uint32_t)opened;
    assign_buckets(&program->balancer);
    return opened > 0;
}

static void usage(FILE *file, const char *name)
{
    fprintf(file,
            "usage: %s -i INTERFACE -s SERVICE -b BACKEND [-b BACKEND...] [OPTION...]\n"
            "       %s --sim [--record FILE] [OPTION...]\n"
            "Spreads the TCP and UDP flows of IPv4 clients over backends in the same network.\n\n"
            "  -i, --interface NAME   the interface, towards clients and backends\n"
            "  -s, --service ADDRESS  where clients find the service: an address that the kernel does not have, and a\n"
            "                         port below %d\n"
            "  -b, --backend ADDRESS  address and port of a backend; repeat it for each\n"
            "      --down-after SECS  seconds of silence after which a backend is down and its flows move (3)\n"
            "  -q, --queue NUMBER     receive on this queue only (default: all queues)\n"
            "      --sim              use a simulated link with clients and backends; needs no root\n"
            "      --record FILE      write what the simulated link carries into a capture file\n"
            "      --mac MAC          the Ethernet address of the simulated link (02:00:00:00:00:01)\n"
            "  -h, --help             this text\n\n"
            "It takes every packet of its queues: do not use an interface that you are logged in through.\n"
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
    bool all = true;
    int option;

    while ((option = getopt_long(argc, argv, "i:s:b:q:h", options, NULL)) != -1) {
        switch (option) {
        case 'i': config.ifname = optarg; break;
        case 's': read_address(optarg, FIRST_PORT - 1, balancer->ip, &balancer->port); break;
        case 'b': add_backend(balancer, optarg); break;
        case OPTION_DOWN_AFTER: balancer->down_after = number("a time", optarg, 1, 86400) * UINT64_C(1000); break;
        case 'q':
            config.queue = number("a queue", optarg, 0, UINT16_MAX);
            all = false;
            break;
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

    /* On the simulated link packets arrive on one queue only. */
    all = all && !simulation.wanted;
    config.frames = all ? FRAMES_PER_QUEUE : 0;
    catch_signals();
    bool good = (!simulation.wanted || simulate_link(&simulation, &config, 0)) && open_program(&program, &config, all);
    if (good) {
        printf("%u backends, ", balancer->count);
        print_queues(config.queue, program.count);
        printf("\n");
        fflush(stdout);
        if (simulation.wanted) {
            init_neighbours(&neighbours, &simulation, config.queue, balancer);
            program.neighbours = &neighbours;
        }
        good = run(&program) == 0;
        good = flush_queues(program.queues, program.count) && good;
        print_statistics(&program);
        good = close_queues(program.queues, program.count) && good;
        if (simulation.wanted)
            good = finish(&neighbours) && good;
    }
    free(balancer->sessions);
    if (simulation.wanted)
        good = simulation_end(&simulation) && good;
    return good ? 0 : 1;
}
