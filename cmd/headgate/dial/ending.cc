#include "cmd/headgate/dial/ending.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cmd/headgate/dial/text.h"
#include "gateway/base/status.h"
#include "gateway/base/utf8.h"
#include "gateway/codec/protobuf_wire.h"

namespace headgate {
namespace {

namespace json = boost::json;

// The longest part of a refusal's body that is shown, in bytes.
constexpr std::size_t kMaxBodyShown = 1000;

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

// The gRPC code that a close code stands for.
std::optional<int> CodeOf(std::uint16_t close) {
  if (close == 1000) return 0;
  if (close > 4000 && close <= 4016) return close - 4000;
  return std::nullopt;
}

// RFC 6455 section 7.4.1 and the registry that it founded.
absl::string_view CloseName(std::uint16_t close) {
  switch (close) {
    case 1001:
      return "going away";
    case 1002:
      return "protocol error";
    case 1003:
      return "unsupported data";
    case 1005:
      return "no status";
    case 1007:
      return "invalid payload";
    case 1008:
      return "policy violation";
    case 1009:
      return "message too big";
    case 1010:
      return "missing extension";
    case 1011:
      return "internal error";
    case 1012:
      return "service restart";
    case 1013:
      return "try again later";
    case 1014:
      return "bad gateway";
    default:
      return "";
  }
}

// The whole message if the end packet told it: a Close frame has room for only
// a part.
const std::string& MessageOf(const Closed& closed) {
  if (closed.status.has_value() && closed.status->code == CodeOf(closed.code)) {
    return closed.status->message;
  }
  return closed.reason;
}

json::object Status(std::optional<int> code, absl::string_view message) {
  json::object object;
  if (code.has_value()) {
    object["code"] = *code;
    object["status"] = CodeName(*code);
  } else {
    object["code"] = nullptr;
    object["status"] = nullptr;
  }
  object["message"] = ToUtf8(message);
  return object;
}

json::object CloseStatus(json::value close, std::optional<int> code,
                         absl::string_view message) {
  json::object object;
  object["close"] = std::move(close);
  for (auto& member : Status(code, message)) {
    object.insert(member);
  }
  return object;
}

// The gateway says why in JSON, {"code": 5, "message": "..."}; anybody else
// may have said anything.
json::object RefusalStatus(const Refused& refused) {
  std::optional<int> code;
  std::string message = refused.body;
  json::error_code error;
  const json::value body = json::parse(refused.body, error);
  if (!error && body.is_object()) {
    const json::object& object = body.as_object();
    const json::value* const number = object.if_contains("code");
    if (number != nullptr && number->is_int64() && number->as_int64() >= 0 &&
        number->as_int64() <= 16) {
      code = static_cast<int>(number->as_int64());
    }
    const json::value* const text = object.if_contains("message");
    if (text != nullptr && text->is_string()) {
      message = std::string(text->as_string());
    }
  }
  json::object result;
  result["http"] = refused.http;
  for (auto& member : Status(code, message)) result.insert(member);
  return result;
}

// Of a serialized google.protobuf.Any.
std::string DetailText(absl::string_view any) {
  absl::string_view type, value;
  WireReader reader(any);
  WireField field;
  while (reader.Next(field)) {
    if (field.tag == WireTag(1, WireType::kBytes)) type = field.bytes;
    if (field.tag == WireTag(2, WireType::kBytes)) value = field.bytes;
  }
  return absl::StrCat(OneLine(type), " ", absl::Base64Escape(value));
}

std::string WithReason(std::string line, absl::string_view reason) {
  if (!reason.empty()) absl::StrAppend(&line, ": ", OneLine(reason));
  return line;
}

}  // namespace

std::optional<RpcStatus> ParseRpcStatus(absl::string_view bytes) {
  RpcStatus status;
  WireReader reader(bytes);
  WireField field;
  while (reader.Next(field)) {
    if (field.tag == WireTag(1, WireType::kVarint)) {
      status.code = static_cast<int>(field.value);
    } else if (field.tag == WireTag(2, WireType::kBytes)) {
      status.message = std::string(field.bytes);
    } else if (field.tag == WireTag(3, WireType::kBytes)) {
      status.details.push_back(DetailText(field.bytes));
    }
  }
  if (!reader.ok()) return std::nullopt;
  return status;
}

DialEnding ToDialEnding(ClientFailure failure) {
  return std::visit([](auto& why) { return DialEnding(std::move(why)); },
                    failure);
}

std::string CodeName(int code) {
  return absl::StatusCodeToString(StatusCodeFromWire(code));
}

int ExitStatus(const DialEnding& ending) {
  return std::visit(
      Overloaded{
          [](const Closed& closed) {
            return CodeOf(closed.code).value_or(kExitClosedOtherwise);
          },
          [](const ClosedByUs& closed) { return closed.status.code; },
          [](const GivenUp& given_up) { return given_up.status.code; },
          [](const Refused&) { return kExitRefused; },
          [](const Unreachable&) { return kExitUnreachable; },
          [](const Lost&) { return kExitLost; },
          [](const BadInput&) { return kExitUsage; },
      },
      ending);
}

std::string Describe(const DialEnding& ending) {
  return std::visit(
      Overloaded{
          [](const Closed& closed) {
            const std::optional<int> code = CodeOf(closed.code);
            const std::string name = code.has_value()
                                         ? CodeName(*code)
                                         : std::string(CloseName(closed.code));
            std::string line = absl::StrCat("closed ", closed.code);
            if (!name.empty()) absl::StrAppend(&line, " (", name, ")");
            return WithReason(std::move(line), MessageOf(closed));
          },
          [](const ClosedByUs& closed) {
            return WithReason(absl::StrCat("closed 1000 (",
                                           CodeName(closed.status.code), ")"),
                              closed.status.message);
          },
          [](const GivenUp& given_up) {
            return WithReason(
                absl::StrCat("gave up (", CodeName(given_up.status.code), ")"),
                given_up.status.message);
          },
          [](const Refused& refused) {
            const absl::string_view body =
                absl::StripTrailingAsciiWhitespace(refused.body);
            return WithReason(absl::StrCat("refused: HTTP ", refused.http),
                              body.substr(0, kMaxBodyShown));
          },
          [](const Unreachable& unreachable) {
            return WithReason("could not connect", unreachable.why);
          },
          [](const Lost& lost) { return WithReason("lost", lost.why); },
          [](const BadInput& bad) { return WithReason("stopped", bad.why); },
      },
      ending);
}

std::string StatusJson(const DialEnding& ending) {
  return json::serialize(std::visit(
      Overloaded{
          [](const Closed& closed) {
            return CloseStatus(closed.code, CodeOf(closed.code),
                               MessageOf(closed));
          },
          [](const ClosedByUs& closed) {
            return CloseStatus(1000, closed.status.code, closed.status.message);
          },
          [](const GivenUp& given_up) {
            return CloseStatus(nullptr, given_up.status.code,
                               given_up.status.message);
          },
          [](const Refused& refused) { return RefusalStatus(refused); },
          [](const Unreachable& unreachable) {
            return CloseStatus(nullptr, std::nullopt, unreachable.why);
          },
          [](const Lost& lost) {
            return CloseStatus(nullptr, std::nullopt, lost.why);
          },
          [](const BadInput& bad) {
            return CloseStatus(nullptr, std::nullopt, bad.why);
          },
      },
      ending));
}

std::optional<absl::Duration> RetryAfter(const DialEnding& ending) {
  constexpr absl::Duration kLongest = absl::Minutes(5);
  absl::Duration wait;
  if (const auto* closed = std::get_if<Closed>(&ending)) {
    constexpr absl::string_view kKey = "retry-after=";
    const absl::string_view reason = closed->reason;
    const std::size_t key = reason.rfind(kKey);
    if (key == absl::string_view::npos ||
        !absl::ParseDuration(reason.substr(key + kKey.size()), &wait)) {
      return std::nullopt;
    }
  } else if (const auto* refused = std::get_if<Refused>(&ending)) {
    // Or a date, which no gateway sends.
    int seconds = 0;
    if (!absl::SimpleAtoi(refused->retry_after, &seconds)) return std::nullopt;
    wait = absl::Seconds(seconds);
  } else {
    return std::nullopt;
  }
  if (wait < absl::ZeroDuration()) return std::nullopt;
  return std::min(wait, kLongest);
}

bool IsPassing(const DialEnding& ending) {
  if (const auto* closed = std::get_if<Closed>(&ending)) {
    return closed->code == 1001 || closed->code == 1012 ||
           closed->code == 1013 || closed->code == 4014;
  }
  if (const auto* refused = std::get_if<Refused>(&ending)) {
    return refused->http == 503;
  }
  return std::holds_alternative<Unreachable>(ending) ||
         std::holds_alternative<Lost>(ending);
}

}  // namespace headgate
