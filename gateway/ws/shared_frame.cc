#include "gateway/ws/shared_frame.h"

#include <cassert>
#include <optional>

#include "gateway/ws/frame.h"

namespace headgate::ws {
namespace {

FrameOpcode OpcodeOfFrame(Opcode opcode) {
  return opcode == Opcode::kText ? FrameOpcode::kText : FrameOpcode::kBinary;
}

}  // namespace

void FrameRef::Free(Block* block) {
  if (block->total != nullptr) *block->total -= block->bytes.size();
  delete block;
}

std::optional<std::string> FrameStore::Compress(absl::string_view payload,
                                                const FrameForm& form) {
  std::unique_ptr<Deflater>& deflater = deflaters_[form.window_bits];
  if (deflater == nullptr) {
    DeflateSide side;
    side.window_bits = form.window_bits;
    side.no_context_takeover = true;
    deflater = std::make_unique<Deflater>(side, form.level);
  }
  ++compressed_;
  return deflater->Deflate(payload);
}

SharedFrame::SharedFrame(FrameStore& store, Opcode opcode,
                         absl::string_view payload)
    : store_(store), opcode_(opcode) {
  ++store_.encoded_;
  std::string bytes;
  bytes.reserve(kMaxServerHeadBytes + payload.size());
  AppendFrameHead(OpcodeOfFrame(opcode_), payload.size(), false, nullptr,
                  bytes);
  head_bytes_ = bytes.size();
  bytes.append(payload.data(), payload.size());
  plain_ = FrameRef(std::move(bytes), store_.held_bytes_);
}

FrameRef SharedFrame::Compress(const FrameForm& form) {
  const std::optional<std::string> compressed =
      store_.Compress(payload(), form);
  if (!compressed || compressed->size() >= payload().size()) return plain_;
  std::string bytes;
  bytes.reserve(kMaxServerHeadBytes + compressed->size());
  AppendFrameHead(OpcodeOfFrame(opcode_), compressed->size(), true, nullptr,
                  bytes);
  bytes += *compressed;
  return FrameRef(std::move(bytes), store_.held_bytes_);
}

}  // namespace headgate::ws
