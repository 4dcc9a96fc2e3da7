package wsclient

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"wsauth"
)

// advices are the words of docs/close-codes.md for what the browser module
// does.
var advices = map[string]wsauth.Advice{
	"`done`":    "",
	"`refresh`": wsauth.AdviceRenew,
	"`retry`":   wsauth.AdviceReconnect,
	"`stop`":    wsauth.AdviceStop,
	"`wait`":    wsauth.AdviceWait,
}

// What this client says of a close code is what the page about close codes
// says.
func TestAdviceIsThatOfTheDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/close-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		first, _, _ := strings.Cut(cells[0], " ")
		code, err := strconv.Atoi(first)
		if err != nil || len(cells) < 4 {
			continue
		}
		rows++
		reason, means := "", cells[2]
		if len(cells) == 5 { // one of the guard's, whose reasons say what they mean
			reason = regexp.MustCompile("`(\\w+)`").FindStringSubmatch(cells[1])[1]
			means = wsauth.Reason(reason).Outcome().Text
		}
		gotMeans, gotAdvice := explain(code, reason)
		want, known := advices[cells[len(cells)-1]]
		if !known || gotMeans != means || gotAdvice != want {
			t.Errorf("%d %s: %q and %q; the page says %q and %s", code, reason, gotMeans, gotAdvice, means, cells[len(cells)-1])
		}
		if _, advice := explain(code, "a word that nobody knows"); advice != want {
			t.Errorf("%d with another reason: %q, want %q", code, advice, want)
		}
	}
	if rows < 10 {
		t.Errorf("only %d rows found", rows)
	}
}

// A reason counts only with the code that belongs to it.
func TestReasonOfAnotherCode(t *testing.T) {
	if means, advice := explain(3003, "token_expired"); means != "" || advice != wsauth.AdviceStop {
		t.Errorf("%q, %q", means, advice)
	}
}

// The status of a refused request says the same as the close code of a refused
// socket.
func TestAdviceOfStatus(t *testing.T) {
	for _, reason := range wsauth.Reasons() {
		o := reason.Outcome()
		if got := adviceOf(o.Status, string(reason)); got != o.Advice {
			t.Errorf("%s: %q, want %q", reason, got, o.Advice)
		}
		if got := adviceOf(o.Status, ""); got != o.Advice {
			t.Errorf("%d without a reason: %q, want %q", o.Status, got, o.Advice)
		}
	}
}
