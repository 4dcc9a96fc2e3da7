// Firstmessage authenticates sockets by their first message, for clients that
// can set no header and shall put nothing into the URL. The handlers for
// coder/websocket and for gorilla differ from unguarded ones in one line: they
// read with nextCoder and nextGorilla.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"wsauth"
	"wsauth/token"
)

// maxMessage is how long a message may be, in bytes. The guard's own bound of
// 64 KiB holds until the client is known, and the library's from then on.
const maxMessage = 64 << 10

func main() {
	addr := flag.String("addr", "127.0.0.1:8000", "`address` to listen on")
	flag.Parse()
	key := must(token.GenerateKey(token.HS256))
	issuer := must(token.NewIssuer(token.IssuerConfig{Key: key, AccessTTL: time.Minute}))
	fmt.Printf("Open ws://%[1]s/coder or ws://%[1]s/gorilla, and send within ten seconds:\n", *addr)
	fmt.Printf("{\"type\":\"auth\",\"token\":%q}\n", must(issuer.Access("ada", token.Options{})).Raw)

	verifier := must(token.NewVerifier(token.VerifierConfig{Keys: must(token.NewKeySet(key))}))
	server := &http.Server{Addr: *addr, Handler: routes(verifier), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func routes(verifier wsauth.Verifier) http.Handler {
	guard := must(wsauth.New(wsauth.Config{
		Verifier:   verifier,
		Extractors: []wsauth.Extractor{wsauth.FirstMessage{}},
	}))
	mux := http.NewServeMux()
	mux.Handle("/coder", guard.Require(wsauth.Access)(http.HandlerFunc(echoCoder)))
	mux.Handle("/gorilla", guard.Require(wsauth.Access)(http.HandlerFunc(echoGorilla)))
	return mux
}

// echo is the application: it is called for a client that is known, always.
func echo(socket *wsauth.Socket, message []byte) []byte {
	return fmt.Appendf(nil, "%s: %s", socket.Claims().Subject, message)
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
