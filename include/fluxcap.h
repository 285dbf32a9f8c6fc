/* libfluxcap: packet I/O over Linux AF_XDP sockets. So fast, it feels like time travel.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 * Generated from src/ffi. Do not edit: change the Rust source and run `make header`.
 *
 * The rules
 *
 * Results. An int result is 0 or a count on success and a negative errno on failure; then
 * fluxcap_last_error() has the cause and the remedy. "Nothing now" is 0. Outputs are written on success only.
 *
 * Ownership. fluxcap_open() gives a handle, fluxcap_raw_free() takes it; links, engines and simulated networks likewise.
 * They are freed in any order. A packet is yours until you send or free it. Freeing NULL is a no-op. NULL for anything that must be there is an error: -EINVAL
 * from a function that returns int, NULL from one that returns a pointer.
 *
 * Threads. A const handle may be used by several threads at once, a non-const one by one thread at a time,
 * and not together with const uses. The exceptions are fluxcap_raw_stop(), fluxcap_rx_stop(), fluxcap_tx_stop(), fluxcap_engine_stop()
 * and fluxcap_group_stop(), which any thread may call while the handle is open. Different handles are independent. Packets are freed on any thread.
 * A handle is open until a call begins that frees it (fluxcap_..._free()) or takes it over: fluxcap_raw_split(), fluxcap_engine_new(),
 * fluxcap_group_new(). When such a call fails it is open again; a stop from another thread meanwhile may be -EINVAL. When the call succeeds,
 * the handle is gone, and a stop at the same time is a use after the end.
 *
 * Times. timeout_ms, patience_ms and interval_ms of type int are milliseconds; -1 is for ever, and any other negative number is -EINVAL.
 *
 * Memory. When there is not enough for what you asked for (frames, rings, batches, packets to play, captures), the result is -ENOMEM, and
 * all is as before. A process that has none left at all, for a handle or the text of an error, is ended by abort().
 *
 * Structs that begin with struct_size: set it to sizeof before each call. Zero is the default of every field.
 * A struct may be longer than the library knows, as a later version of it would be. If you fill it in and its unknown tail is not zero, that is
 * -E2BIG; if the library fills it in, it sets the unknown tail to zero. A size that no version can have is -EINVAL: a shorter one that no earlier
 * version had, a longer one that is no multiple of the struct's alignment, or is more than four times the known size and 4096 bytes.
 *
 * Cancellation (pthread_cancel()). No function is a cancellation point: a request takes effect at the first one after the function returned,
 * and does not end a wait or a run that is under way; stop that first. A thread that can be cancelled asynchronously must not call any.
 *
 * Signals. No function but those that stop a wait or a run (fluxcap_raw_stop(), fluxcap_rx_stop(), fluxcap_tx_stop(), fluxcap_engine_stop(),
 * fluxcap_group_stop()) is safe in a signal handler: call one of them, or set a flag. Calls that wait return early after a signal, runs go on.
 * A signal that arrives just before the sleep does not end it; a stop does. For them, as for other threads, a handle is open until a call begins
 * that takes it away: fluxcap_..._free(), fluxcap_raw_split(), fluxcap_engine_new(), fluxcap_group_new(). A handler that interrupts such a call must
 * not use its handles: block the signal meanwhile, or set the pointer that the handler reads to NULL before, and back if the call fails.
 *
 * Forks. A handle belongs to the process that opened it. In a child of fork() or daemon() its calls are -EINVAL or find nothing, packets hold
 * zeros, and a stop does nothing; the parent is not disturbed. The child keeps the kernel's socket open until it ends or executes another
 * program. Open sockets after the fork. In a child of _Fork() or clone(), where the C library runs no handlers, calls do the same, but packets in
 * hugepages are not there: touch none.
 *
 * Rights. Opening a socket takes root, or capabilities; an open one needs none.
 *   a socket, to send or for an XSKMAP of your own (Linux 5.9): CAP_NET_RAW.
 *   the bundled XDP program (Linux 5.9): CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF.
 *   fan-out: a queue shared out among several sockets (Linux 5.9): CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON.
 *   preferred busy polling (Linux 5.11): CAP_NET_ADMIN, beside those of the socket.
 *   packet memory above the limit of locked memory (`ulimit -l`) (Linux 5.9): CAP_IPC_LOCK, beside those of the socket.
 *   the name of a foreign XDP program in the error about it (Linux 5.9): CAP_SYS_ADMIN, beside those of the XDP program.
 *   zero-copy, hugepages, a NUMA node, pinned threads (Linux 5.9): none beside those of the socket.
 *   a TX budget above 32 (Linux 6.17): none beside those of the socket.
 * CAP_SYS_ADMIN contains CAP_BPF and CAP_PERFMON. `setcap cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock+ep PROGRAM` gives them to a program.
 * Before Linux 6.0, where kernel.unprivileged_bpf_disabled is set, an XSKMAP of your own, the counters of the
 * XDP program, and opening more queues of its interface take CAP_BPF, too.
 */


#ifndef FLUXCAP_H
#define FLUXCAP_H

#include <stddef.h>
#include <stdint.h>

/// The version of this header.
#define FLUXCAP_VERSION "0.1.0"
#define FLUXCAP_VERSION_MAJOR 0
#define FLUXCAP_VERSION_MINOR 1
#define FLUXCAP_VERSION_PATCH 0

// Zero-copy where the driver can and an XDP program is attached in native mode, copy otherwise: without such a program most drivers
// take a zero-copy socket, but neither send nor receive for it.
#define FLUXCAP_BIND_AUTO 0

// The kernel copies each packet once. Works with every driver.
#define FLUXCAP_BIND_COPY 1

// The driver reads and writes the UMEM itself. An error where it cannot. Where it can, but only with a native XDP program and there is
// none, sending fails: -EINVAL.
#define FLUXCAP_BIND_ZERO_COPY 2

// Native where the driver can, generic otherwise.
#define FLUXCAP_XDP_AUTO 0

// The XDP program runs in the driver. An error where it cannot.
#define FLUXCAP_XDP_NATIVE 1

// The XDP program runs in the network stack. Works with every driver, slower. Segments that GRO has merged come in one piece, and are
// dropped when no frame has room: switch it off (`ethtool -K DEVICE gro off lro off`).
#define FLUXCAP_XDP_GENERIC 2

// Attach the bundled XDP program, which directs the packets of bound queues to their sockets.
#define FLUXCAP_PROGRAM_BUNDLED 0

// No XDP program: the socket can only send, but still has frames to receive into.
#define FLUXCAP_PROGRAM_NONE 1

// Enter the socket into the XSKMAP of your own program, `xskmap_fd`.
#define FLUXCAP_PROGRAM_XSKMAP 2

// No XDP program, and nearly all frames for sending: the fill ring gets an eighth of them, 64 at most, because some drivers need some
// there when the socket is bound; none if there is only one.
#define FLUXCAP_PROGRAM_SEND_ONLY 3

// Ordinary pages behind the UMEM.
#define FLUXCAP_HUGEPAGES_NEVER 0

// Hugepages of 2 MiB if enough are free, ordinary pages otherwise.
#define FLUXCAP_HUGEPAGES_PREFER_2M 1

// Hugepages of 2 MiB, or an error.
#define FLUXCAP_HUGEPAGES_REQUIRE_2M 2

// Hugepages of 1 GiB if enough are free, ordinary pages otherwise.
#define FLUXCAP_HUGEPAGES_PREFER_1G 3

// Hugepages of 1 GiB, or an error.
#define FLUXCAP_HUGEPAGES_REQUIRE_1G 4

// Memory from wherever the kernel puts it.
#define FLUXCAP_NUMA_ANY 0

// Memory from `numa_node`.
#define FLUXCAP_NUMA_BIND 1

// Packets are no part of core dumps: they are other people's data, and large.
#define FLUXCAP_CORE_DUMP_WITHOUT_PACKETS 0

// Packets in a new UMEM are part of core dumps. Rings never are: the kernel leaves them out.
#define FLUXCAP_CORE_DUMP_WITH_PACKETS 1

// The kernel may ask for wake-ups instead of being called each time (Linux 5.4).
#define FLUXCAP_WAKEUP_NEEDED 0

// The kernel is called each time.
#define FLUXCAP_WAKEUP_ALWAYS 1

// Wait for received packets.
#define FLUXCAP_WAIT_RECEIVE 1

// Wait for free slots in the TX ring.
#define FLUXCAP_WAIT_SEND 2

// Spin for a while after the last packet, then sleep.
#define FLUXCAP_POLLER_ADAPTIVE 0

// Never sleep. For the least latency, on a CPU of its own.
#define FLUXCAP_POLLER_BUSY 1

// Sleep at once.
#define FLUXCAP_POLLER_WAIT 2

// The packet is dropped: its frame is recycled, for a new packet. It does not go on to the kernel's network stack.
#define FLUXCAP_RECYCLE 0

// The packet leaves through port 0; FLUXCAP_SEND + 1: through port 1; and so on. What the device drops then (too long for its MTU, no peer),
// fluxcap_raw_send() tells of.
#define FLUXCAP_SEND 1

// Packets for a full port wait in the RX rings, so that none is lost within the engine.
#define FLUXCAP_WHEN_FULL_WAIT 0

// Packets for a full port are dropped and counted, so that it never holds up another one.
#define FLUXCAP_WHEN_FULL_DROP 1

// TCP control bit: no more data.
#define FLUXCAP_TCP_FIN 1

// TCP control bit: opens a connection.
#define FLUXCAP_TCP_SYN 2

// TCP control bit: resets the connection.
#define FLUXCAP_TCP_RST 4

// TCP control bit: the data should reach the program at once.
#define FLUXCAP_TCP_PSH 8

// TCP control bit: the acknowledgment number counts.
#define FLUXCAP_TCP_ACK 16

// TCP control bit: the urgent pointer counts.
#define FLUXCAP_TCP_URG 32

// TCP control bit: congestion was met (RFC 3168).
#define FLUXCAP_TCP_ECE 64

// TCP control bit: the congestion window was reduced (RFC 3168).
#define FLUXCAP_TCP_CWR 128

// Look into tunnels (GRE, VXLAN, IP in IP): the headers are those of the innermost packet.
#define FLUXCAP_PARSE_TUNNELS 1

// Of a packet that is cut short or damaged, tell what can be read, and set FLUXCAP_HEADERS_PARTIAL.
#define FLUXCAP_PARSE_PARTIAL 2

// There is an Ethernet header at `start`.
#define FLUXCAP_HEADERS_ETHERNET 1

// There is a header of `protocol`, known or not, at `l4_offset`.
#define FLUXCAP_HEADERS_L4 2

// `source_port` and `destination_port` are there.
#define FLUXCAP_HEADERS_PORTS 4

// `tcp_flags` are there.
#define FLUXCAP_HEADERS_TCP 8

// `icmp_type` and `icmp_code` are there.
#define FLUXCAP_HEADERS_ICMP 16

// The IP packet is a part only.
#define FLUXCAP_HEADERS_FRAGMENT 32

// The IP packet is a fragment other than the first, which lacks the header of `protocol`.
#define FLUXCAP_HEADERS_LATER_FRAGMENT 64

// An IPv6 routing header or an IPv4 option tells the last destination, and `destination_ip` is a station on the way.
#define FLUXCAP_HEADERS_SOURCE_ROUTED 128

// The packet is cut short or damaged: this is what can be read.
#define FLUXCAP_HEADERS_PARTIAL 256

// An IPv6 destination option tells the home address of a mobile node (RFC 6275), which checksums cover; `source_ip` is where it is now.
#define FLUXCAP_HEADERS_HOME_ADDRESS 512

// `tunnel`: an IP packet directly in another.
#define FLUXCAP_IN_IP 1

// `tunnel`: generic routing encapsulation.
#define FLUXCAP_IN_GRE 2

// `tunnel`: VXLAN, on UDP port 4789 or those of a struct fluxcap_parser.
#define FLUXCAP_IN_VXLAN 3

// Change the Ethernet source to `source_mac`.
#define FLUXCAP_REWRITE_SOURCE_MAC 1

// Change the Ethernet destination to `destination_mac`.
#define FLUXCAP_REWRITE_DESTINATION_MAC 2

// Change the IP source to `source_ip`.
#define FLUXCAP_REWRITE_SOURCE_IP 4

// Change the IP destination to `destination_ip`.
#define FLUXCAP_REWRITE_DESTINATION_IP 8

// Change the source port to `source_port`.
#define FLUXCAP_REWRITE_SOURCE_PORT 16

// Change the destination port to `destination_port`.
#define FLUXCAP_REWRITE_DESTINATION_PORT 32

// GRE carries the whole frame; without, it carries the packet without its Ethernet header and VLAN tags.
#define FLUXCAP_TUNNEL_FRAME 1

// The GRE header has `gre_key`.
#define FLUXCAP_TUNNEL_KEY 2

// The GRE header has `gre_sequence_number`.
#define FLUXCAP_TUNNEL_SEQUENCE 4

// The GRE or UDP header has a checksum, which reads the whole packet.
#define FLUXCAP_TUNNEL_CHECKSUM 8

// The UDP header has none over IPv6 either (RFC 6935).
#define FLUXCAP_TUNNEL_NO_CHECKSUM 16

// UDP over IP.
#define FLUXCAP_FRAME_UDP 0

// TCP over IP.
#define FLUXCAP_FRAME_TCP 1

// An echo request or reply, of ICMP over IPv4 or ICMPv6 over IPv6.
#define FLUXCAP_FRAME_ECHO 2

// ARP for IPv4, without a payload.
#define FLUXCAP_FRAME_ARP 3

// IP with the payload that `protocol` says, such as a message that you built.
#define FLUXCAP_FRAME_IP 4

// Ethernet with the payload that `ether_type` says.
#define FLUXCAP_FRAME_ETHERNET 5

// Zeros behind the end, up to the 60 bytes that Ethernet asks for. Network cards mostly do that by themselves.
#define FLUXCAP_BUILD_PADDED 1

// Routers may fragment the IPv4 packet.
#define FLUXCAP_BUILD_MAY_FRAGMENT 2

// The UDP checksum is 0, none: right over IPv4; over IPv6 for tunnels alone (RFC 6935).
#define FLUXCAP_BUILD_NO_CHECKSUM 4

// The echo message is a reply.
#define FLUXCAP_BUILD_REPLY 8

// Show the Ethernet header, as `tcpdump -e` does.
#define FLUXCAP_FORMAT_ETHERNET 1

// A checksum is wrong: the packet was damaged.
#define FLUXCAP_CHECKSUM_WRONG 0

// All checksums are right.
#define FLUXCAP_CHECKSUM_RIGHT 1

// The checksum is left to the network card, as fluxcap_checksum_complete() tells.
#define FLUXCAP_CHECKSUM_PARTIAL 2

// There is no checksum that can be checked: a fragment, or another protocol.
#define FLUXCAP_CHECKSUM_UNKNOWN 3

// For `keep` of struct fluxcap_sim_nic_config: nothing is kept, only counted.
#define FLUXCAP_SIM_KEEP_NOTHING 4294967295

// At the recorded times, counted from the start of the playback.
#define FLUXCAP_SIM_SPEED_RECORDED 0

// As fast as it goes: what the receiver has no frame or room for is dropped and counted, as on a real link.
#define FLUXCAP_SIM_SPEED_FULL 1

// As fast as the receiving socket takes them, so that none is dropped. Without a socket: as FLUXCAP_SIM_SPEED_FULL.
#define FLUXCAP_SIM_SPEED_PACED 2

// `flags`: of a file that is cut off or damaged, play the packets before that place.
#define FLUXCAP_SIM_REPLAY_DAMAGED 1

// `flags`: leave out packets that are too short or too long for the NIC.
#define FLUXCAP_SIM_REPLAY_UNFIT 2

// `flags`: refuse a file that has packets other than of Ethernet, which are left out without this.
#define FLUXCAP_SIM_REPLAY_ETHERNET_ONLY 4

// The packet reached the NIC.
#define FLUXCAP_SIM_ARRIVED 1

// The packet stands in the RX ring of the queue's socket.
#define FLUXCAP_SIM_RECEIVED 2

// The packet went on to the host's network stack.
#define FLUXCAP_SIM_PASSED 3

// The packet was dropped on arrival: the host's queue or the RX ring full, no frame, too long, or the NIC down.
#define FLUXCAP_SIM_DROPPED 4

// The packet was taken out of a TX ring.
#define FLUXCAP_SIM_SENT 5

// A frame came back through the completion ring.
#define FLUXCAP_SIM_COMPLETED 6

// A fault took the packet.
#define FLUXCAP_SIM_LOST 7

// A fault made a second packet.
#define FLUXCAP_SIM_DUPLICATED 8

// A fault let the packet overtake others.
#define FLUXCAP_SIM_REORDERED 9

// A fault changed a bit of the packet.
#define FLUXCAP_SIM_CORRUPTED 10

// A fault cut the packet.
#define FLUXCAP_SIM_TRUNCATED 11

// A fault held the packet up.
#define FLUXCAP_SIM_DELAYED 12

// A fault made a kick or a wait pass without effect.
#define FLUXCAP_SIM_WAKEUP_LOST 13

// A fault ended a wait early.
#define FLUXCAP_SIM_WAKEUP_SPURIOUS 14

// A fault hid the frames of the fill ring.
#define FLUXCAP_SIM_STARVED 15

// A fault holds a sent frame back.
#define FLUXCAP_SIM_STALLED 16

// Mode A: owns one or more sockets, its ports, and gives what they receive to a callback, a batch at a time.
//
// What the callback leaves as it is is recycled, what it wants sent is sent. Refilling, taking sent frames back, waking the kernel, and waiting
// are the engine's. A packet that leaves through another port on the same UMEM is not copied.
//
// One call at a time runs it; another one meanwhile, from the callback or another thread, is -EBUSY and does no harm.
struct fluxcap_engine;

// Several engines, each on a thread of its own, which run and stop together: in the common case one for each queue of an interface.
//
// One call at a time runs them; another one meanwhile, from a callback or another thread, is -EBUSY and does no harm.
struct fluxcap_group;

// A place to bind to: a network interface of this machine, or a simulated NIC. Goes into struct fluxcap_config.
struct fluxcap_link;

// A socket in Mode C: its four rings, its frames, its UMEM.
struct fluxcap_raw;

// Mode B: the receiving half of a socket. It hands out packets that you own, and gives the kernel the frames of those that were freed, on
// whatever thread, or sent.
struct fluxcap_rx;

// A network without a kernel: NICs that sockets can be opened on, and cables between them. Needs no root, and no network.
//
// Your program opens its sockets on links of this network, in place of an interface's name, and runs as in production: the rings, the
// counters and the errors are those of the kernel. Your test plays the world around it.
//
// Nothing moves by itself: packets move in fluxcap_sim_step() and fluxcap_sim_advance(), while a socket waits or flushes,
// or, in real time, while the network's thread runs (fluxcap_sim_start()). Without the thread time is simulated, and the same calls on one
// thread give the same results each time. On Linux a socket here has a file descriptor, too, as soon as
// one asks for it; elsewhere fluxcap_raw_fd() is -EOPNOTSUPP.
struct fluxcap_sim;

// Mode B: the sending half of a socket. It sends packets that you own, received or made, and takes their frames back when they were sent.
//
// When packets were given to the kernel and for a second nothing has moved, the next call is -ETIME, and fluxcap_last_error() names
// driver and kernel; see fluxcap_tx_set_patience().
struct fluxcap_tx;

// The memory that packets live in, cut into equal frames. Sockets that share one can pass packets on uncopied.
//
// It stays mapped until the last handle, socket and packet is gone. Then it is unmapped, also when frames are still in quarantine
// (`quarantined` of struct fluxcap_accounting): the kernel holds their pages for itself, and gives them to nobody else before it has
// released them.
struct fluxcap_umem;

// Who has the frames. pool + user + kernel + quarantined = frames, always.
struct fluxcap_accounting {
  // All frames.
  uint32_t frames;
  // Free frames.
  uint32_t pool;
  // Frames of packets in your hands.
  uint32_t user;
  // Frames in the four rings or in the kernel behind them.
  uint32_t kernel;
  // Frames that the kernel had when a socket was closed, and may still use: a device in zero-copy mode may write to them. They return to
  // the pool when the kernel is seen to have released the queue, usually some 25 ms after the close: the library looks whenever the pool
  // is empty, a socket is opened on the UMEM, the frames are counted, or fluxcap_umem_reclaim() is called.
  // If it is never seen, they are lost to the pool for as long as the UMEM exists: a child of fork() keeps the socket open, another
  // process took the queue at once, or the interface was removed just then. They do not keep the memory mapped: see struct fluxcap_umem.
  uint32_t quarantined;
};

// What a socket shall be. Zero everywhere but in struct_size and ifname (or ifindex, or link) is a good start:
// `struct fluxcap_config config = { .struct_size = sizeof(config), .ifname = "veth0" };`
struct fluxcap_config {
  // sizeof(struct fluxcap_config).
  uint32_t struct_size;
  // The queue to bind to, from 0.
  uint32_t queue;
  // The interface's name, or one of its alternative names (up to 127 bytes); NULL to use `ifindex` or `link`. Read during the call only.
  const char *ifname;
  // The interface's index, used when `ifname` is NULL.
  uint32_t ifindex;
  // Frames in the UMEM, 1 to 16777216. 0: 8192.
  //
  // The kernel counts the UMEM as locked memory of the user, again for each queue that has a socket on it; the sockets of
  // fluxcap_open_fan_out() count once. Beyond RLIMIT_MEMLOCK that takes CAP_IPC_LOCK.
  uint32_t frames;
  // Bytes a frame, 2048 or 4096 (larger powers of two to 65536 with required hugepages, Linux 6.6). 0: 4096.
  uint32_t chunk_size;
  // Bytes to keep free in front of each packet, besides the kernel's own 256.
  uint32_t headroom;
  // Slots of the fill ring, a power of two. 0: 4096.
  uint32_t fill_size;
  // Slots of the RX ring, a power of two. 0: 2048.
  uint32_t rx_size;
  // Slots of the TX ring, a power of two. 0: 2048.
  uint32_t tx_size;
  // Slots of the completion ring, a power of two. 0: 2048.
  uint32_t completion_size;
  // FLUXCAP_BIND_….
  uint32_t bind_mode;
  // FLUXCAP_XDP_…, for the bundled program.
  uint32_t xdp_mode;
  // FLUXCAP_PROGRAM_….
  uint32_t program;
  // The XSKMAP of your own program, with FLUXCAP_PROGRAM_XSKMAP. It is duplicated and stays yours.
  int32_t xskmap_fd;
  // FLUXCAP_HUGEPAGES_….
  uint32_t hugepages;
  // FLUXCAP_NUMA_….
  uint32_t numa;
  // The NUMA node, with FLUXCAP_NUMA_BIND.
  uint32_t numa_node;
  // FLUXCAP_WAKEUP_….
  uint32_t wakeup;
  // Preferred busy polling: microseconds that one call may poll the driver (Linux 5.11). 0: off.
  uint32_t busy_poll_us;
  // Preferred busy polling: packets that one poll may handle, 1 to 65535. 0: 64.
  uint32_t busy_poll_budget;
  // Packets that one transmit call may send in copy mode, 32 to tx_size (Linux 6.17; 32 before). 0: tx_size.
  uint32_t tx_budget;
  // How long a taken queue is tried again, in milliseconds. 0: 2000.
  uint32_t bind_patience_ms;
  // What to bind to, such as a simulated NIC, in place of `ifname` and `ifindex`, which must be NULL and 0 then. NULL: those.
  // Used during the call only.
  const struct fluxcap_link *link;
  // The UMEM to work on, that of another socket. NULL: a new one. The frames are as they are then: frames, chunk_size, headroom,
  // hugepages and numa say nothing. Used during the call only.
  const struct fluxcap_umem *umem;
  // FLUXCAP_CORE_DUMP_….
  uint32_t core_dump;
  // Zero.
  uint32_t reserved;
};

// A packet that you own, in a frame of a UMEM.
//
// You may change `data` and `len` within the frame, and the bytes. The other fields are the library's. Sending or freeing a packet
// sets `data` to NULL: it has moved away. The struct may be copied, but only one copy may be used: the others become stale, and using them
// is an error. Copies are one packet: no two are used on two threads at once. A packet may outlive the socket it came from, and may be freed
// on any thread.
struct fluxcap_packet {
  // The first byte; NULL when the packet has moved away.
  uint8_t *data;
  // The length in bytes.
  uint32_t len;
  // The descriptor's option bits, 0 for a plain packet.
  uint32_t options;
  // The library's.
  const void *umem;
  // The library's.
  uint32_t frame;
  // The library's.
  uint32_t generation;
};

// Where a received packet lies in the UMEM: a copy of a slot of the RX ring.
struct fluxcap_desc {
  // Offset of the first byte from fluxcap_raw_data().
  uint64_t addr;
  // The length in bytes.
  uint32_t len;
  // 0 for a plain packet.
  uint32_t options;
};

// What a socket is: what became of the wishes in its config. fluxcap_raw_report() says why.
struct fluxcap_info {
  // sizeof(struct fluxcap_info), set by you.
  uint32_t struct_size;
  // FLUXCAP_BIND_COPY or FLUXCAP_BIND_ZERO_COPY.
  uint32_t bind_mode;
  // FLUXCAP_XDP_NATIVE or FLUXCAP_XDP_GENERIC; FLUXCAP_XDP_AUTO (0) when no bundled program is attached.
  uint32_t xdp_mode;
  // Frames in the UMEM.
  uint32_t frames;
  // Bytes a frame.
  uint32_t chunk_size;
  // Bytes kept free in front of each packet, besides the kernel's own 256.
  uint32_t headroom;
  // The longest packet that a frame holds behind both headrooms, in bytes.
  uint32_t packet_capacity;
  // Packets that one transmit call may send in copy mode.
  uint32_t tx_budget;
  // 1 when the kernel asks for wake-ups, 0 when it is called each time.
  uint32_t need_wakeup;
  // 1 when preferred busy polling is on.
  uint32_t busy_poll;
  // The size of the pages behind the UMEM, in bytes.
  uint64_t page_size;
  // The index of the interface.
  uint32_t ifindex;
  // The MTU of the interface in bytes, without Ethernet header, when the socket was opened.
  uint32_t mtu;
  // The Ethernet address of the interface; all 0 when it has none.
  uint8_t mac[6];
  // 0.
  uint8_t reserved[2];
};

// What the kernel counted for a socket since it was opened, and what passed through its rings.
struct fluxcap_statistics {
  // sizeof(struct fluxcap_statistics), set by you.
  uint32_t struct_size;
  // 0.
  uint32_t reserved;
  // Packets taken from the RX ring.
  uint64_t received;
  // Packets put into the TX ring.
  uint64_t sent;
  // Packets the kernel dropped for reasons other than a full RX ring or an empty fill ring.
  uint64_t rx_dropped;
  // Descriptors on the fill ring that the kernel refused.
  uint64_t rx_invalid_descs;
  // Descriptors on the TX ring that the kernel refused; they are not sent, and may not be completed.
  uint64_t tx_invalid_descs;
  // Packets dropped because the RX ring was full.
  uint64_t rx_ring_full;
  // Times that the kernel found no frame in the fill ring.
  uint64_t rx_fill_ring_empty_descs;
  // Times that the kernel looked for a descriptor in the TX ring and found none.
  uint64_t tx_ring_empty_descs;
};

// What the bundled XDP program decided, for the whole interface. All 0 when the socket was opened without it.
struct fluxcap_program_counters {
  // sizeof(struct fluxcap_program_counters), set by you.
  uint32_t struct_size;
  // 1 when the bundled program is on the interface now. 0 also when somebody took it off, or the interface was removed.
  uint32_t attached;
  // Packets dropped by the program.
  uint64_t drop;
  // Packets handed to a socket.
  uint64_t redirect;
  // Packets passed on to the kernel's network stack.
  uint64_t pass;
};

// One ring, as it stands.
struct fluxcap_ring_state {
  // Slots.
  uint32_t size;
  // The producer's index, which runs freely and wraps at 2^32.
  uint32_t producer;
  // The consumer's index, likewise.
  uint32_t consumer;
  // Entries that the consumer has not taken yet.
  uint32_t occupied;
  // 1 when the kernel asks for a wake-up; always 0 for RX and completion ring.
  uint32_t needs_wakeup;
  // 0.
  uint32_t reserved;
  // How often the kernel's index was out of range. Anything but 0 is a fault.
  uint64_t violations;
  // Entries that named a frame which was not the kernel's to give. Anything but 0 is a fault.
  uint64_t refused;
};

// The four rings and the frames of a socket, as they stand.
struct fluxcap_rings {
  // sizeof(struct fluxcap_rings), set by you.
  uint32_t struct_size;
  // 1 when no frame is lost or owned twice: both accounts add up and agree.
  uint32_t conserved;
  // The fill ring. With fluxcap_open_fan_out() it is the one that all sockets share.
  struct fluxcap_ring_state fill;
  // The RX ring.
  struct fluxcap_ring_state rx;
  // The TX ring.
  struct fluxcap_ring_state tx;
  // The completion ring. With fluxcap_open_fan_out() it is what this socket has got of the shared one and not taken yet.
  struct fluxcap_ring_state completion;
  // The frames, counted where they are; the same as `ledger` while several sockets use the UMEM.
  struct fluxcap_accounting counted;
  // The frames by the ledger, one by one.
  struct fluxcap_accounting ledger;
};

// How a loop that waits for packets spent its time.
struct fluxcap_poller_statistics {
  // sizeof(struct fluxcap_poller_statistics), set by you.
  uint32_t struct_size;
  // 0.
  uint32_t reserved;
  // Turns without packets in which it kept looking.
  uint64_t spins;
  // Turns without packets in which it slept.
  uint64_t sleeps;
  // Times that it went over from spinning to sleeping, or back.
  uint64_t switches;
};

// How an engine shall run. Zero everywhere but in struct_size is a good start.
struct fluxcap_engine_config {
  // sizeof(struct fluxcap_engine_config).
  uint32_t struct_size;
  // FLUXCAP_POLLER_…: how it waits for packets.
  uint32_t poller;
  // How long FLUXCAP_POLLER_ADAPTIVE spins after the last packet, in microseconds. 0: 50.
  uint32_t spin_us;
  // The most packets that one call of the callback gets, 1 to 4096. 0: 64.
  uint32_t batch;
  // FLUXCAP_WHEN_FULL_…: what becomes of packets for a port whose TX ring is full.
  uint32_t when_full;
  // 1: ports may work on different UMEMs, and packets between them are copied. 0: they may not.
  uint32_t copying;
  // How long a port may keep packets to send without any of them leaving, in milliseconds, until a run ends with -ETIME. 0: 1000;
  // UINT32_MAX: for ever.
  uint32_t patience_ms;
};

// A received packet that you look at while the callback runs.
//
// You may change its bytes, its verdict, and `data` and `len` within its frame: what is sent is what they say when the callback returns. The
// frame begins at least 256 bytes before `data`, as it comes, and ends where the next one begins.
// The fluxcap_packet_ref_…() functions do it within those bounds. They take a pointer into the array of the callback that runs on this
// thread; a copy of the struct, or one kept from an earlier callback, is -EINVAL.
//
// Do not move, swap or compact the entries of the array: each stays with the packet that it came with. Where an entry asks for its packet to be
// sent but names the frame of another one, the packet is recycled, and the run ends with -EINVAL. Where the verdict is FLUXCAP_RECYCLE, `data` and
// `len` are not looked at: the packet that came in this place is recycled, whatever stands there, zeros included.
struct fluxcap_packet_ref {
  // The first byte.
  uint8_t *data;
  // The length in bytes. An empty packet is recycled.
  uint32_t len;
  // What becomes of it: FLUXCAP_RECYCLE, as it comes, or FLUXCAP_SEND + the port to leave through.
  uint32_t verdict;
};

// What an engine calls with the packets that came in through `port`: all `count` at once, at least one.
//
// `packets` is good until it returns. A negative result ends the run, which returns that number, after the packets went where this call
// wanted them; 0 or more goes on. It must return: a C++ exception or a pthread_exit() that leaves it ends the program, by abort() and with
// a line on stderr that says so; a longjmp() out of it is undefined. The thread is not cancelled while it runs, unless it asks for that with
// pthread_setcancelstate(), and then a cancellation ends the program likewise.
//
// It may use everything but its own engine: calls with that are -EBUSY, except for fluxcap_engine_stop().
typedef int (*fluxcap_callback)(void *user,
                                uint32_t port,
                                struct fluxcap_packet_ref *packets,
                                uint32_t count);

// What an engine did in all its runs. The packets are the sum over all ports.
struct fluxcap_engine_statistics {
  // sizeof(struct fluxcap_engine_statistics), set by you.
  uint32_t struct_size;
  // The number of ports.
  uint32_t ports;
  // Packets that came in and were shown to the callback.
  uint64_t received;
  // Packets that went out.
  uint64_t sent;
  // Packets that came in and were recycled.
  uint64_t recycled;
  // Packets that should have gone out and found no room.
  uint64_t dropped;
  // Packets among the sent ones that were copied from another UMEM.
  uint64_t copied;
  // Calls of the callback.
  uint64_t batches;
  // Turns in which packets waited because a TX ring was full.
  uint64_t stalls;
  // Turns without packets in which it kept looking.
  uint64_t spins;
  // Turns without packets in which it slept.
  uint64_t sleeps;
  // Times that it went over from spinning to sleeping, or back.
  uint64_t switches;
};

// What passed through one port of an engine.
struct fluxcap_port_statistics {
  // sizeof(struct fluxcap_port_statistics), set by you.
  uint32_t struct_size;
  // 0.
  uint32_t reserved;
  // Packets that came in and were shown to the callback.
  uint64_t received;
  // Packets that went out.
  uint64_t sent;
  // Packets that came in and were recycled.
  uint64_t recycled;
  // Packets that should have gone out and found no room.
  uint64_t dropped;
  // Packets among the sent ones that were copied from another UMEM.
  uint64_t copied;
};

// Told of an interface whose number of receive queues changed from `before` to `now` during a run: packets go where no engine sees them then.
//
// Called on the thread that called fluxcap_group_run(). It may stop the group. `interface` is good until it returns. It must
// return, as a fluxcap_callback.
typedef void (*fluxcap_queue_callback)(void *user,
                                       const char *interface,
                                       uint32_t before,
                                       uint32_t now);

// What the engines of a group did in all their runs, summed up.
struct fluxcap_group_statistics {
  // sizeof(struct fluxcap_group_statistics), set by you.
  uint32_t struct_size;
  // The number of engines.
  uint32_t engines;
  // Packets that came in and were shown to a callback.
  uint64_t received;
  // Packets that went out.
  uint64_t sent;
  // Packets that came in and were recycled.
  uint64_t recycled;
  // Packets that should have gone out and found no room.
  uint64_t dropped;
  // Packets among the sent ones that were copied from another UMEM.
  uint64_t copied;
  // Calls of the callback.
  uint64_t batches;
  // Turns in which packets waited because a TX ring was full.
  uint64_t stalls;
  // Turns without packets in which an engine kept looking.
  uint64_t spins;
  // Turns without packets in which an engine slept.
  uint64_t sleeps;
  // Times that an engine went over from spinning to sleeping, or back.
  uint64_t switches;
  // How long they ran, in nanoseconds.
  uint64_t time_ns;
  // Changes of the number of queues of an interface that were seen.
  uint64_t queue_changes;
};

// An Ethernet header, in host byte order.
struct fluxcap_ethernet_header {
  // To.
  uint8_t destination[6];
  // From.
  uint8_t source[6];
  // What follows: 0x0800 IPv4, 0x0806 ARP, ….
  uint16_t ether_type;
};

// An ARP message for IPv4 over Ethernet (RFC 826), in host byte order.
struct fluxcap_arp_header {
  // 1 request, 2 reply.
  uint16_t operation;
  // From.
  uint8_t sender_mac[6];
  // From.
  uint8_t sender_ip[4];
  // To.
  uint8_t target_mac[6];
  // To, or asked for.
  uint8_t target_ip[4];
};

// An IPv4 header (RFC 791), in host byte order.
struct fluxcap_ipv4_header {
  // Length of the header with its options, in bytes.
  uint8_t header_len;
  // Differentiated services codepoint, 6 bits.
  uint8_t dscp;
  // Explicit congestion notification, 2 bits.
  uint8_t ecn;
  // Time to live.
  uint8_t ttl;
  // What follows: 1 ICMP, 6 TCP, 17 UDP, ….
  uint8_t protocol;
  // 1 when routers must not fragment.
  uint8_t dont_fragment;
  // 1 when more fragments follow.
  uint8_t more_fragments;
  // 1 when the header checksum is right.
  uint8_t checksum_ok;
  // Length of header and payload, in bytes. What is behind it is padding.
  uint16_t total_length;
  // Groups fragments.
  uint16_t identification;
  // Where this fragment belongs, in bytes.
  uint16_t fragment_offset;
  // The header checksum as it stands.
  uint16_t header_checksum;
  // From.
  uint8_t source[4];
  // To.
  uint8_t destination[4];
};

// An ICMP echo request or reply (RFC 792), in host byte order.
struct fluxcap_icmp_echo_header {
  // 8 request, 0 reply.
  uint8_t icmp_type;
  // 1 when the checksum over header and data is right.
  uint8_t checksum_ok;
  // The checksum as it stands.
  uint16_t checksum;
  // Who asks.
  uint16_t identifier;
  // Which question.
  uint16_t sequence;
};

// A VLAN tag (IEEE 802.1Q), in host byte order.
struct fluxcap_vlan_header {
  // Which VLAN; 0 for none.
  uint16_t id;
  // What follows: 0x0800 IPv4, 0x86dd IPv6, 0x8100 another tag, ….
  uint16_t ether_type;
  // Priority, 3 bits.
  uint8_t priority;
  // 1 when this frame may be dropped before others.
  uint8_t drop_eligible;
};

// An IPv6 header (RFC 8200) and what its extension headers tell, in host byte order.
struct fluxcap_ipv6_header {
  // From.
  uint8_t source[16];
  // To.
  uint8_t destination[16];
  // Which packets belong to one flow, 20 bits.
  uint32_t flow_label;
  // Groups fragments; 0 when this is none.
  uint32_t identification;
  // Length of extension headers and payload, in bytes. What is behind it is padding.
  uint16_t payload_length;
  // Where this fragment belongs, in bytes. Fragments but the first lack the header of `protocol`.
  uint16_t fragment_offset;
  // Differentiated services codepoint, 6 bits.
  uint8_t dscp;
  // Explicit congestion notification, 2 bits.
  uint8_t ecn;
  // How many more hops the packet may take.
  uint8_t hop_limit;
  // What follows this header: an extension header, or the same as `protocol`.
  uint8_t next_header;
  // What follows the extension headers: 6 TCP, 17 UDP, 58 ICMPv6, ….
  uint8_t protocol;
  // 1 when more fragments follow.
  uint8_t more_fragments;
  // 1 when a routing header tells the last destination, and `destination` is a station on the way.
  uint8_t source_routed;
  // 1 when a destination option tells the home address of a mobile node (RFC 6275), and `source` is where it is now.
  uint8_t home_address;
};

// A UDP header (RFC 768), in host byte order.
struct fluxcap_udp_header {
  // From.
  uint16_t source_port;
  // To.
  uint16_t destination_port;
  // Length of header and payload, in bytes.
  uint16_t length;
  // The checksum as it stands; 0 for none.
  uint16_t checksum;
};

// A TCP header (RFC 9293), in host byte order.
struct fluxcap_tcp_header {
  // Number of the first byte of data.
  uint32_t sequence_number;
  // Number of the next byte expected, with FLUXCAP_TCP_ACK.
  uint32_t acknowledgment_number;
  // From.
  uint16_t source_port;
  // To.
  uint16_t destination_port;
  // How many bytes the sender has room for, before scaling.
  uint16_t window;
  // The checksum as it stands.
  uint16_t checksum;
  // Where urgent data end, with FLUXCAP_TCP_URG.
  uint16_t urgent_pointer;
  // Length of the header with its options, in bytes. The options start at byte 20.
  uint8_t header_len;
  // FLUXCAP_TCP_…, joined with |.
  uint8_t flags;
};

// Where the headers of a packet are, from Ethernet to TCP, UDP and ICMP, and the fields that most programs look at, in host byte order.
// Offsets are in bytes from the start of what was parsed. What is not there is 0.
struct fluxcap_headers {
  // sizeof(struct fluxcap_headers).
  uint32_t struct_size;
  // FLUXCAP_HEADERS_…, joined with |.
  uint32_t flags;
  // Where the packet starts: 0, but for the inner one of a tunnel.
  uint32_t start;
  // Where the IP header starts, if ip_version is not 0.
  uint32_t l3_offset;
  // Where the header of `protocol` starts, with FLUXCAP_HEADERS_L4.
  uint32_t l4_offset;
  // Where the payload starts: all behind the last header that is known.
  uint32_t payload_offset;
  // Where the payload ends: `end`, or before it where a UDP datagram is shorter than its packet.
  uint32_t payload_end;
  // Where the packet ends; padding may follow.
  uint32_t end;
  // What the frame carries, behind its VLAN tags, or LLC with SNAP: 0x0800 IPv4, 0x86dd IPv6, 0x8847 MPLS, …; below 0x0600, an IEEE 802.3 length.
  uint16_t ether_type;
  // The outermost of `vlan_tags`: priority, drop eligible, VLAN id, 3 + 1 + 12 bits.
  uint16_t outer_tag;
  // The innermost of several `vlan_tags`, likewise.
  uint16_t inner_tag;
  // From, with FLUXCAP_HEADERS_PORTS.
  uint16_t source_port;
  // To, with FLUXCAP_HEADERS_PORTS.
  uint16_t destination_port;
  // 4 or 6; 0 when this is no IP packet.
  uint8_t ip_version;
  // What the IP packet carries, behind IPv6 extension headers: 1 ICMP, 6 TCP, 17 UDP, ….
  uint8_t protocol;
  // Differentiated services codepoint, 6 bits.
  uint8_t dscp;
  // Explicit congestion notification, 2 bits.
  uint8_t ecn;
  // How many more hops the packet may take.
  uint8_t ttl;
  // FLUXCAP_TCP_…, joined with |, with FLUXCAP_HEADERS_TCP.
  uint8_t tcp_flags;
  // With FLUXCAP_HEADERS_ICMP.
  uint8_t icmp_type;
  // With FLUXCAP_HEADERS_ICMP.
  uint8_t icmp_code;
  // The number of VLAN tags, at most eight: what is behind eight is not parsed.
  uint8_t vlan_tags;
  // How many MPLS labels there are.
  uint8_t mpls_labels;
  // What the packet was taken out of, FLUXCAP_IN_…; 0 when it is no inner one.
  uint8_t tunnel;
  // 0.
  uint8_t reserved[3];
  // From; of version 4, the first four bytes.
  uint8_t source_ip[16];
  // To; of version 4, the first four bytes.
  uint8_t destination_ip[16];
};

// What packets are parsed as in networks that use other numbers than the standards, for fluxcap_parse_with(). A list of fewer than four
// numbers ends with 0; all 0 is what fluxcap_parse() does.
struct fluxcap_parser {
  // sizeof(struct fluxcap_parser).
  uint32_t struct_size;
  // 0.
  uint32_t reserved;
  // What announces a VLAN tag besides 0x8100 and 0x88a8: devices from before IEEE 802.1ad use 0x9100, 0x9200 and 0x9300.
  uint16_t vlan_types[4];
  // UDP ports that VXLAN comes to besides 4789: 8472 is what Linux takes unless told otherwise.
  uint16_t vxlan_ports[4];
  // UDP ports that GRE comes to, such as 4754 (RFC 8086).
  uint16_t gre_ports[4];
};

// What to change in a packet. Ports are in host byte order.
struct fluxcap_rewrite {
  // sizeof(struct fluxcap_rewrite).
  uint32_t struct_size;
  // FLUXCAP_REWRITE_…, joined with |. The fields that it does not name are not read.
  uint32_t change;
  // 4 or 6: what the IP addresses here are, when there are any.
  uint32_t ip_version;
  // The new source port.
  uint16_t source_port;
  // The new destination port.
  uint16_t destination_port;
  // The new IP source; of version 4, the first four bytes.
  uint8_t source_ip[16];
  // The new IP destination; of version 4, the first four bytes.
  uint8_t destination_ip[16];
  // The new Ethernet source.
  uint8_t source_mac[6];
  // The new Ethernet destination.
  uint8_t destination_mac[6];
};

// A VLAN tag (IEEE 802.1Q, 802.1ad), in host byte order.
struct fluxcap_vlan_tag {
  // Which VLAN, 0 to 4095.
  uint16_t id;
  // What announces the tag: 0x8100, or 0 for the same, the inner one of two; 0x88a8 the outer one.
  uint16_t ether_type;
  // Priority, 0 to 7.
  uint8_t priority;
  // 1 when this frame may be dropped before others.
  uint8_t drop_eligible;
};

// An MPLS label stack entry (RFC 3032), in host byte order.
struct fluxcap_mpls_label {
  // The label, 0 to 1,048,575.
  uint32_t label;
  // Traffic class, 0 to 7.
  uint8_t traffic_class;
  // How many more hops the packet may take.
  uint8_t ttl;
  // 1 when it is the last one of the stack. Not read.
  uint8_t bottom;
  // Zero.
  uint8_t reserved;
};

// What carries a tunnel, in host byte order: Ethernet and IP, and what the headers of GRE or VXLAN say.
struct fluxcap_tunnel {
  // sizeof(struct fluxcap_tunnel).
  uint32_t struct_size;
  // FLUXCAP_TUNNEL_…, joined with |.
  uint32_t flags;
  // 4 or 6: what the addresses here are.
  uint32_t ip_version;
  // VXLAN network identifier, of 24 bits.
  uint32_t vni;
  // Which flow or virtual network within a GRE tunnel; see FLUXCAP_TUNNEL_KEY.
  uint32_t gre_key;
  // Number of the packet within a GRE tunnel; see FLUXCAP_TUNNEL_SEQUENCE.
  uint32_t gre_sequence_number;
  // The UDP port that VXLAN comes from; 0: it follows from the flow of the packet inside.
  uint16_t source_port;
  // The UDP port that VXLAN goes to; 0: 4789.
  uint16_t destination_port;
  // How many hops the packet may take; 0: 64.
  uint8_t hops;
  // Differentiated services codepoint, 6 bits.
  uint8_t dscp;
  // Explicit congestion notification, 2 bits.
  uint8_t ecn;
  // Zero.
  uint8_t reserved;
  // Where the tunnel begins; of version 4, the first four bytes.
  uint8_t source_ip[16];
  // Where it ends; of version 4, the first four bytes.
  uint8_t destination_ip[16];
  // The Ethernet source.
  uint8_t source_mac[6];
  // The Ethernet destination: that of the next router.
  uint8_t destination_mac[6];
};

// What a GRE tunnel said of the packet that came out of it, in host byte order.
struct fluxcap_gre_tunnel {
  // FLUXCAP_TUNNEL_…: FRAME, and which of the optional fields there were.
  uint32_t flags;
  // What it carried: 0x0800 IPv4, 0x86dd IPv6, 0x6558 a whole frame, ….
  uint32_t protocol_type;
  // Which flow or virtual network; 0 without.
  uint32_t key;
  // Number of the packet; 0 without.
  uint32_t sequence_number;
};

// A frame to build, in host byte order: Ethernet, up to two VLAN tags, and what `kind` says. Lengths, types and checksums are
// filled in. Fields that the kind does not need are not read.
//
// What it does not do: MPLS, tunnels, LLC, IP options and extension headers, fragments, ICMP other than echo, urgent data. Put such
// things into the payload of FLUXCAP_FRAME_IP or FLUXCAP_FRAME_ETHERNET, or see fluxcap_packet_gre_encap() and the other functions for tunnels.
struct fluxcap_frame_spec {
  // sizeof(struct fluxcap_frame_spec).
  uint32_t struct_size;
  // FLUXCAP_FRAME_….
  uint32_t kind;
  // FLUXCAP_BUILD_…, joined with |.
  uint32_t flags;
  // 4 or 6; 0: 4.
  uint32_t ip_version;
  // How many of `vlans` there are, 0 to 2.
  uint32_t vlan_count;
  // IPv6: which packets belong to one flow, 20 bits; 0 for none.
  uint32_t flow_label;
  // TCP: number of the first byte of data.
  uint32_t sequence_number;
  // TCP: number of the next byte expected, with FLUXCAP_TCP_ACK.
  uint32_t acknowledgment_number;
  // FLUXCAP_FRAME_ETHERNET: what the payload is, 0x0600 at least.
  uint16_t ether_type;
  // IPv4: groups fragments; without meaning where routers must not make any.
  uint16_t identification;
  // UDP and TCP: from.
  uint16_t source_port;
  // UDP and TCP: to.
  uint16_t destination_port;
  // TCP: how many bytes there is room for, before scaling. 0 says that there is none.
  uint16_t window;
  // Echo: who asks.
  uint16_t echo_identifier;
  // Echo: which question.
  uint16_t echo_sequence;
  // ARP: 1 request, 2 reply; 0: 1.
  uint16_t arp_operation;
  // The tags, the outer one first.
  struct fluxcap_vlan_tag vlans[2];
  // IP: how many hops the packet may take; 0: 64.
  uint8_t hops;
  // IP: differentiated services codepoint, 6 bits.
  uint8_t dscp;
  // IP: explicit congestion notification, 2 bits.
  uint8_t ecn;
  // FLUXCAP_FRAME_IP: what the payload is.
  uint8_t protocol;
  // TCP: FLUXCAP_TCP_…, joined with |.
  uint8_t tcp_flags;
  // TCP: how many bytes of `tcp_options` there are, 0 to 40.
  uint8_t tcp_options_len;
  // Ethernet, and the sender in ARP: from.
  uint8_t source_mac[6];
  // Ethernet: to.
  uint8_t destination_mac[6];
  // The target in ARP; zeros in a request.
  uint8_t arp_target_mac[6];
  // IP, and the sender in ARP: from. Of version 4, the first four bytes.
  uint8_t source_ip[16];
  // IP, and the target in ARP: to. Of version 4, the first four bytes.
  uint8_t destination_ip[16];
  // TCP: the options as on the wire. They are filled up with zeros to whole words.
  uint8_t tcp_options[40];
};

// What a simulated NIC shall be. Zero everywhere but in struct_size and name is an ordinary one.
struct fluxcap_sim_nic_config {
  // sizeof(struct fluxcap_sim_nic_config).
  uint32_t struct_size;
  // Its MTU in bytes, 68 to 65535. 0: 1500.
  uint32_t mtu;
  // Its name, different from the others of its network. Read during the call only.
  const char *name;
  // Its queues, 1 to 256. 0: 1.
  uint32_t queues;
  // Packets on the way to one of its queues, at most; a sender finds the device busy then. 0: 2048.
  uint32_t cable;
  // Packets kept for fluxcap_sim_take_sent() and for fluxcap_sim_take_passed(), at most; a sender finds the device busy then, and
  // the host drops. 0: 65536. FLUXCAP_SIM_KEEP_NOTHING: what is sent without a cable, or passed, is only counted.
  uint32_t keep;
  // 1: its driver has zero-copy. 0: it has not, as that of veth.
  uint32_t zero_copy;
  // 1: the kernel does not know the TX budget option (Linux before 6.17), so one transmit call sends 32 packets. 0: it does.
  uint32_t no_tx_budget;
  // Its Ethernet address. All 0: 02:00:00:00:00:01 for the first NIC of a network, and so on.
  uint8_t mac[6];
  // 0.
  uint8_t reserved[6];
  // How long, in nanoseconds, its driver takes to let go of the queue after a zero-copy socket was closed. So long the queue is taken, and
  // the socket's frames are in quarantine (struct fluxcap_accounting).
  uint64_t release_delay_ns;
};

// What goes wrong on the way into a NIC and in its sockets. Zero everywhere but in struct_size: nothing.
//
// All but max_delay_ns are chances, in parts per million of packets (or of calls), 0 to 1000000. Which packets are hit follows from the
// network's seed alone.
struct fluxcap_sim_faults {
  // sizeof(struct fluxcap_sim_faults).
  uint32_t struct_size;
  // Packets that never arrive.
  uint32_t loss;
  // Packets that arrive twice.
  uint32_t duplication;
  // Packets that overtake up to eight others.
  uint32_t reordering;
  // Packets of which one bit is flipped.
  uint32_t corruption;
  // Packets that are cut short, to no less than an Ethernet header.
  uint32_t truncation;
  // Packets that are late, by up to max_delay_ns, and all behind them.
  uint32_t delay;
  // Packets that start a pause of max_delay_ns, after which all that waited arrive in one burst.
  uint32_t burst;
  // Packets for which the fill ring seems to be empty; counted as the kernel counts it.
  uint32_t starvation;
  // Sent packets whose frames come back late, by up to max_delay_ns.
  uint32_t stalled_completion;
  // Waits that end early, with nothing there. Up to 500000.
  uint32_t spurious_wakeup;
  // Wake-ups, of the program or of the kernel, that have no effect. Up to 500000.
  uint32_t lost_wakeup;
  // How late, at most, in nanoseconds. Not more than a minute.
  uint64_t max_delay_ns;
};

// Bytes that come to a simulated NIC. Read during the call only.
struct fluxcap_sim_packet {
  // The first byte, of the Ethernet header.
  const uint8_t *data;
  // The length in bytes.
  size_t len;
  // When, in nanoseconds from the start of a playback, not going back. For fluxcap_sim_play() with FLUXCAP_SIM_SPEED_RECORDED.
  uint64_t time_ns;
};

// What a simulated NIC counted.
struct fluxcap_sim_counters {
  // sizeof(struct fluxcap_sim_counters), set by you.
  uint32_t struct_size;
  // 1 while a playback is under way.
  uint32_t playing;
  // Packets that reached it.
  uint64_t rx_packets;
  // Packets that left it.
  uint64_t tx_packets;
  // Packets that went on to the host's network stack.
  uint64_t passed;
  // Of these, packets for which the host had no room.
  uint64_t host_dropped;
  // Packets that came while it was down, or for a queue that it has not any more.
  uint64_t rx_down;
  // Packets for which a zero-copy driver had no frame.
  uint64_t rx_missed;
  // Packets that a fault took on the way.
  uint64_t rx_lost;
  // Packets too short or too long to leave; the kernel completes them all the same.
  uint64_t tx_dropped;
};

// How fluxcap_sim_replay_with() plays a capture file, and what of it cannot be played.
struct fluxcap_sim_replay_config {
  // sizeof(struct fluxcap_sim_replay_config).
  uint32_t struct_size;
  // FLUXCAP_SIM_REPLAY_…, joined with |.
  uint32_t flags;
  // FLUXCAP_SIM_SPEED_….
  uint32_t speed;
  // Set by the call: 1 when the file is cut off or damaged, and the packets before are played.
  uint32_t damaged;
  // How often all of it; 0: for ever.
  uint64_t times;
  // Set by the call: how many packets were left out, being of a link type other than Ethernet.
  uint64_t skipped;
  // Set by the call: how many packets were left out, being too short or too long for the NIC.
  uint64_t unfit;
};

// One thing that happened in a simulated network. There may be more kinds in later versions.
struct fluxcap_sim_event {
  // When, in nanoseconds since the network was made.
  uint64_t time_ns;
  // A hash of the packet's bytes (FNV-1a); 0 where there is none.
  uint64_t digest;
  // The number of the NIC, from 0, in the order they were added.
  uint32_t nic;
  // The queue.
  uint32_t queue;
  // FLUXCAP_SIM_…: what.
  uint32_t kind;
  // The packet's length in bytes; 0 where there is none.
  uint32_t len;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library, such as "0.1.0".
//
// Any thread. The text is the library's own.
const char *fluxcap_version(void);

// What went wrong in the last call that failed on this thread: what was tried, what happened, and what to do.
//
// Empty before the first failure; a call that succeeds leaves it as it is. The text belongs to the library, changes with the
// next failure on this thread, and goes with the thread.
const char *fluxcap_last_error(void);

// Closes a socket: takes it out of the XDP program, which goes with its last socket, closes it, and frees the handle.
//
// NULL is a no-op. Packets that you still hold stay good; free them whenever you like. The handle is gone afterwards, and must not
// be in use on another thread.
void fluxcap_raw_free(struct fluxcap_raw *raw);

// A link to the network interface `name`, in the network namespace of the thread that uses it.
//
// On success `*link` is a handle to be freed with fluxcap_link_free(), and the result 0. Whether there is such an interface is seen
// when it is used. Any thread.
int fluxcap_link_interface(const char *name,
                           struct fluxcap_link **link);

// Frees a link. NULL is a no-op. Sockets on it stay open, and a simulated NIC stays in its network.
//
// The handle is gone afterwards, and must not be in use on another thread.
void fluxcap_link_free(struct fluxcap_link *link);

// The UMEM of a socket, to open more sockets on it (`umem` in struct fluxcap_config), or to count its frames.
//
// On success `*umem` is a handle to be freed with fluxcap_umem_free(), and the result 0. The memory stays mapped until the last handle,
// socket and packet is gone.
//
// Errors:
// - -EINVAL: `umem` is NULL; `raw` is NULL or no open socket.
// - -EBUSY: the socket is the port of an engine that runs.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_raw_umem(const struct fluxcap_raw *raw,
                     struct fluxcap_umem **umem);

// Counts who has the frames of a UMEM now, by the ledger, into `*accounting`. Returns 0.
//
// Exact when nobody moves frames meanwhile. First it asks, by a system call or more for each closed socket, whether the kernel has released
// frames in quarantine. In a forked child the numbers are those of the fork.
//
// Errors:
// - -EINVAL: `accounting` is NULL; `umem` is NULL or no open handle to a UMEM.
//
// Any thread.
int fluxcap_umem_accounting(const struct fluxcap_umem *umem,
                            struct fluxcap_accounting *accounting);

// Waits until the kernel has released the frames of closed sockets, or `timeout_ms` milliseconds are over; -1 waits for ever.
//
// Calling it is optional: frames return without it. It is for a program that wants all of them before it goes on. Returns how many frames
// are still in quarantine; 0: none.
//
// It sleeps between looks at the kernel. Neither a stop nor a signal ends it: with -1 it returns only when all frames have been released,
// which may be never (see `quarantined`). On a simulated network simulated time passes meanwhile. In a forked child it does not wait.
//
// Errors:
// - -EINVAL: `timeout_ms` is below -1; `umem` is NULL or no open handle to a UMEM.
//
// Any thread. Sockets on the UMEM may be used, opened and closed meanwhile.
int fluxcap_umem_reclaim(const struct fluxcap_umem *umem,
                         int timeout_ms);

// Frees a handle to a UMEM. NULL is a no-op. Sockets and packets on it stay good.
//
// The handle is gone afterwards, and must not be in use on another thread.
void fluxcap_umem_free(struct fluxcap_umem *umem);

// Opens a socket: UMEM, rings, XDP program, bind. All numbers are checked against each other before the first system call.
//
// On success `*raw` is a handle to be freed with fluxcap_raw_free(), and the result 0. Otherwise the result is negative, `*raw` is not
// written, nothing is left behind, and fluxcap_last_error() tells the cause and the remedy:
// -EINVAL numbers that cannot work, -E2BIG a config with fields this version does not know, -ENODEV no such interface,
// -ENETDOWN it is down, -EBUSY queue taken or foreign XDP program attached, -EPERM missing capability, -ENOBUFS locked-memory
// limit, -ENOMEM memory or hugepages, -EMFILE or -ENFILE no more files can be opened, -EOPNOTSUPP mode demanded in vain,
// -EAFNOSUPPORT no AF_XDP. Any thread.
int fluxcap_open(const struct fluxcap_config *config,
                 struct fluxcap_raw **raw);

// Opens a socket on each of `count` queues, in the order of their numbers in `queues`, all behind one XDP program; with NULL for
// `queues`, on each that the interface has for receiving, of which there may be `count` at most.
//
// Each socket has a UMEM of its own, so that threads share nothing, unless the config gives one. Either way each queue counts as locked
// memory of the size of its UMEM. The config's `queue` says nothing here.
//
// On success the handles are in `raws`, to be freed with fluxcap_raw_free(), and the result says how many. Otherwise `raws` is not written and
// nothing is left behind: -EINVAL no queue, one twice, or one that is not there, -ENOSPC more queues than `count`, and as fluxcap_open().
int fluxcap_open_queues(const struct fluxcap_config *config,
                        const uint32_t *queues,
                        uint32_t count,
                        struct fluxcap_raw **raws);

// Opens `count` sockets, up to 16, on one queue and one UMEM, for an interface with fewer queues than threads that shall work on its packets.
//
// All packets of a flow come to the same socket, with `symmetric` 1 those of both its directions; with 0 the directions may differ. The
// sockets can be used on threads of their own, and closed in any order. On success the handles are in `raws`, to be freed with
// fluxcap_raw_free(), and the result is `count`. Otherwise `raws` is not written and nothing is left behind: -EINVAL a `count` out of
// its range, -EOPNOTSUPP with an XSKMAP of your own, and as fluxcap_open(); -EPERM also without CAP_PERFMON.
int fluxcap_open_fan_out(const struct fluxcap_config *config,
                         uint32_t count,
                         uint32_t symmetric,
                         struct fluxcap_raw **raws);

// Takes up to `count` received packets, writes them to `packets`, and tops the fill ring up.
//
// Returns how many; 0: none now. Each packet is yours until you send or free it. -ENODEV: none, and the interface was removed, or moved to
// another network namespace, which shows within a tenth of a second, or its XDP program was taken off, within a second.
int fluxcap_raw_receive(struct fluxcap_raw *raw,
                        struct fluxcap_packet *packets,
                        uint32_t count);

// Writes up to `count` fresh packets of length 0 to `packets`, each in a free frame. Set `len`, fill in the bytes, and send them.
//
// Takes sent frames back if the pool has not enough. Returns how many; fewer, even 0, when frames run out, and 0 in a forked child. Frames
// return with fluxcap_raw_reap() and fluxcap_packet_free(). Of the free frames of a UMEM each socket keeps up to 128 for itself, but at most
// an eighth of all, divided by the number of sockets that there were when it was opened.
//
// Errors:
// - -EINVAL: `raw` is NULL or no open socket; `packets` is NULL and `count` is not 0, or `count` is above 2^24.
//
// One thread at a time.
int fluxcap_raw_alloc(struct fluxcap_raw *raw,
                      struct fluxcap_packet *packets,
                      uint32_t count);

// Puts packets into the TX ring, in order from the front of the array. They leave with fluxcap_raw_wake_tx().
//
// Sent means that the kernel took the packet. What the device drops then, it tells nobody here: a packet longer than its MTU, and all while
// the peer of a veth is down or the cable is out. `ip -s link show DEVICE` (TX: dropped, carrier) and `ethtool -S DEVICE` have them.
//
// Returns how many were taken; their `data` is NULL then. The others are still yours: wake the kernel, reap, and try again.
// A stale or foreign packet is -EINVAL, one that is empty or leaves its frame -EMSGSIZE, and then none is taken. In an array of more
// than 256 packets, or of more than the TX ring has room for, those before may be taken first: the count says so, and a later call the error.
int fluxcap_raw_send(struct fluxcap_raw *raw,
                     struct fluxcap_packet *packets,
                     uint32_t count);

// Frees a packet: its frame returns to the pool. Any thread.
//
// NULL, and a packet that has moved away, are no-ops. A stale copy is -EINVAL.
int fluxcap_packet_free(struct fluxcap_packet *packet);

// Frees all packets of an array. Any thread. Those that have moved away are skipped.
//
// A stale copy is -EINVAL; the others are freed all the same.
int fluxcap_packets_free(struct fluxcap_packet *packets, uint32_t count);

// Shows up to `max` received packets in place: `*descs` points at copies of their descriptors. Returns how many; 0: none now.
// -ENODEV: none, and the interface was removed, or moved to another network namespace, which shows within a tenth of a second, or its XDP
// program was taken off, within a second.
//
// All are checked: each lies within one frame that is on loan from this socket. They end before one that is not, so there may be more:
// call again after consuming these. You may read and change the bytes until you consume the packets from the
// front, with fluxcap_raw_recycle(), fluxcap_raw_forward() or fluxcap_raw_receive(); `*descs` is good until then, too.
int fluxcap_raw_peek(struct fluxcap_raw *raw,
                     uint32_t max,
                     const struct fluxcap_desc **descs);

// Consumes the first `max` received packets: their frames go back to the kernel, for new packets.
//
// Those that fluxcap_raw_peek() showed last are consumed as they were shown. Frames that the fill ring has no room for go to the pool.
// Returns how many there were; 0: none now, or a forked child. It makes no system call, and does not tell that the interface is gone:
// fluxcap_raw_peek() does.
//
// Errors:
// - -EINVAL: `raw` is NULL or no open socket.
//
// One thread at a time.
int fluxcap_raw_recycle(struct fluxcap_raw *raw,
                        uint32_t max);

// Consumes the first `max` received packets by putting them into the TX ring, with their bytes as they are now.
//
// Those that fluxcap_raw_peek() showed last go as they were shown. Packets that are empty or have options are recycled. They leave with
// fluxcap_raw_wake_tx(); their frames come back with fluxcap_raw_refill() or fluxcap_raw_reap().
//
// Returns how many were consumed; 0: none now, no room in the TX ring, or a forked child. The others stay in the RX ring. It makes no system
// call, and does not tell that the interface is gone: fluxcap_raw_peek() does.
//
// Errors:
// - -EINVAL: `raw` is NULL or no open socket.
//
// One thread at a time.
int fluxcap_raw_forward(struct fluxcap_raw *raw,
                        uint32_t max);

// The start of the UMEM, to which descriptor addresses are offsets; NULL for NULL. The same for as long as the socket is open.
uint8_t *fluxcap_raw_data(const struct fluxcap_raw *raw);

// Tops the fill ring up, with frames just sent and then with free ones. Returns how many; 0 in a forked child.
//
// A part of the frames stays for sending. Without frames in the fill ring the kernel drops what arrives: call it once a batch.
//
// Errors:
// - -EINVAL: `raw` is NULL or no open socket.
//
// One thread at a time.
int fluxcap_raw_refill(struct fluxcap_raw *raw);

// Takes all sent frames back into the pool. Returns how many; 0 in a forked child.
//
// Call it (or fluxcap_raw_refill()) regularly: the kernel stops sending when the completion ring is full. It makes no system call.
//
// Errors:
// - -EINVAL: `raw` is NULL or no open socket.
//
// One thread at a time.
int fluxcap_raw_reap(struct fluxcap_raw *raw);

// Makes the kernel look at the fill ring, if it asks for that. -ENETDOWN: the interface is down; -ENODEV: it was removed,
// which shows within a tenth of a second.
int fluxcap_raw_wake_rx(const struct fluxcap_raw *raw);

// Makes the kernel send what is in the TX ring, if it asks for that.
//
// What the device has no room for stays in the ring, for a later call. -ENETDOWN: the interface is down; -ENODEV: it was removed,
// which shows within a tenth of a second. Nothing is lost then: the packets stay in the ring.
int fluxcap_raw_wake_tx(const struct fluxcap_raw *raw);

// Sends everything in the TX ring and takes the frames back, for at most `timeout_ms` milliseconds; -1: without end.
//
// Returns 1 when the kernel has no packet left, 0 when time ran out. Errors as fluxcap_raw_wake_tx(); -ECANCELED: fluxcap_raw_stop() ended it.
int fluxcap_raw_flush(struct fluxcap_raw *raw,
                      int timeout_ms);

// Waits until what `interest` (FLUXCAP_WAIT_…, or both) names is there, or `timeout_ms` milliseconds are over; -1 waits for ever.
//
// Takes sent frames back and tops the fill ring up first, so that a packet can arrive and a slot become free. Returns the
// FLUXCAP_WAIT_… bits that hold; 0 after the timeout, or a signal. It may return early. -ENODEV: the interface was removed, or moved to
// another network namespace, which shows within a tenth of a second, or its XDP program was taken off, within a second; -ECANCELED:
// fluxcap_raw_stop() ended it, which a wait of 0 leaves to the next one.
int fluxcap_raw_wait(struct fluxcap_raw *raw,
                     uint32_t interest,
                     int timeout_ms);

// Ends a wait in fluxcap_raw_wait() or fluxcap_raw_flush(), which is -ECANCELED then. Without one it ends the next fluxcap_raw_wait() with
// a timeout other than 0, or the next flush that has to wait, so that no stop is lost.
//
// While the handle is open: any thread, at any time, also together with the calls that need it for themselves; and from a signal handler,
// where a write() to a descriptor is all it does. Returns 0, or -EINVAL without a text for what is no socket, or one of an engine.
int fluxcap_raw_stop(const struct fluxcap_raw *raw);

// The socket's file descriptor, to wait on together with others. It stays the socket's own: do not close it.
//
// It is readable while packets wait, and writable while the TX ring is at most half full. Wake-ups may be spurious. Neither that the
// interface was removed nor that frames came home shows there: with packets of fluxcap_raw_receive(), wait on fluxcap_raw_rx_fd().
//
// -EMFILE: a simulated socket gets one when somebody asks, and no more files can be opened; -EOPNOTSUPP: it gets none, outside of Linux.
int fluxcap_raw_fd(const struct fluxcap_raw *raw);

// A file descriptor to wait for packets on, as fluxcap_rx_fd(). It stays the socket's own: do not close it.
//
// It is readable while packets wait, when frames return that the fill ring was out of, and about once a second. Then call
// fluxcap_raw_receive() until it returns 0 or an error, or fluxcap_raw_refill() after fluxcap_raw_peek(), fluxcap_raw_recycle() or
// fluxcap_raw_forward().
//
// Errors:
// - -EMFILE: the first call opens descriptors, and no more files can be opened.
// - -EOPNOTSUPP: there are none outside of Linux.
// - -EINVAL: `raw` is NULL or no open socket, or this is a forked child.
// - -EBUSY: the socket is the port of an engine that runs.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_raw_rx_fd(const struct fluxcap_raw *raw);

// What the socket is: its modes, its geometry, its interface as it was when the socket was bound. Returns 0.
//
// `info->struct_size` must be set.
//
// Errors:
// - -EINVAL: `info` is NULL, or its `struct_size` is one that no version has; `raw` is NULL or no open socket.
// - -EBUSY: the socket is the port of an engine that runs.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_raw_info(const struct fluxcap_raw *raw,
                     struct fluxcap_info *info);

// What the kernel counted for the socket, and the packets that it received and sent. Returns 0.
//
// `statistics->struct_size` must be set.
//
// Errors:
// - -EINVAL: `statistics` is NULL, or its `struct_size` is one that no version has; `raw` is NULL or no open socket.
// - -EBUSY: the socket is the port of an engine that runs.
// - Another errno: the kernel did not tell its counters; fluxcap_last_error() says why.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_raw_statistics(const struct fluxcap_raw *raw,
                           struct fluxcap_statistics *statistics);

// What the XDP program counted for the whole interface. `counters->struct_size` must be set. Returns 0.
//
// All is 0 without a program of this library.
//
// Errors:
// - -EINVAL: `counters` is NULL, or its `struct_size` is one that no version has; `raw` is NULL or no open socket.
// - -EBUSY: the socket is the port of an engine that runs.
// - -EPERM: before Linux 6.0, without CAP_BPF, where kernel.unprivileged_bpf_disabled is set.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_raw_program_counters(const struct fluxcap_raw *raw,
                                 struct fluxcap_program_counters *counters);

// The rings and the owner of every frame. `rings->struct_size` must be set. Returns 0.
//
// Time grows with the number of frames. All is 0 in a forked child.
//
// Errors:
// - -EINVAL: `rings` is NULL, or its `struct_size` is one that no version has; `raw` is NULL or no open socket.
// - -EBUSY: the socket is the port of an engine that runs.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_raw_debug_rings(const struct fluxcap_raw *raw,
                            struct fluxcap_rings *rings);

// What became of each requested setting, as text, one a line: requested, achieved, and why.
//
// Then a line `note: …` for each thing that keeps packets, or parts of them, from the socket: queues without one, offloads that take VLAN
// tags away or merge segments, a device without Ethernet header; with the ethtool words against it.
//
// Writes at most `size` bytes including the final NUL, like snprintf(), and returns the length of the whole text without it.
//
// Errors:
// - -EINVAL: `text` is NULL and `size` is not 0, or `size` is a negative number gone wrong; `raw` is NULL or no open socket.
// - -EBUSY: the socket is the port of an engine that runs.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_raw_report(const struct fluxcap_raw *raw,
                       char *text,
                       size_t size);

// The rings and the owner of every frame, as text for a person.
//
// Writes at most `size` bytes including the final NUL, like snprintf(), and returns the length of the whole text without it. Time grows with
// the number of frames.
//
// Errors:
// - -EINVAL: `text` is NULL and `size` is not 0, or `size` is a negative number gone wrong; `raw` is NULL or no open socket.
// - -EBUSY: the socket is the port of an engine that runs.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_raw_debug_text(const struct fluxcap_raw *raw,
                           char *text,
                           size_t size);

// Pins the calling thread to a CPU, counted from 0 as in /proc/cpuinfo. A thread that spins wants one that nothing else uses.
//
// -EINVAL: there is no such CPU, or this process may not use it; fluxcap_last_error() names those it may. -EOPNOTSUPP: not on Linux.
int fluxcap_poller_pin(uint32_t cpu);

// Mode B: makes two halves of a socket, which know nothing of each other and may be used on different threads at once.
//
// On success `*rx` and `*tx` are handles to be freed with fluxcap_rx_free() and fluxcap_tx_free(), in any order, the handle of the socket
// is gone, with a stop that no wait has taken yet, and the result is 0. Packets that you hold, that stand in a ring or are being sent stay good. When the receiving half is
// gone, no more packets come, and the other one still sends.
int fluxcap_raw_split(struct fluxcap_raw *raw,
                      struct fluxcap_rx **rx,
                      struct fluxcap_tx **tx);

// Takes up to `count` received packets, writes them to `packets`, and tops the fill ring up. Without any it waits for one, as the poller
// says, for at most `timeout_ms` milliseconds; 0: not at all, -1: for ever.
//
// Returns how many; 0 when time is over, or earlier: after a signal, and when nothing can ever arrive on a simulated network. Each packet
// is yours until you send, recycle or free it. -ENODEV: the interface was removed, or moved to another network namespace, which a call that
// finds no packet tells within a tenth of a second, whether it waits or not, or its XDP program was taken off, within a second;
// -ECANCELED: fluxcap_rx_stop() ended the wait; -EINVAL: a wait for 0 packets.
int fluxcap_rx_recv(struct fluxcap_rx *rx,
                    struct fluxcap_packet *packets,
                    uint32_t count,
                    int timeout_ms);

// Gives the frames of packets straight back to the kernel, for new packets: cheaper than to free them. Returns 0; their `data` is NULL then.
//
// A stale packet, or one of another UMEM, is -EINVAL, and then none is taken. In an array of more than 256 packets, those before may be
// taken first: their `data` is NULL.
int fluxcap_rx_recycle(struct fluxcap_rx *rx,
                       struct fluxcap_packet *packets,
                       uint32_t count);

// Tops the fill ring up with free frames, and returns how many; 0 in a forked child. fluxcap_rx_recv() does that, too.
//
// Errors:
// - -EINVAL: `rx` is NULL or no open receiving half.
//
// One thread at a time.
int fluxcap_rx_refill(struct fluxcap_rx *rx);

// Sets how fluxcap_rx_recv() waits. At first it is FLUXCAP_POLLER_ADAPTIVE.
//
// `poller` is one of FLUXCAP_POLLER_…; `spin_us` is how long FLUXCAP_POLLER_ADAPTIVE spins after the last packet, in microseconds; 0: 50.
// The counters of fluxcap_rx_poller_statistics() begin anew.
//
// Errors, after which the poller is as before:
// - -EINVAL: a poller that is not known, or a `spin_us` other than 0 with another poller; `rx` is NULL or no open receiving half.
//
// One thread at a time.
int fluxcap_rx_set_poller(struct fluxcap_rx *rx,
                          uint32_t poller,
                          uint32_t spin_us);

// What the poller did since it was set. `statistics->struct_size` must be set.
int fluxcap_rx_poller_statistics(const struct fluxcap_rx *rx,
                                 struct fluxcap_poller_statistics *statistics);

// Ends a wait in fluxcap_rx_recv(), which is -ECANCELED then. Without one it ends the next, before it begins, so that no stop is lost; a call
// with a `timeout_ms` of 0 does not wait, and leaves it to the next that does.
//
// While the handle is open: any thread, at any time, also together with the calls that need it for themselves; and from a signal handler,
// where a write() to a descriptor is all it does. Returns 0, or -EINVAL without a text for what is no receiving half.
int fluxcap_rx_stop(const struct fluxcap_rx *rx);

// A file descriptor to wait for packets on, together with others, as with epoll. It stays the half's own: do not close it.
//
// It is readable while packets wait; when frames come home that the fill ring was out of, from whatever thread they were freed on; and about
// once a second, so that a loop sees whether the interface is still there. Then call fluxcap_rx_recv() with a `timeout_ms` of 0, until it
// returns 0 or an error: it brings frames that came home to the fill ring, and makes the descriptor unreadable again. A loop that frees
// packets need not do more. It is not the descriptor of the other half, fluxcap_tx_fd().
//
// -EMFILE: the first call opens descriptors, and no more files can be opened; -EOPNOTSUPP: there are none outside of Linux.
int fluxcap_rx_fd(const struct fluxcap_rx *rx);

// What the socket is, as fluxcap_raw_info(). `info->struct_size` must be set. Returns 0.
//
// Errors:
// - -EINVAL: `info` is NULL, or its `struct_size` is one that no version has; `rx` is NULL or no open receiving half.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_rx_info(const struct fluxcap_rx *rx,
                    struct fluxcap_info *info);

// What the kernel counted for the socket, both halves, and what this one received; `sent` is 0. Returns 0.
//
// `statistics->struct_size` must be set.
//
// Errors:
// - -EINVAL: `statistics` is NULL, or its `struct_size` is one that no version has; `rx` is NULL or no open receiving half.
// - Another errno: the kernel did not tell its counters; fluxcap_last_error() says why.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_rx_statistics(const struct fluxcap_rx *rx,
                          struct fluxcap_statistics *statistics);

// What the XDP program counted for the whole interface. `counters->struct_size` must be set. Returns 0.
//
// All is 0 without a program of this library.
//
// Errors:
// - -EINVAL: `counters` is NULL, or its `struct_size` is one that no version has; `rx` is NULL or no open receiving half.
// - -EPERM: before Linux 6.0, without CAP_BPF, where kernel.unprivileged_bpf_disabled is set.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_rx_program_counters(const struct fluxcap_rx *rx,
                                struct fluxcap_program_counters *counters);

// The fill ring into `*fill` and the RX ring into `*ring`, as they stand; zeros in a forked child. Returns 0.
//
// Errors:
// - -EINVAL: `fill` or `ring` is NULL; `rx` is NULL or no open receiving half.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_rx_debug_rings(const struct fluxcap_rx *rx,
                           struct fluxcap_ring_state *fill,
                           struct fluxcap_ring_state *ring);

// What became of each requested setting, as text: see fluxcap_raw_report().
//
// Errors:
// - -EINVAL: `text` is NULL and `size` is not 0, or `size` is a negative number gone wrong; `rx` is NULL or no open receiving half.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_rx_report(const struct fluxcap_rx *rx,
                      char *text,
                      size_t size);

// The UMEM of the socket: see fluxcap_raw_umem(). On success `*umem` is a handle to be freed with fluxcap_umem_free(), and the result 0.
//
// Errors:
// - -EINVAL: `umem` is NULL; `rx` is NULL or no open receiving half.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_rx_umem(const struct fluxcap_rx *rx,
                    struct fluxcap_umem **umem);

// Closes the receiving half: no more packets come. NULL is a no-op. Packets that you still hold stay good.
//
// The handle is gone afterwards, and must not be in use on another thread.
void fluxcap_rx_free(struct fluxcap_rx *rx);

// Sends packets, in order from the front of the array. It takes sent frames back and calls the kernel, as often as that helps. What sent
// means, and who counts what a device drops, fluxcap_raw_send() tells.
//
// Returns how many were taken; their `data` is NULL then. The others are still yours: fluxcap_tx_wait(), and try again.
// A stale or foreign packet is -EINVAL (for one of another UMEM see fluxcap_tx_copy()), one that is empty or leaves its frame -EMSGSIZE, and
// then none is taken; in an array of more than 256 packets, or of more than the TX ring has room for, those before may be taken first: the
// count says so, and a later call the error. After -ENETDOWN, -ENODEV and -ETIME, packets whose `data` is NULL were taken, to be sent when
// that has changed.
int fluxcap_tx_send(struct fluxcap_tx *tx,
                    struct fluxcap_packet *packets,
                    uint32_t count);

// Writes up to `count` fresh packets of length 0 to `packets`, each in a free frame. Set `len`, fill in the bytes, and send them.
//
// Takes sent frames back if there are not enough. Returns how many; fewer, even 0, when that does not help, and 0 in a forked child.
//
// Errors:
// - -EINVAL: `tx` is NULL or no open sending half; `packets` is NULL and `count` is not 0, or `count` is above 2^24.
//
// One thread at a time.
int fluxcap_tx_alloc(struct fluxcap_tx *tx,
                     struct fluxcap_packet *packets,
                     uint32_t count);

// Writes a packet with a copy of `len` bytes at `data` to `*packet`, in a free frame: for packets that lie in another UMEM.
//
// Returns 1, or 0 when no frame is free now. -EMSGSIZE: they do not fit into a frame.
int fluxcap_tx_copy(struct fluxcap_tx *tx,
                    const uint8_t *data,
                    size_t len,
                    struct fluxcap_packet *packet);

// Takes the frames of sent packets back, and returns how many; 0 in a forked child. All calls that send do that, too.
//
// A half that does not send for a while keeps them: call it then. It makes no system call.
//
// Errors:
// - -EINVAL: `tx` is NULL or no open sending half.
//
// One thread at a time.
int fluxcap_tx_reap(struct fluxcap_tx *tx);

// Takes sent frames back, and makes the kernel send what is in the TX ring, if it asks for that. -ENETDOWN, -ENODEV, -ETIME: the
// packets stay in the ring.
int fluxcap_tx_kick(struct fluxcap_tx *tx);

// Sends everything in the TX ring and takes the frames back, for at most `timeout_ms` milliseconds; -1: without end. Errors as
// fluxcap_tx_kick(); -ECANCELED: fluxcap_tx_stop() ended it.
//
// Returns 1 when the kernel has no packet left, 0 when time ran out.
int fluxcap_tx_flush(struct fluxcap_tx *tx,
                     int timeout_ms);

// Waits until the TX ring has room, or `timeout_ms` milliseconds are over; -1 waits for ever. Errors as fluxcap_tx_kick();
// -ECANCELED: fluxcap_tx_stop() ended it, which a wait of 0 leaves to the next one.
//
// Takes sent frames back and calls the kernel meanwhile. If it has to wait, then until the ring is at most half full. Returns 1 when there is
// room, 0 otherwise: when time ran out, after a signal, and when nothing can ever leave on a simulated network.
int fluxcap_tx_wait(struct fluxcap_tx *tx,
                    int timeout_ms);

// Ends a wait in fluxcap_tx_wait() or fluxcap_tx_flush(), which is -ECANCELED then. Without one it ends the next that has to wait, so that no
// stop is lost.
//
// While the handle is open: any thread, at any time, also together with the calls that need it for themselves; and from a signal handler,
// where a write() to a descriptor is all it does. Returns 0, or -EINVAL without a text for what is no sending half.
int fluxcap_tx_stop(const struct fluxcap_tx *tx);

// The number of packets that the TX ring has room for now; 0 in a forked child.
//
// Errors:
// - -EINVAL: `tx` is NULL or no open sending half.
//
// One thread at a time.
int fluxcap_tx_room(struct fluxcap_tx *tx);

// The number of packets that were given to the kernel and whose frames have not been taken back.
//
// Errors:
// - -EINVAL: `tx` is NULL or no open sending half.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_tx_outstanding(const struct fluxcap_tx *tx);

// How long nothing may move, while the kernel has packets to send, until a call is -ETIME, in milliseconds; -1: for ever. At first 1000.
//
// It runs while the half is in use: fluxcap_tx_send(), fluxcap_tx_kick(), fluxcap_tx_flush() and fluxcap_tx_wait() look.
int fluxcap_tx_set_patience(struct fluxcap_tx *tx,
                            int patience_ms);

// The file descriptor, writable while the TX ring is at most half full, to wait on together with others, as with epoll. It stays the half's
// own: do not close it.
//
// It is the socket's, and readable while packets wait. Errors as fluxcap_raw_fd(). Wake-ups may be spurious.
int fluxcap_tx_fd(const struct fluxcap_tx *tx);

// What the socket is, as fluxcap_raw_info(). `info->struct_size` must be set. Returns 0.
//
// Errors:
// - -EINVAL: `info` is NULL, or its `struct_size` is one that no version has; `tx` is NULL or no open sending half.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_tx_info(const struct fluxcap_tx *tx,
                    struct fluxcap_info *info);

// What the kernel counted for the socket, both halves, and what this one sent; `received` is 0. Returns 0.
//
// `statistics->struct_size` must be set.
//
// Errors:
// - -EINVAL: `statistics` is NULL, or its `struct_size` is one that no version has; `tx` is NULL or no open sending half.
// - Another errno: the kernel did not tell its counters; fluxcap_last_error() says why.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_tx_statistics(const struct fluxcap_tx *tx,
                          struct fluxcap_statistics *statistics);

// The TX ring into `*ring` and the completion ring into `*completion`, as they stand; zeros in a forked child. Returns 0.
//
// Errors:
// - -EINVAL: `ring` or `completion` is NULL; `tx` is NULL or no open sending half.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_tx_debug_rings(const struct fluxcap_tx *tx,
                           struct fluxcap_ring_state *ring,
                           struct fluxcap_ring_state *completion);

// What became of each requested setting, as text: see fluxcap_raw_report().
//
// Errors:
// - -EINVAL: `text` is NULL and `size` is not 0, or `size` is a negative number gone wrong; `tx` is NULL or no open sending half.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_tx_report(const struct fluxcap_tx *tx,
                      char *text,
                      size_t size);

// The UMEM of the socket: see fluxcap_raw_umem(). On success `*umem` is a handle to be freed with fluxcap_umem_free(), and the result 0.
//
// Errors:
// - -EINVAL: `umem` is NULL; `tx` is NULL or no open sending half.
//
// Several threads at once, but none together with a call that takes the handle without const.
int fluxcap_tx_umem(const struct fluxcap_tx *tx,
                    struct fluxcap_umem **umem);

// Closes the sending half. NULL is a no-op. Packets that you still hold stay good.
//
// What is in the TX ring may be sent or not: fluxcap_tx_flush() before makes sure. The handle is gone afterwards, and must not be in use on
// another thread.
void fluxcap_tx_free(struct fluxcap_tx *tx);

// Makes an engine of `count` sockets, its ports, counted from 0.
//
// On success `*engine` is a handle to be freed with fluxcap_engine_free(), the sockets are the engine's, their handles are gone, the array is
// all NULL, and the result is 0. Otherwise all sockets are still yours. `config` may be NULL. Any thread.
//
// -EINVAL: no socket, or one twice, or one on another UMEM than the first without `copying`, or a number out of its range.
// -ENOMEM: not enough memory for batches of that size.
int fluxcap_engine_new(struct fluxcap_raw **raws,
                       uint32_t count,
                       const struct fluxcap_engine_config *config,
                       struct fluxcap_engine **engine);

// Gives packets to `callback` until fluxcap_engine_stop() ends it, and returns 0 then. A stop that came before ends it at once.
//
// Errors, after which no frame is lost, and the engine can run again:
// - A negative number that the callback returned, after the packets of its batch went where the callback wanted them.
// - -EMSGSIZE: the callback made a packet that is to be sent end behind its frame.
// - -EINVAL: an entry that is to be sent names the frame of another packet, or a port that is not there. That packet was recycled, the others
//   went where they should. Or an argument is NULL or no handle of its kind, or this is a forked child: nothing was done.
// - -ENODEV: an interface was removed, or moved to another network namespace, which shows within a tenth of a second, or its XDP program was
//   taken off, within a second.
// - -ENETDOWN: an interface is down, and the kernel had to be called for it, as when it has packets to send.
// - -ETIME: an interface sends nothing any more: see `patience_ms` of struct fluxcap_engine_config.
// - -EBUSY: it runs already.
//
// Any thread, one at a time: a second call meanwhile, from the callback or another thread, is -EBUSY and does no harm.
int fluxcap_engine_run(struct fluxcap_engine *engine,
                       fluxcap_callback callback,
                       void *user);

// As fluxcap_engine_run(), for at most `timeout_ms` milliseconds; -1: no such end. Returns 0.
//
// Errors:
// - -EINVAL: `timeout_ms` is below -1.
// - Those of fluxcap_engine_run(): the number of the callback, -EMSGSIZE, -EINVAL, -ENODEV, -ENETDOWN, -ETIME, -EBUSY.
//
// Any thread, one at a time.
int fluxcap_engine_run_for(struct fluxcap_engine *engine,
                           int timeout_ms,
                           fluxcap_callback callback,
                           void *user);

// One turn: a batch of each port that has packets, and whatever the kernel needs. Returns how many packets there were.
//
// It never waits, and ignores a stop. For a loop of your own, with fluxcap_engine_wait() after a turn without packets.
//
// Errors:
// - Those of fluxcap_engine_run(), but not -ETIME, which fluxcap_engine_wait() reports. -ENODEV may show only in a turn without packets.
//
// Any thread, one at a time.
int fluxcap_engine_run_once(struct fluxcap_engine *engine,
                            fluxcap_callback callback,
                            void *user);

// Waits as the engine's poller says, for packets, a stop, or the end of `timeout_ms` milliseconds; -1: for no end. Returns 0, perhaps early.
//
// A stop ends the wait, with 0; it stays for the next run, which it ends before it begins, and ends further waits until then.
//
// Errors:
// - -ENODEV: an interface was removed, or moved to another network namespace, which shows within a tenth of a second, or its XDP program was
//   taken off, within a second.
// - -ETIME: an interface sends nothing any more: see `patience_ms` of struct fluxcap_engine_config.
// - -EBUSY: the engine runs.
// - -EINVAL: `timeout_ms` is below -1; `engine` is NULL or no open engine, or this is a forked child.
//
// Any thread, one at a time.
int fluxcap_engine_wait(struct fluxcap_engine *engine,
                        int timeout_ms);

// Ends the run at the end of the turn that it is in, or its sleep. Without one it ends the next run before it begins, so that no stop is lost.
//
// While the handle is open: any thread, at any time, also together with the calls that need it for themselves; from the callback; and
// from a signal handler, where a write() to a descriptor is all it does. Returns 0, or -EINVAL without a text for what is no engine.
int fluxcap_engine_stop(const struct fluxcap_engine *engine);

// A handle to look at the socket of a port, for all functions that take a `const struct fluxcap_raw *`; NULL when there is no such port.
//
// It is the engine's and goes with it. While the engine runs those functions return -EBUSY, or NULL.
const struct fluxcap_raw *fluxcap_engine_port(const struct fluxcap_engine *engine,
                                              uint32_t port);

// Ends an engine and closes its sockets. NULL is a no-op. Packets that you still hold stay good.
//
// While it runs, as in its own callback, nothing happens, and fluxcap_last_error() says so. Otherwise the handle is gone afterwards, and must
// not be in use on another thread.
void fluxcap_engine_free(struct fluxcap_engine *engine);

// What an engine did. `statistics->struct_size` must be set. -EBUSY: it runs.
int fluxcap_engine_get_statistics(const struct fluxcap_engine *engine,
                                  struct fluxcap_engine_statistics *statistics);

// What passed through a port. `statistics->struct_size` must be set. -EINVAL: there is no such port; -EBUSY: the engine runs.
int fluxcap_engine_port_statistics(const struct fluxcap_engine *engine,
                                   uint32_t port,
                                   struct fluxcap_port_statistics *statistics);

// What an engine did as text, for a person: a line for each port, and one for the whole. -EBUSY: it runs.
//
// Writes at most `size` bytes including the final NUL, like snprintf(), and returns the length of the whole text without it.
int fluxcap_engine_text(const struct fluxcap_engine *engine,
                        char *text,
                        size_t size);

// Makes a group of engines, numbered from 0.
//
// On success `*group` is a handle to be freed with fluxcap_group_free(), the engines are the group's, their handles are gone, the array is all
// NULL, and the result is 0. Otherwise all engines are still yours. Any thread. -EINVAL: no engine, or one twice; -EBUSY: one runs.
int fluxcap_group_new(struct fluxcap_engine **engines,
                      uint32_t count,
                      struct fluxcap_group **group);

// Makes a group of one engine for each of `count` queues of an interface, or with NULL for `queues` of all that it has, whatever `count`.
//
// The sockets are those of fluxcap_open_queues(), the engines run as `engine_config` says, which may be NULL. On success `*group` is a handle
// to be freed with fluxcap_group_free(), and the result 0. Errors as fluxcap_open_queues() and fluxcap_engine_new().
int fluxcap_group_open(const struct fluxcap_config *config,
                       const uint32_t *queues,
                       uint32_t count,
                       const struct fluxcap_engine_config *engine_config,
                       struct fluxcap_group **group);

// Gives each engine's thread a CPU, in the order of the engines; a `count` of 0 leaves them to the scheduler again. Two may have the same.
//
// -EINVAL: not as many as engines, or there is no such CPU, or this process may not use it; fluxcap_last_error() names those it may. All stays
// as it was then. -EOPNOTSUPP: not on Linux.
int fluxcap_group_pin(struct fluxcap_group *group,
                      const uint32_t *cpus,
                      uint32_t count);

// Sets how all engines wait for packets: `poller` and `spin_us` are those of fluxcap_rx_set_poller(). Returns 0.
//
// Errors, after which the pollers are as before:
// - -EINVAL: a poller that is not known, or a `spin_us` other than 0 with a poller other than FLUXCAP_POLLER_ADAPTIVE; `group` is NULL or no
//   open group.
// - -EBUSY: the group runs.
//
// Any thread, one at a time.
int fluxcap_group_set_poller(struct fluxcap_group *group,
                             uint32_t poller,
                             uint32_t spin_us);

// Sets how often the number of queues is looked at during a run, in milliseconds, 1 or more; -1: only at its start and its end.
//
// At first it is 1000. Returns 0.
//
// Errors:
// - -EINVAL: `interval_ms` is 0 or below -1; `group` is NULL or no open group.
// - -EBUSY: the group runs.
//
// Any thread, one at a time.
int fluxcap_group_set_watch(struct fluxcap_group *group,
                            int interval_ms);

// Calls `callback` with `user` when the number of queues of an interface has changed during a run. NULL calls none. Returns 0.
//
// It takes the place of the callback before. It is called on the thread that called fluxcap_group_run(), until another one takes its place or
// the group is freed: `user` must be good so long.
//
// Errors:
// - -EINVAL: `group` is NULL or no open group.
// - -EBUSY: the group runs; so a callback cannot change it.
//
// Any thread, one at a time.
int fluxcap_group_on_queue_change(struct fluxcap_group *group,
                                  fluxcap_queue_callback callback,
                                  void *user);

// Runs all engines, each on a thread of its own, until fluxcap_group_stop() ends them, and returns 0 then. A stop that came before ends it at
// once.
//
// Each thread calls `callback` with the entry of `users` for its engine; NULL for `users`: with NULL. When one engine ends, for whatever
// reason, all end. The group can run again.
//
// Errors:
// - The first error of an engine, as fluxcap_engine_run().
// - -EAGAIN: a thread cannot be had.
// - -EBUSY: the group runs already.
// - -EINVAL: `callback` is NULL; `group` is NULL or no open group.
//
// Any thread, one at a time: a second call meanwhile, from a callback or another thread, is -EBUSY and does no harm.
int fluxcap_group_run(struct fluxcap_group *group,
                      fluxcap_callback callback,
                      void *const *users);

// As fluxcap_group_run(), for at most `timeout_ms` milliseconds; -1: no such end. Returns 0.
//
// Errors:
// - -EINVAL: `timeout_ms` is below -1.
// - Those of fluxcap_group_run(): the first error of an engine, -EAGAIN, -EBUSY.
//
// Any thread, one at a time.
int fluxcap_group_run_for(struct fluxcap_group *group,
                          int timeout_ms,
                          fluxcap_callback callback,
                          void *const *users);

// Ends the run of all engines. Without one it ends the next run before it begins, so that no stop is lost.
//
// While the handle is open: any thread, at any time, also together with the calls that need it for themselves; from a callback; and from
// a signal handler, where a write() to a descriptor for each engine is all it does. Returns 0, or -EINVAL without a text for what is no group.
int fluxcap_group_stop(const struct fluxcap_group *group);

// A handle to look at the socket of a port of an engine, as fluxcap_engine_port(); it goes with the group.
const struct fluxcap_raw *fluxcap_group_port(const struct fluxcap_group *group,
                                             uint32_t engine,
                                             uint32_t port);

// Ends a group and closes its sockets. NULL is a no-op. Packets that you still hold stay good.
//
// While it runs, as in a callback, nothing happens, and fluxcap_last_error() says so. Otherwise the handle is gone afterwards, and must not be in
// use on another thread.
void fluxcap_group_free(struct fluxcap_group *group);

// What the engines did, all together. `statistics->struct_size` must be set. -EBUSY: they run.
int fluxcap_group_get_statistics(const struct fluxcap_group *group,
                                 struct fluxcap_group_statistics *statistics);

// What one engine did. `statistics->struct_size` must be set. -EINVAL: there is no such engine; -EBUSY: they run.
int fluxcap_group_engine_statistics(const struct fluxcap_group *group,
                                    uint32_t engine,
                                    struct fluxcap_engine_statistics *statistics);

// What the engines did as text, for a person: a line for each, one for the whole, and one for each change of a number of queues. -EBUSY: they run.
//
// Writes at most `size` bytes including the final NUL, like snprintf(), and returns the length of the whole text without it.
int fluxcap_group_text(const struct fluxcap_group *group,
                       char *text,
                       size_t size);

// Parses the Ethernet header at the start of `data`. Returns its length, 14; -EINVAL when there is none.
int fluxcap_ethernet_header_parse(const void *data,
                                  size_t len,
                                  struct fluxcap_ethernet_header *header);

// Swaps the addresses of the Ethernet header at the start of `data`. Returns its length, 14; -EINVAL when there is none.
int fluxcap_ethernet_header_swap(void *data,
                                 size_t len);

// Parses the ARP message at the start of `data`, behind the Ethernet header. Returns its length, 28; -EINVAL when there is none.
int fluxcap_arp_header_parse(const void *data,
                             size_t len,
                             struct fluxcap_arp_header *header);

// Turns the ARP request at the start of `packet`, which begins with its Ethernet header, into the reply that names `mac`.
//
// Returns the length of both headers, 42; -EINVAL when there is none.
int fluxcap_arp_reply(void *packet,
                      size_t len,
                      const uint8_t *mac);

// Parses the IPv4 header at the start of `data`, behind the Ethernet header. Returns its length with options; -EINVAL when there is
// none, or when `total_length` exceeds `len`.
int fluxcap_ipv4_header_parse(const void *data,
                              size_t len,
                              struct fluxcap_ipv4_header *header);

// Parses the ICMP echo message at the start of `data`, which ends with the message, so that its checksum can be checked.
//
// Returns the length of its header, 8; -EINVAL when it is no echo request or reply.
int fluxcap_icmp_echo_header_parse(const void *data,
                                   size_t len,
                                   struct fluxcap_icmp_echo_header *header);

// Turns the ICMP echo request in `packet`, which begins with its Ethernet header, into the reply: swaps the addresses, changes the
// type, updates the checksum. Returns the length of all headers; -EINVAL when it is none.
int fluxcap_icmp_echo_reply(void *packet,
                            size_t len);

// The Internet checksum (RFC 1071) of `len` bytes, in host byte order: 0 over data that contains its right checksum.
//
// NULL counts as no bytes.
uint16_t fluxcap_checksum(const void *data,
                          size_t len);

// Parses the VLAN tag at the start of `data`, behind the Ethernet header. Returns its length, 4; -EINVAL when there is none.
int fluxcap_vlan_header_parse(const void *data,
                              size_t len,
                              struct fluxcap_vlan_header *header);

// Parses the IPv6 header at the start of `data`, behind the Ethernet header. Returns its length with extension headers, behind
// which `protocol` starts; -EINVAL when there is none, when `payload_length` exceeds `len`, or when there are more than eight
// extension headers.
int fluxcap_ipv6_header_parse(const void *data,
                              size_t len,
                              struct fluxcap_ipv6_header *header);

// Parses the UDP header at the start of `data`, behind the IP header. Returns its length, 8; -EINVAL when there is none, or when
// `length` exceeds `len`.
int fluxcap_udp_header_parse(const void *data,
                             size_t len,
                             struct fluxcap_udp_header *header);

// Parses the TCP header at the start of `data`, behind the IP header. Returns its length with options; -EINVAL when there is none.
int fluxcap_tcp_header_parse(const void *data,
                             size_t len,
                             struct fluxcap_tcp_header *header);

// Finds all headers of `data`, a packet of `len` bytes that begins with its Ethernet header, in one pass: VLAN tags, MPLS labels, IPv4,
// IPv6 with its extension headers, TCP, UDP, ICMP. Unknown protocols are payload. Checksums are not looked at.
//
// `flags` are FLUXCAP_PARSE_…, joined with |, or 0; `headers->struct_size` must be set. Returns 0. -EINVAL when a header is cut short or
// a length cannot be, and then fluxcap_last_error() names field and offset, and `headers` is as it was; with FLUXCAP_PARSE_PARTIAL, that
// is 0 and FLUXCAP_HEADERS_PARTIAL.
int fluxcap_parse(const void *data,
                  size_t len,
                  uint32_t flags,
                  struct fluxcap_headers *headers);

// fluxcap_parse() in a network that uses other numbers than the standards.
//
// -EINVAL also when `parser` is NULL or its `struct_size` is not set.
int fluxcap_parse_with(const struct fluxcap_parser *parser,
                       const void *data,
                       size_t len,
                       uint32_t flags,
                       struct fluxcap_headers *headers);

// fluxcap_parse() of `count` packets, as FLUXCAP_PARSE_PARTIAL has it: those that are cut short or damaged have FLUXCAP_HEADERS_PARTIAL, and
// one that has moved away is empty.
//
// `headers` is an array of `count` structs, of which the first one's `struct_size` must be set: it counts for all, and is written into
// each. Returns how many packets are whole. A packet is never an error.
//
// Errors:
// - -EINVAL: `flags` has unknown bits; `count` is above 2^24; or it is not 0, and `packets` or `headers` is NULL, or the first
//   `struct_size` is one that no version has. Nothing is written then.
//
// Any thread. It changes nothing but `headers`.
int fluxcap_parse_batch(const struct fluxcap_packet *packets,
                        uint32_t count,
                        uint32_t flags,
                        struct fluxcap_headers *headers);

// fluxcap_parse_batch() in a network that uses other numbers than the standards.
//
// -EINVAL also when `parser` is NULL or its `struct_size` is not set.
int fluxcap_parse_batch_with(const struct fluxcap_parser *parser,
                             const struct fluxcap_packet *packets,
                             uint32_t count,
                             uint32_t flags,
                             struct fluxcap_headers *headers);

// fluxcap_parse_batch() of the packets that a callback gets. Returns how many packets are whole.
//
// Errors:
// - -EINVAL: `flags` has unknown bits; `count` is above 2^24; or it is not 0, and `packets` or `headers` is NULL, or the first
//   `struct_size` is one that no version has. Nothing is written then.
//
// For the thread that the callback runs on.
int fluxcap_parse_refs(const struct fluxcap_packet_ref *packets,
                       uint32_t count,
                       uint32_t flags,
                       struct fluxcap_headers *headers);

// fluxcap_parse_refs() in a network that uses other numbers than the standards.
//
// -EINVAL also when `parser` is NULL or its `struct_size` is not set.
int fluxcap_parse_refs_with(const struct fluxcap_parser *parser,
                            const struct fluxcap_packet_ref *packets,
                            uint32_t count,
                            uint32_t flags,
                            struct fluxcap_headers *headers);

// Changes addresses and ports of `packet`, which begins with its Ethernet header, in place. All checksums follow; a UDP checksum of
// 0 stays. A checksum that its sender left to the network card (veth, virtio) stays unfinished, and whoever gets the packet from another
// machine drops it: a forwarder calls fluxcap_checksum_complete(), too. VLAN tags, IP options and extension headers are passed over.
//
// Returns 0. -EINVAL when not everything can be changed, and then nothing is: the packet is of the other IP version, has no ports,
// or is malformed.
int fluxcap_rewrite_apply(const struct fluxcap_rewrite *rewrite,
                          void *packet,
                          size_t len);

// Finishes the TCP or UDP checksum of `packet`, which begins with its Ethernet header, if its sender left that to the network card,
// as Linux does for packets that stay on the machine (veth, virtio). Without that, who receives the packet drops it.
//
// Such a checksum is recognised by its value, the sum of the pseudo header; of other checksums one in 65536 has it by coincidence.
// Where that is the right checksum, the packet stays as it is, but a damaged one gets a right checksum: do not call this for packets
// that came over a wire.
//
// Returns 1 when the checksum was finished, 0 when the packet is as it was: its checksum is not partial or right all the same, or it is
// neither TCP nor UDP, a fragment, or malformed.
int fluxcap_checksum_complete(void *packet,
                              size_t len);

// Moves the start of a packet by `delta` bytes, as bpf_xdp_adjust_head() does: a negative one puts so many bytes in front, which hold
// whatever the frame held before, a positive one takes them off.
//
// Returns 0. -EMSGSIZE beyond the start of the frame or the packet's length, and when it would begin at the very end of its frame; it stays as
// it was then. Copies of the struct are stale in any case.
int fluxcap_packet_adjust_head(struct fluxcap_packet *packet,
                               int32_t delta);

// Moves the end of a packet by `delta` bytes, as bpf_xdp_adjust_tail() does: a positive one puts so many bytes behind, which hold
// whatever the frame held before, a negative one takes them off.
//
// Returns 0. -EMSGSIZE beyond the end of the frame or the packet's length; it stays as it was then.
int fluxcap_packet_adjust_tail(struct fluxcap_packet *packet,
                               int32_t delta);

// Puts a VLAN tag in front of what the frame carries, outermost.
//
// Returns 0. -EMSGSIZE when fewer than 4 bytes are free in front, -EINVAL without an Ethernet header and for a tag that cannot be. After an
// error the packet is as it was, here and in all functions that follow.
int fluxcap_packet_push_vlan(struct fluxcap_packet *packet,
                             const struct fluxcap_vlan_tag *tag);

// Takes the outermost VLAN tag off, into `*tag` if that is not NULL. Returns 0; -EINVAL when there is none.
int fluxcap_packet_pop_vlan(struct fluxcap_packet *packet,
                            struct fluxcap_vlan_tag *tag);

// Puts an MPLS label on top of the stack, behind the Ethernet header and its VLAN tags; the first one makes the packet an MPLS packet.
//
// Returns 0. -EMSGSIZE when fewer than 4 bytes are free in front, -EINVAL without an Ethernet header and for a label that cannot be.
int fluxcap_packet_push_mpls(struct fluxcap_packet *packet,
                             const struct fluxcap_mpls_label *label);

// Takes the label on top of the stack off, into `*label` if that is not NULL. If it was the last one, the packet becomes what
// `ether_type` says; with 0, what it seems to be, IPv4 or IPv6.
//
// Returns 0. -EINVAL when there is no label, and when what is behind the last one is neither told nor seen.
int fluxcap_packet_pop_mpls(struct fluxcap_packet *packet,
                            uint16_t ether_type,
                            struct fluxcap_mpls_label *label);

// Puts a packet into a GRE tunnel (RFC 2784, RFC 2890). All lengths and checksums are filled in.
// A checksum inside that was left to the network card stays so: call fluxcap_checksum_complete() first.
//
// Returns 0. -EMSGSIZE when not enough bytes are free in front, 70 at most, or the packet would be too long, -EINVAL without an Ethernet header
// and for a tunnel that cannot be.
int fluxcap_packet_gre_encap(struct fluxcap_packet *packet,
                             const struct fluxcap_tunnel *tunnel);

// Takes a packet out of a GRE tunnel, with what is behind it, such as padding. What the tunnel said goes into `*tunnel` if that is not
// NULL. A packet that was carried without its Ethernet header gets the addresses of the outer one. No checksum is looked at.
//
// Returns 0. -EINVAL when it is no GRE packet, a fragment of one, or malformed.
int fluxcap_packet_gre_decap(struct fluxcap_packet *packet,
                             struct fluxcap_gre_tunnel *tunnel);

// Puts a frame into a VXLAN tunnel (RFC 7348). All lengths and checksums are filled in; over IPv4 there is no UDP checksum unless asked for.
// A checksum inside that was left to the network card stays so: call fluxcap_checksum_complete() first.
//
// Returns 0. -EMSGSIZE when fewer than 50 bytes are free in front, over IPv6 70, or the packet would be too long, -EINVAL without an Ethernet
// header and for a tunnel that cannot be.
int fluxcap_packet_vxlan_encap(struct fluxcap_packet *packet,
                               const struct fluxcap_tunnel *tunnel);

// Takes a frame out of a VXLAN tunnel, with what is behind it, such as padding. The network identifier goes into `*vni` if that is not
// NULL. `port` is the UDP port that VXLAN comes to; 0: 4789. No checksum is looked at.
//
// Returns 0. -EINVAL when it is no UDP datagram to that port, a fragment of one, or malformed.
int fluxcap_packet_vxlan_decap(struct fluxcap_packet *packet,
                               uint16_t port,
                               uint32_t *vni);

// fluxcap_packet_adjust_head(), of a packet of the callback that runs on this thread: what is sent is the packet as it is then.
//
// -EINVAL where no callback runs, -EMSGSIZE when `data` and `len` are not those of a packet, here and in all functions that follow.
int fluxcap_packet_ref_adjust_head(struct fluxcap_packet_ref *packet,
                                   int32_t delta);

// fluxcap_packet_adjust_tail(), of a packet of the callback that runs on this thread.
int fluxcap_packet_ref_adjust_tail(struct fluxcap_packet_ref *packet, int32_t delta);

// fluxcap_packet_push_vlan(), of a packet of the callback that runs on this thread.
int fluxcap_packet_ref_push_vlan(struct fluxcap_packet_ref *packet,
                                 const struct fluxcap_vlan_tag *tag);

// fluxcap_packet_pop_vlan(), of a packet of the callback that runs on this thread.
int fluxcap_packet_ref_pop_vlan(struct fluxcap_packet_ref *packet, struct fluxcap_vlan_tag *tag);

// fluxcap_packet_push_mpls(), of a packet of the callback that runs on this thread.
int fluxcap_packet_ref_push_mpls(struct fluxcap_packet_ref *packet,
                                 const struct fluxcap_mpls_label *label);

// fluxcap_packet_pop_mpls(), of a packet of the callback that runs on this thread.
int fluxcap_packet_ref_pop_mpls(struct fluxcap_packet_ref *packet,
                                uint16_t ether_type,
                                struct fluxcap_mpls_label *label);

// fluxcap_packet_gre_encap(), of a packet of the callback that runs on this thread.
int fluxcap_packet_ref_gre_encap(struct fluxcap_packet_ref *packet,
                                 const struct fluxcap_tunnel *tunnel);

// fluxcap_packet_gre_decap(), of a packet of the callback that runs on this thread.
int fluxcap_packet_ref_gre_decap(struct fluxcap_packet_ref *packet,
                                 struct fluxcap_gre_tunnel *tunnel);

// fluxcap_packet_vxlan_encap(), of a packet of the callback that runs on this thread.
int fluxcap_packet_ref_vxlan_encap(struct fluxcap_packet_ref *packet,
                                   const struct fluxcap_tunnel *tunnel);

// fluxcap_packet_vxlan_decap(), of a packet of the callback that runs on this thread.
int fluxcap_packet_ref_vxlan_decap(struct fluxcap_packet_ref *packet, uint16_t port, uint32_t *vni);

// Builds a frame with a payload, NULL for none, into the `size` bytes at `buffer`. The payload must not lie within them.
//
// Returns the length of the frame. -EMSGSIZE when it does not fit, and -EINVAL for a spec that cannot be; the buffer holds anything
// then.
int fluxcap_frame_build(const struct fluxcap_frame_spec *spec,
                        const void *payload,
                        size_t payload_len,
                        void *buffer,
                        size_t size);

// Replaces the content of a packet by a frame with a payload, NULL for none. The frame begins where the packet does, so that the free
// bytes in front stay free. The payload must not lie in the packet's own frame.
//
// Returns the length of the frame. -EMSGSIZE when it does not fit, and -EINVAL for a spec that cannot be; the packet is empty, or as
// it was. Copies of the struct are stale in any case.
int fluxcap_packet_build(struct fluxcap_packet *packet,
                         const struct fluxcap_frame_spec *spec,
                         const void *payload,
                         size_t payload_len);

// fluxcap_packet_build(), for a packet that a callback looks at: an answer in its place. Set its verdict to send it.
int fluxcap_packet_ref_build(struct fluxcap_packet_ref *packet,
                             const struct fluxcap_frame_spec *spec,
                             const void *payload,
                             size_t payload_len);

// Writes one line about a packet, in the style of `tcpdump -nn`, without a line end.
//
// `data` are `len` bytes, which begin with the Ethernet header. A line is `IP 10.0.0.1.1234 > 10.0.0.2.80: Flags [S], seq 1, win 64240,
// length 0`. Any bytes will do: what is cut off is told as `[|tcp]`, what cannot be as `[bad ip IHL 4]`. `flags` are 0 or
// FLUXCAP_FORMAT_…. The words are for people, and may get better from version to version.
//
// Writes at most `size` bytes including the final NUL, like snprintf(), and returns the length of the whole text without it. Nothing
// is allocated. `text` and `data` do not overlap.
//
// Errors:
// - -EINVAL: `flags` has unknown bits; `data` is NULL and `len` is not 0; `text` is NULL and `size` is not 0; or a length is a negative
//   number gone wrong.
//
// Any thread.
int fluxcap_format(const void *data,
                   size_t len,
                   uint32_t flags,
                   char *text,
                   size_t size);

// The Internet checksum `checksum` after `len` of the bytes that it covers changed from `old_bytes` to `new_bytes` (RFC 1624).
//
// They start at an even distance from the first byte covered, and are an even number or the last ones. A checksum that was wrong
// stays wrong. For UDP, leave a 0 alone, and send 0xffff for 0. NULL counts as no bytes.
uint16_t fluxcap_checksum_update(uint16_t checksum,
                                 const void *old_bytes,
                                 const void *new_bytes,
                                 size_t len);

// Checks the checksums of `packet`, which begins with its Ethernet header: that of the IPv4 header, and that of TCP, UDP, ICMP or
// ICMPv6, pseudo header included: with the last station of a source-routed packet, and the home address of a mobile node (RFC 6275).
// VLAN tags, IP options and extension headers are passed over.
//
// Returns FLUXCAP_CHECKSUM_WRONG, …_RIGHT, …_PARTIAL or …_UNKNOWN; -EINVAL when headers are malformed.
int fluxcap_checksum_verify(const void *packet,
                            size_t len);

// Writes the checksums that fluxcap_checksum_verify() checks.
//
// Returns 1, or 0 when only that of the IPv4 header could be written, if there is one: the packet is a fragment, of another protocol, or
// has yet to pass stations of which the last is not known. -EINVAL when headers are malformed, and then nothing is written.
int fluxcap_checksum_fill(void *packet,
                          size_t len);

// Takes one hop off the TTL or hop limit of `packet`, which begins with its Ethernet header, as routers do, and adjusts the checksum
// of an IPv4 header.
//
// Returns 1, or 0 when no hop is left and the packet must not be forwarded: it is as it was. -EINVAL when it is not IP, or malformed.
int fluxcap_decrement_ttl(void *packet,
                          size_t len);

// Lowers the maximum segment size that a TCP connection is opened with, where it is larger than `max`, in `packet`, which begins with
// its Ethernet header. The checksum follows, a partial one too.
//
// Returns 1, or 0 when the packet is as it was: the size is no larger, it has none, opens no connection, or is no TCP. -EINVAL when
// headers or TCP options are malformed, and then nothing is changed.
int fluxcap_clamp_mss(void *packet,
                      size_t len,
                      uint16_t max);

// Makes a network without NICs. Its faults follow from `seed`: the same seed and the same calls on one thread give the same trace.
//
// On success `*sim` is a handle to be freed with fluxcap_sim_free(), and the result 0. Any thread.
int fluxcap_sim_create(uint64_t seed,
                       struct fluxcap_sim **sim);

// Frees a network's handle, and ends its thread. NULL is a no-op.
//
// Links and sockets of the network stay good: it goes with the last of them. The handle is gone afterwards, and must not be in use on
// another thread.
void fluxcap_sim_free(struct fluxcap_sim *sim);

// Adds a NIC to the network. It is up, and without a cable.
//
// On success `*link` is a handle to it, to be freed with fluxcap_link_free(), and the result 0. -EINVAL: a number out of its range;
// -EEXIST: a name that the network has already. Any thread.
int fluxcap_sim_add(const struct fluxcap_sim *sim,
                    const struct fluxcap_sim_nic_config *config,
                    struct fluxcap_link **link);

// Finds the NIC of this name. On success `*link` is one more handle to it, to be freed with fluxcap_link_free(), and the result 0.
//
// -ENODEV: there is none. Any thread.
int fluxcap_sim_find(const struct fluxcap_sim *sim,
                     const char *name,
                     struct fluxcap_link **link);

// Joins two NICs of the network by a cable: what one sends, the other receives, on the queue of the same number.
//
// -EINVAL: twice the same, or not of this network; -EBUSY: one has a cable already; -ENODEV: one was removed. Any thread.
int fluxcap_sim_join(const struct fluxcap_sim *sim,
                     const struct fluxcap_link *one,
                     const struct fluxcap_link *other);

// Handles up to `budget` packets that are due, and returns how many; 0: nothing is left to do at this time.
//
// Those are packets that leave a zero-copy socket, are played, arrive, or are completed late.
//
// Errors:
// - -EINVAL: `sim` is NULL or no open network, or this is a forked child.
//
// Any thread.
int fluxcap_sim_step(const struct fluxcap_sim *sim,
                     uint32_t budget);

// Steps until nothing is left to do at this time, and returns how many packets were handled (INT_MAX: that many or more).
//
// Ends after some hundred million packets at the latest: a playback for ever has no end.
//
// Errors:
// - -EINVAL: `sim` is NULL or no open network, or this is a forked child.
//
// Any thread.
int fluxcap_sim_settle(const struct fluxcap_sim *sim);

// Lets `nanoseconds` of simulated time pass, in which all happens that is due: delayed packets arrive, recorded traffic is played. Returns 0.
//
// While the network's thread runs, real time counts, and this waits for it. Without it, traffic at full speed comes at one packet a
// microsecond.
//
// Errors:
// - -EINVAL: `sim` is NULL or no open network, or this is a forked child.
//
// Any thread.
int fluxcap_sim_advance(const struct fluxcap_sim *sim,
                        uint64_t nanoseconds);

// The nanoseconds since the network was made, as its packets see it, into `*nanoseconds`. Any thread.
int fluxcap_sim_now(const struct fluxcap_sim *sim,
                    uint64_t *nanoseconds);

// Starts a thread that moves packets as they come, in real time. -EBUSY: it runs already. Any thread.
//
// With it, programs of several threads run as on a real machine; without it, a single thread sees the same happen each time.
int fluxcap_sim_start(const struct fluxcap_sim *sim);

// Ends the thread; time is simulated again, and goes on from where it is. Without a thread it is a no-op. Any thread.
int fluxcap_sim_stop(const struct fluxcap_sim *sim);

// What goes wrong from now on, at all NICs, and at those to come. -EINVAL: a chance or the delay is out of its range. Any thread.
int fluxcap_sim_set_faults(const struct fluxcap_sim *sim,
                           const struct fluxcap_sim_faults *faults);

// Lets a packet arrive at a queue of a simulated NIC, as if it came over the cable; it is handled in the network's next step.
//
// -EINVAL: no such queue; -EMSGSIZE: shorter than an Ethernet header, or longer than the MTU with header and VLAN tag; -ENOBUFS: the cable
// is full; -ENETDOWN: the NIC is down; -ENODEV: it was removed. Any thread.
int fluxcap_sim_inject(const struct fluxcap_link *link,
                       uint32_t queue,
                       const uint8_t *data,
                       size_t len);

// Lets packets arrive at a queue of a simulated NIC in order, at once. Returns how many had room on the cable.
//
// The errors are those of fluxcap_sim_inject(), but for a full cable, which shows as a smaller count; no packet arrives if one of them is
// invalid. Any thread.
int fluxcap_sim_inject_batch(const struct fluxcap_link *link,
                             uint32_t queue,
                             const struct fluxcap_sim_packet *packets,
                             uint32_t count);

// Lets the host's network stack send a packet through a simulated NIC. The errors are those of fluxcap_sim_inject(). Any thread.
int fluxcap_sim_host_send(const struct fluxcap_link *link,
                          uint32_t queue,
                          const uint8_t *data,
                          size_t len);

// Takes the oldest packet that left a simulated NIC and was not taken yet. Only a NIC without a cable keeps what it sent.
//
// Returns its length; 0 when there is none. -EMSGSIZE: it is longer than `size`, and waits. Any thread.
int fluxcap_sim_take_sent(const struct fluxcap_link *link,
                          uint8_t *buffer,
                          size_t size);

// Takes the oldest packet that the host's network stack received from a simulated NIC and that was not taken yet.
//
// Returns its length; 0 when there is none. -EMSGSIZE: it is longer than `size`, and waits. Any thread.
int fluxcap_sim_take_passed(const struct fluxcap_link *link,
                            uint8_t *buffer,
                            size_t size);

// Sets a simulated NIC up (1) or down (0). It begins up. What arrives while it is down is lost, and counted. -ENODEV: it was removed.
// Any thread.
int fluxcap_sim_set_up(const struct fluxcap_link *link,
                       uint32_t up);

// Changes the number of queues of a simulated NIC, as `ethtool -L` does.
//
// -EINVAL: a number that cannot be, or a queue that would go has a socket; -ENODEV: the NIC was removed. Any thread.
int fluxcap_sim_set_queues(const struct fluxcap_link *link,
                           uint32_t queues);

// Changes the MTU of a simulated NIC. -EINVAL: it cannot be; -ENODEV: the NIC was removed. Any thread.
int fluxcap_sim_set_mtu(const struct fluxcap_link *link,
                        uint32_t mtu);

// What goes wrong on the way into this simulated NIC and in its sockets, from now on.
//
// -EINVAL: a chance or the delay is out of its range; -ENODEV: the NIC was removed. Any thread.
int fluxcap_sim_link_faults(const struct fluxcap_link *link,
                            const struct fluxcap_sim_faults *faults);

// Starts to play packets into a queue of a simulated NIC, in place of what is played there now: `speed` (FLUXCAP_SIM_SPEED_…) says how
// fast, `times` how often all of them; 0: for ever.
//
// The packets are copied. -EINVAL: none, no such queue, or an unknown speed; -EMSGSIZE: one is too short or too long, and named; nothing is
// played then. -ENETDOWN: the NIC is down; -ENODEV: it was removed. Any thread.
int fluxcap_sim_play(const struct fluxcap_link *link,
                     uint32_t queue,
                     const struct fluxcap_sim_packet *packets,
                     uint32_t count,
                     uint32_t speed,
                     uint64_t times);

// Ends all playbacks into a simulated NIC. Returns 0.
//
// Errors:
// - -EINVAL: `link` is NULL or no open link, or that of an interface of the machine, or this is a forked child.
//
// Any thread.
int fluxcap_sim_play_end(const struct fluxcap_link *link);

// What a simulated NIC counted. `counters->struct_size` must be set. Any thread.
int fluxcap_sim_get_counters(const struct fluxcap_link *link,
                             struct fluxcap_sim_counters *counters);

// Takes a simulated NIC out of its network, as when a card is unplugged. Its sockets learn that it is gone (-ENODEV); the handle still has
// to be freed. Any thread.
int fluxcap_sim_remove(const struct fluxcap_link *link);

// Starts to play a capture file, pcap or pcapng, into a queue of a simulated NIC, in place of what is played there now.
//
// `speed` (FLUXCAP_SIM_SPEED_…) says how fast, `times` how often all of it; 0: for ever. The file is read whole before this returns how many
// packets it has. Packets of interfaces that are not Ethernet are left out; fluxcap_sim_replay_with() counts them. -ENOENT: no such file; -EACCES: it may not be read; -EINVAL: it is no capture file, a damaged or an empty one, there is
// no such queue, or the speed is unknown; -EOPNOTSUPP: its packets are not of Ethernet; -EMSGSIZE: a packet is too short or too long for the
// NIC, and named. Nothing is played then. -ENETDOWN: the NIC is down; -ENODEV: it was removed. Any thread.
int fluxcap_sim_replay(const struct fluxcap_link *link,
                       uint32_t queue,
                       const char *path,
                       uint32_t speed,
                       uint64_t times);

// fluxcap_sim_replay() of a file of which not everything can be played. Returns how many packets are.
//
// `replay->struct_size` must be set, and what the call sets is 0 or anything. The errors are those of fluxcap_sim_replay(), but for what
// `flags` allow; a file without a single packet that can be played is an error all the same. Any thread.
int fluxcap_sim_replay_with(const struct fluxcap_link *link,
                            uint32_t queue,
                            const char *path,
                            struct fluxcap_sim_replay_config *replay);

// Writes what arrives at a simulated NIC and what leaves it into a capture file, until fluxcap_sim_record_end(): a pcap file if its name
// ends so, and otherwise a pcapng file. Times count from when the network was made.
//
// A file that is there is overwritten. -EBUSY: the NIC is recorded already; -ENOENT: no such directory; -EACCES: it may not be written to;
// -ENODEV: the NIC was removed; or another errno of the operating system. Any thread.
int fluxcap_sim_record(const struct fluxcap_link *link,
                       const char *path);

// Ends the recording of a simulated NIC, and the file is complete. Without one it is a no-op.
//
// A negative result, such as -ENOSPC, tells what went wrong since the recording began: the file is incomplete then. Any thread.
int fluxcap_sim_record_end(const struct fluxcap_link *link);

// Notes down what happens in the network from now on, up to `events` of it; 0 ends that. What was noted before is gone. Any thread.
int fluxcap_sim_trace_start(const struct fluxcap_sim *sim,
                            uint32_t events);

// Writes the first `count` events since fluxcap_sim_trace_start() to `events`, in order, or fewer if there are fewer.
//
// Returns how many there are in all. Times are nanoseconds since the network was made.
//
// Errors:
// - -EINVAL: `events` is NULL and `count` is not 0, or `count` is above INT_MAX; `sim` is NULL or no open network, or this is a forked child.
//
// Any thread.
int fluxcap_sim_trace_events(const struct fluxcap_sim *sim,
                             struct fluxcap_sim_event *events,
                             uint32_t count);

// What happened since fluxcap_sim_trace_start(), in order, as text: one event a line.
//
// Writes at most `size` bytes including the final NUL, like snprintf(), and returns the length of the whole text without it. Any thread.
int fluxcap_sim_trace_text(const struct fluxcap_sim *sim,
                           char *text,
                           size_t size);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FLUXCAP_H */
