/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The few declarations of the kernel's BPF interface that the program uses.
 *
 * They are user-space ABI and never change. With them here, the object needs no
 * system header, and is the same whatever headers a machine has.
 * Source: include/uapi/linux/bpf.h of Linux, bpf_helpers.h of libbpf.
 */
#ifndef FLUXCAP_KERNEL_H
#define FLUXCAP_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

enum xdp_action {
	XDP_ABORTED,
	XDP_DROP,
	XDP_PASS,
	XDP_TX,
	XDP_REDIRECT,
};

struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

enum {
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_XSKMAP = 17,
};

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_redirect_map)(void *map, __u64 key, __u64 flags) = (void *)51;

/* Puts a program, a map or the licence where the loader looks for it. */
#define SEC(name) __attribute__((section(name), used))

/* How the fields of a map definition carry numbers and types in BTF. */
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name

#endif
