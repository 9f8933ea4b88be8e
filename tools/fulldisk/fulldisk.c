/* fulldisk: a disk that has no room while a file exists.
 *
 * Preloaded into a process (LD_PRELOAD), it lets every write that would make a file longer fail with
 * ENOSPC, as a full disk does; overwriting what is there goes through.
 *
 *   FULLDISK_ROOT  only files below this folder
 *   FULLDISK_FLAG  the file that means that the disk is full
 *   FULLDISK_ABOVE  bytes of a file that there is still room for (default: none)
 *
 * Covers write, pwrite, writev, pwritev and the 64-bit names.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *root, *flag;
static off_t above;

__attribute__((constructor)) static void start(void) {
  root = getenv("FULLDISK_ROOT");
  flag = getenv("FULLDISK_FLAG");
  const char *bytes = getenv("FULLDISK_ABOVE");
  above = bytes ? atoll(bytes) : 0;
}

/* Whether there is no room for the bytes up to `end` of this file. */
static int full(int fd, off_t end) {
  char link[64], path[PATH_MAX];
  struct stat status;
  if (!root || !flag || end <= above || access(flag, F_OK)) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  size_t prefix = strlen(root);
  if (length <= (ssize_t)prefix) return 0;
  path[length] = 0;
  if (strncmp(path, root, prefix) || path[prefix] != '/') return 0;
  if (fstat(fd, &status) || !S_ISREG(status.st_mode) || end <= status.st_size) return 0;
  errno = ENOSPC;
  return 1;
}

static off_t place_of(int fd) {
  int flags = fcntl(fd, F_GETFL);
  off_t place = lseek(fd, 0, SEEK_CUR);
  struct stat status;
  if (flags >= 0 && (flags & O_APPEND) && fstat(fd, &status) == 0) return status.st_size;
  return place;
}

static size_t sum(const struct iovec *parts, int count) {
  size_t bytes = 0;
  for (int i = 0; i < count; i++) bytes += parts[i].iov_len;
  return bytes;
}

ssize_t write(int fd, const void *data, size_t length) {
  off_t place = place_of(fd);
  if (place >= 0 && length && full(fd, place + length)) return -1;
  return syscall(SYS_write, fd, data, length);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  off_t place = place_of(fd);
  if (place >= 0 && full(fd, place + sum(parts, count))) return -1;
  return syscall(SYS_writev, fd, parts, count);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off_t from) {
  if (full(fd, from + length)) return -1;
  return syscall(SYS_pwrite64, fd, data, length, from);
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t from) {
  return pwrite64(fd, data, length, from);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t from) {
  if (full(fd, from + sum(parts, count))) return -1;
  return syscall(SYS_pwritev, fd, parts, count, from, 0);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t from) {
  return pwritev64(fd, parts, count, from);
}
