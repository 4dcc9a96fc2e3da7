// Firstmessage authenticates sockets by their first message, for clients that
// cannot set a header and should not put a token into the URL. The handlers for
// coder/websocket and gorilla read with nextCoder and nextGorilla. Otherwise
// they are like those of an unguarded server.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"wsauth"
	"wsauth/token"
)

// maxMessage is the maximum length of a message, in bytes. Until the client is
// authenticated, the guard limits messages to 64 KiB; then the library does.
const maxMessage = 64 << 10

func main() {
	addr := flag.String("addr", "127.0.0.1:8000", "`address` to listen on")
	flag.Parse()
	secret := make([]byte, 32) // several servers must share one
	rand.Read(secret)          // never fails
	verifier, err := token.NewSecretVerifier(secret)
	if err != nil {
		log.Fatal(err)
	}
	handler, err := routes(verifier)
	if err != nil {
		log.Fatal(err)
	}
	access, err := issue(secret, "ada")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Open ws://%[1]s/coder or ws://%[1]s/gorilla, and send within ten seconds:\n", *addr)
	fmt.Printf("{\"type\":\"auth\",\"token\":%q}\n", access.Raw)

	server := &http.Server{Addr: *addr, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func routes(verifier wsauth.Verifier) (http.Handler, error) {
	guard, err := wsauth.New(wsauth.Config{
		Verifier:   verifier,
		Extractors: []wsauth.Extractor{wsauth.FirstMessage{}},
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/coder", guard.Require(wsauth.Access)(http.HandlerFunc(echoCoder)))
	mux.Handle("/gorilla", guard.Require(wsauth.Access)(http.HandlerFunc(echoGorilla)))
	return mux, nil
}

// echo is the application. It is called for authenticated clients only.
func echo(socket *wsauth.Socket, message []byte) []byte {
	return fmt.Appendf(nil, "%s: %s", socket.Claims().Subject, message)
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

// closeUnsupported is the close code for a kind of message that is not
// accepted (RFC 6455 section 7.4.1).
const closeUnsupported = 1003

// errBinary is the error for a first message that is not text.
var errBinary = errors.New("the first message is not text")

// authenticate passes a message to the guard. It returns the reply for the
// client, or nil if the message is for the application. If it returns an error,
// the guard has closed the socket with a code for the reason.
func authenticate(ctx context.Context, socket *wsauth.Socket, text bool, message []byte) (reply []byte, err error) {
	if !text {
		if socket.Claims() != nil {
			return nil, nil
		}
		socket.EndWith(&wsauth.EndError{Code: closeUnsupported, Reason: "text_only", Err: errBinary})
		return nil, errBinary
	}
	return socket.Authenticate(ctx, message)
}
