// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// code explains one of Entra ID's codes. The words may have {client}, {tenant}, {scope}, {file} and {assertion}.
type code struct {
	reason Reason
	words  string
}

// codes are those that a service gets without a person at it, as Microsoft lists them among the authentication and
// authorization error codes of Entra ID.
var codes = map[string]code{
	"AADSTS700016":  {ReasonUnknownApplication, "tenant {tenant} has no application or managed identity with client id {client}: check 'client_id' and 'tenant_id', which are of one directory"},
	"AADSTS7000112": {ReasonDenied, "application {client} is disabled: enable it in the tenant's enterprise applications"},
	"AADSTS7000229": {ReasonUnknownApplication, "application {client} has no service principal in tenant {tenant}: create one with 'az ad sp create --id {client}'"},
	"AADSTS7000215": {ReasonInvalidSecret, "the client secret of {client} is wrong: 'client_secret' must be the value of the secret and not its id"},
	"AADSTS7000222": {ReasonInvalidSecret, "the client secret of {client} has expired: create a new one and replace 'client_secret'"},
	"AADSTS700027":  {ReasonCertificate, "the certificate in {file} is not taken for {client}: upload its public part to the application, or check that it has not expired"},
	"AADSTS700030":  {ReasonCertificate, "the certificate in {file} has a subject or issuer that application {client} does not trust"},
	"AADSTS700024":  {ReasonAssertionExpired, "the federated token or the certificate's assertion is outside the time it is valid: check this node's clock, and that {file} is a volume which the kubelet still renews{assertion}"},
	"AADSTS70021":   {ReasonFederation, "no federated credential of {client} matches the token: one must have its issuer, subject and audience{assertion}"},
	"AADSTS700211":  {ReasonFederation, "no federated credential of {client} has the token's issuer: it must be the OIDC issuer URL of this cluster{assertion}"},
	"AADSTS700212":  {ReasonFederation, "no federated credential of {client} has the token's audience, which is usually api://AzureADTokenExchange{assertion}"},
	"AADSTS700213":  {ReasonFederation, "no federated credential of {client} has the token's subject: it must name this namespace and service account{assertion}"},
	"AADSTS700214":  {ReasonFederation, "the issuer of the federated token may not be used for tokens of this kind{assertion}"},
	"AADSTS50027":   {ReasonAssertionExpired, "the token in {file} is not valid{assertion}"},
	"AADSTS5002738": {ReasonFederation, "the token in {file} is signed by a key that its issuer does not publish: the OIDC issuer of the cluster must be reachable for Entra ID{assertion}"},
	"AADSTS50166":   {ReasonFederation, "Entra ID cannot read the OIDC issuer of the cluster{assertion}"},
	"AADSTS90002":   {ReasonUnknownTenant, "there is no tenant {tenant} in this cloud: check 'tenant_id' and 'cloud'"},
	"AADSTS900023":  {ReasonUnknownTenant, "{tenant} is no tenant's id or domain: check 'tenant_id'"},
	"AADSTS90013":   {ReasonRefused, "Entra ID takes the request for invalid: check 'tenant_id' and 'client_id'"},
	"AADSTS500011":  {ReasonInvalidScope, "tenant {tenant} does not know the resource of scope {scope}: check 'scopes' and 'cloud'"},
	"AADSTS500341":  {ReasonDenied, "the account of {client} was deleted from tenant {tenant}"},
	"AADSTS70011":   {ReasonInvalidScope, "{scope} is no scope: write one such as https://monitor.azure.com/.default"},
	"AADSTS1002012": {ReasonInvalidScope, "scope {scope} must end in /.default"},
	"AADSTS53003":   {ReasonDenied, "a Conditional Access policy for workload identities keeps {client} out: look at its sign-in log"},
	"AADSTS530036":  {ReasonDenied, "a Conditional Access policy for workload identities keeps {client} out: look at its sign-in log"},
	"AADSTS50196":   {ReasonThrottled, "Entra ID saw a loop of requests of {client}: other processes may ask for tokens in its name"},
	"AADSTS90055":   {ReasonThrottled, "Entra ID has too many requests of tenant {tenant}"},
	"AADSTS90033":   {ReasonServerError, "Entra ID has a passing error: it is asked again"},
	"AADSTS50000":   {ReasonServerError, "Entra ID could not issue a token: it is asked again"},
}

// answer is what a token endpoint says when it has no token.
type answer struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Codes       []int  `json:"error_codes"`
}

var codeText = regexp.MustCompile(`AADSTS\d{4,9}`)

// read finds the code of an answer and what it says, without the ids that no two answers share.
func (a *answer) read(body []byte, redact func(string) string) (found, says string, ok bool) {
	if json.Unmarshal(body, a) != nil {
		return "", "", false
	}
	found = codeText.FindString(a.Description)
	if found == "" && len(a.Codes) > 0 && a.Codes[0] > 0 {
		found = "AADSTS" + strconv.Itoa(a.Codes[0])
	}
	says, _, _ = strings.Cut(a.Description, "Trace ID:")
	if says == "" {
		says = a.Error
	}
	return found, clean(redact(strings.TrimPrefix(says, found+":")), 300), a.Error != "" || a.Description != ""
}

// refusal explains an answer that is no token.
func (f *attempt) refusal(end ended) *Failure {
	failure := &Failure{Status: end.status, After: retryAfter(end.header, f.now)}
	var a answer
	found, says, readable := a.read(end.body, f.redact)
	failure.Code = found
	quoted := ""
	if says != "" {
		quoted = fmt.Sprintf(" (%s says: %s)", end.host, says)
	}
	prefix := ""
	if found != "" {
		prefix = found + ": "
	}
	known, ok := codes[found]
	switch {
	case ok:
		failure.Reason, failure.Message = known.reason, prefix+f.fill(known.words)+quoted
	case end.status == http.StatusTooManyRequests:
		failure.Reason, failure.Message = ReasonThrottled, prefix+end.host+" asks to wait: too many requests"+quoted
	case f.settings.Method == MethodManagedIdentity && end.status == http.StatusBadRequest:
		failure.Reason, failure.Message = ReasonIdentityNotAssigned, f.notAssigned()+quoted
	case end.status >= 500:
		failure.Reason, failure.Message = ReasonServerError, fmt.Sprintf("%s%s answers %d", prefix, end.host, end.status)+quoted
	case !readable:
		failure.Reason = ReasonUnreadableAnswer
		failure.Message = fmt.Sprintf("%s answers %d with what is no answer of a token endpoint: a proxy may stand between, or 'authority_host' is wrong", end.host, end.status)
	default:
		failure.Reason, failure.Message = ReasonRefused, fmt.Sprintf("%s%s answers %d", prefix, end.host, end.status)+quoted
	}
	return failure
}

func (f *attempt) fill(words string) string {
	s := f.settings
	file := s.TokenFile
	if s.Method == MethodClientCertificate {
		file = s.CertificateFile
	}
	return strings.NewReplacer("{client}", clean(s.ClientID, 64), "{tenant}", clean(s.TenantID, 128), "{scope}", clean(s.scope(), 200),
		"{file}", file, "{assertion}", f.assertion).Replace(words)
}

func (f *attempt) notAssigned() string {
	s := f.settings
	var id string
	switch {
	case s.ClientID != "":
		id = "client id " + s.ClientID
	case s.ObjectID != "":
		id = "object id " + s.ObjectID
	case s.ResourceID != "":
		id = "resource id " + s.ResourceID
	default:
		return "this machine has no system-assigned managed identity: turn it on for the virtual machine scale set, or name a user-assigned " +
			"one with 'managed_identity::client_id'; on AKS, 'workload_identity' is the usual way"
	}
	return "this machine has no managed identity with " + id + ": assign it to the node pool's virtual machine scale set with 'az vmss identity assign', " +
		"or use 'workload_identity'"
}

// silence explains a request that got no answer.
func (f *attempt) silence(end ended) *Failure {
	err := plain(end.err)
	failure := &Failure{Reason: ReasonUnreachable}
	if timedOut(err) {
		failure.Reason = ReasonTimeout
	}
	failure.Message = fmt.Sprintf("%s cannot be reached: %s", end.host, clean(f.redact(err.Error()), 300))
	if f.settings.Method == MethodManagedIdentity {
		failure.Message += "; a managed identity is to be had on Azure alone, and network policies and sidecars must let pods reach " + metadataAddress
	} else {
		failure.Message += "; check DNS, egress rules and HTTPS_PROXY"
	}
	return failure
}

// maxAfter is the longest pause that is granted: a wrong header must not stop everything for a day.
const maxAfter = 10 * time.Minute

// retryAfter reads the header in both of its forms.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := header.Get("Retry-After")
	if text == "" {
		return 0
	}
	var after time.Duration
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		after = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		after = at.Sub(now)
	}
	return min(max(after, 0), maxAfter)
}

// Hint says what a 401 or 403 of an ingestion endpoint means for the identity; empty for any other status. The host is
// the endpoint's.
func Hint(status int, host string, identity Identity) string {
	who := identity.String()
	if who == "" {
		who = "of 'azure_auth'"
	} else {
		who = "with " + who
	}
	switch status {
	case http.StatusForbidden:
		return fmt.Sprintf("%s knows the identity %s and lets it send nothing: assign it the role 'Monitoring Metrics Publisher' on the Application Insights "+
			"resource, or on the data collection rule if the endpoint is one; an assignment takes some minutes until it counts, at times half an hour", host, who)
	case http.StatusUnauthorized:
		return fmt.Sprintf("%s does not take the token of the identity %s: the resource may be in another tenant or cloud than 'tenant_id' and 'cloud' say, "+
			"'scopes' may be those of another service, or a clock is wrong", host, who)
	}
	return ""
}
