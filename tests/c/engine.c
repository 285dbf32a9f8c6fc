/* Mode A over a simulated network. Needs no privilege and no interface. */
#include "check.h"

#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static_assert(sizeof(struct fluxcap_packet_ref) == 16, "part of the ABI");
static_assert(offsetof(struct fluxcap_packet_ref, len) == sizeof(void *), "part of the ABI");
static_assert(offsetof(struct fluxcap_packet_ref, verdict) == sizeof(void *) + 4, "part of the ABI");
static_assert(sizeof(struct fluxcap_engine_config) == 28, "no padding");
static_assert(sizeof(struct fluxcap_engine_statistics) == 88, "no padding");
static_assert(sizeof(struct fluxcap_port_statistics) == 48, "no padding");

static uint64_t zeros[8192];

/* A network with an engine on it. */
struct world {
    struct fluxcap_sim *sim;
    struct fluxcap_link *links[2];
    struct fluxcap_umem *umem;
    struct fluxcap_engine *engine;
};

static struct fluxcap_link *add(struct fluxcap_sim *sim, const char *name)
{
    struct fluxcap_sim_nic_config config = ZEROS;
    struct fluxcap_link *link = NULL;

    config.struct_size = sizeof(config);
    config.name = name;
    CHECK_RESULT(fluxcap_sim_add_nic(sim, &config, &link), 0);
    return link;
}

static struct fluxcap_raw *open_on(const struct fluxcap_link *link, const struct fluxcap_umem *umem)
{
    struct fluxcap_config config = small(NULL);

    config.link = link;
    config.umem = umem;
    return open_config(&config);
}

static struct fluxcap_engine_config engine_config(uint32_t poller)
{
    struct fluxcap_engine_config config = ZEROS;

    config.struct_size = sizeof(config);
    config.poller = poller;
    return config;
}

/* An engine of one or two ports on one UMEM. */
static struct world create(uint32_t ports, const struct fluxcap_engine_config *config)
{
    static const char *const names[2] = {"left", "right"};
    struct fluxcap_raw *raws[2];
    struct world world = ZEROS;

    CHECK_RESULT(fluxcap_sim_create(0, &world.sim), 0);
    for (uint32_t i = 0; i < ports; i++) {
        world.links[i] = add(world.sim, names[i]);
        raws[i] = open_on(world.links[i], world.umem);
        if (i == 0)
            CHECK_RESULT(fluxcap_raw_get_umem(raws[0], &world.umem), 0);
    }
    CHECK_RESULT(fluxcap_engine_create(raws, ports, config, &world.engine), 0);
    CHECK(world.engine != NULL);
    for (uint32_t i = 0; i < ports; i++)
        CHECK(raws[i] == NULL);
    return world;
}

static struct fluxcap_accounting accounting_of(const struct fluxcap_umem *umem)
{
    struct fluxcap_accounting accounting;

    CHECK_RESULT(fluxcap_umem_get_accounting(umem, &accounting), 0);
    return accounting;
}

static struct fluxcap_engine_statistics statistics_of(const struct fluxcap_engine *engine)
{
    struct fluxcap_engine_statistics statistics = ZEROS;

    statistics.struct_size = sizeof(statistics);
    CHECK_RESULT(fluxcap_engine_get_statistics(engine, &statistics), 0);
    return statistics;
}

/* No frame is lost, or anybody's but the pool's and the kernel's. */
static void check_engine(const struct world *world)
{
    struct fluxcap_accounting accounting = accounting_of(world->umem);

    CHECK(accounting.user == 0 && accounting.pool + accounting.kernel == accounting.frames);
    /* The rings of one socket tell of all frames only if there is no other. */
    if (statistics_of(world->engine).ports == 1)
        check_frames(fluxcap_engine_port(world->engine, 0));
}

/* Every test ends with this. */
static void finish(struct world *world)
{
    struct fluxcap_accounting accounting;

    check_engine(world);
    fluxcap_engine_free(world->engine);
    accounting = accounting_of(world->umem);
    CHECK(accounting.pool == accounting.frames);
    fluxcap_umem_free(world->umem);
    fluxcap_link_free(world->links[0]);
    fluxcap_link_free(world->links[1]);
    fluxcap_sim_free(world->sim);
}

/* `count` packets of `len` bytes arrive, numbered from `seed`. */
static void arrive(const struct world *world, uint32_t port, uint32_t count, uint32_t len, uint32_t seed)
{
    uint8_t frame[2048];

    for (uint32_t i = 0; i < count; i++) {
        fill_frame(frame, len, seed + i);
        CHECK_RESULT(fluxcap_sim_nic_inject(world->links[port], 0, frame, len), 0);
    }
    CHECK(fluxcap_sim_settle(world->sim) >= 0);
}

/* The next packet that left through a port is this one. */
static void check_sent(const struct world *world, uint32_t port, uint32_t len, uint32_t seed)
{
    uint8_t frame[2048];

    CHECK_RESULT(fluxcap_sim_nic_take_sent(world->links[port], frame, sizeof(frame)), (int)len);
    CHECK(is_frame(frame, len, seed));
}

static void check_nothing_sent(const struct world *world, uint32_t port)
{
    CHECK_RESULT(fluxcap_sim_nic_take_sent(world->links[port], NULL, 0), 0);
}

/* Runs turns until `count` packets were seen: a batch ends at the end of the ring's array. */
static void turns(struct world *world, uint32_t count, fluxcap_callback callback, void *user)
{
    uint32_t seen = 0;

    for (int i = 0; seen < count && i < 1000; i++) {
        int result = fluxcap_engine_run_once(world->engine, callback, user);

        CHECK(result >= 0);
        seen += (uint32_t)result;
    }
    CHECK_RESULT((int)seen, (int)count);
}

static int leave(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    (void)user, (void)port, (void)packets, (void)count;
    return 0;
}

/* Out through the port that they came in through. */
static int send_back(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    uint32_t *calls = (uint32_t *)user;

    for (uint32_t i = 0; i < count; i++) {
        CHECK(packets[i].verdict == FLUXCAP_RECYCLE);
        packets[i].verdict = FLUXCAP_SEND + port;
    }
    if (calls != NULL)
        ++*calls;
    return 0;
}

/* Every other one, a byte of it changed. */
static int send_even(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    uint32_t *seen = (uint32_t *)user;

    CHECK(port == 0 && count > 0);
    for (uint32_t i = 0; i < count; i++, ++*seen) {
        CHECK(packets[i].len == 60 && is_frame(packets[i].data, 60, *seen));
        if (*seen % 2 == 0) {
            packets[i].data[0] = 0xee;
            packets[i].verdict = FLUXCAP_SEND;
        }
    }
    return 1; /* the same as 0 */
}

static void what_the_callback_sends_is_sent_and_the_rest_is_recycled(void)
{
    struct world world = create(1, NULL);
    struct fluxcap_engine_statistics statistics;
    struct fluxcap_port_statistics port = ZEROS;
    uint8_t frame[60];
    char text[200];
    uint32_t seen = 0;

    CHECK_RESULT(fluxcap_engine_run_once(world.engine, send_even, &seen), 0);
    arrive(&world, 0, 10, 60, 0);
    turns(&world, 10, send_even, &seen);
    CHECK(seen == 10);
    CHECK(fluxcap_sim_settle(world.sim) >= 0);
    for (uint32_t i = 0; i < 10; i += 2) {
        CHECK_RESULT(fluxcap_sim_nic_take_sent(world.links[0], frame, sizeof(frame)), 60);
        CHECK(frame[0] == 0xee && is_frame(frame, 60, i));
    }
    check_nothing_sent(&world, 0);
    statistics = statistics_of(world.engine);
    CHECK(statistics.ports == 1 && statistics.received == 10 && statistics.sent == 5 && statistics.recycled == 5);
    CHECK(statistics.dropped == 0 && statistics.copied == 0 && statistics.batches >= 1 && statistics.stalls == 0);
    port.struct_size = sizeof(port);
    CHECK_RESULT(fluxcap_engine_get_port_statistics(world.engine, 0, &port), 0);
    CHECK(port.received == 10 && port.sent == 5 && port.recycled == 5 && port.dropped == 0 && port.copied == 0);
    CHECK(fluxcap_engine_format_statistics(world.engine, text, sizeof(text)) > 0);
    CHECK(strstr(text, "received 10, sent 5, recycled 5") != NULL);
    finish(&world);
}

/* Sends them with four bytes in front, and with six bytes cut off, in turns. */
static int move(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    uint32_t *seen = (uint32_t *)user;

    for (uint32_t i = 0; i < count; i++, ++*seen) {
        uint8_t *data = packets[i].data;

        if (*seen % 2 == 0) {
            packets[i].data = data - 4;
            packets[i].len += 4;
            memmove(data - 4, data, 12);
            memset(data + 8, 0xab, 4);
        } else {
            packets[i].data = data + 6;
            packets[i].len -= 6;
        }
        packets[i].verdict = FLUXCAP_SEND + port;
    }
    return 0;
}

static void data_and_length_may_move_within_the_frame(void)
{
    struct world world = create(1, NULL);
    uint8_t frame[104], wanted[100];
    uint32_t seen = 0;

    arrive(&world, 0, 2, 100, 7);
    turns(&world, 2, move, &seen);
    CHECK(fluxcap_sim_settle(world.sim) >= 0);
    CHECK_RESULT(fluxcap_sim_nic_take_sent(world.links[0], frame, sizeof(frame)), 104);
    fill_frame(wanted, 100, 7);
    CHECK(memcmp(frame, wanted, 12) == 0 && frame[12] == 0xab && frame[15] == 0xab);
    CHECK(memcmp(frame + 16, wanted + 12, 88) == 0);
    CHECK_RESULT(fluxcap_sim_nic_take_sent(world.links[0], frame, sizeof(frame)), 94);
    fill_frame(wanted, 100, 8);
    CHECK(memcmp(frame, wanted + 6, 94) == 0);
    finish(&world);
}

static int cross(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    uint64_t *seen = (uint64_t *)user;

    for (uint32_t i = 0; i < count; i++)
        packets[i].verdict = FLUXCAP_SEND + (1 - port);
    seen[port] += count;
    return 0;
}

static void packets_cross_between_two_ports(void)
{
    struct world world = create(2, NULL);
    struct fluxcap_port_statistics port = ZEROS;
    uint64_t seen[2] = {0, 0};

    port.struct_size = sizeof(port);
    for (uint32_t round = 0; round < 50; round++) {
        arrive(&world, 0, 20, 60 + round, 0);
        arrive(&world, 1, 10, 80, 100);
        turns(&world, 30, cross, seen);
        CHECK(fluxcap_sim_settle(world.sim) >= 0);
        for (uint32_t i = 0; i < 20; i++)
            check_sent(&world, 1, 60 + round, i);
        for (uint32_t i = 0; i < 10; i++)
            check_sent(&world, 0, 80, 100 + i);
    }
    CHECK(seen[0] == 1000 && seen[1] == 500);
    CHECK_RESULT(fluxcap_engine_get_port_statistics(world.engine, 1, &port), 0);
    CHECK(port.received == 500 && port.sent == 1000 && port.copied == 0);
    CHECK_ERROR(fluxcap_engine_get_port_statistics(world.engine, 2, &port), -EINVAL, "port 2");
    CHECK(statistics_of(world.engine).sent == 1500);
    finish(&world);
}

static void between_two_memories_packets_are_copied_where_that_is_allowed(void)
{
    struct fluxcap_engine_config config = engine_config(FLUXCAP_POLLER_WAIT);
    struct world world = ZEROS;
    struct fluxcap_umem *other = NULL;
    uint64_t seen[2] = {0, 0};

    CHECK_RESULT(fluxcap_sim_create(0, &world.sim), 0);
    world.links[0] = add(world.sim, "left");
    world.links[1] = add(world.sim, "right");
    struct fluxcap_raw *raws[2] = {open_on(world.links[0], NULL), open_on(world.links[1], NULL)};
    struct fluxcap_raw *const before[2] = {raws[0], raws[1]};
    CHECK_RESULT(fluxcap_raw_get_umem(raws[0], &world.umem), 0);
    CHECK_RESULT(fluxcap_raw_get_umem(raws[1], &other), 0);
    CHECK_ERROR(fluxcap_engine_create(raws, 2, &config, &world.engine), -EINVAL, "another UMEM");
    /* They are as they were. */
    CHECK(raws[0] == before[0] && raws[1] == before[1] && world.engine == NULL);
    check_frames(raws[0]);
    check_frames(raws[1]);
    config.copying = 1;
    CHECK_RESULT(fluxcap_engine_create(raws, 2, &config, &world.engine), 0);
    arrive(&world, 0, 9, 70, 0);
    turns(&world, 9, cross, seen);
    CHECK(fluxcap_sim_settle(world.sim) >= 0);
    for (uint32_t i = 0; i < 9; i++)
        check_sent(&world, 1, 70, i);
    CHECK(statistics_of(world.engine).copied == 9);
    finish(&world);
    CHECK(accounting_of(other).pool == accounting_of(other).frames);
    fluxcap_umem_free(other);
}

/* Sends all and returns a number. */
static int end_with(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    send_back(NULL, port, packets, count);
    return *(int *)user;
}

static void a_negative_result_ends_the_run_with_that_number(void)
{
    static const int numbers[] = {-1, -77, -ENODEV, -100000, INT_MIN};
    struct world world = create(1, NULL);
    char words[32];

    for (uint32_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int number = numbers[i];

        snprintf(words, sizeof(words), "returned %d", number);
        arrive(&world, 0, 1, 60, i);
        CHECK_ERROR(fluxcap_engine_run(world.engine, end_with, &number), number, words);
        arrive(&world, 0, 1, 60, 10 + i);
        CHECK_ERROR(fluxcap_engine_run_for(world.engine, -1, end_with, &number), number, words);
        arrive(&world, 0, 1, 60, 20 + i);
        CHECK_ERROR(fluxcap_engine_run_once(world.engine, end_with, &number), number, words);
        CHECK(fluxcap_sim_settle(world.sim) >= 0);
        /* What was sent is sent. */
        check_sent(&world, 0, 60, i);
        check_sent(&world, 0, 60, 10 + i);
        check_sent(&world, 0, 60, 20 + i);
    }
    arrive(&world, 0, 1, 60, 0);
    CHECK_RESULT(fluxcap_engine_run_once(world.engine, leave, NULL), 1);
    finish(&world);
}

/* Spoils the packet in the middle, and sends all. */
static int spoil(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    struct fluxcap_packet_ref *packet = &packets[count / 2];

    send_back(NULL, port, packets, count);
    switch (*(int *)user) {
    case 0:
        packet->data = NULL;
        break;
    case 1:
        packet->data = (uint8_t *)zeros;
        break;
    case 2:
        packet->data += 2048;
        break;
    case 3:
        packet->data -= 2048;
        break;
    case 4:
        packet->len = 2048;
        break;
    case 5:
        packet->len = UINT32_MAX;
        break;
    case 6:
        packet->data = (uint8_t *)UINTPTR_MAX;
        packet->len = UINT32_MAX;
        break;
    case 7:
        packet->verdict = FLUXCAP_SEND + 2;
        break;
    case 8:
        packet->verdict = UINT32_MAX;
        break;
    default:
        return -1;
    }
    return 0;
}

/* Reorders (0) or compacts (1) its packets, and sends all. */
static int move_entries(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    struct fluxcap_packet_ref first = packets[0];

    CHECK(count == 3);
    send_back(NULL, port, packets, count);
    packets[0].data = packets[2].data;
    if (*(int *)user == 0)
        packets[2].data = first.data;
    return 0;
}

static void entries_that_were_moved_are_not_sent_and_named(void)
{
    struct world world = create(2, NULL);

    for (int kind = 0; kind <= 1; kind++) {
        arrive(&world, 0, 3, 60, 10);
        CHECK_ERROR(fluxcap_engine_run(world.engine, move_entries, &kind), -EINVAL,
                    "packets[0] names a frame that it did not name before the callback");
        CHECK(strstr(fluxcap_last_error(), "do not move or swap") != NULL);
        CHECK(fluxcap_sim_settle(world.sim) >= 0);
        check_sent(&world, 0, 60, 11);
        if (kind == 1)
            check_sent(&world, 0, 60, 12);
        check_nothing_sent(&world, 0);
        check_engine(&world);
    }
    finish(&world);
}

struct stopped {
    struct fluxcap_raw *raw;
    int ended; /* atomic */
};

static void *stop_again_and_again(void *argument)
{
    struct stopped *stopped = (struct stopped *)argument;

    while (!__atomic_load_n(&stopped->ended, __ATOMIC_ACQUIRE)) {
        int result = fluxcap_raw_stop(stopped->raw);

        CHECK(result == 0 || result == -EINVAL);
    }
    return NULL;
}

/* Of a call that fails the handle comes back, and a stop meanwhile does no harm. */
static void a_socket_is_stopped_while_an_engine_does_not_take_it(void)
{
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_engine *engine = NULL;
    struct stopped stopped = ZEROS;
    pthread_t thread;

    CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
    struct fluxcap_link *link = add(sim, "sim0");
    struct fluxcap_raw *raws[2];

    raws[0] = raws[1] = stopped.raw = open_on(link, NULL);
    CHECK(pthread_create(&thread, NULL, stop_again_and_again, &stopped) == 0);
    for (int i = 0; i < 500; i++)
        CHECK_ERROR(fluxcap_engine_create(raws, 2, NULL, &engine), -EINVAL, "the same socket twice");
    __atomic_store_n(&stopped.ended, 1, __ATOMIC_RELEASE);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_RESULT(fluxcap_raw_stop(raws[0]), 0);
    CHECK_ERROR(fluxcap_raw_wait(raws[0], FLUXCAP_WAIT_RECEIVE, -1), -ECANCELED, "stop");
    check_and_free(raws[0]);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

/* Moves entries that are to be recycled, or sets them to zeros, and sends the last. */
static int move_what_is_recycled(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    CHECK(count == 4);
    if (*(int *)user == 0) {
        struct fluxcap_packet_ref first = packets[0];

        packets[0] = packets[1];
        packets[1] = first;
        packets[2].data = NULL;
        packets[2].len = UINT32_MAX;
    } else {
        memset(packets, 0, 3 * sizeof(packets[0]));
    }
    return send_back(NULL, port, packets + 3, 1);
}

static void entries_that_are_recycled_may_say_what_they_like(void)
{
    struct world world = create(2, NULL);

    for (int kind = 0; kind <= 1; kind++) {
        arrive(&world, 0, 4, 60, 10);
        CHECK_RESULT(fluxcap_engine_run_once(world.engine, move_what_is_recycled, &kind), 4);
        CHECK(fluxcap_sim_settle(world.sim) >= 0);
        check_sent(&world, 0, 60, 13);
        check_nothing_sent(&world, 0);
        check_engine(&world);
    }
    CHECK(statistics_of(world.engine).recycled == 6);
    finish(&world);
}

static void a_packet_that_cannot_be_sent_is_an_error_and_comes_to_no_harm(void)
{
    struct world world = create(2, NULL);
    int kind;

    for (kind = 0; kind <= 8; kind++) {
        static const char *const causes[] = {"names a frame that it did not", "goes beyond the end of its frame", "names a port"};
        int cause = kind >= 7 ? 2 : kind == 4 || kind == 5 ? 1 : 0;

        arrive(&world, 0, 3, 60, 10);
        CHECK_ERROR(fluxcap_engine_run(world.engine, spoil, &kind), cause == 1 ? -EMSGSIZE : -EINVAL, "packet 1 of a batch");
        CHECK(strstr(fluxcap_last_error(), causes[cause]) != NULL && strstr(fluxcap_last_error(), "packets[1]") != NULL);
        CHECK(fluxcap_sim_settle(world.sim) >= 0);
        check_sent(&world, 0, 60, 10);
        check_sent(&world, 0, 60, 12);
        check_nothing_sent(&world, 0);
        check_engine(&world);
    }
    CHECK(statistics_of(world.engine).recycled == 9);
    /* Its own number counts for more. */
    arrive(&world, 0, 3, 60, 10);
    CHECK_ERROR(fluxcap_engine_run(world.engine, spoil, &kind), -1, "callback");
    finish(&world);
}

static int make_empty(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    (void)user;
    send_back(NULL, port, packets, count);
    packets[0].len = 0;
    return 0;
}

static void an_empty_packet_is_recycled(void)
{
    struct world world = create(1, NULL);

    arrive(&world, 0, 1, 60, 0);
    CHECK_RESULT(fluxcap_engine_run_once(world.engine, make_empty, NULL), 1);
    CHECK(fluxcap_sim_settle(world.sim) >= 0);
    check_nothing_sent(&world, 0);
    CHECK(statistics_of(world.engine).recycled == 1);
    finish(&world);
}

static int count_batch(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    uint32_t *most = (uint32_t *)user;

    (void)port, (void)packets;
    if (count > *most)
        *most = count;
    return 0;
}

static void a_batch_is_as_large_as_the_config_says(void)
{
    static const uint32_t batches[3] = {0, 1, 100};

    for (int i = 0; i < 3; i++) {
        struct fluxcap_engine_config config = engine_config(FLUXCAP_POLLER_ADAPTIVE);
        uint32_t most = 0;

        config.batch = batches[i];
        config.spin_us = 20;
        struct world world = create(1, &config);
        arrive(&world, 0, 110, 60, 0);
        turns(&world, 110, count_batch, &most);
        CHECK(most == (batches[i] == 0 ? 64 : batches[i]));
        finish(&world);
    }
}

static void a_full_port_drops_when_it_may(void)
{
    struct fluxcap_engine_config config = engine_config(FLUXCAP_POLLER_BUSY);
    uint64_t seen[2] = {0, 0};

    for (uint32_t when = FLUXCAP_WHEN_FULL_WAIT; when <= FLUXCAP_WHEN_FULL_DROP; when++) {
        config.when_full = when;
        struct world world = create(2, &config);
        /* Its link is down, so that nothing leaves. */
        CHECK_RESULT(fluxcap_sim_nic_set_up(world.links[1], 0), 0);
        arrive(&world, 0, 200, 60, 0);
        for (int i = 0; i < 20; i++)
            fluxcap_engine_run_once(world.engine, cross, seen);
        struct fluxcap_engine_statistics statistics = statistics_of(world.engine);
        if (when == FLUXCAP_WHEN_FULL_DROP)
            CHECK(statistics.received == 200 && statistics.dropped > 0 && statistics.stalls == 0);
        else
            CHECK(statistics.received <= 128 && statistics.dropped == 0 && statistics.stalls > 0);
        finish(&world);
    }
}

static void a_port_that_sends_nothing_ends_the_run(void)
{
    struct fluxcap_engine_config config = engine_config(FLUXCAP_POLLER_BUSY);
    struct fluxcap_sim_faults faults = ZEROS;
    double start;

    config.patience_ms = 20;
    struct world world = create(1, &config);
    faults.struct_size = sizeof(faults);
    faults.stalled_completion = 1000000;
    faults.max_delay_ns = 60000000000u;
    CHECK_RESULT(fluxcap_sim_nic_set_faults(world.links[0], &faults), 0);
    arrive(&world, 0, 100, 60, 0);
    start = now();
    CHECK_ERROR(fluxcap_engine_run(world.engine, send_back, NULL), -ETIME, "left");
    CHECK(now() - start >= 0.02);
    CHECK_RESULT(fluxcap_sim_advance(world.sim, 61000000000u), 0);
    CHECK_RESULT(fluxcap_engine_run_once(world.engine, leave, NULL), 0);
    for (uint32_t i = 0; i < 100; i++)
        check_sent(&world, 0, 60, i);
    finish(&world);
}

static int stop_now(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    (void)port, (void)packets, (void)count;
    CHECK_RESULT(fluxcap_engine_stop((const struct fluxcap_engine *)user), 0);
    return 0;
}

static struct fluxcap_engine *for_the_handler;

static void on_alarm(int number)
{
    (void)number;
    if (fluxcap_engine_stop(for_the_handler) != 0)
        _exit(9);
}

static void *stop_later(void *user)
{
    struct timespec time = {0, 30000000};

    nanosleep(&time, NULL);
    CHECK_RESULT(fluxcap_engine_stop((const struct fluxcap_engine *)user), 0);
    return NULL;
}

static void a_stop_ends_a_run_from_everywhere(void)
{
    for (uint32_t poller = FLUXCAP_POLLER_ADAPTIVE; poller <= FLUXCAP_POLLER_WAIT; poller++) {
        struct fluxcap_engine_config config = engine_config(poller);
        struct world world = create(1, &config);
        pthread_t thread;
        double start;

        CHECK_RESULT(fluxcap_sim_start_thread(world.sim), 0);
        /* Before it runs: remembered, once. */
        CHECK_RESULT(fluxcap_engine_stop(world.engine), 0);
        CHECK_RESULT(fluxcap_engine_stop(world.engine), 0);
        CHECK_RESULT(fluxcap_engine_run(world.engine, leave, NULL), 0);
        /* From another thread. */
        CHECK(pthread_create(&thread, NULL, stop_later, world.engine) == 0);
        CHECK_RESULT(fluxcap_engine_run(world.engine, leave, NULL), 0);
        CHECK(pthread_join(thread, NULL) == 0);
        /* From a signal handler, in the midst of whatever it does. */
        for_the_handler = world.engine;
        signal(SIGALRM, on_alarm);
        ualarm(30000, 0);
        CHECK_RESULT(fluxcap_engine_run_for(world.engine, -1, leave, NULL), 0);
        signal(SIGALRM, SIG_DFL);
        /* From its callback. */
        arrive(&world, 0, 1, 60, 0);
        CHECK_RESULT(fluxcap_engine_run(world.engine, stop_now, world.engine), 0);
        /* Nobody does, but time is over. */
        start = now();
        CHECK_RESULT(fluxcap_engine_run_for(world.engine, 30, leave, NULL), 0);
        CHECK(now() - start >= 0.03);
        CHECK_RESULT(fluxcap_engine_run_for(world.engine, 0, leave, NULL), 0);
        /* A turn and a wait have no use for a stop, but do not lose it. */
        CHECK_RESULT(fluxcap_engine_stop(world.engine), 0);
        CHECK_RESULT(fluxcap_engine_run_once(world.engine, leave, NULL), 0);
        CHECK_RESULT(fluxcap_engine_wait(world.engine, -1), 0);
        CHECK_RESULT(fluxcap_engine_run(world.engine, leave, NULL), 0);
        CHECK_RESULT(fluxcap_sim_stop_thread(world.sim), 0);
        if (poller == FLUXCAP_POLLER_BUSY)
            CHECK(statistics_of(world.engine).spins > 0 && statistics_of(world.engine).sleeps == 0);
        if (poller == FLUXCAP_POLLER_WAIT)
            CHECK(statistics_of(world.engine).sleeps > 0 && statistics_of(world.engine).spins == 0);
        finish(&world);
    }
}

/* Everything that needs the engine says that it is taken. */
static void everything_is_busy(struct fluxcap_engine *engine)
{
    const struct fluxcap_raw *port = fluxcap_engine_port(engine, 0);
    struct fluxcap_engine_statistics statistics = ZEROS;
    struct fluxcap_port_statistics one = ZEROS;
    struct fluxcap_info info = ZEROS;
    struct fluxcap_umem *umem = NULL;
    char text[100];

    statistics.struct_size = sizeof(statistics);
    one.struct_size = sizeof(one);
    info.struct_size = sizeof(info);
    CHECK_ERROR(fluxcap_engine_run(engine, leave, NULL), -EBUSY, "engine");
    CHECK_ERROR(fluxcap_engine_run_for(engine, 1, leave, NULL), -EBUSY, "engine");
    CHECK_ERROR(fluxcap_engine_run_once(engine, leave, NULL), -EBUSY, "engine");
    CHECK_ERROR(fluxcap_engine_wait(engine, 1), -EBUSY, "engine");
    CHECK_ERROR(fluxcap_engine_get_statistics(engine, &statistics), -EBUSY, "engine");
    CHECK_ERROR(fluxcap_engine_get_port_statistics(engine, 0, &one), -EBUSY, "engine");
    CHECK_ERROR(fluxcap_engine_format_statistics(engine, text, sizeof(text)), -EBUSY, "engine");
    CHECK(port != NULL);
    CHECK_ERROR(fluxcap_raw_get_info(port, &info), -EBUSY, "engine");
    CHECK_ERROR(fluxcap_raw_wake_tx(port), -EBUSY, "engine");
    CHECK_ERROR(fluxcap_raw_get_umem(port, &umem), -EBUSY, "engine");
    CHECK(fluxcap_raw_data(port) == NULL && umem == NULL && info.frames == 0);
    /* It stays. */
    fluxcap_engine_free(engine);
    CHECK(strstr(fluxcap_last_error(), "another call has it") != NULL);
}

static void *disturb(void *user)
{
    everything_is_busy((struct fluxcap_engine *)user);
    return NULL;
}

static int run_within(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    struct fluxcap_engine *engine = (struct fluxcap_engine *)user;
    pthread_t thread;

    everything_is_busy(engine);
    CHECK(pthread_create(&thread, NULL, disturb, engine) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_RESULT(fluxcap_engine_stop(engine), 0);
    return send_back(NULL, port, packets, count);
}

static void an_engine_that_runs_is_busy_and_stays_whole(void)
{
    struct world world = create(1, NULL);

    arrive(&world, 0, 3, 60, 5);
    CHECK_RESULT(fluxcap_engine_run(world.engine, run_within, world.engine), 0);
    CHECK(fluxcap_sim_settle(world.sim) >= 0);
    for (uint32_t i = 0; i < 3; i++)
        check_sent(&world, 0, 60, 5 + i);
    arrive(&world, 0, 1, 60, 0);
    CHECK_RESULT(fluxcap_engine_run_once(world.engine, leave, NULL), 1);
    finish(&world);
}

static void a_port_can_be_looked_at_and_no_more(void)
{
    struct world world = create(2, NULL);
    struct fluxcap_info info = ZEROS;
    struct fluxcap_statistics statistics = ZEROS;
    struct fluxcap_program_counters counters = ZEROS;
    struct fluxcap_umem *umem = NULL;
    struct fluxcap_engine *engine = NULL;
    char text[2000];

    arrive(&world, 1, 2, 60, 0);
    turns(&world, 2, leave, NULL);
    info.struct_size = sizeof(info);
    statistics.struct_size = sizeof(statistics);
    counters.struct_size = sizeof(counters);
    CHECK(fluxcap_engine_port(world.engine, 2) == NULL && strstr(fluxcap_last_error(), "port 2") != NULL);
    CHECK(fluxcap_engine_port(world.engine, UINT32_MAX) == NULL && fluxcap_engine_port(NULL, 0) == NULL);
    const struct fluxcap_raw *port = fluxcap_engine_port(world.engine, 1);
    CHECK(port != NULL && port == fluxcap_engine_port(world.engine, 1) && port != fluxcap_engine_port(world.engine, 0));
    CHECK_RESULT(fluxcap_raw_get_info(port, &info), 0);
    CHECK(info.mtu == 1500 && info.mac[5] == 2);
    CHECK_RESULT(fluxcap_raw_get_statistics(port, &statistics), 0);
    CHECK(statistics.received == 2 && statistics.sent == 0);
    CHECK_RESULT(fluxcap_raw_get_program_counters(port, &counters), 0);
    CHECK(fluxcap_raw_format_report(port, text, sizeof(text)) > 0 && fluxcap_raw_format_rings(port, text, sizeof(text)) > 0);
    CHECK(fluxcap_raw_data(port) == fluxcap_raw_data(fluxcap_engine_port(world.engine, 0)));
    CHECK(fluxcap_raw_fd(port) >= -1);
    CHECK_RESULT(fluxcap_raw_wake_rx(port), 0);
    CHECK_RESULT(fluxcap_raw_get_umem(port, &umem), 0);
    CHECK(accounting_of(umem).user == 0);
    fluxcap_umem_free(umem);
    /* Not as what it is not. */
    struct fluxcap_raw *changed = (struct fluxcap_raw *)(uintptr_t)port;
    CHECK_ERROR(fluxcap_raw_refill(changed), -EINVAL, "a port of an engine");
    CHECK_ERROR(fluxcap_raw_recycle_front(changed, 1), -EINVAL, "a port of an engine");
    fluxcap_raw_free(changed);
    CHECK_ERROR(fluxcap_engine_create(&changed, 1, NULL, &engine), -EINVAL, "a port of an engine");
    CHECK(changed == port && engine == NULL);
    CHECK_RESULT(fluxcap_raw_wake_rx(port), 0);
    finish(&world);
}

static void no_function_takes_this_handle(struct fluxcap_engine *engine, const char *words)
{
    struct fluxcap_engine_statistics statistics = ZEROS;
    struct fluxcap_port_statistics port = ZEROS;
    char text[8] = "same";

    statistics.struct_size = sizeof(statistics);
    port.struct_size = sizeof(port);
    CHECK_ERROR(fluxcap_engine_run(engine, leave, NULL), -EINVAL, words);
    CHECK_ERROR(fluxcap_engine_run_for(engine, 1, leave, NULL), -EINVAL, words);
    CHECK_ERROR(fluxcap_engine_run_once(engine, leave, NULL), -EINVAL, words);
    CHECK_ERROR(fluxcap_engine_wait(engine, 0), -EINVAL, words);
    CHECK_ERROR(fluxcap_engine_get_statistics(engine, &statistics), -EINVAL, words);
    CHECK_ERROR(fluxcap_engine_get_port_statistics(engine, 0, &port), -EINVAL, words);
    CHECK_ERROR(fluxcap_engine_format_statistics(engine, text, sizeof(text)), -EINVAL, words);
    CHECK_RESULT(fluxcap_engine_stop(engine), -EINVAL);
    CHECK(fluxcap_engine_port(engine, 0) == NULL);
    CHECK(strcmp(text, "same") == 0 && statistics.ports == 0);
    fluxcap_engine_free(engine);
}

static void sockets_that_make_no_engine_stay_their_owners(void)
{
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_engine *const untouched = (struct fluxcap_engine *)zeros;
    struct fluxcap_engine *engine = untouched;
    struct fluxcap_engine_config config;
    struct fluxcap_packet held;

    CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
    struct fluxcap_link *link = add(sim, "sim0");
    struct fluxcap_raw *raw = open_on(link, NULL);
    struct fluxcap_raw *raws[3] = {raw, raw, NULL};

    CHECK_ERROR(fluxcap_engine_create(raws, 2, NULL, &engine), -EINVAL, "same socket twice");
    raws[1] = NULL;
    CHECK_ERROR(fluxcap_engine_create(raws, 2, NULL, &engine), -EINVAL, "NULL");
    raws[1] = (struct fluxcap_raw *)zeros;
    CHECK_ERROR(fluxcap_engine_create(raws, 2, NULL, &engine), -EINVAL, "entry 1 of raws");
    raws[1] = (struct fluxcap_raw *)(uintptr_t)link;
    CHECK_ERROR(fluxcap_engine_create(raws, 2, NULL, &engine), -EINVAL, "fluxcap_raw");
    CHECK_ERROR(fluxcap_engine_create(raws, 0, NULL, &engine), -EINVAL, "no socket");
    CHECK_ERROR(fluxcap_engine_create(NULL, 1, NULL, &engine), -EINVAL, "raws");
    CHECK_ERROR(fluxcap_engine_create(raws, 1, NULL, NULL), -EINVAL, "engine");
#define CHECK_FIELD(field, value)                                                                                      \
    config = engine_config(FLUXCAP_POLLER_ADAPTIVE);                                                                   \
    config.field = value;                                                                                              \
    CHECK_ERROR(fluxcap_engine_create(raws, 1, &config, &engine), -EINVAL, #field)
    CHECK_FIELD(poller, 3);
    CHECK_FIELD(poller, UINT32_MAX);
    CHECK_FIELD(batch, 4097);
    CHECK_FIELD(batch, UINT32_MAX);
    CHECK_FIELD(when_full, 2);
    CHECK_FIELD(copying, 2);
    CHECK_FIELD(patience_ms, -2);
    CHECK_FIELD(struct_size, 0);
    CHECK_FIELD(struct_size, sizeof(config) - 4);
    config = engine_config(FLUXCAP_POLLER_BUSY);
    config.spin_us = 1;
    CHECK_ERROR(fluxcap_engine_create(raws, 1, &config, &engine), -EINVAL, "spin_us");
    CHECK(raws[0] == raw && engine == untouched);
    check_frames(raw);
    /* A packet in hand when the engine is made is good for as long as one likes. */
    CHECK_RESULT(fluxcap_raw_alloc(raw, &held, 1), 1);
    CHECK_RESULT(fluxcap_engine_create(raws, 1, NULL, &engine), 0);
    CHECK(raws[0] == NULL && engine != untouched);
    CHECK_ERROR(fluxcap_engine_run(engine, NULL, NULL), -EINVAL, "callback");
    CHECK_ERROR(fluxcap_engine_run_for(engine, 1, NULL, NULL), -EINVAL, "callback");
    CHECK_ERROR(fluxcap_engine_run_once(engine, NULL, NULL), -EINVAL, "callback");
    CHECK_ERROR(fluxcap_engine_get_statistics(engine, NULL), -EINVAL, "fluxcap_engine_statistics");
    CHECK_ERROR(fluxcap_engine_get_port_statistics(engine, 0, NULL), -EINVAL, "fluxcap_port_statistics");
    CHECK_ERROR(fluxcap_raw_refill((struct fluxcap_raw *)(uintptr_t)engine), -EINVAL, "fluxcap_raw");
    no_function_takes_this_handle(NULL, "NULL");
    no_function_takes_this_handle(untouched, "fluxcap_engine_create");
    no_function_takes_this_handle((struct fluxcap_engine *)(uintptr_t)link, "fluxcap_engine");
    fluxcap_engine_free(engine);
    held.len = 1;
    CHECK_RESULT(fluxcap_packet_free(&held), 0);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

static void a_thread_is_pinned_to_a_cpu_that_is_there(void)
{
    cpu_set_t before, after;
    int cpu = 0;

    CHECK(sched_getaffinity(0, sizeof(before), &before) == 0);
    while (!CPU_ISSET(cpu, &before))
        cpu++;
    CHECK_ERROR(fluxcap_poller_pin(100000), -EINVAL, "100000");
    CHECK_ERROR(fluxcap_poller_pin(UINT32_MAX), -EINVAL, "CPU");
    CHECK_RESULT(fluxcap_poller_pin((uint32_t)cpu), 0);
    CHECK(sched_getaffinity(0, sizeof(after), &after) == 0);
    CHECK(CPU_COUNT(&after) == 1 && CPU_ISSET(cpu, &after));
    CHECK(sched_setaffinity(0, sizeof(before), &before) == 0);
}

#ifdef __cplusplus
static int throw_up(void *, uint32_t, struct fluxcap_packet_ref *, uint32_t)
{
    throw 1;
}

/* By abort(), as everything that leaves a function which must not be left like that. */
static void an_exception_ends_the_program(void)
{
    int status = 0;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        struct world world = create(1, NULL);
        arrive(&world, 0, 1, 60, 0);
        fclose(stderr);
        try {
            fluxcap_engine_run(world.engine, throw_up, NULL);
        } catch (...) {
            _exit(1);
        }
        _exit(2);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
#endif

int main(void)
{
    what_the_callback_sends_is_sent_and_the_rest_is_recycled();
    data_and_length_may_move_within_the_frame();
    packets_cross_between_two_ports();
    between_two_memories_packets_are_copied_where_that_is_allowed();
    a_negative_result_ends_the_run_with_that_number();
    a_packet_that_cannot_be_sent_is_an_error_and_comes_to_no_harm();
    entries_that_were_moved_are_not_sent_and_named();
    entries_that_are_recycled_may_say_what_they_like();
    a_socket_is_stopped_while_an_engine_does_not_take_it();
    an_empty_packet_is_recycled();
    a_batch_is_as_large_as_the_config_says();
    a_full_port_drops_when_it_may();
    a_port_that_sends_nothing_ends_the_run();
    a_stop_ends_a_run_from_everywhere();
    an_engine_that_runs_is_busy_and_stays_whole();
    a_port_can_be_looked_at_and_no_more();
    sockets_that_make_no_engine_stay_their_owners();
    a_thread_is_pinned_to_a_cpu_that_is_there();
#ifdef __cplusplus
    an_exception_ends_the_program();
#endif
    return 0;
}
