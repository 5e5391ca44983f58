#include "unit.h"
#include "base64.h"
#include "redact.h"

#define SECRET "p4ss/w\"ö d+\\x" /* something to escape in every encoding */

static void add(const char *name, const char *value) {
  struct error error;
  assert_true(redact_add(name, value, strlen(value), &error));
}

static int setup(void **state) {
  (void)state;
  redact_clear();
  return 0;
}

static int teardown(void **state) {
  (void)state;
  redact_clear();
  return 0;
}

static void applies(const char *text, const char *wanted) {
  struct buffer out = {0}, again = {0};
  redact_apply(&out, text, strlen(text));
  assert_text(&out, wanted);
  redact_apply(&again, wanted, strlen(wanted));
  assert_text(&again, wanted); /* twice is once */
  buffer_free(&out);
  buffer_free(&again);
}

/* Redacted as `mark` between other text, and put back when `restorable`. */
static void hides(const char *written, const char *mark, bool restorable) {
  struct buffer text = {0}, wanted = {0}, out = {0}, back = {0};
  buffer_printf(&text, "before %s, after", written);
  buffer_printf(&wanted, "before %s, after", mark);
  applies(text.data, wanted.data);
  redact_quote(&out, text.data, text.len);
  assert_int_equal(redact_restore(&back, out.data, out.len), restorable);
  if (restorable) assert_text(&back, text.data);
  buffer_free(&text);
  buffer_free(&wanted);
  buffer_free(&out);
  buffer_free(&back);
}

static void every_form_is_hidden(void **state) {
  (void)state;
  add("S", SECRET);
  hides("p4ss/w\"ö d+\\x", "⟦S:plain⟧", true);
  hides("p4ss%2Fw%22%C3%B6%20d%2B%5Cx", "⟦S:url⟧", true);
  hides("p4ss%2fw%22%c3%b6%20d%2b%5cx", "⟦S:url-lower⟧", true);
  hides("p4ss%2Fw%22%C3%B6+d%2B%5Cx", "⟦S:form⟧", true);
  hides("p4ss/w%22%c3%B6%20d+%5cx", "⟦S:mixed⟧", false);
  hides("p4ss/w\\\"ö d+\\\\x", "⟦S:json⟧", true);
  hides("p4ss\\/w\\\"ö d+\\\\x", "⟦S:json-slash⟧", true);
  hides("p4ss\\u002Fw\\u0022\\u00f6 d\\u002b\\u005cx", "⟦S:mixed⟧", false);
  hides("703473732f7722c3b620642b5c78", "⟦S:hex⟧", true);
  hides("703473732F7722C3B620642B5C78", "⟦S:hex-upper⟧", true);
  hides("703473732F7722C3B620642b5c78", "⟦S:hex-like⟧", false);
}

static void an_emoji_may_be_two_escapes(void **state) {
  (void)state;
  add("S", "ab😀cd");
  hides("ab\\ud83d\\uDE00cd", "⟦S:mixed⟧", false);
}

static void base64_is_hidden_at_every_alignment(void **state) {
  static const char *const before[] = {"", "u", "u:", "abc", "abcd"}, *const after[] = {"", "x", "yz", "123"};
  (void)state;
  add("S", SECRET);
  for (size_t b = 0; b < COUNT(before); b++)
    for (size_t a = 0; a < COUNT(after); a++)
      for (int alphabet = 0; alphabet < 2; alphabet++) {
        struct buffer plain = {0}, text = {0}, out = {0};
        buffer_printf(&plain, "%s" SECRET "%s", before[b], after[a]);
        base64_encode(&text, plain.data, plain.len, (enum base64_alphabet)alphabet);
        redact_apply(&out, text.data, text.len);
        assert_non_null(strstr(out.data, "⟦S:base64"));
        /* At most the digits of what stood around it are left. */
        assert_true(out.len <=
                    strlen("⟦S:base64-like⟧") + 4 * strlen(before[b]) / 3 + 1 + 4 * strlen(after[a]) / 3 + 4);
        buffer_free(&plain);
        buffer_free(&text);
        buffer_free(&out);
      }
}

static void base64_alone_is_put_back(void **state) {
  (void)state;
  add("S", SECRET);
  hides("cDRzcy93IsO2IGQrXHg=", "⟦S:base64⟧=", true);
  hides("cDRzcy93IsO2IGQrXHg", "⟦S:base64⟧", true);
  hides("cDRzcy93\nIsO2IGQrXHg=", "⟦S:base64-like⟧=", false);
  hides("cDRzcy93\\r\\nIsO2IGQrXHg=", "⟦S:base64-like⟧=", false);
  hides("cDRzcy93IsO2IGQrXHg%3D", "⟦S:base64⟧%3D", true);
  add("T", "\xff\xff\xff~~~");
  hides("////fn5+", "⟦T:base64⟧", true);
  hides("____fn5-", "⟦T:base64url⟧", true);
  hides("\\/\\/\\/\\/fn5+", "⟦T:base64-like⟧", false);
  hides("%2F%2F%2f%2Ffn5%2B", "⟦T:base64-like⟧", false);
}

static void the_longest_wins_and_none_shows(void **state) {
  (void)state;
  add("SHORT", "swordfish");
  add("LONG", "swordfish-and-chips");
  add("TAIL", "chips-and-peas");
  applies("swordfish", "⟦SHORT:plain⟧");
  applies("swordfish-and-chips", "⟦LONG:plain⟧");
  applies("swordfish-and-chips-and-peas.", "⟦LONG:plain⟧⟦TAIL:part⟧.");
}

static void a_rotated_secret_is_hidden_in_both_values(void **state) {
  struct buffer back = {0};
  (void)state;
  add("S", "old-value");
  add("S", "new-value");
  applies("old-value new-value", "⟦S:plain⟧ ⟦S:plain⟧");
  assert_true(redact_restore(&back, "⟦S:plain⟧", strlen("⟦S:plain⟧")));
  assert_text(&back, "new-value");
  buffer_free(&back);
}

static void urls_give_their_secrets_away(void **state) {
  (void)state;
  applies("postgres://conduit:hunter2@db1/conduit", "postgres://conduit:⟦password:undeclared⟧@db1/conduit");
  applies("redis://:pa#s?s@h:6379/0", "redis://:⟦password:undeclared⟧@h:6379/0");
  applies("\"http:\\/\\/u:pw@h\\/x\"", "\"http:\\/\\/u:⟦password:undeclared⟧@h\\/x\"");
  applies("https://ghp_0123456789abcdefghij@github.com/x", "https://⟦password:undeclared⟧@github.com/x");
  applies("ssh://git@github.com/x", "ssh://git@github.com/x");
  applies("https://h:8080/a?mail=me@x.org", "https://h:8080/a?mail=me@x.org");
  applies("http://h:8080 and me@x.org", "http://h:8080 and me@x.org");
  applies("https://hooks.slack.com/services/T0/B0/xyz, then",
          "https://hooks.slack.com/services/⟦token:undeclared⟧ then");
  applies("\"https:\\/\\/hooks.slack.com\\/services\\/T0\\/B\",",
          "\"https:\\/\\/hooks.slack.com\\/services\\/⟦token:undeclared⟧\",");
  applies("https://Discord.com:443/api/webhooks/1/abc",
          "https://Discord.com:443/api/webhooks/⟦token:undeclared⟧");
  applies("https://hooks.slack.com.evil/services/x", "https://hooks.slack.com.evil/services/x");
  applies("a :// b ://", "a :// b ://");
}

static void a_named_secret_in_a_url_keeps_its_name(void **state) {
  (void)state;
  add("PW", "hunter22");
  applies("postgres://conduit:hunter22@db1/x", "postgres://conduit:⟦PW:plain⟧@db1/x");
  applies("postgres://conduit:hunter22!@db1/x", "postgres://conduit:⟦password:undeclared⟧@db1/x");
  applies("postgres://hunter22:other@db1/x", "postgres://⟦PW:plain⟧:⟦password:undeclared⟧@db1/x");
}

static void foreign_marks_do_not_become_secrets(void **state) {
  static const char *const texts[] = {"⟦DB:plain⟧",
                                      "⟦⟦DB:plain⟧",
                                      "⟦:⟧DB:plain⟧",
                                      "⟦DB:plain",
                                      "⟦",
                                      "⟦DB:⟧s3cret-value⟧",
                                      "⟦DB:s3cret-value⟧",
                                      "\xE2\x9F",
                                      "⟦url:undeclared⟧x",
                                      "⟦X:plain⟧ ⟦OTHER:url⟧"};
  (void)state;
  add("DB", "s3cret-value");
  add("ODD", "⟦DB:plain⟧ and ⟦");
  for (size_t i = 0; i < COUNT(texts); i++) {
    struct buffer out = {0}, back = {0};
    redact_quote(&out, texts[i], strlen(texts[i]));
    assert_null(strstr(out.data, "s3cret-value"));
    redact_restore(&back, out.data, out.len);
    assert_text(&back, texts[i]);
    buffer_free(&out);
    buffer_free(&back);
  }
  applies("⟦DB:s3cret-value⟧", "⟦DB:⟦DB:plain⟧⟧");
  hides("⟦DB:plain⟧ and ⟦", "⟦ODD:plain⟧", true);
}

static void bad_secrets_are_refused(void **state) {
  struct error error;
  (void)state;
  assert_false(redact_add("S", "abc", 3, &error));
  assert_string_equal(error.kind, "usage");
  assert_false(redact_add("", "abcdef", 6, &error));
  assert_false(redact_add("a b", "abcdef", 6, &error));
  assert_false(redact_add("a:b", "abcdef", 6, &error));
  applies("abc abcdef", "abc abcdef");
}

static void hashes_tell_values_apart(void **state) {
  struct buffer hash = {0}, other = {0};
  (void)state;
  assert_false(redact_hash(&hash, "S"));
  add("S", "value-one");
  assert_true(redact_hash(&hash, "S"));
  assert_true(redact_hash(&other, "S"));
  assert_string_not_equal(hash.data, other.data);
  assert_true(redact_matches("S", hash.data));
  assert_true(redact_matches("S", other.data));
  assert_false(redact_matches("S", "x"));
  add("S", "value-two");
  assert_false(redact_matches("S", hash.data));
  buffer_free(&hash);
  buffer_free(&other);
}

static void stays(const char *text) { applies(text, text); }

static void escapes_within_escapes_are_hidden(void **state) {
  static const char *const ways[] = {
      "{\\\"a\\\":\\\"it's \\\\\\\"p4ss\\\\\\\" \\\\\\\\ n\\u00f6\\\"}", /* JSON in JSON */
      ("{\\\\\\\"a\\\\\\\":\\\\\\\"it's \\\\\\\\\\\\\\\"p4ss\\\\\\\\\\\\\\\" \\\\\\\\\\\\\\\\ "
       "n\\\\u00f6\\\\\\\"}"),
      "it&#39;s &quot;p4ss&quot; \\ nö",
      "it&amp;#39;s &amp;quot;p4ss&amp;quot; \\ n&#xf6;",
      "'it'\\''s \"p4ss\" \\ nö'",
      "it%27s%20%22p4ss%22%20%5C%20n%C3%B6",
      "it%2527s%2520%2522p4ss%2522%2520%255C%2520n%25C3%25B6",
      "it%27s+%5C%22p4ss%5C%22+%5C%5C+n%C3%B6", /* JSON in a form */
      "it\\'s \\\"p4ss\\\" \\\\ n\\195\\182",   /* Lua's %q */
      "it\\x27s \\x22p4ss\\x22 \\x5c n\\xc3\\xb6",
      "it\\047s \\042p4ss\\042 \\134 n\\303\\266",
      "it=27s =22p4ss=22 \\ n=C3=B6",
  };
  (void)state;
  add("S", "it's \"p4ss\" \\ nö");
  for (size_t i = 0; i < COUNT(ways); i++) {
    struct buffer out = {0};
    redact_apply(&out, ways[i], strlen(ways[i]));
    if (!strstr(out.data, "⟦S:") || strstr(out.data, "p4ss")) fail_msg("%s became %s", ways[i], out.data);
    buffer_free(&out);
  }
}

/* base64, hex: encoded so often, with so much before and behind it. */
static void encode(struct buffer *text, const char *how) {
  struct buffer next = {0};
  for (; *how; how++) {
    buffer_clear(&next);
    if (*how == 'b') base64_encode(&next, text->data, text->len, BASE64_STANDARD);
    if (*how == 'u') base64_encode(&next, text->data, text->len, BASE64_URL);
    for (size_t i = 0; *how == 'x' && i < text->len; i++)
      buffer_printf(&next, "%02x", (unsigned char)text->data[i]);
    if (*how == 'j') buffer_printf(&next, "{\"k\":\"%s\"}", text->data);
    buffer_clear(text);
    buffer_append(text, next.data, next.len);
  }
  buffer_free(&next);
}

static void what_is_encoded_again_is_hidden(void **state) {
  static const char *const hows[] = {"b", "x", "bb", "bbb", "ub", "xb", "bx", "jb", "jbjb"},
                           *const before[] = {"", "u", "us", "use"};
  (void)state;
  add("S", "s3cret-of-some-length");
  for (size_t how = 0; how < COUNT(hows); how++)
    for (size_t b = 0; b < COUNT(before); b++) {
      struct buffer text = {0}, out = {0};
      buffer_printf(&text, "%s:s3cret-of-some-length:x", before[b]);
      encode(&text, hows[how]);
      redact_apply(&out, text.data, text.len);
      if (!strstr(out.data, "⟦S:"))
        fail_msg("%s of %s: %s became %s", hows[how], before[b], text.data, out.data);
      assert_true(out.len < 60);
      buffer_free(&text);
      buffer_free(&out);
    }
}

#define DASHES "-----" /* in halves, or this file would hold a key */
#define LINE "MIIEvQIBADANBgkqhkiG9w0BAQEF"

static void lines_of_a_secret_are_hidden(void **state) {
  (void)state;
  add("K",
      DASHES "BEGIN EC PRIVATE KEY" DASHES "\n" LINE "\n9w0BAQEFAASC\n" DASHES "END EC PRIVATE KEY" DASHES);
  hides("03:14 " LINE, "03:14 ⟦K:line2⟧", true);
  hides("9w0BAQEFAASC", "⟦K:line3⟧", true);
  hides(DASHES "BEGIN EC PRIVATE KEY" DASHES "\\n" LINE "\\n9w0BAQEFAASC\\n" DASHES
               "END EC PRIVATE KEY" DASHES,
        "⟦K:json⟧", true);
  hides(DASHES "BEGIN EC PRIVATE KEY" DASHES "\r\n" LINE "\r\n9w0BAQEFAASC\r\n" DASHES
               "END EC PRIVATE KEY" DASHES,
        "⟦K:mixed⟧", false);
}

static void what_was_cut_is_hidden(void **state) {
  static const char secret[] = "s3cret-of-some-length";
  (void)state;
  add("S", secret);
  applies("text s3cret-of", "text ⟦S:part⟧");
  applies("some-length text", "⟦S:part⟧ text");
  applies("text s3cret", "text s3cret"); /* too short to tell */
  for (size_t n = 1; n < sizeof secret - 1; n++) {
    assert_int_equal(redact_torn_end(secret, n), n);
    assert_int_equal(redact_torn_beginning(secret + n, sizeof secret - 1 - n), sizeof secret - 1 - n);
  }
  assert_true(redact_torn_end("text s3cret-of-some-length", 26) <=
              2); /* a digit or two could be the first in base 64 */
  assert_int_equal(redact_torn_end("text czNjcmV0LW9m", 17), 12);
  assert_int_equal(redact_torn_beginning("-some-length and more", 21), 12);
  assert_int_equal(redact_torn_beginning("more", 4), 0);
  struct error error;
  error_set(&error, "usage", "%*s%s", (int)sizeof error.message - 6, "", secret);
  assert_null(strchr(error.message, 's'));
}

#define P "⟦password:undeclared⟧"
#define T "⟦token:undeclared⟧"

static void keys_give_their_values_away(void **state) {
  (void)state;
  applies("host=h port=1 user=a password=pw1 dbname=x", "host=h port=1 user=a password=" P " dbname=x");
  applies("host=h password='a b' dbname=x", "host=h password='" P "' dbname=x");
  applies("password = hunter2", "password = " P);
  applies("Server=db1;User Id=c;Password=a,b c;Database=x", "Server=db1;User Id=c;Password=" P ";Database=x");
  applies("CONDUIT_DB=Server=db1;User Id=c;Pwd=hunter2", "CONDUIT_DB=Server=db1;User Id=c;Pwd=" P);
  applies("jdbc:sqlserver://db1:1433;user=c;password=hunter2;x=y",
          "jdbc:sqlserver://db1:1433;user=c;password=" P ";x=y");
  applies("jdbc:postgresql://db1/x?user=c&password=hunter2&ssl=true",
          "jdbc:postgresql://db1/x?user=c&password=" P "&ssl=true");
  applies("AccountName=a;AccountKey=Zm9vYmFyYmF6+/==;EndpointSuffix=x",
          "AccountName=a;AccountKey=" P ";EndpointSuffix=x");
  applies("Endpoint=sb://x/;SharedAccessKeyName=Root;SharedAccessKey=c2VjcmV0Lw==",
          "Endpoint=sb://x/;SharedAccessKeyName=Root;SharedAccessKey=" P);
  applies("{\"ConnectionStrings\":{\"Default\":\"Host=db1;Username=c;Password=hunter2\"},\"Jwt\":{\"Secret\":"
          "\"hunter2hunter2\"}}",
          "{\"ConnectionStrings\":{\"Default\":\"Host=db1;Username=c;Password=" P
          "\"},\"Jwt\":{\"Secret\":\"" P "\"}}");
  applies("{\"Jwt\":{\"Issuer\":\"me\",\"Key\":\"hunter2hunter2\"}}",
          "{\"Jwt\":{\"Issuer\":\"me\",\"Key\":\"" P "\"}}");
  applies("{\\\"data\\\":{\\\"DB_PASSWORD\\\":\\\"hunter2hunter2\\\"}}",
          "{\\\"data\\\":{\\\"DB_PASSWORD\\\":\\\"" P "\\\"}}");
  applies("{\"apiKey\": \"hunter2\\\"hunter2\"}", "{\"apiKey\": \"" P "\"}");
  applies("{\"name\":\"DB_PASSWORD\",\"value\":\"hunter2hunter2\"}",
          "{\"name\":\"DB_PASSWORD\",\"value\":\"" P "\"}");
  applies("db:\n  password: hunter2hunter2\n  port: 1", "db:\n  password: " P "\n  port: 1");
  applies("  - DB_PASSWORD: \"hunter2 hunter2\"", "  - DB_PASSWORD: \"" P "\"");
  applies("Authorization: Basic aHVudGVyMjp4eHh4eHg=", "Authorization: Basic " P);
  applies("curl -H 'Authorization: Bearer abcdef0123456789abcdef'", "curl -H 'Authorization: Bearer " T "'");
  applies("mysqldump --password hunter2 --all", "mysqldump --password " P " --all");
  applies("mysqldump --password=hunter2 --all", "mysqldump --password=" P " --all");
  applies("PGPASSWORD=hunter2 psql", "PGPASSWORD=" P " psql");
  applies("https://h/x?api_key=hunter2hunter2&x=1", "https://h/x?api_key=" P "&x=1");
  applies("requirepass foobared\nmasterauth x1\n", "requirepass " P "\nmasterauth " P "\n");
  applies("[\"requirepass\",\"pw\",\"port\",\"1\"]", "[\"requirepass\",\"" P "\",\"port\",\"1\"]");
  applies("\"connection\":\"a=b;Pwd=x y\",\"z\":1", "\"connection\":\"a=b;Pwd=" P "\",\"z\":1");
}

static void data_of_a_kubernetes_secret_is_hidden(void **state) {
  (void)state;
  applies("{\"data\":{\"a\":\"eA==\",\"b\":\"c\"},\"kind\":\"Secret\",\"x\":\"y\"}",
          "{\"data\":{\"a\":\"" P "\",\"b\":\"" P "\"},\"kind\":\"Secret\",\"x\":\"y\"}");
  applies("{\\\"data\\\":{\\\"a\\\":\\\"eA==\\\"},\\\"kind\\\":\\\"Secret\\\"}",
          "{\\\"data\\\":{\\\"a\\\":\\\"" P "\\\"},\\\"kind\\\":\\\"Secret\\\"}");
  applies("data:\n  a: eA==\nkind: Secret\nmetadata:\n  name: x",
          "data:\n  a: " P "\nkind: Secret\nmetadata:\n  name: x");
  stays("{\"data\":{\"a\":\"eA==\"},\"kind\":\"ConfigMap\"}");
  stays("{\"data\":{\"a\":\"eA==\"},\"kind\":\"SecretProvider\"}");
}

static void tokens_give_themselves_away(void **state) {
  (void)state;
  applies("key AKIAIOSFODNN7EXAMPLE.", "key " T ".");
  applies("ghp_0123456789abcdefghij0123456789abcdefgh", T);
  applies("x=xoxb-0123456789-abcdefghij", "x=" T);
  applies("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl x", T " x");
  applies("a\n" DASHES "BEGIN RSA PRIVATE KEY" DASHES "\nMIIE\n" DASHES "END RSA PRIVATE KEY" DASHES "\nb",
          "a\n⟦key:undeclared⟧\nb");
  applies(DASHES "BEGIN PRIVATE KEY" DASHES "\\nMIIE", "⟦key:undeclared⟧");
  applies("eyJwYXNzd29yZCI6Imh1bnRlcjJodW50ZXIyIn0=", P "="); /* {"password":"hunter2hunter2"} */
  applies("https://acme.webhook.office.com/webhookb2/a@b/IncomingWebhook/c/d",
          "https://acme.webhook.office.com/webhookb2/" T);
}

static void odd_passwords_in_urls_are_hidden(void **state) {
  (void)state;
  applies("amqp://svc:GEHEIM/1@mq/ x", "amqp://svc:" P "@mq/ x");
  applies("postgres://u:GEHEIM<2@db/x", "postgres://u:" P "@db/x");
  applies("postgres://u:GE HEIM@db/x", "postgres://u:" P "@db/x");
  applies("postgres://u:GE\"HEIM@db/x", "postgres://u:" P "@db/x");
  applies("c:GEHEIM3@127.0.0.1:1/x", "c:" P "@127.0.0.1:1/x");
  stays("http://host:8080/x@y");
  stays("host:8080/x@y");
  stays("{\"a\":\"foo://bar\",\"b\":\"x:y\",\"mail\":\"x@y.org\"}");
}

static void what_is_no_secret_stays(void **state) {
  (void)state;
  stays("{\"valueFrom\":{\"secretKeyRef\":{\"key\":\"conduit-password\",\"name\":\"conduit-secret\"}}}");
  stays("secretKeyRef:\n  key: conduit-password\n  name: conduit-secret");
  stays("{\"MaxTokens\":\"1000000000\",\"tokens\":\"1000000000\",\"TokenLifetime\":\"15 minutes\"}");
  stays("MaxTokens=1000000000");
  stays("conduit:2@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
  stays("docker-pullable://redis:7@sha256:0123456789abcdef0123456789abcdef");
  stays("{\"password\":null,\"token\":true,\"secret\":\"short\",\"kind\":\"Secret\"}");
  stays("PASSWORD=${DB_PASSWORD} TOKEN=$(cat /x) password=$1 password=? pwd=***");
  stays("PWD=/usr/src/app");
  stays("if password == nil then");
  stays("POSTGRES_PASSWORD_FILE=/run/secrets/db password_encryption=scram-sha-256");
  stays("wrong password: authentication failed for user");
  stays("SyntaxError: Unexpected token: identifier");
  stays("mailto:joe@example.org, sip:joe@example.org:5060, see me@example.org");
  stays("topologyKey: kubernetes.io/hostname, key: app.kubernetes.io/name, monkey=bananabanana");
  stays("registry.example.org:5000/team/image-with-a-long-name/and-more-of-it:v1");
  stays("/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0/conduit-api-7c9f8d7b6d-x2x9k");
  stays("Bearer authentication_required; Basic authentication");
  stays("requirepass is not set");
  stays("# the \"requirepass\" option is old");
  stays("if not param:find \"^%w*password=\" then kept = param end\n");
  stays("--user= --password= --command-timeout=");
  stays("AUTH = \"user and password stand in the address\"");
  stays("redis://[user:password@]host:port/db expected");
  stays("eyJust a word");
}

/* Texts of few letters, in which secrets, their pieces and their forms abound. */
static void random_texts_hold_no_secret(void **state) {
  static const char *const pieces[] = {"ab/a", "ba/b",   "ab%2Fa",   "%2",  "\\/", "YWIvY",  "YmEvYg==", "⟦",
                                       "⟦A:",  "plain⟧", "61622F61", "a",   "b",   "/",      "://",      "@",
                                       ":",    "u",      "\n",       "ab/", "a/b", "\\u0061"};
  uint64_t seed = 7;
  (void)state;
  add("A", "ab/a");
  add("B", "ba/b");
  for (int round = 0; round < 3000; round++) {
    struct buffer text = {0}, out = {0}, back = {0};
    for (uint32_t n = unit_random(&seed) % 9 + 1; n; n--)
      buffer_puts(&text, pieces[unit_random(&seed) % COUNT(pieces)]);
    redact_quote(&out, text.data, text.len);
    assert_null(strstr(out.data, "ab/a"));
    assert_null(strstr(out.data, "ba/b"));
    assert_null(strstr(out.data, "ab%2Fa"));
    assert_null(strstr(out.data, "61622F61"));
    if (redact_restore(&back, out.data, out.len)) assert_text(&back, text.data);
    buffer_free(&text);
    buffer_free(&out);
    buffer_free(&back);
  }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(every_form_is_hidden),
      CASE(an_emoji_may_be_two_escapes),
      CASE(base64_is_hidden_at_every_alignment),
      CASE(base64_alone_is_put_back),
      CASE(the_longest_wins_and_none_shows),
      CASE(a_rotated_secret_is_hidden_in_both_values),
      CASE(urls_give_their_secrets_away),
      CASE(a_named_secret_in_a_url_keeps_its_name),
      CASE(foreign_marks_do_not_become_secrets),
      CASE(bad_secrets_are_refused),
      CASE(hashes_tell_values_apart),
      CASE(escapes_within_escapes_are_hidden),
      CASE(what_is_encoded_again_is_hidden),
      CASE(lines_of_a_secret_are_hidden),
      CASE(what_was_cut_is_hidden),
      CASE(keys_give_their_values_away),
      CASE(data_of_a_kubernetes_secret_is_hidden),
      CASE(tokens_give_themselves_away),
      CASE(odd_passwords_in_urls_are_hidden),
      CASE(what_is_no_secret_stays),
      CASE(random_texts_hold_no_secret),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
