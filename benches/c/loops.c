/* The loops of the benchmarks on the C face: each handles one batch and returns how many
 * packets it had. `umem` is what fluxcap_raw_data() said at the start. */

#include "fluxcap.h"

#include "packet.h"

uint64_t seen;

/* Looks at one byte and the length of each packet, recycles. */
int c_rxdrop(struct fluxcap_raw *raw, uint8_t *umem)
{
	const struct fluxcap_desc *descs;
	uint64_t sum = 0;
	int count = fluxcap_raw_peek(raw, BATCH, &descs);

	if (count <= 0)
		return count;
	for (int i = 0; i < count; i++)
		sum += umem[descs[i].addr] + descs[i].len;
	seen += sum;
	return fluxcap_raw_recycle(raw, count);
}

/* Takes sent frames back, swaps the addresses of each packet, sends. */
int c_l2fwd(struct fluxcap_raw *raw, uint8_t *umem)
{
	const struct fluxcap_desc *descs;
	int count;

	fluxcap_raw_refill(raw);
	count = fluxcap_raw_peek(raw, BATCH, &descs);
	if (count <= 0)
		return count;
	for (int i = 0; i < count; i++)
		swap_mac_addresses(umem + descs[i].addr);
	return fluxcap_raw_forward(raw, count);
}

/* Takes sent frames back, writes packets, sends. Returns how many came back. */
int c_txonly(struct fluxcap_raw *raw, uint8_t *umem)
{
	struct fluxcap_packet packets[BATCH];
	int back = fluxcap_raw_reap(raw);
	int count = fluxcap_raw_alloc(raw, packets, BATCH);
	int sent;

	(void)umem;
	for (int i = 0; i < count; i++) {
		write_packet(packets[i].data);
		packets[i].len = PACKET_LENGTH;
	}
	sent = fluxcap_raw_send(raw, packets, count);
	if (sent < 0)
		return sent;
	fluxcap_packets_free(packets + sent, count - sent);
	return back;
}
