// SPDX-License-Identifier: Apache-2.0

package envoysemconvprocessor

import (
	"errors"

	"github.com/otelcol-mesh/otelcol-mesh/internal/accesslog"
)

// The formats of bodies that were read.
const (
	istioText = iota
	istioJSON
	istioMap
	ztunnelText
	ztunnelJSON
	ztunnelMap
	numBodies
)

// What is wrong with bodies that were not read, or not whole.
const (
	tooLongBody = iota
	badTextBody
	badJSONBody
	badZtunnelBody
	ambiguousBody
	numBadBodies
)

var (
	bodyNames = [numBodies]string{
		istioText: "istio_text", istioJSON: "istio_json", istioMap: "istio_map",
		ztunnelText: "ztunnel_text", ztunnelJSON: "ztunnel_json", ztunnelMap: "ztunnel_map",
	}
	badBodyNames = [numBadBodies]string{
		tooLongBody: "too_long", badTextBody: "bad_text", badJSONBody: "bad_json", badZtunnelBody: "bad_ztunnel",
		ambiguousBody: "ambiguous_quotes",
	}
	bodyOf = [accesslog.NumFormats]int{
		accesslog.Text: istioText, accesslog.JSON: istioJSON,
		accesslog.ZtunnelText: ztunnelText, accesslog.ZtunnelJSON: ztunnelJSON,
	}
)

func badBodyOf(err error) int {
	switch {
	case errors.Is(err, accesslog.ErrTooLong):
		return tooLongBody
	case errors.Is(err, accesslog.ErrJSON):
		return badJSONBody
	case errors.Is(err, accesslog.ErrZtunnel):
		return badZtunnelBody
	case errors.Is(err, accesslog.ErrTails):
		return ambiguousBody
	}
	return badTextBody
}
