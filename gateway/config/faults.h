#ifndef GATEWAY_CONFIG_FAULTS_H_
#define GATEWAY_CONFIG_FAULTS_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace headgate {

// What is wrong with one setting.
struct Fault {
  std::string field;  // "routes[2].upstream"
  std::string text;   // "no upstream is named 'chta'"
  // The part of the settings that it is a contradiction to, "upstreams"; empty
  // for what is wrong by itself. With a fault over there it may be none.
  std::string contradicts;
};

// Faults, in the order in which they were found. Each check names its field.
class Faults {
 public:
  // Whether the files that settings name are looked at.
  enum class Files { kRead, kIgnored };
  explicit Faults(Files files = Files::kRead) : files_(files) {}
  bool reads_files() const { return files_ == Files::kRead; }

  void Add(absl::string_view field, absl::string_view text,
           absl::string_view contradicts = "") {
    constexpr std::size_t kMost = 2000;  // Nobody reads so many.
    if (list_.size() >= kMost) return;
    list_.push_back(
        {std::string(field), std::string(text), std::string(contradicts)});
  }
  template <typename Number>
  void Range(absl::string_view field, Number value, Number lowest,
             Number highest) {
    if (value < lowest) {
      Add(field, absl::StrCat("must be at least ", lowest, ", is ", value));
    } else if (value > highest) {
      Add(field, absl::StrCat("must be at most ", highest, ", is ", value));
    }
  }
  void AtLeast(absl::string_view field, absl::Duration value,
               absl::Duration lowest);

  const std::vector<Fault>& list() const { return list_; }

 private:
  const Files files_;
  std::vector<Fault> list_;
};

// Lines as one INVALID_ARGUMENT, the first hundred of them; OK when there are
// none.
absl::Status JoinLines(const std::vector<std::string>& lines);

}  // namespace headgate

#endif  // GATEWAY_CONFIG_FAULTS_H_
