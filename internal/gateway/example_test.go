package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"wsauth/internal/gateway"
	"wsauth/internal/gateway/demo"
	"wsauth/internal/gateway/front"
	"wsauth/internal/gateway/tokens"
	"wsauth/login"
	"wsauth/token"
)

// A gateway on a free port: one user logs in, and the server stops.
func Example() {
	key, err := token.GenerateKey(token.HS256)
	if err != nil {
		panic(err)
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		panic(err)
	}
	g, err := gateway.New(gateway.Config{Tokens: tokens.Config{Keys: keys}, Login: login.Config{Users: demo.Users{}}})
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	listener, err := front.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	stopped := make(chan error)
	go func() { stopped <- g.Serve(ctx, listener) }()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Post("http://"+listener.Addr().String()+"/auth/login", "application/json",
		strings.NewReader(`{"username":"test","password":"wrong"}`))
	if err != nil {
		panic(err)
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	fmt.Println(answer.Status, err)
	fmt.Print(string(body))

	stop()
	fmt.Println("stopped:", <-stopped)
	// Output:
	// 401 Unauthorized <nil>
	// {"title":"Unauthorized","status":401,"detail":"Bad username or password","reason":"bad_credentials"}
	// stopped: <nil>
}
