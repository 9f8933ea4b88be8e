/* pagedrop: remembers what each unsynced 4 KiB page of a folder's files held before.
 *
 * Preloaded into a process (LD_PRELOAD), it writes the pre-image of every page to a journal before
 * a write goes through, and forgets them once a sync of that file, begun after the write, has
 * succeeded. A plain kill loses nothing, for the kernel keeps the pages; a test that then puts any
 * subset of the journal's pre-images back has the file that a power cut might have left.
 *
 *   PAGEDROP_ROOT     only files below this folder
 *   PAGEDROP_JOURNAL  an existing folder outside of it
 *
 * Journal of the file with inode I: I.new (writes after the last sync began) and I.old (a sync
 * that was under way at the kill). Record: u32 path length, u64 page number, u64 file size before,
 * u32 bytes the page had, the path, then 4096 bytes of the page. Little-endian, no padding.
 *
 * Covers write, pwrite, writev, pwritev and the 64-bit names; maps, truncation and renames pass.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE = 4096, FILES = 4096, PAGES = 1 << 16 };

/* Pages of one file that the present journal holds already: a bitmap for each 64 Ki pages. */
struct file {
  ino_t inode;
  int journal;
  uint64_t seen[PAGES / 64];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *files[FILES];
static const char *root, *journal;

__attribute__((constructor)) static void start(void) {
  root = getenv("PAGEDROP_ROOT");
  journal = getenv("PAGEDROP_JOURNAL");
}

static void fail(const char *what) {
  dprintf(2, "pagedrop: %s: %s\n", what, strerror(errno));
  _exit(99);
}

/* Whether fd is a file below the root; its path and status. */
static int ours(int fd, char *path, struct stat *status) {
  if (!root || !journal) return 0;
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  size_t prefix = strlen(root);
  if (strncmp(path, root, prefix) || path[prefix] != '/') return 0;
  return fstat(fd, status) == 0 && S_ISREG(status->st_mode);
}

static void name_of(char *out, ino_t inode, const char *ending) {
  snprintf(out, PATH_MAX, "%s/%llu.%s", journal, (unsigned long long)inode, ending);
}

static struct file *file_of(ino_t inode) {
  for (int i = 0; i < FILES; i++) {
    if (files[i] && files[i]->inode == inode) return files[i];
    if (!files[i]) {
      struct file *file = calloc(1, sizeof *file);
      if (!file) fail("memory");
      file->inode = inode;
      file->journal = -1;
      return files[i] = file;
    }
  }
  errno = ENFILE;
  fail("too many files");
  return 0;
}

static void open_journal(struct file *file) {
  char name[PATH_MAX];
  name_of(name, file->inode, "new");
  file->journal = open(name, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
  if (file->journal < 0) fail(name);
}

/* Notes what the pages under [from, from + length) hold now. */
static void remember(int fd, off_t from, size_t length) {
  char path[PATH_MAX];
  struct stat status;
  if (!length || !ours(fd, path, &status)) return;
  pthread_mutex_lock(&lock);
  struct file *file = file_of(status.st_ino);
  if (file->journal < 0) open_journal(file);
  for (uint64_t page = from / PAGE; page <= (from + length - 1) / PAGE; page++) {
    uint64_t bit = 1ull << (page % 64), *word = &file->seen[page / 64 % (PAGES / 64)];
    if (page >= PAGES) {
      errno = EFBIG;
      fail(path);
    }
    if (*word & bit) continue;
    char record[24 + PATH_MAX + PAGE] = {0};
    uint32_t name_length = strlen(path);
    uint64_t size = status.st_size;
    memcpy(record, &name_length, 4);
    memcpy(record + 4, &page, 8);
    memcpy(record + 12, &size, 8);
    memcpy(record + 24, path, name_length);
    /* The descriptor may be open for writing only: read through a path of its own. */
    int reader = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t had = reader < 0 ? 0 : pread(reader, record + 24 + name_length, PAGE, page * PAGE);
    if (reader >= 0) close(reader);
    uint32_t bytes = had < 0 ? 0 : had;
    memcpy(record + 20, &bytes, 4);
    size_t whole = 24 + name_length + PAGE;
    if (syscall(SYS_write, file->journal, record, whole) != (ssize_t)whole) fail("journal");
    *word |= bit;
  }
  pthread_mutex_unlock(&lock);
}

static off_t place_of(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return lseek(fd, 0, flags >= 0 && (flags & O_APPEND) ? SEEK_END : SEEK_CUR);
}

static size_t sum(const struct iovec *parts, int count) {
  size_t bytes = 0;
  for (int i = 0; i < count; i++) bytes += parts[i].iov_len;
  return bytes;
}

ssize_t write(int fd, const void *data, size_t length) {
  off_t place = place_of(fd);
  if (place >= 0) remember(fd, place, length);
  return syscall(SYS_write, fd, data, length);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  off_t place = place_of(fd);
  if (place >= 0) remember(fd, place, sum(parts, count));
  return syscall(SYS_writev, fd, parts, count);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off_t from) {
  remember(fd, from, length);
  return syscall(SYS_pwrite64, fd, data, length, from);
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t from) {
  return pwrite64(fd, data, length, from);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t from) {
  remember(fd, from, sum(parts, count));
  return syscall(SYS_pwritev, fd, parts, count, from, 0);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t from) {
  return pwritev64(fd, parts, count, from);
}

static int synced(int fd, long call) {
  char path[PATH_MAX], fresh[PATH_MAX], old[PATH_MAX];
  struct stat status;
  int mine = ours(fd, path, &status);
  if (mine) {
    name_of(fresh, status.st_ino, "new");
    name_of(old, status.st_ino, "old");
    pthread_mutex_lock(&lock);
    struct file *file = file_of(status.st_ino);
    /* A second sync beside this one: keep both journals apart by letting it wait. */
    while (access(old, F_OK) == 0) {
      pthread_mutex_unlock(&lock);
      usleep(100);
      pthread_mutex_lock(&lock);
    }
    if (file->journal >= 0) {
      close(file->journal);
      file->journal = -1;
      if (rename(fresh, old)) fail("rename");
    }
    memset(file->seen, 0, sizeof file->seen);
    pthread_mutex_unlock(&lock);
  }
  int result = syscall(call, fd);
  if (mine && result == 0) unlink(old);
  return result;
}

int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }
int fsync(int fd) { return synced(fd, SYS_fsync); }
