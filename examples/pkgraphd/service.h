// Service: what each path answers.
//
//   GET  /                    the paths
//   GET  /package/NAME        versions and what they say about other packages
//   GET  /closure/NAME        what NAME needs; a JSON object a line
//   GET  /rdeps/NAME          the packages that name NAME; the same
//   GET  /why/A/B             a shortest path from A to B
//   GET  /search?q=TEXT       the names that contain TEXT
//   POST /reload              reads the index anew
//   GET  /healthz             "ok"
//   GET  /metrics             for Prometheus
//   GET  /gcz, /gcz.json      a page about the collector, and what it polls
//
// /closure and /why follow Recommends, too, with ?recommends=1. Answers are
// JSON but for the last ones. An error is an object with "error".
//
// An answer is computed a part at a time. In between the request sleeps, and
// holds what it needs of the graph by AsyncHandles: the thread does something
// else, and the graph may be replaced meanwhile.

#ifndef BIBOP_EXAMPLES_PKGRAPHD_SERVICE_H_
#define BIBOP_EXAMPLES_PKGRAPHD_SERVICE_H_

#include <functional>

#include "absl/base/attributes.h"
#include "asio/awaitable.hpp"
#include "bibop/examples/pkgraph/edges.h"
#include "bibop/examples/pkgraph/package.h"
#include "bibop/examples/pkgraphd/graph_store.h"
#include "bibop/examples/pkgraphd/http_message.h"
#include "bibop/examples/pkgraphd/metrics.h"
#include "bibop/examples/pkgraphd/reloader.h"
#include "bibop/gc.h"

namespace bibop::pkgraphd {

class Service {
 public:
  // `store` has an index. `metrics` is called by any thread.
  Service(Heap& heap ABSL_ATTRIBUTE_LIFETIME_BOUND,
          const GraphStore& store ABSL_ATTRIBUTE_LIFETIME_BOUND,
          Reloader& reloader ABSL_ATTRIBUTE_LIFETIME_BOUND,
          std::function<Metrics()> metrics);

  // Answers a request, as an HttpHandler does. A task of the heap. The service
  // exists until it is done.
  asio::awaitable<void> Answer(const HttpRequest& request,
                               HttpResponse& response);

 private:
  struct Route;
  static const Route kRoutes[];

  asio::awaitable<void> Index(const HttpRequest&, HttpResponse&);
  asio::awaitable<void> PackageOf(const HttpRequest&, HttpResponse&);
  asio::awaitable<void> Closure(const HttpRequest&, HttpResponse&);
  asio::awaitable<void> ReverseDependencies(const HttpRequest&, HttpResponse&);
  asio::awaitable<void> Why(const HttpRequest&, HttpResponse&);
  asio::awaitable<void> Search(const HttpRequest&, HttpResponse&);
  asio::awaitable<void> Reload(const HttpRequest&, HttpResponse&);
  asio::awaitable<void> Health(const HttpRequest&, HttpResponse&);
  asio::awaitable<void> MetricsText(const HttpRequest&, HttpResponse&);
  asio::awaitable<void> StatusPage(const HttpRequest&, HttpResponse&);
  asio::awaitable<void> StatusJson(const HttpRequest&, HttpResponse&);

  // Sends the lines of a walk from the package that the request names, which
  // `make` makes. A handle that it returns is one of the innermost scope.
  template <class Walk>
  asio::awaitable<void> Stream(const HttpRequest& request,
                               HttpResponse& response,
                               Handle<Walk> (*make)(Mutator&,
                                                    Handle<pkgraph::Package>,
                                                    pkgraph::Follow));

  Heap& heap_;
  const GraphStore& store_;
  Reloader& reloader_;
  const std::function<Metrics()> metrics_;
};

}  // namespace bibop::pkgraphd

#endif  // BIBOP_EXAMPLES_PKGRAPHD_SERVICE_H_
