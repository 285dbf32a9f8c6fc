/* Handles in a forked child, as after daemon(): errors and zeros, never a crash, and no harm to the parent. */
#include "check.h"

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
    CHECK_ERROR(fluxcap_raw_wake_tx(raw), -EINVAL, "forked child");
    CHECK(fluxcap_raw_receive(raw, more, 4) <= 0);
    CHECK_RESULT(fluxcap_raw_alloc(raw, more, 4), 0);
    CHECK_RESULT(fluxcap_umem_accounting(umem, &frames), 0);
    CHECK_RESULT(fluxcap_packet_free(packet), 0);
    fluxcap_raw_free(raw);
    fluxcap_umem_free(umem);
    _exit(0);
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
    CHECK_RESULT(fluxcap_sim_add(sim, &nic, &link), 0);
    config.struct_size = sizeof(config);
    config.link = link;
    config.core_dump = 2;
    CHECK_ERROR(fluxcap_open(&config, &raw), -EINVAL, "core_dump");
    config.core_dump = FLUXCAP_CORE_DUMP_WITH_PACKETS;
    CHECK_RESULT(fluxcap_open(&config, &raw), 0);
    CHECK_RESULT(fluxcap_raw_umem(raw, &umem), 0);
    fill_frame(bytes, LEN, 1);
    CHECK_RESULT(fluxcap_sim_inject(link, 0, bytes, LEN), 0);
    CHECK_RESULT(fluxcap_sim_inject(link, 0, bytes, LEN), 0);
    CHECK_RESULT(fluxcap_sim_settle(sim), 2);
    CHECK_RESULT(fluxcap_raw_receive(raw, &packet, 1), 1);
    child = fork();
    CHECK(child >= 0);
    if (child == 0)
        in_child(raw, umem, &packet);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(is_frame(packet.data, packet.len, 1));
    CHECK_RESULT(fluxcap_packet_free(&packet), 0);
    CHECK_RESULT(fluxcap_raw_receive(raw, &packet, 1), 1);
    CHECK(is_frame(packet.data, packet.len, 1));
    CHECK_RESULT(fluxcap_packet_free(&packet), 0);
    check_and_free(raw);
    CHECK_RESULT(fluxcap_umem_reclaim(umem, 1000), 0);
    CHECK_ERROR(fluxcap_umem_reclaim(NULL, 0), -EINVAL, "umem");
    fluxcap_umem_free(umem);
    fluxcap_link_free(link);
    fluxcap_sim_free(sim);
    return 0;
}
