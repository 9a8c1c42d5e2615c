#include "backend/library_service.h"

#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/util/field_mask_util.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "backend/library_store.h"
#include "backend/stream_reactor.h"
#include "headgate/demo/v1/library.grpc.pb.h"

namespace headgate {
namespace {

using demo::v1::Book;
using google::api::HttpBody;
using Context = grpc::CallbackServerContext;

constexpr std::size_t kPieceBytes = 1024;

grpc::Status ToGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      std::string(status.message()));
}

grpc::ServerUnaryReactor* Answer(Context* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

grpc::ServerUnaryReactor* Answer(Context* context, absl::StatusOr<Book> book,
                                 Book* response) {
  if (!book.ok()) return Answer(context, book.status());
  *response = *std::move(book);
  return Answer(context, absl::OkStatus());
}

// Sends what it was made with, one after the other.
template <class Message>
class ListReactor final : public grpc::ServerWriteReactor<Message> {
 public:
  ListReactor(std::vector<Message> messages, grpc::Status status)
      : messages_(std::move(messages)), status_(std::move(status)) {
    Next();
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return this->Finish(grpc::Status::CANCELLED);
    ++sent_;
    Next();
  }

  void OnDone() override { delete this; }

 private:
  void Next() {
    if (sent_ == messages_.size()) return this->Finish(status_);
    this->StartWrite(&messages_[sent_]);
  }

  const std::vector<Message> messages_;
  const grpc::Status status_;
  std::size_t sent_ = 0;
};

class AddBooksReactor final
    : public grpc::ServerReadReactor<demo::v1::CreateBookRequest> {
 public:
  AddBooksReactor(LibraryStore& store, demo::v1::AddBooksResponse* response)
      : store_(store), response_(*response) {
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    // Only the first message has what the path says.
    if (parent_.empty()) parent_ = request_.parent();
    if (request_.parent().empty()) request_.set_parent(parent_);
    const absl::StatusOr<Book> book =
        store_.Create(request_.parent(), request_.book_id(), request_.book());
    if (!book.ok()) return Finish(ToGrpc(book.status()));
    response_.set_books(response_.books() + 1);
    response_.set_pages(response_.pages() + book->pages());
    StartRead(&request_);
  }

  void OnDone() override { delete this; }

 private:
  LibraryStore& store_;
  demo::v1::AddBooksResponse& response_;  // gRPC's, until Finish.
  demo::v1::CreateBookRequest request_;
  std::string parent_;
};

class NotesReactor final
    : public StreamReactor<demo::v1::Note, demo::v1::Note> {
 private:
  void OnMessage(demo::v1::Note& note) override {
    if (shelf_.empty()) shelf_ = note.shelf();
    if (note.shelf().empty()) note.set_shelf(shelf_);
    Send(std::move(note));
  }

  std::string shelf_;
};

HttpBody ToHttpBody(const std::string& content_type, std::string data) {
  HttpBody body;
  body.set_content_type(content_type);
  body.set_data(std::move(data));
  return body;
}

class LibraryService final : public demo::v1::LibraryService::CallbackService {
  grpc::ServerUnaryReactor* GetBook(Context* context,
                                    const demo::v1::GetBookRequest* request,
                                    Book* response) override {
    context->AddInitialMetadata("library-branch", "main");
    const auto reader = context->client_metadata().find("x-reader");
    if (reader != context->client_metadata().end()) {
      context->AddInitialMetadata(
          "x-reader",
          std::string(reader->second.data(), reader->second.size()));
    }
    context->AddTrailingMetadata("library-books", absl::StrCat(store_.size()));
    absl::StatusOr<Book> book = store_.Get(request->name());
    if (book.ok() && !request->read_mask().paths().empty()) {
      google::protobuf::util::FieldMaskUtil::TrimMessage(request->read_mask(),
                                                         &*book);
    }
    return Answer(context, std::move(book), response);
  }

  grpc::ServerUnaryReactor* ListBooks(
      Context* context, const demo::v1::ListBooksRequest* request,
      demo::v1::ListBooksResponse* response) override {
    for (Book& book : store_.List(*request)) {
      *response->add_books() = std::move(book);
    }
    return Answer(context, absl::OkStatus());
  }

  grpc::ServerWriteReactor<Book>* StreamBooks(
      Context*, const demo::v1::ListBooksRequest* request) override {
    return new ListReactor<Book>(store_.List(*request), grpc::Status::OK);
  }

  grpc::ServerUnaryReactor* CreateBook(
      Context* context, const demo::v1::CreateBookRequest* request,
      Book* response) override {
    return Answer(
        context,
        store_.Create(request->parent(), request->book_id(), request->book()),
        response);
  }

  grpc::ServerUnaryReactor* UpdateBook(
      Context* context, const demo::v1::UpdateBookRequest* request,
      Book* response) override {
    return Answer(context, store_.Update(*request), response);
  }

  grpc::ServerUnaryReactor* DeleteBook(
      Context* context, const demo::v1::DeleteBookRequest* request,
      google::protobuf::Empty*) override {
    return Answer(context, store_.Delete(request->name()));
  }

  grpc::ServerUnaryReactor* MoveBook(Context* context,
                                     const demo::v1::MoveBookRequest* request,
                                     Book* response) override {
    return Answer(context, store_.Move(request->name(), request->to()),
                  response);
  }

  grpc::ServerUnaryReactor* ArchiveBook(
      Context* context, const demo::v1::ArchiveBookRequest* request,
      Book* response) override {
    return Answer(context, store_.Archive(request->name()), response);
  }

  grpc::ServerUnaryReactor* ReadFile(Context* context,
                                     const demo::v1::ReadRequest* request,
                                     HttpBody* response) override {
    absl::StatusOr<LibraryStore::File> file = store_.Read(request->path());
    if (file.ok()) {
      *response = ToHttpBody(file->content_type, std::move(file->data));
    }
    return Answer(context, file.status());
  }

  grpc::ServerWriteReactor<HttpBody>* StreamFile(
      Context*, const demo::v1::ReadRequest* request) override {
    const absl::StatusOr<LibraryStore::File> file =
        store_.Read(request->path());
    std::vector<HttpBody> pieces;
    if (file.ok()) {
      for (std::size_t at = 0; at < file->data.size(); at += kPieceBytes) {
        pieces.push_back(
            ToHttpBody(file->content_type, file->data.substr(at, kPieceBytes)));
      }
    }
    return new ListReactor<HttpBody>(std::move(pieces), ToGrpc(file.status()));
  }

  grpc::ServerUnaryReactor* UploadFile(
      Context* context, const demo::v1::UploadRequest* request,
      demo::v1::UploadResponse* response) override {
    response->set_path(request->path());
    response->set_content_type(request->content().content_type());
    response->set_bytes(
        static_cast<std::int64_t>(request->content().data().size()));
    return Answer(context, store_.Write(request->path(),
                                        {request->content().content_type(),
                                         request->content().data()}));
  }

  grpc::ServerReadReactor<demo::v1::CreateBookRequest>* AddBooks(
      Context*, demo::v1::AddBooksResponse* response) override {
    return new AddBooksReactor(store_, response);
  }

  grpc::ServerBidiReactor<demo::v1::Note, demo::v1::Note>* Notes(
      Context* context) override {
    context->AddInitialMetadata("library-branch", "main");
    return NotesReactor::Start(std::make_shared<NotesReactor>());
  }

  LibraryStore store_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeLibraryService() {
  return std::make_unique<LibraryService>();
}

}  // namespace headgate
