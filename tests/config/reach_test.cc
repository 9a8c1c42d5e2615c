// Of the routes that fit a request the first wins; one that no request is left
// to is a mistake.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "gateway/config/settings.h"

namespace headgate {
namespace {

struct Place {
  std::vector<std::string> hosts = {};
  std::string path = {};
  std::string prefix = {};
  std::string path_template = {};
};

// The index of the first route that is never reached, and of the one that takes
// its requests, "2<0"; empty when there is none.
std::string Unreached(const std::vector<Place>& places) {
  Settings settings;
  settings.routes.clear();
  for (const Place& place : places) {
    Route& route = settings.routes.emplace_back();
    route.hosts = place.hosts;
    route.path = place.path;
    route.prefix = place.prefix;
    route.path_template = place.path_template;
    const bool all_methods = place.path.empty() && place.prefix.empty() &&
                             place.path_template.empty();
    if (!all_methods) route.target = FixedMethod{"/a.B/C"};
  }
  const absl::Status status = Validate(settings);
  if (status.ok()) return "";
  const std::string text(status.message());
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (text == absl::StrCat("routes[", i, "]: is never reached, as routes[",
                               j, "] takes all its requests")) {
        return absl::StrCat(i, "<", j);
      }
    }
  }
  return text;
}

Place Path(std::string path, std::vector<std::string> hosts = {}) {
  return {.hosts = std::move(hosts), .path = std::move(path)};
}
Place Prefix(std::string prefix, std::vector<std::string> hosts = {}) {
  return {.hosts = std::move(hosts), .prefix = std::move(prefix)};
}
Place Template(std::string text) { return {.path_template = std::move(text)}; }
Place AllMethods(std::vector<std::string> hosts = {}) {
  return {.hosts = std::move(hosts)};
}

TEST(ReachTest, RoutesSideBySideAreReached) {
  EXPECT_EQ(Unreached({Path("/a"), Path("/a/b"), Path("/A"), Prefix("/v1"),
                       Prefix("/v2"), Template("/a/{x}"), AllMethods()}),
            "");
}

TEST(ReachTest, TheSameTwice) {
  EXPECT_EQ(Unreached({Path("/a"), Path("/b"), Path("/a")}), "2<0");
  EXPECT_EQ(Unreached({Prefix("/a"), Prefix("/a")}), "1<0");
  EXPECT_EQ(Unreached({AllMethods(), AllMethods()}), "1<0");
  EXPECT_EQ(Unreached({Template("/a/{x}/b"), Template("/a/{y}/b")}), "1<0");
  EXPECT_EQ(Unreached({Template("/a/{x}/b"), Template("/a/{x}/c")}), "");
  EXPECT_EQ(Unreached({Template("/a/{x}"), Template("/a/{x=**}")}), "");
}

// A prefix is of whole segments.
TEST(ReachTest, WhatIsBelowAPrefix) {
  EXPECT_EQ(Unreached({Prefix("/v1"), Path("/v1")}), "1<0");
  EXPECT_EQ(Unreached({Prefix("/v1"), Path("/v1/a/b")}), "1<0");
  EXPECT_EQ(Unreached({Prefix("/v1"), Prefix("/v1/a")}), "1<0");
  EXPECT_EQ(Unreached({Prefix("/v1"), Template("/v1/{x}")}), "1<0");
  EXPECT_EQ(Unreached({Prefix("/v1"), Path("/v10"), Prefix("/v")}), "");
  EXPECT_EQ(Unreached({Path("/v1/a"), Prefix("/v1/b"), Prefix("/v1")}), "");
  for (const Place& place :
       {Path("/"), Path("/a"), Prefix("/a"), Template("/{x}"), AllMethods()}) {
    EXPECT_EQ(Unreached({Prefix("/"), place}), "1<0");
  }
}

TEST(ReachTest, MethodsBehindAllMethods) {
  EXPECT_EQ(Unreached({AllMethods(), Path("/a.B/D")}), "1<0");
  EXPECT_EQ(Unreached({Path("/a.B/D"), AllMethods()}), "");
  EXPECT_EQ(Unreached({AllMethods(), Path("/a"), Prefix("/v1")}), "");
}

TEST(ReachTest, HostsKeepRoutesApart) {
  EXPECT_EQ(
      Unreached({Path("/a", {"x.com"}), Path("/a", {"y.com"}), Path("/a")}),
      "");
  EXPECT_EQ(Unreached({Path("/a"), Path("/a", {"x.com"})}), "1<0");
  EXPECT_EQ(Unreached({Prefix("/", {"x.com"}), Path("/a", {"x.com"})}), "1<0");
}

// "*.x.com" is any subdomain of x.com, not x.com itself.
TEST(ReachTest, WildcardsTakeSubdomains) {
  EXPECT_EQ(Unreached({Path("/a", {"*.x.com"}), Path("/a", {"a.b.x.com"})}),
            "1<0");
  EXPECT_EQ(Unreached({Path("/a", {"*.x.com"}), Path("/a", {"*.b.x.com"})}),
            "1<0");
  EXPECT_EQ(Unreached({Path("/a", {"*.x.com"}), Path("/a", {"x.com"}),
                       Path("/a", {"*.com"}), Path("/a", {"xx.com.de"})}),
            "");
}

TEST(ReachTest, OneFreeHostIsEnough) {
  EXPECT_EQ(Unreached({Path("/a", {"x.com"}), Path("/a", {"y.com", "x.com"})}),
            "");
  EXPECT_EQ(Unreached({Path("/a", {"x.com", "y.com"}),
                       Path("/a", {"y.com", "x.com"})}),
            "1<0");
  EXPECT_EQ(Unreached({Path("/a", {"x.com", "x.com"})}), "");
}

// A request whose last segment is no method's name goes on to the next route.
TEST(ReachTest, APrefixWhosePathNamesTheMethodDoesNotTakeEverything) {
  Settings settings;
  settings.routes.clear();
  Route& service = settings.routes.emplace_back();
  service.prefix = "/lib";
  service.target = ServicePath{"/a.Library"};
  Route& other = settings.routes.emplace_back();
  other.path = "/lib/no-name";
  other.target = FixedMethod{"/a.B/C"};
  EXPECT_EQ(Validate(settings), absl::OkStatus());
}

}  // namespace
}  // namespace headgate
