// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Generated from src/ffi. Do not edit: change the Rust source and run `make header`.

/// @file
///
/// libfluxcap: packet I/O over Linux AF_XDP sockets. So fast, it feels like time travel.
///
/// ## The model in a minute
///
/// Packets lie in *frames*: equal pieces of one memory, the UMEM, which your program and the kernel
/// share. A socket is bound to one queue of a network interface, and has four rings. No ring holds
/// packets; they hold descriptors, which say in which frame a packet lies, where, and how long it
/// is.
///
/// ```
///                       your program                       the kernel
///
///   receive   raw, rx   --- free frames ------ fill ring --------->  puts packets into them
///             raw, rx   <-- packets ---------- RX ring -----------
///
///   send      raw, tx   --- packets ---------- TX ring ---------->   sends them
///             raw, tx   <-- their frames ----- completion ring ---
/// ```
///
/// Each frame has one owner at any time: the pool of free frames, the kernel (in one of the rings),
/// or you, who hold it as a packet. pool + kernel + user = frames, always. A packet is yours from
/// the call that gives it to you until you send it or free it. Whoever keeps packets and never
/// gives them back ends up without free frames, and the kernel drops what arrives.
///
/// An XDP program on the interface decides which packets come here at all; the bundled one sends
/// all packets of the bound queues, and they never reach the network stack of the machine: do not
/// use an interface that you are logged in through.
///
/// Three ways to work with a socket, from the bottom up. A program starts with any of them.
///
/// - Mode C, struct fluxcap_raw: you serve the four rings yourself.
/// - Mode B, struct fluxcap_rx and struct fluxcap_tx: a receiving and a sending half, for two
///   threads.
/// - Mode A, struct fluxcap_engine: gives packets to your callback, and does the rest.
///
/// ## Contents
///
/// Each topic has its constants, types, functions and an example together.
///
/// - Errors and version (fluxcap_errors): What went wrong, as a number and in words; and which
///   version this is.
/// - Set-up (fluxcap_setup): What to bind to, in which memory, with which options.
/// - Reports and statistics (fluxcap_info): What was achieved of a config, what was counted, and
///   where the frames are.
/// - Packets (fluxcap_packets): Owned packets: a small struct that names a frame, and may go to any
///   thread.
/// - Mode C, the rings (fluxcap_mode_c): You serve the four rings yourself, in batches.
/// - Mode B, the halves (fluxcap_mode_b): A receiving and a sending half of one socket, which need
///   no lock between them.
/// - Mode A, the engine (fluxcap_mode_a): A loop that the library runs: it gives packets to your
///   callback, and does the rest.
/// - Waiting (fluxcap_waiting): Spinning, sleeping, or one after the other; in the library's loops
///   or in your own.
/// - Looking at packets (fluxcap_parsing): Where the headers of a packet are, and what they say.
/// - Changing and building packets (fluxcap_editing): Headers pushed and popped, addresses
///   rewritten, packets built from nothing.
/// - Simulator (fluxcap_simulator): The world around your program, in a test: NICs, cables,
///   traffic, faults. Without root.
///
/// ## The rules
///
/// ### Results
///
/// An int result is 0 or more on success, and a negative errno on failure; then
/// fluxcap_last_error() has the cause and the remedy. "Nothing now" is 0. Outputs are written on
/// success only.
///
/// The usual errors, which the lists below do not repeat:
///
/// - -EINVAL: NULL for something that must be there; a handle of another kind, or one that was
///   freed; a `struct_size` that no version has; a timeout below -1; a length or a count that is a
///   negative number gone wrong; in a child of fork(), a handle of its parent. A function that
///   returns a pointer returns NULL then.
/// - -E2BIG: a struct with fields that this version does not know.
///
/// ### Names
///
/// fluxcap_noun_verb(): the noun is the struct that the function works on, its first argument. A
/// verb means the same for every noun:
///
/// - open makes sockets on an interface, create makes a handle of what there is, free ends a
///   handle.
/// - recv and send move packets that you own; recycle gives frames to the kernel, for new packets;
///   refill and reap serve the rings.
/// - get fills in what you point at, set changes how something works, format writes a text. A
///   function without a verb, as fluxcap_raw_fd(), returns the value itself.
/// - wait waits, run runs until it is stopped, stop ends a wait or a run.
///
/// ### Ownership
///
/// fluxcap_open() gives a handle, fluxcap_raw_free() takes it; links, engines and simulated
/// networks likewise. They are freed in any order. Freeing NULL is a no-op. A packet is yours until
/// you send or free it. A handle is open until a call begins that frees it (fluxcap_..._free()) or
/// takes it over: fluxcap_raw_split(), fluxcap_engine_create(), fluxcap_group_create(). When such a
/// call fails, the handle is open again. When it succeeds, the handle is gone.
///
/// ### Threads
///
/// A const handle may be used by several threads at once, a non-const one by one thread at a time,
/// and not together with const uses. Different handles are independent: one thread may use the rx
/// of a socket while another one uses its tx. The line "Threads" of each function says which it is:
///
/// - any: it works on no handle, or sees to it by itself.
/// - several at once: its handle is const. None together with a call that takes the handle
///   non-const.
/// - one at a time: its handle is non-const.
///
/// Packets are freed on any thread. fluxcap_raw_stop(), fluxcap_rx_stop(), fluxcap_tx_stop(),
/// fluxcap_engine_stop() and fluxcap_group_stop() may be called by any thread while the handle is
/// open, also together with calls that take it non-const. While a call that takes a handle over is
/// under way, a stop from another thread may be -EINVAL; after it succeeded, a stop is a use after
/// the end.
///
/// ### Times
///
/// What may last for ever is an int: timeout_ms, patience_ms and interval_ms are milliseconds, -1
/// is for ever, and any other negative number is -EINVAL. In a struct 0 is the default. What cannot
/// is a uint32_t, as spin_us and busy_poll_us, in microseconds.
///
/// ### Structs that begin with struct_size
///
/// Set it to sizeof before each call. Zero is the default of every field. A struct may be longer
/// than the library knows, as a later version of it would be. If you fill it in and its unknown
/// tail is not zero, that is -E2BIG; if the library fills it in, it sets the unknown tail to zero.
/// A size that no version can have is -EINVAL: a shorter one that no earlier version had, a longer
/// one that is no multiple of the struct's alignment, or is more than four times the known size and
/// 4096 bytes.
///
/// ### Texts
///
/// Functions that write a text for people write at most `size` bytes including the final NUL, like
/// snprintf(), and return the length of the whole text without it. The words may get better from
/// version to version: do not take them apart.
///
/// ### Memory
///
/// When there is not enough for what you asked for (frames, rings, batches, packets to play,
/// captures), the result is -ENOMEM, and all is as before. A process that has none left at all, for
/// a handle or the text of an error, is ended by abort().
///
/// ### Cancellation: pthread_cancel()
///
/// No function is a cancellation point: a request takes effect at the first one after the function
/// returned, and does not end a wait or a run that is under way; stop that first. A thread that can
/// be cancelled asynchronously must not call any.
///
/// ### Signals
///
/// No function but those that stop a wait or a run (fluxcap_raw_stop(), fluxcap_rx_stop(),
/// fluxcap_tx_stop(), fluxcap_engine_stop(), fluxcap_group_stop()) is safe in a signal handler:
/// call one of them, or set a flag. Calls that wait return early after a signal, runs go on. A
/// signal that arrives just before the sleep does not end it; a stop does. A handler that
/// interrupts a call that frees a handle or takes it over must not use that handle: block the
/// signal meanwhile, or set the pointer that the handler reads to NULL before, and back if the call
/// fails.
///
/// ### Forks
///
/// A handle belongs to the process that opened it. In a child of fork() or daemon() its calls are
/// -EINVAL or find nothing, packets hold zeros, and a stop does nothing; the parent is not
/// disturbed. The child keeps the kernel's socket open until it ends or executes another program.
/// Open sockets after the fork. In a child of _Fork() or clone(), where the C library runs no
/// handlers, calls do the same, but packets in hugepages are not there: touch none.
///
/// ### Rights
///
/// Opening a socket takes root, or capabilities; an open one needs none.
///
/// - a socket, to send or for an XSKMAP of your own (Linux 5.9): CAP_NET_RAW.
/// - the bundled XDP program (Linux 5.9): CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF.
/// - fan-out: a queue shared out among several sockets (Linux 5.9): CAP_NET_RAW, CAP_NET_ADMIN,
///   CAP_BPF, CAP_PERFMON.
/// - preferred busy polling (Linux 5.11): CAP_NET_ADMIN, beside those of the socket.
/// - packet memory above the limit of locked memory (`ulimit -l`) (Linux 5.9): CAP_IPC_LOCK, beside
///   those of the socket.
/// - the name of a foreign XDP program in the error about it (Linux 5.9): CAP_SYS_ADMIN, beside
///   those of the XDP program.
/// - zero-copy, hugepages, a NUMA node, pinned threads (Linux 5.9): none beside those of the
///   socket.
/// - a TX budget above 32 (Linux 6.17): none beside those of the socket.
///
/// CAP_SYS_ADMIN contains CAP_BPF and CAP_PERFMON. This gives them to a program:
///
///     setcap cap_net_raw,cap_net_admin,cap_bpf,cap_ipc_lock+ep PROGRAM
///
/// Before Linux 6.0, where kernel.unprivileged_bpf_disabled is set, an XSKMAP of your own, the
/// counters of the XDP program, and opening more queues of its interface take CAP_BPF, too.

#ifndef FLUXCAP_H
#define FLUXCAP_H

#include <stddef.h>
#include <stdint.h>

/// The version of this header.
#define FLUXCAP_VERSION "0.1.0"
/// The first number of the version.
#define FLUXCAP_VERSION_MAJOR 0
/// The second number of the version.
#define FLUXCAP_VERSION_MINOR 1
/// The third number of the version.
#define FLUXCAP_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

struct fluxcap_link;
struct fluxcap_poller_statistics;
struct fluxcap_raw;
struct fluxcap_tx;
struct fluxcap_umem;

/// @defgroup fluxcap_errors Errors and version
///
/// What went wrong, as a number and in words; and which version this is.
///
/// A function that fails returns a negative errno. fluxcap_last_error() has the text for a log or a
/// person: what was tried, what happened, and what to do.
///
/// ```c
/// static int open_socket(const char *ifname, struct fluxcap_raw **raw)
/// {
///     struct fluxcap_config config = {0};
///     int result;
///
///     config.struct_size = sizeof(config);
///     config.ifname = ifname;
///     result = fluxcap_open(&config, raw);
///     if (result < 0)
///         fprintf(stderr, "%s (%s)\n", fluxcap_last_error(), strerror(-result));
///     return result;
/// }
/// ```
///
/// @{

/// The version of the library, such as "0.1.0".
///
/// Returns a text of the library's own.
///
/// Threads: any.
const char *fluxcap_version(void);

/// What went wrong in the last call that failed on this thread.
///
/// It says what was tried, what happened, and what to do. A call that succeeds leaves it as it is.
///
/// Returns a text, empty before the first failure. It belongs to the library, changes with the next
/// failure on this thread, and goes with the thread.
///
/// Threads: any.
const char *fluxcap_last_error(void);

/// @}

/// @defgroup fluxcap_setup Set-up
///
/// What to bind to, in which memory, with which options.
///
/// fluxcap_open() opens one socket, fluxcap_open_queues() one for each queue of an interface, and
/// fluxcap_open_fan_out() several on one queue. Each is a struct fluxcap_raw: use it as it is (mode
/// C), split it (mode B), or give it to an engine (mode A). What to bind to is a name, an index, or
/// a struct fluxcap_link, which may be a simulated NIC.
///
/// Sockets on one UMEM pass packets on to each other without a copy:
///
/// ```c
/// static int open_two(const char *one, const char *other, struct fluxcap_raw *raws[2])
/// {
///     struct fluxcap_config config = {0};
///     struct fluxcap_umem *umem = NULL;
///     int result;
///
///     config.struct_size = sizeof(config);
///     config.ifname = one;
///     config.frames = 16384;
///     result = fluxcap_open(&config, &raws[0]);
///     if (result < 0)
///         return result;
///     result = fluxcap_raw_get_umem(raws[0], &umem);
///     if (result == 0) {
///         config.ifname = other;
///         config.umem = umem;
///         result = fluxcap_open(&config, &raws[1]);
///     }
///     fluxcap_umem_free(umem); // The sockets keep the memory.
///     if (result < 0)
///         fluxcap_raw_free(raws[0]);
///     return result;
/// }
/// ```
///
/// @{

/// Zero-copy where the driver can and an XDP program is attached in native mode, copy otherwise:
/// without such a program most drivers take a zero-copy socket, but neither send nor receive for
/// it.
#define FLUXCAP_BIND_AUTO 0

/// The kernel copies each packet once. Works with every driver.
#define FLUXCAP_BIND_COPY 1

/// The driver reads and writes the UMEM itself. An error where it cannot. Where it can, but only
/// with a native XDP program and there is none, sending fails: -EINVAL.
#define FLUXCAP_BIND_ZERO_COPY 2

/// Native where the driver can, generic otherwise.
#define FLUXCAP_XDP_AUTO 0

/// The XDP program runs in the driver. An error where it cannot.
#define FLUXCAP_XDP_NATIVE 1

/// The XDP program runs in the network stack. Works with every driver, slower. Segments that GRO
/// has merged come in one piece, and are dropped when no frame has room: switch it off (`ethtool -K
/// DEVICE gro off lro off`).
#define FLUXCAP_XDP_GENERIC 2

/// Attach the bundled XDP program, which directs the packets of bound queues to their sockets.
#define FLUXCAP_PROGRAM_BUNDLED 0

/// No XDP program: the socket can only send, but still has frames to receive into.
#define FLUXCAP_PROGRAM_NONE 1

/// Enter the socket into the XSKMAP of your own program, `xskmap_fd`.
#define FLUXCAP_PROGRAM_XSKMAP 2

/// No XDP program, and nearly all frames for sending: the fill ring gets an eighth of them, 64 at
/// most, because some drivers need some there when the socket is bound; none if there is only one.
#define FLUXCAP_PROGRAM_SEND_ONLY 3

/// Ordinary pages behind the UMEM.
#define FLUXCAP_HUGEPAGES_NEVER 0

/// Hugepages of 2 MiB if enough are free, ordinary pages otherwise.
#define FLUXCAP_HUGEPAGES_PREFER_2M 1

/// Hugepages of 2 MiB, or an error.
#define FLUXCAP_HUGEPAGES_REQUIRE_2M 2

/// Hugepages of 1 GiB if enough are free, ordinary pages otherwise.
#define FLUXCAP_HUGEPAGES_PREFER_1G 3

/// Hugepages of 1 GiB, or an error.
#define FLUXCAP_HUGEPAGES_REQUIRE_1G 4

/// Memory from wherever the kernel puts it.
#define FLUXCAP_NUMA_ANY 0

/// Memory from `numa_node`.
#define FLUXCAP_NUMA_BIND 1

/// Packets are no part of core dumps: they are other people's data, and large.
#define FLUXCAP_CORE_DUMP_WITHOUT_PACKETS 0

/// Packets in a new UMEM are part of core dumps. Rings never are: the kernel leaves them out.
#define FLUXCAP_CORE_DUMP_WITH_PACKETS 1

/// The kernel may ask for wake-ups instead of being called each time (Linux 5.4).
#define FLUXCAP_WAKEUP_NEEDED 0

/// The kernel is called each time.
#define FLUXCAP_WAKEUP_ALWAYS 1

/// What a socket shall be. Zero everywhere but in struct_size and ifname (or ifindex, or link) is a
/// good start: `struct fluxcap_config config = { .struct_size = sizeof(config), .ifname = "veth0"
/// };`
struct fluxcap_config {
  /// sizeof(struct fluxcap_config).
  uint32_t struct_size;
  /// The queue to bind to, from 0.
  uint32_t queue;
  /// The interface's name, or one of its alternative names (up to 127 bytes); NULL to use
  /// `ifindex` or `link`. Read during the call only.
  const char *ifname;
  /// The interface's index, used when `ifname` is NULL.
  uint32_t ifindex;
  /// Frames in the UMEM, 1 to 16777216. 0: 8192.
  ///
  /// The kernel counts the UMEM as locked memory of the user, again for each queue that has a
  /// socket on it; the sockets of fluxcap_open_fan_out() count once. Beyond RLIMIT_MEMLOCK that
  /// takes CAP_IPC_LOCK.
  uint32_t frames;
  /// Bytes a frame, 2048 or 4096 (larger powers of two to 65536 with required hugepages, Linux
  /// 6.6). 0: 4096.
  uint32_t chunk_size;
  /// Bytes to keep free in front of each packet, besides the kernel's own 256.
  uint32_t headroom;
  /// Slots of the fill ring, a power of two. 0: 4096.
  uint32_t fill_size;
  /// Slots of the RX ring, a power of two. 0: 2048.
  uint32_t rx_size;
  /// Slots of the TX ring, a power of two. 0: 2048.
  uint32_t tx_size;
  /// Slots of the completion ring, a power of two. 0: 2048.
  uint32_t completion_size;
  /// FLUXCAP_BIND_….
  uint32_t bind_mode;
  /// FLUXCAP_XDP_…, for the bundled program.
  uint32_t xdp_mode;
  /// FLUXCAP_PROGRAM_….
  uint32_t program;
  /// The XSKMAP of your own program, with FLUXCAP_PROGRAM_XSKMAP. It is duplicated and stays
  /// yours.
  int32_t xskmap_fd;
  /// FLUXCAP_HUGEPAGES_….
  uint32_t hugepages;
  /// FLUXCAP_NUMA_….
  uint32_t numa;
  /// The NUMA node, with FLUXCAP_NUMA_BIND.
  uint32_t numa_node;
  /// FLUXCAP_WAKEUP_….
  uint32_t wakeup;
  /// Preferred busy polling: microseconds that one call may poll the driver (Linux 5.11). 0: off.
  uint32_t busy_poll_us;
  /// Preferred busy polling: packets that one poll may handle, 1 to 65535. 0: 64.
  uint32_t busy_poll_budget;
  /// Packets that one transmit call may send in copy mode, 32 to tx_size (Linux 6.17; 32 before).
  /// 0: tx_size.
  uint32_t tx_budget;
  /// How long a taken queue is tried again, in milliseconds. 0: 2000; -1: for ever.
  int bind_patience_ms;
  /// What to bind to, such as a simulated NIC, in place of `ifname` and `ifindex`, which must be
  /// NULL and 0 then. NULL: those. Used during the call only.
  const struct fluxcap_link *link;
  /// The UMEM to work on, that of another socket. NULL: a new one. The frames are as they are
  /// then: frames, chunk_size, headroom, hugepages and numa say nothing. Used during the call
  /// only.
  const struct fluxcap_umem *umem;
  /// FLUXCAP_CORE_DUMP_….
  uint32_t core_dump;
  /// Zero.
  uint32_t reserved;
};

/// Opens a socket: UMEM, rings, XDP program, bind.
///
/// All numbers are checked against each other before the first system call. A queue that another
/// socket has is tried again for `bind_patience_ms`.
///
/// Returns 0; `*raw` is a handle to be freed with fluxcap_raw_free().
///
/// Errors, after which nothing is left behind:
/// - -EINVAL: numbers that cannot work.
/// - -ENODEV: there is no such interface.
/// - -ENETDOWN: it is down.
/// - -EBUSY: the queue is taken, or a foreign XDP program is attached.
/// - -EPERM: a capability is missing.
/// - -ENOBUFS: the limit of locked memory.
/// - -ENOMEM: not enough memory or hugepages.
/// - -EMFILE, -ENFILE: no more files can be opened.
/// - -EOPNOTSUPP: a mode was demanded that cannot be had.
/// - -EAFNOSUPPORT: the kernel has no AF_XDP sockets, or they are forbidden here.
///
/// Threads: any. Rights: see the top of this file. Linux 5.9.
int fluxcap_open(const struct fluxcap_config *config, struct fluxcap_raw **raw);

/// Opens a socket on each of `count` queues, all behind one XDP program.
///
/// `queues` are their numbers; with NULL it is each queue that the interface has for receiving, of
/// which there may be `count` at most. Each socket has a UMEM of its own, so that threads share
/// nothing, unless the config gives one. Either way each queue counts as locked memory of the size
/// of its UMEM. The config's `queue` says nothing here.
///
/// Returns how many sockets were opened; the first entries of `raws` are their handles, in the
/// order of `queues`, to be freed with fluxcap_raw_free().
///
/// Errors, after which nothing is left behind:
/// - -EINVAL: no queue, one twice, or one that is not there.
/// - -ENOSPC: the interface has more queues than `count`.
/// - Those of fluxcap_open().
///
/// Threads: any. Rights: as fluxcap_open().
int fluxcap_open_queues(const struct fluxcap_config *config,
                        const uint32_t *queues,
                        uint32_t count,
                        struct fluxcap_raw **raws);

/// Opens `count` sockets, up to 16, on one queue and one UMEM.
///
/// For an interface with fewer queues than threads that shall work on its packets. All packets of a
/// flow come to the same socket, with `symmetric` 1 those of both its directions; with 0 the
/// directions may differ. The sockets can be used on threads of their own, and closed in any order.
///
/// Returns `count`; `raws` has the handles, to be freed with fluxcap_raw_free().
///
/// Errors, after which nothing is left behind:
/// - -EINVAL: `count` is out of its range; `symmetric` is neither 0 nor 1.
/// - -EOPNOTSUPP: the config has an XSKMAP of your own.
/// - Those of fluxcap_open(); -EPERM also without CAP_PERFMON.
///
/// Threads: any. Rights: those of fluxcap_open(), and CAP_PERFMON.
int fluxcap_open_fan_out(const struct fluxcap_config *config,
                         uint32_t count,
                         uint32_t symmetric,
                         struct fluxcap_raw **raws);

/// @struct fluxcap_link
/// A place to bind to: a network interface of this machine, or a simulated NIC. Goes into struct
/// fluxcap_config.
struct fluxcap_link;

/// Makes a link to a network interface of this machine.
///
/// Whether there is such an interface is seen when the link is used, in the network namespace of
/// the thread that uses it.
///
/// Returns 0; `*link` is a handle to be freed with fluxcap_link_free().
///
/// Errors: the usual ones.
///
/// Threads: any.
int fluxcap_link_create(const char *name, struct fluxcap_link **link);

/// Frees a link.
///
/// Sockets on it stay open, and a simulated NIC stays in its network. NULL is a no-op. The handle
/// is gone afterwards.
///
/// Threads: one at a time.
void fluxcap_link_free(struct fluxcap_link *link);

/// @struct fluxcap_umem
/// The memory that packets live in, cut into equal frames. Sockets that share one can pass packets
/// on uncopied.
///
/// It stays mapped until the last handle, socket and packet is gone. Then it is unmapped, also when
/// frames are still in quarantine (`quarantined` of struct fluxcap_accounting): the kernel holds
/// their pages for itself, and gives them to nobody else before it has released them.
struct fluxcap_umem;

/// Gives a handle to the UMEM of a socket.
///
/// It is for opening more sockets on it (`umem` in struct fluxcap_config), and for counting its
/// frames. The memory stays mapped until the last handle, socket and packet is gone.
///
/// Returns 0; `*umem` is a handle to be freed with fluxcap_umem_free().
///
/// Errors:
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once.
int fluxcap_raw_get_umem(const struct fluxcap_raw *raw, struct fluxcap_umem **umem);

/// Who has the frames. pool + user + kernel + quarantined = frames, always.
struct fluxcap_accounting {
  /// All frames.
  uint32_t frames;
  /// Free frames.
  uint32_t pool;
  /// Frames of packets in your hands.
  uint32_t user;
  /// Frames in the four rings or in the kernel behind them.
  uint32_t kernel;
  /// Frames that the kernel had when a socket was closed, and may still use: a device in
  /// zero-copy mode may write to them. They return to the pool when the kernel is seen to have
  /// released the queue, usually some 25 ms after the close: the library looks whenever the pool
  /// is empty, a socket is opened on the UMEM, the frames are counted, or fluxcap_umem_reclaim()
  /// is called. If it is never seen, they are lost to the pool for as long as the UMEM exists: a
  /// child of fork() keeps the socket open, another process took the queue at once, or the
  /// interface was removed just then. They do not keep the memory mapped: see struct
  /// fluxcap_umem.
  uint32_t quarantined;
};

/// Counts who has the frames of a UMEM now, by the ledger.
///
/// Exact when nobody moves frames meanwhile. In a forked child the numbers are those of the fork.
///
/// Returns 0, and fills in `*accounting`.
///
/// Errors: the usual ones.
///
/// Threads: any. System calls: first it asks, by one or more for each closed socket, whether the
/// kernel has released frames in quarantine.
int fluxcap_umem_get_accounting(const struct fluxcap_umem *umem,
                                struct fluxcap_accounting *accounting);

/// Waits until the kernel has released the frames of closed sockets.
///
/// It waits for at most `timeout_ms` milliseconds; -1: for ever. Calling it is optional: frames
/// return without it. It is for a program that wants all of them before it goes on. It sleeps
/// between looks at the kernel. Neither a stop nor a signal ends it: with -1 it returns only when
/// all frames have been released, which may be never (see `quarantined`). On a simulated network
/// simulated time passes meanwhile. In a forked child it does not wait.
///
/// Returns how many frames are still in quarantine; 0: none.
///
/// Errors: the usual ones.
///
/// Threads: any. Sockets on the UMEM may be used, opened and closed meanwhile.
int fluxcap_umem_reclaim(const struct fluxcap_umem *umem, int timeout_ms);

/// Frees a handle to a UMEM.
///
/// Sockets and packets on it stay good. NULL is a no-op. The handle is gone afterwards.
///
/// Threads: one at a time.
void fluxcap_umem_free(struct fluxcap_umem *umem);

/// @}

/// @defgroup fluxcap_info Reports and statistics
///
/// What was achieved of a config, what was counted, and where the frames are.
///
/// Nothing is silent: the report has an answer to each setting, the statistics have a cause for
/// each packet that the kernel dropped, and the rings have the owner of each frame. These functions
/// work on the struct fluxcap_raw of mode C, and on the ports of engines; the halves of mode B have
/// their own.
///
/// ```c
/// static void explain(const struct fluxcap_raw *raw)
/// {
///     struct fluxcap_statistics statistics = {0};
///     char text[4096];
///
///     if (fluxcap_raw_format_report(raw, text, sizeof(text)) >= 0)
///         fputs(text, stdout);
///     statistics.struct_size = sizeof(statistics);
///     if (fluxcap_raw_get_statistics(raw, &statistics) == 0)
///         printf("no room in the RX ring: %llu packets\n",
///                (unsigned long long)statistics.rx_ring_full);
/// }
/// ```
///
/// @{

/// What a socket is: what became of the wishes in its config. fluxcap_raw_format_report() says why.
struct fluxcap_info {
  /// sizeof(struct fluxcap_info), set by you.
  uint32_t struct_size;
  /// FLUXCAP_BIND_COPY or FLUXCAP_BIND_ZERO_COPY.
  uint32_t bind_mode;
  /// FLUXCAP_XDP_NATIVE or FLUXCAP_XDP_GENERIC; FLUXCAP_XDP_AUTO (0) when no bundled program is
  /// attached.
  uint32_t xdp_mode;
  /// Frames in the UMEM.
  uint32_t frames;
  /// Bytes a frame.
  uint32_t chunk_size;
  /// Bytes kept free in front of each packet, besides the kernel's own 256.
  uint32_t headroom;
  /// The longest packet that a frame holds behind both headrooms, in bytes.
  uint32_t packet_capacity;
  /// Packets that one transmit call may send in copy mode.
  uint32_t tx_budget;
  /// 1 when the kernel asks for wake-ups, 0 when it is called each time.
  uint32_t need_wakeup;
  /// 1 when preferred busy polling is on.
  uint32_t busy_poll;
  /// The size of the pages behind the UMEM, in bytes.
  uint64_t page_size;
  /// The index of the interface.
  uint32_t ifindex;
  /// The MTU of the interface in bytes, without Ethernet header, when the socket was opened.
  uint32_t mtu;
  /// The Ethernet address of the interface; all 0 when it has none.
  uint8_t mac[6];
  /// 0.
  uint8_t reserved[2];
};

/// What the kernel counted for a socket since it was opened, and what passed through its rings.
struct fluxcap_statistics {
  /// sizeof(struct fluxcap_statistics), set by you.
  uint32_t struct_size;
  /// 0.
  uint32_t reserved;
  /// Packets taken from the RX ring.
  uint64_t received;
  /// Packets put into the TX ring.
  uint64_t sent;
  /// Packets the kernel dropped for reasons other than a full RX ring or an empty fill ring.
  uint64_t rx_dropped;
  /// Descriptors on the fill ring that the kernel refused.
  uint64_t rx_invalid_descs;
  /// Descriptors on the TX ring that the kernel refused; they are not sent, and may not be
  /// completed.
  uint64_t tx_invalid_descs;
  /// Packets dropped because the RX ring was full.
  uint64_t rx_ring_full;
  /// Times that the kernel found no frame in the fill ring.
  uint64_t rx_fill_ring_empty_descs;
  /// Times that the kernel looked for a descriptor in the TX ring and found none.
  uint64_t tx_ring_empty_descs;
};

/// What the bundled XDP program decided, for the whole interface. All 0 when the socket was opened
/// without it.
struct fluxcap_program_counters {
  /// sizeof(struct fluxcap_program_counters), set by you.
  uint32_t struct_size;
  /// 1 when the bundled program is on the interface now. 0 also when somebody took it off, or the
  /// interface was removed.
  uint32_t attached;
  /// Packets dropped by the program.
  uint64_t drop;
  /// Packets handed to a socket.
  uint64_t redirect;
  /// Packets passed on to the kernel's network stack.
  uint64_t pass;
};

/// One ring, as it stands.
struct fluxcap_ring_state {
  /// Slots.
  uint32_t size;
  /// The producer's index, which runs freely and wraps at 2^32.
  uint32_t producer;
  /// The consumer's index, likewise.
  uint32_t consumer;
  /// Entries that the consumer has not taken yet.
  uint32_t occupied;
  /// 1 when the kernel asks for a wake-up; always 0 for RX and completion ring.
  uint32_t needs_wakeup;
  /// 0.
  uint32_t reserved;
  /// How often the kernel's index was out of range. Anything but 0 is a fault.
  uint64_t violations;
  /// Entries that named a frame which was not the kernel's to give. Anything but 0 is a fault.
  uint64_t refused;
};

/// The four rings and the frames of a socket, as they stand.
struct fluxcap_rings {
  /// sizeof(struct fluxcap_rings), set by you.
  uint32_t struct_size;
  /// 1 when no frame is lost or owned twice: both accounts add up and agree.
  uint32_t conserved;
  /// The fill ring. With fluxcap_open_fan_out() it is the one that all sockets share.
  struct fluxcap_ring_state fill;
  /// The RX ring.
  struct fluxcap_ring_state rx;
  /// The TX ring.
  struct fluxcap_ring_state tx;
  /// The completion ring. With fluxcap_open_fan_out() it is what this socket has got of the
  /// shared one and not taken yet.
  struct fluxcap_ring_state completion;
  /// The frames, counted where they are; the same as `ledger` while several sockets use the UMEM.
  struct fluxcap_accounting counted;
  /// The frames by the ledger, one by one.
  struct fluxcap_accounting ledger;
};

/// What the socket is: its modes, its geometry, its interface as it was when it was bound.
///
/// Returns 0, and fills in `*info`, whose `struct_size` must be set.
///
/// Errors:
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once.
int fluxcap_raw_get_info(const struct fluxcap_raw *raw, struct fluxcap_info *info);

/// What the kernel counted for the socket, and the packets that it received and sent.
///
/// Returns 0, and fills in `*statistics`, whose `struct_size` must be set.
///
/// Errors:
/// - -EBUSY: the socket is the port of an engine that runs.
/// - Another errno: the kernel did not tell its counters; fluxcap_last_error() says why.
///
/// Threads: several at once. System calls: getsockopt().
int fluxcap_raw_get_statistics(const struct fluxcap_raw *raw,
                               struct fluxcap_statistics *statistics);

/// What the XDP program counted for the whole interface.
///
/// All is 0 without a program of this library.
///
/// Returns 0, and fills in `*counters`, whose `struct_size` must be set.
///
/// Errors:
/// - -EBUSY: the socket is the port of an engine that runs.
/// - -EPERM: before Linux 6.0, without CAP_BPF, where kernel.unprivileged_bpf_disabled is set.
///
/// Threads: several at once. System calls: bpf().
int fluxcap_raw_get_program_counters(const struct fluxcap_raw *raw,
                                     struct fluxcap_program_counters *counters);

/// The rings and the owner of every frame.
///
/// Time grows with the number of frames. All is 0 in a forked child.
///
/// Returns 0, and fills in `*rings`, whose `struct_size` must be set.
///
/// Errors:
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once.
int fluxcap_raw_get_rings(const struct fluxcap_raw *raw, struct fluxcap_rings *rings);

/// What became of each requested setting, as text, one a line: requested, achieved, and why.
///
/// Then a line `note: …` for each thing that keeps packets, or parts of them, from the socket:
/// queues without one, offloads that take VLAN tags away or merge segments, a device without
/// Ethernet header; with the ethtool words against it.
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors:
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once.
int fluxcap_raw_format_report(const struct fluxcap_raw *raw, char *text, size_t size);

/// The rings and the owner of every frame, as text for a person.
///
/// Time grows with the number of frames.
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors:
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once.
int fluxcap_raw_format_rings(const struct fluxcap_raw *raw, char *text, size_t size);

/// @}

/// @defgroup fluxcap_packets Packets
///
/// Owned packets: a small struct that names a frame, and may go to any thread.
///
/// Modes B and C give them and take them: fluxcap_rx_recv(), fluxcap_tx_alloc(), fluxcap_tx_send()
/// and their like. Their bytes are changed in place; see also @ref fluxcap_editing. A packet in the
/// callback of an engine is not owned: it is a struct fluxcap_packet_ref, and good until the
/// callback returns.
///
/// ```c
/// // Gives back the packets that are shorter than `least`, and closes the gaps.
/// static uint32_t keep_long(struct fluxcap_packet *packets, uint32_t count, uint32_t least)
/// {
///     uint32_t kept = 0;
///
///     for (uint32_t i = 0; i < count; i++) {
///         if (packets[i].len < least)
///             fluxcap_packet_free(&packets[i]);
///         else
///             packets[kept++] = packets[i]; // Of the copies, only this one is used from now on.
///     }
///     return kept;
/// }
/// ```
///
/// @{

/// A packet that you own, in a frame of a UMEM.
///
/// You may change `data` and `len` within the frame, and the bytes. The other fields are the
/// library's. Sending or freeing a packet sets `data` to NULL: it has moved away. The struct may be
/// copied, but only one copy may be used: the others become stale, and using them is an error.
/// Copies are one packet: no two are used on two threads at once. A packet may outlive the socket
/// it came from, and may be freed on any thread.
struct fluxcap_packet {
  /// The first byte; NULL when the packet has moved away.
  uint8_t *data;
  /// The length in bytes.
  uint32_t len;
  /// The descriptor's option bits, 0 for a plain packet.
  uint32_t options;
  /// The library's.
  const void *umem;
  /// The library's.
  uint32_t frame;
  /// The library's.
  uint32_t generation;
};

/// Frees a packet: its frame returns to the pool.
///
/// NULL, and a packet that has moved away, are no-ops.
///
/// Returns 0; its `data` is NULL then.
///
/// Errors:
/// - -EINVAL: it is a stale copy.
///
/// Threads: any.
int fluxcap_packet_free(struct fluxcap_packet *packet);

/// Frees all packets of an array.
///
/// Those that have moved away are skipped.
///
/// Returns 0; their `data` is NULL then.
///
/// Errors:
/// - -EINVAL: one is a stale copy, and the others were freed all the same.
///
/// Threads: any.
int fluxcap_packets_free(struct fluxcap_packet *packets, uint32_t count);

/// @}

/// @defgroup fluxcap_mode_c Mode C, the rings
///
/// You serve the four rings yourself, in batches.
///
/// Received packets are taken as packets that you own (fluxcap_raw_recv()), or looked at in place:
/// peek, work on the bytes, and consume them from the front by recycling or forwarding. Two things
/// must happen regularly, in whatever order: the fill ring gets free frames (refill), or the kernel
/// drops what arrives; and sent frames are taken back (reap), or it stops sending.
/// fluxcap_raw_wait() does both.
///
/// ```c
/// // Sends every packet back to where it came from.
/// static int reflect(struct fluxcap_raw *raw)
/// {
///     uint8_t *umem = fluxcap_raw_data(raw);
///     const struct fluxcap_desc *descs;
///     int result;
///
///     do {
///         result = fluxcap_raw_wait(raw, FLUXCAP_WAIT_RECEIVE, -1);
///         if (result < 0)
///             break;
///         result = fluxcap_raw_peek(raw, 64, &descs);
///         if (result < 0)
///             break;
///         for (int i = 0; i < result; i++)
///             fluxcap_ethernet_header_swap(umem + descs[i].addr, descs[i].len);
///         fluxcap_raw_forward_front(raw, (uint32_t)result);
///         result = fluxcap_raw_wake_tx(raw);
///     } while (result >= 0);
///     return result;
/// }
/// ```
///
/// @{

/// @struct fluxcap_raw
/// A socket in Mode C: its four rings, its frames, its UMEM.
struct fluxcap_raw;

/// Wait for received packets.
#define FLUXCAP_WAIT_RECEIVE 1

/// Wait for free slots in the TX ring.
#define FLUXCAP_WAIT_SEND 2

/// Where a received packet lies in the UMEM: a copy of a slot of the RX ring.
struct fluxcap_desc {
  /// Offset of the first byte from fluxcap_raw_data().
  uint64_t addr;
  /// The length in bytes.
  uint32_t len;
  /// 0 for a plain packet.
  uint32_t options;
};

/// Takes up to `count` received packets, and tops the fill ring up.
///
/// It does not wait: see fluxcap_raw_wait().
///
/// Returns how many packets it wrote to `packets`; 0: none now. Each is yours until you send or
/// free it.
///
/// Errors:
/// - -ENODEV: there is no packet, and the interface was removed, or moved to another network
///   namespace, which shows within a tenth of a second, or its XDP program was taken off, within a
///   second.
///
/// Threads: one at a time. System calls: none while packets arrive; without any it looks whether
/// the interface is still there, every tenth of a second.
int fluxcap_raw_recv(struct fluxcap_raw *raw, struct fluxcap_packet *packets, uint32_t count);

/// Takes up to `count` free frames, for packets to send.
///
/// They become packets of length 0. Set `len`, fill in the bytes, and send them. If the pool has
/// not enough, sent frames are taken back. Frames return with fluxcap_raw_reap() and
/// fluxcap_packet_free(). Of the free frames of a UMEM each socket keeps up to 128 for itself, but
/// at most an eighth of all, divided by the number of sockets that there were when it was opened.
///
/// Returns how many packets it wrote to `packets`; fewer, even 0, when frames run out, and 0 in a
/// forked child.
///
/// Errors: the usual ones.
///
/// Threads: one at a time. System calls: none.
int fluxcap_raw_alloc(struct fluxcap_raw *raw, struct fluxcap_packet *packets, uint32_t count);

/// Puts packets into the TX ring, in order from the front of the array.
///
/// They leave with fluxcap_raw_wake_tx(). Sent means that the kernel took the packet. What the
/// device drops then, it tells nobody here: a packet longer than its MTU, and all while the peer of
/// a veth is down or the cable is out. `ip -s link show DEVICE` (TX: dropped, carrier) and `ethtool
/// -S DEVICE` have them.
///
/// Returns how many were taken; their `data` is NULL then. The others are still yours: wake the
/// kernel, reap, and try again.
///
/// Errors, after which none is taken:
/// - -EINVAL: a packet is stale, or of another UMEM.
/// - -EMSGSIZE: a packet is empty, or leaves its frame.
///
/// In an array of more than 256 packets, or of more than the TX ring has room for, those before may
/// be taken first: the count says so, and a later call the error.
///
/// Threads: one at a time. System calls: none.
int fluxcap_raw_send(struct fluxcap_raw *raw, struct fluxcap_packet *packets, uint32_t count);

/// Shows up to `max` received packets in place.
///
/// `*descs` points at copies of their descriptors. All are checked: each lies within one frame that
/// is on loan from this socket. They end before one that is not, so there may be more: call again
/// after consuming these. You may read and change the bytes until you consume the packets from the
/// front, with fluxcap_raw_recycle_front(), fluxcap_raw_forward_front() or fluxcap_raw_recv();
/// `*descs` is good until then, too.
///
/// Returns how many it shows; 0: none now.
///
/// Errors:
/// - -ENODEV: there is no packet, and the interface was removed, or moved to another network
///   namespace, which shows within a tenth of a second, or its XDP program was taken off, within a
///   second.
///
/// Threads: one at a time. System calls: none while packets arrive.
int fluxcap_raw_peek(struct fluxcap_raw *raw, uint32_t max, const struct fluxcap_desc **descs);

/// Consumes the first `max` received packets: the kernel gets their frames, for new packets.
///
/// Those that fluxcap_raw_peek() showed last are consumed as they were shown. Frames that the fill
/// ring has no room for go to the pool. It does not tell that the interface is gone:
/// fluxcap_raw_peek() does.
///
/// Returns how many there were; 0: none now, or a forked child.
///
/// Errors: the usual ones.
///
/// Threads: one at a time. System calls: none.
int fluxcap_raw_recycle_front(struct fluxcap_raw *raw, uint32_t max);

/// Consumes the first `max` received packets by putting them into the TX ring.
///
/// They go with their bytes as they are now; those that fluxcap_raw_peek() showed last as they were
/// shown. Packets that are empty or have options are recycled. They leave with
/// fluxcap_raw_wake_tx(); their frames come back with fluxcap_raw_refill() or fluxcap_raw_reap().
/// It does not tell that the interface is gone: fluxcap_raw_peek() does.
///
/// Returns how many were consumed; 0: none now, no room in the TX ring, or a forked child. The
/// others stay in the RX ring.
///
/// Errors: the usual ones.
///
/// Threads: one at a time. System calls: none.
int fluxcap_raw_forward_front(struct fluxcap_raw *raw, uint32_t max);

/// The start of the UMEM, to which descriptor addresses are offsets.
///
/// Returns the same for as long as the socket is open; NULL for NULL, and while the socket is the
/// port of an engine that runs.
///
/// Threads: several at once.
uint8_t *fluxcap_raw_data(const struct fluxcap_raw *raw);

/// Tops the fill ring up, with frames just sent and then with free ones.
///
/// A part of the frames stays for sending. Without frames in the fill ring the kernel drops what
/// arrives: call it once a batch.
///
/// Returns how many; 0 in a forked child.
///
/// Errors: the usual ones.
///
/// Threads: one at a time. System calls: none.
int fluxcap_raw_refill(struct fluxcap_raw *raw);

/// Takes all sent frames back into the pool.
///
/// Call it (or fluxcap_raw_refill()) regularly: the kernel stops sending when the completion ring
/// is full.
///
/// Returns how many; 0 in a forked child.
///
/// Errors: the usual ones.
///
/// Threads: one at a time. System calls: none.
int fluxcap_raw_reap(struct fluxcap_raw *raw);

/// Makes the kernel look at the fill ring, if it asks for that.
///
/// Returns 0.
///
/// Errors:
/// - -ENETDOWN: the interface is down.
/// - -ENODEV: it was removed, which shows within a tenth of a second.
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once. System calls: recvfrom(), where the kernel asks for a wake-up.
int fluxcap_raw_wake_rx(const struct fluxcap_raw *raw);

/// Makes the kernel send what is in the TX ring, if it asks for that.
///
/// What the device has no room for stays in the ring, for a later call.
///
/// Returns 0.
///
/// Errors, after which the packets stay in the ring:
/// - -ENETDOWN: the interface is down.
/// - -ENODEV: it was removed, which shows within a tenth of a second.
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once. System calls: sendto(), where the kernel asks for a wake-up, as often
/// as packets leave.
int fluxcap_raw_wake_tx(const struct fluxcap_raw *raw);

/// Sends everything in the TX ring and takes the frames back.
///
/// It waits for at most `timeout_ms` milliseconds; -1: without end.
///
/// Returns 1 when the kernel has no packet left, 0 when time ran out.
///
/// Errors:
/// - -ENETDOWN, -ENODEV: as fluxcap_raw_wake_tx().
/// - -ECANCELED: fluxcap_raw_stop() ended it.
///
/// Threads: one at a time.
int fluxcap_raw_flush(struct fluxcap_raw *raw, int timeout_ms);

/// Waits for packets, or for room in the TX ring, or for whichever comes first.
///
/// `interest` is FLUXCAP_WAIT_RECEIVE, FLUXCAP_WAIT_SEND, or both. It waits for at most
/// `timeout_ms` milliseconds; -1: for ever. Takes sent frames back and tops the fill ring up first,
/// so that a packet can arrive and a slot become free.
///
/// Returns the FLUXCAP_WAIT_… bits that hold; 0 after the timeout, or a signal. It may return
/// early.
///
/// Errors:
/// - -ENODEV: the interface was removed, or moved to another network namespace, which shows within
///   a tenth of a second, or its XDP program was taken off, within a second.
/// - -ECANCELED: fluxcap_raw_stop() ended it, which a wait of 0 leaves to the next one.
///
/// Threads: one at a time. System calls: ppoll().
int fluxcap_raw_wait(struct fluxcap_raw *raw, uint32_t interest, int timeout_ms);

/// Ends a wait in fluxcap_raw_wait() or fluxcap_raw_flush(), which is -ECANCELED then.
///
/// Without one it ends the next fluxcap_raw_wait() with a timeout other than 0, or the next flush
/// that has to wait, so that no stop is lost.
///
/// Returns 0.
///
/// Errors, without a text:
/// - -EINVAL: `raw` is no open socket, or one of an engine.
///
/// Threads: any, at any time while the handle is open; and signal handlers, where a write() to a
/// descriptor is all it does.
int fluxcap_raw_stop(const struct fluxcap_raw *raw);

/// The socket's file descriptor, to wait on together with others.
///
/// It is readable while packets wait, and writable while the TX ring is at most half full. Wake-ups
/// may be spurious. Neither that the interface was removed nor that frames came home shows there:
/// with packets of fluxcap_raw_recv(), wait on fluxcap_raw_rx_fd().
///
/// Returns the descriptor. It stays the socket's own: do not close it.
///
/// Errors:
/// - -EMFILE: a simulated socket gets one when somebody asks, and no more files can be opened.
/// - -EOPNOTSUPP: a simulated socket gets none outside of Linux.
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once.
int fluxcap_raw_fd(const struct fluxcap_raw *raw);

/// A file descriptor to wait for packets on, as fluxcap_rx_fd().
///
/// It is readable while packets wait, when frames return that the fill ring was out of, and about
/// once a second. Then call fluxcap_raw_recv() until it returns 0 or an error, or
/// fluxcap_raw_refill() after fluxcap_raw_peek(), fluxcap_raw_recycle_front() or
/// fluxcap_raw_forward_front().
///
/// Returns the descriptor. It stays the socket's own: do not close it.
///
/// Errors:
/// - -EMFILE: the first call opens descriptors, and no more files can be opened.
/// - -EOPNOTSUPP: there are none outside of Linux.
/// - -EBUSY: the socket is the port of an engine that runs.
///
/// Threads: several at once.
int fluxcap_raw_rx_fd(const struct fluxcap_raw *raw);

/// Closes a socket, and frees the handle.
///
/// It is taken out of the XDP program, which goes with its last socket. Packets that you still hold
/// stay good; free them whenever you like. NULL is a no-op. The handle is gone afterwards.
///
/// Threads: one at a time.
void fluxcap_raw_free(struct fluxcap_raw *raw);

/// @}

/// @defgroup fluxcap_mode_b Mode B, the halves
///
/// A receiving and a sending half of one socket, which need no lock between them.
///
/// The receiving half hands out packets that you own, and gives the kernel free frames. The sending
/// half sends packets, whoever received or made them, and takes their frames back. Refilling,
/// taking back and waking the kernel happen within these calls. Packets travel between threads as
/// you like.
///
/// ```c
/// // What one half receives, the other sends: those of one socket, or of two on one UMEM.
/// static int pass_on(struct fluxcap_rx *rx, struct fluxcap_tx *tx)
/// {
///     struct fluxcap_packet packets[64];
///     int count, sent;
///
///     while ((count = fluxcap_rx_recv(rx, packets, 64, -1)) >= 0) {
///         sent = fluxcap_tx_send(tx, packets, (uint32_t)count);
///         // Drops what there is no room for; those that were sent have moved away.
///         fluxcap_packets_free(packets, (uint32_t)count);
///         if (sent < 0)
///             return sent;
///     }
///     return count;
/// }
/// ```
///
/// @{

/// @struct fluxcap_rx
/// Mode B: the receiving half of a socket. It hands out packets that you own, and gives the kernel
/// the frames of those that were freed, on whatever thread, or sent.
struct fluxcap_rx;

/// Makes two halves of a socket, which may be used on different threads at once.
///
/// They know nothing of each other, and are freed in any order. The handle of the socket is gone
/// then, with a stop that no wait has taken yet. Packets that you hold, that stand in a ring or are
/// being sent stay good. When the receiving half is gone, no more packets come, and the other one
/// still sends.
///
/// Returns 0; `*rx` and `*tx` are handles to be freed with fluxcap_rx_free() and fluxcap_tx_free().
///
/// Errors, after which the socket is as it was:
/// - -ENOMEM: not enough memory.
///
/// Threads: one at a time.
int fluxcap_raw_split(struct fluxcap_raw *raw, struct fluxcap_rx **rx, struct fluxcap_tx **tx);

/// Takes up to `count` received packets; without any it waits for one.
///
/// It waits as the poller says, for at most `timeout_ms` milliseconds; 0: not at all, -1: for ever.
/// It tops the fill ring up, too.
///
/// Returns how many packets it wrote to `packets`; 0 when time is over, or earlier: after a signal,
/// and when nothing can ever arrive on a simulated network. Each is yours until you send, recycle
/// or free it.
///
/// Errors:
/// - -ENODEV: the interface was removed, or moved to another network namespace, which a call that
///   finds no packet tells within a tenth of a second, whether it waits or not, or its XDP program
///   was taken off, within a second.
/// - -ECANCELED: fluxcap_rx_stop() ended the wait.
/// - -EINVAL: a wait for 0 packets.
///
/// Threads: one at a time. System calls: none while packets arrive, but recvfrom() where the kernel
/// asks for a wake-up; ppoll() to sleep.
int fluxcap_rx_recv(struct fluxcap_rx *rx,
                    struct fluxcap_packet *packets,
                    uint32_t count,
                    int timeout_ms);

/// Gives the frames of packets straight back to the kernel, for new packets.
///
/// That is cheaper than to free them.
///
/// Returns 0; their `data` is NULL then.
///
/// Errors, after which none is taken:
/// - -EINVAL: a packet is stale, or of another UMEM.
///
/// In an array of more than 256 packets, those before may be taken first: their `data` is NULL.
///
/// Threads: one at a time.
int fluxcap_rx_recycle(struct fluxcap_rx *rx, struct fluxcap_packet *packets, uint32_t count);

/// Tops the fill ring up with free frames.
///
/// fluxcap_rx_recv() does that, too.
///
/// Returns how many; 0 in a forked child.
///
/// Errors: the usual ones.
///
/// Threads: one at a time.
int fluxcap_rx_refill(struct fluxcap_rx *rx);

/// Sets how fluxcap_rx_recv() waits. At first it is FLUXCAP_POLLER_ADAPTIVE.
///
/// `poller` is one of FLUXCAP_POLLER_…; `spin_us` is how long FLUXCAP_POLLER_ADAPTIVE spins after
/// the last packet, in microseconds; 0: 50. The counters of fluxcap_rx_get_poller_statistics()
/// begin anew.
///
/// Returns 0.
///
/// Errors, after which the poller is as before:
/// - -EINVAL: a poller that is not known, or a `spin_us` other than 0 with another poller.
///
/// Threads: one at a time.
int fluxcap_rx_set_poller(struct fluxcap_rx *rx, uint32_t poller, uint32_t spin_us);

/// What the poller did since it was set.
///
/// Returns 0, and fills in `*statistics`, whose `struct_size` must be set.
///
/// Errors: the usual ones.
///
/// Threads: several at once.
int fluxcap_rx_get_poller_statistics(const struct fluxcap_rx *rx,
                                     struct fluxcap_poller_statistics *statistics);

/// Ends a wait in fluxcap_rx_recv(), which is -ECANCELED then.
///
/// Without one it ends the next, before it begins, so that no stop is lost; a call with a
/// `timeout_ms` of 0 does not wait, and leaves it to the next that does.
///
/// Returns 0.
///
/// Errors, without a text:
/// - -EINVAL: `rx` is no open receiving half.
///
/// Threads: any, at any time while the handle is open; and signal handlers, where a write() to a
/// descriptor is all it does.
int fluxcap_rx_stop(const struct fluxcap_rx *rx);

/// A file descriptor to wait for packets on, together with others, as with epoll.
///
/// It is readable while packets wait; when frames come home that the fill ring was out of, from
/// whatever thread they were freed on; and about once a second, so that a loop sees whether the
/// interface is still there. Then call fluxcap_rx_recv() with a `timeout_ms` of 0, until it returns
/// 0 or an error: it brings frames that came home to the fill ring, and makes the descriptor
/// unreadable again. A loop that frees packets need not do more. It is not the descriptor of the
/// other half, fluxcap_tx_fd().
///
/// Returns the descriptor. It stays the half's own: do not close it.
///
/// Errors:
/// - -EMFILE: the first call opens descriptors, and no more files can be opened.
/// - -EOPNOTSUPP: there are none outside of Linux.
///
/// Threads: several at once.
int fluxcap_rx_fd(const struct fluxcap_rx *rx);

/// What the socket is, as fluxcap_raw_get_info().
///
/// Returns 0, and fills in `*info`, whose `struct_size` must be set.
///
/// Errors: the usual ones.
///
/// Threads: several at once.
int fluxcap_rx_get_info(const struct fluxcap_rx *rx, struct fluxcap_info *info);

/// What the kernel counted for the socket, both halves, and what this one received.
///
/// `sent` is 0.
///
/// Returns 0, and fills in `*statistics`, whose `struct_size` must be set.
///
/// Errors:
/// - Another errno: the kernel did not tell its counters; fluxcap_last_error() says why.
///
/// Threads: several at once. System calls: getsockopt().
int fluxcap_rx_get_statistics(const struct fluxcap_rx *rx, struct fluxcap_statistics *statistics);

/// What the XDP program counted for the whole interface.
///
/// All is 0 without a program of this library.
///
/// Returns 0, and fills in `*counters`, whose `struct_size` must be set.
///
/// Errors:
/// - -EPERM: before Linux 6.0, without CAP_BPF, where kernel.unprivileged_bpf_disabled is set.
///
/// Threads: several at once. System calls: bpf().
int fluxcap_rx_get_program_counters(const struct fluxcap_rx *rx,
                                    struct fluxcap_program_counters *counters);

/// The fill ring and the RX ring, as they stand.
///
/// They are zeros in a forked child.
///
/// Returns 0, and fills in `*fill` and `*ring`.
///
/// Errors: the usual ones.
///
/// Threads: several at once.
int fluxcap_rx_get_rings(const struct fluxcap_rx *rx,
                         struct fluxcap_ring_state *fill,
                         struct fluxcap_ring_state *ring);

/// What became of each requested setting, as text: see fluxcap_raw_format_report().
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors: the usual ones.
///
/// Threads: several at once.
int fluxcap_rx_format_report(const struct fluxcap_rx *rx, char *text, size_t size);

/// Gives a handle to the UMEM of the socket: see fluxcap_raw_get_umem().
///
/// Returns 0; `*umem` is a handle to be freed with fluxcap_umem_free().
///
/// Errors: the usual ones.
///
/// Threads: several at once.
int fluxcap_rx_get_umem(const struct fluxcap_rx *rx, struct fluxcap_umem **umem);

/// Closes the receiving half: no more packets come.
///
/// Packets that you still hold stay good. NULL is a no-op. The handle is gone afterwards.
///
/// Threads: one at a time.
void fluxcap_rx_free(struct fluxcap_rx *rx);

/// @struct fluxcap_tx
/// Mode B: the sending half of a socket. It sends packets that you own, received or made, and takes
/// their frames back when they were sent.
///
/// When packets were given to the kernel and for a second nothing has moved, the next call is
/// -ETIME, and fluxcap_last_error() names driver and kernel; see fluxcap_tx_set_patience().
struct fluxcap_tx;

/// Sends packets, in order from the front of the array.
///
/// It takes sent frames back and calls the kernel, as often as that helps. What sent means, and who
/// counts what a device drops, fluxcap_raw_send() tells.
///
/// Returns how many were taken; their `data` is NULL then. The others are still yours:
/// fluxcap_tx_wait(), and try again.
///
/// Errors, after which none is taken:
/// - -EINVAL: a packet is stale, or of another UMEM (for that see fluxcap_tx_copy()).
/// - -EMSGSIZE: a packet is empty, or leaves its frame.
///
/// In an array of more than 256 packets, or of more than the TX ring has room for, those before may
/// be taken first: the count says so, and a later call the error.
///
/// Errors, after which packets whose `data` is NULL were taken, to be sent when that has changed:
/// - -ENETDOWN: the interface is down.
/// - -ENODEV: it was removed.
/// - -ETIME: nothing has left for the patience of this half: see fluxcap_tx_set_patience().
///
/// Threads: one at a time. System calls: sendto(), where the kernel asks for a wake-up.
int fluxcap_tx_send(struct fluxcap_tx *tx, struct fluxcap_packet *packets, uint32_t count);

/// Takes up to `count` free frames, for packets to send.
///
/// They become packets of length 0. Set `len`, fill in the bytes, and send them. If there are not
/// enough, sent frames are taken back.
///
/// Returns how many packets it wrote to `packets`; fewer, even 0, when that does not help, and 0 in
/// a forked child.
///
/// Errors: the usual ones.
///
/// Threads: one at a time. System calls: none.
int fluxcap_tx_alloc(struct fluxcap_tx *tx, struct fluxcap_packet *packets, uint32_t count);

/// Makes a packet with a copy of `len` bytes at `data`, in a free frame.
///
/// For packets that lie in another UMEM.
///
/// Returns 1, and writes the packet to `*packet`; 0 when no frame is free now.
///
/// Errors:
/// - -EMSGSIZE: the bytes do not fit into a frame.
///
/// Threads: one at a time. System calls: none.
int fluxcap_tx_copy(struct fluxcap_tx *tx,
                    const void *data,
                    size_t len,
                    struct fluxcap_packet *packet);

/// Takes the frames of sent packets back.
///
/// All calls that send do that, too. A half that does not send for a while keeps them: call it
/// then.
///
/// Returns how many; 0 in a forked child.
///
/// Errors: the usual ones.
///
/// Threads: one at a time. System calls: none.
int fluxcap_tx_reap(struct fluxcap_tx *tx);

/// Takes sent frames back, and makes the kernel send what is in the TX ring, if it asks for that.
///
/// Returns 0.
///
/// Errors, after which the packets stay in the ring:
/// - -ENETDOWN: the interface is down.
/// - -ENODEV: it was removed.
/// - -ETIME: nothing has left for the patience of this half: see fluxcap_tx_set_patience().
///
/// Threads: one at a time. System calls: sendto(), where the kernel asks for a wake-up, as often as
/// packets leave.
int fluxcap_tx_kick(struct fluxcap_tx *tx);

/// Sends everything in the TX ring and takes the frames back.
///
/// It waits for at most `timeout_ms` milliseconds; -1: without end.
///
/// Returns 1 when the kernel has no packet left, 0 when time ran out.
///
/// Errors:
/// - -ENETDOWN, -ENODEV, -ETIME: as fluxcap_tx_kick().
/// - -ECANCELED: fluxcap_tx_stop() ended it.
///
/// Threads: one at a time.
int fluxcap_tx_flush(struct fluxcap_tx *tx, int timeout_ms);

/// Waits until the TX ring has room.
///
/// It waits for at most `timeout_ms` milliseconds; -1: for ever. Takes sent frames back and calls
/// the kernel meanwhile. If it has to wait, then until the ring is at most half full.
///
/// Returns 1 when there is room, 0 otherwise: when time ran out, after a signal, and when nothing
/// can ever leave on a simulated network.
///
/// Errors:
/// - -ENETDOWN, -ENODEV, -ETIME: as fluxcap_tx_kick().
/// - -ECANCELED: fluxcap_tx_stop() ended it, which a wait of 0 leaves to the next one.
///
/// Threads: one at a time.
int fluxcap_tx_wait(struct fluxcap_tx *tx, int timeout_ms);

/// Ends a wait in fluxcap_tx_wait() or fluxcap_tx_flush(), which is -ECANCELED then.
///
/// Without one it ends the next that has to wait, so that no stop is lost.
///
/// Returns 0.
///
/// Errors, without a text:
/// - -EINVAL: `tx` is no open sending half.
///
/// Threads: any, at any time while the handle is open; and signal handlers, where a write() to a
/// descriptor is all it does.
int fluxcap_tx_stop(const struct fluxcap_tx *tx);

/// How many packets the TX ring has room for now.
///
/// Returns that number; 0 in a forked child.
///
/// Errors: the usual ones.
///
/// Threads: one at a time.
int fluxcap_tx_room(struct fluxcap_tx *tx);

/// How many packets were given to the kernel whose frames have not been taken back.
///
/// Returns that number.
///
/// Errors: the usual ones.
///
/// Threads: several at once.
int fluxcap_tx_outstanding(const struct fluxcap_tx *tx);

/// Sets how long nothing may leave, while the kernel has packets, until a call is -ETIME.
///
/// In milliseconds; -1: for ever. At first it is 1000. It runs while the half is in use:
/// fluxcap_tx_send(), fluxcap_tx_kick(), fluxcap_tx_flush() and fluxcap_tx_wait() look.
///
/// Returns 0.
///
/// Errors: the usual ones.
///
/// Threads: one at a time.
int fluxcap_tx_set_patience(struct fluxcap_tx *tx, int patience_ms);

/// A file descriptor to wait for room on, together with others, as with epoll.
///
/// It is writable while the TX ring is at most half full. It is the socket's, and readable while
/// packets wait. Wake-ups may be spurious.
///
/// Returns the descriptor. It stays the half's own: do not close it.
///
/// Errors:
/// - -EMFILE: a simulated socket gets one when somebody asks, and no more files can be opened.
/// - -EOPNOTSUPP: a simulated socket gets none outside of Linux.
///
/// Threads: several at once.
int fluxcap_tx_fd(const struct fluxcap_tx *tx);

/// What the socket is, as fluxcap_raw_get_info().
///
/// Returns 0, and fills in `*info`, whose `struct_size` must be set.
///
/// Errors: the usual ones.
///
/// Threads: several at once.
int fluxcap_tx_get_info(const struct fluxcap_tx *tx, struct fluxcap_info *info);

/// What the kernel counted for the socket, both halves, and what this one sent.
///
/// `received` is 0.
///
/// Returns 0, and fills in `*statistics`, whose `struct_size` must be set.
///
/// Errors:
/// - Another errno: the kernel did not tell its counters; fluxcap_last_error() says why.
///
/// Threads: several at once. System calls: getsockopt().
int fluxcap_tx_get_statistics(const struct fluxcap_tx *tx, struct fluxcap_statistics *statistics);

/// The TX ring and the completion ring, as they stand.
///
/// They are zeros in a forked child.
///
/// Returns 0, and fills in `*ring` and `*completion`.
///
/// Errors: the usual ones.
///
/// Threads: several at once.
int fluxcap_tx_get_rings(const struct fluxcap_tx *tx,
                         struct fluxcap_ring_state *ring,
                         struct fluxcap_ring_state *completion);

/// What became of each requested setting, as text: see fluxcap_raw_format_report().
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors: the usual ones.
///
/// Threads: several at once.
int fluxcap_tx_format_report(const struct fluxcap_tx *tx, char *text, size_t size);

/// Gives a handle to the UMEM of the socket: see fluxcap_raw_get_umem().
///
/// Returns 0; `*umem` is a handle to be freed with fluxcap_umem_free().
///
/// Errors: the usual ones.
///
/// Threads: several at once.
int fluxcap_tx_get_umem(const struct fluxcap_tx *tx, struct fluxcap_umem **umem);

/// Closes the sending half.
///
/// What is in the TX ring may be sent or not: fluxcap_tx_flush() before makes sure. Packets that
/// you still hold stay good. NULL is a no-op. The handle is gone afterwards.
///
/// Threads: one at a time.
void fluxcap_tx_free(struct fluxcap_tx *tx);

/// @}

/// @defgroup fluxcap_mode_a Mode A, the engine
///
/// A loop that the library runs: it gives packets to your callback, and does the rest.
///
/// An engine owns one socket or several, its ports. The callback gets what came in through a port,
/// a batch at a time; a packet whose verdict it leaves as it is is recycled, another one leaves
/// through the port that the verdict names. A group runs several engines, each on a thread of its
/// own.
///
/// ```c
/// // Sends packets on from port 0 to port 1 and back; drops what is shorter than a header.
/// static int cross(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
/// {
///     (void)user;
///     for (uint32_t i = 0; i < count; i++) {
///         if (packets[i].len >= 14)
///             packets[i].verdict = FLUXCAP_SEND + (1 - port);
///     }
///     return 0;
/// }
///
/// static int bridge(struct fluxcap_raw *raws[2])
/// {
///     struct fluxcap_engine *engine;
///     int result = fluxcap_engine_create(raws, 2, NULL, &engine);
///
///     if (result < 0)
///         return result;
///     result = fluxcap_engine_run(engine, cross, NULL); // Until fluxcap_engine_stop().
///     fluxcap_engine_free(engine);
///     return result;
/// }
/// ```
///
/// @{

/// The packet is dropped: its frame is recycled, for a new packet. It does not go on to the
/// kernel's network stack.
#define FLUXCAP_RECYCLE 0

/// The packet leaves through port 0; FLUXCAP_SEND + 1: through port 1; and so on. What the device
/// drops then (too long for its MTU, no peer), fluxcap_raw_send() tells of.
#define FLUXCAP_SEND 1

/// A received packet that you look at while the callback runs.
///
/// You may change its bytes, its verdict, and `data` and `len` within its frame: what is sent is
/// what they say when the callback returns. The frame begins at least 256 bytes before `data`, as
/// it comes, and ends where the next one begins. The fluxcap_packet_ref_…() functions do it within
/// those bounds. They take a pointer into the array of the callback that runs on this thread; a
/// copy of the struct, or one kept from an earlier callback, is -EINVAL.
///
/// Do not move, swap or compact the entries of the array: each stays with the packet that it came
/// with. Where an entry asks for its packet to be sent but names the frame of another one, the
/// packet is recycled, and the run ends with -EINVAL. Where the verdict is FLUXCAP_RECYCLE, `data`
/// and `len` are not looked at: the packet that came in this place is recycled, whatever stands
/// there, zeros included.
struct fluxcap_packet_ref {
  /// The first byte.
  uint8_t *data;
  /// The length in bytes. An empty packet is recycled.
  uint32_t len;
  /// What becomes of it: FLUXCAP_RECYCLE, as it comes, or FLUXCAP_SEND + the port to leave
  /// through.
  uint32_t verdict;
};

/// What an engine calls with the packets that came in through `port`: all `count` at once, at least
/// one.
///
/// `packets` is good until it returns. A negative result ends the run, which returns that number,
/// after the packets went where this call wanted them; 0 or more goes on. It must return: a C++
/// exception or a pthread_exit() that leaves it ends the program, by abort() and with a line on
/// stderr that says so; a longjmp() out of it is undefined. The thread is not cancelled while it
/// runs, unless it asks for that with pthread_setcancelstate(), and then a cancellation ends the
/// program likewise.
///
/// It may use everything but its own engine: calls with that are -EBUSY, except for
/// fluxcap_engine_stop().
typedef int (*fluxcap_callback)(void *user,
                                uint32_t port,
                                struct fluxcap_packet_ref *packets,
                                uint32_t count);

/// Packets for a full port wait in the RX rings, so that none is lost within the engine.
#define FLUXCAP_WHEN_FULL_WAIT 0

/// Packets for a full port are dropped and counted, so that it never holds up another one.
#define FLUXCAP_WHEN_FULL_DROP 1

/// How an engine shall run. Zero everywhere but in struct_size is a good start.
struct fluxcap_engine_config {
  /// sizeof(struct fluxcap_engine_config).
  uint32_t struct_size;
  /// FLUXCAP_POLLER_…: how it waits for packets.
  uint32_t poller;
  /// How long FLUXCAP_POLLER_ADAPTIVE spins after the last packet, in microseconds. 0: 50.
  uint32_t spin_us;
  /// The most packets that one call of the callback gets, 1 to 4096. 0: 64.
  uint32_t batch;
  /// FLUXCAP_WHEN_FULL_…: what becomes of packets for a port whose TX ring is full.
  uint32_t when_full;
  /// 1: ports may work on different UMEMs, and packets between them are copied. 0: they may not.
  uint32_t copying;
  /// How long a port may keep packets to send without any of them leaving, in milliseconds, until
  /// a run ends with -ETIME. 0: 1000; -1: for ever.
  int patience_ms;
};

/// @struct fluxcap_engine
/// Mode A: owns one or more sockets, its ports, and gives what they receive to a callback, a batch
/// at a time.
///
/// What the callback leaves as it is is recycled, what it wants sent is sent. Refilling, taking
/// sent frames back, waking the kernel, and waiting are the engine's. A packet that leaves through
/// another port on the same UMEM is not copied.
///
/// One call at a time runs it; another one meanwhile, from the callback or another thread, is
/// -EBUSY and does no harm.
struct fluxcap_engine;

/// Makes an engine of `count` sockets, its ports, counted from 0.
///
/// The sockets are the engine's then, their handles are gone, and the array is all NULL. `config`
/// may be NULL.
///
/// Returns 0; `*engine` is a handle to be freed with fluxcap_engine_free().
///
/// Errors, after which all sockets are still yours:
/// - -EINVAL: no socket, or one twice; one on another UMEM than the first, without `copying`; a
///   number out of its range.
/// - -ENOMEM: not enough memory for batches of that size.
///
/// Threads: any, which has all the sockets for itself.
int fluxcap_engine_create(struct fluxcap_raw **raws,
                          uint32_t count,
                          const struct fluxcap_engine_config *config,
                          struct fluxcap_engine **engine);

/// Gives packets to `callback` until fluxcap_engine_stop() ends it.
///
/// A stop that came before ends it at once. `user` is for your callback.
///
/// Returns 0 after a stop.
///
/// Errors, after which no frame is lost, and the engine can run again:
/// - A negative number that the callback returned, after the packets of its batch went where the
///   callback wanted them.
/// - -EMSGSIZE: the callback made a packet that is to be sent end behind its frame.
/// - -EINVAL: an entry that is to be sent names the frame of another packet, or a port that is not
///   there. That packet was recycled, the others went where they should.
/// - -ENODEV: an interface was removed, or moved to another network namespace, which shows within a
///   tenth of a second, or its XDP program was taken off, within a second.
/// - -ENETDOWN: an interface is down, and the kernel had to be called for it, as when it has
///   packets to send.
/// - -ETIME: an interface sends nothing any more: see `patience_ms` of struct
///   fluxcap_engine_config.
/// - -EBUSY: it runs already.
///
/// Threads: any, one at a time: a second call meanwhile, from the callback or another thread, is
/// -EBUSY and does no harm. System calls: recvfrom() and sendto(), where the kernel asks for a
/// wake-up; ppoll() to sleep.
int fluxcap_engine_run(struct fluxcap_engine *engine, fluxcap_callback callback, void *user);

/// As fluxcap_engine_run(), for at most `timeout_ms` milliseconds; -1: no such end.
///
/// Returns 0 after that time, or a stop.
///
/// Errors:
/// - Those of fluxcap_engine_run(): the number of the callback, -EMSGSIZE, -EINVAL, -ENODEV,
///   -ENETDOWN, -ETIME, -EBUSY.
///
/// Threads: any, one at a time.
int fluxcap_engine_run_for(struct fluxcap_engine *engine,
                           int timeout_ms,
                           fluxcap_callback callback,
                           void *user);

/// One turn: a batch of each port that has packets, and whatever the kernel needs.
///
/// It never waits, and ignores a stop. For a loop of your own, with fluxcap_engine_wait() after a
/// turn without packets.
///
/// Returns how many packets there were.
///
/// Errors:
/// - Those of fluxcap_engine_run(), but not -ETIME, which fluxcap_engine_wait() reports. -ENODEV
///   may show only in a turn without packets.
///
/// Threads: any, one at a time.
int fluxcap_engine_run_once(struct fluxcap_engine *engine, fluxcap_callback callback, void *user);

/// Waits for packets as the engine's poller says.
///
/// It waits for at most `timeout_ms` milliseconds; -1: for ever. A stop ends the wait, with 0; it
/// stays for the next run, which it ends before it begins, and ends further waits until then.
///
/// Returns 0, perhaps early.
///
/// Errors:
/// - -ENODEV: an interface was removed, or moved to another network namespace, which shows within a
///   tenth of a second, or its XDP program was taken off, within a second.
/// - -ETIME: an interface sends nothing any more: see `patience_ms` of struct
///   fluxcap_engine_config.
/// - -EBUSY: the engine runs.
///
/// Threads: any, one at a time. System calls: ppoll(), to sleep.
int fluxcap_engine_wait(struct fluxcap_engine *engine, int timeout_ms);

/// Ends the run at the end of the turn that it is in, or its sleep.
///
/// Without one it ends the next run before it begins, so that no stop is lost.
///
/// Returns 0.
///
/// Errors, without a text:
/// - -EINVAL: `engine` is no open engine.
///
/// Threads: any, at any time while the handle is open; the callback; and signal handlers, where a
/// write() to a descriptor is all it does.
int fluxcap_engine_stop(const struct fluxcap_engine *engine);

/// A handle to look at the socket of a port.
///
/// It is for all functions that take a const struct fluxcap_raw. It is the engine's and goes with
/// it. While the engine runs those functions return -EBUSY, or NULL.
///
/// Returns the handle; NULL when there is no such port.
///
/// Threads: several at once.
const struct fluxcap_raw *fluxcap_engine_port(const struct fluxcap_engine *engine, uint32_t port);

/// Ends an engine and closes its sockets.
///
/// Packets that you still hold stay good. NULL is a no-op. While it runs, as in its own callback,
/// nothing happens, and fluxcap_last_error() says so. Otherwise the handle is gone afterwards.
///
/// Threads: one at a time.
void fluxcap_engine_free(struct fluxcap_engine *engine);

/// What an engine did in all its runs. The packets are the sum over all ports.
struct fluxcap_engine_statistics {
  /// sizeof(struct fluxcap_engine_statistics), set by you.
  uint32_t struct_size;
  /// The number of ports.
  uint32_t ports;
  /// Packets that came in and were shown to the callback.
  uint64_t received;
  /// Packets that went out.
  uint64_t sent;
  /// Packets that came in and were recycled.
  uint64_t recycled;
  /// Packets that should have gone out and found no room.
  uint64_t dropped;
  /// Packets among the sent ones that were copied from another UMEM.
  uint64_t copied;
  /// Calls of the callback.
  uint64_t batches;
  /// Turns in which packets waited because a TX ring was full.
  uint64_t stalls;
  /// Turns without packets in which it kept looking.
  uint64_t spins;
  /// Turns without packets in which it slept.
  uint64_t sleeps;
  /// Times that it went over from spinning to sleeping, or back.
  uint64_t switches;
};

/// What passed through one port of an engine.
struct fluxcap_port_statistics {
  /// sizeof(struct fluxcap_port_statistics), set by you.
  uint32_t struct_size;
  /// 0.
  uint32_t reserved;
  /// Packets that came in and were shown to the callback.
  uint64_t received;
  /// Packets that went out.
  uint64_t sent;
  /// Packets that came in and were recycled.
  uint64_t recycled;
  /// Packets that should have gone out and found no room.
  uint64_t dropped;
  /// Packets among the sent ones that were copied from another UMEM.
  uint64_t copied;
};

/// What an engine did.
///
/// Returns 0, and fills in `*statistics`, whose `struct_size` must be set.
///
/// Errors:
/// - -EBUSY: it runs.
///
/// Threads: several at once.
int fluxcap_engine_get_statistics(const struct fluxcap_engine *engine,
                                  struct fluxcap_engine_statistics *statistics);

/// What passed through a port.
///
/// Returns 0, and fills in `*statistics`, whose `struct_size` must be set.
///
/// Errors:
/// - -EBUSY: the engine runs.
/// - -EINVAL: there is no such port.
///
/// Threads: several at once.
int fluxcap_engine_get_port_statistics(const struct fluxcap_engine *engine,
                                       uint32_t port,
                                       struct fluxcap_port_statistics *statistics);

/// What an engine did as text, for a person: a line for each port, and one for the whole.
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors:
/// - -EBUSY: it runs.
///
/// Threads: several at once.
int fluxcap_engine_format_statistics(const struct fluxcap_engine *engine, char *text, size_t size);

/// @struct fluxcap_group
/// Several engines, each on a thread of its own, which run and stop together: in the common case
/// one for each queue of an interface.
///
/// One call at a time runs them; another one meanwhile, from a callback or another thread, is
/// -EBUSY and does no harm.
struct fluxcap_group;

/// Told of an interface whose number of receive queues changed from `before` to `now` during a run:
/// packets go where no engine sees them then.
///
/// Called on the thread that called fluxcap_group_run(). It may stop the group. `interface` is good
/// until it returns. It must return, as a fluxcap_callback.
typedef void (*fluxcap_queue_callback)(void *user,
                                       const char *interface,
                                       uint32_t before,
                                       uint32_t now);

/// Makes a group of engines, numbered from 0.
///
/// The engines are the group's then, their handles are gone, and the array is all NULL.
///
/// Returns 0; `*group` is a handle to be freed with fluxcap_group_free().
///
/// Errors, after which all engines are still yours:
/// - -EINVAL: no engine, or one twice.
/// - -EBUSY: one runs.
///
/// Threads: any, which has all the engines for itself.
int fluxcap_group_create(struct fluxcap_engine **engines,
                         uint32_t count,
                         struct fluxcap_group **group);

/// Opens sockets, and makes a group of one engine for each.
///
/// One for each of `count` queues of an interface, whose numbers `queues` has, or with NULL of all
/// that it has, whatever `count`. The sockets are those of fluxcap_open_queues(), the engines run
/// as `engine_config` says, which may be NULL.
///
/// Returns 0; `*group` is a handle to be freed with fluxcap_group_free().
///
/// Errors, after which nothing is left behind:
/// - Those of fluxcap_open_queues() and fluxcap_engine_create().
///
/// Threads: any. Rights: as fluxcap_open().
int fluxcap_group_open(const struct fluxcap_config *config,
                       const uint32_t *queues,
                       uint32_t count,
                       const struct fluxcap_engine_config *engine_config,
                       struct fluxcap_group **group);

/// Gives each engine's thread a CPU, in the order of the engines.
///
/// A `count` of 0 leaves them to the scheduler again. Two may have the same.
///
/// Returns 0.
///
/// Errors, after which all stays as it was:
/// - -EINVAL: not as many as engines; there is no such CPU, or this process may not use it, and
///   fluxcap_last_error() names those it may.
/// - -EBUSY: the group runs.
/// - -EOPNOTSUPP: not on Linux.
///
/// Threads: any, one at a time.
int fluxcap_group_pin(struct fluxcap_group *group, const uint32_t *cpus, uint32_t count);

/// Sets how all engines wait for packets.
///
/// `poller` and `spin_us` are those of fluxcap_rx_set_poller().
///
/// Returns 0.
///
/// Errors, after which the pollers are as before:
/// - -EINVAL: a poller that is not known, or a `spin_us` other than 0 with a poller other than
///   FLUXCAP_POLLER_ADAPTIVE.
/// - -EBUSY: the group runs.
///
/// Threads: any, one at a time.
int fluxcap_group_set_poller(struct fluxcap_group *group, uint32_t poller, uint32_t spin_us);

/// Sets how often the number of queues is looked at during a run.
///
/// In milliseconds, 1 or more; -1: only at its start and its end. At first it is 1000.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: `interval_ms` is 0 or below -1.
/// - -EBUSY: the group runs.
///
/// Threads: any, one at a time.
int fluxcap_group_set_watch(struct fluxcap_group *group, int interval_ms);

/// Sets what is called when the number of queues of an interface has changed during a run.
///
/// It takes the place of the callback before; NULL calls none. It is called with `user`, on the
/// thread that called fluxcap_group_run(), until another one takes its place or the group is freed:
/// `user` must be good so long.
///
/// Returns 0.
///
/// Errors:
/// - -EBUSY: the group runs; so a callback cannot change it.
///
/// Threads: any, one at a time.
int fluxcap_group_on_queue_change(struct fluxcap_group *group,
                                  fluxcap_queue_callback callback,
                                  void *user);

/// Runs all engines, each on a thread of its own, until fluxcap_group_stop() ends them.
///
/// A stop that came before ends it at once. Each thread calls `callback` with the entry of `users`
/// for its engine; NULL for `users`: with NULL. When one engine ends, for whatever reason, all end.
/// The group can run again.
///
/// Returns 0 after a stop.
///
/// Errors:
/// - The first error of an engine, as fluxcap_engine_run().
/// - -EAGAIN: a thread cannot be had.
/// - -EBUSY: the group runs already.
///
/// Threads: any, one at a time: a second call meanwhile, from a callback or another thread, is
/// -EBUSY and does no harm.
int fluxcap_group_run(struct fluxcap_group *group, fluxcap_callback callback, void *const *users);

/// As fluxcap_group_run(), for at most `timeout_ms` milliseconds; -1: no such end.
///
/// Returns 0 after that time, or a stop.
///
/// Errors:
/// - Those of fluxcap_group_run(): the first error of an engine, -EAGAIN, -EBUSY.
///
/// Threads: any, one at a time.
int fluxcap_group_run_for(struct fluxcap_group *group,
                          int timeout_ms,
                          fluxcap_callback callback,
                          void *const *users);

/// Ends the run of all engines.
///
/// Without one it ends the next run before it begins, so that no stop is lost.
///
/// Returns 0.
///
/// Errors, without a text:
/// - -EINVAL: `group` is no open group.
///
/// Threads: any, at any time while the handle is open; a callback; and signal handlers, where a
/// write() to a descriptor for each engine is all it does.
int fluxcap_group_stop(const struct fluxcap_group *group);

/// A handle to look at the socket of a port of an engine, as fluxcap_engine_port().
///
/// It is the group's and goes with it.
///
/// Returns the handle; NULL when there is no such engine or port.
///
/// Threads: several at once.
const struct fluxcap_raw *fluxcap_group_port(const struct fluxcap_group *group,
                                             uint32_t engine,
                                             uint32_t port);

/// Ends a group and closes its sockets.
///
/// Packets that you still hold stay good. NULL is a no-op. While it runs, as in a callback, nothing
/// happens, and fluxcap_last_error() says so. Otherwise the handle is gone afterwards.
///
/// Threads: one at a time.
void fluxcap_group_free(struct fluxcap_group *group);

/// What the engines of a group did in all their runs, summed up.
struct fluxcap_group_statistics {
  /// sizeof(struct fluxcap_group_statistics), set by you.
  uint32_t struct_size;
  /// The number of engines.
  uint32_t engines;
  /// Packets that came in and were shown to a callback.
  uint64_t received;
  /// Packets that went out.
  uint64_t sent;
  /// Packets that came in and were recycled.
  uint64_t recycled;
  /// Packets that should have gone out and found no room.
  uint64_t dropped;
  /// Packets among the sent ones that were copied from another UMEM.
  uint64_t copied;
  /// Calls of the callback.
  uint64_t batches;
  /// Turns in which packets waited because a TX ring was full.
  uint64_t stalls;
  /// Turns without packets in which an engine kept looking.
  uint64_t spins;
  /// Turns without packets in which an engine slept.
  uint64_t sleeps;
  /// Times that an engine went over from spinning to sleeping, or back.
  uint64_t switches;
  /// How long they ran, in nanoseconds.
  uint64_t time_ns;
  /// Changes of the number of queues of an interface that were seen.
  uint64_t queue_changes;
};

/// What the engines did, all together.
///
/// Returns 0, and fills in `*statistics`, whose `struct_size` must be set.
///
/// Errors:
/// - -EBUSY: they run.
///
/// Threads: several at once.
int fluxcap_group_get_statistics(const struct fluxcap_group *group,
                                 struct fluxcap_group_statistics *statistics);

/// What one engine did.
///
/// Returns 0, and fills in `*statistics`, whose `struct_size` must be set.
///
/// Errors:
/// - -EBUSY: they run.
/// - -EINVAL: there is no such engine.
///
/// Threads: several at once.
int fluxcap_group_get_engine_statistics(const struct fluxcap_group *group,
                                        uint32_t engine,
                                        struct fluxcap_engine_statistics *statistics);

/// What the engines did as text, for a person.
///
/// A line for each, one for the whole, and one for each change of a number of queues.
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors:
/// - -EBUSY: they run.
///
/// Threads: several at once.
int fluxcap_group_format_statistics(const struct fluxcap_group *group, char *text, size_t size);

/// @}

/// @defgroup fluxcap_waiting Waiting
///
/// Spinning, sleeping, or one after the other; in the library's loops or in your own.
///
/// Mode A and fluxcap_rx_recv() wait as their poller says. All calls that wait have a `timeout_ms`,
/// and are ended by the stop function of their handle, from any thread or a signal handler. To wait
/// together with other things, take the descriptors: fluxcap_rx_fd() and fluxcap_raw_rx_fd() for
/// packets, fluxcap_tx_fd() for room.
///
/// ```c
/// // Waits for packets or for `other`. Returns how many packets there are.
/// static int wait_for_either(struct fluxcap_rx *rx, int other, struct fluxcap_packet packets[64])
/// {
///     struct pollfd fds[2] = {{fluxcap_rx_fd(rx), POLLIN, 0}, {other, POLLIN, 0}};
///
///     if (poll(fds, 2, -1) < 0)
///         return -errno;
///     if (fds[0].revents == 0)
///         return 0;
///     return fluxcap_rx_recv(rx, packets, 64, 0);
/// }
/// ```
///
/// @{

/// Spin for a while after the last packet, then sleep.
#define FLUXCAP_POLLER_ADAPTIVE 0

/// Never sleep. For the least latency, on a CPU of its own.
#define FLUXCAP_POLLER_BUSY 1

/// Sleep at once.
#define FLUXCAP_POLLER_WAIT 2

/// How a loop that waits for packets spent its time.
struct fluxcap_poller_statistics {
  /// sizeof(struct fluxcap_poller_statistics), set by you.
  uint32_t struct_size;
  /// 0.
  uint32_t reserved;
  /// Turns without packets in which it kept looking.
  uint64_t spins;
  /// Turns without packets in which it slept.
  uint64_t sleeps;
  /// Times that it went over from spinning to sleeping, or back.
  uint64_t switches;
};

/// Pins the calling thread to a CPU, counted from 0 as in /proc/cpuinfo.
///
/// A thread that spins wants one that nothing else uses.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: there is no such CPU, or this process may not use it; fluxcap_last_error() names
///   those it may.
/// - -EOPNOTSUPP: not on Linux.
///
/// Threads: any. System calls: sched_setaffinity().
int fluxcap_poller_pin(uint32_t cpu);

/// @}

/// @defgroup fluxcap_parsing Looking at packets
///
/// Where the headers of a packet are, and what they say.
///
/// fluxcap_parse() finds all headers of a packet in one pass, and has the fields that most programs
/// look at; fluxcap_packets_parse() does so for an array. Where you need every field of one header,
/// the function of that protocol reads it from its place: fluxcap_ipv4_header_parse() at
/// `l3_offset`, fluxcap_tcp_header_parse() at `l4_offset`. Then there are checksums, and a line of
/// text about a packet.
///
/// ```c
/// // Whether a packet opens a TCP connection to this port.
/// static int opens(const struct fluxcap_packet *packet, uint16_t port)
/// {
///     struct fluxcap_headers headers = {0};
///
///     headers.struct_size = sizeof(headers);
///     return fluxcap_parse(packet->data, packet->len, 0, NULL, &headers) == 0 &&
///            (headers.flags & FLUXCAP_HEADERS_TCP) != 0 && headers.destination_port == port &&
///            (headers.tcp_flags & (FLUXCAP_TCP_SYN | FLUXCAP_TCP_ACK)) == FLUXCAP_TCP_SYN;
/// }
/// ```
///
/// @{

/// What packets are parsed as in networks that use other numbers than the standards.
///
/// A list of fewer than four numbers ends with 0. All 0 is the same as no parser.
struct fluxcap_parser {
  /// sizeof(struct fluxcap_parser).
  uint32_t struct_size;
  /// 0.
  uint32_t reserved;
  /// What announces a VLAN tag besides 0x8100 and 0x88a8: devices from before IEEE 802.1ad use
  /// 0x9100, 0x9200 and 0x9300.
  uint16_t vlan_types[4];
  /// UDP ports that VXLAN comes to besides 4789: 8472 is what Linux takes unless told otherwise.
  uint16_t vxlan_ports[4];
  /// UDP ports that GRE comes to, such as 4754 (RFC 8086).
  uint16_t gre_ports[4];
};

/// Look into tunnels (GRE, VXLAN, IP in IP): the headers are those of the innermost packet.
#define FLUXCAP_PARSE_TUNNELS 1

/// Of a packet that is cut short or damaged, tell what can be read, and set
/// FLUXCAP_HEADERS_PARTIAL.
#define FLUXCAP_PARSE_PARTIAL 2

/// There is an Ethernet header at `start`.
#define FLUXCAP_HEADERS_ETHERNET 1

/// There is a header of `protocol`, known or not, at `l4_offset`.
#define FLUXCAP_HEADERS_L4 2

/// `source_port` and `destination_port` are there.
#define FLUXCAP_HEADERS_PORTS 4

/// `tcp_flags` are there.
#define FLUXCAP_HEADERS_TCP 8

/// `icmp_type` and `icmp_code` are there.
#define FLUXCAP_HEADERS_ICMP 16

/// The IP packet is a part only.
#define FLUXCAP_HEADERS_FRAGMENT 32

/// The IP packet is a fragment other than the first, which lacks the header of `protocol`.
#define FLUXCAP_HEADERS_LATER_FRAGMENT 64

/// An IPv6 routing header or an IPv4 option tells the last destination, and `destination_ip` is a
/// station on the way.
#define FLUXCAP_HEADERS_SOURCE_ROUTED 128

/// The packet is cut short or damaged: this is what can be read.
#define FLUXCAP_HEADERS_PARTIAL 256

/// An IPv6 destination option tells the home address of a mobile node (RFC 6275), which checksums
/// cover; `source_ip` is where it is now.
#define FLUXCAP_HEADERS_HOME_ADDRESS 512

/// `tunnel`: an IP packet directly in another.
#define FLUXCAP_IN_IP 1

/// `tunnel`: generic routing encapsulation.
#define FLUXCAP_IN_GRE 2

/// `tunnel`: VXLAN, on UDP port 4789 or those of a struct fluxcap_parser.
#define FLUXCAP_IN_VXLAN 3

/// Where the headers of a packet are, from Ethernet to TCP, UDP and ICMP, and the fields that most
/// programs look at, in host byte order. Offsets are in bytes from the start of what was parsed.
/// What is not there is 0.
struct fluxcap_headers {
  /// sizeof(struct fluxcap_headers).
  uint32_t struct_size;
  /// FLUXCAP_HEADERS_…, joined with |.
  uint32_t flags;
  /// Where the packet starts: 0, but for the inner one of a tunnel.
  uint32_t start;
  /// Where the IP header starts, if ip_version is not 0.
  uint32_t l3_offset;
  /// Where the header of `protocol` starts, with FLUXCAP_HEADERS_L4.
  uint32_t l4_offset;
  /// Where the payload starts: all behind the last header that is known.
  uint32_t payload_offset;
  /// Where the payload ends: `end`, or before it where a UDP datagram is shorter than its packet.
  uint32_t payload_end;
  /// Where the packet ends; padding may follow.
  uint32_t end;
  /// What the frame carries, behind its VLAN tags, or LLC with SNAP: 0x0800 IPv4, 0x86dd IPv6,
  /// 0x8847 MPLS, …; below 0x0600, an IEEE 802.3 length.
  uint16_t ether_type;
  /// The outermost of `vlan_tags`: priority, drop eligible, VLAN id, 3 + 1 + 12 bits.
  uint16_t outer_tag;
  /// The innermost of several `vlan_tags`, likewise.
  uint16_t inner_tag;
  /// From, with FLUXCAP_HEADERS_PORTS.
  uint16_t source_port;
  /// To, with FLUXCAP_HEADERS_PORTS.
  uint16_t destination_port;
  /// 4 or 6; 0 when this is no IP packet.
  uint8_t ip_version;
  /// What the IP packet carries, behind IPv6 extension headers: 1 ICMP, 6 TCP, 17 UDP, ….
  uint8_t protocol;
  /// Differentiated services codepoint, 6 bits.
  uint8_t dscp;
  /// Explicit congestion notification, 2 bits.
  uint8_t ecn;
  /// How many more hops the packet may take.
  uint8_t ttl;
  /// FLUXCAP_TCP_…, joined with |, with FLUXCAP_HEADERS_TCP.
  uint8_t tcp_flags;
  /// With FLUXCAP_HEADERS_ICMP.
  uint8_t icmp_type;
  /// With FLUXCAP_HEADERS_ICMP.
  uint8_t icmp_code;
  /// The number of VLAN tags, at most four: what is behind four is not parsed.
  uint8_t vlan_tags;
  /// How many MPLS labels there are.
  uint8_t mpls_labels;
  /// What the packet was taken out of, FLUXCAP_IN_…; 0 when it is no inner one.
  uint8_t tunnel;
  /// 0.
  uint8_t reserved[3];
  /// From; of version 4, the first four bytes.
  uint8_t source_ip[16];
  /// To; of version 4, the first four bytes.
  uint8_t destination_ip[16];
};

/// Finds all headers of `data`, a packet that begins with its Ethernet header, in one pass.
///
/// VLAN tags, MPLS labels, IPv4, IPv6 with its extension headers, TCP, UDP, ICMP. Unknown protocols
/// are payload. Checksums are not looked at. `flags` are FLUXCAP_PARSE_…, joined with |, or 0.
/// `parser` is for networks that use other numbers than the standards; NULL: the standards.
///
/// Returns 0, and fills in `*headers`, whose `struct_size` must be set.
///
/// Errors:
/// - -EINVAL: a header is cut short or a length cannot be, and fluxcap_last_error() names field and
///   offset; with FLUXCAP_PARSE_PARTIAL that is 0 and FLUXCAP_HEADERS_PARTIAL. Or `flags` has
///   unknown bits.
///
/// Threads: any.
int fluxcap_parse(const void *data,
                  size_t len,
                  uint32_t flags,
                  const struct fluxcap_parser *parser,
                  struct fluxcap_headers *headers);

/// Finds the headers of `count` packets, as fluxcap_parse() with FLUXCAP_PARSE_PARTIAL does.
///
/// `flags` and `parser` are those of fluxcap_parse(). Packets that are cut short or damaged have
/// FLUXCAP_HEADERS_PARTIAL, and one that has moved away is empty. A packet is never an error.
/// `headers` is an array of `count` structs, of which the first one's `struct_size` must be set: it
/// counts for all, and is written into each.
///
/// Returns how many packets are whole, and fills in `headers`.
///
/// Errors, after which nothing is written:
/// - -EINVAL: `flags` has unknown bits.
///
/// Threads: any.
int fluxcap_packets_parse(const struct fluxcap_packet *packets,
                          uint32_t count,
                          uint32_t flags,
                          const struct fluxcap_parser *parser,
                          struct fluxcap_headers *headers);

/// As fluxcap_packets_parse(), of the packets that a callback gets.
///
/// Returns how many packets are whole, and fills in `headers`.
///
/// Errors, after which nothing is written:
/// - -EINVAL: `flags` has unknown bits.
///
/// Threads: the one that the callback runs on.
int fluxcap_packet_refs_parse(const struct fluxcap_packet_ref *packets,
                              uint32_t count,
                              uint32_t flags,
                              const struct fluxcap_parser *parser,
                              struct fluxcap_headers *headers);

/// Show the Ethernet header, as `tcpdump -e` does.
#define FLUXCAP_FORMAT_ETHERNET 1

/// Writes one line about a packet, in the style of `tcpdump -nn`, without a line end.
///
/// `data` are `len` bytes, which begin with the Ethernet header. A line is `IP 10.0.0.1.1234 >
/// 10.0.0.2.80: Flags [S], seq 1, win 64240, length 0`. Any bytes will do: what is cut off is told
/// as `[|tcp]`, what cannot be as `[bad ip IHL 4]`. `flags` are 0 or FLUXCAP_FORMAT_…. Nothing is
/// allocated. `text` and `data` do not overlap.
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors:
/// - -EINVAL: `flags` has unknown bits.
///
/// Threads: any.
int fluxcap_format(const void *data, size_t len, uint32_t flags, char *text, size_t size);

/// An Ethernet header, in host byte order.
struct fluxcap_ethernet_header {
  /// To.
  uint8_t destination[6];
  /// From.
  uint8_t source[6];
  /// What follows: 0x0800 IPv4, 0x0806 ARP, ….
  uint16_t ether_type;
};

/// Reads the Ethernet header at the start of `data`.
///
/// Returns its length, 14, and fills in `*header`.
///
/// Errors:
/// - -EINVAL: there is none.
///
/// Threads: any.
int fluxcap_ethernet_header_parse(const void *data,
                                  size_t len,
                                  struct fluxcap_ethernet_header *header);

/// A VLAN tag (IEEE 802.1Q), in host byte order.
struct fluxcap_vlan_header {
  /// Which VLAN; 0 for none.
  uint16_t id;
  /// What follows: 0x0800 IPv4, 0x86dd IPv6, 0x8100 another tag, ….
  uint16_t ether_type;
  /// Priority, 3 bits.
  uint8_t priority;
  /// 1 when this frame may be dropped before others.
  uint8_t drop_eligible;
};

/// Reads the VLAN tag at the start of `data`, which is behind the Ethernet header.
///
/// Returns its length, 4, and fills in `*header`.
///
/// Errors:
/// - -EINVAL: there is none.
///
/// Threads: any.
int fluxcap_vlan_header_parse(const void *data, size_t len, struct fluxcap_vlan_header *header);

/// An ARP message for IPv4 over Ethernet (RFC 826), in host byte order.
struct fluxcap_arp_header {
  /// 1 request, 2 reply.
  uint16_t operation;
  /// From.
  uint8_t sender_mac[6];
  /// From.
  uint8_t sender_ip[4];
  /// To.
  uint8_t target_mac[6];
  /// To, or asked for.
  uint8_t target_ip[4];
};

/// Reads the ARP message at the start of `data`, which is behind the Ethernet header.
///
/// Returns its length, 28, and fills in `*header`.
///
/// Errors:
/// - -EINVAL: there is none.
///
/// Threads: any.
int fluxcap_arp_header_parse(const void *data, size_t len, struct fluxcap_arp_header *header);

/// An IPv4 header (RFC 791), in host byte order.
struct fluxcap_ipv4_header {
  /// Length of the header with its options, in bytes.
  uint8_t header_len;
  /// Differentiated services codepoint, 6 bits.
  uint8_t dscp;
  /// Explicit congestion notification, 2 bits.
  uint8_t ecn;
  /// Time to live.
  uint8_t ttl;
  /// What follows: 1 ICMP, 6 TCP, 17 UDP, ….
  uint8_t protocol;
  /// 1 when routers must not fragment.
  uint8_t dont_fragment;
  /// 1 when more fragments follow.
  uint8_t more_fragments;
  /// 1 when the header checksum is right.
  uint8_t checksum_ok;
  /// Length of header and payload, in bytes. What is behind it is padding.
  uint16_t total_length;
  /// Groups fragments.
  uint16_t identification;
  /// Where this fragment belongs, in bytes.
  uint16_t fragment_offset;
  /// The header checksum as it stands.
  uint16_t header_checksum;
  /// From.
  uint8_t source[4];
  /// To.
  uint8_t destination[4];
};

/// Reads the IPv4 header at the start of `data`, which is behind the Ethernet header.
///
/// Returns its length with options, and fills in `*header`.
///
/// Errors:
/// - -EINVAL: there is none, or its `total_length` exceeds `len`.
///
/// Threads: any.
int fluxcap_ipv4_header_parse(const void *data, size_t len, struct fluxcap_ipv4_header *header);

/// An IPv6 header (RFC 8200) and what its extension headers tell, in host byte order.
struct fluxcap_ipv6_header {
  /// From.
  uint8_t source[16];
  /// To.
  uint8_t destination[16];
  /// Which packets belong to one flow, 20 bits.
  uint32_t flow_label;
  /// Groups fragments; 0 when this is none.
  uint32_t identification;
  /// Length of extension headers and payload, in bytes. What is behind it is padding.
  uint16_t payload_length;
  /// Where this fragment belongs, in bytes. Fragments but the first lack the header of
  /// `protocol`.
  uint16_t fragment_offset;
  /// Differentiated services codepoint, 6 bits.
  uint8_t dscp;
  /// Explicit congestion notification, 2 bits.
  uint8_t ecn;
  /// How many more hops the packet may take.
  uint8_t hop_limit;
  /// What follows this header: an extension header, or the same as `protocol`.
  uint8_t next_header;
  /// What follows the extension headers: 6 TCP, 17 UDP, 58 ICMPv6, ….
  uint8_t protocol;
  /// 1 when more fragments follow.
  uint8_t more_fragments;
  /// 1 when a routing header tells the last destination, and `destination` is a station on the
  /// way.
  uint8_t source_routed;
  /// 1 when a destination option tells the home address of a mobile node (RFC 6275), and `source`
  /// is where it is now.
  uint8_t home_address;
};

/// Reads the IPv6 header and its extension headers at the start of `data`.
///
/// `data` is what is behind the Ethernet header.
///
/// Returns the length with extension headers, behind which `protocol` starts, and fills in
/// `*header`.
///
/// Errors:
/// - -EINVAL: there is none, its `payload_length` exceeds `len`, or there are more than eight
///   extension headers.
///
/// Threads: any.
int fluxcap_ipv6_header_parse(const void *data, size_t len, struct fluxcap_ipv6_header *header);

/// An ICMP echo request or reply (RFC 792), in host byte order.
struct fluxcap_icmp_echo_header {
  /// 8 request, 0 reply.
  uint8_t icmp_type;
  /// 1 when the checksum over header and data is right.
  uint8_t checksum_ok;
  /// The checksum as it stands.
  uint16_t checksum;
  /// Who asks.
  uint16_t identifier;
  /// Which question.
  uint16_t sequence;
};

/// Reads the ICMP echo message at the start of `data`.
///
/// `data` ends with the message, so that its checksum can be checked.
///
/// Returns the length of its header, 8, and fills in `*header`.
///
/// Errors:
/// - -EINVAL: it is no echo request or reply.
///
/// Threads: any.
int fluxcap_icmp_echo_header_parse(const void *data,
                                   size_t len,
                                   struct fluxcap_icmp_echo_header *header);

/// A UDP header (RFC 768), in host byte order.
struct fluxcap_udp_header {
  /// From.
  uint16_t source_port;
  /// To.
  uint16_t destination_port;
  /// Length of header and payload, in bytes.
  uint16_t length;
  /// The checksum as it stands; 0 for none.
  uint16_t checksum;
};

/// Reads the UDP header at the start of `data`, which is behind the IP header.
///
/// Returns its length, 8, and fills in `*header`.
///
/// Errors:
/// - -EINVAL: there is none, or its `length` exceeds `len`.
///
/// Threads: any.
int fluxcap_udp_header_parse(const void *data, size_t len, struct fluxcap_udp_header *header);

/// TCP control bit: no more data.
#define FLUXCAP_TCP_FIN 1

/// TCP control bit: opens a connection.
#define FLUXCAP_TCP_SYN 2

/// TCP control bit: resets the connection.
#define FLUXCAP_TCP_RST 4

/// TCP control bit: the data should reach the program at once.
#define FLUXCAP_TCP_PSH 8

/// TCP control bit: the acknowledgment number counts.
#define FLUXCAP_TCP_ACK 16

/// TCP control bit: the urgent pointer counts.
#define FLUXCAP_TCP_URG 32

/// TCP control bit: congestion was met (RFC 3168).
#define FLUXCAP_TCP_ECE 64

/// TCP control bit: the congestion window was reduced (RFC 3168).
#define FLUXCAP_TCP_CWR 128

/// A TCP header (RFC 9293), in host byte order.
struct fluxcap_tcp_header {
  /// Number of the first byte of data.
  uint32_t sequence_number;
  /// Number of the next byte expected, with FLUXCAP_TCP_ACK.
  uint32_t acknowledgment_number;
  /// From.
  uint16_t source_port;
  /// To.
  uint16_t destination_port;
  /// How many bytes the sender has room for, before scaling.
  uint16_t window;
  /// The checksum as it stands.
  uint16_t checksum;
  /// Where urgent data end, with FLUXCAP_TCP_URG.
  uint16_t urgent_pointer;
  /// Length of the header with its options, in bytes. The options start at byte 20.
  uint8_t header_len;
  /// FLUXCAP_TCP_…, joined with |.
  uint8_t flags;
};

/// Reads the TCP header at the start of `data`, which is behind the IP header.
///
/// Returns its length with options, and fills in `*header`.
///
/// Errors:
/// - -EINVAL: there is none.
///
/// Threads: any.
int fluxcap_tcp_header_parse(const void *data, size_t len, struct fluxcap_tcp_header *header);

/// A checksum is wrong: the packet was damaged.
#define FLUXCAP_CHECKSUM_WRONG 0

/// All checksums are right.
#define FLUXCAP_CHECKSUM_RIGHT 1

/// The checksum is left to the network card, as fluxcap_checksum_complete() tells.
#define FLUXCAP_CHECKSUM_PARTIAL 2

/// There is no checksum that can be checked: a fragment, or another protocol.
#define FLUXCAP_CHECKSUM_UNKNOWN 3

/// The Internet checksum of `len` bytes (RFC 1071).
///
/// Returns it in host byte order: 0 over data that contains its right checksum. NULL counts as no
/// bytes.
///
/// Threads: any.
uint16_t fluxcap_checksum(const void *data, size_t len);

/// An Internet checksum after some of the bytes that it covers have changed (RFC 1624).
///
/// `len` of them changed from `old_bytes` to `new_bytes`. They start at an even distance from the
/// first byte covered, and are an even number or the last ones. A checksum that was wrong stays
/// wrong. For UDP, leave a 0 alone, and send 0xffff for 0. NULL counts as no bytes.
///
/// Returns the new checksum, in host byte order as `checksum` is.
///
/// Threads: any.
uint16_t fluxcap_checksum_update(uint16_t checksum,
                                 const void *old_bytes,
                                 const void *new_bytes,
                                 size_t len);

/// Checks the checksums of `packet`, which begins with its Ethernet header.
///
/// That of the IPv4 header, and that of TCP, UDP, ICMP or ICMPv6, pseudo header included: with the
/// last station of a source-routed packet, and the home address of a mobile node (RFC 6275). VLAN
/// tags, IP options and extension headers are passed over.
///
/// Returns FLUXCAP_CHECKSUM_WRONG, …_RIGHT, …_PARTIAL or …_UNKNOWN.
///
/// Errors:
/// - -EINVAL: headers are malformed.
///
/// Threads: any.
int fluxcap_checksum_verify(const void *packet, size_t len);

/// Writes the checksums that fluxcap_checksum_verify() checks.
///
/// Returns 1, or 0 when only that of the IPv4 header could be written, if there is one: the packet
/// is a fragment, of another protocol, or has yet to pass stations of which the last is not known.
///
/// Errors, after which nothing is written:
/// - -EINVAL: headers are malformed.
///
/// Threads: any.
int fluxcap_checksum_fill(void *packet, size_t len);

/// Finishes the TCP or UDP checksum of `packet`, if its sender left that to the network card.
///
/// Linux does so for packets that stay on the machine (veth, virtio). Without that, who receives
/// the packet drops it. The packet begins with its Ethernet header. Such a checksum is recognised
/// by its value, the sum of the pseudo header; of other checksums one in 65536 has it by
/// coincidence. Where that is the right checksum, the packet stays as it is, but a damaged one gets
/// a right checksum: do not call this for packets that came over a wire.
///
/// Returns 1 when the checksum was finished, 0 when the packet is as it was: its checksum is not
/// partial or right all the same, or it is neither TCP nor UDP, a fragment, or malformed.
///
/// Errors: the usual ones.
///
/// Threads: any.
int fluxcap_checksum_complete(void *packet, size_t len);

/// @}

/// @defgroup fluxcap_editing Changing and building packets
///
/// Headers pushed and popped, addresses rewritten, packets built from nothing.
///
/// What makes a packet longer needs free bytes in front: 256 that the kernel leaves, and `headroom`
/// of struct fluxcap_config. Functions that begin with fluxcap_packet_ref_ do the same as those
/// that begin with fluxcap_packet_, in the callback of an engine. Checksums follow in all of them.
///
/// ```c
/// // Fills in an empty packet: a UDP datagram in VLAN 7. Returns its length.
/// static int make(struct fluxcap_packet *packet, const char *text)
/// {
///     struct fluxcap_frame_spec spec = {0};
///     const uint8_t from[4] = {10, 0, 0, 1}, to[4] = {10, 0, 0, 2};
///
///     spec.struct_size = sizeof(spec);
///     spec.kind = FLUXCAP_FRAME_UDP;
///     memset(spec.destination_mac, 0xff, 6);
///     memcpy(spec.source_ip, from, 4);
///     memcpy(spec.destination_ip, to, 4);
///     spec.source_port = 1234;
///     spec.destination_port = 5678;
///     spec.vlan_count = 1;
///     spec.vlans[0].id = 7;
///     return fluxcap_packet_build(packet, &spec, text, strlen(text));
/// }
/// ```
///
/// @{

/// A VLAN tag (IEEE 802.1Q, 802.1ad), in host byte order.
struct fluxcap_vlan_tag {
  /// Which VLAN, 0 to 4095.
  uint16_t id;
  /// What announces the tag: 0x8100, or 0 for the same, the inner one of two; 0x88a8 the outer
  /// one.
  uint16_t ether_type;
  /// Priority, 0 to 7.
  uint8_t priority;
  /// 1 when this frame may be dropped before others.
  uint8_t drop_eligible;
};

/// An MPLS label stack entry (RFC 3032), in host byte order.
struct fluxcap_mpls_label {
  /// The label, 0 to 1,048,575.
  uint32_t label;
  /// Traffic class, 0 to 7.
  uint8_t traffic_class;
  /// How many more hops the packet may take.
  uint8_t ttl;
  /// 1 when it is the last one of the stack. Not read.
  uint8_t bottom;
  /// Zero.
  uint8_t reserved;
};

/// GRE carries the whole frame; without, it carries the packet without its Ethernet header and VLAN
/// tags.
#define FLUXCAP_TUNNEL_FRAME 1

/// The GRE header has `gre_key`.
#define FLUXCAP_TUNNEL_KEY 2

/// The GRE header has `gre_sequence_number`.
#define FLUXCAP_TUNNEL_SEQUENCE 4

/// The GRE or UDP header has a checksum, which reads the whole packet.
#define FLUXCAP_TUNNEL_CHECKSUM 8

/// The UDP header has none over IPv6 either (RFC 6935).
#define FLUXCAP_TUNNEL_NO_CHECKSUM 16

/// What carries a tunnel, in host byte order: Ethernet and IP, and what the headers of GRE or VXLAN
/// say.
struct fluxcap_tunnel {
  /// sizeof(struct fluxcap_tunnel).
  uint32_t struct_size;
  /// FLUXCAP_TUNNEL_…, joined with |.
  uint32_t flags;
  /// 4 or 6: what the addresses here are.
  uint32_t ip_version;
  /// VXLAN network identifier, of 24 bits.
  uint32_t vni;
  /// Which flow or virtual network within a GRE tunnel; see FLUXCAP_TUNNEL_KEY.
  uint32_t gre_key;
  /// Number of the packet within a GRE tunnel; see FLUXCAP_TUNNEL_SEQUENCE.
  uint32_t gre_sequence_number;
  /// The UDP port that VXLAN comes from; 0: it follows from the flow of the packet inside.
  uint16_t source_port;
  /// The UDP port that VXLAN goes to; 0: 4789.
  uint16_t destination_port;
  /// How many hops the packet may take; 0: 64.
  uint8_t hops;
  /// Differentiated services codepoint, 6 bits.
  uint8_t dscp;
  /// Explicit congestion notification, 2 bits.
  uint8_t ecn;
  /// Zero.
  uint8_t reserved;
  /// Where the tunnel begins; of version 4, the first four bytes.
  uint8_t source_ip[16];
  /// Where it ends; of version 4, the first four bytes.
  uint8_t destination_ip[16];
  /// The Ethernet source.
  uint8_t source_mac[6];
  /// The Ethernet destination: that of the next router.
  uint8_t destination_mac[6];
};

/// What a GRE tunnel said of the packet that came out of it, in host byte order.
struct fluxcap_gre_tunnel {
  /// FLUXCAP_TUNNEL_…: FRAME, and which of the optional fields there were.
  uint32_t flags;
  /// What it carried: 0x0800 IPv4, 0x86dd IPv6, 0x6558 a whole frame, ….
  uint32_t protocol_type;
  /// Which flow or virtual network; 0 without.
  uint32_t key;
  /// Number of the packet; 0 without.
  uint32_t sequence_number;
};

/// Moves the start of a packet by `delta` bytes, as bpf_xdp_adjust_head() does.
///
/// A negative one puts so many bytes in front, which hold whatever the frame held before, a
/// positive one takes them off. Copies of the struct are stale then, also after an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EMSGSIZE: beyond the start of the frame or the packet's length, and when it would begin at
///   the very end of its frame.
/// - -EINVAL: the packet has moved away, or is a stale copy.
///
/// Threads: any.
int fluxcap_packet_adjust_head(struct fluxcap_packet *packet, int32_t delta);

/// Moves the end of a packet by `delta` bytes, as bpf_xdp_adjust_tail() does.
///
/// A positive one puts so many bytes behind, which hold whatever the frame held before, a negative
/// one takes them off. Copies of the struct are stale then, also after an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EMSGSIZE: beyond the end of the frame or the packet's length.
/// - -EINVAL: the packet has moved away, or is a stale copy.
///
/// Threads: any.
int fluxcap_packet_adjust_tail(struct fluxcap_packet *packet, int32_t delta);

/// Puts a VLAN tag in front of what the frame carries, outermost.
///
/// Copies of the struct are stale then, also after an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EMSGSIZE: fewer than 4 bytes are free in front.
/// - -EINVAL: there is no Ethernet header; a tag that cannot be; the packet has moved away, or is a
///   stale copy.
///
/// Threads: any.
int fluxcap_packet_push_vlan(struct fluxcap_packet *packet, const struct fluxcap_vlan_tag *tag);

/// Takes the outermost VLAN tag off, into `*tag` if that is not NULL.
///
/// Copies of the struct are stale then, also after an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: there is no tag; the packet has moved away, or is a stale copy.
///
/// Threads: any.
int fluxcap_packet_pop_vlan(struct fluxcap_packet *packet, struct fluxcap_vlan_tag *tag);

/// Puts an MPLS label on top of the stack, behind the Ethernet header and its VLAN tags.
///
/// The first one makes the packet an MPLS packet. Copies of the struct are stale then, also after
/// an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EMSGSIZE: fewer than 4 bytes are free in front.
/// - -EINVAL: there is no Ethernet header; a label that cannot be; the packet has moved away, or is
///   a stale copy.
///
/// Threads: any.
int fluxcap_packet_push_mpls(struct fluxcap_packet *packet, const struct fluxcap_mpls_label *label);

/// Takes the label on top of the stack off, into `*label` if that is not NULL.
///
/// If it was the last one, the packet becomes what `ether_type` says; with 0, what it seems to be,
/// IPv4 or IPv6. Copies of the struct are stale then, also after an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: there is no label; what is behind the last one is neither told nor seen; the packet
///   has moved away, or is a stale copy.
///
/// Threads: any.
int fluxcap_packet_pop_mpls(struct fluxcap_packet *packet,
                            uint16_t ether_type,
                            struct fluxcap_mpls_label *label);

/// Puts a packet into a GRE tunnel (RFC 2784, RFC 2890).
///
/// All lengths and checksums are filled in. A checksum inside that was left to the network card
/// stays so: call fluxcap_checksum_complete() first. Copies of the struct are stale then, also
/// after an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EMSGSIZE: not enough bytes are free in front, 70 at most, or the packet would be too long.
/// - -EINVAL: there is no Ethernet header; a tunnel that cannot be; the packet has moved away, or
///   is a stale copy.
///
/// Threads: any.
int fluxcap_packet_gre_encap(struct fluxcap_packet *packet, const struct fluxcap_tunnel *tunnel);

/// Takes a packet out of a GRE tunnel, with what is behind it, such as padding.
///
/// What the tunnel said goes into `*tunnel` if that is not NULL. A packet that was carried without
/// its Ethernet header gets the addresses of the outer one. No checksum is looked at. Copies of the
/// struct are stale then, also after an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: it is no GRE packet, a fragment of one, or malformed; the packet has moved away, or
///   is a stale copy.
///
/// Threads: any.
int fluxcap_packet_gre_decap(struct fluxcap_packet *packet, struct fluxcap_gre_tunnel *tunnel);

/// Puts a frame into a VXLAN tunnel (RFC 7348).
///
/// All lengths and checksums are filled in; over IPv4 there is no UDP checksum unless asked for. A
/// checksum inside that was left to the network card stays so: call fluxcap_checksum_complete()
/// first. Copies of the struct are stale then, also after an error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EMSGSIZE: fewer than 50 bytes are free in front, over IPv6 70, or the packet would be too
///   long.
/// - -EINVAL: there is no Ethernet header; a tunnel that cannot be; the packet has moved away, or
///   is a stale copy.
///
/// Threads: any.
int fluxcap_packet_vxlan_encap(struct fluxcap_packet *packet, const struct fluxcap_tunnel *tunnel);

/// Takes a frame out of a VXLAN tunnel, with what is behind it, such as padding.
///
/// The network identifier goes into `*vni` if that is not NULL. `port` is the UDP port that VXLAN
/// comes to; 0: 4789. No checksum is looked at. Copies of the struct are stale then, also after an
/// error.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: it is no UDP datagram to that port, a fragment of one, or malformed; the packet has
///   moved away, or is a stale copy.
///
/// Threads: any.
int fluxcap_packet_vxlan_decap(struct fluxcap_packet *packet, uint16_t port, uint32_t *vni);

/// As fluxcap_packet_adjust_head(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
int fluxcap_packet_ref_adjust_head(struct fluxcap_packet_ref *packet, int32_t delta);

/// As fluxcap_packet_adjust_tail(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
int fluxcap_packet_ref_adjust_tail(struct fluxcap_packet_ref *packet, int32_t delta);

/// As fluxcap_packet_push_vlan(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
int fluxcap_packet_ref_push_vlan(struct fluxcap_packet_ref *packet,
                                 const struct fluxcap_vlan_tag *tag);

/// As fluxcap_packet_pop_vlan(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
int fluxcap_packet_ref_pop_vlan(struct fluxcap_packet_ref *packet, struct fluxcap_vlan_tag *tag);

/// As fluxcap_packet_push_mpls(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
int fluxcap_packet_ref_push_mpls(struct fluxcap_packet_ref *packet,
                                 const struct fluxcap_mpls_label *label);

/// As fluxcap_packet_pop_mpls(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
int fluxcap_packet_ref_pop_mpls(struct fluxcap_packet_ref *packet,
                                uint16_t ether_type,
                                struct fluxcap_mpls_label *label);

/// As fluxcap_packet_gre_encap(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
int fluxcap_packet_ref_gre_encap(struct fluxcap_packet_ref *packet,
                                 const struct fluxcap_tunnel *tunnel);

/// As fluxcap_packet_gre_decap(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
int fluxcap_packet_ref_gre_decap(struct fluxcap_packet_ref *packet,
                                 struct fluxcap_gre_tunnel *tunnel);

/// As fluxcap_packet_vxlan_encap(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
int fluxcap_packet_ref_vxlan_encap(struct fluxcap_packet_ref *packet,
                                   const struct fluxcap_tunnel *tunnel);

/// As fluxcap_packet_vxlan_decap(), of a packet of the callback that runs on this thread.
///
/// What is sent is the packet as it is then.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: no callback runs on this thread, or `packet` is not one of its array.
/// - -EMSGSIZE: `data` and `len` are not those of a packet.
/// - Those of the other function.
///
/// Threads: the one that the callback runs on.
int fluxcap_packet_ref_vxlan_decap(struct fluxcap_packet_ref *packet, uint16_t port, uint32_t *vni);

/// Change the Ethernet source to `source_mac`.
#define FLUXCAP_REWRITE_SOURCE_MAC 1

/// Change the Ethernet destination to `destination_mac`.
#define FLUXCAP_REWRITE_DESTINATION_MAC 2

/// Change the IP source to `source_ip`.
#define FLUXCAP_REWRITE_SOURCE_IP 4

/// Change the IP destination to `destination_ip`.
#define FLUXCAP_REWRITE_DESTINATION_IP 8

/// Change the source port to `source_port`.
#define FLUXCAP_REWRITE_SOURCE_PORT 16

/// Change the destination port to `destination_port`.
#define FLUXCAP_REWRITE_DESTINATION_PORT 32

/// What to change in a packet. Ports are in host byte order.
struct fluxcap_rewrite {
  /// sizeof(struct fluxcap_rewrite).
  uint32_t struct_size;
  /// FLUXCAP_REWRITE_…, joined with |. The fields that it does not name are not read.
  uint32_t change;
  /// 4 or 6: what the IP addresses here are, when there are any.
  uint32_t ip_version;
  /// The new source port.
  uint16_t source_port;
  /// The new destination port.
  uint16_t destination_port;
  /// The new IP source; of version 4, the first four bytes.
  uint8_t source_ip[16];
  /// The new IP destination; of version 4, the first four bytes.
  uint8_t destination_ip[16];
  /// The new Ethernet source.
  uint8_t source_mac[6];
  /// The new Ethernet destination.
  uint8_t destination_mac[6];
};

/// Changes addresses and ports of `packet`, which begins with its Ethernet header, in place.
///
/// All checksums follow; a UDP checksum of 0 stays. A checksum that its sender left to the network
/// card (veth, virtio) stays unfinished, and whoever gets the packet from another machine drops it:
/// a forwarder calls fluxcap_checksum_complete(), too. VLAN tags, IP options and extension headers
/// are passed over.
///
/// Returns 0.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: not everything can be changed: the packet is of the other IP version, has no ports,
///   or is malformed. Or `change` has unknown bits, or `ip_version` is neither 4 nor 6.
///
/// Threads: any.
int fluxcap_rewrite_apply(const struct fluxcap_rewrite *rewrite, void *packet, size_t len);

/// Takes one hop off the TTL or hop limit of a packet, as routers do.
///
/// `packet` begins with its Ethernet header. The checksum of an IPv4 header follows.
///
/// Returns 1, or 0 when no hop is left and the packet must not be forwarded: it is as it was.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: it is not IP, or malformed.
///
/// Threads: any.
int fluxcap_ttl_decrement(void *packet, size_t len);

/// Lowers the maximum segment size that a TCP connection is opened with, where it is above `max`.
///
/// `packet` begins with its Ethernet header. The checksum follows, a partial one too.
///
/// Returns 1, or 0 when the packet is as it was: the size is no larger, it has none, opens no
/// connection, or is no TCP.
///
/// Errors, after which nothing is changed:
/// - -EINVAL: headers or TCP options are malformed.
///
/// Threads: any.
int fluxcap_mss_clamp(void *packet, size_t len, uint16_t max);

/// Swaps the addresses of the Ethernet header at the start of `data`.
///
/// Returns its length, 14.
///
/// Errors:
/// - -EINVAL: there is none.
///
/// Threads: any.
int fluxcap_ethernet_header_swap(void *data, size_t len);

/// Turns the ARP request in `packet` into the reply that names `mac`.
///
/// The packet begins with its Ethernet header. `mac` are 6 bytes, which may lie in it.
///
/// Returns the length of both headers, 42.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: it is no ARP request.
///
/// Threads: any.
int fluxcap_arp_reply(void *packet, size_t len, const uint8_t mac[6]);

/// Turns the ICMP echo request in `packet` into the reply.
///
/// The packet begins with its Ethernet header. The addresses are swapped, the type is changed, the
/// checksum is updated.
///
/// Returns the length of all headers.
///
/// Errors, after which the packet is as it was:
/// - -EINVAL: it is no ICMP echo request over IPv4, or a fragment of one.
///
/// Threads: any.
int fluxcap_icmp_echo_reply(void *packet, size_t len);

/// UDP over IP.
#define FLUXCAP_FRAME_UDP 0

/// TCP over IP.
#define FLUXCAP_FRAME_TCP 1

/// An echo request or reply, of ICMP over IPv4 or ICMPv6 over IPv6.
#define FLUXCAP_FRAME_ECHO 2

/// ARP for IPv4, without a payload.
#define FLUXCAP_FRAME_ARP 3

/// IP with the payload that `protocol` says, such as a message that you built.
#define FLUXCAP_FRAME_IP 4

/// Ethernet with the payload that `ether_type` says.
#define FLUXCAP_FRAME_ETHERNET 5

/// Zeros behind the end, up to the 60 bytes that Ethernet asks for. Network cards mostly do that by
/// themselves.
#define FLUXCAP_BUILD_PADDED 1

/// Routers may fragment the IPv4 packet.
#define FLUXCAP_BUILD_MAY_FRAGMENT 2

/// The UDP checksum is 0, none: right over IPv4; over IPv6 for tunnels alone (RFC 6935).
#define FLUXCAP_BUILD_NO_CHECKSUM 4

/// The echo message is a reply.
#define FLUXCAP_BUILD_REPLY 8

/// A frame to build, in host byte order: Ethernet, up to two VLAN tags, and what `kind` says.
/// Lengths, types and checksums are filled in. Fields that the kind does not need are not read.
///
/// What it does not do: MPLS, tunnels, LLC, IP options and extension headers, fragments, ICMP other
/// than echo, urgent data. Put such things into the payload of FLUXCAP_FRAME_IP or
/// FLUXCAP_FRAME_ETHERNET, or see fluxcap_packet_gre_encap() and the other functions for tunnels.
struct fluxcap_frame_spec {
  /// sizeof(struct fluxcap_frame_spec).
  uint32_t struct_size;
  /// FLUXCAP_FRAME_….
  uint32_t kind;
  /// FLUXCAP_BUILD_…, joined with |.
  uint32_t flags;
  /// 4 or 6; 0: 4.
  uint32_t ip_version;
  /// How many of `vlans` there are, 0 to 2.
  uint32_t vlan_count;
  /// IPv6: which packets belong to one flow, 20 bits; 0 for none.
  uint32_t flow_label;
  /// TCP: number of the first byte of data.
  uint32_t sequence_number;
  /// TCP: number of the next byte expected, with FLUXCAP_TCP_ACK.
  uint32_t acknowledgment_number;
  /// FLUXCAP_FRAME_ETHERNET: what the payload is, 0x0600 at least.
  uint16_t ether_type;
  /// IPv4: groups fragments; without meaning where routers must not make any.
  uint16_t identification;
  /// UDP and TCP: from.
  uint16_t source_port;
  /// UDP and TCP: to.
  uint16_t destination_port;
  /// TCP: how many bytes there is room for, before scaling. 0 says that there is none.
  uint16_t window;
  /// Echo: who asks.
  uint16_t echo_identifier;
  /// Echo: which question.
  uint16_t echo_sequence;
  /// ARP: 1 request, 2 reply; 0: 1.
  uint16_t arp_operation;
  /// The tags, the outer one first.
  struct fluxcap_vlan_tag vlans[2];
  /// IP: how many hops the packet may take; 0: 64.
  uint8_t hops;
  /// IP: differentiated services codepoint, 6 bits.
  uint8_t dscp;
  /// IP: explicit congestion notification, 2 bits.
  uint8_t ecn;
  /// FLUXCAP_FRAME_IP: what the payload is.
  uint8_t protocol;
  /// TCP: FLUXCAP_TCP_…, joined with |.
  uint8_t tcp_flags;
  /// TCP: how many bytes of `tcp_options` there are, 0 to 40.
  uint8_t tcp_options_len;
  /// Ethernet, and the sender in ARP: from.
  uint8_t source_mac[6];
  /// Ethernet: to.
  uint8_t destination_mac[6];
  /// The target in ARP; zeros in a request.
  uint8_t arp_target_mac[6];
  /// IP, and the sender in ARP: from. Of version 4, the first four bytes.
  uint8_t source_ip[16];
  /// IP, and the target in ARP: to. Of version 4, the first four bytes.
  uint8_t destination_ip[16];
  /// TCP: the options as on the wire. They are filled up with zeros to whole words.
  uint8_t tcp_options[40];
};

/// Builds a frame with a payload into the `size` bytes at `buffer`.
///
/// NULL is no payload. It must not lie within the buffer.
///
/// Returns the length of the frame.
///
/// Errors, after which the buffer holds anything:
/// - -EMSGSIZE: the frame does not fit.
/// - -EINVAL: a spec that cannot be; the payload lies in the buffer.
///
/// Threads: any.
int fluxcap_frame_build(const struct fluxcap_frame_spec *spec,
                        const void *payload,
                        size_t payload_len,
                        void *buffer,
                        size_t size);

/// Replaces the content of a packet by a frame with a payload.
///
/// The frame begins where the packet does, so that the free bytes in front stay free. NULL is no
/// payload. It must not lie in the packet's own frame. Copies of the struct are stale then, also
/// after an error.
///
/// Returns the length of the frame.
///
/// Errors, after which the packet is empty, or as it was:
/// - -EMSGSIZE: the frame does not fit.
/// - -EINVAL: a spec that cannot be; the payload lies in the packet's frame; the packet has moved
///   away, or is a stale copy.
///
/// Threads: any.
int fluxcap_packet_build(struct fluxcap_packet *packet,
                         const struct fluxcap_frame_spec *spec,
                         const void *payload,
                         size_t payload_len);

/// As fluxcap_packet_build(), of a packet of a callback: an answer in its place.
///
/// Set its verdict to send it.
///
/// Returns the length of the frame.
///
/// Errors:
/// - Those of fluxcap_packet_build(), and of fluxcap_packet_ref_adjust_head().
///
/// Threads: the one that the callback runs on.
int fluxcap_packet_ref_build(struct fluxcap_packet_ref *packet,
                             const struct fluxcap_frame_spec *spec,
                             const void *payload,
                             size_t payload_len);

/// @}

/// @defgroup fluxcap_simulator Simulator
///
/// The world around your program, in a test: NICs, cables, traffic, faults. Without root.
///
/// Sockets are opened on links of a simulated network in place of an interface's name; all the rest
/// of your program is as in production. Time is simulated, and a seed decides what goes wrong, so
/// that a test sees the same each time. NICs play and record capture files.
///
/// Functions on a NIC take its link; the link of an interface of the machine is -EINVAL.
///
/// ```c
/// // A packet arrives at a simulated NIC, and is received.
/// static int receive_one(const void *data, size_t len)
/// {
///     struct fluxcap_sim_nic_config nic = {0};
///     struct fluxcap_config config = {0};
///     struct fluxcap_sim *sim = NULL;
///     struct fluxcap_link *link = NULL;
///     struct fluxcap_raw *raw = NULL;
///     struct fluxcap_packet packet;
///     int result = -1;
///
///     nic.struct_size = sizeof(nic);
///     nic.name = "nic0";
///     config.struct_size = sizeof(config);
///     if (fluxcap_sim_create(1, &sim) == 0 && fluxcap_sim_add_nic(sim, &nic, &link) == 0) {
///         config.link = link;
///         if (fluxcap_open(&config, &raw) == 0 &&
///             fluxcap_sim_nic_inject(link, 0, data, len) == 0 &&
///             fluxcap_sim_settle(sim) >= 0)
///             result = fluxcap_raw_recv(raw, &packet, 1);
///     }
///     if (result == 1)
///         fluxcap_packet_free(&packet);
///     fluxcap_raw_free(raw);
///     fluxcap_link_free(link);
///     fluxcap_sim_free(sim);
///     return result;
/// }
/// ```
///
/// @{

/// For `keep` of struct fluxcap_sim_nic_config: nothing is kept, only counted.
#define FLUXCAP_SIM_KEEP_NOTHING 4294967295

/// @struct fluxcap_sim
/// A network without a kernel: NICs that sockets can be opened on, and cables between them. Needs
/// no root, and no network.
///
/// Your program opens its sockets on links of this network, in place of an interface's name, and
/// runs as in production: the rings, the counters and the errors are those of the kernel. Your test
/// plays the world around it.
///
/// Nothing moves by itself: packets move in fluxcap_sim_step() and fluxcap_sim_advance(), while a
/// socket waits or flushes, or, in real time, while the network's thread runs
/// (fluxcap_sim_start_thread()). Without the thread time is simulated, and the same calls on one
/// thread give the same results each time. On Linux a socket here has a file descriptor, too, as
/// soon as one asks for it; elsewhere fluxcap_raw_fd() is -EOPNOTSUPP.
struct fluxcap_sim;

/// What a simulated NIC shall be. Zero everywhere but in struct_size and name is an ordinary one.
struct fluxcap_sim_nic_config {
  /// sizeof(struct fluxcap_sim_nic_config).
  uint32_t struct_size;
  /// Its MTU in bytes, 68 to 65535. 0: 1500.
  uint32_t mtu;
  /// Its name, different from the others of its network. Read during the call only.
  const char *name;
  /// Its queues, 1 to 256. 0: 1.
  uint32_t queues;
  /// Packets on the way to one of its queues, at most; a sender finds the device busy then. 0:
  /// 2048.
  uint32_t cable;
  /// Packets kept for fluxcap_sim_nic_take_sent() and for fluxcap_sim_nic_take_passed(), at most;
  /// a sender finds the device busy then, and the host drops. 0: 65536. FLUXCAP_SIM_KEEP_NOTHING:
  /// what is sent without a cable, or passed, is only counted.
  uint32_t keep;
  /// 1: its driver has zero-copy. 0: it has not, as that of veth.
  uint32_t zero_copy;
  /// 1: the kernel does not know the TX budget option (Linux before 6.17), so one transmit call
  /// sends 32 packets. 0: it does.
  uint32_t no_tx_budget;
  /// Its Ethernet address. All 0: 02:00:00:00:00:01 for the first NIC of a network, and so on.
  uint8_t mac[6];
  /// 0.
  uint8_t reserved[6];
  /// How long, in nanoseconds, its driver takes to let go of the queue after a zero-copy socket
  /// was closed. So long the queue is taken, and the socket's frames are in quarantine (struct
  /// fluxcap_accounting).
  uint64_t release_delay_ns;
};

/// What goes wrong on the way into a NIC and in its sockets. Zero everywhere but in struct_size:
/// nothing.
///
/// All but max_delay_ns are chances, in parts per million of packets (or of calls), 0 to 1000000.
/// Which packets are hit follows from the network's seed alone.
struct fluxcap_sim_faults {
  /// sizeof(struct fluxcap_sim_faults).
  uint32_t struct_size;
  /// Packets that never arrive.
  uint32_t loss;
  /// Packets that arrive twice.
  uint32_t duplication;
  /// Packets that overtake up to eight others.
  uint32_t reordering;
  /// Packets of which one bit is flipped.
  uint32_t corruption;
  /// Packets that are cut short, to no less than an Ethernet header.
  uint32_t truncation;
  /// Packets that are late, by up to max_delay_ns, and all behind them.
  uint32_t delay;
  /// Packets that start a pause of max_delay_ns, after which all that waited arrive in one burst.
  uint32_t burst;
  /// Packets for which the fill ring seems to be empty; counted as the kernel counts it.
  uint32_t starvation;
  /// Sent packets whose frames come back late, by up to max_delay_ns.
  uint32_t stalled_completion;
  /// Waits that end early, with nothing there. Up to 500000.
  uint32_t spurious_wakeup;
  /// Wake-ups, of the program or of the kernel, that have no effect. Up to 500000.
  uint32_t lost_wakeup;
  /// How late, at most, in nanoseconds. Not more than a minute.
  uint64_t max_delay_ns;
};

/// Makes a network without NICs.
///
/// Its faults follow from `seed`: the same seed and the same calls on one thread give the same
/// trace.
///
/// Returns 0; `*sim` is a handle to be freed with fluxcap_sim_free().
///
/// Errors: the usual ones.
///
/// Threads: any.
int fluxcap_sim_create(uint64_t seed, struct fluxcap_sim **sim);

/// Frees a network's handle, and ends its thread.
///
/// Links and sockets of the network stay good: it goes with the last of them. NULL is a no-op. The
/// handle is gone afterwards.
///
/// Threads: one at a time.
void fluxcap_sim_free(struct fluxcap_sim *sim);

/// Adds a NIC to the network. It is up, and without a cable.
///
/// Returns 0; `*link` is a handle to it, to be freed with fluxcap_link_free().
///
/// Errors:
/// - -EINVAL: a number out of its range.
/// - -EEXIST: the network has a NIC of that name already.
///
/// Threads: any.
int fluxcap_sim_add_nic(const struct fluxcap_sim *sim,
                        const struct fluxcap_sim_nic_config *config,
                        struct fluxcap_link **link);

/// Finds the NIC of this name.
///
/// Returns 0; `*link` is one more handle to it, to be freed with fluxcap_link_free().
///
/// Errors:
/// - -ENODEV: there is none.
///
/// Threads: any.
int fluxcap_sim_find_nic(const struct fluxcap_sim *sim,
                         const char *name,
                         struct fluxcap_link **link);

/// Joins two NICs of the network by a cable.
///
/// What one sends, the other receives, on the queue of the same number.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: twice the same, or not of this network.
/// - -EBUSY: one has a cable already.
/// - -ENODEV: one was removed.
///
/// Threads: any.
int fluxcap_sim_join(const struct fluxcap_sim *sim,
                     const struct fluxcap_link *one,
                     const struct fluxcap_link *other);

/// Handles up to `budget` packets that are due.
///
/// Those are packets that leave a zero-copy socket, are played, arrive, or are completed late.
///
/// Returns how many; 0: nothing is left to do at this time.
///
/// Errors: the usual ones.
///
/// Threads: any.
int fluxcap_sim_step(const struct fluxcap_sim *sim, uint32_t budget);

/// Steps until nothing is left to do at this time.
///
/// Ends after some hundred million packets at the latest: a playback for ever has no end.
///
/// Returns how many packets were handled; INT_MAX: that many or more.
///
/// Errors: the usual ones.
///
/// Threads: any.
int fluxcap_sim_settle(const struct fluxcap_sim *sim);

/// Lets `nanoseconds` of simulated time pass, in which all happens that is due.
///
/// Delayed packets arrive, recorded traffic is played. While the network's thread runs, real time
/// counts, and this waits for it. Without it, traffic at full speed comes at one packet a
/// microsecond.
///
/// Returns 0.
///
/// Errors: the usual ones.
///
/// Threads: any.
int fluxcap_sim_advance(const struct fluxcap_sim *sim, uint64_t nanoseconds);

/// The nanoseconds since the network was made, as its packets see it.
///
/// Returns 0, and writes them to `*nanoseconds`.
///
/// Errors: the usual ones.
///
/// Threads: any.
int fluxcap_sim_get_time(const struct fluxcap_sim *sim, uint64_t *nanoseconds);

/// Starts a thread that moves packets as they come, in real time.
///
/// With it, programs of several threads run as on a real machine; without it, a single thread sees
/// the same happen each time.
///
/// Returns 0.
///
/// Errors:
/// - -EBUSY: it runs already.
///
/// Threads: any.
int fluxcap_sim_start_thread(const struct fluxcap_sim *sim);

/// Ends the thread.
///
/// Time is simulated again, and goes on from where it is. Without a thread it is a no-op.
///
/// Returns 0.
///
/// Errors: the usual ones.
///
/// Threads: any.
int fluxcap_sim_stop_thread(const struct fluxcap_sim *sim);

/// What goes wrong from now on, at all NICs, and at those to come.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: a chance or the delay is out of its range.
///
/// Threads: any.
int fluxcap_sim_set_faults(const struct fluxcap_sim *sim, const struct fluxcap_sim_faults *faults);

/// The packet reached the NIC.
#define FLUXCAP_SIM_ARRIVED 1

/// The packet stands in the RX ring of the queue's socket.
#define FLUXCAP_SIM_RECEIVED 2

/// The packet went on to the host's network stack.
#define FLUXCAP_SIM_PASSED 3

/// The packet was dropped on arrival: the host's queue or the RX ring full, no frame, too long, or
/// the NIC down.
#define FLUXCAP_SIM_DROPPED 4

/// The packet was taken out of a TX ring.
#define FLUXCAP_SIM_SENT 5

/// A frame came back through the completion ring.
#define FLUXCAP_SIM_COMPLETED 6

/// A fault took the packet.
#define FLUXCAP_SIM_LOST 7

/// A fault made a second packet.
#define FLUXCAP_SIM_DUPLICATED 8

/// A fault let the packet overtake others.
#define FLUXCAP_SIM_REORDERED 9

/// A fault changed a bit of the packet.
#define FLUXCAP_SIM_CORRUPTED 10

/// A fault cut the packet.
#define FLUXCAP_SIM_TRUNCATED 11

/// A fault held the packet up.
#define FLUXCAP_SIM_DELAYED 12

/// A fault made a kick or a wait pass without effect.
#define FLUXCAP_SIM_WAKEUP_LOST 13

/// A fault ended a wait early.
#define FLUXCAP_SIM_WAKEUP_SPURIOUS 14

/// A fault hid the frames of the fill ring.
#define FLUXCAP_SIM_STARVED 15

/// A fault holds a sent frame back.
#define FLUXCAP_SIM_STALLED 16

/// One thing that happened in a simulated network. There may be more kinds in later versions.
struct fluxcap_sim_event {
  /// When, in nanoseconds since the network was made.
  uint64_t time_ns;
  /// A hash of the packet's bytes (FNV-1a); 0 where there is none.
  uint64_t digest;
  /// The number of the NIC, from 0, in the order they were added.
  uint32_t nic;
  /// The queue.
  uint32_t queue;
  /// FLUXCAP_SIM_…: what.
  uint32_t kind;
  /// The packet's length in bytes; 0 where there is none.
  uint32_t len;
};

/// Notes down what happens in the network from now on, up to `events` of it; 0 ends that.
///
/// What was noted before is gone.
///
/// Returns 0.
///
/// Errors: the usual ones.
///
/// Threads: any.
int fluxcap_sim_start_trace(const struct fluxcap_sim *sim, uint32_t events);

/// The first `count` events since fluxcap_sim_start_trace(), in order, or fewer if there are fewer.
///
/// Times are nanoseconds since the network was made.
///
/// Returns how many there are in all, and writes the first ones to `events`.
///
/// Errors: the usual ones.
///
/// Threads: any.
int fluxcap_sim_get_trace(const struct fluxcap_sim *sim,
                          struct fluxcap_sim_event *events,
                          uint32_t count);

/// What happened since fluxcap_sim_start_trace(), in order, as text: one event a line.
///
/// Returns the length of the whole text; writes it to `text`, up to `size` bytes with the NUL.
///
/// Errors: the usual ones.
///
/// Threads: any.
int fluxcap_sim_format_trace(const struct fluxcap_sim *sim, char *text, size_t size);

/// At the recorded times, counted from the start of the playback.
#define FLUXCAP_SIM_SPEED_RECORDED 0

/// As fast as it goes: what the receiver has no frame or room for is dropped and counted, as on a
/// real link.
#define FLUXCAP_SIM_SPEED_FULL 1

/// As fast as the receiving socket takes them, so that none is dropped. Without a socket: as
/// FLUXCAP_SIM_SPEED_FULL.
#define FLUXCAP_SIM_SPEED_PACED 2

/// Bytes that come to a simulated NIC. Read during the call only.
struct fluxcap_sim_packet {
  /// The first byte, of the Ethernet header.
  const uint8_t *data;
  /// The length in bytes.
  size_t len;
  /// When, in nanoseconds from the start of a playback, not going back. For
  /// fluxcap_sim_nic_play() with FLUXCAP_SIM_SPEED_RECORDED.
  uint64_t time_ns;
};

/// What a simulated NIC counted.
struct fluxcap_sim_nic_counters {
  /// sizeof(struct fluxcap_sim_nic_counters), set by you.
  uint32_t struct_size;
  /// 1 while a playback is under way.
  uint32_t playing;
  /// Packets that reached it.
  uint64_t rx_packets;
  /// Packets that left it.
  uint64_t tx_packets;
  /// Packets that went on to the host's network stack.
  uint64_t passed;
  /// Of these, packets for which the host had no room.
  uint64_t host_dropped;
  /// Packets that came while it was down, or for a queue that it has not any more.
  uint64_t rx_down;
  /// Packets for which a zero-copy driver had no frame.
  uint64_t rx_missed;
  /// Packets that a fault took on the way.
  uint64_t rx_lost;
  /// Packets too short or too long to leave; the kernel completes them all the same.
  uint64_t tx_dropped;
};

/// Lets a packet arrive at a queue of a simulated NIC, as if it came over the cable.
///
/// It is handled in the network's next step.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: no such queue.
/// - -EMSGSIZE: shorter than an Ethernet header, or longer than the MTU with header and VLAN tag.
/// - -ENOBUFS: the cable is full.
/// - -ENETDOWN: the NIC is down.
/// - -ENODEV: it was removed.
///
/// Threads: any.
int fluxcap_sim_nic_inject(const struct fluxcap_link *link,
                           uint32_t queue,
                           const void *data,
                           size_t len);

/// Lets packets arrive at a queue of a simulated NIC in order, at once.
///
/// Returns how many had room on the cable.
///
/// Errors, after which no packet arrives:
/// - Those of fluxcap_sim_nic_inject(), but for a full cable, which shows as a smaller count.
/// - -ENOMEM: not enough memory.
///
/// Threads: any.
int fluxcap_sim_nic_inject_batch(const struct fluxcap_link *link,
                                 uint32_t queue,
                                 const struct fluxcap_sim_packet *packets,
                                 uint32_t count);

/// Lets the host's network stack send a packet through a simulated NIC.
///
/// Returns 0.
///
/// Errors:
/// - Those of fluxcap_sim_nic_inject().
///
/// Threads: any.
int fluxcap_sim_nic_host_send(const struct fluxcap_link *link,
                              uint32_t queue,
                              const void *data,
                              size_t len);

/// Takes the oldest packet that left a simulated NIC and was not taken yet.
///
/// Only a NIC without a cable keeps what it sent.
///
/// Returns its length, and writes it to `buffer`; 0 when there is none.
///
/// Errors:
/// - -EMSGSIZE: it is longer than `size`, and waits.
///
/// Threads: any.
int fluxcap_sim_nic_take_sent(const struct fluxcap_link *link, void *buffer, size_t size);

/// Takes the oldest packet that the host's network stack received and that was not taken yet.
///
/// Returns its length, and writes it to `buffer`; 0 when there is none.
///
/// Errors:
/// - -EMSGSIZE: it is longer than `size`, and waits.
///
/// Threads: any.
int fluxcap_sim_nic_take_passed(const struct fluxcap_link *link, void *buffer, size_t size);

/// Sets a simulated NIC up (1) or down (0). It begins up.
///
/// What arrives while it is down is lost, and counted.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: `up` is neither 0 nor 1.
/// - -ENODEV: it was removed.
///
/// Threads: any.
int fluxcap_sim_nic_set_up(const struct fluxcap_link *link, uint32_t up);

/// Changes the number of queues of a simulated NIC, as `ethtool -L` does.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: a number that cannot be, or a queue that would go has a socket.
/// - -ENODEV: the NIC was removed.
///
/// Threads: any.
int fluxcap_sim_nic_set_queues(const struct fluxcap_link *link, uint32_t queues);

/// Changes the MTU of a simulated NIC.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: it cannot be.
/// - -ENODEV: the NIC was removed.
///
/// Threads: any.
int fluxcap_sim_nic_set_mtu(const struct fluxcap_link *link, uint32_t mtu);

/// What goes wrong on the way into this simulated NIC and in its sockets, from now on.
///
/// Returns 0.
///
/// Errors:
/// - -EINVAL: a chance or the delay is out of its range.
/// - -ENODEV: the NIC was removed.
///
/// Threads: any.
int fluxcap_sim_nic_set_faults(const struct fluxcap_link *link,
                               const struct fluxcap_sim_faults *faults);

/// Starts to play packets into a queue of a simulated NIC, in place of what is played there now.
///
/// `speed` (FLUXCAP_SIM_SPEED_…) says how fast, `times` how often all of them; 0: for ever. The
/// packets are copied.
///
/// Returns 0.
///
/// Errors, after which nothing is played:
/// - -EINVAL: no packet, no such queue, or an unknown speed.
/// - -EMSGSIZE: a packet is too short or too long, and named.
/// - -ENETDOWN: the NIC is down.
/// - -ENODEV: it was removed.
/// - -ENOMEM: not enough memory for the copies.
///
/// Threads: any.
int fluxcap_sim_nic_play(const struct fluxcap_link *link,
                         uint32_t queue,
                         const struct fluxcap_sim_packet *packets,
                         uint32_t count,
                         uint32_t speed,
                         uint64_t times);

/// Ends all playbacks into a simulated NIC.
///
/// Returns 0.
///
/// Errors: the usual ones.
///
/// Threads: any.
int fluxcap_sim_nic_play_end(const struct fluxcap_link *link);

/// What a simulated NIC counted.
///
/// Returns 0, and fills in `*counters`, whose `struct_size` must be set.
///
/// Errors: the usual ones.
///
/// Threads: any.
int fluxcap_sim_nic_get_counters(const struct fluxcap_link *link,
                                 struct fluxcap_sim_nic_counters *counters);

/// Takes a simulated NIC out of its network, as when a card is unplugged.
///
/// Its sockets learn that it is gone (-ENODEV); the handle still has to be freed.
///
/// Returns 0.
///
/// Errors: the usual ones.
///
/// Threads: any.
int fluxcap_sim_nic_remove(const struct fluxcap_link *link);

/// `flags`: of a file that is cut off or damaged, play the packets before that place.
#define FLUXCAP_SIM_REPLAY_DAMAGED 1

/// `flags`: leave out packets that are too short or too long for the NIC.
#define FLUXCAP_SIM_REPLAY_UNFIT 2

/// `flags`: refuse a file that has packets other than of Ethernet, which are left out without this.
#define FLUXCAP_SIM_REPLAY_ETHERNET_ONLY 4

/// How fluxcap_sim_nic_replay_with() plays a capture file, and what of it cannot be played.
struct fluxcap_sim_replay_config {
  /// sizeof(struct fluxcap_sim_replay_config).
  uint32_t struct_size;
  /// FLUXCAP_SIM_REPLAY_…, joined with |.
  uint32_t flags;
  /// FLUXCAP_SIM_SPEED_….
  uint32_t speed;
  /// Set by the call: 1 when the file is cut off or damaged, and the packets before are played.
  uint32_t damaged;
  /// How often all of it; 0: for ever.
  uint64_t times;
  /// Set by the call: how many packets were left out, being of a link type other than Ethernet.
  uint64_t skipped;
  /// Set by the call: how many packets were left out, being too short or too long for the NIC.
  uint64_t unfit;
};

/// Starts to play a capture file into a queue of a simulated NIC, in place of what is played there.
///
/// The file is pcap or pcapng. `speed` (FLUXCAP_SIM_SPEED_…) says how fast, `times` how often all
/// of it; 0: for ever. The file is read whole before this returns. Packets of interfaces that are
/// not Ethernet are left out; fluxcap_sim_nic_replay_with() counts them.
///
/// Returns how many packets it has.
///
/// Errors, after which nothing is played:
/// - -ENOENT: no such file.
/// - -EACCES: it may not be read.
/// - -EINVAL: it is no capture file, a damaged or an empty one; there is no such queue, or the
///   speed is unknown.
/// - -EOPNOTSUPP: its packets are not of Ethernet.
/// - -EMSGSIZE: a packet is too short or too long for the NIC, and named.
/// - -ENETDOWN: the NIC is down.
/// - -ENODEV: it was removed.
/// - -ENOMEM: not enough memory.
///
/// Threads: any.
int fluxcap_sim_nic_replay(const struct fluxcap_link *link,
                           uint32_t queue,
                           const char *path,
                           uint32_t speed,
                           uint64_t times);

/// As fluxcap_sim_nic_replay(), of a file of which not everything can be played.
///
/// Returns how many packets are played. `replay->struct_size` must be set, and what the call sets
/// is 0 or anything.
///
/// Errors, after which nothing is played:
/// - -EINVAL: `flags` has unknown bits.
/// - Those of fluxcap_sim_nic_replay(), but for what `flags` allow; a file without a single packet
///   that can be played is an error all the same.
///
/// Threads: any.
int fluxcap_sim_nic_replay_with(const struct fluxcap_link *link,
                                uint32_t queue,
                                const char *path,
                                struct fluxcap_sim_replay_config *replay);

/// Writes what arrives at a simulated NIC and what leaves it into a capture file.
///
/// It ends with fluxcap_sim_nic_record_end(). It is a pcap file if its name ends so, and otherwise
/// a pcapng file. Times count from when the network was made. A file that is there is overwritten.
///
/// Returns 0.
///
/// Errors:
/// - -EBUSY: the NIC is recorded already.
/// - -ENOENT: no such directory.
/// - -EACCES: the file may not be written to.
/// - -ENODEV: the NIC was removed.
/// - Another errno of the operating system.
///
/// Threads: any.
int fluxcap_sim_nic_record(const struct fluxcap_link *link, const char *path);

/// Ends the recording of a simulated NIC, and the file is complete.
///
/// Without one it is a no-op.
///
/// Returns 0.
///
/// Errors, after which the file is incomplete:
/// - -ENOSPC, or another errno of the operating system: what went wrong since the recording began.
///
/// Threads: any.
int fluxcap_sim_nic_record_end(const struct fluxcap_link *link);

/// @}

#ifdef __cplusplus
}
#endif

#endif // FLUXCAP_H
