"""A real shared library under NVML's name, built on the spot, that reports two cards that do not exist."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["build"]

FAKE_NVML = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
typedef struct { unsigned gpu, memory; } Rates;
typedef struct { unsigned long long total, free, used; } Memory;
static int cards[2] = {0, 1};
static int reads, inits;
static int mode(const char *word) { const char *m = getenv("FAKE_NVML"); return m && strstr(m, word) != NULL; }
int nvmlInitWithFlags(unsigned flags) { inits++; return mode("noload") ? 9 : 0; }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == 3 ? "Not Supported" : "Some error"; }
int nvmlSystemGetDriverVersion(char *out, unsigned n) { snprintf(out, n, "555.42.%d", inits); return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **h) { if (i > 1) return 2; *h = &cards[i]; return 0; }
int nvmlDeviceGetHandleByUUID(const char *u, void **h) {
    if (strcmp(u, "GPU-1b2c")) return 6; *h = &cards[1]; return 0; }
int nvmlDeviceGetName(void *h, char *out, unsigned n) { snprintf(out, n, "Fake RTX %d", *(int *)h); return 0; }
int nvmlDeviceGetUtilizationRates(void *h, Rates *r) {
    FILE *log = getenv("FAKE_NVML_LOG") ? fopen(getenv("FAKE_NVML_LOG"), "a") : NULL;
    if (log) { fprintf(log, "%d\n", *(int *)h); fclose(log); }
    r->gpu = 37; r->memory = 12; return 0; }
int nvmlDeviceGetMemoryInfo(void *h, Memory *m) {
    if (mode("lost") && ++reads == 2) return 15;
    m->total = 8ull << 30; m->used = 3ull << 30; m->free = 5ull << 30; return 0; }
int nvmlDeviceGetTemperature(void *h, int sensor, unsigned *t) { *t = 61 + 10 * *(int *)h; return sensor ? 2 : 0; }
int nvmlDeviceGetPowerUsage(void *h, unsigned *mw) { *mw = 123450; return mode("laptop") ? 3 : 0; }
int nvmlDeviceGetClockInfo(void *h, int kind, unsigned *mhz) { *mhz = kind ? 7000 : 1980; return 0; }
"""


def build(folder: Path) -> Path:
    """The folder with a libnvidia-ml.so.1 built from our source; skips where it cannot be built."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs Linux and a C compiler to build a stand-in NVML library")
    (folder / "nvml.c").write_text(FAKE_NVML)
    command = [compiler, "-shared", "-fPIC", "-w", "-o", str(folder / "libnvidia-ml.so.1"), str(folder / "nvml.c")]
    subprocess.run(command, check=True, capture_output=True)
    return folder
