package wsauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/coder/websocket"

	"wsauth"
	"wsauth/token"
)

// newGuard returns a guard and the issuer of its tokens, with a new key.
func newGuard(c wsauth.Config) (*wsauth.Guard, *token.Issuer) {
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		log.Fatal(err)
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		log.Fatal(err)
	}
	if c.Verifier, err = token.NewVerifier(token.VerifierConfig{Keys: keys}); err != nil {
		log.Fatal(err)
	}
	guard, err := wsauth.New(c)
	if err != nil {
		log.Fatal(err)
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: key})
	if err != nil {
		log.Fatal(err)
	}
	return guard, issuer
}

// All errors of a configuration are reported at once.
func ExampleNew() {
	_, err := wsauth.New(wsauth.Config{
		Origins: []string{"https://app.example/", "*"},
		Refusal: wsauth.RefuseClose,
	})
	fmt.Println(err)
	// Output:
	// wsauth: Config.Verifier: required; token.NewVerifier makes one
	// wsauth: Config.Origins[0]: "https://app.example/" is not exact: write it as browsers do, "https://app.example"
	// wsauth: Config.Origins[1]: "*": patterns are not supported; name each origin
}

// A WebSocket handler behind the guard knows the user, and its socket ends with
// the token.
func ExampleGuard_Require() {
	guard, issuer := newGuard(wsauth.Config{})
	cause := make(chan error, 1)
	server := httptest.NewServer(guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // Accept has responded
		}
		defer conn.CloseNow()
		claims := wsauth.ClaimsFrom(r.Context())
		_ = conn.Write(r.Context(), websocket.MessageText, []byte("hello, "+claims.Subject))
		_, _, _ = conn.Read(r.Context())
		cause <- context.Cause(r.Context())
	})))
	defer server.Close()

	access, err := issuer.Access("ada", token.Options{TTL: time.Second})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	conn, _, err := websocket.Dial(ctx, server.URL, &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + access.Raw}},
	})
	if err != nil {
		log.Fatal(err)
	}
	_, message, _ := conn.Read(ctx)
	fmt.Println("the client:", string(message))
	_, _, err = conn.Read(ctx)
	fmt.Println("the client:", websocket.CloseStatus(err))
	fmt.Println("the handler:", <-cause)
	// Output:
	// the client: hello, ada
	// the client: StatusCode(3000)
	// the handler: wsauth: socket ended: token_expired
}

// Check decides, and leaves the response to the caller.
func ExampleGuard_Check() {
	guard, issuer := newGuard(wsauth.Config{})
	handler := func(w http.ResponseWriter, r *http.Request) {
		claims, err := guard.Check(r, wsauth.Fresh)
		if errors.Is(err, wsauth.FreshTokenRequired) {
			fmt.Fprintln(w, "type your password again")
			return
		}
		if err != nil {
			guard.Refuse(w, r, err)
			return
		}
		fmt.Fprintln(w, "password changed,", claims.Subject)
	}

	for _, fresh := range []bool{true, false} {
		access, err := issuer.Access("ada", token.Options{Fresh: fresh})
		if err != nil {
			log.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/password", nil)
		r.Header.Set("Authorization", "Bearer "+access.Raw)
		w := httptest.NewRecorder()
		handler(w, r)
		fmt.Print(w.Body)
	}
	// Output:
	// password changed, ada
	// type your password again
}

// A refusal is a problem document with a stable reason.
func ExampleGuard_Refuse() {
	guard, _ := newGuard(wsauth.Config{})
	handler := guard.Require(wsauth.Access)(http.NotFoundHandler())

	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	answer := w.Result()
	body, _ := io.ReadAll(answer.Body)
	fmt.Println(answer.Status, answer.Header.Get("WWW-Authenticate"))
	fmt.Print(string(body))
	// Output:
	// 401 Unauthorized Bearer
	// {"title":"Unauthorized","status":401,"detail":"Missing Authorization Header","reason":"token_missing"}
}

// An application ends a socket with its own close code and reason.
func ExampleSocket_End() {
	guard, issuer := newGuard(wsauth.Config{})
	sockets := make(chan *wsauth.Socket, 1)
	server := httptest.NewServer(guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		socket := wsauth.SocketFrom(r.Context())
		sockets <- socket
		<-r.Context().Done() // or a read or write that fails
	})))
	defer server.Close()

	access, err := issuer.Access("ada", token.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	conn, _, err := websocket.Dial(ctx, server.URL, &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + access.Raw}},
	})
	if err != nil {
		log.Fatal(err)
	}
	(<-sockets).EndWith(&wsauth.EndError{Code: 4001, Reason: "game_over"})
	_, _, err = conn.Read(ctx)
	var end websocket.CloseError
	fmt.Println(errors.As(err, &end), int(end.Code), end.Reason)
	_ = guard.Shutdown(ctx)
	// Output: true 4001 game_over
}

// A login puts the tokens into cookies that pages cannot read.
func ExampleCookies_SetTokens() {
	cookies := wsauth.Cookies{}
	_, issuer := newGuard(wsauth.Config{Extractors: []wsauth.Extractor{cookies}})
	login := func(w http.ResponseWriter, r *http.Request) {
		access, err := issuer.Access("ada", token.Options{Fresh: true, CSRF: true})
		if err == nil {
			err = cookies.SetTokens(w, r, access)
		}
		if err != nil {
			http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		}
	}

	w := httptest.NewRecorder()
	login(w, httptest.NewRequest(http.MethodPost, "https://app.example/login", nil))
	for _, line := range w.Result().Header["Set-Cookie"] {
		name, rest, _ := strings.Cut(line, "=")
		_, attributes, _ := strings.Cut(rest, "; ")
		fmt.Println(name, attributes)
	}
	// Output:
	// __Host-access_token_cookie Path=/; HttpOnly; Secure; SameSite=Lax
	// csrf_access_token Path=/; Secure; SameSite=Lax
}
