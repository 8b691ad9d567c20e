"""The Content Security Policy where Django has no middleware of its own for it (before 6.0)."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

POLICY = "default-src 'self'; require-trusted-types-for 'script'; trusted-types djust_presence"


class ContentSecurityPolicyMiddleware(MiddlewareMixin):
    """Forbid everything that does not come from this site, and HTML that no known script has made. Django's own debug pages are left to work."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if not (settings.DEBUG and response.status_code in (404, 500)):
            response.headers["Content-Security-Policy"] = POLICY
        return response
