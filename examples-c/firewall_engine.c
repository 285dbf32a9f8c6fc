/* cc -O2 firewall_engine.c -o firewall_engine $(pkg-config --cflags --libs fluxcap) */

/*
 * A firewall between two interfaces: forwards packets both ways if a file of rules allows them (mode A).
 *
 * Opens a socket on each queue of both interfaces, or on the one that -q names; all sockets are ports of one engine. With one queue each,
 * the two sockets share one UMEM and packets are forwarded without a copy. With several queues each socket has a UMEM of its own, and the
 * engine copies what it forwards.
 *
 * A sender on the same machine (a container, a virtual machine) leaves TCP and UDP checksums to its device. The device here is veth or
 * virtio, which leaves them unfinished, so the firewall finishes them before it forwards a packet.
 *
 * --sim needs no root and no network: the firewall stands between two simulated links, with a little traffic.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fluxcap.h>
#include <getopt.h>
#include <inttypes.h>
#include <time.h>

#include "firewall_rules.h"
#include "firewall_sim.h"
#include "program.h"

enum { ETHERNET_LENGTH = 14, OPTION_SIM = 1000, OPTION_KEEP };

struct totals {
    uint64_t passed, denied, malformed, completed;
};

struct firewall {
    struct rules rules;
    bool keep_checksums;
    uint32_t queues[SIDES];      /* ports 0 to queues[0] - 1 are those of the first interface */
    struct totals totals[SIDES]; /* by the interface that the packets came in through */
};

/* The engine that a signal stops. A stop between two runs ends the next run, so none is lost. */
static struct fluxcap_engine *engine;
static volatile sig_atomic_t reload_wanted;

static void on_wake_signal(int number)
{
    if (number == SIGHUP)
        reload_wanted = 1;
    else
        on_signal(number);
    fluxcap_engine_stop(engine); /* may be called in a signal handler */
}

static void catch_wake_signals(void)
{
    const int numbers[] = {SIGINT, SIGTERM, SIGUSR1, SIGHUP};
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_wake_signal;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaction(numbers[i], &action, NULL);
}

/* Extension, fragment and authentication headers: the protocol of the packet comes after them. */
static bool is_extension(uint8_t protocol)
{
    return protocol == 0 || protocol == 43 || protocol == 44 || protocol == 51 || protocol == 60;
}

static void classify_ports(struct facts *facts, const uint8_t *message, size_t length)
{
    facts->hides_protocol = is_extension(facts->protocol);
    if ((facts->protocol != 6 && facts->protocol != 17 && facts->protocol != 132) || length < 4)
        return;
    facts->has_ports = true;
    facts->ports[SOURCE] = (uint16_t)(message[0] << 8 | message[1]);
    facts->ports[DESTINATION] = (uint16_t)(message[2] << 8 | message[3]);
}

/* Reads the fields that rules compare, behind up to two VLAN tags. Returns false for a malformed packet. */
static bool classify(struct facts *facts, const uint8_t *data, size_t length)
{
    struct fluxcap_ethernet_header ethernet;
    struct fluxcap_vlan_header vlan;
    struct fluxcap_ipv4_header ipv4;
    struct fluxcap_ipv6_header ipv6;
    size_t at = ETHERNET_LENGTH;

    if (fluxcap_ethernet_header_parse(data, length, &ethernet) < 0)
        return false;
    for (int tags = 0; tags < 2 && (ethernet.ether_type == 0x8100 || ethernet.ether_type == 0x88a8); tags++) {
        if (fluxcap_vlan_header_parse(data + at, length - at, &vlan) < 0)
            return false;
        ethernet.ether_type = vlan.ether_type;
        at += 4;
    }
    if (ethernet.ether_type == 0x0800) {
        int header = fluxcap_ipv4_header_parse(data + at, length - at, &ipv4);

        if (header < 0)
            return false;
        facts->kind = KIND_IPV4;
        facts->protocol = ipv4.protocol;
        facts->addresses[SOURCE] = data + at + 12;
        facts->addresses[DESTINATION] = data + at + 16;
        /* Fragments count as packets without ports, even the first one. */
        bool is_fragment = ipv4.more_fragments || ipv4.fragment_offset != 0;
        classify_ports(facts, data + at + header, is_fragment ? 0 : ipv4.total_length - (size_t)header);
    } else if (ethernet.ether_type == 0x86dd) {
        int header = fluxcap_ipv6_header_parse(data + at, length - at, &ipv6);

        if (header < 0)
            return false;
        facts->kind = KIND_IPV6;
        bool is_fragment = ipv6.more_fragments || ipv6.fragment_offset != 0;
        facts->protocol = is_fragment ? 44 : ipv6.protocol;
        facts->addresses[SOURCE] = data + at + 8;
        facts->addresses[DESTINATION] = data + at + 24;
        classify_ports(facts, data + at + header, 40 + (size_t)ipv6.payload_length - (size_t)header);
    } else {
        facts->kind = ethernet.ether_type == 0x0806 ? KIND_ARP : KIND_OTHER;
    }
    return true;
}

/* The engine calls this with each batch. Packets that pass leave through the other interface, the others are recycled. */
static int filter(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    struct firewall *firewall = user;
    uint32_t here = port >= firewall->queues[0], there = 1 - here;
    /* All packets of a queue leave through the same queue, so the packets of a flow stay in order. */
    uint32_t queue = port - here * firewall->queues[0];
    uint32_t exit_port = there * firewall->queues[0] + queue % firewall->queues[there];
    struct totals *totals = &firewall->totals[here];

    /* The packets are in the cache of another core: fetch them all at once. */
    for (uint32_t i = 0; i < count; i++)
        __builtin_prefetch(packets[i].data);
    for (uint32_t i = 0; i < count; i++) {
        struct fluxcap_packet_ref *packet = &packets[i];
        struct facts facts = {.kind = 0};

        if (!classify(&facts, packet->data, packet->len)) {
            totals->malformed++;
            totals->denied++;
            continue;
        }
        struct rule *rule = rules_decide(&firewall->rules, &facts);
        rule->packets++;
        rule->bytes += packet->len;
        if (!rule->allow) {
            totals->denied++;
            continue;
        }
        totals->passed++;
        if (!firewall->keep_checksums && fluxcap_checksum_complete(packet->data, packet->len) == 1)
            totals->completed++;
        packet->verdict = FLUXCAP_SEND + exit_port;
    }
    return 0;
}

/* Prints what the kernel counted for the sockets of an interface. */
static void print_kernel_counters(const struct firewall *firewall, int side)
{
    uint32_t port = side == 0 ? 0 : firewall->queues[0], end = port + firewall->queues[side];
    uint64_t dropped = 0, full = 0, empty = 0;

    for (; port < end; port++) {
        struct fluxcap_statistics kernel = {.struct_size = sizeof(kernel)};

        if (fluxcap_raw_get_statistics(fluxcap_engine_port(engine, port), &kernel) == 0) {
            dropped += kernel.rx_dropped;
            full += kernel.rx_ring_full;
            empty += kernel.rx_fill_ring_empty_descs;
        }
    }
    printf("kernel, interface %d: dropped %" PRIu64 ", RX ring full %" PRIu64 ", fill ring empty %" PRIu64 "\n", side, dropped, full,
           empty);
}

static void print_statistics(const struct firewall *firewall)
{
    char text[8192];

    for (unsigned i = 0; i <= firewall->rules.count; i++) {
        const struct rule *rule = &firewall->rules.rules[i];

        printf("%14" PRIu64 " packets %14" PRIu64 " bytes  %s\n", rule->packets, rule->bytes, rule->text);
    }
    for (int side = 0; side < SIDES; side++) {
        const struct totals *totals = &firewall->totals[side];

        printf("%d > %d: passed %" PRIu64 ", denied %" PRIu64 " (%" PRIu64 " malformed), checksums completed %" PRIu64 "\n",
               side, 1 - side, totals->passed, totals->denied, totals->malformed, totals->completed);
        print_kernel_counters(firewall, side);
    }
    if (fluxcap_engine_format_statistics(engine, text, sizeof(text)) >= 0)
        printf("%s\n", text);
    fflush(stdout);
}

/* Reads the rules. If they are wrong, the old ones stay. */
static bool read_rules(struct firewall *firewall, const char *name)
{
    struct rules rules;
    FILE *file = fopen(name, "r");
    bool good = false;

    if (file == NULL) {
        fprintf(stderr, "%s: %s\n", name, strerror(errno));
    } else {
        good = rules_read(&rules, file, name);
        fclose(file);
    }
    if (good) {
        rules_free(&firewall->rules);
        firewall->rules = rules;
        printf("%u rules\n", rules.count);
    } else if (firewall->rules.rules != NULL) {
        fprintf(stderr, "the old rules stay\n");
    }
    fflush(stdout);
    return good;
}

/* Forwards packets until a signal ends the program. Returns 0, or a negative errno. */
static int run(struct firewall *firewall, const char *rules, int interval_ms)
{
    while (!stop_wanted) {
        /* A signal ends the run, and so does the end of the interval (-1: no interval). */
        int result = fluxcap_engine_run_for(engine, interval_ms, filter, firewall);

        if (result == -ENETDOWN) {
            /* Packets in the TX ring leave when the link is up again. */
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
            continue;
        }
        if (result < 0) {
            print_error();
            return result;
        }
        if (reload_wanted) {
            reload_wanted = 0;
            read_rules(firewall, rules);
        }
        if (report_wanted || interval_ms > 0) {
            report_wanted = 0;
            print_statistics(firewall);
        }
    }
    return 0;
}

/* Opens the sockets of both interfaces. Returns how many there are, or a negative errno. */
static int open_sides(struct firewall *firewall, struct fluxcap_config *configs, bool all, struct fluxcap_raw **raws)
{
    int here = open_sockets(&configs[0], all, MAX_QUEUES, raws), there = -ENOSPC;
    struct fluxcap_umem *umem = NULL;

    if (here < 0)
        return here;
    if (here == 1 && fluxcap_raw_get_umem(raws[0], &umem) == 0) {
        configs[1].umem = umem;
        there = open_sockets(&configs[1], all, 1, raws + here);
        fluxcap_umem_free(umem);
    }
    if (there < 0 && all) {
        /* The second interface has several queues: each socket gets a UMEM of its own. */
        configs[1].umem = NULL;
        there = open_sockets(&configs[1], all, MAX_QUEUES, raws + here);
    }
    firewall->queues[0] = (uint32_t)here;
    firewall->queues[1] = there < 0 ? 0 : (uint32_t)there;
    return there < 0 ? there : here + there;
}

/* Opens the sockets, and makes them the ports of an engine. */
static bool open_engine(struct firewall *firewall, struct fluxcap_config *configs, bool all,
                        const struct fluxcap_engine_config *engine_config)
{
    struct fluxcap_raw *raws[SIDES * MAX_QUEUES] = {NULL};
    int count = open_sides(firewall, configs, all, raws);
    bool good = count > 0;

    if (good) {
        print_text(raws[0], fluxcap_raw_format_report);
        print_text(raws[firewall->queues[0]], fluxcap_raw_format_report);
        good = fluxcap_engine_create(raws, (uint32_t)count, engine_config, &engine) == 0;
    }
    if (!good) {
        print_error();
        for (int i = 0; i < SIDES * MAX_QUEUES; i++)
            fluxcap_raw_free(raws[i]);
    }
    return good;
}

/* Returns whether no frame of any UMEM was lost. */
static bool all_conserved(const struct firewall *firewall)
{
    bool good = true;

    for (uint32_t port = 0; port < firewall->queues[0] + firewall->queues[1]; port++) {
        struct fluxcap_umem *umem = NULL;

        good = fluxcap_raw_get_umem(fluxcap_engine_port(engine, port), &umem) == 0 && umem_is_conserved(umem) && good;
        fluxcap_umem_free(umem);
    }
    return good;
}

/* The rules of --sim, when no file is given. */
static bool sample_rules(struct firewall *firewall)
{
    static char text[] = "default deny\nallow arp\ndeny any from 192.0.2.0/24\nallow udp to any port 53 both ways\n";
    FILE *file = fmemopen(text, sizeof(text) - 1, "r");
    bool good = file != NULL && rules_read(&firewall->rules, file, "sample");

    if (file != NULL)
        fclose(file);
    return good;
}

static void usage(FILE *file, const char *program)
{
    fprintf(file,
            "usage: %s INTERFACE INTERFACE --rules FILE [OPTION...]\n"
            "       %s --sim [--rules FILE] [OPTION...]\n"
            "Forwards packets between two interfaces, both ways, if the rules allow them.\n\n"
            "  -r, --rules FILE       the rules, see below and examples/firewall.rules\n"
            "  -q, --queue NUMBER     receive on this queue only, at both interfaces (default: all queues)\n"
            "  -p, --poller POLLER    how to wait for packets: busy, wait or adaptive (adaptive)\n"
            "  -I, --interval SECONDS print statistics this often\n"
            "      --keep-checksums   do not finish checksums that a sender left to its device\n"
            "      --sim              use two simulated links with a little traffic; needs no root\n"
            "  -h, --help             this text\n\n"
            "It takes every packet of its queues: do not use an interface that you are logged in through.\n"
            "The file has a rule a line. The first rule that matches a packet decides:\n"
            "  allow|deny PROTOCOL [from ADDRESS [port PORTS]] [to ADDRESS [port PORTS]] [both ways]\n"
            "  default allow|deny     for packets that no rule matches; without this line: deny\n"
            "PROTOCOL is tcp, udp, icmp, arp, other (neither IP nor ARP), any, or the number of an IP protocol; ADDRESS is any,\n"
            "an IPv4 or IPv6 address or a prefix; PORTS is one port or a range. With 'both ways' the answers match, too.\n"
            "Fragments may hide ports or protocol: a deny rule that asks for these then matches, an allow rule does not.\n"
            "Malformed IP packets never pass. Rules look behind VLAN tags.\n\n"
            "SIGHUP reloads the rules; if they are wrong, the old ones stay. SIGUSR1 prints the statistics, SIGINT and SIGTERM\n"
            "end the program. Cards must take packets that are not for them, and leave VLAN tags in the packets, or tagged packets\n"
            "are forwarded without their tag:\n"
            "  ip link set NAME promisc on; ethtool -K NAME gro off lro off rxvlan off txvlan off\n"
            "and at the other end of a veth pair, if VLAN tags are sent there: ethtool -K PEER tx-vlan-hw-insert off\n",
            program, program);
}

static uint32_t poller(const char *name)
{
    if (strcmp(name, "busy") == 0)
        return FLUXCAP_POLLER_BUSY;
    if (strcmp(name, "wait") == 0)
        return FLUXCAP_POLLER_WAIT;
    if (strcmp(name, "adaptive") != 0) {
        fprintf(stderr, "there is no poller '%s'\n", name);
        exit(2);
    }
    return FLUXCAP_POLLER_ADAPTIVE;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"rules", required_argument, NULL, 'r'},
        {"queue", required_argument, NULL, 'q'},
        {"poller", required_argument, NULL, 'p'},
        {"interval", required_argument, NULL, 'I'},
        {"keep-checksums", no_argument, NULL, OPTION_KEEP},
        {"sim", no_argument, NULL, OPTION_SIM},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    /* TCP sends thousands of packets in a row: there is room for them while this program does not run. */
    struct fluxcap_config config = {.struct_size = sizeof(config), .frames = 8192, .fill_size = 4096, .rx_size = 4096};
    struct fluxcap_config configs[SIDES] = {config, config};
    struct fluxcap_engine_config engine_config = {.struct_size = sizeof(engine_config), .copying = 1};
    struct firewall firewall = {.keep_checksums = false};
    struct fluxcap_link *links[SIDES] = {NULL, NULL};
    struct fluxcap_sim *sim = NULL;
    const char *rules = NULL;
    bool simulated = false, all = true;
    int option, interval_ms = -1;

    while ((option = getopt_long(argc, argv, "r:q:p:I:h", options, NULL)) != -1) {
        switch (option) {
        case 'r': rules = optarg; break;
        case 'q':
            configs[0].queue = configs[1].queue = number("a queue", optarg, 0, UINT16_MAX);
            all = false;
            break;
        case 'p': engine_config.poller = poller(optarg); break;
        case 'I': interval_ms = (int)number("an interval", optarg, 1, 86400) * 1000; break;
        case OPTION_KEEP: firewall.keep_checksums = true; break;
        case OPTION_SIM: simulated = true; break;
        case 'h': usage(stdout, argv[0]); return 0;
        default: usage(stderr, argv[0]); return 2;
        }
    }
    if (argc - optind != (simulated ? 0 : SIDES) || (rules == NULL && !simulated)) {
        usage(stderr, argv[0]);
        return 2;
    }
    if (simulated)
        configs[0].queue = configs[1].queue = 0;
    for (int side = 0; side < SIDES && !simulated; side++)
        configs[side].ifname = argv[optind + side];

    bool good = rules != NULL ? read_rules(&firewall, rules) : sample_rules(&firewall);
    good = good && (!simulated || simulate_links(configs, &sim, links)) && open_engine(&firewall, configs, all, &engine_config);
    if (good) {
        catch_wake_signals();
        printf("%u rules between the two interfaces, which have %u and %u queues here\n", firewall.rules.count, firewall.queues[0],
               firewall.queues[1]);
        fflush(stdout);
        if (simulated)
            good = simulate(sim, links, engine, filter, &firewall) == firewall.totals[0].passed + firewall.totals[1].passed;
        else
            good = run(&firewall, rules, interval_ms) == 0;
        print_statistics(&firewall);
        good = all_conserved(&firewall) && good;
    }
    /* A handler must not stop an engine that is freed. */
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    fluxcap_engine_free(engine);
    fluxcap_link_free(links[0]);
    fluxcap_link_free(links[1]);
    fluxcap_sim_free(sim);
    rules_free(&firewall.rules);
    return good ? 0 : 1;
}
