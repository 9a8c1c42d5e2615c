#include "cmd/headgate/live.h"

#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "absl/strings/str_cat.h"
#include "gateway/upstream/loop_turn.h"
#include "gateway/upstream/pooled_upstream.h"
#include "gateway/upstream/reflection.h"

namespace headgate {
namespace {

// A server may send all files in one response.
constexpr std::size_t kMaxResponseBytes = 64 << 20;

class Fetch final : private ReflectionObserver {
 public:
  Fetch(const UpstreamSettings& settings, absl::Duration timeout)
      : timeout_(timeout),
        upstream_(MakePooledUpstream({settings, kMaxResponseBytes}, io_context_,
                                     turn_)) {}

  ReflectedFiles Run() {
    for (const ReflectionVersion version :
         {ReflectionVersion::kV1, ReflectionVersion::kV1Alpha}) {
      reflected_.reset();
      conversation_ = AskReflection(*upstream_, version, timeout_, *this);
      const auto work = boost::asio::make_work_guard(io_context_);
      while (!reflected_) {
        io_context_.restart();
        io_context_.run_one();
      }
      if (!absl::IsUnimplemented(reflected_->status)) break;
    }
    upstream_.reset();
    // Until nothing is left of the call.
    io_context_.restart();
    io_context_.run();
    return *std::move(reflected_);
  }

 private:
  void OnReflected(ReflectedFiles reflected) override {
    const auto done = std::move(conversation_);  // It is calling.
    reflected_ = std::move(reflected);
  }

  const absl::Duration timeout_;
  boost::asio::io_context io_context_{1};
  LoopTurn turn_{io_context_};
  std::unique_ptr<PooledUpstream> upstream_;
  std::optional<ReflectedFiles> reflected_;
  std::unique_ptr<ReflectionConversation> conversation_;
};

}  // namespace

absl::StatusOr<std::vector<google::protobuf::FileDescriptorProto>>
FetchDescriptors(const UpstreamSettings& upstream, absl::Duration timeout,
                 std::vector<std::string>* warnings) {
  ReflectedFiles reflected = Fetch(upstream, timeout).Run();
  if (!reflected.status.ok()) return reflected.status;
  std::vector<google::protobuf::FileDescriptorProto> files;
  for (const ReflectedFiles::File& file : reflected.files) {
    if (!files.emplace_back().ParseFromString(file.bytes)) {
      warnings->push_back(absl::StrCat(file.name, ": is no file descriptor"));
      files.pop_back();
    }
  }
  warnings->insert(warnings->end(), reflected.warnings.begin(),
                   reflected.warnings.end());
  return files;
}

}  // namespace headgate
