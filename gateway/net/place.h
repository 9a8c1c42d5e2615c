#ifndef GATEWAY_NET_PLACE_H_
#define GATEWAY_NET_PLACE_H_

namespace headgate {

// A place among things that are counted, such as sessions or connections;
// destroying it gives it back.
class Place {
 public:
  virtual ~Place() = default;
};

}  // namespace headgate

#endif  // GATEWAY_NET_PLACE_H_
