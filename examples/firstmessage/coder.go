package main

import (
	"cmp"
	"context"
	"log"
	"net/http"

	"github.com/coder/websocket"

	"wsauth"
)

func echoCoder(w http.ResponseWriter, r *http.Request) {
	socket := wsauth.SocketFrom(r.Context())
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has responded
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxMessage)
	for err == nil {
		var kind websocket.MessageType
		var message []byte
		if kind, message, err = nextCoder(r.Context(), conn, socket); err == nil {
			err = conn.Write(r.Context(), kind, echo(socket, message))
		}
	}
	log.Print(cmp.Or(context.Cause(r.Context()), err))
}

// nextCoder replaces conn.Read on a guarded socket. It answers messages that
// contain a token, and returns the next message for the application.
func nextCoder(ctx context.Context, conn *websocket.Conn, socket *wsauth.Socket) (websocket.MessageType, []byte, error) {
	for {
		kind, message, err := conn.Read(ctx)
		if err != nil {
			return 0, nil, err
		}
		reply, err := authenticate(ctx, socket, kind == websocket.MessageText, message)
		switch {
		case err != nil:
			return 0, nil, err
		case reply == nil:
			return kind, message, nil
		}
		if err := conn.Write(ctx, websocket.MessageText, reply); err != nil {
			return 0, nil, err
		}
	}
}
