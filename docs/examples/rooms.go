// A chat and its rooms as a hub backend (docs/hub.md): rooms [HOST:PORT]. The
// gateway's configuration is rooms.yaml.
package main

import (
	"fmt"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"

	pb "headgate/v1" // Generated from proto/headgate/v1.
)

type hub struct {
	pb.UnimplementedHubBackendServer
}

// One stream holds all sessions of a route. On a new stream the gateway names
// them again, so what is known of them can end with the stream.
func (hub) Attach(stream pb.HubBackend_AttachServer) error {
	rooms := map[uint32]string{} // By session; "" is the chat.
	members := map[string]int{}
	for {
		batch, err := stream.Recv()
		if err != nil {
			return err
		}
		reply := &pb.ToGateway{}
		for _, event := range batch.Events {
			who := event.Who
			switch kind := event.Kind.(type) {
			case *pb.Event_Joined:
				room := kind.Joined.PathVariables["room"]
				rooms[who] = room
				members[room]++
				if kind.Joined.Asks { // Its handshake waits for this.
					greeting := fmt.Sprintf(`{"members":%d}`, members[room])
					reply.Commands = append(reply.Commands, &pb.Command{
						Kind: &pb.Command_Accept{Accept: &pb.Accept{
							Who: who, Greeting: text(greeting)}}})
				}
			case *pb.Event_Message: // For everybody in the room, or in the chat.
				to := &pb.Audience{}
				if room := rooms[who]; room != "" {
					to.Groups = []string{"room:" + room}
				}
				reply.Commands = append(reply.Commands, &pb.Command{
					Kind: &pb.Command_Broadcast{Broadcast: &pb.Broadcast{
						To: to, Payload: kind.Message.Payload}}})
			case *pb.Event_Left:
				if members[rooms[who]]--; members[rooms[who]] == 0 {
					delete(members, rooms[who])
				}
				delete(rooms, who)
			}
		}
		if err := stream.Send(reply); err != nil {
			return err
		}
	}
}

func text(content string) *pb.Payload {
	return &pb.Payload{Kind: &pb.Payload_Text{Text: content}}
}

func main() {
	address := "127.0.0.1:50051"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterHubBackendServer(server, hub{})
	reflection.Register(server)
	fmt.Println("listening on", listener.Addr())
	log.Fatal(server.Serve(listener))
}
