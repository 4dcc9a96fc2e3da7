// Query protects a WebSocket with a JWT in the query: the page takes a token
// that POST /login gave, and opens /ws?token=… with it.
package main

import (
	_ "embed"
	"flag"
	"log"
	"net/http"
	"strings"

	"wsauth"
	"wsauth/examples/internal/web"
	"wsauth/gateway"
	"wsauth/token"
)

var (
	//go:embed page.html
	page string
	//go:embed openapi.json
	openapi []byte
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8000", "`address` to listen on")
	check := flag.String("check", "required", "what /ws demands: required, optional, refresh or fresh")
	flag.Parse()
	routes, err := newRoutes(*check)
	if err != nil {
		log.Fatal(err)
	}
	web.Serve(*addr, routes.Handler())
}

func newRoutes(check string) (web.Routes, error) {
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

	docs, err := gateway.Docs(openapi)
	if err != nil {
		return nil, err
	}

	return web.Routes{
		"GET /{$}":           web.HTML(page),
		"GET /docs":          docs.ServeHTTP,
		"GET /openapi.json":  docs.ServeHTTP,
		"GET /assets/{file}": docs.ServeHTTP,

		"/ws": func(w http.ResponseWriter, r *http.Request) {
			switch {
			case !strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
				web.NotFound(w)
				return
			case !r.URL.Query().Has("token"):
				w.WriteHeader(http.StatusForbidden)
				return
			}
			claims, err := guard.Check(r, requirement)
			if web.NoSocket(err) {
				guard.Refuse(w, r, err)
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
	}, nil
}
