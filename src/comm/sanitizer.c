/* Only for builds with the address sanitizer: MPI unloads plugins, and what they leaked then has no
 * name by which tests/sanitizer.supp could leave it out. Leaks of MPI's start are not looked at,
 * and what is loaded at its end stays. */
#include "comm_internal.h"

#if defined(__SANITIZE_ADDRESS__)
#define FT_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FT_ADDRESS_SANITIZER 1
#endif
#endif

#ifdef FT_ADDRESS_SANITIZER
#include <dlfcn.h>
#include <link.h>
#include <sanitizer/lsan_interface.h>

static int keep(struct dl_phdr_info *info, size_t bytes, void *arg) {
  (void)bytes;
  (void)arg;
  if (info->dlpi_name && info->dlpi_name[0])
    (void)dlopen(info->dlpi_name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
  return 0;
}

void ft_keep_libraries(void) {
  dl_iterate_phdr(keep, NULL);
}

void ft_look_for_leaks(bool look) {
  if (look)
    __lsan_enable();
  else
    __lsan_disable();
}
#else
void ft_keep_libraries(void) {
}

void ft_look_for_leaks(bool look) {
  (void)look;
}
#endif
