/* Sends a ping responder what it may get in the wild, through a socket of the kernel, and looks at what comes back: one reply
 * for each right request, and nothing else. Has its own idea of packets and checksums.
 *
 *     strangers INTERFACE MAC-OF-RESPONDER ADDRESS-OF-RESPONDER
 */
#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <sys/socket.h>

enum { ETHER_TYPE = 12, IP = 14, MOST = 256 };

static const uint8_t our_mac[6] = {0x02, 0, 0, 0, 0, 0x77}, our_ip[4] = {10, 9, 8, 1};
static uint8_t mac[6], ip[4];
static int line;

static uint16_t checksum(const uint8_t *bytes, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < len; i++)
        sum += (uint32_t)bytes[i] << (i % 2 == 0 ? 8 : 0);
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* A request that shall be answered: a frame of 14 + header + 8 + payload bytes. */
struct request {
    uint8_t bytes[MOST];
    size_t len;
    size_t header; /* length of the IP header */
};

static void fill_checksums(struct request *request)
{
    uint8_t *header = request->bytes + IP, *icmp = header + request->header;
    size_t message = request->len - IP - request->header;

    put16(header + 10, 0);
    put16(header + 10, checksum(header, request->header));
    put16(icmp + 2, 0);
    put16(icmp + 2, checksum(icmp, message));
}

static struct request echo(size_t header, size_t payload)
{
    static uint16_t sequence;
    struct request request = {.len = IP + header + 8 + payload, .header = header};
    uint8_t *p = request.bytes;

    memcpy(p, mac, 6);
    memcpy(p + 6, our_mac, 6);
    put16(p + ETHER_TYPE, 0x0800);
    p += IP;
    p[0] = (uint8_t)(0x40 | header / 4);
    put16(p + 2, (unsigned)(header + 8 + payload));
    put16(p + 4, 0x4711);
    p[8] = 64;
    p[9] = 1;
    memcpy(p + 12, our_ip, 4);
    memcpy(p + 16, ip, 4);
    memset(p + 20, 1, header - 20); /* options that do nothing */
    p += header;
    p[0] = 8;
    put16(p + 4, 0xbeef);
    put16(p + 6, ++sequence);
    for (size_t i = 0; i < payload; i++)
        p[8 + i] = (uint8_t)(i * 3);
    fill_checksums(&request);
    return request;
}

static struct request arp(unsigned operation, const uint8_t *target)
{
    static const uint8_t head[6] = {0, 1, 8, 0, 6, 4};
    struct request request = {.len = 60};
    uint8_t *p = request.bytes;

    memset(p, 0xff, 6);
    memcpy(p + 6, our_mac, 6);
    put16(p + ETHER_TYPE, 0x0806);
    memcpy(p + 14, head, 6);
    put16(p + 20, operation);
    memcpy(p + 22, our_mac, 6);
    memcpy(p + 28, our_ip, 4);
    memcpy(p + 38, target, 4);
    return request;
}

static void send_request(const struct request *request)
{
    CHECK(send(line, request->bytes, request->len, 0) == (ssize_t)request->len);
}

/* The next packet that comes back. */
static size_t receive(uint8_t *bytes)
{
    struct sockaddr_ll from;
    socklen_t size;
    ssize_t len;

    do {
        size = sizeof(from);
        len = recvfrom(line, bytes, MOST, 0, (struct sockaddr *)&from, &size);
        CHECK(len > 0); /* or there was no reply in time */
    } while (from.sll_pkttype == PACKET_OUTGOING);
    return (size_t)len;
}

static void check_answered(const struct request *request)
{
    uint8_t reply[MOST];

    send_request(request);
    CHECK(receive(reply) == request->len);
    CHECK(memcmp(reply, our_mac, 6) == 0 && memcmp(reply + 6, mac, 6) == 0);
    const uint8_t *header = reply + IP, *icmp = header + request->header;
    size_t total = (size_t)header[2] << 8 | header[3];
    CHECK(memcmp(header + 12, ip, 4) == 0 && memcmp(header + 16, our_ip, 4) == 0);
    CHECK(checksum(header, request->header) == 0);
    CHECK(icmp[0] == 0 && icmp[1] == 0);
    CHECK(checksum(icmp, total - request->header) == 0);
    /* Identifier, sequence, payload, padding. */
    CHECK(memcmp(icmp + 4, request->bytes + IP + request->header + 4, request->len - IP - request->header - 4) == 0);
}

int main(int argc, char **argv)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(0x0003 /* all */)};
    struct timeval patience = {.tv_sec = 3};
    struct request request;
    uint8_t reply[MOST];

    CHECK(argc == 4);
    CHECK(sscanf(argv[2], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) == 6);
    CHECK(inet_pton(AF_INET, argv[3], ip) == 1);
    line = socket(AF_PACKET, SOCK_RAW, address.sll_protocol);
    CHECK(line >= 0);
    address.sll_ifindex = (int)if_nametoindex(argv[1]);
    CHECK(bind(line, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(setsockopt(line, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);

    /* ARP: for somebody else, a reply, and the right one. */
    request = arp(1, our_ip);
    send_request(&request);
    request = arp(2, ip);
    send_request(&request);
    request = arp(1, ip);
    request.len = 41;
    send_request(&request);
    request.len = 60;
    send_request(&request);
    CHECK(receive(reply) >= 42);
    CHECK(memcmp(reply, our_mac, 6) == 0 && memcmp(reply + 6, mac, 6) == 0 && reply[21] == 2);
    CHECK(memcmp(reply + 22, mac, 6) == 0 && memcmp(reply + 28, ip, 4) == 0);
    CHECK(memcmp(reply + 32, our_mac, 6) == 0 && memcmp(reply + 38, our_ip, 4) == 0);

    /* To everybody, to another card, to another address. */
    request = echo(20, 56);
    memset(request.bytes, 0xff, 6);
    send_request(&request);
    request.bytes[0] = 0x02;
    send_request(&request);
    request = echo(20, 56);
    request.bytes[IP + 19] ^= 1;
    fill_checksums(&request);
    send_request(&request);
    /* Fragments: the first one, and the last one. */
    request = echo(20, 56);
    request.bytes[IP + 6] = 0x20;
    fill_checksums(&request);
    send_request(&request);
    put16(request.bytes + IP + 6, 5);
    fill_checksums(&request);
    send_request(&request);
    /* UDP, IPv6, an echo reply, another ICMP message. */
    request = echo(20, 56);
    request.bytes[IP + 9] = 17;
    fill_checksums(&request);
    send_request(&request);
    request = echo(20, 56);
    put16(request.bytes + ETHER_TYPE, 0x86dd);
    send_request(&request);
    request = echo(20, 56);
    request.bytes[IP + 20] = 0;
    fill_checksums(&request);
    send_request(&request);
    request.bytes[IP + 20] = 13;
    fill_checksums(&request);
    send_request(&request);
    /* Cut off, everywhere. */
    request = echo(20, 8);
    for (size_t len = 14, whole = request.len; len < whole; len++) {
        request.len = len;
        send_request(&request);
    }
    /* Damaged: in the IP header, in the payload. These two are counted. */
    request = echo(20, 56);
    request.bytes[IP + 8]--;
    send_request(&request);
    request = echo(20, 56);
    request.bytes[IP + 60] ^= 0x10;
    send_request(&request);

    /* Right ones: the replies are the next that come, so nothing of the above was answered. */
    request = echo(20, 56);
    check_answered(&request);
    request = echo(24, 33); /* options, and an odd length */
    check_answered(&request);
    request = echo(20, 0);
    request.len += 18; /* padding */
    memset(request.bytes + request.len - 18, 0xee, 18);
    check_answered(&request);
    return 0;
}
