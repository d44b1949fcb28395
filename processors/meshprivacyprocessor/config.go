// SPDX-License-Identifier: Apache-2.0

package meshprivacyprocessor

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"

	"github.com/otelcol-mesh/otelcol-mesh/processors/meshprivacyprocessor/internal/redact"
)

// Mode is what becomes of a secret: mask, remove or hash.
type Mode string

// The modes.
const (
	// Mask puts three asterisks in the secret's place.
	Mask Mode = "mask"
	// Remove takes the secret out: an attribute whose name says that it is secret goes as a whole.
	Remove Mode = "remove"
	// Hash puts a keyed HMAC-SHA-256 in its place, so that equal secrets stay comparable.
	Hash Mode = "hash"
)

// Config is what users write under mesh_privacy.
type Config struct {
	// Categories are what is redacted, by default all: url_query, url_userinfo, authorization, cookie, credential, token,
	// private_key. Configured patterns are on whenever there are some.
	Categories []string `mapstructure:"categories"`
	// Mode is what becomes of a secret; mask is the default.
	Mode Mode `mapstructure:"mode"`
	// HashKey is the key of the mode hash, from 16 to 256 bytes. Whoever has it can try values.
	HashKey configopaque.String `mapstructure:"hash_key"`
	// KeyPatterns are regular expressions (RE2). The value of a key that one matches is redacted as a whole. At most 32, of
	// 512 bytes each.
	KeyPatterns []string `mapstructure:"key_patterns"`
	// ValuePatterns are regular expressions (RE2), in the same number. What one matches is redacted in every text.
	ValuePatterns []string `mapstructure:"value_patterns"`
	// KeepKeys are names of attributes whose values are not touched; one that ends in * stands for all that begin so.
	KeepKeys []string `mapstructure:"keep_keys"`
	// AllowedQueryParameters are names of query parameters that stay, in any case.
	AllowedQueryParameters []string `mapstructure:"allowed_query_parameters"`
	// MaxValueLength is the length in bytes up to which texts and bytes are scanned, 1024 to 16777216, by default 262144.
	// What is longer is cut there.
	MaxValueLength int `mapstructure:"max_value_length"`

	// prevent unkeyed literal initialization
	_ struct{}
}

const (
	defaultMaxValueLength = 256 << 10
	minMaxValueLength     = 1 << 10
	maxMaxValueLength     = 16 << 20

	maxPatterns      = 32
	maxPatternLength = 512
	// maxInstructions bounds the time that a pattern takes for a byte: RE2 visits each instruction at most once for it.
	maxInstructions = 2000

	minHashKey = 16
	maxHashKey = 256
)

var _ component.Config = (*Config)(nil)

func createDefaultConfig() component.Config {
	categories := make([]string, 0, redact.CategoryCount)
	for c := redact.URLQuery; c < redact.Pattern; c++ {
		categories = append(categories, c.String())
	}
	return &Config{Categories: categories, Mode: Mask, MaxValueLength: defaultMaxValueLength}
}

// Validate reports what is wrong with the settings, all of it at once.
func (c *Config) Validate() error {
	_, err := c.settings()
	return err
}

func (c *Config) settings() (redact.Settings, error) {
	var out redact.Settings
	var errs []error
	for category := redact.URLQuery; category < redact.Pattern; category++ {
		out.Off[category] = true
	}
	for _, word := range c.Categories {
		category, ok := redact.CategoryOf(word)
		if !ok {
			errs = append(errs, fmt.Errorf("'categories' has %q: write url_query, url_userinfo, authorization, cookie, credential, token or private_key", word))
			continue
		}
		out.Off[category] = false
	}
	switch c.Mode {
	case Mask:
	case Remove:
		out.Mode = redact.Remove
	case Hash:
		out.Mode = redact.Hash
		if n := len(c.HashKey); n < minHashKey || n > maxHashKey {
			errs = append(errs, fmt.Errorf("'hash_key' has %d bytes: write from %d to %d random ones, such as ${env:MESH_HASH_KEY} from openssl rand -hex 32", n, minHashKey, maxHashKey))
		}
		out.HashKey = []byte(c.HashKey)
	default:
		errs = append(errs, fmt.Errorf("'mode' is %q: write mask, remove or hash", c.Mode))
	}
	if c.Mode != Hash && c.HashKey != "" {
		errs = append(errs, errors.New("'hash_key' is for mode: hash; write that too, or remove the key"))
	}
	var err error
	if out.KeyPatterns, err = compile("key_patterns", c.KeyPatterns); err != nil {
		errs = append(errs, err)
	}
	if out.ValuePatterns, err = compile("value_patterns", c.ValuePatterns); err != nil {
		errs = append(errs, err)
	}
	for _, key := range c.KeepKeys {
		if key == "" || strings.Contains(strings.TrimSuffix(key, "*"), "*") || key == "*" {
			errs = append(errs, fmt.Errorf("'keep_keys' has %q: write the name of an attribute, or the begin of some and a * in the end", key))
		}
	}
	for _, name := range c.AllowedQueryParameters {
		if name == "" || strings.ContainsAny(name, "=&?# ") {
			errs = append(errs, fmt.Errorf("'allowed_query_parameters' has %q: write the name of a parameter, without = and &", name))
		}
		out.QueryParameters = append(out.QueryParameters, strings.ToLower(name))
	}
	if c.MaxValueLength < minMaxValueLength || c.MaxValueLength > maxMaxValueLength {
		errs = append(errs, fmt.Errorf("'max_value_length' is %d: write from %d to %d", c.MaxValueLength, minMaxValueLength, maxMaxValueLength))
	}
	out.Keep = c.KeepKeys
	return out, errors.Join(errs...)
}

// compile checks what makes the time of a pattern bounded: its length, its instructions, and that it needs a byte.
func compile(key string, patterns []string) ([]*regexp.Regexp, error) {
	if len(patterns) > maxPatterns {
		return nil, fmt.Errorf("'%s' has %d patterns: write at most %d, several can be one with |", key, len(patterns), maxPatterns)
	}
	out := make([]*regexp.Regexp, 0, len(patterns))
	for _, pattern := range patterns {
		if pattern == "" || len(pattern) > maxPatternLength {
			return nil, fmt.Errorf("'%s' has a pattern of %d bytes: write from 1 to %d", key, len(pattern), maxPatternLength)
		}
		compiled, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("'%s' has %q: %w; write a regular expression in RE2's syntax", key, pattern, err)
		}
		if compiled.MatchString("") {
			return nil, fmt.Errorf("'%s' has %q, which matches the empty text and so everything: write one that needs a character", key, pattern)
		}
		if n := instructions(pattern); n > maxInstructions {
			return nil, fmt.Errorf("'%s' has %q, which takes %d instructions: write one with fewer repetitions, at most %d", key, pattern, n, maxInstructions)
		}
		out = append(out, compiled)
	}
	return out, nil
}

func instructions(pattern string) int {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0
	}
	return len(program.Inst)
}
