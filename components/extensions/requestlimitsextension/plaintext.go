// SPDX-License-Identifier: Apache-2.0

package requestlimitsextension

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.uber.org/zap"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

var _ extensioncapabilities.ConfigSnapshotWatcher = (*requestLimits)(nil)

// NotifyConfigSnapshot implements [extensioncapabilities.ConfigSnapshotWatcher]. A gRPC server shows its connections to its
// credentials alone, so to watch frames one has to be those. What is set here would take the place of a receiver's TLS: it is
// set only if none of the receivers that list the extension has any. cluster_identity, which holds the TLS of receivers, hands its
// connections over by itself.
func (l *requestLimits) NotifyConfigSnapshot(_ context.Context, snapshot extensioncapabilities.ConfigSnapshot) error {
	effective := snapshot.Effective()
	if effective == nil {
		return nil
	}
	all := effective.ToStringMap()
	s := &servers{id: l.id, extensions: keysOf(all["extensions"])}
	s.find("receivers", "", all["receivers"])
	l.plaintext.Store(len(s.plain) > 0 && len(s.others) == 0)
	for _, path := range slices.Sorted(maps.Keys(s.others)) {
		if text := s.others[path]; text != "" {
			l.logger.Warn("Frames of gRPC connections are not watched: "+text, zap.String("receiver", path), zap.String("limiter", l.id))
		}
	}
	if len(s.others) > 0 {
		for _, path := range s.plain {
			l.logger.Warn("Frames of gRPC connections are not watched: another receiver with TLS lists the same extension; give this one a request_limits of its own",
				zap.String("receiver", path), zap.String("limiter", l.id))
		}
	}
	return nil
}

// servers are the receivers of gRPC that list the extension: those without TLS, and the others with what to warn of, if anything.
type servers struct {
	id         string
	extensions map[string]any
	plain      []string
	others     map[string]string
}

// find looks at settings and all below them; last is the key that they stand under.
func (s *servers) find(path, last string, settings any) {
	keys := keysOf(settings)
	if last == "http" {
		return
	}
	if listed := middlewaresOf(keys["middlewares"]); slices.Contains(listed, s.id) {
		if text, hasTLS := s.look(keys["tls"], listed); hasTLS {
			if s.others == nil {
				s.others = make(map[string]string)
			}
			s.others[path] = text
		} else {
			s.plain = append(s.plain, path)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		s.find(path+"::"+key, key, keys[key])
	}
}

// look says whether a receiver has TLS, or may have, and what to warn of.
func (s *servers) look(tls any, listed []string) (text string, hasTLS bool) {
	if there(tls) {
		return "it has 'tls' of its own; with 'receiver_tls' of cluster_identity they are", true
	}
	for _, id := range listed {
		switch kind, _, _ := strings.Cut(id, "/"); {
		case kind == "request_limits":
		case kind != "cluster_identity":
			return fmt.Sprintf("it also lists %s under 'middlewares', which may set its TLS", id), true
		case there(keysOf(s.extensions[id])["receiver_tls"]):
			return "", true
		}
	}
	return "", false
}

// there says whether an optional section is set, be it to nothing: `tls: {}` is one, `tls: null` is none.
func there(section any) bool {
	keys, isMap := section.(map[string]any)
	return section != nil && (!isMap || keys != nil)
}

func keysOf(settings any) map[string]any {
	keys, _ := settings.(map[string]any)
	return keys
}

// middlewaresOf reads a list of middlewares.
func middlewaresOf(settings any) (ids []string) {
	list, _ := settings.([]any)
	for _, entry := range list {
		ids = append(ids, fmt.Sprint(keysOf(entry)["id"]))
	}
	return ids
}

// plaintext are the credentials of a server without TLS, whose connections are watched.
type plaintext struct {
	credentials.TransportCredentials
	l *requestLimits
}

func newPlaintext(l *requestLimits) *plaintext { return &plaintext{insecure.NewCredentials(), l} }

// ServerHandshake implements [credentials.TransportCredentials].
func (p *plaintext) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := p.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	return p.l.GuardConn(conn), info, nil
}

// Clone implements [credentials.TransportCredentials].
func (p *plaintext) Clone() credentials.TransportCredentials {
	return &plaintext{p.TransportCredentials.Clone(), p.l}
}
