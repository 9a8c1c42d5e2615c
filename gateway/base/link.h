#ifndef GATEWAY_BASE_LINK_H_
#define GATEWAY_BASE_LINK_H_

namespace headgate {

// A member of an object that can be in one list: a node in a circular list, or
// alone. The head of a list is a Link, too, with no owner. Destroying it
// removes it.
template <typename Owner>
struct Link {
  Link() = default;
  ~Link() { Remove(); }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  bool alone() const { return next == this; }
  void Remove() {
    before->next = next;
    next->before = before;
    before = next = this;
  }
  // Adds this one, which must be alone, at the end of the list of `head`.
  void InsertBefore(Link& head) {
    before = head.before;
    next = &head;
    before->next = next->before = this;
  }
  // Moves all of the list of `other` to the end of this list.
  void TakeAll(Link& other) {
    if (other.alone()) return;
    other.next->before = before;
    before->next = other.next;
    other.before->next = this;
    before = other.before;
    other.before = other.next = &other;
  }
  void Clear() {
    while (!alone()) next->Remove();
  }

  Link* before = this;
  Link* next = this;
  Owner* owner = nullptr;
};

}  // namespace headgate

#endif  // GATEWAY_BASE_LINK_H_
