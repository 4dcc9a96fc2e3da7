// Mutate measures how well a package's tests notice faults. It makes small
// changes to the package, one at a time, and runs the tests after each: a
// change that no test notices is reported.
//
//	go -C tools run ./mutate [flags] PACKAGE [TESTS...]
//
// PACKAGE is a folder of the project, such as ./store, and TESTS are the
// packages whose tests are run, by default PACKAGE alone. Changes reach the
// compiler by an overlay, so that no file of the project is touched.
//
// The same seed chooses the same changes of the same code. The status is 1 if
// fewer tests fail than -least asks for.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// A runner runs the tests with one change after the other.
type runner struct {
	root    string // of the project
	tests   []string
	timeout time.Duration
	dir     string // for changed files
}

func run() error {
	n := flag.Int("n", 300, "how many changes to judge")
	seed := flag.Uint64("seed", 1, "chooses the changes")
	files := flag.String("files", "", "regular expression of the names of the files to change; empty for all")
	workers := flag.Int("j", 1, "how many changes to judge at once")
	least := flag.Float64("least", 90, "how many percent of the changes must be noticed")
	flag.Parse()
	if flag.NArg() == 0 {
		return errors.New("which package? See go doc ./mutate")
	}
	only, err := regexp.Compile(*files)
	if err != nil {
		return err
	}
	root, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	all, err := changesOf(filepath.Join(root, flag.Arg(0)), only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r := runner{root: root, tests: flag.Args(), timeout: 10 * time.Minute, dir: dir}
	if flag.NArg() > 1 {
		r.tests = flag.Args()[1:]
	}
	if outcome, took, output := r.test(nil, 0); outcome != survived {
		return fmt.Errorf("the tests fail as it is:\n%s", output)
	} else {
		r.timeout = 3*took + 10*time.Second
		fmt.Printf("%d changes to choose from; the tests take %v\n", len(all), took.Round(time.Second))
	}
	random := rand.New(rand.NewPCG(*seed, 0))
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return report(r.judge(all, *n, *workers), *least)
}

// An outcome says what became of a change.
type outcome string

const (
	invalid  outcome = "does not compile"
	killed   outcome = "killed"
	timedOut outcome = "timed out"
	survived outcome = "survived"
)

// A verdict is a change with its outcome.
type verdict struct {
	change
	outcome outcome
}

// judge tests changes until n of them have compiled, or there are no more.
func (r *runner) judge(all []change, n, workers int) []verdict {
	var (
		mu       sync.Mutex
		verdicts []verdict
		valid    int
		next     int
		wg       sync.WaitGroup
	)
	for worker := range workers {
		wg.Go(func() {
			for {
				mu.Lock()
				if next == len(all) || valid >= n {
					mu.Unlock()
					return
				}
				c := all[next]
				next++
				valid++ // given back if it does not compile
				mu.Unlock()
				outcome, _, _ := r.test(&c, worker)
				mu.Lock()
				if outcome == invalid {
					valid--
				} else {
					verdicts = append(verdicts, verdict{c, outcome})
					fmt.Printf("%4d %-9s %s\n", len(verdicts), outcome, c)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return verdicts
}

// test runs the tests with a change, or with none if c is nil.
func (r *runner) test(c *change, worker int) (outcome, time.Duration, string) {
	args := []string{"test", "-count=1", "-vet=off", "-failfast", "-timeout", r.timeout.String()}
	if c != nil {
		overlay, err := r.overlay(c, worker)
		if err != nil {
			return invalid, 0, err.Error()
		}
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.Command("go", append(args, r.tests...)...)
	cmd.Dir = r.root
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	begun := time.Now()
	err := cmd.Run()
	took, text := time.Since(begun), output.String()
	switch {
	case err == nil:
		return survived, took, text
	case strings.Contains(text, "[build failed]"), strings.Contains(text, "[setup failed]"):
		return invalid, took, text
	case strings.Contains(text, "panic: test timed out after"):
		return timedOut, took, text
	}
	return killed, took, text
}

// overlay writes the changed file, and the file that tells the compiler of it.
func (r *runner) overlay(c *change, worker int) (string, error) {
	changed := filepath.Join(r.dir, fmt.Sprint(worker, ".go"))
	if err := os.WriteFile(changed, c.apply(), 0o600); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{c.file.path: changed}})
	if err != nil {
		return "", err
	}
	name := filepath.Join(r.dir, fmt.Sprint(worker, ".json"))
	return name, os.WriteFile(name, text, 0o600)
}

// report prints what was not noticed, and fails if that is too much.
func report(all []verdict, least float64) error {
	if len(all) == 0 {
		return errors.New("no change compiles")
	}
	count := map[outcome]int{}
	var unnoticed []string
	for _, v := range all {
		count[v.outcome]++
		if v.outcome != killed {
			unnoticed = append(unnoticed, fmt.Sprintf("%s: %s", v.change, v.outcome))
		}
	}
	slices.Sort(unnoticed)
	noticed := 100 * float64(count[killed]+count[timedOut]) / float64(len(all))
	fmt.Printf("\n%s\n\n%d changes: %d killed, %d timed out, %d survived: %.1f %%\n", strings.Join(unnoticed, "\n"),
		len(all), count[killed], count[timedOut], count[survived], noticed)
	if noticed < least {
		return fmt.Errorf("fewer than %g %% were noticed", least)
	}
	return nil
}
