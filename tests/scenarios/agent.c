/* The C face of the library, for the scenarios: reads commands on standard input, one a line, and answers each on standard output.
 *
 * A command is a word and its numbers or names; where it says so, packets follow. The answer is "ok" with numbers, or "error", an errno and
 * its text; where it says so, packets follow. A packet is its length in four bytes, and its bytes. The end of the input
 * closes everything. Sockets have numbers, which the commands choose.
 *
 * Everything here is C11 and C++17. */
#ifndef _GNU_SOURCE /* C++ compilers define it themselves */
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fluxcap.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* An initializer of zeros. */
#ifdef __cplusplus
#define ZEROS {}
#else
#define ZEROS {0}
#endif

#define SOCKETS 64
#define LINKS 128
#define PACKETS 16384
#define LONGEST 65536
#define FLOOD 64

/* How a socket is used: by Mode A, B or C. */
enum mode { ENGINE, HALVES, RAW };

/* One socket. */
struct end {
    enum mode mode;
    /* RAW; ENGINE before the first turn. */
    struct fluxcap_raw *raw;
    /* HALVES. */
    struct fluxcap_rx *rx;
    struct fluxcap_tx *tx;
    /* HALVES: what came while it waited. */
    struct fluxcap_packet early[FLOOD];
    uint32_t early_count;
    /* ENGINE, which may have other ports. */
    struct fluxcap_engine *engine;
    uint32_t port;
    struct fluxcap_umem *umem;
    /* The socket that the UMEM was made for. */
    uint32_t owner;
    /* The packets in the user's hands: `count` of them, from `first` on. */
    struct fluxcap_packet held[512];
    uint32_t first, count;
    /* A thread that sends and receives. */
    pthread_t thread;
    /* HALVES: one that sends alone. */
    pthread_t sender;
    bool working, sending;
    bool stop;
    uint64_t received;
    uint8_t frames[FLOOD][256];
    uint32_t lengths[FLOOD];
    uint32_t frame_count;
};

struct named_link {
    char name[32];
    struct fluxcap_link *link;
};

static struct end *ends[SOCKETS];
static struct fluxcap_sim *sim;
static struct named_link links[LINKS];
static uint32_t link_count;
/* The packets of one command. */
static struct fluxcap_packet packets[PACKETS];
/* The packets of one answer. */
static uint8_t *answer;
static size_t answer_size, answer_room;

/* What the harness must not do. */
static void give_up(const char *what)
{
    fprintf(stderr, "agent: %s\n", what);
    exit(2);
}

static void ok(const uint64_t *numbers, uint32_t count)
{
    printf("ok");
    for (uint32_t i = 0; i < count; i++)
        printf(" %" PRIu64, numbers[i]);
    printf("\n");
    if (answer_size > 0)
        fwrite(answer, 1, answer_size, stdout);
    answer_size = 0;
    fflush(stdout);
}

static void ok_number(uint64_t number)
{
    ok(&number, 1);
}

static void error(int result, const char *text)
{
    answer_size = 0;
    printf("error %d ", -result);
    for (; *text != '\0'; text++)
        putchar(*text == '\n' ? ' ' : *text);
    printf("\n");
    fflush(stdout);
}

/* A result of the library: a count, or an error. */
static void ok_or_error(int result)
{
    if (result < 0)
        error(result, fluxcap_last_error());
    else
        ok_number((uint64_t)result);
}

static void answer_packet(const uint8_t *data, uint32_t len)
{
    if (answer_room - answer_size < sizeof(len) + len) {
        answer_room = 2 * answer_room + sizeof(len) + len;
        answer = (uint8_t *)realloc(answer, answer_room);
        if (answer == NULL)
            give_up("out of memory");
    }
    memcpy(answer + answer_size, &len, sizeof(len));
    memcpy(answer + answer_size + sizeof(len), data, len);
    answer_size += sizeof(len) + len;
}

/* Reads a packet of a command; returns its length. */
static uint32_t read_packet(uint8_t *data, uint32_t room)
{
    uint32_t len;

    if (fread(&len, sizeof(len), 1, stdin) != 1 || len > room || fread(data, 1, len, stdin) != len)
        give_up("a packet does not fit");
    return len;
}

/* The next word of the command's line. */
static const char *word(void)
{
    const char *next = strtok(NULL, " \n");

    if (next == NULL)
        give_up("a word is missing");
    return next;
}

static uint32_t number(void)
{
    return (uint32_t)strtoul(word(), NULL, 10);
}

static struct end *any_end(void)
{
    uint32_t id = number();

    if (id >= SOCKETS || ends[id] == NULL)
        give_up("no such socket");
    return ends[id];
}

static bool is_open(const struct end *end)
{
    return end->raw != NULL || end->rx != NULL || end->engine != NULL;
}

static struct end *open_end(void)
{
    struct end *end = any_end();

    if (!is_open(end))
        give_up("the socket is closed");
    return end;
}

/* The socket, to look at. */
static const struct fluxcap_raw *seen(const struct end *end)
{
    return end->engine != NULL ? fluxcap_engine_port(end->engine, end->port) : end->raw;
}

/* A socket that engines have no part in. */
static void not_an_engine(const struct end *end)
{
    if (end->mode == ENGINE)
        give_up("an engine sends what it receives, and holds no packets");
}

static struct fluxcap_link *find_link(const char *name)
{
    for (uint32_t i = 0; i < link_count; i++)
        if (strcmp(links[i].name, name) == 0)
            return links[i].link;
    return NULL;
}

static struct fluxcap_link *named_link(void)
{
    struct fluxcap_link *link = find_link(word());

    if (link == NULL)
        give_up("no such link");
    return link;
}

/* sim THREAD: makes a simulated network, whose thread runs if asked for. */
static void make_sim(void)
{
    int result = fluxcap_sim_create(0, &sim);

    if (result == 0 && number() != 0)
        result = fluxcap_sim_start_thread(sim);
    ok_or_error(result);
}

/* pair ONE OTHER QUEUES MTU: two joined simulated NICs. */
static void add_pair(void)
{
    const char *names[2];
    struct fluxcap_sim_nic_config config = ZEROS;
    int result = 0;

    names[0] = word();
    names[1] = word();
    config.struct_size = sizeof(config);
    config.queues = number();
    config.mtu = number();
    if (link_count + 2 > LINKS)
        give_up("too many links");
    for (int i = 0; i < 2 && result == 0; i++) {
        struct named_link *link = &links[link_count];

        config.name = names[i];
        result = fluxcap_sim_add_nic(sim, &config, &link->link);
        if (result == 0) {
            snprintf(link->name, sizeof(link->name), "%s", names[i]);
            link_count++;
        }
    }
    if (result == 0)
        result = fluxcap_sim_join(sim, links[link_count - 2].link, links[link_count - 1].link);
    ok_or_error(result);
}

/* open SOCKET MODE LINK QUEUE FRAMES CHUNK HEADROOM FILL RX TX COMPLETION BUDGET WAKEUP PROGRAM XDP PATIENCE OTHER: on the UMEM of OTHER,
 * if that is another socket. */
static void open_socket(void)
{
    struct fluxcap_config config = ZEROS;
    struct fluxcap_raw *raw = NULL;
    uint32_t id = number();
    const char *mode = word(), *name = word();
    uint32_t owner;
    int result;

    if (id >= SOCKETS || ends[id] != NULL)
        give_up("no room for the socket");
    config.struct_size = sizeof(config);
    if (sim != NULL)
        config.link = find_link(name);
    else
        config.ifname = name;
    config.queue = number();
    config.frames = number();
    config.chunk_size = number();
    config.headroom = number();
    config.fill_size = number();
    config.rx_size = number();
    config.tx_size = number();
    config.completion_size = number();
    config.tx_budget = number();
    config.wakeup = number();
    config.program = number();
    config.xdp_mode = number();
    config.bind_patience_ms = number();
    owner = number();
    if (owner != id) {
        if (owner >= SOCKETS || ends[owner] == NULL)
            give_up("no such socket to share with");
        config.umem = ends[owner]->umem;
        owner = ends[owner]->owner;
    }
    result = fluxcap_open(&config, &raw);
    if (result == 0) {
        ends[id] = (struct end *)calloc(1, sizeof(struct end));
        if (ends[id] == NULL)
            give_up("out of memory");
        ends[id]->raw = raw;
        ends[id]->owner = owner;
        result = fluxcap_raw_get_umem(raw, &ends[id]->umem);
        if (strcmp(mode, "engine") == 0) {
            ends[id]->mode = ENGINE;
        } else if (strcmp(mode, "raw") == 0) {
            ends[id]->mode = RAW;
        } else if (strcmp(mode, "halves") == 0) {
            ends[id]->mode = HALVES;
            ends[id]->raw = NULL;
            if (fluxcap_raw_split(raw, &ends[id]->rx, &ends[id]->tx) < 0)
                give_up("the socket cannot be split");
            /* Scenarios have a patience of their own. */
            fluxcap_tx_set_patience(ends[id]->tx, -1);
        } else {
            give_up("unknown mode");
        }
    }
    ok_or_error(result);
}

/* Sends packets; returns how many were taken. */
static int transmit(struct end *end, struct fluxcap_packet *some, uint32_t count)
{
    int sent;

    not_an_engine(end);
    if (end->mode == RAW)
        return fluxcap_raw_send(end->raw, some, count);
    sent = fluxcap_tx_send(end->tx, some, count);
    if (sent == -ENETDOWN)
        /* Those that were taken stand in the ring. */
        for (sent = 0; (uint32_t)sent < count && some[sent].data == NULL;)
            sent++;
    return sent;
}

/* Receives packets as owned ones; returns how many. */
static int take(struct end *end, struct fluxcap_packet *some, uint32_t max)
{
    uint32_t count = end->early_count < max ? end->early_count : max;
    int more;

    not_an_engine(end);
    if (end->mode == RAW)
        return fluxcap_raw_recv(end->raw, some, max);
    memcpy(some, end->early, count * sizeof(*some));
    memmove(end->early, end->early + count, (end->early_count - count) * sizeof(*some));
    end->early_count -= count;
    more = fluxcap_rx_recv(end->rx, some + count, max - count, 0);
    return more < 0 ? more : (int)count + more;
}

/* Takes back what was sent; the number of packets that the TX ring has room for. */
static uint32_t room(struct end *end)
{
    struct fluxcap_rings rings = ZEROS;

    if (end->mode == HALVES) {
        fluxcap_tx_reap(end->tx);
        return (uint32_t)fluxcap_tx_room(end->tx);
    }
    fluxcap_raw_reap(end->raw);
    rings.struct_size = sizeof(rings);
    if (fluxcap_raw_get_rings(end->raw, &rings) < 0)
        give_up("the rings cannot be seen");
    return rings.tx.size - rings.tx.occupied;
}

static void swap(uint8_t *data, uint32_t len)
{
    if (fluxcap_ethernet_header_swap(data, len) < 0)
        give_up("not an Ethernet frame");
}

/* put SOCKET COUNT, packets: takes back what was sent, and puts packets into the TX ring. */
static void put(void)
{
    static uint8_t rest[LONGEST];
    struct end *end = open_end();
    uint32_t count = number();
    int fresh, sent = 0;

    if (count > PACKETS)
        give_up("too many packets");
    not_an_engine(end);
    if (end->mode == HALVES) {
        fluxcap_tx_reap(end->tx);
        fresh = fluxcap_tx_alloc(end->tx, packets, count);
    } else {
        fluxcap_raw_reap(end->raw);
        fresh = fluxcap_raw_alloc(end->raw, packets, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        if ((int)i < fresh)
            packets[i].len = read_packet(packets[i].data, LONGEST);
        else
            read_packet(rest, LONGEST);
    }
    if (fresh > 0) {
        sent = transmit(end, packets, (uint32_t)fresh);
        fluxcap_packets_free(packets, (uint32_t)fresh);
    }
    ok_or_error(fresh < 0 ? fresh : sent);
}

/* Consumes what is there, in place, as far as it stands in one piece. */
static uint32_t look(struct fluxcap_raw *raw, uint32_t max, bool tell)
{
    const struct fluxcap_desc *descs;
    int count = fluxcap_raw_peek(raw, max, &descs);

    for (int i = 0; tell && i < count; i++)
        answer_packet(fluxcap_raw_data(raw) + descs[i].addr, descs[i].len);
    if (count > 0 && fluxcap_raw_recycle_front(raw, (uint32_t)count) != count)
        give_up("not all packets were consumed");
    return count > 0 ? (uint32_t)count : 0;
}

/* Makes an engine of a socket, and of another one. */
static void make_engine(struct end *one, struct end *other)
{
    struct fluxcap_raw *raws[2];

    if (one->engine != NULL)
        return;
    raws[0] = one->raw;
    raws[1] = other != NULL ? other->raw : NULL;
    if (fluxcap_engine_create(raws, other != NULL ? 2 : 1, NULL, &one->engine) < 0)
        give_up("no engine");
    one->raw = NULL;
    if (other != NULL) {
        other->raw = NULL;
        other->engine = one->engine;
        other->port = 1;
    }
}

static int show(void *user, uint32_t port, struct fluxcap_packet_ref *refs, uint32_t count)
{
    (void)user;
    (void)port;
    for (uint32_t i = 0; i < count; i++)
        answer_packet(refs[i].data, refs[i].len);
    return 0;
}

static int send_back(void *user, uint32_t port, struct fluxcap_packet_ref *refs, uint32_t count)
{
    (void)user;
    for (uint32_t i = 0; i < count; i++) {
        swap(refs[i].data, refs[i].len);
        refs[i].verdict = FLUXCAP_SEND + port;
    }
    return 0;
}

static int cross(void *user, uint32_t port, struct fluxcap_packet_ref *refs, uint32_t count)
{
    (void)user;
    for (uint32_t i = 0; i < count; i++)
        refs[i].verdict = FLUXCAP_SEND + 1 - port;
    return 0;
}

/* Lets an engine of one port run as long as packets come, up to `max`; returns how many. */
static uint32_t turns(struct end *end, uint32_t max, fluxcap_callback callback)
{
    uint32_t done = 0;

    make_engine(end, NULL);
    while (done < max) {
        int count = fluxcap_engine_run_once(end->engine, callback, NULL);

        if (count < 0)
            give_up(fluxcap_last_error());
        if (count == 0)
            break;
        done += (uint32_t)count;
    }
    if (done > max)
        give_up("more came than was asked for");
    return done;
}

/* receive SOCKET MAX: the packets, whose frames go back. */
static void receive(void)
{
    struct end *end = open_end();
    uint32_t max = number(), done = 0, count;

    if (max > PACKETS)
        give_up("too many packets");
    if (end->mode == ENGINE) {
        done = turns(end, max, show);
    } else if (end->mode == HALVES) {
        int came;

        fluxcap_rx_refill(end->rx);
        came = take(end, packets, max);
        for (int i = 0; i < came; i++)
            answer_packet(packets[i].data, packets[i].len);
        if (came < 0 || fluxcap_rx_recycle(end->rx, packets, (uint32_t)came) != 0)
            give_up("not all packets were recycled");
        done = (uint32_t)came;
    } else {
        fluxcap_raw_refill(end->raw);
        while (done < max && (count = look(end->raw, max - done, true)) > 0)
            done += count;
    }
    ok_number(done);
}

/* hold SOCKET MAX: the packets, which stay in the user's hands; those of an engine do not. */
static void hold(void)
{
    struct end *end = open_end();
    uint32_t max = number();
    struct fluxcap_packet *place;
    int count;

    if (end->mode == ENGINE) {
        ok_number(turns(end, max, show));
        return;
    }
    if (end->count == 0)
        end->first = 0;
    if (end->first + end->count + max > sizeof(end->held) / sizeof(end->held[0]))
        give_up("too many packets to hold");
    place = end->held + end->first + end->count;
    count = take(end, place, max);
    for (int i = 0; i < count; i++)
        answer_packet(place[i].data, place[i].len);
    if (count > 0)
        end->count += (uint32_t)count;
    ok_or_error(count);
}

static struct fluxcap_packet *take_held(struct end *end, uint32_t count)
{
    struct fluxcap_packet *first = end->held + end->first;

    if (count > end->count)
        give_up("not so many packets are held");
    end->first += count;
    end->count -= count;
    return first;
}

/* pass SOCKET COUNT OTHER: packets in the user's hands leave by another socket on the same UMEM. */
static void pass_on(void)
{
    struct end *end = open_end();
    uint32_t count = number();
    struct fluxcap_packet *first = take_held(end, count);
    struct end *other = open_end();
    int sent = transmit(other, first, count);

    fluxcap_packets_free(first, count);
    ok_or_error(sent);
}

/* release SOCKET COUNT */
static void release(void)
{
    struct end *end = any_end();
    uint32_t count = number();

    if (end->mode == ENGINE)
        ok_number(0);
    else
        ok_or_error(fluxcap_packets_free(take_held(end, count), count));
}

/* send_held SOCKET COUNT GROW: each packet with GROW more bytes in front. */
static void send_held(void)
{
    struct end *end = open_end();
    uint32_t count = number(), grow = number();
    struct fluxcap_packet *held = take_held(end, count);
    int sent;

    for (uint32_t i = 0; i < count; i++) {
        held[i].data -= grow;
        held[i].len += grow;
        memset(held[i].data, 0, grow);
    }
    sent = transmit(end, held, count);
    fluxcap_packets_free(held, count);
    ok_or_error(sent);
}

/* Sends up to `max` packets back to where they came from. */
static uint32_t echo_raw(struct fluxcap_raw *raw, uint32_t max)
{
    uint32_t done = 0;

    while (done < max) {
        const struct fluxcap_desc *descs;
        int count = fluxcap_raw_peek(raw, max - done, &descs), sent;

        for (int i = 0; i < count; i++)
            swap(fluxcap_raw_data(raw) + descs[i].addr, descs[i].len);
        if (count <= 0)
            break;
        sent = fluxcap_raw_forward_front(raw, (uint32_t)count);
        if (sent < 0)
            give_up("packets were not sent back");
        done += (uint32_t)sent;
        if (sent < count) {
            /* The others wait in the ring, as they came. */
            count = fluxcap_raw_peek(raw, (uint32_t)(count - sent), &descs);
            for (int i = 0; i < count; i++)
                swap(fluxcap_raw_data(raw) + descs[i].addr, descs[i].len);
            break;
        }
    }
    return done;
}

/* Passes up to `max` packets from one socket to another or itself, as many as there is room for. */
static uint32_t pass_packets(struct end *from, struct end *to, uint32_t max, bool back)
{
    uint32_t free = room(to);
    int count;

    if (from->mode == RAW)
        fluxcap_raw_refill(from->raw);
    count = take(from, packets, free < max ? free : max);
    for (int i = 0; back && i < count; i++)
        swap(packets[i].data, packets[i].len);
    if (count < 0 || transmit(to, packets, (uint32_t)count) != count || (to->mode == RAW && fluxcap_raw_wake_tx(to->raw) < 0))
        give_up("packets were not passed on");
    return (uint32_t)count;
}

/* echo SOCKET MAX: sends packets back to where they came from. */
static void echo(void)
{
    struct end *end = open_end();
    uint32_t max = number();

    if (end->mode == ENGINE)
        ok_number(turns(end, max, send_back));
    else if (end->mode == HALVES)
        ok_number(pass_packets(end, end, max, true));
    else
        ok_number(echo_raw(end->raw, max));
}

/* bridge SOCKET OTHER MAX: passes packets each way between two sockets on one UMEM. */
static void bridge(void)
{
    struct end *one = open_end(), *other = open_end();
    uint32_t max = number();

    if (one->mode == ENGINE) {
        make_engine(one, other);
        ok_or_error(fluxcap_engine_run_once(one->engine, cross, NULL));
    } else {
        uint32_t there = pass_packets(one, other, max, false);

        ok_number(there + pass_packets(other, one, max, false));
    }
}

/* wrong SOCKET KIND: tries to send a packet that cannot be sent; the errno of the refusal. */
static void wrong(void)
{
    struct end *end = open_end();
    const char *kind = word();
    struct fluxcap_info info = ZEROS;
    struct fluxcap_packet packet, copy;
    int result;

    not_an_engine(end);
    info.struct_size = sizeof(info);
    result = end->mode == HALVES ? fluxcap_rx_get_info(end->rx, &info) : fluxcap_raw_get_info(end->raw, &info);
    if (result < 0)
        give_up("nothing is known of the socket");
    result = end->mode == HALVES ? fluxcap_tx_alloc(end->tx, &packet, 1) : fluxcap_raw_alloc(end->raw, &packet, 1);
    if (result != 1)
        give_up("no free frame");
    memset(packet.data, 0, 60);
    packet.len = 60;
    copy = packet;
    if (strcmp(kind, "Empty") == 0)
        copy.len = 0;
    else if (strcmp(kind, "TooLong") == 0)
        copy.len = info.packet_capacity + 1;
    else if (strcmp(kind, "Options") == 0)
        copy.options = 1;
    else if (strcmp(kind, "Stale") == 0)
        fluxcap_packet_free(&packet);
    else
        give_up("unknown kind");
    result = transmit(end, &copy, 1);
    if (packet.data != NULL && fluxcap_packet_free(&packet) < 0)
        give_up("the packet is gone");
    ok_number(result < 0 ? (uint64_t)-result : 0);
}

/* Sends the frames of a flood. */
static void pour(struct end *end)
{
    struct fluxcap_packet some[FLOOD];
    int count;

    if (end->mode == HALVES) {
        fluxcap_tx_reap(end->tx);
        count = fluxcap_tx_alloc(end->tx, some, end->frame_count);
    } else {
        fluxcap_raw_reap(end->raw);
        count = fluxcap_raw_alloc(end->raw, some, end->frame_count);
    }
    for (int i = 0; i < count; i++) {
        memcpy(some[i].data, end->frames[i], end->lengths[i]);
        some[i].len = end->lengths[i];
    }
    if (count > 0) {
        /* The other side may be gone. */
        transmit(end, some, (uint32_t)count);
        fluxcap_packets_free(some, (uint32_t)count);
    }
}

static void *flood(void *argument)
{
    struct end *end = (struct end *)argument;

    while (!__atomic_load_n(&end->stop, __ATOMIC_RELAXED)) {
        pour(end);
        fluxcap_raw_wake_tx(end->raw);
        fluxcap_raw_refill(end->raw);
        __atomic_fetch_add(&end->received, look(end->raw, FLOOD, false), __ATOMIC_RELAXED);
        sched_yield();
    }
    return NULL;
}

/* The receiving half of a flood. */
static void *drain(void *argument)
{
    struct end *end = (struct end *)argument;
    struct fluxcap_packet some[FLOOD];

    while (!__atomic_load_n(&end->stop, __ATOMIC_RELAXED)) {
        int count = fluxcap_rx_recv(end->rx, some, FLOOD, 0);

        if (count > 0) {
            __atomic_fetch_add(&end->received, (uint64_t)count, __ATOMIC_RELAXED);
            fluxcap_packets_free(some, (uint32_t)count);
        }
        sched_yield();
    }
    return NULL;
}

/* The sending half of a flood. */
static void *gush(void *argument)
{
    struct end *end = (struct end *)argument;

    while (!__atomic_load_n(&end->stop, __ATOMIC_RELAXED)) {
        pour(end);
        sched_yield();
    }
    return NULL;
}

static void *serve_engine(void *argument)
{
    struct end *end = (struct end *)argument;

    if (fluxcap_engine_run(end->engine, send_back, NULL) < 0)
        give_up(fluxcap_last_error());
    return NULL;
}

static void *serve_halves(void *argument)
{
    struct end *end = (struct end *)argument;
    struct fluxcap_packet some[FLOOD];

    while (!__atomic_load_n(&end->stop, __ATOMIC_RELAXED)) {
        int count = fluxcap_rx_recv(end->rx, some, FLOOD, 1), sent = 0;

        for (int i = 0; i < count; i++)
            swap(some[i].data, some[i].len);
        while (sent < count) {
            int more = fluxcap_tx_send(end->tx, some + sent, (uint32_t)(count - sent));

            if (more < 0 || (sent += more, sent < count && fluxcap_tx_wait(end->tx, 1000) < 0))
                give_up(fluxcap_last_error());
        }
    }
    return NULL;
}

static void *serve(void *argument)
{
    struct end *end = (struct end *)argument;

    while (!__atomic_load_n(&end->stop, __ATOMIC_RELAXED)) {
        fluxcap_raw_wait(end->raw, FLUXCAP_WAIT_RECEIVE, 1);
        fluxcap_raw_refill(end->raw);
        echo_raw(end->raw, FLOOD);
        if (fluxcap_raw_wake_tx(end->raw) < 0)
            give_up("the kernel cannot be woken");
        sched_yield();
    }
    return NULL;
}

static void start(struct end *end, void *(*work)(void *))
{
    if (end->working)
        give_up("it works already");
    end->stop = false;
    if (pthread_create(&end->thread, NULL, work, end) != 0)
        give_up("no thread");
    end->working = true;
}

/* flood SOCKET COUNT, packets: sends them again and again, and receives, on a thread of its own. */
static void start_flood(void)
{
    struct end *end = open_end();

    end->frame_count = number();
    if (end->frame_count > FLOOD)
        give_up("too much of a flood");
    for (uint32_t i = 0; i < end->frame_count; i++)
        end->lengths[i] = read_packet(end->frames[i], sizeof(end->frames[i]));
    not_an_engine(end);
    start(end, end->mode == HALVES ? drain : flood);
    if (end->mode == HALVES) {
        if (pthread_create(&end->sender, NULL, gush, end) != 0)
            give_up("no thread");
        end->sending = true;
    }
    ok_number(0);
}

static void calm(struct end *end)
{
    if (!end->working)
        return;
    __atomic_store_n(&end->stop, true, __ATOMIC_RELAXED);
    if (end->mode == ENGINE)
        fluxcap_engine_stop(end->engine);
    pthread_join(end->thread, NULL);
    if (end->sending)
        pthread_join(end->sender, NULL);
    end->working = end->sending = false;
}

/* statistics SOCKET */
static void statistics(void)
{
    struct fluxcap_statistics s = ZEROS, sender = ZEROS;
    struct end *end = open_end();
    int result;

    s.struct_size = sender.struct_size = sizeof(s);
    if (end->mode == HALVES) {
        result = fluxcap_rx_get_statistics(end->rx, &s);
        if (result == 0)
            result = fluxcap_tx_get_statistics(end->tx, &sender);
        s.sent = sender.sent;
    } else {
        result = fluxcap_raw_get_statistics(seen(end), &s);
    }
    if (result == 0 && end->engine != NULL) {
        struct fluxcap_port_statistics passed = ZEROS;

        /* What the engine counts and what the socket counts is the same. */
        passed.struct_size = sizeof(passed);
        if (fluxcap_engine_get_port_statistics(end->engine, end->port, &passed) < 0 || passed.received != s.received ||
            passed.sent != s.sent || passed.dropped + passed.copied != 0)
            give_up("the engine counts otherwise");
    }
    if (result < 0) {
        error(result, fluxcap_last_error());
    } else {
        uint64_t numbers[8] = {s.received,         s.sent,         s.rx_dropped,
                               s.rx_invalid_descs, s.tx_invalid_descs, s.rx_ring_full,
                               s.rx_fill_ring_empty_descs, s.tx_ring_empty_descs};

        ok(numbers, 8);
    }
}

/* program SOCKET */
static void program(void)
{
    struct fluxcap_program_counters counters = ZEROS;
    struct end *end = open_end();
    int result;

    counters.struct_size = sizeof(counters);
    result = end->mode == HALVES ? fluxcap_rx_get_program_counters(end->rx, &counters)
                                 : fluxcap_raw_get_program_counters(seen(end), &counters);
    if (result < 0) {
        error(result, fluxcap_last_error());
    } else {
        uint64_t numbers[4] = {counters.attached, counters.drop, counters.redirect, counters.pass};

        ok(numbers, 4);
    }
}

/* The sockets on the same UMEM that were not forgotten. */
static uint32_t sharers(const struct end *end)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < SOCKETS; i++)
        count += ends[i] != NULL && ends[i]->owner == end->owner;
    return count;
}

/* The sockets that are ports of the same engine. */
static uint32_t ports(const struct end *end)
{
    struct fluxcap_engine_statistics s = ZEROS;

    s.struct_size = sizeof(s);
    if (end->engine == NULL || fluxcap_engine_get_statistics(end->engine, &s) < 0)
        return 1;
    return s.ports;
}

/* Proves that no frame is lost; says so otherwise. */
static bool conserved(const struct end *end, struct fluxcap_rings *rings)
{
    bool add_up;
    int result;

    memset(rings, 0, sizeof(*rings));
    rings->struct_size = sizeof(*rings);
    if (end->mode == HALVES) {
        result = fluxcap_rx_get_rings(end->rx, &rings->fill, &rings->rx);
        if (result == 0)
            result = fluxcap_tx_get_rings(end->tx, &rings->tx, &rings->completion);
        if (result == 0)
            result = fluxcap_umem_get_accounting(end->umem, &rings->ledger);
    } else {
        result = fluxcap_raw_get_rings(seen(end), rings);
    }
    if (result < 0) {
        error(result, fluxcap_last_error());
        return false;
    }
    /* What is counted where it is adds up when one socket alone uses the UMEM. Ports that were closed are the engine's still. */
    add_up = rings->conserved;
    if (end->mode == HALVES || sharers(end) > 1 || ports(end) > 1)
        add_up = rings->ledger.pool + rings->ledger.user + rings->ledger.kernel + rings->ledger.quarantined == rings->ledger.frames;
    if (!add_up || rings->fill.violations + rings->rx.violations + rings->tx.violations +
                                     rings->completion.violations + rings->rx.refused + rings->completion.refused >
                                 0) {
        char text[2048] = "the rings of two halves";

        if (end->mode != HALVES)
            fluxcap_raw_format_rings(seen(end), text, sizeof(text));
        error(-EUCLEAN, text);
        return false;
    }
    return true;
}

/* rings SOCKET: entries of the four rings; frames of pool, user and kernel. */
static void tell_rings(void)
{
    struct fluxcap_rings rings;

    if (conserved(open_end(), &rings)) {
        uint64_t numbers[7] = {rings.fill.occupied, rings.rx.occupied,  rings.tx.occupied,   rings.completion.occupied,
                               rings.ledger.pool,   rings.ledger.user, rings.ledger.kernel};

        ok(numbers, 7);
    }
}

/* Closes a socket, whatever it is. */
static void shut(struct end *end)
{
    static uint32_t turn;
    bool shared = false;

    for (uint32_t i = 0; i < SOCKETS; i++)
        shared |= ends[i] != NULL && ends[i] != end && ends[i]->engine == end->engine;
    /* An engine ends with its last port. */
    if (!shared)
        fluxcap_engine_free(end->engine);
    fluxcap_raw_free(end->raw);
    /* Either half may go first. */
    if (turn++ % 2 == 0) {
        fluxcap_rx_free(end->rx);
        fluxcap_tx_free(end->tx);
    } else {
        fluxcap_tx_free(end->tx);
        fluxcap_rx_free(end->rx);
    }
    end->engine = NULL;
    end->raw = NULL;
    end->rx = NULL;
    end->tx = NULL;
}

/* close SOCKET: packets in the user's hands stay there. */
static void close_socket(void)
{
    struct end *end = open_end();
    struct fluxcap_rings rings;

    calm(end);
    if (!conserved(end, &rings))
        return;
    shut(end);
    ok_number(0);
}

/* forget SOCKET: it is closed, and its packets are released; the last one on a UMEM leaves all frames in the pool. */
static void forget(void)
{
    struct fluxcap_accounting frames = ZEROS;
    uint32_t id = number();

    if (id >= SOCKETS || ends[id] == NULL || is_open(ends[id]))
        give_up("the socket is not closed");
    if (ends[id]->early_count > 0)
        give_up("packets came that nobody took");
    if (ends[id]->count > 0)
        give_up("packets are left in the user's hands");
    if (fluxcap_umem_reclaim(ends[id]->umem, 10000) < 0)
        give_up("the UMEM reclaims nothing");
    if (fluxcap_umem_get_accounting(ends[id]->umem, &frames) < 0 || frames.frames == 0)
        give_up("the UMEM tells nothing");
    if (sharers(ends[id]) == 1 && frames.pool != frames.frames)
        give_up("not all frames are in the pool");
    fluxcap_umem_free(ends[id]->umem);
    free(ends[id]);
    ends[id] = NULL;
    ok_number(0);
}

/* wake SOCKET: makes the kernel send. An engine did so at the end of its turn. */
static void wake(void)
{
    struct end *end = open_end();

    if (end->mode == ENGINE)
        ok_number(0);
    else
        ok_or_error(end->mode == HALVES ? fluxcap_tx_kick(end->tx) : fluxcap_raw_wake_tx(end->raw));
}

/* refill SOCKET. An engine does so in each turn. */
static void refill(void)
{
    struct end *end = open_end();

    if (end->mode == ENGINE)
        ok_number(0);
    else
        ok_or_error(end->mode == HALVES ? fluxcap_rx_refill(end->rx) : fluxcap_raw_refill(end->raw));
}

/* Waits for packets; whether some are there, or an error. */
static int wait_engine(struct end *end, uint32_t timeout)
{
    struct fluxcap_rings rings = ZEROS;
    struct timespec now, end_time;
    int result;

    make_engine(end, NULL);
    rings.struct_size = sizeof(rings);
    clock_gettime(CLOCK_MONOTONIC, &end_time);
    end_time.tv_sec += timeout / 1000;
    end_time.tv_nsec += (long)(timeout % 1000) * 1000000;
    /* It may return early. */
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
        result = fluxcap_engine_wait(end->engine, (int)timeout);
        if (result == 0)
            result = fluxcap_raw_get_rings(seen(end), &rings);
    } while (result == 0 && rings.rx.occupied == 0 &&
             (now.tv_sec - end_time.tv_sec) * 1000000000LL + now.tv_nsec - end_time.tv_nsec < 0);
    return result < 0 ? result : rings.rx.occupied > 0;
}

/* wait SOCKET INTEREST MILLISECONDS: the bits of what is ready. */
static void wait_for(void)
{
    struct end *end = open_end();
    uint32_t interest = number(), timeout = number();
    int result;

    if (end->mode == RAW) {
        ok_or_error(fluxcap_raw_wait(end->raw, interest, (int)timeout));
    } else if (interest == FLUXCAP_WAIT_RECEIVE && end->mode == ENGINE) {
        ok_or_error(wait_engine(end, timeout));
    } else if (interest == FLUXCAP_WAIT_RECEIVE) {
        result = (int)end->early_count;
        if (result == 0)
            result = fluxcap_rx_recv(end->rx, end->early, FLOOD, (int)timeout);
        end->early_count = result > 0 ? (uint32_t)result : 0;
        ok_or_error(result < 0 ? result : result > 0 ? (int)FLUXCAP_WAIT_RECEIVE : 0);
    } else {
        not_an_engine(end);
        result = fluxcap_tx_wait(end->tx, (int)timeout);
        ok_or_error(result > 0 ? (int)FLUXCAP_WAIT_SEND : result);
    }
}

/* host_send LINK, packet */
static void host_send(void)
{
    static uint8_t data[LONGEST];
    struct fluxcap_link *link = named_link();
    uint32_t len = read_packet(data, sizeof(data));

    ok_or_error(fluxcap_sim_nic_host_send(link, 0, data, len));
}

/* host_take LINK: 0 or 1, and the packet. */
static void host_take(void)
{
    static uint8_t data[LONGEST];
    int result = fluxcap_sim_nic_take_passed(named_link(), data, sizeof(data));

    if (result > 0) {
        answer_packet(data, (uint32_t)result);
        result = 1;
    }
    ok_or_error(result);
}

/* Closes all that is open. */
static void reset(void)
{
    for (uint32_t id = 0; id < SOCKETS; id++) {
        struct end *end = ends[id];

        if (end == NULL)
            continue;
        calm(end);
        fluxcap_packets_free(end->held + end->first, end->count);
        fluxcap_packets_free(end->early, end->early_count);
        shut(end);
        free(end);
        ends[id] = NULL;
    }
    while (link_count > 0)
        fluxcap_link_free(links[--link_count].link);
    fluxcap_sim_free(sim);
    sim = NULL;
}

static void obey(const char *command)
{
    if (strcmp(command, "sim") == 0) {
        make_sim();
    } else if (strcmp(command, "pair") == 0) {
        add_pair();
    } else if (strcmp(command, "open") == 0) {
        open_socket();
    } else if (strcmp(command, "put") == 0) {
        put();
    } else if (strcmp(command, "wake") == 0) {
        wake();
    } else if (strcmp(command, "receive") == 0) {
        receive();
    } else if (strcmp(command, "pass") == 0) {
        pass_on();
    } else if (strcmp(command, "hold") == 0) {
        hold();
    } else if (strcmp(command, "release") == 0) {
        release();
    } else if (strcmp(command, "send_held") == 0) {
        send_held();
    } else if (strcmp(command, "echo") == 0) {
        echo();
    } else if (strcmp(command, "bridge") == 0) {
        bridge();
    } else if (strcmp(command, "wrong") == 0) {
        wrong();
    } else if (strcmp(command, "refill") == 0) {
        refill();
    } else if (strcmp(command, "wait") == 0) {
        wait_for();
    } else if (strcmp(command, "has_descriptor") == 0) {
        const struct end *end = open_end();

        ok_number((end->mode == HALVES ? fluxcap_rx_fd(end->rx) : fluxcap_raw_fd(seen(end))) >= 0);
    } else if (strcmp(command, "flush") == 0) {
        struct end *end = open_end();
        uint32_t timeout = number();

        not_an_engine(end);
        ok_or_error(end->mode == HALVES ? fluxcap_tx_flush(end->tx, timeout) : fluxcap_raw_flush(end->raw, timeout));
    } else if (strcmp(command, "flood") == 0) {
        start_flood();
    } else if (strcmp(command, "flooded") == 0) {
        ok_number(__atomic_load_n(&open_end()->received, __ATOMIC_RELAXED));
    } else if (strcmp(command, "serve") == 0) {
        /* Sends each packet back, on a thread of its own. */
        struct end *end = open_end();

        if (end->mode == ENGINE)
            make_engine(end, NULL);
        start(end, end->mode == ENGINE ? serve_engine : end->mode == HALVES ? serve_halves : serve);
        ok_number(0);
    } else if (strcmp(command, "calm") == 0) {
        calm(open_end());
        ok_number(0);
    } else if (strcmp(command, "statistics") == 0) {
        statistics();
    } else if (strcmp(command, "program") == 0) {
        program();
    } else if (strcmp(command, "rings") == 0) {
        tell_rings();
    } else if (strcmp(command, "close") == 0) {
        close_socket();
    } else if (strcmp(command, "forget") == 0) {
        forget();
    } else if (strcmp(command, "host_send") == 0) {
        host_send();
    } else if (strcmp(command, "host_take") == 0) {
        host_take();
    } else if (strcmp(command, "set_up") == 0) {
        struct fluxcap_link *link = named_link();

        ok_or_error(fluxcap_sim_nic_set_up(link, number()));
    } else if (strcmp(command, "set_mtu") == 0) {
        struct fluxcap_link *link = named_link();

        ok_or_error(fluxcap_sim_nic_set_mtu(link, number()));
    } else if (strcmp(command, "settle") == 0) {
        ok_or_error(fluxcap_sim_settle(sim));
    } else if (strcmp(command, "reset") == 0) {
        reset();
        ok_number(0);
    } else {
        give_up("unknown command");
    }
}

int main(void)
{
    char line[512];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        const char *command = strtok(line, " \n");

        if (command == NULL)
            give_up("an empty line");
        obey(command);
    }
    reset();
    free(answer);
    return 0;
}
