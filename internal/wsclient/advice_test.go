package wsclient

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"wsauth"
)

// advices maps the words in docs/close-codes.md to the reactions of the browser
// module.
var advices = map[string]wsauth.Advice{
	"`done`":    "",
	"`refresh`": wsauth.AdviceRenew,
	"`retry`":   wsauth.AdviceReconnect,
	"`stop`":    wsauth.AdviceStop,
	"`wait`":    wsauth.AdviceWait,
}

// TestAdviceIsThatOfTheDocumentation checks that this client explains a close
// code as the page about close codes does.
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
		if len(cells) == 5 { // one of the guard's, with a reason of its own
			reason = regexp.MustCompile("`(\\w+)`").FindStringSubmatch(cells[1])[1]
			means = wsauth.Reason(reason).Outcome().Text
		}
		gotMeans, gotAdvice := explain(code, reason)
		want, known := advices[cells[len(cells)-1]]
		if !known || gotMeans != means || gotAdvice != want {
			t.Errorf("%d %s: got %q and %q; the page says %q and %s", code, reason, gotMeans, gotAdvice, means, cells[len(cells)-1])
		}
		if _, advice := explain(code, "a word that nobody knows"); advice != want {
			t.Errorf("%d with another reason: %q, want %q", code, advice, want)
		}
	}
	if rows < 10 {
		t.Errorf("only %d rows found", rows)
	}
}

// TestReasonOfAnotherCode checks that a reason is explained only with its own
// code.
func TestReasonOfAnotherCode(t *testing.T) {
	if means, advice := explain(3003, "token_expired"); means != "" || advice != wsauth.AdviceStop {
		t.Errorf("got %q, %q", means, advice)
	}
}

// TestAdviceOfStatus checks that the status of a refused request and the close
// code of a refused socket are explained alike.
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
