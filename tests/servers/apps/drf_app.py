"""A Django REST framework application, one view per way to authenticate: ``drf_app PORT CERTIFICATE DATABASE``."""

from __future__ import annotations

import os
import ssl
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["localhost"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[3]}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework.authtoken"],
    REST_FRAMEWORK={
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    },
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a server that lives for a test",
)
django.setup()

# Django must be set up before these can be imported.
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.authentication import SessionAuthentication, TokenAuthentication  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402


class BearerAuthentication(TokenAuthentication):
    """The framework's tokens under the name that RFC 6750 gives the scheme."""

    keyword = "Bearer"


class BearerFirst(APIView):
    """The challenge of the first class is Bearer, so a refusal is 401."""

    authentication_classes: tuple[type, ...] = (BearerAuthentication, SessionAuthentication)

    def get(self, request: Request) -> Response:
        """Say who asked."""
        return Response({"user": request.user.username})

    def post(self, request: Request) -> Response:
        """Return what was sent."""
        return Response(request.data)


class SessionFirst(BearerFirst):
    """The first class has no challenge, so a refusal is 403."""

    authentication_classes = (SessionAuthentication, BearerAuthentication)


class TokenOnly(BearerFirst):
    """The view accepts ``Authorization: Token`` only, which this library does not send."""

    authentication_classes = (TokenAuthentication,)


urlpatterns = [
    path("bearer/", BearerFirst.as_view()),
    path("session/", SessionFirst.as_view()),
    path("token/", TokenOnly.as_view()),
]


class Server(ThreadingMixIn, WSGIServer):
    """One thread per connection."""

    daemon_threads = True


def main(port: str, certificate: str) -> None:
    """Make the database and the token, then serve."""
    call_command("migrate", verbosity=0)
    Token.objects.create(key=os.environ["SERVER_KEY"], user=User.objects.create(username="user"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with make_server("127.0.0.1", int(port), get_wsgi_application(), server_class=Server) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:3])
