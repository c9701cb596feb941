# SPDX-License-Identifier: MIT
"""pieces - what requests are made of: right ones more often than wrong ones, as often as they are listed."""

METHODS = [b"GET"] * 8 + [b"POST"] * 6 + [b"HEAD", b"PUT", b"OPTIONS", b"DELETE", b"PATCH"] + [b"CONNECT",
    b"TRACE", b"PRI", b"get", b"M-SEARCH", b"PROPFIND", b"X", b"G\xc9T", b"G(T", b"GET "]
TARGETS = [b"/"] * 6 + [b"/a?b=c", b"/p/q;r=1,2?x=%41&y"] * 3 + [b"*", b"http://a/", b"http://b/x?y",
    b"HTTPS://a:443/", b"http://u@a/", b"http:///x", b"http://a", b"ftp://a/b", b"http://a?q", b"//a/b",
    b"/%00", b"/%", b"/%zz", b"/#f", b"/a b", b"/\xff", b"/\"<>", b"/{}|\\^`[]", b"a", b"a:80", b"?x", b"",
    b"/a\tb", b"http://[::1]:80/", b"http://[1::2::3]/", b"http://a:99999/", b"http://a:/"]
VERSIONS = [b"HTTP/1.1"] * 16 + [b"HTTP/1.0"] * 4 + [b"HTTP/1.2", b"HTTP/1.9", b"HTTP/0.9", b"HTTP/2.0",
    b"http/1.1", b"HTTP/1.1 ", b"HTTP/01.1", b"HTTP/1.10", b"HTTP/11", b"HTTP/1,1", b"", b"HTTP/1",
    b"HTTP /1.1", b"HTTP/-1.1", b"HTTP/1.\xb9"]
HOSTS = [b"a"] * 6 + [b"", b"a:80", b"a:", b":80", b"[::1]", b"[::1]:80", b"[1:2]", b"[v1.a]", b"a,b",
    b"a b", b"u@a", b"a/b", b"a:99999", b"a%41", b"a%4", b"\xe9", b"a?b", b"a:b", b"a_b", b"[::1",
    b"1.2.3.4", b"[::ffff:1.2.3.4]", b"a:+80", b"a;b", b"a:0080"]
LENGTHS = [b"+3", b"-3", b"03", b"3 ", b"0x3", b"3,3", b"3, 3", b"3,4", b"", b"3;", b"3.0", b"3e0", b"0_3",
    b"\xb2", b"3\x0b", b"9223372036854775808", b"9223372036854775807", b"18446744073709551619",
    b"00000000000000000000000000000003", b"3 3", b"\"3\"", b"3\x00", b"1", b"2", b"4", b"0", b"30"]
CODINGS = [b"chunked"] * 12 + [b"Chunked", b"CHUNKED", b"chunked ", b"chunked\t", b"\tchunked",
    b"gzip, chunked", b"chunked, gzip", b"identity", b"chunked, chunked", b"xchunked", b"chunkedx",
    b"chunked;q=1", b",chunked", b"chunked,", b"", b"\"chunked\"", b"chunked\x0b", b"\x0bchunked",
    b"identity, chunked", b"gzip", b"chun ked", b"chunked, identity", b"chunked\xa0", b"trailers",
    b"chunked,,", b"\xe9", b"chunked;", b"gzip;q=1, chunked", b"deflate"]
CONNECTIONS = [b"close", b"keep-alive", b"Close", b"KEEP-ALIVE", b"close, x", b"x, close",
    b"keep-alive, close", b"upgrade", b"", b",", b"close,", b"close;x", b"closed", b"x",
    b"keep-alive, upgrade", b"close close", b"Transfer-Encoding", b"content-length", b"\"close\"",
    b"close\x00", b"TE, close", b"keep-alive,keep-alive"]
EXPECTS = [b"100-continue"] * 4 + [b"100-Continue", b"100-continue, 100-continue", b"200-ok", b"",
    b"100-continue;q=1", b"100", b"100-continue,x", b","]
OTHERS = [(b"X", b"y"), (b"Cookie", b"a=1; b=2"), (b"X_Y", b"z"), (b"Content_Length", b"5"),
    (b"Upgrade", b"websocket"), (b"Upgrade", b"h2c"), (b"TE", b"trailers"), (b"Trailer", b"X"),
    (b"Content-Type", b"text/plain"), (b"Authorization", b"Basic eDp5"), (b"Keep-Alive", b"timeout=5"),
    (b"Proxy-Connection", b"keep-alive"), (b"X", b"\x80\xff"), (b"X", b"a\tb"), (b"X", b""), (b"X", b"a: b"),
    (b"X", b"\"q\""), (b"Range", b"bytes=0-1"), (b"Transfer_Encoding", b"chunked"),
    (b"Content-Length-X", b"3"), (b"XContent-Length", b"3"), (b"X", b"a\x7fb"),
    (b"Content-Encoding", b"identity"), (b"User-Agent", b"t/1"), (b"Date", b"x"),
    (b"Sec-WebSocket-Key", b"x"), (b"X-HTTP-Method-Override", b"PUT"), (b"Forwarded", b"for=a"),
    (b"Max-Forwards", b"0"), (b"ETag", b"\"x\"")]
COLONS = [b": "] * 20 + [b":", b":  ", b":\t", b": \t ", b" : ", b"\t:", b" ", b"::", b":\r\n ", b":\x0b",
    b": \r\n\t"]
ENDS = [b"\r\n"] * 60 + [b"\n", b"\r", b"\r\r\n", b"\n\r", b" \r\n", b"\r\n\r\n", b"\r\n ", b"\x0b\r\n",
    b"\x85", b"\r\x00\n"]
EXTENSIONS = [b""] * 12 + [b";a", b";a=b", b";a=\"b\"", b" ;a", b"; a", b";", b";a=", b";a=\"b", b"; a = b",
    b" ", b"\t", b";\x00", b";a\nb", b";a=\"\\\"\"", b";;", b";a\xff", b",a", b";a=\"\r\n\"", b";a;b=c"]
TRAILERS = [b""] * 8 + [b"X: y\r\n", b"Content-Length: 3\r\n", b"X : y\r\n", b"X\r\n", b" x\r\n", b"X: y\n",
    b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"X: \x00\r\n", b"X: y\r\n z\r\n", b": y\r\n",
    b"X:y\r\nY: z\r\n", b"X\xff: y\r\n", b"X: a\rb\r\n"]
PIECES = [b"\r", b"\n", b"\r\n", b" ", b"\t", b"\0", b"\x80", b"\xff", b"\xa0", b"\x85", b"\x0b", b"\x0c",
    b"\x7f", b"0", b"1", b"3", b"9", b"a", b"F", b":", b",", b";", b"=", b"\"", b"/", b"?", b"#", b"%", b"@",
    b"[", b"]", b"_", b"-", b"+", b"\\", b"\r\n\r\n", b"\r\n ", b"\r\n\t", b"chunked", b"close",
    b"Host: b\r\n", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n", b"0\r\n\r\n", b"3\r\nabc\r\n", b"HTTP/1.1", b" HTTP/1.1\r\n"]
