#include "gateway/console/console.h"

#include <algorithm>
#include <cstddef>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gateway/base/status.h"
#include "gateway/base/utf8.h"
#include "gateway/console/assets.h"
#include "gateway/route/plan.h"
#include "gateway/schema/json_string.h"

namespace headgate {
namespace {

// What a browser takes in without trouble.
constexpr std::size_t kMaxSchemaBytes = 4 << 20;

// Nothing but the console's own files, no code from text, and no page around
// it.
constexpr char kContentSecurityPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'";

ConsoleResponse Respond(int status, absl::string_view media_type,
                        std::string body) {
  return {status,
          {{"Content-Type", std::string(media_type)},
           {"Cache-Control", "no-store"},
           {"Content-Security-Policy", kContentSecurityPolicy},
           {"Cross-Origin-Opener-Policy", "same-origin"},
           {"Cross-Origin-Resource-Policy", "same-origin"},
           {"Referrer-Policy", "no-referrer"},
           {"X-Content-Type-Options", "nosniff"},
           {"X-Frame-Options", "DENY"}},
          std::move(body)};
}

std::string Quote(absl::string_view text) {
  std::string json;
  AppendJsonString(ToUtf8(text), json);
  return json;
}

// As the gateway's other errors.
ConsoleResponse Fail(int status, absl::StatusCode code,
                     absl::string_view message) {
  return Respond(status, "application/json",
                 absl::StrCat("{\"code\":", static_cast<int>(code),
                              ",\"message\":", Quote(message), "}\n"));
}

absl::string_view MediaTypeOf(absl::string_view file) {
  if (absl::EndsWith(file, ".html")) return "text/html; charset=utf-8";
  if (absl::EndsWith(file, ".css")) return "text/css; charset=utf-8";
  if (absl::EndsWith(file, ".js")) return "text/javascript; charset=utf-8";
  return "image/svg+xml";
}

// "name":"value", for members that are there.
void AppendText(absl::string_view name, absl::string_view value,
                std::string& json) {
  if (value.empty()) return;
  if (json.back() != '{') json += ',';
  absl::StrAppend(&json, "\"", name, "\":", Quote(value));
}
void AppendRaw(absl::string_view name, absl::string_view value,
               std::string& json) {
  if (json.back() != '{') json += ',';
  absl::StrAppend(&json, "\"", name, "\":", value);
}

template <typename Range, typename Format>
std::string ListOf(const Range& range, Format format) {
  std::string json = "[";
  for (const auto& one : range) {
    absl::StrAppend(&json, json.size() == 1 ? "" : ",", format(one));
  }
  return json + "]";
}

void AppendPacket(const Route& route, std::string& json) {
  const PacketOptions& packet = route.packet;
  std::string options = "{";
  AppendText("order",
             packet.order == PacketOptions::Order::kTypeLengthWho
                 ? "type-length-who"
                 : "type-who-length",
             options);
  AppendText("endian",
             packet.endian == PacketOptions::Endian::kBig ? "big" : "little",
             options);
  AppendText("lengthCounts",
             packet.length_counts == PacketOptions::LengthCounts::kContent
                 ? "content"
                 : "packet",
             options);
  AppendRaw("containerTypes",
            ListOf(packet.container_types,
                   [](std::uint32_t type) { return absl::StrCat(type); }),
            options);
  if (const auto* calls = std::get_if<MethodTable>(&route.target)) {
    std::vector<std::pair<std::uint32_t, std::string>> methods(
        calls->methods.begin(), calls->methods.end());
    std::sort(methods.begin(), methods.end());
    std::string table = "{";
    for (const auto& [type, method] : methods) {
      AppendText(absl::StrCat(type), method, table);
    }
    AppendRaw("methods", table + "}", options);
    AppendText("content",
               calls->content == PacketContent::kJson ? "json" : "protobuf",
               options);
  }
  AppendRaw("packet", options + "}", json);
}

std::string RouteJson(const Route& route) {
  const auto codec_name = [](const Dialect* codec) {
    return Quote(codec->name);
  };
  const RoutePlan plan = PlanRoute(route);
  std::string json = "{";
  AppendRaw("hosts", ListOf(route.hosts, Quote), json);
  AppendText("path", route.path, json);
  AppendText("prefix", route.prefix, json);
  AppendText("template", route.path_template, json);
  if (route.strip_prefix) AppendRaw("stripPrefix", "true", json);
  AppendText("upstream", route.upstream, json);
  if (const auto* fixed = std::get_if<FixedMethod>(&route.target)) {
    AppendText("method", fixed->method, json);
  } else if (const auto* path = std::get_if<ServicePath>(&route.target)) {
    AppendText("service", path->service, json);
  } else if (std::holds_alternative<HttpRuleSet>(route.target)) {
    AppendRaw("httpRules", "true", json);
  } else if (const auto* hub = std::get_if<HubTarget>(&route.target)) {
    std::string about = "{";
    AppendText("message", hub->message, about);
    AppendRaw("hub", about + "}", json);
  }
  if (plan.codec != nullptr) AppendText("codec", plan.codec->name, json);
  AppendRaw("codecs", ListOf(plan.allowed_codecs, codec_name), json);
  if (route.json.envelope == JsonCodecOptions::Envelope::kResult) {
    AppendText("envelope", "result", json);
  }
  if (std::count(plan.allowed_codecs.begin(), plan.allowed_codecs.end(),
                 &kPacketDialect) > 0) {
    AppendPacket(route, json);
  }
  return json + "}";
}

}  // namespace

bool IsConsolePath(absl::string_view path) {
  return absl::ConsumePrefix(&path, kConsolePath) &&
         (path.empty() || path[0] == '/');
}

std::shared_ptr<const ConsoleIndex> MakeConsoleIndex(const Settings& settings) {
  auto index = std::make_shared<ConsoleIndex>();
  for (const UpstreamSettings& upstream : settings.upstreams) {
    index->upstreams.push_back(upstream.name);
  }
  index->json =
      absl::StrCat("{\"version\":", Quote(HEADGATE_VERSION),
                   ",\"upstreams\":", ListOf(index->upstreams, Quote),
                   ",\"routes\":", ListOf(settings.routes, RouteJson), "}\n");
  return index;
}

std::variant<ConsoleResponse, NeedsSchema> AnswerConsole(
    const ConsoleRequest& request, const ConsoleIndex& index) {
  if (request.verb != "GET" && request.verb != "HEAD") {
    ConsoleResponse response =
        Fail(405, absl::StatusCode::kUnimplemented, "GET and HEAD only");
    response.fields.emplace_back("Allow", "GET, HEAD");
    return response;
  }
  absl::string_view name = absl::StripPrefix(request.path, kConsolePath);
  if (name.empty()) {
    ConsoleResponse response = Respond(308, "text/plain; charset=utf-8", "");
    response.fields.emplace_back("Location", absl::StrCat(kConsolePath, "/"));
    return response;
  }
  name.remove_prefix(1);
  if (absl::ConsumePrefix(&name, "api/")) {
    // Browsers say where a request comes from; others do not matter here, for a
    // page cannot read the response.
    if (!request.fetch_site.empty() && request.fetch_site != "same-origin" &&
        request.fetch_site != "none") {
      return Fail(403, absl::StatusCode::kPermissionDenied,
                  "for pages of the console only");
    }
    if (name == "index") {
      return Respond(200, "application/json", index.json);
    }
    if (name == "schema") {
      const auto named = std::find_if(
          request.query.begin(), request.query.end(),
          [](const Parameter& one) { return one.field == "upstream"; });
      if (named != request.query.end() &&
          std::count(index.upstreams.begin(), index.upstreams.end(),
                     named->value) > 0) {
        return NeedsSchema{named->value};
      }
      return Fail(404, absl::StatusCode::kNotFound,
                  "there is no upstream of that name");
    }
  } else {
    const std::string file = name.empty()     ? "index.html"
                             : name == "chat" ? "chat.html"
                                              : std::string(name);
    if (const ConsoleAsset* asset = FindConsoleAsset(file)) {
      return Respond(200, MediaTypeOf(file), std::string(asset->text));
    }
  }
  return Fail(404, absl::StatusCode::kNotFound,
              absl::StrCat("the console has no ", request.path));
}

ConsoleResponse SchemaResponse(const Schema& schema) {
  return Respond(200, "application/json", SchemaJson(schema, kMaxSchemaBytes));
}

ConsoleResponse SchemaUnknownResponse(const absl::Status& status) {
  return Fail(HttpStatusFor(status.code()), status.code(), status.message());
}

}  // namespace headgate
