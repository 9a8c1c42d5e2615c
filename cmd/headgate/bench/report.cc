#include "cmd/headgate/bench/report.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cmd/headgate/dial/text.h"

namespace headgate {
namespace {

constexpr std::size_t kMaxFailureLines = 5;
constexpr char kOtherReasons[] = "other reasons";

double PerSecond(const BenchResult& result) {
  if (result.seconds <= 0) return 0;
  return static_cast<double>(result.counts.messages) / result.seconds;
}

double Micros(double ns) { return ns / 1000; }
double Micros(std::int64_t ns) { return static_cast<double>(ns) / 1000; }

// Microseconds of processor for each message.
CpuTime PerMessage(const CpuTime& cpu, std::uint64_t messages) {
  if (messages == 0) return {};
  const double scale = 1e6 / static_cast<double>(messages);
  return {cpu.user * scale, cpu.system * scale};
}

double OfACore(double cpu_seconds, double seconds) {
  return seconds <= 0 ? 0 : cpu_seconds / seconds;
}

std::optional<double> RssPerIdle(const BenchResult::Idle& idle) {
  if (!idle.rss_growth_bytes.has_value() || idle.connections == 0) {
    return std::nullopt;
  }
  return static_cast<double>(*idle.rss_growth_bytes) /
         static_cast<double>(idle.connections);
}

// ---- JSON: objects whose members keep their order.

std::string Text(absl::string_view text) {
  return boost::json::serialize(
      boost::json::value(boost::json::string_view(text.data(), text.size())));
}

std::string Number(double number) { return absl::StrFormat("%.3f", number); }

std::string NumberOrNull(const std::optional<double>& number) {
  return number.has_value() ? Number(*number) : "null";
}

using Members = std::vector<std::pair<absl::string_view, std::string>>;

std::string Object(const Members& members) {
  return absl::StrCat("{",
                      absl::StrJoin(members, ",",
                                    [](std::string* out, const auto& member) {
                                      absl::StrAppend(out, Text(member.first),
                                                      ":", member.second);
                                    }),
                      "}");
}

std::string LatencyJson(const LatencyHistogram& latency) {
  return Object({{"min", Number(Micros(latency.min()))},
                 {"mean", Number(Micros(latency.mean()))},
                 {"p50", Number(Micros(latency.Percentile(50)))},
                 {"p90", Number(Micros(latency.Percentile(90)))},
                 {"p99", Number(Micros(latency.Percentile(99)))},
                 {"p999", Number(Micros(latency.Percentile(99.9)))},
                 {"max", Number(Micros(latency.max()))}});
}

std::string CpuJson(const CpuTime& cpu) {
  return Object({{"user", Number(cpu.user)},
                 {"system", Number(cpu.system)},
                 {"total", Number(cpu.total())}});
}

std::string ProcessJson(const BenchResult::Process& process,
                        std::uint64_t messages) {
  return Object({
      {"pid", absl::StrCat(process.pid)},
      {"cpu_us_per_message", CpuJson(PerMessage(process.cpu, messages))},
      {"cpu_seconds", Number(process.cpu.total())},
      {"rss_bytes_before", absl::StrCat(process.rss_bytes_before)},
      {"rss_bytes", absl::StrCat(process.rss_bytes)},
  });
}

std::string IdleJson(const BenchResult& result) {
  std::optional<double> share;
  if (result.process.has_value()) {
    share = OfACore(result.process->cpu.total(), result.seconds);
  }
  return Object({
      {"connections", absl::StrCat(result.idle->connections)},
      {"rss_bytes_per_connection", NumberOrNull(RssPerIdle(*result.idle))},
      {"cpu_share", NumberOrNull(share)},
  });
}

std::string ErrorsJson(const Failures& errors) {
  std::vector<std::string> members;
  for (const auto& [reason, times] : errors.counts()) {
    members.push_back(absl::StrCat(Text(reason), ":", times));
  }
  return absl::StrCat("{", absl::StrJoin(members, ","), "}");
}

// ---- Text

void Line(absl::string_view name, absl::string_view value, std::string& out) {
  absl::StrAppendFormat(&out, "%-12s%s\n", name, value);
}

std::string CpuText(const CpuTime& cpu) {
  return absl::StrFormat("%.2f us a message (user %.2f, system %.2f)",
                         cpu.total(), cpu.user, cpu.system);
}

double Mebibytes(std::uint64_t bytes) {
  return static_cast<double>(bytes) / (1024 * 1024);
}

void AppendProcess(const BenchResult& result, std::string& out) {
  const BenchResult::Process& process = *result.process;
  Line(absl::StrCat("pid ", process.pid),
       absl::StrFormat("%s; %.0f%% of a processor; %.1f MiB, %.1f before",
                       CpuText(PerMessage(process.cpu, result.counts.messages)),
                       100 * OfACore(process.cpu.total(), result.seconds),
                       Mebibytes(process.rss_bytes),
                       Mebibytes(process.rss_bytes_before)),
       out);
}

void AppendIdle(const BenchResult::Idle& idle, std::string& out) {
  std::string text = absl::StrCat(idle.connections, " connections");
  if (const auto rss = RssPerIdle(idle)) {
    absl::StrAppendFormat(&text, "; %.1f KiB of the process for each",
                          *rss / 1024);
  }
  Line("idle", text, out);
}

}  // namespace

void Failures::Add(absl::string_view reason, std::uint64_t times) {
  std::string key(reason);
  if (counts_.size() >= kMaxReasons && !counts_.contains(key)) {
    key = kOtherReasons;
  }
  counts_[key] += times;
}

void Failures::Merge(const Failures& other) {
  for (const auto& [reason, times] : other.counts_) Add(reason, times);
}

void LoadCounts::Merge(const LoadCounts& other) {
  latency.Merge(other.latency);
  messages += other.messages;
  bytes_sent += other.bytes_sent;
  bytes_received += other.bytes_received;
  late += other.late;
  unanswered += other.unanswered;
  unsent += other.unsent;
  connect_failures += other.connect_failures;
  errors.Merge(other.errors);
  codec_declined = codec_declined || other.codec_declined;
}

std::string ReportJson(const BenchResult& result) {
  const LoadCounts& counts = result.counts;
  Members members = {
      {"url", Text(result.url)},
      {"codec", Text(result.codec)},
      {"connections", absl::StrCat(result.connections)},
      {"in_flight", absl::StrCat(result.in_flight)},
      {"rate", NumberOrNull(result.rate)},
      {"size", absl::StrCat(result.size)},
      {"duration_seconds", absl::StrFormat("%.6f", result.seconds)},
      {"messages", absl::StrCat(counts.messages)},
      {"messages_per_second", Number(PerSecond(result))},
      {"errors", ErrorsJson(counts.errors)},
      {"connect_failures", absl::StrCat(counts.connect_failures)},
      {"late", absl::StrCat(counts.late)},
      {"unanswered", absl::StrCat(counts.unanswered)},
      {"unsent", absl::StrCat(counts.unsent)},
      {"latency_us", LatencyJson(counts.latency)},
      {"bytes_sent", absl::StrCat(counts.bytes_sent)},
      {"bytes_received", absl::StrCat(counts.bytes_received)},
      {"client_cpu_us_per_message",
       CpuJson(PerMessage(result.client_cpu, counts.messages))},
  };
  if (result.process.has_value()) {
    members.emplace_back("process",
                         ProcessJson(*result.process, counts.messages));
  }
  if (result.idle.has_value()) members.emplace_back("idle", IdleJson(result));
  return Object(members);
}

std::string ReportText(const BenchResult& result) {
  const LoadCounts& counts = result.counts;
  const LatencyHistogram& latency = counts.latency;
  std::string out;
  Line("messages",
       absl::StrFormat("%d in %.2f s: %.0f a second", counts.messages,
                       result.seconds, PerSecond(result)),
       out);
  if (result.rate.has_value()) {
    Line("asked for",
         absl::StrFormat(
             "%.10g a second; %d sent late, %d without an answer, %d "
             "not sent",
             *result.rate, counts.late, counts.unanswered, counts.unsent),
         out);
  }
  Line("latency",
       absl::StrFormat("p50 %.0f us  p90 %.0f  p99 %.0f  p99.9 %.0f  max %.0f",
                       Micros(latency.Percentile(50)),
                       Micros(latency.Percentile(90)),
                       Micros(latency.Percentile(99)),
                       Micros(latency.Percentile(99.9)), Micros(latency.max())),
       out);
  Line("bytes",
       absl::StrFormat("%d sent, %d received", counts.bytes_sent,
                       counts.bytes_received),
       out);
  Line("bench", CpuText(PerMessage(result.client_cpu, counts.messages)), out);
  if (result.process.has_value()) AppendProcess(result, out);
  if (result.idle.has_value()) AppendIdle(*result.idle, out);
  return out;
}

std::string ReportFailures(const BenchResult& result) {
  std::vector<std::pair<std::string, std::uint64_t>> reasons(
      result.counts.errors.counts().begin(),
      result.counts.errors.counts().end());
  std::stable_sort(
      reasons.begin(), reasons.end(),
      [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string out;
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    if (i == kMaxFailureLines) {
      absl::StrAppend(&out, "headgate bench: and ", reasons.size() - i,
                      " more reasons\n");
      break;
    }
    absl::StrAppend(&out, "headgate bench: ", reasons[i].second, " x ",
                    OneLine(reasons[i].first), "\n");
  }
  return out;
}

}  // namespace headgate
