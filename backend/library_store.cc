#include "backend/library_store.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include <google/protobuf/util/field_mask_util.h>
#include <google/protobuf/util/time_util.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace headgate {
namespace {

using demo::v1::Book;
using google::protobuf::util::FieldMaskUtil;

constexpr std::size_t kMaxEntries = 1000;
constexpr std::size_t kMaxBookBytes = 64 * 1024;
constexpr std::size_t kMaxFileBytes = 1024 * 1024;

Book MakeBook(const std::string& name, const std::string& title,
              const std::string& author, demo::v1::Genre genre, int pages,
              const std::string& published) {
  Book book;
  book.set_name(name);
  book.set_title(title);
  book.mutable_author()->set_full_name(author);
  book.set_genre(genre);
  book.set_pages(pages);
  (*book.mutable_copies())["main"] = 2;
  google::protobuf::util::TimeUtil::FromString(published,
                                               book.mutable_published());
  return book;
}

// "shelves/SHELF"
bool IsShelf(const std::string& name) {
  const std::vector<std::string> parts = absl::StrSplit(name, '/');
  return parts.size() == 2 && parts[0] == "shelves" && !parts[1].empty();
}

bool Fits(const Book& book, const demo::v1::ListBooksRequest& request) {
  if (request.parent() != "shelves/-" &&
      !absl::StartsWith(book.name(), absl::StrCat(request.parent(), "/"))) {
    return false;
  }
  const auto& genres = request.genres();
  if (!genres.empty() &&
      std::find(genres.begin(), genres.end(), book.genre()) == genres.end()) {
    return false;
  }
  const auto& filter = request.filter();
  if (!absl::StrContains(book.title(), filter.title_contains()) ||
      !absl::StrContains(book.author().full_name(),
                         filter.author().full_name())) {
    return false;
  }
  if (request.has_published_after() &&
      !(request.published_after() < book.published())) {
    return false;
  }
  if (request.has_archived() && request.archived().value() != book.archived()) {
    return false;
  }
  for (const auto& [branch, count] : request.copies()) {
    const auto found = book.copies().find(branch);
    if (found == book.copies().end() || found->second < count) return false;
  }
  return true;
}

absl::Status NoSuchBook(const std::string& name) {
  return absl::NotFoundError(absl::StrCat("there is no book ", name));
}

}  // namespace

LibraryStore::LibraryStore() {
  for (Book& book : std::vector<Book>{
           MakeBook("shelves/classics/books/dune", "Dune", "Frank Herbert",
                    demo::v1::GENRE_NOVEL, 412, "1965-08-01T00:00:00Z"),
           MakeBook("shelves/classics/books/emma", "Emma", "Jane Austen",
                    demo::v1::GENRE_NOVEL, 474, "1815-12-23T00:00:00Z"),
           MakeBook("shelves/poems/books/leaves", "Leaves of Grass",
                    "Walt Whitman", demo::v1::GENRE_POEM, 95,
                    "1855-07-04T00:00:00Z")}) {
    std::string name = book.name();
    books_.emplace(std::move(name), std::move(book));
  }
}

std::size_t LibraryStore::size() const {
  absl::MutexLock lock(&mu_);
  return books_.size();
}

absl::StatusOr<Book> LibraryStore::Get(const std::string& name) const {
  absl::MutexLock lock(&mu_);
  const auto found = books_.find(name);
  if (found == books_.end()) return NoSuchBook(name);
  return found->second;
}

std::vector<Book> LibraryStore::List(
    const demo::v1::ListBooksRequest& request) const {
  absl::MutexLock lock(&mu_);
  std::vector<Book> books;
  for (const auto& [name, book] : books_) {
    if (request.page_size() > 0 &&
        books.size() >= static_cast<std::size_t>(request.page_size())) {
      break;
    }
    if (Fits(book, request)) books.push_back(book);
  }
  return books;
}

absl::Status LibraryStore::AddLocked(Book book) {
  if (book.ByteSizeLong() > kMaxBookBytes) {
    return absl::InvalidArgumentError("a book over 64 KiB");
  }
  if (books_.size() >= kMaxEntries) {
    return absl::ResourceExhaustedError("the library is full");
  }
  std::string name = book.name();
  if (!books_.emplace(name, std::move(book)).second) {
    return absl::AlreadyExistsError(absl::StrCat(name, " is there already"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Book> LibraryStore::Create(const std::string& parent,
                                          const std::string& id, Book book) {
  if (!IsShelf(parent) || absl::StrContains(id, '/')) {
    return absl::InvalidArgumentError(
        "a book needs a parent, shelves/SHELF, and an id without slashes");
  }
  absl::MutexLock lock(&mu_);
  book.set_name(absl::StrCat(parent, "/books/",
                             id.empty() ? absl::StrCat(next_id_++) : id));
  absl::Status added = AddLocked(book);
  if (!added.ok()) return added;
  return book;
}

absl::StatusOr<Book> LibraryStore::Update(
    const demo::v1::UpdateBookRequest& request) {
  absl::MutexLock lock(&mu_);
  const auto found = books_.find(request.book().name());
  if (found == books_.end()) return NoSuchBook(request.book().name());
  Book book = found->second;
  if (request.update_mask().paths().empty()) {
    book = request.book();
  } else {
    for (const std::string& path : request.update_mask().paths()) {
      if (!FieldMaskUtil::IsValidPath<Book>(path)) {
        return absl::InvalidArgumentError(
            absl::StrCat("update_mask: a book has no field ", path));
      }
    }
    FieldMaskUtil::MergeOptions options;
    options.set_replace_message_fields(true);
    options.set_replace_repeated_fields(true);
    FieldMaskUtil::MergeMessageTo(request.book(), request.update_mask(),
                                  options, &book);
    book.set_name(request.book().name());
  }
  if (book.ByteSizeLong() > kMaxBookBytes) {
    return absl::InvalidArgumentError("a book over 64 KiB");
  }
  found->second = book;
  return book;
}

absl::Status LibraryStore::Delete(const std::string& name) {
  absl::MutexLock lock(&mu_);
  if (books_.erase(name) == 0) return NoSuchBook(name);
  return absl::OkStatus();
}

absl::StatusOr<Book> LibraryStore::Move(const std::string& name,
                                        const std::string& shelf) {
  if (!IsShelf(shelf)) {
    return absl::InvalidArgumentError("to: must be shelves/SHELF");
  }
  absl::MutexLock lock(&mu_);
  const auto found = books_.find(name);
  if (found == books_.end()) return NoSuchBook(name);
  Book book = found->second;
  book.set_name(
      absl::StrCat(shelf, "/books/", name.substr(name.rfind('/') + 1)));
  const absl::Status added = AddLocked(book);
  if (!added.ok()) return added;
  books_.erase(name);
  return book;
}

absl::StatusOr<Book> LibraryStore::Archive(const std::string& name) {
  absl::MutexLock lock(&mu_);
  const auto found = books_.find(name);
  if (found == books_.end()) return NoSuchBook(name);
  found->second.set_archived(true);
  return found->second;
}

absl::StatusOr<LibraryStore::File> LibraryStore::Read(
    const std::string& path) const {
  absl::MutexLock lock(&mu_);
  const auto found = files_.find(path);
  if (found == files_.end()) {
    return absl::NotFoundError(absl::StrCat("there is no file ", path));
  }
  return found->second;
}

absl::Status LibraryStore::Write(const std::string& path, File file) {
  if (path.empty() || path.size() > 1024) {
    return absl::InvalidArgumentError("path: must be 1 to 1024 bytes");
  }
  if (file.data.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError("a file over 1 MiB");
  }
  absl::MutexLock lock(&mu_);
  if (files_.size() >= kMaxEntries && files_.count(path) == 0) {
    return absl::ResourceExhaustedError("the library is full");
  }
  files_[path] = std::move(file);
  return absl::OkStatus();
}

}  // namespace headgate
