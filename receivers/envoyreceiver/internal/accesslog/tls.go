// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"crypto/tls"
	"strings"

	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/otelcol-mesh/otelcol-mesh/receivers/envoyreceiver/internal/attr"
)

// tlsVersions are the values of tls.protocol.version.
var tlsVersions = map[alsdata.TLSProperties_TLSVersion]string{
	alsdata.TLSProperties_TLSv1:   "1.0",
	alsdata.TLSProperties_TLSv1_1: "1.1",
	alsdata.TLSProperties_TLSv1_2: "1.2",
	alsdata.TLSProperties_TLSv1_3: "1.3",
}

// certificate names the attributes of one end's certificate.
type certificate struct {
	subject, issuer, san, sans string
}

// Envoy reports the downstream connection, on which it is the server.
var (
	peerCertificate = certificate{
		subject: string(semconv.TLSClientSubjectKey), issuer: string(semconv.TLSClientIssuerKey),
		san: keyPeerSAN, sans: keyPeerSANs,
	}
	localCertificate = certificate{
		subject: string(semconv.TLSServerSubjectKey), issuer: string(semconv.TLSServerIssuerKey),
		san: keyLocalSAN, sans: keyLocalSANs,
	}
)

func putTLS(properties *alsdata.TLSProperties, w attr.Writer) {
	if properties == nil {
		return
	}
	if version := tlsVersions[properties.GetTlsVersion()]; version != "" {
		w.Str(string(semconv.TLSProtocolNameKey), "tls")
		w.Str(string(semconv.TLSProtocolVersionKey), version)
	}
	if suite := properties.GetTlsCipherSuite(); suite != nil && suite.GetValue() <= 0xffff {
		w.Str(string(semconv.TLSCipherKey), tls.CipherSuiteName(uint16(suite.GetValue())))
	}
	w.Str(keySNI, properties.GetTlsSniHostname())
	w.Str(keySessionID, properties.GetTlsSessionId())
	w.Str(string(semconv.TLSClientJa3Key), properties.GetJa3Fingerprint())
	putCertificate(properties.GetPeerCertificateProperties(), peerCertificate, w)
	putCertificate(properties.GetLocalCertificateProperties(), localCertificate, w)
}

func putCertificate(properties *alsdata.TLSProperties_CertificateProperties, keys certificate, w attr.Writer) {
	w.Str(keys.subject, properties.GetSubject())
	w.Str(keys.issuer, properties.GetIssuer())
	names := properties.GetSubjectAltName()
	w.Str(keys.san, identity(names))
	if len(names) < 2 {
		return
	}
	list := w.Map.PutEmptySlice(keys.sans)
	for i, name := range names {
		if i == w.Limits.MaxMapEntries {
			w.Tally.Skip(attr.SkipMapEntries, len(names)-i)
			return
		}
		list.AppendEmpty().SetStr(w.Cut(sanText(name)))
	}
}

// identity picks the name that says who an end is: its SPIFFE id, or else the first name.
func identity(names []*alsdata.TLSProperties_CertificateProperties_SubjectAltName) string {
	for _, name := range names {
		if strings.HasPrefix(name.GetUri(), "spiffe://") {
			return name.GetUri()
		}
	}
	if len(names) == 0 {
		return ""
	}
	return sanText(names[0])
}

func sanText(name *alsdata.TLSProperties_CertificateProperties_SubjectAltName) string {
	if uri := name.GetUri(); uri != "" {
		return uri
	}
	return name.GetDns()
}
