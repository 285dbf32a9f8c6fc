/* The peer of the benchmark `instructions`: libxdp's ring functions over plain memory,
 * with a stand-in for the kernel's side of the rings.
 *
 *     plain rxdrop|l2fwd WARM-UP-BATCHES BATCHES FIRST-BATCH
 */

#include <stdio.h>
#include <stdlib.h>

#include "loops.h"

enum { SLOTS = 2048, FRAMES = 4096, CHUNK = 4096, HEADROOM = 256 };

/* One ring, as the kernel lays it out: indices and flags in cache lines of their own. */
struct ring {
	uint32_t producer __attribute__((aligned(64)));
	uint32_t consumer __attribute__((aligned(64)));
	uint32_t flags __attribute__((aligned(64)));
	union {
		uint64_t addrs[SLOTS];
		struct xdp_desc descs[SLOTS];
	} slots __attribute__((aligned(64)));
};

static struct ring fill, rx, tx, completion;
static unsigned char umem[FRAMES * CHUNK] __attribute__((aligned(4096)));

#define CONNECT(end, area)                                                                     \
	do {                                                                                   \
		(end).mask = SLOTS - 1;                                                        \
		(end).size = SLOTS;                                                            \
		(end).producer = &(area).producer;                                             \
		(end).consumer = &(area).consumer;                                             \
		(end).flags = &(area).flags;                                                   \
		(end).ring = &(area).slots;                                                    \
	} while (0)

/* Receives packets into frames of the fill ring. */
static void deliver(uint32_t count)
{
	for (; count && fill.consumer != fill.producer; count--) {
		uint64_t addr = fill.slots.addrs[fill.consumer++ % SLOTS];
		struct xdp_desc *desc = &rx.slots.descs[rx.producer++ % SLOTS];

		desc->addr = (addr & ~(uint64_t)(CHUNK - 1)) + HEADROOM;
		desc->len = PACKET_LENGTH;
		desc->options = 0;
	}
}

/* Sends what is in the TX ring. */
static void transmit(void)
{
	while (tx.consumer != tx.producer)
		completion.slots.addrs[completion.producer++ % SLOTS] =
			tx.slots.descs[tx.consumer++ % SLOTS].addr;
}

static void no_wait(struct peer *peer)
{
	(void)peer;
	abort();
}

__attribute__((noinline)) uint32_t peer_rxdrop(struct peer *peer)
{
	return rxdrop(peer);
}

__attribute__((noinline)) uint32_t peer_l2fwd(struct peer *peer)
{
	return l2fwd(peer, no_wait);
}

/* Where counting starts anew. */
__attribute__((noinline)) void warmed_up(void)
{
	__asm__ volatile("");
}

int main(int argc, char **argv)
{
	static struct peer peer;
	uint32_t (*batch)(struct peer *);
	uint64_t packets = 0;
	uint32_t index = 0;
	long warm_up, batches;

	if (argc != 5)
		return 2;
	batch = !strcmp(argv[1], "l2fwd") ? peer_l2fwd : peer_rxdrop;
	warm_up = atol(argv[2]);
	batches = atol(argv[3]);

	CONNECT(peer.fill, fill);
	CONNECT(peer.rx, rx);
	CONNECT(peer.tx, tx);
	CONNECT(peer.completion, completion);
	peer.fill.cached_cons = SLOTS;
	peer.tx.cached_cons = SLOTS;
	peer.umem = umem;
	xsk_ring_prod__reserve(&peer.fill, SLOTS, &index);
	for (uint32_t i = 0; i < SLOTS; i++)
		*xsk_ring_prod__fill_addr(&peer.fill, index + i) = (uint64_t)i * CHUNK;
	xsk_ring_prod__submit(&peer.fill, SLOTS);

	for (long round = -warm_up; round < batches; round++) {
		uint32_t due = round == -warm_up ? (uint32_t)atol(argv[4]) : BATCH;

		if (round == 0)
			warmed_up();
		deliver(due);
		while (due) {
			uint32_t count = batch(&peer);

			if (round >= 0)
				packets += count;
			due -= count;
		}
		transmit();
	}
	printf("packets %llu\n", (unsigned long long)packets);
	return 0;
}
