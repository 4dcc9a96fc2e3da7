package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

var metricsOf = regexp.MustCompile(`metrics=(\S+)`)

// metrics checks that the server exports a metric with the given text.
func metrics(ts *testscript.TestScript, absent bool, args []string) {
	found := metricsOf.FindStringSubmatch(theServer(ts).log.String())
	if found == nil {
		ts.Fatalf("the log has no address of metrics")
	}
	resp, err := http.Get(found[1])
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if resp.StatusCode != http.StatusOK || strings.Contains(string(text), args[0]) == absent {
		ts.Fatalf("%s: %s", resp.Status, text)
	}
}
