// SpiderMonkey: a small embedder, which runs javascript/peer.js, and does
// itself what concerns handles of C++ code.
//
//   spidermonkey PEER.JS WORKLOAD [NUMBER...]

#include <js/CallAndConstruct.h>
#include <js/CompilationAndEvaluation.h>
#include <js/Conversions.h>
#include <js/GCAPI.h>
#include <js/Initialization.h>
#include <js/SourceText.h>
#include <jsapi.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bibop/benchmarks/observe.h"
#include "bibop/tools/comparison/programs/peer.h"
#include "bibop/tools/comparison/programs/workloads.h"

namespace bibop::compare {
namespace {

using benchmarks::Observe;

constexpr char kFigure[] = "ns_per_operation";

const JSClass kGlobalClass = {"global",
                              JSCLASS_GLOBAL_FLAGS,
                              &JS::DefaultGlobalClassOps,
                              nullptr,
                              nullptr,
                              nullptr};

[[noreturn]] void Fail(const char* what) {
  std::fprintf(stderr, "%s failed\n", what);
  std::exit(1);
}

// ---- handles ----

// A Rooted is its own scope.
[[gnu::noinline]] void Scopes(JSContext* context, JS::HandleObject object) {
  for (int i = 0; i < 1000; ++i) {
    const JS::RootedObject rooted(context, object);
    Observe(rooted.get());
  }
}

[[gnu::noinline]] void OneByOne(JSContext* context, JS::HandleObject object) {
  for (int i = 0; i < 1000; ++i) {
    const JS::PersistentRootedObject persistent(context, object);
    Observe(persistent.get());
  }
}

Result Thousand(JSContext* context, JS::HandleObject object,
                int64_t operations) {
  std::vector<JS::PersistentRootedObject> all(1000);
  return TimedBatches(operations, kFigure, [&] {
    for (auto& persistent : all) {
      persistent.init(context, object);
      Observe(persistent.get());
    }
    for (int i = 0; i < 1000; ++i) all[i * 389 % 1000].reset();
  });
}

// ---- the script ----

bool NowFunction(JSContext* /*context*/, unsigned argc, JS::Value* values) {
  JS::CallArgsFromVp(argc, values)
      .rval()
      .setDouble(static_cast<double>(Read(CLOCK_MONOTONIC)));
  return true;
}

bool CpuFunction(JSContext* /*context*/, unsigned argc, JS::Value* values) {
  JS::CallArgsFromVp(argc, values)
      .rval()
      .setDouble(static_cast<double>(Read(CLOCK_PROCESS_CPUTIME_ID)));
  return true;
}

// Calls a function of the script with numbers, and `first`, where that is a
// text, before them.
void Call(JSContext* context, JS::HandleObject global, const char* function,
          const std::string& first, const std::vector<double>& numbers,
          JS::MutableHandleValue result) {
  JS::RootedValueVector arguments(context);
  if (!first.empty()) {
    JS::RootedString text(context, JS_NewStringCopyZ(context, first.c_str()));
    if (!arguments.append(JS::StringValue(text))) Fail("append");
  }
  for (const double number : numbers) {
    // Integers are to be such: the script's arithmetic depends on it.
    if (!arguments.append(JS::NumberValue(number))) Fail("append");
  }
  if (!JS_CallFunctionName(context, global, function, arguments, result)) {
    Fail(function);
  }
}

int RunScript(JSContext* context, JS::HandleObject global,
              const std::string& workload, const std::vector<double>& numbers) {
  JS::RootedValue value(context);
  Call(context, global, "main", workload, numbers, &value);
  JS::RootedString text(context, value.toString());
  const JS::UniqueChars result = JS_EncodeStringToUTF8(context, text);
  if (!result || result[0] == '\0') return 2;
  std::printf("%s\n", result.get());
  return 0;
}

Result MarkRate(JSContext* context, JS::HandleObject global, double objects,
                int64_t marks) {
  JS::RootedValue reached(context);
  Call(context, global, "makeRandomGraph", "", {objects}, &reached);
  JS_GC(context);
  JS_GC(context);
  std::vector<int64_t> times;
  for (int64_t i = 0; i < marks; ++i) {
    const int64_t start = Read(CLOCK_THREAD_CPUTIME_ID);
    JS_GC(context);
    times.push_back(Read(CLOCK_THREAD_CPUTIME_ID) - start);
  }
  return MarkResult(static_cast<int64_t>(reached.toNumber()), times);
}

int Run(JSContext* context, const char* file, int argc, char** argv) {
  JS::RealmOptions options;
  JS::RootedObject global(context,
                          JS_NewGlobalObject(context, &kGlobalClass, nullptr,
                                             JS::FireOnNewGlobalHook, options));
  if (!global) Fail("JS_NewGlobalObject");
  const JSAutoRealm realm(context, global);
  JS::CompileOptions compile(context);
  JS::RootedValue value(context);
  if (!JS_DefineFunction(context, global, "now", NowFunction, 0, 0) ||
      !JS_DefineFunction(context, global, "cpu", CpuFunction, 0, 0) ||
      !JS::EvaluateUtf8Path(context, compile, file, &value)) {
    Fail(file);
  }
  const Arguments arguments(argc, argv);
  const std::string& workload = arguments.workload();
  std::vector<double> numbers;
  for (int i = 2; i < argc; ++i) {
    numbers.push_back(static_cast<double>(arguments.number(i - 2)));
  }
  JS::RootedObject object(context, JS_NewPlainObject(context));
  const auto timed = [&](auto batch) {
    Print(TimedBatches(arguments.number(0), kFigure, batch));
  };
  if (workload == "handles_scope") {
    timed([&] { Scopes(context, object); });
  } else if (workload == "persistent") {
    timed([&] { OneByOne(context, object); });
  } else if (workload == "persistent_thousand") {
    Print(Thousand(context, object, arguments.number(0)));
  } else if (workload == "mark_rate") {
    Print(MarkRate(context, global, numbers.at(0), arguments.number(1)));
  } else {
    return RunScript(context, global, workload, numbers);
  }
  return 0;
}

int Main(int argc, char** argv) {
  if (argc < 2) return 2;
  if (!JS_Init()) Fail("JS_Init");
  JSContext* const context = JS_NewContext(JS::DefaultHeapMaxBytes);
  if (context == nullptr || !JS::InitSelfHostedCode(context)) {
    Fail("JS_NewContext");
  }
  JS_SetGCParameter(context, JSGC_MAX_BYTES, 0xffffffff);
  // As V8's young generation is set.
  JS_SetGCParameter(context, JSGC_MAX_NURSERY_BYTES, 64 << 20);
  const int status = Run(context, argv[1], argc - 1, argv + 1);
  std::fflush(stdout);
  // The heap is the system's to free.
  std::_Exit(status);
}

}  // namespace
}  // namespace bibop::compare

int main(int argc, char** argv) { return bibop::compare::Main(argc, argv); }
