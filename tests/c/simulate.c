/* Programs on a simulated network. Needs no privilege and no interface. */
#include "check.h"

#include <assert.h>
#include <pthread.h>
#include <sys/resource.h>

static_assert(sizeof(struct fluxcap_sim_event) == 32, "part of the ABI");
static_assert(sizeof(struct fluxcap_sim_nic_config) % sizeof(void *) == 0, "no padding");

static uint64_t zeros[8192];

static struct fluxcap_sim *create(uint64_t seed)
{
    struct fluxcap_sim *sim = NULL;

    CHECK_RESULT(fluxcap_sim_create(seed, &sim), 0);
    CHECK(sim != NULL);
    return sim;
}

static struct fluxcap_sim_nic_config nic_config(const char *name)
{
    struct fluxcap_sim_nic_config config = ZEROS;

    config.struct_size = sizeof(config);
    config.name = name;
    return config;
}

static struct fluxcap_link *add(struct fluxcap_sim *sim, const char *name)
{
    struct fluxcap_sim_nic_config config = nic_config(name);
    struct fluxcap_link *link = NULL;

    CHECK_RESULT(fluxcap_sim_add_nic(sim, &config, &link), 0);
    CHECK(link != NULL);
    return link;
}

static struct fluxcap_raw *open_on(const struct fluxcap_link *link)
{
    struct fluxcap_config config = small(NULL);

    config.link = link;
    return open_config(&config);
}

static struct fluxcap_sim_nic_counters counters_of(const struct fluxcap_link *link)
{
    struct fluxcap_sim_nic_counters counters = ZEROS;

    counters.struct_size = sizeof(counters);
    CHECK_RESULT(fluxcap_sim_nic_get_counters(link, &counters), 0);
    return counters;
}

/* Sends all of them. */
static void send_all(struct fluxcap_raw *raw, struct fluxcap_packet *packets, uint32_t count)
{
    CHECK_RESULT(fluxcap_raw_send(raw, packets, count), (int)count);
    CHECK_RESULT(fluxcap_raw_flush(raw, 3000), 1);
}

static void packets_go_there_and_back(void)
{
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_link *near_link = add(sim, "near"), *far_link = add(sim, "far");
    struct fluxcap_packet packets[40];
    struct fluxcap_info info = ZEROS;
    uint64_t time = 1;

    CHECK_RESULT(fluxcap_sim_join(sim, near_link, far_link), 0);
    struct fluxcap_raw *near_end = open_on(near_link), *far_end = open_on(far_link);
    info.struct_size = sizeof(info);
    CHECK_RESULT(fluxcap_raw_get_info(far_end, &info), 0);
    CHECK(info.mtu == 1500 && info.mac[0] == 2 && info.mac[5] == 2 && info.bind_mode == FLUXCAP_BIND_COPY);
    CHECK(fluxcap_raw_fd(far_end) >= 0 && fluxcap_raw_fd(far_end) != fluxcap_raw_fd(near_end));

    make_packets(near_end, packets, 40, 100, 0);
    send_all(near_end, packets, 40);
    receive_all(far_end, packets, 40);
    for (uint32_t i = 0; i < 40; i++)
        CHECK(packets[i].len == 100 && is_frame(packets[i].data, 100, i));
    send_all(far_end, packets, 40);
    receive_all(near_end, packets, 40);
    for (uint32_t i = 0; i < 40; i++)
        CHECK(packets[i].len == 100 && is_frame(packets[i].data, 100, i));
    CHECK_RESULT(fluxcap_packets_free(packets, 40), 0);
    /* A wait of a second, in which nothing can happen, is over at once. */
    double start = now();
    CHECK_RESULT(fluxcap_raw_wait(near_end, FLUXCAP_WAIT_RECEIVE, 1000), 0);
    CHECK(now() - start < 0.9);
    CHECK_RESULT(fluxcap_sim_get_time(sim, &time), 0);
    CHECK(time >= 1000000000);
    CHECK(counters_of(near_link).tx_packets == 40 && counters_of(near_link).rx_packets == 40);
    check_and_free(near_end);
    check_and_free(far_end);
    fluxcap_link_free(near_link);
    fluxcap_link_free(far_link);
    fluxcap_sim_free(sim);
}

static void a_network_goes_with_the_last_that_uses_it(void)
{
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_link *link = add(sim, "sim0"), *again = NULL;
    struct fluxcap_packet packet;
    uint8_t frame[60], buffer[60];

    CHECK_RESULT(fluxcap_sim_find_nic(sim, "sim0", &again), 0);
    CHECK(again != NULL && again != link);
    fluxcap_sim_free(sim);
    fluxcap_link_free(again);
    struct fluxcap_raw *raw = open_on(link);
    fill_frame(frame, sizeof(frame), 1);
    CHECK_RESULT(fluxcap_sim_nic_inject(link, 0, frame, sizeof(frame)), 0);
    receive_all(raw, &packet, 1);
    send_all(raw, &packet, 1);
    CHECK_RESULT(fluxcap_sim_nic_take_sent(link, buffer, sizeof(buffer)), 60);
    CHECK(memcmp(frame, buffer, sizeof(frame)) == 0);
    fluxcap_link_free(link);
    check_frames(raw);
    CHECK_RESULT(fluxcap_raw_alloc(raw, &packet, 1), 1);
    fluxcap_raw_free(raw);
    CHECK_RESULT(fluxcap_packet_free(&packet), 0);
}

static void what_no_socket_takes_goes_to_the_host(void)
{
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_sim_nic_config config = nic_config("silent");
    struct fluxcap_link *link = add(sim, "sim0"), *silent = NULL;
    uint8_t frame[200], buffer[200];

    /* Nothing yet, whatever the buffer. */
    CHECK_RESULT(fluxcap_sim_nic_take_passed(link, buffer, sizeof(buffer)), 0);
    CHECK_RESULT(fluxcap_sim_nic_take_passed(link, NULL, 0), 0);
    CHECK_RESULT(fluxcap_sim_nic_take_sent(link, NULL, 0), 0);
    fill_frame(frame, sizeof(frame), 7);
    CHECK_RESULT(fluxcap_sim_nic_inject(link, 0, frame, sizeof(frame)), 0);
    CHECK_RESULT(fluxcap_sim_nic_take_passed(link, buffer, sizeof(buffer)), 0);
    CHECK_RESULT(fluxcap_sim_settle(sim), 1);
    CHECK_RESULT(fluxcap_sim_settle(sim), 0);
    /* It waits for a buffer that is large enough. */
    CHECK_ERROR(fluxcap_sim_nic_take_passed(link, NULL, 0), -EMSGSIZE, "200 bytes");
    CHECK_ERROR(fluxcap_sim_nic_take_passed(link, buffer, 199), -EMSGSIZE, "buffer of 199");
    CHECK_RESULT(fluxcap_sim_nic_take_passed(link, buffer, 200), 200);
    CHECK(memcmp(frame, buffer, sizeof(frame)) == 0);
    CHECK_RESULT(fluxcap_sim_nic_take_passed(link, buffer, 200), 0);
    CHECK(counters_of(link).passed == 1 && counters_of(link).host_dropped == 0);

    /* And the other way. */
    CHECK_RESULT(fluxcap_sim_nic_host_send(link, 0, frame, 100), 0);
    CHECK_ERROR(fluxcap_sim_nic_take_sent(link, buffer, 99), -EMSGSIZE, "100 bytes");
    CHECK_RESULT(fluxcap_sim_nic_take_sent(link, buffer, sizeof(buffer)), 100);
    CHECK(memcmp(frame, buffer, 100) == 0 && counters_of(link).tx_packets == 1);

    /* What is not kept is counted. */
    config.keep = FLUXCAP_SIM_KEEP_NOTHING;
    CHECK_RESULT(fluxcap_sim_add_nic(sim, &config, &silent), 0);
    CHECK_RESULT(fluxcap_sim_nic_inject(silent, 0, frame, 60), 0);
    CHECK_RESULT(fluxcap_sim_nic_host_send(silent, 0, frame, 60), 0);
    CHECK_RESULT(fluxcap_sim_settle(sim), 1);
    CHECK_RESULT(fluxcap_sim_nic_take_passed(silent, buffer, sizeof(buffer)), 0);
    CHECK_RESULT(fluxcap_sim_nic_take_sent(silent, buffer, sizeof(buffer)), 0);
    CHECK(counters_of(silent).passed == 1 && counters_of(silent).tx_packets == 1);
    fluxcap_link_free(silent);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

static void a_nic_is_what_its_config_says(void)
{
    static const uint8_t mac[6] = {0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee};
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_sim_nic_config config = nic_config("sim0");
    struct fluxcap_link *link = NULL;
    struct fluxcap_info info = ZEROS;
    uint8_t frame[60];

    config.mtu = 1000;
    config.queues = 2;
    config.cable = 3;
    config.zero_copy = 1;
    config.no_tx_budget = 1;
    memcpy(config.mac, mac, sizeof(mac));
    CHECK_RESULT(fluxcap_sim_add_nic(sim, &config, &link), 0);
    struct fluxcap_config wishes = small(NULL);
    wishes.link = link;
    wishes.queue = 1;
    struct fluxcap_raw *raw = open_config(&wishes);
    info.struct_size = sizeof(info);
    CHECK_RESULT(fluxcap_raw_get_info(raw, &info), 0);
    CHECK(info.mtu == 1000 && info.bind_mode == FLUXCAP_BIND_ZERO_COPY && info.tx_budget == 32);
    CHECK(memcmp(info.mac, mac, sizeof(mac)) == 0);
    fill_frame(frame, sizeof(frame), 0);
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(fluxcap_sim_nic_inject(link, 1, frame, sizeof(frame)), 0);
    CHECK_ERROR(fluxcap_sim_nic_inject(link, 1, frame, sizeof(frame)), -ENOBUFS, "sim0");
    CHECK_ERROR(fluxcap_sim_nic_set_queues(link, 1), -EINVAL, "has a socket");
    check_and_free(raw);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

/* Sends packets over a cable on which much goes wrong, and returns the trace as text, to be freed. */
static char *run_with_faults(uint64_t seed)
{
    static struct fluxcap_sim_event events[16384];
    struct fluxcap_sim *sim = create(seed);
    struct fluxcap_link *near_link = add(sim, "near"), *far_link = add(sim, "far");
    struct fluxcap_sim_faults faults = ZEROS;
    struct fluxcap_packet packets[64];
    uint32_t lost = 0;

    CHECK_RESULT(fluxcap_sim_join(sim, near_link, far_link), 0);
    CHECK_RESULT(fluxcap_sim_start_trace(sim, 16384), 0);
    faults.struct_size = sizeof(faults);
    faults.loss = faults.duplication = faults.reordering = faults.corruption = faults.truncation = 50000;
    faults.delay = faults.burst = faults.starvation = faults.stalled_completion = 50000;
    faults.spurious_wakeup = faults.lost_wakeup = 50000;
    faults.max_delay_ns = 1000000;
    CHECK_RESULT(fluxcap_sim_set_faults(sim, &faults), 0);
    struct fluxcap_raw *near_end = open_on(near_link), *far_end = open_on(far_link);
    for (uint32_t round = 0; round < 30; round++) {
        make_packets(near_end, packets, 10, 60 + round, round * 10);
        CHECK_RESULT(fluxcap_raw_send(near_end, packets, 10), 10);
        CHECK(fluxcap_raw_flush(near_end, 1000) >= 0);
        CHECK_RESULT(fluxcap_sim_advance(sim, 10000000), 0);
        CHECK(fluxcap_raw_wait(far_end, FLUXCAP_WAIT_RECEIVE, 100) >= 0);
        int count = fluxcap_raw_recv(far_end, packets, 64);
        CHECK(count >= 0);
        CHECK_RESULT(fluxcap_packets_free(packets, (uint32_t)count), 0);
    }
    CHECK(counters_of(far_link).rx_lost > 0);
    check_and_free(near_end);
    check_and_free(far_end);

    int count = fluxcap_sim_get_trace(sim, events, 16384);
    CHECK(count > 600 && count < 16384);
    for (int i = 0; i < count; i++) {
        CHECK(events[i].nic <= 1 && events[i].queue == 0 && events[i].kind >= FLUXCAP_SIM_ARRIVED);
        CHECK(i == 0 || events[i].time_ns >= events[i - 1].time_ns);
        lost += events[i].kind == FLUXCAP_SIM_LOST;
    }
    CHECK(lost == counters_of(far_link).rx_lost);
    /* Fewer than there are, and none. */
    memset(events, 0, sizeof(events));
    CHECK_RESULT(fluxcap_sim_get_trace(sim, events, 1), count);
    CHECK(events[0].kind == FLUXCAP_SIM_SENT && events[0].len == 60 && events[0].digest != 0 && events[1].kind == 0);
    CHECK_RESULT(fluxcap_sim_get_trace(sim, NULL, 0), count);
    int length = fluxcap_sim_format_trace(sim, NULL, 0);
    CHECK(length > 0);
    char *text = (char *)malloc((size_t)length + 1);
    CHECK(text != NULL);
    CHECK_RESULT(fluxcap_sim_format_trace(sim, text, (size_t)length + 1), length);
    CHECK(strlen(text) == (size_t)length && strstr(text, "Sent") != NULL);
    /* A new trace begins empty, and one of no events stays so. */
    CHECK_RESULT(fluxcap_sim_start_trace(sim, 0), 0);
    CHECK_RESULT(fluxcap_sim_get_trace(sim, events, 1), 0);
    fluxcap_link_free(near_link);
    fluxcap_link_free(far_link);
    fluxcap_sim_free(sim);
    return text;
}

static void the_same_seed_gives_the_same_faults(void)
{
    char *one = run_with_faults(42), *same = run_with_faults(42), *other = run_with_faults(43);

    CHECK(strcmp(one, same) == 0);
    CHECK(strcmp(one, other) != 0);
    free(one);
    free(same);
    free(other);
}

static void faults_of_one_link(void)
{
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_link *link = add(sim, "sim0"), *other = add(sim, "sim1");
    struct fluxcap_sim_faults faults = ZEROS;
    uint8_t frame[60];

    faults.struct_size = sizeof(faults);
    faults.loss = 1000000;
    CHECK_RESULT(fluxcap_sim_nic_set_faults(link, &faults), 0);
    fill_frame(frame, sizeof(frame), 0);
    CHECK_RESULT(fluxcap_sim_nic_inject(link, 0, frame, sizeof(frame)), 0);
    CHECK_RESULT(fluxcap_sim_nic_inject(other, 0, frame, sizeof(frame)), 0);
    CHECK_RESULT(fluxcap_sim_settle(sim), 1);
    CHECK(counters_of(link).rx_lost == 1 && counters_of(link).passed == 0 && counters_of(other).passed == 1);
    faults.loss = 1000001;
    CHECK_ERROR(fluxcap_sim_nic_set_faults(link, &faults), -EINVAL, "loss");
    CHECK_ERROR(fluxcap_sim_set_faults(sim, &faults), -EINVAL, "loss");
    faults.loss = 0;
    faults.max_delay_ns = UINT64_MAX;
    CHECK_ERROR(fluxcap_sim_set_faults(sim, &faults), -EINVAL, "delay");
    fluxcap_link_free(link);
    fluxcap_link_free(other);
    fluxcap_sim_free(sim);
}

static uint64_t time_of(struct fluxcap_sim *sim)
{
    uint64_t time;

    CHECK_RESULT(fluxcap_sim_get_time(sim, &time), 0);
    return time;
}

static void a_flush_in_vain_takes_its_time_on_the_clock_of_the_network(void)
{
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_link *link = add(sim, "sim0");
    struct fluxcap_sim_faults faults = ZEROS;
    struct fluxcap_raw *raw = open_on(link);
    struct fluxcap_rx *rx;
    struct fluxcap_tx *tx;
    struct fluxcap_packet packets[64];
    uint64_t before;

    faults.struct_size = sizeof(faults);
    faults.stalled_completion = 1000000;
    faults.max_delay_ns = 4000000000;
    CHECK_RESULT(fluxcap_sim_set_faults(sim, &faults), 0);
    CHECK_RESULT(fluxcap_raw_alloc(raw, packets, 64), 64);
    for (int i = 0; i < 64; i++) {
        packets[i].len = 60;
    }
    CHECK_RESULT(fluxcap_raw_send(raw, packets, 64), 64);
    before = time_of(sim);
    CHECK_RESULT(fluxcap_raw_flush(raw, 1000), 0);
    CHECK(time_of(sim) - before == 1000000000);
    CHECK_RESULT(fluxcap_raw_split(raw, &rx, &tx), 0);
    before = time_of(sim);
    CHECK_RESULT(fluxcap_tx_flush(tx, 500), 0);
    CHECK(time_of(sim) - before == 500000000);
    CHECK_RESULT(fluxcap_sim_advance(sim, 4000000000), 0);
    CHECK_RESULT(fluxcap_tx_flush(tx, 0), 1);
    fluxcap_rx_free(rx);
    fluxcap_tx_free(tx);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

static void packets_are_played(void)
{
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_link *link = add(sim, "sim0");
    struct fluxcap_sim_packet packets[3] = ZEROS;
    struct fluxcap_packet received[64];
    struct fluxcap_sim_event events[16];
    uint8_t frames[3][60];
    uint32_t count = 0;

    for (uint32_t i = 0; i < 3; i++) {
        fill_frame(frames[i], sizeof(frames[i]), i);
        packets[i].data = frames[i];
        packets[i].len = sizeof(frames[i]);
        packets[i].time_ns = i * 1000;
    }
    /* At their times: the second round begins when the first ends. */
    CHECK_RESULT(fluxcap_sim_start_trace(sim, 16), 0);
    CHECK_RESULT(fluxcap_sim_nic_play(link, 0, packets, 3, FLUXCAP_SIM_SPEED_RECORDED, 2), 0);
    CHECK(counters_of(link).playing == 1);
    CHECK_RESULT(fluxcap_sim_advance(sim, 1000000), 0);
    CHECK(counters_of(link).playing == 0 && counters_of(link).rx_packets == 6);
    CHECK_RESULT(fluxcap_sim_get_trace(sim, events, 16), 12);
    for (uint32_t i = 0; i < 12; i++)
        CHECK(events[i].time_ns == (i / 6 * 2 + i / 2 % 3) * 1000);

    /* As fast as the socket takes them: none is dropped. */
    struct fluxcap_raw *raw = open_on(link);
    CHECK_RESULT(fluxcap_sim_nic_play(link, 0, packets, 3, FLUXCAP_SIM_SPEED_PACED, 500), 0);
    while (counters_of(link).playing || count < 1500) {
        CHECK_RESULT(fluxcap_raw_wait(raw, FLUXCAP_WAIT_RECEIVE, 1000), FLUXCAP_WAIT_RECEIVE);
        int got = fluxcap_raw_recv(raw, received, 64);
        CHECK(got > 0);
        for (int i = 0; i < got; i++)
            CHECK(is_frame(received[i].data, received[i].len, count++ % 3));
        CHECK_RESULT(fluxcap_packets_free(received, (uint32_t)got), 0);
    }
    CHECK_RESULT((int)count, 1500);
    CHECK_RESULT(fluxcap_raw_wait(raw, FLUXCAP_WAIT_RECEIVE, 1000), 0);

    /* For ever, until it ends. */
    CHECK_RESULT(fluxcap_sim_nic_play(link, 0, packets, 3, FLUXCAP_SIM_SPEED_FULL, 0), 0);
    CHECK_RESULT(fluxcap_sim_step(sim, 5000), 5000);
    CHECK(counters_of(link).playing == 1);
    CHECK_RESULT(fluxcap_sim_nic_play_end(link), 0);
    CHECK(counters_of(link).playing == 0);
    for (int got = 1; got > 0;) {
        got = fluxcap_raw_recv(raw, received, 64);
        CHECK_RESULT(fluxcap_packets_free(received, (uint32_t)got), 0);
    }

    CHECK_ERROR(fluxcap_sim_nic_play(link, 0, packets, 0, FLUXCAP_SIM_SPEED_FULL, 1), -EINVAL, "no packets");
    CHECK_ERROR(fluxcap_sim_nic_play(link, 0, NULL, 3, FLUXCAP_SIM_SPEED_FULL, 1), -EINVAL, "packets");
    CHECK_ERROR(fluxcap_sim_nic_play(link, 1, packets, 3, FLUXCAP_SIM_SPEED_FULL, 1), -EINVAL, "queue 1");
    CHECK_ERROR(fluxcap_sim_nic_play(link, 0, packets, 3, 3, 1), -EINVAL, "speed");
    packets[2].len = 13;
    CHECK_ERROR(fluxcap_sim_nic_play(link, 0, packets, 3, FLUXCAP_SIM_SPEED_FULL, 1), -EMSGSIZE, "packet 2");
    packets[2].data = NULL;
    CHECK_ERROR(fluxcap_sim_nic_play(link, 0, packets, 3, FLUXCAP_SIM_SPEED_FULL, 1), -EINVAL, "packet 2");
    check_and_free(raw);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

static void many_packets_are_injected_at_once(void)
{
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_sim_nic_config config = nic_config("sim0");
    struct fluxcap_link *link = NULL;
    struct fluxcap_sim_packet packets[5] = ZEROS;
    struct fluxcap_packet received[4];
    uint8_t frames[5][1600];

    config.cable = 4;
    CHECK_RESULT(fluxcap_sim_add_nic(sim, &config, &link), 0);
    struct fluxcap_raw *raw = open_on(link);
    for (uint32_t i = 0; i < 5; i++) {
        fill_frame(frames[i], 1518, i);
        packets[i].data = frames[i];
        packets[i].len = 14 + i; /* the shortest */
    }
    packets[0].len = 1518; /* the longest */
    CHECK_RESULT(fluxcap_sim_nic_inject_batch(link, 0, packets, 5), 4);
    receive_all(raw, received, 4);
    for (uint32_t i = 0; i < 4; i++)
        CHECK(received[i].len == packets[i].len && memcmp(received[i].data, frames[i], received[i].len) == 0);
    CHECK_RESULT(fluxcap_packets_free(received, 4), 0);
    CHECK_RESULT(fluxcap_sim_nic_inject_batch(link, 0, NULL, 0), 0);
    CHECK_ERROR(fluxcap_sim_nic_inject_batch(link, 0, NULL, 1), -EINVAL, "packets");
    /* One that cannot be, and none comes. */
    packets[3].len = 1519;
    CHECK_ERROR(fluxcap_sim_nic_inject_batch(link, 0, packets, 5), -EMSGSIZE, "1519");
    packets[3].len = SIZE_MAX;
    packets[3].data = NULL;
    CHECK_ERROR(fluxcap_sim_nic_inject_batch(link, 0, packets, 5), -EINVAL, "packet 3");
    CHECK_RESULT(fluxcap_sim_settle(sim), 0);
    check_and_free(raw);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

/* A file beside this program. */
static const char *beside(const char *program, const char *suffix)
{
    static char path[4096];

    CHECK(snprintf(path, sizeof(path), "%s%s", program, suffix) < (int)sizeof(path));
    return path;
}

static void put32(FILE *file, uint32_t number)
{
    CHECK(fwrite(&number, sizeof(number), 1, file) == 1);
}

/* A pcapng file with an interface of Ethernet and one of IP without it (link type 101), and two packets of each. */
static void packets_of_other_links_are_counted(const struct fluxcap_link *link, const char *path)
{
    struct fluxcap_sim_replay_config replay = ZEROS;
    const uint8_t bytes[60] = ZEROS;
    FILE *file = fopen(path, "wb");

    CHECK(file != NULL);
    const uint32_t section[7] = {0x0a0d0d0a, 28, 0x1a2b3c4d, 1, UINT32_MAX, UINT32_MAX, 28};
    for (int i = 0; i < 7; i++)
        put32(file, section[i]);
    for (uint32_t kind = 1; kind <= 101; kind += 100) {
        const uint32_t interface[5] = {1, 20, kind, 0, 20};

        for (int i = 0; i < 5; i++)
            put32(file, interface[i]);
    }
    for (uint32_t number = 0; number < 4; number++) {
        const uint32_t packet[7] = {6, 92, number % 2, 0, 0, 60, 60};

        for (int i = 0; i < 7; i++)
            put32(file, packet[i]);
        CHECK(fwrite(bytes, sizeof(bytes), 1, file) == 1);
        put32(file, 92);
    }
    CHECK(fclose(file) == 0);
    replay.struct_size = sizeof(replay);
    replay.times = 1;
    CHECK_RESULT(fluxcap_sim_nic_replay_with(link, 0, path, &replay), 2);
    CHECK(replay.skipped == 2 && replay.unfit == 0 && replay.damaged == 0);
    CHECK_RESULT(fluxcap_sim_nic_replay(link, 0, path, FLUXCAP_SIM_SPEED_FULL, 1), 2);
    replay.flags = FLUXCAP_SIM_REPLAY_ETHERNET_ONLY;
    CHECK_ERROR(fluxcap_sim_nic_replay_with(link, 0, path, &replay), -EOPNOTSUPP, "thernet");
    CHECK(replay.skipped == 2);
    CHECK(remove(path) == 0);
}

/* Ten packets of 100 bytes, of which the last is cut off in a copy. */
static void what_cannot_be_played_is_left_out_when_asked_for(const struct fluxcap_link *link, const char *path)
{
    struct fluxcap_sim_replay_config replay = ZEROS;
    char cut[4200];
    FILE *from, *to;
    int byte, ahead;

    CHECK(snprintf(cut, sizeof(cut), "%s.cut", path) < (int)sizeof(cut));
    from = fopen(path, "rb");
    to = fopen(cut, "wb");
    CHECK(from != NULL && to != NULL);
    for (byte = getc(from), ahead = getc(from); ahead != EOF; byte = ahead, ahead = getc(from))
        CHECK(putc(byte, to) == byte);
    CHECK(fclose(from) == 0 && fclose(to) == 0);

    replay.struct_size = sizeof(replay);
    replay.times = 1;
    replay.speed = FLUXCAP_SIM_SPEED_FULL;
    CHECK_ERROR(fluxcap_sim_nic_replay_with(link, 0, path, &replay), -EMSGSIZE, "packet 0");
    replay.flags = FLUXCAP_SIM_REPLAY_UNFIT;
    CHECK_ERROR(fluxcap_sim_nic_replay_with(link, 0, path, &replay), -EMSGSIZE, "packet 0"); /* none fits */
    CHECK_RESULT(fluxcap_sim_nic_set_mtu(link, 1500), 0);
    CHECK_RESULT(fluxcap_sim_nic_replay_with(link, 0, path, &replay), 10);
    CHECK(replay.unfit == 0 && replay.skipped == 0 && replay.damaged == 0);
    CHECK_ERROR(fluxcap_sim_nic_replay_with(link, 0, cut, &replay), -EINVAL, "FLUXCAP_SIM_REPLAY_DAMAGED");
    CHECK_ERROR(fluxcap_sim_nic_replay(link, 0, cut, FLUXCAP_SIM_SPEED_FULL, 1), -EINVAL, "too early");
    replay.flags = FLUXCAP_SIM_REPLAY_DAMAGED | FLUXCAP_SIM_REPLAY_ETHERNET_ONLY;
    CHECK_RESULT(fluxcap_sim_nic_replay_with(link, 0, cut, &replay), 9);
    CHECK(replay.damaged == 1 && replay.unfit == 0);
    CHECK(remove(cut) == 0);
    packets_of_other_links_are_counted(link, cut);
    replay.flags = 8;
    CHECK_ERROR(fluxcap_sim_nic_replay_with(link, 0, path, &replay), -EINVAL, "flags");
    CHECK_ERROR(fluxcap_sim_nic_replay_with(link, 0, path, NULL), -EINVAL, "fluxcap_sim_replay_config");
}

static void captures_are_written_and_played(const char *program)
{
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_link *link = add(sim, "sim0"), *other = add(sim, "sim1");
    uint8_t frame[100], buffer[100];
    const char *path = beside(program, ".pcapng");

    CHECK_RESULT(fluxcap_sim_nic_record_end(link), 0); /* nothing to end */
    CHECK_RESULT(fluxcap_sim_nic_record(link, path), 0);
    CHECK_ERROR(fluxcap_sim_nic_record(link, path), -EBUSY, "recorded already");
    for (uint32_t i = 0; i < 10; i++) {
        fill_frame(frame, sizeof(frame), i);
        CHECK_RESULT(fluxcap_sim_nic_inject(link, 0, frame, sizeof(frame)), 0);
        CHECK_RESULT(fluxcap_sim_advance(sim, 1000), 0);
    }
    CHECK_RESULT(fluxcap_sim_nic_record_end(link), 0);

    CHECK_RESULT(fluxcap_sim_nic_replay(other, 0, path, FLUXCAP_SIM_SPEED_FULL, 3), 10);
    CHECK_RESULT(fluxcap_sim_settle(sim), 30);
    for (uint32_t i = 0; i < 30; i++) {
        CHECK_RESULT(fluxcap_sim_nic_take_passed(other, buffer, sizeof(buffer)), 100);
        CHECK(is_frame(buffer, sizeof(buffer), i % 10));
    }
    /* The first comes at once, the others nine microseconds later at the latest. */
    CHECK_RESULT(fluxcap_sim_nic_replay(other, 0, path, FLUXCAP_SIM_SPEED_RECORDED, 1), 10);
    CHECK_RESULT(fluxcap_sim_settle(sim), 1);
    CHECK_RESULT(fluxcap_sim_advance(sim, 9000), 0);
    CHECK(counters_of(other).rx_packets == 40 && counters_of(other).playing == 0);

    CHECK_ERROR(fluxcap_sim_nic_replay(other, 1, path, FLUXCAP_SIM_SPEED_FULL, 1), -EINVAL, "queue 1");
    CHECK_ERROR(fluxcap_sim_nic_replay(other, 0, path, 3, 1), -EINVAL, "speed");
    CHECK_RESULT(fluxcap_sim_nic_set_mtu(other, 68), 0);
    CHECK_ERROR(fluxcap_sim_nic_replay(other, 0, path, FLUXCAP_SIM_SPEED_FULL, 1), -EMSGSIZE, "packet 0");
    CHECK_ERROR(fluxcap_sim_nic_replay(other, 0, NULL, FLUXCAP_SIM_SPEED_FULL, 1), -EINVAL, "path");
    CHECK_ERROR(fluxcap_sim_nic_record(other, NULL), -EINVAL, "path");
    what_cannot_be_played_is_left_out_when_asked_for(other, path);
    path = beside(program, ".nowhere/file.pcap");
    CHECK_ERROR(fluxcap_sim_nic_replay(other, 0, path, FLUXCAP_SIM_SPEED_FULL, 1), -ENOENT, "file.pcap");
    CHECK_ERROR(fluxcap_sim_nic_record(other, path), -ENOENT, "file.pcap");
    CHECK_ERROR(fluxcap_sim_nic_replay(other, 0, program, FLUXCAP_SIM_SPEED_FULL, 1), -EINVAL, "capture");
    fluxcap_link_free(link);
    fluxcap_link_free(other);
    fluxcap_sim_free(sim);
}

struct mirror {
    struct fluxcap_raw *raw;
    int count;
};

/* Sends packets back until enough came, or none for three seconds. */
static void *send_back(void *argument)
{
    struct mirror *mirror = (struct mirror *)argument;
    struct fluxcap_packet packets[32];
    double end = now() + 3;

    for (int left = mirror->count; left > 0 && now() < end;) {
        int count = fluxcap_raw_recv(mirror->raw, packets, 32);

        CHECK(count >= 0);
        if (count == 0) {
            CHECK(fluxcap_raw_wait(mirror->raw, FLUXCAP_WAIT_RECEIVE, 100) >= 0);
            continue;
        }
        send_all(mirror->raw, packets, (uint32_t)count);
        left -= count;
        end = now() + 3;
    }
    return NULL;
}

static void a_thread_moves_the_packets_of_two_others(void)
{
    enum { ROUNDS = 50 };
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_link *near_link = add(sim, "near"), *far_link = add(sim, "far");
    struct fluxcap_packet packets[16];
    struct mirror mirror;
    pthread_t thread;
    uint64_t before, after;

    CHECK_RESULT(fluxcap_sim_join(sim, near_link, far_link), 0);
    CHECK_RESULT(fluxcap_sim_stop_thread(sim), 0); /* nothing to stop */
    CHECK_RESULT(fluxcap_sim_start_thread(sim), 0);
    CHECK_ERROR(fluxcap_sim_start_thread(sim), -EBUSY, "runs already");
    struct fluxcap_raw *raw = open_on(near_link);
    mirror.raw = open_on(far_link);
    mirror.count = ROUNDS * 16;
    CHECK(pthread_create(&thread, NULL, send_back, &mirror) == 0);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        make_packets(raw, packets, 16, 80, round);
        send_all(raw, packets, 16);
        receive_all(raw, packets, 16);
        for (uint32_t i = 0; i < 16; i++)
            CHECK(is_frame(packets[i].data, 80, round + i));
        CHECK_RESULT(fluxcap_packets_free(packets, 16), 0);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    /* Time is real, and goes on from there when the thread has ended. */
    CHECK_RESULT(fluxcap_sim_get_time(sim, &before), 0);
    CHECK_RESULT(fluxcap_sim_advance(sim, 2000000), 0);
    CHECK_RESULT(fluxcap_sim_stop_thread(sim), 0);
    CHECK_RESULT(fluxcap_sim_get_time(sim, &after), 0);
    CHECK(after >= before + 2000000);
    CHECK_RESULT(fluxcap_sim_advance(sim, 1000), 0);
    before = after;
    CHECK_RESULT(fluxcap_sim_get_time(sim, &after), 0);
    CHECK(after == before + 1000);
    /* A network that is freed ends its thread. */
    CHECK_RESULT(fluxcap_sim_start_thread(sim), 0);
    fluxcap_sim_free(sim);
    check_and_free(raw);
    check_and_free(mirror.raw);
    fluxcap_link_free(near_link);
    fluxcap_link_free(far_link);
}

static void a_nic_goes_down_and_changes_and_is_removed(void)
{
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_sim_nic_config config = nic_config("sim0");
    struct fluxcap_link *link = NULL, *found = NULL;
    struct fluxcap_config wishes = small(NULL);
    struct fluxcap_raw *raw, *none = NULL;
    struct fluxcap_packet packet;
    uint8_t frame[1100];

    config.queues = 2;
    CHECK_RESULT(fluxcap_sim_add_nic(sim, &config, &link), 0);
    raw = open_on(link);
    fill_frame(frame, sizeof(frame), 0);
    wishes.link = link;
    wishes.bind_patience_ms = -2;
    CHECK_ERROR(fluxcap_open(&wishes, &none), -EINVAL, "bind_patience_ms is -2");
    wishes.bind_patience_ms = 20;
    CHECK_ERROR(fluxcap_open(&wishes, &none), -EBUSY, "queue 0 of sim0: it is taken");
    wishes.queue = 2;
    CHECK_ERROR(fluxcap_open(&wishes, &none), -EINVAL, "queue 2");
    /* No command of a machine helps here. */
    CHECK(strstr(fluxcap_last_error(), "fluxcap_sim_nic_set_queues()") != NULL && strstr(fluxcap_last_error(), "ethtool") == NULL);
    CHECK_RESULT(fluxcap_sim_nic_set_up(link, 0), 0);
    CHECK_ERROR(fluxcap_open(&wishes, &none), -ENETDOWN, "fluxcap_sim_nic_set_up()");
    CHECK_RESULT(fluxcap_sim_nic_set_up(link, 1), 0);

    CHECK_ERROR(fluxcap_sim_nic_set_up(link, UINT32_MAX), -EINVAL, "up or down");
    CHECK_RESULT(fluxcap_sim_nic_set_up(link, 0), 0);
    CHECK_ERROR(fluxcap_sim_nic_inject(link, 0, frame, 60), -ENETDOWN, "down");
    make_packets(raw, &packet, 1, 60, 0);
    CHECK_RESULT(fluxcap_raw_send(raw, &packet, 1), 1);
    CHECK_ERROR(fluxcap_raw_wake_tx(raw), -ENETDOWN, "down");
    wishes.queue = 1;
    CHECK_ERROR(fluxcap_open(&wishes, &none), -ENETDOWN, "sim0");
    CHECK_RESULT(fluxcap_sim_nic_set_up(link, 1), 0);
    CHECK_RESULT(fluxcap_raw_flush(raw, 1000), 1);
    CHECK(counters_of(link).tx_packets == 1);

    CHECK_RESULT(fluxcap_sim_nic_inject(link, 1, frame, 60), 0);
    CHECK_RESULT(fluxcap_sim_nic_set_queues(link, 1), 0);
    CHECK_RESULT(fluxcap_sim_settle(sim), 1);
    CHECK(counters_of(link).rx_down == 1);
    CHECK_ERROR(fluxcap_sim_nic_inject(link, 1, frame, 60), -EINVAL, "queue 1");
    CHECK_ERROR(fluxcap_sim_nic_set_queues(link, 257), -EINVAL, "257");
    CHECK_ERROR(fluxcap_sim_nic_set_queues(link, 0), -EINVAL, "0");

    CHECK_RESULT(fluxcap_sim_nic_set_mtu(link, 1000), 0);
    CHECK_RESULT(fluxcap_sim_nic_inject(link, 0, frame, 1018), 0);
    CHECK_ERROR(fluxcap_sim_nic_inject(link, 0, frame, 1019), -EMSGSIZE, "1019");
    CHECK_ERROR(fluxcap_sim_nic_set_mtu(link, 67), -EINVAL, "MTU");
    receive_all(raw, &packet, 1);
    CHECK_RESULT(fluxcap_packet_free(&packet), 0);

    CHECK(none == NULL);
    CHECK_RESULT(fluxcap_sim_nic_remove(link), 0);
    CHECK_ERROR(fluxcap_raw_wait(raw, FLUXCAP_WAIT_RECEIVE, -1), -ENODEV, "removed");
    CHECK_ERROR(fluxcap_sim_nic_inject(link, 0, frame, 60), -ENODEV, "removed");
    CHECK_ERROR(fluxcap_sim_nic_set_up(link, 1), -ENODEV, "removed");
    CHECK_ERROR(fluxcap_open(&wishes, &none), -ENODEV, "removed");
    CHECK_ERROR(fluxcap_sim_find_nic(sim, "sim0", &found), -ENODEV, "sim0");
    CHECK(none == NULL && found == NULL && counters_of(link).tx_packets == 1);
    check_and_free(raw);
    fluxcap_link_free(link);
    /* Its name is free again. */
    fluxcap_link_free(add(sim, "sim0"));
    fluxcap_sim_free(sim);
}

static void no_function_takes_this_network(struct fluxcap_sim *sim, const char *words)
{
    struct fluxcap_sim_nic_config config = nic_config("sim0");
    struct fluxcap_sim_faults faults = ZEROS;
    struct fluxcap_sim_event event = ZEROS;
    struct fluxcap_link *link = NULL;
    uint64_t time = 7;
    char text[8] = "same";

    faults.struct_size = sizeof(faults);
    CHECK_ERROR(fluxcap_sim_add_nic(sim, &config, &link), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_find_nic(sim, "sim0", &link), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_join(sim, NULL, NULL), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_step(sim, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_settle(sim), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_advance(sim, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_get_time(sim, &time), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_start_thread(sim), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_stop_thread(sim), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_set_faults(sim, &faults), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_start_trace(sim, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_get_trace(sim, &event, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_format_trace(sim, text, sizeof(text)), -EINVAL, words);
    fluxcap_sim_free(sim);
    CHECK(link == NULL && time == 7 && event.kind == 0 && strcmp(text, "same") == 0);
}

/* `link` is no handle at all, or one of an interface. */
static void no_function_takes_this_link(struct fluxcap_link *link, const char *words)
{
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_link *good = add(sim, "good");
    struct fluxcap_sim_nic_counters counters = ZEROS;
    struct fluxcap_sim_faults faults = ZEROS;
    struct fluxcap_sim_packet packet = ZEROS;
    uint8_t frame[60], before[60];

    fill_frame(frame, sizeof(frame), 0);
    memcpy(before, frame, sizeof(frame));
    packet.data = frame;
    packet.len = sizeof(frame);
    counters.struct_size = sizeof(counters);
    faults.struct_size = sizeof(faults);
    CHECK_ERROR(fluxcap_sim_join(sim, link, good), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_join(sim, good, link), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_inject(link, 0, frame, 60), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_inject_batch(link, 0, &packet, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_host_send(link, 0, frame, 60), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_take_sent(link, frame, 60), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_take_passed(link, frame, 60), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_set_up(link, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_set_queues(link, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_set_mtu(link, 1500), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_set_faults(link, &faults), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_play(link, 0, &packet, 1, FLUXCAP_SIM_SPEED_FULL, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_play_end(link), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_replay(link, 0, "none", FLUXCAP_SIM_SPEED_FULL, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_record(link, "none"), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_record_end(link), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_get_counters(link, &counters), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_remove(link), -EINVAL, words);
    CHECK(memcmp(before, frame, sizeof(frame)) == 0 && counters.rx_packets == 0);
    fluxcap_link_free(good);
    fluxcap_sim_free(sim);
}

static void a_handle_of_another_kind_is_told_apart(void)
{
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_link *link = add(sim, "sim0");
    struct fluxcap_raw *raw = open_on(link);
    struct fluxcap_config config = small(NULL);
    struct fluxcap_raw *none = NULL;

    no_function_takes_this_network(NULL, "NULL");
    no_function_takes_this_network((struct fluxcap_sim *)zeros, "fluxcap_sim_create");
    no_function_takes_this_network((struct fluxcap_sim *)(void *)link, "no struct fluxcap_sim");
    no_function_takes_this_network((struct fluxcap_sim *)(void *)raw, "no struct fluxcap_sim");
    no_function_takes_this_link(NULL, "NULL");
    no_function_takes_this_link((struct fluxcap_link *)zeros, "no struct fluxcap_link");
    no_function_takes_this_link((struct fluxcap_link *)(void *)sim, "no struct fluxcap_link");
    no_function_takes_this_link((struct fluxcap_link *)(void *)raw, "no struct fluxcap_link");
    CHECK_ERROR(fluxcap_raw_fd((struct fluxcap_raw *)(void *)link), -EINVAL, "no struct fluxcap_raw");
    CHECK_ERROR(fluxcap_raw_reap((struct fluxcap_raw *)(void *)sim), -EINVAL, "no struct fluxcap_raw");
    config.link = (struct fluxcap_link *)zeros;
    CHECK_ERROR(fluxcap_open(&config, &none), -EINVAL, "no struct fluxcap_link");
    config.link = (struct fluxcap_link *)(void *)sim;
    CHECK_ERROR(fluxcap_open(&config, &none), -EINVAL, "no struct fluxcap_link");
    /* Nor are they freed as what they are not. */
    fluxcap_link_free((struct fluxcap_link *)(void *)raw);
    fluxcap_raw_free((struct fluxcap_raw *)(void *)sim);
    fluxcap_sim_free((struct fluxcap_sim *)(void *)link);
    fluxcap_link_free((struct fluxcap_link *)zeros);
    CHECK(none == NULL);
    check_and_free(raw);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
    fluxcap_link_free(NULL);
    fluxcap_sim_free(NULL);
}

static void a_link_to_an_interface_is_no_simulated_one(void)
{
    struct fluxcap_link *link = NULL;
    struct fluxcap_config config = small(NULL);
    struct fluxcap_raw *none = NULL;

    CHECK_ERROR(fluxcap_link_create(NULL, &link), -EINVAL, "name");
    CHECK_ERROR(fluxcap_link_create("nosuch0", NULL), -EINVAL, "link");
    CHECK(link == NULL);
    CHECK_RESULT(fluxcap_link_create("nosuch0", &link), 0);
    no_function_takes_this_link(link, "no simulated NIC");
    config.link = link;
    CHECK_ERROR(fluxcap_open(&config, &none), -ENODEV, "nosuch0");
    /* One place, and no more. */
    config.ifname = "nosuch0";
    CHECK_ERROR(fluxcap_open(&config, &none), -EINVAL, "it has a link, and ifname or ifindex");
    config.ifname = NULL;
    config.ifindex = 1;
    CHECK_ERROR(fluxcap_open(&config, &none), -EINVAL, "it has a link, and ifname or ifindex");
    CHECK(none == NULL);
    fluxcap_link_free(link);
}

static void two_sockets_share_a_umem(void)
{
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_sim_nic_config nic = ZEROS;
    struct fluxcap_config config = ZEROS;
    struct fluxcap_accounting frames;
    struct fluxcap_link *link;
    struct fluxcap_umem *umem, *untouched = NULL;
    struct fluxcap_raw *one, *other;
    struct fluxcap_packet packet;
    uint8_t bytes[100] = {1, 2, 3}, sent[100];

    nic.struct_size = sizeof(nic);
    nic.name = "sim0";
    nic.queues = 2;
    CHECK_RESULT(fluxcap_sim_add_nic(sim, &nic, &link), 0);
    config.struct_size = sizeof(config);
    config.frames = 256;
    config.link = link;
    CHECK_RESULT(fluxcap_open(&config, &one), 0);
    CHECK_RESULT(fluxcap_raw_get_umem(one, &umem), 0);
    config.umem = umem;
    config.queue = 1;
    CHECK_RESULT(fluxcap_open(&config, &other), 0);
    CHECK(fluxcap_raw_data(one) == fluxcap_raw_data(other));
    CHECK_RESULT(fluxcap_sim_nic_inject(link, 0, bytes, sizeof(bytes)), 0);
    CHECK_RESULT(fluxcap_sim_settle(sim), 1);
    CHECK_RESULT(fluxcap_raw_recv(one, &packet, 1), 1);
    CHECK_RESULT(fluxcap_raw_send(other, &packet, 1), 1);
    CHECK_RESULT(fluxcap_raw_wake_tx(other), 0);
    CHECK_RESULT(fluxcap_sim_nic_take_sent(link, sent, sizeof(sent)), 100);
    CHECK(memcmp(sent, bytes, sizeof(sent)) == 0);

    CHECK_ERROR(fluxcap_raw_get_umem(NULL, &untouched), -EINVAL, "raw");
    CHECK_ERROR(fluxcap_raw_get_umem(one, NULL), -EINVAL, "umem");
    CHECK_ERROR(fluxcap_umem_get_accounting(NULL, &frames), -EINVAL, "umem");
    CHECK_ERROR(fluxcap_umem_get_accounting(umem, NULL), -EINVAL, "accounting");
    CHECK_ERROR(fluxcap_umem_get_accounting((struct fluxcap_umem *)(void *)link, &frames), -EINVAL, "fluxcap_umem");
    CHECK(untouched == NULL);

    fluxcap_raw_free(one);
    CHECK_RESULT(fluxcap_umem_get_accounting(umem, &frames), 0);
    CHECK(frames.frames == 256 && frames.pool + frames.user + frames.kernel + frames.quarantined == 256 && frames.kernel > 0);
    fluxcap_raw_free(other);
    CHECK_RESULT(fluxcap_umem_get_accounting(umem, &frames), 0);
    CHECK(frames.pool == 256);
    fluxcap_umem_free(umem);
    fluxcap_umem_free(NULL);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

/* The driver of a zero-copy socket may write to its frames until it lets go of the queue, some time after the close. */
static void frames_of_a_closed_socket_are_kept_until_its_driver_lets_go(void)
{
    enum { DELAY = 1000000000, FRAMES = 256 };
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_sim_nic_config nic = nic_config("slow");
    struct fluxcap_config config = ZEROS;
    struct fluxcap_accounting frames;
    struct fluxcap_link *link = NULL;
    struct fluxcap_umem *umem = NULL;
    struct fluxcap_raw *raw = NULL, *other = NULL;

    nic.zero_copy = 1;
    nic.release_delay_ns = DELAY;
    CHECK_RESULT(fluxcap_sim_add_nic(sim, &nic, &link), 0);
    config.struct_size = sizeof(config);
    config.frames = FRAMES;
    config.bind_mode = FLUXCAP_BIND_ZERO_COPY;
    config.link = link;
    raw = open_config(&config);
    CHECK_RESULT(fluxcap_raw_get_umem(raw, &umem), 0);
    CHECK_RESULT(fluxcap_umem_get_accounting(umem, &frames), 0);
    CHECK(frames.kernel > 0 && frames.quarantined == 0);
    uint32_t lent = frames.kernel;
    fluxcap_raw_free(raw);

    CHECK_RESULT(fluxcap_umem_get_accounting(umem, &frames), 0);
    CHECK(frames.quarantined == lent && frames.pool == FRAMES - lent && frames.kernel == 0 && frames.user == 0);
    CHECK_RESULT(fluxcap_umem_reclaim(umem, 0), (int)lent);
    CHECK_RESULT(fluxcap_umem_reclaim(umem, 10), (int)lent);
    CHECK_ERROR(fluxcap_open(&config, &other), -EBUSY, "slow");
    CHECK_RESULT(fluxcap_sim_advance(sim, DELAY / 2), 0);
    CHECK_RESULT(fluxcap_umem_reclaim(umem, 0), (int)lent);
    CHECK_RESULT(fluxcap_umem_reclaim(umem, -1), 0);
    CHECK_RESULT(fluxcap_umem_get_accounting(umem, &frames), 0);
    CHECK(frames.pool == FRAMES && frames.quarantined == 0);

    /* A program that was compiled before there was such a delay has none. */
    fluxcap_umem_free(umem);
    fluxcap_link_free(link);
    nic.struct_size = offsetof(struct fluxcap_sim_nic_config, release_delay_ns);
    nic.name = "quick";
    CHECK_RESULT(fluxcap_sim_add_nic(sim, &nic, &link), 0);
    config.link = link;
    raw = open_config(&config);
    CHECK_RESULT(fluxcap_raw_get_umem(raw, &umem), 0);
    fluxcap_raw_free(raw);
    CHECK_RESULT(fluxcap_umem_get_accounting(umem, &frames), 0);
    CHECK(frames.pool == FRAMES);
    fluxcap_umem_free(umem);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

static void configs_that_cannot_work(void)
{
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_sim_nic_config config = nic_config("sim0");
    struct fluxcap_sim_nic_counters counters = ZEROS;
    struct fluxcap_sim_faults faults = ZEROS;
    struct fluxcap_link *link = NULL, *good = add(sim, "good"), *elsewhere;

    CHECK_ERROR(fluxcap_sim_create(0, NULL), -EINVAL, "sim");
    CHECK_ERROR(fluxcap_sim_add_nic(sim, NULL, &link), -EINVAL, "fluxcap_sim_nic_config");
    CHECK_ERROR(fluxcap_sim_add_nic(sim, &config, NULL), -EINVAL, "link");
    for (config.struct_size = 0; config.struct_size < offsetof(struct fluxcap_sim_nic_config, release_delay_ns); config.struct_size++)
        CHECK_ERROR(fluxcap_sim_add_nic(sim, &config, &link), -EINVAL, "struct_size");
#define CHECK_CONFIG(field, value, wanted, words)                                                                      \
    config = nic_config("sim0");                                                                                       \
    config.field = value;                                                                                              \
    CHECK_ERROR(fluxcap_sim_add_nic(sim, &config, &link), wanted, words)
    CHECK_CONFIG(name, NULL, -EINVAL, "name");
    CHECK_CONFIG(name, "", -EINVAL, "name");
    CHECK_CONFIG(name, "good", -EEXIST, "good");
    CHECK_CONFIG(mtu, 67, -EINVAL, "MTU");
    CHECK_CONFIG(mtu, 65536, -EINVAL, "MTU");
    CHECK_CONFIG(queues, 257, -EINVAL, "queues");
    CHECK_CONFIG(cable, UINT32_MAX, -EINVAL, "cable");
    CHECK_CONFIG(zero_copy, 2, -EINVAL, "zero_copy");
    CHECK_CONFIG(no_tx_budget, UINT32_MAX, -EINVAL, "no_tx_budget");
    CHECK_CONFIG(reserved[5], 1, -EINVAL, "reserved");
    CHECK(link == NULL);

    CHECK_ERROR(fluxcap_sim_find_nic(sim, "sim0", &link), -ENODEV, "sim0");
    CHECK_ERROR(fluxcap_sim_find_nic(sim, NULL, &link), -EINVAL, "name");
    CHECK_ERROR(fluxcap_sim_find_nic(sim, "good", NULL), -EINVAL, "link");
    CHECK_ERROR(fluxcap_sim_get_time(sim, NULL), -EINVAL, "nanoseconds");
    CHECK_ERROR(fluxcap_sim_get_trace(sim, NULL, 1), -EINVAL, "events");
    CHECK_ERROR(fluxcap_sim_format_trace(sim, NULL, 1), -EINVAL, "text");
    CHECK_ERROR(fluxcap_sim_join(sim, good, good), -EINVAL, "two");
    struct fluxcap_sim *other = create(0);
    elsewhere = add(other, "good");
    CHECK_ERROR(fluxcap_sim_join(sim, good, elsewhere), -EINVAL, "network");
    CHECK_ERROR(fluxcap_sim_set_faults(sim, NULL), -EINVAL, "fluxcap_sim_faults");
    CHECK_ERROR(fluxcap_sim_nic_set_faults(good, &faults), -EINVAL, "struct_size");
    CHECK_ERROR(fluxcap_sim_nic_get_counters(good, NULL), -EINVAL, "fluxcap_sim_nic_counters");
    CHECK_ERROR(fluxcap_sim_nic_get_counters(good, &counters), -EINVAL, "struct_size");
    CHECK_ERROR(fluxcap_sim_nic_inject(good, 0, NULL, 60), -EINVAL, "data");
    CHECK_ERROR(fluxcap_sim_nic_inject(good, 0, NULL, 0), -EMSGSIZE, "0 bytes");
    CHECK_ERROR(fluxcap_sim_nic_host_send(good, 0, NULL, 60), -EINVAL, "data");
    CHECK_ERROR(fluxcap_sim_nic_take_sent(good, NULL, 60), -EINVAL, "buffer");
    CHECK_ERROR(fluxcap_sim_nic_take_passed(good, NULL, 60), -EINVAL, "buffer");
    fluxcap_link_free(elsewhere);
    fluxcap_link_free(good);
    fluxcap_sim_free(other);
    fluxcap_sim_free(sim);
}

/* A socket gets its descriptor when somebody asks; here no more files can be opened then. */
static void without_a_descriptor_there_is_an_error_with_its_cause(void)
{
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_link *link = add(sim, "sim0");
    struct fluxcap_config config = small(NULL);
    struct rlimit limit, none;
    struct fluxcap_rx *rx = NULL;
    struct fluxcap_tx *tx = NULL;

    config.link = link;
    struct fluxcap_raw *raw = open_config(&config);
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    none = limit;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK_ERROR(fluxcap_raw_fd(raw), -EMFILE, "ulimit -n");
    CHECK_RESULT(fluxcap_raw_split(raw, &rx, &tx), 0);
    CHECK_ERROR(fluxcap_rx_fd(rx), -EMFILE, "ulimit -n");
    CHECK_ERROR(fluxcap_tx_fd(tx), -EMFILE, "ulimit -n");
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(fluxcap_rx_fd(rx) >= 0);
    fluxcap_rx_free(rx);
    fluxcap_tx_free(tx);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

/* All that is shown to people, in words that are not those of Rust. */
static void texts_are_plain_words_and_numbers(void)
{
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_link *link = add(sim, "sim0");
    struct fluxcap_config config = small(NULL);
    struct fluxcap_engine *engine = NULL;
    char text[4096];

    config.link = link;
    config.busy_poll_us = 20;
    struct fluxcap_raw *raw = open_config(&config);
    CHECK(fluxcap_raw_format_report(raw, text, sizeof(text)) > 0);
    check_plain(text, "fluxcap_raw_format_report", __FILE__, __LINE__);
    CHECK(strstr(text, "NUMA node:   requested any, achieved any") != NULL);
    CHECK(strstr(text, "busy poll:   requested 20 microseconds, 64 packets, achieved ") != NULL);
    CHECK(fluxcap_raw_format_rings(raw, text, sizeof(text)) > 0);
    check_plain(text, "fluxcap_raw_format_rings", __FILE__, __LINE__);
    CHECK_RESULT(fluxcap_engine_create(&raw, 1, NULL, &engine), 0);
    CHECK(fluxcap_engine_format_statistics(engine, text, sizeof(text)) > 0);
    check_plain(text, "fluxcap_engine_format_statistics", __FILE__, __LINE__);
    fluxcap_engine_free(engine);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

/* A note would tell of packets that do not come: here none shall come. The frames that the fill ring gets all the same show in the rings. */
static void a_socket_that_only_sends_has_no_notes(void)
{
    static const struct {
        uint32_t program, frames, lent;
        bool notes;
    } sockets[] = {
        {FLUXCAP_PROGRAM_BUNDLED, 256, 128, true},
        {FLUXCAP_PROGRAM_NONE, 256, 128, false},
        {FLUXCAP_PROGRAM_SEND_ONLY, 256, 32, false},
        {FLUXCAP_PROGRAM_SEND_ONLY, 1024, 64, false},
    };
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_sim_nic_config nic = nic_config("sim0");
    struct fluxcap_link *link = NULL;
    char text[4096];

    nic.queues = 4;
    CHECK_RESULT(fluxcap_sim_add_nic(sim, &nic, &link), 0);
    for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
        struct fluxcap_config config = ZEROS;
        struct fluxcap_rings rings = ZEROS;

        config.struct_size = sizeof(config);
        config.link = link;
        config.frames = sockets[i].frames;
        config.program = sockets[i].program;
        struct fluxcap_raw *raw = open_config(&config);
        int len = fluxcap_raw_format_report(raw, text, sizeof(text));
        CHECK(len > 0 && (size_t)len < sizeof(text));
        CHECK((strstr(text, "note:        sim0 has 4 receive queues") != NULL) == sockets[i].notes);
        CHECK((strstr(text, "note") != NULL) == sockets[i].notes);
        rings.struct_size = sizeof(rings);
        CHECK_RESULT(fluxcap_raw_get_rings(raw, &rings), 0);
        CHECK(rings.fill.occupied == sockets[i].lent && rings.ledger.kernel == sockets[i].lent);
        check_and_free(raw);
    }
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

/* The argument at fault has its name of the header. */
static void arguments_have_the_names_of_the_header(void)
{
    struct fluxcap_sim *sim = create(0);
    struct fluxcap_link *link = add(sim, "sim0");
    struct fluxcap_config config = small(NULL);
    struct fluxcap_engine_config engine_config = ZEROS;
    struct fluxcap_group *group = NULL;
    struct fluxcap_raw *raw = NULL;

    CHECK_ERROR(fluxcap_sim_join(sim, NULL, link), -EINVAL, "(one)");
    CHECK_ERROR(fluxcap_sim_join(sim, link, NULL), -EINVAL, "(other)");
    CHECK_ERROR(fluxcap_open(NULL, &raw), -EINVAL, "argument config, a struct fluxcap_config: it is NULL");
    config.link = (const struct fluxcap_link *)(const void *)sim;
    CHECK_ERROR(fluxcap_open(&config, &raw), -EINVAL, "field of struct fluxcap_config");
    config.link = link;
    config.umem = (const struct fluxcap_umem *)(const void *)sim;
    CHECK_ERROR(fluxcap_open(&config, &raw), -EINVAL, "field of struct fluxcap_config");
    config.umem = NULL;
    CHECK_ERROR(fluxcap_group_open(&config, NULL, 0, &engine_config, &group), -EINVAL, "argument engine_config");
    CHECK_ERROR(fluxcap_arp_reply(zeros, 60, NULL), -EINVAL, "argument mac");
    CHECK_ERROR(fluxcap_ttl_decrement(NULL, 60), -EINVAL, "argument packet");
    CHECK_ERROR(fluxcap_sim_nic_replay(link, 0, "/tmp", FLUXCAP_SIM_SPEED_FULL, 1), -EISDIR, "name a file in it");
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

int main(int argc, char **argv)
{
    CHECK(argc > 0);
    without_a_descriptor_there_is_an_error_with_its_cause();
    texts_are_plain_words_and_numbers();
    arguments_have_the_names_of_the_header();
    a_socket_that_only_sends_has_no_notes();
    packets_go_there_and_back();
    a_network_goes_with_the_last_that_uses_it();
    what_no_socket_takes_goes_to_the_host();
    a_nic_is_what_its_config_says();
    the_same_seed_gives_the_same_faults();
    faults_of_one_link();
    a_flush_in_vain_takes_its_time_on_the_clock_of_the_network();
    packets_are_played();
    many_packets_are_injected_at_once();
    captures_are_written_and_played(argv[0]);
    a_thread_moves_the_packets_of_two_others();
    a_nic_goes_down_and_changes_and_is_removed();
    a_handle_of_another_kind_is_told_apart();
    a_link_to_an_interface_is_no_simulated_one();
    two_sockets_share_a_umem();
    frames_of_a_closed_socket_are_kept_until_its_driver_lets_go();
    configs_that_cannot_work();
    return 0;
}
