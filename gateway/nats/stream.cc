#include "gateway/nats/stream.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gateway/hub/subjects.h"

namespace headgate {
namespace {

absl::string_view HeaderOf(natsMsg* message, const char* name) {
  const char* value = nullptr;
  if (natsMsgHeader_Get(message, name, &value) != NATS_OK || value == nullptr) {
    return "";
  }
  return value;
}

std::uint64_t NumberOf(natsMsg* message, const char* name) {
  std::uint64_t number = 0;
  return absl::SimpleAtoi(HeaderOf(message, name), &number) ? number : 0;
}

std::string DataOf(natsMsg* message) {
  return std::string(natsMsg_GetData(message),
                     static_cast<std::size_t>(natsMsg_GetDataLength(message)));
}

absl::Status Failure(const StreamSettings& settings, absl::string_view what,
                     natsStatus status) {
  const char* const text = nats_GetLastError(nullptr);
  return absl::UnavailableError(absl::StrCat(
      "JetStream: stream ", settings.name, " ", what, ": ",
      text != nullptr && *text != '\0' ? text : natsStatus_GetText(status)));
}

bool IsText(const char* text, const std::string& wanted) {
  return text != nullptr && wanted == text;
}

// Whether it stores and republishes as gateways need it.
bool Serves(const jsStreamConfig& config, const jsStreamConfig& wanted) {
  return config.SubjectsLen == 1 &&
         IsText(config.Subjects[0], wanted.Subjects[0]) &&
         config.RePublish != nullptr &&
         IsText(config.RePublish->Source, wanted.RePublish->Source) &&
         IsText(config.RePublish->Destination, wanted.RePublish->Destination) &&
         !config.RePublish->HeadersOnly && config.AllowDirect &&
         config.Retention == wanted.Retention &&
         config.Discard == wanted.Discard;
}

bool IsAsWanted(const jsStreamConfig& config, const jsStreamConfig& wanted) {
  return Serves(config, wanted) && config.Storage == wanted.Storage &&
         config.Replicas == wanted.Replicas &&
         config.MaxBytes == wanted.MaxBytes && config.MaxAge == wanted.MaxAge &&
         config.MaxMsgsPerSubject == wanted.MaxMsgsPerSubject &&
         config.Duplicates == wanted.Duplicates;
}

}  // namespace

StreamSettings StreamSettings::From(const HubSettings& settings) {
  StreamSettings stream;
  stream.nats = *settings.nats;
  stream.prefix = stream.nats.prefix;
  stream.name = HubSubjects::Escape(stream.prefix);
  for (const HubGroupSettings& group : settings.groups) {
    stream.records = std::max<std::int64_t>(stream.records, group.history);
    stream.age = std::max(stream.age, group.history_age);
  }
  return stream;
}

std::string StreamSettings::FetchSubject() const {
  return absl::StrCat("$JS.API.DIRECT.GET.", name);
}

std::string StreamSettings::FetchBody(absl::string_view subject,
                                      std::uint64_t from) {
  if (from == 0) return absl::StrCat("{\"last_by_subj\":\"", subject, "\"}");
  return absl::StrCat("{\"seq\":", from, ",\"next_by_subj\":\"", subject,
                      "\"}");
}

absl::StatusOr<HistoryStore> PrepareStream(natsConnection* connection,
                                           const StreamSettings& settings) {
  jsOptions options;
  jsOptions_Init(&options);
  options.Wait = 2000;
  jsCtx* made = nullptr;
  natsStatus status = natsConnection_JetStream(&made, connection, &options);
  if (status != NATS_OK) return Failure(settings, "cannot be reached", status);
  const std::unique_ptr<jsCtx, void (*)(jsCtx*)> context(made, &jsCtx_Destroy);

  const std::string in = absl::StrCat(settings.prefix, ".in.>");
  const std::string out = absl::StrCat(settings.prefix, ".out.>");
  const char* subjects[] = {in.c_str()};
  jsRePublish republish;
  jsRePublish_Init(&republish);
  republish.Source = in.c_str();
  republish.Destination = out.c_str();
  jsStreamConfig wanted;
  jsStreamConfig_Init(&wanted);
  wanted.Name = settings.name.c_str();
  wanted.Subjects = subjects;
  wanted.SubjectsLen = 1;
  wanted.Retention = js_LimitsPolicy;
  wanted.Discard = js_DiscardOld;
  wanted.MaxBytes = static_cast<std::int64_t>(settings.nats.max_bytes);
  wanted.MaxAge = absl::ToInt64Nanoseconds(settings.age);
  wanted.MaxMsgsPerSubject = settings.records;
  wanted.Storage = settings.nats.storage == NatsSettings::Storage::kMemory
                       ? js_MemoryStorage
                       : js_FileStorage;
  wanted.Replicas = settings.nats.replicas;
  wanted.Duplicates = absl::ToInt64Nanoseconds(settings.nats.duplicate_window);
  wanted.RePublish = &republish;
  wanted.AllowDirect = true;

  const auto destroy = [](jsStreamInfo* info) { jsStreamInfo_Destroy(info); };
  std::unique_ptr<jsStreamInfo, decltype(destroy)> info(nullptr, destroy);
  jsStreamInfo* found = nullptr;
  status = js_GetStreamInfo(&found, made, wanted.Name, &options, nullptr);
  info.reset(found);
  const bool is_missing = status == NATS_NOT_FOUND;
  if (status != NATS_OK && (!is_missing || !settings.nats.manage_stream)) {
    return Failure(settings, "cannot be read", status);
  }
  if (settings.nats.manage_stream) {
    found = nullptr;
    if (is_missing) {
      status = js_AddStream(&found, made, &wanted, &options, nullptr);
      if (status != NATS_OK) {
        return Failure(settings, "cannot be created", status);
      }
      info.reset(found);
    } else if (!IsAsWanted(*info->Config, wanted)) {
      status = js_UpdateStream(&found, made, &wanted, &options, nullptr);
      if (status != NATS_OK) {
        return Failure(settings, "cannot be changed", status);
      }
      info.reset(found);
    }
  } else if (!Serves(*info->Config, wanted)) {
    return absl::UnavailableError(absl::StrCat(
        "JetStream: stream ", settings.name, " must have the subject ", in,
        " alone, republish it to ", out,
        ", allow direct access, and have retention limits and discard old "
        "(manage_stream is false)"));
  }
  HistoryStore store;
  // Streams of one name differ in the time when they were created.
  store.epoch =
      absl::StrCat(absl::Hex(static_cast<std::uint64_t>(info->Created)));
  store.last_offset = info->State.LastSeq;
  const std::int64_t most = info->Config->MaxBytes;
  store.is_full =
      most > 0 && info->State.Bytes > static_cast<std::uint64_t>(most) / 2;
  return store;
}

absl::StatusOr<StreamReply> ReplyFrom(natsMsg* message) {
  if (natsMsg_IsNoResponders(message)) {
    return absl::UnavailableError("JetStream: the stream does not answer");
  }
  const absl::string_view status = HeaderOf(message, "Status");
  StreamReply reply;
  reply.is_not_found = status == "404";
  if (!status.empty() && !reply.is_not_found) {
    return absl::UnavailableError(absl::StrCat("JetStream: status ", status));
  }
  reply.offset = NumberOf(message, "Nats-Sequence");
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, HeaderOf(message, "Nats-Time-Stamp"),
                       &reply.stored_at, &error)) {
    reply.stored_at = absl::InfinitePast();
  }
  reply.data = DataOf(message);
  return reply;
}

absl::StatusOr<std::optional<StoredRecord>> RecordFrom(
    const StreamReply& reply) {
  if (reply.is_not_found) return std::nullopt;
  if (reply.offset == 0) {
    return absl::UnavailableError("JetStream: the response is not a record");
  }
  return StoredRecord{reply.offset, 0, reply.data, reply.stored_at};
}

StoredRecord RestoredFrom(natsMsg* message) {
  return {NumberOf(message, "Nats-Sequence"),
          NumberOf(message, "Nats-Last-Sequence"), DataOf(message),
          absl::InfinitePast()};
}

}  // namespace headgate
