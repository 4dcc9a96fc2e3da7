package wstest

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A Vector is a case of a file below attack/testdata, whose README.md
// describes the format.
type Vector struct {
	Code, Name string // "J21", "escaped_sub"
	Text       string // what is sent
	Expect     string // the reason of the refusal, or "" if it must be accepted
}

// String returns the code and the name, for t.Run.
func (v Vector) String() string { return v.Code + "/" + v.Name }

// Vectors reads the vector files of a folder.
func Vectors(t testing.TB, folder string) (all []Vector) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		vectors, err := readVectors(file)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, vectors...)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no vectors", folder)
	}
	return all
}

func readVectors(name string) (all []Vector, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	header := map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() && lines.Text() != "" {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		header[field] = value
	}
	v := Vector{Code: header["code"], Expect: header["expect"]}
	if len(header) != 2 || v.Code == "" || v.Expect == "" {
		return nil, fmt.Errorf("the headers are %v, want code and expect", header)
	}
	if v.Expect == "accepted" {
		v.Expect = ""
	}
	for lines.Scan() {
		v.Name, v.Text, _ = strings.Cut(lines.Text(), " ")
		if strings.HasPrefix(v.Text, `"`) {
			if v.Text, err = strconv.Unquote(v.Text); err != nil {
				return nil, fmt.Errorf("%s: %w", v.Name, err)
			}
		}
		all = append(all, v)
	}
	return all, lines.Err()
}
