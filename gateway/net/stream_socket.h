#ifndef GATEWAY_NET_STREAM_SOCKET_H_
#define GATEWAY_NET_STREAM_SOCKET_H_

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>

namespace headgate {

// A connected socket of TCP or of a socket file, with its executor's concrete
// type, which costs less than any_io_executor.
using StreamSocket =
    boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol,
                                     boost::asio::io_context::executor_type>;

}  // namespace headgate

#endif  // GATEWAY_NET_STREAM_SOCKET_H_
