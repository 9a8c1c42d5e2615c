#ifndef BACKEND_PACKET_SERVICE_H_
#define BACKEND_PACKET_SERVICE_H_

#include <memory>

#include <grpcpp/impl/service_type.h>

namespace headgate {

// headgate.v1.PacketService: an echo with rooms.
//
// A client is a member as long as its call lasts. A member's id has the top
// bit set, the ids of rooms do not; a room exists while somebody is in it.
//
//   type  to the service                 answer
//   200   join the room `who`            200, who = the member's own id,
//                                        content = the room in decimal
//   201   leave the room `who`           201, likewise
//   202   say the content to `who`: a    none; each who is addressed gets 202,
//         room that one is in (everyone  who = the sender's id, with the same
//         in it gets it, the sender as   content; a 202 that holds packets is
//         well), or a member             refused
//   203                                  what went wrong: who = the address
//                                        that was named, content = a text
//   other                                the packet as it was, with the packets
//                                        nested in it
//
// A member that does not take its packets in time is ended with
// RESOURCE_EXHAUSTED; the others do not notice.
std::unique_ptr<grpc::Service> MakePacketService();

}  // namespace headgate

#endif  // BACKEND_PACKET_SERVICE_H_
