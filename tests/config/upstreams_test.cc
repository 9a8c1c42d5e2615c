#include <cstdio>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/config/settings.h"
#include "google/protobuf/descriptor.pb.h"

namespace headgate {
namespace {

using ::testing::HasSubstr;

// A file of the test's own, with this in it.
std::string FileWith(const std::string& name, const std::string& bytes) {
  const std::string path = testing::TempDir() + "/upstreams_test_" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

class UpstreamsTest : public testing::Test {
 protected:
  std::string Faults() const {
    return std::string(Validate(settings_).message());
  }

  Settings settings_;
  UpstreamSettings& upstream_ = settings_.upstreams[0];
};

TEST_F(UpstreamsTest, AnUpstreamIsAGrpcName) {
  for (const char* target :
       {"localhost:50051", "[::1]:50051", "dns:///chat:50051", "dns:chat:1",
        "unix:/run/chat.sock", "ipv4:10.0.0.1:1,10.0.0.2:1", "xds:///chat"}) {
    upstream_.target = target;
    EXPECT_EQ(Faults(), "") << target;
  }
  for (const char* target :
       {"", "http://127.0.0.1:50051", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0",
        "unix:", "dns:///", ":50051", ":::", "chat:50051/path"}) {
    upstream_.target = target;
    EXPECT_THAT(Faults(), HasSubstr("upstreams[0].target: must be")) << target;
  }
}

// Names stand in logs and in labels of metrics.
TEST_F(UpstreamsTest, ANameIsAWord) {
  for (const char* name : {"", "a b", "a\n", "a/b", "ä", "a=b"}) {
    settings_.routes[0].upstream = upstream_.name = name;
    EXPECT_THAT(Faults(), HasSubstr("upstreams[0].name: must be")) << name;
  }
  settings_.routes[0].upstream = upstream_.name = "Chat-2.eu_west";
  EXPECT_EQ(Faults(), "");
}

TEST_F(UpstreamsTest, TwoCannotHaveOneName) {
  settings_.upstreams.resize(3);
  settings_.upstreams[1].name = "other";
  EXPECT_EQ(Faults(),
            "upstreams[2].name: upstreams[0] has the name 'default' too");
}

TEST_F(UpstreamsTest, NumbersAndTimesHaveLimits) {
  upstream_.max_streams_per_channel = 0;
  upstream_.deadline = absl::ZeroDuration();
  upstream_.keepalive_interval = absl::Milliseconds(999);
  upstream_.keepalive_timeout = absl::ZeroDuration();
  upstream_.descriptors.refresh = absl::ZeroDuration();
  EXPECT_EQ(Faults(),
            "upstreams[0].descriptors.refresh: must be at least 100ms, is 0\n"
            "upstreams[0].deadline: must be more than 0, is 0\n"
            "upstreams[0].max_streams_per_channel: must be at least 1, is 0\n"
            "upstreams[0].keepalive.interval: must be at least 1s, is 999ms\n"
            "upstreams[0].keepalive.timeout: must be at least 10ms, is 0");
}

// Found out now, not at the first session.
TEST_F(UpstreamsTest, DescriptorFilesMustBeDescriptorSets) {
  google::protobuf::FileDescriptorSet set;
  set.add_file()->set_name("a.proto");
  const std::string good = FileWith("good.pb", set.SerializeAsString());
  const std::string bad = FileWith("bad.pb", "syntax = \"proto3\";");
  const std::string empty = FileWith("empty.pb", "");
  upstream_.descriptors.files = {good};
  EXPECT_EQ(Faults(), "");
  upstream_.descriptors.files = {good, bad, empty, "/nowhere.pb",
                                 testing::TempDir()};
  const std::string faults = Faults();
  EXPECT_THAT(faults, testing::Not(HasSubstr("files[0]")));
  for (const std::string& path : {bad, empty}) {
    EXPECT_THAT(faults, HasSubstr(path + " is no descriptor set"));
  }
  EXPECT_THAT(faults, HasSubstr("upstreams[0].descriptors.files[3]: "
                                "/nowhere.pb cannot be read: No such file"));
  EXPECT_THAT(faults, HasSubstr("cannot be read: it is a directory"));
}

TEST_F(UpstreamsTest, HttpRulesFilesMustHaveRules) {
  const std::string good =
      FileWith("good.yaml", "http: {rules: [{selector: a.B.C, get: /a}]}");
  const std::string bad = FileWith("bad.yaml", "http: {rules: [{get: /a}]}");
  upstream_.http_rules_files = {good};
  EXPECT_EQ(Faults(), "");
  upstream_.http_rules_files = {good, bad, "/nowhere.yaml"};
  EXPECT_EQ(Faults(), "upstreams[0].http_rules_files[1]: " + bad +
                          ":1:16: http.rules[0]: selector is missing\n"
                          "upstreams[0].http_rules_files[2]: /nowhere.yaml "
                          "cannot be read: No such file or directory");
}

TEST_F(UpstreamsTest, TlsFilesMustBePem) {
  const std::string pem = FileWith("good.pem", "-----BEGIN CERTIFICATE-----\n");
  const std::string der = FileWith("bad.pem", "\x30\x82");
  upstream_.tls.emplace();
  EXPECT_EQ(Faults(), "");  // The system's roots.
  upstream_.tls->ca = upstream_.tls->certificate = upstream_.tls->key = pem;
  EXPECT_EQ(Faults(), "");
  upstream_.tls->ca = der;
  upstream_.tls->key = "/nowhere.key";
  EXPECT_EQ(Faults(),
            "upstreams[0].tls.ca: " + der +
                " is no PEM file\n"
                "upstreams[0].tls.key: /nowhere.key cannot be read: No such "
                "file or directory");
}

TEST_F(UpstreamsTest, ACertificateAndItsKeyComeTogether) {
  const std::string pem = FileWith("good.pem", "-----BEGIN CERTIFICATE-----\n");
  upstream_.tls.emplace();
  upstream_.tls->certificate = pem;
  EXPECT_EQ(Faults(),
            "upstreams[0].tls.key: is missing, while there is a certificate");
  upstream_.tls->certificate = "";
  upstream_.tls->key = pem;
  EXPECT_EQ(Faults(),
            "upstreams[0].tls.certificate: is missing, while there is a key");
}

TEST_F(UpstreamsTest, ARouteNamesOneThatThereIs) {
  settings_.upstreams[0].name = "chat";
  settings_.routes[0].upstream = "chta";
  EXPECT_EQ(Faults(),
            "routes[0].upstream: no upstream is named 'chta'; did you mean "
            "'chat'?");
  settings_.routes[0].upstream = "etcd";
  EXPECT_EQ(Faults(), "routes[0].upstream: no upstream is named 'etcd'");
}

// Without a choice among addresses their health would count for nothing.
TEST_F(UpstreamsTest, HealthChecksNeedRoundRobin) {
  upstream_.health_check = "";
  EXPECT_EQ(Faults(), "");
  upstream_.load_balancing = UpstreamSettings::LoadBalancing::kPickFirst;
  EXPECT_EQ(Faults(),
            "upstreams[0].health_check: needs load_balancing: round-robin, "
            "which chooses among the addresses by their health");
}

// What h2 cannot do is found before the first call.
TEST_F(UpstreamsTest, SomeThingsNeedGrpcsOwnClient) {
  using Transport = UpstreamSettings::Transport;
  const UpstreamSettings plain = upstream_;
  EXPECT_EQ(upstream_.ChosenTransport(), Transport::kH2);
  const auto expect_grpc = [&](const std::string& field) {
    EXPECT_EQ(upstream_.ChosenTransport(), Transport::kGrpc) << field;
    EXPECT_EQ(Faults(), "") << field;
    upstream_.transport = Transport::kH2;
    EXPECT_EQ(
        Faults(),
        "upstreams[0].transport: must be grpc or auto with this " + field);
    upstream_ = plain;
  };
  for (const char* target : {"xds:///name", "dns://8.8.8.8/a:1",
                             "dns://[2001:db8::1]:53/a:1", "dns://ns/a"}) {
    upstream_.target = target;
    expect_grpc("target");
  }
  for (const char* target :
       {"a:1", "dns:///a:1", "dns:a:1", "ipv4:1.2.3.4:5", "ipv6:[::1]:5",
        "unix:/a", "unix:///a", "unix-abstract:a", "[::1]:1"}) {
    upstream_.target = target;
    upstream_.transport = Transport::kAuto;
    EXPECT_EQ(upstream_.ChosenTransport(), Transport::kH2) << target;
    upstream_.transport = Transport::kH2;
    EXPECT_EQ(Faults(), "") << target;
  }
  upstream_.tls.emplace();
  upstream_.health_check = "";
  EXPECT_EQ(upstream_.ChosenTransport(), Transport::kH2);
  EXPECT_EQ(Faults(), "");
  upstream_.transport = Transport::kGrpc;
  EXPECT_EQ(upstream_.ChosenTransport(), Transport::kGrpc);
}

// A wildcard stands for subdomains; anywhere else it would match nothing.
TEST_F(UpstreamsTest, OriginsHaveAWildcardInOnePlaceOnly) {
  for (const char* origin : {"https://*", "https://a.*.com", "https://*a.com",
                             "https://*.", "*.example.com"}) {
    settings_.listeners[0].allowed_origins = {origin};
    EXPECT_NE(Faults(), "") << origin;
  }
  settings_.listeners[0].allowed_origins = {"https://*.example.com", "null",
                                            "*", "https://a.com:8443"};
  EXPECT_EQ(Faults(), "");
}

// Without descriptors there are no annotations.
TEST_F(UpstreamsTest, HttpRulesNeedDescriptors) {
  Route& route = settings_.routes[0];
  route.prefix = "/v1";
  route.target = HttpRuleSet{};
  EXPECT_EQ(Faults(), "");
  upstream_.descriptors.reflection = false;
  EXPECT_EQ(Faults(),
            "routes[0].http_rules: needs descriptors, and upstream 'default' "
            "has neither reflection nor files");
}

}  // namespace
}  // namespace headgate
