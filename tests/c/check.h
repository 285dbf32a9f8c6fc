/* What the C tests share. Each is a program: it exits with 0 when all is well, 1 at the first failure, and 77 when it cannot run here.
 * Everything here is C11 and C++17. */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE /* C++ compilers define it themselves */
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fluxcap.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* An initializer of zeros. */
#ifdef __cplusplus
#define ZEROS {}
#else
#define ZEROS {0}
#endif

#define CHECK(condition) check((condition), #condition, __FILE__, __LINE__)

/* Wants a result: a count, or a negative errno. */
#define CHECK_RESULT(call, wanted) check_result((call), (wanted), #call, __FILE__, __LINE__)

/* Wants a negative errno, and an error text with these words in it. */
#define CHECK_ERROR(call, wanted, words) check_error((call), (wanted), (words), #call, __FILE__, __LINE__)

static inline void check(bool good, const char *what, const char *file, int line)
{
    if (good)
        return;
    printf("%s:%d: not true: %s\n    the last error: %s\n", file, line, what, fluxcap_last_error());
    exit(1);
}

static inline void check_result(int result, int wanted, const char *what, const char *file, int line)
{
    if (result == wanted)
        return;
    printf("%s:%d: %s is %d, not %d\n    the last error: %s\n", file, line, what, result, wanted, fluxcap_last_error());
    exit(1);
}

/* A text for people who write C: no words of Rust, and with what was tried, what happened, and what to do. */
static inline void check_plain(const char *text, const char *what, const char *file, int line)
{
    static const char *const rust[] = {"Some(", "None", "Ok(", "Err(", "Flux", "&[", "true", "false", "\\u{", "()."};

    for (size_t i = 0; i < sizeof(rust) / sizeof(rust[0]); i++) {
        if (strstr(text, rust[i]) != NULL) {
            printf("%s:%d: %s talks Rust (%s): %s\n", file, line, what, rust[i], text);
            exit(1);
        }
    }
    /* A path, and no IPv6 address. */
    for (const char *colons = strstr(text, "::"); colons != NULL; colons = strstr(colons + 2, "::")) {
        if ((colons[2] >= 'g' && colons[2] <= 'z') || (colons[2] >= 'A' && colons[2] <= 'Z')) {
            printf("%s:%d: %s talks Rust (::): %s\n", file, line, what, text);
            exit(1);
        }
    }
}

static inline void check_error(int result, int wanted, const char *words, const char *what, const char *file, int line)
{
    check_result(result, wanted, what, file, line);
    check_plain(fluxcap_last_error(), what, file, line);
    if (strstr(fluxcap_last_error(), ": ") == NULL || strstr(fluxcap_last_error(), "; ") == NULL) {
        printf("%s:%d: %s lacks a cause or what to do: %s\n", file, line, what, fluxcap_last_error());
        exit(1);
    }
    if (strstr(fluxcap_last_error(), words) != NULL)
        return;
    printf("%s:%d: %s says nothing of \"%s\": %s\n", file, line, what, words, fluxcap_last_error());
    exit(1);
}

static inline void skip(const char *reason)
{
    printf("skipped: %s\n", reason);
    exit(77);
}

/* Seconds since some moment. */
static inline double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Runs a command of the shell, which has to succeed. */
static inline void run(const char *command)
{
    int status = system(command);

    if (status != 0) {
        printf("%s: exit status %d\n", command, status);
        exit(1);
    }
}

/* A small socket: quick to set up, and soon full. */
static inline struct fluxcap_config small(const char *ifname)
{
    struct fluxcap_config config = ZEROS;

    config.struct_size = sizeof(config);
    config.ifname = ifname;
    config.frames = 512;
    config.chunk_size = 2048;
    config.fill_size = 256;
    config.rx_size = 256;
    config.tx_size = 128;
    config.completion_size = 128;
    return config;
}

static inline struct fluxcap_raw *open_config(const struct fluxcap_config *config)
{
    struct fluxcap_raw *raw = NULL;
    int result = fluxcap_open(config, &raw);

    if (result == -EAFNOSUPPORT)
        skip(fluxcap_last_error());
    CHECK_RESULT(result, 0);
    CHECK(raw != NULL);
    return raw;
}

static inline struct fluxcap_rings rings_of(const struct fluxcap_raw *raw)
{
    struct fluxcap_rings rings = ZEROS;

    rings.struct_size = sizeof(rings);
    CHECK_RESULT(fluxcap_raw_get_rings(raw, &rings), 0);
    return rings;
}

/* No frame is lost or owned twice, and no ring has seen anything strange. */
static inline void check_frames(const struct fluxcap_raw *raw)
{
    struct fluxcap_rings rings = rings_of(raw);

    if (!rings.conserved) {
        char text[2048];

        fluxcap_raw_format_rings(raw, text, sizeof(text));
        printf("frames are lost:\n%s\n", text);
        exit(1);
    }
    CHECK(rings.counted.pool + rings.counted.user + rings.counted.kernel + rings.counted.quarantined == rings.counted.frames);
    CHECK(rings.fill.violations + rings.rx.violations + rings.tx.violations + rings.completion.violations == 0);
    CHECK(rings.rx.refused + rings.completion.refused == 0);
}

/* Every test ends with this. No packet may be in its hands then. */
static inline void check_and_free(struct fluxcap_raw *raw)
{
    check_frames(raw);
    CHECK(rings_of(raw).counted.user == 0);
    fluxcap_raw_free(raw);
}

/* Fills `len` bytes with an Ethernet frame that can be told from others. */
static inline void fill_frame(uint8_t *data, uint32_t len, uint32_t seed)
{
    static const uint8_t header[14] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 1, 0x88, 0xb5};

    memcpy(data, header, sizeof(header));
    for (uint32_t i = sizeof(header); i < len; i++)
        data[i] = (uint8_t)(seed * 31 + i * 7 + (i >> 8));
}

static inline bool is_frame(const uint8_t *data, uint32_t len, uint32_t seed)
{
    uint8_t expected[4096];

    fill_frame(expected, len, seed);
    return memcmp(data + 12, expected + 12, len - 12) == 0;
}

/* Packets of one length, numbered from `seed`. */
static inline void make_packets(struct fluxcap_raw *raw, struct fluxcap_packet *packets, uint32_t count, uint32_t len,
                                uint32_t seed)
{
    CHECK_RESULT(fluxcap_raw_alloc(raw, packets, count), (int)count);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(packets[i].data != NULL && packets[i].len == 0);
        packets[i].len = len;
        fill_frame(packets[i].data, len, seed + i);
    }
}

/* Receives exactly `count` packets, or fails after three seconds. */
static inline void receive_all(struct fluxcap_raw *raw, struct fluxcap_packet *packets, uint32_t count)
{
    uint32_t done = 0;

    for (double end = now() + 3; done < count && now() < end;) {
        int result = fluxcap_raw_recv(raw, packets + done, count - done);

        CHECK(result >= 0);
        done += (uint32_t)result;
        if (result == 0)
            CHECK(fluxcap_raw_wait(raw, FLUXCAP_WAIT_RECEIVE, 100) >= 0);
    }
    CHECK_RESULT((int)done, (int)count);
}

#endif
