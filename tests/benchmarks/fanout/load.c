/* The load client of the fan-out benchmark: many subscribers and one publisher in one epoll loop.
 *
 *   load MODE PORT CONTROL_PORT RECORD_BYTES FILE    MODE is ws or nats
 *
 * FILE names a subscriber a line: the path to open (ws), or the subject to subscribe to (nats).
 * A line that begins with '!' connects and then reads nothing, with a small receive buffer.
 *
 * Records are published over a connection to CONTROL_PORT: `TOPIC RECORD\n` a record, or PUB
 * with the subject `ev.TOPIC` (nats). Each record holds one '^' and, behind it, the time in ns
 * at which it was sent, 19 digits: that is how records are found, whatever frames them. (A frame of
 * this size has no ^ in its head; it has a ~.)
 *
 * Commands come on stdin, one a line; each is answered with one JSON object on stdout:
 *
 *   paced RATE COUNT TOPICS        COUNT times a record for every topic, RATE times a second
 *   bursts SIZE COUNT TOPICS       COUNT times SIZE records at once; each waits for the last
 *   flight SIZE COUNT TOPICS       COUNT records, SIZE of them on their way at any time
 *
 * A record is expected by the subscribers of its topic, which are subscribers / TOPICS.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 20000
#define PATIENCE_NS 20000000000ull

static int is_nats, port, record_bytes, readers, epoll_fd, control;
static int sockets[MOST];
static uint64_t delivered, reads;
static uint32_t *lags;
static size_t lag_count, lag_room;
static int takes_lags;

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "unexpected");
  exit(2);
}

static int dial(int to, int receive_bytes) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)to)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (fd < 0) fail("socket");
  if (receive_bytes) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
  if (connect(fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

static void send_all(int fd, const char *data, size_t size) {
  while (size) {
    ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
    if (sent < 0) fail("send");
    data += sent;
    size -= (size_t)sent;
  }
}

static void ask(int fd, const char *path) {
  char request[1024];
  int size = snprintf(request, sizeof request,
                      "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\n"
                      "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: QUJDREVGR0hJSktMTU5PUA==\r\n\r\n",
                      is_nats ? "/" : path, port);
  send_all(fd, request, (size_t)size);
}

static void hear(int fd, const char *subject) {
  char answer[2048];
  size_t size = 0;
  struct timeval patience = {20, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  do { /* a byte at a time, so that no record behind it is taken */
    if (size + 1 >= sizeof answer || recv(fd, answer + size, 1, 0) != 1) fail("handshake");
    answer[++size] = 0;
  } while (size < 4 || strcmp(answer + size - 4, "\r\n\r\n"));
  if (!strstr(answer, " 101 ")) {
    fprintf(stderr, "load: refused: %s\n", answer);
    exit(2);
  }
  if (is_nats) { /* one masked binary frame; the mask is zero */
    char words[256], frame[300];
    int length = snprintf(words, sizeof words, "CONNECT {\"verbose\":false}\r\nSUB %s 1\r\n", subject);
    unsigned char head[6] = {0x82, (unsigned char)(0x80 | length), 0, 0, 0, 0};
    if (length > 125) fail("subject too long");
    memcpy(frame, head, 6);
    memcpy(frame + 6, words, (size_t)length);
    send_all(fd, frame, 6 + (size_t)length);
  }
}

static void publish(int count, int topics) {
  static char out[1 << 20];
  static unsigned next_topic, serial;
  size_t size = 0;
  for (int i = 0; i < count; i++) {
    char *record = out + size, head[64];
    unsigned topic = next_topic++ % (unsigned)topics;
    int length = is_nats ? snprintf(head, sizeof head, "PUB ev.%u %d\r\n", topic, record_bytes)
                         : snprintf(head, sizeof head, "%u ", topic);
    memcpy(record, head, (size_t)length);
    record += length;
    int used = sprintf(record, "{\"id\":\"%u\",\"price_avg\":68123.5,\"sent\":\"^%019llu\",\"pad\":\"",
                       serial++, (unsigned long long)now_ns());
    memset(record + used, 'x', (size_t)(record_bytes - used - 2));
    memcpy(record + record_bytes - 2, "\"}", 2);
    size += (size_t)(length + record_bytes);
    if (is_nats) out[size++] = '\r';
    out[size++] = '\n';
    if (size > sizeof out - 65536) {
      send_all(control, out, size);
      size = 0;
    }
  }
  send_all(control, out, size);
  char answers[4096]; /* what NATS says on this side is not of interest */
  while (recv(control, answers, sizeof answers, MSG_DONTWAIT) > 0) {}
}

/* Answer pings. No other byte of what the servers send is 0x89: records are ASCII. */
static void answer_pings(int fd, const char *data, size_t size) {
  const char *end = data + size;
  for (const char *at = data; (at = memchr(at, 0x89, (size_t)(end - at))); at++) {
    unsigned char pong[12] = {0x8a, 0x84, 0, 0, 0, 0};
    if (at + 6 > end || at[1] != 4) continue;
    memcpy(pong + 6, at + 2, 4);
    send_all(fd, (char *)pong, 10);
  }
}

static void count(const char *data, size_t size) {
  const char *end = data + size;
  uint64_t now = takes_lags ? now_ns() : 0;
  for (const char *at = data; (at = memchr(at, '^', (size_t)(end - at))); at++) {
    delivered++;
    if (takes_lags && at + 20 <= end && lag_count < lag_room) {
      uint64_t sent = 0;
      for (int i = 1; i <= 19; i++) sent = sent * 10 + (uint64_t)(at[i] - '0');
      lags[lag_count++] = now > sent ? (uint32_t)((now - sent) / 1000) : 0;
    }
  }
}

static void turn(int wait_ms) {
  static char data[1 << 18];
  struct epoll_event ready[512];
  int found = epoll_wait(epoll_fd, ready, 512, wait_ms);
  for (int i = 0; i < found; i++) {
    ssize_t size = recv(ready[i].data.fd, data, sizeof data, MSG_DONTWAIT);
    if (size == 0) {
      fprintf(stderr, "load: a subscriber was closed by the server\n");
      exit(2);
    }
    if (size > 0) {
      reads++;
      if (!is_nats) answer_pings(ready[i].data.fd, data, (size_t)size);
      count(data, (size_t)size);
    }
  }
}

static void wait_for(uint64_t expected) {
  uint64_t until = now_ns() + PATIENCE_NS;
  while (delivered < expected && now_ns() < until) turn(20);
}

static int by_size(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static uint32_t quantile(double q) {
  return lag_count ? lags[(size_t)(q * (double)(lag_count - 1))] : 0;
}

static void answer(uint64_t expected, uint64_t began) {
  qsort(lags, lag_count, sizeof *lags, by_size);
  printf("{\"expected\":%llu,\"delivered\":%llu,\"seconds\":%.4f,\"per_read\":%.2f,"
         "\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u}\n",
         (unsigned long long)expected, (unsigned long long)delivered,
         (double)(now_ns() - began) / 1e9, reads ? (double)delivered / (double)reads : 0.0,
         quantile(0.5), quantile(0.99), quantile(1.0));
  fflush(stdout);
}

static void run(const char *what, double first, int times, int topics) {
  uint64_t began = now_ns(), fanout = (uint64_t)(readers / topics), expected = 0;
  delivered = reads = lag_count = 0;
  takes_lags = !strcmp(what, "paced");
  if (takes_lags) {
    for (int i = 0; i < times; i++) {
      uint64_t due = began + (uint64_t)((double)i * 1e9 / first);
      for (uint64_t now; (now = now_ns()) < due;) {
        uint64_t left_ms = (due - now) / 1000000;
        turn(left_ms > 5 ? 5 : (int)left_ms);
      }
      publish(topics, topics);
      expected += fanout * (uint64_t)topics;
      turn(0);
    }
    wait_for(expected);
  } else if (!strcmp(what, "flight")) {
    int sent = 0, size = (int)first;
    uint64_t until = began + PATIENCE_NS;
    while (sent < times && now_ns() < until) { /* a quarter at a time, as acknowledgements come */
      int room = size - (sent - (int)(delivered / fanout));
      if (room * 4 >= size) {
        room = room < times - sent ? room : times - sent;
        publish(room, topics);
        sent += room;
      }
      turn(5);
    }
    expected = fanout * (uint64_t)times;
    wait_for(expected);
  } else {
    for (int i = 0; i < times; i++) {
      publish((int)first, topics);
      expected += fanout * (uint64_t)first;
      wait_for(expected);
    }
  }
  answer(expected, began);
}

int main(int argc, char **argv) {
  static char line[2048], *paths[MOST];
  if (argc != 6) fail("usage: load MODE PORT CONTROL_PORT RECORD_BYTES FILE");
  is_nats = !strcmp(argv[1], "nats");
  port = atoi(argv[2]);
  record_bytes = atoi(argv[4]);
  lag_room = 4000000;
  lags = malloc(lag_room * sizeof *lags);
  epoll_fd = epoll_create1(0);
  FILE *file = fopen(argv[5], "r");
  if (!file || !lags || record_bytes < 120 || record_bytes > 60000) fail("start");
  int total = 0;
  while (total < MOST && fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = 0;
    paths[total++] = strdup(line);
  }
  for (int from = 0; from < total; from += 50) { /* fifty at a time fit any backlog */
    int to = from + 50 < total ? from + 50 : total;
    for (int i = from; i < to; i++) {
      int stalls = paths[i][0] == '!';
      sockets[i] = dial(port, stalls ? 4096 : 0);
      ask(sockets[i], paths[i] + stalls);
    }
    for (int i = from; i < to; i++) {
      int stalls = paths[i][0] == '!';
      hear(sockets[i], paths[i] + stalls);
      struct epoll_event wanted = {.events = EPOLLIN, .data.fd = sockets[i]};
      if (!stalls) {
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, sockets[i], &wanted);
        readers++;
      }
    }
  }
  control = dial(atoi(argv[3]), 0);
  if (is_nats) send_all(control, "CONNECT {\"verbose\":false}\r\n", 27);
  printf("{\"readers\":%d}\n", readers);
  fflush(stdout);
  fcntl(0, F_SETFL, fcntl(0, F_GETFL) | O_NONBLOCK);
  for (size_t size = 0;;) { /* pings are read, if not answered, while there is nothing to do */
    ssize_t got = read(0, line + size, 1);
    if (got == 0) return 0;
    if (got < 0) {
      turn(20);
    } else if (line[size] == '\n') {
      char what[16];
      double first;
      int times, topics;
      line[size] = 0;
      size = 0;
      if (sscanf(line, "%15s %lf %d %d", what, &first, &times, &topics) != 4) fail("command");
      run(what, first, times, topics);
    } else if (++size >= sizeof line) {
      fail("command too long");
    }
  }
}
