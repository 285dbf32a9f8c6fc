/* The peer of the benchmark `forward`: passes packets on between two interfaces, on libxdp.
 *
 *     forward INTERFACE INTERFACE        until SIGTERM; prints packets, and packets that the
 *                                        sockets dropped
 *
 * Both sockets share one UMEM, so that a packet is sent from the frame that it came in. What the
 * other interface has no room for stays in the RX ring. It sleeps when nothing has come. */

#include <errno.h>
#include <linux/if_link.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xdp/xsk.h>

/* As the other side has it. */
enum {
	FRAMES = 16384,
	CHUNK = 4096,
	SLOTS = 2048,
	FILL_SLOTS = 4096,
	RX_SLOTS = 4096,
	BATCH = 64
};

struct port {
	struct xsk_ring_cons rx;
	struct xsk_ring_prod tx;
	struct xsk_ring_prod fill;
	struct xsk_ring_cons completion;
	struct xsk_socket *xsk;
	int fd;
};

static struct port ports[2];
static struct xsk_umem *umem;
/* The frames that neither ring has, as a stack. */
static uint64_t free_frames[FRAMES];
static uint32_t free_count;

static void die(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

static void make_umem(void)
{
	const struct xsk_umem_config config = {
		.fill_size = FILL_SLOTS,
		.comp_size = SLOTS,
		.frame_size = CHUNK,
	};
	const size_t size = (size_t)FRAMES * CHUNK;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	int error;

	if (memory == MAP_FAILED)
		die("memory", errno);
	error = xsk_umem__create(&umem, memory, size, &ports[0].fill, &ports[0].completion,
				 &config);
	if (error)
		die("xsk_umem__create", error);
	while (free_count < FRAMES) {
		free_frames[free_count] = (uint64_t)free_count * CHUNK;
		free_count++;
	}
}

/* Free frames to the fill ring, as many as it has room for. */
static void refill(struct port *port)
{
	uint32_t index, count = xsk_prod_nb_free(&port->fill, BATCH);

	if (count > free_count)
		count = free_count;
	if (count < BATCH || !xsk_ring_prod__reserve(&port->fill, count, &index))
		return;
	for (uint32_t i = 0; i < count; i++)
		*xsk_ring_prod__fill_addr(&port->fill, index++) = free_frames[--free_count];
	xsk_ring_prod__submit(&port->fill, count);
}

static void open_port(struct port *port, const char *interface)
{
	const struct xsk_socket_config config = {
		.rx_size = RX_SLOTS,
		.tx_size = SLOTS,
		.xdp_flags = XDP_FLAGS_DRV_MODE,
		.bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP,
	};
	int error = 0;

	/* The kernel may need a moment after the socket before. */
	for (int tries = 0; tries < 100; tries++) {
		error = xsk_socket__create_shared(&port->xsk, interface, 0, umem, &port->rx,
						  &port->tx, &port->fill, &port->completion,
						  &config);
		if (error != -EBUSY)
			break;
		usleep(20000);
	}
	if (error)
		die("xsk_socket__create_shared", error);
	port->fd = xsk_socket__fd(port->xsk);
	for (int i = 0; i < FILL_SLOTS / BATCH; i++)
		refill(port);
}

/* Sent frames to the stack. */
static void reap(struct port *port)
{
	uint32_t index, count = xsk_ring_cons__peek(&port->completion, SLOTS, &index);

	for (uint32_t i = 0; i < count; i++)
		free_frames[free_count++] = *xsk_ring_cons__comp_addr(&port->completion, index++);
	xsk_ring_cons__release(&port->completion, count);
}

/* Makes the kernel send, if it asks for that, again for as long as packets leave. */
static void kick(struct port *port)
{
	uint32_t pending = *port->tx.producer - __atomic_load_n(port->tx.consumer, __ATOMIC_ACQUIRE);

	while (pending && xsk_ring_prod__needs_wakeup(&port->tx)) {
		ssize_t result = sendto(port->fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
		uint32_t left =
			*port->tx.producer - __atomic_load_n(port->tx.consumer, __ATOMIC_ACQUIRE);

		if (result >= 0 || left >= pending)
			break;
		pending = left;
	}
}

/* One batch from one interface to the other; returns how many packets it had. */
static uint32_t forward(struct port *from, struct port *to)
{
	uint32_t in, out, count, room;

	reap(to);
	refill(from);
	count = xsk_ring_cons__peek(&from->rx, BATCH, &in);
	room = xsk_prod_nb_free(&to->tx, count);
	if (count > room) {
		xsk_ring_cons__cancel(&from->rx, count - room);
		count = room;
	}
	if (count && xsk_ring_prod__reserve(&to->tx, count, &out)) {
		for (uint32_t i = 0; i < count; i++) {
			const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&from->rx, in++);
			struct xdp_desc *sent = xsk_ring_prod__tx_desc(&to->tx, out++);

			sent->addr = desc->addr;
			sent->len = desc->len;
			sent->options = 0;
		}
		xsk_ring_prod__submit(&to->tx, count);
		xsk_ring_cons__release(&from->rx, count);
	}
	kick(to);
	return count;
}

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

/* Packets that the kernel dropped at the socket. */
static uint64_t dropped(const struct port *port)
{
	struct xdp_statistics statistics = { 0 };
	socklen_t size = sizeof(statistics);

	if (getsockopt(port->fd, SOL_XDP, XDP_STATISTICS, &statistics, &size))
		die("XDP_STATISTICS", errno);
	return statistics.rx_dropped + statistics.rx_ring_full;
}

int main(int argc, char **argv)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	uint64_t packets = 0;

	if (argc != 3)
		return 2;
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	make_umem();
	open_port(&ports[0], argv[1]);
	open_port(&ports[1], argv[2]);
	signal(SIGTERM, stop);
	puts("ready");
	fflush(stdout);
	while (!stopped) {
		uint32_t count = forward(&ports[0], &ports[1]);

		count += forward(&ports[1], &ports[0]);
		packets += count;
		if (!count) {
			struct pollfd entries[2] = {
				{ .fd = ports[0].fd, .events = POLLIN },
				{ .fd = ports[1].fd, .events = POLLIN },
			};

			poll(entries, 2, 100);
		}
	}
	printf("%llu %llu\n", (unsigned long long)packets,
	       (unsigned long long)(dropped(&ports[0]) + dropped(&ports[1])));
	fflush(stdout);
	/* Takes the programs off the interfaces. */
	xsk_socket__delete(ports[0].xsk);
	xsk_socket__delete(ports[1].xsk);
	xsk_umem__delete(umem);
	return 0;
}
