/*
 * A firewall in a cable: passes packets on between two interfaces, both ways, as a small file of rules says. Mode A: the two sockets
 * share their memory and are the ports of one engine, so that a packet leaves from the frame that it came in.
 *
 *     cc -O2 firewall_engine.c -o firewall_engine $(pkg-config --cflags --libs fluxcap)
 *
 * A TCP or UDP packet of a stack on the same machine, in a container or a virtual machine, comes without its checksum: veth and virtio
 * promise to compute it, and the stack takes them at their word. Sent on from here it would arrive damaged, so its checksum is finished.
 *
 * With --sim it needs no root and no network: it stands between two simulated links, with a little traffic.
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

enum { ETHERNET_LENGTH = 14, FRAMES = 16384, OPTION_SIM = 1000, OPTION_KEEP };

struct totals {
    uint64_t passed, denied, malformed, completed;
};

struct firewall {
    struct rules rules;
    bool keep_checksums;
    struct totals totals[PORTS]; /* by the port that the packets came in through */
};

/* The engine that a signal stops. A stop between two runs is remembered, so none is lost. */
static struct fluxcap_engine *engine;
static volatile sig_atomic_t reload_wanted;

static void on_wake_signal(int number)
{
    if (number == SIGHUP)
        reload_wanted = 1;
    else
        on_signal(number);
    fluxcap_engine_stop(engine); /* one of the few functions that may be called here */
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

/* Headers with others behind them: of fragments, of long chains, of authenticated packets. */
static bool hides(uint8_t protocol)
{
    return protocol == 0 || protocol == 43 || protocol == 44 || protocol == 51 || protocol == 60;
}

static void look_at_ports(struct facts *facts, const uint8_t *message, size_t length)
{
    facts->hides_protocol = hides(facts->protocol);
    if ((facts->protocol != 6 && facts->protocol != 17 && facts->protocol != 132) || length < 4)
        return;
    facts->has_ports = true;
    facts->ports[SOURCE] = (uint16_t)(message[0] << 8 | message[1]);
    facts->ports[DESTINATION] = (uint16_t)(message[2] << 8 | message[3]);
}

/* Finds out what rules look at. VLAN tags are passed over. False for what claims to be IP and is not. */
static bool look(struct facts *facts, const uint8_t *data, size_t length)
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
        /* A fragment has no ports here, even if it is the first. */
        bool is_fragment = ipv4.more_fragments || ipv4.fragment_offset != 0;
        look_at_ports(facts, data + at + header, is_fragment ? 0 : ipv4.total_length - (size_t)header);
    } else if (ethernet.ether_type == 0x86dd) {
        int header = fluxcap_ipv6_header_parse(data + at, length - at, &ipv6);

        if (header < 0)
            return false;
        facts->kind = KIND_IPV6;
        bool is_fragment = ipv6.more_fragments || ipv6.fragment_offset != 0;
        facts->protocol = is_fragment ? 44 : ipv6.protocol;
        facts->addresses[SOURCE] = data + at + 8;
        facts->addresses[DESTINATION] = data + at + 24;
        look_at_ports(facts, data + at + header, 40 + (size_t)ipv6.payload_length - (size_t)header);
    } else {
        facts->kind = ethernet.ether_type == 0x0806 ? KIND_ARP : KIND_OTHER;
    }
    return true;
}

/* What the engine calls with each batch: those that pass leave through the other port, the others stay. */
static int filter(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    struct firewall *firewall = user;
    struct totals *totals = &firewall->totals[port];

    /* Another core has copied the packets: the waits for them overlap like this. */
    for (uint32_t i = 0; i < count; i++)
        __builtin_prefetch(packets[i].data);
    for (uint32_t i = 0; i < count; i++) {
        struct fluxcap_packet_ref *packet = &packets[i];
        struct facts facts = {.kind = 0};

        if (!look(&facts, packet->data, packet->len)) {
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
        packet->verdict = FLUXCAP_SEND + (1 - port);
    }
    return 0;
}

static void print_statistics(const struct firewall *firewall)
{
    char text[1024];

    for (unsigned i = 0; i <= firewall->rules.count; i++) {
        const struct rule *rule = &firewall->rules.rules[i];

        printf("%14" PRIu64 " packets %14" PRIu64 " bytes  %s\n", rule->packets, rule->bytes, rule->text);
    }
    for (int port = 0; port < PORTS; port++) {
        const struct totals *totals = &firewall->totals[port];
        struct fluxcap_statistics kernel = {.struct_size = sizeof(kernel)};

        printf("%d > %d: passed %" PRIu64 ", denied %" PRIu64 " (%" PRIu64 " malformed), checksums completed %" PRIu64 "\n",
               port, 1 - port, totals->passed, totals->denied, totals->malformed, totals->completed);
        if (fluxcap_raw_get_statistics(fluxcap_engine_port(engine, (uint32_t)port), &kernel) == 0)
            printf("kernel, port %d: dropped %" PRIu64 ", RX ring full %" PRIu64 ", fill ring empty %" PRIu64 "\n", port,
                   kernel.rx_dropped, kernel.rx_ring_full, kernel.rx_fill_ring_empty_descs);
    }
    if (fluxcap_engine_format_statistics(engine, text, sizeof(text)) >= 0)
        printf("%s\n", text);
    fflush(stdout);
}

/* The old rules stay when the new ones are wrong. */
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

/* Passes packets on until a signal ends the program. Returns 0, or a negative errno. */
static int run(struct firewall *firewall, const char *rules, int interval_ms)
{
    while (!stop_wanted) {
        /* Every signal ends a run, and so does the interval; -1: there is none. */
        int result = fluxcap_engine_run_for(engine, interval_ms, filter, firewall);

        if (result == -ENETDOWN) {
            /* What waits in the TX ring leaves when the line is up again. */
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
            continue;
        }
        if (result < 0) {
            complain();
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

/* Opens two sockets on one memory, and makes them the ports of an engine. */
static bool open_engine(const struct fluxcap_config *configs, const struct fluxcap_engine_config *engine_config,
                        struct fluxcap_umem **umem)
{
    struct fluxcap_raw *raws[PORTS] = {NULL, NULL};
    struct fluxcap_config second = configs[1];
    bool good = fluxcap_open(&configs[0], &raws[0]) == 0 && fluxcap_raw_get_umem(raws[0], umem) == 0;

    if (good) {
        second.umem = *umem;
        good = fluxcap_open(&second, &raws[1]) == 0;
    }
    if (good) {
        print_text(raws[0], fluxcap_raw_format_report);
        print_text(raws[1], fluxcap_raw_format_report);
        good = fluxcap_engine_create(raws, PORTS, engine_config, &engine) == 0;
    }
    if (!good) {
        complain();
        fluxcap_raw_free(raws[0]);
        fluxcap_raw_free(raws[1]);
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
            "Passes packets on between two interfaces, both ways, as the rules say.\n\n"
            "  -r, --rules FILE       the rules, see below and examples/firewall.rules\n"
            "  -q, --queue NUMBER     the queue to bind to, at both interfaces (0)\n"
            "  -p, --poller POLLER    how to wait for packets: busy, wait or adaptive (adaptive)\n"
            "  -I, --interval SECONDS print statistics this often\n"
            "      --keep-checksums   do not finish checksums that a stack has left to its card\n"
            "      --sim              no interfaces and no root: two simulated links with a little traffic\n"
            "  -h, --help             this text\n\n"
            "It takes every packet of its queue: do not use an interface that you are logged in through.\n"
            "A file of rules has a rule in each line. The first that matches a packet decides:\n"
            "  allow|deny PROTOCOL [from ADDRESS [port PORTS]] [to ADDRESS [port PORTS]] [both ways]\n"
            "  default allow|deny     what no rule matches; without this line: deny\n"
            "PROTOCOL is tcp, udp, icmp, arp, other (neither IP nor ARP), any, or the number of an IP protocol; ADDRESS is any,\n"
            "an IPv4 or IPv6 address or a prefix; PORTS is one port or a range. What fragments hide, 'deny' takes for what it\n"
            "denies, and 'allow' never for what it allows. What claims to be IP and is not never passes.\n\n"
            "SIGHUP reads the rules anew, and keeps the old ones when it cannot. SIGUSR1 prints the statistics, SIGINT and\n"
            "SIGTERM end the program. Cards must take packets that are not for them, and leave VLAN tags alone:\n"
            "  ip link set NAME promisc on; ethtool -K NAME gro off lro off rxvlan off txvlan off\n"
            "and at the other end of a veth pair, where VLAN tags are sent: ethtool -K PEER tx-vlan-hw-insert off\n",
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
    /* TCP sends some thousand packets in a row: they wait here while this program does not run. */
    struct fluxcap_config config = {.struct_size = sizeof(config), .frames = FRAMES, .fill_size = 4096, .rx_size = 4096};
    struct fluxcap_config configs[PORTS] = {config, config};
    struct fluxcap_engine_config engine_config = {.struct_size = sizeof(engine_config)};
    struct firewall firewall = {.keep_checksums = false};
    struct fluxcap_link *links[PORTS] = {NULL, NULL};
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_umem *umem = NULL;
    const char *rules = NULL;
    bool simulated = false;
    int option, interval_ms = -1;

    while ((option = getopt_long(argc, argv, "r:q:p:I:h", options, NULL)) != -1) {
        switch (option) {
        case 'r': rules = optarg; break;
        case 'q': configs[0].queue = configs[1].queue = number("a queue", optarg, 0, UINT16_MAX); break;
        case 'p': engine_config.poller = poller(optarg); break;
        case 'I': interval_ms = (int)number("an interval", optarg, 1, 86400) * 1000; break;
        case OPTION_KEEP: firewall.keep_checksums = true; break;
        case OPTION_SIM: simulated = true; break;
        case 'h': usage(stdout, argv[0]); return 0;
        default: usage(stderr, argv[0]); return 2;
        }
    }
    if (argc - optind != (simulated ? 0 : PORTS) || (rules == NULL && !simulated)) {
        usage(stderr, argv[0]);
        return 2;
    }
    if (simulated)
        configs[0].queue = configs[1].queue = 0;
    for (int port = 0; port < PORTS && !simulated; port++)
        configs[port].ifname = argv[optind + port];

    bool good = rules != NULL ? read_rules(&firewall, rules) : sample_rules(&firewall);
    good = good && (!simulated || simulate_links(configs, &sim, links)) && open_engine(configs, &engine_config, &umem);
    if (good) {
        catch_wake_signals();
        printf("%u rules between the two interfaces\n", firewall.rules.count);
        fflush(stdout);
        if (simulated)
            good = simulate(sim, links, engine, filter, &firewall) == firewall.totals[0].passed + firewall.totals[1].passed;
        else
            good = run(&firewall, rules, interval_ms) == 0;
        print_statistics(&firewall);
        good = umem_adds_up(umem) && good;
    }
    /* No handler may find an engine that is gone. */
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    fluxcap_engine_free(engine);
    fluxcap_umem_free(umem);
    fluxcap_link_free(links[0]);
    fluxcap_link_free(links[1]);
    fluxcap_sim_free(sim);
    rules_free(&firewall.rules);
    return good ? 0 : 1;
}
