/* Calls into the library: one indirect jump each, as through the procedure linkage table
 * of a program that uses libfluxcap.so. The compiler sees no further than that. */

#include "fluxcap.h"

struct calls {
	int (*peek)(struct fluxcap_raw *, uint32_t, const struct fluxcap_desc **);
	int (*recycle)(struct fluxcap_raw *, uint32_t);
	int (*forward)(struct fluxcap_raw *, uint32_t);
	int (*refill)(struct fluxcap_raw *);
	int (*reap)(struct fluxcap_raw *);
	int (*alloc)(struct fluxcap_raw *, struct fluxcap_packet *, uint32_t);
	int (*send)(struct fluxcap_raw *, struct fluxcap_packet *, uint32_t);
	int (*free)(struct fluxcap_packet *, uint32_t);
};

static struct calls calls;

void connect_calls(const struct calls *given)
{
	calls = *given;
}

#pragma GCC visibility push(hidden)

int fluxcap_raw_peek(struct fluxcap_raw *raw, uint32_t max, const struct fluxcap_desc **descs)
{
	return calls.peek(raw, max, descs);
}

int fluxcap_raw_recycle(struct fluxcap_raw *raw, uint32_t max)
{
	return calls.recycle(raw, max);
}

int fluxcap_raw_forward(struct fluxcap_raw *raw, uint32_t max)
{
	return calls.forward(raw, max);
}

int fluxcap_raw_refill(struct fluxcap_raw *raw)
{
	return calls.refill(raw);
}

int fluxcap_raw_reap(struct fluxcap_raw *raw)
{
	return calls.reap(raw);
}

int fluxcap_raw_alloc(struct fluxcap_raw *raw, struct fluxcap_packet *packets, uint32_t count)
{
	return calls.alloc(raw, packets, count);
}

int fluxcap_raw_send(struct fluxcap_raw *raw, struct fluxcap_packet *packets, uint32_t count)
{
	return calls.send(raw, packets, count);
}

int fluxcap_packets_free(struct fluxcap_packet *packets, uint32_t count)
{
	return calls.free(packets, count);
}
