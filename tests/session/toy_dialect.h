#ifndef TESTS_SESSION_TOY_DIALECT_H_
#define TESTS_SESSION_TOY_DIALECT_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gateway/codec/dialect.h"

namespace headgate {

// A dialect in one file: texts backwards, metadata as "KEY=VALUE", and
// "end CODE".
class ToyCodec final : public Codec {
 public:
  void Feed(WireMessage message) override {
    text_ = std::move(message.payload);
    is_fed_ = true;
  }
  Decoded Next() override {
    if (!std::exchange(is_fed_, false)) return NeedInput{};
    return RequestMessage{Backwards(text_)};
  }
  void EncodeHead(const Metadata& headers, Outgoing& out) override {
    for (const auto& [key, value] : headers) {
      out.Data({Opcode::kText, absl::StrCat(key, "=", value)});
    }
  }
  absl::Status EncodeMessage(std::string&& message, Outgoing& out) override {
    out.Data({Opcode::kText, Backwards(message)});
    return absl::OkStatus();
  }
  void EncodeEnd(const Ending& ending, Outgoing& out) override {
    out.Data(
        {Opcode::kText,
         absl::StrCat("end ", static_cast<int>(ending.end.status.code()))});
    out.End({ending});
  }

 private:
  static std::string Backwards(const std::string& text) {
    return {text.rbegin(), text.rend()};
  }

  std::string text_;
  bool is_fed_ = false;
};

inline constexpr Dialect kToyDialect = {
    .name = "toy",
    .token = "toy.v1",
    .wants_metadata = [](const CodecInputs&) { return true; },
    .make = [](const CodecInputs&) -> absl::StatusOr<std::unique_ptr<Codec>> {
      return std::make_unique<ToyCodec>();
    },
};

}  // namespace headgate

#endif  // TESTS_SESSION_TOY_DIALECT_H_
