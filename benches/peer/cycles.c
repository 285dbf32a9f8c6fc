/* The peers of the benchmark `cycles`, for its process to load: libxdp's inline functions,
 * which check nothing, and a plain loop on the same rings that checks each packet. */

#include <errno.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "loops.h"

/* As the other side has it. */
enum { CHUNK = 4096 };

/* Whose a frame is, as the plain loops note it. */
enum { RECEIVING = 1, SENDING };

struct contender {
	struct peer peer;
	struct xsk_umem *umem;
	struct xsk_socket *xsk;
	uint64_t size;
	/* One byte a frame. */
	uint8_t owner[];
};

/* A socket on queue 0 of an interface that has a program; NULL and errno if it fails. Half of
 * the frames are for receiving, and each ring has room for that many. */
struct contender *peer_open(const char *interface, uint32_t frames)
{
	const uint32_t slots = frames / 2;
	const struct xsk_umem_config umem_config = {
		.fill_size = slots,
		.comp_size = slots,
		.frame_size = CHUNK,
	};
	const struct xsk_socket_config config = {
		.rx_size = slots,
		.tx_size = slots,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP,
	};
	const size_t size = (size_t)frames * CHUNK;
	struct contender *this = calloc(1, sizeof(*this) + frames);
	struct peer *peer = &this->peer;
	uint32_t index = 0;
	int error;

	if (!this)
		return NULL;
	this->size = size;
	/* Not populated, as the other side: where the pages lie makes a difference. */
	peer->umem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (peer->umem == MAP_FAILED)
		return NULL;
	error = xsk_umem__create(&this->umem, peer->umem, size, &peer->fill, &peer->completion,
				 &umem_config);
	if (!error)
		error = xsk_socket__create(&this->xsk, interface, 0, this->umem, &peer->rx,
					   &peer->tx, &config);
	if (error) {
		errno = -error;
		return NULL;
	}
	xsk_ring_prod__reserve(&peer->fill, slots, &index);
	for (uint64_t i = 0; i < slots; i++) {
		*xsk_ring_prod__fill_addr(&peer->fill, index++) = i * CHUNK;
		this->owner[i] = RECEIVING;
	}
	xsk_ring_prod__submit(&peer->fill, slots);
	peer->fd = xsk_socket__fd(this->xsk);
	return this;
}

int peer_fd(const struct contender *this)
{
	return this->peer.fd;
}

static void no_wait(struct peer *peer)
{
	(void)peer;
	abort();
}

uint32_t libxdp_rxdrop(struct contender *this)
{
	return rxdrop(&this->peer);
}

uint32_t libxdp_l2fwd(struct contender *this)
{
	return l2fwd(&this->peer, no_wait);
}

/* What the plain loops look at for each packet. Copies: the compiler need not fear that a
 * write into a ring changes them. */
struct view {
	const struct xdp_desc *rx;
	uint64_t *fill;
	uint32_t rx_mask, fill_mask;
	unsigned char *umem;
	uint64_t size;
	uint8_t *owner;
};

static inline struct view view(struct contender *this)
{
	return (struct view){
		.rx = this->peer.rx.ring,
		.fill = this->peer.fill.ring,
		.rx_mask = this->peer.rx.mask,
		.fill_mask = this->peer.fill.mask,
		.umem = this->peer.umem,
		.size = this->size,
		.owner = this->owner,
	};
}

/* Copies a descriptor, once. Returns whether it names bytes within one frame that has been
 * given for receiving. */
static inline int accept_desc(const struct view *view, uint32_t index, struct xdp_desc *copy)
{
	const struct xdp_desc *desc = &view->rx[index & view->rx_mask];

	copy->addr = __atomic_load_n(&desc->addr, __ATOMIC_RELAXED);
	copy->len = __atomic_load_n(&desc->len, __ATOMIC_RELAXED);
	copy->options = 0;
	return copy->addr < view->size && copy->len <= CHUNK - (copy->addr & (CHUNK - 1)) &&
	       view->owner[copy->addr / CHUNK] == RECEIVING;
}

static inline void give_back(const struct view *view, uint32_t index, uint64_t addr)
{
	view->fill[index & view->fill_mask] = addr & ~(uint64_t)(CHUNK - 1);
}

/* Makes what was written of `reserved` slots visible. */
static inline void submit(struct xsk_ring_prod *ring, uint32_t reserved, uint32_t written)
{
	ring->cached_prod -= reserved - written;
	xsk_ring_prod__submit(ring, written);
}

/* Returns how many packets it accepted, as the other. */
uint32_t plain_rxdrop(struct contender *this)
{
	const struct view view_of_this = view(this), *view = &view_of_this;
	struct peer *peer = &this->peer;
	uint32_t in, out;
	uint32_t count = xsk_ring_cons__peek(&peer->rx, BATCH, &in);
	uint32_t given = 0;
	uint64_t sum = 0;

	if (!count)
		return 0;
	while (xsk_ring_prod__reserve(&peer->fill, count, &out) != count)
		;
	for (uint32_t i = 0; i < count; i++) {
		struct xdp_desc desc;

		if (!accept_desc(view, in + i, &desc))
			continue;
		sum += view->umem[desc.addr] + desc.len;
		give_back(view, out + given++, desc.addr);
	}
	peer->seen += sum;
	submit(&peer->fill, count, given);
	xsk_ring_cons__release(&peer->rx, count);
	return given;
}

static inline void complete_plain(struct contender *this, const struct view *view)
{
	struct peer *peer = &this->peer;
	const uint64_t *completion = peer->completion.ring;
	const uint32_t mask = peer->completion.mask;
	uint32_t in, out, count, given = 0;

	if (!peer->outstanding)
		return;
	count = xsk_ring_cons__peek(&peer->completion, BATCH, &in);
	if (!count)
		return;
	while (xsk_ring_prod__reserve(&peer->fill, count, &out) != count)
		;
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t addr =
			__atomic_load_n(&completion[(in + i) & mask], __ATOMIC_RELAXED);

		if (addr >= view->size || view->owner[addr / CHUNK] != SENDING)
			continue;
		view->owner[addr / CHUNK] = RECEIVING;
		give_back(view, out + given++, addr);
	}
	submit(&peer->fill, count, given);
	xsk_ring_cons__release(&peer->completion, count);
	peer->outstanding -= count;
}

uint32_t plain_l2fwd(struct contender *this)
{
	const struct view view_of_this = view(this), *view = &view_of_this;
	struct peer *peer = &this->peer;
	struct xdp_desc *tx = peer->tx.ring;
	const uint32_t mask = peer->tx.mask;
	uint32_t in, out, count, given = 0;

	complete_plain(this, view);
	count = xsk_ring_cons__peek(&peer->rx, BATCH, &in);
	if (!count)
		return 0;
	if (xsk_ring_prod__reserve(&peer->tx, count, &out) != count)
		abort();
	for (uint32_t i = 0; i < count; i++) {
		struct xdp_desc desc;

		if (!accept_desc(view, in + i, &desc) || desc.len < sizeof(struct ether_header))
			continue;
		swap_mac_addresses(view->umem + desc.addr);
		view->owner[desc.addr / CHUNK] = SENDING;
		tx[(out + given++) & mask] = desc;
	}
	submit(&peer->tx, count, given);
	xsk_ring_cons__release(&peer->rx, count);
	peer->outstanding += given;
	return given;
}
