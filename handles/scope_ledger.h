// ScopeLedger: what checked builds know of one mutator's scopes: which are
// open, where they were opened, and where those closed that closed last.
//
// Handles refer to the ledger of their mutator, and may do so for longer than
// that exists: that is what is to be found out. So a ledger is never freed; the
// next thread that attaches takes it over, and goes on with its serial numbers.
//
// Acquired and released by its mutator's thread, and used by that. Any thread
// may ask it about a handle: CheckUsable finds out that it is another one
// before it reads what belongs to that thread.
//
// Invariants: a serial number is given out once; open scopes are in the order
// of their serial numbers.

#ifndef BIBOP_HANDLES_SCOPE_LEDGER_H_
#define BIBOP_HANDLES_SCOPE_LEDGER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <thread>
#include <vector>

namespace bibop::internal {

// A scope, for as long as somebody remembers it.
struct ScopeId {
  uint64_t serial = 0;
  // How many scopes were open when it was opened.
  size_t depth = 0;
  std::source_location opened;
};

// A place in the program, for a message.
std::string PlaceOf(const std::source_location& place);

class ScopeLedger {
 public:
  // Returns a ledger without scopes, of the calling thread.
  static ScopeLedger& Acquire();
  // Gives it back.
  //
  // REQUIRES: no scope is open.
  void Release();

  ScopeLedger(const ScopeLedger&) = delete;
  ScopeLedger& operator=(const ScopeLedger&) = delete;

  // Opens a scope. Aborts on another thread, or while parked.
  ScopeId OpenScope(std::source_location opened);

  // Closes a scope, at an instruction of the program. Aborts if it is not the
  // innermost, on another thread, or while parked.
  void CloseScope(const ScopeId& scope, const void* closed_at);

  // Notes a new handle in the innermost scope, and takes that back. Aborts if
  // the scope then has more than max_handles.
  void CountHandle();
  void UncountHandle();

  // The most handles that a scope may have; 0 for any number.
  void set_max_handles(size_t max_handles) { max_handles_ = max_handles; }

  // Between these the thread may not use scopes or handles.
  void Park() { parked_ = true; }
  void Unpark() { parked_ = false; }

  // Aborts on another thread, or while parked, where `what` is being opened.
  void CheckRunningHere(const char* what) const;

  // Aborts unless the scope may create a handle now: it is the innermost one,
  // asked by its thread, which is running.
  void CheckMayCreate(const ScopeId& scope) const;

  // Aborts unless a handle of the scope may be used now: the scope is open, and
  // this is its thread, which is running.
  void CheckUsable(const ScopeId& scope) const;

  // ", of which the innermost was opened at FILE:LINE"; nothing if none is
  // open.
  std::string DescribeInnermost() const;

  // The scope around an open one; that with number 0 if there is none.
  ScopeId Parent(const ScopeId& scope) const;

 private:
  struct OpenedScope {
    ScopeId id;
    size_t handles;
  };
  struct ClosedScope {
    uint64_t serial = 0;
    const void* at = nullptr;
  };
  // How many scopes it is known of where they closed.
  static constexpr size_t kRemembered = 4096;

  ScopeLedger() : closed_(kRemembered) {}

  bool IsOpen(const ScopeId& scope) const {
    return scope.depth < open_.size() &&
           open_[scope.depth].id.serial == scope.serial;
  }
  bool IsInnermost(const ScopeId& scope) const {
    return IsOpen(scope) && scope.depth + 1 == open_.size();
  }
  // Abort on another thread, or while parked.
  void CheckThread(const ScopeId& scope, const char* what) const;
  void CheckRunning(const ScopeId& scope, const char* what) const;
  // Where the scope closed, as part of a sentence.
  std::string EndOf(const ScopeId& scope) const;

  // Written by Acquire and Release; that of another thread is read by whoever
  // has a handle on the wrong one, who reads nothing else here. Relaxed.
  std::atomic<std::thread::id> thread_;
  uint64_t last_serial_ = 0;
  size_t max_handles_ = 0;
  bool parked_ = false;
  std::vector<OpenedScope> open_;
  // By serial number, modulo its size.
  std::vector<ClosedScope> closed_;
};

}  // namespace bibop::internal

#endif  // BIBOP_HANDLES_SCOPE_LEDGER_H_
