#include "bibop/base/stack_snapshot.h"

#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/config.h"
#include "absl/debugging/symbolize.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "bibop/base/stack.h"

#ifdef ABSL_HAVE_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace bibop {
namespace {

constexpr size_t kMostFrames = 256;

// Not where another thread may write at the same time as this reads: what the
// frames of a parked thread hold.
ABSL_ATTRIBUTE_NOINLINE ABSL_ATTRIBUTE_NO_SANITIZE_ADDRESS
    ABSL_ATTRIBUTE_NO_SANITIZE_MEMORY ABSL_ATTRIBUTE_NO_SANITIZE_THREAD
        uintptr_t
        ReadStackWord(uintptr_t at) {
  using AnyWord [[gnu::may_alias]] = uintptr_t;
  return *reinterpret_cast<const volatile AnyWord*>(at);
}

// Appends what is between its own frame and `end`.
ABSL_ATTRIBUTE_NOINLINE ABSL_ATTRIBUTE_NO_SANITIZE_ADDRESS void CopyFrames(
    uintptr_t end, std::vector<uintptr_t>& words) {
  auto at = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  for (; at < end; at += sizeof(uintptr_t)) {
    words.push_back(ReadStackWord(at));
  }
}

// The function that an instruction is part of.
std::string NameOf(const void* instruction) {
  std::array<char, 512> name;
  if (absl::Symbolize(instruction, name.data(),
                      static_cast<int>(name.size()))) {
    return name.data();
  }
  return absl::StrCat("the function at 0x",
                      absl::Hex(reinterpret_cast<uintptr_t>(instruction)));
}

}  // namespace

ABSL_ATTRIBUTE_NOINLINE ABSL_ATTRIBUTE_NO_SANITIZE_ADDRESS void
StackSnapshot::Take() {
  // Puts what callers keep in registers into this function's frame.
  __builtin_unwind_init();
  const auto frame = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  thread_id_ = static_cast<int>(syscall(SYS_gettid));
  frames_.clear();
  registers_.clear();
  const auto high = reinterpret_cast<uintptr_t>(EndOfStack());
  if (high == 0) {
    low_ = high_ = 0;
    return;
  }
  // Behind the saved frame pointer and the return address.
  low_ = frame + 2 * sizeof(uintptr_t);
  high_ = high;
  CopyFrames(low_, registers_);
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  fake_stack_ = __asan_get_current_fake_stack();
#endif
  _Unwind_Backtrace(
      [](_Unwind_Context* context, void* data) {
        auto& frames = *static_cast<std::vector<Frame>*>(data);
        frames.push_back({reinterpret_cast<const void*>(_Unwind_GetIP(context)),
                          _Unwind_GetCFA(context)});
        return frames.size() < kMostFrames ? _URC_NO_REASON : _URC_END_OF_STACK;
      },
      &frames_);
}

void StackSnapshot::VisitWithMoved(Word word,
                                   absl::FunctionRef<void(Word)> visit) const {
  visit(word);
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  void* begin = nullptr;
  void* end = nullptr;
  if (fake_stack_ == nullptr ||
      __asan_addr_is_in_fake_stack(fake_stack_,
                                   reinterpret_cast<void*>(word.value), &begin,
                                   &end) == nullptr) {
    return;
  }
  const auto low = reinterpret_cast<uintptr_t>(begin);
  const auto high = reinterpret_cast<uintptr_t>(end);
  // Before it are a number, a description, the function, and an address.
  const auto* function =
      reinterpret_cast<const void*>(ReadStackWord(low - 2 * sizeof(uintptr_t)));
  for (uintptr_t at = low; at + sizeof(uintptr_t) <= high;
       at += sizeof(uintptr_t)) {
    visit({ReadStackWord(at), reinterpret_cast<const void*>(at), function});
  }
#endif
}

void StackSnapshot::ForEachWord(absl::FunctionRef<void(Word)> visit) const {
  for (const uintptr_t word : registers_) {
    VisitWithMoved({word, nullptr}, visit);
  }
  for (uintptr_t at = low_; at + sizeof(uintptr_t) <= high_;
       at += sizeof(uintptr_t)) {
    VisitWithMoved({ReadStackWord(at), reinterpret_cast<const void*>(at)},
                   visit);
  }
}

std::string StackSnapshot::FunctionOf(const Word& word) const {
  if (word.function != nullptr) return NameOf(word.function);
  const auto at = reinterpret_cast<uintptr_t>(word.at);
  // What registers hold is, most likely, of the caller.
  const auto behind = std::ranges::find_if(frames_, [&](const Frame& frame) {
    return frame.start > std::max(at, low_);
  });
  if (behind == frames_.begin()) return "an unknown function";
  // A return address may already be that of the next function.
  return NameOf(static_cast<const char*>(std::prev(behind)->instruction) - 1);
}

}  // namespace bibop
