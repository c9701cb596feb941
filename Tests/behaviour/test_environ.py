# SPDX-License-Identifier: MIT
# test_environ - what a request's environ holds: by name, by index, as one block, and the raw header list.

import socket

import pytest
from support import FACTOR, SANITIZED, Connection, raw_request


def environ(server, *fields, target="/env", **kinds):
    """(environ dictionary, raw header pairs) of one request; the three forms must agree."""
    with Connection(server, **kinds) as connection:
        dump = connection.get(target, *fields).json()
    block = {name: value for name, value in dump["block"]}
    assert len(block) == len(dump["block"]), "a key twice in the block"
    assert dump["at"] == dump["block"]
    assert dump["same"] and dump["past"] is None and dump["absent"] is None
    return block, dump["headers"]


def test_standard_keys_of_a_plain_request(shared):
    with Connection(shared) as connection:
        dump = connection.get("/env?a=1&b=%20").json()
        local_port = connection.socket.getsockname()[1]
    found = dict(dump["block"])
    assert found["REQUEST_METHOD"] == "GET"
    assert found["SCRIPT_NAME"] == ""
    assert found["PATH_INFO"] == found["RAW_PATH_INFO"] == "/env"
    assert found["QUERY_STRING"] == "a=1&b=%20"
    assert found["REQUEST_URI"] == found["RAW_URI"] == "/env?a=1&b=%20"
    assert found["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert found["GATEWAY_INTERFACE"] == "CGI/1.1"
    assert (found["SERVER_NAME"], found["SERVER_PORT"]) == ("127.0.0.1", str(shared.port))
    assert (found["REMOTE_ADDR"], found["REMOTE_PORT"]) == ("127.0.0.1", str(local_port))
    assert found["SERVER_SOFTWARE"].startswith("evy")
    assert found["wsgi.url_scheme"] == "http"
    assert "HTTPS" not in found
    assert found["HTTP_HOST"] == "test.example"
    assert "CONTENT_LENGTH" not in found and "CONTENT_TYPE" not in found
    assert "HTTP_CONTENT_LENGTH" not in found


def test_https_is_told_under_tls_only(serve):
    found, _ = environ(serve(tls=True))
    assert (found["wsgi.url_scheme"], found["HTTPS"]) == ("https", "on")


def test_method_is_given_as_sent_and_a_10_request_says_so(shared):
    with Connection(shared) as connection:
        connection.send(b"PuRgE /env HTTP/1.0\r\n\r\n")
        found = dict(connection.response().json()["block"])
    assert (found["REQUEST_METHOD"], found["SERVER_PROTOCOL"]) == ("PuRgE", "HTTP/1.0")


def test_a_minor_version_above_one_is_served_as_11(shared):
    with Connection(shared) as connection:
        connection.send(b"GET /hello HTTP/1.2\r\nHost: x\r\n\r\n")
        answer = connection.response()
        assert (answer.version, answer.status, answer.closes) == ("HTTP/1.1", 200, False)
        assert connection.alive()


def test_query_string_is_there_without_a_question_mark_and_with_an_empty_one(shared):
    assert environ(shared)[0]["QUERY_STRING"] == ""
    found, _ = environ(shared, target="/env?")
    assert (found["QUERY_STRING"], found["RAW_URI"]) == ("", "/env?")


@pytest.mark.parametrize(
    "raw, decoded",
    [
        ("/%65nv", "/env"),
        ("/e%6Ev", "/env"),
        ("/env%", "/env%"),
        ("/env%4", "/env%4"),
        ("/env%zz", "/env%zz"),
        ("/env%2fx", "/env/x"),
        ("/env%e4", "/env\xe4"),
        ("/%25", "/%"),
        ("/a+b", "/a+b"),
        ("//double//x", "//double//x"),
        ("/a/../b/./c", "/a/../b/./c"),
        ("/env;p=1", "/env;p=1"),
    ],
)
def test_path_info_is_decoded_once_and_nothing_else_is_changed(shared, raw, decoded):
    with Connection(shared) as connection:
        connection.get(raw)
    request = shared.expect("request", path=decoded)
    shared.expect("hook", name="figures", id=request["id"])
    with Connection(shared) as connection:
        if decoded == "/env":
            found = dict(connection.get(raw).json()["block"])
            assert (found["PATH_INFO"], found["RAW_PATH_INFO"]) == (decoded, raw)


def test_encoded_question_mark_belongs_to_the_path_and_query_stays_raw(shared):
    with Connection(shared) as connection:
        connection.get("/x%3fy?q=%3f?z")
    assert shared.expect("request", path="/x?y")["query"] == "q=%3f?z"


def test_absolute_form_gives_path_and_host_of_the_target(shared):
    with Connection(shared) as connection:
        connection.send(b"GET http://other.example:81/env?x=1 HTTP/1.1\r\nHost: test.example\r\n\r\n")
        found = dict(connection.response().json()["block"])
    assert (found["PATH_INFO"], found["QUERY_STRING"]) == ("/env", "x=1")
    assert found["HTTP_HOST"] == "other.example:81"
    assert found["REQUEST_URI"] == "http://other.example:81/env?x=1"


def test_absolute_form_without_a_path_means_the_root(shared):
    with Connection(shared) as connection:
        connection.send(b"GET http://other.example HTTP/1.1\r\nHost: other.example\r\n\r\n")
        assert connection.response().body == b"Hello, World!\r\n"


def test_asterisk_form_of_options(shared):
    with Connection(shared) as connection:
        found = dict(connection.request("OPTIONS", "*").json()["block"])
    assert (found["REQUEST_METHOD"], found["PATH_INFO"]) == ("OPTIONS", "*")


def test_content_type_and_length_have_names_of_their_own(serve):
    server = serve()
    with Connection(server) as connection:
        dump = connection.request("POST", "/env", ["Content-Type: text/x; a=b"], b"12345").json()
    found = dict(dump["block"])
    assert (found["CONTENT_TYPE"], found["CONTENT_LENGTH"]) == ("text/x; a=b", "5")
    assert "HTTP_CONTENT_TYPE" not in found and "HTTP_CONTENT_LENGTH" not in found


def test_header_names_are_mapped_and_values_trimmed(shared):
    found, raw = environ(shared, "X-Abc:  \tone two \t", "x-empty:", "ACCEPT: */*")
    assert (found["HTTP_X_ABC"], found["HTTP_X_EMPTY"], found["HTTP_ACCEPT"]) == ("one two", "", "*/*")
    assert raw == [["Host", "test.example"], ["X-Abc", "one two"], ["x-empty", ""], ["ACCEPT", "*/*"]]


def test_repeated_fields_are_joined_and_cookies_with_semicolons(shared):
    found, raw = environ(shared, "X-A: 1", "Cookie: a=1", "x-a: 2", "Cookie: b=2", "X-A: 3")
    assert (found["HTTP_X_A"], found["HTTP_COOKIE"]) == ("1, 2, 3", "a=1; b=2")
    assert raw[1:] == [["X-A", "1"], ["Cookie", "a=1"], ["x-a", "2"], ["Cookie", "b=2"], ["X-A", "3"]]


def test_header_join_comma_is_the_ancestors_way(serve):
    found, _ = environ(serve(header_join="comma"), "X-A: 1", "X-A: 2")
    assert found["HTTP_X_A"] == "1,2"


def test_a_field_cannot_take_the_place_of_a_standard_key(shared):
    found, _ = environ(shared, "Path-Info: /evil", "Request-Method: EVIL", "Script-Name: x", "Https: on")
    assert found["PATH_INFO"] == "/env" and found["REQUEST_METHOD"] == "GET" and found["SCRIPT_NAME"] == ""
    assert found["HTTP_PATH_INFO"] == "/evil" and found["HTTP_REQUEST_METHOD"] == "EVIL"
    assert "HTTPS" not in found and found["HTTP_HTTPS"] == "on"


def test_names_with_underscore_are_dropped_from_environ_and_kept_raw(shared):
    found, raw = environ(shared, "X_A: evil", "X-A: good")
    assert found["HTTP_X_A"] == "good"
    assert ["X_A", "evil"] in raw


def test_a_lone_underscore_name_is_absent(shared):
    assert "HTTP_X_B" not in environ(shared, "X_B: evil")[0]


def test_underscore_headers_refuse(serve):
    server = serve(underscore_headers="refuse")
    with Connection(server) as connection:
        assert connection.get("/env", "X_A: 1").status == 400
    assert environ(server, "X-A: 1")[0]["HTTP_X_A"] == "1"


def test_underscore_headers_allow(serve):
    found, _ = environ(serve(underscore_headers="allow"), "X_A: 1")
    assert found["HTTP_X_A"] == "1"


def test_bytes_above_ascii_in_values_arrive_unchanged(shared):
    found, raw = environ(shared, "X-Latin: \xe4\xff")
    assert found["HTTP_X_LATIN"] == "\xe4\xff" and ["X-Latin", "\xe4\xff"] in raw


def test_pairs_of_the_configuration_come_ahead_and_cannot_override_the_request(serve):
    server = serve(
        "--env",
        "app.name",
        "mine",
        "--env",
        "REQUEST_METHOD",
        "EVIL",
        "--env",
        "PATH_INFO",
        "/evil",
        "--env",
        "wsgi.url_scheme",
        "https",
        "--env",
        "app.empty",
        "",
    )
    found, _ = environ(server)
    assert (found["app.name"], found["app.empty"]) == ("mine", "")
    assert (found["REQUEST_METHOD"], found["PATH_INFO"]) == ("GET", "/env")
    assert found["wsgi.url_scheme"] == "https"


def test_a_key_that_tells_of_the_request_is_not_made_up_where_it_has_none(serve):
    """By name and in the list alike; a host behind a proxy may say itself that all is secure."""
    pairs = {"CONTENT_LENGTH": "7", "CONTENT_TYPE": "a/b", "SSL_CLIENT_VERIFY": "SUCCESS", "HTTPS": "on"}
    found, _ = environ(serve(*(word for pair in pairs.items() for word in ("--env", *pair))))
    assert pairs.keys() & found.keys() == {"HTTPS"} and found["HTTPS"] == "on"


def test_ten_thousand_fields_are_grouped_in_no_time(serve):
    """Each compared with each took the server more than three seconds."""
    server = serve(max_headers="10000", max_header_size="1m")
    fields = [f"{'a' * 34}{number:05}: {number}" for number in range(9000)] + ["B: 1", "b: 2"] * 400
    with Connection(server) as connection:
        spent = server.cpu_seconds()
        connection.send(raw_request("GET", "/key?name=HTTP_B", fields))
        answer = connection.response().body.decode()
        spent = server.cpu_seconds() - spent
    values = ", ".join(["1", "2"] * 400)[:100]
    assert all(found.startswith(values) for found in answer.split("|")), answer[:300]
    assert spent < (0.5 if SANITIZED else 0.25) * FACTOR


def test_script_name_option(serve):
    server = serve(script_name="/app")
    for target in ("/app/env", "/env"):
        found, _ = environ(server, target=target)
        assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/app", "/env")
        assert found["RAW_PATH_INFO"] == found["REQUEST_URI"] == target
    with Connection(server) as connection:
        assert connection.get("/apparent/env").status == 404
        assert connection.get("/app").status == 404, "the path is empty"


@pytest.mark.parametrize("spelled", ["/caf%C3%A9/a%20b", "/caf%c3%a9/%61%20b"])
def test_a_script_name_is_found_however_its_client_spells_it(serve, spelled):
    server = serve(script_name="/caf\u00e9/a b")
    found, _ = environ(server, target=f"{spelled}/env?x")
    assert found["SCRIPT_NAME"].encode("latin-1").decode() == "/caf\u00e9/a b"
    assert found["PATH_INFO"] == "/env"
    assert environ(server, target="/env")[0]["PATH_INFO"] == "/env"


def test_server_protocol_fixed_gives_the_ancestors_constant(serve):
    assert environ(serve(server_protocol_fixed="true"))[0]["SERVER_PROTOCOL"] == "HTTP/1.0"


def test_keys_set_by_the_handler_reach_hooks_and_log_and_not_the_answer(shared):
    with Connection(shared) as connection:
        answer = connection.get("/env-set?note=mark%201")
    assert answer.body == b"HEAD", "the handler sees its own change, and the answer to a GET keeps its body"
    steps = {step: shared.call(step, path="/env-set") for step in ("set", "replace", "overwrite", "no-name")}
    assert steps == {"set": "EVY_OK", "replace": "EVY_OK", "overwrite": "EVY_OK", "no-name": "EVY_E_ARG"}
    assert shared.expect("hook", path="/env-set", name="figures")["note"] == "mark 1"
    assert shared.expect("access", path="/env-set")["note"] == "mark 1"


def test_user_pointer_server_and_gone_of_a_request(shared):
    with Connection(shared) as connection:
        assert connection.get("/user").body == b"1110"


def test_ids_differ_between_requests(shared):
    with Connection(shared) as connection:
        ids = [connection.get("/env").json()["id"] for _ in range(5)]
    assert len(set(ids)) == 5 and min(ids) > 0


def test_environ_of_pipelined_requests_is_not_mixed(shared):
    with Connection(shared) as connection:
        connection.send(b"".join(raw_request("GET", f"/env?{i}", [f"X-N: {i}"]) for i in range(20)))
        for i in range(20):
            found = dict(connection.response().json()["block"])
            assert (found["QUERY_STRING"], found["HTTP_X_N"]) == (str(i), str(i))


def test_unix_socket_names_the_peer_unix(serve, tmp_path):
    path = str(tmp_path / "evy.sock")
    server = serve(listen=[f"unix:{path}"])
    with Connection(address=path, family=socket.AF_UNIX) as connection:
        found = dict(connection.get("/env").json()["block"])
    assert (found["SERVER_NAME"], found["REMOTE_ADDR"]) == ("unix", "unix")
    assert (found["SERVER_PORT"], found["REMOTE_PORT"]) == ("", "")
    assert server.port == 0


def test_environ_of_an_ipv6_peer(serve, has_ipv6):
    if not has_ipv6:
        pytest.skip("no IPv6 on this machine")
    server = serve(listen=["[::1]:0"])
    with Connection(address=("::1", server.port), family=socket.AF_INET6) as connection:
        found = dict(connection.get("/env").json()["block"])
    assert (found["SERVER_NAME"], found["REMOTE_ADDR"]) == ("::1", "::1")


def test_server_name_is_the_address_the_client_connected_to(serve):
    """Neither the listener's, which is every address, nor what Host says."""
    server = serve(listen=[":0"])
    for host in ("127.0.0.1", "127.0.0.2"):
        with Connection(address=(host, server.port)) as connection:
            found = dict(connection.get("/env", "Host: other.example:1").json()["block"])
        assert (found["SERVER_NAME"], found["SERVER_PORT"]) == (host, str(server.port))
        assert found["HTTP_HOST"] == "other.example:1"


def test_each_request_of_a_connection_has_an_environ_of_its_own(shared):
    with Connection(shared) as connection:
        connection.get("/env-set?note=first", "X-A: 1", "Content-Type: text/x", "Cookie: a=1")
        found = dict(connection.get("/env").json()["block"])
    assert found["REQUEST_METHOD"] == "GET" and found["QUERY_STRING"] == ""
    assert not {"x.note", "HTTP_X_A", "CONTENT_TYPE", "HTTP_COOKIE"} & set(found)
