// mirror.v1.Mirror (README.md) by grpc-go: `mirror unix:/path`.
package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sort"
	"strings"
	"sync/atomic"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Messages as they are.
type plain struct{}

func (plain) Marshal(message interface{}) ([]byte, error) {
	return *message.(*[]byte), nil
}
func (plain) Unmarshal(data []byte, message interface{}) error {
	*message.(*[]byte) = append([]byte{}, data...)
	return nil
}
func (plain) String() string { return "plain" }

var cancelled int64

func send(stream grpc.ServerStream, message []byte) error {
	return stream.SendMsg(&message)
}

// The messages up to half-close: how many, and their bytes together.
func drain(stream grpc.ServerStream) (count, bytes int, err error) {
	for {
		var message []byte
		if err = stream.RecvMsg(&message); err == io.EOF {
			return count, bytes, nil
		} else if err != nil {
			return
		}
		count++
		bytes += len(message)
	}
}

func told(stream grpc.ServerStream) string {
	var lines []string
	incoming, _ := metadata.FromIncomingContext(stream.Context())
	for key, values := range incoming {
		for _, value := range values {
			if strings.HasSuffix(key, "-bin") {
				value = hex.EncodeToString([]byte(value))
			}
			lines = append(lines, key+"="+value)
		}
	}
	if _, has := stream.Context().Deadline(); has {
		lines = append(lines, "timeout=yes")
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func handle(_ interface{}, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	var first []byte
	switch strings.TrimPrefix(method, "/mirror.v1.Mirror/") {
	case "Echo":
		if err := stream.SendHeader(metadata.Pairs("x-initial", "yes")); err != nil {
			return err
		}
		for {
			var message []byte
			if err := stream.RecvMsg(&message); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if err := send(stream, message); err != nil {
				return err
			}
		}
	case "Told":
		if _, _, err := drain(stream); err != nil {
			return err
		}
		return send(stream, []byte(told(stream)))
	case "Fail":
		if err := stream.RecvMsg(&first); err != nil {
			return err
		}
		return status.Error(codes.Aborted, "no: ünï 100%\n")
	case "Long":
		if err := stream.RecvMsg(&first); err != nil {
			return err
		}
		var where, message = "", "short"
		var size int
		if _, err := fmt.Sscan(string(first), &where, &size); err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		fill := strings.Repeat("%", size)
		switch where {
		case "initial":
			stream.SendHeader(metadata.Pairs("x-long", fill))
		case "many":
			many := metadata.MD{}
			for i := 0; i < size; i++ {
				many.Append(fmt.Sprint("x-", i), "y")
			}
			stream.SetTrailer(many)
		case "binary":
			stream.SetTrailer(metadata.Pairs("x-long-bin", fill))
		case "trailers":
			stream.SetTrailer(metadata.Pairs("x-long", fill))
		case "grpclb":
			stream.SetTrailer(metadata.Pairs("grpclb_client_stats", "x", "lb-cost-bin", "x"))
		case "status":
			message = fill
		}
		return status.Error(codes.InvalidArgument, message)
	case "Flood":
		if err := stream.RecvMsg(&first); err != nil {
			return err
		}
		var count, size int
		if _, err := fmt.Sscan(string(first), &count, &size); err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		for i := 0; i < count; i++ {
			if err := send(stream, []byte(strings.Repeat("x", size))); err != nil {
				return err
			}
		}
		return nil
	case "Count":
		count, bytes, err := drain(stream)
		if err != nil {
			return err
		}
		return send(stream, []byte(fmt.Sprint(count, bytes)))
	case "Wait":
		if err := send(stream, []byte("here")); err != nil {
			return err
		}
		<-stream.Context().Done()
		atomic.AddInt64(&cancelled, 1)
		return status.FromContextError(stream.Context().Err()).Err()
	case "Cancelled":
		if _, _, err := drain(stream); err != nil {
			return err
		}
		return send(stream, []byte(fmt.Sprint(atomic.LoadInt64(&cancelled))))
	}
	return status.Error(codes.Unimplemented, method)
}

func main() {
	listener, err := net.Listen("unix", strings.TrimPrefix(os.Args[1], "unix:"))
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer(grpc.CustomCodec(plain{}), grpc.UnknownServiceHandler(handle))
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		server.Stop()
	}()
	fmt.Println("listening on", os.Args[1])
	server.Serve(listener)
}
