package gateway

import (
	"net/http"
	"time"

	"wsauth/token"
)

// A tokenAnswer carries tokens to a client that keeps them itself (RFC 6749 section 5.1).
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitzero"` // from login only
	TokenType    string `json:"token_type"`             // always Bearer
	ExpiresIn    int64  `json:"expires_in"`             // seconds that the access token lives
}

// A cookieAnswer tells a page what it must repeat beside the cookies, which it cannot read.
type cookieAnswer struct {
	CSRFToken        string `json:"csrf_token"`
	RefreshCSRFToken string `json:"refresh_csrf_token,omitzero"` // from login only
	ExpiresIn        int64  `json:"expires_in"`                  // seconds that the access token lives
}

// answerTokens puts the tokens into the body. refresh may be nil.
func (g *Gateway) answerTokens(w http.ResponseWriter, access, refresh *token.Token) {
	answer := tokenAnswer{AccessToken: access.Raw, TokenType: "Bearer", ExpiresIn: g.expiresIn()}
	if refresh != nil {
		answer.RefreshToken = refresh.Raw
	}
	writeJSON(w, answer)
}

// answerCookies puts the tokens into cookies and their CSRF values into the body. refresh may be nil.
func (g *Gateway) answerCookies(w http.ResponseWriter, r *http.Request, access, refresh *token.Token) {
	answer := cookieAnswer{CSRFToken: access.Claims.CSRF, ExpiresIn: g.expiresIn()}
	if err := g.cookies.SetAccess(w, r, access); err != nil {
		g.cannotIssue(w, r, err)
		return
	}
	if refresh != nil {
		answer.RefreshCSRFToken = refresh.Claims.CSRF
		if err := g.cookies.SetRefresh(w, r, refresh); err != nil {
			g.cannotIssue(w, r, err)
			return
		}
	}
	writeJSON(w, answer)
}

func (g *Gateway) expiresIn() int64 { return int64(g.accessTTL / time.Second) }

// cannotIssue answers for a user whose name makes no token, such as one with control characters.
func (g *Gateway) cannotIssue(w http.ResponseWriter, r *http.Request, err error) {
	g.log.Error("cannot issue a token", "err", err)
	problem(http.StatusInternalServerError, "internal_error", "No token can be issued for this user")(w, r)
}
