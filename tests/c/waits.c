/* What ends a call that waits: every one of them, and everything that can happen meanwhile, as a table of which each cell is run, on veth
 * pairs. And event loops on a descriptor, and stops that come before the wait. Needs root. A test in tests/c_api.rs finds calls that the table
 * lacks. */
#include "check.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What happens while a call waits. A column more is one of these, with a case in happen(). */
enum event {
    DELETED,   /* the interface is deleted */
    RENAMED,   /* it gets another name */
    MOVED,     /* it is moved to another network namespace */
    DETACHED,  /* somebody takes the XDP program off */
    FORKED,    /* the process makes a child, which ends at once */
    STOPPED,   /* fluxcap_..._stop() */
    SIGNALLED, /* the thread gets a signal that it has a handler for */
    CANCELLED, /* pthread_cancel() */
    EVENTS,
};

static const char *const names[EVENTS] = {"deleted", "renamed", "moved", "detached", "forked", "stopped", "signalled", "cancelled"};

/* What becomes of the call. */
enum {
    NONE = 99,          /* it waits in a function of libc, which is its own affair */
    PACKET = 1,         /* it waits on, and gets the next packet; or what it was to send leaves */
    NOTHING = 0,        /* it comes back without a packet */
    GONE = -ENODEV,     /* an error */
    ENDED = -ECANCELED, /* an error, or the end of a run */
};

enum { WATCHDOG = 60, HOUR = 3600 * 1000 };

struct waiter {
    struct fluxcap_raw *raw;
    struct fluxcap_rx *rx;
    struct fluxcap_tx *tx;
    struct fluxcap_engine *engine;
    struct fluxcap_group *group;
    int stop_pipe[2];
    const struct row *row;
    int packets, result;
    bool ended, stopped;
    pthread_t handle;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

struct row {
    const char *name;
    void (*open)(struct waiter *waiter);
    int (*call)(struct waiter *waiter);
    int (*stop)(struct waiter *waiter);
    int results[EVENTS];
    bool sends; /* it waits to send, or for packets that it may then send */
};

/* Mode C. */

static void keep_raw(struct waiter *waiter)
{
    (void)waiter;
}

static int wait_raw(struct waiter *waiter)
{
    return fluxcap_raw_wait(waiter->raw, FLUXCAP_WAIT_RECEIVE, -1);
}

static int wait_raw_to_send(struct waiter *waiter)
{
    int result = fluxcap_raw_wait(waiter->raw, FLUXCAP_WAIT_SEND, -1);

    return result == FLUXCAP_WAIT_SEND ? PACKET : result;
}

static int flush_raw(struct waiter *waiter)
{
    return fluxcap_raw_flush(waiter->raw, HOUR);
}

static int stop_raw(struct waiter *waiter)
{
    return fluxcap_raw_stop(waiter->raw);
}

/* Mode B. */

static void split(struct waiter *waiter)
{
    CHECK_RESULT(fluxcap_raw_split(waiter->raw, &waiter->rx, &waiter->tx), 0);
    CHECK_RESULT(fluxcap_rx_set_poller(waiter->rx, FLUXCAP_POLLER_WAIT, 0), 0);
    CHECK_RESULT(fluxcap_tx_set_patience(waiter->tx, -1), 0);
    waiter->raw = NULL;
}

static int recv_timeout(struct waiter *waiter, int timeout_ms)
{
    struct fluxcap_packet packet = ZEROS;
    int result = fluxcap_rx_recv(waiter->rx, &packet, 1, timeout_ms);

    if (result == 1)
        CHECK_RESULT(fluxcap_packet_free(&packet), 0);
    return result;
}

static int recv_rx(struct waiter *waiter)
{
    return recv_timeout(waiter, -1);
}

static int recv_rx_in_time(struct waiter *waiter)
{
    return recv_timeout(waiter, HOUR);
}

static int wait_tx(struct waiter *waiter)
{
    return fluxcap_tx_wait(waiter->tx, -1);
}

static int flush_tx(struct waiter *waiter)
{
    return fluxcap_tx_flush(waiter->tx, HOUR);
}

static int stop_tx(struct waiter *waiter)
{
    return fluxcap_tx_stop(waiter->tx);
}

static int stop_rx(struct waiter *waiter)
{
    return fluxcap_rx_stop(waiter->rx);
}

/* An event loop: it sleeps on descriptors alone. */

static int wait_on(struct waiter *waiter, int fd, int (*look)(struct waiter *waiter))
{
    for (;;) {
        struct pollfd entries[2] = ZEROS;

        entries[0].fd = fd;
        entries[1].fd = waiter->stop_pipe[0];
        entries[0].events = entries[1].events = POLLIN;
        int count = poll(entries, 2, -1);
        if (count < 0)
            CHECK(errno == EINTR);
        if (count > 0 && entries[1].revents != 0)
            return ENDED;
        int result = look(waiter);
        if (result != 0)
            return result;
    }
}

static int look_rx(struct waiter *waiter)
{
    return recv_timeout(waiter, 0);
}

static int poll_rx(struct waiter *waiter)
{
    return wait_on(waiter, fluxcap_rx_fd(waiter->rx), look_rx);
}

static int look_raw(struct waiter *waiter)
{
    struct fluxcap_packet packet = ZEROS;
    int result = fluxcap_raw_recv(waiter->raw, &packet, 1);

    if (result == 1)
        CHECK_RESULT(fluxcap_packet_free(&packet), 0);
    return result;
}

static int poll_raw(struct waiter *waiter)
{
    return wait_on(waiter, fluxcap_raw_rx_fd(waiter->raw), look_raw);
}

static int stop_poll(struct waiter *waiter)
{
    return write(waiter->stop_pipe[1], "", 1) == 1 ? 0 : -errno;
}

/* Mode A. A run that is stopped is 0; here that is ENDED, and a packet stops it, too. */

static int on_packets(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    struct waiter *waiter = (struct waiter *)user;

    (void)port;
    (void)packets;
    waiter->packets += (int)count;
    CHECK_RESULT(waiter->row->stop(waiter), 0);
    return 0;
}

static int ran(struct waiter *waiter, int result)
{
    if (result != 0)
        return result;
    return waiter->packets > 0 ? PACKET : ENDED;
}

static void make_engine(struct waiter *waiter)
{
    struct fluxcap_engine_config config = ZEROS;

    config.struct_size = sizeof(config);
    config.poller = FLUXCAP_POLLER_WAIT;
    config.patience_ms = -1;
    CHECK_RESULT(fluxcap_engine_create(&waiter->raw, 1, &config, &waiter->engine), 0);
}

static int run_engine(struct waiter *waiter)
{
    return ran(waiter, fluxcap_engine_run(waiter->engine, on_packets, waiter));
}

static int run_engine_for(struct waiter *waiter)
{
    return ran(waiter, fluxcap_engine_run_for(waiter->engine, HOUR, on_packets, waiter));
}

/* As a loop of one's own would use it. A full port makes it come back every now and then: the loop goes on. */
static int wait_engine(struct waiter *waiter)
{
    for (;;) {
        int result = fluxcap_engine_wait(waiter->engine, -1);
        if (result == 0)
            result = fluxcap_engine_run_once(waiter->engine, on_packets, waiter);
        if (result != 0)
            return result;
        if (__atomic_load_n(&waiter->stopped, __ATOMIC_SEQ_CST))
            return ENDED;
        if (!waiter->row->sends)
            return NOTHING;
    }
}

static int stop_engine(struct waiter *waiter)
{
    return fluxcap_engine_stop(waiter->engine);
}

static void make_group(struct waiter *waiter)
{
    make_engine(waiter);
    CHECK_RESULT(fluxcap_group_create(&waiter->engine, 1, &waiter->group), 0);
    waiter->engine = NULL;
}

static int run_group(struct waiter *waiter)
{
    void *users[1] = {waiter};

    return ran(waiter, fluxcap_group_run(waiter->group, on_packets, users));
}

static int run_group_for(struct waiter *waiter)
{
    void *users[1] = {waiter};

    return ran(waiter, fluxcap_group_run_for(waiter->group, HOUR, on_packets, users));
}

static int stop_group(struct waiter *waiter)
{
    return fluxcap_group_stop(waiter->group);
}

/* clang-format off */
static const struct row rows[] = {
    /*                                                       deleted renamed moved detached forked stopped signalled cancelled */
    {"raw_wait", keep_raw, wait_raw, stop_raw,                 {GONE, PACKET, GONE, GONE, PACKET, ENDED, NOTHING, PACKET}, false},
    {"rx_recv", split, recv_rx, stop_rx,                       {GONE, PACKET, GONE, GONE, PACKET, ENDED, NOTHING, PACKET}, false},
    {"rx_recv, in time", split, recv_rx_in_time, stop_rx,      {GONE, PACKET, GONE, GONE, PACKET, ENDED, NOTHING, PACKET}, false},
    {"engine_run", make_engine, run_engine, stop_engine,       {GONE, PACKET, GONE, GONE, PACKET, ENDED, PACKET, PACKET}, false},
    {"engine_run_for", make_engine, run_engine_for, stop_engine, {GONE, PACKET, GONE, GONE, PACKET, ENDED, PACKET, PACKET}, false},
    {"engine_wait", make_engine, wait_engine, stop_engine,     {GONE, PACKET, GONE, GONE, PACKET, ENDED, NOTHING, PACKET}, false},
    {"group_run", make_group, run_group, stop_group,           {GONE, PACKET, GONE, GONE, PACKET, ENDED, PACKET, PACKET}, false},
    {"group_run_for", make_group, run_group_for, stop_group,   {GONE, PACKET, GONE, GONE, PACKET, ENDED, PACKET, PACKET}, false},
    {"poll on rx_fd", split, poll_rx, stop_poll,               {GONE, PACKET, GONE, GONE, PACKET, ENDED, PACKET, NONE}, false},
    {"poll on raw_rx_fd", keep_raw, poll_raw, stop_poll,       {GONE, PACKET, GONE, GONE, PACKET, ENDED, PACKET, NONE}, false},
    {"raw_wait, to send", keep_raw, wait_raw_to_send, stop_raw, {GONE, PACKET, GONE, GONE, PACKET, ENDED, NOTHING, PACKET}, true},
    {"raw_flush", keep_raw, flush_raw, stop_raw,               {GONE, PACKET, GONE, PACKET, PACKET, ENDED, PACKET, PACKET}, true},
    {"tx_wait", split, wait_tx, stop_tx,                       {GONE, PACKET, GONE, PACKET, PACKET, ENDED, NOTHING, PACKET}, true},
    {"tx_flush", split, flush_tx, stop_tx,                     {GONE, PACKET, GONE, PACKET, PACKET, ENDED, PACKET, PACKET}, true},
    {"engine_run, full", make_engine, run_engine, stop_engine, {GONE, PACKET, GONE, GONE, PACKET, ENDED, PACKET, PACKET}, true},
    {"engine_wait, full", make_engine, wait_engine, stop_engine, {GONE, PACKET, GONE, GONE, PACKET, ENDED, PACKET, PACKET}, true},
};
/* clang-format on */

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void *wait_there(void *argument)
{
    struct waiter *waiter = (struct waiter *)argument;
    int result = waiter->row->call(waiter);

    pthread_mutex_lock(&waiter->lock);
    waiter->result = result;
    waiter->ended = true;
    pthread_cond_broadcast(&waiter->changed);
    pthread_mutex_unlock(&waiter->lock);
    /* Where a request to cancel the thread that came within the call takes effect. */
    pthread_testcancel();
    return NULL;
}

/* Waits until the call has ended; false when it has not within so many milliseconds. */
static bool has_ended(struct waiter *waiter, int timeout_ms)
{
    struct timespec end;
    bool ended;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    end.tv_sec += timeout_ms / 1000 + end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    pthread_mutex_lock(&waiter->lock);
    while (!waiter->ended && pthread_cond_timedwait(&waiter->changed, &waiter->lock, &end) == 0) {
    }
    ended = waiter->ended;
    pthread_mutex_unlock(&waiter->lock);
    return ended;
}

static int bpf(int command, void *words, unsigned size)
{
    return (int)syscall(SYS_bpf, command, words, size);
}

/* Takes the XDP program off, as `bpftool link detach` does. */
static void detach(const char *interface)
{
    enum { GET_INFO = 15, GET_FD_BY_ID = 30, GET_NEXT_ID = 31, LINK_DETACH = 34 };
    char command[128], text[64] = ZEROS;
    uint32_t start = 0, program;

    /* Unlike the index of the interface, the program's id is one of its kind on the whole machine. */
    snprintf(command, sizeof(command), "ip -d link show dev %s | sed -n 's/.*prog\\/xdp id \\([0-9]*\\).*/\\1/p'", interface);
    FILE *pipe = popen(command, "r");
    CHECK(pipe != NULL && fgets(text, sizeof(text), pipe) != NULL);
    pclose(pipe);
    program = (uint32_t)strtoul(text, NULL, 10);
    CHECK(program > 0);
    for (;;) {
        uint32_t words[4] = {start, 0, 0, 0}, info[16] = ZEROS;

        CHECK(bpf(GET_NEXT_ID, words, sizeof(words)) == 0);
        start = words[1];
        words[0] = start;
        words[1] = 0;
        int link = bpf(GET_FD_BY_ID, words, sizeof(words));
        if (link < 0)
            continue;
        uint64_t address = (uintptr_t)info;
        words[0] = (uint32_t)link;
        words[1] = sizeof(info);
        memcpy(&words[2], &address, sizeof(address));
        CHECK(bpf(GET_INFO, words, sizeof(words)) == 0);
        bool found = info[2] == program;
        if (found) {
            words[1] = words[2] = words[3] = 0;
            CHECK(bpf(LINK_DETACH, words, sizeof(words)) == 0);
        }
        close(link);
        if (found)
            return;
    }
}

static void move_elsewhere(const char *interface)
{
    char command[128];
    int ready[2];

    CHECK(pipe(ready) == 0);
    pid_t child = fork();
    if (child == 0) {
        bool good = unshare(CLONE_NEWNET) == 0;
        (void)!write(ready[1], good ? "y" : "n", 1);
        /* The namespace goes with it. */
        pause();
        _exit(0);
    }
    char answer = 0;
    CHECK(child > 0 && read(ready[0], &answer, 1) == 1 && answer == 'y');
    snprintf(command, sizeof(command), "ip link set %s netns %d", interface, (int)child);
    run(command);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
}

static void on_signal(int number)
{
    (void)number;
}

static void happen(enum event event, struct waiter *waiter)
{
    struct sigaction action = ZEROS;
    pid_t child;

    switch (event) {
    case DELETED: run("ip link del near"); break;
    case RENAMED: run("ip link set near name other"); break;
    case MOVED: move_elsewhere("near"); break;
    case DETACHED: detach("near"); break;
    case FORKED:
        child = fork();
        if (child == 0)
            _exit(0);
        CHECK(child > 0 && waitpid(child, NULL, 0) == child);
        break;
    case STOPPED:
        __atomic_store_n(&waiter->stopped, true, __ATOMIC_SEQ_CST);
        CHECK_RESULT(waiter->row->stop(waiter), 0);
        break;
    case SIGNALLED:
        action.sa_handler = on_signal;
        CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
        CHECK(pthread_kill(waiter->handle, SIGUSR1) == 0);
        break;
    case CANCELLED: CHECK(pthread_cancel(waiter->handle) == 0); break;
    case EVENTS: break;
    }
}

static void send_from(struct fluxcap_raw *raw, uint32_t count)
{
    struct fluxcap_packet packets[64];

    make_packets(raw, packets, count, 60, 1);
    CHECK_RESULT(fluxcap_raw_send(raw, packets, count), (int)count);
    CHECK_RESULT(fluxcap_raw_wake_tx(raw), 0);
}

static void add_pair(void)
{
    run("ip link add near type veth peer name far && ip link set near addrgenmode none up && ip link set far addrgenmode none up");
}

static void del_pair(void)
{
    /* First what holds packets back: until they are gone, the kernel waits with the removal of the interface that they left from. */
    run("ip link del sink 2>/dev/null || true; ip link del far 2>/dev/null || true");
}

/* What arrives at far goes on to a device that sends a byte a second, so that nothing leaves near, until that device is deleted. False where
 * the kernel cannot do that. */
static bool hold_back(void)
{
    run("ip link add sink type veth peer name drain && ip link set sink addrgenmode none up && ip link set drain addrgenmode none up");
    return system("tc qdisc add dev sink root tbf rate 8bit burst 225 limit 1m && tc qdisc add dev far ingress && "
                  "tc filter add dev far ingress protocol all u32 match u32 0 0 action mirred egress redirect dev sink") == 0;
}

/* Sends until the TX ring is full and stays so: one packet that leaves takes longer than a test. */
static void fill_up(struct fluxcap_raw *raw)
{
    struct fluxcap_packet packets[64];

    for (int idle = 0; idle < 3;) {
        make_packets(raw, packets, 64, 200, 1);
        int sent = fluxcap_raw_send(raw, packets, 64);
        CHECK(sent >= 0);
        CHECK_RESULT(fluxcap_raw_wake_tx(raw), 0);
        CHECK_RESULT(fluxcap_packets_free(packets + sent, 64 - (uint32_t)sent), 0);
        CHECK(fluxcap_raw_reap(raw) >= 0);
        idle += sent == 0;
    }
}

/* A socket on near whose TX ring is full, and in whose RX ring a packet waits. */
static void fill(struct fluxcap_raw *raw, struct fluxcap_raw *sender)
{
    CHECK(hold_back());
    fill_up(raw);
    send_from(sender, 1);
    CHECK_RESULT(fluxcap_raw_wait(raw, FLUXCAP_WAIT_RECEIVE, WATCHDOG * 1000), FLUXCAP_WAIT_RECEIVE);
}

static void cell(const struct row *row, enum event event)
{
    struct fluxcap_config near = small("near"), far = small("far");
    struct waiter waiter = ZEROS;
    int wanted = row->results[event];
    void *returned = NULL;

    add_pair();
    near.frames = 1024;
    /* It takes no packets, which go on to what holds them back. */
    if (row->sends)
        far.program = FLUXCAP_PROGRAM_SEND_ONLY;
    struct fluxcap_raw *sender = open_config(&far);
    waiter.raw = open_config(&near);
    waiter.row = row;
    if (row->sends)
        fill(waiter.raw, sender);
    CHECK(pipe(waiter.stop_pipe) == 0);
    pthread_mutex_init(&waiter.lock, NULL);
    pthread_cond_init(&waiter.changed, NULL);
    row->open(&waiter);
    CHECK(pthread_create(&waiter.handle, NULL, wait_there, &waiter) == 0);
    /* A moment for it to fall asleep. */
    CHECK(!has_ended(&waiter, 50));
    happen(event, &waiter);
    /* A signal may fall between two sleeps. */
    for (int i = 0; event == SIGNALLED && wanted == NOTHING && i < 50 * WATCHDOG && !has_ended(&waiter, 20); i++)
        happen(event, &waiter);
    if (wanted == PACKET && !has_ended(&waiter, 250)) {
        if (row->sends)
            run("ip link del sink");
        else
            send_from(sender, 1);
    }
    bool ended = has_ended(&waiter, WATCHDOG * 1000);
    /* On its way out an interface is down first; who calls the kernel in that moment is told so. */
    bool is_down = row->sends && wanted == GONE && waiter.result == -ENETDOWN;
    if (!ended || (waiter.result != wanted && !is_down)) {
        printf("%s, %s: %d, not %d%s\n    the last error: %s\n", row->name, names[event], waiter.result, wanted,
               ended ? "" : ": it hangs", fluxcap_last_error());
        exit(1);
    }
    CHECK(pthread_join(waiter.handle, &returned) == 0);
    CHECK((returned == PTHREAD_CANCELED) == (event == CANCELLED));
    fluxcap_raw_free(waiter.raw);
    fluxcap_rx_free(waiter.rx);
    fluxcap_tx_free(waiter.tx);
    fluxcap_engine_free(waiter.engine);
    fluxcap_group_free(waiter.group);
    fluxcap_raw_free(sender);
    close(waiter.stop_pipe[0]);
    close(waiter.stop_pipe[1]);
    pthread_mutex_destroy(&waiter.lock);
    pthread_cond_destroy(&waiter.changed);
    del_pair();
}

/* All cells of a row, in a process and a network namespace of its own. */
static pid_t start_row(const struct row *row)
{
    pid_t child = fork();

    CHECK(child >= 0);
    if (child > 0)
        return child;
    CHECK(unshare(CLONE_NEWNET) == 0);
    for (int event = 0; event < EVENTS; event++)
        if (row->results[event] != NONE)
            cell(row, (enum event)event);
    exit(0);
}

static void every_wait_ends_as_the_table_says(void)
{
    pid_t children[ROWS] = ZEROS;
    bool failed = false;

    add_pair();
    bool can_hold_back = hold_back();
    del_pair();
    if (!can_hold_back)
        printf("skipped: waits to send, for nothing holds packets back\n");
    fflush(stdout);
    /* All at once: nearly all of the time is spent waiting. */
    for (int i = 0; i < ROWS; i++)
        if (can_hold_back || !rows[i].sends)
            children[i] = start_row(&rows[i]);
    for (int i = 0; i < ROWS; i++) {
        int status = 0;

        CHECK(children[i] == 0 || waitpid(children[i], &status, 0) == children[i]);
        if (status != 0)
            printf("%s: status %#x\n", rows[i].name, (unsigned)status);
        failed |= status != 0;
    }
    CHECK(!failed);
}

/* A stop before the wait is remembered for one wait, and a call that does not wait leaves it. */
static void a_stop_before_the_wait_ends_it_and_no_other(void)
{
    struct fluxcap_config near = small("near");
    struct fluxcap_packet packet = ZEROS;
    struct fluxcap_rx *rx = NULL;
    struct fluxcap_tx *tx = NULL;

    add_pair();
    struct fluxcap_raw *raw = open_config(&near);
    CHECK_RESULT(fluxcap_raw_stop(raw), 0);
    CHECK_RESULT(fluxcap_raw_stop(raw), 0);
    CHECK_RESULT(fluxcap_raw_wait(raw, FLUXCAP_WAIT_RECEIVE, 0), 0);
    CHECK_ERROR(fluxcap_raw_wait(raw, FLUXCAP_WAIT_RECEIVE, -1), -ECANCELED, "stop");
    CHECK_RESULT(fluxcap_raw_wait(raw, FLUXCAP_WAIT_RECEIVE, 1), 0);
    CHECK_RESULT(fluxcap_raw_split(raw, &rx, &tx), 0);
    CHECK_RESULT(fluxcap_rx_stop(rx), 0);
    CHECK_RESULT(fluxcap_rx_recv(rx, &packet, 1, 0), 0);
    CHECK_ERROR(fluxcap_rx_recv(rx, &packet, 1, -1), -ECANCELED, "stop");
    CHECK_RESULT(fluxcap_rx_recv(rx, &packet, 1, 1), 0);
    /* The halves do not hear of each other's, and what need not wait is not ended. */
    CHECK_RESULT(fluxcap_tx_stop(tx), 0);
    CHECK_RESULT(fluxcap_rx_recv(rx, &packet, 1, 1), 0);
    CHECK_RESULT(fluxcap_tx_wait(tx, -1), 1);
    CHECK_RESULT(fluxcap_tx_flush(tx, 1000), 1);
    /* What is none of them. */
    CHECK_RESULT(fluxcap_raw_stop(NULL), -EINVAL);
    CHECK_RESULT(fluxcap_rx_stop(NULL), -EINVAL);
    CHECK_RESULT(fluxcap_tx_stop(NULL), -EINVAL);
    CHECK_RESULT(fluxcap_rx_stop((struct fluxcap_rx *)(void *)tx), -EINVAL);
    fluxcap_rx_free(rx);
    fluxcap_tx_free(tx);
    del_pair();
}

/* Calls that do not wait tell, too, within a bounded time. */
static void calls_that_do_not_wait_tell_that_the_interface_is_gone(void)
{
    for (int whole = 0; whole < 2; whole++) {
        struct fluxcap_config near = small("near");
        struct fluxcap_packet packet = ZEROS;
        const struct fluxcap_desc *descs;
        struct fluxcap_rx *rx = NULL;
        struct fluxcap_tx *tx = NULL;
        int results[4] = ZEROS, calls = whole ? 4 : 3;

        add_pair();
        struct fluxcap_raw *raw = open_config(&near);
        if (!whole)
            CHECK_RESULT(fluxcap_raw_split(raw, &rx, &tx), 0);
        /* The last look was just now, and said that all is well. */
        if (whole)
            CHECK_RESULT(fluxcap_raw_recv(raw, &packet, 1), 0);
        else
            CHECK_RESULT(fluxcap_rx_recv(rx, &packet, 1, 0), 0);
        run("ip link del near");
        for (int call = 0; call < calls; call++)
            for (double end = now() + WATCHDOG; results[call] >= 0 && now() < end; usleep(1000)) {
                if (whole)
                    results[call] = call == 0   ? fluxcap_raw_recv(raw, &packet, 1)
                                    : call == 1 ? fluxcap_raw_peek(raw, 1, &descs)
                                    : call == 2 ? fluxcap_raw_wake_tx(raw)
                                                : fluxcap_raw_wake_rx(raw);
                else
                    results[call] = call == 0   ? fluxcap_rx_recv(rx, &packet, 1, 0)
                                    : call == 1 ? fluxcap_tx_kick(tx)
                                                : fluxcap_tx_wait(tx, 0);
            }
        for (int call = 0; call < calls; call++)
            CHECK_RESULT(results[call], -ENODEV);
        if (whole)
            fluxcap_raw_free(raw);
        fluxcap_rx_free(rx);
        fluxcap_tx_free(tx);
    }
}

/* What a thread has that frees packets when it is told. */
struct holder {
    struct fluxcap_packet packets[512];
    uint32_t count;
};

static void *free_all(void *argument)
{
    struct holder *holder = (struct holder *)argument;

    /* The event loop has fallen asleep. */
    usleep(100000);
    CHECK(fluxcap_packets_free(holder->packets, holder->count) >= 0);
    return NULL;
}

/* A loop that holds every frame, and sleeps on the descriptor alone, hears of those that are freed: on another thread, or its own. */
static void frames_that_come_home_wake_an_event_loop(void)
{
    static struct holder holder;

    for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
        struct fluxcap_config near = small("near"), far = small("far");
        struct fluxcap_rx *rx = NULL;
        struct fluxcap_tx *tx = NULL;
        struct fluxcap_packet packet = ZEROS;
        struct pollfd entry = ZEROS;
        pthread_t thread;
        int result = 0;

        add_pair();
        near.frames = 64;
        near.fill_size = near.rx_size = 64;
        struct fluxcap_raw *sender = open_config(&far), *raw = open_config(&near);
        CHECK_RESULT(fluxcap_raw_split(raw, &rx, &tx), 0);
        entry.fd = fluxcap_rx_fd(rx);
        entry.events = POLLIN;
        CHECK(entry.fd >= 0);
        /* Everything that can be received without giving a frame back. */
        holder.count = 0;
        for (double end = now() + WATCHDOG; holder.count < near.frames && now() < end;) {
            send_from(sender, 1);
            CHECK(fluxcap_raw_flush(sender, 1000) == 1);
            result = fluxcap_rx_recv(rx, holder.packets + holder.count, 1, 0);
            CHECK(result >= 0);
            holder.count += (uint32_t)result;
        }
        CHECK_RESULT((int)holder.count, (int)near.frames);
        /* While no frame is free nothing arrives, whatever is sent. */
        send_from(sender, 1);
        CHECK_RESULT(fluxcap_rx_recv(rx, &packet, 1, 0), 0);
        if (elsewhere)
            CHECK(pthread_create(&thread, NULL, free_all, &holder) == 0);
        else
            CHECK(fluxcap_packets_free(holder.packets, holder.count) >= 0);
        struct fluxcap_ring_state fill, ring;
        do {
            CHECK(poll(&entry, 1, -1) == 1);
            CHECK_RESULT(fluxcap_rx_recv(rx, &packet, 1, 0), 0);
            CHECK_RESULT(fluxcap_rx_get_rings(rx, &fill, &ring), 0);
        } while (fill.occupied == 0);
        if (elsewhere)
            CHECK(pthread_join(thread, NULL) == 0);
        send_from(sender, 1);
        do {
            CHECK(poll(&entry, 1, -1) == 1);
            result = fluxcap_rx_recv(rx, &packet, 1, 0);
        } while (result == 0);
        CHECK_RESULT(result, 1);
        CHECK_RESULT(fluxcap_packet_free(&packet), 0);
        fluxcap_rx_free(rx);
        fluxcap_tx_free(tx);
        fluxcap_raw_free(sender);
        del_pair();
    }
}

/* A socket that only sends keeps nearly all frames for that. */
static void a_socket_that_only_sends_has_nearly_all_frames_to_send(void)
{
    static const uint32_t frames[][2] = {{1, 1}, {2, 1}, {64, 56}, {512, 448}};

    add_pair();
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        struct fluxcap_config config = small("near");
        static struct fluxcap_packet packets[512];

        config.frames = frames[i][0];
        config.program = FLUXCAP_PROGRAM_SEND_ONLY;
        struct fluxcap_raw *raw = open_config(&config);
        int count = fluxcap_raw_alloc(raw, packets, 512);
        CHECK_RESULT(count, (int)frames[i][1]);
        CHECK(fluxcap_packets_free(packets, (uint32_t)count) >= 0);
        send_from(raw, 1);
        CHECK_RESULT(fluxcap_raw_flush(raw, 3000), 1);
        check_and_free(raw);
    }
    del_pair();
}

int main(void)
{
    every_wait_ends_as_the_table_says();
    a_stop_before_the_wait_ends_it_and_no_other();
    calls_that_do_not_wait_tell_that_the_interface_is_gone();
    frames_that_come_home_wake_an_event_loop();
    a_socket_that_only_sends_has_nearly_all_frames_to_send();
    return 0;
}
