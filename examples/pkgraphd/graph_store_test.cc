#include "bibop/examples/pkgraphd/graph_store.h"

#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "asio/co_spawn.hpp"
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
  ASSERT_EQ(store.Load(mutator)->packages, 1u);
  WeakPersistent<pkgraph::Graph> old;
  {
    HandleScope scope(mutator);
    Handle<LoadedIndex> held = store.Current(scope);
    old.Reset(mutator, held->graph);
    Write(kTwo);
    const absl::StatusOr<LoadReport> report = store.Load(mutator);
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
  ASSERT_TRUE(store.Load(mutator).ok());

  Write("Package: a\nVersion: 1\n\n");
  const absl::Status malformed = store.Load(mutator).status();
  EXPECT_TRUE(absl::IsInvalidArgument(malformed)) << malformed;
  EXPECT_TRUE(absl::StrContains(malformed.message(), "index:1:")) << malformed;
  std::filesystem::remove(file_);
  const absl::Status missing = store.Load(mutator).status();
  EXPECT_TRUE(absl::IsNotFound(missing)) << missing;

  HandleScope scope(mutator);
  EXPECT_EQ(store.Current(scope)->graph->package_count, 1u);
  EXPECT_EQ(store.loads(), 3);
  EXPECT_EQ(store.failures(), 2);
}

TEST_F(GraphStoreTest, WhoAsksForAReloadSeesAFileReadAfterThat) {
  std::unique_ptr<GraphStore> store;
  Write(kOne);
  {
    MutatorScope mutator(*heap_);
    store = std::make_unique<GraphStore>(mutator, file_);
    ASSERT_TRUE(store->Load(mutator).ok());
  }
  asio::thread_pool pool(2);
  Reloader reloader(*heap_, *store);
  const AsioExecutor executor(*heap_, pool.get_executor());
  for (const bool is_two : {true, false, true, false}) {
    Write(is_two ? kTwo : kOne);
    // All these come after the change: none may get an index from before it,
    // and those that wait share one.
    std::vector<std::future<absl::StatusOr<LoadReport>>> reports(20);
    for (auto& report : reports) {
      report = asio::co_spawn(executor, reloader.Reload(), asio::use_future);
    }
    for (auto& report : reports) {
      EXPECT_EQ(report.get()->packages, is_two ? 2u : 1u);
    }
  }
  EXPECT_GT(store->loads(), 4);
  pool.join();
}

}  // namespace
}  // namespace bibop::pkgraphd
