// SPDX-License-Identifier: Apache-2.0

package meshprivacyprocessor

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// corpus makes secrets and puts them where applications and proxies do. The seed is fixed, so each run has the same.
type corpus struct {
	*rand.Rand
	secrets []string
}

func newCorpus(seed uint64) *corpus { return &corpus{Rand: rand.New(rand.NewPCG(seed, 6))} }

const (
	letters   = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	base64Set = letters + "+/"
	upperSet  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
)

func (c *corpus) random(n int, set string) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = set[c.IntN(len(set))]
	}
	return string(out)
}

// secret makes one that is looked for afterwards.
func (c *corpus) secret(n int, set string) string { return c.remember("Z9" + c.random(n, set)) }

func (c *corpus) remember(secret string) string {
	c.secrets = append(c.secrets, secret)
	return secret
}

func (c *corpus) word() string { return c.secret(10+c.IntN(14), letters) }

func pick[T any](c *corpus, of ...T) T { return of[c.IntN(len(of))] }

// url is one with secrets in its query, fragment or user info, absolute or relative.
func (c *corpus) url() string {
	s := c.word()
	return pick(c,
		"https://shop.example.com/cart?session="+s, "/reset?"+s, "/cart?a=1&token="+s+"&b=2", "?code="+s, "search?q="+s, "//cdn/p?x="+s,
		"../up?k="+s, "https://u:"+s+"@db.example.com:5432/x", "http://"+s+"@host/p", "https://h:8443/app#access_token="+s,
		"/app#id_token="+s+"&x=1", "amqp://guest:"+s+"@mq/v", "redis://:"+s+"@cache:6379/0", "https://acct.blob.core.windows.net/c/b?sv=2024-11-04&sig="+s+"%3D&se=2027",
		"/a;jsessionid="+s+"/b", "/go/"+url.QueryEscape("https://h/p?t="+s), "/go/"+url.QueryEscape("https://u:"+s+"@h/p"),
		"/go/"+url.QueryEscape(url.QueryEscape("/p?t="+s)), "https://h/p?q=\""+s+"\"&z="+s, "u:"+s+"@tcp(db:3306)/x", "https://[::1]:80/p?"+s)
}

// line is a text that has a secret in it.
func (c *corpus) line() string {
	s := c.word()
	jwt := "eyJ" + c.random(20, letters) + ".eyJ" + c.secret(30, letters) + "." + c.secret(40, letters+"-_")
	basic := c.remember(base64.StdEncoding.EncodeToString([]byte("user:" + c.random(12, letters))))
	return pick(c,
		"GET "+c.url()+" HTTP/1.1", "fetching "+c.url()+" failed", "Authorization: Bearer "+s, "authorization: Basic "+basic+"\nHost: x",
		"curl -H 'Authorization: Token "+s+"' https://h/", "got Bearer "+s+"1 from", "sent Basic "+basic+", retrying", "Cookie: sid="+s+"; theme=dark; x="+c.word(),
		"Set-Cookie: sid="+s+"; Path=/; HttpOnly", "cookie=sid="+s, "jwt "+jwt+" expired", "password="+s, "password: "+s+", user: x", "pwd='"+s+" "+c.word()+"'",
		"db_password = \""+s+"\"", "Server=tcp:x,1433;User Id=u;Password="+s+";Encrypt=True", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey="+c.secret(84, base64Set)+"==;EndpointSuffix=x",
		"Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey="+s+"=", "SharedAccessSignature sr=x&sig="+s+"%3d&se=1&skn=n", "InstrumentationKey="+s+";IngestionEndpoint=https://x/",
		"key "+c.remember("AKIA"+c.random(16, upperSet))+" used", "aws_secret_access_key = "+c.secret(38, base64Set), "id "+c.remember("ASIA"+c.random(16, upperSet))+":"+c.secret(38, base64Set),
		"-----BEGIN RSA PRIVATE KEY-----\n"+c.secret(62, base64Set)+"\n"+c.secret(62, base64Set)+"\n-----END RSA PRIVATE KEY-----\nafter",
		"-----BEGIN OPENSSH PRIVATE KEY-----\\n"+c.secret(62, base64Set)+"\\n-----END OPENSSH PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n"+c.secret(62, base64Set),
		"token "+c.remember("ghp_"+c.random(36, letters)), "glpat "+c.remember("glpat-"+"A"+c.random(19, letters)), c.remember("xoxb-1234567890-"+c.random(24, letters)), c.remember("sk_live_"+c.random(24, letters)),
		c.remember("AIza"+c.random(35, letters)), "app secret "+c.remember(c.random(3, letters)+"8Q~"+c.random(34, letters)), "run --password "+s+" --user x", "run --api-key="+s,
		"map[authorization:[Bearer "+s+"] host:[h]]", "{password="+s+", user=x}", "<password>"+s+"</password>", "<a:Secret x=\"y\">"+s+"</a:Secret>", "X-Api-Key: "+s, "x-functions-key:"+s,
		"Authorization: Digest username=\"u\", realm=\"r\", nonce=\""+s+"\", response=\""+c.word()+"\"", "AWS4-HMAC-SHA256 Credential="+s+"/20261123/x, SignedHeaders=host, Signature="+c.word(),
		url.QueryEscape("Authorization: Bearer "+s), "password%3D"+s, "AccountKey\\u003d"+s, c.json(1), c.json(2), c.json(3), c.envoyText())
}

// json is a secret in JSON, in as many texts within texts.
func (c *corpus) json(layers int) string {
	s := c.word()
	value := pick[any](c,
		map[string]any{"user": "x", "password": s, "n": 1}, map[string]any{"headers": map[string]any{"authorization": "Bearer " + s, "host": "h"}},
		map[string]any{"cookies": []string{"sid=" + s, "b=" + c.word()}, "n": 1}, map[string]any{"url": c.url(), "status": 200},
		[]any{map[string]any{"name": "X-Api-Key", "value": s}}, map[string]any{"secret": map[string]any{"a": []any{s, "]\"" + c.word()}}},
		map[string]any{"accessToken": s + "\"" + c.word()}, map[string]any{"msg": "Cookie: a=\"" + s + "\"; b=" + c.word() + "\r\nHost: h"},
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
	envoyTail = `200 - via_upstream - "-" 0 358 12 11 "10.0.0.9" "Mozilla/5.0" "e4e8c177-3962-9359-945e-61e7175cd867" "reviews:9080" "127.1.0.31:9080" ` +
		`outbound|9080||reviews.bookinfo.svc.cluster.local 127.1.0.21:40000 10.96.1.1:9080 127.1.0.21:50000 - default`
)

// envoyText is Istio's default line with a query.
func (c *corpus) envoyText() string {
	return `[2026-11-23T07:00:00.000Z] "GET ` + pick(c, "/reviews/0?user=", "/p?", "/p?x=\"a\",y=", "/a/b#t=") + c.word() + ` HTTP/1.1" ` + envoyTail
}

// secretNames are names whose values are secret whatever they are.
var secretNames = []string{
	"http.request.header.authorization", "http.request.header.cookie", "http.response.header.set-cookie", "http.request.header.x-api-key",
	"http.request.header.proxy-authorization", "password", "db.password", "accessToken", "client_secret", "url.query", "AccountKey", "url.fragment",
	"http.request.header.x-auth-token", "connection_string", "x-functions-key", "aws.secret_access_key", "jsessionid", "apiKey",
}

// value fills a value with secrets, of whichever type.
func (c *corpus) value(v pcommon.Value, depth int) {
	switch n := c.IntN(10); {
	case n < 5 || depth > 4:
		v.SetStr(pick(c, c.line, c.url)())
	case n == 5:
		v.SetEmptyBytes().FromRaw([]byte(c.line()))
	case n == 6:
		s := v.SetEmptySlice()
		for range 1 + c.IntN(3) {
			c.value(s.AppendEmpty(), depth+1)
		}
	case n == 7:
		s := v.SetEmptySlice()
		s.AppendEmpty().SetStr(pick(c, "authorization", "--password", "x-api-key", "Cookie"))
		s.AppendEmpty().SetStr(c.word())
	case n == 8:
		m := v.SetEmptyMap()
		m.PutStr("name", pick(c, "Authorization", "x-api-key", "cookie"))
		m.PutStr("value", c.word())
	default:
		c.attributes(v.SetEmptyMap(), depth+1)
	}
}

// attributes adds some with secrets to a map.
func (c *corpus) attributes(m pcommon.Map, depth int) {
	for i := range 1 + c.IntN(3) {
		if c.IntN(3) == 0 {
			name := pick(c, secretNames...)
			switch c.IntN(4) {
			case 0:
				m.PutEmptySlice(name).AppendEmpty().SetStr(c.word())
			case 1:
				m.PutEmptyMap(name).PutStr("inner", c.word())
			case 2:
				m.PutEmptyBytes(name).FromRaw([]byte(c.word()))
			default:
				m.PutStr(name, c.word())
			}
			continue
		}
		name := pick(c, "url.full", "http.url", "http.target", "note", "db.query.text", "exception.message", "exception.stacktrace", "k8s.pod.annotation.x", "custom")
		c.value(m.PutEmpty(fmt.Sprint(name, []string{"", "_1", "_2"}[i])), depth)
	}
	if c.IntN(40) == 0 {
		m.PutStr("seen https://u:"+c.word()+"@h", "x")
	}
}

// piece is the length of what counts as leaked: a part of a secret is one too.
const piece = 8

// leaks are the parts of secrets that a text contains. The first byte of each is left out, as it is that of many.
func (c *corpus) leaks(marshaled string) (out []string) {
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
