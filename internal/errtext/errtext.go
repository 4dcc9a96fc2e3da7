// Package errtext puts errors into words for the person who runs a command.
//
// An error of a package begins with the name of the package, so that whoever
// uses the package sees where it is from. Through several packages that makes
// "gateway: users: password: open users: no such file or directory". Of, who
// runs a program, it hides what is wrong and what to do.
package errtext

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// Of returns the text of err without the names of packages, with what the
// system says in a sentence, and with what to do about that unless the text
// goes on with it. It has as many lines as the text of err.
func Of(err error) string {
	text := err.Error()
	for _, of := range systemErrors(err) {
		s := sentenceOf(of)
		at := strings.Index(text, of.Error())
		if s.says == "" || at < 0 {
			continue
		}
		rest := text[at+len(of.Error()):]
		says := s.says
		if rest == "" || rest[0] == '\n' {
			says += ": " + s.cure
		}
		text = text[:at] + says + rest
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = withoutPackages(line)
	}
	return strings.Join(lines, "\n")
}

// packages are the names with which errors of our packages begin.
var packages = map[string]bool{
	"wsauth": true, "gateway": true, "idp": true, "token": true, "keyring": true, "remotekeys": true, "store": true, "store/bolt": true,
	"keyfile": true, "filelock": true, "password": true, "certfile": true, "config": true, "wsclient": true,
}

// parts are what stands behind the name of the package gateway.
var parts = map[string]bool{"users": true, "guard": true, "issuer": true, "verifier": true, "relay": true}

// withoutPackages returns a line without the names of packages before what is
// said, and without a name that stands twice in a row.
func withoutPackages(line string) string {
	var kept []string
	rest, last := line, ""
	for {
		part, after, found := strings.Cut(rest, ": ")
		if !found || strings.ContainsAny(part, `";(`) {
			break
		}
		if !packages[part] && !(last == "gateway" && parts[part]) {
			kept = append(kept, part)
		}
		rest, last = after, part
	}
	for i := len(kept) - 1; i >= 0; i-- {
		if again := kept[i]; !strings.HasPrefix(rest, again+" ") && !strings.HasPrefix(rest, again+": ") {
			rest = again + ": " + rest
		}
	}
	return rest
}

// systemErrors returns the errors of the system that err is made of, each the
// outermost that names a file or an address.
func systemErrors(err error) []error {
	switch e := err.(type) { //nolint:errorlint // the tree is walked here
	case nil:
		return nil
	case *fs.PathError, *os.LinkError:
		return []error{e}
	case *net.OpError:
		if e.Op == "listen" {
			return []error{e}
		}
	case interface{ Unwrap() []error }:
		var all []error
		for _, one := range e.Unwrap() {
			all = append(all, systemErrors(one)...)
		}
		return all
	}
	return systemErrors(errors.Unwrap(err))
}

// A sentence is what an error says, and what to do.
type sentence struct{ says, cure string }

// sentenceOf returns the sentence of an error; the zero value without one.
func sentenceOf(err error) sentence {
	if op, ok := err.(*net.OpError); ok { //nolint:errorlint // systemErrors has unwrapped it
		return ofListen(op)
	}
	path := ""
	switch e := err.(type) { //nolint:errorlint // the same
	case *fs.PathError:
		path = e.Path
	case *os.LinkError:
		path = e.New
	}
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case is(fs.ErrNotExist):
		return sentence{path + " does not exist", "check the path"}
	case is(fs.ErrPermission):
		return sentence{"this user may not use " + path, "run the command as the user who owns it, or give this user the right"}
	case is(syscall.EISDIR):
		return sentence{path + " is a folder, not a file", "name the file itself"}
	case is(syscall.ENOTDIR):
		return sentence{path + " needs a folder where there is a file", "check the path"}
	case is(syscall.ENOSPC), is(syscall.EDQUOT):
		return sentence{"there is no room left for " + path, "make some, or choose another folder"}
	case is(syscall.EROFS):
		return sentence{path + " is on a file system that cannot be written to", "choose another folder"}
	case is(fs.ErrExist):
		return sentence{path + " exists already", "remove it, or choose another name"}
	case is(syscall.EMFILE), is(syscall.ENFILE):
		return sentence{"too many files are open to open " + path, "raise the limit (ulimit -n)"}
	case is(syscall.ELOOP):
		return sentence{path + " leads through too many symbolic links", "check where they lead"}
	}
	return sentence{}
}

func ofListen(op *net.OpError) sentence {
	address := fmt.Sprint(op.Addr)
	switch {
	case errors.Is(op, syscall.EADDRINUSE):
		return sentence{"another program listens on " + address + " already", "stop it, or choose another address"}
	case errors.Is(op, syscall.EADDRNOTAVAIL):
		return sentence{"this machine does not have the address " + address, "choose one that it has, such as 127.0.0.1, or 0.0.0.0 for all of them"}
	case errors.Is(op, fs.ErrPermission):
		return sentence{"this user may not listen on " + address, "choose a port above 1023"}
	}
	return sentence{}
}

// Plain is an error in the words of [Of], with everything else that err is.
func Plain(err error) error {
	if err == nil {
		return nil
	}
	return plain{err}
}

type plain struct{ error }

func (p plain) Error() string { return Of(p.error) }
func (p plain) Unwrap() error { return p.error }
