// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestText has one case for each form. A case without a category must stay as it is.
func TestText(t *testing.T) {
	const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
	tests := []struct {
		in, want string
		category Category
	}{
		// Queries and fragments.
		{"http://shop/cart?id=1&token=abc", "http://shop/cart?***", URLQuery},
		{"/cart?secret", "/cart?***", URLQuery},
		{"/a+b?secret", "/a+b?***", URLQuery},
		{"cart?id=1", "cart?***", URLQuery},
		{"?id=1", "?***", URLQuery},
		{"GET /cart?id=1 HTTP/1.1", "GET /cart?*** HTTP/1.1", URLQuery},
		{"/app#access_token=x", "/app#***", URLQuery},
		{"https://h/p#section", "https://h/p#***", URLQuery},
		{"see <https://h/p?x=1> there", "see <https://h/p?***> there", URLQuery},
		{`{"url":"/p?x=1","status":200}`, `{"url":"/p?***","status":200}`, URLQuery},
		{`"GET /p?x="a",b="c HTTP/1.1" 200 - "10.0.0.1:80"`, `"GET /p?*** HTTP/1.1" 200 - "10.0.0.1:80"`, URLQuery},
		{`{"m":"{\"url\":\"/p?x=1\",\"n\":1}"}`, `{"m":"{\"url\":\"/p?***\",\"n\":1}"}`, URLQuery},
		{`{"url":"http:\/\/h\/p?x=1\u0026y=2","n":1}`, `{"url":"http:\/\/h\/p?***","n":1}`, URLQuery},
		{"/login/https%3A%2F%2Fh%2Fp%3Ftoken%3Dabc", "/login/https%3A%2F%2Fh%2Fp%3F***", URLQuery},
		{"/login/%252Fp%253Ftoken%253Dabc", "/login/%252Fp%253F***", URLQuery},
		{"Really? Yes.", "", None},
		{"what?then", "", None},
		{"SELECT * FROM t WHERE id = ? AND name = ?", "", None},
		{"issue #17, C# and F#", "", None},
		{"/tags/%23golang", "", None},
		{"/files/a%20b.txt", "", None},
		// User info.
		{"https://user:pw@host/p", "https://***@host/p", URLUserinfo},
		{"https://token@host", "https://***@host", URLUserinfo},
		{"//user:pw@host/p", "//***@host/p", URLUserinfo},
		{"postgres://u:p%40w@db:5432/x", "postgres://***@db:5432/x", URLUserinfo},
		{"https://u:p@w@host/p", "https://***@host/p", URLUserinfo},
		{"https://u:p/w@host/p", "https://***@host/p", URLUserinfo},
		{"https://u:p?w@host/p", "https://***", URLUserinfo},
		{"https://u:p#w@host", "https://***", URLUserinfo},
		{"u:p@tcp(db:3306)/x", "***@tcp(db:3306)/x", URLUserinfo},
		{"u:p/w@tcp(db:3306)/x", "***@tcp(db:3306)/x", URLUserinfo},
		{"user:pw@host:80", "***@host:80", URLUserinfo},
		{`{"u":"https:\/\/user:pw@host\/"}`, `{"u":"https:\/\/***@host\/"}`, URLUserinfo},
		{"https%3A%2F%2Fuser%3Apw%40host", "https%3A%2F%2F***%40host", URLUserinfo},
		{"registry:5000/app:v1@sha256:0123", "", None},
		{"https://host:8080/npm/@scope/pkg@1.2", "", None},
		{"git@github.com:owner/repo.git", "", None},
		// Headers in texts.
		{"Authorization: Bearer abc def\nHost: x", "Authorization: ***\nHost: x", Authorization},
		{`curl -H 'Authorization: Basic dTpw' https://h/p`, `curl -H 'Authorization: ***' https://h/p`, Authorization},
		{`{"authorization":"Digest username=\"u\", response=\"r\"","a":1}`, `{"authorization":"***","a":1}`, Authorization},
		{`{"headers":"Authorization: Bearer x\r\nHost: h","a":1}`, `{"headers":"Authorization: ***\r\nHost: h","a":1}`, Authorization},
		{"authorization=Bearer abc status=200", "authorization=*** status=200", Authorization},
		{"map[authorization:[Bearer x] host:[h]]", "map[authorization:[***] host:[h]]", Authorization},
		{"sent Bearer abcdefgh1", "sent Bearer ***", Authorization},
		{"Bearer abc", "Bearer ***", Authorization},
		{"Basic dXNlcjpwdw== failed", "Basic *** failed", Authorization},
		{"Bearer%20abcdefgh1", "Bearer%20***", Authorization},
		{"bearer of bad news, basic authentication", "", None},
		{"Cookie: a=\"b c\"; d=e", "Cookie: ***", Cookie},
		{"Set-Cookie: sid=1; Path=/; HttpOnly\r\nHost: x", "Set-Cookie: ***\r\nHost: x", Cookie},
		{`{"cookies":["a=b","c=d"],"n":1}`, `{"cookies":[***],"n":1}`, Cookie},
		// Names of secrets.
		{"password=hunter2", "password=***", Credential},
		{"password: hunter2, user: x", "password: ***, user: x", Credential},
		{"password:12345", "password:***", Credential},
		{"db_password = 'a b'", "db_password = '***'", Credential},
		{"password=a,b;c&d user=x", "password=*** user=x", Credential},
		{`{"accessToken":"a\"b","n":1}`, `{"accessToken":"***","n":1}`, Credential},
		{`{'client_secret': 'a'}`, `{'client_secret': '***'}`, Credential},
		{`{"secret":{"a":[1,"]"]},"n":1}`, `{"secret":{***},"n":1}`, Credential},
		{`{"pin":1,"password":12345}`, `{"pin":1,"password":***}`, Credential},
		{`{"m":"{\"password\":\"a\\\"b\",\"n\":1}"}`, `{"m":"{\"password\":\"***\",\"n\":1}"}`, Credential},
		{`a.AccountKey\u003dabc`, `a.AccountKey\u003d***`, Credential},
		{"AccountName=a;AccountKey=b+/c=;EndpointSuffix=core.windows.net", "AccountName=a;AccountKey=***;EndpointSuffix=core.windows.net", Credential},
		{"Server=s;User Id=u;Password=p;Encrypt=True", "Server=s;User Id=u;Password=***;Encrypt=True", Credential},
		{"Shared Access Key = abc", "Shared Access Key = ***", Credential},
		{"SharedAccessSignature sr=a&sig=b%2Bc&se=1", "SharedAccessSignature sr=a&sig=***&se=1", Credential},
		{"mysql --password hunter2 -u root", "mysql --password *** -u root", Credential},
		{"<wsse:Password Type=\"x\">abc</wsse:Password>", "<wsse:Password Type=\"x\">***</wsse:Password>", Credential},
		{`[{"name":"X-Api-Key","value":"abc"}]`, `[{"name":"X-Api-Key","value":"***"}]`, Credential},
		{"token_type=x, password_length: 3, monkey=1, token.ns.svc:8080", "", None},
		{"http://token:8080/x auth-secret:443", "", None},
		{`POST /oauth/token HTTP/1.1`, "", None},
		// Forms of tokens.
		{"got " + jwt + " from", "got *** from", Token},
		{"key AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY ok", "key *** ok", Token},
		{"ASIAIOSFODNN7EXAMPLE", "***", Token},
		{"ghp_0123456789abcdefABCDEF0123456789abcd", "***", Token},
		{"x github_pat_0123456789abcdefABCDEF_x y", "x *** y", Token},
		{"glpat-0123456789ABCDEFabcd", "***", Token},
		{"xoxb-123456789012-1234567890123-AbCdEf", "***", Token},
		{"sk_live_0123456789ABCDEFabcd", "***", Token},
		{"AIzaSyA0123456789abcdefghijklmnopqrstuv", "***", Token},
		{"abc8Q~0123456789ABCDEFabcdef0123456789abcd", "***", Token},
		{"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA== end", "*** end", Token},
		{"x -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- y", "x *** y", PrivateKey},
		{`"-----BEGIN PRIVATE KEY-----\nMII`, `"***`, PrivateKey},
		{"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----", "", None},
		// What the mesh says of itself.
		{"spiffe://cluster.local/ns/auth/sa/token", "", None},
		{"outbound|9080|v1|token.secret.svc.cluster.local", "", None},
		{"outbound_.9080_.v1_.reviews.bookinfo.svc.cluster.local", "", None},
		{"sidecar~10.0.0.1~token-6d5f7c9b8-abcde.auth~auth.svc.cluster.local", "", None},
		{"rbac_access_denied_matched_policy[ns[default]-policy[secret]-rule[0]]", "", None},
		{"By=spiffe://a/ns/b/sa/c;Hash=6f6d38c5e5b7bd1b;Subject=\"CN=x\";URI=spiffe://a/ns/d/sa/e", "", None},
		{"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "", None},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			r := New(Settings{})
			var tally Tally
			got, changed := r.Text(tt.in, &tally)
			if tt.category == None {
				assert.Equal(t, tt.in, got)
				assert.False(t, changed)
				assert.Zero(t, tally)
				return
			}
			assert.Equal(t, tt.want, got)
			assert.True(t, changed)
			assert.Equal(t, int64(1), tally[tt.category], tally)
			again, changed := r.Text(got, &tally)
			assert.Equal(t, got, again, "a second pass must change nothing")
			assert.False(t, changed)
		})
	}
}

func TestKeys(t *testing.T) {
	secret := map[Category][]string{
		Authorization: {"authorization", "http.request.header.authorization", "Proxy-Authorization", "x-auth", "http.request.header.x_authorization"},
		Cookie:        {"cookie", "http.request.header.cookie", "http.response.header.set-cookie", "Set_Cookie", "cookies"},
		Credential: {
			"password", "db.password", "PASSWORD", "dbPassword", "userPassword2", "access_token", "accessToken", "x-access-token", "idtoken",
			"api-key", "apiKey", "APIKEY", "http.request.header.x-api-key", "Ocp-Apim-Subscription-Key", "x-functions-key",
			"client_secret", "aws_secret_access_key", "SecretAccessKey", "AccountKey", "SharedAccessKey", "db.connection_string",
			"ConnectionString", "sig", "signature", "jsessionid", "PHPSESSID", "connect.sid", "private.key", "x-amz-security-token",
			"password.hash", "creds", "x-csrf-token", "env.DB_PASSWD", "tokens",
		},
	}
	for category, names := range secret {
		for _, name := range names {
			assert.Equal(t, category, categoryOf(name), name)
		}
	}
	for _, name := range []string{
		"authority", "server.address", "token_type", "gen_ai.usage.input_tokens", "tokens.total_tokens", "secret.name", "cookie.count",
		"k8s.service_account.name", "mesh.source.principal", "istio.mesh_id", "connection_security_policy", "session.id", "key",
		"messaging.kafka.message.key", "partition.key", "author", "tokenizer", "keyboard", "db.query.text", "",
	} {
		assert.Equal(t, None, categoryOf(name), name)
	}
	for _, name := range topologyKeys {
		assert.Equal(t, None, New(Settings{}).Key(name).Category, name)
	}
}

// topologyKeys are names of docs/attributes.md and docs/access-logs.md.
var topologyKeys = strings.Fields(`
	k8s.cluster.name k8s.namespace.name k8s.pod.name k8s.node.name k8s.deployment.name k8s.statefulset.name k8s.daemonset.name
	cloud.provider cloud.platform cloud.region cloud.availability_zone service.name service.version service.instance.id
	mesh.source.cluster mesh.source.region mesh.source.zone mesh.source.network mesh.source.namespace mesh.source.workload
	mesh.source.service mesh.source.version mesh.source.principal mesh.destination.principal mesh.traffic.locality
	mesh.traffic.cross_cluster mesh.via mesh.via.duration mesh.tls mesh.resolution.source mesh.traffic.direction mesh.noise
	mesh.upstream.workload mesh.downstream.principal mesh.span.original_kind envoy.response.flags envoy.response.code_details
	envoy.connection.termination_details envoy.upstream.cluster envoy.upstream.cluster.name envoy.tls.sni envoy.tls.peer.san
	envoy.tls.local.san envoy.request.id envoy.route.name envoy.node.id envoy.zone envoy.downstream.direct_address
	http.request.header.x-forwarded-for http.request.header.x-forwarded-client-cert server.address server.port client.address
	http.route url.template url.scheme http.response.status_code error.type tls.protocol.version rpc.service rpc.method
	ztunnel.source.identity ztunnel.destination.identity ztunnel.hbone.address source_principal destination_principal
	connection_security_policy requested_server_name authority upstream_cluster upstream_host node_id istio.cluster_id
	istio.canonical_service istio.namespace downstream_peer_uri_san x_forwarded_for request_id`)

func TestModes(t *testing.T) {
	var tally Tally
	text := "https://u:p@h/p?page=2&token=x&lang=de password=abc"
	removed := New(Settings{Mode: Remove})
	got, _ := removed.Text(text, &tally)
	assert.Equal(t, "https://h/p password=", got)
	hashed := New(Settings{Mode: Hash, HashKey: []byte("0123456789abcdef"), QueryParameters: []string{"page", "lang"}})
	got, _ = hashed.Text(text, &tally)
	assert.Regexp(t, `^https://hmac:[0-9a-f]{16}@h/p\?page=2&lang=de&hmac:[0-9a-f]{16} password=hmac:[0-9a-f]{16}$`, got)
	again, changed := hashed.Text(got, &tally)
	assert.Equal(t, got, again)
	assert.False(t, changed)
	other, _ := New(Settings{Mode: Hash, HashKey: []byte("0123456789abcdeX")}).Text("password=abc", &tally)
	assert.NotContains(t, got, strings.TrimPrefix(other, "password="))

	allow := New(Settings{QueryParameters: []string{"page", "next"}})
	for in, want := range map[string]string{
		"/p?Page=2":                         "/p?Page=2",
		"/p?page=2&x=1":                     "/p?page=2&***",
		"/p?next=/q?x=1":                    "/p?***",
		"/p?next=%2Fq%3Ftoken%3Dx&page=1":   "/p?page=1&***",
		"/p?page=AKIAIOSFODNN7EXAMPLE":      "/p?***",
		"/p?page=2%26token%3Dx":             "/p?***",
		"/p%3Fpage%3D2%26token%3Dx":         "/p%3F***",
		"/p?page=1&password=a&page=3&z=%20": "/p?page=1&page=3&***",
	} {
		got, _ := allow.Text(in, &tally)
		assert.Equal(t, want, got)
		again, changed := allow.Text(got, &tally)
		assert.Equal(t, want, again)
		assert.False(t, changed)
	}
}

func TestSettings(t *testing.T) {
	var tally Tally
	r := New(Settings{
		Off:           [CategoryCount]bool{URLQuery: true, Token: true, Authorization: true, Cookie: true, Credential: true, PrivateKey: true, URLUserinfo: true},
		KeyPatterns:   []*regexp.Regexp{regexp.MustCompile(`^customer\.`)},
		ValuePatterns: []*regexp.Regexp{regexp.MustCompile(`DE\d{8}`)},
		Keep:          []string{"kept", "mine.*"},
	})
	for _, text := range []string{
		"https://u:p@h/p?x=1#y", "Authorization: Bearer abcdefg1", "Cookie: a=b", "password=x", "AKIAIOSFODNN7EXAMPLE",
		"-----BEGIN PRIVATE KEY-----\nx", "a?b=c", "https://u:p?w@h",
	} {
		got, changed := r.Text(text, &tally)
		assert.Equal(t, text, got)
		assert.False(t, changed)
	}
	got, _ := r.Text("iban de12345678 DE12345678.", &tally)
	assert.Equal(t, "iban de12345678 ***.", got)
	assert.Equal(t, int64(1), tally[Pattern])
	assert.Equal(t, Pattern, r.Key("customer.name").Category)
	assert.Equal(t, None, r.Key("password").Category)
	assert.True(t, r.Key("kept").Keep)
	assert.True(t, r.Key("mine.password").Keep)
	assert.False(t, r.Key("kept2").Keep)
}

func TestPlainIsSuspectFree(t *testing.T) {
	for c := range 256 {
		want := c >= '-' && c < ':' || c > '_' && c < 0x80
		for _, n := range []int{1, 7, 8, 9, 16, 31} {
			for at := range n {
				b := []byte(strings.Repeat("a", n))
				b[at] = byte(c)
				assert.Equal(t, want, plain(string(b)), "%q", b)
			}
		}
	}
}

// TestLinear: what an attacker sends must not take more than linear time. A quarter of a megabyte takes some milliseconds;
// with a step for each pair of its bytes it would be many seconds on any machine.
func TestLinear(t *testing.T) {
	r := New(Settings{})
	off := New(Settings{Off: [CategoryCount]bool{URLQuery: true, URLUserinfo: true}})
	for _, part := range []string{
		"?", "#", "@", ":@", "//a:b?", "//a:b@", "=", ":", "token:", "token=\\", "<", ">", "<a>", "\"", "\\", "%25", "Bearer ", "eyJ", "AKIA",
		"-----BEGIN ", "-----BEGIN PRIVATE KEY-----END ", "a", "A", "--token ", `"name":"token","val`, "{", "[", "[\"", "ghp_", "x-", "_", "+",
		"a?b ", "a=", "'", "8Q~", "//:/", "cookie:[", "\\\"password\\\":\\\"",
	} {
		for _, redactor := range []*Redactor{r, off} {
			assert.Less(t, fastest(redactor, strings.Repeat(part, (256<<10)/len(part))), time.Second, part)
		}
	}
}

// fastest tries again where the machine was busy with something else.
func fastest(redactor *Redactor, text string) time.Duration {
	var tally Tally
	best := time.Hour
	for try := 0; try < 5 && best >= time.Second; try++ {
		begin := time.Now()
		redactor.Text(text, &tally)
		best = min(best, time.Since(begin))
	}
	return best
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{
		"http://u:p@h/p?x=1#y", `{"a":"{\"password\":\"x\"}"}`, "Cookie: a=\"b\"; c=d", "%253F%2540\\u003d", "Basic dXNlcjpwdw==",
		"<password>x</password>", "-----BEGIN PRIVATE KEY-----", "[2026-11-23T07:00:00.000Z] \"GET /p?x=1 HTTP/1.1\" 200 -",
	} {
		f.Add(seed, uint8(0))
	}
	redactors := []*Redactor{
		New(Settings{}), New(Settings{Mode: Remove}), New(Settings{Mode: Hash, HashKey: []byte("0123456789abcdef")}),
		New(Settings{QueryParameters: []string{"x"}}),
	}
	f.Fuzz(func(t *testing.T, text string, which uint8) {
		r := redactors[int(which)%len(redactors)]
		var tally Tally
		out, changed := r.Text(text, &tally)
		if changed != (out != text) {
			t.Fatalf("changed %v, %q became %q", changed, text, out)
		}
		r.URL(text, &tally)
		r.Query(text, &tally)
		r.Key(text)
	})
}
