// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// rootsModule carries Mozilla's store of public authorities as a Go module; go.mod pins its version and go.sum its content.
const rootsModule = "golang.org/x/crypto/x509roots/fallback"

// rootsPath is the first place where Go looks on Linux.
const rootsPath = "etc/ssl/certs/ca-certificates.crt"

// roots are the authorities that Mozilla trusts without conditions. One that is trusted only for what it issued before
// some day stays out: a PEM file cannot say this.
func roots() ([]byte, error) {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		parsed, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			return nil, fmt.Errorf("a certificate of %s: %w", rootsModule, err)
		}
		fmt.Fprintf(&out, "# %s\n", parsed.Subject)
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

func rootsCommand(_ context.Context, args []string, stdout io.Writer) error {
	if err := parse(flag.NewFlagSet("roots", flag.ContinueOnError), args); err != nil {
		return err
	}
	raw, err := roots()
	if err != nil {
		return err
	}
	_, err = stdout.Write(raw)
	return err
}
