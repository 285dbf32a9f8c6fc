/* Handles in a forked child, as after daemon(): errors and zeros, never a crash, and no harm to the parent. */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LEN = 100 };

static void in_child(struct fluxcap_raw *raw, struct fluxcap_umem *umem, struct fluxcap_packet *packet)
{
    static const uint8_t zeros[LEN] = {0};
    struct fluxcap_packet more[4] = ZEROS;
    struct fluxcap_accounting frames;

    CHECK(packet->len == LEN && memcmp(packet->data, zeros, LEN) == 0);
    memset(packet->data, 7, LEN);
    CHECK(packet->data[LEN - 1] == 7);
    CHECK_ERROR(fluxcap_raw_wait(raw, FLUXCAP_WAIT_RECEIVE, -1), -EINVAL, "forked child");
    CHECK_ERROR(fluxcap_raw_wait(raw, FLUXCAP_WAIT_RECEIVE, 0), -EINVAL, "after fork() or daemon()");
    CHECK_ERROR(fluxcap_raw_flush(raw, 1000), -EINVAL, "forked child");
    CHECK_ERROR(fluxcap_raw_wake_tx(raw), -EINVAL, "waking the kernel to send: it belongs to process");
    CHECK_ERROR(fluxcap_raw_wake_rx(raw), -EINVAL, "waking the kernel to receive: it belongs to process");
    CHECK_ERROR(fluxcap_raw_send(raw, packet, 1), -EINVAL, "sending packets: it belongs to process");
    CHECK_ERROR(fluxcap_raw_fd(raw), -EINVAL, "descriptor of a socket: it belongs to process");
    CHECK_ERROR(fluxcap_raw_rx_fd(raw), -EINVAL, "descriptor of a socket: it belongs to process");
    CHECK(fluxcap_raw_recv(raw, more, 4) <= 0);
    CHECK_RESULT(fluxcap_raw_recycle_front(raw, 4), 0);
    CHECK_RESULT(fluxcap_raw_forward_front(raw, 4), 0);
    CHECK_RESULT(fluxcap_raw_alloc(raw, more, 4), 0);
    CHECK_RESULT(fluxcap_umem_get_accounting(umem, &frames), 0);
    CHECK_RESULT(fluxcap_packet_free(packet), 0);
    fluxcap_raw_free(raw);
    fluxcap_umem_free(umem);
    _exit(0);
}

/* A NIC and sockets on it in all modes. */
struct world {
    struct fluxcap_sim *sim;
    struct fluxcap_link *link;
    struct fluxcap_raw *raw;
    struct fluxcap_rx *rx;
    struct fluxcap_tx *tx;
    struct fluxcap_engine *engine, *one;
    struct fluxcap_group *group;
};

static struct world create(void)
{
    struct fluxcap_sim_nic_config nic = ZEROS;
    struct fluxcap_raw *raws[5] = ZEROS;
    struct fluxcap_config config = small(NULL);
    struct world world = ZEROS;

    CHECK_RESULT(fluxcap_sim_create(1, &world.sim), 0);
    nic.struct_size = sizeof(nic);
    nic.name = "sim0";
    nic.queues = 5;
    CHECK_RESULT(fluxcap_sim_add_nic(world.sim, &nic, &world.link), 0);
    config.link = world.link;
    CHECK_RESULT(fluxcap_open_queues(&config, NULL, 5, raws), 5);
    world.raw = raws[0];
    CHECK_RESULT(fluxcap_raw_split(raws[1], &world.rx, &world.tx), 0);
    CHECK_RESULT(fluxcap_engine_create(&raws[2], 1, NULL, &world.engine), 0);
    CHECK_RESULT(fluxcap_engine_create(&raws[3], 1, NULL, &world.one), 0);
    CHECK_RESULT(fluxcap_group_create(&world.one, 1, &world.group), 0);
    CHECK_RESULT(fluxcap_engine_create(&raws[4], 1, NULL, &world.one), 0);
    return world;
}

static void free_all(struct world *world)
{
    fluxcap_raw_free(world->raw);
    fluxcap_rx_free(world->rx);
    fluxcap_tx_free(world->tx);
    fluxcap_engine_free(world->engine);
    fluxcap_engine_free(world->one);
    fluxcap_group_free(world->group);
    fluxcap_link_free(world->link);
    fluxcap_sim_free(world->sim);
}

static int ignore(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    (void)user, (void)port, (void)packets, (void)count;
    return 0;
}

/* Every call that would take the lock of the network, or wait for what nobody does. */
static void use_all(struct world *world)
{
    static const char *const words = "it belongs to process";
    struct fluxcap_sim_nic_config nic = ZEROS;
    struct fluxcap_sim_nic_counters counters = ZEROS;
    struct fluxcap_sim_faults faults = ZEROS;
    struct fluxcap_statistics statistics = ZEROS;
    struct fluxcap_program_counters program = ZEROS;
    struct fluxcap_sim_event event;
    struct fluxcap_config config = small(NULL);
    struct fluxcap_engine *engine = NULL;
    struct fluxcap_group *group = NULL;
    struct fluxcap_link *link = NULL;
    struct fluxcap_raw *raw = world->raw;
    struct fluxcap_rx *rx = NULL;
    struct fluxcap_tx *tx = NULL;
    uint8_t bytes[LEN] = ZEROS;
    uint64_t time = 7;
    char text[64];

    nic.struct_size = sizeof(nic);
    nic.name = "sim1";
    counters.struct_size = sizeof(counters);
    faults.struct_size = sizeof(faults);
    statistics.struct_size = sizeof(statistics);
    program.struct_size = sizeof(program);
    config.link = world->link;
    CHECK_ERROR(fluxcap_sim_get_time(world->sim, &time), -EINVAL, words);
    CHECK(time == 7);
    CHECK_ERROR(fluxcap_sim_add_nic(world->sim, &nic, &link), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_find_nic(world->sim, "sim0", &link), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_join(world->sim, world->link, world->link), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_step(world->sim, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_settle(world->sim), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_advance(world->sim, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_start_thread(world->sim), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_stop_thread(world->sim), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_set_faults(world->sim, &faults), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_start_trace(world->sim, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_get_trace(world->sim, &event, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_format_trace(world->sim, text, sizeof(text)), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_inject(world->link, 0, bytes, LEN), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_host_send(world->link, 0, bytes, LEN), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_take_sent(world->link, bytes, LEN), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_take_passed(world->link, bytes, LEN), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_set_up(world->link, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_set_queues(world->link, 1), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_set_mtu(world->link, 1500), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_set_faults(world->link, &faults), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_play_end(world->link), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_get_counters(world->link, &counters), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_record_end(world->link), -EINVAL, words);
    CHECK_ERROR(fluxcap_sim_nic_remove(world->link), -EINVAL, words);
    CHECK_ERROR(fluxcap_open(&config, &raw), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_get_statistics(world->raw, &statistics), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_get_program_counters(world->raw, &program), -EINVAL, words);
    CHECK_ERROR(fluxcap_raw_flush(world->raw, 1000), -EINVAL, words);
    CHECK_ERROR(fluxcap_rx_fd(world->rx), -EINVAL, "descriptor of a socket: it belongs to process");
    CHECK_ERROR(fluxcap_tx_fd(world->tx), -EINVAL, "descriptor of a socket: it belongs to process");
    CHECK_ERROR(fluxcap_tx_kick(world->tx), -EINVAL, "sending packets: it belongs to process");
    CHECK_ERROR(fluxcap_tx_wait(world->tx, -1), -EINVAL, "sending packets: it belongs to process");
    CHECK_ERROR(fluxcap_tx_flush(world->tx, 1000), -EINVAL, "sending packets: it belongs to process");
    CHECK_ERROR(fluxcap_engine_wait(world->engine, -1), -EINVAL, "waiting for packets: it belongs to process");
    CHECK_ERROR(fluxcap_engine_wait(world->engine, 0), -EINVAL, "waiting for packets: it belongs to process");
    CHECK_ERROR(fluxcap_engine_run(world->engine, ignore, NULL), -EINVAL, words);
    CHECK_ERROR(fluxcap_engine_run_once(world->engine, ignore, NULL), -EINVAL, words);
    CHECK_ERROR(fluxcap_group_run(world->group, ignore, NULL), -EINVAL, words);
    /* A stop does nothing. */
    CHECK_RESULT(fluxcap_raw_stop(world->raw), 0);
    CHECK_RESULT(fluxcap_rx_stop(world->rx), 0);
    CHECK_RESULT(fluxcap_tx_stop(world->tx), 0);
    CHECK_RESULT(fluxcap_engine_stop(world->engine), 0);
    CHECK_RESULT(fluxcap_group_stop(world->group), 0);
    /* These leave everything where it is. */
    raw = world->raw;
    CHECK_ERROR(fluxcap_engine_create(&raw, 1, NULL, &engine), -EINVAL, "making an engine: it belongs to process");
    CHECK_ERROR(fluxcap_raw_split(raw, &rx, &tx), -EINVAL, "splitting a socket: it belongs to process");
    CHECK(raw == world->raw && engine == NULL && rx == NULL && tx == NULL);
    engine = world->engine;
    CHECK_ERROR(fluxcap_group_create(&engine, 1, &group), -EINVAL, words);
    CHECK(engine == world->engine && group == NULL);
}

/* Ends a child without destructors; nor does valgrind count what it has not freed. */
static void end_child(void)
{
    kill(getpid(), SIGKILL);
}

static void check_child(pid_t child)
{
    int status = -1;

    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void every_call_of_a_child_is_an_error(void)
{
    struct world world = create();
    struct fluxcap_packet packet = ZEROS;
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        alarm(60);
        use_all(&world);
        free_all(&world);
        end_child();
    }
    check_child(child);
    CHECK(fluxcap_sim_settle(world.sim) >= 0);
    CHECK_RESULT(fluxcap_engine_wait(world.engine, 0), 0);
    CHECK_RESULT(fluxcap_raw_wait(world.raw, FLUXCAP_WAIT_RECEIVE, 1), 0);
    CHECK_RESULT(fluxcap_rx_recv(world.rx, &packet, 1, 1), 0);
    free_all(&world);
}

/* A child that frees a network which has a thread ends neither for its parent. */
static void a_child_frees_a_network_that_runs(void)
{
    struct world world = create();
    struct fluxcap_packet packet = ZEROS;
    uint8_t bytes[LEN];
    pid_t child;

    CHECK_RESULT(fluxcap_sim_start_thread(world.sim), 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(60);
        free_all(&world);
        end_child();
    }
    check_child(child);
    /* Nobody but the thread moves the packet. */
    fill_frame(bytes, LEN, 1);
    CHECK_RESULT(fluxcap_sim_nic_inject(world.link, 0, bytes, LEN), 0);
    CHECK_RESULT(fluxcap_raw_wait(world.raw, FLUXCAP_WAIT_RECEIVE, -1), FLUXCAP_WAIT_RECEIVE);
    CHECK_RESULT(fluxcap_raw_recv(world.raw, &packet, 1), 1);
    CHECK(is_frame(packet.data, packet.len, 1));
    CHECK_RESULT(fluxcap_packet_free(&packet), 0);
    CHECK_RESULT(fluxcap_sim_stop_thread(world.sim), 0);
    free_all(&world);
}

/* What a thread does that keeps the network's lock, in a write() to a full pipe. */
struct keeper {
    struct fluxcap_sim *sim;
    struct fluxcap_link *link;
    int turns; /* atomic */
    int ended; /* atomic */
};

static void *keep_lock(void *argument)
{
    struct keeper *keeper = (struct keeper *)argument;
    uint8_t bytes[1000] = ZEROS;

    while (!__atomic_load_n(&keeper->ended, __ATOMIC_ACQUIRE)) {
        (void)fluxcap_sim_nic_inject(keeper->link, 0, bytes, sizeof(bytes));
        (void)fluxcap_sim_settle(keeper->sim);
        __atomic_fetch_add(&keeper->turns, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void a_child_is_not_held_up_by_a_lock_that_another_thread_had(void)
{
    char directory[] = "/tmp/fluxcap-fork-XXXXXX", path[64];
    struct world world = create();
    struct keeper keeper = ZEROS;
    struct pollfd room = ZEROS;
    pthread_t thread;
    char drain[4096];
    pid_t child;

    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof(path), "%s/pipe", directory);
    CHECK(mkfifo(path, 0600) == 0);
    room.fd = open(path, O_RDWR | O_NONBLOCK);
    room.events = POLLOUT;
    CHECK(room.fd >= 0);
    CHECK_RESULT(fluxcap_sim_nic_record(world.link, path), 0);
    keeper.sim = world.sim;
    keeper.link = world.link;
    CHECK(pthread_create(&thread, NULL, keep_lock, &keeper) == 0);
    for (int before = -1;;) {
        int turns = __atomic_load_n(&keeper.turns, __ATOMIC_ACQUIRE);

        if (poll(&room, 1, 0) == 0 && turns == before)
            break;
        before = turns;
        usleep(100000);
    }
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(60);
        use_all(&world);
        free_all(&world);
        end_child();
    }
    check_child(child);
    __atomic_store_n(&keeper.ended, 1, __ATOMIC_RELEASE);
    while (pthread_tryjoin_np(thread, NULL) == EBUSY)
        (void)!read(room.fd, drain, sizeof(drain));
    fcntl(room.fd, F_SETPIPE_SZ, 1 << 20);
    while (read(room.fd, drain, sizeof(drain)) > 0) {
    }
    CHECK_RESULT(fluxcap_sim_nic_record_end(world.link), 0);
    close(room.fd);
    unlink(path);
    rmdir(directory);
    free_all(&world);
}

/* An engine that runs in the parent stays locked in the child. */
static int fork_in_callback(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    struct world *world = (struct world *)user;
    pid_t child = fork();

    (void)port, (void)packets, (void)count;
    CHECK(child >= 0);
    if (child == 0) {
        alarm(60);
        CHECK_ERROR(fluxcap_engine_wait(world->engine, 0), -EINVAL, "using an engine: it belongs to process");
        CHECK_ERROR(fluxcap_engine_run_once(world->engine, ignore, NULL), -EINVAL, "using an engine: it belongs to process");
        free_all(world);
        end_child();
    }
    check_child(child);
    return -1;
}

static void a_child_of_a_callback_finds_errors(void)
{
    struct world world = create();
    uint8_t bytes[LEN];

    fill_frame(bytes, LEN, 1);
    CHECK_RESULT(fluxcap_sim_nic_inject(world.link, 2, bytes, LEN), 0);
    CHECK_RESULT(fluxcap_sim_settle(world.sim), 1);
    CHECK_RESULT(fluxcap_engine_run_once(world.engine, fork_in_callback, &world), -1);
    free_all(&world);
}

int main(void)
{
    struct fluxcap_sim_nic_config nic = ZEROS;
    struct fluxcap_config config = ZEROS;
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_link *link = NULL;
    struct fluxcap_raw *raw = NULL;
    struct fluxcap_umem *umem = NULL;
    struct fluxcap_packet packet = ZEROS;
    uint8_t bytes[LEN];
    int status = -1;
    pid_t child;

    CHECK_RESULT(fluxcap_sim_create(1, &sim), 0);
    nic.struct_size = sizeof(nic);
    nic.name = "sim0";
    CHECK_RESULT(fluxcap_sim_add_nic(sim, &nic, &link), 0);
    config.struct_size = sizeof(config);
    config.link = link;
    config.core_dump = 2;
    CHECK_ERROR(fluxcap_open(&config, &raw), -EINVAL, "core_dump");
    config.core_dump = FLUXCAP_CORE_DUMP_WITH_PACKETS;
    CHECK_RESULT(fluxcap_open(&config, &raw), 0);
    CHECK_RESULT(fluxcap_raw_get_umem(raw, &umem), 0);
    fill_frame(bytes, LEN, 1);
    CHECK_RESULT(fluxcap_sim_nic_inject(link, 0, bytes, LEN), 0);
    CHECK_RESULT(fluxcap_sim_nic_inject(link, 0, bytes, LEN), 0);
    CHECK_RESULT(fluxcap_sim_settle(sim), 2);
    CHECK_RESULT(fluxcap_raw_recv(raw, &packet, 1), 1);
    child = fork();
    CHECK(child >= 0);
    if (child == 0)
        in_child(raw, umem, &packet);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(is_frame(packet.data, packet.len, 1));
    CHECK_RESULT(fluxcap_packet_free(&packet), 0);
    CHECK_RESULT(fluxcap_raw_recv(raw, &packet, 1), 1);
    CHECK(is_frame(packet.data, packet.len, 1));
    CHECK_RESULT(fluxcap_packet_free(&packet), 0);
    check_and_free(raw);
    CHECK_RESULT(fluxcap_umem_reclaim(umem, 1000), 0);
    CHECK_ERROR(fluxcap_umem_reclaim(NULL, 0), -EINVAL, "umem");
    fluxcap_umem_free(umem);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
    every_call_of_a_child_is_an_error();
    a_child_frees_a_network_that_runs();
    a_child_is_not_held_up_by_a_lock_that_another_thread_had();
    a_child_of_a_callback_finds_errors();
    return 0;
}
