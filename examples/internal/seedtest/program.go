package seedtest

import (
	"net/http"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
)

// A Program is one of the two programs, with certain settings.
type Program struct {
	// Ask sends a draft to a server with one of the four checks, in the place
	// where the program reads tokens.
	Ask func(t *testing.T, check string, d *Draft) Talk

	// Missing contains, for each check, the text of the refusal without a
	// token.
	Missing map[string]string

	// Before and After are faults that only this program has. They are checked
	// before and after those of the token, in this order.
	Before, After []Fault
}

// CheckLogin fails the test unless the socket sent the two messages of a login,
// the second with the payload of the token, and closed normally.
func CheckLogin(t *testing.T, got Talk, payload string) {
	t.Helper()
	want := Talk{
		Status:   http.StatusSwitchingProtocols,
		Messages: []string{"Successfully Login!", "Here your decoded token: " + payload},
		Code:     websocket.StatusNormalClosure,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestChecks checks each of the four checks with each kind of token.
func (p Program) TestChecks(t *testing.T) {
	onlyAccess := Refused("Only access tokens are allowed", Forbidden, "wrong_token_type")
	onlyRefresh := Refused("Only refresh tokens are allowed", Forbidden, "wrong_token_type")
	freshNeeded := Refused("Fresh token required", Forbidden, "fresh_token_required")
	refused := map[string]map[Kind]Talk{ // all others succeed
		"required": {Refresh: onlyAccess},
		"optional": {Refresh: onlyAccess},
		"refresh":  {Fresh: onlyRefresh, Stale: onlyRefresh},
		"fresh":    {Stale: freshNeeded, Refresh: onlyAccess},
	}
	for check, refused := range refused {
		for _, kind := range []Kind{Fresh, Stale, Refresh} {
			t.Run(check+"/"+string(kind), func(t *testing.T) {
				d := NewDraft(kind)
				got := p.Ask(t, check, d)
				want, ok := refused[kind]
				if !ok {
					CheckLogin(t, got, d.payload(t))
				} else if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
		t.Run(check+"/no token", func(t *testing.T) {
			got := p.Ask(t, check, &Draft{Absent: true})
			if check == "optional" {
				CheckLogin(t, got, "null")
			} else if diff := cmp.Diff(Refused(p.Missing[check], Unauthorized, "token_missing"), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestOrder checks drafts with two faults. The fault that is checked first must
// be reported, with its own text.
func (p Program) TestOrder(t *testing.T) {
	faults := append([]Fault{{"empty", func(d *Draft) { d.Absent = true }, Refused(p.Missing["fresh"], Unauthorized, "token_missing")}}, p.Before...)
	faults = append(append(faults, tokenFaults()...), p.After...)
	for i, first := range faults {
		t.Run(first.Name, func(t *testing.T) { p.ask(t, first) })
		for _, second := range faults[i+1:] {
			t.Run(first.Name+" before "+second.Name, func(t *testing.T) { p.ask(t, first, second) })
		}
	}
}

// ask sends a draft with these faults. The first fault must be reported.
func (p Program) ask(t *testing.T, faults ...Fault) {
	t.Helper()
	d := NewDraft(Fresh)
	for _, f := range faults {
		f.Spoil(d)
	}
	if diff := cmp.Diff(faults[0].Talk, p.Ask(t, "fresh", d)); diff != "" {
		t.Error(diff)
	}
}

// TestHostile checks tokens that crashed the original programs or were accepted
// by them. They must be refused.
func (p Program) TestHostile(t *testing.T) {
	for _, f := range hostile() {
		t.Run(f.Name, func(t *testing.T) { p.ask(t, f) })
	}
	for name, change := range malleations() {
		t.Run(name, func(t *testing.T) {
			p.ask(t, Fault{name, func(d *Draft) { d.Raw = change(d.Token(t)) }, invalid("Invalid token")})
		})
	}
}
