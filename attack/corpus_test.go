package attack

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"wsauth"
	"wsauth/internal/wstest"
)

// corpus makes the vectors of testdata/tokens. It must run at the start of a
// synctest bubble, since the dates of tokens depend on its clock.
func corpus() []wstest.Vector {
	var all []wstest.Vector
	for _, part := range [][]wstest.Vector{
		wrongAlgorithm(), headers(), segments(), alphabet(), ecdsaSignatures(), ed25519Signatures(), pssSignatures(),
		hostileDates(), hostileParties(), hostileSubjects(), hostilePayloads(), acceptedVectors(),
	} {
		all = append(all, part...)
	}
	slices.SortStableFunc(all, func(a, b wstest.Vector) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// writeVectors writes token vectors, one file for each code and expectation.
func writeVectors(t *testing.T, all []wstest.Vector) {
	t.Helper()
	files := map[string]string{}
	for _, v := range all {
		if v.Expect == "" {
			v.Expect = "accepted"
		}
		name := v.Code + "-" + v.Expect + ".txt"
		if files[name] == "" {
			files[name] = "code: " + v.Code + "\nexpect: " + v.Expect + "\n\n"
		}
		text := v.Text
		isPlain := !strings.HasPrefix(text, `"`) && strings.TrimSpace(text) == text &&
			!strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
		if !isPlain {
			text = strconv.QuoteToASCII(text)
		}
		files[name] += v.Name + " " + text + "\n"
	}
	for name, text := range files {
		if err := os.WriteFile("testdata/tokens/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// forged returns a token vector. title is its code, a slash and its name.
func forged(title, text string) wstest.Vector {
	code, name, _ := strings.Cut(title, "/")
	v := wstest.Vector{Code: code, Name: name, Text: text, Expect: string(wsauth.TokenInvalid)}
	switch title {
	case "J23/past", "J23/now", "J23/0", "J23/before_iat":
		v.Expect = string(wsauth.TokenExpired)
	}
	return v
}

func wrongAlgorithm() []wstest.Vector {
	var all []wstest.Vector
	for _, none := range []string{"none", "None", "NONE", "nOnE", ""} {
		unsigned := b64(head(none, "hs", "")) + "." + b64(claims()) + "."
		all = append(all,
			forged("J1/unsigned_"+none, unsigned),
			forged("J1/signed_"+none, compact(head(none, "hs", ""), claims(), signHS)))
	}
	for kid, key := range map[string]any{"rs": &keys().rsa.PublicKey, "es": &keys().ec.PublicKey, "ed": keys().ed.Public()} {
		for form, secret := range publicForms(key) {
			for _, k := range []string{kid, "hs", ""} {
				name := fmt.Sprintf("J2/%s_%s_kid_%s", kid, form, k)
				all = append(all, forged(name, compact(head("HS256", k, ""), claims(), macSigner(secret))))
			}
		}
	}
	for name, alg := range map[string]string{
		"HS512": `"HS512"`, "hs256": `"hs256"`, "space": `"HS256 "`, "null": `null`, "array": `["HS256"]`, "number": `256`,
		"object": `{"alg":"HS256"}`, "RS256": `"RS256"`, "EdDSA": `"EdDSA"`, "Ed25519": `"Ed25519"`, "unknown": `"XS256"`,
	} {
		all = append(all, forged("J3/"+name, compact(`{"alg":`+alg+`,"kid":"hs"}`, claims(), signHS)))
	}
	return append(all,
		forged("J3/absent", compact(`{"typ":"JWT","kid":"hs"}`, claims(), signHS)),
		forged("J3/HS512_signed_so", compact(head("HS512", "hs", ""), claims(), mac512)),
		forged("J3/key_of_another_algorithm", compact(head("RS256", "ps", ""), claims(), signRS)),
		forged("J4/alg_twice", compact(`{"alg":"none","alg":"HS256","kid":"hs"}`, claims(), signHS)),
		forged("J4/alg_twice_reversed", compact(`{"alg":"HS256","alg":"none","kid":"hs"}`, claims(), signHS)),
		forged("J4/alg_twice_escaped", compact(`{"alg":"HS256","\u0061lg":"none","kid":"hs"}`, claims(), signHS)),
		forged("J4/alg_in_another_case", compact(`{"alg":"HS256","ALG":"none","kid":"hs"}`, claims(), signHS)),
		forged("J4/kid_twice", compact(`{"alg":"HS256","kid":"es","kid":"hs"}`, claims(), signHS)),
	)
}

// headers makes tokens with forbidden header parameters. Some have a valid
// signature, so that only the header is wrong. Others have a signature that an
// attacker can make.
func headers() []wstest.Vector {
	const evil = "https://attacker.example/keys"
	var all []wstest.Vector
	empty := macSigner(nil)
	for name, kid := range map[string]string{
		"null_device": `"../../../../dev/null"`, "empty": `""`, "null": `null`, "absolute": `"/dev/null"`, "url": fmt.Sprintf("%q", evil),
	} {
		all = append(all, forged("J5/"+name, compact(`{"alg":"HS256","kid":`+kid+`}`, claims(), empty)))
	}
	for name, kid := range map[string]string{
		"sql": `"x' UNION SELECT '1';--"`, "shell": `"|sleep 10"`, "nul": `"hs\u0000"`, "crlf": `"hs\r\nlevel=ERROR"`, "ansi": `"\u001b[2J"`,
	} {
		all = append(all,
			forged("J6/"+name, compact(`{"alg":"HS256","kid":`+kid+`}`, claims(), macSigner([]byte("1")))),
			forged("J6/signed_"+name, compact(`{"alg":"HS256","kid":`+kid+`}`, claims(), signHS)))
	}
	for name, kid := range map[string]string{
		"4KiB": `"` + strings.Repeat("k", 4<<10) + `"`, "array": `["hs"]`, "number": `1`, "object": `{"hs":1}`,
	} {
		all = append(all, forged("J7/"+name, compact(`{"alg":"HS256","kid":`+kid+`}`, claims(), signHS)))
	}
	attacker := []byte("the attacker's own secret, long enough for HS256")
	own := fmt.Sprintf(`{"kty":"oct","k":%q,"kid":"hs"}`, b64(string(attacker)))
	for name, more := range map[string]string{
		"J8/jku": fmt.Sprintf(`,"jku":%q`, evil), "J8/x5u": fmt.Sprintf(`,"x5u":%q`, evil), "J8/JKU": fmt.Sprintf(`,"JKU":%q`, evil),
		"J9/jwk": `,"jwk":` + own, "J9/JWK": `,"JWK":` + own,
		"J10/unknown": `,"crit":["x"],"x":1`, "J10/empty": `,"crit":[]`, "J10/standard": `,"crit":["alg"]`, "J10/exp": `,"crit":["exp"],"exp":1`,
		"J10/null": `,"crit":null`, "J10/string": `,"crit":"x"`,
		"J11/without_crit": `,"b64":false`, "J11/with_crit": `,"b64":false,"crit":["b64"]`, "J11/true": `,"b64":true`,
		"J14/zip": `,"zip":"DEF"`, "J14/enc": `,"enc":"A256GCM"`, "J14/p2c": `,"enc":"A256GCM","p2c":2147483647,"p2s":"AAAA"`,
		"J35/cty": `,"cty":"JWT"`,
	} {
		if !strings.HasPrefix(name, "J8/") { // with a good signature, a token with a J8 header is valid
			all = append(all, forged(name+"_signed", compact(head("HS256", "hs", more), claims(), signHS)))
		}
		all = append(all,
			forged(name+"_attacker", compact(head("HS256", "hs", more), claims(), macSigner(attacker))),
			forged(name+"_attacker_no_kid", compact(head("HS256", "", more), claims(), macSigner(attacker))))
	}
	theirs := must(rsa.GenerateKey(rand.Reader, 2048))
	bySelf := func(input string) string {
		return string(must(rsa.SignPKCS1v15(nil, theirs, crypto.SHA256, digest(input))))
	}
	for name, more := range map[string]string{
		"x5c": fmt.Sprintf(`,"x5c":[%q]`, base64.StdEncoding.EncodeToString(selfSigned(theirs))),
		"jwk": fmt.Sprintf(`,"jwk":{"kty":"RSA","n":%q,"e":"AQAB"}`, b64(string(theirs.N.Bytes()))),
	} {
		for _, kid := range []string{"rs", "new", ""} {
			all = append(all, forged("J9/RS256_"+name+"_kid_"+kid, compact(head("RS256", kid, more), claims(), bySelf)))
		}
		if name == "jwk" {
			all = append(all, forged("J9/RS256_"+name+"_signed", compact(head("RS256", "rs", more), claims(), signRS)))
		}
	}
	// RFC 7797: the payload is not encoded at all.
	raw := b64(head("HS256", "hs", `,"b64":false,"crit":["b64"]`)) + "." + claims()
	all = append(all, forged("J11/payload_in_clear", raw+"."+b64(signHS(raw))))
	for _, typ := range []string{"secevent+jwt", "dpop+jwt", "logout+jwt", "JOSE", "entity-statement+jwt", "application/application/at+jwt", ""} {
		all = append(all, forged("J34/typ_"+strings.ReplaceAll(typ, "/", "_"), compact(fmt.Sprintf(`{"alg":"HS256","typ":%q,"kid":"hs"}`, typ), claims(), signHS)))
	}
	return all
}

// selfSigned returns a self-signed certificate of a key in DER.
func selfSigned(key *rsa.PrivateKey) []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	return must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
}

// segments makes tokens with missing, additional or altered segments: J12 to
// J15 and J17.
func segments() []wstest.Vector {
	good := signed(claims())
	parts := strings.Split(good, ".")
	h, p, s := parts[0], parts[1], parts[2]
	deep := b64(strings.Repeat("A", 3000))
	all := []wstest.Vector{
		forged("J12/empty", h+"."+p+"."),
		forged("J12/16_bytes", h+"."+p+"."+b64(signHS(h + "." + p)[:16])),
		forged("J12/one_byte_more", h+"."+p+"."+b64(signHS(h+"."+p)+"\x00")),
		forged("J12/of_another_token", h+"."+p+"."+strings.Split(signed(claims("sub", `"bob"`)), ".")[2]),
		forged("J12/flipped_bit", h+"."+p+"."+b64(string([]byte{signHS(h + "." + p)[0] ^ 1})+signHS(h + "." + p)[1:])),
		forged("J13/one", h),
		forged("J13/two", h+"."+p),
		forged("J13/four", good+".e30"),
		forged("J13/trailing_dot", good+"."),
		forged("J13/leading_dot", "."+good),
		forged("J13/empty_header", "."+p+"."+s),
		forged("J13/empty_payload", h+".."+s),
		forged("J13/detached", h+".."+b64(signHS(h+"."))),
		forged("J13/dots", ".."),
		forged("J13/twice", good+"."+good),
		forged("J14/five_segments", b64(`{"alg":"dir","enc":"A256GCM","zip":"DEF"}`)+".."+b64("123456789012")+"."+deep+"."+b64("1234567890123456")),
		forged("J14/pbes2", b64(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAAAAAAAAA"}`)+"."+b64("key")+"."+b64("123456789012")+"."+deep+"."+b64("tag")),
		forged("J15/flattened", fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, p, h, s)),
		forged("J15/general", fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, p, h, s)),
		forged("J15/unprotected", fmt.Sprintf(`{"payload":%q,"header":{"alg":"none"},"signature":""}`, p)),
	}
	for i, part := range parts { // J17: set bits that base64url leaves unused
		if len(part)%4 == 0 {
			continue // this segment has no unused bits
		}
		changed := []string{h, p, s}
		changed[i] = part[:len(part)-1] + string(nextChar(part[len(part)-1]))
		all = append(all, forged(fmt.Sprintf("J17/segment_%d", i+1), strings.Join(changed, ".")))
	}
	// The number of unused bits depends on the length, modulo 3.
	for _, pad := range []string{"", "x", "xx"} {
		payload := b64(claims("pad", `"`+pad+`"`))
		if len(payload)%4 == 0 {
			continue
		}
		changed := payload[:len(payload)-1] + string(nextChar(payload[len(payload)-1]))
		input := h + "." + changed // the signature covers the text as sent
		all = append(all, forged("J17/signed_payload_"+pad, input+"."+b64(signHS(input))))
	}
	return all
}

// nextChar returns the character whose base64url value is one higher. If c is
// the canonical last character of a segment with unused bits, the result
// differs from it only in those bits.
func nextChar(c byte) byte {
	const order = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return order[strings.IndexByte(order, c)+1]
}

// alphabet makes tokens with bytes that a lenient reader skips or confuses with
// others (J16). The bytes are in or after a segment. In some of the tokens, the
// signature covers them.
func alphabet() []wstest.Vector {
	var all []wstest.Vector
	input := b64(head("HS256", "hs", "")) + "." + b64(claims())
	for name, junk := range map[string]string{
		"newline": "\n", "crlf": "\r\n", "space": " ", "tab": "\t", "padding": "=", "plus": "+", "slash": "/", "nul": "\x00",
		"four_marks": "!!!!", "percent": "%41", "nbsp": "\u00a0", "latin_nbsp": "\xa0", "fullwidth": "Ａ", "bom": "\ufeff", "quote": `"`, "tilde": "~",
	} {
		parts := strings.Split(input+"."+b64(signHS(input)), ".")
		for i := range parts {
			for place, at := range map[string]int{"inside": len(parts[i]) / 2, "after": len(parts[i])} {
				changed := [3]string{parts[0], parts[1], parts[2]}
				changed[i] = parts[i][:at] + junk + parts[i][at:]
				all = append(all, forged(fmt.Sprintf("J16/%s_%s_%d", name, place, i+1), strings.Join(changed[:], ".")))
			}
		}
		resigned := input + junk
		all = append(all, forged("J16/signed_"+name, resigned+"."+b64(signHS(resigned))))
	}
	standard := base64.StdEncoding.EncodeToString([]byte(claims("pad", `"???>>>~~~"`)))
	input = b64(head("HS256", "hs", "")) + "." + standard
	return append(all, forged("J16/standard_base64", input+"."+b64(signHS(input))))
}

// ecdsaSignatures makes tokens with bad ECDSA signatures (J18).
func ecdsaSignatures() []wstest.Vector {
	curve := elliptic.P256().Params()
	input := b64(head("ES256", "es", "")) + "." + b64(claims())
	good := signES(input)
	var all []wstest.Vector
	zero, one := new(big.Int), big.NewInt(1)
	minus1 := new(big.Int).Sub(curve.N, one)
	values := map[string]*big.Int{"0": zero, "1": one, "n": curve.N, "n-1": minus1, "p": curve.P}
	for rName, r := range values {
		for sName, s := range values {
			all = append(all, forged("J18/r="+rName+"_s="+sName, input+"."+b64(encodeES256(r)+encodeES256(s))))
		}
	}
	r, s := good[:32], good[32:]
	for name, signature := range map[string]string{
		"63_bytes": good[1:], "65_bytes": "\x00" + good, "65_bytes_after": good + "\x00", "swapped": s + r, "doubled": good + good,
		"der":   string(must(asn1.Marshal([]*big.Int{new(big.Int).SetBytes([]byte(r)), new(big.Int).SetBytes([]byte(s))}))),
		"zeros": strings.Repeat("\x00", 64), "ones": strings.Repeat("\xff", 64),
	} {
		all = append(all, forged("J18/"+name, input+"."+b64(signature)))
	}
	return all
}

// ed25519Signatures makes tokens with bad Ed25519 signatures (J19).
func ed25519Signatures() []wstest.Vector {
	input := b64(head("EdDSA", "ed", "")) + "." + b64(claims())
	good := []byte(signEd(input))
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	littleEndian := func(n *big.Int) string {
		b := n.FillBytes(make([]byte, 32))
		for i := range 16 {
			b[i], b[31-i] = b[31-i], b[i]
		}
		return string(b)
	}
	s := new(big.Int)
	for i := 63; i >= 32; i-- {
		s.Or(s.Lsh(s, 8), big.NewInt(int64(good[i])))
	}
	identity := "\x01" + strings.Repeat("\x00", 31)
	public := string(keys().ed.Public().(ed25519.PublicKey))
	all := []wstest.Vector{
		forged("J19/S_plus_L", input+"."+b64(string(good[:32])+littleEndian(s.Add(s, order)))),
		forged("J19/R_identity_S_0", input+"."+b64(identity+strings.Repeat("\x00", 32))),
		forged("J19/R_zero_S_0", input+"."+b64(strings.Repeat("\x00", 64))),
		forged("J19/R_public_S_0", input+"."+b64(public+strings.Repeat("\x00", 32))),
		forged("J19/R_public_S_1", input+"."+b64(public+identity)),
		forged("J19/63_bytes", input+"."+b64(string(good[:63]))),
	}
	return all
}

// pssSignatures makes tokens whose PSS salt is not as long as the hash (J20).
// crypto/rsa cannot sign with an empty salt, so signUnsalted does.
func pssSignatures() []wstest.Vector {
	header := head("PS256", "ps", "")
	return []wstest.Vector{
		forged("J20/salt_0", compact(header, claims(), signUnsalted)),
		forged("J20/salt_20", compact(header, claims(), pssSigner(20))),
		forged("J20/salt_max", compact(header, claims(), pssSigner(rsa.PSSSaltLengthAuto))),
		forged("J20/pkcs1", compact(header, claims(), signRS)),
		forged("J20/pss_as_rs256", compact(head("RS256", "rs", ""), claims(), pssSigner(32))),
	}
}

// signUnsalted signs by EMSA-PSS (RFC 8017 section 9.1.1) with an empty salt.
func signUnsalted(input string) string {
	hash := digest(strings.Repeat("\x00", 8) + string(digest(input)))
	padded := make([]byte, 256-32-1)
	padded[len(padded)-1] = 1
	var mask []byte
	for i := byte(0); len(mask) < len(padded); i++ {
		mask = append(mask, digest(string(hash)+string([]byte{0, 0, 0, i}))...)
	}
	for i := range padded {
		padded[i] ^= mask[i]
	}
	padded[0] &= 0x7f
	encoded := new(big.Int).SetBytes(append(append(padded, hash...), 0xbc))
	return string(encoded.Exp(encoded, keys().rsa.D, keys().rsa.N).FillBytes(make([]byte, 256)))
}
