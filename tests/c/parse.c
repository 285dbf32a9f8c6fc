/* All headers of a packet in one struct. Needs no privilege and no interface. */
#include "check.h"

#include <assert.h>
#include <stddef.h>

static_assert(sizeof(struct fluxcap_headers) == 88, "part of the ABI: it may only grow");
static_assert(offsetof(struct fluxcap_headers, source_ip) == 56, "without padding");

enum { TCP = 6, UDP = 17 };

/* In VLAN 100 of VLAN 9, TCP over IPv4 with options of 4 bytes each, three bytes of data, and padding. */
static const uint8_t tcp_ipv4[79] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x88, 0xa8, 0x00, 0x09, 0x81, 0x00, 0xb0, 0x64, 0x08, 0x00,
    0x46, 0xb9, 0, 51, 0, 0, 0x40, 0, 64, TCP, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 1, 1, 0,
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

/* An ICMP echo request over IPv4 in GRE with a key over IPv4. */
static const uint8_t icmp_in_gre[70] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
    0x45, 0, 0, 56, 0, 0, 0, 0, 64, 47, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
    0x20, 0, 0x08, 0x00, 0, 0, 0, 7,
    0x45, 0, 0, 28, 0, 0, 0, 0, 3, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    8, 0, 0xf7, 0xff, 0, 0, 0, 0,
};

static struct fluxcap_headers sized(void)
{
    struct fluxcap_headers headers = ZEROS;

    headers.struct_size = sizeof(headers);
    return headers;
}

static struct fluxcap_headers parse(const uint8_t *bytes, size_t len, uint32_t flags)
{
    struct fluxcap_headers headers = sized();

    CHECK_RESULT(fluxcap_parse(bytes, len, flags, NULL, &headers), 0);
    CHECK(headers.struct_size == sizeof(headers));
    return headers;
}

static void a_packet_shows_its_offsets_and_fields(void)
{
    struct fluxcap_headers tcp = parse(tcp_ipv4, sizeof(tcp_ipv4), 0);
    struct fluxcap_headers udp = parse(udp_ipv6, sizeof(udp_ipv6), 0);

    CHECK(tcp.flags == (FLUXCAP_HEADERS_ETHERNET | FLUXCAP_HEADERS_L4 | FLUXCAP_HEADERS_PORTS | FLUXCAP_HEADERS_TCP));
    CHECK(tcp.start == 0 && tcp.l3_offset == 22 && tcp.l4_offset == 46);
    CHECK(tcp.payload_offset == 70 && tcp.payload_end == 73 && tcp.end == 73);
    CHECK(tcp.ether_type == 0x0800 && tcp.vlan_tags == 2 && tcp.outer_tag == 9 && tcp.inner_tag == 0xb064);
    CHECK(tcp.ip_version == 4 && tcp.protocol == TCP && tcp.dscp == 46 && tcp.ecn == 1 && tcp.ttl == 64);
    CHECK(tcp.source_port == 50000 && tcp.destination_port == 80);
    CHECK(tcp.tcp_flags == (FLUXCAP_TCP_SYN | FLUXCAP_TCP_ACK));
    CHECK(memcmp(tcp.source_ip, tcp_ipv4 + 34, 4) == 0 && memcmp(tcp.destination_ip, tcp_ipv4 + 38, 4) == 0);
    CHECK(tcp.source_ip[4] == 0 && tcp.mpls_labels == 0 && tcp.tunnel == 0);

    CHECK(udp.flags == (FLUXCAP_HEADERS_ETHERNET | FLUXCAP_HEADERS_L4 | FLUXCAP_HEADERS_PORTS));
    CHECK(udp.l3_offset == 14 && udp.l4_offset == 62 && udp.payload_offset == 70 && udp.payload_end == 73);
    CHECK(udp.ip_version == 6 && udp.protocol == UDP && udp.vlan_tags == 0 && udp.outer_tag == 0);
    CHECK(udp.source_port == 49152 && udp.destination_port == 53 && udp.tcp_flags == 0);
    CHECK(memcmp(udp.source_ip, udp_ipv6 + 22, 16) == 0 && memcmp(udp.destination_ip, udp_ipv6 + 38, 16) == 0);
}

static void a_tunnel_is_looked_into_when_asked_for(void)
{
    struct fluxcap_headers outer = parse(icmp_in_gre, sizeof(icmp_in_gre), 0);
    struct fluxcap_headers inner = parse(icmp_in_gre, sizeof(icmp_in_gre), FLUXCAP_PARSE_TUNNELS);

    CHECK(outer.protocol == 47 && outer.payload_offset == 34 && outer.tunnel == 0 && outer.ttl == 64);
    CHECK(inner.protocol == 1 && inner.start == 42 && inner.l3_offset == 42 && inner.l4_offset == 62);
    CHECK(inner.tunnel == FLUXCAP_IN_GRE && inner.ttl == 3 && inner.ether_type == 0x0800);
    CHECK(inner.flags == (FLUXCAP_HEADERS_L4 | FLUXCAP_HEADERS_ICMP) && inner.icmp_type == 8 && inner.icmp_code == 0);
    CHECK(memcmp(inner.destination_ip, icmp_in_gre + 58, 4) == 0);
}

static void labels_and_snap_are_told(void)
{
    static const uint8_t labels[10] = {0x88, 0x47, 0x00, 0x06, 0x40, 0x40, 0x00, 0x06, 0x51, 0x40};
    static const uint8_t llc[10] = {0, 59, 0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00};
    struct fluxcap_headers headers;
    uint8_t frame[73];
    char text[128];

    memcpy(frame, tcp_ipv4, 12);
    memcpy(frame + 12, labels, 10);
    memcpy(frame + 22, tcp_ipv4 + 22, 51);
    headers = parse(frame, sizeof(frame), 0);
    CHECK(headers.ether_type == 0x8847 && headers.mpls_labels == 2 && headers.vlan_tags == 0);
    CHECK(headers.ip_version == 4 && headers.l3_offset == 22 && headers.l4_offset == 46 && headers.end == 73);
    CHECK(headers.source_port == 50000 && headers.destination_port == 80);
    CHECK(fluxcap_format(frame, sizeof(frame), 0, text, sizeof(text)) > 0 && strstr(text, "label 100") != NULL);
    /* Without the bit that ends the stack: what is behind is not known. */
    frame[20] &= 0xfe;
    headers = parse(frame, sizeof(frame), FLUXCAP_PARSE_PARTIAL);
    CHECK(headers.mpls_labels > 2 && headers.ip_version == 0);

    /* A length in place of the EtherType. */
    memcpy(frame + 12, llc, 10);
    headers = parse(frame, sizeof(frame), 0);
    CHECK(headers.ether_type == 0x0800 && headers.mpls_labels == 0 && headers.end == 73);
    CHECK(headers.ip_version == 4 && headers.l3_offset == 22 && headers.l4_offset == 46 && headers.protocol == TCP);
    CHECK(headers.source_port == 50000 && headers.destination_port == 80 && headers.payload_offset == 70);
    CHECK(fluxcap_format(frame, sizeof(frame), 0, text, sizeof(text)) > 0 && strstr(text, "50000") != NULL);
    /* The length counts. */
    CHECK_ERROR(fluxcap_parse(frame, sizeof(frame) - 1, 0, NULL, &headers), -EINVAL, "IEEE 802.3 length");
    /* LLC without SNAP. */
    frame[14] = frame[15] = 0x42;
    headers = parse(frame, sizeof(frame), 0);
    CHECK(headers.ether_type == 59 && headers.ip_version == 0 && headers.payload_offset == 14 && headers.end == 73);
}

static const uint8_t zeros[16] = ZEROS;

/* In memory of exactly the packet's size, so that tools see a byte read too much. */
static void of_a_packet_that_is_cut_short_what_is_there_is_told_when_asked_for(void)
{
    for (size_t len = 0; len < 73; len++) {
        struct fluxcap_headers headers = sized(), before = headers;
        uint8_t *bytes = (uint8_t *)malloc(len == 0 ? 1 : len);

        CHECK(bytes != NULL);
        memcpy(bytes, tcp_ipv4, len);
        CHECK_ERROR(fluxcap_parse(bytes, len, 0, NULL, &headers), -EINVAL, "bytes, only");
        CHECK(memcmp(&headers, &before, sizeof(headers)) == 0);
        headers = parse(bytes, len, FLUXCAP_PARSE_PARTIAL);
        CHECK((headers.flags & FLUXCAP_HEADERS_PARTIAL) != 0 && headers.end == len);
        CHECK(headers.vlan_tags == (len >= 20 ? 2 : len >= 16 ? 1 : 0));
        CHECK(headers.ip_version == (len >= 32 ? 4 : 0) && headers.protocol == (len >= 32 ? TCP : 0));
        CHECK(memcmp(headers.source_ip, len >= 38 ? tcp_ipv4 + 34 : zeros, 4) == 0);
        CHECK(memcmp(headers.destination_ip, len >= 42 ? tcp_ipv4 + 38 : zeros, 4) == 0);
        CHECK(headers.source_port == (len >= 50 ? 50000 : 0) && headers.destination_port == (len >= 50 ? 80 : 0));
        CHECK(headers.tcp_flags == (len >= 60 ? FLUXCAP_TCP_SYN | FLUXCAP_TCP_ACK : 0));
        if (len <= 70) {
            memcpy(bytes, icmp_in_gre, len);
            headers = sized();
            CHECK_RESULT(fluxcap_parse(bytes, len, FLUXCAP_PARSE_TUNNELS, NULL, &headers), len < 70 ? -EINVAL : 0);
            headers = parse(bytes, len, FLUXCAP_PARSE_TUNNELS | FLUXCAP_PARSE_PARTIAL);
            CHECK(((headers.flags & FLUXCAP_HEADERS_PARTIAL) != 0) == (len < 70));
            CHECK(headers.tunnel == (len >= 42 ? FLUXCAP_IN_GRE : 0));
        }
        free(bytes);
    }
    CHECK_RESULT(fluxcap_parse(udp_ipv6, 73, 0, NULL, NULL), -EINVAL);
}

static void other_tags_and_ports_are_known_when_told(void)
{
    static const uint8_t frame[] = {
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x91, 0x00, 0, 9, 0x08, 0x00, /* Ethernet, an old tag */
        0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, /**/
        0xc0, 0, 0x21, 0x18, 0, 30, 0, 0, 8, 0, 0, 0, 0, 0, 7, 0, /* UDP to 8472, VXLAN */
        2, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 3, 0x08, 0x06, /* Ethernet */
    };
    struct fluxcap_parser parser = ZEROS;
    struct fluxcap_headers headers = sized();
    struct fluxcap_packet_ref ref = ZEROS;
    struct fluxcap_packet packet = ZEROS;

    ref.data = packet.data = (uint8_t *)(uintptr_t)frame;
    ref.len = packet.len = sizeof(frame);
    parser.struct_size = sizeof(parser);
    parser.vxlan_ports[0] = 8472;
    CHECK_RESULT(fluxcap_parse(frame, sizeof(frame), FLUXCAP_PARSE_TUNNELS, &parser, &headers), 0);
    CHECK(headers.ether_type == 0x9100 && headers.vlan_tags == 0 && headers.ip_version == 0);
    parser.vlan_types[0] = 0x9200;
    parser.vlan_types[1] = 0x9100;
    for (int way = 0; way < 3; way++) {
        headers = sized();
        if (way == 0)
            CHECK_RESULT(fluxcap_parse(frame, sizeof(frame), FLUXCAP_PARSE_TUNNELS, &parser, &headers), 0);
        else if (way == 1)
            CHECK_RESULT(fluxcap_packets_parse(&packet, 1, FLUXCAP_PARSE_TUNNELS, &parser, &headers), 1);
        else
            CHECK_RESULT(fluxcap_packet_refs_parse(&ref, 1, FLUXCAP_PARSE_TUNNELS, &parser, &headers), 1);
        CHECK(headers.tunnel == FLUXCAP_IN_VXLAN && headers.start == 54 && headers.ether_type == 0x0806);
    }
    CHECK_RESULT(fluxcap_parse(frame, sizeof(frame), 0, &parser, &headers), 0);
    CHECK(headers.outer_tag == 9 && headers.destination_port == 8472);
    CHECK_RESULT(fluxcap_parse(frame, sizeof(frame), 0, NULL, &headers), 0);
    CHECK(headers.ether_type == 0x9100);
    parser.reserved = 1;
    CHECK_ERROR(fluxcap_parse(frame, sizeof(frame), 0, &parser, &headers), -EINVAL, "reserved");
    parser.struct_size = 31;
    CHECK_ERROR(fluxcap_packets_parse(&packet, 1, 0, &parser, &headers), -EINVAL, "struct_size");
}

static void a_batch_is_parsed_in_one_call(void)
{
    uint8_t bytes[3][80];
    struct fluxcap_packet packets[4];
    struct fluxcap_packet_ref refs[4];
    struct fluxcap_headers headers[4];

    memset(packets, 0, sizeof(packets));
    memset(refs, 0, sizeof(refs));
    memcpy(bytes[0], tcp_ipv4, sizeof(tcp_ipv4));
    memcpy(bytes[1], udp_ipv6, sizeof(udp_ipv6));
    memcpy(bytes[2], icmp_in_gre, sizeof(icmp_in_gre));
    for (int i = 0; i < 3; i++) {
        packets[i].data = refs[i].data = bytes[i];
        packets[i].len = refs[i].len = i == 0 ? 79 : i == 1 ? 72 : 70;
    }
    for (int way = 0; way < 2; way++) {
        memset(headers, 0xee, sizeof(headers));
        headers[0].struct_size = sizeof(headers[0]);
        if (way == 0)
            CHECK_RESULT(fluxcap_packets_parse(packets, 4, FLUXCAP_PARSE_TUNNELS, NULL, headers), 2);
        else
            CHECK_RESULT(fluxcap_packet_refs_parse(refs, 4, FLUXCAP_PARSE_TUNNELS, NULL, headers), 2);
        for (int i = 0; i < 4; i++) {
            CHECK(headers[i].struct_size == sizeof(headers[i]) && headers[i].reserved[0] == 0);
            CHECK(((headers[i].flags & FLUXCAP_HEADERS_PARTIAL) != 0) == (i == 1 || i == 3));
        }
        CHECK(headers[0].destination_port == 80 && headers[1].destination_port == 53 && headers[1].end == 72);
        CHECK(headers[2].tunnel == FLUXCAP_IN_GRE && headers[2].icmp_type == 8);
        CHECK(headers[3].flags == FLUXCAP_HEADERS_PARTIAL && headers[3].end == 0);
    }
    CHECK_RESULT(fluxcap_packets_parse(packets, 0, 0, NULL, headers), 0);
    CHECK_RESULT(fluxcap_packets_parse(NULL, 0, 0, NULL, NULL), 0);
    CHECK_ERROR(fluxcap_packets_parse(NULL, 1, 0, NULL, headers), -EINVAL, "packets");
    CHECK_ERROR(fluxcap_packets_parse(packets, 1, 0, NULL, NULL), -EINVAL, "fluxcap_headers");
    CHECK_ERROR(fluxcap_packet_refs_parse(refs, 1, 4, NULL, headers), -EINVAL, "flags");
    headers[0].struct_size = 87;
    CHECK_ERROR(fluxcap_packet_refs_parse(refs, 1, 0, NULL, headers), -EINVAL, "struct_size");
}

/* Of a program that was compiled against a newer header. */
static void a_longer_struct_is_filled_up_with_zero(void)
{
    struct {
        struct fluxcap_headers known;
        uint32_t newer;
    } longer[2];
    struct fluxcap_packet_ref refs[2];

    memset(refs, 0, sizeof(refs));
    memset(longer, 0xee, sizeof(longer));
    for (int i = 0; i < 2; i++) {
        refs[i].data = (uint8_t *)(uintptr_t)udp_ipv6;
        refs[i].len = sizeof(udp_ipv6);
    }
    longer[0].known.struct_size = sizeof(longer[0]);
    CHECK_RESULT(fluxcap_packet_refs_parse(refs, 2, 0, NULL, &longer[0].known), 2);
    for (int i = 0; i < 2; i++) {
        CHECK(longer[i].known.struct_size == sizeof(longer[i]) && longer[i].newer == 0);
        CHECK(longer[i].known.destination_port == 53);
    }
}

int main(void)
{
    a_packet_shows_its_offsets_and_fields();
    a_tunnel_is_looked_into_when_asked_for();
    labels_and_snap_are_told();
    of_a_packet_that_is_cut_short_what_is_there_is_told_when_asked_for();
    other_tags_and_ports_are_known_when_told();
    a_batch_is_parsed_in_one_call();
    a_longer_struct_is_filled_up_with_zero();
    return 0;
}
