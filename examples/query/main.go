// Query protects a WebSocket with a JWT in the query: POST /login returns a
// token, and the page opens /ws?token=… with it.
package main

import (
	_ "embed"
	"flag"
	"log"
	"net/http"

	"wsauth"
	"wsauth/examples/web"
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
	web.Serve(*addr, routes)
}

func newRoutes(check string) (web.Routes, error) {
	requirement, err := web.ParseCheck(check)
	if err != nil {
		return nil, err
	}
	issuer, verifier, err := web.Tokens()
	if err != nil {
		return nil, err
	}
	guard, err := wsauth.New(wsauth.Config{
		Verifier:   verifier,
		Extractors: []wsauth.Extractor{wsauth.Query{Name: "token"}},
	})
	if err != nil {
		return nil, err
	}

	routes := web.Pages(page, openapi)
	routes["/ws"] = web.Socket(guard, requirement, "token")
	routes["POST /login"] = func(w http.ResponseWriter, r *http.Request) {
		user, ok := web.Strings(w, r, "username", "password")
		if !ok {
			return
		}
		if user[0] != "test" || user[1] != "test" {
			web.Detail(w, http.StatusUnauthorized, "Bad username or password")
			return
		}
		tokens, err := issue(issuer, user[0])
		if err != nil {
			web.Detail(w, http.StatusInternalServerError, "Internal Server Error")
			return
		}
		web.JSON(w, http.StatusOK, tokens)
	}
	return routes, nil
}

// issue returns the tokens of a new login.
func issue(issuer *token.Issuer, user string) (map[string]string, error) {
	access, err := issuer.Access(user, token.Options{Fresh: true})
	if err != nil {
		return nil, err
	}
	refresh, err := issuer.Refresh(user, token.Options{})
	if err != nil {
		return nil, err
	}
	return map[string]string{"access_token": access.Raw, "refresh_token": refresh.Raw}, nil
}
