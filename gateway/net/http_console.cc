#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "gateway/console/console.h"
#include "gateway/net/http_connection.h"

namespace headgate {

bool HttpConnection::AnswerConsoleRequest() {
  const HttpRequest& request = head_->request();
  std::optional<std::variant<Refusal, HttpTarget>> found =
      FindConsole(request, settings_->policy, peer_);
  if (!found) return false;
  if (const auto* refusal = std::get_if<Refusal>(&*found)) {
    Refuse(*refusal);
    return true;
  }
  const HttpTarget& target = std::get<HttpTarget>(*found);
  auto answer =
      AnswerConsole({request.method, target.encoded_path, target.query,
                     request.headers.Value("Sec-Fetch-Site")},
                    *settings_->policy.console);
  if (auto* response = std::get_if<ConsoleResponse>(&answer)) {
    Answer(response->status, std::move(response->fields),
           std::move(response->body), /*keep_alive=*/true);
    return true;
  }
  state_ = State::kFinding;
  std::unique_ptr<SchemaSource::Ticket> ticket =
      host_.GetSchema(std::get<NeedsSchema>(answer).upstream,
                      [this](const absl::StatusOr<SchemaSnapshot>& snapshot) {
                        OnConsoleSchema(snapshot);
                      });
  if (state_ != State::kFinding) return true;
  ticket_ = std::move(ticket);
  Receive();  // To see the client leave.
  return true;
}

void HttpConnection::OnConsoleSchema(
    const absl::StatusOr<SchemaSnapshot>& snapshot) {
  const auto self = shared_from_this();
  // What it owns may be what is calling.
  const std::unique_ptr<SchemaSource::Ticket> ticket = std::move(ticket_);
  ConsoleResponse response = snapshot.ok()
                                 ? SchemaResponse(*snapshot->schema)
                                 : SchemaUnknownResponse(snapshot.status());
  Answer(response.status, std::move(response.fields), std::move(response.body),
         /*keep_alive=*/true);
}

}  // namespace headgate
