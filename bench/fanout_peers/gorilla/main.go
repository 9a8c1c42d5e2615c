// gorilla/websocket: what a client of /chat sends goes to all of them, as a
// prepared message, which is encoded once; each client has a goroutine that
// writes, as in the package's chat example.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
)

type member struct {
	conn  *websocket.Conn
	queue chan *websocket.PreparedMessage
}

type room struct {
	mutex   sync.Mutex
	members map[*member]struct{}
}

func (r *room) publish(message *websocket.PreparedMessage) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for m := range r.members {
		m.queue <- message
	}
}

func (m *member) write() {
	for message := range m.queue {
		if m.conn.WritePreparedMessage(message) != nil {
			m.conn.Close()
		}
	}
}

func (r *room) serve(conn *websocket.Conn) {
	m := &member{conn, make(chan *websocket.PreparedMessage, 256)}
	go m.write()
	r.mutex.Lock()
	r.members[m] = struct{}{}
	r.mutex.Unlock()
	defer func() {
		r.mutex.Lock()
		delete(r.members, m)
		r.mutex.Unlock()
		close(m.queue)
	}()
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			return
		}
		message, err := websocket.NewPreparedMessage(kind, data)
		if err != nil {
			return
		}
		r.publish(message)
	}
}

func echo(conn *websocket.Conn) {
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil || conn.WriteMessage(kind, data) != nil {
			return
		}
	}
}

func main() {
	upgrader := websocket.Upgrader{}
	chat := &room{members: map[*member]struct{}{}}
	handle := func(path string, serve func(*websocket.Conn)) {
		http.HandleFunc(path, func(w http.ResponseWriter, request *http.Request) {
			conn, err := upgrader.Upgrade(w, request, nil)
			if err != nil {
				return
			}
			defer conn.Close()
			serve(conn)
		})
	}
	handle("/chat", chat.serve)
	handle("/echo", echo)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
