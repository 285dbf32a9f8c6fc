/* What firewalls and load balancers do with a packet: look at its headers, change them, finish its checksum. Needs no privilege and no
 * interface. */
#include "check.h"

#include <assert.h>

static_assert(sizeof(struct fluxcap_rewrite) == 60, "part of the ABI: it may only grow");

enum { TCP = 6, UDP = 17 };

/* In a VLAN, TCP over IPv4 with options of 4 bytes each, three bytes of data, and padding. */
static const uint8_t tcp_ipv4[75] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x81, 0x00, 0xb0, 0x64, 0x08, 0x00,
    0x46, 0, 0, 51, 0, 0, 0x40, 0, 64, TCP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 1, 0,
    0xc3, 0x50, 0, 80, 1, 2, 3, 4, 5, 6, 7, 8, 0x60, 0x12, 0xfa, 0xf0, 0, 0, 0, 9, 2, 4, 5, 0xb4, 'G', 'E', 'T',
    0xee, 0xee, 0xee, 0xee, 0xee, 0xee,
};

/* UDP over IPv6 with a destination options header, and three bytes of payload. */
static const uint8_t udp_ipv6[73] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x86, 0xdd,
    0x6b, 0x91, 0x23, 0x45, 0, 19, 60, 64,
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
    UDP, 0, 1, 4, 0, 0, 0, 0,
    0xc0, 0, 0, 53, 0, 11, 0, 0, 'd', 'n', 's',
};

/* A packet, and where its parts are. */
struct packet {
    uint8_t bytes[80];
    size_t len, ip, addresses, address_len, message, message_len, checksum;
    uint8_t protocol;
};

static struct packet ipv4(void)
{
    struct packet packet = ZEROS;

    memcpy(packet.bytes, tcp_ipv4, sizeof(tcp_ipv4));
    packet.len = sizeof(tcp_ipv4);
    packet.ip = 18;
    packet.addresses = 30;
    packet.address_len = 4;
    packet.message = 42;
    packet.message_len = 27;
    packet.checksum = 58;
    packet.protocol = TCP;
    return packet;
}

static struct packet ipv6(void)
{
    struct packet packet = ZEROS;

    memcpy(packet.bytes, udp_ipv6, sizeof(udp_ipv6));
    packet.len = sizeof(udp_ipv6);
    packet.ip = 14;
    packet.addresses = 22;
    packet.address_len = 16;
    packet.message = 62;
    packet.message_len = 11;
    packet.checksum = 68;
    packet.protocol = UDP;
    return packet;
}

/* The IPv4 packet without its VLAN tag, behind LLC and SNAP, or behind two MPLS labels. */
static struct packet behind(bool snap)
{
    static const uint8_t llc[10] = {0, 59, 0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00};
    static const uint8_t labels[10] = {0x88, 0x47, 0x00, 0x06, 0x40, 0x40, 0x00, 0x06, 0x51, 0x40};
    struct packet packet = ipv4();

    memcpy(packet.bytes + 12, snap ? llc : labels, 10);
    memcpy(packet.bytes + 22, tcp_ipv4 + 18, 51);
    packet.len = 73;
    packet.ip = 22;
    packet.addresses = 34;
    packet.message = 46;
    packet.checksum = 62;
    return packet;
}

/* The one's complement sum, word by word. */
static uint32_t sum(const uint8_t *bytes, size_t len, uint32_t start)
{
    for (size_t i = 0; i < len; i++)
        start += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
    while (start >> 16 != 0)
        start = (start & 0xffff) + (start >> 16);
    return start;
}

static uint32_t partial(const struct packet *packet)
{
    return sum(packet->bytes + packet->addresses, 2 * packet->address_len, (uint32_t)packet->message_len + packet->protocol);
}

static void put(struct packet *packet, size_t at, uint32_t value)
{
    packet->bytes[at] = (uint8_t)(value >> 8);
    packet->bytes[at + 1] = (uint8_t)value;
}

/* Fills in the header's checksum, if it has one, and the message's: the full one or the partial one. */
static void finish(struct packet *packet, bool full)
{
    if (packet->address_len == 4) {
        put(packet, packet->ip + 10, 0);
        put(packet, packet->ip + 10, ~sum(packet->bytes + packet->ip, 24, 0));
    }
    put(packet, packet->checksum, 0);
    put(packet, packet->checksum,
        full ? ~sum(packet->bytes + packet->message, packet->message_len, partial(packet)) : partial(packet));
}

static void views_tell_what_is_there(void)
{
    struct fluxcap_ethernet_header ethernet;
    struct fluxcap_vlan_header vlan;
    struct fluxcap_ipv4_header four;
    struct fluxcap_ipv6_header six;
    struct fluxcap_tcp_header tcp;
    struct fluxcap_udp_header udp;
    struct packet packet = ipv4();

    finish(&packet, true);
    CHECK_RESULT(fluxcap_ethernet_header_parse(packet.bytes, packet.len, &ethernet), 14);
    CHECK(ethernet.ether_type == 0x8100);
    CHECK_RESULT(fluxcap_vlan_header_parse(packet.bytes + 14, packet.len - 14, &vlan), 4);
    CHECK(vlan.id == 100 && vlan.priority == 5 && vlan.drop_eligible == 1 && vlan.ether_type == 0x0800);
    CHECK_RESULT(fluxcap_ipv4_header_parse(packet.bytes + 18, packet.len - 18, &four), 24);
    CHECK(four.protocol == TCP && four.checksum_ok == 1);
    CHECK_RESULT(fluxcap_tcp_header_parse(packet.bytes + 42, packet.message_len, &tcp), 24);
    CHECK(tcp.source_port == 50000 && tcp.destination_port == 80 && tcp.header_len == 24);
    CHECK(tcp.sequence_number == 0x01020304 && tcp.acknowledgment_number == 0x05060708);
    CHECK(tcp.flags == (FLUXCAP_TCP_SYN | FLUXCAP_TCP_ACK) && tcp.window == 0xfaf0 && tcp.urgent_pointer == 9);
    CHECK(tcp.checksum == (packet.bytes[58] << 8 | packet.bytes[59]));

    packet = ipv6();
    CHECK_RESULT(fluxcap_ipv6_header_parse(packet.bytes + 14, packet.len - 14, &six), 48);
    CHECK(six.source[15] == 1 && six.destination[15] == 2 && six.flow_label == 0x12345 && six.payload_length == 19);
    CHECK(six.dscp == 46 && six.ecn == 1 && six.hop_limit == 64 && six.next_header == 60 && six.protocol == UDP);
    CHECK(six.identification == 0 && six.fragment_offset == 0 && six.more_fragments == 0 && six.source_routed == 0);
    CHECK_RESULT(fluxcap_udp_header_parse(packet.bytes + 62, 11, &udp), 8);
    CHECK(udp.source_port == 49152 && udp.destination_port == 53 && udp.length == 11 && udp.checksum == 0);

    /* The options as a fragment header, and as a routing header. */
    packet.bytes[20] = 44;
    packet.bytes[64 - 8] = 0x05;
    packet.bytes[65 - 8] = 0xa9;
    packet.bytes[69 - 8] = 7;
    CHECK_RESULT(fluxcap_ipv6_header_parse(packet.bytes + 14, packet.len - 14, &six), 48);
    CHECK(six.next_header == 44 && six.fragment_offset == 0x5a8 && six.more_fragments == 1 && six.identification == 7);
    packet.bytes[20] = 43;
    CHECK_RESULT(fluxcap_ipv6_header_parse(packet.bytes + 14, packet.len - 14, &six), 48);
    CHECK(six.source_routed == 1 && six.fragment_offset == 0);
}

/* In memory of exactly the packet's size, so that tools see a byte read too much. */
static void views_on_truncated_packets(void)
{
    struct fluxcap_vlan_header vlan;
    struct fluxcap_ipv6_header six;
    struct fluxcap_tcp_header tcp;
    struct fluxcap_udp_header udp;

    for (size_t len = 0; len <= 59; len++) {
        uint8_t *bytes = (uint8_t *)malloc(len == 0 ? 1 : len);

        CHECK(bytes != NULL);
        memcpy(bytes, tcp_ipv4 + 14, len < 4 ? len : 4);
        CHECK_RESULT(fluxcap_vlan_header_parse(bytes, len, &vlan), len < 4 ? -EINVAL : 4);
        memcpy(bytes, udp_ipv6 + 14, len);
        CHECK_RESULT(fluxcap_ipv6_header_parse(bytes, len, &six), len < 59 ? -EINVAL : 48);
        memcpy(bytes, tcp_ipv4 + 42, len < 27 ? len : 27);
        CHECK_RESULT(fluxcap_tcp_header_parse(bytes, len, &tcp), len < 24 ? -EINVAL : 24);
        memcpy(bytes, udp_ipv6 + 62, len < 11 ? len : 11);
        CHECK_RESULT(fluxcap_udp_header_parse(bytes, len, &udp), len < 11 ? -EINVAL : 8);
        free(bytes);
    }
    CHECK_ERROR(fluxcap_vlan_header_parse(NULL, 4, &vlan), -EINVAL, "data");
    CHECK_ERROR(fluxcap_vlan_header_parse(tcp_ipv4 + 14, 4, NULL), -EINVAL, "header");
    CHECK_ERROR(fluxcap_ipv6_header_parse(NULL, 40, &six), -EINVAL, "data");
    CHECK_ERROR(fluxcap_ipv6_header_parse(udp_ipv6 + 14, 59, NULL), -EINVAL, "header");
    CHECK_ERROR(fluxcap_tcp_header_parse(NULL, 20, &tcp), -EINVAL, "data");
    CHECK_ERROR(fluxcap_tcp_header_parse(tcp_ipv4 + 42, 27, NULL), -EINVAL, "header");
    CHECK_ERROR(fluxcap_udp_header_parse(NULL, 8, &udp), -EINVAL, "data");
    CHECK_ERROR(fluxcap_udp_header_parse(udp_ipv6 + 62, 11, NULL), -EINVAL, "header");
    CHECK_ERROR(fluxcap_tcp_header_parse(udp_ipv6 + 33, 20, &tcp), -EINVAL, "data offset");
}

static void partial_checksums_are_finished(void)
{
    for (int i = 0; i < 2; i++) {
        struct packet packet = i == 0 ? ipv4() : ipv6(), full = packet;

        finish(&packet, false);
        finish(&full, true);
        CHECK(memcmp(packet.bytes, full.bytes, packet.len) != 0);
        CHECK_RESULT(fluxcap_checksum_complete(packet.bytes, packet.len), 1);
        CHECK(memcmp(packet.bytes, full.bytes, packet.len) == 0);
        CHECK_RESULT(fluxcap_checksum_complete(packet.bytes, packet.len), 0);
        CHECK(memcmp(packet.bytes, full.bytes, packet.len) == 0);
        /* What is cut short is left alone. The padding may be cut. */
        finish(&packet, false);
        full = packet;
        for (size_t len = 0; len < packet.message + packet.message_len; len++) {
            uint8_t *bytes = (uint8_t *)malloc(len == 0 ? 1 : len);

            CHECK(bytes != NULL);
            memcpy(bytes, packet.bytes, len);
            CHECK_RESULT(fluxcap_checksum_complete(bytes, len), 0);
            CHECK(memcmp(bytes, packet.bytes, len) == 0);
            free(bytes);
        }
    }
    CHECK_ERROR(fluxcap_checksum_complete(NULL, 60), -EINVAL, "NULL");
    CHECK_RESULT(fluxcap_checksum_complete(NULL, 0), 0);
}

static void checksums_of_a_packet_are_written_and_checked(void)
{
    for (int i = 0; i < 2; i++) {
        struct packet packet = i == 0 ? ipv4() : ipv6(), full = packet;

        finish(&full, true);
        CHECK_RESULT(fluxcap_checksum_verify(packet.bytes, packet.len), FLUXCAP_CHECKSUM_WRONG);
        CHECK_RESULT(fluxcap_checksum_fill(packet.bytes, packet.len), 1);
        CHECK(memcmp(packet.bytes, full.bytes, packet.len) == 0);
        CHECK_RESULT(fluxcap_checksum_verify(packet.bytes, packet.len), FLUXCAP_CHECKSUM_RIGHT);
        packet.bytes[packet.message] ^= 1;
        CHECK_RESULT(fluxcap_checksum_verify(packet.bytes, packet.len), FLUXCAP_CHECKSUM_WRONG);
        packet.bytes[packet.message] ^= 1;
        finish(&packet, false);
        CHECK_RESULT(fluxcap_checksum_verify(packet.bytes, packet.len), FLUXCAP_CHECKSUM_PARTIAL);
        CHECK_ERROR(fluxcap_checksum_verify(packet.bytes, packet.message + 1), -EINVAL, "needs");
        CHECK_ERROR(fluxcap_checksum_fill(packet.bytes, packet.message + 1), -EINVAL, "needs");
    }
    const uint8_t arp[14] = { 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0x08, 0x06 };
    CHECK_RESULT(fluxcap_checksum_verify(arp, sizeof(arp)), FLUXCAP_CHECKSUM_UNKNOWN);
    CHECK_ERROR(fluxcap_checksum_verify(NULL, 60), -EINVAL, "NULL");
    CHECK_ERROR(fluxcap_checksum_fill(NULL, 60), -EINVAL, "NULL");
}

/* UDP from 2001:db8::1, with the home address 2001:db8::55 (RFC 6275, section 6.3). */
static const uint8_t mobile[] = {
    0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x86, 0xdd, /* Ethernet */
    0x60, 0, 0, 0, 0, 0x21, 0x3c, 0x40, /* IPv6 */
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, /**/
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, /**/
    0x11, 2, 1, 2, 0, 0, 0xc9, 16, /* destination options */
    0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x55, /**/
    0xc0, 0x00, 0x00, 0x35, 0x00, 0x09, 0x7b, 0xdd, 0x68, /* UDP */
};

static void a_checksum_covers_the_home_address_of_a_mobile_node(void)
{
    uint8_t bytes[sizeof(mobile)];
    struct fluxcap_headers headers = ZEROS;
    struct fluxcap_ipv6_header header;
    struct fluxcap_rewrite rewrite = ZEROS;

    memcpy(bytes, mobile, sizeof(mobile));
    CHECK_RESULT(fluxcap_checksum_verify(bytes, sizeof(bytes)), FLUXCAP_CHECKSUM_RIGHT);
    bytes[84] = bytes[85] = 0;
    CHECK_RESULT(fluxcap_checksum_fill(bytes, sizeof(bytes)), 1);
    CHECK(memcmp(bytes, mobile, sizeof(mobile)) == 0);
    rewrite.struct_size = sizeof(rewrite);
    rewrite.change = FLUXCAP_REWRITE_SOURCE_IP;
    rewrite.ip_version = 6;
    memset(rewrite.source_ip, 0x20, 16);
    CHECK_RESULT(fluxcap_rewrite_apply(&rewrite, bytes, sizeof(bytes)), 0);
    CHECK(memcmp(bytes + 22, rewrite.source_ip, 16) == 0 && bytes[84] == 0x7b && bytes[85] == 0xdd);
    CHECK_RESULT(fluxcap_checksum_verify(bytes, sizeof(bytes)), FLUXCAP_CHECKSUM_RIGHT);
    headers.struct_size = sizeof(headers);
    CHECK_RESULT(fluxcap_parse(bytes, sizeof(bytes), 0, NULL, &headers), 0);
    CHECK((headers.flags & FLUXCAP_HEADERS_HOME_ADDRESS) != 0);
    CHECK_RESULT(fluxcap_ipv6_header_parse(bytes + 14, sizeof(bytes) - 14, &header), 64);
    CHECK(header.home_address == 1 && header.source_routed == 0 && header.protocol == 17);
}

static void a_checksum_follows_a_change(void)
{
    uint8_t bytes[40];

    memcpy(bytes, udp_ipv6 + 14, sizeof(bytes));
    uint16_t before = fluxcap_checksum(bytes, sizeof(bytes));
    uint8_t address[16];
    memcpy(address, bytes + 24, sizeof(address));
    for (size_t i = 0; i < sizeof(address); i++)
        bytes[24 + i] = (uint8_t)(0xf3 * i);
    uint16_t after = fluxcap_checksum_update(before, address, bytes + 24, sizeof(address));
    CHECK(after == fluxcap_checksum(bytes, sizeof(bytes)));
    /* The example of RFC 1624. */
    const uint8_t old_word[2] = { 0x55, 0x55 }, new_word[2] = { 0x32, 0x85 };
    CHECK(fluxcap_checksum_update(0xdd2f, old_word, new_word, 2) == 0);
    CHECK(fluxcap_checksum_update(0xdd2f, NULL, NULL, 0) == 0xdd2f);
}

static void a_hop_is_taken_until_none_is_left(void)
{
    for (int i = 0; i < 2; i++) {
        struct packet packet = i == 0 ? ipv4() : ipv6();
        size_t hops = packet.ip + (i == 0 ? 8 : 7);

        finish(&packet, true);
        for (uint8_t left = 63; left > 0; left--) {
            CHECK_RESULT(fluxcap_ttl_decrement(packet.bytes, packet.len), 1);
            CHECK(packet.bytes[hops] == left);
            CHECK_RESULT(fluxcap_checksum_verify(packet.bytes, packet.len), FLUXCAP_CHECKSUM_RIGHT);
        }
        CHECK_RESULT(fluxcap_ttl_decrement(packet.bytes, packet.len), 0);
        CHECK(packet.bytes[hops] == 1);
        packet.bytes[packet.ip] = 0x10;
        CHECK_ERROR(fluxcap_ttl_decrement(packet.bytes, packet.len), -EINVAL, "version");
    }
    uint8_t arp[14] = { 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0x08, 0x06 };
    CHECK_ERROR(fluxcap_ttl_decrement(arp, sizeof(arp)), -EINVAL, "no IP");
    CHECK_ERROR(fluxcap_ttl_decrement(NULL, 60), -EINVAL, "NULL");
}

static void the_segment_size_is_clamped(void)
{
    struct packet packet = ipv4(), other = ipv6();
    uint8_t *size = packet.bytes + 64;

    finish(&packet, true);
    CHECK_RESULT(fluxcap_mss_clamp(packet.bytes, packet.len, 1460), 0);
    CHECK_RESULT(fluxcap_mss_clamp(packet.bytes, packet.len, 1360), 1);
    CHECK(size[0] == 0x05 && size[1] == 0x50);
    CHECK_RESULT(fluxcap_checksum_verify(packet.bytes, packet.len), FLUXCAP_CHECKSUM_RIGHT);
    size[-1] = 5;
    CHECK_ERROR(fluxcap_mss_clamp(packet.bytes, packet.len, 0), -EINVAL, "option length");
    CHECK(size[0] == 0x05 && size[1] == 0x50);
    CHECK_RESULT(fluxcap_mss_clamp(other.bytes, other.len, 0), 0);
    CHECK_ERROR(fluxcap_mss_clamp(NULL, 60, 0), -EINVAL, "NULL");
}

static struct fluxcap_rewrite everything(uint32_t ip_version)
{
    struct fluxcap_rewrite rewrite = ZEROS;

    rewrite.struct_size = sizeof(rewrite);
    rewrite.change = FLUXCAP_REWRITE_SOURCE_MAC | FLUXCAP_REWRITE_DESTINATION_MAC | FLUXCAP_REWRITE_SOURCE_IP |
                     FLUXCAP_REWRITE_DESTINATION_IP | FLUXCAP_REWRITE_SOURCE_PORT | FLUXCAP_REWRITE_DESTINATION_PORT;
    rewrite.ip_version = ip_version;
    rewrite.source_port = 0x1234;
    rewrite.destination_port = 0x5678;
    for (uint8_t i = 0; i < 16; i++) {
        rewrite.source_ip[i] = (uint8_t)(0x90 + i);
        rewrite.destination_ip[i] = (uint8_t)(0xa0 + i);
    }
    for (uint8_t i = 0; i < 6; i++) {
        rewrite.source_mac[i] = (uint8_t)(0x10 + i);
        rewrite.destination_mac[i] = (uint8_t)(0x20 + i);
    }
    return rewrite;
}

static void each_change_is_made_with_its_checksums(void)
{
    for (int i = 0; i < 2; i++) {
        for (uint32_t change = 0; change < 0x40; change++) {
            struct packet packet = i == 0 ? ipv4() : ipv6(), wanted = packet;
            struct fluxcap_rewrite rewrite = everything(i == 0 ? 4 : 6);

            rewrite.change = change;
            if (change & FLUXCAP_REWRITE_SOURCE_MAC)
                memcpy(wanted.bytes + 6, rewrite.source_mac, 6);
            if (change & FLUXCAP_REWRITE_DESTINATION_MAC)
                memcpy(wanted.bytes, rewrite.destination_mac, 6);
            if (change & FLUXCAP_REWRITE_SOURCE_IP)
                memcpy(wanted.bytes + wanted.addresses, rewrite.source_ip, wanted.address_len);
            if (change & FLUXCAP_REWRITE_DESTINATION_IP)
                memcpy(wanted.bytes + wanted.addresses + wanted.address_len, rewrite.destination_ip, wanted.address_len);
            if (change & FLUXCAP_REWRITE_SOURCE_PORT)
                put(&wanted, wanted.message, rewrite.source_port);
            if (change & FLUXCAP_REWRITE_DESTINATION_PORT)
                put(&wanted, wanted.message + 2, rewrite.destination_port);
            for (int full = 0; full < 2; full++) {
                finish(&packet, full);
                finish(&wanted, full);
                CHECK_RESULT(fluxcap_rewrite_apply(&rewrite, packet.bytes, packet.len), 0);
                CHECK(memcmp(packet.bytes, wanted.bytes, packet.len) == 0);
            }
            /* UDP without a checksum has none afterwards. */
            if (i == 1) {
                put(&packet, packet.checksum, 0);
                put(&wanted, wanted.checksum, 0);
                CHECK_RESULT(fluxcap_rewrite_apply(&rewrite, packet.bytes, packet.len), 0);
                CHECK(memcmp(packet.bytes, wanted.bytes, packet.len) == 0);
            }
        }
    }
}

static void packets_behind_snap_and_labels_are_changed_with_their_checksums(void)
{
    for (int snap = 0; snap <= 1; snap++) {
        struct packet packet = behind(snap), wanted = packet;
        struct fluxcap_rewrite rewrite = everything(4);

        memcpy(wanted.bytes, rewrite.destination_mac, 6);
        memcpy(wanted.bytes + 6, rewrite.source_mac, 6);
        memcpy(wanted.bytes + wanted.addresses, rewrite.source_ip, 4);
        memcpy(wanted.bytes + wanted.addresses + 4, rewrite.destination_ip, 4);
        put(&wanted, wanted.message, rewrite.source_port);
        put(&wanted, wanted.message + 2, rewrite.destination_port);
        finish(&packet, false);
        finish(&wanted, false);
        CHECK_RESULT(fluxcap_checksum_verify(packet.bytes, packet.len), FLUXCAP_CHECKSUM_PARTIAL);
        CHECK_RESULT(fluxcap_rewrite_apply(&rewrite, packet.bytes, packet.len), 0);
        CHECK(memcmp(packet.bytes, wanted.bytes, packet.len) == 0);
        finish(&wanted, true);
        CHECK_RESULT(fluxcap_checksum_complete(packet.bytes, packet.len), 1);
        CHECK(memcmp(packet.bytes, wanted.bytes, packet.len) == 0);
        CHECK_RESULT(fluxcap_checksum_verify(packet.bytes, packet.len), FLUXCAP_CHECKSUM_RIGHT);
        packet.bytes[packet.checksum] ^= 1;
        CHECK_RESULT(fluxcap_checksum_verify(packet.bytes, packet.len), FLUXCAP_CHECKSUM_WRONG);
        CHECK_RESULT(fluxcap_checksum_fill(packet.bytes, packet.len), 1);
        CHECK(memcmp(packet.bytes, wanted.bytes, packet.len) == 0);
        CHECK_RESULT(fluxcap_mss_clamp(packet.bytes, packet.len, 1360), 1);
        CHECK_RESULT(fluxcap_checksum_verify(packet.bytes, packet.len), FLUXCAP_CHECKSUM_RIGHT);
        /* Behind labels the hop is that of the label. */
        if (snap)
            CHECK_RESULT(fluxcap_ttl_decrement(packet.bytes, packet.len), 1);
        else
            CHECK_ERROR(fluxcap_ttl_decrement(packet.bytes, packet.len), -EINVAL, "no IP");
        CHECK_RESULT(fluxcap_checksum_verify(packet.bytes, packet.len), FLUXCAP_CHECKSUM_RIGHT);
    }
}

static void refused(const struct fluxcap_rewrite *rewrite, const struct packet *packet, int error, const char *words)
{
    struct packet copy = *packet;

    CHECK_ERROR(fluxcap_rewrite_apply(rewrite, copy.bytes, copy.len), error, words);
    CHECK(memcmp(copy.bytes, packet->bytes, sizeof(copy.bytes)) == 0);
}

static void what_cannot_change_is_refused_and_stays(void)
{
    struct packet packet = ipv4();
    struct fluxcap_rewrite rewrite = everything(4);
    struct {
        struct fluxcap_rewrite rewrite;
        uint32_t newer;
    } longer = ZEROS;

    finish(&packet, true);
    refused(NULL, &packet, -EINVAL, "fluxcap_rewrite");
    CHECK_ERROR(fluxcap_rewrite_apply(&rewrite, NULL, 60), -EINVAL, "NULL");
    CHECK_ERROR(fluxcap_rewrite_apply(&rewrite, NULL, 0), -EINVAL, "Ethernet");
    rewrite = everything(6);
    refused(&rewrite, &packet, -EINVAL, "IPv4");
    rewrite = everything(0);
    refused(&rewrite, &packet, -EINVAL, "ip_version");
    rewrite = everything(4);
    rewrite.change |= 0x40;
    refused(&rewrite, &packet, -EINVAL, "change");
    rewrite = everything(4);
    rewrite.struct_size = 0;
    refused(&rewrite, &packet, -EINVAL, "struct_size");
    longer.rewrite = everything(4);
    longer.rewrite.struct_size = sizeof(longer);
    longer.newer = 1;
    refused(&longer.rewrite, &packet, -E2BIG, "newer");

    rewrite = everything(4);
    packet.bytes[27] = 1;
    refused(&rewrite, &packet, -EINVAL, "ICMP has no ports");
    packet.bytes[27] = TCP;
    packet.bytes[25] = 1;
    refused(&rewrite, &packet, -EINVAL, "fragment");
    packet.bytes[25] = 0;
    packet.bytes[17] = 0x06;
    refused(&rewrite, &packet, -EINVAL, "no IP");
    packet.bytes[17] = 0;
    for (packet.len = 0; packet.len < packet.message + packet.message_len; packet.len++)
        refused(&rewrite, &packet, -EINVAL, "bytes, only");
    CHECK_RESULT(fluxcap_rewrite_apply(&rewrite, packet.bytes, packet.len), 0);
}

int main(void)
{
    views_tell_what_is_there();
    views_on_truncated_packets();
    partial_checksums_are_finished();
    checksums_of_a_packet_are_written_and_checked();
    a_checksum_covers_the_home_address_of_a_mobile_node();
    a_checksum_follows_a_change();
    a_hop_is_taken_until_none_is_left();
    the_segment_size_is_clamped();
    each_change_is_made_with_its_checksums();
    packets_behind_snap_and_labels_are_changed_with_their_checksums();
    what_cannot_change_is_refused_and_stays();
    return 0;
}
