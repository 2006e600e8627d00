#include "bibop/base/stack.h"

#include <link.h>
#include <pthread.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/base/attributes.h"
#include "absl/base/config.h"

#ifdef ABSL_HAVE_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace bibop {
namespace {

// [low, high); empty where the system does not tell.
struct Bounds {
  uintptr_t low = 0;
  uintptr_t high = 0;
};

// The memory of a thread's stack also holds its thread_local variables, above
// its frames.
int EndBeforeThreadLocals(dl_phdr_info* module, size_t /*size*/, void* data) {
  auto* stack = static_cast<Bounds*>(data);
  const auto locals = reinterpret_cast<uintptr_t>(module->dlpi_tls_data);
  if (stack->low <= locals) stack->high = std::min(stack->high, locals);
  return 0;
}

Bounds FindStack() {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return {};
  void* start = nullptr;
  size_t size = 0;
  const bool known = pthread_attr_getstack(&attributes, &start, &size) == 0;
  pthread_attr_destroy(&attributes);
  if (!known) return {};
  const auto low = reinterpret_cast<uintptr_t>(start);
  Bounds stack = {low, low + size};
  dl_iterate_phdr(&EndBeforeThreadLocals, &stack);
  return stack;
}

// AddressSanitizer moves the variables of a function to memory of its own, so
// as to notice their use after the return.
bool IsOnFakeStack([[maybe_unused]] const void* address) {
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  void* fake = __asan_get_current_fake_stack();
  return fake != nullptr &&
         __asan_addr_is_in_fake_stack(fake, const_cast<void*>(address), nullptr,
                                      nullptr) != nullptr;
#else
  return false;
#endif
}

// Of the calling thread, if `frame` is on that; else empty.
Bounds StackWith(const void* frame) {
  thread_local const Bounds stack = FindStack();
  const auto at = reinterpret_cast<uintptr_t>(frame);
  return stack.low <= at && at < stack.high ? stack : Bounds{};
}

}  // namespace

ABSL_ATTRIBUTE_NOINLINE const void* EndOfStack() {
  return reinterpret_cast<const void*>(
      StackWith(__builtin_frame_address(0)).high);
}

ABSL_ATTRIBUTE_NOINLINE bool MayBeOnStack(const void* address) {
#if ABSL_HAVE_FEATURE(safe_stack)
  // Variables whose address is taken are on another one.
  return true;
#endif
  const auto frame = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  const Bounds stack = StackWith(__builtin_frame_address(0));
  if (stack.high == 0) return true;
  const auto at = reinterpret_cast<uintptr_t>(address);
  return (frame <= at && at < stack.high) || IsOnFakeStack(address);
}

}  // namespace bibop
