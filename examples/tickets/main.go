// Tickets shows how a page opens a socket without a token in the URL. The page
// logs in, requests a ticket with its token, and puts the ticket into the URL.
// A ticket expires after half a minute, and opens only one socket. A logout
// closes the sockets of its session.
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

//go:embed page.html
var page string

func main() {
	addr := flag.String("addr", "127.0.0.1:8000", "`address` to listen on")
	flag.Parse()
	a, err := newApp()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Open http://%s/\n", *addr)
	server := &http.Server{Addr: *addr, Handler: a.routes(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

type app struct {
	issuer *token.Issuer
	guard  *wsauth.Guard
}

func newApp() (*app, error) {
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		return nil, err
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		return nil, err
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: key, AccessTTL: 15 * time.Minute})
	if err != nil {
		return nil, err
	}
	verifier, err := token.NewVerifier(token.VerifierConfig{Keys: keys})
	if err != nil {
		return nil, err
	}
	state := memory.New(store.Limits{}) // to keep sessions over a restart, use bolt.Open and keep the key
	guard, err := wsauth.New(wsauth.Config{
		Verifier:    verifier,
		Extractors:  []wsauth.Extractor{wsauth.Header{}, wsauth.Ticket{}},
		Tickets:     state,
		Revocations: state,
		Refusal:     wsauth.RefuseClose, // so that the page can read the reason
	})
	if err != nil {
		return nil, err
	}
	return &app{issuer, guard}, nil
}

func (a *app) routes() http.Handler {
	authenticated := a.guard.Require(wsauth.Access)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) })
	mux.HandleFunc("POST /login", a.login)
	mux.Handle("POST /ticket", authenticated(http.HandlerFunc(a.ticket)))
	mux.Handle("POST /logout", authenticated(http.HandlerFunc(a.logout)))
	mux.Handle("/ws", authenticated(http.HandlerFunc(echo)))
	return mux
}

func (a *app) login(w http.ResponseWriter, r *http.Request) {
	var body struct{ User, Password string }
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&body)
	if err != nil || body.User != "ada" || body.Password != "lovelace" { // in your program, compare a hash and limit attempts
		http.Error(w, "wrong name or password", http.StatusUnauthorized)
		return
	}
	access, err := a.issuer.Access(body.User, token.Options{Fresh: true, SessionID: store.NewSessionID(time.Now())})
	if err != nil {
		answer(w, "", nil, err)
		return
	}
	answer(w, "access_token", access.Raw, nil)
}

// ticket issues a ticket for /ws, bound to the origin of the page.
func (a *app) ticket(w http.ResponseWriter, r *http.Request) {
	ticket, err := a.guard.IssueTicket(r.Context(), wsauth.ClaimsFrom(r.Context()), wsauth.TicketFor{
		Path: "/ws", Origin: r.Header.Get("Origin"),
		AllowedOrigins: true, // the credential is in a header, which browsers do not send on their own
	})
	answer(w, "ticket", ticket, err)
}

// logout ends the session. Its tokens and tickets become invalid, and its open
// sockets are closed with code 3000 and the reason "session_ended".
func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	sockets, err := a.guard.RevokeSession(r.Context(), wsauth.ClaimsFrom(r.Context()).SessionID)
	answer(w, "sockets", sockets, err)
}

func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has responded
	}
	defer conn.CloseNow()
	for err == nil {
		var message []byte
		if _, message, err = conn.Read(r.Context()); err == nil {
			err = conn.Write(r.Context(), websocket.MessageText, message)
		}
	}
	log.Print(context.Cause(r.Context()))
}

func answer(w http.ResponseWriter, name string, value any, err error) {
	if err != nil {
		log.Print(err)
		http.Error(w, "try again later", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{name: value}) // fails only if the client has disconnected
}
