/* Threads that are cancelled, and callbacks that do not return. On fluxa and fluxb, the two ends of a veth pair, where they are, and otherwise on a
 * simulated network. */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Two sockets that hear each other. */
struct world {
    struct fluxcap_sim *sim;
    struct fluxcap_link *links[2];
    struct fluxcap_raw *raws[2];
};

static bool has_veth(void)
{
    return if_nametoindex("fluxa") != 0;
}

static struct world create(void)
{
    static const char *const names[2] = {"fluxa", "fluxb"};
    struct fluxcap_sim_nic_config nic = ZEROS;
    struct world world = ZEROS;

    nic.struct_size = sizeof(nic);
    if (!has_veth())
        CHECK_RESULT(fluxcap_sim_create(0, &world.sim), 0);
    for (int i = 0; i < 2; i++) {
        struct fluxcap_config config = small(NULL);

        nic.name = names[i];
        if (world.sim != NULL)
            CHECK_RESULT(fluxcap_sim_add_nic(world.sim, &nic, &world.links[i]), 0);
        else
            CHECK_RESULT(fluxcap_link_create(names[i], &world.links[i]), 0);
        config.link = world.links[i];
        world.raws[i] = open_config(&config);
    }
    if (world.sim != NULL)
        CHECK_RESULT(fluxcap_sim_join(world.sim, world.links[0], world.links[1]), 0);
    return world;
}

static void finish(struct world *world)
{
    for (int i = 0; i < 2; i++) {
        if (world->raws[i] != NULL)
            check_and_free(world->raws[i]);
        fluxcap_link_free(world->links[i]);
    }
    fluxcap_sim_free(world->sim);
}

static bool returned;

static void check_that_it_can_be_cancelled(void)
{
    int state;

    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state) == 0 && state == PTHREAD_CANCEL_ENABLE);
}

/* What is done in a thread, with an argument. */
struct task {
    void (*function)(void *);
    void *argument;
};

/* Does it, and ends at the next cancellation point. Without variables of its own: AddressSanitizer takes those for still there after that. */
static void *do_and_end(void *task)
{
    ((struct task *)task)->function(((struct task *)task)->argument);
    check_that_it_can_be_cancelled();
    returned = true;
    pthread_testcancel();
    returned = false;
    return NULL;
}

/* Runs a function in a thread that is cancelled meanwhile: it returns, and the next cancellation point ends the thread. */
static void cancelled(void (*function)(void *))
{
    struct task task = {function, NULL};
    pthread_t thread;
    void *result = NULL;

    returned = false;
    CHECK(pthread_create(&thread, NULL, do_and_end, &task) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(returned && result == PTHREAD_CANCELED);
}

static int take_nothing(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    (void)user, (void)port, (void)packets, (void)count;
    return 0;
}

/* Nothing is written, and so nothing but the library is a cancellation point. */
static void use_everything(void *unused)
{
    char text[4096], path[] = "/tmp/fluxcap-cancel-XXXXXX.pcap";
    struct fluxcap_engine *engine = NULL;
    struct fluxcap_group *group = NULL;
    struct fluxcap_umem *umem = NULL;
    struct fluxcap_packet packets[8];
    struct fluxcap_rx *rx = NULL;
    struct fluxcap_tx *tx = NULL;
    struct fluxcap_statistics statistics = ZEROS;
    struct fluxcap_program_counters counters = ZEROS;
    int file = mkstemps(path, 5);

    CHECK(file >= 0 && close(file) == 0);
    CHECK(pthread_cancel(pthread_self()) == 0);
    struct world world = create();
    if (world.sim != NULL)
        CHECK_RESULT(fluxcap_sim_nic_record(world.links[0], path), 0);
    CHECK(fluxcap_raw_fd(world.raws[0]) >= 0 && fluxcap_raw_fd(world.raws[1]) >= 0);
    statistics.struct_size = sizeof(statistics);
    counters.struct_size = sizeof(counters);
    make_packets(world.raws[0], packets, 8, 60, 0);
    CHECK_RESULT(fluxcap_raw_send(world.raws[0], packets, 8), 8);
    CHECK_RESULT(fluxcap_raw_wake_tx(world.raws[0]), 0);
    CHECK_RESULT(fluxcap_raw_flush(world.raws[0], 3000), 1);
    CHECK_RESULT(fluxcap_raw_wait(world.raws[1], FLUXCAP_WAIT_RECEIVE, 3000), FLUXCAP_WAIT_RECEIVE);
    CHECK_RESULT(fluxcap_raw_wake_rx(world.raws[1]), 0);
    CHECK(fluxcap_raw_recycle_front(world.raws[1], 8) > 0);
    CHECK(fluxcap_raw_wait(world.raws[1], FLUXCAP_WAIT_RECEIVE, 1) >= 0);
    CHECK(fluxcap_raw_recycle_front(world.raws[1], 8) >= 0 && fluxcap_raw_refill(world.raws[1]) >= 0);
    CHECK_RESULT(fluxcap_raw_get_statistics(world.raws[1], &statistics), 0);
    CHECK_RESULT(fluxcap_raw_get_program_counters(world.raws[1], &counters), 0);
    CHECK(fluxcap_raw_format_report(world.raws[0], text, sizeof(text)) > 0);
    check_frames(world.raws[0]);
    check_frames(world.raws[1]);
    CHECK_RESULT(fluxcap_raw_get_umem(world.raws[0], &umem), 0);
    CHECK(fluxcap_poller_pin(UINT32_MAX) < 0);

    CHECK_RESULT(fluxcap_raw_split(world.raws[0], &rx, &tx), 0);
    world.raws[0] = NULL;
    for (uint32_t poller = FLUXCAP_POLLER_ADAPTIVE; poller <= FLUXCAP_POLLER_WAIT; poller++) {
        CHECK_RESULT(fluxcap_rx_set_poller(rx, poller, 0), 0);
        CHECK(fluxcap_rx_recv(rx, packets, 8, 0) >= 0 && fluxcap_rx_recv(rx, packets, 8, 1) >= 0);
    }
    CHECK_RESULT(fluxcap_tx_alloc(tx, packets, 8), 8);
    for (int i = 0; i < 8; i++)
        packets[i].len = 60;
    CHECK_RESULT(fluxcap_tx_send(tx, packets, 8), 8);
    CHECK_RESULT(fluxcap_tx_kick(tx), 0);
    CHECK_RESULT(fluxcap_tx_wait(tx, 1000), 1);
    CHECK_RESULT(fluxcap_tx_flush(tx, 3000), 1);
    fluxcap_tx_free(tx);
    fluxcap_rx_free(rx);
    CHECK_RESULT(fluxcap_umem_reclaim(umem, 3000), 0);
    fluxcap_umem_free(umem);

    CHECK_RESULT(fluxcap_engine_create(&world.raws[1], 1, NULL, &engine), 0);
    CHECK_RESULT(fluxcap_engine_wait(engine, 1), 0);
    CHECK(fluxcap_engine_run_once(engine, take_nothing, NULL) >= 0);
    CHECK_RESULT(fluxcap_engine_run_for(engine, 1, take_nothing, NULL), 0);
    CHECK_RESULT(fluxcap_engine_stop(engine), 0);
    CHECK_RESULT(fluxcap_engine_run(engine, take_nothing, NULL), 0);
    CHECK_RESULT(fluxcap_group_create(&engine, 1, &group), 0);
    CHECK_RESULT(fluxcap_group_run_for(group, 1, take_nothing, NULL), 0);
    CHECK_RESULT(fluxcap_group_stop(group), 0);
    CHECK_RESULT(fluxcap_group_run(group, take_nothing, NULL), 0);
    fluxcap_group_free(group);
    if (world.sim != NULL) {
        CHECK_RESULT(fluxcap_sim_nic_record_end(world.links[0]), 0);
        CHECK(fluxcap_sim_nic_replay(world.links[0], 0, path, FLUXCAP_SIM_SPEED_FULL, 1) > 0);
        CHECK_RESULT(fluxcap_sim_start_thread(world.sim), 0);
        CHECK_RESULT(fluxcap_sim_advance(world.sim, 1000000), 0);
        CHECK_RESULT(fluxcap_sim_stop_thread(world.sim), 0);
    }
    finish(&world);
    CHECK(unlink(path) == 0);
    (void)unused;
}

/* What a thread waits with, and what it got. */
struct waiter {
    struct fluxcap_rx *rx;
    struct fluxcap_packet packet;
    pthread_barrier_t begins;
};

static void receive_one(void *argument)
{
    struct waiter *waiter = (struct waiter *)argument;
    int before;

    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before) == 0);
    pthread_barrier_wait(&waiter->begins);
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before) == 0);
    while (fluxcap_rx_recv(waiter->rx, &waiter->packet, 1, -1) == 0)
        continue;
}

static void a_wait_goes_on_and_the_thread_ends_after_it(void)
{
    struct world world = create();
    struct waiter waiter = ZEROS;
    struct task task = {receive_one, &waiter};
    struct fluxcap_tx *tx = NULL;
    struct fluxcap_packet packet;
    pthread_t thread;
    void *result = NULL;

    if (world.sim != NULL)
        CHECK_RESULT(fluxcap_sim_start_thread(world.sim), 0);
    CHECK_RESULT(fluxcap_raw_split(world.raws[1], &waiter.rx, &tx), 0);
    world.raws[1] = NULL;
    CHECK(pthread_barrier_init(&waiter.begins, NULL, 2) == 0);
    returned = false;
    CHECK(pthread_create(&thread, NULL, do_and_end, &task) == 0);
    pthread_barrier_wait(&waiter.begins);
    usleep(20000);
    CHECK(pthread_cancel(thread) == 0);
    usleep(20000);
    make_packets(world.raws[0], &packet, 1, 60, 7);
    CHECK_RESULT(fluxcap_raw_send(world.raws[0], &packet, 1), 1);
    CHECK_RESULT(fluxcap_raw_flush(world.raws[0], 3000), 1);
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(returned && result == PTHREAD_CANCELED);
    CHECK(waiter.packet.len == 60 && is_frame(waiter.packet.data, 60, 7));
    CHECK_RESULT(fluxcap_packet_free(&waiter.packet), 0);
    CHECK(pthread_barrier_destroy(&waiter.begins) == 0);
    fluxcap_rx_free(waiter.rx);
    fluxcap_tx_free(tx);
    finish(&world);
}

static uint32_t calls;

/* Cancels its thread, and runs into a cancellation point. */
static int cancel_and_go_on(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    (void)port, (void)packets, (void)count;
    CHECK(pthread_cancel(pthread_self()) == 0);
    pthread_testcancel();
    usleep(0);
    calls++;
    CHECK_RESULT(fluxcap_engine_stop((struct fluxcap_engine *)user), 0);
    return 0;
}

static void run_an_engine(void *unused)
{
    struct world world = create();
    struct fluxcap_engine *engine = NULL;
    struct fluxcap_packet packet;

    make_packets(world.raws[0], &packet, 1, 60, 0);
    CHECK_RESULT(fluxcap_raw_send(world.raws[0], &packet, 1), 1);
    CHECK_RESULT(fluxcap_raw_flush(world.raws[0], 3000), 1);
    CHECK_RESULT(fluxcap_engine_create(&world.raws[1], 1, NULL, &engine), 0);
    calls = 0;
    CHECK_RESULT(fluxcap_engine_run(engine, cancel_and_go_on, engine), 0);
    CHECK(calls == 1);
    check_frames(fluxcap_engine_port(engine, 0));
    fluxcap_engine_free(engine);
    finish(&world);
    (void)unused;
}

static int leave_the_thread(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    (void)user, (void)port, (void)packets, (void)count;
    pthread_exit(NULL);
}

static int let_itself_be_cancelled(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    int before;

    (void)user, (void)port, (void)packets, (void)count;
    CHECK(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before) == 0);
    CHECK(pthread_cancel(pthread_self()) == 0);
    pthread_testcancel();
    return 0;
}

static void leave_at_a_change(void *user, const char *interface, uint32_t before, uint32_t now)
{
    (void)user, (void)interface, (void)before, (void)now;
    pthread_exit(NULL);
}

static void be_cancelled_at_a_change(void *user, const char *interface, uint32_t before, uint32_t now)
{
    (void)interface, (void)before, (void)now;
    let_itself_be_cancelled(user, 0, NULL, 0);
}

static fluxcap_callback callback;
static fluxcap_queue_callback queue_callback;
static bool grouped;

/* On a simulated interface: the number of its queues can change anywhere. */
static void *run_the_queue_callback(void *unused)
{
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_sim_nic_config nic = ZEROS;
    struct fluxcap_link *link = NULL;
    struct fluxcap_group *group = NULL;
    struct fluxcap_config config = small(NULL);

    nic.struct_size = sizeof(nic);
    nic.name = "sim0";
    CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
    CHECK_RESULT(fluxcap_sim_add_nic(sim, &nic, &link), 0);
    config.link = link;
    CHECK_RESULT(fluxcap_group_open(&config, NULL, 0, NULL, &group), 0);
    CHECK_RESULT(fluxcap_group_on_queue_change(group, queue_callback, NULL), 0);
    CHECK_RESULT(fluxcap_sim_nic_set_queues(link, 2), 0);
    fluxcap_group_run(group, take_nothing, NULL);
    (void)unused;
    return NULL;
}

static void *run_the_callback(void *unused)
{
    struct world world = create();
    struct fluxcap_engine *engine = NULL;
    struct fluxcap_group *group = NULL;
    struct fluxcap_packet packet;

    make_packets(world.raws[0], &packet, 1, 60, 0);
    CHECK_RESULT(fluxcap_raw_send(world.raws[0], &packet, 1), 1);
    CHECK_RESULT(fluxcap_raw_flush(world.raws[0], 3000), 1);
    CHECK_RESULT(fluxcap_engine_create(&world.raws[1], 1, NULL, &engine), 0);
    if (grouped) {
        CHECK_RESULT(fluxcap_group_create(&engine, 1, &group), 0);
        fluxcap_group_run(group, callback, NULL);
    } else {
        fluxcap_engine_run(engine, callback, NULL);
    }
    (void)unused;
    return NULL;
}

/* By abort(), with a line that tells why. */
static void a_callback_that_does_not_return_ends_the_program(void)
{
    static const fluxcap_callback callbacks[] = {leave_the_thread, let_itself_be_cancelled};
    static const fluxcap_queue_callback queue_callbacks[] = {leave_at_a_change, be_cancelled_at_a_change};

    for (int kind = 0; kind < 6; kind++) {
        char text[4096];
        size_t length = 0;
        ssize_t more;
        int ends[2], status;
        pthread_t thread;

        callback = callbacks[kind % 2];
        grouped = kind >= 2;
        queue_callback = kind >= 4 ? queue_callbacks[kind % 2] : NULL;
        fflush(stdout);
        CHECK(pipe(ends) == 0);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            dup2(ends[1], STDERR_FILENO);
            close(ends[0]);
            close(ends[1]);
            signal(SIGABRT, SIG_DFL);
            CHECK(pthread_create(&thread, NULL, queue_callback == NULL ? run_the_callback : run_the_queue_callback, NULL) == 0);
            pthread_join(thread, NULL);
            _exit(2);
        }
        close(ends[1]);
        while ((more = read(ends[0], text + length, sizeof(text) - 1 - length)) > 0)
            length += (size_t)more;
        text[length] = '\0';
        close(ends[0]);
        CHECK(waitpid(child, &status, 0) == child);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || strstr(text, "libfluxcap: a callback did not return: ") == NULL) {
            printf("kind %d: status %#x: %s\n", kind, status, text);
            exit(1);
        }
    }
}

int main(void)
{
    cancelled(use_everything);
    a_wait_goes_on_and_the_thread_ends_after_it();
    cancelled(run_an_engine);
    a_callback_that_does_not_return_ends_the_program();
    return 0;
}
