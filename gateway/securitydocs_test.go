package gateway

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"wsauth/internal/wsframe"
)

// tableOf returns the cells of the rows of a table in a page, by their first
// one.
func tableOf(t *testing.T, page, head string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), head+"\n")
	if !found {
		t.Fatalf("%s has no table %q", page, head)
	}
	rows := map[string][]string{}
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if strings.HasPrefix(line, "|-") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows[cells[0]] = cells[1:]
	}
	return rows
}

// quantity is a number in a page, with its unit.
var quantity = regexp.MustCompile(`\b\d[\d,.]*(?: (?:s|ms|KiB|MiB|GiB|bytes|minute|minutes|days))?\b`)

// inSeconds and inBytes are quantities as pages write them.
func inSeconds(d time.Duration) string { return fmt.Sprintf("%v s", d.Seconds()) }

func inBytes[T ~int | ~int64](n T) string {
	for _, unit := range []struct {
		name  string
		bytes T
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n%unit.bytes == 0 {
			return fmt.Sprintf("%d %s", n/unit.bytes, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// wantQuantities fails where the cells of a row have other quantities.
func wantQuantities(t *testing.T, rows map[string][]string, row string, want ...string) {
	t.Helper()
	cells, found := rows[row]
	if !found {
		t.Errorf("there is no row %q", row)
		return
	}
	delete(rows, row)
	text := regexp.MustCompile(`\]\([^)]*\)`).ReplaceAllString(strings.Join(cells, " | "), "]")
	if got := quantity.FindAllString(text, -1); strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("%s: the page says %q, the program %q", row, got, want)
	}
}

// TestSecurityPageLimits: the limits of docs/security.md are those of the
// program.
func TestSecurityPageLimits(t *testing.T) {
	server := start(t).g.newServer()
	body, late := inSeconds(patience), inSeconds(patience)
	rows := tableOf(t, "security.md", "| what | at addresses of its own | on routes |")
	wantQuantities(t, rows, "the header of a request", inSeconds(server.ReadHeaderTimeout), inBytes(maxHeaders), "431", inBytes(maxTarget), "414")
	wantQuantities(t, rows, "the body of a request", inBytes(maxBody), "413", inSeconds(server.ReadTimeout), "413", body)
	wantQuantities(t, rows, "an answer", inSeconds(server.WriteTimeout), inSeconds(defaultResponse), "504", late)
	wantQuantities(t, rows, "a message on a socket", inBytes(maxMessage), "1009", "1009", inBytes(longestFrame(t)))
	for row := range rows {
		t.Errorf("no test holds %q", row)
	}

	rows = tableOf(t, "security.md", "| what | limit |")
	wantQuantities(t, rows, "a connection between two requests", inSeconds(server.IdleTimeout))
	wantQuantities(t, rows, "a peer that is gone without a word", inSeconds(deadPeer))
	wantQuantities(t, rows, "failed logins", "429")
	wantQuantities(t, rows, "passwords that are hashed", fmt.Sprint(maxHashing))
	wantQuantities(t, rows, "logins that succeed", fmt.Sprint(defaultLoginsPerHour), "429")
	for row := range rows {
		t.Errorf("no test holds %q", row)
	}
	if probed := probes.Idle + probes.Interval*time.Duration(probes.Count); probed != deadPeer {
		t.Errorf("probes find out after %v", probed)
	}
}

// longestFrame is the longest frame of a client that passes without a limit.
func longestFrame(t *testing.T) int64 {
	t.Helper()
	passes := func(n int64) bool {
		head := append([]byte{0x82, 0x80 | 127}, make([]byte, 12)...)
		binary.BigEndian.PutUint64(head[2:], uint64(n))
		_, fault := (&wsframe.Checker{Client: true}).Check(head, 0)
		return fault == nil
	}
	const most = 2 << 30
	if !passes(most) || passes(most+1) {
		t.Errorf("a frame of %d bytes: %v, one more: %v", most, passes(most), passes(most+1))
	}
	return most
}

// TestSecurityPageSizes: what has a limit of size passes up to that, and not
// beyond.
func TestSecurityPageSizes(t *testing.T) {
	own, route := start(t), behind(t, newBackend(t), func(c *Config) { c.Routes[0].Public, c.Routes[0].Headers = true, nil })
	for name, at := range map[string]struct {
		*rig
		path, lines string
		passes      int
	}{
		"own":       {own, "/auth/session", "", 401},
		"handshake": {own, "/ws", strings.Join(upgradeLines, "\r\n") + "\r\n", 101},
		"route":     {route, "/x", "", 200},
	} {
		for _, tt := range []struct {
			what   string
			bytes  int
			status int
		}{
			{"target", maxTarget, at.passes}, {"target", maxTarget + 1, 414},
			{"header", maxHeaders, at.passes}, {"header", maxHeaders + 1, 431},
		} {
			target, header := at.path+"?", at.lines
			if tt.what == "target" {
				target += strings.Repeat("a", tt.bytes-len(target))
			} else {
				header += "A: " + strings.Repeat("b", tt.bytes-len(header+"A: \r\n")) + "\r\n"
			}
			if got := at.raw("GET " + target + " HTTP/1.1\r\nHost: x\r\n" + header + "\r\n"); got != tt.status {
				t.Errorf("%s: a %s of %d bytes: %d, want %d", name, tt.what, tt.bytes, got, tt.status)
			}
		}
	}
	const around = `{"username":"x","password":"y"}`
	for n, want := range map[int]int{maxBody: http.StatusUnauthorized, maxBody + 1: http.StatusRequestEntityTooLarge} {
		body := `{` + strings.Repeat(" ", n-len(around)) + around[1:]
		if e := own.call("POST", "/auth/login", body, jsonType); e.StatusCode != want {
			t.Errorf("own: a body of %d bytes: %d, want %d", n, e.StatusCode, want)
		}
	}
	if e := route.call("POST", "/x", strings.Repeat(" ", 8*maxBody)); e.StatusCode != http.StatusOK {
		t.Errorf("route: a body of %d bytes: %d", 8*maxBody, e.StatusCode)
	}
}
