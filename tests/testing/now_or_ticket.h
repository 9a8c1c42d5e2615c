#ifndef TESTS_TESTING_NOW_OR_TICKET_H_
#define TESTS_TESTING_NOW_OR_TICKET_H_

#include <memory>
#include <utility>
#include <variant>

#include "gateway/upstream/schema_source.h"

namespace headgate::testing {

// Gives `answer` what is known now, and returns null; or returns the ticket.
template <typename T, typename Answer>
std::unique_ptr<SchemaSource::Ticket> AnswerOrTicket(
    std::variant<T, std::unique_ptr<SchemaSource::Ticket>> found,
    const Answer& answer) {
  if (const T* now = std::get_if<T>(&found)) {
    answer(*now);
    return nullptr;
  }
  return std::get<std::unique_ptr<SchemaSource::Ticket>>(std::move(found));
}

}  // namespace headgate::testing

#endif  // TESTS_TESTING_NOW_OR_TICKET_H_
