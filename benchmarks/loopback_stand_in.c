/* Stand-in for a v4l2loopback device. Preloaded, it lets pyvirtualcam's own back end convert and write. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

static const char PATH[] = "/dev/video42";
static int device = -1;

static int opened(const char *name, const char *path, int flags, int mode) {
  int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, name);
  if (strcmp(path, PATH) != 0) return real(path, flags, mode);
  return device = real("/dev/null", flags & ~O_CREAT, mode);
}

int open(const char *path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  int mode = va_arg(more, int);
  va_end(more);
  return opened("open", path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  int mode = va_arg(more, int);
  va_end(more);
  return opened("open64", path, flags, mode);
}

int ioctl(int fd, unsigned long number, ...) {
  int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
  va_list more;
  va_start(more, number);
  void *argument = va_arg(more, void *);
  va_end(more);
  if (fd != device || fd < 0) return real(fd, number, argument);
  if (number == VIDIOC_QUERYCAP) {
    struct v4l2_capability *told = argument;
    memset(told, 0, sizeof *told);
    strcpy((char *)told->driver, "v4l2 loopback");
    strcpy((char *)told->card, "stand-in");
    told->capabilities = V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_OUTPUT;
    told->device_caps = V4L2_CAP_VIDEO_OUTPUT;
  }
  return 0;
}
