package attack

import (
	"fmt"
	"strings"
	"time"

	"wsauth/internal/wstest"
)

// vectorWith returns a correctly signed token with changed claims; see claims.
func vectorWith(title string, changes ...string) wstest.Vector {
	return forged(title, signed(claims(changes...)))
}

// hostileDates makes tokens with invalid dates: J23, J24 and J26.
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
		all = append(all, vectorWith("J23/"+name, "exp", exp))
	}
	for _, digits := range []int{100, 4000} {
		all = append(all, vectorWith(fmt.Sprintf("J24/%d_digits", digits), "exp", strings.Repeat("9", digits)))
	}
	return append(all,
		vectorWith("J24/4000_digits_after_the_point", "exp", fmt.Sprint(now+600)+"."+strings.Repeat("0", 4000)),
		vectorWith("J24/exponent", "exp", "1e999999999"),
		vectorWith("J26/nbf_future", "nbf", fmt.Sprint(now+550)),
		vectorWith("J26/iat_future", "iat", fmt.Sprint(now+550)),
		vectorWith("J26/iat_after_exp", "iat", fmt.Sprint(now+700)),
		vectorWith("J26/nbf_string", "nbf", fmt.Sprintf(`"%d"`, now-10)),
		vectorWith("J26/iat_string", "iat", fmt.Sprintf(`"%d"`, now-10)),
		vectorWith("J26/iat_null", "iat", "null"),
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
		all = append(all, vectorWith("J27/"+name, "iss", iss))
	}
	for name, aud := range map[string]string{
		"missing": "", "empty_array": "[]", "empty_string": `[""]`, "empty": `""`, "null": "null", "prefix": `"https://api.exampl"`,
		"suffix": fmt.Sprintf("%q", testAudience+".evil"), "mixed": fmt.Sprintf("[%q,1]", testAudience), "nested": fmt.Sprintf("[[%q]]", testAudience),
		"object": fmt.Sprintf("{%q:1}", testAudience), "upper": `"HTTPS://API.EXAMPLE"`, "other": `["a","b"]`, "number": "1", "null_in_array": fmt.Sprintf("[%q,null]", testAudience),
	} {
		all = append(all, vectorWith("J28/"+name, "aud", aud))
	}
	return all
}

// hostileSubjects makes tokens with invalid subjects, J21, J29 and J30, and
// with claims that contain a header line (R8).
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
		all = append(all, vectorWith(name, "sub", sub))
	}
	for _, claim := range []string{"sid", "jti", "csrf", "type"} {
		all = append(all,
			vectorWith("R8/"+claim, claim, `"a\r\nX-Admin: 1"`),
			vectorWith("J29/"+claim+"_number", claim, "1"))
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

// large makes tokens that are refused for their length, before any part of them
// is decoded.
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

// acceptedVectors makes the token vectors that must be accepted. Without them,
// the refusals would prove nothing.
func acceptedVectors() []wstest.Vector {
	now := time.Now().Unix()
	input := b64(head("ES256", "es", "")) + "." + b64(claims())
	var all []wstest.Vector
	for title, text := range map[string]string{
		"Q1/HS256": signed(claims()), "Q1/RS256": compact(head("RS256", "rs", ""), claims(), signRS),
		"Q1/PS256": compact(head("PS256", "ps", ""), claims(), pssSigner(32)), "Q1/ES256": compact(head("ES256", "es", ""), claims(), signES),
		"Q1/EdDSA":               compact(head("EdDSA", "ed", ""), claims(), signEd),
		"J18/twin_signature":     input + "." + b64(twinSignature(signES(input))),
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
