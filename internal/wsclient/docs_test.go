package wsclient

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"wsauth"
)

// TestConnectPage checks that the page about the command shows the errors
// unchanged, and names exactly the members of the events.
func TestConnectPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/connect.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, failure := range []error{
		&End{By: ByServer, Code: 3000, Reason: string(wsauth.SessionEnded)},
		&Refusal{Step: Handshake, Status: 403, Reason: string(wsauth.OriginNotAllowed), Text: wsauth.OriginNotAllowed.Outcome().Text, Advice: wsauth.AdviceStop},
	} {
		const prefix = "wsauth: error: "
		shown := prefix + strings.ReplaceAll(failure.Error(), "\n", "\n"+strings.Repeat(" ", len(prefix)))
		if !strings.Contains(page, shown+"\n```") {
			t.Errorf("the page does not show\n%s", shown)
		}
	}
	_, table, _ := strings.Cut(page, "| event | possible members |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[string]bool{"time": true, "event": true}
	for line := range strings.Lines(table) {
		cells := strings.SplitN(strings.Trim(strings.TrimSpace(line), "|"), "|", 2)
		for _, word := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[1], -1) {
			documented[word[1]] = true
		}
	}
	for _, value := range []string{"text", "binary", "server", "client", string(ByNetwork), "login", "ticket", "handshake", "logout"} {
		if value != "text" { // a member too
			delete(documented, value)
		}
	}
	fields := reflect.VisibleFields(reflect.TypeFor[event]())
	for _, field := range fields {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !documented[name] {
			t.Errorf("the page does not name the member %s", name)
		}
		delete(documented, name)
	}
	if len(documented) > 0 {
		t.Errorf("the page names members that are not there: %v", documented)
	}
}

// TestRenewalInPages checks that the pages state the times of a renewal.
func TestRenewalInPages(t *testing.T) {
	for page, sentence := range map[string]string{
		"connect.md":     "after a random 50 to 80 % of its time",
		"close-codes.md": "at a random moment of 50 to 80 % of the time that is left: refresh",
	} {
		text, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), sentence) {
			t.Errorf("%s does not say %q", page, sentence)
		}
	}
	const left = 1000 * time.Second
	first, last := left, time.Duration(0)
	for range 10_000 {
		in := renewIn(left, left)
		first, last = min(first, in), max(last, in)
	}
	if first < left*50/100 || first > left*51/100 || last > left*80/100 || last < left*79/100 {
		t.Errorf("with %v left the renewal is after %v to %v", left, first, last)
	}
}
