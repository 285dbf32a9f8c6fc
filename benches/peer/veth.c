/* The peer of the benchmark `veth`, and the other end of the cable.
 *
 *     veth INTERFACE rxdrop|txonly|l2fwd WARM-UP-MS MS   one loop on libxdp; prints packets, nanoseconds, and
 *                                                      nanoseconds on the processor
 *     veth INTERFACE send                                sends until it is killed
 *     veth INTERFACE drop                                drops in XDP what arrives, until it is killed
 */

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "loops.h"

/* As the other side has it. */
enum { FRAMES = 8192, CHUNK = 4096, SLOTS = 2048, FILL_SLOTS = 4096 };

static void die(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static void say(const char *line)
{
	puts(line);
	fflush(stdout);
}

static void drop(const char *interface)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_DROP },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "drop", "GPL", program, 2, NULL);
	int error;

	if (fd < 0)
		die("loading the program that drops", fd);
	error = bpf_xdp_attach((int)if_nametoindex(interface), fd, XDP_FLAGS_DRV_MODE, NULL);
	if (error)
		die("attaching the program that drops", error);
	say("ready");
	pause();
}

static struct xsk_umem *umem;
static struct xsk_socket *xsk;

/* A socket on queue 0. Frames of the lower half receive, those of the upper half send. */
static void open_socket(struct peer *peer, const char *interface, uint32_t libxdp_flags)
{
	const struct xsk_umem_config umem_config = {
		.fill_size = FILL_SLOTS,
		.comp_size = SLOTS,
		.frame_size = CHUNK,
	};
	const struct xsk_socket_config config = {
		.rx_size = SLOTS,
		.tx_size = SLOTS,
		.libxdp_flags = libxdp_flags,
		.xdp_flags = XDP_FLAGS_DRV_MODE,
		.bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP,
	};
	const size_t size = (size_t)FRAMES * CHUNK;
	uint32_t index = 0;
	int error;

	peer->umem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (peer->umem == MAP_FAILED)
		die("memory", errno);
	error = xsk_umem__create(&umem, peer->umem, size, &peer->fill, &peer->completion,
				 &umem_config);
	if (error)
		die("xsk_umem__create", error);
	xsk_ring_prod__reserve(&peer->fill, FILL_SLOTS, &index);
	for (uint64_t i = 0; i < FILL_SLOTS; i++)
		*xsk_ring_prod__fill_addr(&peer->fill, index++) = i * CHUNK;
	xsk_ring_prod__submit(&peer->fill, FILL_SLOTS);
	/* The kernel may need a moment after the socket before. */
	for (int tries = 0; tries < 100; tries++) {
		error = xsk_socket__create(&xsk, interface, 0, umem, &peer->rx, &peer->tx,
					   &config);
		if (error != -EBUSY)
			break;
		usleep(20000);
	}
	if (error)
		die("xsk_socket__create", error);
	peer->fd = xsk_socket__fd(xsk);
}

static uint64_t frame_to_send;

/* Takes sent frames back, writes packets, sends. Returns how many came back. */
static uint32_t txonly(struct peer *peer)
{
	uint32_t index, back;

	back = xsk_ring_cons__peek(&peer->completion, SLOTS, &index);
	if (back) {
		xsk_ring_cons__release(&peer->completion, back);
		peer->outstanding -= back;
	}
	if (xsk_ring_prod__reserve(&peer->tx, BATCH, &index) == BATCH) {
		for (int i = 0; i < BATCH; i++) {
			struct xdp_desc *desc = xsk_ring_prod__tx_desc(&peer->tx, index++);
			uint64_t addr = (FILL_SLOTS + frame_to_send) * CHUNK;

			write_packet(xsk_umem__get_data(peer->umem, addr));
			desc->addr = addr;
			desc->len = PACKET_LENGTH;
			desc->options = 0;
			frame_to_send = (frame_to_send + 1) % (FRAMES - FILL_SLOTS);
		}
		xsk_ring_prod__submit(&peer->tx, BATCH);
		peer->outstanding += BATCH;
	}
	kick(peer);
	return back;
}

static void wait_rx(struct peer *peer)
{
	struct pollfd entry = { .fd = peer->fd, .events = POLLIN };

	poll(&entry, 1, 100);
}

static uint32_t step_rxdrop(struct peer *peer)
{
	uint32_t count = rxdrop(peer);

	if (!count)
		wait_rx(peer);
	return count;
}

static uint32_t step_l2fwd(struct peer *peer)
{
	uint32_t count = l2fwd(peer, kick);

	kick(peer);
	if (!count)
		wait_rx(peer);
	return count;
}

int main(int argc, char **argv)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	static struct peer peer;
	uint32_t (*step)(struct peer *);
	uint64_t packets = 0, start, end, cpu;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	if (argc == 3 && !strcmp(argv[2], "drop")) {
		drop(argv[1]);
		return 0;
	}
	if (argc == 3 && !strcmp(argv[2], "send")) {
		open_socket(&peer, argv[1], XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD);
		say("ready");
		for (;;)
			txonly(&peer);
	}
	if (argc != 5)
		return 2;
	if (!strcmp(argv[2], "rxdrop"))
		step = step_rxdrop;
	else if (!strcmp(argv[2], "l2fwd"))
		step = step_l2fwd;
	else if (!strcmp(argv[2], "txonly"))
		step = txonly;
	else
		return 2;

	open_socket(&peer, argv[1], 0);
	say("ready");
	end = now() + strtoull(argv[3], NULL, 10) * 1000000;
	while (now() < end)
		step(&peer);
	say("start");
	cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
	start = now();
	end = start + strtoull(argv[4], NULL, 10) * 1000000;
	while (now() < end)
		packets += step(&peer);
	end = now();
	cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("%llu %llu %llu\n", (unsigned long long)packets, (unsigned long long)(end - start),
	       (unsigned long long)cpu);
	fflush(stdout);
	/* Whoever reads that looks at the kernel's thread now, which goes with the program. */
	usleep(50000);
	xsk_socket__delete(xsk);
	xsk_umem__delete(umem);
	return 0;
}
