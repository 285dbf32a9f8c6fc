// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The XDP program of fluxcap: a packet goes to the socket that is bound to its
 * queue, and on to the kernel's network stack where there is none.
 */
#include "kernel.h"

/* The index of a counter, as in `ProgramCounters` of src/stats.rs. */
enum counter {
	COUNTER_DROP,
	COUNTER_REDIRECT,
	COUNTER_PASS,
	COUNTERS,
};

/* The socket of each queue. The loader sets the number of queues. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} xsks_map SEC(".maps");

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
SEC("xdp") int fluxcap_xdp(struct xdp_md *ctx)
{
	return counted(bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_PASS));
}

SEC("license") const char fluxcap_license[] = "Dual MIT/GPL";
