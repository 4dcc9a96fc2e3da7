package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

var metricsOf = regexp.MustCompile(`metrics=(\S+)`)

// figures looks for a text in what the server tells Prometheus.
func figures(ts *testscript.TestScript, absent bool, args []string) {
	found := metricsOf.FindStringSubmatch(theServer(ts).log.String())
	if found == nil {
		ts.Fatalf("the log names no address of figures")
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
