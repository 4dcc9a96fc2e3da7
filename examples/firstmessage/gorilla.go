package main

import (
	"cmp"
	"context"
	"log"
	"net/http"

	"github.com/gorilla/websocket"

	"wsauth"
)

var upgrader websocket.Upgrader

func echoGorilla(w http.ResponseWriter, r *http.Request) {
	socket := wsauth.SocketFrom(r.Context())
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has responded
	}
	defer conn.Close()
	conn.SetReadLimit(maxMessage)
	for err == nil {
		var kind int
		var message []byte
		if kind, message, err = nextGorilla(r.Context(), conn, socket); err == nil {
			err = conn.WriteMessage(kind, echo(socket, message))
		}
	}
	log.Print(cmp.Or(context.Cause(r.Context()), err))
}

// nextGorilla replaces conn.ReadMessage on a guarded socket. It answers
// messages that contain a token, and returns the next message for the
// application. Gorilla allows only one writer at a time. If other goroutines
// write as well, hold a lock during every WriteMessage, including the one in
// this function.
func nextGorilla(ctx context.Context, conn *websocket.Conn, socket *wsauth.Socket) (int, []byte, error) {
	for {
		kind, message, err := conn.ReadMessage()
		if err != nil {
			return 0, nil, err
		}
		reply, err := authenticate(ctx, socket, kind == websocket.TextMessage, message)
		switch {
		case err != nil:
			return 0, nil, err
		case reply == nil:
			return kind, message, nil
		}
		if err := conn.WriteMessage(websocket.TextMessage, reply); err != nil {
			return 0, nil, err
		}
	}
}
