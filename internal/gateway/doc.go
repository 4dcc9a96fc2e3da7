// Package gateway implements a server around a guard. It logs users in, renews
// and ends their sessions, and authenticates clients for upstream servers,
// which need no code for that ([Config].Routes). Without routes, it serves a
// demonstration: a guarded echo socket, and two pages that show what happens to
// it and why.
//
// It assembles packages that do not know each other: front accepts clients
// and reads their requests, proxy serves routes, login logs users in, admin
// serves operators, tokens verifies tokens, and telemetry records what
// happens.
//
//	config.go      the configuration of all of them
//	gateway.go     creates them from it, and shuts them down
//	serve.go       the steps of a request
//	endpoints.go   the endpoints that the gateway answers itself
//	cluster.go     the other nodes that share the store
//	operations.go  metrics, health checks, and the API for operators
package gateway
