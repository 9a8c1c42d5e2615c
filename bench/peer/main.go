// The gateway that Headgate is compared with: grpc-websocket-proxy in front of
// grpc-gateway v1, as a program of their users would set them up. It serves
// headgate.v1.PacketService/Connect at /packets, to WebSockets and to POST:
// lines of JSON in, lines {"result":...} out.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/runtime"
	"github.com/tmc/grpc-websocket-proxy/wsproxy"
	"google.golang.org/grpc"

	packets "headgate/v1"
)

func main() {
	backend := flag.String("backend", "127.0.0.1:50051", "`HOST:PORT` of the gRPC server")
	listen := flag.String("listen", "127.0.0.1:0", "`HOST:PORT` to listen on, port 0 for a free one")
	maxAnswer := flag.Int("max-answer-bytes", 0,
		"the longest answer; more than 0 costs every socket a buffer of 64 KiB,\n"+
			"0 leaves what wsproxy does of itself: up to 64 KiB, without that buffer")
	flag.Parse()
	if err := serve(*listen, *backend, *maxAnswer); err != nil {
		log.Fatal("peer: ", err)
	}
}

func serve(listen, backend string, maxAnswer int) error {
	connection, err := grpc.Dial(backend, grpc.WithInsecure())
	if err != nil {
		return err
	}
	defer connection.Close()

	mux := runtime.NewServeMux()
	handlePackets(mux, packets.NewPacketServiceClient(connection))

	var options []wsproxy.Option
	if maxAnswer > 0 {
		options = append(options, wsproxy.WithMaxRespBodyBufferSize(maxAnswer))
	}

	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Printf("peer: listening on %s\n", listener.Addr())
	return http.Serve(listener, wsproxy.WebsocketProxy(mux, options...))
}
