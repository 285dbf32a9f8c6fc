/* Mode B on the C face. */

#include <stdlib.h>

#include "fluxcap.h"

#include "packet.h"

struct loop {
	struct fluxcap_rx *rx;
	struct fluxcap_tx *tx;
	uint64_t seen;
	/* Packets that there was no room to send for, at the front. */
	struct fluxcap_packet packets[BATCH];
	int left;
};

struct loop *c_b_open(struct fluxcap_raw *raw)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (loop && fluxcap_raw_split(raw, &loop->rx, &loop->tx)) {
		free(loop);
		loop = NULL;
	}
	/* As the others: it sleeps as soon as no packet is there. */
	if (loop)
		fluxcap_rx_set_poller(loop->rx, FLUXCAP_POLLER_WAIT, 0);
	return loop;
}

void c_b_close(struct loop *loop)
{
	fluxcap_packets_free(loop->packets, loop->left);
	fluxcap_rx_free(loop->rx);
	fluxcap_tx_free(loop->tx);
	free(loop);
}

static inline int look(struct loop *loop, int timeout_ms)
{
	struct fluxcap_packet packets[BATCH];
	uint64_t sum = 0;
	int count = fluxcap_rx_recv(loop->rx, packets, BATCH, timeout_ms);

	if (count <= 0)
		return count;
	for (int i = 0; i < count; i++)
		sum += packets[i].data[0] + packets[i].len;
	loop->seen += sum;
	fluxcap_packets_free(packets, count);
	return count;
}

static inline int swap(struct loop *loop, int timeout_ms)
{
	struct fluxcap_packet *new = loop->packets + loop->left;
	int count = fluxcap_rx_recv(loop->rx, new, BATCH - loop->left, loop->left ? 0 : timeout_ms);
	int sent;

	if (count < 0)
		return count;
	for (int i = 0; i < count; i++)
		swap_mac_addresses(new[i].data);
	loop->left += count;
	if (!loop->left)
		return 0;
	sent = fluxcap_tx_send(loop->tx, loop->packets, loop->left);
	if (sent < 0)
		return sent;
	loop->left -= sent;
	if (loop->left)
		memmove(loop->packets, loop->packets + sent, loop->left * sizeof(*loop->packets));
	return count;
}

/* Looks at one byte and the length of each packet, frees. */
int c_b_rxdrop(struct loop *loop)
{
	return look(loop, 0);
}

/* Swaps the addresses of each packet, sends. */
int c_b_l2fwd(struct loop *loop)
{
	return swap(loop, 0);
}

/* One batch, and a sleep if there is none. */

int c_b_rxdrop_turn(struct loop *loop)
{
	return look(loop, 100);
}

int c_b_l2fwd_turn(struct loop *loop)
{
	return swap(loop, 100);
}
