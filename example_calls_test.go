package wsauth_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"wsauth"
	"wsauth/login"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
	"wsauth/token/jwks"
)

// A server whose users log in, with tokens from its own login or from an
// identity provider. It shows the calls that most servers need.
func Example() {
	ctx := context.Background()
	key, err := token.GenerateKey(token.Ed25519)
	if err != nil {
		log.Fatal(err)
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		log.Fatal(err)
	}
	own, err := token.NewVerifier(token.VerifierConfig{Keys: keys, Issuer: "https://app.example"})
	if err != nil {
		log.Fatal(err)
	}
	provider, err := jwks.NewVerifier(ctx, jwks.Config{
		URL:      "https://idp.example/jwks.json",
		Issuer:   "https://idp.example",
		Audience: []string{"app"},
	})
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := token.NewVerifiers(own, provider)
	if err != nil {
		log.Fatal(err)
	}
	st := memory.New(store.Limits{})
	guard, err := wsauth.New(wsauth.Config{
		Verifier:    verifier,
		Extractors:  []wsauth.Extractor{wsauth.Header{}, wsauth.Ticket{}, wsauth.Cookies{}},
		Revocations: st,
		Tickets:     st,
	})
	if err != nil {
		log.Fatal(err)
	}
	users, err := login.OpenUsers("users.txt")
	if err != nil {
		log.Fatal(err)
	}
	service, err := login.New(login.Config{Guard: guard, Store: st, Users: users, Keys: keys, Issuer: "https://app.example"})
	if err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.Handle("/auth/", service)
	mux.Handle("/ws", guard.Require(wsauth.Access)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(wsauth.ClaimsFrom(r.Context()).Subject)
		<-wsauth.SocketFrom(r.Context()).Renewed()
	})))
	mux.Handle("/ticket", guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ticket, err := guard.IssueTicket(r.Context(), wsauth.ClaimsFrom(r.Context()), wsauth.TicketFor{Path: "/ws"})
		if err != nil {
			guard.Refuse(w, r, err)
			return
		}
		fmt.Fprint(w, ticket)
	})))
	mux.Handle("/end", guard.Require(wsauth.Fresh)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		claims := wsauth.ClaimsFrom(r.Context())
		n, err := guard.RevokeSession(r.Context(), claims.SessionID)
		fmt.Println(n, "sockets ended", err)
		for s := range guard.Sockets(wsauth.Filter{Subject: claims.Subject}) {
			s.End(wsauth.SessionEnded)
		}
	})))
	log.Fatal(http.ListenAndServe("127.0.0.1:8000", mux))
}

// Server-sent events end like sockets.
func ExampleHold() {
	guard, _ := newGuard(wsauth.Config{})
	http.Handle("GET /events", guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := wsauth.Hold(r.Context()); err != nil {
			guard.Refuse(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: hello, %s\n\n", wsauth.ClaimsFrom(r.Context()).Subject)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // the client left, or its session ended
	})))
}
