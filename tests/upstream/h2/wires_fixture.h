#ifndef TESTS_UPSTREAM_H2_WIRES_FIXTURE_H_
#define TESTS_UPSTREAM_H2_WIRES_FIXTURE_H_

#include <string>

#include <gtest/gtest.h>

#include "tests/testing/test_folder.h"
#include "tests/upstream/h2/wire_fixture.h"

namespace headgate {

enum class Wire { kPlaintext, kTls };

// The same with TLS and without.
class H2WiresFixture : public H2WireFixture,
                       public ::testing::WithParamInterface<Wire> {
 protected:
  H2WiresFixture() {
    if (GetParam() == Wire::kPlaintext) return;
    static const Authority authority("test");
    static const Identity identity = authority.Issue("server");
    TlsTestServerOptions options;
    options.identity = identity;
    server_.set_tls(options);
    options_.settings.tls.emplace();
    options_.settings.tls->ca =
        folder_.Write("ca.crt", authority.certificate());
    Connect();
  }

 private:
  const TestFolder folder_;
};

inline auto BothWires() {
  return ::testing::Values(Wire::kPlaintext, Wire::kTls);
}
inline std::string NameOfWire(const ::testing::TestParamInfo<Wire>& wire) {
  return wire.param == Wire::kTls ? "Tls" : "Plaintext";
}

}  // namespace headgate

#endif  // TESTS_UPSTREAM_H2_WIRES_FIXTURE_H_
