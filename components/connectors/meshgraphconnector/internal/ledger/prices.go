// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/otelcol-mesh/otelcol-mesh/internal/graph/price"
)

// maxFile is the most bytes of a price table. The greatest table that is accepted has about 2 MB.
const maxFile = 4 << 20

// old is the age from which prices are worth a warning.
const old = 365 * 24 * time.Hour

// PriceFile is a price table on disk, or the embedded one.
type PriceFile struct {
	path string
	hash [sha256.Size]byte
}

// Open reads a table: JSON or YAML, by the file's ending .json, .yaml or .yml. An empty path is the embedded table. Errors
// name the file and the key.
func Open(path string) (*PriceFile, *price.Prices, error) {
	f := &PriceFile{path: path}
	if path == "" {
		return f, price.Default(), nil
	}
	prices, err := f.Changed()
	if err != nil {
		return nil, nil, err
	}
	return f, prices, nil
}

// Changed reads the file again, and returns nothing if it is what was returned last. With an error, which names the file,
// the table before stays true; the next call reads anew.
func (f *PriceFile) Changed() (*price.Prices, error) {
	if f.path == "" {
		return nil, nil
	}
	prices, hash, err := f.read()
	if err != nil {
		return nil, fmt.Errorf("cost::prices_file %s: %w", f.path, err)
	}
	if hash == f.hash {
		return nil, nil
	}
	f.hash = hash
	return prices, nil
}

func (f *PriceFile) read() (*price.Prices, [sha256.Size]byte, error) {
	none := [sha256.Size]byte{}
	file, err := os.Open(f.path)
	if err != nil {
		return nil, none, fmt.Errorf("write the path of a price table: %w", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, none, err
	}
	if len(raw) > maxFile {
		return nil, none, fmt.Errorf("it has more than %d MiB: no price table has", maxFile>>20)
	}
	hash := sha256.Sum256(raw)
	switch strings.ToLower(filepath.Ext(f.path)) {
	case ".json":
	case ".yaml", ".yml":
		if raw, err = yaml.YAMLToJSONStrict(raw); err != nil {
			return nil, none, fmt.Errorf("it is no YAML: %w", err)
		}
	default:
		return nil, none, errors.New("nothing says whether it is JSON or YAML: let its name end in .json, .yaml or .yml")
	}
	prices, err := price.Parse(raw)
	return prices, hash, err
}

// Warnings says what is doubtful about a table at a time: prices of more than a year ago, or of the future.
func Warnings(p *price.Prices, now time.Time) []string {
	switch age := p.Age(now); {
	case age > old:
		return []string{fmt.Sprintf("the prices are of %s, more than a year ago: write a newer table to cost::prices_file", p.Date().Format(time.DateOnly))}
	case age < -24*time.Hour:
		return []string{fmt.Sprintf("the prices are of %s, which is in the future", p.Date().Format(time.DateOnly))}
	}
	return nil
}
