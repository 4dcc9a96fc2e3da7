// Query protects a WebSocket with a JWT in the query: the page takes a token
// that POST /login gave, and opens /ws?token=… with it.
package main

import (
	_ "embed"
	"errors"
	"flag"
	"log"
	"net/http"

	"wsauth"
	"wsauth/examples/internal/web"
	"wsauth/token"
)

//go:embed page.html
var page string

func main() {
	addr := flag.String("addr", "127.0.0.1:8000", "`address` to listen on")
	check := flag.String("check", "required", "what /ws demands: required, optional, refresh or fresh")
	flag.Parse()
	handler, err := newHandler(*check)
	if err != nil {
		log.Fatal(err)
	}
	web.Serve(*addr, handler)
}

func newHandler(check string) (http.Handler, error) {
	requirement, err := web.ParseCheck(check)
	if err != nil {
		return nil, err
	}
	// A secret that everyone knows protects nothing: use token.GenerateKey.
	key, err := token.NewKey(token.HS256, []byte("secret"), token.KeyOptions{InsecureWeakSecret: true})
	if err != nil {
		return nil, err
	}
	keys, err := token.NewKeySet(key)
	if err != nil {
		return nil, err
	}
	issuer, err := token.NewIssuer(token.IssuerConfig{Key: key})
	if err != nil {
		return nil, err
	}
	verifier, err := token.NewVerifier(token.VerifierConfig{Keys: keys})
	if err != nil {
		return nil, err
	}
	guard, err := wsauth.New(wsauth.Config{
		Verifier:  verifier,
		Locations: []wsauth.Location{wsauth.Query{Name: "token"}},
	})
	if err != nil {
		return nil, err
	}

	return web.Routes(map[string]http.HandlerFunc{
		"GET /{$}": web.HTML(page),

		"/ws": func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Header.Get("Upgrade") == "":
				web.NotFound(w)
				return
			case !r.URL.Query().Has("token"):
				w.WriteHeader(http.StatusForbidden)
				return
			}
			claims, err := guard.Check(r, requirement)
			if errors.Is(err, wsauth.OriginNotAllowed) {
				guard.Refuse(w, r, err) // a page of another site gets no socket
				return
			}
			web.Answer(w, r, claims, err)
		},

		"POST /login": func(w http.ResponseWriter, r *http.Request) {
			user, ok := web.Strings(w, r, "username", "password")
			if !ok {
				return
			}
			if user[0] != "test" || user[1] != "test" {
				web.Detail(w, http.StatusUnauthorized, "Bad username or password")
				return
			}
			access, err := issuer.Access(user[0], token.Options{Fresh: true})
			if err != nil {
				web.Detail(w, http.StatusInternalServerError, "Internal Server Error")
				return
			}
			refresh, err := issuer.Refresh(user[0], token.Options{})
			if err != nil {
				web.Detail(w, http.StatusInternalServerError, "Internal Server Error")
				return
			}
			web.JSON(w, http.StatusOK, map[string]string{"access_token": access.Raw, "refresh_token": refresh.Raw})
		},
	}), nil
}
