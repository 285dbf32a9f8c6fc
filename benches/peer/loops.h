/* The loops of the benchmarks on libxdp, in the way of the sample program xdpsock: each
 * handles one batch and returns how many packets it had. */

#ifndef LOOPS_H
#define LOOPS_H

#include <sys/socket.h>
#include <xdp/xsk.h>

#include "../c/packet.h"

/* xdpsock serves chunks of any alignment. A program that knows that its chunks are aligned
 * can leave this out. */
#ifdef LEAN
#define extract_addr(addr) (addr)
#define add_offset(addr) (addr)
#else
#define extract_addr(addr) xsk_umem__extract_addr(addr)
#define add_offset(addr) xsk_umem__add_offset_to_addr(addr)
#endif

struct peer {
	struct xsk_ring_prod fill;
	struct xsk_ring_cons rx;
	struct xsk_ring_prod tx;
	struct xsk_ring_cons completion;
	unsigned char *umem;
	/* Sent and not completed. */
	uint32_t outstanding;
	int fd;
	uint64_t seen;
};

static inline __attribute__((always_inline)) uint32_t rxdrop(struct peer *peer)
{
	uint32_t in, out;
	uint32_t count = xsk_ring_cons__peek(&peer->rx, BATCH, &in);
	uint64_t sum = 0;

	if (!count)
		return 0;
	while (xsk_ring_prod__reserve(&peer->fill, count, &out) != count)
		;
	for (uint32_t i = 0; i < count; i++) {
		const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&peer->rx, in++);
		uint64_t addr = desc->addr;
		uint32_t len = desc->len;
		uint64_t original = extract_addr(addr);
		const unsigned char *packet = xsk_umem__get_data(peer->umem, add_offset(addr));

		sum += packet[0] + len;
		*xsk_ring_prod__fill_addr(&peer->fill, out++) = original;
	}
	peer->seen += sum;
	xsk_ring_prod__submit(&peer->fill, count);
	xsk_ring_cons__release(&peer->rx, count);
	return count;
}

static inline __attribute__((always_inline)) void complete_l2fwd(struct peer *peer)
{
	uint32_t in, out, count;

	if (!peer->outstanding)
		return;
	count = xsk_ring_cons__peek(&peer->completion, BATCH, &in);
	if (!count)
		return;
	while (xsk_ring_prod__reserve(&peer->fill, count, &out) != count)
		;
	for (uint32_t i = 0; i < count; i++)
		*xsk_ring_prod__fill_addr(&peer->fill, out++) =
			*xsk_ring_cons__comp_addr(&peer->completion, in++);
	xsk_ring_prod__submit(&peer->fill, count);
	xsk_ring_cons__release(&peer->completion, count);
	peer->outstanding -= count;
}

/* Makes the kernel send, if it asks for that, again for as long as packets leave. */
static inline void kick(struct peer *peer)
{
	uint32_t pending = *peer->tx.producer - __atomic_load_n(peer->tx.consumer, __ATOMIC_ACQUIRE);

	while (pending && xsk_ring_prod__needs_wakeup(&peer->tx)) {
		ssize_t result = sendto(peer->fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
		uint32_t left =
			*peer->tx.producer - __atomic_load_n(peer->tx.consumer, __ATOMIC_ACQUIRE);

		if (result >= 0 || left >= pending)
			break;
		pending = left;
	}
}

/* `wait` is called when the TX ring has no room. */
static inline __attribute__((always_inline)) uint32_t l2fwd(struct peer *peer,
							    void (*wait)(struct peer *))
{
	uint32_t in, out, count;

	complete_l2fwd(peer);
	count = xsk_ring_cons__peek(&peer->rx, BATCH, &in);
	if (!count)
		return 0;
	while (xsk_ring_prod__reserve(&peer->tx, count, &out) != count) {
		wait(peer);
		complete_l2fwd(peer);
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&peer->rx, in++);
		struct xdp_desc *sent = xsk_ring_prod__tx_desc(&peer->tx, out++);
		uint64_t addr = desc->addr;
		uint32_t len = desc->len;

		swap_mac_addresses(xsk_umem__get_data(peer->umem, add_offset(addr)));
		sent->addr = addr;
		sent->len = len;
		sent->options = 0;
	}
	xsk_ring_prod__submit(&peer->tx, count);
	xsk_ring_cons__release(&peer->rx, count);
	peer->outstanding += count;
	return count;
}

#endif
