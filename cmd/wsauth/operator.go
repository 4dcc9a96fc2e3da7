package main

import (
	"errors"
	"fmt"

	"wsauth/internal/adminapi"
	"wsauth/internal/adminclient"
	"wsauth/internal/config"
	"wsauth/internal/server"
)

// serverAt are the flags that locate the running server.
type serverAt struct {
	Data        string `placeholder:"DIR" env:"WSAUTH_DATA" help:"Data folder of the server (default: wsauth in $$XDG_DATA_HOME or ~/.local/share)."`
	AdminSocket string `placeholder:"PATH" env:"WSAUTH_ADMIN_SOCKET" help:"Unix socket of the server for operators (default: admin.sock in the folder of --data)."`
	Config      string `placeholder:"FILE" env:"WSAUTH_CONFIG" help:"Configuration of the server, for the data folder and the socket if the flags do not set them."`
	AdminURL    string `name:"admin-url" placeholder:"URL" help:"URL of the server's port for operators, to use instead of the socket, such as http://127.0.0.1:9091; needs --token-file."`
	TokenFile   string `placeholder:"FILE" help:"File with the token for that port."`
}

// client returns a client of the server.
func (at serverAt) client() (*adminclient.Client, error) {
	if at.AdminURL != "" {
		return at.portClient()
	}
	if at.TokenFile != "" {
		return nil, errors.New("--token-file is only for --admin-url: a socket needs no token")
	}
	path, err := at.socket()
	if err != nil {
		return nil, err
	}
	return adminclient.NewSocket(path), nil
}

// portClient returns a client of the server's port.
func (at serverAt) portClient() (*adminclient.Client, error) {
	if at.TokenFile == "" {
		return nil, errors.New("--admin-url needs --token-file=FILE with the operators' token")
	}
	token, err := adminapi.ReadToken(at.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("--token-file: %w", err)
	}
	client, err := adminclient.NewPort(at.AdminURL, token)
	if err != nil {
		return nil, fmt.Errorf("--admin-url: %w", err)
	}
	return client, nil
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
