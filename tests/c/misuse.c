/* Every function of the header is used wrongly. Needs no privilege and no interface. */
#include "check.h"

#include <assert.h>
#include <pthread.h>

const char *version_from_elsewhere(void);

static_assert(sizeof(struct fluxcap_packet) == 32, "part of the ABI");
static_assert(sizeof(struct fluxcap_desc) == 16, "as the kernel has it");

static uint64_t zeros[8192];

static void the_version_is_that_of_the_header(void)
{
    char version[32];

    CHECK(strcmp(fluxcap_version(), FLUXCAP_VERSION) == 0);
    CHECK(strcmp(version_from_elsewhere(), FLUXCAP_VERSION) == 0);
    snprintf(version, sizeof(version), "%d.%d.%d", FLUXCAP_VERSION_MAJOR, FLUXCAP_VERSION_MINOR, FLUXCAP_VERSION_PATCH);
    CHECK(strcmp(version, FLUXCAP_VERSION) == 0);
}

static void no_function_takes_this_handle(struct fluxcap_raw *raw, const char *words)
{
    struct fluxcap_packet packet = ZEROS;
    const struct fluxcap_desc *descs = NULL;
    struct fluxcap_info info = ZEROS;
    struct fluxcap_statistics statistics = ZEROS;
    struct fluxcap_program_counters counters = ZEROS;
    struct fluxcap_rings rings = ZEROS;
    char text[8] = "same";

    info.struct_size = sizeof(info);
    statistics.struct_size = sizeof(statistics);
    counters.struct_size = sizeof(counters);
    rings.struct_size = sizeof(rings);
    CHECK_ERROR(fluxcap_raw_recv(raw, &packet, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_alloc(raw, &packet, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_send(raw, &packet, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_peek(raw, 1, &descs), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_recycle_front(raw, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_forward_front(raw, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_refill(raw), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_reap(raw), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_wake_rx(raw), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_wake_tx(raw), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_flush(raw, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_wait(raw, FLUXCAP_WAIT_RECEIVE, 0), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_fd(raw), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_get_info(raw, &info), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_get_statistics(raw, &statistics), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_get_program_counters(raw, &counters), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_get_rings(raw, &rings), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_format_report(raw, text, sizeof(text)), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_format_rings(raw, text, sizeof(text)), -EINVAL, words);
    CHECK(fluxcap_raw_data(raw) == NULL);
    /* Outputs are written on success only. */
    CHECK(packet.data == NULL && descs == NULL && strcmp(text, "same") == 0);
    CHECK(info.frames == 0 && statistics.received == 0 && counters.attached == 0 && rings.counted.frames == 0);
    fluxcap_raw_free(raw);
}

static void packets_that_never_were_are_refused(void)
{
    struct fluxcap_packet packets[3] = ZEROS;
    uint8_t bytes[64] = ZEROS;

    CHECK_RESULT(fluxcap_packet_free(NULL), 0);
    CHECK_RESULT(fluxcap_packets_free(NULL, 0), 0);
    CHECK_ERROR(fluxcap_packets_free(NULL, 3), -EINVAL, "packets");
    /* These have moved away. */
    CHECK_RESULT(fluxcap_packet_free(&packets[0]), 0);
    CHECK_RESULT(fluxcap_packets_free(packets, 3), 0);
    /* The one in the middle is made up, in several ways. */
    packets[1].data = bytes;
    packets[1].len = sizeof(bytes);
    CHECK_ERROR(fluxcap_packets_free(packets, 3), -EINVAL, "packet");
    packets[1].umem = bytes;
    CHECK_ERROR(fluxcap_packets_free(packets, 3), -EINVAL, "packet");
    packets[1].umem = (const void *)(uintptr_t)-8;
    packets[1].frame = packets[1].generation = UINT32_MAX;
    CHECK_ERROR(fluxcap_packet_free(&packets[1]), -EINVAL, "packet");
    CHECK(packets[1].data == bytes);
}

/* Wants a refusal that writes no handle. */
static void check_refused(const struct fluxcap_config *config, int wanted, const char *words)
{
    struct fluxcap_raw *const untouched = (struct fluxcap_raw *)zeros;
    struct fluxcap_raw *raw = untouched;

    CHECK_ERROR(fluxcap_open(config, &raw), wanted, words);
    CHECK(raw == untouched);
}

static void a_config_of_another_size(void)
{
    struct {
        struct fluxcap_config config;
        uint64_t tail[4];
    } longer = ZEROS;
    const uint32_t first_size = offsetof(struct fluxcap_config, link);
    struct fluxcap_config config = small("nosuch0");

    CHECK_ERROR(fluxcap_open(&config, NULL), -EINVAL, "raw");
    check_refused(NULL, -EINVAL, "fluxcap_config");
    for (config.struct_size = 0; config.struct_size < first_size; config.struct_size++)
        check_refused(&config, -EINVAL, "struct_size");
    /* A program that was compiled against the first header. What is behind its struct is not read. */
    config.link = (const struct fluxcap_link *)zeros;
    check_refused(&config, -ENODEV, "nosuch0");
    config.link = NULL;
    config.struct_size = UINT32_MAX;
    check_refused(&config, -EINVAL, "struct_size");
    /* A program that was compiled against a later header, but uses nothing of it … */
    longer.config = small("nosuch0");
    longer.config.struct_size = sizeof(longer);
    check_refused(&longer.config, -ENODEV, "nosuch0");
    /* … and one that does. */
    longer.tail[3] = 1;
    check_refused(&longer.config, -E2BIG, "fluxcap_config");
}

/* A simulated NIC without a cable, and a socket on it. */
struct world {
    struct fluxcap_sim *sim;
    struct fluxcap_link *link;
    struct fluxcap_raw *raw;
};

static struct world create(void)
{
    struct fluxcap_sim_nic_config nic = ZEROS;
    struct fluxcap_config config = small(NULL);
    struct world world = ZEROS;

    CHECK_RESULT(fluxcap_sim_create(0, &world.sim), 0);
    nic.struct_size = sizeof(nic);
    nic.name = "sim0";
    CHECK_RESULT(fluxcap_sim_add_nic(world.sim, &nic, &world.link), 0);
    config.link = world.link;
    world.raw = open_config(&config);
    return world;
}

static void finish(struct world *world)
{
    if (world->raw != NULL)
        check_and_free(world->raw);
    fluxcap_link_free(world->link);
    fluxcap_sim_free(world->sim);
}

/* Memory of a size that looks like a struct of that size, filled with pointers that lead nowhere. */
static void *struct_of(uint32_t size)
{
    char *memory = (char *)malloc(size < 4 ? 4 : size);

    CHECK(memory != NULL);
    memset(memory, 0xff, size < 4 ? 4 : size);
    memcpy(memory, &size, 4);
    return memory;
}

/* Wants the same refusal of each size below that of `type`, and of those above that no struct has, but not of that of an earlier version. */
#define CHECK_SIZES_BUT(type, earlier, call)                                                                           \
    for (uint32_t size = 0; size < sizeof(struct type) + 8; size++) {                                                  \
        if (size == (earlier) || (size >= sizeof(struct type) && size % 4 == 0))                                       \
            continue;                                                                                                  \
        struct type *given = (struct type *)struct_of(size);                                                           \
        CHECK_ERROR(call, -EINVAL, "struct_size");                                                                     \
        CHECK(strstr(fluxcap_last_error(), "sizeof(struct " #type ")") != NULL);                                       \
        free(given);                                                                                                   \
    }

#define CHECK_SIZES(type, call) CHECK_SIZES_BUT(type, UINT32_MAX, call)

static void a_size_that_cuts_a_field_in_two_is_refused(void)
{
    const uint32_t sizes[] = {offsetof(struct fluxcap_config, link), offsetof(struct fluxcap_config, umem),
                              offsetof(struct fluxcap_config, core_dump), sizeof(struct fluxcap_config)};
    uint8_t bytes[64] = ZEROS;
    struct fluxcap_headers headers = ZEROS;
    struct fluxcap_raw *raw = NULL;

    headers.struct_size = sizeof(headers);
    for (uint32_t size = sizes[0]; size <= sizes[3]; size++) {
        struct fluxcap_config config = small("nosuch0");
        struct fluxcap_config *given = (struct fluxcap_config *)struct_of(size);

        config.struct_size = size;
        bool whole = size == sizes[0] || size == sizes[1] || size == sizes[2] || size == sizes[3];
        memcpy(given, &config, whole ? size : sizes[0]);
        CHECK_ERROR(fluxcap_open(given, &raw), whole ? -ENODEV : -EINVAL, whole ? "nosuch0" : "struct_size");
        free(given);
    }
    CHECK_SIZES(fluxcap_frame_spec, fluxcap_frame_build(given, NULL, 0, bytes, sizeof(bytes)));
    CHECK_SIZES(fluxcap_rewrite, fluxcap_rewrite_apply(given, bytes, sizeof(bytes)));
    CHECK_SIZES(fluxcap_headers, fluxcap_parse(bytes, sizeof(bytes), FLUXCAP_PARSE_PARTIAL, NULL, given));
    CHECK_SIZES(fluxcap_parser, fluxcap_parse(bytes, sizeof(bytes), FLUXCAP_PARSE_PARTIAL, given, &headers));

    struct world world = create();
    struct fluxcap_link *link = NULL;
    struct fluxcap_engine *engine = NULL;
    struct fluxcap_group *group = NULL;
    struct fluxcap_rx *rx = NULL;
    struct fluxcap_tx *tx = NULL;
    struct fluxcap_packet packet;

    CHECK_SIZES_BUT(fluxcap_sim_nic_config, offsetof(struct fluxcap_sim_nic_config, release_delay_ns),
                    fluxcap_sim_add_nic(world.sim, given, &link));
    CHECK_SIZES(fluxcap_sim_replay_config, fluxcap_sim_nic_replay_with(world.link, 0, "capture.pcap", given));
    CHECK_SIZES(fluxcap_sim_faults, fluxcap_sim_set_faults(world.sim, given));
    CHECK_SIZES(fluxcap_sim_faults, fluxcap_sim_nic_set_faults(world.link, given));
    CHECK_SIZES(fluxcap_sim_nic_counters, fluxcap_sim_nic_get_counters(world.link, given));
    CHECK_SIZES(fluxcap_info, fluxcap_raw_get_info(world.raw, given));
    CHECK_SIZES(fluxcap_statistics, fluxcap_raw_get_statistics(world.raw, given));
    CHECK_SIZES(fluxcap_program_counters, fluxcap_raw_get_program_counters(world.raw, given));
    CHECK_SIZES(fluxcap_rings, fluxcap_raw_get_rings(world.raw, given));
    CHECK_RESULT(fluxcap_raw_alloc(world.raw, &packet, 1), 1);
    CHECK_SIZES(fluxcap_tunnel, fluxcap_packet_gre_encap(&packet, given));
    CHECK_RESULT(fluxcap_packet_free(&packet), 0);
    CHECK_SIZES(fluxcap_engine_config, fluxcap_engine_create(&world.raw, 1, given, &engine));
    CHECK_RESULT(fluxcap_raw_split(world.raw, &rx, &tx), 0);
    CHECK_SIZES(fluxcap_poller_statistics, fluxcap_rx_get_poller_statistics(rx, given));
    fluxcap_rx_free(rx);
    fluxcap_tx_free(tx);

    struct fluxcap_config config = small(NULL);
    config.link = world.link;
    world.raw = open_config(&config);
    CHECK_RESULT(fluxcap_engine_create(&world.raw, 1, NULL, &engine), 0);
    CHECK_SIZES(fluxcap_engine_statistics, fluxcap_engine_get_statistics(engine, given));
    CHECK_SIZES(fluxcap_port_statistics, fluxcap_engine_get_port_statistics(engine, 0, given));
    CHECK_RESULT(fluxcap_group_create(&engine, 1, &group), 0);
    CHECK_SIZES(fluxcap_group_statistics, fluxcap_group_get_statistics(group, given));
    fluxcap_group_free(group);
    finish(&world);
}

/* Of a program that was compiled against a later header, which has 16 bytes more: the library knows nothing of them. */
#define CHECK_LONGER(type, call)                                                                                       \
    do {                                                                                                               \
        struct type *given = (struct type *)struct_of(sizeof(struct type) + 16);                                       \
        const uint8_t *tail = (const uint8_t *)given + sizeof(struct type);                                            \
                                                                                                                       \
        CHECK(call >= 0);                                                                                              \
        for (int i = 0; i < 16; i++)                                                                                   \
            CHECK(tail[i] == 0);                                                                                       \
        CHECK(given->struct_size == sizeof(struct type) + 16);                                                         \
        free(given);                                                                                                   \
    } while (0)

static void the_unknown_tail_of_what_the_library_fills_in_is_zero(void)
{
    struct world world = create();
    struct fluxcap_config config = small(NULL);
    struct fluxcap_engine *engine = NULL;
    struct fluxcap_group *group = NULL;
    struct fluxcap_rx *rx = NULL;
    struct fluxcap_tx *tx = NULL;
    uint8_t bytes[64] = ZEROS;

    CHECK_LONGER(fluxcap_headers, fluxcap_parse(bytes, sizeof(bytes), FLUXCAP_PARSE_PARTIAL, NULL, given));
    CHECK_LONGER(fluxcap_info, fluxcap_raw_get_info(world.raw, given));
    CHECK_LONGER(fluxcap_statistics, fluxcap_raw_get_statistics(world.raw, given));
    CHECK_LONGER(fluxcap_program_counters, fluxcap_raw_get_program_counters(world.raw, given));
    CHECK_LONGER(fluxcap_rings, fluxcap_raw_get_rings(world.raw, given));
    CHECK_LONGER(fluxcap_sim_nic_counters, fluxcap_sim_nic_get_counters(world.link, given));
    CHECK_RESULT(fluxcap_raw_split(world.raw, &rx, &tx), 0);
    CHECK_LONGER(fluxcap_poller_statistics, fluxcap_rx_get_poller_statistics(rx, given));
    CHECK_LONGER(fluxcap_info, fluxcap_tx_get_info(tx, given));
    CHECK_LONGER(fluxcap_statistics, fluxcap_rx_get_statistics(rx, given));
    CHECK_LONGER(fluxcap_statistics, fluxcap_tx_get_statistics(tx, given));
    CHECK_LONGER(fluxcap_program_counters, fluxcap_rx_get_program_counters(rx, given));
    fluxcap_rx_free(rx);
    fluxcap_tx_free(tx);
    config.link = world.link;
    world.raw = open_config(&config);
    CHECK_RESULT(fluxcap_engine_create(&world.raw, 1, NULL, &engine), 0);
    CHECK_LONGER(fluxcap_engine_statistics, fluxcap_engine_get_statistics(engine, given));
    CHECK_LONGER(fluxcap_port_statistics, fluxcap_engine_get_port_statistics(engine, 0, given));
    CHECK_RESULT(fluxcap_group_create(&engine, 1, &group), 0);
    CHECK_LONGER(fluxcap_group_statistics, fluxcap_group_get_statistics(group, given));
    fluxcap_group_free(group);
    finish(&world);
}

static int end_run(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count);

/* Of the negative times -1 alone is one. */
static void times_that_mean_nothing_are_refused(void)
{
    static const int times[] = {-2, -19, -1000, INT32_MIN + 1, INT32_MIN};
    struct world world = create();
    struct fluxcap_config config = small(NULL);
    struct fluxcap_engine *engine = NULL;
    struct fluxcap_group *group = NULL;
    struct fluxcap_umem *umem = NULL;
    struct fluxcap_rx *rx = NULL;
    struct fluxcap_tx *tx = NULL;
    struct fluxcap_packet packet = ZEROS;
    const size_t count = sizeof(times) / sizeof(times[0]);

    CHECK_RESULT(fluxcap_raw_get_umem(world.raw, &umem), 0);
    for (size_t i = 0; i < count; i++) {
        CHECK_ERROR(fluxcap_raw_wait(world.raw, FLUXCAP_WAIT_RECEIVE, times[i]), -EINVAL, "argument timeout_ms is -");
        CHECK_ERROR(fluxcap_raw_flush(world.raw, times[i]), -EINVAL, "or -1 for no end");
        CHECK_ERROR(fluxcap_umem_reclaim(umem, times[i]), -EINVAL, "argument timeout_ms is -");
    }
    CHECK_RESULT(fluxcap_raw_flush(world.raw, -1), 1);
    CHECK_RESULT(fluxcap_umem_reclaim(umem, -1), 0);
    fluxcap_umem_free(umem);
    CHECK_RESULT(fluxcap_raw_split(world.raw, &rx, &tx), 0);
    for (size_t i = 0; i < count; i++) {
        CHECK_ERROR(fluxcap_rx_recv(rx, &packet, 1, times[i]), -EINVAL, "argument timeout_ms is -");
        CHECK_ERROR(fluxcap_tx_wait(tx, times[i]), -EINVAL, "argument timeout_ms is -");
        CHECK_ERROR(fluxcap_tx_flush(tx, times[i]), -EINVAL, "argument timeout_ms is -");
        CHECK_ERROR(fluxcap_tx_set_patience(tx, times[i]), -EINVAL, "argument patience_ms is -");
    }
    CHECK_RESULT(fluxcap_tx_flush(tx, -1), 1);
    fluxcap_rx_free(rx);
    fluxcap_tx_free(tx);
    config.link = world.link;
    world.raw = open_config(&config);
    CHECK_RESULT(fluxcap_engine_create(&world.raw, 1, NULL, &engine), 0);
    for (size_t i = 0; i < count; i++) {
        CHECK_ERROR(fluxcap_engine_run_for(engine, times[i], end_run, NULL), -EINVAL, "argument timeout_ms is -");
        CHECK_ERROR(fluxcap_engine_wait(engine, times[i]), -EINVAL, "argument timeout_ms is -");
    }
    CHECK_RESULT(fluxcap_group_create(&engine, 1, &group), 0);
    for (size_t i = 0; i < count; i++) {
        CHECK_ERROR(fluxcap_group_run_for(group, times[i], end_run, NULL), -EINVAL, "argument timeout_ms is -");
        CHECK_ERROR(fluxcap_group_set_watch(group, times[i]), -EINVAL, "argument interval_ms is -");
    }
    fluxcap_group_free(group);
    finish(&world);
}

/* A handle lies at an even address, so that what does not is none; whoever looks there, looks once for all eight bytes. */
static void an_odd_address_is_no_handle(void)
{
    struct world world = create();
    char *odd = (char *)world.raw + 1;

    CHECK_ERROR(fluxcap_raw_refill((struct fluxcap_raw *)odd), -EINVAL, "it is no struct fluxcap_raw");
    CHECK_RESULT(fluxcap_raw_stop((struct fluxcap_raw *)odd), -EINVAL);
    finish(&world);
}

static int end_run(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    struct fluxcap_headers headers = ZEROS;

    (void)user, (void)port, (void)count;
    headers.struct_size = sizeof(headers);
    CHECK_ERROR(fluxcap_packet_refs_parse(packets, UINT32_MAX, 0, NULL, &headers), -EINVAL, "argument packets");
    return -1;
}

static void lengths_and_counts_that_cannot_be_are_refused(void)
{
    const size_t lengths[] = {SIZE_MAX, (size_t)-22, SIZE_MAX / 2 + 1};
    const uint32_t counts[] = {UINT32_MAX, (uint32_t)-19, 1u << 31, (1u << 24) + 1};
    struct fluxcap_frame_spec spec = ZEROS;
    struct fluxcap_rewrite rewrite = ZEROS;
    struct fluxcap_headers headers = ZEROS;
    struct fluxcap_ethernet_header ethernet;
    struct fluxcap_icmp_echo_header echo;
    struct fluxcap_ipv4_header ipv4;
    struct fluxcap_ipv6_header ipv6;
    struct fluxcap_vlan_header vlan;
    struct fluxcap_arp_header arp;
    struct fluxcap_udp_header udp;
    struct fluxcap_tcp_header tcp;
    struct fluxcap_packet packet = ZEROS;
    uint8_t bytes[64] = ZEROS;
    char text[64];
    struct world world = create();

    spec.struct_size = sizeof(spec);
    rewrite.struct_size = sizeof(rewrite);
    headers.struct_size = sizeof(headers);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        const size_t len = lengths[i];
        struct fluxcap_sim_packet one = ZEROS;

        one.data = bytes;
        one.len = len;
        CHECK_ERROR(fluxcap_frame_build(&spec, NULL, 0, bytes, len), -EINVAL, "argument buffer");
        CHECK_ERROR(fluxcap_frame_build(&spec, bytes, len, text, sizeof(text)), -EINVAL, "argument payload");
        CHECK_ERROR(fluxcap_frame_build(&spec, bytes, len, bytes, sizeof(bytes)), -EINVAL, "as a signed number it is -");
        CHECK_ERROR(fluxcap_rewrite_apply(&rewrite, bytes, len), -EINVAL, "argument packet");
        CHECK_ERROR(fluxcap_parse(bytes, len, 0, NULL, &headers), -EINVAL, "argument data");
        CHECK_ERROR(fluxcap_format(bytes, len, 0, text, sizeof(text)), -EINVAL, "argument data");
        CHECK_ERROR(fluxcap_format(bytes, sizeof(bytes), 0, text, len), -EINVAL, "argument text");
        CHECK_ERROR(fluxcap_ethernet_header_parse(bytes, len, &ethernet), -EINVAL, "argument data");
        CHECK_ERROR(fluxcap_ethernet_header_swap(bytes, len), -EINVAL, "argument data");
        CHECK_ERROR(fluxcap_arp_header_parse(bytes, len, &arp), -EINVAL, "argument data");
        CHECK_ERROR(fluxcap_arp_reply(bytes, len, bytes), -EINVAL, "argument packet");
        CHECK_ERROR(fluxcap_ipv4_header_parse(bytes, len, &ipv4), -EINVAL, "argument data");
        CHECK_ERROR(fluxcap_ipv6_header_parse(bytes, len, &ipv6), -EINVAL, "argument data");
        CHECK_ERROR(fluxcap_vlan_header_parse(bytes, len, &vlan), -EINVAL, "argument data");
        CHECK_ERROR(fluxcap_udp_header_parse(bytes, len, &udp), -EINVAL, "argument data");
        CHECK_ERROR(fluxcap_tcp_header_parse(bytes, len, &tcp), -EINVAL, "argument data");
        CHECK_ERROR(fluxcap_icmp_echo_header_parse(bytes, len, &echo), -EINVAL, "argument data");
        CHECK_ERROR(fluxcap_icmp_echo_reply(bytes, len), -EINVAL, "argument packet");
        CHECK_ERROR(fluxcap_checksum_verify(bytes, len), -EINVAL, "argument packet");
        CHECK_ERROR(fluxcap_checksum_fill(bytes, len), -EINVAL, "argument packet");
        CHECK_ERROR(fluxcap_checksum_complete(bytes, len), -EINVAL, "argument packet");
        CHECK_ERROR(fluxcap_ttl_decrement(bytes, len), -EINVAL, "argument packet");
        CHECK_ERROR(fluxcap_mss_clamp(bytes, len, 536), -EINVAL, "argument packet");
        CHECK(fluxcap_checksum(bytes, len) == 0xffff && fluxcap_checksum_update(7, bytes, bytes, len) == 7);
        CHECK_RESULT(fluxcap_raw_alloc(world.raw, &packet, 1), 1);
        CHECK_ERROR(fluxcap_packet_build(&packet, &spec, bytes, len), -EINVAL, "argument payload");
        CHECK_RESULT(fluxcap_packet_free(&packet), 0);
        CHECK_ERROR(fluxcap_raw_format_report(world.raw, text, len), -EINVAL, "argument text");
        CHECK_ERROR(fluxcap_raw_format_rings(world.raw, text, len), -EINVAL, "argument text");
        CHECK_ERROR(fluxcap_sim_format_trace(world.sim, text, len), -EINVAL, "argument text");
        CHECK_ERROR(fluxcap_sim_nic_inject(world.link, 0, bytes, len), -EINVAL, "argument data");
        CHECK_ERROR(fluxcap_sim_nic_host_send(world.link, 0, bytes, len), -EINVAL, "argument data");
        CHECK_ERROR(fluxcap_sim_nic_inject_batch(world.link, 0, &one, 1), -EINVAL, "packet 0 of the array");
        CHECK_ERROR(fluxcap_sim_nic_play(world.link, 0, &one, 1, FLUXCAP_SIM_SPEED_FULL, 1), -EINVAL, "packet 0 of the array");
        CHECK_ERROR(fluxcap_sim_nic_take_sent(world.link, bytes, len), -EINVAL, "argument buffer");
        CHECK_ERROR(fluxcap_sim_nic_take_passed(world.link, bytes, len), -EINVAL, "argument buffer");
        /* Not half as long, but longer than any packet. */
        one.len = SIZE_MAX / 2;
        CHECK_ERROR(fluxcap_sim_nic_inject(world.link, 0, bytes, one.len), -EMSGSIZE, "bytes");
        CHECK_ERROR(fluxcap_sim_nic_play(world.link, 0, &one, 1, FLUXCAP_SIM_SPEED_FULL, 1), -EMSGSIZE, "packet 0 of the array");
    }
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        const uint32_t count = counts[i];
        struct fluxcap_raw *raws[1] = {world.raw};
        struct fluxcap_engine *engine = NULL;
        struct fluxcap_group *group = NULL;
        struct fluxcap_config config = small(NULL);
        struct fluxcap_sim_packet one = ZEROS;
        const uint32_t queue = 0;
        const char *negative = count > INT32_MAX ? "as a signed number it is -" : "one call takes at most";

        one.data = bytes;
        one.len = sizeof(bytes);
        config.link = world.link;
        CHECK_ERROR(fluxcap_raw_recv(world.raw, &packet, count), -EINVAL, negative);
        CHECK_ERROR(fluxcap_raw_alloc(world.raw, &packet, count), -EINVAL, negative);
        CHECK_ERROR(fluxcap_raw_send(world.raw, &packet, count), -EINVAL, negative);
        CHECK_ERROR(fluxcap_packets_free(&packet, count), -EINVAL, negative);
        CHECK_ERROR(fluxcap_packets_parse(&packet, count, 0, NULL, &headers), -EINVAL, negative);
        CHECK_ERROR(fluxcap_engine_create(raws, count, NULL, &engine), -EINVAL, negative);
        CHECK_ERROR(fluxcap_group_create(&engine, count, &group), -EINVAL, negative);
        CHECK_ERROR(fluxcap_open_queues(&config, &queue, count, raws), -EINVAL, negative);
        CHECK_ERROR(fluxcap_open_queues(&config, NULL, count, raws), -EINVAL, negative);
        CHECK_ERROR(fluxcap_open_fan_out(&config, count, 1, raws), -EINVAL, negative);
        CHECK_ERROR(fluxcap_group_open(&config, &queue, count, NULL, &group), -EINVAL, negative);
        CHECK_ERROR(fluxcap_sim_nic_inject_batch(world.link, 0, &one, count), -EINVAL, negative);
        CHECK_ERROR(fluxcap_sim_nic_play(world.link, 0, &one, count, FLUXCAP_SIM_SPEED_FULL, 1), -EINVAL, negative);
        if (count > INT32_MAX) {
            struct fluxcap_sim_event event;

            CHECK_ERROR(fluxcap_sim_get_trace(world.sim, &event, count), -EINVAL, negative);
        }
        CHECK(engine == NULL && group == NULL && raws[0] == world.raw);
    }

    /* In the halves, the engine and the group. */
    struct fluxcap_rx *rx = NULL;
    struct fluxcap_tx *tx = NULL;
    struct fluxcap_engine *engine = NULL;
    struct fluxcap_group *group = NULL;
    struct fluxcap_config config = small(NULL);
    const uint32_t cpu = 0;

    CHECK_RESULT(fluxcap_raw_split(world.raw, &rx, &tx), 0);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        CHECK_ERROR(fluxcap_rx_recv(rx, &packet, counts[i], 0), -EINVAL, "argument packets");
        CHECK_ERROR(fluxcap_rx_recycle(rx, &packet, counts[i]), -EINVAL, "argument packets");
        CHECK_ERROR(fluxcap_tx_send(tx, &packet, counts[i]), -EINVAL, "argument packets");
        CHECK_ERROR(fluxcap_tx_alloc(tx, &packet, counts[i]), -EINVAL, "argument packets");
    }
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        CHECK_ERROR(fluxcap_tx_copy(tx, bytes, lengths[i], &packet), -EINVAL, "argument data");
        CHECK_ERROR(fluxcap_rx_format_report(rx, text, lengths[i]), -EINVAL, "argument text");
        CHECK_ERROR(fluxcap_tx_format_report(tx, text, lengths[i]), -EINVAL, "argument text");
    }
    CHECK_ERROR(fluxcap_tx_copy(tx, bytes, SIZE_MAX / 2, &packet), -EMSGSIZE, "bytes");
    fluxcap_rx_free(rx);
    fluxcap_tx_free(tx);
    config.link = world.link;
    world.raw = open_config(&config);
    CHECK_RESULT(fluxcap_engine_create(&world.raw, 1, NULL, &engine), 0);
    CHECK_RESULT(fluxcap_sim_nic_inject(world.link, 0, bytes, sizeof(bytes)), 0);
    CHECK(fluxcap_sim_settle(world.sim) >= 0);
    CHECK_RESULT(fluxcap_engine_run_once(engine, end_run, NULL), -1);
    CHECK_ERROR(fluxcap_engine_format_statistics(engine, text, SIZE_MAX), -EINVAL, "argument text");
    CHECK_RESULT(fluxcap_group_create(&engine, 1, &group), 0);
    CHECK_ERROR(fluxcap_group_format_statistics(group, text, SIZE_MAX), -EINVAL, "argument text");
    CHECK_ERROR(fluxcap_group_pin(group, &cpu, UINT32_MAX), -EINVAL, "argument cpus");
    CHECK_ERROR(fluxcap_group_pin(group, &cpu, (1u << 16) + 1), -EINVAL, "argument cpus");
    fluxcap_group_free(group);
    finish(&world);
}

static void unknown_constants(void)
{
    struct fluxcap_config config;

#define CHECK_UNKNOWN(field, value)                                                                                    \
    config = small("nosuch0");                                                                                         \
    config.field = value;                                                                                              \
    check_refused(&config, -EINVAL, #field)
    CHECK_UNKNOWN(bind_mode, 3);
    CHECK_UNKNOWN(xdp_mode, 3);
    CHECK_UNKNOWN(program, 4);
    CHECK_UNKNOWN(hugepages, 5);
    CHECK_UNKNOWN(numa, 2);
    CHECK_UNKNOWN(wakeup, 2);
    CHECK_UNKNOWN(wakeup, UINT32_MAX);
}

static void interfaces_that_are_not_there(void)
{
    struct fluxcap_config config = small("nosuch0");

    check_refused(&config, -ENODEV, "nosuch0");
    config.ifname = "";
    check_refused(&config, -EINVAL, "name");
    config.ifname = "an-alternative-name-of-more-than-15-bytes";
    check_refused(&config, -ENODEV, "an-alternative-name-of-more-than-15-bytes");
    config.ifname = "\xff\xfe"; /* no UTF-8 */
    check_refused(&config, -ENODEV, "interface");
    config.ifname = NULL;
    check_refused(&config, -EINVAL, "the index is 0");
    config.ifindex = 2000000000;
    check_refused(&config, -ENODEV, "2000000000");
    config.ifindex = UINT32_MAX;
    check_refused(&config, -ENODEV, "interface");
}

static void numbers_that_cannot_work(void)
{
    struct fluxcap_config config;

#define CHECK_NUMBER(field, value, words)                                                                              \
    config = small("lo");                                                                                              \
    config.field = value;                                                                                              \
    check_refused(&config, -EINVAL, words)
    CHECK_NUMBER(fill_size, 3, "power of two");
    CHECK_NUMBER(rx_size, 3, "power of two");
    CHECK_NUMBER(tx_size, 3, "power of two");
    CHECK_NUMBER(completion_size, 3, "power of two");
    CHECK_NUMBER(fill_size, UINT32_MAX, "fill ring");
    CHECK_NUMBER(fill_size, 1u << 31, "fill ring");
    CHECK_NUMBER(rx_size, 1u << 31, "RX ring");
    CHECK_NUMBER(tx_size, 1u << 31, "TX ring");
    CHECK_NUMBER(completion_size, 1u << 31, "completion ring");
    CHECK_NUMBER(frames, (1u << 24) + 1, "frames");
    CHECK_NUMBER(frames, UINT32_MAX, "frames");
    CHECK_NUMBER(chunk_size, 1, "power of two");
    CHECK_NUMBER(chunk_size, 1024, "2048");
    CHECK_NUMBER(chunk_size, 3000, "power of two");
    CHECK_NUMBER(chunk_size, 8192, "page");
    CHECK_NUMBER(chunk_size, 1u << 17, "65536");
    CHECK_NUMBER(headroom, 1792, "1792");
    CHECK_NUMBER(headroom, UINT32_MAX, "headroom");
    CHECK_NUMBER(tx_budget, 31, "TX budget");
    CHECK_NUMBER(tx_budget, 129, "TX budget");
    CHECK_NUMBER(busy_poll_us, UINT32_MAX, "microseconds");
    config = small("lo");
    config.busy_poll_us = 20;
    config.busy_poll_budget = 65536;
    check_refused(&config, -EINVAL, "packets");
}

/* An ICMP echo request with a payload of 8 bytes, and padding behind it. */
static const uint8_t echo_request[60] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,                                        /* Ethernet */
    0x45, 0, 0, 36, 0x12, 0x34, 0x40, 0, 64, 1, 0x14, 0xa3, 10, 0, 0, 1, 10, 0, 0, 2,                  /* IPv4 */
    8, 0, 0x3c, 0x17, 0xab, 0xcd, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8,                                        /* ICMP */
    0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee,
};

static const uint8_t arp_request[42] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x06,
    0, 1, 8, 0, 6, 4, 0, 1, 0x02, 0, 0, 0, 0, 0x01, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2,
};

/* The first bytes of a packet in memory of exactly that size, so that tools see a byte read too much. */
static uint8_t *first(const uint8_t *packet, size_t len)
{
    uint8_t *copy = (uint8_t *)malloc(len == 0 ? 1 : len);

    CHECK(copy != NULL);
    memcpy(copy, packet, len);
    return copy;
}

static void views_on_truncated_packets(void)
{
    static const uint8_t mac[6] = {0x02, 0, 0, 0, 0, 0x02};
    struct fluxcap_ethernet_header ethernet;
    struct fluxcap_arp_header arp;
    struct fluxcap_ipv4_header ipv4;
    struct fluxcap_icmp_echo_header echo;

    for (size_t len = 0; len <= sizeof(echo_request); len++) {
        uint8_t *packet = first(echo_request, len);
        uint8_t *inner = first(echo_request + 14, len < 14 ? 0 : len - 14);
        uint8_t *innermost = first(echo_request + 34, len < 34 ? 0 : len - 34);

        CHECK_RESULT(fluxcap_ethernet_header_parse(packet, len, &ethernet), len < 14 ? -EINVAL : 14);
        CHECK_RESULT(fluxcap_ethernet_header_swap(packet, len), len < 14 ? -EINVAL : 14);
        if (len >= 14) {
            CHECK_RESULT(fluxcap_ethernet_header_swap(packet, len), 14);
            /* The total length, 36, has to fit. */
            CHECK_RESULT(fluxcap_ipv4_header_parse(inner, len - 14, &ipv4), len < 50 ? -EINVAL : 20);
        }
        if (len >= 34)
            CHECK_RESULT(fluxcap_icmp_echo_header_parse(innermost, len - 34, &echo), len < 42 ? -EINVAL : 8);
        CHECK_RESULT(fluxcap_icmp_echo_reply(packet, len), len < 50 ? -EINVAL : 42);
        if (len < 50)
            CHECK(memcmp(packet, echo_request, len) == 0);
        free(packet);
        free(inner);
        free(innermost);
    }
    for (size_t len = 0; len <= sizeof(arp_request); len++) {
        uint8_t *packet = first(arp_request, len);
        uint8_t *inner = first(arp_request + 14, len < 14 ? 0 : len - 14);

        if (len >= 14)
            CHECK_RESULT(fluxcap_arp_header_parse(inner, len - 14, &arp), len < 42 ? -EINVAL : 28);
        CHECK_RESULT(fluxcap_arp_reply(packet, len, mac), len < 42 ? -EINVAL : 42);
        if (len < 42)
            CHECK(memcmp(packet, arp_request, len) == 0);
        free(packet);
        free(inner);
    }
}

static void views_tell_what_is_there(void)
{
    static const uint8_t mac[6] = {0x02, 0, 0, 0, 0, 0x02};
    uint8_t packet[60];
    struct fluxcap_ethernet_header ethernet;
    struct fluxcap_arp_header arp;
    struct fluxcap_ipv4_header ipv4;
    struct fluxcap_icmp_echo_header echo;

    memcpy(packet, echo_request, sizeof(packet));
    CHECK_RESULT(fluxcap_ethernet_header_parse(packet, 60, &ethernet), 14);
    CHECK(ethernet.ether_type == 0x0800 && ethernet.source[5] == 1 && ethernet.destination[5] == 2);
    CHECK_RESULT(fluxcap_ipv4_header_parse(packet + 14, 46, &ipv4), 20);
    CHECK(ipv4.header_len == 20 && ipv4.ttl == 64 && ipv4.protocol == 1 && ipv4.total_length == 36);
    CHECK(ipv4.identification == 0x1234 && ipv4.dont_fragment == 1 && ipv4.more_fragments == 0 && ipv4.fragment_offset == 0);
    CHECK(ipv4.source[3] == 1 && ipv4.destination[3] == 2 && ipv4.checksum_ok == 1);
    CHECK_RESULT(fluxcap_icmp_echo_header_parse(packet + 34, 16, &echo), 8);
    CHECK(echo.icmp_type == 8 && echo.identifier == 0xabcd && echo.sequence == 7 && echo.checksum_ok == 1);

    CHECK_RESULT(fluxcap_icmp_echo_reply(packet, 60), 42);
    CHECK(memcmp(packet, echo_request + 6, 6) == 0 && memcmp(packet + 6, echo_request, 6) == 0);
    CHECK_RESULT(fluxcap_ipv4_header_parse(packet + 14, 46, &ipv4), 20);
    CHECK(ipv4.source[3] == 2 && ipv4.destination[3] == 1 && ipv4.checksum_ok == 1);
    CHECK_RESULT(fluxcap_icmp_echo_header_parse(packet + 34, 16, &echo), 8);
    CHECK(echo.icmp_type == 0 && echo.identifier == 0xabcd && echo.sequence == 7 && echo.checksum_ok == 1);
    CHECK(memcmp(packet + 42, echo_request + 42, 18) == 0);
    CHECK_ERROR(fluxcap_icmp_echo_reply(packet, 60), -EINVAL, "not an ICMP echo request");
    packet[49] ^= 1;
    CHECK_RESULT(fluxcap_icmp_echo_header_parse(packet + 34, 16, &echo), 8);
    CHECK(echo.checksum_ok == 0);

    memcpy(packet, arp_request, sizeof(arp_request));
    CHECK_RESULT(fluxcap_arp_header_parse(packet + 14, 28, &arp), 28);
    CHECK(arp.operation == 1 && arp.sender_mac[5] == 1 && arp.sender_ip[3] == 1 && arp.target_ip[3] == 2);
    CHECK_RESULT(fluxcap_arp_reply(packet, 42, mac), 42);
    CHECK(memcmp(packet, arp_request + 6, 6) == 0 && memcmp(packet + 6, mac, 6) == 0);
    CHECK_RESULT(fluxcap_arp_header_parse(packet + 14, 28, &arp), 28);
    CHECK(arp.operation == 2 && memcmp(arp.sender_mac, mac, 6) == 0 && arp.sender_ip[3] == 2);
    CHECK(arp.target_mac[5] == 1 && arp.target_ip[3] == 1);
    CHECK_ERROR(fluxcap_arp_reply(packet, 42, mac), -EINVAL, "not an ARP request");
}

/* Echoes may have any code (RFC 1122), and the answer has 0; ARP of IEEE 802 networks has hardware type 6 (RFC 1042), in the answer, too. */
static void odd_questions_are_answered_all_the_same(void)
{
    static const uint8_t mac[6] = {0x02, 0, 0, 0, 0, 0x02};
    uint8_t packet[60];
    struct fluxcap_icmp_echo_header echo;
    struct fluxcap_arp_header arp;

    memcpy(packet, echo_request, sizeof(packet));
    packet[35] = 9;
    packet[37] -= 9;
    CHECK_RESULT(fluxcap_checksum_verify(packet, 60), FLUXCAP_CHECKSUM_RIGHT);
    CHECK_RESULT(fluxcap_icmp_echo_header_parse(packet + 34, 16, &echo), 8);
    CHECK(echo.icmp_type == 8 && echo.checksum_ok == 1);
    CHECK_RESULT(fluxcap_icmp_echo_reply(packet, 60), 42);
    CHECK(packet[34] == 0 && packet[35] == 0);
    CHECK_RESULT(fluxcap_checksum_verify(packet, 60), FLUXCAP_CHECKSUM_RIGHT);

    memcpy(packet, arp_request, sizeof(arp_request));
    packet[15] = 6;
    CHECK_RESULT(fluxcap_arp_header_parse(packet + 14, 28, &arp), 28);
    CHECK_RESULT(fluxcap_arp_reply(packet, 42, mac), 42);
    CHECK(packet[14] == 0 && packet[15] == 6 && packet[21] == 2);
    packet[15] = 7;
    CHECK_ERROR(fluxcap_arp_header_parse(packet + 14, 28, &arp), -EINVAL, "hardware type");
}

/* Each has one byte that makes it something else than a question, and stays as it is. */
static void only_questions_are_answered(void)
{
    static const uint8_t mac[6] = {0x02, 0, 0, 0, 0, 0x02};
    static const struct {
        size_t place;
        uint8_t value;
        const char *words;
    } echo_faults[] = {
        {12, 0x86, "not IPv4"},
        {23, 17, "not ICMP"},
        {20, 0x20, "not a whole message"},
        {21, 0x01, "not a whole message"},
        {34, 0, "not an ICMP echo request"},
    };
    uint8_t packet[60], before[60];

    for (size_t i = 0; i < sizeof(echo_faults) / sizeof(echo_faults[0]); i++) {
        memcpy(packet, echo_request, sizeof(packet));
        packet[echo_faults[i].place] = echo_faults[i].value;
        memcpy(before, packet, sizeof(packet));
        CHECK_ERROR(fluxcap_icmp_echo_reply(packet, 60), -EINVAL, echo_faults[i].words);
        CHECK(memcmp(packet, before, sizeof(packet)) == 0);
    }
    memcpy(packet, arp_request, sizeof(arp_request));
    packet[13] = 0;
    CHECK_ERROR(fluxcap_arp_reply(packet, 42, mac), -EINVAL, "not ARP");
    packet[13] = 0x06;
    packet[21] = 2;
    CHECK_ERROR(fluxcap_arp_reply(packet, 42, mac), -EINVAL, "not an ARP request");
}

static void views_refuse_null(void)
{
    uint8_t packet[60];
    uint8_t mac[6] = {2, 0, 0, 0, 0, 2};
    struct fluxcap_ethernet_header ethernet;
    struct fluxcap_arp_header arp;
    struct fluxcap_ipv4_header ipv4;
    struct fluxcap_icmp_echo_header echo;

    CHECK_ERROR(fluxcap_ethernet_header_parse(NULL, 60, &ethernet), -EINVAL, "data");
    CHECK_ERROR(fluxcap_ethernet_header_swap(NULL, 60), -EINVAL, "NULL");
    CHECK_ERROR(fluxcap_arp_header_parse(NULL, 28, &arp), -EINVAL, "data");
    CHECK_ERROR(fluxcap_arp_reply(NULL, 42, mac), -EINVAL, "NULL");
    CHECK_ERROR(fluxcap_ipv4_header_parse(NULL, 46, &ipv4), -EINVAL, "data");
    CHECK_ERROR(fluxcap_icmp_echo_header_parse(NULL, 16, &echo), -EINVAL, "data");
    CHECK_ERROR(fluxcap_icmp_echo_reply(NULL, 60), -EINVAL, "NULL");
    memcpy(packet, echo_request, sizeof(packet));
    CHECK_ERROR(fluxcap_ethernet_header_parse(packet, 60, NULL), -EINVAL, "header");
    CHECK_ERROR(fluxcap_ipv4_header_parse(packet + 14, 46, NULL), -EINVAL, "header");
    CHECK_ERROR(fluxcap_icmp_echo_header_parse(packet + 34, 16, NULL), -EINVAL, "header");
    memcpy(packet, arp_request, sizeof(arp_request));
    CHECK_ERROR(fluxcap_arp_header_parse(packet + 14, 28, NULL), -EINVAL, "header");
    CHECK_ERROR(fluxcap_arp_reply(packet, 42, NULL), -EINVAL, "NULL");
    CHECK(memcmp(packet, arp_request, sizeof(arp_request)) == 0);
}

static void the_checksum_of_rfc_1071(void)
{
    static const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

    CHECK(fluxcap_checksum(bytes, sizeof(bytes)) == 0x220d);
    CHECK(fluxcap_checksum(bytes, 0) == 0xffff);
    CHECK(fluxcap_checksum(NULL, 0) == 0xffff);
    CHECK(fluxcap_checksum(NULL, 8) == 0xffff);
    /* An odd byte counts as the first of two. */
    CHECK(fluxcap_checksum(bytes + 2, 1) == (uint16_t)~0xf200);
    CHECK(fluxcap_checksum(echo_request + 14, 20) == 0);
}

static void *last_error_of_a_thread(void *words)
{
    CHECK(fluxcap_last_error()[0] == '\0');
    CHECK_ERROR(fluxcap_raw_fd(NULL), -EINVAL, (const char *)words);
    return NULL;
}

static void each_thread_has_its_last_error(void)
{
    struct fluxcap_config config = small("nosuch0");
    char words[] = "raw";
    pthread_t thread;

    check_refused(&config, -ENODEV, "nosuch0");
    CHECK(pthread_create(&thread, NULL, last_error_of_a_thread, words) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(strstr(fluxcap_last_error(), "nosuch0") != NULL);
    /* A call that succeeds leaves it as it is. */
    CHECK_RESULT(fluxcap_packet_free(NULL), 0);
    CHECK(strstr(fluxcap_last_error(), "nosuch0") != NULL);
}

int main(void)
{
    CHECK(fluxcap_last_error()[0] == '\0');
    the_version_is_that_of_the_header();
    no_function_takes_this_handle(NULL, "NULL");
    no_function_takes_this_handle((struct fluxcap_raw *)zeros, "fluxcap_open");
    packets_that_never_were_are_refused();
    a_config_of_another_size();
    a_size_that_cuts_a_field_in_two_is_refused();
    lengths_and_counts_that_cannot_be_are_refused();
    the_unknown_tail_of_what_the_library_fills_in_is_zero();

    times_that_mean_nothing_are_refused();
    an_odd_address_is_no_handle();
    unknown_constants();
    interfaces_that_are_not_there();
    numbers_that_cannot_work();
    views_on_truncated_packets();
    views_tell_what_is_there();
    odd_questions_are_answered_all_the_same();
    only_questions_are_answered();
    views_refuse_null();
    the_checksum_of_rfc_1071();
    each_thread_has_its_last_error();
    return 0;
}
