// Package password checks passwords against stored hashes, of the two kinds that are made for it: argon2id (RFC 9106) and bcrypt.
// It also reads and writes the files of users that hold them, one "name:hash" a line, as htpasswd -B makes them.
//
// What a hash costs to check stands in the hash, so that whoever writes the file decides how long a login takes and how much
// memory it holds. Both are bounded here. No error contains a hash or a password: a line that is not understood may be either.
package password
