// Package errtext puts errors into words for the person who runs a command.
//
// An error of a package begins with the name of the package, so that whoever
// uses the package sees where it is from. Through several packages that makes
// "gateway: users: password: open users: no such file or directory". Of, who
// runs a program, it hides what is wrong and what to do.
package errtext

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// Of returns the text of err without the names of packages, with what the
// system says in a sentence, and with what to do about that unless the text
// goes on with it. It has as many lines as the text of err.
func Of(err error) string { return words(err, true) }

// Cause returns the text of err as [Of] does, without what to do: for one who
// goes on with that.
func Cause(err error) string { return words(err, false) }

func words(err error, withCure bool) string {
	text := err.Error()
	for _, of := range systemErrors(err) {
		s := sentenceOf(of)
		at := strings.Index(text, of.Error())
		if s.says == "" || at < 0 {
			continue
		}
		rest := text[at+len(of.Error()):]
		says := s.says
		if withCure && s.cure != "" && (rest == "" || rest[0] == '\n') {
			says += ": " + s.cure
		}
		text = text[:at] + says + rest
	}
	lines := strings.Split(distrust.Replace(text), "\n")
	for i, line := range lines {
		lines[i] = withoutPackages(line)
	}
	return strings.Join(lines, "\n")
}

// distrust replaces how crypto/tls begins what it says of a certificate.
var distrust = strings.NewReplacer("tls: failed to verify certificate: x509: ", "the certificate cannot be trusted: ", "tls: failed to verify certificate: ", "the certificate cannot be trusted: ")

// packages are the names with which errors of our packages begin.
var packages = map[string]bool{
	"wsauth": true, "gateway": true, "idp": true, "token": true, "keyring": true, "remotekeys": true, "store": true, "store/bolt": true,
	"keyfile": true, "filelock": true, "password": true, "certfile": true, "config": true, "wsclient": true,
	"net/http": true, "net/url": true, "HTTP/1.x transport connection broken": true, "time": true, "x509": true,
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
		if !found || strings.ContainsAny(part, ";(") || strings.Count(part, `"`)%2 != 0 {
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

// A sentence is what an error says, and what to do.
type sentence struct{ says, cure string }

// sentenceOf returns the sentence of an error; the zero value without one.
func sentenceOf(err error) sentence {
	path := ""
	switch e := err.(type) { //nolint:errorlint // systemErrors has unwrapped it
	case *net.OpError:
		return ofNetwork(e)
	case *net.DNSError:
		return ofName(e)
	case *os.SyscallError:
		return sentence{says: innermost(e)}
	case *fs.PathError:
		path = e.Path
	case *os.LinkError:
		path = e.New
	}
	return ofFile(path, err)
}

// ofFile returns the sentence of what the system says of a file.
func ofFile(path string, err error) sentence {
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
	case strings.HasSuffix(err.Error(), ": not a directory"): // of os.OpenRoot
		return sentence{path + " is a file, not a folder", "name the folder itself"}
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
