package e2e

import (
	"encoding/json"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
)

// controls are the roles of interactive elements.
var controls = map[string]bool{
	"button": true, "checkbox": true, "combobox": true, "link": true, "radio": true, "searchbox": true, "slider": true, "textbox": true,
}

// TestControlsHaveNames checks that every control of every page has an
// accessible name, as the browser itself computes it.
func TestControlsHaveNames(t *testing.T) {
	serve := startServer(t)
	query := start(t, "query", "-addr", "127.0.0.1:0")
	cookie := start(t, "cookie", "-addr", "127.0.0.1:0")
	pages := []struct {
		name, url string
		least     int // number of controls, so that an empty page does not pass
		ready     string
	}{
		{"page", serve.url + "/", 8, `document.querySelector("#attempt").options.length > 0`},
		{"API", serve.url + "/docs", 10, `document.querySelector("#operations").children.length > 0`},
		{"query example", query.url, 2, "true"},
		{"cookie example", cookie.url, 1, "true"},
	}
	for _, p := range pages {
		t.Run(p.name, func(t *testing.T) {
			page := newTab(t)
			page.open(p.url)
			until[bool](page, p.ready)
			page.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("details").forEach((d) => { d.open = true })`))
			if lang := run[string](page, "document.documentElement.lang"); lang != "en" {
				t.Errorf("the page's language is %q, want en", lang)
			}
			if n := wantNames(page); n < p.least {
				t.Errorf("only %d controls, want at least %d", n, p.least)
			}
		})
	}
	t.Run("page after the login", func(t *testing.T) {
		page := newTab(t)
		logIn(page, serve, "token")
		openSocket(page, "good")
		until[bool](page, socketOpen)
		if n := wantNames(page); n < 8 {
			t.Errorf("only %d controls", n)
		}
	})
}

// wantNames fails the test for each control without a name. It returns the
// number of controls.
func wantNames(b *tab) int {
	b.t.Helper()
	tree, err := chromedp.Call(b.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		b.t.Fatal(err)
	}
	n := 0
	for _, node := range tree.Nodes {
		role := plain(node.Role)
		if node.Ignored || !controls[role] {
			continue
		}
		n++
		if plain(node.Name) == "" {
			b.t.Errorf("a %s without a name (node %d)", role, node.BackendDOMNodeID)
		}
	}
	return n
}

// plain returns the string in a value of the accessibility tree, or "".
func plain(v *accessibility.Value) string {
	var s string
	if v == nil || json.Unmarshal(v.Value, &s) != nil {
		return ""
	}
	return s
}
