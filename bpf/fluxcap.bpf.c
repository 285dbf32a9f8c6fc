// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The XDP programs of fluxcap. Of the first, a packet goes to the socket that is bound to
 * its queue; of the second, to that one of several which its flow belongs to. Of both, it
 * goes on to the kernel's network stack where there is none.
 */
#include "flow.h"
#include "kernel.h"

/* Places for sockets of one queue, as MAX_SOCKETS_PER_QUEUE in src/backend/steering.rs. */
#define MEMBERS 16

/* The index of a counter, as in `ProgramCounters` of src/stats.rs. */
enum counter {
	COUNTER_DROP,
	COUNTER_REDIRECT,
	COUNTER_PASS,
	COUNTERS,
};

/* The sockets of each queue, MEMBERS places each. The loader sets the number. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} xsks_map SEC(".maps");

/* How the packets of a queue are shared out. */
struct fanout {
	/* Sockets that share it; with fewer than two, all goes to the first place. */
	__u32 count;
	/* Both directions of a flow go to one socket. */
	__u32 symmetric;
};

/* By queue. The loader sets the number of queues. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct fanout);
	__uint(max_entries, 1);
} fanouts SEC(".maps");

/* How many packets met which fate. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, COUNTERS);
} counters SEC(".maps");

static inline __attribute__((always_inline)) int counted(long action)
{
	__u32 counter = action == XDP_REDIRECT ? COUNTER_REDIRECT :
			action == XDP_PASS     ? COUNTER_PASS :
						 COUNTER_DROP;
	__u64 *count = bpf_map_lookup_elem(&counters, &counter);

	if (count)
		*count += 1;
	return action;
}

/*
 * Not "xdp.frags": libbpf would then force the flag for multi-buffer packets,
 * which kernels before 5.18 refuse. The loader sets the flag where it can.
 */

/* All packets of a queue go to its first socket. Reads no packet, so that CAP_BPF is enough. */
SEC("xdp") int fluxcap_xdp(struct xdp_md *ctx)
{
	return counted(bpf_redirect_map(&xsks_map, ctx->rx_queue_index * MEMBERS, XDP_PASS));
}

/*
 * Takes the place of the other program, on the same maps, once a queue is shared out.
 * Without CAP_PERFMON the verifier refuses offsets that a packet decides on.
 */
SEC("xdp") int fluxcap_fan_out(struct xdp_md *ctx)
{
	__u32 queue = ctx->rx_queue_index, place = queue * MEMBERS;
	const struct fanout *fanout = bpf_map_lookup_elem(&fanouts, &queue);

	if (fanout && fanout->count > 1)
		place += (__u64)flow_hash(ctx, fanout->symmetric) * fanout->count >> 32;
	return counted(bpf_redirect_map(&xsks_map, place, XDP_PASS));
}

SEC("license") const char fluxcap_license[] = "Dual MIT/GPL";
