// Cookie protects a WebSocket with a JWT in a cookie: GET /get-cookie logs the
// browser in, and the page opens /ws?csrf_token=… with the value of a second
// cookie, which pages of other sites cannot read.
package main

import (
	_ "embed"
	"errors"
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
	addr := flag.String("addr", "127.0.0.1:8001", "`address` to listen on")
	check := flag.String("check", "required", "what /ws demands: required, optional, refresh or fresh")
	csrf := flag.Bool("csrf", true, "protect the cookies from other sites by CSRF double submit")
	flag.Parse()
	routes, err := newRoutes(*check, *csrf)
	if err != nil {
		log.Fatal(err)
	}
	web.Serve(*addr, routes.Handler())
}

func newRoutes(check string, csrf bool) (web.Routes, error) {
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
	cookies := &wsauth.Cookies{InsecureNoCSRF: !csrf}
	guard, err := wsauth.New(wsauth.Config{
		Verifier:  verifier,
		Locations: []wsauth.Location{cookies},
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
			case !r.URL.Query().Has("csrf_token"):
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

		"GET /get-cookie": func(w http.ResponseWriter, r *http.Request) {
			if err := login(w, r, issuer, cookies); err != nil {
				web.Detail(w, http.StatusInternalServerError, "Internal Server Error")
				return
			}
			web.JSON(w, http.StatusOK, map[string]string{"msg": "Successfully login"})
		},
	}, nil
}

// login sets the cookies of a new login of the user test.
func login(w http.ResponseWriter, r *http.Request, issuer *token.Issuer, cookies *wsauth.Cookies) error {
	csrf := !cookies.InsecureNoCSRF
	access, err := issuer.Access("test", token.Options{Fresh: true, CSRF: csrf})
	if err != nil {
		return err
	}
	refresh, err := issuer.Refresh("test", token.Options{CSRF: csrf})
	if err != nil {
		return err
	}
	return errors.Join(cookies.SetAccess(w, r, access), cookies.SetRefresh(w, r, refresh))
}
