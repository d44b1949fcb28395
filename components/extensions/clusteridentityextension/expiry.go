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
	"slices"
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
	for _, file := range e.files {
		attrs := metric.WithAttributeSet(attribute.NewSet(attribute.String("authenticator", e.id), attribute.String("file", file.path)))
		ends, err := expiryOf(file, e.now())
		if err != nil {
			e.telemetry.ExtensionClusterIdentityCertificateFileErrors.Add(ctx, 1, attrs)
			if e.refusals.Allow(err.Error(), e.now()) {
				e.logger.Warn("a certificate file does not tell when it expires", zap.Error(err))
			}
			continue
		}
		observer.Observe(ends.Sub(e.now()).Seconds(), attrs)
	}
	return nil
}

// expiryOf returns when a file is of no more use. A chain is as good as its weakest part. Of authorities the first that ends
// counts too, as somebody's certificate may be below it, but not one that has ended while others are valid: bundles keep old
// ones.
func expiryOf(file pemFile, now time.Time) (ends time.Time, err error) {
	all, err := expiries(file.path)
	if err != nil {
		return ends, err
	}
	slices.SortFunc(all, time.Time.Compare)
	if file.bundle {
		for _, end := range all {
			if end.After(now) {
				return end, nil
			}
		}
		return all[len(all)-1], nil
	}
	return all[0], nil
}

// expiries returns when the certificates of a file end, at least one.
func expiries(path string) (all []time.Time, err error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
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
			return nil, fmt.Errorf("file %s has a certificate that cannot be read: %w", path, err)
		}
		all = append(all, c.NotAfter)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("file %s has no certificate in PEM form", path)
	}
	return all, nil
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
