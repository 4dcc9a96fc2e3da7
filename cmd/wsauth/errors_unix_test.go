//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// packageNames matches text for programmers that must not be in a message:
// names of packages before the fault, and system calls.
var packageNames = regexp.MustCompile(`\b(dial|lookup|connect): |dial (tcp|unix)|(^|: |error=")(net/http|net/url|time|x509|gateway|password|keyfile|keyring|idp|token|store/bolt|filelock|jwks|certfile): |\b(Config|Options)\.|\b(open|lstat|stat|statat|openat|read|mkdir) [^ ]+: `)

// TestErrorsForPeople checks that the error of a command is one clear sentence
// with advice, and names no package.
func TestErrorsForPeople(t *testing.T) {
	dir := t.TempDir()
	taken, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed below
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	address := taken.Addr().String()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	write("bad-users", "x\n", 0o600)
	write("bad-lines", "x\nada:x\n", 0o600)
	write("empty", "", 0o600)
	write("open-users", "ada:x\n", 0o666)
	write("empty-users", "", 0o600)
	write("bad-keys/a.jwk", "{}", 0o600)
	write("open-keys/a.jwk", "{}", 0o644)
	write("open-folder/a.jwk", "{}", 0o600)
	write("text", "x\n", 0o600)
	write("open-text", "x\n", 0o644)
	write("broken/store.db", "garbage", 0o600)
	for name, text := range map[string]string{
		"users": "users: nowhere", "bad-lines": "users: bad-lines", "bad-users": "users: bad-users", "open-users": "users: open-users", "folder-users": "users: bad-keys",
		"cert": "tls: {cert: nowhere.crt, key: nowhere.key}", "key": "tls: {cert: text, key: nowhere.key}", "pem": "tls: {cert: text, key: text}",
		"open-key": "tls: {cert: text, key: open-text}", "ca": "routes: [{path: /, upstream: 'https://127.0.0.1:1', tls: {ca: nowhere.pem}}]",
		"token": "admin: {listen: '127.0.0.1:0', token_file: nowhere/token}", "yaml": "a: [", "provider": "providers: [{preset: keycloak, issuer: x}]",
		"issuer": "issuer: x", "origin": "origins: [x]", "listen": "listen: x", "path": "routes: [{path: x, upstream: x}]",
	} {
		write(name+".yaml", text+"\n", 0o600)
	}
	if err := errors.Join(os.Chmod(filepath.Join(dir, "open-folder"), 0o777), os.Mkdir(filepath.Join(dir, "open-data"), 0o700), os.Chmod(filepath.Join(dir, "open-data"), 0o777)); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		"serve --users=nowhere":                                      "--users: nowhere does not exist; add a first user: wsauth user add nowhere NAME\n",
		"serve --users=bad-users":                                    "--users: bad-users: line 1: there is no colon; write name:hash\n",
		"serve --users=open-users":                                   "--users: open-users is open to others (mode 0666); fix it: chmod 600 'open-users'",
		"serve --users=empty-users":                                  "--users: empty-users is empty; add a user: wsauth user add empty-users NAME\n",
		"serve --users=bad-keys":                                     "--users: bad-keys is not a regular file\n",
		"serve --keys=bad-keys":                                      "wsauth: error: bad-keys/a.jwk: JWK: alg is missing; fix the file",
		"serve --keys=open-keys":                                     "wsauth: error: open-keys/a.jwk is open to others (mode 0644); fix it: chmod 600 'open-keys/a.jwk'",
		"serve --keys=open-folder":                                   "wsauth: error: others may write to the folder open-folder (mode 0777); choose a folder of your own",
		"serve --config=nowhere":                                     "read the configuration: nowhere does not exist: check the path, or begin with \"wsauth config example\"\n",
		"serve --config=bad-keys":                                    "read the configuration: bad-keys is a folder, not a file: name the file itself\n",
		"serve --config=users.yaml":                                  "users.yaml:1: users: nowhere does not exist; add a first user: wsauth user add nowhere NAME\n",
		"serve --tls-cert=nowhere --tls-key=text":                    "tls: nowhere does not exist: check the path\n",
		"serve --data=text":                                          "make the data folder: text goes through a file as if it were a folder: check the path\n",
		"serve --data=open-data":                                     "wsauth: error: others may write to the folder open-data (mode 0777)",
		"serve --data=broken":                                        "wsauth: error: broken/store.db is damaged",
		"serve --metrics=" + address:                                 "--metrics=" + address + ": another program already listens on " + address + ": stop it, or choose another address\n",
		"serve --provider=preset=keycloak,issuer=x":                  "--provider: audience: required",
		"config check nowhere":                                       "read the configuration: nowhere does not exist: check the path",
		"config check users.yaml":                                    "users.yaml:1: users: nowhere does not exist; add a first user: wsauth user add nowhere NAME\n",
		"config check bad-users.yaml":                                "bad-users.yaml:1: users: bad-users: line 1: there is no colon",
		"config check bad-lines.yaml":                                "bad-lines.yaml:1: users: bad-lines: line 1: there is no colon; write name:hash\nbad-lines.yaml:1: users: bad-lines: line 2: the hash is neither",
		"user list bad-lines":                                        "bad-lines: line 2: the hash is neither",
		"keys list --keys=text":                                      "wsauth: error: text is a file, not a folder: name the folder itself\n",
		"keys export --keys=text":                                    "wsauth: error: text is a file, not a folder: name the folder itself\n",
		"serve --keys=text":                                          "text is a file, not a folder",
		"status --data=text":                                         "ask the server: text/admin.sock goes through a file as if it were a folder: check the path\n",
		"connect ws://127.0.0.1:1/":                                  "handshake with 127.0.0.1:1: nothing listens on 127.0.0.1:1\n",
		"connect ws://127.0.0.1:1/ --user=ada --password-file=empty": "wsauth: error: the password is empty\n",
		"token verify --jwks=http://127.0.0.1:1/ eyJhbGciOiJFUzI1NiJ9.e30.c2ln": "refused: its signature cannot be verified now, because the keys cannot be fetched: nothing listens on 127.0.0.1:1: check the address, and whether the server runs\n",
		"config check open-users.yaml":                                          "users: open-users is open to others",
		"config check folder-users.yaml":                                        "users: bad-keys is not a regular file\n",
		"config check cert.yaml":                                                "cert.yaml:1: tls: nowhere.crt does not exist: check the path\n",
		"config check key.yaml":                                                 "key.yaml:1: tls: nowhere.key does not exist: check the path\n",
		"config check pem.yaml":                                                 "tls: text holds no private key in PEM form\n",
		"config check open-key.yaml":                                            "tls: open-text is open to others (mode 0644); fix it: chmod 600 'open-text'",
		"config check ca.yaml":                                                  "ca.yaml:1: routes[0].tls.ca: nowhere.pem does not exist: check the path\n",
		"config check token.yaml":                                               "admin.token_file: nowhere does not exist: check the path\n",
		"config check yaml.yaml":                                                "yaml.yaml:1: ",
		"config check provider.yaml":                                            "providers[0].issuer: ",
		"config check issuer.yaml":                                              "issuer.yaml:1: issuer: ",
		"config check origin.yaml":                                              "origin.yaml:1: origins",
		"config check listen.yaml":                                              "listen.yaml:1: listen: it must be HOST:PORT",
		"config check path.yaml":                                                "path.yaml:1: routes[0].path: ",
		"data check --data=nowhere":                                             "wsauth: error: nowhere/store.db does not exist: check the path\n",
		"keys list --keys=nowhere":                                              "wsauth: error: nowhere does not exist; create it with: wsauth keys generate --keys=nowhere\n",
		"keys export --keys=nowhere":                                            "nowhere does not exist; create it with: wsauth keys generate",
		"keys prune --keys=nowhere":                                             "nowhere does not exist; create it with: wsauth keys generate",
		"keys list --keys=open-keys":                                            "wsauth: error: open-keys/a.jwk is open to others",
		"token issue --sub=a --keys=nowhere":                                    "nowhere does not exist; locate the keys with --keys, or generate some: wsauth keys generate\n",
		"token issue --sub=a --keys=text":                                       "wsauth: error: text: ",
		"token verify --keys=nowhere a.b.c":                                     "nowhere does not exist; locate the keys",
		"token verify --jwks=http://x/ a.b.c":                                   "wsauth: error: --jwks: \"http://x/\"",
		"token inspect a.b":                                                     "no verifier accepts it: not enough segments",
		"user list nowhere":                                                     "wsauth: error: nowhere does not exist: check the path\n",
		"user remove nowhere ada":                                               "wsauth: error: nowhere does not exist: check the path\n",
		"user add nowhere/users ada":                                            "the folder of nowhere/users: nowhere does not exist: check the path\n",
		"user add bad-users ada":                                                "wsauth: error: bad-users: line 1: ",
		"status --config=nowhere":                                               "read the configuration: nowhere does not exist",
		"status --admin-url=http://127.0.0.1:1 --token-file=nowhere":            "--token-file: nowhere does not exist: check the path\n",
		"connect ws://127.0.0.1:1/ --token-file=nowhere":                        "--token-file=nowhere: nowhere does not exist: check the path\n",
		"connect ws://127.0.0.1:1/ --ca=nowhere":                                "--ca: nowhere does not exist: check the path\n",
		"connect ws://127.0.0.1:1/ --user=ada --password-file=nowhere":          "--password-file: nowhere does not exist: check the path\n",
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			args := strings.Fields(command)
			if args[0] == "serve" {
				args = append(args, "--addr=127.0.0.1:0")
				if !strings.Contains(command, "--data=") {
					args = append(args, "--data="+t.TempDir())
				}
			}
			cmd := exec.CommandContext(ctx, "wsauth", args...)
			cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGKILL) }
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+t.TempDir(), "XDG_DATA_HOME=", goRace)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Run(); err == nil || ctx.Err() != nil {
				t.Errorf("%v", err)
			}
			text := stderr.String()
			if !strings.Contains(text, want) {
				t.Errorf("%s\nwant %s", text, want)
			}
			for line := range strings.Lines(text) {
				if found := packageNames.FindString(strings.TrimPrefix(strings.TrimSpace(line), "wsauth: error: ")); found != "" {
					t.Errorf("the error contains %q: %s", found, line)
				}
			}
		})
	}
}
