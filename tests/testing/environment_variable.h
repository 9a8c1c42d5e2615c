#ifndef TESTS_TESTING_ENVIRONMENT_VARIABLE_H_
#define TESTS_TESTING_ENVIRONMENT_VARIABLE_H_

#include <stdlib.h>

#include <optional>
#include <string>

namespace headgate {

// A variable of the environment that is unset during a test, unless it is Set.
class EnvironmentVariable {
 public:
  explicit EnvironmentVariable(const char* name) : name_(name) {
    if (const char* before = getenv(name)) before_ = before;
    unsetenv(name);
  }
  ~EnvironmentVariable() {
    if (before_) {
      Set(*before_);
    } else {
      unsetenv(name_);
    }
  }
  void Set(const std::string& value) { setenv(name_, value.c_str(), 1); }

 private:
  const char* const name_;
  std::optional<std::string> before_;
};

}  // namespace headgate

#endif  // TESTS_TESTING_ENVIRONMENT_VARIABLE_H_
