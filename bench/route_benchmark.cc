// What it costs to find a request's route, and its google.api.http rule, by the
// number of routes and rules: it should not grow with them but for what misses
// of the processor's caches cost.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "gateway/route/http_rules.h"
#include "gateway/route/route.h"
#include "google/api/annotations.pb.h"

namespace headgate {
namespace {

constexpr char kHost[] = "api.example.com:8080";

// Looks `paths` up one after the other, so that not one alone is in the caches.
// Each must have a route.
void FindEach(benchmark::State& state, const Router& router,
              const std::vector<std::string>& paths) {
  std::size_t i = 0;
  for (auto _ : state) {
    const auto match = router.Find(kHost, paths[i]);
    if (!match) state.SkipWithError("no route");
    benchmark::DoNotOptimize(match);
    if (++i == paths.size()) i = 0;
  }
}

void ExactPaths(benchmark::State& state) {
  std::vector<Route> routes;
  std::vector<std::string> paths;
  for (int i = 0; i < state.range(0); ++i) {
    Route route;
    route.path = absl::StrCat("/services/s", i, "/connect");
    route.target = FixedMethod{"/bench.Service/Connect"};
    paths.push_back(route.path);
    routes.push_back(std::move(route));
  }
  FindEach(state, Router(std::move(routes)), paths);
}
BENCHMARK(ExactPaths)->Arg(10)->Arg(10'000);

void Prefixes(benchmark::State& state) {
  std::vector<Route> routes;
  std::vector<std::string> paths;
  for (int i = 0; i < state.range(0); ++i) {
    Route route;
    route.prefix = absl::StrCat("/services/s", i);
    route.target = ServicePath{"/bench.Service"};
    paths.push_back(absl::StrCat(route.prefix, "/rooms/Connect"));
    routes.push_back(std::move(route));
  }
  FindEach(state, Router(std::move(routes)), paths);
}
BENCHMARK(Prefixes)->Arg(10)->Arg(10'000);

void Templates(benchmark::State& state) {
  std::vector<Route> routes;
  std::vector<std::string> paths;
  for (int i = 0; i < state.range(0); ++i) {
    Route route;
    route.path_template = absl::StrCat("/services/s", i, "/{room}/join");
    route.target = FixedMethod{"/bench.Service/Join"};
    paths.push_back(absl::StrCat("/services/s", i, "/blue%20room/join"));
    routes.push_back(std::move(route));
  }
  FindEach(state, Router(std::move(routes)), paths);
}
BENCHMARK(Templates)->Arg(10)->Arg(10'000);

// The table of a gateway without configuration.
void EveryMethod(benchmark::State& state) {
  FindEach(state, Router({Route()}), {"/bench.v1.Service/Connect"});
}
BENCHMARK(EveryMethod);

// A path that no route is for, as long as a head may be by default.
void HostilePath(benchmark::State& state) {
  std::vector<Route> routes(10);
  for (std::size_t i = 0; i < routes.size(); ++i) {
    for (std::size_t k = 0; k < routes.size(); ++k) {
      routes[i].path_template += k == i ? "/*" : "/a";
    }
    routes[i].target = FixedMethod{"/bench.Service/Connect"};
  }
  const Router router(std::move(routes));
  std::string path;
  while (path.size() < 16 * 1024) path += "/a";
  for (auto _ : state) benchmark::DoNotOptimize(router.Find(kHost, path));
}
BENCHMARK(HostilePath);

// Services with the four rules that a resource usually has, `count` in all.
std::shared_ptr<const HttpRules> MakeRules(int count) {
  google::protobuf::FileDescriptorProto file;
  file.set_name("bench.proto");
  file.set_syntax("proto3");
  auto& message = *file.add_message_type();
  message.set_name("Request");
  auto& field = *message.add_field();
  field.set_name("name");
  field.set_number(1);
  field.set_label(google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
  field.set_type(google::protobuf::FieldDescriptorProto::TYPE_STRING);
  auto& service = *file.add_service();
  service.set_name("Service");
  for (int i = 0; i < count; ++i) {
    auto& method = *service.add_method();
    method.set_name(absl::StrCat("M", i));
    method.set_input_type(".Request");
    method.set_output_type(".Request");
    auto& rule = *method.mutable_options()->MutableExtension(google::api::http);
    const std::string things = absl::StrCat("/v1/{name=things", i / 4, "/*");
    switch (i % 4) {
      case 0:
        rule.set_get(things + "}");
        break;
      case 1:
        rule.set_delete_(things + "}");
        break;
      case 2:
        rule.set_get(things + "/parts/*}");
        break;
      default:
        rule.set_post(things + "}:move");
        break;
    }
  }
  std::vector<std::string> warnings;
  return HttpRules::Build(Schema::Build({file}, &warnings), &warnings);
}

void Rules(benchmark::State& state) {
  const int count = static_cast<int>(state.range(0));
  const auto rules = MakeRules(count);
  std::vector<std::pair<const char*, std::string>> requests;
  for (int i = 0; i + 4 <= count; i += 4) {
    const std::string thing = absl::StrCat("/v1/things", i / 4, "/x");
    requests.emplace_back("GET", thing);
    requests.emplace_back("DELETE", thing);
    requests.emplace_back("GET", thing + "/parts/y");
    requests.emplace_back("POST", thing + ":move");
  }
  std::size_t i = 0;
  for (auto _ : state) {
    const auto match = rules->Find(requests[i].first, requests[i].second);
    if (!match.ok()) state.SkipWithError("no rule");
    benchmark::DoNotOptimize(match);
    if (++i == requests.size()) i = 0;
  }
}
BENCHMARK(Rules)->Arg(10)->Arg(1'000);

}  // namespace
}  // namespace headgate
