package idp

import (
	"cmp"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestPresetsPage checks that the table of presets in
// docs/identity-providers.md has each preset, with the claims that the preset
// reads and the maximum lifetime of its tokens.
func TestPresetsPage(t *testing.T) {
	text, err := os.ReadFile("../docs/identity-providers.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| preset | issuer | audience | roles | scopes | session | maximum lifetime |\n")
	if !found {
		t.Fatal("there is no table of the presets")
	}
	rows := map[Preset][]string{}
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if name := strings.Trim(cells[0], "`"); cells[0] != name {
			rows[Preset(name)] = cells
		}
	}
	for _, preset := range Presets() {
		row, found := rows[preset]
		if !found {
			t.Errorf("%s is missing", preset)
			continue
		}
		delete(rows, preset)
		settings := presets[preset]
		session := cmp.Or(settings.profile.SessionID, "sid")
		if settings.sessionless {
			session = ""
		}
		days := "1 day"
		if n := int(settings.maxLifetime / day); n > 1 {
			days = fmt.Sprintf("%d days", n)
		}
		for i, want := range map[int]string{
			3: strings.ReplaceAll(strings.Trim(settings.profile.Roles, "/"), "/", "."),
			4: cmp.Or(settings.profile.Scopes, "scope"),
			5: session,
		} {
			got := ""
			if claim := regexp.MustCompile("^`([^`]+)`").FindStringSubmatch(row[i]); claim != nil {
				got = claim[1]
			}
			if got != want {
				t.Errorf("%s: the page says %q, the program reads %q", preset, row[i], want)
			}
		}
		if row[6] != days {
			t.Errorf("%s: a token lives %s at most; the page says %s", preset, days, row[6])
		}
		if row[1] == "any" {
			continue
		}
		issuer := strings.NewReplacer("`", "", "HOST", "sso.example", "TENANT-ID", "8a3e", "TENANT", "shop", "REGION", "eu-west-1", "POOL", "eu_1", "ORG", "shop", "REALM", "shop").Replace(row[1])
		if _, err := New(Config{Preset: preset, Issuer: issuer, Audience: []string{"x"}}); err != nil {
			t.Errorf("%s: the issuer of the page is refused: %v", preset, err)
		}
	}
	for preset := range rows {
		t.Errorf("there is no preset %s", preset)
	}
	for _, sentence := range []string{
		fmt.Sprintf("The clocks may differ by %v s", defaultLeeway.Seconds()),
		fmt.Sprintf("refused if it is older than %v minutes", maxStatementAge.Minutes()),
	} {
		if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), sentence) {
			t.Errorf("the page does not say %q", sentence)
		}
	}
	sessions, err := os.ReadFile("../docs/sessions.md")
	if err != nil {
		t.Fatal(err)
	}
	if sentence := fmt.Sprintf("the leeway (%v s for identity providers)", defaultLeeway.Seconds()); !strings.Contains(strings.Join(strings.Fields(string(sessions)), " "), sentence) {
		t.Errorf("docs/sessions.md does not say %q", sentence)
	}
}
