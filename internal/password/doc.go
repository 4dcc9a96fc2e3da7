// Package password verifies passwords against hashes made for this purpose:
// argon2id (RFC 9106) and bcrypt. It also reads and writes user files, with
// one "name:hash" per line, as "htpasswd -B" writes them.
//
// A hash determines how much time and memory its verification costs, so the
// author of the file decides how expensive a login is. This package limits
// both. Errors never contain a hash or a password: a line that cannot be parsed
// may be either.
package password
