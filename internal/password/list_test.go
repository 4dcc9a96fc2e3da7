package password

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParseList(t *testing.T) {
	a, b := cheapHash(t), bcryptOf(t, "secret")
	list, err := parseList([]byte("# users\n\nanna:" + a + "\r\nBert Müller:" + b))
	if err != nil {
		t.Fatal(err)
	}
	if got := list.Users(); len(got) != 2 || got[0].Name != "anna" || got[0].Hash.Text() != a || got[1].Name != "Bert Müller" || got[1].Hash.Text() != b {
		t.Errorf("got %v", got)
	}
	if h, ok := list.Find("anna"); !ok || h.Text() != a {
		t.Error("anna is not found")
	}
	for _, name := range []string{"Anna", "anna ", "", "bert"} {
		if _, ok := list.Find(name); ok {
			t.Errorf("%q is found", name)
		}
	}
	if empty, err := parseList(nil); err != nil || len(empty.Users()) != 0 {
		t.Errorf("an empty file: %v", err)
	}
}

func TestParseListNamesTheLine(t *testing.T) {
	good := "anna:" + cheapHash(t) + "\n"
	for text, want := range map[string]string{
		good + "bert":                                 "line 2: there is no colon",
		"# x\n\n:" + cheapHash(t):                     "line 3: the name is empty",
		good + good:                                   "line 2: the user \"anna\" is in line 1 already",
		good + "bert:{SHA}hunter2":                    "line 2: the hash is neither argon2id nor bcrypt; create a new one with \"wsauth user hash\"",
		" anna:" + cheapHash(t):                       "line 1: the name \" anna\" begins",
		"a\x1bb:" + cheapHash(t):                      "line 1: the name has characters",
		"a\xffb:" + cheapHash(t):                      "line 1: the name has characters",
		"a\u202eb:" + cheapHash(t):                    "line 1: the name has characters",
		strings.Repeat("a", 257) + ":" + cheapHash(t): "line 1: the name is longer",
	} {
		_, err := parseList([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error holds a hash, or a password: %v", err)
		}
	}
	if _, err := parseList([]byte(strings.Repeat("x\n", 1000))); err == nil || strings.Count(err.Error(), "\n") != maxFaults-1 {
		t.Errorf("not ten faults: %v", err)
	}
}

// TestR3_UnknownNamesCostWhatKnownOnesDo checks that an unknown name takes as
// long as some known name, and that the same name always takes the same time.
func TestR3_UnknownNamesCostWhatKnownOnesDo(t *testing.T) {
	slow, err := New("secret")
	if err != nil {
		t.Fatal(err)
	}
	list, err := parseList([]byte("anna:" + cheapHash(t) + "\nbert:" + slow.Text() + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[Hash]int{}
	for i := range 1000 {
		name := fmt.Sprint("nobody", i)
		decoy, known := list.Find(name)
		if again, _ := list.Find(name); known || again != decoy {
			t.Fatalf("%s is known, or gets another decoy each time", name)
		}
		counts[decoy]++
	}
	for _, u := range list.Users() {
		if counts[u.Hash] < 300 {
			t.Errorf("the cost of %s is that of %d unknown names in 1000", u.Name, counts[u.Hash])
		}
	}
	none, err := NewList(nil)
	if err != nil {
		t.Fatal(err)
	}
	if decoy, known := none.Find("anna"); known || !strings.HasPrefix(decoy.Text(), "$argon2id$v=19$m=65536,t=3,p=4$") {
		t.Errorf("the decoy of an empty list is %v", decoy)
	}
}

func TestChanged(t *testing.T) {
	a, b := cheapHash(t), cheapHash(t)
	list := func(text string) *List {
		l, err := parseList([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	old := list("anna:" + a + "\nbert:" + a + "\ncarl:" + a)
	got := old.Difference(list("bert:" + b + "\nanna:" + a + "\ndora:" + a))
	want := Difference{Added: []string{"dora"}, Changed: []string{"bert"}, Removed: []string{"carl"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if !slices.Equal(got.Outdated(), []string{"bert", "carl"}) {
		t.Errorf("outdated: %v, want bert and carl", got.Outdated())
	}
	if got := old.Difference(old); !reflect.DeepEqual(got, Difference{}) {
		t.Errorf("nothing changed, but %+v", got)
	}
}

// FuzzParseList checks that a parsed list stays the same when it is written and
// parsed again.
func FuzzParseList(f *testing.F) {
	for _, seed := range []string{"anna:" + cheapHash(f), "# x\r\n\r\nanna:" + bcryptOf(f, "secret") + "\nbert:" + cheapHash(f) + "\n", "a:b:c", ":", "\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := parseList(data)
		if err != nil {
			return
		}
		again, err := parseList(list.format())
		if err != nil || !slices.Equal(again.Users(), list.Users()) {
			t.Errorf("%q is read as %v, then as %v (%v)", data, list.Users(), again.Users(), err)
		}
	})
}
