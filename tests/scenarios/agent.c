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

/* One socket. */
struct end {
    struct fluxcap_raw *raw;
    struct fluxcap_umem *umem;
    /* The socket that the UMEM was made for. */
    uint32_t owner;
    /* The packets in the user's hands: `count` of them, from `first` on. */
    struct fluxcap_packet held[512];
    uint32_t first, count;
    /* A thread that sends and receives. */
    pthread_t thread;
    bool working;
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

static struct end *open_end(void)
{
    struct end *end = any_end();

    if (end->raw == NULL)
        give_up("the socket is closed");
    return end;
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
        result = fluxcap_sim_start(sim);
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
        result = fluxcap_sim_add(sim, &config, &link->link);
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
    if (strcmp(mode, "raw") != 0)
        give_up("unknown mode");
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
        result = fluxcap_raw_umem(raw, &ends[id]->umem);
    }
    ok_or_error(result);
}

/* put SOCKET COUNT, packets: takes back what was sent, and puts packets into the TX ring. */
static void put(void)
{
    static uint8_t rest[LONGEST];
    struct fluxcap_raw *raw = open_end()->raw;
    uint32_t count = number();
    int fresh, sent = 0;

    if (count > PACKETS)
        give_up("too many packets");
    fluxcap_raw_reap(raw);
    fresh = fluxcap_raw_alloc(raw, packets, count);
    for (uint32_t i = 0; i < count; i++) {
        if ((int)i < fresh)
            packets[i].len = read_packet(packets[i].data, LONGEST);
        else
            read_packet(rest, LONGEST);
    }
    if (fresh > 0) {
        sent = fluxcap_raw_send(raw, packets, (uint32_t)fresh);
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
    if (count > 0 && fluxcap_raw_recycle(raw, (uint32_t)count) != count)
        give_up("not all packets were consumed");
    return count > 0 ? (uint32_t)count : 0;
}

/* receive SOCKET MAX: the packets, whose frames go back. */
static void receive(void)
{
    struct fluxcap_raw *raw = open_end()->raw;
    uint32_t max = number(), done = 0, count;

    fluxcap_raw_refill(raw);
    while (done < max && (count = look(raw, max - done, true)) > 0)
        done += count;
    ok_number(done);
}

/* hold SOCKET MAX: the packets, which stay in the user's hands. */
static void hold(void)
{
    struct end *end = open_end();
    uint32_t max = number();
    struct fluxcap_packet *place;
    int count;

    if (end->count == 0)
        end->first = 0;
    if (end->first + end->count + max > sizeof(end->held) / sizeof(end->held[0]))
        give_up("too many packets to hold");
    place = end->held + end->first + end->count;
    count = fluxcap_raw_receive(end->raw, place, max);
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
    int sent = fluxcap_raw_send(other->raw, first, count);

    fluxcap_packets_free(first, count);
    ok_or_error(sent);
}

/* release SOCKET COUNT */
static void release(void)
{
    struct end *end = any_end();
    uint32_t count = number();

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
    sent = fluxcap_raw_send(end->raw, held, count);
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
            if (fluxcap_ethernet_header_swap(fluxcap_raw_data(raw) + descs[i].addr, descs[i].len) < 0)
                give_up("not an Ethernet frame");
        if (count <= 0)
            break;
        sent = fluxcap_raw_forward(raw, (uint32_t)count);
        if (sent < 0)
            give_up("packets were not sent back");
        done += (uint32_t)sent;
        if (sent < count) {
            /* The others wait in the ring, as they came. */
            count = fluxcap_raw_peek(raw, (uint32_t)(count - sent), &descs);
            for (int i = 0; i < count; i++)
                fluxcap_ethernet_header_swap(fluxcap_raw_data(raw) + descs[i].addr, descs[i].len);
            break;
        }
    }
    return done;
}

/* echo SOCKET MAX: sends packets back to where they came from. */
static void echo(void)
{
    struct end *end = open_end();

    ok_number(echo_raw(end->raw, number()));
}

/* Passes up to `max` packets from one socket to another, as many as there is room for. */
static uint32_t pass_raw(struct fluxcap_raw *from, struct fluxcap_raw *to, uint32_t max)
{
    struct fluxcap_rings rings = ZEROS;
    uint32_t room;
    int count;

    fluxcap_raw_refill(from);
    fluxcap_raw_reap(to);
    rings.struct_size = sizeof(rings);
    if (fluxcap_raw_debug_rings(to, &rings) < 0)
        give_up("the rings cannot be seen");
    room = rings.tx.size - rings.tx.occupied;
    count = fluxcap_raw_receive(from, packets, room < max ? room : max);
    if (count < 0 || fluxcap_raw_send(to, packets, (uint32_t)count) != count || fluxcap_raw_wake_tx(to) < 0)
        give_up("packets were not passed on");
    return (uint32_t)count;
}

/* bridge SOCKET OTHER MAX: passes packets each way between two sockets on one UMEM. */
static void bridge(void)
{
    struct end *one = open_end(), *other = open_end();
    uint32_t max = number();

    ok_number(pass_raw(one->raw, other->raw, max) + pass_raw(other->raw, one->raw, max));
}

/* wrong SOCKET KIND: tries to send a packet that cannot be sent; the errno of the refusal. */
static void wrong(void)
{
    struct fluxcap_raw *raw = open_end()->raw;
    const char *kind = word();
    struct fluxcap_info info = ZEROS;
    struct fluxcap_packet packet, copy;
    int result;

    info.struct_size = sizeof(info);
    if (fluxcap_raw_info(raw, &info) < 0 || fluxcap_raw_alloc(raw, &packet, 1) != 1)
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
    result = fluxcap_raw_send(raw, &copy, 1);
    if (packet.data != NULL && fluxcap_packet_free(&packet) < 0)
        give_up("the packet is gone");
    ok_number(result < 0 ? (uint64_t)-result : 0);
}

static void *flood(void *argument)
{
    struct end *end = (struct end *)argument;
    struct fluxcap_packet some[FLOOD];

    while (!__atomic_load_n(&end->stop, __ATOMIC_RELAXED)) {
        int count;

        fluxcap_raw_reap(end->raw);
        count = fluxcap_raw_alloc(end->raw, some, end->frame_count);
        for (int i = 0; i < count; i++) {
            memcpy(some[i].data, end->frames[i], end->lengths[i]);
            some[i].len = end->lengths[i];
        }
        if (count > 0) {
            fluxcap_raw_send(end->raw, some, (uint32_t)count);
            fluxcap_packets_free(some, (uint32_t)count);
        }
        /* The other side may be gone. */
        fluxcap_raw_wake_tx(end->raw);
        fluxcap_raw_refill(end->raw);
        __atomic_fetch_add(&end->received, look(end->raw, FLOOD, false), __ATOMIC_RELAXED);
        sched_yield();
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
    ok_number(0);
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
    start(end, flood);
}

static void calm(struct end *end)
{
    if (!end->working)
        return;
    __atomic_store_n(&end->stop, true, __ATOMIC_RELAXED);
    pthread_join(end->thread, NULL);
    end->working = false;
}

/* statistics SOCKET */
static void statistics(void)
{
    struct fluxcap_statistics s = ZEROS;
    int result;

    s.struct_size = sizeof(s);
    result = fluxcap_raw_statistics(open_end()->raw, &s);
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
    int result;

    counters.struct_size = sizeof(counters);
    result = fluxcap_raw_program_counters(open_end()->raw, &counters);
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

/* Proves that no frame is lost; says so otherwise. */
static bool conserved(const struct end *end, struct fluxcap_rings *rings)
{
    struct fluxcap_raw *raw = end->raw;
    bool add_up;

    memset(rings, 0, sizeof(*rings));
    rings->struct_size = sizeof(*rings);
    if (fluxcap_raw_debug_rings(raw, rings) < 0) {
        error(-EINVAL, fluxcap_last_error());
        return false;
    }
    /* What is counted where it is adds up when one socket alone uses the UMEM. */
    add_up = rings->conserved || (sharers(end) > 1 && rings->ledger.pool + rings->ledger.user + rings->ledger.kernel ==
                                                          rings->ledger.frames);
    if (!add_up || rings->fill.violations + rings->rx.violations + rings->tx.violations +
                                     rings->completion.violations + rings->rx.refused + rings->completion.refused >
                                 0) {
        char text[2048];

        fluxcap_raw_debug_text(raw, text, sizeof(text));
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

/* close SOCKET: packets in the user's hands stay there. */
static void close_socket(void)
{
    struct end *end = open_end();
    struct fluxcap_rings rings;

    calm(end);
    if (!conserved(end, &rings))
        return;
    fluxcap_raw_free(end->raw);
    end->raw = NULL;
    ok_number(0);
}

/* forget SOCKET: it is closed, and its packets are released; the last one on a UMEM leaves all frames in the pool. */
static void forget(void)
{
    struct fluxcap_accounting frames = ZEROS;
    uint32_t id = number();

    if (id >= SOCKETS || ends[id] == NULL || ends[id]->raw != NULL)
        give_up("the socket is not closed");
    if (ends[id]->count > 0)
        give_up("packets are left in the user's hands");
    if (fluxcap_umem_accounting(ends[id]->umem, &frames) < 0 || frames.frames == 0)
        give_up("the UMEM tells nothing");
    if (sharers(ends[id]) == 1 && frames.pool != frames.frames)
        give_up("not all frames are in the pool");
    fluxcap_umem_free(ends[id]->umem);
    free(ends[id]);
    ends[id] = NULL;
    ok_number(0);
}

/* host_send LINK, packet */
static void host_send(void)
{
    static uint8_t data[LONGEST];
    struct fluxcap_link *link = named_link();
    uint32_t len = read_packet(data, sizeof(data));

    ok_or_error(fluxcap_sim_host_send(link, 0, data, len));
}

/* host_take LINK: 0 or 1, and the packet. */
static void host_take(void)
{
    static uint8_t data[LONGEST];
    int result = fluxcap_sim_take_passed(named_link(), data, sizeof(data));

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
        fluxcap_raw_free(end->raw);
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
        ok_or_error(fluxcap_raw_wake_tx(open_end()->raw));
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
        ok_or_error(fluxcap_raw_refill(open_end()->raw));
    } else if (strcmp(command, "wait") == 0) {
        struct fluxcap_raw *raw = open_end()->raw;
        uint32_t interest = number(), timeout = number();

        ok_or_error(fluxcap_raw_wait(raw, interest, (int)timeout));
    } else if (strcmp(command, "has_descriptor") == 0) {
        ok_number(fluxcap_raw_fd(open_end()->raw) >= 0);
    } else if (strcmp(command, "flush") == 0) {
        struct fluxcap_raw *raw = open_end()->raw;

        ok_or_error(fluxcap_raw_flush(raw, number()));
    } else if (strcmp(command, "flood") == 0) {
        start_flood();
    } else if (strcmp(command, "flooded") == 0) {
        ok_number(__atomic_load_n(&open_end()->received, __ATOMIC_RELAXED));
    } else if (strcmp(command, "serve") == 0) {
        /* Sends each packet back, on a thread of its own. */
        start(open_end(), serve);
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

        ok_or_error(fluxcap_sim_set_up(link, number()));
    } else if (strcmp(command, "set_mtu") == 0) {
        struct fluxcap_link *link = named_link();

        ok_or_error(fluxcap_sim_set_mtu(link, number()));
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
