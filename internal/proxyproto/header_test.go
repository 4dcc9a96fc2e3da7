package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	client = "192.0.2.1:56324"
	server = "198.51.100.7:443"
)

// v2 returns a header of version 2.
func v2(command, protocol byte, rest ...string) string {
	body := strings.Join(rest, "")
	head := signature + string([]byte{command, protocol})
	return string(binary.BigEndian.AppendUint16([]byte(head), uint16(len(body)))) + body
}

// addresses returns two addresses and their ports in the format of version 2.
func addresses(source, destination string) string {
	s, d := netip.MustParseAddrPort(source), netip.MustParseAddrPort(destination)
	b := append(s.Addr().AsSlice(), d.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, s.Port())
	return string(binary.BigEndian.AppendUint16(b, d.Port()))
}

// value returns a TLV, which follows the addresses.
func value(kind byte, content string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(content)))) + content
}

// unsummed is a placeholder for the checksum.
var unsummed = value(kindCRC, "\x00\x00\x00\x00")

// withChecksum replaces the placeholder unsummed with the checksum.
func withChecksum(header string) string {
	sum := crc32.Checksum([]byte(header), crc32.MakeTable(crc32.Castagnoli))
	return strings.Replace(header, unsummed, value(kindCRC, string(binary.BigEndian.AppendUint32(nil, sum))), 1)
}

var (
	ipv4 = addresses(client, server)
	ipv6 = addresses("[2001:db8::1]:56324", "[2001:db8::2]:443")
	tls  = value(kindTLS, "\x01\x00\x00\x00\x00"+value(0x21, "TLSv1.3"))
)

// TestParse checks that Parse and Read accept valid headers, and that they find
// the end of the header.
func TestParse(t *testing.T) {
	for name, tt := range map[string]struct {
		header string
		source string // "" for none
		tls    bool
	}{
		"v1":                       {"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", client, false},
		"v1 IPv6":                  {"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n", "[2001:db8::1]:56324", false},
		"v1 mapped":                {"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.7 56324 443\r\n", client, false},
		"v1 longest of TCP6":       {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", false},
		"v1 every digit":           {"PROXY TCP4 192.0.2.1 198.51.100.7 19820 34567\r\n", "192.0.2.1:19820", false},
		"v1 ports of zero":         {"PROXY TCP4 192.0.2.1 198.51.100.7 0 0\r\n", "192.0.2.1:0", false},
		"v1 unknown":               {"PROXY UNKNOWN\r\n", "", false},
		"v1 unknown, 107 bytes":    {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "", false},
		"v2":                       {v2(0x21, 0x11, ipv4), client, false},
		"v2 IPv6":                  {v2(0x21, 0x21, ipv6), "[2001:db8::1]:56324", false},
		"v2 mapped":                {v2(0x21, 0x21, addresses("[::ffff:192.0.2.1]:56324", "[::ffff:198.51.100.7]:443")), client, false},
		"v2 local":                 {v2(0x20, 0x00), "", false},
		"v2 local with addresses":  {v2(0x20, 0x11, ipv4, tls), "", false},
		"v2 local with anything":   {v2(0x20, 0xff, "garbage"), "", false},
		"v2 unspecified":           {v2(0x21, 0x00), "", false},
		"v2 unspecified, more":     {v2(0x21, 0x00, "garbage"), "", false},
		"v2 datagrams":             {v2(0x21, 0x12, ipv4), "", false},
		"v2 datagrams, IPv6":       {v2(0x21, 0x22, ipv6), "", false},
		"v2 Unix":                  {v2(0x21, 0x31, strings.Repeat("/", unix)), "", false},
		"v2 with TLS":              {v2(0x21, 0x11, ipv4, tls), client, true},
		"v2 with TLS, Unix":        {v2(0x21, 0x31, strings.Repeat("/", unix), tls), "", true},
		"v2 without TLS":           {v2(0x21, 0x11, ipv4, value(kindTLS, "\x00\x00\x00\x00\x01")), client, false},
		"v2 certificate, no TLS":   {v2(0x21, 0x11, ipv4, value(kindTLS, "\x06\x00\x00\x00\x00")), client, false},
		"v2 other values":          {v2(0x21, 0x11, ipv4, value(0x01, "h2"), value(0x04, ""), value(0xea, "vpce-1"), tls, value(0x01, "h2")), client, true},
		"v2 with a checksum":       {withChecksum(v2(0x21, 0x11, ipv4, tls, unsummed)), client, true},
		"v2 values after checksum": {withChecksum(v2(0x21, 0x11, ipv4, value(0x01, "h2"), unsummed, tls)), client, true},
		"v2 ends with empty value": {v2(0x21, 0x11, ipv4, value(0x04, "")), client, false},
		"v2 Unix datagrams":        {v2(0x21, 0x32, strings.Repeat("/", unix)), "", false},
		"v2 of maximum length":     {v2(0x21, 0x11, ipv4, value(0x04, strings.Repeat("x", maxV2-fixedV2-tcp4-3))), client, false},
	} {
		t.Run(name, func(t *testing.T) {
			const following = "\x16\x03\x01GET /"
			h, n, err := Parse([]byte(tt.header + following))
			if err != nil || n != len(tt.header) {
				t.Fatalf("%d of %d bytes, %v", n, len(tt.header), err)
			}
			got := ""
			if h.Source.IsValid() {
				got = h.Source.String()
			}
			if got != tt.source || h.TLS != tt.tls || h.Source.IsValid() != h.Destination.IsValid() {
				t.Errorf("%q, TLS %v; want %q, %v", got, h.TLS, tt.source, tt.tls)
			}
			for n := range len(tt.header) {
				if _, _, err := Parse([]byte(tt.header[:n])); !errors.Is(err, ErrIncomplete) {
					t.Fatalf("of the first %d bytes: %v", n, err)
				}
			}
			for _, in := range []io.Reader{strings.NewReader(tt.header + following), iotest.OneByteReader(strings.NewReader(tt.header + following))} {
				read, err := Read(in)
				rest, _ := io.ReadAll(in)
				if err != nil || read != h || string(rest) != following {
					t.Errorf("Read: %+v, %v, and %q is left", read, err, rest)
				}
			}
		})
	}
}

// TestHostileHeaders checks that malformed headers are refused.
func TestHostileHeaders(t *testing.T) {
	for name, header := range map[string]string{
		"a request":                "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n",
		"TLS":                      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"small letters":            "proxy TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
		"blanks before":            " PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
		"an empty line before":     "\r\nPROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
		"no protocol":              "PROXY \r\n",
		"another protocol":         "PROXY UDP4 192.0.2.1 198.51.100.7 56324 443\r\n",
		"unknown, run on":          "PROXY UNKNOWNX\r\n",
		"bare line feed":           "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n",
		"line feed of unknown":     "PROXY UNKNOWN\n",
		"carriage return within":   "PROXY UNKNOWN \r 192.0.2.1\r\n",
		"carriage return, no feed": "PROXY UNKNOWN\rX",
		"two blanks":               "PROXY TCP4  192.0.2.1 198.51.100.7 56324 443\r\n",
		"blank at the end":         "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 \r\n",
		"tab":                      "PROXY TCP4\t192.0.2.1 198.51.100.7 56324 443\r\n",
		"one address":              "PROXY TCP4 192.0.2.1 56324 443\r\n",
		"IPv6 as TCP4":             "PROXY TCP4 2001:db8::1 2001:db8::2 56324 443\r\n",
		"IPv4 as TCP6":             "PROXY TCP6 192.0.2.1 198.51.100.7 56324 443\r\n",
		"zone":                     "PROXY TCP6 fe80::1%eth0 fe80::2 56324 443\r\n",
		"brackets":                 "PROXY TCP6 [2001:db8::1] [2001:db8::2] 56324 443\r\n",
		"zeros in an address":      "PROXY TCP4 192.000.002.001 198.51.100.7 56324 443\r\n",
		"short address":            "PROXY TCP4 192.1 198.51.100.7 56324 443\r\n",
		"name":                     "PROXY TCP4 localhost 198.51.100.7 56324 443\r\n",
		"port with a sign":         "PROXY TCP4 192.0.2.1 198.51.100.7 +5632 443\r\n",
		"port with a zero":         "PROXY TCP4 192.0.2.1 198.51.100.7 056 443\r\n",
		"port too large":           "PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n",
		"port in hexadecimal":      "PROXY TCP4 192.0.2.1 198.51.100.7 0x50 443\r\n",
		"no port":                  "PROXY TCP4 192.0.2.1 198.51.100.7  443\r\n",
		"108 bytes":                "PROXY UNKNOWN " + strings.Repeat("x", 108-len("PROXY UNKNOWN ")-2) + "\r\n",
		"107 bytes without an end": "PROXY UNKNOWN " + strings.Repeat("x", 107-len("PROXY UNKNOWN ")),
		"version 1 in binary":      v2(0x11, 0x11, ipv4),
		"version 3":                v2(0x31, 0x11, ipv4),
		"command 2":                v2(0x22, 0x11, ipv4),
		"family 4":                 v2(0x21, 0x41, ipv6),
		"transport 3":              v2(0x21, 0x13, ipv4),
		"family without transport": v2(0x21, 0x10, ipv4),
		"cut addresses":            v2(0x21, 0x11, ipv4[:11]),
		"cut IPv6":                 v2(0x21, 0x21, ipv4),
		"cut Unix":                 v2(0x21, 0x31, strings.Repeat("/", unix-1)),
		"no addresses":             v2(0x21, 0x11),
		"a byte of a value":        v2(0x21, 0x11, ipv4, "\x04"),
		"a value beyond the end":   v2(0x21, 0x11, ipv4, "\x04\x00\x02x"),
		"a value of 64 KiB":        v2(0x21, 0x11, ipv4, "\x04\xff\xff"),
		"TLS too short":            v2(0x21, 0x11, ipv4, value(kindTLS, "\x01")),
		"TLS twice":                v2(0x21, 0x11, ipv4, tls, value(kindTLS, "\x00\x00\x00\x00\x00")),
		"wrong checksum":           v2(0x21, 0x11, ipv4, unsummed),
		"changed after checksum":   strings.Replace(withChecksum(v2(0x21, 0x11, ipv4, unsummed, value(0x01, "h2"))), "h2", "h3", 1),
		"checksum twice":           v2(0x21, 0x11, ipv4, unsummed, unsummed),
		"cut checksum":             v2(0x21, 0x11, ipv4, value(kindCRC, "\x00\x00")),
		"longer than the maximum":  v2(0x21, 0x11, ipv4, value(0x04, strings.Repeat("x", maxV2-fixedV2-tcp4-2))),
		"64 KiB":                   signature + "\x21\x11\xff\xff",
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := Parse([]byte(header)); !errors.Is(err, errMalformed) {
				t.Errorf("Parse: %v", err)
			}
			// Read stops at the maximum length of a header, and at the first byte that
			// makes it invalid.
			in := strings.NewReader(header + strings.Repeat("x", 1<<17))
			if _, err := Read(in); !errors.Is(err, errMalformed) {
				t.Errorf("Read: %v", err)
			}
			if read := len(header) + 1<<17 - in.Len(); read > max(maxV1, len(header)) {
				t.Errorf("Read took %d bytes", read)
			}
		})
	}
}

// TestReadEnds checks that a connection that ends within its header is an
// error.
func TestReadEnds(t *testing.T) {
	for in, want := range map[string]error{"": io.EOF, "PROXY": io.ErrUnexpectedEOF, "GET / HTTP/1.1": errMalformed, signature: io.ErrUnexpectedEOF} {
		if _, err := Read(strings.NewReader(in)); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", in, err, want)
		}
	}
}

// FuzzParse checks that no input causes a panic, the result does not depend on
// the bytes after the header, Read agrees and reads no more, and a library for
// proxies agrees.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
		"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 56324 443\r\nGET /",
		"PROXY UNKNOWN\r\n",
		"PROXY UNKNOWN x\r\n",
		v2(0x20, 0x00),
		v2(0x21, 0x00, "x"),
		v2(0x21, 0x11, ipv4, tls),
		v2(0x21, 0x21, ipv6, value(0x01, "h2")) + "\x16\x03\x01",
		v2(0x21, 0x31, strings.Repeat("/", unix)),
		withChecksum(v2(0x21, 0x11, ipv4, value(kindCRC, "\x00\x00\x00\x00"))),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, n, err := Parse(data)
		in := bytes.NewReader(data)
		read, readErr := Read(in)
		switch {
		case err == nil && (readErr != nil || read != h || in.Len() != len(data)-n):
			t.Fatalf("Read: %+v, %v, and %d bytes are left; Parse: %+v and %d", read, readErr, in.Len(), h, len(data)-n)
		case err != nil && readErr == nil:
			t.Fatalf("Read: %+v; Parse: %v", read, err)
		case err == nil && (n < shortestV1 || n > maxV2 || n > len(data)):
			t.Fatalf("a header of %d bytes", n)
		case err != nil && (n != 0 || h != Header{}):
			t.Fatalf("got %+v of %d bytes and the error %v", h, n, err)
		}
		if err != nil {
			return
		}
		if again, m, err := Parse(data[:n]); err != nil || m != n || again != h {
			t.Fatalf("without the following bytes: %+v, %d, %v", again, m, err)
		}
		wantSame(t, data, h, n)
	})
}
