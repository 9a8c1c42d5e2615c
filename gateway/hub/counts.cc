#include "gateway/hub/counts.h"

namespace headgate {
namespace {

constexpr double kFanoutBounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                    0.05,   0.1,   0.25,   0.5,   1,    2.5};

}  // namespace

HubCounts::HubCounts() : fanout(kFanoutBounds) {}

void HubCounts::CountCommand(std::size_t command, const absl::Status& status) {
  const std::size_t outcome =
      status.ok() ? 0 : (absl::IsNotFound(status) ? 1 : 2);
  ++commands[command][outcome];
}

void HubCounts::Add(const HubCounts& other) {
  for (const auto member : {&HubCounts::joined,
                            &HubCounts::messages,
                            &HubCounts::left,
                            &HubCounts::published_by_stream,
                            &HubCounts::published_by_api,
                            &HubCounts::published_by_clients,
                            &HubCounts::published_elsewhere,
                            &HubCounts::recoveries,
                            &HubCounts::recoveries_lost,
                            &HubCounts::recoveries_failed,
                            &HubCounts::gaps,
                            &HubCounts::deliveries,
                            &HubCounts::encodings,
                            &HubCounts::sends,
                            &HubCounts::streams_opened,
                            &HubCounts::streams_lost,
                            &HubCounts::abandoned,
                            &HubCounts::dropped,
                            &HubCounts::slow,
                            &HubCounts::resumes,
                            &HubCounts::resumes_refused}) {
    this->*member += other.*member;
  }
  for (std::size_t i = 0; i < commands.size(); ++i) {
    for (std::size_t j = 0; j < commands[i].size(); ++j) {
      commands[i][j] += other.commands[i][j];
    }
  }
  fanout.Merge(other.fanout);
}

}  // namespace headgate
