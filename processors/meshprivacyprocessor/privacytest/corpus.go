// SPDX-License-Identifier: Apache-2.0

// Package privacytest makes telemetry with secrets in it, for tests of what leaves a node.
package privacytest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Corpus makes secrets and puts them where applications and proxies do. The seed is fixed, so each run has the same.
type Corpus struct {
	*rand.Rand
	secrets []string
}

// New returns a corpus; equal seeds make equal ones.
func New(seed uint64) *Corpus { return &Corpus{Rand: rand.New(rand.NewPCG(seed, 6))} }

const (
	letters   = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	base64Set = letters + "+/"
	upperSet  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
)

func (c *Corpus) random(n int, set string) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = set[c.IntN(len(set))]
	}
	return string(out)
}

// Secrets is how many it has put anywhere.
func (c *Corpus) Secrets() int { return len(c.secrets) }

// secret makes one that is looked for afterwards.
func (c *Corpus) secret(n int, set string) string { return c.remember("Z9" + c.random(n, set)) }

func (c *Corpus) remember(secret string) string {
	c.secrets = append(c.secrets, secret)
	return secret
}

// Word is a secret by itself.
func (c *Corpus) Word() string { return c.secret(10+c.IntN(14), letters) }

func pick[T any](c *Corpus, of ...T) T { return of[c.IntN(len(of))] }

// only forgets the secrets made since there were so many that are not in a text: they were made for what was not picked.
func (c *Corpus) only(since int, text string) string {
	kept := c.secrets[:since]
	for _, secret := range c.secrets[since:] {
		for i := 1; i+piece <= len(secret); i++ {
			if strings.Contains(text, secret[i:i+piece]) {
				kept = append(kept, secret)
				break
			}
		}
	}
	c.secrets = kept
	return text
}

// URL is one with secrets in its query, fragment or user info, absolute or relative.
func (c *Corpus) URL() string {
	s := c.Word()
	return pick(c,
		"https://shop.example.com/cart?session="+s, "/reset?"+s, "/cart?a=1&token="+s+"&b=2", "?code="+s, "search?q="+s, "//cdn/p?x="+s,
		"../up?k="+s, "https://u:"+s+"@db.example.com:5432/x", "http://"+s+"@host/p", "https://h:8443/app#access_token="+s,
		"/app#id_token="+s+"&x=1", "amqp://guest:"+s+"@mq/v", "redis://:"+s+"@cache:6379/0", "https://acct.blob.core.windows.net/c/b?sv=2024-11-04&sig="+s+"%3D&se=2027",
		"/a;jsessionid="+s+"/b", "/go/"+url.QueryEscape("https://h/p?t="+s), "/go/"+url.QueryEscape("https://u:"+s+"@h/p"),
		"/go/"+url.QueryEscape(url.QueryEscape("/p?t="+s)), "https://h/p?q=\""+s+"\"&z="+s, "u:"+s+"@tcp(db:3306)/x", "https://[::1]:80/p?"+s)
}

// Line is a text that has a secret in it.
func (c *Corpus) Line() string { return c.only(len(c.secrets), c.line()) }

func (c *Corpus) line() string {
	s := c.Word()
	jwt := "eyJ" + c.random(20, letters) + ".eyJ" + c.secret(30, letters) + "." + c.secret(40, letters+"-_")
	basic := c.remember(base64.StdEncoding.EncodeToString([]byte("user:" + c.random(12, letters))))
	return pick(c,
		"GET "+c.URL()+" HTTP/1.1", "fetching "+c.URL()+" failed", "Authorization: Bearer "+s, "authorization: Basic "+basic+"\nHost: x",
		"curl -H 'Authorization: Token "+s+"' https://h/", "got Bearer "+s+"1 from", "sent Basic "+basic+", retrying", "Cookie: sid="+s+"; theme=dark; x="+c.Word(),
		"Set-Cookie: sid="+s+"; Path=/; HttpOnly", "cookie=sid="+s, "jwt "+jwt+" expired", "password="+s, "password: "+s+", user: x", "pwd='"+s+" "+c.Word()+"'",
		"db_password = \""+s+"\"", "Server=tcp:x,1433;User Id=u;Password="+s+";Encrypt=True", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey="+c.secret(84, base64Set)+"==;EndpointSuffix=x",
		"Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey="+s+"=", "SharedAccessSignature sr=x&sig="+s+"%3d&se=1&skn=n", "InstrumentationKey="+s+";IngestionEndpoint=https://x/",
		"key "+c.remember("AKIA"+c.random(16, upperSet))+" used", "aws_secret_access_key = "+c.secret(38, base64Set), "id "+c.remember("ASIA"+c.random(16, upperSet))+":"+c.secret(38, base64Set),
		"-----BEGIN RSA PRIVATE KEY-----\n"+c.secret(62, base64Set)+"\n"+c.secret(62, base64Set)+"\n-----END RSA PRIVATE KEY-----\nafter",
		"-----BEGIN OPENSSH PRIVATE KEY-----\\n"+c.secret(62, base64Set)+"\\n-----END OPENSSH PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n"+c.secret(62, base64Set),
		"token "+c.remember("ghp_"+c.random(36, letters)), "glpat "+c.remember("glpat-"+"A"+c.random(19, letters)), c.remember("xoxb-1234567890-"+c.random(24, letters)), c.remember("sk_live_"+c.random(24, letters)),
		c.remember("AIza"+c.random(35, letters)), "app secret "+c.remember(c.random(3, letters)+"8Q~"+c.random(34, letters)), "run --password "+s+" --user x", "run --api-key="+s,
		"map[authorization:[Bearer "+s+"] host:[h]]", "{password="+s+", user=x}", "<password>"+s+"</password>", "<a:Secret x=\"y\">"+s+"</a:Secret>", "X-Api-Key: "+s, "x-functions-key:"+s,
		"Authorization: Digest username=\"u\", realm=\"r\", nonce=\""+s+"\", response=\""+c.Word()+"\"", "AWS4-HMAC-SHA256 Credential="+s+"/20261123/x, SignedHeaders=host, Signature="+c.Word(),
		url.QueryEscape("Authorization: Bearer "+s), "password%3D"+s, "AccountKey\\u003d"+s, c.json(1), c.json(2), c.json(3), c.envoyText())
}

// json is a secret in JSON, in as many texts within texts.
func (c *Corpus) json(layers int) string {
	s := c.Word()
	value := pick[any](c,
		map[string]any{"user": "x", "password": s, "n": 1}, map[string]any{"headers": map[string]any{"authorization": "Bearer " + s, "host": "h"}},
		map[string]any{"cookies": []string{"sid=" + s, "b=" + c.Word()}, "n": 1}, map[string]any{"url": c.URL(), "status": 200},
		[]any{map[string]any{"name": "X-Api-Key", "value": s}}, map[string]any{"secret": map[string]any{"a": []any{s, "]\"" + c.Word()}}},
		map[string]any{"accessToken": s + "\"" + c.Word()}, map[string]any{"msg": "Cookie: a=\"" + s + "\"; b=" + c.Word() + "\r\nHost: h"},
		map[string]any{"conn": "Server=x;Password=" + s + ";"}, map[string]any{"key": "-----BEGIN PRIVATE KEY-----\n" + c.secret(60, base64Set) + "\n-----END PRIVATE KEY-----\n"})
	for range layers {
		encoded, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		value = map[string]any{"message": string(encoded), "at": 1}
		if layers == 1 {
			return string(encoded)
		}
	}
	encoded, _ := json.Marshal(value)
	return string(encoded)
}

const (
	// EnvoyTail is what follows the request in Istio's default line of an access log.
	EnvoyTail = `200 - via_upstream - "-" 0 358 12 11 "10.0.0.9" "Mozilla/5.0" "e4e8c177-3962-9359-945e-61e7175cd867" "reviews:9080" "127.1.0.31:9080" ` +
		`outbound|9080||reviews.bookinfo.svc.cluster.local 127.1.0.21:40000 10.96.1.1:9080 127.1.0.21:50000 - default`
)

// envoyText is Istio's default line with a query.
func (c *Corpus) envoyText() string {
	return `[2026-11-23T07:00:00.000Z] "GET ` + pick(c, "/reviews/0?user=", "/p?", "/p?x=\"a\",y=", "/a/b#t=") + c.Word() + ` HTTP/1.1" ` + EnvoyTail
}

// secretNames are names whose values are secret whatever they are.
var secretNames = []string{
	"http.request.header.authorization", "http.request.header.cookie", "http.response.header.set-cookie", "http.request.header.x-api-key",
	"http.request.header.proxy-authorization", "password", "db.password", "accessToken", "client_secret", "url.query", "AccountKey", "url.fragment",
	"http.request.header.x-auth-token", "connection_string", "x-functions-key", "aws.secret_access_key", "jsessionid", "apiKey",
}

// Value fills a value with secrets, of whichever type.
func (c *Corpus) Value(v pcommon.Value) { c.value(v, 0) }

// Attributes adds some with secrets to a map.
func (c *Corpus) Attributes(m pcommon.Map) { c.attributes(m, 0) }

// value fills a value with secrets, of whichever type.
func (c *Corpus) value(v pcommon.Value, depth int) {
	switch n := c.IntN(10); {
	case n < 5 || depth > 4:
		v.SetStr(pick(c, c.Line, c.URL)())
	case n == 5:
		v.SetEmptyBytes().FromRaw([]byte(c.Line()))
	case n == 6:
		s := v.SetEmptySlice()
		for range 1 + c.IntN(3) {
			c.value(s.AppendEmpty(), depth+1)
		}
	case n == 7:
		s := v.SetEmptySlice()
		s.AppendEmpty().SetStr(pick(c, "authorization", "--password", "x-api-key", "Cookie"))
		s.AppendEmpty().SetStr(c.Word())
	case n == 8:
		m := v.SetEmptyMap()
		m.PutStr("name", pick(c, "Authorization", "x-api-key", "cookie"))
		m.PutStr("value", c.Word())
	default:
		c.attributes(v.SetEmptyMap(), depth+1)
	}
}

// attributes adds some with secrets to a map.
func (c *Corpus) attributes(m pcommon.Map, depth int) {
	for i := range 1 + c.IntN(3) {
		if c.IntN(3) == 0 {
			name := pick(c, secretNames...)
			switch c.IntN(4) {
			case 0:
				m.PutEmptySlice(name).AppendEmpty().SetStr(c.Word())
			case 1:
				m.PutEmptyMap(name).PutStr("inner", c.Word())
			case 2:
				m.PutEmptyBytes(name).FromRaw([]byte(c.Word()))
			default:
				m.PutStr(name, c.Word())
			}
			continue
		}
		name := pick(c, "url.full", "http.url", "http.target", "note", "db.query.text", "exception.message", "exception.stacktrace", "k8s.pod.annotation.x", "custom")
		c.value(m.PutEmpty(fmt.Sprint(name, []string{"", "_1", "_2"}[i])), depth)
	}
	if c.IntN(40) == 0 {
		m.PutStr("seen https://u:"+c.Word()+"@h", "x")
	}
}

// piece is the length of what counts as leaked: a part of a secret is one too.
const piece = 8

// Leaks are the parts of secrets that a text contains. The first byte of each is left out, as it is that of many.
func (c *Corpus) Leaks(marshaled string) (out []string) {
	pieces := make(map[string]struct{})
	for _, secret := range c.secrets {
		for i := 1; i+piece <= len(secret); i++ {
			pieces[secret[i:i+piece]] = struct{}{}
		}
	}
	// What every key of Slack begins with is no secret.
	delete(pieces, "oxb-1234")
	for i := 0; i+piece <= len(marshaled); i++ {
		if _, leaked := pieces[marshaled[i:i+piece]]; leaked {
			out = append(out, marshaled[i:i+piece])
		}
	}
	return out
}
