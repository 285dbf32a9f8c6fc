/* What both sides do with a packet. */

#ifndef PACKET_H
#define PACKET_H

#include <net/ethernet.h>
#include <string.h>

enum { BATCH = 64, PACKET_LENGTH = 60 };

static inline void swap_mac_addresses(void *data)
{
	struct ether_header *eth = data;
	struct ether_addr *source = (struct ether_addr *)&eth->ether_shost;
	struct ether_addr *destination = (struct ether_addr *)&eth->ether_dhost;
	struct ether_addr other = *source;

	*source = *destination;
	*destination = other;
}

/* A packet to send: to nobody in particular, of an experimental type. */
static inline void write_packet(void *data)
{
	static const unsigned char packet[PACKET_LENGTH] = {
		0x02, 0, 0, 0, 0, 0x0b, 0x02, 0, 0, 0, 0, 0x0a, 0x88, 0xb5,
	};

	memcpy(data, packet, sizeof(packet));
}

#endif
