package wsauth_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// chat is a handler that greets the user, passes authentication messages to the
// guard, and echoes all others.
func chat(w http.ResponseWriter, r *http.Request) {
	socket := wsauth.SocketFrom(r.Context())
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	ctx := r.Context()
	for {
		_, message, err := conn.Read(ctx)
		if err != nil {
			return
		}
		reply, err := socket.Authenticate(ctx, message)
		if err != nil {
			return // the guard has ended the socket
		}
		if reply == nil {
			reply = []byte(socket.Claims().Subject + " says " + string(message))
		}
		if err := conn.Write(ctx, websocket.MessageText, reply); err != nil {
			return
		}
	}
}

// open opens a socket. An error ends the example.
func open(url string, header http.Header) *websocket.Conn {
	conn, _, err := websocket.Dial(context.Background(), url, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		log.Fatal(err)
	}
	return conn
}

// say sends a message and returns the answer, or why the socket has ended.
func say(conn *websocket.Conn, message string) string {
	ctx := context.Background()
	err := conn.Write(ctx, websocket.MessageText, []byte(message))
	answer := []byte(nil)
	if err == nil {
		_, answer, err = conn.Read(ctx)
	}
	if end, ok := errors.AsType[websocket.CloseError](err); ok {
		return fmt.Sprint(int(end.Code), " ", end.Reason)
	}
	if err != nil {
		return err.Error()
	}
	return string(answer)
}

func mustIssue(t *token.Token, err error) *token.Token {
	if err != nil {
		log.Fatal(err)
	}
	return t
}

// Log out everywhere: every socket of the user is closed before RevokeSubject
// returns, and the token opens no other socket.
func ExampleGuard_RevokeSubject() {
	guard, issuer := newGuard(wsauth.Config{Revocations: memory.New(store.Limits{})})
	server := httptest.NewServer(guard.Require(wsauth.Access)(http.HandlerFunc(chat)))
	defer server.Close()
	access := mustIssue(issuer.Access("ada", token.Options{SessionID: store.NewSessionID(time.Now())}))
	header := http.Header{"Authorization": {"Bearer " + access.Raw}}
	laptop, phone := open(server.URL, header), open(server.URL, header)
	fmt.Println(say(laptop, "hello"))

	sockets, err := guard.RevokeSubject(context.Background(), "ada")
	fmt.Println(sockets, "sockets,", err)
	for _, conn := range []*websocket.Conn{laptop, phone} {
		_, _, err := conn.Read(context.Background())
		fmt.Println(websocket.CloseStatus(err))
	}
	_, answer, _ := websocket.Dial(context.Background(), server.URL, &websocket.DialOptions{HTTPHeader: header})
	fmt.Println(answer.Status)
	_ = guard.Shutdown(context.Background()) // stops what New started
	// Output:
	// ada says hello
	// 2 sockets, <nil>
	// StatusCode(3000)
	// StatusCode(3000)
	// 401 Unauthorized
}

// Operators list the open sockets, one page at a time.
func ExampleGuard_Sockets() {
	guard, issuer := newGuard(wsauth.Config{Revocations: memory.New(store.Limits{})})
	server := httptest.NewServer(guard.Require(wsauth.Access)(http.HandlerFunc(chat)))
	defer server.Close()
	for _, name := range []string{"ada", "bert", "cleo"} {
		token := mustIssue(issuer.Access(name, token.Options{}))
		conn := open(server.URL, http.Header{"Authorization": {"Bearer " + token.Raw}})
		conn.CloseRead(context.Background()) // answers the close frame of the guard
	}

	const size = 2
	page := func(after uint64) (last uint64) {
		var names []string
		for socket := range guard.Sockets(wsauth.Filter{All: true, After: after}) {
			names, last = append(names, socket.Claims().Subject), socket.ID()
			if len(names) == size {
				break
			}
		}
		fmt.Println(names)
		return last
	}
	page(page(0))
	fmt.Println(guard.Stats().Sockets, "sockets")
	_ = guard.Shutdown(context.Background()) // stops what New started
	// Output:
	// [ada bert]
	// [cleo]
	// 3 sockets
}

// A page gets a ticket with its usual credential and puts it into the URL of
// the socket. The ticket works once.
func ExampleGuard_IssueTicket() {
	guard, issuer := newGuard(wsauth.Config{
		Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Ticket{}},
		Tickets:    memory.New(store.Limits{}),
	})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ticket", func(w http.ResponseWriter, r *http.Request) {
		claims, err := guard.Check(r, wsauth.Access)
		if err != nil {
			guard.Refuse(w, r, err)
			return
		}
		ticket, err := guard.IssueTicket(r.Context(), claims, wsauth.TicketFor{Path: "/ws", Origin: r.Header.Get("Origin")})
		if err != nil {
			guard.Refuse(w, r, err)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprint(w, ticket)
	})
	mux.Handle("GET /ws", guard.Require(wsauth.Access)(http.HandlerFunc(chat)))
	server := httptest.NewServer(mux)
	defer server.Close()

	access := mustIssue(issuer.Access("ada", token.Options{}))
	r := httptest.NewRequest(http.MethodPost, "/ticket", nil)
	r.Header.Set("Authorization", "Bearer "+access.Raw)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	url := server.URL + "/ws?ticket=" + w.Body.String()

	conn := open(url, nil)
	defer conn.CloseNow()
	fmt.Println(say(conn, "hello"))
	_, answer, _ := websocket.Dial(context.Background(), url, nil)
	fmt.Println("again:", answer.Status)
	// Output:
	// ada says hello
	// again: 401 Unauthorized
}

// A client sends its token in the first message, and a new one later. The
// socket stays open.
func ExampleSocket_Authenticate() {
	guard, issuer := newGuard(wsauth.Config{Extractors: []wsauth.Extractor{wsauth.FirstMessage{}}})
	server := httptest.NewServer(guard.Require(wsauth.Access)(http.HandlerFunc(chat)))
	defer server.Close()
	auth := func() string {
		access := mustIssue(issuer.Access("ada", token.Options{SessionID: "s", TTL: time.Minute}))
		return `{"type":"auth","token":"` + access.Raw + `"}`
	}

	conn := open(server.URL, nil)
	defer conn.CloseNow()
	fmt.Println(say(conn, auth())[:16])
	fmt.Println(say(conn, "hello"))
	fmt.Println(say(conn, auth())[:16])

	fmt.Println(say(open(server.URL, nil), "hello"))
	// Output:
	// {"type":"auth_ok
	// ada says hello
	// {"type":"auth_ok
	// 3000 token_missing
}

// A refresh over HTTP renews the open sockets.
func ExampleGuard_Renew() {
	guard, issuer := newGuard(wsauth.Config{})
	server := httptest.NewServer(guard.Require(wsauth.Access)(http.HandlerFunc(chat)))
	defer server.Close()
	session := token.Options{SessionID: store.NewSessionID(time.Now())}
	first := mustIssue(issuer.Access("ada", session))
	conn := open(server.URL, http.Header{"Authorization": {"Bearer " + first.Raw}})
	defer conn.CloseNow()

	session.TTL = time.Hour // what a refresh endpoint issues
	second := mustIssue(issuer.Access("ada", session))
	sockets, err := guard.Renew(context.Background(), second.Raw)
	fmt.Println(sockets, err)
	fmt.Println(say(conn, "still here"))
	for socket := range guard.Sockets(wsauth.Filter{Subject: "ada"}) {
		fmt.Println(socket.Claims().ID == second.Claims.ID)
	}
	// Output:
	// 1 <nil>
	// ada says still here
	// true
}

// A handler that deletes an account asks for the password again on the open
// socket.
func ExampleSocket_RequireFresh() {
	guard, issuer := newGuard(wsauth.Config{})
	server := httptest.NewServer(guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		socket := wsauth.SocketFrom(r.Context())
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		go func() { // reads what the client sends: here, a new token
			for {
				_, message, err := conn.Read(r.Context())
				if err != nil {
					return
				}
				if _, err := socket.Authenticate(r.Context(), message); err != nil {
					return
				}
			}
		}()
		_ = conn.Write(r.Context(), websocket.MessageText, []byte("your password, please"))
		if err := socket.RequireFresh(r.Context()); err == nil {
			_ = conn.Write(r.Context(), websocket.MessageText, []byte("deleted"))
		}
	})))
	defer server.Close()
	session := token.Options{SessionID: store.NewSessionID(time.Now())}
	conn := open(server.URL, http.Header{"Authorization": {"Bearer " + mustIssue(issuer.Access("ada", session)).Raw}})
	defer conn.CloseNow()
	_, question, _ := conn.Read(context.Background())
	fmt.Println(string(question))

	session.Fresh = true // what a login endpoint issues, in the same session
	fmt.Println(say(conn, `{"type":"auth","token":"`+mustIssue(issuer.Access("ada", session)).Raw+`"}`))
	// Output:
	// your password, please
	// deleted
}
