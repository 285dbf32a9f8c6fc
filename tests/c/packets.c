/* Packets between two sockets, on fluxa and fluxb, the two ends of a veth pair. Needs root. */
#include "check.h"

#include <dirent.h>
#include <pthread.h>
#include <unistd.h>

enum { CHUNK = 2048, MTU = 1500, MOST = 512 };

static struct fluxcap_raw *a, *b;
static struct fluxcap_packet packets[MOST], others[MOST];

static void open_both(void)
{
    struct fluxcap_config config = small("fluxa");

    a = open_config(&config);
    config = small("fluxb");
    b = open_config(&config);
    memset(packets, 0, sizeof(packets));
    memset(others, 0, sizeof(others));
}

static void close_both(void)
{
    check_and_free(a);
    check_and_free(b);
}

/* Puts all packets into the TX ring and sees to it that they leave. */
static void send_all(struct fluxcap_raw *raw, struct fluxcap_packet *from, uint32_t count)
{
    CHECK_RESULT(fluxcap_raw_send(raw, from, count), (int)count);
    for (uint32_t i = 0; i < count; i++)
        CHECK(from[i].data == NULL);
    CHECK_RESULT(fluxcap_raw_flush(raw, 3000), 1);
}

/* Sends numbered packets from a to b, where they wait to be received. */
static void a_to_b(uint32_t count, uint32_t len, uint32_t seed)
{
    make_packets(a, packets, count, len, seed);
    send_all(a, packets, count);
}

static void packets_of_every_length_arrive_as_they_were(void)
{
    const uint32_t longest = MTU + 14, batch = 64;

    open_both();
    for (uint32_t first = 60; first <= longest; first += batch) {
        uint32_t count = longest + 1 - first < batch ? longest + 1 - first : batch;

        CHECK_RESULT(fluxcap_raw_alloc(a, packets, count), (int)count);
        for (uint32_t i = 0; i < count; i++) {
            packets[i].len = first + i;
            fill_frame(packets[i].data, first + i, first + i);
        }
        send_all(a, packets, count);
        receive_all(b, others, count);
        for (uint32_t i = 0; i < count; i++) {
            CHECK(others[i].len == first + i && others[i].options == 0);
            CHECK(is_frame(others[i].data, first + i, first + i));
        }
        CHECK(rings_of(b).counted.user == count);
        CHECK_RESULT(fluxcap_packets_free(others, count), 0);
        fluxcap_raw_refill(b);
    }
    close_both();
}

static void a_received_packet_can_be_changed_and_sent_back(void)
{
    open_both();
    a_to_b(100, 200, 1);
    receive_all(b, packets, 100);
    for (uint32_t i = 0; i < 100; i++) {
        /* The first 14 bytes go, 4 come in front, 10 at the end. */
        packets[i].data += 10;
        CHECK_RESULT(fluxcap_ethernet_header_swap(packets[i].data, packets[i].len), 14);
        fill_frame(packets[i].data, 200, 1000 + i);
    }
    send_all(b, packets, 100);
    receive_all(a, others, 100);
    for (uint32_t i = 0; i < 100; i++)
        CHECK(others[i].len == 200 && is_frame(others[i].data, 200, 1000 + i));
    CHECK_RESULT(fluxcap_packets_free(others, 100), 0);
    close_both();
}

static void all_free_frames_can_be_had(void)
{
    open_both();
    uint32_t pool = rings_of(a).counted.pool;
    CHECK(pool > 0);
    CHECK_RESULT(fluxcap_raw_alloc(a, packets, MOST), (int)pool);
    CHECK_RESULT(fluxcap_raw_alloc(a, others, MOST), 0);
    CHECK(rings_of(a).counted.user == pool && rings_of(a).counted.pool == 0);
    check_frames(a);
    CHECK_RESULT(fluxcap_packets_free(packets, MOST), 0);
    CHECK(rings_of(a).counted.pool == pool);
    CHECK_RESULT(fluxcap_raw_alloc(a, packets, 0), 0);
    CHECK_RESULT(fluxcap_raw_alloc(a, NULL, 0), 0);
    CHECK_ERROR(fluxcap_raw_alloc(a, NULL, 1), -EINVAL, "packets");
    CHECK_ERROR(fluxcap_raw_recv(a, NULL, 1), -EINVAL, "packets");
    CHECK_ERROR(fluxcap_raw_send(a, NULL, 1), -EINVAL, "packets");
    CHECK_ERROR(fluxcap_raw_peek(a, 1, NULL), -EINVAL, "descs");
    close_both();
}

static void a_packet_is_freed_once(void)
{
    open_both();
    make_packets(a, packets, 3, 60, 0);
    struct fluxcap_packet copy = packets[1];
    CHECK_RESULT(fluxcap_packet_free(&packets[1]), 0);
    CHECK(packets[1].data == NULL);
    CHECK_RESULT(fluxcap_packet_free(&packets[1]), 0); /* it has moved away */
    CHECK_ERROR(fluxcap_packet_free(&copy), -EINVAL, "packet");
    /* The same when the frame belongs to a packet again. */
    uint32_t rest = rings_of(a).counted.pool;
    CHECK_RESULT(fluxcap_raw_alloc(a, others, rest), (int)rest);
    CHECK_ERROR(fluxcap_packet_free(&copy), -EINVAL, "packet");
    CHECK_ERROR(fluxcap_raw_send(a, &copy, 1), -EINVAL, "packet");
    CHECK_RESULT(fluxcap_packets_free(others, rest), 0);
    /* One bad packet does not keep the others from being freed. */
    packets[1] = copy;
    CHECK_ERROR(fluxcap_packets_free(packets, 3), -EINVAL, "packet");
    CHECK(packets[0].data == NULL && packets[1].data != NULL && packets[2].data == NULL);
    close_both();
}

/* Sends four packets of which the third is bad: nothing is taken, and the others can be sent as ever. */
static void check_third_is_bad(int wanted, const char *words)
{
    uint64_t sent = rings_of(a).tx.producer;

    CHECK_ERROR(fluxcap_raw_send(a, packets, 4), wanted, words);
    CHECK(rings_of(a).tx.producer == sent);
    check_frames(a);
    for (uint32_t i = 0; i < 4; i++) {
        if (i == 2)
            continue;
        CHECK(packets[i].data != NULL && packets[i].len == 100 && is_frame(packets[i].data, 100, i));
    }
    send_all(a, packets, 2);
    send_all(a, packets + 3, 1);
    receive_all(b, others, 3);
    for (uint32_t i = 0; i < 3; i++)
        CHECK(is_frame(others[i].data, 100, i < 2 ? i : 3));
    CHECK_RESULT(fluxcap_packets_free(others, 3), 0);
}

static void a_stale_packet_is_not_sent(void)
{
    open_both();
    make_packets(a, packets, 4, 100, 0);
    struct fluxcap_packet copy = packets[2];
    send_all(a, &packets[2], 1);
    receive_all(b, others, 1);
    CHECK_RESULT(fluxcap_packet_free(&others[0]), 0);
    CHECK_ERROR(fluxcap_raw_send(a, &copy, 1), -EINVAL, "packet");
    CHECK_ERROR(fluxcap_packet_free(&copy), -EINVAL, "packet");
    packets[2] = copy;
    check_third_is_bad(-EINVAL, "packet 2");
    /* One that has moved away is no packet to send. */
    make_packets(a, packets, 4, 100, 0);
    CHECK_RESULT(fluxcap_packet_free(&packets[2]), 0);
    check_third_is_bad(-EINVAL, "packet 2");
    close_both();
}

static void a_packet_is_not_sent_twice_in_one_array(void)
{
    open_both();
    make_packets(a, packets, 4, 100, 0);
    CHECK_RESULT(fluxcap_packet_free(&packets[2]), 0);
    packets[2] = packets[0];
    check_third_is_bad(-EINVAL, "packet 2");
    CHECK_ERROR(fluxcap_packet_free(&packets[2]), -EINVAL, "packet");
    close_both();
}

static void a_stale_packet_far_behind_lets_those_before_it_go(void)
{
    enum { COUNT = 400, BAD = 390 };
    static struct fluxcap_packet many[COUNT];
    struct fluxcap_config config = small("fluxa");

    config.frames = 2048;
    config.tx_size = 512;
    config.completion_size = 512;
    a = open_config(&config);
    make_packets(a, many, COUNT, 100, 0);
    struct fluxcap_packet good = many[BAD];
    many[BAD].generation++;
    int sent = fluxcap_raw_send(a, many, COUNT);
    CHECK(sent > 0 && sent <= BAD);
    for (int i = 0; i < COUNT; i++)
        CHECK((many[i].data == NULL) == (i < sent));
    CHECK_ERROR(fluxcap_raw_send(a, many + sent, (uint32_t)(COUNT - sent)), -EINVAL, "packet");
    many[BAD] = good;
    CHECK_RESULT(fluxcap_raw_send(a, many + sent, (uint32_t)(COUNT - sent)), COUNT - sent);
    CHECK_RESULT(fluxcap_raw_flush(a, 3000), 1);
    check_and_free(a);
}

static void a_packet_with_options_is_not_sent(void)
{
    open_both();
    make_packets(a, packets, 4, 100, 0);
    packets[2].options = 1;
    check_third_is_bad(-EINVAL, "options");
    packets[2].options = 0;
    send_all(a, &packets[2], 1);
    receive_all(b, others, 1);
    CHECK_RESULT(fluxcap_packet_free(&others[0]), 0);
    close_both();
}

static void a_send_that_takes_nothing_leaves_copies_good(void)
{
    struct fluxcap_config config = small("fluxa");

    config.tx_size = 2;
    a = open_config(&config);
    make_packets(a, packets, 4, 100, 0);
    CHECK_RESULT(fluxcap_raw_send(a, packets, 2), 2);
    struct fluxcap_packet copy = packets[2];
    CHECK_RESULT(fluxcap_raw_send(a, &copy, 1), 0);
    CHECK_RESULT(fluxcap_packet_free(&packets[2]), 0);
    CHECK_ERROR(fluxcap_packet_free(&copy), -EINVAL, "packet");
    CHECK_RESULT(fluxcap_packet_free(&packets[3]), 0);
    CHECK_RESULT(fluxcap_raw_flush(a, 3000), 1);
    check_and_free(a);
}

/* The whole program of the README: wait, receive, free; it never refills by itself. */
static void a_receiver_hears_for_ever(void)
{
    uint32_t received = 0;

    open_both();
    for (uint32_t round = 0; round < 40; round++) {
        make_packets(a, packets, 64, 100, 0);
        send_all(a, packets, 64);
        for (uint32_t in_round = 0; in_round < 64;) {
            CHECK(fluxcap_raw_wait(b, FLUXCAP_WAIT_RECEIVE, 3000) == FLUXCAP_WAIT_RECEIVE);
            int count = fluxcap_raw_recv(b, others, 64);
            CHECK(count > 0);
            CHECK_RESULT(fluxcap_packets_free(others, (uint32_t)count), 0);
            in_round += (uint32_t)count;
            received += (uint32_t)count;
        }
    }
    CHECK(received == 40 * 64);
    close_both();
}

static void a_closed_descriptor_ends_a_wait(void)
{
    struct fluxcap_config config = small("fluxa");

    a = open_config(&config);
    int fd = fluxcap_raw_fd(a);
    int copy = dup(fd);
    CHECK(copy >= 0 && close(fd) == 0);
    CHECK_ERROR(fluxcap_raw_wait(a, FLUXCAP_WAIT_RECEIVE, -1), -EBADF, "closed");
    CHECK(dup2(copy, fd) == fd && close(copy) == 0);
    check_and_free(a);
}

static void a_foreign_packet_is_not_sent(void)
{
    open_both();
    make_packets(a, packets, 4, 100, 0);
    CHECK_RESULT(fluxcap_packet_free(&packets[2]), 0);
    make_packets(b, &packets[2], 1, 100, 7);
    check_third_is_bad(-EINVAL, "UMEM");
    /* It is still good where it comes from. */
    CHECK(packets[2].data != NULL && is_frame(packets[2].data, 100, 7));
    send_all(b, &packets[2], 1);
    receive_all(a, others, 1);
    CHECK_RESULT(fluxcap_packet_free(&others[0]), 0);
    close_both();
}

static void a_packet_stays_within_its_frame(void)
{
    struct fluxcap_packet good;

#define CHECK_BAD(change)                                                                                              \
    make_packets(a, packets, 4, 100, 0);                                                                               \
    good = packets[2];                                                                                                 \
    change;                                                                                                            \
    CHECK_ERROR(fluxcap_raw_send(a, &packets[2], 1), -EMSGSIZE, "packet");                                             \
    check_third_is_bad(-EMSGSIZE, "packet");                                                                           \
    packets[2].data = good.data;                                                                                       \
    packets[2].len = good.len;                                                                                         \
    send_all(a, &packets[2], 1);                                                                                       \
    receive_all(b, others, 1);                                                                                         \
    CHECK(is_frame(others[0].data, 100, 2));                                                                           \
    CHECK_RESULT(fluxcap_packet_free(&others[0]), 0)

    open_both();
    CHECK_BAD(packets[2].len = 0);
    CHECK_BAD(packets[2].len = CHUNK + 1);
    CHECK_BAD(packets[2].len = UINT32_MAX);
    CHECK_BAD(packets[2].len = CHUNK);       /* behind the headroom there is less */
    CHECK_BAD(packets[2].data -= CHUNK);     /* the frame in front, or none */
    CHECK_BAD(packets[2].data += CHUNK);     /* the frame behind, or none */
    CHECK_BAD(packets[2].data = (uint8_t *)&good); /* somewhere else */
    close_both();
}

static void a_packet_may_grow_into_its_headroom(void)
{
    struct fluxcap_config config = small("fluxa");

    open_both();
    check_and_free(a);
    config.headroom = 64;
    a = open_config(&config);
    make_packets(a, packets, 1, 100, 0);
    packets[0].data -= 64;
    packets[0].len = 164;
    fill_frame(packets[0].data, 164, 5);
    send_all(a, packets, 1);
    receive_all(b, others, 1);
    CHECK(others[0].len == 164 && is_frame(others[0].data, 164, 5));
    CHECK_RESULT(fluxcap_packet_free(&others[0]), 0);
    close_both();
}

static void *free_packets(void *count)
{
    CHECK_RESULT(fluxcap_packets_free(others, *(uint32_t *)count), 0);
    return NULL;
}

static void packets_outlive_their_socket(void)
{
    struct fluxcap_packet copy;
    uint32_t count = 50;
    pthread_t thread;

    open_both();
    a_to_b(count, 300, 9);
    receive_all(b, others, count);
    copy = others[count - 1];
    CHECK(rings_of(b).counted.user == count);
    check_frames(b);
    fluxcap_raw_free(b);
    check_and_free(a);
    for (uint32_t i = 0; i < count; i++)
        CHECK(is_frame(others[i].data, 300, 9 + i));
    CHECK(pthread_create(&thread, NULL, free_packets, &count) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    /* Now their memory is gone. */
    CHECK_ERROR(fluxcap_packet_free(&copy), -EINVAL, "packet");
    CHECK_ERROR(fluxcap_packets_free(&copy, 1), -EINVAL, "packet");
    /* And a new socket does not mistake it for one of its own. */
    open_both();
    CHECK(fluxcap_raw_send(b, &copy, 1) < 0);
    CHECK(fluxcap_packet_free(&copy) < 0);
    close_both();
}

static void packets_are_freed_on_another_thread_while_the_socket_works(void)
{
    open_both();
    for (uint32_t round = 0; round < 20; round++) {
        uint32_t count = 50;
        pthread_t thread;

        a_to_b(count, 300, round);
        receive_all(b, others, count);
        CHECK(pthread_create(&thread, NULL, free_packets, &count) == 0);
        fluxcap_raw_refill(b);
        CHECK_RESULT(fluxcap_raw_alloc(b, packets, 10), 10);
        CHECK_RESULT(fluxcap_packets_free(packets, 10), 0);
        CHECK(pthread_join(thread, NULL) == 0);
        check_frames(b);
    }
    close_both();
}

/* Waits until b has something to peek at, and peeks. */
static uint32_t peek_at_b(uint32_t most, const struct fluxcap_desc **descs)
{
    int count = 0;

    for (double end = now() + 3; count == 0 && now() < end;) {
        CHECK(fluxcap_raw_wait(b, FLUXCAP_WAIT_RECEIVE, 100) >= 0);
        count = fluxcap_raw_peek(b, most, descs);
    }
    CHECK(count > 0 && (uint32_t)count <= most);
    return (uint32_t)count;
}

static void packets_are_seen_and_sent_back_in_place(void)
{
    open_both();
    uint8_t *memory = fluxcap_raw_data(b);
    CHECK(memory != NULL);
    /* The rings wrap several times. */
    for (uint32_t round = 0; round < 12; round++) {
        const struct fluxcap_desc *descs = NULL;
        uint32_t forwarded = 0, seen = 0;

        a_to_b(100, 100, round);
        while (forwarded < 100) {
            uint32_t count = peek_at_b(33, &descs);

            for (uint32_t i = 0; i < count; i++) {
                CHECK(descs[i].addr + descs[i].len <= 512 * CHUNK && descs[i].len == 100 && descs[i].options == 0);
                CHECK(is_frame(memory + descs[i].addr, 100, round + forwarded + i));
                fill_frame(memory + descs[i].addr, 100, 77 + forwarded + i);
            }
            CHECK_RESULT(fluxcap_raw_forward_front(b, count), (int)count);
            forwarded += count;
        }
        CHECK_RESULT(fluxcap_raw_flush(b, 3000), 1);
        receive_all(a, packets, 100);
        for (uint32_t i = 0; i < 100; i++)
            CHECK(is_frame(packets[i].data, 100, 77 + i));
        CHECK_RESULT(fluxcap_packets_free(packets, 100), 0);
        fluxcap_raw_refill(b);
        check_frames(b);

        a_to_b(100, 100, round);
        while (seen < 100) {
            uint32_t count = peek_at_b(100, &descs);

            for (uint32_t i = 0; i < count; i++)
                CHECK(is_frame(memory + descs[i].addr, 100, round + seen + i));
            CHECK_RESULT(fluxcap_raw_recycle_front(b, count), (int)count);
            seen += count;
        }
        check_frames(b);
        CHECK_RESULT(fluxcap_raw_peek(b, 100, &descs), 0);
        CHECK_RESULT(fluxcap_raw_recycle_front(b, 100), 0);
        CHECK_RESULT(fluxcap_raw_forward_front(b, 100), 0);
    }
    close_both();
}

static void a_full_ring_takes_what_it_can(void)
{
    enum { COUNT = 200, TX = 128 };

    open_both();
    make_packets(a, packets, COUNT, 100, 0);
    CHECK_RESULT(fluxcap_raw_send(a, packets, COUNT), TX);
    CHECK_RESULT(fluxcap_raw_send(a, packets + TX, COUNT - TX), 0);
    for (uint32_t i = 0; i < COUNT; i++)
        CHECK((packets[i].data == NULL) == (i < TX));
    CHECK(rings_of(a).tx.occupied == TX);
    check_frames(a);
    CHECK_RESULT(fluxcap_raw_wait(a, FLUXCAP_WAIT_SEND, 1000) & ~FLUXCAP_WAIT_SEND, 0);
    CHECK_RESULT(fluxcap_raw_flush(a, 3000), 1);
    send_all(a, packets + TX, COUNT - TX);
    receive_all(b, others, COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        CHECK(is_frame(others[i].data, 100, i));
    CHECK_RESULT(fluxcap_packets_free(others, COUNT), 0);
    close_both();
}

static void what_nobody_receives_is_counted_and_no_frame_is_lost(void)
{
    struct fluxcap_statistics statistics = ZEROS;
    struct fluxcap_program_counters counters = ZEROS;

    open_both();
    for (uint32_t round = 0; round < 6; round++)
        a_to_b(100, 100, 0);
    receive_all(b, others, 256); /* the RX ring is full */
    check_frames(b);
    statistics.struct_size = sizeof(statistics);
    CHECK_RESULT(fluxcap_raw_get_statistics(b, &statistics), 0);
    CHECK(statistics.received == 256 && statistics.sent == 0);
    CHECK(statistics.rx_ring_full + statistics.rx_dropped + statistics.rx_fill_ring_empty_descs >= 600 - 256);
    CHECK(statistics.rx_invalid_descs == 0 && statistics.tx_invalid_descs == 0);
    CHECK_RESULT(fluxcap_raw_get_statistics(a, &statistics), 0);
    CHECK(statistics.sent == 600 && statistics.received == 0);
    counters.struct_size = sizeof(counters);
    CHECK_RESULT(fluxcap_raw_get_program_counters(b, &counters), 0);
    CHECK(counters.attached == 1 && counters.redirect >= 256);
    CHECK_RESULT(fluxcap_packets_free(others, 256), 0);
    /* It goes on as before. */
    fluxcap_raw_refill(b);
    CHECK_RESULT(fluxcap_raw_wake_rx(b), 0);
    a_to_b(10, 100, 50);
    receive_all(b, others, 10);
    CHECK(is_frame(others[9].data, 100, 59));
    CHECK_RESULT(fluxcap_packets_free(others, 10), 0);
    close_both();
}

static void waiting_ends(void)
{
    open_both();
    double start = now();
    CHECK_RESULT(fluxcap_raw_wait(b, FLUXCAP_WAIT_RECEIVE, 0), 0);
    CHECK(now() - start < 0.5);
    start = now();
    CHECK_RESULT(fluxcap_raw_wait(b, FLUXCAP_WAIT_RECEIVE, 100), 0);
    CHECK(now() - start >= 0.09 && now() - start < 2);
    CHECK_RESULT(fluxcap_raw_wait(b, FLUXCAP_WAIT_SEND, 1000), FLUXCAP_WAIT_SEND);
    CHECK_RESULT(fluxcap_raw_wait(b, FLUXCAP_WAIT_RECEIVE | FLUXCAP_WAIT_SEND, -1), FLUXCAP_WAIT_SEND);
    CHECK_ERROR(fluxcap_raw_wait(b, 0, 0), -EINVAL, "interest");
    CHECK_ERROR(fluxcap_raw_wait(b, 4, 0), -EINVAL, "interest");
    a_to_b(1, 60, 0);
    CHECK_RESULT(fluxcap_raw_wait(b, FLUXCAP_WAIT_RECEIVE, -1), FLUXCAP_WAIT_RECEIVE);
    receive_all(b, others, 1);
    CHECK_RESULT(fluxcap_packet_free(&others[0]), 0);
    CHECK_RESULT(fluxcap_raw_flush(b, 0), 1);
    CHECK(fluxcap_raw_fd(a) >= 0 && fluxcap_raw_fd(a) != fluxcap_raw_fd(b));
    close_both();
}

static void *send_many(void *count)
{
    struct fluxcap_packet batch[32];
    uint32_t sent = 0, last = *(uint32_t *)count;

    while (sent < last) {
        uint32_t wanted = last - sent < 32 ? last - sent : 32;
        int made = fluxcap_raw_alloc(a, batch, wanted);

        CHECK(made >= 0);
        for (int i = 0; i < made; i++) {
            batch[i].len = 100;
            fill_frame(batch[i].data, 100, sent + (uint32_t)i);
        }
        for (int done = 0; done < made;) {
            int taken = fluxcap_raw_send(a, batch + done, (uint32_t)(made - done));

            CHECK(taken >= 0);
            done += taken;
            CHECK_RESULT(fluxcap_raw_wake_tx(a), 0);
            fluxcap_raw_reap(a);
        }
        sent += (uint32_t)made;
    }
    return NULL;
}

/* In order, none twice; the ring is short, so some may be missing. */
static void two_threads_send_and_receive(void)
{
    uint32_t count = 3000, received = 0, next = 0;
    pthread_t thread;

    open_both();
    CHECK(pthread_create(&thread, NULL, send_many, &count) == 0);
    while (next < count) {
        int ready = fluxcap_raw_wait(b, FLUXCAP_WAIT_RECEIVE, 1000);
        CHECK(ready >= 0);
        int got = fluxcap_raw_recv(b, others, 64);
        if (ready == 0 && got == 0)
            break; /* the last ones were dropped */
        for (int i = 0; i < got; i++) {
            while (next < count && !is_frame(others[i].data, 100, next))
                next++;
            CHECK(next < count);
            next++;
        }
        received += (uint32_t)got;
        CHECK_RESULT(fluxcap_packets_free(others, (uint32_t)got), 0);
        fluxcap_raw_refill(b);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(received > 0);
    CHECK_RESULT(fluxcap_raw_flush(a, 3000), 1);
    close_both();
}

static void texts_and_numbers_say_what_the_socket_is(void)
{
    struct fluxcap_info info = ZEROS;
    struct {
        struct fluxcap_rings rings;
        uint32_t tail[3];
    } longer;
    char text[4096], shorter[10];

    open_both();
    info.struct_size = sizeof(info);
    CHECK_RESULT(fluxcap_raw_get_info(a, &info), 0);
    CHECK(info.struct_size == sizeof(info));
    CHECK(info.ifindex == if_nametoindex("fluxa") && info.mtu == MTU);
    CHECK(info.mac[0] != 0 || info.mac[5] != 0);
    CHECK(info.frames == 512 && info.chunk_size == CHUNK && info.headroom == 0 && info.packet_capacity == CHUNK - 256);
    CHECK(info.bind_mode == FLUXCAP_BIND_COPY || info.bind_mode == FLUXCAP_BIND_ZERO_COPY);
    CHECK(info.xdp_mode == FLUXCAP_XDP_NATIVE || info.xdp_mode == FLUXCAP_XDP_GENERIC);
    CHECK(info.page_size == 4096 && info.busy_poll == 0);

    info.struct_size = 0;
    CHECK_ERROR(fluxcap_raw_get_info(a, &info), -EINVAL, "fluxcap_info");
    info.struct_size = sizeof(info) - 1;
    CHECK_ERROR(fluxcap_raw_get_info(a, &info), -EINVAL, "fluxcap_info");
    CHECK_ERROR(fluxcap_raw_get_info(a, NULL), -EINVAL, "fluxcap_info");
    CHECK_ERROR(fluxcap_raw_get_statistics(a, NULL), -EINVAL, "fluxcap_statistics");
    CHECK_ERROR(fluxcap_raw_get_program_counters(a, NULL), -EINVAL, "fluxcap_program_counters");
    CHECK_ERROR(fluxcap_raw_get_rings(a, NULL), -EINVAL, "fluxcap_rings");
    /* What this version does not know is zero. */
    memset(&longer, 0xee, sizeof(longer));
    longer.rings.struct_size = sizeof(longer);
    CHECK_RESULT(fluxcap_raw_get_rings(a, &longer.rings), 0);
    CHECK(longer.rings.conserved == 1 && longer.rings.rx.size == 256);
    CHECK(longer.tail[0] == 0 && longer.tail[1] == 0 && longer.tail[2] == 0);

    int length = fluxcap_raw_format_report(a, NULL, 0);
    CHECK(length > 0);
    CHECK_RESULT(fluxcap_raw_format_report(a, text, sizeof(text)), length);
    CHECK(strlen(text) == (size_t)length && strstr(text, "bind mode") != NULL);
    CHECK_RESULT(fluxcap_raw_format_report(a, shorter, sizeof(shorter)), length);
    CHECK(strlen(shorter) == 9 && memcmp(shorter, text, 9) == 0);
    CHECK_RESULT(fluxcap_raw_format_report(a, shorter, 1), length);
    CHECK(shorter[0] == '\0');
    CHECK_ERROR(fluxcap_raw_format_report(a, NULL, 1), -EINVAL, "text");
    CHECK_ERROR(fluxcap_raw_format_rings(a, NULL, 1), -EINVAL, "text");
    CHECK(fluxcap_raw_format_rings(a, text, sizeof(text)) > 0 && strstr(text, "512 frames") != NULL);
    close_both();
}

static void a_socket_that_only_sends(void)
{
    struct fluxcap_config config = small("fluxa");
    struct fluxcap_program_counters counters = ZEROS;
    struct fluxcap_info info = ZEROS;

    open_both();
    check_and_free(a);
    config.program = FLUXCAP_PROGRAM_NONE;
    a = open_config(&config);
    counters.struct_size = sizeof(counters);
    info.struct_size = sizeof(info);
    CHECK_RESULT(fluxcap_raw_get_program_counters(a, &counters), 0);
    CHECK_RESULT(fluxcap_raw_get_info(a, &info), 0);
    CHECK(counters.attached == 0 && info.xdp_mode == 0);
    a_to_b(20, 100, 3);
    receive_all(b, others, 20);
    CHECK(is_frame(others[19].data, 100, 22));
    send_all(b, others, 20);
    CHECK_RESULT(fluxcap_raw_wait(a, FLUXCAP_WAIT_RECEIVE, 50), 0);
    CHECK_RESULT(fluxcap_raw_recv(a, others, 20), 0);
    close_both();
}

static uint32_t open_files(void)
{
    DIR *directory = opendir("/proc/self/fd");
    uint32_t count = 0;

    CHECK(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void a_queue_can_be_taken_again_at_once(void)
{
    uint32_t before = open_files();

    for (uint32_t i = 0; i < 50; i++) {
        struct fluxcap_config config = small("fluxa");

        config.xdp_mode = i % 2 == 0 ? FLUXCAP_XDP_AUTO : FLUXCAP_XDP_GENERIC;
        config.bind_patience_ms = 10000;
        a = open_config(&config);
        CHECK_RESULT(fluxcap_raw_alloc(a, packets, 2), 2);
        packets[0].len = 60;
        fill_frame(packets[0].data, 60, i);
        CHECK_RESULT(fluxcap_raw_send(a, packets, 1), 1);
        check_frames(a);
        fluxcap_raw_free(a); /* with a packet in the TX ring, and one in our hands */
        CHECK_RESULT(fluxcap_packet_free(&packets[1]), 0);
    }
    CHECK(open_files() == before);
}

int main(void)
{
    packets_of_every_length_arrive_as_they_were();
    a_received_packet_can_be_changed_and_sent_back();
    all_free_frames_can_be_had();
    a_packet_is_freed_once();
    a_stale_packet_is_not_sent();
    a_packet_with_options_is_not_sent();
    a_send_that_takes_nothing_leaves_copies_good();
    a_receiver_hears_for_ever();
    a_closed_descriptor_ends_a_wait();
    a_stale_packet_far_behind_lets_those_before_it_go();
    a_packet_is_not_sent_twice_in_one_array();
    a_foreign_packet_is_not_sent();
    a_packet_stays_within_its_frame();
    a_packet_may_grow_into_its_headroom();
    packets_outlive_their_socket();
    packets_are_freed_on_another_thread_while_the_socket_works();
    packets_are_seen_and_sent_back_in_place();
    a_full_ring_takes_what_it_can();
    what_nobody_receives_is_counted_and_no_frame_is_lost();
    waiting_ends();
    two_threads_send_and_receive();
    texts_and_numbers_say_what_the_socket_is();
    a_socket_that_only_sends();
    a_queue_can_be_taken_again_at_once();
    return 0;
}
