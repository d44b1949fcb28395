// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/otelcol-mesh/otelcol-mesh/internal/azuredomain"
	"github.com/otelcol-mesh/otelcol-mesh/internal/loopback"
)

// Options are what a parser may let pass.
type Options struct {
	// AllowPlainHTTP lets http go to hosts other than loopback: keys and items then cross the network readable by anybody.
	AllowPlainHTTP bool
}

// The keys of a connection string, in small letters. Keys are compared without regard to case.
const (
	keyInstrumentation = "instrumentationkey"
	keyIngestion       = "ingestionendpoint"
	keySuffix          = "endpointsuffix"
	keyLocation        = "location"
	keyAuthorization   = "authorization"
	keyApplication     = "applicationid"
	keyAudience        = "aadaudience"
)

// names are the known keys as people write them. Those of endpoints that the exporter does not use are checked all the
// same: a string that was damaged on its way should not be half used.
var names = map[string]string{
	keyInstrumentation: "InstrumentationKey",
	keyIngestion:       "IngestionEndpoint",
	keySuffix:          "EndpointSuffix",
	keyLocation:        "Location",
	keyAuthorization:   "Authorization",
	keyApplication:     "ApplicationId",
	keyAudience:        "AADAudience",
	"liveendpoint":     "LiveEndpoint",
	"profilerendpoint": "ProfilerEndpoint",
	"snapshotendpoint": "SnapshotEndpoint",
}

const example = "write it as the Azure portal shows it on the resource's overview: InstrumentationKey=<key>;IngestionEndpoint=https://<host>/"

var (
	errEmpty   = errors.New("the connection string is empty: " + example + "; if it comes from an environment variable, the variable is not set")
	errTooLong = fmt.Errorf("the connection string is longer than %d bytes: %s", MaxLength, example)
	errNoKey   = errors.New("the connection string has no InstrumentationKey: " + example)
	// errKey says nothing of what the key looks like.
	errKey = errors.New("the InstrumentationKey of the connection string is not one: it is a GUID, of letters, digits and '-' alone")
)

var (
	guid     = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	keyText  = regexp.MustCompile(`^[0-9a-zA-Z._-]{1,64}$`)
	location = regexp.MustCompile(`^[0-9a-zA-Z]{1,64}$`)
	suffix   = regexp.MustCompile(`^[0-9a-zA-Z]([0-9a-zA-Z.-]{0,251}[0-9a-zA-Z])?$`)
	word     = regexp.MustCompile(`^[A-Za-z]{1,32}$`)
	plain    = regexp.MustCompile(`^[0-9a-zA-Z._-]{1,128}$`)
)

// Parse reads a connection string, as documented for Azure Monitor: Key=Value parts between semicolons, keys without
// regard to case. A key that comes twice is refused, since it is unknown which one is meant. Keys that are not known are
// left out with a note, since Microsoft adds new ones. The error says what to write and holds no value of a secret.
func Parse(text string, o Options) (*Info, error) {
	if len(text) > MaxLength {
		return nil, errTooLong
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, errEmpty
	}
	info := &Info{}
	values, err := info.split(text)
	if err != nil {
		return nil, err
	}
	if err := info.identify(values); err != nil {
		return nil, err
	}
	if err := info.locate(values, o); err != nil {
		return nil, err
	}
	return info, nil
}

func (i *Info) note(format string, args ...any) {
	i.notes = append(i.notes, fmt.Sprintf(format, args...))
}

// split takes the string apart.
func (i *Info) split(text string) (map[string]string, error) {
	values := map[string]string{}
	for n, part := range strings.Split(text, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, found := strings.Cut(part, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !found {
			// The part may be a bare key: it is not shown.
			return nil, fmt.Errorf("part %d of the connection string has no '=': %s", n+1, example)
		}
		small := strings.ToLower(key)
		name, known := names[small]
		if !known {
			if !word.MatchString(key) {
				return nil, fmt.Errorf("part %d of the connection string begins with what is no key: %s", n+1, example)
			}
			i.note("the key %s of the connection string is not known and left out", key)
			continue
		}
		if _, twice := values[small]; twice {
			return nil, fmt.Errorf("the connection string has %s twice: write it once", name)
		}
		if value == "" {
			return nil, fmt.Errorf("%s of the connection string has no value: write one, or leave the key out", name)
		}
		values[small] = value
	}
	return values, nil
}

// identify takes who the resource is.
func (i *Info) identify(values map[string]string) error {
	if how, ok := values[keyAuthorization]; ok && !strings.EqualFold(how, "ikey") {
		return errors.New("the connection string has an Authorization other than ikey, which is the only one there is: write ikey or leave it out; " +
			"Entra ID is chosen with 'auth' of the exporter")
	}
	key, ok := values[keyInstrumentation]
	switch {
	case !ok:
		return errNoKey
	case !keyText.MatchString(key):
		return errKey
	case !guid.MatchString(key):
		i.note("the InstrumentationKey of the connection string is no GUID: Azure will refuse it")
	}
	i.key, i.app = key, values[keyApplication]
	if i.app != "" && !plain.MatchString(i.app) {
		return errors.New("ApplicationId of the connection string is not one: it is a GUID; copy the string again, or leave the key out")
	}
	return nil
}

// locate finds the endpoint and the audience.
func (i *Info) locate(values map[string]string, o Options) error {
	i.region = values[keyLocation]
	if i.region != "" && !location.MatchString(i.region) {
		return errors.New("Location of the connection string must be letters and digits, such as westeurope")
	}
	for _, small := range []string{keyIngestion, "liveendpoint", "profilerendpoint", "snapshotendpoint"} {
		value, ok := values[small]
		if !ok {
			continue
		}
		normal, err := endpoint(names[small], value, o)
		if err != nil {
			return err
		}
		values[small] = normal
	}
	end := values[keySuffix]
	if end != "" && !suffix.MatchString(end) {
		return errors.New("EndpointSuffix of the connection string must be a domain, such as applicationinsights.azure.com")
	}
	switch {
	case values[keyIngestion] != "":
		i.ingestion = values[keyIngestion]
	case end != "" && i.region != "":
		i.ingestion = strings.ToLower("https://" + i.region + ".dc." + end)
	case end != "":
		i.ingestion = strings.ToLower("https://dc." + end)
	default:
		i.ingestion = DefaultEndpoint
		i.note("the connection string names no IngestionEndpoint: the global one is used, %s", DefaultEndpoint)
	}
	return i.entitle(values[keyAudience])
}

// entitle finds what tokens are issued for.
func (i *Info) entitle(audience string) error {
	if audience == "" {
		i.audience, i.certain = audienceOf(i.ingestion)
		return nil
	}
	u, err := url.Parse(audience)
	// An audience is a URL or api://<id>; it is no secret, but a damaged string may have anything here.
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("AADAudience of the connection string must be a URL, such as https://monitor.azure.com")
	}
	i.audience, i.named, i.certain = audience, true, true
	return nil
}

// audienceOf is the audience of the cloud that an endpoint belongs to. Endpoints elsewhere, such as a stand-in, have
// that of the public cloud, and false.
func audienceOf(ingestion string) (string, bool) {
	u, err := url.Parse(ingestion)
	if err != nil {
		return azuredomain.Public.Audience(), false
	}
	cloud, known := azuredomain.CloudOf(u.Hostname())
	return cloud.Audience(), known
}

// endpoint checks a URL and takes the slashes off its end. It does not show what it refuses: a damaged string may have
// a key there.
func endpoint(name, value string, o Options) (string, error) {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" {
		return "", fmt.Errorf("%s of the connection string is no URL: write one such as https://westeurope-5.in.applicationinsights.azure.com", name)
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(value, "#") {
		return "", fmt.Errorf("%s of the connection string must be a scheme, a host and at most a path, without user, query and fragment", name)
	}
	switch strings.ToLower(u.Scheme) {
	case "https":
	case "http":
		if !o.AllowPlainHTTP && !loopback.IsHost(u.Hostname()) {
			return "", fmt.Errorf("%s of the connection string uses http, which shows the key and all items to the network: write https; "+
				"http may go to 127.0.0.1, [::1] and localhost alone", name)
		}
	default:
		return "", fmt.Errorf("%s of the connection string must begin with https://", name)
	}
	return strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Host) + strings.TrimRight(u.EscapedPath(), "/"), nil
}
