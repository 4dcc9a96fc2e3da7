package config

import (
	"wsauth/gateway"
	"wsauth/internal/certfile"
	"wsauth/login"
)

// files checks the files that a server opens when it starts.
func (w *work) files() {
	s := &w.Settings
	if s.Users != "" {
		if _, err := login.OpenUsers(s.Users); err != nil {
			w.report("users", "%v", err)
		}
	}
	if s.TLS.Cert != "" && s.TLS.Key != "" {
		if _, err := certfile.Open(s.TLS.Cert, s.TLS.Key); err != nil {
			w.report("tls", "%v", err)
		}
	}
	if s.Admin.TokenFile != "" {
		if _, err := gateway.ReadAdminToken(s.Admin.TokenFile); err != nil {
			w.report("admin.token_file", "%v", err)
		}
	}
}
