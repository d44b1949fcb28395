// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.uber.org/zap"
)

var _ extensioncapabilities.ConfigSnapshotWatcher = (*clusterIdentity)(nil)

// NotifyConfigSnapshot implements [extensioncapabilities.ConfigSnapshotWatcher]. Receivers and exporters with TLS settings of
// their own that this extension takes the place of are an error: the settings would silently be of no effect. So is a pipeline
// that takes what is verified here and compares it with nothing.
func (e *clusterIdentity) NotifyConfigSnapshot(_ context.Context, snapshot extensioncapabilities.ConfigSnapshot) error {
	effective := snapshot.Effective()
	if effective == nil {
		return nil
	}
	all := effective.ToStringMap()
	var errs []error
	for _, part := range [...]struct {
		section, key string
		there        bool
	}{{"receivers", "receiver_tls", e.config.ReceiverTLS.HasValue()}, {"exporters", "exporter_tls", e.config.ExporterTLS.HasValue()}} {
		if !part.there {
			continue
		}
		for _, path := range e.withTLS(part.section, "", all[part.section]) {
			errs = append(errs, fmt.Errorf("'%s' has 'tls', and lists %s under 'middlewares', whose '%s' takes its place: write the settings there", path, e.id, part.key))
		}
	}
	if e.config.ReceiverTLS.HasValue() {
		e.chooseGuard(all["receivers"])
	}
	return errors.Join(append(errs, e.unguarded(all)...)...)
}

// chooseGuard takes the extension that watches connections and stands beside this one at receivers of gRPC. Nobody says at
// which receiver a connection came, so it must be the same at all of them.
func (e *clusterIdentity) chooseGuard(receivers any) {
	beside := map[string]bool{}
	e.listedBeside("", receivers, beside)
	e.guard = nil
	if len(beside) > 1 {
		e.logger.Warn("frames of gRPC connections are not watched: receivers list different extensions for that beside this one; give each its own of this kind",
			zap.Strings("beside", slices.Sorted(maps.Keys(beside))))
		return
	}
	for id := range beside {
		e.guard = e.guards[id]
	}
}

// listedBeside collects the extensions that watch connections at the receivers that list this one; "" is none.
func (e *clusterIdentity) listedBeside(last string, settings any, beside map[string]bool) {
	keys := keysOf(settings)
	if last == "http" {
		return
	}
	if e.listed(keys["middlewares"]) {
		found := ""
		for _, entry := range keys["middlewares"].([]any) {
			if id := fmt.Sprint(keysOf(entry)["id"]); e.guards[id] != nil {
				found = id
			}
		}
		beside[found] = true
	}
	for key, value := range keys {
		e.listedBeside(key, value, beside)
	}
}

// withTLS returns the paths of all settings that list the extension and have TLS of their own. last is the key that they
// stand under: the extension does nothing about the TLS of a receiver's HTTP side.
func (e *clusterIdentity) withTLS(path, last string, settings any) (found []string) {
	keys, ok := settings.(map[string]any)
	if !ok || last == "http" {
		return nil
	}
	if e.listed(keys["middlewares"]) && hasTLS(keys["tls"]) {
		found = append(found, path)
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		found = append(found, e.withTLS(path+"::"+key, key, keys[key])...)
	}
	return found
}

func (e *clusterIdentity) listed(middlewares any) bool {
	list, _ := middlewares.([]any)
	return slices.ContainsFunc(list, func(entry any) bool {
		keys, _ := entry.(map[string]any)
		return fmt.Sprint(keys["id"]) == e.id
	})
}

// hasTLS says whether somebody wrote something: the collector's defaults are in the configuration that is told too.
func hasTLS(settings any) bool {
	keys, _ := settings.(map[string]any)
	for _, key := range [...]string{
		"ca_file", "ca_pem", "cert_file", "cert_pem", "key_file", "key_pem", "client_ca_file", "server_name_override", "insecure", "insecure_skip_verify",
	} {
		switch value := keys[key].(type) {
		case nil:
		case bool:
			if value {
				return true
			}
		default:
			if fmt.Sprint(value) != "" {
				return true
			}
		}
	}
	return false
}
