// SPDX-License-Identifier: Apache-2.0

package redact

import "strings"

// Shortest runs that count as a token, and how far the head of a PEM block may be from its label.
const (
	minTokenRun   = 16
	minWebToken   = 20
	minAzureRun   = 31
	awsKeyRun     = 16
	awsSecretRun  = 40
	minBase64Run  = 40
	maxPEMLabel   = 64
	azureIDBefore = 4
)

// form looks at a byte that the form of a token has.
func (s *scanner) form(i int) int {
	t := s.text
	switch t[i] {
	case 'J':
		if i >= 2 && t[i-2:i] == "ey" && s.boundary(i-2) {
			return s.run1(i-2, i-2, minWebToken, inWebToken)
		}
	case 'I':
		return s.cloudKey(i)
	case 'B':
		if i > 3 && strings.HasPrefix(t[i:], "BEGIN ") && strings.HasSuffix(strings.TrimRight(t[max(0, i-6):i], " "), "----") {
			return s.pem(i)
		}
	case '_':
		return s.prefixed(i)
	case '-':
		switch {
		case s.endsWith(i, "glpat"), s.endsWith(i, "sk"), s.endsWith(i, "xapp"):
			return s.run1(s.wordStart(i), i+1, minTokenRun, inToken)
		case i >= 4 && t[i-1] >= 'a' && t[i-1] <= 't' && t[i-4:i-1] == "xox" && s.boundary(i-4):
			return s.run1(i-4, i+1, minTokenRun, inToken)
		}
	case '.':
		switch {
		case s.endsWith(i, "hvs"), s.endsWith(i, "ya29"), s.endsWith(i, "SG"):
			return s.run1(s.wordStart(i), i+1, minTokenRun, inWebToken)
		}
	case 'Q':
		if i >= azureIDBefore && i+1 < len(t) && t[i+1] == '~' && (t[i-1] == '8' || t[i-1] == '7') {
			return s.run1(i-azureIDBefore, i+2, minAzureRun, inAzureSecret)
		}
	}
	return 0
}

// boundary says that no word goes on before the index.
func (s *scanner) boundary(i int) bool { return i == 0 || !alphanumeric(s.text[i-1]) }

func (s *scanner) wordStart(i int) int {
	for i > 0 && alphanumeric(s.text[i-1]) {
		i--
	}
	return i
}

func (s *scanner) endsWith(i int, word string) bool {
	return i >= len(word) && s.text[i-len(word):i] == word && s.boundary(i-len(word))
}

// run1 redacts from one index to where the run ends that begins at the other, if it is long enough.
func (s *scanner) run1(begin, from, shortest int, in func(byte) bool) int {
	end := from
	for end < len(s.text) && in(s.text[end]) {
		end++
	}
	if end-from < shortest {
		return 0
	}
	return s.emit(begin, end, begin, end, Token)
}

// prefixed looks at tokens whose prefix ends in an underscore: GitHub's, Stripe's, npm's, Hugging Face's, DigitalOcean's.
func (s *scanner) prefixed(i int) int {
	rest := s.text[i+1:]
	switch {
	case i >= 3 && s.text[i-3:i-1] == "gh" && strings.IndexByte("pousr", s.text[i-1]) >= 0 && s.boundary(i-3):
	case s.endsWith(i, "github") && strings.HasPrefix(rest, "pat_"):
	case (s.endsWith(i, "sk") || s.endsWith(i, "rk")) && (strings.HasPrefix(rest, "live_") || strings.HasPrefix(rest, "test_")):
	case s.endsWith(i, "npm"), s.endsWith(i, "hf"):
	case (s.endsWith(i, "dop") || s.endsWith(i, "doo")) && strings.HasPrefix(rest, "v1_"):
	default:
		return 0
	}
	return s.run1(s.wordStart(i), i+1, minTokenRun, inToken)
}

// cloudKey looks at the I of AKIA and ASIA, AWS's key ids, and of AIza, Google's keys.
func (s *scanner) cloudKey(i int) int {
	t := s.text
	if i >= 1 && t[i-1] == 'A' && strings.HasPrefix(t[i+1:], "za") && s.boundary(i-1) {
		return s.run1(i-1, i+3, minTokenRun, inToken)
	}
	if i < 2 || i+2 > len(t) || t[i-2] != 'A' || t[i+1] != 'A' || strings.IndexByte("KSB", t[i-1]) < 0 || !s.boundary(i-2) {
		return 0
	}
	end := i + 2
	for end < len(t) && (t[end] >= 'A' && t[end] <= 'Z' || t[end] >= '0' && t[end] <= '9') {
		end++
	}
	if end-i-2 < awsKeyRun {
		return 0
	}
	// The secret often stands right behind it.
	if rest := strings.TrimLeft(t[end:], ":/, \t"); len(rest) < len(t)-end && len(rest) >= awsSecretRun {
		from := len(t) - len(rest)
		n := 0
		for n < len(rest) && inBase64(rest[n]) {
			n++
		}
		if n == awsSecretRun {
			end = from + n
		}
	}
	return s.emit(i-2, end, i-2, end, Token)
}

// pem redacts a private key from its head to the end of its foot, or of the text if that has none.
func (s *scanner) pem(i int) int {
	if s.r.settings.Off[PrivateKey] {
		return 0
	}
	head := s.text[i:min(len(s.text), i+maxPEMLabel)]
	if !strings.Contains(head, "PRIVATE KEY") {
		return 0
	}
	begin := i
	if s.text[begin-1] == ' ' {
		begin--
	}
	for begin > 0 && i-begin < 6 && s.text[begin-1] == '-' {
		begin--
	}
	end := len(s.text)
	if at := strings.Index(s.text[i:], "END "); at >= 0 {
		foot := i + at
		if label := strings.Index(s.text[foot:min(len(s.text), foot+maxPEMLabel)], "PRIVATE KEY"); label >= 0 {
			end = foot + label + len("PRIVATE KEY")
			end += len(s.text[end:]) - len(strings.TrimPrefix(s.text[end:], " BLOCK"))
			if rest := strings.TrimPrefix(s.text[end:], " "); strings.HasPrefix(rest, "-") {
				end = len(s.text) - len(strings.TrimLeft(rest, "-"))
			}
		}
	}
	return s.emit(begin, end, begin, end, PrivateKey)
}

// base64Before looks at the = that ends a long run of base64, as account keys do.
func (s *scanner) base64Before(i int) int {
	begin := i
	for begin > 0 && inBase64(s.text[begin-1]) {
		begin--
	}
	if i-begin < minBase64Run {
		return 0
	}
	end := i
	for end < len(s.text) && s.text[end] == '=' && end-i < 2 {
		end++
	}
	// A name or a path before a value is no key.
	if end < len(s.text) && (inBase64(s.text[end]) || s.text[end] == '"' && !s.closes(end+1)) {
		return 0
	}
	return s.emit(begin, end, begin, end, Token)
}

func alphanumeric(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9'
}

func inToken(c byte) bool { return alphanumeric(c) || c == '_' || c == '-' }

func inWebToken(c byte) bool { return inToken(c) || strings.IndexByte(".+/=", c) >= 0 }

func inAzureSecret(c byte) bool { return inToken(c) || c == '.' || c == '~' }

func inBase64(c byte) bool { return alphanumeric(c) || c == '+' || c == '/' }
