"""What the guard makes of a URL, before anything is connected."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bond_core.errors import Fatal, Retryable
from bond_core.plugin.addresses import PRIVATE
from bond_core.plugin.egress import Egress, EgressPolicy, check_url, is_host_pattern, parse_url

CANARY = "canary-8f2e"
PUBLIC = {"api.acme.example": ["93.184.216.34", "2606:4700::1111"], "lan.example": ["192.168.1.9"]}


class Names:
    """A resolver that knows a few names, and notes which it was asked for."""

    def __init__(self, names=None):
        self.names = PUBLIC if names is None else names
        self.asked = []

    async def __call__(self, host):
        self.asked.append(host)
        if host not in self.names:
            raise OSError(-2, "Name or service not known")
        return self.names[host]


def routed(url, *, names=None, own=(), simulated_at=None, **policy):
    """Return where the guard sends a URL."""
    egress = Egress(EgressPolicy(**policy), resolve=names or Names())
    return asyncio.run(egress.route(url, own=own, simulated_at=simulated_at))


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("https://api.acme.example", "api.acme.example", "/"),
        ("HTTPS://API.Acme.Example./v1?a=b&c=@:%2e", "api.acme.example", "/v1?a=b&c=@:%2e"),
        ("wss://api.acme.example:443?x", "api.acme.example", "/?x"),
        ("wss://api.acme.example:08443/", "api.acme.example:8443", "/"),
        ("https://93.184.216.34/", "93.184.216.34", "/"),
        ("https://[2606:4700:0::1111]:8443/", "[2606:4700::1111]:8443", "/"),
    ],
)
def test_a_public_url_is_let_through_as_it_was_read(url, authority, target):
    """The URL that is used is put together from what was checked."""
    route = routed(url)

    assert (route.authority, route.target, route.is_guarded) == (authority, target, True)
    assert route.url == f"{route.scheme}://{authority}{target}"
    assert route.addresses


def test_a_name_is_looked_up_once_and_pinned():
    """What the name meant when it was checked is what is connected to."""
    names = Names()

    assert routed("https://api.acme.example/", names=names).addresses == (
        "93.184.216.34", "2606:4700::1111",
    )  # fmt: skip
    assert names.asked == ["api.acme.example"]


@pytest.mark.parametrize(
    "url",
    [
        "", "nonsense", "//api.acme.example/", "ftp://api.acme.example/", "file:///etc/passwd",
        "gopher://api.acme.example/", "javascript://api.acme.example/", "unix:///run/x.sock",
        f"https://{CANARY}@api.acme.example/", f"https://a:{CANARY}@api.acme.example/",
        "https://api.acme.example:443@10.0.0.1/", "https://10.0.0.1\\@api.acme.example/",
        "https://api.acme.example/#frag", "https://api.acme.example#@10.0.0.1/",
        " https://api.acme.example/", "https://api.acme.example/\n", "https://api.acme\t.example/",
        "https://api.acme.example/a b", "https://api.acme.example\\.evil.test/",
        "https://api.acme.example:/", "https://api.acme.example:0/",
        "https://api.acme.example:65536/", "https://api.acme.example:+443/",
        "https://api.acme.example:\u0664\u0664\u0663/", "https://api.acme.ex\u00e4mple/",
        "https://\u2460\u2466\u2462.0.0.1/", "https://127\u30020\u30020\u30021/",
        "https://api%2eacme.example/", "https://.api.acme.example/", "https://api..example/",
        "https://api.acme.example../", "https://-api.acme.example/", "https:///x", "https://",
        "https://[::1", "https://[::1%25lo]/", "https://[::g]/", "https://[]/",
        "https://127.1/", "https://0177.0.0.1/", "https://0x7f.1/", "https://0x7f000001/",
        "https://2130706433/", "https://017700000001/", "https://127.0.0.1.256/",
        "https://999.1.1.1/", "https://1.2.3.4.5/", "https://0x/", "https://08.8.8.8/",
        f"https://{'a' * 64}.example/", f"https://{'a.' * 130}example/",
        f"https://api.acme.example/{'a' * 2048}",
    ],
)  # fmt: skip
def test_what_is_read_in_two_ways_is_not_read(url):
    """Anything that some reader takes for another host is refused, without repeating it."""
    names = Names()

    with pytest.raises(Fatal) as caught:
        routed(url, names=names)
    with pytest.raises(Fatal) as at_creation:
        check_url(url, EgressPolicy())
    assert at_creation.value.code == caught.value.code == "forbidden_url"
    assert CANARY not in str(caught.value) + str(at_creation.value)
    assert names.asked == []


@given(st.text(max_size=40), st.sampled_from(["https://", "wss://a.example", "http://[", ""]))
def test_no_text_breaks_the_reader(text, start):
    """A URL is read or refused, and one that is read is read the same again."""
    try:
        route = parse_url(start + text)
    except Fatal:
        return
    assert parse_url(route.url) == route


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("ws://api.acme.example/", "over TLS only: write wss://"),
        ("http://api.acme.example/", "over TLS only: write https://"),
        ("https://api.acme.example:22/", "port 22 of api.acme.example may not be reached, only"),
        ("https://10.0.0.1/", "10.0.0.1 is not a public address"),
        ("https://[::ffff:10.0.0.1]/", "is not a public address"),
    ],
)
def test_what_the_giver_can_see_is_told(url, detail):
    """Scheme, port and a literal address are no secret to whoever wrote them."""
    names = Names()

    with pytest.raises(Fatal, match=detail) as caught:
        routed(url, names=names)
    with pytest.raises(Fatal, match=detail):
        check_url(url, EgressPolicy())
    assert caught.value.code == "forbidden_url"
    assert names.asked == []


def test_what_may_depend_on_addresses_is_left_to_the_connection():
    """A name is not looked up for its text, and an operator's networks may hold any name."""
    private = (ip_network("192.168.1.0/24"),)

    check_url("https://inside.example/", EgressPolicy())
    check_url("http://inside.example:9000/", EgressPolicy(private=private))
    check_url("ws://192.168.1.7:9000/", EgressPolicy(private=private))
    check_url("https://api.acme.example:9000/", EgressPolicy(hosts=()), own=["*.acme.example"])
    for url in ("http://192.168.2.7/", "https://10.0.0.1/", "http://93.184.216.34/"):
        with pytest.raises(Fatal):
            check_url(url, EgressPolicy(private=private))
    with pytest.raises(Fatal, match="not among the hosts"):
        check_url("https://other.example/", EgressPolicy(hosts=("*.acme.example",)))


@pytest.mark.parametrize(
    "answers",
    [["192.168.1.9"], ["93.184.216.34", "127.0.0.1"], ["::ffff:7f00:1"], [], ["nonsense"], None],
)
def test_names_inside_can_not_be_explored(answers):
    """A name that leads inside, one that leads there as well, and one that isn't: all the same."""
    names = Names({} if answers is None else {"some.example": answers})

    with pytest.raises(Retryable) as caught:
        routed("https://some.example/", names=names)
    assert str(caught.value) == "some.example does not lead to a public address"


def test_a_resolver_that_never_answers_is_given_up(monkeypatch):
    """Looking up is bounded, and ends as if there were no such name."""
    monkeypatch.setattr("bond_core.plugin.egress.RESOLVE_S", 0.01)

    async def never(host):
        await asyncio.Event().wait()

    with pytest.raises(Retryable, match="does not lead"):
        routed("https://api.acme.example/", names=never)


def test_an_answer_is_bounded():
    """A name with ten thousand addresses costs no more than one with a few."""
    many = [f"93.184.{i // 256}.{i % 256}" for i in range(10_000)]

    assert len(routed("https://a.example/", names=Names({"a.example": many})).addresses) <= 64


def test_hosts_may_be_limited():
    """To those that the operator lets users name; then nothing else is even looked up."""
    names = Names({"a.acme.example": ["8.8.8.8"]})
    hosts = {"hosts": ("*.acme.example", "api.other.example")}

    assert routed("https://a.acme.example/", names=names, **hosts)
    for refused in ("acme.example", "evilacme.example", "a.acme.example.evil.test", "10.0.0.1"):
        with pytest.raises(Fatal, match="not among the hosts"):
            routed(f"https://{refused}/", names=names, **hosts)
    with pytest.raises(Fatal, match="not among the hosts"):
        routed("https://a.acme.example/", hosts=())
    assert names.asked == ["a.acme.example"]


def test_a_connectors_own_host_is_not_guarded():
    """Any port and any address, over TLS; what is below it counts only where it says so."""
    route = routed("wss://lan.example:9000/x", own=("lan.example",), hosts=())

    assert (route.is_guarded, route.addresses) == (False, ())
    assert not routed("wss://b.lan.example/", own=("*.lan.example",), hosts=()).is_guarded
    for url in ("wss://lan.example.evil.test/", "wss://b.lan.example/", "ws://lan.example/"):
        with pytest.raises(Fatal):
            routed(url, own=("lan.example",), hosts=())


def test_a_simulator_is_reached_where_it_is():
    """That one address, whatever the scheme, and no other place of the same machine."""
    at = "http://127.0.0.1:4321"

    assert not routed("ws://127.0.0.1:4321/v1", simulated_at=at).is_guarded
    for url in ("ws://127.0.0.1:4322/", "https://127.0.0.1/", "ws://127.0.0.2:4321/"):
        with pytest.raises(Fatal):
            routed(url, simulated_at=at)


def test_a_home_lab_can_be_opened():
    """Then plain and any port will do in it, but nowhere else."""
    names = Names({**PUBLIC, "both.example": ["192.168.1.9", "8.8.8.8"]})
    home = {"private": PRIVATE, "names": names}

    assert routed("ws://lan.example:8080/", **home).addresses == ("192.168.1.9",)
    assert routed("https://both.example/", **home).addresses == ("192.168.1.9", "8.8.8.8")
    for url in ("http://api.acme.example/", "https://api.acme.example:8080/", "ws://both.example/"):
        with pytest.raises(Fatal):
            routed(url, **home)
    with pytest.raises(Fatal):
        routed("http://169.254.169.254/latest/", **home)


@pytest.mark.parametrize("text", ["api.acme.example", "*.acme.example", "nitter", "8.8.8.8"])
def test_a_host_pattern_names_hosts(text):
    """One host, or all below a domain."""
    assert is_host_pattern(text)


@pytest.mark.parametrize(
    "text", ["*", "*.com", "https://a.example", "a.example:443", "a.*.example", "", "A.example"]
)
def test_what_is_no_host_pattern(text):
    """Everybody's domains, ports and schemes are not what a plugin names."""
    assert not is_host_pattern(text)
