#include "gateway/session/session_guard.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"

namespace headgate {
namespace {

// What may come at once. Of bytes never less than one message may have.
double BurstOf(const RateLimit& limit, double least) {
  if (!limit.limited()) return 0;
  return limit.burst > 0 ? limit.burst : std::max(limit.per_second, least);
}

// 0 to 1, by the session.
double ShareOf(absl::string_view id) {
  return static_cast<double>(absl::HashOf(id) % 1000) / 1000;
}

// Up to a tenth less.
absl::Duration Shortened(absl::Duration age, absl::string_view id) {
  if (age == absl::InfiniteDuration()) return age;
  return age * (1 - ShareOf(id) / 10);
}

// When a session with a token ends that expires then.
absl::Time TokenEnd(absl::Time expiry, absl::Duration leeway,
                    absl::string_view id) {
  return expiry + leeway * (1 + ShareOf(id) / 5);
}

SessionGuard::Violation TooFast(Limit limit, const RateLimit& rate) {
  return {
      limit,
      {CloseCode::kPolicyViolation,
       CallEnd{absl::ResourceExhaustedError(absl::StrCat(
                   "more than ", LimitName(limit), " (",
                   static_cast<std::uint64_t>(rate.per_second), ") came in")),
               ""}}};
}

SessionGuard::Violation TimeIsUp(Limit limit, absl::Status status) {
  return {limit, {CloseCode::kGoingAway, CallEnd{std::move(status), ""}}};
}

}  // namespace

absl::string_view LimitName(Limit limit) {
  switch (limit) {
    case Limit::kMessageBytes:
      return "max_message_bytes";
    case Limit::kMessageRate:
      return "messages_per_second";
    case Limit::kByteRate:
      return "bytes_per_second";
    case Limit::kIdle:
      return "idle_timeout";
    case Limit::kMaxAge:
      return "max_age";
    case Limit::kSendTimeout:
      return "send_timeout";
    case Limit::kStall:
      return "stall_timeout";
    case Limit::kKeepalive:
      return "keepalive_timeout";
    case Limit::kMessageTime:
      return "message_timeout";
    case Limit::kTokenExpiry:
      return "token_expiry";
    case Limit::kMemory:
      break;
  }
  return "max_memory";
}

SessionGuard::SessionGuard(const Route& route, absl::string_view id,
                           absl::Time token_expiry)
    : route_(route),
      messages_(route.messages.per_second, BurstOf(route.messages, 1)),
      bytes_(
          route.bytes.per_second,
          BurstOf(route.bytes, static_cast<double>(route.max_message_bytes)) +
              kFramingBytes),
      max_age_(Shortened(route.max_age, id)),
      token_end_(TokenEnd(token_expiry, route.token.leeway, id)) {}

void SessionGuard::SetTokenExpiry(absl::string_view id,
                                  absl::Time token_expiry) {
  token_end_ = TokenEnd(token_expiry, route_.token.leeway, id);
}

void SessionGuard::Start(absl::Time now) {
  started_at_ = active_at_ = now;
  Refill(now);
}

void SessionGuard::Refill(absl::Time now) {
  messages_.Refill(now);
  bytes_.Refill(now);
}

std::optional<SessionGuard::Violation> SessionGuard::OnReceived(
    std::size_t messages, std::size_t bytes) {
  if (route_.messages.limited() &&
      !messages_.Take(static_cast<double>(messages))) {
    return TooFast(Limit::kMessageRate, route_.messages);
  }
  if (route_.bytes.limited() && !bytes_.Take(static_cast<double>(bytes))) {
    return TooFast(Limit::kByteRate, route_.bytes);
  }
  return std::nullopt;
}

std::optional<SessionGuard::Violation> SessionGuard::OnTick(
    absl::Time now, std::uint64_t activity) {
  Refill(now);
  if (activity != activity_) active_at_ = now;
  activity_ = activity;
  if (now - started_at_ >= max_age_) {
    return TimeIsUp(
        Limit::kMaxAge,
        absl::UnavailableError(absl::StrCat(
            "the session has lasted for its max_age (",
            absl::FormatDuration(route_.max_age), "), connect again")));
  }
  if (now >= token_end_) {
    return Violation{
        Limit::kTokenExpiry,
        EndingOf(absl::UnauthenticatedError("the token has expired"))};
  }
  if (now - active_at_ >= route_.idle_timeout) {
    return TimeIsUp(Limit::kIdle,
                    absl::DeadlineExceededError(absl::StrCat(
                        "no message for idle_timeout (",
                        absl::FormatDuration(route_.idle_timeout), ")")));
  }
  return std::nullopt;
}

}  // namespace headgate
