package main

import (
	"context"
	"io"
	"net/http"

	"github.com/golang/protobuf/proto"
	"github.com/grpc-ecosystem/grpc-gateway/runtime"
	"google.golang.org/grpc/grpclog"

	packets "headgate/v1"
)

// Stands in for what protoc-gen-grpc-gateway would generate. Debian's version
// of it generates handlers that read the whole request before the first message
// is sent, which no conversation survives; its successors read one message at a
// time, and so does this.
func handlePackets(mux *runtime.ServeMux, client packets.PacketServiceClient) {
	const literal = 2 // grpc-gateway/utilities.OpLitPush
	path := runtime.MustPattern(runtime.NewPattern(1, []int{literal, 0}, []string{"packets"}, ""))
	handler := func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
		connect(mux, client, w, r)
	}
	mux.Handle("POST", path, handler)
	mux.Handle("GET", path, handler) // The method of every WebSocket handshake.
}

// One call: ends when the backend ends it, or when the client is gone.
func connect(mux *runtime.ServeMux, client packets.PacketServiceClient, w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if notifier, ok := w.(http.CloseNotifier); ok {
		closed := notifier.CloseNotify()
		go func() {
			select {
			case <-closed:
				cancel()
			case <-ctx.Done():
			}
		}()
	}

	in, out := runtime.MarshalerForRequest(mux, r)
	callContext, err := runtime.AnnotateContext(ctx, mux, r)
	if err != nil {
		runtime.HTTPError(ctx, mux, out, w, r, err)
		return
	}
	call, err := client.Connect(callContext)
	if err != nil {
		runtime.HTTPError(ctx, mux, out, w, r, err)
		return
	}
	go sendAll(call, in.NewDecoder(r.Body))

	header, err := call.Header()
	if err != nil {
		runtime.HTTPError(ctx, mux, out, w, r, err)
		return
	}
	ctx = runtime.NewServerMetadataContext(ctx, runtime.ServerMetadata{HeaderMD: header})
	runtime.ForwardResponseStream(ctx, mux, out, w, r,
		func() (proto.Message, error) { return call.Recv() },
		mux.GetForwardResponseOptions()...)
}

// Sends each message as soon as it is there. What is no message ends the
// client's side like its end does.
func sendAll(call packets.PacketService_ConnectClient, requests runtime.Decoder) {
	for {
		var packet packets.Packet
		if err := requests.Decode(&packet); err != nil {
			if err != io.EOF {
				grpclog.Infof("cannot decode a request: %v", err)
			}
			break
		}
		if err := call.Send(&packet); err != nil {
			break // Recv has the reason.
		}
	}
	if err := call.CloseSend(); err != nil {
		grpclog.Infof("cannot end the client's side: %v", err)
	}
}
