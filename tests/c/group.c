/* Several sockets and several engines at once, over a simulated network. Needs no privilege and no interface. */
#include "check.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static_assert(sizeof(struct fluxcap_group_statistics) == 104, "no padding");

enum { QUEUES = 3 };

static uint64_t zeros[8192];

static struct fluxcap_link *add(struct fluxcap_sim *sim, const char *name, uint32_t queues)
{
    struct fluxcap_sim_nic_config config = ZEROS;
    struct fluxcap_link *link = NULL;

    config.struct_size = sizeof(config);
    config.name = name;
    config.queues = queues;
    CHECK_RESULT(fluxcap_sim_add_nic(sim, &config, &link), 0);
    return link;
}

static struct fluxcap_config config_on(const struct fluxcap_link *link)
{
    struct fluxcap_config config = small(NULL);

    config.link = link;
    return config;
}

/* `count` packets of 60 bytes arrive at a queue. */
static void arrive(const struct fluxcap_link *link, uint32_t queue, uint32_t count)
{
    uint8_t frame[60];

    for (uint32_t i = 0; i < count; i++) {
        fill_frame(frame, sizeof(frame), i);
        CHECK_RESULT(fluxcap_sim_nic_inject(link, queue, frame, sizeof(frame)), 0);
    }
}

static struct fluxcap_group_statistics statistics_of(const struct fluxcap_group *group)
{
    struct fluxcap_group_statistics statistics = ZEROS;

    statistics.struct_size = sizeof(statistics);
    CHECK_RESULT(fluxcap_group_get_statistics(group, &statistics), 0);
    return statistics;
}

/* What each engine of a group counts for itself. */
struct counter {
    struct fluxcap_group *group;
    uint32_t seen;
    uint32_t wanted;
};

/* Sends packets back; the last one stops the group. */
static int count_and_send(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    struct counter *counter = (struct counter *)user;

    CHECK(port == 0);
    for (uint32_t i = 0; i < count; i++)
        packets[i].verdict = FLUXCAP_SEND;
    counter->seen += count;
    if (counter->seen == counter->wanted)
        CHECK_RESULT(fluxcap_group_stop(counter->group), 0);
    return 0;
}

static int leave(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    (void)user, (void)port, (void)packets, (void)count;
    return 0;
}

/* Ends a group; all frames come home. */
static void finish(struct fluxcap_group *group, uint32_t engines)
{
    struct fluxcap_umem *umems[QUEUES];
    struct fluxcap_accounting accounting;

    for (uint32_t i = 0; i < engines; i++) {
        const struct fluxcap_raw *raw = fluxcap_group_port(group, i, 0);

        check_frames(raw);
        CHECK_RESULT(fluxcap_raw_get_umem(raw, &umems[i]), 0);
    }
    fluxcap_group_free(group);
    for (uint32_t i = 0; i < engines; i++) {
        CHECK_RESULT(fluxcap_umem_get_accounting(umems[i], &accounting), 0);
        CHECK(accounting.pool == accounting.frames);
        fluxcap_umem_free(umems[i]);
    }
}

static void a_socket_on_each_queue(void)
{
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_raw *raws[4] = {NULL, NULL, NULL, NULL};
    struct fluxcap_packet packets[4];
    const uint32_t some[2] = {2, 0}, twice[2] = {1, 1}, beyond[1] = {3};
    char text[2048];

    CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
    struct fluxcap_link *link = add(sim, "sim0", QUEUES);
    struct fluxcap_config config = config_on(link);

    config.queue = 77; /* says nothing */
    CHECK_RESULT(fluxcap_open_queues(&config, NULL, 4, raws), QUEUES);
    CHECK(raws[2] != NULL && raws[3] == NULL);
    CHECK(fluxcap_raw_format_report(raws[0], text, sizeof(text)) > 0 && strstr(text, "note:") == NULL);
    for (uint32_t queue = 0; queue < QUEUES; queue++)
        arrive(link, queue, queue + 1);
    CHECK(fluxcap_sim_settle(sim) >= 0);
    for (uint32_t queue = 0; queue < QUEUES; queue++) {
        CHECK_RESULT(fluxcap_raw_recv(raws[queue], packets, 4), (int)queue + 1);
        CHECK_RESULT(fluxcap_packets_free(packets, queue + 1), 0);
        check_and_free(raws[queue]);
        raws[queue] = NULL;
    }
    CHECK_RESULT(fluxcap_open_queues(&config, some, 2, raws), 2);
    CHECK(fluxcap_raw_format_report(raws[0], text, sizeof(text)) > 0);
    CHECK(strstr(text, "note:        sim0 has 3 receive queues: packets of queues 1 do not come here") != NULL);
    arrive(link, 2, 1);
    CHECK(fluxcap_sim_settle(sim) >= 0);
    CHECK_RESULT(fluxcap_raw_recv(raws[0], packets, 4), 1);
    CHECK_RESULT(fluxcap_packet_free(packets), 0);
    check_and_free(raws[0]);
    check_and_free(raws[1]);
    raws[0] = raws[1] = NULL;

    CHECK_ERROR(fluxcap_open_queues(&config, NULL, 2, raws), -ENOSPC, "room for 2");
    CHECK_ERROR(fluxcap_open_queues(&config, some, 0, raws), -EINVAL, "queue");
    CHECK_ERROR(fluxcap_open_queues(&config, twice, 2, raws), -EINVAL, "queue 1");
    CHECK_ERROR(fluxcap_open_queues(&config, beyond, 1, raws), -EINVAL, "queue 3");
    CHECK_ERROR(fluxcap_open_queues(&config, some, 2, NULL), -EINVAL, "raws");
    CHECK_ERROR(fluxcap_open_queues(NULL, some, 2, raws), -EINVAL, "fluxcap_config");
    CHECK(raws[0] == NULL && raws[1] == NULL);
    /* Nothing is left behind. */
    CHECK_RESULT(fluxcap_open_queues(&config, NULL, QUEUES, raws), QUEUES);
    for (uint32_t queue = 0; queue < QUEUES; queue++)
        check_and_free(raws[queue]);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

static void several_sockets_on_one_queue(void)
{
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_raw *raws[2] = {NULL, NULL};
    struct fluxcap_umem *umem = NULL;
    struct fluxcap_accounting accounting;
    struct fluxcap_packet packets[8];
    int first;

    CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
    struct fluxcap_link *link = add(sim, "sim0", 1);
    struct fluxcap_config config = config_on(link);

    CHECK_ERROR(fluxcap_open_fan_out(&config, 0, 0, raws), -EINVAL, "0 sockets");
    CHECK_ERROR(fluxcap_open_fan_out(&config, 17, 0, raws), -EINVAL, "17 sockets");
    CHECK_ERROR(fluxcap_open_fan_out(&config, 2, 2, raws), -EINVAL, "symmetric");
    CHECK_ERROR(fluxcap_open_fan_out(&config, 2, 0, NULL), -EINVAL, "raws");
    CHECK_ERROR(fluxcap_open_fan_out(NULL, 2, 0, raws), -EINVAL, "fluxcap_config");
    CHECK(raws[0] == NULL);
    CHECK_RESULT(fluxcap_open_fan_out(&config, 2, 1, raws), 2);
    CHECK(raws[0] != NULL && raws[1] != NULL && raws[0] != raws[1]);
    CHECK_RESULT(fluxcap_raw_get_umem(raws[0], &umem), 0);
    /* One flow: all of it to one of them. */
    arrive(link, 0, 6);
    CHECK(fluxcap_sim_settle(sim) >= 0);
    first = fluxcap_raw_recv(raws[0], packets, 8);
    CHECK(first == 0 || first == 6);
    CHECK_RESULT(fluxcap_raw_recv(raws[1], packets + first, 8 - (uint32_t)first), 6 - first);
    CHECK_RESULT(fluxcap_packets_free(packets, 6), 0);
    fluxcap_raw_free(raws[1]);
    fluxcap_raw_free(raws[0]);
    CHECK_RESULT(fluxcap_umem_get_accounting(umem, &accounting), 0);
    CHECK(accounting.pool == accounting.frames);
    fluxcap_umem_free(umem);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

/* Of few frames, many sockets keep few at hand, so that one that wants to send finds those that are free. */
static void free_frames_are_found_with_many_sockets_on_one_queue(uint32_t frames)
{
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_raw *raws[16] = ZEROS;
    struct fluxcap_umem *umem = NULL;
    struct fluxcap_accounting accounting;
    struct fluxcap_packet packets[1024];

    CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
    struct fluxcap_link *link = add(sim, "sim0", 1);
    struct fluxcap_config config = config_on(link);

    config.frames = frames;
    CHECK_RESULT(fluxcap_open_fan_out(&config, 16, 1, raws), 16);
    CHECK_RESULT(fluxcap_raw_get_umem(raws[0], &umem), 0);
    for (int i = 0; i < 16; i++) {
        CHECK_RESULT(fluxcap_raw_alloc(raws[i], packets, 1), 1);
        CHECK_RESULT(fluxcap_packet_free(packets), 0);
    }
    CHECK_RESULT(fluxcap_umem_get_accounting(umem, &accounting), 0);
    for (int i = 0; i < 16; i++) {
        int count = fluxcap_raw_alloc(raws[i], packets, 1024);

        CHECK(count >= (int)(accounting.pool - frames / 8));
        CHECK_RESULT(fluxcap_packets_free(packets, (uint32_t)count), 0);
    }
    /* Each shows the fill ring of all. */
    for (int i = 0; i < 16; i++) {
        struct fluxcap_rings rings = rings_of(raws[i]);

        CHECK(rings.fill.occupied == accounting.kernel && rings.fill.occupied > 0 && rings.conserved == 1);
    }
    for (int i = 0; i < 16; i++)
        fluxcap_raw_free(raws[i]);
    fluxcap_umem_free(umem);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

static struct fluxcap_group *open_group(const struct fluxcap_link *link, const struct fluxcap_engine_config *config)
{
    struct fluxcap_config sockets = config_on(link);
    struct fluxcap_group *group = NULL;

    CHECK_RESULT(fluxcap_group_open(&sockets, NULL, 0, config, &group), 0);
    CHECK(group != NULL);
    return group;
}

static void an_engine_on_each_queue(void)
{
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_engine_config config = ZEROS;
    struct fluxcap_engine_statistics one = ZEROS;
    struct fluxcap_group_statistics statistics;
    struct counter counters[QUEUES];
    void *users[QUEUES];
    char text[1000];
    uint8_t frame[60];

    config.struct_size = sizeof(config);
    config.poller = FLUXCAP_POLLER_WAIT;
    config.batch = 16;
    one.struct_size = sizeof(one);
    CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
    struct fluxcap_link *link = add(sim, "sim0", QUEUES);
    struct fluxcap_group *group = open_group(link, &config);

    for (uint32_t i = 0; i < QUEUES; i++) {
        struct counter counter = {group, 0, i == 1 ? 100u : UINT32_MAX};

        counters[i] = counter;
        users[i] = &counters[i];
    }
    CHECK_RESULT(fluxcap_sim_start_thread(sim), 0);
    arrive(link, 0, 20);
    arrive(link, 1, 100);
    CHECK_RESULT(fluxcap_group_run(group, count_and_send, users), 0);
    CHECK(counters[1].seen == 100 && counters[2].seen == 0);
    /* The others ended, too, perhaps before they had seen all. */
    CHECK_RESULT(fluxcap_group_run_for(group, 50, count_and_send, users), 0);
    CHECK_RESULT(fluxcap_sim_stop_thread(sim), 0);
    CHECK(counters[0].seen == 20);
    statistics = statistics_of(group);
    CHECK(statistics.engines == QUEUES && statistics.received == 120 && statistics.sent == 120);
    CHECK(statistics.batches >= 100 / 16 && statistics.sleeps > 0 && statistics.time_ns >= 50000000);
    CHECK(statistics.dropped == 0 && statistics.queue_changes == 0);
    CHECK_RESULT(fluxcap_group_get_engine_statistics(group, 1, &one), 0);
    CHECK(one.ports == 1 && one.received == 100 && one.sent == 100);
    CHECK_ERROR(fluxcap_group_get_engine_statistics(group, QUEUES, &one), -EINVAL, "engine 3");
    CHECK(fluxcap_group_format_statistics(group, text, sizeof(text)) > 0 && strstr(text, "received 120") != NULL);
    CHECK(fluxcap_sim_settle(sim) >= 0);
    for (int i = 0; i < 120; i++)
        CHECK_RESULT(fluxcap_sim_nic_take_sent(link, frame, sizeof(frame)), 60);
    CHECK(fluxcap_group_port(group, 0, 1) == NULL && fluxcap_group_port(group, QUEUES, 0) == NULL);
    finish(group, QUEUES);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

static int fail(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    (void)user, (void)port, (void)packets, (void)count;
    return -12345;
}

/* Everything that needs the group says that it is taken. */
static int disturb(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    struct fluxcap_group *group = (struct fluxcap_group *)user;
    struct fluxcap_group_statistics statistics = ZEROS;
    struct fluxcap_info info = ZEROS;
    char text[10];

    (void)port, (void)packets, (void)count;
    statistics.struct_size = sizeof(statistics);
    info.struct_size = sizeof(info);
    CHECK_ERROR(fluxcap_group_run(group, leave, NULL), -EBUSY, "engine");
    CHECK_ERROR(fluxcap_group_run_for(group, 0, leave, NULL), -EBUSY, "engine");
    CHECK_ERROR(fluxcap_group_pin(group, NULL, 0), -EBUSY, "engine");
    CHECK_ERROR(fluxcap_group_set_poller(group, 0, 0), -EBUSY, "engine");
    CHECK_ERROR(fluxcap_group_set_watch(group, 1), -EBUSY, "engine");
    CHECK_ERROR(fluxcap_group_on_queue_change(group, NULL, NULL), -EBUSY, "engine");
    CHECK_ERROR(fluxcap_group_get_statistics(group, &statistics), -EBUSY, "engine");
    CHECK_ERROR(fluxcap_group_format_statistics(group, text, sizeof(text)), -EBUSY, "engine");
    CHECK_ERROR(fluxcap_raw_get_info(fluxcap_group_port(group, 0, 0), &info), -EBUSY, "engine");
    fluxcap_group_free(group);
    CHECK(strstr(fluxcap_last_error(), "another call has it") != NULL);
    CHECK_RESULT(fluxcap_group_stop(group), 0);
    return 0;
}

static struct fluxcap_group *for_the_handler;

static void on_alarm(int number)
{
    (void)number;
    if (fluxcap_group_stop(for_the_handler) != 0)
        _exit(9);
}

static void a_run_ends_for_all_engines_at_once(void)
{
    struct fluxcap_sim *sim = NULL;
    void *users[QUEUES];

    CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
    struct fluxcap_link *link = add(sim, "sim0", QUEUES);
    struct fluxcap_group *group = open_group(link, NULL);

    CHECK_RESULT(fluxcap_sim_start_thread(sim), 0);
    /* Before it runs. */
    CHECK_RESULT(fluxcap_group_stop(group), 0);
    CHECK_RESULT(fluxcap_group_run(group, leave, NULL), 0);
    /* From a signal handler, on whatever thread that runs. */
    CHECK_RESULT(fluxcap_group_set_poller(group, FLUXCAP_POLLER_WAIT, 0), 0);
    for_the_handler = group;
    signal(SIGALRM, on_alarm);
    ualarm(30000, 0);
    CHECK_RESULT(fluxcap_group_run(group, leave, NULL), 0);
    signal(SIGALRM, SIG_DFL);
    /* By an error of one engine. */
    arrive(link, 1, 1);
    CHECK_ERROR(fluxcap_group_run(group, fail, NULL), -12345, "engine 1 of the group");
    /* From a callback, after others tried what they may not. */
    for (int i = 0; i < QUEUES; i++)
        users[i] = group;
    arrive(link, 2, 1);
    CHECK_RESULT(fluxcap_group_run(group, disturb, users), 0);
    CHECK_RESULT(fluxcap_group_run_for(group, 1, leave, NULL), 0);
    CHECK_RESULT(fluxcap_sim_stop_thread(sim), 0);
    CHECK(statistics_of(group).received == 2);
    finish(group, QUEUES);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

/* What a change said. */
struct change {
    struct fluxcap_group *group;
    uint32_t before, now;
};

static void note_change(void *user, const char *interface, uint32_t before, uint32_t now)
{
    struct change *change = (struct change *)user;

    CHECK(strcmp(interface, "sim0") == 0);
    change->before = before;
    change->now = now;
    CHECK_RESULT(fluxcap_group_stop(change->group), 0);
}

static void *change_queues(void *link)
{
    struct timespec time = {0, 30000000};

    nanosleep(&time, NULL);
    CHECK_RESULT(fluxcap_sim_nic_set_queues((const struct fluxcap_link *)link, QUEUES + 2), 0);
    return NULL;
}

static void a_change_of_the_number_of_queues_is_told(void)
{
    struct fluxcap_sim *sim = NULL;
    struct change change = ZEROS;
    pthread_t thread;
    char text[2000];

    CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
    struct fluxcap_link *link = add(sim, "sim0", QUEUES);
    struct fluxcap_group *group = open_group(link, NULL);

    change.group = group;
    CHECK_ERROR(fluxcap_group_set_watch(group, 0), -EINVAL, "queues");
    CHECK_ERROR(fluxcap_group_set_watch(group, -2), -EINVAL, "interval_ms");
    CHECK_RESULT(fluxcap_group_set_watch(group, 5), 0);
    CHECK_RESULT(fluxcap_group_on_queue_change(group, note_change, &change), 0);
    CHECK_RESULT(fluxcap_sim_start_thread(sim), 0);
    CHECK(pthread_create(&thread, NULL, change_queues, link) == 0);
    CHECK_RESULT(fluxcap_group_run(group, leave, NULL), 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(change.before == QUEUES && change.now == QUEUES + 2);
    CHECK(statistics_of(group).queue_changes == 1);
    CHECK(fluxcap_group_format_statistics(group, text, sizeof(text)) > 0 && strstr(text, "sim0 has 5 receive queues") != NULL);
    /* Nobody is told any more. */
    CHECK_RESULT(fluxcap_group_on_queue_change(group, NULL, NULL), 0);
    CHECK_RESULT(fluxcap_group_set_watch(group, -1), 0);
    CHECK_RESULT(fluxcap_sim_nic_set_queues(link, QUEUES), 0);
    change.now = 0;
    CHECK_RESULT(fluxcap_group_run_for(group, 1, leave, NULL), 0);
    CHECK(change.now == 0 && statistics_of(group).queue_changes == 2);
    CHECK_RESULT(fluxcap_sim_stop_thread(sim), 0);
    finish(group, QUEUES);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

static void engines_make_a_group_or_stay_their_owners(void)
{
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_raw *raws[2] = {NULL, NULL};
    struct fluxcap_engine *engines[3] = {NULL, NULL, NULL};
    struct fluxcap_group *group = NULL;
    const struct fluxcap_raw *port;

    CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
    struct fluxcap_link *link = add(sim, "sim0", 2);
    struct fluxcap_config config = config_on(link);

    CHECK_RESULT(fluxcap_open_queues(&config, NULL, 2, raws), 2);
    CHECK_RESULT(fluxcap_engine_create(raws, 1, NULL, &engines[0]), 0);
    CHECK_RESULT(fluxcap_engine_create(raws + 1, 1, NULL, &engines[1]), 0);
    struct fluxcap_engine *const first = engines[0], *const second = engines[1];
    port = fluxcap_engine_port(first, 0);
    CHECK_ERROR(fluxcap_group_create(engines, 0, &group), -EINVAL, "none");
    CHECK_ERROR(fluxcap_group_create(NULL, 1, &group), -EINVAL, "engines");
    CHECK_ERROR(fluxcap_group_create(engines, 1, NULL), -EINVAL, "group");
    CHECK_ERROR(fluxcap_group_create(engines, 3, &group), -EINVAL, "NULL");
    engines[2] = first;
    CHECK_ERROR(fluxcap_group_create(engines, 3, &group), -EINVAL, "same engine twice");
    engines[2] = (struct fluxcap_engine *)zeros;
    CHECK_ERROR(fluxcap_group_create(engines, 3, &group), -EINVAL, "entry 2 of engines");
    /* They are as they were. */
    CHECK(engines[0] == first && engines[1] == second && group == NULL);
    CHECK(fluxcap_engine_port(first, 0) == port);
    check_frames(port);
    CHECK_RESULT(fluxcap_engine_run_once(first, leave, NULL), 0);
    CHECK_RESULT(fluxcap_group_create(engines, 2, &group), 0);
    CHECK(engines[0] == NULL && engines[1] == NULL && group != NULL);
    CHECK_RESULT(fluxcap_group_run_for(group, 1, leave, NULL), 0);
    CHECK_ERROR(fluxcap_group_run(group, NULL, NULL), -EINVAL, "callback");
    finish(group, 2);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

static void numbers_and_handles_that_cannot_be(void)
{
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_group *group = NULL, *const wrong = (struct fluxcap_group *)zeros;
    struct fluxcap_engine_config settings = ZEROS;
    struct fluxcap_group_statistics statistics = ZEROS;
    const uint32_t none[1] = {0}, cpus[2] = {100000, 100000};

    CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
    struct fluxcap_link *link = add(sim, "sim0", 2);
    struct fluxcap_config config = config_on(link);

    settings.struct_size = sizeof(settings);
    settings.batch = 5000;
    CHECK_ERROR(fluxcap_group_open(&config, NULL, 0, &settings, &group), -EINVAL, "5000");
    CHECK_ERROR(fluxcap_group_open(&config, none, 0, NULL, &group), -EINVAL, "queue");
    CHECK_ERROR(fluxcap_group_open(NULL, NULL, 0, NULL, &group), -EINVAL, "fluxcap_config");
    CHECK_ERROR(fluxcap_group_open(&config, NULL, 0, NULL, NULL), -EINVAL, "group");
    CHECK(group == NULL);
    group = open_group(link, NULL);
    CHECK_ERROR(fluxcap_group_pin(group, cpus, 1), -EINVAL, "2 engines");
    CHECK_ERROR(fluxcap_group_pin(group, cpus, 2), -EINVAL, "100000");
    CHECK_ERROR(fluxcap_group_pin(group, NULL, 2), -EINVAL, "cpus");
    CHECK_RESULT(fluxcap_group_pin(group, NULL, 0), 0);
    CHECK_ERROR(fluxcap_group_set_poller(group, 3, 0), -EINVAL, "poller");
    CHECK_ERROR(fluxcap_group_get_statistics(group, NULL), -EINVAL, "fluxcap_group_statistics");
    statistics.struct_size = sizeof(statistics);
    for (int i = 0; i < 2; i++) {
        struct fluxcap_group *bad = i == 0 ? NULL : wrong;
        const char *words = i == 0 ? "NULL" : "fluxcap_group_open";

        CHECK_ERROR(fluxcap_group_run(bad, leave, NULL), -EINVAL, words);
        CHECK_ERROR(fluxcap_group_run_for(bad, 1, leave, NULL), -EINVAL, words);
        CHECK_ERROR(fluxcap_group_pin(bad, NULL, 0), -EINVAL, words);
        CHECK_ERROR(fluxcap_group_set_poller(bad, 0, 0), -EINVAL, words);
        CHECK_ERROR(fluxcap_group_set_watch(bad, 1), -EINVAL, words);
        CHECK_ERROR(fluxcap_group_on_queue_change(bad, NULL, NULL), -EINVAL, words);
        CHECK_ERROR(fluxcap_group_get_statistics(bad, &statistics), -EINVAL, words);
        CHECK_ERROR(fluxcap_group_get_engine_statistics(bad, 0, NULL), -EINVAL, words);
        CHECK_ERROR(fluxcap_group_format_statistics(bad, NULL, 0), -EINVAL, words);
        CHECK_RESULT(fluxcap_group_stop(bad), -EINVAL);
        CHECK(fluxcap_group_port(bad, 0, 0) == NULL);
        fluxcap_group_free(bad);
    }
    finish(group, 2);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

static void *all(void *nothing)
{
    a_socket_on_each_queue();
    several_sockets_on_one_queue();
    free_frames_are_found_with_many_sockets_on_one_queue(512);
    free_frames_are_found_with_many_sockets_on_one_queue(1024);
    an_engine_on_each_queue();
    a_run_ends_for_all_engines_at_once();
    a_change_of_the_number_of_queues_is_told();
    engines_make_a_group_or_stay_their_owners();
    numbers_and_handles_that_cannot_be();
    return nothing;
}

/* A thread that starts others has a few bytes in the library. They go with it, but for the first thread, which ends with the program: valgrind
 * would tell of them. */
int main(void)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, all, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
