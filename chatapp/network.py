"""How requests leave this machine: the proxies and the certificates that the environment names.

httpx2 reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` and `SSL_CERT_FILE` when a client
is made, and ends with errors of many kinds over a value that the request would not even need. Here
they are read for each request, in either case of letters; what cannot be used is a
`NetworkSettingsError` that names the variable, and never shows the password in it.
"""

from __future__ import annotations

import os
import ssl
import threading
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

import httpx2

from chatapp.errors import NetworkSettingsError

_KINDS = ("http", "https", "socks5", "socks5h")
_NO_FAULT_OF_A_PROXY = (httpx2.ReadTimeout, httpx2.WriteTimeout, httpx2.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and who named it."""

    variable: str
    address: httpx2.URL

    def __str__(self) -> str:
        """As it is shown: without user and password."""
        return f"{self.variable} ({self.address.scheme}://{self.address.netloc.decode('ascii')})"


class Network(httpx2.BaseTransport):
    """Sends every request the way that the environment wants it. One for each client."""

    def __init__(self, *, use_proxies: bool = True) -> None:
        self._use_proxies = use_proxies
        self._ways: dict[tuple[Proxy | None, str], httpx2.HTTPTransport] = {}
        self._lock = threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request and its answer. Raises `NetworkSettingsError`, and httpx2's errors."""
        proxy = find_proxy(request.url) if self._use_proxies else None
        with self._lock:
            way = self._ways.get((proxy, request.url.scheme))
            if way is None:
                way = self._ways[proxy, request.url.scheme] = _open_way(proxy, request.url.scheme)
        try:
            return way.handle_request(request)
        except httpx2.HTTPError as error:
            if proxy is None or isinstance(error, _NO_FAULT_OF_A_PROXY):
                raise
            reason = str(error) or "no answer"
            raise httpx2.ProxyError(f"no connection through {proxy}: {reason}") from error
        # of socksio, when the proxy is none, and of a codec, when a name is too long for a host's
        except Exception as error:
            through = f"no connection through {proxy}: " if proxy else ""
            raise httpx2.ConnectError(f"{through}{error}") from error

    def close(self) -> None:
        """Close every connection."""
        for way in self._ways.values():
            way.close()


def find_proxy(url: httpx2.URL) -> Proxy | None:
    """The proxy that a request for `url` goes through. Raises `NetworkSettingsError`."""
    found = getproxies()
    kind = url.scheme if found.get(url.scheme) else "all"
    value = found.get(kind, "").strip()
    if not value or _is_excepted(url, found.get("no", "")):
        return None
    variable = _name_variable(f"{kind}_proxy", found[kind])
    try:
        address = httpx2.URL(value if "://" in value else f"http://{value}")
    except httpx2.InvalidURL:
        address = httpx2.URL("")
    if address.scheme and address.scheme not in _KINDS:
        raise _unusable(
            f"{variable} names a proxy of the kind {address.scheme[:20]}, "
            f"which is none of {', '.join(_KINDS)}.",
            variable,
        )
    if not address.host:
        raise _unusable(f"{variable} holds no address of a proxy.", variable)
    return Proxy(variable, address)


def _name_variable(lower: str, value: str) -> str:
    """How the variable is spelled that holds `value`. On a Mac, the system's settings may."""
    names = (name for name in os.environ if name.lower() == lower and os.environ[name] == value)
    return next(names, "the system's settings")


def _is_excepted(url: httpx2.URL, exceptions: str) -> bool:
    """Whether `NO_PROXY` names the host: itself, a domain it is in, its network, or `*`."""
    host = url.host.lower()
    if proxy_bypass(host):  # a Mac's settings have exceptions of their own
        return True
    names = {host, f"[{host}]", url.netloc.decode("ascii").lower()}
    for entry in exceptions.lower().replace(" ", ",").split(","):
        domain = entry.strip().removeprefix("*").removeprefix(".")
        if entry == "*" or entry in names or (domain and f".{host}".endswith(f".{domain}")):
            return True
        if "/" in entry and _is_in_network(host, entry):
            return True
    return False


def _is_in_network(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:  # a name is in no network
        return False


def _open_way(proxy: Proxy | None, scheme: str) -> httpx2.HTTPTransport:
    """Connections for one proxy and one scheme."""
    if proxy is None:
        return httpx2.HTTPTransport(verify=_trusted() if scheme == "https" else _trust_nothing())
    secure = proxy.address.scheme == "https"
    context = _trusted() if secure or scheme == "https" else _trust_nothing()
    try:
        return httpx2.HTTPTransport(
            verify=context,
            proxy=httpx2.Proxy(proxy.address, ssl_context=context if secure else None),
        )
    except ImportError:
        raise NetworkSettingsError(
            f"{proxy.variable} names a SOCKS proxy, and the library for them is not installed.",
            "Install it: pip install 'httpx2[socks]'",
        ) from None


_AUTHORITIES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Variables that name whom to trust; the first that is set counts. The last two are those of other
programs, and where a company has authorities of its own, often the only ones that are set."""


def _trusted() -> ssl.SSLContext:
    """Whom to trust: the authorities that the environment names, else the system's."""
    variable, path = _find_authorities()
    try:
        if not variable:
            return httpx2.create_ssl_context(trust_env=False)
        if variable == "SSL_CERT_DIR" and not _is_folder(path):  # ssl would say nothing
            raise NotADirectoryError(0, "is no folder")
        if variable != "SSL_CERT_FILE" and _is_folder(path):
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl.SSLError is one
        reason = "is no file of certificates" if isinstance(error, ssl.SSLError) else error.strerror
        if variable:
            raise _unusable(f"{variable} cannot be used: {path}: {reason}.", "it") from error
        raise NetworkSettingsError(
            f"The system's certificates cannot be read: {reason}."
        ) from error


def _find_authorities() -> tuple[str, str]:
    """The variable that names whom to trust, and its value; empty: the system's."""
    variable = next((name for name in _AUTHORITIES if os.environ.get(name)), "")
    return variable, os.environ.get(variable, "")


def _is_folder(path: str) -> bool:
    return any(Path(one).is_dir() for one in path.split(os.pathsep))


def explain_tls(error: BaseException) -> tuple[str, str] | None:
    """Why no secure connection came about: the reason and what to do. None: something else."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, ssl.SSLError):
        found = found.__cause__ or found.__context__
    if isinstance(found, ssl.SSLCertVerificationError):
        return _explain_certificate(found)
    if found is not None and found.reason in _NO_TLS:
        return "it does not speak TLS there", "Try its address with http:// in place of https://."
    return None


_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
_EXPIRED, _NOT_YET, _HOST_MISMATCH, _IP_MISMATCH = 10, 9, 62, 64  # OpenSSL's X509_V_ERR_…


def _explain_certificate(error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    reason = f"its certificate is not accepted ({error.verify_message.rstrip('.')})"
    if error.verify_code in (_EXPIRED, _NOT_YET):
        return reason, "It must be renewed, or the clock of this machine is wrong."
    if error.verify_code in (_HOST_MISMATCH, _IP_MISMATCH):
        return reason, "Use the name that the certificate was made for."
    variable, path = _find_authorities()
    hint = "If you trust it, name the file with its certificate, or its authority's, in"
    if variable:
        return reason, f"{hint} SSL_CERT_FILE; now {variable} is {path}."
    return reason, f"{hint} SSL_CERT_FILE."


def _trust_nothing() -> ssl.SSLContext:
    """For connections without TLS: reading the certificates of the system takes 20 ms."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _unusable(message: str, variable: str) -> NetworkSettingsError:
    return NetworkSettingsError(message, f"Mend {variable}, or unset it.")
