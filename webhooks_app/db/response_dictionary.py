"""What receivers answer, as `db/packed_response_heads.py` looks it up. Pure.

Lines of headers, common ones last, with bytes 1 to 3 for what is kept elsewhere: a date, a UUID, sixteen
hexadecimal digits. It may never change, as rows hold for years what was packed with it.
"""

DICTIONARY = b"""
content-security-policy: default-src 'self'; frame-ancestors 'none'
access-control-expose-headers:\x20
access-control-allow-credentials: true
pragma: no-cache
expires: 0
expires: -1
last-modified:\x20
allow: GET, HEAD, OPTIONS
location: https://
HTTP/1.1 400 Bad Request
HTTP/1.1 401 Unauthorized
HTTP/1.1 403 Forbidden
HTTP/1.1 405 Method Not Allowed
HTTP/1.1 408 Request Timeout
HTTP/1.1 409 Conflict
HTTP/1.1 410 Gone
HTTP/1.1 413 Payload Too Large
HTTP/1.1 422 Unprocessable Entity
HTTP/1.1 429 Too Many Requests
HTTP/1.1 504 Gateway Timeout
HTTP/1.1 404 Not Found
HTTP/1.1 500 Internal Server Error
HTTP/1.1 502 Bad Gateway
HTTP/1.1 503 Service Unavailable
Retry-After: 60
retry-after: 30
alt-svc: h3=":443"; ma=86400
server-timing: cfL4;desc="?proto=TCP&rtt="
x-vercel-cache: MISS
x-vercel-id: iad1::iad1::
x-matched-path: /api/webhooks
server: Vercel
x-served-by: cache-
x-cache: MISS
x-cache-hits: 0
x-timer: S
via: 1.1 varnish
x-cache: Miss from cloudfront
via: 1.1 .cloudfront.net (CloudFront)
x-amz-cf-pop: FRA
x-amz-cf-id:\x20
x-amzn-requestid: \2
x-amz-apigw-id:\x20
x-amzn-trace-id: Root=1-;Parent=\3;Sampled=0;Lineage=1:
apigw-requestid:\x20
x-powered-by: PHP/8.3.
X-Powered-By: ASP.NET
server: Kestrel
server: Microsoft-IIS/10.0
Server: LiteSpeed
Server: Apache/2.4.62 (Debian)
Server: Apache/2.4.58 (Ubuntu)
server: Apache
server: openresty
Server: Jetty(12.0.
server: envoy
x-envoy-upstream-service-time: 1
server: istio-envoy
server: Caddy
via: 1.1 Caddy
server: waitress
server: uvicorn
Server: gunicorn
Server: Werkzeug/3.1 Python/3.12
Server: TornadoServer/6.5
server: hypercorn-h11
set-cookie: __cf_bm=; path=/; expires=; domain=.; HttpOnly; Secure; SameSite=None
set-cookie: AWSALB=; Expires=; Path=/
set-cookie: ; Path=/; HttpOnly; Secure; SameSite=Lax
X-Request-Id: \2
X-Correlation-Id: \2
x-trace-id: \3\3
cache-control: max-age=0, private, must-revalidate
cache-control: no-store
cache-control: private
cache-control: no-cache, no-store, max-age=0, must-revalidate
Cache-Control: no-cache, private
referrer-policy: strict-origin-when-cross-origin
referrer-policy: same-origin
x-frame-options: DENY
x-frame-options: SAMEORIGIN
x-xss-protection: 0
x-xss-protection: 1; mode=block
x-content-type-options: nosniff
etag: W/"2-
etag: "
x-runtime: 0.0
access-control-allow-origin: *
vary: Origin
vary: Accept-Encoding
strict-transport-security: max-age=63072000
strict-transport-security: max-age=15552000; includeSubDomains; preload
Strict-Transport-Security: max-age=31536000; includeSubDomains

HTTP/2 200\x20
date: \1
content-type: application/json; charset=utf-8
content-length: 2
server: cloudflare
cf-ray: \3-FRA
cf-cache-status: DYNAMIC

HTTP/2 202\x20
HTTP/2 204\x20
HTTP/2 201\x20
HTTP/2 500\x20
HTTP/2 404\x20
content-type: text/plain; charset=utf-8
content-type: text/html; charset=utf-8
server: nginx
date: \1

HTTP/1.1 200 OK
X-Powered-By: Express
Content-Type: application/json; charset=utf-8
Content-Length: 15
ETag: W/"f-
Date: \1
Connection: keep-alive
Keep-Alive: timeout=5

HTTP/1.1 201 Created
HTTP/1.1 202 Accepted
HTTP/1.1 204 No Content
Server: nginx/1.26.3
Date: \1
Transfer-Encoding: chunked
Server: nginx/1.24.0 (Ubuntu)
Date: \1
Content-Type: text/html; charset=UTF-8
HTTP/1.1 200 OK
Date: \1
Content-Type: text/plain
Content-Length: 0
Connection: close

HTTP/1.1 200 OK
Server: nginx
Date: \1
Content-Type: application/json; charset=utf-8
Content-Length: 17
Connection: keep-alive
X-Request-Id: \2

HTTP/1.1 200 OK
Server: nginx
Date: \1
Content-Type: application/json
Content-Length: 2
Connection: keep-alive

""".lstrip().replace(b"\n", b"\r\n")
