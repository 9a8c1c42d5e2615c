#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/library_store.h"
#include "headgate/demo/v1/library.grpc.pb.h"
#include "tests/backend/fixture.h"

namespace headgate {
namespace {

using demo::v1::Book;
using ::testing::ElementsAre;

demo::v1::ListBooksRequest All() {
  demo::v1::ListBooksRequest request;
  request.set_parent("shelves/-");
  return request;
}

std::vector<std::string> Titles(const LibraryStore& store,
                                const demo::v1::ListBooksRequest& request) {
  std::vector<std::string> titles;
  for (const Book& book : store.List(request)) titles.push_back(book.title());
  return titles;
}

TEST(LibraryStoreTest, EachPartOfTheRequestNarrowsTheList) {
  const LibraryStore store;
  EXPECT_THAT(Titles(store, All()),
              ElementsAre("Dune", "Emma", "Leaves of Grass"));
  auto request = All();
  request.set_parent("shelves/classics");
  EXPECT_THAT(Titles(store, request), ElementsAre("Dune", "Emma"));
  request.set_page_size(1);
  EXPECT_THAT(Titles(store, request), ElementsAre("Dune"));
  request = All();
  request.add_genres(demo::v1::GENRE_POEM);
  EXPECT_THAT(Titles(store, request), ElementsAre("Leaves of Grass"));
  request = All();
  request.mutable_filter()->mutable_author()->set_full_name("Austen");
  EXPECT_THAT(Titles(store, request), ElementsAre("Emma"));
  request = All();
  request.mutable_archived()->set_value(true);
  EXPECT_THAT(Titles(store, request), ElementsAre());
  request = All();
  (*request.mutable_copies())["main"] = 3;
  EXPECT_THAT(Titles(store, request), ElementsAre());
}

TEST(LibraryStoreTest, ABookIsMadeOnceAndFoundByItsName) {
  LibraryStore store;
  ASSERT_TRUE(store.Create("shelves/s", "b", Book()).ok());
  EXPECT_TRUE(store.Get("shelves/s/books/b").ok());
  EXPECT_TRUE(
      absl::IsAlreadyExists(store.Create("shelves/s", "b", Book()).status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(store.Create("shelves", "b", Book()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      store.Create("shelves/s", "b/c", Book()).status()));
}

TEST(LibraryStoreTest, AMaskLimitsAnUpdate) {
  LibraryStore store;
  demo::v1::UpdateBookRequest request;
  request.mutable_book()->set_name("shelves/classics/books/dune");
  request.mutable_book()->set_title("Dune II");
  request.mutable_update_mask()->add_paths("title");
  const auto updated = store.Update(request);
  ASSERT_TRUE(updated.ok());
  EXPECT_EQ(updated->title(), "Dune II");
  EXPECT_EQ(updated->pages(), 412);
  request.mutable_update_mask()->add_paths("colour");
  EXPECT_TRUE(absl::IsInvalidArgument(store.Update(request).status()));
}

TEST(LibraryStoreTest, TheLibraryHasAnEnd) {
  LibraryStore store;
  absl::Status status;
  for (int i = 0; i < 2000 && status.ok(); ++i) {
    status = store.Create("shelves/s", "", Book()).status();
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_EQ(store.size(), 1000u);
  EXPECT_TRUE(absl::IsInvalidArgument(
      store.Write("f", {"t", std::string(1024 * 1024 + 1, 'x')})));
}

class LibraryServiceTest : public BackendTest {
 protected:
  void SetUp() override {
    BackendTest::SetUp();
    stub_ = demo::v1::LibraryService::NewStub(channel_);
  }
  std::unique_ptr<demo::v1::LibraryService::Stub> stub_;
};

TEST_F(LibraryServiceTest, AFileComesBackInPieces) {
  demo::v1::UploadRequest upload;
  upload.set_path("a/b");
  upload.mutable_content()->set_content_type("text/plain");
  upload.mutable_content()->set_data(std::string(2500, 'x'));
  demo::v1::UploadResponse stored;
  ASSERT_TRUE(stub_->UploadFile(NewContext().get(), upload, &stored).ok());
  EXPECT_EQ(stored.bytes(), 2500);

  demo::v1::ReadRequest request;
  request.set_path("a/b");
  auto context = NewContext();
  auto stream = stub_->StreamFile(context.get(), request);
  std::vector<std::size_t> sizes;
  google::api::HttpBody piece;
  while (stream->Read(&piece)) sizes.push_back(piece.data().size());
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_THAT(sizes, ElementsAre(1024, 1024, 452));
}

TEST_F(LibraryServiceTest, MetadataTellsTheBranchAndTheNumberOfBooks) {
  demo::v1::GetBookRequest request;
  request.set_name("shelves/classics/books/dune");
  auto context = NewContext();
  context->AddMetadata("x-reader", "ann");
  Book book;
  ASSERT_TRUE(stub_->GetBook(context.get(), request, &book).ok());
  const auto& headers = context->GetServerInitialMetadata();
  EXPECT_EQ(headers.find("library-branch")->second, "main");
  EXPECT_EQ(headers.find("x-reader")->second, "ann");
  EXPECT_EQ(context->GetServerTrailingMetadata().find("library-books")->second,
            "3");
}

// Only the first message has what the path says.
TEST_F(LibraryServiceTest, AddedBooksGoToTheFirstOnesShelf) {
  auto context = NewContext();
  demo::v1::AddBooksResponse response;
  auto stream = stub_->AddBooks(context.get(), &response);
  demo::v1::CreateBookRequest request;
  request.set_parent("shelves/s");
  request.set_book_id("one");
  request.mutable_book()->set_pages(10);
  stream->Write(request);
  request.clear_parent();
  request.set_book_id("two");
  stream->Write(request);
  stream->WritesDone();
  ASSERT_TRUE(stream->Finish().ok());
  EXPECT_EQ(response.books(), 2);
  EXPECT_EQ(response.pages(), 20);
}

}  // namespace
}  // namespace headgate
