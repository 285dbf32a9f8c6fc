/* What the example programs share: signals, numbers on the command line, sockets on all queues, and printing. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <errno.h>
#include <fluxcap.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_QUEUES = 256,
    FRAMES_PER_QUEUE = 2048, /* for each of several queues */
};

/* Set by the signal handler, read by the loops. */
static volatile sig_atomic_t stop_wanted;
static volatile sig_atomic_t report_wanted;

static inline void on_signal(int number)
{
    if (number == SIGUSR1)
        report_wanted = 1;
    else
        stop_wanted = 1;
}

/* SIGINT and SIGTERM ask to stop, SIGUSR1 asks for a report. */
static inline void catch_signals(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    /* No SA_RESTART: a signal ends a wait. */
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

/* Reads a decimal number between two limits; ends the program when it is none. */
static inline uint32_t number(const char *what, const char *text, uint32_t least, uint32_t most)
{
    char *end;

    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || value < least || value > most) {
        fprintf(stderr, "%s is a number from %u to %u, not '%s'\n", what, least, most, text);
        exit(2);
    }
    return (uint32_t)value;
}

/* Reads an Ethernet address; ends the program when it is none. */
static inline void mac_address(const char *text, uint8_t *mac)
{
    int length = 0;

    if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5],
               &length) != 6 || text[length] != '\0') {
        fprintf(stderr, "a MAC address looks like 02:00:00:00:00:01, not like '%s'\n", text);
        exit(2);
    }
}

/* Prints why the last call of the library failed. */
static inline void print_error(void)
{
    fflush(stdout);
    fprintf(stderr, "%s\n", fluxcap_last_error());
}

/*
 * Opens a socket on each queue of the interface (at most `most`) if `all` is set, otherwise on the queue that the config names. A socket
 * on one of several queues receives only a part of the flows. Returns the number of sockets, or a negative errno.
 */
static inline int open_sockets(const struct fluxcap_config *config, bool all, uint32_t most, struct fluxcap_raw **raws)
{
    int result = all ? fluxcap_open_queues(config, NULL, most, raws) : fluxcap_open(config, raws);

    return result < 0 || all ? result : 1;
}

/* Prints which queues are open. */
static inline void print_queues(uint32_t first, uint32_t count)
{
    if (count == 1)
        printf("queue %u", first);
    else
        printf("queues %u to %u", first, first + count - 1);
}

/* Prints a text of the library. Called without a buffer, `write_text` returns the length, as snprintf() does. */
static inline void print_text(const struct fluxcap_raw *raw,
                              int (*write_text)(const struct fluxcap_raw *, char *, size_t))
{
    int length = write_text(raw, NULL, 0);
    char *text = length < 0 ? NULL : (char *)malloc((size_t)length + 1);

    if (text != NULL && write_text(raw, text, (size_t)length + 1) >= 0)
        printf("%s%s", text, length > 0 && text[length - 1] == '\n' ? "" : "\n");
    free(text);
}

/* Returns whether no frame is lost, and none is owned twice. */
static inline bool frames_are_conserved(const struct fluxcap_raw *raw)
{
    struct fluxcap_rings rings = {.struct_size = sizeof(rings)};

    if (fluxcap_raw_get_rings(raw, &rings) < 0) {
        print_error();
        return false;
    }
    if (!rings.conserved)
        fprintf(stderr, "the frames do not add up\n");
    return rings.conserved;
}

/* The same for a UMEM, with all sockets, halves and engines on it. */
static inline bool umem_is_conserved(const struct fluxcap_umem *umem)
{
    struct fluxcap_accounting frames;

    if (fluxcap_umem_get_accounting(umem, &frames) < 0) {
        print_error();
        return false;
    }
    bool good = frames.pool + frames.user + frames.kernel + frames.quarantined == frames.frames;
    if (!good)
        fprintf(stderr, "the frames do not add up\n");
    return good;
}

#endif
