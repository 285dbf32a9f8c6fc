/* Mode B over a simulated network. Needs no privilege and no interface. */
#include "check.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static_assert(sizeof(struct fluxcap_poller_statistics) == 32, "no padding");
static_assert(sizeof(struct fluxcap_ring_state) == 40, "part of the ABI");

static uint64_t zeros[8192];

/* A socket in two halves, and its memory. */
struct halves {
    struct fluxcap_rx *rx;
    struct fluxcap_tx *tx;
    struct fluxcap_umem *umem;
};

static struct fluxcap_link *add(struct fluxcap_sim *sim, const char *name, uint32_t cable)
{
    struct fluxcap_sim_nic_config config = ZEROS;
    struct fluxcap_link *link = NULL;

    config.struct_size = sizeof(config);
    config.name = name;
    config.cable = cable;
    CHECK_RESULT(fluxcap_sim_add_nic(sim, &config, &link), 0);
    return link;
}

static struct fluxcap_raw *open_on(const struct fluxcap_link *link)
{
    struct fluxcap_config config = small(NULL);

    config.frames = 2048;
    config.fill_size = 512;
    config.rx_size = config.tx_size = config.completion_size = 512;
    config.link = link;
    return open_config(&config);
}

static struct halves split(struct fluxcap_raw *raw)
{
    struct halves halves = ZEROS;

    CHECK_RESULT(fluxcap_raw_get_umem(raw, &halves.umem), 0);
    CHECK_RESULT(fluxcap_raw_split(raw, &halves.rx, &halves.tx), 0);
    CHECK(halves.rx != NULL && halves.tx != NULL);
    return halves;
}

static struct fluxcap_accounting accounting_of(const struct fluxcap_umem *umem)
{
    struct fluxcap_accounting accounting;

    CHECK_RESULT(fluxcap_umem_get_accounting(umem, &accounting), 0);
    CHECK(accounting.pool + accounting.user + accounting.kernel + accounting.quarantined == accounting.frames);
    return accounting;
}

static void check_ring(const struct fluxcap_ring_state *ring)
{
    CHECK(ring->size == 512 && ring->violations == 0 && ring->refused == 0);
}

/* Every test ends with this: all frames come home, but for those that the program still holds. */
static void finish(struct halves *halves, uint32_t held)
{
    struct fluxcap_ring_state one, other;
    struct fluxcap_accounting accounting;

    if (halves->rx != NULL) {
        CHECK_RESULT(fluxcap_rx_get_rings(halves->rx, &one, &other), 0);
        check_ring(&one);
        check_ring(&other);
    }
    if (halves->tx != NULL) {
        CHECK_RESULT(fluxcap_tx_get_rings(halves->tx, &one, &other), 0);
        check_ring(&one);
        check_ring(&other);
    }
    fluxcap_rx_free(halves->rx);
    fluxcap_tx_free(halves->tx);
    accounting = accounting_of(halves->umem);
    CHECK(accounting.kernel == 0 && accounting.user == held);
    fluxcap_umem_free(halves->umem);
}

/* Two sockets at the ends of a cable, on one of which few packets can be on their way. */
struct world {
    struct fluxcap_sim *sim;
    struct fluxcap_link *links[2];
    struct halves ends[2];
};

static struct world create(uint32_t cable)
{
    struct world world = ZEROS;

    CHECK_RESULT(fluxcap_sim_create(0, &world.sim), 0);
    world.links[0] = add(world.sim, "near", 0);
    world.links[1] = add(world.sim, "far", cable);
    CHECK_RESULT(fluxcap_sim_join(world.sim, world.links[0], world.links[1]), 0);
    for (int i = 0; i < 2; i++)
        world.ends[i] = split(open_on(world.links[i]));
    return world;
}

static void destroy(struct world *world)
{
    finish(&world->ends[0], 0);
    finish(&world->ends[1], 0);
    fluxcap_link_free(world->links[0]);
    fluxcap_link_free(world->links[1]);
    fluxcap_sim_free(world->sim);
}

/* Packets of one length, numbered from `seed`. */
static void make(struct fluxcap_tx *tx, struct fluxcap_packet *packets, uint32_t count, uint32_t len, uint32_t seed)
{
    CHECK_RESULT(fluxcap_tx_alloc(tx, packets, count), (int)count);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(packets[i].data != NULL && packets[i].len == 0);
        packets[i].len = len;
        fill_frame(packets[i].data, len, seed + i);
    }
}

static void check_packets(const struct fluxcap_packet *packets, uint32_t count, uint32_t len, uint32_t seed)
{
    for (uint32_t i = 0; i < count; i++)
        CHECK(packets[i].len == len && is_frame(packets[i].data, len, seed + i));
}

static void check_moved(const struct fluxcap_packet *packets, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        CHECK(packets[i].data == NULL);
}

/* Receives exactly `count` packets. */
static void receive(struct fluxcap_rx *rx, struct fluxcap_packet *packets, uint32_t count)
{
    uint32_t done = 0;

    for (double end = now() + 3; done < count && now() < end;) {
        int result = fluxcap_rx_recv(rx, packets + done, count - done, 100);

        CHECK(result >= 0);
        done += (uint32_t)result;
    }
    CHECK_RESULT((int)done, (int)count);
}

static void packets_go_there_and_back(void)
{
    struct world world = create(0);
    struct halves *near_end = &world.ends[0], *far_end = &world.ends[1];
    struct fluxcap_statistics statistics = ZEROS;
    struct fluxcap_info info = ZEROS;
    struct fluxcap_program_counters counters = ZEROS;
    struct fluxcap_packet packets[300];
    char text[2000];

    /* More than the library handles at once. */
    make(near_end->tx, packets, 300, 100, 0);
    CHECK_RESULT(fluxcap_tx_room(near_end->tx), 512);
    CHECK_RESULT(fluxcap_tx_send(near_end->tx, packets, 300), 300);
    check_moved(packets, 300);
    CHECK_RESULT(fluxcap_tx_flush(near_end->tx, 3000), 1);
    CHECK_RESULT(fluxcap_tx_outstanding(near_end->tx), 0);
    receive(far_end->rx, packets, 300);
    check_packets(packets, 300, 100, 0);
    CHECK_RESULT(fluxcap_tx_send(far_end->tx, packets, 300), 300);
    CHECK_RESULT(fluxcap_tx_flush(far_end->tx, 3000), 1);
    receive(near_end->rx, packets, 300);
    check_packets(packets, 300, 100, 0);
    CHECK_RESULT(fluxcap_rx_recycle(near_end->rx, packets, 300), 0);
    check_moved(packets, 300);
    CHECK_RESULT(fluxcap_rx_recv(near_end->rx, packets, 300, 0), 0);

    statistics.struct_size = sizeof(statistics);
    info.struct_size = sizeof(info);
    counters.struct_size = sizeof(counters);
    CHECK_RESULT(fluxcap_rx_get_statistics(near_end->rx, &statistics), 0);
    CHECK(statistics.received == 300 && statistics.sent == 0);
    CHECK_RESULT(fluxcap_tx_get_statistics(near_end->tx, &statistics), 0);
    CHECK(statistics.received == 0 && statistics.sent == 300);
    CHECK_RESULT(fluxcap_rx_get_info(near_end->rx, &info), 0);
    CHECK(info.frames == 2048 && info.mac[5] == 1);
    info.frames = 0;
    CHECK_RESULT(fluxcap_tx_get_info(far_end->tx, &info), 0);
    CHECK(info.frames == 2048 && info.mac[5] == 2);
    CHECK_RESULT(fluxcap_rx_get_program_counters(near_end->rx, &counters), 0);
    CHECK(fluxcap_rx_format_report(near_end->rx, text, sizeof(text)) > 0);
    check_plain(text, "fluxcap_rx_format_report", __FILE__, __LINE__);
    CHECK(fluxcap_tx_format_report(near_end->tx, text, sizeof(text)) > 0);
    destroy(&world);
}

/* What a thread does until it has seen all packets. */
struct echo {
    struct halves *halves;
    uint32_t count;
    /* So many were seen so far. */
    uint32_t done;
};

static void *echo(void *argument)
{
    struct echo *job = (struct echo *)argument;
    struct fluxcap_packet packets[64];

    for (uint32_t done = 0; done < job->count;) {
        int count = fluxcap_rx_recv(job->halves->rx, packets, 64, 1000);

        CHECK(count > 0);
        for (int sent = 0; sent < count;) {
            int more = fluxcap_tx_send(job->halves->tx, packets + sent, (uint32_t)(count - sent));

            CHECK(more >= 0);
            sent += more;
            if (sent < count)
                CHECK_RESULT(fluxcap_tx_wait(job->halves->tx, 1000), 1);
        }
        done += (uint32_t)count;
    }
    return NULL;
}

static void *collect(void *argument)
{
    struct echo *job = (struct echo *)argument;
    struct fluxcap_packet packets[64];

    for (uint32_t done = 0; done < job->count;) {
        int count = fluxcap_rx_recv(job->halves->rx, packets, 64, 1000);

        CHECK(count > 0);
        check_packets(packets, (uint32_t)count, 80, done);
        CHECK_RESULT(fluxcap_packets_free(packets, (uint32_t)count), 0);
        done += (uint32_t)count;
        __atomic_store_n(&job->done, done, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* One thread sends, one receives, and one sends back what comes. */
static void the_halves_work_on_threads_of_their_own(void)
{
    struct world world = create(0);
    struct echo job[2] = {{&world.ends[0], 3000, 0}, {&world.ends[1], 3000, 0}};
    struct fluxcap_packet packets[32];
    pthread_t threads[2];

    CHECK_RESULT(fluxcap_sim_start_thread(world.sim), 0);
    CHECK(pthread_create(&threads[0], NULL, collect, &job[0]) == 0);
    CHECK(pthread_create(&threads[1], NULL, echo, &job[1]) == 0);
    for (uint32_t sent = 0; sent < 3000;) {
        struct timespec pause = {0, 100000};
        uint32_t left = 3000 - sent < 32 ? 3000 - sent : 32;
        int count;

        /* No more on the way than an RX ring has room for: it drops the others, as a real one. */
        if (sent - __atomic_load_n(&job[0].done, __ATOMIC_ACQUIRE) > 400) {
            nanosleep(&pause, NULL);
            continue;
        }
        count = fluxcap_tx_alloc(world.ends[0].tx, packets, left);
        CHECK(count >= 0);
        for (int i = 0; i < count; i++) {
            packets[i].len = 80;
            fill_frame(packets[i].data, 80, sent + (uint32_t)i);
        }
        left = (uint32_t)count;
        count = fluxcap_tx_send(world.ends[0].tx, packets, left);
        CHECK(count >= 0);
        CHECK_RESULT(fluxcap_packets_free(packets, left), 0);
        sent += (uint32_t)count;
    }
    CHECK(pthread_join(threads[0], NULL) == 0);
    CHECK(pthread_join(threads[1], NULL) == 0);
    CHECK_RESULT(fluxcap_tx_flush(world.ends[0].tx, 3000), 1);
    CHECK_RESULT(fluxcap_tx_flush(world.ends[1].tx, 3000), 1);
    CHECK_RESULT(fluxcap_sim_stop_thread(world.sim), 0);
    destroy(&world);
}

static void what_a_full_ring_does_not_take_is_still_the_callers(void)
{
    struct world world = create(16);
    struct fluxcap_tx *tx = world.ends[0].tx;
    struct fluxcap_packet packets[600], copies[600], got[600];
    double start;
    int sent, more;

    make(tx, packets, 600, 60, 0);
    memcpy(copies, packets, sizeof(packets));
    /* Nobody steps the network, so that the cable is soon full. */
    sent = fluxcap_tx_send(tx, packets, 600);
    CHECK(sent >= 512 && sent < 600);
    check_moved(packets, (uint32_t)sent);
    /* The others were not touched. */
    CHECK(memcmp(packets + sent, copies + sent, sizeof(packets[0]) * (size_t)(600 - sent)) == 0);
    check_packets(packets + sent, 600 - (uint32_t)sent, 60, (uint32_t)sent);
    CHECK_RESULT(fluxcap_tx_send(tx, packets + sent, 600 - (uint32_t)sent), 0);
    CHECK_RESULT(fluxcap_tx_room(tx), 0);
    CHECK_RESULT(fluxcap_tx_wait(tx, 0), 0);
    CHECK(fluxcap_tx_outstanding(tx) >= 512 - 16);
    CHECK_RESULT(fluxcap_tx_flush(tx, 0), 0);
    /* All of it arrives when the network moves. */
    int taken = 0;
    start = now();
    while (taken < 600 && now() < start + 3) {
        CHECK(fluxcap_sim_settle(world.sim) >= 0);
        more = fluxcap_rx_recv(world.ends[1].rx, got + taken, 600 - (uint32_t)taken, 0);
        CHECK(more >= 0);
        taken += more;
        more = sent < 600 ? fluxcap_tx_send(tx, packets + sent, 600 - (uint32_t)sent) : fluxcap_tx_kick(tx);
        CHECK(more >= 0);
        sent += more;
    }
    CHECK(taken == 600 && sent == 600);
    check_packets(got, 600, 60, 0);
    CHECK_RESULT(fluxcap_packets_free(got, 600), 0);
    CHECK_RESULT(fluxcap_tx_flush(tx, 3000), 1);
    destroy(&world);
}

static void what_never_moves_is_an_error_that_says_so(void)
{
    struct world world = create(4);
    struct fluxcap_tx *tx = world.ends[0].tx;
    struct fluxcap_packet packets[40];
    int result = 0;

    CHECK_RESULT(fluxcap_tx_set_patience(tx, 10), 0);
    make(tx, packets, 40, 60, 0);
    CHECK_RESULT(fluxcap_tx_send(tx, packets, 40), 40);
    for (double end = now() + 3; result == 0 && now() < end;)
        result = fluxcap_tx_kick(tx);
    CHECK_ERROR(result, -ETIME, "simulat");
    CHECK_RESULT(fluxcap_tx_set_patience(tx, -1), 0);
    for (int i = 0; i < 100; i++)
        CHECK_RESULT(fluxcap_tx_kick(tx), 0);
    destroy(&world);
}

static void each_half_does_without_the_other(void)
{
    struct world world = create(0);
    struct fluxcap_packet packets[4];

    /* The sending one … */
    make(world.ends[0].tx, packets, 4, 70, 0);
    fluxcap_rx_free(world.ends[0].rx);
    world.ends[0].rx = NULL;
    CHECK_RESULT(fluxcap_tx_send(world.ends[0].tx, packets, 4), 4);
    CHECK_RESULT(fluxcap_tx_flush(world.ends[0].tx, 3000), 1);
    /* … and the receiving one. */
    fluxcap_tx_free(world.ends[1].tx);
    world.ends[1].tx = NULL;
    receive(world.ends[1].rx, packets, 4);
    check_packets(packets, 4, 70, 0);
    CHECK_RESULT(fluxcap_packets_free(packets, 4), 0);
    destroy(&world);
}

static void packets_outlive_a_split_and_the_halves(void)
{
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_packet made, got[3];
    uint8_t frame[90], buffer[90];

    CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
    struct fluxcap_link *link = add(sim, "sim0", 0);
    struct fluxcap_raw *raw = open_on(link);
    for (uint32_t i = 0; i < 4; i++) {
        fill_frame(frame, sizeof(frame), i);
        CHECK_RESULT(fluxcap_sim_nic_inject(link, 0, frame, sizeof(frame)), 0);
    }
    receive_all(raw, got, 2);
    make_packets(raw, &made, 1, 90, 9);
    struct halves halves = split(raw);
    /* What was in the ring is still there. */
    receive(halves.rx, got + 2, 1);
    check_packets(got, 3, 90, 0);
    CHECK_RESULT(fluxcap_tx_send(halves.tx, &made, 1), 1);
    CHECK_RESULT(fluxcap_tx_send(halves.tx, got, 1), 1);
    CHECK_RESULT(fluxcap_tx_flush(halves.tx, 3000), 1);
    CHECK_RESULT(fluxcap_sim_nic_take_sent(link, buffer, sizeof(buffer)), 90);
    CHECK(is_frame(buffer, 90, 9));
    CHECK_RESULT(fluxcap_sim_nic_take_sent(link, buffer, sizeof(buffer)), 90);
    CHECK(is_frame(buffer, 90, 0));
    finish(&halves, 2);
    check_packets(got + 1, 2, 90, 1);
    CHECK_RESULT(fluxcap_packets_free(got, 3), 0);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

static void packets_of_another_memory_are_refused_and_can_be_copied(void)
{
    struct world world = create(0);
    struct fluxcap_tx *tx = world.ends[0].tx;
    struct fluxcap_packet packets[3], copy, before[3];
    struct fluxcap_umem *umem = NULL;
    uint8_t frame[2049] = ZEROS;

    make(tx, packets, 2, 60, 0);
    make(world.ends[1].tx, packets + 2, 1, 60, 2);
    memcpy(before, packets, sizeof(before));
    CHECK_ERROR(fluxcap_tx_send(tx, packets, 3), -EINVAL, "another socket");
    CHECK(strstr(fluxcap_last_error(), "packet 2 of the array") != NULL);
    CHECK_ERROR(fluxcap_rx_recycle(world.ends[0].rx, packets, 3), -EINVAL, "another socket");
    CHECK(memcmp(packets, before, sizeof(before)) == 0);
    CHECK_RESULT(fluxcap_tx_copy(tx, packets[2].data, packets[2].len, &copy), 1);
    check_packets(&copy, 1, 60, 2);
    CHECK(copy.data != packets[2].data);
    CHECK_RESULT(fluxcap_tx_send(tx, &copy, 1), 1);
    /* Both are good where they belong. */
    CHECK_RESULT(fluxcap_tx_send(tx, packets, 2), 2);
    CHECK_RESULT(fluxcap_rx_recycle(world.ends[1].rx, packets + 2, 1), 0);
    CHECK_RESULT(fluxcap_tx_copy(tx, frame, 0, &copy), 1);
    CHECK(copy.len == 0);
    CHECK_RESULT(fluxcap_packet_free(&copy), 0);
    CHECK_ERROR(fluxcap_tx_copy(tx, frame, sizeof(frame), &copy), -EMSGSIZE, "");
    CHECK_ERROR(fluxcap_tx_copy(tx, NULL, 1, &copy), -EINVAL, "data");
    CHECK_ERROR(fluxcap_tx_copy(tx, frame, 1, NULL), -EINVAL, "packet");
    CHECK_RESULT(fluxcap_rx_get_umem(world.ends[0].rx, &umem), 0);
    CHECK(accounting_of(umem).frames == 2048);
    fluxcap_umem_free(umem);
    CHECK_RESULT(fluxcap_tx_get_umem(tx, &umem), 0);
    fluxcap_umem_free(umem);
    CHECK_ERROR(fluxcap_tx_get_umem(tx, NULL), -EINVAL, "umem");
    CHECK_RESULT(fluxcap_tx_flush(tx, 3000), 1);
    destroy(&world);
}

static void a_packet_is_used_once_and_within_its_frame(void)
{
    struct world world = create(0);
    struct fluxcap_tx *tx = world.ends[0].tx;
    struct fluxcap_rx *rx = world.ends[0].rx;
    struct fluxcap_packet packet, copy;

    make(tx, &packet, 1, 60, 0);
    copy = packet;
    packet.len = 0;
    CHECK_ERROR(fluxcap_tx_send(tx, &packet, 1), -EMSGSIZE, "empty");
    packet.len = 4096;
    CHECK_ERROR(fluxcap_tx_send(tx, &packet, 1), -EMSGSIZE, "frame");
    CHECK_ERROR(fluxcap_rx_recycle(rx, &packet, 1), -EMSGSIZE, "frame");
    packet = copy;
    packet.options = 1;
    CHECK_ERROR(fluxcap_tx_send(tx, &packet, 1), -EINVAL, "options");
    packet = copy;
    packet.data += 2048;
    CHECK_ERROR(fluxcap_tx_send(tx, &packet, 1), -EMSGSIZE, "frame");
    packet = copy;
    CHECK_RESULT(fluxcap_tx_send(tx, &packet, 1), 1);
    CHECK_ERROR(fluxcap_tx_send(tx, &copy, 1), -EINVAL, "freed, sent or taken");
    CHECK_ERROR(fluxcap_rx_recycle(rx, &copy, 1), -EINVAL, "freed, sent or taken");
    CHECK_ERROR(fluxcap_packet_free(&copy), -EINVAL, "freed, sent or taken");
    /* One that has moved away is none. */
    CHECK_ERROR(fluxcap_tx_send(tx, &packet, 1), -EINVAL, "packet");
    make(tx, &packet, 1, 60, 0);
    copy = packet;
    CHECK_RESULT(fluxcap_rx_recycle(rx, &packet, 1), 0);
    CHECK_ERROR(fluxcap_tx_send(tx, &copy, 1), -EINVAL, "freed, sent or taken");
    CHECK_RESULT(fluxcap_tx_send(tx, NULL, 0), 0);
    CHECK_RESULT(fluxcap_tx_alloc(tx, NULL, 0), 0);
    CHECK_RESULT(fluxcap_rx_recycle(rx, NULL, 0), 0);
    CHECK_ERROR(fluxcap_tx_send(tx, NULL, 1), -EINVAL, "packets");
    CHECK_ERROR(fluxcap_tx_alloc(tx, NULL, 1), -EINVAL, "packets");
    CHECK_ERROR(fluxcap_rx_recycle(rx, NULL, 1), -EINVAL, "packets");
    CHECK_ERROR(fluxcap_rx_recv(rx, NULL, 1, 0), -EINVAL, "packets");
    CHECK_RESULT(fluxcap_tx_flush(tx, 3000), 1);
    destroy(&world);
}

static void *inject_later(void *argument)
{
    struct timespec time = {0, 30000000};
    uint8_t frame[60];

    nanosleep(&time, NULL);
    fill_frame(frame, sizeof(frame), 3);
    CHECK_RESULT(fluxcap_sim_nic_inject((const struct fluxcap_link *)argument, 0, frame, sizeof(frame)), 0);
    return NULL;
}

static void a_receiver_waits_as_its_poller_says(void)
{
    struct world world = create(0);
    struct fluxcap_rx *rx = world.ends[0].rx;
    struct fluxcap_poller_statistics statistics = ZEROS;
    struct fluxcap_packet packets[4];

    statistics.struct_size = sizeof(statistics);
    CHECK_RESULT(fluxcap_sim_start_thread(world.sim), 0);
    for (uint32_t poller = FLUXCAP_POLLER_ADAPTIVE; poller <= FLUXCAP_POLLER_WAIT; poller++) {
        pthread_t thread;
        double start = now();

        CHECK_RESULT(fluxcap_rx_set_poller(rx, poller, 0), 0);
        CHECK_RESULT(fluxcap_rx_recv(rx, packets, 4, 0), 0);
        CHECK_RESULT(fluxcap_rx_recv(rx, packets, 4, 20), 0);
        CHECK(now() - start >= 0.02);
        CHECK(pthread_create(&thread, NULL, inject_later, world.links[0]) == 0);
        CHECK_RESULT(fluxcap_rx_recv(rx, packets, 4, -1), 1);
        CHECK(pthread_join(thread, NULL) == 0);
        check_packets(packets, 1, 60, 3);
        CHECK_RESULT(fluxcap_packet_free(packets), 0);
        CHECK_RESULT(fluxcap_rx_get_poller_statistics(rx, &statistics), 0);
        CHECK((statistics.spins > 0) == (poller != FLUXCAP_POLLER_WAIT));
        CHECK((statistics.sleeps > 0) == (poller != FLUXCAP_POLLER_BUSY));
    }
    CHECK_RESULT(fluxcap_sim_stop_thread(world.sim), 0);
    CHECK_ERROR(fluxcap_rx_set_poller(rx, 3, 0), -EINVAL, "poller");
    CHECK_ERROR(fluxcap_rx_set_poller(rx, FLUXCAP_POLLER_WAIT, 9), -EINVAL, "spin_us");
    CHECK_RESULT(fluxcap_rx_set_poller(rx, FLUXCAP_POLLER_ADAPTIVE, 9), 0);
    /* A batch of zero has nothing to wait for. */
    CHECK_RESULT(fluxcap_rx_recv(rx, NULL, 0, 0), 0);
    CHECK_ERROR(fluxcap_rx_recv(rx, NULL, 0, -1), -EINVAL, "room");
    CHECK_ERROR(fluxcap_rx_recv(rx, packets, 0, 10), -EINVAL, "room");
    CHECK_ERROR(fluxcap_rx_get_poller_statistics(rx, NULL), -EINVAL, "fluxcap_poller_statistics");
    destroy(&world);
}

/* A wait that nothing but a stop ends, and its stop. One of the handles is there. */
struct stopped {
    struct fluxcap_raw *raw;
    struct fluxcap_rx *rx;
    struct fluxcap_tx *tx;
    int (*wait)(const struct stopped *);
    int (*stop)(const struct stopped *);
};

static int stop_raw(const struct stopped *stopped)
{
    return fluxcap_raw_stop(stopped->raw);
}

static int stop_rx(const struct stopped *stopped)
{
    return fluxcap_rx_stop(stopped->rx);
}

static int stop_tx(const struct stopped *stopped)
{
    return fluxcap_tx_stop(stopped->tx);
}

static int wait_raw(const struct stopped *stopped)
{
    return fluxcap_raw_wait(stopped->raw, FLUXCAP_WAIT_RECEIVE, -1);
}

static int flush_raw(const struct stopped *stopped)
{
    return fluxcap_raw_flush(stopped->raw, -1);
}

static int receive_rx(const struct stopped *stopped)
{
    struct fluxcap_packet packet;

    return fluxcap_rx_recv(stopped->rx, &packet, 1, -1);
}

/* Of packets that are late a few come back early. */
static int wait_tx(const struct stopped *stopped)
{
    int result = 0;

    while (result >= 0) {
        while (fluxcap_tx_room(stopped->tx) > 0) {
            struct fluxcap_packet packet;

            make(stopped->tx, &packet, 1, 60, 0);
            CHECK_RESULT(fluxcap_tx_send(stopped->tx, &packet, 1), 1);
        }
        result = fluxcap_tx_wait(stopped->tx, -1);
    }
    return result;
}

static int flush_tx(const struct stopped *stopped)
{
    return fluxcap_tx_flush(stopped->tx, -1);
}

static const struct stopped *for_the_handler;

static void on_signal(int number)
{
    (void)number;
    if (for_the_handler->stop(for_the_handler) != 0)
        _exit(9);
}

static void pause_a_little(void)
{
    struct timespec time = {0, 20000000};

    while (nanosleep(&time, &time) != 0)
        continue;
}

static void *stop_later(void *stopped)
{
    pause_a_little();
    CHECK_RESULT(((const struct stopped *)stopped)->stop((const struct stopped *)stopped), 0);
    return NULL;
}

/* Has the handler stop it, on the thread that waits. */
static void *signal_later(void *waiting)
{
    pause_a_little();
    CHECK(pthread_kill(*(const pthread_t *)waiting, SIGUSR1) == 0);
    return NULL;
}

/* Has the handler stop it, on a thread that does not wait. */
static void *raise_later(void *unused)
{
    pause_a_little();
    CHECK(pthread_kill(pthread_self(), SIGUSR1) == 0);
    return unused;
}

static void check_that_a_stop_ends(struct stopped stopped)
{
    pthread_t waiting = pthread_self(), thread;
    void *(*const stops[3])(void *) = {stop_later, signal_later, raise_later};
    void *const arguments[3] = {&stopped, &waiting, NULL};

    for_the_handler = &stopped;
    for (int i = 0; i < 3; i++) {
        double start = now();

        CHECK(pthread_create(&thread, NULL, stops[i], arguments[i]) == 0);
        CHECK_ERROR(stopped.wait(&stopped), -ECANCELED, "stop");
        CHECK(now() - start >= 0.02);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    for_the_handler = NULL;
}

static void a_stop_ends_every_wait_that_blocks(void)
{
    struct stopped waits[5] = ZEROS;
    struct fluxcap_sim_faults faults = ZEROS;
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_packet packet;

    waits[0].wait = wait_raw;
    waits[1].wait = flush_raw;
    waits[2].wait = receive_rx;
    waits[3].wait = wait_tx;
    waits[4].wait = flush_tx;
    waits[0].stop = waits[1].stop = stop_raw;
    waits[2].stop = stop_rx;
    waits[3].stop = waits[4].stop = stop_tx;
    signal(SIGUSR1, on_signal);
    CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
    struct fluxcap_link *link = add(sim, "sim0", 0);
    struct fluxcap_raw *raw = open_on(link);
    /* Up to a minute. */
    faults.struct_size = sizeof(faults);
    faults.stalled_completion = 1000000;
    faults.max_delay_ns = 60000000000u;
    CHECK_RESULT(fluxcap_sim_set_faults(sim, &faults), 0);
    CHECK_RESULT(fluxcap_sim_start_thread(sim), 0);
    for (int i = 0; i < 64; i++) {
        CHECK_RESULT(fluxcap_raw_alloc(raw, &packet, 1), 1);
        packet.len = 60;
        CHECK_RESULT(fluxcap_raw_send(raw, &packet, 1), 1);
    }
    waits[0].raw = waits[1].raw = raw;
    check_that_a_stop_ends(waits[0]);
    check_that_a_stop_ends(waits[1]);

    struct halves halves = split(raw);
    CHECK_RESULT(fluxcap_tx_set_patience(halves.tx, -1), 0);
    waits[2].rx = halves.rx;
    waits[3].tx = waits[4].tx = halves.tx;
    for (uint32_t poller = FLUXCAP_POLLER_ADAPTIVE; poller <= FLUXCAP_POLLER_WAIT; poller++) {
        CHECK_RESULT(fluxcap_rx_set_poller(halves.rx, poller, 0), 0);
        check_that_a_stop_ends(waits[2]);
    }
    check_that_a_stop_ends(waits[3]);
    check_that_a_stop_ends(waits[4]);
    signal(SIGUSR1, SIG_DFL);
    CHECK_RESULT(fluxcap_sim_stop_thread(sim), 0);
    finish(&halves, 0);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

static void a_descriptor_tells_of_packets(void)
{
    struct world world = create(0);
    struct pollfd descriptor = ZEROS;
    struct fluxcap_packet packet;

    descriptor.fd = fluxcap_rx_fd(world.ends[1].rx);
    descriptor.events = POLLIN;
    CHECK(descriptor.fd >= 0 && fluxcap_rx_fd(world.ends[1].rx) == descriptor.fd);
    CHECK(fluxcap_tx_fd(world.ends[1].tx) >= 0 && fluxcap_tx_fd(world.ends[1].tx) != descriptor.fd);
    CHECK_RESULT(fluxcap_sim_start_thread(world.sim), 0);
    make(world.ends[0].tx, &packet, 1, 60, 4);
    CHECK_RESULT(fluxcap_tx_send(world.ends[0].tx, &packet, 1), 1);
    for (double end = now() + 3; now() < end;) {
        CHECK(poll(&descriptor, 1, 1000) >= 0);
        if (fluxcap_rx_recv(world.ends[1].rx, &packet, 1, 0) == 1)
            break;
    }
    check_packets(&packet, 1, 60, 4);
    CHECK_RESULT(fluxcap_packet_free(&packet), 0);
    CHECK_RESULT(fluxcap_tx_flush(world.ends[0].tx, 3000), 1);
    CHECK_RESULT(fluxcap_sim_stop_thread(world.sim), 0);
    destroy(&world);
}

static void a_link_that_is_down_loses_nothing(void)
{
    struct world world = create(0);
    struct fluxcap_packet packets[5];

    make(world.ends[0].tx, packets, 5, 60, 0);
    CHECK_RESULT(fluxcap_sim_nic_set_up(world.links[0], 0), 0);
    CHECK_ERROR(fluxcap_tx_send(world.ends[0].tx, packets, 5), -ENETDOWN, "down");
    /* Those that were taken are in the ring. */
    check_moved(packets, 5);
    CHECK_ERROR(fluxcap_tx_kick(world.ends[0].tx), -ENETDOWN, "down");
    CHECK_ERROR(fluxcap_tx_flush(world.ends[0].tx, 1), -ENETDOWN, "down");
    CHECK_RESULT(fluxcap_tx_outstanding(world.ends[0].tx), 5);
    CHECK_RESULT(fluxcap_sim_nic_set_up(world.links[0], 1), 0);
    CHECK_RESULT(fluxcap_tx_flush(world.ends[0].tx, 3000), 1);
    receive(world.ends[1].rx, packets, 5);
    check_packets(packets, 5, 60, 0);
    CHECK_RESULT(fluxcap_packets_free(packets, 5), 0);
    destroy(&world);
}

static void no_function_takes_these(struct fluxcap_rx *rx, struct fluxcap_tx *tx, const char *words)
{
    struct fluxcap_packet packet = ZEROS;
    struct fluxcap_info info = ZEROS;
    struct fluxcap_statistics statistics = ZEROS;
    struct fluxcap_program_counters counters = ZEROS;
    struct fluxcap_poller_statistics poller = ZEROS;
    struct fluxcap_ring_state one = ZEROS, other = ZEROS;
    struct fluxcap_umem *umem = NULL;
    char text[8] = "same";

    info.struct_size = sizeof(info);
    statistics.struct_size = sizeof(statistics);
    counters.struct_size = sizeof(counters);
    poller.struct_size = sizeof(poller);
    CHECK_ERROR(fluxcap_rx_recv(rx, &packet, 1, 0), -EINVAL, words);
    CHECK_ERROR(fluxcap_rx_recycle(rx, &packet, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_rx_refill(rx), -EINVAL, words);
    CHECK_ERROR(fluxcap_rx_set_poller(rx, 0, 0), -EINVAL, words);
    CHECK_ERROR(fluxcap_rx_get_poller_statistics(rx, &poller), -EINVAL, words);
    CHECK_ERROR(fluxcap_rx_fd(rx), -EINVAL, words);
    CHECK_ERROR(fluxcap_rx_get_info(rx, &info), -EINVAL, words);
    CHECK_ERROR(fluxcap_rx_get_statistics(rx, &statistics), -EINVAL, words);
    CHECK_ERROR(fluxcap_rx_get_program_counters(rx, &counters), -EINVAL, words);
    CHECK_ERROR(fluxcap_rx_get_rings(rx, &one, &other), -EINVAL, words);
    CHECK_ERROR(fluxcap_rx_format_report(rx, text, sizeof(text)), -EINVAL, words);
    CHECK_ERROR(fluxcap_rx_get_umem(rx, &umem), -EINVAL, words);
    CHECK_ERROR(fluxcap_tx_send(tx, &packet, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_tx_alloc(tx, &packet, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_tx_copy(tx, (const uint8_t *)"a", 1, &packet), -EINVAL, words);
    CHECK_ERROR(fluxcap_tx_reap(tx), -EINVAL, words);
    CHECK_ERROR(fluxcap_tx_kick(tx), -EINVAL, words);
    CHECK_ERROR(fluxcap_tx_flush(tx, 0), -EINVAL, words);
    CHECK_ERROR(fluxcap_tx_wait(tx, 0), -EINVAL, words);
    CHECK_ERROR(fluxcap_tx_room(tx), -EINVAL, words);
    CHECK_ERROR(fluxcap_tx_outstanding(tx), -EINVAL, words);
    CHECK_ERROR(fluxcap_tx_set_patience(tx, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_tx_fd(tx), -EINVAL, words);
    CHECK_ERROR(fluxcap_tx_get_info(tx, &info), -EINVAL, words);
    CHECK_ERROR(fluxcap_tx_get_statistics(tx, &statistics), -EINVAL, words);
    CHECK_ERROR(fluxcap_tx_get_rings(tx, &one, &other), -EINVAL, words);
    CHECK_ERROR(fluxcap_tx_format_report(tx, text, sizeof(text)), -EINVAL, words);
    CHECK_ERROR(fluxcap_tx_get_umem(tx, &umem), -EINVAL, words);
    CHECK(packet.data == NULL && umem == NULL && strcmp(text, "same") == 0);
    CHECK(info.frames == 0 && statistics.sent == 0 && one.size == 0 && other.size == 0);
    fluxcap_rx_free(rx);
    fluxcap_tx_free(tx);
}

static void handles_are_told_apart(void)
{
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_rx *rx = NULL;
    struct fluxcap_tx *tx = NULL;
    struct fluxcap_ring_state ring;

    CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
    struct fluxcap_link *link = add(sim, "sim0", 0);
    struct fluxcap_raw *raw = open_on(link);
    CHECK_ERROR(fluxcap_raw_split(NULL, &rx, &tx), -EINVAL, "NULL");
    CHECK_ERROR(fluxcap_raw_split((struct fluxcap_raw *)zeros, &rx, &tx), -EINVAL, "fluxcap_open");
    CHECK_ERROR(fluxcap_raw_split(raw, NULL, &tx), -EINVAL, "rx");
    CHECK_ERROR(fluxcap_raw_split(raw, &rx, NULL), -EINVAL, "tx");
    CHECK(rx == NULL && tx == NULL);
    check_frames(raw);
    struct halves halves = split(raw);
    CHECK_ERROR(fluxcap_rx_get_rings(halves.rx, NULL, &ring), -EINVAL, "fill");
    CHECK_ERROR(fluxcap_rx_get_rings(halves.rx, &ring, NULL), -EINVAL, "ring");
    CHECK_ERROR(fluxcap_tx_get_rings(halves.tx, NULL, &ring), -EINVAL, "ring");
    CHECK_ERROR(fluxcap_tx_get_rings(halves.tx, &ring, NULL), -EINVAL, "completion");
    CHECK_ERROR(fluxcap_rx_get_info(halves.rx, NULL), -EINVAL, "fluxcap_info");
    CHECK_ERROR(fluxcap_tx_get_statistics(halves.tx, NULL), -EINVAL, "fluxcap_statistics");
    no_function_takes_these(NULL, NULL, "NULL");
    no_function_takes_these((struct fluxcap_rx *)zeros, (struct fluxcap_tx *)zeros, "fluxcap_raw_split");
    no_function_takes_these((struct fluxcap_rx *)(uintptr_t)halves.tx, (struct fluxcap_tx *)(uintptr_t)halves.rx, "no struct");
    CHECK(fluxcap_rx_refill(halves.rx) >= 0 && fluxcap_tx_reap(halves.tx) >= 0);
    finish(&halves, 0);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

int main(void)
{
    packets_go_there_and_back();
    the_halves_work_on_threads_of_their_own();
    what_a_full_ring_does_not_take_is_still_the_callers();
    what_never_moves_is_an_error_that_says_so();
    each_half_does_without_the_other();
    packets_outlive_a_split_and_the_halves();
    packets_of_another_memory_are_refused_and_can_be_copied();
    a_packet_is_used_once_and_within_its_frame();
    a_receiver_waits_as_its_poller_says();
    a_stop_ends_every_wait_that_blocks();
    a_descriptor_tells_of_packets();
    a_link_that_is_down_loses_nothing();
    handles_are_told_apart();
    return 0;
}
