/* Calls for which there is not enough memory. On fluxa, an end of a veth pair, where it is, and otherwise on a simulated network. */
#include "check.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Bytes of addresses that this process uses. */
static size_t used(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;

    CHECK(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Lets the process have so many bytes more than now; 0: as many as it likes. */
static void allow(size_t more)
{
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = more == 0 ? limit.rlim_max : used() + more;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

/* Small things have room, whatever the limit: blocks that are free, and one behind them that keeps them in the process. */
static void keep_room_for_small_things(void)
{
    void *blocks[64];

    for (int i = 0; i < 64; i++)
        CHECK((blocks[i] = malloc(8192)) != NULL);
    void *volatile kept = malloc(64);
    CHECK(kept != NULL);
    for (int i = 0; i < 64; i++)
        free(blocks[i]);
}

static const size_t step = 128 * 1024, umem = 65536 * 2048;

/* Wherever memory runs out on the way, that is an error; and then it suffices. */
static void a_umem_for_which_there_is_not_enough(const struct fluxcap_link *link)
{
    struct fluxcap_config config = small(NULL);
    struct fluxcap_raw *raw = NULL;
    int refusals = 0, result = -ENOMEM;

    config.link = link;
    config.frames = 65536;
    for (size_t more = umem - 2 * step; result != 0; more += step) {
        CHECK(more < umem + 256 * step);
        allow(more);
        result = fluxcap_open(&config, &raw);
        allow(0);
        if (result == 0)
            break;
        CHECK_RESULT(result, -ENOMEM);
        check_plain(fluxcap_last_error(), "fluxcap_open", __FILE__, __LINE__);
        CHECK(raw == NULL);
        refusals++;
    }
    /* Of the UMEM, and of its ledger. */
    CHECK(refusals >= 6);
    check_and_free(raw);
}

/* The RX ring; and as large as that, room for copies of its descriptors. */
static void rings_without_memory(const struct fluxcap_link *link)
{
    enum { SLOTS = 1 << 19 };
    const size_t ring = SLOTS * sizeof(struct fluxcap_desc);
    struct fluxcap_config config = small(NULL);
    struct fluxcap_raw *raw = NULL;
    int refusals = 0, copies = 0;

    config.link = link;
    config.rx_size = SLOTS;
    for (size_t more = ring / 8; raw == NULL; more += ring / 8) {
        CHECK(more < 4 * ring);
        allow(more);
        int result = fluxcap_open(&config, &raw);
        allow(0);
        if (result == 0)
            break;
        CHECK_RESULT(result, -ENOMEM);
        check_plain(fluxcap_last_error(), "fluxcap_open", __FILE__, __LINE__);
        CHECK(raw == NULL);
        refusals++;
        copies += strstr(fluxcap_last_error(), "descriptors of an RX ring") != NULL;
    }
    CHECK(copies >= 1 && refusals > copies);
    check_and_free(raw);
}

static void rings_for_which_there_is_not_enough(void)
{
    struct fluxcap_sim_nic_config nic = ZEROS;
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_link *link = NULL;

    if (if_nametoindex("fluxa") != 0) {
        CHECK_RESULT(fluxcap_link_create("fluxa", &link), 0);
    } else {
        CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
        nic.struct_size = sizeof(nic);
        nic.name = "sim0";
        CHECK_RESULT(fluxcap_sim_add_nic(sim, &nic, &link), 0);
    }
    rings_without_memory(link);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

/* The largest there is, of which the memory alone does not fit. */
static void a_umem_that_fits_no_machine(const struct fluxcap_link *link)
{
    struct fluxcap_config config = small(NULL);
    struct fluxcap_raw *raw = NULL;

    config.link = link;
    config.frames = 1u << 24;
    config.chunk_size = 4096;
    allow(umem);
    CHECK_ERROR(fluxcap_open(&config, &raw), -ENOMEM, "memory");
    config = small(NULL);
    config.link = link;
    config.rx_size = 1u << 30;
    int result = fluxcap_open(&config, &raw);
    CHECK(result == -ENOMEM || result == -EINVAL);
    allow(0);
    CHECK(raw == NULL);
}

enum { PACKETS = 200000 };

static void packets_to_play_for_which_there_is_not_enough(const struct fluxcap_link *link)
{
    static struct fluxcap_sim_packet packets[PACKETS];
    static const uint8_t bytes[60] = ZEROS;

    for (int i = 0; i < PACKETS; i++) {
        packets[i].data = bytes;
        packets[i].len = sizeof(bytes);
    }
    allow(20 * 1024 * 1024);
    CHECK_ERROR(fluxcap_sim_nic_play(link, 0, packets, PACKETS, FLUXCAP_SIM_SPEED_FULL, 1), -ENOMEM, "copy of the packets");
    allow(1024 * 1024);
    CHECK_ERROR(fluxcap_sim_nic_play(link, 0, packets, PACKETS, FLUXCAP_SIM_SPEED_FULL, 1), -ENOMEM, "argument packets");
    CHECK_ERROR(fluxcap_sim_nic_inject_batch(link, 0, packets, PACKETS), -ENOMEM, "argument packets");
    allow(0);
    CHECK_RESULT(fluxcap_sim_nic_play(link, 0, packets, PACKETS, FLUXCAP_SIM_SPEED_FULL, 1), 0);
    CHECK_RESULT(fluxcap_sim_nic_play_end(link), 0);
}

static void a_capture_for_which_there_is_not_enough(const struct fluxcap_link *link)
{
    char path[] = "/tmp/fluxcap-memory-XXXXXX.pcap";
    const uint32_t header[6] = {0xa1b2c3d4, 0x00040002, 0, 0, 65535, 1};
    const uint32_t record[4] = {0, 0, 60, 60};
    const uint8_t bytes[60] = ZEROS;
    int number = mkstemps(path, 5);

    CHECK(number >= 0);
    FILE *file = fdopen(number, "wb");
    CHECK(file != NULL && fwrite(header, sizeof(header), 1, file) == 1);
    for (int i = 0; i < PACKETS; i++)
        CHECK(fwrite(record, sizeof(record), 1, file) == 1 && fwrite(bytes, sizeof(bytes), 1, file) == 1);
    CHECK(fclose(file) == 0);
    allow(8 * 1024 * 1024);
    CHECK_ERROR(fluxcap_sim_nic_replay(link, 0, path, FLUXCAP_SIM_SPEED_FULL, 1), -ENOMEM, "capture file");
    allow(0);
    CHECK_RESULT(fluxcap_sim_nic_replay(link, 0, path, FLUXCAP_SIM_SPEED_FULL, 1), PACKETS);
    CHECK_RESULT(fluxcap_sim_nic_play_end(link), 0);
    CHECK(unlink(path) == 0);
}

/* The other format, as it is recorded here. */
static void a_recording_for_which_there_is_not_enough(void)
{
    enum { ROUNDS = 50, EACH = 1000 };
    static struct fluxcap_sim_packet packets[EACH];
    static const uint8_t bytes[60] = ZEROS;
    char path[] = "/tmp/fluxcap-memory-XXXXXX.pcapng";
    struct fluxcap_sim_replay_config replay = ZEROS;
    struct fluxcap_sim_nic_config nic = ZEROS;
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_link *link = NULL;
    int number = mkstemps(path, 7);

    CHECK(number >= 0 && close(number) == 0);
    for (int i = 0; i < EACH; i++) {
        packets[i].data = bytes;
        packets[i].len = sizeof(bytes);
    }
    CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
    nic.struct_size = sizeof(nic);
    nic.name = "sim0";
    CHECK_RESULT(fluxcap_sim_add_nic(sim, &nic, &link), 0);
    CHECK_RESULT(fluxcap_sim_nic_record(link, path), 0);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_RESULT(fluxcap_sim_nic_inject_batch(link, 0, packets, EACH), EACH);
        CHECK(fluxcap_sim_settle(sim) >= EACH);
    }
    CHECK_RESULT(fluxcap_sim_nic_record_end(link), 0);
    replay.struct_size = sizeof(replay);
    replay.times = 1;
    allow(2 * 1024 * 1024);
    CHECK_ERROR(fluxcap_sim_nic_replay(link, 0, path, FLUXCAP_SIM_SPEED_FULL, 1), -ENOMEM, "capture file");
    /* That is no damage of the file. */
    replay.flags = FLUXCAP_SIM_REPLAY_DAMAGED | FLUXCAP_SIM_REPLAY_UNFIT;
    CHECK_ERROR(fluxcap_sim_nic_replay_with(link, 0, path, &replay), -ENOMEM, "capture file");
    allow(0);
    CHECK(replay.damaged == 0);
    CHECK_RESULT(fluxcap_sim_nic_replay_with(link, 0, path, &replay), ROUNDS * EACH);
    CHECK(replay.damaged == 0 && replay.unfit == 0);
    CHECK(unlink(path) == 0);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
}

/* What others have freed stays in the process, and would do. */
static void in_a_process_of_its_own(void (*test)(void))
{
    pid_t child = fork();
    int status = -1;

    CHECK(child >= 0);
    if (child == 0) {
        test();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int ignore(void *user, uint32_t port, struct fluxcap_packet_ref *packets, uint32_t count)
{
    (void)user, (void)port, (void)packets, (void)count;
    return 0;
}

/* A thread takes addresses for its stack. */
static void a_thread_for_which_there_is_not_enough(const struct fluxcap_link *link)
{
    struct fluxcap_config config = small(NULL);
    struct fluxcap_engine *engine = NULL;
    struct fluxcap_group *group = NULL;
    struct fluxcap_raw *raw = NULL;

    config.link = link;
    raw = open_config(&config);
    CHECK_RESULT(fluxcap_engine_create(&raw, 1, NULL, &engine), 0);
    CHECK_RESULT(fluxcap_group_create(&engine, 1, &group), 0);
    allow(64 * 1024);
    CHECK_ERROR(fluxcap_group_run_for(group, 1, ignore, NULL), -EAGAIN, "ulimit -v");
    allow(0);
    CHECK(strstr(fluxcap_last_error(), "ulimit -u") != NULL);
    CHECK_RESULT(fluxcap_group_run_for(group, 1, ignore, NULL), 0);
    fluxcap_group_free(group);
}

int main(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    struct fluxcap_sim *sim = NULL;
    struct fluxcap_link *link = NULL;

#ifdef SANITIZED
    skip("a sanitizer needs more addresses than a limit leaves");
#endif
    if (preloaded != NULL && strstr(preloaded, "valgrind") != NULL)
        skip("valgrind keeps its own account of memory");
    keep_room_for_small_things();
    in_a_process_of_its_own(rings_for_which_there_is_not_enough);
    if (if_nametoindex("fluxa") != 0) {
        CHECK_RESULT(fluxcap_link_create("fluxa", &link), 0);
        a_umem_for_which_there_is_not_enough(link);
        a_umem_that_fits_no_machine(link);
        fluxcap_link_free(link);
        return 0;
    }
    struct fluxcap_sim_nic_config nic = ZEROS;

    in_a_process_of_its_own(a_recording_for_which_there_is_not_enough);
    CHECK_RESULT(fluxcap_sim_create(0, &sim), 0);
    nic.struct_size = sizeof(nic);
    nic.name = "sim0";
    CHECK_RESULT(fluxcap_sim_add_nic(sim, &nic, &link), 0);
    a_umem_for_which_there_is_not_enough(link);
    a_umem_that_fits_no_machine(link);
    packets_to_play_for_which_there_is_not_enough(link);
    a_capture_for_which_there_is_not_enough(link);
    a_thread_for_which_there_is_not_enough(link);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
    return 0;
}
