// Mutate measures how well a package's tests notice faults. It makes small
// changes to the package, runs the tests that reach each change, and reports
// the changes that no test notices.
//
//	go -C tools run ./mutate [flags] PACKAGE [TESTS...]
//
// PACKAGE is a folder of the project, such as ./store, and TESTS are the
// packages whose tests are run, by default PACKAGE alone.
//
// All chosen changes are compiled into one test program, and the environment
// variable MUTANT switches one of them on. The compiler reads them from an
// overlay, so no file of the project changes. Coverage says which tests reach a
// change. The fastest of them run first, until one fails. A failure or a
// time-out counts only if it happens twice. A test that takes five times as
// long as it should, and 13 s more, is stopped, and the other tests are run
// with the change; if none of them fails, the change is reported as noticed by
// time-out only.
//
// The same seed chooses the same changes of the same code. With -o, a run
// continues where an earlier one was interrupted; with -again as well, it
// judges again the changes that no test had noticed, for example after tests
// were added. The status is 1 if fewer changes are noticed than -least asks
// for.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run() error {
	n := flag.Int("n", 300, "how many changes to judge")
	seed := flag.Uint64("seed", 1, "chooses the changes")
	files := flag.String("files", "", "regular expression of the names of the files to change; empty for all")
	tests := flag.String("run", "", "regular expression of the names of the tests to run; empty for all")
	timeout := flag.Duration("timeout", 0, "limit of a test's time; 0 for five times its usual time and 13s")
	output := flag.String("o", "", "file of verdicts: those in it are reused, new ones are appended")
	again := flag.Bool("again", false, "judge again the changes that no test noticed according to -o")
	least := flag.Float64("least", 90, "how many percent of the changes must be noticed")
	flag.Parse()
	if flag.NArg() == 0 {
		return errors.New("name the package to change; see go doc ./mutate")
	}
	onlyFiles, err := regexp.Compile(*files)
	if err != nil {
		return err
	}
	onlyTests, err := regexp.Compile(*tests)
	if err != nil {
		return err
	}
	root, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	p, err := load(root, flag.Arg(0))
	if err != nil {
		return err
	}
	all := p.changes(onlyFiles)
	fmt.Printf("%d changes to choose from\n", len(all))
	chosen := p.choose(all, *n, *seed)
	if len(chosen) == 0 {
		return errors.New("no change compiles")
	}
	j := judge{pkg: p, dir: dir, timeout: *timeout, blocks: map[block]bool{}}
	packages := flag.Args()
	if len(packages) > 1 {
		packages = packages[1:]
	}
	earlier, err := readVerdicts(*output)
	if err != nil {
		return err
	}
	pending := slices.ContainsFunc(chosen, func(c change) bool { return needsJudging(earlier, c, *again) })
	if pending {
		if err := j.prepare(packages, onlyTests, chosen); err != nil {
			return err
		}
	}
	verdicts, err := j.judgeAll(chosen, earlier, *again, *output)
	if err != nil {
		return err
	}
	return report(verdicts, *least)
}

// judgeAll returns the verdicts on the chosen changes, and appends those that
// were not known earlier to the file output.
func (j *judge) judgeAll(chosen []change, earlier map[string]verdict, again bool, output string) ([]verdict, error) {
	var verdicts []verdict
	for i, c := range chosen {
		v := earlier[c.String()]
		if needsJudging(earlier, c, again) {
			v = j.judge(c, i+1)
			if before, ok := earlier[c.String()]; ok && before.outcome.noticed() && !v.outcome.noticed() {
				v = before // by a test that was not run this time
			}
			if err := appendVerdict(output, v); err != nil {
				return nil, err
			}
		}
		fmt.Printf("%4d %s\n", i+1, v)
		verdicts = append(verdicts, v)
	}
	return verdicts, nil
}

// An outcome is the result of a change.
type outcome string

const (
	killed     outcome = "killed"
	timedOut   outcome = "timed out"
	survived   outcome = "survived"
	notReached outcome = "not reached" // survived, because no test reaches it
)

// noticed reports whether a test noticed the change.
func (o outcome) noticed() bool { return o == killed || o == timedOut }

// A verdict is a change with its outcome.
type verdict struct {
	outcome outcome
	change  string
	by      string // the test that failed or hung
}

// String returns the verdict as a line of the file of verdicts.
func (v verdict) String() string {
	return fmt.Sprintf("%s\t%s\t%s", v.outcome, v.change, v.by)
}

// readVerdicts reads the verdicts of earlier runs, by change.
func readVerdicts(name string) (map[string]verdict, error) {
	all := map[string]verdict{}
	if name == "" {
		return all, nil
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) != 3 {
			return nil, fmt.Errorf("%s: not a verdict: %q", name, lines.Text())
		}
		all[fields[1]] = verdict{outcome(fields[0]), fields[1], fields[2]}
	}
	return all, lines.Err()
}

// needsJudging reports whether a change must be judged.
func needsJudging(earlier map[string]verdict, c change, again bool) bool {
	v, ok := earlier[c.String()]
	return !ok || again && v.outcome != killed
}

func appendVerdict(name string, v verdict) error {
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, v)
	return errors.Join(err, f.Close())
}

// report prints the changes that no failing test noticed, and fails if too few
// were noticed.
func report(all []verdict, least float64) error {
	count := map[outcome]int{}
	var lines []string
	for _, v := range all {
		count[v.outcome]++
		if v.outcome != killed {
			lines = append(lines, v.String())
		}
	}
	slices.Sort(lines)
	noticed := 100 * float64(count[killed]+count[timedOut]) / float64(len(all))
	fmt.Printf("\n%s\n\n%d changes: %d killed, %d by time-out only, %d survived, %d not reached: %.1f %% noticed\n",
		strings.Join(lines, "\n"), len(all), count[killed], count[timedOut], count[survived], count[notReached], noticed)
	if noticed < least {
		return fmt.Errorf("fewer than %g %% were noticed", least)
	}
	return nil
}
