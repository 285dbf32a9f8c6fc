/* A packet as one line of text. Needs no privilege and no interface. */
#include "check.h"

static const uint8_t syn[58] = {
    0x02, 0, 0, 0, 0, 0x02, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00,
    0x45, 0, 0, 44, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    0x04, 0xd2, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 0x02, 0xfa, 0xf0, 0, 0, 0, 0, 2, 4, 5, 0xb4,
};

static const char line[] =
    "IP 10.0.0.1.1234 > 10.0.0.2.80: Flags [S], seq 1, win 64240, options [mss 1460], length 0";

static void a_packet_is_one_line(void)
{
    char text[256];

    CHECK_RESULT(fluxcap_format(syn, sizeof(syn), 0, text, sizeof(text)), (int)strlen(line));
    CHECK(strcmp(text, line) == 0);
    CHECK_RESULT(fluxcap_format(syn, 34, FLUXCAP_FORMAT_ETHERNET, text, sizeof(text)), 135);
    CHECK(strlen(text) == 135);
    CHECK(strcmp(text, "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype IPv4 (0x0800), length 34: "
                       "truncated-ip - 24 bytes missing! 10.0.0.1 > 10.0.0.2: [|tcp]") == 0);
    CHECK_RESULT(fluxcap_format(NULL, 0, 0, text, sizeof(text)), 8);
    CHECK(strcmp(text, "[|ether]") == 0);
}

/* In memory of exactly the size, so that tools see a byte written too much. */
static void a_short_text_is_cut_like_that_of_snprintf(void)
{
    for (size_t size = 0; size <= sizeof(line); size++) {
        char *text = (char *)malloc(size == 0 ? 1 : size);

        CHECK(text != NULL);
        CHECK_RESULT(fluxcap_format(syn, sizeof(syn), 0, size == 0 ? NULL : text, size), (int)strlen(line));
        if (size > 0) {
            CHECK(strlen(text) == size - 1);
            CHECK(memcmp(text, line, size - 1) == 0);
        }
        free(text);
    }
}

/* In memory of exactly the packet's size, so that tools see a byte read too much. */
static void a_packet_cut_anywhere_has_a_line(void)
{
    for (size_t len = 0; len <= sizeof(syn); len++) {
        uint8_t *bytes = (uint8_t *)malloc(len == 0 ? 1 : len);
        char text[256] = ZEROS;
        int length;

        CHECK(bytes != NULL);
        memcpy(bytes, syn, len);
        length = fluxcap_format(bytes, len, 0, text, sizeof(text));
        CHECK(length > 0 && (size_t)length == strlen(text));
        CHECK((strstr(text, "[|") != NULL) == (len < sizeof(syn)));
        free(bytes);
    }
}

static void wrong_arguments_are_refused_and_write_nothing(void)
{
    char text[8] = "as it w";

    CHECK_ERROR(fluxcap_format(NULL, 4, 0, text, sizeof(text)), -EINVAL, "data");
    CHECK_ERROR(fluxcap_format(syn, sizeof(syn), 0, NULL, 8), -EINVAL, "text");
    CHECK_ERROR(fluxcap_format(syn, sizeof(syn), 2, text, sizeof(text)), -EINVAL, "flags");
    CHECK_ERROR(fluxcap_format(syn, SIZE_MAX, 0, text, sizeof(text)), -EINVAL, "len");
    CHECK(strcmp(text, "as it w") == 0);
}

int main(void)
{
    a_packet_is_one_line();
    a_short_text_is_cut_like_that_of_snprintf();
    a_packet_cut_anywhere_has_a_line();
    wrong_arguments_are_refused_and_write_nothing();
    return 0;
}
