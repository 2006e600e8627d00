#include "bibop/examples/pkgraphd/graph_store.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "asio/co_spawn.hpp"
#include "asio/post.hpp"
#include "asio/thread_pool.hpp"
#include "asio/use_future.hpp"
#include "bibop/async/asio.h"
#include "bibop/examples/pkgraph/graph.h"
#include "bibop/examples/pkgraphd/reloader.h"
#include "bibop/gc.h"
#include "gtest/gtest.h"

namespace bibop::pkgraphd {
namespace {

constexpr char kOne[] = "Package: a\nVersion: 1\nArchitecture: all\n\n";
constexpr char kTwo[] =
    "Package: a\nVersion: 1\nArchitecture: all\n\n"
    "Package: b\nVersion: 1\nArchitecture: all\n\n";

class GraphStoreTest : public testing::Test {
 protected:
  void Write(const std::string& text) {
    std::ofstream(file_, std::ios::trunc) << text;
  }

  const std::string file_ =
      std::filesystem::path(testing::TempDir()) / "graph_store_index";
  const std::unique_ptr<Heap> heap_ =
      Heap::Create({.stress = kNoStress}).value();
};

TEST_F(GraphStoreTest, AReplacedGraphLivesAsLongAsSomebodyHoldsIt) {
  MutatorScope mutator(*heap_);
  GraphStore store(mutator, file_);
  Write(kOne);
  ASSERT_EQ(store.Load(mutator, 0)->packages, 1u);
  WeakPersistent<pkgraph::Graph> old;
  {
    HandleScope scope(mutator);
    Handle<LoadedIndex> held = store.Current(scope);
    old.Reset(mutator, held->graph);
    Write(kTwo);
    const absl::StatusOr<LoadReport> report = store.Load(mutator, 0);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->packages, 2u);
    EXPECT_EQ(report->number, 2);
    EXPECT_EQ(store.Current(scope)->graph->package_count, 2u);
    heap_->Collect();
    EXPECT_EQ(held->graph->package_count, 1u);
    EXPECT_FALSE(old.IsEmpty());
    EXPECT_EQ(store.alive(), 2);
  }
  heap_->Collect();
  EXPECT_TRUE(old.IsEmpty());
  heap_->Collect();  // begins with what is left to sweep
  EXPECT_EQ(store.alive(), 1);
}

TEST_F(GraphStoreTest, AnErrorLeavesTheOldGraph) {
  MutatorScope mutator(*heap_);
  GraphStore store(mutator, file_);
  Write(kOne);
  ASSERT_TRUE(store.Load(mutator, 0).ok());

  Write("Package: a\nVersion: 1\n\n");
  const absl::Status malformed = store.Load(mutator, 0).status();
  EXPECT_TRUE(absl::IsInvalidArgument(malformed)) << malformed;
  EXPECT_TRUE(absl::StrContains(malformed.message(), "index:1:")) << malformed;
  std::filesystem::remove(file_);
  const absl::Status missing = store.Load(mutator, 0).status();
  EXPECT_TRUE(absl::IsNotFound(missing)) << missing;

  HandleScope scope(mutator);
  EXPECT_EQ(store.Current(scope)->graph->package_count, 1u);
  EXPECT_EQ(store.loads(), 3);
  EXPECT_EQ(store.failures(), 2);
}

TEST_F(GraphStoreTest, OnlySoManyGraphsAreHeldAtTheSameTime) {
  MutatorScope mutator(*heap_);
  GraphStore store(mutator, file_);
  Write(kOne);
  {
    HandleScope scope(mutator);
    for (size_t i = 0; i < GraphStore::kMaxGraphs; ++i) {
      ASSERT_TRUE(store.Load(mutator, 0).ok());
      store.Current(scope);  // a slow reader
    }
    Write(kTwo);
    const absl::Status refused = store.Load(mutator, 0).status();
    EXPECT_TRUE(absl::IsUnavailable(refused)) << refused;
    EXPECT_EQ(store.Current(scope)->graph->package_count, 1u);
  }
  // Nobody holds the old ones any more, and nobody has collected yet.
  EXPECT_EQ(store.Load(mutator, 0)->packages, 2u);
}

TEST_F(GraphStoreTest, GraphsThatNobodyHoldsDoNotCount) {
  MutatorScope mutator(*heap_);
  GraphStore store(mutator, file_);
  Write(kOne);
  for (size_t i = 0; i < 10 * GraphStore::kMaxGraphs; ++i) {
    ASSERT_TRUE(store.Load(mutator, 0).ok());
  }
}

TEST_F(GraphStoreTest, AFileThatCannotBeReadIsNoShorterFile) {
  MutatorScope mutator(*heap_);
  // It opens, and the first read of it fails: EIO.
  GraphStore store(mutator, "/proc/self/mem");
  const absl::Status unreadable = store.Load(mutator, 0).status();
  EXPECT_TRUE(absl::IsDataLoss(unreadable)) << unreadable;
  EXPECT_TRUE(absl::StrContains(unreadable.message(),
                                "/proc/self/mem: cannot be read: "))
      << unreadable;
  EXPECT_EQ(store.failures(), 1);
}

TEST_F(GraphStoreTest, ARestIsBounded) {
  MutatorScope mutator(*heap_);
  GraphStore store(mutator, file_);
  // Three pieces.
  std::string index;
  while (index.size() < (size_t{600} << 10)) {
    absl::StrAppend(&index, "Package: a\nVersion: 1\nArchitecture: all\n\n");
  }
  Write(index);
  // As when the clock says that the thread has worked for days.
  EXPECT_TRUE(store.Load(mutator, /*rest=*/1e12).ok());
}

// The index is a pipe, which is read when somebody writes it.
class PipeTest : public GraphStoreTest {
 protected:
  PipeTest() {
    Write(kOne);
    MutatorScope mutator(*heap_);
    store_ = std::make_unique<GraphStore>(mutator, file_);
    EXPECT_TRUE(store_->Load(mutator, 1).ok());
    std::filesystem::remove(file_);
    EXPECT_EQ(mkfifo(file_.c_str(), 0600), 0);
  }
  ~PipeTest() override { std::filesystem::remove(file_); }

  std::unique_ptr<GraphStore> store_;
};

TEST_F(PipeTest, NoCollectionWaitsForAnIndexThatIsBeingRead) {
  std::thread loader([&] {
    MutatorScope mutator(*heap_);
    EXPECT_EQ(store_->Load(mutator, 1)->packages, 1u);
  });
  while (store_->loads() < 2) std::this_thread::yield();
  heap_->Collect();
  const int pipe = open(file_.c_str(), O_WRONLY);
  ASSERT_GE(pipe, 0);
  ASSERT_EQ(write(pipe, kOne, 10), 10);
  // Once these were read the loader waits for more.
  for (int unread = 1; unread != 0;) {
    ASSERT_EQ(ioctl(pipe, FIONREAD, &unread), 0);
  }
  heap_->Collect();
  ASSERT_EQ(write(pipe, kOne + 10, sizeof(kOne) - 11),
            static_cast<ssize_t>(sizeof(kOne) - 11));
  close(pipe);
  loader.join();
}

TEST_F(PipeTest, ALoadIsStoppedThoughNobodyWritesThePipe) {
  asio::thread_pool pool(1);
  {
    Reloader reloader(*heap_, *store_);
    const AsioExecutor executor(*heap_, pool.get_executor());
    std::vector<std::future<absl::StatusOr<LoadReport>>> reloads;
    reloads.push_back(
        asio::co_spawn(executor, reloader.Reload(), asio::use_future));
    while (store_->loads() < 2) std::this_thread::yield();
    // One that waits for the next.
    reloads.push_back(
        asio::co_spawn(executor, reloader.Reload(), asio::use_future));
    asio::post(pool, asio::use_future).get();
    // Part of an index has the form of a shorter one.
    const int pipe = open(file_.c_str(), O_WRONLY);
    ASSERT_GE(pipe, 0);
    ASSERT_EQ(write(pipe, kOne, sizeof(kOne) - 1),
              static_cast<ssize_t>(sizeof(kOne) - 1));
    store_->StopLoading();
    store_->StopLoading();
    for (auto& reload : reloads) {
      const absl::Status stopped = reload.get().status();
      EXPECT_TRUE(absl::IsCancelled(stopped)) << stopped;
    }
    close(pipe);
  }
  pool.join();
}

TEST_F(PipeTest, ReloadsThatWaitShareTheNextIndex) {
  asio::thread_pool pool(1);
  Reloader reloader(*heap_, *store_);
  const AsioExecutor executor(*heap_, pool.get_executor());
  std::future<absl::StatusOr<LoadReport>> first =
      asio::co_spawn(executor, reloader.Reload(), asio::use_future);
  while (store_->loads() < 2) std::this_thread::yield();
  // While the first index is read:
  std::vector<std::future<absl::StatusOr<LoadReport>>> others;
  for (int i = 0; i < 10; ++i) {
    others.push_back(
        asio::co_spawn(executor, reloader.Reload(), asio::use_future));
  }
  asio::post(pool, asio::use_future).get();  // all have come
  std::ofstream(file_) << kOne;
  EXPECT_EQ(first.get()->number, 2);
  std::ofstream(file_) << kTwo;
  for (auto& other : others) {
    const absl::StatusOr<LoadReport> report = other.get();
    EXPECT_EQ(report->number, 3);
    EXPECT_EQ(report->packages, 2u);
  }
  EXPECT_EQ(store_->loads(), 3);
  pool.join();
}

}  // namespace
}  // namespace bibop::pkgraphd
