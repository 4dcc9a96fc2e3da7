package token

import "math/big"

// rocaPrimes are small primes in whose fields the powers of 65537 are few. A
// modulus made by the flawed library is such a power in each of them; another
// one is so in all of them once in about 2^27.
var rocaPrimes = []int64{11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157}

// rocaWeak reports whether n has the structure of the keys that Infineon's
// library made (Nemec and others, "The Return of Coppersmith's Attack", 2017,
// §2), which can be factored from the public half alone.
func rocaWeak(n *big.Int) bool {
	for _, prime := range rocaPrimes {
		residue := new(big.Int).Mod(n, big.NewInt(prime)).Int64()
		if !powerOf65537(residue, prime) {
			return false
		}
	}
	return true
}

func powerOf65537(residue, prime int64) bool {
	for power, i := int64(1), int64(1); i < prime; i++ {
		if power == residue {
			return true
		}
		power = power * 65537 % prime
	}
	return false
}
