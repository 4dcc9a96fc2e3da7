package wsauth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"wsauth"
)

// An ownExtractor is an extractor of an application.
type ownExtractor struct{}

func (ownExtractor) Extract(r *http.Request, _ wsauth.Requirement) (wsauth.Credential, error) {
	return wsauth.Credential{Token: r.Header.Get("X-Own")}, nil
}

func (ownExtractor) Strip(r *http.Request) { r.Header.Del("X-Own") }

// TestOwnExtractor checks that an application's extractor needs only two
// methods. The refusal of a request without a credential names the type of
// token.
func TestOwnExtractor(t *testing.T) {
	guard, err := wsauth.New(wsauth.Config{Verifier: fixedVerifier(time.Hour), Extractors: []wsauth.Extractor{ownExtractor{}}})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	var refused *wsauth.Error
	if _, err := guard.Check(r, wsauth.Refresh); !errors.As(err, &refused) || refused.Reason != wsauth.TokenMissing || refused.Message != "Missing refresh token" {
		t.Errorf("%v", err)
	}
	r.Header.Set("X-Own", "x")
	if claims, err := guard.Check(r, wsauth.Access); err != nil || claims.Subject != "ada" {
		t.Errorf("%v, %v", claims, err)
	}
	if guard.Strip(r); r.Header.Get("X-Own") != "" {
		t.Error("the credential is left")
	}
}

// A rudeExtractor is an ownExtractor that changes a request in place.
type rudeExtractor struct{ ownExtractor }

func (rudeExtractor) Strip(r *http.Request) {
	r.Header["X-Own"][0] = ""
	r.SetPathValue("room", "")
	r.URL.Path = "/"
}

// TestStripLeavesOriginal checks that the handler gets a request without its
// credential, and that neither the extractors nor the handler change the
// request of the middleware outside the guard.
func TestStripLeavesOriginal(t *testing.T) {
	const secret = "eyJ0.eyJ1.c2ln"
	for name, tt := range map[string]struct {
		extractor wsauth.Extractor
		target    string
		header    http.Header
	}{
		"Header":   {wsauth.Header{}, "/a?a=b", http.Header{"Authorization": {"Bearer " + secret}}},
		"Cookies":  {wsauth.Cookies{}, "/a?csrf_token=x", http.Header{"Cookie": {"a=b; __Host-access_token_cookie=" + secret + "; c=d"}}},
		"Query":    {wsauth.Query{Name: "token"}, "/a?a=b&token=" + secret + "&c=d", http.Header{}},
		"own":      {ownExtractor{}, "/a?a=b", http.Header{"X-Own": {secret}}},
		"in place": {rudeExtractor{}, "/a?a=b", http.Header{"X-Own": {secret}}},
	} {
		t.Run(name, func(t *testing.T) {
			guard, err := wsauth.New(wsauth.Config{Verifier: fixedVerifier(time.Hour), Extractors: []wsauth.Extractor{tt.extractor}})
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodGet, tt.target, nil)
			r.Header = tt.header
			r.Header["X-Other"] = []string{"1", "2"}
			r.SetPathValue("room", "1")
			_ = r.FormValue("a") // which parses the form
			before := r.Clone(r.Context())
			w := httptest.NewRecorder()
			guard.Require(wsauth.Access)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				var text strings.Builder
				if err := r.Write(&text); err != nil || strings.Contains(text.String(), secret) {
					t.Errorf("the handler gets %q, %v", &text, err)
				}
				r.Header.Add("X-Other", "3")
				r.Header.Set("X-New", "1")
				r.SetPathValue("room", "2")
				r.URL.Path = "/b"
				_ = r.ParseForm() // again, if Strip has dropped the form
				r.Form.Set("a", "c")
			})).ServeHTTP(w, r)
			if w.Code != http.StatusOK {
				t.Fatalf("%d: %s", w.Code, w.Body)
			}
			if !reflect.DeepEqual(r, before) {
				t.Errorf("the request has changed to %+v, was %+v", r, before)
			}
		})
	}
}
