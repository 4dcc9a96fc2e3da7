// Echo is the shortest guarded WebSocket server. It sends every message back,
// with the subject of the token in front. A socket closes when its token
// expires.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
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
	secret := make([]byte, 32) // several servers must share one
	rand.Read(secret)          // never fails

	verifier, err := token.NewSecretVerifier(secret)
	if err != nil {
		log.Fatal(err)
	}
	guard, err := wsauth.New(wsauth.Config{Verifier: verifier})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/ws", guard.Require(wsauth.Access)(http.HandlerFunc(echo)))

	access, err := issue(secret, "ada")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Authorization: Bearer", access.Raw)
	log.Fatal(http.ListenAndServe(*addr, nil))
}

func echo(w http.ResponseWriter, r *http.Request) {
	claims := wsauth.ClaimsFrom(r.Context())
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has responded
	}
	defer conn.CloseNow()
	for err == nil {
		var message []byte
		if _, message, err = conn.Read(r.Context()); err == nil {
			err = conn.Write(r.Context(), websocket.MessageText, fmt.Appendf(nil, "%s: %s", claims.Subject, message))
		}
	}
	log.Print(cmp.Or(context.Cause(r.Context()), err)) // after a minute: wsauth: socket ended: token_expired
}

// issue returns an access token that is valid for a minute.
func issue(secret []byte, user string) (*token.Token, error) {
	key, err := token.NewKey(token.HS256, secret, token.KeyOptions{})
	if err != nil {
		return nil, err
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: key, AccessTTL: time.Minute})
	if err != nil {
		return nil, err
	}
	return issuer.Access(user, token.Options{})
}
