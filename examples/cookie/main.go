// Cookie protects a WebSocket with a JWT in a cookie: GET /get-cookie logs the
// browser in, and the page opens /ws?csrf_token=… with the value of a second
// cookie, which pages of other sites cannot read.
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
	addr := flag.String("addr", "127.0.0.1:8001", "`address` to listen on")
	check := flag.String("check", "required", "what /ws demands: required, optional, refresh or fresh")
	csrf := flag.Bool("csrf", true, "protect the cookies from other sites by CSRF double submit")
	flag.Parse()
	routes, err := newRoutes(*check, *csrf)
	if err != nil {
		log.Fatal(err)
	}
	web.Serve(*addr, routes)
}

func newRoutes(check string, csrf bool) (web.Routes, error) {
	requirement, err := web.ParseCheck(check)
	if err != nil {
		return nil, err
	}
	issuer, verifier, err := web.Tokens()
	if err != nil {
		return nil, err
	}
	cookies := wsauth.Cookies{InsecureNoCSRF: !csrf}
	guard, err := wsauth.New(wsauth.Config{
		Verifier:   verifier,
		Extractors: []wsauth.Extractor{cookies},
	})
	if err != nil {
		return nil, err
	}

	routes := web.Pages(page, openapi)
	routes["/ws"] = web.Socket(guard, requirement, "csrf_token")
	routes["GET /get-cookie"] = func(w http.ResponseWriter, r *http.Request) {
		if err := login(w, r, issuer, cookies); err != nil {
			web.Detail(w, http.StatusInternalServerError, "Internal Server Error")
			return
		}
		web.JSON(w, http.StatusOK, map[string]string{"msg": "Successfully login"})
	}
	return routes, nil
}

// login logs in the user test, and sets the cookies.
func login(w http.ResponseWriter, r *http.Request, issuer *token.Issuer, cookies wsauth.Cookies) error {
	csrf := !cookies.InsecureNoCSRF
	access, err := issuer.Access("test", token.Options{Fresh: true, CSRF: csrf})
	if err != nil {
		return err
	}
	refresh, err := issuer.Refresh("test", token.Options{CSRF: csrf})
	if err != nil {
		return err
	}
	return cookies.SetTokens(w, r, access, refresh)
}
