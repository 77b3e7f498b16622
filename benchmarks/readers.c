/* The load generator: many subscribers and one publisher, as cheap as they can be.
 *
 *   readers PORT COUNT GREETING PUBLISHER_PORT PUBLISHER_GREETING MESSAGE [tls|tls-after-line]
 *
 * The greetings and the message are in hexadecimal; #### in the greeting of a
 * subscriber becomes his number. Each message has one MARK in it: that is what is
 * counted. Connects all, reads until it is silent for SILENCE_MS, and prints
 * "READY seconds". Then it obeys its stdin:
 *
 *   FOR seconds per_round   send so many messages in one write, wait until every
 *                           subscriber has all of them, and again, for so long.
 *                           Prints "RAN rounds seconds cpu_seconds p50_us p99_us".
 *
 * With tls-after-line the server says a line before TLS begins. It ends with its stdin. Connections are reset, so that no port is held after.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/ssl.h>
static SSL_CTX *context;
static SSL **layers;
static int is_line_first;
#endif

enum { MARK = '~', SILENCE_MS = 500, MOST_MS = 5000, MOST_SECONDS = 100, ROUNDS = 1000000 };

static int poller, publisher = -1;
static double round_us[ROUNDS];

static void fail(const char *what)
{
    printf("FAILED %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static char *from_hex(const char *hex, size_t *size)
{
    *size = strlen(hex) / 2;
    char *bytes = calloc(1, *size + 1);
    for (size_t each = 0; each < *size; each++)
        sscanf(hex + 2 * each, "%2hhx", (unsigned char *)bytes + each);
    return bytes;
}

static int open_connection(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct linger reset = {1, 0};
    int one = 1, opened = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(opened, (struct sockaddr *)&address, sizeof address))
        fail("connect");
    setsockopt(opened, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(opened, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    return opened;
}

static void say(int to, const char *bytes, size_t size)
{
#ifdef WITH_TLS
    if (context && layers[to]) {
        if (size && SSL_write(layers[to], bytes, size) <= 0)
            fail("TLS write");
        return;
    }
#endif
    while (size) {
        ssize_t sent = send(to, bytes, size, MSG_NOSIGNAL);
        if (sent < 0)
            fail("send");
        bytes += sent;
        size -= sent;
    }
}

/* TLS, where it is asked for; Twisted's own control connection has none. */
static void secure(int to)
{
#ifdef WITH_TLS
    if (!context)
        return;
    for (char last = 0; is_line_first && last != '\n';)
        if (read(to, &last, 1) <= 0)
            fail("read");
    SSL *layer = SSL_new(context);
    SSL_set_fd(layer, to);
    if (SSL_connect(layer) != 1)
        fail("TLS");
    layers[to] = layer;
    fcntl(to, F_SETFL, O_NONBLOCK);
#else
    (void)to;
#endif
}

static void greet(int to, const char *greeting, size_t size, int number)
{
    char own[4096], digits[5];
    memcpy(own, greeting, size);
    snprintf(digits, sizeof digits, "%04d", number % 10000);
    char *place = memmem(own, size, "####", 4);
    if (place)
        memcpy(place, digits, 4);
    say(to, own, size);
}

static ssize_t take(int from, char *data, size_t room)
{
#ifdef WITH_TLS
    if (context && layers[from])
        return SSL_read(layers[from], data, room);
#endif
    return recv(from, data, room, MSG_DONTWAIT);
}

/* Read what is there; return the marks seen, or -1 if nothing came for a while. */
static long take_all(int wait_ms)
{
    static char data[1 << 18];
    struct epoll_event ready[512];
    long marks = 0;
    int count = epoll_wait(poller, ready, 512, wait_ms);
    if (count <= 0)
        return -1;
    for (int each = 0; each < count; each++) {
        int from = ready[each].data.fd;
        ssize_t got = take(from, data, sizeof data);
        if (got == 0 || (got < 0 && recv(from, data, 1, MSG_PEEK | MSG_DONTWAIT) == 0))
            fail("a connection was closed");
        if (from == publisher)
            continue;
        for (char *at = data, *end = data + (got > 0 ? got : 0);
             at < end && (at = memchr(at, MARK, end - at)); at++)
            marks++;
    }
    return marks;
}

static int by_size(const void *one, const void *other)
{
    double difference = *(double *)one - *(double *)other;
    return (difference > 0) - (difference < 0);
}

static void run(double seconds, const char *burst, size_t size, long expected)
{
    double begun = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID), last = begun;
    long done = 0;
    while (done < ROUNDS && last - begun < seconds) {
        say(publisher, burst, size);
        for (long left = expected; left > 0;) {
            long marks = take_all(MOST_MS);
            if (marks < 0)
                fail("lines are missing");
            left -= marks;
        }
        double time = now(CLOCK_MONOTONIC);
        round_us[done++] = (time - last) * 1e6;
        last = time;
    }
    cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    qsort(round_us, done, sizeof *round_us, by_size);
    printf("RAN %ld %f %f %f %f\n", done, last - begun, cpu, round_us[done / 2],
           round_us[(long)(done * 0.99)]);
    fflush(stdout);
}

int main(int words, char **word)
{
    if (words < 7)
        return 2;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
#ifdef WITH_TLS
    if (words > 7) {
        context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
        is_line_first = !strcmp(word[7], "tls-after-line");
        layers = calloc(files.rlim_max, sizeof *layers);
    }
#endif
    alarm(MOST_SECONDS);
    size_t greeting_size, publisher_size, message_size;
    long count = atol(word[2]);
    char *greeting = from_hex(word[3], &greeting_size);
    char *publisher_greeting = from_hex(word[5], &publisher_size);
    char *message = from_hex(word[6], &message_size);
    poller = epoll_create1(0);
    double begun = now(CLOCK_MONOTONIC);
    for (int number = 0; number < count; number++) {
        int opened = open_connection(atoi(word[1]));
        secure(opened);
        greet(opened, greeting, greeting_size, number);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = opened};
        epoll_ctl(poller, EPOLL_CTL_ADD, opened, &event);
    }
    if (atoi(word[4])) {
        publisher = open_connection(atoi(word[4]));
        if (!strcmp(word[1], word[4]))
            secure(publisher);
        say(publisher, publisher_greeting, publisher_size);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = publisher};
        epoll_ctl(poller, EPOLL_CTL_ADD, publisher, &event);
    }
    double connected = now(CLOCK_MONOTONIC) - begun, quiet = connected;
    long marks = 0, seen;
    while ((seen = take_all(SILENCE_MS)) >= 0) {
        marks += seen;
        quiet = now(CLOCK_MONOTONIC) - begun;
    }
    printf("READY %f %f %ld\n", connected, quiet, marks);
    fflush(stdout);
    char line[100];
    while (fgets(line, sizeof line, stdin)) {
        long per_round;
        double seconds;
        if (sscanf(line, "FOR %lf %ld", &seconds, &per_round) < 2)
            return 2;
        char *burst = malloc(message_size * per_round);
        for (long each = 0; each < per_round; each++)
            memcpy(burst + each * message_size, message, message_size);
        run(seconds, burst, message_size * per_round, per_round * count);
        free(burst);
    }
    return 0;
}
