package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestMutate checks the verdict on every change of a small package: each kind
// of change, and each outcome.
func TestMutate(t *testing.T) {
	p := write(t, map[string]string{
		"a.go": `package m

import (
	"errors"
	"time"
)

const limit = 4

type state struct {
	calls int
	wait  time.Duration
}

var now = state{wait: 2 * time.Second}

func (s *state) may(n int, force bool) (bool, error) {
	defer func() { s.calls++ }()
	if n < limit && !force {
		return true, nil
	}
	switch {
	case n*2 == 7+1:
		return false, errors.New("four")
	case force:
		for n > 0 {
			n--
		}
	}
	return false, nil
}

func unused(a, b string) bool { return a <= b || a == "" }
`,
		"b.go": "package m\n\nfunc other() int { return 7 }\n",
		"a_test.go": `package m

import (
	"testing"
	"time"
)

func TestMay(t *testing.T) {
	for n, want := range map[int]bool{0: true, 3: true, 4: false, 5: false} {
		got, err := now.may(n, false)
		if got != want || (err != nil) != (n == 4) {
			t.Error(n, got, err)
		}
	}
	if now.wait != 2*time.Second {
		t.Error(now.wait)
	}
}

func TestForce(t *testing.T) {
	if got, err := now.may(2, true); got || err != nil {
		t.Error(got, err)
	}
}
`,
	})
	all := p.changes(regexp.MustCompile(`^a`))
	chosen := p.choose(all, 100, 1)
	if again := p.choose(p.changes(regexp.MustCompile(`^a`)), 100, 1); !slices.EqualFunc(chosen, again, func(a, b change) bool { return a.String() == b.String() }) {
		t.Error("the same seed chose different changes")
	}
	j := judge{pkg: p, dir: t.TempDir(), blocks: map[block]bool{}}
	if err := j.prepare([]string{"."}, regexp.MustCompile(""), chosen); err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, c := range chosen {
		v := j.judge(c, i+1)
		if got = append(got, fmt.Sprint(v.outcome, " ", v.change)); v.outcome == timedOut && v.by != "TestForce" {
			t.Errorf("got %s", v)
		}
	}
	slices.Sort(got)
	want := []string{
		`killed a.go:15:23: "2" becomes "1"`,
		`killed a.go:15:23: "2" becomes "3"`,
		`killed a.go:19:15: "&&" becomes "||"`,
		`killed a.go:19:5: "n < limit && !force" becomes "!(n < limit && !force)"`,
		`killed a.go:19:7: "<" becomes "<="`,
		`killed a.go:19:7: "<" becomes ">="`,
		`killed a.go:20:10: "true" becomes "false"`,
		`killed a.go:20:16: "return nil" becomes "return mutantError"`,
		`killed a.go:23:11: "==" becomes "!="`,
		`killed a.go:23:8: "*" becomes "/"`,
		`killed a.go:23:9: "2" becomes "1"`,
		`killed a.go:23:9: "2" becomes "3"`,
		`killed a.go:24:10: "false" becomes "true"`,
		`killed a.go:24:17: "return errors.New(\"four\")" becomes "return nil"`,
		`killed a.go:30:16: "return nil" becomes "return mutantError"`,
		`killed a.go:30:9: "false" becomes "true"`,
		`not reached a.go:33:42: "<=" becomes "<"`,
		`not reached a.go:33:42: "<=" becomes ">"`,
		`not reached a.go:33:47: "||" becomes "&&"`,
		`not reached a.go:33:52: "==" becomes "!="`,
		`survived a.go:18:17: "s.calls++" becomes ""`,
		`survived a.go:18:2: "defer func() { s.calls++ }()" becomes ""`,
		`survived a.go:25:7: "force" becomes "!(force)"`,
		`survived a.go:26:11: "0" becomes "1"`,
		`survived a.go:26:9: ">" becomes "<="`,
		`survived a.go:26:9: ">" becomes ">="`,
		`timed out a.go:27:4: "n--" becomes ""`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestVerdicts checks that the verdicts of an interrupted run are read again,
// and which changes the next run judges.
func TestVerdicts(t *testing.T) {
	name := filepath.Join(t.TempDir(), "verdicts")
	a := change{file: &source{path: "a.go"}, old: "1", new: "2"}
	b := change{file: &source{path: "b.go"}, old: "1", new: "2"}
	c := change{file: &source{path: "c.go"}, old: "1", new: "2"}
	want := map[string]verdict{a.String(): {killed, a.String(), "TestA"}, b.String(): {survived, b.String(), ""}}
	for _, v := range want {
		if err := appendVerdict(name, v); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readVerdicts(name)
	if err != nil || !maps.Equal(got, want) {
		t.Fatalf("got %v, %v, want %v", got, err, want)
	}
	for _, again := range []bool{false, true} {
		for _, row := range []struct {
			change
			want bool
		}{{a, false}, {b, again}, {c, true}} {
			if got := needsJudging(want, row.change, again); got != row.want {
				t.Errorf("%s, again %v: %v", row.change, again, got)
			}
		}
	}
}

// write writes these files as a module and loads its package.
func write(t *testing.T, files map[string]string) *pkg {
	dir := t.TempDir()
	files["go.mod"] = "module m\n\ngo 1.26\n"
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := load(dir, ".")
	if err != nil {
		t.Fatal(err)
	}
	return p
}
