package gateway

import "strings"

// toASCII returns a host as DNS and HTTP have it: each label that is not ASCII
// in Punycode (RFC 5891). It maps no characters but capitals.
func toASCII(host string) string {
	labels := strings.Split(strings.ToLower(host), ".")
	for i, label := range labels {
		if encoded := punycode([]rune(label)); encoded != label+"-" && encoded != label {
			labels[i] = "xn--" + encoded
		}
	}
	return strings.Join(labels, ".")
}

// punycode encodes a label (RFC 3492 section 6.3).
func punycode(label []rune) string {
	const base, tMin, tMax = 36, 1, 26
	var out []byte
	for _, r := range label {
		if r < 0x80 {
			out = append(out, byte(r))
		}
	}
	basic := len(out)
	if basic > 0 {
		out = append(out, '-')
	}
	n, delta, bias := rune(0x80), 0, 72
	for done := basic; done < len(label); n++ {
		next := rune(0x10ffff)
		for _, r := range label {
			if r >= n {
				next = min(next, r)
			}
		}
		delta += int(next-n) * (done + 1)
		n = next
		first := done
		for _, r := range label {
			if r < n {
				delta++
			}
			if r != n {
				continue
			}
			q := delta
			for k := base; ; k += base {
				t := min(max(k-bias, tMin), tMax)
				if q < t {
					break
				}
				out = append(out, punycodeDigit(t+(q-t)%(base-t)))
				q = (q - t) / (base - t)
			}
			out = append(out, punycodeDigit(q))
			bias = punycodeBias(delta, done+1, done == first && done == basic)
			delta = 0
			done++
		}
		delta++
	}
	return string(out)
}

// punycodeBias adapts the bias (RFC 3492 section 6.1).
func punycodeBias(delta, points int, first bool) int {
	if first {
		delta /= 700
	} else {
		delta /= 2
	}
	delta += delta / points
	k := 0
	for ; delta > 455; k += 36 {
		delta /= 35
	}
	return k + 36*delta/(delta+38)
}

func punycodeDigit(d int) byte {
	if d < 26 {
		return byte('a' + d)
	}
	return byte('0' + d - 26)
}
