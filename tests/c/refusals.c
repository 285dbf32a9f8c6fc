/* Sockets that cannot be opened, and interfaces that go down or away. On fluxa and fluxb, the two ends of a veth pair. Needs root. */
#include "check.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Wants a refusal that writes no handle. */
static void check_refused(const struct fluxcap_config *config, int wanted, const char *words)
{
    struct fluxcap_raw *raw = NULL;

    CHECK_ERROR(fluxcap_open(config, &raw), wanted, words);
    CHECK(raw == NULL);
}

/* A refusal leaves nothing behind: the next socket works. */
static void check_usable(const char *ifname)
{
    struct fluxcap_config config = small(ifname);

    check_and_free(open_config(&config));
}

static void an_interface_that_is_down(void)
{
    struct fluxcap_config config = small("fluxa");

    run("ip link set fluxa down");
    check_refused(&config, -ENETDOWN, "fluxa");
    config.program = FLUXCAP_PROGRAM_NONE;
    check_refused(&config, -ENETDOWN, "ip link set");
    run("ip link set fluxa up");
    check_usable("fluxa");
}

static void alternative_names(void)
{
    char longest[129];
    struct fluxcap_config config = small("to-the-rack-on-the-left");

    run("ip link property add dev fluxa altname to-the-rack-on-the-left");
    check_and_free(open_config(&config));
    memset(longest, 'n', sizeof(longest));
    config.ifname = longest;
    longest[128] = '\0';
    check_refused(&config, -EINVAL, "up to 127");
    longest[127] = '\0';
    check_refused(&config, -ENODEV, "there is none");
}

static void a_queue_that_is_not_there(void)
{
    struct fluxcap_config config = small("fluxa");

    config.queue = 1;
    check_refused(&config, -EINVAL, "queue 1");
    config.queue = 65536; /* 0 in 16 bits */
    check_refused(&config, -EINVAL, "65536");
    config.program = FLUXCAP_PROGRAM_NONE;
    check_refused(&config, -EINVAL, "65536");
    config.queue = UINT32_MAX;
    check_refused(&config, -EINVAL, "queue");
    check_usable("fluxa");
}

static void a_queue_that_is_taken(void)
{
    struct fluxcap_config config = small("fluxa");
    struct fluxcap_raw *raw = open_config(&config);

    config.bind_patience_ms = 50;
    double start = now();
    check_refused(&config, -EBUSY, "queue 0 of fluxa is taken");
    CHECK(now() - start >= 0.04 && now() - start < 2);
    config.program = FLUXCAP_PROGRAM_NONE;
    check_refused(&config, -EBUSY, "fluxa");
    /* The first one does not notice. */
    struct fluxcap_packet packet;
    make_packets(raw, &packet, 1, 60, 0);
    CHECK_RESULT(fluxcap_raw_send(raw, &packet, 1), 1);
    CHECK_RESULT(fluxcap_raw_flush(raw, 3000), 1);
    check_and_free(raw);
    check_usable("fluxa");
}

static void packets_that_frames_cannot_hold(void)
{
    struct fluxcap_config config = small("fluxa");

    config.headroom = 400; /* 2048 - 256 - 400 is less than 1518 */
    check_refused(&config, -EINVAL, "MTU 1500");
    config.headroom = 0;
    run("ip link set fluxa mtu 3000");
    check_refused(&config, -EINVAL, "MTU 3000");
    config.chunk_size = 4096;
    check_and_free(open_config(&config));
    run("ip link set fluxa mtu 1500");
    check_usable("fluxa");
}

static void rings_that_the_kernel_does_not_make(void)
{
    struct fluxcap_config config = small("fluxa");
    struct fluxcap_raw *raw = NULL;

    /* Every size that passes the checks is made, or refused in words; these take up to 32 GiB. */
    config.rx_size = 1u << 30;
    int result = fluxcap_open(&config, &raw);
    CHECK(result == -EINVAL || result == -ENOMEM);
    CHECK(strstr(fluxcap_last_error(), "RX ring") != NULL && raw == NULL);
    check_usable("fluxa");
}

static void zero_copy_that_the_driver_does_not_have(void)
{
    struct fluxcap_config config = small("fluxa");

    config.bind_mode = FLUXCAP_BIND_ZERO_COPY;
    check_refused(&config, -EOPNOTSUPP, "zero-copy");
    check_usable("fluxa");
}

/* Hugepages that nobody uses, of a size as it stands in the path. */
static unsigned long free_hugepages(const char *size)
{
    unsigned long count = 0;
    char path[128];

    snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%s/free_hugepages", size);
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        if (fscanf(file, "%lu", &count) != 1)
            count = 0;
        fclose(file);
    }
    return count;
}

static void hugepages_that_are_not_there(void)
{
    struct fluxcap_config config = small("fluxa");
    struct fluxcap_info info = ZEROS;
    char report[4096];

    if (free_hugepages("2048kB") > 0 || free_hugepages("1048576kB") > 0) {
        printf("skipped: there are hugepages, so they cannot be missed\n");
        return;
    }
    config.hugepages = FLUXCAP_HUGEPAGES_REQUIRE_2M;
    check_refused(&config, -ENOMEM, "nr_hugepages");
    config.hugepages = FLUXCAP_HUGEPAGES_REQUIRE_1G;
    check_refused(&config, -ENOMEM, "1 GiB");
    config.chunk_size = 16384; /* needs hugepages, and they are only preferred */
    config.hugepages = FLUXCAP_HUGEPAGES_PREFER_2M;
    check_refused(&config, -EINVAL, "hugepages");

    config = small("fluxa");
    config.hugepages = FLUXCAP_HUGEPAGES_PREFER_2M;
    struct fluxcap_raw *raw = open_config(&config);
    info.struct_size = sizeof(info);
    CHECK_RESULT(fluxcap_raw_get_info(raw, &info), 0);
    CHECK(info.page_size == 4096);
    CHECK(fluxcap_raw_format_report(raw, report, sizeof(report)) > 0 && strstr(report, "hugepages of 2 MiB are needed") != NULL);
    check_and_free(raw);
}

static void a_map_that_is_none(void)
{
    struct fluxcap_config config = small("fluxa");
    struct fluxcap_raw *raw = NULL;

    config.program = FLUXCAP_PROGRAM_XSKMAP;
    config.xskmap_fd = -1;
    CHECK(fluxcap_open(&config, &raw) < 0 && raw == NULL && strstr(fluxcap_last_error(), "XSKMAP") != NULL);
    config.xskmap_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(fluxcap_open(&config, &raw) < 0 && raw == NULL && strstr(fluxcap_last_error(), "XSKMAP") != NULL);
    CHECK(close(config.xskmap_fd) == 0);
}

/* `object` is any XDP program. */
static void a_foreign_program(const char *object)
{
    struct fluxcap_config config = small("fluxa");
    char command[1024];

    snprintf(command, sizeof(command), "ip link set dev fluxa xdpgeneric obj %s sec xdp", object);
    if (system(command) != 0) {
        printf("skipped: ip cannot load an XDP program, so none is in the way\n");
        return;
    }
    check_refused(&config, -EBUSY, "fluxcap_xdp");
    config.xdp_mode = FLUXCAP_XDP_GENERIC;
    check_refused(&config, -EBUSY, "fluxcap_xdp");
    /* It was left alone. */
    run("ip link show dev fluxa | grep -q xdpgeneric");
    run("ip link set dev fluxa xdpgeneric off");
    check_usable("fluxa");
}

/* Takes capabilities away from this process. */
static void drop_capabilities(uint64_t set)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];

    CHECK(syscall(SYS_capget, &header, data) == 0);
    for (int i = 0; i < 2; i++) {
        data[i].effective &= ~(uint32_t)(set >> 32 * i);
        data[i].permitted &= ~(uint32_t)(set >> 32 * i);
    }
    CHECK(syscall(SYS_capset, &header, data) == 0);
}

/* Runs a test in a process of its own, which may spoil itself. */
static void in_a_child(void (*test)(void))
{
    int status;

    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        test();
        fflush(stdout);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define BIT(capability) (1ull << (capability))

static void without_net_raw(void)
{
    struct fluxcap_config config = small("fluxa");

    drop_capabilities(BIT(CAP_NET_RAW));
    check_refused(&config, -EPERM, "CAP_NET_RAW");
    config.program = FLUXCAP_PROGRAM_NONE;
    check_refused(&config, -EPERM, "CAP_NET_RAW");
}

static void without_net_admin(void)
{
    struct fluxcap_config config = small("fluxa");

    /* For programs, either of them is enough. */
    drop_capabilities(BIT(CAP_NET_ADMIN) | BIT(CAP_SYS_ADMIN));
    check_refused(&config, -EPERM, "CAP_NET_ADMIN");
}

static void without_bpf(void)
{
    struct fluxcap_config config = small("fluxa");

    drop_capabilities(BIT(CAP_BPF) | BIT(CAP_SYS_ADMIN));
    check_refused(&config, -EPERM, "CAP_BPF");
    /* Without a program it is not needed. */
    config.program = FLUXCAP_PROGRAM_NONE;
    check_and_free(open_config(&config));
}

static void without_perfmon(void)
{
    struct fluxcap_config config = small("fluxa");
    struct fluxcap_raw *raws[2] = {NULL, NULL};

    drop_capabilities(BIT(CAP_PERFMON) | BIT(CAP_SYS_ADMIN));
    CHECK_ERROR(fluxcap_open_fan_out(&config, 2, 0, raws), -EPERM, "CAP_PERFMON missing");
    CHECK(raws[0] == NULL && raws[1] == NULL);
    /* A socket that has the queue to itself does without. */
    check_and_free(open_config(&config));
}

static void without_any_capability(void)
{
    struct fluxcap_config config = small("fluxa");

    drop_capabilities(UINT64_MAX);
    check_refused(&config, -EPERM, "CAP_");
}

static void with_little_locked_memory(void)
{
    struct fluxcap_config config = small("fluxa");
    struct rlimit limit = {64 * 1024, 64 * 1024};

    CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    /* With this capability the limit does not count, whether it can be raised or not. */
    check_and_free(open_config(&config));
    drop_capabilities(BIT(CAP_IPC_LOCK) | BIT(CAP_SYS_RESOURCE));
    check_refused(&config, -ENOBUFS, "RLIMIT_MEMLOCK");
    CHECK(strstr(fluxcap_last_error(), "CAP_IPC_LOCK") != NULL);
}

static void with_just_enough_locked_memory(void)
{
    struct fluxcap_config config = small("fluxa");
    struct rlimit limit;

    CHECK(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    if (limit.rlim_max < 2 << 20) {
        printf("skipped: the hard limit of locked memory does not suffice\n");
        return;
    }
    limit.rlim_cur = 4096;
    CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    drop_capabilities(BIT(CAP_IPC_LOCK) | BIT(CAP_SYS_RESOURCE));
    /* The soft limit is raised to the hard one, which suffices. */
    check_and_free(open_config(&config));
}

static void a_socket_carries_packets(void)
{
    struct fluxcap_config config = small("fluxa");
    struct fluxcap_packet packets[4], received[4];

    struct fluxcap_raw *a = open_config(&config);
    config.ifname = "fluxb";
    struct fluxcap_raw *b = open_config(&config);
    make_packets(a, packets, 4, 100, 0);
    CHECK_RESULT(fluxcap_raw_send(a, packets, 4), 4);
    CHECK_RESULT(fluxcap_raw_flush(a, 3000), 1);
    receive_all(b, received, 4);
    for (uint32_t i = 0; i < 4; i++)
        CHECK(is_frame(received[i].data, 100, i));
    CHECK_RESULT(fluxcap_packets_free(received, 4), 0);
    check_and_free(a);
    check_and_free(b);
}

/* Puts a file in the place of stderr. */
static void catch_stderr(void)
{
    int file = memfd_create("stderr", MFD_CLOEXEC);

    CHECK(file >= 0 && dup2(file, STDERR_FILENO) >= 0 && close(file) == 0);
}

/* The library reports by return values and texts alone, and so does the loader of its program. */
static void check_that_stderr_is_empty(void)
{
    char said[1024];
    ssize_t length = pread(STDERR_FILENO, said, sizeof(said) - 1, 0);

    if (length != 0) {
        printf("on stderr: %.*s\n", (int)length, said);
        exit(1);
    }
}

static int count_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Raises the limit by one until there are enough descriptors: each step that takes one is refused in turn. */
static void without_descriptors(void)
{
    struct fluxcap_config config = small("fluxa");
    struct fluxcap_raw *raw = NULL;
    struct rlimit limit;
    int before = count_descriptors(), refusals = 0;

    catch_stderr();
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (limit.rlim_cur = 4; limit.rlim_cur < 256 && raw == NULL; limit.rlim_cur++) {
        CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        int result = fluxcap_open(&config, &raw);
        if (result == 0)
            break;
        CHECK_ERROR(result, -EMFILE, "too many files are open in this process");
        CHECK(strstr(fluxcap_last_error(), "ulimit -n") != NULL);
        CHECK(raw == NULL && count_descriptors() == before);
        refusals++;
    }
    CHECK(raw != NULL && refusals > 0);
    check_and_free(raw);
    check_that_stderr_is_empty();
}

/* In a mount namespace of its own, where /sys is empty. */
static void without_sys(void)
{
    struct fluxcap_config config = small("fluxa");
    struct fluxcap_raw *raws[4] = ZEROS;

    catch_stderr();
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/sys", "tmpfs", 0, NULL) != 0) {
        printf("skipped: no mount namespace without /sys can be made: %s\n", strerror(errno));
        return;
    }
    CHECK(access("/sys/class/net", F_OK) != 0);
    a_socket_carries_packets();
    CHECK_RESULT(fluxcap_open_queues(&config, NULL, 4, raws), 1);
    check_and_free(raws[0]);
    /* What cannot be had is refused with the reason. */
    config.hugepages = FLUXCAP_HUGEPAGES_REQUIRE_1G;
    config.frames = 1u << 22;
    check_refused(&config, -ENOMEM, "/sys is not mounted");
    check_that_stderr_is_empty();
}

static void an_interface_that_goes_down_and_comes_back(void)
{
    struct fluxcap_config config = small("fluxa");
    struct fluxcap_packet packets[20], received[20];

    struct fluxcap_raw *a = open_config(&config);
    config.ifname = "fluxb";
    struct fluxcap_raw *b = open_config(&config);
    make_packets(a, packets, 20, 100, 0);
    run("ip link set fluxa down");
    CHECK_RESULT(fluxcap_raw_send(a, packets, 20), 20);
    CHECK_ERROR(fluxcap_raw_wake_tx(a), -ENETDOWN, "down");
    CHECK_RESULT(fluxcap_raw_flush(a, 10), -ENETDOWN);
    CHECK(fluxcap_raw_wait(a, FLUXCAP_WAIT_RECEIVE, 10) != -ENODEV);
    check_frames(a);
    CHECK(rings_of(a).tx.occupied == 20);
    run("ip link set fluxa up");
    CHECK_RESULT(fluxcap_raw_flush(a, 3000), 1);
    receive_all(b, received, 20);
    for (uint32_t i = 0; i < 20; i++)
        CHECK(is_frame(received[i].data, 100, i));
    /* And the other way. */
    CHECK_RESULT(fluxcap_raw_send(b, received, 20), 20);
    CHECK_RESULT(fluxcap_raw_flush(b, 3000), 1);
    receive_all(a, received, 20);
    CHECK_RESULT(fluxcap_packets_free(received, 20), 0);
    check_and_free(a);
    check_and_free(b);
}

struct waiter {
    struct fluxcap_raw *raw;
    int timeout_ms;
    int result;
    double ended;
};

static void *wait_for_packets(void *argument)
{
    struct waiter *waiter = (struct waiter *)argument;

    waiter->result = fluxcap_raw_wait(waiter->raw, FLUXCAP_WAIT_RECEIVE, waiter->timeout_ms);
    waiter->ended = now();
    return NULL;
}

/* With a timeout, or (-1) without one. */
static void an_interface_that_is_removed(int timeout_ms)
{
    struct fluxcap_config config = small("fluxa");
    struct waiter waiter = {open_config(&config), timeout_ms, 1, 0};
    struct fluxcap_raw *a = (struct fluxcap_raw *)waiter.raw;
    struct fluxcap_packet packets[4], received[4];
    struct fluxcap_statistics statistics = ZEROS;
    struct fluxcap_program_counters counters = ZEROS;
    const struct fluxcap_desc *descs;
    pthread_t thread;

    make_packets(a, packets, 4, 60, 0);
    CHECK(pthread_create(&thread, NULL, wait_for_packets, &waiter) == 0);
    usleep(100000);
    run("ip link del fluxa");
    double start = now();
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_RESULT(waiter.result, -ENODEV);
    CHECK(waiter.ended - start < 2);
    /* The handle stays good for everything that does not need the interface. */
    CHECK_ERROR(fluxcap_raw_wait(a, FLUXCAP_WAIT_RECEIVE | FLUXCAP_WAIT_SEND, 1000), -ENODEV, "removed");
    CHECK_ERROR(fluxcap_raw_recv(a, received, 4), -ENODEV, "removed");
    CHECK_ERROR(fluxcap_raw_peek(a, 4, &descs), -ENODEV, "removed");
    CHECK_RESULT(fluxcap_raw_send(a, packets, 2), 2);
    CHECK_ERROR(fluxcap_raw_wake_tx(a), -ENODEV, "removed");
    CHECK_RESULT(fluxcap_raw_flush(a, 1000), -ENODEV);
    CHECK(fluxcap_raw_refill(a) >= 0 && fluxcap_raw_reap(a) >= 0);
    fluxcap_raw_wake_rx(a);
    statistics.struct_size = sizeof(statistics);
    counters.struct_size = sizeof(counters);
    CHECK_RESULT(fluxcap_raw_get_statistics(a, &statistics), 0);
    CHECK_RESULT(fluxcap_raw_get_program_counters(a, &counters), 0);
    CHECK(counters.attached == 0);
    CHECK_RESULT(fluxcap_packets_free(packets, 4), 0);
    check_and_free(a);
    /* As it was; without an IPv6 address there are no packets but ours. */
    run("ip link add fluxa type veth peer name fluxb && ip link set fluxa addrgenmode none up"
        " && ip link set fluxb addrgenmode none up");
    check_usable("fluxa");
}

/* Whether a program is on fluxa of this namespace. */
static int is_ours(uint32_t id)
{
    char command[128];

    snprintf(command, sizeof(command), "ip -d link show dev fluxa | grep -q 'prog/xdp id %u '", id);
    return system(command) == 0;
}

/* Detaches the links of all XDP programs on an interface, as `bpftool link detach` does. */
static void detach_programs(unsigned ifindex)
{
    union bpf_attr attr;
    struct bpf_link_info info;
    uint32_t id = 0;

    for (;;) {
        memset(&attr, 0, sizeof(attr));
        attr.start_id = id;
        if (syscall(SYS_bpf, BPF_LINK_GET_NEXT_ID, &attr, sizeof(attr)) != 0)
            return;
        id = attr.next_id;
        memset(&attr, 0, sizeof(attr));
        attr.link_id = id;
        int link = (int)syscall(SYS_bpf, BPF_LINK_GET_FD_BY_ID, &attr, sizeof(attr));
        if (link < 0)
            continue;
        memset(&info, 0, sizeof(info));
        memset(&attr, 0, sizeof(attr));
        attr.info.bpf_fd = (uint32_t)link;
        attr.info.info_len = sizeof(info);
        attr.info.info = (uint64_t)(uintptr_t)&info;
        CHECK(syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) == 0);
        memset(&attr, 0, sizeof(attr));
        attr.link_detach.link_fd = (uint32_t)link;
        /* Interfaces of other namespaces have the same index. */
        if (info.type == BPF_LINK_TYPE_XDP && info.xdp.ifindex == ifindex && is_ours(info.prog_id))
            CHECK(syscall(SYS_bpf, BPF_LINK_DETACH, &attr, sizeof(attr)) == 0);
        CHECK(close(link) == 0);
    }
}

static void a_program_that_somebody_takes_off(void)
{
    struct fluxcap_config config = small("fluxa");
    struct fluxcap_program_counters counters = ZEROS;

    struct fluxcap_raw *raw = open_config(&config);
    counters.struct_size = sizeof(counters);
    CHECK_RESULT(fluxcap_raw_get_program_counters(raw, &counters), 0);
    CHECK(counters.attached == 1);
    detach_programs(if_nametoindex("fluxa"));
    CHECK_RESULT(fluxcap_raw_get_program_counters(raw, &counters), 0);
    CHECK(counters.attached == 0);
    /* Whoever waits for packets is told that none will come. */
    CHECK_ERROR(fluxcap_raw_wait(raw, FLUXCAP_WAIT_RECEIVE, -1), -ENODEV, "taken off");
    check_and_free(raw);
    check_usable("fluxa");
}

int main(int argc, char **argv)
{
    an_interface_that_is_down();
    alternative_names();
    a_queue_that_is_not_there();
    a_queue_that_is_taken();
    packets_that_frames_cannot_hold();
    rings_that_the_kernel_does_not_make();
    zero_copy_that_the_driver_does_not_have();
    hugepages_that_are_not_there();
    a_map_that_is_none();
    if (argc > 1)
        a_foreign_program(argv[1]);
    in_a_child(without_net_raw);
    in_a_child(without_net_admin);
    in_a_child(without_bpf);
    in_a_child(without_perfmon);
    in_a_child(without_any_capability);
    in_a_child(with_little_locked_memory);
    in_a_child(with_just_enough_locked_memory);
    in_a_child(without_descriptors);
    in_a_child(without_sys);
    a_program_that_somebody_takes_off();
    an_interface_that_goes_down_and_comes_back();
    an_interface_that_is_removed(5000);
    an_interface_that_is_removed(-1);
    return 0;
}
