/* Mode A on the C face. */

#include <stdlib.h>

#include "fluxcap.h"

#include "packet.h"

struct loop {
	struct fluxcap_engine *engine;
	uint64_t seen;
};

struct loop *c_a_open(struct fluxcap_raw *raw)
{
	/* As the others: they sleep as soon as no packet is there. */
	const struct fluxcap_engine_config config = {
		.struct_size = sizeof(config),
		.poller = FLUXCAP_POLLER_WAIT,
		.batch = BATCH,
	};
	struct loop *loop = calloc(1, sizeof(*loop));

	if (loop && fluxcap_engine_create(&raw, 1, &config, &loop->engine)) {
		free(loop);
		loop = NULL;
	}
	return loop;
}

void c_a_close(struct loop *loop)
{
	fluxcap_engine_free(loop->engine);
	free(loop);
}

static int look(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
	struct loop *loop = user;
	uint64_t sum = 0;

	(void)port;
	for (uint32_t i = 0; i < count; i++)
		sum += packets[i].data[0] + packets[i].len;
	loop->seen += sum;
	return 0;
}

static int swap(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
	(void)user;
	for (uint32_t i = 0; i < count; i++) {
		swap_mac_addresses(packets[i].data);
		packets[i].verdict = FLUXCAP_SEND + port;
	}
	return 0;
}

/* Looks at one byte and the length of each packet, recycles. */
int c_a_rxdrop(struct loop *loop)
{
	return fluxcap_engine_run_once(loop->engine, look, loop);
}

/* Swaps the addresses of each packet, sends. */
int c_a_l2fwd(struct loop *loop)
{
	return fluxcap_engine_run_once(loop->engine, swap, loop);
}

/* One batch, and what the kernel needs to be told. */

static int turn(struct loop *loop, int count)
{
	if (!count)
		fluxcap_engine_wait(loop->engine, 100);
	return count;
}

int c_a_rxdrop_turn(struct loop *loop)
{
	return turn(loop, c_a_rxdrop(loop));
}

int c_a_l2fwd_turn(struct loop *loop)
{
	return turn(loop, c_a_l2fwd(loop));
}
