/* Mode C on the C face. */

#include <stdlib.h>

#include "fluxcap.h"

#include "packet.h"

struct loop {
	struct fluxcap_raw *raw;
	uint8_t *umem;
};

uint64_t c_c_seen;

struct loop *c_c_open(struct fluxcap_raw *raw)
{
	struct loop *loop = malloc(sizeof(*loop));

	if (loop) {
		loop->raw = raw;
		loop->umem = fluxcap_raw_data(raw);
	}
	return loop;
}

void c_c_close(struct loop *loop)
{
	fluxcap_raw_free(loop->raw);
	free(loop);
}

/* Looks at one byte and the length of each packet, recycles. */
int c_c_rxdrop(struct loop *loop)
{
	const uint8_t *umem = loop->umem;
	const struct fluxcap_desc *descs;
	uint64_t sum = 0;
	int count = fluxcap_raw_peek(loop->raw, BATCH, &descs);

	if (count <= 0)
		return count;
	for (int i = 0; i < count; i++)
		sum += umem[descs[i].addr] + descs[i].len;
	c_c_seen += sum;
	return fluxcap_raw_recycle_front(loop->raw, count);
}

/* Takes sent frames back, swaps the addresses of each packet, sends. */
int c_c_l2fwd(struct loop *loop)
{
	uint8_t *umem = loop->umem;
	const struct fluxcap_desc *descs;
	int count;

	fluxcap_raw_refill(loop->raw);
	count = fluxcap_raw_peek(loop->raw, BATCH, &descs);
	if (count <= 0)
		return count;
	for (int i = 0; i < count; i++)
		swap_mac_addresses(umem + descs[i].addr);
	return fluxcap_raw_forward_front(loop->raw, count);
}

/* Takes sent frames back, writes packets, sends. Returns how many came back. */
int c_c_txonly(struct loop *loop)
{
	struct fluxcap_packet packets[BATCH];
	int back = fluxcap_raw_reap(loop->raw);
	int count = fluxcap_raw_alloc(loop->raw, packets, BATCH);
	int sent;

	for (int i = 0; i < count; i++) {
		write_packet(packets[i].data);
		packets[i].len = PACKET_LENGTH;
	}
	sent = fluxcap_raw_send(loop->raw, packets, count);
	if (sent < 0)
		return sent;
	fluxcap_packets_free(packets + sent, count - sent);
	return back;
}

/* One batch, and what the kernel needs to be told. */

int c_c_rxdrop_turn(struct loop *loop)
{
	int count = c_c_rxdrop(loop);

	if (!count)
		fluxcap_raw_wait(loop->raw, FLUXCAP_WAIT_RECEIVE, 100);
	return count;
}

int c_c_l2fwd_turn(struct loop *loop)
{
	int count = c_c_l2fwd(loop);

	fluxcap_raw_wake_tx(loop->raw);
	if (!count)
		fluxcap_raw_wait(loop->raw, FLUXCAP_WAIT_RECEIVE, 100);
	return count;
}

int c_c_txonly_turn(struct loop *loop)
{
	int count = c_c_txonly(loop);

	fluxcap_raw_wake_tx(loop->raw);
	return count;
}
