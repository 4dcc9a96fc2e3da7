package login_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"wsauth"
	"wsauth/login"
	"wsauth/store"
	"wsauth/store/memory"
	"wsauth/token"
)

// newService returns a login service and its guard. check authenticates the
// users.
func newService(check login.AuthenticatorFunc) (*login.Service, *wsauth.Guard) {
	st := memory.New(store.Limits{})
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		panic(err)
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		panic(err)
	}
	verifier, err := token.NewVerifier(token.VerifierConfig{Keys: keys})
	if err != nil {
		panic(err)
	}
	guard, err := wsauth.New(wsauth.Config{
		Verifier: verifier, Revocations: st, Tickets: st,
		Extractors: []wsauth.Extractor{wsauth.Header{}, wsauth.Ticket{}, wsauth.Cookies{}},
	})
	if err != nil {
		panic(err)
	}
	c := login.Config{Guard: guard, Store: st, Keys: keys}
	if check != nil {
		c.Users = check
	}
	service, err := login.New(c)
	if err != nil {
		panic(err)
	}
	return service, guard
}

// A service is mounted next to the application's own handlers. A user logs in,
// and an administrator then ends the user's sessions. login.OpenUsers reads
// users from a file.
func Example() {
	service, guard := newService(func(_ context.Context, name, password string) (bool, error) {
		return name == "ada" && password == "lovelace", nil
	})
	defer func() { _ = guard.Shutdown(context.Background()) }()

	mux := http.NewServeMux()
	mux.Handle("/auth/", service)
	mux.Handle("/hello", guard.Require(wsauth.Access)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello", wsauth.ClaimsFrom(r.Context()).Subject)
	})))

	// A browser keeps the tokens in cookies, which pages cannot read.
	r := httptest.NewRequest(http.MethodPost, "http://localhost/auth/login", strings.NewReader(`{"username":"ada","password":"lovelace","cookies":true}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println("login:", w.Code)

	r = httptest.NewRequest(http.MethodGet, "http://localhost/hello", nil)
	for _, cookie := range w.Result().Cookies() {
		r.AddCookie(cookie)
	}
	w = httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Print(w.Body)

	// The administrator changes the password.
	sessions, _, err := service.EndUser(context.Background(), "ada")
	fmt.Println("ended:", sessions, err)
	w = httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println("hello:", w.Code)
	// Output:
	// login: 200
	// hello ada
	// ended: 1 <nil>
	// hello: 401
}

// An application authenticates its users itself, here by a passkey.
func ExampleService_Start() {
	service, guard := newService(nil)
	defer func() { _ = guard.Shutdown(context.Background()) }()

	passkey := func(w http.ResponseWriter, r *http.Request) {
		user := "ada" // whose passkey has signed the challenge
		tokens, err := service.Start(r, user, true)
		service.Answer(w, r, tokens, err)
	}
	w := httptest.NewRecorder()
	passkey(w, httptest.NewRequest(http.MethodPost, "http://localhost/passkey", nil))
	for _, cookie := range w.Result().Cookies() {
		fmt.Println(cookie.Name)
	}

	sessions, err := service.Sessions(context.Background(), "ada")
	fmt.Println("sessions:", len(sessions), err)
	// Output:
	// access_token_cookie
	// csrf_access_token
	// refresh_token_cookie
	// csrf_refresh_token
	// sessions: 1 <nil>
}
