/* Sockets on all queues of an interface, each split into halves, with the packets that wait for room in its TX ring. */
#ifndef QUEUES_H
#define QUEUES_H

#include <errno.h>
#include <fluxcap.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "program.h"

enum { BATCH = 64 };

struct queue {
    struct fluxcap_rx *rx;
    struct fluxcap_tx *tx;
    /* Packets that the TX ring had no room for. Nothing is received before they have left. */
    struct fluxcap_packet unsent[BATCH];
    uint32_t unsent_count;
    bool waits_to_send;
};

/* Opens the sockets and splits them. `queues` must be zeroed. Returns how many there are, or a negative errno. */
static inline int open_queues(const struct fluxcap_config *config, bool all, struct queue queues[MAX_QUEUES], uint8_t mac[6])
{
    struct fluxcap_info info = {.struct_size = sizeof(info)};
    struct fluxcap_raw *raws[MAX_QUEUES];
    int count = open_sockets(config, all, MAX_QUEUES, raws), result = 0;

    if (count < 0)
        print_error();
    for (int i = 0; i < count; i++) {
        if (i == 0) {
            print_text(raws[0], fluxcap_raw_format_report);
            result = fluxcap_raw_get_info(raws[0], &info);
        }
        if (result == 0)
            result = fluxcap_raw_split(raws[i], &queues[i].rx, &queues[i].tx);
        if (result < 0) {
            print_error();
            for (int j = 0; j < count; j++) {
                fluxcap_raw_free(j < i ? NULL : raws[j]);
                fluxcap_rx_free(queues[j].rx);
                fluxcap_tx_free(queues[j].tx);
            }
            return result;
        }
    }
    memcpy(mac, info.mac, sizeof(info.mac));
    return count;
}

/* Sends the packets that wait. Returns 0, or a negative errno. */
static inline int send_unsent(struct queue *queue)
{
    if (queue->unsent_count == 0)
        return 0;
    int sent = fluxcap_tx_send(queue->tx, queue->unsent, queue->unsent_count);
    if (sent == -ENETDOWN) {
        /* The packets that the ring took (their `data` is NULL) leave when the link is up again. */
        for (sent = 0; (uint32_t)sent < queue->unsent_count && queue->unsent[sent].data == NULL;)
            sent++;
    }
    if (sent < 0)
        return sent;
    queue->unsent_count -= (uint32_t)sent;
    /* Packets may be copied as long as only the copy is used from then on. */
    memmove(queue->unsent, queue->unsent + sent, queue->unsent_count * sizeof(queue->unsent[0]));
    return 0;
}

/* Prints what the kernel counted, for each queue. */
static inline void print_queue_counters(const struct queue *queues, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct fluxcap_statistics kernel = {.struct_size = sizeof(kernel)};

        if (fluxcap_rx_get_statistics(queues[i].rx, &kernel) == 0)
            printf("kernel: dropped %" PRIu64 ", RX ring full %" PRIu64 ", fill ring empty %" PRIu64 "\n", kernel.rx_dropped,
                   kernel.rx_ring_full, kernel.rx_fill_ring_empty_descs);
    }
}

/* Waits up to a second for the packets of each TX ring to leave, if the link is up. */
static inline bool flush_queues(struct queue *queues, uint32_t count)
{
    bool good = true;

    for (uint32_t i = 0; i < count; i++) {
        int result = fluxcap_tx_flush(queues[i].tx, 1000);

        good = (result >= 0 || result == -ENETDOWN) && good;
    }
    return good;
}

/* Closes the sockets. Returns whether no frame was lost. */
static inline bool close_queues(struct queue *queues, uint32_t count)
{
    bool good = true;

    for (uint32_t i = 0; i < count; i++) {
        struct queue *queue = &queues[i];
        struct fluxcap_umem *umem = NULL;

        fluxcap_packets_free(queue->unsent, queue->unsent_count);
        good = fluxcap_rx_get_umem(queue->rx, &umem) == 0 && umem_is_conserved(umem) && good;
        fluxcap_umem_free(umem);
        fluxcap_rx_free(queue->rx);
        fluxcap_tx_free(queue->tx);
    }
    return good;
}

#endif
