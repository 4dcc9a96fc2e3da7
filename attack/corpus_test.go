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
// synctest bubble, whose clock they are for.
func corpus() []wstest.Vector {
	var all []wstest.Vector
	for _, part := range [][]wstest.Vector{
		wrongAlgorithm(), headers(), segments(), alphabet(), ecdsaSignatures(), ed25519Signatures(), pssSignatures(),
		hostileDates(), hostileParties(), hostileSubjects(), hostilePayloads(), good(),
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

// forged returns a token vector. Its title is a code, a slash and a name.
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

// headers makes tokens whose header holds a parameter that it must not hold.
// Their signatures are good where an attacker could make a good one.
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
		if !strings.HasPrefix(name, "J8/") { // a good signature counts, whatever else the header says
			all = append(all, forged(name+"_signed", compact(head("HS256", "hs", more), claims(), signHS)))
		}
		all = append(all,
			forged(name+"_attacker", compact(head("HS256", "hs", more), claims(), macSigner(attacker))),
			forged(name+"_attacker_no_kid", compact(head("HS256", "", more), claims(), macSigner(attacker))))
	}
	theirs := sure(rsa.GenerateKey(rand.Reader, 2048))
	bySelf := func(input string) string {
		return string(sure(rsa.SignPKCS1v15(nil, theirs, crypto.SHA256, digest(input))))
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
	return sure(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
}

// segments cuts and joins a good token in other ways: J12 to J15 and J17.
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
	for i, part := range parts { // J17: bits that base64 leaves unused
		if len(part)%4 == 0 {
			continue // none here
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
		input := h + "." + changed // signed over the text as it is sent
		all = append(all, forged("J17/signed_payload_"+pad, input+"."+b64(signHS(input))))
	}
	return all
}

// nextChar returns the character whose base64url value is one higher. In place
// of a canonical last character, it differs in unused bits only.
func nextChar(c byte) byte {
	const order = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return order[strings.IndexByte(order, c)+1]
}

// alphabet makes tokens with bytes that a lenient reader skips or takes for
// others, in and around each segment, covered by the signature or not (J16).
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
			all = append(all, forged("J18/r="+rName+"_s="+sName, input+"."+b64(fixed(r)+fixed(s))))
		}
	}
	r, s := good[:32], good[32:]
	for name, signature := range map[string]string{
		"63_bytes": good[1:], "65_bytes": "\x00" + good, "65_bytes_after": good + "\x00", "swapped": s + r, "doubled": good + good,
		"der":   string(sure(asn1.Marshal([]*big.Int{new(big.Int).SetBytes([]byte(r)), new(big.Int).SetBytes([]byte(s))}))),
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
// crypto/rsa makes no empty salt, so signUnsalted does.
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

// with returns a correctly signed token with changed claims; see claims.
func with(title string, changes ...string) wstest.Vector {
	return forged(title, signed(claims(changes...)))
}

// hostileDates makes tokens with bad dates: J23, J24 and J26.
func hostileDates() []wstest.Vector {
	now := time.Now().Unix()
	var all []wstest.Vector
	for name, exp := range map[string]string{
		"missing": "", "string": fmt.Sprintf(`"%d"`, now+600), "null": "null", "true": "true", "array": fmt.Sprintf("[%d]", now+600),
		"object": "{}", "NaN": "NaN", "Infinity": "Infinity", "1e400": "1e400", "-1e400": "-1e400", "-1": "-1", "0": "0",
		"2^63": "9223372036854775808", "2^63-1": "9223372036854775807", "2^64+now": fmt.Sprintf("%d", uint64(now)+600) + "e19",
		"year_10000": "253402300800", "year_9999": "253402300799", "ten_years": fmt.Sprint(now + 10*365*24*3600),
		"hex": fmt.Sprintf("0x%x", now+600), "leading_zero": fmt.Sprintf("0%d", now+600), "plus": fmt.Sprintf("+%d", now+600),
		"past": fmt.Sprint(now - 1), "now": fmt.Sprint(now), "before_iat": fmt.Sprint(now - 20), "milliseconds": fmt.Sprint((now + 600) * 1000),
	} {
		all = append(all, with("J23/"+name, "exp", exp))
	}
	for _, digits := range []int{100, 4000} {
		all = append(all, with(fmt.Sprintf("J24/%d_digits", digits), "exp", strings.Repeat("9", digits)))
	}
	return append(all,
		with("J24/4000_digits_after_the_point", "exp", fmt.Sprint(now+600)+"."+strings.Repeat("0", 4000)),
		with("J24/exponent", "exp", "1e999999999"),
		with("J26/nbf_future", "nbf", fmt.Sprint(now+550)),
		with("J26/iat_future", "iat", fmt.Sprint(now+550)),
		with("J26/iat_after_exp", "iat", fmt.Sprint(now+700)),
		with("J26/nbf_string", "nbf", fmt.Sprintf(`"%d"`, now-10)),
		with("J26/iat_string", "iat", fmt.Sprintf(`"%d"`, now-10)),
		with("J26/iat_null", "iat", "null"),
	)
}

// hostileParties makes tokens of other issuers and audiences: J27 and J28.
func hostileParties() []wstest.Vector {
	var all []wstest.Vector
	for name, iss := range map[string]string{
		"missing": "", "empty": `""`, "null": "null", "array": fmt.Sprintf("[%q]", testIssuer), "prefix": `"https://issuer.exampl"`,
		"suffix": fmt.Sprintf("%q", testIssuer+".evil"), "trailing_slash": fmt.Sprintf("%q", testIssuer+"/"), "http": `"http://issuer.example"`,
		"other": `"https://evil.example"`, "upper": `"HTTPS://ISSUER.EXAMPLE"`,
	} {
		all = append(all, with("J27/"+name, "iss", iss))
	}
	for name, aud := range map[string]string{
		"missing": "", "empty_array": "[]", "empty_string": `[""]`, "empty": `""`, "null": "null", "prefix": `"https://api.exampl"`,
		"suffix": fmt.Sprintf("%q", testAudience+".evil"), "mixed": fmt.Sprintf("[%q,1]", testAudience), "nested": fmt.Sprintf("[[%q]]", testAudience),
		"object": fmt.Sprintf("{%q:1}", testAudience), "upper": `"HTTPS://API.EXAMPLE"`, "other": `["a","b"]`, "number": "1", "null_in_array": fmt.Sprintf("[%q,null]", testAudience),
	} {
		all = append(all, with("J28/"+name, "aud", aud))
	}
	return all
}

// hostileSubjects makes tokens with bad names, J21, J29 and J30, and with
// names that would become a line of a header or a log (R8).
func hostileSubjects() []wstest.Vector {
	var all []wstest.Vector
	for name, sub := range map[string]string{
		"J29/missing": "", "J29/empty": `""`, "J29/number": "1", "J29/object": `{"name":"alice"}`, "J29/null": "null", "J29/true": "true",
		"J29/array": `["alice"]`, "J29/257_bytes": `"` + strings.Repeat("a", 257) + `"`,
		"J30/invalid_utf8": "\"a\xff\"", "J30/overlong": "\"a\xc0\xaf\"", "J30/surrogate_utf8": "\"a\xed\xa0\x80\"", "J30/lone_surrogate": `"a\ud800"`,
		"J30/reversed_surrogates": `"a\udc00\ud800"`, "J30/nul": `"a\u0000"`, "J30/raw_nul": "\"a\x00\"", "J30/cr": `"a\r"`, "J30/lf": `"a\n"`,
		"J30/raw_lf": "\"a\n\"", "J30/nel": `"a\u0085"`, "J30/line_separator": `"a\u2028"`, "J30/bidi_override": `"a\u202e"`, "J30/bidi_isolate": `"a\u2066"`,
		"J30/escape": `"a\u001b[2J"`, "J30/delete": `"a\u007f"`, "R8/header_line": `"a\r\nX-Admin: 1"`,
	} {
		all = append(all, with(name, "sub", sub))
	}
	for _, claim := range []string{"sid", "jti", "csrf", "type"} {
		all = append(all,
			with("R8/"+claim, claim, `"a\r\nX-Admin: 1"`),
			with("J29/"+claim+"_number", claim, "1"))
	}
	for name, more := range map[string]string{
		"sub": `,"sub":"admin"}`, "exp": `,"exp":9999999999}`, "escaped_sub": `,"\u0073ub":"admin"}`, "type": `,"type":"access"}`, "nested": `,"x":{"a":1,"a":2}}`,
		"unknown": `,"x":1,"x":2}`,
	} {
		all = append(all, forged("J21/"+name, signed(strings.TrimSuffix(claims(), "}")+more)))
	}
	return all
}

// hostilePayloads makes tokens whose payload is not a small JSON object: J31
// and J32.
func hostilePayloads() []wstest.Vector {
	var all []wstest.Vector
	utf16 := "\xff\xfe"
	for _, c := range claims() {
		utf16 += string([]byte{byte(c), 0})
	}
	for name, payload := range map[string]string{
		"J31/null": "null", "J31/array": "[" + claims() + "]", "J31/empty": "", "J31/string": `"alice"`, "J31/number": "1",
		"J31/bom": "\ufeff" + claims(), "J31/utf16": utf16, "J31/trailing": claims() + "x", "J31/two_objects": claims() + claims(),
		"J31/trailing_nul": claims() + "\x00", "J31/comment": "/* */" + claims(), "J31/trailing_comma": strings.TrimSuffix(claims(), "}") + ",}",
		"J31/unterminated": strings.TrimSuffix(claims(), "}"), "J31/single_quotes": strings.ReplaceAll(claims(), `"`, "'"), "J31/not_json": "\x78\x9c\x03",
		"J32/depth_2500": claims("x", strings.Repeat("[", 2500)+strings.Repeat("]", 2500)),
		"J32/depth_17":   claims("x", strings.Repeat("[", 17)+strings.Repeat("]", 17)),
		"J32/objects":    claims("x", strings.Repeat(`{"x":`, 500)+"1"+strings.Repeat("}", 500)),
		"J32/unclosed":   claims("x", strings.Repeat("[", 5000)),
	} {
		all = append(all, forged(name, signed(payload)))
	}
	deepHeader := strings.Repeat("[", 2000) + strings.Repeat("]", 2000)
	return append(all, forged("J32/header", compact(head("HS256", "hs", `,"x":`+deepHeader), claims(), signHS)))
}

// large makes tokens that are refused for their length, before anything of
// them is decoded.
func large() []wstest.Vector {
	members := strings.Builder{}
	for i := range 100_000 {
		fmt.Fprintf(&members, `,"%d":1`, i)
	}
	withMembers := func(n int) string { return signed(strings.TrimSuffix(claims(), "}") + members.String()[:n] + "}") }
	good := signed(claims())
	return []wstest.Vector{
		forged("J7/64KiB", compact(`{"alg":"HS256","kid":"`+strings.Repeat("k", 64<<10)+`"}`, claims(), signHS)),
		forged("J12/1MiB", good[:strings.LastIndexByte(good, '.')+1]+strings.Repeat("A", 1<<20)),
		forged("J24/700000_digits", signed(claims("exp", strings.Repeat("9", 700_000)))),
		forged("J29/64KiB", signed(claims("sub", `"`+strings.Repeat("a", 64<<10)+`"`))),
		forged("J32/depth_9000", signed(claims("x", strings.Repeat("[", 9000)+strings.Repeat("]", 9000)))),
		forged("J32/depth_200000", signed(claims("x", strings.Repeat("[", 200_000)+strings.Repeat("]", 200_000)))),
		forged("J32/10KB_of_members", withMembers(9_989)),
		forged("J32/600KB_of_members", withMembers(599_990)),
		forged("J33/1MiB", signed(claims("x", `"`+strings.Repeat("x", 780_000)+`"`))),
		forged("J33/dots", strings.Repeat(".", 1_000_000)),
		forged("J33/8193_bytes", strings.Repeat("A", 8193)),
	}
}

// good makes the token vectors that must be accepted. Without them the
// refusals would prove nothing.
func good() []wstest.Vector {
	now := time.Now().Unix()
	input := b64(head("ES256", "es", "")) + "." + b64(claims())
	var all []wstest.Vector
	for title, text := range map[string]string{
		"Q1/HS256": signed(claims()), "Q1/RS256": compact(head("RS256", "rs", ""), claims(), signRS),
		"Q1/PS256": compact(head("PS256", "ps", ""), claims(), pssSigner(32)), "Q1/ES256": compact(head("ES256", "es", ""), claims(), signES),
		"Q1/EdDSA":               compact(head("EdDSA", "ed", ""), claims(), signEd),
		"J18/twin_signature":     input + "." + b64(twin(signES(input))),
		"J22/other_case":         signed(claims("SUB", `"admin"`, "EXP", "1", "ſub", `"admin"`)),
		"J25/float":              signed(claims("exp", fmt.Sprintf("%d.5", now+600))),
		"J25/exponent":           signed(claims("exp", fmt.Sprintf("%de0", now+600))),
		"J25/small_exponent":     signed(claims("exp", fmt.Sprintf("%d0E-1", now+600))),
		"J28/one_of_several":     signed(claims("aud", fmt.Sprintf(`["x",%q]`, testAudience))),
		"J35/typ_missing":        compact(`{"alg":"HS256","kid":"hs"}`, claims(), signHS),
		"J35/at+jwt":             compact(`{"alg":"HS256","kid":"hs","typ":"at+jwt"}`, claims(), signHS),
		"J35/application_at+jwt": compact(`{"alg":"HS256","kid":"hs","typ":"application/at+jwt"}`, claims(), signHS),
		"J30/other_scripts":      signed(claims("sub", `"Ólafur 李 \uD83D\uDE00"`)),
	} {
		v := forged(title, text)
		v.Expect = ""
		all = append(all, v)
	}
	return all
}
