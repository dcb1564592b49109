/*
 * Stands where Chromium looks for SwiftShader, and gives it another Vulkan driver under SwiftShader's name: Chromium takes no other driver that computes on
 * the CPU. The driver is the one that VK_DRIVER_FILES names, through the loader in VULKAN_LOADER.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Function)(void);
typedef Function (*Lookup)(void *instance, const char *name);
typedef void (*Describe)(void *device, uint8_t *properties);

/* Of VkPhysicalDeviceProperties: bytes in front of vendorID, deviceID and deviceName; and what VkPhysicalDeviceProperties2 has in front of all. */
enum { VENDOR = 8, DEVICE = 12, NAME = 20, HEADER = 16 };
static const uint32_t GOOGLE = 0x1AE0, SWIFTSHADER = 0xC0DE;

static Lookup lookup;
static Describe describe, describe2;

static void rename_device(uint8_t *properties) {
  memcpy(properties + VENDOR, &GOOGLE, 4);
  memcpy(properties + DEVICE, &SWIFTSHADER, 4);
  strcpy((char *)properties + NAME, "SwiftShader Device (llvmpipe)");
}

static void renamed(void *device, uint8_t *properties) {
  describe(device, properties);
  rename_device(properties);
}

static void renamed2(void *device, uint8_t *properties) {
  describe2(device, properties);
  rename_device(properties + HEADER);
}

Function vkGetInstanceProcAddr(void *instance, const char *name) {
  if (lookup == NULL) {
    void *loader = dlopen(getenv("VULKAN_LOADER"), RTLD_NOW | RTLD_LOCAL);
    if (loader == NULL) return NULL;
    lookup = (Lookup)dlsym(loader, "vkGetInstanceProcAddr");
  }
  if (strcmp(name, "vkGetInstanceProcAddr") == 0) return (Function)vkGetInstanceProcAddr;
  Function found = lookup(instance, name);
  if (found == NULL) return NULL;
  if (strcmp(name, "vkGetPhysicalDeviceProperties") == 0) {
    describe = (Describe)found;
    return (Function)renamed;
  }
  if (strcmp(name, "vkGetPhysicalDeviceProperties2") == 0 || strcmp(name, "vkGetPhysicalDeviceProperties2KHR") == 0) {
    describe2 = (Describe)found;
    return (Function)renamed2;
  }
  return found;
}
