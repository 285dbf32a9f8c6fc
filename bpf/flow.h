/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The hash of a packet's flow: the same as `FlowKey` of src/proto/flow.rs, which
 * says what belongs to a flow and why. Words are used as they stand in the packet.
 */
#ifndef FLUXCAP_FLOW_H
#define FLUXCAP_FLOW_H

#include "kernel.h"

#define FLOW_TAGS 2
#define FLOW_EXTENSIONS 5

enum {
	FLOW_LEAST_ETHER_TYPE = 0x0600,
	FLOW_IPV4 = 0x0800,
	FLOW_VLAN = 0x8100,
	FLOW_IPV6 = 0x86dd,
	FLOW_QINQ = 0x88a8,

	FLOW_VLAN_ID = 0x0fff,
	FLOW_IPV4_FRAGMENT = 0x3fff,
	FLOW_IPV6_FRAGMENT = 0xfff9,

	FLOW_HOP_BY_HOP = 0,
	FLOW_TCP = 6,
	FLOW_UDP = 17,
	FLOW_ROUTING = 43,
	FLOW_FRAGMENT = 44,
	FLOW_DESTINATION_OPTIONS = 60,
	FLOW_SCTP = 132,
};

static inline __attribute__((always_inline)) __u32 flow_be16(const __u8 *at)
{
	return __builtin_bswap16(*(const __u16 *)at);
}

static inline __attribute__((always_inline)) __u32 flow_rotate(__u32 word, int bits)
{
	return word << bits | word >> (32 - bits);
}

/* One word more, as MurmurHash3 does it. */
static inline __attribute__((always_inline)) __u32 flow_mix(__u32 hash, __u32 word)
{
	word = flow_rotate(word * 0xcc9e2d51, 15) * 0x1b873593;
	return flow_rotate(hash ^ word, 13) * 5 + 0xe6546b64;
}

/* The end of MurmurHash3. */
static inline __attribute__((always_inline)) __u32 flow_finish(__u32 hash)
{
	hash = (hash ^ hash >> 16) * 0x85ebca6b;
	hash = (hash ^ hash >> 13) * 0xc2b2ae35;
	return hash ^ hash >> 16;
}

/* An IPv6 address. */
static inline __attribute__((always_inline)) __u32 flow_absorb(const __u8 *at)
{
	const __u32 *words = (const __u32 *)at;

	return flow_mix(flow_mix(flow_mix(flow_mix(0, words[0]), words[1]), words[2]), words[3]);
}

/* Both ports of a message, or 0. */
static inline __attribute__((always_inline)) __u32 flow_ports(const __u8 *at, const __u8 *end,
							      __u32 protocol)
{
	if (protocol != FLOW_TCP && protocol != FLOW_UDP && protocol != FLOW_SCTP)
		return 0;
	if (at + 4 > end)
		return 0;
	return *(const __u32 *)at;
}

static inline __attribute__((always_inline)) __u32 flow_hash(struct xdp_md *ctx, __u32 symmetric)
{
	const __u8 *at = (const __u8 *)(long)ctx->data;
	const __u8 *end = (const __u8 *)(long)ctx->data_end;
	__u32 source = 0, destination = 0, ports = 0;
	__u32 vlan = 0, kind = 0, swap;

	if (at + 14 > end)
		goto join;
	kind = flow_be16(at + 12);
	at += 14;
#pragma unroll
	for (int tag = 0; tag < FLOW_TAGS; tag++) {
		if (kind != FLOW_VLAN && kind != FLOW_QINQ)
			break;
		if (at + 4 > end)
			break;
		if (!vlan)
			vlan = flow_be16(at) & FLOW_VLAN_ID;
		kind = flow_be16(at + 2);
		at += 4;
	}

	if (kind == FLOW_IPV4) {
		if (at + 20 > end || at[0] >> 4 != 4 || (at[0] & 15) < 5)
			goto join;
		kind = at[9];
		source = flow_mix(0, *(const __u32 *)(at + 12));
		destination = flow_mix(0, *(const __u32 *)(at + 16));
		if (!(flow_be16(at + 6) & FLOW_IPV4_FRAGMENT))
			ports = flow_ports(at + (at[0] & 15) * 4, end, kind);
	} else if (kind == FLOW_IPV6) {
		if (at + 40 > end || at[0] >> 4 != 6)
			goto join;
		kind = at[6];
		source = flow_absorb(at + 8);
		destination = flow_absorb(at + 24);
		at += 40;
#pragma unroll
		for (int extension = 0; extension < FLOW_EXTENSIONS; extension++) {
			__u32 len = 8;

			if (kind != FLOW_HOP_BY_HOP && kind != FLOW_ROUTING &&
			    kind != FLOW_DESTINATION_OPTIONS && kind != FLOW_FRAGMENT)
				break;
			if (at + 8 > end)
				break;
			if (kind != FLOW_FRAGMENT)
				len = (at[1] + 1) * 8;
			else if (flow_be16(at + 2) & FLOW_IPV6_FRAGMENT)
				break;
			kind = at[0];
			at += len;
		}
		ports = flow_ports(at, end, kind);
	} else {
		if (kind < FLOW_LEAST_ETHER_TYPE)
			kind = 0;
		goto join;
	}
	source = flow_mix(source, ports & 0xffff);
	destination = flow_mix(destination, ports >> 16);
	if (symmetric && source > destination) {
		swap = source;
		source = destination;
		destination = swap;
	}
join:
	return flow_finish(flow_mix(flow_mix(flow_mix(0, source), destination), vlan << 16 | kind));
}

#endif
