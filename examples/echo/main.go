// Echo is the shortest guarded WebSocket server: it sends every message back
// under the name of the token's subject, and its sockets end when the token
// does.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/token"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8000", "`address` to listen on")
	flag.Parse()
	key := must(token.GenerateKey(token.HS256))
	issuer := must(token.NewIssuer(token.IssuerConfig{Key: key, AccessTTL: time.Minute}))
	fmt.Println("Authorization: Bearer", must(issuer.Access("ada", token.Options{})).Raw)

	verifier := must(token.NewVerifier(token.VerifierConfig{Keys: must(token.NewKeySet(key))}))
	guard := must(wsauth.New(wsauth.Config{Verifier: verifier}))
	http.Handle("/ws", guard.Require(wsauth.Access)(http.HandlerFunc(echo)))
	log.Fatal(http.ListenAndServe(*addr, nil))
}

func echo(w http.ResponseWriter, r *http.Request) {
	socket := wsauth.SocketFrom(r.Context())
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	for err == nil {
		var message []byte
		if _, message, err = conn.Read(r.Context()); err == nil {
			err = conn.Write(r.Context(), websocket.MessageText, fmt.Appendf(nil, "%s: %s", socket.Claims().Subject, message))
		}
	}
	log.Print(cmp.Or(context.Cause(r.Context()), err)) // after a minute: wsauth: session ended: token_expired
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
