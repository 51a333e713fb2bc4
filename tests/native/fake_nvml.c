/* A libnvidia-ml.so.1 that says what a script tells it: FAKE_NVML_SCRIPT names a file of key=value
 * lines, read again at every call, so that a test can heat or lose a card while a program runs.
 *
 *   count=2  name=...  total=<MiB>  used=<MiB>  temp=71  util=98  power=<mW>  cc=86  reasons=4
 *   cuda=12080  driver=...  process=<pid>:<MiB>  lost=1  init=<error>  temp=err:3  gpu1.temp=40
 *   mig=1  mig.count=2  mig0.total=<MiB>  mig0.used=<MiB>  mode=2  width=4  maxwidth=16  gen=1
 *   maxgen=4  default=<mW>  slowdown=93  ecc=7  display=1  graphics=<pid>:<MiB>  nohandle=<error>
 *
 * Keys may be given for one card with a gpuN. prefix. Functions that are not here are, for the
 * program, those of a newer driver.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUCCESS 0
#define NOT_SUPPORTED 3
#define NOT_FOUND 6
#define INSUFFICIENT_SIZE 7
#define GPU_IS_LOST 15
#define MIB (1024ULL * 1024ULL)

typedef struct { int index; } Device; /* 0 to 7: cards; from 100 on: parts of card 0 */
static Device devices[8], parts[8];

/* The value of a key, the card's own first; 0 when it is not there. */
static int look_up(int card, const char *key, char *value, size_t size) {
    char line[256], own[64];
    const char *path = getenv("FAKE_NVML_SCRIPT");
    FILE *file = path ? fopen(path, "r") : NULL;
    int found = 0;
    if (!file) return 0;
    snprintf(own, sizeof own, card < 100 ? "gpu%d.%s" : "mig%d.%s", card % 100, key);
    while (fgets(line, sizeof line, file)) {
        char *sign = strchr(line, '=');
        if (!sign) continue;
        *sign = '\0';
        sign[strcspn(sign + 1, "\n") + 1] = '\0';
        int is_own = strcmp(line, own) == 0;
        if (is_own || (found < 2 && strcmp(line, key) == 0)) {
            snprintf(value, size, "%s", sign + 1);
            found = is_own ? 2 : 1;
        }
    }
    fclose(file);
    return found;
}

static int text(int card, const char *key, char *out, unsigned int size) {
    char value[128];
    if (card >= 0 && look_up(card, "lost", value, sizeof value)) return GPU_IS_LOST;
    if (!look_up(card, key, value, sizeof value)) return NOT_SUPPORTED;
    if (strncmp(value, "err:", 4) == 0) return atoi(value + 4);
    snprintf(out, size, "%s", value);
    return SUCCESS;
}

static int number(int card, const char *key, unsigned long long *out) {
    char value[128];
    int code = text(card, key, value, sizeof value);
    if (code == SUCCESS) *out = strtoull(value, NULL, 0);
    return code;
}

static int small(int card, const char *key, unsigned int *out) {
    unsigned long long value;
    int code = number(card, key, &value);
    if (code == SUCCESS) *out = (unsigned int)value;
    return code;
}

int nvmlInitWithFlags(unsigned int flags) {
    unsigned long long code = 0;
    (void)flags;
    number(-1, "init", &code);
    return (int)code;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { (void)code; return "scripted error"; }

int nvmlDeviceGetCount_v2(unsigned int *count) {
    *count = 1;
    small(-1, "count", count);
    return SUCCESS;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, Device **device) {
    unsigned int code;
    if (small((int)index, "nohandle", &code) == SUCCESS) return (int)code;
    devices[index].index = (int)index;
    *device = &devices[index];
    return SUCCESS;
}
int nvmlSystemGetDriverVersion(char *out, unsigned int size) { return text(-1, "driver", out, size); }
int nvmlSystemGetCudaDriverVersion_v2(int *out) { return small(-1, "cuda", (unsigned int *)out); }
int nvmlDeviceGetName(Device *d, char *out, unsigned int size) { return text(d->index, "name", out, size); }
int nvmlDeviceGetUUID(Device *d, char *out, unsigned int size) {
    snprintf(out, size, d->index < 100 ? "GPU-0000000%d" : "MIG-0000000%d", d->index % 100);
    return SUCCESS;
}

int nvmlDeviceGetMigMode(Device *d, unsigned int *current, unsigned int *pending) {
    int code = small(d->index, "mig", current);
    *pending = *current;
    return code;
}
int nvmlDeviceGetMaxMigDeviceCount(Device *d, unsigned int *count) { (void)d; *count = 7; return SUCCESS; }
int nvmlDeviceGetMigDeviceHandleByIndex(Device *d, unsigned int index, Device **part) {
    unsigned int count = 0;
    small(d->index, "mig.count", &count);
    if (index >= count) return NOT_FOUND;
    parts[index].index = 100 + (int)index;
    *part = &parts[index];
    return SUCCESS;
}
int nvmlDeviceGetComputeMode(Device *d, unsigned int *out) { return small(d->index, "mode", out); }
int nvmlDeviceGetCurrPcieLinkWidth(Device *d, unsigned int *out) { return small(d->index, "width", out); }
int nvmlDeviceGetMaxPcieLinkWidth(Device *d, unsigned int *out) { return small(d->index, "maxwidth", out); }
int nvmlDeviceGetCurrPcieLinkGeneration(Device *d, unsigned int *out) { return small(d->index, "gen", out); }
int nvmlDeviceGetMaxPcieLinkGeneration(Device *d, unsigned int *out) { return small(d->index, "maxgen", out); }
int nvmlDeviceGetPowerManagementDefaultLimit(Device *d, unsigned int *out) { return small(d->index, "default", out); }
int nvmlDeviceGetTemperatureThreshold(Device *d, int kind, unsigned int *out) {
    return kind == 1 ? small(d->index, "slowdown", out) : NOT_SUPPORTED;
}
int nvmlDeviceGetTotalEccErrors(Device *d, int kind, int counter, unsigned long long *out) {
    return kind == 1 && counter == 0 ? number(d->index, "ecc", out) : NOT_SUPPORTED;
}
int nvmlDeviceGetDisplayActive(Device *d, unsigned int *out) { return small(d->index, "display", out); }

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } Memory2;

static int memory(Device *d, unsigned long long *total, unsigned long long *used) {
    int code = number(d->index, "total", total);
    *used = 0;
    if (code == SUCCESS) number(d->index, "used", used);
    *total *= MIB;
    *used *= MIB;
    return code;
}
int nvmlDeviceGetMemoryInfo(Device *d, Memory *out) {
    int code = memory(d, &out->total, &out->used);
    out->free = out->total - out->used;
    return code;
}
#ifndef OLD_DRIVER
int nvmlDeviceGetMemoryInfo_v2(Device *d, Memory2 *out) {
    int code = memory(d, &out->total, &out->used);
    out->reserved = 256 * MIB;
    out->free = out->total - out->used - out->reserved;
    return code;
}
#endif

typedef struct { unsigned int gpu, memory; } Utilization;
int nvmlDeviceGetUtilizationRates(Device *d, Utilization *out) {
    out->memory = 0;
    return small(d->index, "util", &out->gpu);
}
typedef struct { unsigned int version; int sensor; int temperature; } Temperature;
#ifndef OLD_DRIVER
int nvmlDeviceGetTemperatureV(Device *d, Temperature *out) {
    return small(d->index, "temp", (unsigned int *)&out->temperature);
}
#endif
int nvmlDeviceGetTemperature(Device *d, int sensor, unsigned int *out) {
    (void)sensor;
    return small(d->index, "temp", out);
}
int nvmlDeviceGetPowerUsage(Device *d, unsigned int *out) { return small(d->index, "power", out); }
int nvmlDeviceGetEnforcedPowerLimit(Device *d, unsigned int *out) { return small(d->index, "limit", out); }
int nvmlDeviceGetCurrentClocksThrottleReasons(Device *d, unsigned long long *out) {
    return number(d->index, "reasons", out);
}
#ifndef OLD_DRIVER
int nvmlDeviceGetCurrentClocksEventReasons(Device *d, unsigned long long *out) {
    return number(d->index, "reasons", out);
}
#endif
int nvmlDeviceGetCudaComputeCapability(Device *d, int *major, int *minor) {
    unsigned int both;
    int code = small(d->index, "cc", &both);
    if (code == SUCCESS) { *major = (int)(both / 10); *minor = (int)(both % 10); }
    return code;
}

typedef struct {
    unsigned int pid;
    unsigned long long used;
    unsigned int gpu_instance, compute_instance;
} Process;
static int process(Device *d, const char *key, unsigned int *count, Process *out) {
    char value[128];
    int code;
    if (!look_up(d->index, key, value, sizeof value)) { *count = 0; return SUCCESS; }
    code = text(d->index, key, value, sizeof value);
    if (code != SUCCESS) return code;
    if (*count < 1 || !out) { *count = 1; return INSUFFICIENT_SIZE; }
    *count = 1;
    out->pid = (unsigned int)atoi(value);
    out->used = strtoull(strchr(value, ':') + 1, NULL, 0) * MIB;
    return SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v3(Device *d, unsigned int *count, Process *out) {
    return process(d, "process", count, out);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(Device *d, unsigned int *count, Process *out) {
    return process(d, "graphics", count, out);
}
