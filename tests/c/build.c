/* Frames built from a struct: into a buffer, into an owned packet, and in place of a packet that a callback looks at. Needs no privilege
 * and no interface. */
#include "check.h"

#include <assert.h>

static_assert(sizeof(struct fluxcap_frame_spec) == 156, "part of the ABI: it may only grow");

/* What scapy makes of the specs below. */
static const uint8_t udp_ipv4[45] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x45, 0x00,
    0x00, 0x1f, 0x12, 0x34, 0x00, 0x00, 0x40, 0x11, 0x54, 0x98, 0x0a, 0x00, 0x00, 0x01, 0x0a, 0x00,
    0x00, 0x02, 0x04, 0xd2, 0x00, 0x35, 0x00, 0x0b, 0x0f, 0x60, 0x64, 0x6e, 0x73,
};
static const uint8_t tcp_ipv6[95] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x88, 0xa8, 0x00, 0x07,
    0x81, 0x00, 0xb0, 0x64, 0x86, 0xdd, 0x6b, 0x91, 0x23, 0x45, 0x00, 0x21, 0x06, 0x03, 0x20, 0x01,
    0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x20, 0x01,
    0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xc3, 0x50,
    0x01, 0xbb, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x70, 0x12, 0xfa, 0xf0, 0x14, 0xc8,
    0x00, 0x00, 0x02, 0x04, 0x05, 0xa0, 0x04, 0x02, 0x00, 0x00, 0x68, 0x65, 0x6c, 0x6c, 0x6f,
};
static const uint8_t echo_ipv4[46] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x45, 0x00,
    0x00, 0x20, 0x1c, 0x46, 0x40, 0x00, 0x40, 0x01, 0x0a, 0x95, 0x0a, 0x00, 0x00, 0x01, 0x0a, 0x00,
    0x00, 0x02, 0x08, 0x00, 0x06, 0xfa, 0x12, 0x34, 0x00, 0x01, 0x70, 0x69, 0x6e, 0x67,
};
static const uint8_t echo_ipv6[66] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x86, 0xdd, 0x60, 0x00,
    0x00, 0x00, 0x00, 0x0c, 0x3a, 0x40, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x81, 0x00, 0x32, 0x3e, 0x12, 0x34, 0x00, 0x01, 0x70, 0x69,
    0x6e, 0x67,
};
static const uint8_t arp_reply[60] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, 0x00, 0x01,
    0x08, 0x00, 0x06, 0x04, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x0a, 0x00, 0x00, 0x01,
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x0a, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};
static const uint8_t igmp[42] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x45, 0xc0,
    0x00, 0x1c, 0x00, 0x00, 0x40, 0x00, 0x01, 0x02, 0x65, 0x1e, 0x0a, 0x00, 0x00, 0x01, 0x0a, 0x00,
    0x00, 0x02, 0x16, 0x00, 0x09, 0x04, 0xe0, 0x00, 0x00, 0xfb,
};
static const uint8_t experiment[19] = {
    0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x81, 0x00, 0x00, 0x64,
    0x88, 0xb5, 0x21,
};

static struct fluxcap_frame_spec spec(uint32_t kind, uint32_t ip_version)
{
    static const uint8_t us[6] = {0x02, 0, 0, 0, 0, 0x01}, them[6] = {0x02, 0, 0, 0, 0, 0x02};
    static const uint8_t our_ipv4[4] = {10, 0, 0, 1}, their_ipv4[4] = {10, 0, 0, 2};
    static const uint8_t ipv6[16] = {0x20, 0x01, 0x0d, 0xb8};
    struct fluxcap_frame_spec spec = ZEROS;

    spec.struct_size = sizeof(spec);
    spec.kind = kind;
    spec.ip_version = ip_version;
    memcpy(spec.source_mac, us, 6);
    memcpy(spec.destination_mac, them, 6);
    if (ip_version == 6) {
        memcpy(spec.source_ip, ipv6, 16);
        memcpy(spec.destination_ip, ipv6, 16);
        spec.source_ip[15] = 1;
        spec.destination_ip[15] = 2;
    } else {
        memcpy(spec.source_ip, our_ipv4, 4);
        memcpy(spec.destination_ip, their_ipv4, 4);
    }
    return spec;
}

static struct fluxcap_frame_spec udp(void)
{
    struct fluxcap_frame_spec made = spec(FLUXCAP_FRAME_UDP, 0);

    made.flags = FLUXCAP_BUILD_MAY_FRAGMENT;
    made.identification = 0x1234;
    made.source_port = 1234;
    made.destination_port = 53;
    return made;
}

static struct fluxcap_frame_spec tcp(void)
{
    static const uint8_t options[6] = {2, 4, 0x05, 0xa0, 4, 2};
    struct fluxcap_frame_spec made = spec(FLUXCAP_FRAME_TCP, 6);

    made.vlan_count = 2;
    made.vlans[0].id = 7;
    made.vlans[0].ether_type = 0x88a8;
    made.vlans[1].id = 100;
    made.vlans[1].priority = 5;
    made.vlans[1].drop_eligible = 1;
    made.flow_label = 0x12345;
    made.dscp = 46;
    made.ecn = 1;
    made.hops = 3;
    made.source_port = 50000;
    made.destination_port = 443;
    made.sequence_number = 0x01020304;
    made.acknowledgment_number = 0x05060708;
    made.tcp_flags = FLUXCAP_TCP_SYN | FLUXCAP_TCP_ACK;
    made.window = 64240;
    made.tcp_options_len = sizeof(options);
    memcpy(made.tcp_options, options, sizeof(options));
    return made;
}

static struct fluxcap_frame_spec echo(uint32_t ip_version)
{
    struct fluxcap_frame_spec made = spec(FLUXCAP_FRAME_ECHO, ip_version);

    made.flags = ip_version == 6 ? FLUXCAP_BUILD_REPLY : 0;
    made.identification = 0x1c46;
    made.echo_identifier = 0x1234;
    made.echo_sequence = 1;
    return made;
}

/* In a buffer of every size up to one more than the frame has, over old bytes. */
static void check_built(struct fluxcap_frame_spec spec, const char *payload, const uint8_t *wanted, size_t wanted_len)
{
    for (size_t size = 0; size <= wanted_len + 1; size++) {
        uint8_t *buffer = (uint8_t *)malloc(size + 1);
        int result;

        memset(buffer, 0xEE, size + 1);
        result = fluxcap_frame_build(&spec, payload, strlen(payload), buffer, size);
        CHECK(buffer[size] == 0xEE);
        if (size < wanted_len)
            CHECK_ERROR(result, -EMSGSIZE, "build a frame: ");
        else
            CHECK(result == (int)wanted_len && memcmp(buffer, wanted, wanted_len) == 0);
        free(buffer);
    }
}

static void frames_are_built_whole(void)
{
    static const char report[] = {0x16, 0x00, 0x09, 0x04, (char)0xe0, 0x00, 0x00, (char)0xfb};
    struct fluxcap_frame_spec made = spec(FLUXCAP_FRAME_ARP, 0);
    uint8_t buffer[64];

    check_built(udp(), "dns", udp_ipv4, sizeof(udp_ipv4));
    check_built(tcp(), "hello", tcp_ipv6, sizeof(tcp_ipv6));
    check_built(echo(4), "ping", echo_ipv4, sizeof(echo_ipv4));
    check_built(echo(6), "ping", echo_ipv6, sizeof(echo_ipv6));

    made.flags = FLUXCAP_BUILD_PADDED;
    made.arp_operation = 2;
    memcpy(made.arp_target_mac, made.destination_mac, 6);
    check_built(made, "", arp_reply, sizeof(arp_reply));

    made = spec(FLUXCAP_FRAME_IP, 4);
    made.hops = 1;
    made.dscp = 48;
    made.protocol = 2;
    CHECK_RESULT(fluxcap_frame_build(&made, report, sizeof(report), buffer, sizeof(buffer)), sizeof(igmp));
    CHECK(memcmp(buffer, igmp, sizeof(igmp)) == 0);

    made = spec(FLUXCAP_FRAME_ETHERNET, 0);
    made.vlan_count = 1;
    made.vlans[0].id = 100;
    made.ether_type = 0x88b5;
    check_built(made, "!", experiment, sizeof(experiment));

    made = udp();
    made.flags |= FLUXCAP_BUILD_NO_CHECKSUM;
    CHECK_RESULT(fluxcap_frame_build(&made, "dns", 3, buffer, sizeof(buffer)), sizeof(udp_ipv4));
    CHECK(buffer[40] == 0 && buffer[41] == 0);
    CHECK_RESULT(fluxcap_frame_build(&made, NULL, 0, buffer, sizeof(buffer)), 42);
}

static void specs_that_cannot_be_are_refused(void)
{
    struct fluxcap_frame_spec made;
    uint8_t buffer[200];

#define CHECK_REFUSED(from, change, wanted, words)                                                           \
    do {                                                                                                     \
        made = from;                                                                                         \
        change;                                                                                              \
        CHECK_ERROR(fluxcap_frame_build(&made, "x", 1, buffer, sizeof(buffer)), wanted, words);               \
    } while (0)

    CHECK_REFUSED(udp(), made.struct_size = 155, -EINVAL, "sizeof(struct fluxcap_frame_spec)");
    CHECK_REFUSED(udp(), made.kind = 6, -EINVAL, "kind of 0x6");
    CHECK_REFUSED(udp(), made.flags = 0x10, -EINVAL, "flags of 0x10");
    CHECK_REFUSED(udp(), made.ip_version = 5, -EINVAL, "ip_version of 0x5");
    CHECK_REFUSED(udp(), made.vlan_count = 3, -EINVAL, "vlan_count of 0x3");
    CHECK_REFUSED(tcp(), made.vlans[1].id = 4096, -EINVAL, "VLAN cannot have 4096 as its id");
    CHECK_REFUSED(tcp(), made.vlans[0].ether_type = 0x0800, -EINVAL, "VLAN cannot have 2048 as its ether type");
    CHECK_REFUSED(tcp(), made.flow_label = 1u << 20, -EINVAL, "flow label");
    CHECK_REFUSED(tcp(), made.tcp_options_len = 41, -EINVAL, "TCP options would be");
    CHECK_REFUSED(udp(), made.dscp = 64, -EINVAL, "64 as its DSCP");
    CHECK_REFUSED(spec(FLUXCAP_FRAME_ARP, 0), (void)0, -EINVAL, "payload cannot follow ARP");
    CHECK_REFUSED(spec(FLUXCAP_FRAME_ETHERNET, 0), made.ether_type = 1500, -EINVAL, "ether type");

    made = udp();
    CHECK_ERROR(fluxcap_frame_build(NULL, NULL, 0, buffer, sizeof(buffer)), -EINVAL, "NULL");
    CHECK_ERROR(fluxcap_frame_build(&made, NULL, 1, buffer, sizeof(buffer)), -EINVAL, "NULL");
    CHECK_ERROR(fluxcap_frame_build(&made, NULL, 0, NULL, 100), -EINVAL, "NULL");
    CHECK_ERROR(fluxcap_frame_build(&made, buffer + 42, 3, buffer, sizeof(buffer)), -EINVAL, "it lies where");
    CHECK_ERROR(fluxcap_frame_build(&made, buffer, 3, buffer + 2, 100), -EINVAL, "it lies where");
    CHECK_RESULT(fluxcap_frame_build(&made, buffer, 2, buffer + 2, 100), 44);
    CHECK_ERROR(fluxcap_packet_build(NULL, &made, NULL, 0), -EINVAL, "NULL");
    CHECK_ERROR(fluxcap_packet_ref_build(NULL, &made, NULL, 0), -EINVAL, "NULL");
}

/* A link without a cable, and a socket on it. */
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

static void check_sent(const struct world *world, const uint8_t *wanted, size_t len)
{
    uint8_t bytes[2048];

    CHECK_RESULT(fluxcap_sim_nic_take_sent(world->link, bytes, sizeof(bytes)), (int)len);
    CHECK(memcmp(bytes, wanted, len) == 0);
}

static void a_packet_is_built_and_sent(void)
{
    struct world world = create();
    struct fluxcap_frame_spec made = tcp();
    struct fluxcap_packet packet, copy;
    static uint8_t large[4096];

    CHECK_RESULT(fluxcap_raw_alloc(world.raw, &packet, 1), 1);
    copy = packet;
    CHECK_RESULT(fluxcap_packet_build(&packet, &made, "hello", 5), sizeof(tcp_ipv6));
    CHECK(packet.data == copy.data && packet.len == sizeof(tcp_ipv6));
    CHECK_ERROR(fluxcap_packet_build(&copy, &made, "hello", 5), -EINVAL, "another copy");
    CHECK_ERROR(fluxcap_packet_build(&packet, &made, packet.data + 100, 5), -EINVAL, "it lies where");
    CHECK(packet.len == sizeof(tcp_ipv6));
    CHECK_ERROR(fluxcap_packet_build(&packet, &made, large, sizeof(large)), -EMSGSIZE, "payload needs 4096 bytes");
    CHECK(packet.len == 0);
    CHECK_RESULT(fluxcap_packet_build(&packet, &made, "hello", 5), sizeof(tcp_ipv6));
    CHECK_RESULT(fluxcap_raw_send(world.raw, &packet, 1), 1);
    CHECK_RESULT(fluxcap_raw_flush(world.raw, 3000), 1);
    check_sent(&world, tcp_ipv6, sizeof(tcp_ipv6));
    check_and_free(world.raw);
    fluxcap_link_free(world.link);
    fluxcap_sim_free(world.sim);
}

static int answer(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    struct fluxcap_frame_spec made = echo(4);

    CHECK(port == 0);
    for (uint32_t i = 0; i < count; i++) {
        CHECK_ERROR(fluxcap_packet_ref_build(&packets[i], &made, packets[i].data, 4), -EINVAL, "it lies where");
        CHECK_RESULT(fluxcap_packet_ref_build(&packets[i], &made, "ping", 4), sizeof(echo_ipv4));
        packets[i].verdict = FLUXCAP_SEND;
        ++*(uint32_t *)user;
    }
    return 0;
}

static void an_answer_is_built_in_place_of_a_packet(void)
{
    struct world world = create();
    struct fluxcap_engine_config config = ZEROS;
    struct fluxcap_engine *engine = NULL;
    uint32_t answered = 0;

    config.struct_size = sizeof(config);
    CHECK_RESULT(fluxcap_engine_create(&world.raw, 1, &config, &engine), 0);
    for (uint32_t i = 0; i < 8; i++)
        CHECK_RESULT(fluxcap_sim_nic_inject(world.link, 0, experiment, sizeof(experiment)), 0);
    CHECK(fluxcap_sim_settle(world.sim) >= 0);
    while (answered < 8)
        CHECK(fluxcap_engine_run_once(engine, answer, &answered) >= 0);
    CHECK(fluxcap_sim_settle(world.sim) >= 0);
    for (uint32_t i = 0; i < 8; i++)
        check_sent(&world, echo_ipv4, sizeof(echo_ipv4));
    fluxcap_engine_free(engine);
    fluxcap_link_free(world.link);
    fluxcap_sim_free(world.sim);
}

int main(void)
{
    frames_are_built_whole();
    specs_that_cannot_be_are_refused();
    a_packet_is_built_and_sent();
    an_answer_is_built_in_place_of_a_packet();
    return 0;
}
