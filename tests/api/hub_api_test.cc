#include "gateway/api/hub_api.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "headgate/v1/hub_service.grpc.pb.h"

namespace headgate {
namespace {

// Hubs that never have the time.
class BusyHubs final : public HubApiHost {
 public:
  void RunOnHubs(std::size_t, Work work) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    given_.push_back(std::move(work));
    changes_.notify_all();
  }
  void OnApiRequest(absl::string_view method,
                    const absl::Status& status) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    ended_.push_back(
        absl::StrCat(method, " ", absl::StatusCodeToString(status.code())));
    changes_.notify_all();
  }

  bool WaitForWork() {
    return Wait([this] { return !given_.empty(); });
  }
  bool WaitForEnd(const std::string& request) {
    return Wait([this, &request] {
      return std::find(ended_.begin(), ended_.end(), request) != ended_.end();
    });
  }
  void RefuseAll() {
    std::vector<Work> given;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      given = std::exchange(given_, {});
    }
    for (const Work& work : given) work(absl::UnavailableError("busy"));
  }

 private:
  template <typename Condition>
  bool Wait(Condition condition) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changes_.wait_for(lock, std::chrono::seconds(30), condition);
  }

  std::mutex mutex_;
  std::condition_variable changes_;
  std::vector<Work> given_;
  std::vector<std::string> ended_;
};

TEST(HubApiTest, ItsConnectionsTakeAnEighthOfTheDescriptorsAtMost) {
  EXPECT_EQ(HubApi::MostConnections(1 << 20), 128u);
  EXPECT_EQ(HubApi::MostConnections(512), 32u);
  EXPECT_EQ(HubApi::MostConnections(16), 2u);
}

// Else the gateway could not stop before the hubs have the time.
TEST(HubApiTest, APublishStreamThatIsCancelledDoesNotWaitForTheHubs) {
  BusyHubs hubs;
  HubApiSettings settings;
  settings.address = "127.0.0.1:0";
  auto api = HubApi::Start(settings, hubs, 2);
  ASSERT_TRUE(api.ok()) << api.status();
  const auto stub = v1::HubService::NewStub(grpc::CreateChannel(
      (*api)->address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext call;
  call.set_wait_for_ready(true);
  const auto stream = stub->PublishStream(&call);
  v1::PublishRequest request;
  request.add_groups("a");
  ASSERT_TRUE(stream->Write(request));
  ASSERT_TRUE(hubs.WaitForWork());
  call.TryCancel();
  const bool has_ended = hubs.WaitForEnd("Publish CANCELLED");
  EXPECT_TRUE(has_ended);
  if (!has_ended) hubs.RefuseAll();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  api->reset();
  hubs.RefuseAll();  // Touches nothing of it.
}

}  // namespace
}  // namespace headgate
