/* Headers that come and go in front of packets: owned ones, and those of a callback. Needs no privilege and no interface. */
#include "check.h"

#include <assert.h>
#include <pthread.h>

static_assert(sizeof(struct fluxcap_tunnel) == 76, "part of the ABI: it may only grow");
static_assert(sizeof(struct fluxcap_vlan_tag) == 6, "part of the ABI");
static_assert(sizeof(struct fluxcap_mpls_label) == 8, "part of the ABI");
static_assert(sizeof(struct fluxcap_gre_tunnel) == 16, "part of the ABI");

/* UDP over IPv4. */
static const uint8_t frame[45] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
    0x45, 0x00, 0x00, 0x1f, 0x12, 0x34, 0x00, 0x00, 0x40, 0x11, 0x54, 0x98, 10, 0, 0, 1, 10, 0, 0, 2,
    0x04, 0xd2, 0x00, 0x35, 0x00, 0x0b, 0x0f, 0x60, 'd', 'n', 's',
};

/* What scapy puts in front of it: VXLAN over IPv4, and GRE with everything over IPv4. */
static const uint8_t vxlan[50] = {
    0x02, 0, 0, 0, 0, 0x0a, 0x02, 0, 0, 0, 0, 0x0b, 0x08, 0x00,
    0x45, 0xb9, 0x00, 0x51, 0, 0, 0x40, 0, 32, 17, 0x6d, 0xad, 192, 0, 2, 1, 198, 51, 100, 1,
    0xc3, 0x50, 0x12, 0xb5, 0x00, 0x3d, 0, 0, 0x08, 0, 0, 0, 0x12, 0x34, 0x56, 0,
};
static const uint8_t gre[50] = {
    0x02, 0, 0, 0, 0, 0x0a, 0x02, 0, 0, 0, 0, 0x0b, 0x08, 0x00,
    0x45, 0xb9, 0x00, 0x51, 0, 0, 0x40, 0, 32, 47, 0x6d, 0x8f, 192, 0, 2, 1, 198, 51, 100, 1,
    0xb0, 0x00, 0x65, 0x58, 0xf2, 0x91, 0, 0, 0, 0, 0, 42, 0, 0, 0, 7,
};

static struct fluxcap_tunnel tunnel(void)
{
    static const uint8_t source_mac[6] = {0x02, 0, 0, 0, 0, 0x0b}, destination_mac[6] = {0x02, 0, 0, 0, 0, 0x0a};
    static const uint8_t source[4] = {192, 0, 2, 1}, destination[4] = {198, 51, 100, 1};
    struct fluxcap_tunnel tunnel = ZEROS;

    tunnel.struct_size = sizeof(tunnel);
    tunnel.ip_version = 4;
    tunnel.vni = 0x123456;
    tunnel.gre_key = 42;
    tunnel.gre_sequence_number = 7;
    tunnel.source_port = 50000;
    tunnel.hops = 32;
    tunnel.dscp = 46;
    tunnel.ecn = 1;
    memcpy(tunnel.source_ip, source, 4);
    memcpy(tunnel.destination_ip, destination, 4);
    memcpy(tunnel.source_mac, source_mac, 6);
    memcpy(tunnel.destination_mac, destination_mac, 6);
    return tunnel;
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

static void finish(struct world *world)
{
    if (world->raw != NULL)
        check_and_free(world->raw);
    fluxcap_link_free(world->link);
    fluxcap_sim_free(world->sim);
}

static struct fluxcap_packet fresh(struct fluxcap_raw *raw)
{
    struct fluxcap_packet packet;

    CHECK_RESULT(fluxcap_raw_alloc(raw, &packet, 1), 1);
    memcpy(packet.data, frame, sizeof(frame));
    packet.len = sizeof(frame);
    return packet;
}

static bool is(const struct fluxcap_packet *packet, const uint8_t *front, size_t len)
{
    return packet->len == len + sizeof(frame) && (len == 0 || memcmp(packet->data, front, len) == 0) &&
           memcmp(packet->data + len, frame, sizeof(frame)) == 0;
}

static void owned_packets_grow_and_shrink(void)
{
    struct world world = create();
    struct fluxcap_packet packet = fresh(world.raw), copy = packet, none = ZEROS;
    uint8_t *start = packet.data;

    CHECK_RESULT(fluxcap_packet_adjust_head(&packet, -4), 0);
    CHECK(packet.data == start - 4 && packet.len == sizeof(frame) + 4);
    CHECK_ERROR(fluxcap_packet_adjust_head(&copy, -4), -EINVAL, "another copy");
    CHECK_RESULT(fluxcap_packet_adjust_head(&packet, 4), 0);
    CHECK_RESULT(fluxcap_packet_adjust_tail(&packet, 10), 0);
    CHECK(packet.data == start && packet.len == sizeof(frame) + 10);
    CHECK_RESULT(fluxcap_packet_adjust_tail(&packet, -10), 0);
    CHECK(is(&packet, NULL, 0));
    CHECK_ERROR(fluxcap_packet_adjust_head(&packet, -257), -EMSGSIZE, "room for 256");
    CHECK_ERROR(fluxcap_packet_adjust_head(&packet, 46), -EMSGSIZE, "room for 45");
    CHECK_ERROR(fluxcap_packet_adjust_head(&packet, INT32_MIN), -EMSGSIZE, "room for 256");
    CHECK_ERROR(fluxcap_packet_adjust_tail(&packet, 1748), -EMSGSIZE, "room for 1747");
    CHECK_ERROR(fluxcap_packet_adjust_tail(&packet, INT32_MIN), -EMSGSIZE, "room for 45");
    CHECK(packet.data == start && is(&packet, NULL, 0));

    /* What the struct says must be in the frame first. */
    packet.len = 5000;
    CHECK_ERROR(fluxcap_packet_adjust_tail(&packet, -4990), -EMSGSIZE, "leave its frame");
    packet.len = sizeof(frame);
    CHECK_ERROR(fluxcap_packet_adjust_head(NULL, 0), -EINVAL, "NULL");
    CHECK_ERROR(fluxcap_packet_adjust_head(&none, 0), -EINVAL, "use a packet");
    CHECK_RESULT(fluxcap_packet_free(&packet), 0);
    CHECK_ERROR(fluxcap_packet_adjust_head(&packet, 0), -EINVAL, "use a packet");
    finish(&world);
}

static void tags_and_labels_come_and_go(void)
{
    static const uint8_t tagged[12] = {0x88, 0xa8, 0xbf, 0xff, 0x88, 0x47, 0x00, 0x06, 0x47, 0x40, 0x45, 0x00};
    struct world world = create();
    struct fluxcap_packet packet = fresh(world.raw);
    struct fluxcap_vlan_tag tag = ZEROS, found = ZEROS;
    struct fluxcap_mpls_label label = ZEROS, last = ZEROS;

    tag.id = 7;
    CHECK_RESULT(fluxcap_packet_push_vlan(&packet, &tag), 0);
    CHECK(packet.data[12] == 0x81 && packet.data[13] == 0 && packet.data[14] == 0 && packet.data[15] == 7);
    CHECK_RESULT(fluxcap_packet_pop_vlan(&packet, NULL), 0);
    CHECK(is(&packet, NULL, 0));

    tag.id = 4095;
    tag.ether_type = 0x88a8;
    tag.priority = 5;
    tag.drop_eligible = 1;
    label.label = 100;
    label.traffic_class = 3;
    label.ttl = 64;
    CHECK_RESULT(fluxcap_packet_push_mpls(&packet, &label), 0);
    CHECK_RESULT(fluxcap_packet_push_vlan(&packet, &tag), 0);
    CHECK(memcmp(packet.data, frame, 12) == 0 && memcmp(packet.data + 12, tagged, sizeof(tagged)) == 0);
    CHECK_RESULT(fluxcap_packet_pop_mpls(&packet, 0, &last), 0);
    CHECK(last.label == 100 && last.traffic_class == 3 && last.ttl == 64 && last.bottom == 1);
    CHECK_RESULT(fluxcap_packet_pop_vlan(&packet, &found), 0);
    CHECK(memcmp(&found, &tag, sizeof(tag)) == 0);
    CHECK(is(&packet, NULL, 0));

    CHECK_ERROR(fluxcap_packet_pop_vlan(&packet, &found), -EINVAL, "no VLAN header");
    CHECK_ERROR(fluxcap_packet_pop_mpls(&packet, 0, &last), -EINVAL, "no MPLS header");
    CHECK_ERROR(fluxcap_packet_push_vlan(&packet, NULL), -EINVAL, "NULL");
    CHECK_ERROR(fluxcap_packet_push_mpls(&packet, NULL), -EINVAL, "NULL");
    tag.id = 4096;
    CHECK_ERROR(fluxcap_packet_push_vlan(&packet, &tag), -EINVAL, "VLAN number");
    label.label = 1 << 20;
    CHECK_ERROR(fluxcap_packet_push_mpls(&packet, &label), -EINVAL, "label");
    label.label = 100;
    CHECK_RESULT(fluxcap_packet_push_mpls(&packet, &label), 0);
    CHECK_ERROR(fluxcap_packet_pop_mpls(&packet, 31, &last), -EINVAL, "ether type");
    CHECK_RESULT(fluxcap_packet_pop_mpls(&packet, 0x0800, NULL), 0);
    CHECK(is(&packet, NULL, 0));

    /* To the last byte in front. */
    CHECK_RESULT(fluxcap_packet_adjust_head(&packet, -253), 0);
    memcpy(packet.data, frame, 14);
    tag.id = 1;
    CHECK_ERROR(fluxcap_packet_push_vlan(&packet, &tag), -EMSGSIZE, "4 bytes are needed in front of the packet, 3 are free");
    CHECK_RESULT(fluxcap_packet_free(&packet), 0);
    finish(&world);
}

static void packets_go_through_tunnels(void)
{
    struct world world = create();
    struct fluxcap_packet packet = fresh(world.raw);
    struct fluxcap_tunnel outer = tunnel();
    struct fluxcap_gre_tunnel said = ZEROS;
    uint32_t vni = 0;

    CHECK_RESULT(fluxcap_packet_vxlan_encap(&packet, &outer), 0);
    CHECK(is(&packet, vxlan, sizeof(vxlan)));
    CHECK_ERROR(fluxcap_packet_vxlan_decap(&packet, 8472, &vni), -EINVAL, "no VXLAN header");
    CHECK_ERROR(fluxcap_packet_gre_decap(&packet, &said), -EINVAL, "no GRE header");
    CHECK(vni == 0);
    CHECK_RESULT(fluxcap_packet_vxlan_decap(&packet, 0, &vni), 0);
    CHECK(vni == 0x123456 && is(&packet, NULL, 0));

    outer.flags = FLUXCAP_TUNNEL_FRAME | FLUXCAP_TUNNEL_KEY | FLUXCAP_TUNNEL_SEQUENCE | FLUXCAP_TUNNEL_CHECKSUM;
    CHECK_RESULT(fluxcap_packet_gre_encap(&packet, &outer), 0);
    CHECK(is(&packet, gre, sizeof(gre)));
    CHECK_RESULT(fluxcap_packet_gre_decap(&packet, &said), 0);
    CHECK(said.flags == outer.flags && said.protocol_type == 0x6558 && said.key == 42 && said.sequence_number == 7);
    CHECK(is(&packet, NULL, 0));

    outer.flags = 0;
    outer.ip_version = 6;
    CHECK_RESULT(fluxcap_packet_gre_encap(&packet, &outer), 0);
    CHECK(packet.len == sizeof(frame) - 14 + 14 + 40 + 4 && packet.data[12] == 0x86 && packet.data[20] == 47);
    CHECK_RESULT(fluxcap_packet_gre_decap(&packet, NULL), 0);
    CHECK(packet.len == sizeof(frame) && memcmp(packet.data, outer.destination_mac, 6) == 0);
    CHECK(memcmp(packet.data + 12, frame + 12, sizeof(frame) - 12) == 0);

    /* Over IPv6 there is a checksum unless it is not wanted. */
    CHECK_RESULT(fluxcap_packet_vxlan_encap(&packet, &outer), 0);
    CHECK(packet.data[60] != 0 || packet.data[61] != 0);
    CHECK_RESULT(fluxcap_packet_vxlan_decap(&packet, 0, NULL), 0);
    outer.flags = FLUXCAP_TUNNEL_NO_CHECKSUM;
    CHECK_RESULT(fluxcap_packet_vxlan_encap(&packet, &outer), 0);
    CHECK(packet.data[60] == 0 && packet.data[61] == 0);
    CHECK_RESULT(fluxcap_packet_vxlan_decap(&packet, 0, NULL), 0);
    CHECK_RESULT(fluxcap_packet_free(&packet), 0);
    finish(&world);
}

/* Neither kind of tunnel is made, and the packet stays. */
static void refused(struct fluxcap_packet *packet, const struct fluxcap_tunnel *tunnel, int error, const char *words)
{
    CHECK_ERROR(fluxcap_packet_vxlan_encap(packet, tunnel), error, words);
    CHECK_ERROR(fluxcap_packet_gre_encap(packet, tunnel), error, words);
    CHECK(is(packet, NULL, 0));
}

static void tunnels_that_cannot_be_are_refused(void)
{
    struct world world = create();
    struct fluxcap_packet packet = fresh(world.raw);
    struct fluxcap_tunnel outer = tunnel();
    struct {
        struct fluxcap_tunnel tunnel;
        uint32_t newer;
    } longer = ZEROS;

    refused(&packet, NULL, -EINVAL, "fluxcap_tunnel");
    outer.struct_size = 0;
    refused(&packet, &outer, -EINVAL, "struct_size");
    outer = tunnel();
    outer.ip_version = 5;
    refused(&packet, &outer, -EINVAL, "ip_version");
    outer = tunnel();
    outer.flags = 0x20;
    refused(&packet, &outer, -EINVAL, "flags");
    outer.flags = FLUXCAP_TUNNEL_CHECKSUM | FLUXCAP_TUNNEL_NO_CHECKSUM;
    refused(&packet, &outer, -EINVAL, "flags");
    outer = tunnel();
    outer.dscp = 64;
    refused(&packet, &outer, -EINVAL, "dscp");
    outer = tunnel();
    outer.ecn = 4;
    refused(&packet, &outer, -EINVAL, "ecn");
    outer = tunnel();
    outer.reserved = 1;
    refused(&packet, &outer, -EINVAL, "reserved");
    outer = tunnel();
    outer.vni = 1 << 24;
    CHECK_ERROR(fluxcap_packet_vxlan_encap(&packet, &outer), -EINVAL, "network identifier");
    longer.tunnel = tunnel();
    longer.tunnel.struct_size = sizeof(longer);
    longer.newer = 1;
    refused(&packet, &longer.tunnel, -E2BIG, "newer");
    longer.newer = 0;
    CHECK_RESULT(fluxcap_packet_vxlan_encap(&packet, &longer.tunnel), 0);
    CHECK_RESULT(fluxcap_packet_free(&packet), 0);
    finish(&world);
}

/* One packet after the other: through each kind of header and back, then out with what its turn wants. */
static int change(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    uint32_t *turn = (uint32_t *)user, vni = 0;
    struct fluxcap_tunnel outer = tunnel();
    struct fluxcap_gre_tunnel said = ZEROS;
    struct fluxcap_vlan_tag tag = ZEROS, found = ZEROS;
    struct fluxcap_mpls_label label = ZEROS, last = ZEROS;

    CHECK(port == 0);
    tag.id = 7;
    label.label = 100;
    label.ttl = 64;
    for (uint32_t i = 0; i < count; i++, ++*turn) {
        struct fluxcap_packet_ref *packet = &packets[i], before;
        uint8_t *start = packet->data;

        CHECK_RESULT(fluxcap_packet_ref_adjust_head(packet, -14), 0);
        CHECK(packet->data == start - 14 && packet->len == sizeof(frame) + 14);
        CHECK_RESULT(fluxcap_packet_ref_adjust_tail(packet, 3), 0);
        CHECK_RESULT(fluxcap_packet_ref_adjust_tail(packet, -3), 0);
        CHECK_RESULT(fluxcap_packet_ref_adjust_head(packet, 14), 0);
        CHECK_RESULT(fluxcap_packet_ref_push_vlan(packet, &tag), 0);
        CHECK_RESULT(fluxcap_packet_ref_push_mpls(packet, &label), 0);
        CHECK_RESULT(fluxcap_packet_ref_pop_mpls(packet, 0, &last), 0);
        CHECK_RESULT(fluxcap_packet_ref_pop_vlan(packet, &found), 0);
        CHECK(last.label == 100 && found.id == 7);
        CHECK(packet->data == start && packet->len == sizeof(frame) && memcmp(start, frame, sizeof(frame)) == 0);
        outer.flags = FLUXCAP_TUNNEL_FRAME;
        CHECK_RESULT(fluxcap_packet_ref_gre_encap(packet, &outer), 0);
        CHECK_RESULT(fluxcap_packet_ref_gre_decap(packet, &said), 0);
        CHECK(said.flags == FLUXCAP_TUNNEL_FRAME && said.protocol_type == 0x6558);
        outer.flags = 0;
        CHECK_RESULT(fluxcap_packet_ref_vxlan_encap(packet, &outer), 0);
        CHECK_RESULT(fluxcap_packet_ref_vxlan_decap(packet, 0, &vni), 0);
        CHECK(vni == 0x123456);
        CHECK(packet->data == start && packet->len == sizeof(frame) && memcmp(start, frame, sizeof(frame)) == 0);

        before = *packet;
        CHECK_ERROR(fluxcap_packet_ref_adjust_head(packet, -257), -EMSGSIZE, "room for 256");
        CHECK_ERROR(fluxcap_packet_ref_adjust_head(packet, INT32_MAX), -EMSGSIZE, "room for 45");
        CHECK_ERROR(fluxcap_packet_ref_adjust_tail(packet, 2048), -EMSGSIZE, "room for 1747");
        CHECK_ERROR(fluxcap_packet_ref_pop_vlan(packet, &found), -EINVAL, "no VLAN header");
        CHECK_ERROR(fluxcap_packet_ref_adjust_head(NULL, 0), -EINVAL, "NULL");
        CHECK_ERROR(fluxcap_packet_ref_vxlan_encap(packet, NULL), -EINVAL, "fluxcap_tunnel");
        CHECK(memcmp(&before, packet, sizeof(before)) == 0 && memcmp(start, frame, sizeof(frame)) == 0);
        packet->len = 2000;
        CHECK_ERROR(fluxcap_packet_ref_push_vlan(packet, &tag), -EMSGSIZE, "leave its frame");
        *packet = before;
        packet->data = (uint8_t *)&before;
        CHECK_ERROR(fluxcap_packet_ref_push_vlan(packet, &tag), -EMSGSIZE, "data is outside of its frame");
        packet->data = NULL;
        CHECK_ERROR(fluxcap_packet_ref_push_vlan(packet, &tag), -EMSGSIZE, "data is outside of its frame");
        *packet = before;

        switch (*turn % 4) {
        case 0:
            CHECK_RESULT(fluxcap_packet_ref_vxlan_encap(packet, &outer), 0);
            break;
        case 1:
            outer.flags = FLUXCAP_TUNNEL_FRAME | FLUXCAP_TUNNEL_KEY | FLUXCAP_TUNNEL_SEQUENCE | FLUXCAP_TUNNEL_CHECKSUM;
            CHECK_RESULT(fluxcap_packet_ref_gre_encap(packet, &outer), 0);
            break;
        case 2:
            CHECK_RESULT(fluxcap_packet_ref_adjust_head(packet, -20), 0);
            memset(packet->data, 0xAA, 20);
            break;
        default:
            continue; /* recycled */
        }
        packet->verdict = FLUXCAP_SEND;
    }
    return 0;
}

static void check_sent(const struct world *world, const uint8_t *front, size_t len)
{
    uint8_t bytes[2048];

    CHECK_RESULT(fluxcap_sim_nic_take_sent(world->link, bytes, sizeof(bytes)), (int)(len + sizeof(frame)));
    CHECK(memcmp(bytes, front, len) == 0 && memcmp(bytes + len, frame, sizeof(frame)) == 0);
}

static void packets_of_a_callback_grow_and_are_sent_whole(void)
{
    struct world world = create();
    struct fluxcap_engine_config config = ZEROS;
    struct fluxcap_engine *engine = NULL;
    struct fluxcap_packet_ref none = ZEROS;
    uint8_t filled[20], rest[64];
    uint32_t turn = 0;

    memset(filled, 0xAA, sizeof(filled));
    config.struct_size = sizeof(config);
    CHECK_RESULT(fluxcap_engine_create(&world.raw, 1, &config, &engine), 0);
    for (uint32_t round = 0; round < 40; round++) {
        for (uint32_t i = 0; i < 8; i++)
            CHECK_RESULT(fluxcap_sim_nic_inject(world.link, 0, frame, sizeof(frame)), 0);
        CHECK(fluxcap_sim_settle(world.sim) >= 0);
        while (turn < 8 * (round + 1))
            CHECK(fluxcap_engine_run_once(engine, change, &turn) >= 0);
        CHECK(fluxcap_sim_settle(world.sim) >= 0);
        for (uint32_t i = 0; i < 2; i++) {
            check_sent(&world, vxlan, sizeof(vxlan));
            check_sent(&world, gre, sizeof(gre));
            check_sent(&world, filled, sizeof(filled));
        }
        CHECK_RESULT(fluxcap_sim_nic_take_sent(world.link, rest, sizeof(rest)), 0);
    }
    CHECK_ERROR(fluxcap_packet_ref_adjust_head(&none, 0), -EINVAL, "none runs on this thread");
    check_frames(fluxcap_engine_port(engine, 0));
    fluxcap_engine_free(engine);
    finish(&world);
}

/* Two engines, of which the callback of the first runs the second. */
struct nested {
    struct fluxcap_engine *inner;
    struct fluxcap_packet_ref *outer;
};

static int grow(struct fluxcap_packet_ref *packet)
{
    return fluxcap_packet_ref_adjust_head(packet, -4) < 0 ? -1 : fluxcap_packet_ref_adjust_head(packet, 4);
}

static int look_inside(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    struct nested *nested = (struct nested *)user;

    (void)port;
    CHECK(count == 1);
    CHECK_RESULT(grow(packets), 0);
    /* Wherever that of the first lies. */
    CHECK_ERROR(fluxcap_packet_ref_adjust_head(nested->outer, -4), -EINVAL, "none of those that the running callback got");
    return 0;
}

static int look_outside(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    struct nested *nested = (struct nested *)user;

    (void)port;
    CHECK(count == 1);
    nested->outer = packets;
    CHECK_RESULT(grow(packets), 0);
    CHECK_RESULT(fluxcap_engine_run_once(nested->inner, look_inside, nested), 1);
    CHECK_RESULT(grow(packets), 0);
    return 0;
}

static void a_callback_within_a_callback_changes_its_own_packets(void)
{
    struct world worlds[2] = {create(), create()};
    struct fluxcap_engine *engines[2] = {NULL, NULL};
    struct fluxcap_engine_config config = ZEROS;
    struct nested nested = ZEROS;

    config.struct_size = sizeof(config);
    for (int i = 0; i < 2; i++) {
        CHECK_RESULT(fluxcap_engine_create(&worlds[i].raw, 1, &config, &engines[i]), 0);
        CHECK_RESULT(fluxcap_sim_nic_inject(worlds[i].link, 0, frame, sizeof(frame)), 0);
        CHECK(fluxcap_sim_settle(worlds[i].sim) >= 0);
    }
    nested.inner = engines[1];
    CHECK_RESULT(fluxcap_engine_run_once(engines[0], look_outside, &nested), 1);
    for (int i = 0; i < 2; i++) {
        check_frames(fluxcap_engine_port(engines[i], 0));
        fluxcap_engine_free(engines[i]);
        finish(&worlds[i]);
    }
}

/* One engine, and what its callbacks keep. */
struct keeper {
    struct fluxcap_packet_ref kept;
    uint32_t calls;
};

static const char none_of_those[] = "none of those that the running callback got";

static void *change_elsewhere(void *packet)
{
    CHECK_ERROR(fluxcap_packet_ref_adjust_head((struct fluxcap_packet_ref *)packet, -4), -EINVAL, "none runs on this thread");
    return NULL;
}

/* Each function that changes a packet refuses what is no entry of the array, before it looks at it. */
static void check_refused(struct fluxcap_packet_ref *packet, const char *words)
{
    struct fluxcap_tunnel outer = tunnel();
    struct fluxcap_frame_spec spec = ZEROS;
    struct fluxcap_vlan_tag tag = ZEROS;
    struct fluxcap_mpls_label label = ZEROS;

    spec.struct_size = sizeof(spec);
    CHECK_ERROR(fluxcap_packet_ref_adjust_head(packet, -4), -EINVAL, words);
    CHECK_ERROR(fluxcap_packet_ref_adjust_tail(packet, 4), -EINVAL, words);
    CHECK_ERROR(fluxcap_packet_ref_push_vlan(packet, &tag), -EINVAL, words);
    CHECK_ERROR(fluxcap_packet_ref_pop_vlan(packet, NULL), -EINVAL, words);
    CHECK_ERROR(fluxcap_packet_ref_push_mpls(packet, &label), -EINVAL, words);
    CHECK_ERROR(fluxcap_packet_ref_pop_mpls(packet, 0, NULL), -EINVAL, words);
    CHECK_ERROR(fluxcap_packet_ref_gre_encap(packet, &outer), -EINVAL, words);
    CHECK_ERROR(fluxcap_packet_ref_gre_decap(packet, NULL), -EINVAL, words);
    CHECK_ERROR(fluxcap_packet_ref_vxlan_encap(packet, &outer), -EINVAL, words);
    CHECK_ERROR(fluxcap_packet_ref_vxlan_decap(packet, 0, NULL), -EINVAL, words);
    CHECK_ERROR(fluxcap_packet_ref_build(packet, &spec, NULL, 0), -EINVAL, words);
}

static int keep(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    struct keeper *keeper = (struct keeper *)user;
    struct fluxcap_packet_ref before = packets[0], copy = packets[0];
    pthread_t thread;

    (void)port;
    CHECK(count == 2);
    if (keeper->calls++ == 0) {
        keeper->kept = packets[0];
        return 0;
    }
    /* It lies in a frame that the kernel has now, to receive into. */
    CHECK(keeper->kept.data != packets[0].data && keeper->kept.data != packets[1].data);
    check_refused(&keeper->kept, none_of_those);
    check_refused(&copy, none_of_those);
    check_refused(&packets[count], none_of_those);
    check_refused(packets - 1, none_of_those);
    check_refused((struct fluxcap_packet_ref *)((char *)packets + 8), none_of_those);
    packets[0].data = keeper->kept.data;
    check_refused(&packets[0], "packets[0] names a frame that it did not name before the callback");
    packets[0] = packets[1];
    packets[1] = before;
    check_refused(&packets[0], "packets[0] names a frame");
    check_refused(&packets[1], "packets[1] names a frame");
    packets[1] = packets[0];
    packets[0] = before;
    CHECK(pthread_create(&thread, NULL, change_elsewhere, packets) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_RESULT(grow(packets), 0);
    CHECK_RESULT(grow(packets + 1), 0);
    return 0;
}

static void only_packets_of_the_running_callback_are_changed(void)
{
    struct world world = create();
    struct fluxcap_engine_config config = ZEROS;
    struct fluxcap_engine *engine = NULL;
    struct keeper keeper = ZEROS;
    uint8_t bytes[sizeof(frame) + 64];

    config.struct_size = sizeof(config);
    CHECK_RESULT(fluxcap_engine_create(&world.raw, 1, &config, &engine), 0);
    for (int i = 0; i < 2; i++) {
        for (int packet = 0; packet < 2; packet++)
            CHECK_RESULT(fluxcap_sim_nic_inject(world.link, 0, frame, sizeof(frame)), 0);
        CHECK(fluxcap_sim_settle(world.sim) >= 0);
        CHECK_RESULT(fluxcap_engine_run_once(engine, keep, &keeper), 2);
        if (i == 0)
            memcpy(bytes, keeper.kept.data - 32, sizeof(bytes));
    }
    CHECK(keeper.calls == 2 && memcmp(bytes, keeper.kept.data - 32, sizeof(bytes)) == 0);
    check_refused(&keeper.kept, "none runs on this thread");
    check_frames(fluxcap_engine_port(engine, 0));
    fluxcap_engine_free(engine);
    finish(&world);
}

/* Two engines whose sockets share one UMEM, the callback of one within that of the other. */
static void a_callback_within_a_callback_leaves_the_packets_of_the_other_alone(void)
{
    struct world worlds[2] = {create(), create()};
    struct fluxcap_engine *engines[2] = {NULL, NULL};
    struct fluxcap_config shared = small(NULL);
    struct fluxcap_engine_config config = ZEROS;
    struct fluxcap_umem *umem = NULL;
    struct nested nested = ZEROS;

    check_and_free(worlds[1].raw);
    CHECK_RESULT(fluxcap_raw_get_umem(worlds[0].raw, &umem), 0);
    shared.link = worlds[1].link;
    shared.umem = umem;
    worlds[1].raw = open_config(&shared);
    config.struct_size = sizeof(config);
    for (int i = 0; i < 2; i++) {
        CHECK_RESULT(fluxcap_engine_create(&worlds[i].raw, 1, &config, &engines[i]), 0);
        CHECK_RESULT(fluxcap_sim_nic_inject(worlds[i].link, 0, frame, sizeof(frame)), 0);
        CHECK(fluxcap_sim_settle(worlds[i].sim) >= 0);
    }
    nested.inner = engines[1];
    CHECK_RESULT(fluxcap_engine_run_once(engines[0], look_outside, &nested), 1);
    for (int i = 0; i < 2; i++) {
        fluxcap_engine_free(engines[i]);
        finish(&worlds[i]);
    }
    fluxcap_umem_free(umem);
}

/* An owned packet that grew is sent as it is, by the rings and by the half that sends. */
static void packets_that_grew_are_sent_whole(void)
{
    struct world world = create();
    struct fluxcap_tunnel outer = tunnel();
    struct fluxcap_packet packet = fresh(world.raw);
    struct fluxcap_rx *rx = NULL;
    struct fluxcap_tx *tx = NULL;

    CHECK_RESULT(fluxcap_packet_vxlan_encap(&packet, &outer), 0);
    CHECK_RESULT(fluxcap_raw_send(world.raw, &packet, 1), 1);
    CHECK_RESULT(fluxcap_raw_flush(world.raw, 3000), 1);
    check_sent(&world, vxlan, sizeof(vxlan));

    packet = fresh(world.raw);
    CHECK_RESULT(fluxcap_raw_split(world.raw, &rx, &tx), 0);
    world.raw = NULL;
    CHECK_RESULT(fluxcap_packet_vxlan_encap(&packet, &outer), 0);
    CHECK_RESULT(fluxcap_tx_send(tx, &packet, 1), 1);
    CHECK_RESULT(fluxcap_tx_flush(tx, 3000), 1);
    check_sent(&world, vxlan, sizeof(vxlan));
    fluxcap_rx_free(rx);
    fluxcap_tx_free(tx);
    finish(&world);
}

int main(void)
{
    owned_packets_grow_and_shrink();
    tags_and_labels_come_and_go();
    packets_go_through_tunnels();
    tunnels_that_cannot_be_are_refused();
    packets_of_a_callback_grow_and_are_sent_whole();
    a_callback_within_a_callback_changes_its_own_packets();
    a_callback_within_a_callback_leaves_the_packets_of_the_other_alone();
    only_packets_of_the_running_callback_are_changed();
    packets_that_grew_are_sent_whole();
    return 0;
}
