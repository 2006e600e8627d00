// What async.md shows.

#include <asio/awaitable.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>
#include <chrono>
#include <coroutine>
#include <deque>
#include <exception>
#include <future>
#include <iostream>
#include <source_location>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "bibop/async/asio.h"
#include "bibop/gc.h"

struct Reply {
  explicit Reply(std::string t) : text(std::move(t)) {}
  std::string text;
};

struct Session {
  explicit Session(std::string n) : name(std::move(n)) {}
  std::string name;
  bibop::Member<Reply> last;
  void Trace(auto& visitor) const { visitor(last); }
};

// A line from a client that takes its time.
asio::awaitable<std::string> ReadLine() {
  asio::steady_timer timer(co_await asio::this_coro::executor,
                           std::chrono::milliseconds(10));
  co_await timer.async_wait(asio::use_awaitable);
  co_return "hello";
}

asio::awaitable<void> Serve(bibop::AsyncHandle<Session> session) {
  bibop::AsyncHandleScope scope(bibop::TaskMutator().heap());
  const std::string line = co_await ReadLine();
  const bibop::AsyncHandle<Reply> reply = scope.WithGuard(
      bibop::TaskMutator(), [&](bibop::AsyncHandleGuard& guard) {
        const bibop::Handle<Session> s = guard.Get(session);
        const bibop::Handle<Reply> r = guard.New<Reply>(s->name + ": " + line);
        s->last = r;
        return scope.Add(r);
      });  // the guard ends before the next suspension
  co_await ReadLine();
  scope.WithGuard(bibop::TaskMutator(), [&](bibop::AsyncHandleGuard& guard) {
    std::cout << guard.Get(reply)->text << "\n";
  });
}

// ---- a pool and coroutines of one's own, which know of no heap ----

class Pool {
 public:
  explicit Pool(int threads) {
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this]() { RunAll(); });
    }
  }
  // What was posted is done first.
  ~Pool() {
    Post(nullptr);
    for (std::thread& thread : threads_) thread.join();
  }
  // Null ends the threads.
  void Post(absl::AnyInvocable<void()> work) {
    const absl::MutexLock lock(mutex_);
    queue_.push_back(std::move(work));
  }

 private:
  void RunAll() {
    while (true) {
      absl::AnyInvocable<void()> work;
      {
        const absl::MutexLock lock(mutex_);
        const auto any = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
          return !queue_.empty();
        };
        mutex_.Await(absl::Condition(&any));
        if (queue_.front() == nullptr) return;
        work = std::move(queue_.front());
        queue_.pop_front();
      }
      work();
    }
  }

  absl::Mutex mutex_;
  std::deque<absl::AnyInvocable<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

// A coroutine that begins when it is awaited.
class Job {
 public:
  struct promise_type {  // NOLINT(readability-identifier-naming)
    Job get_return_object() {
      return Job(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() const { return {}; }
    auto final_suspend() const noexcept {
      struct ToWhoAwaits {
        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(
            std::coroutine_handle<promise_type> self) const noexcept {
          return self.promise().who_awaits;
        }
        void await_resume() const noexcept {}
      };
      return ToWhoAwaits();
    }
    void return_void() const {}
    void unhandled_exception() const { std::terminate(); }

    std::coroutine_handle<> who_awaits;
  };

  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  ~Job() { self_.destroy(); }

  bool await_ready() const { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> who) const {
    self_.promise().who_awaits = who;
    return self_;
  }
  void await_resume() const {}

 private:
  explicit Job(std::coroutine_handle<promise_type> self) : self_(self) {}

  std::coroutine_handle<promise_type> self_;
};

// A coroutine that nobody awaits.
struct Detached {
  struct promise_type {  // NOLINT(readability-identifier-naming)
    Detached get_return_object() const { return {}; }
    std::suspend_never initial_suspend() const { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const {}
    void unhandled_exception() const { std::terminate(); }
  };
};

// ---- the adapter ----

class GcPool {
 public:
  GcPool(bibop::Heap& heap, Pool& pool) : heap_(&heap), pool_(&pool) {}

  // Awaited by a task: it goes on later, on whichever thread of the pool.
  auto Yield(
      std::source_location place = std::source_location::current()) const {
    struct Awaiter {
      bool await_ready() const { return false; }
      void await_suspend(std::coroutine_handle<> task) const {
        pool->Post([heap = heap, place = place, task]() {
          const bibop::TaskStretch stretch(*heap, place);
          task.resume();
        });
      }
      void await_resume() const {}

      bibop::Heap* heap;
      Pool* pool;
      std::source_location place;
    };
    return Awaiter{heap_, pool_, place};
  }

 private:
  bibop::Heap* heap_;
  Pool* pool_;
};

template <>
struct bibop::SpawnTraits<GcPool> {
  // The task is part of this coroutine, and goes with it.
  template <class Task>
  static Detached Spawn(GcPool pool, Task task) {
    co_await pool.Yield(task.place());
    co_await std::move(task)();
  }
};

int main() {
  auto heap = bibop::Heap::Create({}).value();
  asio::thread_pool pool(2);
  Pool own_pool(2);
  bibop::MutatorScope mutator(*heap);
  bibop::HandleScope scope(mutator);
  const bibop::Handle<Session> session = scope.New<Session>("Ada");
  {
    const bibop::AsioExecutor executor(*heap, pool.get_executor());
    std::future<void> served = bibop::SpawnWithGc(
        executor, bibop::Capture(session),
        [](bibop::AsyncHandle<Session> session) { return Serve(session); },
        asio::use_future);  // any completion token; asio::detached without one
    const bibop::ParkedScope parked(mutator);
    served.get();
  }
  {
    std::promise<void> looked;
    std::future<void> done = looked.get_future();
    const bibop::CallbackExecutor executor(
        *heap, [&pool](auto task) { asio::post(pool, std::move(task)); });
    bibop::SpawnWithGc(
        executor, bibop::Capture(session, std::move(looked)),
        [](bibop::AsyncHandle<Session> session, std::promise<void> looked) {
          {
            bibop::AsyncHandleGuard guard(bibop::TaskMutator());
            std::cout << "called back: " << guard.Get(session)->name << "\n";
          }
          looked.set_value();
        });
    const bibop::ParkedScope parked(mutator);
    done.get();
  }
  {
    std::promise<void> looked;
    std::future<void> done = looked.get_future();
    const GcPool executor(*heap, own_pool);
    bibop::SpawnWithGc(
        executor, bibop::Capture(session, executor, std::move(looked)),
        [](bibop::AsyncHandle<Session> session, GcPool pool,
           std::promise<void> looked) -> Job {
          for (int i = 0; i < 3; ++i) co_await pool.Yield();
          bibop::AsyncHandleScope::WithGuard(
              bibop::TaskMutator(), [&](bibop::AsyncHandleGuard& guard) {
                std::cout << "later: " << guard.Get(session)->last->text
                          << "\n";
              });
          looked.set_value();
        });
    const bibop::ParkedScope parked(mutator);
    done.get();
  }
}
