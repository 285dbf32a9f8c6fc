/* The rules of the firewall: how to read a file of them, and which one matches a packet. firewall_engine --help describes the file. */
#ifndef FIREWALL_RULES_H
#define FIREWALL_RULES_H

#include <arpa/inet.h>
#include <errno.h>
#include <fluxcap.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCE, DESTINATION, ENDS };

/* Kinds of packets; a rule matches one or several. */
enum { KIND_IPV4 = 1, KIND_IPV6 = 2, KIND_ARP = 4, KIND_OTHER = 8, KIND_IP = KIND_IPV4 | KIND_IPV6 };

enum { ANY_PROTOCOL = -1, MAX_RULES = 4096, MAX_WORDS = 16 };

/* A network: the first `length` bits of its addresses. */
struct prefix {
    uint8_t address[16];
    unsigned length;
};

struct rule {
    bool allow, both_ways, has_ports;
    uint8_t kinds;
    int protocols[2]; /* of IPv4 and IPv6, which differ for ICMP alone */
    struct prefix prefixes[ENDS];
    uint16_t ports[ENDS][2]; /* the first and the last one */
    unsigned line;
    char text[96];
    uint64_t packets, bytes; /* that matched it */
};

struct rules {
    struct rule *rules; /* the last one is the default, which matches everything */
    unsigned count;
};

/* The fields of a packet that rules compare. */
struct facts {
    uint8_t kind;
    const uint8_t *addresses[ENDS];
    uint8_t protocol;
    bool hides_protocol; /* it is the number of an extension header */
    bool has_ports;
    uint16_t ports[ENDS];
};

static inline bool prefix_contains(const struct prefix *prefix, const uint8_t *address)
{
    unsigned bytes = prefix->length / 8, bits = prefix->length % 8;

    if (bytes > 0 && memcmp(prefix->address, address, bytes) != 0)
        return false;
    return bits == 0 || (prefix->address[bytes] ^ address[bytes]) >> (8 - bits) == 0;
}

/* Returns whether addresses and ports match, with `from` as the source and `to` as the destination. */
static inline bool ends_match(const struct rule *rule, const struct facts *facts, int from, int to)
{
    const int ends[ENDS] = {from, to};

    for (int end = SOURCE; end < ENDS; end++) {
        const struct prefix *prefix = &rule->prefixes[end];
        uint16_t port = facts->ports[ends[end]];

        if (prefix->length > 0 && !prefix_contains(prefix, facts->addresses[ends[end]]))
            return false;
        if (rule->has_ports && facts->has_ports && (port < rule->ports[end][0] || port > rule->ports[end][1]))
            return false;
    }
    return true;
}

/* If a packet hides its ports or protocol, a deny rule that asks for them matches, and an allow rule does not. */
static inline bool rule_matches(const struct rule *rule, const struct facts *facts)
{
    int protocol = rule->protocols[facts->kind == KIND_IPV6];

    if ((rule->kinds & facts->kind) == 0)
        return false;
    if (protocol != ANY_PROTOCOL && protocol != facts->protocol) {
        if (!facts->hides_protocol || rule->allow)
            return false;
    } else if (rule->has_ports && !facts->has_ports && rule->allow) {
        return false;
    }
    return ends_match(rule, facts, SOURCE, DESTINATION) ||
           (rule->both_ways && ends_match(rule, facts, DESTINATION, SOURCE));
}

/* Returns the first rule that matches. There is always one: the default. */
static inline struct rule *rules_decide(const struct rules *rules, const struct facts *facts)
{
    struct rule *rule = rules->rules;

    while (!rule_matches(rule, facts))
        rule++;
    return rule;
}

/* Reads a number up to `most`. */
static inline bool read_number(const char *text, unsigned most, unsigned *number)
{
    char *end;

    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text < '0' || *text > '9' || value > most)
        return false;
    *number = (unsigned)value;
    return true;
}

static inline bool read_protocol(struct rule *rule, const char *word)
{
    static const struct {
        const char *name;
        uint8_t kinds;
        int v4, v6;
    } known[] = {
        {"any", KIND_IP | KIND_ARP | KIND_OTHER, ANY_PROTOCOL, ANY_PROTOCOL},
        {"arp", KIND_ARP, ANY_PROTOCOL, ANY_PROTOCOL},
        {"other", KIND_OTHER, ANY_PROTOCOL, ANY_PROTOCOL},
        {"icmp", KIND_IP, 1, 58},
        {"tcp", KIND_IP, 6, 6},
        {"udp", KIND_IP, 17, 17},
    };
    unsigned number;

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(word, known[i].name) == 0) {
            rule->kinds = known[i].kinds;
            rule->protocols[0] = known[i].v4;
            rule->protocols[1] = known[i].v6;
            return true;
        }
    }
    if (!read_number(word, 255, &number))
        return false;
    rule->kinds = KIND_IP;
    rule->protocols[0] = rule->protocols[1] = (int)number;
    return true;
}

/* Reads an address or a prefix, such as 10.0.0.0/8, and allows only packets of its kind. */
static inline bool read_prefix(struct rule *rule, struct prefix *prefix, const char *word)
{
    char address[64];
    size_t length = strcspn(word, "/");
    bool is_ipv6 = strchr(word, ':') != NULL;
    unsigned most = is_ipv6 ? 128 : 32;

    if (length >= sizeof(address))
        return false;
    memcpy(address, word, length);
    address[length] = '\0';
    prefix->length = most;
    if (inet_pton(is_ipv6 ? AF_INET6 : AF_INET, address, prefix->address) != 1 ||
        (word[length] == '/' && !read_number(word + length + 1, most, &prefix->length)))
        return false;
    for (unsigned bit = prefix->length; bit < most; bit++) {
        if (prefix->address[bit / 8] & (0x80 >> bit % 8))
            return false; /* bits are set behind the prefix */
    }
    rule->kinds &= is_ipv6 ? KIND_IPV6 : KIND_IPV4;
    return rule->kinds != 0;
}

static inline bool read_ports(struct rule *rule, uint16_t ports[2], char *word)
{
    char *dash = strchr(word, '-');
    unsigned first, last;

    if (rule->protocols[0] != 6 && rule->protocols[0] != 17 && rule->protocols[0] != 132)
        return false; /* only TCP, UDP and SCTP have ports */
    if (dash != NULL)
        *dash = '\0';
    if (!read_number(word, UINT16_MAX, &first) || !read_number(dash != NULL ? dash + 1 : word, UINT16_MAX, &last) ||
        first > last)
        return false;
    ports[0] = (uint16_t)first;
    ports[1] = (uint16_t)last;
    rule->has_ports = true;
    return true;
}

/* Reads a rule. Returns the word that is wrong, or NULL when all are right. */
static inline const char *read_rule(struct rule *rule, char **words)
{
    static const char *const names[ENDS] = {"from", "to"};
    char *word = *words++;

    rule->allow = strcmp(word, "allow") == 0;
    if (!rule->allow && strcmp(word, "deny") != 0)
        return word;
    rule->ports[SOURCE][1] = rule->ports[DESTINATION][1] = UINT16_MAX;
    word = *words++;
    if (word == NULL || !read_protocol(rule, word))
        return word != NULL ? word : "(a protocol is missing)";
    for (int end = SOURCE; end < ENDS; end++) {
        if (*words == NULL || strcmp(*words, names[end]) != 0)
            continue;
        words++;
        word = *words++;
        if (word == NULL)
            return "(an address is missing)";
        if (strcmp(word, "any") != 0 && !read_prefix(rule, &rule->prefixes[end], word))
            return word;
        if (*words != NULL && strcmp(*words, "port") == 0) {
            words++;
            word = *words++;
            if (word == NULL || !read_ports(rule, rule->ports[end], word))
                return word != NULL ? word : "(a port is missing)";
        }
    }
    if (words[0] != NULL && words[1] != NULL && strcmp(words[0], "both") == 0 && strcmp(words[1], "ways") == 0) {
        rule->both_ways = true;
        words += 2;
    }
    return *words;
}

/* Splits a line into words, up to a #. The last one is NULL. Returns false if there are too many. */
static inline bool read_words(char *line, char *words[MAX_WORDS + 1])
{
    unsigned count = 0;
    char *rest = NULL;

    line[strcspn(line, "#\r\n")] = '\0';
    for (char *word = strtok_r(line, " \t", &rest); word != NULL; word = strtok_r(NULL, " \t", &rest)) {
        if (count == MAX_WORDS)
            return false;
        words[count++] = word;
    }
    words[count] = NULL;
    return true;
}

static inline void rules_free(struct rules *rules)
{
    free(rules->rules);
    rules->rules = NULL;
}

/* Adds the rule of a line. Returns the word that is wrong, or NULL. */
static inline const char *read_line(struct rules *rules, struct rule *fallback, unsigned number, char *line)
{
    char *words[MAX_WORDS + 1];
    struct rule *rule = &rules->rules[rules->count];

    memset(rule, 0, sizeof(*rule));
    rule->line = number;
    snprintf(rule->text, sizeof(rule->text), "%.*s", (int)strcspn(line, "#\r\n"), line);
    if (!read_words(line, words))
        return "(too many words)";
    if (words[0] == NULL)
        return NULL;
    if (strcmp(words[0], "default") == 0) {
        bool allow = words[1] != NULL && strcmp(words[1], "allow") == 0;

        if (fallback->line > 0 || words[1] == NULL || (!allow && strcmp(words[1], "deny") != 0) || words[2] != NULL)
            return "default";
        fallback->allow = allow;
        fallback->line = number;
        return NULL;
    }
    if (rules->count == MAX_RULES)
        return "(too many rules)";
    const char *wrong = read_rule(rule, words);
    if (wrong == NULL)
        rules->count++;
    return wrong;
}

/* Reads a file of rules, or prints which line is wrong. All memory is allocated here, none for a packet. */
static inline bool rules_read(struct rules *rules, FILE *file, const char *name)
{
    struct rule fallback = {.kinds = KIND_IP | KIND_ARP | KIND_OTHER, .protocols = {ANY_PROTOCOL, ANY_PROTOCOL}};
    char line[512];

    rules->count = 0;
    rules->rules = (struct rule *)calloc(MAX_RULES + 1, sizeof(struct rule));
    if (rules->rules == NULL) {
        fprintf(stderr, "%s: no memory\n", name);
        return false;
    }
    for (unsigned number = 1; fgets(line, sizeof(line), file) != NULL; number++) {
        const char *wrong = read_line(rules, &fallback, number, line);

        if (wrong != NULL) {
            fprintf(stderr, "%s, line %u: '%s' is wrong\n", name, number, wrong);
            rules_free(rules);
            return false;
        }
    }
    snprintf(fallback.text, sizeof(fallback.text), "default %s", fallback.allow ? "allow" : "deny");
    rules->rules[rules->count] = fallback;
    return true;
}

#endif
