package proxy

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestIsPreflight(t *testing.T) {
	whole := []string{"Origin: https://app.example.com", "Access-Control-Request-Method: PUT"}
	for name, c := range map[string]struct {
		method string
		lines  []string
		body   bool
		want   bool
	}{
		"complete":            {"OPTIONS", whole, false, true},
		"with headers":        {"OPTIONS", append(slices.Clone(whole), "Access-Control-Request-Headers: a"), false, true},
		"GET":                 {"GET", whole, false, false},
		"POST":                {"POST", whole, false, false},
		"lower case":          {"options", whole, false, false},
		"no Origin":           {"OPTIONS", whole[1:], false, false},
		"no method":           {"OPTIONS", whole[:1], false, false},
		"an empty method":     {"OPTIONS", []string{whole[0], "Access-Control-Request-Method: "}, false, false},
		"two methods":         {"OPTIONS", append(slices.Clone(whole), whole[1]), false, false},
		"two methods, joined": {"OPTIONS", []string{whole[0], "Access-Control-Request-Method: GET, PUT"}, false, false},
		"two origins":         {"OPTIONS", append(slices.Clone(whole), whole[0]), false, false},
		"Authorization":       {"OPTIONS", append(slices.Clone(whole), "Authorization: Bearer x"), false, false},
		"Proxy-Authorization": {"OPTIONS", append(slices.Clone(whole), "Proxy-Authorization: Basic x"), false, false},
		"Cookie":              {"OPTIONS", append(slices.Clone(whole), "Cookie: a=b"), false, false},
		"Upgrade":             {"OPTIONS", append(slices.Clone(whole), "Upgrade: websocket"), false, false},
		"a body":              {"OPTIONS", whole, true, false},
	} {
		r, err := http.NewRequest(c.method, "http://localhost/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if c.body {
			r.ContentLength = 1
		}
		for _, line := range c.lines {
			field, value, _ := strings.Cut(line, ": ")
			r.Header.Add(field, value)
		}
		if got := isPreflight(r); got != c.want {
			t.Errorf("%s: isPreflight = %v, want %v", name, got, c.want)
		}
		if c.body {
			r.ContentLength, r.TransferEncoding = 0, []string{"chunked"}
			if isPreflight(r) {
				t.Errorf("%s: isPreflight = true for a chunked body", name)
			}
		}
	}
}
