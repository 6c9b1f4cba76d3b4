/* A node's own clocks: preloaded into a node, it answers for libc when the node asks for the time.
 *
 * What it adds to the machine's clocks stands in a page that the harness writes (see src/clock/page.rs, which
 * describes the layout and must agree with `struct control` and `struct evidence` below). The node maps that page
 * for reading only, and a second one in which it counts what it answered: the evidence that a fault bit.
 *
 * What holds:
 *  - the steady clocks (MONOTONIC, its raw and coarse forms, BOOTTIME) never go back in one process, whatever the
 *    page says and however threads race: each has the highest value that it gave, and gives no lower one;
 *  - nothing here allocates, takes a lock or waits, so it may be called from a signal handler and before main;
 *    what it needs of libc is looked up once, when it is loaded;
 *  - without its page, or with one of another version, it changes nothing.
 *
 * Waiting. The kernel waits by the machine's clocks. A wait for a length of time is left to it, but for epoll_wait,
 * whose length is divided by the rate: so a node with a fast clock also waits shorter. One with a slow clock is
 * woken too early by its own clock; who looks at the clock and waits for the rest, as event loops do, loses nothing.
 * The other waits are off by the rate of the clock at most. A wait until a moment of a steady clock would be off
 * by all that the clock has gained so far, which has no bound; so the moment is translated: in the futexes
 * of Rust's standard library and in clock_nanosleep.
 *
 * What it does not do: it does not see a program that asks the kernel itself (static programs, Go, the vDSO called
 * directly); it does not touch clocks of processor time; it does not translate the moments that timerfd_settime,
 * pthread_cond_timedwait, sem_timedwait and their like are given. A program that waits by those must not be given
 * this fault. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define VERSION 1
#define SECOND 1000000000LL
#define MILLION 1000000LL
/* The harness changes a page a few times a second at most, so a reader is hardly ever disturbed even once. */
#define READ_ATTEMPTS 100

struct skew {
    _Atomic int64_t anchor;       /* by the machine's CLOCK_MONOTONIC, in nanoseconds, as all that follows */
    _Atomic int64_t steady_ahead; /* of the steady clocks, at the anchor */
    _Atomic int64_t wall_ahead;   /* of the wall clock, at the anchor */
    _Atomic int64_t rate_ppm;     /* what both gain from the anchor on, in millionths */
};

struct control {
    _Atomic uint64_t version;
    _Atomic uint64_t epoch; /* slot `epoch % 2` is in effect; the other may be half written */
    struct skew slots[2];
};

struct evidence {
    _Atomic uint64_t pid;            /* of the last process that took the page */
    _Atomic uint64_t wall_answers;   /* how often the wall clock was asked */
    _Atomic uint64_t wall_off;       /* of those, how often the answer was another than the machine's */
    _Atomic int64_t wall_ahead;      /* by how much the last answer was ahead */
    _Atomic uint64_t steady_answers; /* the same of the steady clocks; off: at another rate */
    _Atomic uint64_t steady_off;
    _Atomic int64_t steady_ahead;
};

typedef int (*clock_gettime_fn)(clockid_t, struct timespec *);
typedef int (*clock_nanosleep_fn)(clockid_t, int, const struct timespec *, struct timespec *);
typedef int (*epoll_wait_fn)(int, struct epoll_event *, int, int);

static const struct control *control;
static struct evidence *evidence;
static clock_gettime_fn libc_clock_gettime;
static clock_nanosleep_fn libc_clock_nanosleep;
static epoll_wait_fn libc_epoll_wait;

/* The highest value that each steady clock gave; see `place_of`. */
static _Atomic int64_t highest[4];

/* ---- system calls, without libc -------------------------------------------------------------------------------- */

#if defined(__x86_64__)
static long kernel(long n, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static long kernel(long n, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#else
#error "the clock shim knows the system calls of x86_64 and aarch64 only"
#endif

static long checked(long result)
{
    if (result < 0 && result >= -4095) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

/* ---- the machine's time and the node's ------------------------------------------------------------------------- */

static int64_t nanos(const struct timespec *time)
{
    return (int64_t)time->tv_sec * SECOND + time->tv_nsec;
}

static struct timespec timespec_of(int64_t nanos)
{
    struct timespec time = {.tv_sec = nanos / SECOND, .tv_nsec = nanos % SECOND};
    if (time.tv_nsec < 0) {
        time.tv_nsec += SECOND;
        time.tv_sec -= 1;
    }
    return time;
}

static int machine_clock(clockid_t clock, struct timespec *time)
{
    if (libc_clock_gettime)
        return libc_clock_gettime(clock, time);
    return (int)checked(kernel(SYS_clock_gettime, clock, (long)time, 0, 0, 0, 0));
}

static int64_t machine_now(clockid_t clock)
{
    struct timespec time = {0, 0};
    machine_clock(clock, &time);
    return nanos(&time);
}

/* What the page says at this moment: how far ahead both kinds of clock are, and at what rate they go. */
struct shift {
    int64_t steady, wall, rate_ppm;
};

static struct shift shift_now(void)
{
    struct shift shift = {0, 0, 0};
    if (!control)
        return shift;
    for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        uint64_t epoch = atomic_load(&control->epoch);
        const struct skew *skew = &control->slots[epoch % 2];
        int64_t anchor = atomic_load(&skew->anchor);
        shift.steady = atomic_load(&skew->steady_ahead);
        shift.wall = atomic_load(&skew->wall_ahead);
        shift.rate_ppm = atomic_load(&skew->rate_ppm);
        if (atomic_load(&control->epoch) != epoch)
            continue;
        if (shift.rate_ppm) {
            int64_t since = machine_now(CLOCK_MONOTONIC) - anchor;
            int64_t gained = (int64_t)((__int128)since * shift.rate_ppm / MILLION);
            shift.steady += gained;
            shift.wall += gained;
        }
        break;
    }
    return shift;
}

/* Where the highest value of a steady clock stands; -1 for other clocks. */
static int place_of(clockid_t clock)
{
    switch (clock) {
    case CLOCK_MONOTONIC: return 0;
    case CLOCK_MONOTONIC_RAW: return 1;
    case CLOCK_MONOTONIC_COARSE: return 2;
    case CLOCK_BOOTTIME: return 3;
    default: return -1;
    }
}

static int is_wall(clockid_t clock)
{
    return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

/* `value`, or the highest one given before. */
static int64_t never_back(int place, int64_t value)
{
    int64_t before = atomic_load(&highest[place]);
    while (before < value)
        if (atomic_compare_exchange_weak(&highest[place], &before, value))
            return value;
    return before;
}

static int64_t wall_answer(int64_t machine)
{
    struct shift shift = shift_now();
    if (evidence) {
        atomic_fetch_add(&evidence->wall_answers, 1);
        if (shift.wall)
            atomic_fetch_add(&evidence->wall_off, 1);
        atomic_store(&evidence->wall_ahead, shift.wall);
    }
    return machine + shift.wall;
}

static int64_t steady_answer(int place, int64_t machine)
{
    struct shift shift = shift_now();
    if (evidence) {
        atomic_fetch_add(&evidence->steady_answers, 1);
        if (shift.rate_ppm)
            atomic_fetch_add(&evidence->steady_off, 1);
        atomic_store(&evidence->steady_ahead, shift.steady);
    }
    return never_back(place, machine + shift.steady);
}

/* ---- what the node calls --------------------------------------------------------------------------------------- */

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = machine_clock(clock, time);
    if (result != 0)
        return result;
    if (is_wall(clock))
        *time = timespec_of(wall_answer(nanos(time)));
    else if (place_of(clock) >= 0)
        *time = timespec_of(steady_answer(place_of(clock), nanos(time)));
    return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    if (zone)
        memset(zone, 0, sizeof(struct timezone));
    struct timespec now = timespec_of(wall_answer(machine_now(CLOCK_REALTIME)));
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *place)
{
    time_t now = timespec_of(wall_answer(machine_now(CLOCK_REALTIME))).tv_sec;
    if (place)
        *place = now;
    return now;
}

int timespec_get(struct timespec *time, int base)
{
    if (base != TIME_UTC)
        return 0;
    *time = timespec_of(wall_answer(machine_now(CLOCK_REALTIME)));
    return base;
}

/* The moment of the machine's clock that is `moment` of the node's, as far as its rate stays what it is. One
 * beyond the year 2200 means "never" and is left alone: it would not fit into nanoseconds. */
static struct timespec machine_moment(clockid_t clock, const struct timespec *moment)
{
    if (moment->tv_sec > 7258118400)
        return *moment;
    struct shift shift = shift_now();
    int64_t machine = machine_now(clock);
    int64_t left = nanos(moment) - machine - (is_wall(clock) ? shift.wall : shift.steady);
    int64_t scaled = (int64_t)((__int128)left * MILLION / (MILLION + shift.rate_ppm));
    return timespec_of(machine + (scaled > 0 ? scaled : 0));
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *request, struct timespec *left)
{
    struct timespec moment;
    if ((flags & TIMER_ABSTIME) && (is_wall(clock) || place_of(clock) >= 0)) {
        moment = machine_moment(clock, request);
        request = &moment;
    }
    if (libc_clock_nanosleep)
        return libc_clock_nanosleep(clock, flags, request, left);
    return (int)-kernel(SYS_clock_nanosleep, clock, flags, (long)request, (long)left, 0, 0);
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int milliseconds)
{
    int64_t rate = shift_now().rate_ppm;
    if (milliseconds > 0 && rate) {
        int64_t divisor = MILLION + rate;
        milliseconds = (int)((milliseconds * MILLION + divisor - 1) / divisor);
    }
    if (libc_epoll_wait)
        return libc_epoll_wait(epoll, events, most, milliseconds);
    return (int)checked(kernel(SYS_epoll_pwait, epoll, (long)events, most, milliseconds, 0, 8));
}

/* Rust's standard library waits on futexes through this, until a moment of CLOCK_MONOTONIC. */
long syscall(long number, ...)
{
    va_list list;
    long a[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_clock_gettime)
        return clock_gettime((clockid_t)a[0], (struct timespec *)a[1]);
    struct timespec moment;
    if (number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && a[3]) {
        clockid_t clock = a[1] & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC;
        moment = machine_moment(clock, (const struct timespec *)a[3]);
        a[3] = (long)&moment;
    }
    return checked(kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}

/* ---- taking the page ------------------------------------------------------------------------------------------- */

__attribute__((constructor)) static void take_page(void)
{
    libc_clock_gettime = (clock_gettime_fn)dlsym(RTLD_NEXT, "clock_gettime");
    libc_clock_nanosleep = (clock_nanosleep_fn)dlsym(RTLD_NEXT, "clock_nanosleep");
    libc_epoll_wait = (epoll_wait_fn)dlsym(RTLD_NEXT, "epoll_wait");
    const char *path = getenv("HARNESS_CLOCK_PAGE");
    if (!path)
        return;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return;
    const void *first = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
    void *second = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, PAGE);
    close(file);
    if (first == MAP_FAILED || second == MAP_FAILED)
        return;
    const struct control *found = first;
    if (atomic_load(&found->version) != VERSION)
        return;
    evidence = second;
    control = found;
    atomic_store(&evidence->pid, (uint64_t)getpid());
}
