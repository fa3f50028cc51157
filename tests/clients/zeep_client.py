"""zeep with a session in its transport."""

from __future__ import annotations

import pytest
import requests
from requests.exceptions import HTTPError
from zeep import Client
from zeep.transports import Transport

from requests_bearer_env import BearerEnvAuth, MountedAuth, UntrustedHostError
from requests_bearer_env.demo.server import Reply, Request, Server
from tests.clients.contract import ClientContract
from tests.helpers import HERE, OLD, THERE, Serve, authorizations

XML = (("Content-Type", "text/xml"),)

#: The operation ``greet`` takes a name and returns a greeting.
WSDL = """<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/"
    xmlns:x="http://www.w3.org/2001/XMLSchema" xmlns:t="urn:greetings" targetNamespace="urn:greetings">
  <types><x:schema targetNamespace="urn:greetings">{types}</x:schema></types>
  <message name="Name"><part name="body" element="t:name"/></message>
  <message name="Greeting"><part name="body" element="t:greeting"/></message>
  <portType name="Port">
    <operation name="greet"><input message="t:Name"/><output message="t:Greeting"/></operation>
  </portType>
  <binding name="Binding" type="t:Port">
    <s:binding transport="http://schemas.xmlsoap.org/soap/http"/>
    <operation name="greet">
      <s:operation soapAction=""/><input><s:body use="literal"/></input><output><s:body use="literal"/></output>
    </operation>
  </binding>
  <service name="Service"><port name="Port" binding="t:Binding"><s:address location="{address}"/></port></service>
</definitions>"""

TYPES = '<x:element name="name" type="x:string"/><x:element name="greeting" type="x:string"/>'

SCHEMA = f"""<x:schema xmlns:x="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:greetings">{TYPES}</x:schema>"""

ENVELOPE = """<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>
<greeting xmlns="urn:greetings">welcome</greeting></e:Body></e:Envelope>"""


def greet(origin: str, ca: str, auth: BearerEnvAuth | MountedAuth) -> object:
    """Load the service's description, and call its operation."""
    with requests.Session() as session:
        session.auth, session.verify = auth, ca
        return Client(f"{origin}/service?wsdl", transport=Transport(session=session)).service.greet("Anna")


def answer(request: Request, types: str = TYPES) -> Reply:
    """The description for GET, and a greeting for POST."""
    if request.method == "GET":
        address = f"https://{request.headers['Host']}/service"
        return Reply(200, WSDL.format(types=types, address=address).encode(), XML)
    assert b"Anna" in request.body
    return Reply(200, ENVELOPE.encode(), XML)


class TestZeep(ClientContract):
    """The transport takes ``session=``."""

    expected = "welcome"
    refused = HTTPError  # when it loads the description

    def call(self, origin: str, ca: str, auth: BearerEnvAuth) -> object:
        """Call the service."""
        return greet(origin, ca, auth)

    def reply(self, request: Request) -> Reply:
        """Describe the service, or answer the call."""
        return answer(request)


class TestImports:
    """A description may name schemas on other hosts, which zeep loads with the same session."""

    @pytest.fixture
    def schemas(self, serve: Serve) -> Server:
        """Another origin, with the types."""
        return serve(lambda _: Reply(200, SCHEMA.encode(), XML))

    @pytest.fixture
    def service(self, serve: Serve, schemas: Server) -> Server:
        """A service whose description takes its types from there."""
        include = f'<x:include schemaLocation="{schemas.url(host=THERE)}"/>'
        return serve(lambda request: answer(request, include))

    def test_hosts_keeps_the_key_from_other_hosts(
        self, service: Server, schemas: Server, ca: str, key_env: str
    ) -> None:
        """Without ``hosts=`` the key would go to every https host that the description names."""
        with pytest.raises(UntrustedHostError):
            greet(service.url(""), ca, BearerEnvAuth(key_env, hosts=HERE))
        assert schemas.seen == []

    def test_mount_loads_schemas_without_the_key(self, service: Server, schemas: Server, ca: str, key_env: str) -> None:
        """A MountedAuth sends the key to the service, and loads the schemas without one."""
        auth = MountedAuth({service.url(): BearerEnvAuth(key_env)})
        assert greet(service.url(""), ca, auth) == "welcome"
        assert authorizations(service) == [OLD, OLD]
        assert authorizations(schemas) == [None]
