package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"wsauth/internal/adminapi"
	"wsauth/internal/config"
	"wsauth/internal/inspect"
	"wsauth/internal/privatesock"
	"wsauth/internal/server"
)

const (
	operatorPatience = 5 * time.Second // per request
	// Bytes; a page of 1,000 sockets is far smaller.
	maxAnswer = 8 << 20
)

// serverAt are the flags that locate the running server.
type serverAt struct {
	Data        string `placeholder:"DIR" env:"WSAUTH_DATA" help:"Data folder of the server (default: wsauth in $$XDG_DATA_HOME or ~/.local/share)."`
	AdminSocket string `placeholder:"PATH" env:"WSAUTH_ADMIN_SOCKET" help:"Socket of the server for operators (default: admin.sock in the folder of --data)."`
	Config      string `placeholder:"FILE" env:"WSAUTH_CONFIG" help:"Configuration of the server, for the data folder and the socket if the flags do not set them."`
	AdminURL    string `name:"admin-url" placeholder:"URL" help:"Port of the server for operators, instead of the socket, such as http://127.0.0.1:9091; needs --token-file."`
	TokenFile   string `placeholder:"FILE" help:"File with the token for that port."`
}

// An operator sends requests to a running server.
type operator struct {
	url    string
	where  string // for messages
	token  string
	client *http.Client
}

// operator locates the server.
func (at serverAt) operator() (*operator, error) {
	if at.AdminURL != "" {
		return at.onPort()
	}
	if at.TokenFile != "" {
		return nil, errors.New("--token-file is only for --admin-url: a socket needs no token")
	}
	path, err := at.socket()
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return privatesock.Dial(ctx, path) }
	return newOperator("http://localhost", path, "", &http.Transport{DialContext: dial}), nil
}

// socket returns the path of the server's socket.
func (at serverAt) socket() (string, error) {
	named, data := at.AdminSocket, at.Data
	if at.Config != "" {
		d, err := config.Read(at.Config)
		if err != nil {
			return "", err
		}
		if data == "" && named == "" {
			named = d.Settings.Admin.Socket
		}
		if data == "" {
			data = d.Settings.Data
		}
	}
	if named == config.Off {
		return "", errors.New("the server's socket for operators is off")
	}
	if named != "" {
		return named, nil
	}
	dir, err := server.DataFolder(data)
	return server.AdminSocket("", dir), err
}

// onPort returns an operator for a port. It refuses to send the token where
// others on the network could read it.
func (at serverAt) onPort() (*operator, error) {
	u, err := url.Parse(at.AdminURL)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("--admin-url: must be only a scheme, a host and a port, such as http://127.0.0.1:9091")
	}
	ip, err := netip.ParseAddr(u.Hostname())
	here := u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !here) {
		return nil, fmt.Errorf("--admin-url: the token would be sent in plain text over the network: use https, or a tunnel to a local port")
	}
	if at.TokenFile == "" {
		return nil, errors.New("--admin-url needs --token-file=FILE with the operators' token")
	}
	token, err := adminapi.ReadToken(at.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("--token-file: %w", err)
	}
	return newOperator(u.Scheme+"://"+u.Host, u.Host, token, &http.Transport{}), nil
}

func newOperator(address, where, token string, transport *http.Transport) *operator {
	return &operator{url: address, where: where, token: token, client: &http.Client{
		Transport:     transport,
		Timeout:       operatorPatience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// get requests path, and decodes the response into v.
func (o *operator) get(ctx context.Context, path string, query url.Values, v any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return o.ask(ctx, http.MethodGet, path, nil, v)
}

// post sends body, and decodes the response into v.
func (o *operator) post(ctx context.Context, path string, body, v any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return o.ask(ctx, http.MethodPost, path, strings.NewReader(string(text)), v)
}

func (o *operator) ask(ctx context.Context, method, path string, body io.Reader, v any) error {
	r, err := http.NewRequestWithContext(ctx, method, o.url+path, body)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "wsauth")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if o.token != "" {
		r.Header.Set("Authorization", "Bearer "+o.token)
	}
	response, err := o.client.Do(r)
	if err != nil {
		return o.unreachable(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return o.unreachable(err)
	case response.StatusCode != http.StatusOK:
		return o.refused(response.StatusCode, text)
	case len(text) > maxAnswer:
		return fmt.Errorf("the answer of %s is longer than %d bytes", o.where, maxAnswer)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("the answer of %s is not from a wsauth server", o.where)
	}
	return nil
}

// unreachable explains why there is no response, and what to do.
func (o *operator) unreachable(err error) error {
	onPort := o.token != ""
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case os.IsTimeout(err):
		return fmt.Errorf("the server at %s did not answer within %s", o.where, o.client.Timeout)
	case errors.Is(err, fs.ErrNotExist) && !onPort:
		return fmt.Errorf("no server is running here: %s does not exist; start one with \"wsauth serve\", or locate it with --data=DIR or --admin-socket=PATH", o.where)
	case errors.Is(err, syscall.ECONNREFUSED) && !onPort:
		return fmt.Errorf("no server is running here: the one that created %s ended without removing it; start one with \"wsauth serve\"", o.where)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no server listens on %s: start one with admin.listen, or use another address with --admin-url=URL", o.where)
	case errors.Is(err, fs.ErrPermission) && !onPort:
		return fmt.Errorf("this user is not allowed to open %s: run the command as the server's user, for example with sudo -u", o.where)
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the URL, which is of no use here
	}
	return fmt.Errorf("ask the server: %w", err)
}

// refused returns the error for a response that is not a success.
func (o *operator) refused(status int, text []byte) error {
	var problem struct {
		Detail string `json:"detail"`
		Ended  bool   `json:"ended"`
	}
	switch err := json.Unmarshal(text, &problem); {
	case status == http.StatusUnauthorized:
		return fmt.Errorf("the server at %s does not accept the token in --token-file", o.where)
	case err != nil || problem.Detail == "":
		return fmt.Errorf("the server at %s answered with status %d and is not a wsauth server for operators", o.where, status)
	case problem.Ended:
		return fmt.Errorf("the server has ended it, but could not store this: %s (status %d)", inspect.Printable(problem.Detail), status)
	}
	return fmt.Errorf("the server refuses: %s (status %d)", inspect.Printable(problem.Detail), status)
}
