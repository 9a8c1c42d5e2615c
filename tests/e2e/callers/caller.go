// Calls the demo's HelloService by grpc-go: `caller HOST:PORT`. Prints what it
// has got, a line each.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
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
func (plain) Name() string { return "proto" }

const service = "/headgate.demo.v1.HelloService/"

// A HelloRequest, shorter than 128 bytes.
func greeting(name string) *[]byte {
	message := append([]byte{0x0a, byte(len(name))}, name...)
	return &message
}

// The reply of a HelloResponse, shorter than 128 bytes.
func reply(message []byte) string { return string(message[2:]) }

func fail(err error) {
	fmt.Println("failed:", err)
	os.Exit(1)
}

func open(connection *grpc.ClientConn, method string) grpc.ClientStream {
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := connection.NewStream(context.Background(), desc, service+method)
	if err != nil {
		fail(err)
	}
	return stream
}

// Sends the names, ends its side, and returns the replies.
func stream(connection *grpc.ClientConn, method string, names ...string) string {
	stream := open(connection, method)
	for _, name := range names {
		if err := stream.SendMsg(greeting(name)); err != nil {
			fail(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		fail(err)
	}
	var replies []string
	for {
		var message []byte
		err := stream.RecvMsg(&message)
		if err == io.EOF {
			return strings.Join(replies, "; ")
		}
		if err != nil {
			fail(err)
		}
		replies = append(replies, reply(message))
	}
}

func main() {
	connection, err := grpc.Dial(os.Args[1], grpc.WithInsecure(),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(plain{})))
	if err != nil {
		fail(err)
	}
	var message []byte
	background := context.Background()
	if err := connection.Invoke(background, service+"SayHello", greeting("ann"), &message); err != nil {
		fail(err)
	}
	fmt.Println("unary:", reply(message))
	fmt.Println("replies:", stream(connection, "LotsOfReplies", "ann"))
	fmt.Println("greetings:", stream(connection, "LotsOfGreetings", "ann", "bob"))
	fmt.Println("bidi:", stream(connection, "BidiHello", "ann", "bob"))

	err = connection.Invoke(background, service+"Nothing", greeting("ann"), &message)
	fmt.Println("unknown:", status.Code(err))
	held, cancel := context.WithTimeout(background, 200*time.Millisecond)
	defer cancel()
	desc := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	silent, err := connection.NewStream(held, desc, service+"BidiHello")
	if err != nil {
		fail(err)
	}
	fmt.Println("deadline:", status.Code(silent.RecvMsg(&message)))

	var calls sync.WaitGroup
	failures := make(chan error, 1000)
	for i := 0; i < 1000; i++ {
		calls.Add(1)
		go func(i int) {
			defer calls.Done()
			var message []byte
			name := fmt.Sprint(i)
			err := connection.Invoke(background, service+"SayHello", greeting(name), &message)
			if err == nil && reply(message) != "hello, "+name {
				err = fmt.Errorf("%q", message)
			}
			if err != nil {
				failures <- err
			}
		}(i)
	}
	calls.Wait()
	if len(failures) > 0 {
		fail(<-failures)
	}
	fmt.Println("a thousand: done")
}
