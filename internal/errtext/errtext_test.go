package errtext

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"
)

func TestOf(t *testing.T) {
	path := func(op, path string, err error) error { return &fs.PathError{Op: op, Path: path, Err: err} }
	wrap := func(format string, err error) error { return fmt.Errorf(format, err) }
	listen := func(err error) error {
		return &net.OpError{Op: "listen", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, Err: os.NewSyscallError("bind", err)}
	}
	dial := func(addr net.Addr, err error) error {
		op := &net.OpError{Op: "dial", Net: "tcp", Addr: addr, Err: err}
		if errno, ok := err.(syscall.Errno); ok { //nolint:errorlint // made here
			op.Err = os.NewSyscallError("connect", errno)
		}
		return op
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{wrap("--users: login: users: password: %w", path("open", "nope", syscall.ENOENT)), "--users: nope does not exist: check the path"},
		{wrap("login: users: password: %w", errors.New("users: line 1: there is no colon")), "users: line 1: there is no colon"},
		{wrap("keyring: keys/a.jwk: keyfile: %w", errors.New("keys/a.jwk is open to others (mode 0644); fix it: chmod 600 keys/a.jwk")), "keys/a.jwk is open to others (mode 0644); fix it: chmod 600 keys/a.jwk"},
		{wrap("%w; make it with: wsauth user add", path("open", "users", syscall.ENOENT)), "users does not exist; make it with: wsauth user add"},
		{wrap("read: %w", path("open", "key", syscall.EACCES)), "read: this user may not access key: run the command as the user who owns it, or give this user access"},
		{path("read", "folder", syscall.EISDIR), "folder is a folder, not a file: name the file itself"},
		{path("mkdir", "file/x", syscall.ENOTDIR), "file/x goes through a file as if it were a folder: check the path"},
		{path("write", "x", syscall.ENOSPC), "there is no space left for x: free some, or choose another folder"},
		{path("mkdir", "/x", syscall.EROFS), "/x is on a file system that cannot be written to: choose another folder"},
		{&os.LinkError{Op: "link", Old: "a", New: "b", Err: syscall.EEXIST}, "b exists already: remove it, or choose another name"},
		{path("open", "x", syscall.EMFILE), "too many files are open to open x: raise the limit (ulimit -n)"},
		{path("open", "x", syscall.EIO), "open x: input/output error"},
		{wrap("--metrics: %w", listen(syscall.EADDRINUSE)), "--metrics: another program already listens on 127.0.0.1:80: stop it, or choose another address"},
		{listen(syscall.EACCES), "this user is not allowed to listen on 127.0.0.1:80: choose a port above 1023"},
		{listen(syscall.EADDRNOTAVAIL), "this machine does not have the address 127.0.0.1:80: choose one that it has, such as 127.0.0.1, or 0.0.0.0 for all of them"},
		{errors.Join(path("open", "a", syscall.ENOENT), wrap("idp: %w", path("open", "b", syscall.ENOENT))), "a does not exist: check the path\nb does not exist: check the path"},
		{path("open", "file", errors.New("not a directory")), "file is a file, not a folder: name the folder itself"},
		{wrap("ask: %w", dial(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, syscall.ECONNREFUSED)), "ask: nothing listens on 127.0.0.1:80: check the address, and whether the server runs"},
		{dial(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, syscall.EHOSTUNREACH), "there is no way to 127.0.0.1:80: check the address and the network"},
		{dial(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, os.ErrDeadlineExceeded), "127.0.0.1:80 does not answer in time: check the address and the network"},
		{dial(&net.UnixAddr{Name: "x/admin.sock"}, syscall.ENOTDIR), "x/admin.sock goes through a file as if it were a folder: check the path"},
		{dial(nil, &net.DNSError{Err: "no such host", Name: "nohost", Server: "192.0.2.1:53", IsNotFound: true}), "there is no host called nohost: check the spelling"},
		{wrap("keys: %w", &net.DNSError{Err: "server misbehaving", Name: "nohost", Server: "192.0.2.1:53"}), "keys: the name nohost cannot be looked up: check the network and the resolver"},
		{&net.OpError{Op: "proxyconnect", Net: "tcp", Err: dial(nil, &net.DNSError{Err: "no such host", Name: "proxy", IsNotFound: true})}, "the proxy cannot be used, since there is no host called proxy: check the spelling"},
		{&net.OpError{Op: "listen", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "nohost", IsNotFound: true}}, "there is no host called nohost: check the spelling"},
		{wrap("http://h:1: %w", os.NewSyscallError("connect", syscall.ECONNREFUSED)), "http://h:1: connection refused"},
		{dial(nil, &net.AddrError{Err: "invalid port", Addr: "99999"}), "address 99999: invalid port"},
		{errors.New(`get: net/http: HTTP/1.x transport connection broken: malformed HTTP response "x"`), `get: malformed HTTP response "x"`},
		{errors.New("get: tls: failed to verify certificate: x509: certificate signed by unknown authority"), "get: the certificate cannot be trusted: certificate signed by unknown authority"},
		{errors.New(`"token: x" is unknown: token: y`), `"token: x" is unknown: token: y`},
		{errors.New(`the keys of issuer "a: b": jwks: nope`), `the keys of issuer "a: b": jwks: nope`},
		{errors.New(`the keys of issuer "": jwks: nope`), `the keys of issuer "": nope`},
		{errors.New("users: nope"), "users: nope"}, // file, a key of the configuration
		{errors.New("idp: Config.Issuer: required"), "Config.Issuer: required"},
		{errors.New(""), ""},
	} {
		if got := Of(c.err); got != c.want {
			t.Errorf("%v:\n%s, want\n%s", c.err, got, c.want)
		}
		if plain := Plain(c.err); plain.Error() != c.want || !errors.Is(plain, c.err) {
			t.Errorf("%v: got %v", c.err, plain)
		}
	}
	if Plain(nil) != nil {
		t.Error("no error is one")
	}
}

func FuzzWithoutPackages(f *testing.F) {
	for _, seed := range []string{"login: users: password: x", "a: a: a", ": ", "token: ", `"token: x": token: y`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := withoutPackages(text)
		if len(got) > len(text) {
			t.Errorf("%q: got %q", text, got)
		}
		if again := withoutPackages(got); len(again) > len(got) {
			t.Errorf("%q: %q, and then %q", text, got, again)
		}
	})
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 sockets", 1: "one socket", 2: "2 sockets"} {
		if got := Count(n, "socket"); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}
