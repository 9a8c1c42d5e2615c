#ifndef BACKEND_LIBRARY_STORE_H_
#define BACKEND_LIBRARY_STORE_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "headgate/demo/v1/library.pb.h"

namespace headgate {

// The books and files of the library, in memory. It begins with a few books,
// and holds a thousand books and files at most, 64 KiB and 1 MiB each.
//
// Safe for any thread.
class LibraryStore {
 public:
  LibraryStore();

  // How many books there are.
  std::size_t size() const;
  // NOT_FOUND: there is no book of that name.
  absl::StatusOr<demo::v1::Book> Get(const std::string& name) const;
  // In order of their names.
  std::vector<demo::v1::Book> List(
      const demo::v1::ListBooksRequest& request) const;
  // Its name is made of `parent` and `id`; an empty id is made up.
  // ALREADY_EXISTS, INVALID_ARGUMENT for what is not "shelves/SHELF".
  absl::StatusOr<demo::v1::Book> Create(const std::string& parent,
                                        const std::string& id,
                                        demo::v1::Book book);
  absl::StatusOr<demo::v1::Book> Update(
      const demo::v1::UpdateBookRequest& request);
  absl::Status Delete(const std::string& name);
  absl::StatusOr<demo::v1::Book> Move(const std::string& name,
                                      const std::string& shelf);
  absl::StatusOr<demo::v1::Book> Archive(const std::string& name);

  struct File {
    std::string content_type;
    std::string data;
  };
  absl::StatusOr<File> Read(const std::string& path) const;
  absl::Status Write(const std::string& path, File file);

 private:
  absl::Status AddLocked(demo::v1::Book book)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable absl::Mutex mu_;
  std::map<std::string, demo::v1::Book> books_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, File> files_ ABSL_GUARDED_BY(mu_);
  int next_id_ ABSL_GUARDED_BY(mu_) = 100;
};

}  // namespace headgate

#endif  // BACKEND_LIBRARY_STORE_H_
