// Package errtext formats errors, and counts, for the users of the command
// line.
//
// Errors of packages begin with the name of the package, which helps
// programmers. Through several layers this produces texts such as "login:
// users: password: open users: no such file or directory", which do not tell
// users what is wrong and what to do.
package errtext

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Of returns the text of err without package names. Errors of the operating
// system become sentences; a sentence at the end of a line also says what to
// do. The number of lines is unchanged.
func Of(err error) string { return textOf(err, true) }

// Cause returns the text of [Of] without the advice, for callers that add their
// own.
func Cause(err error) string { return textOf(err, false) }

func textOf(err error, withAdvice bool) string {
	text := err.Error()
	for _, of := range systemErrors(err) {
		s := sentenceOf(of)
		at := strings.Index(text, of.Error())
		if s.description == "" || at < 0 {
			continue
		}
		rest := text[at+len(of.Error()):]
		description := s.description
		if withAdvice && s.advice != "" && (rest == "" || rest[0] == '\n') {
			description += ": " + s.advice
		}
		text = text[:at] + description + rest
	}
	lines := strings.Split(distrust.Replace(text), "\n")
	for i, line := range lines {
		lines[i] = withoutPackages(line)
	}
	return strings.Join(lines, "\n")
}

// distrust replaces the prefixes of certificate errors of crypto/tls.
var distrust = strings.NewReplacer("tls: failed to verify certificate: x509: ", "the certificate cannot be trusted: ", "tls: failed to verify certificate: ", "the certificate cannot be trusted: ")

// packages lists the names with which errors of packages begin.
var packages = map[string]bool{
	"wsauth": true, "gateway": true, "login": true, "idp": true, "token": true, "keyring": true, "jwks": true, "store": true, "store/bolt": true,
	"keyfile": true, "filelock": true, "password": true, "certfile": true, "config": true, "wsclient": true,
	"net/http": true, "net/url": true, "HTTP/1.x transport connection broken": true, "time": true, "x509": true,
}

// parts lists the prefixes that follow the names of the packages gateway and
// login.
var parts = map[string]bool{"users": true, "guard": true, "issuer": true, "verifier": true, "relay": true}

// withoutPackages removes the names of packages from the beginning of a line,
// and prefixes that the rest repeats.
func withoutPackages(line string) string {
	var kept []string
	rest, last := line, ""
	for {
		part, after, found := strings.Cut(rest, ": ")
		if !found || strings.ContainsAny(part, ";(") || strings.Count(part, `"`)%2 != 0 {
			break
		}
		if !packages[part] && !((last == "gateway" || last == "login") && parts[part]) {
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

// systemErrors returns the errors of the operating system in the tree of err.
// For each, it returns the outermost error that names a file or an address.
func systemErrors(err error) []error {
	switch e := err.(type) { //nolint:errorlint // the tree is walked here
	case nil:
		return nil
	case *fs.PathError, *os.LinkError, *net.OpError, *net.DNSError, *os.SyscallError:
		return []error{err}
	case interface{ Unwrap() []error }:
		var all []error
		for _, one := range e.Unwrap() {
			all = append(all, systemErrors(one)...)
		}
		return all
	}
	return systemErrors(errors.Unwrap(err))
}

// A sentence is the description of an error, and the advice.
type sentence struct{ description, advice string }

// sentenceOf returns the sentence for an error, or the zero value.
func sentenceOf(err error) sentence {
	path := ""
	switch e := err.(type) { //nolint:errorlint // systemErrors has unwrapped it
	case *net.OpError:
		return ofNetwork(e)
	case *net.DNSError:
		return ofName(e)
	case *os.SyscallError:
		return sentence{description: innermost(e)}
	case *fs.PathError:
		path = e.Path
	case *os.LinkError:
		path = e.New
	}
	return ofFile(path, err)
}

// ofFile returns the sentence for an error about a file.
func ofFile(path string, err error) sentence {
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case is(fs.ErrNotExist):
		return sentence{path + " does not exist", "check the path"}
	case is(fs.ErrPermission):
		return sentence{"this user may not access " + path, "run the command as the user who owns it, or give this user access"}
	case is(syscall.EISDIR):
		return sentence{path + " is a folder, not a file", "name the file itself"}
	case is(syscall.ENOTDIR):
		return sentence{path + " goes through a file as if it were a folder", "check the path"}
	// Returned by os.OpenRoot.
	case strings.HasSuffix(err.Error(), ": not a directory"):
		return sentence{path + " is a file, not a folder", "name the folder itself"}
	case is(syscall.ENOSPC), is(syscall.EDQUOT):
		return sentence{"there is no space left for " + path, "free some, or choose another folder"}
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

// Plain returns an error with the text of [Of] that wraps err.
func Plain(err error) error {
	if err == nil {
		return nil
	}
	return plain{err}
}

type plain struct{ error }

func (p plain) Error() string { return Of(p.error) }
func (p plain) Unwrap() error { return p.error }

// Count formats a number of things, such as "one socket" or "3 sockets".
func Count(n int, thing string) string {
	if n == 1 {
		return "one " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}
