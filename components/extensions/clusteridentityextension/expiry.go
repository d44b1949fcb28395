// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
)

// maxFile is the largest certificate file, in bytes.
const maxFile = 1 << 20

// observeFiles reads the files whenever the metrics are collected: it shows what a reload would find, needs no goroutine,
// and nothing can go stale.
func (e *clusterIdentity) observeFiles(ctx context.Context, observer metric.Float64Observer) error {
	for _, path := range e.config.CertificateFiles {
		if path == "" {
			continue
		}
		attrs := metric.WithAttributeSet(attribute.NewSet(attribute.String("authenticator", e.id), attribute.String("file", path)))
		ends, err := firstExpiry(path)
		if err != nil {
			e.telemetry.ExtensionClusterIdentityCertificateFileErrors.Add(ctx, 1, attrs)
			if e.refusals.Allow(err.Error(), e.now()) {
				e.logger.Warn("a file of 'certificate_files' does not tell when it expires", zap.Error(err))
			}
			continue
		}
		observer.Observe(ends.Sub(e.now()).Seconds(), attrs)
	}
	return nil
}

// firstExpiry returns when the first certificate of a file ends: a chain is as good as its weakest part.
func firstExpiry(path string) (first time.Time, err error) {
	data, err := readFile(path)
	if err != nil {
		return first, err
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return first, fmt.Errorf("file %s has a certificate that cannot be read: %w", path, err)
		}
		if first.IsZero() || c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	if first.IsZero() {
		return first, fmt.Errorf("file %s has no certificate in PEM form", path)
	}
	return first, nil
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, errors.New("file " + path + " is too large for a certificate")
	}
	return data, nil
}
