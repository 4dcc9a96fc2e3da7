package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A judge runs tests with one change after another.
type judge struct {
	pkg     *pkg
	dir     string         // for programs
	timeout time.Duration  // of a test; 0: derived from its duration
	tests   []*test        // fastest first
	blocks  map[block]bool // all blocks
}

// A test is a test, an example, or the seeds of a fuzz target.
type test struct {
	program program // compiled with the changes
	name    string
	took    time.Duration
	reached map[block]bool
}

// A program is the compiled tests of one package.
type program struct {
	name string
	dir  string // of the package
}

// A block is a part of a file that is always executed as a whole.
type block struct {
	file                             string
	line, column, endLine, endColumn int
}

// contains reports whether a position is in the block.
func (b block) contains(at token.Position) bool {
	return b.file == filepath.Base(at.Filename) &&
		cmp.Or(cmp.Compare(b.line, at.Line), cmp.Compare(b.column, at.Column)) <= 0 &&
		cmp.Or(cmp.Compare(at.Line, b.endLine), cmp.Compare(at.Column, b.endColumn)) < 0
}

// prepare compiles the tests of these packages, determines which blocks each of
// them reaches, and leaves out tests that fail without a change.
func (j *judge) prepare(packages []string, only *regexp.Regexp, chosen []change) error {
	overlay, err := j.pkg.overlay(chosen, j.dir)
	if err != nil {
		return err
	}
	list := exec.Command("go", append([]string{"list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}"}, packages...)...)
	list.Dir = j.pkg.root
	list.Stderr = os.Stderr
	dirs, err := list.Output()
	if err != nil {
		return err
	}
	for i, dir := range strings.Fields(string(dirs)) {
		plain := program{filepath.Join(j.dir, fmt.Sprint("plain", i)), dir}
		changed := program{filepath.Join(j.dir, fmt.Sprint("changed", i)), dir}
		if err := plain.build("-cover", "-coverpkg="+j.pkg.path); err != nil {
			return err
		}
		if err := changed.build("-overlay=" + overlay); err != nil {
			return err
		}
		names, err := exec.Command(plain.name, "-test.list", "^(Test|Fuzz|Example)").Output() //nolint:gosec // built here
		if err != nil {
			return err
		}
		var all []*test
		for _, name := range strings.Fields(string(names)) {
			if only.MatchString(name) {
				all = append(all, &test{program: changed, name: name})
			}
		}
		started := time.Now()
		all = j.passingTests(all)
		fmt.Printf("%s: %d tests, which take %v\n", dir, len(all), time.Since(started).Round(time.Second))
		for _, t := range all {
			if err := j.cover(t, plain); err != nil {
				return err
			}
		}
		j.tests = append(j.tests, all...)
	}
	slices.SortStableFunc(j.tests, func(a, b *test) int { return cmp.Compare(a.took, b.took) })
	return nil
}

func (p program) build(flags ...string) error {
	args := append([]string{"test", "-c", "-vet=off", "-o", p.name}, flags...)
	cmd := exec.Command("go", append(args, ".")...)
	cmd.Dir = p.dir
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling the tests of %s: %w\n%s", p.dir, err, output)
	}
	return nil
}

// passingTests returns the tests that pass without a change.
func (j *judge) passingTests(all []*test) []*test {
	for len(all) > 0 {
		failed := j.run(all, 0, 10*time.Minute, false)
		if failed == nil {
			break
		}
		var broken []*test
		for _, t := range failed.tests {
			if again := j.run([]*test{t}, 0, 10*time.Minute, false); again != nil {
				broken = append(broken, t)
				fmt.Printf("%s is left out, since it fails with no change switched on:\n%s\n", t.name, again.output)
			}
		}
		all = except(all, broken)
		if len(broken) == 0 {
			break // they pass alone
		}
	}
	return all
}

// cover runs a test alone, to find the blocks that it reaches and its duration.
func (j *judge) cover(t *test, plain program) error {
	profile := filepath.Join(j.dir, "profile")
	os.Remove(profile)
	alone := &test{program: plain, name: t.name}
	started := time.Now()
	if failed := j.run([]*test{alone}, 0, 10*time.Minute, false, "-test.coverprofile="+profile); failed != nil {
		fmt.Printf("%s fails alone:\n%s\n", t.name, failed.output)
	}
	t.took = time.Since(started)
	f, err := os.Open(profile)
	if err != nil {
		return err
	}
	defer f.Close()
	t.reached = map[block]bool{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		file, rest, _ := strings.Cut(lines.Text(), ":")
		b := block{file: filepath.Base(file)}
		var statements, count int
		if n, _ := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d", &b.line, &b.column, &b.endLine, &b.endColumn, &statements, &count); n == 6 {
			j.blocks[b] = true
			if count > 0 {
				t.reached[b] = true
			}
		}
	}
	return lines.Err()
}

// testsReaching returns the tests that reach the block of a change. If the
// change is in no block, like the expression of a case, it returns the tests
// that reach any block of the function. For a change outside of functions, it
// returns all tests.
func (j *judge) testsReaching(c change) []*test {
	if c.function == nil {
		return j.tests
	}
	begin, end := j.pkg.set.Position(c.function.Pos()), j.pkg.set.Position(c.function.End())
	function := block{filepath.Base(begin.Filename), begin.Line, begin.Column, end.Line, end.Column}
	around := map[block]bool{}
	inFunction := map[block]bool{}
	for b := range j.blocks {
		if b.contains(c.at) {
			around[b] = true
		}
		if function.contains(token.Position{Filename: b.file, Line: b.line, Column: b.column}) {
			inFunction[b] = true
		}
	}
	if len(around) == 0 {
		around = inFunction
	}
	var reaching []*test
	for _, t := range j.tests {
		for b := range around {
			if t.reached[b] {
				reaching = append(reaching, t)
				break
			}
		}
	}
	return reaching
}

// judge runs the tests that reach a change until one fails twice.
func (j *judge) judge(c change, number int) verdict {
	pending := j.testsReaching(c)
	if len(pending) == 0 {
		return verdict{notReached, c.String(), ""}
	}
	var hanging []string
	for budget := time.Second / 2; len(pending) > 0 && len(hanging) < maxHanging; budget *= 2 {
		batch := batchOf(pending, budget)
		pending = except(pending, batch)
		f := j.run(batch, number, j.limit(batch), true)
		if f == nil {
			continue
		}
		again := f
		if !f.hung || len(hanging) == 0 { // one certain hang is enough
			again = j.run(f.tests, number, j.limit(f.tests), true)
		}
		switch {
		case again == nil:
			fmt.Printf("     %s fails once with %s\n", f, c)
		case again.hung:
			hanging = append(hanging, again.String())
		default:
			return verdict{killed, c.String(), again.String()}
		}
		if len(f.tests) < len(batch) { // the others did not run to the end
			pending = append(except(batch, f.tests), pending...)
		}
	}
	if len(hanging) > 0 {
		return verdict{timedOut, c.String(), strings.Join(hanging, " ")}
	}
	return verdict{survived, c.String(), ""}
}

// maxHanging is how many times a change may hang before the search for a
// failing test is given up.
const maxHanging = 2

// batchOf returns the first tests of one program that take no longer than the
// budget, but at least one.
func batchOf(pending []*test, budget time.Duration) []*test {
	var batch []*test
	for _, t := range pending {
		if t.program == pending[0].program {
			if budget -= t.took; budget < 0 && len(batch) > 0 {
				break
			}
			batch = append(batch, t)
		}
	}
	return batch
}

// limit returns how long these tests may take.
func (j *judge) limit(batch []*test) time.Duration {
	limit := 13 * time.Second // tests wait up to 10 s for one event
	for _, t := range batch {
		limit += 5 * t.took
	}
	return cmp.Or(j.timeout*time.Duration(len(batch)), limit)
}

// except returns the tests in all that are not in others.
func except(all, others []*test) []*test {
	return slices.DeleteFunc(slices.Clone(all), func(t *test) bool { return slices.Contains(others, t) })
}

// A failure lists the tests that failed or hung: all, if the program's output
// names none.
type failure struct {
	tests  []*test
	named  bool
	hung   bool
	output string
}

var (
	failing = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)
	running = regexp.MustCompile(`(?m)^\t+(\w+)\S* \([\dms.]+\)$`)
	crash   = regexp.MustCompile(`(?m)^(?:panic|fatal error|goleak): .*`)
)

// String returns the names of the tests or, if there are none, the program's
// other output.
func (f *failure) String() string {
	if !f.named {
		return cmp.Or(crash.FindString(f.output), "exit status")
	}
	var names []string
	for _, t := range f.tests {
		names = append(names, t.name)
	}
	return strings.Join(names, " ")
}

// run runs tests of one program with a change, or without one if it is 0. It
// returns nil if they pass.
func (j *judge) run(batch []*test, change int, limit time.Duration, failFast bool, flags ...string) *failure {
	var names []string
	for _, t := range batch {
		names = append(names, t.name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit+5*time.Second)
	defer cancel()
	args := append(flags, "-test.run=^("+strings.Join(names, "|")+")$", "-test.timeout="+limit.String(), fmt.Sprint("-test.failfast=", failFast))
	cmd := exec.CommandContext(ctx, batch[0].program.name, args...) //nolint:gosec // built here
	cmd.Dir = batch[0].program.dir
	cmd.Env = append(os.Environ(), fmt.Sprint("MUTANT=", change))
	cmd.WaitDelay = time.Second
	text, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	f := &failure{output: string(text)}
	f.hung = ctx.Err() != nil || strings.Contains(f.output, "panic: test timed out after")
	pattern := failing
	if f.hung {
		pattern = running
	}
	for _, match := range pattern.FindAllStringSubmatch(f.output, -1) {
		if i := slices.IndexFunc(batch, func(t *test) bool { return t.name == match[1] }); i >= 0 && !slices.Contains(f.tests, batch[i]) {
			f.tests = append(f.tests, batch[i])
			f.named = true
		}
	}
	if !f.named {
		f.tests = batch
	}
	return f
}
